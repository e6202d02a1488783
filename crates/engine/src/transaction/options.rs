//! How a transaction is begun.

use std::time::Duration;

/// What a transaction is protected from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// It reads one snapshot, and commits only if nobody else has committed a change of what it writes. Two transactions that each read what
    /// the other writes may both commit (write skew).
    #[default]
    Snapshot,
    /// As if all serializable transactions had run one after the other: it also commits only if nobody has committed a change of what it has
    /// read, be it a key, or a range with the keys that were absent from it. Transactions that write at the other level are not part of
    /// that order.
    Serializable,
}

/// How a transaction is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct TxOptions {
    pub(crate) isolation: Isolation,
    pub(crate) read_only: bool,
    pub(crate) lock_timeout: Duration,
    pub(crate) retries_max: u32,
}

impl Default for TxOptions {
    /// Snapshot isolation, one second of patience for locks, a hundred retries.
    fn default() -> Self {
        TxOptions {
            isolation: Isolation::Snapshot,
            read_only: false,
            lock_timeout: Duration::from_secs(1),
            retries_max: 100,
        }
    }
}

impl TxOptions {
    /// The default options.
    pub fn new() -> TxOptions {
        TxOptions::default()
    }

    /// Sets what it is protected from.
    pub fn isolation(mut self, isolation: Isolation) -> TxOptions {
        self.isolation = isolation;
        self
    }

    /// A serializable one.
    pub fn serializable() -> TxOptions {
        TxOptions::default().isolation(Isolation::Serializable)
    }

    /// Writes are refused. Such a transaction never conflicts, at either level.
    pub fn read_only(mut self) -> TxOptions {
        self.read_only = true;
        self
    }

    /// How long it waits for a key that another transaction has locked.
    pub fn lock_timeout(mut self, timeout: Duration) -> TxOptions {
        self.lock_timeout = timeout;
        self
    }

    /// How often [`Database::transact_with`](crate::Database::transact_with) begins again after a conflict.
    pub fn retries_max(mut self, retries: u32) -> TxOptions {
        self.retries_max = retries;
        self
    }
}
