//! Dense leaves as they were before there were any in the crate: values alone, each at the place that its key says.
//!
//! ```text
//! offset  size  what
//!      0    48  header as the crate's pages have it; flag 0x80; at 8: places, at 10: value length, at 36: key length, at 40: the
//!               last eight bytes of the first place's key, as a number
//!     48   w/8  which places are taken, a multiple of eight bytes
//!      …   v·w  values
//!      …        fences
//! ```
//!
//! For keys of one length whose last eight bytes alone differ, and values of one length. A leaf becomes dense when it is put together
//! anew, if the span of its keys fits and takes no more room than slots would; else it is the leaf of [`Hinted`].

use crate::btree::build::{Builder, Plan};
use crate::btree::layout::*;
use crate::btree::node::Node;
use crate::hinted::Hinted;
use crate::leaf::{Leaf, PAGE_BYTES, Slice, set_u16};
use crate::words::{Words, big_endian_padded};

#[derive(Debug)]
pub(crate) struct Dense;

const FLAG_DENSE: u8 = 0x80;
const PLACES: usize = 8;
const VALUE_LEN: usize = 10;
const KEY_LEN: usize = 36;
const BASE: usize = 40;
const TAIL_BYTES: usize = 8;

/// Where things are on a dense leaf.
#[derive(Debug, Clone, Copy)]
struct Shape {
    places: usize,
    value_len: usize,
    key_len: usize,
    base: u64,
}

impl Shape {
    #[inline(always)]
    fn of<W: Words>(words: W) -> Self {
        let word = words.word(PLACES / 8) as usize;
        let (places, value_len) = (word & 0xFFFF, word >> 16 & 0xFFFF);
        Self { places, value_len, key_len: words.u16_at(KEY_LEN), base: words.word(BASE / 8) }
    }

    /// The place of a key, taken or not.
    #[inline(always)]
    fn place(self, key: &[u8]) -> Option<usize> {
        if key.len() != self.key_len {
            return None;
        }
        let tail = u64::from_be_bytes(*key.last_chunk::<TAIL_BYTES>()?);
        let place = tail.wrapping_sub(self.base);
        (place < self.places as u64).then_some(place as usize)
    }

    #[inline(always)]
    fn value(self, place: usize) -> usize {
        HEADER_BYTES + self.places.div_ceil(64) * 8 + place * self.value_len
    }
}

#[inline(always)]
fn is_dense<W: Words>(node: Node<W>) -> bool {
    node.summary().flags() & FLAG_DENSE != 0
}

#[inline(always)]
fn is_taken<W: Words>(words: W, place: usize) -> bool {
    words.word(HEADER_BYTES / 8 + place / 64) >> (place % 64) & 1 != 0
}

/// How a dense leaf with these records would look.
fn shape(plan: &Plan<'_>, records: &Slice<'_>) -> Option<Shape> {
    let (key_len, value_len) = records.fixed_lengths()?;
    let prefix_len = plan.prefix_len();
    let stem_len = key_len.checked_sub(TAIL_BYTES).filter(|&stem_len| stem_len <= prefix_len)?;
    let tail = |key: &[u8]| big_endian_padded(key.get(stem_len..).unwrap_or_default());
    let (first, last) = (tail(records.get(0).0), tail(records.get(records.len() - 1).0));
    let fences = plan.lower.len() + plan.upper.map_or(0, <[u8]>::len);
    let room = PAGE_BYTES.checked_sub(HEADER_BYTES + fences)?;
    let places_max = (room.saturating_sub(8) * 8 / (8 * value_len + 1)) as u64;
    let span = last - first;
    let slotted_len = SLOT_BYTES + 2 + (key_len - prefix_len).saturating_sub(HEAD_BYTES) + value_len;
    if span >= places_max || span * value_len as u64 > (records.len() * slotted_len) as u64 {
        return None;
    }
    // All that the fences allow, if it fits; else in the middle, but not below the lower fence.
    let lower = tail(plan.lower).min(first);
    let upper = plan.upper.map_or(u64::MAX, tail).max(last + 1);
    let places = places_max.min(upper - lower);
    let base = first.saturating_sub((places - 1 - span) / 2).clamp(lower, upper - places);
    Some(Shape { places: places as usize, value_len, key_len, base })
}

impl Leaf for Dense {
    fn build(plan: &Plan<'_>, records: Slice<'_>) -> Option<Vec<u8>> {
        let Some(shape) = shape(plan, &records) else { return Hinted::build(plan, records) };
        let mut page = Builder::new(PAGE_BYTES, plan).ok()?.finish();
        page[FLAGS] |= FLAG_DENSE;
        set_u16(&mut page, PLACES, shape.places);
        set_u16(&mut page, VALUE_LEN, shape.value_len);
        set_u16(&mut page, KEY_LEN, shape.key_len);
        page[BASE..BASE + 8].copy_from_slice(&shape.base.to_le_bytes());
        for (key, value) in records.iter() {
            let place = shape.place(key)?;
            assert!(Self::insert(&mut page, place, key, value), "a place was found");
        }
        Some(page)
    }

    #[inline(always)]
    fn get<W: Words>(node: Node<W>, key: &[u8]) -> Option<(usize, usize)> {
        if !is_dense(node) {
            return Hinted::get(node, key);
        }
        let shape = Shape::of(node.words());
        let place = shape.place(key)?;
        is_taken(node.words(), place).then(|| (shape.value(place), shape.value_len))
    }

    #[inline(always)]
    fn position<W: Words>(node: Node<W>, key: &[u8]) -> Option<usize> {
        if !is_dense(node) {
            return Hinted::position(node, key);
        }
        match Shape::of(node.words()).place(key) {
            Some(place) => (!is_taken(node.words(), place)).then_some(place),
            None => Some(usize::MAX),
        }
    }

    fn insert(page: &mut [u8], position: usize, key: &[u8], value: &[u8]) -> bool {
        if !is_dense(Node::new(&*page)) {
            return Hinted::insert(page, position, key, value);
        }
        let shape = Shape::of(&*page);
        if position >= shape.places || value.len() != shape.value_len {
            return false;
        }
        page[HEADER_BYTES + position / 8] |= 1 << (position % 8);
        let at = shape.value(position);
        page[at..at + value.len()].copy_from_slice(value);
        let count = (&*page).u16_at(COUNT) + 1;
        set_u16(page, COUNT, count);
        true
    }

    fn for_each(page: &[u8], key: &mut Vec<u8>, mut visit: impl FnMut(&[u8], &[u8])) {
        let node = Node::new(page);
        if !is_dense(node) {
            return Hinted::for_each(page, key, visit);
        }
        let shape = Shape::of(page);
        let stem_len = shape.key_len.saturating_sub(TAIL_BYTES);
        node.prefix_to(key);
        for first in (0..shape.places).step_by(64) {
            let mut taken = page.word((HEADER_BYTES + first / 8) / 8);
            while taken != 0 {
                let place = first + taken.trailing_zeros() as usize;
                key.truncate(stem_len);
                key.extend_from_slice(&(shape.base + place as u64).to_be_bytes());
                let at = shape.value(place);
                visit(key, &page[at..at + shape.value_len]);
                taken &= taken - 1;
            }
        }
    }
}
