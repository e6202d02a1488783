//! A tree under random changes equals a map, whatever the keys and the page size.

use super::super::BulkLoader;
use super::super::test_tree::{
    TABLE, TestTree, change, hard_key, number_record, path, path_key, value, value_len,
};
use crate::PointReads;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>, usize),
    Remove(Vec<u8>),
    /// Of the record at or behind the key: so many bytes at an offset, both cut to the value.
    Patch(Vec<u8>, usize, usize),
    /// Asks for room and does not use it.
    Abandon(Vec<u8>, usize),
    /// Values of eight bytes for so many numbers from one on, upwards or downwards.
    Fill(KeyOf, u64, u64, bool),
    /// Removes so many numbers from one on, every one or every other.
    Thin(KeyOf, u64, u64, bool),
    /// Deletes a range.
    Cut(Vec<u8>, Vec<u8>),
    /// Puts all records in a tree that is loaded in bulk, so full in percent.
    Load(usize),
}

/// The key of a number.
type KeyOf = fn(u64) -> Vec<u8>;

fn numbered_path(n: u64) -> Vec<u8> {
    path(n as u32)
}

fn number(n: u64) -> Vec<u8> {
    (0xFFF0_FF00 + n).to_be_bytes().to_vec()
}

/// Changes of a tree whose leaves are mostly dense.
fn changes_of_numbers() -> impl Strategy<Value = Vec<Change>> {
    let key = || number_record().prop_map(|(key, _)| key);
    let change = prop_oneof![
        6 => number_record().prop_map(|(key, len)| Change::Put(key, len)),
        3 => key().prop_map(Change::Remove),
        2 => (key(), 0..10usize, 0..10usize).prop_map(|(key, offset, len)| Change::Patch(key, offset, len)),
        1 => number_record().prop_map(|(key, len)| Change::Abandon(key, len)),
        4 => (0..4000u64, 1..700u64, any::<bool>()).prop_map(|(from, len, up)| Change::Fill(number, from, len, up)),
        3 => (0..4000u64, 1..700u64, any::<bool>()).prop_map(|(from, len, all)| Change::Thin(number, from, len, all)),
        1 => (key(), key()).prop_map(|(from, to)| Change::Cut(from, to)),
        1 => (0..4000u64, 0..1000u64).prop_map(|(from, len)| Change::Cut(number(from), number(from + len))),
        1 => (50..=100usize).prop_map(Change::Load),
    ];
    vec(change, 1..60)
}

/// Changes of a tree most of whose leaves have fingerprints; some become dense.
fn changes_of_paths(page_bytes: usize) -> impl Strategy<Value = Vec<Change>> {
    let len = || prop_oneof![12 => 0usize..60, 1 => value_len(page_bytes / 4)];
    let bounds = || (0..3000u64, 1..700u64, any::<bool>());
    let key_of = || prop_oneof![4 => Just(numbered_path as KeyOf), 1 => Just(number as KeyOf)];
    let change = prop_oneof![
        6 => (path_key(), len()).prop_map(|(key, len)| Change::Put(key, len)),
        3 => path_key().prop_map(Change::Remove),
        2 => (path_key(), 0..50usize, 0..50usize).prop_map(|(key, offset, len)| Change::Patch(key, offset, len)),
        1 => (path_key(), len()).prop_map(|(key, len)| Change::Abandon(key, len)),
        4 => (key_of(), bounds()).prop_map(|(key, (from, len, up))| Change::Fill(key, from, len, up)),
        3 => (key_of(), bounds()).prop_map(|(key, (from, len, all))| Change::Thin(key, from, len, all)),
        1 => (path_key(), path_key()).prop_map(|(one, other)| Change::Cut(one.clone().min(other.clone()), one.max(other))),
        1 => (50..=100usize).prop_map(Change::Load),
    ];
    vec(change, 1..60)
}

fn changes(page_bytes: usize) -> impl Strategy<Value = Vec<Change>> {
    let key = || hard_key(page_bytes / 8);
    let change = prop_oneof![
        6 => (key(), value_len(page_bytes / 4)).prop_map(|(key, len)| Change::Put(key, len)),
        2 => key().prop_map(Change::Remove),
        2 => (key(), 0..2000usize, 0..50usize).prop_map(|(key, offset, len)| Change::Patch(key, offset, len)),
        1 => (key(), value_len(page_bytes / 4)).prop_map(|(key, len)| Change::Abandon(key, len)),
    ];
    vec(change, 1..400)
}

fn apply(tree: &TestTree, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, number: u64, it: Change) {
    match it {
        Change::Put(key, len) => {
            let value = value(number, len);
            change(&tree.pager, |m| {
                let place = tree.tree.place(m, &tree.pager, &key, len)?;
                assert_eq!(place.old().map(|value| value.bytes), model.get(&key).map(Vec::as_slice));
                place.put(&value, number);
                Ok(())
            });
            model.insert(key, value);
        }
        Change::Remove(key) => assert_eq!(tree.remove(&key), model.remove(&key)),
        Change::Patch(key, offset, len) => {
            let Some((key, value)) = model.range_mut(key..).next() else { return };
            let offset = offset.min(value.len());
            let patch = vec![number as u8; len.min(value.len() - offset)];
            value[offset..offset + patch.len()].copy_from_slice(&patch);
            change(&tree.pager, |m| {
                let place = tree.tree.place_existing(m, &tree.pager, key)?;
                place.expect("the model has it").patch(offset, &patch, number);
                Ok(())
            });
        }
        Change::Abandon(key, len) => {
            change(&tree.pager, |m| tree.tree.place(m, &tree.pager, &key, len).map(drop));
        }
        Change::Fill(key_of, from, len, up) => {
            for at in 0..len {
                let key = key_of(if up { from + at } else { from + len - at });
                tree.put(&key, &value(number + at, 8));
                model.insert(key, value(number + at, 8));
            }
        }
        Change::Thin(key_of, from, len, all) => {
            for n in (from..from + len).filter(|n| all || n % 2 == 0) {
                assert_eq!(tree.remove(&key_of(n)), model.remove(&key_of(n)));
            }
        }
        Change::Cut(from, to) => {
            cut(tree, &from, &to, number);
            model.retain(|key, _| *key < from || *key >= to);
        }
        Change::Load(fill_percent) => load(tree, model, fill_percent, number),
    }
}

