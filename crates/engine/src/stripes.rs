//! Key stripes: locks that stand for keys, so that two commits to one key do not overtake each other.
//!
//! # Invariants
//!
//! - **T4** Per key, the order of log reservations is the order of application: both happen while the key's stripe is
//!   held. Each stripe keeps the last reservation made under it and asserts that they rise.
//! - **ST1** A commit locks all its stripes before the gate, in the order of their numbers, each once: no deadlock.
//! - **ST2** Who holds any stripe holds every table's intent shared; who holds all of them holds it exclusively.
//!
//! ST2 is the table lock. A commit checks that its tables are there after it has locked a stripe; `drop_table` and
//! `close` change that only while they hold all stripes. So a commit that saw its table ends before the table is
//! dropped, and the log holds no change to a table behind the record that drops it; and no commit writes to a word
//! that all others read.

use aquifer_sync::{Mutex, MutexGuard, Rank};
use aquifer_wal::Lsn;

/// All stripes of a database.
#[derive(Debug)]
pub(crate) struct Stripes {
    stripes: Box<[Stripe]>,
    hasher: ahash::RandomState,
}

/// One lock, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Stripe(Mutex<StripeState>);

/// What is known under a stripe.
#[derive(Debug, Default)]
pub(crate) struct StripeState {
    last: Lsn,
    commits: u64,
}

/// A stripe that is held.
pub(crate) type Held<'s> = MutexGuard<'s, StripeState>;

impl StripeState {
    /// Notes a commit whose record was reserved under this stripe (T4).
    pub(crate) fn reserved(&mut self, lsn: Lsn) {
        assert!(lsn > self.last, "T4: record {lsn:?} reserved after {:?} of the same stripe", self.last);
        self.last = lsn;
    }

    /// Counts a commit.
    pub(crate) fn committed(&mut self) {
        self.commits += 1;
    }
}

impl Stripes {
    /// Bytes that `count` stripes take.
    pub(crate) const fn bytes(count: usize) -> usize {
        count * size_of::<Stripe>()
    }

    /// `count` stripes, a power of two.
    pub(crate) fn new(count: usize) -> Stripes {
        assert!(count.is_power_of_two());
        Stripes {
            stripes: (0..count)
                .map(|_| Stripe(Mutex::new(Rank::KeyStripe, StripeState::default())))
                .collect(),
            // Memory only, so the keys need to be neither secret nor the same in another version.
            hasher: ahash::RandomState::with_seeds(
                0x243F_6A88_85A3_08D3,
                0x1319_8A2E_0370_7344,
                0xA409_3822_299F_31D0,
                0x082E_FA98_EC4E_6C89,
            ),
        }
    }

    /// The number of the stripe of a key.
    #[inline]
    pub(crate) fn of(&self, table: u32, key: &[u8]) -> u32 {
        (self.hasher.hash_one((table, key)) & (self.stripes.len() as u64 - 1)) as u32
    }

    /// Locks the stripe of one key.
    #[inline]
    pub(crate) fn lock(&self, table: u32, key: &[u8]) -> Held<'_> {
        self.stripes[self.of(table, key) as usize].0.lock()
    }

    /// Locks the stripes of these numbers, which are in order and differ (ST1).
    pub(crate) fn lock_many(&self, numbers: &[u32]) -> Vec<Held<'_>> {
        debug_assert!(numbers.is_sorted_by(|a, b| a < b), "ST1");
        numbers.iter().map(|&number| self.stripes[number as usize].0.lock()).collect()
    }

    /// Locks every stripe (ST2).
    pub(crate) fn lock_all(&self) -> Vec<Held<'_>> {
        self.stripes.iter().map(|stripe| stripe.0.lock()).collect()
    }

    /// Commits counted under all stripes.
    pub(crate) fn commits(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.lock().commits).sum()
    }
}

#[cfg(test)]
mod tests;
