//! Back-pressure: writers are slowed, smoothly, when checkpoints do not keep up with the log.
//!
//! Housekeeping compares the log since the last checkpoint with its bound. From one and a half times the bound on, every
//! byte costs its writer a little time, twice as much for each further quarter of the bound. A thread saves up its debt and
//! sleeps it off in pieces that a timer can measure, before it takes any lock.

use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::thread;
use std::cell::Cell;
use std::time::Duration;

/// Debt below this is carried along.
const NAP: Duration = Duration::from_micros(200);
/// No single commit sleeps longer.
const NAP_MAX: Duration = Duration::from_millis(50);
/// Cost of a byte at one and a half times the bound: a tenth of a gigabyte a second.
const PICOSECONDS_FIRST: u64 = 10_000;
/// Cost of a byte at most: a tenth of a megabyte a second.
const PICOSECONDS_MAX: u64 = 10_000_000;
/// A record costs this many bytes beside its own.
const RECORD_BYTES: usize = 64;

/// How much time a byte of log costs its writer.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    picoseconds_per_byte: AtomicU64,
    slept_us: AtomicU64,
}

thread_local! {
    static DEBT_NS: Cell<u64> = const { Cell::new(0) };
}

impl Pace {
    /// Charges the calling thread for a commit.
    #[inline]
    pub(crate) fn slow_down(&self, bytes: usize) {
        // Relaxed: a hint that stands for itself.
        let cost = self.picoseconds_per_byte.load(Ordering::Relaxed);
        if cost != 0 {
            self.charge(cost, bytes);
        }
    }

    #[cold]
    fn charge(&self, picoseconds_per_byte: u64, bytes: usize) {
        let owed = DEBT_NS.get() + (bytes + RECORD_BYTES) as u64 * picoseconds_per_byte / 1000;
        let owed = Duration::from_nanos(owed).min(NAP_MAX);
        if owed < NAP {
            DEBT_NS.set(owed.as_nanos() as u64);
            return;
        }
        DEBT_NS.set(0);
        self.slept_us.fetch_add(owed.as_micros() as u64, Ordering::Relaxed);
        thread::sleep(owed);
    }

    /// Are writers slowed?
    pub(crate) fn is_slowing(&self) -> bool {
        self.picoseconds_per_byte.load(Ordering::Relaxed) != 0
    }

    /// Sets the cost of a byte by how long the log is.
    pub(crate) fn set(&self, log_bytes: u64, log_bytes_max: u64) {
        self.picoseconds_per_byte.store(cost(log_bytes, log_bytes_max), Ordering::Relaxed);
    }

    /// Time that writers have been slowed for, all together.
    pub(crate) fn slept_us(&self) -> u64 {
        self.slept_us.load(Ordering::Relaxed)
    }
}

fn cost(log_bytes: u64, log_bytes_max: u64) -> u64 {
    let from = log_bytes_max + log_bytes_max / 2;
    let Some(over) = log_bytes.checked_sub(from) else { return 0 };
    let quarters = over / (log_bytes_max / 4).max(1);
    PICOSECONDS_FIRST.checked_shl(quarters.min(32) as u32).unwrap_or(u64::MAX).min(PICOSECONDS_MAX)
}

#[cfg(test)]
mod tests;
