//! What size the way carries (MTU-1, IGW-10, traps 4): virtual links enforce none themselves.
//!
//! A packet that must not be fragmented is answered with "fragmentation needed" from its subnet's
//! router (PIPE-8); others are cut when they are delivered. A segment is judged by the packets
//! that it stands for, not by its own length.

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::Family,
    policy::{Role, VPC_MTU, routes::Way},
    wire::{
        ETHERNET_LEN,
        icmp::{Complaint, ErrorEnds, error},
        ip::Part,
    },
};

/// Through an internet gateway.
pub(crate) const INTERNET_MTU: u16 = 1500;
/// Through a peering connection between regions (MTU-1: newer documentation says 8500).
pub(crate) const INTER_REGION_MTU: u16 = 1500;

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// What a way from a subnet carries.
    pub(super) fn mtu_of(&self, way: Way, place: Place<'_>) -> u16 {
        match way {
            Way::InternetGateway | Way::EgressOnlyInternetGateway => INTERNET_MTU,
            Way::Peering(peering) => {
                let peering = self.policy.peering(peering);
                let near = peering.is_some_and(|peering| {
                    peering.same_region && peering.vpcs.contains(&place.subnet.vpc)
                });
                if near { VPC_MTU } else { INTER_REGION_MTU }
            }
            // What an endpoint does not carry it does not tell (VPCE-14).
            Way::Local | Way::Interface(_) | Way::NatGateway(_) | Way::GatewayEndpoint(_) => {
                VPC_MTU
            }
            Way::VpnGateway | Way::TransitGateway | Way::Blackhole => u16::MAX,
        }
    }

    /// On a way with a router.
    pub(super) fn routed_mtu(&mut self, place: Place<'_>, mtu: u16) -> Result<(), Stop> {
        self.mtu = self.mtu.min(u32::from(mtu));
        if self.headers.largest <= self.mtu {
            return Ok(());
        }
        self.cacheable = false;
        if !self.headers.dont_fragment {
            let at = (place.interface.port, Direction::Egress);
            self.step(Stage::PathMtu, at, Outcome::Pass, |walk| {
                (None, format!("{} bytes are cut to {mtu}", walk.headers.largest))
            });
            return Ok(());
        }
        Err(self.fragmentation_needed(place, mtu))
    }

    /// Between neighbours: no router is there to answer or to cut.
    pub(super) fn switched_mtu(&mut self, place: Place<'_>) -> Result<(), Stop> {
        self.mtu = u32::from(VPC_MTU);
        if self.headers.largest <= self.mtu {
            return Ok(());
        }
        let at = (place.interface.port, Direction::Egress);
        Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
            format!("{} bytes exceed {VPC_MTU}", walk.headers.largest)
        }))
    }

    /// From the internet, whose link has the gateway's MTU: anything larger is somebody's mistake.
    pub(super) fn incoming_mtu(&mut self, place: Place<'_>) -> Result<(), Stop> {
        self.mtu = u32::from(INTERNET_MTU);
        if self.headers.largest <= self.mtu {
            return Ok(());
        }
        let at = (place.interface.port, Direction::Ingress);
        Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
            format!("{} bytes exceed {INTERNET_MTU}", walk.headers.largest)
        }))
    }

    fn fragmentation_needed(&mut self, place: Place<'_>, mtu: u16) -> Stop {
        let at = (place.interface.port, Direction::Egress);
        let tuple = self.headers.tuple;
        let router = match tuple.family() {
            Family::V4 => place.subnet.router(),
            Family::V6 => Some(place.subnet.router_ipv6()),
        };
        // No error is sent about an error or a later fragment (RFC 1122, 3.2.2), a gateway has told
        // who uses it before, and an endpoint hears none (VPCE-14).
        let silent = tuple.is_icmp_error()
            || self.headers.part == Part::Later
            || place.interface.role != Role::Instance;
        let Some(router) = router.filter(|_| !silent) else {
            return self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
                format!("{} bytes exceed {mtu}", walk.headers.largest)
            });
        };
        self.step(Stage::PathMtu, at, Outcome::Reply, |walk| {
            let largest = walk.headers.largest;
            let error = match router.family() {
                Family::V4 => "fragmentation needed",
                Family::V6 => "packet too big",
            };
            (None, format!("{largest} bytes exceed {mtu}: \"{error}\" from {router}"))
        });
        self.finish_checksum();
        let ends = ErrorEnds {
            source_mac: place.subnet.router_mac,
            destination_mac: place.interface.mac,
            source: router,
            destination: tuple.source,
        };
        let packet = self.packet.frame.get(ETHERNET_LEN..self.headers.end).unwrap_or_default();
        let error = error(ends, Complaint::TooBig(mtu), packet, self.headers.largest);
        self.send(place.interface.port, error.as_bytes());
        Stop::Reply
    }
}
