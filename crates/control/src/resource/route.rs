//! Routes (RT-8 to RT-19): destinations, targets, and what a table may hold.

use std::{net::Ipv6Addr, sync::Arc};

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InternetGatewayId, NAT64_PREFIX, NatGatewayId, TransitGatewayId, VpnGatewayId,
    record::{
        EgressOnlyInternetGateway, Instance, InstanceState, InternetGateway, NatGateway,
        NatGatewayState, NetworkInterface, PeeringStatus, Route, RouteDestination, RouteTable,
        RouteTarget, Subnet, TransitGateway, TransitGatewayVpcAttachment, Vpc, VpcEndpoint,
        VpcPeeringConnection, VpnGateway,
    },
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    call::{Answer, Call, find, given, required},
    resource::{cidr, prefix_list, public_ip, vpc, vpc_peering_connection as peering},
};

/// How many routes of a family a table may have: the default quota, the highest (RT-17).
const ROUTE_QUOTA: (usize, usize) = (50, 1000);

/// Addresses of the platform's own services, which no route leads to (RT-15).
const RESERVED_IPV4: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(169, 254, 168, 0), 22);
const RESERVED_IPV6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32);

/// Whether what a route leads to works now (RT-12, RT-13).
pub(crate) fn is_active(
    records: &Snapshot,
    call: &Call,
    table: &RouteTable,
    route: &Route,
) -> bool {
    match &route.target {
        RouteTarget::Local => true,
        RouteTarget::InternetGateway(id) => records
            .find::<InternetGateway>(&call.scope, id.as_str())
            .is_some_and(|gateway| gateway.vpc_id.as_ref() == Some(&table.vpc_id)),
        RouteTarget::NetworkInterface(id) => {
            let interface = records.find::<NetworkInterface>(&call.scope, id.as_str());
            interface.and_then(|it| instance_of(call, records, it)).is_some_and(is_on)
        }
        RouteTarget::NatGateway(id) => records
            .find::<NatGateway>(&call.scope, id.as_str())
            .is_some_and(|gateway| gateway.state.translates()),
        RouteTarget::EgressOnlyInternetGateway(id) => {
            records.find::<EgressOnlyInternetGateway>(&call.scope, id.as_str()).is_some()
        }
        RouteTarget::VpnGateway(id) => records
            .find::<VpnGateway>(&call.scope, id.as_str())
            .is_some_and(|gateway| gateway.vpc_id.as_ref() == Some(&table.vpc_id)),
        RouteTarget::TransitGateway(id) => transit_attachment(records, table, id).is_some(),
        RouteTarget::VpcPeeringConnection(id) => records
            .machine::<VpcPeeringConnection>(id.as_str())
            .is_some_and(|peering| peering.status == PeeringStatus::Active),
        RouteTarget::VpcEndpoint(id) => records
            .find::<VpcEndpoint>(&call.scope, id.as_str())
            .is_some_and(|endpoint| endpoint.carries()),
    }
}

/// The attachment of a transit gateway to the VPC of a table.
fn transit_attachment<'a>(
    records: &'a Snapshot,
    table: &RouteTable,
    id: &TransitGatewayId,
) -> Option<&'a Arc<TransitGatewayVpcAttachment>> {
    records
        .referrers::<TransitGatewayVpcAttachment>(id.as_str())
        .find(|attachment| attachment.vpc_id == table.vpc_id)
}

fn instance_of<'a>(
    call: &Call,
    records: &'a Snapshot,
    interface: &NetworkInterface,
) -> Option<&'a Arc<Instance>> {
    let attachment = interface.attachment.as_ref()?;
    records.find::<Instance>(&call.scope, attachment.instance_id.as_str())
}

fn is_on(instance: &Arc<Instance>) -> bool {
    matches!(instance.state, InstanceState::Pending | InstanceState::Running)
}

pub(crate) fn shown_destination(destination: &RouteDestination) -> String {
    match destination {
        RouteDestination::Ipv4(to) => to.to_string(),
        RouteDestination::Ipv6(to) => to.to_string(),
        RouteDestination::PrefixList(to) => to.to_string(),
    }
}

