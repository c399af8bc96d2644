//! What a transit gateway is attached to: VPCs, and VPN connections that end at it.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags, Timestamp, TransitGatewayAttachmentId, TransitGatewayId,
    record::{
        Subnet, TransitGateway, TransitGatewayRouteTable, TransitGatewayVpcAttachment, Vpc,
        VpnConnection, VpnTarget,
    },
};

use super::{is_on, state, word};
use crate::{
    call::{Answer, Call, alive, find, listed, parse_id, required, text},
    filter::{Fields, select, some},
    page::page,
    tags,
};

/// An attachment of either kind, as tables speak of it.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) id: TransitGatewayAttachmentId,
    pub(super) gateway: TransitGatewayId,
    /// `vpc` or `vpn`.
    pub(super) kind: &'static str,
    /// The id of the VPC or of the connection.
    pub(super) resource: String,
    created: Timestamp,
    deleted: Option<Timestamp>,
    tags: Tags,
}

impl Attachment {
    pub(super) fn is_alive(&self) -> bool {
        self.deleted.is_none()
    }

    fn of_vpc(it: &TransitGatewayVpcAttachment) -> Self {
        Self {
            id: it.id.clone(),
            gateway: it.transit_gateway_id.clone(),
            kind: "vpc",
            resource: it.vpc_id.to_string(),
            created: it.created,
            deleted: it.deleted,
            tags: it.tags.clone(),
        }
    }

    /// The tags of a connection are its own; its attachment has none.
    fn of_vpn(it: &VpnConnection) -> Option<Self> {
        let VpnTarget::TransitGateway(gateway, id) = &it.target else { return None };
        Some(Self {
            id: id.clone(),
            gateway: gateway.clone(),
            kind: "vpn",
            resource: it.id.to_string(),
            created: it.created,
            deleted: it.deleted,
            tags: Tags::new(),
        })
    }
}

/// The attachment with an id, also one that is only shown any more.
pub(super) fn any(records: &Snapshot, call: &Call, id: &str) -> Option<Attachment> {
    if let Some(found) = records.find::<TransitGatewayVpcAttachment>(&call.scope, id) {
        return Some(Attachment::of_vpc(found));
    }
    let connections = records.referrers::<VpnConnection>(id);
    connections.filter_map(|it| Attachment::of_vpn(it)).find(|it| it.id.as_str() == id)
}

/// The attachment that a required parameter names.
pub(super) fn named(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<Attachment> {
    let id = text(id, "TransitGatewayAttachmentId")?;
    parse_id::<TransitGatewayVpcAttachment>(id)?;
    let found = any(records, call, id).filter(Attachment::is_alive);
    found.ok_or_else(|| ApiError::not_found(Resource::TransitGatewayAttachment, id))
}

/// Puts a new attachment into the tables where new ones go.
pub(crate) fn join_default_tables(
    call: &Call,
    tx: &mut Transaction,
    gateway: &TransitGateway,
    id: &TransitGatewayAttachmentId,
) {
    if let Some(table) = &gateway.default_route_table
        && gateway.options.default_route_table_association
    {
        tx.update::<TransitGatewayRouteTable>(&call.scope, table.as_str(), |table| {
            table.associations.push(id.clone());
        });
    }
    if let Some(table) = gateway.propagation_table()
        && gateway.options.default_route_table_propagation
    {
        tx.update::<TransitGatewayRouteTable>(&call.scope, table.as_str(), |table| {
            table.propagations.push(id.clone());
        });
    }
}

/// Takes an attachment out of all tables. Routes to it stay and lead nowhere.
pub(crate) fn leave_tables(call: &Call, tx: &mut Transaction, id: &TransitGatewayAttachmentId) {
    let tables = tx.referrers::<TransitGatewayRouteTable>(id.as_str());
    let tables: Vec<_> = tables.map(|table| table.id.clone()).collect();
    for table in tables {
        tx.update::<TransitGatewayRouteTable>(&call.scope, table.as_str(), |table| {
            table.associations.retain(|it| it != id);
            table.propagations.retain(|it| it != id);
        });
    }
}

/// The table that an attachment is routed by.
pub(super) fn table_of<'a>(
    records: &'a Snapshot,
    id: &TransitGatewayAttachmentId,
) -> Option<&'a Arc<TransitGatewayRouteTable>> {
    let mut tables = records.referrers::<TransitGatewayRouteTable>(id.as_str());
    tables.find(|table| table.associations.contains(id))
}

