//! What a serializable transaction read: keys, and ranges of keys, which are its predicates.
//!
//! A range stands for every key in it, those that were absent included; so a phantom is a write to a key in a range.
//! (Precision locking: Jordan, Banerjee & Batman, SIGMOD 1981.)

use crate::error::{Error, Result};
use crate::key::{KeyRange, RangeSet};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that an entry takes beside its keys, about.
const ENTRY_BYTES: usize = 48;

/// The keys and ranges that a transaction read.
///
/// ```
/// use aquifer_txn::{KeyRange, ReadSet};
///
/// let mut reads = ReadSet::new(1 << 20);
/// reads.add_key(1, b"k")?;
/// reads.add_range(2, KeyRange::all())?;
/// assert!(reads.contains(1, b"k") && reads.contains(2, b"anything") && !reads.contains(1, b"j"));
/// # Ok::<(), aquifer_txn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReadSet {
    tables: BTreeMap<u32, TableReads>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug, Clone, Default)]
struct TableReads {
    keys: BTreeSet<Box<[u8]>>,
    ranges: RangeSet,
}

impl ReadSet {
    /// Nothing was read; it may take so many bytes.
    pub fn new(bytes_max: usize) -> ReadSet {
        ReadSet { tables: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// A key was read, whether it was there or not.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionTooLarge`]; it is not noted.
    pub fn add_key(&mut self, table: u32, key: &[u8]) -> Result<()> {
        let reads = self.tables.entry(table).or_default();
        if reads.ranges.around(key).is_some() || reads.keys.contains(key) {
            return Ok(());
        }
        let bytes = self.bytes + ENTRY_BYTES + key.len();
        check(bytes, self.bytes_max)?;
        self.bytes = bytes;
        reads.keys.insert(key.into());
        Ok(())
    }

    /// A range was read, from one end of it to the other. A scan that stopped adds what it has passed.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionTooLarge`]; it is not noted.
    pub fn add_range(&mut self, table: u32, range: KeyRange) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let reads = self.tables.entry(table).or_default();
        let touching = reads.ranges.touching(&range);
        let replaced = touching.iter().map(|other| ENTRY_BYTES + other.bytes()).sum::<usize>();
        let whole = touching.iter().fold(range, |whole, other| whole.hull(other.clone()));
        let bytes = self.bytes - replaced + ENTRY_BYTES + whole.bytes();
        check(bytes, self.bytes_max)?;
        self.bytes = bytes;
        touching.iter().for_each(|other| drop(reads.ranges.remove(&other.from)));
        reads.ranges.insert(whole);
        Ok(())
    }

    /// Whether the key was read.
    pub fn contains(&self, table: u32, key: &[u8]) -> bool {
        let reads = self.tables.get(&table);
        reads.is_some_and(|reads| reads.keys.contains(key) || reads.ranges.around(key).is_some())
    }

    /// A key, or the beginning of a range, that was read and lies in the range.
    pub fn any_within(&self, table: u32, range: &KeyRange) -> Option<&[u8]> {
        let reads = self.tables.get(&table)?;
        let key = reads.keys.range::<[u8], _>(range.bounds()).next();
        key.map(|key| &**key).or_else(|| reads.ranges.any_within(range).map(|range| &*range.from))
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(|reads| reads.keys.is_empty() && reads.ranges.is_empty())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.tables.iter().flat_map(|(&table, reads)| reads.keys.iter().map(move |key| (table, &**key)))
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, &KeyRange)> {
        self.tables.iter().flat_map(|(&table, reads)| reads.ranges.iter().map(move |range| (table, range)))
    }
}

fn check(bytes: usize, bytes_max: usize) -> Result<()> {
    if bytes > bytes_max { Err(Error::TransactionTooLarge { bytes, bytes_max }) } else { Ok(()) }
}

#[cfg(all(test, not(loom)))]
mod tests;
