//! What each workload does, one step after the other.
//!
//! A step is what one latency is taken of: mostly one operation, else a batch or a pass.
//!
//! 1. Every answer is checked: a read must hit or miss as it must, a value must belong to its key, a scan must be in order
//!    and give as many records as there are. A wrong store has no figures.
//! 2. Checks are cheap beside the work: a comparison for a value, two for a record of a scan.
//! 3. Of what a worker wrote, the last keys are read again after the clock has stopped.

mod transactions;

use std::ops::Range;

use crate::growth::Growth;
use crate::random::Random;
use crate::records::{self, ABSENT, Key};
use crate::spec::FIELD_BYTES;
use crate::zipf::Zipf;
use crate::{Error, Session, Spec, Workload};
use transactions::Choice;
pub(crate) use transactions::{RMW_KEYS, counted};

/// The longest bounded scan.
const SCAN_MAX: u64 = 100;
/// How many of the keys that it wrote last a worker reads again.
const WRITTEN_MAX: usize = 64;

/// What all workers of a run share: the spec, and what follows from it and takes time to find.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) spec: Spec,
    zipf: Zipf,
    growth: Growth,
    /// The leading halves of the greatest keys, so that scans near the end know what they must find.
    tail: Vec<u64>,
    /// The sum of the leading halves of all keys, by which a whole pass is checked.
    sum: u64,
}

impl Plan {
    /// Costs a few nanoseconds a record.
    pub(crate) fn new(spec: &Spec) -> Plan {
        let scans = matches!(spec.workload, Workload::Scan100 | Workload::YcsbE);
        Plan {
            spec: spec.clone(),
            zipf: Zipf::new(spec.records),
            growth: Growth::new(spec.records),
            tail: if scans { greatest(spec.records) } else { Vec::new() },
            sum: if is_pass(spec.workload) { sum_of(spec.records) } else { 0 },
        }
    }

    /// The units that the workers share among them: operations, or whole passes.
    pub(crate) fn units(&self) -> u64 {
        if self.spec.workload == Workload::Bulk {
            1
        } else if is_pass(self.spec.workload) {
            self.spec.ops().div_ceil(self.spec.records).max(self.spec.threads as u64)
        } else {
            self.spec.ops()
        }
    }

    /// The operations that these units are.
    pub(crate) fn ops_total(&self) -> u64 {
        match self.spec.workload {
            Workload::Bulk => self.spec.ops(),
            workload => self.units() * if is_pass(workload) { self.spec.records } else { 1 },
        }
    }

    /// How many records a scan of `limit` from the key of an existing record on must find, at least.
    fn scan_len_min(&self, from: &Key, limit: u64) -> u64 {
        let from = records::leading(from).expect("keys are longer than their leading half");
        limit.min(self.tail.iter().filter(|&&key| key >= from).count() as u64)
    }
}

fn is_pass(workload: Workload) -> bool {
    matches!(workload, Workload::FullScan | Workload::Reverse)
}

fn leading_of(number: u64) -> u64 {
    records::leading(&records::key(number)).expect("keys are longer than their leading half")
}

/// The sum of the leading halves of the keys of records 0 to `count` − 1.
pub(crate) fn sum_of(count: u64) -> u64 {
    (0..count).fold(0u64, |sum, number| sum.wrapping_add(leading_of(number)))
}

/// The leading halves of the [`SCAN_MAX`] greatest keys.
fn greatest(count: u64) -> Vec<u64> {
    let mut kept = std::collections::BinaryHeap::new();
    for number in 0..count {
        let key = std::cmp::Reverse(leading_of(number));
        if kept.len() < SCAN_MAX as usize {
            kept.push(key);
        } else if kept.peek().is_some_and(|least| key < *least) {
            kept.pop();
            kept.push(key);
        }
    }
    kept.into_iter().map(|key| key.0).collect()
}

/// What a step did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Of the worker's share.
    pub(crate) units: u64,
    /// Operations, as the report counts them.
    pub(crate) ops: u64,
}

impl Step {
    const ONE: Step = Step { units: 1, ops: 1 };
}

/// One thread's work.
pub(crate) struct Worker<'p, S> {
    plan: &'p Plan,
    session: S,
    random: Random,
    /// The value to write next.
    value: Vec<u8>,
    /// The value read last.
    out: Vec<u8>,
    /// Bytes of keys and values that the store was asked to write.
    pub(crate) user_bytes: u64,
    /// How often transactions were begun again.
    pub(crate) retries: u64,
    /// Gets that the snapshot held has still to serve.
    held_gets: usize,
    writes: usize,
    written: [Key; WRITTEN_MAX],
}

