//! VPC endpoints (VPCE-*): interfaces with a service behind them, and gateways that routes lead to.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, FABRIC_ROUTER_MAC, Offload, WhyQuery, WhySource, WhyTraffic,
    testing::{
        Lab, Sent,
        lab::{FABRIC, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE, PUBLIC_01, PUBLIC_TABLE, allow_all},
        packets::{
            self, Ends,
            flags::{ACK, RST, SYN},
        },
        records::{self, tcp},
    },
    why,
};
use gureum_types::{
    PortIndex, PrefixListId, RouteTableId, SecurityGroupId, VpcEndpointId, callee_address,
    caller_address,
    record::{Route, RouteDestination, RouteTarget, RulePeer, Traffic},
};

/// 10.1.11.30, the endpoint's interface in the subnet of PRIVATE-01.
const NEAR: PortIndex = PortIndex(40);
/// 10.1.12.30, its interface in the subnet of PRIVATE-02.
const FAR: PortIndex = PortIndex(41);
/// The gateway endpoints of S3 and of DynamoDB.
const S3: PortIndex = PortIndex(42);
const DYNAMODB: PortIndex = PortIndex(43);
/// IMD-SSM-SG: 443 from the VPC, and nothing out.
const SSM_GROUP: u64 = 9;
/// The prefix lists of S3 and of DynamoDB.
const LISTS: [(u64, &str); 2] = [(5, "203.0.113.128/27"), (6, "203.0.113.160/27")];

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn add_route(lab: &mut Lab, table: u64, destination: RouteDestination, target: RouteTarget) {
    lab.change(|network| {
        let id = RouteTableId::new(table);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
}

/// The lab after its step 23: an endpoint for one service in both private subnets. Its group
/// admits 443 from the VPC and lets nothing out.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let group = records::security_group(SSM_GROUP, &vpc, "IMD-SSM-SG");
        let https = records::from_block("10.1.0.0/16");
        let rule = records::rule(900, &group.id, false, tcp(443, 443), https);
        network.security_group_rules.push(Arc::new(rule));
        for (port, subnet, address) in [(NEAR, 2, "10.1.11.30"), (FAR, 3, "10.1.12.30")] {
            let subnet = network.subnets[subnet].clone();
            let groups = [group.id.clone()];
            let interface = records::interface(port, &subnet, &[ip(address)], &groups, None);
            network.interfaces.push(Arc::new(interface));
        }
        network.security_groups.push(Arc::new(group));
        let endpoint = records::interface_endpoint(1, &vpc, &[NEAR, FAR]);
        network.vpc_endpoints.push(Arc::new(endpoint));
    });
    lab
}

/// The lab with gateway endpoints, whose routes are in the private table.
fn gateways() -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let s3 = records::gateway_endpoint(2, &vpc, "s3", S3);
        let dynamodb = records::gateway_endpoint(3, &vpc, "dynamodb", DYNAMODB);
        network.vpc_endpoints.extend([s3, dynamodb].map(Arc::new));
        for (number, block) in LISTS {
            network.prefix_lists.push(Arc::new(records::prefix_list(number, &[block])));
        }
    });
    for ((list, _), endpoint) in LISTS.into_iter().zip([2, 3]) {
        let destination = RouteDestination::PrefixList(PrefixListId::new(list));
        let target = RouteTarget::VpcEndpoint(VpcEndpointId::new(endpoint));
        add_route(&mut lab, PRIVATE_TABLE, destination, target);
    }
    lab
}

/// A packet from the services, as a server there would send it.
fn from_services(source: Ipv4Addr, destination: Ipv4Addr) -> Ends {
    Ends {
        source_mac: FABRIC.services_mac,
        destination_mac: FABRIC_ROUTER_MAC,
        source: source.into(),
        destination: destination.into(),
    }
}

fn assert_called(sent: &Sent, caller: PortIndex, callee: (PortIndex, u32)) {
    assert_eq!(sent.arrived(), Some(PortIndex::SERVICES), "{:?}", sent.verdict);
    let seen = sent.seen();
    assert_eq!(Some(seen.source), caller_address(caller, 0).map(Into::into));
    assert_eq!(Some(seen.destination), callee_address(callee.0, callee.1).map(Into::into));
    assert_eq!(seen.destination_mac, FABRIC.services_mac);
}

