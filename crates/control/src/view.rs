//! Records as the services inside VPCs see them: a view in parts, each made anew only when a
//! record that it is made from changed.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    hash::Hash,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use gureum_store::Snapshot;
use gureum_types::{
    EndpointService, InstanceId, PortIndex, VpcId,
    record::{
        Address, IamInstanceProfileAssociation, Instance, InstanceProfile, InstanceState,
        NatGateway, NetworkInterface, Role, Scope, SecurityGroup, SessionCredential, Subnet,
        Volume, Vpc, VpcEndpoint, VpcEndpointKind, VpcPeeringConnection,
    },
    view::{
        EndpointView, InstanceProfileView, InstanceView, InterfaceView, ProfileGives,
        PublicAddressView, ServiceView, VpcView,
    },
};

use crate::{
    compile::{differs, scoped},
    reconcile::role_credentials,
    resource::{
        iam_instance_profile, instance, network_interface,
        public_ip::{self, Mapping},
        vpc_endpoint, vpc_peering_connection,
    },
};

/// What a part of a view was made from. Held, so that no other record comes to the same place.
type Sources = Vec<Arc<dyn Any + Send + Sync>>;

fn same_sources(a: &Sources, b: &Sources) -> bool {
    let places =
        |sources: &Sources| sources.iter().map(|it| Arc::as_ptr(it).cast::<()>()).collect();
    let (a, b): (Vec<_>, Vec<_>) = (places(a), places(b));
    a == b
}

/// A part of a view with what it was made from.
struct Part<V> {
    sources: Sources,
    made: Arc<V>,
}

impl<V> Part<V> {
    /// The part as it was, if it was made from the same records.
    fn remade<K: Eq + Hash>(
        known: &mut HashMap<K, Self>,
        key: &K,
        sources: Sources,
        make: impl FnOnce() -> V,
    ) -> Self {
        match known.remove(key) {
            Some(part) if same_sources(&part.sources, &sources) => part,
            _ => Self { sources, made: Arc::new(make()) },
        }
    }
}

/// The parts that a view is put together from.
#[derive(Default)]
pub(crate) struct Parts {
    vpcs: HashMap<VpcId, Part<VpcView>>,
    interfaces: HashMap<PortIndex, Part<InterfaceView>>,
    public_addresses: HashMap<Ipv4Addr, PublicAddressView>,
    instances: HashMap<InstanceId, Part<InstanceView>>,
    endpoints: HashMap<PortIndex, Arc<EndpointView>>,
    endpoint_names: HashMap<String, Vec<Ipv4Addr>>,
}

impl Parts {
    /// Makes anew what was made from other records than these; whether there was anything.
    pub(crate) fn update(
        &mut self,
        before: Option<&Snapshot>,
        records: &Snapshot,
        in_use: &[Arc<NetworkInterface>],
    ) -> bool {
        let interfaces = differs::<NetworkInterface>(before, records);
        let instances = differs::<Instance>(before, records);
        let vpc_views = interfaces
            || differs::<Vpc>(before, records)
            || differs::<VpcEndpoint>(before, records)
            || differs::<VpcPeeringConnection>(before, records);
        let endpoint_views = interfaces || differs::<VpcEndpoint>(before, records);
        // Of gateways it counts whether they are in use: their interfaces call endpoints.
        let interface_views = interfaces
            || instances
            || differs::<NatGateway>(before, records)
            || differs::<Address>(before, records)
            || differs::<Subnet>(before, records)
            || differs::<SecurityGroup>(before, records);
        let instance_views = interfaces
            || instances
            || differs::<Volume>(before, records)
            || differs::<InstanceProfile>(before, records)
            || differs::<Role>(before, records)
            || differs::<SessionCredential>(before, records);
        if vpc_views {
            self.update_vpcs(records);
        }
        if interface_views {
            self.update_interfaces(records, in_use);
        }
        if instance_views {
            self.update_instances(records);
        }
        if endpoint_views {
            self.update_endpoints(records);
        }
        vpc_views || interface_views || instance_views || endpoint_views
    }

    fn update_vpcs(&mut self, records: &Snapshot) {
        let mut known = std::mem::take(&mut self.vpcs);
        for (scope, vpc) in scoped::<Vpc>(records) {
            let mut sources: Sources = vec![vpc.clone()];
            for interface in records.referrers::<NetworkInterface>(vpc.id.as_str()) {
                sources.push(interface.clone());
            }
            for peering in records.referrers::<VpcPeeringConnection>(vpc.id.as_str()) {
                sources.push(peering.clone());
            }
            for endpoint in records.referrers::<VpcEndpoint>(vpc.id.as_str()) {
                sources.push(endpoint.clone());
            }
            let part = Part::remade(&mut known, &vpc.id, sources, || vpc_view(records, scope, vpc));
            self.vpcs.insert(vpc.id.clone(), part);
        }
    }

