//! A tree under random changes equals a map, whatever the keys and the page size.

use super::super::test_tree::{TestTree, change, hard_key, value, value_len};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>, usize),
    Remove(Vec<u8>),
    /// Of the record at or behind the key: so many bytes at an offset, both cut to the value.
    Patch(Vec<u8>, usize, usize),
    /// Asks for room and does not use it.
    Abandon(Vec<u8>, usize),
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
    fn a_tree_of_16_kib_pages_is_a_map(changes in changes(16384)) {
        check_against_model(16384, changes);
    }

    #[test]
    fn a_tree_of_64_kib_pages_is_a_map(changes in changes(65536)) {
        check_against_model(65536, changes);
    }
}
