//! A consistent view of all tables.

use crate::checkpoint_snapshot::CheckpointTables;
use crate::clock::Moment;
use crate::database::{Database, Handle};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Cursor;
use crate::kind::Hashed;
use crate::large::{self, LargeReader};
use crate::long_key::IndexRange;
use crate::range::{Bounds, ByteOrdered, KeyRange, Range, Scan, encoded, prefix_bounds};
use crate::records::{AnyTable, Iter, Records};
use crate::scratch;
use crate::table::Table;
use crate::table_core::{Found, TableCore};
use crate::view::{ReadLog, View, ViewCursor};
use aquifer_buffer::Pin;
use aquifer_codec::{Key, Value};
use aquifer_index::ValueKind;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::{Arc, OnceLock};
use aquifer_txn::WriteSet;
use aquifer_wal::Lsn;
use std::fmt;

/// All tables as they were at one moment, whatever is committed afterwards. May be used by several threads.
///
/// While it is open, what commits replace is kept in memory, one value for each key that changes. When that is more than its share of the
/// memory budget (an eighth), the oldest snapshots are given up: their reads return [`Error::SnapshotTooOld`]. So does reading a table that
/// was loaded in bulk, or had a range deleted by [`Table::range_delete`], since the snapshot was taken.
///
/// A record that expires does so, for a snapshot, by the time at which that was taken: it sees all or nothing of it.
///
/// A [`Transaction`](crate::Transaction) is a snapshot too, which sees its own writes besides; so is a
/// [`CheckpointSnapshot`](crate::CheckpointSnapshot), which costs no memory for what changes, and is never too old.
///
/// ```
/// # let db = aquifer::Database::in_memory(4 << 20)?;
/// # let stock = db.create_table("stock", Default::default())?;
/// stock.put(b"apples", b"7")?;
/// let snapshot = db.snapshot()?;
/// stock.put(b"apples", b"6")?;
/// stock.put(b"pears", b"3")?;
/// assert_eq!(snapshot.get(&stock, b"apples")?.as_deref(), Some(&b"7"[..]));
/// assert_eq!(snapshot.range(&stock, ..).count(), 1);
/// # Ok::<(), aquifer::Error>(())
/// ```
pub struct Snapshot {
    pub(crate) handle: Arc<Handle>,
    pub(crate) source: Source,
    /// VW3 of `view`.
    pub(crate) pin: Option<Pin>,
    /// A transaction's own writes.
    pub(crate) writes: Option<WriteSet>,
    /// What a serializable transaction has read.
    pub(crate) reads: Option<ReadLog>,
    /// What another one that writes has read of tables whose merges commute, from the first such read on (MG6 of `merge`).
    pub(crate) seen: Option<OnceLock<ReadLog>>,
    /// Something depends on it.
    pub(crate) has_read: AtomicBool,
    /// A read was refused.
    pub(crate) too_old: AtomicBool,
    /// When it was taken (EX2 of `expiry`).
    pub(crate) now: Moment,
}

/// What it reads.
pub(crate) enum Source {
    /// The tables, and older values of what has changed in them since (`view`).
    Versions(aquifer_txn::Snapshot),
    /// The pages of a checkpoint.
    Checkpoint(Box<CheckpointTables>),
}

impl Source {
    pub(crate) fn versions(&self) -> Option<&aquifer_txn::Snapshot> {
        match self {
            Source::Versions(snapshot) => Some(snapshot),
            Source::Checkpoint(_) => None,
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("lsn", &self.lsn().0).finish_non_exhaustive()
    }
}

impl Database {
    /// Takes a snapshot of all tables. Waits for nothing but, if it is the first for a while, the commits that are just being applied.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`], if a commit was not ended; [`Error::Exhausted`] for more than 65,536 of them.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let (inner, pin) = take(self.engine())?;
        Ok(Snapshot { pin, ..Snapshot::of_source(self.handle(), Source::Versions(inner)) })
    }
}

/// Takes a snapshot, and pins large values if there may be some (VW3 of `view`).
pub(crate) fn take(engine: &Engine) -> Result<(aquifer_txn::Snapshot, Option<Pin>)> {
    let take = || engine.txns.snapshots.take().map_err(|error| engine.transaction_error(error, |_| None));
    let snapshot = take()?;
    // Asked for after the snapshot was taken: what is put later, it does not see.
    if !engine.may_hold_large()? {
        return Ok((snapshot, None));
    }
    drop(snapshot);
    let pin = pin(engine)?;
    Ok((take()?, Some(pin)))
}

/// Pins all direct pages, and waits until all is visible that may have been committed before.
pub(crate) fn pin(engine: &Engine) -> Result<Pin> {
    let pin = Pin::everything(&engine.pager);
    engine.order.wait(engine.log.reserved_in_order())?;
    Ok(pin)
}

