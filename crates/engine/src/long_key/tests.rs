//! Groups that are none: what reads and verification say of them, and that nothing panics.

use crate::{Database, Error, TableOptions, WriteBatch};
use std::io::Write;

const PREFIX: [u8; 511] = [b'p'; 511];

fn long(tail: &[u8]) -> Vec<u8> {
    [&PREFIX, tail].concat()
}

/// A database with a record in the place of a group.
fn with_record(hashed: bool, last: u8, value: &[u8]) -> Database {
    let db = Database::in_memory(8 << 20).unwrap();
    match hashed {
        true => drop(db.create_table("t", TableOptions::hashed()).unwrap()),
        false => drop(db.create_table("t", TableOptions::default()).unwrap()),
    }
    db.any_table("t").unwrap().of_index_records().put(&long(&[last]), value).unwrap();
    db
}

#[test]
fn what_is_no_group_is_corrupt_whoever_reads_it() {
    let unordered = b"\x02\0\0\0\x03\0\0\0\x06\0\0\0\x01\0b\x01\0a";
    for hashed in [false, true] {
        for value in
            [&b""[..], b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\0\x03\0\0\0\x02\0a", &[0xAA; 5000]]
        {
            let db = with_record(hashed, 0, value);
            let table = db.any_table("t").unwrap();
            let check = |error: Error| {
                assert!(matches!(error, Error::Corrupt { .. }), "{error}");
                assert!(error.to_string().starts_with("a group of long keys of table t: "), "{error}");
            };
            check(table.get(&long(b"a")).unwrap_err());
            check(table.put(&long(b"a"), b"").unwrap_err());
            check(table.delete(&long(b"a")).unwrap_err());
            check(table.append(&long(b"a"), b"").unwrap_err());
            check(table.records().next().map(drop).unwrap_err());
            check(table.open_large(&long(b"a")).map(drop).unwrap_err());
            let mut batch = WriteBatch::new();
            batch.put(&table, &long(b"a"), b"");
            check(db.write(&mut batch, Default::default()).unwrap_err());
            if let Some(table) = table.sorted() {
                check(table.range_delete(&long(b"a")[..]..).unwrap_err());
                check(table.count(..).unwrap_err());
            }
            check_verification(&db, "");
        }
        check_verification(&with_record(hashed, 0, unordered), "its members are not in order");
        let group = b"\x01\0\0\0\x03\0\0\0\x01\0a";
        check_verification(&with_record(hashed, b'x', group), "its key does not end with a zero");
        assert!(with_record(hashed, 0, group).verify(|_| ()).unwrap().is_clean());
    }
}

fn check_verification(db: &Database, what: &str) {
    let report = db.verify(|_| ()).unwrap();
    let [fault] = &report.faults[..] else { panic!("{:?}", report.faults) };
    assert!(fault.what.starts_with("table t: the group of long keys that begin with pppp"), "{fault}");
    assert!(fault.what.contains(what), "{fault}");
}

#[test]
fn a_batch_that_leaves_groups_as_they_are_commits_nothing() {
    let db = Database::in_memory(8 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete(&table, &long(b"a"));
    db.write(&mut batch, Default::default()).unwrap();
    assert!(table.is_empty().unwrap());
    table.put(&long(b"a"), b"1").unwrap();
    let commits = db.stats().commits;
    batch.delete(&table, &long(b"b"));
    db.write(&mut batch, Default::default()).unwrap();
    assert_eq!((db.stats().commits, table.count(..).unwrap()), (commits, 1));
    assert!(batch.is_empty());
    // A put of what is there is a commit like any other.
    batch.put(&table, &long(b"a"), b"2");
    batch.put(&table, &long(b"a"), b"1");
    db.write(&mut batch, Default::default()).unwrap();
    assert_eq!((db.stats().commits, table.count(..).unwrap()), (commits + 1, 1));
}

#[test]
fn a_writer_that_was_refused_commits_nothing() {
    let db = Database::in_memory(64 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let mut writer = table.write_large(&long(b"a")).unwrap();
    writer.write_all(b"some").unwrap();
    writer.write_all(&vec![0; super::GROUP_BYTES_MAX]).unwrap_err();
    assert!(matches!(writer.finish(), Err(Error::Usage { .. })));
    assert!(table.is_empty().unwrap());
}
