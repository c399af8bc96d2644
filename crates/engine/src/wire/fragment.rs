//! Cutting packets: large segments into wire packets, wire packets into fragments (IGW-10).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, be16, be32,
    checksum::{fill_ipv4, fold, pseudo_header, sum},
    ip::Headers,
    put16, put32,
};
use crate::{Offload, Packet};

/// Finishes the checksum that the sender left undone, if it did.
pub(crate) fn complete_checksum(frame: &mut [u8], end: usize, offload: &mut Offload) {
    if !std::mem::take(&mut offload.needs_csum) {
        return;
    }
    let start = usize::from(offload.csum_start);
    let field = start + usize::from(offload.csum_offset);
    if let Some(covered) = frame.get(start..end) {
        // UDP sends a sum of zero as all ones; for TCP both mean the same.
        let checksum = match !fold(sum(covered)) {
            0 => 0xffff,
            checksum => checksum,
        };
        put16(frame, field, checksum);
    }
}

/// Hands each wire packet of a frame that must not exceed `mtu` to `emit`. Nobody asks it to cut
/// IPv6, which routers never fragment.
pub(crate) fn cut(
    packet: &mut Packet<'_>,
    headers: &Headers,
    mtu: usize,
    mut emit: impl FnMut(&[u8]),
) {
    if packet.offload.gso_type & !Offload::GSO_ECN == Offload::GSO_NONE {
        complete_checksum(packet.frame, headers.end, &mut packet.offload);
        if let Some(frame) = packet.frame.get(..headers.end) {
            fragments(frame, headers.transport, mtu, &mut emit);
        }
        return;
    }
    segments(packet, headers, |frame| fragments(frame, headers.transport, mtu, &mut emit));
}

/// Hands each segment of a large one to `emit`, as a network card would send it.
fn segments(packet: &Packet<'_>, headers: &Headers, mut emit: impl FnMut(&[u8])) {
    let start = headers.transport + headers.transport_len;
    let Some(payload) = packet.frame.get(start..headers.end) else { return };
    let Some(head) = packet.frame.get(..start) else { return };
    let size = usize::from(packet.offload.gso_size).max(1);
    let is_tcp = headers.tuple.protocol == IpProtocol::TCP.0;
    let sequence = be32(head, headers.transport + 4).unwrap_or_default();
    let identification = u16::try_from(headers.identification & 0xffff).unwrap_or_default();
    let count = payload.len().div_ceil(size);
    let mut frame = Vec::with_capacity(start + size);
    for (index, piece) in payload.chunks(size).enumerate() {
        frame.clear();
        frame.extend_from_slice(head);
        frame.extend_from_slice(piece);
        let low = u16::try_from(index & 0xffff).unwrap_or_default();
        put16(&mut frame, ETHERNET_LEN + 4, identification.wrapping_add(low));
        set_total_length(&mut frame, headers.transport);
        let transport_len = frame.len() - headers.transport;
        let field = if is_tcp {
            let offset = u32::try_from(index * size).unwrap_or_default();
            put32(&mut frame, headers.transport + 4, sequence.wrapping_add(offset));
            if index + 1 < count {
                // FIN and PSH belong to the last segment (a large one is never a SYN or RST).
                clear_bits(&mut frame, headers.transport + 13, 0x09);
            }
            16
        } else {
            put16(&mut frame, headers.transport + 4, u16::try_from(transport_len).unwrap_or(0));
            6
        };
        put16(&mut frame, headers.transport + field, 0);
        let tuple = &headers.tuple;
        let pseudo = pseudo_header(tuple.source, tuple.destination, tuple.protocol, transport_len);
        let covered = frame.get(headers.transport..).map_or(0, sum);
        let checksum = match !fold(pseudo + covered) {
            0 => 0xffff,
            checksum => checksum,
        };
        put16(&mut frame, headers.transport + field, checksum);
        emit(&frame);
    }
}

fn clear_bits(frame: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte &= !bits;
    }
}

fn set_total_length(frame: &mut [u8], transport: usize) {
    let total = u16::try_from(frame.len() - ETHERNET_LEN).unwrap_or(u16::MAX);
    put16(frame, ETHERNET_LEN + 2, total);
    fill_ipv4(frame, ETHERNET_LEN, transport - ETHERNET_LEN);
}

/// Hands a packet to `emit`, in fragments where it exceeds `mtu`. Options are copied to all of
/// them, which no receiver minds.
fn fragments(frame: &[u8], transport: usize, mtu: usize, emit: &mut impl FnMut(&[u8])) {
    let head_len = transport - ETHERNET_LEN;
    let room = mtu.saturating_sub(head_len) / 8 * 8;
    if frame.len() - ETHERNET_LEN <= mtu || room == 0 {
        return emit(frame);
    }
    let (Some(head), Some(payload)) = (frame.get(..transport), frame.get(transport..)) else {
        return;
    };
    let field = be16(frame, ETHERNET_LEN + 6).unwrap_or_default();
    let (flags, offset) = (field & 0xe000, field & 0x1fff);
    let mut piece = Vec::with_capacity(transport + room);
    for (index, bytes) in payload.chunks(room).enumerate() {
        piece.clear();
        piece.extend_from_slice(head);
        piece.extend_from_slice(bytes);
        let last = index * room + bytes.len() == payload.len();
        let more = if last { flags & 0x2000 } else { 0x2000 };
        let units = u16::try_from(index * room / 8).unwrap_or_default();
        put16(&mut piece, ETHERNET_LEN + 6, more | (offset + units));
        set_total_length(&mut piece, transport);
        emit(&piece);
    }
}
