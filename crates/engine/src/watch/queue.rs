//! What waits for one watcher.

use crate::range::Bounds;
use aquifer_sync::{Condvar, Mutex, Rank};
use aquifer_wal::Lsn;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::time::Instant;

/// Bytes that an event takes beside its key and value, about.
const EVENT_BYTES: usize = 96;

/// A key, and what became of it.
type Told = (Box<[u8]>, What);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) table: u32,
    bounds: Bounds,
    bytes_max: usize,
    state: Mutex<State>,
    pushed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By commit, and by number within it.
    events: BTreeMap<(Lsn, u64), Told>,
    bytes: usize,
    pushes: u64,
    /// Commits up to here are left out (WT1); nothing is known before the watcher has begun.
    from: Lsn,
    /// What did not fit, until the watcher is told (WT3).
    missed: Option<Missed>,
}

#[derive(Debug, Clone, Copy)]
struct Missed {
    from: Lsn,
    to: Lsn,
    /// The watcher has taken what comes before it: what comes after it is queued again.
    closed: bool,
}

/// What was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Put(Box<[u8]>),
    PutLarge,
    Deleted,
    LongKeys,
    RangeDeleted(Box<Bounds>),
    Loaded,
    /// Up to here.
    Missed(Lsn),
}

impl Queue {
    pub(super) fn new(table: u32, bounds: Bounds, bytes_max: usize) -> Queue {
        let state = Mutex::new(Rank::Leaf, State::default());
        Queue { table, bounds, bytes_max, state, pushed: Condvar::new() }
    }

    /// Leaves out what was committed up to here.
    pub(super) fn begin(&self, from: Lsn) {
        let mut state = self.state.lock();
        state.from = from;
        let later = state.events.split_off(&(Lsn(from.0 + 1), 0));
        state.events = later;
        state.bytes = state.events.values().map(|(key, what)| bytes_of(key, what)).sum();
        state.missed = state.missed.filter(|missed| missed.to > from);
    }

    pub(super) fn holds(&self, key: &[u8]) -> bool {
        let (from, to) = &self.bounds;
        (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice)).contains(key)
    }

    /// May some key that begins so be inside?
    pub(super) fn may_hold_prefix(&self, prefix: &[u8]) -> bool {
        let (from, to) = &self.bounds;
        let above = match from {
            Bound::Unbounded => true,
            Bound::Included(key) | Bound::Excluded(key) => &key[..key.len().min(prefix.len())] <= prefix,
        };
        let below = match to {
            Bound::Unbounded => true,
            Bound::Included(key) | Bound::Excluded(key) => prefix <= key.as_slice(),
        };
        above && below
    }

    /// May some key be inside both?
    pub(super) fn overlaps(&self, (from, to): &Bounds) -> bool {
        let before = |from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>| match (from, to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            (Bound::Included(from), Bound::Included(to)) => from <= to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from < to
            }
        };
        before(from, &self.bounds.1) && before(&self.bounds.0, to)
    }

    /// Something was committed, and is not visible yet.
    pub(super) fn push(&self, lsn: Lsn, key: Box<[u8]>, what: What) {
        let mut state = self.state.lock();
        if lsn <= state.from {
            return;
        }
        let bytes = bytes_of(&key, &what);
        let is_full = state.bytes + bytes > self.bytes_max;
        let nothing = Missed { from: Lsn(u64::MAX), to: Lsn(0), closed: true };
        let mut missed = state.missed.unwrap_or(nothing);
        if is_full || !missed.closed || lsn <= missed.to {
            // WT3. What is told is told of whole commits, so those in between may be left out.
            missed.closed &= lsn <= missed.to;
            (missed.from, missed.to) = (missed.from.min(lsn), missed.to.max(lsn));
            state.missed = Some(missed);
        } else {
            state.bytes += bytes;
            state.pushes += 1;
            let number = state.pushes;
            state.events.insert((lsn, number), (key, what));
        }
    }

    pub(super) fn wake(&self) {
        drop(self.state.lock()); // who has looked and not slept yet, sleeps now
        self.pushed.notify_all();
    }

    /// Takes the next event that is visible, or says what was missed; nothing when it is over, or at the end of the time.
    pub(super) fn take(
        &self,
        visible: impl Fn() -> Lsn,
        is_over: impl Fn() -> bool,
        end: Option<Instant>,
    ) -> Option<(Lsn, Box<[u8]>, What)> {
        let mut state = self.state.lock();
        loop {
            let visible = visible();
            if let Some(event) = state.take(visible) {
                return Some(event);
            }
            if is_over() {
                return None;
            }
            let rest = end.map(|end| end.saturating_duration_since(Instant::now()));
            state = match rest {
                Some(rest) if rest.is_zero() => return None,
                Some(rest) => self.pushed.wait_timeout(state, rest),
                None => self.pushed.wait(state),
            };
        }
    }
}

impl State {
    fn take(&mut self, visible: Lsn) -> Option<(Lsn, Box<[u8]>, What)> {
        let first = self.events.first_key_value().map(|(&(lsn, _), _)| lsn);
        if let Some(missed) =
            self.missed.as_mut().filter(|missed| first.is_none_or(|first| first >= missed.from))
        {
            missed.closed = true;
            let Missed { from, to, .. } = *missed;
            // Who reads the table when he is told must find all of it.
            if visible < to {
                return None;
            }
            self.missed = None;
            // What was left out within these is told of by them.
            let later = self.events.split_off(&(Lsn(to.0 + 1), 0));
            self.events = later;
            self.bytes = self.events.values().map(|(key, what)| bytes_of(key, what)).sum();
            return Some((from, Box::default(), What::Missed(to)));
        }
        if first? > visible {
            return None;
        }
        let ((lsn, _), (key, what)) = self.events.pop_first()?;
        self.bytes -= bytes_of(&key, &what);
        Some((lsn, key, what))
    }
}

fn bytes_of(key: &[u8], what: &What) -> usize {
    let of_what = match what {
        What::Put(value) => value.len(),
        What::RangeDeleted(bounds) => {
            let of_bound = |bound: &Bound<Vec<u8>>| match bound {
                Bound::Included(key) | Bound::Excluded(key) => key.len(),
                Bound::Unbounded => 0,
            };
            of_bound(&bounds.0) + of_bound(&bounds.1)
        }
        _ => 0,
    };
    EVENT_BYTES + key.len() + of_what
}

#[cfg(test)]
mod tests;
