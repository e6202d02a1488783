//! What has been collected, written and made durable, and who does what next.
//!
//! A plain state machine under one mutex; it does no I/O and never waits. Threads that need the log to reach a
//! position ask [`Progress::next_step`] and do what it says: that is the whole of leader and follower.
//!
//! A **flight** is one batch between its collection from the ring and the completion of its write. A flight is
//! *through* if its write is durable by itself, and *plain* if a sync must follow.
//!
//! ```text
//!   durable <= written <= collected           (positions; all only rise)
//!
//!   collect --> flight --complete--> (in order) written rises --> durable rises, if through
//!                                                            '--> unsynced --sync--> durable rises
//! ```
//!
//! | step | who may do it | then calls |
//! |---|---|---|
//! | `Collect` | one thread at a time | [`collected`](Progress::collected) or [`collected_nothing`](Progress::collected_nothing) |
//! | write | the collector of the flight, many flights at a time | [`completed`](Progress::completed) |
//! | `Sync` | one thread at a time | [`synced`](Progress::synced) |
//!
//! # Invariants
//!
//! - **PR1** Flights are contiguous and in order; `written` is the start of the oldest that has not completed.
//! - **PR2** A flight is through only if nothing plain before it is unsynced. So when a through flight is taken off
//!   the front, everything before it is durable.
//! - **PR3** A sync covers what had completed before it began: `durable` rises to what `written` was then, and a
//!   file leaves `unsynced` only if no plain flight on it ends above that.
//! - **PR4** At most `flights_max` flights are under way.

use std::collections::VecDeque;
use std::ops::Range;

/// What a waiting thread needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Everything before the position is durable.
    Durable(u64),
    /// Everything before the position has been written.
    Written(u64),
    /// Everything before the position has been taken from the ring.
    Collected(u64),
}

/// What it is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<F> {
    /// Nothing: the goal is reached.
    Done,
    /// Wait for this.
    Wait(Event),
    /// Collect a batch and write it; it is then the only collector.
    Collect {
        /// Whether the write is to be durable by itself.
        through: bool,
    },
    /// Sync these files; it is then the only one that syncs.
    Sync {
        /// What will be durable then.
        end: u64,
        /// Files with plain writes.
        files: Vec<F>,
    },
}

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The landing of a flight: it and all before it have completed. Also of one that is not collected yet, but
    /// whose turn is next; then one of those who wait for it is to be woken as soon as it may be collected.
    Landing(FlightId),
    /// The end of the sync that is under way.
    Synced,
}

/// Names a flight; they are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlightId(pub(crate) u64);

#[derive(Debug)]
struct Flight {
    start: u64,
    end: u64,
    through: bool,
    completed: bool,
}

#[derive(Debug)]
struct Unsynced<F> {
    file: F,
    /// End of the last plain flight on it.
    end: u64,
}

/// See the module's head. `F` names a file.
#[derive(Debug)]
pub(crate) struct Progress<F> {
    flights: VecDeque<Flight>,
    /// Id of the first of them.
    first_flight: u64,
    flights_max: usize,
    collected: u64,
    written: u64,
    durable: u64,
    unsynced: Vec<Unsynced<F>>,
    collecting: bool,
    syncing: bool,
}

impl<F: Clone + PartialEq> Progress<F> {
    /// Everything before `start` is durable.
    pub(crate) fn new(start: u64, flights_max: usize) -> Self {
        Self {
            flights: VecDeque::with_capacity(flights_max),
            first_flight: 0,
            flights_max,
            collected: start,
            written: start,
            durable: start,
            unsynced: Vec::new(),
            collecting: false,
            syncing: false,
        }
    }

    /// Everything before it has been written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Everything before it is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Whether a batch may be collected now (PR4).
    pub(crate) fn may_collect(&self) -> bool {
        !self.collecting && self.flights.len() < self.flights_max
    }

    /// Whether the goal is reached.
    pub(crate) fn is_reached(&self, goal: Goal) -> bool {
        match goal {
            Goal::Durable(end) => self.durable >= end,
            Goal::Written(end) => self.written >= end,
            Goal::Collected(end) => self.collected >= end,
        }
    }

