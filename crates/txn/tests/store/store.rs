//! A transactional store in memory: the smallest thing that goes through all steps of a commit.
//!
//! 0. Sort the writes (they are).
//! 1. Honour claims, then lock the stripes of the keys; all of them for a range.
//! 4. Announce the keys, then reserve a place in the order.
//! 5. Validate. On a conflict, or if somebody began to watch in between, the place is completed as aborted.
//! 6. Push what was there before, and change the pages; both under their lock.
//! 7. Complete the place; unlock.
//! 8. Wait until it is visible.

use aquifer_pools::Budget;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::{Arc, Mutex, MutexGuard, Rank};
use aquifer_txn::scan::{Record, View};
use aquifer_txn::{
    Before, Change, Claimant, Claims, CommitLsn, Conflicts, Direction, Error, Item, KeyRange, Notice,
    ReadSet, Result, Scan, Snapshot, Snapshots, StoreCursor, Versions, VersionsOptions, Visible, Watch,
    Write, WriteKeys, WriteSet,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// The only table.
pub const TABLE: u32 = 1;
const STRIPES: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);

type Pages = BTreeMap<Vec<u8>, (Vec<u8>, CommitLsn)>;

pub struct Store {
    /// Values, and the last change of each.
    pages: Mutex<Pages>,
    /// The log: only a position.
    next: AtomicU64,
    stripes: Vec<Mutex<()>>,
    pub snapshots: Arc<Snapshots>,
    pub versions: Versions,
    pub conflicts: Conflicts,
    pub claims: Claims,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Snapshot,
    Serializable,
}

pub struct Transaction<'s> {
    store: &'s Store,
    /// Only a serializable one watches, and remembers what it read.
    watch: Option<Watch<&'s Conflicts>>,
    pub snapshot: Snapshot,
    reads: ReadSet,
    pub writes: WriteSet,
    claimant: Claimant<&'s Claims>,
}

impl Store {
    pub fn new(version_bytes_max: usize) -> Store {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let snapshots = Arc::new(Snapshots::new(visible));
        let account = Budget::new(1 << 30).account("versions");
        let options = VersionsOptions { bytes_max: version_bytes_max, shards: 8 };
        Store {
            pages: Mutex::new(Rank::PageLatch, BTreeMap::new()),
            next: AtomicU64::new(0),
            stripes: (0..STRIPES).map(|_| Mutex::new(Rank::KeyStripe, ())).collect(),
            versions: Versions::new(options, snapshots.clone(), account),
            snapshots,
            conflicts: Conflicts::new(1 << 20),
            claims: Claims::new(),
        }
    }

    pub fn begin(&self, level: Level) -> Result<Transaction<'_>> {
        self.begin_claiming(level, &[])
    }

    /// Claims keys first, and takes the snapshot then: what it reads of them nobody changes before it ends.
    pub fn begin_claiming(&self, level: Level, keys: &[&[u8]]) -> Result<Transaction<'_>> {
        let mut claimant = self.claims.claimant();
        for key in keys {
            claimant.claim(TABLE, key, PATIENCE)?;
        }
        let (watch, snapshot) = match level {
            Level::Snapshot => (None, self.snapshots.take()?),
            Level::Serializable => {
                // A read-modify-write of the word that reservations are made with.
                let reserved = || CommitLsn(self.next.fetch_add(0, Ordering::AcqRel));
                let (watch, snapshot) = self.conflicts.watch(&self.snapshots, reserved)?;
                (Some(watch), snapshot)
            }
        };
        Ok(Transaction {
            store: self,
            watch,
            snapshot,
            reads: ReadSet::new(1 << 20),
            writes: WriteSet::new(1 << 20),
            claimant,
        })
    }

    /// Puts or deletes one key, without a transaction. Its LSN.
    pub fn write(&self, key: &[u8], value: Option<&[u8]>) -> Result<CommitLsn> {
        self.claims.honour(TABLE, key, PATIENCE)?;
        let stripe = self.stripes[stripe_of(key)].lock();
        loop {
            let announced = || WriteKeys { keys: vec![(TABLE, key.into())], ranges: Vec::new() };
            let notice = self.conflicts.notice(announced);
            let (start, end) = self.reserve();
            if notice.shown(end).is_err() {
                self.snapshots.visible().complete(start, end); // aborted
                continue;
            }
            self.apply(end, key, value.map(<[u8]>::to_vec));
            drop(stripe);
            self.finish(start, end, notice)?;
            return Ok(end);
        }
    }

    /// The newest visible value, without a transaction: T2, never half of a commit.
    pub fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let visible = self.snapshots.visible().get();
        match self.item(key) {
            Some(item) if item.changed_at <= visible => Ok(Some(item.value)),
            _ => self.begin(Level::Snapshot)?.get(key),
        }
    }

    fn item(&self, key: &[u8]) -> Option<Item> {
        let pages = self.pages.lock();
        let (value, changed_at) = pages.get(key)?;
        Some(Item { key: key.to_vec(), value: value.clone(), changed_at: *changed_at })
    }

    fn reserve(&self) -> (CommitLsn, CommitLsn) {
        let start = self.next.fetch_add(10, Ordering::AcqRel);
        (CommitLsn(start), CommitLsn(start + 10))
    }

    /// Step 6, of one key, under its stripe.
    fn apply(&self, lsn: CommitLsn, key: &[u8], value: Option<Vec<u8>>) {
        let mut pages = self.pages.lock();
        let before = match pages.get(key) {
            Some((old, _)) => Before::Value(old.as_slice().into()),
            None => Before::Absent,
        };
        self.versions.push(TABLE, key, Change { lsn, before, deletes: value.is_none(), merges: false });
        match value {
            Some(value) => drop(pages.insert(key.to_vec(), (value, lsn))),
            None => drop(pages.remove(key)),
        }
    }

    /// Steps 7 and 8.
    fn finish(&self, start: CommitLsn, end: CommitLsn, notice: Notice<'_>) -> Result<()> {
        self.snapshots.visible().complete(start, end);
        self.snapshots.visible().wait(end)?; // T1
        notice.committed();
        if self.versions.wants_cut() {
            self.versions.cut();
        }
        Ok(())
    }
}

