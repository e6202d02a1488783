//! Large values and losses of power, failing and full disks: a commit is there whole or not at all, and nothing else is.

use crate::model::read_state;
use crate::power_loss::on;
use crate::{KINDS, any_table, assert_clean, table};
use aquifer::{
    AnyTable, Database, Durability, Error, ErrorKind, Result, TableKind, TableOptions, WriteBatch,
};
use aquifer_sim::{Fault, Random, SimDisk};
use std::collections::BTreeMap;
use std::io::Write;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random(seed).fill(&mut bytes);
    bytes
}

/// A name, what is done, and what it changes.
type Step = (&'static str, Box<dyn Fn(&Database, &AnyTable) -> Result<()>>, Box<dyn Fn(&mut Rows)>);

/// The steps of a life with large values: each a change of the rows, and how it is done.
fn steps() -> Vec<Step> {
    let nothing = || Box::new(|_: &mut Rows| ()) as Box<dyn Fn(&mut Rows)>;
    vec![
        (
            "put",
            Box::new(|_, table| table.put(b"a", &bytes(1, 20_000))),
            Box::new(|rows| drop(rows.insert(b"a".to_vec(), bytes(1, 20_000)))),
        ),
        (
            "stream",
            Box::new(|_, table| {
                let mut writer = table.write_large(b"b")?;
                writer.write_all(&bytes(2, 2_300_000)).map_err(|error| error.downcast::<Error>().unwrap())?;
                writer.finish()
            }),
            Box::new(|rows| drop(rows.insert(b"b".to_vec(), bytes(2, 2_300_000)))),
        ),
        (
            "a writer that is dropped",
            Box::new(|_, table| {
                let mut writer = table.write_large(b"c")?;
                writer.write_all(&bytes(3, 200_000)).map_err(|error| error.downcast::<Error>().unwrap())
            }),
            nothing(),
        ),
        ("checkpoint", Box::new(|db, _| db.checkpoint()), nothing()),
        (
            "replace",
            Box::new(|_, table| table.put(b"a", &bytes(4, 9000))),
            Box::new(|rows| drop(rows.insert(b"a".to_vec(), bytes(4, 9000)))),
        ),
        (
            "append",
            Box::new(|_, table| table.append(b"a", &bytes(5, 6000))),
            Box::new(|rows| rows.get_mut(&b"a"[..]).unwrap().extend_from_slice(&bytes(5, 6000))),
        ),
        (
            "patch",
            Box::new(|_, table| table.patch(b"b", 100_000, &bytes(6, 30_000))),
            Box::new(|rows| {
                rows.get_mut(&b"b"[..]).unwrap()[100_000..130_000].copy_from_slice(&bytes(6, 30_000))
            }),
        ),
        (
            "batch",
            Box::new(|db, table| {
                let mut batch = WriteBatch::new();
                batch.put(table, b"a", b"small again");
                batch.put(table, b"d", &bytes(7, 50_000));
                batch.put(table, b"e", b"small");
                db.write(&mut batch, Durability::Power)
            }),
            Box::new(|rows| {
                rows.insert(b"a".to_vec(), b"small again".to_vec());
                rows.insert(b"d".to_vec(), bytes(7, 50_000));
                rows.insert(b"e".to_vec(), b"small".to_vec());
            }),
        ),
        ("delete", Box::new(|_, table| table.delete(b"b")), Box::new(|rows| drop(rows.remove(&b"b"[..])))),
        (
            "put where it was",
            Box::new(|_, table| table.put(b"f", &bytes(8, 300_000))),
            Box::new(|rows| drop(rows.insert(b"f".to_vec(), bytes(8, 300_000)))),
        ),
        (
            "put what a range takes",
            Box::new(|_, table| table.put(b"c", &bytes(10, 30_000))),
            Box::new(|rows| drop(rows.insert(b"c".to_vec(), bytes(10, 30_000)))),
        ),
        (
            "delete a range",
            Box::new(|db, table| match table.sorted() {
                Some(sorted) => sorted.range_delete(&b"c"[..]..&b"f"[..]),
                None => {
                    let mut batch = WriteBatch::new();
                    [b"c", b"d", b"e"].into_iter().for_each(|key| batch.delete(table, key));
                    db.write(&mut batch, Durability::Power)
                }
            }),
            Box::new(|rows| rows.retain(|key, _| key[..] < b"c"[..] || key[..] >= b"f"[..])),
        ),
        ("second checkpoint", Box::new(|db, _| db.checkpoint()), nothing()),
        (
            "put into free space",
            Box::new(|_, table| table.put(b"g", &bytes(9, 400_000))),
            Box::new(|rows| drop(rows.insert(b"g".to_vec(), bytes(9, 400_000)))),
        ),
    ]
}

fn rows(db: &Database) -> Rows {
    read_state(db).remove("t").unwrap_or_default()
}

/// After a crash: one of the last two states; nothing leaks, also if power is lost again while it is recovered.
fn check(mut disk: SimDisk, allowed: &[&Rows], random: &mut Random, context: &str) {
    for _ in 0..2 {
        disk.inject(Fault::power_loss().nth(1 + random.below(30)));
        drop(on(&disk).open(""));
        disk = disk.after_power_loss(random.draw());
    }
    let db = on(&disk).open("").unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = rows(&db);
    assert!(
        allowed.contains(&&found),
        "{context}: found {:?}",
        found.iter().map(|(k, v)| (k, v.len())).collect::<Vec<_>>()
    );
    assert_clean(&db);
    db.checkpoint().unwrap();
    db.checkpoint().unwrap();
    let (used, pages) = (db.stats().pager.used_bytes, db.stats().pager.pages);
    let closed = disk.after_kill();
    drop(db);
    let db = on(&closed).open("").unwrap();
    assert_eq!((db.stats().pager.used_bytes, db.stats().pager.pages), (used, pages), "{context}: slots leak");
    let values: u64 = found
        .values()
        .filter(|value| value.len() > 1024)
        .map(|value| value.len().div_ceil(4096) as u64)
        .sum();
    // A life that ended before the table was made has none.
    let of_index = db.tables().first().map_or(1, |table| if table.kind == TableKind::Sorted { 1 } else { 2 });
    assert_eq!(pages, 1 + of_index + values, "{context}: the catalog, the index, and the values");
}

#[test]
fn power_may_be_lost_at_any_call() {
    KINDS.into_iter().for_each(lose_power_at_any_call);
}

fn lose_power_at_any_call(kind: TableKind) {
    let steps = steps();
    let mut random = Random(77);
    for at in 1.. {
        let disk = SimDisk::with_seed(at);
        let db = on(&disk).create("").unwrap();
        let t = any_table(&db, kind);
        disk.inject(Fault::power_loss().nth(at));
        let mut states = vec![Rows::new()];
        let mut context = format!("{kind}, call {at}: all done");
        for (name, act, change) in &steps {
            let mut next = states[states.len() - 1].clone();
            change(&mut next);
            states.push(next);
            if act(&db, &t).is_err() {
                context = format!("{kind}, call {at}, {name}");
                break;
            }
            states.remove(0); // it was acknowledged
        }
        let done = !disk.has_struck();
        let after = if done { disk.after_kill() } else { disk.after_power_loss(random.draw()) };
        drop((t, db));
        check(after, &states.iter().collect::<Vec<_>>(), &mut random, &context);
        if done {
            assert!(at > 40, "only {at} calls");
            return;
        }
    }
}

#[test]
fn whatever_call_fails_nothing_is_lost_or_leaks() {
    KINDS.into_iter().for_each(fail_any_call);
}

fn fail_any_call(kind: TableKind) {
    let steps = steps();
    let mut random = Random(78);
    for at in 1.. {
        let disk = SimDisk::with_seed(at);
        let db = on(&disk).create("").unwrap();
        let t = any_table(&db, kind);
        disk.inject(Fault::error().nth(at));
        let mut state = Rows::new();
        let mut doubtful = None;
        for (name, act, change) in &steps {
            let mut next = state.clone();
            if ["append", "patch"].contains(name)
                && !next.contains_key(if *name == "append" { &b"a"[..] } else { b"b" })
            {
                continue;
            }
            change(&mut next);
            match act(&db, &t) {
                Ok(()) => state = next,
                Err(error) if error.kind() == ErrorKind::Poisoned => {
                    doubtful = Some(next);
                    break;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io, "call {at}, {name}: {error}");
                    assert!(rows(&db) == state, "call {at}, {name}: it failed and did something");
                    assert_clean(&db);
                }
            }
        }
        let done = !disk.has_struck();
        disk.heal();
        let after = disk.after_kill();
        drop((t, db));
        let mut allowed = vec![&state];
        allowed.extend(&doubtful);
        check(after, &allowed, &mut random, &format!("{kind}, failing call {at}"));
        if done {
            return;
        }
    }
}

