//! A TCP reset in answer to a segment (RFC 9293, 3.10.7.1), as a NAT gateway sends it (NAT-12).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, ETHERTYPE_IPV4, be32,
    checksum::{fill_ipv4, fold, pseudo_header, sum},
    ip::{Headers, tcp},
    put, put16, put32, set_macs, source_mac,
};

/// The reset that answers a segment of IPv4, from `router` to whoever sent the frame. A reset is not
/// answered.
pub(crate) fn reset(frame: &[u8], headers: &Headers, router: [u8; 6]) -> Option<[u8; 54]> {
    if headers.tcp_flags & tcp::RST != 0 {
        return None;
    }
    let tuple = headers.tuple.reversed();
    let (source, destination) = (tuple.source.as_v4()?, tuple.destination.as_v4()?);
    let sequence = be32(frame, headers.transport + 4)?;
    let acknowledged = be32(frame, headers.transport + 8)?;
    let payload = headers.end.checked_sub(headers.transport + headers.transport_len)?;
    // A FIN and a SYN count as a byte each.
    let counted =
        [tcp::FIN, tcp::SYN].iter().filter(|flag| headers.tcp_flags & **flag != 0).count();
    let next = sequence.wrapping_add(u32::try_from(payload + counted).ok()?);
    let mut answer = [0; 54];
    set_macs(&mut answer, source_mac(frame)?, router);
    put16(&mut answer, 12, ETHERTYPE_IPV4);
    put(&mut answer, ETHERNET_LEN, &[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, IpProtocol::TCP.0]);
    put32(&mut answer, ETHERNET_LEN + 12, source);
    put32(&mut answer, ETHERNET_LEN + 16, destination);
    fill_ipv4(&mut answer, ETHERNET_LEN, 20);
    let at = ETHERNET_LEN + 20;
    put16(&mut answer, at, tuple.source_port);
    put16(&mut answer, at + 2, tuple.destination_port);
    if headers.tcp_flags & tcp::ACK != 0 {
        put32(&mut answer, at + 4, acknowledged);
        put(&mut answer, at + 12, &[0x50, tcp::RST]);
    } else {
        put32(&mut answer, at + 8, next);
        put(&mut answer, at + 12, &[0x50, tcp::RST | tcp::ACK]);
    }
    let pseudo = pseudo_header(tuple.source, tuple.destination, IpProtocol::TCP.0, 20);
    let checksum = !fold(pseudo + answer.get(at..).map_or(0, sum));
    put16(&mut answer, at + 16, checksum);
    Some(answer)
}
