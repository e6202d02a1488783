//! What transactions share: snapshots, older values, what was announced and what is claimed; and what every commit does for them.
//!
//! Tables are named by their ids, and a key by its *name*: the key itself in a sorted table, and its hash (big-endian) before it in a hashed one,
//! so that names are in the order in which the index has the records. Keys are those of the index: of a long key, its group's.
//! Values are as leaves have them, with a byte behind them that says which kind it is.
//!
//! # Invariants
//!
//! - **TX1** While versions are kept, every commit keeps what it replaces under the latch of the page, after it has its place and before the page
//!   changes. Whether they are kept is asked after the place is reserved (RT1 of `aquifer_txn::snapshots`).
//! - **TX2** Every commit announces itself before it reserves its place, shows it, and settles the notice when it is visible.
//! - **TX3** What a table does to many records at once without keeping each (a bulk load, a range delete) it notes as its `blurred_at`
//!   before a page shows it, and a snapshot below that cannot read the table any more.
//! - **TX4** Older values have their memory from the frames, an eighth of what they may have ahead of what they use: under a page's latch, none can
//!   be evicted for them. If no frame can be had, they are cut.
//! - **TX5** Older values and long commits together take half of the budget from the frames at most, transactions an eighth.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::options::Limits;
use crate::order::Order;
use crate::stats::TransactionStats;
use crate::table_core::{Found, TableCore};
use aquifer_index::{LeafValue, ValueKind};
use aquifer_pools::{Account, Budget, Reservation};
use aquifer_sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use aquifer_sync::{Arc, Mutex, Rank};
use aquifer_txn::{
    Before, Change, Claims, CommitLsn, Conflicts, Notice, Snapshots, Versions, VersionsOptions, WriteKeys,
};
use aquifer_wal::Lsn;
use std::borrow::Cow;
use std::time::Duration;

/// How long a commit without a transaction waits for a key that a transaction has claimed.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// A commit in so many that kept something looks whether that is still needed.
const REST_EVERY: u64 = 16;
/// Shards of the versions.
const VERSION_SHARDS: usize = 64;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) versions: Versions,
    /// TX4.
    version_memory: Mutex<Charge>,
    version_bytes_covered: AtomicUsize,
    version_bytes_spare: usize,
    pub(crate) conflicts: Arc<Conflicts>,
    pub(crate) claims: Arc<Claims>,
    /// Memory of what transactions wrote and read.
    pub(crate) memory: Account,
    /// Memory of long commits (CB4 of `commit_batch`).
    pub(crate) long_commits: Account,
    pub(crate) write_bytes_max: usize,
    /// Merge operators that were ever registered (MR1 of `merge::registry`).
    pub(crate) registrations: AtomicU64,
    pub(crate) counters: Counters,
}

/// What a commit does to a key, beside what value it gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect {
    /// The key is absent afterwards.
    pub(crate) deletes: bool,
    /// It is a merge by an operator that commutes (MG5 of `merge`).
    pub(crate) merges: bool,
}

/// Counts since the opening.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) begun: AtomicU64,
    pub(crate) committed: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) claim_waits: AtomicU64,
}

