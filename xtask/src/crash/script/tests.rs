//! The script is the same every time, and its batches keep pairs together.

use super::{Level, Place, Script, State, halves};

#[test]
fn commits_are_a_function_of_seed_writer_and_number() {
    let script = Script::new(7, 1);
    assert_eq!(script.commit(5), script.commit(5));
    assert!((1..50).any(|n| script.commit(n) != Script::new(7, 2).commit(n)));
    assert!((1..50).any(|n| script.commit(n) != Script::new(8, 1).commit(n)));
}

#[test]
fn every_kind_of_commit_occurs() {
    let script = Script::new(7, 1);
    let commits: Vec<_> = (1..1000).map(|n| script.commit(n)).collect();
    for level in [Level::Eventual, Level::Process, Level::Power] {
        assert!(commits.iter().any(|c| c.level == level), "{level:?}");
    }
    assert!(commits.iter().any(|c| c.changes.len() == 1 && c.changes[0].put));
    assert!(commits.iter().any(|c| c.changes.len() == 1 && !c.changes[0].put));
    assert!(commits.iter().any(|c| c.changes.len() == 400));
}

#[test]
fn keys_name_their_owner() {
    let script = Script::new(7, 300);
    assert_eq!(Script::owner(&script.key(2_499)), Some((300, 2_499)));
    assert_eq!(Script::owner(&script.key(36)[..20]), None);
    assert_eq!(Script::owner(b"x"), None);
}

#[test]
fn values_name_their_commit() {
    let script = Script::new(7, 1);
    let place = Place { table: 0, index: 9 };
    for number in 1..200 {
        let mut value = script.value(place, number);
        assert!(value.len() <= 908);
        assert_eq!(script.number(place, &value), Some(number));
        value.push(0);
        assert_eq!(script.number(place, &value), None);
    }
    let partial = |n| script.value(place, n)[8..] == script.value(place, n + 1)[8..];
    assert!((1..200).any(partial), "no update changes the number only");
}

#[test]
fn a_half_batch_is_found() {
    let script = Script::new(7, 1);
    let mut state = State::new();
    for number in 1..300 {
        for change in script.commit(number).changes {
            if change.put {
                state.insert(change.place, number);
            } else {
                state.remove(&change.place);
            }
        }
        assert_eq!(halves(&state), Vec::<u64>::new());
    }
    let (&place, _) = state.iter().find(|(place, _)| place.table == 1).expect("some pair");
    state.remove(&place);
    assert_eq!(halves(&state), [place.index]);
}
