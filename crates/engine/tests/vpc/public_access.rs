//! VPC Block Public Access (IGW-15), and routes to gateways that carry nothing here.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    Component, DropReason, Outcome, Stage,
    testing::{
        Lab,
        lab::{OUTSIDE, OUTSIDE_IPV6, PRIVATE_01, PRIVATE_TABLE, PUBLIC_01, PUBLIC_02},
        packets::flags::{ACK, SYN},
        records,
    },
};
use gureum_types::{
    NatGatewayId, PortIndex, RouteTableId, TransitGatewayId, VpnGatewayId,
    record::{RestrictedSubnet, Route, RouteDestination, RouteTarget},
};

use super::ipv6::{address, dual_stack, egress_only};

/// The interface of a NAT gateway in IMD-PUBLIC-A.
const NAT: PortIndex = PortIndex(20);

fn add_route(lab: &mut Lab, destination: &str, target: RouteTarget) {
    lab.change(|network| {
        let id = RouteTableId::new(PRIVATE_TABLE);
        let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
        let destination = RouteDestination::Ipv4(records::block(destination));
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
}

fn restrict_all(lab: &mut Lab, egress_allowed: bool) {
    lab.change(|network| {
        let subnets = network.subnets.iter().map(|subnet| {
            Arc::new(RestrictedSubnet { subnet_id: subnet.id.clone(), egress_allowed })
        });
        network.restricted_subnets = subnets.collect();
    });
}

/// The lab with a NAT gateway for its private subnets.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let subnet = network.subnets[0].clone();
        let (private, public) = ([10, 1, 1, 200].into(), [198, 18, 0, 200].into());
        let mut interface = records::interface(NAT, &subnet, &[private], &[], Some(public));
        interface.interface_type = "nat_gateway".to_owned();
        network.interfaces.push(Arc::new(interface));
        network.nat_gateways.push(Arc::new(records::nat_gateway(1, &subnet, NAT, true)));
    });
    add_route(&mut lab, "0.0.0.0/0", RouteTarget::NatGateway(NatGatewayId::new(1)));
    lab
}

/// IGW-15: block-bidirectional stops what goes out, what comes in, and flows that were open.
#[test]
fn nothing_passes_the_gateway_of_a_blocked_subnet_igw_15() {
    let mut lab = lab();
    let blocked = Some(DropReason::BlockPublicAccess);
    let open = lab.tcp(PUBLIC_01, OUTSIDE, (40_000, 443), SYN);
    assert_eq!(open.arrived(), Some(PortIndex::INTERNET));
    let public = Ipv4Addr::new(198, 18, 0, 11);
    assert_eq!(lab.tcp_from_outside(public, (5000, 80), SYN).arrived(), Some(PUBLIC_01));
    restrict_all(&mut lab, false);
    assert_eq!(lab.tcp(PUBLIC_01, OUTSIDE, (40_001, 443), SYN).dropped(), blocked);
    assert_eq!(lab.answer_tcp(&open, SYN).dropped(), blocked);
    assert_eq!(lab.tcp_from_outside(public, (5001, 80), SYN).dropped(), blocked);
    assert_eq!(lab.ping(PRIVATE_01, OUTSIDE, 1).dropped(), blocked, "behind a NAT gateway");
    lab.change(|network| network.restricted_subnets.clear());
    assert_eq!(lab.tcp_from_outside(public, (5001, 80), SYN).arrived(), Some(PUBLIC_01));
}

/// IGW-15: block-ingress leaves NAT gateways their way, out and back.
#[test]
fn a_nat_gateway_works_where_only_ingress_is_blocked_igw_15() {
    let mut lab = lab();
    restrict_all(&mut lab, true);
    let out = lab.ping(PRIVATE_01, OUTSIDE, 1);
    assert_eq!(out.arrived(), Some(PortIndex::INTERNET));
    assert_eq!(lab.answer_ping(&out).arrived(), Some(PRIVATE_01));
    let sent = lab.ends(PUBLIC_01, OUTSIDE);
    let (sent, steps) =
        lab.trace(PUBLIC_01, gureum_engine::testing::packets::icmp_echo(&sent, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::BlockPublicAccess));
    let last = steps.last().unwrap();
    assert_eq!(last.stage, Stage::PublicAccess);
    assert_eq!(last.outcome, Outcome::Drop(DropReason::BlockPublicAccess));
}

