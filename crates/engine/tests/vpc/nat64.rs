//! NAT64 (NAT-24): what an instance of a subnet with IPv6 only and hosts of IPv4 see of each other,
//! by RFC 6146, RFC 6052 and RFC 7915.

mod corners;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use gureum_engine::{
    DropReason, NAT_GATEWAY_TIMEOUT, NatSide, Offload, Stage, Verdict, WhyQuery, WhySource,
    WhyTraffic, print,
    testing::{
        Built, Lab, Sent,
        lab::{
            BASTION, BASTION_GROUP, OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE,
            SECOND, allow_all,
        },
        packets::{
            self, Ends,
            flags::{ACK, FIN, RST, SYN},
        },
        records,
        verify::{self, Seen, word},
    },
    why,
};
use gureum_types::{
    NAT64_PREFIX, NatGatewayId, NetworkInterfaceId, PortIndex, RouteTableId, SecurityGroupRuleId,
    SubnetId, nat64_address,
    record::{NetworkAclEntry, Route, RouteDestination, RouteTarget, RulePeer, Traffic},
};

/// The gateway's interface: 10.1.1.200 in IMD-PUBLIC-A, 198.18.0.200.
const NAT: PortIndex = PortIndex(20);
const NAT_PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 200);
const NAT_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 200);
/// A router on the way to hosts of the internet.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 18, 200, 8);

fn everybody() -> RulePeer {
    RulePeer::Ipv6("::/0".parse().unwrap())
}

/// The lab with a NAT gateway and IPv6 everywhere; IMD-PRIVATE-A has nothing else. PRIVATE-RT sends
/// IPv4 and 64:ff9b::/96 to the gateway.
fn lab() -> Lab {
    lab_with(true)
}

fn lab_with(public: bool) -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let mut subnets: Vec<_> = network.subnets.iter().map(|s| (**s).clone()).collect();
        let vpc = Arc::make_mut(&mut network.vpcs[0].1);
        records::with_ipv6(vpc, "2001:db8:0:100::/56", &mut subnets);
        subnets[2].cidr_block = None;
        for interface in &mut network.interfaces {
            let interface = Arc::make_mut(interface);
            let subnet = subnets.iter().find(|s| s.id == interface.subnet_id).unwrap();
            let base = u128::from(subnet.ipv6_block().unwrap().network());
            interface.ipv6_addresses = vec![(base + 0x10 + u128::from(interface.port.0)).into()];
            if subnet.cidr_block.is_none() {
                interface.private_addresses.clear();
            }
        }
        let address = public.then_some(NAT_PUBLIC);
        let mut interface = records::interface(NAT, &subnets[0], &[NAT_PRIVATE], &[], address);
        interface.interface_type = "nat_gateway".to_owned();
        interface.requester_managed = true;
        network.interfaces.push(Arc::new(interface));
        let gateway = records::nat_gateway(1, &subnets[0], NAT, public);
        network.nat_gateways.push(Arc::new(gateway));
        network.subnets = subnets.into_iter().map(Arc::new).collect();
        for egress in [true, false] {
            Arc::make_mut(&mut network.network_acls[0]).entries.push(NetworkAclEntry {
                rule_number: 101,
                egress,
                allow: true,
                traffic: Traffic::All,
                cidr: "::/0".parse().unwrap(),
            });
        }
        let id = RouteTableId::new(PRIVATE_TABLE);
        let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
        let target = RouteTarget::NatGateway(NatGatewayId::new(1));
        let all = RouteDestination::Ipv4(records::block("0.0.0.0/0"));
        for destination in [RouteDestination::Ipv6(NAT64_PREFIX), all] {
            let target = target.clone();
            Arc::make_mut(table).routes.push(Route { destination, target });
        }
    });
    lab.add_rule(PRI_GROUP, true, Traffic::All, everybody());
    lab
}

/// A host of IPv4 as the instance knows it.
fn outside() -> Ipv6Addr {
    nat64_address(OUTSIDE)
}

fn instance(lab: &Lab) -> Ipv6Addr {
    lab.interface(PRIVATE_01).ipv6_addresses[0]
}

fn udp(lab: &mut Lab, ports: (u16, u16)) -> Sent {
    let ends = lab.ends(PRIVATE_01, outside());
    lab.send(PRIVATE_01, packets::udp(&ends, ports, b"question"))
}

/// What arrived at the internet came from the gateway, as IPv4, with a port of its own.
fn assert_seen_outside(sent: &Sent) -> Seen {
    assert_eq!(sent.verdict, Verdict::Translated(PortIndex::INTERNET));
    let seen = sent.seen();
    assert_eq!(seen.ether_type, 0x0800);
    assert_eq!((seen.source, seen.destination), (NAT_PUBLIC.into(), OUTSIDE.into()));
    seen
}

fn assert_seen_inside(lab: &Lab, sent: &Sent) -> Seen {
    assert_eq!(sent.verdict, Verdict::Translated(PRIVATE_01), "{:?}", sent.verdict);
    let seen = sent.seen();
    assert_eq!(seen.ether_type, 0x86dd);
    assert_eq!((seen.source, seen.destination), (outside().into(), instance(lab).into()));
    assert_eq!(seen.destination_mac, lab.interface(PRIVATE_01).mac);
    seen
}

/// From the internet to the gateway's public address.
fn inward(lab: &Lab) -> Ends {
    lab.from_outside(OUTSIDE, NAT_PUBLIC)
}

/// The packet that an ICMP error carries, as a frame of its own.
fn carried(error: &Seen) -> Vec<u8> {
    let ether_type: [u8; 2] = if error.source.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
    [&[0; 12][..], &ether_type, &error.payload[8..]].concat()
}

