//! Leaves with fingerprints: a byte of each key's hash, where heads say little.
//!
//! ```text
//! offset  size  what
//!      0     1  kind: 7
//!      1    35  as on every page of a tree
//!     36     2  places for fingerprints, p: a multiple of 16, at least the count
//!     38    10  as on every page of a tree
//!     48     p  fingerprints of the slots, in their order
//!      …   8·n  slots in key order
//!      …        free
//!      …        heap, as on a leaf with hints
//! ```
//!
//! Where many keys agree in the bytes behind the common prefix, heads and hints cannot tell them apart, and a search by halves
//! goes to the heap at each step. Fingerprints are compared eight at a time, and mostly a single key is looked at. They say
//! nothing of order: cursors and insertions search by halves.
//!
//! # Invariants
//!
//! - **FP1** Fingerprint `i` is that of slot `i`'s key.
//! - **FP2** A leaf gets fingerprints, or hints, when it is put together: fingerprints if enough heads equal the one before, and if
//!   there is room. So records that fit with hints fit.
//! - **FP3** A search compares at most [`STRANGERS_MAX`] keys that are others, then goes on by halves: whoever knows the hash can
//!   make keys whose fingerprints are equal.
//! - **FP4** No bytes of a page can make a function of this module panic, but for those that change a page: its header is sane (ED1).
//! - **FP5** What fits with fingerprints fits with hints: with fewer than 64 places, the bytes that hints would take more stay free behind the
//!   slots. The slots are near the fingerprints nevertheless, often on the same line of the cache.

use super::layout::*;
use super::leaf::Leaf;
use super::node::Node;
use crate::words::Words;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) const PLACES: usize = 36;
/// Places come in steps of so many.
pub(crate) const PLACES_STEP: usize = 16;
/// Leaves with fewer records get none.
const RECORDS_MIN: usize = 8;
/// See FP3.
const STRANGERS_MAX: usize = 16;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The fingerprint of a key: the lowest byte of its XXH3-64. Of the whole key, so that a search need not wait for the page to tell its
/// prefix. FROZEN.
#[inline(always)]
pub(crate) fn of(key: &[u8]) -> u8 {
    xxh3_64(key) as u8
}

/// Should a leaf of so many records have fingerprints, if so many heads equal the one before?
pub(crate) fn are_worth_it(count: usize, equal_heads: usize) -> bool {
    count >= RECORDS_MIN && equal_heads * 8 >= count
}

/// Places of a leaf that is put together with so many records.
pub(crate) fn places(count: usize) -> usize {
    count.next_multiple_of(PLACES_STEP)
}

/// Bytes that a leaf of so many records takes more with fingerprints than with hints, if it does.
pub(crate) fn bytes_more(count: usize) -> usize {
    (HEADER_BYTES + places(count)).saturating_sub(SLOTS)
}

impl<W: Words> Node<W> {
    /// The slot of a key that lies between the fences, and its number, on a leaf with fingerprints.
    #[inline(always)]
    pub(crate) fn probe(self, key: &[u8]) -> Option<(usize, Slot)> {
        let pattern = ONES * u64::from(of(key));
        let (count, first_slot) = (self.slot_count(), self.slots_at() / SLOT_BYTES);
        let suffix = Suffix::of(key, self.prefix_len());
        let mut strangers = 0;
        for first in (0..count).step_by(8) {
            let differing = self.words().word((FINGERPRINTS + first) / 8) ^ pattern;
            // A byte above an equal one may be marked in error, which comparing the keys sorts out.
            let mut equal = differing.wrapping_sub(ONES) & !differing & HIGHS;
            while equal != 0 {
                let index = first + equal.trailing_zeros() as usize / 8;
                let slot = Slot(self.words().word(first_slot + index));
                if index < count && self.is(slot, suffix) {
                    return Some((index, slot));
                }
                strangers += 1;
                if strangers > STRANGERS_MAX {
                    return self.probe_by_halves(key);
                }
                equal &= equal - 1;
            }
        }
        None
    }

    #[inline(always)]
    fn is(self, slot: Slot, key: Suffix<'_>) -> bool {
        slot.head() == key.head
            && slot.suffix_len() == key.len
            && self.words().equals(slot.offset() + entry_head_bytes(0), key.rest)
    }

    #[cold]
    fn probe_by_halves(self, key: &[u8]) -> Option<(usize, Slot)> {
        let found = self.find(key);
        found.slot.map(|slot| (found.index, slot))
    }

    /// Do the header's sizes allow for fingerprints? Always true of a page without.
    pub(crate) fn has_sane_places(self) -> bool {
        let places = self.words().u16_at(PLACES);
        !self.has_fingerprints() || (places.is_multiple_of(PLACES_STEP) && places >= self.slot_count())
    }
}

impl<'b> Node<&'b [u8]> {
    /// The fingerprints of these slots, on a leaf that has them; nothing if they lie beyond the page.
    pub(crate) fn fingerprints(self, slots: Range<usize>) -> Option<&'b [u8]> {
        self.words().get(FINGERPRINTS + slots.start..FINGERPRINTS + slots.end)
    }

    /// Is the fingerprint of slot `index` that of `key`? Always true of a page without.
    pub(crate) fn has_fingerprint_of(self, index: usize, key: &[u8]) -> bool {
        !self.has_fingerprints() || self.words().get(FINGERPRINTS + index) == Some(&of(key))
    }
}

/// Gives a leaf with room for them fingerprints in the place of hints, which are not written yet. `known` are those of all slots, or
/// nothing is known.
pub(crate) fn write_all(page: &mut [u8], known: &[u8]) {
    let count = Node::new(&*page).slot_count();
    page.copy_within(SLOTS..SLOTS + SLOT_BYTES * count, HEADER_BYTES + places(count));
    page[KIND] = KIND_FINGERPRINTS;
    set_places(page, places(count));
    if known.len() == count {
        page[FINGERPRINTS..FINGERPRINTS + count].copy_from_slice(known);
        return;
    }
    let mut key = Vec::new();
    let shared_len = Leaf::of(Node::new(&*page)).shared_to(&mut key);
    for index in 0..count {
        let leaf = Leaf::of(Node::new(&*page));
        leaf.rest_to(leaf.spot(index), shared_len, &mut key).expect("FP2: an entry that was just built");
        page[FINGERPRINTS + index] = of(&key);
    }
}

/// Gives a slot that is to be inserted its fingerprint. Slots move if there are not enough places: there is room, as
/// [`Node::next_slot_bytes`] says.
pub(crate) fn insert(page: &mut [u8], index: usize, fingerprint: u8) {
    let node = Node::new(&*page);
    let (count, slots_at) = (node.slot_count(), node.slots_at());
    if FINGERPRINTS + count == slots_at {
        page.copy_within(slots_at..slots_at + SLOT_BYTES * count, slots_at + PLACES_STEP);
        set_places(page, count + PLACES_STEP);
    }
    let at = FINGERPRINTS + index;
    page.copy_within(at..FINGERPRINTS + count, at + 1);
    page[at] = fingerprint;
}

/// Removes the fingerprint of a slot.
pub(crate) fn remove(page: &mut [u8], index: usize) {
    let (at, end) = (FINGERPRINTS + index, FINGERPRINTS + Node::new(&*page).slot_count());
    page.copy_within(at + 1..end, at);
}

fn set_places(page: &mut [u8], places: usize) {
    page[PLACES..PLACES + 2].copy_from_slice(&(places as u16).to_le_bytes());
}

#[cfg(all(test, not(loom)))]
mod tests;
