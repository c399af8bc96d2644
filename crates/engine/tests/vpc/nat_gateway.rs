//! NAT gateways (NAT-*): the lab's Task 3, and what a gateway does with all else.

mod corners;

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, Limits, NAT_GATEWAY_TIMEOUT, NatSide, Offload, Stage, UDP_SINGLE_TIMEOUT, Verdict,
    WhyQuery, WhySource, WhyTraffic,
    testing::{
        Built, Lab, Sent,
        lab::{
            BASTION, OUTSIDE, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE, PUBLIC_01, PUBLIC_TABLE,
            SECOND, allow_all,
        },
        packets::{
            self, Ends,
            flags::{ACK, FIN, PSH, RST, SYN},
        },
        records,
        verify::{Seen, check, word},
    },
    why,
};
use gureum_types::{
    NatGatewayId, NetworkInterfaceId, PortIndex, RouteTableId, SubnetId,
    record::{NatGatewayState, Route, RouteDestination, RouteTarget, Traffic},
};

/// The gateway's interface: 10.1.1.200 in IMD-PUBLIC-A, 198.18.0.200.
const NAT: PortIndex = PortIndex(20);
/// Another host of the internet.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 18, 200, 8);

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn to_gateway() -> RouteTarget {
    RouteTarget::NatGateway(NatGatewayId::new(1))
}

fn add_route(lab: &mut Lab, table: u64, destination: &str, target: RouteTarget) {
    lab.change(|network| {
        let id = RouteTableId::new(table);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        let destination = RouteDestination::Ipv4(records::block(destination));
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
}

/// The lab after its Task 3: a gateway in a public subnet, the default route of PRIVATE-RT.
fn task_3() -> Lab {
    with_gateway(0, true, &["10.1.1.200"])
}

/// A gateway in one of the lab's subnets.
fn with_gateway(subnet: usize, public: bool, addresses: &[&str]) -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let subnet = network.subnets[subnet].clone();
        let addresses: Vec<Ipv4Addr> = addresses.iter().map(|address| ip(address)).collect();
        let public_address = public.then(|| ip("198.18.0.200"));
        let mut interface = records::interface(NAT, &subnet, &addresses, &[], public_address);
        interface.interface_type = "nat_gateway".to_owned();
        network.interfaces.push(Arc::new(interface));
        let gateway = records::nat_gateway(1, &subnet, NAT, public);
        network.nat_gateways.push(Arc::new(gateway));
    });
    add_route(&mut lab, PRIVATE_TABLE, "0.0.0.0/0", to_gateway());
    lab
}

fn udp(lab: &mut Lab, port: PortIndex, to: Ipv4Addr, ports: (u16, u16)) -> Sent {
    let ends = lab.ends(port, to);
    lab.send(port, packets::udp(&ends, ports, b"question"))
}

/// What the internet sends to the gateway's public address.
fn from_outside(lab: &mut Lab, source: Ipv4Addr, make: impl FnOnce(&Ends) -> Built) -> Sent {
    let ends = lab.from_outside(source, ip("198.18.0.200"));
    let built = make(&ends);
    lab.send(PortIndex::INTERNET, built)
}

/// LAB, NAT-8, NAT-26: the source becomes the gateway's private address, then its public one, with
/// another port; the destination stays; the answer finds its way back.
#[test]
fn a_private_instance_reaches_out_with_the_gateways_address_nat_8() {
    let mut lab = task_3();
    let syn = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), SYN);
    assert_eq!(syn.arrived(), Some(PortIndex::INTERNET));
    let again = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), SYN);
    assert_eq!(again.seen().ports(), syn.seen().ports(), "sent again, the same flow");
    let seen = syn.seen();
    assert_eq!(seen.source, ip("198.18.0.200"));
    assert_eq!(seen.destination, OUTSIDE, "NAT-26: never altered");
    assert!(seen.ports().0 >= 1024, "NAT-9");
    assert_eq!(seen.ports().1, 443);
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PRIVATE_01));
    let seen = answer.seen();
    assert_eq!((seen.source, seen.destination), (OUTSIDE.into(), ip("10.1.11.21").into()));
    assert_eq!(seen.ports(), (443, 40_000));
    let data = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
    assert_eq!(data.seen().ports(), syn.seen().ports(), "the same flow, the same port");
}

/// IGW-2, NAT-12: where a host with a public address has its default route to a NAT gateway, its
/// answers to the internet are reset there. It was not dropped, and yet it does not arrive.
#[test]
fn an_answer_that_a_gateway_resets_is_no_reachability_nat_12() {
    let mut lab = with_gateway(1, true, &["10.1.2.200"]);
    lab.change(|network| {
        let id = RouteTableId::new(PUBLIC_TABLE);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        let everywhere = RouteDestination::Ipv4(records::block("0.0.0.0/0"));
        for route in &mut Arc::make_mut(table).routes {
            if route.destination == everywhere {
                route.target = to_gateway();
            }
        }
    });
    let traffic = WhyTraffic::Tcp { source_port: 40_000, destination_port: 80 };
    let source = WhySource::Internet(OUTSIDE.into());
    let query = WhyQuery { source, destination: ip("198.18.0.11").into(), traffic };
    let report = why(&lab.policy, &mut lab.state, &query, lab.now);
    assert!(report.forward.arrived.is_some());
    let reply = report.reply.as_ref().unwrap();
    assert_eq!((&reply.arrived, reply.drop), (&None, None));
    assert_eq!(reply.steps.last().unwrap().stage, Stage::NatGateway);
    assert!(!report.reachable);
}

