//! What a leaf layout must be able to do, and records on their way from one page to another.

use crate::btree::build::Plan;
use crate::btree::node::Node;
use crate::words::Words;
use std::ops::Range;

pub(crate) const PAGE_BYTES: usize = 4096;

/// A leaf layout. Keys that it is given lie between the page's fences.
pub(crate) trait Leaf {
    /// A page with these records; nothing if they do not fit.
    fn build(plan: &Plan<'_>, records: Slice<'_>) -> Option<Vec<u8>>;

    /// Where the value of a key lies.
    fn get<W: Words>(node: Node<W>, key: &[u8]) -> Option<(usize, usize)>;

    /// Where a key that is absent would go: what [`insert`](Leaf::insert) wants. Nothing if it is there.
    fn position<W: Words>(node: Node<W>, key: &[u8]) -> Option<usize>;

    /// Inserts a record; `false` if it must be made room for.
    fn insert(page: &mut [u8], position: usize, key: &[u8], value: &[u8]) -> bool;

    /// Gives all records in the order of their keys. `key` is for putting keys together.
    fn for_each(page: &[u8], key: &mut Vec<u8>, visit: impl FnMut(&[u8], &[u8]));
}

/// Records, in order.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// Where each key ends, and each value.
    ends: Vec<(usize, usize)>,
}

impl Records {
    /// Makes them those of a page with one more.
    pub(crate) fn collect<L: Leaf>(&mut self, page: &[u8], key: &[u8], value: &[u8]) {
        self.bytes.clear();
        self.ends.clear();
        let mut incoming = Some((key, value));
        L::for_each(page, &mut Vec::new(), |next_key, next_value| {
            if let Some((key, value)) = incoming.filter(|(key, _)| *key < next_key) {
                self.push(key, value);
                incoming = None;
            }
            self.push(next_key, next_value);
        });
        if let Some((key, value)) = incoming {
            self.push(key, value);
        }
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Slice<'_> {
        Slice { records: self, range }
    }

    pub(crate) fn key(&self, index: usize) -> &[u8] {
        self.slice(index..index + 1).get(0).0
    }

    /// The boundary that divides the bytes best, none of the sides empty.
    pub(crate) fn middle(&self) -> usize {
        let half = self.bytes.len() / 2;
        self.ends.partition_point(|&(_, end)| end < half).clamp(1, self.len() - 1)
    }
}

/// Some of them.
#[derive(Debug, Clone)]
pub(crate) struct Slice<'r> {
    records: &'r Records,
    range: Range<usize>,
}

impl<'r> Slice<'r> {
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn get(&self, index: usize) -> (&'r [u8], &'r [u8]) {
        let index = self.range.start + index;
        let start = index.checked_sub(1).map_or(0, |before| self.records.ends[before].1);
        let (key_end, value_end) = self.records.ends[index];
        (&self.records.bytes[start..key_end], &self.records.bytes[key_end..value_end])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Lengths that all keys have, and all values.
    pub(crate) fn fixed_lengths(&self) -> Option<(usize, usize)> {
        let lengths = |(key, value): (&[u8], &[u8])| (key.len(), value.len());
        let first = lengths(self.iter().next()?);
        self.iter().all(|record| lengths(record) == first).then_some(first)
    }
}

/// Writes a number of two bytes into a page.
pub(crate) fn set_u16(page: &mut [u8], at: usize, value: usize) {
    page[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
}