// NAT-24, NAT-8: RFC 6146, 3.5.2; the checksums are verified wherever a packet arrives.
#[test]
fn a_connection_from_ipv6_reaches_a_host_of_ipv4_nat_24() {
    let mut lab = lab();
    let syn = lab.tcp(PRIVATE_01, outside(), (40_000, 443), SYN);
    let seen = assert_seen_outside(&syn);
    assert_eq!(seen.ttl, 63, "NAT-18");
    assert_eq!(seen.ports().1, 443);
    assert!(seen.ports().0 >= 1024, "NAT-9");
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    let back = assert_seen_inside(&lab, &answer);
    assert_eq!((back.ports(), back.ttl), ((443, 40_000), 63));
    let ack = lab.tcp(PRIVATE_01, outside(), (40_000, 443), ACK);
    assert_eq!(assert_seen_outside(&ack).ports(), seen.ports(), "the same flow");
    let flow = lab.state.flows().find(|flow| flow.nat_gateway == Some(NatSide::Inside)).unwrap();
    assert_eq!(flow.phase, "established");
    assert_eq!(flow.local, (instance(&lab).into(), 40_000));
    assert_eq!(flow.remote, (outside().into(), 443));
    assert_eq!(flow.translated, Some((NAT_PRIVATE.into(), seen.ports().0)));
    // Two segments out and one in, 20 bytes shorter outside (traps 3).
    let carried = |side| {
        let flow = lab.state.flows().find(|flow| flow.nat_gateway == Some(side)).unwrap();
        (flow.egress.bytes, flow.ingress.bytes)
    };
    assert_eq!(carried(NatSide::Inside), (2 * 60, 60));
    assert_eq!(carried(NatSide::Outside), (2 * 40, 40));
    // Another host does not get in by the same port (NAT-11).
    let foreign =
        packets::tcp(&lab.from_outside(ELSEWHERE, NAT_PUBLIC), (443, seen.ports().0), ACK, b"");
    let dropped = lab.send(PortIndex::INTERNET, foreign).dropped();
    assert_eq!(dropped, Some(DropReason::NatGatewayUnsolicited));
}

// NAT-24, NAT-9: one set of ports, whichever family the user speaks.
#[test]
fn users_of_both_families_share_the_ports_of_a_gateway_nat_9() {
    let mut lab = lab();
    let six = udp(&mut lab, (5000, 53)).seen().ports().0;
    let ends = lab.ends(PRIVATE_02, OUTSIDE);
    let four = lab.send(PRIVATE_02, packets::udp(&ends, (5000, 53), b"")).seen().ports().0;
    assert_ne!(six, four);
    let answer = |lab: &mut Lab, port| {
        let ends = inward(lab);
        let sent = lab.send(PortIndex::INTERNET, packets::udp(&ends, (53, port), b"answer"));
        (sent.arrived(), sent.seen().destination.is_ipv6())
    };
    assert_eq!(answer(&mut lab, six), (Some(PRIVATE_01), true));
    assert_eq!(answer(&mut lab, four), (Some(PRIVATE_02), false));
}

/// A packet whose ICMPv6 checksum was left to the network card: the field holds the sum of the
/// pseudo-header (traps 2).
fn with_unfinished_icmp_checksum(mut built: Built) -> Built {
    let ip = &built.frame[14..];
    let mut sum: u32 = ip[8..40].chunks(2).map(|pair| u32::from(word(pair, 0))).sum();
    sum += u32::from(word(ip, 4)) + 58;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    built.frame[56..58].copy_from_slice(&(sum as u16).to_be_bytes());
    built.offload = Offload { needs_csum: true, csum_start: 54, csum_offset: 2, ..Offload::NONE };
    built
}

// NAT-24, SGT-7: RFC 7915, 4.2 and 5.2.
#[test]
fn a_ping_goes_from_family_to_family_nat_24() {
    let mut lab = lab();
    let ping = lab.ping(PRIVATE_01, outside(), 77);
    let seen = assert_seen_outside(&ping);
    assert_eq!((seen.protocol, seen.icmp()), (1, (8, 0)));
    let identifier = word(&seen.payload, 4);
    assert_eq!(seen.payload[6..], packets::icmp_echo(&inward(&lab), 1, 1).frame[40..]);
    let answer = lab.answer_ping(&ping);
    let back = assert_seen_inside(&lab, &answer);
    assert_eq!((back.protocol, back.icmp()), (58, (129, 0)));
    assert_eq!(word(&back.payload, 4), 77);
    let ends = lab.ends(PRIVATE_01, outside());
    let unfinished = with_unfinished_icmp_checksum(packets::icmp_echo(&ends, 77, 1));
    assert_eq!(verify::check(&unfinished.frame, &unfinished.offload), Ok(()));
    let again = lab.send(PRIVATE_01, unfinished);
    assert_eq!(word(&assert_seen_outside(&again).payload, 4), identifier);
    assert!(!again.built.offload.needs_csum);
    // A question from the internet to that identifier is no answer (NAT-10).
    let question = packets::icmp_echo(&inward(&lab), identifier, 1);
    let dropped = lab.send(PortIndex::INTERNET, question).dropped();
    assert_eq!(dropped, Some(DropReason::NatGatewayUnsolicited));
}

// NAT-24: RFC 7915, 4.1 and 5.1.
#[test]
fn headers_say_in_the_other_family_what_they_said_nat_24() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let mut outward = packets::udp(&ends, (5000, 53), b"question");
    // Traffic class 0xb8 and a flow label.
    outward.frame[14..18].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45]);
    let sent = lab.send(PRIVATE_01, outward.clone());
    let seen = assert_seen_outside(&sent);
    assert_eq!(sent.built.frame[15], 0xb8, "type of service");
    assert_eq!(seen.total_length, 20 + 8 + 8);
    assert_eq!(seen.fragment, 0, "it may be fragmented");
    let first = word(&sent.built.frame, 18);
    let next = lab.send(PRIVATE_01, outward);
    assert_ne!(word(&next.built.frame, 18), first, "and so is identified (RFC 6864)");
    // What does not fit the least MTU of IPv6 must not be fragmented.
    for (length, fragment) in [(1260 - 28, 0), (1261 - 28, 0x4000)] {
        let sent = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), &vec![1; length]));
        assert_eq!(sent.seen().fragment, fragment, "{length}");
    }
    let mut answer = packets::udp(&inward(&lab), (53, seen.ports().0), b"answer");
    answer.frame[15] = 0xb8;
    answer = answer.may_fragment();
    let back = lab.send(PortIndex::INTERNET, answer);
    assert_seen_inside(&lab, &back);
    assert_eq!(back.built.frame[14..18], [0x6b, 0x80, 0, 0]);
}

