//! Large values: written whole, as streams, appended to, patched; read whole and by ranges; freed exactly.

use crate::model::random_bytes;
use crate::{KINDS, any_table, assert_clean, open, rows, small, table};
use aquifer::{
    AnyTable, Database, Durability, Error, ErrorKind, LogOperation, LogReader, LogRecordKind, Table,
    TableKind, TableOptions, WriteBatch,
};
use aquifer_sim::{Random, SimDisk};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random(seed).fill(&mut bytes);
    bytes
}

/// Databases on disk and in memory, and a table without a log; of both kinds.
fn everywhere(check: impl Fn(&Database, AnyTable)) {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let db = small().memory_budget(4 << 20).open_or_create(dir.path()).unwrap();
        check(&db, any_table(&db, kind));
        match kind {
            TableKind::Hashed => {
                drop(db.create_table("unlogged", TableOptions::hashed().logged(false)).unwrap())
            }
            _ => drop(db.create_table("unlogged", TableOptions::unlogged()).unwrap()),
        }
        check(&db, db.any_table("unlogged").unwrap());
        drop(db);
        let db = small().memory_budget(16 << 20).in_memory().unwrap();
        check(&db, any_table(&db, kind));
    }
}

/// As [`everywhere`], of the kind that has ranges.
fn everywhere_sorted(check: impl Fn(&Database, Table)) {
    everywhere(|db, table| {
        if let Some(sorted) = table.sorted() {
            check(db, sorted);
        }
    });
}

#[test]
fn values_of_any_length_are_put_and_got() {
    everywhere(|db, table| {
        let lengths = [0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 70_000, 300_001];
        for (from, to) in lengths.iter().flat_map(|&from| lengths.map(|to| (from, to))) {
            let (old, new) = (bytes(from as u64, from), bytes(to as u64 + 1, to));
            table.put(b"k", &old).unwrap();
            assert_eq!(table.get(b"k").unwrap().unwrap(), old);
            assert!(table.contains(b"k").unwrap());
            assert_eq!(table.replace(b"k", &new).unwrap().unwrap(), old);
            assert_eq!(table.multi_get([&b"k"[..], b"other"]).unwrap(), [Some(new.clone()), None]);
            assert_eq!(rows(&table), BTreeMap::from([(b"k".to_vec(), new.clone())]));
            if let Some(sorted) = table.sorted() {
                assert_eq!(sorted.first().unwrap().unwrap(), (b"k".to_vec(), new.clone()));
                assert_eq!(sorted.scan(..).next_back().unwrap().unwrap().1, new);
            }
            if let Some(hashed) = table.hashed() {
                assert_eq!(hashed.iter().next().unwrap().unwrap(), (b"k".to_vec(), new.clone()));
            }
            assert_eq!(table.take(b"k").unwrap().unwrap(), new);
            assert_eq!(table.get(b"k").unwrap(), None);
        }
        assert_clean(db);
        table.put(b"k", &bytes(1, 100_000)).unwrap();
        let report = db.verify(|_| {}).unwrap();
        let of_table = report.tables.iter().find(|of| of.name == table.name()).unwrap();
        assert_eq!((of_table.large_values, of_table.record_bytes), (1, 100_001));
        let of_index = if table.sorted().is_some() { 1 } else { 2 };
        assert_eq!(of_table.pages, of_index + 25);
    });
}

