//! A single leaf under random changes equals a map, and stays whole after each.

use super::super::build::{Builder, Plan};
use super::super::test_tree::{
    LONE_PAGE, assert_page_is_whole, hard_key, number_record, put_on, records_on, remove_from, value,
    value_len,
};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn empty_leaf(page_bytes: usize) -> Vec<u8> {
    Builder::new(page_bytes, &Plan::root(1, LONE_PAGE, 0)).unwrap().finish()
}

/// Keys and lengths of values: few short keys, hard ones, or numbers.
fn record(page_bytes: usize, kind: u8) -> BoxedStrategy<(Vec<u8>, usize)> {
    let len = value_len(page_bytes / 4);
    match kind {
        0 => ((0u16..400).prop_map(|n| n.to_be_bytes().to_vec()), len).boxed(),
        1 => (hard_key(page_bytes / 8), len).boxed(),
        _ => number_record().boxed(),
    }
}

/// Is it put? And a record.
type Change = (bool, (Vec<u8>, usize));

fn changes() -> impl Strategy<Value = (usize, Vec<Change>)> {
    (prop_oneof![Just(4096usize), Just(16384), Just(65536)], 0..4u8).prop_flat_map(|(page_bytes, kind)| {
        let change = (prop::bool::weighted(0.7), record(page_bytes, kind));
        (Just(page_bytes), vec(change, 1..if kind < 2 { 250 } else { 900 }))
    })
}

proptest! {
    #[test]
    fn a_leaf_is_a_map((page_bytes, changes) in changes()) {
        let mut page = empty_leaf(page_bytes);
        let mut model = BTreeMap::new();
        for (number, (is_put, (key, len))) in changes.into_iter().enumerate() {
            if is_put {
                let value = value(number as u64, len);
                if put_on(&mut page, &key, &value) {
                    model.insert(key, value);
                }
            } else {
                prop_assert_eq!(remove_from(&mut page, &key), model.remove(&key).is_some());
            }
            assert_page_is_whole(&page);
        }
        prop_assert_eq!(records_on(&page), model.into_iter().collect::<Vec<_>>());
    }
}

/// An inner page under random insertions and removals of separators equals a map.
fn check_inner(page_bytes: usize, changes: Vec<(bool, Vec<u8>)>) {
    let plan = Plan { leftmost: PageId(1), ..Plan::root(1, LONE_PAGE, 1) };
    let mut page = Builder::new(page_bytes, &plan).unwrap().finish();
    let mut model = BTreeMap::new();
    for (number, (insert, key)) in changes.into_iter().enumerate() {
        let node = Node::new(page.as_slice());
        let (found, child) = (node.find(&key), PageId(number as u32 + 2));
        assert_eq!(found.slot.is_some(), model.contains_key(&key));
        if let Some(slot) = found.slot {
            let len = node.entry_len(slot).unwrap();
            if !insert {
                NodeMut::new(&mut page).remove(found.index, len);
                model.remove(&key);
            }
        } else if insert {
            let needed = slot_bytes(1) + Suffix::of(&key, node.prefix_len()).rest.len();
            if needed > node.gap_bytes() {
                NodeMut::new(&mut page).compact(None).unwrap();
            }
            if needed <= Node::new(page.as_slice()).gap_bytes() {
                NodeMut::new(&mut page).insert_child(found.index, &key, child);
                model.insert(key, child);
            }
        }
        assert_page_is_whole(&page);
    }
    let node = Node::new(page.as_slice());
    assert_eq!(node.count(), model.len());
    assert_eq!(node.child(0), PageId(1));
    for (index, (key, &child)) in model.iter().enumerate() {
        assert_eq!(node.child(index + 1), child);
        assert_eq!(node.child_index(key), index + 1);
        assert_eq!(node.child_index_before(key), index);
    }
}

proptest! {
    #[test]
    fn an_inner_page_is_a_map(
        page_bytes in prop_oneof![Just(4096usize), Just(65536)],
        changes in vec((prop::bool::weighted(0.8), hard_key(512)), 1..250),
    ) {
        check_inner(page_bytes, changes);
    }

    #[test]
    fn an_inner_page_of_short_separators_is_a_map(
        changes in vec((prop::bool::weighted(0.8), vec(0u8..4, 0..5)), 1..400),
    ) {
        check_inner(65536, changes);
    }
}

#[test]
fn a_page_takes_records_until_its_free_bytes_are_used_up() {
    let mut page = empty_leaf(4096);
    let mut count = 0u32;
    while put_on(&mut page, &(count * 1000).to_be_bytes(), &[7; 20]) {
        count += 1;
    }
    // 8 bytes of slot, 2 of value length, 20 of value; the key is in the head.
    assert_eq!(count, (4096 - 112) / 30);
}

#[test]
fn a_growing_value_uses_the_bytes_of_the_old_one() {
    let mut page = empty_leaf(4096);
    for key in [b"a", b"b", b"c"] {
        assert!(put_on(&mut page, key, &[1; 1000]));
    }
    for len in 1000..=1020 {
        assert!(put_on(&mut page, b"b", &vec![2; len]), "there is room for {len} bytes");
        assert_page_is_whole(&page);
    }
    assert_eq!(records_on(&page)[1], (b"b".to_vec(), vec![2; 1020]));
}

#[test]
fn an_emptied_page_has_all_its_bytes_again() {
    let mut page = empty_leaf(4096);
    for n in 0..20u8 {
        assert!(put_on(&mut page, &[n], &[n; 50]));
    }
    (0..20u8).for_each(|n| assert!(remove_from(&mut page, &[n])));
    assert_eq!(Node::new(page.as_slice()).gap_bytes(), 4096 - SLOTS);
}

#[test]
fn the_change_lsn_is_only_raised() {
    let mut page = empty_leaf(4096);
    NodeMut::new(&mut page).raise_changed_at(9);
    NodeMut::new(&mut page).raise_changed_at(4);
    assert_eq!(Node::new(page.as_slice()).changed_at(), 9);
}
