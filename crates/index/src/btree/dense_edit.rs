//! Changing a dense leaf in place.
//!
//! # Invariants
//!
//! - **DE1** A change is made only on a page whose header is sane, at one of its places; both were found out under the same latch.
//!   Nothing here can fail.

use super::dense::{BITMAP, Dense};
use super::layout::*;
use super::node::Node;

/// A dense leaf to be changed.
#[derive(Debug)]
pub(crate) struct DenseMut<'b> {
    bytes: &'b mut [u8],
}

impl<'b> DenseMut<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    fn dense(&self) -> Dense<&[u8]> {
        Dense::of(Node::new(&*self.bytes))
    }

    /// Puts a value of the leaf's length at a place.
    pub(crate) fn put(&mut self, place: usize, value: &[u8]) {
        let dense = self.dense();
        let (start, is_new) = (dense.shape().value_at(place), !dense.is_taken(place));
        debug_assert!(place < dense.shape().places && value.len() == dense.shape().form.value_len, "DE1");
        self.bytes[start..start + value.len()].copy_from_slice(value);
        if is_new {
            self.note_run(place);
            let count = self.dense().count() + 1;
            self.bytes[BITMAP + place / 8] |= 1 << (place % 8);
            self.set_u16(COUNT, count);
        }
    }

    /// Removes the record of a place that is taken.
    pub(crate) fn remove(&mut self, place: usize) {
        let count = self.dense().count();
        self.bytes[BITMAP + place / 8] &= !(1 << (place % 8));
        self.set_u16(COUNT, count.saturating_sub(1));
        self.bytes[RUN] = 0;
    }

    /// Notes whether insertions follow each other, for the choice of split points. The place is not taken yet.
    fn note_run(&mut self, place: usize) {
        let node = Node::new(&*self.bytes);
        let (run, position) = (node.summary().run(), node.run_position());
        let dense = self.dense();
        let run = if position <= place && !dense.any_taken(position..place) {
            run.max(0).saturating_add(1)
        } else if place + 1 < position && !dense.any_taken(place + 1..position - 1) {
            run.min(0).saturating_sub(1)
        } else {
            0
        };
        self.bytes[RUN] = run as u8;
        self.set_u16(RUN_POSITION, place + 1);
    }

    fn set_u16(&mut self, offset: usize, value: usize) {
        debug_assert!(value <= 0xFFFF, "DE1: a number that does not fit");
        self.bytes[offset..offset + 2].copy_from_slice(&(value as u16).to_le_bytes());
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
