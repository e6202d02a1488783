//! Many threads at once, also while power is lost.

use aquifer::{Database, Durability, Table, TableOptions, WriteBatch};
use aquifer_sim::{Random, SimDisk};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::{Arc, thread};

const THREADS: u64 = 4;

#[test]
fn threads_write_and_read_the_same_tables() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options()
        .memory_budget(2 << 20)
        .log_bytes_max(2 << 20)
        .create(dir.path().join("db"))
        .unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap().with_durability(Durability::Eventual);
    let writers: Vec<_> = (0..THREADS)
        .map(|mine| {
            let (db, table) = (db.clone(), table.clone());
            thread::spawn(move || {
                let mut random = Random(mine);
                let mut batch = WriteBatch::new();
                for turn in 0u64..4000 {
                    // Own keys, interleaved with those of the others.
                    let key = (random.below(2000) * THREADS + mine).to_be_bytes();
                    let value = [turn.to_le_bytes(), mine.to_le_bytes()].concat().repeat(5);
                    match random.below(10) {
                        0 => table.delete(&key).unwrap(),
                        1 => {
                            for near in 0..20u64 {
                                let key = (near * 100 * THREADS + mine).to_be_bytes();
                                batch.put(&table, &key, &value);
                            }
                            db.write(&mut batch, Durability::Eventual).unwrap();
                        }
                        2..=4 => {
                            if let Some(found) = table.get(&key).unwrap() {
                                assert_eq!(found[8..16], mine.to_le_bytes(), "another thread's value");
                            }
                        }
                        _ => {
                            table.put(&key, &value).unwrap();
                            assert_eq!(table.get(&key).unwrap().unwrap(), value, "own writes are read");
                        }
                    }
                }
            })
        })
        .collect();
    let scanner = thread::spawn({
        let table = table.clone();
        move || {
            for _ in 0..20 {
                let mut last = None;
                for record in table.iter() {
                    let (key, value) = record.unwrap();
                    assert_eq!(value.len(), 80);
                    assert!(last < Some(key.clone()), "keys rise");
                    last = Some(key);
                }
            }
        }
    });
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    scanner.join().unwrap();
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn threads_add_to_one_counter_under_batches_of_overlapping_keys() {
    let db = Database::in_memory(8 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let writers: Vec<_> = (0..THREADS)
        .map(|mine| {
            let (db, table) = (db.clone(), table.clone());
            thread::spawn(move || {
                let mut random = Random(mine);
                let mut batch = WriteBatch::new();
                for _ in 0..500 {
                    // All keys of a batch have one value: afterwards all keys have, for batches do not interleave.
                    let value = random.draw().to_le_bytes();
                    for key in 0u32..50 {
                        batch.put(&table, &key.to_be_bytes(), &value);
                    }
                    db.write(&mut batch, Durability::Power).unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let values: Vec<_> = table.iter().map(|record| record.unwrap().1).collect();
    assert_eq!(values.len(), 50);
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn tables_are_dropped_under_their_users() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(4 << 20).create(dir.path().join("db")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..3)
        .map(|mine: u64| {
            let (db, stop) = (db.clone(), stop.clone());
            thread::spawn(move || {
                let mut random = Random(mine);
                let mut dropped = 0;
                while !stop.load(Ordering::Relaxed) {
                    let Ok(table) = db.table("t") else { continue };
                    loop {
                        let key = random.below(1000).to_be_bytes();
                        let done = match random.below(3) {
                            0 => table.get(&key).map(drop),
                            1 => table.iter().take(50).try_for_each(|record| record.map(drop)),
                            _ => table.put_with(&key, &[1; 300], Durability::Eventual).map(drop),
                        };
                        match done {
                            Ok(()) => {}
                            Err(aquifer::Error::TableDropped { .. }) => break,
                            Err(other) => panic!("{other}"),
                        }
                    }
                    dropped += 1;
                }
                dropped
            })
        })
        .collect();
    for _ in 0..30 {
        let table = db.create_table("t", TableOptions::default()).unwrap();
        for n in 0u64..300 {
            table.put_with(&n.to_be_bytes(), &[0; 300], Durability::Eventual).unwrap().lsn();
        }
        drop(table);
        db.drop_table("t").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let seen: u64 = users.into_iter().map(|user| user.join().unwrap()).sum();
    assert!(seen > 0, "somebody was using a table that was dropped");
    let report = db.verify(|_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
}

/// Each thread writes its own sequence: after a crash each sequence is a prefix that holds what was acknowledged.
fn crash_under_threads(seed: u64) {
    let disk = SimDisk::new();
    let options = |disk: &SimDisk| {
        Database::options()
            .memory_budget(2 << 20)
            .log_bytes_max(1 << 20)
            .segment_bytes_max(128 << 10)
            .disk(disk.disk())
    };
    let db = options(&disk).create("").unwrap();
    let one = db.create_table("one", TableOptions::default()).unwrap();
    let two = db.create_table("two", TableOptions::default()).unwrap();
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..THREADS).map(|_| AtomicU64::new(0)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..THREADS)
        .map(|mine| {
            let (db, one, two) = (db.clone(), one.clone(), two.clone());
            let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
            thread::spawn(move || {
                let mut random = Random(seed * 100 + mine);
                let mut batch = WriteBatch::new();
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let durability = if random.chance(20) { Durability::Power } else { Durability::Eventual };
                    // The same in both tables: a batch is there whole or not at all.
                    let key = [mine.to_be_bytes(), n.to_be_bytes()].concat();
                    batch.put(&one, &key, &vec![n as u8; random.below(300) as usize]);
                    batch.put(&two, &key, b"");
                    if random.chance(2) {
                        for spread in 0..100u64 {
                            batch.put(&one, &[b"x", &spread.to_be_bytes()[..]].concat(), &[n as u8; 200]);
                        }
                    }
                    db.write(&mut batch, durability).unwrap();
                    if durability == Durability::Power {
                        acknowledged[mine as usize].store(n, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    let mut random = Random(seed);
    let mut after = Vec::new();
    let checkpoints = db.stats().pager.checkpoints;
    let mut looks = 0u64;
    while db.stats().pager.checkpoints < checkpoints + 2 || after.len() < 8 {
        looks += 1;
        if looks.is_multiple_of(50) {
            let floor: Vec<u64> = acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).collect();
            after.push((floor, disk.after_power_loss(random.draw())));
            if after.len() > 8 {
                after.remove(0);
            }
        }
        thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    drop((one, two, db));
    for (index, (floor, disk)) in after.into_iter().enumerate() {
        let context = format!("seed {seed}, crash {index}");
        let db = options(&disk).open("").unwrap_or_else(|error| panic!("{context}: {error}"));
        let keys = |name| -> Vec<Vec<u8>> {
            let all = db.table(name).unwrap();
            all.range(vec![0]..vec![1]).map(|record| record.unwrap().0).collect()
        };
        let one = keys("one");
        assert_eq!(one, keys("two"), "{context}: half a batch");
        for (mine, floor) in floor.into_iter().enumerate() {
            let sequence: Vec<u64> = one
                .iter()
                .filter(|key| key[..8] == (mine as u64).to_be_bytes())
                .map(|key| u64::from_be_bytes(key[8..].try_into().unwrap()))
                .collect();
            let len = sequence.len() as u64;
            assert!(len >= floor, "{context}: thread {mine}: {len} of {floor} acknowledged");
            assert!(sequence.into_iter().eq(1..=len), "{context}: thread {mine}: a gap");
        }
        assert!(db.verify(|_| {}).unwrap().is_clean(), "{context}");
    }
}

#[test]
fn crashes_under_threads_lose_nothing_acknowledged_and_halve_no_batch() {
    for seed in 0..3 {
        crash_under_threads(seed);
    }
}

/// In each round two threads try to remove one record, and one of them is told that it has. Rounds in which none or both are.
fn rounds_not_won_once(key: &[u8], removes: fn(&Table, &[u8]) -> bool) -> usize {
    const ROUNDS: u64 = 5_000;
    let db = Database::options().memory_budget(8 << 20).background(false).in_memory().unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let (round, done, won) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let mut wrong = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for mine in 1..=ROUNDS {
                    while round.load(Ordering::Acquire) < mine {
                        thread::yield_now();
                    }
                    won.fetch_add(u64::from(removes(&table, key)), Ordering::AcqRel);
                    done.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        for now in 1..=ROUNDS {
            table.put(key, b"held").unwrap();
            round.store(now, Ordering::Release);
            while done.load(Ordering::Acquire) < 2 * now {
                thread::yield_now();
            }
            wrong += usize::from(won.swap(0, Ordering::AcqRel) != 1);
        }
    });
    wrong
}

#[test]
fn who_removes_a_record_is_alone_in_that() {
    for key in [&b"k"[..], &[b'k'; 5000]] {
        let swaps: fn(&Table, &[u8]) -> bool =
            |table, key| table.compare_and_swap(key, Some(b"held"), None).unwrap();
        assert_eq!(rounds_not_won_once(key, swaps), 0, "compare_and_swap, {} bytes", key.len());
        assert_eq!(rounds_not_won_once(key, |table, key| table.take(key).unwrap().is_some()), 0, "take");
    }
}
