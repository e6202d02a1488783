//! Deleting ranges, loading in bulk, counting, and the space that comes back: whole, durable, and without a lost page.

use crate::assert_clean;
use aquifer::{Database, Durability, ErrorKind, Options, Table, TableOptions};
use aquifer_sim::SimDisk;
use std::collections::BTreeMap;

fn options(disk: &SimDisk) -> Options {
    Database::options().memory_budget(2 << 20).background(false).disk(disk.disk())
}

fn key(n: u32) -> Vec<u8> {
    [&n.to_be_bytes()[..], b"key"].concat()
}

fn fill(table: &Table, numbers: std::ops::Range<u32>, value_len: usize) {
    let table = table.clone().with_durability(Durability::Eventual);
    numbers.for_each(|n| table.put(&key(n), &vec![n as u8; value_len]).unwrap());
}

/// Does all background work there is.
fn settle(db: &Database) {
    while db.step().unwrap() {}
}

#[test]
fn a_range_that_is_deleted_stays_deleted_after_a_crash() {
    for checkpoint in [false, true] {
        let disk = SimDisk::new();
        let db = options(&disk).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        fill(&table, 0..5000, 60);
        db.checkpoint().unwrap();
        table.put(&key(9000), b"after").unwrap();
        table.range_delete(&key(100)[..]..&key(4900)[..]).unwrap();
        table.put(&key(1000), b"again").unwrap();
        if checkpoint {
            db.checkpoint().unwrap();
        }
        std::mem::forget((db, table));
        let db = options(&disk.after_power_loss(7)).open("").unwrap();
        let table = db.table("t").unwrap();
        assert_eq!(table.count(..).unwrap(), 202);
        assert_eq!(table.get(&key(1000)).unwrap().as_deref(), Some(&b"again"[..]));
        assert_eq!(table.get(&key(100)).unwrap(), None);
        assert_eq!(table.get(&key(4900)).unwrap(), Some(vec![4900u32 as u8; 60]));
        assert_clean(&db);
        settle(&db);
        assert_clean(&db);
    }
}

#[test]
fn what_a_range_delete_detached_is_freed_in_the_background_or_by_the_next_opening() {
    for reopen in [false, true] {
        let disk = SimDisk::new();
        let mut db = options(&disk).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        fill(&table, 0..20_000, 60);
        db.checkpoint().unwrap();
        let before = db.stats().pager.pages;
        table.range_delete(..).unwrap();
        assert_eq!(table.count(..).unwrap(), 0);
        assert_clean(&db);
        db.checkpoint().unwrap(); // with pages that are detached and not freed
        if reopen {
            std::mem::forget((db, table));
            db = options(&disk.after_power_loss(3)).open("").unwrap();
        } else {
            settle(&db);
        }
        assert!(db.stats().pager.pages <= 3, "{} of {before} pages are left", db.stats().pager.pages);
        assert_clean(&db);
    }
}

#[test]
fn a_range_delete_of_a_typed_table_takes_its_keys() {
    let db = Database::in_memory(8 << 20).unwrap();
    const NUMBERS: aquifer::TableDef<i64, str> = aquifer::TableDef::new("numbers");
    let table = NUMBERS.open_or_create(&db).unwrap();
    (-500..500).for_each(|n| table.put(&n, "value").unwrap());
    table.range_delete(-10..=10).unwrap();
    assert_eq!(table.count(..).unwrap(), 979);
    assert_eq!(table.count(..0).unwrap(), 490);
    assert_eq!(table.estimate(11..21).unwrap(), 10);
    assert_eq!((table.get(&-11).unwrap().is_some(), table.get(&10).unwrap()), (true, None));
    #[expect(clippy::reversed_empty_ranges, reason = "nothing lies in it")]
    table.range_delete(5..3).unwrap();
    assert_eq!(table.count(..).unwrap(), 979);
    table.range_delete(..).unwrap();
    assert!(table.is_empty().unwrap());
}

#[test]
fn unlogged_tables_lose_ranges_with_the_checkpoint() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::unlogged()).unwrap();
    fill(&table, 0..3000, 60);
    db.checkpoint().unwrap();
    table.range_delete(&key(10)[..]..).unwrap();
    std::mem::forget((db, table));
    let db = options(&disk.after_power_loss(1)).open("").unwrap();
    assert_eq!(db.table("t").unwrap().count(..).unwrap(), 3000);
    assert_clean(&db);
}

fn records(count: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..count).map(|n| (key(n), vec![n as u8; 80])).collect()
}

#[test]
fn what_is_loaded_in_bulk_survives_a_crash() {
    for logged in [true, false] {
        let disk = SimDisk::new();
        let db = options(&disk).create("").unwrap();
        let table = db.create_table("t", TableOptions::default().logged(logged)).unwrap();
        let log_before = db.stats().log.record_bytes;
        assert_eq!(table.bulk_load(records(6000)).unwrap(), 6000);
        assert!(db.stats().log.record_bytes - log_before < 4096, "past the log");
        if !logged {
            db.checkpoint().unwrap();
        }
        table.put(&key(7), b"changed").unwrap();
        db.sync().unwrap();
        std::mem::forget((db, table));
        let db = options(&disk.after_power_loss(5)).open("").unwrap();
        let table = db.table("t").unwrap();
        assert_eq!(table.count(..).unwrap(), 6000);
        let expected: &[u8] = if logged { b"changed" } else { &[7; 80] };
        assert_eq!(table.get(&key(7)).unwrap().as_deref(), Some(expected));
        assert_clean(&db);
        settle(&db);
        assert_clean(&db);
    }
}

