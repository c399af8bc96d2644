//! Flows in numbered slots, found by key. Bounded; every change can be undone for `why`.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::flow::{Flow, FlowKey, FlowRef};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
}

/// How to take back a change.
#[derive(Clone, Debug)]
enum Undo {
    /// The flow was put into a new slot at the end.
    Appended,
    /// The flow was put into a free slot.
    Filled(u32),
    /// The flow was removed.
    Removed(u32, Flow),
    /// The flow was changed.
    Changed(u32, Flow),
    /// References to the flow were made invalid.
    Renewed(u32),
    /// The search for what has timed out went on from here.
    Scanned(u32),
}

/// Flows in slots.
#[derive(Clone, Debug)]
pub(crate) struct FlowTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
    limit: u32,
    /// Where the search for what has timed out goes on.
    cursor: u32,
    undo: Option<Vec<Undo>>,
}

impl FlowTable {
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            limit,
            cursor: 0,
            undo: None,
        }
    }

    fn hash(&self, key: &FlowKey) -> u64 {
        self.hasher.hash_one(key)
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(slot).ok()?)
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.index.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is no room for another one.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// The flow with a key.
    pub(crate) fn find(&self, key: &FlowKey) -> Option<FlowRef> {
        let has_key = |slot: &u32| {
            self.slot(*slot).and_then(|s| s.flow.as_ref()).is_some_and(|flow| flow.key == *key)
        };
        let slot = *self.index.find(self.hash(key), has_key)?;
        Some(FlowRef { slot, generation: self.slot(slot)?.generation })
    }

    /// The flow of a reference, unless it was removed.
    #[inline]
    pub(crate) fn get(&self, at: FlowRef) -> Option<&Flow> {
        let slot = self.slot(at.slot)?;
        if slot.generation == at.generation { slot.flow.as_ref() } else { None }
    }

    /// The same, to change it (but not its key).
    #[inline]
    pub(crate) fn change(&mut self, at: FlowRef) -> Option<&mut Flow> {
        let undo = &mut self.undo;
        let slot = self.slots.get_mut(usize::try_from(at.slot).ok()?)?;
        if slot.generation != at.generation {
            return None;
        }
        let flow = slot.flow.as_mut()?;
        if let Some(undo) = undo {
            undo.push(Undo::Changed(at.slot, flow.clone()));
        }
        Some(flow)
    }

    /// Puts in a flow whose key is not there yet; `None` when the table is full.
    pub(crate) fn insert(&mut self, flow: Flow) -> Option<FlowRef> {
        if self.is_full() {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.note(|| Undo::Filled(slot));
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                if self.slots.len() == self.slots.capacity() {
                    // Not twice as many: nearly half of the memory would hold nothing.
                    self.slots.reserve_exact(self.slots.len() / 16 + 64);
                }
                self.slots.push(Slot { generation: 0, flow: None });
                self.note(|| Undo::Appended);
                slot
            }
        };
        self.fill(slot, flow)
    }

    /// Puts a flow into a slot of its own choice: for restoring.
    pub(crate) fn insert_at(&mut self, slot: u32, flow: Flow) -> Option<FlowRef> {
        if slot >= self.limit || self.find(&flow.key).is_some() {
            return None;
        }
        while self.slots.len() <= usize::try_from(slot).ok()? {
            self.slots.push(Slot { generation: 0, flow: None });
        }
        if self.slot(slot)?.flow.is_some() {
            return None;
        }
        self.fill(slot, flow)
    }

    /// Notes the slots that are free, once all flows were restored.
    pub(crate) fn collect_free(&mut self) {
        let free = self.slots.iter().enumerate().rev().filter(|(_, slot)| slot.flow.is_none());
        self.free = free.filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
    }

    fn fill(&mut self, at: u32, flow: Flow) -> Option<FlowRef> {
        let hash = self.hash(&flow.key);
        let slot = self.slot_mut(at)?;
        slot.flow = Some(flow);
        let generation = slot.generation;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, at, |slot| rehash(slots, hasher, *slot));
        Some(FlowRef { slot: at, generation })
    }

    /// Makes all references to a flow invalid, the cache's above all.
    pub(crate) fn renew(&mut self, key: &FlowKey) {
        if let Some(at) = self.find(key)
            && let Some(slot) = self.slot_mut(at.slot)
        {
            slot.generation = slot.generation.wrapping_add(1);
            self.note(|| Undo::Renewed(at.slot));
        }
    }

    /// Takes out a flow.
    pub(crate) fn remove(&mut self, at: FlowRef) -> Option<Flow> {
        let slot = self.slot_mut(at.slot)?;
        if slot.generation != at.generation {
            return None;
        }
        let flow = slot.flow.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.unlink(at.slot, &flow.key);
        self.free.push(at.slot);
        self.note(|| Undo::Removed(at.slot, flow.clone()));
        Some(flow)
    }

    fn unlink(&mut self, slot: u32, key: &FlowKey) {
        let hash = self.hash(key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }

    fn note(&mut self, undo: impl FnOnce() -> Undo) {
        if let Some(log) = &mut self.undo {
            log.push(undo());
        }
    }

    /// From here on, changes can be taken back.
    pub(crate) fn begin_trial(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Takes back all changes since [`FlowTable::begin_trial`].
    pub(crate) fn end_trial(&mut self) {
        for change in self.undo.take().unwrap_or_default().into_iter().rev() {
            match change {
                Undo::Appended => {
                    if let Some(Slot { flow: Some(flow), .. }) = self.slots.pop() {
                        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                        self.unlink(slot, &flow.key);
                    }
                }
                Undo::Filled(slot) => {
                    if let Some(flow) = self.slot_mut(slot).and_then(|slot| slot.flow.take()) {
                        self.unlink(slot, &flow.key);
                    }
                    self.free.push(slot);
                }
                Undo::Removed(slot, flow) => {
                    self.free.pop();
                    if let Some(slot) = self.slot_mut(slot) {
                        slot.generation = slot.generation.wrapping_sub(1);
                    }
                    self.fill(slot, flow);
                }
                Undo::Renewed(slot) => {
                    if let Some(slot) = self.slot_mut(slot) {
                        slot.generation = slot.generation.wrapping_sub(1);
                    }
                }
                Undo::Scanned(cursor) => self.cursor = cursor,
                Undo::Changed(slot, flow) => {
                    if let Some(slot) = self.slot_mut(slot) {
                        slot.flow = Some(flow);
                    }
                }
            }
        }
    }

    /// All flows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.slots.iter().filter_map(|slot| slot.flow.as_ref())
    }

    /// How many slots there are, with a flow or without.
    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// The flows in `count` slots from `first` on, each with its slot.
    pub(crate) fn portion(&self, first: u32, count: u32) -> impl Iterator<Item = (u32, &Flow)> {
        let range = first..first.saturating_add(count).min(self.places());
        range.filter_map(|slot| Some((slot, self.slot(slot)?.flow.as_ref()?)))
    }

    /// All flows that answer to a condition.
    pub(crate) fn select(&self, mut condition: impl FnMut(&Flow) -> bool) -> Vec<FlowRef> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.flow.as_ref().is_some_and(&mut condition))
            .filter_map(|(at, slot)| {
                Some(FlowRef { slot: u32::try_from(at).ok()?, generation: slot.generation })
            })
            .collect()
    }

    /// Looks at the next `count` slots in turn for a flow that answers to a condition.
    pub(crate) fn scan(
        &mut self,
        count: u32,
        mut found: impl FnMut(&Flow) -> bool,
        mut take: impl FnMut(&mut Self, FlowRef),
    ) {
        let len = self.places();
        let cursor = self.cursor;
        self.note(|| Undo::Scanned(cursor));
        for _ in 0..count.min(len) {
            let at = if self.cursor < len { self.cursor } else { 0 };
            self.cursor = at + 1;
            let Some(slot) = self.slot(at) else { return };
            let reference = FlowRef { slot: at, generation: slot.generation };
            if slot.flow.as_ref().is_some_and(&mut found) {
                take(self, reference);
            }
        }
    }
}

