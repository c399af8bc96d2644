//! Within the subnet or to its router (PIPE-3): the frame's destination MAC address decides.

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    policy::FABRIC_ROUTER_MAC,
    wire::{self, BROADCAST},
};

/// Where a frame goes first.
pub(crate) enum Hop<'a> {
    /// To another interface of the subnet.
    Neighbour(Place<'a>),
    /// To the subnet's router.
    Router,
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// Whether the frame is handed to the router of its sender's subnet.
    pub(super) fn is_for_router(&self, place: Place<'_>) -> bool {
        wire::destination_mac(self.packet.frame) == Some(place.subnet.router_mac)
    }

    pub(super) fn l2(&mut self, place: Place<'a>) -> Result<Hop<'a>, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let mac = wire::destination_mac(self.packet.frame).unwrap_or(BROADCAST);
        if self.is_for_router(place) {
            self.step(Stage::L2, at, Outcome::Pass, |_| {
                (None, format!("handed to the router of {}", place.subnet.id))
            });
            return Ok(Hop::Router);
        }
        match self.policy.by_mac(place.interface.subnet, mac) {
            Some(interface) if interface.port != place.interface.port => {
                self.step(Stage::L2, at, Outcome::Pass, |_| {
                    (None, format!("switched within {}", place.subnet.id))
                });
                Ok(Hop::Neighbour(self.place_of(interface)?))
            }
            _ => {
                let reason = DropReason::UnknownDestinationMac;
                Err(self.dropped(Stage::L2, at, reason, |_| {
                    format!("no interface of {} has the MAC address", place.subnet.id)
                }))
            }
        }
    }

    /// Frames from the internet and the services must be meant for the router.
    pub(super) fn check_fabric_mac(&mut self) -> Result<(), Stop> {
        let mac = wire::destination_mac(self.packet.frame).unwrap_or(BROADCAST);
        let reason = match mac {
            FABRIC_ROUTER_MAC => return Ok(()),
            BROADCAST => DropReason::Broadcast,
            [first, ..] if first & 1 != 0 => DropReason::Multicast,
            _ => DropReason::UnknownDestinationMac,
        };
        let at = (self.from, Direction::Ingress);
        Err(self.dropped(Stage::L2, at, reason, |_| "not for the router".to_owned()))
    }
}
