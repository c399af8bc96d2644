//! Two engines and the oracle, side by side.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use gureum_engine::{
    Component, Discard, DropReason, FABRIC_ROUTER_MAC, Limits, NatSide, Verdict, WhyQuery,
    WhySource, WhyTraffic, expire,
    oracle::{About, Fate, Hop, Kind, NewFlow, Oracle, Words},
    testing::{
        Built, Ends, Lab, Sent,
        lab::{FABRIC, SECOND},
        packets,
        verify::{Seen, word},
    },
    why,
};
use gureum_types::{PortIndex, SubnetId, record::Network};
use proptest::prelude::*;

use crate::{
    changes::apply,
    events::{Event, Next, answer, complaint, words_of},
    network::{ROUTERS, network, subnet_of},
};

/// How many of the last packets that arrived are remembered.
const REMEMBERED: usize = 6;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Packets that were judged.
    pub(crate) packets: u64,
    /// Flows that they began, each counted once a history.
    pub(crate) flows: u64,
    /// Packets that arrived.
    pub(crate) arrived: u64,
    /// Of these, what a NAT gateway translated.
    pub(crate) translated: u64,
    /// Of these, what it made a packet of the other family.
    pub(crate) nat64: u64,
    /// Of these, what several translations made.
    pub(crate) translated_twice: u64,
    /// Of these, ICMP errors about what one translated.
    pub(crate) errors: u64,
    /// Of these, IPv6.
    pub ipv6: u64,
    /// Of these, what crossed a peering connection.
    pub(crate) peered: u64,
    /// Of these, what an egress-only internet gateway let through.
    pub(crate) egress_only: u64,
    /// Of these, what the table of a gateway sent to an appliance.
    pub(crate) edge: u64,
    /// Of these, what went to a service through an endpoint, or came back.
    pub(crate) endpoints: u64,
    /// Answers of the engine's own, by what they were.
    pub(crate) answered: BTreeMap<&'static str, u64>,
    /// Drops, by their names.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.flows += other.flows;
        self.arrived += other.arrived;
        self.translated += other.translated;
        self.nat64 += other.nat64;
        self.translated_twice += other.translated_twice;
        self.errors += other.errors;
        self.ipv6 += other.ipv6;
        self.peered += other.peered;
        self.egress_only += other.egress_only;
        self.edge += other.edge;
        self.endpoints += other.endpoints;
        for (name, count) in &other.answered {
            *self.answered.entry(name).or_insert(0) += count;
        }
        for (name, count) in &other.dropped {
            *self.dropped.entry(name).or_insert(0) += count;
        }
    }

    /// The names of drops that were not seen.
    pub(crate) fn missing(&self) -> BTreeSet<&'static str> {
        DropReason::NAMES.iter().copied().filter(|name| !self.dropped.contains_key(name)).collect()
    }
}

/// What tells flows apart: the protocol and both ends.
type Flow = (u8, (IpAddr, u16), (IpAddr, u16));

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    from: PortIndex,
    sent: Words,
    to: PortIndex,
    got: Words,
}

pub(crate) struct Trial {
    cached: Lab,
    flushed: Lab,
    oracle: Oracle,
    last: VecDeque<Arrived>,
    flows: HashSet<Flow>,
    serial: u64,
    far: bool,
    changed: bool,
    /// The records as they were at the last packet: no engine heard of later ones.
    heard: Network,
    pub(crate) tally: Tally,
    /// What came of the last packet.
    pub(crate) fate_of_last: Option<Fate>,
}

fn build(ends: &Ends, words: &Words) -> Built {
    let about = words.about.map(|about| {
        let ends = Ends { source: about.source, destination: about.destination, ..*ends };
        build(&ends, &about.into()).frame
    });
    let built = match words.kind {
        Kind::Icmp(icmp_type, code, _) if about.is_some() => {
            packets::icmp_error(ends, (icmp_type, code), &about.unwrap_or_default())
        }
        Kind::Tcp(from, to, flags) => packets::tcp(ends, (from, to), flags, b"data"),
        Kind::Udp(from, to) => packets::udp(ends, (from, to), b"data"),
        Kind::Icmp(icmp_type, code, identifier) => {
            let [a, b] = identifier.to_be_bytes();
            packets::icmp(ends, (icmp_type, code), [a, b, 0, 0], b"payload")
        }
        Kind::Other(protocol) => packets::ip(ends, protocol, &[0; 24]),
    };
    built.with_hop_limit(words.hop_limit)
}