    /// Whether something must be taken from the ring before the goal can be reached.
    pub(crate) fn needs_collection(&self, goal: Goal) -> bool {
        let (Goal::Durable(end) | Goal::Written(end) | Goal::Collected(end)) = goal;
        self.collected < end
    }

    /// Takes the collector's role for a batch that is written through and may be empty, if that is possible now.
    /// (An empty batch that was written plainly would be forgotten by a sync that is under way: PR3.)
    pub(crate) fn collect_through(&mut self) -> bool {
        let may = self.may_collect() && self.unsynced.is_empty();
        self.collecting |= may;
        may
    }

    /// What a thread with this goal does next. `Collect` and `Sync` give it that role.
    pub(crate) fn next_step(&mut self, goal: Goal) -> Step<F> {
        if self.is_reached(goal) {
            return Step::Done;
        }
        match goal {
            _ if self.needs_collection(goal) => {
                self.collect(matches!(goal, Goal::Durable(_)) && self.unsynced.is_empty())
            }
            Goal::Durable(end) if self.written >= end => self.sync(),
            Goal::Durable(end) | Goal::Written(end) | Goal::Collected(end) => {
                let index = self.flights.iter().position(|flight| flight.end >= end);
                let index = index.expect("PR1: what is collected and not written is in a flight");
                Step::Wait(Event::Landing(FlightId(self.first_flight + index as u64)))
            }
        }
    }

    fn collect(&mut self, through: bool) -> Step<F> {
        if !self.may_collect() {
            return Step::Wait(Event::Landing(self.next_flight()));
        }
        self.collecting = true;
        Step::Collect { through }
    }

    fn sync(&mut self) -> Step<F> {
        if self.syncing {
            return Step::Wait(Event::Synced);
        }
        self.syncing = true;
        let files = self.unsynced.iter().map(|unsynced| unsynced.file.clone()).collect();
        Step::Sync { end: self.written, files }
    }

    /// The flight that is collected next.
    pub(crate) fn next_flight(&self) -> FlightId {
        FlightId(self.first_flight + self.flights.len() as u64)
    }

    /// The collector has taken everything up to `end`, to be written to `file`; it gives up its role.
    pub(crate) fn collected(&mut self, end: u64, through: bool, file: &F) -> FlightId {
        let id = self.next_flight();
        assert!(self.collecting && self.flights.len() < self.flights_max, "PR4: the caller has the role");
        assert!(!through || self.unsynced.is_empty(), "PR2: no plain flight is unsynced");
        self.collecting = false;
        if !through {
            match self.unsynced.iter_mut().find(|unsynced| unsynced.file == *file) {
                Some(unsynced) => unsynced.end = end,
                None => self.unsynced.push(Unsynced { file: file.clone(), end }),
            }
        }
        self.flights.push_back(Flight { start: self.collected, end, through, completed: false });
        self.collected = end;
        id
    }

    /// The collector found nothing to take, or no place for it; it gives up its role.
    pub(crate) fn collected_nothing(&mut self) {
        assert!(self.collecting, "PR4: the caller has the role");
        self.collecting = false;
    }

    /// A flight's write has succeeded. Returns the flights that land with it: none, while one before it is under way.
    pub(crate) fn completed(&mut self, id: FlightId) -> Range<u64> {
        let first = self.first_flight;
        self.flights[(id.0 - self.first_flight) as usize].completed = true;
        while self.flights.front().is_some_and(|flight| flight.completed) {
            let flight = self.flights.pop_front().expect("there is a front");
            self.first_flight += 1;
            assert_eq!(self.written, flight.start, "PR1");
            self.written = flight.end;
            if flight.through {
                assert_eq!(self.durable, flight.start, "PR2");
                self.durable = flight.end;
            }
        }
        first..self.first_flight
    }

    /// A sync of all files of [`Step::Sync`] has succeeded.
    pub(crate) fn synced(&mut self, end: u64) {
        assert!(self.syncing, "PR3: the caller has the role");
        self.syncing = false;
        self.durable = self.durable.max(end);
        self.unsynced.retain(|unsynced| unsynced.end > end);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
