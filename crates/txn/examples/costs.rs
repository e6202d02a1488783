//! What the parts cost, in nanoseconds: medians of five rounds, with one thread and with two.
//!
//! ```text
//! cargo run --release -p aquifer-txn --example costs
//! ```

use aquifer_pools::Budget;
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::{Arc, thread};
use aquifer_txn::{
    Before, Change, Claims, CommitLsn, Conflicts, ReadSet, Snapshots, Versions, VersionsOptions, Visible,
    WriteKeys,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const TABLE: u32 = 1;

fn main() {
    println!("{:<58} {:>9} {:>9}", "", "1 thread", "2 threads");
    visible();
    snapshots();
    versions();
    conflicts();
    claims();
}

/// Nanoseconds for one of `count` calls, where each thread makes as many.
fn measure(what: &str, count: u64, f: impl Fn(u64, u64) + Sync) {
    let figure = |threads: u64| {
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let go = AtomicBool::new(false);
                thread::scope(|scope| {
                    let workers: Vec<_> = (0..threads)
                        .map(|number| {
                            let (go, f) = (&go, &f);
                            scope.spawn(move || {
                                while !go.load(Ordering::Acquire) {
                                    std::hint::spin_loop();
                                }
                                let begun = Instant::now();
                                (0..count).for_each(|call| f(number, call));
                                begun.elapsed()
                            })
                        })
                        .collect();
                    go.store(true, Ordering::Release);
                    let times = workers.into_iter().map(|worker| worker.join().expect("no panic"));
                    times.max().unwrap_or(Duration::ZERO).as_nanos() as f64 / count as f64
                })
            })
            .collect();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    };
    let (one, two) = (figure(1), figure(2));
    println!("{what:<58} {one:>9.1} {two:>9.1}");
}

fn visible() {
    let next = AtomicU64::new(0);
    measure("reserve alone (one addition to a shared word)", 400_000, |_, _| {
        black_box(next.fetch_add(100, Ordering::AcqRel));
    });
    for (what, waits) in [("reserve, complete", false), ("reserve, complete, wait until visible", true)] {
        let (visible, next) = (Visible::new(CommitLsn(0)), AtomicU64::new(0));
        measure(what, 400_000, |_, _| {
            let start = next.fetch_add(100, Ordering::AcqRel);
            let end = CommitLsn(start + 100);
            visible.complete(CommitLsn(start), end);
            if waits {
                visible.wait(end).expect("not stopped");
            }
        });
    }
    // As in an engine: most of a commit is work of its own, here half a microsecond.
    for (what, completes) in
        [("reserve, 500 ns of work", false), ("reserve, 500 ns of work, complete, wait until visible", true)]
    {
        let (visible, next) = (Visible::new(CommitLsn(0)), AtomicU64::new(0));
        measure(what, 200_000, |_, _| {
            let start = next.fetch_add(100, Ordering::AcqRel);
            work();
            if completes {
                visible.complete(CommitLsn(start), CommitLsn(start + 100));
                visible.wait(CommitLsn(start + 100)).expect("not stopped");
            }
        });
    }
}

/// About half a microsecond of arithmetic.
fn work() {
    let mut word = 1_u64;
    for step in 0..500_u64 {
        word = black_box(word.wrapping_mul(0x9E37_79B9).wrapping_add(step));
    }
}

fn snapshots() {
    let snapshots = Snapshots::new(Arc::new(Visible::new(CommitLsn(0))));
    measure("take and drop a snapshot", 400_000, |_, _| {
        drop(black_box(snapshots.take().expect("slots")));
    });
    measure("horizon, no snapshot open", 200_000, |_, _| {
        black_box(snapshots.horizon());
    });
    let open: Vec<_> = (0..10).map(|_| snapshots.take().expect("slots")).collect();
    measure("horizon, 10 snapshots open", 200_000, |_, _| {
        black_box(snapshots.horizon());
    });
    drop(open);
}

struct World {
    visible: Arc<Visible>,
    snapshots: Arc<Snapshots>,
    versions: Versions,
    next: AtomicU64,
}

fn world() -> World {
    let visible = Arc::new(Visible::new(CommitLsn(0)));
    let snapshots = Arc::new(Snapshots::new(visible.clone()));
    let account = Budget::new(1 << 30).account("versions");
    let options = VersionsOptions { bytes_max: 256 << 20, ..VersionsOptions::default() };
    let versions = Versions::new(options, snapshots.clone(), account);
    World { visible, snapshots, versions, next: AtomicU64::new(0) }
}

