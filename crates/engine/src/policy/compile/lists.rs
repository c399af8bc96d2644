//! What differs between two lists of records, and places that outlive changes of them.

use std::{hash::Hash, sync::Arc};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

pub(super) type Map<K, V> = HashMap<K, V, FixedState>;
pub(super) type Set<K> = HashSet<K, FixedState>;

/// Whether two lists hold the very same records.
pub(super) fn same<T>(before: &[Arc<T>], after: &[Arc<T>]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// What is left of both lists without what they begin and end with in common.
pub(super) fn difference<'a, T>(
    before: &'a [Arc<T>],
    after: &'a [Arc<T>],
) -> (&'a [Arc<T>], &'a [Arc<T>]) {
    let equal = |(a, b): &(&Arc<T>, &Arc<T>)| Arc::ptr_eq(a, b);
    let head = before.iter().zip(after).take_while(equal).count();
    let (before, after) =
        (before.get(head..).unwrap_or_default(), after.get(head..).unwrap_or_default());
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(equal).count();
    (
        before.get(..before.len() - tail).unwrap_or_default(),
        after.get(..after.len() - tail).unwrap_or_default(),
    )
}

/// Places in a list by key. A key keeps its place as long as it is known.
#[derive(Clone, Debug)]
pub(super) struct Places<K> {
    places: Map<K, usize>,
    free: Vec<usize>,
    bound: usize,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self { places: Map::default(), free: Vec::new(), bound: 0 }
    }
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// Forgets all keys but these, and gives the new ones places.
    pub(super) fn update<'a>(&mut self, keys: impl Iterator<Item = &'a K>)
    where
        K: 'a,
    {
        let keys: Set<&K> = keys.collect();
        let free = &mut self.free;
        self.places.retain(|key, place| {
            let known = keys.contains(key);
            if !known {
                free.push(*place);
            }
            known
        });
        for key in keys {
            if !self.places.contains_key(key) {
                let place = self.free.pop().unwrap_or(self.bound);
                self.bound = self.bound.max(place + 1);
                self.places.insert(key.clone(), place);
            }
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// One more than the last place.
    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_between_what_is_in_common() {
        let all: Vec<Arc<u8>> = (0..6).map(Arc::new).collect();
        let of = |places: &[usize]| places.iter().map(|at| all[*at].clone()).collect::<Vec<_>>();
        let numbers = |list: &[Arc<u8>]| list.iter().map(|at| **at).collect::<Vec<_>>();
        for (before, after, gone, come) in [
            (&[0, 1, 2][..], &[0, 1, 2][..], &[][..], &[][..]),
            (&[0, 1, 2], &[0, 2], &[1], &[]),
            (&[0, 1, 2], &[0, 1, 2, 3], &[], &[3]),
            (&[0, 1, 2, 3], &[0, 4, 5, 3], &[1, 2], &[4, 5]),
            (&[0, 0, 0], &[0, 0], &[0], &[]),
            (&[], &[1], &[], &[1]),
            (&[0, 1, 2], &[2, 1, 0], &[0, 1, 2], &[2, 1, 0]),
        ] {
            let (before, after) = (of(before), of(after));
            let (left, right) = difference(&before, &after);
            assert_eq!((numbers(left).as_slice(), numbers(right).as_slice()), (gone, come));
            assert_eq!(same(&before, &after), gone.is_empty() && come.is_empty());
        }
    }

    #[test]
    fn a_key_keeps_its_place_and_a_free_one_is_used_again() {
        let mut places = Places::default();
        places.update(["a"].iter());
        places.update(["b", "a"].iter());
        let b = places.get(&"b");
        assert_eq!((places.get(&"a"), b, places.bound()), (Some(0), Some(1), 2));
        places.update(["b"].iter());
        places.update(["b", "c"].iter());
        assert_eq!((places.get(&"a"), places.get(&"b")), (None, b));
        assert_eq!((places.get(&"c"), places.bound()), (Some(0), 2));
    }
}
