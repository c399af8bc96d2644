//! Reading and writing frames: Ethernet, ARP, IP, ICMP, neighbour discovery, DHCP, checksums.
//!
//! Readers return `None` beyond the end. Writers leave the frame alone beyond its end: every
//! offset written to was read before.

pub(crate) mod arp;
pub(crate) mod checksum;
pub(crate) mod dhcp;
pub(crate) mod dhcpv6;
pub(crate) mod fragment;
pub(crate) mod icmp;
pub(crate) mod icmpv6;
pub(crate) mod ip;
pub(crate) mod neighbor;
pub(crate) mod reset;
pub(crate) mod rewrite;
pub(crate) mod translate;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_LEN: usize = 14;
/// EtherType of IPv4.
pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub(crate) const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
/// The Ethernet broadcast address.
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

/// Reads `N` bytes.
pub(crate) fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Reads a byte.
pub(crate) fn byte(from: &[u8], at: usize) -> Option<u8> {
    from.get(at).copied()
}

/// Reads two bytes in network order.
pub(crate) fn be16(from: &[u8], at: usize) -> Option<u16> {
    bytes(from, at).map(u16::from_be_bytes)
}

/// Reads four bytes in network order.
pub(crate) fn be32(from: &[u8], at: usize) -> Option<u32> {
    bytes(from, at).map(u32::from_be_bytes)
}

/// Reads sixteen bytes in network order.
pub(crate) fn be128(from: &[u8], at: usize) -> Option<u128> {
    bytes(from, at).map(u128::from_be_bytes)
}

/// Writes bytes.
pub(crate) fn put(to: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = to.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}

/// Writes two bytes in network order.
pub(crate) fn put16(to: &mut [u8], at: usize, value: u16) {
    put(to, at, &value.to_be_bytes());
}

/// Writes four bytes in network order.
pub(crate) fn put32(to: &mut [u8], at: usize, value: u32) {
    put(to, at, &value.to_be_bytes());
}

/// The destination's MAC address.
pub(crate) fn destination_mac(frame: &[u8]) -> Option<[u8; 6]> {
    bytes(frame, 0)
}

/// The source's MAC address.
pub(crate) fn source_mac(frame: &[u8]) -> Option<[u8; 6]> {
    bytes(frame, 6)
}

/// Writes both MAC addresses.
pub(crate) fn set_macs(frame: &mut [u8], destination: [u8; 6], source: [u8; 6]) {
    put(frame, 0, &destination);
    put(frame, 6, &source);
}
