//! Packets of one family as packets of the other (RFC 7915), with what an ICMP error carries.
//!
//! The addresses are given. Ports, identifiers and the number of routers are changed before, while
//! the packet is still of its own family.

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, be16, be32, be128, byte, bytes,
    checksum::{Delta, fill_ipv4, fold, pseudo_header, sum},
    icmpv6,
    ip::{Headers, IPV6_HEADER_LEN, Part, extension},
    put, put16, put32,
    rewrite::{Unfinished, checksum_offset, update_transport_at},
};
use crate::{
    DropReason, Offload, Packet,
    address::{Address, Family},
    policy::{VPC_MTU, classifier::icmp_of},
};

/// Bytes of IPv4's header without options.
const IPV4_HEADER_LEN: usize = 20;
/// Bytes of IPv6's fragment header.
const FRAGMENT_LEN: usize = 8;
/// By how much IPv6's header is longer than IPv4's.
pub(crate) const LONGER: u16 = 20;
/// Up to this size what comes from IPv6 may be fragmented as IPv4: it fits IPv6's least MTU as IPv6
/// (RFC 7915, 5.1).
const MAY_FRAGMENT: usize = IPV6_LEAST_MTU - LONGER as usize;
/// What every link of IPv6 carries (RFC 8200, 5).
const IPV6_LEAST_MTU: usize = 1280;
/// What every host of IPv4 takes, and so the bound of errors (RFC 1812, 4.3.2.3).
const IPV4_ERROR_MAX: usize = 576;
/// Where routers that do not tell their MTU have it most likely, down to IPv6's least (RFC 1191, 7).
const PLATEAUS: [u16; 7] = [65_535, 32_000, 17_914, 8166, 4352, 2002, 1492];

/// What the packet is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    /// Source and destination of the packet that an ICMP error carries.
    pub(crate) about: Option<(Address, Address)>,
}

/// A packet that was of the other family.
#[derive(Clone, Debug)]
pub(crate) struct Translated {
    pub(crate) frame: Vec<u8>,
    pub(crate) offload: Offload,
    pub(crate) headers: Headers,
}

/// What the headers of both families say alike.
#[derive(Clone, Copy, Debug)]
struct Head {
    traffic_class: u8,
    hop_limit: u8,
    protocol: u8,
    fragment: Option<Fragment>,
    /// Where what it carries begins.
    transport: usize,
    /// Bytes that it carries by its own account.
    length: usize,
}

#[derive(Clone, Copy, Debug)]
struct Fragment {
    /// In units of eight bytes.
    offset: u16,
    more: bool,
    identification: u32,
}

impl Head {
    /// Reads the header at `ip`. `None` where it cannot be read, where the packet is to go by
    /// routers that its sender chose and has not passed all of them (RFC 7915, 4.1 and 5.1), and
    /// where what was cut into fragments begins with an extension header: left out of the first one,
    /// it would be missing from all that follow (RFC 7915, 5.1.1).
    fn read(frame: &[u8], ip: usize, family: Family) -> Option<Self> {
        match family {
            Family::V4 => Self::read_ipv4(frame, ip),
            Family::V6 => Self::read_ipv6(frame, ip),
        }
    }

    fn read_ipv4(frame: &[u8], ip: usize) -> Option<Self> {
        let header_len = usize::from(byte(frame, ip)? & 0x0f) * 4;
        let options = frame.get(ip + IPV4_HEADER_LEN..ip + header_len)?;
        if is_source_routed(options) {
            return None;
        }
        let field = be16(frame, ip + 6)?;
        let fragment = Fragment {
            offset: field & 0x1fff,
            more: field & 0x2000 != 0,
            identification: be16(frame, ip + 4)?.into(),
        };
        Some(Self {
            traffic_class: byte(frame, ip + 1)?,
            hop_limit: byte(frame, ip + 8)?,
            protocol: byte(frame, ip + 9)?,
            fragment: (fragment.more || fragment.offset != 0).then_some(fragment),
            transport: ip + header_len,
            length: usize::from(be16(frame, ip + 2)?).checked_sub(header_len)?,
        })
    }

