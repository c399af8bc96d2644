//! Elastic IP addresses (EIP-*), and the public addresses of instances that make way for them
//! and come back (PUB-3 to PUB-5).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AddressAssociationId, AllocationId, NetworkInterfaceId,
    record::{
        Address, AddressAssociation, Instance, InstanceState, InternetGateway, NetworkInterface,
        Vpc,
    },
};
use http::StatusCode;

use crate::{
    allocate,
    call::{Answer, Call, find, given, listed, required, text},
    filter::{Fields, select, some},
    page::page,
    resource::public_ip,
    tags,
};

/// How many addresses an account may have in a region (EIP-2).
pub(crate) const ADDRESS_QUOTA: usize = 5;

fn shown(call: &Call, records: &Snapshot, address: &Address) -> ec2::Address {
    let mut shown = ec2::Address {
        allocation_id: Some(address.allocation_id.to_string()),
        domain: Some("vpc".into()),
        tags: tags::shown(&address.tags),
        public_ipv4_pool: Some("amazon".into()),
        network_border_group: Some(call.region().to_string()),
        public_ip: Some(address.public_ip.to_string()),
        ..Default::default()
    };
    if let Some(association) = &address.association {
        let interface = association.network_interface_id.as_str();
        let interface = records.find::<NetworkInterface>(&call.scope, interface);
        let attachment = interface.and_then(|it| it.attachment.as_ref());
        shown.association_id = Some(association.id.to_string());
        shown.network_interface_id = Some(association.network_interface_id.to_string());
        shown.network_interface_owner_id = Some(call.account().to_string());
        shown.private_ip_address = Some(association.private_ip.to_string());
        shown.instance_id = attachment.map(|it| it.instance_id.to_string());
    }
    shown
}

const FIELDS: &Fields<ec2::Address> = &[
    ("allocation-id", |it| some(&it.allocation_id)),
    ("association-id", |it| some(&it.association_id)),
    ("domain", |it| some(&it.domain)),
    ("instance-id", |it| some(&it.instance_id)),
    ("network-border-group", |it| some(&it.network_border_group)),
    ("network-interface-id", |it| some(&it.network_interface_id)),
    ("network-interface-owner-id", |it| some(&it.network_interface_owner_id)),
    ("private-ip-address", |it| some(&it.private_ip_address)),
    ("public-ip", |it| some(&it.public_ip)),
    ("public-ipv4-pool", |it| some(&it.public_ipv4_pool)),
];

/// Addresses named by id, by themselves, or all of them.
pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeAddressesRequest,
) -> Answer<ec2::DescribeAddressesResult> {
    let mut found = match r.allocation_ids.is_empty() && !r.public_ips.is_empty() {
        true => Vec::new(),
        false => listed::<Address>(records, &call.scope, &r.allocation_ids)?,
    };
    for text in &r.public_ips {
        found.push(at(call, records, text)?);
    }
    found.sort_by(|a, b| a.allocation_id.cmp(&b.allocation_id));
    found.dedup_by(|a, b| a.allocation_id == b.allocation_id);
    let addresses = found.iter().map(|address| shown(call, records, address)).collect();
    let addresses = select(addresses, &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribeAddressesResult { addresses })
}

/// The attribute `domain-name` is a reverse record that somebody asked for. Nothing here sets
/// one, so none is shown.
/// The name that a reverse lookup shall give, with its dot at the end as in the DNS.
fn shown_attribute(address: &Address) -> ec2::AddressAttribute {
    ec2::AddressAttribute {
        public_ip: Some(address.public_ip.to_string()),
        allocation_id: Some(address.allocation_id.to_string()),
        ptr_record: address.domain_name.clone(),
        ..Default::default()
    }
}

