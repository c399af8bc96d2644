//! NAT gateways (NAT-*): made and taken away step by step, with an interface of their own.
//!
//! A call takes what a gateway needs at once, or notes why it cannot be had (NAT-4); the
//! reconciler brings it to its next state ([`settle`]).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AddressAssociationId, NatGatewayId, NetworkInterfaceId, Tags,
    record::{
        Address, AddressAssociation, ConnectionTracking, InternetGateway, NatGateway,
        NatGatewayAddress, NatGatewayState, NetworkInterface, Scope, Subnet,
    },
};

use crate::{
    allocate,
    call::{Answer, Call, given, parse_id, required},
    filter::{Fields, some},
    query::{Query, View, own},
    resource::{idempotency, network_interface},
    tags,
};

/// Gateways of a zone, Elastic IP addresses of a gateway: the default quotas (NAT-6, NAT-9).
const ZONE_QUOTA: usize = 5;
const ELASTIC_QUOTA: usize = 2;
/// Addresses of a gateway, the primary one included (NAT-9).
const ADDRESS_LIMIT: usize = 8;
/// The type of its interface in answers (NAT-1).
const INTERFACE_TYPE: &str = "natGateway";

fn shown_address(
    gateway: &NatGateway,
    number: usize,
    address: &NatGatewayAddress,
) -> ec2::NatGatewayAddress {
    let status = match gateway.state {
        NatGatewayState::Failed => "failed",
        NatGatewayState::Pending if gateway.public => "associating",
        NatGatewayState::Pending => "assigning",
        NatGatewayState::Deleting if gateway.public => "disassociating",
        NatGatewayState::Deleting => "unassigning",
        NatGatewayState::Available | NatGatewayState::Deleted => "succeeded",
    };
    ec2::NatGatewayAddress {
        allocation_id: address.allocation_id.as_ref().map(ToString::to_string),
        network_interface_id: gateway.network_interface_id.as_ref().map(ToString::to_string),
        private_ip: address.private_ip.map(|it| it.to_string()),
        public_ip: address.public_ip.map(|it| it.to_string()),
        association_id: address.association_id.as_ref().map(ToString::to_string),
        is_primary: Some(number == 0),
        failure_message: failure(gateway).map(|(_, message)| message.clone()),
        status: Some(status.into()),
        ..Default::default()
    }
}

/// What went wrong, once it has become known.
fn failure(gateway: &NatGateway) -> Option<&(String, String)> {
    gateway.failure.as_ref().filter(|_| gateway.state != NatGatewayState::Pending)
}

fn shown(gateway: &NatGateway) -> ec2::NatGateway {
    let addresses = gateway.addresses.iter().enumerate();
    ec2::NatGateway {
        create_time: Some(gateway.created),
        delete_time: gateway.deleted,
        failure_code: failure(gateway).map(|(code, _)| code.clone()),
        failure_message: failure(gateway).map(|(_, message)| message.clone()),
        nat_gateway_addresses: addresses
            .map(|(number, address)| shown_address(gateway, number, address))
            .collect(),
        nat_gateway_id: Some(gateway.id.to_string()),
        state: Some(gateway.state.name().into()),
        subnet_id: Some(gateway.subnet_id.to_string()),
        vpc_id: Some(gateway.vpc_id.to_string()),
        tags: tags::shown(&gateway.tags),
        connectivity_type: Some(if gateway.public { "public" } else { "private" }.into()),
        availability_mode: Some("zonal".into()),
        ..Default::default()
    }
}

