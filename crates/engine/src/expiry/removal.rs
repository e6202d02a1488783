//! Removing what has expired, in the background, some at a time.
//!
//! A step looks at some records of a table, from where the last one stopped, and deletes those of them that have expired, each by a commit of its own
//! that finds it unchanged (EX4); those of one group of long keys by one. It holds nothing between two commits, waits for nobody's lock on a key (what is locked
//! stays for the next walk), and keeps in memory the keys and short values that it is about to remove, a mebibyte at most beside one group. The thread rests after each
//! step for as long as that took, or eight times as long where little is found, and does nothing while writers are slowed.

use super::Stamp;
use super::due::Walk;
use crate::clock::Moment;
use crate::commit::{Change, commit_record};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::housekeeping::Signal;
use crate::index::Index;
use crate::large::ClearedTo;
use crate::long_key;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::Pin;
use aquifer_index::{LeafValue, ValueKind};
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread::{Builder, JoinHandle};
use std::ops::Bound;
use std::time::{Duration, Instant};

/// Records that a step looks at; of a hashed table a few more, up to the end of a bucket.
const RECORDS_MAX: usize = 2_000;
/// Records that it removes.
const REMOVED_MAX: usize = 256;
/// Values with pages of their own, and groups of long keys, that it looks at: each is read.
const READ_MAX: usize = 16;
/// Bytes of keys and values that it keeps.
const BYTES_MAX: usize = 1 << 20;

/// The thread looks this often for something to do.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// And after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// The longest rest after a step.
const REST_MAX: Duration = Duration::from_millis(250);
/// Where little is found, the thread rests so many times as long as it works.
const RESTS_FOR_ONE: u32 = 8;

/// What a database has for it.
#[derive(Debug)]
pub(crate) struct Removal {
    /// There may be a thread.
    in_background: AtomicBool,
    pub(crate) signal: Signal,
    is_started: AtomicBool,
    removed: AtomicU64,
}

impl Removal {
    pub(crate) fn new(in_background: bool) -> Removal {
        let (is_started, removed) = (AtomicBool::new(false), AtomicU64::new(0));
        let in_background = AtomicBool::new(in_background);
        Removal { in_background, signal: Signal::default(), is_started, removed }
    }

    /// From now on there may be a thread.
    pub(crate) fn permit(&self) {
        self.in_background.store(true, Ordering::Relaxed);
    }

    /// Records removed since the opening.
    pub(crate) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }
}

/// Starts the thread, unless there is one, or is to be none.
///
/// # Errors
///
/// If the system grants none.
pub(crate) fn start(engine: &Arc<Engine>) -> Result<Option<JoinHandle<()>>> {
    let removal = &engine.removal;
    if !removal.in_background.load(Ordering::Relaxed) || removal.is_started.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    let of_thread = Arc::clone(engine);
    let thread = Builder::new().name("aquifer-expire".into()).spawn(move || run(&of_thread));
    thread.map(Some).map_err(|error| {
        removal.is_started.store(false, Ordering::Relaxed);
        Error::Exhausted {
            what: format!("a thread could not be started: {error}; raise the process's limits"),
        }
    })
}

fn run(engine: &Arc<Engine>) {
    loop {
        let begun = Instant::now();
        let step = if engine.pace.is_slowing() { Ok(None) } else { some(engine) };
        let rest = match step {
            Ok(Some(found_much)) => {
                let times = if found_much { 1 } else { RESTS_FOR_ONE };
                (begun.elapsed() * times).min(REST_MAX)
            }
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(%error, "expired records could not be removed; this will be tried again");
                AFTER_ERROR
            }
        };
        if !engine.removal.signal.pause(rest) {
            return;
        }
    }
}

/// Looks at some records of a table that is due, and removes what has expired. Whether there was such a table.
///
/// # Errors
///
/// Those of reading and of commits; the walk goes on behind what failed.
pub(crate) fn remove_some(engine: &Arc<Engine>) -> Result<bool> {
    Ok(some(engine)?.is_some())
}

