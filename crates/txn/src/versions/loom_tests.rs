//! A commit and a cutter against a reader, in every interleaving that loom finds.

use super::*;
use crate::visible::Visible;
use aquifer_pools::Budget;
use aquifer_sync::atomic::AtomicU64;
use loom::thread;

const KEY: &[u8] = b"k";

struct World {
    visible: Arc<Visible>,
    snapshots: Arc<Snapshots>,
    versions: Versions,
    /// The store: one number.
    store: AtomicU64,
}

fn world() -> Arc<World> {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let snapshots = Arc::new(Snapshots::new(visible.clone()));
    let account = Budget::new(1 << 20).account("versions");
    let options = VersionsOptions { bytes_max: 1 << 10, shards: 1 };
    let versions = Versions::new(options, snapshots.clone(), account);
    Arc::new(World { visible, snapshots, versions, store: AtomicU64::new(0) })
}

impl World {
    /// Commits `lsn / 10`, the only change since `lsn - 10`.
    fn commit(&self, lsn: u64) {
        let before = Before::Value(((lsn / 10 - 1) as u8).to_be_bytes().into());
        self.versions.push(1, KEY, Change { lsn: CommitLsn(lsn), before, deletes: false, merges: false });
        self.store.store(lsn / 10, Ordering::Release);
        self.visible.complete(CommitLsn(lsn - 10), CommitLsn(lsn));
    }

    /// What the snapshot sees.
    fn read(&self, snapshot: &Snapshot) -> Result<u64> {
        let current = (self.store.load(Ordering::Acquire) as u8).to_be_bytes();
        Ok(match self.versions.value_as_of(snapshot, 1, KEY, Some(&current))? {
            AsOf::Current => current[0].into(),
            AsOf::Value(value) => value[0].into(),
            AsOf::Absent => panic!("never deleted"),
        })
    }
}

#[test]
fn loom_a_reader_sees_its_snapshot_while_commits_push() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let world = world();
        let writer = {
            let world = world.clone();
            thread::spawn(move || {
                world.commit(10);
                world.commit(20);
                world.versions.tidy();
            })
        };
        let snapshot = world.snapshots.take().unwrap();
        assert_eq!(world.read(&snapshot), Ok(snapshot.lsn().0 / 10), "VE2");
        drop(snapshot);
        writer.join().unwrap();
    });
}

#[test]
fn loom_a_reader_whose_versions_are_cut_is_told() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let world = world();
        let snapshot = world.snapshots.take().unwrap();
        world.commit(10);
        let cutter = {
            let world = world.clone();
            thread::spawn(move || {
                world.snapshots.mark_too_old(CommitLsn(0));
                world.versions.tidy();
            })
        };
        let read = world.read(&snapshot);
        assert!(read == Ok(0) || read == Err(Error::SnapshotTooOld), "VE3: {read:?}");
        cutter.join().unwrap();
        assert_eq!(world.read(&snapshot), Err(Error::SnapshotTooOld));
    });
}