impl Transactions {
    pub(crate) fn new(order: &Order, limits: &Limits) -> Transactions {
        let log = Arc::clone(&order.log);
        let reserved = move || CommitLsn(log.reserved_in_order().0);
        let snapshots = Arc::new(Snapshots::resting(Arc::clone(order.visible()), reserved));
        let options = VersionsOptions { bytes_max: limits.version_bytes, shards: VERSION_SHARDS };
        // What they have is taken from the frames afterwards (TX4).
        let version_account = Budget::new(limits.version_bytes).account("versions");
        let working = Budget::new(limits.working_bytes);
        let covered = working.account("versions");
        Transactions {
            versions: Versions::new(options, Arc::clone(&snapshots), version_account),
            version_memory: Mutex::new(Rank::Maintenance, Charge::new(&covered, "versions")),
            version_bytes_covered: AtomicUsize::new(0),
            version_bytes_spare: limits.version_bytes / 8,
            snapshots,
            conflicts: Arc::new(Conflicts::new(limits.announced_bytes)),
            claims: Arc::new(Claims::new()),
            memory: Budget::new(limits.transaction_bytes).account("transactions"),
            long_commits: working.account("long commits"),
            write_bytes_max: limits.transaction_bytes,
            registrations: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    /// Announces the change of one key (TX2).
    #[inline]
    pub(crate) fn notice_one(&self, table: &TableCore, key: &[u8]) -> Notice<'_> {
        self.conflicts.notice(|| WriteKeys {
            keys: vec![(table.id, table.index.name(key).as_ref().into())],
            ranges: Vec::new(),
        })
    }

    /// Bytes of old values that one commit may have kept.
    pub(crate) fn kept_bytes_max(&self) -> usize {
        2 * self.version_bytes_spare
    }

    /// TX1.
    #[inline]
    pub(crate) fn keep(
        &self,
        table: &TableCore,
        key: &[u8],
        old: Option<LeafValue<'_>>,
        effect: Effect,
        lsn: Lsn,
    ) {
        if self.snapshots.are_versions_kept() {
            self.push(table, key, old, effect, lsn);
        }
    }

    #[cold]
    fn push(&self, table: &TableCore, key: &[u8], old: Option<LeafValue<'_>>, effect: Effect, lsn: Lsn) {
        let Effect { deletes, merges } = effect;
        let before = match old {
            Some(old) => Before::Value(stored(old).into()),
            None if deletes => return, // what is absent stays so
            None => Before::Absent,
        };
        let change = Change { lsn: CommitLsn(lsn.0), before, deletes, merges };
        self.versions.push(table.id, &table.index.name(key), change);
    }

    /// TX3, while versions are kept.
    pub(crate) fn blur(&self, table: &TableCore, lsn: Lsn) {
        if self.snapshots.are_versions_kept() {
            table.blur(lsn);
        }
    }

    /// Bytes that one commit may have kept beyond what it logs.
    pub(crate) fn kept_at_once_max(&self) -> usize {
        self.version_bytes_spare / 2
    }

    /// Waits until nobody has claimed the key. Nothing is locked.
    #[inline]
    pub(crate) fn honour_claims(&self, engine: &Engine, table: &TableCore, key: &[u8]) -> Result<()> {
        if !self.claims.any() {
            return Ok(());
        }
        self.counters.claim_waits.fetch_add(1, Ordering::Relaxed);
        let honoured = self.claims.honour(table.id, &table.index.name(key), CLAIM_PATIENCE);
        honoured.map_err(|error| engine.transaction_error(error, |_| Some(table)))
    }
}

impl Engine {
    /// The end of a commit: visible, settled (TX2), and with no more kept than the budget allows. Nothing is locked.
    #[inline]
    pub(crate) fn finish(&self, lsn: Lsn, notice: Notice<'_>) -> Result<()> {
        self.order.wait(lsn)?; // T1
        notice.committed();
        if self.watchers.any() {
            self.watchers.wake();
        }
        if self.txns.snapshots.are_versions_kept() {
            // Spread, whatever the lengths of records have in common.
            let chance = lsn.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            self.tidy_versions(chance.is_multiple_of(REST_EVERY));
        }
        Ok(())
    }

    pub(crate) fn transaction_stats(&self) -> TransactionStats {
        let Transactions { snapshots, versions, claims, counters, .. } = &self.txns;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let oldest = snapshots.oldest();
        let behind = |lsn: CommitLsn| self.order.visible().get().0.saturating_sub(lsn.0);
        TransactionStats {
            begun: count(&counters.begun),
            committed: count(&counters.committed),
            conflicts: count(&counters.conflicts),
            retries: count(&counters.retries),
            lock_waits: count(&counters.claim_waits),
            locked_keys: claims.count() as u64,
            snapshots: snapshots.count() as u64,
            oldest_snapshot_bytes: oldest.map_or(0, |(lsn, _)| behind(lsn)),
            oldest_snapshot_age: oldest.map_or(Duration::ZERO, |(_, age)| age),
            versions_kept: snapshots.are_versions_kept(),
            versions: versions.count() as u64,
            version_bytes: versions.bytes() as u64,
        }
    }

    /// Takes memory for what is kept; cuts what is beyond the budget; and all of it, if nobody needs it any more. Nothing is locked.
    #[cold]
    pub(crate) fn tidy_versions(&self, may_rest: bool) {
        let Transactions { versions, snapshots, .. } = &self.txns;
        let is_covered = self.cover_versions();
        if versions.wants_cut() || !is_covered {
            let covered = self.txns.version_bytes_covered.load(Ordering::Relaxed);
            let cut = if is_covered { versions.cut() } else { versions.cut_within(covered) };
            if cut.marked > 0 {
                tracing::warn!(
                    snapshots = cut.marked,
                    bytes = cut.bytes_before,
                    "old snapshots were given up to bound the memory of older values"
                );
            }
        }
        if may_rest && snapshots.rest() {
            versions.tidy();
            self.cover_versions();
        }
    }

