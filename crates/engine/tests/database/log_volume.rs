//! How many log bytes user bytes cost.

use aquifer::{Database, Durability, TableOptions, WriteBatch};

fn log_bytes(db: &Database) -> u64 {
    db.stats().log.record_bytes
}

#[test]
fn a_load_costs_at_most_twelve_percent_more_than_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(16 << 20).create(dir.path().join("db")).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    for in_batches in [true, false] {
        let before = log_bytes(&db);
        let mut batch = WriteBatch::new();
        let count = 10_000u64;
        for n in 0..count {
            let n = n * 2 + u64::from(in_batches);
            let mut key = [0; 16];
            key[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
            if in_batches {
                batch.put(&table, &key, &[1; 100]);
                if batch.len() == 1000 {
                    db.write(&mut batch, Durability::Eventual).unwrap();
                }
            } else {
                table.put_with(&key, &[1; 100], Durability::Eventual).unwrap().lsn();
            }
        }
        let ratio = (log_bytes(&db) - before) as f64 / (count * 116) as f64;
        assert!(ratio <= 1.12, "in batches: {in_batches}: {ratio:.3} log bytes per user byte");
    }
}

#[test]
fn an_update_of_a_field_costs_at_most_45_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(16 << 20).create(dir.path().join("db")).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap().with_durability(Durability::Eventual);
    let mut value = vec![7u8; 1000];
    let key = |n: u64| [n.to_be_bytes(), [0; 8]].concat();
    for n in 0..100 {
        table.put(&key(n), &value).unwrap();
    }
    for in_batches in [false, true] {
        let before = log_bytes(&db);
        let mut batch = WriteBatch::new();
        for n in 0..100u64 {
            let mark = (n + 1000 * (1 + u64::from(in_batches))).wrapping_mul(0x0101_0101_0101_0101);
            value[500..508].copy_from_slice(&mark.to_le_bytes());
            if in_batches {
                batch.put(&table, &key(n), &value);
            } else {
                table.put(&key(n), &value).unwrap();
            }
        }
        db.write(&mut batch, Durability::Eventual).unwrap();
        let each = (log_bytes(&db) - before) as f64 / 100.0;
        assert!(each <= 45.0, "in batches: {in_batches}: {each} bytes each");
    }
    assert_eq!(table.get(&key(99)).unwrap(), Some(value));
}
