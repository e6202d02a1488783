//! A page of either index, taken by itself.
//!
//! Leaves of a sorted table answer for keys, buckets of a hashed one for hashes. Here both answer for *positions*: byte strings
//! in order, which are the keys themselves, or the hashes in big-endian order.

use aquifer_buffer::PageId;
use aquifer_index::LeafValue;
use aquifer_index::btree;
use aquifer_index::hash::{self, HashIndex};

/// A page of an index that was found somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum LoosePage<'b> {
    Sorted(btree::LoosePage<'b>),
    Hashed(hash::LoosePage<'b>),
}

/// Where a key lies in a table with this seed; a sorted one has none.
pub(super) fn position(seed: Option<u64>, key: &[u8]) -> Vec<u8> {
    match seed {
        None => key.to_vec(),
        Some(seed) => HashIndex::at(PageId::NONE, 0, seed).hash_of(key).to_be_bytes().to_vec(),
    }
}

impl<'b> LoosePage<'b> {
    /// Takes bytes for a page. O(page).
    pub(super) fn new(bytes: &'b [u8]) -> Result<LoosePage<'b>, String> {
        // The kinds differ in the first byte, so at most one of them takes a page.
        btree::LoosePage::new(bytes)
            .map(LoosePage::Sorted)
            .or_else(|what| hash::LoosePage::new(bytes).map(LoosePage::Hashed).map_err(|_| what))
    }

    pub(super) fn id(&self) -> PageId {
        match self {
            LoosePage::Sorted(page) => page.id(),
            LoosePage::Hashed(page) => page.id(),
        }
    }

    pub(super) fn table(&self) -> u32 {
        match self {
            LoosePage::Sorted(page) => page.table(),
            LoosePage::Hashed(page) => page.table(),
        }
    }

    /// 0: with records.
    pub(super) fn level(&self) -> u8 {
        match self {
            LoosePage::Sorted(page) => page.level(),
            LoosePage::Hashed(page) => page.level(),
        }
    }

    pub(super) fn changed_at(&self) -> u64 {
        match self {
            LoosePage::Sorted(page) => page.changed_at(),
            LoosePage::Hashed(page) => page.changed_at(),
        }
    }

    pub(super) fn is_dismantled(&self) -> bool {
        match self {
            LoosePage::Sorted(page) => page.is_dismantled(),
            LoosePage::Hashed(page) => page.is_dismantled(),
        }
    }

    /// Seed of the table's hash function, if it is hashed.
    pub(super) fn seed(&self) -> Option<u64> {
        match self {
            LoosePage::Sorted(_) => None,
            LoosePage::Hashed(page) => Some(page.seed()),
        }
    }

    /// One of several pages for the same position.
    pub(super) fn is_overflow(&self) -> bool {
        matches!(self, LoosePage::Hashed(page) if page.is_overflow())
    }

    /// It answers for positions from here on.
    pub(super) fn lower(&self) -> Vec<u8> {
        match self {
            LoosePage::Sorted(page) => page.lower().to_vec(),
            // The first hash is the beginning of all, not a position behind it.
            LoosePage::Hashed(page) => lower(page.range().0),
        }
    }

    /// And below this one; nothing: for all that follow.
    pub(super) fn upper(&self) -> Option<Vec<u8>> {
        match self {
            LoosePage::Sorted(page) => page.upper().map(<[u8]>::to_vec),
            LoosePage::Hashed(page) => upper(page.range().1),
        }
    }

    /// Gives the records of a leaf to `visit`: position, key and value.
    pub(super) fn records(&self, mut visit: impl FnMut(&[u8], &[u8], LeafValue<'_>)) {
        match self {
            LoosePage::Sorted(page) => page.records(|key, value| visit(key, key, value)),
            LoosePage::Hashed(page) => {
                page.records(|hash, key, value| visit(&hash.to_be_bytes(), key, value));
            }
        }
    }

    /// Gives the children of an inner page to `visit`, each with the positions that it is for: from, and below.
    pub(super) fn children(&self, mut visit: impl FnMut(PageId, &[u8], Option<&[u8]>)) {
        match self {
            LoosePage::Sorted(page) => page.children(visit),
            LoosePage::Hashed(page) => {
                page.children(|child, first, last| visit(child, &lower(first), upper(last).as_deref()));
            }
        }
    }
}

fn lower(first: u64) -> Vec<u8> {
    if first == 0 { Vec::new() } else { first.to_be_bytes().to_vec() }
}

fn upper(last: u64) -> Option<Vec<u8>> {
    last.checked_add(1).map(|next| next.to_be_bytes().to_vec())
}
