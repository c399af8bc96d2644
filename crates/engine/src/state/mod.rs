//! What the engine remembers: tracked flows, fragments, counters; and the flow cache beside them.

pub(crate) mod cache;
mod counters;
pub(crate) mod flow;
pub(crate) mod fragments;
pub(crate) mod nat;
pub(crate) mod record;
pub(crate) mod table;
mod view;

use std::{collections::BTreeSet, sync::Arc};

use foldhash::fast::FixedState;
use gureum_types::{PortIndex, TrafficPath, TrafficVerdict};
use hashbrown::HashMap;

pub use self::counters::{Counters, PortCounters};
pub use self::flow::{
    ICMP_TIMEOUT, NAT_GATEWAY_TIMEOUT, OTHER_TIMEOUT, TCP_ESTABLISHED_TIMEOUT, TCP_RESET_TIMEOUT,
    TCP_TRANSIENT_TIMEOUT, Traffic, UDP_SINGLE_TIMEOUT, UDP_STREAM_TIMEOUT, UNTRACKED_TIMEOUT,
};
pub use self::record::record_is_whole;
pub use self::view::{FlowPlace, FlowSight, FlowView, NatSide};
use self::{
    cache::{Cache, FlowUse},
    flow::{Flow, FlowKey, FlowRef, Phase, Timeouts},
    fragments::Fragments,
    table::FlowTable,
};
use crate::{
    Direction, Offload, Output, Policy, Record, StateChange,
    policy::{Interface, Logged, Role, VPC_MTU},
    wire::{
        ETHERNET_LEN,
        neighbor::{ALL_NODES, Ends, router_advertisement},
    },
};

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
            flows: 1 << 20,
            tracked_per_port: 1 << 16,
            fragments: 1024,
            cache: 1 << 15,
            hash_seed: 0,
        }
    }
}

/// Which flows of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flows {
    /// Those that security groups track (SGT-1).
    Tracked,
    /// Those that they don't (SGT-2): counters only.
    Untracked,
    /// Those of NAT gateways, as their users see them.
    NatInside,
    /// The same as everybody else sees them.
    NatOutside,
    /// Those of egress-only internet gateways (EIGW-1).
    EgressOnly,
}

impl Flows {
    const ALL: [Self; 5] =
        [Self::Tracked, Self::Untracked, Self::NatInside, Self::NatOutside, Self::EgressOnly];
}

