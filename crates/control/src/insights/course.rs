//! The stages that a packet passed, as the components of a path (RA-4, RA-5).

use gureum_engine::{
    Component, Direction, ModelAnswer, ModelLeg, Outcome, Stage, Step, StepPacket,
};
use gureum_types::{
    PortIndex,
    record::{
        AnalysisHeader, NatGateway, NetworkAcl, NetworkInterface, PathComponent, RouteTable,
        RouteTarget, SecurityGroup, VpcEndpoint, VpcPeeringConnection,
    },
};

use super::{
    lines::{Range, blocks, of_address, ports},
    world::World,
};
use crate::resource::vpc_peering_connection as peering;

/// The packets that take the same way: what may differ in those that leave the source.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) sources: Vec<Range>,
    pub(super) destinations: Vec<Range>,
    pub(super) source_ports: Vec<Range>,
    pub(super) destination_ports: Vec<Range>,
}

/// The ports that NAT gateways take for what they send (NAT-26).
const EPHEMERAL: Range = (1024, 65_535);

impl Spread {
    /// The packet alone.
    pub(super) fn of(packet: &StepPacket) -> Self {
        Self {
            sources: address(packet.source),
            destinations: address(packet.destination),
            source_ports: vec![one(packet.source_port)],
            destination_ports: vec![one(packet.destination_port)],
        }
    }

    /// As they leave the source.
    fn leaving(&self, protocol: u8) -> AnalysisHeader {
        AnalysisHeader {
            sources: blocks(&self.sources),
            destinations: blocks(&self.destinations),
            source_ports: ports(&self.source_ports),
            destination_ports: ports(&self.destination_ports),
            protocol: Some(protocol.to_string()),
        }
    }

    /// As they arrive: what the way changes is as in the packet that shows it.
    fn arriving(&self, left: &StepPacket, arrived: &StepPacket) -> AnalysisHeader {
        let mut spread = self.clone();
        if left.source != arrived.source {
            spread.sources = address(arrived.source);
        }
        if left.destination != arrived.destination {
            spread.destinations = address(arrived.destination);
        }
        if left.source_port != arrived.source_port {
            spread.source_ports = vec![EPHEMERAL];
        }
        spread.leaving(arrived.protocol)
    }
}

fn address(address: std::net::IpAddr) -> Vec<Range> {
    match address {
        std::net::IpAddr::V4(address) => vec![of_address(address)],
        std::net::IpAddr::V6(_) => Vec::new(),
    }
}

fn one(port: u16) -> Range {
    (port.into(), port.into())
}

/// The headers of the answers.
fn reversed(header: AnalysisHeader) -> AnalysisHeader {
    AnalysisHeader {
        sources: header.destinations,
        destinations: header.sources,
        source_ports: header.destination_ports,
        destination_ports: header.source_ports,
        protocol: header.protocol,
    }
}

/// The packet as it left its source.
pub(super) fn left(leg: &ModelLeg) -> Option<StepPacket> {
    leg.steps.iter().find_map(|step| step.packet)
}

/// The packet as it arrived; at an endpoint, as it came to that.
pub(super) fn arrived(leg: &ModelLeg) -> Option<StepPacket> {
    leg.arrived?;
    let at_endpoint = leg.steps.iter().rev().find(|step| {
        matches!(step.stage, Stage::VpcEndpoint) && leg.arrived == Some(PortIndex::SERVICES)
    });
    at_endpoint.or(leg.steps.last()).and_then(|step| step.packet)
}