const FIELDS: &Fields<ec2::NatGateway> = &[
    ("nat-gateway-id", |it| some(&it.nat_gateway_id)),
    ("state", |it| some(&it.state)),
    ("subnet-id", |it| some(&it.subnet_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

const VIEW: View<NatGateway, ec2::NatGateway> =
    View { fields: FIELDS, index: &[("nat-gateway-id", own)], tags: Some(|it| &it.tags) };

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNatGatewaysRequest,
) -> Answer<ec2::DescribeNatGatewaysResult> {
    let query = Query { filters: &r.filter, max_results: r.max_results, next_token: &r.next_token };
    let (nat_gateways, next_token) =
        query.answer(records, &call.scope, &r.nat_gateway_ids, &VIEW, shown)?;
    Ok(ec2::DescribeNatGatewaysResult { nat_gateways, next_token })
}

/// Zonal gateways only (NAT-2).
fn check_mode(r: &ec2::CreateNatGatewayRequest) -> Answer<()> {
    match given(&r.availability_mode) {
        None | Some("zonal") => {}
        Some(mode) => {
            return Err(ApiError::unsupported_operation(format!(
                "NAT gateways of the availability mode {mode} are not supported. Make a zonal \
                 NAT gateway in a subnet of each Availability Zone."
            )));
        }
    }
    if given(&r.vpc_id).is_some() || !r.availability_zone_addresses.is_empty() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameters vpcId and availabilityZoneAddresses can be used only with the \
             availability mode regional.",
        ));
    }
    Ok(())
}

/// What a request says about the kind of gateway: public (true) or private (NAT-1).
fn is_public(r: &ec2::CreateNatGatewayRequest) -> Answer<bool> {
    let elastic = given(&r.allocation_id).is_some() || !r.secondary_allocation_ids.is_empty();
    match given(&r.connectivity_type).unwrap_or("public") {
        "public" if given(&r.allocation_id).is_none() => {
            Err(ApiError::missing_parameter("AllocationId"))
        }
        "public" => Ok(true),
        "private" if elastic => Err(ApiError::invalid_parameter_combination(
            "A private NAT gateway has no Elastic IP addresses: allocationId and \
             secondaryAllocationIds cannot be used with the connectivity type private.",
        )),
        "private" => Ok(false),
        other => {
            let reason = "Supported values are 'public' and 'private'.";
            Err(ApiError::invalid_value(other, "connectivityType", reason))
        }
    }
}

/// A count of addresses in a request.
fn count(value: Option<i32>, parameter: &str) -> Answer<usize> {
    let value = value.unwrap_or(0);
    usize::try_from(value)
        .map_err(|_| ApiError::invalid_value(value, parameter, "It cannot be negative."))
}

fn check_count(addresses: usize) -> Answer<()> {
    allocate::check_address_count(addresses, u32::try_from(ADDRESS_LIMIT).unwrap_or(u32::MAX))
}

/// Elastic IP addresses of one gateway, under AWS's quotas (NAT-9).
fn check_elastic_count(call: &Call, addresses: usize) -> Answer<()> {
    match call.config.aws_quotas && addresses > ELASTIC_QUOTA {
        true => Err(ApiError::limit_exceeded(
            "NatGatewayElasticIpLimitExceeded",
            format!(
                "Performing this operation would exceed the limit of {ELASTIC_QUOTA} Elastic IP \
                 addresses of a public NAT gateway."
            ),
        )),
        false => Ok(()),
    }
}

/// How many secondary addresses a request wants, with those that it names.
fn secondary(r: &ec2::CreateNatGatewayRequest, public: bool) -> Answer<usize> {
    let named = r.secondary_private_ip_addresses.len();
    let counted = count(r.secondary_private_ip_address_count, "secondaryPrivateIpAddressCount")?;
    if named > 0 && r.secondary_private_ip_address_count.is_some() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameters secondaryPrivateIpAddresses and secondaryPrivateIpAddressCount cannot \
             be used together.",
        ));
    }
    let elastic = r.secondary_allocation_ids.len();
    if public && r.secondary_private_ip_address_count.is_some() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameter secondaryPrivateIpAddressCount cannot be used with the connectivity \
             type public.",
        ));
    }
    if public && named > 0 && named != elastic {
        return Err(ApiError::invalid_parameter_combination(
            "There must be as many secondaryPrivateIpAddresses as secondaryAllocationIds.",
        ));
    }
    Ok(if public { elastic } else { named + counted })
}

