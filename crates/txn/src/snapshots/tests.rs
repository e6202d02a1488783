//! Tests of the registry of snapshots.

use super::*;
use aquifer_sync::atomic::AtomicBool;
use aquifer_sync::thread;

fn registry() -> (Arc<Visible>, Snapshots) {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    (visible.clone(), Snapshots::new(visible))
}

fn raise(visible: &Visible, to: u64) {
    visible.complete(visible.get(), CommitLsn(to));
}

#[test]
fn the_horizon_is_the_oldest_open_snapshot() {
    let (visible, snapshots) = registry();
    raise(&visible, 10);
    let first = snapshots.take().unwrap();
    raise(&visible, 20);
    let second = snapshots.take().unwrap();
    raise(&visible, 30);
    assert_eq!(snapshots.census().open(), [CommitLsn(10), CommitLsn(20)]);
    assert_eq!(snapshots.horizon(), CommitLsn(10));
    drop(first);
    assert_eq!(snapshots.horizon(), CommitLsn(20));
    drop(second);
    assert_eq!(snapshots.horizon(), CommitLsn(30));
}

#[test]
fn a_census_knows_where_snapshots_may_lie() {
    let (visible, snapshots) = registry();
    raise(&visible, 10);
    let _ten = snapshots.take().unwrap();
    raise(&visible, 30);
    let census = snapshots.census();
    let within = |from, to| census.any_within(CommitLsn(from), CommitLsn(to));
    assert_eq!((within(0, 10), within(0, 11), within(10, 11), within(11, 30)), (false, true, true, false));
    assert!(within(11, 31), "one may be taken at 30");
    assert!(within(40, 50));
}

#[test]
fn an_opening_snapshot_lowers_the_floor() {
    let (visible, snapshots) = registry();
    raise(&visible, 10);
    let (slot, _) = snapshots.claim().unwrap();
    raise(&visible, 20);
    let census = snapshots.census();
    assert_eq!((census.horizon(), census.open().len()), (CommitLsn(10), 0));
    slot.word.store(FREE, Ordering::Relaxed);
    assert_eq!(snapshots.horizon(), CommitLsn(20));
}

#[test]
fn snapshots_beyond_a_chunk_get_another_and_beyond_all_an_error() {
    let (_visible, snapshots) = registry();
    let open: Vec<_> = (0..CHUNK * CHUNKS_MAX).map(|_| snapshots.take().unwrap()).collect();
    assert_eq!(snapshots.take().unwrap_err(), Error::TooManySnapshots { max: 65_536 });
    drop(open);
    assert!(snapshots.take().is_ok());
}

#[test]
fn marking_reaches_the_old_ones_only() {
    let (visible, snapshots) = registry();
    raise(&visible, 10);
    let old = snapshots.take().unwrap();
    raise(&visible, 20);
    let new = snapshots.take().unwrap();
    assert_eq!(snapshots.mark_too_old(CommitLsn(19)), 1);
    assert_eq!((old.check(), new.check()), (Err(Error::SnapshotTooOld), Ok(())));
    assert_eq!(snapshots.horizon(), CommitLsn(20), "a marked one holds nothing");
    drop((old, new));
    let after = snapshots.take().unwrap();
    assert_eq!(after.check(), Ok(()), "the mark goes with the snapshot");
}

#[test]
fn the_oldest_grows_older() {
    let (visible, snapshots) = registry();
    assert_eq!(snapshots.oldest(), None);
    let _old = snapshots.take().unwrap();
    assert_eq!(snapshots.oldest().unwrap().0, CommitLsn(0));
    raise(&visible, 10);
    let _new = snapshots.take().unwrap();
    thread::sleep(Duration::from_millis(30));
    let (lsn, age) = snapshots.oldest().unwrap();
    assert_eq!(lsn, CommitLsn(0));
    assert!(age >= Duration::from_millis(25), "{age:?}");
}

#[test]
fn no_horizon_passes_a_snapshot() {
    let (visible, snapshots) = registry();
    let (snapshots, done) = (Arc::new(snapshots), Arc::new(AtomicBool::new(false)));
    let mut threads: Vec<_> = (0..3)
        .map(|_| {
            let (snapshots, done) = (snapshots.clone(), done.clone());
            thread::spawn(move || {
                let mut last = CommitLsn(0);
                while !done.load(Ordering::Relaxed) {
                    let first = snapshots.take().unwrap();
                    let second = snapshots.take().unwrap();
                    assert!(last <= first.lsn() && first.lsn() <= second.lsn(), "SN3");
                    for _ in 0..10 {
                        assert!(snapshots.horizon() <= first.lsn(), "SN1");
                    }
                    last = second.lsn();
                }
            })
        })
        .collect();
    threads.push(thread::spawn(move || {
        for lsn in 1..200_000 {
            raise(&visible, lsn);
        }
        done.store(true, Ordering::Relaxed);
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn commits_keep_nothing_while_no_snapshot_is_open() {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let snapshots = Snapshots::resting(visible.clone(), || CommitLsn(0));
    assert!(!snapshots.are_versions_kept());
    let open = snapshots.take().unwrap();
    assert!(snapshots.are_versions_kept() && !snapshots.rest());
    drop(open);
    assert!(snapshots.are_versions_kept(), "until somebody rests");
    assert!(snapshots.rest() && !snapshots.are_versions_kept() && !snapshots.rest());
    visible.stop();
}

#[test]
fn the_first_snapshot_waits_for_the_commits_under_way() {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let snapshots = Arc::new(Snapshots::resting(visible.clone(), || CommitLsn(10)));
    let taken = {
        let snapshots = snapshots.clone();
        thread::spawn(move || snapshots.take().map(|snapshot| snapshot.lsn()))
    };
    visible.complete(CommitLsn(0), CommitLsn(10));
    assert_eq!(taken.join().unwrap(), Ok(CommitLsn(10)));
    // And gets an error, and leaves no slot claimed, if they never end.
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let stopped = Snapshots::resting(visible.clone(), || CommitLsn(10));
    visible.stop();
    assert_eq!(stopped.take().map(drop), Err(Error::Stopped));
    assert_eq!(stopped.horizon(), CommitLsn(0));
}
