//! RunInstances: everything is checked and made in one transaction, or nothing is (EC2-19 to
//! EC2-27). The reconciler boots what was made.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, NetworkInterfaceId, ReservationId, SecurityGroupId, SnapshotId, Tags, VolumeId,
    record::{
        Instance, InstanceState, KeyPair, MetadataOptions, NetworkInterface, Subnet, Volume,
        VolumeAttachment, Vpc,
    },
};

use crate::{
    allocate,
    call::{Answer, Call, find, given, text},
    catalogue::{Image, InstanceType, ROOT_GIB, image_id, instance_type, instance_types_in},
    resource::{
        idempotency, image, instance, key_pair,
        network_interface::{self as eni, WantedAddresses},
        public_ip, security_group,
    },
    tags,
};

/// How many instances one call may make: a bound, not one of AWS's quotas.
const MAX_COUNT: i32 = 100;
/// Bytes of user data (EC2-10).
const USER_DATA: usize = 16 * 1024;
/// The kinds that a launch may tag.
const TAGGED: [&str; 3] = ["instance", "volume", "network-interface"];

/// How an instance gets one interface.
enum Interface<'a> {
    Existing { id: NetworkInterfaceId, delete_on_termination: bool },
    New(Box<NewInterface<'a>>),
}

struct NewInterface<'a> {
    subnet: Arc<Subnet>,
    groups: Vec<SecurityGroupId>,
    primary: Option<&'a str>,
    list: &'a [ec2::PrivateIpAddressSpecification],
    secondary_count: Option<i32>,
    description: &'a str,
    associate_public_ip: bool,
    delete_on_termination: bool,
}

/// A volume that an instance gets.
#[derive(Clone)]
struct Disk {
    device: String,
    size: u32,
    volume_type: String,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: bool,
    snapshot: Option<SnapshotId>,
    delete_on_termination: bool,
}