fn shown_route(call: &Call, records: &Snapshot, table: &RouteTable, route: &Route) -> ec2::Route {
    let state = if is_active(records, call, table, route) { "active" } else { "blackhole" };
    let mut shown = ec2::Route {
        origin: Some("CreateRoute".into()),
        state: Some(state.into()),
        ..Default::default()
    };
    match &route.destination {
        RouteDestination::Ipv4(to) => shown.destination_cidr_block = Some(to.to_string()),
        RouteDestination::Ipv6(to) => shown.destination_ipv6_cidr_block = Some(to.to_string()),
        RouteDestination::PrefixList(to) => shown.destination_prefix_list_id = Some(to.to_string()),
    }
    match &route.target {
        RouteTarget::Local => shown.gateway_id = Some("local".into()),
        RouteTarget::InternetGateway(id) => shown.gateway_id = Some(id.to_string()),
        RouteTarget::NetworkInterface(id) => {
            let interface = records.find::<NetworkInterface>(&call.scope, id.as_str());
            if let Some(attachment) = interface.and_then(|it| it.attachment.as_ref()) {
                shown.instance_id = Some(attachment.instance_id.to_string());
                shown.instance_owner_id = Some(call.account().to_string());
            }
            shown.network_interface_id = Some(id.to_string());
        }
        RouteTarget::NatGateway(id) => shown.nat_gateway_id = Some(id.to_string()),
        RouteTarget::EgressOnlyInternetGateway(id) => {
            shown.egress_only_internet_gateway_id = Some(id.to_string());
        }
        RouteTarget::VpcPeeringConnection(id) => {
            shown.vpc_peering_connection_id = Some(id.to_string());
        }
        RouteTarget::VpnGateway(id) => shown.gateway_id = Some(id.to_string()),
        RouteTarget::TransitGateway(id) => shown.transit_gateway_id = Some(id.to_string()),
        RouteTarget::VpcEndpoint(id) => shown.gateway_id = Some(id.to_string()),
    }
    shown
}

/// The blocks of a VPC as destinations of its local routes (RT-1).
fn local_destinations(vpc: &Vpc) -> Vec<RouteDestination> {
    let ipv4 = vpc::blocks(vpc).into_iter().map(RouteDestination::Ipv4);
    let ipv6 = vpc.ipv6_cidr_associations.iter().map(|it| RouteDestination::Ipv6(it.cidr_block));
    ipv4.chain(ipv6).collect()
}

/// The routes of a table as answers show them: the local ones first, with the target that they
/// were given instead, if any (RT-14).
pub(crate) fn shown_all(call: &Call, records: &Snapshot, table: &RouteTable) -> Vec<ec2::Route> {
    let vpc = records.find::<Vpc>(&call.scope, table.vpc_id.as_str());
    let local = vpc.map(|vpc| local_destinations(vpc)).unwrap_or_default();
    let mut shown: Vec<_> = local
        .iter()
        .map(|destination| {
            let replaced = table.routes.iter().find(|it| it.destination == *destination);
            let route = match replaced {
                Some(route) => route.clone(),
                None => Route { destination: destination.clone(), target: RouteTarget::Local },
            };
            let origin = Some("CreateRouteTable".into());
            ec2::Route { origin, ..shown_route(call, records, table, &route) }
        })
        .collect();
    let made = table.routes.iter().filter(|route| !local.contains(&route.destination));
    shown.extend(made.map(|route| shown_route(call, records, table, route)));
    shown
}

/// What a request says about a destination: exactly one form of it.
fn destination(
    call: &Call,
    records: &Snapshot,
    ipv4: &Option<String>,
    ipv6: &Option<String>,
    prefix_list: &Option<String>,
) -> Answer<RouteDestination> {
    match (given(ipv4), given(ipv6), given(prefix_list)) {
        (Some(text), None, None) => {
            Ok(RouteDestination::Ipv4(cidr::ipv4(text, "destinationCidrBlock")?))
        }
        (None, Some(text), None) => {
            Ok(RouteDestination::Ipv6(cidr::ipv6(text, "destinationIpv6CidrBlock")?))
        }
        (None, None, Some(id)) => {
            let list = prefix_list::named(call, records, id)?;
            Ok(RouteDestination::PrefixList(list.id.clone()))
        }
        (None, None, None) => Err(ApiError::missing_parameter("DestinationCidrBlock")),
        _ => Err(ApiError::invalid_parameter_combination(
            "Exactly one of destinationCidrBlock, destinationIpv6CidrBlock and \
             destinationPrefixListId must be specified.",
        )),
    }
}

