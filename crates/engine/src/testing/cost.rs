//! What packets, changes and flows cost, measured: for the example `cost` and for `make bench`.

use std::{
    cell::RefCell,
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use gureum_types::{
    AddressAssociationId, AllocationId, IpProtocol, NatGatewayId, PortIndex, PrefixListId,
    SecurityGroupId, Timestamp, nat64_address,
    record::{
        Address, AddressAssociation, Network, NetworkAclEntry, NetworkInterface, PrefixListEntry,
        Route, RouteDestination, RouteTarget, RulePeer, Traffic,
    },
};

use super::{
    Built, Lab, fuzz_changes,
    lab::{
        BASTION, BASTION_GROUP, FABRIC, OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_TABLE, PUB_GROUP,
        PUBLIC_01, PUBLIC_TABLE, vpc_id,
    },
    packets::{self, flags},
    records::{self, block},
};
use crate::{
    Compiler, Discard, FlowPlace, Limits, NoTrace, Packet, RECORD_LEN, State, Verdict, compile,
    process,
};

/// A figure with what it should not exceed.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Of what.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of which unit.
    pub unit: &'static str,
    /// At most; nothing where it is only measured.
    pub limit: Option<f64>,
}

fn figure(name: impl Into<String>, value: f64, unit: &'static str, limit: Option<f64>) -> Figure {
    Figure { name: name.into(), value, unit, limit }
}

/// How many rules, routes and interfaces count as many.
const MANY: u32 = 10_000;
/// How many flows are held.
const FLOWS: u32 = 1_000_000;
/// Slots that the data path looks at between two packets.
const LOOK: u32 = 4096;
/// Nanoseconds of a packet that the flow cache knows.
const CACHED_LIMIT: f64 = 150.0;
/// Nanoseconds of a packet through all stages.
const STAGES_LIMIT: f64 = 3000.0;
/// How much more a packet may cost among many.
const GROWTH_LIMIT: f64 = 1.1;
/// Milliseconds to compile one change.
const CHANGE_LIMIT: f64 = 20.0;
/// Bytes of a tracked flow.
const FLOW_LIMIT: f64 = 256.0;

/// The port of the first of many interfaces.
const FIRST_OF_MANY: u32 = 100;
/// The group that all of them have.
const MANY_GROUP: u64 = 50;
/// The subnet that they are in.
const MANY_SUBNET: u64 = 50;

/// The lab with IPv6, a NAT gateway, peering and a rule for a prefix list, all of them in use.
fn network() -> Network {
    let mut network = fuzz_changes::network();
    let nat = RouteTarget::NatGateway(NatGatewayId::new(1));
    let peering = network.vpc_peering_connections[0].id.clone();
    let peering = RouteTarget::VpcPeeringConnection(peering);
    route(&mut network, PRIVATE_TABLE, "0.0.0.0/0", nat);
    route(&mut network, PUBLIC_TABLE, "10.2.0.0/16", peering);
    network.prefix_lists[0] = Arc::new(records::prefix_list(1, &["10.1.2.0/24", "10.1.200.0/24"]));
    let group = SecurityGroupId::new(PRI_GROUP);
    let list = RulePeer::PrefixList(PrefixListId::new(1));
    let rule = records::rule(500, &group, false, records::udp(53, 53), list);
    network.security_group_rules.push(Arc::new(rule));
    let rules = [(BASTION_GROUP, true), (PRI_GROUP, false)].map(|(group, egress)| {
        let peer = RulePeer::Ipv6("::/0".parse().unwrap());
        let number = 501 + u64::from(egress);
        records::rule(number, &SecurityGroupId::new(group), egress, records::tcp(22, 22), peer)
    });
    network.security_group_rules.extend(rules.map(Arc::new));
    network
}

fn route(network: &mut Network, table: u64, destination: &str, target: RouteTarget) {
    let id = gureum_types::RouteTableId::new(table);
    let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
    let destination = RouteDestination::Ipv4(block(destination));
    Arc::make_mut(table).routes.push(Route { destination, target });
}