// NAT-24, traps 2, 3: what the kernel left undone is undone in the other family.
#[test]
fn checksums_and_segments_are_left_to_the_card_in_the_other_family_nat_24() {
    let mut lab = lab();
    lab.connect(PRIVATE_01, outside(), (40_000, 443));
    let ends = lab.ends(PRIVATE_01, outside());
    let before = lab.state.flows().find(|f| f.nat_gateway == Some(NatSide::Inside)).unwrap();
    let data = packets::tcp_data(&ends, (40_000, 443), b"data").with_unfinished_checksum();
    let sent = lab.send(PRIVATE_01, data);
    let port = assert_seen_outside(&sent).ports().0;
    let expected = Offload { needs_csum: true, csum_start: 34, csum_offset: 16, ..Offload::NONE };
    assert_eq!(sent.built.offload, expected);
    // 1440 bytes a segment: 1500 bytes as IPv6, 1480 as IPv4.
    let large = packets::tcp_data(&ends, (40_000, 443), &[5; 5000])
        .with_segments(Offload::GSO_TCPV6 | Offload::GSO_ECN, 1440);
    let sent = lab.send(PRIVATE_01, large);
    assert_seen_outside(&sent);
    let expected = Offload {
        gso_type: Offload::GSO_TCPV4 | Offload::GSO_ECN,
        gso_size: 1440,
        hdr_len: 54,
        ..expected
    };
    assert_eq!(sent.built.offload, expected);
    let after = lab.state.flows().find(|f| f.nat_gateway == Some(NatSide::Inside)).unwrap();
    assert_eq!(after.egress.packets, before.egress.packets + 1 + 4, "wire packets");
    let large = packets::tcp_data(&inward(&lab), (443, port), &[5; 5000])
        .with_segments(Offload::GSO_TCPV4, 1448);
    let back = lab.send(PortIndex::INTERNET, large);
    assert_seen_inside(&lab, &back);
    assert_eq!(back.built.offload.gso_type, Offload::GSO_TCPV6);
    assert_eq!((back.built.offload.csum_start, back.built.offload.hdr_len), (54, 74));
    let datagrams =
        packets::udp(&ends, (5000, 53), &[5; 3000]).with_segments(Offload::GSO_UDP_L4, 1000);
    let sent = lab.send(PRIVATE_01, datagrams);
    assert_seen_outside(&sent);
    assert_eq!(
        (sent.built.offload.gso_type, sent.built.offload.csum_start),
        (Offload::GSO_UDP_L4, 34)
    );
}

// NAT-24: RFC 7915, 4.5: IPv6 has no datagrams without a checksum.
#[test]
fn a_datagram_without_a_checksum_gets_one_nat_24() {
    let mut lab = lab();
    let port = udp(&mut lab, (5000, 53)).seen().ports().0;
    let mut answer = packets::udp(&inward(&lab), (53, port), b"answer!");
    answer.frame[40..42].copy_from_slice(&[0, 0]);
    let back = lab.send(PortIndex::INTERNET, answer);
    let seen = assert_seen_inside(&lab, &back);
    assert_ne!(word(&seen.payload, 6), 0);
    assert_eq!(seen.payload[8..], *b"answer!");
}

/// The packet in fragments of IPv6 that carry `room` bytes each.
fn ipv6_fragments(whole: &Built, room: usize, identification: u32) -> Vec<Built> {
    let (head, body) = whole.frame.split_at(54);
    let pieces = body.chunks(room).enumerate();
    pieces
        .map(|(index, piece)| {
            let more = (index + 1) * room < body.len();
            let mut frame = head.to_vec();
            frame[18..20].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
            frame[20] = 44;
            frame.extend([head[20], 0]);
            frame.extend(((index * room) as u16 | u16::from(more)).to_be_bytes());
            frame.extend(identification.to_be_bytes());
            frame.extend(piece);
            Built { frame, offload: Offload::NONE }
        })
        .collect()
}

/// Fragments of IPv4 put together.
fn reassembled(fragments: &[Built]) -> Vec<u8> {
    let mut frame = fragments[0].frame[..34].to_vec();
    for piece in fragments {
        frame.extend(&piece.frame[34..]);
    }
    let total = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    Built { frame, offload: Offload::NONE }.with_fragment(0, 1).frame
}

