//! From records to policy. References to records that are not there become drops with a name.

use std::{
    collections::{HashMap as StdHashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use foldhash::fast::FixedState;
use gureum_types::{
    EgressOnlyInternetGatewayId, InternetGatewayId, NatGatewayId, NetworkInterfaceId, PortIndex,
    PrefixListId, Region, SecurityGroupId, ServiceDoor, SubnetId, VpcId, VpcPeeringConnectionId,
    record::{self, Network, PeeringStatus, PrefixListEntry, RouteTarget},
};
use hashbrown::HashMap;
use ipnet::IpNet;

use super::{
    Component, ComponentIndex, DhcpConfig, FabricConfig, Interface, Peering, Policy, PortInfo,
    PortKind, PortSlot, Role, Subnet, Vpc,
    acl::Acl,
    routes::{self, Way},
    rule_set::{GroupIndex, NumberedRule, RuleSet},
};
use crate::{address::Address, state::flow::Timeouts};

/// Compiles the records. It never fails: references to records that are not there become drops
/// with a name.
pub fn compile(network: &Network, epoch: u64, fabric: &FabricConfig) -> Policy {
    let mut compiler = Compiler::new(network, epoch, fabric);
    compiler.vpcs();
    compiler.peerings();
    compiler.subnets();
    compiler.interfaces();
    compiler.route_tables();
    compiler.network_acls();
    compiler.policy
}

/// What rule sets are shared by: the groups of an interface, sorted.
type GroupList = Vec<SecurityGroupId>;

struct Compiler<'a> {
    network: &'a Network,
    policy: Policy,
    vpc_places: StdHashMap<&'a VpcId, usize>,
    subnet_places: StdHashMap<&'a SubnetId, usize>,
    interface_places: StdHashMap<&'a NetworkInterfaceId, usize>,
    peering_places: StdHashMap<&'a VpcPeeringConnectionId, usize>,
    group_numbers: StdHashMap<SecurityGroupId, GroupIndex>,
    prefix_lists: StdHashMap<&'a PrefixListId, &'a [PrefixListEntry]>,
}

impl<'a> Compiler<'a> {
    fn new(network: &'a Network, epoch: u64, fabric: &FabricConfig) -> Self {
        let ports = vec![
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
        let policy = Policy {
            epoch,
            fabric: *fabric,
            ports,
            components: Vec::new(),
            slots: Vec::new(),
            interfaces: Vec::new(),
            subnets: Vec::new(),
            vpcs: Vec::new(),
            acls: Vec::new(),
            tables: Vec::new(),
            peerings: Vec::new(),
            private: HashMap::with_hasher(FixedState::default()),
            public: HashMap::with_hasher(FixedState::default()),
            stations: HashMap::with_hasher(FixedState::default()),
        };
        Self {
            network,
            policy,
            vpc_places: StdHashMap::new(),
            subnet_places: StdHashMap::new(),
            interface_places: StdHashMap::new(),
            peering_places: StdHashMap::new(),
            group_numbers: StdHashMap::new(),
            prefix_lists: network
                .prefix_lists
                .iter()
                .map(|list| (&list.id, list.entries.as_slice()))
                .collect(),
        }
    }

    fn vpcs(&mut self) {
        let attached: HashSet<&VpcId> =
            self.network.internet_gateways.iter().filter_map(|g| g.vpc_id.as_ref()).collect();
        let egress_only: HashSet<&VpcId> =
            self.network.egress_only_internet_gateways.iter().map(|g| &g.vpc_id).collect();
        let options: StdHashMap<_, _> =
            self.network.dhcp_options.iter().map(|options| (&options.id, options)).collect();
        for (_, vpc) in &self.network.vpcs {
            let resolver = u32::from(vpc.cidr_block.network()).wrapping_add(2);
            let options = vpc.dhcp_options.as_ref().and_then(|id| options.get(id));
            self.vpc_places.insert(&vpc.id, self.policy.vpcs.len());
            self.policy.vpcs.push(Vpc {
                resolver: Address::v4(resolver),
                resolver_enabled: vpc.enable_dns_support,
                has_internet_gateway: attached.contains(&vpc.id),
                has_egress_only_gateway: egress_only.contains(&vpc.id),
                edge_table: None,
                peers: Vec::new(),
                dhcp: options.map(|o| dhcp_config(o, resolver)).unwrap_or_default(),
            });
        }
    }

    /// Only what is active carries packets; all else is as good as gone (RT-12, RT-21).
    fn peerings(&mut self) {
        let regions: StdHashMap<&VpcId, &Region> =
            self.network.vpcs.iter().map(|(region, vpc)| (&vpc.id, region)).collect();
        for connection in &self.network.vpc_peering_connections {
            let sides = [&connection.requester.vpc_id, &connection.accepter.vpc_id];
            let [Some(&one), Some(&two)] = sides.map(|vpc| self.vpc_places.get(vpc)) else {
                continue;
            };
            if connection.status != PeeringStatus::Active {
                continue;
            }
            let [first, second] = sides.map(|vpc| regions.get(vpc));
            let same_region = first == second;
            self.peering_places.insert(&connection.id, self.policy.peerings.len());
            self.policy.peerings.push(Peering { vpcs: [one, two], same_region });
            if same_region {
                for (own, other) in [(one, two), (two, one)] {
                    if let Some(vpc) = self.policy.vpcs.get_mut(own) {
                        vpc.peers.push(other);
                    }
                }
            }
        }
    }

    fn subnets(&mut self) {
        let macs: HashSet<[u8; 6]> =
            self.network.interfaces.iter().map(|interface| interface.mac).collect();
        for subnet in &self.network.subnets {
            let Some(&vpc) = self.vpc_places.get(&subnet.vpc_id) else { continue };
            self.subnet_places.insert(&subnet.id, self.policy.subnets.len());
            self.policy.subnets.push(Subnet {
                id: subnet.id.clone(),
                block: subnet.cidr_block.map(|block| block.trunc()),
                ipv6_block: subnet.ipv6_block().map(|block| block.trunc()),
                vpc,
                router_mac: router_mac(&subnet.id, &macs),
                acl: None,
                table: None,
            });
        }
    }

    fn interfaces(&mut self) {
        let rules = self.rules_by_group();
        let mut rule_sets: StdHashMap<GroupList, (Arc<RuleSet>, Arc<RuleSet>)> = StdHashMap::new();
        let mut elastic: StdHashMap<&NetworkInterfaceId, Vec<(Ipv4Addr, Ipv4Addr)>> =
            StdHashMap::new();
        for address in &self.network.addresses {
            if let Some(association) = &address.association {
                elastic
                    .entry(&association.network_interface_id)
                    .or_default()
                    .push((association.private_ip, address.public_ip));
            }
        }
        let gateways: HashSet<&NetworkInterfaceId> = self
            .network
            .nat_gateways
            .iter()
            .filter_map(|gateway| gateway.network_interface_id.as_ref())
            .collect();
        for interface in &self.network.interfaces {
            let port = interface.port;
            let Some(slot) = self.free_slot(port) else { continue };
            self.policy.ports.push(PortInfo {
                port,
                mac: interface.mac,
                kind: PortKind::Interface {
                    id: interface.id.clone(),
                    address: first_address(interface),
                },
            });
            let Some(&subnet) = self.subnet_places.get(&interface.subnet_id) else {
                self.set_slot(slot, PortSlot::Broken);
                continue;
            };
            let mut groups: GroupList = interface.groups.clone();
            groups.sort_unstable();
            groups.dedup();
            let mut numbers: Vec<GroupIndex> =
                groups.iter().map(|id| number_of(&mut self.group_numbers, id)).collect();
            numbers.sort_unstable();
            let (group_numbers, prefix_lists) = (&mut self.group_numbers, &self.prefix_lists);
            let (egress, ingress) = rule_sets
                .entry(groups)
                .or_insert_with_key(|groups| {
                    let mut compile = |egress| {
                        let mut chosen: Vec<NumberedRule<'_>> = groups
                            .iter()
                            .filter_map(|id| rules.get(id))
                            .flatten()
                            .filter(|(rule, _)| rule.egress == egress)
                            .copied()
                            .collect();
                        chosen.sort_by_key(|(_, index)| *index);
                        Arc::new(RuleSet::compile(
                            &chosen,
                            |id| number_of(group_numbers, id),
                            |id| prefix_lists.get(id).copied().unwrap_or_default(),
                        ))
                    };
                    (compile(true), compile(false))
                })
                .clone();
            let own = elastic.get(&interface.id).map_or(&[][..], Vec::as_slice);
            let place = self.policy.interfaces.len();
            self.set_slot(slot, PortSlot::Interface(place));
            self.interface_places.insert(&interface.id, place);
            self.policy.interfaces.push(Interface {
                port,
                mac: interface.mac,
                subnet,
                role: match gateways.contains(&interface.id) {
                    true => Role::NatGateway,
                    false => Role::Instance,
                },
                addresses: addresses(interface, own),
                ipv6: interface.ipv6_addresses.iter().copied().map(Address::from).collect(),
                source_dest_check: interface.source_dest_check,
                timeouts: match gateways.contains(&interface.id) {
                    true => Timeouts::NAT_GATEWAY,
                    false => Timeouts::of(&interface.connection_tracking),
                },
                groups: numbers.into(),
                egress,
                ingress,
            });
            self.index_interface(place);
        }
    }

    /// Makes an interface findable by its addresses. Of two with the same one the first has it.
    fn index_interface(&mut self, place: usize) {
        let policy = &mut self.policy;
        let Some(interface) = policy.interfaces.get(place) else { return };
        let Some(subnet) = policy.subnets.get(interface.subnet) else { return };
        let vpc = policy.vpcs.get(subnet.vpc);
        let reachable = vpc.is_some_and(|vpc| vpc.has_internet_gateway);
        let answerable = vpc.is_some_and(|vpc| vpc.has_egress_only_gateway);
        policy.stations.entry((interface.subnet, interface.mac)).or_insert(place);
        for &(private, public) in &interface.addresses {
            policy.private.entry((subnet.vpc, private)).or_insert(place);
            if let Some(public) = public.filter(|_| reachable) {
                policy.public.entry(public).or_insert((place, private));
            }
        }
        for &address in &interface.ipv6 {
            policy.private.entry((subnet.vpc, address)).or_insert(place);
            if reachable || answerable {
                policy.public.entry(address).or_insert((place, address));
            }
        }
    }

    fn rules_by_group(&mut self) -> StdHashMap<&'a SecurityGroupId, Vec<NumberedRule<'a>>> {
        let known: HashSet<&SecurityGroupId> =
            self.network.security_groups.iter().map(|group| &group.id).collect();
        let mut rules: StdHashMap<_, Vec<NumberedRule<'a>>> = StdHashMap::new();
        for rule in &self.network.security_group_rules {
            if !known.contains(&rule.group_id) {
                continue;
            }
            let components = &mut self.policy.components;
            let index = ComponentIndex(u32::try_from(components.len()).unwrap_or(u32::MAX));
            components.push(Component::SecurityGroupRule {
                group: rule.group_id.clone(),
                rule: rule.id.clone(),
            });
            rules.entry(&rule.group_id).or_default().push((rule.as_ref(), index));
        }
        rules
    }

    fn route_tables(&mut self) {
        let network = self.network;
        let blocks: StdHashMap<&VpcId, Vec<IpNet>> =
            network.vpcs.iter().map(|(_, vpc)| (&vpc.id, blocks(vpc))).collect();
        let gateways = Gateways::of(network);
        let mut main: StdHashMap<usize, usize> = StdHashMap::new();
        for table in &network.route_tables {
            let place = self.policy.tables.len();
            let local = blocks.get(&table.vpc_id).map_or(&[][..], Vec::as_slice);
            let mut components = std::mem::take(&mut self.policy.components);
            let way = |target: &RouteTarget, destination: IpNet| {
                self.way(&gateways, &table.vpc_id, target, destination)
            };
            let list = |id: &PrefixListId| self.prefix_lists.get(id).copied().unwrap_or_default();
            let compiled = routes::compile(table, local, &mut components, list, way);
            self.policy.components = components;
            self.policy.tables.push(compiled);
            for association in &table.associations {
                if let Some(id) = &association.subnet_id {
                    if let Some(subnet) = self.subnet_of(id, &table.vpc_id) {
                        subnet.table = Some(place);
                    }
                } else if let Some(id) = &association.gateway_id {
                    let attached = gateways.internet.get(id) == Some(&&table.vpc_id);
                    let vpc = self.vpc_places.get(&table.vpc_id).filter(|_| attached);
                    if let Some(vpc) = vpc.and_then(|&vpc| self.policy.vpcs.get_mut(vpc)) {
                        vpc.edge_table = Some(place);
                    }
                } else if association.main
                    && let Some(&vpc) = self.vpc_places.get(&table.vpc_id)
                {
                    main.insert(vpc, place);
                }
            }
        }
        for subnet in &mut self.policy.subnets {
            subnet.table = subnet.table.or_else(|| main.get(&subnet.vpc).copied());
        }
    }

    /// Where a target leads to, from a table of a VPC (RT-12).
    fn way(
        &self,
        gateways: &Gateways<'_>,
        vpc_id: &VpcId,
        target: &RouteTarget,
        destination: IpNet,
    ) -> Way {
        let vpc = self.vpc_places.get(vpc_id).copied();
        let of_vpc = |id: &NetworkInterfaceId, role: Role| {
            let place = *self.interface_places.get(id)?;
            let interface = self.policy.interfaces.get(place)?;
            let subnet = self.policy.subnets.get(interface.subnet)?;
            (Some(subnet.vpc) == vpc && interface.role == role).then_some(place)
        };
        let way = match target {
            RouteTarget::Local => Some(Way::Local),
            RouteTarget::InternetGateway(id) => {
                (gateways.internet.get(id) == Some(&vpc_id)).then_some(Way::InternetGateway)
            }
            RouteTarget::NetworkInterface(id) => of_vpc(id, Role::Instance).map(Way::Interface),
            RouteTarget::NatGateway(id) => {
                let interface = gateways.nat.get(id);
                interface.and_then(|id| of_vpc(id, Role::NatGateway)).map(Way::NatGateway)
            }
            RouteTarget::EgressOnlyInternetGateway(id) => {
                (gateways.egress_only.get(id) == Some(&vpc_id) && destination.addr().is_ipv6())
                    .then_some(Way::EgressOnlyInternetGateway)
            }
            RouteTarget::VpcPeeringConnection(id) => {
                let place = self.peering_places.get(id).copied();
                let peering = place.and_then(|place| self.policy.peerings.get(place));
                let ours =
                    peering.zip(vpc).is_some_and(|(peering, vpc)| peering.vpcs.contains(&vpc));
                place.filter(|_| ours).map(Way::Peering)
            }
        };
        way.unwrap_or(Way::Blackhole)
    }

    fn network_acls(&mut self) {
        let mut default: StdHashMap<usize, usize> = StdHashMap::new();
        for acl in &self.network.network_acls {
            let place = self.policy.acls.len();
            self.policy.acls.push(Acl::compile(acl, &mut self.policy.components));
            if let Some(&vpc) = self.vpc_places.get(&acl.vpc_id).filter(|_| acl.is_default) {
                default.insert(vpc, place);
            }
            for association in &acl.associations {
                if let Some(subnet) = self.subnet_of(&association.subnet_id, &acl.vpc_id) {
                    subnet.acl = Some(place);
                }
            }
        }
        for subnet in &mut self.policy.subnets {
            // A subnet that is associated with nothing has its VPC's default list (NACL-6).
            subnet.acl = subnet.acl.or_else(|| default.get(&subnet.vpc).copied());
        }
    }

    /// A subnet, if it is one of a VPC: nothing can be associated across VPCs.
    fn subnet_of(&mut self, id: &SubnetId, vpc: &VpcId) -> Option<&mut Subnet> {
        let vpc = *self.vpc_places.get(vpc)?;
        let subnet = self.policy.subnets.get_mut(*self.subnet_places.get(id)?)?;
        (subnet.vpc == vpc).then_some(subnet)
    }

    /// The place of a port in the table of ports, if it can be an interface's and is not taken.
    fn free_slot(&mut self, port: PortIndex) -> Option<usize> {
        if port < PortIndex::FIRST_INTERFACE || port >= PortIndex::END {
            return None;
        }
        let slot = usize::try_from(port.0).ok()?;
        if slot >= self.policy.slots.len() {
            self.policy.slots.resize(slot + 1, PortSlot::Unused);
        }
        (self.policy.slots.get(slot) == Some(&PortSlot::Unused)).then_some(slot)
    }

    fn set_slot(&mut self, slot: usize, value: PortSlot) {
        if let Some(place) = self.policy.slots.get_mut(slot) {
            *place = value;
        }
    }
}

fn number_of(
    numbers: &mut StdHashMap<SecurityGroupId, GroupIndex>,
    id: &SecurityGroupId,
) -> GroupIndex {
    let next = GroupIndex(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    *numbers.entry(id.clone()).or_insert(next)
}

/// Gateways by id, with what they belong to.
struct Gateways<'a> {
    internet: StdHashMap<&'a InternetGatewayId, &'a VpcId>,
    egress_only: StdHashMap<&'a EgressOnlyInternetGatewayId, &'a VpcId>,
    /// NAT gateways that translate, with their interfaces.
    nat: StdHashMap<&'a NatGatewayId, &'a NetworkInterfaceId>,
}

impl<'a> Gateways<'a> {
    fn of(network: &'a Network) -> Self {
        let internet = network.internet_gateways.iter();
        let egress_only = network.egress_only_internet_gateways.iter();
        let nat = network.nat_gateways.iter().filter(|gateway| gateway.state.translates());
        Self {
            internet: internet.filter_map(|g| Some((&g.id, g.vpc_id.as_ref()?))).collect(),
            egress_only: egress_only.map(|g| (&g.id, &g.vpc_id)).collect(),
            nat: nat.filter_map(|g| Some((&g.id, g.network_interface_id.as_ref()?))).collect(),
        }
    }
}

/// The blocks of a VPC, each of which has a local route (RT-1).
fn blocks(vpc: &record::Vpc) -> Vec<IpNet> {
    let mut blocks = vec![IpNet::from(vpc.cidr_block.trunc())];
    blocks.extend(vpc.cidr_associations.iter().map(|a| IpNet::from(a.cidr_block.trunc())));
    blocks.extend(vpc.ipv6_cidr_associations.iter().map(|a| IpNet::from(a.cidr_block.trunc())));
    blocks.dedup();
    blocks
}

/// The address that an interface is called by.
fn first_address(interface: &record::NetworkInterface) -> IpAddr {
    let ipv4 = interface.private_addresses.first().copied().map(IpAddr::from);
    let ipv6 = interface.ipv6_addresses.first().copied().map(IpAddr::from);
    ipv4.or(ipv6).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
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

/// A MAC address for a subnet's router: locally administered, always the same for the subnet,
/// never an interface's.
fn router_mac(subnet: &SubnetId, taken: &HashSet<[u8; 6]>) -> [u8; 6] {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    loop {
        for byte in subnet.as_str().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let [.., a, b, c, d] = (hash ^ (hash >> 32)).to_be_bytes();
        let mac = [0x02, 0x67, a, b, c, d];
        if !taken.contains(&mac) {
            return mac;
        }
    }
}

/// What a set of DHCP options says (DHCP-3), each family's DHCP what it can tell.
fn dhcp_config(options: &record::DhcpOptions, resolver: u32) -> DhcpConfig {
    let mut config = DhcpConfig::default();
    for (key, values) in &options.configurations {
        let ipv4 = || values.iter().filter_map(|v| v.parse::<Ipv4Addr>().ok()).map(u32::from);
        let ipv6 = || values.iter().filter_map(|v| v.parse::<Ipv6Addr>().ok()).map(u128::from);
        match key.as_str() {
            "domain-name" => config.domain_name = values.first().cloned(),
            "domain-name-servers" => {
                let door = ServiceDoor::ResolverLinkLocal.ipv6_known_address().map(u128::from);
                for value in values {
                    match value.parse::<IpAddr>() {
                        Ok(IpAddr::V4(address)) => config.dns.push(address.into()),
                        Ok(IpAddr::V6(address)) => config.dns_ipv6.push(address.into()),
                        Err(_) if value == "AmazonProvidedDNS" => {
                            config.dns.push(resolver);
                            config.dns_ipv6.extend(door);
                        }
                        Err(_) => {}
                    }
                }
            }
            "ntp-servers" => {
                config.ntp = ipv4().collect();
                config.ntp_ipv6 = ipv6().collect();
            }
            "netbios-name-servers" => config.netbios = ipv4().collect(),
            "netbios-node-type" => {
                config.netbios_node_type = values.first().and_then(|value| value.parse().ok());
            }
            _ => {}
        }
    }
    config
}
