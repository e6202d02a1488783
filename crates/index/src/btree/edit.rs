//! Changing a tree page in place.
//!
//! # Invariants
//!
//! - **ED1** A change is made only on a page whose header is sane and with room for it; both were
//!   found out under the same latch. Sizes are then exact, and nothing here can fail.
//! - **ED2** Compaction finds nonsense before it changes anything: it builds the page aside.
//! - **ED3** After a change at slot `i` only hints of slots at or behind `i` are written, unless the
//!   distance between hints changed. A leaf has hints or fingerprints, and keeps its kind.

use super::fingerprint;
use super::layout::*;
use super::node::Node;
use crate::LeafValue;
use crate::fault::Nonsense;
use aquifer_buffer::PageId;

/// A tree page to be changed.
#[derive(Debug)]
pub(crate) struct NodeMut<'b> {
    bytes: &'b mut [u8],
}

impl<'b> NodeMut<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    /// The page, to read.
    pub(crate) fn node(&self) -> Node<&[u8]> {
        Node::new(&*self.bytes)
    }

    pub(crate) fn set_right(&mut self, right: PageId) {
        self.bytes[RIGHT..RIGHT + 4].copy_from_slice(&right.0.to_le_bytes());
    }

    pub(crate) fn set_own_id(&mut self, id: PageId) {
        self.bytes[OWN_ID..OWN_ID + 4].copy_from_slice(&id.0.to_le_bytes());
    }

    pub(crate) fn set_leftmost(&mut self, child: PageId) {
        self.bytes[LEFTMOST..LEFTMOST + 4].copy_from_slice(&child.0.to_le_bytes());
    }

    pub(crate) fn add_flags(&mut self, flags: u8) {
        self.bytes[FLAGS] |= flags;
    }

    pub(crate) fn remove_flags(&mut self, flags: u8) {
        self.bytes[FLAGS] &= !flags;
    }

    /// Raises `changed_at` to `lsn`; never lowers it.
    pub(crate) fn raise_changed_at(&mut self, lsn: u64) {
        let changed_at = self.node().changed_at().max(lsn);
        self.bytes[CHANGED_AT..CHANGED_AT + 8].copy_from_slice(&changed_at.to_le_bytes());
    }

    /// Copies bytes aside into the gap, behind where one more slot would end.
    pub(crate) fn stash(&mut self, rest: &[u8]) {
        let start = self.stash_start();
        self.bytes[start..start + rest.len()].copy_from_slice(rest);
    }

    /// Inserts a record whose key's rest was stashed. On a leaf without fingerprints the one given means nothing.
    pub(crate) fn insert_stashed(
        &mut self,
        index: usize,
        head: u32,
        suffix_len: usize,
        fingerprint: u8,
        value: LeafValue<'_>,
    ) {
        let rest_len = suffix_len.saturating_sub(HEAD_BYTES);
        let stash = self.stash_start();
        let offset = self.open_entry(2 + rest_len + value.bytes.len());
        self.bytes.copy_within(stash..stash + rest_len, offset + 2);
        self.write_value(offset, rest_len, value);
        if self.node().has_fingerprints() {
            fingerprint::insert(self.bytes, index, fingerprint);
        }
        self.insert_slot(index, Slot::new(head, offset, suffix_len));
    }

    /// Inserts a separator and the child to its right.
    pub(crate) fn insert_child(&mut self, index: usize, separator: &[u8], child: PageId) {
        let (suffix, count) = (Suffix::of(separator, self.node().prefix_len()), self.node().count());
        let mut offset = 0;
        if !suffix.rest.is_empty() {
            offset = self.open_entry(suffix.rest.len());
            self.bytes[offset..offset + suffix.rest.len()].copy_from_slice(suffix.rest);
        }
        // The references move for the new slot, those behind the new one by one more.
        let (old, new) = (SLOTS + SLOT_BYTES * count, SLOTS + SLOT_BYTES * (count + 1));
        let (before, all) = (REFERENCE_BYTES * index, REFERENCE_BYTES * count);
        self.bytes.copy_within(old + before..old + all, new + before + REFERENCE_BYTES);
        self.bytes.copy_within(old..old + before, new);
        self.insert_slot(index, Slot::with_child(suffix.head, child));
        self.set_slot(index, Slot::new(suffix.head, offset, suffix.len));
    }

    /// Replaces the value of a slot whose entry is `entry_len` bytes long.
    pub(crate) fn replace(&mut self, index: usize, slot: Slot, entry_len: usize, value: LeafValue<'_>) {
        let rest_len = slot.rest_len();
        let entry_len_new = 2 + rest_len + value.bytes.len();
        if entry_len_new <= entry_len {
            self.write_value(slot.offset(), rest_len, value);
            self.set_u16(LIVE_BYTES, self.node().live_bytes().saturating_sub(entry_len - entry_len_new));
            return;
        }
        self.close_entry(slot, entry_len);
        let offset = self.open_entry(entry_len_new);
        self.bytes.copy_within(slot.offset() + 2..slot.offset() + 2 + rest_len, offset + 2);
        self.write_value(offset, rest_len, value);
        self.set_slot(index, Slot::new(slot.head(), offset, slot.suffix_len()));
    }

    /// Overwrites bytes of the value that starts at `start`.
    pub(crate) fn patch(&mut self, start: usize, bytes: &[u8]) {
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Removes a slot and its entry of `entry_len` bytes.
    pub(crate) fn remove(&mut self, index: usize, entry_len: usize) {
        let (slot, count) = (self.node().slot(index), self.node().count());
        self.close_entry(slot, entry_len);
        let slots = self.node().slots_at();
        let (at, old) = (slots + SLOT_BYTES * index, slots + SLOT_BYTES * count);
        self.bytes.copy_within(at + SLOT_BYTES..old, at);
        if self.node().level() > 0 {
            let new = old - SLOT_BYTES;
            let (before, all) = (REFERENCE_BYTES * index, REFERENCE_BYTES * count);
            self.bytes.copy_within(old..old + before, new);
            self.bytes.copy_within(old + before + REFERENCE_BYTES..old + all, new + before);
        }
        if self.node().has_fingerprints() {
            fingerprint::remove(self.bytes, index);
        }
        self.set_u16(COUNT, count - 1);
        if count == 1 {
            let fence_bytes = self.node().fence_bytes();
            self.set_u16(HEAP_BYTES, fence_bytes);
            self.set_u16(LIVE_BYTES, fence_bytes);
        }
        self.bytes[RUN] = 0;
        self.update_hints(index, count, count - 1);
    }

    /// Brings all free bytes together between slots and heap. The entry of slot `last` becomes the
    /// first of the heap, so that its bytes can be had as well.
    pub(crate) fn compact(&mut self, last: Option<usize>) -> Result<(), Nonsense> {
        let node = self.node();
        let (count, page_bytes) = (node.count(), node.page_bytes());
        let slots_end = node.slots_end();
        let mut page = vec![0; page_bytes];
        let mut start = page_bytes - node.fence_bytes().min(page_bytes);
        page[start..].copy_from_slice(&self.bytes[start..]);
        page[..slots_end].copy_from_slice(&self.bytes[..slots_end]);
        let others = (0..count).rev().filter(|&index| Some(index) != last);
        for index in others.chain(last) {
            let slot = node.slot(index);
            let len = node.entry_len(slot).ok_or(Nonsense("an entry lies beyond the page"))?;
            if len == 0 {
                continue;
            }
            start = start.checked_sub(len).filter(|&start| start >= slots_end).ok_or(OVERLAP)?;
            page[start..start + len].copy_from_slice(&self.bytes[slot.offset()..slot.offset() + len]);
            NodeMut::new(&mut page).set_slot(index, Slot::new(slot.head(), start, slot.suffix_len()));
        }
        self.bytes.copy_from_slice(&page);
        self.set_u16(HEAP_BYTES, page_bytes - start);
        self.set_u16(LIVE_BYTES, page_bytes - start);
        Ok(())
    }

    /// Writes every hint.
    pub(crate) fn write_hints(&mut self) {
        let count = self.node().count();
        if count > UNHINTED_MAX {
            self.write_hints_from(0, count / (HINT_COUNT + 1));
        }
    }

    /// Makes the page forget that insertions followed each other.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn forget_run(&mut self) {
        self.bytes[RUN] = 0;
    }

    fn stash_start(&self) -> usize {
        self.node().slots_end() + self.node().next_slot_bytes()
    }

    /// Takes bytes from the gap for an entry; returns its offset.
    fn open_entry(&mut self, len: usize) -> usize {
        let (heap_bytes, live_bytes) = (self.node().heap_bytes() + len, self.node().live_bytes() + len);
        debug_assert!(self.node().slots_end() + heap_bytes <= self.bytes.len(), "ED1: an entry without room");
        self.set_u16(HEAP_BYTES, heap_bytes);
        self.set_u16(LIVE_BYTES, live_bytes);
        self.bytes.len() - heap_bytes
    }

    /// Gives an entry's bytes back: to the gap if it is the heap's first, else to compaction.
    fn close_entry(&mut self, slot: Slot, len: usize) {
        let (heap_bytes, live_bytes) = (self.node().heap_bytes(), self.node().live_bytes());
        if slot.offset() == self.bytes.len() - heap_bytes {
            self.set_u16(HEAP_BYTES, heap_bytes.saturating_sub(len));
        }
        self.set_u16(LIVE_BYTES, live_bytes.saturating_sub(len));
    }

    fn write_value(&mut self, offset: usize, rest_len: usize, value: LeafValue<'_>) {
        self.set_u16(offset, value.stored_len());
        let start = offset + 2 + rest_len;
        self.bytes[start..start + value.bytes.len()].copy_from_slice(value.bytes);
    }

    /// Inserts the word of a slot; the references of an inner page have made way, and fingerprints.
    fn insert_slot(&mut self, index: usize, word: Slot) {
        let (count, slots) = (self.node().slot_count(), self.node().slots_at());
        let at = slots + SLOT_BYTES * index;
        self.bytes.copy_within(at..slots + SLOT_BYTES * count, at + SLOT_BYTES);
        self.bytes[at..at + SLOT_BYTES].copy_from_slice(&word.0.to_le_bytes());
        self.update_hints(index, count, count + 1);
        self.note_run(index);
        self.set_u16(COUNT, count + 1); // the last: a word that was just written in part is slow to read
    }

    /// Sets head and key reference of a slot.
    fn set_slot(&mut self, index: usize, slot: Slot) {
        let (at, slot) = (self.node().slots_at() + SLOT_BYTES * index, slot.0.to_le_bytes());
        if self.node().level() == 0 {
            self.bytes[at..at + SLOT_BYTES].copy_from_slice(&slot);
        } else {
            let reference = SLOTS + SLOT_BYTES * self.node().count() + REFERENCE_BYTES * index;
            self.bytes[at + 4..at + SLOT_BYTES].copy_from_slice(&slot[4..]);
            self.bytes[reference..reference + REFERENCE_BYTES].copy_from_slice(&slot[..REFERENCE_BYTES]);
        }
    }

    /// Notes whether insertions follow each other, for the choice of split points.
    fn note_run(&mut self, index: usize) {
        let (run, position) = (self.node().summary().run(), self.node().run_position());
        let run = if index == position {
            run.max(0).saturating_add(1)
        } else if index + 1 == position {
            run.min(0).saturating_sub(1)
        } else {
            0
        };
        self.bytes[RUN] = run as u8;
        self.set_u16(RUN_POSITION, index + 1);
    }

    /// Brings hints up to date after slots from `index` on moved, and their number became another.
    fn update_hints(&mut self, index: usize, before: usize, count: usize) {
        if count <= UNHINTED_MAX || self.node().has_fingerprints() {
            return;
        }
        let distance = count / (HINT_COUNT + 1);
        let same_distance = before > UNHINTED_MAX && before / (HINT_COUNT + 1) == distance;
        let first = if same_distance { index.div_ceil(distance).saturating_sub(1) } else { 0 };
        self.write_hints_from(first, distance);
    }

    fn write_hints_from(&mut self, first: usize, distance: usize) {
        for hint in first..HINT_COUNT {
            let head = SLOTS + SLOT_BYTES * (hint + 1) * distance + SLOT_BYTES - HEAD_BYTES;
            self.bytes.copy_within(head..head + HEAD_BYTES, HINTS + HEAD_BYTES * hint);
        }
    }

    fn set_u16(&mut self, offset: usize, value: usize) {
        debug_assert!(value <= 0xFFFF, "BT5: a size that does not fit");
        self.bytes[offset..offset + 2].copy_from_slice(&(value as u16).to_le_bytes());
    }
}

const OVERLAP: Nonsense = Nonsense("entries need more room than there is");

#[cfg(all(test, not(loom)))]
mod tests;
