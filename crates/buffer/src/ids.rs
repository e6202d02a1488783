//! Names of pages, and which of them are free.
//!
//! # Invariants
//!
//! - **ID1** A page id is handed out again only in a later epoch than the one that freed it, where there are epochs.
//! - **ID2** Every id below `next` either has a page, is reserved for one, or is in `free`, `freed` or `runs`.

use crate::runs::{PageRun, RunSet};
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
    /// Usable now, many in a row.
    runs: RunSet,
}

/// Free ids in a row that are kept for those who want many.
const RUN_MIN: usize = 64;

impl PageIds {
    /// An allocator for a database whose ids below `next` are all in use but for `free` (ascending).
    pub(crate) fn new(next: u32, free: Vec<u32>) -> Self {
        let mut ids = Self { next, free: Vec::new(), freed: Vec::new(), runs: RunSet::new() };
        for run in free.chunk_by(|a, b| a + 1 == *b) {
            if run.len() >= RUN_MIN {
                ids.runs.insert(run[0], run[0] + run.len() as u32);
            } else {
                ids.free.extend_from_slice(run);
            }
        }
        ids.free.reverse();
        ids
    }

    /// A free id below `limit`.
    pub(crate) fn allocate(&mut self, limit: u32) -> Option<PageId> {
        if let Some(id) = self.free.pop() {
            return Some(PageId(id));
        }
        let first = self.runs.iter().next();
        if let Some((start, _)) = first {
            self.runs.remove(start, start + 1);
            return Some(PageId(start));
        }
        (self.next < limit).then(|| {
            self.next += 1;
            PageId(self.next - 1)
        })
    }

    /// Between 1 and `most` ids below `limit`, in a row: where there are enough, from what is free, else new ones, else what
    /// is left. O(free runs).
    pub(crate) fn allocate_run(&mut self, most: u32, limit: u32) -> Option<PageRun> {
        let enough = self.runs.iter().find(|(start, end)| end - start >= most);
        let longest = || self.runs.iter().max_by_key(|(start, end)| end - start);
        let new = limit.saturating_sub(self.next).min(most);
        let (start, end) = match enough.or_else(|| longest().filter(|(start, end)| end - start > new)) {
            Some((start, end)) => (start, end.min(start + most)),
            None if new > 0 => {
                self.next += new;
                return Some(PageRun { first: PageId(self.next - new), pages: new });
            }
            None => return self.free.pop().map(|id| PageRun { first: PageId(id), pages: 1 }),
        };
        self.runs.remove(start, end);
        Some(PageRun { first: PageId(start), pages: end - start })
    }

    /// Frees ids at once: what refers to them is in no checkpoint any more, or never was.
    pub(crate) fn free_run(&mut self, run: PageRun) {
        self.runs.insert(run.first.0, run.end());
    }

    /// Takes ids that are free, whatever was given out; `false`, and nothing is taken, if one of them is not.
    #[must_use]
    pub(crate) fn claim(&mut self, run: PageRun) -> bool {
        for id in self.free.drain(..) {
            self.runs.insert(id, id + 1);
        }
        if run.first == PageId::NONE || run.pages == 0 {
            return false;
        }
        let known = run.end().min(self.next);
        if !self.runs.covers(run.first.0, known) {
            return false;
        }
        if run.end() > self.next {
            self.runs.insert(self.next, run.end());
            self.next = run.end();
        }
        self.runs.remove(run.first.0, run.end());
        true
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
        self.next as usize - 1 - self.free.len() - self.freed.len() - self.runs.count() as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
