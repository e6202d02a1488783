//! Old values, to be put back if a batch fails half-way (CB2 of `commit_batch`).

use aquifer_index::{LeafValue, ValueKind};

/// Values as they were before a batch, as long as they are not too many.
#[derive(Debug, Default)]
pub(super) struct UndoList {
    pub(super) bytes_max: usize,
    pub(super) lost: bool,
    pub(super) ends: Vec<(Option<ValueKind>, usize)>,
    pub(super) bytes: Vec<u8>,
}

impl UndoList {
    pub(super) fn push(&mut self, old: Option<LeafValue<'_>>) {
        let old_len = old.map_or(0, |old| old.bytes.len());
        if self.lost || self.bytes.len() + old_len > self.bytes_max {
            *self = UndoList { lost: true, ..UndoList::default() };
            return;
        }
        self.bytes.extend_from_slice(old.map_or(&[], |old| old.bytes));
        self.ends.push((old.map(|old| old.kind), self.bytes.len()));
    }

    pub(super) fn get(&self, index: usize) -> Option<LeafValue<'_>> {
        let (kind, end) = self.ends[index];
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].1);
        kind.map(|kind| LeafValue { kind, bytes: &self.bytes[start..end] })
    }
}
