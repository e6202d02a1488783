//! Which snapshots are open. A snapshot is an LSN: its reader sees exactly the commits at or below it.
//!
//! Each open snapshot has a slot on cache lines of its own. A thread goes first to the slot that it used last, so taking
//! and dropping a snapshot writes nothing that other threads write. Slots come in chunks, made when all are in use.
//!
//! ```text
//!   free --claim--> opening(floor) --read visible--> open(lsn) --drop--> free
//!                                                       |                  ^
//!                                                       '-mark-> too old --'
//! ```
//!
//! A [`Census`] is what a look at all slots found: the snapshots that are open, and a floor under all that it may have
//! missed. It stays true however old it grows, except that it keeps naming snapshots that are closed since; so
//! it may be kept and used again.
//!
//! # Invariants
//!
//! - **SN1** A snapshot that is open and not marked too old is in a census, or at or above its floor.
//! - **SN2** Only the holder of a slot takes it from `opening` to `open` and frees it; only [`Snapshots::mark_too_old`]
//!   takes it from `open` to `too old`.
//! - **SN3** A snapshot is at or below `visible`, and at or above what `visible` was before it was asked for.
//!
//! Why SN1: the taker announces itself in its slot (`opening`), then passes a fence, then reads `visible`. The census reads
//! `visible` as its floor, then passes a fence, then reads the slot. If the taker's fence comes first, the census sees the
//! slot: as open, or as opening, and then lowers its floor to the one that the slot names. If the census' fence comes
//! first, the taker reads a `visible` no older than the floor. Either way there is nothing to check again, so that taking
//! a snapshot never waits and never repeats.

mod retention;

use crate::error::{Error, Result};
use crate::key::CommitLsn;
use crate::visible::Visible;
use aquifer_sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use aquifer_sync::{Arc, OnceLock};
use retention::Retention;
use std::time::{Duration, Instant};

/// Slots in a chunk.
const CHUNK: usize = if cfg!(loom) { 4 } else { 64 };
/// Chunks at most.
const CHUNKS_MAX: usize = if cfg!(loom) { 1 } else { 1024 };

/// States of a slot, in the low bits of its word; the LSN is above them.
const FREE: u64 = 0;
const OPENING: u64 = 1;
const OPEN: u64 = 2;
const TOO_OLD: u64 = 3;
const STATE: u64 = 3;

/// The open snapshots of one database.
///
/// ```
/// use aquifer_sync::Arc;
/// use aquifer_txn::{CommitLsn, Snapshots, Visible};
///
/// let visible = Arc::new(Visible::new(CommitLsn(0)));
/// let snapshots = Snapshots::new(visible.clone());
/// let old = snapshots.take().unwrap();
/// visible.complete(CommitLsn(0), CommitLsn(10));
/// assert_eq!((old.lsn(), snapshots.horizon()), (CommitLsn(0), CommitLsn(0)));
/// drop(old);
/// assert_eq!(snapshots.horizon(), CommitLsn(10));
/// ```
#[derive(Debug)]
pub struct Snapshots {
    visible: Arc<Visible>,
    chunks: Box<[OnceLock<Chunk>]>,
    /// Chunks that exist: all before it.
    chunk_count: AtomicUsize,
    started: Instant,
    retention: Retention,
}

/// Slots that are made at once.
type Chunk = Box<[Arc<Slot>]>;

/// A slot is shared by its snapshot and the registry alone, so counting references to it touches only its own lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    word: AtomicU64,
    /// When a census first met the snapshot, in milliseconds since `started`, plus one; 0 if none has.
    met_ms: AtomicU64,
}

/// An open snapshot; dropping it closes it. May be sent to another thread.
#[derive(Debug)]
#[must_use = "dropping a snapshot closes it"]
pub struct Snapshot {
    slot: Arc<Slot>,
    lsn: CommitLsn,
    index: usize,
}

/// What a look at all slots found (SN1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// In order, each once.
    open: Vec<CommitLsn>,
    floor: CommitLsn,
    oldest_met_ms: Option<u64>,
}

impl Snapshots {
    /// No snapshot is open. Every commit keeps what it replaces.
    pub fn new(visible: Arc<Visible>) -> Snapshots {
        Snapshots::with(visible, Retention::new(None))
    }

    /// No snapshot is open. Commits keep what they replace only while [`are_versions_kept`](Self::are_versions_kept); the first snapshot after a
    /// time without waits for the commits that are under way.
    ///
    /// `reserved` returns the end of the last reservation by a read-modify-write of the word that places in the order are reserved with; that and
    /// all reservations acquire and release.
    pub fn resting(
        visible: Arc<Visible>,
        reserved: impl Fn() -> CommitLsn + Send + Sync + 'static,
    ) -> Snapshots {
        Snapshots::with(visible, Retention::new(Some(Box::new(reserved))))
    }

