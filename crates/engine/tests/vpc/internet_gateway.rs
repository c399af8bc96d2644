//! The internet gateway (IGW-*): 1:1 NAT, both ways, with all checksums.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, FABRIC_ROUTER_MAC,
    testing::{
        Lab,
        lab::{
            BASTION, BASTION_GROUP, FABRIC, OUTSIDE, PRIVATE_01, PUB_GROUP, PUBLIC_01, PUBLIC_02,
            PUBLIC_TABLE,
        },
        packets::{
            self,
            flags::{ACK, SYN},
        },
        records,
        verify::Seen,
    },
};
use gureum_types::{
    AddressAssociationId, AllocationId, NetworkInterfaceId, PortIndex, RouteTableId,
    SecurityGroupId, Timestamp,
    record::{Address, AddressAssociation, RulePeer, Traffic},
};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn the_source_becomes_public_on_the_way_out_igw_2() {
    let mut lab = Lab::new();
    let sent = lab.tcp(PUBLIC_01, OUTSIDE, (40_000, 443), SYN);
    assert_eq!(sent.arrived(), Some(PortIndex::INTERNET));
    let seen = sent.seen();
    assert_eq!((seen.source, seen.destination), (ip("198.18.0.11").into(), OUTSIDE.into()));
    assert_eq!(seen.ports(), (40_000, 443), "ports are untouched");
    assert_eq!(seen.destination_mac, FABRIC.internet_mac);
    assert_eq!(seen.source_mac, FABRIC_ROUTER_MAC);
    assert_eq!(seen.ttl, 64);
    let answer = lab.answer_tcp(&sent, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PUBLIC_01));
    assert_eq!(answer.seen().destination, ip("10.1.1.11"), "the guest never sees it");
}

#[test]
fn unfinished_checksums_stay_unfinished_and_right_traps_2() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let built = [
        packets::tcp(&ends, (40_000, 443), SYN, &[7; 1000]).with_unfinished_checksum(),
        packets::udp(&ends, (40_000, 53), &[7; 999]).with_unfinished_checksum(),
    ];
    for built in built {
        // The fixture completes and checks what arrives.
        let sent = lab.send(PUBLIC_01, built);
        assert_eq!(sent.arrived(), Some(PortIndex::INTERNET));
        assert!(sent.built.offload.needs_csum);
    }
    let inward = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    let built = packets::tcp_syn(&inward, (40_000, 80)).with_unfinished_checksum();
    assert_eq!(lab.send(PortIndex::INTERNET, built).arrived(), Some(PUBLIC_01));
}

#[test]
fn a_udp_checksum_that_was_not_computed_stays_so() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let mut built = packets::udp(&ends, (40_000, 53), b"question");
    built.frame[40..42].copy_from_slice(&[0, 0]);
    let sent = lab.send(PUBLIC_01, built);
    assert_eq!(sent.seen().payload[6..8], [0, 0]);
}

#[test]
fn every_checksum_survives_every_address() {
    let mut lab = Lab::new();
    // The finished sum of UDP is never sent as zero, whatever the payload.
    for word in 0..=u16::MAX {
        if word % 7 != 0 && word < 0xff00 {
            continue;
        }
        let ends = lab.ends(PUBLIC_01, OUTSIDE);
        let built = packets::udp(&ends, (40_000, 53), &word.to_be_bytes());
        let sent = lab.send(PUBLIC_01, built);
        assert_ne!(sent.seen().payload[6..8], [0, 0], "{word:#x}");
    }
}

/// IGW-2: checksums end where the packet does.
#[test]
fn a_packet_without_payload_is_translated_and_one_without_checksum_left_alone() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let sent = lab.send(PUBLIC_01, packets::udp(&ends, (40_000, 53), b""));
    assert_eq!(sent.arrived(), Some(PortIndex::INTERNET), "its checksum ends the packet");
    // UDP-Lite without room for its checksum, in a padded frame.
    let mut short = packets::ip(&ends, 136, &[1, 2, 3, 4, 5, 6, 7]);
    short.frame.resize(60, 0xaa);
    let sent = lab.send(PUBLIC_01, short.clone());
    assert_eq!(sent.seen().source, ip("198.18.0.11"));
    assert_eq!(sent.built.frame[34..], short.frame[34..]);
}