pub(crate) fn run(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RunInstancesRequest,
) -> Answer<ec2::Reservation> {
    let make = |tx: &mut Transaction| {
        let made = launch(call, tx, r)?;
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
) -> Answer<Vec<InstanceId>> {
    let (min, max) = counts(r)?;
    let image = image::find(call, text(&r.image_id, "ImageId")?)?;
    // AWS's own default, m1.small, is long gone; T2 is what the lab uses.
    let kind = kind(given(&r.instance_type).unwrap_or("t2.micro"), image)?;
    let key = match given(&r.key_name) {
        Some(name) => Some(key_pair::named(call, tx, name)?),
        None => None,
    };
    check_profile(r)?;
    let interfaces = interfaces(call, tx, r, kind)?;
    let subnet = first_subnet(call, tx, &interfaces)?;
    check_zone(call, r, kind, &subnet)?;
    let disks = disks(call, image, &r.block_device_mappings)?;
    let metadata_options = metadata_options(image, r.metadata_options.as_ref())?;
    let instance_tags = tags::of_type(&r.tag_specifications, "instance", &TAGGED)?;
    check_metadata_tags(&metadata_options, &instance_tags)?;
    let volume_tags = tags::of_type(&r.tag_specifications, "volume", &TAGGED)?;
    let interface_tags = tags::of_type(&r.tag_specifications, "network-interface", &TAGGED)?;
    let count = affordable(tx, &interfaces, min, max)?;
    let template = template(call, r, image, kind, key.as_deref(), &subnet, metadata_options)?;
    let mut made = Vec::new();
    for index in 0..count {
        let instance = Instance {
            id: InstanceId::new(call.random()),
            launch_index: index,
            tags: instance_tags.clone(),
            ..template.clone()
        };
        let id = instance.id.clone();
        tx.put(&call.scope, instance);
        for (device_index, interface) in &interfaces {
            plug(call, tx, &id, *device_index, interface, kind, &interface_tags)?;
        }
        if let Some(first) = eni::of_instance(tx, &id).first() {
            public_ip::assign(call, tx, first)?;
        }
        for disk in &disks {
            let zone = &subnet.availability_zone;
            put_volume(call, tx, &id, zone, disk.clone(), volume_tags.clone());
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

/// There are no instance profiles yet, so none is found (EC2-17).
fn check_profile(r: &ec2::RunInstancesRequest) -> Answer<()> {
    let Some(profile) = &r.iam_instance_profile else { return Ok(()) };
    let (value, parameter, what) = match (given(&profile.name), given(&profile.arn)) {
        (Some(name), _) => (name, "iamInstanceProfile.name", "name"),
        (None, Some(arn)) => (arn, "iamInstanceProfile.arn", "ARN"),
        (None, None) => return Ok(()),
    };
    let reason = format!("Invalid IAM Instance Profile {what}");
    Err(ApiError::invalid_value(value, parameter, &reason))
}

/// The subnet that a launch uses which names none: a default subnet (EC2-21).
fn default_subnet(
    call: &Call,
    records: &Snapshot,
    r: &ec2::RunInstancesRequest,
    kind: &InstanceType,
) -> Answer<Arc<Subnet>> {
    let wanted = r.placement.as_ref().and_then(|it| given(&it.availability_zone));
    if let Some(zone) = wanted
        && !call.region().zones().any(|it| it == zone)
    {
        return Err(ApiError::invalid_value(zone, "availabilityZone", "Unknown zone."));
    }
    let vpc = records.all::<Vpc>(&call.scope).find(|vpc| vpc.is_default);
    let vpc = vpc.ok_or_else(ApiError::no_default_vpc)?;
    let mut subnets: Vec<_> = records
        .referrers::<Subnet>(vpc.id.as_str())
        .filter(|it| it.default_for_az && wanted.is_none_or(|zone| it.availability_zone == zone))
        .cloned()
        .collect();
    subnets.sort_by(|a, b| a.availability_zone.cmp(&b.availability_zone));
    let offers =
        |subnet: &&Arc<Subnet>| kind.is_offered_in(call.region(), &subnet.availability_zone);
    let subnet = subnets.iter().find(offers).or(subnets.first()).cloned();
    subnet.ok_or_else(|| {
        ApiError::new(
            "MissingInput",
            match wanted {
                Some(zone) => format!("No default subnet for availability zone: '{zone}'."),
                None => "No subnets found for the default VPC. Please specify a subnet.".to_owned(),
            },
        )
    })
}

/// The groups that a launch names, by id or, in the default VPC, by name (EC2-20).
fn launch_groups(
    call: &Call,
    records: &Snapshot,
    subnet: &Subnet,
    ids: &[String],
    names: &[String],
) -> Answer<Vec<SecurityGroupId>> {
    let mut ids = ids.to_vec();
    for name in names {
        let group = security_group::named(records, &subnet.vpc_id, name);
        let resource = gureum_api::Resource::SecurityGroup;
        let group = group.ok_or_else(|| ApiError::not_found(resource, name))?;
        ids.push(group.id.to_string());
    }
    eni::groups(call, records, subnet, &ids, ApiError::groups_per_instance_exceeded)
}

fn interfaces<'a>(
    call: &Call,
    records: &Snapshot,
    r: &'a ec2::RunInstancesRequest,
    kind: &InstanceType,
) -> Answer<Vec<(u32, Interface<'a>)>> {
    if !r.network_interfaces.is_empty() {
        return named_interfaces(call, records, r, kind);
    }
    let subnet = match given(&r.subnet_id) {
        Some(_) if !r.security_groups.is_empty() => {
            return Err(ApiError::group_name_with_subnet());
        }
        Some(id) => find::<Subnet>(records, &call.scope, id)?,
        None => default_subnet(call, records, r, kind)?,
    };
    let groups = launch_groups(call, records, &subnet, &r.security_group_ids, &r.security_groups)?;
    let associate_public_ip = subnet.map_public_ip_on_launch;
    let new = NewInterface {
        subnet,
        groups,
        primary: given(&r.private_ip_address),
        list: &[],
        secondary_count: None,
        description: "",
        associate_public_ip,
        delete_on_termination: true,
    };
    Ok(vec![(0, Interface::New(Box::new(new)))])
}

fn named_interfaces<'a>(
    call: &Call,
    records: &Snapshot,
    r: &'a ec2::RunInstancesRequest,
    kind: &InstanceType,
) -> Answer<Vec<(u32, Interface<'a>)>> {
    if given(&r.subnet_id).is_some() {
        return Err(ApiError::interfaces_and_instance_level("subnet ID"));
    }
    if !r.security_group_ids.is_empty() || !r.security_groups.is_empty() {
        return Err(ApiError::interfaces_and_instance_level("security groups"));
    }
    if given(&r.private_ip_address).is_some() {
        return Err(ApiError::interfaces_and_instance_level("private IP address"));
    }
    let several = r.network_interfaces.len() > 1;
    let mut interfaces = Vec::new();
    for wanted in &r.network_interfaces {
        let index = wanted.device_index.ok_or_else(|| {
            ApiError::invalid_parameter_value("Each network interface requires a device index.")
        })?;
        let device_index = u32::try_from(index)
            .map_err(|_| ApiError::invalid_value(index, "deviceIndex", "It cannot be negative."))?;
        if interfaces.iter().any(|(known, _)| *known == device_index) {
            return Err(ApiError::invalid_parameter_value(
                "Each network interface requires a unique device index.",
            ));
        }
        if wanted.associate_public_ip_address.is_some() && several {
            return Err(ApiError::public_address_for_several());
        }
        if wanted.network_card_index.unwrap_or(0) != 0 {
            let card = wanted.network_card_index.unwrap_or(0);
            let reason = "The instance has one network card, 0.";
            return Err(ApiError::invalid_value(card, "networkCardIndex", reason));
        }
        let interface = match given(&wanted.network_interface_id) {
            Some(id) => existing_interface(call, records, r, wanted, id)?,
            None => Interface::New(Box::new(new_interface(
                call,
                records,
                r,
                wanted,
                kind,
                device_index,
            )?)),
        };
        interfaces.push((device_index, interface));
    }
    interfaces.sort_by_key(|(index, _)| *index);
    if interfaces.first().is_none_or(|(index, _)| *index != 0) {
        return Err(ApiError::invalid_parameter_combination(
            "When specifying network interfaces, you must include a device at index 0.",
        ));
    }
    if u32::try_from(interfaces.len()).is_ok_and(|count| count > kind.interfaces) {
        return Err(ApiError::attachment_limit_exceeded(kind.name, kind.interfaces));
    }
    Ok(interfaces)
}

fn existing_interface<'a>(
    call: &Call,
    records: &Snapshot,
    r: &ec2::RunInstancesRequest,
    wanted: &ec2::InstanceNetworkInterfaceSpecification,
    id: &str,
) -> Answer<Interface<'a>> {
    let interface = find::<NetworkInterface>(records, &call.scope, id)?;
    let others = given(&wanted.subnet_id).is_some()
        || !wanted.groups.is_empty()
        || given(&wanted.private_ip_address).is_some()
        || !wanted.private_ip_addresses.is_empty()
        || given(&wanted.description).is_some()
        || wanted.associate_public_ip_address == Some(true);
    if others {
        return Err(ApiError::invalid_parameter_combination(
            "A network interface may not specify both a network interface ID and a subnet, \
             security groups, private addresses, a description or a public address",
        ));
    }
    if r.max_count.is_some_and(|count| count > 1) {
        return Err(ApiError::invalid_parameter_combination(
            "An existing network interface can be given to one instance only.",
        ));
    }
    if interface.attachment.is_some() || interface.requester_managed {
        return Err(ApiError::new(
            "InvalidNetworkInterface.InUse",
            format!("Interface: [{id}] in use."),
        ));
    }
    Ok(Interface::Existing {
        id: interface.id.clone(),
        delete_on_termination: wanted.delete_on_termination.unwrap_or(false),
    })
}

