//! A TCP reset in answer to a segment (RFC 9293, 3.10.7.1), as a NAT gateway sends it (NAT-12).

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, ETHERTYPE_IPV4, be32,
    checksum::{fill_ipv4, fold, pseudo_header, sum},
    icmp::fill_ipv6,
    ip::{Headers, IPV6_HEADER_LEN, tcp},
    put, put16, put32, set_macs, source_mac,
};

/// How many routers a reset may pass.
const HOP_LIMIT: u8 = 64;
/// Bytes of TCP's header without options.
const TCP_LEN: usize = 20;

/// The reset that answers a segment, from `router` to whoever sent the frame. A reset is not
/// answered.
pub(crate) fn reset(frame: &[u8], headers: &Headers, router: [u8; 6]) -> Option<Vec<u8>> {
    if headers.tcp_flags & tcp::RST != 0 {
        return None;
    }
    let tuple = headers.tuple.reversed();
    let sequence = be32(frame, headers.transport + 4)?;
    let acknowledged = be32(frame, headers.transport + 8)?;
    let payload = headers.end.checked_sub(headers.transport + headers.transport_len)?;
    // A FIN and a SYN count as a byte each.
    let counted =
        [tcp::FIN, tcp::SYN].iter().filter(|flag| headers.tcp_flags & **flag != 0).count();
    let next = sequence.wrapping_add(u32::try_from(payload + counted).ok()?);
    let addresses = tuple.source.as_v4().zip(tuple.destination.as_v4());
    let at = ETHERNET_LEN + if addresses.is_some() { 20 } else { IPV6_HEADER_LEN };
    let end = at + TCP_LEN;
    let mut answer = vec![0; end];
    set_macs(&mut answer, source_mac(frame)?, router);
    match addresses {
        Some((source, destination)) => {
            put16(&mut answer, 12, ETHERTYPE_IPV4);
            let head = [0x45, 0, 0, 40, 0, 0, 0x40, 0, HOP_LIMIT, IpProtocol::TCP.0];
            put(&mut answer, ETHERNET_LEN, &head);
            put32(&mut answer, ETHERNET_LEN + 12, source);
            put32(&mut answer, ETHERNET_LEN + 16, destination);
            fill_ipv4(&mut answer, ETHERNET_LEN, 20);
        }
        None => {
            let ends = (tuple.source, tuple.destination);
            fill_ipv6(&mut answer, ETHERNET_LEN, end, IpProtocol::TCP.0, ends);
            put(&mut answer, ETHERNET_LEN + 7, &[HOP_LIMIT]);
        }
    }
    put16(&mut answer, at, tuple.source_port);
    put16(&mut answer, at + 2, tuple.destination_port);
    if headers.tcp_flags & tcp::ACK != 0 {
        put32(&mut answer, at + 4, acknowledged);
        put(&mut answer, at + 12, &[0x50, tcp::RST]);
    } else {
        put32(&mut answer, at + 8, next);
        put(&mut answer, at + 12, &[0x50, tcp::RST | tcp::ACK]);
    }
    let pseudo = pseudo_header(tuple.source, tuple.destination, IpProtocol::TCP.0, TCP_LEN);
    let checksum = !fold(pseudo + answer.get(at..).map_or(0, sum));
    put16(&mut answer, at + 16, checksum);
    Some(answer)
}