// NAT-13, NAT-24: RFC 7915, 4.1 and 5.1.1.
#[test]
fn fragments_of_udp_go_from_family_to_family_nat_13() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let whole = packets::udp(&ends, (5000, 53), &[7; 3000]);
    let pieces: Vec<Built> = ipv6_fragments(&whole, 1400, 0xabcd_1234)
        .into_iter()
        .map(|piece| {
            let sent = lab.send(PRIVATE_01, piece);
            assert_seen_outside(&sent);
            sent.built
        })
        .collect();
    let fields: Vec<_> = pieces.iter().map(|piece| word(&piece.frame, 20)).collect();
    assert_eq!(fields, [0x2000, 0x2000 | 175, 350]);
    assert!(pieces.iter().all(|piece| word(&piece.frame, 18) == 0x1234), "the lower half");
    let frame = reassembled(&pieces);
    assert_eq!(verify::check(&frame, &Offload::NONE), Ok(()));
    let port = Seen::ip(&frame).ports().0;
    let answer = packets::udp(&inward(&lab), (53, port), &[9; 3000]);
    let mut body = Vec::new();
    for (index, piece) in answer.fragments(1480, 0x4321).into_iter().enumerate() {
        let sent = lab.send(PortIndex::INTERNET, piece);
        let seen = assert_seen_inside(&lab, &sent);
        assert_eq!((seen.protocol, seen.payload[0]), (44, 17));
        let more = u16::from(index < 2);
        assert_eq!(word(&seen.payload, 2), (index as u16 * 1480) | more);
        assert_eq!(seen.payload[4..8], [0, 0, 0x43, 0x21]);
        body.extend(&seen.payload[8..]);
    }
    let ends = Ends { source: outside().into(), destination: instance(&lab).into(), ..ends };
    let whole = packets::ip(&ends, 17, &body);
    assert_eq!(verify::check(&whole.frame, &Offload::NONE), Ok(()));
    // Too long for the internet once more: cut as IPv4.
    let long = ipv6_fragments(
        &packets::udp(&lab.ends(PRIVATE_01, outside()), (5001, 53), &[7; 6000]),
        4000,
        5,
    );
    let cut = lab.send(PRIVATE_01, long[0].clone());
    assert_eq!((cut.verdict, cut.emitted.len()), (Verdict::Reply, 3));
    // TCP's and ICMP's do not pass.
    let segment = packets::tcp(&lab.ends(PRIVATE_01, outside()), (5000, 80), SYN, &[1; 2000]);
    let dropped = lab.send(PRIVATE_01, ipv6_fragments(&segment, 1000, 6)[0].clone()).dropped();
    assert_eq!(dropped, Some(DropReason::NatGatewayFragment));
}

// NAT-24, MTU-1: RFC 7915, 4.2 and 5.2.
#[test]
fn errors_of_the_internet_reach_a_user_of_ipv6_nat_24() {
    let mut lab = lab();
    lab.add_rule(PRI_GROUP, false, packets_of_icmpv6(), everybody());
    let out = udp(&mut lab, (5000, 53));
    let ends = lab.from_outside(ELSEWHERE, NAT_PUBLIC);
    let mut error = |kind: (u8, u8), rest: [u8; 4]| {
        let built = packets::icmp(&ends, kind, rest, &out.built.frame[14..]);
        let back = lab.send(PortIndex::INTERNET, built);
        if back.dropped().is_some() {
            return Err(back.dropped().unwrap());
        }
        assert_eq!(back.verdict, Verdict::Translated(PRIVATE_01));
        let seen = back.seen();
        assert_eq!(seen.source, nat64_address(ELSEWHERE));
        assert_eq!((seen.destination, seen.protocol), (instance(&lab).into(), 58));
        // It speaks of the packet as it was sent.
        let frame = carried(&seen);
        assert_eq!(verify::check(&frame, &Offload::NONE), Ok(()));
        let about = Seen::ip(&frame);
        assert_eq!((about.source, about.destination), (instance(&lab).into(), outside().into()));
        assert_eq!((about.ports(), about.protocol), ((5000, 53), 17));
        let rest = u32::from_be_bytes(seen.payload[4..8].try_into().unwrap());
        Ok((seen.icmp(), rest))
    };
    for code in [0, 1, 5, 6, 7, 8, 11, 12] {
        assert_eq!(error((3, code), [0; 4]), Ok(((1, 0), 0)), "{code}");
    }
    for code in [9, 10, 13, 15] {
        assert_eq!(error((3, code), [0; 4]), Ok(((1, 1), 0)), "{code}");
    }
    assert_eq!(error((3, 2), [0; 4]), Ok(((4, 1), 6)), "at the next header");
    assert_eq!(error((3, 3), [0; 4]), Ok(((1, 4), 0)));
    let too_big = |mtu: u16| ((2, 0), u32::from(mtu));
    let mtu = |mtu: u16| [0, 0, mtu.to_be_bytes()[0], mtu.to_be_bytes()[1]];
    assert_eq!(error((3, 4), mtu(1400)), Ok(too_big(1420)), "the difference of the headers");
    assert_eq!(error((3, 4), mtu(576)), Ok(too_big(1280)), "IPv6 knows no less");
    assert_eq!(error((3, 4), mtu(9100)), Ok(too_big(9001)), "the VPC's own");
    assert_eq!(error((3, 4), mtu(0)), Ok(too_big(1280)), "a router that does not tell");
    assert_eq!(error((11, 0), [0; 4]), Ok(((3, 0), 0)));
    assert_eq!(error((11, 1), [0; 4]), Ok(((3, 1), 0)));
    let pointers =
        [(0, 0), (1, 1), (2, 4), (3, 4), (8, 7), (9, 6), (12, 8), (15, 8), (16, 24), (19, 24)];
    for (from, to) in pointers {
        assert_eq!(error((12, 0), [from, 0, 0, 0]), Ok(((4, 0), to)), "{from}");
        assert_eq!(error((12, 2), [from, 0, 0, 0]), Ok(((4, 0), to)), "{from}");
    }
    let no_counterpart = Err(DropReason::NatGatewayUntranslatable);
    for from in [4, 7, 10, 11, 20] {
        assert_eq!(error((12, 0), [from, 0, 0, 0]), no_counterpart, "{from}");
    }
    for kind in [(3, 14), (3, 16), (4, 0), (5, 1), (12, 1)] {
        assert_eq!(error(kind, [0; 4]), no_counterpart, "{kind:?}");
    }
    // What extends an error is left out (RFC 4884): 128 bytes of the packet, and more behind.
    let mut long = out.built.frame[14..].to_vec();
    long.resize(128, 0);
    long.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 1, 2, 3, 4]);
    let built = packets::icmp(&ends, (11, 0), [0, 32, 0, 0], &long);
    let seen = lab.send(PortIndex::INTERNET, built).seen();
    assert_eq!((seen.payload.len(), seen.payload[4]), (8 + 128 + 20, 0));
    // One that is wrong stays so.
    let mut wrong = packets::icmp(&ends, (11, 0), [0; 4], &out.built.frame[14..]);
    wrong.frame[36] ^= 1;
    assert_eq!(lab.send(PortIndex::INTERNET, wrong).dropped(), Some(DropReason::Malformed));
    // About nothing that was translated.
    let foreign = packets::udp(&lab.from_outside(NAT_PUBLIC, OUTSIDE), (1, 2), b"");
    let error = packets::icmp_error(&ends, (11, 0), &foreign.frame);
    let dropped = lab.send(PortIndex::INTERNET, error).dropped();
    assert_eq!(dropped, Some(DropReason::NatGatewayUnsolicited));
}

