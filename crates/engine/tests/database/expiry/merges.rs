//! Merge operators in tables whose records expire: a record keeps its time, one that comes to be gets the table's.

use super::{SECOND, by, clock, expiring, remove_all};
use crate::KINDS;
use aquifer::{AnyTable, Clock, Database, Durability, Expiry, MergeOperator, TxOptions, WriteBatch};
use std::time::SystemTime;

fn time_of(table: &AnyTable, key: &[u8]) -> SystemTime {
    match table.expiry(key).unwrap() {
        Some(Expiry::At(time)) => time,
        other => panic!("{other:?}"),
    }
}

/// A short key and a long one.
const KEYS: [&[u8]; 2] = [b"short", &[b'l'; 900]];

type Way = fn(&Database, &AnyTable, &[u8], &[u8]);

/// Each way to append to the value of a key.
fn ways() -> [Way; 4] {
    fn serializable(db: &Database, table: &AnyTable, key: &[u8], operand: &[u8]) {
        let mut tx = db.begin_with(TxOptions::serializable()).unwrap();
        let before = tx.get(table, key).unwrap().unwrap_or_default();
        tx.merge(table, key, operand).unwrap();
        assert_eq!(tx.get(table, key).unwrap(), Some([&before, operand].concat()));
        tx.commit().unwrap();
    }
    [
        |_, table, key, operand| table.merge(key, operand).unwrap(),
        |db, table, key, operand| {
            let mut batch = WriteBatch::new();
            batch.merge(table, key, operand);
            db.write(&mut batch, Durability::Eventual).unwrap();
        },
        |db, table, key, operand| {
            let mut tx = db.begin().unwrap();
            tx.merge(table, key, operand).unwrap();
            tx.commit().unwrap();
        },
        serializable,
    ]
}

fn merging(clock: &Clock, kind: aquifer::TableKind) -> (Database, AnyTable) {
    let db = by(clock).in_memory().unwrap();
    let table = expiring(&db, kind, Some(SECOND * 60)).with_merge(MergeOperator::append()).unwrap();
    (db, table)
}

#[test]
fn a_merge_leaves_a_record_its_time_and_begins_anew_when_it_is_over() {
    for kind in KINDS {
        for (key, way) in KEYS.into_iter().flat_map(|key| ways().map(|way| (key, way))) {
            let clock = clock();
            let (db, table) = merging(&clock, kind);
            way(&db, &table, key, b"a"); // comes to be
            let ends = time_of(&table, key);
            clock.advance(SECOND * 59);
            way(&db, &table, key, b"b");
            assert_eq!((table.get(key).unwrap().unwrap(), time_of(&table, key)), (b"ab".to_vec(), ends));
            clock.advance(SECOND);
            assert_eq!(table.get(key).unwrap(), None);
            way(&db, &table, key, b"c"); // what is still stored has expired
            assert_eq!(table.get(key).unwrap(), Some(b"c".to_vec()));
            assert_eq!(time_of(&table, key), ends + SECOND * 60);
            table.put_until(key, b"d", Expiry::Never).unwrap();
            way(&db, &table, key, b"e");
            assert_eq!(table.get(key).unwrap(), Some(b"de".to_vec()));
            assert_eq!(table.expiry(key).unwrap(), Some(Expiry::Never));
        }
    }
}

#[test]
fn what_merges_made_is_removed_when_it_has_expired() {
    for kind in KINDS {
        for (key, way) in KEYS.into_iter().flat_map(|key| ways().map(|way| (key, way))) {
            let clock = clock();
            let (db, table) = merging(&clock, kind);
            table.put_until(b"stays", b"here", Expiry::Never).unwrap();
            remove_all(&db, &clock); // there is nothing to remove, as far as is known
            way(&db, &table, key, b"a");
            remove_all(&db, &clock);
            assert_eq!(db.stats().expired_removed, 1);
            assert_eq!(table.records().next().unwrap().map(|(key, _)| key.to_vec()), Some(b"stays".to_vec()));
        }
    }
}

#[test]
fn batches_of_puts_and_merges_keep_the_time_of_the_put() {
    for (kind, key) in KINDS.into_iter().flat_map(|kind| KEYS.map(|key| (kind, key))) {
        let clock = clock();
        let (db, table) = merging(&clock, kind);
        let mut batch = WriteBatch::new();
        batch.put_for(&table, key, b"a", SECOND);
        batch.merge(&table, key, b"b");
        db.write(&mut batch, Durability::Eventual).unwrap();
        assert_eq!(table.get(key).unwrap(), Some(b"ab".to_vec()));
        let mut tx = db.begin().unwrap();
        tx.put_for(&table, key, b"c", SECOND * 2).unwrap();
        tx.merge(&table, key, b"d").unwrap();
        tx.commit().unwrap();
        assert_eq!(table.get(key).unwrap(), Some(b"cd".to_vec()));
        clock.advance(SECOND * 2);
        assert_eq!(table.get(key).unwrap(), None);
    }
}
