//! What size the way carries (MTU-1, IGW-10, traps 4): virtual links enforce none themselves.
//!
//! A packet that must not be fragmented is answered with "fragmentation needed" from its subnet's
//! router (PIPE-8); others are cut when they are delivered. A segment is judged by the packets
//! that it stands for, not by its own length.

use gureum_types::IpProtocol;

use super::{Place, Stop, Walk, show};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    wire::{
        ETHERNET_LEN,
        fragment::complete_checksum,
        icmp::{ErrorEnds, fragmentation_needed},
        ipv4::{Part, is_error},
    },
};

/// Within a VPC.
pub(crate) const VPC_MTU: u16 = 9001;
/// Through an internet gateway.
pub(crate) const INTERNET_MTU: u16 = 1500;

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// On a way with a router.
    pub(super) fn routed_mtu(&mut self, place: Place<'_>, mtu: u16) -> Result<(), Stop> {
        self.mtu = u32::from(mtu);
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
        // No error is sent about an error or a later fragment (RFC 1122, 3.2.2).
        let is_error = tuple.protocol == IpProtocol::ICMP.0 && is_error(tuple.icmp_type());
        if is_error || self.headers.part == Part::Later {
            return self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
                format!("{} bytes exceed {mtu}", walk.headers.largest)
            });
        }
        self.step(Stage::PathMtu, at, Outcome::Reply, |walk| {
            let largest = walk.headers.largest;
            let router = show(place.subnet.router);
            (None, format!("{largest} bytes exceed {mtu}: \"fragmentation needed\" from {router}"))
        });
        if self.packet.offload.gso_size == 0 {
            complete_checksum(self.packet.frame, self.headers.end, &mut self.packet.offload);
        }
        let ends = ErrorEnds {
            source_mac: place.subnet.router_mac,
            destination_mac: place.interface.mac,
            source: place.subnet.router,
            destination: tuple.source,
        };
        let packet = self.packet.frame.get(ETHERNET_LEN..self.headers.end).unwrap_or_default();
        let error = fragmentation_needed(ends, packet, self.headers.largest, mtu);
        self.send(place.interface.port, error.as_bytes());
        Stop::Reply
    }
}
