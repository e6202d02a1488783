//! An index under random changes equals a map, whatever the keys, the page size and the hash function.

use super::super::test_index::TestIndex;
use crate::PointReads;
use crate::btree::test_tree::{change, hard_key, value, value_len};
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
    /// Removes so many records from the key on.
    RemoveMany(Vec<u8>, usize),
}

fn changes(page_bytes: usize) -> impl Strategy<Value = Vec<Change>> {
    let key = || hard_key(page_bytes / 8);
    let change = prop_oneof![
        8 => (key(), value_len(page_bytes / 4)).prop_map(|(key, len)| Change::Put(key, len)),
        2 => key().prop_map(Change::Remove),
        2 => (key(), 0..2000usize, 0..50usize).prop_map(|(key, offset, len)| Change::Patch(key, offset, len)),
        1 => (key(), value_len(page_bytes / 4)).prop_map(|(key, len)| Change::Abandon(key, len)),
        1 => (key(), 0..40usize).prop_map(|(key, count)| Change::RemoveMany(key, count)),
    ];
    vec(change, 1..400)
}

fn apply(index: &TestIndex, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, number: u64, it: Change) {
    match it {
        Change::Put(key, len) => {
            let value = value(number, len);
            change(&index.pager, |m| {
                let place = index.index.place(m, &index.pager, &key, len)?;
                assert_eq!(place.old().map(|old| old.bytes), model.get(&key).map(Vec::as_slice));
                place.put(&value, number);
                Ok(())
            });
            model.insert(key, value);
        }
        Change::Remove(key) => assert_eq!(index.remove(&key), model.remove(&key)),
        Change::Patch(key, offset, len) => {
            let Some((key, value)) = model.range_mut(key..).next() else { return };
            let offset = offset.min(value.len());
            let patch = vec![number as u8; len.min(value.len() - offset)];
            value[offset..offset + patch.len()].copy_from_slice(&patch);
            change(&index.pager, |m| {
                let place = index.index.place_existing(m, &index.pager, key)?;
                place.expect("the model has it").patch(offset, &patch, number);
                Ok(())
            });
        }
        Change::Abandon(key, len) => {
            change(&index.pager, |m| index.index.place(m, &index.pager, &key, len).map(drop));
        }
        Change::RemoveMany(key, count) => {
            let keys: Vec<_> = model.range(key..).take(count).map(|(key, _)| key.clone()).collect();
            for key in keys {
                assert_eq!(index.remove(&key), model.remove(&key));
            }
        }
    }
}

fn check_against_model(page_bytes: usize, mask: u64, changes: Vec<Change>) {
    let index = TestIndex::with_mask(page_bytes, mask);
    let pages_before = index.pager.stats().pages;
    let mut model = BTreeMap::new();
    for (number, change) in changes.into_iter().enumerate() {
        apply(&index, &mut model, number as u64 + 1, change);
    }
    let report = index.check();
    assert_eq!(report.records, model.len() as u64);
    assert_eq!(report.record_bytes, model.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum::<u64>());
    assert_eq!(report.pages.len() as u64, index.pager.stats().pages, "no page is lost");
    for (key, value) in &model {
        assert_eq!(index.get(key).as_ref(), Some(value));
        let mut other = key.clone();
        other.push(0);
        assert_eq!(index.index.contains(&index.pager, &other).unwrap(), model.contains_key(&other));
    }
    let all: BTreeMap<_, _> = index.all().into_iter().collect();
    assert_eq!(all, model);
    for key in model.keys() {
        assert!(index.remove(key).is_some());
    }
    assert_eq!(index.check().records, 0);
    while !change(&index.pager, |m| index.index.dismantle(m, &index.pager)) {}
    assert_eq!(index.pager.stats().pages + 2, pages_before, "an index begins with two pages");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_index_of_4_kib_pages_is_a_map(changes in changes(4096)) {
        check_against_model(4096, u64::MAX, changes);
    }

    #[test]
    fn an_index_of_64_kib_pages_is_a_map(changes in changes(65536)) {
        check_against_model(65536, u64::MAX, changes);
    }

    #[test]
    fn equal_hashes_make_chains(changes in changes(4096)) {
        check_against_model(4096, 0, changes);
    }

    #[test]
    fn a_few_hashes_for_all_keys(changes in changes(4096)) {
        check_against_model(4096, !0 << 60, changes);
    }

    #[test]
    fn hashes_that_differ_late(changes in changes(4096), shift in 0u32..50) {
        check_against_model(4096, 0xFFF << shift, changes);
    }
}