/// A frame in words.
fn words(frame: &[u8]) -> Words {
    let seen = Seen::ip(frame);
    let kind = match (seen.protocol, seen.source.is_ipv6()) {
        (6, _) => Kind::Tcp(seen.ports().0, seen.ports().1, seen.payload[13]),
        (17, _) => Kind::Udp(seen.ports().0, seen.ports().1),
        (1, false) | (58, true) => {
            Kind::Icmp(seen.payload[0], seen.payload[1], word(&seen.payload, 4))
        }
        (other, _) => Kind::Other(other),
    };
    let is_error = match kind {
        Kind::Icmp(icmp_type, ..) if seen.source.is_ipv6() => icmp_type < 128,
        Kind::Icmp(icmp_type, ..) => [3, 4, 5, 11, 12].contains(&icmp_type),
        _ => false,
    };
    let version = if seen.source.is_ipv6() { 6 } else { 4 };
    // What it speaks of, as far as it carries all of that.
    let about = seen
        .payload
        .get(8..)
        .filter(|about| is_error && about.len() >= 28 && about[0] >> 4 == version);
    let about = about.map(|about| {
        let Words { source, destination, kind, .. } = self::words(&[&[0; 14], about].concat());
        About { source, destination, kind }
    });
    let (source, destination) = (seen.source, seen.destination);
    Words { source, destination, kind, hop_limit: seen.ttl, about }
}

/// What tells flows apart, whichever end sends.
fn flow_of(words: &Words) -> Flow {
    let (from, to) = match words.kind {
        Kind::Tcp(from, to, _) | Kind::Udp(from, to) => (from, to),
        Kind::Icmp(_, _, identifier) => (identifier, identifier),
        Kind::Other(_) => (0, 0),
    };
    let (one, two) = ((words.source, from), (words.destination, to));
    (words.protocol(), one.min(two), one.max(two))
}

impl Trial {
    /// `loose` is whether it begins after an unclean start, `far` whether the second VPC is in
    /// another region.
    pub(crate) fn new(loose: bool, far: bool) -> Self {
        let limits = Limits { cache: 64, ..Limits::default() };
        let mut cached = Lab::with(network(far), limits);
        let mut oracle = Oracle::default();
        if loose {
            cached.state.set_loose_until(40 * SECOND);
            oracle.set_loose_until(40 * SECOND);
        }
        Self {
            flushed: cached.clone(),
            cached,
            oracle,
            last: VecDeque::new(),
            flows: HashSet::new(),
            serial: 0,
            far,
            changed: false,
            heard: network(far),
            tally: Tally::default(),
            fate_of_last: None,
        }
    }

    fn has_port(&self, port: PortIndex) -> bool {
        self.cached.network.interfaces.iter().any(|i| i.port == port)
    }

    fn macs(&self, at: PortIndex, hop: Hop) -> ([u8; 6], [u8; 6]) {
        match at {
            PortIndex::INTERNET => return (FABRIC.internet_mac, FABRIC_ROUTER_MAC),
            PortIndex::SERVICES => return (FABRIC.services_mac, FABRIC_ROUTER_MAC),
            _ => {}
        }
        let own = self.cached.network.interfaces.iter().find(|i| i.port == at);
        let to = match hop {
            Hop::Router => ROUTERS[&subnet_of(at.0)],
            Hop::Interface(PortIndex(other)) => [2, 0, 0, 0, 0, other as u8],
            Hop::Nobody => [2, 0xde, 0xad, 0, 0, 1],
        };
        (own.map_or([2; 6], |i| i.mac), to)
    }

