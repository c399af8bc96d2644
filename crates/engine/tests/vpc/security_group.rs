//! Security groups: who is admitted (SG-*).

use std::net::Ipv4Addr;

use gureum_engine::{
    DropReason, Verdict,
    testing::{
        Lab,
        lab::{
            BASTION, BASTION_GROUP, PRI_GROUP, PRIVATE_01, PRIVATE_02, PUB_GROUP, PUBLIC_01,
            PUBLIC_02,
        },
        packets::{self, flags::SYN},
        records,
    },
};
use gureum_types::{
    IpProtocol, SecurityGroupId,
    record::{RulePeer, Traffic},
};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

const REJECTED_IN: Verdict = Verdict::Drop(DropReason::SecurityGroupIngress);
const REJECTED_OUT: Verdict = Verdict::Drop(DropReason::SecurityGroupEgress);

#[test]
fn only_ports_with_a_rule_are_open_sg_2() {
    let mut lab = Lab::new();
    for (port, open) in [(22, true), (80, true), (443, true), (21, false), (8080, false)] {
        let sent = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, port), SYN);
        assert_eq!(sent.arrived().is_some(), open, "port {port}");
        if !open {
            assert_eq!(sent.verdict, REJECTED_IN);
            assert!(sent.emitted.is_empty(), "silently (PIPE-9)");
        }
    }
}

#[test]
fn a_reference_admits_the_private_addresses_of_the_groups_members_sg_30() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    assert_eq!(lab.tcp(BASTION, private, (40_000, 22), SYN).arrived(), Some(PRIVATE_01));
    assert_eq!(lab.tcp(PUBLIC_01, private, (40_000, 22), SYN).verdict, REJECTED_IN);
}

#[test]
fn membership_is_dynamic_sg_33() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.change_interface(PUBLIC_01, |i| i.groups.push(SecurityGroupId::new(BASTION_GROUP)));
    assert_eq!(lab.tcp(PUBLIC_01, private, (40_000, 22), SYN).arrived(), Some(PRIVATE_01));
    lab.change_interface(PUBLIC_01, |i| i.groups.truncate(1));
    assert_eq!(lab.tcp(PUBLIC_01, private, (40_001, 22), SYN).verdict, REJECTED_IN);
}

#[test]
fn a_self_reference_admits_members_to_each_other_sg_5() {
    let mut lab = Lab::new();
    let other = lab.address(PRIVATE_02);
    assert_eq!(lab.tcp(PRIVATE_01, other, (40_000, 9000), SYN).verdict, REJECTED_IN);
    let group = SecurityGroupId::new(PRI_GROUP);
    lab.add_rule(PRI_GROUP, false, Traffic::All, RulePeer::Group(group));
    assert_eq!(lab.tcp(PRIVATE_01, other, (40_001, 9000), SYN).arrived(), Some(PRIVATE_02));
    assert_eq!(lab.tcp(PUBLIC_01, other, (40_000, 9000), SYN).verdict, REJECTED_IN);
}

#[test]
fn a_reference_to_a_group_that_is_gone_or_a_prefix_list_matches_nothing_sg_34() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    let gone = RulePeer::Group(SecurityGroupId::new(99));
    lab.add_rule(PRI_GROUP, false, Traffic::All, gone);
    let list = RulePeer::PrefixList(gureum_types::PrefixListId::new(1));
    lab.add_rule(PRI_GROUP, false, Traffic::All, list);
    lab.add_rule(PRI_GROUP, false, Traffic::All, RulePeer::Ipv6("::/0".parse().unwrap()));
    assert_eq!(lab.tcp(PUBLIC_01, private, (40_000, 80), SYN).verdict, REJECTED_IN);
}

