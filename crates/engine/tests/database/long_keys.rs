//! Keys beyond what a page takes: against a map, with every length around the bounds and every way to share a prefix; crashes in
//! the middle of a range; what is refused.

use crate::power_loss::on;
use crate::{KINDS, any_table, assert_clean, rows, small};
use aquifer::{AnyTable, Database, Durability, Error, ErrorKind, Table, TableKind, TableOptions, WriteBatch};
use aquifer_sim::{Fault, Random, SimDisk};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::Bound;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The longest key of a page of 4 KiB, and one byte more: a long one.
const P: usize = 511;

/// Keys around the bounds: of few prefixes, which are equal up to just before, at or behind the end of what a group shares.
fn random_key(random: &mut Random) -> Vec<u8> {
    let lens = [0, 1, 7, P - 1, P, P, P + 1, P + 1, P + 2, P + 2, P + 3, 2 * P, 2 * P, 65_535, 65_536];
    let len = lens[random.below(lens.len() as u64) as usize];
    let mut key = vec![b'k'; len];
    for at in [0, P - 2, P - 1, P, P + 1, 2 * P - 1, 65_534] {
        if let Some(byte) = key.get_mut(at)
            && random.chance(30)
        {
            *byte = [0, b'j', b'l', 0xFF][random.below(4) as usize];
        }
    }
    key
}

fn random_value(random: &mut Random) -> Vec<u8> {
    let len = [0, 3, 60, 200, 900, 3000][random.below(6) as usize];
    let mut value = vec![0; random.below(len + 1) as usize];
    random.fill(&mut value);
    value
}

fn random_bounds(random: &mut Random) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let bound = |random: &mut Random| match random.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(random_key(random)),
        _ => Bound::Excluded(random_key(random)),
    };
    (bound(random), bound(random))
}

/// The records of a range in the model; none if it is upside down.
fn within<'r>(rows: &'r Rows, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(&'r Vec<u8>, &'r Vec<u8>)> {
    let inside = |key: &Vec<u8>| std::ops::RangeBounds::contains(bounds, key);
    rows.iter().filter(|(key, _)| inside(key)).collect()
}

/// Reads a range from both ends in turns.
fn check_range(table: &Table, rows: &Rows, random: &mut Random) {
    let bounds = random_bounds(random);
    let expected = within(rows, &bounds);
    assert_eq!(table.count(bounds.clone()).unwrap(), expected.len() as u64, "{bounds:?}");
    let mut range = table.range(bounds);
    let mut left = &expected[..];
    let backwards = [0, 50, 100][random.below(3) as usize];
    loop {
        let back = random.chance(backwards);
        let (next, rest) = match (back, left) {
            (_, []) => (None, left),
            (false, [first, rest @ ..]) => (Some(first), rest),
            (true, [rest @ .., last]) => (Some(last), rest),
        };
        let found = if back { range.next_back() } else { range.next() };
        let found = found.transpose().unwrap();
        let expected = next.map(|&(key, value)| (key.clone(), value.clone()));
        assert!(found == expected, "{:?}", found.map(|(key, _)| key.len()));
        left = rest;
        if found.is_none() {
            break;
        }
    }
}

fn check_reads(table: &AnyTable, rows: &Rows, random: &mut Random) {
    let keys: Vec<Vec<u8>> = (0..6).map(|_| random_key(random)).collect();
    let expected: Vec<Option<Vec<u8>>> = keys.iter().map(|key| rows.get(key).cloned()).collect();
    assert!(table.multi_get(keys.iter().map(Vec::as_slice)).unwrap() == expected);
    for (key, expected) in keys.iter().zip(&expected) {
        assert!(table.get(key).unwrap() == *expected);
        assert_eq!(table.contains(key).unwrap(), expected.is_some());
        let mut read = expected.is_some().then(Vec::new);
        if let (Some(mut reader), Some(read)) = (table.open_large(key).unwrap(), &mut read) {
            reader.read_to_end(read).unwrap();
        }
        assert!(read == *expected);
    }
}

