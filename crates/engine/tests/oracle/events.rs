//! What happens in a history: packets of all kinds, time, changes.

use std::net::{IpAddr, Ipv4Addr};

use gureum_engine::oracle::{About, Kind, Words};
use gureum_types::{
    PortIndex, ServiceDoor, callee_address, caller_address, ipv6_caller_address, nat64_address,
};
use proptest::{prelude::*, sample::select};

use crate::{
    changes::{Change, change},
    network::{
        ENDPOINTS, GATEWAY_ENDPOINTS, HOST, HOST_IPV6, PORTS, address, gateway_public, private,
        private_ipv6, public, subnet_of,
    },
};

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A packet, of whatever ends.
    Packet(u32, Next, Words),
    /// A packet from one interface to another, well-formed.
    Between(u32, u32, bool, Kind, u8),
    /// A packet from an interface to the outside.
    Outward(u32, Outside, Kind, u8),
    /// A packet from the outside.
    Inward(IpAddr, Kind, u8),
    /// A packet to a service of the platform.
    Service(u32, IpAddr, Kind),
    /// An answer to one of the last packets that arrived, with TCP flags.
    Answer(usize, u8, u8),
    /// An ICMP error of a type about one of the last packets that arrived.
    Complain(usize, u8),
    /// The sender of one of the last packets that arrived goes on, with TCP flags.
    GoOn(usize, u8),
    /// Whoever got one of the last packets that arrived sends it on.
    SendOn(usize),
    Wait(u64),
    Change(Change),
    Expire,
    Why(u32, IpAddr, u16),
}

/// Whom a packet to the outside is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outside {
    /// A host of the internet, by IPv6 where the interface speaks it.
    Host(bool),
    /// An address that the internet may know.
    Address(IpAddr),
}

/// How a frame is addressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Router,
    Interface(u32),
    Nobody,
}

/// A kind of packet as the other family has it: the generator speaks of IPv4's.
pub(crate) fn of_family(kind: Kind, ipv6: bool) -> Kind {
    match kind {
        Kind::Icmp(8 | 13 | 17, code, identifier) if ipv6 => Kind::Icmp(128, code, identifier),
        Kind::Icmp(0 | 14 | 18, code, identifier) if ipv6 => Kind::Icmp(129, code, identifier),
        Kind::Icmp(3, code, _) if ipv6 => Kind::Icmp(1, code, 0),
        Kind::Icmp(5, code, _) if ipv6 => Kind::Icmp(2, code, 0),
        Kind::Icmp(11, code, _) if ipv6 => Kind::Icmp(3, code, 0),
        Kind::Icmp(_, code, _) if ipv6 => Kind::Icmp(4, code, 0),
        // One family's control protocol over the other.
        Kind::Other(58) if ipv6 => Kind::Other(1),
        other => other,
    }
}

/// Addresses of S3 and DynamoDB.
fn services() -> impl Strategy<Value = &'static str> {
    select(vec!["203.0.113.129", "203.0.113.159", "203.0.113.161"])
}

fn ipv4_addresses() -> impl Strategy<Value = Ipv4Addr> {
    let of_ports = PORTS.start..ENDPOINTS.end;
    let callees = prop_oneof![
        1 => (ENDPOINTS, 0..2u32),
        1 => (GATEWAY_ENDPOINTS, 0..32u32),
        1 => (PORTS, Just(0u32)),
    ];
    prop_oneof![
        8 => (of_ports.clone(), 0..2u8).prop_map(|(port, index)| private(port, index)),
        3 => (0..6u8).prop_map(public),
        2 => (1..4u8).prop_map(gateway_public),
        2 => select(vec!["198.18.200.7", "198.19.0.1", "8.8.8.8"]).prop_map(|a| a.parse().unwrap()),
        2 => select(vec![
            "10.1.0.1", "10.1.0.2", "10.1.1.255", "10.1.9.9", "10.3.0.2", "10.3.9.9", "10.9.0.1",
            "192.168.0.1", "100.64.0.1", "169.254.169.254", "169.254.169.253", "169.254.169.123",
            "169.254.170.2", "169.254.1.1", "255.255.255.255", "224.0.0.1", "127.0.0.1", "0.0.0.0",
        ])
        .prop_map(|a| a.parse().unwrap()),
        1 => (0..4usize).prop_map(|door| ServiceDoor::ALL[door].address()),
        1 => callees.prop_map(|(port, place)| callee_address(PortIndex(port), place).unwrap()),
        1 => services().prop_map(|service| service.parse().unwrap()),
        1 => (of_ports, 0..3u32).prop_map(|(p, i)| caller_address(PortIndex(p), i).unwrap()),
    ]
}

