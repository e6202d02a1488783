//! Snapshots of checkpoints: what they see, what they cost, and what becomes of them when tables, databases and disks go.

mod churn;

use crate::{KINDS, any_table, assert_clean, small, sorted};
use aquifer::{
    AnyTable, CheckpointSnapshot, Database, Durability, ErrorKind, HashTableDef, Options, Result, Table,
    TableDef, TableOptions,
};
use aquifer_sim::{Fault, SimDisk};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use std::io::Read;

fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn created(options: Options, disk: &SimDisk) -> Database {
    options.disk(disk.disk()).create("").unwrap()
}

fn put(table: &Table, n: u32, value: &[u8]) {
    table.put_with(&n.to_be_bytes(), value, Durability::Eventual).unwrap().wait().unwrap();
}

fn fill(table: &Table, records: u32, byte: u8, len: usize) {
    (0..records).for_each(|n| put(table, n, &vec![byte; len]));
}

/// All values consist of this byte; how many there are.
fn count_of(snapshot: &CheckpointSnapshot, table: &Table, byte: u8) -> usize {
    let mut count = 0;
    for record in snapshot.range(table, ..) {
        assert!(record.unwrap().1.iter().all(|&found| found == byte));
        count += 1;
    }
    count
}

fn settle(db: &Database) {
    while db.step().unwrap() {}
}

fn account(db: &Database, name: &str) -> u64 {
    db.stats().memory.iter().find(|account| account.name == name).map_or(0, |account| account.bytes)
}

#[test]
fn a_database_in_memory_says_what_to_use_instead() {
    let db = Database::in_memory(4 << 20).unwrap();
    for taken in [db.checkpoint_snapshot(), db.newest_checkpoint_snapshot()] {
        let error = taken.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("snapshot"), "{error}");
    }
}

#[test]
fn it_is_of_the_call_and_the_newest_is_of_the_last_checkpoint() {
    let db = created(small(), &SimDisk::new());
    let table = sorted(&db, "t");
    table.put(b"k", b"1").unwrap();
    db.checkpoint().unwrap();
    table.put(b"k", b"2").unwrap();
    let checkpoints = db.stats().pager.checkpoints;
    let newest = db.newest_checkpoint_snapshot().unwrap();
    assert_eq!(db.stats().pager.checkpoints, checkpoints);
    let fresh = db.checkpoint_snapshot().unwrap();
    assert_eq!(db.stats().pager.checkpoints, checkpoints + 1);
    let same = db.checkpoint_snapshot().unwrap();
    assert_eq!(db.stats().pager.checkpoints, checkpoints + 1, "nothing had changed");
    table.put(b"k", b"3").unwrap();
    let get = |snapshot: &CheckpointSnapshot| snapshot.get(&table, b"k").unwrap().unwrap();
    assert_eq!([get(&newest), get(&fresh), get(&same)], [b"1", b"2", b"2"]);
    assert!(newest.lsn() < fresh.lsn() && fresh.lsn() == same.lsn());
    assert!(fresh.lsn() < db.snapshot().unwrap().lsn());
}

#[test]
fn its_tables_are_those_of_the_checkpoint() {
    let db = created(small(), &SimDisk::new());
    for kind in KINDS {
        let [stays, goes] = ["stays", "goes"].map(|name| any_table(&db, name, kind));
        [&stays, &goes].iter().for_each(|table| table.put(b"k", table.name().as_bytes()).unwrap());
        let then = db.checkpoint_snapshot().unwrap();
        db.drop_table("goes").unwrap();
        db.drop_table("stays").unwrap();
        let (later, again) = (any_table(&db, "later", kind), any_table(&db, "goes", kind));
        again.put(b"k", b"of another table").unwrap();
        settle(&db);
        assert_eq!(kind_of(then.get(&later, b"k")), ErrorKind::Usage);
        assert_eq!(kind_of(then.records(&again).next().map(drop)), ErrorKind::Usage);
        let error = then.open_large(&again, b"k").unwrap_err();
        assert!(error.to_string().contains("take another checkpoint snapshot"), "{error}");
        assert_eq!(then.get(&goes, b"k").unwrap().as_deref(), Some(&b"goes"[..]));
        let names: Vec<String> = then.tables().into_iter().map(|info| info.name).collect();
        assert_eq!(names, ["goes", "stays"]);
        assert_eq!(kind_of(then.any_table("later")), ErrorKind::NotFound);
        drop((goes, stays));
        settle(&db);
        let found = then.any_table("goes").unwrap();
        assert_eq!(then.get(&found, b"k").unwrap().as_deref(), Some(&b"goes"[..]));
        assert_eq!(then.records(&found).next().unwrap(), Some((&b"k"[..], &b"goes"[..])));
        drop((then, later, again));
        ["later", "goes"].iter().for_each(|name| db.drop_table(name).unwrap());
    }
    settle(&db);
    assert_clean(&db);
}

