//! Reachability Analyzer: whether a path is there, by which way, or what is in its way.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{DropReason, Model, ModelAnswer, Stage, StepPacket};
use gureum_types::{
    IpProtocol, VpcId,
    record::{
        AnalysisComponent, AnalysisOutcome, Explanation, NetworkInsightsPath, NetworkInterface,
        PathComponent, PeeringStatus, RouteTable, TransitGatewayVpcAttachment, VpcEndpoint,
        VpcPeeringConnection,
    },
};

use super::{
    Analysis, Trouble,
    course::{Spread, ways},
    end::{End, resolve},
    explain::{code, explain, reflection},
    goal::{Goal, last_port},
    lines::{PORTS, PUBLIC, Range, common, of_address, of_block},
    rules::Lines,
    search::{BUDGET, Judgement, Packets, Searched, Start},
    world::World,
};
use crate::resource::public_ip;

/// How many interfaces behind a peering connection are asked for.
const BEHIND_PEERING: usize = 256;

/// Why a packet is not what was asked for.
pub(super) enum Miss {
    /// The engine says it of that packet.
    Engine(StepPacket),
    /// Something else.
    Other(Vec<Explanation>),
}

/// One place to begin with one place to arrive.
struct Pair {
    packets: Packets,
    goal: Goal,
    interfaces: Vec<Arc<NetworkInterface>>,
}

/// Analyzes a path.
pub(crate) fn analyze(
    world: &World<'_>,
    path: &NetworkInsightsPath,
    filter_in: &[String],
    filter_out: &[String],
) -> Analysis {
    let question = Question { world, path, filter_in, filter_out };
    match question.answer() {
        Ok(analysis) => analysis,
        Err(trouble) => question.completed(trouble.into()),
    }
}

pub(super) struct Question<'w> {
    pub(super) world: &'w World<'w>,
    pub(super) path: &'w NetworkInsightsPath,
    pub(super) filter_in: &'w [String],
    pub(super) filter_out: &'w [String],
}

fn no_path(explanation: Explanation) -> Trouble {
    Trouble::NoPath(vec![explanation])
}

pub(super) fn range((from, to): (u16, u16)) -> Range {
    (from.into(), to.into())
}

