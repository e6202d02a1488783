//! Tests of read sets.

use super::*;
use proptest::prelude::*;
use std::ops::Bound;

fn range(from: u8, to: u8) -> KeyRange {
    KeyRange::new(Bound::Included(&[from]), Bound::Excluded(&[to]))
}

#[test]
fn ranges_that_touch_become_one() {
    let mut reads = ReadSet::new(1 << 20);
    for (from, to) in [(1, 3), (7, 9), (3, 5), (5, 7)] {
        reads.add_range(1, range(from, to)).unwrap();
    }
    assert_eq!(reads.ranges().collect::<Vec<_>>(), [(1, &range(1, 9))]);
}

#[test]
fn what_is_too_much_is_refused() {
    let mut reads = ReadSet::new(200);
    reads.add_key(1, b"one").unwrap();
    reads.add_key(1, b"one").unwrap();
    let refused = (0..10_u8).try_for_each(|number| reads.add_key(1, &[number]));
    assert!(matches!(refused, Err(Error::TransactionTooLarge { bytes_max: 200, .. })), "{refused:?}");
}

proptest! {
    #[test]
    fn it_contains_what_was_added(
        keys in proptest::collection::vec(0_u8..40, 0..5),
        ranges in proptest::collection::vec((0_u8..40, 0_u8..40), 0..8),
        asked in (0_u8..40, 0_u8..40),
    ) {
        let mut reads = ReadSet::new(1 << 20);
        for key in &keys {
            reads.add_key(3, &[*key]).unwrap();
        }
        for &(from, to) in &ranges {
            reads.add_range(3, range(from, to)).unwrap();
        }
        let inside = |key: u8| keys.contains(&key) || ranges.iter().any(|&(from, to)| from <= key && key < to);
        for key in 0..40 {
            prop_assert_eq!(reads.contains(3, &[key]), inside(key), "{}", key);
        }
        prop_assert!(!reads.contains(4, &[0]));
        // Whole numbers are all the keys that ranges were made of, but between two of them there are others.
        let expected = (asked.0..asked.1).any(inside);
        prop_assert_eq!(reads.any_within(3, &range(asked.0, asked.1)).is_some(), expected);
    }
}