/// The ways of a packet and of its answer, as far as they came.
pub(super) fn ways(
    world: &World<'_>,
    answer: &ModelAnswer,
    spread: &Spread,
) -> (Vec<PathComponent>, Vec<PathComponent>) {
    let (Some(left), protocol) = (left(&answer.forward), protocol(&answer.forward)) else {
        return (Vec::new(), Vec::new());
    };
    let leaving = spread.leaving(protocol);
    let arriving = arrived(&answer.forward).map(|packet| spread.arriving(&left, &packet));
    let mut forward = Way::new(world, &leaving, arriving.as_ref(), None);
    forward.walk(&answer.forward);
    let forward = forward.components;
    let Some(reply) = &answer.reply else { return (forward, Vec::new()) };
    let back_leaving = reversed(arriving.unwrap_or_default());
    let back_arriving = reversed(leaving);
    let mut back = Way::new(world, &back_leaving, Some(&back_arriving), Some(&answer.forward));
    back.walk(reply);
    (forward, back.components)
}

fn protocol(leg: &ModelLeg) -> u8 {
    left(leg).map_or(0, |packet| packet.protocol)
}

/// The components of one leg in the making.
struct Way<'w> {
    world: &'w World<'w>,
    leaving: &'w AnalysisHeader,
    arriving: Option<&'w AnalysisHeader>,
    /// The leg that this one answers.
    answered: Option<&'w ModelLeg>,
    components: Vec<PathComponent>,
}

fn is_drop(step: &Step) -> bool {
    matches!(step.outcome, Outcome::Drop(_))
}

impl<'w> Way<'w> {
    fn new(
        world: &'w World<'w>,
        leaving: &'w AnalysisHeader,
        arriving: Option<&'w AnalysisHeader>,
        answered: Option<&'w ModelLeg>,
    ) -> Self {
        Self { world, leaving, arriving, answered, components: Vec::new() }
    }

    fn walk(&mut self, leg: &ModelLeg) {
        let mut begun = false;
        for (place, step) in leg.steps.iter().enumerate() {
            let next = leg.steps.get(place + 1).and_then(|step| step.packet);
            if !begun && step.packet.is_some() {
                self.begin(step, next);
                begun = true;
            }
            if is_drop(step) {
                break;
            }
            self.pass(step, next, leg);
        }
    }

    /// Where a leg begins: at an interface with what it belongs to, or at a gateway.
    fn begin(&mut self, step: &Step, next: Option<StepPacket>) {
        let world = self.world;
        if step.stage == Stage::InternetGateway && step.direction == Direction::Ingress {
            // Where nobody has the address, no gateway has the packet.
            let Some(interface) = world.behind(step.port) else { return };
            let outbound = next.map(|packet| AnalysisHeader {
                destinations: blocks(&address(packet.destination)),
                ..AnalysisHeader::default()
            });
            self.components.push(PathComponent {
                component: world.internet_gateway(&interface.vpc_id),
                vpc: Some(world.vpc(&interface.vpc_id)),
                inbound: Some(self.leaving.clone()),
                outbound: outbound.filter(|_| !is_drop(step)),
                ..PathComponent::default()
            });
            return;
        }
        let Some(interface) = world.behind(step.port) else {
            // A gateway endpoint answers: it is the one that was asked.
            let asked = self.answered.and_then(|leg| endpoint_route(world, leg));
            if let Some(id) = asked {
                self.endpoint(&id, true);
            }
            return;
        };
        if let Some(owner) = world.owner(interface) {
            self.components.push(PathComponent {
                component: Some(owner),
                outbound: Some(self.leaving.clone()),
                ..PathComponent::default()
            });
        }
        self.interface(interface);
    }

    fn interface(&mut self, interface: &NetworkInterface) {
        let world = self.world;
        self.components.push(PathComponent {
            component: Some(world.interface(interface)),
            attached_to: world.owner(interface),
            subnet: Some(world.subnet(interface)),
            vpc: Some(world.vpc(&interface.vpc_id)),
            ..PathComponent::default()
        });
    }

