//! Syncing the data file, one sync at a time.
//!
//! The kernel reports an error of writing back once for each open file, to whoever syncs first; the next sync succeeds, though
//! the pages are lost.
//!
//! # Invariants
//!
//! - **SY1** Syncs of the data file follow each other, and one that failed has poisoned the pager before the next begins, which
//!   then fails as well: nobody takes for durable what another's sync has lost (P9).

use crate::pager::Pager;
use crate::{Error, Result};

impl Pager {
    /// Runs what syncs the data file (SY1). No lock but `Maintenance` is held.
    ///
    /// # Errors
    ///
    /// `Poisoned` after an earlier failure; what `sync` gave, and the pager is poisoned then.
    pub(crate) fn sync_alone<T>(&self, sync: impl FnOnce() -> Result<T>) -> Result<T> {
        let _alone = self.syncing.lock();
        self.check_poison()?;
        sync().inspect_err(|error: &Error| self.poison(error))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
