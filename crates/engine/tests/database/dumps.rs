//! Dump and restore: what goes in comes out, and a dump that is not whole is told from one that is, with the place.

use crate::small;
use aquifer::{Database, DumpSummary, Durability, Error, ErrorKind, Options, TableDef, TableOptions};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Read};

type Tables = BTreeMap<String, (bool, BTreeMap<Vec<u8>, Vec<u8>>)>;

fn dumped(db: &Database) -> (Vec<u8>, DumpSummary) {
    let mut out = Vec::new();
    let summary = db.dump(&mut out, |_| ()).unwrap();
    assert_eq!(summary.bytes, out.len() as u64);
    (out, summary)
}

fn made(tables: &Tables) -> Database {
    let db = Database::in_memory(16 << 20).unwrap();
    for (name, (logged, records)) in tables {
        let table = db.create_table(name, TableOptions::default().logged(*logged)).unwrap();
        for (key, value) in records {
            table.put(key, value).unwrap();
        }
    }
    db
}

fn tables(db: &Database) -> Tables {
    let of = |name: &str| db.table(name).unwrap().iter().map(|record| record.unwrap()).collect();
    db.tables().into_iter().map(|info| (info.name.clone(), (info.logged, of(&info.name)))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_dumped_is_restored(
        given in btree_map(
            "[a-zäöü ]{1,20}",
            (any::<bool>(), btree_map(vec(0u8..4, 0..12), vec(any::<u8>(), 0..300), 0..60)),
            0..6,
        )
    ) {
        let (dump, summary) = dumped(&made(&given));
        let records: usize = given.values().map(|(_, records)| records.len()).sum();
        prop_assert_eq!((summary.tables, summary.records), (given.len() as u64, records as u64));
        let dir = tempfile::tempdir().unwrap();
        let (db, restored) = Database::restore(small(), dir.path(), &dump[..], |_| ()).unwrap();
        prop_assert_eq!(restored, summary);
        crate::assert_clean(&db);
        prop_assert_eq!(&tables(&db), &given);
        drop(db);
        let db = small().open(dir.path()).unwrap();
        prop_assert!(db.recovery_report().clean);
        prop_assert_eq!(&tables(&db), &given);
        // The same records give the same bytes.
        prop_assert_eq!(dumped(&db).0.len(), dump.len());
    }
}

#[test]
fn many_tables_come_over_with_one_checkpoint() {
    let records = |n: u8| (0..n % 5).map(|key| (vec![key], vec![n; 30])).collect();
    let given: Tables = (0..200u8).map(|n| (format!("table {n}"), (n % 3 > 0, records(n)))).collect();
    let dir = tempfile::tempdir().unwrap();
    let dump = dumped(&made(&given)).0;
    let (db, _) = Database::restore(small(), dir.path(), &dump[..], |_| ()).unwrap();
    assert!(db.stats().pager.checkpoints <= 3, "{} checkpoints", db.stats().pager.checkpoints);
    assert_eq!(tables(&db), given);
}

#[test]
fn types_page_size_and_many_chunks_come_over() {
    const AGES: TableDef<(u32, String), i64> = TableDef::new("ages");
    let db = Database::options().memory_budget(64 << 20).page_size(16384).in_memory().unwrap();
    let ages = AGES.create(&db, TableOptions::unlogged()).unwrap();
    for n in 0..1000u32 {
        ages.put(&(n, format!("name {n}")), &-i64::from(n)).unwrap();
    }
    let wide = db.create_table("wide", TableOptions::default()).unwrap();
    for n in 0..600u32 {
        wide.put(&[&[7; 1000][..], &n.to_be_bytes()].concat(), &[n as u8; 4000]).unwrap();
    }
    let mut seen = Vec::new();
    let mut dump = Vec::new();
    let summary = db.dump(&mut dump, |at| seen.push((at.tables, at.records))).unwrap();
    assert_eq!((summary.tables, summary.records), (2, 1600));
    assert!(seen.len() > 8 && seen.is_sorted(), "{seen:?}");
    assert_eq!(*seen.last().unwrap(), (2, 1600));
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    let (db, _) = Database::restore(small(), dir.path(), &dump[..], |at| last = at.records).unwrap();
    assert_eq!(last, 1600);
    assert_eq!(db.page_size(), 16384);
    let ages = AGES.open(&db).unwrap();
    assert_eq!(ages.get(&(42, "name 42".to_owned())).unwrap(), Some(-42));
    assert!(!ages.info().logged && db.table("wide").unwrap().info().logged);
    crate::assert_clean(&db);
    drop((ages, db));

    let asked = small().page_size(4096);
    let to = tempfile::tempdir().unwrap();
    let (db, restored) = Database::restore(asked, to.path(), &dump[..], |_| ()).unwrap();
    assert_eq!((db.page_size(), restored.records), (4096, 1600));
    let key = [&[7; 1000][..], &77u32.to_be_bytes()].concat(); // of a group, in these pages
    assert_eq!(db.table("wide").unwrap().get(&key).unwrap().unwrap(), [77; 4000]);
    crate::assert_clean(&db);
}

/// A dump of some hundred bytes, with every kind of chunk.
fn little() -> Vec<u8> {
    let records = [(b"key 1".to_vec(), b"value 1".to_vec()), (b"key 2".to_vec(), vec![])];
    let tables = Tables::from([
        ("one".into(), (true, records.into())),
        ("two".into(), (false, BTreeMap::from([(vec![], b"v".to_vec())]))),
        ("empty".into(), (true, BTreeMap::new())),
    ]);
    dumped(&made(&tables)).0
}

/// The restore must fail, with a place; there must be no database afterwards.
#[track_caller]
fn refused(dump: &[u8], context: &str) -> Error {
    let disk = aquifer_sim::SimDisk::new();
    let error =
        Database::restore(small().disk(disk.disk()), "", dump, |_| ()).map(|_| ()).expect_err(context);
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format), "{context}: {error}");
    assert!(error.kind() == ErrorKind::Format || error.to_string().contains("byte "), "{context}: {error}");
    assert!(!disk.contents().contains_key("data"), "{context}");
    error
}

