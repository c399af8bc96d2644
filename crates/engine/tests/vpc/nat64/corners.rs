//! NAT64 (NAT-24) where RFC 7915 leaves little room: what is malformed, cut, or as long as it may be.

use super::*;

/// Sends an error of a user about a frame that it got.
fn complain(lab: &mut Lab, (kind, rest): ((u8, u8), [u8; 4]), about: &[u8]) -> Sent {
    let ends = lab.ends(PRIVATE_01, outside());
    lab.send(PRIVATE_01, packets::icmp(&ends, kind, rest, about))
}

/// An error of a router of the internet about a frame that it got.
fn complain_outside(lab: &mut Lab, (kind, rest): ((u8, u8), [u8; 4]), about: &[u8]) -> Sent {
    let ends = lab.from_outside(ELSEWHERE, NAT_PUBLIC);
    lab.send(PortIndex::INTERNET, packets::icmp(&ends, kind, rest, about))
}

/// The lab where the user hears of errors, with a flow of UDP: what arrived outside, and the answer
/// that arrived inside.
fn with_flow(question: &[u8], answer: &[u8]) -> (Lab, Sent, Sent) {
    let mut lab = lab();
    lab.add_rule(PRI_GROUP, false, packets_of_icmpv6(), everybody());
    let ends = lab.ends(PRIVATE_01, outside());
    let out = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), question));
    let port = assert_seen_outside(&out).ports().0;
    let back = packets::udp(&inward(&lab), (53, port), answer);
    let back = lab.send(PortIndex::INTERNET, back);
    assert_seen_inside(&lab, &back);
    (lab, out, back)
}

const TIME_EXCEEDED: (u8, u8) = (3, 0);
const UNTRANSLATABLE: Option<DropReason> = Some(DropReason::NatGatewayUntranslatable);

// NAT-24: RFC 792 lets options be only as well-formed as their lengths; none makes a way of its own.
#[test]
fn options_that_are_not_well_formed_hold_nobody_up_nat_24() {
    let (mut lab, out, _) = with_flow(b"question", b"answer");
    let port = out.seen().ports().0;
    let answer = packets::udp(&inward(&lab), (53, port), b"answer");
    for (option, dropped) in [
        // Without a length that covers itself, nothing behind is an option.
        ([7, 0, 131, 7, 4, 9, 9, 9], None),
        ([7, 1, 131, 7, 4, 9, 9, 9], None),
        // The shortest one is passed over.
        ([7, 2, 131, 6, 4, 9, 9, 9], UNTRANSLATABLE),
        ([7, 3, 4, 131, 5, 4, 9, 9], UNTRANSLATABLE),
        // Nothing to do, and the end, have no length.
        ([1, 131, 7, 4, 9, 9, 9, 9], UNTRANSLATABLE),
        ([0, 2, 131, 6, 4, 9, 9, 9], None),
        // Longer than the header.
        ([7, 200, 131, 7, 4, 9, 9, 9], None),
        // A pointer at the last byte still names a router; beyond it, none.
        ([131, 7, 7, 9, 9, 9, 9, 0], UNTRANSLATABLE),
    ] {
        let sent = lab.send(PortIndex::INTERNET, with_options(&answer, &option));
        assert_eq!(sent.dropped(), dropped, "{option:?}");
    }
}

// NAT-24: RFC 7915, 4.5.
#[test]
fn a_datagram_without_a_checksum_that_says_to_be_shorter_does_not_pass_nat_24() {
    let (mut lab, out, _) = with_flow(b"question", b"answer");
    let port = out.seen().ports().0;
    let mut answer = packets::udp(&inward(&lab), (53, port), b"answer!!");
    answer.frame[38..40].copy_from_slice(&12u16.to_be_bytes());
    answer.frame[40..42].copy_from_slice(&[0, 0]);
    assert_eq!(lab.send(PortIndex::INTERNET, answer).dropped(), UNTRANSLATABLE);
}

