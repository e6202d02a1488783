//! Tests of a transaction's own writes.

use super::*;
use proptest::prelude::*;
use std::ops::Bound;

fn concatenate(value: Option<Vec<u8>>, operand: &[u8]) -> Option<Vec<u8>> {
    Some([value.unwrap_or_default(), operand.to_vec()].concat())
}

fn range(from: u8, to: u8) -> KeyRange {
    KeyRange::new(Bound::Included(&[from]), Bound::Excluded(&[to]))
}

/// What a read finds where the store has `stored`.
fn read(writes: &WriteSet, key: &[u8], stored: Option<&[u8]>) -> Option<Vec<u8>> {
    match writes.get(1, key) {
        Some(write) => write.resolve(stored, concatenate),
        None if writes.is_deleted(1, key) => None,
        None => stored.map(<[u8]>::to_vec),
    }
}

#[test]
fn the_last_put_or_delete_counts_and_steps_follow_it() {
    let mut writes = WriteSet::new(1 << 20);
    writes.merge(1, b"k", b"!").unwrap();
    assert_eq!(read(&writes, b"k", Some(b"store")).unwrap(), b"store!");
    writes.patch(1, b"k", 1, b"TT").unwrap();
    assert_eq!(read(&writes, b"k", Some(b"store")).unwrap(), b"sTTre!");
    writes.put(1, b"k", b"put").unwrap();
    writes.patch(1, b"k", 2, b"tty").unwrap(); // beyond its end
    writes.merge(1, b"k", b"?").unwrap();
    assert_eq!(read(&writes, b"k", Some(b"store")).unwrap(), b"putty?");
    writes.delete(1, b"k").unwrap();
    assert_eq!(read(&writes, b"k", Some(b"store")), None);
    writes.merge(1, b"k", b"anew").unwrap();
    assert_eq!(read(&writes, b"k", Some(b"store")).unwrap(), b"anew");
}

#[test]
fn a_write_after_a_range_delete_is_made_on_nothing() {
    let mut writes = WriteSet::new(1 << 20);
    writes.put(1, &[5], b"covered").unwrap();
    writes.delete_range(1, range(3, 8)).unwrap();
    writes.merge(1, &[6], b"new").unwrap();
    assert_eq!(read(&writes, &[5], Some(b"store")), None);
    assert_eq!(read(&writes, &[6], Some(b"store")).unwrap(), b"new");
    assert_eq!(read(&writes, &[8], Some(b"store")).unwrap(), b"store");
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let mut writes = WriteSet::new(1000);
    writes.put(1, b"k", b"one").unwrap();
    let before = writes.bytes();
    let refused = writes.put(1, b"j", &[0; 1000]);
    assert!(matches!(refused, Err(Error::TransactionTooLarge { bytes_max: 1000, .. })), "{refused:?}");
    assert_eq!((writes.bytes(), writes.get(1, b"j")), (before, None));
    let savepoint = writes.savepoint();
    let filled = (0..100_u8).take_while(|&key| writes.put(1, &[key], b"").is_ok()).count();
    assert!(filled < 10 && writes.bytes() <= 1000, "WS4: {filled} {}", writes.bytes());
    writes.rollback_to(savepoint);
    assert_eq!(writes.bytes(), before);
}

#[test]
fn it_is_walked_in_both_directions() {
    let mut writes = WriteSet::new(1 << 20);
    for key in [b"a", b"b", b"c"] {
        writes.put(1, key, b"").unwrap();
    }
    writes.put(2, b"b", b"").unwrap();
    let walk = |direction| {
        let (mut range, mut keys) = (KeyRange::all(), Vec::new());
        while let Some((key, _)) = writes.next(1, &range, direction) {
            keys.extend_from_slice(key);
            range = range.ahead_of(key, direction);
        }
        keys
    };
    assert_eq!((walk(Direction::Forward), walk(Direction::Backward)), (b"abc".to_vec(), b"cba".to_vec()));
    assert_eq!(writes.keys().keys.len(), 4);
}

