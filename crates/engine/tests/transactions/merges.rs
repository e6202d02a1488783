//! Merges: who conflicts over them, what the transaction that made them sees, what becomes of their results, and what operators refuse.

use crate::{KINDS, LEVELS, any_table, begin};
use aquifer::{
    AnyTable, Database, Durability, Error, ErrorKind, Event, HashTableDef, Isolation, MergeOperator, Result,
    TableDef, TableKind, TableOptions, Transaction, WriteBatch,
};
use aquifer_sim::SimDisk;

const LONG: [u8; 600] = [b'k'; 600];

/// Numbers of four bytes; zero is as good as none.
fn add(_: &[u8], value: Option<&[u8]>, operand: &[u8]) -> aquifer::MergeResult<Vec<u8>> {
    let number = |bytes: &[u8]| Ok::<_, std::array::TryFromSliceError>(u32::from_le_bytes(bytes.try_into()?));
    let sum = number(value.unwrap_or(&[0; 4]))?.checked_add(number(operand)?).ok_or("too much")?;
    Ok((sum != 0).then(|| sum.to_le_bytes().to_vec()))
}

fn n(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

fn adding(db: &Database, name: &str, kind: TableKind) -> AnyTable {
    any_table(db, name, kind).with_merge(MergeOperator::new("add", add).commuting()).unwrap()
}

fn number(value: Option<Vec<u8>>) -> u32 {
    value.map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
}

/// At both levels, in tables of both kinds that add, and of both kinds of durability; "k" has 5.
fn check(test: impl Fn(&Database, &AnyTable, Isolation)) {
    for (level, kind) in LEVELS.into_iter().flat_map(|level| KINDS.map(|kind| (level, kind))) {
        for on_disk in [false, true] {
            let options = Database::options().memory_budget(8 << 20).background(false);
            let db = match on_disk {
                true => options.disk(SimDisk::new().disk()).create("").unwrap(),
                false => options.in_memory().unwrap(),
            };
            let table = adding(&db, "t", kind);
            table.put(b"k", &n(5)).unwrap();
            test(&db, &table, level);
        }
    }
}

fn assert_conflict(committed: Result<()>) {
    assert_eq!(committed.unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn who_only_merges_does_not_conflict_with_who_only_merges() {
    check(|db, table, level| {
        let mut others: Vec<Transaction> = (0..3).map(|_| begin(db, level)).collect();
        let mut tx = begin(db, level);
        tx.merge(table, b"k", &n(1)).unwrap();
        tx.merge(table, b"new", &n(1)).unwrap();
        others.iter_mut().for_each(|other| other.merge(table, b"k", &n(10)).unwrap());
        table.merge(b"k", &n(100)).unwrap();
        let mut batch = WriteBatch::new();
        batch.merge(table, b"k", &n(500));
        batch.merge(table, b"new", &n(2));
        batch.merge(table, b"k", &n(500));
        db.write(&mut batch, Durability::Power).unwrap();
        others.into_iter().for_each(|other| other.commit().unwrap());
        tx.commit().unwrap();
        assert_eq!(number(table.get(b"k").unwrap()), 1136);
        assert_eq!(number(table.get(b"new").unwrap()), 3);
        assert!(db.verify(|_| {}).unwrap().is_clean());
    });
}

/// What a transaction does beside its merge, so that merges of others are changes to it.
type Deed = (&'static str, fn(&mut Transaction, &AnyTable));

#[test]
fn who_read_what_it_merges_conflicts_with_merges() {
    let deeds: [Deed; 7] = [
        ("get before", |tx, table| {
            tx.get(table, b"k").unwrap();
            tx.merge(table, b"k", &n(1)).unwrap();
        }),
        ("get after", |tx, table| {
            tx.merge(table, b"k", &n(1)).unwrap();
            tx.contains(table, b"k").unwrap();
        }),
        ("scan", |tx, table| {
            tx.merge(table, b"k", &n(1)).unwrap();
            let mut records = tx.records(table);
            while records.next().unwrap().is_some() {}
        }),
        ("forgotten scan", |tx, table| {
            tx.merge(table, b"k", &n(1)).unwrap();
            std::mem::forget(tx.records(table));
        }),
        ("put before", |tx, table| {
            tx.put(table, b"k", &n(7)).unwrap();
            tx.merge(table, b"k", &n(1)).unwrap();
        }),
        ("delete after", |tx, table| {
            tx.merge(table, b"k", &n(1)).unwrap();
            tx.delete(table, b"k").unwrap();
        }),
        ("append after", |tx, table| {
            tx.merge(table, b"k", &n(1)).unwrap();
            tx.append(table, b"k", b"").unwrap();
        }),
    ];
    for (name, deed) in deeds {
        check(|db, table, level| {
            let mut tx = begin(db, level);
            deed(&mut tx, table);
            table.merge(b"k", &n(10)).unwrap();
            let committed = tx.commit();
            if name == "forgotten scan" && level == Isolation::Serializable {
                assert_eq!(committed.unwrap_err().kind(), ErrorKind::Usage);
            } else {
                assert_eq!(committed.unwrap_err().kind(), ErrorKind::Conflict, "{name}");
            }
            assert_eq!(number(table.get(b"k").unwrap()), 15);
            // Alone it commits.
            if name != "forgotten scan" {
                let mut tx = begin(db, level);
                deed(&mut tx, table);
                tx.commit().unwrap();
            }
        });
    }
}

#[test]
fn what_is_read_of_other_keys_leaves_a_merge_without_conflict() {
    check(|db, table, level| {
        table.put(b"other", &n(1)).unwrap();
        let mut tx = begin(db, level);
        tx.get(table, b"other").unwrap();
        tx.get(table, b"absent").unwrap();
        tx.merge(table, b"k", &n(1)).unwrap();
        table.merge(b"k", &n(10)).unwrap();
        tx.commit().unwrap();
        assert_eq!(number(table.get(b"k").unwrap()), 16);
    });
}

#[test]
fn who_only_merges_conflicts_with_puts_and_deletes_and_they_with_merges() {
    check(|db, table, level| {
        for change in 0..3 {
            let mut tx = begin(db, level);
            tx.merge(table, b"k", &n(1)).unwrap();
            match change {
                0 => table.put(b"k", &n(9)).unwrap(),
                1 => table.delete(b"k").unwrap(),
                _ => {
                    let mut batch = WriteBatch::new();
                    batch.merge(table, b"k", &n(1));
                    batch.put(table, b"k", &n(3));
                    batch.merge(table, b"k", &n(4));
                    db.write(&mut batch, Durability::Power).unwrap();
                    assert_eq!(number(table.get(b"k").unwrap()), 7);
                }
            }
            // Nor is a put forgotten for the merges that come after it, whatever is cut meanwhile.
            (0..50).for_each(|_| table.merge(b"k", &n(1)).unwrap());
            assert_conflict(tx.commit());
        }
        let mut tx = begin(db, level);
        tx.put(table, b"k", &n(1)).unwrap();
        table.merge(b"k", &n(1)).unwrap();
        assert_conflict(tx.commit());
        let mut tx = begin(db, level);
        tx.lock(table, b"k").unwrap();
        tx.merge(table, b"k", &n(1)).unwrap();
        tx.commit().unwrap();
    });
}

#[test]
fn a_serializable_reader_conflicts_with_a_merge_of_what_it_read() {
    for kind in KINDS {
        let db = Database::in_memory(8 << 20).unwrap();
        let table = adding(&db, "t", kind);
        for transaction in [false, true] {
            let mut tx = begin(&db, Isolation::Serializable);
            tx.get(&table, b"k").unwrap();
            tx.put(&table, b"elsewhere", &n(1)).unwrap();
            if transaction {
                let mut other = begin(&db, Isolation::Snapshot);
                other.merge(&table, b"k", &n(1)).unwrap();
                other.commit().unwrap();
            } else {
                table.merge(b"k", &n(1)).unwrap();
            }
            assert_conflict(tx.commit());
        }
    }
}

#[test]
fn a_transaction_sees_its_merges_in_gets_and_in_scans_from_both_ends() {
    check(|db, table, level| {
        for key in 0..20_u8 {
            table.put(&[key], &n(u32::from(key) + 1)).unwrap();
        }
        let mut tx = begin(db, level);
        let mut expected: std::collections::BTreeMap<Vec<u8>, u32> =
            (0..20_u8).map(|key| (vec![key], u32::from(key) + 1)).chain([(b"k".to_vec(), 5)]).collect();
        for key in (0..30_u8).step_by(3) {
            tx.merge(table, &[key], &n(100)).unwrap();
            tx.merge(table, &[key], &n(100)).unwrap();
            *expected.entry(vec![key]).or_default() += 200;
        }
        tx.delete(table, &[3]).unwrap();
        tx.merge(table, &[3], &n(7)).unwrap();
        expected.insert(vec![3], 7);
        // What others merge meanwhile it does not see.
        table.merge(&[6], &n(1000)).unwrap();
        table.merge(&[40], &n(1000)).unwrap();
        for (key, &sum) in &expected {
            assert_eq!(number(tx.get(table, &key[..]).unwrap()), sum, "{key:?}");
        }
        let mut found = Vec::new();
        let mut records = tx.records(table);
        while let Some((key, value)) = records.next().unwrap() {
            found.push((key.to_vec(), number(Some(value.to_vec()))));
        }
        drop(records);
        found.sort_unstable();
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(found, expected);
        if let Ok(sorted) = db.table("t") {
            let back: Result<Vec<_>> = tx.range(&sorted, ..).rev().collect();
            let back: Vec<_> =
                back.unwrap().into_iter().rev().map(|(key, value)| (key, number(Some(value)))).collect();
            assert_eq!(back, expected);
        }
        assert_conflict(tx.commit());
    });
}

#[test]
fn savepoints_take_merges_back() {
    check(|db, table, level| {
        let mut tx = begin(db, level);
        tx.merge(table, b"k", &n(1)).unwrap();
        let first = tx.savepoint();
        tx.merge(table, b"k", &n(10)).unwrap();
        tx.merge(table, b"j", &n(10)).unwrap();
        let second = tx.savepoint();
        tx.put(table, b"k", &n(0x100)).unwrap();
        tx.merge(table, b"k", &n(1)).unwrap();
        assert_eq!(number(tx.get(table, b"k").unwrap()), 0x101);
        tx.rollback_to(second);
        assert_eq!(number(tx.get(table, b"k").unwrap()), 16);
        tx.rollback_to(first);
        assert_eq!(number(tx.get(table, b"k").unwrap()), 6);
        tx.merge(table, b"k", &n(100)).unwrap();
        tx.commit().unwrap();
        assert_eq!(number(table.get(b"k").unwrap()), 106);
        assert_eq!(table.get(b"j").unwrap(), None);
    });
}

#[test]
fn what_an_operator_refuses_changes_nothing() {
    check(|db, table, level| {
        let refused = |error: Error| match error {
            Error::Merge { table, key, reason } => {
                assert_eq!((&*table, &*key, &*reason), ("t", &b"k"[..], "too much"))
            }
            other => panic!("{other}"),
        };
        refused(table.merge(b"k", &n(u32::MAX)).unwrap_err());
        let mut batch = WriteBatch::new();
        batch.put(table, b"j", &n(1));
        batch.merge(table, b"k", &n(u32::MAX - 2));
        refused(db.write(&mut batch, Durability::Power).unwrap_err());
        assert_eq!(batch.len(), 2, "it is kept");
        // Where it is as good as known, it is said at once.
        let mut tx = begin(db, level);
        tx.put(table, b"k", &n(1)).unwrap();
        refused(tx.merge(table, b"k", &n(u32::MAX)).unwrap_err());
        drop(tx);
        // Else by reads, and by the commit.
        let mut tx = begin(db, level);
        tx.put(table, b"j", &n(1)).unwrap();
        tx.merge(table, b"k", &n(u32::MAX - 2)).unwrap();
        refused(tx.get(table, b"k").unwrap_err());
        refused(tx.commit().unwrap_err());
        assert_eq!((number(table.get(b"k").unwrap()), table.get(b"j").unwrap()), (5, None));
        assert_eq!(ErrorKind::Usage, table.merge(b"k", &n(u32::MAX)).unwrap_err().kind());
        table.merge(b"k", &n(1)).unwrap();
        assert_eq!(number(table.get(b"k").unwrap()), 6);
    });
}

#[test]
fn a_merge_may_remove_its_key() {
    let xor = |_: &[u8], value: Option<&[u8]>, operand: &[u8]| {
        let left = value.unwrap_or(&[0])[0] ^ operand[0];
        Ok((left != 0).then(|| vec![left]))
    };
    for kind in KINDS {
        let db = Database::in_memory(8 << 20).unwrap();
        let table = any_table(&db, "t", kind).with_merge(MergeOperator::new("xor", xor).commuting()).unwrap();
        table.merge(b"k", &[0]).unwrap();
        assert_eq!(table.get(b"k").unwrap(), None);
        table.merge(b"k", &[6]).unwrap();
        let before = db.snapshot().unwrap();
        let (mut tx, mut other) = (db.begin().unwrap(), db.begin().unwrap());
        tx.merge(&table, b"k", &[6]).unwrap();
        other.merge(&table, b"k", &[1]).unwrap();
        assert_eq!(tx.get(&table, b"k").unwrap(), None);
        drop(tx);
        table.merge(b"k", &[6]).unwrap();
        assert_eq!(table.get(b"k").unwrap(), None);
        other.commit().unwrap();
        assert_eq!(table.get(b"k").unwrap(), Some(vec![1]));
        assert_eq!(before.get(&table, b"k").unwrap(), Some(vec![6]));
    }
}

#[test]
fn one_that_does_not_commute_conflicts_as_a_put_does() {
    for (level, kind) in LEVELS.into_iter().flat_map(|level| KINDS.map(|kind| (level, kind))) {
        let db = Database::in_memory(8 << 20).unwrap();
        let table = any_table(&db, "t", kind).with_merge(MergeOperator::append()).unwrap();
        table.merge(b"k", b"a").unwrap();
        let mut tx = begin(&db, level);
        tx.merge(&table, b"k", b"b").unwrap();
        tx.merge(&table, b"k", b"c").unwrap();
        assert_eq!(tx.get(&table, b"k").unwrap().as_deref(), Some(&b"abc"[..]));
        table.merge(b"k", b"x").unwrap();
        assert_conflict(tx.commit());
        let mut batch = WriteBatch::new();
        batch.merge(&table, b"k", b"y");
        batch.merge(&table, b"k", b"z");
        db.write(&mut batch, Durability::Power).unwrap();
        assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"axyz"[..]));
    }
}

/// The union of these: so many bytes with that bit.
fn bits(parts: &[(usize, u8)]) -> Vec<u8> {
    let len = parts.iter().map(|(len, _)| *len).max().unwrap();
    let byte = |at| parts.iter().filter(|(len, _)| at < *len).fold(0, |byte, (_, bit)| byte | bit);
    (0..len).map(byte).collect()
}

/// Merges into a key in all ways, beyond what a leaf takes.
fn merge_large(db: &Database, table: &AnyTable, level: Isolation, key: &[u8], is_long: bool) {
    table.merge(key, &bits(&[(10, 1)])).unwrap();
    let before = db.snapshot().unwrap();
    let mut tx = begin(db, level);
    tx.merge(table, key, &bits(&[(9_000, 2)])).unwrap();
    tx.merge(table, key, &bits(&[(30_000, 4)])).unwrap();
    assert!(tx.get(table, key).unwrap().unwrap() == bits(&[(10, 1), (9_000, 2), (30_000, 4)]));
    drop(tx);
    let mut tx = begin(db, level);
    tx.merge(table, key, &bits(&[(9_000, 2)])).unwrap();
    table.merge(key, &bits(&[(20_000, 8)])).unwrap();
    if is_long {
        assert_conflict(tx.commit());
        table.merge(key, &bits(&[(9_000, 2)])).unwrap();
    } else {
        tx.commit().unwrap();
    }
    // One that began when the value was large, and one that is refused after its result was written.
    let mut tx = begin(db, level);
    tx.merge(table, key, &bits(&[(100, 64)])).unwrap();
    assert!(tx.get(table, key).unwrap().unwrap() == bits(&[(10, 1), (9_000, 2), (20_000, 8), (100, 64)]));
    table.delete(key).unwrap();
    assert_conflict(tx.commit());
    table.put(key, &bits(&[(10, 1), (9_000, 2), (20_000, 8)])).unwrap();
    let mut batch = WriteBatch::new();
    batch.merge(table, key, &bits(&[(40_000, 16)]));
    batch.merge(table, key, &bits(&[(1, 32)]));
    db.write(&mut batch, Durability::Power).unwrap();
    assert!(table.get(key).unwrap().unwrap() == bits(&ALL_BITS), "{level:?} {is_long}");
    assert!(before.get(table, key).unwrap().unwrap() == bits(&[(10, 1)]));
    drop(before);
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

const ALL_BITS: [(usize, u8); 5] = [(1, 32), (10, 1), (9_000, 2), (20_000, 8), (40_000, 16)];

#[test]
fn results_of_any_length_and_long_keys() {
    for (level, kind) in LEVELS.into_iter().flat_map(|level| KINDS.map(|kind| (level, kind))) {
        for (on_disk, logged) in [(true, true), (true, false), (false, true)] {
            let disk = SimDisk::new();
            let options = || Database::options().memory_budget(8 << 20).background(false);
            let db = match on_disk {
                true => options().disk(disk.disk()).create("").unwrap(),
                false => options().in_memory().unwrap(),
            };
            match kind {
                TableKind::Hashed => {
                    drop(db.create_table("t", TableOptions::hashed().logged(logged)).unwrap())
                }
                _ => drop(db.create_table("t", TableOptions::default().logged(logged)).unwrap()),
            }
            let table = db.any_table("t").unwrap().with_merge(MergeOperator::union()).unwrap();
            for (key, is_long) in [(&b"short"[..], false), (&LONG[..], true)] {
                merge_large(&db, &table, level, key, is_long);
            }
            if !on_disk {
                continue;
            }
            // What was committed needs no operator, replayed or not.
            if !logged {
                db.close().unwrap();
            }
            let after = disk.after_power_loss(7);
            drop((table, db));
            let db = options().disk(after.disk()).open("").unwrap();
            let table = db.any_table("t").unwrap();
            for key in [&b"short"[..], &LONG[..]] {
                assert!(table.get(key).unwrap().unwrap() == bits(&ALL_BITS));
            }
            assert!(db.verify(|_| {}).unwrap().is_clean());
        }
    }
}

#[test]
fn without_an_operator_nothing_is_merged() {
    let disk = SimDisk::new();
    let options = || Database::options().memory_budget(8 << 20).background(false).disk(disk.disk());
    const COUNTERS: TableDef<str, u64> = TableDef::new("counters").merging(MergeOperator::add);
    let db = options().create("").unwrap();
    let counters = COUNTERS.open_or_create(&db).unwrap();
    counters.merge("k", &7).unwrap();
    // Not closed: what is replayed is the result.
    let after = disk.after_power_loss(1);
    let db =
        Database::options().memory_budget(8 << 20).background(false).disk(after.disk()).open("").unwrap();
    const PLAIN: TableDef<str, u64> = TableDef::new("counters");
    let plain = PLAIN.open(&db).unwrap();
    assert_eq!(plain.get("k").unwrap(), Some(7));
    let usage = |result: Result<()>| {
        let error = result.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Usage && error.to_string().contains("no merge operator"),
            "{error}"
        );
    };
    usage(plain.merge("k", &1));
    let mut batch = WriteBatch::new();
    batch.merge(&plain, "k", &1);
    usage(db.write(&mut batch, Durability::Power));
    let mut tx = db.begin().unwrap();
    usage(tx.merge(&plain, "k", &1));
    plain.put("k", &8).unwrap();
    // Any handle registers it for all; the same again is welcome, another is not.
    let again = COUNTERS.open(&db).unwrap();
    plain.merge("k", &1).unwrap();
    COUNTERS.open(&db).unwrap().merge("k", &1).unwrap();
    assert_eq!(again.get("k").unwrap(), Some(10));
    let refused = plain.with_merge(MergeOperator::max()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
}

/// It cannot be known whether it has read the key before there was an operator.
#[test]
fn a_transaction_from_before_the_registration_conflicts() {
    for level in LEVELS {
        let db = Database::in_memory(8 << 20).unwrap();
        let plain: aquifer::HashTable<str, u64> =
            HashTableDef::new("counters").create(&db, TableOptions::hashed()).unwrap();
        plain.put("k", &1).unwrap();
        let mut tx = begin(&db, level);
        let mut blind = begin(&db, level);
        assert_eq!(tx.get(&plain, "k").unwrap(), Some(1));
        let counters = plain.with_merge(MergeOperator::add()).unwrap();
        for tx in [&mut tx, &mut blind] {
            tx.merge(&counters, "k", &1).unwrap();
            assert_eq!(tx.get(&counters, "k").unwrap(), Some(2));
        }
        counters.merge("k", &1).unwrap();
        assert_conflict(tx.commit());
        assert_conflict(blind.commit());
    }
}

#[test]
fn watchers_are_told_the_results() {
    check(|db, table, level| {
        if db.table("t").is_err() {
            return;
        }
        let sorted = db.table("t").unwrap();
        let mut watcher = sorted.watch(..).unwrap();
        table.merge(b"k", &n(1)).unwrap();
        let mut tx = begin(db, level);
        tx.merge(table, b"k", &n(10)).unwrap();
        tx.commit().unwrap();
        let mut told = Vec::new();
        while let Some(event) = watcher.try_recv().unwrap() {
            match event {
                Event::Put { key, value, .. } => told.push((key, number(value))),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, [(b"k".to_vec(), 6), (b"k".to_vec(), 16)]);
    });
}

/// Far more than what is set aside for a commit, and more than is loaded at a time.
#[test]
fn many_keys_that_are_merged_at_once() {
    for on_disk in [false, true] {
        let options = Database::options().memory_budget(16 << 20).background(false);
        let db = match on_disk {
            true => options.disk(SimDisk::new().disk()).create("").unwrap(),
            false => options.in_memory().unwrap(),
        };
        let table = any_table(&db, "t", TableKind::Sorted).with_merge(MergeOperator::union()).unwrap();
        let count = 3000_u32;
        for round in 0..3_u8 {
            let mut batch = WriteBatch::new();
            (0..count).for_each(|key| batch.merge(&table, &key.to_be_bytes(), &[1 << round; 300]));
            db.write(&mut batch, Durability::Eventual).unwrap();
            let mut tx = db.begin().unwrap();
            (0..count).for_each(|key| tx.merge(&table, &key.to_be_bytes(), &[8 << round]).unwrap());
            tx.commit_with(Durability::Eventual).unwrap();
        }
        for key in 0..count {
            let value = table.get(&key.to_be_bytes()).unwrap().unwrap();
            assert!(value.len() == 300 && value[0] == 63 && value[1..].iter().all(|&byte| byte == 7));
        }
        assert!(db.verify(|_| {}).unwrap().is_clean());
    }
}

/// A result for which there is no memory is refused, and nothing has happened.
#[test]
fn results_beyond_the_budget_are_refused() {
    let grow = |_: &[u8], value: Option<&[u8]>, operand: &[u8]| {
        Ok(Some(vec![operand[0]; value.map_or(500, <[u8]>::len) * usize::from(operand[0])]))
    };
    let db = Database::options().memory_budget(4 << 20).background(false).in_memory().unwrap();
    let table = any_table(&db, "t", TableKind::Sorted)
        .with_merge(MergeOperator::new("grow", grow).commuting())
        .unwrap();
    let mut batch = WriteBatch::new();
    (0..2000_u32).for_each(|key| batch.merge(&table, &key.to_be_bytes(), &[2]));
    let error = db.write(&mut batch, Durability::Eventual).unwrap_err();
    assert!([ErrorKind::TransactionTooLarge, ErrorKind::BudgetExhausted].contains(&error.kind()), "{error}");
    assert!(table.is_empty().unwrap());
    let mut batch = WriteBatch::new();
    (0..100_u32).for_each(|key| batch.merge(&table, &key.to_be_bytes(), &[1]));
    db.write(&mut batch, Durability::Eventual).unwrap();
    assert_eq!(table.get(&7_u32.to_be_bytes()).unwrap(), Some(vec![1; 500]));
}

#[test]
fn the_operators_that_come_with_it() {
    let db = Database::in_memory(8 << 20).unwrap();
    const LOW: TableDef<u32, i64> = TableDef::new("low").merging(MergeOperator::min);
    const HIGH: TableDef<u32, str> = TableDef::new("high").merging(MergeOperator::max);
    const TEXT: HashTableDef<u32, str> = HashTableDef::new("text").merging(MergeOperator::append);
    const SUM: TableDef<u32, i8> = TableDef::new("sum").merging(MergeOperator::add);
    let (low, high) = (LOW.open_or_create(&db).unwrap(), HIGH.open_or_create(&db).unwrap());
    let (text, sum) = (TEXT.open_or_create(&db).unwrap(), SUM.open_or_create(&db).unwrap());
    for (number, word) in [(3, "c"), (-7, "b"), (5, "x"), (-7, "a")] {
        low.merge(&1, &number).unwrap();
        high.merge(&1, word).unwrap();
        text.merge(&1, word).unwrap();
        sum.merge(&1, &(number as i8)).unwrap();
    }
    assert_eq!((low.get(&1).unwrap(), sum.get(&1).unwrap()), (Some(-7), Some(-6)));
    assert_eq!(high.get(&1).unwrap().as_deref(), Some("x"));
    assert_eq!(text.get(&1).unwrap().as_deref(), Some("cbxa"));
    assert!(matches!(sum.merge(&1, &-127), Err(Error::Merge { .. })));
    // Bytes that are no number of the type.
    let raw = db.table("sum").unwrap();
    assert!(matches!(raw.merge(&[0, 0, 0, 1], b"xyz"), Err(Error::Merge { .. })));
    assert_eq!(sum.get(&1).unwrap(), Some(-6));
}

#[test]
fn what_a_transaction_has_read_leaves_memory_for_others() {
    let db = Database::in_memory(4 << 20).unwrap();
    let table = any_table(&db, "t", TableKind::Sorted).with_merge(MergeOperator::union()).unwrap();
    let other = any_table(&db, "other", TableKind::Sorted);
    table.put(b"k", &[1]).unwrap();
    let mut reader = db.begin().unwrap();
    for key in 0..100_000u32 {
        assert_eq!(reader.get(&table, &n(key)).unwrap(), None);
    }
    for key in 0..100u32 {
        let mut writer = db.begin().unwrap();
        (0..20u32).for_each(|part| writer.put(&other, &n(key * 20 + part), &[1; 500]).unwrap());
        writer.commit().unwrap();
    }
    // It has read too much to say what: so it may have read this too.
    reader.merge(&table, b"k", &[2]).unwrap();
    table.merge(b"k", &[4]).unwrap();
    assert_conflict(reader.commit());
}

#[test]
fn what_an_operator_refuses_was_read() {
    let db = Database::in_memory(4 << 20).unwrap();
    let once = MergeOperator::new("once", |_, value, operand| match value {
        Some(_) => Err("there is one".into()),
        None => Ok(Some(operand.to_vec())),
    });
    let table = any_table(&db, "t", TableKind::Sorted).with_merge(once).unwrap();
    let flags = any_table(&db, "flags", TableKind::Sorted);
    table.put(b"k", b"1").unwrap();
    let (mut one, mut two) = (begin(&db, Isolation::Serializable), begin(&db, Isolation::Serializable));
    // One raises the flag if k is there; two removes k if the flag is down.
    assert!(one.merge(&table, b"k", b"2").is_err());
    one.put(&flags, b"f", b"k was there").unwrap();
    assert_eq!(two.get(&flags, b"f").unwrap(), None);
    two.delete(&table, b"k").unwrap();
    two.commit().unwrap();
    assert_conflict(one.commit());
}

#[test]
fn merges_that_run_out_of_memory_half_way_are_taken_back() {
    let mut refused = 0;
    for fill in (900..).step_by(20) {
        let db = Database::options().memory_budget(4 << 20).background(false).in_memory().unwrap();
        let table = any_table(&db, "t", TableKind::Sorted).with_merge(MergeOperator::append()).unwrap();
        let (beside, filler) =
            (any_table(&db, "beside", TableKind::Sorted), any_table(&db, "filler", TableKind::Sorted));
        (0..300u32).for_each(|key| table.put(&n(key), &[1; 1000]).unwrap());
        if (0..fill).any(|key| filler.put(&n(key), &[1; 1000]).is_err()) {
            break;
        }
        let mut batch = WriteBatch::new();
        (0..300u32).for_each(|key| batch.merge(&table, &n(key), &[2; 100])); // of which each gets pages of its own
        (0..60u32).for_each(|key| batch.put(&beside, &n(key), &[3; 1000]));
        if let Err(error) = db.write(&mut batch, Durability::Eventual) {
            assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{fill}: {error}");
            assert!((0..300u32).all(|key| table.get(&n(key)).unwrap() == Some(vec![1; 1000])));
            assert_eq!(beside.len_estimate().unwrap(), 0);
            let deleted = filler.delete(&n(0)).map_err(|error| error.kind());
            assert_ne!(deleted, Err(ErrorKind::Poisoned));
            refused += 1;
        }
    }
    assert!(refused > 3, "{refused}");
}
