//! Checkpoints: when one is due, taking it, and what happens when it fails.
//!
//! ```text
//!  flip: note the log's end | write pages, map; sync | log durable to there | superblock; sync | log: CHECKPOINT | free
//!        (gate closed)        '---- failure: report, try again later ---'     '---- failure: poison ---------'
//! ```
//!
//! # Invariants
//!
//! - **CP1** One at a time: the maintenance lock is held throughout.
//! - **CP2** A superblock is installed only when the log is durable through the position that it names, and never once the
//!   log has failed: what a failed passage left behind (CB2) never becomes the truth.
//! - **CP3** What only the older checkpoint needs, slots and log segments, is freed after the record that says that the new
//!   one is there is durable: an opening that finds the older superblock and that record refuses, instead of going back.
//!   On a disk too full for that record, the freeing waits for the next attempt, which begins with it. Log segments may go
//!   before the record if that makes room for it: an opening with the older superblock misses its log, and refuses.
//! - **CP4** A failure up to the superblock, and a full disk, loses nothing and is tried again after 1, 2, 4 … seconds; one
//!   of a sync, or from the superblock on, poisons (P9).

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record;
use aquifer_buffer::Flip;
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::{Mutex, Rank};
use aquifer_wal::Lsn;
use std::time::{Duration, Instant};

/// What replaying costs for a page: reading it from the disk among many others, in nanoseconds.
const REPLAY_PAGE_NS: u64 = 10_000;
/// What replaying a byte of log costs, in nanoseconds.
const REPLAY_BYTE_NS: u64 = 10;
/// So few changed pages are never a reason for a checkpoint.
const CHANGED_PAGES_MIN: u64 = 4096;
/// Nor are so many bytes of them, where memory allows it: a small file may double.
const CHANGED_BYTES_MIN: u64 = 128 << 20;
/// A byte of every so many of the budget may go to the list of pages written since the last checkpoint: 32 bytes each.
const LIST_BYTES_SHARE: u64 = 16;
const LIST_BYTES_PER_PAGE: u64 = 32;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(64);

/// Where checkpoints stand.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// Log position of the newest durable flip.
    flip_lsn: AtomicU64,
    /// Commits in epochs before this one are in a durable checkpoint.
    durable_epoch: AtomicU64,
    /// Log position after the record of the newest checkpoint.
    noted_lsn: AtomicU64,
    /// A flip was not followed by its installation: its pages wait for the next. Or a full disk needs what a checkpoint frees.
    unfinished: AtomicBool,
    failures: AtomicU64,
    last: Mutex<LastAttempt>,
    /// Held while an epoch ends, and where none may (CB1 of `commit_batch`).
    pub(crate) flips: Mutex<()>,
    /// A durable checkpoint that the log does not tell of yet (CP3).
    installed: Mutex<Option<Installed>>,
}

/// A checkpoint whose superblock is durable.
#[derive(Debug)]
struct Installed {
    flip: Flip,
    generation: u64,
}

#[derive(Debug, Default)]
struct LastAttempt {
    ended: Option<Instant>,
    took: Duration,
    /// Failures in a row.
    failed: u32,
    error: Option<String>,
}

impl Checkpoints {
    pub(crate) fn new(flip_lsn: Lsn) -> Checkpoints {
        Checkpoints {
            flip_lsn: AtomicU64::new(flip_lsn.0),
            durable_epoch: AtomicU64::new(0),
            noted_lsn: AtomicU64::new(flip_lsn.0),
            unfinished: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            last: Mutex::new(Rank::Leaf, LastAttempt::default()),
            flips: Mutex::new(Rank::Flip, ()),
            installed: Mutex::new(Rank::Leaf, None),
        }
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.last.lock().error.clone()
    }

    /// May an attempt be made now? Not while backing off from a failure, and not more often than checkpoints take time.
    fn may_begin(&self) -> bool {
        let last = self.last.lock();
        let Some(ended) = last.ended else { return true };
        let pause = match last.failed {
            0 => last.took.min(RETRY_FIRST),
            failed => (RETRY_FIRST * 2u32.saturating_pow(failed - 1)).min(RETRY_MAX),
        };
        ended.elapsed() >= pause
    }

