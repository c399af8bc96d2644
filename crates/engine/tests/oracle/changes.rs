//! Changes of the records between packets: such as the API lets through, and a few that leave the
//! records in contradiction.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::testing::records;
use gureum_types::{
    AddressAssociationId, AllocationId, EgressOnlyInternetGatewayId, InternetGatewayId, IpProtocol,
    NatGatewayId, NetworkAclAssociationId, NetworkAclId, NetworkInterfaceId, PortIndex,
    PrefixListId, RouteTableAssociationId, RouteTableId, SecurityGroupId, SubnetId, Timestamp,
    TransitGatewayId, VpcEndpointId, VpcId, VpcPeeringConnectionId, VpnGatewayId,
    record::{
        Address, AddressAssociation, ConnectionTracking, NatGatewayState, Network, NetworkAcl,
        NetworkAclAssociation, NetworkAclEntry, NetworkInterface, PeeringStatus, PrefixListEntry,
        RestrictedSubnet, Route, RouteTable, RouteTableAssociation, RouteTarget, RulePeer, Traffic,
        VpcEndpointState,
    },
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::network::{
    self, ACLS, EDGE_TABLES, ENDPOINTS, GROUPS, PORTS, SUBNETS, TABLES, destination, eigw, eni,
    igw, nat, pcx, private, public, restore_interfaces, tgw, vgw, vpc_of, vpc_of_group, vpce,
};

/// A change of the records.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    AddRule(u64, bool, Traffic, RulePeer),
    RemoveRule(prop::sample::Index),
    ClearRules(u64),
    Groups(u32, Vec<u64>),
    SourceDestCheck(u32, bool),
    Tracking(u32, ConnectionTracking),
    PublicAddress(u32, Option<u8>),
    Elastic(u32, u8, u8),
    RemoveInterface(u32),
    RestoreInterfaces,
    Route(u64, &'static str, Option<RouteTarget>),
    Table(u64, Option<u64>),
    Acl(u64, Option<u64>),
    Entry(u64, u16, bool, Option<(bool, Traffic, &'static str)>),
    List(u64, Vec<&'static str>),
    Gateway(u64, Option<u64>),
    EgressOnly(u64, bool),
    NatGateway(u64, NatGatewayState),
    Peering(u64, PeeringStatus),
    /// Whether a virtual private gateway, or a transit gateway, is attached to a VPC.
    VpnGateway(u64, bool),
    TransitGateway(u64, bool),
    /// Whether a subnet lets only some through internet gateways, and whether answers are among it.
    Restrict(u64, Option<bool>),
    Endpoint(u64, VpcEndpointState),
    Edge(u64, bool),
    DnsSupport(u64, bool),
    RemoveGroup(u64),
    /// The rest are records that contradict each other.
    RemoveSubnet(u64),
    DefaultAcl(u64, bool),
    MainTable(u64, bool),
    /// Everything is as in the beginning.
    Heal,
}

pub(crate) fn traffic() -> impl Strategy<Value = Traffic> {
    let icmp = |protocol, icmp_type, icmp_code| Traffic::Icmp { protocol, icmp_type, icmp_code };
    let (v4, v6) = (IpProtocol::ICMP, IpProtocol::ICMPV6);
    prop_oneof![
        4 => Just(Traffic::All),
        2 => select(vec![
            records::tcp(0, 0xffff), records::tcp(22, 22), records::tcp(80, 443),
            records::tcp(1024, 0xffff), records::udp(0, 0xffff), records::udp(53, 53),
            records::udp(50, 2000),
        ]),
        2 => select(vec![
            records::all_icmp(), records::icmp(8), records::icmp(0), icmp(v4, Some(3), Some(4)),
            network::all_icmpv6(), icmp(v6, Some(128), None), icmp(v6, Some(129), Some(0)),
            icmp(v6, Some(2), Some(0)), icmp(v6, Some(8), None),
        ]),
        1 => select(vec![
            Traffic::Protocol(IpProtocol(50)), Traffic::Protocol(IpProtocol(47)),
            Traffic::Protocol(IpProtocol::TCP), Traffic::Protocol(IpProtocol::ICMPV6),
        ]),
    ]
}

/// Blocks of rules and entries.
fn blocks() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        3 => select(vec!["0.0.0.0/0", "::/0"]),
        2 => select(vec![
            "10.1.0.0/16", "10.1.1.0/24", "10.1.0.0/23", "10.2.0.0/16", "10.3.0.0/16",
            "10.1.2.38/32", "198.18.0.0/16", "198.18.1.0/24", "198.18.200.7/32", "10.1.1.18/32",
            "0.0.0.0/1", "2001:db8::/33", "2001:db8:0:100::/56", "2001:db8:0:301::/64",
            "2001:db8:8000::7/128", "8000::/1", "64:ff9b::/96",
        ]),
    ]
}

fn peers() -> impl Strategy<Value = RulePeer> {
    prop_oneof![
        4 => blocks().prop_map(network::peer),
        3 => (1..GROUPS + 2).prop_map(|group| RulePeer::Group(SecurityGroupId::new(group))),
        1 => (1..5u64).prop_map(|list| RulePeer::PrefixList(PrefixListId::new(list))),
    ]
}

fn target() -> impl Strategy<Value = RouteTarget> {
    prop_oneof![
        4 => (1..4u64).prop_map(igw),
        4 => (1..5u64).prop_map(nat),
        2 => (1..3u64).prop_map(eigw),
        3 => (1..4u64).prop_map(pcx),
        2 => select(vec![5, 5, 13, 13, 2, 3, 10, 14, 99]).prop_map(eni),
        1 => (1..3u64).prop_map(vgw),
        1 => (1..3u64).prop_map(tgw),
        2 => (1..6u64).prop_map(vpce),
        2 => select(vec![5, 5, 13, 13, 2, 3, 10, 14, 17, 99]).prop_map(eni),
        1 => Just(RouteTarget::Local),
    ]
}

/// Destinations of routes.
fn routed() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => select(vec!["0.0.0.0/0", "::/0"]),
        3 => select(vec![
            "198.18.0.0/16", "8.8.8.8/32", "10.1.0.0/16", "10.1.1.0/24", "10.1.0.0/24",
            "10.3.0.0/16", "10.3.1.0/24", "10.2.0.0/16", "pl-1", "pl-2", "pl-3", "pl-4", "2001:db8:0:100::/56",
            "2001:db8:0:101::/64", "2001:db8:0:300::/56", "2001:db8:8000::/33",
            "64:ff9b::/96", "64:ff9b::a01:0/112",
        ]),
    ]
}

