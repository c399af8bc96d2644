//! VPN connections, as records: with addresses, keys and the configuration of the customer's device,
//! but without tunnels that ever come up. What takes a route to one is dropped.

mod configuration;
mod tunnel;

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    TransitGatewayAttachmentId, VpnConnectionId,
    record::{
        CustomerGateway, TransitGateway, TransitGatewayVpcAttachment, VpnConnection, VpnGateway,
        VpnTarget, VpnTunnel,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    allocate,
    call::{Answer, Call, alive, given, listed, text},
    filter::{Fields, select, some},
    resource::{cidr, transit_gateway::attachment},
    tags,
};

/// How many tunnels a connection has.
const TUNNELS: usize = 2;

fn shown(
    call: &Call,
    records: &Snapshot,
    it: &VpnConnection,
    stage: Option<&str>,
) -> ec2::VpnConnection {
    let state = if it.deleted.is_some() { "deleted" } else { "available" };
    let (vpn_gateway, transit_gateway) = match &it.target {
        VpnTarget::VpnGateway(id) => (Some(id.to_string()), None),
        VpnTarget::TransitGateway(id, _) => (None, Some(id.to_string())),
        VpnTarget::None => (None, None),
    };
    let family = if it.inside_ipv6 { "ipv6" } else { "ipv4" };
    let shown_block = |block: Option<String>, otherwise: &str| {
        Some(block.unwrap_or_else(|| otherwise.to_owned()))
    };
    let ipv4 = |block: Option<Ipv4Net>| {
        shown_block(block.map(|it| it.to_string()), "0.0.0.0/0").filter(|_| !it.inside_ipv6)
    };
    let ipv6 = |block: Option<Ipv6Net>| {
        shown_block(block.map(|it| it.to_string()), "::/0").filter(|_| it.inside_ipv6)
    };
    let mut shown = ec2::VpnConnection {
        vpn_connection_id: Some(it.id.to_string()),
        state: Some(stage.unwrap_or(state).to_owned()),
        r#type: Some("ipsec.1".into()),
        category: Some("VPN".into()),
        customer_gateway_id: Some(it.customer_gateway_id.to_string()),
        gateway_association_state: Some(
            if it.target == VpnTarget::None { "not-associated" } else { "associated" }.into(),
        ),
        vpn_gateway_id: vpn_gateway,
        transit_gateway_id: transit_gateway,
        tags: tags::shown(&it.tags),
        ..Default::default()
    };
    if it.deleted.is_some() {
        return shown;
    }
    shown.customer_gateway_configuration = Some(configuration::of(call, records, it));
    shown.options = Some(ec2::VpnConnectionOptions {
        enable_acceleration: Some(it.enable_acceleration),
        static_routes_only: Some(it.static_routes_only),
        local_ipv4_network_cidr: ipv4(it.local.0),
        remote_ipv4_network_cidr: ipv4(it.remote.0),
        local_ipv6_network_cidr: ipv6(it.local.1),
        remote_ipv6_network_cidr: ipv6(it.remote.1),
        outside_ip_address_type: Some(it.outside_ip_address_type.clone()),
        transport_transit_gateway_attachment_id: it
            .transport_attachment
            .as_ref()
            .map(ToString::to_string),
        tunnel_inside_ip_version: Some(family.into()),
        tunnel_options: it.tunnels.iter().map(tunnel::shown).collect(),
        tunnel_bandwidth: Some(it.tunnel_bandwidth.clone()),
    });
    let route = |to: &Ipv4Net| ec2::VpnStaticRoute {
        destination_cidr_block: Some(to.to_string()),
        source: None,
        state: Some("available".into()),
    };
    shown.routes = it.routes.iter().map(route).collect();
    let telemetry = |tunnel: &VpnTunnel| ec2::VgwTelemetry {
        accepted_route_count: Some(0),
        last_status_change: Some(it.created),
        outside_ip_address: Some(tunnel.outside.to_string()),
        status: Some("DOWN".into()),
        status_message: Some("IPSEC IS DOWN".into()),
        ..Default::default()
    };
    shown.vgw_telemetry = it.tunnels.iter().map(telemetry).collect();
    shown
}

