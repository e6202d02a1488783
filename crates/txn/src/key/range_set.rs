//! Ranges of one table that do not touch each other.
//!
//! - **RS1** Ranges in a set are not empty, and between two of them lies at least one key that is in none.

use crate::key::KeyRange;
use std::collections::BTreeMap;
use std::ops::Bound;

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(crate) struct RangeSet {
    /// By their beginnings.
    ranges: BTreeMap<Box<[u8]>, KeyRange>,
}

impl RangeSet {
    /// The range that the key is in.
    pub(crate) fn around(&self, key: &[u8]) -> Option<&KeyRange> {
        let through = (Bound::Unbounded, Bound::Included(key));
        let (_, range) = self.ranges.range::<[u8], _>(through).next_back()?;
        range.contains(key).then_some(range)
    }

    /// A range that shares keys with this one.
    pub(crate) fn any_within(&self, range: &KeyRange) -> Option<&KeyRange> {
        let around = self.around(&range.from).filter(|_| !range.is_empty());
        around.or_else(|| self.ranges.range::<[u8], _>(range.bounds()).next().map(|(_, inside)| inside))
    }

    /// Those that would be one with this one (RS1): sharing keys with it, or meeting it at an end.
    pub(crate) fn touching(&self, range: &KeyRange) -> Vec<KeyRange> {
        let below = (Bound::Unbounded, Bound::Excluded(&*range.from));
        let before = self.ranges.range::<[u8], _>(below).next_back().map(|(_, before)| before);
        let before = before.filter(|before| before.to.as_ref().is_none_or(|to| *to >= range.from));
        let from = (Bound::Included(&*range.from), Bound::Unbounded);
        let inside = self.ranges.range::<[u8], _>(from).map(|(_, inside)| inside);
        let inside = inside.take_while(|inside| range.to.as_ref().is_none_or(|to| inside.from <= *to));
        before.into_iter().chain(inside).cloned().collect()
    }

    /// Adds a range that touches none.
    pub(crate) fn insert(&mut self, range: KeyRange) -> Option<KeyRange> {
        self.ranges.insert(range.from.clone(), range)
    }

    /// Removes the range that begins there.
    pub(crate) fn remove(&mut self, from: &[u8]) -> Option<KeyRange> {
        self.ranges.remove(from)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeyRange> {
        self.ranges.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl KeyRange {
    /// Both, and what lies between them.
    pub(crate) fn hull(self, other: KeyRange) -> KeyRange {
        KeyRange { from: self.from.min(other.from), to: self.to.zip(other.to).map(|(a, b)| a.max(b)) }
    }
}
