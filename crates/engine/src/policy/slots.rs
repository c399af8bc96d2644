//! What is behind each port, in pages that policies share.

use std::sync::Arc;

use gureum_types::{PortIndex, record};

use super::{Interface, PortInfo};

/// What a port index stands for.
#[derive(Clone, Debug, Default)]
pub(crate) enum Slot {
    /// Nothing.
    #[default]
    Unused,
    /// An interface.
    Interface(Arc<Interface>),
    /// An interface whose records contradict each other.
    Broken(Arc<Broken>),
}

/// An interface whose records contradict each other.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) record: Arc<record::NetworkInterface>,
    pub(crate) info: PortInfo,
}

impl Slot {
    /// What others may know of the port.
    pub(crate) fn info(&self) -> Option<&PortInfo> {
        match self {
            Self::Unused => None,
            Self::Interface(interface) => Some(&interface.info),
            Self::Broken(broken) => Some(&broken.info),
        }
    }

    /// The record of the interface.
    pub(crate) fn record(&self) -> Option<&Arc<record::NetworkInterface>> {
        match self {
            Self::Unused => None,
            Self::Interface(interface) => Some(&interface.record),
            Self::Broken(broken) => Some(&broken.record),
        }
    }

    pub(crate) fn is_unused(&self) -> bool {
        matches!(self, Self::Unused)
    }
}

/// How many bits of an index tell the place in a page.
const PAGE_BITS: u32 = 8;
const PAGE: usize = 1 << PAGE_BITS;

/// Slots by port index. A clone shares its pages; a change copies one page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    pages: Vec<Arc<[Slot; PAGE]>>,
    bound: usize,
}

/// The page of a port, and the place in it.
fn place(port: PortIndex) -> (usize, usize) {
    let index = usize::try_from(port.0).unwrap_or(usize::MAX);
    (index >> PAGE_BITS, index & (PAGE - 1))
}

impl Slots {
    /// What a port stands for.
    #[inline]
    pub(crate) fn get(&self, port: PortIndex) -> &Slot {
        let (page, place) = place(port);
        self.pages.get(page).and_then(|page| page.get(place)).unwrap_or(&Slot::Unused)
    }

    /// One more than the highest port index in use.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// All that are in use, by port.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.pages.iter().flat_map(|page| page.iter()).filter(|slot| !slot.is_unused())
    }

    /// Changes what a port stands for; what it was before.
    pub(crate) fn replace(&mut self, port: PortIndex, slot: Slot) -> Slot {
        let (page, place) = place(port);
        let used = !slot.is_unused();
        if used && page >= self.pages.len() {
            let empty = Arc::new(std::array::from_fn(|_| Slot::Unused));
            self.pages.resize(page + 1, empty);
        }
        let Some(at) = self.pages.get_mut(page).and_then(|page| Arc::make_mut(page).get_mut(place))
        else {
            return Slot::Unused;
        };
        let before = std::mem::replace(at, slot);
        let end = page * PAGE + place + 1;
        if used {
            self.bound = self.bound.max(end);
        } else if end == self.bound {
            self.shrink();
        }
        before
    }

    /// Forgets what is unused at the end.
    fn shrink(&mut self) {
        while let Some(page) = self.pages.last() {
            if let Some(last) = page.iter().rposition(|slot| !slot.is_unused()) {
                self.bound = (self.pages.len() - 1) * PAGE + last + 1;
                return;
            }
            self.pages.pop();
        }
        self.bound = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::records;

    #[test]
    fn the_bound_follows_the_highest_port_and_a_clone_stays_as_it_was() {
        let vpc = records::vpc(1, records::block("10.0.0.0/16"));
        let subnet = records::subnet(1, &vpc.id, records::block("10.0.0.0/24"));
        let slot = |port| {
            let record = Arc::new(records::interface(port, &subnet, &[], &[], None));
            let info = super::super::compile::port_info(&record);
            Slot::Broken(Arc::new(Broken { record, info }))
        };
        let mut slots = Slots::default();
        for port in [3, 700, 255, 256] {
            assert!(slots.replace(PortIndex(port), slot(PortIndex(port))).is_unused());
        }
        assert_eq!((slots.bound(), slots.iter().count()), (701, 4));
        let before = slots.clone();
        assert!(!slots.replace(PortIndex(700), Slot::Unused).is_unused());
        assert_eq!(slots.bound(), 257);
        for port in [256, 3, 255] {
            slots.replace(PortIndex(port), Slot::Unused);
        }
        assert_eq!((slots.bound(), slots.iter().count()), (0, 0));
        assert!(slots.get(PortIndex(256)).is_unused() && slots.get(PortIndex(1 << 30)).is_unused());
        assert_eq!((before.bound(), before.iter().count()), (701, 4));
    }
}
