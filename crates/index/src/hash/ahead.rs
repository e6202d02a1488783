//! Loading buckets before they are needed.
//!
//! # Invariants
//!
//! - **AH1** Loading ahead is a favour: what does not fit in memory is left out, and whoever needs a page that is still missing
//!   loads it by itself.

use super::HashIndex;
use super::directory::Directory;
use crate::fault::Attempt;
use aquifer_buffer::{PageId, Pager, Result, Retry};

/// Most buckets that a cursor loads together.
pub(crate) const AHEAD_MAX: usize = 32;

/// A directory is never so high, nor a chain usually so long, that its pages need more rounds; some may be evicted again in
/// between.
const ROUNDS_MAX: usize = 12;

impl HashIndex {
    /// Brings the buckets of these keys into memory, the misses of a level in one batch. Buckets that do not fit the budget
    /// together may be missing afterwards.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn load_buckets(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        let mut pending = keys.to_vec();
        let mut missing = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let mut stopped = None;
            missing.clear();
            pending.retain(|key| match self.try_read(pager, self.hasher.of(key), key, &mut |_| ()) {
                Ok(_) => false,
                Err(Retry::Missing(page) | Retry::Evicted(page)) => {
                    missing.push(page);
                    true
                }
                Err(stop) => {
                    stopped = Some(stop);
                    true
                }
            });
            if let Some(stop) = stopped {
                pager.resolve(stop)?;
            }
            if pending.is_empty() {
                break;
            }
            missing.sort_unstable();
            missing.dedup();
            pager.load_many(&missing)?;
        }
        Ok(())
    }

    /// Loads the bucket that covers `hash` and those behind it, `buckets` in all.
    pub(crate) fn load_ahead(&self, pager: &Pager, hash: u64, buckets: usize) -> Result<()> {
        match self.buckets_ahead(pager, hash, buckets) {
            Ok(pages) => {
                let _ = pager.load_many(&pages); // AH1: who needs a page that cannot be loaded will say so
                Ok(())
            }
            Err(Retry::Damaged(..)) => Ok(()), // as above
            Err(retry) => pager.resolve(retry),
        }
    }

    fn buckets_ahead(&self, pager: &Pager, hash: u64, buckets: usize) -> Attempt<Vec<PageId>> {
        let page = self.directory_at(pager, hash, 1)?;
        let directory = Directory::new(page.words());
        let from = directory.find(hash);
        let pages = (from..directory.count()).take(buckets).map(|index| directory.page(index)).collect();
        page.validate()?;
        Ok(pages)
    }
}