impl<'p, S: Session> Worker<'p, S> {
    pub(crate) fn new(plan: &'p Plan, session: S, thread: usize) -> Worker<'p, S> {
        Worker {
            plan,
            session,
            random: Random::new(plan.spec.seed, thread as u64),
            value: vec![0; plan.spec.value_bytes],
            out: Vec::with_capacity(plan.spec.value_bytes),
            user_bytes: 0,
            retries: 0,
            held_gets: 0,
            writes: 0,
            written: [[0; records::KEY_BYTES]; WRITTEN_MAX],
        }
    }

    /// Does the next step of what is left of the worker's share; never more than that.
    #[inline]
    pub(crate) fn step(&mut self, left: Range<u64>) -> Result<Step, Error> {
        let at = left.start % self.plan.spec.records;
        match self.plan.spec.workload {
            Workload::Load => return self.load(left),
            Workload::Bulk => return self.bulk(),
            Workload::MultiGet => return self.multi_get(left),
            Workload::FullScan => return self.pass(false),
            Workload::Reverse => return self.pass(true),
            Workload::FillSeq => self.put(records::sequential_key(at)),
            Workload::FillRandom | Workload::FillSync => self.put(records::key(at)),
            Workload::Overwrite => {
                let key = self.uniform();
                self.put(key)
            }
            Workload::Get | Workload::GetWhileWriting => {
                let key = self.uniform();
                self.get(key)
            }
            Workload::GetMiss => self.get_miss(),
            Workload::Scan100 => {
                let from = self.uniform();
                self.scan(from, SCAN_MAX)
            }
            Workload::YcsbA => self.read_or_update(50),
            Workload::YcsbB => self.read_or_update(95),
            Workload::YcsbC => self.read_or_update(100),
            Workload::YcsbD => self.read_latest_or_insert(),
            Workload::YcsbE => self.scan_or_insert(),
            Workload::YcsbF => self.read_or_modify(),
            Workload::UpdateField => self.update_field(),
            Workload::Rmw => self.rmw(Choice::Uniform),
            Workload::RmwZipf => self.rmw(Choice::Zipf),
            Workload::RmwHot => self.rmw(Choice::Hot),
            Workload::SnapshotWhileWriting => self.get_held(),
            Workload::TpccKv | Workload::Reopen => unreachable!("`run` refuses them"),
        }?;
        Ok(Step::ONE)
    }

    /// Reads again what was written last (rule 3).
    pub(crate) fn verify(&mut self) -> Result<(), Error> {
        for place in 0..self.writes.min(WRITTEN_MAX) {
            self.get(self.written[place])?;
        }
        Ok(())
    }

    /// The key of an existing record, all alike.
    #[inline]
    fn uniform(&mut self) -> Key {
        records::key(self.random.below(self.plan.spec.records))
    }

    /// The key of an existing record, some far more often than others.
    #[inline]
    fn popular(&mut self) -> Key {
        records::key(self.plan.zipf.scattered(&mut self.random))
    }

    /// True for `percent` of all calls.
    #[inline]
    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    #[inline]
    fn get(&mut self, key: Key) -> Result<(), Error> {
        let found = self.session.get(&key, &mut self.out).map_err(store("a get"))?;
        self.check(&key, found.then_some(&self.out))
    }

    #[inline]
    fn get_miss(&mut self) -> Result<(), Error> {
        let key = records::key(ABSENT | self.random.next_u64());
        match self.session.get(&key, &mut self.out).map_err(store("a get"))? {
            false => Ok(()),
            true => Err(wrong(format!("the key {} exists, and was never written", hex(&key)))),
        }
    }

    #[inline]
    fn put(&mut self, key: Key) -> Result<(), Error> {
        records::fill_value(&key, &mut self.value, &mut self.random);
        self.session.put(&key, &self.value).map_err(store("a put"))?;
        self.note(&key, self.value.len());
        Ok(())
    }

    #[inline]
    fn note(&mut self, key: &Key, bytes: usize) {
        self.user_bytes += (key.len() + bytes) as u64;
        self.written[self.writes % WRITTEN_MAX] = *key;
        self.writes += 1;
    }

    #[inline]
    fn update_field(&mut self) -> Result<(), Error> {
        let key = self.uniform();
        // Whole fields, past the check.
        let fields = (self.plan.spec.value_bytes - records::CHECK_BYTES) / FIELD_BYTES;
        let offset = records::CHECK_BYTES + FIELD_BYTES * self.random.below(fields as u64) as usize;
        let field: [u8; FIELD_BYTES] = self.random.next_u64().to_le_bytes();
        let found = self.session.update_field(&key, offset, &field).map_err(store("an update of a field"))?;
        if !found {
            return Err(missing(&key));
        }
        self.note(&key, FIELD_BYTES);
        Ok(())
    }

    #[inline]
    fn read_or_update(&mut self, read_percent: u64) -> Result<(), Error> {
        let key = self.popular();
        if self.chance(read_percent) { self.get(key) } else { self.put(key) }
    }

    #[inline]
    fn read_or_modify(&mut self) -> Result<(), Error> {
        let key = self.popular();
        self.get(key)?;
        if self.chance(50) { Ok(()) } else { self.put(key) }
    }

    #[inline]
    fn read_latest_or_insert(&mut self) -> Result<(), Error> {
        if !self.chance(95) {
            return self.insert();
        }
        let age = self.plan.zipf.rank(&mut self.random);
        self.get(records::key(self.plan.growth.readable() - 1 - age))
    }

    #[inline]
    fn scan_or_insert(&mut self) -> Result<(), Error> {
        if !self.chance(95) {
            return self.insert();
        }
        let from = self.popular();
        let limit = 1 + self.random.below(SCAN_MAX);
        self.scan(from, limit)
    }

    #[inline]
    fn insert(&mut self) -> Result<(), Error> {
        let number = self.plan.growth.take();
        self.put(records::key(number))?;
        self.plan.growth.written(number);
        Ok(())
    }

    fn bulk(&mut self) -> Result<Step, Error> {
        let (ops, value_bytes) = (self.plan.spec.ops(), self.plan.spec.value_bytes);
        let random = &mut self.random;
        let mut records = (0..ops).map(|number| {
            let (key, mut value) = (records::sequential_key(number), vec![0; value_bytes]);
            records::fill_value(&key, &mut value, random);
            (key, value)
        });
        self.session.bulk_load(&mut records).map_err(store("a bulk load"))?;
        for number in ops.saturating_sub(WRITTEN_MAX as u64)..ops {
            self.note(&records::sequential_key(number), value_bytes);
        }
        self.user_bytes = ops * (records::KEY_BYTES + value_bytes) as u64;
        Ok(Step { units: 1, ops })
    }

    fn load(&mut self, left: Range<u64>) -> Result<Step, Error> {
        let batch = self.plan.spec.batch as u64;
        let numbers = left.start..left.end.min(left.start + batch);
        let value_bytes = self.plan.spec.value_bytes;
        let keys: Vec<Key> =
            numbers.clone().map(|number| records::key(number % self.plan.spec.records)).collect();
        self.value.resize(keys.len() * value_bytes, 0);
        let values = self.value.chunks_exact_mut(value_bytes);
        for (key, value) in keys.iter().zip(values) {
            records::fill_value(key, value, &mut self.random);
        }
        let values = self.value.chunks_exact(value_bytes);
        let records: Vec<(&[u8], &[u8])> = keys.iter().map(|key| &key[..]).zip(values).collect();
        self.session.write_batch(&records).map_err(store("a batch of writes"))?;
        for key in &keys {
            self.note(key, value_bytes);
        }
        Ok(Step { units: keys.len() as u64, ops: keys.len() as u64 })
    }

    fn multi_get(&mut self, left: Range<u64>) -> Result<Step, Error> {
        let count = (left.end - left.start).min(self.plan.spec.batch as u64);
        let keys: Vec<Key> = (0..count).map(|_| self.uniform()).collect();
        let places: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let value_bytes = self.plan.spec.value_bytes;
        let mut hits = 0;
        let mut failed = None;
        let mut visit = |place: usize, value: Option<&[u8]>| match (places.get(place), value) {
            (Some(key), Some(value)) if records::is_value_of(key, value, value_bytes) => hits += 1,
            (Some(key), value) => failed = Some(mismatch(key, value, value_bytes)),
            (None, _) => failed = Some(wrong(format!("place {place} of a multiget of {count}"))),
        };
        self.session.multi_get(&places, &mut visit).map_err(store("a multiget"))?;
        match failed {
            Some(error) => Err(error),
            None if hits != count => Err(wrong(format!("a multiget of {count} keys visited {hits} of them"))),
            None => Ok(Step { units: count, ops: count }),
        }
    }

    fn scan(&mut self, from: Key, limit: u64) -> Result<(), Error> {
        let mut scan = Scan::new(false, self.plan.spec.value_bytes);
        scan.run(&mut self.session, Some(&from), limit)?;
        let least = self.plan.scan_len_min(&from, limit);
        if scan.count < least || scan.count > limit {
            let what = format!("a scan of {limit} from {} gave {} records", hex(&from), scan.count);
            return Err(wrong(format!("{what}; at least {least} are there")));
        }
        Ok(())
    }

    fn pass(&mut self, reverse: bool) -> Result<Step, Error> {
        let expected = self.plan.spec.records;
        let mut scan = Scan::new(reverse, self.plan.spec.value_bytes);
        scan.run(&mut self.session, None, u64::MAX)?;
        // Other workloads may have added records, in order of their numbers.
        let sum = if scan.count == expected { self.plan.sum } else { sum_of(scan.count) };
        if scan.count < expected || scan.sum != sum {
            let what = format!("a pass found {} records that are not the first {expected}", scan.count);
            return Err(wrong(what));
        }
        Ok(Step { units: 1, ops: scan.count })
    }

    #[inline]
    fn check(&self, key: &Key, value: Option<&Vec<u8>>) -> Result<(), Error> {
        let value = value.map(Vec::as_slice);
        match value {
            Some(value) if records::is_value_of(key, value, self.plan.spec.value_bytes) => Ok(()),
            _ => Err(mismatch(key, value, self.plan.spec.value_bytes)),
        }
    }
}

/// A scan and what it found.
pub(crate) struct Scan {
    reverse: bool,
    value_bytes: usize,
    /// The key before, as a number; of no meaning at the first.
    previous: u128,
    failed: Option<Error>,
    pub(crate) count: u64,
    /// The sum of the leading halves of the keys.
    pub(crate) sum: u64,
}

impl Scan {
    pub(crate) fn new(reverse: bool, value_bytes: usize) -> Scan {
        Scan { reverse, value_bytes, previous: 0, failed: None, count: 0, sum: 0 }
    }

