//! The headers of a packet of IPv4 or IPv6 as far as stages ask for them.

use gureum_types::IpProtocol;

use super::{ETHERNET_LEN, be16, be32, be128, byte, icmpv6};
use crate::{
    DropReason, Offload,
    address::{Address, Family},
    policy::classifier::icmp_of,
};

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
    pub(crate) source: Address,
    pub(crate) destination: Address,
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
    pub(crate) identification: u32,
    /// Whether routers may not fragment it; they never do in IPv6 (RFC 8200).
    pub(crate) dont_fragment: bool,
    /// How many routers it may still pass.
    pub(crate) hop_limit: u8,
    /// TCP's flags, 0 for others.
    pub(crate) tcp_flags: u8,
    /// Packets on the wire (traps 3).
    pub(crate) wire_packets: u32,
    /// Their bytes from the IP header on.
    pub(crate) wire_bytes: u32,
    /// Bytes of the largest of them.
    pub(crate) largest: u32,
}

/// Extension headers of IPv6 that are looked past (RFC 8200). More of them than
/// [`EXTENSIONS_MAX`] make a packet malformed.
pub(super) mod extension {
    pub(in crate::wire) const HOP_BY_HOP: u8 = 0;
    pub(in crate::wire) const ROUTING: u8 = 43;
    pub(in crate::wire) const FRAGMENT: u8 = 44;
    pub(in crate::wire) const DESTINATION: u8 = 60;
    /// All of them.
    pub(in crate::wire) const ALL: [u8; 4] = [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION];
}

/// How many extension headers a packet may have.
const EXTENSIONS_MAX: usize = 8;

/// Bytes of IPv6's own header.
pub(crate) const IPV6_HEADER_LEN: usize = 40;

impl Tuple {
    /// The family of its addresses.
    pub(crate) fn family(&self) -> Family {
        self.source.family()
    }

    /// Whether it is of its family's control protocol.
    pub(crate) fn is_icmp(&self) -> bool {
        IpProtocol(self.protocol) == icmp_of(self.family())
    }

    /// The type of an ICMP message.
    pub(crate) fn icmp_type(&self) -> u8 {
        self.source_port.to_be_bytes()[0]
    }

    /// Whether it is a query of ICMP, which has an identifier.
    pub(crate) fn is_icmp_query(&self) -> bool {
        self.is_icmp()
            && match self.family() {
                Family::V4 => matches!(self.icmp_type(), 0 | 8 | 13..=18),
                Family::V6 => matches!(self.icmp_type(), icmpv6::ECHO | icmpv6::ECHO_REPLY),
            }
    }

    /// Whether it is an error of ICMP, which carries the packet that it speaks of.
    pub(crate) fn is_icmp_error(&self) -> bool {
        self.is_icmp()
            && match self.family() {
                Family::V4 => matches!(self.icmp_type(), 3 | 4 | 5 | 11 | 12),
                Family::V6 => self.icmp_type() < 128,
            }
    }