    fn read_ipv6(frame: &[u8], ip: usize) -> Option<Self> {
        // Version, traffic class, flow label.
        let [traffic_class, ..] = (be32(frame, ip)? << 4).to_be_bytes();
        let mut head = Self {
            traffic_class,
            hop_limit: byte(frame, ip + 7)?,
            protocol: byte(frame, ip + 6)?,
            fragment: None,
            transport: ip + IPV6_HEADER_LEN,
            length: 0,
        };
        let end = head.transport + usize::from(be16(frame, ip + 4)?);
        while extension::ALL.contains(&head.protocol) {
            if head.fragment.is_some() {
                return None;
            }
            let at = head.transport;
            head.transport = match head.protocol {
                extension::FRAGMENT => {
                    let field = be16(frame, at + 2)?;
                    head.fragment = Some(Fragment {
                        offset: field >> 3,
                        more: field & 1 != 0,
                        identification: be32(frame, at + 4)?,
                    });
                    at + FRAGMENT_LEN
                }
                extension::ROUTING if byte(frame, at + 3)? != 0 => return None,
                _ => at + (usize::from(byte(frame, at + 1)?) + 1) * 8,
            };
            head.protocol = byte(frame, at)?;
        }
        head.length = end.checked_sub(head.transport)?;
        Some(head)
    }

    /// Bytes of the same header in the other family, without what has no counterpart there.
    fn len(&self, family: Family) -> usize {
        match (family, self.fragment) {
            (Family::V4, _) => IPV4_HEADER_LEN,
            (Family::V6, None) => IPV6_HEADER_LEN,
            (Family::V6, Some(_)) => IPV6_HEADER_LEN + FRAGMENT_LEN,
        }
    }

    /// Writes it at `ip` in the family of the addresses. `None` where that has no such lengths.
    fn write(
        &self,
        frame: &mut [u8],
        ip: usize,
        (source, destination): (Address, Address),
        (dont_fragment, identification): (bool, u16),
    ) -> Option<()> {
        let Self { traffic_class, hop_limit, protocol, fragment, length, .. } = *self;
        let family = source.family();
        let total = self.len(family) + length;
        match (source.as_v4(), destination.as_v4()) {
            (Some(source), Some(destination)) => {
                put(frame, ip, &[0x45, traffic_class]);
                put16(frame, ip + 2, u16::try_from(total).ok()?);
                let (identification, field) = match fragment {
                    Some(Fragment { offset, more, identification }) => {
                        let low = u16::try_from(identification & 0xffff).ok()?;
                        (low, offset | u16::from(more) << 13)
                    }
                    None => (identification, u16::from(dont_fragment) << 14),
                };
                put16(frame, ip + 4, identification);
                put16(frame, ip + 6, field);
                put(frame, ip + 8, &[hop_limit, protocol]);
                put32(frame, ip + 12, source);
                put32(frame, ip + 16, destination);
                fill_ipv4(frame, ip, IPV4_HEADER_LEN);
            }
            _ => {
                put32(frame, ip, 6 << 28 | u32::from(traffic_class) << 20);
                put16(frame, ip + 4, u16::try_from(total - IPV6_HEADER_LEN).ok()?);
                put(frame, ip + 6, &[protocol, hop_limit]);
                put(frame, ip + 8, &source.number().to_be_bytes());
                put(frame, ip + 24, &destination.number().to_be_bytes());
                if let Some(Fragment { offset, more, identification }) = fragment {
                    put(frame, ip + 6, &[extension::FRAGMENT]);
                    let at = ip + IPV6_HEADER_LEN;
                    put(frame, at, &[protocol, 0]);
                    put16(frame, at + 2, offset << 3 | u16::from(more));
                    put32(frame, at + 4, identification);
                }
            }
        }
        Some(())
    }
}

