//! Services of the platform: stateless translation both ways (traps 11).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, FABRIC_ROUTER_MAC, Offload,
    testing::{
        Lab,
        lab::{FABRIC, PRIVATE_01, PUBLIC_01},
        packets::{
            self,
            flags::{ACK, SYN},
        },
        verify::Seen,
    },
};
use gureum_types::{PortIndex, ServiceDoor, caller_address};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn the_caller_becomes_its_interface_and_the_service_its_door() {
    let mut lab = Lab::new();
    let doors = [
        ("169.254.169.254", ServiceDoor::Metadata, 80, true),
        ("169.254.169.253", ServiceDoor::ResolverLinkLocal, 53, true),
        ("169.254.169.253", ServiceDoor::ResolverLinkLocal, 53, false),
        ("10.1.0.2", ServiceDoor::ResolverVpc, 53, true),
        ("10.1.0.2", ServiceDoor::ResolverVpc, 53, false),
        ("169.254.169.123", ServiceDoor::Time, 123, false),
    ];
    for (address, door, port, is_tcp) in doors {
        let ends = lab.ends(PRIVATE_01, ip(address));
        let built = if is_tcp {
            packets::tcp_syn(&ends, (40_000, port)).with_unfinished_checksum()
        } else {
            packets::udp(&ends, (40_000, port), b"question")
        };
        let sent = lab.send(PRIVATE_01, built);
        assert_eq!(sent.arrived(), Some(PortIndex::SERVICES), "{address}");
        let seen = sent.seen();
        assert_eq!(Some(seen.source), caller_address(PRIVATE_01, 0).map(Into::into));
        assert_eq!(seen.destination, door.address());
        assert_eq!(seen.destination_mac, FABRIC.services_mac);
        assert_eq!(seen.source_mac, FABRIC_ROUTER_MAC);
        let answer = if is_tcp { lab.answer_tcp(&sent, SYN | ACK) } else { lab.answer_udp(&sent) };
        assert_eq!(answer.arrived(), Some(PRIVATE_01));
        let seen = answer.seen();
        assert_eq!((seen.source, seen.destination), (ip(address).into(), ip("10.1.11.21").into()));
        assert_eq!(seen.ports(), (port, 40_000));
        assert_eq!(seen.destination_mac, lab.interface(PRIVATE_01).mac);
    }
    assert_eq!(lab.state.flows().count(), 0);
}

#[test]
fn each_private_address_is_a_caller_of_its_own() {
    let mut lab = Lab::new();
    lab.change_interface(PUBLIC_01, |i| i.private_addresses.push(ip("10.1.1.40")));
    let mut ends = lab.ends(PUBLIC_01, ip("169.254.169.254"));
    ends.source = ip("10.1.1.40").into();
    let sent = lab.send(PUBLIC_01, packets::tcp_syn(&ends, (40_000, 80)));
    assert_eq!(Some(sent.seen().source), caller_address(PUBLIC_01, 1).map(Into::into));
    let answer = lab.answer_tcp(&sent, SYN | ACK);
    assert_eq!(answer.seen().destination, ip("10.1.1.40"));
}

#[test]
fn other_ports_and_pings_find_nobody_l2_4() {
    let mut lab = Lab::new();
    for address in ["169.254.169.254", "169.254.169.253", "10.1.0.2", "169.254.169.123"] {
        assert_eq!(
            lab.ping(PUBLIC_01, ip(address), 1).dropped(),
            Some(DropReason::ServicePortClosed)
        );
        let sent = lab.tcp(PUBLIC_01, ip(address), (40_000, 22), SYN);
        assert_eq!(sent.dropped(), Some(DropReason::ServicePortClosed));
        assert!(sent.emitted.is_empty());
    }
}

#[test]
fn without_dns_support_the_resolver_is_silent_dns_3() {
    let mut lab = Lab::new();
    lab.change(|network| Arc::make_mut(&mut network.vpcs[0].1).enable_dns_support = false);
    for address in ["169.254.169.253", "10.1.0.2"] {
        let ends = lab.ends(PUBLIC_01, ip(address));
        let sent = lab.send(PUBLIC_01, packets::udp(&ends, (40_000, 53), b"question"));
        assert_eq!(sent.dropped(), Some(DropReason::ResolverDisabled));
    }
    assert!(lab.tcp(PUBLIC_01, ip("169.254.169.254"), (1, 80), SYN).arrived().is_some());
}

