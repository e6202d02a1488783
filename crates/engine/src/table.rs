//! A table's handle: BTreeMap's vocabulary over records on disk.

use crate::bulk_load::BulkLoad;
use crate::commit::{Change, commit_one};
use crate::database::{Database, Handle, TableInfo};
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::expiry::{Stamp, begin_value};
use crate::kind::{Kind, Sorted};
use crate::large::{self, LargeReader, LargeWriter};
use crate::long_key::{self, IndexRange};
use crate::range::{ByteOrdered, KeyRange, Range, Scan, encoded, prefix_bounds};
use crate::range_delete::commit_range_delete;
use crate::scratch;
use crate::snapshot::decode_value;
use crate::table_core::TableCore;
use crate::{CommitTicket, Durability};
use aquifer_codec::{Key, Value};
use aquifer_index::ValueKind;
use aquifer_sync::Arc;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

/// Keys given to the index at a time by `multi_get`.
const KEYS_AT_ONCE: usize = 256;

/// A table: keys of type `K`, values of type `V`, bytes unless told otherwise; sorted, unless it is a
/// [`HashTable`](crate::HashTable).
///
/// Keys have up to 64 KiB, values up to 4 GiB. Values beyond a quarter of a page lie in pages of their own: they can
/// be written and read as streams ([`write_large`](Self::write_large), [`open_large`](Self::open_large)). Long keys, of an eighth of a
/// page or more, lie in groups with their values: all that share their first bytes, an eighth of a page less one. A group is read
/// and written whole, so it takes 16 MiB at most, and changing one of its keys costs as much as the group is long. Cloning gives another handle; handles keep the database
/// open, and can be used from any number of threads.
pub struct Table<K: ?Sized = [u8], V: ?Sized = [u8], O = Sorted> {
    handle: Arc<Handle>,
    core: Arc<TableCore>,
    durability: Durability,
    types: PhantomData<fn(&K, &V) -> O>,
}

impl<K: ?Sized, V: ?Sized, O> Clone for Table<K, V, O> {
    fn clone(&self) -> Self {
        Table {
            handle: Arc::clone(&self.handle),
            core: Arc::clone(&self.core),
            durability: self.durability,
            types: PhantomData,
        }
    }
}

impl<K: ?Sized, V: ?Sized, O> fmt::Debug for Table<K, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.core.name)
            .field("id", &self.core.id)
            .finish_non_exhaustive()
    }
}

impl<K: ?Sized, V: ?Sized, O: Kind> Table<K, V, O> {
    /// A handle.
    ///
    /// # Errors
    ///
    /// [`Error::TypeMismatch`] if the table is not of the handle's kind.
    pub(crate) fn new(handle: &Arc<Handle>, core: Arc<TableCore>) -> Result<Self> {
        let kind = core.index.kind().of_table();
        match O::KIND.filter(|&asked| asked != kind) {
            Some(asked) => Err(Error::TypeMismatch {
                table: core.name.clone(),
                stored: format!("{kind} records"),
                asked: format!("{asked} ones"),
            }),
            None => Ok(Table {
                handle: Arc::clone(handle),
                core,
                durability: Durability::default(),
                types: PhantomData,
            }),
        }
    }
}

impl<K: ?Sized, V: ?Sized, O> Table<K, V, O> {
    /// The same by a handle of another kind, if the table is of it.
    pub(crate) fn with_kind<P: Kind>(&self) -> Option<Table<K, V, P>> {
        let table = Table::new(&self.handle, Arc::clone(&self.core)).ok()?;
        Some(table.with_durability(self.durability))
    }

    /// Another handle, of stored values ([`TableCore::of_stored_values`]).
    pub(crate) fn of_stored_values(&self) -> Self {
        Table { core: Arc::new(self.core.of_stored_values()), ..self.clone() }
    }

    /// Another handle, by which groups of long keys are records like others ([`TableCore::of_index_records`]).
    pub(crate) fn of_index_records(&self) -> Self {
        Table { core: Arc::new(self.core.of_index_records()), ..self.clone() }
    }

