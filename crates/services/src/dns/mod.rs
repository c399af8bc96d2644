//! DNS: the resolver of a VPC ([`VpcResolver`], DNS-1 to DNS-17) and the resolvers of the
//! simulated internet ([`InternetResolver`]), both over UDP and TCP.
//!
//! A resolver is a pure function from peer and question to an answer; the loops that carry
//! messages are in `serve`, the wire format in `message`.

mod internet;
mod message;
mod serve;
mod vpc;

pub use internet::InternetResolver;
pub use serve::{serve_tcp, serve_udp};
pub use vpc::VpcResolver;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a name is, and the zone that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is found at the name.
    pub found: Found,
    /// The zone in whose name a negative answer is given, without the last dot.
    pub zone: String,
}

/// What is found at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Address records.
    Addresses(Vec<IpAddr>),
    /// A pointer to a name, for reverse look-ups.
    Pointer(String),
    /// The name exists and has no record that we know of.
    Nothing,
    /// There is no such name.
    Missing,
}

impl Found {
    /// One address record.
    fn address(address: impl Into<IpAddr>) -> Self {
        Self::Addresses(vec![address.into()])
    }
}

impl Finding {
    fn new(found: Found, zone: impl Into<String>) -> Self {
        Self { found, zone: zone.into() }
    }
}

/// Finds names for callers.
pub trait Resolver: Send + Sync + 'static {
    /// Whether this peer gets any answer now; where not, its message is dropped. Called once a
    /// message, before it is looked at.
    fn admits(&self, peer: SocketAddr) -> bool;

    /// Whether questions that don't ask for recursion are refused (DNS-14).
    fn recursion_only(&self) -> bool;

    /// What a name is. The name is lower case and has no last dot. `None` drops the question.
    fn find(&self, peer: SocketAddr, name: &str) -> Option<Finding>;
}

/// The address that a reverse name asks about: `5.1.1.10.in-addr.arpa` is 10.1.1.5.
fn reverse_of(name: &str) -> Option<Ipv4Addr> {
    let digits = name.strip_suffix(".in-addr.arpa")?;
    let mut octets = [0_u8; 4];
    let mut parts = digits.split('.');
    for octet in octets.iter_mut().rev() {
        *octet = canonical_octet(parts.next()?)?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// The address that a reverse name of IPv6 asks about (RFC 3596): 32 digits, the last first.
fn ipv6_reverse_of(name: &str) -> Option<Ipv6Addr> {
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for digit in digits.rsplit('.') {
        let [digit] = digit.as_bytes() else { return None };
        let value = char::from(*digit).to_digit(16)?;
        bits = bits << 4 | u128::from(value);
        count += 1;
    }
    (count == 32).then(|| bits.into())
}

/// The reverse zone of an IPv6 address: that of the /56 that its VPC has.
fn ipv6_reverse_zone(address: Ipv6Addr) -> String {
    let bits = u128::from(address);
    let digits: Vec<_> = (18..32).map(|place| format!("{:x}", bits >> (4 * place) & 0xf)).collect();
    format!("{}.ip6.arpa", digits.join("."))
}

/// The address in the first label of a private or public host name: `10-1-1-5` is 10.1.1.5.
fn dashed(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('-');
    for octet in &mut octets {
        *octet = canonical_octet(parts.next()?)?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// An octet as AWS writes it: `05` and `+5` are other names than `5`.
fn canonical_octet(text: &str) -> Option<u8> {
    let octet: u8 = text.parse().ok()?;
    (octet.to_string() == text).then_some(octet)
}

/// An address as host names write it.
pub(crate) fn dash(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{a}-{b}-{c}-{d}")
}

/// The reverse zone of an address: its /16 for private ranges as the resolver defines it, which
/// is fine for public ones too.
fn reverse_zone(address: Ipv4Addr) -> String {
    let [a, b, ..] = address.octets();
    format!("{b}.{a}.in-addr.arpa")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_of_ipv6_have_thirty_two_digits() {
        let name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.1.0.f.e.d.c.8.b.d.0.1.0.0.2.ip6.arpa";
        let address: Ipv6Addr = "2001:db8:cdef:102::1".parse().expect("an address");
        assert_eq!(ipv6_reverse_of(name), Some(address));
        assert_eq!(ipv6_reverse_zone(address), "1.0.f.e.d.c.8.b.d.0.1.0.0.2.ip6.arpa");
        for other in ["1.ip6.arpa", &name[2..], &format!("0.{name}"), &name.replace(".0.", ".g.")] {
            assert_eq!(ipv6_reverse_of(other), None, "{other}");
        }
    }

    #[test]
    fn names_give_addresses_only_in_their_one_spelling() {
        let address = Some(Ipv4Addr::new(10, 1, 1, 5));
        assert_eq!(dashed("10-1-1-5"), address);
        assert_eq!(reverse_of("5.1.1.10.in-addr.arpa"), address);
        for text in ["10-1-1", "10-1-1-5-6", "10-1-1-05", "10-1-1-256", "10-1-1-+5", "10-1-1-"] {
            assert_eq!(dashed(text), None, "{text}");
        }
        for text in ["1.1.10.in-addr.arpa", "6.5.1.1.10.in-addr.arpa", "5.1.1.10.ip6.arpa"] {
            assert_eq!(reverse_of(text), None, "{text}");
        }
    }
}