/// VPCE-2, VPCE-15: from its own subnet and from others, to the service and back.
#[test]
fn an_interface_endpoint_hands_its_callers_to_the_service() {
    let mut lab = lab();
    for (endpoint, address) in [(NEAR, "10.1.11.30"), (FAR, "10.1.12.30")] {
        let syn = lab.tcp(PRIVATE_01, ip(address), (40_000, 443), SYN);
        assert_called(&syn, PRIVATE_01, (endpoint, 0));
        let answer = lab.answer_tcp(&syn, SYN | ACK);
        assert_eq!(answer.arrived(), Some(PRIVATE_01), "{:?}", answer.verdict);
        let seen = answer.seen();
        assert_eq!((seen.source, seen.destination), (ip(address).into(), ip("10.1.11.21").into()));
        assert_eq!((seen.ports(), seen.ttl), ((443, 40_000), 64));
        let mac = lab.interface(PRIVATE_01).mac;
        assert_eq!(seen.destination_mac, mac);
        let near = endpoint == NEAR;
        assert_eq!(seen.source_mac == lab.interface(NEAR).mac, near, "a neighbour sends itself");
        assert!(lab.tcp(PRIVATE_01, ip(address), (40_000, 443), ACK).arrived().is_some());
    }
    // Both are tracked at both ends (SGT-16), and answers need no rule of the endpoint's.
    assert_eq!(lab.state.tracked_flows(), 4);
}

/// VPCE-5: the endpoint's groups say who gets in.
#[test]
fn the_groups_of_an_endpoint_guard_it() {
    let mut lab = lab();
    let to = ip("10.1.11.30");
    let plain = lab.tcp(PRIVATE_01, to, (40_000, 80), SYN);
    assert_eq!(plain.dropped(), Some(DropReason::SecurityGroupIngress));
    lab.remove_rules(|rule| rule.group_id == SecurityGroupId::new(SSM_GROUP));
    let closed = lab.tcp(PRIVATE_01, to, (40_000, 443), SYN);
    assert_eq!(closed.dropped(), Some(DropReason::SecurityGroupIngress));
    let group = RulePeer::Group(SecurityGroupId::new(gureum_engine::testing::lab::PRI_GROUP));
    lab.add_rule(SSM_GROUP, false, tcp(443, 443), group);
    assert!(lab.tcp(PRIVATE_01, to, (40_000, 443), SYN).arrived().is_some());
    let other = lab.tcp(PUBLIC_01, to, (40_000, 443), SYN);
    assert_eq!(other.dropped(), Some(DropReason::SecurityGroupIngress), "it has another group");
}

/// VPCE-15: TCP to the ports of the service, and nothing else.
#[test]
fn an_endpoint_offers_tcp_only() {
    let mut lab = lab();
    lab.add_rule(SSM_GROUP, false, Traffic::All, records::anywhere());
    let to = ip("10.1.11.30");
    assert!(lab.tcp(PRIVATE_01, to, (40_000, 80), SYN).arrived().is_some());
    let closed = Some(DropReason::ServicePortClosed);
    assert_eq!(lab.tcp(PRIVATE_01, to, (40_000, 22), SYN).dropped(), closed);
    assert_eq!(lab.ping(PRIVATE_01, to, 1).dropped(), closed);
    let ends = lab.ends(PRIVATE_01, to);
    let sent = lab.send(PRIVATE_01, packets::udp(&ends, (40_000, 443), b"question"));
    assert_eq!(sent.dropped(), closed);
}