fn packets_of_icmpv6() -> Traffic {
    let protocol = gureum_types::IpProtocol::ICMPV6;
    Traffic::Icmp { protocol, icmp_type: None, icmp_code: None }
}

// NAT-24: RFC 1191, 7, by RFC 7915, 4.2.
#[test]
fn a_router_that_tells_no_mtu_has_a_likely_one_nat_24() {
    let mut lab = lab();
    lab.add_rule(PRI_GROUP, false, packets_of_icmpv6(), everybody());
    let out = udp(&mut lab, (5000, 53));
    let ends = lab.from_outside(ELSEWHERE, NAT_PUBLIC);
    for (length, mtu) in [(9000u16, 8186), (1500, 1512), (1400, 1280)] {
        let mut about = out.built.frame[14..].to_vec();
        about[2..4].copy_from_slice(&length.to_be_bytes());
        let built = packets::icmp(&ends, (3, 4), [0; 4], &about);
        let seen = lab.send(PortIndex::INTERNET, built).seen();
        assert_eq!((seen.icmp(), word(&seen.payload, 6)), ((2, 0), mtu), "{length}");
    }
}

// NAT-24, SGT-7: the ping that an error speaks of has its identifier and its type again.
#[test]
fn an_error_about_a_ping_is_recognised_nat_24() {
    let mut lab = lab();
    lab.add_rule(PRI_GROUP, false, packets_of_icmpv6(), everybody());
    let ping = lab.ping(PRIVATE_01, outside(), 77);
    let ends = lab.from_outside(ELSEWHERE, NAT_PUBLIC);
    let error = packets::icmp_error(&ends, (3, 1), &ping.built.frame);
    let frame = carried(&lab.send(PortIndex::INTERNET, error).seen());
    assert_eq!(verify::check(&frame, &Offload::NONE), Ok(()));
    let about = Seen::ip(&frame);
    assert_eq!((about.protocol, about.icmp(), word(&about.payload, 4)), (58, (128, 0), 77));
}

// NAT-24: RFC 7915, 5.2.
#[test]
fn errors_of_a_user_of_ipv6_reach_the_internet_nat_24() {
    let mut lab = lab();
    let out = udp(&mut lab, (5000, 53));
    let answer = lab.answer_udp(&out);
    let ends = lab.ends(PRIVATE_01, outside());
    let mut error = |kind: (u8, u8), rest: u32| {
        let built = packets::icmp(&ends, kind, rest.to_be_bytes(), &answer.built.frame[14..]);
        let sent = lab.send(PRIVATE_01, built);
        if sent.dropped().is_some() {
            return Err(sent.dropped().unwrap());
        }
        let seen = assert_seen_outside(&sent);
        let frame = carried(&seen);
        assert_eq!(verify::check(&frame, &Offload::NONE), Ok(()));
        let about = Seen::ip(&frame);
        assert_eq!((about.source, about.destination), (OUTSIDE.into(), NAT_PUBLIC.into()));
        assert_eq!(about.ports(), (53, out.seen().ports().0));
        Ok((seen.icmp(), u32::from_be_bytes(seen.payload[4..8].try_into().unwrap())))
    };
    for code in [0, 2, 3] {
        assert_eq!(error((1, code), 0), Ok(((3, 1), 0)), "{code}");
    }
    assert_eq!(error((1, 1), 0), Ok(((3, 10), 0)));
    assert_eq!(error((1, 4), 0), Ok(((3, 3), 0)));
    assert_eq!(error((2, 0), 1400), Ok(((3, 4), 1380)), "the difference of the headers");
    assert_eq!(error((2, 0), 70_000), Ok(((3, 4), 8981)), "the VPC's own");
    assert_eq!(error((3, 1), 0), Ok(((11, 1), 0)));
    let pointers =
        [(0, 0), (1, 1), (4, 2), (5, 2), (6, 9), (7, 8), (8, 12), (23, 12), (24, 16), (39, 16)];
    for (from, to) in pointers {
        assert_eq!(error((4, 0), from), Ok(((12, 0), to << 24)), "{from}");
    }
    assert_eq!(error((4, 1), 6), Ok(((3, 2), 0)));
    let no_counterpart = Err(DropReason::NatGatewayUntranslatable);
    for (kind, rest) in [((1, 5), 0), ((4, 2), 0), ((4, 0), 2), ((4, 0), 40), ((100, 0), 0)] {
        assert_eq!(error(kind, rest), no_counterpart, "{kind:?}");
    }
}

