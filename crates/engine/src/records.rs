//! All records of a table, in whatever order its index has them.

use crate::clock::Moment;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Cursor;
use crate::kind::Hashed;
use crate::large;
use crate::long_key::Expansion;
use crate::table::Table;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::Pin;
use aquifer_codec::{Key, Value};
use aquifer_index::ValueKind;
use aquifer_txn::Direction;
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
        Records::new(self.engine(), core, core.index.all(&core.pager), Expansion::default())
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Table<K, V, Hashed> {
    /// All records, in no order. Each key comes at most once, and every key comes that is there from beginning to end.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::of(self.records())
    }
}

impl<'t, K: ?Sized, V: ?Sized> Iter<'t, K, V> {
    pub(crate) fn of(records: Records<'t>) -> Self {
        Iter { records, ended: false, types: PhantomData }
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

/// A key, and its value if that is no long one.
pub(crate) type SmallRecord<'s> = (&'s [u8], Option<&'s [u8]>);

/// Reads all records as encoded bytes, without allocating for each. Reads page by page, and holds nothing between calls. A large value is read
/// whole, as it is by then; one that goes in between is passed over. What [`Scan`](crate::Scan) says of moments holds here.
pub struct Records<'t> {
    engine: &'t Engine,
    pub(crate) table: &'t TableCore,
    cursor: Cursor<'t>,
    /// Groups of long keys.
    groups: Expansion,
    /// A record with a large value, or a group.
    key: Vec<u8>,
    value: Vec<u8>,
    /// All that there is, if it is there.
    pub(crate) failed: Option<Error>,
    /// For a table whose records may expire.
    pub(crate) now: Moment,
    /// Bytes that values begin with and that are not the user's.
    stamp_bytes: usize,
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl<'t> Records<'t> {
    pub(crate) fn new(
        engine: &'t Engine,
        table: &'t TableCore,
        cursor: Cursor<'t>,
        groups: Expansion,
    ) -> Self {
        let (now, stamp_bytes) = (table.now(engine), table.stamp_bytes());
        let (key, value, failed) = Default::default();
        Records { engine, table, cursor, groups, key, value, failed, now, stamp_bytes }
    }

    /// With values as they are stored; those that have expired are left out.
    pub(crate) fn stored(mut self) -> Self {
        self.stamp_bytes = 0;
        self
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

    /// The next record, valid until the next call; nothing in place of a long value, which its reader reads.
    pub(crate) fn next_small(&mut self) -> Result<Option<SmallRecord<'_>>> {
        Ok(self.advance(false)?.map(|at| match at {
            At::Inline => {
                let (key, value) = self.cursor.last().expect("the cursor is there");
                (key, Some(&value[self.stamp_bytes..]))
            }
            At::Large => (&self.key[..], None),
            At::Member => {
                let (key, value) = self.groups.last();
                (key, (value.len() <= SMALL_MEMBER_BYTES_MAX).then_some(&value[self.stamp_bytes..]))
            }
        }))
    }

    /// Passes over a record, reading no large value; whether there was one.
    pub(crate) fn pass(&mut self) -> Result<bool> {
        Ok(self.advance(false)?.is_some())
    }

    fn step(&mut self, back: bool) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            match self.advance(back)? {
                None => return Ok(None),
                Some(At::Inline) => break,
                Some(At::Member) => {
                    let (key, value) = self.groups.last();
                    return Ok(Some((key, &value[self.stamp_bytes..])));
                }
                Some(At::Large) => {
                    // It may be another by now.
                    if self.read_large(back)? && self.table.is_there(self.now, &self.value)? {
                        return Ok(Some((&self.key, &self.value[self.stamp_bytes..])));
                    }
                }
            }
        }
        let record = if back { self.cursor.last_back() } else { self.cursor.last() };
        Ok(record.map(|(key, value)| (key, &value[self.stamp_bytes..])))
    }

