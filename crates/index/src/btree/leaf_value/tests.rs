//! The flag of large values: it stays with its record, and nothing else gets it.

use super::super::test_tree::{TestTree, change};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

fn put(tree: &TestTree, key: &[u8], value: LeafValue<'_>) {
    change(&tree.pager, |m| {
        if value.is_large() {
            tree.tree.note_large(m)?;
        }
        tree.tree.place(m, &tree.pager, key, value.bytes.len()).map(|place| place.put_value(value, 1))
    });
}

#[test]
fn the_longest_values_have_no_flag() {
    for page_bytes in [4096, 16384, 65536] {
        let longest = vec![7; BTree::limits(page_bytes).1];
        assert_eq!(longest.len() & LARGE_BIT, 0, "LV1");
        let tree = TestTree::in_memory(page_bytes);
        put(&tree, b"inline", LeafValue::inline(&longest));
        assert!(!tree.tree.may_hold_large(&tree.pager).unwrap());
        put(&tree, b"large", LeafValue::large(&longest));
        assert!(tree.tree.may_hold_large(&tree.pager).unwrap());
        let mut out = Vec::new();
        let kind = |key: &[u8], out: &mut Vec<u8>| tree.tree.get_value_into(&tree.pager, key, out).unwrap();
        assert_eq!(kind(b"inline", &mut out), Some(ValueKind::Inline));
        assert_eq!(kind(b"large", &mut out), Some(ValueKind::Large));
        assert_eq!(out, longest);
        assert_eq!(tree.check().large.len(), 1);
    }
}

#[test]
fn a_large_value_without_the_roots_note_is_a_fault() {
    let tree = TestTree::in_memory(4096);
    change(&tree.pager, |m| {
        tree.tree.place(m, &tree.pager, b"k", 3).map(|place| place.put_value(LeafValue::large(b"abc"), 1))
    });
    let report = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
    assert!(report.faults.iter().any(|(_, what)| what.contains("LV2")), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn splits_and_overwrites_keep_the_flag_with_its_record(
        steps in prop::collection::vec((0u16..400, 0usize..900, 0u8..4), 1..500),
    ) {
        let tree = TestTree::in_memory(4096);
        let mut model: BTreeMap<Vec<u8>, (ValueKind, Vec<u8>)> = BTreeMap::new();
        for (key, len, what) in steps {
            let (key, bytes) = (key.to_be_bytes().to_vec(), vec![what; len]);
            if what == 0 {
                tree.remove(&key);
                model.remove(&key);
                continue;
            }
            let kind = if what == 1 { ValueKind::Large } else { ValueKind::Inline };
            put(&tree, &key, LeafValue { kind, bytes: &bytes });
            model.insert(key, (kind, bytes));
        }
        let large = model.values().filter(|(kind, _)| *kind == ValueKind::Large).count();
        prop_assert_eq!(tree.check().large.len(), large);
        let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
        let mut back = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
        let mut seen = BTreeMap::new();
        while let Some((key, value)) = cursor.next_value().unwrap() {
            seen.insert(key.to_vec(), (value.kind, value.bytes.to_vec()));
        }
        prop_assert_eq!(&seen, &model);
        while let Some((key, value)) = back.next_value_back().unwrap() {
            prop_assert_eq!(seen.remove(key), Some((value.kind, value.bytes.to_vec())));
        }
        prop_assert!(seen.is_empty());
    }
}
