//! Counters of ports and of drops.

use foldhash::fast::FixedState;
use gureum_types::PortIndex;
use hashbrown::HashMap;

use crate::DropReason;

/// Packets and bytes of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Packets on the wire that came from the port (traps 3).
    pub received_packets: u64,
    /// Their bytes from the IP header on.
    pub received_bytes: u64,
    /// Packets on the wire that went to the port.
    pub sent_packets: u64,
    /// Their bytes from the IP header on.
    pub sent_bytes: u64,
    /// Frames from the port that were dropped.
    pub dropped: u64,
}

/// Counters of drops and ports. They begin at zero with the state and only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::COUNT],
    ports: Vec<PortCounters>,
    port_drops: HashMap<(PortIndex, usize), u64, FixedState>,
    pub(crate) uncounted_flows: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            drops: [0; DropReason::COUNT],
            ports: Vec::new(),
            port_drops: HashMap::default(),
            uncounted_flows: 0,
        }
    }
}

impl Counters {
    /// Drops by name, those that happened.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DropReason::NAMES.iter().copied().zip(self.drops).filter(|(_, count)| *count > 0)
    }

    /// Drops for a reason, whatever the component.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason.index()).copied().unwrap_or(0)
    }

    /// Drops of frames from one port by name, those that happened.
    pub fn drops_of(&self, port: PortIndex) -> impl Iterator<Item = (&'static str, u64)> {
        DropReason::NAMES.iter().enumerate().filter_map(move |(index, name)| {
            self.port_drops.get(&(port, index)).map(|count| (*name, *count))
        })
    }

    /// Packets and bytes of a port.
    pub fn port(&self, port: PortIndex) -> PortCounters {
        let place = usize::try_from(port.0).ok();
        place.and_then(|place| self.ports.get(place)).copied().unwrap_or_default()
    }

    /// Packets whose flow was not counted, because the table of flows was full.
    pub fn uncounted_flows(&self) -> u64 {
        self.uncounted_flows
    }

    /// Makes room for ports below a bound, so that counting never allocates.
    pub(crate) fn reserve(&mut self, bound: usize) {
        if self.ports.len() < bound {
            self.ports.resize(bound, PortCounters::default());
        }
    }

    #[inline]
    pub(crate) fn received(&mut self, port: PortIndex, packets: u32, bytes: u32) {
        if let Some(counters) = self.port_mut(port) {
            counters.received_packets += u64::from(packets);
            counters.received_bytes += u64::from(bytes);
        }
    }

    #[inline]
    pub(crate) fn sent_wire(&mut self, port: PortIndex, packets: u32, bytes: u32) {
        if let Some(counters) = self.port_mut(port) {
            counters.sent_packets += u64::from(packets);
            counters.sent_bytes += u64::from(bytes);
        }
    }

    /// Counts frames of the engine's own.
    pub(crate) fn sent(&mut self, port: PortIndex, packets: u32, bytes: usize) {
        self.sent_wire(port, packets, u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    #[inline]
    fn port_mut(&mut self, port: PortIndex) -> Option<&mut PortCounters> {
        self.ports.get_mut(usize::try_from(port.0).ok()?)
    }

    pub(crate) fn drop(&mut self, port: PortIndex, reason: DropReason) {
        if let Some(count) = self.drops.get_mut(reason.index()) {
            *count += 1;
        }
        // Frames from ports that nobody knows count once, under no port.
        if let Some(counters) = self.port_mut(port) {
            counters.dropped += 1;
            *self.port_drops.entry((port, reason.index())).or_insert(0) += 1;
        }
    }
}
