//! Virtual private gateways: Amazon's end of VPNs, as records. Routes may lead to them (RT-11);
//! their tunnels are never up, so what takes such a route is dropped.

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    VpnGatewayId,
    record::{RouteTable, Vpc, VpnGateway},
};

use crate::{
    call::{Answer, Call, alive, given, listed, required},
    filter::{Fields, select, some},
    resource::vpn_connection,
    tags,
};

/// Private autonomous system numbers: of 16 bits, and of 32.
const PRIVATE_ASN: [std::ops::RangeInclusive<i64>; 2] =
    [64_512..=65_534, 4_200_000_000..=4_294_967_294];
/// The number of a gateway whose maker named none.
const DEFAULT_ASN: u32 = 64_512;

/// The autonomous system number of Amazon's end: a private one.
pub(crate) fn amazon_side_asn(wanted: Option<i64>) -> Answer<u32> {
    let Some(wanted) = wanted else { return Ok(DEFAULT_ASN) };
    match u32::try_from(wanted) {
        Ok(asn) if PRIVATE_ASN.iter().any(|range| range.contains(&wanted)) => Ok(asn),
        _ => {
            let reason = "The range is 64512-65534 or 4200000000-4294967294.";
            Err(ApiError::invalid_value(wanted, "amazonSideAsn", reason))
        }
    }
}

fn attachment(vpc: impl ToString, state: &str) -> ec2::VpcAttachment {
    ec2::VpcAttachment { vpc_id: Some(vpc.to_string()), state: Some(state.to_owned()) }
}

fn shown(gateway: &VpnGateway) -> ec2::VpnGateway {
    let state = if gateway.deleted.is_some() { "deleted" } else { "available" };
    ec2::VpnGateway {
        amazon_side_asn: Some(gateway.amazon_side_asn.into()),
        tags: tags::shown(&gateway.tags),
        vpn_gateway_id: Some(gateway.id.to_string()),
        state: Some(state.into()),
        r#type: Some("ipsec.1".into()),
        availability_zone: gateway.availability_zone.clone(),
        vpc_attachments: gateway.vpc_id.iter().map(|vpc| attachment(vpc, "attached")).collect(),
    }
}