/// As [`remove_some`]: whether much of what it looked at had expired.
fn some(engine: &Arc<Engine>) -> Result<Option<bool>> {
    let tables: Vec<Arc<TableCore>> = {
        let catalog = engine.catalog.lock();
        catalog.tables().filter(|table| table.expires()).map(Arc::clone).collect()
    };
    if engine.log.poisoned().is_some() {
        return Ok(None); // every commit says so
    }
    let now = engine.clock.now();
    let mut failed = None;
    for table in &tables {
        let Some(expiring) = &table.expiring else { continue };
        let Some(mut walk) = expiring.take_walk(now, || ClearedTo::beginning(&table.index)) else { continue };
        let before = (walk.looked_at, walk.removed);
        let went = step(engine, table, &mut walk, now);
        let found_much = (walk.removed - before.1) * 4 > walk.looked_at - before.0;
        let stayed = walk.failed.take();
        match went {
            Ok(true) => expiring.put_back(walk),
            Ok(false) => expiring.end_walk(&walk, now),
            Err(Error::TableDropped { .. } | Error::Closed) => expiring.end_walk(&walk, now),
            Err(error) => {
                match error.kind() {
                    ErrorKind::Corrupt => expiring.give_up_walk(now),
                    _ => expiring.put_back(walk),
                }
                failed.get_or_insert(error);
                continue; // other tables are not to wait for this one
            }
        }
        match stayed {
            Some(error) => drop(failed.get_or_insert(error)),
            None => return failed.map_or(Ok(Some(found_much)), Err),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// One step of a walk. Whether it goes on.
fn step(engine: &Arc<Engine>, table: &TableCore, walk: &mut Walk, now: Moment) -> Result<bool> {
    let mut seen = Seen::default();
    let next = seen.read(table, &walk.at, now)?;
    walk.looked_at += seen.looked_at as u64;
    walk.left = walk.left.min(seen.left);
    let Seen { expired, large, groups, .. } = seen;
    for (key, found, stamp) in expired {
        let removed = remove(engine, table, &key, (found, stamp), walk);
        walk.pass_by(removed, now)?;
    }
    for key in large {
        let looked = look_at_large(engine, table, &key, walk, now);
        walk.pass_by(looked, now)?;
    }
    for key in groups {
        if is_claimed(engine, table, &key) {
            walk.leave(Stamp::at(now));
            continue;
        }
        let retained = long_key::commit_retained(engine, table, &key, |value| {
            let stamp = table.stamp_of(value)?;
            let stays = stamp.is_alive(now);
            if stays {
                walk.leave(stamp);
            }
            Ok(stays)
        });
        let (members, removed) = walk.pass_by(retained, now)?.unwrap_or_default();
        walk.looked_at += members;
        walk.count(engine, removed);
    }
    engine.flusher.nudge();
    let goes_on = next.is_some();
    walk.at = next.unwrap_or_else(|| ClearedTo::beginning(&table.index));
    Ok(goes_on)
}

impl Walk {
    fn leave(&mut self, stamp: Stamp) {
        self.left = self.left.min(stamp.ends());
    }

    /// What could not be removed stays for the next walk, and keeps nothing else from going.
    fn pass_by<T>(&mut self, result: Result<T>, now: Moment) -> Result<Option<T>> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(error @ (Error::TableDropped { .. } | Error::Closed | Error::Poisoned { .. })) => Err(error),
            Err(error) => {
                self.leave(Stamp::at(now));
                self.failed.get_or_insert(error);
                Ok(None)
            }
        }
    }

    fn count(&mut self, engine: &Engine, removed: u64) {
        self.removed += removed;
        engine.removal.removed.fetch_add(removed, Ordering::Relaxed);
    }
}

/// Removes a record that is still what was found (EX4). Not if somebody has locked its key.
fn remove(
    engine: &Engine,
    table: &TableCore,
    key: &[u8],
    (found, stamp): (Found, Stamp),
    walk: &mut Walk,
) -> Result<()> {
    if is_claimed(engine, table, key) {
        walk.leave(stamp);
        return Ok(());
    }
    match commit_record(engine, table, key, Change::Delete, Some(&Some(found)), None) {
        // A change of a part leaves the stamp and does not note it (EX5).
        Err(Error::ValueChanged { .. }) => walk.leave(stamp),
        removed => {
            removed?;
            walk.count(engine, 1);
        }
    }
    Ok(())
}

fn is_claimed(engine: &Engine, table: &TableCore, key: &[u8]) -> bool {
    let claims = &engine.txns.claims;
    claims.any() && claims.honour(table.id, &table.index.name(key), Duration::ZERO).is_err()
}

/// Reads the stamp of a value with pages of its own, and removes it if it has expired.
fn look_at_large(engine: &Engine, table: &TableCore, key: &[u8], walk: &mut Walk, now: Moment) -> Result<()> {
    let _pin = Pin::everything(&table.pager); // until it is removed: LV4 of `large`
    let Some(found) = engine.find(table, key)? else { return Ok(()) };
    let stamp = table.stamp_of_found(&found)?;
    if stamp.is_alive(now) {
        walk.leave(stamp);
        return Ok(());
    }
    remove(engine, table, key, (found, stamp), walk)
}

/// What a step has found.
#[derive(Default)]
struct Seen {
    looked_at: usize,
    /// The least stamp of those that stay.
    left: u64,
    expired: Vec<(Vec<u8>, Found, Stamp)>,
    large: Vec<Vec<u8>>,
    groups: Vec<Vec<u8>>,
    bytes: usize,
}

impl Seen {
    /// Reads records from here on; where to go on, if there are more.
    fn read(&mut self, table: &TableCore, from: &ClearedTo, now: Moment) -> Result<Option<ClearedTo>> {
        self.left = u64::MAX;
        match (&table.index, from) {
            (Index::Sorted(tree), ClearedTo::Key(from)) => {
                let mut records = tree.cursor(&table.pager, Bound::Included(from), Bound::Unbounded);
                while let Some((key, value)) = table.reading(records.next_value())? {
                    if self.is_enough() {
                        return Ok(Some(ClearedTo::Key(key.to_vec())));
                    }
                    self.look(table, key, value, now)?;
                }
            }
            (Index::Hashed(hash), ClearedTo::Hash(from)) => {
                let mut records = hash.cursor_from(&table.pager, *from);
                while let Some((key, value)) = table.reading(records.next_value())? {
                    self.look(table, key, value, now)?;
                    if let Some(next) = records.resume_at().filter(|_| self.is_enough()) {
                        return Ok(Some(ClearedTo::Hash(next)));
                    }
                }
            }
            _ => unreachable!("a table is of one kind for its life"),
        }
        Ok(None)
    }

    fn is_enough(&self) -> bool {
        self.looked_at >= RECORDS_MAX
            || self.expired.len() >= REMOVED_MAX
            || self.large.len() + self.groups.len() >= READ_MAX
            || self.bytes >= BYTES_MAX
    }

    fn look(&mut self, table: &TableCore, key: &[u8], value: LeafValue<'_>, now: Moment) -> Result<()> {
        self.looked_at += 1;
        if table.is_long(key) {
            self.bytes += key.len();
            self.groups.push(key.to_vec());
        } else if value.is_large() {
            self.bytes += key.len();
            self.large.push(key.to_vec());
        } else {
            let stamp = table.stamp_of(value.bytes)?;
            if stamp.is_alive(now) {
                self.left = self.left.min(stamp.ends());
                return Ok(());
            }
            self.bytes += key.len() + value.bytes.len();
            let found = Found { kind: ValueKind::Inline, bytes: value.bytes.to_vec() };
            self.expired.push((key.to_vec(), found, stamp));
        }
        Ok(())
    }
}
