//! The leaf that is built in, in this example's tree: common prefix, heads and hints. The page's code is the crate's.

use crate::LeafValue;
use crate::btree::build::{Builder, Plan};
use crate::btree::edit::NodeMut;
use crate::btree::layout::{HEAD_BYTES, SLOT_BYTES, Suffix};
use crate::btree::node::Node;
use crate::leaf::{Leaf, PAGE_BYTES, Slice};
use crate::words::Words;

#[derive(Debug)]
pub(crate) struct Hinted;

impl Leaf for Hinted {
    fn build(plan: &Plan<'_>, records: Slice<'_>) -> Option<Vec<u8>> {
        let mut builder = Builder::new(PAGE_BYTES, plan).ok()?;
        for (key, value) in records.iter() {
            builder.push_record(key, LeafValue::inline(value)).ok()?;
        }
        Some(builder.finish())
    }

    #[inline(always)]
    fn get<W: Words>(node: Node<W>, key: &[u8]) -> Option<(usize, usize)> {
        node.value_range(node.find(key).slot?)
    }

    #[inline(always)]
    fn position<W: Words>(node: Node<W>, key: &[u8]) -> Option<usize> {
        let found = node.find(key);
        found.slot.is_none().then_some(found.index)
    }

    fn insert(page: &mut [u8], position: usize, key: &[u8], value: &[u8]) -> bool {
        let node = Node::new(&*page);
        let suffix = Suffix::of(key, node.prefix_len());
        if SLOT_BYTES + 2 + suffix.rest.len() + value.len() > node.gap_bytes() {
            return false;
        }
        let mut node = NodeMut::new(page);
        node.stash(suffix.rest);
        node.insert_stashed(position, suffix.head, suffix.len, LeafValue::inline(value));
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
