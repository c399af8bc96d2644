//! The network that a fuzzer's packets go through, and what it may change about it.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use gureum_types::{
    AddressAssociationId, AllocationId, EgressOnlyInternetGatewayId, InternetGatewayId, IpProtocol,
    NAT64_PREFIX, NatGatewayId, NetworkAclId, NetworkInterfaceId, PortIndex, PrefixListId,
    RouteTableAssociationId, RouteTableId, SecurityGroupId, SubnetId, Timestamp, TransitGatewayId,
    VpcEndpointId, VpcId, VpcPeeringConnectionId, VpnGatewayId,
    record::{
        Address, AddressAssociation, Network, NetworkAclEntry, NetworkInterface, PrefixListEntry,
        RestrictedSubnet, Route, RouteDestination, RouteTableAssociation, RouteTarget, RulePeer,
        Traffic,
    },
};

use super::{
    fuzz::Bytes,
    lab::{BASTION, PRI_GROUP, PRIVATE_TABLE, allow_all, lab_network},
    records::{self, block},
};

/// The port of the only interface of the other VPC, 10.2.1.31.
const OTHER: PortIndex = PortIndex(7);
/// The port of the NAT gateway's interface.
pub(super) const NAT: PortIndex = PortIndex(8);
/// The number of the gateway endpoint.
const GATEWAY_ENDPOINT: PortIndex = PortIndex(9);

/// The lab, and another VPC beside it.
pub(super) fn network() -> Network {
    let mut network = lab_network();
    let vpc = records::vpc(2, block("10.2.0.0/16"));
    let subnet = records::subnet(5, &vpc.id, block("10.2.1.0/24"));
    let group = records::security_group(4, &vpc.id, "OTHER");
    let gateway = records::internet_gateway(2, Some(&vpc.id));
    let out = (block("0.0.0.0/0"), RouteTarget::InternetGateway(gateway.id.clone()));
    let ids = [subnet.id.clone()];
    let table = records::route_table(4, &vpc.id, true, &ids, &[out]);
    let acl = records::network_acl(
        2,
        &vpc.id,
        true,
        &ids,
        &[allow_all(100, true), allow_all(100, false)],
    );
    let rules = [true, false]
        .map(|egress| records::rule(90, &group.id, egress, Traffic::All, records::anywhere()));
    let address = Ipv4Addr::new(10, 2, 1, 31);
    let public = Some(Ipv4Addr::new(198, 18, 0, 14));
    let groups = [group.id.clone()];
    let interface = records::interface(OTHER, &subnet, &[address], &groups, public);
    network.prefix_lists.push(Arc::new(records::prefix_list(1, &[])));
    let peering = records::peering(1, &super::lab::vpc_id(), &vpc.id);
    network.vpc_peering_connections.push(Arc::new(peering));
    with_gateways(&mut network);
    network.route_tables.push(Arc::new(table));
    network.network_acls.push(Arc::new(acl));
    network.internet_gateways.push(Arc::new(gateway));
    network.security_groups.push(Arc::new(group));
    network.security_group_rules.extend(rules.map(Arc::new));
    network.interfaces.push(Arc::new(interface));
    network.subnets.push(Arc::new(subnet));
    network.vpcs.push((records::region(), Arc::new(vpc)));
    network
}

/// The same with VPC endpoints: the last interface of the lab is one's, and routes of the private
/// subnets lead to another.
pub(super) fn network_with_endpoints() -> Network {
    let mut network = network();
    let vpc = super::lab::vpc_id();
    with_interface(&mut network, BASTION, |interface| {
        interface.auto_public_ip = None;
        interface.interface_type = "vpc_endpoint".to_owned();
        interface.requester_managed = true;
    });
    let endpoints = [
        records::interface_endpoint(1, &vpc, &[BASTION]),
        records::gateway_endpoint(2, &vpc, "s3", GATEWAY_ENDPOINT),
    ];
    network.vpc_endpoints.extend(endpoints.map(Arc::new));
    network.prefix_lists.push(Arc::new(records::prefix_list(2, &["203.0.113.128/27"])));
    let id = RouteTableId::new(PRIVATE_TABLE);
    let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
    let destination = RouteDestination::PrefixList(PrefixListId::new(2));
    let target = RouteTarget::VpcEndpoint(VpcEndpointId::new(2));
    Arc::make_mut(table).routes.push(Route { destination, target });
    network.vpn_gateways.push(Arc::new(records::vpn_gateway(1, Some(&vpc))));
    let attachment = records::transit_gateway_attachment(1, &vpc);
    network.transit_gateway_vpc_attachments.push(Arc::new(attachment));
    network
}

