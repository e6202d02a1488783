//! Hashed tables do what sorted ones do, but for order: commits, batches, recovery, drops, checks, dumps, salvage.

use crate::crash::copy_files;
use crate::{assert_clean, key, open, small};
use aquifer::{
    AnyTable, Database, Durability, Error, ErrorKind, HashTable, HashTableDef, Options, Result, TableDef,
    TableKind, TableOptions, WriteBatch,
};
use aquifer_sim::SimDisk;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn hashed(db: &Database) -> HashTable {
    db.hash_table("h").or_else(|_| db.create_table("h", TableOptions::hashed())).unwrap()
}

/// Everything in the table. No key comes twice.
fn records(table: &HashTable) -> Records {
    let all: Vec<_> = table.iter().collect::<Result<_>>().unwrap();
    let count = all.len();
    let records: Records = all.into_iter().collect();
    assert_eq!(records.len(), count);
    records
}

#[test]
fn a_hashed_table_has_every_call_that_needs_no_order() {
    let db = Database::in_memory(8 << 20).unwrap();
    let table = hashed(&db);
    assert!(table.is_empty().unwrap());
    table.put(b"a", b"1").unwrap();
    assert_eq!(table.replace(b"a", b"2").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(table.replace(b"b", b"3").unwrap(), None);
    assert_eq!(table.get(b"a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(table.get_with(b"b", |value| value.len()).unwrap(), Some(1));
    let mut out = Vec::new();
    assert!(table.get_into(b"b", &mut out).unwrap() && !table.get_into(b"c", &mut out).unwrap());
    assert!(table.contains(b"a").unwrap() && !table.contains(b"c").unwrap());
    assert_eq!(
        table.multi_get([&b"a"[..], b"c", b"b"]).unwrap(),
        [Some(b"2".to_vec()), None, Some(b"3".to_vec())]
    );
    assert_eq!(table.take(b"a").unwrap().as_deref(), Some(&b"2"[..]));
    table.delete(b"a").unwrap();
    table.put_with(b"c", b"4", Durability::Eventual).unwrap().wait().unwrap();
    table.delete_with(b"c", Durability::Eventual).unwrap().wait().unwrap();
    assert_eq!(records(&table), Records::from([(b"b".to_vec(), b"3".to_vec())]));
    assert_eq!((table.len_estimate().unwrap(), table.info().kind), (1, TableKind::Hashed));
    assert!(matches!(table.put(&[0; 65537], b""), Err(Error::KeyTooLarge { len_max: 65536, .. })));
    table.put(b"k", &[0; 1025]).unwrap(); // beyond what a bucket takes
    assert_eq!(table.get(b"k").unwrap().unwrap(), [0; 1025]);
    assert_clean(&db);
}

#[test]
fn a_handle_of_the_wrong_kind_is_refused() {
    const SORTED: TableDef<str, u32> = TableDef::new("s");
    const HASHED: HashTableDef<str, u32> = HashTableDef::new("h");
    const SORTED_AS_HASHED: HashTableDef<str, u32> = HashTableDef::new("s");
    const HASHED_AS_SORTED: TableDef<str, u32> = TableDef::new("h");
    const OTHER_TYPES: HashTableDef<str, u64> = HashTableDef::new("h");
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    SORTED.open_or_create(&db).unwrap().put("k", &1).unwrap();
    HASHED.open_or_create(&db).unwrap().put("k", &2).unwrap();
    db.close().unwrap();
    let db = open(dir.path());
    let refused = |error: Error| {
        assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.to_string()
    };
    assert_eq!(
        refused(db.table("h").unwrap_err()),
        "table h holds hashed records, not sorted ones; open it with the types it was created with"
    );
    refused(db.hash_table("s").unwrap_err());
    refused(SORTED_AS_HASHED.open(&db).unwrap_err());
    refused(SORTED_AS_HASHED.open_or_create(&db).unwrap_err());
    refused(HASHED_AS_SORTED.open(&db).unwrap_err());
    refused(OTHER_TYPES.open(&db).unwrap_err());
    assert_eq!(HASHED.open(&db).unwrap().get("k").unwrap(), Some(2));
    let kinds: Vec<_> = db.tables().into_iter().map(|info| (info.name, info.kind)).collect();
    assert_eq!(kinds, [("h".into(), TableKind::Hashed), ("s".into(), TableKind::Sorted)]);
    let any: AnyTable = db.any_table("h").unwrap();
    assert!(any.sorted().is_none() && any.hashed().is_some());
    assert!(db.any_table("s").unwrap().sorted().is_some());
}

#[test]
fn a_batch_spans_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (sorted, hashed) = (crate::table(&db), hashed(&db));
    let mut batch = WriteBatch::new();
    for n in 0..300 {
        batch.put(&sorted, &key(n), &[1; 30]);
        batch.put(&hashed, &key(n), &[2; 300]);
    }
    db.write(&mut batch, Durability::Power).unwrap();
    for n in (0..300).step_by(2) {
        batch.delete(&hashed, &key(n));
    }
    // Long values, of which a few bytes change: logged as patches.
    let mut changed = [2; 300];
    changed[150] = 3;
    batch.put(&hashed, &key(1), &changed);
    db.write(&mut batch, Durability::Power).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir.path(), copy.path());
    for db in [db, open(copy.path())] {
        let table = db.hash_table("h").unwrap();
        let found = records(&table);
        assert_eq!((found.len(), db.table("t").unwrap().iter().count()), (150, 300));
        assert_eq!(found[&key(1)[..]], changed);
        assert_clean(&db);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u16, u16),
    Delete(u16),
    DeleteMany(u16),
    Batch(Vec<(u16, u16)>),
    Checkpoint,
    Recreate(bool),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let write = || (0u16..900, 0u16..900);
    prop_oneof![
        8 => write().prop_map(|(k, len)| Step::Put(k, len)),
        3 => (0u16..900).prop_map(Step::Delete),
        1 => (0u16..900).prop_map(Step::DeleteMany),
        4 => prop::collection::vec(write(), 1..120).prop_map(Step::Batch),
        1 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(Step::Recreate),
        1 => Just(Step::Crash),
    ]
}

fn value(k: u16, len: u16, at: usize) -> Vec<u8> {
    let mut value = vec![k as u8; usize::from(len / 100 * 100)];
    if let Some(byte) = value.get_mut(at % 97) {
        *byte = at as u8;
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_crash_keeps_every_acknowledged_commit(steps in prop::collection::vec(step(), 1..120)) {
        let mut dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        let mut model = Records::new();
        hashed(&db);
        for (at, step) in steps.into_iter().enumerate() {
            let table = hashed(&db);
            match step {
                Step::Put(k, len) => {
                    table.put(&k.to_be_bytes(), &value(k, len, at)).unwrap();
                    model.insert(k.to_be_bytes().to_vec(), value(k, len, at));
                }
                Step::Delete(k) => {
                    let old = table.take(&k.to_be_bytes()).unwrap();
                    prop_assert_eq!(old, model.remove(&k.to_be_bytes()[..]));
                }
                Step::DeleteMany(k) => {
                    for k in k..k + 200 {
                        table.delete_with(&k.to_be_bytes(), Durability::Eventual).unwrap().lsn();
                        model.remove(&k.to_be_bytes()[..]);
                    }
                    db.sync().unwrap();
                }
                Step::Batch(writes) => {
                    let mut batch = WriteBatch::new();
                    for (k, len) in writes {
                        batch.put(&table, &k.to_be_bytes(), &value(k, len, at));
                        model.insert(k.to_be_bytes().to_vec(), value(k, len, at));
                    }
                    db.write(&mut batch, Durability::Power).unwrap();
                }
                Step::Checkpoint => db.checkpoint().unwrap(),
                Step::Recreate(logged) => {
                    drop(table);
                    db.drop_table("h").unwrap();
                    while db.step().unwrap() {}
                    db.create_table("h", TableOptions::hashed().logged(true)).unwrap();
                    model.clear();
                    if logged {
                        db.checkpoint().unwrap();
                    }
                }
                Step::Crash => {
                    drop(table);
                    let copy = tempfile::tempdir().unwrap();
                    copy_files(dir.path(), copy.path());
                    drop(db);
                    (db, dir) = (open(copy.path()), copy);
                }
            }
        }
        prop_assert_eq!(records(&hashed(&db)), model);
        assert_clean(&db);
    }
}

#[test]
fn an_unlogged_hashed_table_comes_back_as_of_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let table = db.create_table("h", TableOptions::hashed().logged(false)).unwrap();
    (0..1000).for_each(|n| table.put(&key(n), &[1; 40]).unwrap());
    db.checkpoint().unwrap();
    (500..3000).for_each(|n| table.put(&key(n), &[2; 40]).unwrap());
    (0..400).for_each(|n| table.delete(&key(n)).unwrap());
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir.path(), copy.path());
    let after = open(copy.path());
    let expected: Records = (0..1000).map(|n| (key(n).to_vec(), vec![1; 40])).collect();
    assert_eq!(records(&hashed(&after)), expected);
    assert!(!hashed(&after).info().logged);
    assert_clean(&after);
}

