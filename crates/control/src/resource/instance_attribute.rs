//! Attributes of instances, read and changed one at a time (EC2-6 to EC2-9, IMDS-9).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Instance, InstanceState, NetworkInterface, Subnet, Volume};

use crate::{
    call::{Answer, Call, find, given, text},
    catalogue::instance_type,
    filter::{Fields, select},
    page::page,
    resource::{instance, launch, network_interface as eni},
};

fn one(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<std::sync::Arc<Instance>> {
    instance::for_console(call, records, id)
}

fn flag(value: bool) -> Option<ec2::AttributeBooleanValue> {
    Some(ec2::AttributeBooleanValue { value: Some(value) })
}

fn word(value: impl Into<String>) -> Option<ec2::AttributeValue> {
    Some(ec2::AttributeValue { value: Some(value.into()) })
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeInstanceAttributeRequest,
) -> Answer<ec2::InstanceAttribute> {
    let instance = one(call, records, &r.instance_id)?;
    let shown = instance::shown(call, records, &instance);
    let mut answer =
        ec2::InstanceAttribute { instance_id: Some(instance.id.to_string()), ..Default::default() };
    match text(&r.attribute, "Attribute")? {
        "blockDeviceMapping" => answer.block_device_mappings = shown.block_device_mappings,
        "disableApiStop" => answer.disable_api_stop = flag(instance.disable_api_stop),
        "disableApiTermination" => {
            answer.disable_api_termination = flag(instance.disable_api_termination);
        }
        "ebsOptimized" => answer.ebs_optimized = flag(instance.ebs_optimized),
        "enaSupport" => answer.ena_support = flag(true),
        "enclaveOptions" => answer.enclave_options = shown.enclave_options,
        "groupSet" => answer.groups = shown.security_groups,
        "instanceInitiatedShutdownBehavior" => {
            let behavior = &instance.instance_initiated_shutdown_behavior;
            answer.instance_initiated_shutdown_behavior = word(behavior);
        }
        "instanceType" => answer.instance_type = word(&instance.instance_type),
        // Never set: the attribute is there without a value.
        "kernel" => answer.kernel_id = Some(ec2::AttributeValue::default()),
        "ramdisk" => answer.ramdisk_id = Some(ec2::AttributeValue::default()),
        "productCodes" => {}
        "rootDeviceName" => answer.root_device_name = word(&instance.root_device_name),
        "sourceDestCheck" => {
            answer.source_dest_check = shown.source_dest_check.and_then(flag);
        }
        "sriovNetSupport" => answer.sriov_net_support = Some(ec2::AttributeValue::default()),
        "userData" => {
            let value = instance.user_data.as_ref().map(|bytes| STANDARD.encode(bytes));
            answer.user_data = Some(ec2::AttributeValue { value });
        }
        other => return Err(ApiError::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    Ok(answer)
}

/// What a request changes, in the form that names the attribute or in that which is the attribute.
#[derive(Default)]
struct Changes {
    source_dest_check: Option<bool>,
    disable_api_stop: Option<bool>,
    disable_api_termination: Option<bool>,
    ebs_optimized: Option<bool>,
    instance_type: Option<String>,
    shutdown_behavior: Option<String>,
    user_data: Option<Vec<u8>>,
    groups: Vec<String>,
    volumes: Vec<ec2::InstanceBlockDeviceMappingSpecification>,
}

fn changes(r: &ec2::ModifyInstanceAttributeRequest) -> Answer<Changes> {
    let boolean =
        |value: &Option<ec2::AttributeBooleanValue>| value.as_ref().and_then(|it| it.value);
    let string =
        |value: &Option<ec2::AttributeValue>| value.as_ref().and_then(|it| it.value.clone());
    let mut changes = Changes {
        source_dest_check: boolean(&r.source_dest_check),
        disable_api_stop: boolean(&r.disable_api_stop),
        disable_api_termination: boolean(&r.disable_api_termination),
        ebs_optimized: boolean(&r.ebs_optimized),
        instance_type: string(&r.instance_type),
        shutdown_behavior: string(&r.instance_initiated_shutdown_behavior),
        user_data: r.user_data.as_ref().map(|it| it.value.clone().unwrap_or_default()),
        groups: r.groups.clone(),
        volumes: r.block_device_mappings.clone(),
    };
    let Some(name) = given(&r.attribute) else { return Ok(changes) };
    // Block devices come beside the name of their attribute, other values as `Value`.
    if name == "blockDeviceMapping" && !changes.volumes.is_empty() {
        return Ok(changes);
    }
    let value = r.value.clone().ok_or_else(|| ApiError::missing_parameter("Value"))?;
    let truth = || match value.to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(ApiError::invalid_value(&value, "value", "It must be true or false.")),
    };
    match name {
        "sourceDestCheck" => changes.source_dest_check = truth()?,
        "disableApiStop" => changes.disable_api_stop = truth()?,
        "disableApiTermination" => changes.disable_api_termination = truth()?,
        "ebsOptimized" => changes.ebs_optimized = truth()?,
        "instanceType" => changes.instance_type = Some(value),
        "instanceInitiatedShutdownBehavior" => changes.shutdown_behavior = Some(value),
        "userData" => {
            let joined: String = value.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(joined).map_err(|_| {
                ApiError::invalid_parameter_value("Invalid BASE64 encoding of user data.")
            })?;
            changes.user_data = Some(bytes);
        }
        other => {
            return Err(ApiError::unsupported_operation(format!(
                "The attribute {other} cannot be modified."
            )));
        }
    }
    Ok(changes)
}

impl Changes {
    fn names(&self) -> Vec<&'static str> {
        let all = [
            ("sourceDestCheck", self.source_dest_check.is_some()),
            ("disableApiStop", self.disable_api_stop.is_some()),
            ("disableApiTermination", self.disable_api_termination.is_some()),
            ("ebsOptimized", self.ebs_optimized.is_some()),
            ("instanceType", self.instance_type.is_some()),
            ("instanceInitiatedShutdownBehavior", self.shutdown_behavior.is_some()),
            ("userData", self.user_data.is_some()),
            ("groupSet", !self.groups.is_empty()),
            ("blockDeviceMapping", !self.volumes.is_empty()),
        ];
        all.iter().filter(|(_, named)| *named).map(|(name, _)| *name).collect()
    }
}

pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyInstanceAttributeRequest,
) -> Answer<()> {
    let present = one(call, tx, &r.instance_id)?;
    let changes = changes(r)?;
    match changes.names().as_slice() {
        [] => return Err(ApiError::missing_parameter("Attribute")),
        [_] => {}
        several => {
            return Err(ApiError::invalid_parameter_combination(format!(
                "Fields for multiple attribute types specified: {}",
                several.join(", ")
            )));
        }
    }
    let mut changed = (*present).clone();
    // EC2-8
    let only_stopped = |what: &str| match present.state {
        InstanceState::Stopped => Ok(()),
        _ => Err(ApiError::incorrect_instance_state(format!(
            "The instance '{}' is not in the 'stopped' state. Its {what} can be modified only then.",
            present.id
        ))),
    };
    if let Some(value) = changes.disable_api_stop {
        changed.disable_api_stop = value;
    }
    if let Some(value) = changes.disable_api_termination {
        changed.disable_api_termination = value;
    }
    if let Some(value) = changes.ebs_optimized {
        only_stopped("ebsOptimized")?;
        changed.ebs_optimized = value;
    }
    if let Some(behavior) = changes.shutdown_behavior {
        if !matches!(behavior.as_str(), "stop" | "terminate") {
            let reason = "Supported values are stop and terminate.";
            let name = "instanceInitiatedShutdownBehavior";
            return Err(ApiError::invalid_value(behavior, name, reason));
        }
        changed.instance_initiated_shutdown_behavior = behavior;
    }
    if let Some(bytes) = changes.user_data {
        only_stopped("userData")?;
        changed.user_data = launch::user_data(bytes)?;
    }
    if let Some(name) = changes.instance_type {
        only_stopped("instanceType")?;
        change_type(call, tx, &mut changed, &name)?;
    }
    tx.put(&call.scope, changed);
    if let Some(value) = changes.source_dest_check {
        let interfaces = eni::of_instance(tx, &present.id);
        let [only] = interfaces.as_slice() else {
            return Err(ApiError::new(
                "InvalidInstanceID",
                format!(
                    "There are multiple interfaces attached to instance '{}'. Please specify an \
                     interface ID for the operation instead.",
                    present.id
                ),
            ));
        };
        tx.update::<NetworkInterface>(&call.scope, only.id.as_str(), |it| {
            it.source_dest_check = value;
        });
    }
    if !changes.groups.is_empty() {
        let subnet = find::<Subnet>(tx, &call.scope, present.subnet_id.as_str())?;
        let too_many = ApiError::groups_per_instance_exceeded;
        let groups = eni::groups(call, tx, &subnet, &changes.groups, too_many)?;
        if let Some(primary) = eni::of_instance(tx, &present.id).first() {
            tx.update::<NetworkInterface>(&call.scope, primary.id.as_str(), |it| {
                it.groups = groups;
            });
        }
    }
    change_volumes(call, tx, &present, &changes.volumes)
}

