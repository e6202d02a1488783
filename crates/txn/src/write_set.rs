//! A transaction's own writes, until it commits.
//!
//! For each table an ordered map of keys, and the ranges of which everything was deleted. A write to one key is a *base* (the
//! store's value, a value, or nothing) and *steps* on it (patches, operands of merges), so that what depends on the store's
//! value need not be read before the commit. The last put or delete counts; steps after it are kept in order.
//!
//! # Invariants
//!
//! - **WS1** A key in a deleted range has a write only if that came later; a range delete removes those that it covers.
//! - **WS2** Deleted ranges of a table do not touch: those that do are one.
//! - **WS3** Every change is noted in `undo` while there is a savepoint: going back to it costs as much as the changes since.
//! - **WS4** `bytes` is the sum over all writes, ranges and undo notes, and at most `bytes_max`: who would exceed it changes nothing.
//! - **WS5** A step is made on what was there before it, which stays as it was: going back takes the step away.

mod undo;

use crate::conflicts::WriteKeys;
use crate::error::{Error, Result};
use crate::key::{Direction, KeyRange, RangeSet};
use std::collections::BTreeMap;
use std::convert::Infallible;
use undo::Undo;

/// Bytes that an entry takes beside its key and value, about.
const ENTRY_BYTES: usize = 96;

/// What a step is made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The store's value, whatever it will be.
    Store,
    /// This value.
    Value(Box<[u8]>),
    /// Nothing: the key was deleted.
    Absent,
}

/// A change that depends on the value before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes at an offset; a shorter value is filled up with zeros.
    Patch {
        /// Where.
        offset: usize,
        /// What.
        bytes: Box<[u8]>,
    },
    /// An operand of the table's merge operator.
    Merge(Box<[u8]>),
}

/// What a transaction writes to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What the steps are made on.
    pub base: Base,
    /// In order.
    pub steps: Vec<Step>,
}

/// Names a state of a write set, to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(usize);

/// A transaction's own writes.
///
/// ```
/// use aquifer_txn::{Base, Direction, KeyRange, WriteSet};
///
/// let mut writes = WriteSet::new(1 << 20);
/// writes.put(1, b"k", b"one")?;
/// let savepoint = writes.savepoint();
/// writes.delete_range(1, KeyRange::all())?;
/// assert!(writes.get(1, b"k").is_none() && writes.is_deleted(1, b"k"));
/// writes.rollback_to(savepoint);
/// assert_eq!(writes.get(1, b"k").unwrap().base, Base::Value((*b"one").into()));
/// # Ok::<(), aquifer_txn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct WriteSet {
    tables: BTreeMap<u32, TableWrites>,
    undo: Vec<Undo>,
    savepoints: usize,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug, Clone, Default)]
struct TableWrites {
    writes: BTreeMap<Box<[u8]>, Write>,
    /// WS2.
    deleted: RangeSet,
}

impl WriteSet {
    /// No writes yet; they may take so many bytes.
    pub fn new(bytes_max: usize) -> WriteSet {
        WriteSet { tables: BTreeMap::new(), undo: Vec::new(), savepoints: 0, bytes: 0, bytes_max }
    }

    /// Puts a value.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionTooLarge`], as for all changes.
    pub fn put(&mut self, table: u32, key: &[u8], value: &[u8]) -> Result<()> {
        self.set(table, key, Write { base: Base::Value(value.into()), steps: Vec::new() })
    }