/// Entries of the prefix lists: one holds IPv4, the other IPv6 (PL-1).
fn list() -> impl Strategy<Value = (u64, Vec<&'static str>)> {
    let v4 = vec![
        "198.18.0.0/16",
        "0.0.0.0/0",
        "10.1.0.0/16",
        "10.3.0.0/16",
        "10.1.1.0/24",
        "8.8.8.8/32",
    ];
    let v6 = vec!["2001:db8::/33", "::/0", "2001:db8:0:100::/56", "2001:db8:8000::/33"];
    prop_oneof![(Just(1u64), vec(select(v4), 0..4)), (Just(2u64), vec(select(v6), 0..4)),]
}

fn tracking() -> impl Strategy<Value = ConnectionTracking> {
    let pick = |from: Vec<u32>| prop::option::of(select(from));
    (pick(vec![60, 350]), pick(vec![30, 60]), pick(vec![60, 100])).prop_map(
        |(tcp_established, udp, udp_stream)| ConnectionTracking {
            tcp_established,
            udp,
            udp_stream,
        },
    )
}

fn edge_route() -> impl Strategy<Value = Change> {
    let first = select(vec!["10.1.0.0/16", "10.1.0.0/24", "10.1.2.0/24", "2001:db8:0:100::/64"]);
    let third = select(vec!["10.3.0.0/24", "10.3.2.0/24", "2001:db8:0:300::/64"]);
    let target =
        |port| prop_oneof![6 => Just(eni(port)), 1 => Just(eni(99)), 1 => Just(RouteTarget::Local)];
    prop_oneof![
        (first, prop::option::weighted(0.8, target(5))).prop_map(|(d, t)| Change::Route(13, d, t)),
        (third, prop::option::weighted(0.8, target(13))).prop_map(|(d, t)| Change::Route(34, d, t)),
    ]
}

