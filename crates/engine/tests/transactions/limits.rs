//! What transactions run into: memory, locks, other databases, tables and databases that go.

use crate::{KINDS, LEVELS, any_table, begin, small, sorted};
use aquifer::{Database, Durability, Error, ErrorKind, Isolation, Result, TxOptions};
use aquifer_sim::SimDisk;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::{Arc, thread};
use std::time::Duration;

fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn deleting_a_range_of_nothing_in_a_new_database_does_nothing() {
    let db = Database::in_memory(4 << 20).unwrap();
    let table = sorted(&db, "t");
    for level in LEVELS {
        let reader = begin(&db, level);
        assert_eq!(reader.count(&table, ..).unwrap(), 0);
        table.range_delete(&b"a"[..]..&b"z"[..]).unwrap();
        reader.commit().unwrap();
    }
}

/// Nor is it a change for who has read the range.
#[test]
fn deleting_a_range_of_nothing_refuses_nobody() {
    let db = Database::in_memory(4 << 20).unwrap();
    let (table, other) = (sorted(&db, "t"), sorted(&db, "other"));
    let mut tx = begin(&db, Isolation::Serializable);
    assert_eq!(tx.count(&table, ..).unwrap(), 0);
    other.put(b"k", b"v").unwrap(); // the order goes on
    table.range_delete(&b"a"[..]..&b"z"[..]).unwrap();
    tx.put(&other, b"l", b"v").unwrap();
    tx.commit().unwrap();
}