    fn ended(&self, begun: Instant, result: &Result<()>) {
        let mut last = self.last.lock();
        last.ended = Some(Instant::now());
        last.took = begun.elapsed();
        match result {
            Ok(()) => {
                last.failed = 0;
                last.error = None;
            }
            Err(error) => {
                last.failed += 1;
                last.error = Some(error.to_string());
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Pages written since the last checkpoint that may be listed with this budget.
pub(crate) fn listed_pages_max(memory_budget_bytes: usize) -> u64 {
    (memory_budget_bytes as u64 / LIST_BYTES_SHARE / LIST_BYTES_PER_PAGE).max(CHANGED_PAGES_MIN)
}

impl Engine {
    /// Takes a checkpoint now, if anything has changed since the last.
    ///
    /// # Errors
    ///
    /// `Closed`; what failed. Nothing is lost unless it is `Poisoned`.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let maintenance = self.maintenance.lock();
        if maintenance.closed {
            return Err(Error::Closed);
        }
        self.checkpoint_if_changed()
    }

    /// Gives a database that was made without its name that name, with a checkpoint of everything.
    pub(crate) fn complete(&self) -> Result<()> {
        let maintenance = self.maintenance.lock();
        if maintenance.closed {
            return Err(Error::Closed);
        }
        self.pager.hold_back_name(false);
        self.checkpoint_anyway().inspect_err(|_| self.pager.hold_back_name(true))
    }

    /// Takes a checkpoint unless one covers this epoch already.
    pub(crate) fn checkpoint_covering(&self, epoch: u64) -> Result<()> {
        let maintenance = self.maintenance.lock();
        // Relaxed: both are written under the maintenance lock alone.
        if !self.on_disk || self.checkpoints.durable_epoch.load(Ordering::Relaxed) > epoch {
            return Ok(());
        }
        if maintenance.closed {
            return Err(Error::Closed);
        }
        self.checkpoint_anyway()
    }

    /// As [`checkpoint`](Self::checkpoint); the maintenance lock is held (CP1).
    pub(crate) fn checkpoint_if_changed(&self) -> Result<()> {
        if self.on_disk && self.has_changed() { self.checkpoint_anyway() } else { Ok(()) }
    }

    /// Is there anything that the newest checkpoint does not have, or log that it does not need?
    pub(crate) fn has_changed(&self) -> bool {
        // Relaxed: written under the maintenance lock; a reader without it takes a guess.
        self.pager.pages_dirtied() > 0
            || self.log.reserved().0 > self.checkpoints.noted_lsn.load(Ordering::Relaxed)
            || self.checkpoints.unfinished.load(Ordering::Relaxed)
    }

    /// Takes a checkpoint, also if nothing has changed; the maintenance lock is held (CP1), or nobody else is there yet.
    pub(crate) fn checkpoint_anyway(&self) -> Result<()> {
        self.check_healthy()?;
        let begun = Instant::now();
        self.checkpoints.unfinished.store(true, Ordering::Relaxed);
        let result = self.attempt();
        if result.is_ok() {
            self.checkpoints.unfinished.store(false, Ordering::Relaxed);
        }
        self.checkpoints.ended(begun, &result);
        result
    }

    fn attempt(&self) -> Result<()> {
        let installed = self.checkpoints.installed.lock().take();
        if let Some(installed) = installed {
            self.conclude(installed)?;
        }
        let mut flip = {
            let _long_commits = self.checkpoints.flips.lock(); // CB1 of `commit_batch`
            self.pager.flip(|| self.log.reserved().0)
        };
        if let Err(error) = self.write(&mut flip) {
            self.pager.abandon(flip);
            return Err(error);
        }
        let lsn = Lsn(flip.lsn);
        let generation =
            self.pager.install(&mut flip, self.incarnation).map_err(|error| self.poison(error.into()))?;
        self.checkpoints.flip_lsn.store(lsn.0, Ordering::Relaxed);
        self.checkpoints.durable_epoch.store(flip.epoch, Ordering::Relaxed);
        self.conclude(Installed { flip, generation })
    }

    /// CP3.
    fn conclude(&self, installed: Installed) -> Result<()> {
        let lsn = Lsn(installed.flip.lsn);
        let noted = match self.note_in_log(installed.generation) {
            Err(Error::DiskFull(_)) => {
                self.retire(lsn)?;
                self.note_in_log(installed.generation)
            }
            noted => noted,
        };
        match noted {
            Ok(end) => self.checkpoints.noted_lsn.store(end.0, Ordering::Relaxed),
            Err(error @ Error::DiskFull(_)) => {
                *self.checkpoints.installed.lock() = Some(installed);
                return Err(error);
            }
            Err(error) => return Err(self.poison(error)),
        }
        let Installed { flip, generation } = installed;
        let pause_us = flip.pause.as_micros() as u64;
        // What cannot be freed now is freed after the next checkpoint.
        if let Err(error) = self.pager.release(flip) {
            tracing::warn!(%error, "the data file could not be shortened");
        }
        self.retire(lsn)?;
        tracing::debug!(generation, flip_lsn = lsn.0, pause_us, "checkpoint");
        Ok(())
    }

    fn retire(&self, lsn: Lsn) -> Result<()> {
        match self.log.retire(lsn) {
            Err(aquifer_wal::Error::Io(error)) => {
                tracing::warn!(%error, "log segments could not be recycled");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Pages, map, and the log up to the flip. No superblock yet.
    fn write(&self, flip: &mut Flip) -> Result<()> {
        if let Err(error) = self.pager.write_checkpoint(flip) {
            let failed_sync = match &error {
                aquifer_buffer::Error::Io(error) => error.operation.starts_with("sync"),
                aquifer_buffer::Error::Poisoned { .. } => true,
                _ => false,
            };
            return Err(if failed_sync { self.poison(error.into()) } else { error.into() }); // CP4
        }
        if !sabotage::is(Sabotage::SuperblockBeforeLog) {
            self.log.wait_durable(Lsn(flip.lsn))?;
        }
        self.check_healthy() // CP2
    }

    /// Makes a record of the checkpoint durable. Returns the log position after it.
    fn note_in_log(&self, generation: u64) -> Result<Lsn> {
        let record = record::checkpoint(generation);
        let lsn = loop {
            match self.order.reserve(record.len()) {
                Ok(turn) => {
                    let lsn = turn.lsn();
                    turn.fill(&record);
                    break lsn;
                }
                Err(_full) => self.log.wait_for_room(record.len())?,
            }
        };
        self.log.wait_durable(lsn)?;
        Ok(lsn)
    }

    /// No commit succeeds from now on.
    pub(crate) fn poison(&self, error: Error) -> Error {
        let cause = match error {
            Error::Poisoned { cause } => cause,
            other => other.to_string(),
        };
        self.log.poison(&cause);
        Error::Poisoned { cause }
    }

    /// Log that an opening would replay.
    pub(crate) fn log_bytes_since_checkpoint(&self) -> u64 {
        self.log.reserved().0.saturating_sub(self.checkpoints.flip_lsn.load(Ordering::Relaxed))
    }

    /// The disk is full: if large values that are gone wait for a checkpoint to leave their space, one is due.
    pub(crate) fn want_space(&self) {
        if self.on_disk && self.pager.stats().pages_waiting > 0 {
            // Relaxed: see `has_changed`.
            self.checkpoints.unfinished.store(true, Ordering::Relaxed);
            self.checkpointer.nudge();
        }
    }

    /// Should one be taken, for the time that an opening would take, for the length of the log or of the file, or for memory?
    pub(crate) fn checkpoint_is_due(&self) -> bool {
        if !self.on_disk || self.log.poisoned().is_some() {
            return false;
        }
        let log_bytes = self.log_bytes_since_checkpoint();
        let stats = self.pager.stats();
        // Distinct pages, at most: each change of a clean page, or what is in memory and what was written.
        let pages = stats.pages_dirtied.min(stats.epoch_records + stats.frames);
        // Their old versions stay until the checkpoint is there. So the file would be twice as long as its pages if all of them
        // changed in between; three fifths is the compromise with writing pages less often.
        let listed = listed_pages_max(self.limits.memory_budget_bytes);
        let floor = CHANGED_BYTES_MIN / self.pager.page_bytes() as u64;
        let pages_max = (stats.pages / 5 * 3).max(floor).min(listed).max(CHANGED_PAGES_MIN);
        let replay = Duration::from_nanos(pages * REPLAY_PAGE_NS + log_bytes * REPLAY_BYTE_NS);
        // Large values that are gone leave their space to the next checkpoint, and change few pages.
        let due = replay > self.limits.recovery_target / 2
            || log_bytes > self.limits.log_bytes_max
            || pages > pages_max
            || stats.pages_waiting > (stats.pages / 2).max(floor).min(listed)
            || self.checkpoints.unfinished.load(Ordering::Relaxed);
        due && self.has_changed() && self.checkpoints.may_begin()
    }
}
