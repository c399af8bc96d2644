//! Words about packets that both records and the engine use.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ADDRESSES_PER_BLOCK;

/// The number of a port of the fabric: an interface, the internet, the services.
///
/// It is given to a network interface when that is created and stays with it, across restarts of
/// the daemon too: state of the engine, the name of the link and the address by which services
/// know the interface all hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortIndex(pub u32);

impl PortIndex {
    /// The port behind which the simulated internet lives.
    pub const INTERNET: Self = Self(0);
    /// The port behind which the services of a VPC live.
    pub const SERVICES: Self = Self(1);
    /// The first port that an interface may have.
    pub const FIRST_INTERFACE: Self = Self(2);
    /// One more than the last port that an interface may have (17 bits, see [`caller_address`]).
    pub const END: Self = Self(1 << 17);
}

impl fmt::Display for PortIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where IPv6 blocks of VPCs come from: half of what is set aside for documentation (RFC 3849), so
/// that no packet of theirs is ever anybody else's.
pub const IPV6_POOL: ipnet::Ipv6Net =
    ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 33);

/// IPv4 addresses as IPv6 ones: the well-known prefix, before the address itself (RFC 6052). NAT
/// gateways translate what goes there (NAT-24).
pub const NAT64_PREFIX: ipnet::Ipv6Net =
    ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// An IPv4 address behind the [`NAT64_PREFIX`].
pub fn nat64_address(address: std::net::Ipv4Addr) -> std::net::Ipv6Addr {
    (u128::from(NAT64_PREFIX.network()) | u128::from(u32::from(address))).into()
}

/// The IPv4 address that a [`nat64_address`] holds; `None` of any other.
pub fn nat64_address_of(address: std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    NAT64_PREFIX.contains(&address).then(|| [a, b, c, d].into())
}

/// How many private addresses of one interface services can tell apart.
pub const ADDRESSES_PER_PORT: u32 = 64;

/// The source address under which services see a caller: 10.0.0.0/9 plus the index of the
/// interface and the index of its private address. VPCs may overlap; these addresses don't.
/// `None` where either index is out of range.
pub fn caller_address(port: PortIndex, address_index: u32) -> Option<std::net::Ipv4Addr> {
    (port < PortIndex::END && address_index < ADDRESSES_PER_PORT)
        .then(|| (0x0a00_0000 | (port.0 << 6) | address_index).into())
}

/// The interface and the index of its private address behind a [`caller_address`].
pub fn caller_of(address: std::net::Ipv4Addr) -> Option<(PortIndex, u32)> {
    let bits = u32::from(address);
    (bits & 0xff80_0000 == 0x0a00_0000)
        .then_some((PortIndex((bits & 0x007f_ffff) >> 6), bits & (ADDRESSES_PER_PORT - 1)))
}

/// What endpoints of VPCs look like in the services namespace: 10.192.0.0/10 plus the port of the
/// interface endpoint's interface, or of the gateway endpoint, and the place of the address that
/// was called in the service's block (0 for interfaces). `None` where either is out of range.
pub fn callee_address(port: PortIndex, place: u32) -> Option<std::net::Ipv4Addr> {
    (port < PortIndex::END && place < ADDRESSES_PER_BLOCK)
        .then(|| (CALLEES | (port.0 << 5) | place).into())
}

/// The port and the place behind a [`callee_address`].
pub fn callee_of(address: std::net::Ipv4Addr) -> Option<(PortIndex, u32)> {
    let bits = u32::from(address);
    (bits & 0xffc0_0000 == CALLEES)
        .then_some((PortIndex((bits & 0x003f_ffff) >> 5), bits & (ADDRESSES_PER_BLOCK - 1)))
}

/// Where endpoints are, apart from the doors of [`ServiceDoor`].
const CALLEES: u32 = 0x0ac0_0000;

/// Where callers over IPv6 are: the last 32 bits are the port's and the address's index.
const IPV6_CALLERS: u128 = 0xfd67_7572_6575_6d00_0000_000a_0000_0000;
/// Where services over IPv6 are; the last 32 bits are the number of the door.
const IPV6_DOORS: u128 = 0xfd67_7572_6575_6d00_0000_000b_0000_0000;

/// The source address under which services see a caller over IPv6, as [`caller_address`]; the
/// index is that of its IPv6 address.
pub fn ipv6_caller_address(port: PortIndex, address_index: u32) -> Option<std::net::Ipv6Addr> {
    (port < PortIndex::END && address_index < ADDRESSES_PER_PORT)
        .then(|| (IPV6_CALLERS | u128::from(port.0 << 6 | address_index)).into())
}

