//! Older values, for as long as a snapshot needs them.
//!
//! The newest committed value of a key is in the store. A committer pushes what was there before, under the lock that
//! it changes the key under, and before it changes it. A reader at a snapshot reads the store first and asks here after.
//!
//! ```text
//!   chain of one key, oldest first:   {100, "a"}  {150, absent}  {180, "c"}        store: "d"
//!   a snapshot in                   [..100) "a"  [100,150) absent  [150,180) "c"   [180..) "d"
//! ```
//!
//! A version is needed while a snapshot may lie in the interval that it serves (a [`Census`] says so). What is not is
//! cut: of the key that is pushed, and of two more keys at each push, in turn. So one long reader costs one version for each key
//! that changed since, and versions that nobody needs are at most about as many as those that somebody does.
//!
//! When versions take more than their budget, [`Versions::cut`] marks the oldest snapshots *too old* and cuts what only they
//! needed.
//!
//! # Cost
//!
//! Shards by hash of table and key, each a mutex over a hash table. A push is one lock, one probe and three small
//! allocations; a lookup is one load where nothing newer than the snapshot was pushed to the shard, else one lock and one probe. A push
//! that deletes a key also enters it into an ordered set of its table (`removed`), O(log n), as a scan no longer meets it
//! in the store.
//!
//! # Invariants
//!
//! - **VE1** In a chain LSNs rise: a key's changes are pushed in commit order (T4), each before the store shows it.
//! - **VE2** A version is cut only by a census that no snapshot in its interval is in or may come to. So every snapshot that is
//!   not marked finds what it needs.
//! - **VE3** Snapshots are marked before what they need is cut, and every lookup checks the mark after it let the shard go.
//! - **VE4** A push never fails and never waits, but for the lock of a shard. Who is over budget is told afterwards.
//! - **VE5** `newest` of a shard is at least the LSN of every version that was ever pushed to it.
//! - **VE6** A key that a version says was there, and that a later commit deleted, is in `removed` for as long as the version is.
//! - **VE7** A version that is said to merge stands for merges alone: itself, and the newer ones up to the next version that were cut. So who has
//!   a snapshot finds whether anything else has changed the key since.

mod before;
mod chain;
mod removed;
mod shard;

pub use before::{Before, InversePatch};

use crate::error::{Error, Result};
use crate::key::{CommitLsn, Direction, KeyRange};
use crate::snapshots::{Census, Snapshot, Snapshots};
use aquifer_pools::Account;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use removed::Removed;
use shard::{Room, Shard};

/// How versions are kept.
#[derive(Debug, Clone, Copy)]
pub struct VersionsOptions {
    /// Bytes that all versions may take before old snapshots are given up.
    pub bytes_max: usize,
    /// Shards, a power of two: a few for each thread that commits. Each may keep some tens of versions more than needed.
    pub shards: usize,
}

impl Default for VersionsOptions {
    /// 16 MiB in 64 shards.
    fn default() -> Self {
        VersionsOptions { bytes_max: 16 << 20, shards: 64 }
    }
}

/// Older values of all keys of one database.
///
/// ```
/// use aquifer_pools::Budget;
/// use aquifer_sync::Arc;
/// use aquifer_txn::{AsOf, Before, Change, CommitLsn, Snapshots, Versions, VersionsOptions, Visible};
///
/// let visible = Arc::new(Visible::new(CommitLsn(0)));
/// let snapshots = Arc::new(Snapshots::new(visible.clone()));
/// let account = Budget::new(1 << 20).account("versions");
/// let versions = Versions::new(VersionsOptions::default(), snapshots.clone(), account);
///
/// let snapshot = snapshots.take()?;
/// // A commit at 10 changes "k" from "old" to "new".
/// let change = Change { lsn: CommitLsn(10), before: Before::Value((*b"old").into()), deletes: false, merges: false };
/// versions.push(1, b"k", change);
/// visible.complete(CommitLsn(0), CommitLsn(10));
///
/// assert_eq!(versions.value_as_of(&snapshot, 1, b"k", Some(b"new"))?, AsOf::Value(b"old".to_vec()));
/// assert_eq!(versions.value_as_of(&snapshots.take()?, 1, b"k", Some(b"new"))?, AsOf::Current);
/// # Ok::<(), aquifer_txn::Error>(())
/// ```
#[derive(Debug)]
pub struct Versions {
    snapshots: Arc<Snapshots>,
    shards: Box<[Shard]>,
    removed: Removed,
    hasher: ahash::RandomState,
    account: Account,
    bytes_max: usize,
    /// Bytes that shards may take memory by at a time.
    granule: usize,
    /// Bytes taken by all shards, in granules.
    granted: AtomicUsize,
    /// Over budget, and not yet cut.
    wants_cut: AtomicBool,
    /// The account has refused a granule since the last cut.
    refused: AtomicBool,
    /// Somebody is cutting.
    cutting: AtomicBool,
}

