//! Records of all accounts, as the engine's policy and the services' view.

use std::{collections::HashSet, sync::Arc};

use gureum_engine::{Compiler, FabricConfig, Policy};
use gureum_store::{Key, Snapshot, Stored};
use gureum_types::{
    NetworkInterfaceId,
    record::{
        BlockPublicAccess, Instance, InstanceState, NatGateway, Network, NetworkInterface,
        PublicAccessExclusion, Scope, Subnet, Vpc, VpcEndpoint,
    },
    view::ServiceView,
};

use crate::{
    resource::{block_public_access, prefix_list},
    view::Parts,
};

/// Compiles a snapshot; its revision is the epoch of both.
pub fn compile(records: &Snapshot, fabric: &FabricConfig) -> (Policy, ServiceView) {
    let Compiled { policy, view, .. } = Compiled::new(Arc::new(records.clone()), fabric);
    (Arc::unwrap_or_clone(policy), Arc::unwrap_or_clone(view))
}

/// A compiled snapshot, with what is needed to compile the next one without what stayed the same.
pub(crate) struct Compiled {
    records: Arc<Snapshot>,
    network: Network,
    compiler: Compiler,
    parts: Parts,
    pub(crate) policy: Arc<Policy>,
    pub(crate) view: Arc<ServiceView>,
}

impl Compiled {
    pub(crate) fn new(records: Arc<Snapshot>, fabric: &FabricConfig) -> Self {
        let mut network = Network::default();
        update_network(&mut network, None, &records);
        let mut compiler = Compiler::new(fabric);
        let policy = Arc::new(compiler.compile(&network, records.revision()));
        let mut parts = Parts::default();
        parts.update(None, &records, &network.interfaces);
        let view = Arc::new(parts.view(records.revision()));
        Self { records, network, compiler, parts, policy, view }
    }

    /// Compiles a later snapshot. A policy or view that would say the same stays, with its epoch.
    pub(crate) fn next(mut self, records: Arc<Snapshot>) -> Self {
        let epoch = records.revision();
        if update_network(&mut self.network, Some(&self.records), &records) {
            self.policy = Arc::new(self.compiler.compile(&self.network, epoch));
        }
        if self.parts.update(Some(&self.records), &records, &self.network.interfaces) {
            self.view = Arc::new(self.parts.view(epoch));
        }
        self.records = records;
        self
    }

    /// The records with the policy that was compiled from them.
    pub(crate) fn model(&self) -> (Arc<Snapshot>, Arc<Policy>) {
        (self.records.clone(), self.policy.clone())
    }

    pub(crate) fn revision(&self) -> u64 {
        self.records.revision()
    }
}

/// Whether records of a kind differ from those of an earlier snapshot.
pub(crate) fn differs<T: Stored>(before: Option<&Snapshot>, records: &Snapshot) -> bool {
    before.is_none_or(|before| !records.same::<T>(before))
}

/// Whether the ports of an instance's interfaces are in use.
pub(crate) fn is_on(state: InstanceState) -> bool {
    use InstanceState::{Pending, Running, ShuttingDown, Stopping};
    matches!(state, Pending | Running | Stopping | ShuttingDown)
}

/// The instance that an interface is attached to.
fn attached<'a>(
    records: &'a Snapshot,
    scope: &Scope,
    interface: &NetworkInterface,
) -> Option<&'a Arc<Instance>> {
    let attachment = interface.attachment.as_ref()?;
    records.find::<Instance>(scope, attachment.instance_id.as_str())
}

/// Takes all records of a kind, if any of them changed; whether it did.
fn take<T: Stored>(list: &mut Vec<Arc<T>>, before: Option<&Snapshot>, records: &Snapshot) -> bool {
    let differs = differs::<T>(before, records);
    if differs {
        *list = records.everywhere::<T>().map(|(_, record)| record.clone()).collect();
    }
    differs
}

/// Records of a kind that belongs to accounts, with their scopes.
pub(crate) fn scoped<T: Stored>(records: &Snapshot) -> impl Iterator<Item = (&Scope, &Arc<T>)> {
    let scope = |key: &'_ Key| key.scope.is_some();
    records
        .everywhere::<T>()
        .filter(move |(key, _)| scope(key))
        .filter_map(|(key, record)| key.scope.as_ref().map(|scope| (scope, record)))
}

/// Brings what a policy is compiled from to these records; whether anything of it changed.
fn update_network(network: &mut Network, before: Option<&Snapshot>, records: &Snapshot) -> bool {
    let mut changed = differs::<Vpc>(before, records);
    if changed {
        let vpcs = scoped::<Vpc>(records);
        network.vpcs = vpcs.map(|(scope, vpc)| (scope.region.clone(), vpc.clone())).collect();
    }
    changed |= take(&mut network.subnets, before, records);
    changed |= take(&mut network.route_tables, before, records);
    changed |= take(&mut network.internet_gateways, before, records);
    changed |= take(&mut network.egress_only_internet_gateways, before, records);
    changed |= take(&mut network.nat_gateways, before, records);
    changed |= take(&mut network.vpc_peering_connections, before, records);
    changed |= take(&mut network.vpc_endpoints, before, records);
    if take(&mut network.prefix_lists, before, records) {
        network.prefix_lists.extend(prefix_list::of_services().iter().cloned());
        changed = true;
    }
    changed |= take(&mut network.security_groups, before, records);
    changed |= take(&mut network.security_group_rules, before, records);
    changed |= take(&mut network.network_acls, before, records);
    changed |= take(&mut network.dhcp_options, before, records);
    changed |= take(&mut network.addresses, before, records);
    changed |= take(&mut network.vpn_gateways, before, records);
    changed |= take(&mut network.transit_gateway_vpc_attachments, before, records);
    changed |= take(&mut network.flow_logs, before, records);
    if differs::<BlockPublicAccess>(before, records)
        || differs::<PublicAccessExclusion>(before, records)
        || differs::<Subnet>(before, records)
    {
        let restricted = block_public_access::restricted(records);
        if restricted != network.restricted_subnets {
            network.restricted_subnets = restricted;
            changed = true;
        }
    }
    // Of instances a policy knows only whether their ports are in use, and of gateways and endpoints
    // whether they carry packets.
    if differs::<NetworkInterface>(before, records)
        || differs::<Instance>(before, records)
        || differs::<NatGateway>(before, records)
        || differs::<VpcEndpoint>(before, records)
    {
        let gateways = network
            .nat_gateways
            .iter()
            .filter(|gateway| gateway.state.translates())
            .filter_map(|gateway| gateway.network_interface_id.as_ref());
        let endpoints = network.vpc_endpoints.iter().filter(|endpoint| endpoint.carries());
        let of_endpoints = endpoints.filter_map(|endpoint| endpoint.interface());
        let of_endpoints = of_endpoints.flat_map(|interface| &interface.interfaces);
        let of_services: HashSet<&NetworkInterfaceId> = gateways.chain(of_endpoints).collect();
        let interfaces: Vec<_> = scoped::<NetworkInterface>(records)
            .filter(|(scope, it)| {
                attached(records, scope, it).is_some_and(|it| is_on(it.state))
                    || of_services.contains(&it.id)
            })
            .map(|(_, it)| it.clone())
            .collect();
        let known = &network.interfaces;
        if interfaces.len() != known.len()
            || !interfaces.iter().zip(known).all(|(a, b)| Arc::ptr_eq(a, b))
        {
            network.interfaces = interfaces;
            changed = true;
        }
    }
    changed
}
