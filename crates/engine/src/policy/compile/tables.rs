//! Route tables, each compiled when it changes or one of its routes leads elsewhere.

use std::sync::Arc;

use gureum_types::{
    NetworkInterfaceId, PrefixListId, VpcId,
    record::{self, PrefixListEntry, RouteDestination, RouteTarget},
};
use ipnet::IpNet;

use super::{
    Changes,
    endpoints::Endpoints,
    interfaces::Interfaces,
    lists::{Map, Set},
    subnets::Subnets,
    vpcs::{Vpcs, VpcsChanged},
};
use crate::policy::{
    Role,
    components::{Numbers, Segment},
    range_map::RangeMap,
    routes::{self, Route, Way},
};

/// All route tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// What was made, by where the record is in memory.
    made: Map<usize, Arc<Made>>,
    /// By place in the records.
    pub(super) list: Arc<Vec<Arc<RangeMap<u128, Route>>>>,
    /// The main table of each VPC (RT-3).
    main: Map<usize, usize>,
    /// The table of the internet gateway of each VPC (RT-18).
    pub(super) edge: Arc<Map<usize, usize>>,
}

#[derive(Clone, Debug)]
struct Made {
    record: Arc<record::RouteTable>,
    /// The blocks that have local routes.
    local: Vec<IpNet>,
    /// Where the routes lead to, in the order of the record.
    ways: Vec<Way>,
    table: Arc<RangeMap<u128, Route>>,
    segment: Segment,
}

/// What routes may lead to.
pub(super) struct Targets<'a> {
    pub(super) vpcs: &'a Vpcs,
    pub(super) endpoints: &'a Endpoints,
    pub(super) subnets: &'a Subnets,
    pub(super) interfaces: &'a Interfaces,
}

/// Prefix lists: their blocks, and which of them changed.
pub(super) struct Lists<'a> {
    pub(super) entries: &'a Map<PrefixListId, Arc<record::PrefixList>>,
    pub(super) touched: &'a Set<PrefixListId>,
}

impl Lists<'_> {
    pub(super) fn get(&self, id: &PrefixListId) -> &[PrefixListEntry] {
        self.entries.get(id).map_or(&[], |list| list.entries.as_slice())
    }
}

impl Tables {
    /// Whether anything changed.
    pub(super) fn update(
        &mut self,
        changes: &Changes<'_>,
        vpcs_changed: VpcsChanged,
        interfaces_changed: bool,
        targets: &Targets<'_>,
        lists: &Lists<'_>,
        numbers: &mut Numbers,
    ) -> bool {
        if !changes.differs.route_tables
            && !changes.differs.nat_gateways
            && !changes.differs.vpc_endpoints
            && !changes.differs.prefix_lists
            && !vpcs_changed.any
            && !interfaces_changed
        {
            return false;
        }
        let before = std::mem::take(&mut self.made);
        let mut made_anew = false;
        let mut list = Vec::with_capacity(changes.after.route_tables.len());
        for record in &changes.after.route_tables {
            let local = targets.vpcs.blocks(&record.vpc_id);
            let ways: Vec<Way> = record
                .routes
                .iter()
                .map(|route| targets.way(&record.vpc_id, &route.target))
                .collect();
            let touches = |made: &Made| {
                made.record.routes.iter().any(|route| {
                    matches!(&route.destination, RouteDestination::PrefixList(id)
                        if lists.touched.contains(id))
                })
            };
            let key = Arc::as_ptr(record).addr();
            let known = before
                .get(&key)
                .filter(|made| made.local == local && made.ways == ways && !touches(made));
            let made = known.cloned().unwrap_or_else(|| {
                made_anew = true;
                let mut components = Vec::new();
                let table = routes::compile(
                    record,
                    local,
                    &ways,
                    &mut components,
                    |place| numbers.index(place),
                    |id| lists.get(id),
                );
                let segment = numbers.segment(components);
                let (record, local) = (record.clone(), local.to_vec());
                Arc::new(Made { record, local, ways, table: Arc::new(table), segment })
            });
            list.push(made.table.clone());
            self.made.insert(key, made);
        }
        if !made_anew && !changes.differs.route_tables && !vpcs_changed.any {
            return false;
        }
        self.list = Arc::new(list);
        self.associate(changes, targets.vpcs);
        true
    }

    fn associate(&mut self, changes: &Changes<'_>, vpcs: &Vpcs) {
        self.main.clear();
        let mut edge = Map::default();
        for (place, table) in changes.after.route_tables.iter().enumerate() {
            let Some(vpc) = vpcs.place(&table.vpc_id) else { continue };
            for association in &table.associations {
                if association.subnet_id.is_some() {
                    continue;
                }
                if let Some(id) = &association.gateway_id {
                    if vpcs.internet.get(id) == Some(&table.vpc_id) {
                        edge.insert(vpc, place);
                    }
                } else if association.main {
                    self.main.insert(vpc, place);
                }
            }
        }
        self.edge = Arc::new(edge);
    }

    pub(super) fn main(&self, vpc: usize) -> Option<usize> {
        self.main.get(&vpc).copied()
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.made.values().map(|made| &made.segment)
    }
}

impl Targets<'_> {
    /// Where a target leads to, from a table of a VPC (RT-12).
    fn way(&self, vpc_id: &VpcId, target: &RouteTarget) -> Way {
        let vpc = self.vpcs.place(vpc_id);
        let of_vpc = |id: &NetworkInterfaceId, role: Role| {
            let interface = self.interfaces.by_id(id)?;
            let of = self.subnets.vpc(interface.subnet)?;
            (Some(of) == vpc && interface.role == role).then_some(interface.port)
        };
        let way = match target {
            RouteTarget::Local => Some(Way::Local),
            RouteTarget::InternetGateway(id) => {
                (self.vpcs.internet.get(id) == Some(vpc_id)).then_some(Way::InternetGateway)
            }
            RouteTarget::NetworkInterface(id) => of_vpc(id, Role::Instance).map(Way::Interface),
            RouteTarget::NatGateway(id) => {
                let interface = self.interfaces.nat_gateway(id);
                interface.and_then(|id| of_vpc(id, Role::NatGateway)).map(Way::NatGateway)
            }
            RouteTarget::EgressOnlyInternetGateway(id) => (self.vpcs.egress_only.get(id)
                == Some(vpc_id))
            .then_some(Way::EgressOnlyInternetGateway),
            RouteTarget::VpcPeeringConnection(id) => {
                let place = self.vpcs.peering_places.get(id).copied();
                let peering = place.and_then(|place| self.vpcs.peerings.get(place));
                let ours =
                    peering.zip(vpc).is_some_and(|(peering, vpc)| peering.vpcs.contains(&vpc));
                place.filter(|_| ours).map(Way::Peering)
            }
            RouteTarget::VpnGateway(id) => {
                (self.vpcs.vpn.get(id) == Some(vpc_id)).then_some(Way::VpnGateway)
            }
            RouteTarget::TransitGateway(id) => {
                let tie = (id.clone(), vpc_id.clone());
                self.vpcs.transit.contains(&tie).then_some(Way::TransitGateway)
            }
            RouteTarget::VpcEndpoint(id) => {
                self.endpoints.gateway(id, vpc).map(Way::GatewayEndpoint)
            }
        };
        way.unwrap_or(Way::Blackhole)
    }
}
