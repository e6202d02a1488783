//! Long keys in transactions: a write of what is there already is a write all the same.

use crate::{KINDS, LEVELS, any_table, begin};
use aquifer::{AnyTable, Database, Durability, ErrorKind, Isolation, WriteBatch};

const LONG: [u8; 600] = [b'k'; 600];

fn check(f: impl Fn(&Database, &AnyTable, Isolation)) {
    for (level, kind) in LEVELS.into_iter().flat_map(|level| KINDS.map(|kind| (level, kind))) {
        let db = Database::in_memory(4 << 20).unwrap();
        let table = any_table(&db, "t", kind);
        table.put(&LONG, b"v").unwrap();
        f(&db, &table, level);
    }
}

/// Else the put would be lost: who reads after the delete and before the put's commit sees neither, and who reads afterwards sees the
/// transaction's other write without it.
#[test]
fn a_transaction_that_puts_what_a_long_key_has_conflicts_with_its_delete() {
    check(|db, table, level| {
        let mut tx = begin(db, level);
        tx.put(table, &LONG, b"v").unwrap();
        tx.put(table, b"other", b"1").unwrap();
        table.delete(&LONG).unwrap();
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(table.get(b"other").unwrap(), None);
    });
}

#[test]
fn a_transaction_that_deletes_an_absent_long_key_conflicts_with_its_put() {
    check(|db, table, level| {
        let absent = [&LONG[..], b"absent"].concat();
        let mut tx = begin(db, level);
        tx.delete(table, &absent).unwrap();
        tx.put(table, b"other", b"1").unwrap();
        table.put(&absent, b"v").unwrap();
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
    });
}

#[test]
fn who_deletes_a_long_key_conflicts_with_a_put_of_what_it_had() {
    check(|db, table, level| {
        let mut tx = begin(db, level);
        tx.delete(table, &LONG).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(table, &LONG, b"v");
        batch.put(table, b"other", b"1");
        db.write(&mut batch, Durability::Eventual).unwrap();
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(table.get(&LONG).unwrap().as_deref(), Some(&b"v"[..]));
    });
}
