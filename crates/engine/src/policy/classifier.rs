//! Which rules speak of a packet: by protocol, then by port, then by whatever a rule set keeps.
//!
//! Rules are cut into segments of the port line when the policy is compiled; the sets of rules
//! that cover a segment are interned. A look-up does not grow with the number of rules.

use std::collections::HashMap;

use gureum_types::{IpProtocol, record::Traffic};

use super::range_map::{RangeMap, sweep};
use crate::address::Family;

/// Ports, or ICMP types and codes, both ends included.
pub(crate) type Ports = (u16, u16);

/// The port line: every port, or every ICMP type and code.
pub(crate) const ALL_PORTS: Ports = (0, 0xffff);

/// The ports of a protocol that a rule speaks of; `None` where it does not speak of the protocol.
pub(crate) fn ports_of(traffic: &Traffic, protocol: IpProtocol, family: Family) -> Option<Ports> {
    match *traffic {
        Traffic::All => Some(ALL_PORTS),
        Traffic::Ports { protocol: of, .. }
        | Traffic::Icmp { protocol: of, .. }
        | Traffic::Protocol(of)
            if of != protocol =>
        {
            None
        }
        Traffic::Ports { from, to, .. } if has_ports(protocol) => Some((from, to)),
        Traffic::Icmp { icmp_type: Some(kind), icmp_code, .. } if protocol == icmp_of(family) => {
            let (from, to) = icmp_code.map_or((0, 0xff), |code| (code, code));
            let start = u16::from(kind) << 8;
            Some((start | u16::from(from), start | u16::from(to)))
        }
        // One family's ICMP over the other has no types that a rule could compare (NACL-10);
        // other protocols have no ports (SG-13).
        _ => Some(ALL_PORTS),
    }
}

/// The control protocol of a family.
pub(crate) const fn icmp_of(family: Family) -> IpProtocol {
    match family {
        Family::V4 => IpProtocol::ICMP,
        Family::V6 => IpProtocol::ICMPV6,
    }
}

fn has_ports(protocol: IpProtocol) -> bool {
    matches!(protocol, IpProtocol::TCP | IpProtocol::UDP)
}

/// What a packet is compared by, besides its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) protocol: u8,
    /// Destination port or ICMP type and code; `None` for a later fragment, which only rules for
    /// all ports match (NACL-22).
    pub(crate) port: Option<u16>,
}

/// Rule sets of one protocol by port.
#[derive(Clone, Debug)]
struct Bucket<S> {
    by_port: RangeMap<u16, u32>,
    without_port: Option<u32>,
    sets: Vec<S>,
}

/// Rule sets of one family by protocol and port.
#[derive(Clone, Debug)]
pub(crate) struct Classifier<S> {
    family: Family,
    tcp: Bucket<S>,
    udp: Bucket<S>,
    icmp: Bucket<S>,
    others: Vec<(u8, Bucket<S>)>,
    any: Bucket<S>,
}

impl<S> Classifier<S> {
    /// Sorts rules in. `set` makes a rule set of the places of the rules that cover a segment, in
    /// order.
    pub(crate) fn build(
        family: Family,
        traffics: &[Traffic],
        mut set: impl FnMut(&[usize]) -> S,
    ) -> Self {
        let control = icmp_of(family);
        let mut bucket = |protocol: IpProtocol| Bucket::build(traffics, protocol, family, &mut set);
        let mut numbers: Vec<u8> = traffics
            .iter()
            .filter_map(|traffic| match traffic {
                Traffic::All => None,
                Traffic::Ports { protocol, .. }
                | Traffic::Icmp { protocol, .. }
                | Traffic::Protocol(protocol) => Some(*protocol),
            })
            .filter(|&protocol| !has_ports(protocol) && protocol != control)
            .map(|protocol| protocol.0)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let tcp = bucket(IpProtocol::TCP);
        let udp = bucket(IpProtocol::UDP);
        let icmp = bucket(control);
        let others = numbers.iter().map(|&n| (n, bucket(IpProtocol(n)))).collect();
        // Rules for every protocol: build the bucket of one that no rule names.
        let unnamed = (0..=u8::MAX).rev().find(|n| {
            !numbers.contains(n) && !has_ports(IpProtocol(*n)) && IpProtocol(*n) != control
        });
        let any = bucket(IpProtocol(unnamed.unwrap_or(u8::MAX)));
        Self { family, tcp, udp, icmp, others, any }
    }

    /// The rule set that speaks of a class of packets.
    #[inline]
    pub(crate) fn at(&self, class: Class) -> Option<&S> {
        let bucket = match IpProtocol(class.protocol) {
            IpProtocol::TCP => &self.tcp,
            IpProtocol::UDP => &self.udp,
            protocol if protocol == icmp_of(self.family) => &self.icmp,
            IpProtocol(number) => {
                match self.others.binary_search_by_key(&number, |(number, _)| *number) {
                    Ok(index) => &self.others.get(index)?.1,
                    Err(_) => &self.any,
                }
            }
        };
        let set = match class.port {
            Some(port) => *bucket.by_port.at(port)?,
            None => bucket.without_port?,
        };
        bucket.sets.get(usize::try_from(set).ok()?)
    }
}

#[cfg(any(test, feature = "testing"))]
impl<S> Classifier<S> {
    /// The same with other sets.
    pub(crate) fn map<T>(&self, mut set: impl FnMut(&S) -> T) -> Classifier<T> {
        let mut map = |bucket: &Bucket<S>| Bucket {
            by_port: bucket.by_port.clone(),
            without_port: bucket.without_port,
            sets: bucket.sets.iter().map(&mut set).collect(),
        };
        Classifier {
            family: self.family,
            tcp: map(&self.tcp),
            udp: map(&self.udp),
            icmp: map(&self.icmp),
            others: self.others.iter().map(|(number, bucket)| (*number, map(bucket))).collect(),
            any: map(&self.any),
        }
    }
}

impl<S> Bucket<S> {
    fn build(
        traffics: &[Traffic],
        protocol: IpProtocol,
        family: Family,
        set: &mut impl FnMut(&[usize]) -> S,
    ) -> Self {
        let rules: Vec<(usize, Ports)> = traffics
            .iter()
            .enumerate()
            .filter_map(|(index, traffic)| Some((index, ports_of(traffic, protocol, family)?)))
            .collect();
        let mut sets = Vec::new();
        let mut interned: HashMap<Vec<usize>, u32> = HashMap::new();
        let mut intern = |active: Vec<usize>| -> Option<u32> {
            if active.is_empty() {
                return None;
            }
            Some(*interned.entry(active).or_insert_with_key(|active| {
                sets.push(set(active));
                u32::try_from(sets.len() - 1).unwrap_or(u32::MAX)
            }))
        };
        let place = |&index: &usize| rules.get(index).map(|(place, _)| *place);
        let by_port = RangeMap::build(&sweep(rules.iter().map(|(_, range)| *range)), |active| {
            intern(active.iter().filter_map(place).collect())
        });
        let all = rules.iter().filter(|(_, range)| *range == ALL_PORTS);
        let without_port = intern(all.map(|(place, _)| *place).collect());
        Self { by_port, without_port, sets }
    }
}