    pub(crate) fn core(&self) -> &Arc<TableCore> {
        &self.core
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.handle.engine
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// What the catalog says of it.
    pub fn info(&self) -> TableInfo {
        TableInfo::of(&self.core)
    }

    /// The database that it belongs to.
    pub fn database(&self) -> Database {
        Database::of(Arc::clone(&self.handle))
    }

    /// This handle with another durability for `put`, `delete`, `replace` and `take`: [`Durability::Power`] unless told.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, O> Table<K, V, O> {
    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// A page that cannot be read, a value not of type `V`, a table that is dropped or closed.
    pub fn get(&self, key: &K) -> Result<Option<V::Owned>> {
        self.get_with(key, |bytes| self.decode_value(bytes))?.transpose()
    }

    /// Copies the encoded value of `key` into `out`, replacing what it held; whether there is one. Allocates nothing if `out`
    /// is large enough.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_into(&self, key: &K, out: &mut Vec<u8>) -> Result<bool> {
        self.core.check_usable()?;
        let now = self.core.now(self.engine());
        let found = scratch::with(&scratch::KEY, |encoded| {
            key.encode(encoded);
            self.get_stored(encoded, out)
        })?;
        self.core.show(now, found, out)
    }

    /// Makes `out` what an encoded key has, as it is stored.
    #[inline]
    fn get_stored(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        if self.core.is_long(key) {
            return long_key::get_into(self.engine(), &self.core, key, out);
        }
        match self.engine().look_up(&self.core, key, out)? {
            Some(ValueKind::Large) => large::read_whole(self.engine(), &self.core, key, out),
            found => Ok(found.is_some()),
        }
    }

