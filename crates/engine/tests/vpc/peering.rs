//! Peering connections between VPCs (SG-31, SG-34, RT-21, MTU-1, NAT-17).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason,
    testing::{
        Lab,
        lab::{OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_TABLE, PUBLIC_01, PUBLIC_TABLE, allow_all},
        packets::{
            self,
            flags::{ACK, SYN},
        },
        records,
        verify::{Seen, word},
    },
};
use gureum_types::{
    PortIndex, RouteTableId, SecurityGroupId, TrafficPath, VpcId, VpcPeeringConnectionId,
    record::{PeeringStatus, Route, RouteDestination, RouteTarget, RulePeer, Traffic},
};

/// 10.2.1.5, the only interface of the other VPC, 10.2.0.0/16.
const OTHER: PortIndex = PortIndex(30);
const OTHER_GROUP: u64 = 50;
const OTHER_TABLE: u64 = 50;

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn pcx() -> RouteTarget {
    RouteTarget::VpcPeeringConnection(VpcPeeringConnectionId::new(1))
}

fn add_route(lab: &mut Lab, table: u64, destination: &str, target: RouteTarget) {
    lab.change(|network| {
        let id = RouteTableId::new(table);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        let destination = RouteDestination::Ipv4(records::block(destination));
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
}

/// The lab peered with another VPC, routes both ways; the other side admits PRIVATE-01's group.
fn peered() -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let vpc = records::vpc(2, records::block("10.2.0.0/16"));
        let subnet = records::subnet(50, &vpc.id, records::block("10.2.1.0/24"));
        let group = records::security_group(OTHER_GROUP, &vpc.id, "other");
        let lab_vpc = network.vpcs[0].1.id.clone();
        network.vpc_peering_connections.push(Arc::new(records::peering(1, &lab_vpc, &vpc.id)));
        let back = (records::block("10.1.0.0/16"), pcx());
        let ids = [subnet.id.clone()];
        network.route_tables.push(Arc::new(records::route_table(
            OTHER_TABLE,
            &vpc.id,
            true,
            &[],
            &[back],
        )));
        network.network_acls.push(Arc::new(records::network_acl(
            50,
            &vpc.id,
            true,
            &ids,
            &[allow_all(100, true), allow_all(100, false)],
        )));
        let private = network.interfaces.iter().find(|i| i.port == PRIVATE_01).unwrap();
        let from = RulePeer::Group(private.groups[0].clone());
        let rules = [
            records::rule(500, &group.id, false, records::all_icmp(), from),
            records::rule(501, &group.id, true, Traffic::All, records::anywhere()),
        ];
        network.security_group_rules.extend(rules.map(Arc::new));
        let interface = records::interface(
            OTHER,
            &subnet,
            &[ip("10.2.1.5")],
            std::slice::from_ref(&group.id),
            None,
        );
        network.interfaces.push(Arc::new(interface));
        network.security_groups.push(Arc::new(group));
        network.subnets.push(Arc::new(subnet));
        network.vpcs.push((records::region(), Arc::new(vpc)));
    });
    for table in [PRIVATE_TABLE, PUBLIC_TABLE] {
        add_route(&mut lab, table, "10.2.0.0/16", pcx());
    }
    lab
}

/// SG-31: rules may refer to groups of the other side.
#[test]
fn peers_reach_each_other_and_refer_to_each_others_groups_sg_31() {
    let mut lab = peered();
    let ping = lab.ping(PRIVATE_01, ip("10.2.1.5"), 1);
    assert_eq!(ping.arrived(), Some(OTHER));
    assert_eq!(ping.seen().source, ip("10.1.11.21"));
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PRIVATE_01));
    let other = lab.ping(PUBLIC_01, ip("10.2.1.5"), 1);
    assert_eq!(other.dropped(), Some(DropReason::SecurityGroupIngress), "of another group");
}

/// RT-12, RT-21, SG-34: pending or deleted, routes are black holes and references are stale.
#[test]
fn only_an_active_connection_carries_packets_rt_21() {
    for status in [PeeringStatus::PendingAcceptance, PeeringStatus::Deleted, PeeringStatus::Expired]
    {
        let mut lab = peered();
        lab.change(|network| {
            Arc::make_mut(&mut network.vpc_peering_connections[0]).status = status;
        });
        let sent = lab.ping(PRIVATE_01, ip("10.2.1.5"), 1);
        assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))), "{status:?}");
    }
}

