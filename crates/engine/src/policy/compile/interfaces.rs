//! Interfaces, each compiled when it or what it is tied to changes.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use gureum_types::{
    NatGatewayId, NetworkInterfaceId, PortIndex, SubnetId,
    record::{self, Network, NetworkInterface},
};

use super::{
    Changes,
    endpoints::Endpoints,
    lists::{Map, Set, difference},
    maps::Maps,
    port_info,
    rules::Rules,
    subnets::{ROUTER_MAC_PREFIX, Subnets},
    vpcs::Vpcs,
};
use crate::{
    address::Address,
    policy::{
        Interface, Role,
        slots::{Broken, Slot, Slots},
    },
    state::flow::Timeouts,
};

/// All interfaces in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Interfaces {
    pub(super) slots: Slots,
    /// Ports by id, without those whose records contradict each other.
    ports: Map<NetworkInterfaceId, PortIndex>,
    /// Elastic IP addresses of interfaces: private ones with the public ones.
    elastic: Map<NetworkInterfaceId, Vec<(Ipv4Addr, Ipv4Addr)>>,
    /// NAT gateways that translate, with their interfaces.
    nat_gateways: Map<NatGatewayId, NetworkInterfaceId>,
    /// Interfaces of NAT gateways.
    gateways: Set<NetworkInterfaceId>,
    /// MAC addresses of interfaces that look like those of routers, with how often there are.
    router_like: Map<[u8; 6], u32>,
    /// Timeouts of ports whose are not the default ones.
    pub(super) timeouts: Arc<Map<u32, Timeouts>>,
    /// Ports of instances' interfaces that have IPv6.
    pub(super) ipv6_ports: Arc<BTreeSet<u32>>,
    /// Whether records contradict each other in ports or ids, so that their order decides: then
    /// all of them are compiled whenever anything changes.
    irregular: bool,
    pub(super) maps: Arc<Maps>,
}

/// What became of the interfaces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InterfacesChanged {
    /// Whether anything changed at all.
    pub(super) any: bool,
    /// Whether MAC addresses that look like those of routers did.
    pub(super) macs: bool,
}

/// What interfaces are tied to.
pub(super) struct Ties<'a> {
    pub(super) vpcs: &'a Vpcs,
    pub(super) subnets: &'a Subnets,
    pub(super) endpoints: &'a Endpoints,
    /// Subnets that are elsewhere now, or gone, or new.
    pub(super) touched: &'a Set<SubnetId>,
    /// Whether other addresses may be reached from the internet.
    pub(super) reach_changed: bool,
}

impl Interfaces {
    pub(super) fn update(
        &mut self,
        changes: &Changes<'_>,
        ties: &Ties<'_>,
        rules: &mut Rules,
    ) -> InterfacesChanged {
        let mut touched: Set<&NetworkInterfaceId> = Set::default();
        self.addresses(changes, &mut touched);
        self.gateways(changes, &mut touched);
        touched.extend(Endpoints::touched(changes));
        let changed = changes.differs.interfaces || !touched.is_empty() || !ties.touched.is_empty();
        if !changed && !ties.reach_changed {
            return InterfacesChanged::default();
        }
        let macs = self.router_like.clone();
        let mut any = false;
        if changed {
            let (gone, come) = self.replaced(changes, ties, &touched);
            any = !gone.is_empty() || !come.is_empty();
            if self.irregular || !self.replace(&gone, &come, ties, rules) {
                self.replace_all(changes.after, ties, rules);
                any = true;
            }
        }
        if ties.reach_changed {
            self.index_all(changes.after, ties);
        }
        InterfacesChanged { any, macs: macs != self.router_like }
    }

