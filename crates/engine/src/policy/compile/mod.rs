//! From records to policy. References to records that are not there become drops with a name.
//!
//! The compiler keeps what it made with the records that it made it from. Records are shared and
//! never change, so what stayed the same is told by comparing pointers, and only the rest is
//! compiled: a rule set when a rule of its groups changed, a table when a route leads elsewhere. A
//! compiler that has made nothing yet compiles everything the same way.

mod acls;
mod endpoints;
mod interfaces;
mod lists;
mod maps;
mod rules;
mod subnets;
mod tables;
mod vpcs;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use gureum_types::{
    PortIndex, PrefixListId,
    record::{self, Network, NetworkInterface},
};

pub(crate) use self::maps::Maps;
use self::{
    acls::Acls,
    endpoints::Endpoints,
    interfaces::{Interfaces, Ties},
    lists::{Map, Set, difference, same},
    rules::Rules,
    subnets::Subnets,
    tables::{Lists, Tables, Targets},
    vpcs::Vpcs,
};
use super::{
    FabricConfig, Policy, PortInfo, PortKind,
    components::{Components, Numbers},
    logged::Logged,
};

/// Ports by number, or what is known of them.
pub(crate) type ByNumber<K, V> = Map<K, V>;

/// Compiles the records. It never fails: references to records that are not there become drops
/// with a name.
pub fn compile(network: &Network, epoch: u64, fabric: &FabricConfig) -> Policy {
    Compiler::new(fabric).compile(network, epoch)
}

/// Indices of components that are given out before all of them are given out anew.
const NUMBERS_MAX: u32 = u32::MAX / 2;

/// Compiles one state of the records after another, each time what changed.
///
/// All its policies say the same as those of [`compile`], but for the numbers of components
/// ([`crate::ComponentIndex`]).
#[derive(Clone, Debug)]
pub struct Compiler {
    fabric: FabricConfig,
    /// The records as they were the last time. Holding them keeps them from being changed in place.
    network: Network,
    numbers: Numbers,
    prefix_lists: Map<PrefixListId, Arc<record::PrefixList>>,
    vpcs: Vpcs,
    endpoints: Endpoints,
    subnets: Subnets,
    rules: Rules,
    interfaces: Interfaces,
    tables: Tables,
    acls: Acls,
    logged: Arc<Logged>,
    components: Arc<Components>,
}

/// Two states of the records.
struct Changes<'a> {
    before: &'a Network,
    after: &'a Network,
    differs: Differs,
}

macro_rules! lists {
    ($($list:ident)*) => {
        /// Which lists of records differ.
        #[derive(Clone, Copy)]
        struct Differs {
            vpcs: bool,
            $($list: bool,)*
        }

        impl Differs {
            fn between(before: &Network, after: &Network) -> Self {
                let mut vpcs = before.vpcs.iter().zip(&after.vpcs);
                Self {
                    vpcs: before.vpcs.len() != after.vpcs.len()
                        || !vpcs.all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(&a.1, &b.1)),
                    $($list: !same(&before.$list, &after.$list),)*
                }
            }

            /// Takes over the lists that differ.
            fn adopt(self, network: &mut Network, after: &Network) {
                if self.vpcs {
                    network.vpcs.clone_from(&after.vpcs);
                }
                $(if self.$list {
                    network.$list.clone_from(&after.$list);
                })*
            }
        }
    };
}
lists!(subnets route_tables internet_gateways egress_only_internet_gateways nat_gateways
    vpc_endpoints vpc_peering_connections prefix_lists security_groups security_group_rules
    network_acls dhcp_options interfaces addresses vpn_gateways transit_gateway_vpc_attachments
    restricted_subnets flow_logs);

impl Compiler {
    /// A compiler that has made nothing yet.
    pub fn new(fabric: &FabricConfig) -> Self {
        Self {
            fabric: *fabric,
            network: Network::default(),
            numbers: Numbers::default(),
            prefix_lists: Map::default(),
            vpcs: Vpcs::default(),
            endpoints: Endpoints::default(),
            subnets: Subnets::default(),
            rules: Rules::default(),
            interfaces: Interfaces::default(),
            tables: Tables::default(),
            acls: Acls::default(),
            logged: Arc::default(),
            components: Arc::default(),
        }
    }

    /// Compiles the records, each time for an epoch that it was not given before. It never fails:
    /// references to records that are not there become drops with a name.
    pub fn compile(&mut self, network: &Network, epoch: u64) -> Policy {
        if self.numbers.given() > NUMBERS_MAX || self.rules.is_worn() {
            *self = Self::new(&self.fabric);
        }
        let mut before = std::mem::take(&mut self.network);
        let differs = Differs::between(&before, network);
        self.update(&Changes { before: &before, after: network, differs });
        differs.adopt(&mut before, network);
        self.network = before;
        self.policy(epoch)
    }