#[test]
fn a_value_streams_in_and_out() {
    everywhere(|db, table| {
        let value = bytes(7, 2_500_000);
        let mut writer = table.write_large(b"film").unwrap();
        for piece in value.chunks(9999) {
            writer.write_all(piece).unwrap();
        }
        assert_eq!(writer.len(), 2_500_000);
        assert_eq!(table.get(b"film").unwrap(), None, "not before it is finished");
        writer.finish().unwrap();
        let mut reader = table.open_large(b"film").unwrap().unwrap();
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == value);
        let mut random = Random(3);
        for _ in 0..200 {
            let at = random.below(value.len() as u64 + 100) as usize;
            let mut out = vec![0; random.below(20_000) as usize];
            reader.seek(SeekFrom::Start(at as u64)).unwrap();
            let expected = &value[at.min(value.len())..(at + out.len()).min(value.len())];
            let read = reader.read(&mut out).unwrap();
            assert!(&out[..read] == expected);
            assert_eq!(reader.stream_position().unwrap(), (at + read) as u64);
        }
        reader.seek(SeekFrom::End(-3)).unwrap();
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 3);
        assert!(reader.seek(SeekFrom::Current(-3_000_000)).is_err());
        // One that a leaf takes is none of them, and can be read the same way.
        let mut writer = table.write_large(b"short").unwrap();
        writer.write_all(b"a short one").unwrap();
        writer.finish().unwrap();
        let mut short = String::new();
        table.open_large(b"short").unwrap().unwrap().read_to_string(&mut short).unwrap();
        assert_eq!(short, "a short one");
        assert!(table.open_large(b"none").unwrap().is_none());
        drop(reader);
        assert_clean(db);
    });
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    everywhere(|db, table| {
        table.put(b"k", &bytes(1, 50_000)).unwrap();
        db.checkpoint().unwrap();
        let before = (db.stats().pager.used_bytes, db.stats().pager.pages);
        let mut writer = table.write_large(b"k").unwrap();
        writer.write_all(&bytes(2, 1_000_000)).unwrap();
        assert_clean(db);
        drop(writer);
        assert_eq!((db.stats().pager.used_bytes, db.stats().pager.pages), before);
        assert_eq!(table.get(b"k").unwrap().unwrap(), bytes(1, 50_000));
        assert_clean(db);
    });
}

#[test]
fn values_grow_and_change_in_part() {
    everywhere(|db, table| {
        let mut random = Random(11);
        for start in [0, 10, 1000, 5000, 100_000] {
            let mut value = random_bytes(&mut random, start + 1);
            table.put(b"k", &value).unwrap();
            for round in 0..60 {
                let more = random_bytes(&mut random, [10, 700, 5000, 60_000][round % 4]);
                if random.chance(40) {
                    value.extend_from_slice(&more);
                    table.append(b"k", &more).unwrap();
                } else if !value.is_empty() {
                    let at = random.below(value.len() as u64) as usize;
                    let part = &more[..more.len().min(value.len() - at)];
                    value[at..at + part.len()].copy_from_slice(part);
                    table.patch(b"k", at as u64, part).unwrap();
                }
                assert!(table.get(b"k").unwrap().unwrap() == value, "round {round} from {start}");
            }
            let len = value.len() as u64;
            assert_eq!(table.patch(b"k", len, b"x").unwrap_err().kind(), ErrorKind::Usage);
            assert_eq!(table.patch(b"k", u64::MAX, b"x").unwrap_err().kind(), ErrorKind::Usage);
            assert_eq!(table.patch(b"none", 0, b"x").unwrap_err().kind(), ErrorKind::Usage);
            assert_clean(db);
        }
        table.append(b"new", b"from nothing").unwrap();
        assert_eq!(table.get(b"new").unwrap().unwrap(), b"from nothing");
        let mut writer = table.append_large(b"new").unwrap();
        writer.write_all(&bytes(5, 10_000)).unwrap();
        table.append(b"new", b"!").unwrap();
        assert!(matches!(writer.finish(), Err(Error::ValueChanged { .. })), "somebody was faster");
        assert_eq!(table.get(b"new").unwrap().unwrap(), b"from nothing!");
        assert_clean(db);
    });
}

