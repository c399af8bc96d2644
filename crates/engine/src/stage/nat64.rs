//! NAT64 (NAT-24): from IPv6 to IPv4 through a NAT gateway and back (RFC 6146), for what is sent to
//! [`NAT64_PREFIX`](gureum_types::NAT64_PREFIX).
//!
//! Flows, ports and timeouts are those of the gateway; here is what another family changes. A packet
//! gets another length by it, so it goes on as a new one, which the engine sends itself.

use std::net::Ipv4Addr;

use gureum_types::{nat64_address, nat64_address_of};

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Packet, Stage, Trace,
    address::{Address, Family},
    wire::{
        ETHERNET_LEN,
        icmp::Complaint,
        ip::{Part, Tuple},
        translate::{LONGER, Translation, protocol_in_other, query_in_other, translate},
    },
};

/// The IPv4 address behind the prefix; `None` for any other, IPv4 addresses included.
pub(super) fn behind_prefix(address: Address) -> Option<Ipv4Addr> {
    match address.ip() {
        std::net::IpAddr::V6(address) => nat64_address_of(address),
        std::net::IpAddr::V4(_) => None,
    }
}

/// The address by which IPv6 knows one of IPv4; that of IPv6 itself is the same.
pub(super) fn in_ipv6(address: Address) -> Address {
    match address.ip() {
        std::net::IpAddr::V4(address) => nat64_address(address).into(),
        std::net::IpAddr::V6(_) => address,
    }
}

/// The address that IPv4 knows by that of IPv6; that of IPv4 itself is the same.
pub(super) fn in_ipv4(address: Address) -> Address {
    behind_prefix(address).map_or(address, Address::from)
}

/// The flow of a packet as it is behind the gateway, its source aside: in IPv4.
pub(super) fn behind_gateway(tuple: &Tuple) -> Tuple {
    if tuple.family() == Family::V4 {
        return *tuple;
    }
    let mut behind = Tuple {
        source: Address::v4(0),
        destination: in_ipv4(tuple.destination),
        protocol: protocol_in_other(tuple.protocol, Family::V6),
        ..*tuple
    };
    if tuple.is_icmp()
        && let Some(kind) = query_in_other(tuple.icmp_type(), Family::V6)
    {
        let [_, code] = tuple.source_port.to_be_bytes();
        behind.source_port = u16::from_be_bytes([kind, code]);
    }
    behind
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// By how many bytes a packet is shorter once it is of IPv4.
    pub(super) fn shorter_behind_gateway(&self) -> u32 {
        if self.headers.tuple.family() == Family::V4 {
            return 0;
        }
        let header = self.headers.transport.saturating_sub(ETHERNET_LEN + 20);
        u32::try_from(header).unwrap_or(0)
    }

    /// What the way to a user of IPv6 does not carry is told to the sender, before it is translated:
    /// as IPv6 it is longer.
    pub(super) fn mtu_inward(&mut self, gateway: Place<'a>, user: Address) -> Result<(), Stop> {
        let way = self.peek(gateway, user);
        let Some(mtu) = way.map(|way| self.mtu_of(way, gateway)) else { return Ok(()) };
        let longer = self.headers.largest.saturating_add(LONGER.into());
        if longer <= u32::from(mtu) {
            return Ok(());
        }
        let at = (gateway.interface.port, Direction::Ingress);
        let sender = self.place(self.from).ok().filter(|_| {
            self.comes_from_its_source()
                && self.headers.dont_fragment
                && self.headers.part != Part::Later
                && !self.headers.tuple.is_icmp_error()
        });
        let Some(sender) = sender else {
            return Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |_| {
                format!("{longer} bytes of IPv6 exceed {mtu}")
            }));
        };
        self.step(Stage::PathMtu, at, Outcome::Reply, |_| {
            (None, format!("{longer} bytes of IPv6 exceed {mtu}: \"fragmentation needed\""))
        });
        Err(self.complain(sender, gateway, Complaint::TooBig(mtu.saturating_sub(LONGER))))
    }

    /// From a gateway on as a packet of the other family, by the table of its subnet.
    #[cold]
    pub(super) fn onward_translated(&mut self, gateway: Place<'a>, to: &Translation) -> Stop {
        let at = (gateway.interface.port, Direction::Ingress);
        if self.headers.tuple.is_icmp() {
            self.finish_checksum();
        }
        let identification = self.state.next_identification();
        let mut translated = match translate(self.packet, &self.headers, to, identification) {
            Ok(translated) => translated,
            Err(reason) => {
                return self.dropped(Stage::NatGateway, at, reason, |_| {
                    "it has no counterpart in the other family".to_owned()
                });
            }
        };
        self.step(Stage::NatGateway, at, Outcome::Pass, |_| {
            let Translation { source, destination, .. } = to;
            (None, format!("translated: {source} to {destination} (NAT64)"))
        });
        let mut packet = Packet { frame: &mut translated.frame, offload: translated.offload };
        let mut walk = Walk {
            policy: self.policy,
            state: self.state,
            packet: &mut packet,
            headers: translated.headers,
            now: self.now,
            out: self.out,
            trace: self.trace,
            from: self.from,
            mtu: u32::MAX,
            uses: self.uses,
            leaving: self.leaving.take(),
            hops: self.hops,
            forwarded: self.forwarded,
            from_tracker: self.from_tracker,
            cacheable: false,
            stopped_at: self.stopped_at,
        };
        let port = match walk.onward(gateway) {
            Ok(port) => port,
            Err(stop) => {
                self.stopped_at = walk.stopped_at;
                return stop;
            }
        };
        let headers = walk.headers;
        self.state.counters.sent_wire(port, headers.wire_packets, headers.wire_bytes);
        self.out.emit(port, packet.frame, packet.offload);
        Stop::Translated(port)
    }
}
