//! What the threads of a history do: transactions, autocommits and snapshots over a window of keys that moves on, so that lists stay short.

use super::Plan;
use super::lists::{self, Lists};
use aquifer::{Durability, Error, ErrorKind, Isolation, Result, Snapshot, Transaction, TxOptions};
use aquifer_history::{Operation, Outcome};
use aquifer_sim::Random;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::{Mutex, Rank, thread};
use std::time::Duration;

/// Keys in use at a time.
const WINDOW: u64 = 10;
/// Transactions after which the window moves on by a key.
const MOVES_EVERY: u64 = 30;
/// Patience for a locked key.
const PATIENCE: Duration = Duration::from_millis(50);

/// A transaction as it was seen from outside.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) transaction: aquifer_history::Transaction,
    /// What its commit has waited for; nothing if it has read without asking for that.
    pub(super) durability: Option<Durability>,
    /// It was to abort.
    pub(super) on_purpose: bool,
}

/// What threads share.
#[derive(Debug)]
pub(super) struct Work<'w> {
    plan: &'w Plan,
    clock: &'w AtomicU64,
    lists: &'w Lists,
    seed: u64,
    first_key: u64,
    /// Transactions begun.
    begun: AtomicU64,
    /// Who begins this one lets the crash happen.
    crash_at: u64,
}

/// One thread.
struct Worker<'w> {
    work: &'w Work<'w>,
    level: Isolation,
    random: Random,
    recorded: Vec<Recorded>,
    /// A snapshot that stays open for long.
    held: Option<Held>,
    failed: bool,
}

struct Held {
    snapshot: Snapshot,
    begin: u64,
    operations: Vec<Operation>,
}

impl<'w> Work<'w> {
    pub(super) fn new(
        plan: &'w Plan,
        clock: &'w AtomicU64,
        lists: &'w Lists,
        seed: u64,
        crash_at: u64,
    ) -> Self {
        // Each life begins with keys that no other one has; time only rises.
        let first_key = clock.load(Ordering::SeqCst) * WINDOW;
        Work { plan, clock, lists, seed, first_key, begun: AtomicU64::new(0), crash_at }
    }

    /// HI1.
    pub(super) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Keys that may have been written.
    pub(super) fn keys(&self) -> std::ops::Range<u64> {
        self.first_key..self.window() + WINDOW
    }

    fn window(&self) -> u64 {
        self.first_key + self.begun.load(Ordering::Relaxed) / MOVES_EVERY
    }

    /// Runs the threads to the end; one of them crashes the database somewhere on the way.
    pub(super) fn run<C: Send>(
        &self,
        crash: impl Fn() -> Option<C> + Sync,
    ) -> std::result::Result<(Vec<Recorded>, Option<C>), String> {
        let crashed = Mutex::new(Rank::Leaf, None);
        let mut recorded = Vec::new();
        let run_one = |number: u64| {
            let level = self.plan.levels[number as usize % self.plan.levels.len()];
            let random = Random(self.seed.wrapping_add(number << 32));
            let mut worker =
                Worker { work: self, level, random, recorded: Vec::new(), held: None, failed: false };
            loop {
                let number = self.begun.fetch_add(1, Ordering::Relaxed);
                if number >= self.plan.transactions || worker.failed {
                    worker.let_go();
                    return Ok::<_, String>(worker.recorded);
                }
                if number == self.crash_at {
                    let taken = crash();
                    *crashed.lock() = taken;
                }
                worker.step()?;
            }
        };
        let run_one = &run_one;
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.plan.threads).map(|number| scope.spawn(move || run_one(number))).collect();
            for thread in threads {
                recorded.extend(thread.join().map_err(|_| "a thread panicked".to_owned())??);
            }
            Ok::<(), String>(())
        })?;
        let taken = crashed.lock().take();
        Ok((recorded, taken))
    }
}

