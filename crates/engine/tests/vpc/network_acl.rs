//! Network ACLs (NACL-*), with the lab's step 24.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    Component, DropReason,
    testing::{
        Lab,
        lab::{
            BASTION, OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_02, PUBLIC_01, PUBLIC_02, allow_all,
            vpc_id,
        },
        packets::{
            self,
            flags::{ACK, SYN},
        },
        records,
    },
};
use gureum_types::{
    IpProtocol, NetworkAclId, PortIndex, SubnetId,
    record::{Network, Traffic},
};
use ipnet::Ipv4Net;

type Entry = (u16, bool, bool, Traffic, Ipv4Net);

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn everybody() -> Ipv4Net {
    records::block("0.0.0.0/0")
}

/// Puts subnets (by number) under an ACL of their own.
fn guard(network: &mut Network, subnets: &[u64], entries: &[Entry]) {
    let subnets: Vec<SubnetId> = subnets.iter().map(|n| SubnetId::new(*n)).collect();
    let default = Arc::make_mut(&mut network.network_acls[0]);
    default.associations.retain(|a| !subnets.contains(&a.subnet_id));
    network.network_acls.truncate(1);
    let acl = records::network_acl(2, &vpc_id(), false, &subnets, entries);
    network.network_acls.push(Arc::new(acl));
}

fn acl_dropped(reason: Option<DropReason>) -> Option<&'static str> {
    reason.map(DropReason::name)
}

#[test]
fn the_labs_step_24_truth_table_nacl_24() {
    let mut lab = Lab::new();
    lab.change(|network| {
        let from_a = (10, false, true, Traffic::All, records::block("10.1.1.0/24"));
        guard(network, &[3, 4], &[from_a, allow_all(10, true)]);
    });
    let private = lab.address(PRIVATE_01);
    let ping = lab.ping(PUBLIC_01, private, 1);
    assert_eq!(ping.arrived(), Some(PRIVATE_01));
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PUBLIC_01));
    for from in [PUBLIC_02, BASTION, PRIVATE_02] {
        let ping = lab.ping(from, private, 1);
        assert_eq!(acl_dropped(ping.dropped()), Some("network-acl-ingress"), "port {from}");
    }
    // Outward from behind the ACL: the request leaves, the answer does not come in.
    let ping = lab.ping(PRIVATE_01, lab.address(PUBLIC_02), 2);
    assert_eq!(ping.arrived(), Some(PUBLIC_02));
    let answer = lab.answer_ping(&ping);
    assert_eq!(acl_dropped(answer.dropped()), Some("network-acl-ingress"));
}

#[test]
fn a_lower_number_wins_nacl_2_nacl_25() {
    let mut lab = Lab::new();
    let deny = (10, false, false, Traffic::All, everybody());
    lab.change(|network| guard(network, &[3], &[deny, allow_all(20, false), allow_all(1, true)]));
    let private = lab.address(PRIVATE_01);
    let sent = lab.ping(PUBLIC_01, private, 1);
    let Some(DropReason::NetworkAclIngress(index)) = sent.dropped() else {
        panic!("{:?}", sent.verdict)
    };
    let entry = Component::NetworkAclEntry { acl: NetworkAclId::new(2), number: 10, egress: false };
    assert_eq!(lab.policy.component(index), Some(&entry));
    lab.change(|network| {
        let entries = [deny, allow_all(20, false), allow_all(1, true), allow_all(5, false)];
        guard(network, &[3], &entries);
    });
    assert_eq!(lab.ping(PUBLIC_01, private, 1).arrived(), Some(PRIVATE_01));
}

#[test]
fn what_no_entry_matches_is_denied_by_the_closing_one_nacl_3_nacl_5() {
    let mut lab = Lab::new();
    lab.change(|network| guard(network, &[3], &[]));
    for (sent, egress) in [
        (lab.ping(PUBLIC_01, ip("10.1.11.21"), 1), false),
        (lab.ping(PRIVATE_01, ip("10.1.1.11"), 1), true),
    ] {
        let index = sent.dropped().and_then(DropReason::component).unwrap();
        let entry = Component::NetworkAclEntry { acl: NetworkAclId::new(2), number: 32767, egress };
        assert_eq!(lab.policy.component(index), Some(&entry));
    }
}

#[test]
fn nothing_is_asked_within_a_subnet_nacl_1() {
    let mut lab = Lab::new();
    lab.change(|network| guard(network, &[2], &[]));
    let bastion = lab.address(BASTION);
    assert_eq!(lab.tcp(PUBLIC_02, bastion, (1, 22), SYN).arrived(), Some(BASTION));
    // Also where the frame is handed to the router first.
    let mut ends = lab.ends(PUBLIC_02, bastion);
    ends.destination_mac = lab.arp(PUBLIC_02, ip("10.1.2.1")).unwrap();
    let sent = lab.send(PUBLIC_02, packets::tcp_syn(&ends, (2, 22)));
    assert_eq!(sent.arrived(), Some(BASTION));
}

