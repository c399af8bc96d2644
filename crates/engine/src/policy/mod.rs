//! The policy: an immutable compiled snapshot of the records, with small integer keys.

pub(crate) mod acl;
pub(crate) mod classifier;
mod compile;
pub(crate) mod components;
mod guest;
#[cfg(any(test, feature = "testing"))]
mod listing;
mod logged;
pub(crate) mod range_map;
pub(crate) mod routes;
pub(crate) mod rule_set;
pub(crate) mod slots;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use gureum_types::{
    GatewayService, NetworkAclId, NetworkInterfaceId, PortIndex, PrefixListId, RouteTableId,
    SecurityGroupId, SecurityGroupRuleId, SubnetId,
    record::{self, RouteTarget, router_address},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

pub(crate) use self::logged::Logged;
use self::{
    acl::Acl,
    compile::{ByNumber, Maps},
    components::Components,
    range_map::RangeMap,
    routes::Route,
    rule_set::{GroupIndex, RuleSet},
    slots::{Slot, Slots},
};
pub use self::{
    compile::{Compiler, compile},
    guest::GuestNetwork,
};
use crate::{
    address::{Address, Family},
    state::flow::Timeouts,
};

/// What the engine must know of the fabric besides the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FabricConfig {
    /// The MAC address of the simulated internet behind [`PortIndex::INTERNET`].
    pub internet_mac: [u8; 6],
    /// The MAC address of the services namespace behind [`PortIndex::SERVICES`].
    pub services_mac: [u8; 6],
    /// Where public addresses of VPCs come from: nobody of the internet has one of these.
    pub public_pool: Ipv4Net,
    /// Where IPv6 blocks of VPCs come from, likewise.
    pub ipv6_pool: Ipv6Net,
}

/// What a VPC carries, in bytes from the IP header on (MTU-1).
pub(crate) const VPC_MTU: u16 = 9001;

/// The MAC address of the engine's router towards the internet and the services. Locally
/// administered; links of their own, so it may be the same on both.
pub const FABRIC_ROUTER_MAC: [u8; 6] = [0x02, 0x67, 0x75, 0x00, 0x00, 0x01];

/// The index of a rule, an entry or a route in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ComponentIndex(pub u32);

/// Something that decides about packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Component {
    /// A rule of a security group.
    SecurityGroupRule {
        /// The group.
        group: SecurityGroupId,
        /// The rule.
        rule: SecurityGroupRuleId,
    },
    /// An entry of a network ACL.
    NetworkAclEntry {
        /// The list.
        acl: NetworkAclId,
        /// Its number; 32767 and 32768 are the closing `*` of IPv4 and IPv6 (NACL-3).
        number: u16,
        /// Egress entry or ingress entry.
        egress: bool,
    },
    /// A route.
    Route {
        /// The table.
        table: RouteTableId,
        /// Where to.
        destination: IpNet,
        /// The prefix list that the destination is an entry of.
        prefix_list: Option<PrefixListId>,
        /// By which way.
        target: RouteTarget,
    },
}

/// What is behind a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A network interface.
    Interface {
        /// Its id.
        id: NetworkInterfaceId,
        /// Its first address.
        address: IpAddr,
    },
    /// The simulated internet.
    Internet,
    /// The services of the VPCs.
    Services,
}

/// A port of the fabric as the policy knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// Its index.
    pub port: PortIndex,
    /// The MAC address of what is behind it.
    pub mac: [u8; 6],
    /// What is behind it.
    pub kind: PortKind,
}

/// An interface in use.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// What it was made from.
    pub(crate) record: Arc<record::NetworkInterface>,
    pub(crate) info: PortInfo,
    pub(crate) port: PortIndex,
    pub(crate) mac: [u8; 6],
    /// Place in [`Policy::subnets`].
    pub(crate) subnet: usize,
    /// What it is the interface of.
    pub(crate) role: Role,
    /// Private IPv4 addresses with the public one that each has, the primary one first.
    pub(crate) addresses: Vec<(Address, Option<Address>)>,
    /// IPv6 addresses.
    pub(crate) ipv6: Vec<Address>,
    pub(crate) source_dest_check: bool,
    /// Place in [`Policy::rules`].
    pub(crate) rules: usize,
}

