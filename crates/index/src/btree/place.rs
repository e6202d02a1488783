//! A leaf latched for one change, and finding it room.
//!
//! ```text
//! descend --> upgrade the leaf --> find the key --> room? --yes--> Place
//!    ^                                                |
//!    |                                          after compaction? --yes--> compact --> Place
//!    |                                                | no
//!    |<--- put together anew <--yes-- as a leaf of another kind, or with other places?
//!    |                                                | no
//!    '------------- split at some level --------------'
//! ```
//!
//! # Invariants
//!
//! - **PL1** A [`Place`] is on a page that is dirty and whose header is sane; if it was asked for with
//!   room, a record of the length asked for fits between slots and heap, the bytes of the record that
//!   it replaces counted if they lie first in the heap; or the leaf is dense, has a place for the key, and the length asked for is that of
//!   its values.
//! - **PL2** Nothing that a reader sees has changed when an attempt ends without a `Place`, but for
//!   complete splits, compactions, and leaves put together anew.
//! - **PL3** The rest of a new record's key lies in the gap, where [`NodeMut::stash`] put it.
//! - **PL4** A leaf that is put together anew for a record has room for it then: as a dense leaf, because its shape was chosen with that record
//!   among the others; in slots, because that was reckoned.

use super::BTree;
use super::anew::{Outline, rebuild_leaf};
use super::build::Plan;
use super::dense::{Form, Shape};
use super::dense_edit::DenseMut;
use super::edit::NodeMut;
use super::fingerprint;
use super::layout::*;
use super::leaf::{Leaf, Sought, Spot, ValueAt};
use super::node::Node;
use super::rebalance::is_worth_a_look;
use super::search::Found;
use crate::fault::{Attempt, Nonsense};
use crate::{LeafValue, ValueKind};
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// Attempts after which a contended leaf is given up for this passage of the gate.
const ATTEMPTS: usize = 4;

/// A leaf latched exclusively, dirty, with room: the change itself cannot fail.
#[derive(Debug)]
#[must_use]
pub struct Place<'m> {
    page: ExclusivePage<'m>,
    target: Target,
    /// Length and kind of the value that was asked for.
    value_len: usize,
    kind: ValueKind,
}

/// Where on the leaf.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// A new slot; the rest of its key is stashed.
    New { index: usize, head: u32, suffix_len: usize, fingerprint: u8 },
    /// The slot of the record that is there, and the length of its entry.
    Slot { index: usize, slot: Slot, entry_len: usize },
    /// A place of a dense leaf, and whether the record is there.
    Place { place: usize, is_taken: bool },
}

/// A record that wants a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) value_len: usize,
    pub(crate) kind: ValueKind,
}

/// What a record needs of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    Compact,
    /// To be put together anew: dense of this shape, or with slots.
    Anew(Option<Shape>),
    Split,
}

/// Whether a leaf has room for a record.
///
/// # Errors
///
/// If what it replaces lies beyond the page.
pub(crate) fn fit(node: Node<&[u8]>, wanted: &Wanted<'_>, sought: Sought) -> Result<Fit, Nonsense> {
    let leaf = Leaf::of(node);
    match (leaf, sought) {
        (Leaf::Slotted(_), Sought::Slot(found)) => {
            let fit = fit_in_slots(node, wanted, found.slot).ok_or(BEYOND)?;
            if fit == Fit::Split && found.slot.is_none() && wanted.kind == ValueKind::Inline {
                return Ok(shape_with(leaf, node, wanted)?.map_or(Fit::Split, |shape| Fit::Anew(Some(shape))));
            }
            Ok(fit)
        }
        (Leaf::Dense(_, dense), _) => {
            let form = dense.shape().form;
            let is_like = wanted.kind == ValueKind::Inline
                && Form { key_len: wanted.key.len(), value_len: wanted.value_len } == form;
            if is_like {
                if matches!(sought, Sought::Place(..)) {
                    return Ok(Fit::Fits);
                }
                if let Some(shape) = shape_with(leaf, node, wanted)? {
                    return Ok(Fit::Anew(Some(shape)));
                }
            }
            let others = form.slotted_bytes(dense.count(), node.prefix_len()) + node.fence_bytes();
            let bytes = others + SLOT_BYTES + new_entry_len(node, wanted);
            Ok(if bytes <= node.page_bytes() { Fit::Anew(None) } else { Fit::Split })
        }
        _ => Err(BEYOND),
    }
}