/// Whether a destination is of IPv6.
fn is_ipv6(call: &Call, records: &Snapshot, destination: &RouteDestination) -> bool {
    match destination {
        RouteDestination::Ipv4(_) => false,
        RouteDestination::Ipv6(_) => true,
        RouteDestination::PrefixList(id) => {
            prefix_list::find(call, records, id.as_str()).is_some_and(|list| list.ipv6)
        }
    }
}

/// Checks that a destination can be routed to a target at all: NAT gateways take IPv4 (and
/// IPv4 dressed as IPv6, NAT-24), egress-only gateways IPv6 (RT-11).
fn check_family(
    call: &Call,
    records: &Snapshot,
    destination: &RouteDestination,
    target: &RouteTarget,
) -> Answer<()> {
    let ipv6 = is_ipv6(call, records, destination);
    let (fits, name) = match target {
        RouteTarget::EgressOnlyInternetGateway(id) => (ipv6, id.as_str()),
        RouteTarget::NatGateway(id) => {
            let fits = match destination {
                RouteDestination::Ipv6(to) => NAT64_PREFIX.contains(to),
                _ => !ipv6,
            };
            (fits, id.as_str())
        }
        _ => (true, ""),
    };
    match fits {
        true => Ok(()),
        false => Err(ApiError::family_of_target(shown_destination(destination), name)),
    }
}

/// The block that a destination is, if it is one.
fn block_of(destination: &RouteDestination) -> Option<IpNet> {
    match destination {
        RouteDestination::Ipv4(to) => Some(IpNet::V4(*to)),
        RouteDestination::Ipv6(to) => Some(IpNet::V6(*to)),
        RouteDestination::PrefixList(_) => None,
    }
}

/// Whether a block is all of a VPC's block, and whether it is all of a subnet.
fn is_block_of(records: &Snapshot, vpc: &Vpc, block: IpNet) -> (bool, bool) {
    let vpcs = local_destinations(vpc).iter().filter_map(block_of).any(|it| it == block);
    let subnets = records.referrers::<Subnet>(vpc.id.as_str()).any(|subnet| match block {
        IpNet::V4(block) => subnet.cidr_block == Some(block),
        IpNet::V6(block) => subnet.ipv6_block() == Some(block),
    });
    (vpcs, subnets)
}

/// Checks that a VPC's tables may have a route there (RT-14, RT-15), with that target.
fn check_destination(
    records: &Snapshot,
    vpc: &Vpc,
    destination: &RouteDestination,
    target: &RouteTarget,
) -> Answer<()> {
    let Some(to) = block_of(destination) else { return Ok(()) };
    let reserved = match to {
        IpNet::V4(_) => IpNet::V4(RESERVED_IPV4),
        IpNet::V6(_) => IpNet::V6(RESERVED_IPV6),
    };
    if reserved.contains(&to) {
        return Err(ApiError::reserved_destination(to, reserved));
    }
    let inside = |it: &RouteDestination| block_of(it).is_some_and(|block| block.contains(&to));
    if !local_destinations(vpc).iter().any(inside) {
        return Ok(());
    }
    let (whole_vpc, whole_subnet) = is_block_of(records, vpc, to);
    if !whole_vpc && !whole_subnet {
        return Err(ApiError::not_a_subnet_block(to, &vpc.id));
    }
    match target {
        RouteTarget::NetworkInterface(_) => Ok(()),
        RouteTarget::NatGateway(_) if !whole_vpc => Ok(()),
        _ => Err(ApiError::unsupported_route_target()),
    }
}

