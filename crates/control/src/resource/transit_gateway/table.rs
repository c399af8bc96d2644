//! Route tables of transit gateways: which attachments are routed by them (associations) and which
//! bring their blocks into them (propagations).

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags, TransitGatewayId, TransitGatewayRouteTableId,
    record::{TransitGateway, TransitGatewayRouteTable},
};

use super::{
    attachment::{self, Attachment},
    state,
};
use crate::{
    call::{Answer, Call, alive, listed},
    filter::{Fields, flag, select, some},
    page::page,
    tags,
};

const FIELDS: &Fields<ec2::TransitGatewayRouteTable> = &[
    ("default-association-route-table", |it| flag(it.default_association_route_table)),
    ("default-propagation-route-table", |it| flag(it.default_propagation_route_table)),
    ("state", |it| some(&it.state)),
    ("transit-gateway-id", |it| some(&it.transit_gateway_id)),
    ("transit-gateway-route-table-id", |it| some(&it.transit_gateway_route_table_id)),
];

fn shown(
    call: &Call,
    records: &Snapshot,
    table: &TransitGatewayRouteTable,
    stage: Option<&str>,
) -> ec2::TransitGatewayRouteTable {
    let gateway = records.find::<TransitGateway>(&call.scope, table.transit_gateway_id.as_str());
    let is_default = |of: fn(&TransitGateway) -> (bool, Option<&TransitGatewayRouteTableId>)| {
        let found = gateway.map(|it| of(it));
        Some(found.is_some_and(|(is_used, id)| is_used && id == Some(&table.id)))
    };
    ec2::TransitGatewayRouteTable {
        transit_gateway_route_table_id: Some(table.id.to_string()),
        transit_gateway_id: Some(table.transit_gateway_id.to_string()),
        state: stage.map(str::to_owned).or(state(table.deleted.is_some())),
        default_association_route_table: is_default(|it| {
            (it.options.default_route_table_association, it.default_route_table.as_ref())
        }),
        default_propagation_route_table: is_default(|it| {
            (it.options.default_route_table_propagation, it.propagation_table())
        }),
        creation_time: Some(table.created),
        tags: tags::shown(&table.tags),
    }
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeTransitGatewayRouteTablesRequest,
) -> Answer<ec2::DescribeTransitGatewayRouteTablesResult> {
    let ids = &r.transit_gateway_route_table_ids;
    let found = listed::<TransitGatewayRouteTable>(records, &call.scope, ids)?;
    let found = found.iter().map(|table| shown(call, records, table, None)).collect();
    let found = select(found, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (transit_gateway_route_tables, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.transit_gateway_route_table_id.as_deref()
        })?;
    Ok(ec2::DescribeTransitGatewayRouteTablesResult { transit_gateway_route_tables, next_token })
}

/// A table without anything in it.
pub(super) fn new(call: &Call, gateway: TransitGatewayId, tags: Tags) -> TransitGatewayRouteTable {
    TransitGatewayRouteTable {
        id: TransitGatewayRouteTableId::new(call.random()),
        transit_gateway_id: gateway,
        associations: Vec::new(),
        propagations: Vec::new(),
        routes: Vec::new(),
        created: call.now,
        deleted: None,
        tags,
    }
}

/// The table that a required parameter names.
pub(super) fn named(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
) -> Answer<Arc<TransitGatewayRouteTable>> {
    alive::<TransitGatewayRouteTable>(records, &call.scope, id, "TransitGatewayRouteTableId")
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateTransitGatewayRouteTableRequest,
) -> Answer<ec2::CreateTransitGatewayRouteTableResult> {
    let id = &r.transit_gateway_id;
    let gateway = alive::<TransitGateway>(tx, &call.scope, id, "TransitGatewayId")?;
    let tags = tags::on_creation::<TransitGatewayRouteTable>(&r.tag_specifications)?;
    let table = tx.put(&call.scope, new(call, gateway.id.clone(), tags));
    Ok(ec2::CreateTransitGatewayRouteTableResult {
        transit_gateway_route_table: Some(shown(call, tx, &table, Some("pending"))),
    })
}

/// Neither a table that routes something nor one that new attachments go to can be deleted.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteTransitGatewayRouteTableRequest,
) -> Answer<ec2::DeleteTransitGatewayRouteTableResult> {
    let table = named(call, tx, &r.transit_gateway_route_table_id)?;
    if !table.associations.is_empty() {
        let message = format!("{} has non-deleted associations.", table.id);
        return Err(ApiError::incorrect_state(message));
    }
    let now = shown(call, tx, &table, None);
    if now.default_association_route_table == Some(true)
        || now.default_propagation_route_table == Some(true)
    {
        let gateway = &table.transit_gateway_id;
        let message = format!("{} is a default route table of {gateway}.", table.id);
        return Err(ApiError::incorrect_state(message));
    }
    let deleted = TransitGatewayRouteTable { deleted: Some(call.now), ..(*table).clone() };
    let table = tx.put(&call.scope, deleted);
    Ok(ec2::DeleteTransitGatewayRouteTableResult {
        transit_gateway_route_table: Some(shown(call, tx, &table, Some("deleting"))),
    })
}

