//! What a queue gives, in which order, and what it says of what it left out.

use super::*;

fn queue(bytes_max: usize) -> Queue {
    Queue::new(1, (Bound::Unbounded, Bound::Unbounded), bytes_max)
}

fn push(queue: &Queue, lsn: u64) {
    queue.push(Lsn(lsn), lsn.to_string().into_bytes().into(), What::Deleted);
}

fn take(queue: &Queue, visible: u64) -> Option<(u64, What)> {
    let taken = queue.take(|| Lsn(visible), || false, Some(Instant::now()));
    taken.map(|(lsn, _, what)| (lsn.0, what))
}

#[test]
fn events_come_in_commit_order_when_they_are_visible() {
    let queue = queue(1 << 10);
    push(&queue, 20);
    push(&queue, 10);
    assert_eq!(take(&queue, 5), None);
    assert_eq!(take(&queue, 15), Some((10, What::Deleted)));
    assert_eq!(take(&queue, 15), None);
    assert_eq!(take(&queue, 20), Some((20, What::Deleted)));
}

#[test]
fn what_was_committed_before_the_beginning_is_left_out() {
    let queue = queue(1 << 10);
    push(&queue, 20);
    push(&queue, 30);
    queue.begin(Lsn(20));
    push(&queue, 15);
    assert_eq!(take(&queue, 30), Some((30, What::Deleted)));
    assert_eq!(take(&queue, 30), None);
}

#[test]
fn a_slow_watcher_is_told_what_it_missed() {
    let queue = queue(2 * (EVENT_BYTES + 2));
    for lsn in [10, 30, 20, 50, 40] {
        push(&queue, lsn); // 20 and what comes after it does not fit
    }
    assert_eq!(take(&queue, 60), Some((10, What::Deleted)));
    push(&queue, 60); // there would be room, but nobody has come to be told yet
    assert_eq!(take(&queue, 50), None, "who reads the table when he is told must find 60");
    push(&queue, 55); // one of those that are missed
    push(&queue, 70);
    assert_eq!(take(&queue, 60), Some((20, What::Missed(Lsn(60)))));
    assert_eq!(take(&queue, 70), Some((70, What::Deleted)));
    assert_eq!(queue.state.lock().bytes, 0);
}

#[test]
fn ranges_meet() {
    let bounds = |from: &str, to: &str| {
        (Bound::Included(from.as_bytes().to_vec()), Bound::Excluded(to.as_bytes().to_vec()))
    };
    let queue = Queue::new(1, bounds("b", "d"), 100);
    assert!(queue.holds(b"b") && queue.holds(b"cz") && !queue.holds(b"d") && !queue.holds(b"a"));
    assert!(queue.overlaps(&bounds("a", "c")) && queue.overlaps(&bounds("c", "z")));
    assert!(!queue.overlaps(&bounds("a", "b")) && !queue.overlaps(&bounds("d", "z")));
    assert!(queue.may_hold_prefix(b"c") && queue.may_hold_prefix(b"b") && !queue.may_hold_prefix(b"a"));
}