/// As that with a datagram: it goes on from the gateway as the first of another flow (NAT-8), and
/// arrives from an address that nobody asked.
#[test]
fn an_answer_in_a_gateways_name_is_no_reachability_nat_8() {
    let mut lab = task_3();
    let public = ip("198.18.0.21");
    lab.change_interface(PRIVATE_01, |it| it.auto_public_ip = Some(public));
    let group = lab.interface(PRIVATE_01).groups[0].clone();
    lab.change(|network| {
        let rule = records::rule(77, &group, false, records::udp(53, 53), records::anywhere());
        network.security_group_rules.push(Arc::new(rule));
    });
    let traffic = WhyTraffic::Udp { source_port: 40_000, destination_port: 53 };
    let source = WhySource::Internet(OUTSIDE.into());
    let query = WhyQuery { source, destination: public.into(), traffic };
    let report = why(&lab.policy, &mut lab.state, &query, lab.now);
    assert!(report.forward.arrived.is_some(), "{report:?}");
    let reply = report.reply.as_ref().unwrap();
    assert_eq!((reply.arrived.as_deref(), reply.drop), (Some("internet"), None));
    assert!(!report.reachable);
}

/// NAT-16: a gateway serves every subnet of its VPC, other zones included.
#[test]
fn a_gateway_serves_other_subnets_nat_16() {
    let mut lab = task_3();
    for (port, identifier) in [(PRIVATE_01, 7), (PRIVATE_02, 7)] {
        let ping = lab.ping(port, OUTSIDE, identifier);
        assert_eq!(ping.seen().source, ip("198.18.0.200"));
        let answer = lab.answer_ping(&ping);
        assert_eq!(answer.arrived(), Some(port));
        assert_eq!(word(&answer.seen().payload, 4), 7, "the identifier is its own again");
    }
}

/// NAT-10: nothing from outside reaches what is behind a gateway, nor the gateway itself.
#[test]
fn nothing_from_outside_passes_unasked_nat_10() {
    let mut lab = task_3();
    let unsolicited = Some(DropReason::NatGatewayUnsolicited);
    let ping = from_outside(&mut lab, OUTSIDE, |ends| packets::icmp_echo(ends, 1, 1));
    assert_eq!(ping.dropped(), unsolicited, "it cannot be pinged");
    let syn = from_outside(&mut lab, OUTSIDE, |ends| packets::tcp_syn(ends, (40_000, 22)));
    assert_eq!(syn.dropped(), unsolicited, "it is no bastion");
    let inside = lab.ping(PUBLIC_01, ip("10.1.1.200"), 1);
    assert_eq!(inside.dropped(), unsolicited, "neither by its private address");
}

/// NAT-11: only whom a flow was sent to may answer it, from the very port.
#[test]
fn only_the_other_end_of_a_flow_may_answer_nat_11() {
    let mut lab = task_3();
    let out = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
    let (port, _) = out.seen().ports();
    for (source, ports) in [(ELSEWHERE, (53, port)), (OUTSIDE, (54, port)), (OUTSIDE, (53, 1023))] {
        let sent = from_outside(&mut lab, source, |ends| packets::udp(ends, ports, b"no answer"));
        assert_eq!(sent.dropped(), Some(DropReason::NatGatewayUnsolicited), "{source} {ports:?}");
    }
    assert_eq!(lab.answer_udp(&out).arrived(), Some(PRIVATE_01));
}

/// NAT-9: flows to one destination have ports of their own, also with the same port inside.
#[test]
fn flows_to_one_destination_have_different_ports_nat_9() {
    let mut lab = task_3();
    let mut ports = std::collections::HashSet::new();
    for source in 0..200u16 {
        for port in [PRIVATE_01, PRIVATE_02] {
            let out = udp(&mut lab, port, OUTSIDE, (2000 + source, 53));
            assert!(ports.insert(out.seen().ports().0), "a port was given out twice");
        }
    }
    assert!(ports.iter().all(|port| *port >= 1024));
}

