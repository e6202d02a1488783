//! Interleaved transactions against a model that keeps every state there ever was, and knows exactly which commits are refused.

use super::store::{Level, Store, TABLE, Transaction};
use aquifer_txn::{Direction, Error, KeyRange};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

const KEYS: u8 = 8;
const OPEN: usize = 4;

type Map = BTreeMap<u8, u8>;

#[derive(Debug, Clone)]
enum Action {
    Begin(usize, bool),
    Get(usize, u8),
    Scan(usize, u8, u8, bool),
    Put(usize, u8, u8),
    Delete(usize, u8),
    DeleteRange(usize, u8, u8),
    Commit(usize),
    Abort(usize),
    Autocommit(u8, Option<u8>),
    Tidy,
}

fn action() -> impl Strategy<Value = Action> {
    let (slot, key) = (0..OPEN, 0..KEYS);
    prop_oneof![
        3 => (slot.clone(), any::<bool>()).prop_map(|(slot, serializable)| Action::Begin(slot, serializable)),
        4 => (slot.clone(), key.clone()).prop_map(|(slot, key)| Action::Get(slot, key)),
        2 => (slot.clone(), key.clone(), key.clone(), any::<bool>())
            .prop_map(|(slot, from, to, forward)| Action::Scan(slot, from, to, forward)),
        4 => (slot.clone(), key.clone(), any::<u8>()).prop_map(|(slot, key, value)| Action::Put(slot, key, value)),
        2 => (slot.clone(), key.clone()).prop_map(|(slot, key)| Action::Delete(slot, key)),
        1 => (slot.clone(), key.clone(), key.clone()).prop_map(|(slot, from, to)| Action::DeleteRange(slot, from, to)),
        3 => slot.clone().prop_map(Action::Commit),
        1 => slot.prop_map(Action::Abort),
        3 => (key, proptest::option::of(any::<u8>())).prop_map(|(key, value)| Action::Autocommit(key, value)),
        1 => Just(Action::Tidy),
    ]
}

/// What the model knows of a transaction.
struct Open<'s> {
    transaction: Transaction<'s>,
    serializable: bool,
    /// The number of the state that it began in.
    begun: usize,
    view: Map,
    read: BTreeSet<u8>,
    written: BTreeSet<u8>,
    deleted: Vec<(u8, u8)>,
}

#[derive(Default)]
struct Model {
    now: Map,
    /// One for each state after the first.
    changes: Vec<Change>,
}

/// What a commit did.
struct Change {
    /// Keys that it put or deleted, those that were in a deleted range included.
    written: BTreeSet<u8>,
    /// These, and the keys in deleted ranges that were not there: they conflict with reads only.
    touched: BTreeSet<u8>,
}

impl Model {
    fn commit(&mut self, mut written: BTreeSet<u8>, ranges: BTreeSet<u8>, apply: impl FnOnce(&mut Map)) {
        let touched = written.union(&ranges).copied().collect();
        written.extend(ranges.iter().filter(|key| self.now.contains_key(key)));
        self.changes.push(Change { written, touched });
        apply(&mut self.now);
    }

    fn is_refused(&self, open: &Open<'_>) -> bool {
        let since = &self.changes[open.begun..];
        let written = |key: &u8| since.iter().any(|change| change.written.contains(key));
        let touched = |key: &u8| since.iter().any(|change| change.touched.contains(key));
        // A range delete conflicts on the keys that are there.
        let present =
            self.now.keys().filter(|key| open.deleted.iter().any(|(from, to)| (from..to).contains(key)));
        let writes_conflict = open.written.iter().chain(present).any(written);
        writes_conflict || open.serializable && open.read.iter().any(touched)
    }
}

fn range(from: u8, to: u8) -> KeyRange {
    KeyRange::new(Bound::Included(&[from]), Bound::Excluded(&[to]))
}