/// What a commit does to a key, as far as older snapshots are concerned.
#[derive(Debug)]
pub struct Change {
    /// The commit.
    pub lsn: CommitLsn,
    /// What was there before.
    pub before: Before,
    /// Whether the key is absent from the store afterwards.
    pub deletes: bool,
    /// Whether it is a merge by the table's operator, of which any two may change places (VE7).
    pub merges: bool,
}

/// The value of a key at a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// What the store has.
    Current,
    /// None: the key was not there.
    Absent,
    /// This one.
    Value(Vec<u8>),
}

/// What [`Versions::cut`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Snapshots that were marked too old.
    pub marked: usize,
    /// Bytes in use before.
    pub bytes_before: usize,
    /// Bytes in use afterwards.
    pub bytes_after: usize,
}

impl Versions {
    /// No versions yet. Their memory is taken from `account` as it is needed.
    ///
    /// # Panics
    ///
    /// If `shards` is not a power of two.
    pub fn new(options: VersionsOptions, snapshots: Arc<Snapshots>, account: Account) -> Versions {
        let VersionsOptions { bytes_max, shards } = options;
        assert!(shards.is_power_of_two(), "{shards} shards are no power of two");
        Versions {
            snapshots,
            shards: (0..shards).map(|_| Shard::new()).collect(),
            removed: Removed::new(),
            // Memory only: neither secret nor the same in another version. (Not digits of pi: ahash takes these away again.)
            hasher: ahash::RandomState::with_seeds(
                0x9E37_79B9_7F4A_7C15,
                0xB7E1_5162_8AED_2A6A,
                0x6A09_E667_F3BC_C908,
                0xBB67_AE85_84CA_A73B,
            ),
            account,
            bytes_max,
            granule: (bytes_max / (4 * shards)).clamp(1 << 10, 64 << 10),
            granted: AtomicUsize::new(0),
            wants_cut: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            cutting: AtomicBool::new(false),
        }
    }

    /// Keeps what a commit is about to replace. Under the lock that keeps others from the key, after the commit has its
    /// LSN, and before the store changes (VE1). Never fails (VE4); ask [`wants_cut`](Self::wants_cut) when nothing is
    /// locked any more.
    ///
    /// # Panics
    ///
    /// If a later change of the key was pushed before (T4).
    pub fn push(&self, table: u32, key: &[u8], change: Change) {
        let hash = self.hash(table, key);
        self.shard(hash).push(self, hash, table, key, change);
    }

    /// The value of the key at the snapshot, where the store has `current`, read before this call.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotTooOld`].
    pub fn value_as_of(
        &self,
        snapshot: &Snapshot,
        table: u32,
        key: &[u8],
        current: Option<&[u8]>,
    ) -> Result<AsOf> {
        let hash = self.hash(table, key);
        let found = self.shard(hash).value_as_of(snapshot.lsn(), hash, table, key, current);
        snapshot.check()?; // VE3
        Ok(found)
    }

    /// Refuses if a commit after the snapshot has changed the key: the first committer wins.
    ///
    /// To be called under the lock that keeps others from the key, so that no commit is between its place in the order and
    /// its push. Every commit pushes, autocommits too, and a version of a change after an open snapshot is not cut
    /// before the one that this snapshot needs; so nobody has to publish anything for this.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`], [`Error::SnapshotTooOld`].
    pub fn check_unchanged(&self, snapshot: &Snapshot, table: u32, key: &[u8]) -> Result<()> {
        let hash = self.hash(table, key);
        let changed = self.shard(hash).is_changed_after(snapshot.lsn(), hash, table, key, false);
        self.unless(snapshot, changed, table, key)
    }

    /// As [`check_unchanged`](Self::check_unchanged), for who merges into the key and has not read it: others may have merged too (VE7).
    ///
    /// # Errors
    ///
    /// As [`check_unchanged`](Self::check_unchanged).
    pub fn check_only_merged(&self, snapshot: &Snapshot, table: u32, key: &[u8]) -> Result<()> {
        let hash = self.hash(table, key);
        let changed = self.shard(hash).is_changed_after(snapshot.lsn(), hash, table, key, true);
        self.unless(snapshot, changed, table, key)
    }

    fn unless(&self, snapshot: &Snapshot, changed: bool, table: u32, key: &[u8]) -> Result<()> {
        snapshot.check()?; // VE3
        if changed { Err(Error::Conflict { table, key: key.to_vec() }) } else { Ok(()) }
    }

