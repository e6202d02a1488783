//! The ten cases of [Hermitage](https://github.com/ept/hermitage) (Kleppmann), some in two forms: interleavings of two transactions, and which of
//! them the second committer is refused.
//!
//! Snapshot isolation prevents all but G2-item and G2; serializable prevents these too. As transactions never wait, one thread can
//! interleave them.

use crate::Level;

/// A store to be judged, with whatever it has of keys `"1"` and `"2"`.
pub trait Store {
    /// Its transactions.
    type Transaction<'s>: Transaction
    where
        Self: 's;

    /// Begins a transaction at [`Level::Snapshot`] or [`Level::Serializable`].
    fn begin(&self, level: Level) -> Self::Transaction<'_>;

    /// Sets a value, in a commit of its own.
    fn write(&self, key: &str, value: &str);
}

/// A transaction of such a store. Nothing but a commit may fail. Dropped, it has done nothing.
pub trait Transaction {
    /// The value of a key.
    fn get(&mut self, key: &str) -> Option<String>;

    /// Sets the value of a key.
    fn put(&mut self, key: &str, value: &str);

    /// Removes a key.
    fn delete(&mut self, key: &str);

    /// All keys and values, by key.
    fn scan(&mut self) -> Vec<(String, String)>;

    /// Commits, or says on which key it conflicts with others.
    ///
    /// # Errors
    ///
    /// That key.
    fn commit(self) -> Result<(), String>;
}

/// Runs every case at both levels, each on a new store.
///
/// # Panics
///
/// If a case does not come out as its level promises. Which one is printed before.
pub fn check<S: Store>(new: impl Fn() -> S) {
    for (name, case) in cases::<S>() {
        for level in [Level::Snapshot, Level::Serializable] {
            println!("{name}, {level:?}");
            let store = new();
            store.write("1", "10");
            store.write("2", "20");
            case(&store, level);
        }
    }
}

type Case<S> = fn(&S, Level);

fn cases<S: Store>() -> [(&'static str, Case<S>); 13] {
    [
        ("G0, write cycles", g0_write_cycles),
        ("G1a, aborted reads", g1a_aborted_reads),
        ("G1b, intermediate reads", g1b_intermediate_reads),
        ("G1c, circular information flow", g1c_circular_information_flow),
        ("OTV, observed transaction vanishes", otv_observed_transaction_vanishes),
        ("PMP, predicate many preceders", pmp_predicate_many_preceders),
        ("PMP for write predicates", pmp_for_write_predicates),
        ("P4, lost update", p4_lost_update),
        ("G-single, read skew", g_single_read_skew),
        ("G-single by predicate and by write", g_single_by_predicate_and_by_write),
        ("G2-item, write skew", g2_item_write_skew),
        ("G2, anti-dependency cycles", g2_anti_dependency_cycles),
        ("a reader conflicts at no level", a_reader_conflicts_at_no_level),
    ]
}

fn get(transaction: &mut impl Transaction, key: &str) -> String {
    transaction.get(key).unwrap_or_else(|| "none".into())
}

/// Keys whose value, a number, fulfils the predicate.
fn select(transaction: &mut impl Transaction, predicate: impl Fn(u32) -> bool) -> Vec<String> {
    let all = transaction.scan();
    let chosen = all.into_iter().filter(|(_, value)| predicate(value.parse().expect("a number")));
    chosen.map(|(key, _)| key).collect()
}

fn assert_refused(transaction: impl Transaction, key: &str) {
    assert_eq!(transaction.commit(), Err(key.to_owned()));
}

fn assert_values(store: &impl Store, one: &str, two: &str) {
    let mut reader = store.begin(Level::Snapshot);
    assert_eq!((get(&mut reader, "1"), get(&mut reader, "2")), (one.into(), two.into()));
}

fn g0_write_cycles<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    first.put("1", "11");
    second.put("1", "12");
    first.put("2", "21");
    first.commit().unwrap();
    second.put("2", "22");
    assert_refused(second, "1");
    assert_values(store, "11", "21");
}

fn g1a_aborted_reads<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    first.put("1", "101");
    assert_eq!(get(&mut second, "1"), "10");
    drop(first);
    assert_eq!(get(&mut second, "1"), "10");
    second.commit().unwrap();
    assert_values(store, "10", "20");
}

fn g1b_intermediate_reads<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    first.put("1", "101");
    assert_eq!(get(&mut second, "1"), "10");
    first.put("1", "11");
    first.commit().unwrap();
    assert_eq!(get(&mut second, "1"), "10");
    second.commit().unwrap();
}