    fn update_interfaces(&mut self, records: &Snapshot, in_use: &[Arc<NetworkInterface>]) {
        // What has no port in use has no caller behind it, nor has an endpoint.
        let calls = |it: &&Arc<NetworkInterface>| it.interface_type != vpc_endpoint::INTERFACE_TYPE;
        let ports: HashSet<_> = in_use.iter().filter(calls).map(|it| it.port).collect();
        let mut known = std::mem::take(&mut self.interfaces);
        self.public_addresses.clear();
        for (scope, interface) in scoped::<NetworkInterface>(records) {
            let mappings = public_ip::mappings(records, interface);
            for mapping in &mappings {
                let shown = PublicAddressView {
                    vpc_id: interface.vpc_id.clone(),
                    region: scope.region.clone(),
                    private_address: mapping.private,
                };
                self.public_addresses.insert(mapping.public, shown);
            }
            let subnet = records.find::<Subnet>(scope, interface.subnet_id.as_str());
            let Some(subnet) = subnet.filter(|_| ports.contains(&interface.port)) else { continue };
            let mut sources: Sources = vec![interface.clone(), subnet.clone()];
            for id in &interface.groups {
                if let Some(group) = records.find::<SecurityGroup>(scope, id.as_str()) {
                    sources.push(group.clone());
                }
            }
            for address in records.referrers::<Address>(interface.id.as_str()) {
                sources.push(address.clone());
            }
            let make = || interface_view(records, scope, interface, subnet, &mappings);
            let part = Part::remade(&mut known, &interface.port, sources, make);
            self.interfaces.insert(interface.port, part);
        }
    }

    fn update_instances(&mut self, records: &Snapshot) {
        let mut known = std::mem::take(&mut self.instances);
        for (scope, instance) in scoped::<Instance>(records) {
            if instance.state == InstanceState::Terminated {
                continue;
            }
            let mut sources: Sources = vec![instance.clone()];
            for interface in records.referrers::<NetworkInterface>(instance.id.as_str()) {
                sources.push(interface.clone());
            }
            for volume in records.referrers::<Volume>(instance.id.as_str()) {
                sources.push(volume.clone());
            }
            if let Some(profile) = iam_instance_profile::profile(records, instance) {
                sources.push(profile.clone());
                if let Some(role) = iam_instance_profile::role(records, &scope.account, profile) {
                    sources.push(role.clone());
                }
            }
            for session in records.referrers::<SessionCredential>(instance.id.as_str()) {
                sources.push(session.clone());
            }
            let make = || instance_view(records, scope, instance);
            let part = Part::remade(&mut known, &instance.id, sources, make);
            self.instances.insert(instance.id.clone(), part);
        }
    }

    fn update_endpoints(&mut self, records: &Snapshot) {
        self.endpoints.clear();
        self.endpoint_names.clear();
        for (scope, endpoint) in scoped::<VpcEndpoint>(records).filter(|(_, it)| it.carries()) {
            let Some(service) = EndpointService::of(&endpoint.service_name) else { continue };
            let interfaces = vpc_endpoint::interfaces_of(records, scope, endpoint);
            let ports: Vec<PortIndex> = match &endpoint.kind {
                VpcEndpointKind::Gateway { port } => vec![*port],
                VpcEndpointKind::Interface(_) => interfaces.iter().map(|it| it.port).collect(),
            };
            let view = Arc::new(EndpointView {
                id: endpoint.id.clone(),
                vpc_id: endpoint.vpc_id.clone(),
                region: scope.region.clone(),
                service,
                is_gateway: endpoint.interface().is_none(),
            });
            self.endpoints.extend(ports.into_iter().map(|port| (port, view.clone())));
            let names = vpc_endpoint::names_for_everybody(&scope.region, endpoint, &interfaces);
            self.endpoint_names.extend(names);
        }
    }

    pub(crate) fn view(&self, epoch: u64) -> ServiceView {
        fn made<K: Clone + Eq + Hash, V>(parts: &HashMap<K, Part<V>>) -> HashMap<K, Arc<V>> {
            parts.iter().map(|(key, part)| (key.clone(), part.made.clone())).collect()
        }
        ServiceView {
            epoch,
            interfaces: made(&self.interfaces),
            instances: made(&self.instances),
            vpcs: made(&self.vpcs),
            public_addresses: self.public_addresses.clone(),
            endpoints: self.endpoints.clone(),
            endpoint_names: self.endpoint_names.clone(),
        }
    }
}

