//! What was dropped lately, kind by kind, so that whoever asks afterwards is told why.
//!
//! Two generations of a bounded number of sums: when the young one is full, or as old as anybody may
//! ask back, it becomes the old one, and what was the old one is forgotten. A dropped packet costs a
//! look in the young one's table, others nothing. It is read in portions, with packets between.

use std::hash::{BuildHasher, RandomState};

use gureum_engine::{Component, Dropped, DroppedKey, Policy};
use gureum_types::NetworkInterfaceId;
use hashbrown::HashTable;

/// Sums of a generation.
const CAPACITY: usize = 1 << 15;
/// How far back is remembered, in nanoseconds, if there is room for it.
pub const DROPS_KEPT: u64 = 30 * 60 * 1_000_000_000;
/// Sums that are looked at between two packets.
const PORTION: usize = 4096;

/// Dropped packets of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSum {
    /// What they were, and why they were dropped.
    pub key: DroppedKey,
    /// The interface that they came from.
    pub from: Option<NetworkInterfaceId>,
    /// The interface at which they were dropped.
    pub at: Option<NetworkInterfaceId>,
    /// The rule, entry or route that decided.
    pub component: Option<Component>,
    /// Packets on the wire.
    pub packets: u64,
    /// Their bytes from the IP header on.
    pub bytes: u64,
    /// When the first came, on the clock of [`super::monotonic_now`].
    pub first: u64,
    /// When the last came.
    pub last: u64,
}

impl DropSum {
    fn new(key: DroppedKey, policy: &Policy, now: u64) -> Self {
        let component = key.reason.component().and_then(|index| policy.component(index));
        Self {
            key,
            from: policy.interface_id(key.port).cloned(),
            at: policy.interface_id(key.at).cloned(),
            component: component.cloned(),
            packets: 0,
            bytes: 0,
            first: now,
            last: now,
        }
    }

    /// Whether the numbers in its key mean under a policy what they meant under its own.
    fn means_the_same(&self, policy: &Policy) -> bool {
        let component = self.key.reason.component().and_then(|index| policy.component(index));
        policy.interface_id(self.key.port) == self.from.as_ref()
            && policy.interface_id(self.key.at) == self.at.as_ref()
            && component == self.component.as_ref()
    }
}

/// How far somebody has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DropPlace {
    generation: u64,
    entry: usize,
}

/// A part of what is remembered.
#[derive(Debug)]
pub(super) struct DropPortion {
    pub(super) sums: Vec<DropSum>,
    /// Where it goes on.
    pub(super) next: Option<DropPlace>,
    /// From when on everything is remembered.
    pub(super) complete_since: u64,
}

#[derive(Debug)]
struct Entry {
    sum: DropSum,
    /// The epoch of a policy under which the key means what it says.
    epoch: u64,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    began: u64,
    entries: Vec<Entry>,
    index: HashTable<u32>,
}

impl Generation {
    fn new(number: u64, began: u64, capacity: usize) -> Self {
        // At once: a table that grows would have a packet wait for it.
        let (entries, index) = (Vec::with_capacity(capacity), HashTable::with_capacity(capacity));
        Self { number, began, entries, index }
    }
}

/// The memory.
#[derive(Debug)]
pub(super) struct Drops {
    /// Guests choose addresses and ports: they must not choose places in the table too.
    hasher: RandomState,
    capacity: usize,
    young: Generation,
    old: Generation,
}

impl Drops {
    pub(super) fn new(now: u64) -> Self {
        Self::with_capacity(CAPACITY, now)
    }

    fn with_capacity(capacity: usize, now: u64) -> Self {
        let [old, young] = [0, 1].map(|number| Generation::new(number, now, capacity));
        Self { hasher: RandomState::new(), capacity, young, old }
    }

    /// Takes note of a packet that was dropped under a policy.
    #[cold]
    pub(super) fn remember(&mut self, dropped: &Dropped, policy: &Policy, now: u64) {
        self.age(now);
        let hash = self.hasher.hash_one(dropped.key);
        let epoch = policy.epoch();
        let entries = &self.young.entries;
        let known = self.young.index.find(hash, |at| {
            let Entry { sum, epoch: known } = &entries[*at as usize];
            sum.key == dropped.key && (*known == epoch || sum.means_the_same(policy))
        });
        let at = match known {
            Some(at) => *at as usize,
            None => {
                if self.young.entries.len() >= self.capacity {
                    self.turn(now);
                }
                let Generation { entries, index, .. } = &mut self.young;
                let at = entries.len();
                entries.push(Entry { sum: DropSum::new(dropped.key, policy, now), epoch });
                let hash_of = |at: &u32| self.hasher.hash_one(entries[*at as usize].sum.key);
                index.insert_unique(hash, at as u32, hash_of);
                at
            }
        };
        let Entry { sum, epoch: known } = &mut self.young.entries[at];
        *known = epoch;
        sum.packets += u64::from(dropped.packets);
        sum.bytes += u64::from(dropped.bytes);
        sum.last = sum.last.max(now);
    }

