//! Why a packet arrives or does not: [`crate::process`] itself on the present state, undone after.

use std::net::IpAddr;

use gureum_types::{IpProtocol, PortIndex};
use serde::{Deserialize, Serialize};

use crate::{
    Component, Direction, DropReason, FABRIC_ROUTER_MAC, Limits, Offload, Outcome, Output, Packet,
    Policy, Stage, State, Step, Verdict,
    address::{Address, Family},
    policy::{Interface, Subnet, slots::Slot},
    process,
    wire::{
        self, ETHERNET_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, be16,
        checksum::{fill_ipv4, fold, pseudo_header, sum},
        icmp::{fill_icmpv6, fill_ipv6},
        icmpv6,
        ip::{Headers, IPV6_HEADER_LEN, Tuple, tcp},
        neighbor::HOP_LIMIT,
        put, put16, put32,
    },
};

/// Where the packet in question would come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhySource {
    /// From an interface, by its primary private address or another of its addresses.
    Interface {
        /// The interface's port.
        port: PortIndex,
        /// The address; `None` is the primary one.
        address: Option<IpAddr>,
    },
    /// From a host of the simulated internet.
    Internet(IpAddr),
}

/// What the packet in question would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyTraffic {
    /// The first packet of a TCP connection.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// A later segment of a TCP connection, which begins none.
    TcpUnderWay {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// A ping.
    IcmpEcho {
        /// The identifier, which makes the flow (SGT-7).
        identifier: u16,
    },
    /// Another IP protocol.
    Protocol(u8),
}

/// A question: does this packet arrive, and does its answer come back?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyQuery {
    /// From where.
    pub source: WhySource,
    /// To which address, as the sender writes it.
    pub destination: IpAddr,
    /// What.
    pub traffic: WhyTraffic,
}

/// One stage of the way, with names instead of indices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyStep {
    /// The stage.
    pub stage: Stage,
    /// The interface's id, `internet` or `services`.
    pub interface: String,
    /// Seen from that interface.
    pub direction: Direction,
    /// The rule, entry or route that decided.
    pub component: Option<Component>,
    /// The drop, where the way ends here.
    pub drop: Option<DropReason>,
    /// What happened, in a few words.
    pub text: String,
}

/// How far a packet came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyLeg {
    /// The stages it went through.
    pub steps: Vec<WhyStep>,
    /// The interface's id, `internet` or `services` where it arrived.
    pub arrived: Option<String>,
    /// Why it did not arrive.
    pub drop: Option<DropReason>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReport {
    /// The question.
    pub query: WhyQuery,
    /// The interface's id or `internet` where the packet comes from.
    pub source: String,
    /// Whether the packet arrives and its answer comes back.
    pub reachable: bool,
    /// The packet's way.
    pub forward: WhyLeg,
    /// The answer's way; `None` where the packet did not arrive.
    pub reply: Option<WhyLeg>,
}

/// Sends the packet in question and its answer through [`process`] on the present state, and
/// takes back every change of it.
pub fn why(policy: &Policy, state: &mut State, query: &WhyQuery, now: u64) -> WhyReport {
    state.trial(|state| {
        let answer = ask(policy, state, query, now);
        let source = policy.port_name(answer.source);
        let reachable = answer.reachable;
        let forward = named_leg(policy, answer.forward);
        let reply = answer.reply.map(|leg| named_leg(policy, leg));
        WhyReport { query: query.clone(), source, reachable, forward, reply }
    })
}

/// What another policy does to a flow that is open now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Its packets pass now, and would no more: this is what they would meet.
    Ends(Box<WhyReport>),
    /// It would go on because it is tracked (SGT-5): a new one of its kind would not pass, and this is
    /// what that would meet.
    GoesOn(Box<WhyReport>),
}