/// VPCE-6: whatever the service sends by itself goes nowhere.
#[test]
fn an_endpoint_begins_nothing() {
    let mut lab = lab();
    lab.add_rule(SSM_GROUP, true, Traffic::All, records::anywhere());
    let caller = caller_address(PRIVATE_01, 0).unwrap();
    let ends = from_services(callee_address(NEAR, 0).unwrap(), caller);
    let syn = lab.send(PortIndex::SERVICES, packets::tcp_syn(&ends, (443, 40_000)));
    assert_eq!(syn.dropped(), Some(DropReason::EndpointUnsolicited));
    let ping = lab.send(PortIndex::SERVICES, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(ping.dropped(), Some(DropReason::EndpointUnsolicited));
    let stray = lab.send(PortIndex::SERVICES, packets::tcp(&ends, (443, 40_000), ACK, &[]));
    assert_eq!(stray.dropped(), Some(DropReason::TcpNotTracked), "nobody called");
    for (callee, caller) in [
        (callee_address(NEAR, 1).unwrap(), caller),
        (callee_address(PRIVATE_02, 0).unwrap(), caller),
        (callee_address(PortIndex(4000), 0).unwrap(), caller),
        (callee_address(NEAR, 0).unwrap(), caller_address(PortIndex(4000), 0).unwrap()),
    ] {
        let ends = from_services(callee, caller);
        let sent = lab.send(PortIndex::SERVICES, packets::tcp(&ends, (443, 40_000), ACK, &[]));
        assert_eq!(sent.dropped(), Some(DropReason::ServiceCallerUnknown), "{ends:?}");
    }
}

/// VPCE-16, NACL-23, NACL-24, LAB-12: behind the lab's ACL an instance reaches the interface in its own
/// subnet and not the one in the other.
#[test]
fn the_acl_of_an_endpoints_subnet_guards_it() {
    let mut lab = lab();
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let subnets = [2, 3].map(|at: usize| network.subnets[at].id.clone());
        let from_public = (10, false, true, Traffic::All, records::block("10.1.1.0/24"));
        let entries = [from_public, allow_all(100, true)];
        let acl = records::network_acl(7, &vpc, false, &subnets, &entries);
        network.network_acls.push(Arc::new(acl));
    });
    assert!(lab.tcp(PRIVATE_01, ip("10.1.11.30"), (40_000, 443), SYN).arrived().is_some());
    let far = lab.tcp(PRIVATE_01, ip("10.1.12.30"), (40_000, 443), SYN);
    assert!(matches!(far.dropped(), Some(DropReason::NetworkAclIngress(_))), "{:?}", far.verdict);
    let public = lab.tcp(PUBLIC_01, ip("10.1.11.30"), (40_000, 443), SYN);
    assert!(public.arrived().is_some(), "{:?}", public.verdict);
    let answer = lab.answer_tcp(&public, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PUBLIC_01), "{:?}", answer.verdict);
}

/// SGT-11, SGT-14, SSM-12: tracked although both groups are all open, so an end of the rules
/// leaves the connection alone, and only an ACL cuts it.
#[test]
fn flows_to_an_endpoint_are_always_tracked() {
    let mut lab = lab();
    for egress in [false, true] {
        lab.add_rule(SSM_GROUP, egress, Traffic::All, records::anywhere());
        let group = gureum_engine::testing::lab::PRI_GROUP;
        lab.add_rule(group, egress, Traffic::All, records::anywhere());
    }
    lab.connect(PRIVATE_01, ip("10.1.12.30"), (40_000, 443));
    assert_eq!(lab.state.tracked_flows(), 2);
    lab.remove_rules(|_| true);
    let data = lab.tcp(PRIVATE_01, ip("10.1.12.30"), (40_000, 443), ACK);
    assert!(data.arrived().is_some(), "{:?}", data.verdict);
    lab.change(|network| Arc::make_mut(&mut network.network_acls[0]).entries.clear());
    assert!(lab.tcp(PRIVATE_01, ip("10.1.12.30"), (40_000, 443), ACK).dropped().is_some());
}

