//! Slotted leaves, with or without common prefix, heads, fingerprints and order.
//!
//! ```text
//! offset  size  what
//!      0    48  header as the crate's pages have it; at 36: places for fingerprints, a multiple of 16
//!     48     …  fingerprints, one byte each, if the layout has them
//!      …   s·n  slots: {suffix length u16, heap offset u16}, with heads {suffix length u16, heap offset u16, head u32}
//!      …        free
//!      …        heap: {value length u16, rest of the key, value}, fences
//! ```
//!
//! Without heads the rest is the whole suffix; without prefix the suffix is the whole key. Slots are in key order, or in order of
//! insertion with [`UNSORTED`]: then an insertion moves nothing, and a scan sorts.

use crate::btree::build::{Builder, Plan};
use crate::btree::layout::*;
use crate::btree::node::Node;
use crate::leaf::{Leaf, PAGE_BYTES, Slice, set_u16};
use crate::words::{Words, big_endian_padded};
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64;

/// The common prefix of the fences is left out.
pub(crate) const PREFIX: u8 = 1;
/// Slots have the first four bytes of the suffix.
pub(crate) const HEADS: u8 = 2;
/// One byte of each key's hash lies in front.
pub(crate) const FINGERPRINTS: u8 = 4;
/// Slots are in no order.
pub(crate) const UNSORTED: u8 = 8;

#[derive(Debug)]
pub(crate) struct Slotted<const WITH: u8>;

const PLACES: usize = 36;
const PLACES_STEP: usize = 16;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;
/// As the crate's search has it.
const COUNTED_MAX: usize = UNHINTED_MAX;

fn fingerprint(key: &[u8]) -> u8 {
    xxh3_64(key) as u8
}

/// A leaf of this layout, to be read.
#[derive(Clone, Copy)]
struct View<W, const WITH: u8> {
    words: W,
    count: usize,
    slots_at: usize,
    prefix_len: usize,
}

impl<W: Words, const WITH: u8> View<W, WITH> {
    const SLOT_BYTES: usize = if WITH & HEADS != 0 { 8 } else { 4 };

    #[inline(always)]
    fn of(node: Node<W>) -> Self {
        let words = node.words();
        let places = if WITH & FINGERPRINTS != 0 { words.u16_at(PLACES) & !7 } else { 0 };
        let count = words.u16_at(COUNT).min(PAGE_BYTES / Self::SLOT_BYTES);
        Self { words, count, slots_at: HEADER_BYTES + places, prefix_len: node.prefix_len() }
    }

    /// The slot; its head is 0 in layouts without heads.
    #[inline(always)]
    fn slot(self, index: usize) -> Slot {
        let first = self.slots_at / 8;
        if WITH & HEADS != 0 {
            return Slot(self.words.word(first + index));
        }
        Slot(u64::from((self.words.word(first + index / 2) >> (32 * (index % 2))) as u32))
    }

    fn rest_len(slot: Slot) -> usize {
        if WITH & HEADS != 0 { slot.rest_len() } else { slot.suffix_len() }
    }

    #[inline(always)]
    fn value(self, slot: Slot) -> Option<(usize, usize)> {
        let (start, len) = (slot.offset() + 2 + Self::rest_len(slot), self.words.u16_at(slot.offset()));
        (start + len <= self.words.page_bytes()).then_some((start, len))
    }

    #[inline(always)]
    fn compare(self, slot: Slot, key: Suffix<'_>, suffix: &[u8]) -> Ordering {
        if WITH & HEADS == 0 {
            return self.words.compare(slot.offset() + 2, slot.suffix_len(), suffix);
        }
        let heads = slot.head().cmp(&key.head);
        let rests = || self.words.compare(slot.offset() + 2, slot.rest_len(), key.rest);
        heads.then_with(rests).then_with(|| slot.suffix_len().cmp(&key.len))
    }

