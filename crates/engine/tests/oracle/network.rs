//! The VPCs that histories begin with.
//!
//! 1 has two IPv4 blocks and IPv6 in two subnets, gateways of all kinds and an appliance. 2 has the
//! same IPv4 block. 1 and 3 have endpoints of both kinds. 3 has a subnet with both families, one with IPv4 and one with IPv6 only; it is
//! peered with 1 and 2.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, LazyLock},
};

use gureum_engine::{
    Limits,
    testing::{Lab, packets, records},
};
use gureum_types::{
    AddressAssociationId, AllocationId, EgressOnlyInternetGatewayId, InternetGatewayId, IpProtocol,
    NatGatewayId, NetworkInterfaceId, PortIndex, PrefixListId, SecurityGroupId, SubnetId,
    Timestamp, TransitGatewayId, VpcEndpointId, VpcId, VpcPeeringConnectionId, VpnGatewayId,
    record::{
        Address, AddressAssociation, Network, NetworkAclEntry, Route, RouteDestination,
        RouteTableAssociation, RouteTarget, RulePeer, Traffic, router_address,
    },
};
use ipnet::IpNet;

/// Interfaces of instances.
pub(crate) const PORTS: std::ops::Range<u32> = 2..14;
/// Interfaces of NAT gateways: 1 is public with two addresses, 2 is private with two, both in the
/// first VPC; 3 is public, in the third.
pub(crate) const GATEWAYS: std::ops::Range<u32> = 14..17;
/// Interfaces of endpoints: two of the first VPC's, one of the third's.
pub(crate) const ENDPOINTS: std::ops::Range<u32> = 17..20;
/// Gateway endpoints: of the first VPC to S3 and to DynamoDB, of the third to S3.
pub(crate) const GATEWAY_ENDPOINTS: std::ops::Range<u32> = 40..43;
pub(crate) const GROUPS: u64 = 6;
pub(crate) const SUBNETS: [u64; 10] = [10, 11, 12, 13, 20, 21, 30, 31, 32, 33];
pub(crate) const TABLES: [u64; 9] = [10, 11, 12, 20, 21, 30, 31, 32, 22];
/// Tables that may be the gateway's own (RT-18).
pub(crate) const EDGE_TABLES: [u64; 2] = [13, 34];
pub(crate) const ACLS: [u64; 6] = [10, 11, 20, 21, 30, 31];
/// A host of the internet.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 200, 7);
pub(crate) const HOST_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 7);

/// The blocks of S3 and DynamoDB.
pub(crate) const S3: &str = "203.0.113.128/27";
pub(crate) const DYNAMODB: &str = "203.0.113.160/27";

/// The subnet of an interface.
pub(crate) const fn subnet_of(port: u32) -> u64 {
    match port {
        2 | 12 | 17 => 10,
        3 | 4 | 15 => 11,
        5 | 14 | 18 => 12,
        6 => 13,
        7 => 20,
        8 => 21,
        9 => 30,
        10 | 13 => 31,
        16 | 19 => 32,
        _ => 33,
    }
}

/// The VPC of a subnet, a group, a table or an ACL is in its number.
pub(crate) const fn vpc_of(number: u64) -> u64 {
    number / 10
}

pub(crate) const fn vpc_of_group(group: u64) -> u64 {
    match group {
        1..=3 => 1,
        4 => 2,
        _ => 3,
    }
}

/// What the last part of an interface's addresses is; ports five apart share it in VPCs 1 and 2.
const fn host(port: u32) -> u8 {
    match port {
        7 | 8 => host(port - 5),
        _ => 10 + 2 * port as u8,
    }
}

fn ipv4_block(subnet: u64) -> Option<String> {
    let third = subnet % 10;
    match subnet {
        13 => Some("10.2.3.0/24".to_owned()),
        33 => None,
        10..30 => Some(format!("10.1.{third}.0/24")),
        _ => Some(format!("10.3.{third}.0/24")),
    }
}

fn ipv6_block(subnet: u64) -> Option<String> {
    let (vpc, part) = (vpc_of(subnet), subnet % 10);
    matches!(subnet, 10 | 11 | 30 | 31 | 33).then(|| format!("2001:db8:0:{vpc}0{part}::/64"))
}

