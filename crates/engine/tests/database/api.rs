//! What each call does, on a table of byte strings.

use aquifer::{Database, Durability, Error, ErrorKind, Result, Table, TableOptions};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

fn table() -> (Database, Table) {
    let db = Database::in_memory(8 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    (db, table)
}

fn keys(range: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>) -> Vec<String> {
    range.map(|record| String::from_utf8(record.unwrap().0).unwrap()).collect()
}

#[test]
fn what_is_put_is_got_until_it_is_deleted() {
    let (_db, table) = table();
    assert_eq!(table.get(b"k").unwrap(), None);
    table.put(b"k", b"one").unwrap();
    table.put(b"k", b"two").unwrap();
    assert_eq!(table.get(b"k").unwrap(), Some(b"two".to_vec()));
    assert!(table.contains(b"k").unwrap());
    table.delete(b"k").unwrap();
    table.delete(b"k").unwrap();
    assert_eq!(table.get(b"k").unwrap(), None);
    assert!(!table.contains(b"k").unwrap());
}

#[test]
fn replace_and_take_return_what_was_there() {
    let (_db, table) = table();
    assert_eq!(table.replace(b"k", b"one").unwrap(), None);
    assert_eq!(table.replace(b"k", b"").unwrap(), Some(b"one".to_vec()));
    assert_eq!(table.take(b"k").unwrap(), Some(Vec::new()));
    assert_eq!(table.take(b"k").unwrap(), None);
}

#[test]
fn empty_keys_and_values_are_keys_and_values() {
    let (_db, table) = table();
    table.put(b"", b"").unwrap();
    assert_eq!(table.get(b"").unwrap(), Some(Vec::new()));
    assert_eq!(table.first().unwrap(), Some((Vec::new(), Vec::new())));
}

#[test]
fn get_into_and_get_with_give_the_bytes() {
    let (_db, table) = table();
    table.put(b"k", b"value").unwrap();
    let mut out = b"before".to_vec();
    assert!(table.get_into(b"k", &mut out).unwrap());
    assert_eq!(out, b"value");
    assert!(!table.get_into(b"absent", &mut out).unwrap());
    assert_eq!(table.get_with(b"k", <[u8]>::len).unwrap(), Some(5));
    assert_eq!(table.get_with(b"absent", <[u8]>::len).unwrap(), None);
}

#[test]
fn a_closure_of_get_with_may_use_the_database() {
    let (_db, table) = table();
    table.put(b"a", b"b").unwrap();
    table.put(b"b", b"c").unwrap();
    let followed = table
        .get_with(b"a", |next| {
            table.put(b"seen", next)?;
            table.get_with(next, <[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(followed.unwrap().unwrap(), Some(b"c".to_vec()));
    assert_eq!(table.get(b"seen").unwrap(), Some(b"b".to_vec()));
}

#[test]
fn ranges_have_the_bounds_of_the_standard_library() {
    let (_db, table) = table();
    for key in ["a", "b", "c", "d"] {
        table.put(key.as_bytes(), b"").unwrap();
    }
    let (b, c) = (&b"b"[..], &b"c"[..]);
    assert_eq!(keys(table.range(..)), ["a", "b", "c", "d"]);
    assert_eq!(keys(table.iter().rev()), ["d", "c", "b", "a"]);
    assert_eq!(keys(table.range(b..c)), ["b"]);
    assert_eq!(keys(table.range(b..=c)), ["b", "c"]);
    assert_eq!(keys(table.range(b..)), ["b", "c", "d"]);
    assert_eq!(keys(table.range(..c)), ["a", "b"]);
    assert_eq!(keys(table.range(..=c).rev()), ["c", "b", "a"]);
    assert_eq!(keys(table.range((Bound::Excluded(b), Bound::Unbounded))), ["c", "d"]);
    assert_eq!(keys(table.range(c..b)), [""; 0], "an end before the start is an empty range");
    assert_eq!(keys(table.range(vec![b'b']..vec![b'd'])), ["b", "c"]);
    let mut both = table.iter();
    assert_eq!(both.next().unwrap().unwrap().0, b"a");
    assert_eq!(both.next_back().unwrap().unwrap().0, b"d");
    assert_eq!(keys(both), ["b", "c"]);
}

#[test]
fn a_prefix_is_a_range() {
    let (_db, table) = table();
    for key in ["", "a", "ab", "abc", "abd", "ac"] {
        table.put(key.as_bytes(), b"").unwrap();
    }
    table.put(b"\xFF", b"").unwrap();
    table.put(b"\xFF\xFF", b"").unwrap();
    assert_eq!(keys(table.prefix("ab")), ["ab", "abc", "abd"]);
    assert_eq!(keys(table.prefix("ab").rev()), ["abd", "abc", "ab"]);
    assert_eq!(table.prefix("").count(), 8);
    assert_eq!(table.prefix(b"\xFF").count(), 2);
    assert_eq!(keys(table.prefix("x")), [""; 0]);
}

#[test]
fn first_last_and_emptiness() {
    let (_db, table) = table();
    assert!(table.is_empty().unwrap());
    assert_eq!((table.first().unwrap(), table.last().unwrap()), (None, None));
    table.put(b"a", b"1").unwrap();
    table.put(b"b", b"2").unwrap();
    assert!(!table.is_empty().unwrap());
    assert_eq!(table.first().unwrap(), Some((b"a".to_vec(), b"1".to_vec())));
    assert_eq!(table.last().unwrap(), Some((b"b".to_vec(), b"2".to_vec())));
}

#[test]
fn a_scan_lends_from_both_ends() {
    let (_db, table) = table();
    for n in 0u8..10 {
        table.put(&[n], &[n; 3]).unwrap();
    }
    let mut scan = table.scan(..);
    assert_eq!(scan.next().unwrap(), Some((&[0u8][..], &[0u8; 3][..])));
    assert_eq!(scan.next_back().unwrap(), Some((&[9u8][..], &[9u8; 3][..])));
    let mut rest = 0;
    while scan.next().unwrap().is_some() {
        rest += 1;
    }
    assert_eq!(rest, 8);
    assert_eq!(scan.next_back().unwrap(), None);
}

#[test]
fn multi_get_answers_in_the_order_of_the_keys() {
    let (_db, table) = table();
    for n in 0u32..2000 {
        table.put(&n.to_be_bytes(), &n.to_le_bytes()).unwrap();
    }
    let asked = [7u32, 5000, 0, 7, 1999];
    let values = table.multi_get(asked.iter().map(|n| n.to_be_bytes())).unwrap();
    let expected: Vec<_> = asked.iter().map(|n| (*n < 2000).then(|| n.to_le_bytes().to_vec())).collect();
    assert_eq!(values, expected);
    assert_eq!(table.multi_get(Vec::<Vec<u8>>::new()).unwrap(), Vec::<Option<Vec<u8>>>::new());
}

#[test]
fn the_estimate_of_the_length_is_near() {
    let (_db, table) = table();
    assert_eq!(table.len_estimate().unwrap(), 0);
    for n in 0u32..10_000 {
        table.put(&n.to_be_bytes(), b"value").unwrap();
    }
    let estimate = table.len_estimate().unwrap();
    assert!((5_000..20_000).contains(&estimate), "{estimate}");
}

#[test]
fn what_a_page_cannot_hold_is_refused_with_the_limit() {
    let (db, table) = table();
    assert_eq!((db.key_len_max(), db.value_len_max()), (65536, 1024));
    table.put(&[1; 512], &[2; 1024]).unwrap();
    assert_eq!(table.get(&[1; 512]).unwrap(), Some(vec![2; 1024]));
    match table.put(&[1; 65537], b"") {
        Err(Error::KeyTooLarge { len: 65537, len_max: 65536, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(table.put(&[1; 65537], b"").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(table.get(&[1; 65537]).unwrap(), None);
    assert!(!table.contains(&[0; 70_000]).unwrap());
    table.delete(&[1; 65537]).unwrap_err();
}

#[test]
fn tickets_have_rising_positions() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("db")).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let first = table.put_with(b"a", b"1", Durability::Eventual).unwrap();
    let second = table.put_with(b"a", b"2", Durability::Process).unwrap();
    let third = table.delete_with(b"a", Durability::Power).unwrap();
    assert!(first.lsn().unwrap() < second.lsn().unwrap() && second.lsn().unwrap() < third.lsn().unwrap());
    for ticket in [&first, &second, &third] {
        ticket.wait().unwrap();
    }
    assert_eq!(third.durability(), Durability::Power);
    // Deleting what is not there commits nothing, but waits for the delete that made it so.
    let nothing = table.delete_with(b"a", Durability::Power).unwrap();
    assert_eq!(nothing.lsn(), third.lsn());
    nothing.wait().unwrap();
}

#[test]
fn durabilities_have_names() {
    for durability in [Durability::Power, Durability::Process, Durability::Eventual] {
        assert_eq!(durability.to_string().parse::<Durability>().unwrap(), durability);
    }
    assert!("sometimes".parse::<Durability>().is_err());
}

#[test]
fn statistics_count() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(4 << 20).create(dir.path().join("db")).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let before = db.stats();
    for n in 0u32..100 {
        table.with_eventual().put(&n.to_be_bytes(), b"v").unwrap();
    }
    table.delete(b"absent").unwrap();
    let after = db.stats();
    assert_eq!(after.commits - before.commits, 100);
    assert_eq!(after.tables, 1);
    assert_eq!(after.memory_budget, 4 << 20);
    assert!(after.memory_used <= after.memory_budget);
    assert!(after.memory.iter().any(|account| account.name == "frames" && account.bytes > 0));
    assert!(after.log.record_bytes > before.log.record_bytes);
    assert_eq!(after.recovery, *db.recovery_report());
    assert!(after.recovery.created && after.recovery.incarnation == 1);
}

trait Eventual {
    fn with_eventual(&self) -> Table;
}

impl Eventual for Table {
    fn with_eventual(&self) -> Table {
        self.clone().with_durability(Durability::Eventual)
    }
}

#[derive(Debug, Clone)]
enum Call {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Replace(Vec<u8>, Vec<u8>),
    Take(Vec<u8>),
    Get(Vec<u8>),
    Range(Vec<u8>, Vec<u8>, usize),
}

fn call() -> impl Strategy<Value = Call> {
    let key = || proptest::collection::vec(0u8..4, 0..5);
    let value = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Call::Put(key, value)),
        2 => key().prop_map(Call::Delete),
        1 => (key(), value()).prop_map(|(key, value)| Call::Replace(key, value)),
        1 => key().prop_map(Call::Take),
        2 => key().prop_map(Call::Get),
        1 => (key(), key(), 0..20usize).prop_map(|(from, to, turn)| Call::Range(from, to, turn)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_table_behaves_as_a_btree_map(calls in proptest::collection::vec(call(), 1..300)) {
        let (db, table) = table();
        let mut model = BTreeMap::new();
        for call in calls {
            match call {
                Call::Put(key, value) => {
                    table.put(&key, &value).unwrap();
                    model.insert(key, value);
                }
                Call::Delete(key) => {
                    table.delete(&key).unwrap();
                    model.remove(&key);
                }
                Call::Replace(key, value) => {
                    prop_assert_eq!(table.replace(&key, &value).unwrap(), model.insert(key, value));
                }
                Call::Take(key) => prop_assert_eq!(table.take(&key).unwrap(), model.remove(&key)),
                Call::Get(key) => prop_assert_eq!(table.get(&key).unwrap(), model.get(&key).cloned()),
                Call::Range(from, to, turn) => {
                    let bounds = (Bound::Excluded(from.clone()), Bound::Included(to.clone()));
                    let mut found: Vec<_> = Vec::new();
                    let mut range = table.range(bounds);
                    found.extend(range.by_ref().take(turn).map(|record| record.unwrap()));
                    let back: Vec<_> = range.rev().map(|record| record.unwrap()).collect();
                    found.extend(back.into_iter().rev());
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|(key, _)| **key > from && **key <= to)
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
        let all: Vec<_> = table.iter().map(|record| record.unwrap()).collect();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        let report = db.verify(|_| {}).unwrap();
        prop_assert!(report.is_clean());
    }
}
