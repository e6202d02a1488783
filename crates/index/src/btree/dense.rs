//! Dense leaves: values alone, each at the place that its key says.
//!
//! ```text
//! offset  size  what
//!      0     1  kind: 6
//!      1     7  as on every page of a tree; the count is that of records
//!      8     2  places
//!     10     2  length of each value
//!     12    24  as on every page of a tree
//!     36     2  length of each key
//!     38     2  run position: place after the last insertion
//!     40     8  tail of the first place's key
//!     48   8·w  which places are taken: place p is bit p mod 64 of word p / 64
//!      …   v·n  values of all n places, those of v bytes that are taken and others that mean nothing
//!      …        free
//!      …        upper fence, then lower fence, which ends the page
//! ```
//!
//! The *tail* of a key is its last eight bytes, or all of a shorter one, as a big-endian number; what is before it is the
//! *stem*. Place p is that of the key whose tail is the first place's and p.
//!
//! # Invariants
//!
//! - **DN1** All keys have one length, at least 1, and one stem, which lies within the common prefix (BT1). All values have one length, and
//!   none is a descriptor.
//! - **DN2** The count is how many places are taken. Behind the last place no bit is set.
//! - **DN3** The last place's tail fits its bytes, so tails are in the order of their places and of their keys.
//! - **DN4** No bytes of a page can make a function of this module panic, loop for longer than the page has words, or
//!   name a place at or beyond `places`.

use super::layout::*;
use super::node::Node;
use crate::words::{Words, big_endian_padded};
use std::ops::Range;

pub(crate) const PLACES: usize = HEAP_BYTES;
pub(crate) const VALUE_LEN: usize = LIVE_BYTES;
pub(crate) const KEY_LEN: usize = 36;
pub(crate) const BASE: usize = LEFTMOST;
pub(crate) const BITMAP: usize = HEADER_BYTES;
pub(crate) const TAIL_BYTES: usize = 8;
/// More do not fit the header.
const PLACES_MAX: usize = 0xFFFF;

/// The lengths that all records of a dense leaf have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
}

impl Form {
    pub(crate) fn stem_len(self) -> usize {
        self.key_len.saturating_sub(TAIL_BYTES)
    }

    pub(crate) fn tail_len(self) -> usize {
        self.key_len.min(TAIL_BYTES)
    }

    /// The greatest tail (DN3).
    pub(crate) fn tail_max(self) -> u64 {
        u64::MAX.checked_shr(64 - 8 * self.tail_len() as u32).unwrap_or(0)
    }

    /// The tail of a key that begins with the stem. Of a key of another length: what is too long is cut off, what lacks is zero.
    pub(crate) fn tail(self, key: &[u8]) -> u64 {
        let tail = key.get(self.stem_len()..).unwrap_or_default();
        big_endian_padded(tail).checked_shr(64 - 8 * self.tail_len() as u32).unwrap_or(0)
    }

    /// Bytes of a dense leaf of so many places, without its fences.
    pub(crate) fn dense_bytes(self, places: usize) -> usize {
        BITMAP + places.div_ceil(64) * 8 + places * self.value_len
    }

    /// The most places of a dense leaf in so many bytes without its fences.
    pub(crate) fn places_max(self, bytes: usize) -> usize {
        let mut places = (bytes.saturating_sub(BITMAP) * 8 / (8 * self.value_len + 1)).min(PLACES_MAX);
        while places > 0 && self.dense_bytes(places) > bytes {
            places -= 1; // at most the bits of a word
        }
        places
    }

    /// Bytes of one record in a slot and its entry, on a page with this prefix.
    pub(crate) fn slotted_record_bytes(self, prefix_len: usize) -> usize {
        let rest_len = self.key_len.saturating_sub(prefix_len + HEAD_BYTES);
        SLOT_BYTES + entry_head_bytes(0) + rest_len + self.value_len
    }

    /// Bytes of a leaf with slots for so many records, without its fences.
    pub(crate) fn slotted_bytes(self, count: usize, prefix_len: usize) -> usize {
        SLOTS + count * self.slotted_record_bytes(prefix_len)
    }
}

/// Where things are on a dense leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    /// Tail of the first place's key.
    pub(crate) base: u64,
    pub(crate) places: usize,
}

impl Shape {
    #[inline(always)]
    fn of<W: Words>(words: W) -> Self {
        let sizes = words.word(PLACES / 8) as usize;
        let form = Form { key_len: words.u16_at(KEY_LEN), value_len: sizes >> 16 & 0xFFFF };
        Self { form, base: words.word(BASE / 8), places: sizes & 0xFFFF }
    }

    /// The place of a key that lies between the fences, taken or not.
    #[inline(always)]
    pub(crate) fn place(self, key: &[u8]) -> Option<usize> {
        if key.len() != self.form.key_len {
            return None;
        }
        let tail = match key.last_chunk::<TAIL_BYTES>() {
            Some(tail) => u64::from_be_bytes(*tail),
            None => self.form.tail(key),
        };
        let place = tail.wrapping_sub(self.base);
        (place < self.places as u64).then_some(place as usize)
    }

    /// Offset of a place's value.
    #[inline(always)]
    pub(crate) fn value_at(self, place: usize) -> usize {
        BITMAP + self.places.div_ceil(64) * 8 + place * self.form.value_len
    }

    /// Appends the tail of a place's key to its stem.
    #[inline(always)]
    pub(crate) fn append_tail(self, place: usize, out: &mut Vec<u8>) {
        let tail = self.base.wrapping_add(place as u64).to_be_bytes();
        match self.form.key_len {
            TAIL_BYTES.. => out.extend_from_slice(&tail),
            len => out.extend_from_slice(&tail[TAIL_BYTES - len..]),
        }
    }
}