/// Recorded: reverse lookups of the simulated internet know no such names.
pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyAddressAttributeRequest,
) -> Answer<ec2::ModifyAddressAttributeResult> {
    let address = required::<Address>(tx, &call.scope, &r.allocation_id, "AllocationId")?;
    let name = text(&r.domain_name, "DomainName")?;
    let label = |it: &str| {
        !it.is_empty()
            && it.len() <= 63
            && it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.len() > 253 || !bare.contains('.') || !bare.split('.').all(label) {
        let reason = "This is not a valid domain name.";
        return Err(ApiError::invalid_value(name, "domainName", reason));
    }
    let domain_name = Some(format!("{bare}."));
    let address = tx.put(&call.scope, Address { domain_name, ..(*address).clone() });
    Ok(ec2::ModifyAddressAttributeResult { address: Some(updated(&address)) })
}

pub(crate) fn reset_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ResetAddressAttributeRequest,
) -> Answer<ec2::ResetAddressAttributeResult> {
    let address = required::<Address>(tx, &call.scope, &r.allocation_id, "AllocationId")?;
    let address = tx.put(&call.scope, Address { domain_name: None, ..(*address).clone() });
    Ok(ec2::ResetAddressAttributeResult { address: Some(updated(&address)) })
}

/// The attribute with its change, which is on its way on AWS when a call is answered.
fn updated(address: &Address) -> ec2::AddressAttribute {
    ec2::AddressAttribute {
        ptr_record_update: Some(ec2::PtrUpdateStatus {
            value: address.domain_name.clone(),
            status: Some("PENDING".into()),
            ..Default::default()
        }),
        ..shown_attribute(address)
    }
}

/// Nobody offers addresses to another account here.
pub(crate) fn describe_transfers(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeAddressTransfersRequest,
) -> Answer<ec2::DescribeAddressTransfersResult> {
    for id in &r.allocation_ids {
        find::<Address>(records, &call.scope, id)?;
    }
    let none: Vec<ec2::AddressTransfer> = Vec::new();
    let (address_transfers, next_token) =
        page(none, r.max_results, &r.next_token, |it| it.allocation_id.as_deref())?;
    Ok(ec2::DescribeAddressTransfersResult { address_transfers, next_token })
}

pub(crate) fn describe_attribute(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeAddressesAttributeRequest,
) -> Answer<ec2::DescribeAddressesAttributeResult> {
    let found = listed::<Address>(records, &call.scope, &r.allocation_ids)?;
    let addresses = found.iter().map(|address| shown_attribute(address));
    let (addresses, next_token) =
        page(addresses.collect(), r.max_results, &r.next_token, |it: &ec2::AddressAttribute| {
            it.allocation_id.as_deref()
        })?;
    Ok(ec2::DescribeAddressesAttributeResult { addresses, next_token })
}

/// The caller's address of this value.
fn at(call: &Call, records: &Snapshot, text: &str) -> Answer<Arc<Address>> {
    let address = text.parse::<Ipv4Addr>().map_err(|_| {
        ApiError::invalid_value(text, "publicIp", "This is not a valid IPv4 address.")
    })?;
    match records.elastic_ip(address) {
        Some((key, found)) if key.scope.as_ref() == Some(&call.scope) => Ok(found.clone()),
        Some((key, _)) if key.scope.as_ref().is_some_and(|it| it.account != *call.account()) => {
            let message = format!("The address '{address}' does not belong to you.");
            Err(ApiError::new("AuthFailure", message).with_status(StatusCode::FORBIDDEN))
        }
        _ => Err(ApiError::address_not_found(address)),
    }
}

/// The address that a request names in one of two ways.
fn named(
    call: &Call,
    records: &Snapshot,
    allocation_id: &Option<String>,
    public_ip: &Option<String>,
) -> Answer<Arc<Address>> {
    match (given(allocation_id), given(public_ip)) {
        (Some(id), None) => find::<Address>(records, &call.scope, id),
        (None, Some(text)) => at(call, records, text),
        (None, None) => Err(ApiError::missing_parameter("AllocationId")),
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter_combination(
            "You may specify public IP or allocation id, but not both in the same call",
        )),
    }
}

/// Addresses of a region are advertised from one place, which has the region's name.
fn check_border_group(call: &Call, group: &Option<String>) -> Answer<()> {
    match given(group) {
        Some(group) if group != call.region().as_str() => {
            let reason = format!("Expecting {}.", call.region());
            Err(ApiError::invalid_value(group, "networkBorderGroup", &reason))
        }
        _ => Ok(()),
    }
}

