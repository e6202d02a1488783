//! Random histories of transactions by real threads, with crashes in between, checked for what their isolation level forbids.
//!
//! Every key holds a list; transactions, autocommits and snapshots read lists and append to them (`workers`). A database lives several times; each
//! life ends with a crash, or is closed, and has keys of its own. Two things are checked:
//!
//! - what was told while it lived: all of it, by [`aquifer_history::check`];
//! - what the next opening finds: with the transactions whose durability outlives such an end as committed, and all others as of unknown
//!   outcome, one last transaction reads every list.
//!
//! Which transactions meet is up to the threads, so a seed repeats the plan, and not the history. A failure tells the transactions that
//! contradict each other.
//!
//! # Invariants
//!
//! - **HI1** Times are of one counter, taken before a transaction begins and after its commit has returned.
//! - **HI2** A crash lies between two times. Who was told before the first outlives it, as its durability says; who began after the second
//!   is not in it.

mod lists;
mod workers;

use crate::histories::lists::Lists;
use crate::histories::workers::{Recorded, Work};
use aquifer::{Database, Durability, Isolation};
use aquifer_history::{Anomaly, Level, Operation, Outcome, Transaction, check};
use aquifer_sim::{Fault, Random, SimDisk};
use aquifer_sync::atomic::{AtomicU64, Ordering};
use std::fmt;

/// Memory of the database, in bytes: little, so that pages come and go and versions are cut.
const MEMORY_BYTES: [usize; 2] = [2 << 20, 4 << 20];

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What threads do, and how lives end.
    pub seed: u64,
    /// The level of each thread's transactions, in turn.
    pub levels: Vec<Isolation>,
    /// Threads.
    pub threads: u64,
    /// Transactions of a life, refused ones included.
    pub transactions: u64,
    /// How often the database lives.
    pub lives: u32,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Power is lost, while threads go on.
    PowerLoss,
    /// The process is killed, while threads go on.
    Kill,
    /// The disk loses power and says so to everybody.
    Struck,
    /// It is closed.
    Close,
}

/// The times between which a life ended (HI2), and what it left.
#[derive(Debug)]
struct Crash {
    before: u64,
    after: u64,
    disk: SimDisk,
}

/// What was run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions of any kind, autocommits and snapshots included.
    pub transactions: u64,
    /// Of them committed.
    pub committed: u64,
    /// Of them refused for a conflict, or for want of memory.
    pub refused: u64,
    /// Of them rolled back on purpose, to a savepoint or all.
    pub rolled_back: u64,
    /// Of them of unknown outcome, because the disk failed.
    pub unknown: u64,
    /// Values appended.
    pub appends: u64,
    /// Lists read.
    pub reads: u64,
    /// Losses of power and kills.
    pub crashes: u64,
    /// Transactions that a crash took back.
    pub lost: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The plan, which need not show it again.
    pub plan: Plan,
    /// The life in which it was seen, from 0.
    pub life: u32,
    /// What it was.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, life {}: {}", self.plan.seed, self.life, self.what)
    }
}

impl Plan {
    /// The strongest level that all its transactions share, with regard to time.
    pub fn level(&self) -> Level {
        match self.levels.contains(&Isolation::Snapshot) {
            true => Level::StrongSnapshot,
            false => Level::StrictSerializable,
        }
    }
}

/// Runs a plan and checks what came of it.
///
/// ```
/// use aquifer::Isolation;
/// use aquifer_simulation::histories::{Plan, run};
///
/// let levels = vec![Isolation::Serializable];
/// let tally = run(&Plan { seed: 1, levels, threads: 2, transactions: 500, lives: 2 })?;
/// assert!(tally.committed > 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first thing that the database got wrong.
pub fn run(plan: &Plan) -> Result<Tally, Box<Failure>> {
    run_at(plan, plan.level())
}

