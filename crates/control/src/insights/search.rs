//! Which packets get from one place to another: the engine is asked for one packet of every kind
//! that rules tell apart, until one arrives.

use std::net::Ipv4Addr;

use gureum_engine::{Model, ModelAnswer, StepPacket, WhyQuery, WhySource, WhyTraffic};
use gureum_types::{IpProtocol, PortIndex};

use super::{
    course::{Spread, signature},
    lines::{Line, Range},
    rules::Lines,
};

/// How many packets one question may take. Whoever needs more is told that nobody knows.
pub(super) const BUDGET: usize = 20_000;
/// How many kinds of packets are told apart to say which ones take a way that was found.
const WIDEST: usize = 256;

/// Where packets begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the interface behind a port.
    Port(PortIndex),
    /// In the internet.
    Internet,
}

/// The packets in question.
#[derive(Clone, Debug)]
pub(super) struct Packets {
    pub(super) start: Start,
    pub(super) protocol: IpProtocol,
    /// Each list may be cut; an address that somebody has is a range of its own.
    pub(super) sources: Vec<Range>,
    pub(super) destinations: Vec<Range>,
    pub(super) source_ports: Vec<Range>,
    pub(super) destination_ports: Vec<Range>,
}

/// What somebody makes of an answer of the engine.
pub(super) enum Judgement<F> {
    /// That is one.
    Yes,
    /// That is none, for such a reason; the nearer it came, the higher the number.
    No(usize, F),
    /// Nobody knows.
    Unknown(String),
}

/// A packet that arrives, and those that fare like it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) answer: ModelAnswer,
    pub(super) spread: Spread,
}

/// How a search ended.
pub(super) enum Searched<F> {
    Found(Box<Found>),
    /// The nearest miss, if there was any packet to try.
    Nothing(Option<(usize, ModelAnswer, F)>),
    Unknown(String),
}

/// One packet, by its numbers.
#[derive(Clone, Copy)]
struct One {
    source: u32,
    destination: u32,
    source_port: u32,
    destination_port: u32,
}

impl Packets {
    fn query(&self, one: One) -> WhyQuery {
        let port = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        let (source_port, destination_port) = (port(one.source_port), port(one.destination_port));
        let source = Ipv4Addr::from(one.source).into();
        WhyQuery {
            source: match self.start {
                Start::Port(port) => WhySource::Interface { port, address: Some(source) },
                Start::Internet => WhySource::Internet(source),
            },
            destination: Ipv4Addr::from(one.destination).into(),
            traffic: match self.protocol {
                IpProtocol::UDP => WhyTraffic::Udp { source_port, destination_port },
                _ => WhyTraffic::Tcp { source_port, destination_port },
            },
        }
    }

    /// Those among them that fare like others did: by the same ports, and where an end is the
    /// internet, by the same addresses.
    pub(super) fn like(&self, spread: &Spread) -> Self {
        let first = |ranges: &[Range]| {
            ranges.first().map(|(first, _)| (*first, *first)).into_iter().collect::<Vec<_>>()
        };
        let address = |own: &[Range], spread: &[Range]| match is_single(own) {
            true => own.to_vec(),
            false => first(spread),
        };
        Self {
            start: self.start,
            protocol: self.protocol,
            sources: address(&self.sources, &spread.sources),
            destinations: address(&self.destinations, &spread.destinations),
            source_ports: first(&spread.source_ports),
            destination_ports: first(&spread.destination_ports),
        }
    }

    /// What a packet of [`Self::like`] stands for.
    pub(super) fn spread_like(&self, own: &Spread, spread: &Spread) -> Spread {
        let address = |all: &[Range], own: &[Range], spread: &[Range]| match is_single(all) {
            true => own.to_vec(),
            false => spread.to_vec(),
        };
        Spread {
            sources: address(&self.sources, &own.sources, &spread.sources),
            destinations: address(&self.destinations, &own.destinations, &spread.destinations),
            source_ports: spread.source_ports.clone(),
            destination_ports: spread.destination_ports.clone(),
        }
    }