/// NAT-9: 55,000 flows an address and destination, then another address, then none; another
/// destination has ports still.
#[test]
fn ports_to_a_destination_are_used_up_nat_9() {
    let mut lab = with_gateway(0, true, &["10.1.1.200", "10.1.1.201"]);
    lab.change(|network| {
        let association = gureum_types::record::AddressAssociation {
            id: gureum_types::AddressAssociationId::new(1),
            network_interface_id: NetworkInterfaceId::new(NAT.0.into()),
            private_ip: ip("10.1.1.201"),
        };
        network.addresses.push(Arc::new(gureum_types::record::Address {
            domain_name: None,
            allocation_id: gureum_types::AllocationId::new(1),
            public_ip: ip("198.18.0.201"),
            association: Some(association),
            created: gureum_types::Timestamp(0),
            tags: Default::default(),
        }));
    });
    let clients = [PRIVATE_01, PRIVATE_02];
    let ends = clients.map(|port| lab.ends(port, OUTSIDE));
    let mut by_address = std::collections::HashMap::new();
    let mut exhausted = 0;
    // The tracking table of one interface holds as many flows as one client has ports.
    for number in 0..112_000u32 {
        let client = (number % 2) as usize;
        let source = 1000 + (number / 2) as u16;
        let sent = lab.send(clients[client], packets::udp(&ends[client], (source, 53), b""));
        match sent.verdict {
            Verdict::Forward(_) => *by_address.entry(sent.seen().source).or_insert(0) += 1,
            Verdict::Drop(DropReason::NatGatewayPortsExhausted) => exhausted += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(by_address.values().copied().collect::<Vec<i32>>(), [55_000, 55_000]);
    assert_eq!(exhausted, 2000);
    let elsewhere = udp(&mut lab, PRIVATE_01, ELSEWHERE, (1000, 53));
    assert_eq!(elsewhere.arrived(), Some(PortIndex::INTERNET));
    // What was idle for too long makes room.
    lab.wait(NAT_GATEWAY_TIMEOUT);
    let again = udp(&mut lab, PRIVATE_01, OUTSIDE, (999, 53));
    assert_eq!(again.arrived(), Some(PortIndex::INTERNET));
}

/// NAT-9: where no more flows fit, what is idle is looked for once a second.
#[test]
fn a_full_gateway_is_looked_through_once_a_second_nat_9() {
    let mut lab = Lab::with(task_3().network, Limits { flows: 2, ..Limits::default() });
    let ask = |lab: &mut Lab, port: u16| udp(lab, PRIVATE_01, OUTSIDE, (port, 53)).arrived();
    assert!(ask(&mut lab, 1).is_some());
    lab.wait(SECOND / 2);
    assert!(ask(&mut lab, 2).is_some());
    // The groups have forgotten both, the gateway has not.
    lab.wait(UDP_SINGLE_TIMEOUT);
    lab.expire();
    lab.wait(NAT_GATEWAY_TIMEOUT - UDP_SINGLE_TIMEOUT - SECOND / 2 - SECOND / 5);
    assert!(ask(&mut lab, 3).is_none(), "both are alive");
    lab.wait(SECOND / 2);
    assert!(ask(&mut lab, 3).is_none(), "the first is not, but nobody looks");
    lab.wait(SECOND / 2 - 1);
    assert!(ask(&mut lab, 3).is_none());
    lab.wait(1);
    assert!(ask(&mut lab, 3).is_some(), "a second later");
}

/// NAT-12: after 350 s without a packet, one from the inside gets a reset; nothing goes outside.
#[test]
fn an_idle_connection_is_reset_from_the_inside_nat_12() {
    let mut lab = task_3();
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    lab.wait(NAT_GATEWAY_TIMEOUT - SECOND);
    let alive = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
    assert_eq!(alive.arrived(), Some(PortIndex::INTERNET));
    lab.wait(NAT_GATEWAY_TIMEOUT);
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let late = lab.send(PRIVATE_01, packets::tcp_data(&ends, (40_000, 443), b"late"));
    let reset = Seen::ip(&late.answer().frame);
    assert_eq!(late.emitted[0].0, PRIVATE_01);
    assert_eq!((reset.source, reset.destination), (OUTSIDE.into(), ip("10.1.11.21").into()));
    assert_eq!(reset.ports(), (443, 40_000));
    assert_eq!(reset.payload[13], RST, "never a FIN");
    // It takes up where the segment says the other end is (RFC 9293).
    assert_eq!(word(&reset.payload, 6), 2000);
    assert_eq!(reset.payload[8..13], [0, 0, 0, 0, 0x50]);
    assert_eq!(reset.destination_mac, lab.interface(PRIVATE_01).mac);
    // A new connection from the same port is none of that.
    let syn = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), SYN);
    assert_eq!(syn.arrived(), Some(PortIndex::INTERNET));
}

/// NAT-12, RFC 9293, 3.10.7.1: a segment that acknowledges nothing is acknowledged by the reset; a
/// SYN and a FIN count as a byte each.
#[test]
fn a_reset_acknowledges_what_acknowledged_nothing_nat_12() {
    let mut lab = task_3();
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    lab.wait(NAT_GATEWAY_TIMEOUT);
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    for (flags, payload, next) in
        [(PSH, &b"late"[..], 1004), (FIN, b"late", 1005), (SYN | FIN, b"", 1002)]
    {
        let late = lab.send(PRIVATE_01, packets::tcp(&ends, (40_000, 443), flags, payload));
        let reset = Seen::ip(&late.answer().frame);
        assert_eq!((reset.ports(), reset.ttl), ((443, 40_000), 64));
        assert_eq!(reset.payload[4..8], [0; 4], "{flags:#x}");
        assert_eq!((word(&reset.payload, 8), word(&reset.payload, 10)), (0, next), "{flags:#x}");
        assert_eq!(reset.payload[12..14], [0x50, RST | ACK], "{flags:#x}");
    }
}

/// A reset is not answered with another one.
#[test]
fn a_reset_of_an_unknown_flow_is_dropped_nat_12() {
    let mut lab = task_3();
    // The group must let it pass to the gateway at all.
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    lab.wait(NAT_GATEWAY_TIMEOUT);
    let sent = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), RST);
    assert_eq!(sent.dropped(), Some(DropReason::NatGatewayUnsolicited));
}

/// NAT-12: UDP and pings are forgotten too, without a word.
#[test]
fn an_idle_datagram_flow_gets_another_port_nat_12() {
    let mut lab = task_3();
    let out = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
    lab.wait(NAT_GATEWAY_TIMEOUT);
    assert_eq!(lab.answer_udp(&out).dropped(), Some(DropReason::NatGatewayUnsolicited));
    assert_eq!(udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53)).arrived(), Some(PortIndex::INTERNET));
}

