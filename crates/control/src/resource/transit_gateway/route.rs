//! Routes of transit gateways' tables: those that were made, and the blocks of what propagates.
//!
//! A route that was made wins over a propagated one of the same block. VPN connections propagate
//! what their tunnels tell by BGP, which is nothing: no tunnel is ever up.

use std::net::IpAddr;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{
    TransitGatewayRoute, TransitGatewayRouteTable, TransitGatewayVpcAttachment, Vpc,
};
use ipnet::IpNet;

use super::{
    attachment::{self, Attachment},
    block, table,
};
use crate::{
    call::{Answer, Call, given, text},
    filter::{self, Fields, matches, some},
    page::page,
    resource::vpc,
};

/// A route of either origin, with what it leads to.
struct Found {
    destination: IpNet,
    attachments: Vec<Attachment>,
    /// Whether what it leads to is there.
    is_active: bool,
    is_static: bool,
}

impl Found {
    fn shown(self) -> ec2::TransitGatewayRoute {
        let attachment = |it: Attachment| ec2::TransitGatewayRouteAttachment {
            resource_id: Some(it.resource),
            transit_gateway_attachment_id: Some(it.id.to_string()),
            resource_type: Some(it.kind.into()),
        };
        ec2::TransitGatewayRoute {
            destination_cidr_block: Some(self.destination.to_string()),
            transit_gateway_attachments: self.attachments.into_iter().map(attachment).collect(),
            r#type: Some(if self.is_static { "static" } else { "propagated" }.into()),
            state: Some(if self.is_active { "active" } else { "blackhole" }.into()),
            ..Default::default()
        }
    }
}

/// A route that was made.
fn made(call: &Call, records: &Snapshot, route: &TransitGatewayRoute) -> Found {
    let id = route.attachment.as_ref();
    let attachment = id.and_then(|id| attachment::any(records, call, id.as_str()));
    Found {
        destination: route.destination,
        is_active: attachment.as_ref().is_some_and(Attachment::is_alive),
        attachments: attachment.into_iter().collect(),
        is_static: true,
    }
}

/// The blocks of a VPC, IPv6 where its attachment shall carry that.
fn blocks_behind(call: &Call, records: &Snapshot, id: &str) -> Vec<IpNet> {
    let found = records.find::<TransitGatewayVpcAttachment>(&call.scope, id);
    let Some(attachment) = found else { return Vec::new() };
    let vpc = records.find::<Vpc>(&call.scope, attachment.vpc_id.as_str());
    let Some(vpc) = vpc else { return Vec::new() };
    let ipv4 = vpc::blocks(vpc).into_iter().map(IpNet::V4);
    let ipv6 = vpc.ipv6_cidr_associations.iter().map(|it| IpNet::V6(it.cidr_block));
    ipv4.chain(ipv6.filter(|_| attachment.ipv6_support)).collect()
}

/// All routes of a table, in the order of their blocks.
fn all(call: &Call, records: &Snapshot, table: &TransitGatewayRouteTable) -> Vec<Found> {
    let mut routes: Vec<_> = table.routes.iter().map(|it| made(call, records, it)).collect();
    for id in &table.propagations {
        let Some(attachment) = attachment::any(records, call, id.as_str()) else { continue };
        for destination in blocks_behind(call, records, id.as_str()) {
            match routes.iter_mut().find(|it| it.destination == destination) {
                Some(known) if known.is_static => {}
                Some(known) => known.attachments.push(attachment.clone()),
                None => routes.push(Found {
                    destination,
                    attachments: vec![attachment.clone()],
                    is_active: true,
                    is_static: false,
                }),
            }
        }
    }
    routes.sort_by_key(|it| it.destination);
    routes
}

/// What a request says of a route: where to, and by which attachment of the table's gateway, if
/// not nowhere.
fn wanted(
    call: &Call,
    records: &Snapshot,
    table: &TransitGatewayRouteTable,
    destination: &Option<String>,
    attachment: &Option<String>,
    blackhole: Option<bool>,
) -> Answer<TransitGatewayRoute> {
    let text = text(destination, "DestinationCidrBlock")?;
    let destination = block(text, "destinationCidrBlock")?;
    let attachment = match (given(attachment), blackhole.unwrap_or_default()) {
        (Some(_), true) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters TransitGatewayAttachmentId and Blackhole cannot be used together.",
            ));
        }
        (None, false) => return Err(ApiError::missing_parameter("TransitGatewayAttachmentId")),
        (None, true) => None,
        (Some(_), false) => {
            let found = attachment::named(call, records, attachment)?;
            if found.gateway != table.transit_gateway_id {
                return Err(table::other_gateway(table, &found));
            }
            Some(found.id)
        }
    };
    Ok(TransitGatewayRoute { destination, attachment })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateTransitGatewayRouteRequest,
) -> Answer<ec2::CreateTransitGatewayRouteResult> {
    let table = table::named(call, tx, &r.transit_gateway_route_table_id)?;
    let (block, id) = (&r.destination_cidr_block, &r.transit_gateway_attachment_id);
    let route = wanted(call, tx, &table, block, id, r.blackhole)?;
    if table.routes.iter().any(|it| it.destination == route.destination) {
        return Err(ApiError::route_already_exists(route.destination));
    }
    let shown = made(call, tx, &route).shown();
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        table.routes.push(route);
    });
    Ok(ec2::CreateTransitGatewayRouteResult { route: Some(shown) })
}