/// IPv6 in the lab's VPC, with an egress-only gateway, and a NAT gateway in its first subnet.
fn with_gateways(network: &mut Network) {
    let mut vpc = Arc::unwrap_or_clone(Arc::clone(&network.vpcs[0].1));
    let mut subnets: Vec<_> =
        network.subnets.iter().map(|subnet| Arc::unwrap_or_clone(Arc::clone(subnet))).collect();
    records::with_ipv6(&mut vpc, "2001:db8:0:100::/56", &mut subnets);
    for interface in &mut network.interfaces {
        let subnet = subnets.iter().find(|subnet| subnet.id == interface.subnet_id).unwrap();
        let block = u128::from(subnet.ipv6_block().unwrap().network());
        let address = Ipv6Addr::from(block + u128::from(interface.port.0));
        Arc::make_mut(interface).ipv6_addresses.push(address);
    }
    let nat = records::nat_gateway(1, &subnets[0], NAT, true);
    let address = Ipv4Addr::new(10, 1, 1, 250);
    let public = Some(Ipv4Addr::new(198, 18, 0, 15));
    let mut interface = records::interface(NAT, &subnets[0], &[address], &[], public);
    interface.interface_type = "natGateway".to_owned();
    interface.requester_managed = true;
    let out = records::egress_only_internet_gateway(1, &vpc.id);
    // NAT64 from the private subnets.
    let target = RouteTarget::NatGateway(nat.id.clone());
    let id = RouteTableId::new(PRIVATE_TABLE);
    let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
    let route = Route { destination: RouteDestination::Ipv6(NAT64_PREFIX), target };
    Arc::make_mut(table).routes.push(route);
    let everybody = ipnet::IpNet::V6("::/0".parse().unwrap());
    let group = SecurityGroupId::new(PRI_GROUP);
    let peer = RulePeer::Ipv6(NAT64_PREFIX);
    let rule = records::rule(91, &group, true, Traffic::All, peer);
    network.security_group_rules.push(Arc::new(rule));
    let entries = [true, false].map(|egress| NetworkAclEntry {
        rule_number: 101,
        egress,
        allow: true,
        traffic: Traffic::All,
        cidr: everybody,
    });
    Arc::make_mut(&mut network.network_acls[0]).entries.extend(entries);
    network.interfaces.push(Arc::new(interface));
    network.nat_gateways.push(Arc::new(nat));
    network.egress_only_internet_gateways.push(Arc::new(out));
    network.subnets = subnets.into_iter().map(Arc::new).collect();
    network.vpcs[0].1 = Arc::new(vpc);
}

fn blocks(input: &mut Bytes<'_>) -> ipnet::Ipv4Net {
    block(input.pick(&[
        "0.0.0.0/0",
        "10.1.0.0/16",
        "10.1.1.0/24",
        "10.1.2.0/23",
        "198.18.0.0/16",
        "198.18.200.7/32",
        "10.2.0.0/16",
        "169.254.0.0/16",
    ]))
}

fn traffic(input: &mut Bytes<'_>) -> Traffic {
    match input.byte() % 8 {
        0 | 1 => Traffic::All,
        2 => records::tcp(0, u16::MAX),
        3 => records::udp(0, u16::MAX),
        4 => {
            let (a, b) = (input.word(), input.word());
            records::tcp(a.min(b), a.max(b))
        }
        5 => records::all_icmp(),
        6 => records::icmp(input.byte()),
        _ => Traffic::Protocol(IpProtocol(input.byte())),
    }
}

