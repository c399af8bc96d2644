//! Gateway (edge) route tables with an appliance (RT-18, RT-20, SG-32), prefix lists (RT-16, SG-10),
//! routes more specific than local (RT-14), secondary blocks (CIDR-8), timeouts an interface asks
//! for (SGT-9).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    Component, DropReason, Stage,
    testing::{
        Lab,
        lab::{
            BASTION, OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE, PUB_GROUP,
            PUBLIC_01, PUBLIC_02, PUBLIC_TABLE, SECOND,
        },
        packets::{
            self,
            flags::{ACK, SYN},
        },
        records,
    },
};
use gureum_types::{
    InternetGatewayId, NetworkInterfaceId, PortIndex, PrefixListId, RouteTableAssociationId,
    RouteTableId, SecurityGroupId,
    record::{
        ConnectionTracking, Network, Route, RouteDestination, RouteTableAssociation, RouteTarget,
        RulePeer, Traffic,
    },
};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn add_route(
    network: &mut Network,
    table: u64,
    destination: RouteDestination,
    target: RouteTarget,
) {
    let id = RouteTableId::new(table);
    let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
    Arc::make_mut(table).routes.push(Route { destination, target });
}

fn to(block: &str) -> RouteDestination {
    RouteDestination::Ipv4(records::block(block))
}

fn interface(port: PortIndex) -> RouteTarget {
    RouteTarget::NetworkInterface(NetworkInterfaceId::new(port.0.into()))
}

fn gateway() -> RouteTarget {
    RouteTarget::InternetGateway(InternetGatewayId::new(1))
}

/// BASTION is an appliance in IMD-PUBLIC-B before PUBLIC-01 in IMD-PUBLIC-A: what arrives for
/// 10.1.1.0/24 goes to it first, and what PUBLIC-01 sends too.
fn before_public_a() -> Lab {
    let mut lab = Lab::new();
    lab.change_interface(BASTION, |i| i.source_dest_check = false);
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let route = (records::block("10.1.1.0/24"), interface(BASTION));
        let mut edge = records::route_table(70, &vpc, false, &[], &[route]);
        edge.associations.push(RouteTableAssociation {
            id: RouteTableAssociationId::new(70),
            subnet_id: None,
            gateway_id: Some(InternetGatewayId::new(1)),
            main: false,
        });
        network.route_tables.push(Arc::new(edge));
        // PUBLIC-A gets a table of its own: out by the appliance.
        let subnet = network.subnets[0].id.clone();
        for table in &mut network.route_tables {
            Arc::make_mut(table).associations.retain(|a| a.subnet_id.as_ref() != Some(&subnet));
        }
        let out = (records::block("0.0.0.0/0"), interface(BASTION));
        let table = records::route_table(71, &vpc, false, &[subnet], &[out]);
        network.route_tables.push(Arc::new(table));
        let group = SecurityGroupId::new(2);
        let rule = records::rule(700, &group, false, Traffic::All, records::anywhere());
        network.security_group_rules.push(Arc::new(rule));
    });
    lab
}

/// RT-18, RT-20: what comes from the internet passes the appliance, both ways, untranslated by it.
#[test]
fn an_edge_table_leads_through_an_appliance_rt_18() {
    let mut lab = before_public_a();
    let inward = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
    assert_eq!(inward.arrived(), Some(BASTION));
    let seen = inward.seen();
    assert_eq!((seen.source, seen.destination), (OUTSIDE.into(), ip("10.1.1.11").into()));
    // The appliance sends it on.
    let mut ends = lab.ends(BASTION, ip("10.1.1.11"));
    ends.source = OUTSIDE.into();
    let onward = lab.send(BASTION, packets::tcp_syn(&ends, (40_000, 80)));
    assert_eq!(onward.arrived(), Some(PUBLIC_01));
    // The answer goes to the appliance and from there to the gateway, with PUBLIC-01's address.
    let answer = lab.answer_tcp(&onward, SYN | ACK);
    assert_eq!(answer.arrived(), Some(BASTION));
    let mut ends = lab.ends(BASTION, OUTSIDE);
    ends.source = ip("10.1.1.11").into();
    let out = lab.send(BASTION, packets::tcp(&ends, (80, 40_000), SYN | ACK, &[]));
    assert_eq!(out.arrived(), Some(PortIndex::INTERNET));
    assert_eq!(out.seen().source, ip("198.18.0.11"));
    // Other subnets are reached as ever, and so is the appliance itself.
    let other = lab.tcp_from_outside(ip("198.18.0.12"), (40_000, 80), SYN);
    assert_eq!(other.arrived(), Some(PUBLIC_02));
}

/// RT-18: an appliance that is off makes a black hole, and its route names it.
#[test]
fn an_edge_route_to_nothing_is_a_blackhole_rt_18() {
    let mut lab = before_public_a();
    lab.change(|network| network.interfaces.retain(|i| i.port != BASTION));
    let ends = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    let (sent, steps) = lab.trace(PortIndex::INTERNET, packets::tcp_syn(&ends, (1, 80)));
    let Some(DropReason::RouteBlackhole(route)) = sent.dropped() else {
        panic!("{:?}", sent.verdict)
    };
    assert!(matches!(lab.policy.component(route), Some(Component::Route { .. })));
    assert_eq!(steps.last().unwrap().stage, Stage::GatewayRoute);
}

