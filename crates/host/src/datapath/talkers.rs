//! Who talks, and how much: two looks at the flows, some time apart.
//!
//! There may be millions of flows, so a look is taken in portions and packets pass between them. What
//! the first look keeps of a flow are three numbers; the second keeps those flows alone that are
//! asked for, so that nothing is sorted on the data path.

use std::collections::BTreeMap;

use gureum_engine::{FlowPlace, FlowSight, FlowView};
use gureum_types::{NetworkInterfaceId, PortIndex};

use super::{DataPath, answered, monotonic_now};
use crate::error::Result;

/// Slots of flows that are looked at between two packets.
const PORTION: u32 = 4096;

/// What a flow had carried when it was looked at, by its creation.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    created: u64,
    packets: u64,
    bytes: u64,
}

/// Flows of the slots from some place on.
#[derive(Debug)]
struct Portion {
    at: u64,
    counts: Vec<Count>,
}

/// A first look at all flows.
#[derive(Debug)]
pub struct Look {
    began: u64,
    portions: BTreeMap<FlowPlace, Portion>,
}

/// A flow and what it carried since it was looked at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talker {
    /// The flow.
    pub flow: FlowView,
    /// Its interface.
    pub interface: Option<NetworkInterfaceId>,
    /// Packets both ways since then.
    pub packets: u64,
    /// Their bytes from the IP header on.
    pub bytes: u64,
    /// How long that was, in nanoseconds.
    pub elapsed: u64,
}

/// What a second look saw.
#[derive(Clone, Debug, Default)]
pub struct Talkers {
    /// The flows that carried most bytes since the first look, those first; then those that were
    /// seen last.
    pub first: Vec<Talker>,
    /// How many flows there are.
    pub flows: u64,
}

/// What comes first, least first: the bytes, then when it was seen last. The place tells equals apart.
type Rank = (u64, u64, FlowPlace);

/// The flows that come first.
#[derive(Debug)]
struct Best {
    limit: usize,
    flows: u64,
    best: BTreeMap<Rank, Talker>,
}

impl Best {
    fn offer(&mut self, rank: Rank, talker: impl FnOnce() -> Talker) {
        self.flows += 1;
        if self.best.len() >= self.limit {
            match self.best.first_entry() {
                Some(least) if *least.key() < rank => drop(least.remove()),
                _ => return,
            }
        }
        self.best.insert(rank, talker());
    }
}

impl DataPath {
    /// Takes a first look at all flows. Waits for the data path.
    pub fn look(&self) -> Result<Look> {
        let mut look = Look { began: monotonic_now(), portions: BTreeMap::new() };
        let mut next = Some(FlowPlace::default());
        while let Some(from) = next {
            // Memory is found here, not between packets.
            let mut counts = Vec::with_capacity(PORTION as usize);
            let looked = self.run(move |_, state| {
                let next = state.look(from, PORTION, |place, flow| {
                    counts.resize((place.slot - from.slot) as usize, Count::default());
                    counts.push(Count {
                        created: flow.created(),
                        packets: flow.packets(),
                        bytes: flow.bytes(),
                    });
                });
                (next, Portion { at: monotonic_now(), counts })
            });
            let (after, portion) = answered(looked)?;
            look.portions.insert(from, portion);
            next = after;
        }
        Ok(look)
    }

    /// Takes a second look: at most so many flows, of one port or of all. Only what was accepted
    /// counts. Waits for the data path.
    pub fn talkers(
        &self,
        mut before: Look,
        port: Option<PortIndex>,
        limit: usize,
    ) -> Result<Talkers> {
        let mut best = Best { limit, flows: 0, best: BTreeMap::new() };
        let mut next = Some(FlowPlace::default());
        while let Some(from) = next {
            let portion = before.portions.remove(&from);
            // Slots that were not there yet.
            let began = portion.as_ref().map_or(before.began, |portion| portion.at);
            let looked = self.run(move |policy, state| {
                let now = monotonic_now();
                let next = state.look(from, PORTION, |place, flow| {
                    let is_meant = port.is_none_or(|port| port == flow.port());
                    if !is_meant || flow.is_over(now) || flow.packets() == 0 {
                        return;
                    }
                    let slot = (place.slot - from.slot) as usize;
                    let (packets, bytes) = carried(&flow, portion.as_ref(), slot);
                    best.offer((bytes, flow.last_seen(), place), || Talker {
                        interface: policy.interface_id(flow.port()).cloned(),
                        flow: flow.view(),
                        packets,
                        bytes,
                        elapsed: now.saturating_sub(began),
                    });
                });
                (next, best)
            });
            (next, best) = answered(looked)?;
        }
        let Best { flows, best, .. } = best;
        Ok(Talkers { first: best.into_values().rev().collect(), flows })
    }
}

/// What a flow carried since the first look; all of it if it began since.
fn carried(flow: &FlowSight<'_>, before: Option<&Portion>, slot: usize) -> (u64, u64) {
    let count = before.and_then(|before| before.counts.get(slot)).copied().unwrap_or_default();
    let count = if count.created == flow.created() { count } else { Count::default() };
    (flow.packets().saturating_sub(count.packets), flow.bytes().saturating_sub(count.bytes))
}