fn peer(input: &mut Bytes<'_>) -> RulePeer {
    match input.byte() % 6 {
        0..=2 => RulePeer::Ipv4(blocks(input)),
        3 => RulePeer::Group(group(input)),
        4 => RulePeer::PrefixList(PrefixListId::new(1)),
        _ => RulePeer::Ipv6("::/0".parse().unwrap()),
    }
}

fn group(input: &mut Bytes<'_>) -> SecurityGroupId {
    SecurityGroupId::new(1 + input.byte() as u64 % 5)
}

fn target(input: &mut Bytes<'_>) -> RouteTarget {
    let kind = input.byte();
    // The last values are of gateways that came when inputs were kept already.
    match (kind, kind % 8) {
        (255, _) => RouteTarget::VpcEndpoint(VpcEndpointId::new(2)),
        (254, _) => RouteTarget::TransitGateway(TransitGatewayId::new(1)),
        (253, _) => RouteTarget::VpnGateway(VpnGatewayId::new(1)),
        (_, 0..=2) => {
            RouteTarget::InternetGateway(InternetGatewayId::new(1 + input.byte() as u64 % 3))
        }
        (_, 3..=5) => RouteTarget::NetworkInterface(NetworkInterfaceId::new(input.port().0.into())),
        (_, 6) => match input.byte() % 3 {
            0 => RouteTarget::Local,
            1 => RouteTarget::VpcPeeringConnection(VpcPeeringConnectionId::new(1)),
            _ => {
                let id = EgressOnlyInternetGatewayId::new(1);
                RouteTarget::EgressOnlyInternetGateway(id)
            }
        },
        _ => RouteTarget::NatGateway(NatGatewayId::new(1)),
    }
}

fn public(input: &mut Bytes<'_>) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, 10 + input.byte() % 8)
}

/// Takes a public address from whoever has it: there is one holder at a time.
fn release(network: &mut Network, address: Ipv4Addr) {
    for interface in &mut network.interfaces {
        if interface.auto_public_ip == Some(address) {
            Arc::make_mut(interface).auto_public_ip = None;
        }
    }
    network.addresses.retain(|known| known.public_ip != address);
}

fn with_interface(
    network: &mut Network,
    port: PortIndex,
    edit: impl FnOnce(&mut NetworkInterface),
) {
    if let Some(found) = network.interfaces.iter_mut().find(|interface| interface.port == port) {
        edit(Arc::make_mut(found));
    }
}

/// Blocks public access to a subnet, or to none (IGW-15).
fn restrict(network: &mut Network, input: &mut Bytes<'_>) {
    let subnet = SubnetId::new(1 + input.byte() as u64 % 6);
    let known = network.subnets.iter().find(|of| of.id == subnet);
    let egress_allowed = input.flag();
    network.restricted_subnets = known
        .map(|subnet| RestrictedSubnet { subnet_id: subnet.id.clone(), egress_allowed })
        .map(Arc::new)
        .into_iter()
        .collect();
}