/// Tracked flows, fragments under way, counters and the flow cache.
#[derive(Clone, Debug)]
pub struct State {
    limits: Limits,
    /// The epoch of the policy that was last used, with the ports that it had.
    epoch: Option<u64>,
    pub(crate) tracked: FlowTable,
    pub(crate) untracked: FlowTable,
    nat_inside: FlowTable,
    nat_outside: FlowTable,
    nat_loads: nat::Loads,
    /// The identification of the last packet that became one of IPv4.
    identification: u16,
    egress_only: FlowTable,
    /// Flows of gateways by the port that they belong to: a NAT gateway's, or that of the
    /// interface behind an egress-only internet gateway.
    gateway_flows_of: HashMap<u32, u32, FixedState>,
    /// Ports whose interfaces have IPv6: what is new among them is told of its router.
    ipv6_ports: Arc<BTreeSet<u32>>,
    /// Interfaces with a flow log, by port.
    logged: Arc<Logged>,
    /// Tracked flows by port.
    tracked_of: Vec<u32>,
    /// Timeouts of ports whose are not the default ones.
    timeouts_of: Arc<HashMap<u32, Timeouts, FixedState>>,
    pub(crate) fragments: Fragments,
    pub(crate) counters: Counters,
    pub(crate) cache: Cache,
    loose_until: u64,
    /// The time of the last packet.
    seen: u64,
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
            nat_inside: FlowTable::new(limits.flows, seed),
            nat_outside: FlowTable::new(limits.flows, seed),
            nat_loads: nat::Loads::default(),
            identification: 0,
            egress_only: FlowTable::new(limits.flows, seed),
            gateway_flows_of: HashMap::default(),
            ipv6_ports: Arc::default(),
            logged: Arc::default(),
            tracked_of: Vec::new(),
            timeouts_of: Arc::default(),
            fragments: Fragments::new(limits.fragments, seed),
            counters: Counters::default(),
            cache: Cache::new(limits.cache, seed),
            loose_until: 0,
            seen: 0,
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
            let Some(flow) = record::decode(&record, now).filter(|flow| !flow.is_expired(now))
            else {
                continue;
            };
            let port = PortIndex(flow.key.port());
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
        self.advertise_routers(policy, out);
        self.epoch = Some(policy.epoch());
        self.logged = policy.logged().clone();
        self.counters.reserve(policy.port_bound().max(2));
        self.adopt_timeouts(policy, out);
        self.adopt_gateways(policy);
        let gone = |port: u32| policy.slot(PortIndex(port)).is_unused();
        let lost = self
            .tracked_of
            .iter()
            .enumerate()
            .any(|(port, count)| *count > 0 && u32::try_from(port).is_ok_and(gone));
        if lost {
            for at in self.tracked.select(|flow| gone(flow.key.port())) {
                self.end_flow(at, out);
            }
        }
    }

    /// Whoever gets IPv6 while it runs is told of its router at once: a guest that asked in vain
    /// asks again after an hour (RFC 4861, 6.2.4). At the start nobody is: they have asked.
    fn advertise_routers(&mut self, policy: &Policy, out: &mut impl Output) {
        let ports = policy.ipv6_ports();
        if *ports == self.ipv6_ports {
            return;
        }
        if self.epoch.is_some() {
            for port in ports.difference(&self.ipv6_ports) {
                let interface = policy.interface(PortIndex(*port));
                if let Some(frame) = interface.and_then(|it| router_advertisement_for(policy, it)) {
                    let length = frame.len().saturating_sub(ETHERNET_LEN);
                    self.counters.sent(PortIndex(*port), 1, length);
                    out.emit(PortIndex(*port), &frame, Offload::NONE);
                }
            }
        }
        self.ipv6_ports = ports.clone();
    }

    /// Timeouts are a setting of interfaces (SGT-9); a change counts for flows that are under way,
    /// and brings back none that had timed out before.
    fn adopt_timeouts(&mut self, policy: &Policy, out: &mut impl Output) {
        if *policy.timeouts() == self.timeouts_of {
            return;
        }
        let before = std::mem::replace(&mut self.timeouts_of, policy.timeouts().clone());
        let of = |all: &HashMap<u32, Timeouts, FixedState>, port: u32| {
            all.get(&port).copied().unwrap_or_default()
        };
        let after = &self.timeouts_of;
        let mut over = Vec::new();
        for at in self.tracked.select(|f| of(&before, f.key.port()) != of(after, f.key.port())) {
            let Some(flow) = self.tracked.change(at) else { continue };
            if flow.is_expired(self.seen) {
                over.push(at);
            } else {
                flow.set_timeouts(&of(after, flow.key.port()));
            }
        }
        for at in over {
            self.end_flow(at, out);
        }
    }

    /// Takes note of the time of a packet.
    pub(crate) fn see(&mut self, now: u64) {
        self.seen = self.seen.max(now);
    }

    /// Flows of gateways that are gone go too.
    fn adopt_gateways(&mut self, policy: &Policy) {
        let gone = |port: u32| policy.interface(PortIndex(port)).is_none();
        // The flows of an egress-only internet gateway are not those of the VPC's next one.
        let closed = |port: u32| {
            let Some(interface) = policy.interface(PortIndex(port)) else { return true };
            let vpc = policy.subnet(interface).and_then(|subnet| policy.vpc(subnet));
            interface.role == Role::Instance && vpc.is_none_or(|vpc| !vpc.has_egress_only_gateway)
        };
        if !self.gateway_flows_of.keys().any(|port| closed(*port)) {
            return;
        }
        for at in self.nat_inside.select(|flow| gone(flow.key.port())) {
            self.unbind(at);
        }
        for at in self.egress_only.select(|flow| closed(flow.key.port())) {
            self.end_egress_only(at);
        }
    }

    pub(crate) fn table(&self, of: Flows) -> &FlowTable {
        match of {
            Flows::Tracked => &self.tracked,
            Flows::Untracked => &self.untracked,
            Flows::NatInside => &self.nat_inside,
            Flows::NatOutside => &self.nat_outside,
            Flows::EgressOnly => &self.egress_only,
        }
    }

    fn table_mut(&mut self, of: Flows) -> &mut FlowTable {
        match of {
            Flows::Tracked => &mut self.tracked,
            Flows::Untracked => &mut self.untracked,
            Flows::NatInside => &mut self.nat_inside,
            Flows::NatOutside => &mut self.nat_outside,
            Flows::EgressOnly => &mut self.egress_only,
        }
    }

    fn timeouts(&self, port: u32) -> Timeouts {
        self.timeouts_of.get(&port).copied().unwrap_or_default()
    }

    fn count_gateway_flow(&mut self, port: u32, change: i32) {
        let count = self.gateway_flows_of.entry(port).or_insert(0);
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            self.gateway_flows_of.remove(&port);
        }
    }

    /// The flow of an egress-only internet gateway with a key, of an interface behind it; one that
    /// has timed out is ended first.
    pub(crate) fn find_egress_only(&mut self, key: &FlowKey, now: u64) -> Option<FlowRef> {
        let at = self.egress_only.find(key)?;
        if self.egress_only.get(at)?.is_expired(now) {
            self.end_egress_only(at);
            return None;
        }
        Some(at)
    }

    /// Begins a flow of an egress-only internet gateway; `None` when there is no room.
    pub(crate) fn begin_egress_only(
        &mut self,
        key: FlowKey,
        phase: Phase,
        now: u64,
    ) -> Option<FlowRef> {
        let flow = Flow::new(key, phase, Direction::Egress, &Timeouts::default(), now);
        let at = self.egress_only.insert(flow)?;
        self.count_gateway_flow(key.port(), 1);
        Some(at)
    }

    pub(crate) fn end_egress_only(&mut self, at: FlowRef) {
        if let Some(flow) = self.egress_only.remove(at) {
            self.count_gateway_flow(flow.key.port(), -1);
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
        let port = PortIndex(key.port());
        let allowance = self.limits.tracked_per_port;
        if self.tracked.is_full() || self.tracked_flows_of(port) >= allowance {
            self.reclaim(now, out);
            if self.tracked_flows_of(port) >= allowance {
                return None;
            }
        }
        let flow = Flow::new(key, phase, origin, &self.timeouts(key.port()), now);
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
            self.count_tracked(PortIndex(flow.key.port()), -1);
            out.journal(StateChange::Remove { slot: at.slot });
        }
    }

    /// Takes note of a packet of a flow with a life of its own: any but an untracked one.
    #[inline]
    pub(crate) fn advance(&mut self, of: &FlowUse, tcp_flags: u8, now: u64, out: &mut impl Output) {
        let timeouts_of = &self.timeouts_of;
        let table = match of.of {
            Flows::Tracked => &mut self.tracked,
            Flows::NatInside => &mut self.nat_inside,
            Flows::NatOutside => &mut self.nat_outside,
            Flows::EgressOnly => &mut self.egress_only,
            Flows::Untracked => return,
        };
        let Some(flow) = table.change(of.flow) else { return };
        let port = flow.key.port();
        let timeouts = || match of.of {
            Flows::EgressOnly => Timeouts::default(),
            _ => timeouts_of.get(&port).copied().unwrap_or_default(),
        };
        if flow.advance(of.direction, tcp_flags, now, timeouts) && of.of == Flows::Tracked {
            flow.set_journaled();
            let record = record::encode(flow);
            out.journal(StateChange::Update { slot: of.flow.slot, record: &record });
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
        let timeouts = Timeouts::default();
        let flow = Flow::new(key, Phase::Untracked, direction, &timeouts, now);
        let at = self.untracked.insert(flow);
        if at.is_none() {
            self.counters.uncounted_flows += 1;
        }
        at
    }

    /// Adds wire packets to what a flow carried.
    #[inline]
    pub(crate) fn credit(&mut self, of: &FlowUse, credit: Credit, now: u64, out: &mut impl Output) {
        let logged = &self.logged;
        let table = match of.of {
            Flows::Tracked => &mut self.tracked,
            Flows::Untracked => &mut self.untracked,
            Flows::NatInside => &mut self.nat_inside,
            Flows::NatOutside => &mut self.nat_outside,
            Flows::EgressOnly => &mut self.egress_only,
        };
        let Some(flow) = table.change(of.flow) else { return };
        if of.of == Flows::Untracked {
            flow.last_seen = flow.last_seen.max(now);
        }
        flow.credit(of.direction, &credit);
        // The flows of an egress-only gateway are its own; those of the interface are counted apart.
        if of.of != Flows::EgressOnly
            && let Some(interface) = logged.number(flow.key.port())
        {
            flow.tally(interface, (of.of, of.direction), &credit, now, out);
        }
    }

    /// Tells of wire packets of a flow that there was no room to keep.
    #[cold]
    pub(crate) fn credit_apart(
        &self,
        key: FlowKey,
        direction: Direction,
        credit: Credit,
        now: u64,
        out: &mut impl Output,
    ) {
        if let Some(interface) = self.logged.number(key.port()) {
            let mut flow = Flow::new(key, Phase::Untracked, direction, &Timeouts::default(), now);
            flow.credit(direction, &credit);
            let (_, tally) = flow.told(interface, (Flows::Untracked, direction), &credit, now);
            out.tally_apart(&tally);
        }
    }

    /// Runs something on the present state and takes back every change that it made. The cache is
    /// neither asked nor taught meanwhile.
    pub(crate) fn trial<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let epoch = self.epoch;
        let reclaimed = self.reclaimed;
        let seen = self.seen;
        let tracked_of = self.tracked_of.clone();
        let fragments = self.fragments.clone();
        let counters = self.counters.clone();
        let nat_loads = self.nat_loads.clone();
        let identification = self.identification;
        let gateway_flows_of = self.gateway_flows_of.clone();
        let timeouts_of = self.timeouts_of.clone();
        let ipv6_ports = self.ipv6_ports.clone();
        let logged = self.logged.clone();
        for of in Flows::ALL {
            self.table_mut(of).begin_trial();
        }
        self.cache.enable(false);
        let result = run(self);
        self.cache.enable(true);
        for of in Flows::ALL {
            self.table_mut(of).end_trial();
        }
        self.logged = logged;
        self.ipv6_ports = ipv6_ports;
        self.timeouts_of = timeouts_of;
        self.gateway_flows_of = gateway_flows_of;
        self.nat_loads = nat_loads;
        self.identification = identification;
        self.counters = counters;
        self.fragments = fragments;
        self.tracked_of = tracked_of;
        self.reclaimed = reclaimed;
        self.seen = seen;
        self.epoch = epoch;
        result
    }

    /// Forgets all flows, of all kinds: nothing has happened yet.
    pub(crate) fn forget(&mut self) {
        let (limit, seed) = (self.limits.flows, self.limits.hash_seed);
        for of in Flows::ALL {
            *self.table_mut(of) = FlowTable::new(limit, seed);
        }
        self.nat_loads = nat::Loads::default();
        self.gateway_flows_of.clear();
        self.tracked_of.clear();
    }

    /// Switches the cache off for good: every packet goes through the stages.
    pub(crate) fn without_cache(mut self) -> Self {
        self.cache.enable(false);
        self
    }

    pub(crate) fn expire(&mut self, now: u64, out: &mut impl Output) {
        self.see(now);
        let mut over = Vec::new();
        let stale = |flow: &Flow| flow.is_expired(now);
        self.tracked.scan(EXPIRE_SCAN, stale, |_, at| over.push(at));
        for at in over {
            self.end_flow(at, out);
        }
        self.untracked.scan(EXPIRE_SCAN, stale, |table, at| {
            table.remove(at);
        });
        let mut over = Vec::new();
        self.nat_inside.scan(EXPIRE_SCAN, stale, |_, at| over.push(at));
        for at in over.drain(..) {
            self.unbind(at);
        }
        self.egress_only.scan(EXPIRE_SCAN, stale, |_, at| over.push(at));
        for at in over {
            self.end_egress_only(at);
        }
        self.fragments.expire(now);
    }
}