/// CS3.
#[test]
fn a_handle_that_was_opened_in_it_is_good_for_reading_through_it_alone() {
    let db = created(small(), &SimDisk::new());
    let live = sorted(&db, "t");
    live.put(b"k", b"v").unwrap();
    let then = db.checkpoint_snapshot().unwrap();
    let table = then.table("t").unwrap();
    let mut tx = db.begin().unwrap();
    let refused = [
        table.get(b"k").map(drop),
        table.put(b"k", b"w"),
        table.delete(b"k"),
        table.append(b"k", b"w"),
        table.range_delete(..),
        table.count(..).map(drop),
        table.len_estimate().map(drop),
        table.compare_and_swap(b"k", Some(b"v"), Some(b"w")).map(drop),
        table.bulk_load([(b"l".to_vec(), b"w".to_vec())]).map(drop),
        table.write_large(b"l").map(drop),
        table.open_large(b"k").map(drop),
        table.iter().next().unwrap().map(drop),
        tx.put(&table, b"k", b"w"),
        tx.get(&table, b"k").map(drop),
        db.snapshot().unwrap().get(&table, b"k").map(drop),
        db.snapshot().unwrap().first(&table).map(drop),
    ];
    for (n, refused) in refused.into_iter().enumerate() {
        let error = refused.expect_err(&n.to_string());
        assert_eq!(error.kind(), ErrorKind::Usage, "{n}: {error}");
    }
    let mut batch = aquifer::WriteBatch::new();
    batch.put(&table, b"k", b"w");
    assert_eq!(kind_of(db.write(&mut batch, Durability::Power)), ErrorKind::Usage);
    assert_eq!(live.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(then.first(&table).unwrap(), Some((b"k".to_vec(), b"v".to_vec())));
    let other = created(small(), &SimDisk::new());
    assert_eq!(kind_of(then.get(&sorted(&other, "t"), b"k")), ErrorKind::Usage);
}

#[test]
fn typed_tables_are_opened_with_their_types() {
    const AGES: TableDef<str, u32> = TableDef::new("ages");
    const NAMES: HashTableDef<u32, str> = HashTableDef::new("names");
    let db = created(small(), &SimDisk::new());
    AGES.create(&db, TableOptions::default()).unwrap().put("ada", &36).unwrap();
    NAMES.create(&db, TableOptions::hashed()).unwrap().put(&36, "ada").unwrap();
    let then = db.checkpoint_snapshot().unwrap();
    ["ages", "names"].iter().for_each(|name| db.drop_table(name).unwrap());
    let ages = AGES.open_in(&then).unwrap();
    assert_eq!(then.last(&ages).unwrap(), Some(("ada".to_owned(), 36)));
    assert_eq!(then.prefix(&ages, "a").count(), 1);
    let names = NAMES.open_in(&then).unwrap();
    assert_eq!(then.iter(&names).next().unwrap().unwrap(), (36, "ada".to_owned()));
    assert_eq!(kind_of(TableDef::<str, u64>::new("ages").open_in(&then)), ErrorKind::Usage);
    assert_eq!(kind_of(TableDef::<u32, str>::new("names").open_in(&then)), ErrorKind::Usage);
    assert_eq!(kind_of(then.table("names")), ErrorKind::Usage);
    assert_eq!(kind_of(TableDef::<str, u32>::new("none").open_in(&then)), ErrorKind::NotFound);
}

#[test]
fn a_table_without_a_log_is_as_it_was() {
    let db = created(small(), &SimDisk::new());
    let table = db.create_table("t", TableOptions::unlogged()).unwrap();
    table.put(b"k", b"1").unwrap();
    let then = db.checkpoint_snapshot().unwrap();
    table.put(b"k", b"2").unwrap();
    db.checkpoint().unwrap();
    assert_eq!(then.get(&table, b"k").unwrap().as_deref(), Some(&b"1"[..]));
}

/// CS5, CS6.
#[test]
fn closing_ends_it_and_readers_that_outlive_it() {
    let disk = SimDisk::new();
    let db = created(small(), &disk);
    let table = sorted(&db, "t");
    table.put(b"large", &[7; 30_000]).unwrap();
    table.put(b"k", b"v").unwrap();
    let then = db.checkpoint_snapshot().unwrap();
    table.put(b"large", b"short").unwrap();
    db.checkpoint().unwrap();
    let gone = db.checkpoint_snapshot().unwrap();
    drop(gone);
    let mut reader = then.open_large(&table, b"large").unwrap().unwrap();
    let mut bytes = vec![0; 10_000];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [7; 10_000]);
    assert_eq!(db.stats().checkpoint_snapshots.open, 1);
    drop(then);
    let stats = db.stats().checkpoint_snapshots;
    assert!(stats.open == 1 && stats.kept_bytes >= 30_000, "{stats:?}");
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [7; 10_000]);
    let then = db.newest_checkpoint_snapshot().unwrap();
    let mut range = then.range(&table, ..);
    db.close().unwrap();
    assert_eq!(kind_of(then.get(&table, b"k")), ErrorKind::Closed);
    assert_eq!(kind_of(range.next().unwrap()), ErrorKind::Closed);
    assert!(reader.read_exact(&mut bytes).is_err());
    assert_eq!(kind_of(db.checkpoint_snapshot()), ErrorKind::Closed);
    assert_eq!(kind_of(db.newest_checkpoint_snapshot()), ErrorKind::Closed);
    drop(range);
    // Nobody holds the directory.
    let again = small().disk(disk.disk()).open("").unwrap();
    assert_eq!(again.table("t").unwrap().get(b"large").unwrap().as_deref(), Some(&b"short"[..]));
    drop((then, reader));
    assert_clean(&again);
}