#[test]
fn a_full_disk_in_the_midst_of_a_large_write_leaves_nothing() {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let t = table(&db);
    t.put(b"k", &bytes(1, 100_000)).unwrap();
    db.checkpoint().unwrap();
    let used = db.stats().pager.used_bytes;
    disk.set_free(Some(1 << 20));
    let error = t.put(b"k", &bytes(2, 6 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    assert_eq!(db.stats().pager.used_bytes, used);
    let mut writer = t.write_large(b"w").unwrap();
    let failed = (0..100).find_map(|n| writer.write_all(&bytes(n, 100_000)).err()).unwrap();
    assert_eq!(failed.kind(), std::io::ErrorKind::StorageFull, "{failed}");
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::DiskFull);
    assert_eq!(db.stats().pager.used_bytes, used);
    assert_eq!(t.get(b"k").unwrap().unwrap(), bytes(1, 100_000));
    assert_clean(&db);
    disk.set_free(None);
    t.put(b"k", &bytes(2, 6 << 20)).unwrap();
    assert!(t.get(b"k").unwrap().unwrap() == bytes(2, 6 << 20));
    assert_clean(&db);
}

#[test]
fn an_unlogged_table_keeps_the_large_values_of_the_last_checkpoint() {
    for kind in KINDS {
        let disk = SimDisk::new();
        let db = on(&disk).create("").unwrap();
        match kind {
            TableKind::Hashed => drop(db.create_table("t", TableOptions::hashed().logged(false)).unwrap()),
            _ => drop(db.create_table("t", TableOptions::unlogged()).unwrap()),
        }
        let t = db.any_table("t").unwrap();
        check_unlogged(&disk, db, t);
    }
}

fn check_unlogged(disk: &SimDisk, db: Database, t: AnyTable) {
    t.put(b"stays", &bytes(1, 100_000)).unwrap();
    t.put(b"comes back", &bytes(2, 100_000)).unwrap();
    db.checkpoint().unwrap();
    t.put(b"stays", &bytes(3, 100_000)).unwrap();
    t.delete(b"comes back").unwrap();
    t.put(b"goes", &bytes(4, 200_000)).unwrap();
    let after = disk.after_power_loss(3);
    drop((t, db));
    let expected =
        Rows::from([(b"stays".to_vec(), bytes(1, 100_000)), (b"comes back".to_vec(), bytes(2, 100_000))]);
    check(after, &[&expected], &mut Random(1), "unlogged");
}

#[test]
fn a_rotten_page_of_a_value_is_an_error_that_names_it() {
    KINDS.into_iter().for_each(check_rot);
}

fn check_rot(kind: TableKind) {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let t = any_table(&db, kind);
    t.put(b"k", &vec![0x5a; 50_000]).unwrap();
    db.close().unwrap();
    drop((t, db));
    let mut contents = disk.contents();
    let data = contents.get_mut("data").unwrap();
    let at = data.windows(64).position(|window| window == [0x5a; 64]).unwrap();
    data[at + 9] ^= 1;
    let disk = SimDisk::with_contents(&contents);
    let db = on(&disk).open("").unwrap();
    let t = any_table(&db, kind);
    assert_eq!(t.get(b"k").unwrap_err().kind(), ErrorKind::Corrupt);
    let report = db.verify(|_| ()).unwrap();
    assert_eq!(report.faults.len(), 1);
    assert_eq!(report.faults[0].owner.as_deref(), Some("t"));
    t.put(b"k", b"new").unwrap();
    db.checkpoint().unwrap();
    assert_clean(&db);
}

#[test]
fn a_value_whose_list_is_rotten_can_be_replaced_deleted_and_dropped() {
    let value = vec![0x5a; 4_000_000];
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let t = any_table(&db, TableKind::Sorted);
    t.put(b"k", &value).unwrap();
    for page in (0..970).step_by(9) {
        t.patch(b"k", page * 4096, &[0x5a; 4096]).unwrap(); // so that there is a list
    }
    db.close().unwrap();
    drop((t, db));
    let contents = disk.contents();
    let pages = contents["data"].chunks(4096).enumerate().skip(2);
    let others =
        pages.filter(|(_, page)| !page.starts_with(&[0x5a; 64]) && page.iter().any(|&byte| byte != 0));
    let mut lists = 0;
    for (number, _) in others {
        let mut contents = contents.clone();
        contents.get_mut("data").unwrap()[number * 4096 + 20] ^= 1;
        let reopened = || {
            let disk = SimDisk::with_contents(&contents);
            on(&disk).open("").and_then(|db| Ok((db.any_table("t")?, db)))
        };
        let Ok((t, db)) = reopened() else { continue };
        if t.contains(b"k").ok() != Some(true) || t.get(b"k").is_ok() {
            continue; // not the list
        }
        lists += 1;
        assert_eq!(t.get(b"k").unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(t.take(b"k").unwrap_err().kind(), ErrorKind::Corrupt);
        t.put(b"k", b"new").unwrap();
        assert_eq!(t.get(b"k").unwrap().unwrap(), b"new");
        drop((t, db));
        let (t, db) = reopened().unwrap();
        t.delete(b"k").unwrap();
        assert_eq!(t.get(b"k").unwrap(), None);
        drop((t, db));
        let (t, db) = reopened().unwrap();
        drop(t);
        db.drop_table("t").unwrap();
        while db.step().unwrap() {}
        assert_eq!(db.tables().len(), 0);
    }
    assert!(lists > 0, "there is a list");
}

#[test]
fn a_full_disk_gets_the_space_of_values_that_are_gone() {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let t = any_table(&db, TableKind::Sorted);
    t.put(b"k", &bytes(0, 1_000_000)).unwrap();
    db.checkpoint().unwrap();
    disk.set_free(Some(2_500_000));
    let mut full = 0;
    for n in 1..8 {
        while let Err(error) = t.put(b"k", &bytes(n, 1_000_000)) {
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
            full += 1;
            while db.step().unwrap() {}
            assert!(full < 8, "the space never comes back");
        }
        assert_eq!(t.get(b"k").unwrap().unwrap(), bytes(n, 1_000_000));
    }
    assert!(full > 0, "it never was full");
    assert_clean(&db);
}

#[test]
fn salvage_brings_large_values_over_and_names_those_that_are_lost() {
    KINDS.into_iter().for_each(check_salvage);
}

fn check_salvage(kind: TableKind) {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let t = any_table(&db, kind);
    t.put(b"good", &bytes(1, 3_000_000)).unwrap();
    t.put(b"bad", &vec![0x5a; 50_000]).unwrap();
    t.put(b"small", b"s").unwrap();
    db.checkpoint().unwrap();
    t.put(b"logged", &bytes(2, 80_000)).unwrap();
    t.patch(b"good", 5, b"patched").unwrap();
    let killed = disk.after_kill();
    drop((t, db));
    let mut contents = killed.contents();
    let data = contents.get_mut("data").unwrap();
    let at = data.windows(64).position(|window| window == [0x5a; 64]).unwrap();
    data[at + 9] ^= 1;
    let disk = SimDisk::with_contents(&contents);
    let dir = tempfile::tempdir().unwrap();
    let report = Database::salvage(crate::small().disk(disk.disk()), "", dir.path(), |_| ()).unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.tables[0].lost_values.len(), 1);
    assert_eq!(report.tables[0].lost_values[0].key, b"bad");
    assert_eq!(report.lost(aquifer::LostKind::LargeValue), 1, "{:?}", report.lost_pages);
    let db = crate::open(dir.path());
    assert_eq!(any_table(&db, kind).info().kind, kind);
    let mut good = bytes(1, 3_000_000);
    good[5..12].copy_from_slice(b"patched");
    let expected = Rows::from([
        (b"good".to_vec(), good),
        (b"small".to_vec(), b"s".to_vec()),
        (b"logged".to_vec(), bytes(2, 80_000)),
    ]);
    assert!(rows(&db) == expected);
    assert_clean(&db);
}

#[test]
fn salvage_finds_large_values_whose_leaf_is_newer_than_their_record() {
    KINDS.into_iter().for_each(check_salvage_of_newer_leaves);
}

/// Without a superblock and a page map the log alone says where the pages of large values lie, also of those whose leaf was
/// written with later changes.
fn check_salvage_of_newer_leaves(kind: TableKind) {
    let disk = SimDisk::new();
    let db = on(&disk).create("").unwrap();
    let t = any_table(&db, kind);
    t.put(b"large", &bytes(1, 80_000)).unwrap();
    t.put(b"appended", &bytes(2, 50_000)).unwrap();
    t.append(b"appended", &bytes(3, 20_000)).unwrap();
    t.put(b"small", b"s").unwrap();
    db.checkpoint().unwrap();
    t.put(b"later", b"l").unwrap();
    let killed = disk.after_kill();
    drop((t, db));
    let mut contents = killed.contents();
    let data = contents.get_mut("data").unwrap();
    data[..4096].fill(0);
    data[65_536..65_536 + 4096].fill(0);
    let disk = SimDisk::with_contents(&contents);
    let dir = tempfile::tempdir().unwrap();
    let report = Database::salvage(crate::small().disk(disk.disk()), "", dir.path(), |_| ()).unwrap();
    assert_eq!(report.tables[0].lost_values, [], "{:?}", report.doubts);
    let db = crate::open(dir.path());
    let expected = Rows::from([
        (b"large".to_vec(), bytes(1, 80_000)),
        (b"appended".to_vec(), [bytes(2, 50_000), bytes(3, 20_000)].concat()),
        (b"small".to_vec(), b"s".to_vec()),
        (b"later".to_vec(), b"l".to_vec()),
    ]);
    assert!(rows(&db) == expected);
    assert_clean(&db);
}
