//! Network Access Analyzer: all paths that an access scope speaks of (NAA-1).
//!
//! Interfaces that no rule tells apart are one class: of two classes one pair is searched, and what
//! is found is asked for again, by the engine, for each pair that becomes a finding.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gureum_engine::{DropReason, Model, ModelAnswer, StepPacket};
use gureum_types::{
    IpProtocol,
    record::{
        AccessScopeFinding, AccessScopePath, AnalysisOutcome, InternetGateway, NetworkAcl,
        NetworkInsightsAccessScope, NetworkInterface, PathComponent, RouteDestination, RouteTable,
        RulePeer, SecurityGroupRule, VpcEndpoint,
    },
};

use super::{
    course::ways,
    goal::{Goal, last_port},
    lines::{Line, PUBLIC, Range, common, of_address, of_block},
    path::addresses,
    rules::Lines,
    search::{BUDGET, Found as FoundPath, Judgement, Packets, Searched, Start},
    statement::{Filter, Place, passes, unknown},
    world::World,
};
use crate::resource::{prefix_list, public_ip, vpc_peering_connection as peering};

/// How many findings are kept. Whoever has more reads of it in the warning.
pub(crate) const FINDINGS: usize = 5_000;

/// What an analysis of an access scope comes to.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) outcome: AnalysisOutcome,
    pub(crate) warning: Option<String>,
    pub(crate) interfaces: u32,
    pub(crate) findings: Vec<AccessScopeFinding>,
}

/// A path statement with its packets as ranges.
struct Statement<'a> {
    path: &'a AccessScopePath,
    leaving: Filter,
    arriving: Filter,
}

impl<'a> Statement<'a> {
    fn new(world: &World<'_>, path: &'a AccessScopePath) -> Self {
        Self {
            path,
            leaving: Filter::new(world, path.source.as_ref()),
            arriving: Filter::new(world, path.destination.as_ref()),
        }
    }

    fn means(&self, world: &World<'_>, source: &Place, destination: &Place) -> bool {
        source.is_meant(world, self.path.source.as_ref())
            && destination.is_meant(world, self.path.destination.as_ref())
    }

    fn fits(&self, left: &StepPacket, arrived: &StepPacket) -> bool {
        self.leaving.fits(left) && self.arriving.fits(arrived)
    }

    fn goes_through(&self, path: &[PathComponent]) -> bool {
        self.path.through.iter().all(|through| passes(path, through))
    }
}

/// Interfaces that no rule and no statement tells apart; or a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Class {
    /// The subnet, or the gateway's own id.
    place: String,
    groups: Vec<String>,
    source_dest_check: bool,
    /// Where its addresses are between the cuts of all rules, private ones with their public ones.
    cells: Vec<(usize, Option<usize>)>,
    /// Its own id, where a route leads to it.
    target: Option<String>,
    /// Which statements speak of it, as source and as destination.
    meant: Vec<(bool, bool)>,
    /// The kind of what it belongs to.
    owner: String,
}

/// Analyzes a scope.
pub(crate) fn analyze(world: &World<'_>, scope: &NetworkInsightsAccessScope) -> Found {
    let matches: Vec<_> = scope.match_paths.iter().map(|it| Statement::new(world, it)).collect();
    let excludes: Vec<_> = scope.exclude_paths.iter().map(|it| Statement::new(world, it)).collect();
    let mut analysis = Analysis::new(world, matches, excludes);
    let unknown = analysis.unknown_statement();
    if unknown.is_none() {
        analysis.run();
    }
    let unknown = unknown.or(analysis.unknown.take());
    let outcome = match (analysis.findings.is_empty(), &unknown) {
        (false, _) => AnalysisOutcome::Found,
        (true, Some(why)) => AnalysisOutcome::Unknown(why.clone()),
        (true, None) => AnalysisOutcome::NotFound,
    };
    let more = analysis.more.then(|| {
        format!("There are more than {FINDINGS} findings; the first {FINDINGS} are shown.")
    });
    let rest = unknown.map(|why| format!("Other paths are unknown, because {why}."));
    let warning: Vec<_> = more.into_iter().chain(rest).collect();
    Found {
        outcome,
        warning: (!warning.is_empty()).then(|| warning.join(" ")),
        interfaces: analysis.interfaces,
        findings: analysis.findings,
    }
}

