//! Tracked and untracked flows (SGT-1 to SGT-16).

use std::net::Ipv4Addr;

use gureum_engine::{
    DropReason, FlowView, ICMP_TIMEOUT, Limits, NAT_GATEWAY_TIMEOUT, OTHER_TIMEOUT,
    TCP_ESTABLISHED_TIMEOUT, TCP_RESET_TIMEOUT, TCP_TRANSIENT_TIMEOUT, UDP_SINGLE_TIMEOUT,
    UDP_STREAM_TIMEOUT, UNTRACKED_TIMEOUT, Verdict, WhyQuery, WhySource, WhyTraffic,
    testing::{
        Lab, Sent,
        lab::{
            BASTION, BASTION_GROUP, PRIVATE_01, PRIVATE_02, PUB_GROUP, PUBLIC_01, PUBLIC_02,
            SECOND, lab_network,
        },
        packets::{
            self,
            flags::{ACK, FIN, RST, SYN},
        },
        records,
    },
    why,
};
use gureum_types::{IpProtocol, PortIndex, SecurityGroupId, record::Traffic};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn flows_of(lab: &Lab, port: PortIndex) -> Vec<FlowView> {
    lab.state.flows().filter(|flow| flow.port == port).collect()
}

/// A connection from BASTION to PRIVATE-01, tracked at both ends.
fn tracked_connection() -> (Lab, Ipv4Addr) {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    (lab, private)
}

/// A UDP conversation between PUBLIC-02 and BASTION.
fn udp_lab() -> (Lab, packets::Ends) {
    let mut lab = Lab::new();
    lab.add_rule(BASTION_GROUP, false, records::udp(53, 53), records::from_block("10.1.2.12/32"));
    lab.remove_rules(|rule| rule.egress && rule.group_id == SecurityGroupId::new(BASTION_GROUP));
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    (lab, ends)
}

fn ask(lab: &mut Lab, ends: &packets::Ends) -> Sent {
    lab.send(PUBLIC_02, packets::udp(ends, (5000, 53), b"question"))
}

#[test]
fn the_worked_example_sgt_3() {
    let mut lab = Lab::new();
    lab.remove_rules(|rule| rule.traffic == records::tcp(22, 22));
    lab.add_rule(PUB_GROUP, false, records::tcp(22, 22), records::from_block("198.18.200.7/32"));
    let public = ip("198.18.0.11");
    lab.connect_from_outside(public, (40_000, 22));
    lab.connect_from_outside(public, (40_000, 80));
    lab.ping_from_outside(public, 7);
    let mut tracked: Vec<_> = flows_of(&lab, PUBLIC_01)
        .iter()
        .map(|flow| (flow.protocol, flow.local.1, flow.tracked))
        .collect();
    tracked.sort_unstable();
    assert_eq!(tracked, [(1, 7, true), (6, 22, true), (6, 80, false)]);
}

#[test]
fn without_the_wide_egress_rule_everything_is_tracked_sgt_4() {
    let mut lab = Lab::new();
    lab.remove_rules(|rule| rule.egress && rule.group_id == SecurityGroupId::new(PUB_GROUP));
    lab.connect_from_outside(ip("198.18.0.11"), (40_000, 80));
    assert!(flows_of(&lab, PUBLIC_01).iter().all(|flow| flow.tracked));
}

#[test]
fn answers_of_an_untracked_flow_pass_by_the_other_rule_sgt_2() {
    let mut lab = Lab::new();
    // Everything in, but out only TCP 80: a connection outward to 80 is untracked, and its
    // answers pass by the rule for everything.
    lab.remove_rules(|rule| rule.group_id == SecurityGroupId::new(PUB_GROUP));
    lab.add_rule(PUB_GROUP, false, Traffic::All, records::anywhere());
    lab.add_rule(PUB_GROUP, true, records::tcp(80, 80), records::anywhere());
    let syn = lab.tcp(PUBLIC_01, ip("198.18.200.7"), (40_000, 80), SYN);
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PUBLIC_01));
    assert!(flows_of(&lab, PUBLIC_01).iter().all(|flow| !flow.tracked));
}

