//! The index of a table, sorted or hashed: the one place where both kinds meet.

use crate::view::ViewCursor;
use aquifer_buffer::{Mutation, PageId, Pager, Result, Retry};
use aquifer_index::btree::{self, BTree, CheckReport};
use aquifer_index::hash::{self, HashIndex};
use aquifer_index::{LeafValue, Lookup, PointReads};
use aquifer_txn::Direction;
use std::fmt;
use std::ops::Bound;

/// How a table finds its records; fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableKind {
    /// In the order of their keys.
    Sorted,
    /// By the hashes of their keys: gets and puts are faster, and there are no ranges.
    Hashed,
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableKind::Sorted => "sorted",
            TableKind::Hashed => "hashed",
        })
    }
}

/// A kind, with what the catalog keeps for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexKind {
    Sorted,
    Hashed {
        /// Of the hash function.
        seed: u64,
    },
}

impl IndexKind {
    pub(crate) fn of_table(self) -> TableKind {
        match self {
            IndexKind::Sorted => TableKind::Sorted,
            IndexKind::Hashed { .. } => TableKind::Hashed,
        }
    }
}

/// The index of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Index {
    Sorted(BTree),
    Hashed(HashIndex),
}

/// A record's place in either, ready to be changed: what comes next cannot fail.
#[derive(Debug)]
#[must_use]
pub(crate) enum Place<'m> {
    Sorted(btree::Place<'m>),
    Hashed(hash::Place<'m>),
}

/// All records of either, in the order in which the index has them, as they are or as a view has them.
#[derive(Debug)]
pub(crate) enum Cursor<'p> {
    Sorted(btree::Cursor<'p>),
    Hashed(hash::Cursor<'p>),
    View(Box<ViewCursor<'p>>),
}

type Attempt<T> = std::result::Result<T, Retry>;

impl Index {
    pub(crate) fn create(m: &Mutation<'_>, table: u32, kind: IndexKind) -> Attempt<Index> {
        Ok(match kind {
            IndexKind::Sorted => Index::Sorted(BTree::create(m, table)?),
            IndexKind::Hashed { seed } => Index::Hashed(HashIndex::create(m, table, seed)?),
        })
    }

    pub(crate) fn at(root: PageId, table: u32, kind: IndexKind) -> Index {
        match kind {
            IndexKind::Sorted => Index::Sorted(BTree::at(root, table)),
            IndexKind::Hashed { seed } => Index::Hashed(HashIndex::at(root, table, seed)),
        }
    }

    pub(crate) fn kind(&self) -> IndexKind {
        match self {
            Index::Sorted(_) => IndexKind::Sorted,
            Index::Hashed(hash) => IndexKind::Hashed { seed: hash.seed() },
        }
    }

    pub(crate) fn root(&self) -> PageId {
        match self {
            Index::Sorted(tree) => tree.root(),
            Index::Hashed(hash) => hash.root(),
        }
    }

    /// Longest key and longest value, in bytes.
    pub(crate) fn limits(&self, page_bytes: usize) -> (usize, usize) {
        match self {
            Index::Sorted(_) => BTree::limits(page_bytes),
            Index::Hashed(_) => HashIndex::limits(page_bytes),
        }
    }

    #[inline]
    pub(crate) fn look_up(&self, pager: &Pager, key: &[u8], out: &mut Vec<u8>) -> Result<Lookup> {
        match self {
            Index::Sorted(tree) => tree.look_up(pager, key, out),
            Index::Hashed(hash) => hash.look_up(pager, key, out),
        }
    }

    pub(crate) fn look_for(&self, pager: &Pager, key: &[u8]) -> Result<Lookup> {
        match self {
            Index::Sorted(tree) => tree.look_for(pager, key),
            Index::Hashed(hash) => hash.look_for(pager, key),
        }
    }

    #[inline]
    pub(crate) fn place<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
        value: LeafValue<'_>,
    ) -> Attempt<Place<'m>> {
        let len = value.bytes.len();
        match self {
            Index::Sorted(tree) if value.is_large() => {
                tree.place_large(m, pager, key, len).map(Place::Sorted)
            }
            Index::Sorted(tree) => tree.place(m, pager, key, len).map(Place::Sorted),
            Index::Hashed(hash) => hash.place(m, pager, key, len).map(Place::Hashed),
        }
    }

    pub(crate) fn place_existing<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
    ) -> Attempt<Option<Place<'m>>> {
        Ok(match self {
            Index::Sorted(tree) => tree.place_existing(m, pager, key)?.map(Place::Sorted),
            Index::Hashed(hash) => hash.place_existing(m, pager, key)?.map(Place::Hashed),
        })
    }

    /// May there be large values?
    pub(crate) fn may_hold_large(&self, pager: &Pager) -> Result<bool> {
        match self {
            Index::Sorted(tree) => tree.may_hold_large(pager),
            Index::Hashed(hash) => hash.may_hold_large(pager),
        }
    }

    /// Notes that there may be; in the passage that puts one, before its place is taken.
    pub(crate) fn note_large(&self, m: &Mutation<'_>) -> Attempt<()> {
        match self {
            Index::Sorted(tree) => tree.note_large(m),
            Index::Hashed(hash) => hash.note_large(m),
        }
    }

    /// Brings the pages that hold these keys into memory, many reads at a time.
    pub(crate) fn load_leaves(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        match self {
            Index::Sorted(tree) => tree.load_leaves(pager, keys),
            Index::Hashed(hash) => hash.load_buckets(pager, keys),
        }
    }

    pub(crate) fn len_estimate(&self, pager: &Pager) -> Result<u64> {
        match self {
            Index::Sorted(tree) => tree.len_estimate(pager),
            Index::Hashed(hash) => hash.len_estimate(pager),
        }
    }

    pub(crate) fn check(&self, pager: &Pager, progress: &mut dyn FnMut(u64)) -> Result<CheckReport> {
        match self {
            Index::Sorted(tree) => tree.check(pager, progress),
            Index::Hashed(hash) => hash.check(pager, progress),
        }
    }

    pub(crate) fn dismantle(&self, m: &Mutation<'_>, pager: &Pager) -> Attempt<bool> {
        match self {
            Index::Sorted(tree) => tree.dismantle(m, pager),
            Index::Hashed(hash) => hash.dismantle(m, pager),
        }
    }

    /// Merges the page of a key that has become loose with others, outside the gate.
    pub(crate) fn rebalance(&self, pager: &Pager, key: &[u8]) {
        if let Index::Sorted(tree) = self {
            tree.rebalance(pager, key);
        }
    }

    /// All records.
    pub(crate) fn all<'p>(&self, pager: &'p Pager) -> Cursor<'p> {
        self.cursor(pager, Bound::Unbounded, Bound::Unbounded)
    }

    /// The records of a range; of a hashed index, all.
    pub(crate) fn cursor<'p>(&self, pager: &'p Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Cursor<'p> {
        match self {
            Index::Sorted(tree) => Cursor::Sorted(tree.cursor(pager, from, to)),
            Index::Hashed(hash) => Cursor::Hashed(hash.cursor(pager)),
        }
    }

    /// Are there ranges?
    pub(crate) fn is_sorted(&self) -> bool {
        matches!(self, Index::Sorted(_))
    }

    /// The tree of a table that is known to be sorted: by its handle, or because somebody has looked.
    ///
    /// # Panics
    ///
    /// If it is not: handles are made by kind.
    pub(crate) fn sorted(&self) -> &BTree {
        match self {
            Index::Sorted(tree) => tree,
            Index::Hashed(_) => unreachable!("a handle of a sorted table was made for a hashed one"),
        }
    }
}