#[test]
fn a_dropped_hashed_table_gives_its_pages_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let before = db.stats().pager.pages;
    let table = hashed(&db);
    for n in 0..20_000 {
        table.put_with(&key(n), &[1; 60], Durability::Eventual).unwrap().lsn();
    }
    let copy = tempfile::tempdir().unwrap();
    db.drop_table("h").unwrap();
    assert!(matches!(table.get(&key(1)), Err(Error::TableDropped { .. })));
    drop(table);
    db.checkpoint().unwrap();
    copy_files(dir.path(), copy.path());
    while db.step().unwrap() {}
    assert_eq!(db.stats().pager.pages, before);
    assert_clean(&db);
    // A crash in between: the next opening finishes.
    let db = open(copy.path());
    while db.step().unwrap() {}
    assert_eq!(db.stats().pager.pages, before);
    assert_clean(&db);
}

#[test]
fn a_hashed_table_is_dumped_and_restored() {
    let db = Database::in_memory(16 << 20).unwrap();
    const AGES: HashTableDef<str, u32> = HashTableDef::new("ages");
    let ages = AGES.open_or_create(&db).unwrap();
    (0..5000u32).for_each(|n| ages.put(&format!("name {n}"), &n).unwrap());
    crate::table(&db).put(b"k", b"v").unwrap();
    let mut dump = Vec::new();
    assert_eq!(db.dump(&mut dump, |_| ()).unwrap().records, 5001);
    let dir = tempfile::tempdir().unwrap();
    let (db, restored) = Database::restore(small(), dir.path(), &dump[..], |_| ()).unwrap();
    assert_eq!((restored.tables, restored.records), (2, 5001));
    let ages = AGES.open(&db).unwrap();
    (0..5000u32).for_each(|n| assert_eq!(ages.get(&format!("name {n}")).unwrap(), Some(n)));
    assert_eq!(ages.iter().count(), 5000);
    assert_clean(&db);
}