/// A closed connection is over: a SYN from the same port begins another.
#[test]
fn a_connection_that_ended_makes_way_for_another() {
    let mut lab = task_3();
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    let fin = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), FIN | ACK);
    assert_eq!(lab.answer_tcp(&fin, FIN | ACK).arrived(), Some(PRIVATE_01));
    let last = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
    assert_eq!(last.arrived(), Some(PortIndex::INTERNET), "the last acknowledgment belongs to it");
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    let sides = lab.state.flows().filter(|flow| flow.nat_gateway.is_some()).count();
    assert_eq!(sides, 2, "one flow, on both of its sides");
}

/// NAT-7: TCP, UDP and ICMP only.
#[test]
fn other_protocols_are_dropped_nat_7() {
    let mut lab = task_3();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    for protocol in [50, 47, 132] {
        let built = packets::ip(&ends, protocol, &[0; 24]);
        let sent = lab.send(PRIVATE_01, built.clone());
        assert_eq!(sent.dropped(), Some(DropReason::NatGatewayProtocol), "{protocol}");
        let piece = lab.send(PRIVATE_01, built.with_fragment(0x2000, 7));
        assert_eq!(piece.dropped(), Some(DropReason::NatGatewayProtocol), "{protocol}");
    }
    // A query or an error of ICMP only; what is neither may not be fragmented either (NAT-13).
    let solicitation = packets::icmp(&ends, (10, 0), [0; 4], &[0; 16]);
    let sent = lab.send(PRIVATE_01, solicitation.clone());
    assert_eq!(sent.dropped(), Some(DropReason::NatGatewayProtocol));
    let sent = lab.send(PRIVATE_01, solicitation.with_fragment(0x2000, 7));
    assert_eq!(sent.dropped(), Some(DropReason::NatGatewayFragment));
}