#[test]
fn without_a_public_address_nothing_leaves_igw_3() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.auto_public_ip = None);
    let sent = lab.ping(PUBLIC_01, OUTSIDE, 1);
    assert_eq!(sent.dropped(), Some(DropReason::NoPublicAddress));
    assert!(sent.emitted.is_empty());
}

#[test]
fn an_elastic_address_displaces_the_automatic_one_and_serves_any_private_one_pub_3_eip_1() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.private_addresses.push(ip("10.1.1.40")));
    lab.change(|network| {
        let mut allocate = |number, public, private| {
            network.addresses.push(Arc::new(Address {
                domain_name: None,
                allocation_id: AllocationId::new(number),
                public_ip: ip(public),
                association: Some(AddressAssociation {
                    id: AddressAssociationId::new(number),
                    network_interface_id: NetworkInterfaceId::new(PUBLIC_01.0.into()),
                    private_ip: ip(private),
                }),
                created: Timestamp(0),
                tags: Default::default(),
            }));
        };
        allocate(1, "198.18.0.51", "10.1.1.11");
        allocate(2, "198.18.0.52", "10.1.1.40");
    });
    let sent = lab.ping(PUBLIC_01, OUTSIDE, 1);
    assert_eq!(sent.seen().source, ip("198.18.0.51"));
    let second = lab.tcp_from_outside(ip("198.18.0.52"), (40_000, 80), SYN);
    assert_eq!(second.seen().destination, ip("10.1.1.40"));
    let old = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
    assert_eq!(old.dropped(), Some(DropReason::UnknownPublicAddress));
}

#[test]
fn nothing_goes_to_or_comes_from_private_address_space_igw_16() {
    let mut lab = Lab::new();
    for to in
        ["192.168.0.1", "172.20.0.1", "10.9.0.1", "100.64.0.1", "127.0.0.1", "0.1.2.3", "240.0.0.1"]
    {
        let ends = lab.ends(PUBLIC_01, ip(to));
        let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
        assert_eq!(sent.dropped(), Some(DropReason::GatewayPrivateAddress), "{to}");
        let ends = lab.from_outside(ip(to), ip("198.18.0.11"));
        let sent = lab.send(PortIndex::INTERNET, packets::icmp_echo(&ends, 1, 1));
        assert_eq!(sent.dropped(), Some(DropReason::GatewayPrivateAddress), "{to}");
    }
    for to in ["100.1.0.1", "8.64.0.1"] {
        assert_eq!(lab.ping(PUBLIC_01, ip(to), 1).arrived(), Some(PortIndex::INTERNET), "{to}");
    }
}

#[test]
fn an_address_that_nobody_has_receives_nothing_igw_17() {
    let mut lab = Lab::new();
    for to in ["198.18.0.77", "10.1.1.11", "10.1.11.21"] {
        let sent = lab.tcp_from_outside(ip(to), (40_000, 80), SYN);
        assert_eq!(sent.dropped(), Some(DropReason::UnknownPublicAddress), "{to}");
    }
    lab.change(|network| Arc::make_mut(&mut network.internet_gateways[0]).vpc_id = None);
    let sent = lab.tcp_from_outside(ip("198.18.0.11"), (40_000, 80), SYN);
    assert_eq!(sent.dropped(), Some(DropReason::UnknownPublicAddress), "no gateway");
}

#[test]
fn the_own_route_matters_only_for_the_answer_igw_6() {
    let mut lab = Lab::new();
    lab.change(|network| {
        let id = RouteTableId::new(PUBLIC_TABLE);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        Arc::make_mut(table).routes.clear();
    });
    let sent = lab.ping_from_outside(ip("198.18.0.11"), 1);
    assert_eq!(sent.arrived(), Some(PUBLIC_01));
    assert_eq!(lab.answer_ping(&sent).dropped(), Some(DropReason::NoRoute));
}

