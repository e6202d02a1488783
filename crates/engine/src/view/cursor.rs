//! All records of a range as a view has them, from either end: the index's cursor, older values and own writes as one.
//!
//! # Invariants
//!
//! - **VC1** What one end has returned last is the bound of the other, so that both meet without returning a key twice.
//! - **VC2** A hashed index has its records bucket by bucket in the order of hashes; here those of a bucket are put in the order of their
//!   names, which begin with the hash. So all records come in the order of names, as those that were removed and own writes do.
//! - **VC3** What has been passed is what was read: that a serializable transaction depends on, and no more. It is noted when the cursor goes;
//!   while one has not, as it was forgotten, the transaction cannot commit.

use super::{ReadError, ReadLog, View};
use crate::error::Result;
use crate::index::Index;
use crate::table_core::{Found, TableCore};
use crate::transactions::{found, stored};
use aquifer_index::{LeafValue, btree, hash};
use aquifer_txn::{CommitLsn, Direction, Item, KeyRange, Scan, StoreCursor, Write};
use std::ops::Bound;

/// See the module's head.
pub(crate) struct ViewCursor<'t> {
    view: View<'t>,
    table: &'t TableCore,
    /// Of names.
    range: KeyRange,
    front: Option<Box<End<'t>>>,
    back: Option<Box<End<'t>>>,
    done: bool,
    /// Told what was read, at the end (VC3).
    reads: Option<&'t ReadLog>,
}

struct End<'t> {
    scan: Scan<'t, Records<'t>>,
    last: Option<(Vec<u8>, Found)>,
}

impl std::fmt::Debug for ViewCursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewCursor").field("range", &self.range).finish_non_exhaustive()
    }
}

impl<'t> ViewCursor<'t> {
    /// Over a range of keys of the index; of a hashed one, over all.
    pub(crate) fn new(
        view: View<'t>,
        table: &'t TableCore,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        reads: Option<&'t ReadLog>,
    ) -> Self {
        let range = KeyRange::new(from, to);
        if let Some(reads) = reads {
            reads.scan_begins();
        }
        ViewCursor { view, table, range, front: None, back: None, done: false, reads }
    }

    pub(crate) fn view(&self) -> View<'t> {
        self.view
    }

    pub(crate) fn next_value(&mut self) -> Result<Option<(&[u8], LeafValue<'_>)>> {
        self.step(Direction::Forward)?;
        Ok(self.last_of(Direction::Forward).filter(|_| !self.done))
    }

    pub(crate) fn next_value_back(&mut self) -> Result<Option<(&[u8], LeafValue<'_>)>> {
        self.step(Direction::Backward)?;
        Ok(self.last_of(Direction::Backward).filter(|_| !self.done))
    }

    /// The record that was returned last from this end.
    pub(crate) fn last_of(&self, direction: Direction) -> Option<(&[u8], LeafValue<'_>)> {
        let end = if direction == Direction::Forward { &self.front } else { &self.back };
        let (name, found) = end.as_ref()?.last.as_ref()?;
        let key = self.table.index.key_of_name(name);
        Some((key, LeafValue { kind: found.kind, bytes: &found.bytes }))
    }

    fn step(&mut self, direction: Direction) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let (end, other) = match direction {
            Direction::Forward => (&mut self.front, &self.back),
            Direction::Backward => (&mut self.back, &self.front),
        };
        let end = end.get_or_insert_with(|| {
            let records = Records::new(self.view, self.table, &self.range, direction);
            let view = self.view.of_table(self.table);
            Box::new(End { scan: Scan::new(records, view, self.range.clone(), direction), last: None })
        });
        let met = other.as_ref().and_then(|other| other.last.as_ref()).map(|(name, _)| name);
        let next = end.scan.next().map_err(|error| self.view.read_error(self.table, error))?;
        let is_new = |name: &Vec<u8>| match direction {
            Direction::Forward => met.is_none_or(|met| name < met),
            Direction::Backward => met.is_none_or(|met| name > met),
        };
        match next.filter(|(name, _)| is_new(name)) {
            Some((name, value)) => end.last = Some((name, found(value))), // VC1
            None => self.done = true,
        }
        Ok(())
    }
}