// NAT-24: RFC 768 by RFC 7915, 4.5: a sum of zero is sent as all ones, since zero is none.
#[test]
fn a_sum_of_zero_is_sent_as_all_ones_nat_24() {
    let (mut lab, out, _) = with_flow(b"question", b"answer");
    let port = out.seen().ports().0;
    let mut answer = |payload: u16| {
        let mut built = packets::udp(&inward(&lab), (53, port), &payload.to_be_bytes());
        built.frame[40..42].copy_from_slice(&[0, 0]);
        let seen = lab.send(PortIndex::INTERNET, built).seen();
        word(&seen.payload, 6)
    };
    // The sum of the same datagram with this payload is zero.
    let complement = answer(0);
    assert_ne!(complement, 0xffff);
    assert_eq!(answer(complement), 0xffff);
}

// NAT-24, SGT-7: an answer to a ping that is nothing but zeros has a checksum that is not (RFC 1624).
#[test]
fn an_empty_answer_to_a_ping_has_a_checksum_nat_24() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let ping = lab.send(PRIVATE_01, packets::icmp(&ends, (128, 0), [0; 4], &[]));
    let identifier = assert_seen_outside(&ping).payload[4..6].to_owned();
    let rest = [identifier[0], identifier[1], 0, 0];
    let answer = packets::icmp(&inward(&lab), (0, 0), rest, &[]);
    let back = lab.send(PortIndex::INTERNET, answer);
    assert_eq!(assert_seen_inside(&lab, &back).payload[4..], [0; 4]);
    // The user's own answer, within an error about it: what was all zeros in IPv4.
    let error = complain(&mut lab, ((1, 4), [0; 4]), &back.built.frame[14..]);
    let about = assert_seen_outside(&error).payload[28..].to_owned();
    assert_eq!(about, [&[0, 0], &about[2..4], &rest[..]].concat());
}

// NAT-24: in TCP a checksum of zero is one like any other.
#[test]
fn a_segment_with_a_checksum_of_zero_has_one_nat_24() {
    let mut lab = lab();
    lab.connect(PRIVATE_01, outside(), (40_000, 443));
    let sent = lab.tcp(PRIVATE_01, outside(), (40_000, 443), ACK);
    let port = sent.seen().ports().0;
    let segment =
        |filler: u16| packets::tcp_data(&inward(&lab), (443, port), &filler.to_be_bytes());
    let filler = word(&segment(0).frame, 50);
    let mut built = segment(filler);
    assert!(matches!(word(&built.frame, 50), 0 | 0xffff));
    built.frame[50..52].copy_from_slice(&[0, 0]);
    assert_eq!(verify::check(&built.frame, &Offload::NONE), Ok(()));
    let back = lab.send(PortIndex::INTERNET, built);
    assert_seen_inside(&lab, &back);
}

// NAT-24, SGT-7: the answer to a ping that an error speaks of has its identifier and its type again.
#[test]
fn an_error_about_the_answer_to_a_ping_is_recognised_nat_24() {
    let mut lab = lab();
    let ping = lab.ping(PRIVATE_01, outside(), 77);
    let identifier = word(&assert_seen_outside(&ping).payload, 4);
    let answer = lab.answer_ping(&ping);
    let error = complain(&mut lab, ((1, 4), [0; 4]), &answer.built.frame[14..]);
    let frame = carried(&assert_seen_outside(&error));
    assert_eq!(verify::check(&frame, &Offload::NONE), Ok(()));
    let about = Seen::ip(&frame);
    assert_eq!((about.protocol, about.icmp()), (1, (0, 0)));
    assert_eq!(word(&about.payload, 4), identifier);
}

// NAT-24: RFC 7915, 5.2 and 5.3: whatever MTU is told; only what has a length is cut (RFC 4884).
#[test]
fn errors_of_a_user_lose_what_extends_them_nat_24() {
    let (mut lab, _, back) = with_flow(b"question", &[1; 200]);
    let about = &back.built.frame[14..];
    let length_of = |sent: &Sent| assert_seen_outside(sent).payload.len();
    // An MTU whose first byte is not zero is no length.
    let too_big = complain(&mut lab, ((2, 0), [1, 0, 0, 0]), about);
    assert_eq!(length_of(&too_big), 8 + about.len() - 20);
    assert_eq!(too_big.seen().payload[4..8], [0, 0, 0x23, 0x15], "8981");
    // 128 bytes in units of eight, and more behind.
    let mut extended = about[..128].to_vec();
    extended.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 1, 2, 3, 4]);
    let shorter = complain(&mut lab, (TIME_EXCEEDED, [16, 0, 0, 0]), &extended);
    assert_eq!(length_of(&shorter), 8 + 128 - 20);
    assert_eq!(shorter.seen().payload[4..8], [0; 4]);
}

