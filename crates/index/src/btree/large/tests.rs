//! The flag of large values: it stays with its record, and nothing else gets it.

use super::super::BulkLoader;
use super::super::test_tree::{TABLE, TestTree, change};
use super::*;
use crate::PointReads;
use crate::{LeafValue, ValueKind};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

fn put(tree: &TestTree, key: &[u8], value: LeafValue<'_>) {
    change(&tree.pager, |m| {
        if value.is_large() {
            tree.tree.note_large(m)?;
        }
        let place = match value.kind {
            ValueKind::Inline => tree.tree.place(m, &tree.pager, key, value.bytes.len()),
            ValueKind::Large => tree.tree.place_large(m, &tree.pager, key, value.bytes.len()),
        };
        place.map(|place| place.put_value(value, 1))
    });
}

#[test]
fn the_longest_values_have_no_flag() {
    for page_bytes in [4096, 16384, 65536] {
        let longest = vec![7; BTree::limits(page_bytes).1];
        let tree = TestTree::in_memory(page_bytes);
        put(&tree, b"inline", LeafValue::inline(&longest));
        assert!(!tree.tree.may_hold_large(&tree.pager).unwrap());
        put(&tree, b"large", LeafValue::large(&longest));
        assert!(tree.tree.may_hold_large(&tree.pager).unwrap());
        let mut out = Vec::new();
        let kind = |key: &[u8], out: &mut Vec<u8>| tree.tree.look_up(&tree.pager, key, out).unwrap().kind;
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
        tree.tree
            .place_large(m, &tree.pager, b"k", 3)
            .map(|place| place.put_value(LeafValue::large(b"abc"), 1))
    });
    let report = tree.tree.check(&tree.pager, &mut |_| ()).unwrap();
    assert!(report.faults.iter().any(|(_, what)| what.contains("LV2")), "{report:?}");
}

/// Deletes a range. What was cut out owns no large values (RD6), and is freed.
fn cut(tree: &TestTree, from: &[u8], to: &[u8]) {
    let detached = change(&tree.pager, |m| {
        let cut = tree.tree.cut(m, &tree.pager, Bound::Included(from), Bound::Excluded(to))?;
        let detached = cut.detached();
        cut.carry_out(9);
        Ok(detached)
    });
    if let Some(detached) = detached {
        assert!(!detached.may_hold_large(&tree.pager).unwrap());
        let report = detached.check(&tree.pager, &mut |_| ()).unwrap();
        assert_eq!((report.faults, report.large), (vec![], vec![]));
        while !change(&tree.pager, |m| detached.dismantle(m, &tree.pager)) {}
    }
    for key in [from, to] {
        tree.tree.rebalance_path(&tree.pager, key);
    }
}

#[test]
fn the_roots_note_stays_when_it_is_lowered_and_goes_with_its_records() {
    let tree = TestTree::in_memory(4096);
    for n in 0..2000u32 {
        put(&tree, &n.to_be_bytes(), LeafValue::inline(&[1; 900]));
    }
    put(&tree, &7u32.to_be_bytes(), LeafValue::large(b"descriptor"));
    assert!(tree.check().depth > 2);
    for n in (0..2000u32).filter(|&n| n != 7) {
        tree.remove(&n.to_be_bytes());
    }
    let report = tree.check();
    assert_eq!((report.depth, report.large.len()), (1, 1));
    assert!(tree.tree.may_hold_large(&tree.pager).unwrap());
    cut(&tree, &0u32.to_be_bytes(), &5u32.to_be_bytes());
    assert!(tree.tree.may_hold_large(&tree.pager).unwrap());
    // The whole tree: also one of several levels, whose root becomes a pouch.
    for n in 10..2000u32 {
        put(&tree, &n.to_be_bytes(), LeafValue::inline(&[1; 900]));
    }
    let detached = change(&tree.pager, |m| {
        let cut = tree.tree.cut(m, &tree.pager, Bound::Unbounded, Bound::Unbounded)?;
        let detached = cut.detached();
        cut.carry_out(9);
        Ok(detached.expect("several levels"))
    });
    assert!(!detached.may_hold_large(&tree.pager).unwrap());
    assert!(!tree.tree.may_hold_large(&tree.pager).unwrap());
    assert_eq!(detached.check(&tree.pager, &mut |_| ()).unwrap().faults, []);
    put(&tree, b"k", LeafValue::large(b"descriptor"));
    assert_eq!(tree.check().large.len(), 1);
}

#[test]
fn roots_that_change_places_say_what_they_hold() {
    let tree = TestTree::in_memory(4096);
    put(&tree, b"k", LeafValue::large(b"descriptor"));
    tree.remove(b"k");
    assert!(tree.tree.may_hold_large(&tree.pager).unwrap(), "it may have the note without a value");
    let beside = change(&tree.pager, |m| BTree::create_detached(m, TABLE));
    let mut loader = BulkLoader::new(beside, 4096, 100, 5);
    (0..500u32).for_each(|n| {
        let value = LeafValue::inline(&[1; 50]);
        loader.push(&tree.pager, &n.to_be_bytes(), value, &mut |_, _| ()).unwrap();
    });
    loader.finish(&tree.pager, &mut |_, _| ()).unwrap();
    change(&tree.pager, |m| {
        tree.tree.swap(m, beside)?.carry_out(6);
        Ok(())
    });
    for of in [tree.tree, beside] {
        assert!(!of.may_hold_large(&tree.pager).unwrap());
        assert_eq!(of.check(&tree.pager, &mut |_| ()).unwrap().faults, []);
    }
    put(&tree, b"k", LeafValue::large(b"descriptor"));
    assert_eq!(tree.check().large.len(), 1);
}

/// Whoever goes on dismantling after a restart must not look for large values in what is left.
#[test]
fn a_loaded_tree_that_is_being_dismantled_has_none() {
    let tree = TestTree::in_memory(4096);
    let beside = change(&tree.pager, |m| BTree::create_detached(m, TABLE));
    let mut loader = BulkLoader::new(beside, 4096, 100, 5);
    for n in 0..3000u32 {
        let value = if n == 7 { LeafValue::large(b"descriptor") } else { LeafValue::inline(&[1; 900]) };
        loader.push(&tree.pager, &n.to_be_bytes(), value, &mut |_, _| ()).unwrap();
    }
    loader.finish(&tree.pager, &mut |_, _| ()).unwrap();
    assert!(beside.may_hold_large(&tree.pager).unwrap());
    assert!(!change(&tree.pager, |m| beside.dismantle(m, &tree.pager)), "there is more to free");
    assert!(!beside.may_hold_large(&tree.pager).unwrap());
    while !change(&tree.pager, |m| beside.dismantle(m, &tree.pager)) {}
    assert_eq!(tree.check().pages.len() as u64, tree.pager.stats().pages);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_moves_records_keeps_the_flag_with_them(
        steps in prop::collection::vec((0u16..400, 0usize..900, 0u8..5, 0u8..20), 1..500),
    ) {
        let tree = TestTree::in_memory(4096);
        let mut model: BTreeMap<Vec<u8>, (ValueKind, Vec<u8>)> = BTreeMap::new();
        for (number, len, what, seldom) in steps {
            let (key, bytes) = (number.to_be_bytes().to_vec(), vec![what; len]);
            if what == 4 && seldom < 3 {
                let behind = number.saturating_add(len as u16 / (1 + 9 * u16::from(seldom))).to_be_bytes();
                cut(&tree, &key, &behind);
                model.retain(|other, _| *other < key || other[..] >= behind[..]);
                continue;
            }
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
