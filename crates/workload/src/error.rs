//! What can go wrong in a run.
//!
//! 1. A store that answers wrongly is an error like any other: there is no figure for it.

use thiserror::Error;

use crate::Workload;

/// What a store's adapter fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum Error {
    /// No workload has this name.
    #[error("no workload is called `{name}`; there are {}", Workload::names())]
    UnknownWorkload {
        /// What was asked for.
        name: String,
    },
    /// No durability has this name.
    #[error("no durability is called `{name}`; there are power, process, eventual")]
    UnknownDurability {
        /// What was asked for.
        name: String,
    },
    /// No isolation level has this name.
    #[error("no isolation level is called `{name}`; there are snapshot, serializable")]
    UnknownIsolation {
        /// What was asked for.
        name: String,
    },
    /// The numbers of the [`Spec`](crate::Spec) make no run.
    #[error("{what}")]
    Spec {
        /// Which number, and what it should be.
        what: String,
    },
    /// The store failed.
    #[error("{doing} failed: {source}")]
    Store {
        /// What was asked of the store.
        doing: &'static str,
        /// What it said.
        source: BoxError,
    },
    /// The store answered, and wrongly.
    #[error("the store gave a wrong answer: {what}; was it loaded with the same --records and --value?")]
    Wrong {
        /// What was asked, what came, what was due.
        what: String,
    },
    /// The process's own memory figures cannot be read.
    #[error("cannot read the resident memory from /proc/self/status: {0}; is /proc mounted?")]
    Memory(#[from] std::io::Error),
    /// A thread of the run panicked: a bug in the store or its adapter.
    #[error("a thread of the run panicked; its message is on standard error")]
    Panicked,
}
