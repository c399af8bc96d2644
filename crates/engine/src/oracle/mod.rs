//! The engine's slow and obvious twin. It reads the records, never the compiled policy, keeps its
//! own lists of flows, and looks everything up from front to back. Property tests hold the engine
//! to it.
//!
//! It is a second opinion: each rule is written from what is known of AWS, by its anchors. Where
//! that fixes no order of drops, or no number, the engine's is taken.
//!
//! It speaks of whole IP packets that fit every MTU, after ARP and neighbour discovery and besides
//! DHCP. One thing it cannot know: which port a NAT gateway takes for a flow. It asks for that once
//! a flow, and from then on demands it.

#![allow(clippy::indexing_slicing, reason = "it is only ever part of tests")]

mod endpoints;
mod flows;
mod gateways;
mod lookup;
mod nat64;
mod services;
mod way;

use std::net::IpAddr;

use gureum_types::{PortIndex, record::Network};

use self::flows::{Binding, Tracked};
use self::lookup::{behind, has_egress_only_gateway, subnet_of, vpc_of};
use crate::Direction;

/// Whom a frame is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// The router of the sender's subnet.
    Router,
    /// The interface behind a port.
    Interface(PortIndex),
    /// A MAC address that nobody has.
    Nobody,
}

/// A packet in words. Both ends are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// What it is.
    pub kind: Kind,
    /// Its TTL, or its hop limit.
    pub hop_limit: u8,
    /// What an ICMP error speaks of.
    pub about: Option<About>,
}

/// The packet that an ICMP error carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Its sender.
    pub source: IpAddr,
    /// Its receiver.
    pub destination: IpAddr,
    /// What it was.
    pub kind: Kind,
}

impl From<About> for Words {
    fn from(about: About) -> Self {
        let About { source, destination, kind } = about;
        Self { source, destination, kind, hop_limit: 0, about: None }
    }
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP: source port, destination port, flags.
    Tcp(u16, u16, u8),
    /// UDP: source port, destination port.
    Udp(u16, u16),
    /// The control protocol of the packet's family: type, code, identifier (0 where there is none).
    Icmp(u8, u8, u16),
    /// Another protocol; one family's control protocol over the other is one too.
    Other(u8),
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at a port, looking like this.
    Arrives(PortIndex, Words),
    /// It is dropped, for a reason of this name.
    Dropped(&'static str),
    /// It is dropped, for a reason of this name, by the entry of a network ACL with this number.
    Denied(&'static str, u16),
    /// Its sender gets this in answer: `reset` or `time-exceeded`.
    Answered(&'static str),
    /// The engine took a port for a flow that it may not take.
    WrongPort(String),
}

/// A flow that a NAT gateway begins to translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    /// The gateway's port in the fabric.
    pub gateway: PortIndex,
    /// IP protocol number.
    pub protocol: u8,
    /// Who began it: address, and port or identifier.
    pub inside: (IpAddr, u16),
    /// With whom: address, and port or the kind of query.
    pub remote: (IpAddr, u16),
}

/// By which gateways a packet went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Journey {
    /// How many times a NAT gateway translated it.
    pub nat_gateways: u8,
    /// Whether one of these made it a packet of the other family.
    pub nat64: bool,
    /// Whether an egress-only internet gateway let it through.
    pub egress_only: bool,
    /// Whether it crossed a peering connection.
    pub peering: bool,
    /// Whether it passed an internet gateway.
    pub internet_gateway: bool,
    /// Whether the table of an internet gateway sent it to an appliance.
    pub edge_table: bool,
    /// Whether it passed a VPC endpoint, to a service or back.
    pub endpoint: bool,
    /// Whether the last gateway gave it back to who began its flow, so that it is an answer of a
    /// flow that is tracked whatever the rules say (SGT-11).
    answers_tracker: bool,
}

/// Which port the engine took for a flow of a NAT gateway, where it took one.
pub type PortOf<'a> = dyn FnMut(&NewFlow) -> Option<(IpAddr, u16)> + 'a;

/// The twin.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// What security groups track, by interface (SGT-16).
    tracked: Vec<Tracked>,
    /// What NAT gateways translate.
    bindings: Vec<Binding>,
    /// What egress-only internet gateways let answers through for.
    egress_only: Vec<Tracked>,
    loose_until: u64,
    journey: Journey,
}

/// One packet on its way.
struct Walk<'a, 'l> {
    oracle: &'a mut Oracle,
    network: &'a Network,
    from: PortIndex,
    now: u64,
    port_of: &'a mut PortOf<'l>,
    /// Whether the sender is who the packet says.
    own_source: bool,
    went: Journey,
}

type Answer<T> = Result<T, Fate>;
type Arrival = Answer<(PortIndex, Words)>;

