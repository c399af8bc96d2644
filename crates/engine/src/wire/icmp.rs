//! ICMP errors that the engine sends: packets that are too big (PIPE-8, RFC 1191, RFC 8201) and
//! those that passed too many routers (NAT-18).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6,
    checksum::{fill_ipv4, fold, pseudo_header, sum},
    icmpv6,
    ip::IPV6_HEADER_LEN,
    put, put16, put32, set_macs,
};
use crate::address::{Address, Family};

/// Bytes of the packet that an error carries at most: its headers and some payload.
const EMBEDDED_MAX: usize = 128;
/// Bytes of an error's own headers at most.
const HEADERS_MAX: usize = ETHERNET_LEN + IPV6_HEADER_LEN + 8;

/// A frame of the engine's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorFrame {
    bytes: [u8; HEADERS_MAX + EMBEDDED_MAX],
    len: usize,
}

impl ErrorFrame {
    /// The frame.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Who sends an error, and to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorEnds {
    pub(crate) source_mac: [u8; 6],
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source: Address,
    pub(crate) destination: Address,
}

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// The way carries packets of so many bytes only: "fragmentation needed", "packet too big".
    TooBig(u16),
    /// The packet passed too many routers.
    TimeExceeded,
}

/// An error about a packet, given from its IP header on, of which each wire packet has `largest`
/// bytes at most.
pub(crate) fn error(
    ends: ErrorEnds,
    complaint: Complaint,
    packet: &[u8],
    largest: u32,
) -> ErrorFrame {
    let family = ends.destination.family();
    let embedded = packet.len().min(EMBEDDED_MAX);
    let mut bytes = [0; HEADERS_MAX + EMBEDDED_MAX];
    set_macs(&mut bytes, ends.destination_mac, ends.source_mac);
    let ip = ETHERNET_LEN;
    let icmp = match family {
        Family::V4 => ip + 20,
        Family::V6 => ip + IPV6_HEADER_LEN,
    };
    let about = icmp + 8;
    let len = about + embedded;
    put(&mut bytes, about, packet.get(..embedded).unwrap_or_default());
    match family {
        Family::V4 => {
            let (kind, code, mtu) = match complaint {
                Complaint::TooBig(mtu) => (3, 4, mtu),
                Complaint::TimeExceeded => (11, 0, 0),
            };
            put(&mut bytes, icmp, &[kind, code]);
            put16(&mut bytes, icmp + 6, mtu);
            // Of a large segment the error carries the first wire packet, which is what a router
            // met.
            put16(&mut bytes, about + 2, u16::try_from(largest).unwrap_or(u16::MAX));
            let header_len = packet.first().map_or(20, |first| usize::from(first & 0x0f) * 4);
            fill_ipv4(&mut bytes, about, header_len.min(embedded));
            put16(&mut bytes, 12, ETHERTYPE_IPV4);
            put(&mut bytes, ip, &[0x45, 0]);
            put16(&mut bytes, ip + 2, u16::try_from(len - ip).unwrap_or(u16::MAX));
            put(&mut bytes, ip + 8, &[64, IpProtocol::ICMP.0]);
            put32(&mut bytes, ip + 12, ends.source.as_v4().unwrap_or_default());
            put32(&mut bytes, ip + 16, ends.destination.as_v4().unwrap_or_default());
            fill_ipv4(&mut bytes, ip, 20);
            let checksum = !fold(sum(bytes.get(icmp..len).unwrap_or_default()));
            put16(&mut bytes, icmp + 2, checksum);
        }
        Family::V6 => {
            let (kind, mtu) = match complaint {
                Complaint::TooBig(mtu) => (icmpv6::PACKET_TOO_BIG, mtu),
                Complaint::TimeExceeded => (icmpv6::TIME_EXCEEDED, 0),
            };
            put(&mut bytes, icmp, &[kind, 0]);
            put32(&mut bytes, icmp + 4, mtu.into());
            let payload = usize::try_from(largest).unwrap_or(0).saturating_sub(IPV6_HEADER_LEN);
            put16(&mut bytes, about + 4, u16::try_from(payload).unwrap_or(u16::MAX));
            fill_ipv6(&mut bytes, ip, len, IpProtocol::ICMPV6.0, (ends.source, ends.destination));
            fill_icmpv6(&mut bytes, icmp, len, (ends.source, ends.destination));
        }
    }
    ErrorFrame { bytes, len }
}

/// Writes an IPv6 header with its EtherType before it, for a packet that ends at `end`.
pub(crate) fn fill_ipv6(
    frame: &mut [u8],
    ip: usize,
    end: usize,
    protocol: u8,
    (source, destination): (Address, Address),
) {
    put16(frame, ip - 2, ETHERTYPE_IPV6);
    put(frame, ip, &[0x60, 0, 0, 0]);
    let length = end.saturating_sub(ip + IPV6_HEADER_LEN);
    put16(frame, ip + 4, u16::try_from(length).unwrap_or(u16::MAX));
    // What speaks to neighbours must show that no router passed it on (RFC 4861).
    put(frame, ip + 6, &[protocol, 255]);
    put(frame, ip + 8, &source.number().to_be_bytes());
    put(frame, ip + 24, &destination.number().to_be_bytes());
}

/// Writes the checksum of an ICMPv6 message from `icmp` to `end`.
pub(crate) fn fill_icmpv6(
    frame: &mut [u8],
    icmp: usize,
    end: usize,
    (source, destination): (Address, Address),
) {
    put16(frame, icmp + 2, 0);
    let Some(message) = frame.get(icmp..end) else { return };
    let pseudo = pseudo_header(source, destination, IpProtocol::ICMPV6.0, message.len());
    let checksum = !fold(pseudo + sum(message));
    put16(frame, icmp + 2, checksum);
}