fn ipv6_addresses() -> impl Strategy<Value = std::net::Ipv6Addr> {
    prop_oneof![
        8 => (PORTS, 0..2u8).prop_map(|(port, index)| private_ipv6(port, index)),
        3 => Just(HOST_IPV6),
        3 => select(vec![
            "2001:db8:0:100::1", "2001:db8:0:100::ffff", "2001:db8:0:3ff::1", "2001:db8:7::1",
            "2600::1", "fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::123", "fd00:ec2::1", "fd12::1",
            "fe80::1", "fe80:ec2::1", "ff02::1", "ff0e::5", "64:ff9b::808:808", "::", "::1",
            "64:ff9b::e000:1", "64:ff9b::ffff:ffff", "64:ff9b:1::808:808", "64:ff9b::a9fe:a9fe",
        ])
        .prop_map(|a| a.parse().unwrap()),
        2 => ipv4_addresses().prop_map(nat64_address),
        1 => (0..3usize).prop_map(|door| {
            let mut doors = ServiceDoor::ALL.into_iter().filter_map(ServiceDoor::ipv6_address);
            doors.nth(door).unwrap()
        }),
        1 => (PORTS, 0..3u32).prop_map(|(p, i)| ipv6_caller_address(PortIndex(p), i).unwrap()),
    ]
}

pub(crate) fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        2 => ipv4_addresses().prop_map(IpAddr::from),
        1 => ipv6_addresses().prop_map(IpAddr::from),
    ]
}

/// Both ends of one family.
fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        2 => (ipv4_addresses(), ipv4_addresses()).prop_map(|(a, b)| (a.into(), b.into())),
        1 => (ipv6_addresses(), ipv6_addresses()).prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        5 => Just(2u8), 4 => Just(16), 4 => Just(18), 2 => Just(17), 2 => Just(4),
        1 => any::<u8>().prop_map(|bits| bits & 0x3f),
    ]
}

/// Most packets that begin something do it properly.
fn kind() -> impl Strategy<Value = Kind> {
    let port = || select(vec![22u16, 80, 443, 53, 25, 123, 1500, 40_000]);
    let any_port = || prop_oneof![1 => port(), 3 => 32_768..61_000u16];
    let first = || prop_oneof![3 => Just(2u8), 1 => flags()];
    prop_oneof![
        5 => (any_port(), port(), first()).prop_map(|(a, b, f)| Kind::Tcp(a, b, f)),
        3 => (any_port(), port()).prop_map(|(a, b)| Kind::Udp(a, b)),
        3 => (select(vec![8u8, 8, 8, 0, 13, 14, 17, 18]), prop_oneof![1..3u16, any::<u16>()])
            .prop_map(|(t, id)| Kind::Icmp(t, 0, id)),
        1 => (select(vec![3u8, 11, 5, 9]), 0..5u8).prop_map(|(t, c)| Kind::Icmp(t, c, 0)),
        1 => select(vec![50u8, 47, 58, 132]).prop_map(Kind::Other),
    ]
}

