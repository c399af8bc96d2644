//! The source: the frame's MAC address always, the packet's address unless the check is off
//! (SDC-1, traps 18).

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::Address,
    wire::{self, BROADCAST},
};

/// 255.255.255.255
pub(super) const EVERYBODY: Address = Address::v4(u32::MAX);

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// The frame must come from the interface's own MAC address, whatever the guest's root set.
    pub(super) fn source_mac(&mut self, place: Place<'_>) -> Result<(), Stop> {
        if wire::source_mac(self.packet.frame) == Some(place.interface.mac) {
            return Ok(());
        }
        let at = (place.interface.port, Direction::Egress);
        let reason = DropReason::SourceMacSpoofed;
        Err(self.dropped(Stage::SourceCheck, at, reason, |_| {
            "the frame's source is not the interface's MAC address".to_owned()
        }))
    }

    /// Only unicast is carried (PIPE-12), by frame and by packet.
    pub(super) fn unicast(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let mac = wire::destination_mac(self.packet.frame).unwrap_or(BROADCAST);
        let destination = self.headers.tuple.destination;
        let broadcast =
            mac == BROADCAST || destination == EVERYBODY || is_broadcast(place, destination);
        let multicast = mac[0] & 1 != 0 || destination.is_multicast();
        let reason = match (broadcast, multicast) {
            (true, _) => DropReason::Broadcast,
            (false, true) => DropReason::Multicast,
            (false, false) => return Ok(()),
        };
        let at = (place.interface.port, Direction::Egress);
        Err(self.dropped(Stage::L2, at, reason, |_| format!("{destination} is not unicast")))
    }

    /// The packet must come from an address of the interface, unless the check is off (SDC-2).
    pub(super) fn source_check(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let at = (place.interface.port, Direction::Egress);
        let source = self.headers.tuple.source;
        if place.interface.has(source) || !place.interface.source_dest_check {
            self.step(Stage::SourceCheck, at, Outcome::Pass, |_| {
                let checked = if place.interface.has(source) {
                    "is an address of the interface"
                } else {
                    "is not an address of the interface, whose check is off"
                };
                (None, format!("{source} {checked}"))
            });
            return Ok(());
        }
        Err(self.dropped(Stage::SourceCheck, at, DropReason::SourceCheck, |_| {
            format!("{source} is not an address of the interface")
        }))
    }
}

/// The last address of the sender's subnet is its broadcast address, which is not carried.
fn is_broadcast(place: Place<'_>, destination: Address) -> bool {
    place.subnet.block.is_some_and(|block| destination == block.broadcast().into())
}