#[test]
fn every_flipped_byte_is_found() {
    let whole = little();
    assert!((200..2000).contains(&whole.len()), "{}", whole.len());
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            let error = refused(&damaged, &format!("byte {at} ^ {flip}"));
            // The place is where the chunk begins that holds the byte, or before it.
            let text = error.to_string();
            if let Some((_, rest)) = text.split_once("begins at byte ") {
                let begins: usize =
                    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
                assert!(begins <= at && at < begins + 24 + 200, "byte {at}: {text}");
            }
        }
    }
}

#[test]
fn every_truncation_is_found() {
    let whole = little();
    for len in 0..whole.len() {
        refused(&whole[..len], &format!("{len} bytes"));
    }
    refused(&[&whole[..], b"\0"].concat(), "one byte more");
    refused(&[&whole[..], &whole[..]].concat(), "twice");
}

#[test]
fn chunks_in_another_order_or_of_another_dump_are_found() {
    let whole = little();
    let mut starts = vec![32];
    while let Some(&start) = starts.last().filter(|&&start| start < whole.len()) {
        let len = u32::from_le_bytes(whole[start + 4..start + 8].try_into().unwrap()) as usize;
        starts.push(start + 24 + len);
    }
    let chunk = |n: usize| &whole[starts[n]..starts[n + 1]];
    let count = starts.len() - 1;
    assert_eq!(count, 9, "three tables, two of them with records, and the end");
    for left_out in 0..count {
        let chunks: Vec<&[u8]> = (0..count).filter(|&n| n != left_out).map(chunk).collect();
        refused(&[&whole[..32], &chunks.concat()].concat(), &format!("without chunk {left_out}"));
        let twice: Vec<&[u8]> =
            (0..count).flat_map(|n| vec![chunk(n); 1 + usize::from(n == left_out)]).collect();
        refused(&[&whole[..32], &twice.concat()].concat(), &format!("chunk {left_out} twice"));
    }
    let other = Tables::from([("one".into(), (true, BTreeMap::from([(b"key 9".to_vec(), b"x".to_vec())])))]);
    let other = dumped(&made(&other)).0;
    refused(&[&whole[..starts[1]], &other[starts[1]..]].concat(), "two halves");
}

