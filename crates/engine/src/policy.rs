//! The policy: an immutable compiled snapshot of the records, with small integer keys.

use std::net::Ipv4Addr;

use gureum_types::{
    NetworkAclId, NetworkInterfaceId, PortIndex, RouteTableId, SecurityGroupId,
    SecurityGroupRuleId,
    record::{Network, RouteTarget},
};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// What the engine must know of the fabric besides the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FabricConfig {
    /// The MAC address of the simulated internet behind [`PortIndex::INTERNET`].
    pub internet_mac: [u8; 6],
    /// The MAC address of the services namespace behind [`PortIndex::SERVICES`].
    pub services_mac: [u8; 6],
}

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

/// The compiled records at one epoch. Build it with [`compile`], share it with an `Arc`.
#[derive(Clone, Debug)]
pub struct Policy {
    epoch: u64,
    ports: Vec<PortInfo>,
    components: Vec<Component>,
}

impl Policy {
    /// The epoch it was compiled for.
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
}

/// Compiles the records. It never fails: references to records that are not there become drops
/// with a name.
pub fn compile(network: &Network, epoch: u64, fabric: &FabricConfig) -> Policy {
    let mut ports = vec![
        PortInfo {
            port: PortIndex::INTERNET,
            mac: fabric.internet_mac,
            kind: PortKind::Internet,
        },
        PortInfo {
            port: PortIndex::SERVICES,
            mac: fabric.services_mac,
            kind: PortKind::Services,
        },
    ];
    ports.extend(network.interfaces.iter().map(|interface| PortInfo {
        port: interface.port,
        mac: interface.mac,
        kind: PortKind::Interface {
            id: interface.id.clone(),
            address: interface.primary_address(),
        },
    }));
    Policy { epoch, ports, components: Vec::new() }
}
