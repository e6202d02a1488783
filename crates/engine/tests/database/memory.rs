//! Databases in memory, small budgets, data larger than memory.

use aquifer::{Database, Durability, ErrorKind, TableOptions, WriteBatch};
use aquifer_sim::Random;
use std::collections::BTreeMap;

#[test]
fn in_memory_what_does_not_fit_is_refused_and_nothing_is_lost() {
    let db = Database::in_memory(2 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let value = [5u8; 200];
    let mut count = 0u32;
    let error = loop {
        match table.put(&count.to_be_bytes(), &value) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    assert!(count > 2000, "{count} records of 200 bytes");
    assert_eq!(table.iter().count() as u32, count);
    assert!(db.verify(|_| {}).unwrap().is_clean());
    // Updates in place still work, and so does what a deletion makes room for.
    table.put(&0u32.to_be_bytes(), &[6; 200]).unwrap();
    table.delete(&1u32.to_be_bytes()).unwrap();
    table.put(&1u32.to_be_bytes(), &value).unwrap();
    db.drop_table("t").unwrap();
    drop(table);
}

#[test]
fn in_memory_a_batch_that_does_not_fit_changes_nothing() {
    let db = Database::in_memory(2 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let mut expected = BTreeMap::new();
    let mut random = Random(1);
    let mut batch = WriteBatch::new();
    let mut refused = 0;
    for round in 0u64.. {
        let mut changed = expected.clone();
        for _ in 0..100 {
            let key = (random.below(200_000) as u32).to_be_bytes();
            if random.chance(10) {
                batch.delete(&table, &key);
                changed.remove(&key[..]);
            } else {
                let value = vec![round as u8; 150 + random.below(200) as usize];
                batch.put(&table, &key, &value);
                changed.insert(key.to_vec(), value);
            }
        }
        match db.write(&mut batch, Durability::Power) {
            Ok(()) => expected = changed,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
                batch.clear();
                refused += 1;
                let found: BTreeMap<_, _> = table.iter().map(|record| record.unwrap()).collect();
                assert!(found == expected, "round {round}");
                if refused == 5 {
                    break;
                }
            }
        }
    }
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn dropping_a_table_in_memory_makes_room_at_once() {
    let db = Database::in_memory(2 << 20).unwrap();
    for round in 0..5 {
        let table = db.create_table("t", TableOptions::default()).unwrap();
        for n in 0u32..3000 {
            table.put(&n.to_be_bytes(), &[round; 200]).unwrap();
        }
        drop(table);
        db.drop_table("t").unwrap();
    }
}

#[test]
fn data_may_be_many_times_larger_than_a_budget_of_two_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let options = || Database::options().memory_budget(2 << 20);
    let db = options().create(&path).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap().with_durability(Durability::Eventual);
    let mut random = Random(5);
    let count = 100_000u64; // 12 MB
    let value = |n: u64, turn: u8| {
        let mut value = vec![turn; 100];
        value[..8].copy_from_slice(&n.to_le_bytes());
        value
    };
    let key = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let mut batch = WriteBatch::new();
    for n in 0..count {
        batch.put(&table, &key(n), &value(n, 0));
        if batch.len() == 500 {
            db.write(&mut batch, Durability::Eventual).unwrap();
        }
    }
    for _ in 0..20_000 {
        let n = random.below(count);
        table.put(&key(n), &value(n, 1)).unwrap();
    }
    let stats = db.stats();
    assert!(stats.memory_used <= 2 << 20);
    assert!(stats.pager.evictions > 1000, "{:?}", stats.pager);
    for _ in 0..5_000 {
        let n = random.below(count);
        let found = table.get(&key(n)).unwrap().unwrap();
        assert_eq!(found[..8], n.to_le_bytes());
    }
    assert_eq!(table.iter().count() as u64, count);
    let keys: Vec<_> = (0..1000).map(|_| key(random.below(2 * count))).collect();
    let together = table.multi_get(keys.iter().copied()).unwrap();
    for (key, value) in keys.iter().zip(together) {
        assert_eq!(value, table.get(key).unwrap());
    }
    assert!(db.verify(|_| {}).unwrap().is_clean());
    drop((table, batch, db));
    let db = options().open(&path).unwrap();
    assert_eq!(db.table("t").unwrap().iter().rev().count() as u64, count);
}