// NAT-24: RFC 1812, 4.3.2.3, and RFC 4443, 2.4 (c): an error is as long as everybody takes.
#[test]
fn errors_are_no_longer_than_everybody_takes_nat_24() {
    let (mut lab, out, back) = with_flow(&[2; 1400], &[1; 1200]);
    let outward = complain(&mut lab, (TIME_EXCEEDED, [0; 4]), &back.built.frame[14..]);
    assert_eq!(assert_seen_outside(&outward).total_length, 576);
    let about = &out.built.frame[14..];
    let inward = complain_outside(&mut lab, ((11, 0), [0; 4]), about);
    assert_eq!(inward.verdict, Verdict::Translated(PRIVATE_01));
    assert_eq!(inward.seen().total_length, 1280);
}

// NAT-24: RFC 7915, 5.3 by 5.1: as its router would have had it, so is what an error carries.
#[test]
fn what_an_error_carries_may_be_fragmented_like_any_packet_nat_24() {
    for (length, fragment) in [(1260 - 28, 0), (1261 - 28, 0x4000)] {
        let (mut lab, _, back) = with_flow(b"question", &vec![1; length]);
        let error = complain(&mut lab, (TIME_EXCEEDED, [0; 4]), &back.built.frame[14..]);
        let about = Seen::ip(&carried(&assert_seen_outside(&error)));
        assert_eq!((about.total_length, about.fragment), (length + 28, fragment), "{length}");
    }
}

// NAT-24, NAT-13: the first fragment that an error carries has the sum that it was sent with.
#[test]
fn an_error_about_a_first_fragment_speaks_of_what_was_sent_nat_24() {
    let mut lab = lab();
    lab.add_rule(PRI_GROUP, false, packets_of_icmpv6(), everybody());
    let ends = lab.ends(PRIVATE_01, outside());
    let whole = packets::udp(&ends, (5000, 53), &[7; 1000]);
    let first = ipv6_fragments(&whole, 400, 9)[0].clone();
    let out = lab.send(PRIVATE_01, first.clone());
    assert_eq!(assert_seen_outside(&out).fragment, 0x2000);
    let error = complain_outside(&mut lab, ((11, 1), [0; 4]), &out.built.frame[14..]);
    assert_eq!(error.verdict, Verdict::Translated(PRIVATE_01));
    let about = &error.seen().payload[8..];
    // The identification has 16 bits on the other side; all else, flags and offset too, is back.
    assert_eq!(about[40..44], first.frame[54..58]);
    assert_eq!(about[44..48], [0, 0, 0, 9]);
    assert_eq!(about[48..], first.frame[62..]);
}

// NAT-24: a datagram without a checksum within an error gets none (RFC 7915, 4.3 and 5.3).
#[test]
fn a_datagram_without_a_checksum_stays_so_within_an_error_nat_24() {
    let (mut lab, _, back) = with_flow(b"question", b"answer");
    let mut about = back.built.frame[14..].to_vec();
    about[46..48].copy_from_slice(&[0, 0]);
    let error = complain(&mut lab, (TIME_EXCEEDED, [0; 4]), &about);
    assert_eq!(word(&assert_seen_outside(&error).payload, 8 + 20 + 6), 0);
}

// NAT-24: RFC 1191, 7: the next smaller one than the packet, however close.
#[test]
fn a_likely_mtu_is_smaller_than_the_packet_nat_24() {
    let (mut lab, out, _) = with_flow(b"question", b"answer");
    for (length, mtu) in [(1493u16, 1512), (1492, 1280), (2003, 2022), (2002, 1512)] {
        let mut about = out.built.frame[14..].to_vec();
        about[2..4].copy_from_slice(&length.to_be_bytes());
        let seen = complain_outside(&mut lab, ((3, 4), [0; 4]), &about).seen();
        assert_eq!((seen.icmp(), word(&seen.payload, 6)), ((2, 0), mtu), "{length}");
    }
}

