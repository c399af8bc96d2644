//! ARP for IPv4 over Ethernet (RFC 826).

use super::{ETHERNET_LEN, ETHERTYPE_ARP, be16, be32, bytes, put, put16, put32, set_macs};

/// Bytes of an ARP frame without padding.
pub(crate) const FRAME_LEN: usize = ETHERNET_LEN + 28;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) sender_mac: [u8; 6],
    pub(crate) sender: u32,
    pub(crate) target: u32,
}

/// Reads a request; `None` for anything else.
pub(crate) fn parse_request(frame: &[u8]) -> Option<Request> {
    let fixed = bytes::<8>(frame, ETHERNET_LEN)?;
    (fixed == [0, 1, 8, 0, 6, 4, 0, 1]).then_some(())?;
    Some(Request {
        sender_mac: bytes(frame, ETHERNET_LEN + 8)?,
        sender: be32(frame, ETHERNET_LEN + 14)?,
        target: be32(frame, ETHERNET_LEN + 24)?,
    })
}

/// Whether the frame is an ARP reply, which some guests announce themselves with.
pub(crate) fn is_reply(frame: &[u8]) -> bool {
    be16(frame, ETHERNET_LEN + 6) == Some(2)
}

/// The answer to a request: `mac` has the address that was asked for.
pub(crate) fn reply(request: &Request, mac: [u8; 6]) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    set_macs(&mut frame, request.sender_mac, mac);
    put16(&mut frame, 12, ETHERTYPE_ARP);
    put(&mut frame, ETHERNET_LEN, &[0, 1, 8, 0, 6, 4, 0, 2]);
    put(&mut frame, ETHERNET_LEN + 8, &mac);
    put32(&mut frame, ETHERNET_LEN + 14, request.target);
    put(&mut frame, ETHERNET_LEN + 18, &request.sender_mac);
    put32(&mut frame, ETHERNET_LEN + 24, request.sender);
    frame
}
