//! A second opinion that is not ours: generated security groups and network ACLs, as nftables
//! with the kernel's tracking of connections, flow by flow beside the engine and its oracle.
//!
//! Two interfaces in two subnets, each with groups and an ACL of its own. What both can express is
//! compared: rules for blocks and for groups, ports, types of ICMP, other protocols, tracked and
//! untracked flows, changes of rules between packets. Not compared: timeouts, the end of
//! connections, fragments, answers that come before the question, and the rest of a flow whose
//! first packet the sender's ACL dropped: the group has tracked it by then (PIPE-1), while the kernel
//! keeps nothing of what did not get through.
//!
//! `GUREUM_FLOWS` asks for more flows, `GUREUM_FLOWS_SEED` for those of an earlier run.

#[path = "../common/mod.rs"]
mod common;
mod routers;
mod ruleset;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use common::root;
use gureum_engine::{
    Limits, Verdict,
    oracle::{Fate, Hop, Kind, Oracle, Words},
    testing::{
        Built, Lab, packets,
        packets::flags::{ACK, PSH, SYN},
        records,
    },
};
use gureum_types::{
    IpProtocol, PortIndex, SecurityGroupId, SubnetId,
    record::{Network, NetworkAclEntry, RulePeer, SecurityGroupRule, Traffic},
};
use routers::{NEAR, Routers};
use ruleset::ruleset;

/// Flows that a usual run judges at least.
const FLOWS: u64 = 600;
const PORTS: [PortIndex; 2] = [PortIndex(2), PortIndex(3)];
const GROUPS: u64 = 4;
const SERVICES: [u16; 6] = [22, 53, 80, 443, 5001, 40_000];

/// Numbers that are arbitrary, but can be had again (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

/// The subnets of a history; each has one of its own, so that the kernel knows nothing of it.
fn subnets(history: u8) -> [ipnet::Ipv4Net; 2] {
    [1, 2].map(|at| format!("10.{history}.{at}.0/24").parse().expect("a block"))
}

fn address(history: u8, of: usize, index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, history, of as u8 + 1, 10 + index)
}

fn traffic(random: &mut Random) -> Traffic {
    let icmp =
        |icmp_type, icmp_code| Traffic::Icmp { protocol: IpProtocol::ICMP, icmp_type, icmp_code };
    match random.below(12) {
        0..=2 => Traffic::All,
        3 => records::tcp(0, u16::MAX),
        4 => records::udp(0, u16::MAX),
        5 | 6 => {
            let port = random.pick(&SERVICES);
            if random.one_in(2) { records::tcp(port, port) } else { records::udp(port, port) }
        }
        7 => random.pick(&[records::tcp(50, 500), records::udp(1024, u16::MAX)]),
        8 => icmp(None, None),
        9 => icmp(random.pick(&[Some(8), Some(0), Some(3), Some(13)]), None),
        10 => icmp(Some(3), Some(random.below(5) as u8)),
        _ => Traffic::Protocol(random.pick(&[IpProtocol(50), IpProtocol(99), IpProtocol::TCP])),
    }
}

fn block(random: &mut Random, history: u8) -> ipnet::Ipv4Net {
    let of = random.below(2) as usize;
    let [first, second] = subnets(history);
    match random.below(6) {
        0..=2 => ipnet::Ipv4Net::default(),
        3 => random.pick(&[first, second]),
        4 => ipnet::Ipv4Net::new(address(history, of, random.below(2) as u8), 32).expect("a block"),
        _ => ipnet::Ipv4Net::new(address(history, of, 0), 16).expect("a block").trunc(),
    }
}

fn rule(random: &mut Random, history: u8, number: u64) -> SecurityGroupRule {
    let group = SecurityGroupId::new(1 + random.below(GROUPS));
    let peer = if random.one_in(3) {
        RulePeer::Group(SecurityGroupId::new(1 + random.below(GROUPS)))
    } else {
        RulePeer::Ipv4(block(random, history))
    };
    records::rule(number, &group, random.one_in(2), traffic(random), peer)
}

fn entry(random: &mut Random, history: u8) -> NetworkAclEntry {
    NetworkAclEntry {
        rule_number: 1 + random.below(99) as u16,
        egress: random.one_in(2),
        allow: !random.one_in(3),
        traffic: traffic(random),
        cidr: block(random, history).into(),
    }
}

