//! Commits that complete in any order, a waiter, and a reader, in every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p aquifer-txn --lib --release loom`

use super::*;
use aquifer_sync::Arc;
use loom::thread;

#[test]
fn loom_no_completion_is_lost_and_what_was_done_is_seen() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let applied = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let commits: Vec<_> = (0..2_u64)
            .map(|number| {
                let (visible, applied) = (visible.clone(), applied.clone());
                thread::spawn(move || {
                    applied[number as usize].store(1, Ordering::Relaxed);
                    visible.complete(CommitLsn(number * 10), CommitLsn(number * 10 + 10));
                })
            })
            .collect();
        let seen = visible.get().0;
        for number in 0..seen / 10 {
            assert_eq!(applied[number as usize].load(Ordering::Relaxed), 1, "VI3");
        }
        commits.into_iter().for_each(|commit| commit.join().unwrap());
        assert_eq!(visible.get().0, 20, "VI4");
    });
}

#[test]
fn loom_a_waiter_is_woken() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let commits: Vec<_> = (0..2_u64)
            .map(|number| {
                let visible = visible.clone();
                thread::spawn(move || {
                    visible.complete(CommitLsn(number * 10), CommitLsn(number * 10 + 10));
                })
            })
            .collect();
        visible.sleep(20).unwrap();
        assert_eq!(visible.get().0, 20, "T1");
        commits.into_iter().for_each(|commit| commit.join().unwrap());
    });
}
