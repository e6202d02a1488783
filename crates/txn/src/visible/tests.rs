//! Tests of the visible prefix.

use super::*;
use aquifer_sync::atomic::AtomicUsize;
use aquifer_sync::{Arc, thread};
use std::time::Duration;

fn complete(visible: &Visible, start: u64, end: u64) -> u64 {
    visible.complete(CommitLsn(start), CommitLsn(end));
    visible.get().0
}

#[test]
fn visible_rises_over_the_unbroken_prefix() {
    let visible = Visible::new(CommitLsn(7));
    assert_eq!(complete(&visible, 20, 30), 7);
    assert_eq!(complete(&visible, 40, 41), 7);
    assert_eq!(complete(&visible, 10, 20), 7);
    assert_eq!(complete(&visible, 7, 10), 30);
    assert_eq!(complete(&visible, 30, 40), 41);
    assert_eq!(complete(&visible, 41, 42), 42);
    assert_eq!(visible.word.0.load(Ordering::Relaxed) & WAITED, 0, "nobody waits any more");
}

#[test]
#[should_panic(expected = "VI1")]
fn completing_twice_panics() {
    let visible = Visible::new(CommitLsn(0));
    visible.complete(CommitLsn(0), CommitLsn(5));
    visible.complete(CommitLsn(0), CommitLsn(5));
}

#[test]
fn a_sleeper_wakes_when_its_commit_is_passed() {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let woken = Arc::new(AtomicUsize::new(0));
    let sleepers: Vec<_> = [10, 20]
        .map(|lsn| {
            let (visible, woken) = (visible.clone(), woken.clone());
            thread::spawn(move || {
                visible.wait(CommitLsn(lsn)).unwrap();
                woken.fetch_add(1, Ordering::Relaxed);
                assert!(visible.get().0 >= lsn);
            })
        })
        .into();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(woken.load(Ordering::Relaxed), 0);
    complete(&visible, 10, 20);
    complete(&visible, 0, 10);
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

#[test]
fn stopping_wakes_sleepers_with_an_error() {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let sleeper = {
        let visible = visible.clone();
        thread::spawn(move || visible.wait(CommitLsn(10)))
    };
    thread::sleep(Duration::from_millis(10));
    visible.stop();
    assert_eq!(sleeper.join().unwrap(), Err(Error::Stopped));
    assert_eq!(visible.wait(CommitLsn(1)), Err(Error::Stopped));
    assert_eq!(visible.wait(CommitLsn(0)), Ok(()), "what is visible stays so");
}

#[test]
fn many_threads_leave_no_hole() {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let next = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (visible, next) = (visible.clone(), next.clone());
            thread::spawn(move || {
                for len in 1..=5_000 {
                    let start = next.fetch_add(len, Ordering::Relaxed);
                    visible.complete(CommitLsn(start), CommitLsn(start + len));
                    visible.wait(CommitLsn(start + len)).unwrap();
                    assert!(visible.get().0 >= start + len, "T1");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(visible.get().0, next.load(Ordering::Relaxed));
}
