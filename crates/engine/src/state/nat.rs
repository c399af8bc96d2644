//! What NAT gateways translate: each flow in two tables, as its user sees it and as everybody else
//! does, tied to each other (NAT-9, NAT-11).

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{
    RECLAIM_INTERVAL, State,
    flow::{Flow, FlowKey, FlowRef, Phase, Timeouts},
};
use crate::{Direction, address::Address};

/// The first port that a NAT gateway gives out; the last is 65535 (NAT-9).
pub(crate) const FIRST_PORT: u16 = 1024;
/// How many flows one address of a NAT gateway may have to one destination (NAT-9).
pub(crate) const FLOWS_PER_DESTINATION: u32 = 55_000;
/// How many ports there are to give out.
const PORTS: u16 = u16::MAX - FIRST_PORT + 1;

/// How many flows each address of a gateway has to each destination: by the key of such a flow
/// without its port.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Loads(HashMap<FlowKey, u32, FixedState>);

impl Loads {
    fn of(&self, outside: &FlowKey) -> u32 {
        self.0.get(&destination_of(outside)).copied().unwrap_or(0)
    }

    pub(super) fn change(&mut self, outside: &FlowKey, change: i32) {
        let destination = destination_of(outside);
        let load = self.0.entry(destination).or_insert(0);
        *load = load.saturating_add_signed(change);
        if *load == 0 {
            self.0.remove(&destination);
        }
    }
}

fn destination_of(outside: &FlowKey) -> FlowKey {
    FlowKey { local_port: 0, ..*outside }
}

/// A flow of a NAT gateway on both of its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) inside: FlowRef,
    pub(crate) outside: FlowRef,
}

impl State {
    /// The translation of a flow that its user sees like this. One that has timed out is ended
    /// first.
    pub(crate) fn bound_inside(&mut self, key: &FlowKey, now: u64) -> Option<Binding> {
        let inside = self.nat_inside.find(key)?;
        self.alive(inside, now)
    }

    /// The translation of a flow that everybody but its user sees like this.
    pub(crate) fn bound_outside(&mut self, key: &FlowKey, now: u64) -> Option<Binding> {
        let inside = self.nat_outside.get(self.nat_outside.find(key)?)?.twin()?;
        self.alive(inside, now)
    }

    fn alive(&mut self, inside: FlowRef, now: u64) -> Option<Binding> {
        let flow = self.nat_inside.get(inside)?;
        if flow.is_expired(now) {
            self.unbind(inside);
            return None;
        }
        Some(Binding { inside, outside: flow.twin()? })
    }

    /// The user's end of a translated flow.
    pub(crate) fn inside_end(&self, binding: Binding) -> Option<(Address, u16)> {
        let key = &self.nat_inside.get(binding.inside)?.key;
        Some((key.local, key.local_port))
    }

    /// The gateway's end of a translated flow.
    pub(crate) fn outside_end(&self, binding: Binding) -> Option<(Address, u16)> {
        let key = &self.nat_outside.get(binding.outside)?.key;
        Some((key.local, key.local_port))
    }

    /// Begins to translate a flow, behind one of the gateway's addresses; `None` where no port is
    /// left, or no room. `outside` is its key there but for the local end.
    pub(crate) fn bind(
        &mut self,
        inside: FlowKey,
        outside: FlowKey,
        addresses: impl Iterator<Item = Address> + Clone,
        phase: Phase,
        now: u64,
    ) -> Option<Binding> {
        if let Some(binding) = self.bind_once(inside, outside, addresses.clone(), phase, now) {
            return Some(binding);
        }
        if self.reclaimed.is_some_and(|at| now.saturating_sub(at) < RECLAIM_INTERVAL) {
            return None;
        }
        self.reclaimed = Some(now);
        for at in self.nat_inside.select(|flow| flow.is_expired(now)) {
            self.unbind(at);
        }
        self.bind_once(inside, outside, addresses, phase, now)
    }

    fn bind_once(
        &mut self,
        inside: FlowKey,
        outside: FlowKey,
        addresses: impl Iterator<Item = Address> + Clone,
        phase: Phase,
        now: u64,
    ) -> Option<Binding> {
        if self.nat_inside.is_full() || self.nat_outside.is_full() {
            return None;
        }
        let hash = FixedState::with_seed(self.limits.hash_seed).hash_one(inside);
        let count = addresses.clone().count().max(1);
        // Users are spread over the addresses; whose is full at a destination gets another.
        let first = usize::try_from(hash >> 32).unwrap_or(0) % count;
        let turn = addresses.clone().skip(first).chain(addresses.take(first));
        let start = u16::try_from(hash % u64::from(PORTS)).unwrap_or(0);
        let outside = turn
            .map(|local| FlowKey { local, ..outside })
            .filter(|outside| self.nat_loads.of(outside) < FLOWS_PER_DESTINATION)
            .find_map(|outside| self.free_port(outside, start))?;
        let timeouts = Timeouts::NAT_GATEWAY;
        let flow = |key| Flow::new(key, phase, Direction::Egress, &timeouts, now);
        let inside_at = self.nat_inside.insert(flow(inside))?;
        let outside_at = self.nat_outside.insert(flow(outside))?;
        if let Some(flow) = self.nat_inside.change(inside_at) {
            flow.set_twin(outside_at);
        }
        if let Some(flow) = self.nat_outside.change(outside_at) {
            flow.set_twin(inside_at);
        }
        self.nat_loads.change(&outside, 1);
        self.count_gateway_flow(inside.port(), 1);
        Some(Binding { inside: inside_at, outside: outside_at })
    }

    /// A port that no flow of the same address to the same destination has.
    fn free_port(&self, outside: FlowKey, start: u16) -> Option<FlowKey> {
        (0..PORTS)
            .map(|step| {
                FIRST_PORT
                    + u16::try_from((u32::from(start) + u32::from(step)) % u32::from(PORTS))
                        .unwrap_or(0)
            })
            .map(|local_port| FlowKey { local_port, ..outside })
            .find(|key| self.nat_outside.find(key).is_none())
    }

    /// The identification of the next packet that had none as one of IPv6 (RFC 7915, 5.1).
    pub(crate) fn next_identification(&mut self) -> u16 {
        self.identification = self.identification.wrapping_add(1);
        self.identification
    }

    /// Ends the translation of a flow.
    pub(crate) fn unbind(&mut self, inside: FlowRef) {
        let Some(flow) = self.nat_inside.remove(inside) else { return };
        self.count_gateway_flow(flow.key.port(), -1);
        if let Some(outside) = flow.twin().and_then(|twin| self.nat_outside.remove(twin)) {
            self.nat_loads.change(&outside.key, -1);
        }
    }
}
