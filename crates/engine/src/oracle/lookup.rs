//! What the records say: who is where, and what belongs to what.

use std::net::{IpAddr, Ipv4Addr};

use gureum_types::{
    IPV6_POOL, NatGatewayId, PortIndex, VpcId, VpcPeeringConnectionId,
    record::{
        Network, NetworkAcl, NetworkInterface, PeeringStatus, Route, RouteDestination, RouteTable,
        RouteTarget, Subnet, Vpc, VpcEndpoint, VpcPeeringConnection,
    },
};
use ipnet::{IpNet, Ipv4Net};

use super::Answer;

/// Where public addresses come from, as [`crate::testing`] tells the engine.
const PUBLIC_POOL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 20);

pub(super) fn subnet_of<'a>(
    network: &'a Network,
    interface: &NetworkInterface,
) -> Option<&'a Subnet> {
    let subnet = network.subnets.iter().find(|subnet| subnet.id == interface.subnet_id)?;
    vpc_of(network, subnet).map(|_| subnet.as_ref())
}

pub(super) fn vpc_of<'a>(network: &'a Network, subnet: &Subnet) -> Option<&'a Vpc> {
    network.vpcs.iter().find(|(_, vpc)| vpc.id == subnet.vpc_id).map(|(_, vpc)| vpc.as_ref())
}

pub(super) fn behind(network: &Network, port: PortIndex) -> Option<&NetworkInterface> {
    network.interfaces.iter().find(|i| i.port == port).map(AsRef::as_ref)
}

/// Whether an address is one of the interface's own.
pub(super) fn has(interface: &NetworkInterface, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => interface.private_addresses.contains(&address),
        IpAddr::V6(address) => interface.ipv6_addresses.contains(&address),
    }
}

/// Whether a subnet's blocks hold an address.
pub(super) fn holds(subnet: &Subnet, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => subnet.cidr_block.is_some_and(|block| block.contains(&address)),
        IpAddr::V6(address) => subnet.ipv6_block().is_some_and(|block| block.contains(&address)),
    }
}

pub(super) fn interfaces_of<'a>(
    network: &'a Network,
    vpc: &VpcId,
) -> impl Iterator<Item = &'a NetworkInterface> {
    let of_vpc =
        |i: &&NetworkInterface| subnet_of(network, i).is_some_and(|subnet| subnet.vpc_id == *vpc);
    network.interfaces.iter().map(AsRef::as_ref).filter(of_vpc)
}

pub(super) fn by_private<'a>(
    network: &'a Network,
    vpc: &VpcId,
    address: IpAddr,
) -> Option<&'a NetworkInterface> {
    interfaces_of(network, vpc).find(|interface| has(interface, address))
}

/// The public address of a private one: an Elastic IP address before the automatic one (PUB-3).
pub(super) fn public_of(
    network: &Network,
    interface: &NetworkInterface,
    private: Ipv4Addr,
) -> Option<Ipv4Addr> {
    let elastic = network.addresses.iter().find(|address| {
        address.association.as_ref().is_some_and(|association| {
            association.network_interface_id == interface.id && association.private_ip == private
        })
    });
    match elastic {
        Some(address) => Some(address.public_ip),
        None if interface.private_addresses.first() == Some(&private) => interface.auto_public_ip,
        None => None,
    }
}

pub(super) fn has_internet_gateway(network: &Network, vpc: &Vpc) -> bool {
    network.internet_gateways.iter().any(|gateway| gateway.vpc_id.as_ref() == Some(&vpc.id))
}

pub(super) fn has_egress_only_gateway(network: &Network, vpc: &Vpc) -> bool {
    network.egress_only_internet_gateways.iter().any(|gateway| gateway.vpc_id == vpc.id)
}

