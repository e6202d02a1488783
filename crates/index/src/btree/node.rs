//! Reading a tree page: header, slots, entries, fences.
//!
//! A [`Node`] believes nothing: whatever it reads may be torn (an optimistic reader) or nonsense (a
//! damaged page), so offsets and counts are clamped, and what cannot be clamped is an `Option`.
//!
//! # Invariants
//!
//! - **ND1** No bytes of a page can make a function of this module panic, loop for longer than the
//!   page has slots, or allocate more than the page's size and a key.

use super::dense::Dense;
use super::fingerprint::PLACES_STEP;
use super::layout::*;
use crate::ValueKind;
use crate::leaf_value::len_of_stored;
use crate::words::Words;
use aquifer_buffer::PageId;
use std::cmp::Ordering;

/// A tree page to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<W> {
    words: W,
}

/// The first word of the header: all that a search needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary(u64);

impl Summary {
    #[inline(always)]
    pub(crate) fn kind(self) -> u8 {
        self.0 as u8
    }

    #[inline(always)]
    pub(crate) fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline(always)]
    pub(crate) fn level(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// See `RUN` in the layout.
    pub(crate) fn run(self) -> i8 {
        (self.0 >> 24) as i8
    }

    #[inline(always)]
    pub(crate) fn prefix_len(self) -> usize {
        (self.0 >> 48) as usize
    }

    /// Does the kind agree with the level?
    #[inline(always)]
    pub(crate) fn is_tree_page(self) -> bool {
        let (kind, level) = (self.kind(), self.level());
        (matches!(kind, KIND_LEAF | KIND_DENSE | KIND_FINGERPRINTS) && level == 0)
            || (kind == KIND_INNER && level > 0 && level <= LEVEL_MAX)
    }
}

impl<W: Words> Node<W> {
    #[inline(always)]
    pub(crate) fn new(words: W) -> Self {
        Self { words }
    }

    #[inline(always)]
    pub(crate) fn words(self) -> W {
        self.words
    }

    #[inline(always)]
    pub(crate) fn page_bytes(self) -> usize {
        self.words.page_bytes()
    }

    #[inline(always)]
    pub(crate) fn summary(self) -> Summary {
        Summary(self.words.word(0))
    }

    /// Is it a dense leaf? Then it has no slots.
    #[inline(always)]
    pub(crate) fn is_dense(self) -> bool {
        self.summary().kind() == KIND_DENSE
    }

    /// Is it a leaf with slots and fingerprints?
    #[inline(always)]
    pub(crate) fn has_fingerprints(self) -> bool {
        self.summary().kind() == KIND_FINGERPRINTS
    }

    /// Records of a leaf of any kind, separators of an inner page; never more than fit on the page.
    #[inline]
    pub(crate) fn count(self) -> usize {
        if self.is_dense() { Dense::of(self).count() } else { self.slot_count() }
    }

    /// Slots; never more than fit on the page.
    #[inline(always)]
    pub(crate) fn slot_count(self) -> usize {
        let count = (self.summary().0 >> 32) as usize & 0xFFFF;
        count.min(self.page_bytes().saturating_sub(SLOTS) / slot_bytes(self.level()))
    }

    #[inline(always)]
    pub(crate) fn level(self) -> u8 {
        self.summary().level()
    }

    #[inline(always)]
    pub(crate) fn prefix_len(self) -> usize {
        self.summary().prefix_len()
    }

    #[inline]
    pub(crate) fn heap_bytes(self) -> usize {
        self.words.word(1) as usize & 0xFFFF
    }

    #[inline]
    pub(crate) fn live_bytes(self) -> usize {
        (self.words.word(1) >> 16) as usize & 0xFFFF
    }

    #[inline(always)]
    pub(crate) fn owner(self) -> u32 {
        (self.words.word(1) >> 32) as u32
    }

    pub(crate) fn changed_at(self) -> u64 {
        self.words.word(2)
    }

    #[inline(always)]
    pub(crate) fn own_id(self) -> PageId {
        PageId(self.words.word(3) as u32)
    }

    pub(crate) fn right(self) -> PageId {
        PageId((self.words.word(3) >> 32) as u32)
    }

    pub(crate) fn run_position(self) -> usize {
        (self.words.word(4) >> 48) as usize
    }

    #[inline(always)]
    pub(crate) fn leftmost(self) -> PageId {
        PageId(self.words.word(5) as u32)
    }

    pub(crate) fn is_unbounded(self) -> bool {
        self.summary().flags() & FLAG_UNBOUNDED != 0
    }

    /// Where slots begin, a multiple of eight; of a damaged leaf with fingerprints, maybe beyond the page.
    #[inline(always)]
    pub(crate) fn slots_at(self) -> usize {
        if !self.has_fingerprints() {
            return SLOTS;
        }
        let places = (self.words.word(4) >> 32) as usize & 0xFFF8;
        HEADER_BYTES + places
    }