/// NAT-7, SGT-7: an answer to a ping that is nothing but zeros again has the checksum of all zeros
/// (RFC 1624).
#[test]
fn an_empty_answer_to_a_ping_has_a_checksum() {
    let mut lab = task_3();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let ping = lab.send(PRIVATE_01, packets::icmp(&ends, (8, 0), [0; 4], &[]));
    let seen = ping.seen();
    let rest = [seen.payload[4], seen.payload[5], 0, 0];
    let (port, ends) = lab.answering(&ping);
    let back = lab.send(port, packets::icmp(&ends, (0, 0), rest, &[]));
    assert_eq!(back.arrived(), Some(PRIVATE_01));
    assert_eq!(back.seen().payload, [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
}

/// A trace says in words what a gateway did, and why it would not.
#[test]
fn a_gateway_gives_its_reasons() {
    let mut lab = task_3();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let words = |lab: &mut Lab, built: Built| {
        let (_, steps) = lab.trace(PRIVATE_01, built);
        steps.into_iter().rfind(|step| step.stage == Stage::NatGateway).unwrap().text
    };
    let ping = packets::icmp_echo(&ends, 7, 1);
    let port = {
        let sent = lab.ping(PRIVATE_01, OUTSIDE, 7);
        word(&sent.seen().payload, 4)
    };
    assert_eq!(
        words(&mut lab, ping.clone()),
        format!("source 10.1.11.21:7 becomes 10.1.1.200:{port}")
    );
    let esp = packets::ip(&ends, 50, &[0; 24]);
    assert_eq!(
        words(&mut lab, esp),
        "it carries TCP, UDP, and ICMP queries only, of IPv4 or to what 64:ff9b::/96 holds"
    );
    let piece = ping.with_fragment(0x2000, 7);
    assert_eq!(words(&mut lab, piece), "it carries no fragments but those of UDP");
    let error = packets::icmp_error(&ends, (3, 3), &packets::udp(&ends, (1, 2), b"").frame);
    let expired = error.clone().with_hop_limit(1);
    assert_eq!(words(&mut lab, expired), "the packet passed as many routers as it may");
    assert_eq!(words(&mut lab, error), "it belongs to no flow that the gateway translates");
    let mut lab = with_gateway(2, true, &["10.1.11.200"]);
    let ends = lab.ends(PRIVATE_02, OUTSIDE);
    let (_, steps) = lab.trace(PRIVATE_02, packets::icmp_echo(&ends, 7, 1));
    assert_eq!(steps.last().unwrap().text, "the packet came through too many NAT gateways");
}

/// NAT-13: fragments of UDP pass, of TCP and ICMP not (`ping -s 10000` fails).
#[test]
fn fragments_of_udp_pass_and_others_do_not_nat_13() {
    let mut lab = task_3();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let datagram = packets::udp(&ends, (5000, 53), &[7; 2000]).may_fragment();
    let mut whole = Vec::new();
    for piece in datagram.fragments(1000, 9) {
        let sent = lab.send(PRIVATE_01, piece);
        assert_eq!(sent.seen().source, ip("198.18.0.200"));
        whole.extend(sent.seen().payload);
    }
    // The port is in the first one only; what the others carry is left alone.
    let port = word(&whole, 0);
    assert_eq!(whole[8..], [7; 2000]);
    let outside = Ends { source: ip("198.18.0.200").into(), ..ends };
    check(&packets::ip(&outside, 17, &whole).frame, &Offload::NONE).unwrap();
    let answer = lab.from_outside(OUTSIDE, ip("198.18.0.200"));
    let datagram = packets::udp(&answer, (53, port), &[8; 2000]).may_fragment();
    for piece in datagram.fragments(1000, 10) {
        assert_eq!(lab.send(PortIndex::INTERNET, piece).arrived(), Some(PRIVATE_01));
    }
    let reason = Some(DropReason::NatGatewayFragment);
    let ping = packets::icmp(&ends, (8, 0), [0, 1, 0, 1], &[0; 2000]).may_fragment();
    for piece in ping.fragments(1000, 11) {
        assert_eq!(lab.send(PRIVATE_01, piece).dropped(), reason);
    }
    let segment = packets::tcp(&ends, (1, 80), SYN, &[0; 2000]).may_fragment();
    for piece in segment.fragments(1000, 12) {
        assert_eq!(lab.send(PRIVATE_01, piece).dropped(), reason);
    }
}

/// NAT-18: the gateway is a hop of traceroute, by its private address.
#[test]
fn a_gateway_is_a_hop_nat_18() {
    let mut lab = task_3();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let probe = packets::udp(&ends, (5000, 33_434), b"probe");
    let expired = lab.send(PRIVATE_01, probe.clone().with_hop_limit(1));
    let error = Seen::ip(&expired.answer().frame);
    assert_eq!(error.icmp(), (11, 0));
    assert_eq!((error.source, error.destination), (ip("10.1.1.200").into(), ends.source));
    // Finished first, where its checksum was left to the network card.
    let unfinished = probe.clone().with_hop_limit(1).with_unfinished_checksum();
    let expired = lab.send(PRIVATE_01, unfinished);
    assert_eq!(Seen::ip(&expired.answer().frame).payload[28..36], probe.frame[34..42]);
    // Nothing is said about errors and later fragments (RFC 1122, 3.2.2).
    let silent = Some(DropReason::HopLimitExceeded);
    let error = packets::icmp_error(&ends, (3, 3), &probe.frame).with_hop_limit(1);
    assert_eq!(lab.send(PRIVATE_01, error).dropped(), silent);
    let long = packets::udp(&ends, (5000, 33_434), &[0; 64]).may_fragment();
    let pieces = long.fragments(32, 7);
    assert!(lab.send(PRIVATE_01, pieces[0].clone()).arrived().is_some());
    assert_eq!(lab.send(PRIVATE_01, pieces[1].clone().with_hop_limit(1)).dropped(), silent);
    let passed = lab.send(PRIVATE_01, probe.with_hop_limit(2));
    assert_eq!(passed.seen().ttl, 1);
    let answer = lab.answer_udp(&passed);
    assert_eq!(answer.seen().ttl, 63, "back too");
}

/// An error about a translated packet goes back to who sent it, and speaks of what that sent.
#[test]
fn an_icmp_error_comes_back_through_a_gateway() {
    let mut lab = task_3();
    let group = lab.interface(PRIVATE_01).groups[0].clone();
    lab.change(|network| {
        let rule = records::rule(900, &group, false, records::all_icmp(), records::anywhere());
        network.security_group_rules.push(Arc::new(rule));
    });
    let out = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 33_434));
    let ends = lab.from_outside(ELSEWHERE, ip("198.18.0.200"));
    let error = packets::icmp_error(&ends, (11, 0), &out.built.frame);
    let back = lab.send(PortIndex::INTERNET, error);
    assert_eq!(back.arrived(), Some(PRIVATE_01));
    let seen = back.seen();
    assert_eq!((seen.source, seen.destination), (ELSEWHERE.into(), ip("10.1.11.21").into()));
    assert_eq!(seen.ttl, 63, "NAT-18");
    let mut about = vec![0; 14];
    about.extend_from_slice(&seen.payload[8..]);
    let about = Seen::ip(&about);
    assert_eq!((about.source, about.destination), (ip("10.1.11.21").into(), OUTSIDE.into()));
    assert_eq!(about.ports(), (5000, 33_434));
    // About a ping, whose identifier was translated.
    let ping = lab.ping(PRIVATE_01, OUTSIDE, 77);
    let error = packets::icmp_error(&ends, (3, 1), &ping.built.frame);
    let seen = lab.send(PortIndex::INTERNET, error).seen();
    assert_eq!(word(&seen.payload, 8 + 20 + 4), 77);
    // Also where the sum within is zero, which only UDP says nothing with.
    let translated = word(&ping.seen().payload, 4);
    let outside = lab.from_outside(ip("198.18.0.200"), OUTSIDE);
    let zero = (0..=u16::MAX)
        .map(|sequence| packets::icmp_echo(&outside, translated, sequence))
        .find(|built| word(&built.frame, 36) == 0)
        .unwrap();
    let error = packets::icmp_error(&ends, (3, 1), &zero.frame);
    assert_eq!(word(&lab.send(PortIndex::INTERNET, error).seen().payload, 8 + 20 + 4), 77);
    let mut silent = packets::udp(&outside, (out.seen().ports().0, 33_434), b"question");
    silent.frame[40..42].fill(0);
    let error = packets::icmp_error(&ends, (11, 0), &silent.frame);
    let seen = lab.send(PortIndex::INTERNET, error).seen();
    assert_eq!((word(&seen.payload, 28), word(&seen.payload, 34)), (5000, 0));
    // About nothing that was translated.
    let foreign = packets::udp(&lab.from_outside(ip("198.18.0.200"), OUTSIDE), (1, 2), b"");
    let error = packets::icmp_error(&ends, (11, 0), &foreign.frame);
    let lost = lab.send(PortIndex::INTERNET, error);
    assert_eq!(lost.dropped(), Some(DropReason::NatGatewayUnsolicited));
}

