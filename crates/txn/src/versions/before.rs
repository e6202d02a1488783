//! What was there before a change: nothing, a value, or what differs from the value that came after.
//!
//! # Invariants
//!
//! - **BE1** An inverse patch holds absolute bytes and changes no length. So it may be applied to the value after the change or,
//!   without effect, to the one before it: a reader that read the store before the change gets it right as well.
//! - **BE2** Ranges of a patch are in order and do not touch; a patch is never empty of meaning: one without ranges says
//!   that nothing differs.

use std::ops::Range;

/// What was there before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// No value.
    Absent,
    /// This value, as bytes that only the caller understands.
    Value(Box<[u8]>),
    /// The value that the change left, but for these bytes.
    Patch(InversePatch),
}

/// The old bytes of the ranges in which a value of the same length was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InversePatch {
    /// Where each range begins, and its bytes (BE2).
    ranges: Vec<(usize, Box<[u8]>)>,
}

impl InversePatch {
    /// What is needed to get `old` back after its bytes in `ranges` were changed. `None` if the ranges are not in order,
    /// or beyond its end: keep the whole value then.
    pub fn new(old: &[u8], ranges: impl IntoIterator<Item = Range<usize>>) -> Option<InversePatch> {
        let mut end = 0;
        let mut kept = Vec::new();
        for range in ranges {
            if range.start < end {
                return None;
            }
            end = range.end;
            kept.push((range.start, old.get(range)?.into()));
        }
        Some(InversePatch { ranges: kept })
    }

    /// Puts the old bytes back. Those beyond the value's end are passed over: then the value is none that the patch was made of.
    pub(super) fn apply(&self, value: &mut [u8]) {
        for (start, bytes) in &self.ranges {
            if let Some(place) = value.get_mut(*start..*start + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }

    /// What `newer` and then this one put back.
    fn after(&self, newer: &InversePatch) -> InversePatch {
        let mut bytes: Vec<(usize, u8)> = Vec::new();
        for patch in [newer, self] {
            for (start, old) in &patch.ranges {
                bytes.extend(old.iter().enumerate().map(|(at, &byte)| (start + at, byte)));
            }
        }
        bytes.sort_by_key(|&(at, _)| at); // stable: of two for one place, the older state's comes last
        let mut ranges: Vec<(usize, Vec<u8>)> = Vec::new();
        for (at, byte) in bytes {
            match ranges.last_mut() {
                Some((start, run)) if *start + run.len() == at => run.push(byte),
                Some((start, run)) if *start + run.len() == at + 1 => {
                    *run.last_mut().expect("not empty") = byte
                }
                _ => ranges.push((at, vec![byte])),
            }
        }
        InversePatch { ranges: ranges.into_iter().map(|(start, run)| (start, run.into())).collect() }
    }
}

impl Before {
    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Before::Absent => 0,
            Before::Value(value) => value.len(),
            Before::Patch(patch) => {
                patch.ranges.iter().map(|(_, bytes)| size_of::<(usize, Box<[u8]>)>() + bytes.len()).sum()
            }
        }
    }

    /// Goes one step back from `value`, the state after the change.
    pub(super) fn step_back(&self, value: &mut Option<Vec<u8>>) {
        match self {
            Before::Absent => *value = None,
            Before::Value(old) => {
                let value = value.get_or_insert_with(Vec::new);
                value.clear();
                value.extend_from_slice(old);
            }
            Before::Patch(patch) => {
                if let Some(value) = value {
                    patch.apply(value);
                }
            }
        }
    }

    /// Stands for itself and for the next newer version, which is cut.
    pub(super) fn absorb(&mut self, newer: Before) {
        let Before::Patch(patch) = &*self else { return };
        *self = match newer {
            Before::Patch(newer) => Before::Patch(patch.after(&newer)),
            Before::Value(mut value) => {
                patch.apply(&mut value);
                Before::Value(value)
            }
            // A patch of what is absent comes from no commit; it stays what it is.
            Before::Absent => return,
        };
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
