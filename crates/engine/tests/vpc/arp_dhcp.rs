//! What the platform answers by itself: ARP (L2-1, L2-2) and DHCP (L2-5, DHCP-*).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    DropReason, FABRIC_ROUTER_MAC, Verdict,
    testing::{
        Lab, Sent,
        lab::{BASTION, BASTION_GROUP, FABRIC, PRIVATE_01, PUBLIC_01, PUBLIC_02},
        packets::{self, Built, Ends},
        records,
        verify::{Seen, word},
    },
};
use gureum_types::{PortIndex, record::Traffic};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// The options of a DHCP message in a frame.
fn options(frame: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let message = &Seen::ip(frame).payload[8..];
    let mut rest = &message[240..];
    let mut options = Vec::new();
    while rest[0] != 255 {
        let len = usize::from(rest[1]);
        options.push((rest[0], rest[2..2 + len].to_vec()));
        rest = &rest[2 + len..];
    }
    options
}

fn option(frame: &[u8], code: u8) -> Option<Vec<u8>> {
    options(frame).into_iter().find(|(found, _)| *found == code).map(|(_, value)| value)
}

/// What a client without an address says to all servers.
fn broadcast(lab: &mut Lab, port: PortIndex, message: &[u8]) -> Sent {
    let ends = Ends {
        source_mac: lab.interface(port).mac,
        destination_mac: [0xff; 6],
        source: Ipv4Addr::UNSPECIFIED.into(),
        destination: Ipv4Addr::BROADCAST.into(),
    };
    lab.send(port, packets::udp(&ends, (68, 67), message))
}

/// The message in a frame of DHCP.
fn message(built: &Built) -> Vec<u8> {
    built.frame[14 + 28..].to_vec()
}

fn your_address(frame: &[u8]) -> Ipv4Addr {
    let payload = Seen::ip(frame).payload;
    gureum_engine::testing::verify::address(&payload, 8 + 16)
}

#[test]
fn the_router_and_the_platform_addresses_resolve_to_the_routers_mac() {
    let mut lab = Lab::new();
    let router = lab.arp(PUBLIC_01, ip("10.1.1.1")).expect("the router answers");
    for address in ["169.254.169.254", "169.254.169.253", "169.254.169.123"] {
        assert_eq!(lab.arp(PUBLIC_01, ip(address)), Some(router), "{address}");
    }
    assert_eq!(router[0] & 3, 2, "unicast, locally administered (ENI-12)");
    assert_ne!(lab.arp(PUBLIC_02, ip("10.1.2.1")), Some(router), "each subnet has its own");
}

/// L2-1: a router's MAC address is nobody else's.
#[test]
fn a_router_gives_way_to_an_interface_with_its_mac_address() {
    let mut lab = Lab::new();
    let router = lab.arp(PUBLIC_01, ip("10.1.1.1"));
    let own = lab.interface(PUBLIC_02).mac;
    lab.change_interface(PUBLIC_02, |i| i.mac = router.unwrap());
    let another = lab.arp(PUBLIC_01, ip("10.1.1.1"));
    assert!(another.is_some() && another != router);
    lab.change_interface(PUBLIC_02, |i| i.mac = own);
    assert_eq!(lab.arp(PUBLIC_01, ip("10.1.1.1")), router, "always the same else");
}

#[test]
fn a_neighbour_resolves_to_its_own_mac_and_nobody_else_does_l2_1_l2_2() {
    let mut lab = Lab::new();
    let bastion = lab.interface(BASTION).mac;
    assert_eq!(lab.arp(PUBLIC_02, ip("10.1.2.13")), Some(bastion));
    // An unused address, an address of another subnet, a public one.
    for address in ["10.1.2.99", "10.1.1.11", "198.18.0.13"] {
        let mac = lab.interface(PUBLIC_02).mac;
        let request = packets::arp_request(mac, ip("10.1.2.12"), ip(address));
        let sent = lab.send(PUBLIC_02, request);
        assert_eq!(sent.dropped(), Some(DropReason::ArpUnusedAddress), "{address}");
        assert!(sent.emitted.is_empty());
    }
}

/// L2-1, RFC 826: the answer names both sides, to whoever asked, and is counted as sent.
#[test]
fn an_answer_of_arp_names_both_sides() {
    let mut lab = Lab::new();
    let [own, other] = [PUBLIC_02, BASTION].map(|port| lab.interface(port).mac);
    let before = lab.state.counters().port(PUBLIC_02);
    let sent = lab.send(PUBLIC_02, packets::arp_request(own, ip("10.1.2.12"), ip("10.1.2.13")));
    let expected = [
        &own[..],
        &other,
        &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2],
        &other,
        &[10, 1, 2, 13],
        &own,
        &[10, 1, 2, 12],
    ]
    .concat();
    assert_eq!(sent.answer().frame, expected);
    let after = lab.state.counters().port(PUBLIC_02);
    assert_eq!(after.sent_packets - before.sent_packets, 1);
    assert_eq!(after.sent_bytes - before.sent_bytes, 28);
}

