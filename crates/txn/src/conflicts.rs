//! What later commits wrote, against what a serializable transaction read.
//!
//! A transaction that is to be serializable *watches* from its beginning to its end. While anybody watches, every commit,
//! autocommits too, announces the keys that it writes:
//!
//! ```text
//!   notice() --> preparing --reserve, shown(lsn)--> in flight --visible passes it, committed()--> recent
//!      |             '-------- dropped: withdrawn; it counts for nothing ----'
//!      '--> nobody watches: nothing is announced; one load here, one in shown()
//! ```
//!
//! The watcher, when it commits, gets its own place in the order and then compares its reads with all writes between its
//! snapshot and that place: those that are *recent* (visible; newest LSN of each key, ordered) and those in flight. Of those
//! that are preparing, it waits for the LSN. Then it is as if it had run as a whole at its place in the order.
//!
//! # Nobody is missed
//!
//! One word counts the watches that are under way, and all that ever began. A commit looks at it before it reserves its place. If
//! nobody watches, it looks again after it; if any watch has begun in between, be it over already, it gives its place up as aborted and
//! begins anew ([`Unannounced`]). Reservations are read-modify-writes of one word that acquire and release (the log's next
//! position). A watcher counts itself, then makes such a read-modify-write (of nothing), which gives it the end of the last
//! reservation; then it takes a snapshot that is no older than that.
//!
//! - A commit that reserved before that read-modify-write is at or below the snapshot, and seen.
//! - One that reserves after it reads from it, or from a reservation after it, so that it sees the watch counted. If it had looked before
//!   that, it begins anew; if not, it was announced, or it has seen the watch end and its place is after the watcher's.
//!
//! # Cost
//!
//! While nobody watches: two loads of a word that only watchers write. While somebody does: three short passages of one lock for each
//! commit, and a copy of its keys. Validation: for each key read a search in an ordered map, for each range one and what lies
//! in it, and all that is in flight.
//!
//! # Invariants
//!
//! - **CO1** A commit with an LSN above a watcher's snapshot has announced its keys before it reserved, or is aborted.
//! - **CO2** An announcement before the lock of a validation is in its list. One after it reserves after it, so its LSN is above
//!   the validator's, which was reserved before.
//! - **CO3** What was announced stays in the list until it is withdrawn or in `recent`; this stays while a watcher's
//!   snapshot is below its LSN, or `refused_below` is above that snapshot.
//! - **CO4** `watched` counts those in `watchers`.

mod recent;

use crate::error::{Error, Result};
use crate::key::{CommitLsn, KeyRange};
use crate::reads::ReadSet;
use crate::snapshots::{Snapshot, Snapshots};
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::thread::Backoff;
use aquifer_sync::{Arc, Mutex, Rank};
use recent::Recent;
use std::collections::BTreeMap;
use std::ops::Deref;

/// LSN of an announcement that has none yet, and of one that was withdrawn.
const PREPARING: u64 = 0;
const WITHDRAWN: u64 = u64::MAX;

/// The keys that a commit writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteKeys {
    /// Table and key.
    pub keys: Vec<(u32, Box<[u8]>)>,
    /// Ranges of which everything was deleted.
    pub ranges: Vec<(u32, KeyRange)>,
}

/// Write sets of the commits that a serializable transaction may conflict with.
#[derive(Debug)]
pub struct Conflicts {
    watched: Watched,
    state: Mutex<State>,
    bytes_max: usize,
}

/// How many watch (low half), and how many ever began to (high half). On lines of its own: all commits read it, and only
/// watchers write it.
#[derive(Debug)]
#[repr(align(128))]
struct Watched(AtomicU64);

/// What a watch adds at its beginning, and what is left of it at its end.
const BEGUN: u64 = 1 << 32;
/// Those under way.
const UNDER_WAY: u64 = BEGUN - 1;

#[derive(Debug, Default)]
struct State {
    recent: Recent,
    announced: Vec<Arc<Announcement>>,
    /// Snapshots of the watchers, and how many there are at each.
    watchers: BTreeMap<CommitLsn, usize>,
    /// Watchers with older snapshots are refused.
    refused_below: CommitLsn,
}

#[derive(Debug)]
struct Announcement {
    /// `PREPARING`, `WITHDRAWN` or the LSN.
    lsn: AtomicU64,
    keys: WriteKeys,
}

/// A commit's announcement, if anybody watches. Dropped before [`committed`](Self::committed), it is withdrawn.
#[derive(Debug)]
#[must_use = "show it the LSN, and tell it when the commit is visible"]
pub struct Notice<'c> {
    conflicts: &'c Conflicts,
    /// `watched` before the place was reserved.
    watched: u64,
    announced: Option<Arc<Announcement>>,
}

/// A serializable transaction, from its beginning to its end.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watch<C: Deref<Target = Conflicts>> {
    conflicts: C,
    /// The same as its snapshot's, or before it is taken, below it.
    from: CommitLsn,
}

