//! Engine, engine with its cache flushed at every packet, and oracle agree on everything, on
//! generated VPCs whose records change between packets; and asking `why` changes nothing.

use std::{cell::Cell, collections::HashSet, net::Ipv4Addr, sync::Arc};

use gureum_engine::{
    Discard, DropReason, FABRIC_ROUTER_MAC, Limits, Verdict, WhyQuery, WhySource, WhyTraffic,
    expire,
    oracle::{Fate, Hop, Kind, Oracle, Words},
    testing::{
        Built, Ends, Lab, Sent,
        lab::{FABRIC, SECOND},
        packets, records,
        verify::{Seen, word},
    },
    why,
};
use gureum_types::{
    IpProtocol, NetworkInterfaceId, PortIndex, SecurityGroupId, ServiceDoor, SubnetId, VpcId,
    caller_address,
    record::{Network, RouteTarget, RulePeer, Traffic},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{FileFailurePersistence::WithSource, RngSeed, TestRunner},
};

/// Interfaces of two VPCs with the same block.
const PORTS: std::ops::Range<u32> = 2..9;
const GROUPS: u64 = 4;

/// The VPC of an interface, and its subnet (each VPC has three).
fn home(port: u32) -> (u64, u64) {
    let vpc = if port < 7 { 1 } else { 2 };
    (vpc, vpc * 10 + u64::from(port % 3))
}

fn subnet_block(subnet: u64) -> String {
    format!("10.1.{}.0/24", subnet % 10)
}

/// Its private addresses: two each, the same in both VPCs for ports that are five apart.
fn private(port: u32, index: u8) -> Ipv4Addr {
    let host = 10 + (port % 5) as u8 * 2 + index;
    Ipv4Addr::new(10, 1, (port % 3) as u8, host)
}

fn public(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, number)
}

fn addresses() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        8 => (PORTS, 0..2u8).prop_map(|(port, index)| private(port, index)),
        3 => (0..6u8).prop_map(public),
        2 => select(vec!["198.18.200.7", "198.19.0.1", "8.8.8.8"]).prop_map(|a| a.parse().unwrap()),
        2 => select(vec![
            "10.1.0.1", "10.1.0.2", "10.1.1.255", "10.1.9.9", "10.9.0.1", "192.168.0.1",
            "100.64.0.1", "169.254.169.254", "169.254.169.253", "169.254.169.123", "169.254.170.2",
            "169.254.1.1", "255.255.255.255", "224.0.0.1", "127.0.0.1", "0.0.0.0",
        ])
        .prop_map(|a| a.parse().unwrap()),
        1 => (0..4usize).prop_map(|door| ServiceDoor::ALL[door].address()),
        1 => (PORTS, 0..3u32).prop_map(|(p, i)| caller_address(PortIndex(p), i).unwrap()),
    ]
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let icmp = IpProtocol::ICMP;
    prop_oneof![
        4 => Just(Traffic::All),
        2 => select(vec![
            records::tcp(0, 0xffff), records::tcp(22, 22), records::tcp(80, 443),
            records::tcp(1024, 0xffff), records::udp(0, 0xffff), records::udp(53, 53),
            records::udp(50, 2000),
        ]),
        2 => select(vec![
            records::all_icmp(), records::icmp(8), records::icmp(0),
            Traffic::Icmp { protocol: icmp, icmp_type: Some(3), icmp_code: Some(4) },
            Traffic::Icmp { protocol: IpProtocol::ICMPV6, icmp_type: Some(8), icmp_code: None },
        ]),
        1 => select(vec![
            Traffic::Protocol(IpProtocol(50)), Traffic::Protocol(IpProtocol(47)),
            Traffic::Protocol(IpProtocol::TCP),
        ]),
    ]
}

fn blocks() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        3 => Just("0.0.0.0/0"),
        2 => select(vec![
            "10.1.0.0/16", "10.1.1.0/24", "10.1.0.0/23", "198.18.0.0/16", "198.18.200.7/32",
            "10.1.1.14/32", "0.0.0.0/1",
        ]),
    ]
}

fn peers() -> impl Strategy<Value = RulePeer> {
    prop_oneof![
        4 => blocks().prop_map(records::from_block),
        2 => (1..GROUPS + 2).prop_map(|group| RulePeer::Group(SecurityGroupId::new(group))),
        1 => Just(RulePeer::PrefixList(gureum_types::PrefixListId::new(1))),
        1 => Just(RulePeer::Ipv6("::/0".parse().unwrap())),
    ]
}