/// L2-2: a reply that nobody asked for moves no address; what is neither has a name of its own.
#[test]
fn only_requests_of_arp_are_heard() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_02).mac;
    for (operation, reason) in [(2, DropReason::ArpGratuitous), (3, DropReason::ArpMalformed)] {
        let mut frame = packets::arp_request(mac, ip("10.1.2.12"), ip("10.1.2.13"));
        frame.frame[21] = operation;
        assert_eq!(lab.send(PUBLIC_02, frame).dropped(), Some(reason));
    }
}

#[test]
fn duplicate_address_detection_finds_the_own_address_free() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    for sender in ["0.0.0.0", "10.1.1.11"] {
        let request = packets::arp_request(mac, ip(sender), ip("10.1.1.11"));
        let sent = lab.send(PUBLIC_01, request);
        assert_eq!(sent.dropped(), Some(DropReason::ArpGratuitous));
        assert!(sent.emitted.is_empty());
    }
}

#[test]
fn arp_in_the_name_of_somebody_else_is_dropped() {
    let mut lab = Lab::new();
    let own = lab.interface(PUBLIC_02).mac;
    let other = lab.interface(BASTION).mac;
    // The frame is the guest's own, what it says is not.
    let mut by_another_name = packets::arp_request(own, ip("10.1.2.12"), ip("10.1.2.1"));
    by_another_name.frame[22..28].copy_from_slice(&other);
    let cases = [
        packets::arp_request(other, ip("10.1.2.12"), ip("10.1.2.1")),
        packets::arp_request(own, ip("10.1.2.13"), ip("10.1.2.1")),
        by_another_name,
    ];
    for request in cases {
        let sent = lab.send(PUBLIC_02, request);
        assert_eq!(sent.dropped(), Some(DropReason::ArpSenderSpoofed));
    }
    let mut short = packets::arp_request(own, ip("10.1.2.12"), ip("10.1.2.1"));
    short.frame.truncate(30);
    assert_eq!(lab.send(PUBLIC_02, short).dropped(), Some(DropReason::ArpMalformed));
}

#[test]
fn the_internet_and_the_services_find_the_router_behind_every_address() {
    let mut lab = Lab::new();
    for (port, mac) in
        [(PortIndex::INTERNET, FABRIC.internet_mac), (PortIndex::SERVICES, FABRIC.services_mac)]
    {
        let request = packets::arp_request(mac, ip("198.18.200.7"), ip("198.18.0.11"));
        let sent = lab.send(port, request);
        assert_eq!(sent.answer().frame[22..28], FABRIC_ROUTER_MAC);
        // A probe for an own address must find it free.
        for sender in ["0.0.0.0", "198.18.200.7"] {
            let probe = packets::arp_request(mac, ip(sender), ip("198.18.200.7"));
            assert_eq!(lab.send(port, probe).dropped(), Some(DropReason::ArpGratuitous));
        }
    }
}

#[test]
fn a_guest_gets_its_address_and_all_that_belongs_to_it_l2_5() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    let offer = lab.send(PUBLIC_01, packets::dhcp_discover(mac));
    assert!(offer.leases.is_empty(), "an offer is no lease");
    let request = packets::dhcp_request(mac, ip("10.1.1.11"), Some(ip("10.1.1.1")));
    let ack = lab.send(PUBLIC_01, request);
    assert_eq!(ack.leases, [PUBLIC_01]);
    for (sent, kind) in [(&offer, 2), (&ack, 5)] {
        let Built { frame, .. } = sent.answer();
        let seen = Seen::ip(frame);
        assert_eq!(seen.ports(), (67, 68));
        assert_eq!(seen.source, ip("10.1.1.1"));
        assert_eq!(
            (seen.destination, seen.destination_mac),
            (ip("10.1.1.11").into(), mac),
            "unicast"
        );
        assert_eq!(your_address(frame), ip("10.1.1.11"));
        let expected: &[(u8, &[u8])] = &[
            (53, &[kind]),
            (54, &[10, 1, 1, 1]),
            (51, &3600u32.to_be_bytes()),
            (1, &[255, 255, 255, 0]),
            (28, &[10, 1, 1, 255]),
            (3, &[10, 1, 1, 1]),
            (6, &[10, 1, 0, 2]),
            (15, b"ap-northeast-2.compute.internal"),
            (12, b"ip-10-1-1-11"),
            (26, &9001u16.to_be_bytes()),
        ];
        let expected: Vec<_> = expected.iter().map(|(c, v)| (*c, v.to_vec())).collect();
        assert_eq!(options(frame), expected);
    }
}