/// A dense leaf to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dense<W> {
    words: W,
    shape: Shape,
}

impl<W: Words> Dense<W> {
    #[inline(always)]
    pub(crate) fn of(node: Node<W>) -> Self {
        Self { words: node.words(), shape: Shape::of(node.words()) }
    }

    #[inline(always)]
    pub(crate) fn shape(self) -> Shape {
        self.shape
    }

    /// Records.
    pub(crate) fn count(self) -> usize {
        self.words.u16_at(COUNT).min(self.shape.places)
    }

    /// Do the header's sizes fit the page and each other?
    pub(crate) fn is_sane(self, node: Node<W>) -> bool {
        let Shape { form, base, places } = self.shape;
        let prefix_max = node.lower_range().map_or(0, |(_, len)| len);
        node.summary().is_tree_page()
            && (1..=key_bytes_max(node.page_bytes())).contains(&form.key_len)
            && form.value_len <= value_bytes_max(node.page_bytes())
            && self.words.u16_at(COUNT) <= places
            && places > 0
            && form.dense_bytes(places) + node.fence_bytes() <= node.page_bytes()
            && base <= form.tail_max()
            && form.tail_max() - base >= places as u64 - 1
            && node.prefix_len() <= prefix_max
            && form.stem_len() <= node.prefix_len()
    }

    /// Bytes in use: what the records would take in slots, or what the places from the first to the last that is taken do, if that
    /// is less.
    pub(crate) fn used_bytes(self, node: Node<W>) -> usize {
        let form = self.shape.form;
        let first = self.next(0).unwrap_or(0);
        let end = self.previous(self.shape.places).map_or(first, |last| last + 1);
        let slotted = form.slotted_bytes(self.count(), node.prefix_len());
        node.fence_bytes() + slotted.min(form.dense_bytes(end.saturating_sub(first)))
    }

    #[inline(always)]
    fn bits(self, word: usize) -> u64 {
        self.words.word(BITMAP / 8 + word)
    }

    #[inline(always)]
    pub(crate) fn is_taken(self, place: usize) -> bool {
        self.bits(place / 64) >> (place % 64) & 1 != 0
    }

    /// The first place at or behind `place` that is taken.
    #[inline(always)]
    pub(crate) fn next(self, place: usize) -> Option<usize> {
        let mut word = place / 64;
        let mut bits = self.bits(word) & u64::MAX << (place % 64);
        let end = self.shape.places.div_ceil(64);
        while bits == 0 {
            word += 1;
            if word >= end {
                return None;
            }
            bits = self.bits(word);
        }
        let found = word * 64 + bits.trailing_zeros() as usize;
        (found < self.shape.places).then_some(found)
    }

    /// The last place before `place` that is taken.
    #[inline(always)]
    pub(crate) fn previous(self, place: usize) -> Option<usize> {
        let last = place.min(self.shape.places).checked_sub(1)?;
        let mut word = last / 64;
        let mut bits = self.bits(word) & u64::MAX >> (63 - last % 64);
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.bits(word);
        }
        Some(word * 64 + 63 - bits.leading_zeros() as usize)
    }

    /// Is a place of these taken?
    pub(crate) fn any_taken(self, places: Range<usize>) -> bool {
        let (first, end) = (places.start, places.end.min(self.shape.places));
        if first >= end {
            return false;
        }
        let last_word = (end - 1) / 64;
        (first / 64..=last_word).any(|word| {
            let from = if word == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
            let to = if word == last_word { u64::MAX >> (63 - (end - 1) % 64) } else { u64::MAX };
            self.bits(word) & from & to != 0
        })
    }

    /// How many places before `place` are taken.
    pub(crate) fn rank(self, place: usize) -> usize {
        let place = place.min(self.shape.places);
        let whole: u32 = (0..place / 64).map(|word| self.bits(word).count_ones()).sum();
        let part = self.bits(place / 64) & !(u64::MAX << (place % 64));
        whole as usize + part.count_ones() as usize
    }

    /// The place of record `index`.
    pub(crate) fn select(self, index: usize) -> Option<usize> {
        let mut left = index;
        for word in 0..self.shape.places.div_ceil(64) {
            let mut bits = self.bits(word);
            let here = bits.count_ones() as usize;
            if left >= here {
                left -= here;
                continue;
            }
            for _ in 0..left {
                bits &= bits - 1;
            }
            let found = word * 64 + bits.trailing_zeros() as usize;
            return (found < self.shape.places).then_some(found);
        }
        None
    }

    /// Records whose keys are below a key that begins with the common prefix (with `inclusive`: at most that key).
    pub(crate) fn position(self, key: &[u8], inclusive: bool) -> usize {
        let Shape { form, base, places } = self.shape;
        let tail = form.tail(key);
        let Some(place) = tail.checked_sub(base) else { return 0 };
        let place = usize::try_from(place).map_or(places, |place| place.min(places));
        // A record with this tail has as many bytes as the key, or begins it, or begins with it.
        let counts = key.len() > form.key_len || (inclusive && key.len() == form.key_len);
        self.rank(if counts { place.saturating_add(1) } else { place })
    }

    /// Offset and length of a place's value, if they lie within the page.
    #[inline(always)]
    pub(crate) fn value_range(self, place: usize) -> Option<(usize, usize)> {
        let (start, len) = (self.shape.value_at(place), self.shape.form.value_len);
        (place < self.shape.places && start + len <= self.words.page_bytes()).then_some((start, len))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