/// The interface that the internet knows by an address, with the private one behind it: 1:1 in
/// IPv4 (IGW-2), the same in IPv6 (IGW-4). Its VPC has a gateway that may let something in.
pub(super) fn by_public(network: &Network, address: IpAddr) -> Option<(&NetworkInterface, IpAddr)> {
    network.interfaces.iter().find_map(|interface| {
        let vpc = vpc_of(network, subnet_of(network, interface)?)?;
        let open = has_internet_gateway(network, vpc);
        let private = match address {
            IpAddr::V4(address) if open => {
                let own = interface.private_addresses.iter();
                (*own
                    .into_iter()
                    .find(|own| public_of(network, interface, **own) == Some(address))?)
                .into()
            }
            IpAddr::V6(own) if open || has_egress_only_gateway(network, vpc) => {
                interface.ipv6_addresses.contains(&own).then_some(address)?
            }
            _ => return None,
        };
        Some((interface.as_ref(), private))
    })
}

/// Whether the account lets packets between an interface and the internet pass (IGW-15).
/// `egress_only` is whether they go by an egress-only internet gateway.
pub(super) fn has_public_access(
    network: &Network,
    interface: &NetworkInterface,
    egress_only: bool,
) -> bool {
    let mut restricted = network.restricted_subnets.iter();
    restricted.rfind(|it| it.subnet_id == interface.subnet_id).is_none_or(|restricted| {
        restricted.egress_allowed && (egress_only || is_nat_gateway(network, interface))
    })
}

/// Whether an address is one that only VPCs have.
pub(super) fn is_of_pool(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => PUBLIC_POOL.contains(&address),
        IpAddr::V6(address) => IPV6_POOL.contains(&address),
    }
}

/// RFC 1918 and RFC 6598 space (IGW-16), and what routers forward nowhere; in IPv6 all that is
/// not global unicast.
pub(super) fn is_never_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            a == 10
                || (a == 172 && (16..32).contains(&b))
                || (a == 192 && b == 168)
                || (a == 100 && (64..128).contains(&b))
                || (a == 169 && b == 254)
                || a == 127
                || a == 0
                || a >= 224
        }
        IpAddr::V6(address) => !(0x2000..0x4000).contains(&address.segments()[0]),
    }
}

/// Whether an interface is a NAT gateway's.
pub(super) fn is_nat_gateway(network: &Network, interface: &NetworkInterface) -> bool {
    let of = |id: &Option<_>| id.as_ref() == Some(&interface.id);
    network.nat_gateways.iter().any(|gateway| of(&gateway.network_interface_id))
}

/// Whether an interface is an endpoint's (VPCE-2).
pub(super) fn is_endpoint(network: &Network, interface: &NetworkInterface) -> bool {
    let mut endpoints = network.vpc_endpoints.iter().filter_map(|it| it.interface());
    endpoints.any(|endpoint| endpoint.interfaces.contains(&interface.id))
}

/// Whether an interface is not an instance's.
pub(super) fn is_of_service(network: &Network, interface: &NetworkInterface) -> bool {
    is_nat_gateway(network, interface) || is_endpoint(network, interface)
}

/// The interface of a NAT gateway that translates (NAT-3).
fn nat_gateway<'a>(network: &'a Network, id: &NatGatewayId) -> Option<&'a NetworkInterface> {
    let gateway = network.nat_gateways.iter().find(|gateway| gateway.id == *id)?;
    let interface = gateway.network_interface_id.as_ref().filter(|_| gateway.state.translates())?;
    network.interfaces.iter().find(|i| i.id == *interface).map(AsRef::as_ref)
}

fn vpc<'a>(network: &'a Network, id: &VpcId) -> Option<&'a Vpc> {
    network.vpcs.iter().find(|(_, vpc)| vpc.id == *id).map(|(_, vpc)| vpc.as_ref())
}

/// The VPC on the other side of a peering connection that carries packets (PEER-1), as seen from a
/// VPC that is a side of it.
pub(super) fn other_side<'a>(
    network: &'a Network,
    connection: &VpcPeeringConnection,
    from: &VpcId,
) -> Option<&'a Vpc> {
    let sides = [&connection.requester.vpc_id, &connection.accepter.vpc_id];
    if connection.status != PeeringStatus::Active || !sides.contains(&from) {
        return None;
    }
    let other = sides.into_iter().find(|side| *side != from)?;
    vpc(network, from).and_then(|_| vpc(network, other))
}

