//! VPC endpoints (VPCE-*): interfaces with a service behind them, and gateways.

use std::net::{IpAddr, Ipv4Addr};

use gureum_types::{
    IpProtocol, PortIndex, callee_address, caller_address, caller_of,
    record::{NetworkInterface, VpcEndpoint, VpcEndpointKind},
};

use super::{
    Arrival, Kind, Walk, Words,
    lookup::{behind, by_private, holds, is_endpoint, known_vpcs},
};
use crate::Direction;

/// The first addresses of the blocks of S3 and DynamoDB in the simulated internet.
const S3: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 128);
const DYNAMODB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 160);
/// How many addresses each has.
const BLOCK: u32 = 32;

const UNKNOWN: &str = "service-caller-unknown";

/// Where the service of a gateway endpoint begins.
fn block_of(endpoint: &VpcEndpoint) -> Option<u32> {
    match endpoint.service_name.rsplit('.').next()? {
        "s3" => Some(S3.into()),
        "dynamodb" => Some(DYNAMODB.into()),
        _ => None,
    }
}

/// The address by which services know who has an address.
fn caller_of_service(interface: &NetworkInterface, address: IpAddr) -> Option<IpAddr> {
    let mut own = interface.private_addresses.iter();
    let index = own.position(|own| IpAddr::from(*own) == address)?;
    caller_address(interface.port, index as u32).map(IpAddr::from)
}

impl<'a> Walk<'a, '_> {
    /// At the interface of an endpoint: TCP to 443 and 80 (VPCE-15).
    pub(super) fn interface_endpoint(
        &mut self,
        endpoint: &NetworkInterface,
        packet: Words,
    ) -> Arrival {
        if !matches!(packet.kind, Kind::Tcp(_, 80 | 443, _)) || packet.source.is_ipv6() {
            return Err("service-port-closed".into());
        }
        let (_, vpc) = self.home(endpoint)?;
        // Who sent it is who called, or else whoever of the VPC or its peers has the address.
        let sender = behind(self.network, self.from).filter(|_| self.has_source(&packet));
        let mut known = known_vpcs(self.network, vpc).into_iter();
        let caller = sender
            .or_else(|| known.find_map(|vpc| by_private(self.network, &vpc.id, packet.source)));
        self.hand_over(caller, endpoint.port, 0, packet)
    }

    fn has_source(&self, packet: &Words) -> bool {
        behind(self.network, self.from)
            .is_some_and(|sender| super::lookup::has(sender, packet.source))
    }

    /// Through a gateway endpoint: TCP and pings (VPCE-20), from the VPC itself (VPCE-19).
    pub(super) fn gateway_endpoint(&mut self, endpoint: &VpcEndpoint, packet: Words) -> Arrival {
        match packet.kind {
            Kind::Tcp(..) => {}
            Kind::Icmp(8, ..) if packet.source.is_ipv4() => {}
            _ => return Err("endpoint-protocol".into()),
        }
        let VpcEndpointKind::Gateway { port } = endpoint.kind else {
            return Err("route-blackhole".into());
        };
        let (IpAddr::V4(to), Some(first)) = (packet.destination, block_of(endpoint)) else {
            return Err("no-such-address".into());
        };
        let place = u32::from(to).checked_sub(first).filter(|place| *place < BLOCK);
        let place = place.ok_or("no-such-address")?;
        let caller = by_private(self.network, &endpoint.vpc_id, packet.source);
        self.hand_over(caller, port, place, packet)
    }

    fn hand_over(
        &mut self,
        caller: Option<&NetworkInterface>,
        number: PortIndex,
        place: u32,
        packet: Words,
    ) -> Arrival {
        let source = caller.and_then(|it| caller_of_service(it, packet.source)).ok_or(UNKNOWN)?;
        let destination = callee_address(number, place).ok_or(UNKNOWN)?.into();
        self.went.endpoint = true;
        Ok((PortIndex::SERVICES, Words { source, destination, ..packet }))
    }

    /// An answer of a service. An endpoint begins nothing (VPCE-6).
    pub(super) fn endpoint_answer(
        &mut self,
        number: PortIndex,
        place: u32,
        packet: Words,
    ) -> Arrival {
        let here = behind(self.network, number);
        let interface =
            here.filter(|it| place == 0 && is_endpoint(self.network, it) && self.home(it).is_ok());
        let mut endpoints = self.network.vpc_endpoints.iter();
        let gateway = endpoints.find(|endpoint| {
            matches!(endpoint.kind, VpcEndpointKind::Gateway { port } if port == number)
                && endpoint.carries()
        });
        if interface.is_none() && (here.is_some() || gateway.is_none()) {
            return Err(UNKNOWN.into());
        }
        let is_tcp = packet.protocol() == IpProtocol::TCP.0 && !packet.begins_tcp();
        let is_pong = matches!(packet.kind, Kind::Icmp(0, ..)) && interface.is_none();
        if !is_tcp && !is_pong {
            return Err("endpoint-unsolicited".into());
        }
        let IpAddr::V4(caller) = packet.destination else { return Err(UNKNOWN.into()) };
        let (port, index) = caller_of(caller).ok_or(UNKNOWN)?;
        let caller = behind(self.network, port).ok_or(UNKNOWN)?;
        let (_, vpc) = self.home(caller).map_err(|_| UNKNOWN)?;
        let own = caller.private_addresses.get(index as usize).ok_or(UNKNOWN)?;
        let destination = IpAddr::from(*own);
        self.went.endpoint = true;
        if let Some(endpoint) = interface {
            self.went.answers_tracker = true;
            let source = endpoint.primary_address().ok_or(UNKNOWN)?.into();
            let packet = Words { source, destination, ..packet };
            return self.leave_endpoint(endpoint, packet);
        }
        let gateway = gateway.filter(|gateway| gateway.vpc_id == vpc.id).ok_or(UNKNOWN)?;
        let first = block_of(gateway).ok_or(UNKNOWN)?;
        self.went.answers_tracker = gateway.service_name.ends_with(".dynamodb");
        let source = Ipv4Addr::from(first + place).into();
        self.arrive(caller, true, Words { source, destination, ..packet })
    }

    /// As any interface sends: to a neighbour directly, else by its subnet's router.
    fn leave_endpoint(&mut self, endpoint: &'a NetworkInterface, packet: Words) -> Arrival {
        self.security_groups(endpoint, Direction::Egress, packet, true)?;
        let (subnet, vpc) = self.home(endpoint)?;
        if !holds(subnet, packet.destination) {
            return self.onward(endpoint, packet);
        }
        let neighbour = by_private(self.network, &vpc.id, packet.destination)
            .filter(|neighbour| neighbour.subnet_id == subnet.id)
            .ok_or("no-such-address")?;
        self.arrive(neighbour, false, packet)
    }
}