impl Question<'_> {
    fn answer(&self) -> Result<Analysis, Trouble> {
        let world = self.world;
        let source = resolve(world, &self.path.source)?;
        let destination = match &self.path.destination {
            Some(end) => Some(resolve(world, end)?),
            None => None,
        };
        let pairs = self.pairs(&source, destination.as_ref())?;
        let mut model = Model::new(world.policy);
        let mut budget = BUDGET;
        let (mut nearest, mut unknown) = (None, None);
        for pair in &pairs {
            let interfaces: Vec<_> = pair.interfaces.iter().map(|it| &**it).collect();
            let mut lines = Lines::new(world, pair.packets.protocol, &interfaces);
            self.cut(&mut lines);
            let judge = |left: &StepPacket, answer: &ModelAnswer| self.judge(pair, left, answer);
            match pair.packets.search(&mut model, &lines, &mut budget, judge) {
                Searched::Found(found) => {
                    let (forward, back) = ways(world, &found.answer, &found.spread);
                    let (forward, back) = self.within_peering(&source, &pair.goal, forward, back);
                    let outcome = AnalysisOutcome::Found;
                    return Ok(Analysis { outcome, forward, back, explanations: Vec::new() });
                }
                Searched::Nothing(Some((near, answer, miss))) => {
                    let is_nearer =
                        nearest.as_ref().is_none_or(|(before, ..): &(usize, _, _)| near > *before);
                    if is_nearer {
                        nearest = Some((near, answer, miss));
                    }
                }
                Searched::Nothing(None) => {}
                Searched::Unknown(why) => unknown = unknown.or(Some(why)),
            }
        }
        if let Some(why) = unknown {
            return Err(Trouble::Unknown(why));
        }
        let Some((_, answer, miss)) = nearest else { return Err(no_path(code("NO_PATH"))) };
        let trouble = match miss {
            Miss::Engine(packet) => explain(world, &packet, &answer),
            Miss::Other(explanations) => Trouble::NoPath(explanations),
        };
        let mut analysis: Analysis = trouble.into();
        if let Some(left) = super::course::left(&answer.forward)
            && analysis.outcome == AnalysisOutcome::NotFound
        {
            (analysis.forward, analysis.back) = ways(world, &answer, &Spread::of(&left));
        }
        Ok(self.completed(analysis))
    }

    /// Says of each explanation which gateway and which destination it speaks of, where the place
    /// on the way did not tell.
    fn completed(&self, mut analysis: Analysis) -> Analysis {
        let ends = [Some(&self.path.source), self.path.destination.as_ref()];
        let shown = |it: &gureum_types::record::PathEnd| AnalysisComponent {
            id: it.id.clone(),
            arn: it.arn.clone(),
            name: None,
        };
        let gateway = ends.into_iter().flatten().find(|it| it.id.starts_with("igw-")).map(shown);
        for explanation in &mut analysis.explanations {
            if explanation.code.starts_with("IGW_") && explanation.internet_gateway.is_none() {
                explanation.internet_gateway.clone_from(&gateway);
            }
            if explanation.code == "NO_ROUTE_TO_DESTINATION" {
                // Of an answer, the destination is where the packet came from.
                let to = match analysis.back.is_empty() {
                    true => self.path.destination.as_ref(),
                    false => Some(&self.path.source),
                };
                explanation.destination = to.map(shown);
            }
        }
        analysis
    }

    fn pairs(&self, source: &End, destination: Option<&End>) -> Result<Vec<Pair>, Trouble> {
        let goals = self.goals(destination)?;
        let begins: Vec<Option<Arc<NetworkInterface>>> = match source {
            End::InternetGateway(_) => vec![None],
            End::Interfaces(interfaces) => {
                for interface in interfaces.iter().filter(|it| it.attachment.is_none()) {
                    self.check_service_as_source(interface)?;
                }
                interfaces.iter().cloned().map(Some).collect()
            }
            End::GatewayEndpoint(endpoint) => return Err(no_path(self.endpoint_begins(endpoint))),
            End::Peering(peering) => self.behind_source(peering, &goals)?,
        };
        let mut pairs = Vec::new();
        let mut trouble = None;
        for begin in &begins {
            for goal in &goals {
                match self.pair(source, begin.as_ref(), goal) {
                    Ok(pair) => pairs.push(pair),
                    Err(why) => trouble = trouble.or(Some(why)),
                }
            }
        }
        match (pairs.is_empty(), trouble) {
            (true, Some(trouble)) => Err(trouble),
            (true, None) => Err(no_path(code("NO_PATH"))),
            (false, _) => Ok(pairs),
        }
    }

    /// A service answers and begins nothing (VPCE-6).
    fn check_service_as_source(&self, interface: &NetworkInterface) -> Result<(), Trouble> {
        match self.world.endpoint_of(interface) {
            Some(endpoint) => Err(no_path(self.endpoint_begins(endpoint))),
            None => Err(Trouble::Unknown(format!(
                "{} belongs to a gateway, whose own packets are not analyzed",
                interface.id
            ))),
        }
    }

    fn endpoint_begins(&self, endpoint: &VpcEndpoint) -> Explanation {
        let world = self.world;
        let scope = &world.call.scope;
        Explanation {
            vpc_endpoint: Some(world.named::<VpcEndpoint>(scope, endpoint.id.as_str())),
            vpc: Some(world.vpc(&endpoint.vpc_id)),
            ..code("VPCE_INTRA_VPC_TRAFFIC")
        }
    }

    fn goals(&self, destination: Option<&End>) -> Result<Vec<Goal>, Trouble> {
        Ok(match destination {
            Some(End::Interfaces(all)) => all.iter().cloned().map(Goal::Interface).collect(),
            Some(End::InternetGateway(vpc)) => vec![Goal::Internet(vpc.clone())],
            Some(End::GatewayEndpoint(it)) => vec![Goal::GatewayEndpoint(it.clone())],
            Some(End::Peering(it)) => vec![Goal::Peering(it.clone())],
            None => {
                let address = self.at_source().destination_address;
                let address = address.or(self.at_destination().destination_address);
                let address = address.ok_or_else(|| no_path(code("UNKNOWN_DESTINATION")))?;
                vec![Goal::Address(address)]
            }
        })
    }

    /// Interfaces that send through a peering connection to a goal.
    fn behind_source(
        &self,
        peering: &VpcPeeringConnection,
        goals: &[Goal],
    ) -> Result<Vec<Option<Arc<NetworkInterface>>>, Trouble> {
        let (one, two) = (&peering.requester.vpc_id, &peering.accepter.vpc_id);
        let near = goals.iter().find_map(|goal| match goal {
            Goal::Interface(it) => Some(it.vpc_id.clone()),
            _ => None,
        });
        let far = match near {
            Some(vpc) if vpc == *one => two,
            Some(vpc) if vpc == *two => one,
            Some(_) => return Err(no_path(code("DISCONNECTED_VPCS"))),
            None => return Err(no_path(code("NO_PATH"))),
        };
        let found = self.interfaces_in(far);
        match found.is_empty() {
            true => Err(Trouble::Unknown(format!(
                "no interface in {far} is in use, so nothing comes through {}",
                peering.id
            ))),
            false => Ok(found.into_iter().map(Some).collect()),
        }
    }

    fn interfaces_in(&self, vpc: &VpcId) -> Vec<Arc<NetworkInterface>> {
        let all = self.world.records.referrers::<NetworkInterface>(vpc.as_str());
        let used = all.filter(|it| it.vpc_id == *vpc && it.attachment.is_some());
        let used = used.filter(|it| self.world.policy.interface_id(it.port).is_some());
        used.take(BEHIND_PEERING).cloned().collect()
    }

    fn pair(
        &self,
        source: &End,
        begin: Option<&Arc<NetworkInterface>>,
        goal: &Goal,
    ) -> Result<Pair, Trouble> {
        let (filter, at_destination) = (self.at_source(), self.at_destination());
        self.check_connected(source, begin, goal)?;
        let explicit = filter.source_address.or(self.path.source_ip);
        let sources = match (explicit, begin) {
            (Some(address), _) => vec![of_address(address)],
            (None, Some(interface)) => addresses(interface),
            (None, None) => PUBLIC.to_vec(),
        };
        let destinations = match filter.destination_address {
            Some(address) => vec![of_address(address)],
            None => self.destinations(begin, goal, at_destination.destination_address)?,
        };
        let asked = filter.destination_ports.or(self.path.destination_port.map(|it| (it, it)));
        let asked = asked.map_or(PORTS, range);
        let destination_ports = match at_destination.destination_ports {
            Some(ports) => common(&[asked], &[range(ports)]),
            None => vec![asked],
        };
        if destination_ports.is_empty() {
            return Err(no_path(code("FILTER_AT_DESTINATION_DESTINATION_PORT_RANGE")));
        }
        let protocol = match self.path.protocol.as_str() {
            "udp" => IpProtocol::UDP,
            _ => IpProtocol::TCP,
        };
        let mut interfaces: Vec<_> = begin.cloned().into_iter().collect();
        if let Goal::Interface(interface) = goal {
            interfaces.push(interface.clone());
        }
        let packets = Packets {
            start: begin.map_or(Start::Internet, |it| Start::Port(it.port)),
            protocol,
            sources,
            destinations,
            source_ports: vec![filter.source_ports.map_or(PORTS, range)],
            destination_ports,
        };
        Ok(Pair { packets, goal: goal.clone(), interfaces })
    }

    /// VPCs without anything between them have no path.
    fn check_connected(
        &self,
        source: &End,
        begin: Option<&Arc<NetworkInterface>>,
        goal: &Goal,
    ) -> Result<(), Trouble> {
        let world = self.world;
        let from = match (begin, source) {
            (Some(interface), _) => &interface.vpc_id,
            (None, End::InternetGateway(vpc)) => vpc,
            (None, _) => return Ok(()),
        };
        let (to, crosses) = match goal {
            Goal::Interface(it) => (&it.vpc_id, begin.is_some()),
            Goal::Internet(vpc) => (vpc, false),
            Goal::GatewayEndpoint(it) => (&it.vpc_id, false),
            Goal::Peering(it) if it.requester.vpc_id == *from || it.accepter.vpc_id == *from => {
                return Ok(());
            }
            Goal::Peering(it) => (&it.requester.vpc_id, false),
            Goal::Address(_) => return Ok(()),
        };
        let disconnected = || {
            no_path(Explanation {
                source_vpc: Some(world.vpc(from)),
                destination_vpc: Some(world.vpc(to)),
                ..code("DISCONNECTED_VPCS")
            })
        };
        if from == to {
            return Ok(());
        }
        let peered = world.records.referrers::<VpcPeeringConnection>(from.as_str()).any(|it| {
            let other = crate::resource::vpc_peering_connection::sides(it, from);
            let lives =
                matches!(it.status, PeeringStatus::Active | PeeringStatus::PendingAcceptance);
            lives && other.is_some_and(|(_, other)| other.vpc_id == *to)
        });
        let attached = |vpc: &VpcId| {
            world.records.referrers::<TransitGatewayVpcAttachment>(vpc.as_str()).next().is_some()
        };
        match crosses && (peered || attached(from) && attached(to)) {
            true => Ok(()),
            false => Err(disconnected()),
        }
    }

    /// The addresses by which a sender may mean a goal.
    fn destinations(
        &self,
        begin: Option<&Arc<NetworkInterface>>,
        goal: &Goal,
        at: Option<Ipv4Addr>,
    ) -> Result<Vec<Range>, Trouble> {
        let world = self.world;
        match (goal, begin) {
            (Goal::Interface(interface), Some(_)) => match at {
                None => Ok(addresses(interface)),
                Some(address)
                    if interface.private_addresses.contains(&address)
                        || !interface.source_dest_check =>
                {
                    Ok(vec![of_address(address)])
                }
                Some(address) => Err(no_path(Explanation {
                    address: Some(format!("{address}/32")),
                    egress: Some(false),
                    network_interface: Some(world.interface(interface)),
                    subnet: Some(world.subnet(interface)),
                    vpc: Some(world.vpc(&interface.vpc_id)),
                    ..code("ENI_ADDRESS_RESTRICTION")
                })),
            },
            (Goal::Interface(interface), None) => {
                let mappings = public_ip::mappings(world.records, interface);
                let meant = mappings.iter().filter(|it| at.is_none_or(|at| at == it.private));
                let public: Vec<_> = meant.map(|it| of_address(it.public)).collect();
                match public.is_empty() {
                    false => Ok(public),
                    true => Err(no_path(Explanation {
                        internet_gateway: world.internet_gateway(&interface.vpc_id),
                        network_interface: Some(world.interface(interface)),
                        vpc: Some(world.vpc(&interface.vpc_id)),
                        ..code("IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS")
                    })),
                }
            }
            (Goal::Internet(_), Some(_)) => {
                Ok(at.map_or_else(|| PUBLIC.to_vec(), |address| vec![of_address(address)]))
            }
            (Goal::GatewayEndpoint(endpoint), Some(_)) => {
                let list = crate::resource::prefix_list::of_service(&endpoint.service_name);
                let entries = list.into_iter().flat_map(|list| &list.entries);
                let blocks = entries.filter_map(|entry| match entry.cidr {
                    ipnet::IpNet::V4(block) => Some(of_block(block)),
                    ipnet::IpNet::V6(_) => None,
                });
                Ok(blocks.collect())
            }
            (Goal::Peering(peering), Some(interface)) => {
                let sides =
                    crate::resource::vpc_peering_connection::sides(peering, &interface.vpc_id);
                let far = sides.map(|(_, far)| self.interfaces_in(&far.vpc_id)).unwrap_or_default();
                match far.is_empty() {
                    true => Err(Trouble::Unknown(format!(
                        "no interface behind {} is in use, so nobody answers through it",
                        peering.id
                    ))),
                    false => Ok(far.iter().flat_map(|it| addresses(it)).collect()),
                }
            }
            (Goal::Address(address), _) => Ok(vec![of_address(*address)]),
            (Goal::Internet(_) | Goal::GatewayEndpoint(_) | Goal::Peering(_), None) => {
                Err(no_path(code("NO_PATH")))
            }
        }
    }

    fn judge(&self, pair: &Pair, left: &StepPacket, answer: &ModelAnswer) -> Judgement<Miss> {
        let world = self.world;
        let forward = &answer.forward;
        let near =
            forward.steps.len() + answer.reply.as_ref().map_or(0, |reply| 1000 + reply.steps.len());
        if let Some(explanation) = reflection(world, forward) {
            return Judgement::No(near, Miss::Other(vec![explanation]));
        }
        let passed_peering = forward.steps.iter().any(|step| step.stage == Stage::Peering);
        if let Goal::Peering(peering) = &pair.goal
            && passed_peering
            && forward.drop != Some(DropReason::PeeringNoSuchAddress)
            && !answer.reachable
        {
            return Judgement::Unknown(format!(
                "packets pass {}, but no interface behind it answers them, so the way back is not \
                 known",
                peering.id
            ));
        }
        let leg = answer.reply.as_ref().unwrap_or(forward);
        match leg.drop {
            Some(DropReason::TransitGatewayNotCarried(_) | DropReason::VpnTunnelDown(_)) => {
                return match explain(world, left, answer) {
                    Trouble::Unknown(why) => Judgement::Unknown(why),
                    Trouble::NoPath(explanations) => Judgement::No(near, Miss::Other(explanations)),
                };
            }
            None if leg.arrived.is_none() => {
                return Judgement::Unknown("something on the way answers by itself".to_owned());
            }
            _ => {}
        }
        if forward.arrived.is_some() {
            if let Err(judgement) = self.arrives(pair, answer, near) {
                return judgement;
            }
            if let Some(miss) = self.filtered(left, answer) {
                return Judgement::No(near, Miss::Other(miss));
            }
        }
        match answer.reachable {
            true => Judgement::Yes,
            false => Judgement::No(near, Miss::Engine(*left)),
        }
    }

    /// Whether a packet that arrived somewhere arrived at the goal.
    fn arrives(
        &self,
        pair: &Pair,
        answer: &ModelAnswer,
        near: usize,
    ) -> Result<(), Judgement<Miss>> {
        let world = self.world;
        let forward = &answer.forward;
        if let Goal::Address(address) = &pair.goal
            && forward.steps.iter().any(|step| step.stage == Stage::PlatformService)
        {
            let why = format!("{address} is a service of the platform, which is not analyzed");
            return Err(Judgement::Unknown(why));
        }
        if pair.goal.is_at(world, forward) {
            return Ok(());
        }
        // What an instance does with packets that are not for it, nobody can tell.
        if let Some(interface) = last_port(forward).and_then(|port| world.behind(port))
            && interface.attachment.is_some()
            && !interface.source_dest_check
        {
            return Err(Judgement::Unknown(format!(
                "packets come to {}, which is not the destination; whether it sends them on is not \
                 known",
                interface.id
            )));
        }
        let last = forward.steps.iter().rev().find(|step| step.stage == Stage::Route);
        let interface = last.and_then(|step| world.behind(step.port));
        let component = last.and_then(|step| world.policy.component(step.component?));
        let table = interface.and_then(|it| {
            let table = world.table_of(&it.subnet_id, &it.vpc_id)?;
            Some(world.named::<RouteTable>(&world.scope_of(&it.vpc_id), table.id.as_str()))
        });
        Err(Judgement::No(
            near,
            Miss::Other(vec![Explanation {
                route_table: table,
                route: component.and_then(|it| world.chosen_route(it, true)),
                vpc: interface.map(|it| world.vpc(&it.vpc_id)),
                subnet: interface.map(|it| world.subnet(it)),
                ..code("NO_ROUTE_TO_DESTINATION")
            }]),
        ))
    }

    /// A path that begins or ends at a peering connection has no components beyond it.
    fn within_peering(
        &self,
        source: &End,
        goal: &Goal,
        mut forward: Vec<PathComponent>,
        mut back: Vec<PathComponent>,
    ) -> (Vec<PathComponent>, Vec<PathComponent>) {
        let place = |all: &[PathComponent], id: &str| {
            all.iter().position(|it| it.component.as_ref().is_some_and(|it| it.id == id))
        };
        if let End::Peering(peering) = source {
            if let Some(at) = place(&forward, peering.id.as_str()) {
                forward.drain(..at);
            }
            if let Some(at) = place(&back, peering.id.as_str()) {
                back.truncate(at + 1);
            }
        }
        if let Goal::Peering(peering) = goal {
            if let Some(at) = place(&forward, peering.id.as_str()) {
                forward.truncate(at + 1);
            }
            if let Some(at) = place(&back, peering.id.as_str()) {
                back.drain(..at);
            }
        }
        (forward, back)
    }
}

/// The private addresses of an interface, each by itself.
pub(super) fn addresses(interface: &NetworkInterface) -> Vec<Range> {
    interface.private_addresses.iter().map(|it| of_address(*it)).collect()
}