impl Worker<'_> {
    /// One transaction of any kind. `Err` says what the database got wrong by itself.
    fn step(&mut self) -> std::result::Result<(), String> {
        let begin = self.work.tick();
        let done = match self.random.below(100) {
            0..15 => self.get(begin),
            15..18 => self.multi_get(begin),
            18..33 => self.append(begin),
            33..38 => self.snapshot(begin),
            38..40 => self.hold(begin),
            40..44 => self.read_held(),
            _ => self.transaction(begin),
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) if is_disk(&error) => {
                self.failed = true;
                Ok(())
            }
            Err(error) if lists::is_refusal(&error) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn key(&mut self) -> u64 {
        self.work.window() + self.random.below(WINDOW)
    }

    fn durability(&mut self) -> Durability {
        match self.random.below(10) {
            0 => Durability::Power,
            1 | 2 => Durability::Process,
            _ => Durability::Eventual,
        }
    }

    fn record(
        &mut self,
        begin: u64,
        operations: Vec<Operation>,
        outcome: Outcome,
        durability: Option<Durability>,
    ) {
        let end = if outcome == Outcome::Unknown { u64::MAX } else { self.work.tick() };
        let transaction = aquifer_history::Transaction { operations, outcome, begin, end };
        self.recorded.push(Recorded { transaction, durability, on_purpose: false });
    }

    fn get(&mut self, begin: u64) -> Result<()> {
        let key = self.key();
        let list = self.work.lists.read(key)?;
        self.record(begin, vec![Operation::Read { key, list }], Outcome::Committed, None);
        Ok(())
    }

    /// Each of its keys is a transaction of its own.
    fn multi_get(&mut self, begin: u64) -> Result<()> {
        let first = self.key();
        let keys: Vec<u64> = (first..first + WINDOW / 2).filter(|key| key % 2 == first % 2).collect();
        let names = keys.iter().map(|&key| lists::name(key));
        let values = self.work.lists.table(first).multi_get(names)?;
        for (&key, value) in keys.iter().zip(values) {
            let list = lists::list(key, value.as_deref())?;
            self.record(begin, vec![Operation::Read { key, list }], Outcome::Committed, None);
        }
        Ok(())
    }

    fn append(&mut self, begin: u64) -> Result<()> {
        let (key, value, durability) = (self.key(), self.work.tick(), self.durability());
        let table = self.work.lists.table(key).clone().with_durability(durability);
        let appended = table.append(&lists::name(key), &lists::element(key, value));
        let outcome = outcome_of(&appended);
        self.record(begin, vec![Operation::Append { key, value }], outcome, Some(durability));
        appended
    }

    fn snapshot(&mut self, begin: u64) -> Result<()> {
        let snapshot = self.work.lists.db.snapshot()?;
        let mut operations = Vec::new();
        for _ in 0..2 + self.random.below(3) {
            let key = self.key();
            operations.push(Operation::Read { key, list: self.work.lists.read_in(&snapshot, key)? });
            self.yield_perhaps();
        }
        if self.random.chance(5) {
            self.read_all(&snapshot, &mut operations)?;
        }
        drop(snapshot);
        self.record(begin, operations, Outcome::Committed, None);
        Ok(())
    }

    /// Takes a snapshot that stays open while others come and go.
    fn hold(&mut self, begin: u64) -> Result<()> {
        self.let_go();
        let snapshot = self.work.lists.db.snapshot()?;
        self.held = Some(Held { snapshot, begin, operations: Vec::new() });
        Ok(())
    }

    fn read_held(&mut self) -> Result<()> {
        let key = self.key();
        let Some(held) = &mut self.held else { return Ok(()) };
        match self.work.lists.read_in(&held.snapshot, key) {
            Ok(list) => held.operations.push(Operation::Read { key, list }),
            Err(error) => {
                self.let_go(); // what it has read before counts
                return Err(error);
            }
        }
        Ok(())
    }

    fn let_go(&mut self) {
        let Some(Held { begin, operations, .. }) = self.held.take() else { return };
        self.record(begin, operations, Outcome::Committed, None);
    }

    fn transaction(&mut self, begin: u64) -> Result<()> {
        let options = TxOptions::new().isolation(self.level).lock_timeout(PATIENCE);
        let read_only = self.random.chance(8);
        let mut tx = self.work.lists.db.begin_with(if read_only { options.read_only() } else { options })?;
        let mut operations = Vec::new();
        let operated = self.operate(&mut tx, &mut operations, read_only);
        if operated.is_ok() && self.random.chance(4) {
            tx.rollback();
            self.record(begin, operations, Outcome::Aborted, None);
            self.recorded.last_mut().expect("just recorded").on_purpose = true;
            return Ok(());
        }
        if let Err(error) = operated {
            drop(tx);
            self.record(begin, operations, Outcome::Aborted, None);
            return Err(error);
        }
        if !read_only && self.random.chance(4) && self.load(&mut tx).is_err() {
            self.record(begin, operations, Outcome::Aborted, None); // for want of memory
            return Ok(());
        }
        let durability = self.durability();
        let committed = tx.commit_with(durability);
        self.record(begin, operations, outcome_of(&committed), Some(durability));
        committed
    }

    /// Gives a transaction much to do when it commits, so that others meet it half-way.
    fn load(&mut self, tx: &mut Transaction) -> Result<()> {
        let first = self.random.below(1_000) as u32;
        let mut keys = (first..first + 150).map(u32::to_be_bytes);
        keys.try_for_each(|key| tx.put(&self.work.lists.ballast, &key, &[0; 20]))
    }

    fn operate(
        &mut self,
        tx: &mut Transaction,
        operations: &mut Vec<Operation>,
        read_only: bool,
    ) -> Result<()> {
        for _ in 0..1 + self.random.below(5) {
            let key = self.key();
            match self.random.below(20) {
                0..9 if !read_only => self.append_in(tx, operations, key)?,
                9 if !read_only => {
                    let found = tx.get_for_update(self.work.lists.table(key), &lists::name(key))?;
                    operations.push(Operation::Read { key, list: lists::list(key, found.as_deref())? });
                }
                10 if !read_only => {
                    // What is taken back is as what was aborted: nobody reads it.
                    let (savepoint, begin) = (tx.savepoint(), self.work.tick());
                    let mut withdrawn = Vec::new();
                    self.append_in(tx, &mut withdrawn, key)?;
                    tx.rollback_to(savepoint);
                    self.record(begin, withdrawn, Outcome::Aborted, None);
                    self.recorded.last_mut().expect("just recorded").on_purpose = true;
                }
                11 | 12 => self.scan(tx, operations)?,
                _ => operations.push(Operation::Read { key, list: self.work.lists.read_in(tx, key)? }),
            }
            self.yield_perhaps();
        }
        Ok(())
    }

    fn append_in(&mut self, tx: &mut Transaction, operations: &mut Vec<Operation>, key: u64) -> Result<()> {
        let value = self.work.tick();
        operations.push(Operation::Append { key, value });
        tx.append(self.work.lists.table(key), &lists::name(key), &lists::element(key, value))
    }

    /// Reads the sorted lists of a range: what is not there was read too.
    fn scan(&mut self, tx: &Transaction, operations: &mut Vec<Operation>) -> Result<()> {
        let from = self.key();
        let to = from + 1 + self.random.below(WINDOW / 2);
        let mut found = std::collections::BTreeMap::new();
        let range = tx.range(&self.work.lists.sorted, bound(from)..bound(to));
        let mut read = |entry: Result<(Vec<u8>, Vec<u8>)>| {
            let (name, value) = entry?;
            let key = lists::key_of(&name)?;
            found.insert(key, lists::list(key, Some(&value))?);
            Ok::<(), Error>(())
        };
        match self.random.chance(50) {
            true => range.into_iter().try_for_each(&mut read)?,
            false => range.rev().try_for_each(&mut read)?,
        }
        for key in (from..to).filter(|&key| key % 2 == 0 && !lists::is_long(key)) {
            operations.push(Operation::Read { key, list: found.remove(&key).unwrap_or_default() });
        }
        match found.pop_first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(Error::Corrupt { what: format!("key {key} in a scan from {from} to {to}") })
            }
        }
    }

    /// Reads all hashed lists.
    fn read_all(&mut self, snapshot: &Snapshot, operations: &mut Vec<Operation>) -> Result<()> {
        let found: std::collections::BTreeMap<_, _> =
            self.work.lists.hashed_in(snapshot)?.into_iter().collect();
        for key in self.work.keys().filter(|key| key % 2 == 1).rev().take(3 * WINDOW as usize) {
            operations.push(Operation::Read { key, list: found.get(&key).cloned().unwrap_or_default() });
        }
        Ok(())
    }

    /// So that transactions meet though there are few processors.
    fn yield_perhaps(&mut self) {
        if self.random.chance(30) {
            thread::yield_now();
        }
    }
}

fn bound(key: u64) -> Vec<u8> {
    [b"s", &key.to_be_bytes()[..]].concat()
}

fn outcome_of(committed: &Result<()>) -> Outcome {
    match committed {
        Ok(()) => Outcome::Committed,
        Err(error) if lists::is_refusal(error) => Outcome::Aborted,
        Err(_) => Outcome::Unknown,
    }
}

/// The disk has failed, as it was told to.
fn is_disk(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned)
}