/// What becomes of a flow of the present state under another policy of the same cloud, which may have
/// other rules, entries and routes. `under_way` is a packet of it, `first` one that would begin it
/// anew. Nothing where it passes before and after, tracked or not, or does not pass now. The state is
/// as before.
pub fn fate(
    (present, other): (&Policy, &Policy),
    state: &mut State,
    (first, under_way): (&WhyQuery, &WhyQuery),
    now: u64,
) -> Option<Fate> {
    if !why(present, state, under_way, now).reachable {
        return None;
    }
    let then = why(other, state, under_way, now);
    if !then.reachable {
        return Some(Fate::Ends(Box::new(then)));
    }
    let mut unborn = State::new(Limits { flows: 64, fragments: 1, cache: 1, ..Limits::default() });
    let anew = why(other, &mut unborn, first, now);
    (!anew.reachable).then(|| Fate::GoesOn(Box::new(anew)))
}

/// How far a packet came, with ports and indices of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLeg {
    /// The stages it went through.
    pub steps: Vec<Step>,
    /// The port where it arrived.
    pub arrived: Option<PortIndex>,
    /// Why it did not arrive.
    pub drop: Option<DropReason>,
}

/// What [`Model::ask`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAnswer {
    /// The port where the packet comes from.
    pub source: PortIndex,
    /// The packet's way.
    pub forward: ModelLeg,
    /// The answer's way; `None` where the packet did not arrive.
    pub reply: Option<ModelLeg>,
    /// Whether the packet arrives and its answer comes back.
    pub reachable: bool,
}

/// A policy under which nothing has happened yet: what Reachability Analyzer speaks of (RA-1). It is
/// [`why()`] for many questions in a row: none of them leaves anything behind.
#[derive(Debug)]
pub struct Model<'p> {
    policy: &'p Policy,
    state: State,
}

impl<'p> Model<'p> {
    /// The model of a policy.
    pub fn new(policy: &'p Policy) -> Self {
        // As many flows as one packet and its answer can begin, with much to spare.
        let limits = Limits { flows: 64, fragments: 1, cache: 1, ..Limits::default() };
        Self { policy, state: State::new(limits).without_cache() }
    }

    /// Sends the packet in question and its answer through [`process`].
    pub fn ask(&mut self, query: &WhyQuery) -> ModelAnswer {
        self.state.forget();
        ask(self.policy, &mut self.state, query, 0)
    }
}

fn ask(policy: &Policy, state: &mut State, query: &WhyQuery, now: u64) -> ModelAnswer {
    let source = match query.source {
        WhySource::Interface { port, .. } => port,
        WhySource::Internet(_) => PortIndex::INTERNET,
    };
    let mut asking = Asking { policy, state, now, asked: None };
    let (forward, arrived) = asking.forward(query);
    let reply = arrived.map(|arrived| asking.reply(query, &arrived));
    // Not dropped is not enough, nor to arrive somewhere: a NAT gateway takes what belongs to no
    // flow of its own and answers by a reset (NAT-12), or sends it on as a flow of its own, which
    // nobody knows for an answer (NAT-8).
    let reachable = reply.as_ref().is_some_and(|(leg, back)| {
        leg.arrived == Some(source) && back.as_ref().is_some_and(|back| asking.is_answered_by(back))
    });
    ModelAnswer { source, forward, reply: reply.map(|(leg, _)| leg), reachable }
}

fn named_leg(policy: &Policy, leg: ModelLeg) -> WhyLeg {
    WhyLeg {
        steps: leg.steps.into_iter().map(|step| named(policy, step)).collect(),
        arrived: leg.arrived.map(|port| policy.port_name(port)),
        drop: leg.drop,
    }
}

fn named(policy: &Policy, step: Step) -> WhyStep {
    let component = step.component.and_then(|index| policy.component(index)).cloned();
    WhyStep {
        stage: step.stage,
        interface: policy.port_name(step.port),
        direction: step.direction,
        component,
        drop: match step.outcome {
            Outcome::Drop(reason) => Some(reason),
            Outcome::Pass | Outcome::Reply => None,
        },
        text: step.text,
    }
}

struct Asking<'a> {
    policy: &'a Policy,
    state: &'a mut State,
    now: u64,
    /// The flow of the question, as who asks knows it.
    asked: Option<Tuple>,
}

/// A packet where it arrived.
struct Arrived {
    port: PortIndex,
    frame: Vec<u8>,
}

