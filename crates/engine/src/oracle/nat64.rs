//! NAT64 (NAT-24): packets of one family in words of the other (RFC 7915).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{About, Kind, Words};

/// 64:ff9b::/96 (RFC 6052), and what it holds.
const PREFIX: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The IPv4 address that an address is or holds.
pub(super) fn held(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => {
            let [.., high, low] = address.segments();
            address
                .segments()
                .starts_with(&PREFIX)
                .then(|| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
    }
}

fn holding(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d, e, f] = PREFIX;
            let bits = u32::from(address);
            let (high, low) = ((bits >> 16) as u16, (bits & 0xffff) as u16);
            Ipv6Addr::new(a, b, c, d, e, f, high, low).into()
        }
        IpAddr::V6(_) => address,
    }
}

/// A packet of IPv6 in IPv4, from an address of the gateway. One of IPv4 stays as it is.
pub(super) fn to_ipv4(packet: &Words, source: IpAddr) -> Option<Words> {
    if packet.source.is_ipv4() {
        return Some(*packet);
    }
    // What an error speaks of came to where it comes from now.
    let about = match packet.about {
        None => None,
        Some(About { source: from, kind, .. }) => Some(About {
            source: held(from)?.into(),
            destination: source,
            kind: kind_in_ipv4(kind)?,
        }),
    };
    let (destination, kind) = (held(packet.destination)?.into(), kind_in_ipv4(packet.kind)?);
    Some(Words { source, destination, kind, about, ..*packet })
}

/// A packet of IPv4 in IPv6, to the user of a gateway.
pub(super) fn to_ipv6(packet: &Words, destination: IpAddr) -> Option<Words> {
    let about = match packet.about {
        None => None,
        Some(About { destination: to, kind, .. }) => {
            Some(About { source: destination, destination: holding(to), kind: kind_in_ipv6(kind)? })
        }
    };
    let (source, kind) = (holding(packet.source), kind_in_ipv6(packet.kind)?);
    Some(Words { source, destination, kind, about, ..*packet })
}

/// RFC 7915, 5.2.
fn kind_in_ipv4(kind: Kind) -> Option<Kind> {
    let Kind::Icmp(icmp_type, code, identifier) = kind else { return Some(kind) };
    let (icmp_type, code) = match (icmp_type, code) {
        (128, _) => (8, code),
        (129, _) => (0, code),
        (1, 0 | 2 | 3) => (3, 1),
        (1, 1) => (3, 10),
        (1, 4) => (3, 3),
        (2, _) => (3, 4),
        (3, _) => (11, code),
        (4, 0) => (12, 0),
        (4, 1) => (3, 2),
        _ => return None,
    };
    Some(Kind::Icmp(icmp_type, code, identifier))
}

/// RFC 7915, 4.2.
fn kind_in_ipv6(kind: Kind) -> Option<Kind> {
    let Kind::Icmp(icmp_type, code, identifier) = kind else { return Some(kind) };
    let (icmp_type, code) = match (icmp_type, code) {
        (8, _) => (128, code),
        (0, _) => (129, code),
        (3, 2) => (4, 1),
        (3, 3) => (1, 4),
        (3, 4) => (2, 0),
        (3, 9 | 10 | 13 | 15) => (1, 1),
        (3, 0..=12) => (1, 0),
        (11, _) => (3, code),
        (12, 0 | 2) => (4, 0),
        _ => return None,
    };
    Some(Kind::Icmp(icmp_type, code, identifier))
}