#[test]
fn a_caller_must_be_an_address_of_the_interface_also_without_the_check() {
    let mut lab = Lab::new();
    for check in [true, false] {
        lab.change_interface(PUBLIC_01, |i| i.source_dest_check = check);
        let mut ends = lab.ends(PUBLIC_01, ip("169.254.169.254"));
        ends.source = ip("10.1.1.99").into();
        let sent = lab.send(PUBLIC_01, packets::tcp_syn(&ends, (40_000, 80)));
        assert_eq!(sent.dropped(), Some(DropReason::SourceCheck));
    }
}

#[test]
fn the_resolver_within_a_subnet_resolves_by_arp_too() {
    let mut lab = Lab::new();
    lab.change(|network| {
        let vpc = gureum_engine::testing::lab::vpc_id();
        let block = gureum_engine::testing::records::block("10.1.0.0/24");
        let subnet = gureum_engine::testing::records::subnet(9, &vpc, block);
        let private = Arc::make_mut(&mut network.interfaces[2]);
        private.subnet_id = subnet.id.clone();
        private.private_addresses = vec![ip("10.1.0.9")];
        network.subnets.push(Arc::new(subnet));
    });
    let ends = lab.ends(PRIVATE_01, ip("10.1.0.2"));
    let sent = lab.send(PRIVATE_01, packets::udp(&ends, (40_000, 53), b"question"));
    assert_eq!(sent.arrived(), Some(PortIndex::SERVICES));
}

#[test]
fn ttl_arrives_as_the_service_sent_it_imds_7() {
    let mut lab = Lab::new();
    let sent = lab.tcp(PUBLIC_01, ip("169.254.169.254"), (40_000, 80), SYN);
    let (port, ends) = lab.answering(&sent);
    let mut built = packets::tcp(&ends, (80, 40_000), SYN | ACK, &[]);
    built.frame[14 + 8] = 1;
    // Keep the header's checksum right: TTL shares a word with the protocol.
    let old = u16::from_be_bytes([built.frame[24], built.frame[25]]);
    let sum = u32::from(old) + (63 << 8);
    let new = ((sum & 0xffff) + (sum >> 16)) as u16;
    built.frame[24..26].copy_from_slice(&new.to_be_bytes());
    let answer = lab.send(port, built);
    assert_eq!(answer.arrived(), Some(PUBLIC_01));
    assert_eq!(answer.seen().ttl, 1);
}

#[test]
fn answers_to_nobody_are_dropped() {
    let mut lab = Lab::new();
    let door = ServiceDoor::Metadata.address();
    let cases = [
        (door, caller_address(PortIndex(4000), 0).unwrap()),
        (door, caller_address(PUBLIC_01, 5).unwrap()),
        (door, ip("10.1.1.11").octets().into()),
        (ip("10.128.0.99"), caller_address(PUBLIC_01, 0).unwrap()),
    ];
    for (source, destination) in cases {
        let ends = packets::Ends {
            source_mac: FABRIC.services_mac,
            destination_mac: FABRIC_ROUTER_MAC,
            source: source.into(),
            destination: destination.into(),
        };
        let sent = lab.send(PortIndex::SERVICES, packets::tcp_syn(&ends, (80, 40_000)));
        assert_eq!(sent.dropped(), Some(DropReason::ServiceCallerUnknown), "{ends:?}");
    }
}

#[test]
fn a_port_unreachable_of_a_service_is_understood() {
    let mut lab = Lab::new();
    let ends = lab.ends(PUBLIC_01, ip("169.254.169.123"));
    let asked = lab.send(PUBLIC_01, packets::udp(&ends, (40_000, 123), &[0; 48]));
    let (port, back) = lab.answering(&asked);
    let error = packets::icmp_error(&back, (3, 3), &asked.built.frame);
    let sent = lab.send(port, error);
    assert_eq!(sent.arrived(), Some(PUBLIC_01));
    let embedded = [&[0; 14][..], &sent.seen().payload[8..]].concat();
    let embedded = Seen::ip(&embedded);
    assert_eq!(
        (embedded.source, embedded.destination),
        (ip("10.1.1.11").into(), ip("169.254.169.123").into())
    );
}

#[test]
fn large_segments_pass_whole_both_ways() {
    let mut lab = Lab::new();
    let sent = lab.tcp(PUBLIC_01, ip("169.254.169.254"), (40_000, 80), SYN);
    let (port, ends) = lab.answering(&sent);
    let built = packets::tcp_data(&ends, (80, 40_000), &[1; 30_000])
        .with_segments(Offload::GSO_TCPV4, 1448);
    let answer = lab.send(port, built);
    assert_eq!(answer.arrived(), Some(PUBLIC_01));
    assert_eq!(answer.built.offload.gso_size, 1448);
    assert_eq!(lab.state.counters().port(PUBLIC_01).sent_packets, 30_000u64.div_ceil(1448) + 1);
}