#[test]
fn a_database_stays_open_as_long_as_one() {
    let disk = SimDisk::new();
    let db = created(small(), &disk);
    let then = db.checkpoint_snapshot().unwrap();
    drop(db);
    assert!(small().disk(disk.disk()).open("").is_err());
    drop(then);
    small().disk(disk.disk()).open("").unwrap();
}

/// Under full updates, by which an ordinary snapshot grows too old, nothing is kept in memory.
#[test]
fn it_costs_no_memory_for_versions() {
    let options = Database::options().memory_budget(16 << 20).background(false);
    let db = created(options, &SimDisk::new());
    let table = sorted(&db, "t");
    fill(&table, 20_000, 1, 200);
    let then = db.checkpoint_snapshot().unwrap();
    let rewrite = |byte| {
        for n in 0..20_000u32 {
            put(&table, n, &[byte; 200]);
            if n % 1000 == 0 {
                let stats = db.stats().transactions;
                assert!(!stats.versions_kept && stats.versions == 0 && stats.version_bytes == 0, "{stats:?}");
                db.step().unwrap();
            }
        }
    };
    (2..5).for_each(rewrite);
    db.checkpoint().unwrap();
    assert_eq!(count_of(&then, &table, 1), 20_000);
    let stats = db.stats();
    assert_eq!((stats.checkpoint_snapshots.open, stats.transactions.snapshots), (1, 0));
    assert!(stats.checkpoint_snapshots.oldest_bytes > 3 * 20_000 * 200);
    assert!(stats.checkpoint_snapshots.kept_bytes > 20_000 * 200);
    assert!(account(&db, "checkpoint snapshots") <= (16 << 20) / 16 + (64 << 10));
    let ordinary = db.snapshot().unwrap();
    fill(&table, 20_000, 5, 200);
    let read: Result<Vec<_>> = ordinary.range(&table, ..).collect();
    assert_eq!(kind_of(read), ErrorKind::SnapshotTooOld);
    assert_eq!(count_of(&then, &table, 1), 20_000);
    drop((then, ordinary));
    assert_eq!(account(&db, "checkpoint snapshots") + account(&db, "kept checkpoints"), 0);
    assert_eq!(db.stats().checkpoint_snapshots, Default::default());
}