/// A guest whose network is configured for it has what DHCP would have told it (L2-5).
#[test]
fn a_guest_network_is_what_dhcp_tells_l2_5() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    let request = packets::dhcp_request(mac, ip("10.1.1.11"), Some(ip("10.1.1.1")));
    let sent = lab.send(PUBLIC_01, request);
    let frame = &sent.answer().frame;
    let network = lab.policy.guest_network(PUBLIC_01).expect("an instance's");
    assert_eq!(network.addresses, [your_address(frame)]);
    let block = network.block.expect("a block");
    assert_eq!(option(frame, 1), Some(block.netmask().octets().to_vec()));
    assert_eq!(option(frame, 3), network.router.map(|it| it.octets().to_vec()));
    let resolvers = network.resolvers.iter().flat_map(|it| match it {
        std::net::IpAddr::V4(it) => it.octets().to_vec(),
        std::net::IpAddr::V6(it) => it.octets().to_vec(),
    });
    assert_eq!(option(frame, 6), Some(resolvers.collect()));
    assert_eq!(option(frame, 15), network.domain_name.map(String::into_bytes));
    assert_eq!(option(frame, 26), Some(network.mtu.to_be_bytes().to_vec()));
    assert_eq!((network.ipv6_addresses, network.ipv6_router), (vec![], None));
    assert_eq!(lab.policy.guest_network(PortIndex::INTERNET), None);
}

#[test]
fn a_client_that_asks_for_broadcast_gets_it() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    let mut discover = message(&packets::dhcp_discover(mac));
    discover[10] = 0x80;
    let sent = broadcast(&mut lab, PUBLIC_01, &discover);
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!((seen.destination, seen.destination_mac), (Ipv4Addr::BROADCAST.into(), [0xff; 6]));
}

#[test]
fn a_wrong_address_is_refused_and_a_wrong_client_ignored() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    let sent = lab.send(PUBLIC_01, packets::dhcp_request(mac, ip("10.1.1.12"), None));
    assert_eq!(option(&sent.answer().frame, 53), Some(vec![6]), "NAK");
    assert!(sent.leases.is_empty());
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!(seen.destination, Ipv4Addr::BROADCAST);
    assert_eq!(seen.payload.len(), 8 + 300, "as short as every client takes (RFC 1542)");
    assert_ne!(word(&seen.payload, 6), 0, "it has a checksum");

    let other = lab.interface(BASTION).mac;
    let spoofed = lab.send(PUBLIC_01, packets::dhcp_discover(other));
    assert_eq!(spoofed.dropped(), Some(DropReason::SourceMacSpoofed));

    let elsewhere = packets::dhcp_request(mac, ip("10.1.1.11"), Some(ip("10.1.1.77")));
    assert_eq!(lab.send(PUBLIC_01, elsewhere).dropped(), Some(DropReason::DhcpIgnored));
}

/// L2-5: what only looks like a message to the server is none, and goes the way of any packet.
#[test]
fn other_packets_are_no_dhcp() {
    let mut lab = Lab::new();
    lab.add_rule(BASTION_GROUP, false, Traffic::All, records::anywhere());
    let router = lab.ends(PUBLIC_02, ip("10.1.2.1"));
    let nobody = Some(DropReason::RouterAddress);
    let tcp = lab.send(PUBLIC_02, packets::tcp_syn(&router, (68, 67)));
    assert_eq!(tcp.dropped(), nobody);
    for ports in [(69, 67), (68, 68)] {
        let sent = lab.send(PUBLIC_02, packets::udp(&router, ports, b"no message"));
        assert_eq!(sent.dropped(), nobody, "{ports:?}");
    }
    let neighbour = lab.ends(PUBLIC_02, ip("10.1.2.13"));
    let sent = lab.send(PUBLIC_02, packets::udp(&neighbour, (68, 67), b"no message"));
    assert_eq!(sent.arrived(), Some(BASTION), "a server of the guests' own");
}