pub(crate) fn allocate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AllocateAddressRequest,
) -> Answer<ec2::AllocateAddressResult> {
    if let Some(domain) = given(&r.domain).filter(|it| *it != "vpc") {
        let reason = "Addresses are for use in a VPC.";
        return Err(ApiError::invalid_value(domain, "domain", reason));
    }
    check_border_group(call, &r.network_border_group)?;
    if call.config.aws_quotas && tx.all::<Address>(&call.scope).count() >= ADDRESS_QUOTA {
        return Err(ApiError::address_limit_exceeded());
    }
    let tags = tags::on_creation::<Address>(&r.tag_specifications)?;
    let allocation_id = AllocationId::new(call.random());
    let public_ip = allocate::public_address(call, tx, allocation_id.as_str())?;
    let address = Address {
        allocation_id,
        public_ip,
        association: None,
        domain_name: None,
        created: call.now,
        tags,
    };
    let address = tx.put(&call.scope, address);
    Ok(ec2::AllocateAddressResult {
        allocation_id: Some(address.allocation_id.to_string()),
        public_ipv4_pool: Some("amazon".into()),
        network_border_group: Some(call.region().to_string()),
        domain: Some("vpc".into()),
        public_ip: Some(address.public_ip.to_string()),
        ..Default::default()
    })
}

/// The interface that a request means, directly or as the only one of an instance (EIP-4).
fn interface(
    call: &Call,
    records: &Snapshot,
    r: &ec2::AssociateAddressRequest,
) -> Answer<Arc<NetworkInterface>> {
    let id = match (given(&r.instance_id), given(&r.network_interface_id)) {
        (None, Some(id)) => return find::<NetworkInterface>(records, &call.scope, id),
        (Some(id), None) => id,
        (None, None) => {
            let message = "Either 'InstanceId' or 'NetworkInterfaceId' must be specified";
            return Err(ApiError::new("MissingParameter", message));
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "You may specify either an instance ID or a network interface ID, but not both \
                 in the same call",
            ));
        }
    };
    let instance = find::<Instance>(records, &call.scope, id)?;
    let state = instance.state;
    if !matches!(state, InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped) {
        let message = format!(
            "The {} instance '{id}' is not in a valid state for this operation.",
            state.name()
        );
        return Err(ApiError::new("InvalidInstanceID", message));
    }
    let mut interfaces = records.referrers::<NetworkInterface>(instance.id.as_str());
    match (interfaces.next(), interfaces.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => {
            let message = format!("The instance '{id}' has no network interface.");
            Err(ApiError::new("InvalidInstanceID", message))
        }
        (Some(_), Some(_)) => {
            let message = format!(
                "There are multiple interfaces attached to instance '{id}'. Please specify an \
                 interface ID for the operation instead."
            );
            Err(ApiError::new("InvalidInstanceID", message))
        }
    }
}

/// Takes the address from where it is and puts the target's former one aside (EIP-3).
pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateAddressRequest,
) -> Answer<ec2::AssociateAddressResult> {
    let address = named(call, tx, &r.allocation_id, &r.public_ip)?;
    let interface = interface(call, tx, r)?;
    let private_ip = match given(&r.private_ip_address) {
        None => interface.primary_address().ok_or_else(|| {
            ApiError::invalid_parameter_value(format!(
                "The network interface '{}' has no private IPv4 address.",
                interface.id
            ))
        })?,
        Some(text) => {
            let private = text.parse().ok().filter(|it| interface.private_addresses.contains(it));
            private.ok_or_else(|| {
                let reason = format!("The network interface {} has no such address.", interface.id);
                ApiError::invalid_value(text, "privateIpAddress", &reason)
            })?
        }
    };
    if tx.referrers::<InternetGateway>(interface.vpc_id.as_str()).next().is_none() {
        return Err(ApiError::vpc_without_gateway(&interface.vpc_id));
    }
    let answer = |id: &AddressAssociationId| {
        Ok(ec2::AssociateAddressResult { association_id: Some(id.to_string()) })
    };
    let former = address.association.clone();
    if let Some(former) = &former {
        if former.network_interface_id == interface.id && former.private_ip == private_ip {
            return answer(&former.id);
        }
        if r.allow_reassociation == Some(false) {
            return Err(ApiError::address_already_associated(&address.allocation_id, &former.id));
        }
        check_not_managed(call, tx, &former.network_interface_id)?;
    }
    check_not_managed(call, tx, &interface.id)?;
    let displaced = tx
        .referrers::<Address>(interface.id.as_str())
        .find(|it| it.association.as_ref().is_some_and(|it| it.private_ip == private_ip));
    if let Some(displaced) = displaced.map(|it| it.allocation_id.clone()) {
        tx.update::<Address>(&call.scope, displaced.as_str(), |it| it.association = None);
    }
    let id = AddressAssociationId::new(call.random());
    let association = AddressAssociation {
        id: id.clone(),
        network_interface_id: interface.id.clone(),
        private_ip,
    };
    tx.update::<Address>(&call.scope, address.allocation_id.as_str(), |address| {
        address.association = Some(association);
    });
    if Some(private_ip) == interface.primary_address() {
        public_ip::release(call, tx, &interface);
    }
    if let Some(former) = former.filter(|it| it.network_interface_id != interface.id) {
        restore_public_address(call, tx, &former.network_interface_id);
    }
    answer(&id)
}

