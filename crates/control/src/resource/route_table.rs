//! Route tables (RT-*): routes with their derived state, associations, the main table.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InternetGatewayId, RouteTableAssociationId, RouteTableId,
    record::{
        EgressOnlyInternetGateway, Instance, InstanceState, InternetGateway, NatGateway,
        NetworkInterface, PeeringStatus, Route, RouteDestination, RouteTable,
        RouteTableAssociation, RouteTarget, Subnet, Vpc, VpcPeeringConnection,
    },
};
use ipnet::Ipv4Net;

use crate::{
    call::{Answer, Call, find, given, listed, required, text},
    filter::{Fields, select, some},
    page::page,
    resource::{cidr, idempotency, vpc},
    tags,
};

/// How many tables a VPC may have, and routes a table: the default quota, the highest (RT-17).
const TABLE_QUOTA: usize = 200;
const ROUTE_QUOTA: (usize, usize) = (50, 1000);

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
            let attachment = interface.and_then(|it| it.attachment.as_ref());
            let instance = attachment
                .and_then(|it| records.find::<Instance>(&call.scope, it.instance_id.as_str()));
            instance.is_some_and(|it| {
                matches!(it.state, InstanceState::Pending | InstanceState::Running)
            })
        }
        RouteTarget::NatGateway(id) => records
            .find::<NatGateway>(&call.scope, id.as_str())
            .is_some_and(|gateway| gateway.state.translates()),
        RouteTarget::EgressOnlyInternetGateway(id) => {
            records.find::<EgressOnlyInternetGateway>(&call.scope, id.as_str()).is_some()
        }
        RouteTarget::VpcPeeringConnection(id) => records
            .machine::<VpcPeeringConnection>(id.as_str())
            .is_some_and(|peering| peering.status == PeeringStatus::Active),
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
    }
    shown
}

fn shown_association(table: &RouteTable, it: &RouteTableAssociation) -> ec2::RouteTableAssociation {
    ec2::RouteTableAssociation {
        main: Some(it.main),
        route_table_association_id: Some(it.id.to_string()),
        route_table_id: Some(table.id.to_string()),
        subnet_id: it.subnet_id.as_ref().map(ToString::to_string),
        association_state: Some(associated()),
        ..Default::default()
    }
}

fn associated() -> ec2::RouteTableAssociationState {
    ec2::RouteTableAssociationState { state: Some("associated".into()), ..Default::default() }
}

fn shown(call: &Call, records: &Snapshot, table: &RouteTable) -> ec2::RouteTable {
    let vpc = records.find::<Vpc>(&call.scope, table.vpc_id.as_str());
    let local = vpc.into_iter().flat_map(|vpc| vpc::blocks(vpc)).map(|block| ec2::Route {
        destination_cidr_block: Some(block.to_string()),
        gateway_id: Some("local".into()),
        origin: Some("CreateRouteTable".into()),
        state: Some("active".into()),
        ..Default::default()
    });
    let made = table.routes.iter().map(|route| shown_route(call, records, table, route));
    ec2::RouteTable {
        associations: table.associations.iter().map(|it| shown_association(table, it)).collect(),
        route_table_id: Some(table.id.to_string()),
        routes: local.chain(made).collect(),
        tags: tags::shown(&table.tags),
        vpc_id: Some(table.vpc_id.to_string()),
        owner_id: Some(call.account().to_string()),
        ..Default::default()
    }
}

macro_rules! of_routes {
    ($field:ident) => {
        |it| it.routes.iter().filter_map(|route| route.$field.clone()).collect()
    };
}

macro_rules! of_associations {
    ($field:ident) => {
        |it| it.associations.iter().filter_map(|found| found.$field.clone()).collect()
    };
}

