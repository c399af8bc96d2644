//! What is counted for flow logs (FL-*): which packets, with which addresses, verdict and way.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    Limits, WhyQuery, WhySource, WhyTraffic,
    testing::{
        Lab,
        lab::{
            BASTION, OUTSIDE, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE, PUBLIC_01, PUBLIC_02,
            TallySum, allow_all,
        },
        packets::{
            self,
            flags::{ACK, FIN, PSH, RST, SYN},
        },
        records,
    },
    why,
};
use gureum_types::{
    FlowLogId, NatGatewayId, PortIndex, RouteTableId, SubnetId, Timestamp, TrafficDirection,
    TrafficPath, TrafficVerdict,
    record::{
        FlowLog, FlowLogDestination, Network, RestrictedSubnet, Route, RouteDestination,
        RouteTarget, Traffic, TrafficType,
    },
};

use TrafficDirection::{Egress, Ingress};
use TrafficVerdict::{Accept, Reject, RejectPublicAccess};

/// The interface of a NAT gateway in IMD-PUBLIC-A: 10.1.1.200, 198.18.0.200.
const NAT: PortIndex = PortIndex(20);

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn flow_log(number: u64, resource: &str) -> FlowLog {
    FlowLog {
        id: FlowLogId::new(number),
        resource_id: resource.to_owned(),
        traffic_type: TrafficType::All,
        destination: FlowLogDestination::LogGroup("IMD-VPCFlow".to_owned()),
        role: None,
        cross_account_role: None,
        format: String::new(),
        interval_seconds: 60,
        delivery: Default::default(),
        dropped: Default::default(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A flow log of the lab's VPC.
pub(super) fn log_vpc(network: &mut Network) {
    let vpc = network.vpcs[0].1.id.clone();
    network.flow_logs.push(Arc::new(flow_log(1, vpc.as_str())));
}

/// The lab with a flow log of its VPC.
fn logged() -> Lab {
    let mut lab = Lab::new();
    lab.change(log_vpc);
    lab
}

/// The lab after its Task 3, logged.
fn with_nat_gateway() -> Lab {
    let mut lab = logged();
    lab.change(|network| {
        let subnet = network.subnets[0].clone();
        let (private, public) = ([10, 1, 1, 200].into(), [198, 18, 0, 200].into());
        let mut interface = records::interface(NAT, &subnet, &[private], &[], Some(public));
        interface.interface_type = "nat_gateway".to_owned();
        network.interfaces.push(Arc::new(interface));
        network.nat_gateways.push(Arc::new(records::nat_gateway(1, &subnet, NAT, true)));
        let id = RouteTableId::new(PRIVATE_TABLE);
        let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
        let destination = RouteDestination::Ipv4(records::block("0.0.0.0/0"));
        let target = RouteTarget::NatGateway(NatGatewayId::new(1));
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
    lab
}

/// An entry of a network ACL: number, egress, allow, traffic, the other end.
type AclEntry = (u16, bool, bool, Traffic, ipnet::Ipv4Net);

/// A sum, as a flow log would say it, without what is the same in all of a test.
type Line = (TrafficDirection, String, String, u64, u64, TrafficVerdict);

fn address(number: u128) -> String {
    std::net::Ipv6Addr::from(number).to_canonical().to_string()
}

fn line(sum: &TallySum) -> Line {
    let key = &sum.key;
    (
        key.direction,
        address(key.source),
        address(key.destination),
        sum.packets,
        sum.bytes,
        key.verdict,
    )
}

fn sums_of(lab: &Lab, port: PortIndex) -> Vec<TallySum> {
    let of = |sum: &&TallySum| sum.key.interface == u64::from(port.0);
    lab.tallies.sums.iter().filter(of).copied().collect()
}

fn lines_of(lab: &Lab, port: PortIndex) -> Vec<Line> {
    sums_of(lab, port).iter().map(line).collect()
}

fn says(
    direction: TrafficDirection,
    source: &str,
    destination: &str,
    (packets, bytes): (u64, u64),
    verdict: TrafficVerdict,
) -> Line {
    (direction, source.to_owned(), destination.to_owned(), packets, bytes, verdict)
}

/// Gives all subnets an ACL with these entries.
fn guard(network: &mut Network, entries: &[AclEntry]) {
    guard_of(network, &[1, 2, 3, 4], entries);
}

/// Gives some subnets an ACL with these entries, and the others one that allows everything.
fn guard_of(network: &mut Network, subnets: &[u64], entries: &[AclEntry]) {
    let vpc = network.vpcs[0].1.id.clone();
    let ids = |numbers: &[u64]| numbers.iter().map(|n| SubnetId::new(*n)).collect::<Vec<_>>();
    let others: Vec<u64> = (1..=4).filter(|number| !subnets.contains(number)).collect();
    let open = [allow_all(100, true), allow_all(100, false)];
    network.network_acls = vec![
        Arc::new(records::network_acl(1, &vpc, true, &ids(&others), &open)),
        Arc::new(records::network_acl(2, &vpc, false, &ids(subnets), entries)),
    ];
}

/// FL-32: AWS's own example. ICMP comes in by the group; the network ACL lets nothing out. With an
/// ACL that does there are two accepted ones, and where the group denies, one rejected.
#[test]
fn a_ping_is_two_records_fl_32() {
    let mut lab = logged();
    let outside = OUTSIDE.to_string();
    let four = |lab: &mut Lab| {
        lab.tallies = Default::default();
        for _ in 0..4 {
            let ends = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
            let echo = packets::icmp(&ends, (8, 0), [0, 7, 0, 1], &[0; 56]);
            let ping = lab.send(PortIndex::INTERNET, echo);
            if ping.arrived().is_some() {
                let (port, back) = lab.answering(&ping);
                lab.send(port, packets::icmp(&back, (0, 0), [0, 7, 0, 1], &[0; 56]));
            }
        }
        lines_of(lab, PUBLIC_01)
    };
    let request = |verdict| says(Ingress, &outside, "10.1.1.11", (4, 336), verdict);
    let answer = |verdict| says(Egress, "10.1.1.11", &outside, (4, 336), verdict);
    lab.change(|network| guard(network, &[allow_all(1, false)]));
    assert_eq!(four(&mut lab), [request(Accept), answer(Reject)]);
    lab.change(|network| guard(network, &[allow_all(1, false), allow_all(1, true)]));
    assert_eq!(four(&mut lab), [request(Accept), answer(Accept)]);
    lab.remove_rules(|rule| !rule.egress);
    lab.wait(gureum_engine::ICMP_TIMEOUT);
    assert_eq!(four(&mut lab), [request(Reject)]);
    let key = sums_of(&lab, PUBLIC_01)[0].key;
    assert_eq!((key.source_port, key.destination_port, key.protocol), (0, 0, 1), "FL-23");
}

/// FL-33, FL-39: the ACL of the receiver's subnet is on record at the receiver alone.
#[test]
fn each_interface_says_what_happened_there_fl_33() {
    let mut lab = logged();
    lab.change(|network| {
        let near = (10, false, true, Traffic::All, records::block("10.1.1.0/24"));
        guard_of(network, &[3, 4], &[near, allow_all(10, true)]);
    });
    let private = lab.address(PRIVATE_01);
    let ping = lab.ping(PUBLIC_01, private, 1);
    lab.answer_ping(&ping);
    let length = u64::try_from(ping.built.frame.len() - 14).unwrap();
    let once = (1, length);
    assert_eq!(lab.ping(PUBLIC_02, private, 1).arrived(), None);
    let says =
        |direction, ends: [&str; 2], verdict| says(direction, ends[0], ends[1], once, verdict);
    assert_eq!(
        lines_of(&lab, PRIVATE_01),
        [
            says(Ingress, ["10.1.1.11", "10.1.11.21"], Accept),
            says(Egress, ["10.1.11.21", "10.1.1.11"], Accept),
            says(Ingress, ["10.1.2.12", "10.1.11.21"], Reject),
        ]
    );
    assert_eq!(lines_of(&lab, PUBLIC_02), [says(Egress, ["10.1.2.12", "10.1.11.21"], Accept)]);
}

/// FL-34: four records of one flow at the gateway's interface, and two at its user's.
#[test]
fn a_nat_gateway_has_both_sides_on_record_fl_34() {
    let mut lab = with_nat_gateway();
    let syn = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), SYN);
    lab.answer_tcp(&syn, SYN | ACK);
    lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
    lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
    let outside = OUTSIDE.to_string();
    let (user, gateway) = ("10.1.11.21", "10.1.1.200");
    let says = |direction, ends: [&str; 2], packets: u64| {
        says(direction, ends[0], ends[1], (packets, 40 * packets), Accept)
    };
    assert_eq!(
        lines_of(&lab, NAT),
        [
            says(Ingress, [user, &outside], 3),
            says(Egress, [gateway, &outside], 3),
            says(Ingress, [&outside, gateway], 1),
            says(Egress, [&outside, user], 1),
        ]
    );
    let paths: Vec<_> = sums_of(&lab, NAT).iter().map(|sum| sum.key.path).collect();
    let (near, far) = (Some(TrafficPath::SameVpc), Some(TrafficPath::InternetGateway));
    assert_eq!(paths, [None, far, None, near], "FL-27");
    assert_eq!(
        lines_of(&lab, PRIVATE_01),
        [says(Egress, [user, &outside], 3), says(Ingress, [&outside, user], 1)]
    );
}

/// FL-31: what a NAT gateway has no use for reached its interface all the same, and what its subnet's
/// ACL stops is rejected once and nowhere accepted.
#[test]
fn a_nat_gateway_accepts_what_it_drops_fl_31() {
    let mut lab = with_nat_gateway();
    let ends = lab.from_outside(OUTSIDE, ip("198.18.0.200"));
    lab.send(PortIndex::INTERNET, packets::tcp(&ends, (5000, 22), SYN, &[]));
    let outside = OUTSIDE.to_string();
    let scan = says(Ingress, &outside, "10.1.1.200", (1, 40), Accept);
    assert_eq!(lines_of(&lab, NAT), [scan]);
    lab.tallies = Default::default();
    let deny_out = (5, true, false, Traffic::All, records::block("198.18.200.0/24"));
    let (out, back) = (allow_all(10, true), allow_all(10, false));
    lab.change(|network| guard_of(network, &[1], &[deny_out, out, back]));
    let syn = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), SYN);
    assert_eq!(syn.arrived(), None);
    assert_eq!(
        lines_of(&lab, NAT),
        [
            says(Ingress, "10.1.11.21", &outside, (1, 40), Accept),
            says(Egress, "10.1.1.200", &outside, (1, 40), Reject),
        ]
    );
}

/// An error about a translated flow passes the gateway as any packet does.
#[test]
fn errors_through_a_nat_gateway_are_on_record() {
    let mut lab = with_nat_gateway();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let question = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), b"question"));
    lab.tallies = Default::default();
    let (port, back) = lab.answering(&question);
    let error = packets::icmp_error(&back, (3, 3), &question.built.frame);
    let length = u64::try_from(error.frame.len() - 14).unwrap();
    let outside = OUTSIDE.to_string();
    let says = |direction, to, verdict| says(direction, &outside, to, (1, length), verdict);
    lab.send(port, error);
    let passed = [says(Ingress, "10.1.1.200", Accept), says(Egress, "10.1.11.21", Accept)];
    assert_eq!(lines_of(&lab, NAT), passed);
    // Its group admits ICMP from the VPC alone (SGT-15).
    assert_eq!(lines_of(&lab, PRIVATE_01), [says(Ingress, "10.1.11.21", Reject)]);
}