    /// Forgets what nobody may ask for any more.
    pub(super) fn age(&mut self, now: u64) {
        if now.saturating_sub(self.young.began) >= DROPS_KEPT {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: u64) {
        std::mem::swap(&mut self.young, &mut self.old);
        let number = self.old.number + 1;
        let Generation { entries, index, .. } = &mut self.young;
        entries.clear();
        index.clear();
        (self.young.number, self.young.began) = (number, now);
    }

    /// The next part, of what came at `since` or later.
    pub(super) fn read(&self, from: DropPlace, since: u64) -> DropPortion {
        // What is read of may be forgotten meanwhile; then it goes on with what is there.
        let generations = [&self.old, &self.young].map(|generation| {
            let read = if generation.number == from.generation { from.entry } else { 0 };
            let read = if generation.number < from.generation { usize::MAX } else { read };
            (generation, read)
        });
        let unread = |(generation, read): &(&Generation, usize)| *read < generation.entries.len();
        let mut portion =
            DropPortion { sums: Vec::new(), next: None, complete_since: self.old.began };
        let mut parts = generations.into_iter().filter(unread);
        if let Some((generation, read)) = parts.next() {
            let entries = generation.entries.iter().skip(read).take(PORTION);
            let wanted = entries.map(|entry| &entry.sum).filter(|sum| sum.last >= since);
            portion.sums.extend(wanted.cloned());
            let entry = read + PORTION;
            let place = DropPlace { generation: generation.number, entry };
            let is_more = entry < generation.entries.len() || parts.next().is_some();
            portion.next = is_more.then_some(place);
        }
        portion
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gureum_engine::{
        Component, Limits,
        testing::{
            Lab,
            lab::{PRIVATE_01, PUBLIC_01, lab_network},
            packets::flags::SYN,
        },
    };
    use gureum_types::record::{Network, NetworkAclEntry, Traffic};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// What the engine tells of a connection to PRIVATE-01 that nothing admits.
    fn refused(lab: &mut Lab, source_port: u16) -> Dropped {
        let private = lab.address(PRIVATE_01);
        let sent = lab.tcp(PUBLIC_01, private, (source_port, 80), SYN);
        *sent.told.first().expect("it is dropped")
    }

    fn all(drops: &Drops, since: u64) -> Vec<DropSum> {
        let (mut sums, mut next) = (Vec::new(), Some(DropPlace::default()));
        while let Some(from) = next {
            let portion = drops.read(from, since);
            sums.extend(portion.sums);
            next = portion.next;
        }
        sums
    }

    #[test]
    fn what_is_alike_is_summed_up_and_found_by_its_time() {
        let (mut lab, mut drops) = (Lab::new(), Drops::new(SECOND));
        assert_eq!(all(&drops, 0), []);
        let (once, often) = (refused(&mut lab, 40_000), refused(&mut lab, 40_001));
        drops.remember(&once, &lab.policy, 2 * SECOND);
        for second in 3..=5 {
            drops.remember(&often, &lab.policy, second * SECOND);
        }
        let first = DropSum {
            key: once.key,
            from: Some(lab.interface(PUBLIC_01).id.clone()),
            at: Some(lab.interface(PRIVATE_01).id.clone()),
            component: None,
            packets: 1,
            bytes: 40,
            first: 2 * SECOND,
            last: 2 * SECOND,
        };
        let (packets, bytes, last) = (3, 120, 5 * SECOND);
        let second =
            DropSum { key: often.key, packets, bytes, first: 3 * SECOND, last, ..first.clone() };
        assert_eq!(all(&drops, 0), [first, second.clone()]);
        assert_eq!(all(&drops, 5 * SECOND), [second]);
        assert_eq!(all(&drops, 5 * SECOND + 1), []);
    }

    #[test]
    fn a_flood_costs_bounded_memory_and_leaves_what_is_new() {
        let (mut lab, mut drops) = (Lab::new(), Drops::with_capacity(4, 0));
        let dropped = refused(&mut lab, 0);
        for source_port in 1..=11 {
            let key = DroppedKey { source_port, ..dropped.key };
            drops.remember(&Dropped { key, ..dropped }, &lab.policy, source_port.into());
        }
        let ports: Vec<_> = all(&drops, 0).iter().map(|sum| sum.key.source_port).collect();
        assert_eq!(ports, [5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(drops.read(DropPlace::default(), 0).complete_since, 5);
    }

    #[test]
    fn everything_is_remembered_for_half_an_hour() {
        let (mut lab, mut drops) = (Lab::new(), Drops::new(0));
        let dropped = refused(&mut lab, 40_000);
        drops.remember(&dropped, &lab.policy, DROPS_KEPT - 1);
        drops.age(2 * DROPS_KEPT - 1);
        let sums = all(&drops, 0);
        assert_eq!(sums.len(), 1, "{sums:?}");
        assert!(drops.read(DropPlace::default(), 0).complete_since < DROPS_KEPT);
        // The same again is another sum, of another time.
        drops.remember(&dropped, &lab.policy, 2 * DROPS_KEPT);
        assert_eq!(all(&drops, 0).len(), 2);
        drops.age(3 * DROPS_KEPT);
        assert_eq!(
            all(&drops, 0).iter().map(|sum| sum.first).collect::<Vec<_>>(),
            [2 * DROPS_KEPT]
        );
    }

    /// The lab with an entry that denies whatever comes into its subnets.
    fn denied_by(number: u16) -> Network {
        let mut network = lab_network();
        for acl in &mut network.network_acls {
            Arc::make_mut(acl).entries.push(NetworkAclEntry {
                rule_number: number,
                egress: false,
                allow: false,
                traffic: Traffic::All,
                cidr: "0.0.0.0/0".parse().expect("a block"),
            });
        }
        network
    }

    #[test]
    fn numbers_that_mean_something_else_by_now_are_told_apart() {
        let mut drops = Drops::new(0);
        let mut first = Lab::with(denied_by(1), Limits::default());
        let dropped = refused(&mut first, 40_000);
        drops.remember(&dropped, &first.policy, 1);
        first.change(|_| ());
        drops.remember(&dropped, &first.policy, 2);
        // Compiled from the beginning, which gives the same numbers to others.
        let mut second = Lab::with(denied_by(2), Limits::default());
        second.change(|_| ());
        second.change(|_| ());
        assert_eq!(refused(&mut second, 40_000).key, dropped.key);
        drops.remember(&dropped, &second.policy, 3);
        let numbers = |sum: &DropSum| match &sum.component {
            Some(Component::NetworkAclEntry { number, .. }) => (*number, sum.packets),
            other => panic!("{other:?}"),
        };
        assert_eq!(all(&drops, 0).iter().map(numbers).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
        // A port is given to another interface.
        second.change(|network| {
            let interface = network.interfaces.iter_mut().find(|it| it.port == PUBLIC_01);
            let interface = interface.expect("PUBLIC-01");
            Arc::make_mut(interface).id = NetworkInterfaceId::new(4242);
        });
        drops.remember(&dropped, &second.policy, 4);
        let sums = all(&drops, 0);
        assert_eq!(sums.len(), 3);
        assert_eq!(sums[2].from, Some(NetworkInterfaceId::new(4242)));
    }

    #[test]
    fn portions_show_everything_once_though_generations_turn() {
        let (mut lab, mut drops) = (Lab::new(), Drops::new(0));
        let dropped = refused(&mut lab, 0);
        let flood = |drops: &mut Drops, ports: std::ops::Range<u16>| {
            for source_port in ports {
                let key = DroppedKey { source_port, ..dropped.key };
                drops.remember(&Dropped { key, ..dropped }, &lab.policy, 1);
            }
        };
        flood(&mut drops, 0..10_000);
        drops.turn(2);
        flood(&mut drops, 10_000..11_000);
        let ports =
            |sums: &[DropSum]| sums.iter().map(|sum| sum.key.source_port).collect::<Vec<_>>();
        assert_eq!(ports(&all(&drops, 0)), (0..11_000).collect::<Vec<_>>());
        let portion = drops.read(DropPlace::default(), 0);
        assert_eq!(portion.sums.len(), PORTION);
        // What is forgotten meanwhile is not shown, and nothing else is missed.
        drops.turn(3);
        flood(&mut drops, 11_000..11_001);
        let (mut rest, mut next) = (Vec::new(), portion.next);
        while let Some(from) = next {
            let portion = drops.read(from, 0);
            rest.extend(ports(&portion.sums));
            next = portion.next;
        }
        assert_eq!(rest, (10_000..11_001).collect::<Vec<_>>());
    }
}