/// The addresses of interfaces that AWS made for itself are not for callers to move (EIP-8).
fn check_not_managed(call: &Call, records: &Snapshot, id: &NetworkInterfaceId) -> Answer<()> {
    match records.find::<NetworkInterface>(&call.scope, id.as_str()) {
        Some(interface) if interface.requester_managed => Err(ApiError::operation_not_permitted(
            format!("You are not allowed to manage the addresses of the network interface '{id}'."),
        )),
        _ => Ok(()),
    }
}

/// By the address itself it may be asked again and again; an association ends only once.
pub(crate) fn disassociate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateAddressRequest,
) -> Answer<()> {
    let address = match (given(&r.association_id), given(&r.public_ip)) {
        (Some(id), None) => {
            let resource = Resource::Association;
            id.parse::<AddressAssociationId>()
                .map_err(|error| ApiError::malformed_id(resource, &error))?;
            tx.referrers_with_keys::<Address>(id)
                .find(|(key, _)| key.scope.as_ref() == Some(&call.scope))
                .map(|(_, address)| address.clone())
                .ok_or_else(|| ApiError::not_found(resource, id))?
        }
        (None, Some(text)) => at(call, tx, text)?,
        (None, None) => return Err(ApiError::missing_parameter("AssociationId")),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "You may specify public IP or association id, but not both in the same call",
            ));
        }
    };
    if let Some(association) = &address.association {
        check_not_managed(call, tx, &association.network_interface_id)?;
        end_association(call, tx, &address.allocation_id, &association.network_interface_id);
    }
    Ok(())
}

fn end_association(
    call: &Call,
    tx: &mut Transaction,
    address: &AllocationId,
    interface: &NetworkInterfaceId,
) {
    tx.update::<Address>(&call.scope, address.as_str(), |address| address.association = None);
    restore_public_address(call, tx, interface);
}

/// An associated address stays, but for those in a default VPC, which are taken off (EIP-7).
pub(crate) fn release(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReleaseAddressRequest,
) -> Answer<()> {
    check_border_group(call, &r.network_border_group)?;
    let address = named(call, tx, &r.allocation_id, &r.public_ip)?;
    if let Some(association) = &address.association {
        let id = &association.network_interface_id;
        let vpc = tx
            .find::<NetworkInterface>(&call.scope, id.as_str())
            .and_then(|it| tx.find::<Vpc>(&call.scope, it.vpc_id.as_str()));
        if !vpc.is_some_and(|vpc| vpc.is_default) {
            return Err(ApiError::address_in_use(address.public_ip));
        }
        check_not_managed(call, tx, id)?;
        end_association(call, tx, &address.allocation_id, id);
    }
    tx.remove::<Address>(&call.scope, address.allocation_id.as_str());
    allocate::release_public_address(call, tx, address.public_ip);
    Ok(())
}

/// The interface gets a public address again when its Elastic IP address goes (PUB-5). When the
/// pool is used up, it stays without: that is no reason to keep the other.
fn restore_public_address(call: &Call, tx: &mut Transaction, id: &NetworkInterfaceId) {
    let interface = tx.find::<NetworkInterface>(&call.scope, id.as_str()).cloned();
    if let Some(interface) = interface
        && let Err(error) = public_ip::assign(call, tx, &interface)
    {
        tracing::warn!(%error, interface = %id, "no public address came back");
    }
}

