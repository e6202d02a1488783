//! What transactions run into: memory, locks, other databases, tables and databases that go, disks that fail or are full.

use crate::{LEVELS, assert_clean, begin, small, sorted};
use aquifer::{Database, Durability, Error, ErrorKind, Isolation, Table, TxOptions};

#[test]
fn deleting_a_range_of_nothing_in_a_new_database_does_nothing() {
    let db = Database::in_memory(4 << 20).unwrap();
    let table = sorted(&db, "t");
    for level in LEVELS {
        let reader = begin(&db, level);
        assert_eq!(reader.count(&table, ..).unwrap(), 0);
        table.range_delete(&b"a"[..]..&b"z"[..]).unwrap();
        reader.commit().unwrap();
    }
}

/// Nor is it a change for who has read the range.
#[test]
fn deleting_a_range_of_nothing_refuses_nobody() {
    let db = Database::in_memory(4 << 20).unwrap();
    let (table, other) = (sorted(&db, "t"), sorted(&db, "other"));
    let mut tx = begin(&db, Isolation::Serializable);
    assert_eq!(tx.count(&table, ..).unwrap(), 0);
    other.put(b"k", b"v").unwrap(); // the order goes on
    table.range_delete(&b"a"[..]..&b"z"[..]).unwrap();
    tx.put(&other, b"l", b"v").unwrap();
    tx.commit().unwrap();
}

#[test]
fn a_put_for_which_others_have_left_no_memory_changes_nothing() {
    let db = small().in_memory().unwrap();
    let table = sorted(&db, "t");
    let (mut greedy, mut poor) = (db.begin().unwrap(), db.begin().unwrap());
    let mut n = 0u32;
    let error = loop {
        n += 1;
        let hungry = if n.is_multiple_of(2) { &mut greedy } else { &mut poor };
        if let Err(error) = hungry.put(&table, &n.to_be_bytes(), &[1; 800]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    let hungry = if n.is_multiple_of(2) { greedy } else { poor };
    assert_eq!(hungry.get(&table, &n.to_be_bytes()).unwrap(), None);
    assert_eq!(hungry.count(&table, ..).unwrap(), u64::from(n - 1) / 2);
    hungry.commit().unwrap();
    assert_eq!(table.get(&n.to_be_bytes()).unwrap(), None);
}
