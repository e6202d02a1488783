//! Places of a dense leaf: offsets, ranks and order, whatever is taken.

use super::super::anew::{Outline, build_leaf};
use super::super::build::Plan;
use super::super::dense_edit::DenseMut;
use super::super::test_tree::{LONE_PAGE, assert_page_is_whole, put_on};
use super::*;
use crate::LeafValue;
use crate::words::tests::OnlyWords;
use proptest::collection::btree_set;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A leaf with place for the numbers from 1000 on, and values of a byte.
fn leaf(taken: &BTreeSet<usize>) -> Vec<u8> {
    let (lower, first) = (1000u64.to_be_bytes(), 1000u64.to_be_bytes());
    let plan = Plan { lower: &lower, upper: Some(&[1]), ..Plan::root(1, LONE_PAGE, 0) };
    let outline = Outline { count: 1, first: &first, last: &first, value_len: 1 };
    let page = build_leaf(4096, &plan, Some(outline), |builder| {
        builder.push_record(&first, LeafValue::inline(&[0]))
    });
    let mut page = page.unwrap();
    let mut dense = DenseMut::new(&mut page);
    dense.remove(0);
    taken.iter().for_each(|&place| dense.put(place, &[place as u8]));
    page
}

#[test]
fn offsets_are_those_of_the_table() {
    let page = leaf(&BTreeSet::from([0, 3]));
    let shape = Dense::of(Node::new(page.as_slice())).shape();
    assert_eq!(page[0], 6);
    assert_eq!(page[4..6], [2, 0]);
    assert_eq!(usize::from(u16::from_le_bytes([page[8], page[9]])), shape.places);
    assert_eq!((page[10], page[36], &page[40..48]), (1, 8, &1000u64.to_le_bytes()[..]));
    assert_eq!(page[48], 0b1001);
    let values = 48 + shape.places.div_ceil(64) * 8;
    assert_eq!(page[values..values + 4], [0, 0, 0, 3]);
    assert!(shape.places > 3500, "{} places of 9 bits", shape.places);
}

#[test]
fn tails_are_the_last_eight_bytes_or_all() {
    let check = |key_len: usize, key: &[u8], tail: u64| {
        assert_eq!(Form { key_len, value_len: 0 }.tail(key), tail, "{key_len}");
    };
    check(8, &[1, 2, 3, 4, 5, 6, 7, 8], 0x0102_0304_0506_0708);
    check(10, b"ab\0\0\0\0\0\0\0\x07", 7);
    check(2, &[1, 2], 0x0102);
    check(2, &[1], 0x0100);
    check(2, &[1, 2, 3], 0x0102);
    check(1, &[9], 9);
    check(0, &[9], 0); // only on a damaged page
    assert_eq!(Form { key_len: 2, value_len: 0 }.tail_max(), 0xFFFF);
    assert_eq!(Form { key_len: 12, value_len: 0 }.tail_max(), u64::MAX);
}

#[test]
fn as_many_places_as_fit() {
    for value_len in [0, 1, 7, 8, 100, 1024] {
        let form = Form { key_len: 8, value_len };
        for bytes in [0, 47, 48, 57, 64, 1000, 4096, 65536] {
            let places = form.places_max(bytes);
            assert!(places == 0 || form.dense_bytes(places) <= bytes);
            assert!(form.dense_bytes(places + 1) > bytes || places == 0xFFFF, "{value_len} {bytes} {places}");
        }
    }
}

proptest! {
    #[test]
    fn ranks_and_places_are_those_of_a_set(taken in btree_set(0..3000usize, 0..300), probe in 0..3100usize) {
        let page = leaf(&taken);
        assert_page_is_whole(&page);
        for dense in [Dense::of(Node::new(page.as_slice()))] {
            let words = Dense::of(Node::new(OnlyWords(&page)));
            prop_assert_eq!(dense.count(), taken.len());
            prop_assert_eq!(dense.rank(probe), taken.range(..probe).count());
            prop_assert_eq!(words.rank(probe), dense.rank(probe));
            prop_assert_eq!(dense.next(probe), taken.range(probe..).next().copied());
            prop_assert_eq!(dense.previous(probe), taken.range(..probe).next_back().copied());
            prop_assert_eq!(words.previous(probe), dense.previous(probe));
            prop_assert_eq!(dense.any_taken(probe / 2..probe), taken.range(probe / 2..probe).next().is_some());
            for (index, &place) in taken.iter().enumerate() {
                prop_assert_eq!(dense.select(index), Some(place));
                prop_assert!(dense.is_taken(place) && words.is_taken(place));
            }
            prop_assert_eq!(dense.select(taken.len()), None);
        }
        let node = Node::new(page.as_slice());
        for delta in [0u64, 1] {
            let key = (1000 + probe as u64 + delta).to_be_bytes();
            let below = taken.range(..probe + delta as usize).count();
            let through = taken.range(..=probe + delta as usize).count();
            prop_assert_eq!((node.position(&key, false), node.position(&key, true)), (below, through));
            let longer = [&key[..], &[0]].concat();
            prop_assert_eq!((node.position(&longer, false), node.position(&longer, true)), (through, through));
            let shorter = &key[..7];
            let first = usize::from(key[7]) % 256;
            let before = (probe + delta as usize).checked_sub(first).map_or(0, |at| taken.range(..at).count());
            prop_assert_eq!((node.position(shorter, false), node.position(shorter, true)), (before, before));
        }
    }
}

#[test]
fn keys_at_the_ends_of_their_numbers_have_places() {
    for (low, high) in [(0u64, 40u64), (u64::MAX - 40, u64::MAX)] {
        let mut page =
            super::super::build::Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap().finish();
        for n in low..=high {
            assert!(put_on(&mut page, &n.to_be_bytes(), &[1; 90]));
        }
        let node = Node::new(page.as_slice());
        assert!(node.is_dense() || node.count() * 108 < 3900, "{}", node.count());
        assert_page_is_whole(&page);
    }
    let mut page = super::super::build::Builder::new(4096, &Plan::root(1, LONE_PAGE, 0)).unwrap().finish();
    (0..=255u8).for_each(|n| assert!(put_on(&mut page, &[n], &[n; 8])));
    assert!(Node::new(page.as_slice()).is_dense());
    assert_eq!(Dense::of(Node::new(page.as_slice())).shape().places, 256);
    assert_page_is_whole(&page);
}