/// VPCE-14, MTU-2: 8500 bytes, and larger packets vanish without a word.
#[test]
fn larger_packets_than_an_endpoint_carries_vanish() {
    let mut lab = lab();
    let syn = lab.tcp(PRIVATE_01, ip("10.1.12.30"), (40_000, 443), SYN);
    lab.answer_tcp(&syn, SYN | ACK);
    let data = |lab: &mut Lab, bytes: usize| {
        let ends = lab.ends(PRIVATE_01, ip("10.1.12.30"));
        let payload = vec![1; bytes];
        lab.send(PRIVATE_01, packets::tcp_data(&ends, (40_000, 443), &payload))
    };
    // Before and after packets like these are known.
    for _ in 0..2 {
        assert!(data(&mut lab, 8460).arrived().is_some());
        let large = data(&mut lab, 8461);
        assert_eq!(large.dropped(), Some(DropReason::TooLarge));
        assert!(large.emitted.is_empty());
    }
    let (port, ends) = lab.answering(&syn);
    for _ in 0..2 {
        let small = packets::tcp_data(&ends, (443, 40_000), &[1; 8460]);
        assert_eq!(lab.send(port, small).arrived(), Some(PRIVATE_01));
        let large = lab.send(port, packets::tcp_data(&ends, (443, 40_000), &[1; 8461]));
        assert_eq!(large.dropped(), Some(DropReason::TooLarge));
        assert!(large.emitted.is_empty());
    }
    let segments = packets::tcp_data(&ends, (443, 40_000), &[1; 30_000])
        .with_segments(Offload::GSO_TCPV4, 8460);
    assert_eq!(lab.send(port, segments).arrived(), Some(PRIVATE_01));
}

/// VPCE-4, VPCE-17: no packet passes before it is available, nor when it is gone.
#[test]
fn an_endpoint_carries_only_while_it_is_there() {
    let mut lab = lab();
    lab.connect(PRIVATE_01, ip("10.1.11.30"), (40_000, 443));
    lab.change(|network| {
        network.vpc_endpoints.clear();
        network.interfaces.retain(|interface| ![NEAR, FAR].contains(&interface.port));
    });
    let caller = caller_address(PRIVATE_01, 0).unwrap();
    let ends = from_services(callee_address(NEAR, 0).unwrap(), caller);
    let data = lab.send(PortIndex::SERVICES, packets::tcp(&ends, (443, 40_000), ACK, &[]));
    assert_eq!(data.dropped(), Some(DropReason::ServiceCallerUnknown));
    assert_eq!(lab.arp(PRIVATE_01, ip("10.1.11.30")), None);
    let far = lab.tcp(PRIVATE_01, ip("10.1.12.30"), (40_000, 443), SYN);
    assert_eq!(far.dropped(), Some(DropReason::NoSuchAddress));
}

/// ENI-7: the interface of an endpoint is nobody's to route to.
#[test]
fn no_route_leads_to_the_interface_of_an_endpoint() {
    let mut lab = lab();
    let target = RouteTarget::NetworkInterface(lab.interface(NEAR).id.clone());
    let destination = RouteDestination::Ipv4(records::block("192.0.2.0/24"));
    add_route(&mut lab, PRIVATE_TABLE, destination, target);
    let sent = lab.tcp(PRIVATE_01, ip("192.0.2.1"), (40_000, 443), SYN);
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))), "{:?}", sent.verdict);
}

/// VPCE-18, VPCE-20: by the route of the prefix list, with the private address and nothing else.
#[test]
fn a_gateway_endpoint_takes_what_its_prefix_list_names() {
    let mut lab = gateways();
    let to = ip("203.0.113.129");
    let syn = lab.tcp(PRIVATE_01, to, (40_000, 443), SYN);
    assert_called(&syn, PRIVATE_01, (S3, 1));
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PRIVATE_01), "{:?}", answer.verdict);
    let seen = answer.seen();
    assert_eq!((seen.source, seen.destination), (to.into(), ip("10.1.11.21").into()));
    let ping = lab.ping(PRIVATE_01, ip("203.0.113.159"), 7);
    assert_called(&ping, PRIVATE_01, (S3, 31));
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PRIVATE_01));
    let dynamodb = lab.tcp(PRIVATE_01, ip("203.0.113.161"), (40_000, 443), SYN);
    assert_called(&dynamodb, PRIVATE_01, (DYNAMODB, 1));
    for elsewhere in ["203.0.113.127", "203.0.113.192"] {
        let sent = lab.tcp(PRIVATE_01, ip(elsewhere), (40_000, 443), SYN);
        assert_eq!(sent.dropped(), Some(DropReason::NoRoute), "{elsewhere}");
    }
    let ends = lab.ends(PRIVATE_01, to);
    let sent = lab.send(PRIVATE_01, packets::udp(&ends, (40_000, 443), b"question"));
    assert_eq!(sent.dropped(), Some(DropReason::EndpointProtocol));
    // The public subnet's table has no such route: by the internet gateway.
    let public = lab.tcp(PUBLIC_01, to, (40_000, 443), SYN);
    assert_eq!(public.arrived(), Some(PortIndex::INTERNET));
}