    /// Asks for one packet of every kind until `judge` likes an answer.
    pub(super) fn search<F>(
        &self,
        model: &mut Model<'_>,
        lines: &Lines,
        budget: &mut usize,
        mut judge: impl FnMut(&StepPacket, &ModelAnswer) -> Judgement<F>,
    ) -> Searched<F> {
        let all = Pieces {
            sources: pieces(&lines.addresses, &self.sources),
            destinations: pieces(&lines.addresses, &self.destinations),
            source_ports: pieces(&lines.source_ports, &self.source_ports),
            destination_ports: pieces(&lines.destination_ports, &self.destination_ports),
        };
        let (mut nearest, mut unknown) = (None, None);
        for one in all.each() {
            if *budget == 0 {
                let why = format!(
                    "the rules on the way tell apart more than {BUDGET} kinds of packets; ask for \
                     fewer addresses or ports"
                );
                return Searched::Unknown(why);
            }
            *budget -= 1;
            let answer = model.ask(&self.query(one));
            match judge(&self.packet(one), &answer) {
                Judgement::Yes => {
                    let spread = self.widen(model, &all, one, &answer, &mut judge);
                    return Searched::Found(Box::new(Found { answer, spread }));
                }
                Judgement::No(near, why) => {
                    let is_nearer =
                        nearest.as_ref().is_none_or(|(before, ..): &(usize, _, _)| near > *before);
                    if is_nearer {
                        nearest = Some((near, answer, why));
                    }
                }
                Judgement::Unknown(why) => unknown = unknown.or(Some(why)),
            }
        }
        match unknown {
            Some(why) => Searched::Unknown(why),
            None => Searched::Nothing(nearest),
        }
    }

    fn packet(&self, one: One) -> StepPacket {
        let port = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        StepPacket {
            source: Ipv4Addr::from(one.source).into(),
            destination: Ipv4Addr::from(one.destination).into(),
            source_port: port(one.source_port),
            destination_port: port(one.destination_port),
            protocol: self.protocol.0,
        }
    }

    /// All packets that take the same way as one, told line by line.
    fn widen<F>(
        &self,
        model: &mut Model<'_>,
        all: &Pieces,
        one: One,
        answer: &ModelAnswer,
        judge: &mut impl FnMut(&StepPacket, &ModelAnswer) -> Judgement<F>,
    ) -> Spread {
        let way = signature(answer);
        let mut same = |other: One| {
            let answer = model.ask(&self.query(other));
            signature(&answer) == way
                && matches!(judge(&self.packet(other), &answer), Judgement::Yes)
        };
        let mut wide = |pieces: &[Range], number: u32, with: fn(One, u32) -> One| {
            let own = |range: &Range| range.0 <= number && number <= range.1;
            let few = pieces.len() <= WIDEST;
            let fits = |range: &&Range| own(range) || few && same(with(one, range.0));
            pieces.iter().filter(fits).copied().collect::<Vec<_>>()
        };
        Spread {
            sources: wide(&all.sources, one.source, |one, source| One { source, ..one }),
            destinations: wide(&all.destinations, one.destination, |one, destination| One {
                destination,
                ..one
            }),
            source_ports: wide(&all.source_ports, one.source_port, |one, source_port| One {
                source_port,
                ..one
            }),
            destination_ports: wide(
                &all.destination_ports,
                one.destination_port,
                |one, destination_port| One { destination_port, ..one },
            ),
        }
    }
}

/// One range for every kind of number.
struct Pieces {
    sources: Vec<Range>,
    destinations: Vec<Range>,
    source_ports: Vec<Range>,
    destination_ports: Vec<Range>,
}

impl Pieces {
    /// The first of each kind, the likeliest source port first.
    fn each(&self) -> impl Iterator<Item = One> {
        self.source_ports.iter().flat_map(move |source_port| {
            self.sources.iter().flat_map(move |source| {
                self.destinations.iter().flat_map(move |destination| {
                    self.destination_ports.iter().map(move |destination_port| One {
                        source: source.0,
                        destination: destination.0,
                        source_port: source_port.0,
                        destination_port: destination_port.0,
                    })
                })
            })
        })
    }
}

/// Single numbers stay as they come, in their order: the primary address is tried first.
fn pieces(line: &Line, within: &[Range]) -> Vec<Range> {
    match is_single(within) {
        true => within.to_vec(),
        false => line.pieces(within),
    }
}

/// Whether ranges are addresses that somebody has, each by itself.
fn is_single(ranges: &[Range]) -> bool {
    ranges.iter().all(|(first, last)| first == last)
}