struct Analysis<'w> {
    world: &'w World<'w>,
    matches: Vec<Statement<'w>>,
    excludes: Vec<Statement<'w>>,
    places: Vec<(Place, Class)>,
    interfaces: u32,
    findings: Vec<AccessScopeFinding>,
    unknown: Option<String>,
    more: bool,
}

impl<'w> Analysis<'w> {
    fn new(
        world: &'w World<'w>,
        matches: Vec<Statement<'w>>,
        excludes: Vec<Statement<'w>>,
    ) -> Self {
        let (records, scope) = (world.records, &world.call.scope);
        let gateways = records
            .all::<InternetGateway>(scope)
            .filter_map(|gateway| Some(Place::Internet(gateway.clone(), gateway.vpc_id.clone()?)));
        let endpoints = records.all::<VpcEndpoint>(scope);
        let endpoints = endpoints.filter(|it| it.carries() && it.interface().is_none());
        let interfaces = records.all::<NetworkInterface>(scope).filter(|it| {
            world.policy.interface_id(it.port).is_some() && !it.private_addresses.is_empty()
        });
        let places: Vec<_> = gateways
            .chain(interfaces.cloned().map(Place::Interface))
            .chain(endpoints.cloned().map(Place::GatewayEndpoint))
            .collect();
        let count = places.iter().filter(|it| matches!(it, Place::Interface(_))).count();
        let mut line = all_cuts(world);
        for statement in matches.iter().chain(&excludes) {
            for filter in [&statement.leaving, &statement.arriving] {
                filter.ranges().0.for_each(|range| line.cut(*range));
            }
        }
        let classed = |place: Place| {
            let class = class_of(world, &line, &matches, &excludes, &place);
            (place, class)
        };
        let places = places.into_iter().map(classed).collect();
        Self {
            world,
            places,
            interfaces: u32::try_from(count).unwrap_or(u32::MAX),
            matches,
            excludes,
            findings: Vec::new(),
            unknown: None,
            more: false,
        }
    }

    /// Why nobody can say what a statement asks.
    fn unknown_statement(&self) -> Option<String> {
        self.matches.iter().chain(&self.excludes).find_map(|statement| {
            let ends = [&statement.path.source, &statement.path.destination];
            let ends = ends.into_iter().flatten().filter_map(|it| it.resource.as_ref());
            let mut through = statement.path.through.iter();
            ends.map(|it| (it, true))
                .find_map(|(it, end)| unknown(self.world, it, end))
                .or_else(|| through.find_map(|it| unknown(self.world, it, false)))
        })
    }

