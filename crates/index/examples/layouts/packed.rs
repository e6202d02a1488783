//! Packed leaves: keys of one length in an array, values of one length in another, without slots.
//!
//! ```text
//! offset  size  what
//!      0    48  header as the crate's pages have it; flag 0x40; at 10: value length, at 36: key length, at 40: the first four
//!               bytes of the least and of the greatest tail, as numbers
//!     48   t·n  tails in order: keys without the common prefix
//!      …        free
//!      …   v·n  values in the same order
//!      …        fences
//! ```
//!
//! Tails are compared by their first eight bytes, as numbers. A search guesses by the value and counts the lesser ones around, all at
//! once; if the key is not among them, it bisects. A leaf is packed when it is put together anew, if all its keys have one length
//! and all its values; else it is the leaf of [`Hinted`].

use crate::btree::build::{Builder, Plan};
use crate::btree::layout::*;
use crate::btree::node::Node;
use crate::hinted::Hinted;
use crate::leaf::{Leaf, PAGE_BYTES, Slice, set_u16};
use crate::words::{Words, big_endian_padded};
use std::cmp::Ordering;

#[derive(Debug)]
pub(crate) struct Packed;

const FLAG_PACKED: u8 = 0x40;
const VALUE_LEN: usize = 10;
const KEY_LEN: usize = 36;
const BOUNDS: usize = 40;
/// So many tails on each side of a guess are looked at without a branch, and one more for so many on the page: about as far as chance
/// leads astray.
const RADIUS_MIN: usize = 3;
const RADIUS_STEP: usize = 32;

#[inline(always)]
fn is_packed<W: Words>(node: Node<W>) -> bool {
    node.summary().flags() & FLAG_PACKED != 0
}

/// A packed leaf, to be read.
#[derive(Clone, Copy)]
struct View<W> {
    words: W,
    count: usize,
    prefix_len: usize,
    key_len: usize,
    value_len: usize,
    values_at: usize,
    /// What of a tail's first word belongs to it.
    mask: u64,
}

impl<W: Words> View<W> {
    #[inline(always)]
    fn of(node: Node<W>) -> Self {
        let (words, prefix_len) = (node.words(), node.prefix_len());
        let count = words.u16_at(COUNT).min(PAGE_BYTES);
        // Key length and fence lengths lie in one word.
        let (sizes, value_len) = (words.word(KEY_LEN / 8) as usize, words.u16_at(VALUE_LEN));
        let fences = (sizes & 0xFFFF) + (sizes >> 16 & 0xFFFF);
        let key_len = sizes >> 32 & 0xFFFF;
        let values_at = PAGE_BYTES.saturating_sub(fences + count * value_len);
        let tail_len = key_len.saturating_sub(prefix_len).clamp(1, 8);
        let mask = u64::MAX << (64 - 8 * tail_len);
        Self { words, count, prefix_len, key_len, value_len, values_at, mask }
    }

    #[inline(always)]
    fn tail_len(self) -> usize {
        self.key_len.saturating_sub(self.prefix_len)
    }

    #[inline(always)]
    fn tail_at(self, index: usize) -> usize {
        HEADER_BYTES + index * self.tail_len()
    }

    /// The first eight bytes of a tail as a number.
    #[inline(always)]
    fn head(self, index: usize) -> u64 {
        self.words.u64_at(self.tail_at(index)).swap_bytes() & self.mask
    }

    /// The first record whose key is not below `key`, which has the right length, and whether it is `key`.
    #[inline(always)]
    fn search(self, key: &[u8]) -> (usize, bool) {
        let tail = key.get(self.prefix_len..).unwrap_or_default();
        let target = big_endian_padded(tail);
        let mut index = self.first_head(target);
        while index < self.count && self.head(index) == target {
            match self.words.compare(self.tail_at(index), self.tail_len(), tail) {
                Ordering::Equal => return (index, true),
                Ordering::Greater => break,
                Ordering::Less => index += 1,
            }
        }
        (index, false)
    }

    /// The first record whose head is not below `target`.
    #[inline(always)]
    fn first_head(self, target: u64) -> usize {
        let guess = self.guess((target >> 32) as u32);
        let radius = RADIUS_MIN + self.count / RADIUS_STEP;
        let (low, high) = (guess.saturating_sub(radius), (guess + radius).min(self.count));
        let below = (low..high).map(|index| usize::from(self.head(index) < target)).sum::<usize>();
        let is_above_low = below > 0 || low == 0;
        let is_below_high = low + below < high || high == self.count;
        match (is_above_low, is_below_high) {
            (true, true) => low + below,
            (false, _) => self.bisect(0, low, target),
            (true, false) => self.bisect(high, self.count, target),
        }
    }

