//! Steps of the workloads with transactions and snapshots.
//!
//! 1. A transaction counts each of its records up. So after a run the sum of the counts has risen by the number of transactions times their records,
//!    or an update was lost, or done twice.

use super::{Worker, mismatch, store, wrong};
use crate::records;
use crate::{Error, Session};

/// Records of a transaction, where there are as many.
pub(crate) const RMW_KEYS: u64 = 4;
/// Records that are hot.
const HOT_RECORDS: u64 = 64;

/// Which records a transaction takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Any, all alike.
    Uniform,
    /// Any, some far more often than others.
    Zipf,
    /// Of the first few, whose keys are far apart.
    Hot,
}

impl<S: Session> Worker<'_, S> {
    /// A transaction that changes a few records.
    pub(super) fn rmw(&mut self, choice: Choice) -> Result<(), Error> {
        let spec = &self.plan.spec;
        let (value_bytes, isolation) = (spec.value_bytes, spec.isolation);
        let numbers = self.draw(choice);
        let keys = numbers.map(records::key);
        let mut places: [&[u8]; RMW_KEYS as usize] = [&[]; RMW_KEYS as usize];
        let count = RMW_KEYS.min(self.plan.spec.records) as usize;
        for (place, key) in places.iter_mut().zip(&keys) {
            *place = key;
        }
        let Worker { session, random, .. } = self;
        let mut failed = None;
        let mut change = |place: usize, value: &mut Vec<u8>| match places.get(place) {
            Some(key) if records::is_value_of(key, value, value_bytes) => records::count_up(value, random),
            Some(key) => {
                let found = (!value.is_empty()).then_some(&value[..]);
                failed.get_or_insert_with(|| mismatch(key, found, value_bytes));
            }
            None => {
                failed
                    .get_or_insert_with(|| wrong(format!("place {place} of a transaction on {count} keys")));
            }
        };
        let retries = session.read_modify_write(isolation, &places[..count], &mut change);
        self.retries += retries.map_err(store("a transaction"))?;
        if let Some(error) = failed {
            return Err(error);
        }
        for key in &keys[..count] {
            self.note(key, value_bytes);
        }
        Ok(())
    }

    /// Numbers of different records; the first [`RMW_KEYS`] of them, or as many as there are records.
    fn draw(&mut self, choice: Choice) -> [u64; RMW_KEYS as usize] {
        let records = self.plan.spec.records;
        let among = if choice == Choice::Hot { HOT_RECORDS.min(records) } else { records };
        let mut numbers = [0; RMW_KEYS as usize];
        for place in 0..RMW_KEYS.min(records) as usize {
            let mut number = match choice {
                Choice::Uniform | Choice::Hot => self.random.below(among),
                Choice::Zipf => self.plan.zipf.scattered(&mut self.random),
            };
            while numbers[..place].contains(&number) {
                number = (number + 1) % among;
            }
            numbers[place] = number;
        }
        numbers
    }

    /// A get from the snapshot held, which is taken anew after each batch of them.
    pub(super) fn get_held(&mut self) -> Result<(), Error> {
        if self.held_gets == 0 {
            self.session.hold_snapshot().map_err(store("a snapshot"))?;
            self.held_gets = self.plan.spec.batch;
        }
        self.held_gets -= 1;
        let key = self.uniform();
        let found = self.session.get_held(&key, &mut self.out).map_err(store("a get from a snapshot"))?;
        self.check(&key, found.then_some(&self.out))
    }

    /// Lets go of what the steps have held.
    pub(crate) fn release(&mut self) {
        self.session.release_snapshot();
    }

    /// Overwrites records drawn uniformly until `go_on` says no, at least one; returns how many.
    pub(crate) fn overwrite_while(&mut self, go_on: impl Fn() -> bool) -> Result<u64, Error> {
        for commits in 1.. {
            let key = self.uniform();
            self.put(key)?;
            if !go_on() {
                return Ok(commits);
            }
        }
        unreachable!("nobody counts so far")
    }
}

/// The sum of the counts of all records.
pub(crate) fn counted(session: &mut impl Session) -> Result<u64, Error> {
    let mut sum = 0u64;
    let mut add = |_: &[u8], value: &[u8]| sum = sum.wrapping_add(records::count(value));
    session.scan(None, u64::MAX, false, &mut add).map_err(store("a scan"))?;
    Ok(sum)
}
