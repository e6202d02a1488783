//! What a place promises.

use super::super::Node;
use super::super::test_tree::{TestTree, change};
use crate::LeafValue;

fn with_record() -> TestTree {
    let tree = TestTree::in_memory(4096);
    tree.put(b"key", b"a value");
    tree
}

#[test]
fn a_place_shows_the_old_value() {
    let tree = with_record();
    let old = |key: &[u8]| {
        change(&tree.pager, |m| {
            let place = tree.tree.place(m, &tree.pager, key, 0)?;
            Ok(place.old().map(|value| value.bytes.to_vec()))
        })
    };
    assert_eq!(old(b"key").as_deref(), Some(&b"a value"[..]));
    assert_eq!(old(b"kez"), None);
}

#[test]
fn a_shorter_and_a_longer_value_replace_the_old_one() {
    let tree = with_record();
    for len in [3, 0, 3, 7, 8, 500, 1000, 1, 1024] {
        tree.put(b"key", &vec![len as u8; len]);
        assert_eq!(tree.get(b"key"), Some(vec![len as u8; len]));
        tree.check();
    }
}

#[test]
#[should_panic(expected = "PL1")]
fn a_value_shorter_than_asked_for_is_refused() {
    let tree = with_record();
    change(&tree.pager, |m| tree.tree.place(m, &tree.pager, b"key", 5).map(|place| place.put(b"four", 1)));
}

#[test]
#[should_panic(expected = "PL1")]
fn a_descriptor_in_the_place_of_an_inline_value_is_refused() {
    let tree = with_record();
    change(&tree.pager, |m| {
        let place = tree.tree.place(m, &tree.pager, b"key", 4)?;
        place.put_value(LeafValue::large(b"four"), 1);
        Ok(())
    });
}

#[test]
#[should_panic(expected = "PL1")]
fn a_value_longer_than_asked_for_is_refused() {
    let tree = with_record();
    change(&tree.pager, |m| tree.tree.place(m, &tree.pager, b"key", 3).map(|place| place.put(b"four", 1)));
}

#[test]
fn a_patch_overwrites_a_part() {
    let tree = with_record();
    let patch = |offset, bytes: &[u8]| {
        change(&tree.pager, |m| {
            let place = tree.tree.place_existing(m, &tree.pager, b"key")?;
            place.unwrap().patch(offset, bytes, 5);
            Ok(())
        });
    };
    patch(2, b"VAL");
    assert_eq!(tree.get(b"key"), Some(b"a VALue".to_vec()));
    patch(7, b"");
    assert_eq!(tree.get(b"key"), Some(b"a VALue".to_vec()));
}

#[test]
#[should_panic(expected = "a patch of 2 bytes at 6 of a value of 7")]
fn a_patch_beyond_the_value_is_refused() {
    let tree = with_record();
    change(&tree.pager, |m| tree.tree.place(m, &tree.pager, b"key", 0).map(|place| place.patch(6, b"xy", 1)));
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let tree = with_record();
    change(&tree.pager, |m| tree.tree.place(m, &tree.pager, b"kex", 0).map(|place| place.remove(1)));
    assert!(change(&tree.pager, |m| Ok(tree.tree.place_existing(m, &tree.pager, b"kex")?.is_none())));
    assert_eq!(tree.check().records, 1);
}

/// The kind of the root, which is a leaf.
fn is_dense(tree: &TestTree) -> bool {
    let page = tree.pager.shared(tree.tree.root()).unwrap();
    Node::new(page.bytes()).is_dense()
}

/// A tree of one dense leaf: 300 numbers from 1000 on, values of eight bytes.
fn dense() -> TestTree {
    let tree = TestTree::in_memory(4096);
    (1000..1300u64).for_each(|n| tree.put(&n.to_be_bytes(), &n.to_le_bytes()));
    assert!(is_dense(&tree));
    tree
}

#[test]
fn a_full_leaf_becomes_dense_instead_of_being_split_and_slots_again_for_what_is_unlike() {
    for (key, value) in [
        (&b"of another length"[..], &b"8 bytes."[..]),
        (&1100u64.to_be_bytes(), b"longer than 8"),
        (&1100u64.to_be_bytes(), b"short"),
        (&7000u64.to_be_bytes(), b"another"),
        (&u64::MAX.to_be_bytes(), b"far away"),
        (&[], b"8 bytes."),
    ] {
        for left in [300, 150, 30, 0u64] {
            let tree = dense();
            (1000 + left..1300).for_each(|n| assert!(tree.remove(&n.to_be_bytes()).is_some()));
            tree.put(key, value);
            assert_eq!(tree.get(key).as_deref(), Some(value));
            let others = (1000..1000 + left).filter(|n| n.to_be_bytes() != key);
            others.for_each(|n| assert_eq!(tree.get(&n.to_be_bytes()), Some(n.to_le_bytes().to_vec())));
            let is_there = (1000..1000 + left).any(|n| n.to_be_bytes() == key);
            assert_eq!(tree.check().records, left + u64::from(!is_there));
        }
    }
}

#[test]
fn a_dense_leaf_moves_its_places_to_where_keys_come() {
    for step in [1i64, -1, 2, -3] {
        let tree = dense();
        let numbers = (1..=180).map(|n| if step > 0 { 1299 + n * step } else { 1000 + n * step } as u64);
        numbers.clone().for_each(|n| tree.put(&n.to_be_bytes(), &n.to_le_bytes()));
        assert_eq!(tree.check().records, 480);
        assert!(step.abs() > 1 || is_dense(&tree), "{step}");
        (1000..1300).chain(numbers).for_each(|n| assert!(tree.get(&n.to_be_bytes()).is_some()));
    }
}

#[test]
fn a_patch_and_a_removal_on_a_dense_leaf_keep_the_rest() {
    let tree = dense();
    let key = 1234u64.to_be_bytes();
    change(&tree.pager, |m| {
        let place = tree.tree.place_existing(m, &tree.pager, &key)?.unwrap();
        assert_eq!(place.old(), Some(LeafValue::inline(&1234u64.to_le_bytes())));
        place.patch(6, b"xy", 9);
        Ok(())
    });
    assert_eq!(tree.get(&key).unwrap()[..], [0xD2, 4, 0, 0, 0, 0, b'x', b'y']);
    assert!(is_dense(&tree));
    tree.remove(&key);
    assert_eq!(tree.get(&key), None);
    assert!(change(&tree.pager, |m| Ok(tree.tree.place_existing(m, &tree.pager, &key)?.is_none())));
    assert_eq!(tree.check().records, 299);
}

#[test]
fn a_descriptor_turns_a_dense_leaf_into_slots() {
    let tree = dense();
    let key = 1100u64.to_be_bytes();
    change(&tree.pager, |m| {
        tree.tree.note_large(m)?;
        let place = tree.tree.place_large(m, &tree.pager, &key, 8)?;
        place.put_value(LeafValue::large(b"8 bytes."), 1);
        Ok(())
    });
    let report = tree.check();
    assert_eq!((report.records, report.large.len()), (300, 1));
    tree.put(&key, b"8 bytes.");
    assert_eq!((tree.check().records, tree.check().large.len()), (300, 0));
}