fn change_type(call: &Call, records: &Snapshot, instance: &mut Instance, name: &str) -> Answer<()> {
    let kind = launch::known_type(name)?;
    if kind.architecture() != "x86_64" {
        return Err(ApiError::invalid_parameter_value(format!(
            "The instance type {name} is for {}, the image of the instance for x86_64.",
            kind.architecture()
        )));
    }
    let zone = &instance.availability_zone;
    if !kind.is_offered_in(call.region(), zone) {
        let zones: Vec<String> = call.region().zones().collect();
        let offered: Vec<&str> = zones
            .iter()
            .filter(|zone| kind.is_offered_in(call.region(), zone))
            .map(String::as_str)
            .collect();
        return Err(ApiError::unsupported_in_zone(name, zone, &offered));
    }
    let interfaces = eni::of_instance(records, &instance.id);
    if u32::try_from(interfaces.len()).is_ok_and(|count| count > kind.interfaces) {
        return Err(ApiError::attachment_limit_exceeded(name, kind.interfaces));
    }
    for interface in interfaces {
        crate::allocate::check_address_count(interface.private_addresses.len(), kind.addresses)?;
    }
    let former = instance_type(&instance.instance_type);
    if former.and_then(|it| it.default_credits()) != kind.default_credits() {
        instance.cpu_credits = kind.default_credits().map(str::to_owned);
    }
    name.clone_into(&mut instance.instance_type);
    Ok(())
}