/// A user's own error about an answer goes out with the gateway's address.
#[test]
fn an_icmp_error_of_a_user_goes_out_through_a_gateway() {
    let mut lab = task_3();
    let out = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
    let answer = lab.answer_udp(&out);
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let error = packets::icmp_error(&ends, (3, 3), &answer.built.frame);
    let seen = lab.send(PRIVATE_01, error).seen();
    assert_eq!((seen.source, seen.destination), (ip("198.18.0.200").into(), OUTSIDE.into()));
    assert_eq!(seen.ttl, 63, "NAT-18");
    let mut about = vec![0; 14];
    about.extend_from_slice(&seen.payload[8..]);
    let about = Seen::ip(&about);
    assert_eq!((about.source, about.destination), (OUTSIDE.into(), ip("198.18.0.200").into()));
    assert_eq!(about.ports(), (53, out.seen().ports().0));
}

/// MTU-1, NAT-15: what is too big for the internet is told to the sender, before the gateway.
#[test]
fn fragmentation_needed_reaches_the_user_of_a_gateway() {
    let mut lab = task_3();
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let big = packets::udp(&ends, (5000, 53), &[0; 3000]);
    let sent = lab.send(PRIVATE_01, big.clone());
    let error = Seen::ip(&sent.answer().frame);
    assert_eq!(error.icmp(), (3, 4));
    assert_eq!(word(&error.payload, 6), 1500);
    assert_eq!(error.destination, ends.source);
    // Nothing is said about errors and later fragments (RFC 1122, 3.2.2).
    let silent = Some(DropReason::TooLarge);
    let error = packets::icmp(&ends, (3, 3), [0; 4], &big.frame[14..]);
    assert_eq!(lab.send(PRIVATE_01, error).dropped(), silent);
    let pieces = packets::udp(&ends, (5000, 53), &[0; 4000]).fragments(2000, 7);
    let first = lab.send(PRIVATE_01, pieces[0].clone().with_fragment(0x6000, 7));
    assert_eq!(first.verdict, Verdict::Reply);
    let later = lab.send(PRIVATE_01, pieces[1].clone().with_fragment(0x4000 | 250, 7));
    assert_eq!(later.dropped(), silent);
    let cut = lab.send(PRIVATE_01, big.may_fragment());
    assert_eq!(cut.verdict, Verdict::Reply);
    assert_eq!(cut.emitted.len(), 3, "cut where the way is narrow");
    assert!(cut.emitted.iter().all(|(port, _)| *port == PortIndex::INTERNET));
}

/// Segments that stand for several packets pass a gateway as they are (traps 2).
#[test]
fn a_large_segment_passes_a_gateway() {
    let mut lab = task_3();
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let segment =
        packets::tcp_data(&ends, (40_000, 443), &[5; 4000]).with_segments(Offload::GSO_TCPV4, 1400);
    let sent = lab.send(PRIVATE_01, segment);
    assert_eq!(sent.arrived(), Some(PortIndex::INTERNET));
    let inside = lab
        .state
        .flows()
        .find(|flow| flow.nat_gateway == Some(NatSide::Inside))
        .expect("a flow on the inside");
    assert_eq!(inside.egress.packets, 2 + 3, "wire packets (traps 3)");
}

/// NACL-20: the gateway's subnet filters both legs, in both directions.
#[test]
fn the_acl_of_the_gateways_subnet_sees_both_legs_nacl_20() {
    type Entry = (u16, bool, bool, Traffic, ipnet::Ipv4Net);
    let run = |entry: Entry| {
        let mut lab = task_3();
        lab.change(|network| {
            let public = SubnetId::new(1);
            for acl in &mut network.network_acls {
                Arc::make_mut(acl).associations.retain(|a| a.subnet_id != public);
            }
            let vpc = network.vpcs[0].1.id.clone();
            let entries = [entry, allow_all(100, true), allow_all(100, false)];
            let acl = records::network_acl(9, &vpc, false, &[public], &entries);
            network.network_acls.push(Arc::new(acl));
        });
        let out = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
        match out.arrived() {
            None => ("out", out.dropped().unwrap().name()),
            Some(_) => ("back", lab.answer_udp(&out).dropped().map_or("", DropReason::name)),
        }
    };
    let block = records::block;
    let deny = |egress, traffic, cidr| (10, egress, false, traffic, block(cidr));
    let all = Traffic::All;
    // From the instance, by its source; the destination is the internet's port already.
    assert_eq!(run(deny(false, all, "10.1.11.0/24")), ("out", "network-acl-ingress"));
    assert_eq!(
        run(deny(false, records::udp(53, 53), "10.1.0.0/16")),
        ("out", "network-acl-ingress")
    );
    // Out of the gateway's subnet to the internet.
    assert_eq!(run(deny(true, records::udp(53, 53), "0.0.0.0/0")), ("out", "network-acl-egress"));
    // Back to the gateway, on a port of 1024 to 65535.
    assert_eq!(
        run(deny(false, records::udp(1024, 65_535), "198.18.0.0/16")),
        ("back", "network-acl-ingress")
    );
    // And out of its subnet to the instance.
    assert_eq!(run(deny(true, all, "10.1.11.0/24")), ("back", "network-acl-egress"));
}