/// Where a host sends its packets first.
enum NextHop {
    Mac([u8; 6]),
    /// ARP finds nobody: the packet never leaves the host.
    Unresolved(Step),
}

impl<'a> Asking<'a> {
    fn forward(&mut self, query: &WhyQuery) -> (ModelLeg, Option<Arrived>) {
        let destination = Address::from(query.destination);
        let family = destination.family();
        let payload = transport(query.traffic, family);
        match &query.source {
            WhySource::Internet(source) => {
                let addresses = (Address::from(*source), destination);
                let frame = self.frame_of_fabric(PortIndex::INTERNET, addresses, payload);
                self.send(PortIndex::INTERNET, frame)
            }
            WhySource::Interface { port, address } => {
                let Some((interface, subnet)) = self.interface(*port) else {
                    let reason = match self.policy.slot(*port) {
                        Slot::Broken(_) => DropReason::BrokenInterface,
                        Slot::Unused | Slot::Interface(_) => DropReason::UnknownPort,
                    };
                    return (never_sent(reason), None);
                };
                let source = address.map(Address::from).or_else(|| interface.primary_of(family));
                // A guest without an address of the family cannot send such a packet at all.
                let Some(source) = source else {
                    let reason = match family {
                        Family::V4 => DropReason::SourceCheck,
                        Family::V6 => DropReason::Ipv6NotEnabled,
                    };
                    return (never_sent(reason), None);
                };
                self.send_from(interface, subnet, (source, destination), payload)
            }
        }
    }

    /// The answer of whoever got the packet, to where it seems to come from.
    fn reply(&mut self, query: &WhyQuery, arrived: &Arrived) -> (ModelLeg, Option<Arrived>) {
        let Some(received) = tuple_of(&arrived.frame) else {
            return (never_sent(DropReason::Malformed), None);
        };
        let tuple = received.reversed();
        let addresses = (tuple.source, tuple.destination);
        let payload = answer(query.traffic, &received);
        match self.interface(arrived.port) {
            Some((interface, subnet)) => self.send_from(interface, subnet, addresses, payload),
            None => {
                let frame = self.frame_of_fabric(arrived.port, addresses, payload);
                self.send(arrived.port, frame)
            }
        }
    }

    /// Whether what came back is, to who asked, from whom they asked.
    fn is_answered_by(&self, back: &Arrived) -> bool {
        let (Some(asked), Some(answer)) = (self.asked, tuple_of(&back.frame)) else { return false };
        let ports = match asked.is_icmp() {
            // The identifier of both; their types differ (SGT-7).
            true => answer.destination_port == asked.destination_port,
            false => {
                let reversed = asked.reversed();
                (answer.source_port, answer.destination_port)
                    == (reversed.source_port, reversed.destination_port)
            }
        };
        (answer.source, answer.destination) == (asked.destination, asked.source) && ports
    }

    fn interface(&self, port: PortIndex) -> Option<(&'a Interface, &'a Subnet)> {
        let interface = self.policy.interface(port)?;
        Some((interface, self.policy.subnet(interface)?))
    }

    /// Sends a packet as a guest does: to the next hop that ARP or neighbour discovery finds.
    fn send_from(
        &mut self,
        interface: &'a Interface,
        subnet: &'a Subnet,
        (source, destination): (Address, Address),
        payload: Payload,
    ) -> (ModelLeg, Option<Arrived>) {
        let near = subnet.contains(destination) || destination.is_link_local();
        let target = match (near, destination.family()) {
            (true, _) => Some(destination),
            (false, Family::V4) => subnet.router(),
            // Its router told the guest so itself.
            (false, Family::V6) => None,
        };
        let hop = match target {
            Some(target) => self.next_hop(interface, source, target),
            None => NextHop::Mac(subnet.router_mac),
        };
        match hop {
            NextHop::Mac(mac) => {
                let macs = (mac, interface.mac);
                self.send(interface.port, frame(macs, (source, destination), payload))
            }
            NextHop::Unresolved(step) => {
                let drop = match step.outcome {
                    Outcome::Drop(reason) => Some(reason),
                    Outcome::Pass | Outcome::Reply => Some(DropReason::ArpUnusedAddress),
                };
                (ModelLeg { steps: vec![step], arrived: None, drop }, None)
            }
        }
    }