const FIELDS: &Fields<ec2::RouteTable> = &[
    ("association.gateway-id", of_associations!(gateway_id)),
    ("association.main", |it| {
        it.associations.iter().filter_map(|it| it.main).map(|it| it.to_string()).collect()
    }),
    ("association.route-table-association-id", of_associations!(route_table_association_id)),
    ("association.route-table-id", of_associations!(route_table_id)),
    ("association.subnet-id", of_associations!(subnet_id)),
    ("owner-id", |it| some(&it.owner_id)),
    ("route-table-id", |it| some(&it.route_table_id)),
    ("route.destination-cidr-block", of_routes!(destination_cidr_block)),
    ("route.destination-ipv6-cidr-block", of_routes!(destination_ipv6_cidr_block)),
    ("route.destination-prefix-list-id", of_routes!(destination_prefix_list_id)),
    ("route.egress-only-internet-gateway-id", of_routes!(egress_only_internet_gateway_id)),
    ("route.gateway-id", of_routes!(gateway_id)),
    ("route.instance-id", of_routes!(instance_id)),
    ("route.nat-gateway-id", of_routes!(nat_gateway_id)),
    ("route.origin", of_routes!(origin)),
    ("route.state", of_routes!(state)),
    ("route.transit-gateway-id", of_routes!(transit_gateway_id)),
    ("route.vpc-peering-connection-id", of_routes!(vpc_peering_connection_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeRouteTablesRequest,
) -> Answer<ec2::DescribeRouteTablesResult> {
    let found = listed::<RouteTable>(records, &call.scope, &r.route_table_ids)?;
    let tables = found.iter().map(|table| shown(call, records, table)).collect();
    let tables = select(tables, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (route_tables, next_token) =
        page(tables, r.max_results, &r.next_token, |it| it.route_table_id.as_deref())?;
    Ok(ec2::DescribeRouteTablesResult { next_token, route_tables })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateRouteTableRequest,
) -> Answer<ec2::CreateRouteTableResult> {
    let answer = |tx: &Transaction, table: &RouteTable| ec2::CreateRouteTableResult {
        route_table: Some(shown(call, tx, table)),
        client_token: r.client_token.clone(),
    };
    let make = |tx: &mut Transaction| {
        let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
        let count = tx.referrers::<RouteTable>(vpc.id.as_str()).count();
        if call.config.aws_quotas && count >= TABLE_QUOTA {
            return Err(ApiError::limit_exceeded(
                "RouteTableLimitExceeded",
                "The maximum number of route tables has been reached.",
            ));
        }
        let table = RouteTable {
            id: RouteTableId::new(call.random()),
            vpc_id: vpc.id.clone(),
            routes: Vec::new(),
            associations: Vec::new(),
            created: call.now,
            tags: tags::on_creation::<RouteTable>(&r.tag_specifications)?,
        };
        let table = tx.put(&call.scope, table);
        Ok((vec![table.id.to_string()], answer(tx, &table)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let table = made.first().and_then(|id| tx.find::<RouteTable>(&call.scope, id)).cloned();
        Ok(table.map(|table| answer(tx, &table)))
    };
    idempotency::once(call, tx, "CreateRouteTable", &r.client_token, r, make, again)
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteRouteTableRequest,
) -> Answer<()> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    if !table.associations.is_empty() {
        return Err(ApiError::has_dependencies(Resource::RouteTable, &table.id));
    }
    tx.remove::<RouteTable>(&call.scope, table.id.as_str());
    Ok(())
}

/// What a request says about a destination: exactly one form of it.
fn destination(
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
        (None, None, Some(id)) => Err(match id.parse::<gureum_types::PrefixListId>() {
            Ok(id) => ApiError::not_found(Resource::PrefixList, id),
            Err(error) => ApiError::malformed_id(Resource::PrefixList, &error),
        }),
        (None, None, None) => Err(ApiError::missing_parameter("DestinationCidrBlock")),
        _ => Err(ApiError::invalid_parameter_combination(
            "Exactly one of destinationCidrBlock, destinationIpv6CidrBlock and \
             destinationPrefixListId must be specified.",
        )),
    }
}

pub(crate) fn shown_destination(destination: &RouteDestination) -> String {
    match destination {
        RouteDestination::Ipv4(to) => to.to_string(),
        RouteDestination::Ipv6(to) => to.to_string(),
        RouteDestination::PrefixList(to) => to.to_string(),
    }
}

/// Checks that a VPC's tables may have a route there (RT-14, RT-15), with that target.
fn check_destination(
    records: &Snapshot,
    vpc: &Vpc,
    destination: &RouteDestination,
    target: &RouteTarget,
) -> Answer<()> {
    let &RouteDestination::Ipv4(to) = destination else { return Ok(()) };
    // The services that answer on link-local addresses are never reached by a route.
    let platform = Ipv4Net::new_assert([169, 254, 168, 0].into(), 22);
    if platform.contains(&to) {
        return Err(ApiError::invalid_parameter_value(format!(
            "The destination CIDR block {to} is equal to or more specific than {platform}, which \
             is reserved."
        )));
    }
    let blocks = vpc::blocks(vpc);
    if blocks.contains(&to) {
        return Err(ApiError::route_already_exists(to));
    }
    if !blocks.iter().any(|block| block.contains(&to)) {
        return Ok(());
    }
    if !records.referrers::<Subnet>(vpc.id.as_str()).any(|subnet| subnet.cidr_block == Some(to)) {
        return Err(ApiError::invalid_parameter_value(format!(
            "The destination CIDR block {to} is more specific than the local route of {} and \
             does not match the CIDR block of a subnet.",
            vpc.id
        )));
    }
    match target {
        RouteTarget::NetworkInterface(_) | RouteTarget::NatGateway(_) => Ok(()),
        _ => Err(ApiError::unsupported_route_target()),
    }
}

/// What a request says about a target: exactly one (RT-9 to RT-11).
fn target(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    gateway: &Option<String>,
    interface: &Option<String>,
    instance: &Option<String>,
) -> Answer<RouteTarget> {
    let (gateway, interface, instance) = (given(gateway), given(interface), given(instance));
    match (gateway, interface, instance) {
        (Some(id), None, None) => gateway_target(call, records, table, id),
        (None, Some(id), None) => {
            let interface = find::<NetworkInterface>(records, &call.scope, id)?;
            interface_target(table, &interface)
        }
        (None, None, Some(id)) => {
            let instance = find::<Instance>(records, &call.scope, id)?;
            let interfaces: Vec<_> =
                records.referrers::<NetworkInterface>(instance.id.as_str()).collect();
            match interfaces.as_slice() {
                [interface] => interface_target(table, interface),
                [] => Err(ApiError::not_found(Resource::Instance, id)),
                _ => Err(ApiError::new(
                    "InvalidInstanceID",
                    format!(
                        "There are multiple interfaces attached to instance '{id}'. Please \
                         specify an interface ID for the operation instead."
                    ),
                )),
            }
        }
        (None, None, None) => Err(ApiError::missing_parameter("GatewayId")),
        _ => Err(ApiError::invalid_parameter_combination(
            "The request must contain exactly one of gatewayId, networkInterfaceId and instanceId.",
        )),
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

fn vpc_of(call: &Call, records: &Snapshot, table: &RouteTable) -> Answer<Arc<Vpc>> {
    find::<Vpc>(records, &call.scope, table.vpc_id.as_str())
}

pub(crate) fn create_route(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateRouteRequest,
) -> Answer<ec2::CreateRouteResult> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let destination = destination(
        &r.destination_cidr_block,
        &r.destination_ipv6_cidr_block,
        &r.destination_prefix_list_id,
    )?;
    let target = target(call, tx, &table, &r.gateway_id, &r.network_interface_id, &r.instance_id)?;
    let vpc = vpc_of(call, tx, &table)?;
    if table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::route_already_exists(shown_destination(&destination)));
    }
    check_destination(tx, &vpc, &destination, &target)?;
    let limit = if call.config.aws_quotas { ROUTE_QUOTA.0 } else { ROUTE_QUOTA.1 };
    if table.routes.len() >= limit {
        return Err(ApiError::limit_exceeded(
            "RouteLimitExceeded",
            "The maximum number of routes has been reached.",
        ));
    }
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.routes.push(Route { destination, target });
    });
    Ok(ec2::CreateRouteResult { r#return: Some(true) })
}

pub(crate) fn replace_route(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceRouteRequest,
) -> Answer<()> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let destination = destination(
        &r.destination_cidr_block,
        &r.destination_ipv6_cidr_block,
        &r.destination_prefix_list_id,
    )?;
    let vpc = vpc_of(call, tx, &table)?;
    if let RouteDestination::Ipv4(to) = destination
        && vpc::blocks(&vpc).contains(&to)
    {
        return Err(ApiError::unsupported_operation(
            "The target of the local route cannot be replaced here yet.",
        ));
    }
    if !table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::no_route_to_replace(shown_destination(&destination)));
    }
    let target = target(call, tx, &table, &r.gateway_id, &r.network_interface_id, &r.instance_id)?;
    check_destination(tx, &vpc, &destination, &target)?;
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        for route in table.routes.iter_mut().filter(|it| it.destination == destination) {
            route.target = target.clone();
        }
    });
    Ok(())
}