#[test]
fn a_reader_keeps_what_it_reads() {
    everywhere(|db, table| {
        let old = bytes(1, 400_000);
        table.put(b"k", &old).unwrap();
        db.checkpoint().unwrap();
        let mut reader = table.open_large(b"k").unwrap().unwrap();
        let mut read = vec![0; 100_000];
        reader.read_exact(&mut read).unwrap();
        for round in 0..5 {
            table.put(b"k", &bytes(10 + round, 400_000)).unwrap();
            table.delete(b"k").unwrap();
            db.checkpoint().unwrap();
            table.put(b"other", &bytes(20 + round, 500_000)).unwrap();
            db.checkpoint().unwrap();
        }
        assert_clean(db);
        reader.read_to_end(&mut read).unwrap();
        assert!(read == old, "nothing of another value");
        let mut second = table.open_large(b"other").unwrap().unwrap();
        let pages = db.stats().pager.pages;
        drop(reader);
        assert_eq!(db.stats().pager.pages, pages - 98, "its pages are free");
        second.read_exact(&mut [0; 1]).unwrap();
        assert_clean(db);
    });
}

#[test]
fn a_batch_of_small_and_large_values_is_one_commit() {
    everywhere(|db, table| {
        table.put(b"gone", &bytes(1, 30_000)).unwrap();
        table.put(b"shrinks", &bytes(2, 30_000)).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(&table, b"large", &bytes(9, 90_000));
        batch.put(&table, b"large", &bytes(3, 1_500_000));
        batch.put(&table, b"small", b"s");
        batch.put(&table, b"shrinks", b"now small");
        batch.delete(&table, b"gone");
        db.write(&mut batch, Durability::Power).unwrap();
        assert!(batch.is_empty());
        assert!(table.get(b"large").unwrap().unwrap() == bytes(3, 1_500_000));
        assert_eq!(table.get(b"shrinks").unwrap().unwrap(), b"now small");
        assert_eq!(rows(&table).len(), 3);
        assert_clean(db);
        // One that is refused leaves nothing.
        db.checkpoint().unwrap();
        let before = (db.stats().pager.used_bytes, db.stats().pager.pages);
        let other = db.create_table("dropped", TableOptions::default()).unwrap();
        batch.put(&table, b"large", &bytes(4, 200_000));
        batch.put(&other, b"k", b"v");
        db.drop_table("dropped").unwrap();
        assert!(matches!(db.write(&mut batch, Durability::Power), Err(Error::TableDropped { .. })));
        batch.clear();
        drop(other);
        while db.step().unwrap() {}
        db.checkpoint().unwrap();
        db.checkpoint().unwrap();
        if !db.is_in_memory() {
            assert_eq!((db.stats().pager.used_bytes, db.stats().pager.pages), before);
        }
        assert_clean(db);
    });
}

#[test]
fn a_dropped_table_frees_its_large_values() {
    for (kind, logged) in KINDS.into_iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let kept = any_table(&db, kind);
        kept.put(b"kept", &bytes(1, 30_000)).unwrap();
        match kind {
            TableKind::Hashed => {
                drop(db.create_table("gone", TableOptions::hashed().logged(logged)).unwrap())
            }
            _ => drop(db.create_table("gone", TableOptions::default().logged(logged)).unwrap()),
        }
        let gone = db.any_table("gone").unwrap();
        for n in 0..300u32 {
            gone.put_with(&n.to_be_bytes(), &bytes(n.into(), 2000 + n as usize * 10), Durability::Eventual)
                .unwrap()
                .lsn();
            gone.put_with(&[7, n as u8], &[1; 900], Durability::Eventual).unwrap().lsn();
        }
        db.checkpoint().unwrap();
        let mut reader = gone.open_large(&5u32.to_be_bytes()).unwrap().unwrap();
        db.drop_table("gone").unwrap();
        assert!(reader.read_exact(&mut [0; 1]).is_err(), "dropped");
        assert_clean(&db);
        drop((reader, gone));
        // Reopened half-way.
        let pages = db.stats().pager.pages;
        db.step().unwrap();
        assert_clean(&db);
        assert!(db.stats().pager.pages > pages / 2, "a step does not do it all");
        drop((db, kept));
        let db = open(dir.path());
        while db.step().unwrap() {}
        db.checkpoint().unwrap();
        assert_clean(&db);
        let of_index = if kind == TableKind::Sorted { 1 } else { 2 };
        assert_eq!(db.stats().pager.pages, 1 + of_index + 8);
        assert_eq!(any_table(&db, kind).get(b"kept").unwrap().unwrap(), bytes(1, 30_000));
    }
}

