//! From when on a table may have something to remove: a bound that costs a put a fence and a load, and a table nothing that has nothing to remove.
//!
//! A walk sets the bound to "never" before it begins, and lowers it at its end to the least stamp that it has left behind. A put looks at it after it is
//! applied, and lowers it to its own stamp. Each has a fence between what it writes and what it reads: a put that sees the bound as it was before a walk is
//! seen by that walk (EX5).
//!
//! The bound alone would have a large table walked without end in which something expires all the time. So a walk is followed by a rest, and the rest
//! of a table of some size grows while walks find little in it: about one record in sixteen is to have expired.

use super::Stamp;
use crate::clock::{Moment, whole_ms};
use crate::error::Error;
use crate::large::ClearedTo;
use crate::table_core::TableCore;
use aquifer_sync::atomic::{AtomicU64, Ordering, fence};
use aquifer_sync::{Arc, Mutex, Rank};
use std::time::Duration;

/// What the records of a table get that are put without an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// 0: they never expire.
    pub(crate) ms: u64,
}

impl Lifetime {
    pub(crate) const UNLIMITED: Lifetime = Lifetime { ms: 0 };

    pub(crate) fn of(time: Duration) -> Lifetime {
        Lifetime { ms: whole_ms(time).max(1) }
    }

    pub(crate) fn time(self) -> Option<Duration> {
        (self.ms > 0).then(|| Duration::from_millis(self.ms))
    }

    /// Of what is put at this time.
    pub(super) fn stamp(self, now: Moment) -> Stamp {
        self.time().map_or(Stamp::NEVER, |time| Stamp::after(now, time))
    }
}

/// The least rest between two walks.
pub(super) const REST_MS_MIN: u64 = 1_000;
/// The longest.
pub(super) const REST_MS_MAX: u64 = 600_000;
/// A walk of so many records takes no time that matters.
const FEW_RECORDS: u64 = 10_000;
/// If it finds less than one in so many expired, the next comes later.
const RECORDS_FOR_ONE: u64 = 16;

/// What a table knows of its records that expire.
#[derive(Debug)]
pub(crate) struct Expiring {
    pub(crate) lifetime: Lifetime,
    /// EX5.
    due: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Somebody has the walk.
    is_busy: bool,
    /// The walk under way.
    walk: Option<Walk>,
    rested_from: Moment,
    rest_ms: u64,
}

/// A walk through a table.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) at: ClearedTo,
    /// The least stamp that stays behind.
    pub(super) left: u64,
    pub(super) looked_at: u64,
    pub(super) removed: u64,
    /// Why something could not be removed.
    pub(super) failed: Option<Error>,
}

impl Expiring {
    /// Nothing is known.
    pub(crate) fn new(lifetime: Lifetime) -> Expiring {
        let state = State { is_busy: false, walk: None, rested_from: Moment(0), rest_ms: 0 };
        Expiring { lifetime, due: AtomicU64::new(0), state: Mutex::new(Rank::Leaf, state) }
    }

    /// A record was put with this stamp. After its commit is applied.
    pub(crate) fn note(&self, stamp: Stamp) {
        if stamp == Stamp::NEVER {
            return;
        }
        // SeqCst: between the page that was changed and the bound; pairs with the fence in `take_walk` (EX5).
        fence(Ordering::SeqCst);
        if stamp.0 < self.due.load(Ordering::Relaxed) {
            self.due.fetch_min(stamp.0, Ordering::AcqRel);
        }
    }

    /// Records were put, or put back, that nobody has looked at.
    pub(crate) fn note_unknown(&self) {
        self.due.store(0, Ordering::Release);
    }

    /// Takes the walk, if there is something to walk for.
    pub(super) fn take_walk(&self, now: Moment, beginning: impl FnOnce() -> ClearedTo) -> Option<Walk> {
        let mut state = self.state.lock();
        if state.is_busy {
            return None;
        }
        let walk = match state.walk.take() {
            Some(walk) => walk,
            None => {
                let has_rested = match now.0.checked_sub(state.rested_from.0) {
                    Some(rested) => rested >= state.rest_ms,
                    None => true, // the clock was set back
                };
                if !has_rested || now.0 < self.due.load(Ordering::Acquire) {
                    return None;
                }
                self.due.swap(u64::MAX, Ordering::AcqRel);
                // SeqCst: between the bound and the pages that are read next; pairs with the fence in `note` (EX5).
                fence(Ordering::SeqCst);
                Walk { at: beginning(), left: u64::MAX, looked_at: 0, removed: 0, failed: None }
            }
        };
        state.is_busy = true;
        Some(walk)
    }

    /// Puts a walk back that goes on.
    pub(super) fn put_back(&self, walk: Walk) {
        let mut state = self.state.lock();
        (state.walk, state.is_busy) = (Some(walk), false);
    }

    /// A walk has come to its end.
    pub(super) fn end_walk(&self, walk: &Walk, now: Moment) {
        self.due.fetch_min(walk.left, Ordering::AcqRel);
        let mut state = self.state.lock();
        let found_little = walk.removed * RECORDS_FOR_ONE < walk.looked_at;
        let found_much = walk.removed * RECORDS_FOR_ONE / 2 > walk.looked_at;
        let rest_ms = match walk.looked_at > FEW_RECORDS {
            true if found_little => state.rest_ms * 2,
            true if !found_much => state.rest_ms,
            true => state.rest_ms / 2,
            false => REST_MS_MIN,
        };
        state.rest(rest_ms, now);
    }

    /// A walk cannot go on, as a page is damaged: the next comes after a long rest.
    pub(super) fn give_up_walk(&self, now: Moment) {
        self.note_unknown();
        self.state.lock().rest(REST_MS_MAX, now);
    }
}

impl State {
    fn rest(&mut self, rest_ms: u64, now: Moment) {
        (self.rest_ms, self.rested_from) = (rest_ms.clamp(REST_MS_MIN, REST_MS_MAX), now);
        (self.walk, self.is_busy) = (None, false);
    }
}

/// The least stamps that a batch or a transaction puts, by table: noted when it is committed.
#[derive(Debug, Default)]
pub(crate) struct Noted(Vec<(Arc<TableCore>, Stamp)>);

impl Noted {
    pub(crate) fn add(&mut self, table: &Arc<TableCore>, stamp: Option<Stamp>) {
        let Some(stamp) = stamp.filter(|&stamp| stamp != Stamp::NEVER) else { return };
        match self.0.iter_mut().find(|(other, _)| Arc::ptr_eq(other, table)) {
            Some((_, least)) => least.0 = least.0.min(stamp.0),
            None => self.0.push((Arc::clone(table), stamp)),
        }
    }

    /// All of it is applied.
    pub(crate) fn tell(&self) {
        self.0.iter().for_each(|(table, stamp)| table.note(Some(*stamp)));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl TableCore {
    /// A record was put with this stamp. After its commit is applied.
    #[inline]
    pub(crate) fn note(&self, stamp: Option<Stamp>) {
        if let (Some(expiring), Some(stamp)) = (&self.expiring, stamp) {
            expiring.note(stamp);
        }
    }

    /// Records were put, or put back, that nobody has looked at.
    pub(crate) fn note_unknown(&self) {
        if let Some(expiring) = &self.expiring {
            expiring.note_unknown();
        }
    }
}