/// Of a volume that is attached only its fate can be changed.
fn change_volumes(
    call: &Call,
    tx: &mut Transaction,
    instance: &Instance,
    wanted: &[ec2::InstanceBlockDeviceMappingSpecification],
) -> Answer<()> {
    for wanted in wanted {
        let device = text(&wanted.device_name, "BlockDeviceMapping.DeviceName")?;
        let value = wanted.ebs.as_ref().and_then(|it| it.delete_on_termination);
        let Some(value) = value else {
            return Err(ApiError::missing_parameter("BlockDeviceMapping.Ebs.DeleteOnTermination"));
        };
        let volumes = instance::volumes(tx, instance);
        let volume = volumes
            .iter()
            .find(|it| it.attachment.as_ref().is_some_and(|it| it.device == device))
            .ok_or_else(|| {
                let reason = format!("No volume is attached to {} there.", instance.id);
                ApiError::invalid_value(device, "blockDeviceMapping.deviceName", &reason)
            })?;
        tx.update::<Volume>(&call.scope, volume.id.as_str(), |it| {
            if let Some(attachment) = &mut it.attachment {
                attachment.delete_on_termination = value;
            }
        });
    }
    Ok(())
}

pub(crate) fn modify_metadata_options(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyInstanceMetadataOptionsRequest,
) -> Answer<ec2::ModifyInstanceMetadataOptionsResult> {
    let present = one(call, tx, &r.instance_id)?;
    if matches!(present.state, InstanceState::ShuttingDown | InstanceState::Terminated) {
        return Err(ApiError::incorrect_instance_state(format!(
            "The instance '{}' is not in a state from which its metadata options can be modified.",
            present.id
        )));
    }
    let mut options = present.metadata_options.clone();
    launch::change_metadata_options(
        &mut options,
        &r.http_tokens,
        r.http_put_response_hop_limit,
        &r.http_endpoint,
        &r.http_protocol_ipv6,
        &r.instance_metadata_tags,
    )?;
    launch::check_metadata_tags(&options, &present.tags)?;
    let shown = instance::shown_metadata_options(&options, "pending");
    tx.update::<Instance>(&call.scope, present.id.as_str(), |it| it.metadata_options = options);
    Ok(ec2::ModifyInstanceMetadataOptionsResult {
        instance_id: Some(present.id.to_string()),
        instance_metadata_options: Some(shown),
    })
}

