//! Figures about an open database: plain data.

use crate::engine::Engine;
use aquifer_buffer::PagerStats;
use aquifer_wal::LogStats;
use std::time::Duration;

/// What a database is doing. Counters run since it was opened.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// The way to the kernel, such as `uring, direct`, or `memory`.
    pub backend: String,
    /// Commits applied: single changes and batches, those without effect not counted.
    pub commits: u64,
    /// Tables.
    pub tables: u64,
    /// The memory budget in bytes.
    pub memory_budget: u64,
    /// Of it, in use.
    pub memory_used: u64,
    /// By what.
    pub memory: Vec<MemoryAccount>,
    /// Pages.
    pub pager: PagerStats,
    /// The log.
    pub log: LogStats,
    /// Log bytes that an opening after a crash would replay.
    pub log_bytes_since_checkpoint: u64,
    /// Checkpoints that failed and were tried again.
    pub checkpoint_failures: u64,
    /// Why the last checkpoint failed, unless a later one succeeded.
    pub checkpoint_error: Option<String>,
    /// Time that writers were slowed because checkpoints did not keep up with the log, in microseconds.
    pub writers_slowed_us: u64,
    /// Expired records removed in the background.
    pub expired_removed: u64,
    /// Transactions and snapshots.
    pub transactions: TransactionStats,
    /// Snapshots of checkpoints.
    pub checkpoint_snapshots: CheckpointSnapshotStats,
    /// What opening found.
    pub recovery: RecoveryReport,
}

/// What transactions and snapshots are doing. Counters run since the database was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionStats {
    /// Transactions begun.
    pub begun: u64,
    /// Of them, committed with writes.
    pub committed: u64,
    /// Refused for a conflict when they committed.
    pub conflicts: u64,
    /// Begun again by `transact`.
    pub retries: u64,
    /// Commits that found keys locked by transactions, theirs or others.
    pub lock_waits: u64,
    /// Keys that transactions have locked now.
    pub locked_keys: u64,
    /// Snapshots open now, those of transactions included.
    pub snapshots: u64,
    /// How far the oldest is behind, in bytes of log.
    pub oldest_snapshot_bytes: u64,
    /// How long ago the oldest was first met by somebody who looked, such as this.
    pub oldest_snapshot_age: Duration,
    /// Whether commits keep what they replace, as a snapshot is open, or was lately.
    pub versions_kept: bool,
    /// Older values in memory.
    pub versions: u64,
    /// Bytes that they take.
    pub version_bytes: u64,
}

/// What snapshots of checkpoints there are, and what they cost. Their memory is the account "checkpoint snapshots".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointSnapshotStats {
    /// Open now; those count of which only a reader of a large value is left.
    pub open: u64,
    /// How far the one of the oldest checkpoint is behind, in bytes of log.
    pub oldest_bytes: u64,
    /// How long the one that was taken first has been open.
    pub oldest_age: Duration,
    /// Bytes of the data file that are kept for them all, and for a backup under way, and would be free without them.
    pub kept_bytes: u64,
}

/// A share of the memory budget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryAccount {
    /// For what.
    pub name: &'static str,
    /// Bytes in use.
    pub bytes: u64,
    /// Most bytes that ever were.
    pub peak_bytes: u64,
}

/// What opening a database found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The database was made by this opening.
    pub created: bool,
    /// It had been closed: nothing was to be replayed.
    pub clean: bool,
    /// Commits replayed.
    pub records: u64,
    /// Changes in them.
    pub entries: u64,
    /// Log bytes read.
    pub log_bytes: u64,
    /// Bytes at the end of the log that belonged to no acknowledged commit and were cut off.
    pub tail_cut_bytes: u64,
    /// Tables whose dropping was finished.
    pub tables_dropped: u64,
    /// Counts openings.
    pub incarnation: u64,
    /// Counts checkpoints: the one that was opened.
    pub generation: u64,
    /// Time that it took.
    pub duration: Duration,
}

impl Engine {
    pub(crate) fn stats(&self) -> Stats {
        let pager = self.pager.stats();
        Stats {
            backend: self.backend.clone(),
            commits: self.stripes.commits(),
            tables: self.catalog.lock().tables().count() as u64,
            memory_budget: self.budget.bytes() as u64,
            memory_used: self.budget.used() as u64,
            memory: self
                .budget
                .accounts()
                .into_iter()
                .map(|(name, bytes, peak)| MemoryAccount {
                    name,
                    bytes: bytes as u64,
                    peak_bytes: peak as u64,
                })
                .collect(),
            checkpoint_snapshots: self.checkpoint_snapshots.stats(self.log.reserved(), pager.kept_bytes),
            pager,
            log: self.log.stats(),
            log_bytes_since_checkpoint: self.log_bytes_since_checkpoint(),
            checkpoint_failures: self.checkpoints.failures(),
            checkpoint_error: self.checkpoints.error(),
            writers_slowed_us: self.pace.slept_us(),
            expired_removed: self.removal.removed(),
            transactions: self.transaction_stats(),
            recovery: self.recovery.clone(),
        }
    }
}