/// NACL-24: with the lab's custom ACL on the private subnets the answers from the internet do not
/// come in.
#[test]
fn the_labs_acl_cuts_private_instances_off_the_internet_nacl_24() {
    let mut lab = task_3();
    lab.change(|network| {
        let private = [SubnetId::new(3), SubnetId::new(4)];
        for acl in &mut network.network_acls {
            Arc::make_mut(acl).associations.retain(|a| !private.contains(&a.subnet_id));
        }
        let vpc = network.vpcs[0].1.id.clone();
        let inward = (10, false, true, Traffic::All, records::block("10.1.1.0/24"));
        let acl = records::network_acl(9, &vpc, false, &private, &[inward, allow_all(100, true)]);
        network.network_acls.push(Arc::new(acl));
    });
    let out = lab.ping(PRIVATE_01, OUTSIDE, 1);
    assert_eq!(out.arrived(), Some(PortIndex::INTERNET));
    let back = lab.answer_ping(&out);
    assert!(matches!(back.dropped(), Some(DropReason::NetworkAclIngress(_))));
}

/// SGT-11, NAT-22: a flow through a gateway is tracked whatever the rules say, so its answers come
/// in where no rule admits them, and it survives its rule.
#[test]
fn flows_through_a_gateway_are_always_tracked_nat_22() {
    let mut lab = task_3();
    let group = lab.interface(PRIVATE_01).groups[0].clone();
    // Everything in and out: what goes elsewhere is not tracked (SGT-2).
    lab.change(|network| {
        let rule = records::rule(900, &group, false, Traffic::All, records::anywhere());
        network.security_group_rules.push(Arc::new(rule));
    });
    let near = udp(&mut lab, PRIVATE_01, ip("10.1.12.22"), (5000, 53));
    assert_eq!(near.arrived(), Some(PRIVATE_02));
    let far = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
    let tracked = |lab: &Lab, remote: Ipv4Addr| {
        let mut flows = lab.state.flows();
        flows.find(|f| f.port == PRIVATE_01 && f.remote.0 == remote).unwrap().tracked
    };
    assert!(!tracked(&lab, ip("10.1.12.22")));
    assert!(tracked(&lab, OUTSIDE));
    lab.remove_rules(|rule| rule.group_id == group);
    assert_eq!(lab.answer_udp(&far).arrived(), Some(PRIVATE_01), "SGT-5");
    assert_eq!(udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53)).arrived(), Some(PortIndex::INTERNET));
}

/// NAT-15: a gateway routes by the table of its own subnet; one whose default route leads to
/// itself loses everything.
#[test]
fn a_gateway_uses_its_own_subnets_table_nat_15() {
    let mut lab = task_3();
    lab.change(|network| {
        let id = RouteTableId::new(PUBLIC_TABLE);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        Arc::make_mut(table).routes.clear();
    });
    assert_eq!(lab.ping(PRIVATE_01, OUTSIDE, 1).dropped(), Some(DropReason::NoRoute));
    let mut lab = with_gateway(2, true, &["10.1.11.200"]);
    assert_eq!(lab.ping(PRIVATE_02, OUTSIDE, 1).dropped(), Some(DropReason::NatGatewayLoop));
}

/// RT-12: a gateway is no interface that a route may name.
#[test]
fn a_route_to_a_gateways_interface_is_a_blackhole_rt_12() {
    let mut lab = task_3();
    let interface = RouteTarget::NetworkInterface(NetworkInterfaceId::new(NAT.0.into()));
    add_route(&mut lab, PRIVATE_TABLE, "198.51.100.0/24", interface);
    let sent = lab.ping(PRIVATE_01, ip("198.51.100.1"), 1);
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))));
}

/// IGW-5: what a private gateway translates gets no further than the internet gateway.
#[test]
fn a_private_gateway_has_no_way_to_the_internet_igw_5() {
    let mut lab = with_gateway(0, false, &["10.1.1.200"]);
    assert_eq!(lab.ping(PRIVATE_01, OUTSIDE, 1).dropped(), Some(DropReason::NoPublicAddress));
}

/// NAT-21, RT-14: within the VPC only a route more specific than local leads through a gateway;
/// then the receiver sees the gateway's private address.
#[test]
fn a_gateway_translates_within_the_vpc_where_a_route_says_so_nat_21() {
    let mut lab = with_gateway(0, false, &["10.1.1.200"]);
    let direct = lab.ping(PRIVATE_01, ip("10.1.12.22"), 1);
    assert_eq!(direct.seen().source, ip("10.1.11.21"), "local wins over 0.0.0.0/0");
    add_route(&mut lab, PRIVATE_TABLE, "10.1.2.0/24", to_gateway());
    let group = lab.interface(BASTION).groups[0].clone();
    lab.change(|network| {
        let from = records::from_block("10.1.1.200/32");
        let rule = records::rule(900, &group, false, records::all_icmp(), from);
        network.security_group_rules.push(Arc::new(rule));
    });
    let ping = lab.ping(PRIVATE_01, ip("10.1.2.13"), 2);
    assert_eq!(ping.arrived(), Some(BASTION));
    assert_eq!(ping.seen().source, ip("10.1.1.200"));
    let answer = lab.answer_ping(&ping);
    assert_eq!(answer.arrived(), Some(PRIVATE_01));
    assert_eq!(answer.seen().source, ip("10.1.2.13"));
}

