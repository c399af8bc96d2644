//! ICMP errors that the engine sends: "fragmentation needed" (PIPE-8, RFC 1191).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, ETHERTYPE_IPV4,
    checksum::{fill_ipv4, fold, sum},
    put, put16, put32, set_macs,
};

/// Bytes of the packet that an error carries at most: its header with options and some payload.
const EMBEDDED_MAX: usize = 128;
/// Bytes of an error's own headers.
const HEADERS: usize = ETHERNET_LEN + 20 + 8;

/// A frame of the engine's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorFrame {
    bytes: [u8; HEADERS + EMBEDDED_MAX],
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
    pub(crate) source: u32,
    pub(crate) destination: u32,
}

/// "Fragmentation needed" for a packet from its IPv4 header on, of which each wire packet has
/// `largest` bytes at most.
pub(crate) fn fragmentation_needed(
    ends: ErrorEnds,
    packet: &[u8],
    largest: u32,
    mtu: u16,
) -> ErrorFrame {
    let embedded = packet.len().min(EMBEDDED_MAX);
    let mut bytes = [0; HEADERS + EMBEDDED_MAX];
    let len = HEADERS + embedded;
    set_macs(&mut bytes, ends.destination_mac, ends.source_mac);
    put16(&mut bytes, 12, ETHERTYPE_IPV4);
    let ip = ETHERNET_LEN;
    put(&mut bytes, ip, &[0x45, 0]);
    put16(&mut bytes, ip + 2, u16::try_from(len - ETHERNET_LEN).unwrap_or(u16::MAX));
    put(&mut bytes, ip + 8, &[64, IpProtocol::ICMP.0]);
    put32(&mut bytes, ip + 12, ends.source);
    put32(&mut bytes, ip + 16, ends.destination);
    fill_ipv4(&mut bytes, ip, 20);

    let icmp = ip + 20;
    put(&mut bytes, icmp, &[3, 4]);
    put16(&mut bytes, icmp + 6, mtu);
    put(&mut bytes, HEADERS, packet.get(..embedded).unwrap_or_default());
    // Of a large segment the error carries the first wire packet, which is what a router met.
    put16(&mut bytes, HEADERS + 2, u16::try_from(largest).unwrap_or(u16::MAX));
    let header_len = packet.first().map_or(20, |first| usize::from(first & 0x0f) * 4);
    fill_ipv4(&mut bytes, HEADERS, header_len.min(embedded));
    let checksum = !fold(sum(bytes.get(icmp..len).unwrap_or_default()));
    put16(&mut bytes, icmp + 2, checksum);
    ErrorFrame { bytes, len }
}