/// Somebody has begun to watch since the notice: fill the place as aborted, complete it, and begin the commit anew with a
/// new notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unannounced;

impl Conflicts {
    /// Nobody watches. What is remembered for watchers may take so many bytes, beyond which the oldest is refused.
    pub fn new(bytes_max: usize) -> Conflicts {
        Conflicts {
            watched: Watched(AtomicU64::new(0)),
            state: Mutex::new(Rank::Leaf, State::default()),
            bytes_max,
        }
    }

    /// Begins a serializable transaction: see [`Watch::begin`].
    ///
    /// # Errors
    ///
    /// As [`Watch::begin`].
    pub fn watch(
        &self,
        snapshots: &Snapshots,
        reserved: impl FnOnce() -> CommitLsn,
    ) -> Result<(Watch<&Conflicts>, Snapshot)> {
        Watch::begin(self, snapshots, reserved)
    }

    /// Whether anybody watches, so that commits have to announce their keys. One load.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watched.0.load(Ordering::Relaxed) & UNDER_WAY != 0
    }

    /// Announces what a commit writes, if anybody watches; before it reserves its place. `keys` is called only then.
    #[inline]
    pub fn notice(&self, keys: impl FnOnce() -> WriteKeys) -> Notice<'_> {
        // Acquire: pairs with the Release at the end of a watch, whose place is then before ours.
        let watched = self.watched.0.load(Ordering::Acquire);
        let announced = (watched & UNDER_WAY != 0).then(|| self.announced(keys()));
        Notice { conflicts: self, watched, announced }
    }

    /// Announces what a commit writes, whether anybody watches or not: it never has to begin anew. For what is rare, and takes long to
    /// prepare.
    pub fn announce(&self, keys: WriteKeys) -> Notice<'_> {
        let watched = self.watched.0.load(Ordering::Relaxed);
        Notice { conflicts: self, watched, announced: Some(self.announced(keys)) }
    }

    /// Bytes that are remembered.
    pub fn bytes(&self) -> usize {
        self.state.lock().recent.bytes()
    }

    #[cold]
    fn announced(&self, keys: WriteKeys) -> Arc<Announcement> {
        let announcement = Arc::new(Announcement { lsn: AtomicU64::new(PREPARING), keys });
        self.state.lock().announced.push(Arc::clone(&announcement)); // CO2
        announcement
    }
}

impl Notice<'_> {
    /// The commit has its place: `lsn` is its end. One store if it was announced, else one load.
    ///
    /// # Errors
    ///
    /// [`Unannounced`].
    #[inline]
    pub fn shown(&self, lsn: CommitLsn) -> std::result::Result<(), Unannounced> {
        match &self.announced {
            Some(announcement) => {
                // Release: pairs with the Acquire in `validate`.
                announcement.lsn.store(lsn.0, Ordering::Release);
                Ok(())
            }
            // Relaxed: the reservation has acquired every watch that matters (CO1).
            None if self.has_watch_begun() => Err(Unannounced),
            None => Ok(()),
        }
    }

    #[inline]
    fn has_watch_begun(&self) -> bool {
        (self.conflicts.watched.0.load(Ordering::Relaxed) ^ self.watched) & !UNDER_WAY != 0
    }

    /// The commit is applied, and `visible` has passed it.
    #[inline]
    pub fn committed(mut self) {
        if let Some(announcement) = self.announced.take() {
            self.conflicts.settle(&announcement);
        }
    }
}

impl Drop for Notice<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(announcement) = self.announced.take() {
            // Release: pairs with the Acquire in `validate`, though nothing is read after it.
            announcement.lsn.store(WITHDRAWN, Ordering::Release);
            self.conflicts.state.lock().remove(&announcement);
        }
    }
}

impl Conflicts {
    #[cold]
    fn settle(&self, announcement: &Arc<Announcement>) {
        let lsn = CommitLsn(announcement.lsn.load(Ordering::Relaxed)); // our own store
        assert!(lsn.0 != PREPARING, "a commit is visible only after its LSN was shown");
        let mut state = self.state.lock();
        state.remove(announcement);
        // CO3: nobody to come has a snapshot below it.
        let Some((&oldest, _)) = state.watchers.first_key_value() else { return };
        if lsn > oldest {
            state.recent.add(&announcement.keys, lsn);
            state.shrink(self.bytes_max);
        }
    }
}

