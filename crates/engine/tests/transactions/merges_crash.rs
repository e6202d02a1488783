//! Threads that add to a few hot counters in every way there is: nobody conflicts, the sums are exact, and after a loss of power they have
//! what was acknowledged, with every transaction whole.

use crate::{KINDS, LEVELS, any_table, assert_clean};
use aquifer::{AnyTable, Database, Durability, MergeOperator, TxOptions, WriteBatch};
use aquifer_sim::{Random, SimDisk};
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::thread;

const THREADS: u64 = 4;
const KEYS: u64 = 3;

fn options(disk: &SimDisk) -> aquifer::Options {
    let options = Database::options().memory_budget(4 << 20).log_bytes_max(1 << 20);
    options.segment_bytes_max(128 << 10).disk(disk.disk())
}

fn operator() -> MergeOperator {
    MergeOperator::new("add", |_, value, operand| {
        let number =
            |bytes: &[u8]| Ok::<_, std::array::TryFromSliceError>(u64::from_be_bytes(bytes.try_into()?));
        Ok(Some((value.map_or(Ok(0), number)? + number(operand)?).to_be_bytes().to_vec()))
    })
    .commuting()
}

fn sum(table: &AnyTable, key: u64) -> u64 {
    table.get(&key.to_be_bytes()).unwrap().map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

/// Adds in one of several ways. How much, to the counter in both tables.
fn add(db: &Database, [one, two]: &[AnyTable; 2], random: &mut Random, durability: Durability) -> u64 {
    let key = random.below(KEYS).to_be_bytes();
    let amount = 1 + random.below(5);
    let operand = amount.to_be_bytes();
    match random.below(3) {
        // Of each in a commit of its own.
        0 => {
            let _waits_for_nothing = one.merge_with(&key, &operand, Durability::Eventual).unwrap();
            two.clone().with_durability(durability).merge(&key, &operand).unwrap();
        }
        1 => {
            let mut batch = WriteBatch::new();
            batch.merge(two, &key, &operand);
            batch.merge(one, &key, &operand);
            db.write(&mut batch, durability).unwrap();
        }
        _ => {
            // No retries: a conflict would be an error.
            let level = LEVELS[random.below(2) as usize];
            let mut tx = db.begin_with(TxOptions::new().isolation(level)).unwrap();
            if random.chance(30) {
                let savepoint = tx.savepoint();
                tx.merge(one, &key, &operand).unwrap();
                tx.rollback_to(savepoint);
            }
            tx.merge(one, &key, &operand).unwrap();
            if random.chance(30) {
                thread::yield_now();
            }
            tx.merge(two, &key, &operand).unwrap();
            tx.commit_with(durability).unwrap();
        }
    }
    amount
}

fn tables(db: &Database) -> [AnyTable; 2] {
    let table = |name, kind| any_table(db, name, kind).with_merge(operator()).unwrap();
    [table("one", KINDS[0]), table("two", KINDS[1])]
}

#[test]
fn sums_are_exact_without_a_conflict() {
    for seed in 0..4 {
        let disk = SimDisk::with_seed(seed);
        let db = match seed % 2 {
            0 => options(&disk).create("").unwrap(),
            _ => Database::in_memory(8 << 20).unwrap(),
        };
        let tables = tables(&db);
        let expected = AtomicU64::new(0);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (db, tables, expected) = (&db, &tables, &expected);
                scope.spawn(move || {
                    let mut random = Random(seed * 100 + number);
                    for _ in 0..1500 {
                        let amount = add(db, tables, &mut random, Durability::Eventual);
                        expected.fetch_add(amount, Ordering::Relaxed);
                    }
                });
            }
        });
        for table in &tables {
            let found: u64 = (0..KEYS).map(|key| sum(table, key)).sum();
            assert_eq!(found, expected.load(Ordering::Relaxed), "seed {seed}, {}", table.name());
        }
        assert_eq!(db.stats().transactions.conflicts, 0);
        assert_clean(&db);
    }
}

#[test]
fn what_was_acknowledged_is_in_the_sums_after_a_loss_of_power() {
    for seed in 0..10 {
        let disk = SimDisk::with_seed(seed);
        let db = options(&disk).create("").unwrap();
        let tables = tables(&db);
        let (begun, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
        let done = AtomicU64::new(0);
        let mut images = Vec::new();
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (db, tables, begun, acknowledged, done) = (&db, &tables, &begun, &acknowledged, &done);
                scope.spawn(move || {
                    let mut random = Random(seed * 100 + number);
                    for _ in 0..60 {
                        begun.fetch_add(5, Ordering::SeqCst); // at most
                        let amount = add(db, tables, &mut random, Durability::Power);
                        acknowledged.fetch_add(amount, Ordering::SeqCst);
                        begun.fetch_sub(5 - amount, Ordering::SeqCst);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
            let mut random = Random(seed);
            for image in 1..=3 {
                while acknowledged.load(Ordering::SeqCst) < image * 100
                    && done.load(Ordering::SeqCst) < THREADS
                {
                    thread::yield_now();
                }
                let floor = acknowledged.load(Ordering::SeqCst);
                let after = disk.after_power_loss(random.draw());
                images.push((floor..=begun.load(Ordering::SeqCst), after));
            }
        });
        let all = acknowledged.load(Ordering::SeqCst);
        images.push((all..=all, disk.after_power_loss(seed)));
        drop((tables, db));
        for (allowed, disk) in images {
            let db = options(&disk).open("").unwrap();
            let tables = ["one", "two"].map(|name| db.any_table(name).unwrap());
            for table in &tables {
                let found: u64 = (0..KEYS).map(|key| sum(table, key)).sum();
                assert!(allowed.contains(&found), "seed {seed}: {found} of {allowed:?} in {}", table.name());
            }
            assert_clean(&db);
        }
    }
}