/// What the router of an interface's subnet says unasked; `None` where it has no IPv6.
fn router_advertisement_for(policy: &Policy, interface: &Interface) -> Option<Vec<u8>> {
    let subnet = policy.subnet(interface)?;
    let ends = Ends {
        source_mac: subnet.router_mac,
        destination_mac: interface.mac,
        source: subnet.router_ipv6(),
        destination: ALL_NODES,
    };
    Some(router_advertisement(ends, subnet.router_mac, subnet.ipv6_block?, VPC_MTU))
}

/// Wire packets for a flow's counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credit {
    pub(crate) verdict: TrafficVerdict,
    /// By which way they left, where that was looked up.
    pub(crate) path: Option<TrafficPath>,
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
            && self.nat_inside == other.nat_inside
            && self.nat_outside == other.nat_outside
            && self.nat_loads == other.nat_loads
            && self.identification == other.identification
            && self.egress_only == other.egress_only
            && self.gateway_flows_of == other.gateway_flows_of
            && self.timeouts_of == other.timeouts_of
            && self.ipv6_ports == other.ipv6_ports
            && self.logged == other.logged
            && self.tracked_of == other.tracked_of
            && self.fragments == other.fragments
            && self.counters == other.counters
            && self.loose_until == other.loose_until
            && self.seen == other.seen
            && self.reclaimed == other.reclaimed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    /// Tests compare states: one that differs in anything at all must not be taken for the same.
    #[test]
    fn equality_sees_everything_but_the_cache() {
        let state = State::new(Limits::default());
        let flow = || {
            let ends = ((Address::v4(1), 1), (Address::v4(2), 2));
            let key = FlowKey::of(PortIndex(7), 17, ends);
            Flow::new(key, Phase::UdpRequest, Direction::Egress, &Timeouts::default(), 0)
        };
        let changes: [&dyn Fn(&mut State); 18] = [
            &|state| state.limits.fragments += 1,
            &|state| state.epoch = Some(1),
            &|state| assert!(state.tracked.insert(flow()).is_some()),
            &|state| assert!(state.untracked.insert(flow()).is_some()),
            &|state| assert!(state.nat_inside.insert(flow()).is_some()),
            &|state| assert!(state.nat_outside.insert(flow()).is_some()),
            &|state| state.nat_loads.change(&flow().key, 1),
            &|state| state.identification = 1,
            &|state| assert!(state.egress_only.insert(flow()).is_some()),
            &|state| state.count_gateway_flow(7, 1),
            &|state| {
                Arc::make_mut(&mut state.timeouts_of).insert(7, Timeouts::NAT_GATEWAY);
            },
            &|state| state.ipv6_ports = Arc::new(BTreeSet::from([7])),
            &|state| state.count_tracked(PortIndex(7), 1),
            &|state| state.fragments = Fragments::new(7, 0),
            &|state| state.counters.uncounted_flows += 1,
            &|state| state.loose_until = 1,
            &|state| state.seen = 1,
            &|state| state.reclaimed = Some(1),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = state.clone();
            change(&mut other);
            assert!(other != state, "change {number}");
        }
        let mut cached = state.clone();
        cached.cache.enable(false);
        assert!(cached == state, "the cache cannot be seen");
    }

    #[test]
    fn what_ended_is_counted_no_longer() {
        let mut state = State::new(Limits::default());
        let ends = ((Address::v4(1), 1), (Address::v4(2), 2));
        let key = FlowKey::of(PortIndex(7), 17, ends);
        let at = state.begin_egress_only(key, Phase::UdpRequest, 0).unwrap();
        let addresses = [Address::v4(3)].into_iter();
        let binding = state.bind(key, key, addresses, Phase::UdpRequest, 0).unwrap();
        assert_eq!(state.gateway_flows_of.get(&7), Some(&2));
        assert!(state.nat_loads != nat::Loads::default());
        state.end_egress_only(at);
        state.unbind(binding.inside);
        assert!(state.gateway_flows_of.is_empty() && state.nat_loads == nat::Loads::default());
    }
}
