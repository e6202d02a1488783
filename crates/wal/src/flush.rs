//! Bringing records from the ring to stable storage: leader and follower, without a thread of its own.
//!
//! A thread that needs the log to reach a position asks the shared [`Progress`] what to do: collect a batch and write
//! it (leader), sync what was written, or wait (follower). No timer: while a write is under way, records gather in
//! the ring, and the next leader takes all that was published. Up to [`FLIGHTS_MAX`] writes are under way at once.
//!
//! Locks: `tail` (rank Log) is held while a batch is built, which may make a segment; `shared` (rank Leaf) for a few
//! instructions. Neither is held while a batch is written or synced.
//!
//! # Invariants
//!
//! - **FL1** A failed write or sync of a batch is never tried again: the log is poisoned, for good.
//! - **FL2** After poisoning nothing is reserved, `written` and `durable` do not rise, and every thread that waits for
//!   more than `durable` gets the cause. What was durable stays acknowledged.
//! - **FL3** A disk that is too full for the next segment stops nothing: records stay in the ring in their order; waiters try
//!   again with growing pauses, each for at most the log's patience, and then get the error. What they waited for
//!   is written when there is space, if the log lives that long.
//! - **FL5** Roles are taken under the lock of `progress` while the log is healthy, and counted; after [`stop`](Flusher::stop)
//!   there is none, and the chain makes, renames and removes nothing: the files may be somebody else's.
//! - **FL4** `written` and `durable` in atomics never run ahead of [`Progress`], which never runs ahead of the disk.

use crate::chain::{Chain, Failure, Segment};
use crate::counters::Counters;
use crate::format::FLAG_CLOSED;
use crate::health::Health;
use crate::progress::{Event, FlightId, Goal, Progress, Step};
use crate::ring::Ring;
use crate::tail::{Batch, Identity, Order, Tail};
use crate::waiters::{Counted, Counts, SLOTS, Waiters};
use crate::{Error, Result};
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_io::{Buffer, IoError, Operation, Request};
use aquifer_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use aquifer_sync::thread::Backoff;
use aquifer_sync::{Mutex, MutexGuard, Rank};
use std::time::{Duration, Instant};

/// Batches being written at once. More make batches smaller: in one run with 16 threads on two processors, one in flight
/// did about 6.3 times a bare loop of durable writes, two 5.7, four 5.2. But two threads gain a third by a second
/// flight, and ten times while the device is slow to take up a lone write.
const FLIGHTS_MAX: usize = 2;
/// How long a waiter puts up with a full disk, by default.
const PATIENCE_MS: u64 = 1000;
/// First and longest pause before a full disk is tried again.
const RETRY_MS: (u64, u64) = (2, 100);
/// Steps of back-off while a record before ours is still being copied; then the thread sleeps between looks.
const GAP_STEPS: u32 = 200;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) ring: Ring,
    pub(crate) chain: Chain,
    pub(crate) health: Health,
    pub(crate) counters: Counters,
    written: AtomicU64,
    durable: AtomicU64,
    patience_ms: AtomicU64,
    /// Threads that write or sync (FL5).
    roles: AtomicU32,
    tail: Mutex<Tail>,
    shared: Mutex<Shared>,
    waiters: Waiters,
}

#[derive(Debug)]
struct Shared {
    progress: Progress<Segment>,
    /// Buffers of earlier batches.
    spare: Vec<Buffer>,
    disk_full: Option<DiskFull>,
    counts: Counts,
}

impl Counted for Shared {
    fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }
}

/// The last attempt to make a segment failed for lack of space.
#[derive(Debug)]
struct DiskFull {
    error: IoError,
    retry_at: Instant,
    pause_ms: u64,
}

/// What became of an attempt to lead.
enum Led {
    /// A batch was written.
    Wrote,
    /// Nothing is published next: a record before ours is still being copied.
    Gap,
    /// There is no space for a segment.
    DiskFull,
}

