//! Services of the platform: metadata, resolver, time. Nothing filters them (SG-35, NACL-17).
//!
//! The caller becomes an address that names its interface and the service becomes an address of
//! the services namespace, both ways without state, so VPCs may overlap (traps 11). The caller is
//! always an address of the interface, also where the source check is off: an answer would not
//! find its way back otherwise (SDC-3 is not offered).

use gureum_types::{IpProtocol, PortIndex, ServiceDoor, caller_address, caller_of};

use super::{Place, Stop, Walk, path_mtu::VPC_MTU, show};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    policy::Vpc,
    wire::rewrite::{End, set_address, translate_embedded},
};

/// 169.254.169.254
pub(super) const METADATA: u32 = 0xa9fe_a9fe;
/// 169.254.169.253
pub(super) const RESOLVER: u32 = 0xa9fe_a9fd;
/// 169.254.169.123
pub(super) const TIME: u32 = 0xa9fe_a97b;

/// The address by which an interface of a VPC knows a service.
pub(super) fn known_address(door: ServiceDoor, vpc: &Vpc) -> u32 {
    match door {
        ServiceDoor::Metadata => METADATA,
        ServiceDoor::ResolverLinkLocal => RESOLVER,
        ServiceDoor::ResolverVpc => vpc.resolver,
        ServiceDoor::Time => TIME,
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
            .find(|door| tuple.destination == known_address(*door, vpc))
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
                format!("{} does not offer this", show(tuple.destination))
            }));
        }
        let index = place.interface.addresses.iter().position(|(own, _)| *own == tuple.source);
        let caller = index
            .and_then(|index| caller_address(place.interface.port, u32::try_from(index).ok()?));
        let Some(caller) = caller else {
            return Err(self.dropped(stage, at, DropReason::SourceCheck, |_| {
                format!("{} is not an address of the interface", show(tuple.source))
            }));
        };
        self.step(stage, at, Outcome::Pass, |_| {
            (None, format!("{} is a service of the platform", show(tuple.destination)))
        });
        self.routed_mtu(place, VPC_MTU)?;
        set_address(self.packet, &mut self.headers, End::Source, caller.into());
        set_address(self.packet, &mut self.headers, End::Destination, door.address().into());
        let mac = self.policy.fabric().services_mac;
        self.deliver_to_fabric(PortIndex::SERVICES, mac).map(Some)
    }

    /// A packet from a service to its caller.
    pub(super) fn return_to_caller(&mut self) -> Result<PortIndex, Stop> {
        let at = (self.from, Direction::Ingress);
        let tuple = self.headers.tuple;
        let policy = self.policy;
        let door =
            ServiceDoor::ALL.into_iter().find(|door| u32::from(door.address()) == tuple.source);
        let caller = caller_of(tuple.destination.into()).and_then(|(port, index)| {
            let interface = policy.interface(port)?;
            let (private, _) = interface.addresses.get(usize::try_from(index).ok()?)?;
            let subnet = policy.subnet(interface)?;
            Some((Place { interface, subnet }, *private, policy.vpc(subnet)?))
        });
        let (Some(door), Some((place, private, vpc))) = (door, caller) else {
            let reason = DropReason::ServiceCallerUnknown;
            return Err(self.dropped(Stage::PlatformService, at, reason, |_| {
                let (source, destination) = (show(tuple.source), show(tuple.destination));
                format!("{source} to {destination} answers no caller")
            }));
        };
        let known = known_address(door, vpc);
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
            (None, format!("an answer of {}", show(known)))
        });
        self.deliver(place, true)
    }
}
