//! Breaking promises on purpose, so that the tests that should notice can be tested themselves.
//!
//! The places that keep a promise ask [`is`] whether to break it. Without the feature `sabotage` the answer is `false` at
//! compile time, and nothing of this is left in the program. With it the answer is `true` only inside [`with`], on the thread
//! that called it.

/// A promise to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sabotage {
    /// The data file is not synced before the superblock is written.
    SkipDataSync,
    /// The superblock is written before the data file is synced.
    SuperblockFirst,
    /// The superblock is written before the log is durable up to where it says.
    SuperblockBeforeLog,
    /// What the older checkpoint refers to is used again before the newer one is durable.
    ReuseSlotsEarly,
    /// What a kept checkpoint refers to is used again while it is kept.
    ForgetKept,
    /// The checksums of pages are not looked at.
    IgnoreChecksums,
    /// Commits are acknowledged as durable when they are merely written.
    SkipLogSync,
    /// The name of a new log segment is not made durable.
    SkipDirectorySync,
    /// Some commits leave an empty record in the log.
    ForgetRecords,
    /// Replay applies only the first change of a batch.
    HalfBatches,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Sabotage; 10] = [
        Sabotage::SkipDataSync,
        Sabotage::SuperblockFirst,
        Sabotage::SuperblockBeforeLog,
        Sabotage::ReuseSlotsEarly,
        Sabotage::ForgetKept,
        Sabotage::IgnoreChecksums,
        Sabotage::SkipLogSync,
        Sabotage::SkipDirectorySync,
        Sabotage::ForgetRecords,
        Sabotage::HalfBatches,
    ];
}

#[cfg(feature = "sabotage")]
mod switch {
    use super::Sabotage;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Sabotage>> = const { Cell::new(None) };
    }

    /// Whether this promise is to be broken now.
    pub fn is(sabotage: Sabotage) -> bool {
        ON.get() == Some(sabotage)
    }

    /// Runs `work` with this promise broken on the calling thread.
    pub fn with<R>(sabotage: Sabotage, work: impl FnOnce() -> R) -> R {
        struct Restore(Option<Sabotage>);
        impl Drop for Restore {
            fn drop(&mut self) {
                ON.set(self.0);
            }
        }
        let _restore = Restore(ON.replace(Some(sabotage)));
        work()
    }
}

#[cfg(feature = "sabotage")]
pub use switch::{is, with};

/// Whether this promise is to be broken now: never.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub const fn is(_: Sabotage) -> bool {
    false
}