#[cfg(test)]
mod tests {
    use gureum_types::record::{PublicAddress, Subnet};

    use super::*;
    use crate::resource::place::fixture::{Cloud, code, filter};

    fn allocated(cloud: &Cloud) -> ec2::AllocateAddressResult {
        let r = ec2::AllocateAddressRequest::default();
        cloud.change(|call, tx| allocate(call, tx, &r)).expect("an address")
    }

    fn id_of(address: &ec2::AllocateAddressResult) -> String {
        address.allocation_id.clone().expect("an id")
    }

    fn to(address: &ec2::AllocateAddressResult, interface: &str) -> ec2::AssociateAddressRequest {
        ec2::AssociateAddressRequest {
            allocation_id: address.allocation_id.clone(),
            network_interface_id: Some(interface.into()),
            ..Default::default()
        }
    }

    fn associated(cloud: &Cloud, r: &ec2::AssociateAddressRequest) -> Answer<String> {
        let answer = cloud.change(|call, tx| associate(call, tx, r))?;
        Ok(answer.association_id.expect("an id"))
    }

    fn shown(cloud: &Cloud, address: &ec2::AllocateAddressResult) -> ec2::Address {
        let r = ec2::DescribeAddressesRequest {
            allocation_ids: vec![id_of(address)],
            ..Default::default()
        };
        let found = describe(&cloud.call, &cloud.records(), &r);
        found.expect("an address").addresses.remove(0)
    }

    fn released(cloud: &Cloud, address: &ec2::AllocateAddressResult) -> Answer<()> {
        let r = ec2::ReleaseAddressRequest {
            allocation_id: address.allocation_id.clone(),
            ..Default::default()
        };
        cloud.change(|call, tx| release(call, tx, &r))
    }

    fn disassociated(cloud: &Cloud, association: &str) -> Answer<()> {
        let r = ec2::DisassociateAddressRequest {
            association_id: Some(association.into()),
            ..Default::default()
        };
        cloud.change(|call, tx| disassociate(call, tx, &r))
    }

    fn auto_public_ip(cloud: &Cloud, id: &NetworkInterfaceId) -> Option<Ipv4Addr> {
        let records = cloud.records();
        let interface = records.find::<NetworkInterface>(&cloud.call.scope, id.as_str());
        interface.expect("an interface").auto_public_ip
    }

    fn holder(cloud: &Cloud, address: Ipv4Addr) -> Option<String> {
        let records = cloud.records();
        records.machine::<PublicAddress>(&address.to_string()).expect("known").holder.clone()
    }

    /// A VPC with gateway, a subnet and a running instance with its primary interface.
    fn network(cloud: &Cloud) -> (Vpc, Subnet, Instance, NetworkInterface) {
        let vpc = cloud.vpc();
        cloud.gateway(&vpc);
        let subnet = cloud.subnet(&vpc, 1);
        let instance = cloud.instance(&subnet);
        let interface = cloud.interface(&subnet, &instance, 0, 10);
        (vpc, subnet, instance, interface)
    }

    #[test]
    fn an_address_comes_from_the_pool_and_goes_back() {
        let cloud = Cloud::new();
        let address = allocated(&cloud);
        let public: Ipv4Addr =
            address.public_ip.as_deref().expect("an address").parse().expect("IPv4");
        assert!(cloud.call.config.public_pool.contains(&public));
        assert_eq!(holder(&cloud, public), address.allocation_id);
        let it = shown(&cloud, &address);
        assert_eq!((it.domain.as_deref(), it.association_id), (Some("vpc"), None));
        assert_ne!(allocated(&cloud).public_ip, address.public_ip);
        released(&cloud, &address).expect("nothing needs it");
        assert_eq!(holder(&cloud, public), None);
        assert_eq!(code(released(&cloud, &address)), "InvalidAllocationID.NotFound", "EIP-7");
    }

