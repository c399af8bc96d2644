//! RunInstances: everything is checked and made in one transaction, or nothing is (EC2-19 to
//! EC2-27). The reconciler boots what was made.

mod disk;
mod interface;
mod options;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, Operation, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, ReservationId, Tags,
    record::{Instance, InstanceState, KeyPair, MetadataOptions, Subnet},
};

use crate::{
    accept,
    call::{Answer, Call, given, text},
    catalogue::{Image, InstanceType, image_id, instance_type, instance_types_in},
    operation,
    resource::{
        iam_instance_profile, idempotency, image, instance, instance_option, key_pair,
        launch_template, network_interface as eni, placement_group, public_ip,
    },
    tags,
};

pub(crate) use options::{change_metadata_options, check_metadata_tags, user_data};

/// How many instances one call may make: a bound, not one of AWS's quotas.
const MAX_COUNT: i32 = 100;
/// The kinds that a launch may tag.
const TAGGED: [&str; 3] = ["instance", "volume", "network-interface"];

pub(crate) fn run(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RunInstancesRequest,
) -> Answer<ec2::Reservation> {
    let make = |tx: &mut Transaction| {
        let made = match launch_template::launch_request(call, tx, r)? {
            Some((request, tags)) => {
                let operation = ec2::Operation::RunInstances;
                let parameters = operation::parameters(Operation::Ec2(operation));
                accept::only(&request, parameters)?;
                launch(call, tx, &request, &tags)?
            }
            None => launch(call, tx, r, &[])?,
        };
        let ids = made.iter().map(ToString::to_string).collect::<Vec<_>>();
        let answer = answer(call, tx, &ids).ok_or_else(|| ApiError::internal_error("no launch"))?;
        Ok((ids, answer))
    };
    let again = |tx: &mut Transaction, made: &[String]| Ok(answer(call, tx, made));
    idempotency::once(call, tx, "RunInstances", &r.client_token, r, make, again)
}

fn answer(call: &Call, records: &Snapshot, ids: &[String]) -> Option<ec2::Reservation> {
    let found: Option<Vec<_>> =
        ids.iter().map(|id| records.find::<Instance>(&call.scope, id)).collect();
    let found = found?;
    let first = found.first()?;
    Some(ec2::Reservation {
        reservation_id: Some(first.reservation_id.to_string()),
        owner_id: Some(call.account().to_string()),
        instances: found.iter().map(|it| instance::shown(call, records, it)).collect(),
        ..Default::default()
    })
}

fn launch(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RunInstancesRequest,
    template_tags: &[(String, String)],
) -> Answer<Vec<InstanceId>> {
    let (min, max) = counts(r)?;
    let image = image::for_launch(call, tx, text(&r.image_id, "ImageId")?)?;
    // AWS's own default, m1.small, is long gone; T2 is what the lab uses.
    let kind = kind(given(&r.instance_type).unwrap_or("t2.micro"), image)?;
    let key = match given(&r.key_name) {
        Some(name) => Some(key_pair::named(call, tx, name)?),
        None => None,
    };
    let profile = match &r.iam_instance_profile {
        Some(wanted) => iam_instance_profile::wanted(call, tx, wanted)?,
        None => None,
    };
    let interfaces = interface::chosen(call, tx, r, kind)?;
    let subnet = interface::first_subnet(call, tx, &interfaces)?;
    check_zone(call, r, kind, &subnet)?;
    let disks = disk::chosen(call, tx, image, &r.block_device_mappings)?;
    let metadata_options = options::metadata_options(call, tx, image, r.metadata_options.as_ref())?;
    let mut instance_tags = tags::of_type(&r.tag_specifications, "instance", &TAGGED)?;
    options::check_metadata_tags(&metadata_options, &instance_tags)?;
    instance_tags.extend(template_tags.iter().cloned());
    let volume_tags = tags::of_type(&r.tag_specifications, "volume", &TAGGED)?;
    let interface_tags = tags::of_type(&r.tag_specifications, "network-interface", &TAGGED)?;
    let count = interface::affordable(tx, &interfaces, min, max)?;
    let template = template(call, tx, r, (image, kind), key.as_deref(), &subnet, metadata_options)?;
    let mut made = Vec::new();
    for index in 0..count {
        let instance = Instance {
            id: InstanceId::new(call.random()),
            launch_index: index,
            iam_instance_profile: profile
                .as_ref()
                .map(|profile| iam_instance_profile::association(call, profile)),
            tags: instance_tags.clone(),
            ..template.clone()
        };
        let id = instance.id.clone();
        tx.put(&call.scope, instance);
        for (device_index, interface) in &interfaces {
            interface::plug(call, tx, &id, *device_index, interface, kind, &interface_tags)?;
        }
        if let Some(first) = eni::of_instance(tx, &id).first() {
            public_ip::assign(call, tx, first)?;
        }
        for disk in &disks {
            let zone = &subnet.availability_zone;
            disk::put(call, tx, &id, zone, disk.clone(), volume_tags.clone());
        }
        made.push(id);
    }
    Ok(made)
}