    fn next_hop(&mut self, interface: &Interface, source: Address, target: Address) -> NextHop {
        let mut request = match (source.as_v4(), target.as_v4()) {
            (Some(source), Some(target)) => arp_request(interface.mac, source, target),
            _ => neighbor_solicitation(interface.mac, source, target),
        };
        let mut steps = Vec::new();
        let mut answer = Answer::default();
        let mut packet = Packet { frame: &mut request, offload: Offload::NONE };
        let (policy, port, now) = (self.policy, interface.port, self.now);
        process(policy, self.state, port, &mut packet, now, &mut answer, &mut steps);
        match (answer.mac, steps.pop()) {
            (Some(mac), _) => NextHop::Mac(mac),
            (None, Some(step)) => NextHop::Unresolved(step),
            (None, None) => NextHop::Mac(interface.mac),
        }
    }

    fn frame_of_fabric(
        &self,
        port: PortIndex,
        addresses: (Address, Address),
        payload: Payload,
    ) -> Vec<u8> {
        let fabric = self.policy.fabric();
        let mac = match port {
            PortIndex::INTERNET => fabric.internet_mac,
            _ => fabric.services_mac,
        };
        frame((FABRIC_ROUTER_MAC, mac), addresses, payload)
    }

    fn send(&mut self, port: PortIndex, mut frame: Vec<u8>) -> (ModelLeg, Option<Arrived>) {
        // The first packet is the question; stages change it in place.
        self.asked = self.asked.or_else(|| tuple_of(&frame));
        let mut steps = Vec::new();
        let mut packet = Packet { frame: &mut frame, offload: Offload::NONE };
        let (policy, now) = (self.policy, self.now);
        let mut sent = Sent::default();
        let verdict = process(policy, self.state, port, &mut packet, now, &mut sent, &mut steps);
        match verdict {
            Verdict::Forward(to) | Verdict::Translated(to) => {
                let frame = if verdict == Verdict::Forward(to) { frame } else { sent.last };
                let leg = ModelLeg { steps, arrived: Some(to), drop: None };
                (leg, Some(Arrived { port: to, frame }))
            }
            Verdict::Drop(reason) => (ModelLeg { steps, arrived: None, drop: Some(reason) }, None),
            Verdict::Reply => (ModelLeg { steps, arrived: None, drop: None }, None),
        }
    }
}

/// Takes the MAC address out of the engine's answer to ARP or to a solicitation.
#[derive(Default)]
struct Answer {
    mac: Option<[u8; 6]>,
}

impl Output for Answer {
    fn emit(&mut self, _: PortIndex, frame: &[u8], _: Offload) {
        // Whoever answers sends from the address that was asked for.
        self.mac = wire::source_mac(frame);
    }

    fn journal(&mut self, _: crate::StateChange<'_>) {}

    fn dhcp_lease(&mut self, _: PortIndex) {}
}

/// Keeps the last frame that the engine sent itself.
#[derive(Default)]
struct Sent {
    last: Vec<u8>,
}

impl Output for Sent {
    fn emit(&mut self, _: PortIndex, frame: &[u8], _: Offload) {
        self.last = frame.to_vec();
    }