/// A table and an attachment of one gateway.
fn pair(
    call: &Call,
    records: &Snapshot,
    table: &Option<String>,
    attachment: &Option<String>,
) -> Answer<(Arc<TransitGatewayRouteTable>, Attachment)> {
    let table = named(call, records, table)?;
    let attachment = attachment::named(call, records, attachment)?;
    match table.transit_gateway_id == attachment.gateway {
        true => Ok((table, attachment)),
        false => Err(other_gateway(&table, &attachment)),
    }
}

/// A table and an attachment are of different gateways.
pub(super) fn other_gateway(table: &TransitGatewayRouteTable, it: &Attachment) -> ApiError {
    ApiError::invalid_parameter_value(format!(
        "{} and {} do not belong to the same Transit Gateway.",
        table.id, it.id
    ))
}

fn association(
    table: &TransitGatewayRouteTable,
    it: &Attachment,
    state: &str,
) -> Option<ec2::TransitGatewayAssociation> {
    Some(ec2::TransitGatewayAssociation {
        transit_gateway_route_table_id: Some(table.id.to_string()),
        transit_gateway_attachment_id: Some(it.id.to_string()),
        resource_id: Some(it.resource.clone()),
        resource_type: Some(it.kind.into()),
        state: Some(state.into()),
    })
}

/// An attachment is routed by one table at most.
pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateTransitGatewayRouteTableRequest,
) -> Answer<ec2::AssociateTransitGatewayRouteTableResult> {
    let (table, it) =
        pair(call, tx, &r.transit_gateway_route_table_id, &r.transit_gateway_attachment_id)?;
    if attachment::table_of(tx, &it.id).is_some() {
        return Err(ApiError::already_associated(format!(
            "Transit Gateway Attachment {} is already associated to a route table.",
            it.id
        )));
    }
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        table.associations.push(it.id.clone());
    });
    let association = association(&table, &it, "associating");
    Ok(ec2::AssociateTransitGatewayRouteTableResult { association })
}

pub(crate) fn disassociate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateTransitGatewayRouteTableRequest,
) -> Answer<ec2::DisassociateTransitGatewayRouteTableResult> {
    let (table, it) =
        pair(call, tx, &r.transit_gateway_route_table_id, &r.transit_gateway_attachment_id)?;
    if !table.associations.contains(&it.id) {
        return Err(ApiError::new(
            "InvalidAssociation.NotFound",
            format!("{} is not associated with {}.", it.id, table.id),
        ));
    }
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        table.associations.retain(|id| *id != it.id);
    });
    let association = association(&table, &it, "disassociating");
    Ok(ec2::DisassociateTransitGatewayRouteTableResult { association })
}

fn propagation(
    table: &TransitGatewayRouteTable,
    it: &Attachment,
    state: &str,
) -> Option<ec2::TransitGatewayPropagation> {
    Some(ec2::TransitGatewayPropagation {
        transit_gateway_attachment_id: Some(it.id.to_string()),
        resource_id: Some(it.resource.clone()),
        resource_type: Some(it.kind.into()),
        transit_gateway_route_table_id: Some(table.id.to_string()),
        state: Some(state.into()),
        ..Default::default()
    })
}

pub(crate) fn enable_propagation(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::EnableTransitGatewayRouteTablePropagationRequest,
) -> Answer<ec2::EnableTransitGatewayRouteTablePropagationResult> {
    let (table, it) =
        pair(call, tx, &r.transit_gateway_route_table_id, &r.transit_gateway_attachment_id)?;
    if table.propagations.contains(&it.id) {
        return Err(ApiError::new(
            "TransitGatewayRouteTablePropagation.Duplicate",
            format!(
                "Propagation {} already exists in Transit Gateway Route Table {}.",
                it.id, table.id
            ),
        ));
    }
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        table.propagations.push(it.id.clone());
    });
    let propagation = propagation(&table, &it, "enabled");
    Ok(ec2::EnableTransitGatewayRouteTablePropagationResult { propagation })
}