    fn run(&mut self) {
        let world = self.world;
        let mut model = Model::new(world.policy);
        let mut known: HashMap<(usize, usize, usize, u8), Option<FoundPath>> = HashMap::new();
        let mut seen = HashSet::new();
        let mut classes: HashMap<&Class, usize> = HashMap::new();
        let numbers: Vec<usize> = self
            .places
            .iter()
            .map(|(_, class)| {
                let next = classes.len();
                *classes.entry(class).or_insert(next)
            })
            .collect();
        let (mut findings, mut unknown, mut more) = (Vec::new(), None, false);
        for (number, statement) in self.matches.iter().enumerate() {
            for (at, (source, from)) in self.places.iter().enumerate() {
                if !from.meant.get(number).is_some_and(|it| it.0) || !begins(source) {
                    continue;
                }
                for (to, (destination, into)) in self.places.iter().enumerate() {
                    if at == to
                        || !into.meant.get(number).is_some_and(|it| it.1)
                        || !self.can_meet(source, destination)
                    {
                        continue;
                    }
                    for protocol in [IpProtocol::TCP, IpProtocol::UDP] {
                        let key = (numbers[at], numbers[to], number, protocol.0);
                        if matches!(known.get(&key), Some(None)) {
                            continue;
                        }
                        let template = known.get(&key).and_then(Option::as_ref);
                        let ask = Ask { statement, source, destination, protocol };
                        let found = self.find(&mut model, &ask, template, &mut unknown);
                        if let Some(found) = &found
                            && seen.insert((at, to, protocol.0))
                        {
                            if findings.len() == FINDINGS {
                                more = true;
                                (self.findings, self.more) = (findings, more);
                                self.unknown = unknown;
                                return;
                            }
                            let (components, _) = ways(world, &found.answer, &found.spread);
                            let id = format!("AnalysisFinding-{}", findings.len() + 1);
                            findings.push(AccessScopeFinding { id, components });
                        }
                        known.entry(key).or_insert(found);
                    }
                }
            }
        }
        (self.findings, self.unknown, self.more) = (findings, unknown, more);
    }

    /// Whether there may be a path at all between two places.
    fn can_meet(&self, source: &Place, destination: &Place) -> bool {
        let (from, to) = (source.vpc(), destination.vpc());
        match (source, destination) {
            (Place::Interface(_), Place::Interface(_)) => {
                from == to
                    || peering::active(self.world.records, from).any(|(_, it)| it.vpc_id == *to)
            }
            (Place::Internet(..), Place::Internet(..) | Place::GatewayEndpoint(_)) => false,
            _ => from == to,
        }
    }

    fn find(
        &self,
        model: &mut Model<'_>,
        ask: &Ask<'_>,
        template: Option<&FoundPath>,
        unknown: &mut Option<String>,
    ) -> Option<FoundPath> {
        let packets = ask.packets(self.world)?;
        let judge = |left: &StepPacket, answer: &ModelAnswer| self.judge(ask, left, answer);
        let mut budget = BUDGET;
        if let Some(template) = template {
            let narrow = packets.like(&template.spread);
            let lines = Lines::default();
            let found = narrow.search(model, &lines, &mut budget, judge);
            if let Searched::Found(mut found) = found {
                found.spread = packets.spread_like(&found.spread, &template.spread);
                return Some(*found);
            }
        }
        let interfaces: Vec<&NetworkInterface> = [ask.source, ask.destination]
            .into_iter()
            .filter_map(|place| match place {
                Place::Interface(interface) => Some(&**interface),
                _ => None,
            })
            .collect();
        let mut lines = Lines::new(self.world, ask.protocol, &interfaces);
        for statement in self.matches.iter().chain(&self.excludes) {
            for filter in [&statement.leaving, &statement.arriving] {
                let (addresses, ports) = filter.ranges();
                addresses.for_each(|range| lines.addresses.cut(*range));
                ports.for_each(|range| {
                    lines.source_ports.cut(*range);
                    lines.destination_ports.cut(*range);
                });
            }
        }
        match packets.search(model, &lines, &mut budget, judge) {
            Searched::Found(found) => Some(*found),
            Searched::Nothing(_) => None,
            Searched::Unknown(why) => {
                unknown.get_or_insert(why);
                None
            }
        }
    }

