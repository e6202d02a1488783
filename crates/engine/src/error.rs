//! Everything that can go wrong, in one type with kinds that a program can match.
//!
//! 1. Absence is not an error: a key that is not there is `None`.
//! 2. Every message says what, where, and what can be done.
//! 3. After an error of a kind other than [`ErrorKind::Poisoned`] and [`ErrorKind::Closed`] the database works on,
//!    and what failed has changed nothing, except that after [`ErrorKind::Pending`] it is done and not yet durable.

use aquifer_codec::{DecodeError, EncodeError};
use aquifer_io::IoError;
use aquifer_pools::BudgetExhausted;
use aquifer_txn::error::shown_key;
use std::io;
use std::time::Duration;

/// Result of database operations.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused.
    #[error(transparent)]
    Io(IoError),
    /// The disk is full. Nothing is lost; the database goes on when there is space again.
    #[error("the disk is full: {0}; free some space, and the database goes on by itself")]
    DiskFull(IoError),
    /// The disk is full, so a commit is not yet as durable as was asked. It is applied: readers see it, and it becomes
    /// durable when there is space again, before any later commit. Only a crash before that loses it.
    #[error(
        "the commit is done but not yet durable, because the disk is full: {0}; free some space, then wait for it with          sync"
    )]
    Pending(IoError),
    /// Bytes are not what was written.
    #[error("{what}")]
    Corrupt {
        /// What is damaged, where, and what can be done.
        what: String,
    },
    /// A file of another program, or of another version of this one.
    #[error("{what}")]
    Format {
        /// Which file, and what is wrong with it.
        what: String,
    },
    /// Another process (or another handle of this one) has the database open.
    #[error("the database is in use: {what}")]
    Locked {
        /// Who holds it.
        what: String,
    },
    /// A write or sync failed earlier: no commit succeeds until the database is reopened.
    #[error(
        "the database failed earlier ({cause}) and takes no more commits; those not acknowledged are in doubt; \
         reopen it"
    )]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The memory budget does not allow it.
    #[error(transparent)]
    BudgetExhausted(#[from] BudgetExhausted),
    /// The system granted no memory, or every page id is in use.
    #[error("{what}")]
    Exhausted {
        /// What ran out, and what can be done.
        what: String,
    },
    /// A batch or a transaction is larger than the memory budget allows.
    #[error(
        "a batch or transaction of {bytes} bytes is beyond the limit of {bytes_max} bytes; write several smaller ones, load in bulk, or \
         raise memory_budget"
    )]
    TransactionTooLarge {
        /// Memory that it needs, in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// A key is longer than any may be.
    #[error(
        "table {table}: a key of {len} bytes is beyond the limit of {len_max} bytes; use a shorter one, or a hash of it"
    )]
    KeyTooLarge {
        /// Table.
        table: String,
        /// Length of the key in bytes.
        len: usize,
        /// The limit in bytes.
        len_max: usize,
    },
    /// A value is longer than any may be.
    #[error(
        "table {table}: a value of {len} bytes is beyond the limit of {len_max} bytes; divide it among several keys"
    )]
    ValueTooLarge {
        /// Table.
        table: String,
        /// Length of the value in bytes.
        len: usize,
        /// The limit in bytes.
        len_max: usize,
    },
    /// The database was closed while this handle lived.
    #[error("the database is closed; open it again for a new handle")]
    Closed,
    /// There is no database there.
    #[error("no database at {path}; `Database::open` or `options().create` makes one")]
    NotFound {
        /// Where.
        path: String,
    },
    /// There is a database already.
    #[error("there is a database at {path} already; `Database::open` or `options().open` opens it")]
    AlreadyExists {
        /// Where.
        path: String,
    },
    /// There is no table of that name.
    #[error("no table {name}; `create_table` makes it")]
    TableNotFound {
        /// Name asked for.
        name: String,
    },
    /// There is a table of that name already.
    #[error("there is a table {name} already; `table` opens it")]
    TableExists {
        /// Its name.
        name: String,
    },
    /// The table was dropped while this handle lived.
    #[error("table {name} was dropped")]
    TableDropped {
        /// Its name.
        name: String,
    },
    /// A value has changed since what was to be changed of it was read. Nothing has happened: read it and try again.
    #[error("the value in table {table} was changed by somebody else meanwhile; nothing was done: try again")]
    ValueChanged {
        /// Table.
        table: String,
    },
    /// Another transaction committed what this one writes or, if it is serializable, has read. Nothing has happened.
    #[error(
        "conflict in table {table} on key {}: another transaction has committed a change since this one began; nothing was done: \
         begin again, or use transact, which does so by itself",
        shown_key(key)
    )]
    Conflict {
        /// Table.
        table: String,
        /// Key, encoded; of a long one, that of its group.
        key: Vec<u8>,
    },
    /// Transactions wait for each other's keys in a circle, and this one, the youngest, gives way. Nothing has happened.
    #[error(
        "deadlock in table {table} on key {}: transactions wait for each other's keys, and this one is the youngest; roll it back and begin \
         again, and lock keys in one order",
        shown_key(key)
    )]
    Deadlock {
        /// Table.
        table: String,
        /// Key that was waited for, encoded.
        key: Vec<u8>,
    },
    /// Another transaction holds a key for longer than one would wait. Nothing has happened.
    #[error(
        "table {table}: key {} is still locked by another transaction after {} ms; begin again, or allow more time",
        shown_key(key),
        waited.as_millis()
    )]
    LockTimeout {
        /// Table.
        table: String,
        /// Key, encoded.
        key: Vec<u8>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// What a snapshot needs is gone: it was given up to bound memory, or the table was loaded in bulk or had a range deleted since.
    #[error(
        "the snapshot is too old: what it needs was given up to bound memory, or its table was loaded in bulk or had a range deleted since; begin \
         again, keep snapshots open for a shorter time, or raise memory_budget"
    )]
    SnapshotTooOld,
    /// A table holds other types than it was opened with.
    #[error("table {table} holds {stored}, not {asked}; open it with the types it was created with")]
    TypeMismatch {
        /// Its name.
        table: String,
        /// Types of key and value in the catalog.
        stored: String,
        /// Types asked for.
        asked: String,
    },
    /// A record is not of the table's type.
    #[error("table {table}: {error}")]
    Decode {
        /// Table.
        table: String,
        /// What is wrong.
        error: DecodeError,
    },
    /// A value refuses to be written.
    #[error("table {table}: {error}")]
    Encode {
        /// Table.
        table: String,
        /// What is wrong.
        error: EncodeError,
    },
    /// A table's merge operator refuses an operand. Nothing has happened.
    #[error("table {table}: merging into key {} is refused: {reason}; nothing was done", shown_key(key))]
    Merge {
        /// Table.
        table: String,
        /// Key, encoded.
        key: Vec<u8>,
        /// What the operator said.
        reason: String,
    },
    /// The caller asked for something that cannot be.
    #[error("{what}")]
    Usage {
        /// What, and what to do instead.
        what: String,
    },
}