#[test]
fn a_deleted_range_frees_its_large_values() {
    everywhere_sorted(|db, table| {
        let key = |n: u32| n.to_be_bytes();
        let eventual = table.clone().with_durability(Durability::Eventual);
        for round in 0..2u64 {
            for n in 0..400u32 {
                let len = if n % 5 == 0 { 3000 + n as usize * 50 } else { 700 };
                eventual.put(&key(n), &bytes(round + u64::from(n), len)).unwrap();
            }
            let mut reader = table.open_large(&key(100)).unwrap().unwrap();
            table.range_delete(&key(3)[..]..&key(390)[..]).unwrap();
            assert_clean(db);
            assert_eq!(table.count(..).unwrap(), 13);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == bytes(round + 100, 8000), "a reader keeps what it reads");
            drop(reader);
            while db.step().unwrap() {}
            assert_eq!(table.get(&key(395)).unwrap().unwrap(), bytes(round + 395, 3000 + 395 * 50));
            assert_clean(db);
        }
        table.range_delete(..).unwrap();
        assert_clean(db);
        while db.step().unwrap() {}
        let report = db.verify(|_| {}).unwrap();
        let of_table = report.tables.iter().find(|of| of.name == table.name()).unwrap();
        assert_eq!((of_table.pages, of_table.large_values), (1, 0));
        // Loaded in bulk, it takes large values as before.
        table.bulk_load((0..500u32).map(|n| (key(n).to_vec(), vec![1; 100]))).unwrap();
        table.put(&key(7), &bytes(7, 50_000)).unwrap();
        assert_eq!(table.get(&key(7)).unwrap().unwrap(), bytes(7, 50_000));
        assert_clean(db);
        table.range_delete(&key(5)[..]..).unwrap();
        assert_clean(db);
    });
}

/// Its leaves are read for the large values in it, and drive out of memory what the cut needs.
#[test]
fn a_deleted_range_may_be_longer_than_memory() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let table = table(&db).with_durability(Durability::Eventual);
    for n in 0..5000u32 {
        table.put(&n.to_be_bytes(), &bytes(n.into(), if n % 1000 == 9 { 30_000 } else { 900 })).unwrap();
        if n % 500 == 0 {
            db.checkpoint().unwrap();
        }
    }
    table.range_delete(&7u32.to_be_bytes()[..]..&4993u32.to_be_bytes()[..]).unwrap();
    assert_eq!(table.count(..).unwrap(), 14);
    assert_clean(&db);
    while db.step().unwrap() {}
    db.checkpoint().unwrap();
    assert_clean(&db);
    assert!(db.stats().pager.pages < 20, "{}", db.stats().pager.pages);
}

/// A few hundred records; every ninth has a value of a few pages, and one has a list of its own for its extents.
fn some_large() -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    (0..400u32).map(|n| {
        let len = match n {
            200 => 900_000,
            n if n % 9 == 4 => 1025 + n as usize * 50,
            n => n as usize % 300,
        };
        (n.to_be_bytes().to_vec(), bytes(n.into(), len))
    })
}

#[test]
fn large_values_are_loaded_in_bulk() {
    everywhere_sorted(|db, table| {
        assert_eq!(table.bulk_load(some_large()).unwrap(), 400);
        assert!(table.range(..).map(Result::unwrap).eq(some_large()));
        assert_clean(db);
        table.range_delete(&5u32.to_be_bytes()[..]..&395u32.to_be_bytes()[..]).unwrap();
        table.delete(&4u32.to_be_bytes()).unwrap();
        while db.step().unwrap() {}
        db.checkpoint().unwrap();
        assert_clean(db);
        assert!(db.stats().pager.pages < 12, "{} pages", db.stats().pager.pages);
    });
}

