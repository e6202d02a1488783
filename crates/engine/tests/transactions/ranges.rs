//! What is done to many records at once (range deletes, bulk loads) beside snapshots and transactions: nobody sees a part of it.

use crate::{LEVELS, begin, sorted};
use aquifer::{Database, Durability, Error, ErrorKind, Isolation, Options, Table, WriteBatch};
use aquifer_sim::SimDisk;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;

fn key(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

fn filled(db: &Database, count: u32) -> Table {
    let table = sorted(db, "t").with_durability(Durability::Eventual);
    (0..count).for_each(|n| table.put(&key(n), &[n as u8; 100]).unwrap());
    table
}

/// A range that is deleted is kept for older snapshots if it is small; else they cannot read its table any more.
fn check_older(count: u32, is_kept: bool) {
    for level in LEVELS {
        let db = Database::in_memory(32 << 20).unwrap();
        let (table, other) = (filled(&db, count), sorted(&db, "other"));
        other.put(b"k", b"v").unwrap();
        let (mut old, mut writer, snapshot) = (begin(&db, level), begin(&db, level), db.snapshot().unwrap());
        writer.put(&table, &key(101), b"").unwrap();
        table.range_delete(key(100)..key(count - 100)).unwrap();
        for reader in [&snapshot, &*old] {
            match is_kept {
                true => assert_eq!(reader.count(&table, ..).unwrap(), u64::from(count)),
                false => {
                    assert_eq!(reader.get(&table, &key(0)).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
                    assert_eq!(reader.count(&table, ..).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
                }
            }
            assert_eq!(reader.get(&other, b"k").unwrap().as_deref(), Some(&b"v"[..]), "another table");
        }
        let refused = if is_kept { ErrorKind::Conflict } else { ErrorKind::SnapshotTooOld };
        assert_eq!(writer.commit().unwrap_err().kind(), refused);
        if level == Isolation::Snapshot || !is_kept {
            old.put(&other, b"l", b"v").unwrap();
            old.commit().unwrap(); // it depends on nothing that it did not get to see
        }
        let young = db.snapshot().unwrap();
        assert_eq!(young.count(&table, ..).unwrap(), 200);
    }
}

#[test]
fn a_small_range_that_is_deleted_is_kept_for_older_snapshots() {
    check_older(500, true);
}

#[test]
fn what_is_older_than_a_large_range_delete_cannot_read_the_table() {
    check_older(20_000, false);
}

#[test]
fn who_has_read_a_range_conflicts_with_its_deletion() {
    let db = Database::in_memory(8 << 20).unwrap();
    let (table, other) = (filled(&db, 500), sorted(&db, "other"));
    let [mut one, mut range, mut last] = [(); 3].map(|()| begin(&db, Isolation::Serializable));
    assert!(one.contains(&table, &key(150)).unwrap());
    assert_eq!(range.count(&table, key(399)..key(450)).unwrap(), 51);
    assert_eq!(last.last(&table).unwrap().unwrap().0, key(499));
    for (n, tx) in [&mut one, &mut range, &mut last].into_iter().enumerate() {
        tx.put(&other, &[n as u8], b"v").unwrap();
    }
    table.range_delete(key(100)..key(400)).unwrap();
    last.commit().unwrap(); // it has read of what stays
    for refused in [one, range] {
        let Error::Conflict { table, .. } = refused.commit().unwrap_err() else { panic!("a conflict") };
        assert_eq!(table, "t");
    }
}

#[test]
fn a_bulk_load_is_seen_by_nobody_who_is_older() {
    let on_disk: [fn() -> Options; 2] =
        [Database::options, || Database::options().disk(SimDisk::new().disk())];
    for (options, level) in on_disk.into_iter().zip(LEVELS) {
        let options = options().memory_budget(8 << 20);
        let db = match level {
            Isolation::Snapshot => options.in_memory().unwrap(),
            _ => options.create("").unwrap(),
        };
        let (table, other) = (sorted(&db, "t"), sorted(&db, "other"));
        let (mut reader, mut writer) = (begin(&db, level), begin(&db, level));
        let snapshot = db.snapshot().unwrap();
        assert_eq!(reader.count(&table, ..).unwrap(), 0);
        reader.put(&other, b"empty", b"yes").unwrap();
        writer.put(&table, &key(7), b"mine").unwrap();
        table.bulk_load((0..1_000).map(|n| (key(n).to_vec(), vec![1_u8; 50]))).unwrap();
        assert_eq!(snapshot.count(&table, ..).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
        assert_eq!(writer.commit().unwrap_err().kind(), ErrorKind::SnapshotTooOld);
        assert_eq!(reader.commit().is_err(), level == Isolation::Serializable);
        assert_eq!(db.snapshot().unwrap().count(&table, ..).unwrap(), 1_000);
    }
}

/// Threads delete everything and put ten records, as one commit each: whoever reads sees ten or none.
#[test]
fn a_range_delete_is_seen_whole() {
    let db = Database::in_memory(8 << 20).unwrap();
    let (table, other) = (sorted(&db, "t").with_durability(Durability::Eventual), sorted(&db, "other"));
    let stop = AtomicBool::new(false);
    let (mut seen, mut too_old, mut refused) = ([0; 2], 0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = WriteBatch::new();
            while !stop.load(Ordering::Relaxed) {
                (0..10).for_each(|n| batch.put(&table, &key(n * 7), &[1; 700]));
                db.write(&mut batch, Durability::Eventual).unwrap();
                thread::yield_now();
                table.range_delete(key(0)..=key(63)).unwrap();
                thread::yield_now();
            }
        });
        let mut turn = 0_u32;
        while seen.contains(&0) || seen[0] + seen[1] < 300 {
            turn += 1;
            let mut tx = begin(&db, LEVELS[turn as usize % 2]);
            let counted = match turn % 3 {
                0 => tx.range(&table, ..).rev().try_fold(0, |count, record| record.map(|_| count + 1)),
                1 => (0..10).try_fold(0, |count, n| Ok(count + u64::from(tx.contains(&table, &key(n * 7))?))),
                _ => tx.count(&table, ..),
            };
            match counted {
                Ok(count) => {
                    assert!(count == 0 || count == 10, "{count}");
                    seen[usize::from(count == 10)] += 1;
                    tx.put(&other, b"count", &count.to_le_bytes()).unwrap();
                    refused += u32::from(tx.commit_with(Durability::Eventual).is_err());
                }
                Err(Error::SnapshotTooOld) => too_old += 1,
                Err(error) => panic!("{error}"),
            }
            let now = (0..10).filter(|n| table.contains(&key(n * 7)).unwrap()).count();
            assert!(now <= 10);
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{seen:?} seen, {too_old} too old, {refused} refused");
}