#[test]
fn a_load_that_fails_leaves_nothing() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    settle(&db);
    let pages = db.stats().pager.pages;
    let mut unsorted: Vec<_> = records(3000).into_iter().collect();
    unsorted.push((key(5), Vec::new()));
    let error = table.bulk_load(unsorted).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("record 3000 is out of order"), "{error}");
    let ends = (0..3000).map(|n| if n < 2999 { Ok((key(n), vec![1])) } else { Err(aquifer::Error::Closed) });
    assert_eq!(table.try_bulk_load(ends).unwrap_err().kind(), ErrorKind::Closed);
    assert_clean(&db);
    settle(&db);
    assert!(table.is_empty().unwrap());
    assert_eq!(db.stats().pager.pages, pages);
    table.put(b"key", b"value").unwrap();
    let error = table.bulk_load(records(3)).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    assert_eq!(table.count(..).unwrap(), 1);
}

#[test]
fn a_crash_in_the_middle_of_a_load_leaves_an_empty_table_and_no_lost_page() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let stop = (0..9000).map(|n| {
        if n == 8000 {
            db.checkpoint().unwrap(); // with a tree that is half there
            assert_clean(&db);
            return Err(aquifer::Error::Closed);
        }
        Ok((key(n), vec![1; 80]))
    });
    let crashed = std::cell::RefCell::new(None);
    let stop = stop.inspect(|record: &Result<_, aquifer::Error>| {
        if record.is_err() {
            *crashed.borrow_mut() = Some(disk.after_power_loss(9));
        }
    });
    assert!(table.try_bulk_load(stop).is_err());
    let reopened = options(&crashed.into_inner().unwrap()).open("").unwrap();
    assert!(reopened.table("t").unwrap().is_empty().unwrap());
    assert_clean(&reopened);
    assert!(reopened.stats().pager.pages <= 3, "{} pages", reopened.stats().pager.pages);
}

/// Slots that lie idle after a load, and those of merges whose old versions a checkpoint still had, come back when nobody writes.
#[test]
fn the_file_of_a_database_at_rest_is_little_longer_than_what_is_in_use() {
    let disk = SimDisk::new();
    let db = options(&disk).memory_budget(64 << 20).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let eventual = table.with_durability(Durability::Eventual);
    let at_rest = |what: &str| {
        db.checkpoint().unwrap();
        settle(&db);
        let stats = db.stats().pager;
        println!("{what}: {} bytes, {} in use", stats.file_bytes, stats.used_bytes);
        assert!(stats.file_bytes <= stats.used_bytes * 5 / 4 + (4 << 20), "{what}: {stats:?}");
        let writes = stats.written_bytes;
        settle(&db);
        assert_eq!(db.stats().pager.written_bytes, writes, "it goes on");
    };
    for n in 0..150_000u32 {
        eventual.put(&long_key(n.wrapping_mul(0x9E37_79B1)), &[n as u8; 100]).unwrap();
        if n % 20_000 == 0 {
            db.checkpoint().unwrap();
        }
    }
    at_rest("loaded");
    for n in (0..150_000u32).step_by(2) {
        eventual.delete(&long_key(n.wrapping_mul(0x9E37_79B1))).unwrap();
        if n % 20_000 == 0 {
            db.checkpoint().unwrap();
        }
    }
    at_rest("half deleted");
    assert_clean(&db);
}

/// Sixteen bytes, as in the benchmarks.
fn long_key(n: u32) -> Vec<u8> {
    [&n.to_be_bytes()[..], b"twelve bytes"].concat()
}

#[test]
fn the_file_shrinks_with_the_data_without_being_asked() {
    // Neighbours that are not in memory are loaded for the leanest pages alone: there, less comes back.
    for (contiguous, budget, most) in
        [(false, 64 << 20, 1.7), (true, 64 << 20, 1.7), (false, 8 << 20, 1.9), (true, 8 << 20, 1.9)]
    {
        let disk = SimDisk::new();
        let db = options(&disk).memory_budget(budget).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        let mix = |n: u32| n.wrapping_mul(0x9E37_79B1);
        let eventual = table.clone().with_durability(Durability::Eventual);
        for n in 0..120_000u32 {
            eventual.put(&long_key(mix(n)), &[n as u8; 100]).unwrap();
            if n % 64 == 0 {
                settle(&db);
            }
        }
        db.checkpoint().unwrap();
        for n in 0..120_000u32 {
            let goes =
                if contiguous { mix(n) < u32::MAX / 2 } else { n.wrapping_mul(747_796_405) >> 31 == 0 };
            if goes {
                eventual.delete(&long_key(mix(n))).unwrap();
            }
            if n % 64 == 0 {
                settle(&db);
            }
        }
        db.checkpoint().unwrap();
        settle(&db);
        let live: u64 = db.verify(|_| ()).unwrap().tables.iter().map(|table| table.record_bytes).sum();
        let stats = db.stats();
        let (file, used) =
            (stats.pager.file_bytes as f64 / live as f64, stats.pager.used_bytes as f64 / live as f64);
        println!("contiguous {contiguous}: file {file:.2}, in use {used:.2}");
        assert!(
            file <= most,
            "{file} bytes of file for each of data; {used} are in use; contiguous: {contiguous}"
        );
    }
}