#[test]
fn the_acl_is_stateless_and_compares_destination_ports_nacl_12() {
    let mut lab = Lab::new();
    let web = |egress| (10, egress, true, records::tcp(80, 80), everybody());
    lab.change(|network| guard(network, &[1], &[web(true), web(false)]));
    let public = ip("198.18.0.11");
    let syn = lab.tcp_from_outside(public, (40_000, 80), SYN);
    assert_eq!(syn.arrived(), Some(PUBLIC_01));
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(acl_dropped(answer.dropped()), Some("network-acl-egress"), "to port 40000");
    lab.change(|network| {
        let ephemeral = (20, true, true, records::tcp(1024, 65535), everybody());
        guard(network, &[1], &[web(true), web(false), ephemeral]);
    });
    assert_eq!(lab.answer_tcp(&syn, SYN | ACK).arrived(), Some(PortIndex::INTERNET));
    // A denial is on record at the interface within the subnet (FL-33).
    let flow = lab.state.flows().find(|f| f.port == PUBLIC_01 && f.local.1 == 80).unwrap();
    assert_eq!(flow.egress.rejected_packets, 1);
}

#[test]
fn addresses_are_as_seen_inside_the_vpc_nacl_19() {
    let mut lab = Lab::new();
    let to_private = (10, false, false, Traffic::All, records::block("198.18.200.7/32"));
    let to_outside = (10, true, false, Traffic::All, records::block("198.18.200.7/32"));
    let entries = [to_private, to_outside, allow_all(20, true), allow_all(20, false)];
    lab.change(|network| guard(network, &[1], &entries));
    let inward = lab.ping_from_outside(ip("198.18.0.11"), 1);
    assert_eq!(acl_dropped(inward.dropped()), Some("network-acl-ingress"));
    let outward = lab.ping(PUBLIC_01, OUTSIDE, 1);
    assert_eq!(acl_dropped(outward.dropped()), Some("network-acl-egress"));
}

#[test]
fn types_protocols_and_families_nacl_10_nacl_11() {
    let mut lab = Lab::new();
    lab.add_rule(PRI_GROUP, false, Traffic::All, records::anywhere());
    let private = lab.address(PRIVATE_01);
    let try_with = |lab: &mut Lab, traffic: Traffic| {
        let entry = (10, false, true, traffic, everybody());
        lab.change(|network| guard(network, &[3], &[entry, allow_all(1, true)]));
        let ends = lab.ends(PUBLIC_01, private);
        let packets = [
            packets::icmp_echo(&ends, 1, 1),
            packets::icmp(&ends, (3, 4), [0; 4], &[0; 28]),
            packets::ip(&ends, 58, &[128, 0, 0, 0]),
            packets::ip(&ends, 50, &[0; 24]),
        ];
        packets.map(|built| lab.send(PUBLIC_01, built).arrived().is_some())
    };
    let icmp = |protocol, icmp_type, icmp_code| Traffic::Icmp { protocol, icmp_type, icmp_code };
    let v4 = IpProtocol::ICMP;
    assert_eq!(try_with(&mut lab, icmp(v4, Some(8), Some(0))), [true, false, false, false]);
    assert_eq!(try_with(&mut lab, icmp(v4, Some(3), None)), [false, true, false, false]);
    assert_eq!(try_with(&mut lab, icmp(v4, None, None)), [true, true, false, false]);
    // ICMPv6 over IPv4 matches whatever its type.
    let v6 = icmp(IpProtocol::ICMPV6, Some(1), Some(1));
    assert_eq!(try_with(&mut lab, v6), [false, false, true, false]);
    let esp = Traffic::Protocol(IpProtocol(50));
    assert_eq!(try_with(&mut lab, esp), [false, false, false, true]);
}

#[test]
fn a_subnet_without_association_has_the_default_acl_nacl_6() {
    let mut lab = Lab::new();
    lab.change(|network| Arc::make_mut(&mut network.network_acls[0]).associations.clear());
    assert!(lab.ping(PUBLIC_01, ip("10.1.11.21"), 1).arrived().is_some());
}

#[test]
fn platform_services_are_not_filtered_nacl_17() {
    let mut lab = Lab::new();
    lab.change(|network| guard(network, &[1], &[]));
    assert!(lab.tcp(PUBLIC_01, ip("169.254.169.254"), (1, 80), SYN).arrived().is_some());
    let ends = lab.ends(PUBLIC_01, ip("10.1.0.2"));
    assert!(lab.send(PUBLIC_01, packets::udp(&ends, (1, 53), b"q")).arrived().is_some());
}