/// Why an Elastic IP address cannot be had, as a gateway's failure (NAT-4).
fn check_elastic(call: &Call, records: &Snapshot, id: &str) -> Result<(), (String, String)> {
    let failed = |code: &str, message: String| Err((code.to_owned(), message));
    match records.find::<Address>(&call.scope, id) {
        None => failed(
            "InvalidAllocationID.NotFound",
            format!("Elastic IP address {id} could not be associated with this NAT gateway"),
        ),
        Some(address) if address.association.is_some() => failed(
            "Resource.AlreadyAssociated",
            format!("Elastic IP address {id} is already associated"),
        ),
        Some(_) => Ok(()),
    }
}

/// The call succeeds although the gateway may fail: that shows in its state (NAT-4).
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNatGatewayRequest,
) -> Answer<ec2::CreateNatGatewayResult> {
    let answer = |gateway: &NatGateway| ec2::CreateNatGatewayResult {
        client_token: r.client_token.clone(),
        nat_gateway: Some(shown(gateway)),
    };
    let make = |tx: &mut Transaction| {
        let gateway = make(call, tx, r)?;
        Ok((vec![gateway.id.to_string()], answer(&gateway)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let gateway = made.first().and_then(|id| tx.find::<NatGateway>(&call.scope, id));
        Ok(gateway.map(|gateway| answer(gateway)))
    };
    idempotency::once(call, tx, "CreateNatGateway", &r.client_token, r, make, again)
}

fn make(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNatGatewayRequest,
) -> Answer<Arc<NatGateway>> {
    check_mode(r)?;
    let public = is_public(r)?;
    let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
    let tags = tags::on_creation::<NatGateway>(&r.tag_specifications)?;
    let secondary = secondary(r, public)?;
    check_count(1 + secondary)?;
    let allocations: Vec<&str> = given(&r.allocation_id)
        .into_iter()
        .chain(r.secondary_allocation_ids.iter().map(String::as_str))
        .collect();
    for (number, id) in allocations.iter().enumerate() {
        parse_id::<Address>(id)?;
        if allocations[..number].contains(id) {
            return Err(ApiError::invalid_value(*id, "allocationId", "It is given twice."));
        }
    }
    check_elastic_count(call, allocations.len())?;
    let mut wanted = Vec::new();
    let names = given(&r.private_ip_address).into_iter();
    for text in names.chain(r.secondary_private_ip_addresses.iter().map(String::as_str)) {
        wanted.push(allocate::wanted_address(tx, &subnet, text, &wanted)?);
    }
    check_quota(call, tx, &subnet)?;
    let gateway = NatGateway {
        id: NatGatewayId::new(call.random()),
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        public,
        state: NatGatewayState::Pending,
        failure: None,
        network_interface_id: None,
        addresses: Vec::new(),
        client_token: given(&r.client_token).map(str::to_owned),
        created: call.now,
        deleted: None,
        tags,
    };
    let primary = given(&r.private_ip_address).is_some().then(|| wanted.remove(0));
    let wish = Wish { subnet: &subnet, primary, others: wanted, count: 1 + secondary };
    let gateway = match addresses(call, tx, &wish, &allocations) {
        Ok(addresses) => furnish(call, tx, gateway, &subnet, &addresses, &allocations)?,
        Err(failure) => {
            let address = |id: Option<&&str>| NatGatewayAddress {
                private_ip: None,
                allocation_id: id.and_then(|id| id.parse().ok()),
                association_id: None,
                public_ip: None,
            };
            let addresses = match allocations.as_slice() {
                [] => vec![address(None)],
                ids => ids.iter().map(|id| address(Some(id))).collect(),
            };
            NatGateway { addresses, failure: Some(failure), ..gateway }
        }
    };
    Ok(tx.put(&call.scope, gateway))
}

/// Those that are being made, work or are on their way out count (NAT-6).
fn check_quota(call: &Call, records: &Snapshot, subnet: &Subnet) -> Answer<()> {
    if !call.config.aws_quotas {
        return Ok(());
    }
    let counts = |it: &NatGateway| {
        use NatGatewayState::{Available, Deleting, Pending};
        let there = records.find::<Subnet>(&call.scope, it.subnet_id.as_str());
        matches!(it.state, Pending | Available | Deleting)
            && there.is_some_and(|it| it.availability_zone == subnet.availability_zone)
    };
    match records.all::<NatGateway>(&call.scope).filter(|it| counts(it)).count() >= ZONE_QUOTA {
        true => Err(ApiError::nat_gateway_limit_exceeded(ZONE_QUOTA)),
        false => Ok(()),
    }
}

/// The private addresses that a gateway shall have.
struct Wish<'a> {
    subnet: &'a Subnet,
    primary: Option<Ipv4Addr>,
    others: Vec<Ipv4Addr>,
    count: usize,
}

/// The private addresses of a new gateway, or why it must fail (NAT-4).
fn addresses(
    call: &Call,
    records: &Snapshot,
    wish: &Wish<'_>,
    allocations: &[&str],
) -> Result<Vec<Ipv4Addr>, (String, String)> {
    let vpc = &wish.subnet.vpc_id;
    if !allocations.is_empty()
        && records.referrers::<InternetGateway>(vpc.as_str()).next().is_none()
    {
        let message = format!("Network {vpc} has no Internet gateway attached");
        return Err(("Gateway.NotAttached".into(), message));
    }
    for id in allocations {
        check_elastic(call, records, id)?;
    }
    let named: Vec<_> = wish.primary.iter().chain(&wish.others).copied().collect();
    let full = || {
        let message = "Subnet has insufficient free addresses to create this NAT gateway";
        ("InsufficientFreeAddressesInSubnet".to_owned(), message.to_owned())
    };
    let missing = wish.count.saturating_sub(named.len());
    if missing > 0 && wish.subnet.cidr_block.is_none() {
        return Err(full());
    }
    let free = allocate::private_addresses(call, records, wish.subnet, missing, &named);
    let mut free = free.map_err(|_| full())?;
    let mut chosen: Vec<_> = wish.primary.into_iter().collect();
    if chosen.is_empty() {
        chosen.extend(free.pop());
    }
    chosen.extend(&wish.others);
    chosen.extend(free);
    Ok(chosen)
}

/// Gives a gateway its interface and addresses.
fn furnish(
    call: &Call,
    tx: &mut Transaction,
    mut gateway: NatGateway,
    subnet: &Subnet,
    addresses: &[Ipv4Addr],
    allocations: &[&str],
) -> Answer<NatGateway> {
    let interface = NetworkInterface {
        id: NetworkInterfaceId::new(call.random()),
        port: allocate::port(tx)?,
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        description: format!("Interface for NAT Gateway {}", gateway.id),
        interface_type: INTERFACE_TYPE.into(),
        requester_managed: true,
        mac: allocate::mac(call),
        private_addresses: addresses.to_vec(),
        primary_ipv6: false,
        ipv6_addresses: Vec::new(),
        // It can have none (NAT-14).
        groups: Vec::new(),
        source_dest_check: false,
        connection_tracking: ConnectionTracking::default(),
        attachment: None,
        detached: None,
        associate_public_ip: false,
        auto_public_ip: None,
        created: call.now,
        tags: Tags::new(),
    };
    let interface = tx.put(&call.scope, interface);
    gateway.network_interface_id = Some(interface.id.clone());
    for (number, private) in addresses.iter().enumerate() {
        let address = match allocations.get(number) {
            Some(id) => tie(call, tx, &interface.id, id, *private),
            None => NatGatewayAddress {
                private_ip: Some(*private),
                allocation_id: None,
                association_id: None,
                public_ip: None,
            },
        };
        gateway.addresses.push(address);
    }
    Ok(gateway)
}

/// Puts an Elastic IP address before a private one of a gateway (NAT-8, EIP-8).
fn tie(
    call: &Call,
    tx: &mut Transaction,
    interface: &NetworkInterfaceId,
    allocation: &str,
    private_ip: Ipv4Addr,
) -> NatGatewayAddress {
    let id = AddressAssociationId::new(call.random());
    let association =
        AddressAssociation { id: id.clone(), network_interface_id: interface.clone(), private_ip };
    let address = tx.update::<Address>(&call.scope, allocation, |it| {
        it.association = Some(association);
    });
    NatGatewayAddress {
        private_ip: Some(private_ip),
        allocation_id: address.as_ref().map(|it| it.allocation_id.clone()),
        association_id: Some(id),
        public_ip: address.map(|it| it.public_ip),
    }
}

/// Elastic IP addresses come free, routes stay (NAT-19). Again and again it is the same.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNatGatewayRequest,
) -> Answer<ec2::DeleteNatGatewayResult> {
    let gateway = required::<NatGateway>(tx, &call.scope, &r.nat_gateway_id, "NatGatewayId")?;
    if !matches!(gateway.state, NatGatewayState::Deleting | NatGatewayState::Deleted) {
        tx.update::<NatGateway>(&call.scope, gateway.id.as_str(), |it| {
            it.state = NatGatewayState::Deleting;
            it.deleted = Some(call.now);
        });
    }
    Ok(ec2::DeleteNatGatewayResult { nat_gateway_id: Some(gateway.id.to_string()) })
}