#[test]
fn a_flow_is_untracked_if_any_matching_rule_is_wide() {
    let mut lab = Lab::new();
    lab.add_rule(PUB_GROUP, false, records::tcp(80, 80), records::from_block("198.18.200.7/32"));
    lab.connect_from_outside(ip("198.18.0.11"), (40_000, 80));
    assert!(flows_of(&lab, PUBLIC_01).iter().all(|flow| !flow.tracked));
}

#[test]
fn icmp_is_tracked_by_its_identifier_sgt_7() {
    let mut lab = Lab::new();
    let public = ip("198.18.0.11");
    let first = lab.ping_from_outside(public, 1);
    assert_eq!(lab.answer_ping(&first).arrived(), Some(PortIndex::INTERNET));
    lab.remove_rules(|rule| rule.traffic == records::all_icmp());
    assert_eq!(lab.ping_from_outside(public, 1).arrived(), Some(PUBLIC_01), "it goes on");
    let second = lab.ping_from_outside(public, 2);
    assert_eq!(second.dropped(), Some(DropReason::SecurityGroupIngress), "a new process");
}

#[test]
fn pings_both_ways_with_the_same_identifier_are_two_flows() {
    let mut lab = Lab::new();
    let (one, two) = (lab.address(PUBLIC_01), lab.address(PUBLIC_02));
    assert!(lab.ping(PUBLIC_01, two, 5).arrived().is_some());
    lab.remove_rules(|rule| rule.traffic == records::all_icmp());
    let other_way = lab.ping(PUBLIC_02, one, 5);
    assert_eq!(other_way.dropped(), Some(DropReason::SecurityGroupIngress));
}

#[test]
fn an_unasked_for_echo_reply_needs_a_rule_and_leaves_nothing() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let reply = packets::icmp_echo_reply(&ends, 9, 1);
    assert_eq!(
        lab.send(PUBLIC_02, reply.clone()).dropped(),
        Some(DropReason::SecurityGroupIngress)
    );
    lab.add_rule(BASTION_GROUP, false, records::icmp(0), records::anywhere());
    assert!(lab.send(PUBLIC_02, reply).arrived().is_some());
    assert_eq!(lab.state.tracked_flows(), 0);
}

#[test]
fn an_icmp_error_about_a_tracked_flow_is_not_implied_sgt_15() {
    let (mut lab, private) = tracked_connection();
    let data = lab.tcp(BASTION, private, (40_000, 22), ACK);
    let (port, ends) = lab.answering(&data);
    let error = packets::icmp_error(&ends, (3, 4), &data.built.frame);
    assert_eq!(
        lab.send(port, error.clone()).dropped(),
        Some(DropReason::SecurityGroupIngress),
        "BASTION admits no ICMP"
    );
    let rule = Traffic::Icmp { protocol: IpProtocol::ICMP, icmp_type: Some(3), icmp_code: Some(4) };
    lab.add_rule(BASTION_GROUP, false, rule, records::anywhere());
    assert_eq!(lab.send(port, error).arrived(), Some(BASTION));
}

#[test]
fn a_packet_of_no_known_connection_is_rejected_though_its_port_is_open_fl_30() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    for flags in [ACK, SYN | ACK, FIN | ACK, RST, SYN | FIN, SYN | RST] {
        let sent = lab.tcp(BASTION, private, (40_000, 22), flags);
        assert_eq!(sent.dropped(), Some(DropReason::TcpNotTracked), "flags {flags:#x}");
    }
    assert_eq!(lab.tcp(BASTION, private, (40_000, 22), SYN).arrived(), Some(PRIVATE_01));
}

#[test]
fn an_established_connection_may_be_idle_for_five_days_sgt_9() {
    let (mut lab, private) = tracked_connection();
    lab.wait(TCP_ESTABLISHED_TIMEOUT - 1);
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some());
    lab.wait(TCP_ESTABLISHED_TIMEOUT);
    let late = lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(late.dropped(), Some(DropReason::TcpNotTracked));
}

