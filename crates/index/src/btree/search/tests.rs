//! A search finds what a scan of the sorted keys finds, with and without hints, whatever the keys.

use super::super::build::{Builder, Plan};
use super::super::test_tree::{LONE_PAGE, Scramble, hard_key};
use super::*;
use crate::LeafValue;
use crate::words::tests::OnlyWords;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A leaf with these keys and empty values; as many as fit.
fn leaf(
    page_bytes: usize,
    keys: &BTreeSet<Vec<u8>>,
    fences: Option<(&[u8], &[u8])>,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut plan = Plan::root(1, LONE_PAGE, 0);
    if let Some((lower, upper)) = fences {
        (plan.lower, plan.upper) = (lower, Some(upper));
    }
    let mut builder = Builder::new(page_bytes, &plan).unwrap();
    let fitting = keys
        .iter()
        .take_while(|key| builder.push_record(key, LeafValue::inline(b"")).is_ok())
        .cloned()
        .collect();
    (builder.finish(), fitting)
}

fn check(page: &[u8], keys: &[Vec<u8>], probe: &[u8]) {
    let below = keys.partition_point(|key| key.as_slice() < probe);
    let there = keys.get(below).is_some_and(|key| key == probe);
    let plain = Node::new(page);
    let words = Node::new(OnlyWords(page));
    assert_eq!((plain.position(probe, false), words.position(probe, false)), (below, below));
    let through = below + usize::from(there);
    assert_eq!((plain.position(probe, true), words.position(probe, true)), (through, through));
    if plain.covers(probe) {
        let found = words.find(probe);
        assert_eq!((found.index, found.slot.is_some()), (below, there));
    }
}

proptest! {
    #[test]
    fn hard_keys_are_found(
        keys in btree_set(hard_key(512), 0..200),
        probes in vec(hard_key(512), 50),
        large in any::<bool>(),
    ) {
        let (page, keys) = leaf(if large { 65536 } else { 4096 }, &keys, None);
        for probe in keys.iter().chain(&probes) {
            check(&page, &keys, probe);
        }
    }

    #[test]
    fn nonsense_bytes_give_an_index_within_the_count(bytes in vec(any::<u8>(), 4096), key in hard_key(512)) {
        let node = Node::new(OnlyWords(&bytes));
        prop_assert!(node.find(&key).index <= node.count());
        prop_assert!(node.position(&key, true) <= node.count());
        prop_assert!(node.child_index(&key) <= node.count() + 1);
        node.child(node.child_index(&key));
    }
}

#[test]
fn every_count_of_slots_is_searched_right() {
    for count in (0..130).chain([255, 256, 300, 370]) {
        let keys: BTreeSet<Vec<u8>> = (0..count).map(|n: u64| (n * 3 + 1).to_be_bytes().to_vec()).collect();
        let (page, keys) = leaf(65536, &keys, None);
        assert_eq!(keys.len(), count as usize);
        for probe in 0..count * 3 + 3 {
            check(&page, &keys, &probe.to_be_bytes());
        }
    }
}

#[test]
fn heads_that_say_nothing_are_searched_right() {
    // All heads are equal: hints and heads cannot tell the keys apart.
    let keys: BTreeSet<Vec<u8>> = (0..300u16).map(|n| [&b"same"[..], &n.to_be_bytes()].concat()).collect();
    let (page, keys) = leaf(8192, &keys, None);
    assert_eq!(keys.len(), 300);
    let mut scramble = Scramble(1);
    for _ in 0..1000 {
        let n = scramble.below(400) as u16;
        check(&page, &keys, &[&b"same"[..], &n.to_be_bytes()].concat());
    }
    for other in [&b"sam"[..], b"same", b"samf", b"", b"t", b"same\0", b"same\0\0\0"] {
        check(&page, &keys, other);
    }
}

#[test]
fn keys_outside_a_common_prefix_lie_before_or_behind_all() {
    let keys: BTreeSet<Vec<u8>> = (0..40u8).map(|n| [&b"prefix-5"[..], &[n]].concat()).collect();
    let (page, keys) = leaf(4096, &keys, Some((b"prefix-5", b"prefix-6")));
    assert_eq!(Node::new(page.as_slice()).prefix_len(), 7);
    for probe in
        [&b""[..], b"prefix", b"prefix-", b"prefix-4", b"prefix-5", b"prefix-6", b"a", b"q", b"prefix.z"]
    {
        check(&page, &keys, probe);
    }
}

#[test]
fn zeros_at_the_end_make_different_keys() {
    let keys: BTreeSet<Vec<u8>> = (0..40).map(|n| vec![0; n]).collect();
    let (page, keys) = leaf(4096, &keys, None);
    for n in 0..45 {
        check(&page, &keys, &vec![0; n]);
    }
}
