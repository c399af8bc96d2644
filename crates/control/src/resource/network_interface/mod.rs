//! Network interfaces (ENI-*, SDC-*).

mod address;
mod attachment;
mod attribute;

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, NetworkInterfaceId, SecurityGroupId, Tags, Timestamp,
    record::{
        Address, Attachment, ConnectionTracking, NetworkInterface, Scope, SecurityGroup, Subnet,
        Vpc,
    },
};

use crate::{
    allocate,
    call::{Answer, Call, find, given, required},
    filter::{Fields, flag, some},
    query::{Query, View, own, referrers},
    resource::{flow_log, idempotency, network_interface_permission, public_ip, security_group},
    tags,
};

pub(crate) use address::{
    WantedAddresses, assign_ipv4, assign_ipv6, shown_ipv6_of_instance, unassign_ipv4, unassign_ipv6,
};
pub(crate) use attachment::{attach, detach, settle, tie, untie};
pub(crate) use attribute::{
    describe as describe_attribute, modify as modify_attribute, reset as reset_attribute,
    shown_tracking_of_instance, tracking,
};

/// Groups on an interface (SG-21).
const GROUP_LIMIT: usize = 5;

/// How long an attachment that ended is shown as `detached`, in ms: longer than clients that wait
/// for it let pass between two looks (ENI-2; the time is ours).
const DETACHED_MILLIS: i64 = 20_000;

/// Who manages what AWS made for itself.
const REQUESTER: &str = "amazon-aws";

/// Groups as answers show them on interfaces and instances.
pub(crate) fn shown_groups(
    call: &Call,
    records: &Snapshot,
    groups: &[SecurityGroupId],
) -> Vec<ec2::GroupIdentifier> {
    let shown = |id: &SecurityGroupId| ec2::GroupIdentifier {
        group_id: Some(id.to_string()),
        group_name: records
            .find::<SecurityGroup>(&call.scope, id.as_str())
            .map(|group| group.name.clone()),
    };
    groups.iter().map(shown).collect()
}

pub(crate) fn shown_mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// What AWS made for itself is attached to a service, not to an instance (ENI-7).
fn own_attachment(interface: &NetworkInterface) -> Option<ec2::NetworkInterfaceAttachment> {
    let number = interface.id.as_str().trim_start_matches("eni-");
    interface.requester_managed.then(|| ec2::NetworkInterfaceAttachment {
        attach_time: Some(interface.created),
        attachment_id: Some(format!("ela-attach-{number}")),
        delete_on_termination: Some(false),
        device_index: Some(1),
        network_card_index: Some(0),
        instance_owner_id: Some(REQUESTER.to_owned()),
        status: Some("attached".into()),
        ..Default::default()
    })
}

