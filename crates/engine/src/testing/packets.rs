//! Packets, named by what they are for.

use std::net::Ipv4Addr;

use crate::{
    Offload,
    wire::{
        ETHERNET_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4,
        checksum::{fill_ipv4, fold, pseudo_header, sum},
        put, put16, put32,
    },
};

/// A frame as a packet socket hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The bytes.
    pub frame: Vec<u8>,
    /// What is still owed to it.
    pub offload: Offload,
}

/// Both ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// MAC address of the sender.
    pub source_mac: [u8; 6],
    /// MAC address of the next hop.
    pub destination_mac: [u8; 6],
    /// The sender.
    pub source: Ipv4Addr,
    /// The receiver.
    pub destination: Ipv4Addr,
}

/// TCP flags.
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// The first packet of a connection.
    pub const SYN: u8 = 0x02;
    /// There is no such connection.
    pub const RST: u8 = 0x04;
    /// Hand over at once.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
}

const TTL: u8 = 64;

/// An IPv4 packet of any protocol, not to be fragmented.
pub fn ipv4(ends: &Ends, protocol: u8, payload: &[u8]) -> Built {
    let mut frame = vec![0; ETHERNET_LEN + 20];
    put(&mut frame, 0, &ends.destination_mac);
    put(&mut frame, 6, &ends.source_mac);
    put16(&mut frame, 12, ETHERTYPE_IPV4);
    frame.extend_from_slice(payload);
    put(&mut frame, ETHERNET_LEN, &[0x45, 0]);
    put16(&mut frame, ETHERNET_LEN + 2, (20 + payload.len()) as u16);
    put16(&mut frame, ETHERNET_LEN + 4, 0x1234);
    put16(&mut frame, ETHERNET_LEN + 6, 0x4000);
    put(&mut frame, ETHERNET_LEN + 8, &[TTL, protocol]);
    put32(&mut frame, ETHERNET_LEN + 12, ends.source.into());
    put32(&mut frame, ETHERNET_LEN + 16, ends.destination.into());
    fill_ipv4(&mut frame, ETHERNET_LEN, 20);
    Built { frame, offload: Offload::NONE }
}

fn transport(ends: &Ends, protocol: u8, mut payload: Vec<u8>, field: usize) -> Built {
    let pseudo =
        pseudo_header(ends.source.into(), ends.destination.into(), protocol, payload.len());
    let checksum = match !fold(pseudo + sum(&payload)) {
        0 => 0xffff,
        checksum => checksum,
    };
    put16(&mut payload, field, checksum);
    ipv4(ends, protocol, &payload)
}

/// A TCP packet.
pub fn tcp(ends: &Ends, (from, to): (u16, u16), flags: u8, payload: &[u8]) -> Built {
    let mut bytes = vec![0; 20];
    put16(&mut bytes, 0, from);
    put16(&mut bytes, 2, to);
    put32(&mut bytes, 4, 1000);
    put32(&mut bytes, 8, if flags & flags::ACK != 0 { 2000 } else { 0 });
    put(&mut bytes, 12, &[0x50, flags]);
    put16(&mut bytes, 14, 64_240);
    bytes.extend_from_slice(payload);
    transport(ends, 6, bytes, 16)
}

/// The first packet of a connection.
pub fn tcp_syn(ends: &Ends, ports: (u16, u16)) -> Built {
    tcp(ends, ports, flags::SYN, &[])
}

/// Data in a connection.
pub fn tcp_data(ends: &Ends, ports: (u16, u16), payload: &[u8]) -> Built {
    tcp(ends, ports, flags::ACK | flags::PSH, payload)
}

/// A UDP datagram.
pub fn udp(ends: &Ends, (from, to): (u16, u16), payload: &[u8]) -> Built {
    let mut bytes = vec![0; 8];
    put16(&mut bytes, 0, from);
    put16(&mut bytes, 2, to);
    put16(&mut bytes, 4, (8 + payload.len()) as u16);
    bytes.extend_from_slice(payload);
    transport(ends, 17, bytes, 6)
}

/// An ICMP message: type, code, the four bytes after the checksum, and the rest.
pub fn icmp(ends: &Ends, (kind, code): (u8, u8), rest: [u8; 4], payload: &[u8]) -> Built {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend_from_slice(&rest);
    bytes.extend_from_slice(payload);
    let checksum = !fold(sum(&bytes));
    put16(&mut bytes, 2, checksum);
    ipv4(ends, 1, &bytes)
}

fn echo(ends: &Ends, kind: u8, identifier: u16, sequence: u16) -> Built {
    let [a, b] = identifier.to_be_bytes();
    let [c, d] = sequence.to_be_bytes();
    icmp(ends, (kind, 0), [a, b, c, d], &[0x61; 56])
}

/// A ping; the identifier makes the flow (SGT-7).
pub fn icmp_echo(ends: &Ends, identifier: u16, sequence: u16) -> Built {
    echo(ends, 8, identifier, sequence)
}

/// The answer to a ping.
pub fn icmp_echo_reply(ends: &Ends, identifier: u16, sequence: u16) -> Built {
    echo(ends, 0, identifier, sequence)
}