fn groups(random: &mut Random) -> Vec<SecurityGroupId> {
    (0..1 + random.below(2)).map(|_| SecurityGroupId::new(1 + random.below(GROUPS))).collect()
}

/// Two interfaces with two addresses each, in two subnets with an ACL each.
fn network(random: &mut Random, history: u8) -> Network {
    let vpc = records::vpc(1, format!("10.{history}.0.0/16").parse().expect("a block"));
    let subnets: Vec<_> = subnets(history)
        .into_iter()
        .zip(1..)
        .map(|(block, number)| records::subnet(number, &vpc.id, block))
        .collect();
    let ids: Vec<SubnetId> = subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let mut network = Network::default();
    let mut rules: Vec<_> =
        (0..8 + random.below(16)).map(|number| rule(random, history, number)).collect();
    for number in 1..=GROUPS {
        let group = SecurityGroupId::new(number);
        // Most groups let everything out, as new ones do (SG-3).
        let (out, into) = (!random.one_in(4), random.one_in(4));
        for (egress, _) in [(true, out), (false, into)].into_iter().filter(|(_, open)| *open) {
            let serial = 40 + number * 2 + u64::from(egress);
            rules.push(records::rule(serial, &group, egress, Traffic::All, records::anywhere()));
        }
    }
    network.security_group_rules = rules.into_iter().map(Arc::new).collect();
    for (at, subnet) in subnets.iter().enumerate() {
        let own = [&ids[at]].map(Clone::clone);
        let mut acl = records::network_acl(at as u64 + 1, &vpc.id, at == 0, &own, &[]);
        for egress in [true, false] {
            acl.entries.push(NetworkAclEntry {
                rule_number: 100,
                egress,
                allow: !random.one_in(12),
                traffic: Traffic::All,
                cidr: ipnet::Ipv4Net::default().into(),
            });
        }
        for _ in 0..random.below(4) {
            let entry = entry(random, history);
            replace(&mut acl.entries, entry);
        }
        network.network_acls.push(Arc::new(acl));
        let addresses = [address(history, at, 0), address(history, at, 1)];
        let groups = groups(random);
        let interface = records::interface(PORTS[at], subnet, &addresses, &groups, None);
        network.interfaces.push(Arc::new(interface));
    }
    network.route_tables.push(Arc::new(records::route_table(1, &vpc.id, true, &[], &[])));
    network.security_groups = (1..=GROUPS)
        .map(|number| Arc::new(records::security_group(number, &vpc.id, &number.to_string())))
        .collect();
    network.dhcp_options.push(Arc::new(records::default_dhcp_options()));
    network.subnets = subnets.into_iter().map(Arc::new).collect();
    network.vpcs.push((records::region(), Arc::new(vpc)));
    network
}

fn replace(entries: &mut Vec<NetworkAclEntry>, entry: NetworkAclEntry) {
    entries.retain(|of| (of.rule_number, of.egress) != (entry.rule_number, entry.egress));
    entries.push(entry);
}

fn change(network: &mut Network, random: &mut Random, history: u8, number: u64) {
    match random.below(6) {
        0 => network.security_group_rules.push(Arc::new(rule(random, history, number))),
        1 | 2 => {
            for _ in 0..=random.below(4) {
                if !network.security_group_rules.is_empty() {
                    let at = random.below(network.security_group_rules.len() as u64) as usize;
                    network.security_group_rules.remove(at);
                }
            }
        }
        3 => {
            let at = random.below(2) as usize;
            Arc::make_mut(&mut network.interfaces[at]).groups = groups(random);
        }
        _ => {
            let (at, entry) = (random.below(2) as usize, entry(random, history));
            replace(&mut Arc::make_mut(&mut network.network_acls[at]).entries, entry);
        }
    }
}

/// A flow: who began it, from where to where, and what it is.
#[derive(Clone, Copy, Debug)]
struct Flow {
    from: usize,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    kind: Kind,
    /// Whether all so far arrived, so that both sides know of it.
    alive: bool,
}

/// The engine, its oracle and the kernel, side by side.
struct Trial<'a> {
    lab: Lab,
    oracle: Oracle,
    routers: &'a mut Routers,
    seed: String,
    packets: u64,
    passed: u64,
    /// How often each outcome was seen, by the engine's name of it.
    outcomes: BTreeMap<&'static str, u64>,
    /// Flows without ports that the sender's ACL dropped a packet of.
    spoilt: HashSet<[IpAddr; 2]>,
}

