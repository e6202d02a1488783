//! How sure a commit is when the caller goes on, and the ticket that lets it wait later.
//!
//! 1. A ticket is given when the commit is applied: readers see it.
//! 2. Log order is commit order and becomes durable as a prefix, so waiting for one commit waits for all before it (P1).

use crate::engine::Engine;
use crate::error::{Error, Result};
use aquifer_sync::Arc;
use aquifer_wal::Lsn;
use std::fmt;
use std::str::FromStr;

/// What an acknowledged commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Durability {
    /// The process may be killed or the machine lose power before the log is flushed, within 10 ms: the last commits
    /// may then be missing, but what is there is a prefix of them.
    Eventual,
    /// Survives the death of the process: the log has been handed to the kernel.
    Process,
    /// Survives loss of power: the log is on stable storage.
    #[default]
    Power,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Durability::Eventual => "eventual",
            Durability::Process => "process",
            Durability::Power => "power",
        })
    }
}

impl FromStr for Durability {
    type Err = Error;

    fn from_str(name: &str) -> Result<Durability> {
        match name {
            "eventual" => Ok(Durability::Eventual),
            "process" => Ok(Durability::Process),
            "power" => Ok(Durability::Power),
            _ => Err(Error::usage(format!("no durability {name:?}; there are power, process and eventual"))),
        }
    }
}

/// A commit that is applied, and how to find out that it is durable.
///
/// ```
/// # use aquifer::{Database, Durability, TableOptions};
/// # let db = Database::in_memory(4 << 20)?;
/// # let table = db.create_table("t", TableOptions::default())?;
/// let first = table.put_with(b"a", b"1", Durability::Power)?;
/// let second = table.put_with(b"b", b"2", Durability::Power)?;
/// second.wait()?; // and so is the first: commits become durable in their order
/// # drop(first);
/// # Ok::<(), aquifer::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "the commit is applied, but nobody has waited for it to be durable"]
pub struct CommitTicket {
    engine: Arc<Engine>,
    commit: Commit,
    durability: Durability,
}

/// Where a commit stands in the order of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// It changed nothing.
    Nothing,
    /// The end of its log record.
    Logged(Lsn),
    /// It touched only tables without a log, in this epoch: the checkpoint that ends the epoch makes it durable.
    Unlogged { epoch: u64 },
}

impl CommitTicket {
    pub(crate) fn new(engine: &Arc<Engine>, commit: Commit, durability: Durability) -> CommitTicket {
        CommitTicket { engine: Arc::clone(engine), commit, durability }
    }

    /// Waits until the commit is as durable as was asked.
    ///
    /// A commit to unlogged tables alone becomes durable with a checkpoint; if none has come since, this takes one,
    /// unless `Eventual` was asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Pending`] while the disk is full: wait again. [`Error::Poisoned`] if the log failed: whether the commit survives is known when the database is opened again.
    pub fn wait(&self) -> Result<()> {
        match self.commit {
            Commit::Unlogged { epoch } if self.durability > Durability::Eventual => {
                self.engine.checkpoint_covering(epoch)
            }
            commit => self.engine.wait_for(commit, self.durability),
        }
    }

    /// The commit's place in the log; `None` if it logged nothing.
    pub fn lsn(&self) -> Option<Lsn> {
        match self.commit {
            Commit::Logged(lsn) => Some(lsn),
            Commit::Nothing | Commit::Unlogged { .. } => None,
        }
    }

    /// The durability that was asked for.
    pub fn durability(&self) -> Durability {
        self.durability
    }
}

impl fmt::Debug for CommitTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitTicket")
            .field("commit", &self.commit)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
