//! Sizes: what the way carries, segments, fragments (MTU-1, PIPE-8, IGW-10, traps 3 to 6).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, Limits, Offload,
    testing::{
        Lab, Sent,
        lab::{
            BASTION, OUTSIDE, PRIVATE_01, PRIVATE_02, PUB_GROUP, PUBLIC_01, PUBLIC_02, SECOND,
            lab_network, vpc_id,
        },
        packets::{
            self,
            flags::{ACK, SYN},
        },
        records,
        verify::{self, Seen, word},
    },
};
use gureum_types::{PortIndex, SubnetId, record::Traffic};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// Whatever is admitted everywhere.
fn open_lab() -> Lab {
    let mut lab = Lab::new();
    for group in 1..=3 {
        lab.add_rule(group, false, Traffic::All, records::anywhere());
    }
    lab
}

fn ping(ends: &packets::Ends, payload: usize) -> packets::Built {
    packets::icmp(ends, (8, 0), [0, 5, 0, 1], &vec![0x61; payload])
}

#[test]
fn nine_thousand_and_one_bytes_pass_within_a_vpc_and_no_more_mtu_1() {
    let mut lab = open_lab();
    let ends = lab.ends(PRIVATE_01, lab.address(PRIVATE_02));
    assert_eq!(lab.send(PRIVATE_01, ping(&ends, 9001 - 28)).arrived(), Some(PRIVATE_02));
    let sent = lab.send(PRIVATE_01, ping(&ends, 9002 - 28));
    assert_eq!(word(&Seen::ip(&sent.answer().frame).payload, 6), 9001);
    // Between neighbours nobody is there to answer.
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    assert_eq!(lab.send(PUBLIC_02, ping(&ends, 9001 - 28)).arrived(), Some(BASTION));
    let sent = lab.send(PUBLIC_02, ping(&ends, 9002 - 28));
    assert_eq!(sent.dropped(), Some(DropReason::TooLarge));
}

#[test]
fn the_subnets_router_says_what_fits_through_the_gateway_pipe_8() {
    let mut lab = Lab::new();
    // The router's errors need no rule (SG-35): PUBLIC-01 admits no ICMP here.
    lab.remove_rules(|rule| rule.traffic == records::all_icmp());
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    assert!(lab.send(PUBLIC_01, ping(&ends, 1472)).arrived().is_some(), "1500 bytes");
    let big = ping(&ends, 1473);
    let sent = lab.send(PUBLIC_01, big.clone());
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!((seen.source, seen.destination), (ip("10.1.1.1").into(), ip("10.1.1.11").into()));
    assert_eq!(seen.icmp(), (3, 4));
    assert_eq!(word(&seen.payload, 6), 1500);
    assert_eq!(seen.destination_mac, lab.interface(PUBLIC_01).mac);
    assert_eq!(Some(seen.source_mac), lab.arp(PUBLIC_01, ip("10.1.1.1")));
    assert_eq!(seen.payload[8..36], big.frame[14..42], "it carries what was sent");
    assert_eq!((seen.protocol, seen.ttl), (1, 64));
    // A checksum that was left to the network card is finished in there, of what stands for itself.
    let datagram = packets::udp(&ends, (40_000, 53), &[7; 1473]);
    let sent = lab.send(PUBLIC_01, datagram.clone().with_unfinished_checksum());
    assert_eq!(Seen::ip(&sent.answer().frame).payload[28..36], datagram.frame[34..42]);
    lab.connect(PUBLIC_01, OUTSIDE, (40_000, 443));
    for ecn in [0, Offload::GSO_ECN] {
        let segment = packets::tcp_data(&ends, (40_000, 443), &[9; 4000])
            .with_segments(Offload::GSO_TCPV4 | ecn, 1461);
        let sent = lab.send(PUBLIC_01, segment.clone());
        assert_eq!(Seen::ip(&sent.answer().frame).payload[28..48], segment.frame[34..54]);
    }
}

/// RFC 1122, 3.2.2: nothing is said about an error or a later fragment.
#[test]
fn a_later_fragment_is_answered_with_nothing() {
    let mut lab = open_lab();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let datagram = packets::udp(&ends, (40_000, 5000), &[3; 4000]);
    let mut pieces = datagram.fragments(2000, 7).into_iter();
    let [first, later] = [0x6000, 0x4000 | 250].map(|field| {
        let piece = pieces.next().unwrap();
        piece.with_fragment(field, 7)
    });
    let told = lab.send(PUBLIC_01, first);
    assert_eq!(Seen::ip(&told.answer().frame).icmp(), (3, 4));
    assert_eq!(lab.send(PUBLIC_01, later).dropped(), Some(DropReason::TooLarge));
}

