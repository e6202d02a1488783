//! Large values of many keys at once: those of a table that nobody uses any more are removed, so that its tree can be freed without
//! being read; those of a range that is to be deleted are found.

use super::Known;
use crate::catalog::KeyBounds;
use crate::error::Result;
use aquifer_buffer::{PageRun, Pager, RunSet};
use aquifer_index::btree::BTree;
use aquifer_sync::Arc;
use aquifer_wal::Lsn;
use std::ops::Bound;

/// Records that one step looks at, and large values that it removes.
const RECORDS_MAX: usize = 20_000;
const VALUES_MAX: usize = 64;

/// Removes some of the large values of a tree, from this key on. Returns the key to go on with; nothing if none is left. Each value
/// goes in a passage of its own, with its pages (LV1): a crash in between leaves a whole tree.
pub(crate) fn clear_some(pager: &Arc<Pager>, tree: BTree, from: &[u8], now: Lsn) -> Result<Option<Vec<u8>>> {
    if !tree.may_hold_large(pager)? {
        return Ok(None);
    }
    let mut large: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut next = None;
    let mut records = tree.cursor(pager, Bound::Included(from), Bound::Unbounded);
    let mut looked_at = 0;
    while let Some((key, value)) = records.next_value()? {
        if looked_at == RECORDS_MAX || large.len() == VALUES_MAX {
            next = Some(key.to_vec());
            break;
        }
        looked_at += 1;
        if value.is_large() {
            large.push((key.to_vec(), value.bytes.to_vec()));
        }
    }
    for (key, descriptor) in large {
        remove(pager, tree, &key, &descriptor, now)?;
    }
    Ok(next)
}

/// The pages of all large values in a range of a tree that nobody changes meanwhile. O(records of the range), but O(1) where
/// the tree has none.
pub(crate) fn pages_of_range(
    pager: &Arc<Pager>,
    tree: BTree,
    (from, to): KeyBounds<'_>,
) -> Result<Vec<PageRun>> {
    if !tree.may_hold_large(pager)? {
        return Ok(Vec::new());
    }
    let mut pages = RunSet::new();
    let mut records = tree.cursor(pager, from, to);
    while let Some((_, value)) = records.next_value()? {
        if value.is_large() {
            let of_value = Known::load(pager, value.bytes)?.value.pages();
            of_value.iter().for_each(|run| pages.insert(run.first.0, run.end()));
        }
    }
    Ok(pages.pages())
}

fn remove(pager: &Arc<Pager>, tree: BTree, key: &[u8], descriptor: &[u8], now: Lsn) -> Result<()> {
    let known = Known::load(pager, descriptor)?;
    let attempt = || {
        let m = pager.enter();
        // Nothing is there if a step that failed later on has removed it.
        if let Some(place) = tree.place_existing(&m, pager, key)? {
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