/// Whether options of IPv4 have a source route with routers that were not passed yet.
fn is_source_routed(mut options: &[u8]) -> bool {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    loop {
        options = match *options {
            [] | [END, ..] => return false,
            [NO_OPERATION, ref rest @ ..] => rest,
            [LOOSE | STRICT, length, pointer, ..] if pointer <= length => return true,
            // Whatever is not well-formed ends here too.
            [_, length, ..] if length >= 2 => options.get(length.into()..).unwrap_or_default(),
            _ => return false,
        };
    }
}

/// The number of a protocol in the other family: that of its own control protocol, or the same.
pub(crate) fn protocol_in_other(protocol: u8, from: Family) -> u8 {
    let (own, other) = match from {
        Family::V4 => (icmp_of(Family::V4), icmp_of(Family::V6)),
        Family::V6 => (icmp_of(Family::V6), icmp_of(Family::V4)),
    };
    if IpProtocol(protocol) == own { other.0 } else { protocol }
}

/// The type of a query of ICMP in the other family, where there is one.
pub(crate) fn query_in_other(kind: u8, from: Family) -> Option<u8> {
    match (from, kind) {
        (Family::V4, 8) => Some(icmpv6::ECHO),
        (Family::V4, 0) => Some(icmpv6::ECHO_REPLY),
        (Family::V6, icmpv6::ECHO) => Some(8),
        (Family::V6, icmpv6::ECHO_REPLY) => Some(0),
        _ => None,
    }
}

/// The packet in the other family. Where it may be fragmented there, it gets the identification.
pub(crate) fn translate(
    packet: &Packet<'_>,
    headers: &Headers,
    to: &Translation,
    identification: u16,
) -> Result<Translated, DropReason> {
    let untranslatable = DropReason::NatGatewayUntranslatable;
    let family = headers.tuple.family();
    let frame = packet.frame.get(..headers.end).ok_or(DropReason::Malformed)?;
    let mut head = Head::read(frame, ETHERNET_LEN, family).ok_or(untranslatable)?;
    let body = frame.get(head.transport..).ok_or(DropReason::Malformed)?;
    let other = to.source.family();
    let transport = ETHERNET_LEN + head.len(other);
    let mut made = Vec::with_capacity(transport + body.len());
    made.resize(transport, 0);
    match to.about {
        Some(about) => made.extend_from_slice(&error(body, headers, to, about)?),
        None => made.extend_from_slice(body),
    }
    put(&mut made, 0, &bytes::<12>(frame, 0).unwrap_or_default());
    put16(
        &mut made,
        12,
        match other {
            Family::V4 => ETHERTYPE_IPV4,
            Family::V6 => ETHERTYPE_IPV6,
        },
    );
    head.protocol = protocol_in_other(head.protocol, family);
    head.length = made.len() - transport;
    let largest = usize::try_from(headers.largest).unwrap_or(usize::MAX);
    let largest = (largest + transport).saturating_sub(headers.transport);
    let choice = (largest > MAY_FRAGMENT, identification);
    head.write(&mut made, ETHERNET_LEN, (to.source, to.destination), choice)
        .ok_or(DropReason::TooLarge)?;
    let offload = moved(packet.offload, headers.transport, transport);
    let mut translated = Headers::parse(other, &made, &offload)?;
    if headers.part == Part::Later {
        translated.tuple.source_port = headers.tuple.source_port;
        translated.tuple.destination_port = headers.tuple.destination_port;
        translated.ports_known = headers.ports_known;
    }
    let mut packet = Packet { frame: &mut made, offload };
    if headers.part != Part::Later && to.about.is_none() {
        transport_in_other(&mut packet, headers, &mut translated).ok_or(untranslatable)?;
    }
    let offload = packet.offload;
    Ok(Translated { frame: made, offload, headers: translated })
}