/// What security groups say to all interfaces that have the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The groups, sorted.
    pub(crate) groups: Arc<[GroupIndex]>,
    pub(crate) egress: RuleSet,
    pub(crate) ingress: RuleSet,
}

/// What an interface belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A guest, with security groups.
    Instance,
    /// A NAT gateway, which has none (NAT-14).
    NatGateway,
    /// An interface endpoint, with security groups and a service behind it (VPCE-2).
    Endpoint,
}

impl Interface {
    pub(crate) fn has(&self, address: Address) -> bool {
        self.addresses.iter().any(|(private, _)| *private == address)
            || self.ipv6.contains(&address)
    }

    pub(crate) fn public_of(&self, private: Address) -> Option<Address> {
        self.addresses.iter().find(|(own, _)| *own == private)?.1
    }

    /// Whether it has a public address of a family; in IPv6 all of its addresses are (IGW-4).
    pub(crate) fn is_public(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.addresses.iter().any(|(_, public)| public.is_some()),
            Family::V6 => !self.ipv6.is_empty(),
        }
    }

    /// Its first address: IPv4 where it has any.
    pub(crate) fn primary(&self) -> Option<Address> {
        let first = self.addresses.first().map(|(private, _)| *private);
        first.or_else(|| self.ipv6.first().copied())
    }

    /// Its first address of a family.
    pub(crate) fn primary_of(&self, family: Family) -> Option<Address> {
        match family {
            Family::V4 => self.addresses.first().map(|(private, _)| *private),
            Family::V6 => self.ipv6.first().copied(),
        }
    }
}

/// A subnet.
#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    pub(crate) id: SubnetId,
    pub(crate) block: Option<Ipv4Net>,
    pub(crate) ipv6_block: Option<Ipv6Net>,
    /// Place in [`Policy::vpcs`].
    pub(crate) vpc: usize,
    pub(crate) router_mac: [u8; 6],
    /// Place in [`Policy::acls`].
    pub(crate) acl: Option<usize>,
    /// Place in [`Policy::tables`].
    pub(crate) table: Option<usize>,
    /// What passes internet gateways to and from it (IGW-15).
    pub(crate) public_access: PublicAccess,
}

/// What passes internet gateways to and from a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublicAccess {
    /// Everything.
    Open,
    /// NAT gateways and egress-only internet gateways.
    EgressOnly,
    /// Nothing.
    Blocked,
}

impl Subnet {
    pub(crate) fn contains(&self, address: Address) -> bool {
        match address.ip() {
            IpAddr::V4(address) => self.block.is_some_and(|block| block.contains(&address)),
            IpAddr::V6(address) => self.ipv6_block.is_some_and(|block| block.contains(&address)),
        }
    }

    /// The router's IPv4 address (SUB-2).
    pub(crate) fn router(&self) -> Option<Address> {
        self.block.map(|block| router_address(block).into())
    }

    /// The router's link-local IPv6 address (SUB-5).
    pub(crate) fn router_ipv6(&self) -> Address {
        link_local(self.router_mac)
    }

    /// Whether an address is the router's own.
    pub(crate) fn is_router(&self, address: Address) -> bool {
        Some(address) == self.router()
            || address == self.router_ipv6()
            || address == ROUTER_LINK_LOCAL
    }
}

/// `fe80:ec2::1`, by which every subnet's router answers too (SUB-5).
pub(crate) const ROUTER_LINK_LOCAL: Address =
    Address::v6(0xfe80_0ec2_0000_0000_0000_0000_0000_0001);

/// The link-local address that is made of a MAC address (RFC 4291, appendix A).
pub(crate) fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Address {
    let interface = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Address::v6(0xfe80 << 112 | u128::from(interface))
}

/// A VPC.
#[derive(Clone, Debug)]
pub(crate) struct Vpc {
    /// The base of the primary block plus two (DNS-1).
    pub(crate) resolver: Address,
    pub(crate) resolver_enabled: bool,
    pub(crate) has_internet_gateway: bool,
    pub(crate) has_egress_only_gateway: bool,
    /// VPCs whose groups its rules may refer to: active peering in the same region (SG-31).
    pub(crate) peers: Vec<usize>,
    pub(crate) dhcp: DhcpConfig,
}