    /// Where the bounds in the header let a head be expected.
    #[inline(always)]
    fn guess(self, head: u32) -> usize {
        let bounds = self.words.word(BOUNDS / 8);
        let (least, most) = (bounds as u32, (bounds >> 32) as u32);
        if least >= most {
            return self.count / 2;
        }
        let above = u64::from(head.clamp(least, most) - least);
        (above * self.count as u64 / u64::from(most - least)) as usize
    }

    #[cold]
    fn bisect(self, mut low: usize, mut high: usize, target: u64) -> usize {
        while low < high {
            let middle = low + (high - low) / 2;
            if self.head(middle) < target {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    #[inline(always)]
    fn value(self, index: usize) -> (usize, usize) {
        (self.values_at + index * self.value_len, self.value_len)
    }
}

impl Leaf for Packed {
    fn build(plan: &Plan<'_>, records: Slice<'_>) -> Option<Vec<u8>> {
        let prefix_len = plan.prefix_len();
        let lengths = records.fixed_lengths().filter(|(key_len, _)| *key_len > prefix_len);
        let Some((key_len, value_len)) = lengths else { return Hinted::build(plan, records) };
        let mut page = Builder::new(PAGE_BYTES, plan).ok()?.finish();
        let end = PAGE_BYTES - plan.lower.len() - plan.upper.map_or(0, <[u8]>::len);
        let (count, tail_len) = (records.len(), key_len - prefix_len);
        if HEADER_BYTES + count * (tail_len + value_len) > end {
            return None;
        }
        page[FLAGS] |= FLAG_PACKED;
        set_u16(&mut page, COUNT, count);
        set_u16(&mut page, VALUE_LEN, value_len);
        set_u16(&mut page, KEY_LEN, key_len);
        let values_at = end - count * value_len;
        for (index, (key, value)) in records.iter().enumerate() {
            let at = HEADER_BYTES + index * tail_len;
            page[at..at + tail_len].copy_from_slice(&key[prefix_len..]);
            let at = values_at + index * value_len;
            page[at..at + value_len].copy_from_slice(value);
        }
        set_bounds(&mut page);
        Some(page)
    }

    #[inline(always)]
    fn get<W: Words>(node: Node<W>, key: &[u8]) -> Option<(usize, usize)> {
        if !is_packed(node) {
            return Hinted::get(node, key);
        }
        let view = View::of(node);
        if key.len() != view.key_len {
            return None;
        }
        let (index, found) = view.search(key);
        found.then(|| view.value(index))
    }

    #[inline(always)]
    fn position<W: Words>(node: Node<W>, key: &[u8]) -> Option<usize> {
        if !is_packed(node) {
            return Hinted::position(node, key);
        }
        let view = View::of(node);
        if key.len() != view.key_len {
            return Some(usize::MAX);
        }
        let (index, found) = view.search(key);
        (!found).then_some(index)
    }

    fn insert(page: &mut [u8], position: usize, key: &[u8], value: &[u8]) -> bool {
        let node = Node::new(&*page);
        if !is_packed(node) {
            return Hinted::insert(page, position, key, value);
        }
        let view = View::of(node);
        let (count, tail_len, value_len) = (view.count, view.tail_len(), view.value_len);
        let (tails_end, values_at) = (view.tail_at(count), view.values_at);
        let has_room = tails_end + tail_len + value_len <= values_at;
        if position > count || value.len() != value_len || !has_room {
            return false;
        }
        let (at, tail) = (view.tail_at(position), &key[view.prefix_len..]);
        let value_at = values_at + position * value_len;
        page.copy_within(at..tails_end, at + tail_len);
        page[at..at + tail_len].copy_from_slice(tail);
        page.copy_within(values_at..value_at, values_at - value_len);
        page[value_at - value_len..value_at].copy_from_slice(value);
        set_u16(page, COUNT, count + 1);
        if position == 0 || position == count {
            set_bounds(page);
        }
        true
    }

    fn for_each(page: &[u8], key: &mut Vec<u8>, mut visit: impl FnMut(&[u8], &[u8])) {
        let node = Node::new(page);
        if !is_packed(node) {
            return Hinted::for_each(page, key, visit);
        }
        let view = View::of(node);
        node.prefix_to(key);
        let (prefix_len, tail_len) = (key.len(), view.tail_len());
        for index in 0..view.count {
            let (at, (value_at, value_len)) = (view.tail_at(index), view.value(index));
            key.truncate(prefix_len);
            key.extend_from_slice(&page[at..at + tail_len]);
            visit(key, &page[value_at..value_at + value_len]);
        }
    }
}

fn set_bounds(page: &mut [u8]) {
    let view = View::of(Node::new(&*page));
    let (least, most) = (view.head(0) >> 32, view.head(view.count.saturating_sub(1)) >> 32);
    page[BOUNDS..BOUNDS + 8].copy_from_slice(&(most << 32 | least).to_le_bytes());
}
