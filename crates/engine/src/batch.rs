//! Several changes in one commit.
//!
//! A [`WriteBatch`] is a list in memory: it belongs to no database until [`Database::write`](crate::Database::write)
//! commits it, whole or not at all (P2).

use crate::error::Error;
use crate::expiry::{Noted, Stamp, begin_value};
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use aquifer_sync::Arc;

/// Changes to any number of tables, committed together.
///
/// Later entries on a key win. What cannot be committed (too long a key, a table of another database) is said when the
/// batch is written. After that it is empty and can be filled again; it keeps its memory.
///
/// ```
/// # use aquifer::{Database, Durability, TableDef, WriteBatch};
/// # let db = Database::in_memory(4 << 20)?;
/// const ACCOUNTS: TableDef<str, i64> = TableDef::new("accounts");
/// let accounts = ACCOUNTS.open_or_create(&db)?;
///
/// let mut batch = WriteBatch::new();
/// batch.put(&accounts, "alice", &-100);
/// batch.put(&accounts, "bob", &100);
/// db.write(&mut batch, Durability::Power)?;
///
/// assert_eq!(accounts.get("bob")?, Some(100));
/// assert!(batch.is_empty());
/// # Ok::<(), aquifer::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct WriteBatch {
    pub(crate) tables: Vec<Arc<TableCore>>,
    pub(crate) entries: Vec<BatchEntry>,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    /// There are entries of long keys.
    pub(crate) has_long: bool,
    /// The first thing that was wrong with an entry.
    pub(crate) failed: Option<Error>,
    /// What is put that expires.
    pub(crate) noted: Noted,
}

/// One change: the key lies at `start`, its value right behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchEntry {
    start: usize,
    key_len: u32,
    /// `None` deletes. Beyond what a leaf takes it becomes a large value.
    value_len: Option<usize>,
    /// Index in `tables`.
    pub(crate) table: u32,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// The key gets this value.
    pub fn put<K: Key + ?Sized, V: Value + ?Sized, O>(&mut self, table: &Table<K, V, O>, key: &K, value: &V) {
        self.put_stamped(table, key, value, table.core().stamp(table.engine()));
    }

    /// The key gets this value, behind this stamp if the table has some.
    pub(crate) fn put_stamped<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        stamp: Option<Stamp>,
    ) {
        let (start, key_len) = self.push_key(key);
        let value_at = self.bytes.len();
        begin_value(stamp, &mut self.bytes);
        self.noted.add(table.core(), stamp);
        match value.encode(&mut self.bytes) {
            Ok(()) => self.push(table.core(), start, key_len, Some(self.bytes.len() - value_at)),
            Err(error) => {
                self.bytes.truncate(start);
                let table = table.name().to_owned();
                self.failed.get_or_insert(Error::Encode { table, error });
            }
        }
    }

    /// The key goes.
    pub fn delete<K: Key + ?Sized, V: Value + ?Sized, O>(&mut self, table: &Table<K, V, O>, key: &K) {
        let (start, key_len) = self.push_key(key);
        self.push(table.core(), start, key_len, None);
    }

    /// Entries, those included that a later one on the same key replaces.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is nothing to be done?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.tables.clear();
        self.entries.clear();
        self.bytes.clear();
        self.has_long = false;
        self.failed = None;
        self.noted.clear();
    }

    fn push_key<K: Key + ?Sized>(&mut self, key: &K) -> (usize, usize) {
        let start = self.bytes.len();
        key.encode(&mut self.bytes);
        (start, self.bytes.len() - start)
    }

    fn push(&mut self, table: &Arc<TableCore>, start: usize, key_len: usize, value_len: Option<usize>) {
        let bytes = &self.bytes[start..];
        let value_bytes = value_len.unwrap_or(0) as u64;
        if let Err(error) = table.check_lengths_large(&bytes[..key_len], value_bytes) {
            self.bytes.truncate(start);
            self.failed.get_or_insert(error);
            return;
        }
        self.has_long |= table.is_long(&bytes[..key_len]);
        let table = self.table_index(table);
        let key_len = key_len as u32; // it was checked
        self.entries.push(BatchEntry { start, key_len, value_len, table });
    }

    /// An empty batch for the tables of another, by their numbers there.
    pub(crate) fn for_tables_of(other: &WriteBatch) -> WriteBatch {
        WriteBatch { tables: other.tables.clone(), ..WriteBatch::default() }
    }

    /// Appends a change of a record of the index, which may be: the table is the batch's of this number.
    pub(crate) fn push_record(&mut self, table: u32, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let (key_len, value_len) = (key.len() as u32, value.map(<[u8]>::len));
        self.entries.push(BatchEntry { start, key_len, value_len, table });
    }

    /// The number of a table in this batch.
    pub(crate) fn number_of(&mut self, table: &Arc<TableCore>) -> u32 {
        self.tables.push(Arc::clone(table));
        self.tables.len() as u32 - 1
    }

    fn table_index(&mut self, table: &Arc<TableCore>) -> u32 {
        // Most entries are for the table of the one before.
        if let Some(last) =
            self.entries.last().filter(|last| Arc::ptr_eq(&self.tables[last.table as usize], table))
        {
            return last.table;
        }
        let known = self.tables.iter().position(|other| Arc::ptr_eq(other, table));
        known.unwrap_or_else(|| {
            self.tables.push(Arc::clone(table));
            self.tables.len() - 1
        }) as u32
    }

    #[inline]
    pub(crate) fn table_of(&self, entry: &BatchEntry) -> &TableCore {
        &self.tables[entry.table as usize]
    }

    #[inline]
    pub(crate) fn key(&self, entry: &BatchEntry) -> &[u8] {
        &self.bytes[entry.start..][..entry.key_len as usize]
    }

    /// `None` deletes.
    #[inline]
    pub(crate) fn value(&self, entry: &BatchEntry) -> Option<&[u8]> {
        let start = entry.start + entry.key_len as usize;
        entry.value_len.map(|len| &self.bytes[start..][..len])
    }

    /// Is its value too long for a leaf?
    #[inline]
    pub(crate) fn is_large(&self, entry: &BatchEntry) -> bool {
        entry.value_len.is_some_and(|len| len > self.table_of(entry).value_len_max)
    }

    /// The entries that count, by table and key: of several on one key the last.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let place = |&index: &u32| {
            let entry = &self.entries[index as usize];
            (self.table_of(entry).id, self.key(entry))
        };
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        // Stable, and reversed first: of equal keys the last comes first, and stays when the others go.
        order.reverse();
        order.sort_by(|a, b| place(a).cmp(&place(b)));
        order.dedup_by(|later, kept| place(later) == place(kept));
        order
    }
}
