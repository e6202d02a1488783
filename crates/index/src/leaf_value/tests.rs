//! The mark of a descriptor, and lengths.

use super::*;
use crate::btree::BTree;
use crate::hash::HashIndex;

#[test]
fn no_inline_value_reaches_the_mark() {
    for page_bytes in [4096, 16384, 65536] {
        for longest in [BTree::limits(page_bytes).1, HashIndex::limits(page_bytes).1] {
            assert_eq!(longest & LARGE_BIT, 0, "LV1");
            let bytes = vec![7; longest];
            for value in [LeafValue::inline(&bytes), LeafValue::large(&bytes)] {
                let stored = value.stored_len();
                assert_eq!((ValueKind::of_stored(stored), len_of_stored(stored)), (value.kind, longest));
                assert!(stored <= usize::from(u16::MAX));
            }
        }
    }
    assert_eq!(LARGE_BIT, 0x8000, "FROZEN");
}
