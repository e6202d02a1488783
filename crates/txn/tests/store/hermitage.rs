//! The ten cases of Hermitage (Kleppmann), each at both levels: which of them the second committer is refused.
//!
//! Snapshot isolation prevents all but G2-item and G2; serializable prevents these too. As transactions never wait, one
//! thread can interleave them.

use super::store::{Level, Store, Transaction};
use aquifer_txn::{Direction, Error, KeyRange};

const LEVELS: [Level; 2] = [Level::Snapshot, Level::Serializable];

/// Keys 1 and 2 with 10 and 20, and two transactions.
fn check(f: impl for<'s> Fn(Level, &'s Store, Transaction<'s>, Transaction<'s>)) {
    for level in LEVELS {
        let store = Store::new(1 << 20);
        store.write(b"1", Some(b"10")).unwrap();
        store.write(b"2", Some(b"20")).unwrap();
        let (first, second) = (store.begin(level).unwrap(), store.begin(level).unwrap());
        f(level, &store, first, second);
    }
}

fn get(transaction: &mut Transaction<'_>, key: &str) -> String {
    let value = transaction.get(key.as_bytes()).unwrap();
    value.map_or("none".into(), |value| String::from_utf8(value).unwrap())
}

fn put(transaction: &mut Transaction<'_>, key: &str, value: &str) {
    transaction.put(key.as_bytes(), value.as_bytes()).unwrap();
}

/// Keys whose value, a number, fulfils the predicate.
fn select(transaction: &mut Transaction<'_>, predicate: impl Fn(u32) -> bool) -> Vec<String> {
    let all = transaction.scan(KeyRange::all(), Direction::Forward).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    all.iter()
        .filter(|(_, value)| predicate(text(value).parse().unwrap()))
        .map(|(key, _)| text(key))
        .collect()
}

fn assert_refused(transaction: Transaction<'_>, key: &str) {
    let refused = transaction.commit().unwrap_err();
    assert_eq!(refused, Error::Conflict { table: 1, key: key.as_bytes().to_vec() });
}

fn assert_values(store: &Store, one: &str, two: &str) {
    let mut reader = store.begin(Level::Snapshot).unwrap();
    assert_eq!((get(&mut reader, "1"), get(&mut reader, "2")), (one.into(), two.into()));
}

#[test]
fn g0_write_cycles() {
    check(|_, store, mut first, mut second| {
        put(&mut first, "1", "11");
        put(&mut second, "1", "12");
        put(&mut first, "2", "21");
        first.commit().unwrap();
        put(&mut second, "2", "22");
        assert_refused(second, "1");
        assert_values(store, "11", "21");
    });
}

#[test]
fn g1a_aborted_reads() {
    check(|_, store, mut first, mut second| {
        put(&mut first, "1", "101");
        assert_eq!(get(&mut second, "1"), "10");
        drop(first);
        assert_eq!(get(&mut second, "1"), "10");
        second.commit().unwrap();
        assert_values(store, "10", "20");
    });
}

#[test]
fn g1b_intermediate_reads() {
    check(|_, _, mut first, mut second| {
        put(&mut first, "1", "101");
        assert_eq!(get(&mut second, "1"), "10");
        put(&mut first, "1", "11");
        first.commit().unwrap();
        assert_eq!(get(&mut second, "1"), "10");
        second.commit().unwrap();
    });
}

#[test]
fn g1c_circular_information_flow() {
    check(|level, store, mut first, mut second| {
        put(&mut first, "1", "11");
        put(&mut second, "2", "22");
        assert_eq!((get(&mut first, "2"), get(&mut second, "1")), ("20".into(), "10".into()));
        first.commit().unwrap();
        match level {
            Level::Snapshot => {
                second.commit().unwrap();
                assert_values(store, "11", "22");
            }
            Level::Serializable => assert_refused(second, "1"),
        }
    });
}

#[test]
fn otv_observed_transaction_vanishes() {
    check(|level, store, mut first, mut second| {
        put(&mut first, "1", "11");
        put(&mut first, "2", "19");
        put(&mut second, "1", "12");
        first.commit().unwrap();
        let mut third = store.begin(level).unwrap();
        assert_eq!(get(&mut third, "1"), "11");
        put(&mut second, "2", "18");
        assert_eq!(get(&mut third, "2"), "19");
        assert_refused(second, "1");
        assert_eq!((get(&mut third, "1"), get(&mut third, "2")), ("11".into(), "19".into()));
    });
}