fn missing(table: &TransitGatewayRouteTable, destination: IpNet) -> ApiError {
    ApiError::route_not_found(&table.id, destination)
}

pub(crate) fn replace(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceTransitGatewayRouteRequest,
) -> Answer<ec2::ReplaceTransitGatewayRouteResult> {
    let table = table::named(call, tx, &r.transit_gateway_route_table_id)?;
    let (block, id) = (&r.destination_cidr_block, &r.transit_gateway_attachment_id);
    let route = wanted(call, tx, &table, block, id, r.blackhole)?;
    if !table.routes.iter().any(|it| it.destination == route.destination) {
        return Err(missing(&table, route.destination));
    }
    let shown = made(call, tx, &route).shown();
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        for known in table.routes.iter_mut().filter(|it| it.destination == route.destination) {
            known.attachment = route.attachment.clone();
        }
    });
    Ok(ec2::ReplaceTransitGatewayRouteResult { route: Some(shown) })
}

/// Only what was made can be deleted; what propagates stays.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteTransitGatewayRouteRequest,
) -> Answer<ec2::DeleteTransitGatewayRouteResult> {
    let table = table::named(call, tx, &r.transit_gateway_route_table_id)?;
    let text = text(&r.destination_cidr_block, "DestinationCidrBlock")?;
    let destination = block(text, "destinationCidrBlock")?;
    let known = table.routes.iter().find(|it| it.destination == destination);
    let known = known.ok_or_else(|| missing(&table, destination))?;
    let shown = made(call, tx, known).shown();
    tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |table| {
        table.routes.retain(|it| it.destination != destination);
    });
    let deleted = ec2::TransitGatewayRoute { state: Some("deleted".into()), ..shown };
    Ok(ec2::DeleteTransitGatewayRouteResult { route: Some(deleted) })
}

macro_rules! of_attachments {
    ($field:ident) => {
        |it| it.transit_gateway_attachments.iter().filter_map(|it| it.$field.clone()).collect()
    };
}

const FIELDS: &Fields<ec2::TransitGatewayRoute> = &[
    ("attachment.resource-id", of_attachments!(resource_id)),
    ("attachment.resource-type", of_attachments!(resource_type)),
    ("attachment.transit-gateway-attachment-id", of_attachments!(transit_gateway_attachment_id)),
    ("prefix-list-id", |it| some(&it.prefix_list_id)),
    ("state", |it| some(&it.state)),
    ("type", |it| some(&it.r#type)),
];

/// The filters that speak of blocks.
const SEARCH: &str = "route-search.";

/// Whether a route passes a filter that speaks of blocks.
fn fits(kind: &str, pattern: &str, destination: IpNet) -> bool {
    let block = pattern.parse::<IpNet>().ok();
    let wanted = block.or_else(|| pattern.parse::<IpAddr>().ok().map(IpNet::from));
    match (kind, wanted) {
        // The longest of those that fit is chosen among what is left in the end.
        ("supernet-of-match" | "longest-prefix-match", Some(wanted)) => {
            destination.contains(&wanted)
        }
        ("subnet-of-match", Some(wanted)) => wanted.contains(&destination),
        ("exact-match", Some(wanted)) => wanted == destination,
        ("exact-match", None) => matches(pattern, &destination.to_string()),
        _ => false,
    }
}

pub(crate) fn search(
    call: &Call,
    records: &Snapshot,
    r: &ec2::SearchTransitGatewayRoutesRequest,
) -> Answer<ec2::SearchTransitGatewayRoutesResult> {
    let table = table::named(call, records, &r.transit_gateway_route_table_id)?;
    let (of_blocks, others): (Vec<_>, Vec<_>) = r.filters.iter().cloned().partition(|filter| {
        let kind = filter.name.as_deref().and_then(|name| name.strip_prefix(SEARCH));
        matches!(
            kind,
            Some("exact-match" | "longest-prefix-match" | "subnet-of-match" | "supernet-of-match")
        )
    });
    filter::check(&others, FIELDS, None)?;
    let mut found = all(call, records, &table);
    for (number, filter) in of_blocks.iter().enumerate() {
        if filter.values.is_empty() {
            return Err(ApiError::missing_parameter(&format!("Filter.{}.Value", number + 1)));
        }
        let name = filter.name.as_deref().unwrap_or_default();
        let kind = name.strip_prefix(SEARCH).unwrap_or_default();
        found.retain(|it| filter.values.iter().any(|value| fits(kind, value, it.destination)));
        if kind == "longest-prefix-match" {
            let longest = found.iter().map(|it| it.destination.prefix_len()).max();
            found.retain(|it| Some(it.destination.prefix_len()) == longest);
        }
    }
    let mut routes: Vec<_> = found.into_iter().map(Found::shown).collect();
    routes.retain(|route| filter::passes(route, &others, FIELDS, None));
    routes.sort_by(|a, b| a.destination_cidr_block.cmp(&b.destination_cidr_block));
    let (routes, next_token) =
        page(routes, r.max_results, &r.next_token, |it| it.destination_cidr_block.as_deref())?;
    let additional_routes_available = Some(next_token.is_some());
    Ok(ec2::SearchTransitGatewayRoutesResult { routes, additional_routes_available, next_token })
}