/// RT-18: the interface that such a route names must have a public address.
#[test]
fn an_appliance_without_public_address_is_a_blackhole_rt_18() {
    let mut lab = before_public_a();
    lab.change_interface(BASTION, |i| i.auto_public_ip = None);
    let inward = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
    assert!(matches!(inward.dropped(), Some(DropReason::RouteBlackhole(_))));
}

/// A table associated with a gateway that is not attached routes nothing.
#[test]
fn an_edge_table_of_a_detached_gateway_does_nothing() {
    for named_by_routes in [true, false] {
        let mut lab = before_public_a();
        lab.change(|network| {
            for table in &mut network.route_tables {
                let routes = &mut Arc::make_mut(table).routes;
                routes.retain(|route| named_by_routes || route.target != gateway());
            }
        });
        assert_eq!(lab.ping_from_outside(ip("198.18.0.11"), 1).arrived(), Some(BASTION));
        lab.change(|network| {
            let vpc = network.vpcs[0].1.id.clone();
            network.internet_gateways[0] = Arc::new(records::internet_gateway(9, Some(&vpc)));
        });
        let inward = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
        assert_eq!(inward.arrived(), Some(PUBLIC_01));
    }
}

/// SG-32: an appliance in between discards group identity; the same packet straight has it.
#[test]
fn references_to_groups_end_at_an_appliance_sg_32() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.source_dest_check = false);
    let straight = lab.tcp(BASTION, ip("10.1.11.21"), (40_000, 22), SYN);
    assert_eq!(straight.arrived(), Some(PRIVATE_01));
    let mut ends = lab.ends(PUBLIC_01, ip("10.1.11.21"));
    ends.source = ip("10.1.2.13").into();
    let forwarded = lab.send(PUBLIC_01, packets::tcp_syn(&ends, (40_001, 22)));
    assert_eq!(forwarded.dropped(), Some(DropReason::SecurityGroupIngress));
}

/// SG-10, SG-33: a rule for a prefix list admits its blocks, and follows its changes at once.
#[test]
fn rules_follow_their_prefix_list_sg_10() {
    let mut lab = Lab::new();
    let list = RulePeer::PrefixList(PrefixListId::new(1));
    lab.remove_rules(|rule| rule.group_id == SecurityGroupId::new(PUB_GROUP) && !rule.egress);
    lab.add_rule(PUB_GROUP, false, records::tcp(80, 80), list);
    let syn = |lab: &mut Lab| lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
    let refused = Some(DropReason::SecurityGroupIngress);
    assert_eq!(syn(&mut lab).dropped(), refused, "there is no such list");
    lab.change(|network| {
        network.prefix_lists.push(Arc::new(records::prefix_list(1, &["198.18.200.0/24"])));
    });
    assert_eq!(syn(&mut lab).arrived(), Some(PUBLIC_01));
    lab.change(|network| {
        network.prefix_lists[0] = Arc::new(records::prefix_list(1, &["198.18.201.0/24"]));
    });
    let ends = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    let other = lab.send(PortIndex::INTERNET, packets::tcp_syn(&ends, (40_001, 80)));
    assert_eq!(other.dropped(), refused);
}

/// RT-16: a block of a list is a route; a static route to the same block beats it; the longer
/// prefix beats both.
#[test]
fn prefix_lists_route_and_static_routes_win_rt_16() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_02, |i| i.source_dest_check = false);
    lab.change(|network| {
        let list = records::prefix_list(1, &["198.18.200.0/24", "8.8.8.8/32"]);
        network.prefix_lists.push(Arc::new(list));
        let destination = RouteDestination::PrefixList(PrefixListId::new(1));
        add_route(network, PRIVATE_TABLE, destination, interface(PUBLIC_02));
    });
    let way = |lab: &mut Lab, to: &str| lab.ping(PRIVATE_01, ip(to), 1);
    assert_eq!(way(&mut lab, "198.18.200.7").arrived(), Some(PUBLIC_02));
    assert_eq!(way(&mut lab, "8.8.8.8").arrived(), Some(PUBLIC_02));
    assert_eq!(way(&mut lab, "8.8.4.4").dropped(), Some(DropReason::NoRoute));
    lab.change(|network| add_route(network, PRIVATE_TABLE, to("198.18.200.0/24"), gateway()));
    assert_eq!(way(&mut lab, "198.18.200.7").dropped(), Some(DropReason::NoPublicAddress));
    lab.change(|network| {
        network.prefix_lists[0] = Arc::new(records::prefix_list(1, &["198.18.200.7/32"]));
    });
    assert_eq!(way(&mut lab, "198.18.200.7").arrived(), Some(PUBLIC_02));
    let (_, steps) = {
        let ends = lab.ends(PRIVATE_01, OUTSIDE);
        lab.trace(PRIVATE_01, packets::icmp_echo(&ends, 2, 1))
    };
    let route = steps.iter().find(|step| step.stage == Stage::Route).unwrap();
    let component = lab.policy.component(route.component.unwrap()).unwrap();
    let text = gureum_engine::print::component(component);
    assert!(text.contains("198.18.200.7/32 (pl-00000000000000001)"), "{text}");
}