/// Whether a gateway waits for [`settle`].
fn is_unsettled(gateway: &NatGateway) -> bool {
    matches!(gateway.state, NatGatewayState::Pending | NatGatewayState::Deleting)
}

/// Brings a gateway from a passing state to the one after it (NAT-3).
pub(crate) fn settle(call: &Call, tx: &mut Transaction, id: &str) {
    let Some(gateway) = tx.find::<NatGateway>(&call.scope, id).cloned() else { return };
    let mut settled = (*gateway).clone();
    match gateway.state {
        NatGatewayState::Pending if gateway.failure.is_some() => {
            settled.state = NatGatewayState::Failed;
            settled.deleted = Some(call.now);
        }
        NatGatewayState::Pending => settled.state = NatGatewayState::Available,
        NatGatewayState::Deleting => {
            let interface = gateway.network_interface_id.as_ref();
            let interface =
                interface.and_then(|id| tx.find::<NetworkInterface>(&call.scope, id.as_str()));
            if let Some(interface) = interface.cloned() {
                network_interface::remove(call, tx, &interface);
            }
            settled.state = NatGatewayState::Deleted;
            settled.network_interface_id = None;
            for address in &mut settled.addresses {
                address.association_id = None;
            }
        }
        NatGatewayState::Available | NatGatewayState::Failed | NatGatewayState::Deleted => return,
    }
    tx.put(&call.scope, settled);
}

