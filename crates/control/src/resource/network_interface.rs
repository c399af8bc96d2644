//! Network interfaces (ENI-*, SDC-*).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AttachmentId, InstanceId, NetworkInterfaceId, SecurityGroupId, Tags,
    record::{
        Address, Attachment, ConnectionTracking, Instance, InstanceState, NetworkInterface,
        SecurityGroup, Subnet, Vpc,
    },
};

use crate::{
    allocate,
    call::{Answer, Call, find, given, listed, required, text},
    catalogue::instance_type,
    filter::{Fields, flag, select, some},
    page::page,
    resource::{idempotency, public_ip, security_group},
    tags,
};

/// Groups on an interface (SG-21), addresses on one that is not attached.
const GROUP_LIMIT: usize = 5;
const ADDRESS_LIMIT: u32 = 50;

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
            primary: Some(*address == primary),
            private_dns_name: private_name(*address),
            private_ip_address: Some(address.to_string()),
        });
    let attachment = own_attachment(interface);
    let attachment =
        attachment.or(interface.attachment.as_ref().map(|it| ec2::NetworkInterfaceAttachment {
            attach_time: Some(it.attach_time),
            attachment_id: Some(it.id.to_string()),
            delete_on_termination: Some(it.delete_on_termination),
            device_index: i32::try_from(it.device_index).ok(),
            network_card_index: Some(0),
            instance_id: Some(it.instance_id.to_string()),
            instance_owner_id: Some(call.account().to_string()),
            status: Some("attached".into()),
            ..Default::default()
        }));
    ec2::NetworkInterface {
        association: association(primary),
        status: Some(if attachment.is_some() { "in-use" } else { "available" }.into()),
        attachment,
        availability_zone: Some(interface.availability_zone.clone()),
        availability_zone_id: call.region().zone_id(&interface.availability_zone),
        description: Some(interface.description.clone()),
        groups: shown_groups(call, records, &interface.groups),
        interface_type: Some(interface.interface_type.clone()),
        mac_address: Some(shown_mac(interface.mac)),
        network_interface_id: Some(interface.id.to_string()),
        owner_id: Some(call.account().to_string()),
        private_dns_name: private_name(primary),
        private_ip_address: Some(primary.to_string()),
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
    ("ipv6-addresses.ipv6-address", |_| Vec::new()),
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

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInterfacesRequest,
) -> Answer<ec2::DescribeNetworkInterfacesResult> {
    let found = listed::<NetworkInterface>(records, &call.scope, &r.network_interface_ids)?;
    let interfaces = found.iter().map(|it| shown(call, records, it)).collect();
    let interfaces = select(interfaces, &r.filters, FIELDS, Some(|it| &it.tag_set))?;
    let (network_interfaces, next_token) =
        page(interfaces, r.max_results, &r.next_token, |it| it.network_interface_id.as_deref())?;
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

/// What a request says about the private addresses of a new interface.
#[derive(Debug, Default)]
pub(crate) struct WantedAddresses<'a> {
    pub(crate) primary: Option<&'a str>,
    pub(crate) list: &'a [ec2::PrivateIpAddressSpecification],
    pub(crate) secondary_count: Option<i32>,
}