/// SG-32: a gateway discards who the packet was from; rules that refer to its group don't match.
#[test]
fn references_to_groups_end_at_a_gateway_sg_32() {
    let mut lab = with_gateway(0, false, &["10.1.1.200"]);
    add_route(&mut lab, PRIVATE_TABLE, "10.1.2.0/24", to_gateway());
    let group = lab.interface(BASTION).groups[0].clone();
    let from = lab.interface(PRIVATE_01).groups[0].clone();
    lab.change(|network| {
        let peer = gureum_types::record::RulePeer::Group(from);
        let rule = records::rule(900, &group, false, records::all_icmp(), peer);
        network.security_group_rules.push(Arc::new(rule));
    });
    let ping = lab.ping(PRIVATE_01, ip("10.1.2.13"), 1);
    assert_eq!(ping.dropped(), Some(DropReason::SecurityGroupIngress));
}

/// IGW-8: an own public address is reached through the gateway, seen with the gateway's.
#[test]
fn a_hairpin_through_a_gateway_shows_its_public_address_igw_8() {
    let mut lab = task_3();
    let ping = lab.ping(PRIVATE_01, ip("198.18.0.11"), 1);
    assert_eq!(ping.arrived(), Some(PUBLIC_01));
    let seen = ping.seen();
    assert_eq!(
        (seen.source, seen.destination),
        (ip("198.18.0.200").into(), ip("10.1.1.11").into())
    );
    let answer = lab.answer_ping(&ping);
    assert_eq!(answer.arrived(), Some(PRIVATE_01));
    assert_eq!(answer.seen().source, ip("198.18.0.11"));
}

/// NAT-26, NAT-17: only interfaces of the gateway's own VPC are served.
#[test]
fn a_source_that_is_nobodys_is_not_served_nat_26() {
    let mut lab = task_3();
    lab.change_interface(PRIVATE_01, |i| i.source_dest_check = false);
    let mut ends = lab.ends(PRIVATE_01, OUTSIDE);
    ends.source = ip("10.9.9.9").into();
    let sent = lab.send(PRIVATE_01, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::NatGatewaySource));
}

/// NAT-19, RT-12: once deleted, the route is a black hole, and its flows are gone for good.
#[test]
fn a_deleted_gateway_leaves_a_blackhole_nat_19() {
    let mut lab = task_3();
    let out = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
    lab.change(|network| {
        Arc::make_mut(&mut network.nat_gateways[0]).state = NatGatewayState::Deleting;
    });
    assert_eq!(lab.answer_udp(&out).arrived(), Some(PRIVATE_01), "NAT-3: it may go on meanwhile");
    let interface = lab.network.interfaces.last().cloned().unwrap();
    lab.change(|network| {
        Arc::make_mut(&mut network.nat_gateways[0]).state = NatGatewayState::Deleted;
        network.interfaces.retain(|i| i.port != NAT);
    });
    let sent = udp(&mut lab, PRIVATE_01, OUTSIDE, (5000, 53));
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))));
    assert!(lab.state.flows().all(|flow| flow.nat_gateway.is_none()));
    // A gateway that comes after it on the same port knows nothing of them.
    lab.change(|network| {
        Arc::make_mut(&mut network.nat_gateways[0]).state = NatGatewayState::Available;
        network.interfaces.push(interface);
    });
    assert_eq!(lab.answer_udp(&out).dropped(), Some(DropReason::NatGatewayUnsolicited));
}

/// NAT-20: a flow ends with the address that it was translated to.
#[test]
fn flows_end_with_a_secondary_address_nat_20() {
    let mut lab = with_gateway(0, false, &["10.1.1.200", "10.1.1.201"]);
    add_route(&mut lab, PRIVATE_TABLE, "10.1.2.0/24", to_gateway());
    let used: Vec<_> =
        (0..40).map(|n| udp(&mut lab, PRIVATE_01, ip("10.1.2.13"), (5000 + n, 22))).collect();
    // The bastion admits none of these: what counts is what the gateway did.
    assert!(used.iter().all(|sent| sent.dropped() == Some(DropReason::SecurityGroupIngress)));
    let local = |lab: &Lab| -> Vec<_> {
        let flows = lab.state.flows().filter(|f| f.nat_gateway == Some(NatSide::Outside));
        flows.map(|flow| flow.local.0).collect()
    };
    assert!(local(&lab).contains(&ip("10.1.1.201").into()), "both addresses are used");
    lab.change_interface(NAT, |i| i.private_addresses.truncate(1));
    for n in 0..40 {
        udp(&mut lab, PRIVATE_01, ip("10.1.2.13"), (5000 + n, 22));
    }
    assert!(local(&lab).iter().all(|address| *address == ip("10.1.1.200")));
}

/// A trace names the gateway, and the short way gives what the stages gave (cache is not state).
#[test]
fn cached_packets_are_translated_alike() {
    let mut lab = task_3();
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let data = packets::tcp_data(&ends, (40_000, 443), b"data");
    let first = lab.send(PRIVATE_01, data.clone());
    let second = lab.send(PRIVATE_01, data.clone());
    assert_eq!(first, second);
    lab.state.flush_cache();
    assert_eq!(lab.send(PRIVATE_01, data.clone()), first);
    let (_, steps) = lab.trace(PRIVATE_01, data.clone());
    assert!(steps.iter().any(|step| step.stage == Stage::NatGateway));
    // One that may pass no more routers takes the long way and is told so.
    let expired = lab.send(PRIVATE_01, data.with_hop_limit(1));
    assert_eq!(Seen::ip(&expired.answer().frame).icmp(), (11, 0));
}