/// What changes the addresses of a gateway: the gateway, its interface and its subnet.
type Changing = (Arc<NatGateway>, Arc<NetworkInterface>, Arc<Subnet>);

/// A gateway whose addresses may change now.
fn changing(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    public: bool,
) -> Answer<Changing> {
    let gateway = required::<NatGateway>(records, &call.scope, id, "NatGatewayId")?;
    if gateway.public != public {
        let kind = if gateway.public { "public" } else { "private" };
        return Err(ApiError::invalid_parameter_value(format!(
            "NatGateway {} is {kind}; the operation is for {} NAT gateways.",
            gateway.id,
            if public { "public" } else { "private" }
        )));
    }
    if gateway.state != NatGatewayState::Available {
        return Err(ApiError::nat_gateway_state(&gateway.id, gateway.state.name()));
    }
    let interface = gateway.network_interface_id.as_ref();
    let interface =
        interface.and_then(|id| records.find::<NetworkInterface>(&call.scope, id.as_str()));
    let subnet = records.find::<Subnet>(&call.scope, gateway.subnet_id.as_str());
    match (interface, subnet) {
        (Some(interface), Some(subnet)) => Ok((gateway, interface.clone(), subnet.clone())),
        _ => Err(ApiError::internal_error(format!("{} has no interface", gateway.id))),
    }
}