pub(crate) fn delete_route(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteRouteRequest,
) -> Answer<()> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let destination = destination(
        &r.destination_cidr_block,
        &r.destination_ipv6_cidr_block,
        &r.destination_prefix_list_id,
    )?;
    let vpc = vpc_of(call, tx, &table)?;
    if let RouteDestination::Ipv4(to) = destination
        && vpc::blocks(&vpc).contains(&to)
    {
        let message = format!("cannot remove local route {to} in route table {}", table.id);
        return Err(ApiError::invalid_parameter_value(message));
    }
    if !table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::route_not_found(&table.id, shown_destination(&destination)));
    }
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.routes.retain(|it| it.destination != destination);
    });
    Ok(())
}

pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateRouteTableRequest,
) -> Answer<ec2::AssociateRouteTableResult> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
    if subnet.vpc_id != table.vpc_id {
        return Err(ApiError::invalid_parameter_value(format!(
            "route table {} and subnet {} belong to different networks",
            table.id, subnet.id
        )));
    }
    if let Some(other) = tx.referrers::<RouteTable>(subnet.id.as_str()).next() {
        return Err(ApiError::route_table_conflict(&other.id));
    }
    let association = RouteTableAssociation {
        id: RouteTableAssociationId::new(call.random()),
        subnet_id: Some(subnet.id.clone()),
        gateway_id: None,
        main: false,
    };
    let id = association.id.to_string();
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.associations.push(association);
    });
    Ok(ec2::AssociateRouteTableResult {
        association_id: Some(id),
        association_state: Some(associated()),
    })
}