impl Flusher {
    /// A flusher at the beginning of the chain, and of its first segment: a header and an empty batch are made durable.
    pub(crate) fn start(chain: Chain, identity: Identity, ring_bytes: usize, start: u64) -> Result<Flusher> {
        let segment = chain.begin(start).map_err(|failure| Error::Io(failure.error))?;
        let flusher = Flusher {
            ring: Ring::new(ring_bytes, start),
            chain,
            health: Health::default(),
            counters: Counters::default(),
            written: AtomicU64::new(start),
            durable: AtomicU64::new(start),
            patience_ms: AtomicU64::new(PATIENCE_MS),
            roles: AtomicU32::new(0),
            tail: Mutex::new(Rank::Log, Tail::new(identity, segment, start, ring_bytes)),
            shared: Mutex::new(
                Rank::Leaf,
                Shared {
                    progress: Progress::new(start, FLIGHTS_MAX),
                    spare: Vec::new(),
                    disk_full: None,
                    counts: Counts::default(),
                },
            ),
            waiters: Waiters::default(),
        };
        flusher.write_statement(0)?;
        Ok(flusher)
    }

    /// Everything before it is durable.
    pub(crate) fn durable(&self) -> u64 {
        // Acquire: pairs with the Release in `mirror`.
        self.durable.load(Ordering::Acquire)
    }