// NAT-24, MTU-1: the way behind the gateway carries 1500 bytes of IPv4, which were 1520 of IPv6.
#[test]
fn what_is_too_big_behind_the_gateway_is_told_before_nat_24() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let fits = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), &[0; 1520 - 48]));
    assert_eq!(assert_seen_outside(&fits).total_length, 1500);
    let sent = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), &[0; 1521 - 48]));
    let error = Seen::ip(&sent.answer().frame);
    assert_eq!((error.icmp(), word(&error.payload, 6)), ((2, 0), 1520));
    assert_eq!(error.source, nat64_address(NAT_PRIVATE), "the gateway, as IPv6 knows it");
    assert_eq!(error.destination, ends.source);
    // Segments are judged by what they are on the wire (traps 4).
    lab.connect(PRIVATE_01, outside(), (40_000, 443));
    let segments = |size| {
        packets::tcp_data(&ends, (40_000, 443), &[5; 4000]).with_segments(Offload::GSO_TCPV6, size)
    };
    assert_seen_outside(&lab.send(PRIVATE_01, segments(1460)));
    let error = lab.send(PRIVATE_01, segments(1461));
    assert_eq!(Seen::ip(&error.answer().frame).icmp(), (2, 0));
}

// NAT-18, NAT-24: the gateway is a router, which IPv6 knows by its private address too.
#[test]
fn traceroute_shows_the_gateway_nat_18() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let sent = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 33_434), b"").with_hop_limit(1));
    let error = Seen::ip(&sent.answer().frame);
    assert_eq!(error.icmp(), (3, 0));
    assert_eq!(error.source, nat64_address(NAT_PRIVATE));
    let about = Seen::ip(&carried(&error));
    assert_eq!((about.ports(), about.destination), ((5000, 33_434), outside().into()));
}

// NAT-12, NAT-24
#[test]
fn silence_of_350_seconds_is_answered_with_a_reset_of_ipv6_nat_12() {
    let mut lab = lab();
    lab.connect(PRIVATE_01, outside(), (40_000, 443));
    lab.wait(NAT_GATEWAY_TIMEOUT - SECOND);
    let alive = lab.tcp(PRIVATE_01, outside(), (40_000, 443), ACK);
    assert_eq!(alive.arrived(), Some(PortIndex::INTERNET));
    lab.wait(NAT_GATEWAY_TIMEOUT);
    let late = lab.tcp(PRIVATE_01, outside(), (40_000, 443), ACK);
    let reset = Seen::ip(&late.answer().frame);
    assert_eq!((reset.source, reset.destination), (outside().into(), instance(&lab).into()));
    assert_eq!((reset.ports(), reset.payload[13]), ((443, 40_000), RST));
    assert_eq!(reset.ttl, 64, "as of a host");
    assert_eq!(late.emitted[0].0, PRIVATE_01);
    // Where no group stops it, what begins nothing is the gateway's to answer.
    lab.add_rule(PRI_GROUP, false, Traffic::All, everybody());
    let closed = lab.tcp(PRIVATE_01, outside(), (40_001, 443), FIN);
    assert_eq!(Seen::ip(&closed.answer().frame).payload[13], RST | ACK);
    let answered = lab.tcp(PRIVATE_01, outside(), (40_001, 443), RST);
    assert_eq!(answered.dropped(), Some(DropReason::NatGatewayUnsolicited));
}

// NAT-24, NAT-7, NAT-26, PIPE-12, RT-15
#[test]
fn what_no_gateway_translates_has_a_name_nat_24() {
    let mut lab = lab();
    lab.change(|network| {
        let id = RouteTableId::new(PRIVATE_TABLE);
        let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
        let destination = RouteDestination::Ipv6("::/0".parse().unwrap());
        let target = RouteTarget::NatGateway(NatGatewayId::new(1));
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
    let to = |lab: &mut Lab, to: &str| {
        let ends = lab.ends(PRIVATE_01, to.parse::<IpAddr>().unwrap());
        lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), b"")).dropped()
    };
    let protocol = Some(DropReason::NatGatewayProtocol);
    assert_eq!(to(&mut lab, "2001:db8:8000::7"), protocol);
    assert_eq!(to(&mut lab, "64:ff9b:1::c612:c807"), protocol, "another prefix");
    assert_eq!(to(&mut lab, "64:ff9b::224.0.0.1"), Some(DropReason::Multicast));
    assert_eq!(to(&mut lab, "64:ff9b::255.255.255.255"), Some(DropReason::Broadcast));
    let metadata = Some(DropReason::LinkLocalDestination);
    assert_eq!(to(&mut lab, "64:ff9b::169.254.169.254"), metadata, "no way to the platform");
    let private = Some(DropReason::GatewayPrivateAddress);
    assert_eq!(to(&mut lab, "64:ff9b::192.168.0.1"), private, "IGW-16");
    let smtp = lab.tcp(PRIVATE_01, outside(), (5000, 25), SYN).dropped();
    assert_eq!(smtp, Some(DropReason::SmtpBlocked), "SG-37");
    let ends = lab.ends(PRIVATE_01, outside());
    for other in
        [packets::ip(&ends, 50, &[0; 24]), packets::ip(&ends, 1, &[8, 0, 0, 0, 0, 0, 0, 0])]
    {
        assert_eq!(lab.send(PRIVATE_01, other).dropped(), protocol);
    }
    lab.change_interface(PRIVATE_01, |i| i.source_dest_check = false);
    let foreign = Ends { source: "2001:db8:0:1ff::1".parse().unwrap(), ..ends };
    let dropped = lab.send(PRIVATE_01, packets::udp(&foreign, (5000, 53), b"")).dropped();
    assert_eq!(dropped, Some(DropReason::NatGatewaySource));
    // Unasked from the outside (NAT-10).
    let unasked = packets::udp(&inward(&lab), (53, 5000), b"");
    let dropped = lab.send(PortIndex::INTERNET, unasked).dropped();
    assert_eq!(dropped, Some(DropReason::NatGatewayUnsolicited));
}

/// A datagram of IPv6 with an extension header before it.
fn extended(ends: &Ends, ports: (u16, u16), number: u8, extension: [u8; 6]) -> Built {
    let plain = packets::udp(ends, ports, b"data");
    let mut body = vec![17, 0];
    body.extend(extension);
    body.extend(&plain.frame[54..]);
    packets::ip(ends, number, &body)
}

