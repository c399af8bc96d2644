//! Handing a packet to a port: MAC addresses, and fragments where the way is narrow.

use gureum_types::PortIndex;

use super::{Place, Stop, Walk};
use crate::{
    Direction, Offload, Outcome, Output, Stage, Trace,
    policy::FABRIC_ROUTER_MAC,
    wire::{self, ETHERNET_LEN, fragment::cut},
};

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// To an interface. What a router forwarded comes from the MAC address of the router of the
    /// receiver's subnet; what was switched keeps its sender's.
    pub(super) fn deliver(&mut self, to: Place<'_>, routed: bool) -> Result<PortIndex, Stop> {
        let port = to.interface.port;
        self.step(Stage::Deliver, (port, Direction::Ingress), Outcome::Pass, |_| {
            (None, "delivered".to_owned())
        });
        if routed {
            wire::set_macs(self.packet.frame, to.interface.mac, to.subnet.router_mac);
        }
        self.hand_over(port)
    }

    /// To the simulated internet.
    pub(super) fn deliver_to_internet(&mut self) -> Result<PortIndex, Stop> {
        let mac = self.policy.fabric().internet_mac;
        self.deliver_to_fabric(PortIndex::INTERNET, mac)
    }

    /// To a port of the fabric's own.
    pub(super) fn deliver_to_fabric(
        &mut self,
        port: PortIndex,
        mac: [u8; 6],
    ) -> Result<PortIndex, Stop> {
        self.step(Stage::Deliver, (port, Direction::Egress), Outcome::Pass, |_| {
            (None, "delivered".to_owned())
        });
        wire::set_macs(self.packet.frame, mac, FABRIC_ROUTER_MAC);
        self.hand_over(port)
    }

    fn hand_over(&mut self, port: PortIndex) -> Result<PortIndex, Stop> {
        if self.headers.largest <= self.mtu {
            return Ok(port);
        }
        let mtu = usize::try_from(self.mtu).unwrap_or(usize::MAX);
        let (out, counters) = (&mut *self.out, &mut self.state.counters);
        cut(self.packet, &self.headers, mtu, |frame| {
            counters.sent(port, 1, frame.len().saturating_sub(ETHERNET_LEN));
            out.emit(port, frame, Offload::NONE);
        });
        Err(Stop::Reply)
    }

    /// Sends a frame of the engine's own.
    pub(super) fn send(&mut self, port: PortIndex, frame: &[u8]) {
        self.state.counters.sent(port, 1, frame.len().saturating_sub(ETHERNET_LEN));
        self.out.emit(port, frame, Offload::NONE);
    }
}
