//! Lock ranks: the one order in which locks are taken, checked in debug builds.
//!
//! A thread may take a lock only if its rank is greater than (or, for ranks that allow it, equal to)
//! every rank that the thread holds. Page latches and the gate are not mutexes but take part.

#[cfg(all(debug_assertions, not(loom)))]
use std::cell::RefCell;

/// The ranks, outermost first. `docs/locks.md` says what each protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// A whole-database operation: checkpoint, close.
    Maintenance,
    /// The catalog of tables.
    Catalog,
    /// Keys that transactions have claimed.
    Claims,
    /// A table is used (shared) or dropped (exclusive).
    TableIntent,
    /// Keys that a commit writes, by stripe number; many at once.
    KeyStripe,
    /// No epoch ends: held by a flip, and by a commit of many passages.
    Flip,
    /// The gate; never entered twice.
    Gate,
    /// The one batch of page writes of its kind under way: eviction, checkpoint, growth of the page table, sync of the
    /// data file.
    PageWrites,
    /// Pages, top-down and left to right; many at once.
    PageLatch,
    /// Older values of the keys of one shard.
    VersionShard,
    /// The free list and clock of a pool.
    Pool,
    /// Written versions of an epoch, page ids, copies for the checkpoint.
    Epoch,
    /// Free slots of the data file.
    Space,
    /// The log's flusher and segments.
    Log,
    /// Leaves: locks under which no other lock is taken.
    Leaf,
}

impl Rank {
    fn repeats(self) -> bool {
        matches!(self, Rank::KeyStripe | Rank::PageWrites | Rank::PageLatch | Rank::TableIntent)
    }
}

#[cfg(all(debug_assertions, not(loom)))]
thread_local! {
    static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` on the ranks that the thread holds. Locks that other thread-locals take while the thread
/// ends, after this one is gone, are not checked.
#[cfg(all(debug_assertions, not(loom)))]
fn with_held<R>(f: impl FnOnce(&mut Vec<Rank>) -> R) -> Option<R> {
    HELD.try_with(|held| f(&mut held.borrow_mut())).ok()
}

/// Notes that the calling thread takes a lock. To be called before waiting for it.
///
/// # Panics
///
/// In debug builds, if the thread holds a lock that must be taken after this one.
#[inline]
#[track_caller]
pub fn acquired(rank: Rank) {
    #[cfg(all(debug_assertions, not(loom)))]
    {
        let worst = with_held(|held| {
            let worst = held.iter().copied().max();
            held.push(rank);
            worst
        });
        if let Some(worst) = worst.flatten()
            && (worst > rank || (worst == rank && !rank.repeats()))
        {
            released(rank); // it is not taken after all
            panic!("lock order: {rank:?} taken while holding {worst:?}");
        }
    }
    #[cfg(any(not(debug_assertions), loom))]
    let _ = rank.repeats();
}

/// Notes a lock got by trying: it cannot deadlock, so its order is not checked.
#[inline]
pub fn acquired_by_trying(rank: Rank) {
    #[cfg(all(debug_assertions, not(loom)))]
    with_held(|held| held.push(rank));
    #[cfg(any(not(debug_assertions), loom))]
    let _ = rank;
}

/// Notes that the calling thread lets a lock go.
#[inline]
pub fn released(rank: Rank) {
    #[cfg(all(debug_assertions, not(loom)))]
    with_held(|held| {
        if let Some(at) = held.iter().rposition(|&r| r == rank) {
            held.remove(at);
        }
    });
    #[cfg(any(not(debug_assertions), loom))]
    let _ = rank;
}

#[cfg(all(test, debug_assertions, not(loom)))]
mod tests;
