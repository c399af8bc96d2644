//! Neighbour discovery: answered by the platform, never by peers, as ARP is (L2-1, L2-2). Routers
//! are the platform's alone: nobody's advertisement but its own is heard.

use gureum_types::{PortIndex, ServiceDoor};

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::Address,
    policy::{FABRIC_ROUTER_MAC, VPC_MTU, link_local},
    wire::{
        icmpv6,
        neighbor::{
            ALL_NODES, Asked, Ends, Solicitation, neighbor_advertisement, parse,
            router_advertisement,
        },
        source_mac,
    },
};

/// What there is to say.
enum Answer {
    Neighbor { target: Address, mac: [u8; 6], is_router: bool },
    Router,
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// Answers neighbour discovery from an interface, if the packet is that.
    pub(super) fn neighbor_discovery(&mut self, place: Place<'a>) -> Result<(), Stop> {
        if !self.is_neighbor_discovery() {
            return Ok(());
        }
        let at = (place.interface.port, Direction::Egress);
        let stage = Stage::NeighborDiscovery;
        let answer = match self.answer_neighbor(place) {
            Ok(answer) => answer,
            Err(reason) => {
                return Err(self.dropped(stage, at, reason, |_| reason.name().to_owned()));
            }
        };
        let asker = self.headers.tuple.source;
        let destination = if asker.is_unspecified() { ALL_NODES } else { asker };
        let ends = Ends {
            source_mac: place.subnet.router_mac,
            destination_mac: place.interface.mac,
            source: place.subnet.router_ipv6(),
            destination,
        };
        let frame = match answer {
            Answer::Neighbor { target, mac, is_router } => {
                self.step(stage, at, Outcome::Reply, |_| (None, format!("{target} is known here")));
                // It comes from the address that was asked for, as if its owner answered.
                let ends = Ends { source: target, source_mac: mac, ..ends };
                neighbor_advertisement(ends, target, mac, is_router, !asker.is_unspecified())
            }
            Answer::Router => {
                let Some(prefix) = place.subnet.ipv6_block else {
                    return Err(DropReason::Ipv6NotEnabled.into());
                };
                self.step(stage, at, Outcome::Reply, |_| {
                    (None, format!("the router of {}", place.subnet.id))
                });
                router_advertisement(ends, ends.source_mac, prefix, VPC_MTU)
            }
        };
        self.send(place.interface.port, &frame);
        Err(Stop::Reply)
    }

    fn is_neighbor_discovery(&self) -> bool {
        self.headers.tuple.is_icmp()
            && (icmpv6::ROUTER_SOLICITATION..=icmpv6::REDIRECT)
                .contains(&self.headers.tuple.icmp_type())
    }

    fn asked(&self) -> Result<Asked, DropReason> {
        match self.headers.tuple.icmp_type() {
            icmpv6::ROUTER_ADVERTISEMENT | icmpv6::REDIRECT => Err(DropReason::RouterSpoofed),
            icmpv6::NEIGHBOR_ADVERTISEMENT => Err(DropReason::NeighborGratuitous),
            _ => parse(self.packet.frame, &self.headers).ok_or(DropReason::NeighborMalformed),
        }
    }

    fn answer_neighbor(&self, place: Place<'a>) -> Result<Answer, DropReason> {
        let asked = self.asked()?;
        let (interface, subnet) = (place.interface, place.subnet);
        let source = self.headers.tuple.source;
        let own = source.is_unspecified() || source.is_link_local() || interface.has(source);
        if asked.sender_mac.is_some_and(|mac| mac != interface.mac)
            || !own && interface.source_dest_check
        {
            return Err(DropReason::NeighborSpoofed);
        }
        let target = match asked.what {
            Solicitation::Router => return Ok(Answer::Router),
            Solicitation::Neighbor(target) => target,
        };
        if target == source
            || interface.has(target)
            || target == link_local(interface.mac)
            || target.is_link_local() && source.is_unspecified()
        {
            return Err(DropReason::NeighborGratuitous);
        }
        let is_service = ServiceDoor::ALL
            .into_iter()
            .any(|door| door.ipv6_known_address().map(Address::from) == Some(target));
        if subnet.is_router(target) || is_service {
            return Ok(Answer::Neighbor { target, mac: subnet.router_mac, is_router: true });
        }
        let neighbour = if target.is_link_local() {
            mac_of(target).and_then(|mac| self.policy.by_mac(interface.subnet, mac))
        } else {
            let found = self.policy.by_private(subnet.vpc, target);
            found.filter(|other| other.subnet == interface.subnet)
        };
        let mac = neighbour.ok_or(DropReason::NeighborUnusedAddress)?.mac;
        Ok(Answer::Neighbor { target, mac, is_router: false })
    }

    /// The same from the internet and the services: whatever they ask for is behind the router.
    pub(super) fn fabric_neighbor(&mut self) -> Result<(), Stop> {
        if !self.is_neighbor_discovery() {
            return Ok(());
        }
        let at = (self.from, Direction::Ingress);
        let stage = Stage::NeighborDiscovery;
        let asker = self.headers.tuple.source;
        let target = self.asked().and_then(|asked| match asked.what {
            Solicitation::Neighbor(target) if !asker.is_unspecified() && asker != target => {
                Ok(target)
            }
            Solicitation::Neighbor(_) => Err(DropReason::NeighborGratuitous),
            Solicitation::Router => Err(DropReason::NeighborUnusedAddress),
        });
        let (target, mac) = match (target, source_mac(self.packet.frame)) {
            (Ok(target), Some(mac)) => (target, mac),
            (Err(reason), _) => {
                return Err(self.dropped(stage, at, reason, |_| reason.name().to_owned()));
            }
            (Ok(_), None) => return Err(DropReason::Malformed.into()),
        };
        self.step(stage, at, Outcome::Reply, |_| (None, format!("{target} is known here")));
        let ends = Ends {
            source_mac: FABRIC_ROUTER_MAC,
            destination_mac: mac,
            source: target,
            destination: asker,
        };
        let frame = neighbor_advertisement(ends, target, FABRIC_ROUTER_MAC, true, true);
        let port: PortIndex = self.from;
        self.send(port, &frame);
        Err(Stop::Reply)
    }
}

/// The MAC address that a link-local address was made of (RFC 4291, appendix A).
fn mac_of(address: Address) -> Option<[u8; 6]> {
    let [_, _, _, _, _, _, _, _, a, b, c, 0xff, 0xfe, d, e, f] = address.number().to_be_bytes()
    else {
        return None;
    };
    Some([a ^ 2, b, c, d, e, f])
}