/// Private addresses for a gateway: those that are named, and some more.
fn more_addresses(
    call: &Call,
    records: &Snapshot,
    subnet: &Subnet,
    named: &[String],
    count: usize,
) -> Answer<Vec<Ipv4Addr>> {
    let mut chosen = Vec::new();
    for text in named {
        chosen.push(allocate::wanted_address(records, subnet, text, &chosen)?);
    }
    let more = count.saturating_sub(chosen.len());
    chosen.extend(allocate::private_addresses(call, records, subnet, more, &chosen)?);
    Ok(chosen)
}

/// Puts a gateway's addresses on its interface too, and answers with some of them.
fn keep(
    call: &Call,
    tx: &mut Transaction,
    gateway: &NatGateway,
    addresses: Vec<NatGatewayAddress>,
) {
    let private = addresses.iter().filter_map(|it| it.private_ip).collect();
    if let Some(interface) = &gateway.network_interface_id {
        tx.update::<NetworkInterface>(&call.scope, interface.as_str(), |it| {
            it.private_addresses = private;
        });
    }
    tx.update::<NatGateway>(&call.scope, gateway.id.as_str(), |it| it.addresses = addresses);
}

/// Addresses that come or go, with what is being done to them.
fn passing(
    gateway: &NatGateway,
    addresses: &[NatGatewayAddress],
    status: &str,
) -> Vec<ec2::NatGatewayAddress> {
    let shown = |address| ec2::NatGatewayAddress {
        status: Some(status.into()),
        ..shown_address(gateway, 1, address)
    };
    addresses.iter().map(shown).collect()
}

pub(crate) fn associate_addresses(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateNatGatewayAddressRequest,
) -> Answer<ec2::AssociateNatGatewayAddressResult> {
    let (gateway, interface, subnet) = changing(call, tx, &r.nat_gateway_id, true)?;
    if r.allocation_ids.is_empty() {
        return Err(ApiError::missing_parameter("AllocationId"));
    }
    for (number, id) in r.allocation_ids.iter().enumerate() {
        let address = crate::call::find::<Address>(tx, &call.scope, id)?;
        if let Some(association) = &address.association {
            return Err(ApiError::address_already_associated(id, &association.id));
        }
        if r.allocation_ids[..number].contains(id) {
            return Err(ApiError::invalid_value(id, "allocationId", "It is given twice."));
        }
    }
    let count = r.allocation_ids.len();
    if !r.private_ip_addresses.is_empty() && r.private_ip_addresses.len() != count {
        return Err(ApiError::invalid_parameter_combination(
            "There must be as many privateIpAddresses as allocationIds.",
        ));
    }
    check_count(gateway.addresses.len() + count)?;
    check_elastic_count(call, gateway.addresses.len() + count)?;
    let private = more_addresses(call, tx, &subnet, &r.private_ip_addresses, count)?;
    let ties = r.allocation_ids.iter().zip(private);
    let new: Vec<_> = ties.map(|(id, private)| tie(call, tx, &interface.id, id, private)).collect();
    keep(call, tx, &gateway, gateway.addresses.iter().chain(&new).cloned().collect());
    Ok(ec2::AssociateNatGatewayAddressResult {
        nat_gateway_id: Some(gateway.id.to_string()),
        nat_gateway_addresses: passing(&gateway, &new, "associating"),
    })
}

/// The private address behind it goes too. Connections over it end at once, which is no later
/// than any drain duration allows.
pub(crate) fn disassociate_addresses(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateNatGatewayAddressRequest,
) -> Answer<ec2::DisassociateNatGatewayAddressResult> {
    let (gateway, _, _) = changing(call, tx, &r.nat_gateway_id, true)?;
    if r.association_ids.is_empty() {
        return Err(ApiError::missing_parameter("AssociationId"));
    }
    let has = |address: &NatGatewayAddress, id: &String| {
        address.association_id.as_ref().is_some_and(|it| it.as_str() == id)
    };
    for id in &r.association_ids {
        let resource = gureum_api::Resource::Association;
        id.parse::<AddressAssociationId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
        match gateway.addresses.iter().position(|address| has(address, id)) {
            Some(0) => return Err(ApiError::primary_nat_address(&gateway.id)),
            Some(_) => {}
            None => return Err(ApiError::not_found(resource, id)),
        }
    }
    let leaves = |it: &NatGatewayAddress| r.association_ids.iter().any(|id| has(it, id));
    let (gone, kept): (Vec<_>, Vec<_>) = gateway.addresses.iter().cloned().partition(leaves);
    for allocation in gone.iter().filter_map(|it| it.allocation_id.as_ref()) {
        tx.update::<Address>(&call.scope, allocation.as_str(), |it| it.association = None);
    }
    keep(call, tx, &gateway, kept);
    Ok(ec2::DisassociateNatGatewayAddressResult {
        nat_gateway_id: Some(gateway.id.to_string()),
        nat_gateway_addresses: passing(&gateway, &gone, "disassociating"),
    })
}

