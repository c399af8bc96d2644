//! Records of all accounts, as the engine's policy and the services' view.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use gureum_engine::{FabricConfig, Policy};
use gureum_store::{Key, Snapshot, Stored};
use gureum_types::{
    InstanceId,
    record::{
        Address, DhcpOptions, Instance, InstanceState, InternetGateway, Network, NetworkAcl,
        NetworkInterface, RouteTable, Scope, SecurityGroup, SecurityGroupRule, Subnet, Vpc,
    },
    view::{InstanceView, InterfaceView, PublicAddressView, ServiceView, VpcView},
};

use crate::resource::{
    instance, network_interface,
    public_ip::{self, Mapping},
};

/// Compiles a snapshot; its revision is the epoch of both.
pub fn compile(records: &Snapshot, fabric: &FabricConfig) -> (Policy, ServiceView) {
    let network = network(records);
    let policy = gureum_engine::compile(&network, records.revision(), fabric);
    (policy, view(records, &network.interfaces))
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

fn every<T: Stored>(records: &Snapshot) -> Vec<Arc<T>> {
    records.everywhere::<T>().map(|(_, record)| record.clone()).collect()
}

/// Records of a kind that belongs to accounts, with their scopes.
fn scoped<T: Stored>(records: &Snapshot) -> impl Iterator<Item = (&Scope, &Arc<T>)> {
    let scope = |key: &'_ Key| key.scope.is_some();
    records
        .everywhere::<T>()
        .filter(move |(key, _)| scope(key))
        .filter_map(|(key, record)| key.scope.as_ref().map(|scope| (scope, record)))
}

fn network(records: &Snapshot) -> Network {
    let interfaces = scoped::<NetworkInterface>(records)
        .filter(|(scope, it)| attached(records, scope, it).is_some_and(|it| is_on(it.state)))
        .map(|(_, it)| it.clone());
    Network {
        vpcs: scoped::<Vpc>(records)
            .map(|(scope, vpc)| (scope.region.clone(), vpc.clone()))
            .collect(),
        subnets: every::<Subnet>(records),
        route_tables: every::<RouteTable>(records),
        internet_gateways: every::<InternetGateway>(records),
        security_groups: every::<SecurityGroup>(records),
        security_group_rules: every::<SecurityGroupRule>(records),
        network_acls: every::<NetworkAcl>(records),
        dhcp_options: every::<DhcpOptions>(records),
        interfaces: interfaces.collect(),
        addresses: every::<Address>(records),
    }
}

fn view(records: &Snapshot, in_use: &[Arc<NetworkInterface>]) -> ServiceView {
    let mut view = ServiceView { epoch: records.revision(), ..ServiceView::default() };
    for (scope, vpc) in scoped::<Vpc>(records) {
        view.vpcs.insert(vpc.id.clone(), Arc::new(vpc_view(records, scope, vpc)));
    }
    for (scope, interface) in scoped::<NetworkInterface>(records) {
        let mappings = public_ip::mappings(records, interface);
        for mapping in &mappings {
            let shown = PublicAddressView {
                vpc_id: interface.vpc_id.clone(),
                region: scope.region.clone(),
                private_address: mapping.private,
            };
            view.public_addresses.insert(mapping.public, shown);
        }
        if let Some(shown) = interface_view(records, scope, interface, &mappings) {
            view.interfaces.insert(interface.port, Arc::new(shown));
        }
    }
    // What has no port in use has no caller behind it.
    let ports: std::collections::HashSet<_> = in_use.iter().map(|it| it.port).collect();
    view.interfaces.retain(|port, _| ports.contains(port));
    for (scope, instance) in scoped::<Instance>(records) {
        if instance.state != InstanceState::Terminated {
            let shown = instance_view(records, scope, instance);
            view.instances.insert(instance.id.clone(), Arc::new(shown));
        }
    }
    view
}

fn vpc_view(records: &Snapshot, scope: &Scope, vpc: &Vpc) -> VpcView {
    let mut private_addresses: HashMap<Ipv4Addr, Option<InstanceId>> = HashMap::new();
    for interface in records.referrers::<NetworkInterface>(vpc.id.as_str()) {
        let instance = interface.attachment.as_ref().map(|it| it.instance_id.clone());
        for address in &interface.private_addresses {
            private_addresses.insert(*address, instance.clone());
        }
    }
    VpcView {
        id: vpc.id.clone(),
        region: scope.region.clone(),
        cidr_blocks: crate::resource::vpc::blocks(vpc),
        dns_support: vpc.enable_dns_support,
        dns_hostnames: vpc.enable_dns_hostnames,
        private_addresses,
    }
}

fn interface_view(
    records: &Snapshot,
    scope: &Scope,
    interface: &NetworkInterface,
    mappings: &[Mapping],
) -> Option<InterfaceView> {
    let subnet = records.find::<Subnet>(scope, interface.subnet_id.as_str())?;
    let groups = interface.groups.iter().map(|id| {
        let group = records.find::<SecurityGroup>(scope, id.as_str());
        (id.to_string(), group.map_or_else(String::new, |group| group.name.clone()))
    });
    Some(InterfaceView {
        instance_id: interface.attachment.as_ref().map(|it| it.instance_id.clone()),
        interface_id: interface.id.to_string(),
        vpc_id: interface.vpc_id.clone(),
        subnet_id: interface.subnet_id.to_string(),
        subnet_cidr_block: subnet.cidr_block,
        mac: network_interface::shown_mac(interface.mac),
        device_number: interface.attachment.as_ref().map_or(0, |it| it.device_index),
        private_addresses: interface.private_addresses.clone(),
        public_addresses: mappings.iter().map(|it| (it.public, it.private)).collect(),
        security_groups: groups.collect(),
        owner: scope.account.clone(),
    })
}

fn instance_view(records: &Snapshot, scope: &Scope, instance: &Instance) -> InstanceView {
    let interfaces = network_interface::of_instance(records, &instance.id);
    let primary = interfaces.first();
    let mut block_devices = vec![("ami".to_owned(), instance.root_device_name.clone())];
    for (number, volume) in instance::volumes(records, instance).iter().enumerate() {
        let Some(attachment) = &volume.attachment else { continue };
        let name = if number == 0 { "root".to_owned() } else { format!("ebs{number}") };
        block_devices.push((name, attachment.device.clone()));
    }
    // The key as it was at launch, with its name as the comment.
    let public_key = instance.key_name.clone().zip(instance.public_key.clone());
    InstanceView {
        instance_id: instance.id.clone(),
        account: scope.account.clone(),
        region: scope.region.clone(),
        availability_zone: instance.availability_zone.clone(),
        availability_zone_id: scope.region.zone_id(&instance.availability_zone).unwrap_or_default(),
        image_id: instance.image_id.to_string(),
        instance_type: instance.instance_type.clone(),
        reservation_id: instance.reservation_id.to_string(),
        launch_index: instance.launch_index,
        private_dns_name: primary
            .map_or_else(String::new, |it| instance::private_name(&scope.region, instance, it)),
        resource_name_dns_a_record: instance.resource_name_dns_a_record,
        public_key,
        user_data: instance.user_data.as_deref().map(Arc::from),
        metadata_options: instance.metadata_options.clone(),
        pending_time: instance.launch_time,
        block_devices,
        monitoring: instance.monitoring,
        tags: instance.tags.clone(),
        ports: interfaces.iter().map(|it| it.port).collect(),
    }
}
