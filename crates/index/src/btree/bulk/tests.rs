//! What is loaded is there, on full pages; what is not in order is refused with its place; roots change places.

use super::super::test_tree::{
    TABLE, TestTree, change, hard_key, leaves_of_kind, path, path_key, value, value_len,
};
use super::*;
use proptest::collection::btree_map;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

fn detached(tree: &TestTree) -> BTree {
    change(&tree.pager, |m| BTree::create_detached(m, TABLE))
}

fn push(loader: &mut BulkLoader, tree: &TestTree, key: &[u8], value: &[u8]) -> Result<(), BulkError> {
    loader.push(&tree.pager, key, LeafValue::inline(value), &mut |_, _| ())
}

/// Loads records beside the tree and exchanges both. Returns what was the tree.
fn load(tree: &TestTree, records: &BTreeMap<Vec<u8>, Vec<u8>>, fill_percent: usize) -> BTree {
    let beside = detached(tree);
    let mut loader = BulkLoader::new(beside, tree.pager.page_bytes(), fill_percent, 5);
    for (key, value) in records {
        push(&mut loader, tree, key, value).unwrap();
    }
    assert_eq!(loader.finish(&tree.pager, &mut |_, _| ()).unwrap(), records.len() as u64);
    let report = beside.check(&tree.pager, &mut |_| ()).unwrap();
    assert_eq!((report.faults, report.records), (vec![], records.len() as u64));
    change(&tree.pager, |m| {
        tree.tree.swap(m, beside)?.carry_out(6);
        Ok(())
    });
    beside
}

fn dismantle(tree: &TestTree, beside: BTree) {
    while !change(&tree.pager, |m| beside.dismantle(m, &tree.pager)) {}
    assert_eq!(tree.check().pages.len() as u64, tree.pager.stats().pages);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_loaded_is_there(
        records in btree_map(prop_oneof![hard_key(512), path_key()], value_len(1024).prop_map(|len| value(2, len)), 0..300),
        fill_percent in 50usize..=100,
    ) {
        let tree = TestTree::in_memory(4096);
        let beside = load(&tree, &records, fill_percent);
        dismantle(&tree, beside);
        prop_assert_eq!(tree.check().records, records.len() as u64);
        for (key, value) in &records {
            prop_assert_eq!(tree.get(key), Some(value.clone()));
        }
    }
}

#[test]
fn leaves_are_as_full_as_asked() {
    let records: BTreeMap<_, _> =
        (0..30_000u64).map(|n| (format!("user{n:012}").into_bytes(), vec![n as u8; 100])).collect();
    for (fill_percent, least) in [(100, 0.97), (70, 0.67)] {
        let tree = TestTree::in_memory(4096);
        load(&tree, &records, fill_percent);
        let report = tree.check();
        let fill = report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64;
        assert!(fill >= least && fill <= fill_percent as f64 / 100.0, "{fill} of {fill_percent} %");
        assert!(
            report.pages.len() as u64 <= report.leaves + report.leaves / 60 + 2,
            "inner pages are full too"
        );
    }
}

#[test]
fn numbers_are_loaded_into_full_dense_leaves() {
    let stemmed = |n: u64| [&b"a stem of some length/"[..], &n.to_be_bytes()].concat();
    for (fill_percent, least) in [(100, 0.97), (70, 0.67)] {
        for key in [&|n: u64| n.to_be_bytes().to_vec(), &stemmed as &dyn Fn(u64) -> Vec<u8>] {
            let mut records: BTreeMap<_, _> =
                (0..30_000u64).map(|n| (key(n * 16 / 15), n.to_le_bytes().to_vec())).collect();
            records.insert(key(7), b"unlike".to_vec());
            records.insert(key(20_000), b"unlike the others".to_vec());
            let tree = TestTree::in_memory(4096);
            load(&tree, &records, fill_percent);
            let report = tree.check();
            let fill = report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64;
            assert!(
                fill >= least && fill <= fill_percent as f64 / 100.0 + 0.01,
                "{fill} of {fill_percent} %"
            );
            let leaves = 32_000 * 100 / 480 / fill_percent as u64;
            assert!(report.leaves <= leaves + 8, "{} leaves, {leaves} expected", report.leaves);
            for (key, value) in &records {
                assert_eq!(tree.get(key), Some(value.clone()));
            }
        }
    }
}

