//! Route tables and delivery within a VPC (RT-*, PIPE-3 to PIPE-10).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    Component, DropReason,
    testing::{
        Lab,
        lab::{
            BASTION, OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE, PUBLIC_01,
            PUBLIC_02, PUBLIC_TABLE,
        },
        packets::{self, flags::SYN},
        records,
    },
};
use gureum_types::{
    InternetGatewayId, NetworkInterfaceId, PortIndex, RouteTableId,
    record::{Route, RouteDestination, RouteTarget, Traffic},
};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn add_route(lab: &mut Lab, table: u64, destination: &str, target: RouteTarget) {
    lab.change(|network| {
        let id = RouteTableId::new(table);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        let destination = RouteDestination::Ipv4(records::block(destination));
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
}

fn to_interface(port: gureum_types::PortIndex) -> RouteTarget {
    RouteTarget::NetworkInterface(NetworkInterfaceId::new(port.0.into()))
}

/// An appliance: PUBLIC-01 forwards, and admits everything.
fn with_appliance() -> Lab {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.source_dest_check = false);
    lab.add_rule(1, false, Traffic::All, records::anywhere());
    lab
}

#[test]
fn every_table_has_the_local_route_rt_1() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    let sent = lab.ping(PUBLIC_01, private, 1);
    assert_eq!(sent.arrived(), Some(PRIVATE_01));
    let seen = sent.seen();
    assert_eq!(seen.ttl, 64, "the router is no hop (PIPE-7)");
    assert_eq!(seen.destination_mac, lab.interface(PRIVATE_01).mac);
    let router = lab.arp(PRIVATE_01, ip("10.1.11.1"));
    assert_eq!(Some(seen.source_mac), router, "from the router of the receiver's subnet");
}

#[test]
fn neighbours_are_switched_and_keep_their_mac_pipe_3() {
    let mut lab = Lab::new();
    let bastion = lab.address(BASTION);
    let sent = lab.tcp(PUBLIC_02, bastion, (40_000, 22), SYN);
    assert_eq!(sent.arrived(), Some(BASTION));
    assert_eq!(sent.seen().source_mac, lab.interface(PUBLIC_02).mac);
}

#[test]
fn route_tables_do_not_apply_to_what_is_switched_pipe_3() {
    let mut lab = Lab::new();
    lab.change(|network| network.route_tables.clear());
    let bastion = lab.address(BASTION);
    assert_eq!(lab.tcp(PUBLIC_02, bastion, (40_000, 22), SYN).arrived(), Some(BASTION));
    let routed = lab.ping(PUBLIC_01, lab.address(PRIVATE_01), 1);
    assert_eq!(routed.dropped(), Some(DropReason::RouteTableMissing));
}

#[test]
fn a_secondary_block_is_local_too_cidr_8() {
    let mut lab = Lab::new();
    let vpc = gureum_engine::testing::lab::vpc_id();
    lab.change(|network| {
        let block = records::block("100.64.0.0/16");
        let record = Arc::make_mut(&mut network.vpcs[0].1);
        record.cidr_associations.push(gureum_types::record::VpcCidrAssociation {
            id: gureum_types::VpcCidrAssociationId::new(2),
            cidr_block: block,
        });
        let subnet = records::subnet(9, &vpc, records::block("100.64.1.0/24"));
        let group = gureum_types::SecurityGroupId::new(PRI_GROUP);
        let port = gureum_types::PortIndex(20);
        let interface = records::interface(port, &subnet, &[ip("100.64.1.9")], &[group], None);
        network.subnets.push(Arc::new(subnet));
        network.interfaces.push(Arc::new(interface));
    });
    let sent = lab.ping(PUBLIC_01, ip("100.64.1.9"), 1);
    assert_eq!(sent.arrived(), Some(gureum_types::PortIndex(20)));
}

