//! Background work: what must be done without anybody asking for it, on two threads or by `step`.
//!
//! | who | does |
//! |---|---|
//! | flusher | makes `Eventual` commits durable, makes log segments ahead of need, sets the writers' pace |
//! | checkpointer | takes checkpoints that are due, frees pages of dropped tables, keeps frames free, shortens the file |
//!
//! Where there are tables whose records may expire, a third thread removes those that have: see `expiry`.
//!
//! # Invariants
//!
//! - **HK1** A thread holds the engine, not a handle: it never keeps a database open. `close` stops and joins both before
//!   anything else.
//! - **HK2** Errors are logged, kept for the statistics, and tried again; the log remembers its own failure.
//! - **HK3** A thread with nothing to do sleeps until a commit nudges it (or for [`IDLE`], whichever is first). It says that it
//!   sleeps before it looks for work a last time, and a committer looks for sleepers after its commit: one of them sees
//!   the other.

use crate::catalog::Journal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use aquifer_buffer::Shrink;
use aquifer_sync::atomic::{AtomicBool, Ordering, fence};
use aquifer_sync::thread::{Builder, JoinHandle};
use aquifer_sync::{Arc, Condvar, Mutex, Rank};
use std::time::Duration;

/// An `Eventual` commit is flushed within about this time.
const FLUSH_EVERY: Duration = Duration::from_millis(8);
/// The checkpointer looks at the state of things this often while commits come.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// And this often when none do.
const IDLE: Duration = Duration::from_millis(500);
/// After an error.
const AFTER_ERROR: Duration = Duration::from_millis(200);
/// Rounds without work before a thread sleeps.
const QUIET_ROUNDS: u32 = 4;

/// How a thread sleeps, is woken and is stopped.
#[derive(Debug)]
pub(crate) struct Signal {
    asleep: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Default for Signal {
    fn default() -> Self {
        Signal {
            asleep: AtomicBool::new(false),
            stopped: Mutex::new(Rank::Leaf, false),
            wake: Condvar::new(),
        }
    }
}

impl Signal {
    /// Something was committed that nobody waits for: wakes the thread if it sleeps.
    #[inline]
    pub(crate) fn nudge(&self) {
        // SeqCst: pairs with the fence in `sleep` (HK3).
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// As [`nudge`](Self::nudge), but may miss a thread that is just going to sleep: for commits that are durable already.
    #[inline]
    pub(crate) fn hint(&self) {
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let _stopped = self.stopped.lock();
        self.asleep.store(false, Ordering::Relaxed);
        self.wake.notify_all();
    }

    /// Ends the thread's loop.
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_all();
    }

    /// Waits a little. Whether to go on.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock();
        if *stopped {
            return false;
        }
        !*self.wake.wait_timeout(stopped, time)
    }

    /// Waits for a nudge, unless `has_work` (HK3). Whether to go on.
    fn sleep(&self, has_work: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `nudge` (HK3).
        fence(Ordering::SeqCst);
        let stopped = self.stopped.lock();
        let go_on = if *stopped {
            false
        } else if has_work() || !self.asleep.load(Ordering::Relaxed) {
            true
        } else {
            !*self.wake.wait_timeout(stopped, IDLE)
        };
        self.asleep.store(false, Ordering::Relaxed);
        go_on
    }
}

/// Starts the two threads.
///
/// # Errors
///
/// If the system grants none.
pub(crate) fn start(engine: &Arc<Engine>) -> Result<Vec<JoinHandle<()>>> {
    let thread = |name: &str, run: fn(&Engine)| {
        let engine = Arc::clone(engine);
        Builder::new().name(name.into()).spawn(move || run(&engine)).map_err(|error| Error::Exhausted {
            what: format!("a thread could not be started: {error}; raise the process's limits"),
        })
    };
    let flusher = thread("aquifer-flush", run_flusher)?;
    match thread("aquifer-ckpt", run_checkpointer) {
        Ok(checkpointer) => Ok(vec![flusher, checkpointer]),
        Err(error) => {
            engine.flusher.stop();
            let _ = flusher.join();
            Err(error)
        }
    }
}

fn run_flusher(engine: &Engine) {
    let signal = &engine.flusher;
    let mut quiet = 0;
    loop {
        let (worked, mut go_on) = round(engine.flush_log(), signal);
        quiet = if worked { 0 } else { quiet + 1 };
        if go_on && quiet >= QUIET_ROUNDS {
            go_on = signal.sleep(|| engine.log_is_behind());
            // Whoever woke this thread has given the other work as well.
            engine.checkpointer.nudge();
        }
        // Gathers what comes meanwhile into one flush.
        if !go_on || !signal.pause(FLUSH_EVERY) {
            return;
        }
    }
}