fn counts(r: &ec2::RunInstancesRequest) -> Answer<(u32, u32)> {
    let (Some(min), Some(max)) = (r.min_count, r.max_count) else {
        let name = if r.min_count.is_none() { "MinCount" } else { "MaxCount" };
        return Err(ApiError::missing_parameter(name));
    };
    if min < 1 {
        return Err(ApiError::invalid_value(min, "minCount", "It must be at least 1."));
    }
    if max < min {
        return Err(ApiError::invalid_parameter_value(format!(
            "Value ({max}) for parameter maxCount is invalid. It may not be less than minCount \
             ({min})."
        )));
    }
    if min > MAX_COUNT {
        return Err(ApiError::limit_exceeded(
            "InstanceLimitExceeded",
            format!("You have requested {min} instances; one call may launch {MAX_COUNT}."),
        ));
    }
    Ok((min.unsigned_abs(), max.min(MAX_COUNT).unsigned_abs()))
}

pub(crate) fn known_type(name: &str) -> Answer<&'static InstanceType> {
    instance_type(name).ok_or_else(|| {
        ApiError::invalid_parameter_value(format!("Invalid value '{name}' for InstanceType."))
    })
}

fn kind(name: &str, image: &Image) -> Answer<&'static InstanceType> {
    let kind = known_type(name)?;
    // Every image of the catalogue is for x86_64.
    if kind.architecture() != "x86_64" {
        return Err(ApiError::invalid_parameter_value(format!(
            "The architecture '{}' of the specified instance type does not match the architecture \
             'x86_64' of the specified AMI ({}). Specify an instance type and an AMI that have \
             matching architectures, and try again.",
            kind.architecture(),
            image.name
        )));
    }
    Ok(kind)
}

fn check_zone(
    call: &Call,
    r: &ec2::RunInstancesRequest,
    kind: &InstanceType,
    subnet: &Subnet,
) -> Answer<()> {
    let zone = &subnet.availability_zone;
    let wanted = r.placement.as_ref().and_then(|it| given(&it.availability_zone));
    if let Some(wanted) = wanted.filter(|wanted| wanted != zone) {
        return Err(ApiError::invalid_parameter_value(format!(
            "The availability zone '{wanted}' does not match that of the subnet '{}', '{zone}'.",
            subnet.id
        )));
    }
    if kind.is_offered_in(call.region(), zone) {
        return Ok(());
    }
    let zones: Vec<String> = call.region().zones().collect();
    let offered: Vec<&str> = zones
        .iter()
        .filter(|zone| instance_types_in(call.region(), zone).any(|it| it == kind))
        .map(String::as_str)
        .collect();
    Err(ApiError::unsupported_in_zone(kind.name, zone, &offered))
}

