//! The policy: an immutable compiled snapshot of the records, with small integer keys.

pub(crate) mod acl;
pub(crate) mod classifier;
mod compile;
pub(crate) mod range_map;
pub(crate) mod routes;
pub(crate) mod rule_set;

use std::{net::Ipv4Addr, sync::Arc};

use foldhash::fast::FixedState;
use gureum_types::{
    NetworkAclId, NetworkInterfaceId, PortIndex, RouteTableId, SecurityGroupId,
    SecurityGroupRuleId, SubnetId, record::RouteTarget,
};
use hashbrown::HashMap;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

pub use self::compile::compile;
use self::{acl::Acl, range_map::RangeMap, routes::Route, rule_set::GroupIndex, rule_set::RuleSet};

/// What the engine must know of the fabric besides the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FabricConfig {
    /// The MAC address of the simulated internet behind [`PortIndex::INTERNET`].
    pub internet_mac: [u8; 6],
    /// The MAC address of the services namespace behind [`PortIndex::SERVICES`].
    pub services_mac: [u8; 6],
    /// Where public addresses of VPCs come from: nobody of the internet has one of these.
    pub public_pool: Ipv4Net,
}

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
        /// Its number; 32767 is the closing `*` (NACL-3).
        number: u16,
        /// Egress entry or ingress entry.
        egress: bool,
    },
    /// A route.
    Route {
        /// The table.
        table: RouteTableId,
        /// Where to.
        destination: Ipv4Net,
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
        /// Its primary private address.
        address: Ipv4Addr,
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
    pub(crate) port: PortIndex,
    pub(crate) mac: [u8; 6],
    /// Place in [`Policy::subnets`].
    pub(crate) subnet: usize,
    /// Private addresses with the public one that each has, the primary one first.
    pub(crate) addresses: Vec<(u32, Option<u32>)>,
    pub(crate) source_dest_check: bool,
    /// Its groups, sorted.
    pub(crate) groups: Arc<[GroupIndex]>,
    pub(crate) egress: Arc<RuleSet>,
    pub(crate) ingress: Arc<RuleSet>,
}

impl Interface {
    pub(crate) fn has(&self, address: u32) -> bool {
        self.addresses.iter().any(|(private, _)| *private == address)
    }

    pub(crate) fn public_of(&self, private: u32) -> Option<u32> {
        self.addresses.iter().find(|(own, _)| *own == private)?.1
    }

    pub(crate) fn primary(&self) -> u32 {
        self.addresses.first().map_or(0, |(private, _)| *private)
    }
}

/// A subnet.
#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    pub(crate) id: SubnetId,
    pub(crate) block: Ipv4Net,
    /// Place in [`Policy::vpcs`].
    pub(crate) vpc: usize,
    pub(crate) router: u32,
    pub(crate) router_mac: [u8; 6],
    /// Place in [`Policy::acls`].
    pub(crate) acl: Option<usize>,
    /// Place in [`Policy::tables`].
    pub(crate) table: Option<usize>,
}

impl Subnet {
    pub(crate) fn contains(&self, address: u32) -> bool {
        self.block.contains(&Ipv4Addr::from(address))
    }
}

/// A VPC.
#[derive(Clone, Debug)]
pub(crate) struct Vpc {
    /// The base of the primary block plus two (DNS-1).
    pub(crate) resolver: u32,
    pub(crate) resolver_enabled: bool,
    pub(crate) has_internet_gateway: bool,
    pub(crate) dhcp: DhcpConfig,
}

/// What DHCP tells besides the address (DHCP-1 to DHCP-5).
#[derive(Clone, Debug, Default)]
pub(crate) struct DhcpConfig {
    pub(crate) domain_name: Option<String>,
    pub(crate) dns: Vec<u32>,
    pub(crate) ntp: Vec<u32>,
    pub(crate) netbios: Vec<u32>,
    pub(crate) netbios_node_type: Option<u8>,
}

/// What a port index stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortSlot {
    Unused,
    /// Place in [`Policy::interfaces`].
    Interface(usize),
    /// An interface whose records contradict each other.
    Broken,
}