/// IGW-10: the internet's link has the gateway's MTU, and a service's that of the VPC.
#[test]
fn nothing_larger_comes_in_than_the_way_carries_igw_10() {
    let mut lab = open_lab();
    let ends = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    assert_eq!(lab.send(PortIndex::INTERNET, ping(&ends, 1500 - 28)).arrived(), Some(PUBLIC_01));
    let sent = lab.send(PortIndex::INTERNET, ping(&ends, 1501 - 28));
    assert_eq!(sent.dropped(), Some(DropReason::TooLarge));
    let asked = lab.tcp(PUBLIC_01, ip("169.254.169.254"), (40_000, 80), SYN);
    let (port, back) = lab.answering(&asked);
    for (payload, dropped) in [(9001 - 40, None), (9002 - 40, Some(DropReason::TooLarge))] {
        let data = packets::tcp_data(&back, (80, 40_000), &vec![1; payload]);
        assert_eq!(lab.send(port, data).dropped(), dropped);
    }
}

#[test]
fn a_segment_is_judged_by_its_wire_packets_traps_4() {
    let mut lab = open_lab();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let built = |size| {
        packets::tcp_data(&ends, (40_000, 443), &[9; 60_000])
            .with_segments(Offload::GSO_TCPV4, size)
    };
    assert_eq!(lab.send(PUBLIC_01, built(1460)).arrived(), Some(PortIndex::INTERNET));
    let sent = lab.send(PUBLIC_01, built(8961));
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!((seen.icmp(), word(&seen.payload, 6)), ((3, 4), 1500));
    // It speaks of a wire packet, not of the whole segment; the ports tell which connection.
    assert_eq!(word(&seen.payload[8..], 2), 9001);
    assert_eq!(word(&seen.payload[28..], 0), 40_000);
    // Within the VPC the same segment passes.
    let near = lab.ends(PUBLIC_01, lab.address(PRIVATE_01));
    let built = packets::tcp_data(&near, (40_000, 443), &[9; 60_000])
        .with_segments(Offload::GSO_TCPV4 | Offload::GSO_ECN, 8961);
    assert_eq!(lab.send(PUBLIC_01, built).arrived(), Some(PRIVATE_01));
}

#[test]
fn wire_packets_are_counted_traps_3() {
    let mut lab = open_lab();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let built =
        packets::tcp_data(&ends, (40_000, 443), &[9; 3000]).with_segments(Offload::GSO_TCPV4, 1448);
    for _ in 0..3 {
        lab.send(PUBLIC_01, built.clone());
    }
    let flow = lab.state.flows().find(|flow| flow.local.1 == 40_000).unwrap();
    assert_eq!((flow.egress.packets, flow.egress.bytes), (9, 3 * (3000 + 3 * 40)));
    let port = lab.state.counters().port(PUBLIC_01);
    assert_eq!((port.received_packets, port.received_bytes), (9, 3 * (3000 + 3 * 40)));
}

#[test]
fn what_may_be_fragmented_is_igw_10() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    for unfinished in [false, true] {
        let payload: Vec<u8> = (0..4000).map(|n| n as u8).collect();
        let mut built = packets::udp(&ends, (40_000, 5000), &payload).may_fragment();
        if unfinished {
            built = built.with_unfinished_checksum();
        }
        let sent = lab.send(PUBLIC_01, built);
        assert_eq!(sent.emitted.len(), 3);
        assert_eq!(Seen::ip(&sent.emitted[0].1.frame).total_length, 1500, "as much as fits");
        let mut whole = Vec::new();
        for (index, (port, fragment)) in sent.emitted.iter().enumerate() {
            assert_eq!(*port, PortIndex::INTERNET);
            let seen = Seen::ip(&fragment.frame);
            assert!(seen.total_length <= 1500);
            assert_eq!(seen.source, ip("198.18.0.11"), "translated");
            assert_eq!(usize::from(seen.fragment & 0x1fff) * 8, whole.len());
            assert_eq!(seen.fragment & 0x2000 != 0, index < 2);
            whole.extend(seen.payload);
        }
        assert_eq!(whole[8..], payload);
        // Together they are a datagram with a right checksum.
        let joined =
            packets::ip(&packets::Ends { source: ip("198.18.0.11").into(), ..ends }, 17, &whole);
        verify::check(&joined.frame, &Offload::NONE).unwrap();
    }
}

