//! What a receiver checks: lengths and checksums, by the slow and obvious way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Offload, wire::ETHERNET_LEN};

/// A frame as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Destination MAC address.
    pub destination_mac: [u8; 6],
    /// Source MAC address.
    pub source_mac: [u8; 6],
    /// The EtherType.
    pub ether_type: u16,
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Bytes from the IP header on.
    pub total_length: usize,
    /// Flags and offset of a fragment.
    pub fragment: u16,
    /// What follows the IP header, as far as it is there.
    pub payload: Vec<u8>,
}

impl Seen {
    /// Reads a frame that holds IPv4 or IPv6 (without extension headers).
    pub fn ip(frame: &[u8]) -> Self {
        let ip = &frame[ETHERNET_LEN..];
        let is_v4 = ip[0] >> 4 == 4;
        let header = if is_v4 { usize::from(ip[0] & 15) * 4 } else { 40 };
        let total_length = if is_v4 { word(ip, 2).into() } else { 40 + usize::from(word(ip, 4)) };
        let (source, destination) = if is_v4 {
            (address(ip, 12).into(), address(ip, 16).into())
        } else {
            (ipv6_address(ip, 8).into(), ipv6_address(ip, 24).into())
        };
        Self {
            destination_mac: frame[..6].try_into().unwrap(),
            source_mac: frame[6..12].try_into().unwrap(),
            ether_type: word(frame, 12),
            source,
            destination,
            protocol: ip[if is_v4 { 9 } else { 6 }],
            ttl: ip[if is_v4 { 8 } else { 7 }],
            total_length,
            fragment: if is_v4 { word(ip, 6) } else { 0 },
            payload: ip[header..total_length.min(ip.len())].to_vec(),
        }
    }

    /// Source and destination port.
    pub fn ports(&self) -> (u16, u16) {
        (word(&self.payload, 0), word(&self.payload, 2))
    }

    /// Type and code of an ICMP message.
    pub fn icmp(&self) -> (u8, u8) {
        (self.payload[0], self.payload[1])
    }
}

/// Two bytes at an offset.
pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// An address at an offset.
pub fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// An IPv6 address at an offset.
pub fn ipv6_address(bytes: &[u8], at: usize) -> Ipv6Addr {
    <[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap().into()
}

fn sum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum
}

/// Checks every checksum of a frame as its receiver would, after finishing what is owed to it
/// (traps 2); also those of a packet that an ICMP error carries. `Err` says what is wrong.
pub fn check(frame: &[u8], offload: &Offload) -> Result<(), String> {
    match word(frame, 12) {
        0x0800 => check_ipv4(frame, offload),
        0x86dd => check_ipv6(frame, offload),
        _ => Ok(()),
    }
}

fn check_ipv4(frame: &[u8], offload: &Offload) -> Result<(), String> {
    let ip = &frame[ETHERNET_LEN..];
    let header = usize::from(ip[0] & 15) * 4;
    let total: usize = word(ip, 2).into();
    if total > ip.len() {
        return Err(format!("{total} bytes of IP in a frame of {}", frame.len()));
    }
    if sum(&ip[..header]) != 0xffff {
        return Err("the checksum of the IP header is wrong".to_owned());
    }
    if word(ip, 6) & 0x3fff != 0 {
        return Ok(()); // Fragments have no checksum of their own.
    }
    let payload = finished(ip[header..total].to_vec(), header, offload);
    check_transport(ip[9], &ip[12..20], &payload, offload)?;
    if ip[9] == 1 && [3, 4, 5, 11, 12].contains(&payload[0]) {
        check_embedded(&payload[8..])?;
    }
    Ok(())
}

/// The packet that an ICMP error speaks of, where all of it is there.
fn check_embedded(ip: &[u8]) -> Result<(), String> {
    let whole = ip.len() >= 28 && ip[0] == 0x45 && (28..=ip.len()).contains(&word(ip, 2).into());
    if !whole || ip[9] == 6 && word(ip, 2) < 40 {
        return Ok(());
    }
    let frame = [&[0; ETHERNET_LEN][..], ip].concat();
    check_ipv4(&frame, &Offload::NONE).map_err(|wrong| format!("within an error: {wrong}"))
}

fn check_ipv6(frame: &[u8], offload: &Offload) -> Result<(), String> {
    let ip = &frame[ETHERNET_LEN..];
    let total = 40 + usize::from(word(ip, 4));
    if total > ip.len() {
        return Err(format!("{total} bytes of IP in a frame of {}", frame.len()));
    }
    let payload = finished(ip[40..total].to_vec(), 40, offload);
    check_transport(ip[6], &ip[8..40], &payload, offload)
}

/// What a network card does, and nothing more.
fn finished(mut payload: Vec<u8>, header: usize, offload: &Offload) -> Vec<u8> {
    if offload.needs_csum {
        let start = usize::from(offload.csum_start) - ETHERNET_LEN - header;
        let field = start + usize::from(offload.csum_offset);
        // Zero is sent as all ones, since in UDP it would mean that there is no checksum.
        let value = match !(sum(&payload[start..]) as u16) {
            0 => 0xffff,
            value => value,
        };
        payload[field..field + 2].copy_from_slice(&value.to_be_bytes());
    }
    payload
}

fn check_transport(
    protocol: u8,
    addresses: &[u8],
    payload: &[u8],
    offload: &Offload,
) -> Result<(), String> {
    if protocol == 17 && offload.gso_type == Offload::GSO_NONE {
        let length = usize::from(word(payload, 4));
        if length != payload.len() {
            return Err(format!("a datagram of {length} bytes in {}", payload.len()));
        }
    }
    let mut pseudo = addresses.to_vec();
    pseudo.extend_from_slice(&[0, protocol]);
    pseudo.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    pseudo.extend_from_slice(payload);
    let is_v4 = addresses.len() == 8;
    let fine = match protocol {
        6 => sum(&pseudo) == 0xffff,
        17 => word(payload, 6) == 0 || sum(&pseudo) == 0xffff,
        1 if is_v4 => sum(payload) == 0xffff,
        58 if !is_v4 => sum(&pseudo) == 0xffff,
        _ => true,
    };
    if fine { Ok(()) } else { Err(format!("the checksum of protocol {protocol} is wrong")) }
}