    #[test]
    fn the_sixth_address_is_refused_with_quotas() {
        let cloud = Cloud::new().with_quotas();
        for _ in 0..5 {
            allocated(&cloud);
        }
        let r = ec2::AllocateAddressRequest::default();
        let error =
            cloud.change(|call, tx| allocate(call, tx, &r)).expect_err("five are the quota");
        assert_eq!(error.code, "AddressLimitExceeded", "EIP-2");
        assert_eq!(error.message, "The maximum number of addresses has been reached.");
    }

    #[test]
    fn an_association_takes_the_place_of_the_public_address() {
        let cloud = Cloud::new();
        let (_, _, instance, interface) = network(&cloud);
        let given = interface.auto_public_ip.expect("a public address");
        let address = allocated(&cloud);
        let r = ec2::AssociateAddressRequest {
            instance_id: Some(instance.id.to_string()),
            ..to(&address, "")
        };
        let association = associated(&cloud, &r).expect("associated");
        assert_eq!(associated(&cloud, &r), Ok(association.clone()), "EIP-3");
        let it = shown(&cloud, &address);
        assert_eq!(it.association_id.as_ref(), Some(&association));
        assert_eq!(it.instance_id.as_deref(), Some(instance.id.as_str()));
        assert_eq!(it.private_ip_address.as_deref(), Some("10.1.1.10"));
        assert_eq!(auto_public_ip(&cloud, &interface.id), None, "PUB-3");
        assert_eq!(holder(&cloud, given), None, "PUB-3");

        let error = released(&cloud, &address).expect_err("it is associated");
        let public = address.public_ip.as_deref().expect("an address");
        assert_eq!(error.code, "InvalidIPAddress.InUse", "EIP-7");
        assert_eq!(error.message, format!("Address {public} is in use."));

        disassociated(&cloud, &association).expect("it is associated");
        let again = auto_public_ip(&cloud, &interface.id).expect("PUB-5");
        assert_ne!(again, given, "PUB-3");
        assert_eq!(holder(&cloud, again).as_deref(), Some(interface.id.as_str()));
        assert_eq!(code(disassociated(&cloud, &association)), "InvalidAssociationID.NotFound");
        released(&cloud, &address).expect("nothing needs it");
    }

    #[test]
    fn no_public_address_comes_back_to_a_stopped_or_second_interface() {
        let cloud = Cloud::new();
        let (_, subnet, instance, interface) = network(&cloud);
        let address = allocated(&cloud);
        let association = associated(&cloud, &to(&address, interface.id.as_str())).expect("done");
        cloud.put(|call, tx| {
            tx.update::<Instance>(&call.scope, instance.id.as_str(), |instance| {
                instance.state = InstanceState::Stopped;
            });
        });
        disassociated(&cloud, &association).expect("it is associated");
        assert_eq!(auto_public_ip(&cloud, &interface.id), None, "PUB-3");

        cloud.put(|call, tx| {
            tx.update::<Instance>(&call.scope, instance.id.as_str(), |instance| {
                instance.state = InstanceState::Running;
            });
        });
        cloud.interface(&subnet, &instance, 1, 20);
        let association = associated(&cloud, &to(&address, interface.id.as_str())).expect("done");
        disassociated(&cloud, &association).expect("it is associated");
        assert_eq!(auto_public_ip(&cloud, &interface.id), None, "PUB-4");
    }

    #[test]
    fn an_address_moves_and_displaces_another() {
        let cloud = Cloud::new();
        let (_, subnet, _, first) = network(&cloud);
        let other = cloud.instance(&subnet);
        let second = cloud.interface(&subnet, &other, 0, 30);
        let (a, b) = (allocated(&cloud), allocated(&cloud));
        let on_first = associated(&cloud, &to(&a, first.id.as_str())).expect("done");
        associated(&cloud, &to(&b, second.id.as_str())).expect("done");
        let stay = ec2::AssociateAddressRequest {
            allow_reassociation: Some(false),
            ..to(&a, second.id.as_str())
        };
        assert_eq!(code(associated(&cloud, &stay)), "Resource.AlreadyAssociated", "EIP-3");
        let moved = associated(&cloud, &to(&a, second.id.as_str())).expect("moved");
        assert_ne!(moved, on_first);
        let a_now = shown(&cloud, &a).network_interface_id;
        assert_eq!(a_now.as_deref(), Some(second.id.as_str()));
        assert_eq!(shown(&cloud, &b).association_id, None, "EIP-3");
        assert!(auto_public_ip(&cloud, &first.id).is_some(), "PUB-5");
        assert_eq!(auto_public_ip(&cloud, &second.id), None);

        // Each private address may have one of its own (EIP-1).
        let secondary = ec2::AssociateAddressRequest {
            private_ip_address: Some("10.1.1.31".into()),
            ..to(&b, second.id.as_str())
        };
        associated(&cloud, &secondary).expect("the second private address");
        assert_eq!(shown(&cloud, &a).private_ip_address.as_deref(), Some("10.1.1.30"));
        assert_eq!(shown(&cloud, &b).private_ip_address.as_deref(), Some("10.1.1.31"));
    }

