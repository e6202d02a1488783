//! Checking one page.

use super::dense::BITMAP;
use super::layout::*;
use super::leaf::{Leaf, Spot};
use super::node::Node;
use crate::findings::Findings;
use crate::words::Words as _;
use aquifer_buffer::PageId;

/// What a page must be, by its parent's word.
#[derive(Debug)]
pub(crate) struct Expected<'k> {
    pub(crate) id: PageId,
    /// Nothing: any lower fence will do.
    pub(crate) lower: Option<&'k [u8]>,
    /// Nothing: any upper fence will do.
    pub(crate) upper: Option<Option<&'k [u8]>>,
}

/// Checks a page whose header is sane.
pub(crate) fn check_page(node: Node<&[u8]>, expected: &Expected<'_>) -> Findings {
    let mut found = Findings::default();
    found.require(node.own_id() == expected.id, "its own id is another page's");
    check_fences(node, expected, &mut found);
    if node.is_dense() {
        check_places(node, &mut found);
    } else {
        check_slots(node, &mut found);
        check_hints(node, &mut found);
    }
    found
}

fn check_fences(node: Node<&[u8]>, expected: &Expected<'_>, found: &mut Findings) {
    let (Some(lower), Some(upper)) = (node.lower(), node.upper()) else {
        return found.fault("its fences lie beyond the page".into());
    };
    found.require(
        expected.lower.is_none_or(|expected| lower == expected),
        "its lower fence is not its parent's separator",
    );
    if let Some(expected) = expected.upper {
        found.require(upper == expected, "its upper fence is not its parent's separator");
    }
    found.require(upper.is_none_or(|upper| lower < upper), "its fences are in the wrong order");
    let prefix_len = upper.map_or(0, |upper| common_prefix_len(lower, upper));
    found.require(node.prefix_len() == prefix_len, "its prefix is not what its fences have in common (BT1)");
}

/// Keys of places are in order whatever the page says, so the first and the last tell of all.
fn check_places(node: Node<&[u8]>, found: &mut Findings) {
    let leaf = Leaf::of(node);
    let Leaf::Dense(_, dense) = leaf else { return };
    let shape = dense.shape();
    let bits: usize = (0..shape.places.div_ceil(64))
        .map(|word| node.words().word(BITMAP / 8 + word).count_ones() as usize)
        .sum();
    found.require(bits == dense.rank(shape.places), "a place is taken that it does not have (DN2)");
    found.require(bits == node.count(), "its count is not that of the places taken (DN2)");
    let mut key = Vec::new();
    for place in [dense.next(0), dense.previous(shape.places)].into_iter().flatten() {
        leaf.key_to(Spot::Place(place), &mut key);
        if !node.covers(&key) {
            found.fault(format!("the key of place {place} is not between the fences (BT1)"));
        }
    }
    found.record_bytes += (bits * (shape.form.key_len + shape.form.value_len)) as u64;
}

fn check_slots(node: Node<&[u8]>, found: &mut Findings) {
    let heap_end = node.page_bytes() - node.fence_bytes();
    let (mut key, mut previous) = (Vec::new(), Vec::new());
    let mut entries = Vec::with_capacity(node.count());
    for index in 0..node.count() {
        let slot = node.slot(index);
        let Some(len) = node.entry_len(slot) else {
            found.fault(format!("entry {index} lies beyond the page"));
            continue;
        };
        if len > 0 {
            entries.push((slot.offset(), slot.offset() + len));
        }
        node.key_to(slot, &mut key);
        if slot.suffix_len() < HEAD_BYTES && slot.head() << (8 * slot.suffix_len()) != 0 {
            found.fault(format!("the head of slot {index} is not padded with zeros"));
        }
        if index > 0 && previous >= key {
            found.fault(format!("slot {index} is not above the one before (BT2)"));
        }
        if !node.covers(&key) {
            found.fault(format!("the key of slot {index} is not between the fences (BT1)"));
        }
        if !node.has_fingerprint_of(index, &key) {
            found.fault(format!("the fingerprint of slot {index} is not its key's (FP1)"));
        }
        let value_len = if node.level() == 0 { node.value_range(slot).map_or(0, |(_, len)| len) } else { 0 };
        found.record_bytes += if node.level() == 0 { (key.len() + value_len) as u64 } else { 0 };
        std::mem::swap(&mut key, &mut previous);
    }
    let live_bytes: usize = entries.iter().map(|(start, end)| end - start).sum();
    found.require(live_bytes + node.fence_bytes() == node.live_bytes(), "its live bytes are miscounted");
    entries.sort_unstable();
    let in_heap = entries.first().is_none_or(|&(start, _)| start >= node.heap_start())
        && entries.last().is_none_or(|&(_, end)| end <= heap_end);
    found.require(in_heap, "an entry lies outside the heap");
    found.require(entries.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two entries overlap");
}

fn check_hints(node: Node<&[u8]>, found: &mut Findings) {
    if node.count() <= UNHINTED_MAX || node.has_fingerprints() {
        return;
    }
    let distance = node.count() / (HINT_COUNT + 1);
    let right = (0..HINT_COUNT).all(|hint| node.hint(hint) == node.slot((hint + 1) * distance).head());
    found.require(right, "a hint is not the head that it stands for (BT3)");
}