/// SG-34: a stale reference matches nothing and lives again with the next connection.
#[test]
fn a_stale_reference_matches_nothing_until_peered_anew_sg_34() {
    let mut lab = peered();
    // Another connection carries the packets, but between the same VPCs: not stale.
    lab.change(|network| {
        let vpcs = [VpcId::new(1), VpcId::new(2)];
        let again = records::peering(2, &vpcs[0], &vpcs[1]);
        Arc::make_mut(&mut network.vpc_peering_connections[0]).status = PeeringStatus::Deleted;
        network.vpc_peering_connections.push(Arc::new(again));
    });
    let pcx = RouteTarget::VpcPeeringConnection(VpcPeeringConnectionId::new(2));
    lab.change(|network| {
        for table in &mut network.route_tables {
            for route in &mut Arc::make_mut(table).routes {
                if let RouteTarget::VpcPeeringConnection(_) = route.target {
                    route.target = pcx.clone();
                }
            }
        }
    });
    assert_eq!(lab.ping(PRIVATE_01, ip("10.2.1.5"), 1).arrived(), Some(OTHER));
}

/// FL-27: `traffic-path` tells a connection within the region from one to another region.
#[test]
fn flow_logs_tell_how_far_a_connection_goes_fl_27() {
    let mut lab = peered();
    lab.change(crate::flow_logs::log_vpc);
    let paths = |lab: &mut Lab, number| {
        lab.tallies = Default::default();
        assert_eq!(lab.ping(PRIVATE_01, ip("10.2.1.5"), number).arrived(), Some(OTHER));
        lab.tallies.sums.iter().map(|sum| sum.key.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(&mut lab, 1), [Some(TrafficPath::Peering)]);
    lab.change(|network| {
        network.vpcs[1].0 = "us-east-1".parse().unwrap();
        let from = records::rule(
            502,
            &SecurityGroupId::new(OTHER_GROUP),
            false,
            Traffic::All,
            records::anywhere(),
        );
        network.security_group_rules.push(Arc::new(from));
    });
    assert_eq!(paths(&mut lab, 2), [Some(TrafficPath::PeeringOtherRegion)]);
}

/// SG-31: between regions there are no references, and 1500 bytes is the most (MTU-1).
#[test]
fn a_connection_between_regions_knows_no_groups_mtu_1() {
    let mut lab = peered();
    lab.change(|network| network.vpcs[1].0 = "us-east-1".parse().unwrap());
    let sent = lab.ping(PRIVATE_01, ip("10.2.1.5"), 1);
    assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress));
    let group = SecurityGroupId::new(OTHER_GROUP);
    lab.change(|network| {
        let from = records::from_block("10.1.0.0/16");
        let rule = records::rule(502, &group, false, records::all_icmp(), from);
        network.security_group_rules.push(Arc::new(rule));
    });
    assert_eq!(lab.ping(PRIVATE_01, ip("10.2.1.5"), 2).arrived(), Some(OTHER));
    let ends = lab.ends(PRIVATE_01, ip("10.2.1.5"));
    let big = packets::icmp(&ends, (8, 0), [0, 3, 0, 1], &[0; 1473]);
    let sent = lab.send(PRIVATE_01, big.clone());
    let error = Seen::ip(&sent.answer().frame);
    assert_eq!((error.icmp(), word(&error.payload, 6)), ((3, 4), 1500));
    lab.change(|network| network.vpcs[1].0 = records::region());
    assert_eq!(lab.send(PRIVATE_01, big).arrived(), Some(OTHER), "9001 within a region");
}

/// The other side's gateways and its peers are out of reach: a connection leads to interfaces.
#[test]
fn a_connection_gives_no_transit_nat_17() {
    let mut lab = peered();
    add_route(&mut lab, PRIVATE_TABLE, "0.0.0.0/0", pcx());
    let sent = lab.ping(PRIVATE_01, OUTSIDE, 1);
    assert_eq!(sent.dropped(), Some(DropReason::PeeringNoSuchAddress));
    let sent = lab.ping(PRIVATE_01, ip("10.2.1.99"), 1);
    assert_eq!(sent.dropped(), Some(DropReason::PeeringNoSuchAddress));
    // Not even the resolver of the other side (DNS-2).
    let sent = lab.ping(PRIVATE_01, ip("10.2.0.2"), 1);
    assert_eq!(sent.dropped(), Some(DropReason::PeeringNoSuchAddress));
}