#[test]
fn what_was_loaded_in_bulk_is_there_after_a_loss_of_power() {
    let disk = SimDisk::new();
    let options = |disk: &SimDisk| small().memory_budget(4 << 20).disk(disk.disk());
    let db = options(&disk).open_or_create("").unwrap();
    table(&db).bulk_load(some_large()).unwrap();
    let reopened = options(&disk.after_power_loss(1)).open("").unwrap();
    assert!(table(&reopened).range(..).map(Result::unwrap).eq(some_large()));
    assert_clean(&reopened);
}

/// At every stage of a load: with values that wait for their leaf, and with leaves that a checkpoint has.
#[test]
fn a_load_that_stops_or_crashes_leaves_no_large_value_behind() {
    for stop_at in [1, 5, 100, 399] {
        for crashes in [false, true] {
            let disk = SimDisk::new();
            let options = |disk: &SimDisk| small().memory_budget(4 << 20).disk(disk.disk());
            let db = options(&disk).open_or_create("").unwrap();
            let loaded = table(&db);
            let mut left = None;
            let records = some_large().enumerate().map(|(n, record)| {
                if n % 97 == 96 {
                    db.checkpoint().unwrap(); // with a tree that is half there
                }
                if n < stop_at {
                    return Ok(record);
                }
                db.checkpoint().unwrap();
                assert_clean(&db);
                left = crashes.then(|| disk.after_power_loss(n as u64));
                Err(Error::Closed)
            });
            assert!(loaded.try_bulk_load(records).is_err());
            let db = left.map_or(db, |disk| options(&disk).open("").unwrap());
            assert!(table(&db).is_empty().unwrap());
            assert_clean(&db);
            while db.step().unwrap() {}
            db.checkpoint().unwrap();
            assert_clean(&db);
            assert!(db.stats().pager.pages <= 3, "{} pages", db.stats().pager.pages);
        }
    }
}

/// Leaves that only the search for large values would read are left to the background.
#[test]
fn an_opening_does_not_read_what_a_load_has_left() {
    let disk = SimDisk::new();
    let options = |disk: &SimDisk| small().memory_budget(4 << 20).disk(disk.disk());
    let db = options(&disk).open_or_create("").unwrap();
    let mut left = None;
    let records = (0..6000u32).map(|n| {
        if n == 5999 {
            db.checkpoint().unwrap();
            left = Some(disk.after_power_loss(1));
        }
        (n.to_be_bytes().to_vec(), vec![1; if n == 5 { 9000 } else { 900 }])
    });
    table(&db).bulk_load(records).unwrap();
    let disk = left.unwrap();
    let db = options(&disk).open("").unwrap();
    let loads = db.stats().pager.loads;
    assert!(loads < 50, "{loads} pages were read");
    assert!(table(&db).is_empty().unwrap());
    while db.step().unwrap() {}
    db.checkpoint().unwrap();
    assert_clean(&db);
    assert!(db.stats().pager.pages <= 3, "{} pages", db.stats().pager.pages);
}