impl World {
    fn commit(&self, key: u64, deletes: bool) {
        let start = self.next.fetch_add(100, Ordering::AcqRel);
        let lsn = CommitLsn(start + 100);
        let before = Before::Value([7; 100].into());
        self.versions.push(TABLE, &key.to_be_bytes(), Change { lsn, before, deletes, merges: false });
        self.visible.complete(CommitLsn(start), lsn);
        self.visible.wait(lsn).expect("not stopped");
    }
}

/// A key that looks random, of so many for each thread.
fn key(thread: u64, call: u64, keys: u64) -> u64 {
    ((call.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % keys) << 1 | thread
}

fn versions() {
    let quiet = world();
    let snapshot = quiet.snapshots.take().expect("slots");
    measure("lookup, nothing newer in the shard", 400_000, |_, call| {
        let key = key(0, call, 1 << 20).to_be_bytes();
        black_box(quiet.versions.value_as_of(&snapshot, TABLE, &key, None).expect("not too old"));
    });
    let busy = world();
    let old = busy.snapshots.take().expect("slots");
    (0..100_000).for_each(|call| busy.commit(key(0, call, 1 << 20), false));
    measure("lookup, no version of the key", 400_000, |_, call| {
        let key = key(1, call, 1 << 20).to_be_bytes();
        black_box(busy.versions.value_as_of(&old, TABLE, &key, None).expect("not too old"));
    });
    measure("lookup, a version of 100 bytes", 400_000, |_, call| {
        let key = key(0, call % 100_000, 1 << 20).to_be_bytes();
        black_box(busy.versions.value_as_of(&old, TABLE, &key, None).expect("not too old"));
    });
    let pushing = world();
    measure("reserve, push 100 bytes, complete, wait; no reader", 300_000, |thread, call| {
        pushing.commit(key(thread, call, 1 << 20), false);
    });
    let read = world();
    let long = read.snapshots.take().expect("slots");
    measure("the same; a long reader, 20,000 keys", 300_000, |thread, call| {
        read.commit(key(thread, call, 10_000), false);
    });
    drop(long);
    let deleting = world();
    measure("the same, deletes; no reader", 300_000, |thread, call| {
        deleting.commit(key(thread, call, 1 << 20), true);
    });
}

fn conflicts() {
    let world = world();
    let conflicts = Conflicts::new(64 << 20);
    let next = AtomicU64::new(0);
    let keys = |key: u64| WriteKeys { keys: vec![(TABLE, key.to_be_bytes().into())], ranges: Vec::new() };
    measure("does anyone need my keys: before and after", 400_000, |thread, call| {
        let notice = conflicts.notice(|| keys(key(thread, call, 1 << 20)));
        black_box(notice.shown(CommitLsn(100)).is_ok());
        notice.committed();
    });
    let reserved = || CommitLsn(next.fetch_add(0, Ordering::AcqRel));
    let (watch, _snapshot) = conflicts.watch(&world.snapshots, reserved).expect("slots");
    measure("announce, show, committed, while somebody watches", 100_000, |thread, call| {
        let notice = conflicts.notice(|| keys(key(thread, call, 1 << 16)));
        notice.shown(CommitLsn(next.fetch_add(100, Ordering::AcqRel) + 100)).expect("announced");
        notice.committed();
    });
    let mut reads = ReadSet::new(1 << 20);
    for number in 0..10_u64 {
        reads.add_key(TABLE, &((number + 1) << 32).to_be_bytes()).expect("small");
    }
    let own = conflicts.notice(WriteKeys::default);
    let place = CommitLsn(next.load(Ordering::Relaxed));
    measure("validate 10 keys against 130,000 recent ones", 100_000, |_, _| {
        black_box(watch.validate(&reads, place, &own)).expect("no conflict");
    });
}

fn claims() {
    let claims = Claims::new();
    measure("honour claims, none there", 400_000, |_, _| {
        claims.honour(TABLE, b"k", Duration::ZERO).expect("not claimed");
    });
    measure("claim a key and let it go", 200_000, |thread, _| {
        claims.claimant().claim(TABLE, &[thread as u8], Duration::ZERO).expect("not claimed");
    });
}