/// What is owed to a frame whose transport header is somewhere else now, in the other family.
fn moved(mut offload: Offload, from: usize, to: usize) -> Offload {
    let shifted = |at: u16| {
        let at = (usize::from(at) + to).saturating_sub(from);
        u16::try_from(at).unwrap_or(u16::MAX)
    };
    if offload.needs_csum {
        offload.csum_start = shifted(offload.csum_start);
    }
    if offload.hdr_len != 0 {
        offload.hdr_len = shifted(offload.hdr_len);
    }
    let ecn = offload.gso_type & Offload::GSO_ECN;
    offload.gso_type = ecn
        | match offload.gso_type & !Offload::GSO_ECN {
            Offload::GSO_TCPV4 => Offload::GSO_TCPV6,
            Offload::GSO_TCPV6 => Offload::GSO_TCPV4,
            other => other,
        };
    offload
}

/// The sum of what a transport checksum covers besides the transport: in IPv4, ICMP's has none.
fn covered(family: Family, ends: (Address, Address), protocol: u8, length: usize) -> u16 {
    match (family, IpProtocol(protocol)) {
        (Family::V4, IpProtocol::ICMP) => 0,
        _ => fold(pseudo_header(ends.0, ends.1, protocol, length)),
    }
}

/// Brings the transport's checksum in line with the other family's addresses, and an ICMP query to
/// its type there. `None` where that is not possible.
fn transport_in_other(
    packet: &mut Packet<'_>,
    before: &Headers,
    after: &mut Headers,
) -> Option<()> {
    let length = after.end - after.transport;
    let sum_of = |headers: &Headers| {
        let tuple = &headers.tuple;
        covered(tuple.family(), (tuple.source, tuple.destination), tuple.protocol, length)
    };
    let mut delta = Delta::default().word(sum_of(before), sum_of(after));
    if before.tuple.is_icmp() {
        let kind = query_in_other(before.tuple.icmp_type(), before.tuple.family())?;
        put(packet.frame, after.transport, &[kind]);
        let [_, code] = before.tuple.source_port.to_be_bytes();
        let word = u16::from_be_bytes([kind, code]);
        delta = delta.word(after.tuple.source_port, word);
        after.tuple.source_port = word;
        // As a tuple of another type it had no identifier.
        after.tuple.destination_port = before.tuple.destination_port;
        update_transport_at(packet, after, 2, delta, Unfinished::HoldsPseudoHeader);
        return Some(());
    }
    let offset = checksum_offset(after.tuple.protocol)?;
    let at = after.transport + offset;
    let none = IpProtocol(after.tuple.protocol) == IpProtocol::UDP
        && !packet.offload.needs_csum
        && be16(packet.frame, at)? == 0;
    if !none {
        update_transport_at(packet, after, offset, delta, Unfinished::HoldsPseudoHeader);
    } else if after.tuple.family() == Family::V6 {
        // IPv6 knows no datagrams without a checksum; of a fragment it cannot be made (RFC 7915,
        // 4.5), nor of one that says to be shorter than it is.
        let whole = after.part == Part::Whole
            && be16(packet.frame, after.transport + 4).map(usize::from) == Some(length);
        let sum = sum(packet.frame.get(after.transport..after.end).filter(|_| whole)?);
        let checksum = match !fold(u64::from(sum_of(after)) + sum) {
            0 => 0xffff,
            checksum => checksum,
        };
        put16(packet.frame, at, checksum);
    }
    Some(())
}

