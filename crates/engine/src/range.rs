//! Reading records in order.

use crate::clock::Moment;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Cursor;
use crate::long_key::{Expansion, IndexRange};
use crate::records::Records;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;

/// Keys whose encoding is their bytes, so that a prefix of bytes is a prefix of keys.
pub trait ByteOrdered {}

impl ByteOrdered for [u8] {}
impl ByteOrdered for Vec<u8> {}
impl ByteOrdered for str {}
impl ByteOrdered for String {}

/// A range of keys of type `K`: `..`, `a..b`, `a..=b`, `a..`, `..b`, `..=b`, or a pair of bounds, of keys or references to them.
///
/// As [`std::ops::RangeBounds`], which does not take `"a".."b"` for keys of type `str`.
pub trait KeyRange<K: ?Sized> {
    /// Where it begins, and where it ends.
    fn bounds(&self) -> (Bound<&K>, Bound<&K>);
}

impl<K: ?Sized> KeyRange<K> for std::ops::RangeFull {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (Bound::Unbounded, Bound::Unbounded)
    }
}

impl<K: ?Sized, Q: Borrow<K>> KeyRange<K> for std::ops::Range<Q> {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (Bound::Included(self.start.borrow()), Bound::Excluded(self.end.borrow()))
    }
}

impl<K: ?Sized, Q: Borrow<K>> KeyRange<K> for std::ops::RangeInclusive<Q> {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (Bound::Included(self.start().borrow()), Bound::Included(self.end().borrow()))
    }
}

impl<K: ?Sized, Q: Borrow<K>> KeyRange<K> for std::ops::RangeFrom<Q> {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (Bound::Included(self.start.borrow()), Bound::Unbounded)
    }
}

impl<K: ?Sized, Q: Borrow<K>> KeyRange<K> for std::ops::RangeTo<Q> {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (Bound::Unbounded, Bound::Excluded(self.end.borrow()))
    }
}

impl<K: ?Sized, Q: Borrow<K>> KeyRange<K> for std::ops::RangeToInclusive<Q> {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (Bound::Unbounded, Bound::Included(self.end.borrow()))
    }
}

impl<K: ?Sized, Q: Borrow<K>> KeyRange<K> for (Bound<Q>, Bound<Q>) {
    fn bounds(&self) -> (Bound<&K>, Bound<&K>) {
        (self.0.as_ref().map(Borrow::borrow), self.1.as_ref().map(Borrow::borrow))
    }
}

/// Encoded bounds.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A range's bounds, encoded.
pub(crate) fn encoded<K: Key + ?Sized>(range: &impl KeyRange<K>) -> Bounds {
    let encode = |bound: Bound<&K>| {
        bound.map(|key| {
            let mut out = Vec::new();
            key.encode(&mut out);
            out
        })
    };
    let (from, to) = range.bounds();
    (encode(from), encode(to))
}

/// The bounds of all keys that begin with `prefix`.
pub(crate) fn prefix_bounds(prefix: &[u8]) -> Bounds {
    let mut end = prefix.to_vec();
    while end.pop_if(|last| *last == u8::MAX).is_some() {}
    let to = match end.last_mut() {
        Some(last) => {
            *last += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded, // nothing is beyond a prefix of 0xFF alone
    };
    (Bound::Included(prefix.to_vec()), to)
}

/// Reads records as encoded bytes, from either end, without allocating for each. Reads page by page, and holds nothing between calls. A large
/// value is read whole, as it is by then; one that goes in between is passed over.
///
/// A table's own are not of one moment: what is changed meanwhile may be seen or not, a part of a commit that is under way and may still be refused included.
/// Those of a [`Snapshot`](crate::Snapshot) are.
pub struct Scan<'t> {
    records: Records<'t>,
}

impl fmt::Debug for Scan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("table", &self.records.table.name).finish_non_exhaustive()
    }
}

impl<'t> Scan<'t> {
    pub(crate) fn new(engine: &'t Engine, table: &'t TableCore, bounds: Bounds) -> Scan<'t> {
        let range = IndexRange::of(table, &bounds);
        let (from, to) = range.bounds(&bounds);
        let cursor = Cursor::Sorted(table.index.sorted().cursor(&table.pager, from, to));
        Scan::over(engine, table, cursor, range, None)
    }

    /// Over what a cursor gives, which goes over `range`; or an error.
    pub(crate) fn over(
        engine: &'t Engine,
        table: &'t TableCore,
        cursor: Cursor<'t>,
        range: IndexRange,
        failed: Option<Error>,
    ) -> Scan<'t> {
        let mut records = Records::new(engine, table, cursor, Expansion::new(range));
        records.failed = failed;
        Scan { records }
    }

    /// With this time instead of that of its making.
    pub(crate) fn at(mut self, now: Moment) -> Scan<'t> {
        self.records.now = now;
        self
    }

    pub(crate) fn into_records(self) -> Records<'t> {
        self.records
    }

    /// Passes over a record; whether there was one.
    pub(crate) fn pass(&mut self) -> Result<bool> {
        self.records.pass()
    }

    /// The next record from the front, valid until the next call.
    ///
    /// # Errors
    ///
    /// A page that cannot be read; a table that is dropped or closed.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.records.next()
    }

    /// The next record from the back, valid until the next call.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_back(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.records.next_back()
    }
}

/// Records in order of their keys, from either end. What [`Scan`] says of moments holds here.
pub struct Range<'t, K: ?Sized, V: ?Sized> {
    scan: Scan<'t>,
    ended: bool,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for Range<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").field("table", &self.scan.records.table.name).finish_non_exhaustive()
    }
}

impl<'t, K: Key + ?Sized, V: Value + ?Sized> Range<'t, K, V> {
    pub(crate) fn new(engine: &'t Engine, table: &'t TableCore, bounds: Bounds) -> Self {
        Range::of(Scan::new(engine, table, bounds))
    }

    pub(crate) fn of(scan: Scan<'t>) -> Self {
        Range { scan, ended: false, types: PhantomData }
    }

    fn step(&mut self, back: bool) -> Option<Result<(K::Owned, V::Owned)>> {
        if self.ended {
            return None;
        }
        let table = self.scan.records.table;
        let record = if back { self.scan.next_back() } else { self.scan.next() };
        let decoded = record.and_then(|record| {
            record
                .map(|(key, value)| {
                    let decode = |error| Error::Decode { table: table.name.clone(), error };
                    Ok((K::decode(key).map_err(decode)?, V::decode(value).map_err(decode)?))
                })
                .transpose()
        });
        // After an error nothing more can be said.
        self.ended = !matches!(decoded, Ok(Some(_)));
        decoded.transpose()
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Iterator for Range<'_, K, V> {
    type Item = Result<(K::Owned, V::Owned)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> DoubleEndedIterator for Range<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

#[cfg(test)]
mod tests;
