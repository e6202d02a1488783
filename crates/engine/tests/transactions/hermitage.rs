//! The ten cases of Hermitage (Kleppmann), each at both levels and in tables of both kinds: which of them the second committer is refused.
//!
//! Snapshot isolation prevents all but G2-item and G2; serializable prevents these too. As transactions never wait, one
//! thread can interleave them.

use crate::{KINDS, LEVELS, begin, small};
use aquifer::{AnyTable, Database, Durability, Error, Isolation, TableKind, TableOptions, Transaction};
use aquifer_sim::SimDisk;

/// Keys 1 and 2 with 10 and 20.
struct Store {
    db: Database,
    table: AnyTable,
}

impl Store {
    fn begin(&self, level: Isolation) -> Transaction {
        begin(&self.db, level)
    }

    fn get(&self, transaction: &Transaction, key: &str) -> String {
        let value = transaction.get(&self.table, key.as_bytes()).unwrap();
        value.map_or("none".into(), |value| String::from_utf8(value).unwrap())
    }

    fn put(&self, transaction: &mut Transaction, key: &str, value: &str) {
        transaction.put(&self.table, key.as_bytes(), value.as_bytes()).unwrap();
    }

    /// Keys whose value, a number, fulfils the predicate.
    fn select(&self, transaction: &Transaction, predicate: impl Fn(u32) -> bool) -> Vec<String> {
        let mut records = transaction.records(&self.table);
        let mut keys = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        while let Some((key, value)) = records.next().unwrap() {
            if predicate(text(value).parse().unwrap()) {
                keys.push(text(key));
            }
        }
        keys.sort_unstable(); // hashed ones come in no order
        keys
    }
}

/// Two transactions at each level over a table of each kind, with and without a log.
fn check(f: impl Fn(Isolation, &Store, Transaction, Transaction)) {
    for (level, kind) in LEVELS.into_iter().flat_map(|level| KINDS.map(|kind| (level, kind))) {
        for logged in [true, false] {
            let db = small().disk(SimDisk::new().disk()).create("").unwrap();
            let table = match kind {
                TableKind::Hashed => db.create_table("t", TableOptions::hashed().logged(logged)).map(drop),
                _ => db.create_table("t", TableOptions::default().logged(logged)).map(drop),
            };
            table.unwrap();
            let table = db.any_table("t").unwrap();
            // Nobody waits for a checkpoint here.
            table.put_with(b"1", b"10", Durability::Eventual).unwrap().wait().unwrap();
            table.put_with(b"2", b"20", Durability::Eventual).unwrap().wait().unwrap();
            let store = Store { db, table };
            let (first, second) = (store.begin(level), store.begin(level));
            f(level, &store, first, second);
        }
    }
}

fn assert_refused(transaction: Transaction, key: &str) {
    match transaction.commit().unwrap_err() {
        Error::Conflict { table, key: found } => {
            assert_eq!((table.as_str(), found.as_slice()), ("t", key.as_bytes()));
        }
        other => panic!("{other}"),
    }
}

fn assert_values(store: &Store, one: &str, two: &str) {
    let reader = store.begin(Isolation::Snapshot);
    assert_eq!((store.get(&reader, "1"), store.get(&reader, "2")), (one.into(), two.into()));
}

#[test]
fn g0_write_cycles() {
    check(|_, store, mut first, mut second| {
        store.put(&mut first, "1", "11");
        store.put(&mut second, "1", "12");
        store.put(&mut first, "2", "21");
        first.commit().unwrap();
        store.put(&mut second, "2", "22");
        assert_refused(second, "1");
        assert_values(store, "11", "21");
    });
}

#[test]
fn g1a_aborted_reads() {
    check(|_, store, mut first, second| {
        store.put(&mut first, "1", "101");
        assert_eq!(store.get(&second, "1"), "10");
        drop(first);
        assert_eq!(store.get(&second, "1"), "10");
        second.commit().unwrap();
        assert_values(store, "10", "20");
    });
}

#[test]
fn g1b_intermediate_reads() {
    check(|_, store, mut first, second| {
        store.put(&mut first, "1", "101");
        assert_eq!(store.get(&second, "1"), "10");
        store.put(&mut first, "1", "11");
        first.commit().unwrap();
        assert_eq!(store.get(&second, "1"), "10");
        second.commit().unwrap();
    });
}

#[test]
fn g1c_circular_information_flow() {
    check(|level, store, mut first, mut second| {
        store.put(&mut first, "1", "11");
        store.put(&mut second, "2", "22");
        assert_eq!((store.get(&first, "2"), store.get(&second, "1")), ("20".into(), "10".into()));
        first.commit().unwrap();
        match level {
            Isolation::Snapshot => {
                second.commit().unwrap();
                assert_values(store, "11", "22");
            }
            Isolation::Serializable => assert_refused(second, "1"),
        }
    });
}