#[test]
fn a_handshake_that_is_not_completed_is_forgotten_soon_sgt_10() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    let syn = lab.tcp(BASTION, private, (40_000, 22), SYN);
    lab.wait(TCP_TRANSIENT_TIMEOUT);
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(answer.dropped(), Some(DropReason::TcpNotTracked), "egress is open, but no SYN");
}

#[test]
fn after_both_fins_a_connection_is_forgotten_soon_and_a_syn_begins_another() {
    let (mut lab, private) = tracked_connection();
    let fin = lab.tcp(BASTION, private, (40_000, 22), FIN | ACK);
    assert!(lab.answer_tcp(&fin, FIN | ACK).arrived().is_some());
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some(), "the last ACK");
    lab.remove_rules(|rule| rule.traffic == records::tcp(22, 22));
    let again = lab.tcp(BASTION, private, (40_000, 22), SYN);
    assert_eq!(again.dropped(), Some(DropReason::SecurityGroupIngress), "it meets the rules");
}

#[test]
fn half_a_close_leaves_the_other_half_open() {
    let (mut lab, private) = tracked_connection();
    let fin = lab.tcp(BASTION, private, (40_000, 22), FIN | ACK);
    for _ in 0..5 {
        lab.wait(TCP_TRANSIENT_TIMEOUT - SECOND);
        assert!(lab.answer_tcp(&fin, ACK).arrived().is_some(), "data goes on");
    }
    lab.wait(TCP_TRANSIENT_TIMEOUT);
    assert_eq!(lab.answer_tcp(&fin, ACK).dropped(), Some(DropReason::TcpNotTracked));
}

#[test]
fn a_reset_ends_a_connection() {
    let (mut lab, private) = tracked_connection();
    assert!(lab.tcp(BASTION, private, (40_000, 22), RST).arrived().is_some());
    lab.wait(TCP_RESET_TIMEOUT);
    let late = lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(late.dropped(), Some(DropReason::TcpNotTracked));
}

#[test]
fn udp_lives_30_seconds_and_180_as_a_stream_sgt_9() {
    let (mut lab, ends) = udp_lab();
    let asked = ask(&mut lab, &ends);
    lab.wait(UDP_SINGLE_TIMEOUT - 1);
    assert_eq!(lab.answer_udp(&asked).arrived(), Some(PUBLIC_02));
    lab.wait(UDP_SINGLE_TIMEOUT);
    let late = lab.answer_udp(&asked);
    assert_eq!(late.dropped(), Some(DropReason::SecurityGroupEgress), "one exchange is no stream");

    for _ in 0..2 {
        let asked = ask(&mut lab, &ends);
        assert!(lab.answer_udp(&asked).arrived().is_some());
    }
    lab.wait(UDP_STREAM_TIMEOUT - 1);
    assert!(lab.answer_udp(&asked).arrived().is_some(), "more than one is");
    lab.wait(UDP_STREAM_TIMEOUT);
    assert!(lab.answer_udp(&asked).dropped().is_some());
}

/// SGT-9: a stream is more than one exchange, and an exchange is a question and its answer, however
/// often either was sent.
#[test]
fn one_exchange_is_no_stream_however_often_it_is_sent() {
    let (mut lab, ends) = udp_lab();
    let mut asked = ask(&mut lab, &ends);
    let mut says = |lab: &mut Lab, questions: usize, answers: usize, phase: &str| {
        for _ in 0..questions {
            asked = ask(lab, &ends);
        }
        for _ in 0..answers {
            assert!(lab.answer_udp(&asked).arrived().is_some());
        }
        assert_eq!(flows_of(lab, BASTION)[0].phase, phase, "{questions} and {answers}");
    };
    says(&mut lab, 3, 0, "single");
    says(&mut lab, 0, 3, "single");
    says(&mut lab, 3, 0, "single");
    says(&mut lab, 0, 1, "stream");
}

