//! The headers of an IPv4 packet as far as stages ask for them.

use gureum_types::IpProtocol;

use super::{ETHERNET_LEN, be16, be32, byte};
use crate::{DropReason, Offload};

/// TCP flags.
pub(crate) mod tcp {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;
}

/// The protocol of UDP-Lite (RFC 3828), whose checksum is where UDP's is.
pub(crate) const UDP_LITE: u8 = 136;

/// What part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Its first fragment, which has the ports.
    First,
    /// A later fragment.
    Later,
}

/// What tells one flow from another, as the packet has it.
///
/// For ICMP, the source port holds type and code and the destination port the identifier of a
/// query (SGT-7); other protocols have no ports (SGT-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) protocol: u8,
}

/// The headers of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers {
    /// The flow it belongs to.
    pub(crate) tuple: Tuple,
    /// Whether the ports are known; a later fragment has none until its first one is remembered.
    pub(crate) ports_known: bool,
    /// Where the transport header begins, from the start of the frame.
    pub(crate) transport: usize,
    /// Bytes of the transport header: TCP, UDP, ICMP; 0 for others.
    pub(crate) transport_len: usize,
    /// Where the packet ends; the frame may be padded beyond.
    pub(crate) end: usize,
    /// What part of a datagram it is.
    pub(crate) part: Part,
    /// The identification that fragments share.
    pub(crate) identification: u16,
    /// Whether routers may not fragment it.
    pub(crate) dont_fragment: bool,
    /// TCP's flags, 0 for others.
    pub(crate) tcp_flags: u8,
    /// Packets on the wire (traps 3).
    pub(crate) wire_packets: u32,
    /// Their bytes from the IP header on.
    pub(crate) wire_bytes: u32,
    /// Bytes of the largest of them.
    pub(crate) largest: u32,
}

/// Whether an ICMP type is a query, which has an identifier.
pub(crate) fn is_query(icmp_type: u8) -> bool {
    matches!(icmp_type, 0 | 8 | 13..=18)
}

/// Whether an ICMP type is an error, which carries the packet that it speaks of.
pub(crate) fn is_error(icmp_type: u8) -> bool {
    matches!(icmp_type, 3 | 4 | 5 | 11 | 12)
}

impl Tuple {
    /// The type of an ICMP message.
    pub(crate) fn icmp_type(&self) -> u8 {
        self.source_port.to_be_bytes()[0]
    }

    /// What rules compare with port ranges: the destination port (NACL-12), or type and code.
    pub(crate) fn rule_port(&self) -> u16 {
        match IpProtocol(self.protocol) {
            IpProtocol::ICMP => self.source_port,
            _ => self.destination_port,
        }
    }

    /// The tuple of an answer.
    pub(crate) fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
        }
    }
}

impl Headers {
    /// Reads the headers of a frame that holds IPv4.
    pub(crate) fn parse(frame: &[u8], offload: &Offload) -> Result<Self, DropReason> {
        let mut headers = Self::parse_ipv4(frame).ok_or(DropReason::Malformed)?;
        headers.check_offload(frame, offload)?;
        Ok(headers)
    }

    fn parse_ipv4(frame: &[u8]) -> Option<Self> {
        let ip = ETHERNET_LEN;
        let first = byte(frame, ip)?;
        let header_len = usize::from(first & 0x0f) * 4;
        let total = usize::from(be16(frame, ip + 2)?);
        if first >> 4 != 4 || header_len < 20 || total < header_len || ip + total > frame.len() {
            return None;
        }
        let fragment = be16(frame, ip + 6)?;
        let part = match (fragment & 0x1fff, fragment & 0x2000) {
            (0, 0) => Part::Whole,
            (0, _) => Part::First,
            _ => Part::Later,
        };
        let mut headers = Self {
            tuple: Tuple {
                source: be32(frame, ip + 12)?,
                destination: be32(frame, ip + 16)?,
                protocol: byte(frame, ip + 9)?,
                ..Tuple::default()
            },
            ports_known: false,
            transport: ip + header_len,
            transport_len: 0,
            end: ip + total,
            part,
            identification: be16(frame, ip + 4)?,
            dont_fragment: fragment & 0x4000 != 0,
            tcp_flags: 0,
            wire_packets: 1,
            wire_bytes: u32::try_from(total).ok()?,
            largest: u32::try_from(total).ok()?,
        };
        if part != Part::Later {
            headers.parse_transport(frame.get(..headers.end)?)?;
        }
        Some(headers)
    }

    fn parse_transport(&mut self, packet: &[u8]) -> Option<()> {
        let at = self.transport;
        match IpProtocol(self.tuple.protocol) {
            IpProtocol::TCP => {
                self.transport_len = usize::from(byte(packet, at + 12)? >> 4) * 4;
                self.tcp_flags = byte(packet, at + 13)?;
                if self.transport_len < 20 {
                    return None;
                }
            }
            IpProtocol::UDP => self.transport_len = 8,
            IpProtocol::ICMP => {
                self.transport_len = 8;
                self.tuple.source_port = be16(packet, at)?;
                if is_query(self.tuple.icmp_type()) {
                    self.tuple.destination_port = be16(packet, at + 4)?;
                }
            }
            _ => {
                self.ports_known = true;
                return Some(());
            }
        }
        if at + self.transport_len > packet.len() {
            return None;
        }
        if self.tuple.protocol != IpProtocol::ICMP.0 {
            self.tuple.source_port = be16(packet, at)?;
            self.tuple.destination_port = be16(packet, at + 2)?;
        }
        self.ports_known = true;
        Some(())
    }

    /// Holds what is owed to the frame against its headers, and counts segments (traps 3, 5).
    fn check_offload(&mut self, frame: &[u8], offload: &Offload) -> Result<(), DropReason> {
        if offload.needs_csum {
            let field = usize::from(offload.csum_start) + usize::from(offload.csum_offset);
            if usize::from(offload.csum_start) < self.transport || field + 2 > frame.len() {
                return Err(DropReason::Malformed);
            }
        }
        let fits = match offload.gso_type & !Offload::GSO_ECN {
            Offload::GSO_NONE => return Ok(()),
            Offload::GSO_TCPV4 => self.tuple.protocol == IpProtocol::TCP.0,
            Offload::GSO_UDP_L4 => self.tuple.protocol == IpProtocol::UDP.0,
            _ => false,
        };
        if !fits || offload.gso_size == 0 || self.part != Part::Whole {
            return Err(DropReason::SegmentationMismatch);
        }
        let headers = self.transport + self.transport_len - ETHERNET_LEN;
        let payload = self.end - ETHERNET_LEN - headers;
        let size = usize::from(offload.gso_size);
        let segments = payload.div_ceil(size).max(1);
        let count = |number: usize| u32::try_from(number).map_err(|_| DropReason::Malformed);
        self.wire_packets = count(segments)?;
        self.wire_bytes = count(payload + segments * headers)?;
        self.largest = count(headers + payload.min(size))?;
        Ok(())
    }

    /// Whether the packet begins a TCP connection.
    pub(crate) fn begins_tcp(&self) -> bool {
        self.tcp_flags & (tcp::SYN | tcp::ACK | tcp::FIN | tcp::RST) == tcp::SYN
    }

    /// The port that rules compare, where it is the packet's own (NACL-22).
    pub(crate) fn own_rule_port(&self) -> Option<u16> {
        (self.part != Part::Later).then(|| self.tuple.rule_port())
    }
}
