//! Where the rules on a way cut the lines of addresses and of ports.

use std::collections::BTreeSet;

use gureum_types::{
    IpProtocol, SubnetId, VpcId,
    record::{
        NatGateway, NetworkInterface, RouteDestination, RouteTarget, RulePeer, SecurityGroupRule,
        Traffic,
    },
};
use ipnet::IpNet;

use super::{
    lines::{Line, PUBLIC, of_block},
    world::World,
};

/// The lines, cut by everything that may tell two packets of a question apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) addresses: Line,
    pub(super) source_ports: Line,
    pub(super) destination_ports: Line,
}

impl Lines {
    /// The lines for packets of a protocol between these interfaces and whatever is behind their
    /// routes.
    pub(super) fn new(
        world: &World<'_>,
        protocol: IpProtocol,
        interfaces: &[&NetworkInterface],
    ) -> Self {
        let mut lines = Self::default();
        PUBLIC.into_iter().for_each(|range| lines.addresses.cut(range));
        lines.addresses.cut(of_block(world.call.config.fabric.public_pool));
        // Mail servers are not reached over the internet (SG-37), endpoints listen at two ports.
        for port in [25, 80, 443] {
            lines.destination_ports.cut((port, port));
        }
        let mut subnets: BTreeSet<(SubnetId, VpcId)> = BTreeSet::new();
        let mut groups = BTreeSet::new();
        for interface in interfaces {
            subnets.insert((interface.subnet_id.clone(), interface.vpc_id.clone()));
            groups.extend(interface.groups.iter().map(|id| (id.clone(), interface.vpc_id.clone())));
        }
        // Gateways and appliances on the way have subnets of their own.
        let beyond: Vec<_> =
            subnets.iter().flat_map(|(subnet, vpc)| beyond(world, subnet, vpc)).collect();
        subnets.extend(beyond);
        for (subnet, vpc) in &subnets {
            lines.cut_by_subnet(world, protocol, subnet, vpc);
        }
        for (group, vpc) in &groups {
            let scope = world.scope_of(vpc);
            let rules = world.records.referrers::<SecurityGroupRule>(group.as_str());
            for rule in rules.filter(|rule| rule.group_id == *group) {
                if let Traffic::Ports { protocol: of, from, to } = rule.traffic
                    && of == protocol
                {
                    lines.destination_ports.cut((from.into(), to.into()));
                }
                match &rule.peer {
                    RulePeer::Ipv4(block) => lines.addresses.cut(of_block(*block)),
                    RulePeer::PrefixList(list) => {
                        lines.cut_by_list(world, &scope, list.as_str());
                    }
                    RulePeer::Ipv6(_) | RulePeer::Group(_) => {}
                }
            }
        }
        lines
    }

    fn cut_by_list(&mut self, world: &World<'_>, scope: &gureum_types::record::Scope, list: &str) {
        for entry in world.prefix_list(scope, list).into_iter().flat_map(|list| &list.entries) {
            if let IpNet::V4(block) = entry.cidr {
                self.addresses.cut(of_block(block));
            }
        }
    }

    fn cut_by_subnet(
        &mut self,
        world: &World<'_>,
        protocol: IpProtocol,
        subnet: &SubnetId,
        vpc: &VpcId,
    ) {
        for entry in world.acl_of(subnet).into_iter().flat_map(|acl| &acl.entries) {
            if let IpNet::V4(block) = entry.cidr {
                self.addresses.cut(of_block(block));
            }
            if let Traffic::Ports { protocol: of, from, to } = entry.traffic
                && of == protocol
            {
                // The answer has the ports the other way round, and nothing remembers it (NACL-1).
                self.source_ports.cut((from.into(), to.into()));
                self.destination_ports.cut((from.into(), to.into()));
            }
        }
        let scope = world.scope_of(vpc);
        for route in world.table_of(subnet, vpc).into_iter().flat_map(|table| &table.routes) {
            match &route.destination {
                RouteDestination::Ipv4(block) => self.addresses.cut(of_block(*block)),
                RouteDestination::Ipv6(_) => {}
                RouteDestination::PrefixList(list) => {
                    self.cut_by_list(world, &scope, list.as_str());
                }
            }
        }
    }
}

/// The subnets of the gateways and appliances that the routes of a subnet lead to.
fn beyond(world: &World<'_>, subnet: &SubnetId, vpc: &VpcId) -> Vec<(SubnetId, VpcId)> {
    let scope = world.scope_of(vpc);
    let routes = world.table_of(subnet, vpc).into_iter().flat_map(|table| &table.routes);
    let subnets = routes.filter_map(|route| match &route.target {
        RouteTarget::NatGateway(id) => {
            let gateway = world.records.find::<NatGateway>(&scope, id.as_str())?;
            Some(gateway.subnet_id.clone())
        }
        RouteTarget::NetworkInterface(id) => {
            let interface = world.records.find::<NetworkInterface>(&scope, id.as_str())?;
            Some(interface.subnet_id.clone())
        }
        _ => None,
    });
    subnets.map(|subnet| (subnet, vpc.clone())).collect()
}