    /// The word of slot `index` of a page without fingerprints; 0 beyond the page.
    #[inline(always)]
    fn slot_word(self, index: usize) -> u64 {
        self.words.word(SLOTS / SLOT_BYTES + index)
    }

    /// Head and key reference of slot `index`; zeros beyond the page.
    #[inline]
    pub(crate) fn slot(self, index: usize) -> Slot {
        if self.level() == 0 {
            return Slot(self.words.word(self.slots_at() / SLOT_BYTES + index));
        }
        let word = self.slot_word(index);
        let reference = SLOTS + SLOT_BYTES * self.slot_count() + REFERENCE_BYTES * index;
        Slot(word >> 32 << 32 | u64::from(self.words.u32_at(reference)))
    }

    /// Hint `index` (below 16).
    pub(crate) fn hint(self, index: usize) -> u32 {
        self.words.u32_at(HINTS + 4 * index)
    }

    /// Offset and length of the lower fence, if they make sense.
    pub(crate) fn lower_range(self) -> Option<(usize, usize)> {
        let len = self.words.word(4) as usize & 0xFFFF;
        Some((self.page_bytes().checked_sub(len)?, len))
    }

    /// Offset and length of the upper fence, if they make sense.
    pub(crate) fn upper_range(self) -> Option<(usize, usize)> {
        let (lower, _) = self.lower_range()?;
        let len = (self.words.word(4) >> 16) as usize & 0xFFFF;
        Some((lower.checked_sub(len)?, len))
    }

    /// Lengths of both fences together.
    pub(crate) fn fence_bytes(self) -> usize {
        let word = self.words.word(4) as usize;
        (word & 0xFFFF) + (word >> 16 & 0xFFFF)
    }

    /// How `key` lies to the lower fence.
    pub(crate) fn compare_lower(self, key: &[u8]) -> Option<Ordering> {
        let (offset, len) = self.lower_range()?;
        Some(self.words.compare(offset, len, key).reverse())
    }

    /// How `key` lies to the upper fence; below it if there is none.
    pub(crate) fn compare_upper(self, key: &[u8]) -> Option<Ordering> {
        if self.is_unbounded() {
            return Some(Ordering::Less);
        }
        let (offset, len) = self.upper_range()?;
        Some(self.words.compare(offset, len, key).reverse())
    }

    /// Does the page cover `key`?
    pub(crate) fn covers(self, key: &[u8]) -> bool {
        self.compare_lower(key).is_some_and(Ordering::is_ge)
            && self.compare_upper(key).is_some_and(Ordering::is_lt)
    }

    /// Do the header's sizes fit the page and each other? Entries are another matter.
    #[inline]
    pub(crate) fn is_sane(self) -> bool {
        if self.is_dense() {
            return Dense::of(self).is_sane(self);
        }
        let count = (self.summary().0 >> 32) as usize & 0xFFFF;
        let fences = self.fence_bytes();
        let prefix_max = self.lower_range().map_or(0, |(_, len)| len);
        self.summary().is_tree_page()
            && count == self.slot_count()
            && self.has_sane_places()
            && self.slots_end() + self.heap_bytes() <= self.page_bytes()
            && fences <= self.live_bytes()
            && self.live_bytes() <= self.heap_bytes()
            && self.prefix_len() <= prefix_max
    }

    /// Where slots and references end, or would end behind hints, whichever is more (FP5).
    pub(crate) fn slots_end(self) -> usize {
        self.slots_at().max(SLOTS) + slot_bytes(self.level()) * self.slot_count()
    }

    /// Bytes that one more entry would take outside the heap.
    pub(crate) fn next_slot_bytes(self) -> usize {
        let slots_at = self.slots_at();
        let wants_places = self.has_fingerprints() && FINGERPRINTS + self.slot_count() >= slots_at;
        let slots_at_then = if wants_places { slots_at + PLACES_STEP } else { slots_at };
        slot_bytes(self.level()) + slots_at_then.max(SLOTS) - slots_at.max(SLOTS)
    }

    /// Bytes between the slots and the heap.
    pub(crate) fn gap_bytes(self) -> usize {
        self.page_bytes().saturating_sub(self.heap_bytes() + self.slots_end())
    }

    /// Bytes free after compaction; of a dense leaf, when it is put together anew.
    pub(crate) fn free_bytes(self) -> usize {
        if self.is_dense() {
            return self.page_bytes().saturating_sub(Dense::of(self).used_bytes(self));
        }
        self.gap_bytes() + self.heap_bytes().saturating_sub(self.live_bytes())
    }

    /// Bytes in use: header, slots, entries and fences.
    pub(crate) fn used_bytes(self) -> usize {
        self.page_bytes() - self.free_bytes().min(self.page_bytes() - SLOTS)
    }