    fn judge(&self, ask: &Ask<'_>, left: &StepPacket, answer: &ModelAnswer) -> Judgement<()> {
        let world = self.world;
        let forward = &answer.forward;
        match forward.drop {
            Some(DropReason::TransitGatewayNotCarried(_)) => {
                return Judgement::Unknown("a route leads to a transit gateway".to_owned());
            }
            Some(DropReason::VpnTunnelDown(_)) => {
                return Judgement::Unknown("a route leads to a virtual private gateway".to_owned());
            }
            _ => {}
        }
        if !ask.goal().is_at(world, forward) {
            let appliance = last_port(forward).and_then(|port| world.behind(port));
            return match appliance.filter(|it| it.attachment.is_some() && !it.source_dest_check) {
                Some(interface) => Judgement::Unknown(format!(
                    "packets come to {}, and whether it sends them on is not known",
                    interface.id
                )),
                None => Judgement::No(0, ()),
            };
        }
        // Out by a gateway and in by one: two paths, each of which is a finding of its own.
        if super::explain::reflection(world, forward).is_some() {
            return Judgement::No(0, ());
        }
        let Some(arrived) = super::course::arrived(forward) else { return Judgement::No(0, ()) };
        if !ask.statement.fits(left, &arrived) {
            return Judgement::No(0, ());
        }
        let excluding: Vec<_> = self
            .excludes
            .iter()
            .filter(|it| it.means(world, ask.source, ask.destination) && it.fits(left, &arrived))
            .collect();
        let looks = |it: &Statement<'_>| !it.path.through.is_empty();
        let path = match looks(ask.statement) || excluding.iter().any(|it| looks(it)) {
            true => ways(world, answer, &super::course::Spread::of(left)).0,
            false => Vec::new(),
        };
        let is_out = excluding.iter().any(|it| it.goes_through(&path));
        match ask.statement.goes_through(&path) && !is_out {
            true => Judgement::Yes,
            false => Judgement::No(0, ()),
        }
    }
}

/// What is asked of one pair.
struct Ask<'a> {
    statement: &'a Statement<'a>,
    source: &'a Place,
    destination: &'a Place,
    protocol: IpProtocol,
}

impl Ask<'_> {
    fn goal(&self) -> Goal {
        match self.destination {
            Place::Internet(_, vpc) => Goal::Internet(vpc.clone()),
            Place::Interface(interface) => Goal::Interface(interface.clone()),
            Place::GatewayEndpoint(endpoint) => Goal::GatewayEndpoint(endpoint.clone()),
        }
    }

    /// The packets that the statement leaves open; none where there cannot be any.
    fn packets(&self, world: &World<'_>) -> Option<Packets> {
        let Statement { leaving, arriving, .. } = self.statement;
        if !leaving.admits(self.protocol) || !arriving.admits(self.protocol) {
            return None;
        }
        let (start, sources) = match self.source {
            Place::Interface(interface) => (Start::Port(interface.port), addresses(interface)),
            Place::Internet(..) => (Start::Internet, PUBLIC.to_vec()),
            Place::GatewayEndpoint(_) => return None,
        };
        let destinations = match (self.destination, self.source) {
            (Place::Interface(interface), Place::Internet(..)) => {
                let mappings = public_ip::mappings(world.records, interface);
                mappings.iter().map(|it| of_address(it.public)).collect()
            }
            (Place::Interface(interface), _) => addresses(interface),
            (Place::Internet(..), _) => PUBLIC.to_vec(),
            (Place::GatewayEndpoint(endpoint), _) => service_blocks(endpoint),
        };
        let within = |ranges: Vec<Range>, list: &Option<Vec<Range>>| match list {
            Some(list) => common(&ranges, list),
            None => ranges,
        };
        let sources = within(sources, &leaving.sources);
        let destinations = within(destinations, &leaving.destinations);
        let open = |one: &Option<Vec<Range>>, two: &Option<Vec<Range>>| {
            common(&Filter::ports(one), &Filter::ports(two))
        };
        let destination_ports = open(&leaving.destination_ports, &arriving.destination_ports);
        // What a NAT gateway makes of the source port is looked at where it arrives.
        let source_ports = Filter::ports(&leaving.source_ports);
        let packets = Packets {
            start,
            protocol: self.protocol,
            sources,
            destinations,
            source_ports,
            destination_ports,
        };
        let empty = packets.sources.is_empty()
            || packets.destinations.is_empty()
            || packets.source_ports.is_empty()
            || packets.destination_ports.is_empty();
        (!empty).then_some(packets)
    }
}