impl Trial<'_> {
    fn load(&self) {
        for (of, interface) in self.lab.network.interfaces.iter().enumerate() {
            self.routers.load(of, &ruleset(&self.lab.network, interface, NEAR));
        }
    }

    /// Sends a packet of a flow, or of its other direction; whether it arrives.
    fn send(&mut self, flow: &Flow, reverse: bool, kind: Kind) -> bool {
        let (from, source, destination) = if reverse {
            (1 - flow.from, flow.destination, flow.source)
        } else {
            (flow.from, flow.source, flow.destination)
        };
        let mut ends = self.lab.ends(PORTS[from], destination);
        ends.source = source.into();
        let built = match kind {
            Kind::Tcp(from, to, flags) => packets::tcp(&ends, (from, to), flags, b"data"),
            Kind::Udp(from, to) => packets::udp(&ends, (from, to), b"data"),
            Kind::Icmp(kind, code, identifier) => {
                let [a, b] = identifier.to_be_bytes();
                packets::icmp(&ends, (kind, code), [a, b, 0, 1], b"a payload of some length....")
            }
            Kind::Other(protocol) => packets::ip(&ends, protocol, &[0; 32]),
        };
        let (source, destination) = (source.into(), destination.into());
        self.judge(from, built, Words { source, destination, kind, hop_limit: 64, about: None })
    }

    fn judge(&mut self, from: usize, built: Built, words: Words) -> bool {
        let (network, now) = (&self.lab.network, self.lab.now);
        let fate = self.oracle.ask(network, PORTS[from], Hop::Router, words, now, &mut |_| None);
        let frame = built.frame.clone();
        let (sent, steps) = self.lab.trace(PORTS[from], built);
        let (name, arrives) = match sent.verdict {
            Verdict::Forward(_) | Verdict::Translated(_) => ("arrived", true),
            Verdict::Drop(reason) => (reason.name(), false),
            Verdict::Reply => ("reply", false),
        };
        let expected = match fate {
            Fate::Arrives(..) => "arrived",
            Fate::Dropped(name) | Fate::Denied(name, _) => name,
            Fate::Answered(_) | Fate::WrongPort(_) => "a gateway's",
        };
        assert_eq!(name, expected, "{}: {words:?}", self.seed);
        let passes = self.routers.passes(from, &frame);
        let rulesets = || {
            let of = |i: &Arc<_>| ruleset(&self.lab.network, i, NEAR);
            self.lab.network.interfaces.iter().map(of).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(
            passes,
            arrives,
            "{}: the kernel says otherwise: {words:?} {name}\n{steps:#?}\n{}",
            self.seed,
            rulesets()
        );
        if name == "network-acl-egress" && matches!(words.kind, Kind::Other(_)) {
            self.spoilt.insert([words.source, words.destination]);
            self.spoilt.insert([words.destination, words.source]);
        }
        self.packets += 1;
        self.passed += u64::from(passes);
        *self.outcomes.entry(name).or_default() += 1;
        passes
    }

    fn is_spoilt(&self, flow: &Flow) -> bool {
        matches!(flow.kind, Kind::Other(_))
            && self.spoilt.contains(&[flow.source.into(), flow.destination.into()])
    }

    /// The first packets of a flow, as far as they arrive.
    fn begin(&mut self, flow: &mut Flow) {
        let arrived = self.send(flow, false, flow.kind);
        flow.alive = arrived
            && match flow.kind {
                Kind::Tcp(from, to, SYN) => {
                    self.send(flow, true, Kind::Tcp(to, from, SYN | ACK))
                        && self.send(flow, false, Kind::Tcp(from, to, ACK))
                }
                // An answer, an error or a packet out of nothing begins nothing that goes on.
                Kind::Tcp(..) => false,
                Kind::Icmp(8 | 13, ..) | Kind::Udp(..) | Kind::Other(_) => {
                    self.send(flow, true, answer(flow.kind))
                }
                Kind::Icmp(..) => false,
            };
    }

    /// More of a flow that both sides know of.
    fn go_on(&mut self, flow: &mut Flow) {
        let data = |kind| match kind {
            Kind::Tcp(from, to, _) => Kind::Tcp(from, to, ACK | PSH),
            other => other,
        };
        flow.alive = self.send(flow, false, data(flow.kind))
            && self.send(flow, true, data(answer(flow.kind)));
    }
}