/// Changes something, here and there.
fn change(db: &Database, table: &AnyTable, rows: &mut Rows, random: &mut Random) {
    let (key, value) = (random_key(random), random_value(random));
    match random.below(16) {
        0..=4 => {
            table.put(&key, &value).unwrap();
            rows.insert(key, value);
        }
        5..=6 => {
            table.delete(&key).unwrap();
            rows.remove(&key);
        }
        7 => assert!(table.replace(&key, &value).unwrap() == rows.insert(key, value)),
        8 => assert!(table.take(&key).unwrap() == rows.remove(&key)),
        9 => {
            table.append(&key, &value).unwrap();
            rows.entry(key).or_default().extend_from_slice(&value);
        }
        10 => {
            let mut writer = table.write_large(&key).unwrap();
            writer.write_all(&value).unwrap();
            writer.finish().unwrap();
            rows.insert(key, value);
        }
        11 => {
            let old = rows.get_mut(&key).filter(|old| old.len() > 4);
            let patched = table.patch(&key, 2, b"xy");
            assert_eq!(patched.is_ok(), old.is_some() || rows.get(&key).is_some_and(|old| old.len() == 4));
            if patched.is_ok() {
                rows.get_mut(&key).unwrap()[2..4].copy_from_slice(b"xy");
            }
        }
        12 if table.sorted().is_some() => {
            let bounds = random_bounds(random);
            table.sorted().unwrap().range_delete(bounds.clone()).unwrap();
            rows.retain(|key, _| !std::ops::RangeBounds::contains(&bounds, key));
        }
        _ => {
            let mut batch = WriteBatch::new();
            for _ in 0..random.below(12) {
                let (key, value) = (random_key(random), random_value(random));
                if random.chance(30) {
                    batch.delete(table, &key);
                    rows.remove(&key);
                } else {
                    batch.put(table, &key, &value);
                    rows.insert(key, value);
                }
            }
            db.write(&mut batch, Durability::Eventual).unwrap();
        }
    }
}

fn check_all(db: &Database, table: &AnyTable, expected: &Rows) {
    assert!(rows(table) == *expected);
    if let Some(table) = table.sorted() {
        let mut backwards: Vec<_> = table.iter().rev().map(Result::unwrap).collect();
        backwards.reverse();
        assert!(backwards.iter().map(|(key, value)| (key, value)).eq(expected));
        assert_eq!(table.first().unwrap().map(|(key, _)| key), expected.keys().next().cloned());
        assert_eq!(table.last().unwrap().map(|(key, _)| key), expected.keys().next_back().cloned());
    }
    assert_eq!(table.is_empty().unwrap(), expected.is_empty());
    let report = db.verify(|_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
    let bytes: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!((report.records, report.tables[0].record_bytes), (expected.len() as u64, bytes as u64));
}

#[test]
fn a_table_with_long_keys_is_a_map() {
    for (seed, kind) in (0..6u64).flat_map(|seed| KINDS.map(|kind| (seed, kind))) {
        let mut random = Random(seed);
        let disk = SimDisk::new();
        let options = || on(&disk).memory_budget(8 << 20);
        let in_memory = seed % 3 == 2;
        let mut db = if in_memory {
            Database::in_memory(32 << 20).unwrap()
        } else {
            options().open_or_create("").unwrap()
        };
        let logged = seed % 3 == 0;
        match kind {
            TableKind::Hashed => drop(db.create_table("t", TableOptions::hashed().logged(logged)).unwrap()),
            _ => drop(db.create_table("t", TableOptions::default().logged(logged)).unwrap()),
        }
        let mut table = any_table(&db, kind).with_durability(Durability::Eventual);
        let mut rows = Rows::new();
        for round in 0..400 {
            change(&db, &table, &mut rows, &mut random);
            if random.chance(20) {
                check_reads(&table, &rows, &mut random);
            }
            if let Some(table) = table.sorted().filter(|_| random.chance(30)) {
                check_range(&table, &rows, &mut random);
            }
            if round % 50 == 49 {
                check_all(&db, &table, &rows);
            }
            if round % 100 == 60 && !in_memory {
                drop(table);
                db.close().unwrap();
                db = options().open("").unwrap();
                table = any_table(&db, kind).with_durability(Durability::Eventual);
            }
        }
        check_all(&db, &table, &rows);
    }
}

fn long(tail: &str) -> Vec<u8> {
    [&[b'p'; P][..], tail.as_bytes()].concat()
}

#[test]
fn what_groups_cannot_hold_is_refused() {
    for kind in KINDS {
        let db = Database::in_memory(64 << 20).unwrap();
        let table = any_table(&db, kind);
        table.put(&[1; 65_536], b"longest").unwrap();
        let error = table.put(&[1; 65_537], b"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "table t: a key of 65537 bytes is beyond the limit of 65536 bytes; use a shorter one, or a hash of it"
        );
        table.put(&long("a"), &vec![7; 9 << 20]).unwrap();
        let refused = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains("pppppppppppppppp"), "{error}");
        };
        refused(table.put(&long("b"), &vec![7; 8 << 20]).unwrap_err());
        refused(table.put(&long("b"), &vec![7; 17 << 20]).unwrap_err());
        let mut batch = WriteBatch::new();
        batch.put(&table, &long("b"), &vec![7; 8 << 20]);
        batch.put(&table, b"other", b"");
        refused(db.write(&mut batch, Durability::Power).unwrap_err());
        let mut writer = table.write_large(&long("a")).unwrap();
        assert_eq!(
            writer.write_all(&vec![0; 17 << 20]).unwrap_err().kind(),
            std::io::ErrorKind::InvalidInput
        );
        refused(writer.finish().unwrap_err());
        assert_eq!(table.get(&long("a")).unwrap().map(|value| value.len()), Some(9 << 20));
        assert!(!table.contains(&long("b")).unwrap() && !table.contains(b"other").unwrap());
        assert_eq!(rows(&table).len(), 2);
        assert_clean(&db);
    }
}

