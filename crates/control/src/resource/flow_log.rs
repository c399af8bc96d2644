//! Flow logs as records (FL-1 to FL-6): what shall be recorded, of whose traffic, and where it goes.

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    FlowLogId,
    record::{
        FlowLog, FlowLogDelivery, FlowLogDestination, NetworkInterface, Subnet, TrafficType, Vpc,
    },
};

use crate::{
    call::{Answer, Call, find, given, listed, text},
    filter::{Fields, select, some},
    flow_log::{
        Frequency, Integration, admit, bucket_and_prefix, checked_format, default_format, template,
        template_key,
    },
    operation::Upload,
    page::page,
    resource::{idempotency, log_group},
    tags,
};

/// How many resources one call may name (FL-2).
const RESOURCES: usize = 300;
/// How long traffic is gathered where the call does not say, in seconds (FL-2).
const INTERVAL: u32 = 600;
const LOG_GROUP: &str = "cloud-watch-logs";
const BUCKET: &str = "s3";

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameter", message)
}

fn log_group_destination(call: &Call, r: &ec2::CreateFlowLogsRequest) -> Answer<String> {
    if given(&r.deliver_logs_permission_arn).is_none() {
        return Err(invalid(
            "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.",
        ));
    }
    if r.destination_options.is_some() {
        return Err(invalid(
            "DestinationOptions can only be specified if LogDestinationType is s3.",
        ));
    }
    match (given(&r.log_group_name), given(&r.log_destination)) {
        (Some(_), Some(_)) => {
            Err(invalid("Please only provide LogGroupName or only provide LogDestination."))
        }
        (Some(name), None) => Ok(name.to_owned()),
        (None, Some(arn)) => {
            let name = arn.strip_prefix(log_group::arn(call, "").as_str());
            let name = name.map(|it| it.strip_suffix(":*").unwrap_or(it));
            let name = name.filter(|it| !it.is_empty());
            name.map(str::to_owned).ok_or_else(|| {
                invalid(format!(
                    "LogDestination {arn} is no log group of this account in this region."
                ))
            })
        }
        (None, None) => {
            Err(invalid("LogDestination can't be empty if LogGroupName is not provided."))
        }
    }
}

fn bucket_destination(r: &ec2::CreateFlowLogsRequest) -> Answer<FlowLogDestination> {
    if given(&r.log_group_name).is_some() {
        return Err(invalid(
            "LogGroupName can only be specified if LogDestinationType is cloud-watch-logs.",
        ));
    }
    if given(&r.deliver_logs_permission_arn).is_some() {
        return Err(invalid(
            "DeliverLogsPermissionArn can only be specified if LogDestinationType is \
             cloud-watch-logs.",
        ));
    }
    let arn = given(&r.log_destination)
        .ok_or_else(|| invalid("LogDestination can't be empty if LogGroupName is not provided."))?;
    let path = arn.strip_prefix("arn:aws:s3:::").filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| invalid(format!("LogDestination {arn} is no S3 ARN.")))?;
    // Folders of that name are AWS's own (FL-15).
    if path.split('/').skip(1).any(|folder| folder == "AWSLogs") {
        return Err(invalid("AWSLogs is reserved and can't be part of the LogDestination."));
    }
    let options = r.destination_options.clone().unwrap_or_default();
    Ok(FlowLogDestination::Bucket {
        arn: arn.to_owned(),
        parquet: options.file_format.as_deref() == Some("parquet"),
        hive_compatible_partitions: options.hive_compatible_partitions == Some(true),
        per_hour_partition: options.per_hour_partition == Some(true),
    })
}