impl WantedAddresses<'_> {
    /// Chooses the addresses, the primary one first.
    fn choose(
        &self,
        call: &Call,
        records: &Snapshot,
        subnet: &Subnet,
        limit: u32,
    ) -> Answer<Vec<Ipv4Addr>> {
        if self.secondary_count.is_some() && !self.list.is_empty() {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters privateIpAddresses and secondaryPrivateIpAddressCount cannot be \
                 used together.",
            ));
        }
        let mut primary = self.primary.map(str::to_owned);
        let mut secondary = Vec::new();
        for wanted in self.list {
            let address = text(&wanted.private_ip_address, "PrivateIpAddresses.PrivateIpAddress")?;
            match (wanted.primary == Some(true), &primary) {
                (true, Some(other)) if other != address => {
                    return Err(ApiError::invalid_parameter_combination(
                        "Only one primary private IP address can be specified.",
                    ));
                }
                (true, _) => primary = Some(address.to_owned()),
                (false, _) => secondary.push(address),
            }
        }
        let mut chosen = match primary {
            Some(text) => vec![allocate::wanted_address(records, subnet, &text, &[])?],
            None => Vec::new(),
        };
        let mut others = Vec::new();
        for text in secondary {
            let taken: Vec<_> = chosen.iter().chain(&others).copied().collect();
            others.push(allocate::wanted_address(records, subnet, text, &taken)?);
        }
        if chosen.is_empty() {
            chosen = allocate::private_addresses(call, records, subnet, 1, &others)?;
        }
        chosen.extend(others);
        let count = self.secondary_count.unwrap_or(0);
        let Ok(more) = usize::try_from(count) else {
            let (name, reason) = ("secondaryPrivateIpAddressCount", "It cannot be negative.");
            return Err(ApiError::invalid_value(count, name, reason));
        };
        allocate::check_address_count(chosen.len().saturating_add(more), limit)?;
        chosen.extend(allocate::private_addresses(call, records, subnet, more, &chosen)?);
        Ok(chosen)
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
    pub(crate) tags: Tags,
}

/// Makes an interface.
pub(crate) fn make(
    call: &Call,
    tx: &mut Transaction,
    new: New<'_>,
) -> Answer<Arc<NetworkInterface>> {
    let addresses = new.addresses.choose(call, tx, new.subnet, new.address_limit)?;
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
        private_addresses: addresses,
        ipv6_addresses: Vec::new(),
        groups: new.groups,
        source_dest_check: true,
        connection_tracking: ConnectionTracking::default(),
        attachment: None,
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
            },
            address_limit: ADDRESS_LIMIT,
            groups: groups(call, tx, &subnet, &r.groups, ApiError::groups_per_interface_exceeded)?,
            description: r.description.clone().unwrap_or_default(),
            associate_public_ip: false,
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

/// Ties an interface to an instance.
pub(crate) fn tie(
    call: &Call,
    tx: &mut Transaction,
    interface: &NetworkInterfaceId,
    instance: &InstanceId,
    device_index: u32,
    delete_on_termination: bool,
) -> AttachmentId {
    let attachment = Attachment {
        id: AttachmentId::new(call.random()),
        instance_id: instance.clone(),
        device_index,
        delete_on_termination,
        attach_time: call.now,
    };
    let id = attachment.id.clone();
    tx.update::<NetworkInterface>(&call.scope, interface.as_str(), |it| {
        it.attachment = Some(attachment);
    });
    id
}

/// The interfaces of an instance in the order of their device index.
pub(crate) fn of_instance(records: &Snapshot, instance: &InstanceId) -> Vec<Arc<NetworkInterface>> {
    let mut interfaces: Vec<_> =
        records.referrers::<NetworkInterface>(instance.as_str()).cloned().collect();
    interfaces.sort_by_key(|it| it.attachment.as_ref().map(|it| it.device_index));
    interfaces
}

pub(crate) fn attach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AttachNetworkInterfaceRequest,
) -> Answer<ec2::AttachNetworkInterfaceResult> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    let instance = required::<Instance>(tx, &call.scope, &r.instance_id, "InstanceId")?;
    check_own(&interface)?;
    let Some(index) = r.device_index else {
        return Err(ApiError::missing_parameter("DeviceIndex"));
    };
    if r.network_card_index.unwrap_or(0) != 0 {
        let reason = "The instance has one network card, 0.";
        return Err(ApiError::invalid_value(
            r.network_card_index.unwrap_or(0),
            "networkCardIndex",
            reason,
        ));
    }
    if interface.attachment.is_some() {
        return Err(ApiError::new(
            "InvalidNetworkInterface.InUse",
            format!("Interface: [{}] in use.", interface.id),
        ));
    }
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        return Err(ApiError::new(
            "IncorrectState",
            format!("Instance '{}' is not 'running' or 'stopped'.", instance.id),
        ));
    }
    if interface.availability_zone != instance.availability_zone {
        return Err(ApiError::invalid_parameter_combination(
            "You may not attach a network interface to an instance if they are not in the same \
             availability zone",
        ));
    }
    if interface.vpc_id != instance.vpc_id {
        return Err(ApiError::invalid_parameter_combination(
            "You may not attach a network interface to an instance if they are not in the same VPC",
        ));
    }
    let present = of_instance(tx, &instance.id);
    let index_of = |it: &Arc<NetworkInterface>| it.attachment.as_ref().map(|it| it.device_index);
    let Ok(device_index) = u32::try_from(index) else {
        return Err(ApiError::invalid_value(index, "deviceIndex", "It cannot be negative."));
    };
    if present.iter().any(|it| index_of(it) == Some(device_index)) {
        return Err(ApiError::device_index_in_use(&instance.id, index));
    }
    let limits = instance_type(&instance.instance_type);
    let (interfaces, addresses) = limits.map_or((2, 2), |it| (it.interfaces, it.addresses));
    if u32::try_from(present.len()).is_ok_and(|count| count >= interfaces) {
        return Err(ApiError::attachment_limit_exceeded(&instance.instance_type, interfaces));
    }
    allocate::check_address_count(interface.private_addresses.len(), addresses)?;
    let id = tie(call, tx, &interface.id, &instance.id, device_index, false);
    Ok(ec2::AttachNetworkInterfaceResult {
        attachment_id: Some(id.to_string()),
        network_card_index: Some(0),
    })
}