fn shown(call: &Call, records: &Snapshot, interface: &NetworkInterface) -> ec2::NetworkInterface {
    let vpc = records.find::<Vpc>(&call.scope, interface.vpc_id.as_str());
    let names = vpc.is_some_and(|vpc| public_ip::has_public_names(vpc));
    let mappings = public_ip::mappings(records, interface);
    let association = |private: Ipv4Addr| {
        let mapping = mappings.iter().find(|it| it.private == private)?;
        let (allocation, association) = mapping.elastic.clone().unzip();
        let owner = if allocation.is_some() { call.account().as_str() } else { "amazon" };
        Some(ec2::NetworkInterfaceAssociation {
            allocation_id: allocation,
            association_id: association,
            ip_owner_id: Some(owner.to_owned()),
            public_dns_name: Some(match names {
                true => public_ip::public_name(call.region(), mapping.public),
                false => String::new(),
            }),
            public_ip: Some(mapping.public.to_string()),
            ..Default::default()
        })
    };
    let private_name = |address| names.then(|| public_ip::private_name(call.region(), address));
    let primary = interface.primary_address();
    let addresses =
        interface.private_addresses.iter().map(|address| ec2::NetworkInterfacePrivateIpAddress {
            association: association(*address),
            primary: Some(Some(*address) == primary),
            private_dns_name: private_name(*address),
            private_ip_address: Some(address.to_string()),
        });
    let tied = |it: &Attachment, status: &str| ec2::NetworkInterfaceAttachment {
        attach_time: Some(it.attach_time),
        attachment_id: Some(it.id.to_string()),
        delete_on_termination: Some(it.delete_on_termination),
        device_index: i32::try_from(it.device_index).ok(),
        network_card_index: Some(0),
        instance_id: Some(it.instance_id.to_string()),
        instance_owner_id: Some(call.account().to_string()),
        status: Some(status.into()),
        ..Default::default()
    };
    let attachment = own_attachment(interface);
    let attachment =
        attachment.or_else(|| interface.attachment.as_ref().map(|it| tied(it, it.state.name())));
    let in_use = attachment.is_some();
    let late = |since: &Timestamp| call.now.0 - since.0 < DETACHED_MILLIS;
    let detached = interface.detached.as_ref().filter(|(_, since)| late(since));
    ec2::NetworkInterface {
        association: primary.and_then(association),
        status: Some(if in_use { "in-use" } else { "available" }.into()),
        attachment: attachment.or_else(|| detached.map(|(it, _)| tied(it, "detached"))),
        connection_tracking_configuration: attribute::shown_tracking(interface),
        availability_zone: Some(interface.availability_zone.clone()),
        availability_zone_id: call.region().zone_id(&interface.availability_zone),
        description: Some(interface.description.clone()),
        groups: shown_groups(call, records, &interface.groups),
        interface_type: Some(interface.interface_type.clone()),
        ipv6_address: interface.ipv6_addresses.first().map(ToString::to_string),
        ipv6_addresses: address::shown_ipv6(interface),
        ipv6_native: primary.is_none().then_some(true),
        mac_address: Some(shown_mac(interface.mac)),
        network_interface_id: Some(interface.id.to_string()),
        owner_id: Some(call.account().to_string()),
        private_dns_name: primary.and_then(private_name),
        private_ip_address: primary.map(|it| it.to_string()),
        private_ip_addresses: addresses.collect(),
        requester_id: interface.requester_managed.then(|| REQUESTER.to_owned()),
        requester_managed: Some(interface.requester_managed),
        source_dest_check: Some(interface.source_dest_check),
        subnet_id: Some(interface.subnet_id.to_string()),
        tag_set: tags::shown(&interface.tags),
        vpc_id: Some(interface.vpc_id.to_string()),
        ..Default::default()
    }
}

macro_rules! of_attachment {
    ($field:ident) => {
        |it| {
            let value = it.attachment.as_ref().and_then(|it| it.$field.as_ref());
            value.iter().map(ToString::to_string).collect()
        }
    };
}

macro_rules! of_association {
    ($field:ident) => {
        |it| it.association.iter().filter_map(|it| it.$field.clone()).collect()
    };
}

macro_rules! of_addresses {
    ($field:ident) => {
        |it| it.private_ip_addresses.iter().filter_map(|it| it.$field.clone()).collect()
    };
}

