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

/// A commit, a snapshot, and somebody who would have commits keep nothing; `before` says whether a snapshot was taken already.
fn a_commit_keeps_what_a_snapshot_needs(before: bool, rests: bool) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let next = Arc::new(AtomicU64::new(0));
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let reserved = {
            let next = next.clone();
            move || CommitLsn(next.fetch_add(0, Ordering::AcqRel))
        };
        let snapshots = Arc::new(Snapshots::resting(visible.clone(), reserved));
        if before {
            drop(snapshots.take().unwrap());
        }
        let writer = {
            let snapshots = snapshots.clone();
            thread::spawn(move || {
                let start = next.fetch_add(10, Ordering::AcqRel);
                let kept = snapshots.are_versions_kept();
                visible.complete(CommitLsn(start), CommitLsn(start + 10));
                kept
            })
        };
        let rester = rests.then(|| {
            let snapshots = snapshots.clone();
            thread::spawn(move || drop(snapshots.rest()))
        });
        let snapshot = snapshots.take().unwrap();
        let kept = writer.join().unwrap();
        assert!(kept || snapshot.lsn() == CommitLsn(10), "RT1: nothing was kept for {:?}", snapshot.lsn());
        if let Some(rester) = rester {
            rester.join().unwrap();
        }
        assert!(snapshots.are_versions_kept(), "RT2");
    });
}

#[test]
fn loom_the_first_snapshot_finds_what_it_needs() {
    a_commit_keeps_what_a_snapshot_needs(false, false);
}

#[test]
fn loom_nobody_rests_under_a_snapshot() {
    a_commit_keeps_what_a_snapshot_needs(true, true);
}

/// Two first snapshots at once.
#[test]
fn loom_who_finds_another_starting_waits_too() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let next = Arc::new(AtomicU64::new(0));
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let reserved = {
            let next = next.clone();
            move || CommitLsn(next.fetch_add(0, Ordering::AcqRel))
        };
        let snapshots = Arc::new(Snapshots::resting(visible.clone(), reserved));
        let other = {
            let snapshots = snapshots.clone();
            thread::spawn(move || snapshots.take().unwrap().lsn())
        };
        let writer = {
            let snapshots = snapshots.clone();
            thread::spawn(move || {
                let start = next.fetch_add(10, Ordering::AcqRel);
                let kept = snapshots.are_versions_kept();
                visible.complete(CommitLsn(start), CommitLsn(start + 10));
                kept
            })
        };
        let lsn = snapshots.take().unwrap().lsn();
        let (other, kept) = (other.join().unwrap(), writer.join().unwrap());
        assert!(kept || (lsn, other) == (CommitLsn(10), CommitLsn(10)), "RT1: {lsn:?} {other:?}");
    });
}

/// Two who would rest at once, and a snapshot that is taken meanwhile.
#[test]
fn loom_one_rests_at_a_time() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let snapshots = Arc::new(Snapshots::resting(visible, || CommitLsn(0)));
        drop(snapshots.take().unwrap());
        let rest = || {
            let snapshots = snapshots.clone();
            thread::spawn(move || drop(snapshots.rest()))
        };
        let resters = [rest(), rest()];
        let snapshot = snapshots.take().unwrap();
        resters.map(|rester| rester.join().unwrap());
        assert!(snapshots.are_versions_kept(), "RT2");
        drop(snapshot);
    });
}