fn new_entry_len(node: Node<&[u8]>, wanted: &Wanted<'_>) -> usize {
    entry_head_bytes(0) + Suffix::of(wanted.key, node.prefix_len()).rest.len() + wanted.value_len
}

fn fit_in_slots(node: Node<&[u8]>, wanted: &Wanted<'_>, slot: Option<Slot>) -> Option<Fit> {
    let entry_len = new_entry_len(node, wanted);
    let (needed, first_in_heap, reclaimed) = match slot {
        Some(slot) => {
            let old = node.entry_len(slot)?;
            if entry_len <= old {
                return Some(Fit::Fits);
            }
            (entry_len, slot.offset() == node.heap_start(), old)
        }
        None => (node.next_slot_bytes() + entry_len, false, 0),
    };
    let gap = node.gap_bytes() + if first_in_heap { reclaimed } else { 0 };
    Some(if needed <= gap {
        Fit::Fits
    } else if needed <= node.free_bytes() + reclaimed {
        Fit::Compact
    } else {
        Fit::Split
    })
}

/// The shape of a dense leaf for the records of this one and a new one, if they can be on one (PL4).
fn shape_with(leaf: Leaf<&[u8]>, node: Node<&[u8]>, wanted: &Wanted<'_>) -> Result<Option<Shape>, Nonsense> {
    let count = node.count();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if let Some(end) = count.checked_sub(1) {
        let ends = (leaf.spot(0), leaf.spot(end));
        if !leaf.may_be_near(ends.0, ends.1, node.prefix_len()) {
            return Ok(None);
        }
        leaf.key_to(ends.0, &mut first);
        leaf.key_to(ends.1, &mut last);
    }
    let first = if count > 0 { first.as_slice().min(wanted.key) } else { wanted.key };
    let last = last.as_slice().max(wanted.key);
    let outline = Outline { count: count + 1, first, last, value_len: wanted.value_len };
    let (run, run_position) = (node.summary().run(), 0);
    let shape = outline.shape(node.page_bytes(), &Plan { run, run_position, ..Plan::of(node)? });
    let is_like = |shape: &Shape| count == 0 || leaf.form() == Some(shape.form);
    Ok(shape.filter(|shape| shape.place(wanted.key).is_some() && is_like(shape)))
}