#[test]
fn a_hairpin_shows_the_public_source_igw_7() {
    let mut lab = Lab::new();
    let sent = lab.tcp(PUBLIC_01, ip("198.18.0.13"), (40_000, 22), SYN);
    assert_eq!(sent.arrived(), Some(BASTION));
    let seen = sent.seen();
    assert_eq!((seen.source, seen.destination), (ip("198.18.0.11").into(), ip("10.1.2.13").into()));
    let answer = lab.answer_tcp(&sent, SYN | ACK);
    assert_eq!(answer.arrived(), Some(PUBLIC_01));
    assert_eq!(answer.seen().source, ip("198.18.0.13"));
    // To oneself, too.
    let own = lab.tcp(PUBLIC_01, ip("198.18.0.11"), (40_000, 80), SYN);
    assert_eq!(own.arrived(), Some(PUBLIC_01));
    assert_eq!(own.seen().source, ip("198.18.0.11"));
}

#[test]
fn a_hairpin_fails_a_group_reference_sg_30() {
    let mut lab = Lab::new();
    lab.remove_rules(|r| r.group_id == SecurityGroupId::new(BASTION_GROUP) && !r.egress);
    let reference = RulePeer::Group(SecurityGroupId::new(PUB_GROUP));
    lab.add_rule(BASTION_GROUP, false, Traffic::All, reference);
    let private = lab.tcp(PUBLIC_01, ip("10.1.2.13"), (40_000, 22), SYN);
    assert_eq!(private.arrived(), Some(BASTION));
    let public = lab.tcp(PUBLIC_01, ip("198.18.0.13"), (40_001, 22), SYN);
    assert_eq!(public.dropped(), Some(DropReason::SecurityGroupIngress));
    lab.add_rule(BASTION_GROUP, false, Traffic::All, records::from_block("198.18.0.11/32"));
    let public = lab.tcp(PUBLIC_01, ip("198.18.0.13"), (40_001, 22), SYN);
    assert_eq!(public.arrived(), Some(BASTION));
}

#[test]
fn an_icmp_error_is_translated_within_too() {
    let mut lab = Lab::new();
    // From a router of the internet about a datagram that went out (traceroute).
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let out = lab.send(PUBLIC_01, packets::udp(&ends, (40_000, 33_434), &[0; 32]));
    let back = lab.from_outside(ip("198.18.222.1"), ip("198.18.0.11"));
    let error = packets::icmp_error(&back, (11, 0), &out.built.frame);
    let sent = lab.send(PortIndex::INTERNET, error);
    assert_eq!(sent.arrived(), Some(PUBLIC_01));
    let seen = sent.seen();
    assert_eq!(
        (seen.source, seen.destination),
        (ip("198.18.222.1").into(), ip("10.1.1.11").into())
    );
    let embedded = [&[0; 14][..], &seen.payload[8..]].concat();
    let embedded = Seen::ip(&embedded);
    assert_eq!((embedded.source, embedded.destination), (ip("10.1.1.11").into(), OUTSIDE.into()));
    let header = &seen.payload[8..28];
    let sum: u32 = header.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the embedded header's checksum too");

    // What is no whole packet of IPv4 is left as it is, and what a later fragment carries too.
    let mut options = out.built.frame.clone();
    options.splice(34..34, [1, 1, 1, 1]);
    options[14] = 0x46;
    let later = out.built.clone().with_fragment(9, 7).frame;
    for (first, about, translated) in [
        (0x55, &out.built.frame, false),
        (0x44, &out.built.frame, false),
        (0x46, &options, true),
        (0x45, &later, true),
    ] {
        let mut about = about.clone();
        about[14] = first;
        let carried = about[14..].to_vec();
        let sent = lab.send(PortIndex::INTERNET, packets::icmp_error(&back, (11, 0), &about));
        let seen = sent.seen().payload[8..].to_vec();
        assert_eq!(seen[12..16] == [10, 1, 1, 11], translated, "{first:#x}");
        if first == 0x45 {
            assert_eq!(seen[20..], carried[20..], "no header of UDP");
        }
        if !translated {
            assert_eq!(seen, carried);
        }
    }
    // In a datagram, what looks like a packet is none.
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    let inward = packets::Ends { source: ends.destination, destination: ends.source, ..ends };
    let inner = packets::udp(&inward, (1, 2), b"inner").frame[14..].to_vec();
    let sent = lab.send(PUBLIC_01, packets::udp(&ends, (40_001, 33_434), &inner));
    assert_eq!(sent.seen().payload[8..], inner);

    // From a guest about a datagram that came in (port unreachable).
    let inward = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    lab.add_rule(PUB_GROUP, false, records::udp(5000, 5000), records::anywhere());
    let came = lab.send(PortIndex::INTERNET, packets::udp(&inward, (6000, 5000), b"hello"));
    let (port, ends) = lab.answering(&came);
    let error = packets::icmp_error(&ends, (3, 3), &came.built.frame);
    let sent = lab.send(port, error);
    assert_eq!(sent.arrived(), Some(PortIndex::INTERNET));
    let embedded = [&[0; 14][..], &sent.seen().payload[8..]].concat();
    assert_eq!(Seen::ip(&embedded).destination, ip("198.18.0.11"));
}