const FIELDS: &Fields<ec2::VpnConnection> = &[
    ("customer-gateway-configuration", |it| some(&it.customer_gateway_configuration)),
    ("customer-gateway-id", |it| some(&it.customer_gateway_id)),
    ("option.static-routes-only", |it| {
        let flags = it.options.iter().filter_map(|it| it.static_routes_only);
        flags.map(|flag| flag.to_string()).collect()
    }),
    ("route.destination-cidr-block", |it| {
        it.routes.iter().filter_map(|it| it.destination_cidr_block.clone()).collect()
    }),
    ("state", |it| some(&it.state)),
    ("transit-gateway-id", |it| some(&it.transit_gateway_id)),
    ("type", |it| some(&it.r#type)),
    ("vpn-connection-id", |it| some(&it.vpn_connection_id)),
    ("vpn-gateway-id", |it| some(&it.vpn_gateway_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpnConnectionsRequest,
) -> Answer<ec2::DescribeVpnConnectionsResult> {
    let found = listed::<VpnConnection>(records, &call.scope, &r.vpn_connection_ids)?;
    let found = found.iter().map(|it| shown(call, records, it, None)).collect();
    let vpn_connections = select(found, &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribeVpnConnectionsResult { vpn_connections })
}

/// The connection that a required parameter names.
fn named(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<Arc<VpnConnection>> {
    alive::<VpnConnection>(records, &call.scope, id, "VpnConnectionId")
}

/// Amazon's end as a request names it: one, or none yet. A transit gateway gets an attachment.
fn target(
    call: &Call,
    records: &Snapshot,
    vpn_gateway: &Option<String>,
    transit_gateway: &Option<String>,
) -> Answer<VpnTarget> {
    match (given(vpn_gateway), given(transit_gateway)) {
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter_combination(
            "The parameters VpnGatewayId and TransitGatewayId cannot be used together.",
        )),
        (Some(_), None) => {
            let gateway = alive::<VpnGateway>(records, &call.scope, vpn_gateway, "VpnGatewayId")?;
            Ok(VpnTarget::VpnGateway(gateway.id.clone()))
        }
        (None, Some(_)) => {
            let parameter = "TransitGatewayId";
            let gateway =
                alive::<TransitGateway>(records, &call.scope, transit_gateway, parameter)?;
            let id = TransitGatewayAttachmentId::new(call.random());
            Ok(VpnTarget::TransitGateway(gateway.id.clone(), id))
        }
        (None, None) => Ok(VpnTarget::None),
    }
}

/// Whether two ends are the same one. Attachments don't count.
fn is_same(one: &VpnTarget, other: &VpnTarget) -> bool {
    match (one, other) {
        (VpnTarget::VpnGateway(one), VpnTarget::VpnGateway(other)) => one == other,
        (VpnTarget::TransitGateway(one, _), VpnTarget::TransitGateway(other, _)) => one == other,
        _ => false,
    }
}

/// Puts a connection's attachment into the tables of its transit gateway.
fn join(call: &Call, tx: &mut Transaction, target: &VpnTarget) {
    if let VpnTarget::TransitGateway(gateway, id) = target
        && let Some(gateway) = tx.find::<TransitGateway>(&call.scope, gateway.as_str()).cloned()
    {
        attachment::join_default_tables(call, tx, &gateway, id);
    }
}

/// Takes it out of them.
fn leave(call: &Call, tx: &mut Transaction, target: &VpnTarget) {
    if let VpnTarget::TransitGateway(_, id) = target {
        attachment::leave_tables(call, tx, id);
    }
}

fn ipv4_block(text: &Option<String>, parameter: &str) -> Answer<Option<Ipv4Net>> {
    given(text).map(|text| cidr::ipv4(text, parameter)).transpose()
}

fn ipv6_block(text: &Option<String>, parameter: &str) -> Answer<Option<Ipv6Net>> {
    given(text).map(|text| cidr::ipv6(text, parameter)).transpose()
}

fn bandwidth(wanted: &Option<String>, is_transit: bool) -> Answer<String> {
    match given(wanted).unwrap_or("standard") {
        "large" if !is_transit => Err(ApiError::invalid_parameter_combination(
            "The tunnel bandwidth large needs a transit gateway.",
        )),
        wanted => Ok(wanted.to_owned()),
    }
}

/// The same two ends again are the same connection.
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpnConnectionRequest,
) -> Answer<ec2::CreateVpnConnectionResult> {
    let kind = given(&r.r#type).unwrap_or_default();
    if kind != "ipsec.1" {
        let reason = "The type of a VPN connection is ipsec.1.";
        return Err(ApiError::invalid_value(kind, "type", reason));
    }
    let customer = &r.customer_gateway_id;
    let customer = alive::<CustomerGateway>(tx, &call.scope, customer, "CustomerGatewayId")?;
    let target = target(call, tx, &r.vpn_gateway_id, &r.transit_gateway_id)?;
    let known = tx.referrers::<VpnConnection>(customer.id.as_str());
    let known = { known }.find(|it| is_same(&it.target, &target)).cloned();
    if let Some(known) = known {
        let vpn_connection = Some(shown(call, tx, &known, None));
        return Ok(ec2::CreateVpnConnectionResult { vpn_connection });
    }
    let connection = new(call, tx, r, &customer, target)?;
    let connection = tx.put(&call.scope, connection);
    join(call, tx, &connection.target);
    let vpn_connection = Some(shown(call, tx, &connection, Some("pending")));
    Ok(ec2::CreateVpnConnectionResult { vpn_connection })
}

fn new(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpnConnectionRequest,
    customer: &CustomerGateway,
    target: VpnTarget,
) -> Answer<VpnConnection> {
    let options = r.options.clone().unwrap_or_default();
    let is_transit = matches!(target, VpnTarget::TransitGateway(..));
    let inside_ipv6 = given(&options.tunnel_inside_ip_version) == Some("ipv6");
    let accelerated = options.enable_acceleration.unwrap_or_default();
    if (inside_ipv6 || accelerated) && !is_transit {
        let what = if inside_ipv6 { "IPv6 inside of tunnels" } else { "Acceleration" };
        let message = format!("{what} needs a transit gateway.");
        return Err(ApiError::invalid_parameter_combination(message));
    }
    let transport = &options.transport_transit_gateway_attachment_id;
    let (addresses, transport_attachment) = match given(&options.outside_ip_address_type) {
        None | Some("PublicIpv4") => ("PublicIpv4", None),
        Some("PrivateIpv4") => {
            let parameter = "TransportTransitGatewayAttachmentId";
            let attachment =
                alive::<TransitGatewayVpcAttachment>(tx, &call.scope, transport, parameter)?;
            ("PrivateIpv4", Some(attachment.id.clone()))
        }
        Some(other) => {
            let reason = "It is PublicIpv4 or PrivateIpv4.";
            return Err(ApiError::invalid_value(other, "outsideIpAddressType", reason));
        }
    };
    let id = VpnConnectionId::new(call.random());
    let wanted = &options.tunnel_options;
    if wanted.len() > TUNNELS {
        return Err(ApiError::invalid_parameter_value(format!(
            "A VPN connection has {TUNNELS} tunnels; options of {} were given.",
            wanted.len()
        )));
    }
    let mut tunnels: Vec<VpnTunnel> = Vec::new();
    for number in 0..TUNNELS {
        let wanted = wanted.get(number).cloned().unwrap_or_default();
        let made = tunnel::new(call, &wanted, inside_ipv6, &tunnels, Ipv4Addr::UNSPECIFIED)?;
        tunnels.push(made);
    }
    let local = (
        ipv4_block(&options.local_ipv4_network_cidr, "localIpv4NetworkCidr")?,
        ipv6_block(&options.local_ipv6_network_cidr, "localIpv6NetworkCidr")?,
    );
    let remote = (
        ipv4_block(&options.remote_ipv4_network_cidr, "remoteIpv4NetworkCidr")?,
        ipv6_block(&options.remote_ipv6_network_cidr, "remoteIpv6NetworkCidr")?,
    );
    let tags = tags::on_creation::<VpnConnection>(&r.tag_specifications)?;
    let tunnel_bandwidth = bandwidth(&options.tunnel_bandwidth, is_transit)?;
    for tunnel in &mut tunnels {
        tunnel.outside = allocate::public_address(call, tx, id.as_str())?;
    }
    Ok(VpnConnection {
        id,
        customer_gateway_id: customer.id.clone(),
        target,
        static_routes_only: options.static_routes_only.unwrap_or_default(),
        enable_acceleration: accelerated,
        inside_ipv6,
        outside_ip_address_type: addresses.to_owned(),
        transport_attachment,
        tunnel_bandwidth,
        local,
        remote,
        tunnels,
        routes: Vec::new(),
        created: call.now,
        deleted: None,
        tags,
    })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpnConnectionRequest,
) -> Answer<()> {
    let connection = named(call, tx, &r.vpn_connection_id)?;
    leave(call, tx, &connection.target);
    for tunnel in &connection.tunnels {
        allocate::release_public_address(call, tx, tunnel.outside);
    }
    tx.update::<VpnConnection>(&call.scope, connection.id.as_str(), |it| {
        it.deleted = Some(call.now);
    });
    Ok(())
}

/// The block of a route, in a connection whose routes are made by hand.
fn route(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    block: &Option<String>,
) -> Answer<(Arc<VpnConnection>, Ipv4Net)> {
    let connection = named(call, records, id)?;
    let block = cidr::ipv4(text(block, "DestinationCidrBlock")?, "destinationCidrBlock")?;
    if !connection.static_routes_only || !matches!(connection.target, VpnTarget::VpnGateway(_)) {
        return Err(ApiError::unsupported_operation(format!(
            "{} takes no static routes: it has them only with StaticRoutesOnly and a virtual \
             private gateway.",
            connection.id
        )));
    }
    Ok((connection, block))
}

/// A route that is there already stays.
pub(crate) fn create_route(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpnConnectionRouteRequest,
) -> Answer<()> {
    let (connection, block) = route(call, tx, &r.vpn_connection_id, &r.destination_cidr_block)?;
    tx.update::<VpnConnection>(&call.scope, connection.id.as_str(), |it| {
        if !it.routes.contains(&block) {
            it.routes.push(block);
        }
    });
    Ok(())
}

pub(crate) fn delete_route(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpnConnectionRouteRequest,
) -> Answer<()> {
    let (connection, block) = route(call, tx, &r.vpn_connection_id, &r.destination_cidr_block)?;
    if !connection.routes.contains(&block) {
        let message = format!("no route to {block} in {}", connection.id);
        return Err(ApiError::new("InvalidRoute.NotFound", message));
    }
    tx.update::<VpnConnection>(&call.scope, connection.id.as_str(), |it| {
        it.routes.retain(|known| *known != block);
    });
    Ok(())
}

/// Another device, or another end at Amazon's; the tunnels stay as they are.
pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpnConnectionRequest,
) -> Answer<ec2::ModifyVpnConnectionResult> {
    let connection = named(call, tx, &r.vpn_connection_id)?;
    let mut changed = (*connection).clone();
    if given(&r.customer_gateway_id).is_some() {
        let id = &r.customer_gateway_id;
        let customer = alive::<CustomerGateway>(tx, &call.scope, id, "CustomerGatewayId")?;
        changed.customer_gateway_id = customer.id.clone();
    }
    let target = target(call, tx, &r.vpn_gateway_id, &r.transit_gateway_id)?;
    let is_moved = target != VpnTarget::None && !is_same(&target, &connection.target);
    if is_moved {
        leave(call, tx, &connection.target);
        changed.target = target;
    }
    let changed = tx.put(&call.scope, changed);
    if is_moved {
        join(call, tx, &changed.target);
    }
    let vpn_connection = Some(shown(call, tx, &changed, Some("modifying")));
    Ok(ec2::ModifyVpnConnectionResult { vpn_connection })
}

pub(crate) fn modify_options(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpnConnectionOptionsRequest,
) -> Answer<ec2::ModifyVpnConnectionOptionsResult> {
    let connection = named(call, tx, &r.vpn_connection_id)?;
    let mut changed = (*connection).clone();
    let local = ipv4_block(&r.local_ipv4_network_cidr, "localIpv4NetworkCidr")?;
    let remote = ipv4_block(&r.remote_ipv4_network_cidr, "remoteIpv4NetworkCidr")?;
    let local_ipv6 = ipv6_block(&r.local_ipv6_network_cidr, "localIpv6NetworkCidr")?;
    let remote_ipv6 = ipv6_block(&r.remote_ipv6_network_cidr, "remoteIpv6NetworkCidr")?;
    changed.local = (local.or(changed.local.0), local_ipv6.or(changed.local.1));
    changed.remote = (remote.or(changed.remote.0), remote_ipv6.or(changed.remote.1));
    if given(&r.tunnel_bandwidth).is_some() {
        let is_transit = matches!(changed.target, VpnTarget::TransitGateway(..));
        changed.tunnel_bandwidth = bandwidth(&r.tunnel_bandwidth, is_transit)?;
    }
    let changed = tx.put(&call.scope, changed);
    let vpn_connection = Some(shown(call, tx, &changed, Some("modifying")));
    Ok(ec2::ModifyVpnConnectionOptionsResult { vpn_connection })
}

/// What is said of a tunnel is set; all else stays.
pub(crate) fn modify_tunnel(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpnTunnelOptionsRequest,
) -> Answer<ec2::ModifyVpnTunnelOptionsResult> {
    let connection = named(call, tx, &r.vpn_connection_id)?;
    let address = text(&r.vpn_tunnel_outside_ip_address, "VpnTunnelOutsideIpAddress")?;
    let place = connection.tunnels.iter().position(|it| it.outside.to_string() == address);
    let place = place.ok_or_else(|| {
        let reason = "No tunnel of the VPN connection has this address.";
        ApiError::invalid_value(address, "vpnTunnelOutsideIpAddress", reason)
    })?;
    let wanted = r.tunnel_options.clone().unwrap_or_default();
    let mut changed = (*connection).clone();
    let mut others = changed.tunnels.clone();
    let before = others.remove(place);
    let changed_tunnel = tunnel::changed(&before, &wanted, changed.inside_ipv6, &others)?;
    if let Some(tunnel) = changed.tunnels.get_mut(place) {
        *tunnel = changed_tunnel;
    }
    let changed = tx.put(&call.scope, changed);
    let vpn_connection = Some(shown(call, tx, &changed, Some("modifying")));
    Ok(ec2::ModifyVpnTunnelOptionsResult { vpn_connection })
}

/// Refuses to delete a gateway that a connection ends at.
pub(crate) fn refuse_in_use(records: &Snapshot, gateway: &str, noun: &str) -> Answer<()> {
    match records.referrers::<VpnConnection>(gateway).next() {
        Some(_) => {
            let message = format!("The {noun} '{gateway}' is in use by a VPN connection.");
            Err(ApiError::incorrect_state(message))
        }
        None => Ok(()),
    }
}