/// FL-25: SYN 2, SYN-ACK 18, FIN 1, RST 4; a plain ACK nothing.
#[test]
fn tcp_flags_are_those_that_turn_something_fl_25() {
    let mut lab = logged();
    let private = lab.address(PRIVATE_01);
    let flags = |lab: &Lab| {
        let sums = sums_of(lab, PRIVATE_01);
        let of = |direction| {
            sums.iter().find(|sum| sum.key.direction == direction).map(|sum| sum.tcp_flags)
        };
        (of(Ingress), of(Egress))
    };
    let syn = lab.tcp(BASTION, private, (40_000, 22), SYN);
    assert_eq!(flags(&lab), (Some(2), None));
    lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(flags(&lab), (Some(2), Some(18)));
    lab.tallies = Default::default();
    for _ in 0..3 {
        lab.tcp(BASTION, private, (40_000, 22), ACK | PSH);
    }
    assert_eq!(flags(&lab), (Some(0), None));
    lab.tcp(BASTION, private, (40_000, 22), FIN | ACK);
    lab.answer_tcp(&syn, RST | ACK);
    assert_eq!(flags(&lab), (Some(1), Some(4)));
}

/// FL-30: packets after the end of a connection, and FL-31: what no route carries on.
#[test]
fn a_verdict_is_of_groups_and_acls_alone_fl_30_fl_31() {
    let mut lab = logged();
    let private = lab.address(PRIVATE_01);
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).dropped().is_some());
    let rejected = says(Egress, "10.1.2.13", "10.1.11.21", (1, 40), Reject);
    assert_eq!(lines_of(&lab, BASTION), [rejected], "of no connection that is known");
    assert_eq!(lines_of(&lab, PRIVATE_01), []);
    lab.tallies = Default::default();
    assert!(lab.tcp(PRIVATE_02, OUTSIDE, (40_000, 443), SYN).dropped().is_some(), "no route");
    let accepted = says(Egress, "10.1.12.22", &OUTSIDE.to_string(), (1, 40), Accept);
    assert_eq!(lines_of(&lab, PRIVATE_02), [accepted]);
    assert_eq!(sums_of(&lab, PRIVATE_02)[0].key.path, None);
}