/// Routes that make ways which chance alone hardly finds: gateways behind gateways, gateways before
/// themselves, appliances between subnets.
fn detour() -> impl Strategy<Value = Change> {
    let routes = vec![
        (10, "10.3.0.0/16", nat(1)),
        (10, "10.3.0.0/16", nat(2)),
        (12, "10.3.0.0/16", nat(2)),
        (12, "10.3.0.0/16", nat(2)),
        (12, "0.0.0.0/0", nat(1)),
        (12, "198.18.0.0/16", nat(2)),
        (11, "0.0.0.0/0", nat(2)),
        (10, "0.0.0.0/0", nat(1)),
        (10, "10.1.1.0/24", nat(1)),
        (10, "10.1.1.0/24", eni(5)),
        (11, "10.1.0.0/24", eni(5)),
        (11, "10.1.1.0/24", eni(5)),
        (11, "0.0.0.0/0", eni(5)),
        (12, "10.1.1.0/24", eni(2)),
        (10, "2001:db8:0:101::/64", eni(2)),
        (31, "2001:db8:0:100::/56", igw(3)),
        (30, "2001:db8:0:301::/64", eni(13)),
        (30, "10.3.1.0/24", eni(13)),
        (31, "0.0.0.0/0", eni(13)),
        (11, "::/0", igw(1)),
        (10, "::/0", eigw(1)),
        (30, "::/0", eigw(3)),
        (30, "10.1.1.0/24", pcx(2)),
        (30, "10.1.0.0/24", pcx(2)),
        (11, "0.0.0.0/0", igw(1)),
        (11, "0.0.0.0/0", vgw(1)),
        (10, "10.3.0.0/16", vgw(1)),
        (30, "0.0.0.0/0", tgw(3)),
        (31, "10.1.0.0/16", tgw(3)),
        (11, "pl-3", vpce(3)),
        (11, "pl-4", vpce(4)),
        (30, "pl-3", vpce(5)),
        (10, "203.0.113.129/32", igw(1)),
    ];
    select(routes).prop_map(|(table, to, target)| Change::Route(table, to, Some(target)))
}