    /// Where the heap begins.
    pub(crate) fn heap_start(self) -> usize {
        self.page_bytes().saturating_sub(self.heap_bytes())
    }

    /// Length of a slot's entry in the heap, if it lies within the page.
    #[inline]
    pub(crate) fn entry_len(self, slot: Slot) -> Option<usize> {
        let mut len = entry_head_bytes(self.level()) + slot.rest_len();
        if self.level() == 0 {
            len += len_of_stored(self.words.u16_at(slot.offset()));
        } else if len == 0 {
            return Some(0); // BT5
        }
        (slot.offset() >= SLOTS && slot.offset() + len <= self.page_bytes()).then_some(len)
    }

    /// Offset and length of the value of a leaf's slot, if they lie within the page.
    #[inline(always)]
    pub(crate) fn value_range(self, slot: Slot) -> Option<(usize, usize)> {
        let len = len_of_stored(self.words.u16_at(slot.offset()));
        let start = slot.offset() + 2 + slot.rest_len();
        (start + len <= self.page_bytes()).then_some((start, len))
    }

    /// What the bytes of a leaf's slot are.
    #[inline(always)]
    pub(crate) fn value_kind(self, slot: Slot) -> ValueKind {
        ValueKind::of_stored(self.words.u16_at(slot.offset()))
    }

    /// Child `index` of an inner page (0: the leftmost).
    #[inline(always)]
    pub(crate) fn child(self, index: usize) -> PageId {
        match index.checked_sub(1) {
            None => self.leftmost(),
            Some(slot) => PageId(self.slot_word(slot) as u32),
        }
    }

    /// How a slot's key compares with a key whose head is the same (BT2).
    #[inline(always)]
    pub(crate) fn compare_rest(self, slot: Slot, fixed: usize, key: Suffix<'_>) -> Ordering {
        let theirs = self.words.compare(slot.offset() + fixed, slot.rest_len(), key.rest);
        theirs.then_with(|| slot.suffix_len().cmp(&key.len))
    }

    /// Makes `out` the common prefix.
    pub(crate) fn prefix_to(self, out: &mut Vec<u8>) {
        let (offset, len) = self.lower_range().unwrap_or_default();
        self.words.copy_to(offset, self.prefix_len().min(len), out);
    }

    /// How many of these records of a leaf have keys as long as any may be.
    pub(crate) fn longest(self, slots: std::ops::Range<usize>) -> usize {
        if self.is_dense() {
            let is_longest = Dense::of(self).shape().form.key_len == key_bytes_max(self.page_bytes());
            return if is_longest { slots.len() } else { 0 };
        }
        let suffix_len = key_bytes_max(self.page_bytes()).checked_sub(self.prefix_len());
        slots.filter(|&index| Some(self.slot(index).suffix_len()) == suffix_len).count()
    }

    /// Makes `out` the key of a slot.
    pub(crate) fn key_to(self, slot: Slot, out: &mut Vec<u8>) {
        self.prefix_to(out);
        let start = out.len();
        out.extend_from_slice(&slot.head().to_be_bytes());
        if slot.rest_len() == 0 {
            out.truncate(start + slot.suffix_len());
        } else {
            let offset = slot.offset() + entry_head_bytes(self.level());
            self.words.append_to(offset, slot.rest_len(), out);
        }
    }

    /// Makes `out` the lower fence.
    pub(crate) fn lower_to(self, out: &mut Vec<u8>) {
        let (offset, len) = self.lower_range().unwrap_or_default();
        self.words.copy_to(offset, len, out);
    }

    /// Makes `out` the upper fence; `false` if there is none.
    pub(crate) fn upper_to(self, out: &mut Vec<u8>) -> bool {
        let (offset, len) = self.upper_range().unwrap_or_default();
        self.words.copy_to(offset, len, out);
        !self.is_unbounded()
    }
}

impl<'b> Node<&'b [u8]> {
    /// The rest of a slot's key, if it lies within the page.
    #[inline]
    pub(crate) fn rest(self, slot: Slot) -> Option<&'b [u8]> {
        let start = slot.offset() + entry_head_bytes(self.level());
        self.words.get(start..start + slot.rest_len())
    }

    /// The lower fence, if it makes sense.
    pub(crate) fn lower(self) -> Option<&'b [u8]> {
        let (offset, len) = self.lower_range()?;
        self.words.get(offset..offset + len)
    }

    /// The upper fence, if it makes sense; nothing inside means none.
    pub(crate) fn upper(self) -> Option<Option<&'b [u8]>> {
        let (offset, len) = self.upper_range()?;
        let upper = self.words.get(offset..offset + len)?;
        Some((!self.is_unbounded()).then_some(upper))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
