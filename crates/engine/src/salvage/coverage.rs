//! Which leaf answers for which keys. Leaves of a sound tree cover all keys once; those that survive damage leave gaps, and
//! those that were found by their headers alone may overlap: an older version, or one from before or after a split.
//!
//! # Invariants
//!
//! - **CV1** The pieces of a table are in order, disjoint, and each comes from one leaf; what no piece covers is a gap.
//! - **CV2** Where leaves overlap, the one of higher standing answers: what a page map vouches for before what it does not,
//!   then the newer, then the one with fewer keys. Equally new ones, from before and after a split or a merge, hold the same records.
//!   A leaf whose range was deleted covers that range since, and is newer than what was cut out.
//! - **CV3** The overflow pages of a bucket answer beside it, behind it in the order of pieces. They have no version of their own to
//!   be chosen by: equal hashes are too rare to be worth it.

use super::report::KeyGap;
use aquifer_buffer::PageId;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A leaf that survives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) page: PageId,
    pub(super) slot: u32,
    /// CRC32C of the bytes that were judged.
    pub(super) checksum: u32,
    /// A page map vouches for it.
    pub(super) checked: bool,
    /// It counts before those that are not, however new they are.
    pub(super) preferred: bool,
    pub(super) changed_at: u64,
    /// Of its table's hash function, if that is hashed.
    pub(super) seed: Option<u64>,
    /// One of several for the same position, beside the bucket.
    pub(super) is_overflow: bool,
    pub(super) lower: Vec<u8>,
    pub(super) upper: Option<Vec<u8>>,
}

/// The keys that one leaf answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: Vec<u8>,
    pub(super) to: Option<Vec<u8>>,
    /// Index of the leaf.
    pub(super) leaf: usize,
    pub(super) changed_at: u64,
}

/// Who answers for the keys of a table.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    pub(super) pieces: Vec<Piece>,
    pub(super) gaps: Vec<KeyGap>,
}

impl Coverage {
    /// Gives every key to a leaf (CV2). O(n log n) where few overlap.
    pub(super) fn of(leaves: &[Leaf]) -> Coverage {
        let mut order: Vec<usize> = (0..leaves.len()).filter(|&index| !leaves[index].is_overflow).collect();
        order.sort_by(|&a, &b| {
            let standing = |leaf: &Leaf| (leaf.preferred, leaf.changed_at);
            let (a, b) = (&leaves[a], &leaves[b]);
            Reverse(standing(a)).cmp(&Reverse(standing(b))).then_with(|| order_of_ends(&a.upper, &b.upper))
        });
        let mut covered: BTreeMap<Vec<u8>, Piece> = BTreeMap::new();
        for index in order {
            for KeyGap { from, to } in free(&covered, &leaves[index]) {
                let changed_at = leaves[index].changed_at;
                covered.insert(from.clone(), Piece { from, to, leaf: index, changed_at });
            }
        }
        let gaps = gaps(&covered, Vec::new(), None);
        let mut pieces: Vec<Piece> = covered.into_values().collect();
        pieces.extend(leaves.iter().enumerate().filter(|(_, leaf)| leaf.is_overflow).map(|(index, leaf)| {
            let (from, to, changed_at) = (leaf.lower.clone(), leaf.upper.clone(), leaf.changed_at);
            Piece { from, to, leaf: index, changed_at }
        }));
        pieces.sort_by(|a, b| a.from.cmp(&b.from)); // CV3
        Coverage { pieces, gaps }
    }

    /// The position up to which the changes of a key are in the leaf that answers for it; nothing if none does.
    pub(super) fn changed_at(&self, key: &[u8]) -> Option<u64> {
        let index = self.pieces.partition_point(|piece| piece.from.as_slice() <= key).checked_sub(1)?;
        let piece = &self.pieces[index];
        piece.to.as_ref().is_none_or(|to| key < to.as_slice()).then_some(piece.changed_at)
    }
}

/// What of a leaf's keys nobody answers for yet.
fn free(covered: &BTreeMap<Vec<u8>, Piece>, leaf: &Leaf) -> Vec<KeyGap> {
    gaps(covered, leaf.lower.clone(), leaf.upper.clone())
}

/// What is not covered from `from` on, below `to`.
fn gaps(covered: &BTreeMap<Vec<u8>, Piece>, from: Vec<u8>, to: Option<Vec<u8>>) -> Vec<KeyGap> {
    let mut gaps = Vec::new();
    let mut at = from;
    let before = covered.range(..at.clone()).next_back();
    let inside = covered.range(at.clone()..);
    for (_, piece) in before.into_iter().chain(inside) {
        if to.as_ref().is_some_and(|to| piece.from >= *to) {
            break;
        }
        if piece.from > at {
            gaps.push(KeyGap { from: at.clone(), to: Some(piece.from.clone()) });
        }
        match &piece.to {
            None => return gaps,
            Some(end) if *end > at => at = end.clone(),
            Some(_) => {}
        }
    }
    if to.as_ref().is_none_or(|to| at < *to) {
        gaps.push(KeyGap { from: at, to });
    }
    gaps
}

/// Nothing is beyond every key.
pub(super) fn order_of_ends(a: &Option<Vec<u8>>, b: &Option<Vec<u8>>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

#[cfg(test)]
mod tests;
