//! The flow cache: what the stages decided for packets just like this one.
//!
//! Cache is not state: it may be emptied at any time with no visible effect. An entry holds only
//! for the policy's epoch it was made at, and only while the flows it names are alive.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use gureum_types::PortIndex;

use super::{Flows, flow::FlowRef};
use crate::{Direction, address::Address, wire::ip::Tuple};

/// A flow that a packet belongs to at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowUse {
    pub(crate) flow: FlowRef,
    pub(crate) of: Flows,
    pub(crate) direction: Direction,
}

/// The flows that one packet belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// The flow at the sender.
    pub(crate) sender: Option<FlowUse>,
    /// The flow at the receiver.
    pub(crate) receiver: Option<FlowUse>,
    /// The flow on the inside of a NAT gateway, or at an egress-only internet gateway.
    pub(crate) gateway: Option<FlowUse>,
    /// The flow on the outside of a NAT gateway.
    pub(crate) gateway_outside: Option<FlowUse>,
}

impl Uses {
    /// All of them.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &FlowUse> {
        let Self { sender, receiver, gateway, gateway_outside } = self;
        [sender, receiver, gateway, gateway_outside].into_iter().flatten()
    }
}

/// What packets are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    pub(crate) port: PortIndex,
    pub(crate) tuple: Tuple,
}

/// What becomes of such packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cached {
    pub(crate) epoch: u64,
    pub(crate) key: CacheKey,
    /// The MAC addresses that the frame came with: others take another way (PIPE-3).
    pub(crate) macs_before: [u8; 12],
    pub(crate) macs_after: [u8; 12],
    pub(crate) source: (Address, u16),
    pub(crate) destination: (Address, u16),
    /// Routers on the way that count (NAT-18).
    pub(crate) hops: u8,
    pub(crate) to: PortIndex,
    pub(crate) mtu: u32,
    /// The flows that it belongs to.
    pub(crate) uses: Uses,
}

/// Direct-mapped: one place a hash, so it never grows and never needs tidying.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    entries: Vec<Option<Cached>>,
    size: usize,
    hasher: FixedState,
    enabled: bool,
}

impl Cache {
    pub(crate) fn new(size: u32, seed: u64) -> Self {
        let size = usize::try_from(size.max(1)).unwrap_or(1).next_power_of_two();
        let hasher = FixedState::with_seed(seed);
        Self { entries: Vec::new(), size, hasher, enabled: true }
    }

    #[inline]
    fn place(&self, key: &CacheKey) -> usize {
        let hash = self.hasher.hash_one(key);
        usize::try_from(hash >> 20).unwrap_or_default() & (self.size - 1)
    }

    /// The entry for a packet.
    #[inline]
    pub(crate) fn find(&self, key: &CacheKey, epoch: u64) -> Option<&Cached> {
        if !self.enabled {
            return None;
        }
        let cached = self.entries.get(self.place(key))?.as_ref()?;
        (cached.epoch == epoch && cached.key == *key).then_some(cached)
    }

    /// Keeps an entry, in place of whatever was there.
    pub(crate) fn insert(&mut self, cached: Cached) {
        if !self.enabled {
            return;
        }
        if self.entries.is_empty() {
            self.entries.resize(self.size, None);
        }
        let place = self.place(&cached.key);
        if let Some(entry) = self.entries.get_mut(place) {
            *entry = Some(cached);
        }
    }

    /// Empties the cache.
    pub(crate) fn flush(&mut self) {
        self.entries.fill(None);
    }

    /// Switches the cache on or off; off, it neither answers nor learns.
    pub(crate) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> CacheKey {
        let tuple = Tuple { source: Address::v4(1), source_port: port, ..Tuple::default() };
        CacheKey { port: PortIndex(7), tuple }
    }

    fn cached(port: u16) -> Cached {
        Cached {
            epoch: 1,
            key: key(port),
            macs_before: [0; 12],
            macs_after: [0; 12],
            source: (Address::v4(1), port),
            destination: (Address::v4(2), 0),
            hops: 0,
            to: PortIndex::INTERNET,
            mtu: 1500,
            uses: Uses::default(),
        }
    }

    /// It is fast only as long as it remembers many, so flows must have different places.
    #[test]
    fn many_are_remembered_until_the_cache_is_emptied_or_off() {
        let mut cache = Cache::new(1000, 0);
        (0..100).for_each(|port| cache.insert(cached(port)));
        let found = |cache: &Cache, epoch| {
            (0..200).filter_map(|port| cache.find(&key(port), epoch)).count()
        };
        assert!((80..=100).contains(&found(&cache, 1)), "{}", found(&cache, 1));
        assert_eq!(found(&cache, 2), 0, "another epoch knows nothing of it");
        assert_eq!(cache.find(&key(99), 1), Some(&cached(99)));
        cache.enable(false);
        assert_eq!(found(&cache, 1), 0);
        cache.insert(cached(150));
        cache.enable(true);
        assert!(found(&cache, 1) >= 80 && cache.find(&key(150), 1).is_none());
        cache.flush();
        assert_eq!(found(&cache, 1), 0);
    }
}
