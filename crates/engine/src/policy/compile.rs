//! From records to policy. References to records that are not there become drops with a name.

use std::{
    collections::{HashMap as StdHashMap, HashSet},
    net::Ipv4Addr,
    sync::Arc,
};

use foldhash::fast::FixedState;
use gureum_types::{
    NetworkInterfaceId, PortIndex, SecurityGroupId, SubnetId, VpcId,
    record::{self, Network, RouteTarget, router_address},
};
use hashbrown::HashMap;

use super::{
    Component, ComponentIndex, DhcpConfig, FabricConfig, Interface, Policy, PortInfo, PortKind,
    PortSlot, Subnet, Vpc,
    acl::Acl,
    routes::{self, Way},
    rule_set::{GroupIndex, NumberedRule, RuleSet},
};

/// Compiles the records. It never fails: references to records that are not there become drops
/// with a name.
pub fn compile(network: &Network, epoch: u64, fabric: &FabricConfig) -> Policy {
    let mut compiler = Compiler::new(network, epoch, fabric);
    compiler.vpcs();
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
    group_numbers: StdHashMap<SecurityGroupId, GroupIndex>,
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
            group_numbers: StdHashMap::new(),
        }
    }

    fn vpcs(&mut self) {
        let attached: HashSet<&VpcId> =
            self.network.internet_gateways.iter().filter_map(|g| g.vpc_id.as_ref()).collect();
        for (_, vpc) in &self.network.vpcs {
            let resolver = u32::from(vpc.cidr_block.network()).wrapping_add(2);
            let options = vpc
                .dhcp_options
                .as_ref()
                .and_then(|id| self.network.dhcp_options.iter().find(|options| options.id == *id));
            self.vpc_places.insert(&vpc.id, self.policy.vpcs.len());
            self.policy.vpcs.push(Vpc {
                resolver,
                resolver_enabled: vpc.enable_dns_support,
                has_internet_gateway: attached.contains(&vpc.id),
                dhcp: options.map(|o| dhcp_config(o, resolver)).unwrap_or_default(),
            });
        }
    }

    fn subnets(&mut self) {
        let macs: HashSet<[u8; 6]> =
            self.network.interfaces.iter().map(|interface| interface.mac).collect();
        for subnet in &self.network.subnets {
            let Some(&vpc) = self.vpc_places.get(&subnet.vpc_id) else { continue };
            let Some(block) = subnet.cidr_block else { continue };
            self.subnet_places.insert(&subnet.id, self.policy.subnets.len());
            self.policy.subnets.push(Subnet {
                id: subnet.id.clone(),
                block: block.trunc(),
                vpc,
                router: router_address(block).into(),
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
        for interface in &self.network.interfaces {
            let port = interface.port;
            let Some(slot) = self.free_slot(port) else { continue };
            self.policy.ports.push(PortInfo {
                port,
                mac: interface.mac,
                kind: PortKind::Interface {
                    id: interface.id.clone(),
                    address: interface.primary_address(),
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
            let group_numbers = &mut self.group_numbers;
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
                        Arc::new(RuleSet::compile(&chosen, |id| number_of(group_numbers, id)))
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
                addresses: addresses(interface, own),
                source_dest_check: interface.source_dest_check,
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
        let reachable = policy.vpcs.get(subnet.vpc).is_some_and(|vpc| vpc.has_internet_gateway);
        policy.stations.entry((interface.subnet, interface.mac)).or_insert(place);
        for &(private, public) in &interface.addresses {
            policy.private.entry((subnet.vpc, private)).or_insert(place);
            if let Some(public) = public.filter(|_| reachable) {
                policy.public.entry(public).or_insert((place, private));
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
        let blocks: StdHashMap<&VpcId, Vec<_>> = network
            .vpcs
            .iter()
            .map(|(_, vpc)| {
                let mut blocks = vec![vpc.cidr_block.trunc()];
                blocks.extend(vpc.cidr_associations.iter().map(|a| a.cidr_block.trunc()));
                blocks.dedup();
                (&vpc.id, blocks)
            })
            .collect();
        let mut main: StdHashMap<usize, usize> = StdHashMap::new();
        for table in &network.route_tables {
            let place = self.policy.tables.len();
            let local = blocks.get(&table.vpc_id).map_or(&[][..], Vec::as_slice);
            let ways = |target: &RouteTarget| match target {
                RouteTarget::Local => Way::Local,
                RouteTarget::InternetGateway(id) => {
                    let attached = network
                        .internet_gateways
                        .iter()
                        .any(|g| g.id == *id && g.vpc_id.as_ref() == Some(&table.vpc_id));
                    if attached { Way::InternetGateway } else { Way::Blackhole }
                }
                RouteTarget::NetworkInterface(id) => {
                    let vpc = self.vpc_places.get(&table.vpc_id);
                    let place = self.interface_places.get(id).filter(|&&place| {
                        let interface = self.policy.interfaces.get(place);
                        let subnet = interface.and_then(|i| self.policy.subnets.get(i.subnet));
                        subnet.map(|subnet| &subnet.vpc) == vpc
                    });
                    place.map_or(Way::Blackhole, |&place| Way::Interface(place))
                }
                RouteTarget::NatGateway(_)
                | RouteTarget::EgressOnlyInternetGateway(_)
                | RouteTarget::VpcPeeringConnection(_) => Way::Blackhole,
            };
            let compiled = routes::compile(table, local, &mut self.policy.components, ways);
            self.policy.tables.push(compiled);
            for association in &table.associations {
                if let Some(id) = &association.subnet_id {
                    if let Some(subnet) = self.subnet_of(id, &table.vpc_id) {
                        subnet.table = Some(place);
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

/// Private addresses with their public ones; an Elastic IP address displaces the automatic one
/// (PUB-3).
fn addresses(
    interface: &record::NetworkInterface,
    elastic: &[(Ipv4Addr, Ipv4Addr)],
) -> Vec<(u32, Option<u32>)> {
    interface
        .private_addresses
        .iter()
        .enumerate()
        .map(|(index, private)| {
            let elastic = elastic.iter().find(|(own, _)| own == private).map(|(_, public)| *public);
            let automatic = interface.auto_public_ip.filter(|_| index == 0);
            ((*private).into(), elastic.or(automatic).map(u32::from))
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

/// What a set of DHCP options says (DHCP-3). Values that cannot be told by IPv4's DHCP are left
/// out.
fn dhcp_config(options: &record::DhcpOptions, resolver: u32) -> DhcpConfig {
    let mut config = DhcpConfig::default();
    for (key, values) in &options.configurations {
        let addresses = || values.iter().filter_map(|v| v.parse::<Ipv4Addr>().ok()).map(u32::from);
        match key.as_str() {
            "domain-name" => config.domain_name = values.first().cloned(),
            "domain-name-servers" => {
                config.dns = values
                    .iter()
                    .filter_map(|value| match value.as_str() {
                        "AmazonProvidedDNS" => Some(resolver),
                        address => address.parse::<Ipv4Addr>().ok().map(u32::from),
                    })
                    .collect();
            }
            "ntp-servers" => config.ntp = addresses().collect(),
            "netbios-name-servers" => config.netbios = addresses().collect(),
            "netbios-node-type" => {
                config.netbios_node_type = values.first().and_then(|value| value.parse().ok());
            }
            _ => {}
        }
    }
    config
}