    /// Deletes a key.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete(&mut self, table: u32, key: &[u8]) -> Result<()> {
        self.set(table, key, Write { base: Base::Absent, steps: Vec::new() })
    }

    /// Changes a part of the value.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn patch(&mut self, table: u32, key: &[u8], offset: usize, bytes: &[u8]) -> Result<()> {
        self.step(table, key, Step::Patch { offset, bytes: bytes.into() })
    }

    /// Merges an operand into the value.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn merge(&mut self, table: u32, key: &[u8], operand: &[u8]) -> Result<()> {
        self.step(table, key, Step::Merge(operand.into()))
    }

    /// Deletes every key in the range, written by the transaction or not. Linear in its own writes there.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete_range(&mut self, table: u32, range: KeyRange) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let own = self.tables.entry(table).or_default();
        let covered: Vec<_> =
            own.writes.range::<[u8], _>(range.bounds()).map(|(key, _)| key.clone()).collect();
        let touching = own.deleted.touching(&range);
        let notes = if self.savepoints > 0 { covered.len() + touching.len() + 1 } else { 0 };
        let ranges = range.bytes() + touching.iter().map(KeyRange::bytes).sum::<usize>();
        self.check((notes + 1) * ENTRY_BYTES + ranges)?;
        for key in covered {
            self.replace(table, key, None); // WS1
        }
        let mut whole = range;
        for touched in touching {
            self.replace_range(table, touched.from.clone(), None);
            whole = whole.hull(touched);
        }
        self.replace_range(table, whole.from.clone(), Some(whole)); // WS2
        Ok(())
    }

    /// The transaction's own write to a key. Without one, [`is_deleted`](Self::is_deleted) tells whether the store's counts.
    pub fn get(&self, table: u32, key: &[u8]) -> Option<&Write> {
        self.tables.get(&table)?.writes.get(key)
    }

    /// Whether the store's value of the key was deleted with a range.
    pub fn is_deleted(&self, table: u32, key: &[u8]) -> bool {
        self.tables.get(&table).is_some_and(|writes| writes.deleted.around(key).is_some())
    }

    /// The first write in the range, or the last one when going backward. O(log n).
    pub fn next(&self, table: u32, range: &KeyRange, direction: Direction) -> Option<(&[u8], &Write)> {
        let mut writes = self.tables.get(&table)?.writes.range::<[u8], _>(range.bounds());
        let next = match direction {
            Direction::Forward => writes.next(),
            Direction::Backward => writes.next_back(),
        };
        next.map(|(key, write)| (&**key, write))
    }

    /// All writes, by table and key: the order of a commit.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8], &Write)> {
        let of_table = |(&table, writes): (&u32, _)| -> _ {
            let TableWrites { writes, .. }: &TableWrites = writes;
            writes.iter().map(move |(key, write)| (table, &**key, write))
        };
        self.tables.iter().flat_map(of_table)
    }

    /// All deleted ranges, by table and beginning.
    pub fn deleted_ranges(&self) -> impl Iterator<Item = (u32, &KeyRange)> {
        self.tables.iter().flat_map(|(&table, writes)| writes.deleted.iter().map(move |range| (table, range)))
    }

    /// What a commit announces. Copies all keys.
    pub fn keys(&self) -> WriteKeys {
        WriteKeys {
            keys: self.iter().map(|(table, key, _)| (table, key.into())).collect(),
            ranges: self.deleted_ranges().map(|(table, range)| (table, range.clone())).collect(),
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(|writes| writes.writes.is_empty() && writes.deleted.is_empty())
    }

    /// Bytes in use (WS4).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Memory that it needs, in bytes, to take one more put or delete; at most this much afterwards.
    pub fn bytes_with(&self, key: &[u8], value: Option<&[u8]>) -> usize {
        self.bytes + self.undo_bytes(ENTRY_BYTES + key.len() + value.map_or(0, <[u8]>::len))
    }

    /// Memory that it needs, in bytes, to take one more operand; at most this much afterwards.
    pub fn bytes_with_merge(&self, key: &[u8], operand: &[u8]) -> usize {
        self.bytes + self.undo_bytes(ENTRY_BYTES + key.len() + size_of::<Step>() + operand.len())
    }

    /// Its limit, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Names the state as it is. Savepoints are nested: going back to one gives up those after it.
    pub fn savepoint(&mut self) -> Savepoint {
        self.savepoints += 1;
        Savepoint(self.undo.len())
    }

    /// Goes back to a savepoint, which stays. O(changes since), each O(log n).
    ///
    /// # Panics
    ///
    /// If one before it was gone back to meanwhile and the changes up to it are no longer there.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        assert!(savepoint.0 <= self.undo.len(), "the savepoint was given up by going back to an earlier one");
        while self.undo.len() > savepoint.0 {
            let undo = self.undo.pop().expect("longer than that");
            self.bytes -= undo.bytes();
            self.take_back(undo);
        }
    }

    fn set(&mut self, table: u32, key: &[u8], write: Write) -> Result<()> {
        self.check(self.undo_bytes(ENTRY_BYTES + key.len() + write.bytes()))?;
        self.replace(table, key.into(), Some(write));
        Ok(())
    }

    /// O(log n), but for a copy of a value that is patched in its place.
    fn step(&mut self, table: u32, key: &[u8], step: Step) -> Result<()> {
        let in_place = |write: &Write| match (write, &step) {
            (Write { base: Base::Value(value), steps }, Step::Patch { offset, bytes }) => {
                steps.is_empty() && offset + bytes.len() <= value.len()
            }
            _ => false,
        };
        let Some(before) = self.get(table, key) else {
            let base = if self.is_deleted(table, key) { Base::Absent } else { Base::Store };
            return self.set(table, key, Write { base, steps: vec![step] });
        };
        if in_place(before) {
            let mut write = before.clone();
            if let (Base::Value(value), Step::Patch { offset, bytes }) = (&mut write.base, step) {
                value[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            return self.set(table, key, write);
        }
        self.check(self.undo_bytes(key.len() + step.bytes()))?;
        self.bytes += step.bytes();
        let of_table = self.tables.get_mut(&table).expect("it has a write");
        of_table.writes.get_mut(key).expect("found above").steps.push(step);
        self.note(Undo::Step { table, key: key.into() }); // WS5
        Ok(())
    }

    /// Bytes that a change of so many takes, with its note.
    fn undo_bytes(&self, bytes: usize) -> usize {
        if self.savepoints > 0 { bytes + ENTRY_BYTES } else { bytes }
    }

    fn check(&self, more: usize) -> Result<()> {
        let bytes = self.bytes.saturating_add(more);
        match bytes > self.bytes_max {
            true => Err(Error::TransactionTooLarge { bytes, bytes_max: self.bytes_max }),
            false => Ok(()),
        }
    }
}

impl Write {
    /// The value after this write, where the store has `stored`. `merge` applies an operand to a value.
    pub fn resolve(
        &self,
        stored: Option<&[u8]>,
        mut merge: impl FnMut(Option<Vec<u8>>, &[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let resolved = self.try_resolve(stored, |value, operand| Ok::<_, Infallible>(merge(value, operand)));
        resolved.unwrap_or_else(|never| match never {})
    }

    /// As [`resolve`](Self::resolve), with an operator that may refuse.
    ///
    /// # Errors
    ///
    /// The operator's.
    pub fn try_resolve<E>(
        &self,
        stored: Option<&[u8]>,
        mut merge: impl FnMut(Option<Vec<u8>>, &[u8]) -> std::result::Result<Option<Vec<u8>>, E>,
    ) -> std::result::Result<Option<Vec<u8>>, E> {
        let mut value = match &self.base {
            Base::Store => stored.map(<[u8]>::to_vec),
            Base::Value(value) => Some(value.to_vec()),
            Base::Absent => None,
        };
        for step in &self.steps {
            match step {
                Step::Merge(operand) => value = merge(value, operand)?,
                Step::Patch { offset, bytes } => {
                    let value = value.get_or_insert_with(Vec::new);
                    let end = offset + bytes.len();
                    value.resize(value.len().max(end), 0);
                    value[*offset..end].copy_from_slice(bytes);
                }
            }
        }
        Ok(value)
    }

    /// Whether the store's value has to be read to know the result.
    pub fn needs_store(&self) -> bool {
        self.base == Base::Store
    }

    fn bytes(&self) -> usize {
        let base = if let Base::Value(value) = &self.base { value.len() } else { 0 };
        base + self.steps.iter().map(Step::bytes).sum::<usize>()
    }
}

impl Step {
    fn bytes(&self) -> usize {
        let (Step::Patch { bytes, .. } | Step::Merge(bytes)) = self;
        size_of::<Step>() + bytes.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
