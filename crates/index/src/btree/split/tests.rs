//! Leaves in a row, split as the tree would split them: nothing is lost, and every split helps (SP1).

use super::super::edit::NodeMut;
use super::super::test_tree::{
    LONE_PAGE, assert_page_is_whole, hard_key, number_record, path, path_key, put_on, records_on, value,
    value_len,
};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The leaves of a tree, without the tree.
struct Row {
    leaves: Vec<Vec<u8>>,
    splits: usize,
}

impl Row {
    fn new(page_bytes: usize) -> Self {
        let leaf = Builder::new(page_bytes, &Plan::root(1, LONE_PAGE, 0)).unwrap().finish();
        Self { leaves: vec![leaf], splits: 0 }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        let mut before = None;
        loop {
            let at = self.leaves.iter().position(|leaf| Node::new(leaf.as_slice()).covers(key)).unwrap();
            if put_on(&mut self.leaves[at], key, value) {
                return;
            }
            let node = Node::new(self.leaves[at].as_slice());
            let (index, exists) = (node.position(key, false), Leaf::of(node).find(key).exists());
            let incoming = Incoming { key, value_len: value.len(), kind: ValueKind::Inline, index, exists };
            assert!(before.is_none_or(|count| node.count() < count), "SP1: a split did not help");
            before = Some(node.count());
            let halves = split(&self.leaves[at], &incoming).unwrap();
            assert_page_is_whole(&halves.left);
            assert_page_is_whole(&halves.right);
            self.leaves[at] = halves.left;
            self.leaves.insert(at + 1, halves.right);
            self.splits += 1;
        }
    }

    fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.leaves
            .iter()
            .inspect(|leaf| assert_page_is_whole(leaf))
            .flat_map(|leaf| records_on(leaf))
            .collect()
    }
}

/// Records so large that few fit on a page, with fences as long as they can be.
fn large() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let shared = prop_oneof![Just(0usize), Just(500), Just(508)];
    let key = (shared, vec(any::<u8>(), 4), any::<bool>()).prop_map(|(shared, tail, full)| {
        let mut key = vec![b'k'; shared];
        key.extend(tail);
        key.resize(if full { 512 } else { key.len() }, 0xFF);
        key
    });
    (key, prop_oneof![Just(0usize), Just(1024), 900usize..1024])
}