pub(crate) fn disable_propagation(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisableTransitGatewayRouteTablePropagationRequest,
) -> Answer<ec2::DisableTransitGatewayRouteTablePropagationResult> {
    let (table, it) =
        pair(call, tx, &r.transit_gateway_route_table_id, &r.transit_gateway_attachment_id)?;
    if !table.propagations.contains(&it.id) {
        return Err(ApiError::new(
            "TransitGatewayRouteTablePropagation.NotFound",
            format!(
                "Propagation {} does not exist in Transit Gateway Route Table {}.",
                it.id, table.id
            ),
        ));
    }
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        table.propagations.retain(|id| *id != it.id);
    });
    let propagation = propagation(&table, &it, "disabled");
    Ok(ec2::DisableTransitGatewayRouteTablePropagationResult { propagation })
}

const ASSOCIATION_FIELDS: &Fields<ec2::TransitGatewayRouteTableAssociation> = &[
    ("resource-id", |it| some(&it.resource_id)),
    ("resource-type", |it| some(&it.resource_type)),
    ("transit-gateway-attachment-id", |it| some(&it.transit_gateway_attachment_id)),
];

pub(crate) fn associations(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetTransitGatewayRouteTableAssociationsRequest,
) -> Answer<ec2::GetTransitGatewayRouteTableAssociationsResult> {
    let table = named(call, records, &r.transit_gateway_route_table_id)?;
    let mut ids = table.associations.clone();
    ids.sort();
    let found = ids.iter().filter_map(|id| attachment::any(records, call, id.as_str()));
    let found = found.map(|it| ec2::TransitGatewayRouteTableAssociation {
        transit_gateway_attachment_id: Some(it.id.to_string()),
        resource_id: Some(it.resource),
        resource_type: Some(it.kind.into()),
        state: Some("associated".into()),
    });
    let found = select(found.collect(), &r.filters, ASSOCIATION_FIELDS, None)?;
    let (associations, next_token) = page(found, r.max_results, &r.next_token, |it| {
        it.transit_gateway_attachment_id.as_deref()
    })?;
    Ok(ec2::GetTransitGatewayRouteTableAssociationsResult { associations, next_token })
}

const PROPAGATION_FIELDS: &Fields<ec2::TransitGatewayRouteTablePropagation> = &[
    ("resource-id", |it| some(&it.resource_id)),
    ("resource-type", |it| some(&it.resource_type)),
    ("transit-gateway-attachment-id", |it| some(&it.transit_gateway_attachment_id)),
];

pub(crate) fn propagations(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetTransitGatewayRouteTablePropagationsRequest,
) -> Answer<ec2::GetTransitGatewayRouteTablePropagationsResult> {
    let table = named(call, records, &r.transit_gateway_route_table_id)?;
    let mut ids = table.propagations.clone();
    ids.sort();
    let found = ids.iter().filter_map(|id| attachment::any(records, call, id.as_str()));
    let found = found.map(|it| ec2::TransitGatewayRouteTablePropagation {
        transit_gateway_attachment_id: Some(it.id.to_string()),
        resource_id: Some(it.resource),
        resource_type: Some(it.kind.into()),
        state: Some("enabled".into()),
        ..Default::default()
    });
    let found = select(found.collect(), &r.filters, PROPAGATION_FIELDS, None)?;
    let (transit_gateway_route_table_propagations, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.transit_gateway_attachment_id.as_deref()
        })?;
    Ok(ec2::GetTransitGatewayRouteTablePropagationsResult {
        transit_gateway_route_table_propagations,
        next_token,
    })
}

/// The tables that an attachment propagates into.
pub(crate) fn propagations_of(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetTransitGatewayAttachmentPropagationsRequest,
) -> Answer<ec2::GetTransitGatewayAttachmentPropagationsResult> {
    const FIELDS: &Fields<ec2::TransitGatewayAttachmentPropagation> =
        &[("transit-gateway-route-table-id", |it| some(&it.transit_gateway_route_table_id))];
    let attachment = attachment::named(call, records, &r.transit_gateway_attachment_id)?;
    let tables = records.referrers::<TransitGatewayRouteTable>(attachment.id.as_str());
    let tables = tables.filter(|table| table.propagations.contains(&attachment.id));
    let mut found: Vec<_> = tables
        .map(|table| ec2::TransitGatewayAttachmentPropagation {
            transit_gateway_route_table_id: Some(table.id.to_string()),
            state: Some("enabled".into()),
        })
        .collect();
    found.sort_by(|a, b| a.transit_gateway_route_table_id.cmp(&b.transit_gateway_route_table_id));
    let found = select(found, &r.filters, FIELDS, None)?;
    let (transit_gateway_attachment_propagations, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.transit_gateway_route_table_id.as_deref()
        })?;
    Ok(ec2::GetTransitGatewayAttachmentPropagationsResult {
        transit_gateway_attachment_propagations,
        next_token,
    })
}
