//! The records of a leaf of either kind, by their number in the order of their keys.
//!
//! # Invariants
//!
//! - **LF1** No bytes of a page can make a function of this module panic, or loop for longer than the page has slots or words.
//! - **LF2** A [`Spot`] means something as long as its leaf does not change.

use super::dense::{Dense, Form, TAIL_BYTES};
use super::layout::*;
use super::node::Node;
use super::search::Found;
use crate::fault::Nonsense;
use crate::leaf_value::len_of_stored;
use crate::words::Words;
use crate::{LeafValue, ValueKind};
use std::ops::Range;

/// A leaf to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaf<W> {
    Slotted(Node<W>),
    Dense(Node<W>, Dense<W>),
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    Slot(Slot),
    Place(usize),
}

/// What a search for a key found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sought {
    /// On a leaf with slots.
    Slot(Found),
    /// The place of a dense leaf that is the key's, and whether it is taken.
    Place(usize, bool),
    /// A dense leaf has no place for the key.
    Nowhere,
}

impl Sought {
    /// Is the record there?
    pub(crate) fn exists(self) -> bool {
        self.spot().is_some()
    }

    /// Where the record lies, if it is there.
    pub(crate) fn spot(self) -> Option<Spot> {
        match self {
            Sought::Slot(found) => found.slot.map(Spot::Slot),
            Sought::Place(place, is_taken) => is_taken.then_some(Spot::Place(place)),
            Sought::Nowhere => None,
        }
    }
}

/// Where a value lies, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ValueAt {
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) kind: ValueKind,
}

impl<W: Words> Leaf<W> {
    #[inline(always)]
    pub(crate) fn of(node: Node<W>) -> Self {
        if node.is_dense() { Leaf::Dense(node, Dense::of(node)) } else { Leaf::Slotted(node) }
    }

    #[inline(always)]
    fn node(self) -> Node<W> {
        match self {
            Leaf::Slotted(node) | Leaf::Dense(node, _) => node,
        }
    }

    /// Finds a key that lies between the fences.
    #[inline(always)]
    pub(crate) fn find(self, key: &[u8]) -> Sought {
        match self {
            Leaf::Slotted(node) => Sought::Slot(node.find(key)),
            Leaf::Dense(_, dense) => match dense.shape().place(key) {
                Some(place) => Sought::Place(place, dense.is_taken(place)),
                None => Sought::Nowhere,
            },
        }
    }

    /// Finds the record of a key that lies between the fences, if there is one.
    #[inline(always)]
    pub(crate) fn find_record(self, key: &[u8]) -> Option<Sought> {
        match self {
            Leaf::Slotted(node) if node.has_fingerprints() => {
                let (index, slot) = node.probe(key)?;
                Some(Sought::Slot(Found { index, slot: Some(slot) }))
            }
            _ => Some(self.find(key)).filter(|sought| sought.exists()),
        }
    }

    /// The value of a key that lies between the fences, if there is a record; nothing inside if it lies beyond the page.
    #[inline(always)]
    pub(crate) fn value_of(self, key: &[u8]) -> Option<Option<ValueAt>> {
        match self {
            Leaf::Slotted(node) => {
                let slot = if node.has_fingerprints() { node.probe(key)?.1 } else { node.find(key).slot? };
                Some(slotted_value(node, slot))
            }
            Leaf::Dense(_, dense) => {
                let place = dense.shape().place(key).filter(|&place| dense.is_taken(place))?;
                Some(dense_value(dense, place))
            }
        }
    }

    /// Where the value of a record lies, if that is within the page.
    #[inline(always)]
    pub(crate) fn value_at(self, spot: Spot) -> Option<ValueAt> {
        match (self, spot) {
            (Leaf::Slotted(node), Spot::Slot(slot)) => slotted_value(node, slot),
            (Leaf::Dense(_, dense), Spot::Place(place)) => dense_value(dense, place),
            _ => None,
        }
    }

    /// Makes `out` the key of a record.
    pub(crate) fn key_to(self, spot: Spot, out: &mut Vec<u8>) {
        match (self, spot) {
            (Leaf::Slotted(node), Spot::Slot(slot)) => node.key_to(slot, out),
            (Leaf::Dense(node, dense), Spot::Place(place)) => {
                node.prefix_to(out);
                out.truncate(dense.shape().form.stem_len());
                dense.shape().append_tail(place, out);
            }
            _ => out.clear(),
        }
    }

    /// Before records go elsewhere by their number: a count that is too small would lose some (DN2).
    pub(crate) fn check_count(self) -> Result<(), Nonsense> {
        match self {
            Leaf::Dense(_, dense) if dense.rank(dense.shape().places) != dense.count() => {
                Err(Nonsense("its count is not that of the places taken"))
            }
            _ => Ok(()),
        }
    }

    /// Bytes that a record takes, or would take, in a slot and its entry; nothing if it lies beyond the page.
    pub(crate) fn slotted_bytes(self, spot: Spot) -> Option<usize> {
        match (self, spot) {
            (Leaf::Slotted(node), Spot::Slot(slot)) => node.entry_len(slot).map(|len| SLOT_BYTES + len),
            (Leaf::Dense(node, dense), Spot::Place(place)) => {
                dense.value_range(place)?;
                Some(dense.shape().form.slotted_record_bytes(node.prefix_len()))
            }
            _ => None,
        }
    }

    /// The record behind the last insertion, by its number.
    pub(crate) fn run_position(self) -> usize {
        match self {
            Leaf::Slotted(node) => node.run_position(),
            Leaf::Dense(node, dense) => dense.rank(node.run_position()),
        }
    }

