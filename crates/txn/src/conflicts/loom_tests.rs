//! A commit against a serializable transaction, in every interleaving that loom finds.

use super::*;
use crate::visible::Visible;
use loom::thread;

struct World {
    snapshots: Snapshots,
    conflicts: Conflicts,
    next: AtomicU64,
}

fn world() -> Arc<World> {
    Arc::new(World {
        snapshots: Snapshots::new(Arc::new(Visible::new(CommitLsn(0)))),
        conflicts: Conflicts::new(1 << 20),
        next: AtomicU64::new(0),
    })
}

fn keys(key: &[u8]) -> WriteKeys {
    WriteKeys { keys: vec![(1, key.into())], ranges: Vec::new() }
}

fn reads(key: &[u8]) -> ReadSet {
    let mut reads = ReadSet::new(1 << 10);
    reads.add_key(1, key).unwrap();
    reads
}

impl World {
    /// The LSN under which the key was committed, if nobody began to watch meanwhile; else the place is aborted.
    fn commit(&self, key: &[u8]) -> Option<CommitLsn> {
        let notice = self.conflicts.notice(|| keys(key));
        let start = CommitLsn(self.next.fetch_add(10, Ordering::AcqRel));
        let end = CommitLsn(start.0 + 10);
        let shown = notice.shown(end);
        self.snapshots.visible().complete(start, end);
        shown.ok()?;
        self.snapshots.visible().wait(end).unwrap();
        notice.committed();
        Some(end)
    }

    fn watch(&self) -> (Watch<&Conflicts>, Snapshot) {
        let reserved = || CommitLsn(self.next.fetch_add(0, Ordering::AcqRel));
        self.conflicts.watch(&self.snapshots, reserved).unwrap()
    }

    /// Reads one key and writes another: its place if it was serializable. It may leave before it is visible.
    fn read_and_write(
        &self,
        watch: &Watch<&Conflicts>,
        read: &[u8],
        written: &[u8],
        waits: bool,
    ) -> Option<CommitLsn> {
        let notice = self.conflicts.notice(|| keys(written));
        let start = CommitLsn(self.next.fetch_add(10, Ordering::AcqRel));
        let end = CommitLsn(start.0 + 10);
        notice.shown(end).unwrap();
        let verdict = watch.validate(&reads(read), start, &notice);
        self.snapshots.visible().complete(start, end);
        verdict.ok()?;
        if waits {
            self.snapshots.visible().wait(end).unwrap();
            notice.committed();
        }
        Some(start)
    }
}

/// Does anyone need my keys? Whatever an autocommit and the beginning of a watch do to each other, the write is seen by the snapshot, or found by
/// the validation, or comes after it.
#[test]
fn loom_no_autocommit_is_missed() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let world = world();
        let writer = {
            let world = world.clone();
            thread::spawn(move || world.commit(b"a"))
        };
        let (watch, snapshot) = world.watch();
        let place = world.read_and_write(&watch, b"a", b"b", false);
        let from = snapshot.lsn();
        drop(snapshot);
        drop(watch);
        let committed = writer.join().unwrap();
        if let (Some(place), Some(committed)) = (place, committed) {
            assert!(
                committed <= from || committed > place,
                "CO1: {committed:?} between {from:?} and {place:?}"
            );
        }
    });
}

/// Preparing against validation: of two that each read what the other writes, one at most commits.
#[test]
fn loom_no_write_skew() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let world = world();
        let first = world.watch();
        let from = first.1.lsn();
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                let (watch, _snapshot) = world.watch();
                let from = watch.from;
                (world.read_and_write(&watch, b"a", b"b", true), from)
            })
        };
        let mine = world.read_and_write(&first.0, b"b", b"a", true);
        let (theirs, their_from) = other.join().unwrap();
        if let (Some(mine), Some(theirs)) = (mine, theirs) {
            // Both committed, so one of them began after the other was visible.
            assert!(their_from > mine || from > theirs, "CO2: {mine:?} {theirs:?} {their_from:?}");
        }
        drop(first);
    });
}
