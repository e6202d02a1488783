//! Counts are exact, whatever the range; estimates are near, and exact where few pages are all of them.

use super::super::test_tree::{Scramble, TestTree, hard_key, value};
use proptest::collection::btree_set;
use proptest::prelude::*;
use std::ops::Bound;

fn key(n: u64) -> Vec<u8> {
    [&n.to_be_bytes()[..], &[0x5A; 8]].concat()
}

fn bound(kind: u8, key: &[u8]) -> Bound<&[u8]> {
    match kind {
        0 => Bound::Unbounded,
        1 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_count_is_what_a_cursor_finds(
        keys in btree_set(hard_key(512), 0..200),
        ends in (hard_key(512), hard_key(512)),
        kinds in (0u8..3, 0u8..3),
        len in 0usize..600,
    ) {
        let tree = TestTree::in_memory(4096);
        keys.iter().for_each(|key| tree.put(key, &value(1, len)));
        // Ends are keys that are there as often as not.
        let (low, high) = (keys.range(ends.0.clone()..).next().unwrap_or(&ends.0), &ends.1);
        let (from, to) = (bound(kinds.0, low), bound(kinds.1, high));
        let mut cursor = tree.tree.cursor(&tree.pager, from, to);
        let mut expected = 0;
        while cursor.next().unwrap().is_some() {
            expected += 1;
        }
        prop_assert_eq!(tree.tree.count(&tree.pager, from, to).unwrap(), expected);
        let estimate = tree.tree.estimate(&tree.pager, from, to).unwrap();
        if tree.check().leaves <= 8 {
            prop_assert_eq!(estimate, expected);
        }
    }
}

#[test]
fn estimates_of_ranges_are_within_a_quarter() {
    let tree = TestTree::in_memory(4096);
    let mut scramble = Scramble(5);
    let mut keys: Vec<Vec<u8>> = (0..60_000).map(|_| key(scramble.below(u64::MAX))).collect();
    keys.iter().for_each(|key| tree.put(key, &[0; 60]));
    keys.sort();
    assert!(tree.check().depth >= 3);
    for records in [10, 100, 1000, 10_000, 50_000] {
        let (mut worst, mut sum) = (0.0f64, 0.0);
        for round in 0..20u64 {
            let start = scramble.below((keys.len() - records) as u64) as usize;
            let (from, to) = (Bound::Included(&keys[start][..]), Bound::Excluded(&keys[start + records][..]));
            assert_eq!(tree.tree.count(&tree.pager, from, to).unwrap(), records as u64, "round {round}");
            let estimate = tree.tree.estimate(&tree.pager, from, to).unwrap();
            let off = (estimate as f64 - records as f64).abs() / records as f64;
            (worst, sum) = (worst.max(off), sum + off);
        }
        let worst_allowed = if records <= 100 { 0.0 } else { 0.25 };
        assert!(worst <= worst_allowed, "{records}: {worst} at worst, {} on average", sum / 20.0);
    }
    assert_eq!(tree.tree.estimate(&tree.pager, Bound::Excluded(b"b"), Bound::Included(b"a")).unwrap(), 0);
    assert_eq!(tree.tree.count(&tree.pager, Bound::Excluded(b"b"), Bound::Included(b"a")).unwrap(), 0);
}