#[test]
fn a_directory_that_is_in_use_is_refused() {
    let dump = little();
    let dir = tempfile::tempdir().unwrap();
    drop(Database::restore(small(), dir.path(), &dump[..], |_| ()).unwrap());
    let error = Database::restore(small(), dir.path(), &dump[..], |_| ()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter"), "dear").unwrap();
    let error = Database::restore(small(), dir.path(), &dump[..], |_| ()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Gives a dump up to some byte, and then fails.
struct Breaking<'d>(&'d [u8]);

impl Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::Error::other("the tape tore"));
        }
        let len = buffer.len().min(self.0.len()).min(7);
        buffer[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }
}

#[test]
fn a_restore_that_fails_leaves_no_database_and_can_be_repeated() {
    let dump = little();
    let dir = tempfile::tempdir().unwrap();
    let error =
        Database::restore(small(), dir.path(), Breaking(&dump[..200]), |_| ()).map(|_| ()).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("the tape tore"), "{error}");
    assert!(matches!(small().open(dir.path()), Err(Error::NotFound { .. })));
    let (db, summary) = Database::restore(small(), dir.path(), &dump[..], |_| ()).unwrap();
    assert_eq!(summary.records, 3);
    crate::assert_clean(&db);
}

/// Whenever power is lost during a restore, there is the whole database afterwards or none.
#[test]
fn a_restore_cut_by_power_loss_is_whole_or_not_there() {
    let tables = Tables::from([(
        "t".into(),
        (true, (0u32..3000).map(|n| (n.to_be_bytes().to_vec(), vec![1; 90])).collect()),
    )]);
    let dump = dumped(&made(&tables)).0;
    let disk = aquifer_sim::SimDisk::new();
    Database::restore(small().disk(disk.disk()), "", &dump[..], |_| ()).unwrap();
    let operations = disk.counts().changes();
    let (mut none, mut whole) = (0, 0);
    for at in
        (1..=operations + 1).step_by((operations / 60).max(1) as usize).chain([operations - 1, operations])
    {
        let disk = aquifer_sim::SimDisk::new();
        disk.inject(aquifer_sim::Fault::power_loss().nth(at));
        let _ = Database::restore(small().disk(disk.disk()), "", &dump[..], |_| ());
        let after = disk.after_power_loss(at);
        match small().disk(after.disk()).open("") {
            Err(Error::NotFound { .. }) => none += 1,
            Err(error) => panic!("operation {at}: {error}"),
            Ok(db) => {
                assert_eq!(self::tables(&db), tables, "operation {at}");
                whole += 1;
            }
        }
    }
    assert!(none > 10 && whole >= 1, "{none} {whole}");
}

#[test]
fn a_dump_beside_writers_holds_what_stayed() {
    let db = Database::in_memory(32 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    for n in 0..20_000u32 {
        table.put_with(&n.to_be_bytes(), &n.to_le_bytes(), Durability::Eventual).unwrap().lsn();
    }
    let writer = table.clone();
    let mut dump = Vec::new();
    let mut round = 0u32;
    db.dump(&mut dump, |_| {
        // Odd keys change all the time; even ones stay.
        for n in (1..20_000u32).step_by(2).skip(round as usize).step_by(97) {
            writer.delete_with(&n.to_be_bytes(), Durability::Eventual).unwrap().lsn();
        }
        round += 1;
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = Database::restore(small(), dir.path(), &dump[..], |_| ()).unwrap();
    let restored = tables(&db).remove("t").unwrap().1;
    for n in (0..20_000u32).step_by(2) {
        assert_eq!(restored.get(&n.to_be_bytes()[..]), Some(&n.to_le_bytes().to_vec()));
    }
}

#[test]
fn a_writer_that_fails_is_told() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let db = made(&Tables::from([("t".into(), (true, BTreeMap::from([(vec![1], vec![2])])))]));
    for room in 0..60 {
        let error = db.dump(Full(room), |_| ()).unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("the dump"), "{error}");
    }
    assert!(db.dump(Full(4096), |_| ()).is_ok());
    assert!(Database::restore(Options::default(), "nowhere", io::empty(), |_| ()).is_err());
    assert!(!std::path::Path::new("nowhere").exists(), "the dump is looked at before anything is made");
}