/// The compiled records at one epoch. Build it with [`compile()`], share it with an `Arc`.
#[derive(Clone, Debug)]
pub struct Policy {
    epoch: u64,
    fabric: FabricConfig,
    ports: Vec<PortInfo>,
    components: Vec<Component>,
    slots: Vec<PortSlot>,
    interfaces: Vec<Interface>,
    subnets: Vec<Subnet>,
    vpcs: Vec<Vpc>,
    acls: Vec<Acl>,
    tables: Vec<RangeMap<Route>>,
    /// (VPC, private address) to the place in `interfaces`.
    private: HashMap<(usize, u32), usize, FixedState>,
    /// Public address to the place in `interfaces` and the private address.
    public: HashMap<u32, (usize, u32), FixedState>,
    /// (subnet, MAC address) to the place in `interfaces`.
    stations: HashMap<(usize, [u8; 6]), usize, FixedState>,
}

impl Policy {
    /// The epoch it was compiled for. Two policies with different content have different ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// All ports, the internet and the services included.
    pub fn ports(&self) -> impl Iterator<Item = &PortInfo> {
        self.ports.iter()
    }

    /// A rule, entry or route by the index that a verdict or a trace gave.
    pub fn component(&self, index: ComponentIndex) -> Option<&Component> {
        self.components.get(usize::try_from(index.0).ok()?)
    }

    /// The name of what is behind a port: the interface's id, `internet` or `services`.
    pub fn port_name(&self, port: PortIndex) -> String {
        match port {
            PortIndex::INTERNET => return "internet".to_owned(),
            PortIndex::SERVICES => return "services".to_owned(),
            _ => {}
        }
        let known = self.ports.iter().find(|info| info.port == port);
        match known.map(|info| &info.kind) {
            Some(PortKind::Interface { id, .. }) => id.to_string(),
            _ => format!("port {port}"),
        }
    }

    pub(crate) fn fabric(&self) -> &FabricConfig {
        &self.fabric
    }

    pub(crate) fn slot(&self, port: PortIndex) -> PortSlot {
        let slot = usize::try_from(port.0).ok().and_then(|index| self.slots.get(index));
        slot.copied().unwrap_or(PortSlot::Unused)
    }

    /// One more than the highest port index in use.
    pub(crate) fn port_bound(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn interface(&self, port: PortIndex) -> Option<&Interface> {
        match self.slot(port) {
            PortSlot::Interface(place) => self.interfaces.get(place),
            PortSlot::Unused | PortSlot::Broken => None,
        }
    }

    pub(crate) fn interface_at(&self, place: usize) -> Option<&Interface> {
        self.interfaces.get(place)
    }

    pub(crate) fn subnet(&self, interface: &Interface) -> Option<&Subnet> {
        self.subnets.get(interface.subnet)
    }

    pub(crate) fn vpc(&self, subnet: &Subnet) -> Option<&Vpc> {
        self.vpcs.get(subnet.vpc)
    }

    pub(crate) fn acl(&self, subnet: &Subnet) -> Option<&Acl> {
        self.acls.get(subnet.acl?)
    }

    pub(crate) fn table(&self, subnet: &Subnet) -> Option<&RangeMap<Route>> {
        self.tables.get(subnet.table?)
    }

    /// The interface of a VPC that has a private address.
    pub(crate) fn by_private(&self, vpc: usize, address: u32) -> Option<&Interface> {
        self.interfaces.get(*self.private.get(&(vpc, address))?)
    }

    /// The interface that has a public address, with the private one behind it (IGW-2).
    pub(crate) fn by_public(&self, address: u32) -> Option<(&Interface, u32)> {
        let (place, private) = self.public.get(&address)?;
        Some((self.interfaces.get(*place)?, *private))
    }

    /// The interface of a subnet that has a MAC address.
    pub(crate) fn by_mac(&self, subnet: usize, mac: [u8; 6]) -> Option<&Interface> {
        self.interfaces.get(*self.stations.get(&(subnet, mac))?)
    }
}

/// The addresses of a block, first and last.
pub(crate) fn network_range(block: Ipv4Net) -> (u32, u32) {
    (block.network().into(), block.broadcast().into())
}