const FIELDS: &Fields<ec2::VpnGateway> = &[
    ("amazon-side-asn", |it| it.amazon_side_asn.iter().map(ToString::to_string).collect()),
    ("attachment.state", |it| {
        it.vpc_attachments.iter().filter_map(|it| it.state.clone()).collect()
    }),
    ("attachment.vpc-id", |it| {
        it.vpc_attachments.iter().filter_map(|it| it.vpc_id.clone()).collect()
    }),
    ("availability-zone", |it| some(&it.availability_zone)),
    ("state", |it| some(&it.state)),
    ("type", |it| some(&it.r#type)),
    ("vpn-gateway-id", |it| some(&it.vpn_gateway_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpnGatewaysRequest,
) -> Answer<ec2::DescribeVpnGatewaysResult> {
    let found = listed::<VpnGateway>(records, &call.scope, &r.vpn_gateway_ids)?;
    let gateways = found.iter().map(|gateway| shown(gateway)).collect();
    let vpn_gateways = select(gateways, &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribeVpnGatewaysResult { vpn_gateways })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpnGatewayRequest,
) -> Answer<ec2::CreateVpnGatewayResult> {
    let zone = given(&r.availability_zone);
    if let Some(zone) = zone.filter(|zone| !call.region().zones().any(|it| it == **zone)) {
        return Err(ApiError::invalid_value(zone, "availabilityZone", "There is no such zone."));
    }
    let gateway = VpnGateway {
        id: VpnGatewayId::new(call.random()),
        amazon_side_asn: amazon_side_asn(r.amazon_side_asn)?,
        availability_zone: zone.map(str::to_owned),
        vpc_id: None,
        created: call.now,
        deleted: None,
        tags: tags::on_creation::<VpnGateway>(&r.tag_specifications)?,
    };
    let gateway = tx.put(&call.scope, gateway);
    Ok(ec2::CreateVpnGatewayResult { vpn_gateway: Some(shown(&gateway)) })
}

/// The gateway of a VPC.
pub(crate) fn of_vpc<'a>(records: &'a Snapshot, vpc: &Vpc) -> Option<&'a VpnGateway> {
    records.referrers::<VpnGateway>(vpc.id.as_str()).next().map(AsRef::as_ref)
}

pub(crate) fn attach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AttachVpnGatewayRequest,
) -> Answer<ec2::AttachVpnGatewayResult> {
    let gateway = alive::<VpnGateway>(tx, &call.scope, &r.vpn_gateway_id, "VpnGatewayId")?;
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    if let Some(attached) = &gateway.vpc_id {
        return Err(ApiError::gateway_already_attached(&gateway.id, attached));
    }
    if of_vpc(tx, &vpc).is_some() {
        return Err(ApiError::limit_exceeded(
            "VpnGatewayAttachmentLimitExceeded",
            "The maximum number of virtual private gateway attachments has been reached.",
        ));
    }
    tx.update::<VpnGateway>(&call.scope, gateway.id.as_str(), |it| {
        it.vpc_id = Some(vpc.id.clone());
    });
    Ok(ec2::AttachVpnGatewayResult { vpc_attachment: Some(attachment(&vpc.id, "attaching")) })
}

/// Its routes stay and lead nowhere (RT-10); none is propagated from it any more.
pub(crate) fn detach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DetachVpnGatewayRequest,
) -> Answer<()> {
    let gateway = alive::<VpnGateway>(tx, &call.scope, &r.vpn_gateway_id, "VpnGatewayId")?;
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    if gateway.vpc_id.as_ref() != Some(&vpc.id) {
        return Err(ApiError::new(
            "InvalidVpnGatewayAttachment.NotFound",
            format!(
                "The attachment with vpn gateway ID '{}' and vpc ID '{}' does not exist",
                gateway.id, vpc.id
            ),
        ));
    }
    let tables: Vec<_> = tx.referrers::<RouteTable>(gateway.id.as_str()).cloned().collect();
    for table in tables {
        tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
            table.propagating_gateways.retain(|id| *id != gateway.id);
        });
    }
    tx.update::<VpnGateway>(&call.scope, gateway.id.as_str(), |it| it.vpc_id = None);
    Ok(())
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpnGatewayRequest,
) -> Answer<()> {
    let gateway = alive::<VpnGateway>(tx, &call.scope, &r.vpn_gateway_id, "VpnGatewayId")?;
    if gateway.vpc_id.is_some() {
        let message = format!("The vpnGateway '{}' is in use and cannot be deleted.", gateway.id);
        return Err(ApiError::incorrect_state(message));
    }
    vpn_connection::refuse_in_use(tx, gateway.id.as_str(), "vpnGateway")?;
    tx.update::<VpnGateway>(&call.scope, gateway.id.as_str(), |it| it.deleted = Some(call.now));
    Ok(())
}

/// The gateway and the table of a propagation, which must be of one VPC.
fn propagation(
    call: &Call,
    records: &Snapshot,
    gateway: &Option<String>,
    table: &Option<String>,
) -> Answer<(VpnGatewayId, std::sync::Arc<RouteTable>)> {
    let table = required::<RouteTable>(records, &call.scope, table, "RouteTableId")?;
    let id = crate::call::text(gateway, "GatewayId")?;
    let found = records.find::<VpnGateway>(&call.scope, id).filter(|it| it.deleted.is_none());
    let gateway = found.ok_or_else(|| {
        ApiError::new("InvalidGatewayID.NotFound", format!("The gateway ID '{id}' does not exist"))
    })?;
    match gateway.vpc_id.as_ref() == Some(&table.vpc_id) {
        true => Ok((gateway.id.clone(), table)),
        false => Err(ApiError::gateway_not_attached(&gateway.id, &table.vpc_id)),
    }
}

pub(crate) fn enable_propagation(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::EnableVgwRoutePropagationRequest,
) -> Answer<()> {
    let (gateway, table) = propagation(call, tx, &r.gateway_id, &r.route_table_id)?;
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        if !table.propagating_gateways.contains(&gateway) {
            table.propagating_gateways.push(gateway);
        }
    });
    Ok(())
}

pub(crate) fn disable_propagation(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisableVgwRoutePropagationRequest,
) -> Answer<()> {
    let (gateway, table) = propagation(call, tx, &r.gateway_id, &r.route_table_id)?;
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.propagating_gateways.retain(|id| *id != gateway);
    });
    Ok(())
}
