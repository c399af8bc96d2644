//! The interfaces of a launch: what a request says of them, checked, and their making (EC2-19,
//! PUB-1, PUB-2).

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, NetworkInterfaceId, SecurityGroupId, Tags,
    record::{AttachmentState, ConnectionTracking, NetworkInterface, Subnet, Vpc},
};

use crate::{
    allocate,
    call::{Answer, Call, find, given},
    catalogue::InstanceType,
    resource::{
        network_interface::{self as eni, WantedAddresses},
        security_group,
    },
};

/// How an instance gets one interface.
pub(super) enum Interface<'a> {
    Existing { id: NetworkInterfaceId, delete_on_termination: bool },
    New(Box<NewInterface<'a>>),
}

pub(super) struct NewInterface<'a> {
    subnet: Arc<Subnet>,
    groups: Vec<SecurityGroupId>,
    primary: Option<&'a str>,
    list: &'a [ec2::PrivateIpAddressSpecification],
    secondary_count: Option<i32>,
    ipv6: &'a [ec2::InstanceIpv6Address],
    ipv6_count: Option<i32>,
    primary_ipv6: bool,
    connection_tracking: ConnectionTracking,
    description: &'a str,
    associate_public_ip: bool,
    delete_on_termination: bool,
}

/// The subnet that a launch uses which names none: a default subnet (EC2-21).
pub(super) fn default_subnet(
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
pub(super) fn launch_groups(
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

pub(super) fn chosen<'a>(
    call: &Call,
    records: &Snapshot,
    r: &'a ec2::RunInstancesRequest,
    kind: &InstanceType,
) -> Answer<Vec<(u32, Interface<'a>)>> {
    check_single(r)?;
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
        ipv6: &r.ipv6_addresses,
        ipv6_count: r.ipv6_address_count,
        primary_ipv6: r.enable_primary_ipv6 == Some(true),
        connection_tracking: ConnectionTracking::default(),
        description: "",
        associate_public_ip,
        delete_on_termination: true,
    };
    Ok(vec![(0, Interface::New(Box::new(new)))])
}

/// An address can be given to one instance only, so a launch of several names none.
fn check_single(r: &ec2::RunInstancesRequest) -> Answer<()> {
    let names_one = given(&r.private_ip_address).is_some()
        || !r.ipv6_addresses.is_empty()
        || r.network_interfaces.iter().any(|it| {
            given(&it.private_ip_address).is_some()
                || !it.private_ip_addresses.is_empty()
                || !it.ipv6_addresses.is_empty()
        });
    match names_one && r.max_count.is_some_and(|count| count > 1) {
        true => Err(ApiError::invalid_parameter_combination(
            "A private IP address cannot be specified when launching more than one instance.",
        )),
        false => Ok(()),
    }
}

pub(super) fn named_interfaces<'a>(
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
    if !r.ipv6_addresses.is_empty() || r.ipv6_address_count.is_some() {
        return Err(ApiError::interfaces_and_instance_level("IPv6 addresses"));
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

pub(super) fn existing_interface<'a>(
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
        || !wanted.ipv6_addresses.is_empty()
        || wanted.ipv6_address_count.is_some()
        || wanted.primary_ipv6 == Some(true)
        || wanted.connection_tracking_specification.is_some()
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

pub(super) fn new_interface<'a>(
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
    if public && subnet.cidr_block.is_none() {
        return Err(ApiError::no_ipv4_block(&subnet.id));
    }
    Ok(NewInterface {
        groups,
        primary: given(&wanted.private_ip_address),
        list: &wanted.private_ip_addresses,
        secondary_count: wanted.secondary_private_ip_address_count,
        ipv6: &wanted.ipv6_addresses,
        ipv6_count: wanted.ipv6_address_count,
        primary_ipv6: wanted.primary_ipv6 == Some(true),
        connection_tracking: eni::tracking(
            wanted.connection_tracking_specification.as_ref(),
            ConnectionTracking::default(),
        )?,
        description: given(&wanted.description).unwrap_or_default(),
        associate_public_ip: public && device_index == 0,
        delete_on_termination: wanted.delete_on_termination.unwrap_or(true),
        subnet,
    })
}

/// The subnet of the first interface, whose zone all others must be in.
pub(super) fn first_subnet(
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

/// How many instances there are addresses for: as many as asked, at least the minimum (EC2-22).
pub(super) fn affordable(
    records: &Snapshot,
    interfaces: &[(u32, Interface<'_>)],
    min: u32,
    max: u32,
) -> Answer<u32> {
    let mut needs: Vec<(&Subnet, u32)> = Vec::new();
    for (_, interface) in interfaces {
        let Interface::New(new) = interface else { continue };
        if new.subnet.cidr_block.is_none() {
            continue;
        }
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

pub(super) fn plug(
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
                        ipv6: new.ipv6,
                        ipv6_count: new.ipv6_count,
                        primary_ipv6: new.primary_ipv6,
                    },
                    address_limit: kind.addresses,
                    groups: new.groups.clone(),
                    description: new.description.to_owned(),
                    associate_public_ip: new.associate_public_ip,
                    connection_tracking: new.connection_tracking,
                    tags: tags.clone(),
                },
            )?;
            (made.id.clone(), new.delete_on_termination)
        }
    };
    let state = AttachmentState::Attached;
    eni::tie(call, tx, &id, instance, device_index, delete_on_termination, state);
    Ok(())
}