#[test]
fn a_value_that_somebody_else_has_changed_is_not_appended_to() {
    let db = Database::in_memory(8 << 20).unwrap();
    let table = crate::table(&db);
    table.put(&long("a"), b"one").unwrap();
    let mut writer = table.append_large(&long("a")).unwrap();
    writer.write_all(b" two").unwrap();
    table.put(&long("b"), b"a neighbour").unwrap();
    writer.finish().unwrap();
    assert_eq!(table.get(&long("a")).unwrap().unwrap(), b"one two");
    let mut writer = table.append_large(&long("a")).unwrap();
    writer.write_all(b" three").unwrap();
    table.put(&long("a"), b"four").unwrap();
    assert!(matches!(writer.finish(), Err(Error::ValueChanged { .. })));
    assert_eq!(table.get(&long("a")).unwrap().unwrap(), b"four");
}

#[test]
fn loading_in_bulk_makes_groups() {
    let dir = tempfile::tempdir().unwrap();
    let db = crate::open(dir.path());
    let table = crate::table(&db);
    let mut records = Rows::new();
    for n in 0..3000u32 {
        let mut key = format!("{:05}", n / 3 * 3).into_bytes();
        key.resize(P, b'x');
        (0..n % 3).for_each(|n| key.push(n as u8));
        records.insert(key, n.to_be_bytes().repeat(20));
    }
    assert_eq!(table.bulk_load(records.clone()).unwrap(), 3000);
    let check = |db: &Database| {
        assert!(rows(&db.any_table("t").unwrap()) == records);
        assert_eq!(db.table("t").unwrap().count(..).unwrap(), 3000);
        assert_clean(db);
    };
    check(&db);
    drop(table);
    db.close().unwrap();
    check(&crate::open(dir.path()));

    let db = small().in_memory().unwrap();
    let table = crate::table(&db);
    let refused = |records: Vec<(Vec<u8>, Vec<u8>)>| {
        let error = table.bulk_load(records).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.to_string().contains("record 1"), "{error}");
        assert!(table.is_empty().unwrap());
    };
    refused(vec![(long("b"), vec![]), (long("a"), vec![])]);
    refused(vec![(long("b"), vec![]), (long("b"), vec![])]);
    refused(vec![(long("b"), vec![]), (long(""), vec![])]);
    refused(vec![(b"q".to_vec(), vec![]), (long("a"), vec![])]);

    // A group that no leaf takes is a large value.
    let records: Rows = (0..60u32).map(|n| (long(&format!("{n:02}")), vec![n as u8; 700])).collect();
    assert_eq!(table.bulk_load(records.clone()).unwrap(), 60);
    assert!(rows(&db.any_table("t").unwrap()) == records);
    assert_clean(&db);
}

#[test]
fn threads_that_change_one_group_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(16 << 20).open_or_create(dir.path()).unwrap();
    let table = crate::table(&db).with_durability(Durability::Eventual);
    aquifer_sync::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (db, table) = (&db, &table);
            scope.spawn(move || {
                for n in 0..60u32 {
                    let key = long(&format!("{thread} {n}"));
                    if n % 3 == 0 {
                        let mut batch = WriteBatch::new();
                        batch.put(table, &key, &n.to_be_bytes());
                        batch.put(table, &[b'z', thread as u8, n as u8][..], b"");
                        db.write(&mut batch, Durability::Eventual).unwrap();
                    } else {
                        table.put(&key, &n.to_be_bytes()).unwrap();
                    }
                    if n % 5 == 4 {
                        table.delete(&long(&format!("{thread} {}", n - 1))).unwrap();
                    }
                }
            });
        }
    });
    let count = table.prefix(&long("")).count();
    assert_eq!((count, table.count(..).unwrap()), (4 * 48, 4 * 48 + 4 * 20));
    assert_clean(&db);
}