/// The segments of what was cut, put together again; each must be what a receiver takes.
fn segments(sent: &Sent, ends: &packets::Ends, protocol: u8) -> Vec<Vec<u8>> {
    let mut segments = vec![Vec::new()];
    for (_, fragment) in &sent.emitted {
        let seen = Seen::ip(&fragment.frame);
        assert!(seen.total_length <= 1500);
        let number = segments.len() as u16 - 1;
        assert_eq!(word(&fragment.frame, 18), 0x1234 + number, "each has its identification");
        let segment = segments.last_mut().unwrap();
        segment.extend(seen.payload);
        if seen.fragment & 0x2000 == 0 {
            let ends = packets::Ends { source: seen.source, ..*ends };
            let joined = packets::ip(&ends, protocol, segment);
            verify::check(&joined.frame, &Offload::NONE).unwrap();
            segments.push(Vec::new());
        }
    }
    assert_eq!(segments.pop(), Some(Vec::new()), "nothing is missing");
    segments
}

#[test]
fn large_segments_that_may_be_fragmented_are_cut_twice() {
    let mut lab = open_lab();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let payload: Vec<u8> = (0..5000).map(|n| (n / 7) as u8).collect();
    let built = packets::tcp_data(&ends, (40_000, 443), &payload)
        .may_fragment()
        .with_segments(Offload::GSO_TCPV4, 2000);
    let sent = lab.send(PUBLIC_01, built);
    // Three segments: 2000, 2000 and 1000 bytes; the first two in two fragments each.
    assert_eq!(sent.emitted.len(), 5);
    let mut bytes = Vec::new();
    for segment in segments(&sent, &ends, 6) {
        let sequence = u32::from_be_bytes(segment[4..8].try_into().unwrap());
        assert_eq!(sequence, 1000 + bytes.len() as u32);
        let push = segment[13] & packets::flags::PSH != 0;
        bytes.extend_from_slice(&segment[20..]);
        assert_eq!(push, bytes.len() == payload.len(), "only the last one pushes");
    }
    assert_eq!(bytes, payload);
    // Of UDP each is a datagram.
    let built = packets::udp(&ends, (40_000, 443), &payload)
        .may_fragment()
        .with_segments(Offload::GSO_UDP_L4, 2000);
    let sent = lab.send(PUBLIC_01, built);
    let datagrams = segments(&sent, &ends, 17);
    assert_eq!(datagrams.len(), 3);
    let bytes: Vec<u8> = datagrams.iter().flat_map(|datagram| datagram[8..].to_vec()).collect();
    assert_eq!(bytes, payload);
}

#[test]
fn an_error_is_never_answered_with_an_error() {
    let mut lab = open_lab();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let error = packets::icmp(&ends, (3, 3), [0; 4], &[0; 3000]);
    assert_eq!(lab.send(PUBLIC_01, error).dropped(), Some(DropReason::TooLarge));
}

#[test]
fn a_segmentation_that_does_not_fit_the_protocol_is_dropped_traps_5() {
    let mut lab = open_lab();
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let tcp = packets::tcp_data(&ends, (1, 22), &[0; 3000]);
    let udp = packets::udp(&ends, (1, 22), &[0; 3000]);
    let wrong = [
        tcp.clone().with_segments(Offload::GSO_UDP_L4, 1000),
        udp.clone().with_segments(Offload::GSO_TCPV4, 1000),
        tcp.clone().with_segments(4, 1000),
        udp.clone().with_segments(3, 1000),
        tcp.clone().with_segments(Offload::GSO_TCPV4, 0),
    ];
    for built in wrong {
        let sent = lab.send(PUBLIC_02, built);
        assert_eq!(sent.dropped(), Some(DropReason::SegmentationMismatch));
    }
    let right = udp.with_segments(Offload::GSO_UDP_L4, 1000);
    assert_eq!(lab.send(PUBLIC_02, right).arrived(), Some(BASTION));
    let mut beyond = tcp.with_unfinished_checksum();
    beyond.offload.csum_start = 60_000;
    assert_eq!(lab.send(PUBLIC_02, beyond).dropped(), Some(DropReason::Malformed));
}

#[test]
fn fragments_follow_their_first_one_traps_6() {
    let mut lab = Lab::new();
    lab.add_rule(PUB_GROUP, false, records::udp(5000, 5000), records::from_block("10.1.2.0/24"));
    let ends = lab.ends(BASTION, lab.address(PUBLIC_02));
    let fragments = packets::udp(&ends, (40_000, 5000), &[3; 4000]).fragments(1480, 77);
    let late = lab.send(BASTION, fragments[1].clone());
    assert_eq!(late.dropped(), Some(DropReason::FragmentWithoutFirst));
    for fragment in &fragments {
        assert_eq!(lab.send(BASTION, fragment.clone()).arrived(), Some(PUBLIC_02));
    }
    let closed = packets::udp(&ends, (40_000, 5001), &[3; 4000]).fragments(1480, 78);
    for fragment in closed {
        let sent = lab.send(BASTION, fragment);
        assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress));
    }
    lab.wait(30 * SECOND - 1);
    assert!(lab.send(BASTION, fragments[1].clone()).arrived().is_some());
    lab.wait(1);
    let late = lab.send(BASTION, fragments[1].clone());
    assert_eq!(late.dropped(), Some(DropReason::FragmentWithoutFirst), "forgotten");
}

