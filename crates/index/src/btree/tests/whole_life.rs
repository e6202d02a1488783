//! A tree from its first record to its last page: growth, fill, limits, estimate, dismantling.

use super::super::test_tree::{Scramble, TestTree, change};
use super::super::{BTree, PageId};
use crate::PointReads;
use std::ops::Bound;

fn padded(n: u64) -> Vec<u8> {
    [&n.to_be_bytes()[..], &[0x5A; 8]].concat()
}

fn fill_of(keys: impl Iterator<Item = Vec<u8>>) -> f64 {
    let tree = TestTree::in_memory(4096);
    keys.for_each(|key| tree.put(&key, &[1; 100]));
    let report = tree.check();
    report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64
}

#[test]
fn ascending_keys_fill_leaves_to_95_percent() {
    let fill = fill_of((0..20_000).map(padded));
    assert!(fill >= 0.95, "{fill}");
    let fill = fill_of((0..20_000u64).map(|n| format!("user{n:012}").into_bytes()));
    assert!(fill >= 0.95, "{fill}");
}

#[test]
fn descending_keys_fill_leaves_to_95_percent() {
    let fill = fill_of((0..20_000).rev().map(padded));
    assert!(fill >= 0.95, "{fill}");
}

#[test]
fn numbers_in_a_row_take_dense_leaves_full_to_95_percent() {
    let number = |n: u64| n.to_be_bytes().to_vec();
    let stemmed = |n: u64| [&b"a/stem/of/some/length"[..], &n.to_be_bytes()].concat();
    let signed = |n: u64| ((n as u32).wrapping_sub(10_000) ^ 1 << 31).to_be_bytes().to_vec();
    for key in [&number as &dyn Fn(u64) -> Vec<u8>, &stemmed, &signed] {
        for backwards in [false, true] {
            let tree = TestTree::in_memory(4096);
            for n in 0..20_000 {
                tree.put(&key(if backwards { 19_999 - n } else { n }), &n.to_le_bytes());
            }
            let report = tree.check();
            let fill = report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64;
            assert!(fill >= 0.95 && report.leaves <= 46, "{fill} of {} leaves", report.leaves);
        }
    }
}

#[test]
fn keys_in_no_order_fill_leaves_by_two_thirds() {
    let mut scramble = Scramble(11);
    let fill = fill_of((0..20_000).map(|_| padded(scramble.below(u64::MAX))));
    assert!((0.62..0.8).contains(&fill), "{fill}");
}

#[test]
fn a_new_tree_is_empty() {
    let tree = TestTree::in_memory(4096);
    assert_eq!(tree.get(b""), None);
    assert_eq!(tree.get(b"key"), None);
    assert_eq!(tree.remove(b"key"), None);
    assert_eq!(tree.tree.len_estimate(&tree.pager).unwrap(), 0);
    let report = tree.check();
    assert_eq!((report.records, report.depth, report.pages), (0, 1, vec![tree.tree.root()]));
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    assert_eq!(cursor.next().unwrap(), None);
}

#[test]
fn the_empty_key_and_the_empty_value_are_a_record() {
    let tree = TestTree::in_memory(4096);
    tree.put(b"", b"");
    assert_eq!(tree.get(b""), Some(Vec::new()));
    assert_eq!(tree.remove(b""), Some(Vec::new()));
    assert_eq!(tree.get(b""), None);
}

#[test]
fn the_longest_keys_and_values_fit_in_every_page_size() {
    for page_bytes in [4096, 8192, 16384, 32768, 65536] {
        let tree = TestTree::in_memory(page_bytes);
        let (key_max, value_max) = BTree::limits(page_bytes);
        let key = |n: u8, at: usize| {
            let mut key = vec![0xAB; key_max];
            key[at] = n;
            key
        };
        for n in 0..40u8 {
            tree.put(&key(n, key_max - 1), &vec![n; value_max]);
            tree.put(&key(n, 0), &vec![n; value_max]);
        }
        assert_eq!(tree.check().records, 80);
        for n in 0..40u8 {
            assert_eq!(tree.get(&key(n, key_max - 1)), Some(vec![n; value_max]));
            assert_eq!(tree.get(&key(n, 0)), Some(vec![n; value_max]));
        }
    }
}

#[test]
fn long_separators_make_a_high_tree() {
    let tree = TestTree::in_memory(4096);
    let key = |n: u64| {
        let mut key = vec![b'k'; 512];
        key[100..102].copy_from_slice(&((n % 40) as u16).to_be_bytes());
        key[500..508].copy_from_slice(&(n * 7919 % 1_000_003).to_be_bytes());
        key
    };
    (0..4000).for_each(|n| tree.put(&key(n), &[n as u8; 90]));
    let report = tree.check();
    assert_eq!(report.records, 4000);
    assert!(report.depth >= 4, "{}", report.depth);
    (0..4000).for_each(|n| assert_eq!(tree.get(&key(n)), Some(vec![n as u8; 90])));
    (0..4000).filter(|n| n % 3 != 0).for_each(|n| assert!(tree.remove(&key(n)).is_some()));
    (4000..6000).for_each(|n| tree.put(&key(n), &[n as u8; 900]));
    assert_eq!(tree.check().records, 1334 + 2000);
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    let (mut count, mut previous) = (0, Vec::new());
    while let Some((key, _)) = cursor.next_back().unwrap() {
        assert!(count == 0 || *key < previous[..]);
        previous = key.to_vec();
        count += 1;
    }
    assert_eq!(count, 1334 + 2000);
}