    /// Elastic IP addresses (EIP-1).
    fn addresses<'a>(&mut self, changes: &Changes<'a>, touched: &mut Set<&'a NetworkInterfaceId>) {
        if !changes.differs.addresses {
            return;
        }
        let (gone, come) = difference(&changes.before.addresses, &changes.after.addresses);
        let of = gone.iter().chain(come).filter_map(|address| address.association.as_ref());
        touched.extend(of.map(|association| &association.network_interface_id));
        for id in touched.iter() {
            self.elastic.remove(*id);
        }
        for address in &changes.after.addresses {
            let Some(association) = &address.association else { continue };
            let id = &association.network_interface_id;
            if touched.contains(id) {
                let own = (association.private_ip, address.public_ip);
                self.elastic.entry(id.clone()).or_default().push(own);
            }
        }
    }

    fn gateways<'a>(&mut self, changes: &Changes<'a>, touched: &mut Set<&'a NetworkInterfaceId>) {
        if !changes.differs.nat_gateways {
            return;
        }
        let (gone, come) = difference(&changes.before.nat_gateways, &changes.after.nat_gateways);
        let of = gone.iter().chain(come).filter_map(|g| g.network_interface_id.as_ref());
        touched.extend(of);
        let all = changes.after.nat_gateways.iter();
        let pairs = all.filter_map(|g| Some((g, g.network_interface_id.as_ref()?)));
        self.gateways = pairs.clone().map(|(_, id)| id.clone()).collect();
        let translating = pairs.filter(|(gateway, _)| gateway.state.translates());
        self.nat_gateways =
            translating.map(|(gateway, id)| (gateway.id.clone(), id.clone())).collect();
    }

    /// The records that are to be taken out, and those that are to be put in.
    fn replaced<'a>(
        &self,
        changes: &Changes<'a>,
        ties: &Ties<'_>,
        touched: &Set<&NetworkInterfaceId>,
    ) -> (Vec<Arc<NetworkInterface>>, Vec<Arc<NetworkInterface>>) {
        let (gone, come) = difference(&changes.before.interfaces, &changes.after.interfaces);
        let of = |list: &[Arc<NetworkInterface>]| -> Set<*const NetworkInterface> {
            list.iter().map(Arc::as_ptr).collect()
        };
        let (those_gone, those_come) = (of(gone), of(come));
        let mut stay: Set<PortIndex> = Set::default();
        let without = |list: &'a [Arc<NetworkInterface>], other: &Set<_>| {
            let list = list.iter().filter(|record| !other.contains(&Arc::as_ptr(record)));
            list.cloned().collect::<Vec<_>>()
        };
        let mut gone = without(gone, &those_come);
        let mut come = without(come, &those_gone);
        stay.extend(gone.iter().chain(&come).map(|record| record.port));
        let mut again = |record: &Arc<NetworkInterface>| {
            if stay.insert(record.port) {
                gone.push(record.clone());
                come.push(record.clone());
            }
        };
        for port in touched.iter().filter_map(|id| self.ports.get(*id)) {
            if let Some(record) = self.slots.get(*port).record() {
                again(record);
            }
        }
        if !ties.touched.is_empty() {
            for record in self.slots.iter().filter_map(Slot::record) {
                if ties.touched.contains(&record.subnet_id) {
                    again(record);
                }
            }
        }
        (gone, come)
    }

    /// Takes out and puts in; false where the records turn out to contradict each other.
    fn replace(
        &mut self,
        gone: &[Arc<NetworkInterface>],
        come: &[Arc<NetworkInterface>],
        ties: &Ties<'_>,
        rules: &mut Rules,
    ) -> bool {
        let mut lost = Vec::with_capacity(gone.len());
        for record in gone {
            match self.slots.replace(record.port, Slot::Unused) {
                Slot::Unused => return false,
                Slot::Broken(_) => self.set_timeouts(record.port, Timeouts::default()),
                Slot::Interface(interface) => {
                    self.ports.remove(&record.id);
                    self.set_timeouts(record.port, Timeouts::default());
                    self.set_ipv6(record.port, false);
                    rules.release(interface.rules);
                    lost.push(interface);
                }
            }
            self.count_mac(record.mac, false);
        }
        let mut found = Vec::with_capacity(come.len());
        for record in come {
            if !self.put(record, ties, rules) {
                return false;
            }
            self.count_mac(record.mac, true);
            if let Slot::Interface(interface) = self.slots.get(record.port) {
                found.push(interface.clone());
            }
        }
        if ties.reach_changed {
            return true; // All are looked for anew.
        }
        if ties.touched.is_empty() {
            let maps = Arc::make_mut(&mut self.maps);
            for interface in &lost {
                maps.remove(interface, ties);
            }
            for interface in &found {
                maps.insert(interface, ties);
            }
        } else {
            // Addresses are another VPC's now.
            let all = self.slots.iter().filter_map(|slot| match slot {
                Slot::Interface(interface) => Some(interface),
                _ => None,
            });
            self.maps = Arc::new(Maps::new(all, ties));
        }
        // Of several with the same address the first of the records has it.
        !self.maps.has_shadows()
    }

    /// Compiles all records in their order; of two with the same port the first has it.
    fn replace_all(&mut self, network: &Network, ties: &Ties<'_>, rules: &mut Rules) {
        for slot in self.slots.iter() {
            if let Slot::Interface(interface) = slot {
                rules.release(interface.rules);
            }
        }
        self.slots = Slots::default();
        self.ports.clear();
        self.timeouts = Arc::default();
        self.ipv6_ports = Arc::default();
        self.router_like.clear();
        self.irregular = false;
        for record in &network.interfaces {
            self.count_mac(record.mac, true);
            if !self.put(record, ties, rules) {
                self.irregular = true;
            }
        }
        self.index_all(network, ties);
    }

    /// Finds all interfaces by their addresses anew, in the order of the records.
    fn index_all(&mut self, network: &Network, ties: &Ties<'_>) {
        let interfaces =
            network.interfaces.iter().filter_map(|record| match self.slots.get(record.port) {
                Slot::Interface(interface) if Arc::ptr_eq(&interface.record, record) => {
                    Some(interface)
                }
                _ => None,
            });
        let maps = Maps::new(interfaces, ties);
        self.irregular |= maps.has_shadows();
        self.maps = Arc::new(maps);
    }

    /// Puts in an interface; false where its port or its id is taken, or its port is none.
    fn put(&mut self, record: &Arc<NetworkInterface>, ties: &Ties<'_>, rules: &mut Rules) -> bool {
        let port = record.port;
        if port < PortIndex::FIRST_INTERFACE
            || port >= PortIndex::END
            || !self.slots.get(port).is_unused()
        {
            return false;
        }
        let info = port_info(record);
        let Some(subnet) = ties.subnets.place(&record.subnet_id) else {
            let broken = Broken { record: record.clone(), info };
            self.slots.replace(port, Slot::Broken(Arc::new(broken)));
            // Its flows are not over.
            self.set_timeouts(port, Timeouts::of(&record.connection_tracking));
            return true;
        };
        let own = self.elastic.get(&record.id).map_or(&[][..], Vec::as_slice);
        let role = if self.gateways.contains(&record.id) {
            Role::NatGateway
        } else if ties.endpoints.has_interface(&record.id) {
            Role::Endpoint
        } else {
            Role::Instance
        };
        let timeouts = match role {
            Role::NatGateway => Timeouts::NAT_GATEWAY,
            Role::Instance | Role::Endpoint => Timeouts::of(&record.connection_tracking),
        };
        let interface = Interface {
            record: record.clone(),
            info,
            port,
            mac: record.mac,
            subnet,
            role,
            addresses: addresses(record, own),
            ipv6: record.ipv6_addresses.iter().copied().map(Address::from).collect(),
            source_dest_check: record.source_dest_check,
            rules: rules.take(&record.groups),
        };
        self.slots.replace(port, Slot::Interface(Arc::new(interface)));
        self.set_timeouts(port, timeouts);
        self.set_ipv6(port, role == Role::Instance && !record.ipv6_addresses.is_empty());
        self.ports.insert(record.id.clone(), port).is_none()
    }

    fn set_timeouts(&mut self, port: PortIndex, timeouts: Timeouts) {
        if timeouts != Timeouts::default() {
            Arc::make_mut(&mut self.timeouts).insert(port.0, timeouts);
        } else if self.timeouts.contains_key(&port.0) {
            Arc::make_mut(&mut self.timeouts).remove(&port.0);
        }
    }

    fn set_ipv6(&mut self, port: PortIndex, has_ipv6: bool) {
        if self.ipv6_ports.contains(&port.0) != has_ipv6 {
            let ports = Arc::make_mut(&mut self.ipv6_ports);
            let _ = if has_ipv6 { ports.insert(port.0) } else { ports.remove(&port.0) };
        }
    }

    fn count_mac(&mut self, mac: [u8; 6], more: bool) {
        if !mac.starts_with(&ROUTER_MAC_PREFIX) {
            return;
        }
        let count = self.router_like.entry(mac).or_insert(0);
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        if *count == 0 {
            self.router_like.remove(&mac);
        }
    }

    /// Whether an interface has a MAC address that begins like a router's.
    pub(super) fn has_mac(&self, mac: &[u8; 6]) -> bool {
        self.router_like.contains_key(mac)
    }

    pub(super) fn by_id(&self, id: &NetworkInterfaceId) -> Option<&Interface> {
        match self.slots.get(*self.ports.get(id)?) {
            Slot::Interface(interface) => Some(interface),
            _ => None,
        }
    }

    /// The interface of a NAT gateway that translates.
    pub(super) fn nat_gateway(&self, id: &NatGatewayId) -> Option<&NetworkInterfaceId> {
        self.nat_gateways.get(id)
    }
}

/// Private addresses with their public ones; an Elastic IP address displaces the automatic one
/// (PUB-3).
fn addresses(
    interface: &record::NetworkInterface,
    elastic: &[(Ipv4Addr, Ipv4Addr)],
) -> Vec<(Address, Option<Address>)> {
    interface
        .private_addresses
        .iter()
        .enumerate()
        .map(|(index, private)| {
            let elastic = elastic.iter().find(|(own, _)| own == private).map(|(_, public)| *public);
            let automatic = interface.auto_public_ip.filter(|_| index == 0);
            ((*private).into(), elastic.or(automatic).map(Address::from))
        })
        .collect()
}
