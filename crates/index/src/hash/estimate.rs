//! How many records there are, about.
//!
//! # Invariants
//!
//! - **EM1** Pages may be split and merged while levels are sampled; then the estimate begins again. A page that is never what
//!   was said of it is damage: attempts are bounded.

use super::HashIndex;
use super::bucket::Bucket;
use super::descent::{NOT_AS_NAMED, missing};
use super::directory::Directory;
use super::layout::LEVEL_MAX;
use crate::fault::{Attempt, damaged};
use aquifer_buffer::{PageId, Pager, Result, Retry};

/// Pages looked at on each level.
const SAMPLES: usize = 8;
/// EM1. Loading a page is no attempt.
const ATTEMPTS: usize = 100;

impl HashIndex {
    /// Records, estimated from up to eight pages of each level; exact for an index that has no more and no overflow pages.
    /// O(depth) page reads.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn len_estimate(&self, pager: &Pager) -> Result<u64> {
        let mut attempts = 0;
        loop {
            match self.try_estimate(pager) {
                Ok(estimate) => return Ok(estimate),
                Err(Retry::Changed) if attempts == ATTEMPTS => return Err(damaged(self.root, NOT_AS_NAMED)),
                Err(retry) => {
                    attempts += usize::from(retry == Retry::Changed);
                    pager.resolve(retry)?;
                }
            }
        }
    }

    fn try_estimate(&self, pager: &Pager) -> Attempt<u64> {
        let mut level = self.root_level(pager)?.min(LEVEL_MAX);
        let mut pages = vec![self.root];
        // Pages of the level that the samples stand for.
        let mut pages_of_level = 1.0;
        loop {
            let mut below = Vec::new();
            let mut entries = 0;
            for &page in &pages {
                entries += self.sample(pager, page, level, &mut below)?;
            }
            pages_of_level *= entries as f64 / pages.len() as f64;
            let samples = below.len().min(SAMPLES);
            if level == 0 || samples == 0 {
                // Only an index that is being dismantled has directory pages without entries.
                return Ok(if level == 0 { pages_of_level.round() as u64 } else { 0 });
            }
            level -= 1;
            pages =
                (0..samples).map(|sample| below[(2 * sample + 1) * below.len() / (2 * samples)]).collect();
        }
    }

    /// How many entries or records a page has, and which pages are below it.
    fn sample(&self, pager: &Pager, id: PageId, level: u8, below: &mut Vec<PageId>) -> Attempt<usize> {
        let page = pager.read(id).map_err(|retry| match missing(pager, id, retry, || Ok(())) {
            Retry::Damaged(..) => Retry::Changed, // EM1
            other => other,
        })?;
        let is_own = self.is_own(page.words(), level);
        let count = if level == 0 {
            Bucket::new(page.words()).count()
        } else {
            let directory = Directory::new(page.words());
            below.extend((0..directory.count()).map(|index| directory.page(index)));
            directory.count()
        };
        page.validate()?;
        if is_own { Ok(count) } else { Err(Retry::Changed) }
    }
}