/// Checks that a route may be in the table of an internet gateway (RT-18, RT-19).
pub(crate) fn check_behind_gateway(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    route: &Route,
) -> Answer<()> {
    let refused = || {
        let shown = shown_destination(&route.destination);
        ApiError::destination_of_gateway_table(shown, &table.id)
    };
    let vpc = find::<Vpc>(records, &call.scope, table.vpc_id.as_str())?;
    let block = block_of(&route.destination).ok_or_else(refused)?;
    if is_block_of(records, &vpc, block) == (false, false) {
        return Err(refused());
    }
    let id = match &route.target {
        RouteTarget::Local => return Ok(()),
        RouteTarget::NetworkInterface(id) => id,
        _ => return Err(ApiError::unsupported_route_target()),
    };
    let interface = records.find::<NetworkInterface>(&call.scope, id.as_str());
    if !interface.and_then(|it| instance_of(call, records, it)).is_some_and(is_on) {
        let reason = "it is not attached to a running instance.";
        return Err(ApiError::interface_of_gateway_table(id, reason));
    }
    let public = interface.is_some_and(|it| {
        !public_ip::mappings(records, it).is_empty() || !it.ipv6_addresses.is_empty()
    });
    match public {
        true => Ok(()),
        false => {
            let reason = "it has no public IP address.";
            Err(ApiError::interface_of_gateway_table(id, reason))
        }
    }
}

/// The targets that a request may name, in the order of their names in errors.
struct Named<'a> {
    gateway: Option<&'a str>,
    interface: Option<&'a str>,
    instance: Option<&'a str>,
    nat: Option<&'a str>,
    egress_only: Option<&'a str>,
    peering: Option<&'a str>,
    transit: Option<&'a str>,
    local: bool,
}

/// What a request says about a target: exactly one (RT-9 to RT-11).
fn target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    named: &Named<'_>,
) -> Answer<RouteTarget> {
    let ids = [
        named.gateway,
        named.interface,
        named.instance,
        named.nat,
        named.egress_only,
        named.peering,
        named.transit,
    ];
    match ids.iter().flatten().count() + usize::from(named.local) {
        0 => return Err(ApiError::missing_parameter("GatewayId")),
        1 => {}
        _ => {
            return Err(ApiError::invalid_parameter_combination(
                "The request must contain exactly one of gatewayId, natGatewayId, \
                 networkInterfaceId, vpcPeeringConnectionId, egressOnlyInternetGatewayId, \
                 transitGatewayId and instanceId.",
            ));
        }
    }
    let [gateway, interface, instance, nat, egress_only, pcx, transit] = ids;
    if let Some(id) = gateway {
        return gateway_target(call, records, table, id);
    }
    if let Some(id) = interface {
        let interface = find::<NetworkInterface>(records, &call.scope, id)?;
        return interface_target(table, &interface);
    }
    if let Some(id) = instance {
        return instance_target(call, records, table, id);
    }
    if let Some(id) = nat {
        return nat_target(call, records, table, id);
    }
    if let Some(id) = egress_only {
        let gateway = find::<EgressOnlyInternetGateway>(records, &call.scope, id)?;
        return match gateway.vpc_id == table.vpc_id {
            true => Ok(RouteTarget::EgressOnlyInternetGateway(gateway.id.clone())),
            false => Err(ApiError::different_networks(&table.id, id)),
        };
    }
    if let Some(id) = pcx {
        return peering_target(call, records, table, id);
    }
    if let Some(id) = transit {
        return transit_target(call, records, table, id);
    }
    Ok(RouteTarget::Local)
}

/// The VPC must be attached to the gateway.
fn transit_target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    id: &str,
) -> Answer<RouteTarget> {
    let gateway = find::<TransitGateway>(records, &call.scope, id)?;
    match transit_attachment(records, table, &gateway.id) {
        Some(_) => Ok(RouteTarget::TransitGateway(gateway.id.clone())),
        None => Err(ApiError::not_found(Resource::TransitGateway, id)),
    }
}

fn gateway_target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    id: &str,
) -> Answer<RouteTarget> {
    let not_found = || {
        ApiError::new("InvalidGatewayID.NotFound", format!("The gateway ID '{id}' does not exist"))
    };
    if id == "local" {
        return Err(ApiError::invalid_parameter_value(
            "The local route exists already, it cannot be created.",
        ));
    }
    if let Ok(parsed) = id.parse::<VpnGatewayId>() {
        let gateway = records.find::<VpnGateway>(&call.scope, id);
        let gateway = gateway.filter(|it| it.deleted.is_none()).ok_or_else(not_found)?;
        return match gateway.vpc_id.as_ref() == Some(&table.vpc_id) {
            true => Ok(RouteTarget::VpnGateway(parsed)),
            false => Err(ApiError::different_networks(&table.id, id)),
        };
    }
    let parsed: InternetGatewayId = id.parse().map_err(|_| not_found())?;
    let gateway = records.find::<InternetGateway>(&call.scope, id).ok_or_else(not_found)?;
    match gateway.vpc_id.as_ref() == Some(&table.vpc_id) {
        true => Ok(RouteTarget::InternetGateway(parsed)),
        false => Err(ApiError::different_networks(&table.id, id)),
    }
}

