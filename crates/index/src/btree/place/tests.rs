//! What a place promises.

use super::super::test_tree::{TestTree, change};

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
fn a_value_may_be_shorter_than_asked_for() {
    let tree = with_record();
    change(&tree.pager, |m| {
        tree.tree.place(m, &tree.pager, b"new", 1000).map(|place| place.put(b"short", 1))
    });
    change(&tree.pager, |m| {
        tree.tree.place(m, &tree.pager, b"key", 1000).map(|place| place.put(b"short too", 1))
    });
    assert_eq!(tree.get(b"new"), Some(b"short".to_vec()));
    assert_eq!(tree.get(b"key"), Some(b"short too".to_vec()));
    tree.check();
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
