//! A probe finds what a search finds, whatever the keys; fingerprints stay those of their slots; the hash stays what it is.

use super::super::build::{Builder, Plan};
use super::super::search::Found;
use super::super::test_tree::{
    LONE_PAGE, Scramble, assert_page_is_whole, hard_key, path_key, put_on, records_on, remove_from, value,
    value_len,
};
use super::*;
use crate::LeafValue;
use crate::words::tests::OnlyWords;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A leaf with fingerprints and these keys, as many as fit, with values of a byte.
fn leaf(page_bytes: usize, keys: &BTreeSet<Vec<u8>>) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut count = keys.len();
    loop {
        let mut builder = Builder::new(page_bytes, &Plan::root(1, LONE_PAGE, 0)).unwrap();
        let some = keys.iter().take(count);
        let fit = some.clone().all(|key| builder.push_record(key, LeafValue::inline(b"v")).is_ok());
        let page = builder.finish_with(true);
        if fit && Node::new(page.as_slice()).has_fingerprints() {
            assert_page_is_whole(&page);
            return (page, some.cloned().collect());
        }
        count -= 1;
    }
}

fn check(page: &[u8], keys: &[Vec<u8>], sought: &[u8]) {
    let at = keys.partition_point(|key| key.as_slice() < sought);
    let expected = keys.get(at).is_some_and(|key| key == sought).then_some(at);
    let index = |found: Option<(usize, Slot)>| found.map(|(index, _)| index);
    assert_eq!(index(Node::new(page).probe(sought)), expected);
    assert_eq!(index(Node::new(OnlyWords(page)).probe(sought)), expected);
    let Found { index, slot } = Node::new(OnlyWords(page)).find(sought);
    assert_eq!((index, slot.map(|_| index)), (at, expected));
}

