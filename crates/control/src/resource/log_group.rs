//! Log groups of CloudWatch Logs, with their retention and tags.

use std::{collections::BTreeMap, sync::Arc};

use gureum_api::{ApiError, logs};
use gureum_logs::LogError;
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags,
    record::{LogGroup, LogStream, MetricFilter},
};

use crate::{
    call::{Answer, Call, given, text},
    page::page,
};

/// How many groups, streams and filters a page has where the request does not say.
pub(crate) const PAGE: i32 = 50;
/// How many tags a group may have.
const TAG_LIMIT: usize = 50;
/// How long events may be kept, in days.
const RETENTIONS: [i32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
/// Groups of this class keep events two days, whatever is asked.
const DELIVERY: &str = "DELIVERY";
const DELIVERY_RETENTION: i32 = 2;

/// What went wrong with log data, as callers are told.
pub(crate) fn failed(error: LogError) -> ApiError {
    match error {
        // Status 400: clients repeat what fails with 500 for minutes, and the disk stays full.
        LogError::Full(_) => ApiError::new(
            "LimitExceededException",
            "The disk under the data directory is full. Nothing was changed.",
        )
        .with_internal(error),
        error => ApiError::internal_error(error),
    }
}

/// A token that is not ours, in the words of this service.
pub(crate) fn bad_token(_: ApiError) -> ApiError {
    ApiError::logs_invalid_token()
}

/// The ARN of a group, as most operations take it.
pub(crate) fn arn(call: &Call, name: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{name}", call.region(), call.account())
}

/// The name in a group's ARN, which may end with `:*`. Others' groups are not found here.
fn name_in_arn(call: &Call, text: &str) -> Option<String> {
    let name = text.strip_prefix(arn(call, "").as_str())?;
    Some(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

pub(crate) fn named(call: &Call, records: &Snapshot, name: &str) -> Answer<Arc<LogGroup>> {
    let found = records.find::<LogGroup>(&call.scope, name).cloned();
    found.ok_or_else(ApiError::log_group_not_found)
}

/// The group that a name or ARN means.
pub(crate) fn identified(call: &Call, records: &Snapshot, text: &str) -> Answer<Arc<LogGroup>> {
    match text.starts_with("arn:") {
        true => {
            let name = name_in_arn(call, text).ok_or_else(ApiError::log_group_not_found)?;
            named(call, records, &name)
        }
        false => named(call, records, text),
    }
}

/// The group that one of two parameters means.
pub(crate) fn of_request(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
    identifier: &Option<String>,
) -> Answer<Arc<LogGroup>> {
    match (given(name), given(identifier)) {
        (Some(name), None) => named(call, records, name),
        (None, Some(identifier)) => identified(call, records, identifier),
        (Some(_), Some(_)) => Err(ApiError::logs_invalid_parameter(
            "Only one of logGroupName and logGroupIdentifier may be specified.",
        )),
        (None, None) => Err(ApiError::logs_invalid_parameter(
            "One of logGroupName and logGroupIdentifier must be specified.",
        )),
    }
}

/// A name that does not match what AWS allows.
pub(crate) fn not_of_pattern(value: &str, member: &str, pattern: &str) -> ApiError {
    ApiError::logs_invalid_parameter(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: {pattern}"
    ))
}

fn check_tags(tags: &Tags) -> Answer<()> {
    for (key, value) in tags {
        let sized = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !sized || key.to_lowercase().starts_with("aws:") {
            let message = format!("The tag key '{key}' or its value is not valid.");
            return Err(ApiError::logs_invalid_parameter(message));
        }
    }
    match tags.len() > TAG_LIMIT {
        true => Err(ApiError::new(
            "TooManyTagsException",
            "The number of tags exceeds the limit of 50 per resource.",
        )),
        false => Ok(()),
    }
}

/// A new group of that name.
pub(crate) fn make(call: &Call, tx: &mut Transaction, name: &str) -> LogGroup {
    let group = LogGroup {
        name: name.to_owned(),
        data: call.random(),
        class: "STANDARD".to_owned(),
        kms_key_id: None,
        retention_days: None,
        deletion_protection: false,
        created: call.now,
        tags: Tags::new(),
    };
    tx.put(&call.scope, group.clone());
    group
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::CreateLogGroupRequest,
) -> Answer<()> {
    let name = text(&r.log_group_name, "logGroupName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#".contains(c);
    if !name.chars().all(allowed) {
        return Err(not_of_pattern(name, "logGroupName", "[\\.\\-_/#A-Za-z0-9]+"));
    }
    if name.starts_with("aws/") {
        return Err(ApiError::logs_invalid_parameter(
            "Log groups starting with AWS/ are reserved for AWS.",
        ));
    }
    if tx.find::<LogGroup>(&call.scope, name).is_some() {
        return Err(ApiError::log_group_exists());
    }
    let tags: Tags = r.tags.clone().into_iter().collect();
    check_tags(&tags)?;
    let mut group = make(call, tx, name);
    if let Some(class) = given(&r.log_group_class) {
        class.clone_into(&mut group.class);
    }
    if group.class == DELIVERY {
        group.retention_days = Some(DELIVERY_RETENTION);
    }
    group.kms_key_id = given(&r.kms_key_id).map(str::to_owned);
    group.deletion_protection = r.deletion_protection_enabled == Some(true);
    group.tags = tags;
    tx.put(&call.scope, group);
    Ok(())
}

/// Its streams and filters go with it; what was logged is deleted by the sweep.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::DeleteLogGroupRequest,
) -> Answer<()> {
    let group = named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    if group.deletion_protection {
        let message = "The log group cannot be deleted because deletion protection is enabled.";
        return Err(ApiError::new("ValidationException", message));
    }
    let streams: Vec<_> = tx.of_log_group::<LogStream>(&call.scope, &group.name).cloned().collect();
    for stream in streams {
        tx.remove::<LogStream>(&call.scope, &format!("{}:{}", stream.group, stream.name));
    }
    let filters: Vec<_> =
        tx.of_log_group::<MetricFilter>(&call.scope, &group.name).cloned().collect();
    for filter in filters {
        tx.remove::<MetricFilter>(&call.scope, &format!("{}:{}", filter.group, filter.name));
    }
    tx.remove::<LogGroup>(&call.scope, &group.name);
    Ok(())
}

fn shown(call: &Call, records: &Snapshot, group: &LogGroup) -> Answer<logs::LogGroup> {
    let filters = records.of_log_group::<MetricFilter>(&call.scope, &group.name).count();
    let bytes = call.config.logs.bytes(group.data).map_err(failed)?;
    Ok(logs::LogGroup {
        log_group_name: Some(group.name.clone()),
        creation_time: Some(group.created.0),
        retention_in_days: group.retention_days,
        metric_filter_count: i32::try_from(filters).ok(),
        arn: Some(format!("{}:*", arn(call, &group.name))),
        stored_bytes: i64::try_from(bytes).ok(),
        kms_key_id: group.kms_key_id.clone(),
        log_group_class: Some(group.class.clone()),
        log_group_arn: Some(arn(call, &group.name)),
        deletion_protection_enabled: Some(group.deletion_protection),
        ..Default::default()
    })
}

/// The groups that a listing asks for, by name.
fn listed(
    call: &Call,
    records: &Snapshot,
    prefix: &Option<String>,
    pattern: &Option<String>,
    class: &Option<String>,
) -> Answer<Vec<Arc<LogGroup>>> {
    if given(prefix).is_some() && given(pattern).is_some() {
        return Err(ApiError::logs_invalid_parameter(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    // A pattern is part of a name, whatever the case.
    let pattern = given(pattern).map(str::to_lowercase);
    let is_wanted = |group: &&Arc<LogGroup>| {
        given(prefix).is_none_or(|prefix| group.name.starts_with(prefix))
            && pattern.as_ref().is_none_or(|it| group.name.to_lowercase().contains(it.as_str()))
            && given(class).is_none_or(|class| group.class == class)
    };
    Ok(records.all::<LogGroup>(&call.scope).filter(is_wanted).cloned().collect())
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &logs::DescribeLogGroupsRequest,
) -> Answer<logs::DescribeLogGroupsResponse> {
    let mut groups = listed(
        call,
        records,
        &r.log_group_name_prefix,
        &r.log_group_name_pattern,
        &r.log_group_class,
    )?;
    if !r.log_group_identifiers.is_empty() {
        let mut wanted = Vec::new();
        for identifier in &r.log_group_identifiers {
            wanted.push(identified(call, records, identifier)?.name.clone());
        }
        groups.retain(|group| wanted.contains(&group.name));
    }
    let (groups, next_token) =
        page(groups, Some(r.limit.unwrap_or(PAGE)), &r.next_token, |it| Some(&it.name))
            .map_err(bad_token)?;
    let log_groups =
        groups.iter().map(|group| shown(call, records, group)).collect::<Answer<_>>()?;
    Ok(logs::DescribeLogGroupsResponse { log_groups, next_token })
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &logs::ListLogGroupsRequest,
) -> Answer<logs::ListLogGroupsResponse> {
    // Here a pattern may begin with `^` to mean the beginning of the name.
    let (prefix, pattern) = match given(&r.log_group_name_pattern) {
        Some(pattern) => match pattern.strip_prefix('^') {
            Some(prefix) => (Some(prefix.to_owned()), None),
            None => (None, Some(pattern.to_owned())),
        },
        None => (None, None),
    };
    let groups = listed(call, records, &prefix, &pattern, &r.log_group_class)?;
    let (groups, next_token) =
        page(groups, Some(r.limit.unwrap_or(PAGE)), &r.next_token, |it| Some(&it.name))
            .map_err(bad_token)?;
    let shown = |group: &Arc<LogGroup>| logs::LogGroupSummary {
        log_group_name: Some(group.name.clone()),
        log_group_arn: Some(arn(call, &group.name)),
        log_group_class: Some(group.class.clone()),
    };
    let log_groups = groups.iter().map(shown).collect();
    Ok(logs::ListLogGroupsResponse { log_groups, next_token })
}

fn change(call: &Call, tx: &mut Transaction, name: &str, change: impl FnOnce(&mut LogGroup)) {
    tx.update::<LogGroup>(&call.scope, name, change);
}

pub(crate) fn put_retention(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::PutRetentionPolicyRequest,
) -> Answer<()> {
    let group = named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    let days = r.retention_in_days.unwrap_or_default();
    if !RETENTIONS.contains(&days) {
        let values: Vec<_> = RETENTIONS.iter().map(ToString::to_string).collect();
        return Err(ApiError::logs_invalid_parameter(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy \
             constraint: Member must satisfy enum value set: [{}]",
            values.join(", ")
        )));
    }
    if group.class == DELIVERY {
        return Err(ApiError::logs_invalid_parameter(
            "The retention of log groups of the class DELIVERY cannot be changed.",
        ));
    }
    change(call, tx, &group.name, |it| it.retention_days = Some(days));
    Ok(())
}

pub(crate) fn delete_retention(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::DeleteRetentionPolicyRequest,
) -> Answer<()> {
    let group = named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    if group.class != DELIVERY {
        change(call, tx, &group.name, |it| it.retention_days = None);
    }
    Ok(())
}

pub(crate) fn associate_key(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::AssociateKmsKeyRequest,
) -> Answer<()> {
    let group = of_request(call, tx, &r.log_group_name, &r.resource_identifier)?;
    let key = text(&r.kms_key_id, "kmsKeyId")?;
    change(call, tx, &group.name, |it| it.kms_key_id = Some(key.to_owned()));
    Ok(())
}

pub(crate) fn disassociate_key(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::DisassociateKmsKeyRequest,
) -> Answer<()> {
    let group = of_request(call, tx, &r.log_group_name, &r.resource_identifier)?;
    change(call, tx, &group.name, |it| it.kms_key_id = None);
    Ok(())
}

pub(crate) fn protect(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::PutLogGroupDeletionProtectionRequest,
) -> Answer<()> {
    let group = identified(call, tx, text(&r.log_group_identifier, "logGroupIdentifier")?)?;
    let protected = r.deletion_protection_enabled == Some(true);
    change(call, tx, &group.name, |it| it.deletion_protection = protected);
    Ok(())
}

/// The group whose tags an ARN means.
fn tagged(call: &Call, records: &Snapshot, arn: &Option<String>) -> Answer<Arc<LogGroup>> {
    let arn = text(arn, "resourceArn")?;
    let missing =
        || ApiError::new("ResourceNotFoundException", "The specified resource does not exist.");
    let name = name_in_arn(call, arn).ok_or_else(missing)?;
    named(call, records, &name).map_err(|_| missing())
}

fn add_tags(
    call: &Call,
    tx: &mut Transaction,
    group: &LogGroup,
    more: &BTreeMap<String, String>,
) -> Answer<()> {
    let mut tags = group.tags.clone();
    tags.extend(more.clone());
    check_tags(&tags)?;
    change(call, tx, &group.name, |it| it.tags = tags);
    Ok(())
}

pub(crate) fn tag_resource(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::TagResourceRequest,
) -> Answer<()> {
    let group = tagged(call, tx, &r.resource_arn)?;
    add_tags(call, tx, &group, &r.tags)
}

pub(crate) fn untag_resource(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::UntagResourceRequest,
) -> Answer<()> {
    let group = tagged(call, tx, &r.resource_arn)?;
    change(call, tx, &group.name, |it| it.tags.retain(|key, _| !r.tag_keys.contains(key)));
    Ok(())
}

pub(crate) fn tags_of_resource(
    call: &Call,
    records: &Snapshot,
    r: &logs::ListTagsForResourceRequest,
) -> Answer<logs::ListTagsForResourceResponse> {
    let group = tagged(call, records, &r.resource_arn)?;
    let tags = group.tags.clone().into_iter().collect();
    Ok(logs::ListTagsForResourceResponse { tags })
}

pub(crate) fn tag(call: &Call, tx: &mut Transaction, r: &logs::TagLogGroupRequest) -> Answer<()> {
    let group = named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    add_tags(call, tx, &group, &r.tags)
}

pub(crate) fn untag(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::UntagLogGroupRequest,
) -> Answer<()> {
    let group = named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    change(call, tx, &group.name, |it| it.tags.retain(|key, _| !r.tags.contains(key)));
    Ok(())
}

pub(crate) fn tags(
    call: &Call,
    records: &Snapshot,
    r: &logs::ListTagsLogGroupRequest,
) -> Answer<logs::ListTagsLogGroupResponse> {
    let group = named(call, records, text(&r.log_group_name, "logGroupName")?)?;
    Ok(logs::ListTagsLogGroupResponse { tags: group.tags.clone().into_iter().collect() })
}
