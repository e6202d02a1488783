//! Records that a run adds, and which of them may already be read.
//!
//! 1. Numbers are given out once each, without gaps.
//! 2. Every number below [`Growth::readable`] has been written and acknowledged, so a read of it must hit.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The end of the records, as several threads move it on.
#[derive(Debug)]
pub(crate) struct Growth {
    /// The next number to give out.
    next: AtomicU64,
    /// The numbers below this are readable (rule 2); moved by the holder of `waiting` alone.
    readable: AtomicU64,
    /// Numbers that are written while an earlier one is not yet.
    waiting: Mutex<BTreeSet<u64>>,
}

impl Growth {
    /// From `records` records on.
    pub(crate) fn new(records: u64) -> Growth {
        Growth { next: records.into(), readable: records.into(), waiting: Mutex::default() }
    }

    /// A number for a new record.
    pub(crate) fn take(&self) -> u64 {
        // Relaxed: the number is all that is passed on.
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that the record `number` has been written.
    pub(crate) fn written(&self, number: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(number);
        let mut readable = self.readable.load(Ordering::Relaxed);
        while waiting.remove(&readable) {
            readable += 1;
        }
        // Pairs with the load in `readable`: who sees the number reads after the writes were acknowledged.
        self.readable.store(readable, Ordering::Release);
    }

    /// The number of records that must be there.
    #[inline]
    pub(crate) fn readable(&self) -> u64 {
        // Pairs with the store in `written`.
        self.readable.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