proptest! {
    #[test]
    fn keys_are_found_by_fingerprints_and_by_halves(
        keys in btree_set(prop_oneof![path_key(), hard_key(512)], 0..150),
        others in vec(prop_oneof![path_key(), hard_key(512)], 50),
        large in any::<bool>(),
    ) {
        let (page, keys) = leaf(if large { 65536 } else { 4096 }, &keys);
        for key in keys.iter().chain(&others) {
            check(&page, &keys, key);
        }
    }

    #[test]
    fn fingerprints_follow_their_slots(changes in vec((prop::bool::weighted(0.7), path_key(), value_len(1024)), 1..400)) {
        let (mut page, keys) = leaf(16384, &BTreeSet::new());
        prop_assert!(keys.is_empty());
        let mut model = BTreeMap::new();
        for (number, (is_put, key, len)) in changes.into_iter().enumerate() {
            if is_put {
                let value = value(number as u64, len);
                if put_on(&mut page, &key, &value) {
                    model.insert(key, value);
                }
            } else {
                prop_assert_eq!(remove_from(&mut page, &key), model.remove(&key).is_some());
            }
            prop_assert!(Node::new(page.as_slice()).has_fingerprints());
            assert_page_is_whole(&page);
        }
        prop_assert_eq!(records_on(&page), model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn nonsense_bytes_give_nothing_beyond_the_count(bytes in vec(any::<u8>(), 4096), key in hard_key(512)) {
        let mut bytes = bytes;
        (bytes[KIND], bytes[LEVEL]) = (KIND_FINGERPRINTS, 0);
        let node = Node::new(OnlyWords(&bytes));
        prop_assert!(node.probe(&key).is_none_or(|(index, _)| index < node.count()));
        prop_assert!(node.find(&key).index <= node.count());
    }
}

/// Pages on disk say so.
#[test]
fn the_fingerprint_of_a_key_is_for_ever() {
    // XXH3-64 of nothing is 2D06800538D394C2, that of "a" E6C632B61E964E1F.
    let all = [&b""[..], b"a", b"https://www.example.org/", &[0; 300]].map(of);
    assert_eq!(all, [0xC2, 0x1F, 0x10, 0x91]);
}

#[test]
fn keys_whose_fingerprints_are_equal_are_told_apart() {
    let collides = |n: &u64| of(&n.to_be_bytes()) == 7;
    let numbers: Vec<u64> = (0..).filter(collides).take(150).collect();
    let keys: BTreeSet<Vec<u8>> = numbers.iter().step_by(2).map(|n| n.to_be_bytes().to_vec()).collect();
    let (page, keys) = leaf(4096, &keys);
    assert_eq!(keys.len(), 75);
    for n in numbers {
        check(&page, &keys, &n.to_be_bytes());
    }
}

#[test]
fn every_count_of_slots_is_probed_right() {
    let mut scramble = Scramble(3);
    for count in (8..70).chain([80, 96, 97, 130, 300]) {
        let numbers: BTreeSet<u64> = (0..count).map(|_| scramble.below(1 << 20)).collect();
        let key = |n: &u64| format!("the same head/{n}").into_bytes();
        let (page, keys) = leaf(65536, &numbers.iter().map(key).collect());
        assert_eq!(keys.len(), numbers.len());
        for n in numbers.iter().flat_map(|&n| [n, n + 1]) {
            check(&page, &keys, &key(&n));
        }
    }
}

#[test]
fn heads_decide() {
    let page = |is_alike: bool| {
        let mut builder = Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap();
        for n in 0..40u32 {
            let key = if is_alike { format!("path/{n:04}") } else { format!("{n:04}/path") };
            builder.push_record(key.as_bytes(), LeafValue::inline(b"")).unwrap();
        }
        builder.finish()
    };
    assert!(Node::new(page(true).as_slice()).has_fingerprints());
    assert!(!Node::new(page(false).as_slice()).has_fingerprints());
    assert!(!are_worth_it(7, 6), "few records are found soon");
    assert!(are_worth_it(8, 1));
    assert!(!are_worth_it(100, 12));
    assert!(are_worth_it(100, 13));
}

#[test]
fn records_that_leave_no_room_for_fingerprints_get_hints() {
    let build = |count: u32| {
        let mut builder = Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap();
        let mut push =
            |n: u32| builder.push_record(format!("path{n:04}").as_bytes(), LeafValue::inline(&[1; 6]));
        (0..count).try_for_each(&mut push).map(|()| builder.finish())
    };
    // 8 bytes of slot, 2 of value length, 4 of rest, 6 of value: 199 fit with hints.
    let page = build(199).unwrap();
    assert!(!Node::new(page.as_slice()).has_fingerprints());
    assert_page_is_whole(&page);
    assert!(build(200).is_err());
    let page = build(192).unwrap();
    assert!(Node::new(page.as_slice()).has_fingerprints());
    assert_page_is_whole(&page);
}

#[test]
fn places_grow_with_the_records_and_are_reckoned() {
    let (mut page, _) = leaf(4096, &BTreeSet::new());
    let mut count = 0;
    while put_on(&mut page, format!("path{count:04}").as_bytes(), &[1; 6]) {
        count += 1;
        assert_page_is_whole(&page);
        assert_eq!(Node::new(page.as_slice()).slots_at(), 48 + (count as usize).next_multiple_of(16));
    }
    // 20 bytes each; the 193rd would need another 16 places.
    assert_eq!(count, 192);
}

/// Else a split, which may give the halves hints, could fail.
#[test]
fn what_fits_with_fingerprints_fits_with_hints() {
    for left in 1..16u32 {
        let key = |n: u32| format!("path/to/{n:04}").into_bytes();
        let (mut page, keys) = leaf(4096, &(0..16).map(key).collect());
        keys[left as usize..].iter().for_each(|key| assert!(remove_from(&mut page, key)));
        for len in 1..1024 {
            (0..left).for_each(|n| {
                put_on(&mut page, &key(n), &vec![n as u8; len]);
            });
            assert_page_is_whole(&page);
        }
        let node = Node::new(page.as_slice());
        assert!(
            node.has_fingerprints() && (left < 4 || node.free_bytes() < 16),
            "{left}: {}",
            node.free_bytes()
        );
        let mut builder = Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap();
        builder.push_records(Leaf::of(node), 0..node.count()).unwrap();
        assert!(!Node::new(builder.finish_with(false).as_slice()).has_fingerprints());
    }
}