fn run_checkpointer(engine: &Engine) {
    let signal = &engine.checkpointer;
    let mut quiet = 0;
    loop {
        let work = engine.checkpoint_or_clean_up();
        let (worked, go_on) = round(work, signal);
        quiet = if worked { 0 } else { quiet + 1 };
        let go_on = go_on
            && match quiet {
                0 => signal.pause(Duration::ZERO),
                quiet if quiet < QUIET_ROUNDS => signal.pause(LOOK_EVERY),
                _ if engine.log_is_behind() => signal.pause(LOOK_EVERY),
                _ => signal.sleep(|| false),
            };
        if !go_on {
            return;
        }
    }
}

/// Logs an error (HK2). Whether there was work, and whether to go on.
fn round(work: Result<bool>, signal: &Signal) -> (bool, bool) {
    match work {
        Ok(worked) => (worked, true),
        Err(error) => {
            tracing::warn!(%error, "background work failed and will be tried again");
            (false, signal.pause(AFTER_ERROR))
        }
    }
}

impl Engine {
    /// Is anything committed and not yet durable?
    fn log_is_behind(&self) -> bool {
        self.log.poisoned().is_none() && self.log.durable() < self.log.reserved()
    }

    /// The flusher's work, once. Whether there was any.
    pub(crate) fn flush_log(&self) -> Result<bool> {
        if !self.on_disk {
            return Ok(false);
        }
        self.pace.set(self.log_bytes_since_checkpoint(), self.limits.log_bytes_max);
        if self.log.poisoned().is_some() {
            return Ok(false); // every commit says so
        }
        let behind = self.log_is_behind();
        if behind {
            self.sync()?;
        }
        Ok(self.log.housekeep()? || behind)
    }

    /// The checkpointer's work, once. Whether there was any.
    pub(crate) fn checkpoint_or_clean_up(&self) -> Result<bool> {
        if self.checkpoint_is_due() {
            self.checkpoint()?;
            self.pace.set(self.log_bytes_since_checkpoint(), self.limits.log_bytes_max);
            return Ok(true);
        }
        if self.txns.snapshots.are_versions_kept() {
            self.tidy_versions(true);
        }
        let evicted = self.pager.evict_ahead()?;
        let freed = self.free_dropped();
        if matches!(freed, Ok(true)) {
            return freed;
        }
        // A dropped table that is damaged holds up nothing else.
        let others = self.shrink_file()? || evicted || self.archive_segment()?;
        freed.map(|_| others)
    }

    /// Copies a log segment to the archive. Whether there was one.
    fn archive_segment(&self) -> Result<bool> {
        Ok(self.log.poisoned().is_none() && self.log.archive_one()?)
    }

    /// Moves some pages to the front of a file much of which lies idle. Whether there were any.
    fn shrink_file(&self) -> Result<bool> {
        if !self.on_disk || self.log.poisoned().is_some() {
            return Ok(false);
        }
        let Some(maintenance) = self.maintenance.try_lock() else { return Ok(false) };
        if maintenance.closed {
            return Ok(false);
        }
        let may_load = || Ok(!self.catalog.lock().may_hold_large()?);
        let step = self.pager.shrink_some::<Error>(!self.has_changed(), may_load)?;
        drop(maintenance);
        match step {
            Shrink::Nothing => return Ok(false),
            Shrink::Moving => {}
            Shrink::Moved => {
                self.checkpoint()?;
                self.pager.end_shrinking();
            }
        }
        Ok(true)
    }

    /// Frees some pages of dropped tables. Whether there were any.
    fn free_dropped(&self) -> Result<bool> {
        // Verification must not see a table half gone, and holds this lock.
        let Some(maintenance) = self.maintenance.try_lock() else { return Ok(false) };
        let mut catalog = self.catalog.lock();
        if maintenance.closed || self.log.poisoned().is_some() {
            return Ok(false);
        }
        catalog.free_some(Journal::Log(&self.order))
    }

    /// One unit of all background work. Whether there was any.
    pub(crate) fn step(&self) -> Result<bool> {
        Ok(self.flush_log()? || self.checkpoint_or_clean_up()?)
    }
}
