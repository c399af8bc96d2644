//! What the engine remembers: tracked flows, fragments, counters; and the flow cache beside them.

pub(crate) mod cache;
mod counters;
pub(crate) mod flow;
pub(crate) mod fragments;
pub(crate) mod record;
pub(crate) mod table;

use std::net::Ipv4Addr;

use gureum_types::PortIndex;

pub use self::counters::{Counters, PortCounters};
pub use self::flow::{
    ICMP_TIMEOUT, OTHER_TIMEOUT, TCP_ESTABLISHED_TIMEOUT, TCP_RESET_TIMEOUT, TCP_TRANSIENT_TIMEOUT,
    Traffic, UDP_SINGLE_TIMEOUT, UDP_STREAM_TIMEOUT, UNTRACKED_TIMEOUT,
};
pub use self::record::record_is_whole;
use self::{
    cache::{Cache, FlowUse},
    flow::{Flow, FlowKey, Phase},
    fragments::Fragments,
    table::{FlowRef, FlowTable},
};
use crate::{Direction, Output, Policy, Record, StateChange, policy::PortSlot};

/// Bounds of what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tracked flows of all interfaces; also the bound of journal slots. As many flows that are
    /// not tracked are counted beside them.
    pub flows: u32,
    /// Tracked flows of one interface (SGT-12).
    pub tracked_per_port: u32,
    /// Datagrams whose fragments are under way.
    pub fragments: u32,
    /// Places of the flow cache; rounded up to a power of two.
    pub cache: u32,
    /// The seed of all hash tables. Take it at random where guests are not trusted.
    pub hash_seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1 << 18,
            tracked_per_port: 1 << 16,
            fragments: 1024,
            cache: 1 << 15,
            hash_seed: 0,
        }
    }
}

/// A flow of an interface as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowView {
    /// The interface's port.
    pub port: PortIndex,
    /// IP protocol number.
    pub protocol: u8,
    /// The interface's end. For ICMP queries the port is the identifier.
    pub local: (Ipv4Addr, u16),
    /// The other end.
    pub remote: (Ipv4Addr, u16),
    /// Whether it is tracked (SGT-2).
    pub tracked: bool,
    /// How far it is.
    pub phase: &'static str,
    /// The direction of the packet that began it.
    pub origin: Direction,
    /// When it began, on the clock of `now`.
    pub created: u64,
    /// When its last packet was seen.
    pub last_seen: u64,
    /// What it carried out of the interface.
    pub egress: Traffic,
    /// What it carried into the interface.
    pub ingress: Traffic,
}

/// Tracked flows, fragments under way, counters and the flow cache.
#[derive(Clone, Debug)]
pub struct State {
    limits: Limits,
    /// The epoch of the policy that was last used, with the ports that it had.
    epoch: Option<u64>,
    pub(crate) tracked: FlowTable,
    pub(crate) untracked: FlowTable,
    /// Tracked flows by port.
    tracked_of: Vec<u32>,
    pub(crate) fragments: Fragments,
    pub(crate) counters: Counters,
    pub(crate) cache: Cache,
    loose_until: u64,
    /// When timed-out flows were last looked for because a table was full.
    reclaimed: Option<u64>,
}

/// How long a full table is taken for full before it is looked through again: a flood of new
/// flows must not make each of them cost a look at all.
const RECLAIM_INTERVAL: u64 = 1_000_000_000;

/// Slots that one call of [`crate::expire`] looks at, in each table.
const EXPIRE_SCAN: u32 = 256;

impl State {
    /// An empty state.
    pub fn new(limits: Limits) -> Self {
        let seed = limits.hash_seed;
        Self {
            limits,
            epoch: None,
            tracked: FlowTable::new(limits.flows, seed),
            untracked: FlowTable::new(limits.flows, seed),
            tracked_of: Vec::new(),
            fragments: Fragments::new(limits.fragments, seed),
            counters: Counters::default(),
            cache: Cache::new(limits.cache, seed),
            loose_until: 0,
            reclaimed: None,
        }
    }

    /// The state that a journal tells of: the records by slot. Torn or foreign records are left
    /// out, and so is what has timed out. `now` must be on the clock that the records were written
    /// with; times after it are taken for it.
    pub fn restore(
        limits: Limits,
        records: impl IntoIterator<Item = (u32, Record)>,
        now: u64,
    ) -> Self {
        let mut state = Self::new(limits);
        for (slot, record) in records {
            let flow = record::decode(&record, now).filter(|flow| !flow.is_expired(now));
            let Some(flow) = flow.filter(|flow| flow.key.port < PortIndex::END.0) else { continue };
            let port = PortIndex(flow.key.port);
            if state.tracked.insert_at(slot, flow).is_some() {
                state.count_tracked(port, 1);
            }
        }
        state.tracked.collect_free();
        state
    }

