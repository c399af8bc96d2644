//! Rewriting addresses in place, with all checksums that cover them (traps 2, IGW-2).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, be16, be32, be128, byte,
    checksum::{Delta, replace16, update_finished},
    ip::{Headers, IPV6_HEADER_LEN, Part, Tuple, UDP_LITE},
    put, put16, put32,
};
use crate::{
    Packet,
    address::{Address, Family},
};

/// Which address of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

impl End {
    /// Where the address is in an IP header.
    fn offset(self, family: Family) -> usize {
        match (family, self) {
            (Family::V4, Self::Source) => 12,
            (Family::V4, Self::Destination) => 16,
            (Family::V6, Self::Source) => 8,
            (Family::V6, Self::Destination) => 24,
        }
    }
}

/// Writes an address.
fn put_address(frame: &mut [u8], at: usize, address: Address) {
    match address.as_v4() {
        Some(bits) => put32(frame, at, bits),
        None => put(frame, at, &address.number().to_be_bytes()),
    }
}

/// Gives a packet another source or destination address, of the same family.
pub(crate) fn set_address(packet: &mut Packet<'_>, headers: &mut Headers, end: End, new: Address) {
    let old = match end {
        End::Source => std::mem::replace(&mut headers.tuple.source, new),
        End::Destination => std::mem::replace(&mut headers.tuple.destination, new),
    };
    if old == new {
        return;
    }
    let delta = Delta::default().address(old, new);
    let family = old.family();
    put_address(packet.frame, ETHERNET_LEN + end.offset(family), new);
    if family == Family::V4 {
        update_finished(packet.frame, ETHERNET_LEN + 10, delta);
    }
    if headers.part != Part::Later {
        update_transport(packet, headers, delta);
    }
}

/// Gives a packet another source or destination port, or an ICMP query another identifier
/// (`End::Destination`, as the tuple has it). Later fragments have none.
pub(crate) fn set_port(packet: &mut Packet<'_>, headers: &mut Headers, end: End, new: u16) {
    let is_icmp = headers.tuple.is_icmp();
    let old = match end {
        End::Source => std::mem::replace(&mut headers.tuple.source_port, new),
        End::Destination => std::mem::replace(&mut headers.tuple.destination_port, new),
    };
    if old == new || headers.part == Part::Later {
        return;
    }
    let at = match (is_icmp, end) {
        (true, _) => 4,
        (false, End::Source) => 0,
        (false, End::Destination) => 2,
    };
    put16(packet.frame, headers.transport + at, new);
    let delta = Delta::default().word(old, new);
    if is_icmp {
        // Nobody leaves ICMP's own checksum to the network card but IPv6's senders.
        update_transport_at(packet, headers, 2, delta, Unfinished::LeavesPayloadOut);
    } else if let Some(offset) = checksum_offset(headers.tuple.protocol) {
        update_transport_at(packet, headers, offset, delta, Unfinished::LeavesPayloadOut);
    }
}

/// Takes one from the number of routers that a packet may still pass.
pub(crate) fn decrement_hop_limit(packet: &mut Packet<'_>, headers: &mut Headers) {
    headers.hop_limit = headers.hop_limit.saturating_sub(1);
    match headers.tuple.family() {
        Family::V4 => {
            let at = ETHERNET_LEN + 8;
            let protocol = u16::from(headers.tuple.protocol);
            let word = u16::from(headers.hop_limit) << 8 | protocol;
            let delta = replace16(packet.frame, at, word, Delta::default());
            update_finished(packet.frame, ETHERNET_LEN + 10, delta);
        }
        Family::V6 => put(packet.frame, ETHERNET_LEN + 7, &[headers.hop_limit]),
    }
}

/// Where the transport checksum that covers the addresses is, from the transport header.
pub(super) fn checksum_offset(protocol: u8) -> Option<usize> {
    match IpProtocol(protocol) {
        IpProtocol::TCP => Some(16),
        IpProtocol::UDP | IpProtocol(UDP_LITE) => Some(6),
        _ => None,
    }
}