#[test]
fn the_rules_of_several_groups_add_up_sg_2() {
    let mut lab = Lab::new();
    let public = lab.address(PUBLIC_01);
    lab.change_interface(PUBLIC_01, |i| i.groups = vec![SecurityGroupId::new(BASTION_GROUP)]);
    assert_eq!(lab.tcp(PUBLIC_02, public, (40_000, 80), SYN).verdict, REJECTED_IN);
    lab.change_interface(PUBLIC_01, |i| i.groups.push(SecurityGroupId::new(PUB_GROUP)));
    for (from, port) in [(40_001, 80), (40_002, 22)] {
        assert_eq!(lab.tcp(PUBLIC_02, public, (from, port), SYN).arrived(), Some(PUBLIC_01));
    }
}

#[test]
fn without_egress_rules_nothing_new_leaves_sg_3() {
    let mut lab = Lab::new();
    lab.remove_rules(|rule| rule.egress && rule.group_id == SecurityGroupId::new(PUB_GROUP));
    let sent = lab.ping(PUBLIC_01, ip("10.1.2.13"), 1);
    assert_eq!(sent.verdict, REJECTED_OUT);
    // An answer to an admitted request leaves all the same (SGT-1).
    let asked = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
    assert!(lab.answer_tcp(&asked, SYN | packets::flags::ACK).arrived().is_some());
}

#[test]
fn rules_hold_within_a_subnet_too_pipe_4() {
    let mut lab = Lab::new();
    let bastion = lab.address(BASTION);
    assert_eq!(lab.tcp(PUBLIC_02, bastion, (40_000, 22), SYN).arrived(), Some(BASTION));
    assert_eq!(lab.tcp(PUBLIC_02, bastion, (40_000, 80), SYN).verdict, REJECTED_IN);
}

#[test]
fn icmp_rules_compare_type_and_code_sg_15() {
    let mut lab = Lab::new();
    let bastion = lab.address(BASTION);
    assert_eq!(lab.ping(PUBLIC_02, bastion, 1).verdict, REJECTED_IN);
    lab.add_rule(BASTION_GROUP, false, records::icmp(8), records::anywhere());
    assert_eq!(lab.ping(PUBLIC_02, bastion, 2).arrived(), Some(BASTION));
    let ends = lab.ends(PUBLIC_02, bastion);
    let timestamp = packets::icmp(&ends, (13, 0), [0, 9, 0, 0], &[0; 12]);
    assert_eq!(lab.send(PUBLIC_02, timestamp.clone()).verdict, REJECTED_IN);
    let exact = |icmp_code| Traffic::Icmp {
        protocol: IpProtocol::ICMP,
        icmp_type: Some(13),
        icmp_code: Some(icmp_code),
    };
    lab.add_rule(BASTION_GROUP, false, exact(1), records::anywhere());
    assert_eq!(lab.send(PUBLIC_02, timestamp.clone()).verdict, REJECTED_IN);
    lab.add_rule(BASTION_GROUP, false, exact(0), records::anywhere());
    assert_eq!(lab.send(PUBLIC_02, timestamp).arrived(), Some(BASTION));
}

#[test]
fn other_protocols_have_no_ports_sg_13() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    let esp = packets::ip(&ends, 50, &[0; 32]);
    assert_eq!(lab.send(PUBLIC_02, esp.clone()).verdict, REJECTED_IN);
    let rule = Traffic::Protocol(IpProtocol(50));
    lab.add_rule(BASTION_GROUP, false, rule, records::from_block("10.1.2.0/24"));
    assert_eq!(lab.send(PUBLIC_02, esp).arrived(), Some(BASTION));
    let gre = packets::ip(&ends, 47, &[0; 32]);
    assert_eq!(lab.send(PUBLIC_02, gre.clone()).verdict, REJECTED_IN);
    // Neither every port of UDP nor the last of all protocols is another one.
    let last = Traffic::Protocol(IpProtocol(255));
    for rule in [records::udp(0, 65_535), last] {
        lab.add_rule(BASTION_GROUP, false, rule, records::from_block("10.1.2.0/24"));
    }
    assert_eq!(lab.send(PUBLIC_02, gre.clone()).verdict, REJECTED_IN);
    assert!(lab.send(PUBLIC_02, packets::ip(&ends, 255, &[0; 32])).arrived().is_some());
    // Ports that a rule names all the same say nothing.
    let rule = Traffic::Ports { protocol: IpProtocol(47), from: 5, to: 6 };
    lab.add_rule(BASTION_GROUP, false, rule, records::from_block("10.1.2.0/24"));
    assert_eq!(lab.send(PUBLIC_02, gre).arrived(), Some(BASTION));
}

