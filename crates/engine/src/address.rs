//! An address of either family as one number.
//!
//! IPv4 addresses stand where IPv6 maps them (`::ffff:0:0/96`, RFC 4291): one kind of key, one
//! kind of range, and still no rule for one family ever matches the other (PIPE-11), for a packet
//! of IPv6 with a mapped address is malformed, and blocks of IPv6 are taken without that range.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An IP address. Two halves instead of one number, which would align whatever holds it to sixteen
/// bytes: there are a million flows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Address {
    high: u64,
    low: u64,
}

impl Hash for Address {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.number());
    }
}

/// Which protocol an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The first and the last of the numbers that stand for IPv4.
const V4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);
/// What the lower half of those begins with.
const V4_LOW: u64 = 0xffff_0000_0000;

impl Address {
    /// An address of IPv4.
    #[inline]
    pub(crate) const fn v4(bits: u32) -> Self {
        Self { high: 0, low: V4_LOW | bits as u64 }
    }

    /// An address of IPv6.
    #[inline]
    pub(crate) const fn v6(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// The number that stands for it.
    #[inline]
    pub(crate) const fn number(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// Its family.
    #[inline]
    pub(crate) const fn family(self) -> Family {
        if self.high == 0 && self.low >> 32 == V4_LOW >> 32 { Family::V4 } else { Family::V6 }
    }

    /// Its bits, if it is one of IPv4.
    #[inline]
    pub(crate) fn as_v4(self) -> Option<u32> {
        let bits = u32::try_from(self.low ^ V4_LOW).ok()?;
        (self.high == 0).then_some(bits)
    }

    /// For people and for what needs one family.
    pub(crate) fn ip(self) -> IpAddr {
        match self.as_v4() {
            Some(bits) => Ipv4Addr::from(bits).into(),
            None => Ipv6Addr::from(self.number()).into(),
        }
    }

    /// Whether it is for one host of the link alone (RFC 3927, RFC 4291).
    pub(crate) fn is_link_local(self) -> bool {
        match self.ip() {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
    }

    /// Whether it is for a group of hosts.
    pub(crate) fn is_multicast(self) -> bool {
        self.ip().is_multicast()
    }

    /// Whether it is nobody's.
    pub(crate) fn is_unspecified(self) -> bool {
        self.ip().is_unspecified()
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::v4(address.into())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::v6(address.into())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

/// Numbers of addresses, both ends included.
pub(crate) type AddressRange = (u128, u128);

/// The addresses of a block of IPv4.
pub(crate) fn ipv4_range(block: Ipv4Net) -> AddressRange {
    (Address::from(block.network()).number(), Address::from(block.broadcast()).number())
}

/// The addresses of a block of IPv6: two ranges where the numbers that stand for IPv4 are within.
pub(crate) fn ipv6_ranges(block: Ipv6Net) -> impl Iterator<Item = AddressRange> {
    let first = u128::from(block.network());
    let last = first | u128::MAX.checked_shr(block.prefix_len().into()).unwrap_or(0);
    let below = (first, last.min(V4.0 - 1));
    let above = (first.max(V4.1 + 1), last);
    [below, above].into_iter().filter(|(first, last)| first <= last)
}

/// The addresses of a block.
pub(crate) fn ranges(block: IpNet) -> impl Iterator<Item = AddressRange> {
    let (one, more) = match block {
        IpNet::V4(block) => (Some(ipv4_range(block)), None),
        IpNet::V6(block) => (None, Some(ipv6_ranges(block))),
    };
    one.into_iter().chain(more.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        for text in ["0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "2001:db8::1", "ff02::1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).ip(), ip);
            assert_eq!(Address::from(ip).family() == Family::V4, ip.is_ipv4());
        }
    }

    #[test]
    fn blocks_of_ipv6_leave_out_what_stands_for_ipv4() {
        let of = |text: &str| ranges(text.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(of("::/0"), [(0, V4.0 - 1), (V4.1 + 1, u128::MAX)], "PIPE-11");
        assert_eq!(of("0.0.0.0/0"), [V4]);
        assert_eq!(of("::ffff:10.0.0.0/104"), []);
        assert_eq!(of("2001:db8::/32").len(), 1);
        assert_eq!(of("2001:db8::1/128").len(), 1);
    }
}