impl<C: Deref<Target = Conflicts>> Watch<C> {
    /// Begins a serializable transaction: a watch, and its snapshot.
    ///
    /// `reserved` returns the end of the last reservation by a read-modify-write of the word that reservations are made with,
    /// acquiring and releasing (see the module's head). Waits until that is visible, which takes as long as the
    /// commits that are under way.
    ///
    /// # Errors
    ///
    /// [`Error::TooManySnapshots`], [`Error::Stopped`].
    pub fn begin(
        conflicts: C,
        snapshots: &Snapshots,
        reserved: impl FnOnce() -> CommitLsn,
    ) -> Result<(Watch<C>, Snapshot)> {
        let from = snapshots.visible().get();
        {
            let mut state = conflicts.state.lock();
            *state.watchers.entry(from).or_default() += 1;
            // Relaxed: who reserves after `reserved` acquires that, and this with it.
            conflicts.watched.0.fetch_add(BEGUN + 1, Ordering::Relaxed);
        }
        let mut watch = Watch { conflicts, from };
        snapshots.visible().wait(reserved())?;
        let snapshot = snapshots.take()?;
        watch.move_to(snapshot.lsn());
        Ok((watch, snapshot))
    }

    /// Refuses if a commit after the snapshot and before `place`, the beginning of the transaction's own place in the order, wrote
    /// what it read. After its own notice was [shown](Notice::shown) its LSN; `own` is this notice. Waits for
    /// commits that have announced themselves and are just reserving their place.
    ///
    /// (A commit after its place that is visible already cannot be, as it would have to pass this one.)
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`]; [`Error::SnapshotTooOld`], if too much was written since to remember it.
    pub fn validate(&self, reads: &ReadSet, place: CommitLsn, own: &Notice<'_>) -> Result<()> {
        let own = own.announced.as_ref();
        let mut waited_for = Vec::new();
        {
            let state = self.conflicts.state.lock();
            if self.from < state.refused_below {
                return Err(Error::SnapshotTooOld);
            }
            state.recent.check(reads, self.from)?;
            for other in state.announced.iter().filter(|other| own.is_none_or(|own| !Arc::ptr_eq(own, other)))
            {
                if !self.check(other, reads, place)? {
                    waited_for.push(Arc::clone(other));
                }
            }
        }
        for other in waited_for {
            let mut backoff = Backoff::new();
            while !self.check(&other, reads, place)? {
                backoff.wait();
            }
        }
        Ok(())
    }

    /// Whether the other's place is known.
    fn check(&self, other: &Announcement, reads: &ReadSet, place: CommitLsn) -> Result<bool> {
        // Acquire: pairs with the Release in `shown` and in the drop of a notice.
        match other.lsn.load(Ordering::Acquire) {
            PREPARING => Ok(false),
            WITHDRAWN => Ok(true),
            lsn if lsn <= self.from.0 || lsn > place.0 => Ok(true),
            _ => other.keys.check(reads).map(|()| true),
        }
    }

    fn move_to(&mut self, lsn: CommitLsn) {
        let mut state = self.conflicts.state.lock();
        state.forget_watcher(self.from);
        *state.watchers.entry(lsn).or_default() += 1;
        self.from = lsn;
    }
}

impl<C: Deref<Target = Conflicts>> Drop for Watch<C> {
    fn drop(&mut self) {
        let mut state = self.conflicts.state.lock();
        state.forget_watcher(self.from);
        // Release: pairs with the Acquire in `notice`.
        self.conflicts.watched.0.fetch_sub(1, Ordering::Release);
        if state.watchers.is_empty() {
            state.recent = Recent::default();
            state.refused_below = CommitLsn(0);
        }
    }
}

impl WriteKeys {
    /// Refuses if any of it was read.
    fn check(&self, reads: &ReadSet) -> Result<()> {
        let key = self.keys.iter().find(|(table, key)| reads.contains(*table, key));
        if let Some((table, key)) = key {
            return Err(Error::Conflict { table: *table, key: key.to_vec() });
        }
        for (table, range) in &self.ranges {
            if let Some(key) = reads.any_within(*table, range) {
                return Err(Error::Conflict { table: *table, key: key.to_vec() });
            }
        }
        Ok(())
    }
}

impl State {
    fn remove(&mut self, announcement: &Arc<Announcement>) {
        let index = self.announced.iter().position(|other| Arc::ptr_eq(announcement, other));
        self.announced.swap_remove(index.expect("CO3"));
    }

    fn forget_watcher(&mut self, from: CommitLsn) {
        let count = self.watchers.get_mut(&from).expect("CO4");
        *count -= 1;
        if *count == 0 {
            self.watchers.remove(&from);
        }
    }

    /// Forgets what no watcher needs, if it is much; then refuses the oldest watchers while it is too much (CO3).
    fn shrink(&mut self, bytes_max: usize) {
        if !self.recent.is_overgrown() && self.recent.bytes() <= bytes_max {
            return;
        }
        let oldest = self.watchers.keys().find(|&&from| from >= self.refused_below).copied();
        self.recent.forget_through(oldest.unwrap_or(self.refused_below));
        while self.recent.bytes() > bytes_max {
            let mut younger = self.watchers.keys().filter(|&&from| from >= self.refused_below);
            let _oldest = younger.next();
            let next = younger.next().copied().unwrap_or(self.recent.newest());
            self.refused_below = next.max(CommitLsn(self.refused_below.0 + 1));
            self.recent.forget_through(self.refused_below);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