fn hop_limit() -> impl Strategy<Value = u8> {
    prop_oneof![20 => Just(64u8), 1 => 1..4u8]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let all = PORTS.start..ENDPOINTS.end;
    let route = prop_oneof![
        6 => Just(Next::Router),
        2 => all.clone().prop_map(Next::Interface),
        1 => Just(Next::Nobody),
    ];
    let words =
        (ends(), kind(), hop_limit()).prop_map(|((source, destination), kind, hop_limit)| Words {
            source,
            destination,
            kind: of_family(kind, source.is_ipv6()),
            hop_limit,
            about: None,
        });
    let platform = select(vec![
        "169.254.169.254",
        "169.254.169.253",
        "169.254.169.123",
        "10.1.0.2",
        "10.3.0.2",
        "10.1.0.1",
        "169.254.170.2",
        "fd00:ec2::1",
        "fe80::1",
        "10.1.0.255",
        "10.1.1.1",
        "10.3.0.1",
        "fd00:ec2::254",
        "fd00:ec2::253",
        "fd00:ec2::123",
    ]);
    let asked = prop_oneof![
        select(vec![Kind::Tcp(1500, 80, 2), Kind::Udp(1500, 53), Kind::Udp(123, 123)]),
        kind(),
    ];
    let known = prop_oneof![
        4 => (0..6u8).prop_map(|n| IpAddr::from(public(n))),
        1 => (1..4u8).prop_map(|n| IpAddr::from(gateway_public(n))),
        2 => PORTS.prop_map(|port| IpAddr::from(private_ipv6(port, 0))),
    ];
    let outside = prop_oneof![
        5 => any::<bool>().prop_map(Outside::Host),
        3 => (0..6u8).prop_map(|n| Outside::Address(public(n).into())),
        1 => (1..4u8).prop_map(|n| Outside::Address(gateway_public(n).into())),
        2 => PORTS.prop_map(|port| Outside::Address(private_ipv6(port, 0).into())),
        1 => Just(Outside::Address(Ipv4Addr::new(8, 8, 8, 8).into())),
        3 => Just(Outside::Address(nat64_address(HOST).into())),
        1 => ipv4_addresses().prop_map(|to| Outside::Address(nat64_address(to).into())),
    ];
    let others = prop_oneof![9 => PORTS, 2 => ENDPOINTS, 1 => all];
    let called = prop_oneof![
        3 => (32_768..61_000u16, select(vec![80u16, 443]))
            .prop_map(|(a, b)| Kind::Tcp(a, b, 2)),
        1 => kind(),
    ];
    let ipv6 = || prop::bool::weighted(0.35);
    let which = || prop_oneof![3 => Just(0usize), 2 => 0..6usize];
    prop_oneof![
        4 => (prop_oneof![20 => 0..PORTS.end + 1, 1 => Just(99)], route, words).prop_map(|(p, r, w)| Event::Packet(p, r, w)),
        1 => (select(vec![2u32, 12]), select(vec![9u32, 10, 13]), kind(), hop_limit())
            .prop_map(|(a, b, k, h)| Event::Between(a, b, false, k, h)),
        8 => (PORTS, others, ipv6(), kind(), hop_limit())
            .prop_map(|(a, b, six, k, h)| Event::Between(a, b, six, k, h)),
        8 => (PORTS, outside, kind(), hop_limit())
            .prop_map(|(p, to, k, h)| Event::Outward(p, to, k, h)),
        2 => (PORTS, ENDPOINTS, called.clone(), hop_limit())
            .prop_map(|(a, b, k, h)| Event::Between(a, b, false, k, h)),
        2 => (PORTS, services(), called, hop_limit()).prop_map(|(p, to, k, h)| {
            Event::Outward(p, Outside::Address(to.parse().unwrap()), k, h)
        }),
        3 => (PORTS, platform, asked)
            .prop_map(|(p, a, k)| Event::Service(p, a.parse().unwrap(), k)),
        5 => (known, kind(), hop_limit()).prop_map(|(a, k, h)| Event::Inward(a, k, h)),
        12 => (which(), flags(), hop_limit()).prop_map(|(w, f, h)| Event::Answer(w, f, h)),
        8 => (which(), flags()).prop_map(|(w, f)| Event::GoOn(w, f)),
        2 => (which(), select(vec![3u8, 11, 4])).prop_map(|(w, t)| Event::Complain(w, t)),
        2 => which().prop_map(Event::SendOn),
        2 => select(vec![1, 9, 10, 29, 30, 31, 60, 100, 181, 349, 350, 600, 432_000])
            .prop_map(Event::Wait),
        6 => change().prop_map(Event::Change),
        1 => Just(Event::Expire),
        1 => (PORTS, addresses(), select(vec![22u16, 80]))
            .prop_map(|(p, a, d)| Event::Why(p, a, d)),
    ]
}

