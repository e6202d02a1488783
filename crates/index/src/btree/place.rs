//! A leaf latched for one change, and finding it room.
//!
//! ```text
//! descend --> upgrade the leaf --> find the key --> room? --yes--> Place
//!    ^                                                |
//!    |                                          after compaction? --yes--> compact --> Place
//!    |                                                | no
//!    '------------- split at some level --------------'
//! ```
//!
//! # Invariants
//!
//! - **PL1** A [`Place`] is on a page that is dirty and whose header is sane; if it was asked for with
//!   room, a record of the length asked for fits between slots and heap, the bytes of the record that
//!   it replaces counted if they lie first in the heap.
//! - **PL2** Nothing that a reader sees has changed when an attempt ends without a `Place`, but for
//!   complete splits and compactions.
//! - **PL3** The rest of a new record's key lies in the gap, where [`NodeMut::stash`] put it.

use super::BTree;
use super::edit::NodeMut;
use super::fault::Attempt;
use super::layout::*;
use super::node::Node;
use super::rebalance::is_worth_a_look;
use super::split::Incoming;
use crate::LeafValue;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// Attempts after which a contended leaf is given up for this passage of the gate.
const ATTEMPTS: usize = 4;

/// A leaf latched exclusively, dirty, with room: the change itself cannot fail.
#[derive(Debug)]
#[must_use]
pub struct Place<'m> {
    page: ExclusivePage<'m>,
    index: usize,
    /// The record that is there, and the length of its entry.
    existing: Option<(Slot, usize)>,
    head: u32,
    suffix_len: usize,
    value_len_max: usize,
}

/// What a record needs of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    Compact,
    Split,
}

/// Whether a leaf has room for an incoming record. `None` if what it replaces lies beyond the page.
pub(crate) fn fit(node: Node<&[u8]>, incoming: &Incoming<'_>, slot: Option<Slot>) -> Option<Fit> {
    let rest_len = Suffix::of(incoming.key, node.prefix_len()).rest.len();
    let entry_len = 2 + rest_len + incoming.value_len;
    let (needed, first_in_heap, reclaimed) = match slot {
        Some(slot) => {
            let old = node.entry_len(slot)?;
            if entry_len <= old {
                return Some(Fit::Fits);
            }
            (entry_len, slot.offset() == node.heap_start(), old)
        }
        None => (SLOT_BYTES + entry_len, false, 0),
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

impl BTree {
    /// Latches the leaf of `key`, with room for the record, splitting pages as needed. Splits stay even if
    /// the place is not used.
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
        let (key_max, value_max) = BTree::limits(pager.page_bytes());
        assert!(key.len() <= key_max, "a key of {} bytes; {key_max} is the most", key.len());
        assert!(value_len <= value_max, "a value of {value_len} bytes; {value_max} is the most");
        let mut contended = 0;
        loop {
            match self.try_place(m, pager, key, value_len) {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => {} // a page was split: SP1 bounds how often
                Err(Retry::Changed) if contended < ATTEMPTS => contended += 1,
                Err(retry) => return Err(retry),
            }
        }
    }

    /// Latches the leaf of `key` if there is a record, to remove or patch it, or to put a value that is
    /// not longer. Touches nothing if there is none.
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
        key: &[u8],
        value_len: usize,
    ) -> Attempt<Option<Place<'m>>> {
        let leaf = self.leaf(pager, key)?;
        // Before the latch, whose atomic operation would make the search wait for its own cache misses.
        let found = Node::new(leaf.words()).find(key);
        let mut page = m.upgrade(leaf)?; // nothing has changed since `find`
        let id = page.id();
        let node = Node::new(page.bytes());
        if !node.is_sane() {
            return Err(insane(id));
        }
        let incoming = Incoming { key, value_len, index: found.index, exists: found.slot.is_some() };
        let needs = fit(node, &incoming, found.slot).ok_or(beyond(id))?;
        if needs == Fit::Split {
            drop(page);
            self.make_room(m, pager, key, value_len)?;
            return Ok(None);
        }
        page.make_dirty()?;
        let mut slot = found.slot;
        if needs == Fit::Compact {
            let last = found.slot.map(|_| found.index);
            NodeMut::new(page.bytes_mut()).compact(last).map_err(|nonsense| nonsense.on(id))?;
            let node = Node::new(page.bytes());
            slot = found.slot.map(|_| node.slot(found.index));
            if fit(node, &incoming, slot) != Some(Fit::Fits) {
                return Err(Retry::Damaged(id, "its free bytes are not where its header says"));
            }
        }
        Ok(Some(Place::at(page, key, found.index, slot, value_len).ok_or(beyond(id))?))
    }

    fn try_place_existing<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
    ) -> Attempt<Option<Place<'m>>> {
        let leaf = self.leaf(pager, key)?;
        let found = Node::new(leaf.words()).find(key);
        if found.slot.is_none() {
            leaf.validate()?;
            return Ok(None);
        }
        let mut page = m.upgrade(leaf)?; // nothing has changed since `find`
        let id = page.id();
        let node = Node::new(page.bytes());
        if !node.is_sane() {
            return Err(insane(id));
        }
        let slot = found.slot.ok_or(beyond(id))?;
        let (_, value_len) = node.value_range(slot).ok_or(beyond(id))?;
        page.make_dirty()?;
        Ok(Some(Place::at(page, key, found.index, Some(slot), value_len).ok_or(beyond(id))?))
    }
}