impl Drop for ViewCursor<'_> {
    /// VC3.
    fn drop(&mut self) {
        let Some(reads) = self.reads else { return };
        reads.scan_ends();
        let on_read = |range| reads.add_range(self.view.engine, self.table, range);
        if self.done {
            return on_read(self.range.clone());
        }
        let last = |end: &Option<Box<End<'_>>>| end.as_ref()?.last.as_ref().map(|(name, _)| name.clone());
        if let Some(name) = last(&self.front) {
            let to = KeyRange::new(Bound::Unbounded, Bound::Included(&name)).to;
            on_read(KeyRange { from: self.range.from.clone(), to });
        }
        if let Some(name) = last(&self.back) {
            on_read(KeyRange { from: name.into(), to: self.range.to.clone() });
        }
    }
}

/// The records of the index, in one direction.
struct Records<'t> {
    table: &'t TableCore,
    view: View<'t>,
    source: Source<'t>,
}

enum Source<'t> {
    Sorted(btree::Cursor<'t>, Direction),
    /// What is left of a bucket, the next one last.
    Hashed(hash::Cursor<'t>, Vec<Item>),
}

impl<'t> Records<'t> {
    fn new(view: View<'t>, table: &'t TableCore, range: &KeyRange, direction: Direction) -> Self {
        let (from, to) = range.bounds();
        let source = match &table.index {
            Index::Sorted(tree) => Source::Sorted(tree.cursor(&table.pager, from, to), direction),
            Index::Hashed(hash) => Source::Hashed(hash.cursor(&table.pager), Vec::new()),
        };
        Records { table, view, source }
    }

    fn read(&mut self) -> Result<Option<Item>> {
        let table = self.table;
        let item = match &mut self.source {
            Source::Sorted(cursor, direction) => {
                let (record, changed_at) = match direction {
                    Direction::Forward => (owned(table.reading(cursor.next_value())?), cursor.changed_at()),
                    Direction::Backward => {
                        (owned(table.reading(cursor.next_value_back())?), cursor.changed_at_back())
                    }
                };
                record.map(|(key, value)| Item { key, value, changed_at: CommitLsn(changed_at) })
            }
            Source::Hashed(cursor, left) => {
                if left.is_empty() {
                    fill(table, cursor, left)?;
                }
                left.pop()
            }
        };
        self.view.check_clear(table)?; // VW2 of `view`
        Ok(item)
    }
}

impl StoreCursor for Records<'_> {
    type Error = ReadError;

    fn next(&mut self) -> std::result::Result<Option<Item>, ReadError> {
        self.read().map_err(ReadError::Engine)
    }

    fn resolve(
        &self,
        name: &[u8],
        write: &Write,
        seen: Option<&[u8]>,
    ) -> std::result::Result<Option<Vec<u8>>, ReadError> {
        self.view.resolve(self.table, name, write, seen)
    }
}

fn owned(record: Option<(&[u8], LeafValue<'_>)>) -> Option<(Vec<u8>, Vec<u8>)> {
    record.map(|(key, value)| (key.to_vec(), stored(value)))
}

/// Reads the records of the next bucket that has some (VC2).
fn fill(table: &TableCore, cursor: &mut hash::Cursor<'_>, left: &mut Vec<Item>) -> Result<()> {
    while let Some((key, value)) = owned(table.reading(cursor.next_value())?) {
        let key = table.index.name(&key).into_owned();
        left.push(Item { key, value, changed_at: CommitLsn(cursor.changed_at()) });
        if cursor.is_between_buckets() {
            break;
        }
    }
    left.sort_unstable_by(|a, b| b.key.cmp(&a.key));
    Ok(())
}
