//! From what windows counted to what records are about: one flow, in one direction, at one
//! interface, with one verdict (FL-23).

use std::{hash::BuildHasher, net::IpAddr, ops::Range};

use gureum_types::{
    NetworkInterfaceId, Timestamp, TrafficDirection, TrafficPath, TrafficVerdict, Window,
    WindowEntry, record::TrafficType,
};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::interface::Facts;

/// What makes a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The place of the interface among those that are covered.
    pub(crate) interface: u32,
    pub(crate) direction: TrafficDirection,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) protocol: u8,
    pub(crate) verdict: TrafficVerdict,
}

/// What one record of traffic tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flow {
    pub(crate) key: Key,
    pub(crate) path: Option<TrafficPath>,
    pub(crate) tcp_flags: u8,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// The traffic of covered interfaces in one interval.
pub(crate) struct Traffic<'a> {
    traffic_type: TrafficType,
    places: HashMap<&'a NetworkInterfaceId, u32>,
    hasher: DefaultHashBuilder,
    by_key: HashTable<u32>,
    flows: Vec<Flow>,
    /// By the place of the interface.
    skipped: Vec<(u32, Timestamp, Timestamp)>,
}

fn is_wanted(traffic_type: TrafficType, verdict: TrafficVerdict) -> bool {
    match traffic_type {
        TrafficType::All => true,
        TrafficType::Accept => verdict == TrafficVerdict::Accept,
        TrafficType::Reject => verdict != TrafficVerdict::Accept,
    }
}

impl<'a> Traffic<'a> {
    /// No traffic yet, of interfaces with these facts.
    pub(crate) fn new(traffic_type: TrafficType, covered: &'a [Facts]) -> Self {
        Self {
            traffic_type,
            places: covered.iter().map(|it| &it.id).zip(0..).collect(),
            hasher: DefaultHashBuilder::default(),
            by_key: HashTable::new(),
            flows: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds what a window has of the interfaces, but those that are not `wanted`.
    pub(crate) fn add(&mut self, window: &Window, wanted: impl Fn(u32) -> bool) {
        let place = |id| self.places.get(id).copied().filter(|place| wanted(*place));
        for id in &window.skipped {
            if let Some(place) = place(id) {
                self.skipped.push((place, window.start, window.end));
            }
        }
        for entry in &window.entries {
            if !is_wanted(self.traffic_type, entry.verdict) {
                continue;
            }
            if let Some(interface) = place(&entry.interface) {
                let flows = &mut self.flows;
                count(&self.hasher, &mut self.by_key, flows, interface, entry);
            }
        }
    }

    /// All of it in the order of records.
    pub(crate) fn sorted(mut self) -> Sorted {
        self.flows.sort_unstable_by_key(|it| (it.key.interface, it.first));
        self.skipped.sort_unstable();
        Sorted { flows: self.flows, skipped: self.skipped }
    }
}

fn count(
    hasher: &DefaultHashBuilder,
    by_key: &mut HashTable<u32>,
    flows: &mut Vec<Flow>,
    interface: u32,
    entry: &WindowEntry,
) {
    let key = Key {
        interface,
        direction: entry.direction,
        source: entry.source.to_canonical(),
        destination: entry.destination.to_canonical(),
        source_port: entry.source_port,
        destination_port: entry.destination_port,
        protocol: entry.protocol,
        verdict: entry.verdict,
    };
    let hash = hasher.hash_one(key);
    let at = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
    let known = by_key.find(hash, |index| flows.get(at(*index)).is_some_and(|it| it.key == key));
    if let Some(flow) = known.copied().and_then(|index| flows.get_mut(at(index))) {
        flow.packets = flow.packets.saturating_add(entry.packets);
        flow.bytes = flow.bytes.saturating_add(entry.bytes);
        flow.tcp_flags |= entry.tcp_flags;
        flow.path = flow.path.or(entry.path);
        flow.first = flow.first.min(entry.first);
        flow.last = flow.last.max(entry.last);
        return;
    }
    // More than that are not counted in one interval; the machine's memory ends before.
    let Ok(index) = u32::try_from(flows.len()) else { return };
    flows.push(Flow {
        key,
        path: entry.path,
        tcp_flags: entry.tcp_flags,
        packets: entry.packets,
        bytes: entry.bytes,
        first: entry.first,
        last: entry.last,
    });
    let rehash = |index: &u32| flows.get(at(*index)).map_or(0, |it| hasher.hash_one(it.key));
    by_key.insert_unique(hash, index, rehash);
}

/// Traffic in the order of records.
pub(crate) struct Sorted {
    flows: Vec<Flow>,
    skipped: Vec<(u32, Timestamp, Timestamp)>,
}

impl Sorted {
    /// The flows of an interface, in the order of time.
    pub(crate) fn of(&self, interface: u32) -> &[Flow] {
        let range = places(&self.flows, |it| it.key.interface, interface);
        self.flows.get(range).unwrap_or_default()
    }

    /// When something of an interface was not counted.
    pub(crate) fn skipped(&self, interface: u32) -> &[(u32, Timestamp, Timestamp)] {
        let range = places(&self.skipped, |it| it.0, interface);
        self.skipped.get(range).unwrap_or_default()
    }
}

/// Where those with a number are in a list that is in order.
fn places<T>(list: &[T], number: impl Fn(&T) -> u32, wanted: u32) -> Range<usize> {
    list.partition_point(|it| number(it) < wanted)..list.partition_point(|it| number(it) <= wanted)
}
