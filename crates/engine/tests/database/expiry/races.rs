//! Removal beside threads that put the same keys: nothing that is alive is lost, and what has expired is gone in the end.

use super::{SECOND, by, clock, expiring, remove_all};
use crate::{KINDS, assert_clean};
use aquifer::{
    AnyTable, Clock, Database, Durability, ErrorKind, MergeOperator, TableKind, TableOptions, WriteBatch,
};
use aquifer_sim::{Random, SimDisk};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::{Arc, thread};
use std::time::{Duration, Instant};

const THREADS: u64 = 3;
const KEYS: u64 = 40;

/// Of a thread; some are long, in groups that the threads share.
fn key(thread: u64, n: u64) -> Vec<u8> {
    let prefix = if n.is_multiple_of(8) { vec![b'l'; 600] } else { Vec::new() };
    [&prefix[..], &n.to_be_bytes(), &thread.to_be_bytes()].concat()
}

/// Puts the thread's keys, for long or to expire at once, and reads them back: what was put for long is there.
fn work(db: &Database, table: &AnyTable, clock: &Clock, thread: u64, seed: u64) {
    let mut random = Random(seed * 10 + thread);
    let mut lives: Vec<Option<Vec<u8>>> = vec![None; KEYS as usize];
    let (long, soon) = (Duration::from_secs(1_000_000_000), Duration::from_millis(1));
    for turn in 0..4000u64 {
        let n = random.below(KEYS);
        let key = key(thread, n);
        let long_value = random.chance(8);
        let value = vec![turn as u8; if long_value { 6000 } else { 20 + random.below(50) as usize }];
        let lives_on = random.chance(50);
        let time = if lives_on { long } else { soon };
        match random.below(4) {
            0 => {
                let mut batch = WriteBatch::new();
                batch.put_for(table, &key, &value, time);
                db.write(&mut batch, Durability::Eventual).unwrap();
            }
            1 => db
                .transact(|tx| {
                    tx.get(table, &key)?;
                    tx.put_for(table, &key, &value, time)
                })
                .unwrap(),
            _ => table.put_for(&key, &value, time).unwrap(),
        }
        lives[n as usize] = lives_on.then_some(value);
        clock.advance(Duration::from_millis(random.below(30)));
        let n = random.below(KEYS);
        let found = table.get(&self::key(thread, n)).unwrap();
        match (&lives[n as usize], found) {
            (Some(value), found) => assert_eq!(found.as_ref(), Some(value), "{thread} {n}"),
            (None, found) if found.is_some() => {
                clock.advance(Duration::from_millis(2));
                assert_eq!(table.get(&self::key(thread, n)).unwrap(), None);
            }
            (None, _) => {}
        }
    }
    // All that is left of this thread has expired, or lives.
    clock.advance(Duration::from_millis(2));
    for n in 0..KEYS {
        assert_eq!(table.get(&key(thread, n)).unwrap(), lives[n as usize], "{thread} {n}");
    }
}

#[test]
fn removal_loses_nothing_that_is_put_meanwhile() {
    for (seed, kind) in [(1, TableKind::Sorted), (2, TableKind::Hashed)] {
        let (clock, disk) = (super::clock(), SimDisk::new());
        let db = super::by(&clock).memory_budget(8 << 20).disk(disk.disk()).create("").unwrap();
        let table = expiring(&db, kind, None).with_durability(Durability::Eventual);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (db, table, clock) = (&db, &table, &clock);
                    scope.spawn(move || work(db, table, clock, thread, seed))
                })
                .collect();
            let housekeeper = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    clock.advance(Duration::from_secs(1)); // walks follow one another
                    db.step().unwrap();
                }
            });
            let finished: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            stop.store(true, Ordering::Relaxed);
            housekeeper.join().unwrap();
            finished.into_iter().for_each(|finished| finished.unwrap());
        });
        assert!(db.stats().expired_removed > 200, "{}", db.stats().expired_removed);
        let lives = crate::rows(&table).len();
        clock.set(super::ms(3_700_000_000_000));
        remove_all(&db, &clock);
        assert_eq!((crate::rows(&table).len(), lives > 0), (0, true));
        clock.set(super::ms(0));
        assert_eq!(crate::rows(&table).len(), 0, "they are gone, and not just out of sight");
        assert_clean(&db);
    }
}