/// FL-29, IGW-15: what Block Public Access stops is rejected, and says so, in both directions.
#[test]
fn block_public_access_is_a_reason_of_its_own_fl_29() {
    let mut lab = logged();
    lab.change(|network| {
        let subnets = network.subnets.iter().map(|subnet| {
            Arc::new(RestrictedSubnet { subnet_id: subnet.id.clone(), egress_allowed: false })
        });
        network.restricted_subnets = subnets.collect();
    });
    let outside = OUTSIDE.to_string();
    lab.tcp(PUBLIC_01, OUTSIDE, (40_000, 443), SYN);
    lab.tcp_from_outside(ip("198.18.0.11"), (5000, 80), SYN);
    assert_eq!(
        lines_of(&lab, PUBLIC_01),
        [
            says(Egress, "10.1.1.11", &outside, (1, 40), RejectPublicAccess),
            says(Ingress, &outside, "10.1.1.11", (1, 40), RejectPublicAccess),
        ]
    );
}

/// FL-17: neither the services of the platform nor the router.
#[test]
fn what_is_never_on_record_fl_17() {
    let mut lab = logged();
    let metadata = ip("169.254.169.254");
    assert!(lab.tcp(PUBLIC_01, metadata, (40_000, 80), SYN).arrived().is_some());
    for resolver in ["169.254.169.253", "10.1.0.2"] {
        let ends = lab.ends(PUBLIC_01, ip(resolver));
        let question = lab.send(PUBLIC_01, packets::udp(&ends, (5000, 53), b"question"));
        assert!(question.arrived().is_some(), "{resolver}");
    }
    lab.ping(PUBLIC_01, ip("10.1.1.1"), 1);
    let mac = lab.interface(PUBLIC_01).mac;
    lab.send(PUBLIC_01, packets::dhcp_discover(mac));
    lab.arp(PUBLIC_01, ip("10.1.1.1"));
    assert_eq!(lab.tallies, Default::default());
}