/// What is changed before the first packet: worlds that chance alone hardly makes.
pub(crate) fn prelude() -> impl Strategy<Value = Vec<Change>> {
    let route = |table, to, target| Change::Route(table, to, Some(target));
    let deny =
        |acl, egress, traffic, block| Change::Entry(acl, 50, egress, Some((false, traffic, block)));
    select(vec![
        vec![],
        vec![],
        // A gateway behind a gateway, and through a peering connection.
        vec![route(10, "10.3.0.0/16", nat(1)), route(12, "10.3.0.0/16", nat(2))],
        vec![route(11, "10.3.0.0/16", nat(2)), route(10, "10.3.0.0/16", nat(2))],
        vec![route(10, "10.3.0.0/16", nat(1)), route(12, "10.3.0.0/16", nat(2))],
        // Within the VPC.
        vec![route(10, "10.1.1.0/24", nat(1)), route(12, "0.0.0.0/0", nat(1))],
        vec![route(11, "10.1.0.0/24", nat(1)), route(11, "10.1.1.0/24", nat(1))],
        // To gateways that carry nothing.
        vec![route(10, "0.0.0.0/0", vgw(1)), route(30, "10.1.0.0/16", tgw(3))],
        // An appliance between subnets, and before the internet.
        vec![
            route(10, "10.1.1.0/24", eni(5)),
            route(11, "10.1.0.0/24", eni(5)),
            route(11, "0.0.0.0/0", eni(5)),
        ],
        vec![
            route(13, "10.1.0.0/24", eni(5)),
            route(13, "10.1.2.0/24", eni(5)),
            route(34, "10.3.0.0/24", eni(13)),
            route(34, "2001:db8:0:300::/64", eni(13)),
            route(30, "0.0.0.0/0", eni(13)),
            route(30, "::/0", eni(13)),
        ],
        vec![
            Change::SourceDestCheck(5, true),
            Change::SourceDestCheck(13, true),
            route(10, "10.1.1.0/24", eni(5)),
            route(11, "10.1.0.0/24", eni(5)),
            route(30, "10.3.1.0/24", eni(13)),
            Change::DnsSupport(1, false),
            Change::DnsSupport(3, false),
        ],
        // Nothing gets into the first VPC by itself, and the third has both gateways.
        vec![
            Change::Gateway(1, None),
            Change::EgressOnly(3, true),
            route(31, "::/0", eigw(3)),
            route(10, "::/0", eigw(1)),
        ],
        vec![
            deny(10, true, records::tcp(80, 80), "0.0.0.0/0"),
            deny(11, false, records::udp(0, 0xffff), "10.1.1.0/24"),
            deny(30, false, Traffic::All, "2001:db8:8000::/33"),
            Change::Entry(31, 101, false, None),
            Change::Entry(20, 100, true, None),
        ],
        // What one family allows, the other does not.
        vec![
            Change::ClearRules(5),
            Change::ClearRules(6),
            Change::AddRule(5, true, Traffic::All, network::peer("::/0")),
            Change::AddRule(6, false, Traffic::All, network::peer("::/0")),
            Change::AddRule(6, true, Traffic::All, network::peer("0.0.0.0/0")),
        ],
    ])
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    use NatGatewayState::{Available, Deleting, Pending};
    use PeeringStatus::{Active, Deleted, PendingAcceptance};
    let entry = (any::<bool>(), traffic(), blocks());
    let usually = || prop::bool::weighted(0.7);
    prop_oneof![
        6 => (1..=GROUPS, any::<bool>(), traffic(), peers())
            .prop_map(|(g, e, t, p)| Change::AddRule(g, e, t, p)),
        5 => any::<prop::sample::Index>().prop_map(Change::RemoveRule),
        1 => (1..=GROUPS).prop_map(Change::ClearRules),
        2 => (prop_oneof![4 => PORTS, 1 => ENDPOINTS], vec(1..=GROUPS, 1..5))
            .prop_map(|(p, g)| Change::Groups(p, g)),
        2 => (prop_oneof![PORTS, Just(5), Just(13)], any::<bool>())
            .prop_map(|(p, on)| Change::SourceDestCheck(p, on)),
        2 => (PORTS, tracking()).prop_map(|(p, t)| Change::Tracking(p, t)),
        2 => (PORTS, prop::option::of(0..6u8)).prop_map(|(p, a)| Change::PublicAddress(p, a)),
        2 => (PORTS, 0..2u8, 0..6u8).prop_map(|(p, i, a)| Change::Elastic(p, i, a)),
        1 => (PORTS.start..ENDPOINTS.end).prop_map(Change::RemoveInterface),
        2 => Just(Change::RestoreInterfaces),
        6 => (select(TABLES.to_vec()), routed(), prop::option::weighted(0.8, target()))
            .prop_map(|(t, d, target)| Change::Route(t, d, target)),
        3 => edge_route(),
        6 => detour(),
        1 => (select(SUBNETS.to_vec()), prop::option::of(select(TABLES.to_vec())))
            .prop_map(|(s, t)| Change::Table(s, t)),
        1 => (select(SUBNETS.to_vec()), prop::option::of(select(ACLS.to_vec())))
            .prop_map(|(s, a)| Change::Acl(s, a)),
        6 => (select(ACLS.to_vec()), 1..120u16, any::<bool>(), prop::option::weighted(0.7, entry))
            .prop_map(|(acl, n, egress, e)| Change::Entry(acl, n, egress, e)),
        3 => list().prop_map(|(list, entries)| Change::List(list, entries)),
        2 => (1..4u64, prop::option::weighted(0.6, 1..4u64))
            .prop_map(|(g, vpc)| Change::Gateway(g, vpc)),
        2 => (select(vec![1u64, 3]), usually()).prop_map(|(vpc, on)| Change::EgressOnly(vpc, on)),
        1 => (1..4u64, select(vec![Available, Available, Deleting, Pending]))
            .prop_map(|(n, state)| Change::NatGateway(n, state)),
        2 => (1..3u64, select(vec![Active, Active, PendingAcceptance, Deleted]))
            .prop_map(|(n, status)| Change::Peering(n, status)),
        2 => (1..4u64, any::<bool>()).prop_map(|(vpc, on)| Change::VpnGateway(vpc, on)),
        2 => (1..4u64, any::<bool>()).prop_map(|(vpc, on)| Change::TransitGateway(vpc, on)),
        3 => (select(SUBNETS.to_vec()), prop::option::of(usually()))
            .prop_map(|(subnet, egress)| Change::Restrict(subnet, egress)),
        1 => (1..6u64, select(vec![VpcEndpointState::Available, VpcEndpointState::Pending]))
            .prop_map(|(n, state)| Change::Endpoint(n, state)),
        1 => (select(EDGE_TABLES.to_vec()), usually()).prop_map(|(t, on)| Change::Edge(t, on)),
        2 => (1..4u64, usually()).prop_map(|(vpc, on)| Change::DnsSupport(vpc, on)),
        1 => (1..=GROUPS).prop_map(Change::RemoveGroup),
        1 => select(SUBNETS.to_vec()).prop_map(Change::RemoveSubnet),
        1 => (1..4u64, usually()).prop_map(|(vpc, on)| Change::DefaultAcl(vpc, on)),
        1 => (1..4u64, usually()).prop_map(|(vpc, on)| Change::MainTable(vpc, on)),
        6 => Just(Change::Heal),
    ]
}