    fn pass(&mut self, step: &Step, next: Option<StepPacket>, leg: &ModelLeg) {
        let world = self.world;
        let component = step.component.and_then(|index| world.policy.component(index));
        let interface = world.behind(step.port);
        match step.stage {
            Stage::SecurityGroup => {
                let Some(interface) = interface else { return };
                self.group(interface, step, component);
                if step.direction == Direction::Ingress {
                    self.interface(interface);
                }
            }
            Stage::NetworkAcl => {
                let (Some(interface), Some(component)) = (interface, component) else { return };
                self.acl(interface, component);
            }
            Stage::Route | Stage::GatewayRoute => {
                let (Some(interface), Some(component)) = (interface, component) else { return };
                self.route(interface, component);
            }
            Stage::Peering => self.peering(leg, step),
            Stage::NatGateway => self.nat_gateway(step, next),
            Stage::InternetGateway if step.direction == Direction::Egress => {
                let Some(interface) = interface else { return };
                let ends = leg.arrived == Some(PortIndex::INTERNET);
                self.components.push(PathComponent {
                    component: world.internet_gateway(&interface.vpc_id),
                    vpc: Some(world.vpc(&interface.vpc_id)),
                    outbound: self.arriving.filter(|_| ends).cloned(),
                    ..PathComponent::default()
                });
            }
            Stage::VpcEndpoint => match interface.and_then(|it| world.endpoint_of(it)) {
                Some(endpoint) if step.direction == Direction::Ingress => {
                    self.endpoint(endpoint.id.as_str(), false);
                }
                Some(_) => {}
                None if step.direction == Direction::Egress => {
                    if let Some(id) = endpoint_route(world, leg) {
                        self.endpoint(&id, false);
                    }
                }
                None => {}
            },
            Stage::Deliver => {
                let owner = interface.and_then(|it| world.owner(it));
                if let Some(owner) = owner {
                    self.components.push(PathComponent {
                        component: Some(owner),
                        inbound: self.arriving.cloned(),
                        ..PathComponent::default()
                    });
                }
            }
            _ => {}
        }
    }

    /// The security group, with the rule that admitted the packet. Of an answer AWS names the group
    /// alone: that of what it answers.
    fn group(&mut self, interface: &NetworkInterface, step: &Step, component: Option<&Component>) {
        let world = self.world;
        let scope = world.scope_of(&interface.vpc_id);
        let decided = match component {
            Some(Component::SecurityGroupRule { group, rule }) => Some((group, rule)),
            _ => None,
        };
        let rule = decided.filter(|_| self.answered.is_none());
        let group = self.answered_group(step.port).or(decided.map(|(group, _)| group.clone()));
        if let Some(group) = group.or(interface.groups.first().cloned()) {
            self.components.push(PathComponent {
                component: Some(world.named::<SecurityGroup>(&scope, group.as_str())),
                security_group_rule: rule
                    .and_then(|(_, rule)| world.group_rule(&scope, rule.as_str())),
                ..PathComponent::default()
            });
        }
    }

    fn answered_group(&self, port: PortIndex) -> Option<gureum_types::SecurityGroupId> {
        let steps = &self.answered?.steps;
        let step =
            steps.iter().find(|step| step.stage == Stage::SecurityGroup && step.port == port)?;
        match self.world.policy.component(step.component?)? {
            Component::SecurityGroupRule { group, .. } => Some(group.clone()),
            _ => None,
        }
    }

    fn acl(&mut self, interface: &NetworkInterface, component: &Component) {
        let Component::NetworkAclEntry { acl, number, egress } = component else { return };
        let scope = self.world.scope_of(&interface.vpc_id);
        self.components.push(PathComponent {
            component: Some(self.world.named::<NetworkAcl>(&scope, acl.as_str())),
            acl_rule: Some(self.world.acl_rule(&scope, acl, *number, *egress)),
            ..PathComponent::default()
        });
    }

    fn route(&mut self, interface: &NetworkInterface, component: &Component) {
        let Component::Route { table, .. } = component else { return };
        let scope = self.world.scope_of(&interface.vpc_id);
        self.components.push(PathComponent {
            component: Some(self.world.named::<RouteTable>(&scope, table.as_str())),
            route: self.world.chosen_route(component, true),
            ..PathComponent::default()
        });
    }

