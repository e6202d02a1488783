//! Several changes in one commit.
//!
//! A [`WriteBatch`] is a list in memory: it belongs to no database until [`Database::write`](crate::Database::write)
//! commits it, whole or not at all (P2).

use crate::clock::Moment;
use crate::error::Error;
use crate::expiry::{Noted, Stamp, begin_value};
use crate::merge::push_operand;
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use aquifer_sync::Arc;

/// Changes to any number of tables, committed together.
///
/// Later entries on a key win, unless they [merge](Self::merge). What cannot be committed (too long a key, a table of another database) is said when the
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
    /// There are operands.
    pub(crate) has_merges: bool,
    /// The first thing that was wrong with an entry.
    pub(crate) failed: Option<Error>,
    /// What is put that expires.
    pub(crate) noted: Noted,
    /// When its operands are merged.
    pub(crate) now: Moment,
}

/// One change: the key lies at `start`, its value or its operands right behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchEntry {
    start: usize,
    key_len: u32,
    content: Content,
    /// Index in `tables`.
    pub(crate) table: u32,
}

/// What happens to the key.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// It gets a value of so many bytes; beyond what a leaf takes it becomes a large one.
    Put(usize),
    Delete,
    /// A list of operands of so many bytes is merged into its value.
    Merge(usize),
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
            Ok(()) => self.push(table.core(), start, key_len, Content::Put(self.bytes.len() - value_at)),
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
        self.push(table.core(), start, key_len, Content::Delete);
    }

    /// An operand is merged into the value of the key by the table's operator, when the batch is written, behind what the batch has of the key
    /// before: see [`Table::merge`].
    ///
    /// ```
    /// # use aquifer::{Database, Durability, MergeOperator, TableDef, WriteBatch};
    /// # let db = Database::in_memory(4 << 20)?;
    /// const COUNTERS: TableDef<str, u64> = TableDef::new("counters").merging(MergeOperator::add);
    /// let counters = COUNTERS.open_or_create(&db)?;
    /// let mut batch = WriteBatch::new();
    /// batch.merge(&counters, "requests", &3);
    /// batch.merge(&counters, "errors", &1);
    /// batch.merge(&counters, "requests", &4);
    /// db.write(&mut batch, Durability::Power)?;
    /// assert_eq!((counters.get("requests")?, counters.get("errors")?), (Some(7), Some(1)));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn merge<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        operand: &V,
    ) {
        let (start, key_len) = self.push_key(key);
        let mut encoded = Vec::new();
        let encoding = operand.encode(&mut encoded);
        let encoding = encoding.map_err(|error| Error::Encode { table: table.name().to_owned(), error });
        if let Err(error) = encoding.and_then(|()| table.core().check_merges()) {
            self.bytes.truncate(start);
            self.failed.get_or_insert(error);
            return;
        }
        let list_at = self.bytes.len();
        push_operand(&mut self.bytes, &encoded);
        self.push(table.core(), start, key_len, Content::Merge(self.bytes.len() - list_at));
    }

    /// Entries, those included that a later one on the same key replaces.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is nothing to be done?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys, values and operands.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.tables.clear();
        self.entries.clear();
        self.bytes.clear();
        self.has_long = false;
        self.has_merges = false;
        self.failed = None;
        self.noted.clear();
    }

    fn push_key<K: Key + ?Sized>(&mut self, key: &K) -> (usize, usize) {
        let start = self.bytes.len();
        key.encode(&mut self.bytes);
        (start, self.bytes.len() - start)
    }

    fn push(&mut self, table: &Arc<TableCore>, start: usize, key_len: usize, content: Content) {
        let bytes = &self.bytes[start..];
        if let Err(error) = table.check_lengths_large(&bytes[..key_len], content.len() as u64) {
            self.bytes.truncate(start);
            self.failed.get_or_insert(error);
            return;
        }
        self.has_long |= table.is_long(&bytes[..key_len]);
        self.has_merges |= matches!(content, Content::Merge(_));
        let table = self.table_index(table);
        let key_len = key_len as u32; // it was checked
        self.entries.push(BatchEntry { start, key_len, content, table });
    }

    /// Its operands are merged at this time (MG9 of `merge`).
    pub(crate) fn merge_at(&mut self, now: Moment) {
        self.now = now;
        for entry in &self.entries {
            if let Content::Merge(_) = entry.content {
                let table = &self.tables[entry.table as usize];
                self.noted.add(table, table.stamp_at(now));
            }
        }
    }

    /// An empty batch for the tables of another, by their numbers there.
    pub(crate) fn for_tables_of(other: &WriteBatch) -> WriteBatch {
        WriteBatch { tables: other.tables.clone(), now: other.now, ..WriteBatch::default() }
    }

    /// Appends a change of a record of the index, which may be: the table is the batch's of this number.
    pub(crate) fn push_record(&mut self, table: u32, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let content = value.map_or(Content::Delete, |value| Content::Put(value.len()));
        self.entries.push(BatchEntry { start, key_len: key.len() as u32, content, table });
    }

    /// As [`push_record`](Self::push_record), with operands for what the commit finds.
    pub(crate) fn push_operands<'o>(
        &mut self,
        table: u32,
        key: &[u8],
        operands: impl Iterator<Item = &'o [u8]>,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        operands.for_each(|operand| push_operand(&mut self.bytes, operand));
        let content = Content::Merge(self.bytes.len() - start - key.len());
        self.has_merges = true;
        self.has_long |= self.tables[table as usize].is_long(key);
        self.entries.push(BatchEntry { start, key_len: key.len() as u32, content, table });
    }

    /// Appends an entry of another batch for the same tables.
    pub(crate) fn copy(&mut self, other: &WriteBatch, entry: &BatchEntry) {
        let start = self.bytes.len();
        let len = entry.key_len as usize + entry.content.len();
        self.bytes.extend_from_slice(&other.bytes[entry.start..][..len]);
        self.has_merges |= matches!(entry.content, Content::Merge(_));
        self.has_long |= other.table_of(entry).is_long(other.key(entry));
        self.entries.push(BatchEntry { start, ..*entry });
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

    /// `None` deletes; or merges, which is to be asked before.
    #[inline]
    pub(crate) fn value(&self, entry: &BatchEntry) -> Option<&[u8]> {
        let start = entry.start + entry.key_len as usize;
        match entry.content {
            Content::Put(len) => Some(&self.bytes[start..][..len]),
            Content::Delete | Content::Merge(_) => None,
        }
    }

    /// The list of operands, if it merges.
    #[inline]
    pub(crate) fn operands(&self, entry: &BatchEntry) -> Option<&[u8]> {
        let start = entry.start + entry.key_len as usize;
        match entry.content {
            Content::Merge(len) => Some(&self.bytes[start..][..len]),
            Content::Put(_) | Content::Delete => None,
        }
    }

    /// Is its value too long for a leaf?
    #[inline]
    pub(crate) fn is_large(&self, entry: &BatchEntry) -> bool {
        matches!(entry.content, Content::Put(len) if len > self.table_of(entry).value_len_max)
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

impl Content {
    /// Bytes behind the key.
    fn len(self) -> usize {
        match self {
            Content::Put(len) | Content::Merge(len) => len,
            Content::Delete => 0,
        }
    }
}
