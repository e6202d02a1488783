//! What a copy of the files, taken while the database is open, recovers to: as after the death of the process.

use crate::{assert_clean, contents, key, open, small, table};
use aquifer::{Durability, TableOptions, WriteBatch};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Copies a database's files but not its lock.
pub fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("log")).unwrap();
    fs::copy(from.join("data"), to.join("data")).unwrap();
    for segment in fs::read_dir(from.join("log")).unwrap() {
        let segment = segment.unwrap();
        fs::copy(segment.path(), to.join("log").join(segment.file_name())).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u16, u16),
    Delete(u8, u16),
    Batch(Vec<(u8, u16, u16)>),
    Checkpoint,
    Recreate(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let write = || (0u8..3, 0u16..400, 0u16..900);
    prop_oneof![
        8 => write().prop_map(|(t, k, len)| Step::Put(t, k, len)),
        3 => write().prop_map(|(t, k, _)| Step::Delete(t, k)),
        4 => prop::collection::vec(write(), 1..60).prop_map(Step::Batch),
        1 => Just(Step::Checkpoint),
        1 => (0u8..3).prop_map(Step::Recreate),
        1 => Just(Step::Crash),
    ]
}

type Model = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// Values differ in a few bytes, so that some are logged as what changes.
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
        let name = |t: u8| format!("table {t}");
        for t in 0..3 {
            db.create_table(&name(t), TableOptions::default()).unwrap();
        }
        let mut model = Model::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put(t, k, len) => {
                    let value = value(k, len, at);
                    db.table(&name(t)).unwrap().put(&k.to_be_bytes(), &value).unwrap();
                    model.insert((t, k.to_be_bytes().to_vec()), value);
                }
                Step::Delete(t, k) => {
                    db.table(&name(t)).unwrap().delete(&k.to_be_bytes()).unwrap();
                    model.remove(&(t, k.to_be_bytes().to_vec()));
                }
                Step::Batch(writes) => {
                    let mut batch = WriteBatch::new();
                    for (t, k, len) in writes {
                        let table = db.table(&name(t)).unwrap();
                        if len % 5 == 0 {
                            batch.delete(&table, &k.to_be_bytes());
                            model.remove(&(t, k.to_be_bytes().to_vec()));
                        } else {
                            let value = value(k, len, at);
                            batch.put(&table, &k.to_be_bytes(), &value);
                            model.insert((t, k.to_be_bytes().to_vec()), value);
                        }
                    }
                    db.write(&mut batch, Durability::Process).unwrap();
                }
                Step::Checkpoint => {
                    db.checkpoint().unwrap();
                    db.step().unwrap();
                }
                Step::Recreate(t) => {
                    db.drop_table(&name(t)).unwrap();
                    db.create_table(&name(t), TableOptions::default()).unwrap();
                    model.retain(|(of, _), _| *of != t);
                }
                Step::Crash => {
                    let next = tempfile::tempdir().unwrap();
                    copy_files(dir.path(), next.path());
                    db = open(next.path());
                    dir = next;
                }
            }
        }
        let next = tempfile::tempdir().unwrap();
        copy_files(dir.path(), next.path());
        let db = open(next.path());
        let mut found = Model::new();
        for t in 0..3 {
            found.extend(contents(&db.table(&name(t)).unwrap()).into_iter().map(|(k, v)| ((t, k), v)));
        }
        prop_assert_eq!(found, model);
        assert_clean(&db);
    }
}

#[test]
fn recovery_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let t = table(&db);
    for n in 0..3000u64 {
        t.put_with(&key(n), &[3; 60], Durability::Eventual).unwrap().wait().unwrap();
    }
    db.sync().unwrap();
    let first = tempfile::tempdir().unwrap();
    copy_files(dir.path(), first.path());
    for _ in 0..2 {
        let copy = tempfile::tempdir().unwrap();
        copy_files(first.path(), copy.path());
        let again = open(copy.path());
        assert_eq!(again.recovery_report().entries, 3001, "one makes the table");
        assert_eq!(contents(&table(&again)).len(), 3000);
    }
}

#[test]
fn unlogged_tables_come_back_as_of_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let t = db.create_table("u", TableOptions::unlogged()).unwrap();
    t.put(b"before", b"1").unwrap();
    db.checkpoint().unwrap();
    t.put(b"after", b"2").unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir.path(), copy.path());
    let db = small().open(copy.path()).unwrap();
    let t = db.table("u").unwrap();
    assert_eq!(contents(&t), [(b"before".to_vec(), b"1".to_vec())]);
}