#[test]
fn paths_are_loaded_into_full_leaves_with_fingerprints() {
    for (value_len, fill_percent, least) in [(8, 100, 0.97), (100, 100, 0.95), (8, 70, 0.67)] {
        let records: BTreeMap<_, _> =
            (0..20_000u32).map(|n| (path(n), vec![n as u8; value_len + n as usize % 2])).collect();
        let tree = TestTree::in_memory(4096);
        load(&tree, &records, fill_percent);
        let report = tree.check();
        let fill = report.leaf_bytes_used as f64 / (report.leaves * 4096) as f64;
        assert!(fill >= least && fill <= fill_percent as f64 / 100.0, "{fill} of {fill_percent} %");
        let marked = leaves_of_kind(&tree, KIND_FINGERPRINTS);
        assert!(marked * 100 >= report.leaves * 97, "{marked} of {}", report.leaves);
        for (key, value) in &records {
            assert_eq!(tree.get(key), Some(value.clone()));
        }
    }
}

#[test]
fn a_record_out_of_order_is_refused_with_its_place() {
    let tree = TestTree::in_memory(4096);
    let mut loader = BulkLoader::new(detached(&tree), 4096, 100, 1);
    for n in 0..1000u64 {
        push(&mut loader, &tree, &n.to_be_bytes(), b"value").unwrap();
    }
    for key in [999u64, 5] {
        let error = push(&mut loader, &tree, &key.to_be_bytes(), b"value").unwrap_err();
        let BulkError::Unsorted { index, previous, key: found } = &error else { panic!("{error}") };
        assert_eq!(
            (*index, &previous[..], &found[..]),
            (1000, &999u64.to_be_bytes()[..], &key.to_be_bytes()[..])
        );
        assert!(error.to_string().starts_with("record 1000 is out of order"), "{error}");
    }
    push(&mut loader, &tree, &1000u64.to_be_bytes(), b"value").unwrap();
    assert_eq!(loader.finish(&tree.pager, &mut |_, _| ()).unwrap(), 1001);
}

#[test]
fn a_load_that_is_given_up_can_be_dismantled_at_any_point() {
    for records in [0u64, 1, 40, 3000, 60_000] {
        let tree = TestTree::in_memory(4096);
        let beside = detached(&tree);
        let mut loader = BulkLoader::new(beside, 4096, 100, 1);
        for n in 0..records {
            push(&mut loader, &tree, &n.to_be_bytes(), &[1; 60]).unwrap();
        }
        drop(loader);
        let report = beside.check(&tree.pager, &mut |_| ()).unwrap();
        assert_eq!(report.faults, []);
        assert_eq!(tree.pager.stats().pages, report.pages.len() as u64 + 1, "BL1");
        dismantle(&tree, beside);
    }
}

#[test]
fn readers_of_the_tree_see_all_of_it_or_nothing() {
    let tree = TestTree::in_memory(4096);
    tree.put(b"only", b"one");
    let records: BTreeMap<_, _> = (0..5000u64).map(|n| (n.to_be_bytes().to_vec(), vec![1; 50])).collect();
    let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
    assert!(cursor.next().unwrap().is_some());
    let old = load(&tree, &records, 100);
    assert_eq!(cursor.next().unwrap(), None);
    assert_eq!(tree.get(b"only"), None);
    assert_eq!(tree.tree.count(&tree.pager, Bound::Unbounded, Bound::Unbounded).unwrap(), 5000);
    assert_eq!(old.len_estimate(&tree.pager).unwrap(), 1, "what was there has changed places with it");
}

/// BL4: each leaf is told of once, in the passage that makes its records part of the tree.
#[test]
fn whoever_loads_hears_of_each_leaf() {
    let tree = TestTree::in_memory(4096);
    let beside = detached(&tree);
    let mut loader = BulkLoader::new(beside, 4096, 100, 1);
    let (mut placed, mut leaves) = (0, 0);
    let mut told = |_: &Mutation<'_>, count: usize| {
        assert!(count > 0);
        (placed, leaves) = (placed + count, leaves + 1);
    };
    for n in 0..3000u64 {
        let (inline, large) = (LeafValue::inline(&[7; 60]), LeafValue::large(b"descriptor"));
        let value = if n % 700 == 600 { large } else { inline };
        loader.push(&tree.pager, &n.to_be_bytes(), value, &mut told).unwrap();
    }
    loader.finish(&tree.pager, &mut told).unwrap();
    let report = beside.check(&tree.pager, &mut |_| ()).unwrap();
    assert_eq!((report.faults, report.records, report.large.len()), (vec![], 3000, 4));
    assert_eq!((placed, leaves), (3000, report.leaves));
    assert!(beside.may_hold_large(&tree.pager).unwrap());
}
