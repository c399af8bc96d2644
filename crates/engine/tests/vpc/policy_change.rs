//! What a change of the records does to what is under way (SGT-5, SGT-13, SGT-14, NACL-18).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason,
    testing::{
        Lab,
        lab::{BASTION, PRI_GROUP, PRIVATE_01, PUB_GROUP, PUBLIC_01, SECOND},
        packets::flags::{ACK, SYN},
        records,
    },
};
use gureum_types::{PortIndex, SecurityGroupId, record::Traffic};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn the_labs_step_25_a_running_ping_goes_on_a_new_one_is_refused_lab_14() {
    let mut lab = Lab::new();
    let public = ip("198.18.0.11");
    for sequence in 0..20 {
        if sequence == 5 {
            lab.remove_rules(|rule| rule.traffic == records::all_icmp());
        }
        let ping = lab.ping_from_outside(public, 77);
        assert_eq!(ping.arrived(), Some(PUBLIC_01), "ping {sequence}");
        let reply = lab.answer_ping(&ping);
        assert_eq!(reply.arrived(), Some(PortIndex::INTERNET));
        assert_eq!(reply.seen().source, public);
        lab.wait(SECOND);
    }
    let new = lab.ping_from_outside(public, 78);
    assert_eq!(new.dropped(), Some(DropReason::SecurityGroupIngress));
    let outward = lab.ping(PUBLIC_01, ip("198.18.200.7"), 1);
    assert_eq!(lab.answer_ping(&outward).arrived(), Some(PUBLIC_01), "its own ping is answered");
}

#[test]
fn removing_a_rule_for_everybody_cuts_its_connections_at_once_sgt_5_lab_15() {
    let mut lab = Lab::new();
    let public = ip("198.18.0.11");
    lab.connect_from_outside(public, (40_000, 22));
    lab.remove_rules(|rule| rule.traffic == records::tcp(22, 22));
    let cut = lab.tcp_from_outside(public, (40_000, 22), ACK);
    assert_eq!(cut.dropped(), Some(DropReason::SecurityGroupIngress));
}

#[test]
fn removing_a_rule_for_somebody_leaves_their_connections_sgt_5() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    lab.remove_rules(|rule| {
        rule.group_id == SecurityGroupId::new(PRI_GROUP) && rule.traffic == records::tcp(22, 22)
    });
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some());
    let new = lab.tcp(BASTION, private, (40_001, 22), SYN);
    assert_eq!(new.dropped(), Some(DropReason::SecurityGroupIngress));
}

#[test]
fn narrowing_a_wide_rule_cuts_untracked_connections() {
    let mut lab = Lab::new();
    let public = ip("198.18.0.11");
    lab.connect_from_outside(public, (40_000, 80));
    lab.remove_rules(|rule| rule.traffic == records::tcp(80, 80));
    lab.add_rule(PUB_GROUP, false, records::tcp(80, 80), records::from_block("198.18.200.7/32"));
    let cut = lab.tcp_from_outside(public, (40_000, 80), ACK);
    assert_eq!(cut.dropped(), Some(DropReason::TcpNotTracked));
}

#[test]
fn a_change_of_groups_is_a_change_of_rules_sgt_13() {
    let mut lab = Lab::new();
    let public = ip("198.18.0.11");
    let ping = lab.ping_from_outside(public, 1);
    assert!(lab.answer_ping(&ping).arrived().is_some());
    lab.connect_from_outside(public, (40_000, 80));
    let other = SecurityGroupId::new(PRI_GROUP);
    lab.change_interface(PUBLIC_01, |i| i.groups = vec![other]);
    assert!(lab.ping_from_outside(public, 1).arrived().is_some(), "tracked");
    assert!(lab.tcp_from_outside(public, (40_000, 80), ACK).dropped().is_some(), "untracked");
}

#[test]
fn a_network_acl_cuts_tracked_flows_at_once_sgt_14() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    lab.change(|network| {
        let acl = Arc::make_mut(&mut network.network_acls[0]);
        acl.entries.push(gureum_types::record::NetworkAclEntry {
            rule_number: 1,
            egress: false,
            allow: false,
            traffic: Traffic::All,
            cidr: "10.1.2.13/32".parse().unwrap(),
        });
    });
    let cut = lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert!(matches!(cut.dropped(), Some(DropReason::NetworkAclIngress(_))));
    // It comes back with its state when the entry goes.
    lab.change(|network| {
        Arc::make_mut(&mut network.network_acls[0]).entries.retain(|e| e.rule_number != 1);
    });
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some());
}

#[test]
fn an_interface_that_goes_takes_its_flows_along() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    assert_eq!(lab.state.tracked_flows(), 2);
    let before = lab.network.clone();
    lab.change(|network| network.interfaces.retain(|i| i.port != PRIVATE_01));
    let gone = lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(gone.dropped(), Some(DropReason::NoSuchAddress));
    assert_eq!(lab.state.tracked_flows_of(PRIVATE_01), 0);
    assert_eq!(lab.journal.records.len(), 1, "and the journal knows");
    // Stopped and started: the same address, and nothing remembered.
    lab.change(|network| *network = before);
    let after = lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(after.dropped(), Some(DropReason::TcpNotTracked));
}

#[test]
fn a_public_address_moves_with_the_next_packet() {
    let mut lab = Lab::new();
    let public = ip("198.18.0.11");
    assert_eq!(lab.tcp_from_outside(public, (40_000, 80), SYN).arrived(), Some(PUBLIC_01));
    lab.change_interface(PUBLIC_01, |i| i.auto_public_ip = Some(ip("198.18.0.99")));
    let old = lab.tcp_from_outside(public, (40_000, 80), SYN);
    assert_eq!(old.dropped(), Some(DropReason::UnknownPublicAddress));
    let new = lab.tcp_from_outside(ip("198.18.0.99"), (40_000, 80), SYN);
    assert_eq!(new.arrived(), Some(PUBLIC_01));
}