fn interface_target(table: &RouteTable, interface: &NetworkInterface) -> Answer<RouteTarget> {
    match interface.vpc_id == table.vpc_id {
        true => Ok(RouteTarget::NetworkInterface(interface.id.clone())),
        false => Err(ApiError::invalid_parameter_value(format!(
            "route table {} and interface {} belong to different networks",
            table.id, interface.id
        ))),
    }
}

fn instance_target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    id: &str,
) -> Answer<RouteTarget> {
    let instance = find::<Instance>(records, &call.scope, id)?;
    let interfaces: Vec<_> = records.referrers::<NetworkInterface>(instance.id.as_str()).collect();
    match interfaces.as_slice() {
        [interface] => interface_target(table, interface),
        [] => Err(ApiError::not_found(Resource::Instance, id)),
        _ => Err(ApiError::new(
            "InvalidInstanceID",
            format!(
                "There are multiple interfaces attached to instance '{id}'. Please specify an \
                 interface ID for the operation instead."
            ),
        )),
    }
}

/// One that is only shown any more is not there (NAT-3).
fn nat_target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    id: &str,
) -> Answer<RouteTarget> {
    let not_found = || ApiError::nat_gateway_of_route_not_found(id);
    id.parse::<NatGatewayId>().map_err(|_| not_found())?;
    let gateway = records
        .find::<NatGateway>(&call.scope, id)
        .filter(|it| !matches!(it.state, NatGatewayState::Failed | NatGatewayState::Deleted))
        .ok_or_else(not_found)?;
    match gateway.vpc_id == table.vpc_id {
        true => Ok(RouteTarget::NatGateway(gateway.id.clone())),
        false => Err(ApiError::different_networks(&table.id, id)),
    }
}

/// Also one that waits for an answer (RT-21).
fn peering_target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    id: &str,
) -> Answer<RouteTarget> {
    let peering = peering::find(call, records, id)?;
    let alive = matches!(peering.status, PeeringStatus::PendingAcceptance | PeeringStatus::Active);
    if !alive {
        return Err(ApiError::not_found(Resource::VpcPeeringConnection, id));
    }
    match peering::sides(&peering, &table.vpc_id) {
        Some((own, _)) if own.scope == call.scope => {
            Ok(RouteTarget::VpcPeeringConnection(peering.id.clone()))
        }
        _ => Err(ApiError::invalid_parameter_value(format!(
            "route table {} and vpc peering connection {id} belong to different networks",
            table.id
        ))),
    }
}

fn vpc_of(call: &Call, records: &Snapshot, table: &RouteTable) -> Answer<Arc<Vpc>> {
    find::<Vpc>(records, &call.scope, table.vpc_id.as_str())
}

/// Checks that a table may have a route, whether it is a new one or another in its place.
fn check(
    call: &Call,
    records: &Snapshot,
    vpc: &Vpc,
    table: &RouteTable,
    route: &Route,
) -> Answer<()> {
    check_family(call, records, &route.destination, &route.target)?;
    if table.associations.iter().any(|it| it.gateway_id.is_some()) {
        check_behind_gateway(call, records, table, route)?;
    }
    check_destination(records, vpc, &route.destination, &route.target)
}

/// As many routes as a destination counts for: a prefix list for all that it may hold (RT-17).
fn weight(call: &Call, records: &Snapshot, destination: &RouteDestination) -> usize {
    let RouteDestination::PrefixList(id) = destination else { return 1 };
    let list = prefix_list::find(call, records, id.as_str());
    list.and_then(|list| usize::try_from(list.max_entries).ok()).unwrap_or(1)
}

