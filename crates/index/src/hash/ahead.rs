//! Loading buckets before they are needed. AH1 of `load`: it is a favour.

use super::HashIndex;
use super::directory::Directory;
use crate::fault::Attempt;
use crate::load::{load_for_keys, load_named};
use crate::point_read::TryRead;
use aquifer_buffer::{PageId, Pager, Result};

/// Most buckets that a cursor loads together.
pub(crate) const AHEAD_MAX: usize = 32;

impl HashIndex {
    /// Brings the buckets of these keys into memory, the misses of a level in one batch. Buckets that do not fit the budget
    /// together may be missing afterwards.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn load_buckets(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        load_for_keys(pager, keys, |key| self.try_read(pager, key, false, &mut |_| ()))
    }

    /// Loads the bucket that covers `hash` and those behind it, `buckets` in all.
    pub(crate) fn load_ahead(&self, pager: &Pager, hash: u64, buckets: usize) -> Result<()> {
        load_named(pager, self.buckets_ahead(pager, hash, buckets))
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