#[test]
fn without_a_route_nothing_goes_anywhere_pipe_10() {
    let mut lab = Lab::new();
    let sent = lab.ping(PRIVATE_01, OUTSIDE, 1);
    assert_eq!(sent.dropped(), Some(DropReason::NoRoute));
    assert!(sent.emitted.is_empty(), "silently");
    let flow = lab.state.flows().find(|flow| flow.port == PRIVATE_01).unwrap();
    assert_eq!((flow.egress.packets, flow.egress.rejected_packets), (1, 0), "ACCEPT (FL-31)");
}

#[test]
fn an_address_that_nobody_has_is_dropped_and_the_router_answers_no_ping_l2_4() {
    let mut lab = Lab::new();
    let unused = lab.ping(PUBLIC_01, ip("10.1.11.99"), 1);
    assert_eq!(unused.dropped(), Some(DropReason::NoSuchAddress));
    let router = lab.ping(PUBLIC_01, ip("10.1.1.1"), 1);
    assert_eq!(router.dropped(), Some(DropReason::RouterAddress));
    assert!(router.emitted.is_empty());
}

#[test]
fn a_frame_to_a_mac_that_nobody_has_is_dropped() {
    let mut lab = Lab::new();
    // A neighbour's MAC address from another subnet does not work either.
    let mut ends = lab.ends(PUBLIC_01, lab.address(BASTION));
    for mac in [[2, 9, 9, 9, 9, 9], lab.interface(BASTION).mac, lab.interface(PUBLIC_01).mac] {
        ends.destination_mac = mac;
        let sent = lab.send(PUBLIC_01, packets::tcp_syn(&ends, (40_000, 22)));
        assert_eq!(sent.dropped(), Some(DropReason::UnknownDestinationMac));
    }
}

#[test]
fn the_longest_prefix_wins_rt_2() {
    let mut lab = with_appliance();
    add_route(&mut lab, PRIVATE_TABLE, "198.18.0.0/16", to_interface(PUBLIC_01));
    add_route(&mut lab, PRIVATE_TABLE, "198.18.200.7/32", to_interface(BASTION));
    let other = lab.ping(PRIVATE_01, ip("198.18.200.8"), 1);
    assert_eq!(other.arrived(), Some(PUBLIC_01));
    let exact = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 22), SYN);
    assert_eq!(exact.dropped(), Some(DropReason::DestinationCheck), "BASTION does not forward");
}

#[test]
fn a_blackhole_route_wins_over_a_more_general_one_rt_12() {
    let mut lab = Lab::new();
    let gone = RouteTarget::InternetGateway(InternetGatewayId::new(77));
    add_route(&mut lab, PUBLIC_TABLE, "198.18.200.0/24", gone.clone());
    let sent = lab.ping(PUBLIC_01, OUTSIDE, 1);
    let Some(DropReason::RouteBlackhole(index)) = sent.dropped() else {
        panic!("{:?}", sent.verdict)
    };
    let component = lab.policy.component(index).unwrap();
    assert_eq!(
        component,
        &Component::Route {
            table: RouteTableId::new(PUBLIC_TABLE),
            destination: records::block("198.18.200.0/24").into(),
            prefix_list: None,
            target: gone,
        }
    );
    assert!(lab.ping(PUBLIC_01, ip("198.18.201.1"), 2).arrived().is_some(), "others go on");
}

#[test]
fn a_detached_gateway_makes_a_blackhole_rt_10() {
    let mut lab = Lab::new();
    lab.change(|network| Arc::make_mut(&mut network.internet_gateways[0]).vpc_id = None);
    let sent = lab.ping(PUBLIC_01, OUTSIDE, 1);
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))));
}

#[test]
fn a_stopped_instance_as_target_makes_a_blackhole_rt_13() {
    let mut lab = with_appliance();
    add_route(&mut lab, PRIVATE_TABLE, "0.0.0.0/0", to_interface(PUBLIC_01));
    assert_eq!(lab.ping(PRIVATE_01, OUTSIDE, 1).arrived(), Some(PUBLIC_01));
    lab.change(|network| network.interfaces.retain(|i| i.port != PUBLIC_01));
    let sent = lab.ping(PRIVATE_01, OUTSIDE, 2);
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))));
}

