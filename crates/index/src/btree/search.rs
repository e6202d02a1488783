//! Finding a key on a page with slots.
//!
//! Heads first: the hints narrow the range to a seventeenth, halving narrows it further, and the last
//! few slots are counted without a branch, because their cache lines then come in together. Only
//! slots whose head equals the key's are compared in full.
//!
//! # Invariants
//!
//! - **SR1** Whatever the page says, an index that a search returns is at most `count`, and a search
//!   takes O(log count) steps of bounded length.

use super::dense::Dense;
use super::layout::*;
use super::node::{Node, Summary};
use crate::words::Words;
use std::cmp::Ordering;

/// At most this many slots are counted one by one.
const COUNTED_MAX: usize = UNHINTED_MAX;

/// Where a key is, or would be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// The first slot whose key is not below the one sought.
    pub(crate) index: usize,
    /// That slot, if its key is the one sought.
    pub(crate) slot: Option<Slot>,
}

impl<W: Words> Node<W> {
    /// Finds a key that lies between the fences, on a page with slots.
    #[inline(always)]
    pub(crate) fn find(self, key: &[u8]) -> Found {
        let summary = self.summary();
        self.find_suffix(summary, self.slots_at() / SLOT_BYTES, Suffix::of(key, summary.prefix_len()))
    }

    /// The child that covers a key that lies between the fences.
    #[inline(always)]
    pub(crate) fn child_index(self, key: &[u8]) -> usize {
        let summary = self.summary();
        let found = self.find_suffix(summary, SLOTS / SLOT_BYTES, Suffix::of(key, summary.prefix_len()));
        found.index + usize::from(found.slot.is_some())
    }

    /// The child that covers the keys just below one that lies above the lower fence and not above the
    /// upper one.
    pub(crate) fn child_index_before(self, key: &[u8]) -> usize {
        self.position(key, false)
    }

    /// Entries whose keys are below `key` (with `inclusive`: at most `key`), wherever `key` lies.
    pub(crate) fn position(self, key: &[u8], inclusive: bool) -> usize {
        let (prefix_len, count) = (self.prefix_len(), self.count());
        let (lower, lower_len) = self.lower_range().unwrap_or_default();
        let prefix_len_known = prefix_len.min(lower_len);
        let shared = prefix_len_known.min(key.len());
        match self.words().compare(lower, shared, &key[..shared]) {
            Ordering::Greater => 0,
            Ordering::Less => count,
            Ordering::Equal if key.len() < prefix_len_known => 0,
            Ordering::Equal if self.is_dense() => Dense::of(self).position(key, inclusive),
            Ordering::Equal => {
                let found = self.find(key);
                found.index + usize::from(inclusive && found.slot.is_some())
            }
        }
    }

    /// Finds a key; slots begin with word `first`.
    #[inline(always)]
    fn find_suffix(self, summary: Summary, first: usize, key: Suffix<'_>) -> Found {
        let count = self.slot_count();
        let is_hinted = count > UNHINTED_MAX && summary.kind() != KIND_FINGERPRINTS;
        let (low, high) = if is_hinted { self.hinted(count, key.head) } else { (0, count) };
        let index = self.first_head(first, low, high, key.head);
        if index >= count || (self.words().word(first + index) >> 32) as u32 != key.head {
            return Found { index, slot: None };
        }
        let slot = self.slot(index);
        let fixed = entry_head_bytes(summary.level());
        match self.compare_rest(slot, fixed, key) {
            Ordering::Equal => Found { index, slot: Some(slot) },
            Ordering::Greater => Found { index, slot: None },
            Ordering::Less => self.find_in_run(index + 1, count, fixed, key),
        }
    }

    /// The first of the slots from `low` to `high` whose head is not below `head`.
    #[inline(always)]
    fn first_head(self, first: usize, low: usize, high: usize, head: u32) -> usize {
        let target = u64::from(head) << 32;
        let (mut low, mut high) = (low, high);
        while high - low > COUNTED_MAX {
            let middle = low + (high - low) / 2;
            if self.words().word(first + middle) < target {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low + (low..high).map(|index| usize::from(self.words().word(first + index) < target)).sum::<usize>()
    }

    /// Where the hints say that the first slot whose head is not below `head` lies; the upper end is
    /// included.
    #[inline(always)]
    fn hinted(self, count: usize, head: u32) -> (usize, usize) {
        let distance = count / (HINT_COUNT + 1);
        let mut below = 0;
        for pair in 0..HINT_COUNT / 2 {
            let hints = self.words().word(HINTS / 8 + pair);
            below += usize::from((hints as u32) < head) + usize::from(((hints >> 32) as u32) < head);
        }
        // Slot `below · distance` is hint `below - 1`, which is below the head.
        let low = if below == 0 { 0 } else { below * distance + 1 };
        let high = if below == HINT_COUNT { count } else { (below + 1) * distance };
        (low.min(high), high)
    }

    /// Goes on among the slots from `low` that may have the same head and a smaller rest.
    #[cold]
    fn find_in_run(self, low: usize, count: usize, fixed: usize, key: Suffix<'_>) -> Found {
        let (mut low, mut high) = (low, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let slot = self.slot(middle);
            let order = slot.head().cmp(&key.head).then_with(|| self.compare_rest(slot, fixed, key));
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Found { index: middle, slot: Some(slot) },
                Ordering::Greater => high = middle,
            }
        }
        Found { index: low, slot: None }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
