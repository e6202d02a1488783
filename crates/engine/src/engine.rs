//! What all handles and threads of an open database share.
//!
//! ```text
//!  Database, Table ----> Handle ----> Engine <---- the two threads of housekeeping
//!  (users' handles)      closes when  pager, log, catalog, stripes
//!                        the last goes
//! ```

use crate::catalog::Catalog;
use crate::checkpoint::Checkpoints;
use crate::checkpoint_snapshot::CheckpointSnapshots;
use crate::clock::Clock;
use crate::commit_batch::CommitMemory;
use crate::durability::{Commit, Durability};
use crate::error::{Error, Result};
use crate::expiry::Removal;
use crate::housekeeping::Signal;
use crate::large::LargeMemory;
use crate::options::Limits;
use crate::order::Order;
use crate::pace::Pace;
use crate::stats::RecoveryReport;
use crate::stripes::Stripes;
use crate::table_core::TableCore;
use crate::transactions::Transactions;
use crate::watch::Watchers;
use aquifer_buffer::Pager;
use aquifer_io::DiskLock;
use aquifer_pools::{Budget, Reservation};
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::{Arc, Mutex, OnceLock};
use aquifer_wal::Log;
use std::hash::{BuildHasher, RandomState};

/// An open database.
#[derive(Debug)]
pub(crate) struct Engine {
    // Never changed, or safe in itself.
    pub(crate) pager: Arc<Pager>,
    pub(crate) log: Arc<Log>,
    pub(crate) order: Order,
    pub(crate) txns: Transactions,
    pub(crate) watchers: Watchers,
    pub(crate) stripes: Stripes,
    /// There is a data file and a log; else everything is in memory alone.
    pub(crate) on_disk: bool,
    /// A record up to this long never waits for room once it is reserved.
    pub(crate) record_bytes_inside_gate: usize,
    pub(crate) limits: Limits,
    pub(crate) backend: String,
    pub(crate) incarnation: u64,
    pub(crate) recovery: RecoveryReport,
    pub(crate) budget: Arc<Budget>,
    pub(crate) commit_memory: CommitMemory,
    pub(crate) large_memory: Arc<LargeMemory>,
    /// Were there large values when somebody first asked?
    pub(crate) had_large: OnceLock<bool>,
    pub(crate) _reserved: Vec<Reservation>,
    pub(crate) pace: Pace,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) checkpoint_snapshots: CheckpointSnapshots,
    pub(crate) flusher: Signal,
    pub(crate) checkpointer: Signal,
    pub(crate) hash_seeds: HashSeeds,
    pub(crate) clock: Clock,
    pub(crate) removal: Removal,

    // Each behind its own lock.
    /// Held by whatever concerns the whole database: a checkpoint, verification, closing. Holds the disk's lock.
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) catalog: Mutex<Catalog>,
}

/// What the maintenance lock protects.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) disk_lock: Option<Arc<Box<dyn DiskLock>>>,
    pub(crate) closed: bool,
}

/// Where the seeds of hashed tables come from.
#[derive(Debug)]
pub(crate) struct HashSeeds {
    /// Given by the program; else the system draws.
    pub(crate) fixed: Option<u64>,
    pub(crate) drawn: AtomicU64,
}

impl Engine {
    /// A seed for a new hashed table.
    pub(crate) fn new_seed(&self) -> u64 {
        let HashSeeds { fixed, drawn } = &self.hash_seeds;
        let number = drawn.fetch_add(1, Ordering::Relaxed); // it only has to be another each time
        match fixed {
            Some(seed) => seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            // The keys of its hashers are the system's best random numbers that the standard library gives out.
            None => RandomState::new().hash_one(number),
        }
    }

    /// No commit is taken after a failure of the log (P9).
    #[inline]
    pub(crate) fn check_healthy(&self) -> Result<()> {
        match self.log.poisoned() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause }),
        }
    }

    /// May a commit that is visible have put large values? Looks at the root of every table, once.
    pub(crate) fn may_hold_large(&self) -> Result<bool> {
        if self.large_memory.was_used() {
            return Ok(true);
        }
        if let Some(&had) = self.had_large.get() {
            return Ok(had);
        }
        let had = self.catalog.lock().may_hold_large()?;
        Ok(*self.had_large.get_or_init(|| had))
    }

    /// Is this one of the database's tables?
    pub(crate) fn owns(&self, table: &TableCore) -> bool {
        Arc::ptr_eq(&self.pager, &table.pager)
    }

    /// Waits until a commit is as durable as it should be. Commits to unlogged tables never wait here.
    pub(crate) fn wait_for(&self, commit: Commit, durability: Durability) -> Result<()> {
        let Commit::Logged(lsn) = commit else {
            self.flusher.nudge();
            return Ok(());
        };
        self.order.wait(lsn)?; // OR2
        let waited = match durability {
            Durability::Power => self.log.wait_durable(lsn),
            Durability::Process => self.log.wait_written(lsn),
            Durability::Eventual => Ok(()),
        };
        match durability {
            Durability::Power if waited.is_ok() => self.flusher.hint(),
            _ => self.flusher.nudge(),
        }
        waited.map_err(|error| match error.into() {
            Error::DiskFull(cause) => Error::Pending(cause),
            other => other,
        })
    }

    /// Makes the pages of large values that are written durable, before a log record names them. A failed sync ends all commits
    /// (P9).
    pub(crate) fn sync_large(&self) -> Result<()> {
        self.pager.sync_direct().map_err(|error| match error {
            aquifer_buffer::Error::Stopped => Error::Closed,
            error => self.poison(error.into()),
        })
    }

    /// Everything committed so far is on stable storage when this returns.
    pub(crate) fn sync(&self) -> Result<()> {
        Ok(self.log.wait_durable(self.log.reserved())?)
    }
}
