//! What can go wrong with a log.

use crate::Lsn;

/// An error of the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] aquifer_io::IoError),
    /// A write or sync failed earlier: what was not yet durable is in doubt until the database is reopened.
    #[error(
        "the log failed earlier ({cause}); the outcome of commits that were not acknowledged is unknown; reopen the database"
    )]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// Bytes are not what was written.
    #[error(
        "log segment {file} is damaged at byte {offset} (log position {lsn:?}): {what}; restore a backup or use salvage"
    )]
    Corrupt {
        /// Segment file.
        file: String,
        /// Byte offset in it.
        offset: u64,
        /// Log position, where known.
        lsn: Lsn,
        /// What is wrong.
        what: String,
    },
    /// A segment of another format, database or version.
    #[error("log segment {file}: {what}")]
    Format {
        /// Segment file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A log that is to be read from one position to another is not all there.
    #[error("the log in {place}: {what}")]
    Incomplete {
        /// Where it was looked for.
        place: String,
        /// What is missing, and what to do.
        what: String,
    },
    /// The record is larger than a log may ever hold.
    #[error("record of {len} bytes exceeds the log's limit of {max} bytes; write smaller batches")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
}

/// Result of log operations.
pub type Result<T> = std::result::Result<T, Error>;