/// A datagram of IPv4 with options.
fn with_options(built: &Built, options: &[u8]) -> Built {
    let mut frame = built.frame[..34].to_vec();
    frame.extend(options);
    frame.extend(&built.frame[34..]);
    frame[14] = 0x45 + (options.len() / 4) as u8;
    let total = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[24..26].copy_from_slice(&[0, 0]);
    let header = 14..34 + options.len();
    let mut sum: u32 = frame[header].chunks(2).map(|pair| u32::from(word(pair, 0))).sum();
    sum = (sum >> 16) + (sum & 0xffff);
    frame[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Built { frame, offload: Offload::NONE }
}

// NAT-24: RFC 7915, 4.1 and 5.1: extensions and options are left out, routes of senders are not
// taken.
#[test]
fn options_are_left_out_and_source_routes_not_taken_nat_24() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let options = extended(&ends, (5000, 53), 60, [1, 4, 0, 0, 0, 0]);
    let seen = assert_seen_outside(&lab.send(PRIVATE_01, options));
    assert_eq!((seen.protocol, seen.total_length), (17, 20 + 8 + 4));
    let port = seen.ports().0;
    let arrived = extended(&ends, (5000, 53), 43, [0, 0, 0, 0, 0, 0]);
    assert_seen_outside(&lab.send(PRIVATE_01, arrived));
    let routed = extended(&ends, (5000, 53), 43, [0, 1, 0, 0, 0, 0]);
    let no_counterpart = Some(DropReason::NatGatewayUntranslatable);
    assert_eq!(lab.send(PRIVATE_01, routed).dropped(), no_counterpart);
    let answer = packets::udp(&inward(&lab), (53, port), b"answer");
    let record_route = [1, 7, 7, 4, 0, 0, 0, 0];
    let back = lab.send(PortIndex::INTERNET, with_options(&answer, &record_route));
    assert_eq!(assert_seen_inside(&lab, &back).total_length, 40 + 8 + 6);
    for (option, dropped) in [
        ([131, 7, 4, 9, 9, 9, 9, 0], no_counterpart),
        ([137, 7, 4, 9, 9, 9, 9, 0], no_counterpart),
        ([131, 7, 8, 9, 9, 9, 9, 0], None),
        ([0, 131, 7, 4, 9, 9, 9, 9], None),
    ] {
        let sent = lab.send(PortIndex::INTERNET, with_options(&answer, &option));
        assert_eq!(sent.dropped(), dropped, "{option:?}");
    }
    // Of a fragment no checksum can be made.
    let mut bare = packets::udp(&inward(&lab), (53, port), &[1; 2000]);
    bare.frame[40..42].copy_from_slice(&[0, 0]);
    let first = bare.fragments(1000, 7)[0].clone();
    assert_eq!(lab.send(PortIndex::INTERNET, first).dropped(), no_counterpart);
}

// NACL-20, NAT-24: the gateway's subnet sees IPv6 on the one side and IPv4 on the other.
#[test]
fn the_acl_of_the_gateways_subnet_sees_both_families_nacl_20() {
    let run = |egress: bool, cidr: &str| {
        let mut lab = lab();
        lab.change(|network| {
            let public = SubnetId::new(1);
            for acl in &mut network.network_acls {
                Arc::make_mut(acl).associations.retain(|a| a.subnet_id != public);
            }
            let vpc = network.vpcs[0].1.id.clone();
            let entries = [allow_all(100, true), allow_all(100, false)];
            let mut acl = records::network_acl(9, &vpc, false, &[public], &entries);
            let six = [true, false].map(|egress| (101, egress, true, "::/0"));
            for (rule_number, egress, allow, cidr) in [six[0], six[1], (10, egress, false, cidr)] {
                let (traffic, cidr) = (Traffic::All, cidr.parse().unwrap());
                acl.entries.push(NetworkAclEntry { rule_number, egress, allow, traffic, cidr });
            }
            network.network_acls.push(Arc::new(acl));
        });
        let out = udp(&mut lab, (5000, 53));
        let (way, sent) = match out.arrived() {
            None => ("out", out),
            Some(_) => ("back", lab.answer_udp(&out)),
        };
        // It is dropped at the gateway, whichever family it has by then.
        assert!(sent.told.iter().all(|told| told.key.at == NAT), "{:?}", sent.told);
        assert_eq!(sent.told.len(), usize::from(sent.dropped().is_some()));
        (way, sent.dropped().map_or("", DropReason::name))
    };
    assert_eq!(run(false, "2001:db8:0:102::/64"), ("out", "network-acl-ingress"));
    assert_eq!(run(true, "198.18.200.7/32"), ("out", "network-acl-egress"));
    assert_eq!(run(false, "198.18.200.7/32"), ("back", "network-acl-ingress"));
    assert_eq!(run(true, "2001:db8:0:102::/64"), ("back", "network-acl-egress"));
    assert_eq!(run(true, "64:ff9b::/96"), ("back", ""), "neither leg is to it");
}

// NAT-22, PIPE-11, SG-2: the sender's group judges IPv6, and its flows are tracked whatever else it
// says.
#[test]
fn the_senders_group_judges_and_tracks_ipv6_nat_22() {
    let mut lab = lab();
    lab.add_rule(PRI_GROUP, false, Traffic::All, everybody());
    let out = udp(&mut lab, (5000, 53));
    let flow = lab.state.flows().find(|f| f.port == PRIVATE_01 && f.remote.0 == outside());
    assert!(flow.unwrap().tracked);
    lab.remove_rules(|rule| rule.peer == everybody());
    assert_eq!(lab.answer_udp(&out).arrived(), Some(PRIVATE_01), "SGT-5");
    let dropped = udp(&mut lab, (5001, 53)).dropped();
    assert_eq!(dropped, Some(DropReason::SecurityGroupEgress), "0.0.0.0/0 is no rule for it");
    lab.add_rule(PRI_GROUP, true, Traffic::All, RulePeer::Ipv6(NAT64_PREFIX));
    assert_eq!(udp(&mut lab, (5001, 53)).arrived(), Some(PortIndex::INTERNET));
}