/// An active peering connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peering {
    /// Places in [`Policy::vpcs`].
    pub(crate) vpcs: [usize; 2],
    pub(crate) same_region: bool,
}

impl Peering {
    /// The other side, as seen from a VPC.
    pub(crate) fn other(&self, vpc: usize) -> usize {
        let [one, two] = self.vpcs;
        if one == vpc { two } else { one }
    }
}

/// A gateway endpoint (VPCE-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GatewayEndpoint {
    /// Place in [`Policy::vpcs`].
    pub(crate) vpc: usize,
    pub(crate) service: &'static GatewayService,
}

/// What DHCP tells besides the address (DHCP-1 to DHCP-5).
#[derive(Clone, Debug, Default)]
pub(crate) struct DhcpConfig {
    pub(crate) domain_name: Option<String>,
    pub(crate) dns: Vec<u32>,
    pub(crate) ntp: Vec<u32>,
    pub(crate) netbios: Vec<u32>,
    pub(crate) netbios_node_type: Option<u8>,
    /// What DHCPv6 tells of the same.
    pub(crate) dns_ipv6: Vec<u128>,
    pub(crate) ntp_ipv6: Vec<u128>,
}

/// The compiled records at one epoch. Build it with [`compile()`] or, one after another, with a
/// [`Compiler`]; share it with an `Arc`. Its parts are shared with the policies before and after
/// it in which they are the same.
#[derive(Clone, Debug)]
pub struct Policy {
    epoch: u64,
    fabric: FabricConfig,
    fabric_ports: [PortInfo; 2],
    components: Arc<Components>,
    slots: Slots,
    maps: Arc<Maps>,
    /// Timeouts of ports whose are not the default ones.
    timeouts: Arc<ByNumber<u32, Timeouts>>,
    /// Ports of instances' interfaces that have IPv6.
    ipv6_ports: Arc<BTreeSet<u32>>,
    logged: Arc<Logged>,
    rules: Arc<Vec<Option<Arc<Rules>>>>,
    subnets: Arc<Vec<Option<Subnet>>>,
    vpcs: Arc<Vec<Option<Vpc>>>,
    peerings: Arc<Vec<Peering>>,
    /// By their numbers.
    gateway_endpoints: Arc<ByNumber<u32, GatewayEndpoint>>,
    acls: Arc<Vec<Arc<Acl>>>,
    tables: Arc<Vec<Arc<RangeMap<u128, Route>>>>,
    /// The tables of internet gateways, by the place of the VPC.
    edge_tables: Arc<ByNumber<usize, usize>>,
}

impl Policy {
    /// The epoch it was compiled for. Two policies with different content have different ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// All ports, the internet and the services included.
    pub fn ports(&self) -> impl Iterator<Item = &PortInfo> {
        self.fabric_ports.iter().chain(self.slots.iter().filter_map(Slot::info))
    }

    /// A rule, entry or route by the index that a verdict or a trace gave.
    pub fn component(&self, index: ComponentIndex) -> Option<&Component> {
        self.components.get(index)
    }

    /// The name of what is behind a port: the interface's id, `internet` or `services`.
    pub fn port_name(&self, port: PortIndex) -> String {
        match port {
            PortIndex::INTERNET => return "internet".to_owned(),
            PortIndex::SERVICES => return "services".to_owned(),
            _ => {}
        }
        self.interface_id(port).map_or_else(|| format!("port {port}"), ToString::to_string)
    }

    /// The id of the interface behind a port, if it is one's.
    pub fn interface_id(&self, port: PortIndex) -> Option<&NetworkInterfaceId> {
        match &self.slots.get(port).info()?.kind {
            PortKind::Interface { id, .. } => Some(id),
            PortKind::Internet | PortKind::Services => None,
        }
    }

    pub(crate) fn fabric(&self) -> &FabricConfig {
        &self.fabric
    }

    pub(crate) fn slot(&self, port: PortIndex) -> &Slot {
        self.slots.get(port)
    }

    /// One more than the highest port index in use.
    pub(crate) fn port_bound(&self) -> usize {
        self.slots.bound()
    }