    fn journal(&mut self, _: crate::StateChange<'_>) {}

    fn dhcp_lease(&mut self, _: PortIndex) {}
}

/// The flow that a frame belongs to. NAT64 may have made it one of another family.
fn tuple_of(frame: &[u8]) -> Option<Tuple> {
    let family = match be16(frame, 12) {
        Some(ETHERTYPE_IPV6) => Family::V6,
        _ => Family::V4,
    };
    Headers::parse(family, frame, &Offload::NONE).ok().map(|headers| headers.tuple)
}

/// The way of a packet that no guest can send.
fn never_sent(reason: DropReason) -> ModelLeg {
    ModelLeg { steps: Vec::new(), arrived: None, drop: Some(reason) }
}

fn arp_request(mac: [u8; 6], source: u32, target: u32) -> Vec<u8> {
    let mut request = vec![0; ETHERNET_LEN + 28];
    wire::set_macs(&mut request, wire::BROADCAST, mac);
    put16(&mut request, 12, ETHERTYPE_ARP);
    put(&mut request, ETHERNET_LEN, &[0, 1, 8, 0, 6, 4, 0, 1]);
    put(&mut request, ETHERNET_LEN + 8, &mac);
    put32(&mut request, ETHERNET_LEN + 14, source);
    put32(&mut request, ETHERNET_LEN + 24, target);
    request
}

fn neighbor_solicitation(mac: [u8; 6], source: Address, target: Address) -> Vec<u8> {
    let body = ETHERNET_LEN + IPV6_HEADER_LEN;
    let mut request = vec![0; body + 32];
    wire::set_macs(&mut request, wire::BROADCAST, mac);
    put16(&mut request, 12, ETHERTYPE_IPV6);
    put(&mut request, body, &[icmpv6::NEIGHBOR_SOLICITATION]);
    put(&mut request, body + 8, &target.number().to_be_bytes());
    put(&mut request, body + 24, &[1, 1]);
    put(&mut request, body + 26, &mac);
    let end = request.len();
    fill_ipv6(&mut request, ETHERNET_LEN, end, IpProtocol::ICMPV6.0, (source, target));
    fill_icmpv6(&mut request, body, end, (source, target));
    debug_assert_eq!(request.get(ETHERNET_LEN + 7), Some(&HOP_LIMIT));
    request
}

/// What follows the IP header.
struct Payload {
    protocol: u8,
    bytes: Vec<u8>,
}

/// The first packet of what is asked about.
fn transport(traffic: WhyTraffic, family: Family) -> Payload {
    match traffic {
        WhyTraffic::Tcp { source_port, destination_port } => {
            segment((source_port, destination_port), tcp::SYN)
        }
        WhyTraffic::TcpUnderWay { source_port, destination_port } => {
            segment((source_port, destination_port), tcp::ACK)
        }
        WhyTraffic::Udp { source_port, destination_port } => {
            datagram((source_port, destination_port))
        }
        WhyTraffic::IcmpEcho { identifier } => match family {
            Family::V4 => echo(IpProtocol::ICMP, 8, identifier),
            Family::V6 => echo(IpProtocol::ICMPV6, icmpv6::ECHO, identifier),
        },
        WhyTraffic::Protocol(number) => Payload { protocol: number, bytes: vec![0; 20] },
    }
}

/// The answer to it, as it arrived: a NAT gateway may have changed its port.
fn answer(traffic: WhyTraffic, arrived: &Tuple) -> Payload {
    let ports = (arrived.destination_port, arrived.source_port);
    match traffic {
        WhyTraffic::Tcp { .. } => segment(ports, tcp::SYN | tcp::ACK),
        WhyTraffic::TcpUnderWay { .. } => segment(ports, tcp::ACK),
        WhyTraffic::Udp { .. } => datagram(ports),
        WhyTraffic::IcmpEcho { .. } => match arrived.family() {
            Family::V4 => echo(IpProtocol::ICMP, 0, arrived.destination_port),
            Family::V6 => echo(IpProtocol::ICMPV6, icmpv6::ECHO_REPLY, arrived.destination_port),
        },
        WhyTraffic::Protocol(number) => Payload { protocol: number, bytes: vec![0; 20] },
    }
}

fn segment((source, destination): (u16, u16), flags: u8) -> Payload {
    let mut bytes = vec![0; 20];
    put16(&mut bytes, 0, source);
    put16(&mut bytes, 2, destination);
    put(&mut bytes, 12, &[0x50, flags]);
    put16(&mut bytes, 14, u16::MAX);
    Payload { protocol: IpProtocol::TCP.0, bytes }
}

fn datagram((source, destination): (u16, u16)) -> Payload {
    let mut bytes = vec![0; 8];
    put16(&mut bytes, 0, source);
    put16(&mut bytes, 2, destination);
    put16(&mut bytes, 4, 8);
    Payload { protocol: IpProtocol::UDP.0, bytes }
}

fn echo(protocol: IpProtocol, kind: u8, identifier: u16) -> Payload {
    let mut bytes = vec![0; 8];
    put(&mut bytes, 0, &[kind]);
    put16(&mut bytes, 4, identifier);
    Payload { protocol: protocol.0, bytes }
}

fn frame(
    (destination_mac, source_mac): ([u8; 6], [u8; 6]),
    (source, destination): (Address, Address),
    payload: Payload,
) -> Vec<u8> {
    let Payload { protocol, mut bytes } = payload;
    let pseudo = pseudo_header(source, destination, protocol, bytes.len());
    let (field, covered) = match IpProtocol(protocol) {
        IpProtocol::TCP => (Some(16), pseudo),
        IpProtocol::UDP => (Some(6), pseudo),
        IpProtocol::ICMP => (Some(2), 0),
        IpProtocol::ICMPV6 => (Some(2), pseudo),
        _ => (None, 0),
    };
    if let Some(field) = field {
        let checksum = !fold(covered + sum(&bytes));
        put16(&mut bytes, field, if checksum == 0 { 0xffff } else { checksum });
    }
    let header_len = match source.family() {
        Family::V4 => 20,
        Family::V6 => IPV6_HEADER_LEN,
    };
    let mut frame = vec![0; ETHERNET_LEN + header_len];
    frame.append(&mut bytes);
    wire::set_macs(&mut frame, destination_mac, source_mac);
    let end = frame.len();
    match (source.as_v4(), destination.as_v4()) {
        (Some(source), Some(destination)) => {
            put16(&mut frame, 12, ETHERTYPE_IPV4);
            let total = u16::try_from(end - ETHERNET_LEN).unwrap_or(u16::MAX);
            put(&mut frame, ETHERNET_LEN, &[0x45, 0]);
            put16(&mut frame, ETHERNET_LEN + 2, total);
            put16(&mut frame, ETHERNET_LEN + 6, 0x4000);
            put(&mut frame, ETHERNET_LEN + 8, &[64, protocol]);
            put32(&mut frame, ETHERNET_LEN + 12, source);
            put32(&mut frame, ETHERNET_LEN + 16, destination);
            fill_ipv4(&mut frame, ETHERNET_LEN, 20);
        }
        _ => {
            fill_ipv6(&mut frame, ETHERNET_LEN, end, protocol, (source, destination));
            put(&mut frame, ETHERNET_LEN + 7, &[64]);
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::verify::{self, Seen};

    /// What is asked about is what a guest would send: right sums, not to be fragmented.
    #[test]
    fn what_is_asked_about_is_a_right_packet() {
        let all = [
            WhyTraffic::Tcp { source_port: 40_000, destination_port: 22 },
            WhyTraffic::Udp { source_port: 40_000, destination_port: 53 },
            WhyTraffic::IcmpEcho { identifier: 7 },
            WhyTraffic::Protocol(50),
        ];
        let v4 = (Address::v4(0x0a00_0001), Address::v4(0x0a00_0002));
        let v6 = (Address::v6(0x2001 << 112 | 1), Address::v6(0x2001 << 112 | 2));
        for (addresses, df) in [(v4, 0x4000), (v6, 0)] {
            let family = addresses.0.family();
            for traffic in all {
                let asked = frame(([2; 6], [4; 6]), addresses, transport(traffic, family));
                assert_eq!(verify::check(&asked, &Offload::NONE), Ok(()));
                let seen = Seen::ip(&asked);
                assert_eq!((seen.ttl, seen.fragment), (64, df));
                let has_sum = seen.protocol != 17 || verify::word(&seen.payload, 6) != 0;
                assert!(has_sum, "none at all would be right in UDP too");
                let tuple = Headers::parse(family, &asked, &Offload::NONE).unwrap().tuple;
                let back = (addresses.1, addresses.0);
                let answer = frame(([4; 6], [2; 6]), back, answer(traffic, &tuple));
                assert_eq!(verify::check(&answer, &Offload::NONE), Ok(()));
            }
        }
    }
}