/// A peering connection by its id.
fn peering<'a>(
    network: &'a Network,
    id: &VpcPeeringConnectionId,
) -> Option<&'a VpcPeeringConnection> {
    network.vpc_peering_connections.iter().find(|c| c.id == *id).map(AsRef::as_ref)
}

/// VPCs whose groups rules may refer to: its own, and those that it is actively peered with in its
/// own region (SG-31).
pub(super) fn known_vpcs<'a>(network: &'a Network, own: &Vpc) -> Vec<&'a Vpc> {
    let region_of =
        |id: &VpcId| network.vpcs.iter().find(|(_, vpc)| vpc.id == *id).map(|(region, _)| region);
    let mut known: Vec<&Vpc> = vpc(network, &own.id).into_iter().collect();
    for connection in &network.vpc_peering_connections {
        if let Some(other) = other_side(network, connection, &own.id)
            && region_of(&own.id) == region_of(&other.id)
        {
            known.push(other);
        }
    }
    known
}

/// The network ACL of a subnet: its own, or the VPC's default one (NACL-6).
pub(super) fn acl_of<'a>(network: &'a Network, subnet: &Subnet) -> Option<&'a NetworkAcl> {
    let acls = || network.network_acls.iter();
    acls()
        .filter(|acl| acl.vpc_id == subnet.vpc_id)
        .rfind(|acl| acl.associations.iter().any(|a| a.subnet_id == subnet.id))
        .or_else(|| acls().rfind(|acl| acl.is_default && acl.vpc_id == subnet.vpc_id))
        .map(AsRef::as_ref)
}

/// The route table of a subnet: its own, or the VPC's main one (RT-3).
pub(super) fn table_of<'a>(network: &'a Network, subnet: &Subnet) -> Option<&'a RouteTable> {
    let tables = || network.route_tables.iter();
    tables()
        .rfind(|table| {
            table.vpc_id == subnet.vpc_id
                && table.associations.iter().any(|a| a.subnet_id.as_ref() == Some(&subnet.id))
        })
        .or_else(|| {
            tables().rfind(|table| {
                table.vpc_id == subnet.vpc_id
                    && table
                        .associations
                        .iter()
                        .any(|a| a.main && a.subnet_id.is_none() && a.gateway_id.is_none())
            })
        })
        .map(AsRef::as_ref)
}

/// The table that routes what arrives at the internet gateway of a VPC (RT-18).
pub(super) fn edge_table_of<'a>(network: &'a Network, vpc: &Vpc) -> Option<&'a RouteTable> {
    let attached = |id: &_| {
        let mut gateways = network.internet_gateways.iter();
        gateways.any(|g| g.id == *id && g.vpc_id.as_ref() == Some(&vpc.id))
    };
    network
        .route_tables
        .iter()
        .filter(|table| table.vpc_id == vpc.id)
        .rfind(|table| {
            table.associations.iter().any(|a| a.gateway_id.as_ref().is_some_and(attached))
        })
        .map(AsRef::as_ref)
}

