//! Leaves get the kind that suits their records, and another when those change; nothing is lost on the way.

use super::super::layout::{KIND_DENSE, KIND_FINGERPRINTS, KIND_LEAF};
use super::super::test_tree::{Scramble, TestTree, change, leaves_of_kind, path, value};
use crate::LeafValue;
use crate::PointReads;
use std::collections::BTreeMap;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn put(tree: &TestTree, records: &mut Records, key: Vec<u8>, value: Vec<u8>) {
    tree.put(&key, &value);
    records.insert(key, value);
}

fn remove(tree: &TestTree, records: &mut Records, key: &[u8]) {
    assert_eq!(tree.remove(key), records.remove(key));
}

fn assert_holds(tree: &TestTree, records: &Records) {
    assert_eq!(tree.check().records, records.len() as u64);
    for (key, value) in records {
        assert_eq!(tree.get(key).as_ref(), Some(value));
        let mut other = key.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(tree.get(&other).as_ref(), records.get(&other));
    }
}

/// Shares of leaves in percent: with hints, dense, with fingerprints.
fn kinds(tree: &TestTree) -> [u64; 3] {
    let counts = [KIND_LEAF, KIND_DENSE, KIND_FINGERPRINTS].map(|kind| leaves_of_kind(tree, kind));
    let all: u64 = counts.iter().sum();
    assert_eq!(all, tree.check().leaves);
    counts.map(|count| count * 100 / all)
}

fn number(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

#[test]
fn each_kind_is_for_its_keys() {
    let of = |key: &dyn Fn(u64) -> Vec<u8>| {
        let (tree, mut scramble) = (TestTree::in_memory(4096), Scramble(5));
        (0..6000).for_each(|_| tree.put(&key(scramble.below(6000)), b"12345678"));
        kinds(&tree)
    };
    let paths = of(&|n| path(n as u32));
    assert!(paths[2] >= 95, "{paths:?}");
    let numbers = of(&number);
    assert!(numbers[1] >= 60 && numbers[2] < 10, "{numbers:?}");
    let scattered = of(&|n| number(Scramble(n).below(u64::MAX)));
    assert_eq!(scattered, [100, 0, 0]);
}

#[test]
fn kinds_follow_the_records() {
    for page_bytes in [4096, 16384] {
        let (tree, mut records) = (TestTree::in_memory(page_bytes), Records::new());
        let mut scramble = Scramble(6);
        let stem = |n: u64| [&b"https://host-1.example/number/"[..], &n.to_be_bytes()].concat();
        // Paths; then numbers between them, which become dense leaves; then the paths go, and come back with longer values.
        for _ in 0..8000 {
            let n = scramble.below(9000) as u32;
            put(&tree, &mut records, path(n), value(u64::from(n), 8));
        }
        assert!(kinds(&tree)[2] >= 95, "{:?}", kinds(&tree));
        (0..8000).for_each(|n| put(&tree, &mut records, stem(n), value(n, 8)));
        let both = kinds(&tree);
        assert!(both[1] >= 40 && both[2] >= 20, "{both:?}");
        assert_holds(&tree, &records);
        let paths: Vec<Vec<u8>> =
            records.keys().filter(|key| !key[22..].starts_with(b"/number")).cloned().collect();
        for (at, key) in paths.iter().enumerate().filter(|(at, _)| at % 16 != 3) {
            remove(&tree, &mut records, key);
            assert!(at % 997 != 0 || tree.check().records == records.len() as u64);
        }
        assert_holds(&tree, &records);
        for n in (0..8000).filter(|n| n % 8 != 0) {
            remove(&tree, &mut records, &stem(n));
        }
        for key in paths {
            let len = scramble.below(120) as usize;
            put(&tree, &mut records, key, value(7, len));
        }
        assert!(kinds(&tree)[2] >= 80, "{:?}", kinds(&tree));
        assert_holds(&tree, &records);
        let all: Vec<Vec<u8>> = records.keys().cloned().collect();
        all.iter().rev().for_each(|key| remove(&tree, &mut records, key));
        assert_eq!((tree.check().records, tree.check().pages.len()), (0, 1));
    }
}

#[test]
fn values_grow_and_shrink_on_leaves_with_fingerprints() {
    let (tree, mut records) = (TestTree::in_memory(4096), Records::new());
    let key = |n: u64| path(n as u32);
    (0..2000).for_each(|n| put(&tree, &mut records, key(n), value(n, 20)));
    let mut scramble = Scramble(8);
    for round in 0..12_000u64 {
        let len = if scramble.below(50) == 0 { scramble.below(1025) } else { scramble.below(40) };
        put(&tree, &mut records, key(scramble.below(2000)), value(round, len as usize));
    }
    assert!(kinds(&tree)[2] >= 75, "{:?}", kinds(&tree));
    assert_holds(&tree, &records);
}

#[test]
fn descriptors_of_large_values_stay_what_they_are() {
    let tree = TestTree::in_memory(4096);
    let key = |n: u64| path(n as u32);
    change(&tree.pager, |m| tree.tree.note_large(m));
    for n in 0..3000 {
        let bytes = value(n, 24);
        change(&tree.pager, |m| {
            let value = if n % 3 == 0 { LeafValue::large(&bytes) } else { LeafValue::inline(&bytes) };
            let place = match n % 3 {
                0 => tree.tree.place_large(m, &tree.pager, &key(n), 24)?,
                _ => tree.tree.place(m, &tree.pager, &key(n), 24)?,
            };
            place.put_value(value, 1);
            Ok(())
        });
    }
    assert!(kinds(&tree)[2] >= 75, "{:?}", kinds(&tree));
    assert_eq!(tree.check().large.len(), 1000);
    let is_large = |n: u64| {
        let mut out = Vec::new();
        let kind = tree.tree.look_up(&tree.pager, &key(n), &mut out).unwrap().kind.unwrap();
        assert_eq!(out, value(n, 24));
        kind == crate::ValueKind::Large
    };
    assert!((0..3000).all(|n| is_large(n) == (n % 3 == 0)));
}