fn g1c_circular_information_flow<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    first.put("1", "11");
    second.put("2", "22");
    assert_eq!((get(&mut first, "2"), get(&mut second, "1")), ("20".into(), "10".into()));
    first.commit().unwrap();
    match level {
        Level::Snapshot => {
            second.commit().unwrap();
            assert_values(store, "11", "22");
        }
        _ => assert_refused(second, "1"),
    }
}

fn otv_observed_transaction_vanishes<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    first.put("1", "11");
    first.put("2", "19");
    second.put("1", "12");
    first.commit().unwrap();
    let mut third = store.begin(level);
    assert_eq!(get(&mut third, "1"), "11");
    second.put("2", "18");
    assert_eq!(get(&mut third, "2"), "19");
    assert_refused(second, "1");
    assert_eq!((get(&mut third, "1"), get(&mut third, "2")), ("11".into(), "19".into()));
}

fn pmp_predicate_many_preceders<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    assert_eq!(select(&mut first, |value| value == 30), [""; 0]);
    second.put("3", "30");
    second.commit().unwrap();
    assert_eq!(select(&mut first, |value| value % 3 == 0), [""; 0]);
    first.put("9", "1");
    match level {
        Level::Snapshot => first.commit().unwrap(),
        _ => assert_refused(first, "3"),
    }
    let mut after = store.begin(level);
    assert_eq!(select(&mut after, |value| value == 30), ["3"]);
}

fn pmp_for_write_predicates<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    for key in select(&mut first, |_| true) {
        let value: u32 = get(&mut first, &key).parse().unwrap();
        first.put(&key, &(value + 10).to_string());
    }
    for key in select(&mut second, |value| value == 20) {
        second.delete(&key);
    }
    first.commit().unwrap();
    assert_refused(second, "2");
    assert_values(store, "20", "30");
}

fn p4_lost_update<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    assert_eq!((get(&mut first, "1"), get(&mut second, "1")), ("10".into(), "10".into()));
    first.put("1", "11");
    second.put("1", "12");
    first.commit().unwrap();
    assert_refused(second, "1");
    assert_values(store, "11", "20");
}

fn g_single_read_skew<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    assert_eq!(get(&mut first, "1"), "10");
    assert_eq!((get(&mut second, "1"), get(&mut second, "2")), ("10".into(), "20".into()));
    second.put("1", "12");
    second.put("2", "18");
    second.commit().unwrap();
    assert_eq!(get(&mut first, "2"), "20");
    first.commit().unwrap();
}

fn g_single_by_predicate_and_by_write<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    assert_eq!(select(&mut first, |value| value % 5 == 0), ["1", "2"]);
    second.put("1", "12");
    second.put("2", "18");
    second.commit().unwrap();
    assert_eq!(select(&mut first, |value| value % 3 == 0), [""; 0], "neither 12 nor 18");
    first.delete("2");
    assert_refused(first, "2");
}

fn g2_item_write_skew<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    for transaction in [&mut first, &mut second] {
        assert_eq!((get(transaction, "1"), get(transaction, "2")), ("10".into(), "20".into()));
    }
    first.put("1", "11");
    second.put("2", "21");
    first.commit().unwrap();
    match level {
        Level::Snapshot => {
            second.commit().unwrap();
            assert_values(store, "11", "21");
        }
        _ => assert_refused(second, "1"),
    }
}

fn g2_anti_dependency_cycles<S: Store>(store: &S, level: Level) {
    let (mut first, mut second) = (store.begin(level), store.begin(level));
    for transaction in [&mut first, &mut second] {
        assert_eq!(select(transaction, |value| value % 3 == 0), [""; 0]);
    }
    first.put("3", "30");
    second.put("4", "42");
    first.commit().unwrap();
    let mut after = match level {
        Level::Snapshot => {
            second.commit().unwrap();
            store.begin(level)
        }
        _ => {
            assert_refused(second, "3");
            store.begin(level)
        }
    };
    let expected: &[&str] = if level == Level::Snapshot { &["3", "4"] } else { &["3"] };
    assert_eq!(select(&mut after, |value| value % 3 == 0), expected);
}

fn a_reader_conflicts_at_no_level<S: Store>(store: &S, level: Level) {
    let (mut first, second) = (store.begin(level), store.begin(level));
    assert_eq!(get(&mut first, "1"), "10");
    store.write("1", "11");
    first.commit().unwrap();
    drop(second);
}