    /// Until then, a TCP packet without SYN that the rules of either direction would admit
    /// re-creates its flow: for a start after which tracked flows may be missing (traps 9).
    pub fn set_loose_until(&mut self, until: u64) {
        self.loose_until = until;
    }

    pub(crate) fn is_loose(&self, now: u64) -> bool {
        now < self.loose_until
    }

    /// Empties the flow cache. It has no visible effect but on speed.
    pub fn flush_cache(&mut self) {
        self.cache.flush();
    }

    /// The bounds it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Counters of drops and ports.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many flows are tracked.
    pub fn tracked_flows(&self) -> u32 {
        self.tracked.len()
    }

    /// How many flows of a port are tracked (SGT-12: the allowance that is used).
    pub fn tracked_flows_of(&self, port: PortIndex) -> u32 {
        let place = usize::try_from(port.0).ok();
        place.and_then(|place| self.tracked_of.get(place)).copied().unwrap_or(0)
    }

    /// All flows, tracked or not.
    pub fn flows(&self) -> impl Iterator<Item = FlowView> {
        self.tracked.iter().chain(self.untracked.iter()).map(|flow| FlowView {
            port: PortIndex(flow.key.port),
            protocol: flow.key.protocol,
            local: (flow.key.local.into(), flow.key.local_port),
            remote: (flow.key.remote.into(), flow.key.remote_port),
            tracked: flow.phase != Phase::Untracked,
            phase: flow.phase.name(),
            origin: flow.origin,
            created: flow.created,
            last_seen: flow.last_seen,
            egress: flow.egress,
            ingress: flow.ingress,
        })
    }

    fn count_tracked(&mut self, port: PortIndex, change: i32) {
        let Ok(place) = usize::try_from(port.0) else { return };
        if place >= self.tracked_of.len() {
            self.tracked_of.resize(place + 1, 0);
        }
        if let Some(count) = self.tracked_of.get_mut(place) {
            *count = count.saturating_add_signed(change);
        }
    }

    /// Takes note of a policy that is new to it: interfaces that are gone take their flows along.
    /// [`crate::process`] does this by itself; call it where a policy is swapped, so that an
    /// interface which comes back at once has lost its flows too.
    #[inline]
    pub fn adopt(&mut self, policy: &Policy, out: &mut impl Output) {
        if self.epoch != Some(policy.epoch()) {
            self.adopt_new(policy, out);
        }
    }

    #[cold]
    fn adopt_new(&mut self, policy: &Policy, out: &mut impl Output) {
        self.epoch = Some(policy.epoch());
        self.counters.reserve(policy.port_bound().max(2));
        let gone = |port: u32| policy.slot(PortIndex(port)) == PortSlot::Unused;
        let lost = self
            .tracked_of
            .iter()
            .enumerate()
            .any(|(port, count)| *count > 0 && u32::try_from(port).is_ok_and(gone));
        if lost {
            for at in self.tracked.select(|flow| gone(flow.key.port)) {
                self.end_flow(at, out);
            }
        }
    }

    /// The tracked flow with a key. One that has timed out is ended first.
    pub(crate) fn find_tracked(
        &mut self,
        key: &FlowKey,
        now: u64,
        out: &mut impl Output,
    ) -> Option<FlowRef> {
        let at = self.tracked.find(key)?;
        if self.tracked.get(at)?.is_expired(now) {
            self.end_flow(at, out);
            return None;
        }
        Some(at)
    }

    /// Begins to track a flow; `None` when there is no room (SGT-12).
    pub(crate) fn track(
        &mut self,
        key: FlowKey,
        origin: Direction,
        phase: Phase,
        now: u64,
        out: &mut impl Output,
    ) -> Option<FlowRef> {
        let port = PortIndex(key.port);
        let allowance = self.limits.tracked_per_port;
        if self.tracked.is_full() || self.tracked_flows_of(port) >= allowance {
            self.reclaim(now, out);
            if self.tracked_flows_of(port) >= allowance {
                return None;
            }
        }
        let flow = Flow::new(key, phase, origin, now);
        let record = record::encode(&flow);
        let at = self.tracked.insert(flow)?;
        self.count_tracked(port, 1);
        // What the cache knows of it as an untracked flow holds no longer.
        self.untracked.renew(&key);
        out.journal(StateChange::Insert { slot: at.slot, record: &record });
        Some(at)
    }