/// Where a route leads to.
pub(super) enum Way<'a> {
    Local,
    InternetGateway,
    Interface(&'a NetworkInterface),
    NatGateway(&'a NetworkInterface),
    EgressOnlyInternetGateway,
    Peering(&'a Vpc),
    VpnGateway,
    TransitGateway,
    GatewayEndpoint(&'a VpcEndpoint),
}

/// The blocks of a route.
fn blocks_of(network: &Network, route: &Route) -> Vec<IpNet> {
    match &route.destination {
        RouteDestination::Ipv4(block) => vec![(*block).into()],
        RouteDestination::Ipv6(block) => vec![(*block).into()],
        RouteDestination::PrefixList(id) => {
            let list = network.prefix_lists.iter().find(|list| list.id == *id);
            list.map_or(Vec::new(), |list| list.entries.iter().map(|entry| entry.cidr).collect())
        }
    }
}

/// The way that a table has for an address: the longest prefix (RT-2). Of equal ones, a route that
/// somebody made to exactly a block of the VPC is the local route with another target (RT-14);
/// local and static routes come before those of prefix lists (RT-16). A route to nowhere wins too
/// (RT-12).
pub(super) fn way<'a>(
    network: &'a Network,
    vpc: &Vpc,
    table: &RouteTable,
    to: IpAddr,
) -> Answer<Way<'a>> {
    const MADE: u8 = 0;
    const LOCAL: u8 = 1;
    const LISTED: u8 = 2;
    let mut found: Vec<(u8, u8, &RouteTarget)> = Vec::new();
    let mut add = |block: IpNet, rank, target| {
        if block.contains(&to) {
            found.push((block.prefix_len(), rank, target));
        }
    };
    for route in &table.routes {
        let listed = matches!(route.destination, RouteDestination::PrefixList(_));
        for block in blocks_of(network, route) {
            add(block, if listed { LISTED } else { MADE }, &route.target);
        }
    }
    for own in &vpc.cidr_associations {
        add(own.cidr_block.into(), LOCAL, &RouteTarget::Local);
    }
    for own in &vpc.ipv6_cidr_associations {
        add(own.cidr_block.into(), LOCAL, &RouteTarget::Local);
    }
    let longest = found.iter().map(|(length, ..)| *length).max().ok_or("no-route")?;
    let best = found.iter().filter(|(length, ..)| *length == longest).min_by_key(|f| f.1);
    let (.., target) = best.ok_or("no-route")?;
    let of_vpc =
        |i: &NetworkInterface| subnet_of(network, i).is_some_and(|subnet| subnet.vpc_id == vpc.id);
    let way = match target {
        RouteTarget::Local => Some(Way::Local),
        RouteTarget::InternetGateway(id) => network
            .internet_gateways
            .iter()
            .any(|gateway| gateway.id == *id && gateway.vpc_id.as_ref() == Some(&vpc.id))
            .then_some(Way::InternetGateway),
        // The interfaces of NAT gateways and endpoints are AWS's own, nobody's to route to (ENI-7).
        RouteTarget::NetworkInterface(id) => network
            .interfaces
            .iter()
            .find(|i| i.id == *id && of_vpc(i) && !is_of_service(network, i))
            .map(|interface| Way::Interface(interface)),
        RouteTarget::NatGateway(id) => {
            nat_gateway(network, id).filter(|i| of_vpc(i)).map(Way::NatGateway)
        }
        // For IPv6 only (RT-11).
        RouteTarget::EgressOnlyInternetGateway(id) => network
            .egress_only_internet_gateways
            .iter()
            .any(|gateway| gateway.id == *id && gateway.vpc_id == vpc.id && to.is_ipv6())
            .then_some(Way::EgressOnlyInternetGateway),
        RouteTarget::VpcPeeringConnection(id) => peering(network, id)
            .and_then(|connection| other_side(network, connection, &vpc.id))
            .map(Way::Peering),
        RouteTarget::VpnGateway(id) => network
            .vpn_gateways
            .iter()
            .any(|gateway| gateway.id == *id && gateway.vpc_id.as_ref() == Some(&vpc.id))
            .then_some(Way::VpnGateway),
        RouteTarget::TransitGateway(id) => network
            .transit_gateway_vpc_attachments
            .iter()
            .any(|it| it.transit_gateway_id == *id && it.vpc_id == vpc.id && it.deleted.is_none())
            .then_some(Way::TransitGateway),
        // One that works, of the VPC (VPCE-18).
        RouteTarget::VpcEndpoint(id) => network
            .vpc_endpoints
            .iter()
            .find(|endpoint| endpoint.id == *id && endpoint.vpc_id == vpc.id)
            .filter(|endpoint| endpoint.carries() && endpoint.interface().is_none())
            .map(|endpoint| Way::GatewayEndpoint(endpoint)),
    };
    way.ok_or("route-blackhole".into())
}