/// PIPE-6: the answer goes by the other side's table; without a route there it is lost.
#[test]
fn both_sides_need_a_route_pipe_6() {
    let mut lab = peered();
    lab.change(|network| {
        let id = RouteTableId::new(OTHER_TABLE);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        Arc::make_mut(table).routes.clear();
    });
    let ping = lab.ping(PRIVATE_01, ip("10.2.1.5"), 1);
    assert_eq!(ping.arrived(), Some(OTHER));
    assert_eq!(lab.answer_ping(&ping).dropped(), Some(DropReason::NoRoute));
}

/// Network ACLs of both sides see the packet.
#[test]
fn network_acls_of_both_sides_apply() {
    let mut lab = peered();
    lab.change(|network| {
        let acl = network.network_acls.last_mut().unwrap();
        Arc::make_mut(acl).entries.retain(|entry| entry.egress);
    });
    let sent = lab.tcp(PRIVATE_01, ip("10.2.1.5"), (1, 22), SYN);
    assert!(matches!(sent.dropped(), Some(DropReason::NetworkAclIngress(_))));
}

/// VPCE-15: an interface endpoint of the other VPC is an interface like others there.
#[test]
fn an_endpoint_of_the_other_vpc_is_reached_by_its_address_vpce_15() {
    let mut lab = peered();
    let endpoint = PortIndex(31);
    lab.change(|network| {
        let vpc = VpcId::new(2);
        let group = SecurityGroupId::new(OTHER_GROUP);
        let from = records::from_block("10.1.0.0/16");
        let rule = records::rule(502, &group, false, records::tcp(443, 443), from);
        network.security_group_rules.push(Arc::new(rule));
        let subnet = network.subnets.iter().find(|subnet| subnet.vpc_id == vpc).unwrap().clone();
        let interface = records::interface(endpoint, &subnet, &[ip("10.2.1.9")], &[group], None);
        network.interfaces.push(Arc::new(interface));
        let record = records::interface_endpoint(1, &vpc, &[endpoint]);
        network.vpc_endpoints.push(Arc::new(record));
    });
    let syn = lab.tcp(PRIVATE_01, ip("10.2.1.9"), (40_000, 443), SYN);
    assert_eq!(syn.arrived(), Some(PortIndex::SERVICES), "{:?}", syn.verdict);
    let caller = gureum_types::caller_address(PRIVATE_01, 0);
    assert_eq!(Some(syn.seen().source), caller.map(Into::into));
    let answer = lab.answer_tcp(&syn, SYN | packets::flags::ACK);
    assert_eq!(answer.arrived(), Some(PRIVATE_01), "{:?}", answer.verdict);
    assert_eq!(answer.seen().source, ip("10.2.1.9"));
}

/// VPCE-15, SGT-11: an interface endpoint serves the other side too, by its address, and tracks the
/// flows of its callers whatever the rules say.
#[test]
fn an_endpoint_serves_callers_across_a_peering_connection() {
    let mut lab = peered();
    lab.change(|network| {
        let vpc = VpcId::new(2);
        network.vpc_endpoints.push(Arc::new(records::interface_endpoint(1, &vpc, &[OTHER])));
    });
    for egress in [true, false] {
        for group in [PRI_GROUP, OTHER_GROUP] {
            lab.add_rule(group, egress, Traffic::All, records::anywhere());
        }
    }
    let to = ip("10.2.1.5");
    let syn = lab.tcp(PRIVATE_01, to, (40_000, 443), SYN);
    assert_eq!(syn.arrived(), Some(PortIndex::SERVICES), "{:?}", syn.verdict);
    assert_eq!(lab.state.tracked_flows(), 2, "at both ends");
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PRIVATE_01), "{:?}", answer.verdict);
    assert_eq!(answer.seen().source, to);
    // The neighbours of the endpoint need no such care.
    let ends = lab.ends(PRIVATE_01, ip("10.2.1.6"));
    let sent = lab.send(PRIVATE_01, packets::udp(&ends, (40_000, 443), b"question"));
    assert_eq!(sent.dropped(), Some(DropReason::PeeringNoSuchAddress));
    assert_eq!(lab.state.tracked_flows(), 2, "all open, both ways (SGT-2)");
}
