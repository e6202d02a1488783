//! Records that expire: what each call says of them, and what remains of them.
//!
//! | module | checks |
//! |---|---|
//! | `merges` | merge operators in tables whose records expire |
//! | `model` | every operation at random, against maps with times |
//! | `races` | removal while threads put the same keys |

mod merges;
mod model;
mod races;

use crate::{KINDS, assert_clean};
use aquifer::{
    AnyTable, Clock, Database, Durability, ErrorKind, Event, Expiry, HashTableDef, Options, TableDef,
    TableKind, TableOptions, TxOptions, WriteBatch,
};
use aquifer_sim::SimDisk;
use std::io::{Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn ms(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

/// An hour after the beginning of time, by hand.
fn clock() -> Clock {
    Clock::by_hand(ms(3_600_000))
}

fn by(clock: &Clock) -> Options {
    Database::options().memory_budget(4 << 20).background(false).clock(clock.clone())
}

/// The table `t` of either kind, whose records may expire; after `lifetime` if that is given.
fn expiring(db: &Database, kind: TableKind, lifetime: Option<Duration>) -> AnyTable {
    match (kind, lifetime) {
        (TableKind::Hashed, None) => drop(db.create_table("t", TableOptions::hashed().may_expire()).unwrap()),
        (TableKind::Hashed, Some(time)) => {
            drop(db.create_table("t", TableOptions::hashed().time_to_live(time)).unwrap())
        }
        (_, None) => drop(db.create_table("t", TableOptions::expiring()).unwrap()),
        (_, Some(time)) => drop(db.create_table("t", TableOptions::default().time_to_live(time)).unwrap()),
    }
    db.any_table("t").unwrap()
}

/// Removes all that has expired, however long that rests.
fn remove_all(db: &Database, clock: &Clock) {
    for _ in 0..3 {
        clock.advance(Duration::from_secs(601));
        while db.step().unwrap() {}
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_has_expired_is_there_for_nobody() {
    for kind in KINDS {
        let clock = clock();
        let db = by(&clock).in_memory().unwrap();
        let table = expiring(&db, kind, None);
        table.put(b"stays", b"here").unwrap();
        for key in [&b"short"[..], &[b'l'; 900]] {
            for value in [vec![7; 30], vec![8; 40_000]] {
                table.put_for(key, &value, SECOND).unwrap();
                assert_eq!(table.get(key).unwrap().as_ref(), Some(&value));
                assert_eq!(table.expiry(key).unwrap(), Some(Expiry::At(ms(clock_ms(&table, key)))));
                let snapshot = db.snapshot().unwrap();
                let mut tx = db.begin().unwrap();
                clock.advance(SECOND);
                assert_gone(&db, &table, key);
                // Snapshots and transactions have the time at which they began.
                assert_eq!(snapshot.get(&table, key).unwrap().as_ref(), Some(&value));
                assert!(snapshot.expiry(&table, key).unwrap().is_some());
                assert_eq!(snapshot.open_large(&table, key).unwrap().unwrap().len(), value.len() as u64);
                assert_eq!(
                    snapshot.records(&table).next().unwrap().map(|(key, _)| key.len() > 4),
                    Some(true)
                );
                assert_eq!(tx.get(&table, key).unwrap().as_ref(), Some(&value));
                tx.append(&table, key, b"!").unwrap();
                assert_eq!(tx.get(&table, key).unwrap().unwrap().len(), value.len() + 1);
                drop((snapshot, tx));
                let snapshot = db.snapshot().unwrap();
                assert_eq!(snapshot.get(&table, key).unwrap(), None);
                assert_eq!(snapshot.expiry(&table, key).unwrap(), None);
                assert!(snapshot.open_large(&table, key).unwrap().is_none());
                assert!(!snapshot.contains(&table, key).unwrap());
                assert_eq!(keys(snapshot.records(&table)), [b"stays"]);
            }
        }
    }
}

fn clock_ms(table: &AnyTable, key: &[u8]) -> u64 {
    let Some(Expiry::At(time)) = table.expiry(key).unwrap() else { panic!("it expires") };
    time.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn keys(mut records: aquifer::Records<'_>) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    while let Some((key, _)) = records.next().unwrap() {
        keys.push(key.to_vec());
    }
    keys
}

/// Of one key that has expired; another is there.
fn assert_gone(db: &Database, table: &AnyTable, key: &[u8]) {
    assert_eq!(table.get(key).unwrap(), None);
    assert!(!table.contains(key).unwrap());
    assert_eq!(table.expiry(key).unwrap(), None);
    let both = table.multi_get([key.to_vec(), b"stays".to_vec()]).unwrap();
    assert_eq!(both, [None, Some(b"here".to_vec())]);
    assert!(table.open_large(key).unwrap().is_none());
    assert_eq!(keys(table.records()), [b"stays"]);
    assert_eq!(table.patch(key, 0, b"x").unwrap_err().kind(), ErrorKind::Usage);
    if let Some(sorted) = table.sorted() {
        assert_eq!(sorted.count(..).unwrap(), 1);
        assert_eq!(sorted.first().unwrap().unwrap().0, b"stays");
        assert_eq!(sorted.last().unwrap().unwrap().0, b"stays");
        assert_eq!(sorted.prefix(key).count(), 0);
        assert_eq!(sorted.iter().rev().count(), 1);
    }
    // What depends on the old value finds none, and what is put instead is there.
    let value = vec![9; 2000];
    let put = |table: &AnyTable| table.put_until(key, &value, SystemTime::UNIX_EPOCH).unwrap();
    put(table);
    assert_eq!(table.replace(key, b"new").unwrap(), None);
    assert_eq!(table.replace(key, b"newer").unwrap().unwrap(), b"new");
    put(table);
    assert_eq!(table.take(key).unwrap(), None);
    put(table);
    assert!(!table.compare_and_swap(key, Some(&value), Some(b"other")).unwrap());
    assert!(table.compare_and_swap(key, None, Some(b"swapped")).unwrap());
    assert_eq!(table.get(key).unwrap().unwrap(), b"swapped");
    put(table);
    table.append(key, b"begun").unwrap();
    table.append(key, b" anew").unwrap();
    assert_eq!(table.get(key).unwrap().unwrap(), b"begun anew");
    put(table);
    let mut writer = table.append_large(key).unwrap();
    assert!(writer.is_empty());
    writer.write_all(&[1; 9000]).unwrap();
    assert_eq!(writer.len(), 9000);
    writer.finish().unwrap();
    assert_eq!(table.get(key).unwrap().unwrap(), [1; 9000]);
    let mut tx = db.begin().unwrap();
    tx.put_until(table, key, b"over", SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(tx.get(table, key).unwrap(), None, "own writes expire too");
    assert_eq!(tx.replace(table, key, b"new").unwrap(), None);
    tx.put_until(table, key, b"over", SystemTime::UNIX_EPOCH).unwrap();
    tx.commit().unwrap();
    assert_eq!(table.get(key).unwrap(), None);
}

#[test]
fn a_change_of_a_part_leaves_the_expiry_and_a_put_sets_it() {
    for kind in KINDS {
        let clock = clock();
        let db = by(&clock).in_memory().unwrap();
        let table = expiring(&db, kind, Some(10 * SECOND));
        for key in [&b"k"[..], &[b'k'; 700]] {
            for long in [false, true] {
                let value = vec![5; if long { 20_000 } else { 20 }];
                let at = |seconds: u64| Some(Expiry::At(ms(3_600_000 + seconds * 1000)));
                table.put_until(key, &value, ms(3_602_000)).unwrap();
                table.append(key, b"tail").unwrap();
                table.patch(key, 1, b"patched").unwrap();
                assert_eq!(table.expiry(key).unwrap(), at(2));
                let mut writer = table.append_large(key).unwrap();
                assert_eq!(writer.len(), value.len() as u64 + 4);
                writer.write_all(b"more").unwrap();
                writer.finish().unwrap();
                assert_eq!(table.expiry(key).unwrap(), at(2));
                let mut tx = db.begin().unwrap();
                tx.patch(&table, key, 0, b"tx").unwrap();
                tx.append(&table, key, b"end").unwrap();
                assert_eq!(tx.expiry(&table, key).unwrap(), at(2));
                tx.commit().unwrap();
                let found = table.get(key).unwrap().unwrap();
                assert_eq!((&found[..8], &found[value.len()..]), (&b"txatched"[..], &b"tailmoreend"[..]));
                let mut reader = table.open_large(key).unwrap().unwrap();
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                assert_eq!((read, reader.len()), (found.clone(), found.len() as u64));
                assert_eq!(table.patch(key, reader.len(), b"x").unwrap_err().kind(), ErrorKind::Usage);
                table.put(key, &value).unwrap();
                assert_eq!(table.expiry(key).unwrap(), at(10));
                table.replace(key, &value).unwrap();
                let mut writer = table.write_large_until(key, ms(3_607_000)).unwrap();
                writer.write_all(&value).unwrap();
                writer.finish().unwrap();
                assert_eq!(
                    (table.expiry(key).unwrap(), table.get(key).unwrap()),
                    (at(7), Some(value.clone()))
                );
                table.put_until(key, &value, Expiry::Never).unwrap();
                assert_eq!(table.expiry(key).unwrap(), Some(Expiry::Never));
                assert!(table.compare_and_swap(key, Some(&value), Some(b"swapped")).unwrap());
                assert_eq!(table.expiry(key).unwrap(), at(10));
            }
        }
    }
}

#[test]
fn typed_tables_expire_too() {
    const AGES: TableDef<str, u32> = TableDef::new("ages");
    const NAMES: HashTableDef<u64, String> = HashTableDef::new("names");
    let clock = clock();
    let db = by(&clock).in_memory().unwrap();
    let ages = AGES.create(&db, TableOptions::expiring()).unwrap();
    let names = NAMES.create(&db, TableOptions::hashed().time_to_live(SECOND)).unwrap();
    ages.put_for("ada", &36, 2 * SECOND).unwrap();
    ages.put("bob", &40).unwrap();
    names.put(&7, &"ada".into()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put_for(&ages, "eve", &1, SECOND);
    batch.put(&names, &8, &"bob".into());
    db.write(&mut batch, Durability::Power).unwrap();
    assert_eq!(ages.iter().count() + names.iter().count(), 5);
    clock.advance(SECOND);
    assert_eq!(ages.iter().map(|record| record.unwrap().0).collect::<Vec<_>>(), ["ada", "bob"]);
    assert_eq!(names.get(&7).unwrap(), None);
    assert!(names.is_empty().unwrap());
    let info = names.info();
    assert_eq!((info.expires, info.time_to_live), (true, Some(SECOND)));
    assert_eq!((ages.info().expires, ages.info().time_to_live), (true, None));
}

#[test]
fn removal_is_a_commit_that_watchers_see_and_older_snapshots_do_not() {
    for kind in KINDS {
        let clock = clock();
        let db = by(&clock).in_memory().unwrap();
        let table = expiring(&db, kind, None);
        let mut watcher = table.watch(..).unwrap();
        table.put_for(b"k", b"v", SECOND).unwrap();
        let snapshot = db.snapshot().unwrap();
        let mut writing = db.begin().unwrap();
        let mut reading = db.begin_with(TxOptions::serializable()).unwrap();
        writing.put(&table, b"k", b"w").unwrap();
        assert!(reading.contains(&table, b"k").unwrap());
        reading.put(&table, b"other", b"w").unwrap();
        clock.advance(SECOND);
        let commits = db.stats().commits;
        remove_all(&db, &clock);
        assert_eq!((db.stats().expired_removed, db.stats().commits), (1, commits + 1));
        assert_eq!(snapshot.get(&table, b"k").unwrap().unwrap(), b"v");
        assert_eq!(snapshot.records(&table).next().unwrap(), Some((&b"k"[..], &b"v"[..])));
        assert_eq!(writing.commit().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(reading.commit().unwrap_err().kind(), ErrorKind::Conflict);
        let put = watcher.recv().unwrap();
        assert!(matches!(put, Event::Put { value: Some(value), .. } if value == b"v"));
        assert!(matches!(watcher.recv().unwrap(), Event::Deleted { key, .. } if key == b"k"));
        assert!(watcher.try_recv().unwrap().is_none());
    }
}

#[test]
fn what_is_put_again_or_locked_stays() {
    for kind in KINDS {
        let clock = clock();
        let db = by(&clock).in_memory().unwrap();
        let table = expiring(&db, kind, None);
        for key in [&b"k"[..], &[b'k'; 700]] {
            table.put_for(key, b"old", SECOND).unwrap();
            clock.advance(SECOND);
            let mut tx = db.begin().unwrap();
            tx.lock(&table, key).unwrap();
            let removed = db.stats().expired_removed;
            remove_all(&db, &clock);
            assert_eq!(db.stats().expired_removed, removed, "it is locked");
            tx.put_for(&table, key, b"new", 10_000 * SECOND).unwrap();
            tx.commit().unwrap();
            remove_all(&db, &clock);
            assert_eq!(db.stats().expired_removed, removed);
            assert_eq!(table.get(key).unwrap().unwrap(), b"new");
            clock.advance(10_000 * SECOND);
            remove_all(&db, &clock);
            assert_eq!(db.stats().expired_removed, removed + 1);
        }
    }
}

#[test]
fn a_table_in_which_nothing_is_due_is_not_walked() {
    for kind in KINDS {
        let clock = clock();
        let db = by(&clock).in_memory().unwrap();
        let table = expiring(&db, kind, None);
        table.put_for(b"soon", b"v", 1000 * SECOND).unwrap();
        table.put(b"never", b"v").unwrap();
        while db.step().unwrap() {}
        clock.advance(999 * SECOND);
        assert!(!db.step().unwrap(), "nothing has expired");
        table.put_for(b"sooner", b"v", SECOND / 2).unwrap();
        clock.advance(SECOND);
        assert!(db.step().unwrap(), "both have");
        assert_eq!(db.stats().expired_removed, 2);
        clock.advance(100_000 * SECOND);
        assert!(!db.step().unwrap(), "what is left never does");
        assert_eq!(keys(table.records()), [b"never"]);
    }
}

#[test]
fn removal_gives_the_space_back() {
    for kind in KINDS {
        let (clock, disk) = (clock(), SimDisk::new());
        let db = by(&clock).disk(disk.disk()).create("").unwrap();
        let table = expiring(&db, kind, Some(SECOND)).with_durability(Durability::Eventual);
        for n in 0..6000u32 {
            let key = [&n.to_be_bytes()[..], &vec![b'l'; if n % 500 == 0 { 600 } else { 0 }]].concat();
            table.put(&key, &vec![n as u8; if n % 100 == 0 { 20_000 } else { 300 }]).unwrap();
        }
        db.checkpoint().unwrap();
        let before = db.stats().pager;
        remove_all(&db, &clock);
        db.checkpoint().unwrap();
        while db.step().unwrap() {}
        let after = db.stats();
        assert_eq!((after.expired_removed, keys(table.records()).len()), (6000, 0));
        assert!(after.pager.pages < before.pages / 10, "{} of {}", after.pager.pages, before.pages);
        assert_clean(&db);
    }
}

#[test]
fn a_clock_that_is_set_back_shows_what_is_not_removed() {
    let clock = clock();
    let db = by(&clock).in_memory().unwrap();
    let table = expiring(&db, TableKind::Sorted, None);
    table.put_for(b"k", b"v", SECOND).unwrap();
    clock.advance(2 * SECOND);
    assert_eq!(table.get(b"k").unwrap(), None);
    clock.set(ms(3_600_000));
    assert_eq!(table.get(b"k").unwrap().unwrap(), b"v");
    remove_all(&db, &clock);
    clock.set(ms(3_600_000));
    assert_eq!(table.get(b"k").unwrap(), None);
    // And removal goes on from there.
    table.put_for(b"k", b"v", SECOND).unwrap();
    clock.advance(2 * SECOND);
    while db.step().unwrap() {}
    assert_eq!(db.stats().expired_removed, 2);
}

#[test]
fn bulk_loads_dumps_and_restores_keep_expiry() {
    for kind in KINDS {
        let clock = clock();
        let (from, to) = (SimDisk::new(), SimDisk::new());
        let db = by(&clock).disk(from.disk()).create("").unwrap();
        let table = expiring(&db, kind, Some(5 * SECOND));
        let long = [b'l'; 700];
        for n in 1..8u8 {
            for (key, value) in [(vec![n], vec![n; 9]), ([&long[..], &[n]].concat(), vec![n; 70_000])] {
                table.put_until(&key, &value, ms(3_600_000 + u64::from(n) * 1000)).unwrap();
                table
                    .put_for(&[&key[..1], &[n, 1]].concat(), &vec![n; 10_000], u32::from(n) * SECOND)
                    .unwrap();
            }
        }
        clock.advance(2 * SECOND);
        let rows = crate::rows(&table);
        let mut dump = Vec::new();
        assert_eq!(db.dump(&mut dump, |_| ()).unwrap().records, rows.len() as u64);
        let (restored, summary) =
            Database::restore(by(&clock).disk(to.disk()), "", &dump[..], |_| ()).unwrap();
        assert_eq!(summary.records, rows.len() as u64);
        let copy = restored.any_table("t").unwrap();
        assert_eq!(copy.info(), aquifer::TableInfo { id: copy.info().id, ..table.info() });
        assert_eq!(crate::rows(&copy), rows);
        for key in rows.keys() {
            assert_eq!(copy.expiry(key).unwrap(), table.expiry(key).unwrap());
        }
        for _ in 0..7 {
            clock.advance(SECOND);
            assert_eq!(crate::rows(&copy), crate::rows(&table));
        }
        remove_all(&restored, &clock);
        assert_eq!(restored.stats().expired_removed, rows.len() as u64);
        assert_clean(&restored);
    }
    let clock = clock();
    let db = by(&clock).in_memory().unwrap();
    let table = db.create_table("t", TableOptions::default().time_to_live(SECOND)).unwrap();
    let records = (0..100u8).map(|n| (vec![n], vec![n; if n % 9 == 0 { 8000 } else { 8 }]));
    assert_eq!(table.bulk_load(records).unwrap(), 100);
    assert_eq!((table.count(..).unwrap(), table.get(&[9]).unwrap()), (100, Some(vec![9; 8000])));
    clock.advance(SECOND);
    assert_eq!(table.count(..).unwrap(), 0);
    remove_all(&db, &clock);
    assert_eq!(db.stats().expired_removed, 100);
}

#[test]
fn replay_reads_no_clock() {
    for kind in KINDS {
        for later in [0, 500, 5000] {
            let (clock, disk) = (clock(), SimDisk::new());
            let db = by(&clock).disk(disk.disk()).create("").unwrap();
            let table = expiring(&db, kind, Some(SECOND));
            for n in 0..50u8 {
                table.put(&[n], &vec![n; if n % 7 == 0 { 9000 } else { 90 }]).unwrap();
                table.patch(&[n], 3, b"patched").unwrap();
            }
            table.put_until(b"never", b"v", Expiry::Never).unwrap();
            let killed = disk.after_kill();
            drop((table, db));
            clock.advance(Duration::from_millis(later));
            let db = by(&clock).disk(killed.disk()).open("").unwrap();
            let table = db.any_table("t").unwrap();
            assert_eq!(keys(table.records()).len(), if later < 1000 { 51 } else { 1 });
            clock.set(ms(3_600_000));
            assert_eq!(keys(table.records()).len(), 51, "nothing is lost by an opening");
            remove_all(&db, &clock);
            assert_eq!((keys(table.records()).len(), db.stats().expired_removed), (1, 50));
            // The removals are in the log.
            db.sync().unwrap();
            let killed = killed.after_power_loss(later);
            drop((table, db));
            clock.set(ms(3_600_000));
            let db = by(&clock).disk(killed.disk()).open("").unwrap();
            assert_eq!(keys(db.any_table("t").unwrap().records()), [b"never"]);
            assert_clean(&db);
        }
    }
}

#[test]
fn backups_and_salvage_keep_expiry() {
    for kind in KINDS {
        let clock = clock();
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        let db = by(&clock).create(place("db")).unwrap();
        let table = expiring(&db, kind, Some(SECOND));
        for n in 0..100u8 {
            let key = [&[n][..], &vec![b'l'; if n % 10 == 0 { 600 } else { 0 }]].concat();
            table
                .put_for(&key, &vec![n; if n % 9 == 0 { 9000 } else { 90 }], (1 + u32::from(n % 2)) * SECOND)
                .unwrap();
        }
        let rows = crate::rows(&table);
        db.backup(place("backup"), |_| ()).unwrap();
        db.close().unwrap();
        drop((table, db));
        let backup = aquifer::Backup::at(place("backup"));
        let (restored, _) = backup.restore(by(&clock), place("restored"), |_| ()).unwrap();
        Database::salvage(by(&clock), place("db"), place("salvaged"), |_| ()).unwrap();
        let salvaged = by(&clock).open(place("salvaged")).unwrap();
        for db in [restored, salvaged] {
            clock.set(ms(3_600_000));
            let table = db.any_table("t").unwrap();
            assert_eq!(crate::rows(&table), rows);
            clock.advance(SECOND);
            assert_eq!(crate::rows(&table).len(), 50);
            assert_eq!(table.info().time_to_live, Some(SECOND));
        }
    }
}
