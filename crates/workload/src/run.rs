//! Threads, clock, totals.
//!
//! 1. The clock starts when every thread has its session and its buffers, and stops when the last thread is done. What is
//!    synced after that is not in the time, but its bytes are in the counters.
//! 2. A step's latency is the time since the thread's step before, one reading of the clock each (about 25 ns): drawing
//!    a key and filling a value are in it, a few tens of nanoseconds. Every step is taken, none sampled.
//! 3. Threads that write beside those that are measured begin with them and end after them. Only how much they wrote is told.
//! 4. The first failure of any thread stops all of them, and there is no report.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::operations::{Plan, RMW_KEYS, Scan, Worker, counted, store, sum_of, wrong};
use crate::report::Measured;
use crate::{Durability, Error, Report, Session, Spec, Store, Workload};

/// Between two calls of `progress`.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// The longest latency that is told from longer ones: an hour.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// Runs `spec` on `store`, and calls `progress` with the operations done and all there are, about ten times a
/// second.
///
/// The store must hold what [`Workload::needs_records`] says: see [`load`]. The caller opens the store with the spec's
/// budget, closes it, and removes its files.
///
/// # Errors
/// [`Error::Spec`] for numbers that make no run; for `reopen`, which a process cannot do to itself: time it outside and use
/// [`Report::of_reopen`]; and for `tpcc-kv`, which needs more than a store: see [`Report::of_parts`]. [`Error::Store`] and [`Error::Wrong`] when the store fails or answers wrongly.
pub fn run<S: Store>(store: &S, spec: &Spec, progress: &dyn Fn(u64, u64)) -> Result<Report, Error> {
    spec.check()?;
    if !spec.workload.runs_on_a_store() {
        let what = match spec.workload {
            Workload::Reopen => "`reopen` needs a process that is killed; it cannot be run inside one",
            _ => "`tpcc-kv` needs tables of its own; this engine cannot run it",
        };
        return Err(Error::Spec { what: what.to_owned() });
    }
    if spec.warm && spec.workload.needs_records() {
        let mut session = store.session(Durability::Eventual);
        session.scan(None, u64::MAX, false, &mut |_, _| {}).map_err(self::store("a scan"))?;
    }
    let plan = Plan::new(spec);
    let counts = spec.workload.is_transactional().then(|| counts(store)).transpose()?;
    let before = store.counters();
    let mut measured = drive(store, &plan, progress)?;
    if spec.workload.writes() {
        store.sync().map_err(self::store("a sync"))?;
    }
    measured.written = store.counters().since(before);
    if let Some(counts) = counts {
        check_counts(spec, measured.ops, self::counts(store)?.wrapping_sub(counts))?;
    }
    Report::new(spec, store.description(), measured)
}

/// The sum of the counts of all records, which transactions raise.
fn counts<S: Store>(store: &S) -> Result<u64, Error> {
    counted(&mut store.session(Durability::Eventual))
}

/// So many transactions have counted so far, or one was lost, or done twice.
fn check_counts(spec: &Spec, ops: u64, counted: u64) -> Result<(), Error> {
    let due = ops * RMW_KEYS.min(spec.records);
    if counted == due {
        return Ok(());
    }
    Err(wrong(format!(
        "{ops} transactions made {due} updates, and the records count {counted}: some were lost or done twice"
    )))
}

/// Fills `store` with the records of `spec`, as [`Workload::Load`] does, and syncs it.
///
/// Always [`Durability::Eventual`] in batches of a thousand: it comes before what is measured. Numbers from 0 up are
/// written, each thread a part of them in order.
///
/// # Errors
/// As [`run()`](run()).
pub fn load<S: Store>(store: &S, spec: &Spec, progress: &dyn Fn(u64, u64)) -> Result<Report, Error> {
    let load = Spec {
        workload: Workload::Load,
        ops: None,
        durability: Durability::Eventual,
        batch: Workload::Load.default_batch(),
        writers: 0,
        ..spec.clone()
    };
    run(store, &load, progress)
}

