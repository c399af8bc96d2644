//! Why a packet does not arrive, in AWS's explanation codes.

use std::net::{IpAddr, Ipv4Addr};

use gureum_engine::{
    Component, Direction, DropReason, ModelAnswer, ModelLeg, Stage, Step, StepPacket,
};
use gureum_types::{
    VpcId,
    record::{
        Explanation, NatGateway, NetworkAcl, NetworkInterface, Route, RouteDestination, RouteTable,
        RouteTarget, RulePeer, SecurityGroupRule, Vpc, VpcEndpoint,
    },
};

use super::{Trouble, world::World};

/// An explanation of that code, with nothing else yet.
pub(super) fn code(code: &str) -> Explanation {
    Explanation { code: code.to_owned(), ..Explanation::default() }
}

/// What goes out by an internet gateway and comes back in by one (IGW-7) is carried by the VPC, but
/// AWS's analyzer says of it that it does not look at such paths; so does this one.
pub(super) fn reflection(world: &World<'_>, leg: &ModelLeg) -> Option<Explanation> {
    let outward = leg
        .steps
        .iter()
        .find(|step| step.stage == Stage::InternetGateway && step.direction == Direction::Egress)?;
    let inward = |step: &&Step| {
        let unknown = matches!(leg.drop, Some(DropReason::UnknownPublicAddress))
            && step.direction == Direction::Egress;
        let dropped = matches!(step.outcome, gureum_engine::Outcome::Drop(_));
        step.stage == Stage::InternetGateway
            && (step.direction == Direction::Ingress || unknown && dropped)
    };
    leg.steps.iter().find(inward)?;
    let interface = world.behind(outward.port)?;
    Some(Explanation {
        internet_gateway: world.internet_gateway(&interface.vpc_id),
        vpc: Some(world.vpc(&interface.vpc_id)),
        ..code("IGW_NAT_REFLECTION")
    })
}

/// Why an answer of the engine is no path.
pub(super) fn explain(world: &World<'_>, asked: &StepPacket, answer: &ModelAnswer) -> Trouble {
    let leg = match &answer.reply {
        Some(reply) => reply,
        None => &answer.forward,
    };
    let Some(reason) = leg.drop else {
        return Trouble::Unknown(
            "something on the way answers by itself instead of the destination".to_owned(),
        );
    };
    let Some(step) = leg.steps.last() else {
        return Trouble::NoPath(vec![code("NO_PATH")]);
    };
    let packet = step.packet.unwrap_or(*asked);
    let interface = world.behind(step.port).map(|it| &**it);
    let case = Case { world, leg, step, packet, reason, interface };
    match case.unknown() {
        Some(why) => Trouble::Unknown(why),
        None => Trouble::NoPath(case.explanations()),
    }
}

struct Case<'w> {
    world: &'w World<'w>,
    leg: &'w ModelLeg,
    step: &'w Step,
    /// As it was then; as it was asked for, where it never left.
    packet: StepPacket,
    reason: DropReason,
    interface: Option<&'w NetworkInterface>,
}