    /// Everything before it has been written.
    pub(crate) fn written(&self) -> u64 {
        // Acquire: pairs with the Release in `mirror`.
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        self.patience_ms.store(patience.as_millis() as u64, Ordering::Relaxed);
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.load(Ordering::Relaxed))
    }

    /// Works or waits until the goal is reached.
    pub(crate) fn reach(&self, goal: Goal) -> Result<()> {
        let mut gap_steps = 0;
        let mut backoff = Backoff::new();
        let mut patience_ends = None;
        let mut shared = self.shared.lock();
        loop {
            if shared.progress.is_reached(goal) {
                return Ok(());
            }
            self.health.check()?; // FL2
            if shared.disk_full.is_some() && shared.progress.needs_collection(goal) {
                match self.until_retry(shared, &mut patience_ends)? {
                    (guard, true) => shared = guard,
                    (guard, false) => {
                        shared = guard;
                        continue;
                    }
                }
            }
            match shared.progress.next_step(goal) {
                Step::Done => return Ok(()),
                Step::Wait(event) => shared = self.waiters.wait(shared, event, None),
                Step::Sync { end, files } => {
                    let role = Role::take(self);
                    drop(shared);
                    self.sync(role, end, &files)?;
                    shared = self.shared.lock();
                }
                Step::Collect { through } => {
                    let role = Role::take(self);
                    let spare = std::mem::take(&mut shared.spare);
                    drop(shared);
                    let order = self.order(matches!(goal, Goal::Collected(_)));
                    let led = self.lead(role, order, through, spare)?;
                    if matches!(led, Led::Gap) && gap_steps < GAP_STEPS {
                        gap_steps += 1;
                        backoff.wait();
                    }
                    shared = self.shared.lock();
                    if matches!(led, Led::Gap) && gap_steps == GAP_STEPS {
                        shared = self.pause(shared, Duration::from_millis(1));
                    }
                }
            }
        }
    }

    /// Waits until something is written, or for a while.
    fn pause<'a>(&self, shared: MutexGuard<'a, Shared>, pause: Duration) -> MutexGuard<'a, Shared> {
        let event = Event::Landing(shared.progress.next_flight());
        self.waiters.wait(shared, event, Some(pause))
    }

    /// FL3: waits while it is too early to try a full disk again. Returns whether it is time, or the error when the
    /// patience is at its end.
    fn until_retry<'a>(
        &'a self,
        shared: MutexGuard<'a, Shared>,
        patience_ends: &mut Option<Instant>,
    ) -> Result<(MutexGuard<'a, Shared>, bool)> {
        let Some(full) = &shared.disk_full else { return Ok((shared, true)) };
        let now = Instant::now();
        let is_first = patience_ends.is_none();
        let ends = *patience_ends.get_or_insert_with(|| now + self.patience());
        if now >= full.retry_at && (is_first || now < ends) {
            return Ok((shared, true));
        }
        if now >= ends {
            return Err(full.error.clone().into());
        }
        let pause = full.retry_at.min(ends) - now;
        Ok((self.pause(shared, pause), false))
    }

    fn order(&self, whole_blocks: bool) -> Order {
        Order { durable: self.durable(), flags: 0, even_empty: false, whole_blocks }
    }

    /// Collects a batch and writes it.
    fn lead(&self, role: Role<'_>, order: Order, through: bool, mut spare: Vec<Buffer>) -> Result<Led> {
        let built = self.tail.lock().build(&self.ring, &self.chain, order, &mut spare);
        let mut shared = self.shared.lock();
        shared.spare.append(&mut spare);
        let led = match built {
            Ok(Some(batch)) => {
                shared.disk_full = None;
                let id = shared.progress.collected(batch.end, through, &batch.segment);
                drop(shared);
                let buffer = self.write(batch, through)?;
                self.land(id, buffer)?;
                Ok(Led::Wrote)
            }
            Ok(None) => {
                shared.progress.collected_nothing();
                Ok(Led::Gap)
            }
            Err(failure) if !failure.fatal => {
                shared.progress.collected_nothing();
                shared.is_full(failure.error, self.patience());
                drop(shared);
                self.waiters.wake_everybody();
                Ok(Led::DiskFull)
            }
            Err(failure) => {
                shared.progress.collected_nothing();
                drop(shared);
                Err(self.fail(&failure.error))
            }
        };
        role.done();
        led
    }

    /// A flight's write has succeeded (WA3).
    fn land(&self, id: FlightId, buffer: Buffer) -> Result<()> {
        let mut guard = self.shared.lock();
        self.health.check()?; // FL2
        let shared = &mut *guard;
        let landed = shared.progress.completed(id);
        self.mirror(&shared.progress);
        shared.keep(buffer, self.ring.bytes());
        let next = shared.progress.may_collect().then(|| shared.progress.next_flight());
        let wakeups = shared.counts.landed(landed, next);
        drop(guard);
        self.waiters.wake(wakeups);
        Ok(())
    }

    fn write(&self, batch: Batch, through: bool) -> Result<Buffer> {
        let Batch { segment, offset, buffer, record_bytes, header_bytes, .. } = batch;
        let written_bytes = buffer.len() as u64;
        let completion = if through && !sabotage::is(Sabotage::SkipLogSync) {
            segment.file.write_durable(offset, buffer)
        } else {
            let request = Request { operation: Operation::Write, offset, buffer };
            segment.file.transfer(vec![request]).pop().expect("one completion for one request")
        };
        completion.result.map_err(|error| self.fail(&error))?;
        self.counters.flushed(written_bytes, header_bytes, record_bytes, through);
        Ok(completion.buffer)
    }

    /// Syncs files with plain writes.
    fn sync(&self, role: Role<'_>, end: u64, files: &[Segment]) -> Result<()> {
        for segment in files.iter().filter(|_| !sabotage::is(Sabotage::SkipLogSync)) {
            segment.file.sync_data().map_err(|error| self.fail(&error))?;
            self.counters.synced();
        }
        let mut shared = self.shared.lock();
        self.health.check()?; // FL2
        shared.progress.synced(end);
        self.mirror(&shared.progress);
        let wakeups = shared.counts.synced();
        drop(shared);
        self.waiters.wake(wakeups);
        role.done();
        Ok(())
    }

    /// FL4; under the lock of `progress`.
    fn mirror(&self, progress: &Progress<Segment>) {
        // Release: pairs with the Acquire in `written` and `durable`.
        self.written.store(progress.written(), Ordering::Release);
        self.durable.store(progress.durable(), Ordering::Release);
    }

    /// Makes everything durable that is reserved, and then states it in a batch of its own.
    pub(crate) fn confirm(&self) -> Result<()> {
        self.reach(Goal::Durable(self.ring.next()))?;
        if self.tail.lock().is_confirmed() {
            return Ok(());
        }
        self.write_statement(0)
    }

    /// As `confirm`, and says that the log ends there. Nothing is reserved afterwards.
    pub(crate) fn close(&self) -> Result<()> {
        self.ring.seal();
        self.health.check()?;
        self.reach(Goal::Durable(self.ring.next()))?;
        self.write_statement(FLAG_CLOSED)?;
        self.stop("the log was closed");
        // What cannot be copied now is copied when the next opening retires it.
        let _ = self.chain.archive_all();
        Ok(())
    }

    /// Poisons, and waits until nobody touches the files any more (FL5).
    pub(crate) fn stop(&self, cause: &str) {
        self.poison(cause);
        self.chain.stop();
        // Acquire: pairs with the Release in `Role::drop`.
        while self.roles.load(Ordering::Acquire) > 0 {
            aquifer_sync::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Writes a batch, empty unless something has just been published, that states what is durable.
    fn write_statement(&self, flags: u32) -> Result<()> {
        let mut patience_ends = None;
        let mut shared = self.shared.lock();
        loop {
            self.health.check()?;
            let (guard, ready) = self.until_retry(shared, &mut patience_ends)?;
            shared = guard;
            if !ready {
                continue;
            }
            if shared.progress.collect_through() {
                let role = Role::take(self);
                let spare = std::mem::take(&mut shared.spare);
                drop(shared);
                let order = Order { flags, even_empty: true, ..self.order(false) };
                if let Led::Wrote = self.lead(role, order, true, spare)? {
                    return Ok(());
                }
                shared = self.shared.lock();
            } else {
                drop(shared);
                // Syncs, if a plain write is unsynced; else somebody else's flight ends soon.
                self.reach(Goal::Durable(self.written()))?;
                shared = self.pause(self.shared.lock(), Duration::from_millis(1));
            }
        }
    }

    /// Writes a record in pieces, as the flusher frees room for them. For records that are larger than the room.
    pub(crate) fn stream(&self, start: u64, parts: [&[u8]; 2]) {
        let streamed = self.await_turn(start).and_then(|()| {
            let mut position = start;
            parts.into_iter().try_for_each(|part| self.stream_part(&mut position, part))
        });
        if let Err(error) = streamed {
            // Half a record cannot be withdrawn, and nothing after it may be written without it.
            self.poison(&format!("a record larger than the log's memory could not be written: {error}"));
        }
    }

    /// Waits until every record before `start` has been published: our pieces move the frontier themselves (RI5).
    fn await_turn(&self, start: u64) -> Result<()> {
        let mut backoff = Backoff::new();
        for step in 0u32.. {
            self.health.check()?;
            if self.tail.lock().advance(&self.ring) == start {
                break;
            }
            if step < GAP_STEPS {
                backoff.wait();
            } else {
                drop(self.pause(self.shared.lock(), Duration::from_millis(1)));
            }
        }
        Ok(())
    }

    fn stream_part(&self, position: &mut u64, part: &[u8]) -> Result<()> {
        let mut rest = part;
        while !rest.is_empty() {
            let mut tail = self.tail.lock();
            let room = (self.ring.limit() - *position).min(rest.len() as u64);
            let (piece, after) = rest.split_at(room as usize);
            self.ring.write(*position, piece);
            tail.advance_over(room);
            drop(tail);
            *position += room;
            rest = after;
            if !rest.is_empty() {
                let wanted = (rest.len() as u64).min(self.ring.bytes() / 2);
                self.reach(Goal::Collected(*position + wanted - self.ring.bytes()))?;
            }
        }
        Ok(())
    }

    /// Waits until a record of `len` bytes, framing included, would find room.
    pub(crate) fn wait_for_room(&self, len: u64) -> Result<()> {
        loop {
            self.health.check()?;
            if self.ring.is_sealed() {
                return Err(Error::Poisoned { cause: "the log is being closed".to_owned() });
            }
            if self.ring.is_large(len) {
                self.chain.make_room(len).map_err(|failure| self.refuse(failure))?;
            }
            if self.has_room(len) {
                return Ok(());
            }
            let wanted = if self.ring.is_large(len) { 1 } else { len };
            let limit = self.ring.next() + wanted;
            self.reach(Goal::Collected(limit.saturating_sub(self.ring.bytes())))?;
        }
    }

    /// Whether a reservation would succeed; for a large record, whether there are also segments to hold it.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        self.ring.has_room(len) && (!self.ring.is_large(len) || self.chain.has_room(len))
    }

    /// Prepares the next segment if the active one is half full.
    pub(crate) fn housekeep(&self) -> Result<bool> {
        self.health.check()?;
        let due = self.tail.lock().is_half_full();
        if due { self.chain.prepare().map_err(|failure| self.refuse(failure)) } else { Ok(false) }
    }

    /// Gives segments back whose records are durable and below `lsn` (CH5).
    pub(crate) fn retire(&self, lsn: u64) -> Result<()> {
        self.health.check()?;
        self.chain.retire(lsn, self.durable()).map_err(|failure| self.refuse(failure))
    }

    /// Copies a segment to the archive. Whether there was one to copy.
    pub(crate) fn archive_one(&self) -> Result<bool> {
        self.health.check()?;
        self.chain.archive_one(self.durable()).map_err(|failure| self.refuse(failure))
    }

    fn refuse(&self, failure: Failure) -> Error {
        if failure.fatal { self.fail(&failure.error) } else { Error::Io(failure.error) }
    }

    /// FL1. Returns what waiters get.
    fn fail(&self, error: &IoError) -> Error {
        self.poison(&error.to_string());
        self.health.check().expect_err("FL2: just poisoned")
    }

    /// FL2.
    pub(crate) fn poison(&self, cause: &str) {
        self.ring.seal();
        // The lock: a waiter that has just found the log healthy is asleep before it is woken.
        let shared = self.shared.lock();
        self.health.fail(cause);
        drop(shared);
        self.waiters.wake_everybody();
    }
}

