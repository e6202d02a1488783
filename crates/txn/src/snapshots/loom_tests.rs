//! A snapshot against a census, while `visible` rises, in every interleaving that loom finds.

use super::*;
use loom::thread;

#[test]
fn loom_no_census_misses_a_snapshot() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let snapshots = Arc::new(Snapshots::new(visible.clone()));
        let writer = thread::spawn(move || visible.complete(CommitLsn(0), CommitLsn(10)));
        let cutter = {
            let snapshots = snapshots.clone();
            thread::spawn(move || snapshots.census())
        };
        let snapshot = snapshots.take().unwrap();
        let census = cutter.join().unwrap();
        let lsn = snapshot.lsn();
        assert!(census.any_within(lsn, CommitLsn(lsn.0 + 1)), "SN1: {census:?} misses {lsn:?}");
        drop(snapshot);
        writer.join().unwrap();
    });
}

/// As above, but the snapshot goes and comes again in the same slot.
#[test]
fn loom_no_census_misses_the_next_holder_of_a_slot() {
    loom::model(|| {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let snapshots = Arc::new(Snapshots::new(visible.clone()));
        let first = snapshots.take().unwrap();
        let cutter = {
            let snapshots = snapshots.clone();
            thread::spawn(move || {
                visible.complete(CommitLsn(0), CommitLsn(10));
                snapshots.census()
            })
        };
        drop(first);
        let second = snapshots.take().unwrap();
        let census = cutter.join().unwrap();
        let lsn = second.lsn();
        assert!(census.any_within(lsn, CommitLsn(lsn.0 + 1)), "SN1: {census:?} misses {lsn:?}");
    });
}