const FIELDS: &Fields<ec2::NetworkInterface> = &[
    ("addresses.association.owner-id", of_association!(ip_owner_id)),
    ("addresses.association.public-ip", |it| {
        let found = it.private_ip_addresses.iter().filter_map(|it| it.association.as_ref());
        found.filter_map(|it| it.public_ip.clone()).collect()
    }),
    ("addresses.primary", |it| {
        it.private_ip_addresses.iter().flat_map(|it| flag(it.primary)).collect()
    }),
    ("addresses.private-ip-address", of_addresses!(private_ip_address)),
    ("association.allocation-id", of_association!(allocation_id)),
    ("association.association-id", of_association!(association_id)),
    ("association.ip-owner-id", of_association!(ip_owner_id)),
    ("association.public-dns-name", of_association!(public_dns_name)),
    ("association.public-ip", of_association!(public_ip)),
    ("attachment.attach-time", of_attachment!(attach_time)),
    ("attachment.attachment-id", of_attachment!(attachment_id)),
    ("attachment.delete-on-termination", of_attachment!(delete_on_termination)),
    ("attachment.device-index", of_attachment!(device_index)),
    ("attachment.instance-id", of_attachment!(instance_id)),
    ("attachment.instance-owner-id", of_attachment!(instance_owner_id)),
    ("attachment.status", of_attachment!(status)),
    ("availability-zone", |it| some(&it.availability_zone)),
    ("availability-zone-id", |it| some(&it.availability_zone_id)),
    ("description", |it| some(&it.description)),
    ("group-id", |it| it.groups.iter().filter_map(|it| it.group_id.clone()).collect()),
    ("group-name", |it| it.groups.iter().filter_map(|it| it.group_name.clone()).collect()),
    ("interface-type", |it| some(&it.interface_type)),
    ("ipv6-addresses.ipv6-address", |it| {
        it.ipv6_addresses.iter().filter_map(|it| it.ipv6_address.clone()).collect()
    }),
    ("ipv6-addresses.is-primary-ipv6", |it| {
        it.ipv6_addresses.iter().flat_map(|it| flag(it.is_primary_ipv6)).collect()
    }),
    ("ipv6-native", |it| flag(it.ipv6_native)),
    ("mac-address", |it| some(&it.mac_address)),
    ("network-interface-id", |it| some(&it.network_interface_id)),
    ("owner-id", |it| some(&it.owner_id)),
    ("private-dns-name", |it| some(&it.private_dns_name)),
    ("private-ip-address", |it| some(&it.private_ip_address)),
    ("requester-id", |it| some(&it.requester_id)),
    ("requester-managed", |it| flag(it.requester_managed)),
    ("source-dest-check", |it| flag(it.source_dest_check)),
    ("status", |it| some(&it.status)),
    ("subnet-id", |it| some(&it.subnet_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

/// The interface with a public address of its own: an Elastic IP address is found by its record.
fn of_public_ip(records: &Snapshot, scope: &Scope, text: &str) -> Vec<Arc<NetworkInterface>> {
    let Ok(address) = text.parse::<Ipv4Addr>() else { return Vec::new() };
    let elastic = records.elastic_ip(address).and_then(|(_, it)| it.association.as_ref());
    let id = elastic.map(|it| it.network_interface_id.clone());
    let mut found = referrers(records, scope, &gureum_store::public_reference(address));
    found.extend(id.into_iter().flat_map(|id| own(records, scope, id.as_str())));
    found
}

/// The interfaces with a private address, in any VPC.
pub(crate) fn of_private_ip(
    records: &Snapshot,
    scope: &Scope,
    text: &str,
) -> Vec<Arc<NetworkInterface>> {
    let Ok(address) = text.parse::<Ipv4Addr>() else { return Vec::new() };
    let vpcs = records.all::<Vpc>(scope);
    vpcs.filter_map(|vpc| records.interface_at(&vpc.id, address).cloned()).collect()
}

const VIEW: View<NetworkInterface, ec2::NetworkInterface> = View {
    fields: FIELDS,
    index: &[
        ("association.public-ip", of_public_ip),
        ("attachment.instance-id", referrers),
        ("group-id", referrers),
        ("network-interface-id", own),
        ("private-ip-address", of_private_ip),
        ("addresses.private-ip-address", of_private_ip),
        ("subnet-id", referrers),
        ("vpc-id", referrers),
    ],
    tags: Some(|it| &it.tag_set),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInterfacesRequest,
) -> Answer<ec2::DescribeNetworkInterfacesResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (network_interfaces, next_token) =
        query.answer(records, &call.scope, &r.network_interface_ids, &VIEW, |it| {
            shown(call, records, it)
        })?;
    Ok(ec2::DescribeNetworkInterfacesResult { network_interfaces, next_token })
}

/// The groups that a request names, all of one VPC; the default group where it names none (SG-7).
pub(crate) fn groups(
    call: &Call,
    records: &Snapshot,
    subnet: &Subnet,
    ids: &[String],
    too_many: fn() -> ApiError,
) -> Answer<Vec<SecurityGroupId>> {
    if ids.is_empty() {
        return Ok(vec![security_group::default_of(records, &subnet.vpc_id)?]);
    }
    let mut groups: Vec<SecurityGroupId> = Vec::new();
    for id in ids {
        let group = find::<SecurityGroup>(records, &call.scope, id)?;
        if group.vpc_id != subnet.vpc_id {
            return Err(ApiError::group_of_other_network(&group.id, &subnet.id));
        }
        if !groups.contains(&group.id) {
            groups.push(group.id.clone());
        }
    }
    match groups.len() > GROUP_LIMIT {
        true => Err(too_many()),
        false => Ok(groups),
    }
}

/// What a new interface shall be.
pub(crate) struct New<'a> {
    pub(crate) subnet: &'a Subnet,
    pub(crate) addresses: WantedAddresses<'a>,
    pub(crate) address_limit: u32,
    pub(crate) groups: Vec<SecurityGroupId>,
    pub(crate) description: String,
    pub(crate) associate_public_ip: bool,
    pub(crate) connection_tracking: ConnectionTracking,
    pub(crate) tags: Tags,
}

/// Makes an interface.
pub(crate) fn make(
    call: &Call,
    tx: &mut Transaction,
    new: New<'_>,
) -> Answer<Arc<NetworkInterface>> {
    let limit = new.address_limit;
    let private_addresses = new.addresses.choose(call, tx, new.subnet, limit)?;
    let (ipv6_addresses, primary_ipv6) = new.addresses.choose_ipv6(call, tx, new.subnet, limit)?;
    let interface = NetworkInterface {
        id: NetworkInterfaceId::new(call.random()),
        port: allocate::port(tx)?,
        vpc_id: new.subnet.vpc_id.clone(),
        subnet_id: new.subnet.id.clone(),
        availability_zone: new.subnet.availability_zone.clone(),
        description: new.description,
        interface_type: "interface".into(),
        requester_managed: false,
        mac: allocate::mac(call),
        private_addresses,
        ipv6_addresses,
        primary_ipv6,
        groups: new.groups,
        source_dest_check: true,
        connection_tracking: new.connection_tracking,
        attachment: None,
        detached: None,
        associate_public_ip: new.associate_public_ip,
        auto_public_ip: None,
        created: call.now,
        tags: new.tags,
    };
    Ok(tx.put(&call.scope, interface))
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkInterfaceRequest,
) -> Answer<ec2::CreateNetworkInterfaceResult> {
    let answer = |tx: &Transaction, interface: &NetworkInterface| {
        let state =
            ec2::NetworkInterface { status: Some("pending".into()), ..shown(call, tx, interface) };
        ec2::CreateNetworkInterfaceResult {
            network_interface: Some(state),
            client_token: r.client_token.clone(),
        }
    };
    let make = |tx: &mut Transaction| {
        let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
        let kind = given(&r.interface_type).unwrap_or("interface");
        if kind != "interface" {
            return Err(ApiError::unsupported_operation(format!(
                "Network interfaces of the type {kind} are not supported."
            )));
        }
        let new = New {
            subnet: &subnet,
            addresses: WantedAddresses {
                primary: given(&r.private_ip_address),
                list: &r.private_ip_addresses,
                secondary_count: r.secondary_private_ip_address_count,
                ipv6: &r.ipv6_addresses,
                ipv6_count: r.ipv6_address_count,
                primary_ipv6: r.enable_primary_ipv6 == Some(true),
            },
            address_limit: address::UNATTACHED_LIMIT,
            groups: groups(call, tx, &subnet, &r.groups, ApiError::groups_per_interface_exceeded)?,
            description: r.description.clone().unwrap_or_default(),
            associate_public_ip: false,
            connection_tracking: tracking(
                r.connection_tracking_specification.as_ref(),
                ConnectionTracking::default(),
            )?,
            tags: tags::on_creation::<NetworkInterface>(&r.tag_specifications)?,
        };
        let interface = self::make(call, tx, new)?;
        Ok((vec![interface.id.to_string()], answer(tx, &interface)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let interface =
            made.first().and_then(|id| tx.find::<NetworkInterface>(&call.scope, id)).cloned();
        Ok(interface.map(|interface| answer(tx, &interface)))
    };
    idempotency::once(call, tx, "CreateNetworkInterface", &r.client_token, r, make, again)
}

/// Removes an interface and frees what it held.
pub(crate) fn remove(call: &Call, tx: &mut Transaction, interface: &NetworkInterface) {
    public_ip::release(call, tx, interface);
    let held: Vec<_> = tx.referrers::<Address>(interface.id.as_str()).cloned().collect();
    for address in held {
        // The address stays allocated (EIP-6).
        let id = address.allocation_id.as_str();
        tx.update::<Address>(&call.scope, id, |it| it.association = None);
    }
    network_interface_permission::leave(call, tx, interface);
    crate::flow_log::depart(call, tx, interface);
    flow_log::leave(call, tx, interface.id.as_str());
    tx.remove::<NetworkInterface>(&call.scope, interface.id.as_str());
}

/// Refuses to touch what AWS made for itself (ENI-7).
fn check_own(interface: &NetworkInterface) -> Answer<()> {
    match interface.requester_managed {
        true => Err(ApiError::operation_not_permitted(format!(
            "You are not allowed to manage '{}': it belongs to a service.",
            interface.id
        ))),
        false => Ok(()),
    }
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkInterfaceRequest,
) -> Answer<()> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    check_own(&interface)?;
    if interface.attachment.is_some() {
        return Err(ApiError::interface_in_use(&interface.id));
    }
    remove(call, tx, &interface);
    Ok(())
}

/// The interfaces of an instance in the order of their device index.
pub(crate) fn of_instance(records: &Snapshot, instance: &InstanceId) -> Vec<Arc<NetworkInterface>> {
    let mut interfaces: Vec<_> =
        records.referrers::<NetworkInterface>(instance.as_str()).cloned().collect();
    interfaces.sort_by_key(|it| it.attachment.as_ref().map(|it| it.device_index));
    interfaces
}