    #[test]
    fn a_target_that_cannot_be_is_refused() {
        let cloud = Cloud::new();
        let (_, subnet, instance, interface) = network(&cloud);
        let address = allocated(&cloud);
        let good = || to(&address, interface.id.as_str());
        type R = ec2::AssociateAddressRequest;
        let some = |text: &str| Some(text.to_owned());
        for (r, expected, why) in [
            (R { allocation_id: None, ..good() }, "MissingParameter", "API-12"),
            (
                R { public_ip: address.public_ip.clone(), ..good() },
                "InvalidParameterCombination",
                "",
            ),
            (R { network_interface_id: None, ..good() }, "MissingParameter", "API-12"),
            (
                R { instance_id: some(instance.id.as_str()), ..good() },
                "InvalidParameterCombination",
                "",
            ),
            (
                R { allocation_id: some("eipalloc-00000000000000999"), ..good() },
                "InvalidAllocationID.NotFound",
                "EIP-7",
            ),
            (
                R { allocation_id: some("eipalloc-x"), ..good() },
                "InvalidAllocationID.Malformed",
                "",
            ),
            (
                R { network_interface_id: some("eni-00000000000000999"), ..good() },
                "InvalidNetworkInterfaceID.NotFound",
                "API-11",
            ),
            (
                R { private_ip_address: some("10.1.1.99"), ..good() },
                "InvalidParameterValue",
                "EIP-1",
            ),
            (
                R { allocation_id: None, public_ip: some("198.18.9.9"), ..good() },
                "InvalidAddress.NotFound",
                "",
            ),
            (
                R { allocation_id: None, public_ip: some("nine"), ..good() },
                "InvalidParameterValue",
                "",
            ),
        ] {
            assert_eq!(code(associated(&cloud, &r)), expected, "{why} {r:?}");
        }

        cloud.interface(&subnet, &instance, 1, 40);
        let by_instance = ec2::AssociateAddressRequest {
            instance_id: Some(instance.id.to_string()),
            ..to(&address, "")
        };
        assert_eq!(code(associated(&cloud, &by_instance)), "InvalidInstanceID", "EIP-4");
        cloud.put(|call, tx| {
            tx.update::<Instance>(&call.scope, instance.id.as_str(), |instance| {
                instance.state = InstanceState::Pending;
            });
        });
        let error = associated(&cloud, &by_instance).expect_err("not yet");
        assert!(error.message.starts_with("The pending instance"), "{error}");

        cloud.put(|call, tx| {
            tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |interface| {
                interface.requester_managed = true;
            });
        });
        assert_eq!(code(associated(&cloud, &good())), "OperationNotPermitted", "EIP-8");
    }

    #[test]
    fn a_vpc_without_gateway_takes_no_address() {
        let cloud = Cloud::new();
        let vpc = cloud.vpc();
        let subnet = cloud.subnet(&vpc, 1);
        let interface = cloud.interface(&subnet, &cloud.instance(&subnet), 0, 10);
        let error = associated(&cloud, &to(&allocated(&cloud), interface.id.as_str()))
            .expect_err("no gateway");
        assert_eq!(error.code, "Gateway.NotAttached", "IGW-14");
        let message = format!("Network {} is not attached to any internet gateway", vpc.id);
        assert_eq!(error.message, message);
    }

    #[test]
    fn in_a_default_vpc_an_address_is_released_at_once() {
        let cloud = Cloud::new();
        let (vpc, _, _, interface) = network(&cloud);
        cloud.put(|call, tx| {
            tx.update::<Vpc>(&call.scope, vpc.id.as_str(), |vpc| vpc.is_default = true);
        });
        let address = allocated(&cloud);
        associated(&cloud, &to(&address, interface.id.as_str())).expect("done");
        released(&cloud, &address).expect("EIP-7 speaks of other VPCs");
        assert!(auto_public_ip(&cloud, &interface.id).is_some(), "PUB-5");
    }

    #[test]
    fn the_address_of_another_account_is_not_the_callers() {
        let mut cloud = Cloud::new();
        let address = allocated(&cloud);
        cloud.call = cloud.of_account("000000000042");
        let public_ip = address.public_ip.clone();
        let r = ec2::ReleaseAddressRequest { public_ip, ..Default::default() };
        assert_eq!(code(cloud.change(|call, tx| release(call, tx, &r))), "AuthFailure", "EIP-7");
        assert_eq!(code(released(&cloud, &address)), "InvalidAllocationID.NotFound", "EIP-7");
        let r = ec2::DescribeAddressesRequest::default();
        let found = describe(&cloud.call, &cloud.records(), &r).expect("an answer");
        assert_eq!(found.addresses, vec![]);
    }

    #[test]
    fn an_address_that_nothing_has_is_taken_off_without_error() {
        let cloud = Cloud::new();
        let public_ip = allocated(&cloud).public_ip;
        let r = ec2::DisassociateAddressRequest { public_ip, ..Default::default() };
        assert_eq!(cloud.change(|call, tx| disassociate(call, tx, &r)), Ok(()));
        let r = ec2::DisassociateAddressRequest::default();
        assert_eq!(code(cloud.change(|call, tx| disassociate(call, tx, &r))), "MissingParameter");
    }

    #[test]
    fn addresses_are_found_by_filter_and_by_both_names() {
        let cloud = Cloud::new();
        let (_, _, instance, interface) = network(&cloud);
        let (a, b) = (allocated(&cloud), allocated(&cloud));
        let association = associated(&cloud, &to(&a, interface.id.as_str())).expect("done");
        let ids = |r: ec2::DescribeAddressesRequest| {
            let found = describe(&cloud.call, &cloud.records(), &r)?.addresses;
            Ok(found.into_iter().filter_map(|it| it.allocation_id).collect::<Vec<_>>())
        };
        for (name, value) in [
            ("association-id", association.as_str()),
            ("instance-id", instance.id.as_str()),
            ("network-interface-id", interface.id.as_str()),
            ("private-ip-address", "10.1.1.10"),
            ("network-interface-owner-id", "123456789012"),
        ] {
            let filters = vec![filter(name, &[value])];
            let r = ec2::DescribeAddressesRequest { filters, ..Default::default() };
            assert_eq!(ids(r), Ok(vec![id_of(&a)]), "{name}");
        }
        let r = ec2::DescribeAddressesRequest {
            public_ips: b.public_ip.iter().cloned().collect(),
            ..Default::default()
        };
        assert_eq!(ids(r), Ok(vec![id_of(&b)]));
        let r = ec2::DescribeAddressesRequest {
            public_ips: b.public_ip.iter().cloned().collect(),
            allocation_ids: vec![id_of(&a), id_of(&b)],
            ..Default::default()
        };
        assert_eq!(ids(r), Ok(vec![id_of(&a), id_of(&b)]));
        let r = ec2::DescribeAddressesRequest {
            public_ips: vec!["198.18.9.9".into()],
            ..Default::default()
        };
        assert_eq!(code(ids(r)), "InvalidAddress.NotFound", "API-10");
        let r = ec2::DescribeAddressesAttributeRequest {
            allocation_ids: vec![id_of(&a)],
            attribute: Some("domain-name".into()),
            ..Default::default()
        };
        let found = describe_attribute(&cloud.call, &cloud.records(), &r).expect("an answer");
        assert_eq!(found.addresses.len(), 1);
        assert_eq!(
            (&found.addresses[0].public_ip, &found.addresses[0].ptr_record),
            (&a.public_ip, &None)
        );
    }
}