pub(crate) fn check_quota(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    new: &RouteDestination,
) -> Answer<()> {
    let limit = if call.config.aws_quotas { ROUTE_QUOTA.0 } else { ROUTE_QUOTA.1 };
    let family = is_ipv6(call, records, new);
    let same = |it: &&RouteDestination| is_ipv6(call, records, it) == family;
    let present = table.routes.iter().map(|route| &route.destination).filter(same);
    let count: usize = present.map(|it| weight(call, records, it)).sum();
    match count + weight(call, records, new) > limit {
        true => Err(ApiError::route_limit_exceeded()),
        false => Ok(()),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateRouteRequest,
) -> Answer<ec2::CreateRouteResult> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let destination = destination(
        call,
        tx,
        &r.destination_cidr_block,
        &r.destination_ipv6_cidr_block,
        &r.destination_prefix_list_id,
    )?;
    let named = Named {
        gateway: given(&r.gateway_id),
        interface: given(&r.network_interface_id),
        instance: given(&r.instance_id),
        nat: given(&r.nat_gateway_id),
        egress_only: given(&r.egress_only_internet_gateway_id),
        peering: given(&r.vpc_peering_connection_id),
        transit: given(&r.transit_gateway_id),
        local: false,
    };
    let target = target(call, tx, &table, &named)?;
    let vpc = vpc_of(call, tx, &table)?;
    let is_local = local_destinations(&vpc).contains(&destination);
    if is_local || table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::route_already_exists(shown_destination(&destination)));
    }
    let route = Route { destination, target };
    check(call, tx, &vpc, &table, &route)?;
    check_quota(call, tx, &table, &route.destination)?;
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| table.routes.push(route));
    Ok(ec2::CreateRouteResult { r#return: Some(true) })
}

/// The routes of gateway endpoints come and go with those (VPCE-18).
fn check_not_of_endpoint(
    table: &RouteTable,
    destination: &RouteDestination,
    verb: &str,
) -> Answer<()> {
    let route = table.routes.iter().find(|it| it.destination == *destination);
    match route.map(|route| &route.target) {
        Some(RouteTarget::VpcEndpoint(id)) => Err(ApiError::endpoint_route(verb, id, &table.id)),
        _ => Ok(()),
    }
}

/// The local route is there without a record; one in its place is a record (RT-14).
pub(crate) fn replace(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceRouteRequest,
) -> Answer<()> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let destination = destination(
        call,
        tx,
        &r.destination_cidr_block,
        &r.destination_ipv6_cidr_block,
        &r.destination_prefix_list_id,
    )?;
    let vpc = vpc_of(call, tx, &table)?;
    let is_local = local_destinations(&vpc).contains(&destination);
    if !is_local && !table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::no_route_to_replace(shown_destination(&destination)));
    }
    check_not_of_endpoint(&table, &destination, "replace")?;
    let named = Named {
        gateway: given(&r.gateway_id),
        interface: given(&r.network_interface_id),
        instance: given(&r.instance_id),
        nat: given(&r.nat_gateway_id),
        egress_only: given(&r.egress_only_internet_gateway_id),
        peering: given(&r.vpc_peering_connection_id),
        transit: given(&r.transit_gateway_id),
        local: r.local_target == Some(true),
    };
    let target = target(call, tx, &table, &named)?;
    if target == RouteTarget::Local && !is_local {
        return Err(ApiError::invalid_parameter_value(format!(
            "The route to {} is not a local route: its target cannot be local.",
            shown_destination(&destination)
        )));
    }
    let route = Route { destination, target };
    if route.target != RouteTarget::Local {
        check(call, tx, &vpc, &table, &route)?;
    }
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        let place = table.routes.iter().position(|it| it.destination == route.destination);
        match (place, route.target == RouteTarget::Local) {
            (Some(place), true) => {
                table.routes.remove(place);
            }
            (Some(place), false) => table.routes[place] = route,
            (None, true) => {}
            (None, false) => table.routes.push(route),
        }
    });
    Ok(())
}

pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &ec2::DeleteRouteRequest) -> Answer<()> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let destination = destination(
        call,
        tx,
        &r.destination_cidr_block,
        &r.destination_ipv6_cidr_block,
        &r.destination_prefix_list_id,
    )?;
    let vpc = vpc_of(call, tx, &table)?;
    if local_destinations(&vpc).contains(&destination) {
        let to = shown_destination(&destination);
        let message = format!("cannot remove local route {to} in route table {}", table.id);
        return Err(ApiError::invalid_parameter_value(message));
    }
    if !table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::route_not_found(&table.id, shown_destination(&destination)));
    }
    check_not_of_endpoint(&table, &destination, "remove")?;
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.routes.retain(|it| it.destination != destination);
    });
    Ok(())
}