impl Snapshot {
    /// With no writes, and no pin.
    pub(crate) fn of_source(handle: &Arc<Handle>, source: Source) -> Snapshot {
        Snapshot {
            handle: Arc::clone(handle),
            source,
            pin: None,
            writes: None,
            reads: None,
            seen: None,
            has_read: AtomicBool::new(false),
            too_old: AtomicBool::new(false),
            now: handle.engine.clock.now(),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.handle.engine
    }

    pub(crate) fn view(&self) -> View<'_> {
        let too_old = Some(&self.too_old);
        let snapshot = self.source.versions();
        View { engine: self.engine(), now: self.now, snapshot, writes: self.writes.as_ref(), too_old }
    }

    /// Its place in the order of commits: it sees those at or before it.
    pub fn lsn(&self) -> Lsn {
        match &self.source {
            Source::Versions(snapshot) => Lsn(snapshot.lsn().0),
            Source::Checkpoint(checkpoint) => checkpoint.lsn,
        }
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// As [`Table::get`]; [`Error::SnapshotTooOld`]; in a serializable transaction [`Error::TransactionTooLarge`], if it has read too much
    /// to remember.
    pub fn get<K: Key + ?Sized, V: Value + ?Sized, O>(
        &self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<Option<V::Owned>> {
        scratch::with(&scratch::READ, |value| {
            let found = self.get_into(table, key, value)?;
            found.then(|| decode_value::<V>(table.core(), value)).transpose()
        })
    }

    /// Makes `out` the encoded value of `key`; whether there is one.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_into<K: Key + ?Sized, V: Value + ?Sized, O>(
        &self,
        table: &Table<K, V, O>,
        key: &K,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        scratch::with(&scratch::KEY, |encoded| {
            key.encode(encoded);
            self.get_encoded(table.core(), encoded, out)
        })
    }

    pub(crate) fn get_encoded(&self, table: &Arc<TableCore>, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let table = self.counterpart(table)?;
        let found = self.get_stored(table, key, out)?;
        table.show(self.now, found, out)
    }

    /// As the index has it (EX1 of `expiry`), and whether or not it has expired.
    pub(crate) fn get_stored(&self, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        self.note_read(table, key)?;
        self.view().get_into(table, key, out)
    }

    /// What a key of any length has, stored as the index has it. A large value is the snapshot's, or an own write, which is whole.
    pub(crate) fn find(&self, core: &TableCore, key: &[u8]) -> Result<Option<Found>> {
        self.note_read(core, key)?;
        core.check_usable()?;
        if !core.is_long(key) {
            return self.view().find(core, key);
        }
        let mut bytes = Vec::new();
        let found = self.view().get_into(core, key, &mut bytes)?;
        Ok(found.then_some(Found { kind: ValueKind::Inline, bytes }))
    }

    /// A key is being read.
    pub(crate) fn note_read(&self, table: &TableCore, key: &[u8]) -> Result<()> {
        self.has_read.store(true, Ordering::Relaxed);
        let Some(reads) = self.log_of(table) else { return Ok(()) };
        let (engine, name) = (self.engine(), |key: &[u8]| table.index.name(key).into_owned());
        let name = match table.is_long(key) {
            true => name(&crate::long_key::split(table.key_len_max, key).0),
            false => name(key),
        };
        match &self.reads {
            Some(reads) => reads.add_key(engine, table, &name),
            None => {
                reads.add_key_or_all(engine, table, &name);
                Ok(())
            }
        }
    }

    /// May a transaction have read a key of a table whose merges commute?
    pub(crate) fn may_have_seen(&self, table: &TableCore, name: &[u8]) -> bool {
        let log = self.reads.as_ref().or_else(|| self.seen.as_ref().and_then(OnceLock::get));
        log.is_some_and(|log| log.may_have(table, name))
    }

    /// Where reads of a table are noted, if they are.
    fn log_of(&self, table: &TableCore) -> Option<&ReadLog> {
        match (&self.reads, &self.seen) {
            (Some(reads), _) => Some(reads),
            (None, Some(seen)) if table.merges_commute() => {
                Some(seen.get_or_init(|| ReadLog::small(self.engine())))
            }
            (None, _) => None,
        }
    }

    /// Whether there is a record of `key`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn contains<K: Key + ?Sized, V: Value + ?Sized, O>(
        &self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<bool> {
        scratch::with(&scratch::READ, |value| self.get_into(table, key, value))
    }

    /// A reader of the encoded value of `key` by ranges; nothing if there is none. It may outlive the snapshot.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`Error::BudgetExhausted`] if very many large values are being read and written.
    pub fn open_large<K: Key + ?Sized, V: Value + ?Sized, O>(
        &self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<Option<LargeReader>> {
        let mut encoded = Vec::new();
        key.encode(&mut encoded);
        let core = self.counterpart(table.core())?;
        let Some(reader) = self.open_stored(core, &encoded)? else { return Ok(None) };
        core.reader_of_users_part(self.now, reader)
    }

    /// A reader of a stored value, whether or not it has expired.
    fn open_stored(&self, core: &Arc<TableCore>, key: &[u8]) -> Result<Option<LargeReader>> {
        let pin = Pin::everything(&core.pager);
        let found = self.find(core, key)?;
        found.map(|found| large::reader_of(&self.handle, core, pin, found)).transpose()
    }

    /// As [`open_large`](Self::open_large), of what is stored.
    pub(crate) fn open_large_stored(&self, table: &AnyTable, key: &[u8]) -> Result<Option<LargeReader>> {
        self.open_stored(self.counterpart(table.core())?, key)
    }

    /// The records whose keys lie in `range`, in order; `.rev()` reads backwards. A serializable transaction depends on what it has passed, to the
    /// end of the range if it has seen that.
    pub fn range<'t, K: Key + ?Sized, V: Value + ?Sized>(
        &'t self,
        table: &'t Table<K, V>,
        range: impl KeyRange<K>,
    ) -> Range<'t, K, V> {
        Range::of(self.scan_encoded(table.core(), encoded(&range)))
    }