#[derive(Debug, Clone)]
enum Action {
    Put(u8, u8),
    Delete(u8),
    Merge(u8, u8),
    Patch(u8, usize, u8),
    DeleteRange(u8, u8),
    Savepoint,
    Rollback(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0_u8..12;
    prop_oneof![
        (key.clone(), any::<u8>()).prop_map(|(key, value)| Action::Put(key, value)),
        key.clone().prop_map(Action::Delete),
        (key.clone(), any::<u8>()).prop_map(|(key, operand)| Action::Merge(key, operand)),
        (key.clone(), 0_usize..4, any::<u8>()).prop_map(|(key, at, byte)| Action::Patch(key, at, byte)),
        (key.clone(), key).prop_map(|(from, to)| Action::DeleteRange(from, to)),
        Just(Action::Savepoint),
        (0_usize..4).prop_map(Action::Rollback),
    ]
}

type Model = BTreeMap<u8, Vec<u8>>;

fn patched(mut value: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    value.resize(value.len().max(at + 1), 0);
    value[at] = byte;
    value
}

proptest! {
    /// Against a map that is changed at once, and copied for each savepoint.
    #[test]
    fn it_is_as_if_written_at_once(actions in proptest::collection::vec(action(), 0..40)) {
        let store: Model = (0..12).step_by(2).map(|key| (key, vec![key, key])).collect();
        let mut model = store.clone();
        let mut writes = WriteSet::new(1 << 20);
        let mut savepoints: Vec<(Savepoint, Model, usize)> = Vec::new();
        for action in actions {
            match action {
                Action::Put(key, value) => {
                    writes.put(1, &[key], &[value]).unwrap();
                    model.insert(key, vec![value]);
                }
                Action::Delete(key) => {
                    writes.delete(1, &[key]).unwrap();
                    model.remove(&key);
                }
                Action::Merge(key, operand) => {
                    writes.merge(1, &[key], &[operand]).unwrap();
                    model.entry(key).or_default().push(operand);
                }
                Action::Patch(key, at, byte) => {
                    writes.patch(1, &[key], at, &[byte]).unwrap();
                    let value = model.remove(&key).unwrap_or_default();
                    model.insert(key, patched(value, at, byte));
                }
                Action::DeleteRange(from, to) => {
                    writes.delete_range(1, range(from, to)).unwrap();
                    model.retain(|key, _| !(from..to).contains(key));
                }
                Action::Savepoint => savepoints.push((writes.savepoint(), model.clone(), writes.bytes())),
                Action::Rollback(back) if back < savepoints.len() => {
                    savepoints.truncate(savepoints.len() - back);
                    let (savepoint, then, bytes) = savepoints.last().unwrap();
                    writes.rollback_to(*savepoint);
                    model = then.clone();
                    prop_assert_eq!(writes.bytes(), *bytes);
                }
                Action::Rollback(_) => {}
            }
            for key in 0..12 {
                let stored = store.get(&key).map(Vec::as_slice);
                prop_assert_eq!(read(&writes, &[key], stored), model.get(&key).cloned(), "key {}", key);
            }
        }
    }
}

#[test]
fn many_operands_for_one_key_cost_what_they_take_with_a_savepoint_too() {
    let mut writes = WriteSet::new(1 << 20);
    writes.merge(1, b"k", b"first").unwrap();
    let bytes = writes.bytes();
    let savepoint = writes.savepoint();
    for number in 0..1000_u32 {
        let needed = writes.bytes_with_merge(b"k", &number.to_be_bytes());
        writes.merge(1, b"k", &number.to_be_bytes()).unwrap();
        assert!(writes.bytes() <= needed);
    }
    assert_eq!(read(&writes, b"k", None).unwrap().len(), 5 + 4000);
    assert!(writes.bytes() < 300_000, "{}", writes.bytes());
    writes.rollback_to(savepoint);
    assert_eq!((writes.bytes(), read(&writes, b"k", None).unwrap()), (bytes, b"first".to_vec()));
}

#[test]
fn an_operator_that_refuses_is_heard() {
    let mut writes = WriteSet::new(1 << 20);
    writes.merge(1, b"k", b"good").unwrap();
    writes.merge(1, b"k", b"bad").unwrap();
    let merge =
        |_, operand: &[u8]| if operand == b"bad" { Err("refused") } else { Ok(Some(operand.to_vec())) };
    assert_eq!(writes.get(1, b"k").unwrap().try_resolve(None, merge), Err("refused"));
}
