//! Space comes back after removals, whatever their order; the tree stays whole, and nobody loses anything.

use super::super::test_tree::{Scramble, TestTree, change};
use super::*;
use std::ops::Bound;

fn key(n: u64) -> Vec<u8> {
    [&n.to_be_bytes()[..], &[0x5A; 8]].concat()
}

fn scattered(n: u64) -> Vec<u8> {
    key(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A tree of these keys with values of 100 bytes.
fn tree(keys: impl Iterator<Item = Vec<u8>>) -> TestTree {
    let tree = TestTree::in_memory(4096);
    keys.for_each(|key| tree.put(&key, &[3; 100]));
    tree
}

/// Bytes of pages for each byte of a record.
fn space_per_record_byte(tree: &TestTree) -> f64 {
    let report = tree.check();
    assert_eq!(report.pages.len() as u64, tree.pager.stats().pages, "what is not reachable is free");
    (report.pages.len() * 4096) as f64 / report.record_bytes as f64
}

#[test]
fn a_random_half_goes_and_so_do_its_pages() {
    let tree = tree((0..30_000).map(scattered));
    let mut scramble = Scramble(4);
    let mut left = 30_000;
    (0..30_000).filter(|_| scramble.below(2) == 0).for_each(|n| {
        assert!(tree.remove(&scattered(n)).is_some());
        left -= 1;
    });
    let ratio = space_per_record_byte(&tree);
    assert_eq!(tree.check().records, left);
    println!("{ratio:.3} bytes of pages for each of records");
    assert!(ratio <= 1.65, "{ratio}");
}

#[test]
fn a_contiguous_half_goes_and_so_do_its_pages() {
    for backwards in [false, true] {
        let tree = tree((0..30_000).map(key));
        let order: Vec<u64> =
            if backwards { (8000..23_000).rev().collect() } else { (8000..23_000).collect() };
        for n in order {
            assert!(tree.remove(&key(n)).is_some());
        }
        let ratio = space_per_record_byte(&tree);
        assert!(ratio <= 1.2, "{ratio}, backwards: {backwards}");
    }
}

#[test]
fn dense_leaves_give_their_pages_back_whatever_stays() {
    let key = |n: u64| n.to_be_bytes();
    type Goes = fn(u64) -> bool;
    let orders: [(&str, Goes, usize); 4] = [
        ("a stretch", |n| (5_000..25_000).contains(&n), 25),
        ("all but one in ten", |n| n % 10 > 0, 24),
        ("every other", |n| n % 2 == 0, 66),
        ("the first half of each leaf", |n| n % 480 < 240, 66),
    ];
    for (what, goes, pages_max) in orders {
        let tree = TestTree::in_memory(4096);
        (0..30_000u64).for_each(|n| tree.put(&key(n), &n.to_le_bytes()));
        assert!(tree.check().pages.len() < 66);
        (0..30_000).filter(|&n| goes(n)).for_each(|n| assert!(tree.remove(&key(n)).is_some()));
        let report = tree.check();
        assert!(report.pages.len() <= pages_max, "{what} goes: {} pages", report.pages.len());
        let left = (0..30_000).filter(|&n| !goes(n));
        assert_eq!(report.records, left.clone().count() as u64);
        left.for_each(|n| assert_eq!(tree.get(&key(n)), Some(n.to_le_bytes().to_vec())));
        (0..30_000).for_each(|n| drop(tree.remove(&key(n))));
        assert_eq!(tree.check().pages.len(), 1);
    }
}

#[test]
fn a_tree_that_is_emptied_is_one_page_again() {
    let mut scramble = Scramble(9);
    for order in 0..3 {
        let tree = tree((0..20_000).map(scattered));
        assert!(tree.check().depth >= 3);
        let mut keys: Vec<Vec<u8>> = (0..20_000).map(scattered).collect();
        match order {
            0 => keys.sort(),
            1 => keys.sort_by(|a, b| b.cmp(a)),
            _ => (1..keys.len()).rev().for_each(|at| keys.swap(at, scramble.below(at as u64 + 1) as usize)),
        }
        keys.iter().for_each(|key| assert!(tree.remove(key).is_some()));
        let report = tree.check();
        assert_eq!((report.records, report.depth, report.pages.len()), (0, 1, 1), "order {order}");
        assert_eq!(tree.pager.stats().pages, 1);
        tree.put(b"again", b"here");
        assert_eq!(tree.get(b"again").as_deref(), Some(&b"here"[..]));
    }
}

#[test]
fn no_leaf_is_left_nearly_empty_beside_a_neighbour_of_the_same_parent() {
    let tree = tree((0..20_000).map(scattered));
    let mut scramble = Scramble(21);
    (0..20_000).filter(|_| scramble.below(10) > 0).for_each(|n| drop(tree.remove(&scattered(n))));
    let mut lean = 0;
    let pages = tree.check().pages;
    for &id in &pages {
        let page = tree.pager.shared(id).unwrap();
        lean += usize::from(is_below(Node::new(page.bytes()), LEAN_PERCENT));
    }
    assert!(lean <= 1 + pages.len() / 50, "{lean} of {} pages are lean", pages.len());
}

#[test]
fn large_records_and_long_separators_merge_too() {
    let long = |n: u64| {
        let mut key = vec![b'k'; 500];
        key[100..102].copy_from_slice(&((n % 40) as u16).to_be_bytes());
        key[490..498].copy_from_slice(&(n * 7919 % 1_000_003).to_be_bytes());
        key
    };
    let tree = TestTree::in_memory(4096);
    (0..4000).for_each(|n| tree.put(&long(n), &vec![n as u8; 1 + n as usize % 900]));
    let pages = tree.check().pages.len();
    (0..4000).filter(|n| n % 8 != 0).for_each(|n| assert!(tree.remove(&long(n)).is_some()));
    let report = tree.check();
    assert_eq!(report.records, 500);
    assert!(report.pages.len() * 4 < pages, "{} of {pages}", report.pages.len());
    (0..4000)
        .filter(|n| n % 8 == 0)
        .for_each(|n| assert_eq!(tree.get(&long(n)), Some(vec![n as u8; 1 + n as usize % 900])));
}

#[test]
fn a_cursor_outlives_the_pages_that_it_was_on() {
    let tree = tree((0..6000).map(key));
    let kept = |n: u64| n.is_multiple_of(97);
    for forward in [true, false] {
        let mut cursor = tree.tree.cursor(&tree.pager, Bound::Unbounded, Bound::Unbounded);
        let mut seen = Vec::new();
        let mut gone = (0..6000).filter(|&n| !kept(n));
        while let Some((found, _)) = (if forward { cursor.next() } else { cursor.next_back() }).unwrap() {
            seen.push(u64::from_be_bytes(found[..8].try_into().unwrap()));
            gone.by_ref().take(7).for_each(|n| drop(tree.remove(&key(n))));
        }
        assert!(seen.is_sorted_by(|a, b| (a < b) == forward && a != b));
        let expected: Vec<u64> = (0..6000).filter(|&n| kept(n)).collect();
        let mut found: Vec<u64> = seen.into_iter().filter(|&n| kept(n)).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
        (0..6000).for_each(|n| tree.put(&key(n), &[3; 100]));
    }
}

#[test]
fn a_page_id_that_was_freed_is_another_pages_soon() {
    let tree = tree((0..3000).map(key));
    let before = tree.check().pages;
    (0..3000).filter(|n| n % 20 != 0).for_each(|n| drop(tree.remove(&key(n))));
    let after = tree.check().pages;
    (10_000..13_000).for_each(|n| tree.put(&key(n), &[3; 100]));
    let reused = tree.check().pages.into_iter().filter(|id| before.contains(id) && !after.contains(id));
    assert!(reused.count() > 20);
}

#[test]
fn rebalancing_what_is_not_lean_changes_nothing() {
    let tree = tree((0..3000).map(key));
    let before = tree.check();
    (0..2900).for_each(|n| assert_eq!(tree.tree.rebalance(&tree.pager, &key(n)), 0));
    assert_eq!(tree.check(), before);
}

#[test]
fn a_parent_without_room_for_a_longer_separator_is_left_alone() {
    // Short separators first; what lies between leaves later needs long ones.
    let tree = TestTree::in_memory(4096);
    let key = |n: u64, m: u64| {
        let mut key = n.to_be_bytes().to_vec();
        key.extend([b'x'; 400]);
        key.extend(m.to_be_bytes());
        key
    };
    for n in 0..400 {
        (0..9).for_each(|m| tree.put(&key(n, m), &[1; 300]));
    }
    let mut scramble = Scramble(3);
    for _ in 0..3000 {
        let (n, m) = (scramble.below(400), scramble.below(9));
        tree.remove(&key(n, m));
        if scramble.below(3) == 0 {
            tree.put(&key(n, scramble.below(9)), &vec![2; scramble.below(900) as usize]);
        }
    }
    tree.check();
}

#[test]
fn a_child_named_twice_is_an_error_and_not_a_deadlock() {
    let tree = tree((0..400).map(key));
    let root = tree.tree.root();
    change(&tree.pager, |m| {
        let mut page = m.exclusive(root)?;
        page.make_dirty()?;
        let bytes = page.bytes_mut();
        let first: [u8; 4] = bytes[40..44].try_into().unwrap();
        bytes[112..116].copy_from_slice(&first);
        Ok(())
    });
    let m = tree.pager.enter();
    for n in 0..40 {
        if let Ok(Some(place)) = tree.tree.place_existing(&m, &tree.pager, &key(n)) {
            place.remove(1);
        }
    }
    drop(m);
    assert_eq!(tree.tree.rebalance(&tree.pager, &key(0)), 0);
}
