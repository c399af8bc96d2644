//! What the engine remembers: tracked flows, fragments, counters.

use crate::Record;

/// Bounds of what is remembered (habit: a limit on everything).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows of all interfaces, tracked or not; also the bound of journal slots.
    pub flows: u32,
    /// Tracked flows of one interface (SGT-12).
    pub tracked_per_port: u32,
    /// Datagrams whose fragments are under way.
    pub fragments: u32,
    /// Places of the flow cache; rounded up to a power of two.
    pub cache: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 1 << 18, tracked_per_port: 1 << 16, fragments: 1024, cache: 1 << 15 }
    }
}

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

/// Counters of drops and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {}

/// Tracked flows, fragments under way, counters and the flow cache.
#[derive(Debug)]
pub struct State {
    limits: Limits,
    loose_until: u64,
}

impl State {
    /// An empty state.
    pub fn new(limits: Limits) -> Self {
        Self { limits, loose_until: 0 }
    }

    /// The state that a journal tells of: the records by slot. Torn or foreign records are left
    /// out. `now` is on the clock that the records were written with, or a later boot's.
    pub fn restore(
        limits: Limits,
        records: impl IntoIterator<Item = (u32, Record)>,
        _now: u64,
    ) -> Self {
        let _ = records;
        Self::new(limits)
    }

    /// Until then, a TCP packet without SYN that the rules of either direction would admit
    /// re-creates its flow: for a start after which tracked flows may be missing (traps 9).
    pub fn set_loose_until(&mut self, until: u64) {
        self.loose_until = until;
    }

    /// Empties the flow cache. It has no visible effect but on speed.
    pub fn flush_cache(&mut self) {}

    /// The bounds it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}