impl From<&'static str> for Fate {
    fn from(name: &'static str) -> Self {
        Self::Dropped(name)
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

impl Words {
    /// The number of the family's control protocol.
    fn control(&self) -> u8 {
        if self.source.is_ipv6() { 58 } else { 1 }
    }

    /// IP protocol number.
    pub fn protocol(&self) -> u8 {
        match self.kind {
            Kind::Tcp(..) => 6,
            Kind::Udp(..) => 17,
            Kind::Icmp(..) => self.control(),
            Kind::Other(number) => number,
        }
    }

    fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            kind: match self.kind {
                Kind::Tcp(from, to, flags) => Kind::Tcp(to, from, flags),
                Kind::Udp(from, to) => Kind::Udp(to, from),
                other => other,
            },
            ..*self
        }
    }

    /// What an ICMP message asks for, and whether it is the question: RFC 792, RFC 950, RFC 4443.
    fn query(&self) -> Option<(u8, bool)> {
        let Kind::Icmp(kind, ..) = self.kind else { return None };
        match (self.source.is_ipv6(), kind) {
            (false, 0) => Some((8, false)),
            (false, 14 | 16 | 18) => Some((kind - 1, false)),
            (false, 8 | 13 | 15 | 17) | (true, 128) => Some((kind, true)),
            (true, 129) => Some((128, false)),
            _ => None,
        }
    }

    /// Whether it is an ICMP message that asks for something.
    fn asks(&self) -> bool {
        self.query().is_some_and(|(_, asks)| asks)
    }

    fn is_icmp_error(&self) -> bool {
        match self.kind {
            Kind::Icmp(kind, ..) if self.source.is_ipv6() => kind < 128,
            Kind::Icmp(kind, ..) => [3, 4, 5, 11, 12].contains(&kind),
            _ => false,
        }
    }

    /// Local and remote end as the interface sees them. The ports of a ping are its identifier
    /// (SGT-7) and what is asked, with whether this side asks it.
    fn ends(&self, direction: Direction) -> [(IpAddr, u16); 2] {
        let out = direction == Direction::Egress;
        let (from, to) = match self.kind {
            Kind::Tcp(from, to, _) | Kind::Udp(from, to) => (from, to),
            Kind::Icmp(kind, code, identifier) => {
                let mark = match self.query() {
                    Some((question, asks)) => u16::from(question) << 8 | u16::from(asks == out),
                    None => u16::from(kind) << 8 | u16::from(code),
                };
                if out { (identifier, mark) } else { (mark, identifier) }
            }
            Kind::Other(_) => (0, 0),
        };
        let ends = [(self.source, from), (self.destination, to)];
        if out { ends } else { [ends[1], ends[0]] }
    }

    fn begins_tcp(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_, _, flags) if flags & (SYN | ACK | FIN | RST) == SYN)
    }
}

impl Oracle {
    /// As [`crate::State::set_loose_until`].
    pub fn set_loose_until(&mut self, until: u64) {
        self.loose_until = until;
    }

    /// Forgets what has timed out, and the flows of what is gone.
    pub fn forget(&mut self, network: &Network, now: u64) {
        self.tracked.retain(|flow| {
            behind(network, flow.port)
                .is_some_and(|interface| !flow.progress.is_idle(&interface.into(), now))
        });
        let placed = |port: PortIndex| {
            let interface = behind(network, port)?;
            Some((interface, vpc_of(network, subnet_of(network, interface)?)?))
        };
        self.bindings.retain(|flow| {
            placed(flow.gateway).is_some() && !flow.progress.is_idle(&flows::NAT_GATEWAY, now)
        });
        self.egress_only.retain(|flow| {
            placed(flow.port).is_some_and(|(_, vpc)| has_egress_only_gateway(network, vpc))
                && !flow.progress.is_idle(&flows::USUAL, now)
        });
    }

    /// How many flows are tracked.
    pub fn tracked_flows(&self) -> usize {
        self.tracked.len()
    }

    /// How many flows NAT gateways translate.
    pub fn translated_flows(&self) -> usize {
        self.bindings.len()
    }

    /// By which gateways the last packet went.
    pub fn journey(&self) -> Journey {
        self.journey
    }

    /// What becomes of a packet. `port_of` tells which port the engine took for a flow that a NAT
    /// gateway begins to translate with it.
    pub fn ask(
        &mut self,
        network: &Network,
        from: PortIndex,
        hop: Hop,
        packet: Words,
        now: u64,
        port_of: &mut PortOf<'_>,
    ) -> Fate {
        self.forget(network, now);
        let own_source =
            behind(network, from).is_some_and(|interface| lookup::has(interface, packet.source));
        let went = Journey::default();
        let mut walk = Walk { oracle: self, network, from, now, port_of, own_source, went };
        let way = walk.well_formed(&packet).and_then(|()| match from {
            PortIndex::INTERNET => walk.internet_ingress(packet),
            PortIndex::SERVICES => walk.services_ingress(packet),
            _ => walk.interface_egress(hop, packet),
        });
        self.journey = walk.went;
        match way {
            Ok((port, packet)) => Fate::Arrives(port, packet),
            Err(fate) => fate,
        }
    }
}

impl Walk<'_, '_> {
    /// What is not looked into any further.
    fn well_formed(&self, packet: &Words) -> Answer<()> {
        if packet.source.is_ipv4() {
            return Ok(());
        }
        let subnet = behind(self.network, self.from).and_then(|i| subnet_of(self.network, i));
        if subnet.is_some_and(|subnet| subnet.ipv6_block().is_none()) {
            return Err("ipv6-not-enabled".into());
        }
        // RFC 4291, 2.7: a group sends nothing.
        if packet.source.is_multicast() {
            return Err("malformed".into());
        }
        Ok(())
    }
}