/// A rule for one port and one block, another one for each number.
fn narrow_rule(number: u32, group: &SecurityGroupId) -> gureum_types::record::SecurityGroupRule {
    let port = u16::try_from(1000 + number % 60_000).unwrap();
    let [.., a, b] = number.to_be_bytes();
    let peer = records::from_block(&format!("10.{a}.{b}.0/24"));
    records::rule(10_000 + u64::from(number), group, false, records::tcp(port, port), peer)
}

/// Many rules for each group of the lab.
fn many_rules() -> Network {
    let mut network = network();
    for group in [PUB_GROUP, BASTION_GROUP, PRI_GROUP] {
        let group_id = SecurityGroupId::new(group);
        let rules = (0..MANY).map(|number| narrow_rule(number, &group_id));
        network.security_group_rules.extend(rules.map(Arc::new));
    }
    network
}

/// Many routes in both tables.
fn many_routes() -> Network {
    let mut network = network();
    for table in [PUBLIC_TABLE, PRIVATE_TABLE] {
        let id = gureum_types::RouteTableId::new(table);
        let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
        let target = table.routes[0].target.clone();
        Arc::make_mut(table).routes.extend((0..MANY).map(|number| {
            let [.., a, b] = number.to_be_bytes();
            let destination = RouteDestination::Ipv4(block(&format!("100.{a}.{b}.0/24")));
            Route { destination, target: target.clone() }
        }));
    }
    network
}

/// Many interfaces in the lab's VPC, of a group with a thousand rules, half of them also of
/// another one.
fn many_interfaces() -> Network {
    let mut network = network();
    let group = records::security_group(MANY_GROUP, &vpc_id(), "many");
    let rules = (0..1000).map(|number| narrow_rule(number, &group.id));
    network.security_group_rules.extend(rules.map(Arc::new));
    let subnet = records::subnet(MANY_SUBNET, &vpc_id(), block("10.1.64.0/18"));
    let groups = [group.id.clone(), SecurityGroupId::new(PRI_GROUP)];
    for number in 0..MANY {
        let address = Ipv4Addr::from(0x0a01_4000 + 10 + number);
        let port = PortIndex(FIRST_OF_MANY + number);
        let groups = &groups[..1 + number as usize % 2];
        let record = records::interface(port, &subnet, &[address], groups, None);
        network.interfaces.push(Arc::new(record));
    }
    network.subnets.push(Arc::new(subnet));
    network.security_groups.push(Arc::new(group));
    network
}

/// A packet that arrives every time.
struct Case {
    name: &'static str,
    port: PortIndex,
    built: Built,
}

/// A lab in which connections of all kinds are under way, with a packet of each.
fn cases(network: Network) -> (Lab, Vec<Case>) {
    let data = [0; 1000];
    let mut lab = Lab::with(network, Limits { cache: 1, ..Limits::default() });
    let private = lab.address(PRIVATE_01);
    let public = Ipv4Addr::new(198, 18, 0, 11);
    lab.connect(BASTION, private, (40_000, 22));
    lab.connect_from_outside(public, (40_000, 80));
    lab.connect(PRIVATE_01, OUTSIDE, (41_000, 443));
    let private_ipv6 = IpAddr::from(lab.interface(PRIVATE_01).ipv6_addresses[0]);
    lab.connect(BASTION, private_ipv6, (40_000, 22));
    let other = Ipv4Addr::new(10, 2, 1, 31);
    let mut cases = Vec::new();
    let mut add = |name, port, built| cases.push(Case { name, port, built });
    let ends = lab.ends(BASTION, private);
    add("tracked, within the VPC", BASTION, packets::tcp_data(&ends, (40_000, 22), &data));
    add("admitted by a prefix list", BASTION, packets::udp(&ends, (5000, 53), &data));
    let ends = lab.from_outside(OUTSIDE, public);
    let built = packets::tcp_data(&ends, (40_000, 80), &data);
    add("untracked, from the internet", PortIndex::INTERNET, built);
    let ends = lab.ends(PUBLIC_01, OUTSIDE);
    add("untracked, to the internet", PUBLIC_01, packets::tcp_data(&ends, (80, 40_000), &data));
    add("a ping", PUBLIC_01, packets::icmp_echo(&ends, 3, 1));
    let ends = lab.ends(BASTION, private_ipv6);
    add("tracked, IPv6", BASTION, packets::tcp_data(&ends, (40_000, 22), &data));
    let ends = lab.ends(PUBLIC_01, other);
    add("through a peering connection", PUBLIC_01, packets::udp(&ends, (5000, 5000), &data));
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let outward = packets::tcp_data(&ends, (41_000, 443), &data);
    let sent = lab.send(PRIVATE_01, outward.clone());
    let (port, ends) = lab.answering(&sent);
    let (from, to) = sent.seen().ports();
    add("through a NAT gateway, outward", PRIVATE_01, outward);
    let inward = packets::tcp_data(&ends, (to, from), &data);
    add("through a NAT gateway, inward", port, inward);
    (lab, cases)
}