    pub(crate) fn interface(&self, port: PortIndex) -> Option<&Interface> {
        match self.slots.get(port) {
            Slot::Interface(interface) => Some(interface),
            Slot::Unused | Slot::Broken(_) => None,
        }
    }

    /// Ports of instances' interfaces that have IPv6.
    pub(crate) fn ipv6_ports(&self) -> &Arc<BTreeSet<u32>> {
        &self.ipv6_ports
    }

    /// Another number for another set of flow logs: whoever counts for them begins a new window then.
    pub fn flow_logs(&self) -> u64 {
        self.logged.logs()
    }

    /// Interfaces with a flow log.
    pub(crate) fn logged(&self) -> &Arc<Logged> {
        &self.logged
    }

    /// Timeouts of ports whose are not the default ones.
    pub(crate) fn timeouts(&self) -> &Arc<ByNumber<u32, Timeouts>> {
        &self.timeouts
    }

    /// What the security groups of an interface say.
    pub(crate) fn rules(&self, interface: &Interface) -> Option<&Rules> {
        self.rules.get(interface.rules)?.as_deref()
    }

    pub(crate) fn subnet(&self, interface: &Interface) -> Option<&Subnet> {
        self.subnets.get(interface.subnet)?.as_ref()
    }

    pub(crate) fn vpc(&self, subnet: &Subnet) -> Option<&Vpc> {
        self.vpcs.get(subnet.vpc)?.as_ref()
    }

    pub(crate) fn acl(&self, subnet: &Subnet) -> Option<&Acl> {
        self.acls.get(subnet.acl?).map(|acl| &**acl)
    }

    pub(crate) fn table(&self, subnet: &Subnet) -> Option<&RangeMap<u128, Route>> {
        self.tables.get(subnet.table?).map(|table| &**table)
    }

    /// The table that routes what arrives at the internet gateway of a VPC (RT-18).
    pub(crate) fn edge_table(&self, vpc: usize) -> Option<&RangeMap<u128, Route>> {
        self.tables.get(*self.edge_tables.get(&vpc)?).map(|table| &**table)
    }

    pub(crate) fn peering(&self, place: usize) -> Option<&Peering> {
        self.peerings.get(place)
    }

    pub(crate) fn gateway_endpoint(&self, number: PortIndex) -> Option<&GatewayEndpoint> {
        self.gateway_endpoints.get(&number.0)
    }

    /// The interfaces that a rule's reference to a group may mean by an address: of the VPC and of
    /// those that it is peered with, which may overlap each other (SG-30, SG-31).
    pub(crate) fn by_private_or_peer(
        &self,
        vpc: usize,
        address: Address,
    ) -> impl Iterator<Item = &Interface> {
        let known = self.vpcs.get(vpc).and_then(Option::as_ref);
        let peers = known.map_or(&[][..], |vpc| &vpc.peers);
        let vpcs = std::iter::once(vpc).chain(peers.iter().copied());
        vpcs.filter_map(move |vpc| self.by_private(vpc, address))
    }

    /// The interface of a VPC that has a private address.
    pub(crate) fn by_private(&self, vpc: usize, address: Address) -> Option<&Interface> {
        self.interface(PortIndex(self.maps.private(vpc, address)?))
    }

    /// The interface that has a public address, with the private one behind it (IGW-2); in IPv6
    /// they are the same (IGW-4).
    pub(crate) fn by_public(&self, address: Address) -> Option<(&Interface, Address)> {
        let (port, private) = self.maps.public(address)?;
        Some((self.interface(PortIndex(port))?, private))
    }

    /// The interface of a subnet that has a MAC address.
    pub(crate) fn by_mac(&self, subnet: usize, mac: [u8; 6]) -> Option<&Interface> {
        self.interface(PortIndex(self.maps.station(subnet, mac)?))
    }
}

impl FabricConfig {
    /// Whether an address is one that only VPCs have.
    pub(crate) fn is_of_pool(&self, address: Address) -> bool {
        match address.ip() {
            IpAddr::V4(address) => self.public_pool.contains(&address),
            IpAddr::V6(address) => self.ipv6_pool.contains(&address),
        }
    }
}