    /// The first slot whose key is not below `key`, and whether it is `key`.
    #[inline(always)]
    fn search(self, key: &[u8]) -> (usize, bool) {
        let suffix = key.get(self.prefix_len..).unwrap_or_default();
        let key = Suffix::of(suffix, 0);
        let (mut low, mut high) = (0, self.count);
        if WITH & HEADS != 0 {
            low = self.first_head(key.head);
            if low >= self.count || self.slot(low).head() != key.head {
                return (low, false);
            }
            match self.compare(self.slot(low), key, suffix) {
                Ordering::Equal => return (low, true),
                Ordering::Greater => return (low, false),
                Ordering::Less => low += 1,
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare(self.slot(middle), key, suffix) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return (middle, true),
                Ordering::Greater => high = middle,
            }
        }
        (low, false)
    }

    #[inline(always)]
    fn first_head(self, head: u32) -> usize {
        let target = u64::from(head) << 32;
        let (mut low, mut high) = (0, self.count);
        while high - low > COUNTED_MAX {
            let middle = low + (high - low) / 2;
            if self.slot(middle).0 < target {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low + (low..high).map(|index| usize::from(self.slot(index).0 < target)).sum::<usize>()
    }

    /// The slot of `key`, by fingerprints.
    #[inline(always)]
    fn probe(self, key: &[u8]) -> Option<Slot> {
        let pattern = ONES * u64::from(fingerprint(key));
        let suffix = key.get(self.prefix_len..).unwrap_or_default();
        let key = Suffix::of(suffix, 0);
        for at in (0..self.count).step_by(8) {
            let differing = self.words.word((HEADER_BYTES + at) / 8) ^ pattern;
            // A byte above an equal one may be marked in error, which comparing the keys sorts out.
            let mut equal = differing.wrapping_sub(ONES) & !differing & HIGHS;
            while equal != 0 {
                let index = at + equal.trailing_zeros() as usize / 8;
                let slot = self.slot(index);
                if index < self.count && self.compare(slot, key, suffix).is_eq() {
                    return Some(slot);
                }
                equal &= equal - 1;
            }
        }
        None
    }
}

/// Bytes of an entry outside the heap and in it.
fn entry_bytes<const WITH: u8>(suffix: &[u8], value: &[u8]) -> (usize, usize) {
    let heads = WITH & HEADS != 0;
    let rest_len = if heads { suffix.len().saturating_sub(HEAD_BYTES) } else { suffix.len() };
    (if heads { 8 } else { 4 }, 2 + rest_len + value.len())
}

/// Puts an entry into the heap of a page that has room; says what its slot is.
fn put_entry<const WITH: u8>(page: &mut [u8], suffix: &[u8], value: &[u8]) -> Slot {
    let (_, len) = entry_bytes::<WITH>(suffix, value);
    let heap_bytes = (&*page).u16_at(HEAP_BYTES) + len;
    set_u16(page, HEAP_BYTES, heap_bytes);
    let offset = page.len() - heap_bytes;
    set_u16(page, offset, value.len());
    let key = Suffix::of(suffix, 0);
    let rest = if WITH & HEADS != 0 { key.rest } else { suffix };
    page[offset + 2..offset + 2 + rest.len()].copy_from_slice(rest);
    page[offset + 2 + rest.len()..offset + len].copy_from_slice(value);
    Slot::new(key.head, offset, suffix.len())
}

impl<const WITH: u8> Leaf for Slotted<WITH> {
    fn build(plan: &Plan<'_>, records: Slice<'_>) -> Option<Vec<u8>> {
        let mut page = Builder::new(PAGE_BYTES, plan).ok()?.finish();
        let prefix_len = if WITH & PREFIX != 0 { plan.prefix_len() } else { 0 };
        set_u16(&mut page, PREFIX_LEN, prefix_len);
        let places = if WITH & FINGERPRINTS != 0 { records.len().next_multiple_of(PLACES_STEP) } else { 0 };
        set_u16(&mut page, PLACES, places);
        let mut used = HEADER_BYTES + places + (&*page).u16_at(HEAP_BYTES);
        for (key, value) in records.iter() {
            let (outside, inside) = entry_bytes::<WITH>(&key[prefix_len..], value);
            used += outside + inside;
        }
        if used > PAGE_BYTES {
            return None;
        }
        for (index, (key, value)) in records.iter().enumerate() {
            let slot = put_entry::<WITH>(&mut page, &key[prefix_len..], value);
            put_slot::<WITH>(&mut page, index, slot);
            if WITH & FINGERPRINTS != 0 {
                page[HEADER_BYTES + index] = fingerprint(key);
            }
        }
        Some(page)
    }

    #[inline(always)]
    fn get<W: Words>(node: Node<W>, key: &[u8]) -> Option<(usize, usize)> {
        let view = View::<W, WITH>::of(node);
        if WITH & FINGERPRINTS != 0 {
            return view.value(view.probe(key)?);
        }
        let (index, found) = view.search(key);
        if found { view.value(view.slot(index)) } else { None }
    }

    #[inline(always)]
    fn position<W: Words>(node: Node<W>, key: &[u8]) -> Option<usize> {
        let view = View::<W, WITH>::of(node);
        if WITH & UNSORTED != 0 {
            return view.probe(key).is_none().then_some(view.count);
        }
        let (index, found) = view.search(key);
        (!found).then_some(index)
    }

    fn insert(page: &mut [u8], position: usize, key: &[u8], value: &[u8]) -> bool {
        let view = View::<&[u8], WITH>::of(Node::new(&*page));
        let suffix = &key[view.prefix_len..];
        let (outside, inside) = entry_bytes::<WITH>(suffix, value);
        let slots_end = view.slots_at + outside * view.count;
        let gap = page.len() - page_heap_bytes(page) - slots_end;
        let is_crowded = WITH & FINGERPRINTS != 0 && HEADER_BYTES + view.count == view.slots_at;
        let more_places = if is_crowded { PLACES_STEP } else { 0 };
        if outside + inside + more_places > gap {
            return false;
        }
        let count = view.count;
        if is_crowded {
            page.copy_within(view.slots_at..slots_end, view.slots_at + PLACES_STEP);
            set_u16(page, PLACES, count + PLACES_STEP);
        }
        if WITH & FINGERPRINTS != 0 {
            let at = HEADER_BYTES + position;
            page.copy_within(at..HEADER_BYTES + count, at + 1);
            page[at] = fingerprint(key);
        }
        let slot = put_entry::<WITH>(page, suffix, value);
        put_slot::<WITH>(page, position, slot);
        true
    }

    fn for_each(page: &[u8], key: &mut Vec<u8>, mut visit: impl FnMut(&[u8], &[u8])) {
        let node = Node::new(page);
        let view = View::<&[u8], WITH>::of(node);
        node.prefix_to(key);
        let prefix_len = key.len();
        let mut read = |slot: Slot| {
            key.truncate(prefix_len);
            if WITH & HEADS != 0 {
                key.extend_from_slice(&slot.head().to_be_bytes()[..slot.suffix_len().min(HEAD_BYTES)]);
            }
            let (start, len) = view.value(slot).unwrap_or_default();
            key.extend_from_slice(&page[slot.offset() + 2..start]);
            visit(key, &page[start..start + len]);
        };
        if WITH & UNSORTED == 0 {
            (0..view.count).for_each(|index| read(view.slot(index)));
            return;
        }
        let suffix = |slot: Slot| &page[slot.offset() + 2..slot.offset() + 2 + slot.suffix_len()];
        let mut order: Vec<(u64, Slot)> = (0..view.count)
            .map(|index| view.slot(index))
            .map(|slot| (big_endian_padded(suffix(slot)), slot))
            .collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| suffix(a.1).cmp(suffix(b.1))));
        order.iter().for_each(|&(_, slot)| read(slot));
    }
}

fn page_heap_bytes(page: &[u8]) -> usize {
    page.u16_at(HEAP_BYTES)
}

/// Inserts a slot, which there is room for.
fn put_slot<const WITH: u8>(page: &mut [u8], index: usize, slot: Slot) {
    let view = View::<&[u8], WITH>::of(Node::new(&*page));
    let (slots_at, count) = (view.slots_at, view.count);
    let size = View::<&[u8], WITH>::SLOT_BYTES;
    let at = slots_at + size * index;
    page.copy_within(at..slots_at + size * count, at + size);
    page[at..at + size].copy_from_slice(&slot.0.to_le_bytes()[..size]);
    set_u16(page, COUNT, count + 1);
}