    /// What the engine did, in the oracle's words.
    fn fate(&self, at: PortIndex, sent: &Sent) -> Fate {
        let reason = match sent.verdict {
            Verdict::Forward(port) | Verdict::Translated(port) => {
                return Fate::Arrives(port, words(&sent.built.frame));
            }
            Verdict::Reply => {
                // Before it there may be advertisements of routers, to whoever is new to IPv6.
                let Some((to, answer)) = sent.emitted.last() else {
                    return Fate::Answered("nothing");
                };
                let answer = words(&answer.frame);
                return match answer.kind {
                    Kind::Tcp(_, _, flags) if *to == at && flags & 4 != 0 => {
                        Fate::Answered("reset")
                    }
                    Kind::Icmp(11, 0, _) if *to == at && answer.source.is_ipv4() => {
                        Fate::Answered("time-exceeded")
                    }
                    Kind::Icmp(3, 0, _) if *to == at && answer.source.is_ipv6() => {
                        Fate::Answered("time-exceeded")
                    }
                    _ => Fate::Answered("something else"),
                };
            }
            Verdict::Drop(reason) => reason,
        };
        let component = reason.component().and_then(|index| self.cached.policy.component(index));
        match component {
            Some(Component::NetworkAclEntry { number, .. }) => Fate::Denied(reason.name(), *number),
            _ => Fate::Dropped(reason.name()),
        }
    }

    /// Sends a packet through everything, and compares.
    fn send(&mut self, at: PortIndex, hop: Hop, words: Words) -> Result<(), TestCaseError> {
        let (source_mac, destination_mac) = self.macs(at, hop);
        let (source, destination) = (words.source, words.destination);
        let ends = Ends { source_mac, destination_mac, source, destination };
        let built = build(&ends, &words);
        self.flushed.state.flush_cache();
        let first = self.cached.send(at, built.clone());
        let second = self.flushed.send(at, built);
        prop_assert_eq!(&first, &second);
        let state = &self.cached.state;
        let mut port_of = |wanted: &NewFlow| {
            state
                .flows()
                .find(|flow| {
                    flow.nat_gateway == Some(NatSide::Inside)
                        && flow.port == wanted.gateway
                        && flow.protocol == wanted.protocol
                        && (flow.local, flow.remote) == (wanted.inside, wanted.remote)
                })?
                .translated
        };
        let (network, now) = (&self.cached.network, self.cached.now);
        let expected = self.oracle.ask(network, at, hop, words, now, &mut port_of);
        if std::mem::take(&mut self.changed) {
            self.heard = network.clone();
        }
        prop_assert_eq!(&self.fate(at, &first), &expected, "{:?} {:?} {:?}", at, hop, words);
        self.take_note(at, words, &expected);
        self.fate_of_last = Some(expected);
        Ok(())
    }

    fn take_note(&mut self, from: PortIndex, sent: Words, fate: &Fate) {
        let tally = &mut self.tally;
        tally.packets += 1;
        match fate {
            Fate::Arrives(to, got) => {
                let went = self.oracle.journey();
                tally.arrived += 1;
                tally.translated += u64::from(went.nat_gateways > 0);
                tally.nat64 += u64::from(went.nat64);
                tally.translated_twice += u64::from(went.nat_gateways > 1);
                tally.errors += u64::from(got.about.is_some() && went.nat_gateways > 0);
                tally.ipv6 += u64::from(got.source.is_ipv6());
                tally.peered += u64::from(went.peering);
                tally.egress_only += u64::from(went.egress_only);
                tally.edge += u64::from(went.edge_table);
                tally.endpoints += u64::from(went.endpoint);
                self.last.push_front(Arrived { from, sent, to: *to, got: *got });
                self.last.truncate(REMEMBERED);
            }
            Fate::Dropped(name) | Fate::Denied(name, _) => {
                *tally.dropped.entry(name).or_insert(0) += 1;
            }
            Fate::Answered(name) => *tally.answered.entry(name).or_insert(0) += 1,
            Fate::WrongPort(_) => {}
        }
    }

    /// Sends as a guest does: to the router, or to a neighbour.
    fn send_from(&mut self, port: PortIndex, words: Words) -> Result<(), TestCaseError> {
        if port < PortIndex::FIRST_INTERFACE {
            return self.send(port, Hop::Router, words);
        }
        if !self.has_port(port) {
            return Ok(());
        }
        let subnet = SubnetId::new(subnet_of(port.0));
        let has = |i: &gureum_types::record::NetworkInterface| match words.destination {
            IpAddr::V4(address) => i.private_addresses.contains(&address),
            IpAddr::V6(address) => i.ipv6_addresses.contains(&address),
        };
        let mut interfaces = self.cached.network.interfaces.iter();
        let near = interfaces.find(|i| i.subnet_id == subnet && has(i)).map(|i| i.port);
        self.send(port, near.map_or(Hop::Router, Hop::Interface), words)
    }