fn cut(tree: &TestTree, from: &[u8], to: &[u8], lsn: u64) {
    let detached = change(&tree.pager, |m| {
        let cut = tree.tree.cut(m, &tree.pager, Bound::Included(from), Bound::Excluded(to))?;
        let detached = cut.detached();
        cut.carry_out(lsn);
        Ok(detached)
    });
    if let Some(detached) = detached {
        while !change(&tree.pager, |m| detached.dismantle(m, &tree.pager)) {}
    }
    for key in [from, to] {
        tree.tree.rebalance_path(&tree.pager, key);
    }
}

fn load(tree: &TestTree, model: &BTreeMap<Vec<u8>, Vec<u8>>, fill_percent: usize, lsn: u64) {
    let beside = change(&tree.pager, |m| super::super::BTree::create_detached(m, TABLE));
    let mut loader = BulkLoader::new(beside, tree.pager.page_bytes(), fill_percent, lsn);
    model.iter().for_each(|(key, value)| {
        let value = crate::LeafValue::inline(value);
        loader.push(&tree.pager, key, value, &mut |_, _| ()).unwrap();
    });
    loader.finish(&tree.pager, &mut |_, _| ()).unwrap();
    change(&tree.pager, |m| {
        tree.tree.swap(m, beside)?.carry_out(lsn);
        Ok(())
    });
    while !change(&tree.pager, |m| beside.dismantle(m, &tree.pager)) {}
}

/// Scans in both directions from any bounds, counts and estimates agree with the map.
fn check_ranges(tree: &TestTree, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let ends = model.keys().step_by(1 + model.len() / 7).map(|key| [key, &[0][..]].concat());
    let mut ends: Vec<Vec<u8>> = ends.chain(model.keys().step_by(1 + model.len() / 5).cloned()).collect();
    ends.extend([vec![], b"a stem".to_vec(), vec![0, 0, 0, 0, 0xFF, 0xF0, 0xFF], vec![0xFF; 9]]);
    ends.sort();
    for (at, from) in ends.iter().enumerate() {
        for to in ends[at + 1..].iter().step_by(3) {
            let expected: Vec<_> =
                model.range::<Vec<u8>, _>((Bound::Excluded(from), Bound::Included(to))).collect();
            let (from, to) = (Bound::Excluded(from.as_slice()), Bound::Included(to.as_slice()));
            assert_eq!(tree.tree.count(&tree.pager, from, to).unwrap(), expected.len() as u64);
            tree.tree.estimate(&tree.pager, from, to).unwrap();
            let mut cursor = tree.tree.cursor(&tree.pager, from, to);
            for (key, value) in &expected {
                assert_eq!(cursor.next().unwrap(), Some((key.as_slice(), value.as_slice())));
            }
            assert_eq!(cursor.next().unwrap(), None);
            let mut cursor = tree.tree.cursor(&tree.pager, from, to);
            let both = cursor.next().unwrap().map(|(key, _)| key.to_vec());
            assert_eq!(both.as_ref(), expected.first().map(|(key, _)| *key));
            for (key, value) in expected.iter().skip(1).rev() {
                assert_eq!(cursor.next_back().unwrap(), Some((key.as_slice(), value.as_slice())));
            }
            assert_eq!(cursor.next_back().unwrap(), None);
        }
    }
}

fn check_against_model(page_bytes: usize, changes: Vec<Change>) {
    let tree = TestTree::in_memory(page_bytes);
    let mut model = BTreeMap::new();
    for (number, change) in changes.into_iter().enumerate() {
        apply(&tree, &mut model, number as u64 + 1, change);
    }
    let report = tree.check();
    assert_eq!(report.records, model.len() as u64);
    assert_eq!(report.record_bytes, model.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum::<u64>());
    check_ranges(&tree, &model);
    for (key, value) in &model {
        assert_eq!(tree.get(key).as_ref(), Some(value));
        let mut other = key.clone();
        other.push(0);
        assert_eq!(tree.tree.contains(&tree.pager, &other).unwrap(), model.contains_key(&other));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tree_of_4_kib_pages_is_a_map(changes in changes(4096)) {
        check_against_model(4096, changes);
    }

    #[test]
    fn a_tree_of_numbers_is_a_map(
        page_bytes in prop_oneof![4 => Just(4096usize), 1 => Just(16384)],
        changes in changes_of_numbers(),
    ) {
        check_against_model(page_bytes, changes);
    }

    #[test]
    fn a_tree_of_paths_is_a_map(
        (page_bytes, changes) in prop_oneof![4 => Just(4096usize), 1 => Just(16384)]
            .prop_flat_map(|page_bytes| (Just(page_bytes), changes_of_paths(page_bytes))),
    ) {
        check_against_model(page_bytes, changes);
    }

    #[test]
    fn a_tree_of_16_kib_pages_is_a_map(changes in changes(16384)) {
        check_against_model(16384, changes);
    }

    #[test]
    fn a_tree_of_64_kib_pages_is_a_map(changes in changes(65536)) {
        check_against_model(65536, changes);
    }
}
