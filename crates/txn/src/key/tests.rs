//! Tests of ranges of keys.

use super::*;

fn range(from: &[u8], to: Option<&[u8]>) -> KeyRange {
    KeyRange { from: from.into(), to: to.map(Into::into) }
}

#[test]
fn bounds_become_half_open() {
    assert_eq!(KeyRange::new(Bound::Included(b"a"), Bound::Excluded(b"b")), range(b"a", Some(b"b")));
    assert_eq!(KeyRange::new(Bound::Excluded(b"a"), Bound::Included(b"b")), range(b"a\0", Some(b"b\0")));
    assert_eq!(KeyRange::new(Bound::Unbounded, Bound::Unbounded), range(b"", None));
}

#[test]
fn overlap_needs_a_common_key() {
    let check = |a: &KeyRange, b: &KeyRange, expected: bool| {
        assert_eq!((a.overlaps(b), b.overlaps(a)), (expected, expected), "{a:?} {b:?}");
    };
    check(&range(b"a", Some(b"c")), &range(b"b", Some(b"d")), true);
    check(&range(b"a", Some(b"b")), &range(b"b", Some(b"d")), false);
    check(&range(b"a", None), &range(b"z", None), true);
    check(&range(b"c", Some(b"b")), &range(b"a", None), false); // the first is empty
}

#[test]
fn bounds_never_panic_in_a_map() {
    let map = std::collections::BTreeMap::from([(Box::<[u8]>::from(&b"b"[..]), 1)]);
    for range in [range(b"c", Some(b"a")), range(b"b", Some(b"b"))] {
        assert!(range.is_empty());
        assert_eq!(map.range::<[u8], _>(range.bounds()).count(), 0);
    }
    assert_eq!(map.range::<[u8], _>(KeyRange::all().bounds()).count(), 1);
}

#[test]
fn what_is_ahead_excludes_the_key() {
    let all = KeyRange::all();
    assert_eq!(all.ahead_of(b"m", Direction::Forward), range(b"m\0", None));
    assert_eq!(all.ahead_of(b"m", Direction::Backward), range(b"", Some(b"m")));
}
