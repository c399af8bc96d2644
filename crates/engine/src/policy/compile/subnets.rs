//! Subnets: first where they are, then, once all else is compiled, what they are tied to.

use std::sync::Arc;

use gureum_types::{SubnetId, record::Network};

use super::{
    Changes,
    acls::Acls,
    interfaces::Interfaces,
    lists::{Map, Places, Set},
    tables::Tables,
    vpcs::Vpcs,
};
use crate::policy::{PublicAccess, Subnet};

/// All subnets.
#[derive(Clone, Debug, Default)]
pub(super) struct Subnets {
    places: Places<SubnetId>,
    /// The place of a subnet, and that of its VPC.
    known: Map<SubnetId, (usize, usize)>,
    /// VPCs by the place of their subnets.
    vpcs: Vec<usize>,
    /// By place.
    pub(super) list: Arc<Vec<Option<Subnet>>>,
}

impl Subnets {
    /// Finds the places of subnets whose VPC is known. The ids of those for which that changed.
    pub(super) fn place_all(&mut self, changes: &Changes<'_>, vpcs: &Vpcs) -> Set<SubnetId> {
        let mut touched = Set::default();
        if !changes.differs.subnets && !changes.differs.vpcs {
            return touched;
        }
        let known =
            |subnet: &&Arc<gureum_types::record::Subnet>| vpcs.place(&subnet.vpc_id).is_some();
        let subnets = changes.after.subnets.iter().filter(known);
        self.places.update(subnets.clone().map(|subnet| &subnet.id));
        let before = std::mem::take(&mut self.known);
        self.vpcs = vec![0; self.places.bound()];
        for subnet in subnets {
            let place = self.places.get(&subnet.id).zip(vpcs.place(&subnet.vpc_id));
            let Some((place, vpc)) = place else { continue };
            self.known.insert(subnet.id.clone(), (place, vpc));
            if let Some(of) = self.vpcs.get_mut(place) {
                *of = vpc;
            }
        }
        let differs = |id: &&SubnetId| before.get(*id) != self.known.get(*id);
        touched.extend(before.keys().filter(differs).cloned());
        touched.extend(self.known.keys().filter(differs).cloned());
        touched
    }

    pub(super) fn place(&self, id: &SubnetId) -> Option<usize> {
        Some(self.known.get(id)?.0)
    }

    /// The place of the VPC of a subnet.
    pub(super) fn vpc(&self, place: usize) -> Option<usize> {
        self.vpcs.get(place).copied()
    }

    /// The place of a subnet, if it is one of a VPC: nothing can be associated across VPCs.
    fn of_vpc(&self, id: &SubnetId, vpc: usize) -> Option<usize> {
        let &(place, of) = self.known.get(id)?;
        (of == vpc).then_some(place)
    }

    /// Compiles the subnets.
    pub(super) fn update(
        &mut self,
        network: &Network,
        vpcs: &Vpcs,
        interfaces: &Interfaces,
        tables: &Tables,
        acls: &Acls,
    ) {
        let mut list: Vec<Option<Subnet>> = vec![None; self.places.bound()];
        for subnet in &network.subnets {
            let Some(&(place, vpc)) = self.known.get(&subnet.id) else { continue };
            let Some(of) = list.get_mut(place) else { continue };
            *of = Some(Subnet {
                id: subnet.id.clone(),
                block: subnet.cidr_block.map(|block| block.trunc()),
                ipv6_block: subnet.ipv6_block().map(|block| block.trunc()),
                vpc,
                router_mac: router_mac(&subnet.id, |mac| interfaces.has_mac(mac)),
                acl: None,
                table: tables.main(vpc),
                public_access: PublicAccess::Open,
            });
        }
        let mut set = |id: &SubnetId, vpc: Option<usize>, tie: &dyn Fn(&mut Subnet)| {
            let place = vpc.and_then(|vpc| self.of_vpc(id, vpc));
            let subnet = place.and_then(|place| list.get_mut(place)).and_then(Option::as_mut);
            if let Some(subnet) = subnet {
                tie(subnet);
            }
        };
        for (place, table) in network.route_tables.iter().enumerate() {
            let vpc = vpcs.place(&table.vpc_id);
            for id in table.associations.iter().filter_map(|a| a.subnet_id.as_ref()) {
                set(id, vpc, &|subnet| subnet.table = Some(place));
            }
        }
        for (place, acl) in network.network_acls.iter().enumerate() {
            let vpc = vpcs.place(&acl.vpc_id);
            for association in &acl.associations {
                set(&association.subnet_id, vpc, &|subnet| subnet.acl = Some(place));
            }
        }
        for restricted in &network.restricted_subnets {
            let place = self.place(&restricted.subnet_id);
            let subnet = place.and_then(|place| list.get_mut(place)).and_then(Option::as_mut);
            if let Some(subnet) = subnet {
                subnet.public_access = match restricted.egress_allowed {
                    true => PublicAccess::EgressOnly,
                    false => PublicAccess::Blocked,
                };
            }
        }
        for subnet in list.iter_mut().flatten() {
            // A subnet that is associated with nothing has its VPC's default list (NACL-6).
            subnet.acl = subnet.acl.or_else(|| acls.default_of(subnet.vpc));
        }
        self.list = Arc::new(list);
    }
}

/// What all MAC addresses of routers begin with.
pub(super) const ROUTER_MAC_PREFIX: [u8; 2] = [0x02, 0x67];

/// A MAC address for a subnet's router: locally administered, always the same for the subnet,
/// never an interface's.
fn router_mac(subnet: &SubnetId, is_taken: impl Fn(&[u8; 6]) -> bool) -> [u8; 6] {
    let [first, second] = ROUTER_MAC_PREFIX;
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    loop {
        for byte in subnet.as_str().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let [.., a, b, c, d] = (hash ^ (hash >> 32)).to_be_bytes();
        let mac = [first, second, a, b, c, d];
        if !is_taken(&mac) {
            return mac;
        }
    }
}