#[test]
fn a_put_for_which_others_have_left_no_memory_changes_nothing() {
    let db = small().in_memory().unwrap();
    let table = sorted(&db, "t");
    let (mut greedy, mut poor) = (db.begin().unwrap(), db.begin().unwrap());
    let mut n = 0u32;
    let error = loop {
        n += 1;
        let hungry = if n.is_multiple_of(2) { &mut greedy } else { &mut poor };
        if let Err(error) = hungry.put(&table, &n.to_be_bytes(), &[1; 800]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    let hungry = if n.is_multiple_of(2) { greedy } else { poor };
    assert_eq!(hungry.get(&table, &n.to_be_bytes()).unwrap(), None);
    assert_eq!(hungry.count(&table, ..).unwrap(), u64::from(n - 1) / 2);
    hungry.commit().unwrap();
    assert_eq!(table.get(&n.to_be_bytes()).unwrap(), None);
}

#[test]
fn a_transaction_that_is_too_large_says_so_and_goes_on() {
    let disk = SimDisk::new();
    let db = small().disk(disk.disk()).create("").unwrap();
    let table = sorted(&db, "t");
    let mut tx = db.begin().unwrap();
    let mut n = 0u32;
    let error = loop {
        match tx.put(&table, &n.to_be_bytes(), &[1; 1000]) {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
    };
    let Error::TransactionTooLarge { bytes, bytes_max } = error else { panic!("{error}") };
    assert!(bytes > bytes_max && bytes_max == 256 << 10 && n > 200, "{n}");
    assert_eq!(tx.count(&table, ..).unwrap(), u64::from(n));
    tx.commit().unwrap(); // of more than the log holds in memory
    assert_eq!(table.count(..).unwrap(), u64::from(n));
    let after = disk.after_power_loss(1);
    drop((table, db));
    let db = small().disk(after.disk()).open("").unwrap();
    assert_eq!(db.table("t").unwrap().count(..).unwrap(), u64::from(n));
}

#[test]
fn a_database_stays_open_as_long_as_a_transaction() {
    let disk = SimDisk::new();
    let db = small().disk(disk.disk()).create("").unwrap();
    let table = sorted(&db, "t");
    let mut tx = db.begin().unwrap();
    drop(db);
    tx.put(&table, b"k", b"v").unwrap();
    drop(table);
    assert!(small().disk(disk.disk()).open("").is_err());
    tx.commit().unwrap();
    let db = small().disk(disk.disk()).open("").unwrap();
    assert_eq!(db.table("t").unwrap().get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_value_written_as_a_stream_conflicts_like_any_other() {
    for level in LEVELS {
        let db = Database::in_memory(8 << 20).unwrap();
        let table = sorted(&db, "t");
        let (mut writer, mut reader) = (begin(&db, level), begin(&db, level));
        writer.put(&table, b"k", b"v").unwrap();
        assert_eq!(reader.get(&table, b"k").unwrap(), None);
        reader.put(&table, b"l", b"v").unwrap();
        let mut stream = table.write_large(b"k").unwrap();
        std::io::Write::write_all(&mut stream, &[1; 20_000]).unwrap();
        stream.finish().unwrap();
        assert_eq!(writer.get(&table, b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(reader.get(&table, b"k").unwrap(), None);
        assert_eq!(kind_of(writer.commit()), ErrorKind::Conflict);
        assert_eq!(reader.commit().is_err(), level == Isolation::Serializable);
        assert_eq!(table.get(b"k").unwrap(), Some(vec![1; 20_000]));
    }
}

#[test]
fn a_serializable_transaction_that_reads_too_much_says_so() {
    let db = small().in_memory().unwrap();
    for kind in KINDS {
        let table = any_table(&db, &format!("{kind:?}"), kind);
        let tx = begin(&db, Isolation::Serializable);
        let key = |n: u32| [&n.to_be_bytes()[..], &[b'k'; 400]].concat();
        let errors = (0..2_000).map_while(|n| Some(tx.get(&table, &key(n)).err())).flatten();
        assert_eq!(errors.take(1).next().unwrap().kind(), ErrorKind::TransactionTooLarge);
        assert_eq!(begin(&db, Isolation::Snapshot).get(&table, b"k").unwrap(), None, "others read on");
        tx.commit().unwrap();
    }
}

#[test]
fn an_old_snapshot_is_given_up_and_the_others_go_on() {
    let db = small().in_memory().unwrap();
    let table = sorted(&db, "t").with_durability(Durability::Eventual);
    let value = |n: u32, round: u32| vec![(n + round) as u8; 300];
    for n in 0..300 {
        table.put(&u32::to_be_bytes(n), &value(n, 0)).unwrap();
    }
    let old = db.snapshot().unwrap();
    let mut old_tx = db.begin().unwrap();
    old_tx.put(&table, b"own", b"").unwrap();
    let mut refused = 0;
    for round in 1..6 {
        let young = db.snapshot().unwrap();
        for n in 0..300 {
            let key = u32::to_be_bytes(n);
            table.put(&key, &value(n, round)).unwrap();
            match old.get(&table, &key) {
                Ok(found) => assert_eq!(found, Some(value(n, 0))),
                Err(Error::SnapshotTooOld) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            // The young one costs no more than there is memory for, if the old one is given up in its time.
            if n < 100 {
                assert_eq!(young.get(&table, &key).unwrap(), Some(value(n, round - 1)));
            }
        }
    }
    assert!(refused > 0);
    assert_eq!(kind_of(old.count(&table, ..)), ErrorKind::SnapshotTooOld);
    assert_eq!(kind_of(old_tx.commit()), ErrorKind::SnapshotTooOld);
    assert!(!table.contains(b"own").unwrap());
    assert_eq!(db.snapshot().unwrap().count(&table, ..).unwrap(), 300);
}

/// With threads: what a snapshot reads is of one moment, or nothing is.
#[test]
fn under_pressure_of_versions_nothing_wrong_is_read() {
    let db = small().background(true).in_memory().unwrap();
    let tables = KINDS.map(|kind| any_table(&db, &format!("{kind:?}"), kind));
    let stop = AtomicBool::new(false);
    let (mut read, mut refused) = (0, 0);
    thread::scope(|scope| {
        for thread in 0..2_u32 {
            let (db, tables, stop) = (&db, &tables, &stop);
            scope.spawn(move || {
                for round in 1_u64.. {
                    // Keys of a group always change together.
                    let group = (round * 7 + u64::from(thread)) % 20;
                    let options = TxOptions::new().retries_max(1_000);
                    let written = db.transact_with(options, Durability::Eventual, |tx| {
                        (0..6_u64).try_for_each(|n| {
                            let key = [group.to_be_bytes(), n.to_be_bytes()].concat();
                            tx.put(&tables[n as usize % 2], &key, &round.to_le_bytes().repeat(100))
                        })
                    });
                    written.unwrap_or_else(|error: Error| panic!("{error}"));
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        while read < 60 || refused < 5 {
            let snapshot = db.snapshot().unwrap();
            for group in 0..20_u64 {
                let get = |n: u64| {
                    snapshot.get(&tables[n as usize % 2], &[group.to_be_bytes(), n.to_be_bytes()].concat())
                };
                match (0..6).map(get).collect::<Result<Vec<_>>>() {
                    Ok(values) => {
                        assert!(values.windows(2).all(|pair| pair[0] == pair[1]));
                        read += 1;
                    }
                    Err(Error::SnapshotTooOld) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                (0..20).for_each(|_| thread::yield_now());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_locked_key_is_waited_for_no_longer_than_said() {
    for kind in KINDS {
        let db = Database::in_memory(4 << 20).unwrap();
        let table = any_table(&db, "t", kind);
        let long = [b'l'; 700];
        let mut holder = db.begin().unwrap();
        holder.lock(&table, b"k").unwrap();
        holder.lock(&table, &long).unwrap();
        let hasty = TxOptions::new().lock_timeout(Duration::from_millis(5));
        for key in [&b"k"[..], &long] {
            let mut other = db.begin_with(hasty).unwrap();
            assert_eq!(kind_of(other.lock(&table, key)), ErrorKind::LockTimeout);
            assert_eq!(kind_of(other.get_for_update(&table, key)), ErrorKind::LockTimeout);
            assert_eq!(other.get(&table, key).unwrap(), None, "reading waits for nobody");
            other.put(&table, key, b"other").unwrap();
            assert_eq!(kind_of(other.commit()), ErrorKind::LockTimeout);
        }
        let begun = Arc::new(AtomicBool::new(false));
        let autocommit = thread::spawn({
            let (table, begun) = (table.clone(), Arc::clone(&begun));
            move || {
                begun.store(true, Ordering::SeqCst);
                table.put(b"k", b"autocommit").unwrap();
            }
        });
        holder.put(&table, b"k", b"holder").unwrap();
        while !begun.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        for _ in 0..5_000 {
            assert_eq!(table.get(b"k").unwrap(), None, "it waits");
            thread::yield_now();
        }
        holder.commit().unwrap();
        autocommit.join().unwrap();
        assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"autocommit"[..]), "it came afterwards");
    }
}

#[test]
fn of_a_circle_of_locks_one_gives_way() {
    let db = Database::in_memory(4 << 20).unwrap();
    let table = sorted(&db, "t");
    let patient = TxOptions::new().lock_timeout(Duration::from_secs(60));
    let (mut first, mut second) = (db.begin_with(patient).unwrap(), db.begin_with(patient).unwrap());
    first.lock(&table, b"a").unwrap();
    second.lock(&table, b"b").unwrap();
    let other = thread::spawn({
        let table = table.clone();
        move || first.lock(&table, b"b").and_then(|()| first.commit())
    });
    let error = second.lock(&table, b"a").unwrap_err();
    assert!(matches!(error, Error::Deadlock { .. }), "the younger one: {error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    drop(second);
    other.join().unwrap().unwrap();
}

#[test]
fn a_lock_taken_first_reads_what_is_there_now() {
    for level in LEVELS {
        let db = Database::in_memory(4 << 20).unwrap();
        let table = sorted(&db, "t");
        let (mut fresh, mut stale) = (begin(&db, level), begin(&db, level));
        assert_eq!(stale.get(&table, b"other").unwrap(), None);
        table.put(b"k", b"v").unwrap();
        assert_eq!(fresh.get_for_update(&table, b"k").unwrap().as_deref(), Some(&b"v"[..]));
        fresh.put(&table, b"k", b"w").unwrap();
        fresh.commit().unwrap();
        assert_eq!(kind_of(stale.lock(&table, b"k")), ErrorKind::Conflict);
    }
}

#[test]
fn a_read_only_transaction_refuses_to_write_and_never_conflicts() {
    for level in LEVELS {
        let db = Database::in_memory(4 << 20).unwrap();
        let table = sorted(&db, "t");
        table.put(b"k", b"v").unwrap();
        let mut tx = db.begin_with(TxOptions::new().isolation(level).read_only()).unwrap();
        assert_eq!(kind_of(tx.put(&table, b"k", b"")), ErrorKind::Usage);
        assert_eq!(kind_of(tx.delete(&table, b"k")), ErrorKind::Usage);
        assert_eq!(kind_of(tx.take(&table, b"k")), ErrorKind::Usage);
        assert_eq!(kind_of(tx.append(&table, b"k", b"x")), ErrorKind::Usage);
        assert_eq!(kind_of(tx.range_delete(&table, ..)), ErrorKind::Usage);
        table.put(b"k", b"w").unwrap();
        assert_eq!(tx.get(&table, b"k").unwrap().as_deref(), Some(&b"v"[..]));
        tx.commit().unwrap();
    }
}

#[test]
fn a_table_of_another_database_is_refused() {
    let (db, other) = (Database::in_memory(4 << 20).unwrap(), Database::in_memory(4 << 20).unwrap());
    let (own, foreign) = (sorted(&db, "t"), sorted(&other, "t"));
    let mut tx = db.begin().unwrap();
    assert_eq!(kind_of(tx.get(&foreign, b"k")), ErrorKind::Usage);
    assert_eq!(kind_of(tx.first(&foreign)), ErrorKind::Usage);
    assert_eq!(kind_of(tx.put(&foreign, b"k", b"v")), ErrorKind::Usage);
    assert_eq!(kind_of(tx.delete(&foreign, b"k")), ErrorKind::Usage);
    assert_eq!(kind_of(tx.lock(&foreign, b"k")), ErrorKind::Usage);
    tx.put(&own, b"k", b"v").unwrap();
    tx.commit().unwrap();
    assert!(own.contains(b"k").unwrap() && !foreign.contains(b"k").unwrap());
}

#[test]
fn a_table_that_is_dropped_takes_the_transaction_with_it() {
    for (level, kind) in LEVELS.into_iter().zip(KINDS) {
        let db = Database::in_memory(4 << 20).unwrap();
        let (stays, goes) = (sorted(&db, "stays"), any_table(&db, "goes", kind));
        goes.put(b"k", b"v").unwrap();
        let mut tx = begin(&db, level);
        tx.put(&stays, b"k", b"v").unwrap();
        tx.put(&goes, b"k", b"w").unwrap();
        db.drop_table("goes").unwrap();
        assert!(matches!(tx.get(&goes, b"k").unwrap_err(), Error::TableDropped { .. }));
        assert!(matches!(tx.put(&goes, b"l", b"").unwrap_err(), Error::TableDropped { .. }));
        let again = any_table(&db, "goes", kind);
        assert_eq!(tx.get(&again, b"k").unwrap(), None);
        assert!(matches!(tx.commit().unwrap_err(), Error::TableDropped { .. }));
        assert!(!stays.contains(b"k").unwrap() && !again.contains(b"k").unwrap());
    }
}

#[test]
fn a_database_that_is_closed_ends_its_transactions() {
    let disk = SimDisk::new();
    let db = small().disk(disk.disk()).create("").unwrap();
    let table = sorted(&db, "t");
    table.put(b"k", b"v").unwrap();
    let (mut writer, reader) = (db.begin().unwrap(), begin(&db, Isolation::Serializable));
    let snapshot = db.snapshot().unwrap();
    writer.put(&table, b"k", b"w").unwrap();
    db.close().unwrap();
    assert_eq!(kind_of(reader.get(&table, b"k")), ErrorKind::Closed);
    assert_eq!(kind_of(snapshot.count(&table, ..)), ErrorKind::Closed);
    assert_eq!(kind_of(writer.put(&table, b"k", b"x")), ErrorKind::Closed);
    assert_eq!(kind_of(writer.commit()), ErrorKind::Closed);
    drop((reader, snapshot, table, db));
    let db = small().disk(disk.disk()).open("").unwrap();
    assert_eq!(db.table("t").unwrap().get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_conflict_names_the_table_that_was_only_read() {
    for kind in KINDS {
        let db = Database::in_memory(4 << 20).unwrap();
        let (read, written) = (any_table(&db, "read", kind), sorted(&db, "written"));
        let mut tx = begin(&db, Isolation::Serializable);
        assert_eq!(tx.get(&read, b"k").unwrap(), None);
        tx.put(&written, b"l", b"v").unwrap();
        read.put(b"k", b"v").unwrap();
        let Error::Conflict { table, key } = tx.commit().unwrap_err() else { panic!("a conflict") };
        assert_eq!((table.as_str(), &key[..]), ("read", &b"k"[..]));
    }
}
