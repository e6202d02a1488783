//! The buffers of large values: a share of the budget that is set aside at opening.
//!
//! # Invariants
//!
//! - **LM1** What all readers and writers hold together never exceeds the share. Nobody waits for another's, who may be the same
//!   thread: later ones get fewer pages at a time, and when none are left, an error.

use crate::error::{Error, Result};
use aquifer_pools::BudgetExhausted;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::{Arc, Mutex, Rank};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct LargeMemory {
    bytes: usize,
    page_bytes: usize,
    free_pages: Mutex<usize>,
    /// Somebody has read or written a large value since the opening.
    was_used: AtomicBool,
}

/// Fewest pages that a reader or writer works with.
const PAGES_MIN: usize = 2;
/// Bytes beyond which transfers do not become faster.
const SHARE_BYTES_MAX: usize = 2 << 20;

/// Pages that somebody may keep in buffers.
#[derive(Debug)]
pub(crate) struct LargeShare {
    memory: Arc<LargeMemory>,
    pages: usize,
}

impl LargeMemory {
    pub(crate) fn new(bytes: usize, page_bytes: usize) -> Arc<LargeMemory> {
        let free_pages = Mutex::new(Rank::Leaf, bytes / page_bytes);
        Arc::new(LargeMemory { bytes, page_bytes, free_pages, was_used: AtomicBool::new(false) })
    }

    /// May there be large values that were not there at the opening?
    pub(crate) fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// A share: a quarter of what is left.
    ///
    /// # Errors
    ///
    /// `BudgetExhausted` if none is left.
    pub(crate) fn take(self: &Arc<Self>) -> Result<LargeShare> {
        // Relaxed: who sees the value in a snapshot sees what happened before its commit.
        self.was_used.store(true, Ordering::Relaxed);
        let mut free = self.free_pages.lock();
        let pages = (*free / 4).min(SHARE_BYTES_MAX / self.page_bytes).max(PAGES_MIN);
        if pages > *free {
            return Err(Error::BudgetExhausted(BudgetExhausted {
                account: "large values being read and written",
                requested_bytes: pages * self.page_bytes,
                used_bytes: self.bytes - *free * self.page_bytes,
                budget_bytes: self.bytes,
            }));
        }
        *free -= pages;
        Ok(LargeShare { memory: Arc::clone(self), pages })
    }
}

impl LargeShare {
    /// How many.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }
}

impl Drop for LargeShare {
    fn drop(&mut self) {
        *self.memory.free_pages.lock() += self.pages;
    }
}