#[test]
fn otv_observed_transaction_vanishes() {
    check(|level, store, mut first, mut second| {
        store.put(&mut first, "1", "11");
        store.put(&mut first, "2", "19");
        store.put(&mut second, "1", "12");
        first.commit().unwrap();
        let third = store.begin(level);
        assert_eq!(store.get(&third, "1"), "11");
        store.put(&mut second, "2", "18");
        assert_eq!(store.get(&third, "2"), "19");
        assert_refused(second, "1");
        assert_eq!((store.get(&third, "1"), store.get(&third, "2")), ("11".into(), "19".into()));
    });
}

#[test]
fn pmp_predicate_many_preceders() {
    check(|level, store, mut first, mut second| {
        assert_eq!(store.select(&first, |value| value == 30), [""; 0]);
        store.put(&mut second, "3", "30");
        second.commit().unwrap();
        assert_eq!(store.select(&first, |value| value % 3 == 0), [""; 0]);
        store.put(&mut first, "9", "1");
        match level {
            Isolation::Snapshot => first.commit().unwrap(),
            Isolation::Serializable => assert_refused(first, "3"),
        }
        let after = store.begin(level);
        assert_eq!(store.select(&after, |value| value == 30), ["3"]);
    });
}

#[test]
fn pmp_for_write_predicates() {
    check(|_, store, mut first, mut second| {
        for key in store.select(&first, |_| true) {
            let value: u32 = store.get(&first, &key).parse().unwrap();
            store.put(&mut first, &key, &(value + 10).to_string());
        }
        for key in store.select(&second, |value| value == 20) {
            second.delete(&store.table, key.as_bytes()).unwrap();
        }
        first.commit().unwrap();
        assert_refused(second, "2");
        assert_values(store, "20", "30");
    });
}

#[test]
fn p4_lost_update() {
    check(|_, store, mut first, mut second| {
        assert_eq!((store.get(&first, "1"), store.get(&second, "1")), ("10".into(), "10".into()));
        store.put(&mut first, "1", "11");
        store.put(&mut second, "1", "12");
        first.commit().unwrap();
        assert_refused(second, "1");
        assert_values(store, "11", "20");
    });
}

#[test]
fn g_single_read_skew() {
    check(|_, store, first, mut second| {
        assert_eq!(store.get(&first, "1"), "10");
        assert_eq!((store.get(&second, "1"), store.get(&second, "2")), ("10".into(), "20".into()));
        store.put(&mut second, "1", "12");
        store.put(&mut second, "2", "18");
        second.commit().unwrap();
        assert_eq!(store.get(&first, "2"), "20");
        first.commit().unwrap();
    });
}

#[test]
fn g_single_by_predicate_and_by_write() {
    check(|_, store, mut first, mut second| {
        assert_eq!(store.select(&first, |value| value % 5 == 0), ["1", "2"]);
        store.put(&mut second, "1", "12");
        store.put(&mut second, "2", "18");
        second.commit().unwrap();
        assert_eq!(store.select(&first, |value| value % 3 == 0), [""; 0], "neither 12 nor 18");
        first.delete(&store.table, b"2").unwrap();
        assert_refused(first, "2");
    });
}

#[test]
fn g2_item_write_skew() {
    check(|level, store, mut first, mut second| {
        for transaction in [&first, &second] {
            assert_eq!(
                (store.get(transaction, "1"), store.get(transaction, "2")),
                ("10".into(), "20".into())
            );
        }
        store.put(&mut first, "1", "11");
        store.put(&mut second, "2", "21");
        first.commit().unwrap();
        match level {
            Isolation::Snapshot => {
                second.commit().unwrap();
                assert_values(store, "11", "21");
            }
            Isolation::Serializable => assert_refused(second, "1"),
        }
    });
}

#[test]
fn g2_anti_dependency_cycles() {
    check(|level, store, mut first, mut second| {
        for transaction in [&first, &second] {
            assert_eq!(store.select(transaction, |value| value % 3 == 0), [""; 0]);
        }
        store.put(&mut first, "3", "30");
        store.put(&mut second, "4", "42");
        first.commit().unwrap();
        let after = match level {
            Isolation::Snapshot => {
                second.commit().unwrap();
                store.begin(level)
            }
            Isolation::Serializable => {
                assert_refused(second, "3");
                store.begin(level)
            }
        };
        let expected: &[&str] = if level == Isolation::Snapshot { &["3", "4"] } else { &["3"] };
        assert_eq!(store.select(&after, |value| value % 3 == 0), expected);
    });
}

#[test]
fn a_reader_conflicts_at_no_level() {
    check(|_, store, first, second| {
        assert_eq!(store.get(&first, "1"), "10");
        store.table.put(b"1", b"11").unwrap();
        first.commit().unwrap();
        drop(second);
    });
}
