//! Rules, entries and routes by their index: segments that stay what they are while what they
//! belong to is not compiled anew, so that indices in compiled parts hold from policy to policy.

use std::sync::Arc;

use super::{Component, ComponentIndex};

/// Components with indices in a row.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    first: u32,
    components: Arc<[Component]>,
}

impl Segment {
    /// The index of a component by its place in the segment.
    pub(crate) fn index(&self, place: usize) -> ComponentIndex {
        index(self.first, place)
    }
}

fn index(first: u32, place: usize) -> ComponentIndex {
    ComponentIndex(u32::try_from(place).unwrap_or(u32::MAX).saturating_add(first))
}

/// Gives out indices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(u32);

impl Numbers {
    /// The index that the component at a place of the next segment will have.
    pub(crate) fn index(&self, place: usize) -> ComponentIndex {
        index(self.0, place)
    }

    /// Gives components the next indices.
    pub(crate) fn segment(&mut self, components: Vec<Component>) -> Segment {
        let first = self.0;
        let count = u32::try_from(components.len()).unwrap_or(u32::MAX);
        self.0 = first.saturating_add(count);
        Segment { first, components: components.into() }
    }

    /// Indices that come after so many others.
    #[cfg(test)]
    pub(crate) fn after(given: u32) -> Self {
        Self(given)
    }

    /// How many were given out.
    pub(crate) fn given(&self) -> u32 {
        self.0
    }
}

/// All components of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Components(Vec<Segment>);

impl Components {
    pub(crate) fn new<'a>(segments: impl Iterator<Item = &'a Segment>) -> Self {
        let mut segments: Vec<_> =
            segments.filter(|segment| !segment.components.is_empty()).cloned().collect();
        segments.sort_unstable_by_key(|segment| segment.first);
        Self(segments)
    }

    pub(crate) fn get(&self, index: ComponentIndex) -> Option<&Component> {
        let after = self.0.partition_point(|segment| segment.first <= index.0);
        let segment = self.0.get(after.checked_sub(1)?)?;
        segment.components.get(usize::try_from(index.0 - segment.first).ok()?)
    }
}