#[test]
fn an_appliance_gets_what_is_routed_to_it_and_forwards_it_rt_20() {
    let mut lab = with_appliance();
    add_route(&mut lab, PRIVATE_TABLE, "10.1.2.0/24", to_interface(PUBLIC_01));
    let to = lab.address(BASTION);
    let ends = lab.ends(PRIVATE_01, to);
    let sent = lab.send(PRIVATE_01, packets::tcp_syn(&ends, (40_000, 22)));
    assert_eq!(sent.arrived(), Some(PUBLIC_01));
    let seen = sent.seen();
    assert_eq!(
        (seen.source, seen.destination),
        (lab.address(PRIVATE_01).into(), to.into()),
        "untouched"
    );
    assert_eq!(seen.destination_mac, lab.interface(PUBLIC_01).mac);
    // The appliance forwards it with its own MAC address.
    let mut onward = lab.ends(PUBLIC_01, to);
    onward.source = lab.address(PRIVATE_01).into();
    let sent = lab.send(PUBLIC_01, packets::tcp_syn(&onward, (40_000, 22)));
    assert_eq!(sent.arrived(), Some(BASTION));
}

#[test]
fn with_the_check_on_an_appliance_neither_gets_nor_forwards_sdc_1() {
    let mut lab = with_appliance();
    lab.change_interface(PUBLIC_01, |i| i.source_dest_check = true);
    add_route(&mut lab, PRIVATE_TABLE, "0.0.0.0/0", to_interface(PUBLIC_01));
    let sent = lab.ping(PRIVATE_01, OUTSIDE, 1);
    assert_eq!(sent.dropped(), Some(DropReason::DestinationCheck));
    let mut ends = lab.ends(PUBLIC_01, lab.address(BASTION));
    ends.source = lab.address(PRIVATE_01).into();
    let sent = lab.send(PUBLIC_01, packets::tcp_syn(&ends, (40_000, 22)));
    assert_eq!(sent.dropped(), Some(DropReason::SourceCheck));
}

#[test]
fn link_local_destinations_are_never_forwarded_rt_15() {
    let mut lab = with_appliance();
    add_route(&mut lab, PRIVATE_TABLE, "0.0.0.0/0", to_interface(PUBLIC_01));
    let mut ends = lab.ends(PRIVATE_01, OUTSIDE);
    ends.destination = ip("169.254.170.2").into();
    let sent = lab.send(PRIVATE_01, packets::tcp_syn(&ends, (40_000, 80)));
    assert_eq!(sent.dropped(), Some(DropReason::LinkLocalDestination));
}

#[test]
fn tables_are_looked_up_by_the_senders_subnet_pipe_6() {
    let mut lab = with_appliance();
    // Traffic from PRIVATE-A to PUBLIC-B goes by the appliance, the way back does not.
    add_route(&mut lab, PRIVATE_TABLE, "10.1.2.0/24", to_interface(PUBLIC_01));
    let bastion = lab.address(BASTION);
    assert_eq!(lab.tcp(PRIVATE_01, bastion, (1, 22), SYN).arrived(), Some(PUBLIC_01));
    let private = lab.address(PRIVATE_01);
    assert_eq!(lab.tcp(BASTION, private, (1, 22), SYN).arrived(), Some(PRIVATE_01));
}

#[test]
fn an_explicit_association_comes_before_the_main_table_rt_3() {
    let mut lab = Lab::new();
    lab.change(|network| {
        let gateway = network.internet_gateways[0].id.clone();
        let main = Arc::make_mut(&mut network.route_tables[0]);
        main.routes.push(Route {
            destination: RouteDestination::Ipv4(records::block("0.0.0.0/0")),
            target: RouteTarget::InternetGateway(gateway),
        });
    });
    let explicit = lab.ping(PRIVATE_01, OUTSIDE, 1);
    assert_eq!(explicit.dropped(), Some(DropReason::NoRoute));
    lab.change(|network| Arc::make_mut(&mut network.route_tables[2]).associations.clear());
    let main = lab.ping(PRIVATE_01, OUTSIDE, 2);
    assert_eq!(main.dropped(), Some(DropReason::NoPublicAddress));
}