/// The thread of the engine's own does it, by the system's clock, in memory and on disk; and stops with the database.
#[test]
fn expired_records_are_removed_in_the_background() {
    for (kind, on_disk) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let disk = SimDisk::new();
        let options = Database::options().memory_budget(8 << 20);
        let db = match on_disk {
            true => options.clone().disk(disk.disk()).create("").unwrap(),
            false => options.clone().in_memory().unwrap(),
        };
        let table = expiring(&db, kind, None).with_durability(Durability::Eventual);
        for n in 0..3000u32 {
            table.put_for(&n.to_be_bytes(), &[1; 100], Duration::from_millis(1)).unwrap();
        }
        table.put_for(b"stays", b"v", 1000 * SECOND).unwrap();
        let begun = Instant::now();
        while db.stats().expired_removed < 3000 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", db.stats().expired_removed);
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(table.len_estimate().unwrap(), 1);
        db.close().unwrap();
        if on_disk {
            // An opening that finds such a table starts it as well.
            let db = options.disk(disk.disk()).open("").unwrap();
            let table = db.any_table("t").unwrap().with_durability(Durability::Eventual);
            table.put_for(b"k", b"v", Duration::ZERO).unwrap();
            let begun = Instant::now();
            while db.stats().expired_removed < 1 {
                assert!(begun.elapsed() < Duration::from_secs(60));
                thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(table.get(b"stays").unwrap().unwrap(), b"v");
        }
    }
}

#[test]
fn a_record_that_is_merged_into_while_it_expires_goes_all_the_same() {
    let clock = clock();
    let db = by(&clock).in_memory().unwrap();
    let (is_inside, may_go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (inside, go) = (Arc::clone(&is_inside), Arc::clone(&may_go));
    let slow = MergeOperator::new("slow", move |_, value, operand| {
        inside.store(true, Ordering::Release);
        while !go.load(Ordering::Acquire) {
            thread::yield_now();
        }
        Ok(Some([value.unwrap_or_default(), operand].concat()))
    });
    let table = expiring(&db, TableKind::Sorted, None).with_merge(slow).unwrap();
    table.put_for(b"k", b"v", SECOND * 60).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| table.merge(b"k", b"w").unwrap());
        while !is_inside.load(Ordering::Acquire) {
            thread::yield_now(); // until the stripe is held, of a record that is alive
        }
        clock.advance(SECOND * 61);
        let walk = scope.spawn(|| db.step().unwrap());
        thread::sleep(Duration::from_millis(100)); // it has read the page, and waits for the stripe
        may_go.store(true, Ordering::Release);
        walk.join().unwrap();
    });
    assert_eq!(table.get(b"k").unwrap(), None);
    remove_all(&db, &clock);
    assert_eq!(table.len_estimate().unwrap(), 0);
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_going() {
    let clock = clock();
    let db = Database::options()
        .memory_budget(8 << 20)
        .background(false)
        .clock(clock.clone())
        .in_memory()
        .unwrap();
    let (first, second) = (
        db.create_table("a", TableOptions::expiring()).unwrap(),
        db.create_table("b", TableOptions::expiring()).unwrap(),
    );
    // A group of long keys of which one member goes: what stays is written anew, for which there is no memory.
    first.put_for(&[b'k'; 2000], b"goes", SECOND * 60).unwrap();
    first.put(&[b'k'; 2001], &vec![7; 1 << 20]).unwrap();
    let full = (0u32..).find_map(|n| second.put_for(&n.to_be_bytes(), &[2; 500], SECOND * 60).err());
    assert_eq!(full.unwrap().kind(), ErrorKind::BudgetExhausted);
    clock.advance(SECOND * 100);
    for _ in 0..2000 {
        let _ = db.step(); // which tells of the group
        clock.advance(SECOND);
    }
    assert_eq!(second.len_estimate().unwrap(), 0);
    assert_eq!(first.count(..).unwrap(), 1);
    second.put_for(b"new", &[2; 500], SECOND * 60).unwrap();
}