impl BTree {
    /// Latches the leaf of `key`, with room for a record with a value of `value_len` bytes, splitting pages as needed. Splits stay even
    /// if the place is not used.
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again; no record has changed. A damaged page gives
    /// [`Retry::Damaged`], so that resolving it gives the error.
    ///
    /// # Panics
    ///
    /// If `key` or `value_len` is beyond [`limits`](BTree::limits).
    pub fn place<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
        value_len: usize,
    ) -> Result<Place<'m>, Retry> {
        self.place_for(m, pager, &Wanted { key, value_len, kind: ValueKind::Inline })
    }

    /// As [`place`](BTree::place), for the descriptor of a large value.
    ///
    /// # Errors
    ///
    /// As [`place`](BTree::place).
    ///
    /// # Panics
    ///
    /// As [`place`](BTree::place).
    pub fn place_large<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
        descriptor_len: usize,
    ) -> Result<Place<'m>, Retry> {
        self.place_for(m, pager, &Wanted { key, value_len: descriptor_len, kind: ValueKind::Large })
    }

    fn place_for<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        wanted: &Wanted<'_>,
    ) -> Result<Place<'m>, Retry> {
        let (key_max, value_max) = BTree::limits(pager.page_bytes());
        let (key_len, value_len) = (wanted.key.len(), wanted.value_len);
        assert!(key_len <= key_max, "a key of {key_len} bytes; {key_max} is the most");
        assert!(value_len <= value_max, "a value of {value_len} bytes; {value_max} is the most");
        let mut contended = 0;
        loop {
            match self.try_place(m, pager, wanted) {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => {} // a page was split or put together anew: SP1 and PL4 bound how often
                Err(Retry::Changed) if contended < ATTEMPTS => contended += 1,
                Err(retry) => return Err(retry),
            }
        }
    }

    /// Latches the leaf of `key` if there is a record, to remove or patch it, or to put a value of the
    /// same length and kind. Touches nothing if there is none.
    ///
    /// # Errors
    ///
    /// As [`place`](BTree::place).
    pub fn place_existing<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
    ) -> Result<Option<Place<'m>>, Retry> {
        let mut contended = 0;
        loop {
            match self.try_place_existing(m, pager, key) {
                Ok(place) => return Ok(place),
                Err(Retry::Changed) if contended < ATTEMPTS => contended += 1,
                Err(retry) => return Err(retry),
            }
        }
    }

    fn try_place<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        wanted: &Wanted<'_>,
    ) -> Attempt<Option<Place<'m>>> {
        let leaf = self.leaf(pager, wanted.key)?;
        // Before the latch, whose atomic operation would make the search wait for its own cache misses.
        let sought = Leaf::of(Node::new(leaf.words())).find(wanted.key);
        let mut page = m.upgrade(leaf)?; // nothing has changed since `find`
        let id = page.id();
        let node = Node::new(page.bytes());
        if !node.is_sane() {
            return Err(insane(id));
        }
        match fit(node, wanted, sought).map_err(|nonsense| nonsense.on(id))? {
            Fit::Fits => {
                page.make_dirty()?;
                Ok(Some(Place::at(page, wanted, sought)?))
            }
            Fit::Compact => {
                page.make_dirty()?;
                Ok(Some(compacted(page, wanted, sought)?))
            }
            Fit::Anew(shape) => {
                page.make_dirty()?;
                let anew = rebuild_leaf(Node::new(page.bytes()), shape);
                let anew = anew.map_err(|nonsense| nonsense.on(id))?;
                page.bytes_mut().copy_from_slice(&anew);
                let node = Node::new(page.bytes());
                let sought = Leaf::of(node).find(wanted.key);
                if fit(node, wanted, sought) != Ok(Fit::Fits) {
                    return Err(Retry::Damaged(id, "its records are not those that its header says")); // PL4
                }
                Ok(Some(Place::at(page, wanted, sought)?))
            }
            Fit::Split => {
                drop(page);
                self.make_room(m, pager, wanted)?;
                Ok(None)
            }
        }
    }

    fn try_place_existing<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
    ) -> Attempt<Option<Place<'m>>> {
        let leaf = self.leaf(pager, key)?;
        let Some(sought) = Leaf::of(Node::new(leaf.words())).find_record(key) else {
            leaf.validate()?;
            return Ok(None);
        };
        let mut page = m.upgrade(leaf)?; // nothing has changed since `find`
        let id = page.id();
        let node = Node::new(page.bytes());
        if !node.is_sane() {
            return Err(insane(id));
        }
        let value = sought.spot().and_then(|spot| Leaf::of(node).value_at(spot)).ok_or(BEYOND.on(id))?;
        page.make_dirty()?;
        Ok(Some(Place::at(page, &Wanted { key, value_len: value.len, kind: value.kind }, sought)?))
    }
}

/// Brings the free bytes of a leaf with slots together.
fn compacted<'m>(mut page: ExclusivePage<'m>, wanted: &Wanted<'_>, sought: Sought) -> Attempt<Place<'m>> {
    let id = page.id();
    let last = if let Sought::Slot(found) = sought { found.slot.map(|_| found.index) } else { None };
    NodeMut::new(page.bytes_mut()).compact(last).map_err(|nonsense| nonsense.on(id))?;
    let node = Node::new(page.bytes());
    let sought = Leaf::of(node).find(wanted.key);
    if fit(node, wanted, sought) != Ok(Fit::Fits) {
        return Err(Retry::Damaged(id, "its free bytes are not where its header says"));
    }
    Place::at(page, wanted, sought)
}

fn insane(id: PageId) -> Retry {
    Retry::Damaged(id, "its header's sizes do not fit each other")
}

const BEYOND: Nonsense = Nonsense("an entry lies beyond the page");