    /// TX4. Whether the frames could give it.
    pub(crate) fn cover_versions(&self) -> bool {
        let txns = &self.txns;
        let used = txns.versions.granted();
        let wanted = if used > 0 { used + txns.version_bytes_spare } else { 0 };
        let covered = txns.version_bytes_covered.load(Ordering::Relaxed); // as of an instant ago
        if used + txns.version_bytes_spare / 2 <= covered && covered <= 2 * wanted {
            return true;
        }
        // Who finds somebody at it leaves it to him.
        let Some(mut memory) = txns.version_memory.try_lock() else { return true };
        if 2 * wanted < memory.bytes() {
            memory.clear();
        }
        let is_covered = memory.cover(self, wanted).is_ok();
        txns.version_bytes_covered.store(memory.bytes(), Ordering::Relaxed);
        is_covered
    }

    /// An error of transactions, with the table's name in place of its number.
    #[cold]
    pub(crate) fn transaction_error<'t>(
        &self,
        error: aquifer_txn::Error,
        table_of: impl FnOnce(u32) -> Option<&'t TableCore>,
    ) -> Error {
        use aquifer_txn::Error as E;
        let place = |table: u32, name: Vec<u8>| match table_of(table) {
            Some(table) => (table.name.clone(), table.index.key_of_name(&name).to_vec()),
            None => (format!("number {table}"), name),
        };
        match error {
            E::Conflict { table, key } => {
                let (table, key) = place(table, key);
                Error::Conflict { table, key }
            }
            E::Deadlock { table, key } => {
                let (table, key) = place(table, key);
                Error::Deadlock { table, key }
            }
            E::LockTimeout { table, key, waited } => {
                let (table, key) = place(table, key);
                Error::LockTimeout { table, key, waited }
            }
            E::SnapshotTooOld => Error::SnapshotTooOld,
            E::TransactionTooLarge { bytes, bytes_max } => Error::TransactionTooLarge { bytes, bytes_max },
            E::TooManySnapshots { .. } => Error::Exhausted { what: error.to_string() },
            E::Stopped => self.order.poisoned(),
        }
    }
}

impl Index {
    /// What transactions call a key.
    #[inline]
    pub(crate) fn name<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        match self {
            Index::Sorted(_) => Cow::Borrowed(key),
            Index::Hashed(hash) => Cow::Owned([&hash.hash_of(key).to_be_bytes()[..], key].concat()),
        }
    }

    /// The key of a name.
    pub(crate) fn key_of_name<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        match self {
            Index::Sorted(_) => name,
            Index::Hashed(_) => name.get(8..).unwrap_or_default(),
        }
    }
}

/// Memory of one transaction, or of older values: within what all may have, and taken from the frames; given back when it goes.
#[derive(Debug)]
pub(crate) struct Charge {
    limit: Account,
    name: &'static str,
    taken: Vec<Reservation>,
    bytes: usize,
}

/// Bytes that are taken from the frames at a time.
const CHARGE_BYTES: usize = 64 << 10;

impl Charge {
    /// Nothing yet, of what has this limit.
    pub(crate) fn new(limit: &Account, name: &'static str) -> Charge {
        Charge { limit: limit.clone(), name, taken: Vec::new(), bytes: 0 }
    }

    /// Makes sure that so many bytes are taken. Nothing is locked.
    ///
    /// # Errors
    ///
    /// `BudgetExhausted`, if others have too much, or no frame can be had; the disk's.
    #[inline]
    pub(crate) fn cover(&mut self, engine: &Engine, bytes: usize) -> Result<()> {
        if bytes <= self.bytes { Ok(()) } else { self.take(engine, bytes - self.bytes) }
    }

    #[cold]
    fn take(&mut self, engine: &Engine, more: usize) -> Result<()> {
        let more = more.next_multiple_of(CHARGE_BYTES.min(engine.txns.write_bytes_max / 32));
        self.limit.take(more)?;
        match engine.pager.reserve_from_frames(self.name, more) {
            Ok(taken) => self.taken.push(taken),
            Err(error) => {
                self.limit.give_back(more);
                return Err(error.into());
            }
        }
        self.bytes += more;
        Ok(())
    }

    /// Gives all of it back.
    pub(crate) fn clear(&mut self) {
        self.taken.clear();
        self.limit.give_back(std::mem::take(&mut self.bytes));
    }

    /// What is taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.limit.give_back(self.bytes);
    }
}

/// A value as versions have it.
pub(crate) fn stored(value: LeafValue<'_>) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.bytes.len() + 1);
    stored.extend_from_slice(value.bytes);
    stored.push(u8::from(value.is_large()));
    stored
}

/// What that was.
pub(crate) fn found(mut stored: Vec<u8>) -> Found {
    let kind = if stored.pop() == Some(1) { ValueKind::Large } else { ValueKind::Inline };
    Found { kind, bytes: stored }
}