/// A private gateway, whose address may reach the bastion.
fn within_the_vpc() -> (Lab, Ipv6Addr) {
    let mut lab = lab_with(false);
    let gateway = records::from_block("10.1.1.200/32");
    lab.add_rule(BASTION_GROUP, false, Traffic::All, gateway);
    let bastion = nat64_address(lab.address(BASTION));
    (lab, bastion)
}

// NAT-24, NAT-1, NAT-21: a private gateway serves too, and hosts of the VPC are hosts.
#[test]
fn a_private_gateway_translates_within_the_vpc_nat_24() {
    let (mut lab, bastion) = within_the_vpc();
    let ping = lab.ping(PRIVATE_01, bastion, 1);
    assert_eq!(ping.verdict, Verdict::Translated(BASTION));
    assert_eq!(ping.seen().source, NAT_PRIVATE);
    let answer = lab.answer_ping(&ping);
    assert_eq!(answer.verdict, Verdict::Translated(PRIVATE_01));
    assert_eq!(answer.seen().source, bastion);
    assert_eq!(
        lab.ping(PRIVATE_01, outside(), 1).dropped(),
        Some(DropReason::NoPublicAddress),
        "IGW-5"
    );
}

// NAT-24, MTU-1: what fits as IPv4 may not fit as IPv6, and the sender is told what does.
#[test]
fn what_is_too_big_as_ipv6_is_told_to_its_sender_nat_24() {
    let (mut lab, bastion) = within_the_vpc();
    let ends = lab.ends(PRIVATE_01, bastion);
    let out = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), b""));
    let (port, ends) = lab.answering(&out);
    let (from, to) = out.seen().ports();
    let answer = |length: usize| packets::udp(&ends, (to, from), &vec![3; length - 28]);
    let fits = lab.send(port, answer(8981));
    assert_eq!((fits.arrived(), fits.seen().total_length), (Some(PRIVATE_01), 9001));
    let sent = lab.send(port, answer(8982));
    let error = Seen::ip(&sent.answer().frame);
    assert_eq!((error.icmp(), word(&error.payload, 6)), ((3, 4), 8981));
    assert_eq!((error.source, error.destination), (NAT_PRIVATE.into(), ends.source));
    let sent = lab.send(port, answer(9001).may_fragment());
    assert_eq!(sent.dropped(), Some(DropReason::TooLarge));
}

// NAT-19, NAT-24
#[test]
fn flows_end_with_their_gateway_nat_19() {
    let mut lab = lab();
    let out = udp(&mut lab, (5000, 53));
    lab.change(|network| {
        network.nat_gateways.clear();
        network.interfaces.retain(|i| i.id != NetworkInterfaceId::new(NAT.0.into()));
    });
    assert!(matches!(udp(&mut lab, (5000, 53)).dropped(), Some(DropReason::RouteBlackhole(_))));
    assert!(lab.answer_udp(&out).dropped().is_some());
    assert!(lab.state.flows().all(|flow| flow.nat_gateway.is_none()));
}

// NAT-24: a trace and `why` tell of it.
#[test]
fn the_way_through_a_gateway_is_explained_nat_24() {
    let mut lab = lab();
    let query = |destination: Ipv6Addr, traffic| WhyQuery {
        source: WhySource::Interface { port: PRIVATE_01, address: None },
        destination: destination.into(),
        traffic,
    };
    let traffics = [
        WhyTraffic::Tcp { source_port: 40_000, destination_port: 443 },
        WhyTraffic::Udp { source_port: 40_000, destination_port: 53 },
        WhyTraffic::IcmpEcho { identifier: 7 },
    ];
    for traffic in traffics {
        let before = lab.state.clone();
        let report = why(&lab.policy, &mut lab.state, &query(outside(), traffic), lab.now);
        let text = print::why_report(&report);
        assert!(report.reachable, "{text}");
        assert_eq!(report.forward.arrived.as_deref(), Some("internet"));
        let back = report.reply.unwrap();
        assert_eq!(back.arrived, Some(NetworkInterfaceId::new(PRIVATE_01.0.into()).to_string()));
        assert!(text.contains("translated: 10.1.1.200 to 198.18.200.7 (NAT64)"), "{text}");
        assert!(text.contains("translated: 64:ff9b::c612:c807 to 2001:db8:0:102::14"), "{text}");
        assert!(lab.state == before);
    }
    let report = why(&lab.policy, &mut lab.state, &query(outside(), traffics[2]), lab.now);
    let stages: Vec<_> = report.forward.steps.iter().map(|step| step.stage).collect();
    let count = |stage| stages.iter().filter(|of| **of == stage).count();
    assert_eq!((count(Stage::Route), count(Stage::InternetGateway)), (2, 1), "{stages:?}");
    let (sent, steps) = {
        let ends = lab.ends(PRIVATE_01, outside());
        lab.trace(PRIVATE_01, packets::icmp_echo(&ends, 1, 1))
    };
    assert_seen_outside(&sent);
    assert_eq!(steps.last().map(|step| step.stage), Some(Stage::Deliver));
    let rule = |rule: &gureum_types::record::SecurityGroupRule| {
        rule.id == SecurityGroupRuleId::new(1) || rule.peer == everybody()
    };
    lab.remove_rules(rule);
    let report = why(&lab.policy, &mut lab.state, &query(outside(), traffics[2]), lab.now);
    assert_eq!(report.forward.drop, Some(DropReason::SecurityGroupEgress), "not the ping before");
}