    /// What rules compare with port ranges: the destination port (NACL-12), or type and code.
    pub(crate) fn rule_port(&self) -> u16 {
        if self.is_icmp() { self.source_port } else { self.destination_port }
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
    /// Reads the headers of a frame that holds IPv4 or IPv6, as its EtherType says.
    pub(crate) fn parse(
        family: Family,
        frame: &[u8],
        offload: &Offload,
    ) -> Result<Self, DropReason> {
        let mut headers = match family {
            Family::V4 => Self::parse_ipv4(frame),
            Family::V6 => Self::parse_ipv6(frame),
        }
        .ok_or(DropReason::Malformed)?;
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
                source: Address::v4(be32(frame, ip + 12)?),
                destination: Address::v4(be32(frame, ip + 16)?),
                protocol: byte(frame, ip + 9)?,
                source_port: 0,
                destination_port: 0,
            },
            ports_known: false,
            transport: ip + header_len,
            transport_len: 0,
            end: ip + total,
            part,
            identification: be16(frame, ip + 4)?.into(),
            dont_fragment: fragment & 0x4000 != 0,
            hop_limit: byte(frame, ip + 8)?,
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

    fn parse_ipv6(frame: &[u8]) -> Option<Self> {
        let ip = ETHERNET_LEN;
        let total = IPV6_HEADER_LEN + usize::from(be16(frame, ip + 4)?);
        if byte(frame, ip)? >> 4 != 6 || ip + total > frame.len() {
            return None;
        }
        let source = Address::v6(be128(frame, ip + 8)?);
        let destination = Address::v6(be128(frame, ip + 24)?);
        // Numbers that stand for IPv4 are nobody's in IPv6, and neither is a group a sender.
        if source.family() == Family::V4
            || destination.family() == Family::V4
            || source.is_multicast()
        {
            return None;
        }
        let mut headers = Self {
            tuple: Tuple {
                source,
                destination,
                protocol: byte(frame, ip + 6)?,
                source_port: 0,
                destination_port: 0,
            },
            ports_known: false,
            transport: ip + IPV6_HEADER_LEN,
            transport_len: 0,
            end: ip + total,
            part: Part::Whole,
            identification: 0,
            dont_fragment: true,
            hop_limit: byte(frame, ip + 7)?,
            tcp_flags: 0,
            wire_packets: 1,
            wire_bytes: u32::try_from(total).ok()?,
            largest: u32::try_from(total).ok()?,
        };
        let packet = frame.get(..headers.end)?;
        headers.skip_extensions(packet)?;
        if headers.part != Part::Later {
            headers.parse_transport(packet)?;
        }
        Some(headers)
    }

    /// Goes on to the transport header, past what extends IPv6's own.
    fn skip_extensions(&mut self, packet: &[u8]) -> Option<()> {
        for _ in 0..EXTENSIONS_MAX {
            let at = self.transport;
            match self.tuple.protocol {
                extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => {
                    self.transport = at + (usize::from(byte(packet, at + 1)?) + 1) * 8;
                }
                extension::FRAGMENT => {
                    let field = be16(packet, at + 2)?;
                    self.part = match (field & 0xfff8, field & 1) {
                        (0, 0) => Part::Whole,
                        (0, _) => Part::First,
                        _ => Part::Later,
                    };
                    self.identification = be32(packet, at + 4)?;
                    self.transport = at + 8;
                }
                _ => return Some(()),
            }
            self.tuple.protocol = byte(packet, at)?;
            if self.transport > packet.len() {
                return None;
            }
            // What follows the header of a later fragment is payload.
            if self.part == Part::Later {
                return Some(());
            }
        }
        None
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
            protocol if protocol == icmp_of(self.tuple.family()) => {
                self.transport_len = 8;
                self.tuple.source_port = be16(packet, at)?;
                if self.tuple.is_icmp_query() {
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
        if !self.tuple.is_icmp() {
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
            Offload::GSO_TCPV4 => {
                self.tuple.protocol == IpProtocol::TCP.0 && self.tuple.family() == Family::V4
            }
            Offload::GSO_TCPV6 => {
                self.tuple.protocol == IpProtocol::TCP.0 && self.tuple.family() == Family::V6
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::packets::{self, Built, Ends, flags},
        wire::put,
    };

    fn ends(source: &str, destination: &str) -> Ends {
        Ends {
            source_mac: [2; 6],
            destination_mac: [4; 6],
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn v4() -> Ends {
        ends("10.0.0.1", "10.0.0.2")
    }

    fn v6() -> Ends {
        ends("2001:db8::1", "2001:db8::2")
    }

    fn parsed(built: &Built) -> Result<Headers, DropReason> {
        let family = if built.frame[12] == 8 { Family::V4 } else { Family::V6 };
        Headers::parse(family, &built.frame, &built.offload)
    }

    fn with(built: &Built, at: usize, bytes: &[u8]) -> Built {
        let mut built = built.clone();
        put(&mut built.frame, at, bytes);
        built
    }

    #[test]
    fn headers_that_contradict_their_frame_are_malformed() {
        let (plain, tcp) =
            (packets::ip(&v4(), 50, &[0; 8]), packets::tcp_data(&v4(), (1, 2), b"data"));
        let whole = plain.frame.len() as u16 - 14;
        assert!(parsed(&plain).is_ok() && parsed(&tcp).is_ok());
        // Version, header length, total length: too little for a header, more than there is.
        let wrong = [
            with(&plain, 14, &[0x55]),
            with(&plain, 14, &[0x44]),
            with(&plain, 16, &19u16.to_be_bytes()),
            with(&plain, 16, &(whole + 1).to_be_bytes()),
            // TCP's header length.
            with(&tcp, 14 + 20 + 12, &[0x40]),
            with(&tcp, 14 + 20 + 12, &[0xf0]),
            // No room for a header of UDP.
            packets::ip(&v4(), 17, &[0; 6]),
            packets::ip(&v6(), 17, &[0; 6]),
            with(&packets::ip(&v6(), 50, &[0; 8]), 14, &[0x50]),
            with(&packets::ip(&v6(), 50, &[0; 8]), 18, &[0, 9]),
        ];
        for built in wrong {
            assert_eq!(parsed(&built).err(), Some(DropReason::Malformed), "{:02x?}", built.frame);
        }
        // What is odd but right: nothing behind the header, options, padding.
        let empty = with(&plain, 16, &20u16.to_be_bytes());
        assert_eq!(parsed(&empty).unwrap().end, 34);
        let options = with(&plain, 14, &[0x46]);
        assert_eq!(parsed(&options).unwrap().transport, 14 + 24);
        assert_eq!(parsed(&with(&tcp, 14 + 20 + 12, &[0x60])).unwrap().transport_len, 24);
        for mut padded in [plain, packets::ip(&v6(), 50, &[0; 8])] {
            let end = padded.frame.len();
            padded.frame.resize(end + 40, 0);
            assert_eq!(parsed(&padded).unwrap().end, end);
        }
    }

    #[test]
    fn extension_headers_end_within_the_packet() {
        // No next header (RFC 8200, 4.7) right behind options.
        let last = packets::ip(&v6(), 0, &[59, 0, 1, 4, 0, 0, 0, 0]);
        assert_eq!(parsed(&last).unwrap().tuple.protocol, 59);
        let beyond = packets::ip(&v6(), 0, &[59, 1, 1, 4, 0, 0, 0, 0]);
        assert_eq!(parsed(&beyond).err(), Some(DropReason::Malformed));
        for (offset_and_more, part) in
            [(0, Part::Whole), (1, Part::First), (8, Part::Later), (9, Part::Later)]
        {
            let mut payload = vec![50, 0, 0, offset_and_more, 1, 2, 3, 4];
            payload.extend_from_slice(&[0xff; 8]);
            let headers = parsed(&packets::ip(&v6(), 44, &payload)).unwrap();
            assert_eq!((headers.part, headers.identification), (part, 0x0102_0304));
        }
    }

    /// Traps 2: the checksum that is owed is one of the packet's own.
    #[test]
    fn a_checksum_is_owed_within_the_packet() {
        let datagram = packets::udp(&v4(), (1, 2), &[0; 16]);
        let (transport, length) = (34u16, datagram.frame.len() as u16);
        let owed = |csum_start, csum_offset| {
            let mut built = datagram.clone();
            built.offload = Offload { needs_csum: true, csum_start, csum_offset, ..Offload::NONE };
            parsed(&built).is_ok()
        };
        assert!(owed(transport, 6) && owed(transport, length - 2 - transport));
        assert!(!owed(transport - 1, 6) && !owed(transport, length - 1 - transport));
        assert!(!owed(transport, 40_000));
    }

    #[test]
    fn what_begins_a_connection_and_what_is_an_error() {
        let begins = |flags| parsed(&packets::tcp(&v4(), (1, 2), flags, b"")).unwrap().begins_tcp();
        assert!(begins(flags::SYN) && begins(flags::SYN | flags::PSH));
        for other in [flags::ACK, flags::FIN, flags::RST] {
            assert!(!begins(flags::SYN | other) && !begins(other), "{other:#x}");
        }
        for (kind, error) in [(1, true), (127, true), (128, false), (129, false)] {
            let built = packets::icmp(&v6(), (kind, 0), [0; 4], &[0; 8]);
            assert_eq!(parsed(&built).unwrap().tuple.is_icmp_error(), error, "{kind}");
        }
    }
}