    /// A number that rises before a delete takes a key of the table out of the store.
    #[inline]
    pub fn removals(&self, table: u32) -> u64 {
        self.removed.listings(table)
    }

    /// The first key in the range, or the last one when going backward, that was deleted and has versions that a
    /// snapshot needs (VE6). A scan asks for what lies between two keys after it has read them in the store.
    pub fn next_removed(&self, table: u32, range: &KeyRange, direction: Direction) -> Option<Vec<u8>> {
        self.removed.next(table, range, direction)
    }

    /// Whether memory is over budget, so that somebody should call [`cut`](Self::cut) soon.
    #[inline]
    pub fn wants_cut(&self) -> bool {
        self.wants_cut.load(Ordering::Relaxed)
    }

    /// Cuts what nobody needs, then marks the oldest snapshots too old, until three quarters of the budget are enough (of what
    /// the account gave, if it refused more). Does nothing if another thread is at it. Walks all versions, a few hundred under one lock; to be called with nothing locked.
    pub fn cut(&self) -> Cut {
        self.cut_within(self.bytes_max)
    }

    /// As [`cut`](Self::cut), where less than the budget is there to be had.
    pub fn cut_within(&self, bytes_max: usize) -> Cut {
        let bytes_before = self.bytes();
        if self.cutting.swap(true, Ordering::Acquire) {
            return Cut { marked: 0, bytes_before, bytes_after: bytes_before };
        }
        let refused = self.refused.swap(false, Ordering::Relaxed);
        let given = if refused { self.granted.load(Ordering::Relaxed) } else { self.bytes_max };
        let target = given.min(bytes_max).min(self.bytes_max) / 4 * 3;
        let mut marked = 0;
        loop {
            let census = self.snapshots.census();
            let needed = self.sweep(&census);
            let bytes = self.bytes();
            if bytes <= target || census.open().is_empty() {
                break;
            }
            // The oldest ones that hold enough between them, or all.
            let mut excess = bytes - target;
            let enough = needed.iter().position(|&bytes| {
                excess = excess.saturating_sub(bytes);
                excess == 0
            });
            let last = census.open()[enough.unwrap_or(needed.len() - 1)];
            marked += self.snapshots.mark_too_old(last); // before the next sweep: VE3
        }
        self.wants_cut.store(false, Ordering::Relaxed);
        self.cutting.store(false, Ordering::Release);
        Cut { marked, bytes_before, bytes_after: self.bytes() }
    }

    /// Cuts what nobody needs, and nothing else. For times of little work; walks all versions.
    pub fn tidy(&self) {
        self.sweep(&self.snapshots.census());
    }

    /// Bytes in use. Locks each shard.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Bytes that all shards have taken, some in advance. One load.
    #[inline]
    pub fn granted(&self) -> usize {
        self.granted.load(Ordering::Relaxed)
    }

    /// Versions in use. Locks each shard.
    pub fn count(&self) -> usize {
        self.shards.iter().map(Shard::versions).sum()
    }

    /// Bytes that each open snapshot is the newest to need, in the order of the census; without those for snapshots
    /// to come.
    fn sweep(&self, census: &Census) -> Vec<usize> {
        let mut needed = vec![0; census.open().len()];
        for shard in &self.shards {
            shard.sweep(self, census, &mut needed);
        }
        needed
    }

    fn hash(&self, table: u32, key: &[u8]) -> u64 {
        self.hasher.hash_one((table, key))
    }

    fn shard(&self, hash: u64) -> &Shard {
        // The hash table of the shard uses the low and the highest bits.
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)]
    }
}

/// What shards need of the whole.
impl Room for Versions {
    fn census(&self) -> Census {
        self.snapshots.census()
    }

    fn removed(&self) -> &Removed {
        &self.removed
    }

    fn granule(&self) -> usize {
        self.granule
    }

    fn take_granule(&self) -> bool {
        let granted = self.granted.fetch_add(self.granule, Ordering::Relaxed) + self.granule;
        let taken = self.account.take(self.granule).is_ok();
        if !taken {
            self.granted.fetch_sub(self.granule, Ordering::Relaxed);
            self.refused.store(true, Ordering::Relaxed);
        }
        if !taken || granted > self.bytes_max {
            self.wants_cut.store(true, Ordering::Relaxed);
        }
        taken
    }

    fn give_granule_back(&self) {
        self.granted.fetch_sub(self.granule, Ordering::Relaxed);
        self.account.give_back(self.granule);
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        self.account.give_back(self.granted.load(Ordering::Relaxed));
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
