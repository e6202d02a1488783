//! Keys are distinct and in random order; values tell whose they are.

use std::collections::BTreeSet;

use super::{ABSENT, fill_value, is_value_of, key, sequential_key};
use crate::random::Random;

#[test]
fn golden() {
    // Data sets of different versions hold the same keys.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&key(0)), "e220a8397b1dcdaf8209b480faed1b10");
    assert_eq!(hex(&key(1)), "910a2dec89025cc101d60447fea35413");
    assert_eq!(hex(&sequential_key(258)[..8]), "0000000000000102");
    assert_eq!(key(258)[8..], sequential_key(258)[8..]);
}

#[test]
fn keys_are_distinct_and_absent_ones_are_apart() {
    let present: BTreeSet<_> = (0..50_000).map(key).collect();
    assert_eq!(present.len(), 50_000);
    let mut random = Random::new(1, 0);
    assert!((0..50_000).all(|_| !present.contains(&key(ABSENT | random.next_u64()))));
}

#[test]
fn scrambled_keys_are_in_random_order_and_sequential_ones_rise() {
    // Of random numbers, each is greater than the one before in half of all cases; 300 are six standard
    // deviations for 10,000.
    let rises = (1..10_001).filter(|&number| key(number - 1) < key(number)).count();
    assert!(rises.abs_diff(5_000) < 300, "{rises}");
    assert!((1..10_001).all(|number| sequential_key(number - 1) < sequential_key(number)));
}

#[test]
fn a_value_belongs_to_its_key_alone() {
    let mut random = Random::new(1, 0);
    for len in [8, 9, 15, 16, 17, 100, 1000] {
        let mut value = vec![0; len];
        fill_value(&key(5), &mut value, &mut random);
        assert!(is_value_of(&key(5), &value, len));
        assert!(!is_value_of(&key(6), &value, len));
        assert!(!is_value_of(&key(5), &value, len + 1));
        assert!(!is_value_of(&key(5), &value[..7], 7));
        assert!(!is_value_of(&[], &value, len));
    }
}

#[test]
fn a_value_is_half_random_and_half_compressible() {
    let mut random = Random::new(1, 0);
    let mut values = [[0; 100], [0; 100]];
    values.iter_mut().for_each(|value| fill_value(&key(5), value, &mut random));
    assert_eq!(values[0][..8], values[1][..8]);
    let same = (8..50).filter(|&at| values[0][at] == values[1][at]).count();
    assert!(same < 5, "{same} of 42 random bytes agree");
    assert_eq!(values[0][50..], [b'.'; 50]);
}