    /// Reads the large value, or the group, that the cursor is at; whether it is still there.
    fn read_large(&mut self, back: bool) -> Result<bool> {
        let Cursor::View(cursor) = &self.cursor else {
            return large::read_whole(self.engine, self.table, &self.key, &mut self.value);
        };
        let (_, descriptor) = cursor.last_of(direction(back)).expect("the cursor is there");
        cursor.view().copy_large(self.table, descriptor.bytes, &mut self.value)?;
        Ok(true)
    }

    /// Goes on to the next record that is there (EX2 of `expiry`).
    #[inline]
    fn advance(&mut self, back: bool) -> Result<Option<At>> {
        loop {
            let at = self.advance_stored(back)?;
            match at {
                Some(at) if self.table.expires() && !self.is_there(at, back)? => {}
                at => return Ok(at),
            }
        }
    }

    #[cold]
    fn is_there(&self, at: At, back: bool) -> Result<bool> {
        match at {
            At::Inline => {
                let record = if back { self.cursor.last_back() } else { self.cursor.last() };
                self.table.is_there(self.now, record.expect("the cursor is there").1)
            }
            At::Member => self.table.is_there(self.now, self.groups.last().1),
            At::Large => self.is_large_there(back),
        }
    }

    /// Of a large value the first page is read; one that is gone by now is not there.
    fn is_large_there(&self, back: bool) -> Result<bool> {
        let _pin = Pin::everything(&self.table.pager); // LV5 of `large`
        let found = match &self.cursor {
            Cursor::View(cursor) => {
                let (_, value) = cursor.last_of(direction(back)).expect("the cursor is there");
                Some(Found { kind: value.kind, bytes: value.bytes.to_vec() })
            }
            _ => self.engine.find(self.table, &self.key)?,
        };
        found.map_or(Ok(false), |found| self.table.is_found_there(self.now, &found))
    }

    /// Goes on to the next record. Of one with a large value the key is copied.
    fn advance_stored(&mut self, back: bool) -> Result<Option<At>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            self.table.check_usable()?; // each time: it may have been closed since the last
            if self.groups.is_open(back) {
                self.groups.advance(self.table, back, false)?;
                return Ok(Some(At::Member));
            }
            let cursor = &mut self.cursor;
            let record = if back { cursor.next_value_back() } else { cursor.next_value() };
            let (is_group, kind) = match self.table.reading_large(record)? {
                None => {
                    let more = self.groups.advance(self.table, back, true)?;
                    return Ok(more.then_some(At::Member));
                }
                Some((key, value)) => {
                    let is_group = self.table.is_long(key);
                    if is_group || value.is_large() {
                        self.key.clear();
                        self.key.extend_from_slice(key);
                    }
                    if is_group && !value.is_large() {
                        self.value.clear();
                        self.value.extend_from_slice(value.bytes);
                    }
                    (is_group, value.kind)
                }
            };
            match (is_group, kind) {
                (false, ValueKind::Inline) => return Ok(Some(At::Inline)),
                (false, ValueKind::Large) => return Ok(Some(At::Large)),
                (true, ValueKind::Inline) => {}
                (true, ValueKind::Large) => {
                    if !self.read_large(back)? {
                        continue; // it is gone by now
                    }
                }
            }
            self.groups.open(self.table, back, &self.key, &mut self.value)?;
        }
    }
}

/// Of this end.
fn direction(back: bool) -> Direction {
    if back { Direction::Backward } else { Direction::Forward }
}

/// Where a record is.
#[derive(Clone, Copy)]
enum At {
    /// In the cursor.
    Inline,
    /// In pages of its own.
    Large,
    /// In a group that is open.
    Member,
}

/// A value of a long key beyond this is read by its reader.
const SMALL_MEMBER_BYTES_MAX: usize = 64 << 10;

/// All records of a hashed table. What [`Scan`](crate::Scan) says of moments holds here.
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
