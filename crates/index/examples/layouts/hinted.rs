//! Leaves that are built in, in this example's tree: common prefix, heads, and hints or fingerprints, whatever the keys. The page's code is
//! the crate's.

use crate::LeafValue;
use crate::btree::build::{Builder, Plan};
use crate::btree::edit::NodeMut;
use crate::btree::fingerprint;
use crate::btree::layout::{HEAD_BYTES, Suffix};
use crate::btree::node::Node;
use crate::leaf::{Leaf, PAGE_BYTES, Slice};
use crate::words::Words;

#[derive(Debug)]
pub(crate) struct Built<const WITH_FINGERPRINTS: bool>;

/// With hints, whatever the heads.
pub(crate) type Hinted = Built<false>;

impl<const WITH_FINGERPRINTS: bool> Leaf for Built<WITH_FINGERPRINTS> {
    fn build(plan: &Plan<'_>, records: Slice<'_>) -> Option<Vec<u8>> {
        let mut builder = Builder::new(PAGE_BYTES, plan).ok()?;
        for (key, value) in records.iter() {
            builder.push_record(key, LeafValue::inline(value)).ok()?;
        }
        let page = builder.finish_with(WITH_FINGERPRINTS);
        (Node::new(page.as_slice()).has_fingerprints() == WITH_FINGERPRINTS).then_some(page)
    }

    #[inline(always)]
    fn get<W: Words>(node: Node<W>, key: &[u8]) -> Option<(usize, usize)> {
        let slot = if node.has_fingerprints() { node.probe(key)?.1 } else { node.find(key).slot? };
        node.value_range(slot)
    }

    #[inline(always)]
    fn position<W: Words>(node: Node<W>, key: &[u8]) -> Option<usize> {
        let found = node.find(key);
        found.slot.is_none().then_some(found.index)
    }

    fn insert(page: &mut [u8], position: usize, key: &[u8], value: &[u8]) -> bool {
        let node = Node::new(&*page);
        let suffix = Suffix::of(key, node.prefix_len());
        if node.next_slot_bytes() + 2 + suffix.rest.len() + value.len() > node.gap_bytes() {
            return false;
        }
        let mut node = NodeMut::new(page);
        node.stash(suffix.rest);
        let fingerprint = fingerprint::of(key);
        node.insert_stashed(position, suffix.head, suffix.len, fingerprint, LeafValue::inline(value));
        true
    }

    fn for_each(page: &[u8], key: &mut Vec<u8>, mut visit: impl FnMut(&[u8], &[u8])) {
        let node = Node::new(page);
        node.prefix_to(key);
        let prefix_len = key.len();
        for index in 0..node.count() {
            let slot = node.slot(index);
            key.truncate(prefix_len);
            let head = slot.head().to_be_bytes();
            key.extend_from_slice(&head[..slot.suffix_len().min(HEAD_BYTES)]);
            key.extend_from_slice(node.rest(slot).unwrap_or_default());
            let (start, len) = node.value_range(slot).unwrap_or_default();
            visit(key, &page[start..start + len]);
        }
    }
}