    fn with(visible: Arc<Visible>, retention: Retention) -> Snapshots {
        let snapshots = Snapshots {
            visible,
            chunks: (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect(),
            chunk_count: AtomicUsize::new(0),
            started: Instant::now(),
            retention,
        };
        snapshots.grow(0);
        snapshots
    }

    /// Whether a commit has to keep what it replaces. It asks after it has reserved its place in the order. One load.
    #[inline]
    pub fn are_versions_kept(&self) -> bool {
        self.retention.is_on()
    }

    /// If no snapshot is open, lets commits keep nothing from now on. Whether that is new: then all versions may be
    /// [tidied](crate::Versions::tidy) away. Linear in the slots.
    pub fn rest(&self) -> bool {
        let is_idle = || self.slots().all(|slot| slot.word.load(Ordering::Acquire) & STATE == FREE);
        self.are_versions_kept() && is_idle() && self.retention.rest(is_idle)
    }

    /// The prefix of the commit order that snapshots are taken of.
    pub fn visible(&self) -> &Visible {
        &self.visible
    }

    /// Opens a snapshot of everything that is visible.
    ///
    /// Two read-modify-writes and a fence, on the slot's own cache line, while the thread finds its last slot free; else a
    /// search through the slots, linear in the snapshots that are open. The first one after a [rest](Self::rest) waits for the commits that are
    /// under way.
    ///
    /// # Errors
    ///
    /// [`Error::TooManySnapshots`], [`Error::Stopped`].
    pub fn take(&self) -> Result<Snapshot> {
        let (slot, index) = self.claim()?;
        // SeqCst: pairs with the fences in `census` (SN1) and in `Retention::rest` (RT2).
        fence(Ordering::SeqCst);
        if let Err(stopped) = self.retention.ensure(&self.visible) {
            slot.word.store(FREE, Ordering::Release);
            return Err(stopped);
        }
        let lsn = self.visible.get();
        slot.met_ms.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire in `census`; also hands on `met_ms`.
        slot.word.store(lsn.0 << 2 | OPEN, Ordering::Release);
        Ok(Snapshot { slot, lsn, index })
    }

    /// The oldest snapshot that is open, `visible` itself counting as one: nobody looks below it now or later.
    pub fn horizon(&self) -> CommitLsn {
        self.census().horizon()
    }

    /// Looks at all slots. Linear in the slots that were ever used at once (64 at least).
    pub fn census(&self) -> Census {
        let mut census = Census { open: Vec::new(), floor: self.visible.get(), oldest_met_ms: None };
        // SeqCst: pairs with the fence in `take` (SN1).
        fence(Ordering::SeqCst);
        let mut now_ms = None;
        for slot in self.slots() {
            // Acquire: pairs with the Release in `take` and in `Snapshot::drop`.
            let word = slot.word.load(Ordering::Acquire);
            let lsn = CommitLsn(word >> 2);
            match word & STATE {
                OPENING => census.floor = census.floor.min(lsn),
                OPEN => {
                    let now_ms = *now_ms.get_or_insert_with(|| self.now_ms());
                    let met_ms = slot.met_ms(now_ms);
                    if census.open.iter().all(|&other| lsn < other) {
                        census.oldest_met_ms = Some(met_ms);
                    }
                    census.open.push(lsn);
                }
                _ => {}
            }
        }
        census.open.sort_unstable();
        census.open.dedup();
        census
    }

    /// How many snapshots are open. Linear in the slots.
    pub fn count(&self) -> usize {
        self.slots().filter(|slot| slot.word.load(Ordering::Relaxed) & STATE != FREE).count()
    }

    /// The oldest snapshot's LSN, and how long ago a census first met it: the first one after it
    /// was taken, which a database that is written to or looked after makes soon.
    pub fn oldest(&self) -> Option<(CommitLsn, Duration)> {
        let census = self.census();
        let met_ms = census.oldest_met_ms?;
        Some((*census.open.first()?, Duration::from_millis(self.now_ms().saturating_sub(met_ms))))
    }

    /// Marks all snapshots at or below `lsn`: their versions may then be cut. How many were marked.
    pub fn mark_too_old(&self, lsn: CommitLsn) -> usize {
        let mut marked = 0;
        for slot in self.slots() {
            let word = slot.word.load(Ordering::Relaxed);
            if word & STATE == OPEN && word >> 2 <= lsn.0 {
                let mark = word & !STATE | TOO_OLD;
                // AcqRel: comes before the cuts, which readers see through the lock of a shard, and after the reads
                // of a former holder. If it fails, the snapshot was closed (SN2).
                marked += usize::from(
                    slot.word.compare_exchange(word, mark, Ordering::AcqRel, Ordering::Relaxed).is_ok(),
                );
            }
        }
        marked
    }

    fn claim(&self) -> Result<(Arc<Slot>, usize)> {
        let floor = self.visible.get().0 << 2 | OPENING;
        let first = preferred::get();
        loop {
            let chunk_count = self.chunk_count.load(Ordering::Acquire);
            let slot_count = chunk_count * CHUNK;
            for step in 0..slot_count {
                let index = (first + step) % slot_count;
                let slot = self.slot(index);
                // Acquire: pairs with the Release in `Snapshot::drop`. SN2: it is ours from here on.
                if slot.word.load(Ordering::Relaxed) == FREE
                    && slot.word.compare_exchange(FREE, floor, Ordering::Acquire, Ordering::Relaxed).is_ok()
                {
                    if step > 0 {
                        preferred::set(index);
                    }
                    return Ok((Arc::clone(slot), index));
                }
            }
            if chunk_count == CHUNKS_MAX {
                return Err(Error::TooManySnapshots { max: CHUNKS_MAX * CHUNK });
            }
            self.grow(chunk_count);
        }
    }

    /// Makes sure that this chunk exists, and that all before it are counted.
    #[cold]
    fn grow(&self, chunk: usize) {
        self.chunks[chunk].get_or_init(|| (0..CHUNK).map(|_| Arc::new(Slot::default())).collect());
        // Release: pairs with the Acquire of who reads the count, and then the chunk. A census that reads an older
        // count misses slots that are claimed after its fence: those are above its floor (SN1).
        self.chunk_count.fetch_max(chunk + 1, Ordering::Release);
    }

    fn slot(&self, index: usize) -> &Arc<Slot> {
        let chunk = self.chunks[index / CHUNK].get().expect("a chunk is made before it is counted");
        &chunk[index % CHUNK]
    }

    fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        let chunk_count = self.chunk_count.load(Ordering::Acquire);
        self.chunks[..chunk_count].iter().filter_map(OnceLock::get).flatten()
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl Slot {
    /// When a census first met the snapshot that is open here. If the slot changes hands meanwhile, the next holder is
    /// met at this moment, which is not far from true.
    fn met_ms(&self, now_ms: u64) -> u64 {
        match self.met_ms.load(Ordering::Relaxed) {
            0 => {
                self.met_ms.store(now_ms + 1, Ordering::Relaxed);
                now_ms
            }
            met_ms => met_ms - 1,
        }
    }
}

impl Snapshot {
    /// What it sees: exactly the commits at or below this.
    #[inline]
    pub fn lsn(&self) -> CommitLsn {
        self.lsn
    }

    /// Says whether versions that it needs may be gone. To be asked after each look at older versions, which
    /// [`Versions`](crate::Versions) does.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotTooOld`].
    #[inline]
    pub fn check(&self) -> Result<()> {
        // Acquire: the mark comes before the cuts that the caller may have seen (under a lock).
        match self.slot.word.load(Ordering::Acquire) & STATE {
            TOO_OLD => Err(Error::SnapshotTooOld),
            _ => Ok(()),
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `claim` and `census`: what it read, it has read.
        self.slot.word.store(FREE, Ordering::Release);
        preferred::set(self.index);
    }
}

impl Census {
    /// The least LSN that a snapshot may have, now or later.
    pub fn horizon(&self) -> CommitLsn {
        self.open.first().map_or(self.floor, |&oldest| oldest.min(self.floor))
    }

    /// The snapshots that are known to be open, in order.
    pub fn open(&self) -> &[CommitLsn] {
        &self.open
    }

    /// Whether a snapshot may lie in `from..to`, now or later.
    pub fn any_within(&self, from: CommitLsn, to: CommitLsn) -> bool {
        to > self.floor || self.newest_within(from, to).is_some()
    }

    /// The newest open snapshot in `from..to`, by its place in [`open`](Self::open); `None` also if only snapshots to
    /// come may lie there.
    pub(crate) fn newest_within(&self, from: CommitLsn, to: CommitLsn) -> Option<usize> {
        let end = self.open.partition_point(|&lsn| lsn < to);
        (end > 0 && self.open[end - 1] >= from).then(|| end - 1)
    }

    /// Whether snapshots to come may lie below `to`.
    pub(crate) fn is_open_below(&self, to: CommitLsn) -> bool {
        to > self.floor
    }
}

/// The slot that the thread used last.
#[cfg(not(loom))]
mod preferred {
    use std::cell::Cell;

    thread_local! {
        static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// At first, threads are spread by where their thread-locals lie.
    pub(super) fn get() -> usize {
        let first =
            || INDEX.with(|index| (std::ptr::from_ref(index) as usize).wrapping_mul(0x9E37_79B9) >> 12);
        INDEX.get().unwrap_or_else(first)
    }

    /// Later, while a thread ends, this may be gone.
    pub(super) fn set(index: usize) {
        let _ = INDEX.try_with(|cell| cell.set(Some(index)));
    }
}

/// Under loom, all threads begin at the first slot, in every execution.
#[cfg(loom)]
mod preferred {
    pub(super) fn get() -> usize {
        0
    }

    pub(super) fn set(_index: usize) {}
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