proptest! {
    #[test]
    fn a_row_of_leaves_is_a_map(
        page_bytes in prop_oneof![Just(4096usize), Just(65536)],
        seed in any::<u64>(),
        records in vec((hard_key(512), value_len(1024)), 1..200),
    ) {
        let (mut row, mut model) = (Row::new(page_bytes), BTreeMap::new());
        for (key, len) in records {
            let value = value(seed, len);
            row.put(&key, &value);
            model.insert(key, value);
        }
        prop_assert_eq!(row.records(), model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_row_of_leaves_of_numbers_is_a_map(
        page_bytes in prop_oneof![3 => Just(4096usize), 1 => Just(16384)],
        records in vec(number_record(), 1..1500),
    ) {
        let (mut row, mut model) = (Row::new(page_bytes), BTreeMap::new());
        for (number, (key, len)) in records.into_iter().enumerate() {
            let value = value(number as u64, len);
            row.put(&key, &value);
            model.insert(key, value);
        }
        prop_assert_eq!(row.records(), model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_row_of_leaves_of_paths_is_a_map(
        page_bytes in prop_oneof![3 => Just(4096usize), 1 => Just(16384)],
        records in vec((path_key(), prop_oneof![9 => 0..40usize, 1 => 0..1024usize]), 1..1500),
    ) {
        let (mut row, mut model) = (Row::new(page_bytes), BTreeMap::new());
        for (number, (key, len)) in records.into_iter().enumerate() {
            let value = value(number as u64, len);
            row.put(&key, &value);
            model.insert(key, value);
        }
        prop_assert_eq!(row.records(), model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_largest_records_find_room(records in vec(large(), 1..150)) {
        let (mut row, mut model) = (Row::new(4096), BTreeMap::new());
        for (number, (key, len)) in records.into_iter().enumerate() {
            let value = value(number as u64, len);
            row.put(&key, &value);
            model.insert(key, value);
        }
        prop_assert_eq!(row.records(), model.into_iter().collect::<Vec<_>>());
    }
}

fn fill_of(row: &Row) -> f64 {
    let used: usize =
        row.leaves.iter().map(|leaf| leaf.len() - Node::new(leaf.as_slice()).free_bytes()).sum();
    used as f64 / (row.leaves.len() * row.leaves[0].len()) as f64
}

fn check_fill(keys: impl Iterator<Item = Vec<u8>>, least: f64) {
    let mut row = Row::new(4096);
    keys.for_each(|key| row.put(&key, &[1; 100]));
    let fill = fill_of(&row);
    assert!(fill >= least, "fill {fill:.3} with {} leaves", row.leaves.len());
}

fn padded(n: u64) -> Vec<u8> {
    [&n.to_be_bytes()[..], &[0x5A; 8]].concat()
}

#[test]
fn ascending_keys_leave_full_pages() {
    check_fill((0..5000).map(padded), 0.95);
    check_fill((0..5000u64).map(|n| format!("{n:016}").into_bytes()), 0.95);
    check_fill((0..5000u64).map(|n| n.to_be_bytes().to_vec()), 0.95);
}

#[test]
fn descending_keys_leave_full_pages() {
    check_fill((0..5000).rev().map(padded), 0.95);
    check_fill((0..5000u64).rev().map(|n| format!("{n:016}").into_bytes()), 0.95);
}

fn dense_share(row: &Row) -> f64 {
    let dense = row.leaves.iter().filter(|leaf| Node::new(leaf.as_slice()).is_dense()).count();
    dense as f64 / row.leaves.len() as f64
}

#[test]
fn numbers_in_a_row_leave_full_dense_pages() {
    let key = |n: u64| n.to_be_bytes().to_vec();
    let orders: [Vec<u64>; 4] = [
        (0..20_000).collect(),
        (0..20_000).rev().collect(),
        (0..20_000).filter(|n| n % 16 != 15).collect(),
        (0..20_000).map(|n| n * 7919 % 20_011).collect(),
    ];
    for (order, least) in orders.iter().zip([0.95, 0.95, 0.95, 0.6]) {
        let mut row = Row::new(4096);
        order.iter().for_each(|&n| row.put(&key(n), &[1; 8]));
        let (fill, dense) = (fill_of(&row), dense_share(&row));
        assert!(fill >= least && dense >= 0.95, "fill {fill:.3}, dense {dense:.3}, of {}", row.leaves.len());
        assert!(row.leaves.len() < 20_000 / 485 + 30, "{} leaves", row.leaves.len());
    }
}

#[test]
fn paths_in_any_order_leave_pages_with_fingerprints() {
    let mut sorted: Vec<Vec<u8>> = (0..8000).map(path).collect();
    let scattered: Vec<Vec<u8>> = (0..8000).map(|n| sorted[n * 3571 % 8000].clone()).collect();
    sorted.sort();
    for (keys, value_len, least) in [(&sorted, 8, 0.88), (&sorted, 100, 0.88), (&scattered, 8, 0.62)] {
        let mut row = Row::new(4096);
        keys.iter().for_each(|key| row.put(key, &vec![1; value_len]));
        let (fill, leaves) = (fill_of(&row), row.leaves.len());
        let marked = row.leaves.iter().filter(|leaf| Node::new(leaf.as_slice()).has_fingerprints()).count();
        assert!(fill >= least && marked * 100 >= leaves * 90, "fill {fill:.3}, {marked} of {leaves} leaves");
    }
}

#[test]
fn several_ascending_runs_leave_full_pages() {
    let runs =
        (0..4000u64).map(|n| format!("stream-{}/{:012}", n / 10 % 4, n / 40 * 10 + n % 10).into_bytes());
    check_fill(runs, 0.85);
}

#[test]
fn keys_in_no_order_leave_pages_two_thirds_full() {
    let mut scramble = super::super::test_tree::Scramble(3);
    check_fill((0..5000).map(|_| padded(scramble.below(u64::MAX))), 0.62);
}

#[test]
fn a_leaf_is_cut_at_the_shortest_separator_near_the_middle() {
    let mut row = Row::new(4096);
    // Two groups of long keys that differ in their first byte.
    for n in 0..40u32 {
        let group = if n < 19 { b'a' } else { b'b' };
        let key = [&[group][..], &[b'x'; 30], &n.to_be_bytes()].concat();
        row.put(&key, &[0; 60]);
        // No run: the page must not be cut where the last insertion went.
        NodeMut::new(&mut row.leaves[0]).forget_run();
    }
    assert_eq!(row.splits, 1);
    assert_eq!(Node::new(row.leaves[1].as_slice()).lower(), Some(&b"b"[..]));
}

#[test]
fn an_inner_page_is_cut_between_separators() {
    let plan = Plan { leftmost: PageId(100), ..Plan::root(1, LONE_PAGE, 1) };
    let mut builder = Builder::new(4096, &plan).unwrap();
    for n in 1..=50u32 {
        builder.push_child(&n.to_be_bytes(), PageId(100 + n)).unwrap();
    }
    let page = builder.finish();
    let incoming = Incoming { key: b"", value_len: 0, kind: ValueKind::Inline, index: 0, exists: false };
    let halves = split(&page, &incoming).unwrap();
    assert_page_is_whole(&halves.left);
    assert_page_is_whole(&halves.right);
    let (left, right) = (Node::new(halves.left.as_slice()), Node::new(halves.right.as_slice()));
    assert_eq!(left.count() + right.count() + 1, 50);
    let children = |node: Node<&[u8]>| (0..=node.count()).map(|at| node.child(at).0).collect::<Vec<_>>();
    assert_eq!([children(left), children(right)].concat(), (100..=150).collect::<Vec<_>>());
    assert_eq!(halves.separator, (left.count() as u32 + 1).to_be_bytes());
    assert_eq!((left.leftmost(), right.leftmost()), (PageId(100), PageId(100 + left.count() as u32 + 1)));
}

#[test]
fn a_dense_leaf_whose_count_is_wrong_is_not_split() {
    let mut row = Row::new(4096);
    (0..400u64).for_each(|n| row.put(&n.to_be_bytes(), &[1; 8]));
    let mut page = row.leaves.swap_remove(0);
    assert!(Node::new(page.as_slice()).is_dense());
    page[4] -= 1;
    let key = 1_000_000u64.to_be_bytes();
    let index = Node::new(page.as_slice()).position(&key, false);
    let incoming = Incoming { key: &key, value_len: 900, kind: ValueKind::Inline, index, exists: false };
    assert!(split(&page, &incoming).is_err() && halve(&page).is_err());
}
