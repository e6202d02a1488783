//! What can go wrong. Every error says what to do; none leaves anything changed.

use std::time::Duration;

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another transaction committed what this one writes or, if serializable, has read.
    #[error(
        "conflict on key {} of table {table}: another transaction has committed a change since this one began; \
         begin again and repeat it",
        shown_key(key)
    )]
    Conflict {
        /// The table.
        table: u32,
        /// The key.
        key: Vec<u8>,
    },
    /// What the snapshot needs was given up to bound memory.
    #[error(
        "the snapshot is too old: what it needs was given up to bound memory; begin again, keep snapshots open \
         for a shorter time, or raise the memory budget"
    )]
    SnapshotTooOld,
    /// A transaction holds more than it may.
    #[error(
        "transaction too large: {bytes} bytes, {bytes_max} are allowed; commit in smaller parts, load in bulk, or \
         raise the memory budget"
    )]
    TransactionTooLarge {
        /// Bytes that it would hold.
        bytes: usize,
        /// Bytes that it may hold.
        bytes_max: usize,
    },
    /// Transactions wait for each other in a circle, and this one, the youngest, gives way.
    #[error(
        "deadlock on key {} of table {table}: transactions wait for each other's keys, and this one is the youngest; \
         begin again, and claim keys in one order",
        shown_key(key)
    )]
    Deadlock {
        /// The table.
        table: u32,
        /// The key that was waited for.
        key: Vec<u8>,
    },
    /// Another transaction holds the key for longer than one would wait.
    #[error(
        "key {} of table {table} is still claimed by another transaction after {} ms; begin again, or allow more time",
        shown_key(key),
        waited.as_millis()
    )]
    LockTimeout {
        /// The table.
        table: u32,
        /// The key.
        key: Vec<u8>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// All slots are taken.
    #[error("{max} snapshots are open, and there cannot be more; close some that are forgotten")]
    TooManySnapshots {
        /// How many there can be.
        max: usize,
    },
    /// The commit order has come to an end.
    #[error(
        "commits have stopped after a failure: whether this one is durable is unknown; reopen the database"
    )]
    Stopped,
}

/// What may be refused.
pub type Result<T> = std::result::Result<T, Error>;

/// A key as a person may read it: as text if it is some, else in hexadecimal.
pub fn shown_key(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => key.iter().fold("0x".to_owned(), |shown, byte| format!("{shown}{byte:02x}")),
    }
}