const ANY_FIELDS: &Fields<ec2::TransitGatewayAttachment> = &[
    ("association.state", |it| it.association.iter().filter_map(|it| it.state.clone()).collect()),
    ("association.transit-gateway-route-table-id", |it| {
        let associations = it.association.iter();
        associations.filter_map(|it| it.transit_gateway_route_table_id.clone()).collect()
    }),
    ("resource-id", |it| some(&it.resource_id)),
    ("resource-owner-id", |it| some(&it.resource_owner_id)),
    ("resource-type", |it| some(&it.resource_type)),
    ("state", |it| some(&it.state)),
    ("transit-gateway-attachment-id", |it| some(&it.transit_gateway_attachment_id)),
    ("transit-gateway-id", |it| some(&it.transit_gateway_id)),
    ("transit-gateway-owner-id", |it| some(&it.transit_gateway_owner_id)),
];

fn shown_any(call: &Call, records: &Snapshot, it: &Attachment) -> ec2::TransitGatewayAttachment {
    let owner = Some(call.account().to_string());
    let association =
        table_of(records, &it.id).map(|table| ec2::TransitGatewayAttachmentAssociation {
            transit_gateway_route_table_id: Some(table.id.to_string()),
            state: Some("associated".into()),
        });
    ec2::TransitGatewayAttachment {
        transit_gateway_attachment_id: Some(it.id.to_string()),
        transit_gateway_id: Some(it.gateway.to_string()),
        transit_gateway_owner_id: owner.clone(),
        resource_owner_id: owner,
        resource_type: Some(it.kind.into()),
        resource_id: Some(it.resource.clone()),
        state: state(it.deleted.is_some()),
        association,
        creation_time: Some(it.created),
        tags: tags::shown(&it.tags),
    }
}

pub(crate) fn describe_any(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeTransitGatewayAttachmentsRequest,
) -> Answer<ec2::DescribeTransitGatewayAttachmentsResult> {
    let ids = &r.transit_gateway_attachment_ids;
    let mut found = Vec::new();
    for id in ids {
        parse_id::<TransitGatewayVpcAttachment>(id)?;
        let missing = || ApiError::not_found(Resource::TransitGatewayAttachment, id);
        found.push(any(records, call, id).ok_or_else(missing)?);
    }
    if ids.is_empty() {
        let vpcs = records.all::<TransitGatewayVpcAttachment>(&call.scope);
        found.extend(vpcs.map(|it| Attachment::of_vpc(it)));
        let connections = records.all::<VpnConnection>(&call.scope);
        found.extend(connections.filter_map(|it| Attachment::of_vpn(it)));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let found = found.iter().map(|it| shown_any(call, records, it)).collect();
    let found = select(found, &r.filters, ANY_FIELDS, Some(|it| &it.tags))?;
    let (transit_gateway_attachments, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.transit_gateway_attachment_id.as_deref()
        })?;
    Ok(ec2::DescribeTransitGatewayAttachmentsResult { transit_gateway_attachments, next_token })
}

fn shown_attachment(
    call: &Call,
    attachment: &TransitGatewayVpcAttachment,
    stage: Option<&str>,
) -> ec2::TransitGatewayVpcAttachment {
    ec2::TransitGatewayVpcAttachment {
        transit_gateway_attachment_id: Some(attachment.id.to_string()),
        transit_gateway_id: Some(attachment.transit_gateway_id.to_string()),
        vpc_id: Some(attachment.vpc_id.to_string()),
        vpc_owner_id: Some(call.account().to_string()),
        state: stage.map(str::to_owned).or(state(attachment.deleted.is_some())),
        subnet_ids: attachment.subnet_ids.iter().map(ToString::to_string).collect(),
        creation_time: Some(attachment.created),
        options: Some(ec2::TransitGatewayVpcAttachmentOptions {
            dns_support: word(attachment.dns_support),
            security_group_referencing_support: word(attachment.security_group_referencing_support),
            ipv6_support: word(attachment.ipv6_support),
            appliance_mode_support: word(attachment.appliance_mode_support),
        }),
        tags: tags::shown(&attachment.tags),
    }
}