    /// As [`range`](Self::range), as encoded bytes, lent one by one.
    pub fn scan<'t, K: Key + ?Sized, V: Value + ?Sized>(
        &'t self,
        table: &'t Table<K, V>,
        range: impl KeyRange<K>,
    ) -> Scan<'t> {
        self.scan_encoded(table.core(), encoded(&range))
    }

    /// The records whose keys begin with these bytes, in order.
    pub fn prefix<'t, K: Key + ByteOrdered + ?Sized, V: Value + ?Sized, P: AsRef<[u8]> + ?Sized>(
        &'t self,
        table: &'t Table<K, V>,
        prefix: &P,
    ) -> Range<'t, K, V> {
        Range::of(self.scan_encoded(table.core(), prefix_bounds(prefix.as_ref())))
    }

    /// How many records have keys in `range`. Reads them all.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn count<K: Key + ?Sized, V: Value + ?Sized>(
        &self,
        table: &Table<K, V>,
        range: impl KeyRange<K>,
    ) -> Result<u64> {
        let mut scan = self.scan(table, range);
        let mut count = 0;
        while scan.pass()? {
            count += 1;
        }
        Ok(count)
    }

    /// The first record.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn first<K: Key + ?Sized, V: Value + ?Sized>(
        &self,
        table: &Table<K, V>,
    ) -> Result<Option<(K::Owned, V::Owned)>> {
        self.range(table, ..).next().transpose()
    }

    /// The last record.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn last<K: Key + ?Sized, V: Value + ?Sized>(
        &self,
        table: &Table<K, V>,
    ) -> Result<Option<(K::Owned, V::Owned)>> {
        self.range(table, ..).next_back().transpose()
    }

    /// All records of a hashed table, in no order that means anything.
    pub fn iter<'t, K: Key + ?Sized, V: Value + ?Sized>(
        &'t self,
        table: &'t Table<K, V, Hashed>,
    ) -> Iter<'t, K, V> {
        Iter::of(self.records(table))
    }

    /// All records of a table of either kind as encoded bytes, lent one by one, in the order that the index has them.
    pub fn records<'t, K: Key + ?Sized, V: Value + ?Sized, O>(
        &'t self,
        table: &'t Table<K, V, O>,
    ) -> Records<'t> {
        self.scan_encoded(table.core(), (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded))
            .into_records()
    }

    pub(crate) fn scan_encoded<'t>(&'t self, table: &'t Arc<TableCore>, bounds: Bounds) -> Scan<'t> {
        let (table, failed) = match self.counterpart(table) {
            Ok(table) => (&**table, None),
            Err(error) => (&**table, Some(error)),
        };
        self.has_read.store(true, Ordering::Relaxed);
        let range = IndexRange::of(table, &bounds);
        let (from, to) = range.bounds(&bounds);
        let cursor = match &self.source {
            Source::Versions(_) => {
                let cursor = ViewCursor::new(self.view(), table, from, to, self.log_of(table));
                Cursor::View(Box::new(cursor))
            }
            Source::Checkpoint(_) => table.index.cursor(&table.pager, from, to),
        };
        Scan::over(self.engine(), table, cursor, range, failed).at(self.now)
    }

    /// The table that is read where a handle says this one.
    pub(crate) fn counterpart<'t>(&'t self, table: &'t Arc<TableCore>) -> Result<&'t Arc<TableCore>> {
        self.check_own(table)?;
        match &self.source {
            Source::Versions(_) => Ok(table),
            Source::Checkpoint(checkpoint) => checkpoint.counterpart(table),
        }
    }

    /// The table must be of the same database.
    pub(crate) fn check_own(&self, table: &TableCore) -> Result<()> {
        match self.engine().owns(table) {
            true => Ok(()),
            false => Err(Error::usage(format!("table {} belongs to another database", table.name))),
        }
    }
}

pub(crate) fn decode_value<V: Value + ?Sized>(table: &TableCore, bytes: &[u8]) -> Result<V::Owned> {
    V::decode(bytes).map_err(|error| Error::Decode { table: table.name.clone(), error })
}