fn commit(model: &mut Model, open: Open<'_>) {
    let writes_nothing = open.written.is_empty() && open.deleted.iter().all(|(from, to)| from >= to);
    let refused = !writes_nothing && model.is_refused(&open);
    let Open { transaction, written, deleted, view, .. } = open;
    match transaction.commit() {
        Ok(_) => assert!(!refused, "should have been refused"),
        Err(Error::Conflict { .. }) => return assert!(refused, "should have been committed"),
        Err(error) => panic!("{error}"),
    }
    if writes_nothing {
        return;
    }
    let ranges: BTreeSet<u8> = deleted.iter().flat_map(|&(from, to)| from..to).collect();
    model.commit(written.clone(), ranges.clone(), |now| {
        now.retain(|key, _| !ranges.contains(key));
        for key in written {
            match view.get(&key) {
                Some(&value) => now.insert(key, value),
                None => now.remove(&key),
            };
        }
    });
}

fn act<'s>(store: &'s Store, model: &mut Model, open: &mut [Option<Open<'s>>], action: Action) {
    match action {
        Action::Begin(slot, serializable) => {
            let level = if serializable { Level::Serializable } else { Level::Snapshot };
            let transaction = store.begin(level).unwrap();
            open[slot] = Some(Open {
                transaction,
                serializable,
                begun: model.changes.len(),
                view: model.now.clone(),
                read: BTreeSet::new(),
                written: BTreeSet::new(),
                deleted: Vec::new(),
            });
        }
        Action::Get(slot, key) => {
            let Some(open) = &mut open[slot] else { return };
            open.read.insert(key);
            let found = open.transaction.get(&[key]).unwrap();
            assert_eq!(found, open.view.get(&key).map(|&value| vec![value]));
        }
        Action::Scan(slot, from, to, forward) => {
            let Some(open) = &mut open[slot] else { return };
            open.read.extend(from..to);
            let direction = if forward { Direction::Forward } else { Direction::Backward };
            let found = open.transaction.scan(range(from, to), direction).unwrap();
            let inside = open.view.iter().filter(|(key, _)| (from..to).contains(key));
            let mut expected: Vec<_> = inside.map(|(&key, &value)| (vec![key], vec![value])).collect();
            if !forward {
                expected.reverse();
            }
            assert_eq!(found, expected);
        }
        Action::Put(slot, key, value) => {
            let Some(open) = &mut open[slot] else { return };
            open.transaction.put(&[key], &[value]).unwrap();
            open.view.insert(key, value);
            open.written.insert(key);
        }
        Action::Delete(slot, key) => {
            let Some(open) = &mut open[slot] else { return };
            open.transaction.delete(&[key]).unwrap();
            open.view.remove(&key);
            open.written.insert(key);
        }
        Action::DeleteRange(slot, from, to) => {
            let Some(open) = &mut open[slot] else { return };
            open.transaction.writes.delete_range(TABLE, range(from, to)).unwrap();
            open.view.retain(|key, _| !(from..to).contains(key));
            open.written.retain(|key| !(from..to).contains(key));
            open.deleted.push((from, to));
        }
        Action::Commit(slot) => {
            if let Some(open) = open[slot].take() {
                commit(model, open);
            }
        }
        Action::Abort(slot) => open[slot] = None,
        Action::Autocommit(key, value) => {
            store.write(&[key], value.as_ref().map(std::slice::from_ref)).unwrap();
            model.commit(BTreeSet::from([key]), BTreeSet::new(), |now| {
                match value {
                    Some(value) => now.insert(key, value),
                    None => now.remove(&key),
                };
            });
        }
        Action::Tidy => store.versions.tidy(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn transactions_are_as_in_the_model(actions in proptest::collection::vec(action(), 0..80)) {
        let store = Store::new(1 << 20);
        let mut model = Model::default();
        let mut open: Vec<Option<Open<'_>>> = (0..OPEN).map(|_| None).collect();
        for action in actions {
            act(&store, &mut model, &mut open, action);
        }
        drop(open);
        store.versions.tidy();
        prop_assert_eq!(store.versions.count(), 0);
        prop_assert!(!store.conflicts.is_watched());
        for key in 0..KEYS {
            prop_assert_eq!(store.read(&[key]).unwrap(), model.now.get(&key).map(|&value| vec![value]));
        }
    }
}