    /// Scans from `from`, which exists, and checks each record and the count.
    pub(crate) fn run<S: Session>(
        &mut self,
        session: &mut S,
        from: Option<&Key>,
        limit: u64,
    ) -> Result<(), Error> {
        let reverse = self.reverse;
        let from_bytes = from.map(|key| &key[..]);
        let said = session
            .scan(from_bytes, limit, reverse, &mut |key, value| self.visit(from, key, value))
            .map_err(store("a scan"))?;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if said != self.count {
            return Err(wrong(format!("a scan said {said} records and visited {}", self.count)));
        }
        Ok(())
    }

    #[inline]
    fn visit(&mut self, from: Option<&Key>, key: &[u8], value: &[u8]) {
        let Ok(this) = <&Key>::try_from(key) else {
            return self.fail(wrong(format!("a scan gave the key {}, of {} bytes", hex(key), key.len())));
        };
        // As numbers: one comparison.
        let number = u128::from_be_bytes(*this);
        let in_order = match self.reverse {
            _ if self.count == 0 => from.is_none_or(|from| from == this),
            false => self.previous < number,
            true => self.previous > number,
        };
        if !in_order {
            self.fail(wrong(format!("a scan gave the key {} out of order", hex(key))));
        }
        if !records::is_value_of(this, value, self.value_bytes) {
            self.fail(mismatch(key, Some(value), self.value_bytes));
        }
        self.previous = number;
        self.count += 1;
        self.sum = self.sum.wrapping_add((number >> 64) as u64);
    }

    /// Keeps the first failure: what follows it is likely to be its consequence.
    #[cold]
    fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }
}

/// The store failed at this.
pub(crate) fn store(doing: &'static str) -> impl FnOnce(crate::BoxError) -> Error {
    move |source| Error::Store { doing, source }
}

#[cold]
pub(crate) fn wrong(what: String) -> Error {
    Error::Wrong { what }
}

#[cold]
fn missing(key: &[u8]) -> Error {
    wrong(format!("the key {} is not there", hex(key)))
}

#[cold]
fn mismatch(key: &[u8], value: Option<&[u8]>, value_bytes: usize) -> Error {
    match value {
        None => missing(key),
        Some(value) if value.len() != value_bytes => {
            let found = value.len();
            wrong(format!("the value of {} has {found} bytes, and all have {value_bytes}", hex(key)))
        }
        Some(_) => wrong(format!("the value of {} belongs to another key", hex(key))),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
pub(crate) mod tests;