#[test]
fn port_25_is_closed_towards_the_internet_sg_37() {
    let mut lab = Lab::new();
    let out = lab.tcp(PUBLIC_01, OUTSIDE, (40_000, 25), SYN);
    assert_eq!(out.dropped(), Some(DropReason::SmtpBlocked));
}

#[test]
fn a_gateway_drops_what_its_sender_does_not_own_igw_18() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.source_dest_check = false);
    let mut ends = lab.ends(PUBLIC_01, OUTSIDE);
    for source in [ip("10.1.9.9"), ip("192.168.0.9"), ip("198.18.0.12")] {
        ends.source = source.into();
        let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
        assert_eq!(sent.dropped(), Some(DropReason::GatewaySpoofed), "{source}");
    }
}

/// An appliance sends on what instances of the VPC sent, and the gateway knows their public
/// addresses, not the appliance's (RT-20).
#[test]
fn a_gateway_translates_what_an_appliance_sends_on_rt_20() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.source_dest_check = false);
    let mut ends = lab.ends(PUBLIC_01, OUTSIDE);
    ends.source = lab.address(PUBLIC_02).into();
    let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.seen().source, ip("198.18.0.12"));
    ends.source = lab.address(PRIVATE_01).into();
    let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::NoPublicAddress), "IGW-3");
}

#[test]
fn only_frames_for_the_router_are_taken_from_the_internet() {
    let mut lab = Lab::new();
    let mut ends = lab.from_outside(OUTSIDE, ip("198.18.0.11"));
    for (mac, reason) in [
        ([0xff; 6], DropReason::Broadcast),
        ([1, 0, 0x5e, 0, 0, 1], DropReason::Multicast),
        ([2, 9, 9, 9, 9, 9], DropReason::UnknownDestinationMac),
    ] {
        ends.destination_mac = mac;
        let sent = lab.send(PortIndex::INTERNET, packets::tcp_syn(&ends, (1, 80)));
        assert_eq!(sent.dropped(), Some(reason));
    }
}

#[test]
fn a_public_address_that_nobody_has_is_nowhere_on_the_internet() {
    let mut lab = Lab::new();
    let sent = lab.tcp(PUBLIC_01, ip("198.18.0.99"), (40_000, 80), SYN);
    assert_eq!(sent.dropped().map(|reason| reason.name()), Some("unknown-public-address"));
    let sent = lab.tcp(PUBLIC_01, OUTSIDE, (40_000, 80), SYN);
    assert_eq!(sent.seen().destination, OUTSIDE, "others may be anybody's");
}
