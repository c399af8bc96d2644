//! The way of a packet out of an interface (PIPE-1), through routers, and into another (PIPE-2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gureum_types::record::{NetworkInterface, Subnet, Vpc, router_address};
use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    Answer, Arrival, Fate, Hop, Kind, Walk, Words,
    flows::speaks_of,
    lookup::{
        self, Way, acl_of, behind, by_private, holds, is_nat_gateway, subnet_of, table_of, vpc_of,
    },
    services::{door_of, to_service},
};
use crate::Direction;

/// The numbers of the closing entries (NACL-3).
const CLOSING: (u16, u16) = (32767, 32768);

/// Never forwarded, whatever a table says (RT-15).
fn is_never_forwarded(to: IpAddr) -> bool {
    const PLATFORM: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 168, 0), 22);
    const PLATFORM_IPV6: Ipv6Net =
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32);
    match to {
        IpAddr::V4(to) => PLATFORM.contains(&to),
        IpAddr::V6(to) => PLATFORM_IPV6.contains(&to) || to.is_unicast_link_local(),
    }
}

impl<'a> Walk<'a, '_> {
    /// An interface with its subnet and its VPC.
    pub(super) fn home(&self, interface: &NetworkInterface) -> Answer<(&'a Subnet, &'a Vpc)> {
        let subnet = subnet_of(self.network, interface).ok_or("broken-interface")?;
        let vpc = vpc_of(self.network, subnet).ok_or("broken-interface")?;
        Ok((subnet, vpc))
    }

    /// PIPE-1.
    pub(super) fn interface_egress(&mut self, hop: Hop, packet: Words) -> Arrival {
        let interface = behind(self.network, self.from).ok_or("unknown-port")?;
        let (subnet, vpc) = self.home(interface)?;
        let to = packet.destination;
        if let IpAddr::V4(to) = to
            && (to.is_broadcast() || subnet.cidr_block.is_some_and(|b| to == b.broadcast()))
        {
            return Err("broadcast".into());
        }
        if to.is_multicast() {
            return Err("multicast".into());
        }
        if let Some(door) = door_of(vpc, to) {
            return to_service(interface, vpc, door, packet);
        }
        if interface.source_dest_check && !self.own_source {
            return Err("source-check".into());
        }
        // Flows through these gateways are tracked whatever the rules say (SGT-11); what begins
        // none is for the gateway to answer (NAT-12).
        let begins = !matches!(packet.kind, Kind::Tcp(..)) || packet.begins_tcp();
        let to_tracker = begins && self.is_toward_tracker(interface, hop, to);
        self.security_groups(interface, Direction::Egress, packet, to_tracker)?;
        match hop {
            Hop::Router => self.onward(interface, packet),
            Hop::Interface(other) if other != self.from => {
                let neighbour = behind(self.network, other)
                    .filter(|n| n.subnet_id == subnet.id)
                    .ok_or("unknown-destination-mac")?;
                self.arrive(neighbour, false, packet)
            }
            Hop::Interface(_) | Hop::Nobody => Err("unknown-destination-mac".into()),
        }
    }

    /// Whether what an interface sends goes to a gateway or an endpoint whose flows are always
    /// tracked (SGT-11).
    fn is_toward_tracker(&self, from: &NetworkInterface, hop: Hop, to: IpAddr) -> bool {
        let is_endpoint = |found: Option<&NetworkInterface>| {
            found.is_some_and(|found| lookup::is_endpoint(self.network, found))
        };
        let Hop::Router = hop else {
            let Hop::Interface(other) = hop else { return false };
            let there = behind(self.network, other).filter(|it| it.subnet_id == from.subnet_id);
            return is_endpoint(there);
        };
        let Ok((subnet, vpc)) = self.home(from) else { return false };
        match self.way_of(subnet, vpc, to) {
            Ok(Way::NatGateway(_) | Way::EgressOnlyInternetGateway) => true,
            Ok(Way::Local) => is_endpoint(by_private(self.network, &vpc.id, to)),
            Ok(Way::Peering(other)) => is_endpoint(by_private(self.network, &other.id, to)),
            Ok(Way::GatewayEndpoint(endpoint)) => endpoint.service_name.ends_with(".dynamodb"),
            _ => false,
        }
    }

    fn way_of(&self, subnet: &Subnet, vpc: &Vpc, to: IpAddr) -> Answer<Way<'a>> {
        if is_never_forwarded(to) {
            return Err("link-local-destination".into());
        }
        let table = table_of(self.network, subnet).ok_or("route-table-missing")?;
        lookup::way(self.network, vpc, table, to)
    }

    /// From the router of an interface's subnet on.
    pub(super) fn onward(&mut self, from: &'a NetworkInterface, packet: Words) -> Arrival {
        let (subnet, vpc) = self.home(from)?;
        let to = packet.destination;
        if !holds(subnet, to) {
            self.network_acl(subnet, true, &packet)?;
        }
        match self.way_of(subnet, vpc, to)? {
            Way::Local => {
                let Some(other) = by_private(self.network, &vpc.id, to) else {
                    let router = subnet.cidr_block.map(|block| IpAddr::from(router_address(block)));
                    let is_router = router == Some(to);
                    return Err(if is_router { "router-address" } else { "no-such-address" }.into());
                };
                self.arrive(other, other.subnet_id != subnet.id, packet)
            }
            Way::Interface(other) => self.arrive(other, other.subnet_id != subnet.id, packet),
            Way::NatGateway(gateway) => {
                // The gateway's subnet is entered (NACL-20), and from there it goes on (NAT-15).
                if gateway.subnet_id != subnet.id {
                    let (entered, _) = self.home(gateway)?;
                    self.network_acl(entered, false, &packet)?;
                }
                let packet = self.nat_egress(from, gateway, packet)?;
                self.onward(gateway, packet)
            }
            Way::InternetGateway => self.internet_egress(from, vpc, packet, false),
            Way::EgressOnlyInternetGateway => self.internet_egress(from, vpc, packet, true),
            Way::VpnGateway => Err("vpn-tunnel-down".into()),
            Way::TransitGateway => Err("transit-gateway-not-carried".into()),
            Way::Peering(other) => {
                // To interfaces of the other VPC, and nowhere else (PEER-1).
                let other =
                    by_private(self.network, &other.id, to).ok_or("peering-no-such-address")?;
                self.went.peering = true;
                self.arrive(other, true, packet)
            }
            Way::GatewayEndpoint(endpoint) => self.gateway_endpoint(endpoint, packet),
        }
    }

    /// PIPE-2. `crosses` is whether the packet comes from outside of the receiver's subnet.
    pub(super) fn arrive(
        &mut self,
        to: &'a NetworkInterface,
        crosses: bool,
        packet: Words,
    ) -> Arrival {
        let (subnet, _) = self.home(to)?;
        if crosses {
            self.network_acl(subnet, false, &packet)?;
        }
        // It has no security group (NAT-14).
        if is_nat_gateway(self.network, to) {
            let packet = self.nat_ingress(to, packet)?;
            return self.onward(to, packet);
        }
        let is_endpoint = lookup::is_endpoint(self.network, to);
        let tracked = self.went.answers_tracker || is_endpoint;
        self.security_groups(to, Direction::Ingress, packet, tracked)?;
        if to.source_dest_check && !lookup::has(to, packet.destination) {
            return Err("destination-check".into());
        }
        if is_endpoint {
            return self.interface_endpoint(to, packet);
        }
        Ok((to.port, packet))
    }

    fn network_acl(&self, subnet: &Subnet, egress: bool, packet: &Words) -> Answer<()> {
        let acl = acl_of(self.network, subnet).ok_or("network-acl-missing")?;
        let mut entries: Vec<_> = acl.entries.iter().filter(|e| e.egress == egress).collect();
        entries.sort_by_key(|entry| entry.rule_number);
        let peer = if egress { packet.destination } else { packet.source };
        let first = entries
            .into_iter()
            .find(|entry| entry.cidr.contains(&peer) && speaks_of(&entry.traffic, packet));
        let closing = if peer.is_ipv6() { CLOSING.1 } else { CLOSING.0 };
        let number = match first {
            Some(entry) if entry.allow => return Ok(()),
            Some(entry) => entry.rule_number,
            None => closing,
        };
        Err(Fate::Denied(if egress { "network-acl-egress" } else { "network-acl-ingress" }, number))
    }
}
