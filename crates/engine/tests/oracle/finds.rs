//! What the oracle found, each as a short history of its own with what must come of its last event.

use std::net::IpAddr;

use gureum_engine::{
    oracle::{Fate, Kind, Words},
    testing::packets::flags,
};
use gureum_types::{
    PortIndex,
    record::{ConnectionTracking, Traffic},
};

use crate::{
    changes::Change,
    events::{Event, Next, Outside},
    network::{address, eigw, eni, igw, nat, peer, private_ipv6, public},
    trial::Trial,
};

/// Lets all of it happen, to the engines and the oracle, which must agree; what came of the last
/// packet.
fn fate(events: &[Event]) -> Fate {
    let mut trial = Trial::new(false, false);
    for event in events {
        trial.step(event).unwrap();
    }
    let last = trial.fate_of_last.clone().expect("a packet");
    trial.finish().unwrap();
    last
}

fn dropped(events: &[Event]) -> &'static str {
    match fate(events) {
        Fate::Dropped(name) => name,
        other => panic!("{other:?}"),
    }
}

fn route(table: u64, to: &'static str, target: gureum_types::record::RouteTarget) -> Event {
    Event::Change(Change::Route(table, to, Some(target)))
}

fn rule(group: u64, egress: bool, traffic: Traffic, other: &str) -> Event {
    Event::Change(Change::AddRule(group, egress, traffic, peer(other)))
}

const UDP: Kind = Kind::Udp(40_000, 53);
const SYN: Kind = Kind::Tcp(40_000, 80, flags::SYN);

/// NAT-12: the gateway forgets nothing that is not over before 350 seconds, half-open connections
/// included; only the client's security group has forgotten by then.
#[test]
fn a_nat_gateway_keeps_half_open_connections_for_350_seconds() {
    let begin = [Event::Outward(3, Outside::Host(false), SYN, 64)];
    let late = |seconds| {
        let answer = Event::Answer(0, flags::SYN | flags::ACK, 64);
        [&begin[..], &[Event::Wait(seconds), answer]].concat()
    };
    assert_eq!(dropped(&late(349)), "tcp-not-tracked");
    assert_eq!(dropped(&late(350)), "nat-gateway-unsolicited");
}

/// SG-30, SG-31: VPCs 1 and 2 overlap and are both peered with 3. A rule of 3 refers to a group of
/// 2, and an interface of 1 has the sender's address too.
#[test]
fn references_reach_peers_that_overlap() {
    let arrived = fate(&[Event::Between(8, 10, false, SYN, 64)]);
    assert!(matches!(arrived, Fate::Arrives(PortIndex(10), _)), "{arrived:?}");
}

/// SG-32: a NAT gateway discards the groups of whoever answers through it.
#[test]
fn references_do_not_reach_through_a_nat_gateway() {
    let events = [
        route(10, "10.3.0.0/16", nat(2)),
        rule(1, false, Traffic::All, "sg-5"),
        Event::Between(2, 9, false, UDP, 64),
        // The gateway still knows the flow then, the client's security group does not.
        Event::Wait(60),
        Event::Answer(0, 0, 64),
    ];
    assert_eq!(dropped(&events), "security-group-ingress");
}

/// SG-32: so does an internet gateway, which leaves addresses of IPv6 as they are (IGW-4).
#[test]
fn references_do_not_reach_through_an_internet_gateway() {
    let events = [
        rule(1, false, Traffic::All, "sg-5"),
        Event::Between(9, 2, true, UDP, 64),
        route(30, "2001:db8:0:100::/56", igw(3)),
        Event::Between(9, 2, true, Kind::Udp(40_001, 53), 64),
    ];
    let arrived = fate(&events[..2]);
    assert!(matches!(arrived, Fate::Arrives(PortIndex(2), _)), "by peering it does: {arrived:?}");
    assert_eq!(dropped(&events), "security-group-ingress");
}

/// SG-30: an egress rule names the receiver, whoever the packet is from; what an appliance sends on
/// lacks the sender's groups alone (SG-32).
#[test]
fn egress_rules_of_an_appliance_may_refer_to_groups() {
    let words = Words {
        source: address(2, 0, false),
        destination: address(3, 0, false),
        kind: UDP,
        hop_limit: 64,
        about: None,
    };
    let send_on = Event::Packet(5, Next::Router, words);
    let group = Event::Change(Change::ClearRules(3));
    assert_eq!(dropped(&[group.clone(), send_on.clone()]), "security-group-egress");
    let events = [group, rule(3, true, Traffic::All, "sg-2"), send_on];
    assert_eq!(dropped(&events), "security-group-ingress", "of the receiver, for rules by sg-1");
}

/// SGT-2, SGT-11: what is switched within the subnet goes through no NAT gateway, whatever the
/// route table says, so it is not tracked and ends with its rule (SGT-5).
#[test]
fn neighbours_are_not_tracked_for_a_route_that_they_do_not_take() {
    let events = [
        route(10, "10.1.0.0/24", nat(1)),
        rule(1, false, Traffic::All, "0.0.0.0/0"),
        Event::Between(2, 12, false, UDP, 64),
        Event::Change(Change::ClearRules(1)),
        Event::GoOn(0, 0),
    ];
    assert_eq!(dropped(&events), "security-group-egress");
}