/// Why a resource gets no flow log (FL-3).
fn check_resource(
    call: &Call,
    tx: &mut Transaction,
    kind: &str,
    id: &str,
    destination: &FlowLogDestination,
) -> Answer<()> {
    match kind {
        "VPC" => find::<Vpc>(tx, &call.scope, id).map(|_| ()),
        "Subnet" => find::<Subnet>(tx, &call.scope, id).map(|_| ()),
        "NetworkInterface" => find::<NetworkInterface>(tx, &call.scope, id).map(|_| ()),
        other => Err(ApiError::unsupported_operation(format!(
            "Flow logs of the resource type {other} are not supported."
        ))),
    }?;
    match destination {
        FlowLogDestination::Bucket { arn, hive_compatible_partitions, .. } => {
            admit(call, tx, arn, *hive_compatible_partitions)
        }
        FlowLogDestination::LogGroup(_) => Ok(()),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateFlowLogsRequest,
) -> Answer<ec2::CreateFlowLogsResult> {
    let make = |tx: &mut Transaction| {
        let answer = make(call, tx, r)?;
        Ok((answer.flow_log_ids.clone(), answer))
    };
    let again = |_: &mut Transaction, made: &[String]| {
        Ok(Some(ec2::CreateFlowLogsResult {
            client_token: r.client_token.clone(),
            flow_log_ids: made.to_vec(),
            unsuccessful: Vec::new(),
        }))
    };
    idempotency::once(call, tx, "CreateFlowLogs", &r.client_token, r, make, again)
}

fn make(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateFlowLogsRequest,
) -> Answer<ec2::CreateFlowLogsResult> {
    let kind = text(&r.resource_type, "ResourceType")?;
    if r.resource_ids.is_empty() {
        return Err(ApiError::missing_parameter("ResourceId"));
    }
    if r.resource_ids.len() > RESOURCES {
        return Err(invalid(format!("At most {RESOURCES} resources may be specified.")));
    }
    let traffic_type = match text(&r.traffic_type, "TrafficType")? {
        "ACCEPT" => TrafficType::Accept,
        "REJECT" => TrafficType::Reject,
        _ => TrafficType::All,
    };
    let interval_seconds = match r.max_aggregation_interval {
        None => INTERVAL,
        Some(60) => 60,
        Some(600) => 600,
        Some(_) => return Err(invalid("Invalid Flow Log Max Aggregation Interval")),
    };
    let destination = match given(&r.log_destination_type).unwrap_or(LOG_GROUP) {
        LOG_GROUP => FlowLogDestination::LogGroup(log_group_destination(call, r)?),
        BUCKET => bucket_destination(r)?,
        other => {
            return Err(ApiError::unsupported_operation(format!(
                "The log destination type {other} is not supported."
            )));
        }
    };
    let format = match given(&r.log_format).map(str::trim).filter(|it| !it.is_empty()) {
        Some(given) => checked_format(given)?,
        None => default_format(),
    };
    let tags = tags::on_creation::<FlowLog>(&r.tag_specifications)?;
    let mut answer =
        ec2::CreateFlowLogsResult { client_token: r.client_token.clone(), ..Default::default() };
    for id in &r.resource_ids {
        if let Err(error) = check_resource(call, tx, kind, id, &destination) {
            answer.unsuccessful.push(unsuccessful(id, &error));
            continue;
        }
        let log = FlowLog {
            id: FlowLogId::new(call.random()),
            resource_id: id.clone(),
            traffic_type,
            destination: destination.clone(),
            role: given(&r.deliver_logs_permission_arn).map(str::to_owned),
            cross_account_role: given(&r.deliver_cross_account_role).map(str::to_owned),
            format: format.clone(),
            interval_seconds,
            delivery: FlowLogDelivery::Success,
            dropped: None,
            created: call.now,
            tags: tags.clone(),
        };
        // The same configuration and destination (FL-5).
        let is_same = |other: &Arc<FlowLog>| {
            (other.traffic_type, &other.destination, &other.format, other.interval_seconds)
                == (log.traffic_type, &log.destination, &log.format, log.interval_seconds)
        };
        if tx.referrers::<FlowLog>(id).any(is_same) {
            return Err(ApiError::new(
                "FlowLogAlreadyExists",
                "Error. There is an existing Flow Log with the same configuration and log \
                 destination.",
            ));
        }
        answer.flow_log_ids.push(log.id.to_string());
        tx.put(&call.scope, log);
    }
    Ok(answer)
}

fn unsuccessful(id: &str, error: &ApiError) -> ec2::UnsuccessfulItem {
    ec2::UnsuccessfulItem {
        error: Some(ec2::UnsuccessfulItemError {
            code: Some(error.code.into()),
            message: Some(error.message.clone()),
        }),
        resource_id: Some(id.to_owned()),
    }
}

/// The flow logs of a resource that is about to go, go with it (FL-13).
pub(crate) fn leave(call: &Call, tx: &mut Transaction, resource: &str) {
    let logs: Vec<_> = tx.referrers::<FlowLog>(resource).map(|log| log.id.clone()).collect();
    for id in logs {
        tx.remove::<FlowLog>(&call.scope, id.as_str());
    }
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteFlowLogsRequest,
) -> Answer<ec2::DeleteFlowLogsResult> {
    if r.flow_log_ids.is_empty() {
        return Err(ApiError::missing_parameter("FlowLogId"));
    }
    let mut missing = Vec::new();
    for id in &r.flow_log_ids {
        crate::call::parse_id::<FlowLog>(id)?;
        if tx.remove::<FlowLog>(&call.scope, id).is_none() {
            missing.push(id.as_str());
        }
    }
    if !missing.is_empty() {
        return Err(ApiError::flow_logs_not_found(&missing));
    }
    Ok(ec2::DeleteFlowLogsResult::default())
}

fn shown(call: &Call, log: &FlowLog) -> ec2::FlowLog {
    let (kind, group, destination, options) = match &log.destination {
        FlowLogDestination::LogGroup(name) => {
            (LOG_GROUP, Some(name.clone()), log_group::arn(call, name), None)
        }
        FlowLogDestination::Bucket {
            arn,
            parquet,
            hive_compatible_partitions,
            per_hour_partition,
        } => {
            let options = ec2::DestinationOptionsResponse {
                file_format: Some(if *parquet { "parquet" } else { "plain-text" }.into()),
                hive_compatible_partitions: Some(*hive_compatible_partitions),
                per_hour_partition: Some(*per_hour_partition),
            };
            (BUCKET, None, arn.clone(), Some(options))
        }
    };
    let error = match log.delivery {
        FlowLogDelivery::Success => None,
        FlowLogDelivery::AccessError => Some("Access error"),
        FlowLogDelivery::RateLimited => Some("Rate limited"),
        FlowLogDelivery::UnknownError => Some("Unknown error"),
    };
    ec2::FlowLog {
        creation_time: Some(log.created),
        deliver_logs_error_message: error.map(str::to_owned),
        deliver_logs_permission_arn: log.role.clone(),
        deliver_cross_account_role: log.cross_account_role.clone(),
        deliver_logs_status: Some(if error.is_some() { "FAILED" } else { "SUCCESS" }.into()),
        flow_log_id: Some(log.id.to_string()),
        flow_log_status: Some("ACTIVE".into()),
        log_group_name: group,
        resource_id: Some(log.resource_id.clone()),
        traffic_type: Some(log.traffic_type.name().into()),
        log_destination_type: Some(kind.into()),
        log_destination: Some(destination),
        log_format: Some(log.format.clone()),
        tags: tags::shown(&log.tags),
        max_aggregation_interval: i32::try_from(log.interval_seconds).ok(),
        destination_options: options,
    }
}

const FILTERS: &Fields<ec2::FlowLog> = &[
    ("deliver-log-status", |it| some(&it.deliver_logs_status)),
    ("flow-log-id", |it| some(&it.flow_log_id)),
    ("log-destination-type", |it| some(&it.log_destination_type)),
    ("log-group-name", |it| some(&it.log_group_name)),
    ("resource-id", |it| some(&it.resource_id)),
    ("traffic-type", |it| some(&it.traffic_type)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeFlowLogsRequest,
) -> Answer<ec2::DescribeFlowLogsResult> {
    let found = listed::<FlowLog>(records, &call.scope, &r.flow_log_ids)?;
    let found = found.iter().map(|log| shown(call, log)).collect();
    let found = select(found, &r.filter, FILTERS, Some(|it| &it.tags))?;
    let (flow_logs, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.flow_log_id.as_deref())?;
    Ok(ec2::DescribeFlowLogsResult { flow_logs, next_token })
}

/// What a template is to S3.
const TEMPLATE_TYPE: &str = "application/x-yaml";

/// The bucket in the ARN of a place in S3.
fn bucket_of<'a>(name: &str, arn: &'a str) -> Answer<&'a str> {
    match bucket_and_prefix(arn) {
        ("", _) => Err(invalid(format!("{name} {arn} is no S3 ARN."))),
        (bucket, _) => Ok(bucket),
    }
}

