//! The one order of all that is committed: a place in the log, and whether it is applied.
//!
//! ```text
//!  reserve --> Turn: place fixed --change pages, fill the record--> completed --all before it are--> visible
//! ```
//!
//! # Invariants
//!
//! - **OR1** Every place that is reserved in the log is reserved here, and completed once: filled, or aborted. A turn that goes without either
//!   has poisoned the log (LO1 of the log), and stops who waits to see it.
//! - **OR2** A commit returns only after everything up to its place is visible (T1): so its caller, and whoever he tells, reads what it wrote
//!   in any snapshot that is taken later. Nobody waits for that with a lock held, or inside the gate.

use crate::error::{Error, Result};
use crate::record;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_txn::{CommitLsn, Visible};
use aquifer_wal::{Full, Log, Lsn, Reserved};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) log: Arc<Log>,
    visible: Arc<Visible>,
    /// Commits that were taken back after some of what they change was changed.
    taken_back: AtomicU64,
}

/// A place in the order, from its reservation until what it stands for is done or given up.
#[derive(Debug)]
#[must_use = "fill it, or abort it"]
pub(crate) struct Turn<'o> {
    visible: &'o Visible,
    reserved: Option<Reserved<'o>>,
    start: Lsn,
    end: Lsn,
    len: usize,
    completed: bool,
}

impl Order {
    /// Everything that the log has is done.
    pub(crate) fn new(log: Arc<Log>) -> Order {
        let visible = Arc::new(Visible::new(CommitLsn(log.reserved().0)));
        Order { log, visible, taken_back: AtomicU64::new(0) }
    }

    /// How far everything is done.
    pub(crate) fn visible(&self) -> &Arc<Visible> {
        &self.visible
    }

    /// How many commits were taken back. One that was, and is visible, counts.
    pub(crate) fn taken_back(&self) -> u64 {
        self.taken_back.load(Ordering::Acquire) // pairs with the AcqRel below (T2)
    }

    /// What a commit has changed is as it was before. To be said before its place is completed.
    pub(crate) fn note_taken_back(&self) {
        self.taken_back.fetch_add(1, Ordering::AcqRel);
    }

    /// Reserves the next place, for a record of so many bytes; never waits.
    #[inline]
    pub(crate) fn reserve(&self, len: usize) -> std::result::Result<Turn<'_>, Full> {
        let reserved = self.log.reserve(len)?;
        let (start, end) = (reserved.start(), reserved.lsn());
        Ok(Turn { visible: &self.visible, reserved: Some(reserved), start, end, len, completed: false })
    }

    /// The end of the last place.
    pub(crate) fn now(&self) -> Lsn {
        self.log.reserved()
    }

    /// Waits until everything up to here is visible (OR2).
    ///
    /// # Errors
    ///
    /// `Poisoned`.
    #[inline]
    pub(crate) fn wait(&self, lsn: Lsn) -> Result<()> {
        if self.visible.get().0 >= lsn.0 { Ok(()) } else { self.wait_long(lsn) }
    }

    #[cold]
    fn wait_long(&self, lsn: Lsn) -> Result<()> {
        self.visible.wait(CommitLsn(lsn.0)).map_err(|_stopped| self.poisoned())
    }

    /// Why the order has come to an end.
    pub(crate) fn poisoned(&self) -> Error {
        Error::Poisoned { cause: self.log.poisoned().unwrap_or_else(|| "a commit was not ended".into()) }
    }
}

impl Turn<'_> {
    /// The end of its record: the commit's LSN.
    #[inline]
    pub(crate) fn lsn(&self) -> Lsn {
        self.end
    }

    /// Where its record begins.
    pub(crate) fn start(&self) -> CommitLsn {
        CommitLsn(self.start.0)
    }

    /// What it stands for is done, or given up, though its record may still have to be filled.
    #[inline]
    pub(crate) fn complete(&mut self) {
        if !std::mem::replace(&mut self.completed, true) {
            self.visible.complete(CommitLsn(self.start.0), CommitLsn(self.end.0));
        }
    }

    /// Fills its record, and completes it.
    #[inline]
    pub(crate) fn fill(mut self, record: &[u8]) {
        self.reserved.take().expect("filled once").fill(record);
        self.complete();
    }

    /// Nothing was done.
    #[cold]
    pub(crate) fn abort(self) {
        let record = record::aborted(self.len);
        self.fill(&record);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.completed {
            self.reserved = None; // poisons the log
            self.visible.stop(); // OR1
        }
    }
}