/// The interface and the index of its IPv6 address behind an [`ipv6_caller_address`].
pub fn ipv6_caller_of(address: std::net::Ipv6Addr) -> Option<(PortIndex, u32)> {
    let index = u32::try_from(u128::from(address) ^ IPV6_CALLERS).ok()?;
    (index < PortIndex::END.0 << 6)
        .then_some((PortIndex(index >> 6), index & (ADDRESSES_PER_PORT - 1)))
}

/// What a caller of a service asked for: the services namespace has one address each in
/// 10.128.0.0/9, so one server can tell which door a caller came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceDoor {
    /// 169.254.169.254, the instance metadata service.
    Metadata,
    /// 169.254.169.253, the resolver's link-local address.
    ResolverLinkLocal,
    /// The base of the VPC's primary block plus two (DNS-1).
    ResolverVpc,
    /// 169.254.169.123, Amazon Time Sync.
    Time,
}

impl ServiceDoor {
    /// All doors.
    pub const ALL: [Self; 4] =
        [Self::Metadata, Self::ResolverLinkLocal, Self::ResolverVpc, Self::Time];

    /// The door's address in the services namespace.
    pub const fn address(self) -> std::net::Ipv4Addr {
        let last = match self {
            Self::Metadata => 1,
            Self::ResolverLinkLocal => 2,
            Self::ResolverVpc => 3,
            Self::Time => 4,
        };
        std::net::Ipv4Addr::new(10, 128, 0, last)
    }

    /// The door's IPv6 address in the services namespace, where it is open to IPv6.
    pub const fn ipv6_address(self) -> Option<std::net::Ipv6Addr> {
        let last = match self {
            Self::Metadata => 1,
            Self::ResolverLinkLocal => 2,
            Self::ResolverVpc => return None,
            Self::Time => 4,
        };
        Some(std::net::Ipv6Addr::from_bits(IPV6_DOORS | last))
    }

    /// The IPv6 address by which every VPC knows the door (IMDS-1, DNS-1, DHCP-6).
    pub const fn ipv6_known_address(self) -> Option<std::net::Ipv6Addr> {
        let last = match self {
            Self::Metadata => 0x254,
            Self::ResolverLinkLocal => 0x253,
            Self::ResolverVpc => return None,
            Self::Time => 0x123,
        };
        Some(std::net::Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, last))
    }
}

/// An IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
}

/// Names as security group rules show them (SG-12); other protocols show their number.
impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self::ICMP => f.write_str("icmp"),
            Self::ICMPV6 => f.write_str("icmpv6"),
            Self(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_found_again_behind_the_prefix() {
        let host = std::net::Ipv4Addr::new(198, 18, 200, 7);
        let behind = nat64_address(host);
        assert_eq!(behind.to_string(), "64:ff9b::c612:c807", "RFC 6052, 2.2");
        assert_eq!(nat64_address_of(behind), Some(host));
        for other in ["64:ff9b::1:c612:c807", "64:ff9c::c612:c807", "::ffff:198.18.200.7"] {
            assert_eq!(nat64_address_of(other.parse().expect("an address")), None, "{other}");
        }
    }

    #[test]
    fn a_caller_is_found_again_from_its_address() {
        for (port, index) in [(2, 0), (3, 63), ((1 << 17) - 1, 63)] {
            let address = caller_address(PortIndex(port), index).expect("in range");
            assert!(address.octets()[0] == 10 && address.octets()[1] < 128);
            assert_eq!(caller_of(address), Some((PortIndex(port), index)));
        }
        assert_eq!(caller_address(PortIndex::END, 0), None);
        assert_eq!(caller_of(ServiceDoor::Metadata.address()), None);
    }

    #[test]
    fn an_endpoint_is_found_again_from_its_address() {
        for (port, place) in [(2, 0), (3, 31), ((1 << 17) - 1, 31)] {
            let address = callee_address(PortIndex(port), place).expect("in range");
            assert!(address.octets()[0] == 10 && address.octets()[1] >= 192);
            assert_eq!(callee_of(address), Some((PortIndex(port), place)));
            assert_eq!(caller_of(address), None);
        }
        assert_eq!(callee_address(PortIndex(2), 32), None);
        for door in ServiceDoor::ALL {
            assert_eq!(callee_of(door.address()), None);
        }
    }
}