fn integration(asked: &ec2::AthenaIntegration) -> Answer<Integration<'_>> {
    let results =
        text(&asked.integration_result_s3_destination_arn, "IntegrationResultS3DestinationArn")?;
    bucket_of("IntegrationResultS3DestinationArn", results)?;
    let frequency =
        Frequency::named(text(&asked.partition_load_frequency, "PartitionLoadFrequency")?);
    let (start, end) = (asked.partition_start_date, asked.partition_end_date);
    if frequency == Frequency::None && (start.is_none() || end.is_none()) {
        return Err(invalid(
            "PartitionStartDate and PartitionEndDate are required if PartitionLoadFrequency is none.",
        ));
    }
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(invalid("PartitionStartDate must not be after PartitionEndDate."));
    }
    Ok(Integration { results, frequency, start, end })
}

/// A part of a path as a URL has it.
fn percent_encoded(part: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    part.bytes().map(byte).collect()
}

/// A template with which Amazon Athena reads a flow log's files, for the bucket that it is stored in.
pub(crate) fn integration_template(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetFlowLogsIntegrationTemplateRequest,
) -> Answer<(Upload, ec2::GetFlowLogsIntegrationTemplateResult)> {
    let log = find::<FlowLog>(records, &call.scope, text(&r.flow_log_id, "FlowLogId")?)?;
    let destination =
        text(&r.config_delivery_s3_destination_arn, "ConfigDeliveryS3DestinationArn")?;
    let bucket = bucket_of("ConfigDeliveryS3DestinationArn", destination)?;
    let asked = r.integrate_services.iter().flat_map(|it| &it.athena_integrations);
    let asked = asked.map(integration).collect::<Answer<Vec<_>>>()?;
    if asked.is_empty() {
        return Err(ApiError::missing_parameter("AthenaIntegration"));
    }
    let body = template(&call.scope, &log, &asked).ok_or_else(|| {
        invalid(format!("The flow log {} is not published to Amazon S3.", log.id))
    })?;
    let key = template_key(&log, destination, call.now);
    let region =
        records.bucket(bucket).and_then(|(owner, _)| Some(owner.scope.as_ref()?.region.clone()));
    let region = region.unwrap_or_else(|| call.region().clone());
    let path: Vec<_> = key.split('/').map(percent_encoded).collect();
    let result = Some(format!("https://{bucket}.s3.{region}.amazonaws.com/{}", path.join("/")));
    let upload = Upload {
        bucket: bucket.to_owned(),
        key,
        content_type: TEMPLATE_TYPE,
        body: body.into_bytes(),
    };
    Ok((upload, ec2::GetFlowLogsIntegrationTemplateResult { result }))
}
