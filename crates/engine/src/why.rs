//! Why a packet arrives or does not: [`crate::process`] itself on the present state, undone after.

use std::net::Ipv4Addr;

use gureum_types::{IpProtocol, PortIndex};
use serde::{Deserialize, Serialize};

use crate::{
    Component, Direction, Discard, DropReason, FABRIC_ROUTER_MAC, Offload, Outcome, Output, Packet,
    Policy, Stage, State, Step, Verdict,
    policy::{Interface, PortSlot, Subnet},
    process,
    wire::{
        self, ETHERNET_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4,
        checksum::{fill_ipv4, fold, pseudo_header, sum},
        ipv4::tcp,
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
        address: Option<Ipv4Addr>,
    },
    /// From a host of the simulated internet.
    Internet(Ipv4Addr),
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
    pub destination: Ipv4Addr,
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
        let source = policy.port_name(match query.source {
            WhySource::Interface { port, .. } => port,
            WhySource::Internet(_) => PortIndex::INTERNET,
        });
        let mut asking = Asking { policy, state, now };
        let (forward, arrived) = asking.forward(query);
        let reply = arrived.map(|arrived| asking.reply(query, &arrived));
        let reachable = reply.as_ref().is_some_and(|leg| leg.drop.is_none());
        WhyReport { query: query.clone(), source, reachable, forward, reply }
    })
}

struct Asking<'a> {
    policy: &'a Policy,
    state: &'a mut State,
    now: u64,
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
    fn forward(&mut self, query: &WhyQuery) -> (WhyLeg, Option<Arrived>) {
        let destination = u32::from(query.destination);
        let payload = transport(query.traffic, false);
        match &query.source {
            WhySource::Internet(source) => {
                let addresses = (u32::from(*source), destination);
                let frame = self.frame_of_fabric(PortIndex::INTERNET, addresses, payload);
                self.send(PortIndex::INTERNET, frame)
            }
            WhySource::Interface { port, address } => {
                let Some((interface, subnet)) = self.interface(*port) else {
                    let reason = match self.policy.slot(*port) {
                        PortSlot::Broken => DropReason::BrokenInterface,
                        PortSlot::Unused | PortSlot::Interface(_) => DropReason::UnknownPort,
                    };
                    let leg = WhyLeg { steps: Vec::new(), arrived: None, drop: Some(reason) };
                    return (leg, None);
                };
                let source = address.map_or_else(|| interface.primary(), u32::from);
                self.send_from(interface, subnet, (source, destination), payload)
            }
        }
    }

    /// The answer of whoever got the packet, to where it seems to come from.
    fn reply(&mut self, query: &WhyQuery, arrived: &Arrived) -> WhyLeg {
        let address = |at| wire::be32(&arrived.frame, ETHERNET_LEN + at).unwrap_or_default();
        let addresses = (address(16), address(12));
        let payload = transport(query.traffic, true);
        match self.interface(arrived.port) {
            Some((interface, subnet)) => self.send_from(interface, subnet, addresses, payload).0,
            None => {
                let frame = self.frame_of_fabric(arrived.port, addresses, payload);
                self.send(arrived.port, frame).0
            }
        }
    }

    fn interface(&self, port: PortIndex) -> Option<(&'a Interface, &'a Subnet)> {
        let interface = self.policy.interface(port)?;
        Some((interface, self.policy.subnet(interface)?))
    }

    /// Sends a packet as a guest does: to the next hop that ARP finds.
    fn send_from(
        &mut self,
        interface: &'a Interface,
        subnet: &'a Subnet,
        (source, destination): (u32, u32),
        payload: Payload,
    ) -> (WhyLeg, Option<Arrived>) {
        let near = subnet.contains(destination) || Ipv4Addr::from(destination).is_link_local();
        let target = if near { destination } else { subnet.router };
        match self.next_hop(interface, source, target) {
            NextHop::Mac(mac) => {
                let macs = (mac, interface.mac);
                self.send(interface.port, frame(macs, (source, destination), payload))
            }
            NextHop::Unresolved(step) => {
                let drop = match step.outcome {
                    Outcome::Drop(reason) => Some(reason),
                    Outcome::Pass | Outcome::Reply => Some(DropReason::ArpUnusedAddress),
                };
                let steps = vec![self.named(step)];
                (WhyLeg { steps, arrived: None, drop }, None)
            }
        }
    }

    fn next_hop(&mut self, interface: &Interface, source: u32, target: u32) -> NextHop {
        let mut request = [0; ETHERNET_LEN + 28];
        wire::set_macs(&mut request, wire::BROADCAST, interface.mac);
        put16(&mut request, 12, ETHERTYPE_ARP);
        put(&mut request, ETHERNET_LEN, &[0, 1, 8, 0, 6, 4, 0, 1]);
        put(&mut request, ETHERNET_LEN + 8, &interface.mac);
        put32(&mut request, ETHERNET_LEN + 14, source);
        put32(&mut request, ETHERNET_LEN + 24, target);
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

    fn frame_of_fabric(&self, port: PortIndex, addresses: (u32, u32), payload: Payload) -> Vec<u8> {
        let fabric = self.policy.fabric();
        let mac = match port {
            PortIndex::INTERNET => fabric.internet_mac,
            _ => fabric.services_mac,
        };
        frame((FABRIC_ROUTER_MAC, mac), addresses, payload)
    }

    fn send(&mut self, port: PortIndex, mut frame: Vec<u8>) -> (WhyLeg, Option<Arrived>) {
        let mut steps = Vec::new();
        let mut packet = Packet { frame: &mut frame, offload: Offload::NONE };
        let (policy, now) = (self.policy, self.now);
        let verdict = process(policy, self.state, port, &mut packet, now, &mut Discard, &mut steps);
        let steps = steps.into_iter().map(|step| self.named(step)).collect();
        match verdict {
            Verdict::Forward(to) => {
                let arrived = Some(self.policy.port_name(to));
                (WhyLeg { steps, arrived, drop: None }, Some(Arrived { port: to, frame }))
            }
            Verdict::Drop(reason) => (WhyLeg { steps, arrived: None, drop: Some(reason) }, None),
            Verdict::Reply => (WhyLeg { steps, arrived: None, drop: None }, None),
        }
    }

    fn named(&self, step: Step) -> WhyStep {
        let component = step.component.and_then(|index| self.policy.component(index)).cloned();
        WhyStep {
            stage: step.stage,
            interface: self.policy.port_name(step.port),
            direction: step.direction,
            component,
            drop: match step.outcome {
                Outcome::Drop(reason) => Some(reason),
                Outcome::Pass | Outcome::Reply => None,
            },
            text: step.text,
        }
    }
}