/// What a checksum that is left to the network card holds of what changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// The pseudo-header is summed already: addresses change it.
    HoldsPseudoHeader,
    /// Ports and payload are not: their changes do not matter yet.
    LeavesPayloadOut,
}

fn update_transport(packet: &mut Packet<'_>, headers: &Headers, delta: Delta) {
    let offset = match headers.tuple.protocol {
        // ICMPv6 covers the addresses too (RFC 4443).
        protocol if protocol == IpProtocol::ICMPV6.0 && headers.tuple.is_icmp() => Some(2),
        protocol => checksum_offset(protocol),
    };
    if let Some(offset) = offset {
        update_transport_at(packet, headers, offset, delta, Unfinished::HoldsPseudoHeader);
    }
}

pub(super) fn update_transport_at(
    packet: &mut Packet<'_>,
    headers: &Headers,
    offset: usize,
    delta: Delta,
    what: Unfinished,
) {
    let at = headers.transport + offset;
    if at + 2 > headers.end {
        return;
    }
    let unfinished = packet.offload.needs_csum
        && usize::from(packet.offload.csum_start) == headers.transport
        && usize::from(packet.offload.csum_offset) == offset;
    let Some(old) = be16(packet.frame, at) else { return };
    let is_udp =
        matches!(IpProtocol(headers.tuple.protocol), IpProtocol::UDP | IpProtocol(UDP_LITE));
    let new = if unfinished {
        match what {
            Unfinished::HoldsPseudoHeader => delta.partial(old),
            Unfinished::LeavesPayloadOut => return,
        }
    } else if is_udp && old == 0 {
        return; // A UDP checksum that was not computed.
    } else {
        delta.finished_transport(old)
    };
    put16(packet.frame, at, new);
}

/// One end of the packet that an ICMP error carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EmbeddedEnd {
    pub(crate) address: Address,
    /// The port, or the identifier of an ICMP query; `None` leaves it as it is.
    pub(crate) port: Option<u16>,
}

/// Where things are in the packet that an ICMP error carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedded {
    family: Family,
    ip: usize,
    transport: usize,
    /// What tells its flow; the ports are 0 where the error does not reach that far.
    pub(crate) tuple: Tuple,
    has_ports: bool,
}

/// Reads the packet that an ICMP error carries.
pub(crate) fn embedded(packet: &Packet<'_>, headers: &Headers) -> Option<Embedded> {
    let family = headers.tuple.family();
    if headers.part != Part::Whole || !headers.tuple.is_icmp_error() {
        return None;
    }
    let ip = headers.transport + 8;
    let frame = packet.frame.get(..headers.end)?;
    let (transport, protocol, later) = match family {
        Family::V4 => {
            let first = byte(frame, ip)?;
            let header_len = usize::from(first & 0x0f) * 4;
            if first >> 4 != 4 || header_len < 20 {
                return None;
            }
            let later = be16(frame, ip + 6).is_some_and(|fragment| fragment & 0x1fff != 0);
            (ip + header_len, byte(frame, ip + 9)?, later)
        }
        // Extension headers are not looked past: whoever gets the error does.
        Family::V6 if byte(frame, ip)? >> 4 == 6 => {
            (ip + IPV6_HEADER_LEN, byte(frame, ip + 6)?, false)
        }
        Family::V6 => return None,
    };
    let address = |end: End| {
        let at = ip + end.offset(family);
        match family {
            Family::V4 => be32(frame, at).map(Address::v4),
            Family::V6 => be128(frame, at).map(Address::v6),
        }
    };
    let mut tuple = Tuple {
        source: address(End::Source)?,
        destination: address(End::Destination)?,
        protocol,
        source_port: 0,
        destination_port: 0,
    };
    let mut has_ports = false;
    if !later {
        let is_icmp = tuple.is_icmp();
        let ports = if is_icmp { [0, 4] } else { [0, 2] };
        if let (Some(first), Some(second)) =
            (be16(frame, transport + ports[0]), be16(frame, transport + ports[1]))
        {
            (tuple.source_port, tuple.destination_port) = (first, second);
            has_ports = is_icmp || checksum_offset(protocol).is_some();
        }
    }
    Some(Embedded { family, ip, transport, tuple, has_ports })
}

