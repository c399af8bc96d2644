//! Transit gateways and their attachments to VPCs, as records (TGW-1): routes may lead to them, and
//! what takes such a route is dropped by a name of its own. Their own route tables are kept and
//! searched as AWS does it, so that what is planned here is planned right.

pub(crate) mod attachment;
pub(crate) mod route;
pub(crate) mod table;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags, TransitGatewayId, TransitGatewayRouteTableId,
    record::{
        TransitGateway, TransitGatewayOptions, TransitGatewayRouteTable,
        TransitGatewayVpcAttachment, VpnConnection,
    },
};
use ipnet::IpNet;

use crate::{
    call::{Answer, Call, alive, given, listed},
    filter::{Fields, select, some},
    page::page,
    resource::vpn_gateway,
    tags,
};

fn word(on: bool) -> Option<String> {
    Some(if on { "enable" } else { "disable" }.to_owned())
}

fn is_on(wanted: &Option<String>, otherwise: bool) -> bool {
    given(wanted).map_or(otherwise, |word| word == "enable")
}

fn state(deleted: bool) -> Option<String> {
    Some(if deleted { "deleted" } else { "available" }.to_owned())
}

fn shown(call: &Call, gateway: &TransitGateway) -> ec2::TransitGateway {
    let options = &gateway.options;
    let table = gateway.default_route_table.as_ref().map(ToString::to_string);
    let propagation = gateway.propagation_table().map(ToString::to_string);
    let associates = options.default_route_table_association;
    let propagates = options.default_route_table_propagation;
    ec2::TransitGateway {
        transit_gateway_id: Some(gateway.id.to_string()),
        transit_gateway_arn: Some(call.arn("transit-gateway", &gateway.id)),
        state: state(gateway.deleted.is_some()),
        owner_id: Some(call.account().to_string()),
        description: Some(gateway.description.clone()),
        creation_time: Some(gateway.created),
        options: Some(ec2::TransitGatewayOptions {
            amazon_side_asn: Some(options.amazon_side_asn.into()),
            transit_gateway_cidr_blocks: options
                .cidr_blocks
                .iter()
                .map(ToString::to_string)
                .collect(),
            auto_accept_shared_attachments: word(options.auto_accept_shared_attachments),
            default_route_table_association: word(associates),
            association_default_route_table_id: table.filter(|_| associates),
            default_route_table_propagation: word(propagates),
            propagation_default_route_table_id: propagation.filter(|_| propagates),
            vpn_ecmp_support: word(options.vpn_ecmp_support),
            dns_support: word(options.dns_support),
            security_group_referencing_support: word(options.security_group_referencing_support),
            multicast_support: word(options.multicast_support),
            ..Default::default()
        }),
        tags: tags::shown(&gateway.tags),
    }
}

macro_rules! of_options {
    ($field:ident) => {
        |it| it.options.iter().filter_map(|it| it.$field.clone()).collect()
    };
}