fn interface(network: &mut Network, port: u32) -> Option<&mut NetworkInterface> {
    let found = network.interfaces.iter_mut().find(|i| i.port == PortIndex(port));
    found.map(Arc::make_mut)
}

fn table(network: &mut Network, number: u64) -> Option<&mut RouteTable> {
    let id = RouteTableId::new(number);
    network.route_tables.iter_mut().find(|table| table.id == id).map(Arc::make_mut)
}

fn acl(network: &mut Network, number: u64) -> Option<&mut NetworkAcl> {
    let id = NetworkAclId::new(number);
    network.network_acls.iter_mut().find(|acl| acl.id == id).map(Arc::make_mut)
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

/// Makes a change; what cannot be done is not.
pub(crate) fn apply(network: &mut Network, change: &Change, serial: u64, far: bool) {
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
            // Not one that an interface has (SG-24).
            let id = SecurityGroupId::new(group);
            if network.interfaces.iter().all(|i| !i.groups.contains(&id)) {
                network.security_groups.retain(|known| known.id != id);
            }
        }
        Change::Groups(port, groups) => {
            // Those of the interface's VPC (SG-1).
            let vpc = vpc_of(network::subnet_of(port));
            let groups: Vec<_> = groups
                .into_iter()
                .filter(|group| vpc_of_group(*group) == vpc)
                .map(SecurityGroupId::new)
                .filter(|id| network.security_groups.iter().any(|known| known.id == *id))
                .collect();
            if let Some(interface) = interface(network, port).filter(|_| !groups.is_empty()) {
                interface.groups = groups;
            }
        }
        Change::SourceDestCheck(port, on) => {
            if let Some(interface) = interface(network, port) {
                interface.source_dest_check = on;
            }
        }
        Change::Tracking(port, tracking) => {
            if let Some(interface) = interface(network, port) {
                interface.connection_tracking = tracking;
            }
        }
        Change::PublicAddress(port, address) => {
            if let Some(address) = address {
                release(network, public(address));
            }
            if let Some(interface) =
                interface(network, port).filter(|i| !i.private_addresses.is_empty())
            {
                interface.auto_public_ip = address.map(public);
            }
        }
        Change::Elastic(port, index, address) => {
            release(network, public(address));
            network.addresses.push(Arc::new(Address {
                domain_name: None,
                allocation_id: AllocationId::new(serial),
                public_ip: public(address),
                association: Some(AddressAssociation {
                    id: AddressAssociationId::new(serial),
                    network_interface_id: NetworkInterfaceId::new(port.into()),
                    private_ip: private(port, index),
                }),
                created: Timestamp(0),
                tags: Default::default(),
            }));
        }
        Change::RemoveInterface(port) => {
            network.interfaces.retain(|i| i.port != PortIndex(port));
            let id = NetworkInterfaceId::new(port.into());
            for gateway in &mut network.nat_gateways {
                if gateway.network_interface_id.as_ref() == Some(&id) {
                    let gateway = Arc::make_mut(gateway);
                    gateway.state = NatGatewayState::Deleted;
                    gateway.network_interface_id = None;
                }
            }
        }
        Change::RestoreInterfaces => {
            for known in network::network(far).subnets {
                if !network.subnets.contains(&known) {
                    network.subnets.push(known);
                }
            }
            restore_interfaces(network);
        }
        Change::Route(number, to, target) => {
            let Some(table) = table(network, number) else { return };
            let destination = destination(to);
            table.routes.retain(|route| route.destination != destination);
            if let Some(target) = target {
                table.routes.push(Route { destination, target });
            }
        }
        Change::Table(subnet, number) => {
            let subnet = SubnetId::new(subnet);
            for known in &mut network.route_tables {
                let known = Arc::make_mut(known);
                known.associations.retain(|a| a.subnet_id.as_ref() != Some(&subnet));
                if number.map(RouteTableId::new).as_ref() == Some(&known.id) {
                    known.associations.push(RouteTableAssociation {
                        id: RouteTableAssociationId::new(serial),
                        subnet_id: Some(subnet.clone()),
                        gateway_id: None,
                        main: false,
                    });
                }
            }
        }
        Change::Acl(subnet, number) => {
            let subnet = SubnetId::new(subnet);
            for known in &mut network.network_acls {
                let known = Arc::make_mut(known);
                known.associations.retain(|a| a.subnet_id != subnet);
                if number.map(NetworkAclId::new).as_ref() == Some(&known.id) {
                    known.associations.push(NetworkAclAssociation {
                        id: NetworkAclAssociationId::new(serial),
                        subnet_id: subnet.clone(),
                    });
                }
            }
        }
        Change::Entry(number, rule_number, egress, entry) => {
            let Some(acl) = acl(network, number) else { return };
            acl.entries.retain(|e| (e.rule_number, e.egress) != (rule_number, egress));
            if let Some((allow, traffic, cidr)) = entry {
                let cidr = cidr.parse().unwrap();
                acl.entries.push(NetworkAclEntry { rule_number, egress, allow, traffic, cidr });
            }
        }
        Change::List(number, entries) => {
            let id = PrefixListId::new(number);
            if let Some(list) = network.prefix_lists.iter_mut().find(|list| list.id == id) {
                let entry = |block: &str| PrefixListEntry {
                    cidr: block.parse().unwrap(),
                    description: None,
                };
                Arc::make_mut(list).entries = entries.into_iter().map(entry).collect();
            }
        }
        Change::Gateway(gateway, vpc) => {
            // One gateway a VPC (IGW-1).
            let vpc = vpc.map(VpcId::new);
            for known in &mut network.internet_gateways {
                let known = Arc::make_mut(known);
                if known.id == InternetGatewayId::new(gateway) {
                    known.vpc_id = vpc.clone();
                } else if known.vpc_id == vpc {
                    known.vpc_id = None;
                }
            }
        }
        Change::EgressOnly(vpc, on) => {
            // One a VPC.
            let id = EgressOnlyInternetGatewayId::new(vpc);
            network.egress_only_internet_gateways.retain(|known| known.id != id);
            if on {
                let gateway = records::egress_only_internet_gateway(vpc, &VpcId::new(vpc));
                network.egress_only_internet_gateways.push(Arc::new(gateway));
            }
        }
        Change::VpnGateway(vpc, on) => {
            let id = VpnGatewayId::new(vpc);
            network.vpn_gateways.retain(|known| known.id != id);
            let attached = on.then(|| VpcId::new(vpc));
            network.vpn_gateways.push(Arc::new(records::vpn_gateway(vpc, attached.as_ref())));
        }
        Change::TransitGateway(vpc, on) => {
            let id = TransitGatewayId::new(vpc);
            network.transit_gateway_vpc_attachments.retain(|it| it.transit_gateway_id != id);
            let mut attachment = records::transit_gateway_attachment(vpc, &VpcId::new(vpc));
            attachment.deleted = (!on).then_some(Timestamp(0));
            network.transit_gateway_vpc_attachments.push(Arc::new(attachment));
        }
        Change::Restrict(subnet, egress) => {
            let subnet_id = SubnetId::new(subnet);
            network.restricted_subnets.retain(|known| known.subnet_id != subnet_id);
            network
                .restricted_subnets
                .extend(egress.map(|egress_allowed| {
                    Arc::new(RestrictedSubnet { subnet_id, egress_allowed })
                }));
        }
        Change::NatGateway(number, state) => {
            let id = NatGatewayId::new(number);
            for known in &mut network.nat_gateways {
                if known.id == id && known.network_interface_id.is_some() {
                    Arc::make_mut(known).state = state;
                }
            }
        }
        Change::Peering(number, status) => {
            let id = VpcPeeringConnectionId::new(number);
            for known in &mut network.vpc_peering_connections {
                if known.id == id {
                    Arc::make_mut(known).status = status;
                }
            }
        }
        Change::Endpoint(number, state) => {
            let id = VpcEndpointId::new(number);
            for known in network.vpc_endpoints.iter_mut().filter(|known| known.id == id) {
                Arc::make_mut(known).state = state;
            }
        }
        Change::Edge(number, on) => {
            let Some(table) = table(network, number) else { return };
            table.associations.retain(|a| a.gateway_id.is_none());
            if on {
                table.associations.push(network::edge_association(number));
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
        Change::DefaultAcl(vpc, on) => {
            if let Some(acl) = acl(network, vpc * 10) {
                acl.is_default = on;
            }
        }
        Change::MainTable(vpc, on) => {
            if let Some(table) = table(network, vpc * 10) {
                table.associations.retain(|a| !a.main);
                if on {
                    table.associations.push(RouteTableAssociation {
                        id: RouteTableAssociationId::new(serial),
                        subnet_id: None,
                        gateway_id: None,
                        main: true,
                    });
                }
            }
        }
        Change::Heal => *network = network::network(far),
    }
}
