//! Batches: order, atomicity, limits.

use aquifer::{Database, Durability, Error, Table, TableOptions, WriteBatch};

fn tables(db: &Database) -> (Table, Table) {
    let make = |name| db.create_table(name, TableOptions::default()).unwrap();
    (make("one"), make("two"))
}

#[test]
fn later_entries_on_a_key_win() {
    let db = Database::in_memory(8 << 20).unwrap();
    let (one, two) = tables(&db);
    one.put(b"old", b"x").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&one, b"a", b"1");
    batch.put(&two, b"a", b"other table");
    batch.delete(&one, b"a");
    batch.put(&one, b"a", b"2");
    batch.put(&one, b"b", b"1");
    batch.delete(&one, b"b");
    batch.delete(&one, b"old");
    assert_eq!((batch.len(), batch.bytes()), (7, 1 + 1 + 1 + 11 + 1 + 1 + 1 + 1 + 1 + 1 + 3));
    db.write(&mut batch, Durability::Power).unwrap();
    assert!(batch.is_empty());
    assert_eq!(one.get(b"a").unwrap(), Some(b"2".to_vec()));
    assert_eq!(one.get(b"b").unwrap(), None);
    assert_eq!(one.get(b"old").unwrap(), None);
    assert_eq!(two.get(b"a").unwrap(), Some(b"other table".to_vec()));
    assert_eq!(db.stats().commits, 2);
}

#[test]
fn an_empty_batch_is_fine() {
    let db = Database::in_memory(8 << 20).unwrap();
    db.write(&mut WriteBatch::new(), Durability::Power).unwrap();
    assert_eq!(db.submit(&mut WriteBatch::new(), Durability::Power).unwrap().lsn(), None);
}

#[test]
fn a_batch_with_something_wrong_changes_nothing() {
    let db = Database::in_memory(8 << 20).unwrap();
    let (one, _) = tables(&db);
    let mut batch = WriteBatch::new();
    batch.put(&one, b"good", b"1");
    batch.put(&one, &[0; 65537], b"bad");
    assert!(matches!(db.write(&mut batch, Durability::Power), Err(Error::KeyTooLarge { len: 65537, .. })));
    assert_eq!(one.get(b"good").unwrap(), None);
    batch.clear();
    batch.put(&one, b"good", b"1");
    db.write(&mut batch, Durability::Power).unwrap();
}

#[test]
fn tables_of_another_database_are_refused() {
    let db = Database::in_memory(8 << 20).unwrap();
    let other = Database::in_memory(8 << 20).unwrap();
    let (one, _) = tables(&other);
    let mut batch = WriteBatch::new();
    batch.put(&one, b"k", b"v");
    assert!(matches!(db.write(&mut batch, Durability::Power), Err(Error::Usage { .. })));
    assert_eq!(batch.len(), 1, "after an error the batch is as it was");
    other.write(&mut batch, Durability::Power).unwrap();
}

#[test]
fn a_batch_beyond_the_budget_is_refused_and_one_below_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(2 << 20).create(dir.path().join("db")).unwrap();
    let (one, two) = tables(&db);
    let mut batch = WriteBatch::new();
    for n in 0u32..3000 {
        batch.put(&one, &n.to_be_bytes(), &[7; 100]);
    }
    match db.write(&mut batch, Durability::Power) {
        Err(Error::TransactionTooLarge { bytes_max, .. }) => assert_eq!(bytes_max, 512 << 10),
        other => panic!("{other:?}"),
    }
    assert!(one.is_empty().unwrap());
    batch.clear();
    for n in 0u32..1000 {
        batch.put(if n % 2 == 0 { &one } else { &two }, &n.to_be_bytes(), &[7; 100]);
    }
    db.write(&mut batch, Durability::Power).unwrap();
    assert_eq!((one.iter().count(), two.iter().count()), (500, 500));
}

#[test]
fn a_record_larger_than_the_log_ring_is_written_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let db = Database::options().memory_budget(16 << 20).page_size(16384).create(&path).unwrap();
    let (one, _) = tables(&db);
    let value = |n: u32| vec![n as u8; 3000];
    let mut batch = WriteBatch::new();
    for n in 0u32..300 {
        batch.put(&one, &n.to_be_bytes(), &value(n)); // 900 kB; the ring has 512 KiB
    }
    db.write(&mut batch, Durability::Power).unwrap();
    drop((one, db));
    let db = Database::open(&path).unwrap();
    let one = db.table("one").unwrap();
    for n in 0u32..300 {
        assert_eq!(one.get(&n.to_be_bytes()).unwrap(), Some(value(n)));
    }
}

#[test]
fn a_batch_over_logged_and_unlogged_tables_keeps_its_logged_part_after_a_crash() {
    use aquifer_sim::SimDisk;
    let disk = SimDisk::new();
    let options =
        |disk: &SimDisk| Database::options().memory_budget(2 << 20).background(false).disk(disk.disk());
    let db = options(&disk).create("").unwrap();
    let (logged, _) = tables(&db);
    let unlogged = db.create_table("unlogged", TableOptions::unlogged()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&logged, b"k", b"1");
    batch.put(&unlogged, b"k", b"1");
    db.write(&mut batch, Durability::Power).unwrap();
    batch.put(&unlogged, b"l", b"2");
    let ticket = db.submit(&mut batch, Durability::Power).unwrap();
    assert_eq!(ticket.lsn(), None);
    assert_eq!(unlogged.get(b"l").unwrap(), Some(b"2".to_vec()));
    let after = disk.after_power_loss(1);
    drop((logged, unlogged, ticket, db));
    let db = options(&after).open("").unwrap();
    assert_eq!(db.table("one").unwrap().get(b"k").unwrap(), Some(b"1".to_vec()));
    assert!(db.table("unlogged").unwrap().is_empty().unwrap());
}

#[test]
fn a_batch_to_a_dropped_table_changes_nothing() {
    let db = Database::in_memory(8 << 20).unwrap();
    let (one, two) = tables(&db);
    let mut batch = WriteBatch::new();
    batch.put(&one, b"k", b"1");
    batch.put(&two, b"k", b"1");
    db.drop_table("two").unwrap();
    assert!(matches!(db.write(&mut batch, Durability::Power), Err(Error::TableDropped { .. })));
    assert!(one.is_empty().unwrap());
}
