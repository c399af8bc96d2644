//! Flows over the death of the process (traps 9).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, Limits, RECORD_LEN, Record, State,
    testing::{
        Lab,
        lab::{BASTION, PRI_GROUP, PRIVATE_01, PUBLIC_01, SECOND},
        packets::flags::{ACK, FIN, RST, SYN},
        records,
    },
};
use gureum_types::{PortIndex, SecurityGroupId};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// Kills the engine and starts another one from what was written down.
fn kill(lab: &mut Lab) {
    let records: Vec<(u32, Record)> =
        lab.journal.records.iter().map(|(slot, record)| (*slot, *record)).collect();
    lab.state = State::restore(Limits::default(), records, lab.now);
}

#[test]
fn an_ssh_session_and_a_ping_go_on_though_their_rules_are_gone() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    let ping = lab.ping_from_outside(ip("198.18.0.11"), 7);
    lab.answer_ping(&ping);
    lab.remove_rules(|rule| {
        rule.traffic == records::all_icmp() || rule.traffic == records::tcp(22, 22)
    });
    let before = lab.state.clone();
    kill(&mut lab);
    assert_eq!(lab.state.tracked_flows(), before.tracked_flows());
    assert_eq!(lab.state.tracked_flows_of(PRIVATE_01), 1);

    let data = lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(data.arrived(), Some(PRIVATE_01));
    assert_eq!(lab.answer_tcp(&data, ACK).arrived(), Some(BASTION));
    let ping = lab.ping_from_outside(ip("198.18.0.11"), 7);
    assert_eq!(ping.arrived(), Some(PUBLIC_01));
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PortIndex::INTERNET));
    let new = lab.ping_from_outside(ip("198.18.0.11"), 8);
    assert_eq!(new.dropped(), Some(DropReason::SecurityGroupIngress));
}

#[test]
fn the_journal_knows_every_change_of_a_connection_and_little_else() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    // Two flows: created, SYN-ACK, established.
    assert_eq!(lab.journal.changes, 6);
    for _ in 0..100 {
        lab.tcp(BASTION, private, (40_000, 22), ACK);
    }
    assert_eq!(lab.journal.changes, 6, "packets alone are not written down");
    lab.wait(5 * SECOND - SECOND / 100);
    lab.tcp(BASTION, private, (40_000, 22), ACK);
    assert_eq!(lab.journal.changes, 6);
    lab.wait(SECOND / 50);
    for _ in 0..100 {
        lab.tcp(BASTION, private, (40_000, 22), ACK);
    }
    assert_eq!(lab.journal.changes, 8, "but from time to time that there were some");
    lab.tcp(BASTION, private, (40_000, 22), FIN | ACK);
    assert_eq!(lab.journal.changes, 10);
    lab.wait(61 * SECOND);
    lab.expire();
    assert!(lab.journal.records.is_empty());
}

#[test]
fn timeouts_go_on_from_the_last_packet() {
    let mut lab = Lab::new();
    let ping = lab.ping_from_outside(ip("198.18.0.11"), 7);
    lab.remove_rules(|rule| rule.traffic == records::all_icmp());
    lab.wait(29 * SECOND);
    kill(&mut lab);
    assert_eq!(lab.state.tracked_flows(), 1);
    lab.wait(SECOND);
    assert!(lab.ping_from_outside(ip("198.18.0.11"), 7).dropped().is_some());
    assert!(ping.arrived().is_some());

    let mut lab = Lab::new();
    lab.ping_from_outside(ip("198.18.0.11"), 7);
    lab.wait(30 * SECOND);
    kill(&mut lab);
    assert_eq!(lab.state.tracked_flows(), 0, "what has timed out stays away");
}

#[test]
fn slots_are_kept_so_that_the_journal_goes_on() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    for port in 0..4 {
        lab.connect(BASTION, private, (40_000 + port, 22));
    }
    // Holes in the middle.
    lab.tcp(BASTION, private, (40_001, 22), RST);
    lab.wait(10 * SECOND);
    lab.expire();
    kill(&mut lab);
    // The journal of the fixture refuses changes that do not fit it.
    lab.connect(BASTION, private, (41_000, 22));
    lab.connect(BASTION, private, (41_001, 22));
    lab.tcp(BASTION, private, (40_000, 22), FIN | ACK);
    assert_eq!(lab.journal.records.len(), lab.state.tracked_flows() as usize);
    let slots: Vec<u32> = lab.journal.records.keys().copied().collect();
    assert_eq!(slots, (0..10).collect::<Vec<_>>(), "holes are filled first");
}

#[test]
fn records_that_are_torn_foreign_or_doubled_are_left_out() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    let good: Vec<Record> = lab.journal.records.values().copied().collect();
    let mut torn = good[0];
    torn[RECORD_LEN / 2..].fill(0);
    let records = [
        (0, torn),
        (1, [0; RECORD_LEN]),
        (2, [0xff; RECORD_LEN]),
        (3, good[1]),
        (4, good[1]),
        (3, good[0]),
        (u32::MAX, good[0]),
    ];
    let state = State::restore(Limits::default(), records, lab.now);
    assert_eq!(state.tracked_flows(), 1);
    assert_eq!(state.flows().count(), 1);
}

#[test]
fn flows_of_interfaces_that_are_gone_go_too() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    lab.change(|network| network.interfaces.retain(|i| i.port != PRIVATE_01));
    kill(&mut lab);
    lab.ping(BASTION, private, 1);
    assert_eq!(lab.state.tracked_flows_of(PRIVATE_01), 0);
}

#[test]
fn for_a_while_a_lost_connection_is_taken_up_from_either_side_traps_9() {
    for server_first in [false, true] {
        let mut lab = Lab::new();
        let private = lab.address(PRIVATE_01);
        lab.connect(BASTION, private, (40_000, 22));
        let sent = lab.tcp(BASTION, private, (40_000, 22), ACK);
        lab.state = State::new(Limits::default());
        lab.journal = Default::default();
        lab.state.set_loose_until(lab.now + 60 * SECOND);
        if server_first {
            // PRIVATE-01 has no egress rule for it beyond what answers need.
            let group = SecurityGroupId::new(PRI_GROUP);
            lab.remove_rules(|rule| rule.egress && rule.group_id == group);
            assert_eq!(lab.answer_tcp(&sent, ACK).dropped(), None, "an answer is admitted");
            let closed = lab.tcp(PRIVATE_01, ip("10.1.2.13"), (40_000, 22), ACK);
            assert!(closed.dropped().is_some(), "neither direction's rules admit it");
        } else {
            let data = lab.tcp(BASTION, private, (40_000, 22), ACK);
            assert_eq!(data.arrived(), Some(PRIVATE_01));
        }
        let syn_ack = lab.tcp(BASTION, private, (40_009, 22), SYN | ACK);
        assert!(syn_ack.dropped().is_some(), "a SYN-ACK is no packet without SYN");
        lab.wait(60 * SECOND);
        let late = lab.tcp(BASTION, private, (40_010, 22), ACK);
        assert!(late.dropped().is_some());
        assert_eq!(lab.state.tracked_flows_of(PRIVATE_01), 1);
    }
}

#[test]
fn a_policy_with_another_epoch_keeps_restored_flows() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    kill(&mut lab);
    let policy = Arc::clone(&lab.policy);
    lab.change(|_| {});
    assert_ne!(policy.epoch(), lab.policy.epoch());
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some());
}
