//! Large values of many keys at once: those of a table that nobody uses any more are removed, so that its index can be freed without
//! being read; those of a range that is to be deleted are found.

use super::Known;
use crate::catalog::KeyBounds;
use crate::error::Result;
use crate::index::Index;
use aquifer_buffer::{PageRun, Pager, RunSet};
use aquifer_index::LeafValue;
use aquifer_index::btree::BTree;
use aquifer_index::hash::HashIndex;
use aquifer_sync::Arc;
use aquifer_wal::Lsn;
use std::ops::Bound;

/// Records that one step looks at, and large values that it removes. Of a hashed table a few more, up to the end of a bucket.
const RECORDS_MAX: usize = 2_000;
const VALUES_MAX: usize = 64;

/// From where on the records of a table that is being dropped are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClearedTo {
    /// In a sorted one.
    Key(Vec<u8>),
    /// In a hashed one: between two buckets, for within one there is no order.
    Hash(u64),
}

impl ClearedTo {
    /// Nothing has been looked at.
    pub(crate) fn beginning(index: &Index) -> ClearedTo {
        match index {
            Index::Sorted(_) => ClearedTo::Key(Vec::new()),
            Index::Hashed(_) => ClearedTo::Hash(0),
        }
    }
}

/// Some of the large values of a table.
#[derive(Default)]
struct Found {
    looked_at: usize,
    /// Keys and descriptors.
    large: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Found {
    fn is_enough(&self) -> bool {
        self.looked_at >= RECORDS_MAX || self.large.len() >= VALUES_MAX
    }

    fn look(&mut self, key: &[u8], value: LeafValue<'_>) {
        self.looked_at += 1;
        if value.is_large() {
            self.large.push((key.to_vec(), value.bytes.to_vec()));
        }
    }
}

/// Removes some of the large values of a table, from this place on. Returns where to go on; nothing if none is left. Each value
/// goes in a passage of its own, with its pages (LV1): a crash in between leaves a whole index.
pub(crate) fn clear_some(
    pager: &Arc<Pager>,
    index: &Index,
    from: &ClearedTo,
    now: Lsn,
) -> Result<Option<ClearedTo>> {
    if !index.may_hold_large(pager)? {
        return Ok(None);
    }
    let mut found = Found::default();
    let next = match (index, from) {
        (Index::Sorted(tree), ClearedTo::Key(from)) => find_sorted(pager, tree, from, &mut found)?,
        (Index::Hashed(hash), ClearedTo::Hash(from)) => find_hashed(pager, hash, *from, &mut found)?,
        _ => unreachable!("a table is of one kind for its life"),
    };
    for (key, descriptor) in found.large {
        remove(pager, index, &key, &descriptor, now)?;
    }
    Ok(next)
}

fn find_sorted(pager: &Pager, tree: &BTree, from: &[u8], found: &mut Found) -> Result<Option<ClearedTo>> {
    let mut records = tree.cursor(pager, Bound::Included(from), Bound::Unbounded);
    while let Some((key, value)) = records.next_value()? {
        if found.is_enough() {
            return Ok(Some(ClearedTo::Key(key.to_vec())));
        }
        found.look(key, value);
    }
    Ok(None)
}

fn find_hashed(pager: &Pager, hash: &HashIndex, from: u64, found: &mut Found) -> Result<Option<ClearedTo>> {
    let mut records = hash.cursor_from(pager, from);
    while let Some((key, value)) = records.next_value()? {
        found.look(key, value);
        if let Some(next) = records.resume_at().filter(|_| found.is_enough()) {
            return Ok(Some(ClearedTo::Hash(next)));
        }
    }
    Ok(None)
}

/// The pages of all large values in a range of a tree that nobody changes meanwhile. O(records of the range); but O(1), and
/// nothing, where the tree has none at all.
pub(crate) fn pages_of_range(
    pager: &Arc<Pager>,
    tree: BTree,
    (from, to): KeyBounds<'_>,
) -> Result<Option<Vec<PageRun>>> {
    if !tree.may_hold_large(pager)? {
        return Ok(None);
    }
    let mut pages = RunSet::new();
    let mut records = tree.cursor(pager, from, to);
    while let Some((_, value)) = records.next_value()? {
        if value.is_large() {
            let of_value = Known::load_to_remove(pager, value.bytes)?.value.pages();
            of_value.iter().for_each(|run| pages.insert(run.first.0, run.end()));
        }
    }
    Ok(Some(pages.pages()))
}

fn remove(pager: &Arc<Pager>, index: &Index, key: &[u8], descriptor: &[u8], now: Lsn) -> Result<()> {
    let known = Known::load_to_remove(pager, descriptor)?;
    let attempt = || {
        let m = pager.enter();
        // Nothing is there if a step that failed later on has removed it.
        if let Some(place) = index.place_existing(&m, pager, key)? {
            place.remove(now.0);
            m.detach(&known.value.pages());
        }
        Ok(())
    };
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(retry) => pager.resolve(retry)?,
        }
    }
}