impl Case<'_> {
    /// What the engine cannot speak of, if that is what stopped the packet.
    fn unknown(&self) -> Option<String> {
        let target = |index| match self.world.policy.component(index)? {
            Component::Route { target, .. } => Some(super::world::target_id(target)),
            _ => None,
        };
        match self.reason {
            DropReason::TransitGatewayNotCarried(route) => Some(format!(
                "a route leads to the transit gateway {}, whose tables are not analyzed",
                target(route)?
            )),
            DropReason::VpnTunnelDown(route) => Some(format!(
                "a route leads to the virtual private gateway {}, behind which nothing is analyzed",
                target(route)?
            )),
            _ => None,
        }
    }

    /// The code with where it was.
    fn here(&self, name: &str) -> Explanation {
        let world = self.world;
        Explanation {
            vpc: self.interface.map(|it| world.vpc(&it.vpc_id)),
            subnet: self.interface.map(|it| world.subnet(it)),
            ..code(name)
        }
    }

    fn at_interface(&self, name: &str) -> Explanation {
        Explanation {
            egress: Some(self.step.direction == Direction::Egress),
            network_interface: self.interface.map(|it| self.world.interface(it)),
            ..self.here(name)
        }
    }

    fn at_internet_gateway(&self, name: &str) -> Explanation {
        let world = self.world;
        let gateway = self.interface.and_then(|it| world.internet_gateway(&it.vpc_id));
        Explanation { internet_gateway: gateway, ..self.here(name) }
    }

    fn explanations(&self) -> Vec<Explanation> {
        match self.reason {
            DropReason::SecurityGroupEgress | DropReason::SecurityGroupIngress => self.groups(),
            DropReason::NetworkAclEgress(entry) | DropReason::NetworkAclIngress(entry) => {
                vec![self.acl(entry)]
            }
            DropReason::SourceCheck
            | DropReason::ArpSenderSpoofed
            | DropReason::DestinationCheck => {
                vec![Explanation {
                    address: self.address(self.reason != DropReason::DestinationCheck),
                    ..self.at_interface("ENI_SOURCE_DEST_CHECK_RESTRICTION")
                }]
            }
            DropReason::NoRoute => self.no_route(),
            DropReason::RouteBlackhole(route) => self.dead_route(route),
            DropReason::NoPublicAddress => vec![Explanation {
                network_interface: self.interface.map(|it| self.world.interface(it)),
                ..self.at_internet_gateway("IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS")
            }],
            DropReason::GatewaySpoofed => {
                let shown = self.at_internet_gateway("GATEWAY_REJECTS_SPOOFED_TRAFFIC");
                vec![Explanation { component: shown.internet_gateway.clone(), ..shown }]
            }
            DropReason::GatewayPrivateAddress => vec![self.private_address()],
            DropReason::UnknownPublicAddress => vec![Explanation {
                address: self.address(false),
                ..self.at_internet_gateway("IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS")
            }],
            DropReason::BlockPublicAccess => {
                vec![self.at_internet_gateway("VPC_BLOCK_PUBLIC_ACCESS_ENABLED")]
            }
            DropReason::SmtpBlocked => {
                vec![Explanation {
                    ports: vec![(25, 25)],
                    protocols: vec!["tcp".to_owned()],
                    ..self.at_internet_gateway("PROTOCOL_RESTRICTION")
                }]
            }
            DropReason::NatGatewaySource => vec![self.nat_gateway("NGW_REQUIRES_SOURCE_IN_VPC")],
            DropReason::NatGatewayUnsolicited => vec![self.nat_gateway("NO_POSSIBLE_DESTINATION")],
            DropReason::NatGatewayProtocol => vec![self.nat_gateway("PROTOCOL_RESTRICTION")],
            DropReason::EndpointProtocol => vec![Explanation {
                vpc_endpoint: self.routed_endpoint(),
                protocols: vec!["tcp".to_owned(), "icmp".to_owned()],
                ..self.here("VPCE_GATEWAY_PROTOCOL_RESTRICTION")
            }],
            DropReason::ServicePortClosed if self.step.stage == Stage::VpcEndpoint => {
                let endpoint = self.interface.and_then(|it| self.world.owner(it));
                vec![Explanation {
                    vpc_endpoint: endpoint,
                    ports: vec![(80, 80), (443, 443)],
                    protocols: vec!["tcp".to_owned()],
                    ..self.here("PROTOCOL_RESTRICTION")
                }]
            }
            DropReason::PeeringNoSuchAddress => self.beyond_peering(),
            DropReason::UnknownPort | DropReason::BrokenInterface => {
                vec![Explanation {
                    component: self.interface.map(|it| self.world.interface(it)),
                    ..self.here("BAD_STATE")
                }]
            }
            DropReason::NetworkAclMissing | DropReason::RouteTableMissing => {
                let shown = self.here("BAD_STATE");
                vec![Explanation { component: shown.subnet.clone(), ..shown }]
            }
            // Nobody has the address; nothing else is in the way.
            _ => {
                let mut all = vec![Explanation {
                    address: self.address(false),
                    ..self.here("NO_POSSIBLE_DESTINATION")
                }];
                all.extend(self.shadowed());
                all
            }
        }
    }

    /// The source or the destination of the packet at the end of its way, as a block.
    fn address(&self, source: bool) -> Option<String> {
        let address = if source { self.packet.source } else { self.packet.destination };
        Some(format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }))
    }

    fn destination(&self) -> Option<Ipv4Addr> {
        match self.packet.destination {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn groups(&self) -> Vec<Explanation> {
        let world = self.world;
        let Some(interface) = self.interface else { return vec![code("ENI_SG_RULES_MISMATCH")] };
        let egress = self.step.direction == Direction::Egress;
        let rules: Vec<_> = interface
            .groups
            .iter()
            .flat_map(|group| {
                let of_group = world.records.referrers::<SecurityGroupRule>(group.as_str());
                of_group.filter(move |rule| rule.group_id == *group && rule.egress == egress)
            })
            .collect();
        let name = if rules.is_empty() { "SG_HAS_NO_RULES" } else { "ENI_SG_RULES_MISMATCH" };
        let mut all = vec![Explanation {
            security_groups: world.groups(interface),
            ..self.at_interface(name)
        }];
        // Who sends on what others sent has no groups to be known by (SG-32).
        let sent_on = self.leg.steps.iter().rev().find(|step| {
            matches!(step.stage, Stage::NatGateway | Stage::InternetGateway | Stage::GatewayRoute)
        });
        let by_group = rules.iter().any(|rule| matches!(rule.peer, RulePeer::Group(_)));
        if let Some(step) = sent_on
            && !egress
            && by_group
            && step.stage == Stage::NatGateway
        {
            let gateway = world.behind(step.port).and_then(|it| world.owner(it));
            all.push(Explanation {
                component: gateway.clone(),
                nat_gateway: gateway,
                security_groups: world.groups(interface),
                ..self.here("SG_REFERENCES_NOT_PRESERVED")
            });
        }
        all
    }

    fn acl(&self, entry: gureum_engine::ComponentIndex) -> Explanation {
        let world = self.world;
        let mut shown = Explanation {
            egress: Some(self.step.direction == Direction::Egress),
            ..self.here("SUBNET_ACL_RESTRICTION")
        };
        if let (Some(Component::NetworkAclEntry { acl, number, egress }), Some(interface)) =
            (world.policy.component(entry), self.interface)
        {
            let scope = world.scope_of(&interface.vpc_id);
            shown.acl = Some(world.named::<NetworkAcl>(&scope, acl.as_str()));
            shown.acl_rule = Some(world.acl_rule(&scope, acl, *number, *egress));
        }
        shown
    }

    /// The table by which the packet would have gone on.
    fn table(&self) -> Option<(&RouteTable, Explanation)> {
        let (world, interface) = (self.world, self.interface?);
        let table = world.table_of(&interface.subnet_id, &interface.vpc_id)?;
        let scope = world.scope_of(&interface.vpc_id);
        let shown = Explanation {
            route_table: Some(world.named::<RouteTable>(&scope, table.id.as_str())),
            ..Explanation::default()
        };
        Some((table, shown))
    }

    fn with_table(&self, name: &str) -> Explanation {
        let table = self.table().and_then(|(_, shown)| shown.route_table);
        Explanation { route_table: table, ..self.here(name) }
    }

    fn no_route(&self) -> Vec<Explanation> {
        let world = self.world;
        let mut all = vec![Explanation {
            address: self.address(false),
            ..self.with_table("NO_ROUTE_TO_DESTINATION")
        }];
        let (Some((table, _)), Some(interface)) = (self.table(), self.interface) else {
            return all;
        };
        for route in &table.routes {
            if matches!(route.destination, RouteDestination::Ipv6(_)) {
                continue;
            }
            all.push(Explanation {
                route: Some(world.route_of(table, route)),
                ..self.with_table("CANNOT_ROUTE")
            });
        }
        let scope = world.scope_of(&interface.vpc_id);
        if let Some(vpc) = world.records.find::<Vpc>(&scope, interface.vpc_id.as_str()) {
            all.push(Explanation {
                route: Some(world.route_of(
                    table,
                    &Route {
                        destination: RouteDestination::Ipv4(vpc.cidr_block),
                        target: RouteTarget::Local,
                    },
                )),
                cidrs: vpc.cidr_associations.iter().map(|it| it.cidr_block.to_string()).collect(),
                ..self.with_table("VPC_LOCAL_ROUTE_CIDR_RESTRICTION")
            });
        }
        all
    }

    fn dead_route(&self, route: gureum_engine::ComponentIndex) -> Vec<Explanation> {
        let world = self.world;
        let component = world.policy.component(route);
        let shown = component.and_then(|it| world.chosen_route(it, false));
        if self.step.stage == Stage::GatewayRoute {
            let table = component.and_then(|it| match it {
                Component::Route { table, .. } => Some(table),
                _ => None,
            });
            let scope = self.interface.map(|it| world.scope_of(&it.vpc_id));
            let table = scope.zip(table);
            let leads_on = matches!(
                component,
                Some(Component::Route { target: RouteTarget::NetworkInterface(id), .. })
                    if world.policy.ports().any(|port| matches!(
                        &port.kind,
                        gureum_engine::PortKind::Interface { id: used, .. } if used == id
                    ))
            );
            let name = if leads_on { "INGRESS_RTB_NO_PUBLIC_IP" } else { "BAD_STATE_ROUTE" };
            return vec![Explanation {
                ingress_route_table: table
                    .map(|(scope, table)| world.named::<RouteTable>(&scope, table.as_str())),
                route: shown,
                ..self.at_internet_gateway(name)
            }];
        }
        let mut all = vec![Explanation { route: shown, ..self.with_table("BAD_STATE_ROUTE") }];
        all.extend(self.shadowed());
        all
    }

    /// Routes that would lead on if there were not the one that was taken: less specific ones, and
    /// such to the same block that come after it (RT-2, RT-16).
    fn shadowed(&self) -> Vec<Explanation> {
        let world = self.world;
        let (Some((table, _)), Some(to)) = (self.table(), self.destination()) else {
            return Vec::new();
        };
        let taken = self.leg.steps.iter().rev().find_map(|step| match step.stage {
            Stage::Route => world.policy.component(step.component?),
            _ => None,
        });
        let Some(Component::Route { destination: taken_to, target: taken_target, .. }) = taken
        else {
            return Vec::new();
        };
        let Some(interface) = self.interface else { return Vec::new() };
        // Within the VPC there is no other way anyway.
        if *taken_target == RouteTarget::Local {
            return Vec::new();
        }
        let scope = world.scope_of(&interface.vpc_id);
        let mut all = Vec::new();
        for route in table.routes.iter().filter(|route| route.target != *taken_target) {
            let blocks: Vec<ipnet::IpNet> = match &route.destination {
                RouteDestination::Ipv4(block) => vec![(*block).into()],
                RouteDestination::Ipv6(_) => continue,
                RouteDestination::PrefixList(id) => {
                    let list = world.prefix_list(&scope, id.as_str());
                    list.map(|list| list.entries.iter().map(|it| it.cidr).collect())
                        .unwrap_or_default()
                }
            };
            let best = blocks.into_iter().filter(|block| block.contains(&IpAddr::V4(to)));
            let Some(length) = best.map(|block| block.prefix_len()).max() else { continue };
            let name = if length < taken_to.prefix_len() {
                "MORE_SPECIFIC_ROUTE"
            } else {
                "HIGHER_PRIORITY_ROUTE"
            };
            all.push(Explanation {
                route: Some(world.route_of(table, route)),
                ..self.with_table(name)
            });
        }
        all
    }

    fn private_address(&self) -> Explanation {
        let ingress = self.step.direction == Direction::Ingress;
        let address = if ingress { self.packet.source } else { self.packet.destination };
        let shared = matches!(address, IpAddr::V4(it) if is_shared(it));
        let private = matches!(address, IpAddr::V4(it) if it.is_private());
        let name = match (ingress, private, shared) {
            (true, true, _) => "IGW_SOURCE_ADDRESS_NOT_IN_RFC1918_INGRESS",
            (true, _, true) => "IGW_SOURCE_ADDRESS_NOT_IN_RFC6598_INGRESS",
            (false, true, _) => "IGW_DESTINATION_ADDRESS_NOT_IN_RFC1918_EGRESS",
            (false, _, true) => "IGW_DESTINATION_ADDRESS_NOT_IN_RFC6598_EGRESS",
            // Nobody is at an address like that.
            _ => "NO_POSSIBLE_DESTINATION",
        };
        Explanation { address: self.address(ingress), ..self.at_internet_gateway(name) }
    }

    fn nat_gateway(&self, name: &str) -> Explanation {
        let world = self.world;
        let gateway = self.interface.and_then(|it| {
            let gateway = world.nat_gateway_of(it)?;
            Some(world.named::<NatGateway>(&world.scope_of(&it.vpc_id), gateway.id.as_str()))
        });
        Explanation { nat_gateway: gateway, ..self.here(name) }
    }

    fn routed_endpoint(&self) -> Option<gureum_types::record::AnalysisComponent> {
        let world = self.world;
        let route = self.leg.steps.iter().rev().find(|step| step.stage == Stage::Route)?;
        match world.policy.component(route.component?)? {
            Component::Route { target: RouteTarget::VpcEndpoint(id), .. } => {
                let scope = world.scope_of(&self.interface?.vpc_id);
                Some(world.named::<VpcEndpoint>(&scope, id.as_str()))
            }
            _ => None,
        }
    }

    fn beyond_peering(&self) -> Vec<Explanation> {
        let world = self.world;
        let route = self.leg.steps.iter().rev().find(|step| step.stage == Stage::Route);
        let target = route.and_then(|step| world.policy.component(step.component?)).and_then(
            |it| match it {
                Component::Route { target: RouteTarget::VpcPeeringConnection(id), .. } => Some(id),
                _ => None,
            },
        );
        let record = target.and_then(|id| {
            world.records.machine::<gureum_types::record::VpcPeeringConnection>(id.as_str())
        });
        let sides = record.zip(self.interface).and_then(|(record, it)| {
            crate::resource::vpc_peering_connection::sides(record, &it.vpc_id)
        });
        let within = sides.zip(self.destination()).is_some_and(|((_, other), to)| {
            let vpc = world.records.find::<Vpc>(&other.scope, other.vpc_id.as_str());
            vpc.is_some_and(|vpc| {
                vpc.cidr_associations.iter().any(|it| it.cidr_block.contains(&to))
            })
        });
        let name =
            if within { "NO_POSSIBLE_DESTINATION" } else { "PCX_REQUIRES_ADDRESS_IN_VPC_CIDR" };
        let vpc = |id: &VpcId| world.vpc(id);
        vec![Explanation {
            address: self.address(false),
            peering: target.map(|id| world.peering(id.as_str())),
            source_vpc: sides.map(|(own, _)| vpc(&own.vpc_id)),
            destination_vpc: sides.map(|(_, other)| vpc(&other.vpc_id)),
            ..self.here(name)
        }]
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}
