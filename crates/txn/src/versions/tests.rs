//! Tests of older values.

use super::*;
use crate::visible::Visible;
use aquifer_pools::Budget;
use aquifer_sync::atomic::AtomicU64;
use aquifer_sync::{Mutex, Rank, thread};

struct World {
    visible: Arc<Visible>,
    snapshots: Arc<Snapshots>,
    budget: Arc<Budget>,
    versions: Versions,
}

impl World {
    fn new(bytes_max: usize) -> World {
        World::with_budget(bytes_max, 1 << 30)
    }

    fn with_budget(bytes_max: usize, budget_bytes: usize) -> World {
        let visible = Arc::new(Visible::new(CommitLsn(0)));
        let snapshots = Arc::new(Snapshots::new(visible.clone()));
        let budget = Budget::new(budget_bytes);
        let options = VersionsOptions { bytes_max, shards: 4 };
        let versions = Versions::new(options, snapshots.clone(), budget.account("versions"));
        World { visible, snapshots, budget, versions }
    }

    /// Commits a change of a key, whose value before was this.
    fn change(&self, key: &[u8], before: Option<&[u8]>, deletes: bool) -> u64 {
        let start = self.visible.get().0;
        let before = before.map_or(Before::Absent, |value| Before::Value(value.into()));
        self.versions.push(7, key, Change { lsn: CommitLsn(start + 10), before, deletes, merges: false });
        self.visible.complete(CommitLsn(start), CommitLsn(start + 10));
        start + 10
    }
}

#[test]
fn a_snapshot_keeps_its_view() {
    let world = World::new(1 << 20);
    let before = world.snapshots.take().unwrap();
    world.change(b"k", Some(b"one"), false);
    let between = world.snapshots.take().unwrap();
    world.change(b"k", Some(b"two"), true);
    let after = world.snapshots.take().unwrap();
    let at = |snapshot| world.versions.value_as_of(snapshot, 7, b"k", None).unwrap();
    assert_eq!(at(&before), AsOf::Value(b"one".to_vec()));
    assert_eq!(at(&between), AsOf::Value(b"two".to_vec()));
    assert_eq!(at(&after), AsOf::Current);
    assert_eq!(world.versions.value_as_of(&before, 8, b"k", None).unwrap(), AsOf::Current, "another table");
}

#[test]
fn keys_are_spread() {
    let world = World::new(1 << 20);
    let mut hashes: Vec<u64> =
        (0..10_000_u64).map(|key| world.versions.hash(7, &key.to_be_bytes())).collect();
    for shard in 0..4 {
        let inside = hashes
            .iter()
            .filter(|&&hash| std::ptr::eq(world.versions.shard(hash), &world.versions.shards[shard]));
        assert!((2_000..3_000).contains(&inside.count()), "shard {shard}");
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 10_000);
}

#[test]
fn the_first_committer_wins() {
    let world = World::new(1 << 20);
    let before = world.snapshots.take().unwrap();
    world.change(b"k", Some(b"one"), false);
    let after = world.snapshots.take().unwrap();
    let conflict = Error::Conflict { table: 7, key: b"k".to_vec() };
    assert_eq!(world.versions.check_unchanged(&before, 7, b"k"), Err(conflict));
    assert_eq!(world.versions.check_unchanged(&before, 7, b"j"), Ok(()));
    assert_eq!(world.versions.check_unchanged(&after, 7, b"k"), Ok(()));
}

#[test]
fn a_long_reader_costs_one_version_for_each_key() {
    let world = World::new(64 << 20);
    let _reader = world.snapshots.take().unwrap();
    for round in 0..200_u32 {
        for key in 0..50_u32 {
            world.change(&key.to_be_bytes(), Some(&round.to_be_bytes()), false);
        }
    }
    assert!(
        world.versions.count() < 2000,
        "{} versions of 50 keys after 10,000 commits",
        world.versions.count()
    );
    world.versions.tidy();
    assert_eq!(world.versions.count(), 50);
}

#[test]
fn without_readers_little_is_kept() {
    let world = World::new(64 << 20);
    for key in 0..100_000_u32 {
        world.change(&key.to_be_bytes(), Some(b"value"), key % 2 == 0);
    }
    assert!(world.versions.count() < 2000, "{} versions kept", world.versions.count());
    world.versions.tidy();
    assert_eq!((world.versions.count(), world.versions.bytes()), (0, 0));
    assert_eq!(world.versions.next_removed(7, &KeyRange::all(), Direction::Forward), None);
}

#[test]
fn removed_keys_are_found_in_order_while_needed() {
    let world = World::new(1 << 20);
    let reader = world.snapshots.take().unwrap();
    let listings = world.versions.removals(7);
    for key in [b"b", b"d", b"a"] {
        world.change(key, Some(b"v"), true);
    }
    world.change(b"c", Some(b"v"), false);
    assert_eq!(world.versions.removals(7), listings + 3);
    let next = |range: &KeyRange, direction| world.versions.next_removed(7, range, direction);
    let all = KeyRange::all();
    assert_eq!(next(&all, Direction::Forward).unwrap(), b"a");
    assert_eq!(next(&all.ahead_of(b"a", Direction::Forward), Direction::Forward).unwrap(), b"b");
    assert_eq!(next(&all, Direction::Backward).unwrap(), b"d");
    drop(reader);
    world.versions.tidy();
    assert_eq!(next(&all, Direction::Forward), None);
}