/// An interface's private IPv4 address, of two; where it has none, one that nobody has.
pub(crate) fn private(port: u32, index: u8) -> Ipv4Addr {
    let block = ipv4_block(subnet_of(port)).unwrap_or_else(|| "10.3.3.0/24".to_owned());
    let base = u32::from(records::block(&block).network());
    (base + u32::from(host(port) + index)).into()
}

/// An interface's IPv6 address, of two; where it has none, one that nobody has.
pub(crate) fn private_ipv6(port: u32, index: u8) -> Ipv6Addr {
    let block = ipv6_block(subnet_of(port)).unwrap_or_else(|| "2001:db8:0:1ff::/64".to_owned());
    let block: ipnet::Ipv6Net = block.parse().unwrap();
    (u128::from(block.network()) + u128::from(host(port) + index)).into()
}

pub(crate) fn address(port: u32, index: u8, ipv6: bool) -> IpAddr {
    if ipv6 { private_ipv6(port, index).into() } else { private(port, index).into() }
}

/// A public address that changes hands.
pub(crate) fn public(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, number)
}

/// A public address of a NAT gateway.
pub(crate) fn gateway_public(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 1, number)
}

pub(crate) fn igw(vpc: u64) -> RouteTarget {
    RouteTarget::InternetGateway(InternetGatewayId::new(vpc))
}

pub(crate) fn eigw(vpc: u64) -> RouteTarget {
    RouteTarget::EgressOnlyInternetGateway(EgressOnlyInternetGatewayId::new(vpc))
}

pub(crate) fn nat(number: u64) -> RouteTarget {
    RouteTarget::NatGateway(NatGatewayId::new(number))
}

pub(crate) fn pcx(number: u64) -> RouteTarget {
    RouteTarget::VpcPeeringConnection(VpcPeeringConnectionId::new(number))
}

pub(crate) fn vgw(vpc: u64) -> RouteTarget {
    RouteTarget::VpnGateway(VpnGatewayId::new(vpc))
}

pub(crate) fn tgw(vpc: u64) -> RouteTarget {
    RouteTarget::TransitGateway(TransitGatewayId::new(vpc))
}

pub(crate) fn vpce(number: u64) -> RouteTarget {
    RouteTarget::VpcEndpoint(VpcEndpointId::new(number))
}

pub(crate) fn eni(port: u32) -> RouteTarget {
    RouteTarget::NetworkInterface(NetworkInterfaceId::new(port.into()))
}

/// A destination from text: a block of either family, or `pl-1`.
pub(crate) fn destination(text: &str) -> RouteDestination {
    match text.strip_prefix("pl-") {
        Some(number) => RouteDestination::PrefixList(PrefixListId::new(number.parse().unwrap())),
        None => match text.parse().unwrap() {
            IpNet::V4(block) => RouteDestination::Ipv4(block),
            IpNet::V6(block) => RouteDestination::Ipv6(block),
        },
    }
}

/// The other end of a rule from text: a block of either family, `pl-1` or `sg-1`.
pub(crate) fn peer(text: &str) -> RulePeer {
    if let Some(number) = text.strip_prefix("sg-") {
        return RulePeer::Group(SecurityGroupId::new(number.parse().unwrap()));
    }
    match destination(text) {
        RouteDestination::Ipv4(block) => RulePeer::Ipv4(block),
        RouteDestination::Ipv6(block) => RulePeer::Ipv6(block),
        RouteDestination::PrefixList(id) => RulePeer::PrefixList(id),
    }
}

/// All of ICMPv6.
pub(crate) fn all_icmpv6() -> Traffic {
    Traffic::Icmp { protocol: IpProtocol::ICMPV6, icmp_type: None, icmp_code: None }
}