    fn begin(&mut self, words: &Words) {
        self.tally.flows += u64::from(self.flows.insert(flow_of(words)));
    }

    pub(crate) fn step(&mut self, event: &Event) -> Result<(), TestCaseError> {
        self.serial += 1;
        if let Some((from, words)) = words_of(event) {
            self.begin(&words);
            return self.send_from(PortIndex(from), words);
        }
        match event.clone() {
            Event::Packet(port, route, words) => {
                let hop = match route {
                    Next::Router => Hop::Router,
                    Next::Interface(other) => Hop::Interface(PortIndex(other)),
                    Next::Nobody => Hop::Nobody,
                };
                self.begin(&words);
                self.send(PortIndex(port), hop, words)
            }
            Event::Answer(which, flags, hop_limit) => {
                let Some(last) = self.last.get(which).copied() else { return Ok(()) };
                self.send_from(last.to, answer(&last.got, flags, hop_limit))
            }
            Event::Complain(which, icmp_type) => {
                let Some(last) = self.last.get(which).copied() else { return Ok(()) };
                match complaint(&last.got, icmp_type) {
                    Some(words) => self.send_from(last.to, words),
                    None => Ok(()),
                }
            }
            Event::GoOn(which, flags) => {
                let Some(Arrived { from, sent, .. }) = self.last.get(which).copied() else {
                    return Ok(());
                };
                let kind = match sent.kind {
                    Kind::Tcp(from, to, _) => Kind::Tcp(from, to, flags),
                    other => other,
                };
                self.send_from(from, Words { kind, ..sent })
            }
            Event::SendOn(which) => {
                let Some(Arrived { to, got, .. }) = self.last.get(which).copied() else {
                    return Ok(());
                };
                let hop_limit = got.hop_limit.saturating_sub(1).max(1);
                self.send_from(to, Words { hop_limit, ..got })
            }
            Event::Wait(seconds) => {
                self.cached.wait(seconds * SECOND);
                self.flushed.wait(seconds * SECOND);
                Ok(())
            }
            Event::Change(change) => {
                let (serial, far) = (self.serial, self.far);
                self.cached.change(|network| apply(network, &change, serial, far));
                self.changed = true;
                self.flushed.network = self.cached.network.clone();
                self.flushed.policy = Arc::clone(&self.cached.policy);
                Ok(())
            }
            Event::Expire => {
                self.cached.expire();
                self.flushed.expire();
                self.oracle.forget(&self.heard, self.cached.now);
                Ok(())
            }
            Event::Why(port, destination, destination_port) => {
                let query = WhyQuery {
                    source: WhySource::Interface { port: PortIndex(port), address: None },
                    destination,
                    traffic: WhyTraffic::Tcp { source_port: 40_000, destination_port },
                };
                let before = self.cached.state.clone();
                let now = self.cached.now;
                let first = why(&self.cached.policy, &mut self.cached.state, &query, now);
                prop_assert!(self.cached.state == before, "asking changed the state");
                let second = why(&self.cached.policy, &mut self.cached.state, &query, now);
                prop_assert_eq!(first, second);
                Ok(())
            }
            Event::Between(..) | Event::Outward(..) | Event::Inward(..) | Event::Service(..) => {
                unreachable!("its packet was sent")
            }
        }
    }

    pub(crate) fn finish(mut self) -> Result<Tally, TestCaseError> {
        prop_assert!(self.cached.state == self.flushed.state, "the cache had a visible effect");
        prop_assert_eq!(&self.cached.journal, &self.flushed.journal);
        // What has timed out or went with its interface is looked at lazily: let it settle.
        let Lab { policy, mut state, now, network, .. } = self.cached;
        state.adopt(&policy, &mut Discard);
        for _ in 0..4 {
            expire(&mut state, now, &mut Discard);
        }
        self.oracle.forget(&network, now);
        prop_assert_eq!(state.tracked_flows() as usize, self.oracle.tracked_flows());
        let translated = state.flows().filter(|flow| flow.nat_gateway == Some(NatSide::Inside));
        prop_assert_eq!(translated.count(), self.oracle.translated_flows());
        Ok(self.tally)
    }
}