/// SGT-11: those of DynamoDB are, those of S3 are not.
#[test]
fn flows_to_dynamodb_are_always_tracked() {
    let mut lab = gateways();
    lab.add_rule(3, false, Traffic::All, records::anywhere());
    lab.connect(PRIVATE_01, ip("203.0.113.129"), (40_000, 443));
    assert_eq!(lab.state.tracked_flows(), 0, "all open, both ways (SGT-2)");
    lab.connect(PRIVATE_01, ip("203.0.113.161"), (40_000, 443));
    assert_eq!(lab.state.tracked_flows(), 1);
}

/// VPCE-19, RT-16: the longest prefix wins, and of equal ones the static route.
#[test]
fn a_route_that_is_as_specific_beats_a_gateway_endpoint() {
    let mut lab = gateways();
    let igw = RouteTarget::InternetGateway(lab.network.internet_gateways[0].id.clone());
    let everything = RouteDestination::Ipv4(records::block("0.0.0.0/0"));
    add_route(&mut lab, PRIVATE_TABLE, everything, igw.clone());
    let to = ip("203.0.113.129");
    assert_called(&lab.tcp(PRIVATE_01, to, (40_000, 443), SYN), PRIVATE_01, (S3, 1));
    let same = RouteDestination::Ipv4(records::block("203.0.113.128/27"));
    add_route(&mut lab, PRIVATE_TABLE, same, igw);
    let sent = lab.tcp(PRIVATE_01, to, (40_001, 443), SYN);
    assert_eq!(sent.dropped(), Some(DropReason::NoPublicAddress), "it went to the gateway");
}

/// VPCE-20: a connection breaks when its route changes: the service knew the caller by another
/// address.
#[test]
fn a_connection_breaks_with_the_route_to_its_endpoint() {
    let mut lab = gateways();
    let to = ip("203.0.113.129");
    lab.connect(PUBLIC_01, to, (40_000, 443));
    let before = lab.tcp(PUBLIC_01, to, (40_000, 443), ACK);
    assert_eq!(before.arrived(), Some(PortIndex::INTERNET));
    let list = RouteDestination::PrefixList(PrefixListId::new(LISTS[0].0));
    let target = RouteTarget::VpcEndpoint(VpcEndpointId::new(2));
    add_route(&mut lab, PUBLIC_TABLE, list, target);
    let after = lab.tcp(PUBLIC_01, to, (40_000, 443), ACK);
    assert_called(&after, PUBLIC_01, (S3, 1));
    let reset = lab.answer_tcp(&after, RST);
    assert_eq!(reset.arrived(), Some(PUBLIC_01), "{:?}", reset.verdict);
}

/// VPCE-21: the group must let it out, to the list or its blocks; the ACL both ways.
#[test]
fn groups_and_acls_must_admit_the_prefix_list() {
    let mut lab = gateways();
    let to = ip("203.0.113.129");
    lab.remove_rules(|rule| rule.egress && rule.group_id == SecurityGroupId::new(3));
    let closed = lab.tcp(PRIVATE_01, to, (40_000, 443), SYN);
    assert_eq!(closed.dropped(), Some(DropReason::SecurityGroupEgress));
    let list = RulePeer::PrefixList(PrefixListId::new(LISTS[0].0));
    lab.add_rule(3, true, tcp(443, 443), list);
    let syn = lab.tcp(PRIVATE_01, to, (40_000, 443), SYN);
    assert_called(&syn, PRIVATE_01, (S3, 1));
    lab.change(|network| {
        let acl = Arc::make_mut(&mut network.network_acls[0]);
        acl.entries.retain(|entry| entry.egress);
    });
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert!(matches!(answer.dropped(), Some(DropReason::NetworkAclIngress(_))));
    lab.change(|network| {
        let acl = Arc::make_mut(&mut network.network_acls[0]);
        acl.entries.retain(|entry| !entry.egress);
    });
    let sent = lab.tcp(PRIVATE_01, to, (40_001, 443), SYN);
    assert!(matches!(sent.dropped(), Some(DropReason::NetworkAclEgress(_))));
}

