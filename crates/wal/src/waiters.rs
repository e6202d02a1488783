//! Who waits for what: one condition variable for each flight under way, so that a landing wakes those it serves and
//! no others.
//!
//! # Invariants
//!
//! - **WA1** Flights that anybody can wait for at once have different slots: those under way and the next one are at most
//!   [`SLOTS`].
//! - **WA2** Waiters are counted under the mutex that they wait with, so nobody is missed where the count is 0. (To
//!   notify nobody costs a system call.)
//! - **WA3** A landing wakes all who wait for it. If a batch may be collected then, one who waits for the next flight
//!   is woken to lead it (all are, if some wait for a while only). Nobody else needs to be: a thread that leaves without leading has seen the flight that it
//!   waited for land, which woke the others.

use crate::progress::{Event, FlightId};
use aquifer_sync::{Condvar, MutexGuard};
use std::ops::Range;
use std::time::Duration;

/// Flights that may be waited for at once, at most (WA1).
pub(crate) const SLOTS: usize = 8;

/// The counts, which the mutex protects.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    flights: [u32; SLOTS],
    synced: u32,
    /// Of all these, who wait for a while only: one that is woken to lead may go its own way instead.
    timed: u32,
}

/// Whom to wake.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Wakeups {
    /// A set of slots.
    landed: u32,
    leader: Option<usize>,
    /// The leader is among all who wait for its flight.
    leader_unsure: bool,
    synced: bool,
}

/// Something with [`Counts`] under a mutex.
pub(crate) trait Counted {
    /// The counts.
    fn counts(&mut self) -> &mut Counts;
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    flights: [Condvar; SLOTS],
    synced: Condvar,
}

impl Waiters {
    /// Waits for an event, for a while, or for no reason.
    pub(crate) fn wait<'a, T: Counted>(
        &self,
        mut guard: MutexGuard<'a, T>,
        event: Event,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        *guard.counts().of(event) += 1;
        guard.counts().timed += u32::from(timeout.is_some());
        let condvar = match event {
            Event::Landing(id) => &self.flights[slot(id)],
            Event::Synced => &self.synced,
        };
        let mut guard = match timeout {
            None => condvar.wait(guard),
            Some(timeout) => condvar.wait_timeout(guard, timeout),
        };
        *guard.counts().of(event) -= 1;
        guard.counts().timed -= u32::from(timeout.is_some());
        guard
    }

    /// Wakes them; after the mutex was let go, so that they find it free.
    pub(crate) fn wake(&self, wakeups: Wakeups) {
        for (slot, condvar) in self.flights.iter().enumerate() {
            if wakeups.landed & 1 << slot != 0 {
                condvar.notify_all();
            }
        }
        if let Some(slot) = wakeups.leader {
            match wakeups.leader_unsure {
                true => self.flights[slot].notify_all(),
                false => self.flights[slot].notify_one(),
            }
        }
        if wakeups.synced {
            self.synced.notify_all();
        }
    }

    /// Wakes everybody.
    pub(crate) fn wake_everybody(&self) {
        self.flights.iter().chain([&self.synced]).for_each(Condvar::notify_all);
    }
}

impl Counts {
    /// Those who wait for these flights to land, and for `next` one to lead it.
    pub(crate) fn landed(&self, landed: Range<u64>, next: Option<FlightId>) -> Wakeups {
        let slots = landed.map(|id| slot(FlightId(id))).filter(|&slot| self.flights[slot] > 0);
        Wakeups {
            landed: slots.fold(0, |set, slot| set | 1 << slot),
            leader: next.map(slot).filter(|&slot| self.flights[slot] > 0),
            leader_unsure: self.timed > 0,
            synced: false,
        }
    }

    /// Those who wait for the sync.
    pub(crate) fn synced(&self) -> Wakeups {
        Wakeups { synced: self.synced > 0, ..Wakeups::default() }
    }

    fn of(&mut self, event: Event) -> &mut u32 {
        match event {
            Event::Landing(id) => &mut self.flights[slot(id)],
            Event::Synced => &mut self.synced,
        }
    }
}

fn slot(id: FlightId) -> usize {
    (id.0 % SLOTS as u64) as usize
}
