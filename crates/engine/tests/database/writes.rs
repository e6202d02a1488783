//! Writing: single changes, batches, tables, budgets, threads.

use crate::{assert_clean, contents, key, open, small, table};
use aquifer::{Database, Durability, Error, ErrorKind, TableOptions, WriteBatch};

#[test]
fn what_is_closed_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    assert!(db.recovery_report().created);
    let t = table(&db);
    for n in 0..5000u64 {
        t.put_with(&key(n), &[n as u8; 100], Durability::Eventual).unwrap().wait().unwrap();
    }
    assert_eq!(t.replace(&key(1), b"new").unwrap().as_deref(), Some(&[1u8; 100][..]));
    assert_eq!(t.take(&key(2)).unwrap().as_deref(), Some(&[2u8; 100][..]));
    assert_eq!(t.take(&key(2)).unwrap(), None);
    let before = contents(&t);
    assert_eq!(before.len(), 4999);
    db.close().unwrap();
    assert!(matches!(t.get(&key(1)), Err(Error::Closed)));
    assert!(matches!(t.put(&key(1), b""), Err(Error::Closed)));
    drop((t, db));
    let db = open(dir.path());
    let report = db.recovery_report();
    assert!(report.clean && !report.created && report.records == 0, "{report:?}");
    assert_eq!(contents(&table(&db)), before);
    assert_clean(&db);
}

#[test]
fn a_batch_spans_tables_and_its_last_word_counts() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (a, b) = (table(&db), db.create_table("b", TableOptions::unlogged()).unwrap());
    let mut batch = WriteBatch::new();
    for n in 0..1000u64 {
        batch.put(&a, &key(n), b"first");
        batch.put(&b, &key(n), b"b");
    }
    batch.put(&a, &key(3), b"second");
    batch.delete(&a, &key(4));
    db.write(&mut batch, Durability::Power).unwrap();
    assert!(batch.is_empty());
    assert_eq!(a.get(&key(3)).unwrap().unwrap(), b"second");
    assert!(!a.contains(&key(4)).unwrap());
    assert_eq!((contents(&a).len(), contents(&b).len()), (999, 1000));
    // Too large a key is said by `write`, and nothing of the batch is there.
    batch.put(&a, &key(3), b"third");
    batch.put(&a, &vec![0; db.key_len_max() + 1], b"");
    let error = db.write(&mut batch, Durability::Power).unwrap_err();
    assert!(matches!(error, Error::KeyTooLarge { len_max: 65536, .. }), "{error}");
    assert_eq!(a.get(&key(3)).unwrap().unwrap(), b"second");
    let other = Database::in_memory(4 << 20).unwrap();
    let foreign = table(&other);
    let mut batch = WriteBatch::new();
    batch.put(&foreign, b"k", b"v");
    assert_eq!(db.write(&mut batch, Durability::Power).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn an_update_in_place_is_logged_as_what_changes() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let t = table(&db).with_durability(Durability::Eventual);
    let mut value = vec![7u8; 1000];
    t.put(&[1; 16], &value).unwrap();
    db.sync().unwrap();
    let before = db.stats().log.record_bytes;
    for n in 0..100u64 {
        value[500..508].copy_from_slice(&(n + (1 << 60)).to_le_bytes());
        t.put(&[1; 16], &value).unwrap();
    }
    db.sync().unwrap();
    let bytes = (db.stats().log.record_bytes - before) / 100;
    assert!(bytes <= 45, "{bytes} bytes an update");
    // And comes back whole; the first database is still open, as if it had been killed.
    let copy = tempfile::tempdir().unwrap();
    crate::crash::copy_files(dir.path(), copy.path());
    let db = open(copy.path());
    assert!(db.recovery_report().records >= 101);
    assert_eq!(table(&db).get(&[1; 16]).unwrap().unwrap(), value);
}

