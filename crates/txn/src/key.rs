//! The words that all parts share: a place in the commit order, a range of keys, a direction.
//!
//! A key belongs to a table, which is a number. Both are the caller's; this crate only compares them.

mod range_set;

pub(crate) use range_set::RangeSet;

use std::ops::Bound;

/// A place in the commit order, such as the end of a commit's log record.
///
/// Commits cover ranges of these numbers without a hole: one begins where the one before it ends, and its end is its
/// timestamp. 0 is before every commit. Numbers stay below 2⁶².
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitLsn(pub u64);

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To greater keys.
    Forward,
    /// To smaller keys.
    Backward,
}

/// The keys from one on, up to but without another: `from <= key < to`.
///
/// ```
/// use aquifer_txn::KeyRange;
/// use std::ops::Bound;
///
/// let range = KeyRange::new(Bound::Excluded(b"a"), Bound::Included(b"c"));
/// assert!(!range.contains(b"a") && range.contains(b"b") && range.contains(b"c"));
/// assert!(KeyRange::all().contains(b""));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// The first key that may be inside.
    pub from: Box<[u8]>,
    /// The first key after it; `None` if it has no end.
    pub to: Option<Box<[u8]>>,
}

impl KeyRange {
    /// A range with these bounds.
    pub fn new(from: Bound<&[u8]>, to: Bound<&[u8]>) -> KeyRange {
        let from = match from {
            Bound::Included(key) => key.into(),
            Bound::Excluded(key) => after(key),
            Bound::Unbounded => Box::default(),
        };
        let to = match to {
            Bound::Included(key) => Some(after(key)),
            Bound::Excluded(key) => Some(key.into()),
            Bound::Unbounded => None,
        };
        KeyRange { from, to }
    }

    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange { from: Box::default(), to: None }
    }

    /// Whether no key is inside.
    pub fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// Whether the key is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.from <= *key && self.to.as_ref().is_none_or(|to| key < &**to)
    }

    /// Whether some key may be inside both.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        let begins_before = |a: &KeyRange, b: &KeyRange| b.to.as_ref().is_none_or(|to| a.from < *to);
        !self.is_empty() && !other.is_empty() && begins_before(self, other) && begins_before(other, self)
    }

    /// Bounds to look it up in an ordered map; the second is not below the first.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let to = match &self.to {
            None => Bound::Unbounded,
            Some(to) => Bound::Excluded(&**to.max(&self.from)),
        };
        (Bound::Included(&*self.from), to)
    }

    /// The part that is still ahead of a scan that has passed `key`.
    pub fn ahead_of(&self, key: &[u8], direction: Direction) -> KeyRange {
        match direction {
            Direction::Forward => KeyRange { from: after(key), to: self.to.clone() },
            Direction::Backward => KeyRange { from: self.from.clone(), to: Some(key.into()) },
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<KeyRange>() + self.from.len() + self.to.as_ref().map_or(0, |to| to.len())
    }
}

/// The least key that is greater.
fn after(key: &[u8]) -> Box<[u8]> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into_boxed_slice()
}

#[cfg(all(test, not(loom)))]
mod tests;
