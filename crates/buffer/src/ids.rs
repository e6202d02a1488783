//! Names of pages, and which of them are free.
//!
//! # Invariants
//!
//! - **ID1** A page id is handed out again only in a later epoch than the one that freed it, where there are epochs.
//! - **ID2** Every id below `next` either has a page, or is in `free` or `freed`.

use std::fmt;

/// The name of a page, the same for its life. 0 is no page; 1 is the first page allocated in a new database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageId(pub u32);

impl PageId {
    /// No page.
    pub const NONE: PageId = PageId(0);
    /// The first page that is ever allocated: the root of the catalog.
    pub const FIRST: PageId = PageId(1);
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The allocator of page ids. Not stored: derived from the page map at open.
#[derive(Debug)]
pub(crate) struct PageIds {
    next: u32,
    /// Usable now; the lowest last, so that it goes first.
    free: Vec<u32>,
    /// Freed in the current epoch.
    freed: Vec<u32>,
}

impl PageIds {
    /// An allocator for a database whose ids below `next` are all in use but for `free` (ascending).
    pub(crate) fn new(next: u32, mut free: Vec<u32>) -> Self {
        free.reverse();
        Self { next, free, freed: Vec::new() }
    }

    /// A free id below `limit`.
    pub(crate) fn allocate(&mut self, limit: u32) -> Option<PageId> {
        if let Some(id) = self.free.pop() {
            return Some(PageId(id));
        }
        (self.next < limit).then(|| {
            self.next += 1;
            PageId(self.next - 1)
        })
    }

    /// Frees an id from the next epoch on (ID1).
    pub(crate) fn free(&mut self, page: PageId) {
        self.freed.push(page.0);
    }

    /// Frees an id at once: in a database without checkpoints all is one epoch.
    pub(crate) fn free_at_once(&mut self, page: PageId) {
        self.free.push(page.0);
    }

    /// A new epoch begins.
    pub(crate) fn flip(&mut self) {
        self.free.append(&mut self.freed);
    }

    /// The lowest id that was never handed out.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Pages that exist.
    pub(crate) fn in_use(&self) -> usize {
        self.next as usize - 1 - self.free.len() - self.freed.len()
    }
}