/// SGT-10: only the other end's SYN goes on with a handshake, and only the first end's ACK ends it.
#[test]
fn a_handshake_takes_its_three_packets() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    let syn = lab.tcp(BASTION, private, (40_000, 22), SYN);
    let says = |lab: &mut Lab, answers: bool, flags: u8, phase: &str| {
        let sent = match answers {
            true => lab.answer_tcp(&syn, flags),
            false => lab.tcp(BASTION, private, (40_000, 22), flags),
        };
        assert!(sent.arrived().is_some(), "{:?}", sent.verdict);
        for port in [BASTION, PRIVATE_01] {
            assert_eq!(flows_of(lab, port)[0].phase, phase, "{answers} {flags:#x}");
        }
    };
    says(&mut lab, false, SYN, "syn-sent");
    says(&mut lab, false, ACK, "syn-sent");
    says(&mut lab, true, ACK, "syn-sent");
    says(&mut lab, true, SYN | ACK, "syn-received");
    says(&mut lab, true, SYN | ACK, "syn-received");
    says(&mut lab, true, ACK, "syn-received");
    says(&mut lab, false, SYN, "syn-received");
    says(&mut lab, false, ACK, "established");
}

/// SGT-7: each kind of query has its answer, with the same identifier; another kind's is none.
#[test]
fn queries_of_icmp_are_told_apart_by_their_kind_sgt_7() {
    let mut lab = Lab::new();
    for (request, reply) in [(8, 0), (13, 14), (15, 16), (17, 18)] {
        let ends = lab.ends(BASTION, lab.address(PUBLIC_02));
        let query = |ends: &_, kind| packets::icmp(ends, (kind, 0), [0, 7, 0, 1], &[0; 12]);
        let asked = lab.send(BASTION, query(&ends, request));
        let (port, back) = lab.answering(&asked);
        for kind in [0, 14, 16, 18] {
            let sent = lab.send(port, query(&back, kind));
            let expected = (kind == reply).then_some(BASTION);
            assert_eq!(sent.arrived(), expected, "{kind} to {request}: {:?}", sent.verdict);
        }
        lab.wait(ICMP_TIMEOUT);
    }
}

/// SGT-8, SGT-9, SGT-10, NAT-12: how long a flow may be idle, in seconds.
#[test]
fn timeouts_are_what_aws_says_sgt_9() {
    let seconds = [
        (TCP_ESTABLISHED_TIMEOUT, 432_000),
        (TCP_TRANSIENT_TIMEOUT, 60),
        (TCP_RESET_TIMEOUT, 10),
        (UDP_SINGLE_TIMEOUT, 30),
        (UDP_STREAM_TIMEOUT, 180),
        (ICMP_TIMEOUT, 30),
        (OTHER_TIMEOUT, 600),
        (NAT_GATEWAY_TIMEOUT, 350),
        (UNTRACKED_TIMEOUT, 120),
    ];
    for (timeout, expected) in seconds {
        assert_eq!(timeout, expected * SECOND);
    }
}

#[test]
fn icmp_and_other_protocols_have_their_own_time_sgt_8_sgt_10() {
    let mut lab = Lab::new();
    lab.remove_rules(|rule| rule.egress && rule.group_id == SecurityGroupId::new(BASTION_GROUP));
    for traffic in [records::icmp(8), Traffic::Protocol(IpProtocol(50))] {
        lab.add_rule(BASTION_GROUP, false, traffic, records::anywhere());
    }
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let esp = lab.send(PUBLIC_02, packets::ip(&ends, 50, &[0; 24]));
    let ping = lab.ping(PUBLIC_02, ends.destination, 3);
    let (port, back) = lab.answering(&esp);
    lab.wait(ICMP_TIMEOUT - 1);
    assert!(lab.answer_ping(&ping).arrived().is_some());
    lab.wait(ICMP_TIMEOUT);
    assert!(lab.answer_ping(&ping).dropped().is_some());
    lab.wait(OTHER_TIMEOUT - 2 * ICMP_TIMEOUT);
    assert!(lab.send(port, packets::ip(&back, 50, &[0; 24])).arrived().is_some());
    lab.wait(OTHER_TIMEOUT);
    assert!(lab.send(port, packets::ip(&back, 50, &[0; 24])).dropped().is_some());
}