/// The kinds of [`Error`] that a program may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bytes are not what was written.
    Corrupt,
    /// No commit succeeds until the database is reopened.
    Poisoned,
    /// The disk is full.
    DiskFull,
    /// A commit is done, but not yet durable, because the disk is full.
    Pending,
    /// The memory budget, or the system's memory, does not allow it.
    BudgetExhausted,
    /// A batch or a transaction is too large.
    TransactionTooLarge,
    /// The database was closed.
    Closed,
    /// The disk refused.
    Io,
    /// A file of another program or version.
    Format,
    /// Another process has the database.
    Locked,
    /// Somebody else was faster: try again.
    Conflict,
    /// Somebody else holds a key for longer than one would wait.
    LockTimeout,
    /// What a snapshot needs is gone: begin again.
    SnapshotTooOld,
    /// The caller's mistake: too long a key, a wrong type, a wrong option.
    Usage,
    /// No such database or table.
    NotFound,
    /// There is such a database or table already.
    AlreadyExists,
}

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io(_) => ErrorKind::Io,
            Error::DiskFull(_) => ErrorKind::DiskFull,
            Error::Pending(_) => ErrorKind::Pending,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Format { .. } => ErrorKind::Format,
            Error::Locked { .. } => ErrorKind::Locked,
            Error::Poisoned { .. } => ErrorKind::Poisoned,
            Error::BudgetExhausted(_) | Error::Exhausted { .. } => ErrorKind::BudgetExhausted,
            Error::TransactionTooLarge { .. } => ErrorKind::TransactionTooLarge,
            Error::Closed => ErrorKind::Closed,
            Error::NotFound { .. } | Error::TableNotFound { .. } | Error::TableDropped { .. } => {
                ErrorKind::NotFound
            }
            Error::ValueChanged { .. } | Error::Conflict { .. } | Error::Deadlock { .. } => {
                ErrorKind::Conflict
            }
            Error::LockTimeout { .. } => ErrorKind::LockTimeout,
            Error::SnapshotTooOld => ErrorKind::SnapshotTooOld,
            Error::AlreadyExists { .. } | Error::TableExists { .. } => ErrorKind::AlreadyExists,
            Error::KeyTooLarge { .. }
            | Error::ValueTooLarge { .. }
            | Error::TypeMismatch { .. }
            | Error::Decode { .. }
            | Error::Encode { .. }
            | Error::Merge { .. }
            | Error::Usage { .. } => ErrorKind::Usage,
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into() }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Error {
        Error::Usage { what: what.into() }
    }
}

impl From<IoError> for Error {
    fn from(error: IoError) -> Error {
        match error.kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull(error),
            _ => Error::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Io(cause) | Error::DiskFull(cause) | Error::Pending(cause) => cause.kind,
            Error::Corrupt { .. } | Error::Format { .. } => io::ErrorKind::InvalidData,
            Error::BudgetExhausted(_) | Error::Exhausted { .. } => io::ErrorKind::OutOfMemory,
            Error::ValueTooLarge { .. }
            | Error::KeyTooLarge { .. }
            | Error::Merge { .. }
            | Error::Usage { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<aquifer_buffer::Error> for Error {
    fn from(error: aquifer_buffer::Error) -> Error {
        use aquifer_buffer::Error as E;
        match error {
            E::Io(error) => error.into(),
            E::Budget(error) => Error::BudgetExhausted(error),
            E::Corrupt { .. } => Error::Corrupt { what: error.to_string() },
            E::Format { .. } => Error::Format { what: error.to_string() },
            E::Poisoned { cause } => Error::Poisoned { cause },
            E::Stopped => Error::Closed,
            E::Memory { .. } | E::Full { .. } => Error::Exhausted { what: error.to_string() },
        }
    }
}

impl From<aquifer_wal::Error> for Error {
    fn from(error: aquifer_wal::Error) -> Error {
        use aquifer_wal::Error as E;
        match error {
            E::Io(error) => error.into(),
            E::Poisoned { cause } => Error::Poisoned { cause },
            E::Corrupt { .. } => Error::Corrupt { what: error.to_string() },
            E::Format { .. } | E::Incomplete { .. } => Error::Format { what: error.to_string() },
            E::TooLarge { len, max } => Error::TransactionTooLarge { bytes: len, bytes_max: max },
        }
    }
}

#[cfg(test)]
mod tests;
