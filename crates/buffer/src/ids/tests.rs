//! Ids in a row, and one by one.

use super::*;

fn run(first: u32, pages: u32) -> PageRun {
    PageRun { first: PageId(first), pages }
}

#[test]
fn long_gaps_serve_those_who_want_many() {
    let free = (10..12).chain(100..200).collect();
    let mut ids = PageIds::new(300, free);
    assert_eq!(ids.in_use(), 299 - 102);
    assert_eq!(ids.allocate_run(60, 1000), Some(run(100, 60)));
    assert_eq!(ids.allocate_run(60, 1000), Some(run(300, 60)), "new ones rather than few");
    assert_eq!(ids.allocate_run(60, 380), Some(run(160, 40)), "the most there are in a row");
    assert_eq!(ids.allocate_run(60, 380), Some(run(360, 20)));
    assert_eq!(ids.allocate(380), Some(PageId(10)));
    assert_eq!(ids.allocate_run(60, 380), Some(run(11, 1)), "what is left");
    assert_eq!(ids.allocate_run(60, 380), None);
    ids.free_run(run(20, 30));
    assert_eq!(ids.allocate(380), Some(PageId(20)));
    assert_eq!(ids.in_use(), 379 - 29);
}

#[test]
fn only_free_ids_are_claimed() {
    let mut ids = PageIds::new(20, vec![3, 4, 9]);
    assert!(!ids.claim(run(4, 2)), "5 is in use");
    assert!(!ids.claim(run(0, 1)));
    assert!(ids.claim(run(3, 2)));
    assert!(!ids.claim(run(3, 1)), "once");
    assert!(!ids.claim(run(19, 3)), "19 is in use");
    assert!(ids.claim(run(25, 5)));
    assert_eq!(ids.next(), 30);
    assert_eq!(ids.allocate_run(9, 100), Some(run(30, 9)));
    assert_eq!(ids.allocate(30), Some(PageId(9)));
    assert_eq!(ids.allocate_run(9, 39), Some(run(20, 5)), "what was jumped over is free");
}