#[test]
fn state_does_not_move_with_an_address_sgt_16() {
    let mut lab = Lab::new();
    let moving = ip("10.1.11.99");
    lab.change_interface(PRIVATE_01, |i| i.private_addresses.push(moving));
    lab.connect(BASTION, moving, (40_000, 22));
    lab.change(|network| {
        for interface in &mut network.interfaces {
            let interface = std::sync::Arc::make_mut(interface);
            interface.private_addresses.retain(|a| *a != moving);
            if interface.port == PRIVATE_02 {
                interface.private_addresses.push(moving);
            }
        }
    });
    let sent = lab.tcp(BASTION, moving, (40_000, 22), ACK);
    assert_eq!(sent.dropped(), Some(DropReason::TcpNotTracked), "the new holder knows nothing");
}

#[test]
fn a_full_table_drops_new_tracked_flows_only_sgt_12() {
    let limits = Limits { flows: 100, tracked_per_port: 3, ..Limits::default() };
    let mut lab = Lab::with(lab_network(), limits);
    let private = lab.address(PRIVATE_01);
    // Three flows fill what PRIVATE-01 may have.
    for port in 0..3 {
        lab.connect(BASTION, private, (40_000 + port, 22));
    }
    let fourth = lab.tcp(PRIVATE_02, private, (40_000, 22), SYN);
    assert_eq!(fourth.dropped(), Some(DropReason::SecurityGroupIngress), "no reference to it");
    let fourth = lab.tcp(BASTION, private, (40_003, 22), SYN);
    assert_eq!(fourth.dropped(), Some(DropReason::TrackingTableFull));
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some(), "known ones go on");
    // Untracked flows don't count.
    assert!(lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN).arrived().is_some());
    assert_eq!(lab.state.tracked_flows_of(PRIVATE_01), 3);
    // What has timed out makes room, whether or not anybody looked.
    lab.wait(TCP_ESTABLISHED_TIMEOUT);
    assert!(lab.tcp(BASTION, private, (40_004, 22), SYN).arrived().is_some());
}

#[test]
fn the_table_of_all_interfaces_is_bounded_too() {
    let limits = Limits { flows: 4, ..Limits::default() };
    let mut lab = Lab::with(lab_network(), limits);
    let private = lab.address(PRIVATE_01);
    for port in 0..2 {
        lab.connect(BASTION, private, (40_000 + port, 22));
    }
    let sent = lab.tcp(BASTION, private, (41_000, 22), SYN);
    assert_eq!(sent.verdict, Verdict::Drop(DropReason::TrackingTableFull));
    assert_eq!(lab.state.tracked_flows(), 4);
    assert_eq!(lab.journal.records.len(), 4);
}

/// SGT-12: a full table is looked through for what has timed out once a second, not at each of a
/// flood's packets.
#[test]
fn a_full_table_is_looked_through_once_a_second() {
    let limits = Limits { tracked_per_port: 2, ..Limits::default() };
    let mut lab = Lab::with(lab_network(), limits);
    lab.remove_rules(|rule| rule.egress && rule.group_id == SecurityGroupId::new(BASTION_GROUP));
    lab.add_rule(BASTION_GROUP, false, records::udp(53, 53), records::anywhere());
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let ask = |lab: &mut Lab, wait: u64, port: u16| {
        lab.wait(wait);
        lab.send(PUBLIC_02, packets::udp(&ends, (port, 53), b"question")).arrived().is_some()
    };
    assert!(ask(&mut lab, 0, 1) && ask(&mut lab, SECOND, 2));
    assert!(!ask(&mut lab, UDP_SINGLE_TIMEOUT - SECOND - SECOND / 2, 3), "both are alive");
    assert!(!ask(&mut lab, SECOND / 2, 4), "the first is not, but nobody looks");
    assert!(!ask(&mut lab, SECOND / 2 - 1, 5));
    assert!(ask(&mut lab, 1, 6), "a second later");
}

