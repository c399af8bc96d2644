//! What the guest of an interface is told by DHCP, DHCPv6 and router advertisements, and what it
//! reads from the metadata service: for guests whose network is configured for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gureum_types::PortIndex;
use ipnet::{Ipv4Net, Ipv6Net};

use super::{Policy, Role, VPC_MTU};
use crate::address::Address;

/// The network of an interface as its guest configures it: the values of the engine's own answers
/// to DHCP (L2-5, DHCP-1 to DHCP-5), DHCPv6 and router solicitations (SUB-5), and beside them the
/// addresses that a guest configures by itself (ENI-9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestNetwork {
    /// Private IPv4 addresses, the one that DHCP leases first.
    pub addresses: Vec<Ipv4Addr>,
    /// The subnet's IPv4 block; none where it has IPv6 only.
    pub block: Option<Ipv4Net>,
    /// The router's IPv4 address (SUB-2).
    pub router: Option<Ipv4Addr>,
    /// IPv6 addresses, the one that DHCPv6 leases first.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// The subnet's IPv6 block, which advertisements say is on the link.
    pub ipv6_block: Option<Ipv6Net>,
    /// The link-local address that advertisements come from (SUB-5); none without IPv6.
    pub ipv6_router: Option<Ipv6Addr>,
    /// Bytes from the IP header on (MTU-1).
    pub mtu: u16,
    /// The domain to look names up in.
    pub domain_name: Option<String>,
    /// The resolvers to ask, those of DHCP first.
    pub resolvers: Vec<IpAddr>,
}

impl Policy {
    /// What the guest behind a port is told; nothing where no instance's interface is behind it.
    pub fn guest_network(&self, port: PortIndex) -> Option<GuestNetwork> {
        let interface = self.interface(port).filter(|it| it.role == Role::Instance)?;
        let subnet = self.subnet(interface)?;
        let dhcp = &self.vpc(subnet)?.dhcp;
        let v4 = |address: Address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let v6 = |address: Address| match address.ip() {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        };
        let addresses: Vec<_> =
            interface.addresses.iter().filter_map(|(private, _)| v4(*private)).collect();
        let ipv6_addresses: Vec<_> =
            interface.ipv6.iter().filter_map(|address| v6(*address)).collect();
        let mut resolvers = Vec::new();
        if !addresses.is_empty() {
            resolvers.extend(dhcp.dns.iter().map(|it| IpAddr::V4((*it).into())));
        }
        if !ipv6_addresses.is_empty() {
            resolvers.extend(dhcp.dns_ipv6.iter().map(|it| IpAddr::V6((*it).into())));
        }
        Some(GuestNetwork {
            block: subnet.block.filter(|_| !addresses.is_empty()),
            router: subnet.router().filter(|_| !addresses.is_empty()).and_then(v4),
            ipv6_block: subnet.ipv6_block,
            ipv6_router: subnet.ipv6_block.and_then(|_| v6(subnet.router_ipv6())),
            addresses,
            ipv6_addresses,
            mtu: VPC_MTU,
            domain_name: dhcp.domain_name.clone(),
            resolvers,
        })
    }
}
