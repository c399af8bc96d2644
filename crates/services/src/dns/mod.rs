//! DNS: the resolver of a VPC ([`VpcResolver`], DNS-1 to DNS-17) and the resolvers of the
//! simulated internet ([`InternetResolver`]), both over UDP and TCP.
//!
//! A resolver is a pure function from peer and question to an answer; the loops that carry
//! messages are in `serve`, the wire format in `message`.

mod dns64;
mod internet;
mod message;
mod serve;
mod upstream;
mod vpc;

pub use internet::InternetResolver;
pub use serve::{serve_tcp, serve_udp};
pub use upstream::Upstream;
pub use vpc::{VpcResolver, look_up};

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
    /// Address records, of both families; an answer has those of the family that was asked for.
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

    /// Whether IPv6 addresses are made up for a peer where a name has none (DNS-19). What
    /// [`Resolver::find`] gives has them already.
    fn dns64(&self, _: SocketAddr) -> bool {
        false
    }
}

/// What a name is that is in a table or below a name there; `None` where it is neither. A name that
/// begins with `*.` speaks for all below it. Where there are several addresses each answer begins
/// with another one (VPCE-8).
fn zone_finding(names: &HashMap<String, Vec<Ipv4Addr>>, name: &str) -> Option<Finding> {
    let found = |addresses: &[Ipv4Addr]| {
        let mut addresses: Vec<IpAddr> = addresses.iter().copied().map(IpAddr::from).collect();
        if !addresses.is_empty() {
            let first = TURN.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(first);
        }
        Found::Addresses(addresses)
    };
    if let Some(addresses) = names.get(name) {
        return Some(Finding::new(found(addresses), name));
    }
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        if let Some(addresses) = names.get(&format!("*.{parent}")) {
            return Some(Finding::new(found(addresses), parent));
        }
        if names.contains_key(parent) {
            return Some(Finding::new(Found::Missing, parent));
        }
        rest = parent;
    }
    None
}

/// Which of several addresses is the next to come first.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// The address that a reverse name asks about: `5.1.1.10.in-addr.arpa` is 10.1.1.5, and 32 hex
/// digits before `.ip6.arpa` are an IPv6 address.
fn reverse_of(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".ip6.arpa") {
        return reverse_ipv6(digits).map(IpAddr::V6);
    }
    let digits = name.strip_suffix(".in-addr.arpa")?;
    let mut octets = [0_u8; 4];
    let mut parts = digits.split('.');
    for octet in octets.iter_mut().rev() {
        *octet = canonical_octet(parts.next()?)?;
    }
    parts.next().is_none().then(|| IpAddr::from(octets))
}

fn reverse_ipv6(digits: &str) -> Option<Ipv6Addr> {
    let mut bits = 0_u128;
    let mut parts = digits.split('.');
    for place in 0..32 {
        let [digit @ (b'0'..=b'9' | b'a'..=b'f')] = parts.next()?.as_bytes() else { return None };
        bits |= u128::from(char::from(*digit).to_digit(16)?) << (4 * place);
    }
    parts.next().is_none().then(|| bits.into())
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
/// is fine for public ones too; its /32 over IPv6.
fn reverse_zone(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            format!("{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:08x}", address.to_bits() >> 96);
            let digits: Vec<_> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", digits.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_addresses_only_in_their_one_spelling() {
        let address = Some(Ipv4Addr::new(10, 1, 1, 5));
        assert_eq!(dashed("10-1-1-5"), address);
        assert_eq!(reverse_of("5.1.1.10.in-addr.arpa"), address.map(IpAddr::V4));
        for text in ["10-1-1", "10-1-1-5-6", "10-1-1-05", "10-1-1-256", "10-1-1-+5", "10-1-1-"] {
            assert_eq!(dashed(text), None, "{text}");
        }
        for text in ["1.1.10.in-addr.arpa", "6.5.1.1.10.in-addr.arpa", "5.1.1.10.ip6.arpa"] {
            assert_eq!(reverse_of(text), None, "{text}");
        }
        let digits = "5.0.0.0.".to_owned() + &"0.".repeat(20) + "8.b.d.0.1.0.0.2";
        let address = IpAddr::V6("2001:db8::5".parse().expect("an address"));
        assert_eq!(reverse_of(&format!("{digits}.ip6.arpa")), Some(address));
        assert_eq!(reverse_zone(address), "8.b.d.0.1.0.0.2.ip6.arpa");
        for text in [format!("0.{digits}"), digits.replacen('5', "g", 1), "1.2".to_owned()] {
            assert_eq!(reverse_of(&format!("{text}.ip6.arpa")), None, "{text}");
        }
    }
}
