//! Route tables (RT-*): their associations with subnets and gateways, the main table.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InternetGatewayId, RouteTableAssociationId, RouteTableId, SubnetId,
    record::{InternetGateway, RouteTable, RouteTableAssociation, Scope, Subnet, Vpc},
};

use crate::{
    call::{Answer, Call, find, given, required, text},
    filter::{Fields, some},
    query::{Query, View, own, referrers},
    resource::{idempotency, route},
    tags,
};

/// How many tables a VPC may have (RT-17).
const TABLE_QUOTA: usize = 200;

fn shown_association(table: &RouteTable, it: &RouteTableAssociation) -> ec2::RouteTableAssociation {
    ec2::RouteTableAssociation {
        main: Some(it.main),
        route_table_association_id: Some(it.id.to_string()),
        route_table_id: Some(table.id.to_string()),
        subnet_id: it.subnet_id.as_ref().map(ToString::to_string),
        gateway_id: it.gateway_id.as_ref().map(ToString::to_string),
        association_state: Some(associated()),
        ..Default::default()
    }
}

fn associated() -> ec2::RouteTableAssociationState {
    ec2::RouteTableAssociationState { state: Some("associated".into()), ..Default::default() }
}

fn shown(call: &Call, records: &Snapshot, table: &RouteTable) -> ec2::RouteTable {
    ec2::RouteTable {
        associations: table.associations.iter().map(|it| shown_association(table, it)).collect(),
        route_table_id: Some(table.id.to_string()),
        routes: route::shown_all(call, records, table),
        tags: tags::shown(&table.tags),
        vpc_id: Some(table.vpc_id.to_string()),
        owner_id: Some(call.account().to_string()),
        propagating_vgws: table
            .propagating_gateways
            .iter()
            .map(|id| ec2::PropagatingVgw { gateway_id: Some(id.to_string()) })
            .collect(),
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

/// The tables with a route to a gateway; each has one to `local`.
fn routing_to(records: &Snapshot, scope: &Scope, id: &str) -> Vec<Arc<RouteTable>> {
    match id {
        "local" => records.all(scope).cloned().collect(),
        id => referrers(records, scope, id),
    }
}

const VIEW: View<RouteTable, ec2::RouteTable> = View {
    fields: FIELDS,
    index: &[
        ("association.gateway-id", referrers),
        ("association.route-table-association-id", referrers),
        ("association.route-table-id", own),
        ("association.subnet-id", referrers),
        ("route-table-id", own),
        ("route.gateway-id", routing_to),
        ("route.nat-gateway-id", referrers),
        ("route.vpc-peering-connection-id", referrers),
        ("vpc-id", referrers),
    ],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeRouteTablesRequest,
) -> Answer<ec2::DescribeRouteTablesResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (route_tables, next_token) =
        query.answer(records, &call.scope, &r.route_table_ids, &VIEW, |it| {
            shown(call, records, it)
        })?;
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
            propagating_gateways: Vec::new(),
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

/// The subnet that a request ties to a table: one without a tie yet (RT-5).
fn subnet(call: &Call, records: &Snapshot, table: &RouteTable, id: &str) -> Answer<SubnetId> {
    let subnet = find::<Subnet>(records, &call.scope, id)?;
    if subnet.vpc_id != table.vpc_id {
        return Err(ApiError::invalid_parameter_value(format!(
            "route table {} and subnet {} belong to different networks",
            table.id, subnet.id
        )));
    }
    match records.referrers::<RouteTable>(subnet.id.as_str()).next() {
        Some(other) => Err(ApiError::route_table_conflict(&other.id)),
        None => Ok(subnet.id.clone()),
    }
}

/// The internet gateway that a request ties to a table, which must be fit for it (RT-18).
fn gateway(
    call: &Call,
    records: &Snapshot,
    table: &RouteTable,
    id: &str,
) -> Answer<InternetGatewayId> {
    let gateway = find::<InternetGateway>(records, &call.scope, id)?;
    if gateway.vpc_id.as_ref() != Some(&table.vpc_id) {
        return Err(ApiError::different_networks(&table.id, &gateway.id));
    }
    if let Some(other) = of_gateway(records, &gateway.id) {
        return Err(ApiError::route_table_conflict(&other.id));
    }
    for route in &table.routes {
        route::check_behind_gateway(call, records, table, route)?;
    }
    Ok(gateway.id.clone())
}

/// The table of an internet gateway. Others refer to the gateway by their routes.
fn of_gateway<'a>(
    records: &'a Snapshot,
    gateway: &InternetGatewayId,
) -> Option<&'a Arc<RouteTable>> {
    let has = |table: &RouteTable| {
        table.associations.iter().any(|it| it.gateway_id.as_ref() == Some(gateway))
    };
    records.referrers::<RouteTable>(gateway.as_str()).find(|table| has(table))
}

/// Takes a gateway that leaves its VPC off the table that it has there.
pub(crate) fn leave(call: &Call, tx: &mut Transaction, gateway: &InternetGatewayId) {
    let table = of_gateway(tx, gateway).map(|table| table.id.clone());
    if let Some(table) = table {
        tx.update::<RouteTable>(&call.scope, table.as_str(), |table| {
            table.associations.retain(|it| it.gateway_id.as_ref() != Some(gateway));
        });
    }
}

pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateRouteTableRequest,
) -> Answer<ec2::AssociateRouteTableResult> {
    let table = required::<RouteTable>(tx, &call.scope, &r.route_table_id, "RouteTableId")?;
    let (subnet_id, gateway_id) = match (given(&r.subnet_id), given(&r.gateway_id)) {
        (Some(id), None) => (Some(subnet(call, tx, &table, id)?), None),
        (None, Some(id)) => (None, Some(gateway(call, tx, &table, id)?)),
        (None, None) => return Err(ApiError::missing_parameter("SubnetId")),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The request must contain exactly one of gatewayId and subnetId.",
            ));
        }
    };
    let association = RouteTableAssociation {
        id: RouteTableAssociationId::new(call.random()),
        subnet_id,
        gateway_id,
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
    if association.gateway_id.is_some() {
        for route in &table.routes {
            route::check_behind_gateway(call, tx, &table, route)?;
        }
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