pub(crate) fn assign_addresses(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssignPrivateNatGatewayAddressRequest,
) -> Answer<ec2::AssignPrivateNatGatewayAddressResult> {
    let (gateway, _, subnet) = changing(call, tx, &r.nat_gateway_id, false)?;
    let named = r.private_ip_addresses.len();
    let count = match (named, r.private_ip_address_count) {
        (0, None) => return Err(ApiError::missing_parameter("PrivateIpAddressCount")),
        (0, counted) => count(counted, "privateIpAddressCount")?,
        (_, None) => named,
        (_, Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters privateIpAddresses and privateIpAddressCount cannot be used \
                 together.",
            ));
        }
    };
    check_count(gateway.addresses.len() + count)?;
    let private = more_addresses(call, tx, &subnet, &r.private_ip_addresses, count)?;
    let new: Vec<_> = private
        .into_iter()
        .map(|private| NatGatewayAddress {
            private_ip: Some(private),
            allocation_id: None,
            association_id: None,
            public_ip: None,
        })
        .collect();
    keep(call, tx, &gateway, gateway.addresses.iter().chain(&new).cloned().collect());
    Ok(ec2::AssignPrivateNatGatewayAddressResult {
        nat_gateway_id: Some(gateway.id.to_string()),
        nat_gateway_addresses: passing(&gateway, &new, "assigning"),
    })
}

/// As [`disassociate_addresses`], of a private gateway.
pub(crate) fn unassign_addresses(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::UnassignPrivateNatGatewayAddressRequest,
) -> Answer<ec2::UnassignPrivateNatGatewayAddressResult> {
    let (gateway, _, _) = changing(call, tx, &r.nat_gateway_id, false)?;
    if r.private_ip_addresses.is_empty() {
        return Err(ApiError::missing_parameter("PrivateIpAddress"));
    }
    let mut going = Vec::new();
    for text in &r.private_ip_addresses {
        let address = text.parse::<Ipv4Addr>().ok();
        let place = address.and_then(|address| {
            gateway.addresses.iter().position(|it| it.private_ip == Some(address))
        });
        match place {
            Some(0) => return Err(ApiError::primary_nat_address(&gateway.id)),
            Some(_) => going.extend(address),
            None => {
                let reason = format!("NatGateway {} has no such address.", gateway.id);
                return Err(ApiError::invalid_value(text, "privateIpAddress", &reason));
            }
        }
    }
    let leaves = |it: &NatGatewayAddress| it.private_ip.is_some_and(|it| going.contains(&it));
    let (gone, kept): (Vec<_>, Vec<_>) = gateway.addresses.iter().cloned().partition(leaves);
    keep(call, tx, &gateway, kept);
    Ok(ec2::UnassignPrivateNatGatewayAddressResult {
        nat_gateway_id: Some(gateway.id.to_string()),
        nat_gateway_addresses: passing(&gateway, &gone, "unassigning"),
    })
}

/// The gateways that wait for [`settle`], with their places.
pub(crate) fn unsettled(records: &Snapshot) -> Vec<(Scope, NatGatewayId)> {
    records
        .everywhere::<NatGateway>()
        .filter(|(_, gateway)| is_unsettled(gateway))
        .filter_map(|(key, gateway)| Some((key.scope.clone()?, gateway.id.clone())))
        .collect()
}
