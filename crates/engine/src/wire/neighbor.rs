//! Neighbour discovery (RFC 4861): solicitations in, advertisements out.

use gureum_types::IpProtocol;
use ipnet::Ipv6Net;

use super::{
    ETHERNET_LEN, be128, byte, bytes,
    icmp::{fill_icmpv6, fill_ipv6},
    icmpv6,
    ip::{Headers, IPV6_HEADER_LEN},
    put, put16, put32, set_macs,
};
use crate::address::Address;

/// The hop limit of everything that no router passed on.
pub(crate) const HOP_LIMIT: u8 = 255;

/// Seconds for which a router of a subnet is one (RFC 4861's default).
const ROUTER_LIFETIME: u16 = 1800;
/// `ff02::1`
pub(crate) const ALL_NODES: Address = Address::v6(0xff02 << 112 | 1);

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;

/// Where a message's body begins.
const BODY: usize = ETHERNET_LEN + IPV6_HEADER_LEN;

/// What somebody asks the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Solicitation {
    /// For a router.
    Router,
    /// For whoever has an address.
    Neighbor(Address),
}

/// A solicitation with what it says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) what: Solicitation,
    pub(crate) sender_mac: Option<[u8; 6]>,
}

/// Reads a solicitation; `None` where it is none that is well-formed.
pub(crate) fn parse(frame: &[u8], headers: &Headers) -> Option<Asked> {
    let message = frame.get(headers.transport..headers.end)?;
    let (what, options) = match byte(message, 0)? {
        icmpv6::ROUTER_SOLICITATION => (Solicitation::Router, 8),
        icmpv6::NEIGHBOR_SOLICITATION => {
            let target = Address::v6(be128(message, 8)?);
            if target.is_multicast() {
                return None;
            }
            (Solicitation::Neighbor(target), 24)
        }
        _ => return None,
    };
    if headers.hop_limit != HOP_LIMIT || byte(message, 1)? != 0 {
        return None;
    }
    let mut rest = message.get(options..)?;
    let mut sender_mac = None;
    while let (Some(kind), Some(units)) = (byte(rest, 0), byte(rest, 1)) {
        let length = usize::from(units) * 8;
        if length == 0 {
            return None;
        }
        if kind == SOURCE_LINK_LAYER {
            sender_mac = bytes(rest, 2);
        }
        rest = rest.get(length..)?;
    }
    Some(Asked { what, sender_mac })
}

/// Who answers, and whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) source_mac: [u8; 6],
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source: Address,
    pub(crate) destination: Address,
}

/// The answer that an address is behind a MAC address.
pub(crate) fn neighbor_advertisement(
    ends: Ends,
    target: Address,
    mac: [u8; 6],
    is_router: bool,
    solicited: bool,
) -> Vec<u8> {
    let mut frame = vec![0; BODY + 32];
    put(&mut frame, BODY, &[icmpv6::NEIGHBOR_ADVERTISEMENT]);
    let flags = u8::from(is_router) << 7 | u8::from(solicited) << 6 | 1 << 5;
    put(&mut frame, BODY + 4, &[flags]);
    put(&mut frame, BODY + 8, &target.number().to_be_bytes());
    put(&mut frame, BODY + 24, &[TARGET_LINK_LAYER, 1]);
    put(&mut frame, BODY + 26, &mac);
    finish(frame, ends)
}

/// What a router says of itself and its link: addresses by DHCPv6 only, so none is made up.
pub(crate) fn router_advertisement(ends: Ends, mac: [u8; 6], prefix: Ipv6Net, mtu: u16) -> Vec<u8> {
    let mut frame = vec![0; BODY + 16];
    // The hop limit to use; managed addresses and other configuration.
    put(&mut frame, BODY, &[icmpv6::ROUTER_ADVERTISEMENT, 0, 0, 0, 255, 0xc0]);
    put16(&mut frame, BODY + 6, ROUTER_LIFETIME);
    let option = |frame: &mut Vec<u8>, kind: u8, value: &[u8]| {
        let at = frame.len();
        let units = (value.len() + 2).div_ceil(8);
        frame.resize(at + units * 8, 0);
        put(frame, at, &[kind, u8::try_from(units).unwrap_or(u8::MAX)]);
        put(frame, at + 2, value);
    };
    option(&mut frame, SOURCE_LINK_LAYER, &mac);
    let mut value = [0; 6];
    put32(&mut value, 2, mtu.into());
    option(&mut frame, MTU, &value);
    // On the link, but not for making up addresses.
    let mut value = [0; 30];
    put(&mut value, 0, &[prefix.prefix_len(), 0x80]);
    put32(&mut value, 2, u32::MAX);
    put32(&mut value, 6, u32::MAX);
    put(&mut value, 14, &prefix.network().octets());
    option(&mut frame, PREFIX, &value);
    finish(frame, ends)
}

fn finish(mut frame: Vec<u8>, ends: Ends) -> Vec<u8> {
    let end = frame.len();
    set_macs(&mut frame, ends.destination_mac, ends.source_mac);
    let addresses = (ends.source, ends.destination);
    fill_ipv6(&mut frame, ETHERNET_LEN, end, IpProtocol::ICMPV6.0, addresses);
    fill_icmpv6(&mut frame, BODY, end, addresses);
    frame
}