/// Whether paths begin at a place: services begin nothing (VPCE-6).
fn begins(place: &Place) -> bool {
    match place {
        Place::Internet(..) => true,
        Place::Interface(interface) => interface.attachment.is_some(),
        Place::GatewayEndpoint(_) => false,
    }
}

fn service_blocks(endpoint: &Arc<VpcEndpoint>) -> Vec<Range> {
    let list = prefix_list::of_service(&endpoint.service_name);
    let entries = list.into_iter().flat_map(|list| &list.entries);
    let blocks = entries.filter_map(|entry| match entry.cidr {
        ipnet::IpNet::V4(block) => Some(of_block(block)),
        ipnet::IpNet::V6(_) => None,
    });
    blocks.collect()
}

/// The line of addresses, cut by every rule, entry and route of the account.
fn all_cuts(world: &World<'_>) -> Line {
    let (records, scope) = (world.records, &world.call.scope);
    let mut line = Line::default();
    let mut cut = |block: ipnet::IpNet| {
        if let ipnet::IpNet::V4(block) = block {
            line.cut(of_block(block));
        }
    };
    for rule in records.all::<SecurityGroupRule>(scope) {
        match &rule.peer {
            RulePeer::Ipv4(block) => cut((*block).into()),
            RulePeer::Ipv6(_) | RulePeer::Group(_) => {}
            RulePeer::PrefixList(id) => {
                let list = world.prefix_list(scope, id.as_str());
                list.into_iter().flat_map(|list| &list.entries).for_each(|it| cut(it.cidr));
            }
        }
    }
    for acl in records.all::<NetworkAcl>(scope) {
        acl.entries.iter().for_each(|entry| cut(entry.cidr));
    }
    for table in records.all::<RouteTable>(scope) {
        for route in &table.routes {
            match &route.destination {
                RouteDestination::Ipv4(block) => cut((*block).into()),
                RouteDestination::Ipv6(_) => {}
                RouteDestination::PrefixList(id) => {
                    let list = world.prefix_list(scope, id.as_str());
                    list.into_iter().flat_map(|list| &list.entries).for_each(|it| cut(it.cidr));
                }
            }
        }
    }
    line
}

fn class_of(
    world: &World<'_>,
    line: &Line,
    matches: &[Statement<'_>],
    excludes: &[Statement<'_>],
    place: &Place,
) -> Class {
    let statements = matches.iter().chain(excludes);
    let meant = statements.map(|it| {
        (
            place.is_meant(world, it.path.source.as_ref()),
            place.is_meant(world, it.path.destination.as_ref()),
        )
    });
    let meant = meant.collect();
    let Place::Interface(interface) = place else {
        return Class {
            place: place.id().to_owned(),
            groups: Vec::new(),
            source_dest_check: true,
            cells: Vec::new(),
            target: None,
            meant,
            owner: String::new(),
        };
    };
    let public = public_ip::mappings(world.records, interface);
    let cells = interface.private_addresses.iter().map(|address| {
        let public = public.iter().find(|it| it.private == *address);
        (line.place((*address).into()), public.map(|it| line.place(it.public.into())))
    });
    let is_target = world.records.referrers::<RouteTable>(interface.id.as_str()).next().is_some();
    let mut groups: Vec<_> = interface.groups.iter().map(ToString::to_string).collect();
    groups.sort_unstable();
    Class {
        place: interface.subnet_id.to_string(),
        groups,
        source_dest_check: interface.source_dest_check,
        cells: cells.collect(),
        target: is_target.then(|| interface.id.to_string()),
        meant,
        // Each endpoint and gateway has paths of its own.
        owner: match interface.attachment {
            Some(_) => "instance".to_owned(),
            None => interface.id.to_string(),
        },
    }
}
