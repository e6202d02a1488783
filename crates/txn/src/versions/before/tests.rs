//! Tests of before-images.

use super::*;
use proptest::prelude::*;

#[test]
fn ranges_out_of_order_or_bounds_are_no_patch() {
    assert_eq!(InversePatch::new(b"abcd", [2..3, 0..1]), None);
    assert_eq!(InversePatch::new(b"abcd", [0..2, 1..3]), None);
    assert_eq!(InversePatch::new(b"abcd", std::iter::once(3..5)), None);
    assert!(InversePatch::new(b"abcd", [0..1, 3..4]).is_some());
}

#[test]
fn a_patch_goes_back_from_the_value_after_and_leaves_the_one_before() {
    let before = Before::Patch(InversePatch::new(b"abcd", std::iter::once(1..3)).unwrap());
    for store in [b"aXYd", b"abcd"] {
        let mut value = Some(store.to_vec());
        before.step_back(&mut value);
        assert_eq!(value.unwrap(), b"abcd", "BE1");
    }
}

#[test]
fn a_patch_of_a_foreign_value_panics_never() {
    let patch = InversePatch::new(b"abcd", std::iter::once(1..4)).unwrap();
    let mut value = Some(b"ab".to_vec());
    Before::Patch(patch).step_back(&mut value);
    assert_eq!(value.unwrap(), b"ab");
}

fn changed(value: &[u8]) -> impl Strategy<Value = (Vec<u8>, Range<usize>)> + use<> {
    let value = value.to_vec();
    (0..value.len(), 0..value.len(), any::<u8>()).prop_map(move |(a, b, byte)| {
        let range = a.min(b)..a.max(b) + 1;
        let mut after = value.clone();
        after[range.clone()].iter_mut().enumerate().for_each(|(at, old)| *old = byte.wrapping_add(at as u8));
        (after, range)
    })
}

proptest! {
    /// Three states, two changes: going back by both is going back by what they are together.
    #[test]
    fn absorbing_is_going_back_twice(
        (first, (second, one)) in proptest::collection::vec(any::<u8>(), 8)
            .prop_flat_map(|value| (Just(value.clone()), changed(&value))),
        seed in any::<u8>(), a in 0_usize..8, b in 0_usize..8, whole in any::<bool>(),
    ) {
        let two = a.min(b)..a.max(b) + 1;
        let mut third = second.clone();
        third[two.clone()].fill(seed);
        let mut older = Before::Patch(InversePatch::new(&first, [one]).unwrap());
        let newer = match whole {
            true => Before::Value(second.clone().into()),
            false => Before::Patch(InversePatch::new(&second, [two]).unwrap()),
        };
        older.absorb(newer);
        let mut value = Some(third);
        older.step_back(&mut value);
        prop_assert_eq!(value.unwrap(), first);
    }
}