    fn peering(&mut self, leg: &ModelLeg, step: &Step) {
        let world = self.world;
        let Some(RouteTarget::VpcPeeringConnection(id)) = route_before(world, leg, step) else {
            return;
        };
        let from = world.behind(step.port).map(|it| &it.vpc_id);
        let record = world.records.machine::<VpcPeeringConnection>(id.as_str());
        let to = record.zip(from).and_then(|(record, from)| peering::sides(record, from));
        self.components.push(PathComponent {
            component: Some(world.peering(id.as_str())),
            source_vpc: from.map(|vpc| world.vpc(vpc)),
            destination_vpc: to.map(|(_, to)| world.vpc(&to.vpc_id)),
            ..PathComponent::default()
        });
    }

    fn nat_gateway(&mut self, step: &Step, next: Option<StepPacket>) {
        let world = self.world;
        let Some(interface) = world.behind(step.port) else { return };
        self.interface(interface);
        let Some(gateway) = world.nat_gateway_of(interface) else { return };
        let scope = world.scope_of(&interface.vpc_id);
        let outbound = match (step.packet, next) {
            (Some(came), Some(leaves)) if came.source != leaves.source => AnalysisHeader {
                sources: blocks(&address(leaves.source)),
                source_ports: ports(&[EPHEMERAL]),
                ..AnalysisHeader::default()
            },
            (_, Some(leaves)) => AnalysisHeader {
                destinations: blocks(&address(leaves.destination)),
                ..AnalysisHeader::default()
            },
            (_, None) => AnalysisHeader::default(),
        };
        self.components.push(PathComponent {
            component: Some(world.named::<NatGateway>(&scope, gateway.id.as_str())),
            subnet: Some(world.subnet(interface)),
            vpc: Some(world.vpc(&interface.vpc_id)),
            outbound: Some(outbound),
            ..PathComponent::default()
        });
    }

    fn endpoint(&mut self, id: &str, first: bool) {
        let world = self.world;
        let found = world.records.referrers_with_keys::<VpcEndpoint>(id).next();
        let Some((key, endpoint)) = found else { return };
        let scope = key.scope.clone().unwrap_or_else(|| world.call.scope.clone());
        self.components.push(PathComponent {
            component: Some(world.named::<VpcEndpoint>(&scope, id)),
            vpc: Some(world.vpc(&endpoint.vpc_id)),
            service_name: Some(endpoint.service_name.clone()),
            inbound: self.arriving.filter(|_| !first).cloned(),
            outbound: first.then(|| self.leaving.clone()),
            ..PathComponent::default()
        });
    }
}

/// The target of the route that led to a step.
fn route_before<'p>(world: &'p World<'_>, leg: &ModelLeg, step: &Step) -> Option<&'p RouteTarget> {
    let place = leg.steps.iter().position(|it| std::ptr::eq(it, step))?;
    let mut before = leg.steps.get(..place)?.iter().rev();
    let route = before.find(|it| it.stage == Stage::Route)?;
    match world.policy.component(route.component?)? {
        Component::Route { target, .. } => Some(target),
        _ => None,
    }
}

/// The gateway endpoint that a leg entered: the target of its last route.
fn endpoint_route(world: &World<'_>, leg: &ModelLeg) -> Option<String> {
    let route = leg.steps.iter().rev().find(|it| it.stage == Stage::Route)?;
    match world.policy.component(route.component?)? {
        Component::Route { target: RouteTarget::VpcEndpoint(id), .. } => Some(id.to_string()),
        _ => None,
    }
}

/// The ids along a way, and the rules that decided: ways with the same signature are the same.
pub(super) fn signature(answer: &ModelAnswer) -> Vec<(Stage, PortIndex, Option<u32>)> {
    let legs = std::iter::once(&answer.forward).chain(&answer.reply);
    let steps = legs.flat_map(|leg| &leg.steps);
    steps.map(|step| (step.stage, step.port, step.component.map(|it| it.0))).collect()
}
