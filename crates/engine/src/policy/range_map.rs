//! A map from numbers to values, made of ranges: ports, addresses, routes.
//!
//! Overlaps are resolved when it is built, so a look-up is one binary search whatever overlapped.

use std::collections::BTreeSet;

/// A number that ranges are made of.
pub(crate) trait Number: Copy + Ord {
    /// The first of all.
    const FIRST: Self;
    /// The next one, if there is one.
    fn next(self) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Number for $number {
            const FIRST: Self = Self::MIN;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    )*};
}
numbers!(u16 u128);

/// Values by number; the whole line of numbers is cut into segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeMap<N, T> {
    starts: Box<[N]>,
    values: Box<[Option<T>]>,
}

impl<N, T> Default for RangeMap<N, T> {
    fn default() -> Self {
        Self { starts: Box::default(), values: Box::default() }
    }
}

impl<N: Number, T: Copy + PartialEq> RangeMap<N, T> {
    /// Of ranges that overlap, the one that comes first wins.
    pub(crate) fn first_wins(items: &[((N, N), T)]) -> Self {
        Self::build(&sweep(items.iter().map(|(range, _)| *range)), |active| {
            active.first().and_then(|&index| items.get(index)).map(|(_, value)| *value)
        })
    }
}

impl<N: Number, T: PartialEq> RangeMap<N, T> {
    /// Gives each segment the value that `value` makes of the ranges which cover it.
    pub(crate) fn build(
        segments: &[(N, Vec<usize>)],
        mut value: impl FnMut(&[usize]) -> Option<T>,
    ) -> Self {
        let mut starts = Vec::with_capacity(segments.len());
        let mut values: Vec<Option<T>> = Vec::with_capacity(segments.len());
        for (start, active) in segments {
            let value = if active.is_empty() { None } else { value(active) };
            if values.last() != Some(&value) {
                starts.push(*start);
                values.push(value);
            }
        }
        Self { starts: starts.into(), values: values.into() }
    }

    /// The value at a number.
    #[inline]
    pub(crate) fn at(&self, number: N) -> Option<&T> {
        let after = self.starts.partition_point(|start| *start <= number);
        self.values.get(after.checked_sub(1)?)?.as_ref()
    }
}

/// Cuts the line of numbers where any range begins or ends: each segment's start, with the places
/// of the ranges that cover it, in order.
pub(crate) fn sweep<N: Number>(ranges: impl Iterator<Item = (N, N)>) -> Vec<(N, Vec<usize>)> {
    let mut events: Vec<(N, bool, usize)> = Vec::new();
    for (index, (first, last)) in ranges.enumerate() {
        if first <= last {
            events.push((first, true, index));
            events.extend(last.next().map(|after| (after, false, index)));
        }
    }
    events.sort_unstable();
    let mut active = BTreeSet::new();
    let mut segments: Vec<(N, Vec<usize>)> = vec![(N::FIRST, Vec::new())];
    let mut events = events.into_iter().peekable();
    while let Some((at, begins, index)) = events.next() {
        if begins {
            active.insert(index);
        } else {
            active.remove(&index);
        }
        if events.peek().is_some_and(|next| next.0 == at) {
            continue;
        }
        let covering: Vec<usize> = active.iter().copied().collect();
        match segments.last_mut() {
            Some(last) if last.0 == at => last.1 = covering,
            _ => segments.push((at, covering)),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_overlapping_ranges_wins() {
        let map = RangeMap::first_wins(&[((10, 20), 'a'), ((15, 30), 'b'), ((0, u16::MAX), 'c')]);
        let seen: Vec<_> =
            [0, 9, 10, 20, 21, 30, 31, u16::MAX].iter().map(|n| *map.at(*n).unwrap()).collect();
        assert_eq!(seen, ['c', 'c', 'a', 'a', 'b', 'b', 'c', 'c']);
    }

    #[test]
    fn gaps_have_no_value_and_a_range_may_end_at_the_last_number() {
        let map = RangeMap::first_wins(&[((5, 5), 1), ((7, u16::MAX), 2)]);
        assert_eq!(
            [4, 5, 6, 7, u16::MAX].map(|n| map.at(n).copied()),
            [None, Some(1), None, Some(2), Some(2)]
        );
        assert_eq!(RangeMap::<u128, u8>::default().at(0), None);
    }
}
