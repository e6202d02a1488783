//! Bounds of prefixes.

use super::*;

#[test]
fn a_prefix_ends_before_its_successor() {
    let bounds = |prefix: &[u8]| prefix_bounds(prefix);
    assert_eq!(bounds(b"ab"), (Bound::Included(b"ab".to_vec()), Bound::Excluded(b"ac".to_vec())));
    assert_eq!(
        bounds(b"a\xff\xff"),
        (Bound::Included(b"a\xff\xff".to_vec()), Bound::Excluded(b"b".to_vec()))
    );
    assert_eq!(bounds(b"\xff"), (Bound::Included(b"\xff".to_vec()), Bound::Unbounded));
    assert_eq!(bounds(b""), (Bound::Included(Vec::new()), Bound::Unbounded));
}