#[test]
fn its_space_comes_back_and_the_file_shrinks() {
    let db = created(small().memory_budget(4 << 20), &SimDisk::new());
    let table = sorted(&db, "t");
    fill(&table, 8000, 1, 900);
    let then = db.checkpoint_snapshot().unwrap();
    table.range_delete(..).unwrap();
    settle(&db);
    db.checkpoint().unwrap();
    settle(&db);
    let stats = db.stats();
    assert!(stats.pager.file_bytes > 8000 * 900, "{}", stats.pager.file_bytes);
    assert!(stats.checkpoint_snapshots.kept_bytes > 8000 * 900);
    assert_eq!(count_of(&then, &table, 1), 8000);
    drop(then);
    settle(&db);
    let stats = db.stats();
    assert!(stats.pager.file_bytes < 4 << 20, "{}", stats.pager.file_bytes);
    assert_eq!(stats.checkpoint_snapshots.kept_bytes, 0);
    assert_clean(&db);
}

#[test]
fn in_little_memory_it_is_refused_and_everything_goes_on() {
    for budget in [2 << 20, 3 << 20, 4 << 20] {
        let db = created(small().memory_budget(budget), &SimDisk::new());
        let table = sorted(&db, "t");
        fill(&table, 10_000, 1, 300);
        let mut open = Vec::new();
        let error = loop {
            match db.checkpoint_snapshot() {
                Ok(snapshot) => open.push(snapshot),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
        assert!(error.to_string().contains("checkpoint snapshots"), "{error}");
        assert!(!open.is_empty(), "{budget}: {error}");
        table.range_delete(..&5000u32.to_be_bytes()[..]).unwrap();
        fill(&table, 10_000, 2, 300);
        db.checkpoint().unwrap();
        for then in &open {
            assert_eq!(count_of(then, &table, 1), 10_000);
        }
        assert_eq!(table.count(..).unwrap(), 10_000);
        open.truncate(1);
        let then = db.checkpoint_snapshot().unwrap();
        assert_eq!(count_of(&then, &table, 2), 10_000);
        drop((open, then));
        assert_eq!(account(&db, "checkpoint snapshots") + account(&db, "kept checkpoints"), 0);
        assert_clean(&db);
    }
}

#[test]
fn a_loss_of_power_while_it_is_open_leaves_nothing_behind() {
    for seed in 0..6 {
        let disk = SimDisk::with_seed(seed);
        let db = created(small().memory_budget(4 << 20), &disk);
        let table = sorted(&db, "t");
        fill(&table, 3000, 1, 500);
        let then = db.checkpoint_snapshot().unwrap();
        table.put(b"large", &[3; 50_000]).unwrap();
        fill(&table, 3000, 2, 500);
        db.checkpoint().unwrap();
        table.range_delete(..&2000u32.to_be_bytes()[..]).unwrap();
        if seed % 2 == 0 {
            db.checkpoint().unwrap();
        }
        let after = disk.after_power_loss(seed);
        assert_eq!(count_of(&then, &table, 1), 3000);
        let again = small().memory_budget(4 << 20).disk(after.disk()).open("").unwrap();
        settle(&again);
        assert_clean(&again);
        let stats = again.stats();
        assert_eq!((stats.pager.kept_bytes, stats.checkpoint_snapshots.open), (0, 0));
        let least = (stats.pager.pages + 64) * 4096;
        assert!(stats.pager.used_bytes <= least, "{} of {least}", stats.pager.used_bytes);
        assert_eq!(again.table("t").unwrap().count(..).unwrap(), 1001);
    }
}

#[test]
fn damage_in_it_is_an_error_and_no_matter_elsewhere() {
    let disk = SimDisk::new();
    let db = created(small(), &disk);
    let table = sorted(&db, "t");
    fill(&table, 2000, 1, 300);
    table.put(b"large", &[9; 20_000]).unwrap();
    db.checkpoint().unwrap();
    let then = db.checkpoint_snapshot().unwrap();
    let data = &disk.contents()["data"];
    for (marker, key) in [(&[1u8; 300][..], Vec::new()), (&[9; 4096], b"large".to_vec())] {
        let pages: Vec<usize> = (32..data.len() / 4096)
            .filter(|page| data[page * 4096..][..4096].windows(marker.len()).any(|bytes| bytes == marker))
            .collect();
        let page = pages[pages.len() / 2];
        disk.flip_bit("data", page as u64 * 4096 + 2000, 3);
        let mut range = then.range(&table, ..);
        let error = range.find_map(|record| record.err()).expect("the page is found to be damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(range.next().is_none());
        if !key.is_empty() {
            assert_eq!(kind_of(then.get(&table, &key)), ErrorKind::Corrupt);
        }
        assert!(then.range(&table, ..).rev().any(|record| record.is_err()));
        disk.flip_bit("data", page as u64 * 4096 + 2000, 3);
    }
    assert_eq!(then.range(&table, ..).collect::<Result<Vec<_>>>().unwrap().len(), 2001);
    put(&table, 7, b"goes on");
}

#[test]
fn one_that_is_open_reads_on_when_the_disk_is_full_and_when_the_database_has_failed() {
    let disk = SimDisk::new();
    let db = created(small(), &disk);
    let table = sorted(&db, "t");
    fill(&table, 3000, 1, 300);
    let then = db.checkpoint_snapshot().unwrap();
    fill(&table, 100, 2, 300);
    disk.set_free(Some(0));
    assert_eq!(count_of(&then, &table, 1), 3000);
    let newest = db.newest_checkpoint_snapshot().unwrap();
    assert_eq!(count_of(&newest, &table, 1), 3000);
    disk.set_free(None);
    disk.inject(Fault::error());
    assert_eq!(kind_of(table.put(b"k", b"v")), ErrorKind::Poisoned);
    assert_eq!(count_of(&then, &table, 1), 3000);
    assert_eq!(kind_of(db.checkpoint_snapshot()), ErrorKind::Poisoned);
    assert_eq!(count_of(&then, &table, 1), 3000);
}

/// Readers go round while writers change, delete, load and drop, and the background takes checkpoints and shortens the file.
#[test]
fn threads_read_while_writers_go_on() {
    let options = Database::options().memory_budget(6 << 20).log_bytes_max(1 << 20);
    let db = created(options, &SimDisk::new());
    let (table, stop) = (sorted(&db, "t"), AtomicBool::new(false));
    fill(&table, 4000, 1, 200);
    let hashed = any_table(&db, "hashed", aquifer::TableKind::Hashed);
    (0..2000u32).for_each(|n| drop(hashed.put_with(&n.to_be_bytes(), &[1; 100], Durability::Eventual)));
    let then = db.checkpoint_snapshot().unwrap();
    let (begun, go_on) = (std::time::Instant::now(), || !stop.load(Ordering::Relaxed));
    thread::scope(|scope| {
        let read = |reversed: bool| {
            let mut rounds = 0;
            while go_on() || rounds == 0 {
                match reversed {
                    true => assert_eq!(
                        then.range(&table, ..).rev().collect::<Result<Vec<_>>>().unwrap().len(),
                        4000
                    ),
                    false => assert_eq!(count_of(&then, &table, 1), 4000),
                }
                assert_eq!(then.get(&hashed, &7u32.to_be_bytes()).unwrap(), Some(vec![1; 100]));
                let mut records = then.records(&hashed);
                let mut count = 0;
                while records.next().unwrap().is_some() {
                    count += 1;
                }
                assert_eq!(count, 2000);
                rounds += 1;
            }
        };
        let readers = [false, true].map(|reversed| scope.spawn(move || read(reversed)));
        let write = |first: u32| {
            let mut round = 2;
            while go_on() {
                for n in (first..4000).step_by(2) {
                    let change = match n % 7 {
                        0 => table.delete_with(&n.to_be_bytes(), Durability::Eventual),
                        _ => table.put_with(&n.to_be_bytes(), &[round; 250], Durability::Eventual),
                    };
                    change.unwrap().wait().unwrap();
                }
                table.range_delete(&100u32.to_be_bytes()[..]..&300u32.to_be_bytes()[..]).unwrap();
                round = round.wrapping_add(1).max(2);
            }
        };
        let writers = [0, 1].map(|first| scope.spawn(move || write(first)));
        scope.spawn(|| {
            while go_on() {
                let other: AnyTable = any_table(&db, "other", aquifer::TableKind::Sorted);
                let records = (0..1000u32).map(|n| (n.to_be_bytes().to_vec(), vec![8; 300]));
                other.sorted().unwrap().bulk_load(records).unwrap();
                match db.checkpoint_snapshot() {
                    Ok(now) => assert_eq!(now.count(&other.sorted().unwrap(), ..).unwrap(), 1000),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}"),
                }
                db.drop_table("other").unwrap();
            }
        });
        thread::sleep(std::time::Duration::from_secs(4).saturating_sub(begun.elapsed()));
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert!(db.stats().pager.checkpoints > 3);
    drop(then);
    assert_clean(&db);
}

#[test]
fn a_dump_of_it_is_the_state_of_one_moment() {
    let db = created(small(), &SimDisk::new());
    let tables = KINDS.map(|kind| any_table(&db, &kind.to_string(), kind));
    let long = [&b"p"[..], &[b'l'; 700]].concat();
    for table in &tables {
        (0..500u32).for_each(|n| table.put(&n.to_be_bytes(), &[1; 100]).unwrap());
        table.put(b"large", &[5; 40_000]).unwrap();
        table.put(&long, &[6; 9000]).unwrap();
    }
    let then = db.checkpoint_snapshot().unwrap();
    let mut dump = Vec::new();
    let mut is_changed = false;
    let summary = then.dump(&mut dump, |_| {
        if !std::mem::replace(&mut is_changed, true) {
            tables.iter().for_each(|table| table.put(b"large", b"now short").unwrap());
            db.drop_table(tables[1].name()).unwrap();
            sorted(&db, "later");
            db.checkpoint().unwrap();
        }
    });
    let summary = summary.unwrap();
    assert_eq!((summary.tables, summary.records), (2, 2 * 502));
    let (restored, _) =
        Database::restore(small().disk(SimDisk::new().disk()), "", &dump[..], |_| ()).unwrap();
    for table in &tables {
        let restored = restored.any_table(table.name()).unwrap();
        assert_eq!(restored.get(b"large").unwrap(), Some(vec![5; 40_000]));
        assert_eq!(restored.get(&long).unwrap(), Some(vec![6; 9000]));
    }
    assert_eq!(restored.tables().len(), 2);
}

#[test]
fn a_table_of_a_checkpoint_cannot_be_locked() {
    let disk = SimDisk::new();
    let db = created(small(), &disk);
    let table = sorted(&db, "t");
    put(&table, 1, b"v");
    let then = db.checkpoint_snapshot().unwrap();
    let of_then = then.table("t").unwrap();
    let mut tx = db.begin().unwrap();
    assert_eq!(kind_of(tx.lock(&of_then, &1u32.to_be_bytes())), ErrorKind::Usage);
    assert_eq!(kind_of(tx.get_for_update(&of_then, &1u32.to_be_bytes())), ErrorKind::Usage);
    tx.put(&table, &1u32.to_be_bytes(), b"w").unwrap();
    tx.commit_with(Durability::Eventual).unwrap();
}