impl<'m> Place<'m> {
    fn at(mut page: ExclusivePage<'m>, wanted: &Wanted<'_>, sought: Sought) -> Attempt<Self> {
        let (id, node) = (page.id(), Node::new(page.bytes()));
        let target = match sought {
            Sought::Slot(Found { index, slot: Some(slot) }) => {
                Target::Slot { index, slot, entry_len: node.entry_len(slot).ok_or(BEYOND.on(id))? }
            }
            Sought::Slot(Found { index, slot: None }) => {
                let suffix = Suffix::of(wanted.key, node.prefix_len());
                let fingerprint = if node.has_fingerprints() { fingerprint::of(wanted.key) } else { 0 };
                NodeMut::new(page.bytes_mut()).stash(suffix.rest); // PL3
                Target::New { index, head: suffix.head, suffix_len: suffix.len, fingerprint }
            }
            Sought::Place(place, is_taken) => Target::Place { place, is_taken },
            Sought::Nowhere => return Err(BEYOND.on(id)),
        };
        Ok(Self { page, target, value_len: wanted.value_len, kind: wanted.kind })
    }

    fn value_at(&self) -> Option<ValueAt> {
        let spot = match self.target {
            Target::New { .. } | Target::Place { is_taken: false, .. } => return None,
            Target::Slot { slot, .. } => Spot::Slot(slot),
            Target::Place { place, .. } => Spot::Place(place),
        };
        Leaf::of(Node::new(self.page.bytes())).value_at(spot)
    }

    /// The value now.
    pub fn old(&self) -> Option<LeafValue<'_>> {
        let ValueAt { offset, len, kind } = self.value_at()?;
        Some(LeafValue { kind, bytes: self.page.bytes().get(offset..offset + len)? })
    }

    /// The LSN of the newest change of any record of this leaf.
    pub fn changed_at(&self) -> u64 {
        Node::new(self.page.bytes()).changed_at()
    }

    /// Puts an inline value. As [`put_value`](Self::put_value).
    pub fn put(self, value: &[u8], lsn: u64) {
        self.put_value(LeafValue::inline(value), lsn);
    }

    /// Puts the value, of the length and the kind asked for; `lsn` raises the page's `changed_at`.
    ///
    /// # Panics
    ///
    /// If `value` is of another length or kind than what the place was asked for, or than the old value.
    pub fn put_value(mut self, value: LeafValue<'_>, lsn: u64) {
        let (value_len, len) = (self.value_len, value.bytes.len());
        assert!(len == value_len, "PL1: the place is for a value of {value_len} bytes, not for {len}");
        assert!(value.kind == self.kind, "PL1: the place is for a value that is {:?}", self.kind);
        let bytes = self.page.bytes_mut();
        match self.target {
            Target::New { index, head, suffix_len, fingerprint } => {
                NodeMut::new(bytes).insert_stashed(index, head, suffix_len, fingerprint, value);
            }
            Target::Slot { index, slot, entry_len } => {
                NodeMut::new(bytes).replace(index, slot, entry_len, value)
            }
            Target::Place { place, .. } => DenseMut::new(bytes).put(place, value.bytes),
        }
        NodeMut::new(bytes).raise_changed_at(lsn);
    }

    /// Overwrites part of the value that is there.
    ///
    /// # Panics
    ///
    /// If there is no record, or the range does not lie within its value.
    pub fn patch(mut self, offset: usize, bytes: &[u8], lsn: u64) {
        let ValueAt { offset: start, len, .. } = self.value_at().expect("a patch needs a record; PL1");
        assert!(
            offset <= len && bytes.len() <= len - offset,
            "a patch of {} bytes at {offset} of a value of {len}",
            bytes.len()
        );
        let mut node = NodeMut::new(self.page.bytes_mut());
        node.patch(start + offset, bytes);
        node.raise_changed_at(lsn);
    }

    /// Removes the record, if there is one. Whether the leaf has become loose: then [`rebalance`](BTree::rebalance), once
    /// outside the gate, gives space back.
    pub fn remove(mut self, lsn: u64) -> bool {
        let bytes = self.page.bytes_mut();
        let is_there = match self.target {
            Target::Slot { index, entry_len, .. } => {
                NodeMut::new(bytes).remove(index, entry_len);
                true
            }
            Target::Place { place, is_taken } => {
                if is_taken {
                    DenseMut::new(bytes).remove(place);
                }
                is_taken
            }
            Target::New { .. } => false,
        };
        if is_there {
            NodeMut::new(bytes).raise_changed_at(lsn);
        }
        is_worth_a_look(Node::new(self.page.bytes()))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