impl Place<'_> {
    pub(crate) fn old(&self) -> Option<LeafValue<'_>> {
        match self {
            Place::Sorted(place) => place.old(),
            Place::Hashed(place) => place.old(),
        }
    }

    #[inline]
    pub(crate) fn put_value(self, value: LeafValue<'_>, lsn: u64) {
        match self {
            Place::Sorted(place) => place.put_value(value, lsn),
            Place::Hashed(place) => place.put_value(value, lsn),
        }
    }

    /// Whether the page has become loose: see [`Index::rebalance`].
    pub(crate) fn remove(self, lsn: u64) -> bool {
        match self {
            Place::Sorted(place) => place.remove(lsn),
            Place::Hashed(place) => {
                place.remove(lsn);
                false // buckets see to themselves
            }
        }
    }
}

impl Cursor<'_> {
    #[inline]
    pub(crate) fn next_value(&mut self) -> crate::Result<Option<(&[u8], LeafValue<'_>)>> {
        match self {
            Cursor::Sorted(cursor) => Ok(cursor.next_value()?),
            Cursor::Hashed(cursor) => Ok(cursor.next_value()?),
            Cursor::View(cursor) => cursor.next_value(),
        }
    }

    /// From the back of a sorted index: a hashed one has no handle that asks.
    pub(crate) fn next_value_back(&mut self) -> crate::Result<Option<(&[u8], LeafValue<'_>)>> {
        match self {
            Cursor::Sorted(cursor) => Ok(cursor.next_value_back()?),
            Cursor::View(cursor) => cursor.next_value_back(),
            Cursor::Hashed(_) => unreachable!("a hashed table has no order to be read backwards in"),
        }
    }

    /// The record that [`next_value_back`](Self::next_value_back) has returned last.
    pub(crate) fn last_back(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Cursor::Sorted(cursor) => cursor.last_back(),
            Cursor::View(cursor) => {
                cursor.last_of(Direction::Backward).map(|(key, value)| (key, value.bytes))
            }
            Cursor::Hashed(_) => None,
        }
    }

    /// The record that [`next_value`](Self::next_value) has returned last.
    #[inline]
    pub(crate) fn last(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Cursor::Sorted(cursor) => cursor.last(),
            Cursor::Hashed(cursor) => cursor.last_value().map(|(key, value)| (key, value.bytes)),
            Cursor::View(cursor) => cursor.last_of(Direction::Forward).map(|(key, value)| (key, value.bytes)),
        }
    }
}
