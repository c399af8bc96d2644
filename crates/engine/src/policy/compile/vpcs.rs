//! VPCs with their gateways and peering connections.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use gureum_types::{
    EgressOnlyInternetGatewayId, InternetGatewayId, Region, ServiceDoor, TransitGatewayId, VpcId,
    VpcPeeringConnectionId, VpnGatewayId,
    record::{self, Network, PeeringStatus},
};
use ipnet::IpNet;

use super::{
    Changes,
    lists::{Map, Places, Set},
};
use crate::{
    address::Address,
    policy::{DhcpConfig, Peering, Vpc},
};

/// All VPCs, as long as nothing about any of them changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Vpcs {
    places: Places<VpcId>,
    /// By place.
    pub(super) list: Arc<Vec<Option<Vpc>>>,
    /// The blocks of each VPC, which have local routes (RT-1), by place.
    blocks: Vec<Vec<IpNet>>,
    pub(super) peerings: Arc<Vec<Peering>>,
    pub(super) peering_places: Map<VpcPeeringConnectionId, usize>,
    /// Internet gateways with the VPC that each is attached to.
    pub(super) internet: Map<InternetGatewayId, VpcId>,
    /// The same of egress-only internet gateways.
    pub(super) egress_only: Map<EgressOnlyInternetGatewayId, VpcId>,
    /// The same of virtual private gateways.
    pub(super) vpn: Map<VpnGatewayId, VpcId>,
    /// Transit gateways with the VPCs that are attached to them.
    pub(super) transit: Set<(TransitGatewayId, VpcId)>,
}

/// What became of the VPCs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VpcsChanged {
    /// Whether anything changed at all.
    pub(super) any: bool,
    /// Whether other addresses may be reached from the internet.
    pub(super) reach: bool,
}

impl Vpcs {
    pub(super) fn update(&mut self, changes: &Changes<'_>) -> VpcsChanged {
        let any = changes.differs.vpcs
            || changes.differs.internet_gateways
            || changes.differs.egress_only_internet_gateways
            || changes.differs.dhcp_options
            || changes.differs.vpc_peering_connections
            || changes.differs.vpn_gateways
            || changes.differs.transit_gateway_vpc_attachments;
        if !any {
            return VpcsChanged::default();
        }
        let network = changes.after;
        self.gateways(network);
        self.places.update(network.vpcs.iter().map(|(_, vpc)| &vpc.id));
        let before = std::mem::take(&mut self.list);
        let mut list = self.vpcs(network);
        self.peerings(network, &mut list);
        let flags = |vpc: Option<&Option<Vpc>>| {
            let vpc = vpc.and_then(Option::as_ref);
            vpc.map(|vpc| (vpc.has_internet_gateway, vpc.has_egress_only_gateway))
                .filter(|flags| *flags != (false, false))
        };
        let count = before.len().max(list.len());
        let reach = (0..count).any(|place| flags(before.get(place)) != flags(list.get(place)));
        self.list = Arc::new(list);
        VpcsChanged { any: true, reach }
    }

    pub(super) fn place(&self, id: &VpcId) -> Option<usize> {
        self.places.get(id)
    }

    /// The blocks of a VPC, each of which has a local route (RT-1).
    pub(super) fn blocks(&self, id: &VpcId) -> &[IpNet] {
        let blocks = self.places.get(id).and_then(|place| self.blocks.get(place));
        blocks.map_or(&[], Vec::as_slice)
    }

    fn gateways(&mut self, network: &Network) {
        let internet = network.internet_gateways.iter();
        self.internet = internet.filter_map(|g| Some((g.id.clone(), g.vpc_id.clone()?))).collect();
        let egress_only = network.egress_only_internet_gateways.iter();
        self.egress_only = egress_only.map(|g| (g.id.clone(), g.vpc_id.clone())).collect();
        let vpn = network.vpn_gateways.iter();
        self.vpn = vpn.filter_map(|g| Some((g.id.clone(), g.vpc_id.clone()?))).collect();
        let attachments = network.transit_gateway_vpc_attachments.iter();
        self.transit = attachments
            .filter(|it| it.deleted.is_none())
            .map(|it| (it.transit_gateway_id.clone(), it.vpc_id.clone()))
            .collect();
    }

    fn vpcs(&mut self, network: &Network) -> Vec<Option<Vpc>> {
        let attached: Set<&VpcId> = self.internet.values().collect();
        let egress_only: Set<&VpcId> = self.egress_only.values().collect();
        let options: Map<_, _> =
            network.dhcp_options.iter().map(|options| (&options.id, options)).collect();
        let mut list = vec![None; self.places.bound()];
        let mut blocks = vec![Vec::new(); self.places.bound()];
        for (_, vpc) in &network.vpcs {
            let Some(place) = self.places.get(&vpc.id) else { continue };
            let resolver = u32::from(vpc.cidr_block.network()).wrapping_add(2);
            let options = vpc.dhcp_options.as_ref().and_then(|id| options.get(id));
            if let Some(of) = blocks.get_mut(place) {
                *of = blocks_of(vpc);
            }
            if let Some(of) = list.get_mut(place) {
                *of = Some(Vpc {
                    resolver: Address::v4(resolver),
                    resolver_enabled: vpc.enable_dns_support,
                    has_internet_gateway: attached.contains(&vpc.id),
                    has_egress_only_gateway: egress_only.contains(&vpc.id),
                    peers: Vec::new(),
                    dhcp: options.map(|o| dhcp_config(o, resolver)).unwrap_or_default(),
                });
            }
        }
        self.blocks = blocks;
        list
    }

    /// Only what is active carries packets; all else is as good as gone (RT-12, RT-21).
    fn peerings(&mut self, network: &Network, list: &mut [Option<Vpc>]) {
        let regions: Map<&VpcId, &Region> =
            network.vpcs.iter().map(|(region, vpc)| (&vpc.id, region)).collect();
        let mut peerings = Vec::new();
        self.peering_places.clear();
        for connection in &network.vpc_peering_connections {
            let sides = [&connection.requester.vpc_id, &connection.accepter.vpc_id];
            let [Some(one), Some(two)] = sides.map(|vpc| self.places.get(vpc)) else {
                continue;
            };
            if connection.status != PeeringStatus::Active {
                continue;
            }
            let [first, second] = sides.map(|vpc| regions.get(vpc));
            let same_region = first == second;
            self.peering_places.insert(connection.id.clone(), peerings.len());
            peerings.push(Peering { vpcs: [one, two], same_region });
            if same_region {
                for (own, other) in [(one, two), (two, one)] {
                    if let Some(vpc) = list.get_mut(own).and_then(Option::as_mut) {
                        vpc.peers.push(other);
                    }
                }
            }
        }
        self.peerings = Arc::new(peerings);
    }
}

fn blocks_of(vpc: &record::Vpc) -> Vec<IpNet> {
    let mut blocks = vec![IpNet::from(vpc.cidr_block.trunc())];
    blocks.extend(vpc.cidr_associations.iter().map(|a| IpNet::from(a.cidr_block.trunc())));
    blocks.extend(vpc.ipv6_cidr_associations.iter().map(|a| IpNet::from(a.cidr_block.trunc())));
    blocks.dedup();
    blocks
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
