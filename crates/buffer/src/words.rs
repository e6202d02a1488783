//! Page bytes that may change while they are read.
//!
//! # Invariants
//!
//! - **L5** Racing reads of page bytes go through relaxed 64-bit atomic loads, and no other size.
//! - **L6** An index beyond the page reads as 0: a torn offset is harmless.
//! - **PW1** `start` points to `words` aligned, initialised words that stay mapped for `'p`.

use aquifer_sync::atomic::{AtomicU64, Ordering};
use std::marker::PhantomData;

/// The bytes of a page as 64-bit little-endian words.
#[derive(Debug, Clone, Copy)]
pub struct PageWords<'p> {
    start: *const AtomicU64,
    words: usize,
    pages: PhantomData<&'p AtomicU64>,
}

impl PageWords<'_> {
    /// The words of the page that starts at `start`.
    ///
    /// # Safety
    ///
    /// PW1.
    #[inline]
    pub(crate) unsafe fn new(start: *const u8, page_bytes: usize) -> Self {
        Self { start: start.cast(), words: page_bytes / 8, pages: PhantomData }
    }

    /// Word `index` (byte offset divided by 8), little-endian; 0 beyond the page.
    #[inline(always)]
    pub fn word(&self, index: usize) -> u64 {
        if index >= self.words {
            return 0;
        }
        // SAFETY: PW1 and the bound above.
        let word = unsafe { &*self.start.add(index) };
        // Relaxed: ordered by the latch's `optimistic` and `validate` around it (L4).
        u64::from_le(word.load(Ordering::Relaxed))
    }

    /// Page size in bytes.
    #[inline]
    pub fn page_bytes(&self) -> usize {
        self.words * 8
    }
}