/// What comes through a gateway endpoint is the VPC's own (VPCE-19), and its endpoint's answers go
/// to callers of the VPC alone.
#[test]
fn a_gateway_endpoint_serves_its_vpc_alone() {
    let mut lab = gateways();
    lab.change_interface(PRIVATE_01, |interface| interface.source_dest_check = false);
    let mut ends = lab.ends(PRIVATE_01, ip("203.0.113.129"));
    ends.source = ip("10.9.0.1").into();
    let foreign = lab.send(PRIVATE_01, packets::tcp_syn(&ends, (40_000, 443)));
    assert_eq!(foreign.dropped(), Some(DropReason::ServiceCallerUnknown));
    let stranger = PortIndex(60);
    lab.change(|network| {
        let vpc = records::vpc(2, records::block("10.9.0.0/16"));
        let subnet = Arc::new(records::subnet(90, &vpc.id, records::block("10.9.0.0/24")));
        let interface = records::interface(stranger, &subnet, &[ip("10.9.0.1")], &[], None);
        network.interfaces.push(Arc::new(interface));
        network.subnets.push(subnet);
        network.vpcs.push((records::region(), Arc::new(vpc)));
    });
    let callee = callee_address(S3, 1).unwrap();
    let ends = from_services(callee, caller_address(stranger, 0).unwrap());
    let sent = lab.send(PortIndex::SERVICES, packets::tcp(&ends, (443, 40_000), ACK, &[]));
    assert_eq!(sent.dropped(), Some(DropReason::ServiceCallerUnknown));
    let ends = from_services(callee, caller_address(PRIVATE_01, 0).unwrap());
    let sent = lab.send(PortIndex::SERVICES, packets::tcp_syn(&ends, (443, 40_000)));
    assert_eq!(sent.dropped(), Some(DropReason::EndpointUnsolicited));
}

/// VPCE-18: an endpoint is its VPC's, wherever that stands among the records.
#[test]
fn a_gateway_endpoint_follows_its_vpc() {
    let mut lab = gateways();
    let other = Arc::new(records::vpc(2, records::block("10.9.0.0/16")));
    let own = lab.network.vpcs.clone();
    lab.change(|network| network.vpcs = vec![(records::region(), other)]);
    lab.change(|network| network.vpcs.extend(own));
    let syn = lab.tcp(PRIVATE_01, ip("203.0.113.129"), (40_000, 443), SYN);
    assert_called(&syn, PRIVATE_01, (S3, 1));
}

/// RT-12: the route of an endpoint that does not work leads nowhere.
#[test]
fn the_route_of_a_gateway_endpoint_that_is_gone_is_a_blackhole() {
    let mut lab = gateways();
    lab.change(|network| network.vpc_endpoints.retain(|it| it.id != VpcEndpointId::new(2)));
    let sent = lab.tcp(PRIVATE_01, ip("203.0.113.129"), (40_000, 443), SYN);
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))), "{:?}", sent.verdict);
}

/// `why` goes the way there and back through an endpoint, and names what closes it.
#[test]
fn why_knows_endpoints() {
    let mut lab = lab();
    let query = WhyQuery {
        source: WhySource::Interface { port: PRIVATE_01, address: None },
        destination: ip("10.1.12.30").into(),
        traffic: WhyTraffic::Tcp { source_port: 40_000, destination_port: 443 },
    };
    let report = why(&lab.policy, &mut lab.state, &query, lab.now);
    assert!(report.reachable, "{report:?}");
    assert_eq!(report.forward.arrived.as_deref(), Some("services"));
    let text = gureum_engine::print::why_report(&report);
    assert!(text.contains("vpc-endpoint"), "{text}");
    lab.remove_rules(|rule| rule.group_id == SecurityGroupId::new(SSM_GROUP));
    let report = why(&lab.policy, &mut lab.state, &query, lab.now);
    assert_eq!(report.forward.drop, Some(DropReason::SecurityGroupIngress));
    let last = report.forward.steps.last().unwrap();
    assert_eq!(last.interface, lab.interface(FAR).id.to_string());
}