    fn update(&mut self, changes: &Changes<'_>) {
        let network = changes.after;
        let touched = self.lists(changes);
        let lists = Lists { entries: &self.prefix_lists, touched: &touched };
        let vpcs_changed = self.vpcs.update(changes);
        self.endpoints.update(changes, &self.vpcs);
        let touched = self.subnets.place_all(changes, &self.vpcs);
        self.rules.forget(changes, &lists);
        let ties = Ties {
            vpcs: &self.vpcs,
            subnets: &self.subnets,
            endpoints: &self.endpoints,
            touched: &touched,
            reach_changed: vpcs_changed.reach,
        };
        let interfaces_changed = self.interfaces.update(changes, &ties, &mut self.rules);
        let rules_changed = self.rules.update(changes, &lists, &mut self.numbers);
        let targets = Targets {
            vpcs: &self.vpcs,
            endpoints: &self.endpoints,
            subnets: &self.subnets,
            interfaces: &self.interfaces,
        };
        let tables_changed = self.tables.update(
            changes,
            vpcs_changed,
            interfaces_changed.any,
            &targets,
            &lists,
            &mut self.numbers,
        );
        let acls_changed = self.acls.update(changes, &self.vpcs, &mut self.numbers);
        if changes.differs.subnets
            || changes.differs.restricted_subnets
            || vpcs_changed.any
            || tables_changed
            || acls_changed
            || interfaces_changed.macs
        {
            self.subnets.update(network, &self.vpcs, &self.interfaces, &self.tables, &self.acls);
        }
        if changes.differs.flow_logs || changes.differs.interfaces && !network.flow_logs.is_empty()
        {
            let logged = Logged::new(network);
            if logged != *self.logged {
                self.logged = Arc::new(logged);
            }
        }
        if rules_changed || tables_changed || acls_changed {
            let segments = self.rules.segments().chain(self.tables.segments());
            self.components = Arc::new(Components::new(segments.chain(self.acls.segments())));
        }
    }

    /// Prefix lists by id; which of them changed.
    fn lists(&mut self, changes: &Changes<'_>) -> Set<PrefixListId> {
        if !changes.differs.prefix_lists {
            return Set::default();
        }
        let (before, after) = (&changes.before.prefix_lists, &changes.after.prefix_lists);
        let (gone, come) = difference(before, after);
        self.prefix_lists = after.iter().map(|list| (list.id.clone(), list.clone())).collect();
        gone.iter().chain(come).map(|list| list.id.clone()).collect()
    }

    fn policy(&self, epoch: u64) -> Policy {
        Policy {
            epoch,
            fabric: self.fabric,
            fabric_ports: [
                PortInfo {
                    port: PortIndex::INTERNET,
                    mac: self.fabric.internet_mac,
                    kind: PortKind::Internet,
                },
                PortInfo {
                    port: PortIndex::SERVICES,
                    mac: self.fabric.services_mac,
                    kind: PortKind::Services,
                },
            ],
            components: self.components.clone(),
            slots: self.interfaces.slots.clone(),
            maps: self.interfaces.maps.clone(),
            timeouts: self.interfaces.timeouts.clone(),
            ipv6_ports: self.interfaces.ipv6_ports.clone(),
            logged: self.logged.clone(),
            rules: self.rules.list.clone(),
            subnets: self.subnets.list.clone(),
            vpcs: self.vpcs.list.clone(),
            peerings: self.vpcs.peerings.clone(),
            gateway_endpoints: self.endpoints.gateways.clone(),
            acls: self.acls.list.clone(),
            tables: self.tables.list.clone(),
            edge_tables: self.tables.edge.clone(),
        }
    }
}

/// What others may know of the port of an interface.
pub(super) fn port_info(interface: &NetworkInterface) -> PortInfo {
    let kind = PortKind::Interface { id: interface.id.clone(), address: first_address(interface) };
    PortInfo { port: interface.port, mac: interface.mac, kind }
}

/// The address that an interface is called by.
fn first_address(interface: &NetworkInterface) -> IpAddr {
    let ipv4 = interface.private_addresses.first().copied().map(IpAddr::from);
    let ipv6 = interface.ipv6_addresses.first().copied().map(IpAddr::from);
    ipv4.or(ipv6).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lab::{FABRIC, lab_network};

    /// Indices of components are given out anew before there are none left.
    #[test]
    fn numbers_begin_anew_before_they_end() {
        let network = lab_network();
        let mut compiler = Compiler::new(&FABRIC);
        compiler.compile(&network, 1);
        let given = compiler.numbers.given();
        assert!(given > 1);
        let mut changed = network.clone();
        changed.network_acls = vec![Arc::new((*network.network_acls[0]).clone())];
        compiler.compile(&changed, 2);
        assert!(compiler.numbers.given() > given, "what changed has other indices");
        for (before, anew) in [(NUMBERS_MAX, false), (NUMBERS_MAX + 1, true)] {
            compiler.numbers = Numbers::after(before);
            compiler.compile(&network, u64::from(before));
            assert_eq!(compiler.numbers.given() == given, anew, "{before}");
        }
    }
}