/// FL-27: to a neighbour, to another subnet, to the internet.
#[test]
fn the_way_out_is_on_record_fl_27() {
    let mut lab = logged();
    for (from, to) in [(PUBLIC_02, "10.1.2.13"), (PUBLIC_02, "10.1.11.21")] {
        lab.ping(from, ip(to), 1);
    }
    lab.ping(PUBLIC_02, OUTSIDE, 1);
    let seen: Vec<_> =
        sums_of(&lab, PUBLIC_02).iter().map(|sum| (sum.key.direction, sum.key.path)).collect();
    let near = (Egress, Some(TrafficPath::SameVpc));
    assert_eq!(seen, [near, near, (Egress, Some(TrafficPath::InternetGateway))]);
    let received = sums_of(&lab, PRIVATE_01);
    assert_eq!(received[0].key.path, None, "of what came in there is none");
}

/// FL-1: a VPC, a subnet or an interface; from the next packet on, and no longer than it is there.
#[test]
fn a_flow_log_is_of_a_vpc_a_subnet_or_an_interface_fl_1() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    assert_eq!(lab.tallies, Default::default(), "nobody asked");
    let interface = lab.interface(BASTION).id.to_string();
    let subnet = SubnetId::new(3).to_string();
    for (number, resource, [sender, receiver]) in
        [(2, &*interface, [true, false]), (3, &subnet, [false, true])]
    {
        lab.change(|network| network.flow_logs = vec![Arc::new(flow_log(number, resource))]);
        lab.tallies = Default::default();
        for _ in 0..2 {
            lab.tcp(BASTION, private, (40_000, 22), ACK);
        }
        let expected = |has: bool| if has { vec![(2, 80)] } else { Vec::new() };
        let counted = |port| {
            let sums = sums_of(&lab, port);
            sums.iter().map(|sum| (sum.packets, sum.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(counted(BASTION), expected(sender), "{resource}");
        assert_eq!(counted(PRIVATE_01), expected(receiver), "{resource}");
    }
    let before = lab.policy.flow_logs();
    lab.change(|network| network.flow_logs.clear());
    assert_ne!(lab.policy.flow_logs(), before);
    lab.tallies = Default::default();
    lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(lab.tallies, Default::default(), "it is gone");
}

/// Each packet once, whichever way it takes through the engine.
#[test]
fn what_is_cached_counts_as_what_is_not() {
    let counted = |flush: bool| {
        let mut lab = with_nat_gateway();
        let syn = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), SYN);
        lab.answer_tcp(&syn, SYN | ACK);
        for _ in 0..100 {
            if flush {
                lab.state.flush_cache();
            }
            lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
            lab.answer_tcp(&syn, ACK);
        }
        lab.tallies
    };
    let cached = counted(false);
    assert_eq!(cached.sums.len(), 6, "no sum begins twice");
    assert_eq!(cached, counted(true));
    let packets: u64 = cached.sums.iter().map(|sum| sum.packets).sum();
    assert_eq!(packets, 3 * (1 + 100) + 3 * (1 + 100));
}