#[test]
fn pmp_predicate_many_preceders() {
    check(|level, store, mut first, mut second| {
        assert_eq!(select(&mut first, |value| value == 30), [""; 0]);
        put(&mut second, "3", "30");
        second.commit().unwrap();
        assert_eq!(select(&mut first, |value| value % 3 == 0), [""; 0]);
        put(&mut first, "9", "1");
        match level {
            Level::Snapshot => drop(first.commit().unwrap()),
            Level::Serializable => assert_refused(first, "3"),
        }
        let mut after = store.begin(level).unwrap();
        assert_eq!(select(&mut after, |value| value == 30), ["3"]);
    });
}

#[test]
fn pmp_for_write_predicates() {
    check(|_, store, mut first, mut second| {
        for key in select(&mut first, |_| true) {
            let value: u32 = get(&mut first, &key).parse().unwrap();
            put(&mut first, &key, &(value + 10).to_string());
        }
        for key in select(&mut second, |value| value == 20) {
            second.delete(key.as_bytes()).unwrap();
        }
        first.commit().unwrap();
        assert_refused(second, "2");
        assert_values(store, "20", "30");
    });
}

#[test]
fn p4_lost_update() {
    check(|_, store, mut first, mut second| {
        assert_eq!((get(&mut first, "1"), get(&mut second, "1")), ("10".into(), "10".into()));
        put(&mut first, "1", "11");
        put(&mut second, "1", "12");
        first.commit().unwrap();
        assert_refused(second, "1");
        assert_values(store, "11", "20");
    });
}

#[test]
fn g_single_read_skew() {
    check(|_, _, mut first, mut second| {
        assert_eq!(get(&mut first, "1"), "10");
        assert_eq!((get(&mut second, "1"), get(&mut second, "2")), ("10".into(), "20".into()));
        put(&mut second, "1", "12");
        put(&mut second, "2", "18");
        second.commit().unwrap();
        assert_eq!(get(&mut first, "2"), "20");
        first.commit().unwrap();
    });
}

#[test]
fn g_single_by_predicate_and_by_write() {
    check(|_, _, mut first, mut second| {
        assert_eq!(select(&mut first, |value| value % 5 == 0), ["1", "2"]);
        put(&mut second, "1", "12");
        put(&mut second, "2", "18");
        second.commit().unwrap();
        assert_eq!(select(&mut first, |value| value % 3 == 0), [""; 0], "neither 12 nor 18");
        first.delete(b"2").unwrap();
        assert_refused(first, "2");
    });
}

#[test]
fn g2_item_write_skew() {
    check(|level, store, mut first, mut second| {
        for transaction in [&mut first, &mut second] {
            assert_eq!((get(transaction, "1"), get(transaction, "2")), ("10".into(), "20".into()));
        }
        put(&mut first, "1", "11");
        put(&mut second, "2", "21");
        first.commit().unwrap();
        match level {
            Level::Snapshot => {
                second.commit().unwrap();
                assert_values(store, "11", "21");
            }
            Level::Serializable => assert_refused(second, "1"),
        }
    });
}

#[test]
fn g2_anti_dependency_cycles() {
    check(|level, store, mut first, mut second| {
        for transaction in [&mut first, &mut second] {
            assert_eq!(select(transaction, |value| value % 3 == 0), [""; 0]);
        }
        put(&mut first, "3", "30");
        put(&mut second, "4", "42");
        first.commit().unwrap();
        let mut after = match level {
            Level::Snapshot => {
                second.commit().unwrap();
                store.begin(level).unwrap()
            }
            Level::Serializable => {
                assert_refused(second, "3");
                store.begin(level).unwrap()
            }
        };
        let expected: &[&str] = if level == Level::Snapshot { &["3", "4"] } else { &["3"] };
        assert_eq!(select(&mut after, |value| value % 3 == 0), expected);
    });
}

#[test]
fn a_reader_conflicts_at_no_level() {
    check(|_, store, mut first, second| {
        assert_eq!(get(&mut first, "1"), "10");
        store.write(b"1", Some(b"11")).unwrap();
        first.commit().unwrap();
        drop(second);
    });
}
