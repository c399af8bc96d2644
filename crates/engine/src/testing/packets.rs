//! Packets, named by what they are for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    Offload,
    address::Address,
    wire::{
        ETHERNET_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4,
        checksum::{fill_ipv4, fold, pseudo_header, sum},
        icmp::fill_ipv6,
        ip::IPV6_HEADER_LEN,
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
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
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

/// A packet of any protocol, of the family of its ends, not to be fragmented.
pub fn ip(ends: &Ends, protocol: u8, payload: &[u8]) -> Built {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (ends.source, ends.destination) else {
        return ipv6(ends, protocol, payload);
    };
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
    put32(&mut frame, ETHERNET_LEN + 12, source.into());
    put32(&mut frame, ETHERNET_LEN + 16, destination.into());
    fill_ipv4(&mut frame, ETHERNET_LEN, 20);
    Built { frame, offload: Offload::NONE }
}

fn ipv6(ends: &Ends, protocol: u8, payload: &[u8]) -> Built {
    let mut frame = vec![0; ETHERNET_LEN + IPV6_HEADER_LEN];
    put(&mut frame, 0, &ends.destination_mac);
    put(&mut frame, 6, &ends.source_mac);
    frame.extend_from_slice(payload);
    let end = frame.len();
    fill_ipv6(&mut frame, ETHERNET_LEN, end, protocol, addresses(ends));
    put(&mut frame, ETHERNET_LEN + 7, &[TTL]);
    Built { frame, offload: Offload::NONE }
}

fn addresses(ends: &Ends) -> (Address, Address) {
    (ends.source.into(), ends.destination.into())
}

/// Bytes of an IP header without options, by what the frame says it is.
fn header_len(frame: &[u8]) -> usize {
    if frame[ETHERNET_LEN] >> 4 == 6 { IPV6_HEADER_LEN } else { 20 }
}

fn transport(ends: &Ends, protocol: u8, mut payload: Vec<u8>, field: usize) -> Built {
    let (source, destination) = addresses(ends);
    let pseudo = pseudo_header(source, destination, protocol, payload.len());
    let checksum = match !fold(pseudo + sum(&payload)) {
        0 => 0xffff,
        checksum => checksum,
    };
    put16(&mut payload, field, checksum);
    ip(ends, protocol, &payload)
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

/// An ICMP message of the ends' family: type, code, the four bytes after the checksum, and the
/// rest.
pub fn icmp(ends: &Ends, (kind, code): (u8, u8), rest: [u8; 4], payload: &[u8]) -> Built {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend_from_slice(&rest);
    bytes.extend_from_slice(payload);
    if ends.source.is_ipv6() {
        return transport(ends, 58, bytes, 2);
    }
    let checksum = !fold(sum(&bytes));
    put16(&mut bytes, 2, checksum);
    ip(ends, 1, &bytes)
}

fn echo(ends: &Ends, kind: u8, identifier: u16, sequence: u16) -> Built {
    let [a, b] = identifier.to_be_bytes();
    let [c, d] = sequence.to_be_bytes();
    icmp(ends, (kind, 0), [a, b, c, d], &[0x61; 56])
}

/// A ping; the identifier makes the flow (SGT-7).
pub fn icmp_echo(ends: &Ends, identifier: u16, sequence: u16) -> Built {
    echo(ends, if ends.source.is_ipv6() { 128 } else { 8 }, identifier, sequence)
}

/// The answer to a ping.
pub fn icmp_echo_reply(ends: &Ends, identifier: u16, sequence: u16) -> Built {
    echo(ends, if ends.source.is_ipv6() { 129 } else { 0 }, identifier, sequence)
}

/// An ICMP error about a packet, given as the frame that its receiver got.
pub fn icmp_error(ends: &Ends, (kind, code): (u8, u8), about: &[u8]) -> Built {
    let packet = &about[ETHERNET_LEN..];
    icmp(ends, (kind, code), [0; 4], &packet[..packet.len().min(100)])
}

/// A message of neighbour discovery: its body with options, from whatever address.
pub fn neighbor(mac: [u8; 6], source: Ipv6Addr, kind: u8, body: &[u8]) -> Built {
    let ends = Ends {
        source_mac: mac,
        destination_mac: [0x33, 0x33, 0, 0, 0, 1],
        source: source.into(),
        destination: "ff02::1".parse().unwrap(),
    };
    let (rest, more) = body.split_first_chunk().unwrap();
    let mut built = icmp(&ends, (kind, 0), *rest, more);
    put(&mut built.frame, ETHERNET_LEN + 7, &[255]);
    built
}

/// Who has this address, in IPv6?
pub fn neighbor_solicitation(mac: [u8; 6], source: Ipv6Addr, target: Ipv6Addr) -> Built {
    let mut body = vec![0; 4];
    body.extend_from_slice(&target.octets());
    if !source.is_unspecified() {
        body.extend_from_slice(&[1, 1]);
        body.extend_from_slice(&mac);
    }
    neighbor(mac, source, 135, &body)
}

/// Is there a router?
pub fn router_solicitation(mac: [u8; 6], source: Ipv6Addr) -> Built {
    let mut body = vec![0; 4];
    body.extend_from_slice(&[1, 1]);
    body.extend_from_slice(&mac);
    neighbor(mac, source, 133, &body)
}

/// A DHCPv6 message of a kind with options as (code, value), to all servers.
pub fn dhcpv6(mac: [u8; 6], source: Ipv6Addr, kind: u8, options: &[(u16, &[u8])]) -> Built {
    let mut message = vec![kind, 0x11, 0x22, 0x33];
    for (code, value) in options {
        message.extend_from_slice(&code.to_be_bytes());
        message.extend_from_slice(&(value.len() as u16).to_be_bytes());
        message.extend_from_slice(value);
    }
    let ends = Ends {
        source_mac: mac,
        destination_mac: [0x33, 0x33, 0, 1, 0, 2],
        source: source.into(),
        destination: "ff02::1:2".parse().unwrap(),
    };
    udp(&ends, (546, 547), &message)
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
        source: address.into(),
        destination: Ipv4Addr::BROADCAST.into(),
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
        let header = header_len(&self.frame);
        let protocol = self.protocol();
        let offset = if protocol == 6 { 16 } else { 6 };
        let length = self.frame.len() - ETHERNET_LEN - header;
        let ends = if header == 20 { 12..20 } else { 8..40 };
        let addresses = &self.frame[ETHERNET_LEN + ends.start..ETHERNET_LEN + ends.end];
        let pseudo = sum(addresses) + u64::from(protocol) + length as u64;
        put16(&mut self.frame, ETHERNET_LEN + header + offset, fold(pseudo));
        self.offload.needs_csum = true;
        self.offload.csum_start = (ETHERNET_LEN + header) as u16;
        self.offload.csum_offset = offset as u16;
        self
    }

    fn protocol(&self) -> u8 {
        self.frame[ETHERNET_LEN + if header_len(&self.frame) == 20 { 9 } else { 6 }]
    }

    /// The packet as one that stands for several on the wire (traps 3).
    pub fn with_segments(mut self, gso_type: u8, gso_size: u16) -> Self {
        self = self.with_unfinished_checksum();
        self.offload.gso_type = gso_type;
        self.offload.gso_size = gso_size;
        let transport = if self.protocol() == 6 { 20 } else { 8 };
        let header = header_len(&self.frame);
        self.offload.hdr_len = (ETHERNET_LEN + header + transport) as u16;
        self
    }

    /// The packet with another TTL or hop limit.
    pub fn with_hop_limit(mut self, hop_limit: u8) -> Self {
        if header_len(&self.frame) == 20 {
            put(&mut self.frame, ETHERNET_LEN + 8, &[hop_limit]);
            fill_ipv4(&mut self.frame, ETHERNET_LEN, 20);
        } else {
            put(&mut self.frame, ETHERNET_LEN + 7, &[hop_limit]);
        }
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
