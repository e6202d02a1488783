//! What can go wrong.
//!
//! 1. A record that must be there and is not is an error like any other: there are no figures from a broken database.

use thiserror::Error;

/// Why a run or a check has ended early.
#[derive(Debug, Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] aquifer::Error),
    /// A record is missing.
    #[error("table {table}: the record {key} is not there; is the population of another scale?")]
    Missing {
        /// Of which table.
        table: &'static str,
        /// Its key, as text.
        key: String,
    },
    /// The numbers of a scale or a plan make no run.
    #[error("{what}")]
    Numbers {
        /// Which number, and what it should be.
        what: String,
    },
    /// A thread of the run panicked.
    #[error("a thread of the run panicked; its message is on standard error")]
    Panicked,
}
