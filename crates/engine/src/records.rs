//! All records of a table, in whatever order its index has them.

use crate::error::{Error, Result};
use crate::index::Cursor;
use crate::kind::Hashed;
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
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
        Records { table: core, cursor: core.tree.all(&core.pager) }
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

/// Reads all records as encoded bytes, without allocating for each. Reads what is committed page by page, and holds nothing
/// between calls.
pub struct Records<'t> {
    table: &'t TableCore,
    cursor: Cursor<'t>,
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl Records<'_> {
    /// The next record, key and value, valid until the next call.
    ///
    /// # Errors
    ///
    /// A page that cannot be read; a table that is dropped or closed.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.table.check_usable()?; // each time: it may have been closed since the last
        self.table.reading(self.cursor.next())
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