#[test]
fn fragments_are_translated_and_tracked_like_their_first_one() {
    let mut lab = Lab::new();
    let ends = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    lab.add_rule(
        PUB_GROUP,
        false,
        records::udp(5000, 5000),
        records::from_block("198.18.200.7/32"),
    );
    let built = packets::udp(&ends, (40_000, 5000), &[3; 2000]);
    let mut whole = Vec::new();
    for fragment in built.fragments(1000, 5) {
        let sent = lab.send(PortIndex::INTERNET, fragment);
        assert_eq!(sent.arrived(), Some(PUBLIC_01));
        assert_eq!(sent.seen().destination, ip("10.1.1.11"));
        whole.extend(sent.seen().payload);
    }
    let ends = packets::Ends { destination: ip("10.1.1.11").into(), ..ends };
    let joined = packets::ip(&ends, 17, &whole);
    verify::check(&joined.frame, &Offload::NONE).unwrap();
    assert_eq!(lab.state.tracked_flows(), 1);
    let flow = lab.state.flows().next().unwrap();
    assert_eq!(flow.ingress.packets, 3);
}

#[test]
fn entries_for_ports_do_not_match_later_fragments_nacl_22() {
    let mut lab = open_lab();
    let guard = |lab: &mut Lab, traffic| {
        lab.change(|network| {
            let subnets = [SubnetId::new(3)];
            let default = Arc::make_mut(&mut network.network_acls[0]);
            default.associations.retain(|a| a.subnet_id != subnets[0]);
            network.network_acls.truncate(1);
            let entry = (10, false, true, traffic, records::block("0.0.0.0/0"));
            let acl = records::network_acl(2, &vpc_id(), false, &subnets, &[entry]);
            network.network_acls.push(Arc::new(acl));
        });
    };
    let ends = lab.ends(PUBLIC_01, lab.address(PRIVATE_01));
    let fragments = packets::udp(&ends, (1, 5000), &[3; 2000]).fragments(1480, 9);
    guard(&mut lab, records::udp(5000, 5000));
    assert!(lab.send(PUBLIC_01, fragments[0].clone()).arrived().is_some());
    let later = lab.send(PUBLIC_01, fragments[1].clone());
    assert!(matches!(later.dropped(), Some(DropReason::NetworkAclIngress(_))));
    guard(&mut lab, records::udp(0, 65535));
    assert!(lab.send(PUBLIC_01, fragments[1].clone()).arrived().is_some());
}

#[test]
fn the_table_of_fragments_is_bounded() {
    let limits = Limits { fragments: 4, ..Limits::default() };
    let mut lab = Lab::with(lab_network(), limits);
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let first = |id| packets::udp(&ends, (1, 22), &[3; 2000]).fragments(1480, id)[0].clone();
    for id in 0..4 {
        let sent = lab.send(PUBLIC_02, first(id));
        assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress));
    }
    let fifth = lab.send(PUBLIC_02, first(4));
    assert_eq!(fifth.dropped(), Some(DropReason::FragmentTableFull));
    let known = lab.send(PUBLIC_02, first(3));
    assert_eq!(known.dropped(), Some(DropReason::SecurityGroupIngress), "known ones go on");
    lab.wait(30 * SECOND);
    let later = lab.send(PUBLIC_02, first(5));
    assert_eq!(later.dropped(), Some(DropReason::SecurityGroupIngress), "old ones made room");
}

#[test]
fn padding_of_short_frames_is_no_part_of_the_packet() {
    let mut lab = Lab::new();
    let mut syn = {
        let ends = lab.ends(PUBLIC_01, OUTSIDE);
        packets::tcp(&ends, (40_000, 443), SYN, &[])
    };
    syn.frame.resize(60, 0xaa);
    let sent = lab.send(PUBLIC_01, syn);
    assert_eq!(sent.arrived(), Some(PortIndex::INTERNET));
    let answer = lab.answer_tcp(&sent, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PUBLIC_01));
    let flow = lab.state.flows().find(|flow| flow.local.1 == 40_000).unwrap();
    assert_eq!(flow.egress.bytes, 40);
}