/// An ICMP error about a packet, given as the frame that its receiver got.
pub fn icmp_error(ends: &Ends, (kind, code): (u8, u8), about: &[u8]) -> Built {
    let packet = &about[ETHERNET_LEN..];
    icmp(ends, (kind, code), [0; 4], &packet[..packet.len().min(60)])
}

/// Who has this address?
pub fn arp_request(mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Built {
    let mut frame = vec![0; ETHERNET_LEN + 28];
    put(&mut frame, 0, &[0xff; 6]);
    put(&mut frame, 6, &mac);
    put16(&mut frame, 12, ETHERTYPE_ARP);
    put(&mut frame, ETHERNET_LEN, &[0, 1, 8, 0, 6, 4, 0, 1]);
    put(&mut frame, ETHERNET_LEN + 8, &mac);
    put32(&mut frame, ETHERNET_LEN + 14, sender.into());
    put32(&mut frame, ETHERNET_LEN + 24, target.into());
    Built { frame, offload: Offload::NONE }
}

/// A DHCP message of a kind, with options as (code, value), by a client that has `address`.
pub fn dhcp(mac: [u8; 6], kind: u8, address: Ipv4Addr, options: &[(u8, &[u8])]) -> Built {
    let mut message = vec![0; 240];
    put(&mut message, 0, &[1, 1, 6, 0]);
    put32(&mut message, 4, 0x1122_3344);
    put32(&mut message, 12, address.into());
    put(&mut message, 28, &mac);
    put32(&mut message, 236, 0x6382_5363);
    message.extend_from_slice(&[53, 1, kind]);
    for (code, value) in options {
        message.extend_from_slice(&[*code, value.len() as u8]);
        message.extend_from_slice(value);
    }
    message.push(255);
    let ends = Ends {
        source_mac: mac,
        destination_mac: [0xff; 6],
        source: address,
        destination: Ipv4Addr::BROADCAST,
    };
    udp(&ends, (68, 67), &message)
}

/// Is there a DHCP server?
pub fn dhcp_discover(mac: [u8; 6]) -> Built {
    dhcp(mac, 1, Ipv4Addr::UNSPECIFIED, &[])
}

/// May I have this address, from this server?
pub fn dhcp_request(mac: [u8; 6], wanted: Ipv4Addr, server: Option<Ipv4Addr>) -> Built {
    let wanted = wanted.octets();
    let server = server.map(|server| server.octets());
    let mut options: Vec<(u8, &[u8])> = vec![(50, &wanted)];
    if let Some(server) = &server {
        options.push((54, server));
    }
    dhcp(mac, 3, Ipv4Addr::UNSPECIFIED, &options)
}

impl Built {
    /// The packet with its checksum left to the network card: the field holds the sum of the
    /// pseudo-header only, as the kernel hands it over (traps 2).
    pub fn with_unfinished_checksum(mut self) -> Self {
        let protocol = self.frame[ETHERNET_LEN + 9];
        let offset = if protocol == 6 { 16 } else { 6 };
        let length = self.frame.len() - ETHERNET_LEN - 20;
        let word = |at: usize| u32::from_be_bytes(self.frame[at..at + 4].try_into().unwrap());
        let pseudo =
            pseudo_header(word(ETHERNET_LEN + 12), word(ETHERNET_LEN + 16), protocol, length);
        put16(&mut self.frame, ETHERNET_LEN + 20 + offset, fold(pseudo));
        self.offload.needs_csum = true;
        self.offload.csum_start = (ETHERNET_LEN + 20) as u16;
        self.offload.csum_offset = offset as u16;
        self
    }

    /// The packet as one that stands for several on the wire (traps 3).
    pub fn with_segments(mut self, gso_type: u8, gso_size: u16) -> Self {
        self = self.with_unfinished_checksum();
        self.offload.gso_type = gso_type;
        self.offload.gso_size = gso_size;
        let transport = if self.frame[ETHERNET_LEN + 9] == 6 { 20 } else { 8 };
        self.offload.hdr_len = (ETHERNET_LEN + 20 + transport) as u16;
        self
    }

    /// The packet with another fragment field (flags and offset) and identification.
    pub fn with_fragment(mut self, field: u16, identification: u16) -> Self {
        put16(&mut self.frame, ETHERNET_LEN + 4, identification);
        put16(&mut self.frame, ETHERNET_LEN + 6, field);
        fill_ipv4(&mut self.frame, ETHERNET_LEN, 20);
        self
    }

    /// The packet, which routers may fragment.
    pub fn may_fragment(self) -> Self {
        self.with_fragment(0, 0x1234)
    }

    /// The packet in fragments that carry `room` bytes each, a multiple of eight.
    pub fn fragments(&self, room: usize, identification: u16) -> Vec<Self> {
        let payload = &self.frame[ETHERNET_LEN + 20..];
        let count = payload.len().div_ceil(room);
        payload
            .chunks(room)
            .enumerate()
            .map(|(index, bytes)| {
                let mut frame = self.frame[..ETHERNET_LEN + 20].to_vec();
                frame.extend_from_slice(bytes);
                put16(&mut frame, ETHERNET_LEN + 2, (20 + bytes.len()) as u16);
                let more = if index + 1 < count { 0x2000 } else { 0 };
                Self { frame, offload: Offload::NONE }
                    .with_fragment(more | (index * room / 8) as u16, identification)
            })
            .collect()
    }
}