/// SGT-12: what there is no room to keep a flow of is told all the same, packet by packet (FL-28: no
/// record is skipped for it).
#[test]
fn what_cannot_be_kept_is_told_packet_by_packet_fl_28() {
    let mut network = gureum_engine::testing::lab::lab_network();
    log_vpc(&mut network);
    let mut lab = Lab::with(network, Limits { flows: 2, ..Limits::default() });
    for port in 0..2 {
        lab.tcp_from_outside(ip("198.18.0.11"), (5000 + port, 80), SYN);
    }
    assert_eq!(lab.tallies.apart, 0);
    let sums = sums_of(&lab, PUBLIC_01).len();
    for _ in 0..2 {
        lab.tcp_from_outside(ip("198.18.0.11"), (5002, 80), SYN);
    }
    assert_eq!(lab.tallies.apart, 2);
    let sums = &sums_of(&lab, PUBLIC_01)[sums..];
    assert_eq!(sums.len(), 2);
    for sum in sums {
        assert_eq!((sum.key.source_port, sum.key.destination_port), (5002, 80));
        assert_eq!((sum.packets, sum.tcp_flags), (1, SYN));
        assert_eq!(sum.key.direction, TrafficDirection::Ingress);
        assert_eq!(sum.key.verdict, TrafficVerdict::Accept);
    }
}

/// `why` counts nothing.
#[test]
fn a_question_is_not_traffic() {
    let mut lab = logged();
    lab.ping(PUBLIC_01, OUTSIDE, 1);
    let before = (lab.tallies.clone(), lab.state.clone());
    let query = WhyQuery {
        source: WhySource::Interface { port: PUBLIC_01, address: None },
        destination: OUTSIDE.into(),
        traffic: WhyTraffic::Tcp { source_port: 40_000, destination_port: 443 },
    };
    why(&lab.policy, &mut lab.state, &query, lab.now);
    assert_eq!(lab.tallies, before.0);
    assert!(lab.state == before.1);
}