/// Whether `store` holds nothing at all.
///
/// # Errors
/// [`Error::Store`] when it cannot be read.
pub fn is_empty<S: Store>(store: &S) -> Result<bool, Error> {
    let mut session = store.session(Durability::Eventual);
    let count = session.scan(None, 1, false, &mut |_, _| {}).map_err(self::store("a scan"))?;
    Ok(count == 0)
}

/// Counts the records of `store` and checks that they are the first so many: what a load by one thread leaves when it is
/// killed. `O(n)`.
///
/// # Errors
/// [`Error::Wrong`] when one is missing among them, or holds a wrong value.
pub fn count_records<S: Store>(store: &S, value_bytes: usize) -> Result<u64, Error> {
    let mut session = store.session(Durability::Eventual);
    let mut scan = Scan::new(false, value_bytes);
    scan.run(&mut session, None, u64::MAX)?;
    if scan.sum != sum_of(scan.count) {
        return Err(wrong(format!("there are {} records, but not the first {0}", scan.count)));
    }
    Ok(scan.count)
}

/// What the threads of a run have in common.
struct Line {
    /// Threads that are ready to start.
    ready: AtomicUsize,
    /// Threads that have ended, well or not.
    ended: AtomicUsize,
    go: AtomicBool,
    stop: AtomicBool,
    /// Who waits for the threads and shows progress.
    caller: Thread,
    /// Operations done, by thread.
    done: Vec<Done>,
}

impl Line {
    fn ended(&self) -> usize {
        // Pairs with the release in `LastWord::drop`: a thread that has ended has counted all that it did.
        self.ended.load(Ordering::Acquire)
    }

    fn ops_done(&self) -> u64 {
        // Relaxed: only shown.
        self.done.iter().map(|done| done.0.load(Ordering::Relaxed)).sum()
    }
}

/// A counter with a cache line of its own: it is written at every step.
#[derive(Default)]
#[repr(align(128))]
struct Done(AtomicU64);

/// What one thread measured.
struct Share {
    start: Instant,
    end: Instant,
    ops: u64,
    user_bytes: u64,
    retries: u64,
    latencies_ns: Histogram<u64>,
}

fn drive<S: Store>(store: &S, plan: &Plan, progress: &dyn Fn(u64, u64)) -> Result<Measured, Error> {
    let threads = plan.spec.threads;
    let line = Line {
        ready: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        go: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        caller: thread::current(),
        done: (0..threads).map(|_| Done::default()).collect(),
    };
    let line = &line;
    let (shares, written) = thread::scope(|scope| {
        let spawn = |number| scope.spawn(move || work(store, plan, line, number));
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        let beside = |number| scope.spawn(move || write_beside(store, plan, line, threads + number));
        let writers: Vec<_> = (0..plan.spec.writers).map(beside).collect();
        // Pairs with the release of `ready` in `work`. A thread that ends before it was told to go has panicked.
        let waiting = || line.ready.load(Ordering::Acquire) < threads && line.ended() == 0;
        while waiting() {
            thread::park_timeout(PROGRESS_EVERY);
        }
        // Pairs with the acquire of `go` in `work`.
        line.go.store(true, Ordering::Release);
        handles.iter().for_each(|handle| handle.thread().unpark());
        writers.iter().for_each(|handle| handle.thread().unpark());
        while line.ended() < threads {
            thread::park_timeout(PROGRESS_EVERY);
            progress(line.ops_done(), plan.ops_total());
        }
        progress(line.ops_done(), plan.ops_total());
        let shares: Vec<_> =
            handles.into_iter().map(|handle| handle.join().unwrap_or(Err(Error::Panicked))).collect();
        let written: Vec<_> =
            writers.into_iter().map(|handle| handle.join().unwrap_or(Err(Error::Panicked))).collect();
        (shares, written)
    });
    let mut measured = total(shares)?;
    for written in written {
        let written = written?;
        measured.writes_per_s += written.commits as f64 / written.elapsed.as_secs_f64().max(1e-9);
        measured.user_bytes += written.user_bytes;
    }
    Ok(measured)
}

/// What one thread wrote beside those that are measured.
struct Written {
    commits: u64,
    user_bytes: u64,
    elapsed: Duration,
}

