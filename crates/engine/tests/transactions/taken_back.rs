//! Long commits that are refused when much of them is applied: nobody reads what they take back (T2, Hermitage's G1a).

use crate::{KINDS, any_table, assert_clean};
use aquifer::{AnyTable, Database, Durability, ErrorKind, Result, WriteBatch};
use aquifer_sim::SimDisk;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;

const RECORDS: u32 = 8_000;
const OLD: [u8; 900] = [b'o'; 900];

/// Attempts a commit that is refused, some times, while others read.
fn refused_while_others_read(attempt: impl Fn(&Database, &AnyTable) -> Result<()>) {
    for kind in KINDS {
        let db = Database::options().memory_budget(4 << 20).disk(SimDisk::new().disk()).create("").unwrap();
        let table = any_table(&db, "t", kind).with_durability(Durability::Eventual);
        let mut batch = WriteBatch::new();
        for n in 0..RECORDS {
            batch.put(&table, &n.to_be_bytes(), &OLD);
            if batch.len() == 400 {
                db.write(&mut batch, Durability::Eventual).unwrap();
            }
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for part in 0..2 {
                let (table, done) = (&table, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Acquire) {
                        for n in [part, 1 + part * 7, 500 + part] {
                            let key = u32::to_be_bytes(n);
                            assert_eq!(table.get(&key).unwrap().as_deref(), Some(&OLD[..]));
                            assert!(table.contains(&key).unwrap());
                            assert_eq!(table.open_large(&key).unwrap().unwrap().len(), 900);
                        }
                    }
                });
            }
            for _ in 0..4 {
                let refused = attempt(&db, &table).unwrap_err();
                let is_for_want_of_memory =
                    matches!(refused.kind(), ErrorKind::TransactionTooLarge | ErrorKind::BudgetExhausted);
                assert!(is_for_want_of_memory, "{refused}");
            }
            done.store(true, Ordering::Release);
        });
        assert_clean(&db);
    }
}

#[test]
fn nobody_reads_what_a_batch_took_back() {
    refused_while_others_read(|db, table| {
        let mut batch = WriteBatch::new();
        (0..RECORDS).for_each(|n| batch.put(table, &n.to_be_bytes(), b"new"));
        db.write(&mut batch, Durability::Eventual)
    });
}

#[test]
fn nobody_misses_what_a_transaction_deleted_and_put_back() {
    refused_while_others_read(|db, table| {
        let mut tx = db.begin()?;
        (0..2_500u32).try_for_each(|n| tx.delete(table, &n.to_be_bytes()))?;
        tx.commit()
    });
}