/// Everything at random, in little memory, against a map.
#[test]
fn random_work_is_that_of_a_map_and_leaks_nothing() {
    for seed in 0..16u64 {
        let kind = KINDS[seed as usize % 2];
        let mut random = Random(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for _ in 0..300 {
            let table = any_table(&db, kind).with_durability(Durability::Eventual);
            let key = format!("key {}", random.below(40)).into_bytes();
            let value = if random.chance(50) {
                random_bytes(&mut random, 1500)
            } else {
                random_bytes(&mut random, 80_000)
            };
            match random.below(13) {
                12 => {
                    let behind = format!("key {}", random.below(40)).into_bytes();
                    let Some(sorted) = table.sorted() else { continue };
                    sorted.range_delete(&key[..]..&behind[..]).unwrap();
                    model.retain(|other, _| *other < key || *other >= behind);
                    assert_eq!(sorted.count(..).unwrap(), model.len() as u64);
                }
                0..=3 => {
                    table.put(&key, &value).unwrap();
                    model.insert(key, value);
                }
                4 => {
                    table.delete(&key).unwrap();
                    model.remove(&key);
                }
                5..=6 => {
                    table.append(&key, &value).unwrap();
                    model.entry(key).or_default().extend_from_slice(&value);
                }
                7..=8 => {
                    if let Some(old) = model.get_mut(&key).filter(|old| !old.is_empty()) {
                        let at = random.below(old.len() as u64) as usize;
                        let part = &value[..value.len().min(old.len() - at)];
                        old[at..at + part.len()].copy_from_slice(part);
                        table.patch(&key, at as u64, part).unwrap();
                    }
                }
                9 => {
                    let mut writer = table.write_large(&key).unwrap();
                    writer.write_all(&value).unwrap();
                    if random.chance(50) {
                        writer.finish().unwrap();
                        model.insert(key, value);
                    }
                }
                10 => {
                    let mut batch = WriteBatch::new();
                    for _ in 0..5 {
                        let key = format!("key {}", random.below(40)).into_bytes();
                        let value = random_bytes(&mut random, 5000);
                        batch.put(&table, &key, &value);
                        model.insert(key, value);
                    }
                    db.write(&mut batch, Durability::Eventual).unwrap();
                }
                _ => match random.below(3) {
                    0 => db.checkpoint().unwrap(),
                    1 => drop(db.step().unwrap()),
                    _ => {
                        drop(table);
                        drop(db);
                        db = open(dir.path());
                    }
                },
            }
        }
        assert!(rows(&any_table(&db, kind)) == model, "seed {seed}");
        assert_clean(&db);
        while db.step().unwrap() {} // pages that a range delete has cut out go in the background
        db.checkpoint().unwrap();
        db.checkpoint().unwrap();
        let before = (db.stats().pager.used_bytes, db.stats().pager.pages);
        drop(db);
        let db = open(dir.path());
        assert_eq!((db.stats().pager.used_bytes, db.stats().pager.pages), before, "seed {seed}: slots leak");
        assert!(rows(&any_table(&db, kind)) == model, "seed {seed}");
    }
}

#[test]
fn very_many_changes_leave_few_extents() {
    let db = small().memory_budget(256 << 20).in_memory().unwrap();
    let table = table(&db);
    let pages = 9_000;
    let mut value = vec![0u8; pages * 4096];
    table.put(b"k", &value).unwrap();
    for n in 0..4_400 {
        let at = n * 2 * 4096 + 5;
        value[at..at + 3].copy_from_slice(b"abc");
        table.patch(b"k", at as u64, b"abc").unwrap();
    }
    assert!(table.get(b"k").unwrap().unwrap() == value);
    assert_clean(&db);
    let report = db.verify(|_| {}).unwrap();
    assert!(report.tables[0].pages < pages as u64 + 40, "a list of at most 8192 extents: {report:?}");
}

#[test]
fn readers_see_whole_values_while_writers_replace_them() {
    KINDS.into_iter().for_each(check_readers);
}

fn check_readers(kind: TableKind) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(8 << 20).open_or_create(dir.path()).unwrap();
    let table = any_table(&db, kind).with_durability(Durability::Eventual);
    let value = |seed: u64| bytes(seed, 20_000 + (seed % 7) as usize * 9000);
    let known: std::collections::BTreeSet<Vec<u8>> = (0..40).map(value).collect();
    table.put(b"k", &value(0)).unwrap();
    aquifer_sync::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (table, db, value) = (&table, &db, &value);
            scope.spawn(move || {
                for round in 0..150 {
                    table.put(b"k", &value((round * 2 + writer) % 40)).unwrap();
                    if round % 10 == 0 {
                        db.checkpoint().unwrap();
                    }
                }
            });
        }
        for _ in 0..2 {
            let (table, known) = (&table, &known);
            scope.spawn(move || {
                for round in 0..200 {
                    let read = if round % 2 == 0 {
                        table.get(b"k").unwrap().unwrap()
                    } else {
                        let mut read = Vec::new();
                        table.open_large(b"k").unwrap().unwrap().read_to_end(&mut read).unwrap();
                        read
                    };
                    assert!(known.contains(&read), "a mixture of {} bytes", read.len());
                }
            });
        }
    });
    assert_clean(&db);
}

