//! Reading a kept checkpoint: a second pager over the same data file, which knows the pages of that checkpoint and no others.
//!
//! ```text
//!  database's pager ---- frames of pages as they are now, flips, writes
//!        |                       |
//!        |  memory               v
//!        |                   data file   slots that are kept (KC3) | slots of later checkpoints
//!        v                       ^
//!  reading pager ------- frames of pages as they were then, all clean
//! ```
//!
//! # Invariants
//!
//! - **KR1** It never writes: nobody enters its gate, so no page of it is ever dirty, and giving a frame away is to forget it. Those who
//!   read by it wait for nobody who writes, and nobody who writes waits for them.
//! - **KR2** It owns the kept checkpoint, and everything that reads by it owns the pager: so what may be read is kept, and when the last
//!   reader goes, its slots are given back.
//! - **KR3** Where its pages lie is read from the checkpoint's map before anybody has it, and never changes: a page that is read again is
//!   what it was, or does not have its checksum (LD1, DP7).
//! - **KR4** Its memory, page table and frames, is a reservation from the budget of the database, taken from its frames where nothing
//!   else is left, and a budget of its own. It is given back after the memory itself is.

use super::KeptCheckpoint;
use crate::Result;
use crate::evict::FRAMES_MIN;
use crate::frame::frame_cost;
use crate::pager::{Base, Pager, PagerOptions};
use crate::translation::page_table_bytes;
use aquifer_pools::Budget;
use aquifer_sync::Arc;

impl KeptCheckpoint {
    /// What a pager over it takes of the memory budget, in bytes, with frames for so many bytes of pages: those, or the fewest that
    /// serve, and 12 bytes for every page id that there was.
    pub fn reading_bytes(&self, cache_bytes: usize) -> usize {
        let page_bytes = self.superblock.page_bytes as usize;
        let frames = (cache_bytes / page_bytes).max(FRAMES_MIN);
        frames * frame_cost(page_bytes) + page_table_bytes(self.superblock.map.pages)
    }

    /// A pager that reads the pages of the checkpoint, and keeps it as long as it lives. It changes none: its users only look things up.
    /// Reads the whole page map of the checkpoint: 8 bytes a page.
    ///
    /// # Errors
    ///
    /// The budget's, if it has not [so much](Self::reading_bytes) left; `Corrupt` for a damaged map; the disk's.
    pub fn into_pager(self, cache_bytes: usize) -> Result<Arc<Pager>> {
        let superblock = self.superblock;
        let bytes = self.reading_bytes(cache_bytes);
        let memory = self.pager.reserve_from_frames(READING_ACCOUNT, bytes)?;
        let options = PagerOptions { page_bytes: superblock.page_bytes as usize, budget: Budget::new(bytes) };
        let file = self.file().shared();
        let base = Base { _kept: self, _memory: memory };
        let pager = Pager::reading(file, options, superblock, base)?;
        pager.stop_writing(); // KR1
        Ok(pager)
    }
}

/// The account of the database's budget that pagers over kept checkpoints draw on.
pub const READING_ACCOUNT: &str = "checkpoint snapshots";

#[cfg(all(test, not(loom)))]
mod tests;
