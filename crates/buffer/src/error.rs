//! What can go wrong with pages.

use crate::PageId;

/// An error of the buffer manager.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] aquifer_io::IoError),
    /// The memory budget is exhausted and nothing can be evicted.
    #[error(transparent)]
    Budget(#[from] aquifer_pools::BudgetExhausted),
    /// Bytes are not what was written.
    #[error(
        "page {page} in data file slot {slot} (byte {offset}) is damaged: {what}; restore a backup or use salvage"
    )]
    Corrupt {
        /// Page.
        page: PageId,
        /// Slot.
        slot: u32,
        /// Byte offset in the data file.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Not a data file of this program, or one of another version or page size.
    #[error("{file}: {what}")]
    Format {
        /// File.
        file: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// A checkpoint could not be made durable: nothing more can be until the database is reopened.
    #[error("a checkpoint failed after its superblock was issued ({cause}); reopen the database")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The data file is not written any more: it may be another's.
    #[error("the data file is closed")]
    Stopped,
    /// The system granted no address space or memory.
    #[error("no memory for {what}: {cause}; lower memory_budget or raise the process's limits")]
    Memory {
        /// For what.
        what: &'static str,
        /// The system's words.
        cause: String,
    },
    /// Every page id or slot is in use.
    #[error("the database is full: {what}")]
    Full {
        /// Which limit was met.
        what: &'static str,
    },
}

/// Result of buffer operations.
pub type Result<T> = std::result::Result<T, Error>;