    /// The lengths of all records, if they are the same and none is a descriptor. O(records) with slots.
    pub(crate) fn form(self) -> Option<Form> {
        let Leaf::Slotted(node) = self else {
            return if let Leaf::Dense(_, dense) = self { Some(dense.shape().form) } else { None };
        };
        let count = node.slot_count();
        let lengths = |index| (node.slot(index).suffix_len(), node.words().u16_at(node.slot(index).offset()));
        let (suffix_len, stored_len) = (count > 0).then(|| lengths(0))?;
        let is_inline = ValueKind::of_stored(stored_len) == ValueKind::Inline;
        let uniform = is_inline && (1..count).all(|index| lengths(index) == (suffix_len, stored_len));
        let key_len = node.prefix_len() + suffix_len;
        uniform.then_some(Form { key_len, value_len: len_of_stored(stored_len) })
    }

    /// May a dense leaf with this prefix hold records from the first to the last, for all that can be told without their keys?
    pub(crate) fn may_be_near(self, first: Spot, last: Spot, prefix_len: usize) -> bool {
        let (Leaf::Slotted(node), Spot::Slot(first), Spot::Slot(last)) = (self, first, last) else {
            return true;
        };
        let len = first.suffix_len();
        let apart = u64::from(last.head().saturating_sub(first.head()).saturating_sub(1));
        let is_near = match len {
            HEAD_BYTES..=TAIL_BYTES => apart << (8 * (len - HEAD_BYTES)) <= 8 * node.page_bytes() as u64,
            _ => node.prefix_len() + len <= prefix_len + TAIL_BYTES,
        };
        last.suffix_len() == len && is_near
    }

    /// Where these records lie, in order. Of a damaged leaf, some may lie beyond the page.
    pub(crate) fn spots(self, records: Range<usize>) -> Spots<W> {
        let at = match self {
            Leaf::Slotted(_) => records.start,
            Leaf::Dense(_, dense) => dense.select(records.start).unwrap_or(dense.shape().places),
        };
        Spots { leaf: self, at, left: records.len() }
    }

    /// Where record `index` lies.
    pub(crate) fn spot(self, index: usize) -> Spot {
        match self {
            Leaf::Slotted(node) => Spot::Slot(node.slot(index)),
            Leaf::Dense(_, dense) => Spot::Place(dense.select(index).unwrap_or(dense.shape().places)),
        }
    }

    /// All of them.
    pub(crate) fn all_spots(self) -> Spots<W> {
        self.spots(0..self.node().count())
    }
}

impl<'b> Leaf<&'b [u8]> {
    /// The value of a record, if it lies within the page.
    #[inline]
    pub(crate) fn value(self, spot: Spot) -> Option<LeafValue<'b>> {
        let ValueAt { offset, len, kind } = self.value_at(spot)?;
        let bytes = self.node().words().get(offset..offset + len)?;
        Some(LeafValue { kind, bytes })
    }

    /// The fingerprints of these records; none if the leaf has none.
    pub(crate) fn fingerprints(self, records: Range<usize>) -> &'b [u8] {
        match self {
            Leaf::Slotted(node) if node.has_fingerprints() => node.fingerprints(records).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Makes `out` what all keys begin with, and returns its length: for [`rest_to`](Self::rest_to).
    pub(crate) fn shared_to(self, out: &mut Vec<u8>) -> usize {
        self.node().prefix_to(out);
        if let Leaf::Dense(_, dense) = self {
            out.truncate(dense.shape().form.stem_len());
        }
        out.len()
    }

    /// Makes `out`, which begins with what all keys do, the key of a record; nothing if that lies beyond the page.
    #[inline(always)]
    pub(crate) fn rest_to(self, spot: Spot, shared_len: usize, out: &mut Vec<u8>) -> Option<()> {
        out.truncate(shared_len);
        match (self, spot) {
            (Leaf::Slotted(node), Spot::Slot(slot)) => {
                let head = slot.head().to_be_bytes();
                out.extend_from_slice(&head[..slot.suffix_len().min(HEAD_BYTES)]);
                out.extend_from_slice(node.rest(slot)?);
            }
            (Leaf::Dense(_, dense), Spot::Place(place)) => dense.shape().append_tail(place, out),
            _ => return None,
        }
        Some(())
    }
}

#[inline(always)]
fn slotted_value<W: Words>(node: Node<W>, slot: Slot) -> Option<ValueAt> {
    let (offset, len) = node.value_range(slot)?;
    Some(ValueAt { offset, len, kind: node.value_kind(slot) })
}

#[inline(always)]
fn dense_value<W: Words>(dense: Dense<W>, place: usize) -> Option<ValueAt> {
    let (offset, len) = dense.value_range(place)?;
    Some(ValueAt { offset, len, kind: ValueKind::Inline })
}

/// Spots one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Spots<W> {
    leaf: Leaf<W>,
    /// The next slot, or the place from which on to look.
    at: usize,
    left: usize,
}

impl<W: Words> Iterator for Spots<W> {
    type Item = Spot;

    #[inline]
    fn next(&mut self) -> Option<Spot> {
        self.left = self.left.checked_sub(1)?;
        let spot = match self.leaf {
            Leaf::Slotted(node) => Spot::Slot(node.slot(self.at)),
            Leaf::Dense(_, dense) => {
                self.at = dense.next(self.at).unwrap_or(dense.shape().places);
                Spot::Place(self.at)
            }
        };
        self.at += 1;
        Some(spot)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
