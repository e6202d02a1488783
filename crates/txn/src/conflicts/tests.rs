//! Tests of announcements and validation.

use super::*;
use crate::visible::Visible;

struct World {
    snapshots: Snapshots,
    conflicts: Conflicts,
    next: AtomicU64,
}

impl World {
    fn new(bytes_max: usize) -> World {
        World {
            snapshots: Snapshots::new(Arc::new(Visible::new(CommitLsn(0)))),
            conflicts: Conflicts::new(bytes_max),
            next: AtomicU64::new(0),
        }
    }

    fn watch(&self) -> (Watch<&Conflicts>, Snapshot) {
        let reserved = || CommitLsn(self.next.fetch_add(0, Ordering::AcqRel));
        self.conflicts.watch(&self.snapshots, reserved).unwrap()
    }

    fn reserve(&self) -> CommitLsn {
        CommitLsn(self.next.fetch_add(10, Ordering::AcqRel))
    }

    /// A whole commit of one key.
    fn commit(&self, key: &[u8]) {
        let notice = self.conflicts.notice(|| keys(key));
        let start = self.reserve();
        let end = CommitLsn(start.0 + 10);
        notice.shown(end).unwrap();
        self.snapshots.visible().complete(start, end);
        notice.committed();
    }

    /// Validates these reads at a place of their own, which is then complete.
    fn validate(&self, watch: &Watch<&Conflicts>, reads: &ReadSet) -> Result<()> {
        let notice = self.conflicts.notice(WriteKeys::default);
        let start = self.reserve();
        notice.shown(CommitLsn(start.0 + 10)).unwrap();
        let verdict = watch.validate(reads, start, &notice);
        self.snapshots.visible().complete(start, CommitLsn(start.0 + 10));
        verdict
    }
}

fn keys(key: &[u8]) -> WriteKeys {
    WriteKeys { keys: vec![(1, key.into())], ranges: Vec::new() }
}

fn reads(keys: &[&[u8]], ranges: &[(&[u8], &[u8])]) -> ReadSet {
    let mut reads = ReadSet::new(1 << 20);
    for key in keys {
        reads.add_key(1, key).unwrap();
    }
    for (from, to) in ranges {
        reads.add_range(1, KeyRange { from: (*from).into(), to: Some((*to).into()) }).unwrap();
    }
    reads
}

fn conflict(key: &[u8]) -> Result<()> {
    Err(Error::Conflict { table: 1, key: key.to_vec() })
}

#[test]
fn nothing_is_kept_while_nobody_watches() {
    let world = World::new(1 << 20);
    world.commit(b"a");
    assert_eq!(world.conflicts.bytes(), 0);
    let (watch, _snapshot) = world.watch();
    world.commit(b"a");
    assert!(world.conflicts.bytes() > 0);
    drop(watch);
    assert_eq!(world.conflicts.bytes(), 0);
    assert!(!world.conflicts.is_watched());
}

#[test]
fn keys_and_phantoms_after_the_snapshot_conflict() {
    let world = World::new(1 << 20);
    world.commit(b"early");
    let (watch, _snapshot) = world.watch();
    world.commit(b"m");
    assert_eq!(world.validate(&watch, &reads(&[b"m"], &[])), conflict(b"m"));
    assert_eq!(world.validate(&watch, &reads(&[], &[(b"a", b"z")])), conflict(b"m"));
    assert_eq!(world.validate(&watch, &reads(&[b"early", b"l"], &[(b"a", b"m"), (b"n", b"z")])), Ok(()));
}