fn vpc_view(records: &Snapshot, scope: &Scope, vpc: &Vpc) -> VpcView {
    let mut private_addresses: HashMap<Ipv4Addr, Option<InstanceId>> = HashMap::new();
    let mut ipv6_addresses: HashMap<Ipv6Addr, Option<InstanceId>> = HashMap::new();
    for interface in records.referrers::<NetworkInterface>(vpc.id.as_str()) {
        let instance = interface.attachment.as_ref().map(|it| it.instance_id.clone());
        for address in &interface.private_addresses {
            private_addresses.insert(*address, instance.clone());
        }
        for address in &interface.ipv6_addresses {
            ipv6_addresses.insert(*address, instance.clone());
        }
    }
    let mut service_names = HashMap::new();
    for endpoint in records.referrers::<VpcEndpoint>(vpc.id.as_str()).filter(|it| it.carries()) {
        let interfaces = vpc_endpoint::interfaces_of(records, scope, endpoint);
        service_names.extend(vpc_endpoint::names_in_vpc(&scope.region, endpoint, &interfaces));
    }
    VpcView {
        id: vpc.id.clone(),
        region: scope.region.clone(),
        cidr_blocks: crate::resource::vpc::blocks(vpc),
        ipv6_cidr_blocks: crate::resource::vpc::ipv6_blocks(vpc),
        dns_support: vpc.enable_dns_support,
        dns_hostnames: vpc.enable_dns_hostnames,
        private_addresses,
        ipv6_addresses,
        dns_peers: vpc_peering_connection::with_dns(records, &vpc.id),
        service_names,
    }
}

fn interface_view(
    records: &Snapshot,
    scope: &Scope,
    interface: &NetworkInterface,
    subnet: &Subnet,
    mappings: &[Mapping],
) -> InterfaceView {
    let groups = interface.groups.iter().map(|id| {
        let group = records.find::<SecurityGroup>(scope, id.as_str());
        (id.to_string(), group.map_or_else(String::new, |group| group.name.clone()))
    });
    InterfaceView {
        instance_id: interface.attachment.as_ref().map(|it| it.instance_id.clone()),
        interface_id: interface.id.to_string(),
        vpc_id: interface.vpc_id.clone(),
        subnet_id: interface.subnet_id.to_string(),
        subnet_cidr_block: subnet.cidr_block,
        subnet_ipv6_cidr_block: subnet.ipv6_block(),
        dns64: subnet.enable_dns64,
        mac: network_interface::shown_mac(interface.mac),
        device_number: interface.attachment.as_ref().map_or(0, |it| it.device_index),
        private_addresses: interface.private_addresses.clone(),
        ipv6_addresses: interface.ipv6_addresses.clone(),
        public_addresses: mappings.iter().map(|it| (it.public, it.private)).collect(),
        security_groups: groups.collect(),
        owner: scope.account.clone(),
    }
}

fn profile_view(
    records: &Snapshot,
    scope: &Scope,
    instance: &Instance,
    association: &IamInstanceProfileAssociation,
) -> InstanceProfileView {
    let profile = iam_instance_profile::profile(records, instance);
    let role = profile.map(|it| iam_instance_profile::role(records, &scope.account, it));
    let gives = match role {
        None => ProfileGives::Deleted,
        Some(None) => ProfileGives::NoRole,
        Some(Some(role)) => match role_credentials::of_instance(records, instance, role) {
            _ if !role_credentials::trusts_ec2(role) => {
                ProfileGives::Unauthorized(role.name.clone())
            }
            Some(session) => ProfileGives::Role(role.name.clone(), session.clone()),
            None => ProfileGives::Pending,
        },
    };
    InstanceProfileView {
        arn: association.arn.clone(),
        id: association.profile_id.clone(),
        associated: association.associated,
        gives,
    }
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
        resource_name_dns_aaaa_record: instance.resource_name_dns_aaaa_record,
        public_key,
        user_data: instance.user_data.as_deref().map(Arc::from),
        metadata_options: instance.metadata_options.clone(),
        connect_keys: instance.connect_keys.clone(),
        pending_time: instance.launch_time,
        block_devices,
        monitoring: instance.monitoring,
        identity: role_credentials::of_itself(records, instance).cloned(),
        instance_profile: instance
            .iam_instance_profile
            .as_ref()
            .map(|association| profile_view(records, scope, instance, association)),
        tags: instance.tags.clone().into_iter().collect(),
        ports: interfaces.iter().map(|it| it.port).collect(),
    }
}