/// What is not tracked is counted where there is room, and passes all the same; what could not be
/// counted is told (FL-30).
#[test]
fn untracked_flows_pass_uncounted_where_there_is_no_room() {
    let mut lab = Lab::with(lab_network(), Limits { flows: 1, ..Limits::default() });
    let public = ip("198.18.0.11");
    for port in 0..3 {
        let syn = lab.tcp_from_outside(public, (40_000 + port, 80), SYN);
        assert_eq!(syn.arrived(), Some(PUBLIC_01));
        assert_eq!(lab.state.counters().uncounted_flows(), u64::from(port));
    }
    assert_eq!(lab.state.limits().flows, 1);
    // Asking changes nothing, also where it looks for room.
    let before = lab.state.clone();
    let query = WhyQuery {
        source: WhySource::Internet(ip("198.18.200.7").into()),
        destination: public.into(),
        traffic: WhyTraffic::Tcp { source_port: 50_000, destination_port: 80 },
    };
    assert!(why(&lab.policy, &mut lab.state, &query, lab.now).forward.arrived.is_some());
    assert!(lab.state == before);
    // It is kept while packets come, and makes room when they don't.
    lab.wait(UNTRACKED_TIMEOUT - 1);
    lab.tcp_from_outside(public, (40_000, 80), ACK);
    lab.wait(UNTRACKED_TIMEOUT - 1);
    lab.tcp_from_outside(public, (40_001, 80), SYN);
    assert_eq!(flows_of(&lab, PUBLIC_01)[0].remote.1, 40_000);
    lab.wait(1);
    lab.tcp_from_outside(public, (40_001, 80), SYN);
    assert_eq!(flows_of(&lab, PUBLIC_01)[0].remote.1, 40_001);
}

#[test]
fn what_has_timed_out_is_forgotten_and_journaled_so() {
    let (mut lab, _) = tracked_connection();
    assert_eq!(lab.journal.records.len(), 2);
    lab.wait(TCP_ESTABLISHED_TIMEOUT);
    lab.expire();
    assert_eq!(lab.state.tracked_flows(), 0);
    assert!(lab.journal.records.is_empty());
}

#[test]
fn both_directions_are_counted_and_so_is_what_was_rejected() {
    let (mut lab, private) = tracked_connection();
    for _ in 0..3 {
        lab.tcp(BASTION, private, (40_000, 22), ACK);
    }
    let flow = &flows_of(&lab, PRIVATE_01)[0];
    // SYN, ACK and three more in, the SYN-ACK out; 40 bytes each from the IP header on.
    assert_eq!((flow.ingress.packets, flow.ingress.bytes), (5, 200));
    assert_eq!((flow.egress.packets, flow.egress.bytes), (1, 40));
    assert_eq!((flow.ingress.tcp_flags, flow.egress.tcp_flags), (SYN | ACK, SYN | ACK));

    lab.tcp(PUBLIC_01, private, (40_000, 22), SYN);
    let rejected: Vec<_> = flows_of(&lab, PRIVATE_01)
        .into_iter()
        .filter(|flow| flow.ingress.rejected_packets > 0)
        .collect();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].remote.0, ip("10.1.1.11"));
    assert_eq!((rejected[0].ingress.packets, rejected[0].ingress.rejected_bytes), (0, 40));
    // At the sender the same packet was accepted (FL-33).
    let sender = flows_of(&lab, PUBLIC_01);
    let sender = sender.iter().find(|flow| flow.remote.0 == private).unwrap();
    assert_eq!((sender.egress.packets, sender.egress.rejected_packets), (1, 0));
}