#[test]
fn a_deleted_range_conflicts_with_what_was_read_in_it() {
    let world = World::new(1 << 20);
    let (watch, _snapshot) = world.watch();
    let range = KeyRange { from: (*b"b").into(), to: Some((*b"d").into()) };
    let notice = world.conflicts.notice(|| WriteKeys { keys: Vec::new(), ranges: vec![(1, range)] });
    let start = world.reserve();
    notice.shown(CommitLsn(start.0 + 10)).unwrap();
    assert_eq!(world.validate(&watch, &reads(&[b"c"], &[])), conflict(b"c"), "in flight");
    world.snapshots.visible().complete(start, CommitLsn(start.0 + 10));
    notice.committed();
    assert_eq!(world.validate(&watch, &reads(&[], &[(b"a", b"bb")])), conflict(b"a"), "recent");
    assert_eq!(world.validate(&watch, &reads(&[b"d"], &[(b"a", b"b")])), Ok(()));
}

#[test]
fn only_places_before_its_own_count() {
    let world = World::new(1 << 20);
    let (watch, _snapshot) = world.watch();
    let own = world.conflicts.notice(|| keys(b"own"));
    let place = world.reserve();
    own.shown(CommitLsn(place.0 + 10)).unwrap();
    let later = world.conflicts.notice(|| keys(b"later"));
    let later_place = world.reserve();
    later.shown(CommitLsn(later_place.0 + 10)).unwrap();
    assert_eq!(watch.validate(&reads(&[b"own", b"later"], &[]), place, &own), Ok(()));
    assert_eq!(
        watch.validate(&reads(&[b"own", b"later"], &[]), CommitLsn(later_place.0 + 10), &own),
        conflict(b"later")
    );
}

#[test]
fn what_is_withdrawn_counts_for_nothing() {
    let world = World::new(1 << 20);
    let (watch, _snapshot) = world.watch();
    let notice = world.conflicts.notice(|| keys(b"a"));
    let start = world.reserve();
    notice.shown(CommitLsn(start.0 + 10)).unwrap();
    drop(notice);
    assert_eq!(world.validate(&watch, &reads(&[b"a"], &[])), Ok(()));
}

#[test]
fn a_watch_that_begins_in_between_has_the_commit_begin_anew() {
    let world = World::new(1 << 20);
    let notice = world.conflicts.notice(|| unreachable!("nobody watches"));
    let (conflicts, visible) = (&world.conflicts, world.snapshots.visible());
    // The watcher does not wait for it: it has no place yet.
    let (watch, snapshot) = world.watch();
    let start = world.reserve();
    assert_eq!(notice.shown(CommitLsn(start.0 + 10)), Err(Unannounced));
    visible.complete(start, CommitLsn(start.0 + 10)); // as aborted
    drop(notice);
    assert!(conflicts.notice(|| keys(b"a")).shown(CommitLsn(30)).is_ok());
    assert_eq!(snapshot.lsn(), CommitLsn(0));
    drop(watch);
}

#[test]
fn beyond_the_budget_the_oldest_is_refused() {
    let world = World::new(10 << 10);
    let (oldest, _first) = world.watch();
    for number in 500..560_u32 {
        world.commit(&number.to_be_bytes());
    }
    let (younger, _second) = world.watch();
    for number in 0..120_u32 {
        world.commit(&number.to_be_bytes());
    }
    assert!(world.conflicts.bytes() <= 10 << 10);
    assert_eq!(world.validate(&oldest, &reads(&[b"k"], &[])), Err(Error::SnapshotTooOld));
    assert_eq!(world.validate(&younger, &reads(&[b"k"], &[])), Ok(()));
    assert_eq!(
        world.validate(&younger, &reads(&[&99_u32.to_be_bytes()], &[])),
        conflict(&99_u32.to_be_bytes())
    );
    for number in 120..1000_u32 {
        world.commit(&number.to_be_bytes());
    }
    assert!(world.conflicts.bytes() <= 10 << 10);
    assert_eq!(world.validate(&younger, &reads(&[b"k"], &[])), Err(Error::SnapshotTooOld));
    let (fresh, _third) = world.watch();
    assert_eq!(world.validate(&fresh, &reads(&[b"k"], &[])), Ok(()), "a new one is welcome");
}
