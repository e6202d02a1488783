//! What follows from options.

use super::*;

fn limits(budget: usize) -> Limits {
    Limits::new(&Options::default().memory_budget(budget)).unwrap()
}

#[test]
fn limits_follow_the_budget() {
    let small = limits(2 << 20);
    assert_eq!((small.ring_bytes, small.commit_bytes, small.stripes), (64 << 10, 256 << 10, 256));
    assert_eq!((small.log_bytes_max, small.segment_bytes_max), (32 << 20, 4 << 20));
    let large = limits(1 << 30);
    assert_eq!((large.ring_bytes, large.commit_bytes, large.stripes), (8 << 20, 16 << 20, 1024));
    assert_eq!((large.log_bytes_max, large.segment_bytes_max), (1 << 30, 64 << 20));
}

#[test]
fn what_cannot_be_is_refused() {
    assert!(Limits::new(&Options::default().memory_budget(1 << 20)).is_err());
    for page in [0, 1000, 2048, 5000, 131_072] {
        assert!(Limits::new(&Options::default().page_size(page)).is_err(), "{page}");
    }
}