/// An ICMP error in the other family, from its type on: `body` is the one that there is.
fn error(
    body: &[u8],
    headers: &Headers,
    to: &Translation,
    about: (Address, Address),
) -> Result<Vec<u8>, DropReason> {
    let untranslatable = DropReason::NatGatewayUntranslatable;
    let tuple = &headers.tuple;
    let (family, other) = (tuple.family(), to.source.family());
    let before = covered(family, (tuple.source, tuple.destination), tuple.protocol, body.len());
    // It is summed up anew, which must not make a right one of a wrong one (RFC 5508, 4.2).
    if fold(u64::from(before) + sum(body)) != 0xffff {
        return Err(DropReason::Malformed);
    }
    let (Some(rest), Some(mut packet)) = (bytes::<4>(body, 4), body.get(8..)) else {
        return Err(DropReason::Malformed);
    };
    // What extends the error behind the packet has no counterpart (RFC 4884).
    let [kind, code] = tuple.source_port.to_be_bytes();
    let extended_at = match (family, kind) {
        (Family::V4, _) => usize::from(rest[1]) * 4,
        (Family::V6, icmpv6::PACKET_TOO_BIG | icmpv6::PARAMETER_PROBLEM) => 0,
        (Family::V6, _) => usize::from(rest[0]) * 8,
    };
    if extended_at > 0 {
        packet = packet.get(..extended_at).unwrap_or(packet);
    }
    let (kind, code, rest) = match family {
        Family::V4 => error_in_ipv6(kind, code, rest, packet),
        Family::V6 => error_in_ipv4(kind, code, rest),
    }
    .ok_or(untranslatable)?;
    let mut made = vec![kind, code, 0, 0];
    made.extend_from_slice(&rest);
    made.extend_from_slice(&embedded_in_other(packet, family, about).ok_or(untranslatable)?);
    made.truncate(match other {
        Family::V4 => IPV4_ERROR_MAX - IPV4_HEADER_LEN,
        Family::V6 => IPV6_LEAST_MTU - IPV6_HEADER_LEN,
    });
    let protocol = protocol_in_other(tuple.protocol, family);
    let after = covered(other, (to.source, to.destination), protocol, made.len());
    let checksum = !fold(u64::from(after) + sum(&made));
    put16(&mut made, 2, checksum);
    Ok(made)
}

/// The packet that an ICMP error carries in the other family, as far as it is there.
fn embedded_in_other(
    packet: &[u8],
    family: Family,
    (source, destination): (Address, Address),
) -> Option<Vec<u8>> {
    let mut head = Head::read(packet, 0, family)?;
    let ends = match family {
        Family::V4 => (Address::v4(be32(packet, 12)?), Address::v4(be32(packet, 16)?)),
        Family::V6 => (Address::v6(be128(packet, 8)?), Address::v6(be128(packet, 24)?)),
    };
    let other = source.family();
    let before = covered(family, ends, head.protocol, head.length);
    let body = packet.get(head.transport..)?;
    let protocol = head.protocol;
    head.protocol = protocol_in_other(protocol, family);
    let after = covered(other, (source, destination), head.protocol, head.length);
    let transport = head.len(other);
    let mut made = vec![0; transport];
    made.extend_from_slice(body);
    let choice = (transport + head.length > MAY_FRAGMENT, 0);
    head.write(&mut made, 0, (source, destination), choice)?;
    if head.fragment.is_some_and(|fragment| fragment.offset != 0) {
        return Some(made);
    }
    let mut delta = Delta::default().word(before, after);
    let is_icmp = IpProtocol(protocol) == icmp_of(family);
    let offset = if is_icmp { Some(2) } else { checksum_offset(protocol) };
    if is_icmp {
        let word = be16(&made, transport)?;
        let [kind, code] = word.to_be_bytes();
        let kind = query_in_other(kind, family)?;
        put(&mut made, transport, &[kind]);
        delta = delta.word(word, u16::from_be_bytes([kind, code]));
    }
    // It may not reach that far.
    if let Some(at) = offset.map(|offset| transport + offset)
        && let Some(old) = be16(&made, at)
        && (old != 0 || IpProtocol(protocol) != IpProtocol::UDP)
    {
        put16(&mut made, at, delta.finished_transport(old));
    }
    Some(made)
}

