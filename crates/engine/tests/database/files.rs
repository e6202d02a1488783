//! Files that are locked, foreign, cut or damaged.

use crate::{open, small, table};
use aquifer::{Database, Error, ErrorKind};
use std::fs;

#[test]
fn a_second_opener_is_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let error = small().open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(db);
    small().open(dir.path()).unwrap();
}

#[test]
fn presence_is_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    assert!(matches!(small().open(&path), Err(Error::NotFound { .. })));
    assert!(!path.exists());
    drop(small().create(&path).unwrap());
    assert!(matches!(small().create(&path), Err(Error::AlreadyExists { .. })));
    small().open(&path).unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let error = Database::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
}

#[test]
fn foreign_and_cut_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    table(&db).put(b"k", b"v").unwrap();
    drop(db);
    let data = dir.path().join("data");
    let whole = fs::read(&data).unwrap();
    for (bytes, words) in [
        (Vec::new(), "too short"),
        (whole[..8192].to_vec(), "too short"),
        (vec![0x55; whole.len()], "not an Aquifer data file"),
        (whole[..131_072].to_vec(), "cut"),
    ] {
        fs::write(&data, bytes).unwrap();
        let error = small().open(dir.path()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    fs::write(&data, &whole).unwrap();
    let db = open(dir.path());
    assert_eq!(table(&db).get(b"k").unwrap().unwrap(), b"v");
    drop(db);
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    let error = small().open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("log"), "{error}");
}

/// Whatever byte of the data file is damaged: an error, or the truth.
#[test]
fn damage_is_never_returned_as_data() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let t = table(&db);
    for n in 0..200u64 {
        t.put_with(&crate::key(n), &[n as u8; 50], aquifer::Durability::Eventual).unwrap().wait().unwrap();
    }
    let truth = crate::contents(&t);
    drop((t, db));
    let data = dir.path().join("data");
    let whole = fs::read(&data).unwrap();
    let mut found = 0;
    for at in (0..whole.len()).step_by(1021) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let copy = tempfile::tempdir().unwrap();
        crate::crash::copy_files(dir.path(), copy.path());
        fs::write(copy.path().join("data"), bytes).unwrap();
        let read =
            small().open(copy.path()).and_then(|db| db.table("t")?.iter().collect::<Result<Vec<_>, _>>());
        match read {
            Ok(records) => assert_eq!(records, truth, "byte {at}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format), "byte {at}: {error}");
                found += 1;
            }
        }
    }
    assert!(found > 0);
}