/// One thread that writes until all that are measured have ended (rule 3).
fn write_beside<S: Store>(store: &S, plan: &Plan, line: &Line, number: usize) -> Result<Written, Error> {
    let mut worker = Worker::new(plan, store.session(plan.spec.durability), number);
    // Pairs with the release in `drive`.
    while !line.go.load(Ordering::Acquire) {
        thread::park();
    }
    let start = Instant::now();
    let commits = worker.overwrite_while(|| line.ended() < plan.spec.threads);
    // Relaxed: nothing else is passed on, and a step too many does no harm.
    commits.is_err().then(|| line.stop.store(true, Ordering::Relaxed));
    let elapsed = start.elapsed();
    worker.verify()?;
    Ok(Written { commits: commits?, user_bytes: worker.user_bytes, elapsed })
}

/// One thread, from its session to its figures.
fn work<S: Store>(store: &S, plan: &Plan, line: &Line, number: usize) -> Result<Share, Error> {
    // However this ends, the caller hears of it; and if it ends badly, so do the others.
    let mut last_word = LastWord { line, well: false };
    let mut worker = Worker::new(plan, store.session(plan.spec.durability), number);
    let mut latencies_ns =
        Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("these bounds make a histogram");
    let mut left = part(plan.units(), plan.spec.threads, number);
    // Pairs with the acquire in `drive`.
    line.ready.fetch_add(1, Ordering::Release);
    line.caller.unpark();
    // Pairs with the release in `drive`.
    while !line.go.load(Ordering::Acquire) {
        thread::park();
    }
    let start = Instant::now();
    let mut end = start;
    let mut ops = 0;
    // Relaxed: nothing else is passed on, and a step too many does no harm.
    while left.start < left.end && !line.stop.load(Ordering::Relaxed) {
        let step = worker.step(left.clone())?;
        let now = Instant::now();
        latencies_ns.saturating_record((now - end).as_nanos() as u64);
        end = now;
        left.start += step.units;
        ops += step.ops;
        line.done[number].0.store(ops, Ordering::Relaxed);
    }
    worker.release();
    worker.verify()?;
    last_word.well = true;
    Ok(Share { start, end, ops, user_bytes: worker.user_bytes, retries: worker.retries, latencies_ns })
}

/// Tells the others, at the end of a thread, how it ended (rule 4); in unwinding as well.
struct LastWord<'l> {
    line: &'l Line,
    well: bool,
}

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if !self.well {
            self.line.stop.store(true, Ordering::Relaxed);
        }
        // Pairs with the acquire in `Line::ended`.
        self.line.ended.fetch_add(1, Ordering::Release);
        self.line.caller.unpark();
    }
}

/// The part of thread `number` in `units`: the parts are next to each other and differ by one at most.
fn part(units: u64, threads: usize, number: usize) -> Range<u64> {
    let (threads, number) = (threads as u64, number as u64);
    let (each, over) = (units / threads, units % threads);
    let start = each * number + number.min(over);
    start..start + each + u64::from(number < over)
}

/// All threads' figures in one, or the first failure.
fn total(shares: Vec<Result<Share, Error>>) -> Result<Measured, Error> {
    let shares = shares.into_iter().collect::<Result<Vec<Share>, Error>>()?;
    let start = shares.iter().map(|share| share.start).min().expect("a run has threads");
    let end = shares.iter().map(|share| share.end).max().expect("a run has threads");
    let mut latencies_ns =
        Histogram::<u64>::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("these bounds make a histogram");
    for share in &shares {
        latencies_ns.add(&share.latencies_ns).expect("the histograms have the same bounds");
    }
    let quantile_us = |quantile| latencies_ns.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Measured {
        ops: shares.iter().map(|share| share.ops).sum(),
        elapsed: end - start,
        p50_us: quantile_us(0.5),
        p99_us: quantile_us(0.99),
        p999_us: quantile_us(0.999),
        user_bytes: shares.iter().map(|share| share.user_bytes).sum(),
        retries: shares.iter().map(|share| share.retries).sum(),
        writes_per_s: 0.0,
        written: Default::default(),
    })
}

#[cfg(test)]
mod tests;
