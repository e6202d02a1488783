//! The unbroken prefix of the commit order that is applied.
//!
//! Commits get their ranges of the order from elsewhere (a log's reservation), each beginning where the one before it
//! ends, and are completed (applied or aborted) in any order. One word holds how far everything is completed:
//!
//! ```text
//!   bits 63..1  LSN       everything at or below it is completed
//!   bit 0       WAITED    a commit waits for one before it, or a thread sleeps: go by the lock
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | start, not `WAITED` | end | the commit that begins there, by one compare-and-swap |
//! | start, any | the end of the last that is completed without a gap, `WAITED` if any wait still | who holds the lock |
//!
//! # Cost
//!
//! A commit that completes in its turn pays one compare-and-swap: no fence, no lock, no second word. It is the whole
//! price for an autocommit. One that overtakes another pays a lock and a place in a heap.
//!
//! # Invariants
//!
//! - **VI1** The word only rises, and only from a commit's start to its end.
//! - **VI2** While `WAITED` is set, only who holds the lock moves the word; it is cleared only under the lock. Both ways
//!   are read-modify-writes of one word, so a commit that finds it unset has completed before who sets it looks.
//! - **VI3** What was done before a commit was completed happens before what is done after reading an LSN at or above
//!   its end: a fast completion releases and acquires the word, a slow one the lock and the word.
//! - **VI4** The heap never holds the range that begins at the word once the lock is let go.

use crate::error::{Error, Result};
use crate::key::CommitLsn;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::thread::Backoff;
use aquifer_sync::{Condvar, Mutex, Rank};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// See VI2.
const WAITED: u64 = 1;

/// How often a waiter looks before it sleeps: the commit before it is some microseconds from its end.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 24 };

/// How far the commit order is applied.
///
/// ```
/// use aquifer_txn::{CommitLsn, Visible};
///
/// let visible = Visible::new(CommitLsn(0));
/// visible.complete(CommitLsn(10), CommitLsn(25)); // overtakes the commit before it
/// assert_eq!(visible.get(), CommitLsn(0));
/// visible.complete(CommitLsn(0), CommitLsn(10));
/// assert_eq!(visible.get(), CommitLsn(25));
/// visible.wait(CommitLsn(25)).unwrap();
/// ```
#[derive(Debug)]
pub struct Visible {
    word: Word,
    waiting: Mutex<Waiting>,
    passed: Condvar,
}

/// Away from its neighbours: all commits write it.
#[derive(Debug)]
#[repr(align(128))]
struct Word(AtomicU64);

/// What is not in its turn.
#[derive(Debug, Default)]
struct Waiting {
    /// Ranges that were completed before the one that they follow.
    completed: BinaryHeap<Reverse<(u64, u64)>>,
    /// What sleeping threads wait for.
    awaited: Vec<u64>,
    stopped: bool,
}

impl Visible {
    /// Everything at or below `start` is completed.
    pub fn new(start: CommitLsn) -> Visible {
        Visible {
            word: Word(AtomicU64::new(start.0 << 1)),
            waiting: Mutex::new(Rank::Leaf, Waiting::default()),
            passed: Condvar::new(),
        }
    }

    /// The greatest LSN such that every commit at or below it is applied or aborted. It may be older by the time it is
    /// used, and is still true then.
    #[inline]
    pub fn get(&self) -> CommitLsn {
        // Acquire: pairs with the Release in `complete` and `advance` (VI3).
        CommitLsn(self.word.0.load(Ordering::Acquire) >> 1)
    }

    /// The commit that covers `start..end` of the order is applied, or aborted. Never waits for another commit.
    ///
    /// # Panics
    ///
    /// If something that covers `start` was completed before (VI1).
    #[inline]
    pub fn complete(&self, start: CommitLsn, end: CommitLsn) {
        debug_assert!(start < end, "VI1: {start:?} to {end:?}");
        // AcqRel: hands on what the commits before it did, with its own (VI3).
        let exchanged =
            self.word.0.compare_exchange(start.0 << 1, end.0 << 1, Ordering::AcqRel, Ordering::Relaxed);
        if exchanged.is_err() {
            self.advance(start.0, end.0);
        }
    }

    /// Waits until `lsn` is visible: **T1**, a commit returns only after that.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn wait(&self, lsn: CommitLsn) -> Result<()> {
        let mut backoff = Backoff::new();
        for _ in 0..LOOKS {
            if self.get() >= lsn {
                return Ok(());
            }
            backoff.wait();
        }
        self.sleep(lsn.0)
    }

    /// No commit will be completed any more, as a log was poisoned: who waits gets an error.
    pub fn stop(&self) {
        self.waiting.lock().stopped = true;
        self.passed.notify_all();
    }

    /// The slow way of `complete`.
    #[cold]
    fn advance(&self, start: u64, end: u64) {
        let mut waiting = self.waiting.lock();
        waiting.completed.push(Reverse((start, end)));
        // AcqRel: see VI2 and VI3. From here until the store below nobody else moves the word.
        let mut now = self.word.0.fetch_or(WAITED, Ordering::AcqRel) >> 1;
        while let Some(&Reverse((start, end))) = waiting.completed.peek() {
            assert!(start >= now, "VI1: the range from {start} to {end} is completed, visible is {now}");
            if start != now {
                break;
            }
            waiting.completed.pop();
            now = end;
        }
        let waited = !waiting.completed.is_empty() || !waiting.awaited.is_empty(); // VI4
        // Release: pairs with the Acquire in `get` (VI3).
        self.word.0.store(now << 1 | u64::from(waited), Ordering::Release);
        let wakes = waiting.awaited.iter().any(|&lsn| lsn <= now);
        drop(waiting);
        if wakes {
            self.passed.notify_all();
        }
    }

    /// The slow way of `wait`.
    #[cold]
    fn sleep(&self, lsn: u64) -> Result<()> {
        let mut waiting = self.waiting.lock();
        waiting.awaited.push(lsn);
        loop {
            // AcqRel: see VI2; whoever moves the word from here on sees `awaited`.
            let now = self.word.0.fetch_or(WAITED, Ordering::AcqRel) >> 1;
            if now >= lsn || waiting.stopped {
                let own = waiting.awaited.iter().position(|&awaited| awaited == lsn);
                waiting.awaited.swap_remove(own.expect("pushed above"));
                // `WAITED` may stay set without need: the next commit clears it.
                return if now >= lsn { Ok(()) } else { Err(Error::Stopped) };
            }
            waiting = self.passed.wait(waiting);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
