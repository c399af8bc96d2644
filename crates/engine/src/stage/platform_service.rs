//! Services of the platform: metadata, resolver, time. Nothing filters them (SG-35, NACL-17).
//!
//! The caller becomes an address that names its interface and the service becomes an address of
//! the services namespace, both ways without state, so VPCs may overlap (traps 11). The caller is
//! always an address of the interface, also where the source check is off: an answer would not
//! find its way back otherwise (SDC-3 is not offered).

use std::net::IpAddr;

use gureum_types::{
    IpProtocol, PortIndex, ServiceDoor, caller_address, caller_of, ipv6_caller_address,
    ipv6_caller_of,
};

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Policy, Stage, Trace,
    address::{Address, Family},
    policy::{Interface, VPC_MTU, Vpc},
    wire::rewrite::{End, set_address, translate_embedded},
};

/// 169.254.169.254
pub(super) const METADATA: Address = Address::v4(0xa9fe_a9fe);
/// 169.254.169.253
pub(super) const RESOLVER: Address = Address::v4(0xa9fe_a9fd);
/// 169.254.169.123
pub(super) const TIME: Address = Address::v4(0xa9fe_a97b);

/// The address by which an interface of a VPC knows a service; in IPv6 every VPC the same.
pub(super) fn known_address(door: ServiceDoor, family: Family, vpc: &Vpc) -> Option<Address> {
    match (door, family) {
        (_, Family::V6) => door.ipv6_known_address().map(Address::from),
        (ServiceDoor::Metadata, _) => Some(METADATA),
        (ServiceDoor::ResolverLinkLocal, _) => Some(RESOLVER),
        (ServiceDoor::ResolverVpc, _) => Some(vpc.resolver),
        (ServiceDoor::Time, _) => Some(TIME),
    }
}

/// The address of a service in the services namespace.
fn door_address(door: ServiceDoor, family: Family) -> Option<Address> {
    match family {
        Family::V4 => Some(door.address().into()),
        Family::V6 => door.ipv6_address().map(Address::from),
    }
}

/// The address under which services see an interface that calls from one of its addresses.
pub(super) fn caller_address_of(interface: &Interface, source: Address) -> Option<Address> {
    let index = |found: Option<usize>| found.and_then(|index| u32::try_from(index).ok());
    match source.family() {
        Family::V4 => {
            let own = interface.addresses.iter().position(|(own, _)| *own == source);
            Some(caller_address(interface.port, index(own)?)?.into())
        }
        Family::V6 => {
            let own = interface.ipv6.iter().position(|own| *own == source);
            Some(ipv6_caller_address(interface.port, index(own)?)?.into())
        }
    }
}

/// The interface behind such an address, with the address that it called from.
pub(super) fn called_from(policy: &Policy, address: Address) -> Option<(&Interface, Address)> {
    match address.ip() {
        IpAddr::V4(address) => {
            let (port, index) = caller_of(address)?;
            let interface = policy.interface(port)?;
            let (own, _) = interface.addresses.get(usize::try_from(index).ok()?)?;
            Some((interface, *own))
        }
        IpAddr::V6(address) => {
            let (port, index) = ipv6_caller_of(address)?;
            let interface = policy.interface(port)?;
            Some((interface, *interface.ipv6.get(usize::try_from(index).ok()?)?))
        }
    }
}

/// Whether a service listens on a port.
fn is_open(door: ServiceDoor, protocol: u8, port: u16) -> bool {
    match (door, IpProtocol(protocol)) {
        (ServiceDoor::Metadata, IpProtocol::TCP) => port == 80,
        (
            ServiceDoor::ResolverLinkLocal | ServiceDoor::ResolverVpc,
            IpProtocol::TCP | IpProtocol::UDP,
        ) => port == 53,
        (ServiceDoor::Time, IpProtocol::UDP) => port == 123,
        _ => false,
    }
}

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// A packet to a service, if it is one.
    pub(super) fn platform_service(&mut self, place: Place<'_>) -> Result<Option<PortIndex>, Stop> {
        let vpc = self.policy.vpc(place.subnet).ok_or(DropReason::BrokenInterface)?;
        let tuple = self.headers.tuple;
        let Some(door) = ServiceDoor::ALL
            .into_iter()
            .find(|door| known_address(*door, tuple.family(), vpc) == Some(tuple.destination))
        else {
            return Ok(None);
        };
        let at = (place.interface.port, Direction::Egress);
        let stage = Stage::PlatformService;
        let is_resolver = matches!(door, ServiceDoor::ResolverLinkLocal | ServiceDoor::ResolverVpc);
        if is_resolver && !vpc.resolver_enabled {
            return Err(self.dropped(stage, at, DropReason::ResolverDisabled, |_| {
                "the resolver is switched off in the VPC".to_owned()
            }));
        }
        if !is_open(door, tuple.protocol, tuple.destination_port) {
            return Err(self.dropped(stage, at, DropReason::ServicePortClosed, |_| {
                format!("{} does not offer this", tuple.destination)
            }));
        }
        let caller = caller_address_of(place.interface, tuple.source);
        let (Some(caller), Some(address)) = (caller, door_address(door, tuple.family())) else {
            return Err(self.dropped(stage, at, DropReason::SourceCheck, |_| {
                format!("{} is not an address of the interface", tuple.source)
            }));
        };
        self.step(stage, at, Outcome::Pass, |_| {
            (None, format!("{} is a service of the platform", tuple.destination))
        });
        self.routed_mtu(place, VPC_MTU)?;
        set_address(self.packet, &mut self.headers, End::Source, caller);
        set_address(self.packet, &mut self.headers, End::Destination, address);
        let mac = self.policy.fabric().services_mac;
        self.deliver_to_fabric(PortIndex::SERVICES, mac).map(Some)
    }

    /// A packet from a service to its caller.
    pub(super) fn return_to_caller(&mut self) -> Result<PortIndex, Stop> {
        let at = (self.from, Direction::Ingress);
        let tuple = self.headers.tuple;
        let policy = self.policy;
        let door = ServiceDoor::ALL
            .into_iter()
            .find(|door| door_address(*door, tuple.family()) == Some(tuple.source));
        let found = called_from(policy, tuple.destination).and_then(|(interface, private)| {
            let subnet = policy.subnet(interface)?;
            let known = known_address(door?, tuple.family(), policy.vpc(subnet)?)?;
            Some((Place { interface, subnet }, private, known))
        });
        let Some((place, private, known)) = found else {
            let reason = DropReason::ServiceCallerUnknown;
            return Err(self.dropped(Stage::PlatformService, at, reason, |_| {
                format!("{} to {} answers no caller", tuple.source, tuple.destination)
            }));
        };
        translate_embedded(self.packet, &self.headers, |end, address| match end {
            End::Source => (address == tuple.destination).then_some(private),
            End::Destination => (address == tuple.source).then_some(known),
        });
        set_address(self.packet, &mut self.headers, End::Source, known);
        set_address(self.packet, &mut self.headers, End::Destination, private);
        self.mtu = u32::from(VPC_MTU);
        if self.headers.largest > self.mtu {
            return Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
                format!("{} bytes exceed {VPC_MTU}", walk.headers.largest)
            }));
        }
        self.step(Stage::PlatformService, at, Outcome::Pass, |_| {
            (None, format!("an answer of {known}"))
        });
        self.deliver(place, true)
    }
}