/// L2-5: messages that the server leaves without an answer.
#[test]
fn dhcp_ignores_what_is_not_for_it() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    let discover = message(&packets::dhcp_discover(mac));
    // By a relay, by another's hardware address, an answer, and without the options' magic number.
    for (at, byte) in [(27, 1), (33, 0xee), (0, 2), (239, 0)] {
        let mut changed = discover.clone();
        changed[at] = byte;
        let sent = broadcast(&mut lab, PUBLIC_01, &changed);
        assert_eq!(sent.dropped(), Some(DropReason::DhcpIgnored), "{at}");
    }
    // Whoever asks for options only has an address.
    let inform = packets::dhcp(mac, 8, Ipv4Addr::UNSPECIFIED, &[]);
    assert_eq!(lab.send(PUBLIC_01, inform).dropped(), Some(DropReason::DhcpIgnored));
    // Options may be padded.
    let mut padded = discover;
    padded.insert(240, 0);
    let sent = broadcast(&mut lab, PUBLIC_01, &padded);
    assert_eq!(option(&sent.answer().frame, 53), Some(vec![2]));
}

#[test]
fn a_lease_is_renewed_by_unicast_and_inform_tells_options_only() {
    let mut lab = Lab::new();
    let address = ip("10.1.1.11");
    let mac = lab.interface(PUBLIC_01).mac;
    let ends = lab.ends(PUBLIC_01, ip("10.1.1.1"));
    for (kind, yours, lease) in [(3, address, true), (8, Ipv4Addr::UNSPECIFIED, false)] {
        let message = message(&packets::dhcp(mac, kind, address, &[]));
        let sent = lab.send(PUBLIC_01, packets::udp(&ends, (68, 67), &message));
        let frame = &sent.answer().frame;
        assert_eq!(option(frame, 53), Some(vec![5]));
        assert_eq!(Seen::ip(frame).destination, address);
        assert_eq!(your_address(frame), yours);
        assert_eq!(option(frame, 51).is_some(), lease);
        assert_eq!(!sent.leases.is_empty(), lease);
    }
}

#[test]
fn option_sets_are_followed_dhcp_3_dhcp_4() {
    let mut lab = Lab::new();
    let mac = lab.interface(PRIVATE_01).mac;
    lab.change(|network| {
        let options = Arc::make_mut(&mut network.dhcp_options[0]);
        let text = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
        options.configurations = vec![
            ("domain-name".to_owned(), text(&["example.com"])),
            (
                "domain-name-servers".to_owned(),
                text(&["10.1.1.53", "no address", "AmazonProvidedDNS"]),
            ),
            ("ntp-servers".to_owned(), text(&["10.1.1.123"])),
            ("netbios-name-servers".to_owned(), text(&["10.1.1.44"])),
            ("netbios-node-type".to_owned(), text(&["2"])),
        ];
    });
    let sent = lab.send(PRIVATE_01, packets::dhcp_discover(mac));
    let frame = &sent.answer().frame;
    assert_eq!(option(frame, 6), Some(vec![10, 1, 1, 53, 10, 1, 0, 2]));
    assert_eq!(option(frame, 15), Some(b"example.com".to_vec()));
    assert_eq!(option(frame, 42), Some(vec![10, 1, 1, 123]));
    assert_eq!(option(frame, 44), Some(vec![10, 1, 1, 44]));
    assert_eq!(option(frame, 46), Some(vec![2]));

    lab.change(|network| Arc::make_mut(&mut network.vpcs[0].1).dhcp_options = None);
    let sent = lab.send(PRIVATE_01, packets::dhcp_discover(mac));
    let frame = &sent.answer().frame;
    assert_eq!(option(frame, 6), None, "no options, no resolver by DHCP");
    assert_eq!(option(frame, 15), None);
    assert_eq!(option(frame, 12), Some(b"ip-10-1-11-21".to_vec()));
}

#[test]
fn nothing_reaches_a_neighbour_by_broadcast_or_multicast_pipe_12() {
    let mut lab = Lab::new();
    let mut ends = lab.ends(PUBLIC_02, ip("10.1.2.13"));
    let mut verdict = |mac, destination: &str| {
        ends.destination_mac = mac;
        ends.destination = ip(destination).into();
        lab.send(PUBLIC_02, packets::udp(&ends, (5353, 5353), b"who")).verdict
    };
    let broadcast = Verdict::Drop(DropReason::Broadcast);
    let multicast = Verdict::Drop(DropReason::Multicast);
    assert_eq!(verdict([0xff; 6], "10.1.2.255"), broadcast);
    assert_eq!(verdict([0xff; 6], "10.1.2.13"), broadcast, "whatever the packet says");
    assert_eq!(verdict([0xff; 6], "255.255.255.255"), broadcast);
    for address in ["255.255.255.255", "10.1.2.255"] {
        assert_eq!(verdict([0x02, 0, 0, 0, 0, 6], address), broadcast, "whatever the frame says");
    }
    assert_eq!(verdict([0x01, 0, 0x5e, 0, 0, 0xfb], "224.0.0.251"), multicast);
    assert_eq!(verdict([0x02, 0, 0, 0, 0, 6], "224.0.0.251"), multicast);
}