fn vpcs(network: &mut Network, far: bool) {
    for vpc in 1..4u64 {
        let block = if vpc == 3 { "10.3.0.0/16" } else { "10.1.0.0/16" };
        let mut record = records::vpc(vpc, records::block(block));
        if vpc == 1 {
            let second = gureum_types::record::VpcCidrAssociation {
                id: gureum_types::VpcCidrAssociationId::new(50),
                cidr_block: records::block("10.2.0.0/16"),
            };
            record.cidr_associations.push(second);
        }
        if vpc != 2 {
            records::with_ipv6(&mut record, &format!("2001:db8:0:{vpc}00::/56"), &mut []);
        }
        let id = record.id.clone();
        let region = if far && vpc == 2 { "eu-west-1".parse().unwrap() } else { records::region() };
        network.vpcs.push((region, Arc::new(record)));
        network.internet_gateways.push(Arc::new(records::internet_gateway(vpc, Some(&id))));
        match vpc {
            1 => network.vpn_gateways.push(Arc::new(records::vpn_gateway(vpc, Some(&id)))),
            3 => {
                let attachment = records::transit_gateway_attachment(vpc, &id);
                network.transit_gateway_vpc_attachments.push(Arc::new(attachment));
            }
            _ => {}
        }
        network
            .egress_only_internet_gateways
            .extend((vpc == 1).then(|| Arc::new(records::egress_only_internet_gateway(vpc, &id))));
    }
    for subnet in SUBNETS {
        let vpc = VpcId::new(vpc_of(subnet));
        let block = ipv4_block(subnet).map(|block| records::block(&block));
        let mut record = records::subnet(subnet, &vpc, block.unwrap_or_default());
        record.cidr_block = block;
        record.ipv6_cidr_association =
            ipv6_block(subnet).map(|block| gureum_types::record::SubnetIpv6CidrAssociation {
                id: gureum_types::SubnetCidrAssociationId::new(subnet),
                cidr_block: block.parse().unwrap(),
            });
        network.subnets.push(Arc::new(record));
    }
    for (number, other) in [(1, 1), (2, 2)] {
        let record = records::peering(number, &VpcId::new(3), &VpcId::new(other));
        network.vpc_peering_connections.push(Arc::new(record));
    }
}