fn rehash(slots: &[Slot], hasher: &FixedState, slot: u32) -> u64 {
    let slot = usize::try_from(slot).ok().and_then(|slot| slots.get(slot));
    slot.and_then(|slot| slot.flow.as_ref()).map_or(0, |flow| hasher.hash_one(flow.key))
}

/// Equality in everything that can ever be seen; the layout of the index is not.
impl PartialEq for FlowTable {
    fn eq(&self, other: &Self) -> bool {
        self.slots == other.slots
            && self.free == other.free
            && self.cursor == other.cursor
            && self.limit == other.limit
            && self.index.len() == other.index.len()
    }
}

#[cfg(test)]
mod tests {
    use gureum_types::PortIndex;

    use super::*;
    use crate::{
        Direction,
        address::Address,
        state::flow::{Phase, Timeouts},
    };

    fn flow(port: u16) -> Flow {
        let ends = ((Address::v4(1), port), (Address::v4(2), 53));
        let key = FlowKey::of(PortIndex(7), 17, ends);
        Flow::new(key, Phase::UdpRequest, Direction::Egress, &Timeouts::default(), 0)
    }

    /// Tests compare tables: one that would act otherwise must not be taken for the same.
    #[test]
    fn equality_sees_what_the_table_will_do() {
        let mut table = FlowTable::new(8, 0);
        let kept = table.insert(flow(1)).unwrap();
        table.insert(flow(2)).unwrap();
        table.remove(kept).unwrap();
        let changes: [&dyn Fn(&mut FlowTable); 5] = [
            &|table| table.slots[1].generation += 1,
            &|table| table.free.clear(),
            &|table| table.cursor += 1,
            &|table| table.limit += 1,
            &|table| table.index.clear(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = table.clone();
            assert!(other == table);
            change(&mut other);
            assert!(other != table, "change {number}");
        }
    }

    /// Everything that happens in a trial is taken back.
    #[test]
    fn a_trial_leaves_no_trace() {
        let mut table = FlowTable::new(4, 0);
        let [first, second, third] = [1, 2, 3].map(|port| table.insert(flow(port)).unwrap());
        table.remove(second).unwrap();
        table.scan(2, |_| false, |_, _| ());
        let before = table.clone();
        table.begin_trial();
        table.change(first).unwrap().last_seen = 9;
        table.renew(&flow(1).key);
        assert!(table.get(first).is_none());
        table.remove(third).unwrap();
        for port in 4..7 {
            table.insert(flow(port)).unwrap();
        }
        assert!(table.insert(flow(8)).is_none(), "it is full");
        table.scan(1, |_| true, |table, at| assert!(table.remove(at).is_some()));
        table.end_trial();
        assert!(table == before);
        for (port, at) in [(1, Some(first)), (2, None), (3, Some(third)), (4, None)] {
            assert_eq!(table.find(&flow(port).key), at, "{port}");
        }
    }
}
