//! All records of a table, in whatever order its index has them.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Cursor;
use crate::kind::Hashed;
use crate::large;
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use aquifer_index::ValueKind;
use std::fmt;
use std::marker::PhantomData;

/// A table whose records are found by the hashes of their keys, by a get that reads one page of them: faster than a sorted
/// [`Table`] where keys are looked up one by one. It has no order, so there are no ranges, and no first or last.
///
/// ```
/// use aquifer::{Database, TableOptions};
///
/// let db = Database::in_memory(4 << 20)?;
/// let sessions = db.create_table("sessions", TableOptions::hashed())?;
/// sessions.put(b"7f3a", b"ada")?;
/// assert_eq!(sessions.get(b"7f3a")?.as_deref(), Some(&b"ada"[..]));
/// assert_eq!(sessions.iter().count(), 1);
/// # Ok::<(), aquifer::Error>(())
/// ```
///
/// ```compile_fail
/// # let db = aquifer::Database::in_memory(4 << 20).unwrap();
/// let sessions = db.create_table("sessions", aquifer::TableOptions::hashed()).unwrap();
/// sessions.range(&b"a"[..]..); // a hashed table has no ranges
/// ```
pub type HashTable<K = [u8], V = [u8]> = Table<K, V, Hashed>;

/// A table of any kind, for programs that know none of its types: bytes, and all records in the order of the index.
pub type AnyTable = Table<[u8], [u8], crate::kind::Unknown>;

impl<K: Key + ?Sized, V: Value + ?Sized, O> Table<K, V, O> {
    /// All records as encoded bytes, lent one by one, in the order that the index has them: that of the keys if the table is
    /// sorted, none that means anything if it is hashed.
    pub fn records(&self) -> Records<'_> {
        let core = &**self.core();
        Records::new(self.engine(), core, core.tree.all(&core.pager))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Table<K, V, Hashed> {
    /// All records, in no order. Each key comes at most once, and every key comes that is there from beginning to end.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { records: self.records(), ended: false, types: PhantomData }
    }
}

impl AnyTable {
    /// A handle with ranges, if the table is sorted.
    pub fn sorted(&self) -> Option<Table> {
        self.with_kind()
    }

    /// The same table by another handle, if it is hashed.
    pub fn hashed(&self) -> Option<HashTable> {
        self.with_kind()
    }
}

/// A key, and its value if that is no large one.
pub(crate) type SmallRecord<'s> = (&'s [u8], Option<&'s [u8]>);

/// Reads all records as encoded bytes, without allocating for each. Reads what is committed page by page, and holds nothing
/// between calls. A large value is read whole, as it is by then; one that goes in between is passed over.
pub struct Records<'t> {
    engine: &'t Engine,
    pub(crate) table: &'t TableCore,
    cursor: Cursor<'t>,
    /// A record with a large value.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl<'t> Records<'t> {
    pub(crate) fn new(engine: &'t Engine, table: &'t TableCore, cursor: Cursor<'t>) -> Self {
        Records { engine, table, cursor, key: Vec::new(), value: Vec::new() }
    }

    /// The next record, key and value, valid until the next call.
    ///
    /// # Errors
    ///
    /// A page that cannot be read; a table that is dropped or closed.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.step(false)
    }

    /// The next record from the back of a sorted table, valid until the next call.
    pub(crate) fn next_back(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.step(true)
    }

    /// The next record, valid until the next call; nothing in place of a large value, which its reader reads.
    pub(crate) fn next_small(&mut self) -> Result<Option<SmallRecord<'_>>> {
        self.table.check_usable()?;
        let record = self.table.reading(self.cursor.next_value())?;
        Ok(record.map(|(key, value)| (key, (!value.is_large()).then_some(value.bytes))))
    }

    fn step(&mut self, back: bool) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            self.table.check_usable()?; // each time: it may have been closed since the last
            let cursor = &mut self.cursor;
            let record = if back { cursor.next_value_back() } else { cursor.next_value() };
            let kind = match self.table.reading(record)? {
                None => return Ok(None),
                Some((key, value)) => {
                    if value.is_large() {
                        self.key.clear();
                        self.key.extend_from_slice(key);
                    }
                    value.kind
                }
            };
            if kind == ValueKind::Inline {
                break;
            }
            if large::read_whole(self.engine, self.table, &self.key, &mut self.value)? {
                return Ok(Some((&self.key, &self.value)));
            }
        }
        Ok(if back { self.cursor.last_back() } else { self.cursor.last() })
    }
}

/// All records of a hashed table.
pub struct Iter<'t, K: ?Sized, V: ?Sized> {
    records: Records<'t>,
    ended: bool,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("table", &self.records.table.name).finish_non_exhaustive()
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Iterator for Iter<'_, K, V> {
    type Item = Result<(K::Owned, V::Owned)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let table = self.records.table;
        let decoded = self.records.next().and_then(|record| {
            let decode = |error| Error::Decode { table: table.name.clone(), error };
            let both = record
                .map(|(key, value)| Ok((K::decode(key).map_err(decode)?, V::decode(value).map_err(decode)?)));
            both.transpose()
        });
        // After an error nothing more can be said.
        self.ended = !matches!(decoded, Ok(Some(_)));
        decoded.transpose()
    }
}