    /// Gives the encoded value of `key` to `read`: a private copy, under no lock.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_with<R>(&self, key: &K, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        scratch::with(&scratch::READ, |value| {
            let found = self.get_into(key, value)?;
            Ok(found.then(|| read(value)))
        })
    }

    /// Whether there is a record of `key`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn contains(&self, key: &K) -> Result<bool> {
        if self.core.expires() {
            return Ok(self.expiry(key)?.is_some());
        }
        self.core.check_usable()?;
        scratch::with(&scratch::KEY, |encoded| {
            key.encode(encoded);
            if self.core.is_long(encoded) {
                return Ok(long_key::find(self.engine(), &self.core, encoded)?.is_some());
            }
            self.engine().contains(&self.core, encoded)
        })
    }

    /// The values of several keys, in their order; what is not in memory is read together.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn multi_get<Q: Borrow<K>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Option<V::Owned>>> {
        self.core.check_usable()?;
        let core = &*self.core;
        let mut encoded = Vec::new();
        let mut ends = Vec::new();
        for key in keys {
            key.borrow().encode(&mut encoded);
            ends.push(encoded.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let keys: Vec<&[u8]> = starts.zip(&ends).map(|(start, &end)| &encoded[start..end]).collect();
        // Where nothing can miss, looking for what misses would only cost a second descent.
        let load = keys.len() > 1 && !core.pager.all_pages_in_memory();
        let now = core.now(self.engine());
        let mut values = Vec::with_capacity(keys.len());
        scratch::with(&scratch::READ, |value| {
            for chunk in keys.chunks(KEYS_AT_ONCE) {
                // Groups of long keys are read one by one.
                if load && !chunk.iter().any(|key| core.is_long(key)) {
                    core.reading(core.index.load_leaves(&core.pager, chunk))?;
                }
                for key in chunk {
                    let found = core.show(now, self.get_stored(key, value)?, value)?;
                    values.push(found.then(|| self.decode_value(value)).transpose()?);
                }
            }
            Ok::<(), Error>(())
        })?;
        Ok(values)
    }

    /// Sets the value of `key`, with this handle's durability.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTooLarge`], [`Error::ValueTooLarge`]; a page that cannot be read, a full disk or budget, after which
    /// nothing has changed; [`Error::Pending`] if it is done and the full disk keeps it from being durable;
    /// [`Error::Poisoned`] if the log failed, when the outcome is unknown.
    pub fn put(&self, key: &K, value: &V) -> Result<()> {
        let (commit, _) = self.commit_put(key, value, self.core.stamp(self.engine()), None)?;
        self.engine().wait_for(commit, self.durability)
    }

    /// Removes `key`, if it is there, with this handle's durability.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete(&self, key: &K) -> Result<()> {
        let (commit, _) = self.commit_delete(key, None)?;
        self.engine().wait_for(commit, self.durability)
    }

    /// As [`put`](Self::put), and gives the old value.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put). If the old value is not of type `V`, the new one is there all the same. After
    /// [`Error::Pending`] the old value is gone.
    pub fn replace(&self, key: &K, value: &V) -> Result<Option<V::Owned>> {
        let mut old = Vec::new();
        let stamp = self.core.stamp(self.engine());
        let (commit, present) = self.commit_put(key, value, stamp, Some(&mut old))?;
        let present = self.core.show(self.core.now(self.engine()), present, &mut old);
        self.engine().wait_for(commit, self.durability)?;
        present?.then(|| self.decode_value(&old)).transpose()
    }

    /// As [`delete`](Self::delete), and gives the old value.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete). If the old value is not of type `V`, it is removed all the same. After
    /// [`Error::Pending`] the old value is gone.
    pub fn take(&self, key: &K) -> Result<Option<V::Owned>> {
        let mut old = Vec::new();
        let (commit, present) = self.commit_delete(key, Some(&mut old))?;
        let present = self.core.show(self.core.now(self.engine()), present, &mut old);
        self.engine().wait_for(commit, self.durability)?;
        present?.then(|| self.decode_value(&old)).transpose()
    }

    /// Sets the value of `key` without waiting: the ticket does.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn put_with(&self, key: &K, value: &V, durability: Durability) -> Result<CommitTicket> {
        let (commit, _) = self.commit_put(key, value, self.core.stamp(self.engine()), None)?;
        Ok(self.ticket(commit, durability))
    }

    /// Removes `key` without waiting: the ticket does.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete_with(&self, key: &K, durability: Durability) -> Result<CommitTicket> {
        let (commit, _) = self.commit_delete(key, None)?;
        Ok(self.ticket(commit, durability))
    }

    /// Writes the encoded value of `key` as a stream: it replaces the old one when it is
    /// [finished](LargeWriter::finish), and nothing of it is there before. For values of any length up to 4 GiB, in little memory. Time to live counts from this call on.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTooLarge`]; [`Error::BudgetExhausted`] if very many large values are being read and written; a table that is
    /// dropped or closed.
    pub fn write_large(&self, key: &K) -> Result<LargeWriter> {
        self.write_large_stamped(key, self.core.stamp(self.engine()))
    }

    /// Writes behind the encoded value of `key` as a stream; what was there is not written again. As
    /// [`write_large`](Self::write_large), where there is none.
    ///
    /// # Errors
    ///
    /// As [`write_large`](Self::write_large), and a page that cannot be read. [`LargeWriter::finish`] refuses with
    /// [`Error::ValueChanged`] if somebody else has changed the value meanwhile.
    pub fn append_large(&self, key: &K) -> Result<LargeWriter> {
        LargeWriter::behind(&self.handle, &self.core, encoded_key(key), self.durability)
    }

    /// Appends bytes to the encoded value of `key`, or makes it of them. O(bytes), and a page.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn append(&self, key: &K, bytes: &[u8]) -> Result<()> {
        let commit = large::append(&self.handle, &self.core, &encoded_key(key), bytes)?;
        self.engine().wait_for(commit, self.durability)
    }

    /// Overwrites bytes of the encoded value of `key`, from `offset` on. Of a large value the pages touched are written anew.
    ///
    /// # Errors
    ///
    /// `Usage` if they do not lie within the value; else as [`put`](Self::put).
    pub fn patch(&self, key: &K, offset: u64, bytes: &[u8]) -> Result<()> {
        let commit = large::patch(&self.handle, &self.core, &encoded_key(key), offset, bytes)?;
        self.engine().wait_for(commit, self.durability)
    }

    /// A reader of the encoded value of `key`, as it is now, by ranges; nothing if there is none.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`Error::BudgetExhausted`] if very many large values are being read and written.
    pub fn open_large(&self, key: &K) -> Result<Option<LargeReader>> {
        let now = self.core.now(self.engine());
        let stored = large::open(&self.handle, &self.core, &encoded_key(key))?;
        stored.map_or(Ok(None), |stored| self.core.reader_of_users_part(now, stored))
    }

    /// Whether there is no record.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.records().next_small()?.is_none())
    }

    /// Records, estimated from a few pages; those that have expired count until they are removed. O(depth).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn len_estimate(&self) -> Result<u64> {
        self.core.check_usable()?;
        self.core.reading(self.core.index.len_estimate(&self.core.pager))
    }

    /// Puts a value behind its stamp, if it has one.
    pub(crate) fn commit_put(
        &self,
        key: &K,
        value: &V,
        stamp: Option<Stamp>,
        old: Option<&mut Vec<u8>>,
    ) -> Result<(Commit, bool)> {
        let committed = scratch::with(&scratch::KEY, |encoded_key| {
            scratch::with(&scratch::VALUE, |encoded_value| {
                key.encode(encoded_key);
                begin_value(stamp, encoded_value);
                value
                    .encode(encoded_value)
                    .map_err(|error| Error::Encode { table: self.core.name.clone(), error })?;
                if encoded_value.len() > self.core.value_len_max && !self.core.is_long(encoded_key) {
                    self.core.check_lengths_large(encoded_key, encoded_value.len() as u64)?;
                    self.core.check_usable()?;
                    let logging = large::Logging::of(&self.core);
                    let written = large::write_whole(self.engine(), encoded_value, logging)?;
                    let change = Change::PutLarge(&written);
                    return commit_one(self.engine(), &self.core, encoded_key, change, old);
                }
                commit_one(self.engine(), &self.core, encoded_key, Change::Put(encoded_value), old)
            })
        });
        self.core.note(stamp);
        committed
    }

    fn commit_delete(&self, key: &K, old: Option<&mut Vec<u8>>) -> Result<(Commit, bool)> {
        scratch::with(&scratch::KEY, |encoded_key| {
            key.encode(encoded_key);
            commit_one(self.engine(), &self.core, encoded_key, Change::Delete, old)
        })
    }

    fn ticket(&self, commit: Commit, durability: Durability) -> CommitTicket {
        // Whoever does not wait still gets it flushed soon.
        self.engine().flusher.nudge();
        CommitTicket::new(self.engine(), commit, durability)
    }

    fn decode_value(&self, bytes: &[u8]) -> Result<V::Owned> {
        decode_value::<V>(&self.core, bytes)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Table<K, V> {
    /// Records whose keys lie in `range`, estimated from a few pages; a group of long keys may count as one. O(depth).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn estimate(&self, range: impl KeyRange<K>) -> Result<u64> {
        self.core.check_usable()?;
        let bounds = encoded(&range);
        let range = IndexRange::of(&self.core, &bounds);
        let (from, to) = range.bounds(&bounds);
        self.core.reading(self.core.index.sorted().estimate(&self.core.pager, from, to))
    }

    /// Records whose keys lie in `range`, counted: reads every leaf of the range, and no record, unless there are long keys or records that
    /// may expire. Counts what is committed leaf by leaf.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn count(&self, range: impl KeyRange<K>) -> Result<u64> {
        self.core.check_usable()?;
        long_key::count(self.engine(), &self.core, encoded(&range))
    }

    /// Deletes all records whose keys lie in `range`, in one commit with this handle's durability. O(depth) in time and log,
    /// however many there are: their pages are freed in the background, unread. If the table has values with pages of their own, the
    /// records of the range are read first, for these pages. All other writers of the database wait for the
    /// moment that it takes; readers do not.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    ///
    /// ```
    /// # let db = aquifer::Database::in_memory(4 << 20)?;
    /// # let table = db.create_table("numbers", Default::default())?;
    /// for n in 0..1000u32 {
    ///     table.put(&n.to_be_bytes(), b"number")?;
    /// }
    /// table.range_delete(&10u32.to_be_bytes()[..]..&990u32.to_be_bytes()[..])?;
    /// assert_eq!(table.count(..)?, 20);
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn range_delete(&self, range: impl KeyRange<K>) -> Result<()> {
        let (from, to) = encoded(&range);
        let bounds = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let commit = commit_range_delete(self.engine(), &self.core, bounds)?;
        self.engine().wait_for(commit, self.durability)
    }

    /// Loads records in ascending order of their keys (as encoded), each key once, into this table, which is empty: all of them
    /// or, on an error, nothing. Pages are written full and in order, and past the log; at the end a checkpoint makes them
    /// durable. Nobody sees a record before that. Returns how many there are.
    ///
    /// An archived log is no way past a bulk load: restore a backup that was taken after it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the table is not empty, at the beginning or at the end (what has expired counts
    /// until it is removed), or for a record that is out of order, with its number and both keys; else as [`put`](Self::put).
    ///
    /// ```
    /// # let db = aquifer::Database::in_memory(4 << 20)?;
    /// # let table = db.create_table("numbers", Default::default())?;
    /// let records = (0..1000u32).map(|n| (n.to_be_bytes(), b"number"));
    /// assert_eq!(table.bulk_load(records.map(|(key, value)| (key.to_vec(), value.to_vec())))?, 1000);
    /// assert_eq!(table.get(&7u32.to_be_bytes())?.as_deref(), Some(&b"number"[..]));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn bulk_load<Q: Borrow<K>, W: Borrow<V>>(
        &self,
        records: impl IntoIterator<Item = (Q, W)>,
    ) -> Result<u64> {
        self.try_bulk_load(records.into_iter().map(Ok::<_, Error>))
    }

    /// As [`bulk_load`](Self::bulk_load), from a source that may fail: its first error ends the load, and nothing is loaded.
    ///
    /// # Errors
    ///
    /// As [`bulk_load`](Self::bulk_load); the source's.
    pub fn try_bulk_load<Q: Borrow<K>, W: Borrow<V>, E: From<Error>>(
        &self,
        records: impl IntoIterator<Item = std::result::Result<(Q, W), E>>,
    ) -> std::result::Result<u64, E> {
        let mut load = BulkLoad::begin(&self.handle, &self.core)?;
        let (mut encoded_key, mut encoded_value) = (Vec::new(), Vec::new());
        for record in records {
            let (key, value) = record?;
            encoded_key.clear();
            encoded_value.clear();
            key.borrow().encode(&mut encoded_key);
            begin_value(self.core.stamp(self.engine()), &mut encoded_value);
            let encoded = value.borrow().encode(&mut encoded_value);
            encoded.map_err(|error| Error::Encode { table: self.core.name.clone(), error })?;
            load.push(&encoded_key, &encoded_value)?;
        }
        let (count, commit) = load.finish()?;
        self.engine().wait_for(commit, self.durability)?;
        Ok(count)
    }

    /// The first record.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn first(&self) -> Result<Option<(K::Owned, V::Owned)>> {
        self.iter().next().transpose()
    }

    /// The last record.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn last(&self) -> Result<Option<(K::Owned, V::Owned)>> {
        self.iter().next_back().transpose()
    }

    /// All records, in order of their keys.
    pub fn iter(&self) -> Range<'_, K, V> {
        self.range(..)
    }

    /// The records whose keys lie in `range`, in order; `.rev()` reads backwards.
    pub fn range(&self, range: impl KeyRange<K>) -> Range<'_, K, V> {
        Range::new(self.engine(), &self.core, encoded(&range))
    }

    /// As [`range`](Self::range), as encoded bytes, lent one by one.
    pub fn scan(&self, range: impl KeyRange<K>) -> Scan<'_> {
        Scan::new(self.engine(), &self.core, encoded(&range))
    }

    /// The records whose keys begin with these bytes, in order.
    pub fn prefix<P: AsRef<[u8]> + ?Sized>(&self, prefix: &P) -> Range<'_, K, V>
    where
        K: ByteOrdered,
    {
        Range::new(self.engine(), &self.core, prefix_bounds(prefix.as_ref()))
    }

    /// As [`prefix`](Self::prefix), as encoded bytes, lent one by one.
    pub fn scan_prefix<P: AsRef<[u8]> + ?Sized>(&self, prefix: &P) -> Scan<'_>
    where
        K: ByteOrdered,
    {
        Scan::new(self.engine(), &self.core, prefix_bounds(prefix.as_ref()))
    }
}

pub(crate) fn encoded_key<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode(&mut out);
    out
}