/// Type, code and the four bytes behind the checksum of an error about a packet of IPv4, in IPv6
/// (RFC 7915, 4.2).
fn error_in_ipv6(kind: u8, code: u8, rest: [u8; 4], packet: &[u8]) -> Option<(u8, u8, [u8; 4])> {
    const NO_ROUTE: u8 = 0;
    const PROHIBITED: u8 = 1;
    const PORT: u8 = 4;
    const UNKNOWN_NEXT_HEADER: u8 = 1;
    /// Where IPv6's header names what follows it.
    const NEXT_HEADER: u32 = 6;
    let unreachable = |code| (icmpv6::UNREACHABLE, code, [0; 4]);
    Some(match (kind, code) {
        (3, 0 | 1 | 5..=8 | 11 | 12) => unreachable(NO_ROUTE),
        (3, 9 | 10 | 13 | 15) => unreachable(PROHIBITED),
        (3, 2) => (icmpv6::PARAMETER_PROBLEM, UNKNOWN_NEXT_HEADER, NEXT_HEADER.to_be_bytes()),
        (3, 3) => unreachable(PORT),
        (3, 4) => {
            let [_, _, high, low] = rest;
            let told = match u16::from_be_bytes([high, low]) {
                0 => plateau(be16(packet, 2)?),
                told => told,
            };
            let mtu = told.saturating_add(LONGER).min(VPC_MTU);
            let mtu = u32::from(mtu).max(u32::try_from(IPV6_LEAST_MTU).ok()?);
            (icmpv6::PACKET_TOO_BIG, 0, mtu.to_be_bytes())
        }
        (11, code) => (icmpv6::TIME_EXCEEDED, code, [0; 4]),
        (12, 0 | 2) => {
            let pointer: u32 = match rest[0] {
                at @ 0..=1 => at.into(),
                2 | 3 => 4,
                8 => 7,
                9 => 6,
                12..=15 => 8,
                16..=19 => 24,
                _ => return None,
            };
            (icmpv6::PARAMETER_PROBLEM, 0, pointer.to_be_bytes())
        }
        _ => return None,
    })
}

/// The likely MTU of a way on which a packet of that many bytes was too long.
fn plateau(total: u16) -> u16 {
    PLATEAUS.into_iter().find(|mtu| *mtu < total).unwrap_or(0)
}

/// Type, code and the four bytes behind the checksum of an error about a packet of IPv6, in IPv4
/// (RFC 7915, 5.2).
fn error_in_ipv4(kind: u8, code: u8, rest: [u8; 4]) -> Option<(u8, u8, [u8; 4])> {
    const UNREACHABLE: u8 = 3;
    const TIME_EXCEEDED: u8 = 11;
    const PARAMETER_PROBLEM: u8 = 12;
    const HOST: u8 = 1;
    const PROTOCOL: u8 = 2;
    const PORT: u8 = 3;
    const FRAGMENTATION_NEEDED: u8 = 4;
    const PROHIBITED: u8 = 10;
    let unreachable = |code| (UNREACHABLE, code, [0; 4]);
    Some(match (kind, code) {
        (icmpv6::UNREACHABLE, 0 | 2 | 3) => unreachable(HOST),
        (icmpv6::UNREACHABLE, 1) => unreachable(PROHIBITED),
        (icmpv6::UNREACHABLE, 4) => unreachable(PORT),
        (icmpv6::PACKET_TOO_BIG, _) => {
            let told = u16::try_from(u32::from_be_bytes(rest)).unwrap_or(u16::MAX);
            let [high, low] = told.min(VPC_MTU).saturating_sub(LONGER).to_be_bytes();
            (UNREACHABLE, FRAGMENTATION_NEEDED, [0, 0, high, low])
        }
        (icmpv6::TIME_EXCEEDED, code) => (TIME_EXCEEDED, code, [0; 4]),
        (icmpv6::PARAMETER_PROBLEM, 0) => {
            let pointer = match u32::from_be_bytes(rest) {
                at @ 0..=1 => u8::try_from(at).ok()?,
                4 | 5 => 2,
                6 => 9,
                7 => 8,
                8..=23 => 12,
                24..=39 => 16,
                _ => return None,
            };
            (PARAMETER_PROBLEM, 0, [pointer, 0, 0, 0])
        }
        (icmpv6::PARAMETER_PROBLEM, 1) => unreachable(PROTOCOL),
        _ => return None,
    })
}
