//! Where records are divided.

use super::*;
use crate::LeafValue;

fn weights(records: &[(u64, usize)]) -> Weights {
    let mut weights = Weights { records: Vec::new(), total: 0 };
    records.iter().for_each(|&(hash, bytes)| weights.push(hash, bytes));
    weights
}

#[test]
fn a_cut_has_the_most_zeros_that_there_can_be() {
    assert_eq!(between(0x1234, 0x1235), Some(0x1235));
    assert_eq!(between(0x1234, 0x1F00), Some(0x1800));
    assert_eq!(between(0, u64::MAX), Some(1 << 63));
    assert_eq!(between(7, 7), None);
}

#[test]
fn parts_are_as_equal_as_they_can_be() {
    let records: Vec<_> = (0..30).map(|n| (n << 32, 100)).collect();
    assert_eq!(weights(&records).divide(2, 0, 1600), Some(vec![15 << 32]));
    assert_eq!(weights(&records).divide(3, 0, 1000), Some(vec![10 << 32, 20 << 32]));
    assert_eq!(weights(&records).divide(3, 0, 999), None);
    assert_eq!(weights(&[(0, 500), (1 << 40, 10), (1 << 41, 10)]).divide(2, 0, 500), Some(vec![1 << 40]));
}

#[test]
fn equal_hashes_and_those_that_the_page_cannot_tell_apart_stay_together() {
    let equal = weights(&[(5, 10), (5, 10), (5, 10)]);
    assert_eq!(equal.divide(2, 32, 100), None);
    let near = weights(&[(5, 10), (6, 10)]);
    assert_eq!(near.divide(2, 0, 100), None);
    assert_eq!(near.divide(2, 31, 100), None.or(Some(vec![6])).filter(|_| can_begin(31, 6)));
    assert_eq!(near.divide(2, 32, 100), Some(vec![6]));
    assert_eq!(near.divide(3, 32, 100), None);
}

#[test]
fn the_incoming_record_counts_in_its_place() {
    let items = [(10, "a"), (10, "b"), (30, "c")].map(|(hash, key)| Item {
        hash,
        key: key.as_bytes(),
        value: LeafValue::inline(b"12345"),
    });
    let of = |hash, key: &'static str| {
        let incoming = Incoming { hash, key: key.as_bytes(), value_len: 100 };
        let weights = Weights::of(&items, Some(&incoming));
        (weights.records.clone(), weights.total())
    };
    assert_eq!(of(20, "x"), (vec![(10, 0), (10, 13), (20, 26), (30, 134)], 147));
    assert_eq!(of(40, "x"), (vec![(10, 0), (10, 13), (30, 26), (40, 39)], 147));
    assert_eq!(of(5, "x"), (vec![(5, 0), (10, 108), (10, 121), (30, 134)], 147));
    // A longer value for a record that is there.
    assert_eq!(of(10, "b"), (vec![(10, 0), (10, 13), (30, 121)], 134));
}