#[test]
fn too_many_streams_at_once_are_refused() {
    let db = small().in_memory().unwrap();
    let table = table(&db);
    let mut writers = Vec::new();
    let error = loop {
        match table.write_large(&(writers.len() as u32).to_be_bytes()) {
            Ok(writer) => writers.push(writer),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    assert!(writers.len() >= 4, "{}", writers.len());
    for writer in &mut writers {
        writer.write_all(&[1; 20_000]).unwrap();
    }
    writers.pop();
    table.write_large(b"again").unwrap();
    for writer in writers {
        writer.finish().unwrap();
    }
    assert_clean(&db);
}

#[test]
fn what_is_taken_or_replaced_stays_if_it_cannot_be_read() {
    for kind in KINDS {
        let db = small().in_memory().unwrap();
        let table = any_table(&db, kind);
        let value = bytes(1, 50_000);
        table.put(b"k", &value).unwrap();
        let mut readers = Vec::new();
        let error = loop {
            match table.open_large(b"k") {
                Ok(reader) => readers.push(reader),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
        assert_eq!(table.take(b"k").unwrap_err().kind(), ErrorKind::BudgetExhausted);
        assert_eq!(table.replace(b"k", b"new").unwrap_err().kind(), ErrorKind::BudgetExhausted);
        drop(readers);
        assert_eq!(table.take(b"k").unwrap().unwrap(), value);
        assert_clean(&db);
    }
}

#[test]
fn whoever_appends_to_nothing_keeps_nothing_from_being_freed() {
    let db = small().in_memory().unwrap();
    let table = table(&db);
    table.put(b"inline", b"short").unwrap();
    let mut writers = [table.append_large(b"absent").unwrap(), table.append_large(b"inline").unwrap()];
    for n in 0..40 {
        table.put(b"k", &bytes(n, 300_000)).unwrap(); // forty of them are six times the memory
    }
    for writer in &mut writers {
        writer.write_all(b", and more").unwrap();
    }
    writers.into_iter().for_each(|writer| writer.finish().unwrap());
    assert_eq!(table.get(b"inline").unwrap().unwrap(), b"short, and more");
    assert_clean(&db);
}

#[test]
fn a_large_value_in_memory_that_does_not_fit_is_refused() {
    let db = small().in_memory().unwrap();
    let table = table(&db);
    table.put(b"k", b"before").unwrap();
    let error = table.put(b"k", &vec![1; 4 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    assert_eq!(table.get(b"k").unwrap().unwrap(), b"before");
    table.put(b"k", &vec![1; 500_000]).unwrap();
    assert_clean(&db);
}

#[test]
fn a_closed_database_takes_and_gives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let table = table(&db);
    table.put(b"k", &bytes(1, 50_000)).unwrap();
    let mut writer = table.write_large(b"w").unwrap();
    writer.write_all(&bytes(2, 300_000)).unwrap();
    let mut reader = table.open_large(b"k").unwrap().unwrap();
    db.close().unwrap();
    assert!(writer.write_all(&bytes(2, 300_000)).is_err());
    assert!(matches!(writer.finish(), Err(Error::Closed)));
    assert!(reader.read_exact(&mut [0; 10]).is_err());
    assert!(matches!(table.put(b"k", &bytes(1, 50_000)), Err(Error::Closed)));
    drop((reader, table, db));
    let db = open(dir.path());
    assert_eq!(crate::table(&db).get(b"k").unwrap().unwrap(), bytes(1, 50_000));
    assert_clean(&db);
}

#[test]
fn the_log_says_what_it_attaches() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    table(&db).put(b"k", &bytes(1, 50_000)).unwrap();
    table(&db).put(b"m", &bytes(1, 5_000_000)).unwrap();
    drop(db);
    let mut log = LogReader::open(&small(), dir.path()).unwrap();
    let mut attached = Vec::new();
    while let Some(record) = log.next().unwrap() {
        let LogRecordKind::Commit(changes) = record.kind else { continue };
        for change in changes {
            if let LogOperation::Attach { len, manifest_bytes } = change.operation {
                attached.push((change.key, len));
                assert!(manifest_bytes < 2100 && record.bytes < 2400, "{record:?}", record = record.bytes);
            }
        }
    }
    assert_eq!(attached, [(b"k".to_vec(), 50_000), (b"m".to_vec(), 5_000_000)]);
}

#[test]
fn dumps_carry_large_values() {
    for kind in KINDS {
        check_dump(kind);
    }
}

fn check_dump(kind: TableKind) {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let table = any_table(&db, kind);
    for (n, len) in [10, 5000, 700_000, 3, 256 << 10, 1].into_iter().enumerate() {
        table.put(&[n as u8], &bytes(n as u64, len)).unwrap();
    }
    let expected = rows(&table);
    let mut dump = Vec::new();
    let summary = db.dump(&mut dump, |_| ()).unwrap();
    assert_eq!((summary.records, summary.record_bytes), (6, 6 + 10 + 5000 + 700_000 + 3 + (256 << 10) + 1));
    let to = tempfile::tempdir().unwrap();
    let (restored, of_restore) = Database::restore(small(), to.path(), &dump[..], |_| ()).unwrap();
    assert_eq!(of_restore, summary);
    assert!(rows(&restored.any_table("t").unwrap()) == expected);
    assert_clean(&restored);
    for cut in [dump.len() / 2, dump.len() / 3, dump.len() - 60] {
        let to = tempfile::tempdir().unwrap();
        assert!(Database::restore(small(), to.path(), &dump[..cut], |_| ()).is_err());
    }
}

/// A value of a gibibyte in sixteen mebibytes of memory.
#[test]
#[ignore = "writes and reads 3 GiB"]
fn a_gibibyte_passes_through_sixteen_mebibytes() {
    let dir =
        tempfile::tempdir_in(std::env::var("AQUIFER_LARGE_DIR").unwrap_or_else(|_| "/tmp".into())).unwrap();
    let options = || Database::options().memory_budget(16 << 20);
    let db = options().open_or_create(dir.path()).unwrap();
    let table = table(&db);
    let len: u64 = 1 << 30;
    let piece = |at: u64| bytes(at / (1 << 20), 1 << 20);
    let begun = std::time::Instant::now();
    let resident = resident_bytes();
    let mut writer = table.write_large(b"k").unwrap();
    for at in (0..len).step_by(1 << 20) {
        writer.write_all(&piece(at)).unwrap();
    }
    writer.finish().unwrap();
    println!("written after {:?}", begun.elapsed());
    table.append(b"k", b"and a bit").unwrap();
    table.patch(b"k", len / 2 - 1, b"xyz").unwrap();
    db.checkpoint().unwrap();
    println!("checkpoint after {:?}", begun.elapsed());
    let mut reader = table.open_large(b"k").unwrap().unwrap();
    assert_eq!(reader.len(), len + 9);
    let mut read = vec![0; 1 << 20];
    for at in (0..len).step_by(1 << 20) {
        reader.read_exact(&mut read).unwrap();
        let mut expected = piece(at);
        match at {
            at if at + (1 << 20) == len / 2 => expected[(1 << 20) - 1] = b'x',
            at if at == len / 2 => expected[..2].copy_from_slice(b"yz"),
            _ => {}
        }
        assert!(read == expected, "at {at}");
    }
    println!("read after {:?}", begun.elapsed());
    println!("resident memory: {} MiB more than before", (resident_bytes() - resident) >> 20);
    drop(reader);
    table.put(b"k", b"small").unwrap();
    db.checkpoint().unwrap();
    assert!(db.stats().pager.used_bytes < 1 << 20, "{:?}", db.stats().pager);
    drop((table, db));
    let db = options().open(dir.path()).unwrap();
    assert_clean(&db);
    println!("all after {:?}", begun.elapsed());
    assert!(resident_bytes() - resident < 24 << 20, "memory");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
