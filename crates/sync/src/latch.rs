//! The page latch: one word, held exclusively, shared, or not at all, with a version that lets
//! readers do without it.
//!
//! ```text
//!  63                    16 15            0
//! +------------------------+---------------+
//! |        version         |     state     |
//! +------------------------+---------------+
//! state: 0 free | 1 ..= 0xFFFE shared holders | 0xFFFF exclusive
//!
//!           lock_shared            lock_exclusive, upgrade
//!  shared <------------> free -----------------------------> exclusive
//!           unlock_shared     <-----------------------------
//!                              unlock_exclusive: version + 1
//! ```
//!
//! # Invariants
//!
//! - **LA1** At most one exclusive holder, and no shared holder beside it.
//! - **LA2** The version rises at every exclusive release and never otherwise.
//! - **LA3** If [`validate`](Latch::validate) succeeds, every load between it and
//!   [`optimistic`](Latch::optimistic) gave what the last exclusive release before that version had left.
//!
//! # No precedence
//!
//! Whoever finds the latch free takes it; an exclusive waiter does not keep new shared holders out. Readers
//! that are to outlast a stream of changes should therefore begin optimistically and come for the shared
//! latch only after failing: they cannot fail while a writer waits, so the pressure on it ends by itself.
//! In return, a thread may hold one latch shared twice (the two ends of a range scan in one leaf), which
//! a waiter with precedence would turn into a deadlock.
//!
//! Sources: sequence locks after H.-J. Boehm, "Can seqlocks get along with programming language
//! memory models?" (MSPC 2012); optimistic latches as in V. Leis et al., "The ART of practical
//! synchronization" (DaMoN 2016).

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::thread::Backoff;

const STATE: u64 = 0xFFFF;
const EXCLUSIVE: u64 = 0xFFFF;
const SHARED_MAX: u64 = 0xFFFE;
const VERSION_ONE: u64 = 0x1_0000;

/// What was read may be torn or stale: begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart;

/// The version of a latch at some moment at which it was not held exclusively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(u64);

/// A latch word.
#[derive(Debug)]
#[repr(transparent)]
pub struct Latch(AtomicU64);

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}

impl Latch {
    /// A free latch.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Begins an optimistic read.
    ///
    /// # Errors
    ///
    /// [`Restart`] if the latch is held exclusively.
    #[inline]
    pub fn optimistic(&self) -> Result<Version, Restart> {
        // Acquire: pairs with the Release of `unlock_exclusive`, so that data loads that follow see
        // at least what that holder stored.
        let word = self.0.load(Ordering::Acquire);
        if word & STATE == EXCLUSIVE { Err(Restart) } else { Ok(Version(word & !STATE)) }
    }

    /// Ends an optimistic read: did nothing change since `version` was taken?
    ///
    /// # Errors
    ///
    /// [`Restart`] if the latch is, or was, held exclusively in between.
    #[inline]
    pub fn validate(&self, version: Version) -> Result<(), Restart> {
        // Acquire fence: orders the data loads before the load of the word; pairs with the Release
        // fence of `begin_exclusive`: if a load gave what a holder stored, the word is that holder's or later.
        fence(Ordering::Acquire);
        let word = self.0.load(Ordering::Relaxed);
        if word & STATE != EXCLUSIVE && word & !STATE == version.0 { Ok(()) } else { Err(Restart) }
    }

    /// Takes the latch exclusively, waiting for its holders. Not fair: see "No precedence" above.
    pub fn lock_exclusive(&self) {
        let mut backoff = Backoff::new();
        while !self.try_lock_exclusive() {
            backoff.wait();
        }
    }

    /// Takes the latch exclusively if it is free.
    #[inline]
    #[must_use]
    pub fn try_lock_exclusive(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        word & STATE == 0 && self.begin_exclusive(word)
    }

    /// Takes the latch exclusively if it is free and nothing changed since `version`.
    ///
    /// # Errors
    ///
    /// [`Restart`] if it is held, even if only shared, or has changed.
    #[inline]
    pub fn upgrade(&self, version: Version) -> Result<(), Restart> {
        // That the loads since `version` gave nothing newer needs no fence as in `validate`: any later holder
        // comes after the release of this one, and so after those loads.
        if self.begin_exclusive(version.0) { Ok(()) } else { Err(Restart) }
    }

    #[inline]
    fn begin_exclusive(&self, free_word: u64) -> bool {
        // Acquire: pairs with the Release of all three unlocks (LA1: what their holders did is over). The
        // Release fence pairs with the Acquire fence of `validate`: whoever loads what is stored after it
        // cannot find the older word any more.
        let won = self
            .0
            .compare_exchange(free_word, free_word | EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        if won {
            fence(Ordering::Release);
        }
        won
    }

    /// Lets an exclusively held latch go; the version rises (LA2).
    #[inline]
    pub fn unlock_exclusive(&self) {
        let word = self.0.load(Ordering::Relaxed);
        debug_assert_eq!(word & STATE, EXCLUSIVE, "LA1: unlock_exclusive of a latch not held");
        // Release: pairs with the Acquire of `optimistic`, `begin_exclusive` and `try_lock_shared`.
        self.0.store((word & !STATE).wrapping_add(VERSION_ONE), Ordering::Release);
    }

    /// Lets an exclusively held latch go without a new version. Only for holders that changed nothing.
    #[inline]
    pub fn unlock_unchanged(&self) {
        let word = self.0.load(Ordering::Relaxed);
        debug_assert_eq!(word & STATE, EXCLUSIVE, "LA1: unlock_unchanged of a latch not held");
        // Release: as in `unlock_exclusive`.
        self.0.store(word & !STATE, Ordering::Release);
    }

    /// Takes the latch shared, waiting for an exclusive holder.
    pub fn lock_shared(&self) {
        let mut backoff = Backoff::new();
        while !self.try_lock_shared() {
            backoff.wait();
        }
    }

    /// Takes the latch shared if nobody holds it exclusively.
    #[inline]
    #[must_use]
    pub fn try_lock_shared(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        // Other shared holders that come and go meanwhile change the word, but are no reason to fail.
        while word & STATE < SHARED_MAX {
            // Acquire: pairs with the Release of `unlock_exclusive`, or through the operations of other shared
            // holders in between, which continue its release sequence.
            match self.0.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Lets a shared latch go.
    #[inline]
    pub fn unlock_shared(&self) {
        // Release: pairs with the Acquire of `begin_exclusive`: the reads are done before a change (LA1).
        let before = self.0.fetch_sub(1, Ordering::Release);
        debug_assert!((1..=SHARED_MAX).contains(&(before & STATE)), "LA1: unlock_shared of a latch not held");
    }

    /// The version word now, whoever holds the latch: for comparing with later ones.
    #[inline]
    pub fn version(&self) -> Version {
        // Acquire: as in `optimistic`.
        Version(self.0.load(Ordering::Acquire) & !STATE)
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