const _: () = assert!(FLIGHTS_MAX < SLOTS, "WA1");

impl Shared {
    /// FL3.
    fn is_full(&mut self, error: IoError, patience: Duration) {
        let pause_ms = self.disk_full.as_ref().map_or(RETRY_MS.0, |full| (2 * full.pause_ms).min(RETRY_MS.1));
        let retry_at = Instant::now() + Duration::from_millis(pause_ms).min(patience);
        self.disk_full = Some(DiskFull { error, retry_at, pause_ms });
    }

    /// Keeps a buffer for a later batch, as long as all of them are smaller than a quarter of the ring.
    fn keep(&mut self, buffer: Buffer, ring_bytes: u64) {
        let kept: usize = self.spare.iter().map(|buffer| buffer.len()).sum();
        if (kept + buffer.len()) as u64 <= ring_bytes / 4 {
            self.spare.push(buffer);
        }
    }
}

/// A role in [`Progress`]: a thread that panics with it poisons the log, for nobody else can finish its work.
struct Role<'f> {
    flusher: &'f Flusher,
    armed: bool,
}

impl<'f> Role<'f> {
    /// With the lock of `progress`, after a look at the log's health (FL5).
    fn take(flusher: &'f Flusher) -> Self {
        flusher.roles.fetch_add(1, Ordering::Relaxed); // ordered by the lock
        Role { flusher, armed: true }
    }

    fn done(mut self) {
        self.armed = false;
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        if self.armed && self.flusher.health.check().is_ok() {
            self.flusher.poison("a thread panicked while it wrote the log");
        }
        // Release: pairs with the Acquire in `stop`.
        self.flusher.roles.fetch_sub(1, Ordering::Release);
    }
}