/// SGT-11, NAT-22: flows through a NAT gateway are tracked both ways, so what comes back after the
/// client's security group forgot the connection belongs to none.
#[test]
fn what_comes_back_from_a_nat_gateway_is_tracked_too() {
    let tracking = ConnectionTracking { tcp_established: Some(60), ..Default::default() };
    let events = [
        rule(2, false, Traffic::All, "0.0.0.0/0"),
        Event::Change(Change::Tracking(3, tracking)),
        Event::Outward(3, Outside::Host(false), SYN, 64),
        Event::Answer(0, flags::SYN | flags::ACK, 64),
        Event::GoOn(1, flags::ACK),
        Event::Wait(100),
        Event::Answer(0, flags::ACK, 64),
    ];
    let arrived = fate(&events[..5]);
    assert!(matches!(arrived, Fate::Arrives(PortIndex::INTERNET, _)), "{arrived:?}");
    assert_eq!(dropped(&events), "tcp-not-tracked");
}

/// A gateway behind a gateway, as `10.3.0.0/16` from the first subnet.
fn chain() -> [Event; 2] {
    [route(10, "10.3.0.0/16", nat(1)), route(12, "10.3.0.0/16", nat(2))]
}

/// NAT-18: nobody is behind the port of a NAT gateway to be told by the next one.
#[test]
fn a_gateway_behind_a_gateway_drops_what_passed_too_many_routers() {
    let ping = |hop_limit| {
        let events = [Event::Between(2, 9, false, Kind::Icmp(8, 0, 7), hop_limit)];
        fate(&[&chain()[..], &events].concat())
    };
    assert_eq!(ping(1), Fate::Answered("time-exceeded"), "the first one tells");
    assert_eq!(ping(2), Fate::Dropped("hop-limit-exceeded"));
    let Fate::Arrives(PortIndex(9), words) = ping(3) else { panic!("{:?}", ping(3)) };
    assert_eq!(words.hop_limit, 1);
}

/// NAT-12: nor is there anybody who could be sent a reset.
#[test]
fn a_gateway_behind_a_gateway_resets_nobody() {
    let events = [
        Event::Between(2, 9, false, SYN, 64),
        Event::Change(Change::RemoveInterface(15)),
        Event::Outward(2, Outside::Host(false), UDP, 64),
        Event::Change(Change::RestoreInterfaces),
        Event::GoOn(1, flags::ACK),
    ];
    assert_eq!(dropped(&[&chain()[..], &events].concat()), "nat-gateway-unsolicited");
}

/// EIGW-1: what a gateway let through says nothing to the next one of the VPC.
#[test]
fn an_egress_only_gateway_takes_its_flows_along() {
    let begin = Event::Outward(3, Outside::Host(true), UDP, 64);
    let answer = |which| Event::Answer(which, 0, 64);
    let closed = Event::Change(Change::Gateway(1, None));
    let arrived = fate(&[closed.clone(), begin.clone(), answer(0)]);
    assert!(matches!(arrived, Fate::Arrives(PortIndex(3), _)), "{arrived:?}");
    let events = [
        closed,
        begin.clone(),
        Event::Change(Change::EgressOnly(1, false)),
        begin,
        Event::Change(Change::EgressOnly(1, true)),
        answer(0),
    ];
    assert_eq!(dropped(&events), "egress-only-unsolicited");
}

/// SGT-9: a longer timeout is one for flows that there are, not for those that there were.
#[test]
fn a_longer_timeout_brings_no_flow_back() {
    let longer = ConnectionTracking { udp: Some(60), ..Default::default() };
    let longer = Event::Change(Change::Tracking(2, longer));
    let begin = Event::Between(2, 9, false, UDP, 64);
    let other = Event::Outward(7, Outside::Host(false), UDP, 64);
    let late = Event::Wait(40);
    let events =
        [begin.clone(), late.clone(), other.clone(), longer.clone(), Event::Answer(1, 0, 64)];
    assert_eq!(dropped(&events), "security-group-ingress");
    let arrived = fate(&[begin, other, longer, late, Event::Answer(1, 0, 64)]);
    assert!(matches!(arrived, Fate::Arrives(PortIndex(2), _)), "in time it counts: {arrived:?}");
}

/// What came in by itself through the internet gateway is an answer once something like it was
/// begun through the egress-only one: nothing of it may be cached before.
#[test]
fn the_cache_knows_no_answer_before_its_question() {
    let to: IpAddr = private_ipv6(13, 0).into();
    let inward = Event::Inward(to, Kind::Other(50), 64);
    let events = [
        Event::Change(Change::EgressOnly(3, true)),
        route(31, "::/0", eigw(3)),
        inward.clone(),
        Event::Answer(0, 0, 64),
        inward,
    ];
    // The trial compares the engine with one whose cache is always empty.
    let arrived = fate(&events);
    assert!(matches!(arrived, Fate::Arrives(PortIndex(13), _)), "{arrived:?}");
}

/// RT-18: behind an internet gateway, the appliance of an edge table needs a public address.
#[test]
fn an_edge_table_leads_to_no_appliance_without_a_public_address() {
    let edge = route(13, "10.1.0.0/24", eni(5));
    let inward = Event::Inward(public(0).into(), SYN, 64);
    let arrived = fate(&[edge.clone(), inward.clone()]);
    assert!(matches!(arrived, Fate::Arrives(PortIndex(5), _)), "{arrived:?}");
    let private = Event::Change(Change::PublicAddress(5, None));
    assert_eq!(dropped(&[edge, private, inward]), "route-blackhole");
}
