//! What a receiver checks: lengths and checksums, by the slow and obvious way.

use std::net::Ipv4Addr;

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
    pub source: Ipv4Addr,
    /// The receiver.
    pub destination: Ipv4Addr,
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
    /// Reads a frame that holds IPv4.
    pub fn ipv4(frame: &[u8]) -> Self {
        let ip = &frame[ETHERNET_LEN..];
        let header = usize::from(ip[0] & 15) * 4;
        let total_length = word(ip, 2).into();
        Self {
            destination_mac: frame[..6].try_into().unwrap(),
            source_mac: frame[6..12].try_into().unwrap(),
            ether_type: word(frame, 12),
            source: address(ip, 12),
            destination: address(ip, 16),
            protocol: ip[9],
            ttl: ip[8],
            total_length,
            fragment: word(ip, 6),
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
/// (traps 2). `Err` says what is wrong.
pub fn check(frame: &[u8], offload: &Offload) -> Result<(), String> {
    if word(frame, 12) != 0x0800 {
        return Ok(());
    }
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
    let mut payload = ip[header..total].to_vec();
    if offload.needs_csum {
        // What a network card does, and nothing more.
        let start = usize::from(offload.csum_start) - ETHERNET_LEN - header;
        let field = start + usize::from(offload.csum_offset);
        let value = !(sum(&payload[start..]) as u16);
        payload[field..field + 2].copy_from_slice(&value.to_be_bytes());
    }
    let mut pseudo = ip[12..20].to_vec();
    pseudo.extend_from_slice(&[0, ip[9]]);
    pseudo.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    pseudo.extend_from_slice(&payload);
    let fine = match ip[9] {
        6 => sum(&pseudo) == 0xffff,
        17 => word(&payload, 6) == 0 || sum(&pseudo) == 0xffff,
        1 => sum(&payload) == 0xffff,
        _ => true,
    };
    if fine { Ok(()) } else { Err(format!("the checksum of protocol {} is wrong", ip[9])) }
}