/// Changes something, as an operation could.
pub(super) fn change(network: &mut Network, serial: u64, input: &mut Bytes<'_>) {
    let kind = input.byte();
    if kind == 255 {
        return restrict(network, input);
    }
    match kind % 17 {
        0 | 1 => {
            let rule = (group(input), input.flag(), traffic(input), peer(input));
            let rule = records::rule(1000 + serial, &rule.0, rule.1, rule.2, rule.3);
            network.security_group_rules.push(Arc::new(rule));
        }
        2 => {
            let count = network.security_group_rules.len();
            if count > 0 {
                network.security_group_rules.remove(input.below(count));
            }
        }
        3 => {
            let (port, groups) = (input.port(), vec![group(input), group(input)]);
            with_interface(network, port, |interface| interface.groups = groups);
        }
        4 => {
            let (port, on) = (input.port(), input.flag());
            with_interface(network, port, |interface| interface.source_dest_check = on);
        }
        5 => {
            let (port, address) = (input.port(), public(input));
            release(network, address);
            with_interface(network, port, |of| of.auto_public_ip = Some(address));
        }
        6 => {
            let (port, address) = (input.port(), public(input));
            release(network, address);
            let Some(of) = network.interfaces.iter().find(|of| of.port == port) else { return };
            network.addresses.push(Arc::new(Address {
                domain_name: None,
                allocation_id: AllocationId::new(serial),
                public_ip: address,
                association: Some(AddressAssociation {
                    id: AddressAssociationId::new(serial),
                    network_interface_id: of.id.clone(),
                    private_ip: *input.pick(&of.private_addresses.iter().collect::<Vec<_>>()),
                }),
                created: Timestamp(0),
                tags: Default::default(),
            }));
        }
        7 => {
            let port = input.port();
            network.interfaces.retain(|interface| interface.port != port);
        }
        8 => *network = self::network(),
        9 | 10 => {
            let id = RouteTableId::new(1 + input.byte() as u64 % 4);
            let destination = match input.byte() % 4 {
                0 => RouteDestination::PrefixList(PrefixListId::new(1)),
                1 => {
                    RouteDestination::Ipv6(input.pick(&["::/0", "2001:db8::/33"]).parse().unwrap())
                }
                _ => RouteDestination::Ipv4(blocks(input)),
            };
            let target = input.flag().then(|| target(input));
            let Some(table) = network.route_tables.iter_mut().find(|of| of.id == id) else {
                return;
            };
            let table = Arc::make_mut(table);
            table.routes.retain(|route| route.destination != destination);
            table.routes.extend(target.map(|target| Route { destination, target }));
        }
        11 => {
            let (subnet, table) = (SubnetId::new(1 + input.byte() as u64 % 5), input.byte() as u64);
            for known in &mut network.route_tables {
                let known = Arc::make_mut(known);
                known.associations.retain(|of| of.subnet_id.as_ref() != Some(&subnet));
                if known.id == RouteTableId::new(1 + table % 5) {
                    known.associations.push(RouteTableAssociation {
                        id: RouteTableAssociationId::new(serial),
                        subnet_id: Some(subnet.clone()),
                        gateway_id: None,
                        main: false,
                    });
                }
            }
        }
        12 | 13 => {
            let id = NetworkAclId::new(1 + input.byte() as u64 % 2);
            let (rule_number, egress) = (1 + input.word() % 120, input.flag());
            let entry = input.flag().then(|| {
                let cidr = match input.flag() {
                    true => ipnet::IpNet::from(blocks(input)),
                    false => "::/0".parse().unwrap(),
                };
                (input.flag(), traffic(input), cidr)
            });
            let Some(acl) = network.network_acls.iter_mut().find(|of| of.id == id) else { return };
            let acl = Arc::make_mut(acl);
            acl.entries.retain(|of| (of.rule_number, of.egress) != (rule_number, egress));
            acl.entries.extend(entry.map(|(allow, traffic, cidr)| NetworkAclEntry {
                rule_number,
                egress,
                allow,
                traffic,
                cidr,
            }));
        }
        14 => {
            let (at, on) = (input.byte() as u64 % 2 + 1, input.flag());
            for gateway in &mut network.internet_gateways {
                if gateway.id == InternetGatewayId::new(at) {
                    Arc::make_mut(gateway).vpc_id = on.then(|| VpcId::new(at));
                }
            }
        }
        15 => {
            let list = network.prefix_lists.iter_mut().next();
            let Some(list) = list else { return };
            let list = Arc::make_mut(list);
            if list.entries.len() > 4 {
                list.entries.clear();
            }
            list.entries.push(PrefixListEntry { cidr: blocks(input).into(), description: None });
            list.version += 1;
        }
        _ => {
            let (port, last) = (input.port(), input.byte());
            // A secondary address of its subnet that nobody has (ENI-9).
            let taken: Vec<Ipv4Addr> =
                network.interfaces.iter().flat_map(|of| of.private_addresses.clone()).collect();
            with_interface(network, port, |interface| {
                let [a, b, c, _] = interface.primary_address().expect("an address").octets();
                let address = Ipv4Addr::new(a, b, c, 100 + last % 100);
                if interface.private_addresses.len() > 3 {
                    interface.private_addresses.truncate(1);
                } else if !taken.contains(&address) {
                    interface.private_addresses.push(address);
                }
            });
        }
    }
}