#[test]
fn verification_finds_what_is_wrong_in_a_hashed_table() {
    let disk = SimDisk::new();
    let options = || -> Options { small().disk(disk.disk()) };
    let db = options().create("").unwrap();
    let table = hashed(&db);
    (0..2000).for_each(|n| table.put(&key(n), &[1; 60]).unwrap());
    let report = db.verify(|_| {}).unwrap();
    assert_eq!((report.records, report.tables[0].name.as_str(), report.tables[0].depth), (2000, "h", 2));
    assert!(report.is_clean());
}

fn options() -> Options {
    small().hash_seed(11)
}

/// Every block is destroyed in turn: all records of the other blocks come back, and nothing that was not there.
#[test]
fn salvage_brings_back_what_other_blocks_hold() {
    let disk = SimDisk::new();
    let db = options().disk(disk.disk()).create("").unwrap();
    let table = hashed(&db);
    let mut model = Records::new();
    for n in 0..700 {
        table.put_with(&key(n), &[n as u8; 60], Durability::Eventual).unwrap().lsn();
        model.insert(key(n).to_vec(), vec![n as u8; 60]);
    }
    db.checkpoint().unwrap();
    for n in (0..700).step_by(9) {
        table.delete(&key(n)).unwrap();
        model.remove(&key(n)[..]);
        table.put(&key(n + 1), b"newer").unwrap();
        model.insert(key(n + 1).to_vec(), b"newer".to_vec());
    }
    let contents = disk.after_kill().contents();
    drop((table, db));
    let blocks = contents["data"].len() / 4096;
    let (mut complete, mut with_gaps, mut nameless) = (0, 0, 0);
    for block in 0..=blocks {
        let mut damaged = contents.clone();
        let data = damaged.get_mut("data").unwrap();
        data[block * 4096..].iter_mut().take(4096).for_each(|byte| *byte ^= 0xA5);
        let dir = tempfile::tempdir().unwrap();
        let disk = SimDisk::with_contents(&damaged);
        let report = Database::salvage(options().disk(disk.disk()), "", dir.path(), |_| ()).unwrap();
        let db = small().open(dir.path()).unwrap();
        assert_clean(&db);
        let Some(info) = db.tables().into_iter().find(|info| info.kind == TableKind::Hashed) else {
            panic!("block {block}: the table is lost");
        };
        nameless += usize::from(info.name != "h");
        let found = records(&db.hash_table(&info.name).unwrap());
        let lost = report.tables.iter().any(|table| !table.lost.is_empty());
        if lost {
            with_gaps += 1;
            assert!(found.iter().all(|(key, value)| model.get(key) == Some(value)), "block {block}");
            assert!(found.len() + 60 > model.len(), "block {block}: {} are left", found.len());
        } else {
            complete += 1;
            assert_eq!(found, model, "block {block}");
        }
    }
    assert!(complete > 0 && with_gaps > 10, "{complete} {with_gaps} {nameless}");
}

#[test]
fn threads_share_a_hashed_table() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(4 << 20).open_or_create(dir.path()).unwrap();
    let table = hashed(&db);
    let threads: Vec<_> = (0..4u64)
        .map(|thread| {
            let table = table.clone().with_durability(Durability::Eventual);
            aquifer_sync::thread::spawn(move || {
                for n in 0..4000u64 {
                    table.put(&key(n * 4 + thread), &[thread as u8; 100]).unwrap();
                    if n % 3 == 0 {
                        table.delete(&key(n / 2 * 4 + thread)).unwrap();
                    }
                    let value = table.get(&key(n * 4 + thread)).unwrap();
                    assert!(value.is_none_or(|value| value == [thread as u8; 100]));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let count = records(&table).len();
    drop(table);
    assert_clean(&db);
    db.close().unwrap();
    let db = open(dir.path());
    assert_eq!(records(&hashed(&db)).len(), count);
    assert_clean(&db);
}