#[test]
#[should_panic(expected = "a key of 513 bytes; 512 is the most")]
fn a_key_beyond_the_limit_is_refused() {
    let tree = TestTree::in_memory(4096);
    tree.put(&[0; 513], b"");
}

#[test]
#[should_panic(expected = "a value of 1025 bytes; 1024 is the most")]
fn a_value_beyond_the_limit_is_refused() {
    let tree = TestTree::in_memory(4096);
    tree.put(b"key", &[0; 1025]);
}

#[test]
fn the_root_keeps_its_page() {
    let tree = TestTree::in_memory(4096);
    for n in 0..60_000 {
        tree.put(&padded(n), b"value");
    }
    let report = tree.check();
    assert!(report.depth >= 3, "{}", report.depth);
    assert_eq!(report.pages[0], tree.tree.root());
    let again = BTree::at(tree.tree.root(), super::super::test_tree::TABLE);
    assert!(again.contains(&tree.pager, &padded(59_999)).unwrap());
}

#[test]
fn the_estimate_is_near_the_number_of_records() {
    for (records, exact) in [(0u64, true), (20, true), (150, true), (30_000, false)] {
        let tree = TestTree::in_memory(4096);
        let mut scramble = Scramble(5);
        for _ in 0..records {
            tree.put(&padded(scramble.below(u64::MAX)), &[0; 100]);
        }
        let estimate = tree.tree.len_estimate(&tree.pager).unwrap();
        let near = estimate.abs_diff(records) <= if exact { 0 } else { records / 5 };
        assert!(near, "{estimate} for {records}");
    }
}

#[test]
fn emptied_leaves_go_and_their_ids_are_used_again() {
    let tree = TestTree::in_memory(4096);
    (0..5000).for_each(|n| tree.put(&padded(n), &[3; 100]));
    let pages = tree.check().pages.len();
    (0..5000).filter(|n| n % 1000 != 0).for_each(|n| assert!(tree.remove(&padded(n)).is_some()));
    assert_eq!(tree.check().pages.len(), 1);
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    for n in 0..5 {
        assert_eq!(cursor.next().unwrap().unwrap().0, padded(n * 1000));
    }
    assert_eq!(cursor.next().unwrap(), None);
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    for n in (0..5).rev() {
        assert_eq!(cursor.next_back().unwrap().unwrap().0, padded(n * 1000));
    }
    assert_eq!(cursor.next_back().unwrap(), None);
    (0..5000).for_each(|n| tree.put(&padded(n), &[4; 100]));
    let report = tree.check();
    assert_eq!(report.records, 5000);
    assert!(report.pages.len() <= pages + pages / 5, "{} pages, {pages} at first", report.pages.len());
    assert_eq!(tree.pager.stats().pages, report.pages.len() as u64);
}

#[test]
fn a_dismantled_tree_shrinks_to_nothing_and_is_whole_in_between() {
    for records in [0, 10, 3000, 40_000] {
        let tree = TestTree::in_memory(4096);
        let empty = tree.pager.stats().pages - 1;
        (0..records).for_each(|n| tree.put(&padded(n * 7919 % 1_000_003), &[3; 60]));
        let mut pages = tree.check().pages.len();
        loop {
            let done = change(&tree.pager, |m| tree.tree.dismantle(m, &tree.pager));
            if done {
                break;
            }
            let left = tree.check().pages.len();
            assert!(left < pages, "every passage frees something");
            assert_eq!(tree.pager.stats().pages - empty, left as u64, "what is not reachable is free");
            pages = left;
        }
        assert_eq!(tree.pager.stats().pages, empty);
    }
}

#[test]
fn room_that_is_not_used_does_no_harm() {
    let tree = TestTree::in_memory(4096);
    for n in 0..500u64 {
        change(&tree.pager, |m| tree.tree.place(m, &tree.pager, &padded(n), 1024).map(drop));
        assert_eq!(tree.get(&padded(n)), None);
        tree.put(&padded(n), b"small");
    }
    assert_eq!(tree.check().records, 500);
}

#[test]
fn a_place_says_when_its_leaf_changed() {
    let tree = TestTree::in_memory(4096);
    let put = |key: &[u8], lsn| {
        change(&tree.pager, |m| {
            let place = tree.tree.place(m, &tree.pager, key, 1)?;
            let before = place.changed_at();
            place.put(b"v", lsn);
            Ok(before)
        })
    };
    assert_eq!(put(b"a", 70), 0);
    assert_eq!(put(b"b", 60), 70);
    assert_eq!(put(b"c", 80), 70);
    assert_eq!(put(b"c", 81), 80);
}

#[test]
fn pages_of_another_table_are_not_read() {
    let tree = TestTree::in_memory(4096);
    tree.put(b"key", b"value");
    let stranger = BTree::at(tree.tree.root(), 8);
    let error = stranger.contains(&tree.pager, b"key").unwrap_err().to_string();
    assert!(error.contains("owner"), "{error}");
    let nowhere = BTree::at(PageId(77), 7);
    assert!(nowhere.contains(&tree.pager, b"key").is_err());
}