/// The instance that all of a launch are copies of.
fn template(
    call: &Call,
    records: &Snapshot,
    r: &ec2::RunInstancesRequest,
    (image, kind): (&Image, &InstanceType),
    key: Option<&KeyPair>,
    subnet: &Subnet,
    metadata_options: MetadataOptions,
) -> Answer<Instance> {
    let user_data = match given(&r.user_data) {
        Some(text) => {
            // Clients break long base64 into lines.
            let joined: String = text.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(joined).map_err(|_| {
                ApiError::invalid_parameter_value("Invalid BASE64 encoding of user data.")
            })?;
            options::user_data(bytes)?
        }
        None => None,
    };
    let tenancy = r.placement.as_ref().and_then(|it| given(&it.tenancy)).unwrap_or("default");
    instance_option::check_tenancy(tenancy)?;
    let placed = match &r.placement {
        None => None,
        Some(it) => {
            let (name, id) = (&it.group_name, &it.group_id);
            placement_group::placed(call, records, name, id, it.partition_number)?
        }
    };
    let behavior = given(&r.instance_initiated_shutdown_behavior).unwrap_or("stop");
    if !matches!(behavior, "stop" | "terminate") {
        let reason = "Supported values are stop and terminate.";
        let name = "instanceInitiatedShutdownBehavior";
        return Err(ApiError::invalid_value(behavior, name, reason));
    }
    let credits = match r.credit_specification.as_ref().and_then(|it| given(&it.cpu_credits)) {
        Some(_) if !kind.is_burstable() => {
            return Err(ApiError::invalid_parameter_combination(format!(
                "The cpuCredits parameter is not supported for {}.",
                kind.name
            )));
        }
        Some(credits) => Some(instance::check_credits(credits)?),
        None => kind.default_credits().map(str::to_owned),
    };
    let names = r.private_dns_name_options.as_ref();
    let hostname_type = names.and_then(|it| given(&it.hostname_type));
    if subnet.cidr_block.is_none() && hostname_type == Some("ip-name") {
        return Err(ApiError::invalid_parameter_combination(format!(
            "The host name type ip-name cannot be used in the subnet '{}', which has IPv6 only.",
            subnet.id
        )));
    }
    Ok(Instance {
        id: InstanceId::new(0),
        reservation_id: ReservationId::new(call.random()),
        launch_index: 0,
        image_id: image_id(call.region(), image),
        instance_type: kind.name.to_owned(),
        key_name: key.map(|key| key.name.clone()),
        public_key: key.map(|key| key.public_key.clone()),
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        state: InstanceState::Pending,
        state_reason: None,
        state_transition_reason: String::new(),
        launch_time: call.now,
        starts: 1,
        reboots: 0,
        reboots_done: 0,
        force_stop: false,
        state_changed: call.now,
        status_ok: false,
        user_data,
        metadata_options,
        iam_instance_profile: None,
        tenancy: tenancy.to_owned(),
        ebs_optimized: r.ebs_optimized == Some(true),
        monitoring: r.monitoring.as_ref().is_some_and(|it| it.enabled == Some(true)),
        disable_api_termination: r.disable_api_termination == Some(true),
        disable_api_stop: r.disable_api_stop == Some(true),
        instance_initiated_shutdown_behavior: behavior.to_owned(),
        cpu_credits: credits,
        hibernation: r.hibernation_options.as_ref().is_some_and(|it| it.configured == Some(true)),
        connect_keys: Vec::new(),
        auto_recovery_disabled: r
            .maintenance_options
            .as_ref()
            .is_some_and(|it| given(&it.auto_recovery) == Some("disabled")),
        reboot_migration_disabled: false,
        placed,
        root_device_name: image.root_device.to_owned(),
        private_dns_hostname_type: hostname_type
            .unwrap_or(&subnet.private_dns_hostname_type)
            .to_owned(),
        resource_name_dns_a_record: names
            .and_then(|it| it.enable_resource_name_dns_a_record)
            .unwrap_or(subnet.resource_name_dns_a_record),
        resource_name_dns_aaaa_record: names
            .and_then(|it| it.enable_resource_name_dns_aaaa_record)
            .unwrap_or(subnet.resource_name_dns_aaaa_record),
        client_token: given(&r.client_token).map(str::to_owned),
        host: Some(call.config.host.clone()),
        tags: Tags::new(),
    })
}