/// As [`run`], checked at this level.
fn run_at(plan: &Plan, level: Level) -> Result<Tally, Box<Failure>> {
    let mut tally = Tally::default();
    let mut random = Random(plan.seed);
    let mut disk = SimDisk::with_seed(plan.seed);
    let clock = AtomicU64::new(1);
    for life in 0..plan.lives {
        let lived = live((plan, level), &clock, &disk, &mut random, &mut tally);
        disk = lived.map_err(|what| Box::new(Failure { plan: plan.clone(), life, what }))?;
    }
    Ok(tally)
}

impl std::error::Error for Failure {}

/// One life, and a look at what it has left.
fn live(
    (plan, level): (&Plan, Level),
    clock: &AtomicU64,
    disk: &SimDisk,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<SimDisk, String> {
    let end = match random.below(5) {
        0 | 1 => End::PowerLoss,
        2 => End::Kill,
        3 => End::Struck,
        _ => End::Close,
    };
    let lists = Lists::new(open(disk, random.draw())?)?;
    let work = Work::new(plan, clock, &lists, random.draw(), random.below(plan.transactions));
    let crash_seed = random.draw();
    let take = || {
        let before = work.tick();
        let disk = match end {
            End::PowerLoss => disk.after_power_loss(crash_seed),
            End::Kill => disk.after_kill(),
            End::Struck => {
                disk.inject(Fault::power_loss().nth(1 + crash_seed % 50));
                return None;
            }
            End::Close => return None,
        };
        Some(Crash { before, after: work.tick(), disk })
    };
    let (recorded, crash) = work.run(take)?;
    recorded.iter().for_each(|one| tally.add(one));
    let told: Vec<Transaction> = recorded.iter().map(|one| one.transaction.clone()).collect();
    check_history(&told, level, "of what was told")?;
    let keys = work.keys();
    let crash = match (end, crash) {
        (_, Some(crash)) => crash,
        (End::Close, _) => {
            lists.db.close().map_err(|error| format!("closing: {error}"))?;
            Crash { before: u64::MAX, after: u64::MAX, disk: disk.clone() }
        }
        _ => Crash { before: u64::MAX, after: u64::MAX, disk: disk.after_power_loss(crash_seed) },
    };
    drop(lists);
    tally.crashes += u64::from(end != End::Close);
    check_rest(level, clock, recorded, end, &crash, keys, tally)?;
    Ok(crash.disk)
}

fn open(disk: &SimDisk, random: u64) -> Result<Database, String> {
    let memory_bytes = MEMORY_BYTES[random as usize % MEMORY_BYTES.len()];
    let options = Database::options().memory_budget(memory_bytes).log_bytes_max(2 << 20);
    let opened = options.segment_bytes_max(256 << 10).disk(disk.disk()).open_or_create("");
    opened.map_err(|error| format!("opening: {error}"))
}

/// Opens what a life has left, and reads every list that it had; then they go.
fn check_rest(
    level: Level,
    clock: &AtomicU64,
    recorded: Vec<Recorded>,
    end: End,
    crash: &Crash,
    keys: std::ops::Range<u64>,
    tally: &mut Tally,
) -> Result<(), String> {
    let lists = Lists::new(open(&crash.disk, keys.start)?)?;
    let begin = clock.fetch_add(1, Ordering::SeqCst);
    let snapshot = lists.db.snapshot().map_err(|error| error.to_string())?;
    let read = |key| Ok(Operation::Read { key, list: lists.read_in(&snapshot, key)? });
    let reads = keys.map(read).collect::<aquifer::Result<Vec<_>>>().map_err(|error| error.to_string())?;
    drop(snapshot);
    let report = lists.db.verify(|_| {}).map_err(|error| error.to_string())?;
    if !report.is_clean() {
        return Err(format!("after {end:?}: {:?}", report.faults));
    }
    let floor = match end {
        End::PowerLoss | End::Struck => Durability::Power,
        End::Kill => Durability::Process,
        End::Close => Durability::Eventual,
    };
    let outlives = |one: &Recorded| {
        let Transaction { outcome, end, .. } = one.transaction;
        outcome == Outcome::Committed && end < crash.before && one.durability >= Some(floor)
    };
    let mut history: Vec<Transaction> = Vec::with_capacity(recorded.len() + 1);
    for one in recorded.into_iter().filter(|one| one.transaction.begin < crash.after) {
        let outcome = match one.transaction.outcome {
            Outcome::Aborted => Outcome::Aborted,
            _ if outlives(&one) => Outcome::Committed,
            _ => Outcome::Unknown,
        };
        let end = if outcome == Outcome::Unknown { u64::MAX } else { one.transaction.end };
        history.push(Transaction { outcome, end, ..one.transaction });
    }
    tally.lost += lost(&history, &reads);
    history.push(Transaction::committed(begin, clock.fetch_add(1, Ordering::SeqCst), reads));
    check_history(&history, level, &format!("of what was there after {end:?}"))?;
    lists.clear().map_err(|error| format!("clearing: {error}"))
}

/// Transactions that were told to have committed, appended something, and are not there.
fn lost(history: &[Transaction], reads: &[Operation]) -> u64 {
    let lists = reads.iter().filter_map(|read| match read {
        Operation::Read { list, .. } => Some(list),
        Operation::Append { .. } => None,
    });
    let there: std::collections::HashSet<u64> = lists.flatten().copied().collect();
    let is_lost = |transaction: &&Transaction| {
        transaction.outcome == Outcome::Unknown
            && transaction.operations.iter().any(
                |operation| matches!(operation, Operation::Append { value, .. } if !there.contains(value)),
            )
    };
    history.iter().filter(is_lost).count() as u64
}

fn check_history(history: &[Transaction], level: Level, of: &str) -> Result<(), String> {
    let Err(anomaly) = check(history, level) else { return Ok(()) };
    let mut told = format!("the history {of} is not of level {level:?}: {anomaly}");
    let involved: Vec<u32> = match &anomaly {
        Anomaly::Cycle { steps, .. } => steps.iter().map(|step| step.transaction).collect(),
        Anomaly::Internal { transaction, .. } => vec![*transaction],
        Anomaly::Invented { reader, .. } | Anomaly::Repeated { reader, .. } => vec![*reader],
        Anomaly::AbortedRead { reader, writer, .. } | Anomaly::IntermediateRead { reader, writer, .. } => {
            vec![*reader, *writer]
        }
        Anomaly::IncompatibleOrder { readers, .. } => readers.to_vec(),
        Anomaly::AppendedTwice { .. } => Vec::new(),
    };
    for number in involved {
        let transaction = format!("{:?}", history[number as usize]);
        told += &format!("\n  {number}: {:.4000}", transaction);
    }
    Err(told)
}

impl Tally {
    /// Adds another.
    pub fn absorb(&mut self, other: Tally) {
        self.transactions += other.transactions;
        self.committed += other.committed;
        self.refused += other.refused;
        self.rolled_back += other.rolled_back;
        self.unknown += other.unknown;
        self.appends += other.appends;
        self.reads += other.reads;
        self.crashes += other.crashes;
        self.lost += other.lost;
    }

    fn add(&mut self, one: &Recorded) {
        self.transactions += 1;
        match one.transaction.outcome {
            Outcome::Committed => self.committed += 1,
            Outcome::Aborted if one.on_purpose => self.rolled_back += 1,
            Outcome::Aborted => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
        let is_append = |operation: &&Operation| matches!(operation, Operation::Append { .. });
        let appends = one.transaction.operations.iter().filter(is_append).count() as u64;
        self.appends += appends;
        self.reads += one.transaction.operations.len() as u64 - appends;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { transactions, committed, refused, rolled_back, unknown, .. } = self;
        let Tally { appends, reads, crashes, lost, .. } = self;
        write!(
            f,
            "{transactions} transactions ({committed} committed, {refused} refused, {rolled_back} rolled back, {unknown} unknown) with \
             {appends} appends and {reads} reads; {crashes} crashes, which took {lost} commits back"
        )
    }
}

#[cfg(test)]
mod tests;
