//! VPC endpoints (VPCE-*): interfaces with a service of AWS behind them, and gateways that routes
//! lead to.
//!
//! Behind both the caller becomes an address that names its interface, and what it called one that
//! names the endpoint, as with the services of the platform (traps 11). Nothing is remembered but
//! what security groups track.

use std::net::Ipv4Addr;

use gureum_types::{IpProtocol, PortIndex, TrafficPath, callee_address, callee_of};
use ipnet::Ipv4Net;

use super::{
    Origin, Place, Stop, Walk,
    platform_service::{called_from, caller_address_of},
};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::{Address, Family},
    policy::{GatewayEndpoint, Interface, Role, routes::Way},
    wire::{
        self,
        ip::Tuple,
        rewrite::{End, set_address},
    },
};

/// What endpoints carry (VPCE-14).
const ENDPOINT_MTU: u16 = 8500;
/// Where services listen behind interface endpoints.
const PORTS: [u16; 2] = [443, 80];
/// Types of ICMP (RFC 792).
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// Where an answer of a service comes from.
#[derive(Clone, Copy)]
pub(super) enum Callee<'a> {
    /// An interface endpoint.
    Interface(Place<'a>),
    /// A gateway endpoint, with the address of the service that was called.
    Gateway(&'a GatewayEndpoint, Address),
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// From the interface of an endpoint into its service.
    pub(super) fn enter_service(&mut self, to: Place<'a>) -> Result<PortIndex, Stop> {
        let at = (to.interface.port, Direction::Ingress);
        let tuple = self.headers.tuple;
        let is_tcp = IpProtocol(tuple.protocol) == IpProtocol::TCP;
        if tuple.family() == Family::V6 || !is_tcp || !PORTS.contains(&tuple.destination_port) {
            let reason = DropReason::ServicePortClosed;
            return Err(self.dropped(Stage::VpcEndpoint, at, reason, |_| {
                "the endpoint does not offer this".to_owned()
            }));
        }
        let caller = self.caller_through(to, tuple.source);
        self.hand_to_service(caller, at, to.interface.port, 0)
    }

    /// From a subnet through a gateway endpoint to its service.
    pub(super) fn enter_gateway_endpoint(
        &mut self,
        place: Place<'a>,
        number: PortIndex,
    ) -> Result<PortIndex, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let tuple = self.headers.tuple;
        let endpoint = self.policy.gateway_endpoint(number).ok_or(DropReason::NoSuchAddress)?;
        if IpProtocol(tuple.protocol) != IpProtocol::TCP && !is_icmp(&tuple, ECHO) {
            let reason = DropReason::EndpointProtocol;
            return Err(self.dropped(Stage::VpcEndpoint, at, reason, |_| {
                "gateway endpoints carry TCP and pings only".to_owned()
            }));
        }
        match place_of(endpoint.service.block, tuple.destination) {
            Some(index) => {
                // Of the VPC alone: nobody comes across a peering connection (VPCE-19).
                let caller = self.policy.by_private(place.subnet.vpc, tuple.source);
                self.hand_to_service(caller, at, number, index)
            }
            None => Err(self.dropped(Stage::VpcEndpoint, at, DropReason::NoSuchAddress, |_| {
                format!("{} is not an address of the service", tuple.destination)
            })),
        }
    }

    fn hand_to_service(
        &mut self,
        caller: Option<&Interface>,
        at: (PortIndex, Direction),
        callee: PortIndex,
        index: u32,
    ) -> Result<PortIndex, Stop> {
        self.endpoint_mtu(at)?;
        let source = self.headers.tuple.source;
        let caller = caller.and_then(|interface| caller_address_of(interface, source));
        let callee = callee_address(callee, index).map(Address::from);
        let (Some(caller), Some(callee)) = (caller, callee) else {
            let reason = DropReason::ServiceCallerUnknown;
            return Err(self.dropped(Stage::VpcEndpoint, at, reason, |_| {
                format!("{source} is not the address of an interface in use")
            }));
        };
        self.step(Stage::VpcEndpoint, at, Outcome::Pass, |_| {
            (None, "handed to the service".to_owned())
        });
        set_address(self.packet, &mut self.headers, End::Source, caller);
        set_address(self.packet, &mut self.headers, End::Destination, callee);
        let mac = self.policy.fabric().services_mac;
        self.deliver_to_fabric(PortIndex::SERVICES, mac)
    }

    /// The interface that has a packet's source address: its sender, or who it was sent on for.
    fn caller_through(&self, endpoint: Place<'a>, source: Address) -> Option<&'a Interface> {
        let sender = self.policy.interface(self.from).filter(|sender| sender.has(source));
        sender.or_else(|| self.policy.by_private_or_peer(endpoint.subnet.vpc, source).next())
    }

    /// Larger packets vanish: neither an error is sent nor is anything cut (VPCE-14).
    fn endpoint_mtu(&mut self, at: (PortIndex, Direction)) -> Result<(), Stop> {
        self.mtu = self.mtu.min(u32::from(ENDPOINT_MTU));
        if self.headers.largest <= self.mtu {
            return Ok(());
        }
        Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
            format!("{} bytes exceed {ENDPOINT_MTU}", walk.headers.largest)
        }))
    }

    /// What a packet from the services answers for, if it is an endpoint.
    pub(super) fn callee(&self) -> Option<Callee<'a>> {
        let source = self.headers.tuple.source;
        let (port, index) = callee_of(source.as_v4()?.into())?;
        let policy = self.policy;
        match policy.interface(port) {
            Some(interface) if interface.role == Role::Endpoint && index == 0 => {
                Some(Callee::Interface(Place { interface, subnet: policy.subnet(interface)? }))
            }
            Some(_) => None,
            None => {
                let endpoint = policy.gateway_endpoint(port)?;
                let address = u32::from(endpoint.service.block.network()).checked_add(index)?;
                Some(Callee::Gateway(endpoint, Address::v4(address)))
            }
        }
    }

    /// An answer of a service through an endpoint to its caller. It never begins anything (VPCE-6).
    pub(super) fn leave_service(&mut self, callee: Callee<'a>) -> Result<PortIndex, Stop> {
        let tuple = self.headers.tuple;
        let (at, known) = match callee {
            Callee::Interface(place) => {
                let own = place.interface.primary_of(Family::V4);
                ((place.interface.port, Direction::Egress), own)
            }
            Callee::Gateway(_, address) => ((self.from, Direction::Ingress), Some(address)),
        };
        let answers = match callee {
            Callee::Interface(_) => self.answers_by_tcp(),
            Callee::Gateway(..) => self.answers_by_tcp() || is_icmp(&tuple, ECHO_REPLY),
        };
        if !answers {
            let reason = DropReason::EndpointUnsolicited;
            return Err(self.dropped(Stage::VpcEndpoint, at, reason, |_| {
                "an endpoint answers and begins nothing".to_owned()
            }));
        }
        let found = called_from(self.policy, tuple.destination).filter(|(to, _)| match callee {
            Callee::Interface(_) => true,
            Callee::Gateway(endpoint, _) => {
                self.policy.subnet(to).is_some_and(|subnet| subnet.vpc == endpoint.vpc)
            }
        });
        let (Some(known), Some((to, private))) = (known, found) else {
            let reason = DropReason::ServiceCallerUnknown;
            return Err(self.dropped(Stage::VpcEndpoint, at, reason, |_| {
                format!("{} is no caller", tuple.destination)
            }));
        };
        self.endpoint_mtu(at)?;
        set_address(self.packet, &mut self.headers, End::Source, known);
        set_address(self.packet, &mut self.headers, End::Destination, private);
        self.step(Stage::VpcEndpoint, at, Outcome::Pass, |_| {
            (None, format!("an answer of {known}"))
        });
        match callee {
            Callee::Interface(place) => {
                self.from_tracker = true;
                self.security_group(place, Direction::Egress)?;
                self.answer_from(place, private)
            }
            Callee::Gateway(endpoint, _) => {
                self.from_tracker = endpoint.service.tracked;
                let to = self.place_of(to)?;
                self.arrive(to, Origin::Outside)
            }
        }
    }

    fn answers_by_tcp(&self) -> bool {
        let is_tcp = IpProtocol(self.headers.tuple.protocol) == IpProtocol::TCP;
        is_tcp && !self.headers.begins_tcp()
    }

    /// Out of the interface of an endpoint, as a host there sends: to neighbours directly.
    fn answer_from(&mut self, place: Place<'a>, to: Address) -> Result<PortIndex, Stop> {
        if !place.subnet.contains(to) {
            return self.onward(place);
        }
        self.left(place, Some(TrafficPath::SameVpc));
        let neighbour = self.policy.by_private(place.subnet.vpc, to);
        match neighbour.filter(|it| it.subnet == place.interface.subnet) {
            Some(neighbour) => {
                wire::set_macs(self.packet.frame, neighbour.mac, place.interface.mac);
                let neighbour = self.place_of(neighbour)?;
                self.arrive(neighbour, Origin::Neighbour)
            }
            None => {
                let at = (place.interface.port, Direction::Egress);
                Err(self.dropped(Stage::VpcEndpoint, at, DropReason::NoSuchAddress, |_| {
                    format!("{to} is not the address of an interface in use")
                }))
            }
        }
    }

    /// Whether a packet that goes out of an interface is on its way to an endpoint whose flows are
    /// tracked whatever the rules say (SGT-11).
    pub(super) fn goes_to_tracking_endpoint(&self, place: Place<'_>) -> bool {
        let destination = self.headers.tuple.destination;
        let is_endpoint = |found: Option<&Interface>| {
            found.is_some_and(|interface| interface.role == Role::Endpoint)
        };
        if !self.is_for_router(place) {
            let mac = wire::destination_mac(self.packet.frame);
            return is_endpoint(
                mac.and_then(|mac| self.policy.by_mac(place.interface.subnet, mac)),
            );
        }
        let vpc = place.subnet.vpc;
        match self.peek(place, self.headers.tuple.destination) {
            Some(Way::Local) => is_endpoint(self.policy.by_private(vpc, destination)),
            Some(Way::Peering(peering)) => {
                let peering = self.policy.peering(peering);
                is_endpoint(
                    peering.and_then(|it| self.policy.by_private(it.other(vpc), destination)),
                )
            }
            Some(Way::GatewayEndpoint(number)) => {
                self.policy.gateway_endpoint(number).is_some_and(|it| it.service.tracked)
            }
            _ => false,
        }
    }
}

/// The place of an address in a block.
fn place_of(block: Ipv4Net, address: Address) -> Option<u32> {
    let address = address.as_v4()?;
    block.contains(&Ipv4Addr::from(address)).then(|| address - u32::from(block.network()))
}

fn is_icmp(tuple: &Tuple, kind: u8) -> bool {
    IpProtocol(tuple.protocol) == IpProtocol::ICMP && tuple.icmp_type() == kind
}
