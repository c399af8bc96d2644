//! DNS: the resolver of a VPC ([`VpcResolver`], DNS-1 to DNS-17) and the resolvers of the
//! simulated internet ([`InternetResolver`]), both over UDP and TCP.
//!
//! A resolver is a pure function from peer and question to an answer; the loops that carry
//! messages are in `serve`, the wire format in `message`.

mod internet;
mod message;
mod serve;
mod upstream;
mod vpc;

pub use internet::InternetResolver;
pub use serve::{serve_tcp, serve_udp};
pub use upstream::Upstream;
pub use vpc::VpcResolver;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// What a name is, and the zone that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is found at the name.
    pub found: Found,
    /// The zone in whose name a negative answer is given, without the last dot.
    pub zone: String,
    /// Whether the name is none of ours, so that others may know it.
    pub outside: bool,
}

/// What is found at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Address records.
    Addresses(Vec<Ipv4Addr>),
    /// A pointer to a name, for reverse look-ups.
    Pointer(String),
    /// The name exists and has no record that we know of.
    Nothing,
    /// There is no such name.
    Missing,
}

impl Finding {
    fn new(found: Found, zone: impl Into<String>) -> Self {
        Self { found, zone: zone.into(), outside: false }
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

    /// Who is asked for names that are outside, if anybody.
    fn upstream(&self) -> Option<&Arc<Upstream>> {
        None
    }
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