fn insane(id: PageId) -> Retry {
    Retry::Damaged(id, "its header's sizes do not fit each other")
}

fn beyond(id: PageId) -> Retry {
    Retry::Damaged(id, "an entry lies beyond the page")
}

impl<'m> Place<'m> {
    fn at(
        mut page: ExclusivePage<'m>,
        key: &[u8],
        index: usize,
        slot: Option<Slot>,
        value_len_max: usize,
    ) -> Option<Self> {
        let node = Node::new(page.bytes());
        let suffix = Suffix::of(key, node.prefix_len());
        let existing = match slot {
            Some(slot) => Some((slot, node.entry_len(slot)?)),
            None => {
                NodeMut::new(page.bytes_mut()).stash(suffix.rest); // PL3
                None
            }
        };
        Some(Self { page, index, existing, head: suffix.head, suffix_len: suffix.len, value_len_max })
    }

    /// The value now.
    pub fn old(&self) -> Option<LeafValue<'_>> {
        let (slot, _) = self.existing?;
        Node::new(self.page.bytes()).value(slot)
    }

    /// The LSN of the newest change of any record of this leaf.
    pub fn changed_at(&self) -> u64 {
        Node::new(self.page.bytes()).changed_at()
    }

    /// Puts an inline value. As [`put_value`](Self::put_value).
    pub fn put(self, value: &[u8], lsn: u64) {
        self.put_value(LeafValue::inline(value), lsn);
    }

    /// Puts the value (of at most the length asked for); `lsn` raises the page's `changed_at`.
    ///
    /// # Panics
    ///
    /// If `value` is longer than what the place was asked for, or than the old value.
    pub fn put_value(mut self, value: LeafValue<'_>, lsn: u64) {
        let Self { index, existing, head, suffix_len, value_len_max, .. } = self;
        assert!(value.bytes.len() <= value_len_max, "PL1: the place has room for {value_len_max} bytes");
        let mut node = NodeMut::new(self.page.bytes_mut());
        match existing {
            Some((slot, entry_len)) => node.replace(index, slot, entry_len, value),
            None => node.insert_stashed(index, head, suffix_len, value),
        }
        node.raise_changed_at(lsn);
    }

    /// Overwrites part of the value that is there.
    ///
    /// # Panics
    ///
    /// If there is no record, or the range does not lie within its value.
    pub fn patch(mut self, offset: usize, bytes: &[u8], lsn: u64) {
        let (slot, _) = self.existing.expect("a patch needs a record");
        let range = Node::new(self.page.bytes()).value_range(slot);
        let (start, len) = range.expect("PL1: the entry was checked");
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
        if let Some((_, entry_len)) = self.existing {
            let mut node = NodeMut::new(self.page.bytes_mut());
            node.remove(self.index, entry_len);
            node.raise_changed_at(lsn);
        }
        is_worth_a_look(Node::new(self.page.bytes()))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