/// Packets that change their family at a NAT gateway, which no cache knows.
fn translated(lab: &mut Lab) -> Vec<Case> {
    let data = [0; 1000];
    let host = nat64_address(OUTSIDE);
    lab.connect(PRIVATE_01, host, (42_000, 443));
    let ends = lab.ends(PRIVATE_01, host);
    let outward = packets::tcp_data(&ends, (42_000, 443), &data);
    let sent = lab.send(PRIVATE_01, outward.clone());
    let (port, ends) = lab.answering(&sent);
    let (from, to) = sent.seen().ports();
    let inward = packets::tcp_data(&ends, (to, from), &data);
    vec![
        Case { name: "NAT64, outward", port: PRIVATE_01, built: outward },
        Case { name: "NAT64, inward", port, built: inward },
    ]
}

/// Nanoseconds a packet of one run.
fn run(lab: &mut Lab, case: &Case, rounds: u32, cached: bool) -> f64 {
    let policy = Arc::clone(&lab.policy);
    let mut frame = case.built.frame.clone();
    let began = Instant::now();
    for _ in 0..rounds {
        frame.copy_from_slice(&case.built.frame);
        let mut packet = Packet { frame: &mut frame, offload: case.built.offload };
        if !cached {
            lab.state.flush_cache();
        }
        let (state, now) = (&mut lab.state, lab.now);
        let verdict =
            process(&policy, state, case.port, &mut packet, now, &mut Discard, &mut NoTrace);
        let arrived = matches!(verdict, Verdict::Forward(_) | Verdict::Translated(_));
        assert!(arrived, "{}: {verdict:?}", case.name);
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

/// Rounds of one run: short, so that some are not disturbed by whoever else uses the processor.
const ROUNDS: u32 = 10_000;
/// How many runs the fastest is taken of.
const RUNS: u32 = 40;

/// Nanoseconds a packet by kind, with the flow cache and through all stages; then how much more
/// it is among many rules, routes and interfaces.
pub fn packet() -> Vec<Figure> {
    let networks = [
        ("", network()),
        ("rules", many_rules()),
        ("routes", many_routes()),
        ("interfaces", many_interfaces()),
    ];
    let mut labs: Vec<_> = networks.map(|(name, network)| (name, cases(network))).into();
    let count = labs[0].1.1.len();
    let mut figures = Vec::new();
    let mut growth = vec![[0f64; 2]; labs.len()];
    let mut worst = [0f64; 2];
    for case in 0..count {
        // In turns, so that whatever disturbs one of them disturbs all.
        let mut fastest = vec![[f64::MAX; 2]; labs.len()];
        for _ in 0..RUNS {
            for ((_, (lab, cases)), fastest) in labs.iter_mut().zip(&mut fastest) {
                for (cached, fastest) in [true, false].into_iter().zip(fastest) {
                    *fastest = fastest.min(run(lab, &cases[case], ROUNDS, cached));
                }
            }
        }
        let name = labs[0].1.1[case].name;
        let [cached, stages] = fastest[0];
        figures.push(figure(format!("packet, cached: {name}"), cached, "ns", None));
        figures.push(figure(format!("packet, all stages: {name}"), stages, "ns", None));
        for way in 0..2 {
            worst[way] = worst[way].max(fastest[0][way]);
            for (growth, many) in growth.iter_mut().zip(&fastest) {
                growth[way] += many[way] / fastest[0][way] / count as f64;
            }
        }
    }
    let lab = &mut labs[0].1.0;
    for case in translated(lab) {
        let runs = (0..RUNS).map(|_| run(lab, &case, ROUNDS, true));
        let fastest = runs.fold(f64::MAX, f64::min);
        let name = format!("packet, all stages: {}", case.name);
        figures.push(figure(name, fastest, "ns", None));
    }
    figures.push(figure("packet, cached: the dearest kind", worst[0], "ns", Some(CACHED_LIMIT)));
    figures.push(figure(
        "packet, all stages: the dearest kind",
        worst[1],
        "ns",
        Some(STAGES_LIMIT),
    ));
    for ((name, _), growth) in labs.iter().zip(growth).skip(1) {
        for (way, growth) in ["cached", "all stages"].into_iter().zip(growth) {
            let name = format!("packet, {way}: {MANY} {name} to 1");
            figures.push(figure(name, growth, "times", Some(GROWTH_LIMIT)));
        }
    }
    figures
}

/// A change of the records, made and taken back.
type Change = (&'static str, fn(&mut Network), fn(&mut Network));

fn rule_of_many(network: &mut Network) {
    let rule = narrow_rule(5000, &SecurityGroupId::new(MANY_GROUP));
    network.security_group_rules.push(Arc::new(rule));
}

fn many_at(network: &Network, number: u32) -> usize {
    let port = PortIndex(FIRST_OF_MANY + number);
    network.interfaces.iter().position(|of| of.port == port).unwrap()
}

fn with_groups(network: &mut Network, groups: &[u64]) {
    let at = many_at(network, 77);
    let groups = groups.iter().map(|group| SecurityGroupId::new(*group));
    Arc::make_mut(&mut network.interfaces[at]).groups = groups.collect();
}

fn new_interface(network: &mut Network) {
    let subnet = network.subnets.iter().find(|of| of.id.as_str().ends_with("32")).unwrap();
    let port = PortIndex(FIRST_OF_MANY + MANY);
    let groups = [SecurityGroupId::new(MANY_GROUP)];
    let address = Ipv4Addr::new(10, 1, 120, 1);
    let record = records::interface(port, subnet, &[address], &groups, None);
    network.interfaces.push(Arc::new(record));
}

const CHANGES: &[Change] = &[
    ("a rule of a group of all", rule_of_many, |network| {
        network.security_group_rules.pop();
    }),
    (
        "a rule that refers to a group",
        |network| {
            let peer = RulePeer::Group(SecurityGroupId::new(MANY_GROUP));
            let group = SecurityGroupId::new(PRI_GROUP);
            let rule = records::rule(900_000, &group, false, Traffic::All, peer);
            network.security_group_rules.insert(3, Arc::new(rule));
        },
        |network| {
            network.security_group_rules.remove(3);
        },
    ),
    (
        "a route",
        |network| route(network, PUBLIC_TABLE, "100.64.0.0/10", RouteTarget::Local),
        |network| {
            let id = gureum_types::RouteTableId::new(PUBLIC_TABLE);
            let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
            Arc::make_mut(table).routes.pop();
        },
    ),
    (
        "an entry of a network ACL",
        |network| {
            Arc::make_mut(&mut network.network_acls[0]).entries.push(NetworkAclEntry {
                rule_number: 50,
                egress: false,
                allow: false,
                traffic: Traffic::Protocol(IpProtocol(50)),
                cidr: block("192.0.2.0/24").into(),
            });
        },
        |network| {
            Arc::make_mut(&mut network.network_acls[0]).entries.pop();
        },
    ),
    ("an interface that starts", new_interface, |network| {
        network.interfaces.pop();
    }),
    (
        "an interface that stops",
        |network| {
            let at = many_at(network, 5000);
            let record = network.interfaces.remove(at);
            STOPPED.with(|stopped| stopped.replace(Some((at, record))));
        },
        |network| {
            let (at, record) = STOPPED.with(RefCell::take).unwrap();
            network.interfaces.insert(at, record);
        },
    ),
    (
        "other groups of an interface",
        |network| with_groups(network, &[MANY_GROUP, BASTION_GROUP]),
        |network| with_groups(network, &[MANY_GROUP, PRI_GROUP]),
    ),
    (
        "an Elastic IP address",
        |network| {
            let interface = &network.interfaces[many_at(network, 700)];
            network.addresses.push(Arc::new(Address {
                domain_name: None,
                allocation_id: AllocationId::new(1),
                public_ip: Ipv4Addr::new(198, 18, 3, 7),
                association: Some(AddressAssociation {
                    id: AddressAssociationId::new(1),
                    network_interface_id: interface.id.clone(),
                    private_ip: interface.primary_address().unwrap(),
                }),
                created: Timestamp(0),
                tags: Default::default(),
            }));
        },
        |network| {
            network.addresses.pop();
        },
    ),
    (
        "a NAT gateway",
        |network| {
            let subnet = Arc::clone(&network.subnets[1]);
            let port = PortIndex(FIRST_OF_MANY + MANY + 1);
            let nat = records::nat_gateway(2, &subnet, port, true);
            let address = Ipv4Addr::new(10, 1, 2, 251);
            let record = records::interface(port, &subnet, &[address], &[], None);
            network.interfaces.push(Arc::new(record));
            network.nat_gateways.push(Arc::new(nat));
        },
        |network| {
            network.nat_gateways.pop();
            network.interfaces.pop();
        },
    ),
    (
        "an entry of a prefix list",
        |network| {
            let entry = PrefixListEntry { cidr: block("10.1.201.0/24").into(), description: None };
            Arc::make_mut(&mut network.prefix_lists[0]).entries.push(entry);
        },
        |network| {
            Arc::make_mut(&mut network.prefix_lists[0]).entries.pop();
        },
    ),
    (
        "an internet gateway",
        |network| Arc::make_mut(&mut network.internet_gateways[0]).vpc_id = None,
        |network| Arc::make_mut(&mut network.internet_gateways[0]).vpc_id = Some(vpc_id()),
    ),
    (
        "a subnet",
        |network| {
            let subnet = records::subnet(60, &vpc_id(), block("10.1.20.0/24"));
            network.subnets.insert(0, Arc::new(subnet));
        },
        |network| {
            network.subnets.remove(0);
        },
    ),
];

thread_local! {
    /// The record of an interface that stopped, with its place.
    static STOPPED: RefCell<Option<(usize, Arc<NetworkInterface>)>> = const { RefCell::new(None) };
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Milliseconds to compile ten thousand interfaces: from nothing, and after one change of each
/// kind (making it and taking it back, the slower of the two).
pub fn change() -> Vec<Figure> {
    let mut network = many_interfaces();
    let mut figures = Vec::new();
    let whole = (0..3).map(|_| {
        let began = Instant::now();
        let policy = compile(&network, 1, &FABRIC);
        (began.elapsed(), policy).0
    });
    let whole = whole.min().unwrap();
    figures.push(figure("compile: everything, 10000 interfaces", millis(whole), "ms", None));
    let mut compiler = Compiler::new(&FABRIC);
    // As in the data path, the former policy is in use until the next one is.
    let mut policy = compiler.compile(&network, 1);
    let mut worst = 0f64;
    for (name, make, undo) in CHANGES {
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..5 {
            for (change, fastest) in [make, undo].into_iter().zip(&mut fastest) {
                change(&mut network);
                let began = Instant::now();
                let next = compiler.compile(&network, policy.epoch() + 1);
                *fastest = began.elapsed().min(*fastest);
                policy = next;
            }
        }
        let slower = millis(fastest[0].max(fastest[1]));
        worst = worst.max(slower);
        figures.push(figure(format!("compile: {name}"), slower, "ms", None));
    }
    let name = "compile: the slowest change, 10000 interfaces";
    figures.push(figure(name, worst, "ms", Some(CHANGE_LIMIT)));
    figures
}

/// Bytes of this process in memory.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = status.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

/// Bytes of memory that a tracked flow takes with its record in the journal, while a million are
/// held; and what a packet costs meanwhile.
pub fn flows() -> Vec<Figure> {
    let mut network = network();
    // Rules that speak of everybody are not tracked (SGT-2); each half of them is.
    network.security_group_rules.retain(|rule| rule.group_id != SecurityGroupId::new(PUB_GROUP));
    for (number, half) in (0..).zip(["0.0.0.0/1", "128.0.0.0/1"]) {
        let group = SecurityGroupId::new(PUB_GROUP);
        let rule =
            records::rule(number, &group, false, records::tcp(80, 80), records::from_block(half));
        network.security_group_rules.push(Arc::new(rule));
    }
    let limits =
        Limits { flows: FLOWS + 1, tracked_per_port: FLOWS + 1, cache: 1, ..Limits::default() };
    let lab = Lab::with(network, limits);
    let policy = Arc::clone(&lab.policy);
    let mut state = State::new(limits);
    let ends = lab.from_outside(OUTSIDE, Ipv4Addr::new(198, 18, 0, 11));
    let before = resident();
    let began = Instant::now();
    for number in 0..FLOWS {
        let mut ends = ends;
        ends.source = Ipv4Addr::from(0xc612_8000 + number / 50_000).into();
        let port = u16::try_from(10_000 + number % 50_000).unwrap();
        let mut built = packets::tcp(&ends, (port, 80), flags::SYN, &[]);
        let mut packet = Packet { frame: &mut built.frame, offload: built.offload };
        let port = PortIndex::INTERNET;
        let verdict =
            process(&policy, &mut state, port, &mut packet, lab.now, &mut Discard, &mut NoTrace);
        assert_eq!(verdict, Verdict::Forward(PUBLIC_01));
    }
    let each = began.elapsed().as_secs_f64() * 1e9 / f64::from(FLOWS);
    assert_eq!(state.tracked_flows(), FLOWS);
    let held = (resident() - before) / f64::from(FLOWS);
    let (mut waits, mut bytes, mut next) = (Vec::new(), 0, Some(FlowPlace::default()));
    while let Some(from) = next {
        let began = Instant::now();
        next = state.look(from, LOOK, |_, flow| bytes += flow.bytes());
        waits.push(began.elapsed().as_secs_f64() * 1e6);
    }
    assert_eq!(bytes, u64::from(FLOWS) * 40, "each was seen");
    let whole = waits.iter().sum::<f64>() / 1000.0;
    waits.sort_by(f64::total_cmp);
    let wait = waits[waits.len() / 2];
    vec![
        figure(format!("flow: to look at {LOOK} of a million, between packets"), wait, "us", None),
        figure("flow: to look at a million", whole, "ms", None),
        figure("flow: to begin one of a million", each, "ns", None),
        figure("flow: memory of the engine", held, "bytes", None),
        figure("flow: record in the journal", RECORD_LEN as f64, "bytes", None),
        figure(
            "flow: memory of one of a million",
            held + RECORD_LEN as f64,
            "bytes",
            Some(FLOW_LIMIT),
        ),
    ]
}