#[test]
fn vpcs_with_the_same_block_never_meet() {
    let mut lab = Lab::new();
    let mut other = gureum_engine::testing::lab::lab_network();
    lab.change(|network| {
        let vpc = records::vpc(2, records::block("10.1.0.0/16"));
        let subnet = records::subnet(21, &vpc.id, records::block("10.1.11.0/24"));
        let group = records::security_group(21, &vpc.id, "open");
        let rule = |n, egress| {
            Arc::new(records::rule(n, &group.id, egress, Traffic::All, records::anywhere()))
        };
        network.security_group_rules.extend([rule(901, true), rule(902, false)]);
        let table = records::route_table(21, &vpc.id, true, &[], &[]);
        let all = gureum_engine::testing::lab::allow_all;
        let acl = records::network_acl(21, &vpc.id, true, &[], &[all(1, true), all(1, false)]);
        let port = gureum_types::PortIndex(20);
        let twin = records::interface(
            port,
            &subnet,
            &[ip("10.1.11.21")],
            std::slice::from_ref(&group.id),
            None,
        );
        network.vpcs.push((records::region(), Arc::new(vpc)));
        network.subnets.push(Arc::new(subnet));
        network.security_groups.push(Arc::new(group));
        network.route_tables.push(Arc::new(table));
        network.network_acls.push(Arc::new(acl));
        network.interfaces.push(Arc::new(twin));
    });
    other.interfaces.clear();
    assert_eq!(lab.ping(PUBLIC_02, ip("10.1.11.21"), 1).arrived(), Some(PRIVATE_01));
    let twin = gureum_types::PortIndex(20);
    let away = lab.ping(twin, ip("10.1.2.12"), 1);
    assert_eq!(away.dropped(), Some(DropReason::NoSuchAddress));
    assert_eq!(lab.ping(PRIVATE_02, ip("10.1.11.21"), 1).arrived(), Some(PRIVATE_01));
}

#[test]
fn broken_records_become_drops_with_a_name() {
    let mut lab = Lab::new();
    lab.change(|network| {
        network.subnets.remove(0);
        let acl = Arc::make_mut(&mut network.network_acls[0]);
        acl.associations.clear();
        acl.is_default = false;
    });
    let mac = lab.interface(PUBLIC_01).mac;
    let ends = packets::Ends {
        source_mac: mac,
        destination_mac: [2; 6],
        source: ip("10.1.1.11").into(),
        destination: OUTSIDE.into(),
    };
    let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::BrokenInterface));
    let sent = lab.ping(PUBLIC_02, OUTSIDE, 1);
    assert_eq!(sent.dropped(), Some(DropReason::NetworkAclMissing));
    let sent = lab.send(gureum_types::PortIndex(4000), packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::UnknownPort));
}

/// The ports of the internet and the services, and those that there are not, are no interface's.
#[test]
fn an_interface_without_a_port_of_its_own_is_not_there() {
    for port in [PortIndex::INTERNET, PortIndex::SERVICES, PortIndex::END] {
        let mut lab = Lab::new();
        lab.change_interface(PUBLIC_01, |i| i.port = port);
        let sent = lab.ping(PUBLIC_02, ip("10.1.1.11"), 1);
        assert_eq!(sent.dropped(), Some(DropReason::NoSuchAddress), "{port}");
    }
}

#[test]
fn frames_that_are_not_ipv4_have_their_own_names() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let good = packets::tcp_syn(&ends, (1, 22));
    let mut with_type = |ether_type: u16| {
        let mut built = good.clone();
        built.frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
        lab.send(PUBLIC_02, built).dropped()
    };
    assert_eq!(with_type(0x86dd), Some(DropReason::Ipv6NotEnabled));
    assert_eq!(with_type(0x8100), Some(DropReason::EtherTypeNotCarried));
    for len in 0..54 {
        let mut short = packets::tcp_syn(&ends, (1, 22));
        short.frame.truncate(len);
        assert_eq!(lab.send(PUBLIC_02, short).dropped(), Some(DropReason::Malformed), "{len}");
    }
}