/// Power is lost at every call of the disk during a range delete that begins and ends within groups, small and large ones.
/// What was read of the logged table may be another's change: waiting has to cover that.
#[test]
fn a_batch_of_which_only_the_unlogged_part_changes_anything_has_a_place_in_the_log() {
    let db = on(&SimDisk::new()).open_or_create("").unwrap();
    let logged = db.create_table("logged", TableOptions::default()).unwrap();
    let unlogged = db.create_table("unlogged", TableOptions::unlogged()).unwrap();
    let _ticket = logged.put_with(b"before", b"", Durability::Eventual).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete(&logged, &long("absent"));
    batch.put(&unlogged, b"key", b"value");
    let ticket = db.submit(&mut batch, Durability::Process).unwrap();
    let before = logged.put_with(b"behind", b"", Durability::Eventual).unwrap();
    assert!(ticket.lsn().is_some_and(|lsn| Some(lsn) < before.lsn()));
    ticket.wait().unwrap();
}

#[test]
fn a_range_with_its_borders_goes_whole_or_not_at_all() {
    let other = |tail: &str| [&[b'q'; P][..], tail.as_bytes()].concat();
    for value_len in [3, 1500] {
        let mut before = Rows::new();
        for n in 0..40u32 {
            before.insert(format!("pz{n}").into_bytes(), vec![n as u8; 100]);
            if n % 10 == 0 {
                before.insert(long(&format!("{n:02}")), vec![n as u8; value_len]);
                before.insert(other(&format!("{n:02}")), vec![n as u8; value_len]);
            }
        }
        let (low, high) = (long("20"), other("10"));
        let mut after = before.clone();
        after.retain(|key, _| *key < low || *key >= high);
        assert_eq!((before.len(), after.len()), (48, 5));
        let (mut seen_before, mut seen_after) = (0, 0);
        for nth in 1.. {
            let disk = SimDisk::with_seed(nth);
            let db = on(&disk).open_or_create("").unwrap();
            let table = crate::table(&db).with_durability(Durability::Eventual);
            before.iter().for_each(|(key, value)| table.put(key, value).unwrap());
            if nth % 2 == 0 { db.checkpoint() } else { db.sync() }.unwrap();
            disk.inject(Fault::power_loss().nth(nth));
            let table = table.with_durability(Durability::Power);
            let done = table.range_delete(&low[..]..&high[..]);
            let acknowledged = done.is_ok();
            let struck = disk.has_struck();
            if !struck {
                assert!(rows(&db.any_table("t").unwrap()) == after);
                assert_clean(&db);
            }
            let after_crash = disk.after_power_loss(nth);
            drop((table, db));
            let db = on(&after_crash).open("").unwrap();
            let found = rows(&db.any_table("t").unwrap());
            assert!(found == after || found == before && !acknowledged, "call {nth}");
            assert_clean(&db);
            if found == after {
                seen_after += 1
            } else {
                seen_before += 1
            }
            if !struck {
                break;
            }
        }
        assert!(seen_before > 0 && seen_after > 0);
    }
}

#[test]
fn dumps_and_salvage_bring_groups_over() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let db = small().open_or_create(path("old")).unwrap();
        let table = any_table(&db, kind);
        let mut expected = Rows::new();
        for n in 0..200u32 {
            let tail = format!("{n:03}{}", "y".repeat(n as usize % 7 * 300));
            expected.insert(long(&tail), vec![n as u8; n as usize * 3]);
            expected.insert(format!("{n:03}{}", "x".repeat(600)).into_bytes(), vec![n as u8; 9]);
        }
        expected.insert(long("large"), vec![3; 700_000]);
        expected.iter().for_each(|(key, value)| table.put(key, value).unwrap());
        db.checkpoint().unwrap();
        for n in 0..20u32 {
            let key = format!("{n:03}{}", "x".repeat(600)).into_bytes();
            table.put(&key, b"in the log").unwrap();
            expected.insert(key, b"in the log".to_vec());
        }
        let mut dump = Vec::new();
        assert_eq!(db.dump(&mut dump, |_| ()).unwrap().records, 401);
        drop((table, db));

        for page_size in [4096, 16384, 65536] {
            let options = Database::options().memory_budget(16 << 20).page_size(page_size);
            let to = path(&format!("restored {page_size}"));
            let (db, summary) = Database::restore(options, to, &dump[..], |_| ()).unwrap();
            assert_eq!(summary.records, 401);
            assert!(rows(&db.any_table("t").unwrap()) == expected);
            assert_clean(&db);
        }

        let options = Database::options().memory_budget(16 << 20);
        Database::salvage(options.clone(), path("old"), path("salvaged"), |_| ()).unwrap();
        let db = options.open(path("salvaged")).unwrap();
        assert!(rows(&db.any_table("t").unwrap()) == expected);
        assert_clean(&db);
    }
}
