//! Who has an address.

use std::{hash::Hash, sync::Arc};

use super::{interfaces::Ties, lists::Map};
use crate::{address::Address, policy::Interface};

/// Interfaces by their addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maps {
    /// (VPC, private address) to the port.
    private: Map<(usize, Address), u32>,
    /// Public address to the port and the private address: the same for IPv6.
    public: Map<Address, (u32, Address)>,
    /// (subnet, MAC address) to the port.
    stations: Map<(usize, [u8; 6]), u32>,
    /// How often an address was another's already. Of two with the same one the first has it.
    shadows: u32,
}

impl Maps {
    pub(super) fn new<'a>(
        interfaces: impl Iterator<Item = &'a Arc<Interface>>,
        ties: &Ties<'_>,
    ) -> Self {
        let mut maps = Self::default();
        for interface in interfaces {
            maps.insert(interface, ties);
        }
        maps
    }

    /// Whether an address belongs to several, so that it cannot be told who has it when one goes.
    pub(super) fn has_shadows(&self) -> bool {
        self.shadows > 0
    }

    /// Makes an interface findable by its addresses.
    pub(super) fn insert(&mut self, interface: &Interface, ties: &Ties<'_>) {
        let port = interface.port.0;
        let Some(vpc) = ties.subnets.vpc(interface.subnet) else { return };
        let of_vpc = ties.vpcs.list.get(vpc).and_then(Option::as_ref);
        let reachable = of_vpc.is_some_and(|vpc| vpc.has_internet_gateway);
        let answerable = of_vpc.is_some_and(|vpc| vpc.has_egress_only_gateway);
        let mut shadows = 0;
        shadows += add(&mut self.stations, (interface.subnet, interface.mac), port);
        for &(private, public) in &interface.addresses {
            shadows += add(&mut self.private, (vpc, private), port);
            if let Some(public) = public.filter(|_| reachable) {
                shadows += add(&mut self.public, public, (port, private));
            }
        }
        for &address in &interface.ipv6 {
            shadows += add(&mut self.private, (vpc, address), port);
            if reachable || answerable {
                shadows += add(&mut self.public, address, (port, address));
            }
        }
        self.shadows = self.shadows.saturating_add(shadows);
    }

    /// Forgets an interface, where no address has several.
    pub(super) fn remove(&mut self, interface: &Interface, ties: &Ties<'_>) {
        let port = interface.port.0;
        let Some(vpc) = ties.subnets.vpc(interface.subnet) else { return };
        self.stations.remove(&(interface.subnet, interface.mac));
        let public = interface.addresses.iter().filter_map(|(_, public)| *public);
        for address in public.chain(interface.ipv6.iter().copied()) {
            if self.public.get(&address).is_some_and(|(of, _)| *of == port) {
                self.public.remove(&address);
            }
        }
        let private = interface.addresses.iter().map(|(private, _)| *private);
        for address in private.chain(interface.ipv6.iter().copied()) {
            self.private.remove(&(vpc, address));
        }
    }

    /// How many of each there are: private and public addresses, and those of links.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.private.len(), self.public.len(), self.stations.len())
    }

    pub(crate) fn private(&self, vpc: usize, address: Address) -> Option<u32> {
        self.private.get(&(vpc, address)).copied()
    }

    pub(crate) fn public(&self, address: Address) -> Option<(u32, Address)> {
        self.public.get(&address).copied()
    }

    pub(crate) fn station(&self, subnet: usize, mac: [u8; 6]) -> Option<u32> {
        self.stations.get(&(subnet, mac)).copied()
    }
}

/// Adds what is not there; 1 where something was.
fn add<K: Eq + Hash, V>(map: &mut Map<K, V>, key: K, value: V) -> u32 {
    match map.entry(key) {
        hashbrown::hash_map::Entry::Occupied(_) => 1,
        hashbrown::hash_map::Entry::Vacant(vacant) => {
            vacant.insert(value);
            0
        }
    }
}