/// The packet of an event, where the event alone says all of it.
pub(crate) fn words_of(event: &Event) -> Option<(u32, Words)> {
    let words = |source, destination: IpAddr, kind, hop_limit| Words {
        source,
        destination,
        kind: of_family(kind, destination.is_ipv6()),
        hop_limit,
        about: None,
    };
    // Where an interface has one family only, it is that.
    let speaks = |port: u32, ipv6: bool| match subnet_of(port) {
        10 | 11 | 30 | 31 => ipv6,
        33 => true,
        _ => false,
    };
    let outside = |ipv6: bool| if ipv6 { HOST_IPV6.into() } else { IpAddr::from(HOST) };
    Some(match *event {
        Event::Between(from, to, six, kind, hop_limit) => {
            let six = speaks(from, six);
            (from, words(address(from, 0, six), address(to, 0, six), kind, hop_limit))
        }
        Event::Outward(from, to, kind, hop_limit) => {
            let to = match to {
                Outside::Host(six) => outside(speaks(from, six)),
                Outside::Address(to) => to,
            };
            (from, words(address(from, 0, to.is_ipv6()), to, kind, hop_limit))
        }
        Event::Inward(to, kind, hop_limit) => {
            (0, words(outside(to.is_ipv6()), to, kind, hop_limit))
        }
        Event::Service(from, to, kind) => {
            (from, words(address(from, 0, to.is_ipv6()), to, kind, 64))
        }
        _ => return None,
    })
}

/// A packet that answers one that arrived.
pub(crate) fn answer(words: &Words, flags: u8, hop_limit: u8) -> Words {
    let kind = match words.kind {
        Kind::Tcp(from, to, _) => Kind::Tcp(to, from, flags),
        Kind::Udp(from, to) => Kind::Udp(to, from),
        Kind::Icmp(128, code, identifier) => Kind::Icmp(129, code, identifier),
        Kind::Icmp(8, code, identifier) => Kind::Icmp(0, code, identifier),
        Kind::Icmp(kind @ (13 | 17), code, identifier) => Kind::Icmp(kind + 1, code, identifier),
        other => other,
    };
    let (source, destination) = (words.destination, words.source);
    Words { source, destination, kind, hop_limit, about: None }
}

/// An ICMP error of whoever got a packet, about it; none about an error (RFC 1122).
pub(crate) fn complaint(words: &Words, icmp_type: u8) -> Option<Words> {
    let Words { source, destination, kind, .. } = *words;
    let is_query =
        |icmp_type| [0, 8, 128, 129].contains(&icmp_type) || (13..19).contains(&icmp_type);
    if matches!(kind, Kind::Icmp(icmp_type, ..) if !is_query(icmp_type)) {
        return None;
    }
    Some(Words {
        source: destination,
        destination: source,
        kind: of_family(Kind::Icmp(icmp_type, 0, 0), source.is_ipv6()),
        hop_limit: 64,
        about: Some(About { source, destination, kind }),
    })
}