#[test]
fn a_dropped_table_gives_its_pages_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let t = table(&db);
    let mut batch = WriteBatch::new();
    for n in 0..2000u64 {
        batch.put(&t, &key(n), &[0; 100]);
        if n % 500 == 499 {
            db.write(&mut batch, Durability::Power).unwrap();
        }
    }
    assert!(matches!(db.create_table("t", TableOptions::default()), Err(Error::TableExists { .. })));
    db.drop_table("t").unwrap();
    assert!(matches!(t.get(&key(1)), Err(Error::TableDropped { .. })));
    assert!(matches!(db.table("t"), Err(Error::TableNotFound { .. })));
    let again = table(&db);
    assert!(contents(&again).is_empty());
    assert!(again.info().id > t.info().id, "ids are not used again");
    drop(t);
    while db.step().unwrap() {}
    assert!(db.stats().pager.pages <= 3, "{:?}", db.stats().pager);
    assert_clean(&db);
    drop((again, db));
    let db = open(dir.path());
    assert_eq!(db.tables().len(), 1);
    assert_clean(&db);
}

#[test]
fn data_far_beyond_the_budget_works() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(2 << 20).open_or_create(dir.path()).unwrap();
    let t = table(&db);
    let scrambled = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut batch = WriteBatch::new();
    for n in 0..60_000u64 {
        batch.put(&t, &key(scrambled(n)), &[n as u8; 200]);
        if batch.len() == 200 {
            db.write(&mut batch, Durability::Eventual).unwrap();
        }
    }
    db.write(&mut batch, Durability::Power).unwrap();
    for n in (0..60_000u64).step_by(7) {
        assert_eq!(t.get(&key(scrambled(n))).unwrap().unwrap(), [n as u8; 200]);
    }
    assert_eq!(contents(&t).len(), 60_000);
    let stats = db.stats();
    assert!(stats.pager.evictions > 1000 && stats.memory_used <= 2 << 20, "{stats:?}");
    assert_clean(&db);
}

#[test]
fn memory_only_databases_end_with_an_error_and_stay_whole() {
    let db = Database::in_memory(2 << 20).unwrap();
    let t = table(&db);
    let mut n = 0u64;
    let error = loop {
        match t.put(&key(n), &[5; 500]) {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    assert!(n > 500, "{n}");
    assert_eq!(contents(&t).len() as u64, n);
    assert_clean(&db);
}

#[test]
fn many_threads_write_and_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(8 << 20).open_or_create(dir.path()).unwrap();
    let t = table(&db);
    aquifer_sync::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (db, t) = (&db, &t);
            scope.spawn(move || {
                let mut batch = WriteBatch::new();
                for n in 0..3000u64 {
                    let mine = key(n * 4 + thread);
                    t.put_with(&mine, &n.to_le_bytes(), Durability::Eventual).unwrap().wait().unwrap();
                    assert_eq!(t.get(&mine).unwrap().unwrap(), n.to_le_bytes());
                    if n % 100 == 0 {
                        // Everybody's batches meet on the same keys.
                        for shared in 0..50u64 {
                            batch.put(t, &key(1 << 40 | shared), &thread.to_le_bytes());
                        }
                        db.write(&mut batch, Durability::Eventual).unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..5 {
                db.checkpoint().unwrap();
            }
        });
    });
    let all = contents(&t);
    assert_eq!(all.len(), 12_050);
    let last: Vec<_> = all[12_000..].iter().map(|(_, value)| value).collect();
    assert!(last.iter().all(|value| *value == last[0]), "two batches are mixed");
    assert_clean(&db);
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let db = small().in_memory().unwrap();
    let t = table(&db);
    assert_eq!((db.key_len_max(), db.value_len_max()), (65536, 1024));
    t.put(&[1; 511], &[2; 1024]).unwrap();
    let refused = t.put(&[1; 65537], b"");
    assert!(matches!(refused, Err(Error::KeyTooLarge { len: 65537, len_max: 65536, .. })));
    t.put(b"", b"").unwrap();
    assert_eq!(t.first().unwrap().unwrap(), (Vec::new(), Vec::new()));
}