/// Takes the MAC address out of the engine's ARP answer.
#[derive(Default)]
struct Answer {
    mac: Option<[u8; 6]>,
}

impl Output for Answer {
    fn emit(&mut self, _: PortIndex, frame: &[u8], _: Offload) {
        self.mac = wire::bytes(frame, ETHERNET_LEN + 8);
    }

    fn journal(&mut self, _: crate::StateChange<'_>) {}

    fn dhcp_lease(&mut self, _: PortIndex) {}
}

/// What follows the IP header.
struct Payload {
    protocol: u8,
    bytes: Vec<u8>,
}

fn transport(traffic: WhyTraffic, is_reply: bool) -> Payload {
    let ports = |bytes: &mut [u8], source: u16, destination: u16| {
        let (from, to) = if is_reply { (destination, source) } else { (source, destination) };
        put16(bytes, 0, from);
        put16(bytes, 2, to);
    };
    let (protocol, bytes) = match traffic {
        WhyTraffic::Tcp { source_port, destination_port } => {
            let mut bytes = vec![0; 20];
            ports(&mut bytes, source_port, destination_port);
            let flags = if is_reply { tcp::SYN | tcp::ACK } else { tcp::SYN };
            put(&mut bytes, 12, &[0x50, flags]);
            put16(&mut bytes, 14, u16::MAX);
            (IpProtocol::TCP.0, bytes)
        }
        WhyTraffic::Udp { source_port, destination_port } => {
            let mut bytes = vec![0; 8];
            ports(&mut bytes, source_port, destination_port);
            put16(&mut bytes, 4, 8);
            (IpProtocol::UDP.0, bytes)
        }
        WhyTraffic::IcmpEcho { identifier } => {
            let mut bytes = vec![0; 8];
            put(&mut bytes, 0, &[if is_reply { 0 } else { 8 }]);
            put16(&mut bytes, 4, identifier);
            (IpProtocol::ICMP.0, bytes)
        }
        WhyTraffic::Protocol(number) => (number, vec![0; 20]),
    };
    Payload { protocol, bytes }
}

fn frame(
    (destination_mac, source_mac): ([u8; 6], [u8; 6]),
    (source, destination): (u32, u32),
    payload: Payload,
) -> Vec<u8> {
    let Payload { protocol, mut bytes } = payload;
    let pseudo = pseudo_header(source, destination, protocol, bytes.len());
    let (field, covered) = match IpProtocol(protocol) {
        IpProtocol::TCP => (Some(16), pseudo),
        IpProtocol::UDP => (Some(6), pseudo),
        IpProtocol::ICMP => (Some(2), 0),
        _ => (None, 0),
    };
    if let Some(field) = field {
        let checksum = !fold(covered + sum(&bytes));
        put16(&mut bytes, field, if checksum == 0 { 0xffff } else { checksum });
    }
    let mut frame = vec![0; ETHERNET_LEN + 20];
    frame.append(&mut bytes);
    wire::set_macs(&mut frame, destination_mac, source_mac);
    put16(&mut frame, 12, ETHERTYPE_IPV4);
    let total = u16::try_from(frame.len() - ETHERNET_LEN).unwrap_or(u16::MAX);
    put(&mut frame, ETHERNET_LEN, &[0x45, 0]);
    put16(&mut frame, ETHERNET_LEN + 2, total);
    put16(&mut frame, ETHERNET_LEN + 6, 0x4000);
    put(&mut frame, ETHERNET_LEN + 8, &[64, protocol]);
    put32(&mut frame, ETHERNET_LEN + 12, source);
    put32(&mut frame, ETHERNET_LEN + 16, destination);
    fill_ipv4(&mut frame, ETHERNET_LEN, 20);
    frame
}