fn new_interface<'a>(
    call: &Call,
    records: &Snapshot,
    r: &ec2::RunInstancesRequest,
    wanted: &'a ec2::InstanceNetworkInterfaceSpecification,
    kind: &InstanceType,
    device_index: u32,
) -> Answer<NewInterface<'a>> {
    let subnet = match given(&wanted.subnet_id) {
        Some(id) => find::<Subnet>(records, &call.scope, id)?,
        None => default_subnet(call, records, r, kind)?,
    };
    let interface_type = given(&wanted.interface_type).unwrap_or("interface");
    if interface_type != "interface" {
        return Err(ApiError::unsupported_operation(format!(
            "Network interfaces of the type {interface_type} are not supported."
        )));
    }
    let groups = launch_groups(call, records, &subnet, &wanted.groups, &[])?;
    // Only the first interface can have an address of its own accord (PUB-1).
    let public = wanted.associate_public_ip_address.unwrap_or(subnet.map_public_ip_on_launch);
    Ok(NewInterface {
        groups,
        primary: given(&wanted.private_ip_address),
        list: &wanted.private_ip_addresses,
        secondary_count: wanted.secondary_private_ip_address_count,
        description: given(&wanted.description).unwrap_or_default(),
        associate_public_ip: public && device_index == 0,
        delete_on_termination: wanted.delete_on_termination.unwrap_or(true),
        subnet,
    })
}