    /// Ends what has timed out, so that a table is not full of it.
    #[cold]
    fn reclaim(&mut self, now: u64, out: &mut impl Output) {
        if self.reclaimed.is_some_and(|at| now.saturating_sub(at) < RECLAIM_INTERVAL) {
            return;
        }
        self.reclaimed = Some(now);
        for at in self.tracked.select(|flow| flow.is_expired(now)) {
            self.end_flow(at, out);
        }
    }

    /// Ends a tracked flow.
    pub(crate) fn end_flow(&mut self, at: FlowRef, out: &mut impl Output) {
        if let Some(flow) = self.tracked.remove(at) {
            self.count_tracked(PortIndex(flow.key.port), -1);
            out.journal(StateChange::Remove { slot: at.slot });
        }
    }

    /// Takes note of a packet of a tracked flow.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        at: FlowRef,
        direction: Direction,
        tcp_flags: u8,
        now: u64,
        out: &mut impl Output,
    ) {
        let Some(flow) = self.tracked.change(at) else { return };
        if flow.advance(direction, tcp_flags, now) {
            flow.journaled = flow.last_seen;
            let record = record::encode(flow);
            out.journal(StateChange::Update { slot: at.slot, record: &record });
        }
    }

    /// The counters of a flow that is not tracked; `None` when there is no room for them.
    pub(crate) fn count_untracked(
        &mut self,
        key: FlowKey,
        direction: Direction,
        now: u64,
    ) -> Option<FlowRef> {
        if let Some(at) = self.untracked.find(&key) {
            return Some(at);
        }
        if self.untracked.is_full() {
            let stale = |flow: &Flow| flow.is_expired(now);
            self.untracked.scan(EXPIRE_SCAN, stale, |table, at| {
                table.remove(at);
            });
        }
        let at = self.untracked.insert(Flow::new(key, Phase::Untracked, direction, now));
        if at.is_none() {
            self.counters.uncounted_flows += 1;
        }
        at
    }

    /// Adds wire packets to what a flow carried.
    #[inline]
    pub(crate) fn credit(&mut self, of: &FlowUse, credit: Credit, now: u64) {
        let table = if of.tracked { &mut self.tracked } else { &mut self.untracked };
        let Some(flow) = table.change(of.flow) else { return };
        if !of.tracked {
            flow.last_seen = flow.last_seen.max(now);
        }
        let traffic = flow.traffic(of.direction);
        traffic.tcp_flags |= credit.tcp_flags;
        if credit.accepted {
            traffic.packets += u64::from(credit.packets);
            traffic.bytes += u64::from(credit.bytes);
        } else {
            traffic.rejected_packets += u64::from(credit.packets);
            traffic.rejected_bytes += u64::from(credit.bytes);
        }
    }

    /// Runs something on the present state and takes back every change that it made. The cache is
    /// neither asked nor taught meanwhile.
    pub(crate) fn trial<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let epoch = self.epoch;
        let reclaimed = self.reclaimed;
        let tracked_of = self.tracked_of.clone();
        let fragments = self.fragments.clone();
        let counters = self.counters.clone();
        self.tracked.begin_trial();
        self.untracked.begin_trial();
        self.cache.enable(false);
        let result = run(self);
        self.cache.enable(true);
        self.untracked.end_trial();
        self.tracked.end_trial();
        self.counters = counters;
        self.fragments = fragments;
        self.tracked_of = tracked_of;
        self.reclaimed = reclaimed;
        self.epoch = epoch;
        result
    }

    pub(crate) fn expire(&mut self, now: u64, out: &mut impl Output) {
        let mut over = Vec::new();
        let stale = |flow: &Flow| flow.is_expired(now);
        self.tracked.scan(EXPIRE_SCAN, stale, |_, at| over.push(at));
        for at in over {
            self.end_flow(at, out);
        }
        self.untracked.scan(EXPIRE_SCAN, stale, |table, at| {
            table.remove(at);
        });
        self.fragments.expire(now);
    }
}

/// Wire packets for a flow's counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credit {
    pub(crate) accepted: bool,
    pub(crate) packets: u32,
    pub(crate) bytes: u32,
    pub(crate) tcp_flags: u8,
}

/// Equality in everything that can ever be seen, so without the cache.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.limits == other.limits
            && self.epoch == other.epoch
            && self.tracked == other.tracked
            && self.untracked == other.untracked
            && self.tracked_of == other.tracked_of
            && self.fragments == other.fragments
            && self.counters == other.counters
            && self.loose_until == other.loose_until
            && self.reclaimed == other.reclaimed
    }
}