/// Translates the addresses of the packet that an ICMP error carries, so that its receiver
/// recognises it: NAT in one direction is undone in the other.
pub(crate) fn translate_embedded(
    packet: &mut Packet<'_>,
    headers: &Headers,
    translate: impl Fn(End, Address) -> Option<Address>,
) {
    let Some(embedded) = embedded(packet, headers) else { return };
    for (end, old) in
        [(End::Source, embedded.tuple.source), (End::Destination, embedded.tuple.destination)]
    {
        if let Some(address) = translate(end, old) {
            set_embedded(packet, headers, &embedded, end, EmbeddedEnd { address, port: None });
        }
    }
}

/// Gives an end of the packet that an ICMP error carries another address and port, with all
/// checksums that cover them.
pub(crate) fn set_embedded(
    packet: &mut Packet<'_>,
    headers: &Headers,
    embedded: &Embedded,
    end: End,
    new: EmbeddedEnd,
) {
    let Embedded { family, ip, transport, tuple, has_ports } = *embedded;
    let is_icmp = tuple.is_icmp();
    let Some(frame) = packet.frame.get_mut(..headers.end) else { return };
    let (old, old_port, at) = match (end, is_icmp) {
        (End::Source, false) => (tuple.source, tuple.source_port, 0),
        (End::Destination, false) => (tuple.destination, tuple.destination_port, 2),
        (End::Source, true) => (tuple.source, tuple.destination_port, 4),
        (End::Destination, true) => (tuple.destination, tuple.destination_port, 4),
    };
    let mut addresses = Delta::default();
    let mut icmp = Delta::default();
    if old != new.address {
        put_address(frame, ip + end.offset(family), new.address);
        addresses = addresses.address(old, new.address);
        icmp = icmp.plus(addresses);
        if family == Family::V4
            && let Some(header) = be16(frame, ip + 10)
        {
            icmp = replace16(frame, ip + 10, addresses.finished(header), icmp);
        }
    }
    let mut ports = Delta::default();
    if let Some(port) = new.port.filter(|port| has_ports && *port != old_port) {
        ports = ports.word(old_port, port);
        icmp = replace16(frame, transport + at, port, icmp);
    }
    let (offset, inner) = match (is_icmp, family) {
        // ICMP over IPv4 does not cover the addresses.
        (true, Family::V4) => (Some(2), ports),
        (true, Family::V6) => (Some(2), addresses.plus(ports)),
        (false, _) => (checksum_offset(tuple.protocol), addresses.plus(ports)),
    };
    let checksum = offset.filter(|_| has_ports).map(|offset| transport + offset);
    if let Some((at, old)) = checksum.and_then(|at| Some((at, be16(frame, at)?)))
        && (old != 0 || tuple.protocol == IpProtocol::TCP.0 || is_icmp)
    {
        icmp = replace16(frame, at, inner.finished_transport(old), icmp);
    }
    if !packet.offload.needs_csum {
        update_finished(packet.frame, headers.transport + 2, icmp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Offload,
        testing::{
            packets::{self, Ends},
            verify,
        },
    };

    fn datagram() -> packets::Built {
        let ends = Ends {
            source_mac: [2; 6],
            destination_mac: [4; 6],
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
        };
        packets::udp(&ends, (1, 4789), &[0x55; 40])
    }

    /// Traps 5: where only the checksum of a packet within is left to the network card, that
    /// around it is finished.
    #[test]
    fn a_checksum_that_is_owed_to_a_packet_within_is_not_the_outer_one() {
        for (csum_start, csum_offset) in [(34 + 20, 6), (34, 16)] {
            let mut built = datagram();
            built.offload = Offload { needs_csum: true, csum_start, csum_offset, ..Offload::NONE };
            let mut headers = Headers::parse(Family::V4, &built.frame, &built.offload).unwrap();
            let mut packet = Packet { frame: &mut built.frame, offload: built.offload };
            set_address(&mut packet, &mut headers, End::Source, Address::v4(0xc612_0001));
            assert_eq!(verify::check(&built.frame, &Offload::NONE), Ok(()));
        }
    }
}
