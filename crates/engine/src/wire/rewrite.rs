//! Rewriting addresses in place, with all checksums that cover them (traps 2, IGW-2).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, be16, be32, byte,
    checksum::{Delta, replace16, update_finished},
    ipv4::{Headers, Part, UDP_LITE, is_error},
    put16, put32,
};
use crate::Packet;

/// Which address of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

impl End {
    /// Where the address is in an IPv4 header.
    fn offset(self) -> usize {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }
}

/// Gives a packet another source or destination address.
pub(crate) fn set_address(packet: &mut Packet<'_>, headers: &mut Headers, end: End, new: u32) {
    let old = match end {
        End::Source => std::mem::replace(&mut headers.tuple.source, new),
        End::Destination => std::mem::replace(&mut headers.tuple.destination, new),
    };
    if old == new {
        return;
    }
    let delta = Delta::default().double(old, new);
    put32(packet.frame, ETHERNET_LEN + end.offset(), new);
    update_finished(packet.frame, ETHERNET_LEN + 10, delta);
    if headers.part != Part::Later {
        update_transport(packet, headers, delta);
    }
}

/// Where the transport checksum that covers the addresses is, from the transport header.
fn checksum_offset(protocol: u8) -> Option<usize> {
    match IpProtocol(protocol) {
        IpProtocol::TCP => Some(16),
        IpProtocol::UDP | IpProtocol(UDP_LITE) => Some(6),
        _ => None,
    }
}

fn update_transport(packet: &mut Packet<'_>, headers: &Headers, delta: Delta) {
    let Some(offset) = checksum_offset(headers.tuple.protocol) else { return };
    let at = headers.transport + offset;
    if at + 2 > headers.end {
        return;
    }
    let unfinished = packet.offload.needs_csum
        && usize::from(packet.offload.csum_start) == headers.transport
        && usize::from(packet.offload.csum_offset) == offset;
    let Some(old) = be16(packet.frame, at) else { return };
    let new = if unfinished {
        delta.partial(old)
    } else if headers.tuple.protocol == IpProtocol::TCP.0 {
        delta.finished(old)
    } else if old == 0 {
        return; // A UDP checksum that was not computed.
    } else {
        match delta.finished(old) {
            0 => 0xffff,
            new => new,
        }
    };
    put16(packet.frame, at, new);
}

/// Translates the addresses of the packet that an ICMP error carries, so that its receiver
/// recognises it: NAT in one direction is undone in the other.
pub(crate) fn translate_embedded(
    packet: &mut Packet<'_>,
    headers: &Headers,
    translate: impl Fn(End, u32) -> Option<u32>,
) {
    let tuple = &headers.tuple;
    if tuple.protocol != IpProtocol::ICMP.0
        || headers.part != Part::Whole
        || !is_error(tuple.icmp_type())
    {
        return;
    }
    let ip = headers.transport + 8;
    let Some(frame) = packet.frame.get_mut(..headers.end) else { return };
    let (Some(version), Some(protocol)) = (byte(frame, ip), byte(frame, ip + 9)) else { return };
    let header_len = usize::from(version & 0x0f) * 4;
    if version >> 4 != 4 || header_len < 20 {
        return;
    }
    let mut icmp = Delta::default();
    for end in [End::Source, End::Destination] {
        let at = ip + end.offset();
        let Some(old) = be32(frame, at) else { continue };
        let Some(new) = translate(end, old).filter(|new| *new != old) else { continue };
        let address = Delta::default().double(old, new);
        put32(frame, at, new);
        icmp = icmp.double(old, new);
        if let Some(header) = be16(frame, ip + 10) {
            icmp = replace16(frame, ip + 10, address.finished(header), icmp);
        }
        let later = be16(frame, ip + 6).is_some_and(|fragment| fragment & 0x1fff != 0);
        let transport = checksum_offset(protocol).filter(|_| !later).map(|at| ip + header_len + at);
        if let Some((at, old)) = transport.and_then(|at| Some((at, be16(frame, at)?)))
            && (old != 0 || protocol == IpProtocol::TCP.0)
        {
            icmp = replace16(frame, at, address.finished(old), icmp);
        }
    }
    if !packet.offload.needs_csum {
        update_finished(packet.frame, headers.transport + 2, icmp);
    }
}