/// The subnet of the first interface, whose zone all others must be in.
fn first_subnet(
    call: &Call,
    records: &Snapshot,
    interfaces: &[(u32, Interface<'_>)],
) -> Answer<Arc<Subnet>> {
    let mut first: Option<Arc<Subnet>> = None;
    for (_, interface) in interfaces {
        let subnet = match interface {
            Interface::New(new) => new.subnet.clone(),
            Interface::Existing { id, .. } => {
                let interface = find::<NetworkInterface>(records, &call.scope, id.as_str())?;
                find::<Subnet>(records, &call.scope, interface.subnet_id.as_str())?
            }
        };
        match &first {
            None => first = Some(subnet),
            Some(it)
                if it.availability_zone != subnet.availability_zone
                    || it.vpc_id != subnet.vpc_id =>
            {
                return Err(ApiError::invalid_parameter_combination(
                    "All network interfaces of an instance must be in the same availability zone \
                     and VPC.",
                ));
            }
            Some(_) => {}
        }
    }
    first.ok_or_else(|| ApiError::internal_error("a launch without interfaces"))
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

/// The volumes: the image's root, changed as the request says, and those that it adds.
fn disks(call: &Call, image: &Image, mappings: &[ec2::BlockDeviceMapping]) -> Answer<Vec<Disk>> {
    let snapshot = image::snapshot_id(call.region(), image);
    let mut disks = vec![Disk {
        device: image.root_device.to_owned(),
        size: ROOT_GIB,
        volume_type: image.volume_type.to_owned(),
        iops: None,
        throughput: None,
        encrypted: false,
        snapshot: Some(snapshot.clone()),
        delete_on_termination: true,
    }];
    let wrong = |message: String| ApiError::new("InvalidBlockDeviceMapping", message);
    for (number, mapping) in mappings.iter().enumerate() {
        let device = text(&mapping.device_name, "BlockDeviceMapping.DeviceName")?;
        if mappings.iter().take(number).any(|it| it.device_name == mapping.device_name) {
            return Err(wrong(format!("The device '{device}' is used in more than one mapping.")));
        }
        let Some(ebs) = &mapping.ebs else {
            return Err(wrong(format!("The mapping of the device '{device}' names no volume.")));
        };
        let is_root = device == image.root_device;
        if let Some(id) = given(&ebs.snapshot_id)
            && !(is_root && id == snapshot.as_str())
        {
            let resource = gureum_api::Resource::Snapshot;
            return Err(match id.parse::<SnapshotId>() {
                Ok(id) => ApiError::not_found(resource, id),
                Err(error) => ApiError::malformed_id(resource, &error),
            });
        }
        let wanted = ebs.volume_size.map(|size| {
            u32::try_from(size).ok().filter(|size| (1..=16_384).contains(size)).ok_or_else(|| {
                wrong(format!("Volume of size {size}GB is not between 1GB and 16384GB"))
            })
        });
        let size = match (wanted.transpose()?, is_root) {
            (Some(size), true) if size < ROOT_GIB => {
                return Err(wrong(format!(
                    "Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size \
                     >= {ROOT_GIB}GB"
                )));
            }
            (Some(size), _) => size,
            (None, true) => ROOT_GIB,
            (None, false) => {
                return Err(ApiError::missing_parameter("BlockDeviceMapping.Ebs.VolumeSize"));
            }
        };
        let volume_type = match given(&ebs.volume_type) {
            Some(name) => name.to_owned(),
            None if is_root => image.volume_type.to_owned(),
            None => "gp2".to_owned(),
        };
        let number = |value: Option<i32>, name: &str| {
            let value = value.map(|value| {
                u32::try_from(value)
                    .map_err(|_| ApiError::invalid_value(value, name, "It cannot be negative."))
            });
            value.transpose()
        };
        let disk = Disk {
            device: device.to_owned(),
            size,
            iops: number(ebs.iops.filter(|it| *it != 0), "iops")?,
            throughput: number(ebs.throughput.filter(|it| *it != 0), "throughput")?,
            encrypted: ebs.encrypted == Some(true),
            snapshot: is_root.then(|| snapshot.clone()),
            delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
            volume_type,
        };
        check_performance(&disk)?;
        match is_root {
            true => disks[0] = disk,
            false => disks.push(disk),
        }
    }
    Ok(disks)
}

fn check_performance(disk: &Disk) -> Answer<()> {
    let kind = disk.volume_type.as_str();
    let has_iops = matches!(kind, "gp3" | "io1" | "io2");
    if disk.iops.is_some() && !has_iops {
        return Err(ApiError::invalid_parameter_combination(format!(
            "The parameter iops is not supported for {kind} volumes."
        )));
    }
    if disk.iops.is_none() && matches!(kind, "io1" | "io2") {
        return Err(ApiError::missing_parameter("iops"));
    }
    if disk.throughput.is_some() && kind != "gp3" {
        return Err(ApiError::invalid_parameter_combination(format!(
            "The parameter throughput is not supported for {kind} volumes."
        )));
    }
    Ok(())
}

/// IMDS-8: what the request says, else what the image wants.
pub(crate) fn metadata_options(
    image: &Image,
    wanted: Option<&ec2::InstanceMetadataOptionsRequest>,
) -> Answer<MetadataOptions> {
    let mut options = MetadataOptions {
        tokens_required: image.imds_v2,
        hop_limit: if image.imds_v2 { 2 } else { 1 },
        enabled: true,
        ipv6: false,
        tags: false,
    };
    if let Some(it) = wanted {
        change_metadata_options(
            &mut options,
            &it.http_tokens,
            it.http_put_response_hop_limit,
            &it.http_endpoint,
            &it.http_protocol_ipv6,
            &it.instance_metadata_tags,
        )?;
    }
    Ok(options)
}

/// Changes options of the metadata service by what a request says of them.
pub(crate) fn change_metadata_options(
    options: &mut MetadataOptions,
    tokens: &Option<String>,
    hop_limit: Option<i32>,
    endpoint: &Option<String>,
    ipv6: &Option<String>,
    tags: &Option<String>,
) -> Answer<()> {
    let choice =
        |value: &Option<String>, name: &str, off: &str, on: &str, field: &mut bool| match given(
            value,
        ) {
            None => Ok(()),
            Some(value) if value == off || value == on => {
                *field = value == on;
                Ok(())
            }
            Some(value) => {
                let reason = format!("Supported values are {off} and {on}.");
                Err(ApiError::invalid_value(value, name, &reason))
            }
        };
    choice(tokens, "httpTokens", "optional", "required", &mut options.tokens_required)?;
    choice(endpoint, "httpEndpoint", "disabled", "enabled", &mut options.enabled)?;
    choice(ipv6, "httpProtocolIpv6", "disabled", "enabled", &mut options.ipv6)?;
    choice(tags, "instanceMetadataTags", "disabled", "enabled", &mut options.tags)?;
    if let Some(limit) = hop_limit {
        options.hop_limit = match u8::try_from(limit) {
            Ok(limit) if (1..=64).contains(&limit) => limit,
            _ => {
                let reason = "It must be between 1 and 64.";
                return Err(ApiError::invalid_value(limit, "httpPutResponseHopLimit", reason));
            }
        };
    }
    Ok(())
}

/// Keys that would be no names of items of the metadata service (IMDS-29).
pub(crate) fn check_metadata_tags(options: &MetadataOptions, tags: &Tags) -> Answer<()> {
    let bad =
        |key: &&String| key.contains([' ', '/']) || matches!(key.as_str(), "." | ".." | "_index");
    match tags.keys().find(bad) {
        Some(key) if options.tags => Err(ApiError::invalid_parameter_value(format!(
            "'{key}' is not a valid tag key. Tag keys must match pattern \
             ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a reserved name ('.', '..', \
             '_index')"
        ))),
        _ => Ok(()),
    }
}

/// User data as the metadata service shows them (EC2-10).
pub(crate) fn user_data(bytes: Vec<u8>) -> Answer<Option<Vec<u8>>> {
    match bytes.len() {
        0 => Ok(None),
        length if length > USER_DATA => {
            Err(ApiError::invalid_parameter_value("User data is limited to 16384 bytes"))
        }
        _ => Ok(Some(bytes)),
    }
}

/// How many instances there are addresses for: as many as asked, at least the minimum (EC2-22).
fn affordable(
    records: &Snapshot,
    interfaces: &[(u32, Interface<'_>)],
    min: u32,
    max: u32,
) -> Answer<u32> {
    let mut needs: Vec<(&Subnet, u32)> = Vec::new();
    for (_, interface) in interfaces {
        let Interface::New(new) = interface else { continue };
        let more = u32::try_from(new.secondary_count.unwrap_or(0)).unwrap_or(0);
        let listed = new.list.iter().filter(|it| it.primary != Some(true)).count();
        let need = 1_u32.saturating_add(more).saturating_add(u32::try_from(listed).unwrap_or(0));
        match needs.iter_mut().find(|(subnet, _)| subnet.id == new.subnet.id) {
            Some((_, total)) => *total = total.saturating_add(need),
            None => needs.push((&new.subnet, need)),
        }
    }
    let mut count = max;
    for (subnet, need) in needs {
        let free = allocate::free_addresses(records, subnet) / need.max(1);
        if free < min {
            return Err(ApiError::insufficient_free_addresses(&subnet.id));
        }
        count = count.min(free);
    }
    Ok(count)
}

/// The instance that all of a launch are copies of.
fn template(
    call: &Call,
    r: &ec2::RunInstancesRequest,
    image: &Image,
    kind: &InstanceType,
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
            user_data(bytes)?
        }
        None => None,
    };
    let tenancy = r.placement.as_ref().and_then(|it| given(&it.tenancy)).unwrap_or("default");
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
        tenancy: tenancy.to_owned(),
        ebs_optimized: r.ebs_optimized == Some(true),
        monitoring: r.monitoring.as_ref().is_some_and(|it| it.enabled == Some(true)),
        disable_api_termination: r.disable_api_termination == Some(true),
        disable_api_stop: r.disable_api_stop == Some(true),
        instance_initiated_shutdown_behavior: behavior.to_owned(),
        cpu_credits: credits,
        hibernation: r.hibernation_options.as_ref().is_some_and(|it| it.configured == Some(true)),
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

fn plug(
    call: &Call,
    tx: &mut Transaction,
    instance: &InstanceId,
    device_index: u32,
    interface: &Interface<'_>,
    kind: &InstanceType,
    tags: &Tags,
) -> Answer<()> {
    let (id, delete_on_termination) = match interface {
        Interface::Existing { id, delete_on_termination } => (id.clone(), *delete_on_termination),
        Interface::New(new) => {
            let made = eni::make(
                call,
                tx,
                eni::New {
                    subnet: &new.subnet,
                    addresses: WantedAddresses {
                        primary: new.primary,
                        list: new.list,
                        secondary_count: new.secondary_count,
                    },
                    address_limit: kind.addresses,
                    groups: new.groups.clone(),
                    description: new.description.to_owned(),
                    associate_public_ip: new.associate_public_ip,
                    tags: tags.clone(),
                },
            )?;
            (made.id.clone(), new.delete_on_termination)
        }
    };
    eni::tie(call, tx, &id, instance, device_index, delete_on_termination);
    Ok(())
}

fn put_volume(
    call: &Call,
    tx: &mut Transaction,
    instance: &InstanceId,
    zone: &str,
    disk: Disk,
    tags: Tags,
) {
    let gp3 = disk.volume_type == "gp3";
    // gp2 has three operations a second for each GiB, at least 100.
    let gp2 = (disk.volume_type == "gp2").then(|| (disk.size * 3).clamp(100, 16_000));
    let volume = Volume {
        id: VolumeId::new(call.random()),
        size: disk.size,
        volume_type: disk.volume_type,
        iops: disk.iops.or(gp2).or(gp3.then_some(3000)),
        throughput: disk.throughput.or(gp3.then_some(125)),
        encrypted: disk.encrypted,
        availability_zone: zone.to_owned(),
        snapshot_id: disk.snapshot,
        attachment: Some(VolumeAttachment {
            instance_id: instance.clone(),
            device: disk.device,
            delete_on_termination: disk.delete_on_termination,
            attach_time: call.now,
        }),
        created: call.now,
        tags,
    };
    tx.put(&call.scope, volume);
}