// NAT-24, RT-13: nobody is told of what came from another than who sent it on.
#[test]
fn what_an_appliance_sends_on_is_too_big_without_a_word_nat_24() {
    let mut lab = lab_with(false);
    let behind = Ipv4Addr::new(192, 0, 2, 1);
    lab.change_interface(BASTION, |interface| interface.source_dest_check = false);
    lab.change(|network| {
        let target = RouteTarget::NetworkInterface(NetworkInterfaceId::new(BASTION.0.into()));
        let destination = RouteDestination::Ipv4(records::block("192.0.2.0/24"));
        let public = network.route_tables.iter_mut().find(|table| {
            table.associations.iter().any(|of| of.subnet_id == Some(SubnetId::new(1)))
        });
        Arc::make_mut(public.unwrap()).routes.push(Route { destination, target });
    });
    lab.add_rule(BASTION_GROUP, false, Traffic::All, records::anywhere());
    let ends = lab.ends(PRIVATE_01, nat64_address(behind));
    let out = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), b"question"));
    assert_eq!(out.verdict, Verdict::Translated(BASTION), "{:?}", out.verdict);
    let (port, ends) = lab.answering(&out);
    assert_eq!(ends.source, IpAddr::from(behind));
    let (from, to) = out.seen().ports();
    let answer = |length: usize| packets::udp(&ends, (to, from), &vec![3; length - 28]);
    assert_eq!(lab.send(port, answer(8981)).arrived(), Some(PRIVATE_01));
    let sent = lab.send(port, answer(8982));
    assert_eq!((sent.dropped(), sent.emitted.len()), (Some(DropReason::TooLarge), 0));
}

// NAT-24, PIPE-12: a trace says in words what an address behind the prefix is not.
#[test]
fn a_gateway_says_what_it_does_not_reach_nat_24() {
    let mut lab = lab();
    for to in ["64:ff9b::224.0.0.1", "64:ff9b::255.255.255.255"] {
        let ends = lab.ends(PRIVATE_01, to.parse::<IpAddr>().unwrap());
        let (sent, steps) = lab.trace(PRIVATE_01, packets::udp(&ends, (5000, 53), b""));
        assert!(sent.dropped().is_some());
        let last = steps.last().unwrap();
        assert_eq!(last.stage, Stage::NatGateway);
        assert_eq!(last.text, "the address that it holds is not unicast");
    }
}

// NAT-24, NAT-13: RFC 7915, 5.1.1: options behind a fragment's header are part of what was cut. Without
// them the fragments would not fit together.
#[test]
fn fragments_of_what_begins_with_options_do_not_pass_nat_24() {
    let mut lab = lab();
    let ends = lab.ends(PRIVATE_01, outside());
    let options = [1, 4, 0, 0, 0, 0];
    let whole = extended(&ends, (5000, 53), 60, options);
    let pieces = ipv6_fragments(&whole, 16, 9);
    for piece in pieces {
        assert_eq!(lab.send(PRIVATE_01, piece).dropped(), UNTRANSLATABLE);
    }
    // Before it they are a packet's own, and left out of each.
    let whole = packets::udp(&ends, (5000, 53), b"question");
    for (piece, field) in ipv6_fragments(&whole, 8, 10).into_iter().zip([0x2000, 1]) {
        let mut frame = piece.frame[..54].to_vec();
        let length = word(&frame, 18) + 8;
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame[20] = 60;
        frame.extend([44, 0]);
        frame.extend(options);
        frame.extend(&piece.frame[54..]);
        let sent = lab.send(PRIVATE_01, Built { frame, offload: Offload::NONE });
        let seen = assert_seen_outside(&sent);
        assert_eq!((seen.protocol, seen.total_length, seen.fragment), (17, 28, field));
    }
}