const CREDIT_FIELDS: &Fields<ec2::InstanceCreditSpecification> =
    &[("instance-id", |it| it.instance_id.iter().cloned().collect())];

pub(crate) fn describe_credits(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeInstanceCreditSpecificationsRequest,
) -> Answer<ec2::DescribeInstanceCreditSpecificationsResult> {
    let mut found = match r.instance_ids.is_empty() {
        true => records.all::<Instance>(&call.scope).cloned().collect(),
        false => instance::named(call, records, &r.instance_ids)?,
    };
    // Unasked, only instances of burstable types in the mode that is not the rule are listed.
    found.retain(|it| it.cpu_credits.is_some() || !r.instance_ids.is_empty());
    let found = found.iter().map(|it| ec2::InstanceCreditSpecification {
        instance_id: Some(it.id.to_string()),
        cpu_credits: it.cpu_credits.clone(),
    });
    let found = select(found.collect(), &r.filters, CREDIT_FIELDS, None)?;
    let (instance_credit_specifications, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.instance_id.as_deref())?;
    Ok(ec2::DescribeInstanceCreditSpecificationsResult {
        instance_credit_specifications,
        next_token,
    })
}

/// Each instance has an outcome of its own.
pub(crate) fn modify_credits(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyInstanceCreditSpecificationRequest,
) -> Answer<ec2::ModifyInstanceCreditSpecificationResult> {
    let mut answer = ec2::ModifyInstanceCreditSpecificationResult::default();
    for wanted in &r.instance_credit_specifications {
        let id = text(&wanted.instance_id, "InstanceCreditSpecification.InstanceId")?;
        let credits = instance::check_credits(text(
            &wanted.cpu_credits,
            "InstanceCreditSpecification.CpuCredits",
        )?)?;
        let done = match find::<Instance>(tx, &call.scope, id) {
            Ok(it) if it.cpu_credits.is_none() => Err(ApiError::new(
                "InstanceCreditSpecification.NotSupported",
                format!("The instance type {} has no CPU credits.", it.instance_type),
            )),
            Ok(it) if it.state == InstanceState::Terminated => Err(ApiError::new(
                "IncorrectInstanceState",
                format!("The instance '{id}' is terminated."),
            )),
            Ok(it) => Ok(it),
            Err(error) if error.code == ApiError::not_found(Resource::Instance, id).code => {
                Err(error)
            }
            Err(error) => return Err(error),
        };
        match done {
            Ok(it) => {
                tx.update::<Instance>(&call.scope, it.id.as_str(), |it| {
                    it.cpu_credits = Some(credits);
                });
                answer.successful_instance_credit_specifications.push(
                    ec2::SuccessfulInstanceCreditSpecificationItem {
                        instance_id: Some(id.to_owned()),
                    },
                );
            }
            Err(error) => answer.unsuccessful_instance_credit_specifications.push(
                ec2::UnsuccessfulInstanceCreditSpecificationItem {
                    instance_id: Some(id.to_owned()),
                    error: Some(ec2::UnsuccessfulInstanceCreditSpecificationItemError {
                        code: Some(error.code.to_owned()),
                        message: Some(error.message),
                    }),
                },
            ),
        }
    }
    Ok(answer)
}

/// No image boots by UEFI with variables of its own. Terraform asks with the id of an image,
/// which is no instance.
pub(crate) fn uefi_data(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetInstanceUefiDataRequest,
) -> Answer<ec2::GetInstanceUefiDataResult> {
    let id = text(&r.instance_id, "InstanceId")?;
    if id.starts_with("ami-") {
        return Err(ApiError::not_found(Resource::Instance, id));
    }
    one(call, records, &r.instance_id)?;
    Err(ApiError::new(
        "UnsupportedOperation",
        format!("The instance '{id}' does not boot by UEFI."),
    ))
}