const FIELDS: &Fields<ec2::TransitGateway> = &[
    ("options.amazon-side-asn", |it| {
        let asns = it.options.iter().filter_map(|it| it.amazon_side_asn);
        asns.map(|asn| asn.to_string()).collect()
    }),
    ("options.association-default-route-table-id", of_options!(association_default_route_table_id)),
    ("options.auto-accept-shared-attachments", of_options!(auto_accept_shared_attachments)),
    ("options.default-route-table-association", of_options!(default_route_table_association)),
    ("options.default-route-table-propagation", of_options!(default_route_table_propagation)),
    ("options.dns-support", of_options!(dns_support)),
    ("options.propagation-default-route-table-id", of_options!(propagation_default_route_table_id)),
    ("options.vpn-ecmp-support", of_options!(vpn_ecmp_support)),
    ("owner-id", |it| some(&it.owner_id)),
    ("state", |it| some(&it.state)),
    ("transit-gateway-id", |it| some(&it.transit_gateway_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeTransitGatewaysRequest,
) -> Answer<ec2::DescribeTransitGatewaysResult> {
    let found = listed::<TransitGateway>(records, &call.scope, &r.transit_gateway_ids)?;
    let gateways = found.iter().map(|gateway| shown(call, gateway)).collect();
    let gateways = select(gateways, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (transit_gateways, next_token) =
        page(gateways, r.max_results, &r.next_token, |it| it.transit_gateway_id.as_deref())?;
    Ok(ec2::DescribeTransitGatewaysResult { transit_gateways, next_token })
}

/// Blocks of addresses, without the bits behind them.
fn blocks(texts: &[String]) -> Answer<Vec<IpNet>> {
    let block = |text: &String| block(text, "transitGatewayCidrBlocks");
    texts.iter().map(block).collect()
}

/// A block of addresses of either family.
fn block(text: &str, parameter: &str) -> Answer<IpNet> {
    let block = text.parse::<IpNet>().map(|block| block.trunc());
    block.map_err(|_| ApiError::not_a_cidr(text, parameter))
}

fn options(r: &ec2::CreateTransitGatewayRequest) -> Answer<TransitGatewayOptions> {
    let wanted = r.options.clone().unwrap_or_default();
    Ok(TransitGatewayOptions {
        amazon_side_asn: vpn_gateway::amazon_side_asn(wanted.amazon_side_asn)?,
        cidr_blocks: blocks(&wanted.transit_gateway_cidr_blocks)?,
        auto_accept_shared_attachments: is_on(&wanted.auto_accept_shared_attachments, false),
        default_route_table_association: is_on(&wanted.default_route_table_association, true),
        default_route_table_propagation: is_on(&wanted.default_route_table_propagation, true),
        vpn_ecmp_support: is_on(&wanted.vpn_ecmp_support, true),
        dns_support: is_on(&wanted.dns_support, true),
        security_group_referencing_support: is_on(
            &wanted.security_group_referencing_support,
            false,
        ),
        multicast_support: is_on(&wanted.multicast_support, false),
    })
}

/// With a route table of its own, unless it shall have none by default.
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateTransitGatewayRequest,
) -> Answer<ec2::CreateTransitGatewayResult> {
    let options = options(r)?;
    let tags = tags::on_creation::<TransitGateway>(&r.tag_specifications)?;
    let id = TransitGatewayId::new(call.random());
    let has_table =
        options.default_route_table_association || options.default_route_table_propagation;
    let table = has_table.then(|| table::new(call, id.clone(), Tags::new()));
    let default_route_table = table.map(|table| tx.put(&call.scope, table).id.clone());
    let gateway = TransitGateway {
        id,
        description: r.description.clone().unwrap_or_default(),
        options,
        default_route_table,
        default_propagation_table: None,
        created: call.now,
        deleted: None,
        tags,
    };
    let gateway = tx.put(&call.scope, gateway);
    let pending = Some("pending".to_owned());
    let shown = ec2::TransitGateway { state: pending, ..shown(call, &gateway) };
    Ok(ec2::CreateTransitGatewayResult { transit_gateway: Some(shown) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteTransitGatewayRequest,
) -> Answer<ec2::DeleteTransitGatewayResult> {
    let id = &r.transit_gateway_id;
    let gateway = alive::<TransitGateway>(tx, &call.scope, id, "TransitGatewayId")?;
    let id = gateway.id.as_str();
    if tx.referrers::<TransitGatewayVpcAttachment>(id).next().is_some()
        || tx.referrers::<VpnConnection>(id).next().is_some()
    {
        let message = format!("{id} has non-deleted Transit Gateway Attachments.");
        return Err(ApiError::incorrect_state(message));
    }
    let tables: Vec<_> = tx.referrers::<TransitGatewayRouteTable>(id).cloned().collect();
    for table in tables {
        tx.update::<TransitGatewayRouteTable>(&call.scope, table.id.as_str(), |it| {
            it.deleted = Some(call.now);
        });
    }
    let gateway = TransitGateway { deleted: Some(call.now), ..(*gateway).clone() };
    let gateway = tx.put(&call.scope, gateway);
    let deleting = Some("deleting".to_owned());
    let shown = ec2::TransitGateway { state: deleting, ..shown(call, &gateway) };
    Ok(ec2::DeleteTransitGatewayResult { transit_gateway: Some(shown) })
}

/// A table of a gateway that new attachments shall go to by default.
fn default_table(
    call: &Call,
    records: &Snapshot,
    gateway: &TransitGateway,
    id: &Option<String>,
) -> Answer<Option<TransitGatewayRouteTableId>> {
    if given(id).is_none() {
        return Ok(None);
    }
    let parameter = "TransitGatewayRouteTableId";
    let table = alive::<TransitGatewayRouteTable>(records, &call.scope, id, parameter)?;
    match table.transit_gateway_id == gateway.id {
        true => Ok(Some(table.id.clone())),
        false => Err(ApiError::invalid_parameter_value(format!(
            "The Transit Gateway Route Table {} does not belong to {}.",
            table.id, gateway.id
        ))),
    }
}

/// What is not said stays as it is. A default table must be there before anything goes to it.
pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyTransitGatewayRequest,
) -> Answer<ec2::ModifyTransitGatewayResult> {
    let id = &r.transit_gateway_id;
    let gateway = alive::<TransitGateway>(tx, &call.scope, id, "TransitGatewayId")?;
    let wanted = r.options.clone().unwrap_or_default();
    let association = &wanted.association_default_route_table_id;
    let association = default_table(call, tx, &gateway, association)?;
    let propagation = &wanted.propagation_default_route_table_id;
    let propagation = default_table(call, tx, &gateway, propagation)?;
    let mut changed = (*gateway).clone();
    if let Some(description) = &r.description {
        changed.description = description.clone();
    }
    let propagates_into = changed.propagation_table().cloned();
    if let Some(table) = association {
        changed.default_route_table = Some(table);
    }
    changed.default_propagation_table = propagation.or(propagates_into);
    let options = &mut changed.options;
    for (wanted, now) in [
        (&wanted.vpn_ecmp_support, &mut options.vpn_ecmp_support),
        (&wanted.dns_support, &mut options.dns_support),
        (
            &wanted.security_group_referencing_support,
            &mut options.security_group_referencing_support,
        ),
        (&wanted.auto_accept_shared_attachments, &mut options.auto_accept_shared_attachments),
        (&wanted.default_route_table_association, &mut options.default_route_table_association),
        (&wanted.default_route_table_propagation, &mut options.default_route_table_propagation),
    ] {
        *now = is_on(wanted, *now);
    }
    if wanted.amazon_side_asn.is_some() {
        options.amazon_side_asn = vpn_gateway::amazon_side_asn(wanted.amazon_side_asn)?;
    }
    let removed = blocks(&wanted.remove_transit_gateway_cidr_blocks)?;
    options.cidr_blocks.retain(|block| !removed.contains(block));
    for block in blocks(&wanted.add_transit_gateway_cidr_blocks)? {
        if !options.cidr_blocks.contains(&block) {
            options.cidr_blocks.push(block);
        }
    }
    for (is_wanted, table, parameter) in [
        (
            options.default_route_table_association,
            changed.default_route_table.as_ref(),
            "Options.AssociationDefaultRouteTableId",
        ),
        (
            options.default_route_table_propagation,
            changed.propagation_table(),
            "Options.PropagationDefaultRouteTableId",
        ),
    ] {
        if is_wanted && table.is_none() {
            return Err(ApiError::missing_parameter(parameter));
        }
    }
    let gateway = tx.put(&call.scope, changed);
    let modifying = Some("modifying".to_owned());
    let shown = ec2::TransitGateway { state: modifying, ..shown(call, &gateway) };
    Ok(ec2::ModifyTransitGatewayResult { transit_gateway: Some(shown) })
}
