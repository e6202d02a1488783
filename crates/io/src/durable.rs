//! Which of two ways makes a single write durable faster on this disk, found by trying both.
//!
//! A write with `RWF_DSYNC` may become one device write that bypasses the cache (FUA), or the same two commands as a
//! write and a data sync; which is faster depends on the device, and on whether the blocks were written before. So the
//! first writes of every period try both in turn, and the rest of the period uses the one with the lower median.

use aquifer_sync::{Mutex, Rank};
use std::time::Duration;

/// A way to write durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DurableMethod {
    /// One system call: `pwritev2` with `RWF_DSYNC`.
    WriteThrough,
    /// Write, then data sync.
    WriteThenSync,
}

/// Tries of each method at the start of a period.
const TRIES: usize = 8;

/// Writes until the methods are compared again: the slower one costs at most 8 in 4096.
const PERIOD_WRITES: u64 = 4096;

/// The choice for one disk, shared by its files.
#[derive(Debug)]
pub(crate) struct DurableChoice {
    trial: Mutex<Trial>,
}

impl DurableChoice {
    /// Nothing is known yet.
    pub(crate) fn new() -> DurableChoice {
        DurableChoice { trial: Mutex::new(Rank::Leaf, Trial::default()) }
    }

    /// The method for the next write.
    pub(crate) fn next(&self) -> DurableMethod {
        self.trial.lock().next()
    }

    /// A write by `method` succeeded and took this long.
    pub(crate) fn took(&self, method: DurableMethod, time: Duration) {
        self.trial.lock().took(method, time);
    }

    /// The kernel or the file system does not know `RWF_DSYNC`.
    pub(crate) fn no_write_through(&self) {
        self.trial.lock().unsupported = true;
    }
}

/// The state machine behind a [`DurableChoice`].
#[derive(Debug, Default)]
struct Trial {
    writes: u64,
    through: Vec<Duration>,
    synced: Vec<Duration>,
    chosen: Option<DurableMethod>,
    unsupported: bool,
}

impl Trial {
    fn next(&mut self) -> DurableMethod {
        if self.unsupported {
            return DurableMethod::WriteThenSync;
        }
        let position = self.writes % PERIOD_WRITES;
        self.writes += 1;
        if position < 2 * TRIES as u64 {
            return if position.is_multiple_of(2) {
                DurableMethod::WriteThrough
            } else {
                DurableMethod::WriteThenSync
            };
        }
        if !self.through.is_empty() && !self.synced.is_empty() {
            let through_wins = median(&mut self.through) <= median(&mut self.synced);
            self.chosen =
                Some(if through_wins { DurableMethod::WriteThrough } else { DurableMethod::WriteThenSync });
            self.through.clear();
            self.synced.clear();
        }
        self.chosen.unwrap_or(DurableMethod::WriteThenSync)
    }

    fn took(&mut self, method: DurableMethod, time: Duration) {
        // Outside a trial (and late comers of one) nothing is learned: a lone sample would decide by itself.
        if self.writes.saturating_sub(1) % PERIOD_WRITES >= 2 * TRIES as u64 {
            return;
        }
        match method {
            DurableMethod::WriteThrough => self.through.push(time),
            DurableMethod::WriteThenSync => self.synced.push(time),
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[cfg(all(test, not(loom)))]
mod tests;