impl<'s> Transaction<'s> {
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.watch.is_some() {
            self.reads.add_key(TABLE, key)?;
        }
        let stored = self.store.item(key);
        self.view().value(key, stored, resolve)
    }

    /// Claims a key; if it was changed since the snapshot, the commit conflicts nevertheless.
    pub fn claim(&mut self, key: &[u8]) -> Result<()> {
        self.claimant.claim(TABLE, key, PATIENCE)
    }

    pub fn scan(&mut self, range: KeyRange, direction: Direction) -> Result<Vec<Record>> {
        if self.watch.is_some() {
            self.reads.add_range(TABLE, range.clone())?;
        }
        let cursor = Cursor { store: self.store, ahead: range.clone(), direction };
        let mut scan = Scan::new(cursor, self.view(), range, direction);
        let mut seen = Vec::new();
        while let Some(pair) = scan.next()? {
            seen.push(pair);
        }
        Ok(seen)
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.writes.put(TABLE, key, value)
    }

    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.writes.delete(TABLE, key)
    }

    /// Commits. Its LSN; its snapshot's if it wrote nothing.
    pub fn commit(mut self) -> Result<CommitLsn> {
        let store = self.store;
        if self.writes.is_empty() {
            return Ok(self.snapshot.lsn());
        }
        for (table, key, _) in self.writes.iter() {
            self.claimant.honour(table, key, PATIENCE)?;
        }
        let stripes = self.lock_stripes();
        loop {
            let notice = store.conflicts.notice(|| self.writes.keys());
            let (start, end) = store.reserve();
            let shown = notice.shown(end);
            let valid = if shown.is_ok() { self.validate(start, &notice) } else { Ok(()) };
            if shown.is_err() || valid.is_err() {
                store.snapshots.visible().complete(start, end); // aborted
                valid?;
                continue;
            }
            for (key, value) in self.changes() {
                store.apply(end, &key, value);
            }
            drop(stripes);
            store.finish(start, end, notice)?;
            return Ok(end);
        }
    }

    /// Step 5.
    fn validate(&self, place: CommitLsn, notice: &Notice<'_>) -> Result<()> {
        for (key, _) in self.changes() {
            self.store.versions.check_unchanged(&self.snapshot, TABLE, &key)?;
        }
        match &self.watch {
            Some(watch) => watch.validate(&self.reads, place, notice),
            None => Ok(()),
        }
    }

    /// What the pages are to hold; nobody else changes these keys.
    fn changes(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut changes = BTreeMap::new();
        for (_, range) in self.writes.deleted_ranges() {
            let pages = self.store.pages.lock();
            changes.extend(pages.range::<[u8], _>(range.bounds()).map(|(key, _)| (key.clone(), None)));
        }
        for (_, key, write) in self.writes.iter() {
            let stored = if write.needs_store() { self.store.item(key) } else { None };
            let value = write.resolve(stored.as_ref().map(|item| &item.value[..]), |_, _| unreachable!());
            changes.insert(key.to_vec(), value);
        }
        changes.into_iter().collect()
    }

    fn lock_stripes(&self) -> Vec<MutexGuard<'s, ()>> {
        let mut numbers: Vec<usize> = match self.writes.deleted_ranges().next() {
            Some(_) => (0..STRIPES).collect(),
            None => self.writes.iter().map(|(_, key, _)| stripe_of(key)).collect(),
        };
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| self.store.stripes[number].lock()).collect()
    }

    fn view(&self) -> View<'_> {
        View {
            table: TABLE,
            versions: &self.store.versions,
            snapshot: &self.snapshot,
            writes: Some(&self.writes),
        }
    }
}

/// Nothing is merged here.
fn resolve(write: &Write, stored: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
    Ok(write.resolve(stored, |value, _| value))
}

/// Reads the pages one record at a time.
struct Cursor<'s> {
    store: &'s Store,
    ahead: KeyRange,
    direction: Direction,
}

impl StoreCursor for Cursor<'_> {
    type Error = Error;

    fn next(&mut self) -> Result<Option<Item>> {
        let pages = self.store.pages.lock();
        let mut inside = pages.range::<[u8], _>(self.ahead.bounds());
        let next = match self.direction {
            Direction::Forward => inside.next(),
            Direction::Backward => inside.next_back(),
        };
        let Some((key, (value, changed_at))) = next else { return Ok(None) };
        self.ahead = self.ahead.ahead_of(key, self.direction);
        Ok(Some(Item { key: key.clone(), value: value.clone(), changed_at: *changed_at }))
    }

    fn resolve(&self, _: &[u8], write: &Write, stored: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        resolve(write, stored)
    }
}

fn stripe_of(key: &[u8]) -> usize {
    key.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % STRIPES
}