#[test]
fn over_budget_the_oldest_snapshots_are_given_up() {
    let world = World::new(200 << 10);
    let oldest = world.snapshots.take().unwrap();
    for key in 0..2_000_u32 {
        world.change(&key.to_be_bytes(), Some(&[7; 100]), false);
    }
    let newer = world.snapshots.take().unwrap();
    world.change(&1_u32.to_be_bytes(), Some(b"newer"), false);
    assert!(world.versions.wants_cut());
    let cut = world.versions.cut();
    assert_eq!(cut.marked, 1);
    assert!(cut.bytes_before > 200 << 10 && cut.bytes_after < 10 << 10, "{cut:?}");
    assert!(!world.versions.wants_cut());
    let at = |snapshot| world.versions.value_as_of(snapshot, 7, &1_u32.to_be_bytes(), Some(b"newest"));
    assert_eq!(at(&oldest), Err(Error::SnapshotTooOld));
    assert_eq!(world.versions.check_unchanged(&oldest, 7, b"other"), Err(Error::SnapshotTooOld));
    assert_eq!(at(&newer), Ok(AsOf::Value(b"newer".to_vec())));
}

#[test]
fn an_exhausted_account_stops_no_push() {
    let world = World::with_budget(100 << 10, 50 << 10);
    let reader = world.snapshots.take().unwrap();
    for key in 0..1_000_u32 {
        world.change(&key.to_be_bytes(), Some(&[7; 100]), false);
    }
    assert!(world.versions.bytes() > 50 << 10 && world.budget.used() <= 50 << 10);
    assert!(world.versions.wants_cut());
    assert_eq!(world.versions.cut().marked, 1);
    assert_eq!(reader.check(), Err(Error::SnapshotTooOld));
    world.change(b"k", None, false);
    assert!(!world.versions.wants_cut());
}

#[test]
fn memory_goes_back_to_the_account() {
    let world = World::new(1 << 20);
    let reader = world.snapshots.take().unwrap();
    for key in 0..3_000_u32 {
        world.change(&key.to_be_bytes(), Some(&[7; 100]), false);
    }
    let used = world.budget.used();
    assert!(used >= world.versions.bytes());
    drop(reader);
    world.versions.tidy();
    // A shard keeps one granule, to begin again with.
    assert!(
        used > 8 * (64 << 10) && world.budget.used() <= 4 * (64 << 10),
        "{} of {used}",
        world.budget.used()
    );
    drop(world.versions);
    assert_eq!(world.budget.used(), 0);
}

/// Writers raise counters in a map, each under its lock; readers at snapshots see sums that never change.
#[test]
fn readers_beside_writers_and_cutters_see_one_moment() {
    const KEYS: u64 = 8;
    let world = Arc::new(World::new(32 << 10));
    let next = Arc::new(AtomicU64::new(0));
    let store: Arc<Vec<Mutex<u64>>> =
        Arc::new((0..KEYS).map(|_| Mutex::new(Rank::KeyStripe, 0_u64)).collect());
    let mut threads = Vec::new();
    for writer in 0..2_u64 {
        let (world, store, next) = (world.clone(), store.clone(), next.clone());
        threads.push(thread::spawn(move || {
            for round in 0..10_000_u64 {
                let (a, b) = ((round * 7 + writer) % KEYS, (round * 3 + writer * 5) % KEYS);
                if a == b {
                    continue;
                }
                // One moves from a to b; locks in order.
                let (low, high) = (store[a.min(b) as usize].lock(), store[a.max(b) as usize].lock());
                let (mut from, mut to) = if a < b { (low, high) } else { (high, low) };
                let start = next.fetch_add(10, Ordering::AcqRel);
                let lsn = CommitLsn(start + 10);
                for (key, old) in [(a, *from), (b, *to)] {
                    let before = Before::Value(old.to_be_bytes().into());
                    world.versions.push(
                        1,
                        &key.to_be_bytes(),
                        Change { lsn, before, deletes: false, merges: false },
                    );
                }
                *from = from.wrapping_sub(1);
                *to = to.wrapping_add(1);
                drop((from, to));
                world.visible.complete(CommitLsn(start), lsn);
                if world.versions.wants_cut() {
                    world.versions.cut();
                }
            }
        }));
    }
    let mut whole = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        let snapshot = world.snapshots.take().unwrap();
        let values: Result<Vec<u64>> = (0..KEYS)
            .map(|key| {
                let current = store[key as usize].lock().to_be_bytes();
                let found = world.versions.value_as_of(&snapshot, 1, &key.to_be_bytes(), Some(&current))?;
                Ok(match found {
                    AsOf::Current => u64::from_be_bytes(current),
                    AsOf::Value(value) => u64::from_be_bytes(value.try_into().unwrap()),
                    AsOf::Absent => panic!("never deleted"),
                })
            })
            .collect();
        match values {
            Ok(values) => {
                whole += 1;
                let sum = values.iter().fold(0_u64, |sum, &value| sum.wrapping_add(value));
                assert_eq!(sum, 0, "{values:?} at {:?}", snapshot.lsn());
            }
            Err(error) => assert_eq!(error, Error::SnapshotTooOld),
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(whole > 0);
}