fn answer(kind: Kind) -> Kind {
    match kind {
        Kind::Tcp(from, to, flags) => Kind::Tcp(to, from, flags),
        Kind::Udp(from, to) => Kind::Udp(to, from),
        Kind::Icmp(kind, code, identifier) => {
            Kind::Icmp(kind - u8::from(kind == 8) * 8 + u8::from(kind == 13), code, identifier)
        }
        other => other,
    }
}

fn flow(random: &mut Random, history: u8, number: u16) -> Flow {
    let from = random.below(2) as usize;
    let service = random.pick(&SERVICES);
    let kind = match random.below(16) {
        0..=5 => Kind::Tcp(number, service, SYN),
        6 => Kind::Tcp(number, service, ACK),
        7 => Kind::Tcp(service, number, SYN | ACK),
        8..=10 => Kind::Udp(number, service),
        11 => Kind::Udp(service, number),
        12 | 13 => Kind::Icmp(8, 0, number),
        14 => Kind::Icmp(random.pick(&[0, 3, 13]), 0, number),
        _ => Kind::Other(random.pick(&[50, 99])),
    };
    let (a, b) = (random.below(2) as u8, random.below(2) as u8);
    let (source, destination) = (address(history, from, a), address(history, 1 - from, b));
    Flow { from, source, destination, kind, alive: false }
}

/// SG-2, SG-15, SG-30, SG-33, SGT-1, SGT-2, SGT-5, SGT-7, SGT-13, SGT-14, SGT-15, NACL-1, NACL-2,
/// NACL-11, NACL-12, NACL-18, PIPE-5, PIPE-6: the kernel and the engine agree on each packet.
#[test]
fn nftables_and_the_engine_agree_flow_by_flow() {
    if !root() {
        return;
    }
    let number = |name, otherwise| {
        env::var(name).map_or(otherwise, |text: String| text.parse::<u64>().expect("a number"))
    };
    let wanted = number("GUREUM_FLOWS", FLOWS);
    let seed = number("GUREUM_FLOWS_SEED", u64::from(std::process::id()));
    println!("GUREUM_FLOWS_SEED={seed}, {wanted} flows");
    let (mut flows, mut packets, mut passed) = (0, 0, 0);
    let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut routers = Routers::new();
    let mut history = 0;
    while flows < wanted {
        // Nothing of an earlier history may be known to the kernel.
        if history == 250 {
            routers = Routers::new();
            history = 0;
        }
        history += 1;
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(flows));
        for (to, block) in subnets(history).into_iter().enumerate() {
            routers.route(to, block);
        }
        let lab =
            Lab::with(network(&mut random, history), Limits { cache: 64, ..Limits::default() });
        let mut trial = Trial {
            lab,
            oracle: Oracle::default(),
            routers: &mut routers,
            seed: format!("GUREUM_FLOWS_SEED={seed} after {flows} flows"),
            packets: 0,
            passed: 0,
            outcomes: BTreeMap::new(),
            spoilt: HashSet::new(),
        };
        let mut known = Vec::new();
        for round in 0..4_u64 {
            if round > 0 {
                let serial = 100 + round;
                trial.lab.change(|network| change(network, &mut random, history, serial));
            }
            trial.load();
            for flow in &mut known {
                if !trial.is_spoilt(flow) {
                    trial.go_on(flow);
                }
            }
            known.retain(|flow: &Flow| flow.alive);
            for _ in 0..8 {
                flows += 1;
                // Each flow has ports and an identifier of its own; round and round they go.
                let mut new = flow(&mut random, history, 41_000 + (flows % 20_000) as u16);
                if !trial.is_spoilt(&new) {
                    trial.begin(&mut new);
                }
                if new.alive {
                    known.push(new);
                }
            }
        }
        packets += trial.packets;
        passed += trial.passed;
        for (name, count) in trial.outcomes {
            *outcomes.entry(name).or_default() += count;
        }
    }
    println!("{flows} flows, {packets} packets, {passed} passed: {outcomes:?}");
    for name in [
        "arrived",
        "security-group-egress",
        "security-group-ingress",
        "network-acl-egress",
        "network-acl-ingress",
        "tcp-not-tracked",
    ] {
        assert!(outcomes.contains_key(name), "no flow was {name}");
    }
}