pub(crate) fn detach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DetachNetworkInterfaceRequest,
) -> Answer<()> {
    let id = text(&r.attachment_id, "AttachmentId")?;
    let resource = Resource::Attachment;
    id.parse::<AttachmentId>().map_err(|error| ApiError::malformed_id(resource, &error))?;
    let found = tx
        .referrers_with_keys::<NetworkInterface>(id)
        .find(|(key, _)| key.scope.as_ref() == Some(&call.scope));
    let Some((_, interface)) = found else { return Err(ApiError::not_found(resource, id)) };
    let interface = interface.clone();
    check_own(&interface)?;
    if interface.attachment.as_ref().is_some_and(|it| it.device_index == 0) {
        return Err(ApiError::primary_interface());
    }
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| it.attachment = None);
    Ok(())
}

/// One attribute a call.
pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyNetworkInterfaceAttributeRequest,
) -> Answer<()> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    check_own(&interface)?;
    let mut changed = (*interface).clone();
    let mut named = Vec::new();
    if let Some(value) = r.description.as_ref().and_then(|it| it.value.clone()) {
        named.push("description");
        changed.description = value;
    }
    if let Some(value) = r.source_dest_check.as_ref().and_then(|it| it.value) {
        named.push("sourceDestCheck");
        changed.source_dest_check = value;
    }
    if !r.groups.is_empty() {
        named.push("groupSet");
        let subnet = find::<Subnet>(tx, &call.scope, interface.subnet_id.as_str())?;
        let too_many = ApiError::groups_per_interface_exceeded;
        changed.groups = groups(call, tx, &subnet, &r.groups, too_many)?;
    }
    if let Some(attachment) = &r.attachment {
        named.push("attachment");
        let Some(present) = &mut changed.attachment else {
            return Err(ApiError::incorrect_state(format!(
                "The network interface '{}' is not attached.",
                interface.id
            )));
        };
        let id = text(&attachment.attachment_id, "Attachment.AttachmentId")?;
        if present.id.as_str() != id {
            return Err(ApiError::not_found(Resource::Attachment, id));
        }
        let Some(value) = attachment.delete_on_termination else {
            return Err(ApiError::missing_parameter("Attachment.DeleteOnTermination"));
        };
        present.delete_on_termination = value;
    }
    if let Some(value) = r.associate_public_ip_address {
        named.push("associatePublicIpAddress");
        changed.associate_public_ip = value;
    }
    match named.as_slice() {
        [] => return Err(ApiError::missing_parameter("Attribute")),
        [_] => {}
        several => {
            return Err(ApiError::invalid_parameter_combination(format!(
                "Fields for multiple attribute types specified: {}",
                several.join(", ")
            )));
        }
    }
    let changed = tx.put(&call.scope, changed);
    match r.associate_public_ip_address {
        Some(true) => public_ip::assign(call, tx, &changed).map(|_| ()),
        Some(false) => {
            public_ip::release(call, tx, &changed);
            Ok(())
        }
        None => Ok(()),
    }
}