/// The table that has an association.
fn associated_table(
    call: &Call,
    records: &Snapshot,
    id: &str,
) -> Answer<(Arc<RouteTable>, RouteTableAssociation)> {
    let resource = Resource::Association;
    id.parse::<RouteTableAssociationId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
    records
        .referrers_with_keys::<RouteTable>(id)
        .filter(|(key, _)| key.scope.as_ref() == Some(&call.scope))
        .find_map(|(_, table)| {
            let association = table.associations.iter().find(|it| it.id.as_str() == id)?;
            Some((table.clone(), association.clone()))
        })
        .ok_or_else(|| ApiError::not_found(resource, id))
}

pub(crate) fn disassociate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateRouteTableRequest,
) -> Answer<()> {
    let id = text(&r.association_id, "AssociationId")?;
    let (table, association) = associated_table(call, tx, id)?;
    if association.main {
        return Err(ApiError::invalid_parameter_value(format!(
            "cannot disassociate the main route table association {id}"
        )));
    }
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.associations.retain(|it| it.id != association.id);
    });
    Ok(())
}

/// The association moves to another table under a new id; so does being the main one (RT-6).
pub(crate) fn replace_association(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceRouteTableAssociationRequest,
) -> Answer<ec2::ReplaceRouteTableAssociationResult> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let id = text(&r.association_id, "AssociationId")?;
    let (former, association) = associated_table(call, tx, id)?;
    if former.vpc_id != table.vpc_id {
        return Err(ApiError::invalid_parameter_value(format!(
            "route table {} and route table association {id} belong to different networks",
            table.id
        )));
    }
    tx.update::<RouteTable>(&call.scope, former.id.as_str(), |table| {
        table.associations.retain(|it| it.id != association.id);
    });
    let moved =
        RouteTableAssociation { id: RouteTableAssociationId::new(call.random()), ..association };
    let new = moved.id.to_string();
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.associations.push(moved);
    });
    Ok(ec2::ReplaceRouteTableAssociationResult {
        new_association_id: Some(new),
        association_state: Some(associated()),
    })
}