/// RT-14: a route to a whole subnet is more specific than local, and the local route itself may
/// have another target.
#[test]
fn routes_more_specific_than_local_win_rt_14() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_02, |i| i.source_dest_check = false);
    assert_eq!(lab.ping(PUBLIC_01, ip("10.1.11.21"), 1).arrived(), Some(PRIVATE_01));
    lab.change(|network| {
        add_route(network, PUBLIC_TABLE, to("10.1.11.0/24"), interface(PUBLIC_02))
    });
    assert_eq!(lab.ping(PUBLIC_01, ip("10.1.11.21"), 2).arrived(), Some(PUBLIC_02));
    assert_eq!(lab.ping(PUBLIC_01, ip("10.1.12.22"), 3).arrived(), Some(PRIVATE_02));
    lab.change(|network| add_route(network, PUBLIC_TABLE, to("10.1.0.0/16"), interface(PUBLIC_02)));
    assert_eq!(lab.ping(PUBLIC_01, ip("10.1.12.22"), 4).arrived(), Some(PUBLIC_02));
}

/// CIDR-8, RT-1: a secondary block has a local route in every table.
#[test]
fn a_secondary_block_is_local_cidr_8() {
    let mut lab = Lab::new();
    let unknown = lab.ping(PRIVATE_01, ip("10.5.1.9"), 1);
    assert_eq!(unknown.dropped(), Some(DropReason::NoRoute));
    lab.change(|network| {
        let vpc = Arc::make_mut(&mut network.vpcs[0].1);
        vpc.cidr_associations.push(gureum_types::record::VpcCidrAssociation {
            id: gureum_types::VpcCidrAssociationId::new(9),
            cidr_block: records::block("10.5.0.0/16"),
        });
        let id = vpc.id.clone();
        let subnet = records::subnet(9, &id, records::block("10.5.1.0/24"));
        let group = [SecurityGroupId::new(PUB_GROUP)];
        let nine = records::interface(PortIndex(9), &subnet, &[ip("10.5.1.9")], &group, None);
        network.interfaces.push(Arc::new(nine));
        network.subnets.push(Arc::new(subnet));
    });
    assert_eq!(lab.ping(PRIVATE_01, ip("10.5.1.9"), 2).arrived(), Some(PortIndex(9)));
    assert_eq!(
        lab.ping(PortIndex(9), ip("10.1.11.21"), 3).dropped(),
        Some(DropReason::SecurityGroupIngress)
    );
}

fn with_timeouts(tracking: ConnectionTracking) -> Lab {
    let mut lab = Lab::new();
    lab.add_rule(PRI_GROUP, false, records::udp(53, 53), records::from_block("10.1.0.0/16"));
    lab.change_interface(PRIVATE_01, |i| i.connection_tracking = tracking);
    lab
}

/// SGT-9: an interface's own timeouts of TCP and UDP, also for flows under way when they change.
#[test]
fn an_interface_has_its_own_timeouts_sgt_9() {
    let shown = |lab: &mut Lab| {
        lab.expire();
        lab.state.flows().filter(|f| f.port == PRIVATE_01 && f.tracked).count()
    };
    let tracking = ConnectionTracking { tcp_established: Some(60), ..Default::default() };
    let mut lab = with_timeouts(tracking);
    lab.connect(BASTION, ip("10.1.11.21"), (40_000, 22));
    lab.wait(59 * SECOND);
    assert_eq!(shown(&mut lab), 1);
    lab.wait(SECOND);
    assert_eq!(shown(&mut lab), 0);

    let datagram = |lab: &mut Lab| {
        let ends = lab.ends(BASTION, ip("10.1.11.21"));
        lab.send(BASTION, packets::udp(&ends, (5000, 53), b"question"))
    };
    let tracking = ConnectionTracking { udp: Some(60), udp_stream: Some(90), ..Default::default() };
    let mut lab = with_timeouts(tracking);
    datagram(&mut lab);
    lab.wait(59 * SECOND);
    assert_eq!(shown(&mut lab), 1, "one direction");
    lab.wait(SECOND);
    assert_eq!(shown(&mut lab), 0);
    let first = datagram(&mut lab);
    lab.answer_udp(&first);
    let second = datagram(&mut lab);
    lab.answer_udp(&second);
    lab.wait(89 * SECOND);
    assert_eq!(shown(&mut lab), 1, "a stream");
    lab.change_interface(PRIVATE_01, |i| i.connection_tracking.udp_stream = Some(60));
    datagram(&mut lab);
    lab.wait(60 * SECOND);
    assert_eq!(shown(&mut lab), 0, "a change counts for what is under way");
}