/// RT-12: a packet to a transit gateway ends there by name, one to a gateway that is not
/// attached in a black hole.
#[test]
fn what_gateways_do_not_carry_is_named_rt_11() {
    let mut lab = lab();
    let target = RouteTarget::TransitGateway(TransitGatewayId::new(1));
    add_route(&mut lab, "10.8.0.0/16", target.clone());
    add_route(&mut lab, "10.9.0.0/16", RouteTarget::VpnGateway(VpnGatewayId::new(1)));
    let (far, farther) = (Ipv4Addr::new(10, 8, 0, 1), Ipv4Addr::new(10, 9, 0, 1));
    for to in [far, farther] {
        let dropped = lab.ping(PRIVATE_01, to, 1).dropped();
        assert!(matches!(dropped, Some(DropReason::RouteBlackhole(_))), "RT-12 {dropped:?}");
    }
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let attachment = records::transit_gateway_attachment(1, &vpc);
        network.transit_gateway_vpc_attachments.push(Arc::new(attachment));
    });
    let Some(DropReason::TransitGatewayNotCarried(route)) = lab.ping(PRIVATE_01, far, 1).dropped()
    else {
        panic!("a route to a transit gateway")
    };
    let component = lab.policy.component(route).unwrap();
    assert!(matches!(component, Component::Route { target: to, .. } if *to == target));
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        network.vpn_gateways.push(Arc::new(records::vpn_gateway(1, Some(&vpc))));
    });
    let dropped = lab.ping(PRIVATE_01, farther, 1).dropped();
    assert!(matches!(dropped, Some(DropReason::VpnTunnelDown(_))), "{dropped:?}");
}

/// IGW-15: in IPv6 as in IPv4; what an internet gateway lets in by itself was not asked for.
#[test]
fn nothing_of_ipv6_passes_the_gateway_of_a_blocked_subnet_igw_15() {
    let blocked = Some(DropReason::BlockPublicAccess);
    for egress_allowed in [true, false] {
        let mut lab = dual_stack();
        let to = address(&lab, PUBLIC_01);
        assert_eq!(lab.tcp_from_outside(to, (5000, 80), SYN).arrived(), Some(PUBLIC_01));
        restrict_all(&mut lab, egress_allowed);
        assert_eq!(lab.tcp_from_outside(to, (5001, 80), SYN).dropped(), blocked);
        assert_eq!(lab.tcp(PUBLIC_01, OUTSIDE_IPV6, (40_000, 443), SYN).dropped(), blocked);
        let neighbour = address(&lab, PUBLIC_02);
        assert_ne!(lab.ping(PUBLIC_01, neighbour, 1).dropped(), blocked, "within the VPC");
    }
}

/// IGW-15: block-ingress leaves egress-only gateways their way, out and back, and block-bidirectional
/// does not.
#[test]
fn an_egress_only_gateway_works_where_only_ingress_is_blocked_igw_15() {
    let blocked = Some(DropReason::BlockPublicAccess);
    let mut lab = egress_only();
    restrict_all(&mut lab, true);
    let out = lab.tcp(PRIVATE_01, OUTSIDE_IPV6, (40_000, 443), SYN);
    assert_eq!(out.arrived(), Some(PortIndex::INTERNET), "{:?}", out.verdict);
    assert_eq!(lab.answer_tcp(&out, SYN | ACK).arrived(), Some(PRIVATE_01));
    // Its VPC has an internet gateway too, by which nothing comes in.
    let to = address(&lab, PRIVATE_01);
    assert_eq!(lab.tcp_from_outside(to, (5000, 443), SYN).dropped(), blocked);
    lab.change(|network| network.internet_gateways.clear());
    let unsolicited = lab.tcp_from_outside(to, (5001, 443), SYN).dropped();
    assert_eq!(unsolicited, Some(DropReason::EgressOnlyUnsolicited), "as without it");
    restrict_all(&mut lab, false);
    assert_eq!(lab.answer_tcp(&out, SYN | ACK).dropped(), blocked);
    assert_eq!(lab.tcp(PRIVATE_01, OUTSIDE_IPV6, (40_000, 443), ACK).dropped(), blocked);
}

/// IGW-15, IGW-6: from one public address to another is through the gateway, out and in.
#[test]
fn a_blocked_subnet_is_not_reached_by_a_public_address_of_the_vpc_igw_15() {
    let mut lab = lab();
    let to = Ipv4Addr::new(198, 18, 0, 12);
    assert_eq!(lab.tcp(PUBLIC_01, to, (40_000, 80), SYN).arrived(), Some(PUBLIC_02));
    let subnet = lab.interface(PUBLIC_02).subnet_id.clone();
    lab.change(|network| {
        let restricted = RestrictedSubnet { subnet_id: subnet, egress_allowed: true };
        network.restricted_subnets = [Arc::new(restricted)].into_iter().collect();
    });
    let sent = lab.tcp(PUBLIC_01, to, (40_001, 80), SYN);
    assert_eq!(sent.dropped(), Some(DropReason::BlockPublicAccess));
}