const FIELDS: &Fields<ec2::TransitGatewayVpcAttachment> = &[
    ("state", |it| some(&it.state)),
    ("transit-gateway-attachment-id", |it| some(&it.transit_gateway_attachment_id)),
    ("transit-gateway-id", |it| some(&it.transit_gateway_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeTransitGatewayVpcAttachmentsRequest,
) -> Answer<ec2::DescribeTransitGatewayVpcAttachmentsResult> {
    let ids = &r.transit_gateway_attachment_ids;
    let found = listed::<TransitGatewayVpcAttachment>(records, &call.scope, ids)?;
    let found = found.iter().map(|it| shown_attachment(call, it, None)).collect();
    let found = select(found, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (transit_gateway_vpc_attachments, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.transit_gateway_attachment_id.as_deref()
        })?;
    Ok(ec2::DescribeTransitGatewayVpcAttachmentsResult {
        transit_gateway_vpc_attachments,
        next_token,
    })
}

/// The subnets of an attachment: of its VPC, one a zone.
fn subnets(call: &Call, records: &Snapshot, vpc: &Vpc, ids: &[String]) -> Answer<Vec<Arc<Subnet>>> {
    if ids.is_empty() {
        return Err(ApiError::missing_parameter("SubnetIds"));
    }
    let mut subnets: Vec<Arc<Subnet>> = Vec::new();
    for id in ids {
        let subnet = find::<Subnet>(records, &call.scope, id)?;
        if subnet.vpc_id != vpc.id {
            return Err(ApiError::invalid_parameter_value(format!(
                "The subnet {id} does not belong to {}.",
                vpc.id
            )));
        }
        if subnets.iter().any(|it| it.availability_zone == subnet.availability_zone) {
            return Err(ApiError::new(
                "DuplicateSubnetsInSameZone",
                format!(
                    "Duplicate subnets for the availability zone {}.",
                    subnet.availability_zone
                ),
            ));
        }
        subnets.push(subnet);
    }
    Ok(subnets)
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateTransitGatewayVpcAttachmentRequest,
) -> Answer<ec2::CreateTransitGatewayVpcAttachmentResult> {
    let id = &r.transit_gateway_id;
    let gateway = alive::<TransitGateway>(tx, &call.scope, id, "TransitGatewayId")?;
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let subnets = subnets(call, tx, &vpc, &r.subnet_ids)?;
    let mut attached = tx.referrers::<TransitGatewayVpcAttachment>(gateway.id.as_str());
    if attached.any(|it| it.vpc_id == vpc.id) {
        return Err(ApiError::new(
            "DuplicateTransitGatewayAttachment",
            format!("{} has non-deleted Transit Gateway Attachments with same VPC ID.", gateway.id),
        ));
    }
    drop(attached);
    let options = r.options.clone().unwrap_or_default();
    let attachment = TransitGatewayVpcAttachment {
        id: TransitGatewayAttachmentId::new(call.random()),
        transit_gateway_id: gateway.id.clone(),
        vpc_id: vpc.id.clone(),
        subnet_ids: subnets.iter().map(|subnet| subnet.id.clone()).collect(),
        dns_support: is_on(&options.dns_support, true),
        security_group_referencing_support: is_on(
            &options.security_group_referencing_support,
            true,
        ),
        ipv6_support: is_on(&options.ipv6_support, false),
        appliance_mode_support: is_on(&options.appliance_mode_support, false),
        created: call.now,
        deleted: None,
        tags: tags::on_creation::<TransitGatewayVpcAttachment>(&r.tag_specifications)?,
    };
    let attachment = tx.put(&call.scope, attachment);
    join_default_tables(call, tx, &gateway, &attachment.id);
    Ok(ec2::CreateTransitGatewayVpcAttachmentResult {
        transit_gateway_vpc_attachment: Some(shown_attachment(call, &attachment, Some("pending"))),
    })
}

/// Routes to it stay and lead nowhere (RT-12).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteTransitGatewayVpcAttachmentRequest,
) -> Answer<ec2::DeleteTransitGatewayVpcAttachmentResult> {
    let (id, name) = (&r.transit_gateway_attachment_id, "TransitGatewayAttachmentId");
    let attachment = alive::<TransitGatewayVpcAttachment>(tx, &call.scope, id, name)?;
    leave_tables(call, tx, &attachment.id);
    let ended = TransitGatewayVpcAttachment { deleted: Some(call.now), ..(*attachment).clone() };
    let ended = tx.put(&call.scope, ended);
    Ok(ec2::DeleteTransitGatewayVpcAttachmentResult {
        transit_gateway_vpc_attachment: Some(shown_attachment(call, &ended, Some("deleting"))),
    })
}

/// Attachments of one's own account are never waited for: there is nothing to accept or reject.
fn answered(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    verb: &str,
) -> Answer<Arc<TransitGatewayVpcAttachment>> {
    let name = "TransitGatewayAttachmentId";
    let attachment = alive::<TransitGatewayVpcAttachment>(records, &call.scope, id, name)?;
    Err(ApiError::incorrect_state(format!(
        "{} is in the state available and cannot be {verb}: only attachments in the state \
         pendingAcceptance can.",
        attachment.id
    )))
}

pub(crate) fn accept(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AcceptTransitGatewayVpcAttachmentRequest,
) -> Answer<ec2::AcceptTransitGatewayVpcAttachmentResult> {
    let attachment = answered(call, tx, &r.transit_gateway_attachment_id, "accepted")?;
    Ok(ec2::AcceptTransitGatewayVpcAttachmentResult {
        transit_gateway_vpc_attachment: Some(shown_attachment(call, &attachment, None)),
    })
}

pub(crate) fn reject(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RejectTransitGatewayVpcAttachmentRequest,
) -> Answer<ec2::RejectTransitGatewayVpcAttachmentResult> {
    let attachment = answered(call, tx, &r.transit_gateway_attachment_id, "rejected")?;
    Ok(ec2::RejectTransitGatewayVpcAttachmentResult {
        transit_gateway_vpc_attachment: Some(shown_attachment(call, &attachment, None)),
    })
}

/// Other subnets of the VPC, one a zone and at least one, and other options.
pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyTransitGatewayVpcAttachmentRequest,
) -> Answer<ec2::ModifyTransitGatewayVpcAttachmentResult> {
    let (id, name) = (&r.transit_gateway_attachment_id, "TransitGatewayAttachmentId");
    let attachment = alive::<TransitGatewayVpcAttachment>(tx, &call.scope, id, name)?;
    let mut ids: Vec<_> = attachment.subnet_ids.iter().map(ToString::to_string).collect();
    for id in &r.remove_subnet_ids {
        if !ids.contains(id) {
            return Err(ApiError::invalid_parameter_value(format!(
                "The subnet {id} is not a subnet of {}.",
                attachment.id
            )));
        }
    }
    ids.retain(|id| !r.remove_subnet_ids.contains(id));
    ids.extend(r.add_subnet_ids.iter().cloned());
    if ids.is_empty() {
        return Err(ApiError::invalid_parameter_value(format!(
            "{} must keep at least one subnet.",
            attachment.id
        )));
    }
    let vpc = find::<Vpc>(tx, &call.scope, attachment.vpc_id.as_str())?;
    let subnets = subnets(call, tx, &vpc, &ids)?;
    let mut changed = (*attachment).clone();
    changed.subnet_ids = subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let options = r.options.clone().unwrap_or_default();
    for (wanted, now) in [
        (&options.dns_support, &mut changed.dns_support),
        (
            &options.security_group_referencing_support,
            &mut changed.security_group_referencing_support,
        ),
        (&options.ipv6_support, &mut changed.ipv6_support),
        (&options.appliance_mode_support, &mut changed.appliance_mode_support),
    ] {
        *now = is_on(wanted, *now);
    }
    let changed = tx.put(&call.scope, changed);
    Ok(ec2::ModifyTransitGatewayVpcAttachmentResult {
        transit_gateway_vpc_attachment: Some(shown_attachment(call, &changed, Some("modifying"))),
    })
}