fn target() -> impl Strategy<Value = RouteTarget> {
    prop_oneof![
        4 => (1..4u64).prop_map(|n| {
            RouteTarget::InternetGateway(gureum_types::InternetGatewayId::new(n))
        }),
        2 => (PORTS.start..PORTS.end + 1)
            .prop_map(|port| RouteTarget::NetworkInterface(NetworkInterfaceId::new(port.into()))),
        1 => Just(RouteTarget::Local),
    ]
}

fn destination() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("0.0.0.0/0"),
        2 => select(vec!["198.18.0.0/16", "10.1.0.0/16", "10.1.1.0/24", "8.8.8.8/32"]),
    ]
}

/// A change of the records.
#[derive(Clone, Debug)]
enum Change {
    AddRule(u64, bool, Traffic, RulePeer),
    RemoveRule(prop::sample::Index),
    ClearRules(u64),
    Groups(u32, Vec<u64>),
    SourceDestCheck(u32, bool),
    PublicAddress(u32, Option<u8>),
    Elastic(u32, u8, u8),
    RemoveInterface(u32),
    RestoreInterfaces,
    Route(u64, &'static str, Option<RouteTarget>),
    Table(u64, Option<u64>),
    Acl(u64, Option<u64>),
    Entry(u64, u16, bool, Option<(bool, Traffic, &'static str)>),
    Gateway(u64, Option<u64>),
    DnsSupport(u64, bool),
    RemoveGroup(u64),
    RemoveSubnet(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let entry = (any::<bool>(), traffic(), blocks());
    prop_oneof![
        6 => (1..=GROUPS, any::<bool>(), traffic(), peers())
            .prop_map(|(g, e, t, p)| Change::AddRule(g, e, t, p)),
        6 => any::<prop::sample::Index>().prop_map(Change::RemoveRule),
        1 => (1..=GROUPS).prop_map(Change::ClearRules),
        2 => (PORTS, vec(1..=GROUPS, 1..3)).prop_map(|(p, g)| Change::Groups(p, g)),
        1 => (PORTS, any::<bool>()).prop_map(|(p, on)| Change::SourceDestCheck(p, on)),
        2 => (PORTS, prop::option::of(0..6u8)).prop_map(|(p, a)| Change::PublicAddress(p, a)),
        2 => (PORTS, 0..2u8, 0..6u8).prop_map(|(p, i, a)| Change::Elastic(p, i, a)),
        1 => PORTS.prop_map(Change::RemoveInterface),
        1 => Just(Change::RestoreInterfaces),
        3 => (1..5u64, destination(), prop::option::weighted(0.8, target()))
            .prop_map(|(t, d, target)| Change::Route(t, d, target)),
        1 => (0..6u64, prop::option::of(1..5u64)).prop_map(|(s, t)| Change::Table(subnet(s), t)),
        1 => (0..6u64, prop::option::of(1..5u64)).prop_map(|(s, a)| Change::Acl(subnet(s), a)),
        5 => (1..5u64, 1..120u16, any::<bool>(), prop::option::weighted(0.7, entry))
            .prop_map(|(acl, n, egress, e)| Change::Entry(acl, n, egress, e)),
        1 => (1..3u64, prop::option::weighted(0.8, 1..3u64))
            .prop_map(|(g, vpc)| Change::Gateway(g, vpc)),
        1 => (1..3u64, any::<bool>()).prop_map(|(vpc, on)| Change::DnsSupport(vpc, on)),
        1 => (1..=GROUPS).prop_map(Change::RemoveGroup),
        1 => (0..6u64).prop_map(|s| Change::RemoveSubnet(subnet(s))),
    ]
}

fn subnet(index: u64) -> u64 {
    (index / 3 + 1) * 10 + index % 3
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// A packet, of whatever ends.
    Packet(u32, Next, Words),
    /// A packet from one interface to another, well-formed.
    Between(u32, u32, Kind),
    /// A packet from an interface to the outside.
    Outward(u32, Kind),
    /// A packet from the outside.
    Inward(Ipv4Addr, Kind),
    /// A packet to a service of the platform.
    Service(u32, Ipv4Addr, Kind),
    /// An answer to the last packet that arrived, with TCP flags.
    Answer(u8),
    /// The sender of the last packet that arrived goes on, with TCP flags.
    GoOn(u8),
    Wait(u64),
    Change(Change),
    Expire,
    Why(u32, Ipv4Addr, u16),
}

/// How a frame is addressed.
#[derive(Clone, Copy, Debug)]
enum Next {
    Router,
    Interface(u32),
    Nobody,
}

fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        5 => Just(2u8), 4 => Just(16), 4 => Just(18), 2 => Just(17), 2 => Just(4),
        1 => any::<u8>().prop_map(|bits| bits & 0x3f),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let port = || select(vec![22u16, 80, 53, 25, 123, 1500, 40_000]);
    prop_oneof![
        5 => (port(), port(), flags()).prop_map(|(a, b, f)| Kind::Tcp(a, b, f)),
        3 => (port(), port()).prop_map(|(a, b)| Kind::Udp(a, b)),
        3 => (select(vec![8u8, 8, 8, 0, 13, 14, 17, 18]), 1..3u16)
            .prop_map(|(t, id)| Kind::Icmp(t, 0, id)),
        1 => (select(vec![3u8, 11, 5, 9]), 0..5u8).prop_map(|(t, c)| Kind::Icmp(t, c, 0)),
        1 => select(vec![50u8, 47, 58, 132]).prop_map(Kind::Other),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let route = prop_oneof![
        6 => Just(Next::Router),
        2 => PORTS.prop_map(Next::Interface),
        1 => Just(Next::Nobody),
    ];
    let words = (addresses(), addresses(), kind()).prop_map(|(source, destination, kind)| Words {
        source,
        destination,
        kind,
    });
    prop_oneof![
        4 => (0..PORTS.end + 1, route, words).prop_map(|(p, r, w)| Event::Packet(p, r, w)),
        6 => (PORTS, PORTS, kind()).prop_map(|(a, b, k)| Event::Between(a, b, k)),
        4 => (PORTS, kind()).prop_map(|(p, k)| Event::Outward(p, k)),
        2 => (PORTS, select(vec!["169.254.169.254", "169.254.169.253", "169.254.169.123", "10.1.0.2"]),
            prop_oneof![
                select(vec![Kind::Tcp(1500, 80, 2), Kind::Udp(1500, 53), Kind::Udp(123, 123)]),
                kind(),
            ])
            .prop_map(|(p, a, k)| Event::Service(p, a.parse().unwrap(), k)),
        4 => ((0..6u8).prop_map(public), kind()).prop_map(|(a, k)| Event::Inward(a, k)),
        10 => flags().prop_map(Event::Answer),
        8 => flags().prop_map(Event::GoOn),
        2 => select(vec![1, 9, 10, 29, 30, 31, 60, 100, 181, 600, 432_000]).prop_map(Event::Wait),
        4 => change().prop_map(Event::Change),
        1 => Just(Event::Expire),
        1 => (PORTS, addresses(), select(vec![22u16, 80])).prop_map(|(p, a, d)| Event::Why(p, a, d)),
    ]
}

/// Two VPCs to begin with: internet gateways, open groups, default ACLs.
fn network() -> Network {
    let mut network = Network {
        dhcp_options: vec![Arc::new(records::default_dhcp_options())],
        ..Network::default()
    };
    for vpc in 1..3u64 {
        let record = records::vpc(vpc, records::block("10.1.0.0/16"));
        let id = record.id.clone();
        network.vpcs.push((records::region(), Arc::new(record)));
        let gateway = records::internet_gateway(vpc, Some(&id));
        let default =
            (records::block("0.0.0.0/0"), RouteTarget::InternetGateway(gateway.id.clone()));
        network.internet_gateways.push(Arc::new(gateway));
        let subnets: Vec<_> = (0..3)
            .map(|n| records::subnet(vpc * 10 + n, &id, records::block(&subnet_block(n))))
            .collect();
        let ids: Vec<SubnetId> = subnets.iter().map(|s| s.id.clone()).collect();
        network.subnets.extend(subnets.into_iter().map(Arc::new));
        let main = records::route_table(vpc, &id, true, &[], std::slice::from_ref(&default));
        let other = records::route_table(vpc + 2, &id, false, &ids[..1], &[default]);
        network.route_tables.extend([Arc::new(main), Arc::new(other)]);
        let all = |n, egress| (n, egress, true, Traffic::All, records::block("0.0.0.0/0"));
        let acl = records::network_acl(vpc, &id, true, &[], &[all(100, true), all(100, false)]);
        let custom =
            records::network_acl(vpc + 2, &id, false, &ids[2..], &[all(50, true), all(50, false)]);
        network.network_acls.extend([Arc::new(acl), Arc::new(custom)]);
    }
    for group in 1..=GROUPS {
        let vpc = VpcId::new(1 + group / 4);
        network.security_groups.push(Arc::new(records::security_group(group, &vpc, "g")));
    }
    let rules = [
        (1, true, Traffic::All, records::anywhere()),
        (1, false, records::tcp(22, 80), records::anywhere()),
        (1, false, records::all_icmp(), records::anywhere()),
        (2, true, Traffic::All, records::from_block("10.1.0.0/16")),
        (2, false, Traffic::All, RulePeer::Group(SecurityGroupId::new(1))),
        (3, true, Traffic::All, records::anywhere()),
        (3, false, records::udp(53, 53), records::from_block("0.0.0.0/0")),
        (3, false, records::tcp(80, 80), records::from_block("198.18.0.0/16")),
        (4, true, Traffic::All, records::anywhere()),
        (4, false, Traffic::All, records::anywhere()),
    ];
    for ((group, egress, traffic, peer), number) in rules.into_iter().zip(1..) {
        let rule = records::rule(number, &SecurityGroupId::new(group), egress, traffic, peer);
        network.security_group_rules.push(Arc::new(rule));
    }
    restore_interfaces(&mut network);
    network
}

fn restore_interfaces(network: &mut Network) {
    for port in PORTS {
        if network.interfaces.iter().any(|i| i.port == PortIndex(port)) {
            continue;
        }
        let (_, subnet) = home(port);
        let subnet = network.subnets.iter().find(|s| s.id == SubnetId::new(subnet)).unwrap();
        let group = if home(port).0 == 2 { 4 } else { u64::from(port % 3) + 1 };
        let record = records::interface(
            PortIndex(port),
            subnet,
            &[private(port, 0), private(port, 1)],
            &[SecurityGroupId::new(group)],
            (port % 2 == 0).then(|| public(port as u8 / 2)),
        );
        network.interfaces.push(Arc::new(record));
    }
    network.interfaces.sort_by_key(|i| i.port);
}

/// Gives a public address to one holder at a time.
fn release(network: &mut Network, address: Ipv4Addr) {
    for interface in &mut network.interfaces {
        if interface.auto_public_ip == Some(address) {
            Arc::make_mut(interface).auto_public_ip = None;
        }
    }
    network.addresses.retain(|a| a.public_ip != address);
}

fn apply(network: &mut Network, change: &Change, serial: u64) {
    let port_of = |port: u32| {
        move |i: &&mut Arc<_>| -> bool {
            let i: &Arc<gureum_types::record::NetworkInterface> = i;
            i.port == PortIndex(port)
        }
    };
    match change.clone() {
        Change::AddRule(group, egress, traffic, peer) => {
            let group = SecurityGroupId::new(group);
            let rule = records::rule(1000 + serial, &group, egress, traffic, peer);
            network.security_group_rules.push(Arc::new(rule));
        }
        Change::RemoveRule(index) => {
            if !network.security_group_rules.is_empty() {
                let at = index.index(network.security_group_rules.len());
                network.security_group_rules.remove(at);
            }
        }
        Change::ClearRules(group) => {
            let group = SecurityGroupId::new(group);
            network.security_group_rules.retain(|rule| rule.group_id != group);
        }
        Change::RemoveGroup(group) => {
            let group = SecurityGroupId::new(group);
            network.security_groups.retain(|known| known.id != group);
        }
        Change::Groups(port, groups) => {
            if let Some(i) = network.interfaces.iter_mut().find(port_of(port)) {
                Arc::make_mut(i).groups = groups.into_iter().map(SecurityGroupId::new).collect();
            }
        }
        Change::SourceDestCheck(port, on) => {
            if let Some(i) = network.interfaces.iter_mut().find(port_of(port)) {
                Arc::make_mut(i).source_dest_check = on;
            }
        }
        Change::PublicAddress(port, address) => {
            if let Some(address) = address {
                release(network, public(address));
            }
            if let Some(i) = network.interfaces.iter_mut().find(port_of(port)) {
                Arc::make_mut(i).auto_public_ip = address.map(public);
            }
        }
        Change::Elastic(port, index, address) => {
            release(network, public(address));
            network.addresses.push(Arc::new(gureum_types::record::Address {
                allocation_id: gureum_types::AllocationId::new(serial),
                public_ip: public(address),
                association: Some(gureum_types::record::AddressAssociation {
                    id: gureum_types::AddressAssociationId::new(serial),
                    network_interface_id: NetworkInterfaceId::new(port.into()),
                    private_ip: private(port, index),
                }),
                created: gureum_types::Timestamp(0),
                tags: Default::default(),
            }));
        }
        Change::RemoveInterface(port) => network.interfaces.retain(|i| i.port != PortIndex(port)),
        Change::RestoreInterfaces => {
            for known in self::network().subnets {
                if !network.subnets.contains(&known) {
                    network.subnets.push(known);
                }
            }
            restore_interfaces(network);
        }
        Change::Route(table, destination, target) => {
            let id = gureum_types::RouteTableId::new(table);
            let Some(table) = network.route_tables.iter_mut().find(|t| t.id == id) else { return };
            let table = Arc::make_mut(table);
            let destination =
                gureum_types::record::RouteDestination::Ipv4(records::block(destination));
            table.routes.retain(|route| route.destination != destination);
            if let Some(target) = target {
                table.routes.push(gureum_types::record::Route { destination, target });
            }
        }
        Change::Table(subnet, table) => {
            for known in &mut network.route_tables {
                let known = Arc::make_mut(known);
                known.associations.retain(|a| a.subnet_id != Some(SubnetId::new(subnet)));
                if table.map(gureum_types::RouteTableId::new).as_ref() == Some(&known.id) {
                    known.associations.push(gureum_types::record::RouteTableAssociation {
                        id: gureum_types::RouteTableAssociationId::new(serial),
                        subnet_id: Some(SubnetId::new(subnet)),
                        gateway_id: None,
                        main: false,
                    });
                }
            }
        }
        Change::Acl(subnet, acl) => {
            for known in &mut network.network_acls {
                let known = Arc::make_mut(known);
                known.associations.retain(|a| a.subnet_id != SubnetId::new(subnet));
                if acl.map(gureum_types::NetworkAclId::new).as_ref() == Some(&known.id) {
                    known.associations.push(gureum_types::record::NetworkAclAssociation {
                        id: gureum_types::NetworkAclAssociationId::new(serial),
                        subnet_id: SubnetId::new(subnet),
                    });
                }
            }
        }
        Change::Entry(acl, rule_number, egress, entry) => {
            let id = gureum_types::NetworkAclId::new(acl);
            let Some(acl) = network.network_acls.iter_mut().find(|a| a.id == id) else { return };
            let acl = Arc::make_mut(acl);
            acl.entries.retain(|e| (e.rule_number, e.egress) != (rule_number, egress));
            if let Some((allow, traffic, cidr)) = entry {
                acl.entries.push(gureum_types::record::NetworkAclEntry {
                    rule_number,
                    egress,
                    allow,
                    traffic,
                    cidr: records::block(cidr).into(),
                });
            }
        }
        Change::Gateway(gateway, vpc) => {
            // One gateway a VPC (IGW-1).
            let vpc = vpc.map(VpcId::new);
            for known in &mut network.internet_gateways {
                let known = Arc::make_mut(known);
                if known.id == gureum_types::InternetGatewayId::new(gateway) {
                    known.vpc_id = vpc.clone();
                } else if known.vpc_id == vpc {
                    known.vpc_id = None;
                }
            }
        }
        Change::DnsSupport(vpc, on) => {
            let vpc = VpcId::new(vpc);
            for (_, known) in network.vpcs.iter_mut().filter(|(_, v)| v.id == vpc) {
                Arc::make_mut(known).enable_dns_support = on;
            }
        }
        Change::RemoveSubnet(subnet) => {
            network.subnets.retain(|known| known.id != SubnetId::new(subnet));
        }
    }
}

fn build(ends: &Ends, kind: Kind) -> Built {
    match kind {
        Kind::Tcp(from, to, flags) => packets::tcp(ends, (from, to), flags, b"data"),
        Kind::Udp(from, to) => packets::udp(ends, (from, to), b"data"),
        Kind::Icmp(icmp_type, code, identifier) => {
            let [a, b] = identifier.to_be_bytes();
            packets::icmp(ends, (icmp_type, code), [a, b, 0, 0], b"payload")
        }
        Kind::Other(protocol) => packets::ip(ends, protocol, &[0; 24]),
    }
}

fn ipv4(address: std::net::IpAddr) -> Ipv4Addr {
    match address {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(address) => panic!("{address}"),
    }
}

fn words(frame: &[u8]) -> Words {
    let seen = Seen::ip(frame);
    let kind = match seen.protocol {
        6 => Kind::Tcp(seen.ports().0, seen.ports().1, seen.payload[13]),
        17 => Kind::Udp(seen.ports().0, seen.ports().1),
        1 => Kind::Icmp(seen.payload[0], seen.payload[1], word(&seen.payload, 4)),
        other => Kind::Other(other),
    };
    Words { source: ipv4(seen.source), destination: ipv4(seen.destination), kind }
}

fn fate(sent: &Sent) -> Fate {
    match sent.verdict {
        Verdict::Forward(port) => {
            let seen = Seen::ip(&sent.built.frame);
            Fate::Arrives(port, ipv4(seen.source), ipv4(seen.destination))
        }
        Verdict::Drop(reason) => Fate::Dropped(reason.name()),
        Verdict::Reply => Fate::Dropped("reply"),
    }
}

/// Three engines and the oracle, side by side.
struct Trial {
    cached: Lab,
    flushed: Lab,
    oracle: Oracle,
    last: Option<(PortIndex, Words, PortIndex, Words)>,
    serial: u64,
    /// Packets that were judged.
    packets: u64,
    /// Their flows, whichever way: by the sender's port, addresses, protocol and ports.
    flows: HashSet<(PortIndex, Ipv4Addr, Ipv4Addr, [u16; 3])>,
}

impl Trial {
    fn new(loose: bool) -> Self {
        let limits = Limits { cache: 64, ..Limits::default() };
        let mut cached = Lab::with(network(), limits);
        let mut oracle = Oracle::default();
        if loose {
            cached.state.set_loose_until(40 * SECOND);
            oracle.set_loose_until(40 * SECOND);
        }
        let flushed = cached.clone();
        let flows = HashSet::new();
        Self { flushed, cached, oracle, last: None, serial: 0, packets: 0, flows }
    }

    fn router_mac(&mut self, port: u32) -> [u8; 6] {
        let (_, subnet) = home(port);
        let router = Ipv4Addr::new(10, 1, (subnet % 10) as u8, 1);
        self.cached.arp(PortIndex(port), router).unwrap_or([2; 6])
    }

    /// Sends a packet through everything, and compares.
    fn send(&mut self, port: u32, hop: Hop, words: Words) -> Result<(), TestCaseError> {
        let at = PortIndex(port);
        let known = self.cached.network.interfaces.iter().find(|i| i.port == at).cloned();
        let (source_mac, destination_mac) = match at {
            PortIndex::INTERNET => (FABRIC.internet_mac, FABRIC_ROUTER_MAC),
            PortIndex::SERVICES => (FABRIC.services_mac, FABRIC_ROUTER_MAC),
            _ => {
                let own = known.map_or([2; 6], |i| i.mac);
                let to = match hop {
                    Hop::Router => self.router_mac(port),
                    Hop::Interface(PortIndex(other)) => [2, 0, 0, 0, 0, other as u8],
                    Hop::Nobody => [2, 0xde, 0xad, 0, 0, 1],
                };
                (own, to)
            }
        };
        // The other engine sees the same ARP requests, so that their counters agree.
        if hop == Hop::Router && port > 1 {
            let network = &mut self.flushed;
            let (_, subnet) = home(port);
            if network.network.interfaces.iter().any(|i| i.port == at) {
                network.arp(at, Ipv4Addr::new(10, 1, (subnet % 10) as u8, 1));
            }
        }
        let ends = Ends {
            source_mac,
            destination_mac,
            source: words.source.into(),
            destination: words.destination.into(),
        };
        let built = build(&ends, words.kind);
        self.flushed.state.flush_cache();
        let expected = self.oracle.ask(&self.cached.network, at, hop, words, self.cached.now);
        let first = self.cached.send(at, built.clone());
        let second = self.flushed.send(at, built);
        prop_assert_eq!(&fate(&first), &expected, "{:?} {:?} {:?}", at, hop, words);
        prop_assert_eq!(&first, &second);
        self.packets += 1;
        let ports = match words.kind {
            Kind::Tcp(from, to, _) => [6, from, to],
            Kind::Udp(from, to) => [17, from, to],
            Kind::Icmp(icmp_type, _, identifier) => [1, icmp_type.into(), identifier],
            Kind::Other(number) => [number.into(), 0, 0],
        };
        self.flows.insert((at, words.source, words.destination, ports));
        if let Verdict::Forward(to) = first.verdict {
            self.last = Some((at, words, to, self::words(&first.built.frame)));
        }
        Ok(())
    }

    /// Sends as a guest does: to the router, or to a neighbour.
    fn send_from(&mut self, port: u32, words: Words) -> Result<(), TestCaseError> {
        if port < 2 {
            return self.send(port, Hop::Router, words);
        }
        let network = &self.cached.network;
        if !network.interfaces.iter().any(|i| i.port == PortIndex(port)) {
            return Ok(());
        }
        let (_, subnet) = home(port);
        let near = network
            .interfaces
            .iter()
            .find(|i| {
                i.subnet_id == SubnetId::new(subnet)
                    && i.private_addresses.contains(&words.destination)
            })
            .map(|i| i.port);
        self.send(port, near.map_or(Hop::Router, Hop::Interface), words)
    }

    fn step(&mut self, event: &Event) -> Result<(), TestCaseError> {
        self.serial += 1;
        match event.clone() {
            Event::Packet(port, route, words) => {
                let absent = !self.cached.network.interfaces.iter().any(|i| i.port.0 == port);
                if port > 1 && absent {
                    return Ok(());
                }
                let hop = match route {
                    Next::Router => Hop::Router,
                    Next::Interface(other) => Hop::Interface(PortIndex(other)),
                    Next::Nobody => Hop::Nobody,
                };
                self.send(port, hop, words)
            }
            Event::Between(from, to, kind) => {
                let words = Words { source: private(from, 0), destination: private(to, 0), kind };
                self.send_from(from, words)
            }
            Event::Outward(from, kind) => {
                let destination = Ipv4Addr::new(198, 18, 200, 7);
                self.send_from(from, Words { source: private(from, 0), destination, kind })
            }
            Event::Service(from, destination, kind) => {
                self.send_from(from, Words { source: private(from, 0), destination, kind })
            }
            Event::Inward(destination, kind) => {
                let source = Ipv4Addr::new(198, 18, 200, 7);
                self.send(0, Hop::Router, Words { source, destination, kind })
            }
            Event::Answer(flags) => {
                let Some((_, _, port, words)) = self.last else { return Ok(()) };
                let kind = match words.kind {
                    Kind::Tcp(from, to, _) => Kind::Tcp(to, from, flags),
                    Kind::Udp(from, to) => Kind::Udp(to, from),
                    Kind::Icmp(8, code, identifier) => Kind::Icmp(0, code, identifier),
                    Kind::Icmp(13, code, identifier) => Kind::Icmp(14, code, identifier),
                    other => other,
                };
                let (source, destination) = (words.destination, words.source);
                self.send_from(port.0, Words { source, destination, kind })
            }
            Event::GoOn(flags) => {
                let Some((port, words, ..)) = self.last else { return Ok(()) };
                let kind = match words.kind {
                    Kind::Tcp(from, to, _) => Kind::Tcp(from, to, flags),
                    other => other,
                };
                self.send_from(port.0, Words { kind, ..words })
            }
            Event::Wait(seconds) => {
                self.cached.wait(seconds * SECOND);
                self.flushed.wait(seconds * SECOND);
                Ok(())
            }
            Event::Change(change) => {
                let serial = self.serial;
                self.cached.change(|network| apply(network, &change, serial));
                self.flushed.network = self.cached.network.clone();
                self.flushed.policy = Arc::clone(&self.cached.policy);
                Ok(())
            }
            Event::Expire => {
                self.cached.expire();
                self.flushed.expire();
                Ok(())
            }
            Event::Why(port, destination, destination_port) => {
                let query = WhyQuery {
                    source: WhySource::Interface { port: PortIndex(port), address: None },
                    destination: destination.into(),
                    traffic: WhyTraffic::Tcp { source_port: 40_000, destination_port },
                };
                let before = self.cached.state.clone();
                let now = self.cached.now;
                let first = why(&self.cached.policy, &mut self.cached.state, &query, now);
                prop_assert!(self.cached.state == before, "asking changed the state");
                let second = why(&self.cached.policy, &mut self.cached.state, &query, now);
                prop_assert_eq!(first, second);
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Result<(), TestCaseError> {
        prop_assert!(self.cached.state == self.flushed.state, "the cache had a visible effect");
        prop_assert_eq!(&self.cached.journal, &self.flushed.journal);
        // What has timed out or went with its interface is looked at lazily: let it settle.
        let Lab { policy, mut state, now, network, .. } = self.cached;
        state.adopt(&policy, &mut Discard);
        for _ in 0..4 {
            expire(&mut state, now, &mut Discard);
        }
        let nobody = Ipv4Addr::UNSPECIFIED;
        let words = Words { source: nobody, destination: nobody, kind: Kind::Other(99) };
        self.oracle.ask(&network, PortIndex::INTERNET, Hop::Router, words, now);
        prop_assert_eq!(state.tracked_flows() as usize, self.oracle.tracked_flows(now));
        Ok(())
    }
}

/// Flows that a usual run judges; `GUREUM_ORACLE_FLOWS` asks for more, as at night.
const FLOWS: usize = 20_000;
/// Histories that share a seed, some 125 events each.
const BATCH: u32 = 100;

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// `PROPTEST_RNG_SEED` with the number that is printed repeats a run.
#[test]
fn engine_and_oracle_agree_packet_by_packet() {
    let wanted = number("GUREUM_ORACLE_FLOWS").map_or(FLOWS, |flows| flows as usize);
    let first = number("PROPTEST_RNG_SEED").unwrap_or_else(|| rand_seed(std::process::id()));
    let (packets, flows) = (Cell::new(0), Cell::new(0));
    let began = std::time::Instant::now();
    let mut seed = first;
    while flows.get() < wanted {
        println!("PROPTEST_RNG_SEED={seed}");
        let config = ProptestConfig {
            cases: BATCH,
            rng_seed: RngSeed::Fixed(seed),
            max_shrink_iters: 4000,
            source_file: Some(file!()),
            // What is found is kept beside this file.
            failure_persistence: Some(Box::new(WithSource("proptest-regressions"))),
            ..ProptestConfig::default()
        };
        let histories = (prop::bool::weighted(0.2), vec(event(), 1..250));
        let outcome = TestRunner::new(config).run(&histories, |(loose, events)| {
            let mut trial = Trial::new(loose);
            for event in &events {
                trial.step(event)?;
            }
            packets.set(packets.get() + trial.packets);
            flows.set(flows.get() + trial.flows.len());
            trial.finish()
        });
        if let Err(error) = outcome {
            panic!("PROPTEST_RNG_SEED={seed}: {error}");
        }
        seed += 1;
    }
    let (packets, flows, seconds) = (packets.get(), flows.get(), began.elapsed().as_secs_f64());
    println!("{flows} flows in {packets} packets, {:.0} flows a second", flows as f64 / seconds);
}

/// Another number each time.
fn rand_seed(process: u32) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(process) >> 16
}

#[test]
fn the_names_of_the_oracle_are_the_engines() {
    for name in [
        "unknown-port",
        "broken-interface",
        "broadcast",
        "multicast",
        "source-check",
        "unknown-destination-mac",
        "network-acl-missing",
        "network-acl-egress",
        "network-acl-ingress",
        "route-table-missing",
        "no-route",
        "route-blackhole",
        "router-address",
        "no-such-address",
        "gateway-spoofed",
        "gateway-private-address",
        "no-public-address",
        "smtp-blocked",
        "unknown-public-address",
        "destination-check",
        "security-group-egress",
        "security-group-ingress",
        "tcp-not-tracked",
        "link-local-destination",
        "resolver-disabled",
        "service-port-closed",
        "service-caller-unknown",
    ] {
        assert!(DropReason::NAMES.contains(&name), "{name}");
    }
}