#[test]
fn a_port_range_admits_both_its_ends_and_nothing_beside() {
    let mut lab = Lab::new();
    lab.add_rule(BASTION_GROUP, false, records::udp(100, 200), records::from_block("10.1.2.12/32"));
    let ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    for (port, open) in [(99, false), (100, true), (150, true), (200, true), (201, false)] {
        let sent = lab.send(PUBLIC_02, packets::udp(&ends, (5000, port), b"x"));
        assert_eq!(sent.arrived().is_some(), open, "port {port}");
    }
}

#[test]
fn every_address_of_an_interface_is_under_its_groups_sg_1() {
    let mut lab = Lab::new();
    lab.change_interface(PRIVATE_01, |i| i.private_addresses.push(ip("10.1.11.40")));
    let second = ip("10.1.11.40");
    assert_eq!(lab.tcp(BASTION, second, (40_000, 22), SYN).arrived(), Some(PRIVATE_01));
    assert_eq!(lab.tcp(BASTION, second, (40_000, 80), SYN).verdict, REJECTED_IN);
}

#[test]
fn platform_services_need_no_rule_sg_35() {
    let mut lab = Lab::new();
    lab.remove_rules(|_| true);
    let sent = lab.tcp(PUBLIC_01, ip("169.254.169.254"), (40_000, 80), SYN);
    assert!(sent.arrived().is_some());
    let mac = lab.interface(PUBLIC_01).mac;
    assert_eq!(lab.send(PUBLIC_01, packets::dhcp_discover(mac)).verdict, Verdict::Reply);
    assert_eq!(lab.state.tracked_flows(), 0, "nothing of this is tracked");
    assert_eq!(lab.state.flows().count(), 0, "or on record (FL-17)");
}

#[test]
fn a_spoofed_source_never_reaches_the_rules_sdc_1() {
    let mut lab = Lab::new();
    let mut ends = lab.ends(PUBLIC_02, lab.address(BASTION));
    ends.source = ip("10.1.2.77").into();
    let sent = lab.send(PUBLIC_02, packets::tcp_syn(&ends, (40_000, 22)));
    assert_eq!(sent.dropped(), Some(DropReason::SourceCheck));
    ends.source = ip("10.1.2.12").into();
    ends.source_mac = lab.interface(BASTION).mac;
    let sent = lab.send(PUBLIC_02, packets::tcp_syn(&ends, (40_000, 22)));
    assert_eq!(sent.dropped(), Some(DropReason::SourceMacSpoofed));
    assert_eq!(lab.state.counters().port(PUBLIC_02).dropped, 2);
    let drops: Vec<_> = lab.state.counters().drops_of(PUBLIC_02).collect();
    assert_eq!(drops, [("source-mac-spoofed", 1), ("source-check", 1)]);
}

/// A trace says in words which rule is missing.
#[test]
fn a_rejection_says_what_no_rule_admits() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_01, lab.address(BASTION));
    let mut words = |built| {
        let (_, steps) = lab.trace(PUBLIC_01, built);
        steps.last().unwrap().text.clone()
    };
    for (built, text) in [
        (packets::tcp_syn(&ends, (40_000, 80)), "no ingress rule for tcp 80 from 10.1.1.11"),
        (packets::udp(&ends, (40_000, 53), b""), "no ingress rule for udp 53 from 10.1.1.11"),
        (packets::icmp_echo(&ends, 1, 1), "no ingress rule for icmp type 8 code 0 from 10.1.1.11"),
        (packets::ip(&ends, 50, &[0; 8]), "no ingress rule for protocol 50 from 10.1.1.11"),
        (
            packets::tcp(&ends, (40_000, 22), packets::flags::ACK, b""),
            "a rule admits it, but it belongs to no connection that is tracked",
        ),
    ] {
        assert_eq!(words(built), text);
    }
}