fn tables(network: &mut Network) {
    let third = ("10.3.0.0/16", pcx(1));
    let third_ipv6 = ("2001:db8:0:300::/56", pcx(1));
    let first = ("10.1.0.0/16", pcx(1));
    let first_ipv6 = ("2001:db8:0:100::/56", pcx(1));
    let anywhere = |target| ("0.0.0.0/0", target);
    let anywhere_ipv6 = |target| ("::/0", target);
    let nat64 = |number| ("64:ff9b::/96", nat(number));
    type Routes = Vec<(&'static str, RouteTarget)>;
    let tables: [(u64, &[u64], Routes); 11] = [
        (
            10,
            &[],
            vec![
                anywhere(igw(1)),
                anywhere_ipv6(igw(1)),
                nat64(1),
                third.clone(),
                third_ipv6.clone(),
                ("pl-3", vpce(3)),
            ],
        ),
        (
            11,
            &[11, 13],
            vec![anywhere(nat(1)), anywhere_ipv6(eigw(1)), nat64(2), third.clone(), third_ipv6],
        ),
        (12, &[12], vec![anywhere(igw(1)), third, ("pl-3", vpce(3)), ("pl-4", vpce(4))]),
        (13, &[], vec![]),
        (20, &[], vec![anywhere(igw(2)), ("10.3.0.0/16", pcx(2))]),
        (21, &[], vec![]),
        (22, &[21], vec![anywhere(igw(2)), ("10.3.0.0/16", pcx(2))]),
        (
            30,
            &[],
            vec![
                anywhere(igw(3)),
                anywhere_ipv6(igw(3)),
                nat64(3),
                first.clone(),
                first_ipv6.clone(),
            ],
        ),
        (
            31,
            &[31],
            vec![
                anywhere(nat(3)),
                anywhere_ipv6(igw(3)),
                nat64(3),
                ("10.1.1.0/24", pcx(2)),
                first_ipv6,
            ],
        ),
        (32, &[32], vec![anywhere(igw(3)), first, ("pl-3", vpce(5))]),
        (34, &[], vec![]),
    ];
    for (number, subnets, routes) in tables {
        let vpc = VpcId::new(vpc_of(number));
        let ids: Vec<_> = subnets.iter().map(|subnet| SubnetId::new(*subnet)).collect();
        let mut table = records::route_table(number, &vpc, number % 10 == 0, &ids, &[]);
        table.routes = routes
            .into_iter()
            .map(|(to, target)| Route { destination: destination(to), target })
            .collect();
        if EDGE_TABLES.contains(&number) {
            table.associations.push(edge_association(number));
        }
        network.route_tables.push(Arc::new(table));
    }
}

pub(crate) fn edge_association(table: u64) -> RouteTableAssociation {
    RouteTableAssociation {
        id: gureum_types::RouteTableAssociationId::new(0xed00 + table),
        subnet_id: None,
        gateway_id: Some(InternetGatewayId::new(vpc_of(table))),
        main: false,
    }
}

fn acls(network: &mut Network) {
    for acl in ACLS {
        let vpc = VpcId::new(vpc_of(acl));
        let is_default = acl % 10 == 0;
        let subnets = match acl {
            11 => vec![SubnetId::new(12)],
            31 => vec![SubnetId::new(31)],
            _ => Vec::new(),
        };
        let mut record = records::network_acl(acl, &vpc, is_default, &subnets, &[]);
        for (number, egress, block) in [
            (100, true, "0.0.0.0/0"),
            (100, false, "0.0.0.0/0"),
            (101, true, "::/0"),
            (101, false, "::/0"),
        ] {
            record.entries.push(NetworkAclEntry {
                rule_number: number,
                egress,
                allow: true,
                traffic: Traffic::All,
                cidr: block.parse().unwrap(),
            });
        }
        network.network_acls.push(Arc::new(record));
    }
}

fn groups(network: &mut Network) {
    for group in 1..=GROUPS {
        let vpc = VpcId::new(vpc_of_group(group));
        network.security_groups.push(Arc::new(records::security_group(group, &vpc, "g")));
    }
    let all = Traffic::All;
    let rules = [
        (1, true, all, "0.0.0.0/0"),
        (1, true, all, "::/0"),
        (1, false, records::tcp(22, 80), "0.0.0.0/0"),
        (1, false, records::tcp(22, 80), "::/0"),
        (1, false, records::all_icmp(), "0.0.0.0/0"),
        (1, false, all_icmpv6(), "::/0"),
        (1, false, all, "sg-4"),
        (2, true, all, "0.0.0.0/0"),
        (2, true, all, "::/0"),
        (2, false, all, "sg-1"),
        (2, false, all, "sg-5"),
        (2, false, all, "pl-1"),
        (3, true, all, "0.0.0.0/0"),
        (3, false, all, "0.0.0.0/0"),
        (4, true, all, "0.0.0.0/0"),
        (4, false, records::udp(53, 53), "0.0.0.0/0"),
        (4, false, all, "sg-5"),
        (5, true, all, "0.0.0.0/0"),
        (5, true, all, "::/0"),
        (5, false, all, "0.0.0.0/0"),
        (5, false, all, "::/0"),
        (6, true, all, "0.0.0.0/0"),
        (6, true, all, "::/0"),
        (6, false, all, "sg-4"),
        (6, false, all, "sg-1"),
        (6, false, all, "pl-2"),
        (6, false, records::tcp(80, 80), "2001:db8:8000::/33"),
    ];
    for ((group, egress, traffic, other), number) in rules.into_iter().zip(1..) {
        let group = SecurityGroupId::new(group);
        let rule = records::rule(number, &group, egress, traffic, peer(other));
        network.security_group_rules.push(Arc::new(rule));
    }
    let lists = [records::prefix_list(1, &["198.18.0.0/16"]), {
        records::prefix_list(2, &["2001:db8:0:100::/56"])
    }];
    network.prefix_lists.extend(lists.map(Arc::new));
    // Those of S3 and DynamoDB.
    let lists = [records::prefix_list(3, &[S3]), records::prefix_list(4, &[DYNAMODB])];
    network.prefix_lists.extend(lists.map(Arc::new));
}

fn endpoints(network: &mut Network) {
    let [first, third] = [1, 3].map(VpcId::new);
    let [one, two, three] = [17, 18, 19].map(PortIndex);
    let endpoints = [
        records::interface_endpoint(1, &first, &[one, two]),
        records::interface_endpoint(2, &third, &[three]),
        records::gateway_endpoint(3, &first, "s3", PortIndex(40)),
        records::gateway_endpoint(4, &first, "dynamodb", PortIndex(41)),
        records::gateway_endpoint(5, &third, "s3", PortIndex(42)),
    ];
    network.vpc_endpoints.extend(endpoints.map(Arc::new));
}

/// The group of an interface to begin with.
fn group_of(port: u32) -> u64 {
    match port {
        2 | 12 => 1,
        3 | 4 | 6 | 17 => 2,
        5 | 18 => 3,
        7 | 8 => 4,
        9 | 13 => 5,
        _ => 6,
    }
}

/// Brings back interfaces and gateways that are not there.
pub(crate) fn restore_interfaces(network: &mut Network) {
    for port in PORTS.start..ENDPOINTS.end {
        let is_gateway = GATEWAYS.contains(&port);
        let is_endpoint = ENDPOINTS.contains(&port);
        if network.interfaces.iter().any(|i| i.port == PortIndex(port)) {
            continue;
        }
        let id = SubnetId::new(subnet_of(port));
        let Some(subnet) = network.subnets.iter().find(|s| s.id == id).cloned() else { continue };
        let mut addresses = Vec::new();
        if subnet.cidr_block.is_some() {
            addresses.extend([private(port, 0), private(port, 1)]);
        }
        if port == 16 || is_endpoint {
            addresses.truncate(1);
        }
        let groups = [SecurityGroupId::new(group_of(port))];
        let groups = if is_gateway { &[][..] } else { &groups };
        let auto = match port {
            2 => Some(public(0)),
            5 => Some(public(1)),
            7 => Some(public(2)),
            9 => Some(public(3)),
            13 => Some(public(4)),
            _ => None,
        };
        // Somebody else may have it by now.
        let free = |address: &Ipv4Addr| {
            network.interfaces.iter().all(|i| i.auto_public_ip != Some(*address))
                && network.addresses.iter().all(|known| known.public_ip != *address)
        };
        let auto = auto.filter(free);
        let mut record = records::interface(PortIndex(port), &subnet, &addresses, groups, auto);
        if subnet.ipv6_block().is_some() && !is_gateway && !is_endpoint {
            record.ipv6_addresses = vec![private_ipv6(port, 0), private_ipv6(port, 1)];
        }
        record.source_dest_check = !matches!(port, 5 | 13) && !is_gateway;
        if is_gateway {
            record.interface_type = "natGateway".to_owned();
            record.requester_managed = true;
            let number = u64::from(port - GATEWAYS.start) + 1;
            network.nat_gateways.retain(|gateway| gateway.id != NatGatewayId::new(number));
            let gateway = records::nat_gateway(number, &subnet, PortIndex(port), number != 2);
            network.nat_gateways.push(Arc::new(gateway));
        }
        if is_endpoint {
            record.interface_type = "vpc_endpoint".to_owned();
            record.requester_managed = true;
        }
        network.interfaces.push(Arc::new(record));
    }
    network.interfaces.sort_by_key(|i| i.port);
    for (number, port, index) in [(1, 14, 0), (2, 14, 1), (3, 16, 0)] {
        let public_ip = gateway_public(number);
        network.addresses.retain(|known| known.public_ip != public_ip);
        if network.interfaces.iter().any(|i| i.port == PortIndex(port)) {
            network.addresses.push(Arc::new(Address {
                domain_name: None,
                allocation_id: AllocationId::new(number.into()),
                public_ip,
                association: Some(AddressAssociation {
                    id: AddressAssociationId::new(number.into()),
                    network_interface_id: NetworkInterfaceId::new(port.into()),
                    private_ip: private(port, index),
                }),
                created: Timestamp(0),
                tags: Default::default(),
            }));
        }
    }
}

/// What histories begin with. `far` is whether the second VPC is in another region.
pub(crate) fn network(far: bool) -> Network {
    let mut network = Network {
        dhcp_options: vec![Arc::new(records::default_dhcp_options())],
        ..Network::default()
    };
    vpcs(&mut network, far);
    tables(&mut network);
    acls(&mut network);
    groups(&mut network);
    endpoints(&mut network);
    restore_interfaces(&mut network);
    network
}

/// The MAC addresses of the subnets' routers, as ARP or neighbour discovery tells guests.
pub(crate) static ROUTERS: LazyLock<HashMap<u64, [u8; 6]>> = LazyLock::new(|| {
    let mut lab = Lab::with(network(false), Limits::default());
    SUBNETS
        .into_iter()
        .map(|subnet| {
            let port = (PORTS.start..GATEWAYS.end).find(|port| subnet_of(*port) == subnet);
            let port = PortIndex(port.unwrap());
            let of = lab.network.subnets.iter().find(|s| s.id == SubnetId::new(subnet)).unwrap();
            let mac = match of.cidr_block {
                Some(block) => lab.arp(port, router_address(block)).unwrap(),
                None => {
                    let mac = lab.interface(port).mac;
                    let asked = packets::router_solicitation(mac, "fe80::1".parse().unwrap());
                    lab.send(port, asked).answer().frame[6..12].try_into().unwrap()
                }
            };
            (subnet, mac)
        })
        .collect()
});
