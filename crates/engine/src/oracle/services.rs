//! Services of the platform (SG-35, NACL-17): nothing filters them.

use std::net::{IpAddr, Ipv4Addr};

use gureum_types::{
    PortIndex, ServiceDoor, callee_of, caller_address, caller_of, ipv6_caller_address,
    ipv6_caller_of,
    record::{NetworkInterface, Vpc},
};

use super::{
    Arrival, Kind, Walk, Words,
    lookup::{behind, subnet_of, vpc_of},
};

/// By which address a VPC knows a door, in the family of another address.
fn known_address(door: ServiceDoor, vpc: &Vpc, family_of: IpAddr) -> Option<IpAddr> {
    if family_of.is_ipv6() {
        return door.ipv6_known_address().map(IpAddr::from);
    }
    let address = match door {
        ServiceDoor::Metadata => Ipv4Addr::new(169, 254, 169, 254),
        ServiceDoor::ResolverLinkLocal => Ipv4Addr::new(169, 254, 169, 253),
        // Of the primary block alone (DNS-1).
        ServiceDoor::ResolverVpc => (u32::from(vpc.cidr_block.network()) + 2).into(),
        ServiceDoor::Time => Ipv4Addr::new(169, 254, 169, 123),
    };
    Some(address.into())
}

fn door_address(door: ServiceDoor, family_of: IpAddr) -> Option<IpAddr> {
    match family_of {
        IpAddr::V4(_) => Some(door.address().into()),
        IpAddr::V6(_) => door.ipv6_address().map(IpAddr::from),
    }
}

/// The door that a packet from an interface of a VPC goes to.
pub(super) fn door_of(vpc: &Vpc, to: IpAddr) -> Option<ServiceDoor> {
    ServiceDoor::ALL.into_iter().find(|door| known_address(*door, vpc, to) == Some(to))
}

pub(super) fn to_service(
    interface: &NetworkInterface,
    vpc: &Vpc,
    door: ServiceDoor,
    packet: Words,
) -> Arrival {
    let resolver = matches!(door, ServiceDoor::ResolverLinkLocal | ServiceDoor::ResolverVpc);
    if resolver && !vpc.enable_dns_support {
        return Err("resolver-disabled".into());
    }
    let open = match packet.kind {
        Kind::Tcp(_, 80, _) => door == ServiceDoor::Metadata,
        Kind::Tcp(_, 53, _) | Kind::Udp(_, 53) => resolver,
        Kind::Udp(_, 123) => door == ServiceDoor::Time,
        _ => false,
    };
    if !open {
        return Err("service-port-closed".into());
    }
    let caller = match packet.source {
        IpAddr::V4(source) => {
            let index = interface.private_addresses.iter().position(|own| *own == source);
            index.and_then(|index| caller_address(interface.port, index as u32)).map(IpAddr::from)
        }
        IpAddr::V6(source) => {
            let index = interface.ipv6_addresses.iter().position(|own| *own == source);
            index
                .and_then(|index| ipv6_caller_address(interface.port, index as u32))
                .map(IpAddr::from)
        }
    };
    let source = caller.ok_or("source-check")?;
    let destination = door_address(door, packet.source).ok_or("source-check")?;
    Ok((PortIndex::SERVICES, Words { source, destination, ..packet }))
}

impl Walk<'_, '_> {
    /// An answer of a service, to its caller.
    pub(super) fn services_ingress(&mut self, packet: Words) -> Arrival {
        if let IpAddr::V4(callee) = packet.source
            && let Some((number, place)) = callee_of(callee)
        {
            return self.endpoint_answer(number, place, packet);
        }
        const UNKNOWN: &str = "service-caller-unknown";
        let (port, index) = match packet.destination {
            IpAddr::V4(address) => caller_of(address),
            IpAddr::V6(address) => ipv6_caller_of(address),
        }
        .ok_or(UNKNOWN)?;
        let interface = behind(self.network, port).ok_or(UNKNOWN)?;
        let subnet = subnet_of(self.network, interface).ok_or(UNKNOWN)?;
        let vpc = vpc_of(self.network, subnet).ok_or(UNKNOWN)?;
        let index = index as usize;
        let destination = match packet.destination {
            IpAddr::V4(_) => interface.private_addresses.get(index).copied().map(IpAddr::from),
            IpAddr::V6(_) => interface.ipv6_addresses.get(index).copied().map(IpAddr::from),
        };
        let door = ServiceDoor::ALL
            .into_iter()
            .find(|door| door_address(*door, packet.source) == Some(packet.source));
        let source = door.and_then(|door| known_address(door, vpc, packet.source));
        let (source, destination) = (source.ok_or(UNKNOWN)?, destination.ok_or(UNKNOWN)?);
        // An error speaks of what its receiver sent.
        let about = packet.about.map(|mut about| {
            if about.source == packet.destination {
                about.source = destination;
            }
            if about.destination == packet.source {
                about.destination = source;
            }
            about
        });
        Ok((port, Words { source, destination, about, ..packet }))
    }
}
