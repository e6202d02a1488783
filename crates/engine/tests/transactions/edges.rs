//! Where several mechanisms meet: found by looking for trouble.

use super::sorted;
use aquifer::{Database, Durability, Error, Options, Table, TxOptions, WriteBatch};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

#[test]
fn leaked_iterators_are_reads() {
    let db = Database::in_memory(8 << 20).unwrap();
    let t = sorted(&db, "t");
    let mut a = db.begin_with(TxOptions::serializable()).unwrap();
    {
        let mut range = a.range(&t, ..);
        assert!(range.next().is_none());
        std::mem::forget(range);
    }
    a.put(&t, b"a", b"1").unwrap();
    t.put(b"phantom", b"1").unwrap();
    assert!(a.commit().is_err(), "a phantom");
}

fn big_batch(t: &Table, n: u32) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for i in 0..n {
        batch.put(t, &i.to_be_bytes()[..], b"12345678");
    }
    batch
}

/// T1: who was told that a key is gone does not see it afterwards, though it was another who deleted it.
#[test]
fn a_delete_that_found_nothing_is_seen() {
    let db = Database::in_memory(64 << 20).unwrap();
    let (t, busy) = (sorted(&db, "t"), sorted(&db, "busy"));
    let _old = db.snapshot().unwrap();
    let stop = AtomicBool::new(false);
    let mut seen_again = 0;
    let mut rounds = 0;
    thread::scope(|s| {
        for n in 0..2u8 {
            let (db, busy, stop) = (&db, &busy, &stop);
            s.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut batch = WriteBatch::new();
                    for i in 0..60u8 {
                        batch.put(busy, &[n, i], &[i; 1000]);
                    }
                    db.write(&mut batch, Durability::Eventual).unwrap();
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) && seen_again == 0 {
            rounds += 1;
            t.put(b"k", b"v").unwrap();
            thread::scope(|s| {
                s.spawn(|| t.delete(b"k").unwrap());
                for _ in 0..200 {
                    t.delete(b"k").unwrap();
                    let snapshot = db.snapshot().unwrap();
                    seen_again += usize::from(snapshot.get(&t, b"k").unwrap().is_some());
                }
            });
            let after = db.snapshot().unwrap();
            assert!(after.get(&t, b"k").unwrap().is_none(), "still there");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen_again, 0, "deleted, and there again, after {rounds} rounds");
}

/// A get without a snapshot waits, where one with a snapshot would be refused.
#[test]
fn a_get_is_never_too_old() {
    let db = Database::in_memory(8 << 20).unwrap();
    let t = sorted(&db, "t");
    let begun = Instant::now();
    let mut round = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        round += 1;
        db.write(&mut big_batch(&t, 7000), Durability::Eventual).unwrap();
        let _old = db.snapshot().unwrap();
        thread::scope(|s| {
            let deleting = s.spawn(|| {
                t.range_delete(&5u32.to_be_bytes()[..]..&6990u32.to_be_bytes()[..]).unwrap();
            });
            while !deleting.is_finished() {
                let got = t.get(&3u32.to_be_bytes()[..]);
                assert!(got.is_ok(), "round {round}: {got:?}");
            }
        });
    }
}

/// Its holder needs that to commit.
#[test]
fn who_waits_for_a_lock_holds_no_memory_of_commits() {
    let db = Database::in_memory(8 << 20).unwrap();
    let t = sorted(&db, "t");
    let mut tx = db.begin().unwrap();
    tx.lock(&t, b"hot").unwrap();
    thread::scope(|s| {
        let waiting = s.spawn(|| {
            let mut batch = WriteBatch::new();
            batch.put(&t, b"hot", b"1");
            for i in 0..2000u32 {
                batch.put(&t, &i.to_be_bytes()[..], &[0; 200]);
            }
            db.write(&mut batch, Durability::Eventual)
        });
        thread::sleep(Duration::from_millis(300));
        for i in 5000..6200u32 {
            tx.put(&t, &i.to_be_bytes()[..], &[0; 200]).unwrap();
        }
        let begun = Instant::now();
        let committed = tx.commit();
        let took = begun.elapsed();
        let waited = waiting.join().unwrap();
        committed.unwrap();
        waited.unwrap();
        assert!(took < Duration::from_secs(5), "the holder waited for who waits for it: {took:?}");
    });
}

/// A page that cannot be read fails a long commit, and nothing else.
#[test]
fn a_damaged_leaf_does_not_poison() {
    let dir = tempfile::tempdir().unwrap();
    let n = 4000u32;
    let value = |i: u32| format!("VALUE-{i:06}-{}", "y".repeat(900)).into_bytes();
    {
        let db = Options::default().memory_budget(4 << 20).create(dir.path()).unwrap();
        let t = sorted(&db, "t");
        for i in 0..n {
            t.put(&i.to_be_bytes()[..], &value(i)).unwrap();
        }
        db.close().unwrap();
    }
    // Damage the leaf of one key.
    let needle = b"VALUE-002500-";
    let mut hit = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(needle.len()).position(|w| w == needle) {
            bytes[at + found + 20] ^= 0xFF;
            at += found + 1;
            hit += 1;
        }
        if hit > 0 {
            std::fs::write(&path, &bytes).unwrap();
        }
    }
    assert!(hit > 0);
    let db = Options::default().memory_budget(4 << 20).open_or_create(dir.path()).unwrap();
    let t: Table = db.table("t").unwrap();
    let mut tx = db.begin().unwrap();
    for i in 1500..2600u32 {
        tx.delete(&t, &i.to_be_bytes()[..]).unwrap();
    }
    let committed = tx.commit();
    println!("commit: {committed:?}");
    let first = t.get(&0u32.to_be_bytes()[..]);
    println!("key 0: {:?}", first.as_ref().map(|v| v.as_ref().map(Vec::len)));
    let put = t.put(b"zzz", b"1");
    println!("put: {put:?}");
    assert!(matches!(committed, Err(Error::Corrupt { .. })), "{committed:?}");
    assert!(put.is_ok(), "one damaged page poisons the log: {put:?}");
}

/// What a transaction's own commit keeps stays within the budget of older values.
#[test]
fn a_commit_keeps_within_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 4 << 20;
    let db = Options::default().memory_budget(budget).create(dir.path()).unwrap();
    let t = sorted(&db, "t");
    for i in 0..5000u32 {
        let _ = t.put_with(&i.to_be_bytes()[..], &[7; 400], Durability::Eventual).unwrap();
    }
    let other = db.snapshot().unwrap();
    let mut tx = db.begin().unwrap();
    for i in 0..2200u32 {
        tx.delete(&t, &i.to_be_bytes()[..]).unwrap();
    }
    let done = AtomicBool::new(false);
    let peak = thread::scope(|s| {
        let watching = s.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(db.stats().transactions.version_bytes);
                thread::sleep(Duration::from_micros(200));
            }
            peak
        });
        let committed = tx.commit();
        done.store(true, Ordering::Relaxed);
        committed.unwrap();
        watching.join().unwrap()
    });
    println!(
        "peak {peak} of {} for versions, budget {budget}; other {:?}",
        budget / 8,
        other.get(&t, &1u32.to_be_bytes()[..]).map(|v| v.map(|v| v.len()))
    );
    assert!(peak < 2 * (budget as u64 / 8), "peak {peak}");
}