/// VPCE-15, VPCE-20: ports of UDP are no types of ICMP, and a ping has no answer but its own.
#[test]
fn what_resembles_a_ping_does_not_pass_a_gateway_endpoint() {
    let mut lab = gateways();
    lab.add_rule(3, false, Traffic::All, records::anywhere());
    let ends = lab.ends(PRIVATE_01, ip("203.0.113.129"));
    // The first byte of the source port is that of an echo request.
    let udp = lab.send(PRIVATE_01, packets::udp(&ends, (8 << 8, 443), b"question"));
    assert_eq!(udp.dropped(), Some(DropReason::EndpointProtocol));
    for kind in [0, 13] {
        let other = lab.send(PRIVATE_01, packets::icmp(&ends, (kind, 0), [0; 4], &[]));
        assert_eq!(other.dropped(), Some(DropReason::EndpointProtocol), "{kind}");
    }
    let caller = caller_address(PRIVATE_01, 0).unwrap();
    let ends = from_services(callee_address(S3, 1).unwrap(), caller);
    // And here of an echo reply.
    let udp = lab.send(PortIndex::SERVICES, packets::udp(&ends, (53, 40_000), b"answer"));
    assert_eq!(udp.dropped(), Some(DropReason::EndpointUnsolicited));
    let ping = lab.send(PortIndex::SERVICES, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(ping.dropped(), Some(DropReason::EndpointUnsolicited));
}

/// VPCE-15: what is behind an endpoint listens on IPv4, also where its interface has IPv6.
#[test]
fn an_endpoint_offers_nothing_in_ipv6() {
    let mut lab = lab();
    lab.change(|network| {
        let mut subnets: Vec<_> = network.subnets.iter().map(|of| (**of).clone()).collect();
        let vpc = Arc::make_mut(&mut network.vpcs[0].1);
        records::with_ipv6(vpc, "2001:db8:0:100::/56", &mut subnets);
        for interface in &mut network.interfaces {
            let subnet = subnets.iter().find(|of| of.id == interface.subnet_id).unwrap();
            let base = u128::from(subnet.ipv6_block().unwrap().network());
            let address = base + 0x10 + u128::from(interface.port.0);
            Arc::make_mut(interface).ipv6_addresses = vec![address.into()];
        }
        network.subnets = subnets.into_iter().map(Arc::new).collect();
    });
    let everybody = RulePeer::Ipv6("::/0".parse().unwrap());
    lab.add_rule(SSM_GROUP, false, Traffic::All, everybody.clone());
    lab.add_rule(gureum_engine::testing::lab::PRI_GROUP, true, Traffic::All, everybody);
    let to = lab.interface(NEAR).ipv6_addresses[0];
    let sent = lab.tcp(PRIVATE_01, to, (40_000, 443), SYN);
    assert_eq!(sent.dropped(), Some(DropReason::ServicePortClosed));
}

/// VPCE-2: a call that an appliance of the subnet sends on is its sender's.
#[test]
fn an_endpoint_knows_callers_behind_an_appliance() {
    let mut lab = lab();
    lab.change_interface(PRIVATE_02, |interface| interface.source_dest_check = false);
    let mut ends = lab.ends(PRIVATE_02, ip("10.1.12.30"));
    ends.source = ip("10.1.11.21").into();
    let sent = lab.send(PRIVATE_02, packets::tcp_syn(&ends, (40_000, 443)));
    assert_called(&sent, PRIVATE_01, (FAR, 0));
    ends.source = ip("10.9.9.9").into();
    let dropped = lab.send(PRIVATE_02, packets::tcp_syn(&ends, (40_000, 443))).dropped();
    assert!(dropped.is_some(), "nobody has that address");
}
