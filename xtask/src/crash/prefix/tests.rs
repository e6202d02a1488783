//! The judge finds what is wrong: without these, a kill loop that passes says nothing.

use super::{Ack, Held, Script, State, Writer, check_order};
use crate::crash::script::{Level, Place};

fn script() -> Script {
    Script::new(3, 0)
}

/// The state after `count` commits.
fn after(count: u64) -> State {
    let mut state = State::new();
    for number in 1..=count {
        for change in script().commit(number).changes {
            if change.put {
                state.insert(change.place, number);
            } else {
                state.remove(&change.place);
            }
        }
    }
    state
}

fn ack(number: u64, level: Level) -> Ack {
    Ack { writer: 0, level, number, lsn: number * 100 }
}

#[track_caller]
fn check(found: &State, acks: &[Ack], closed: bool, expected: Result<u64, &str>) {
    let seen =
        Writer::new(script()).advance(found, acks, closed).map(|held| held.least).map_err(|e| e.to_string());
    match (seen, expected) {
        (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
        (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
        (seen, expected) => panic!("{seen:?} instead of {expected:?}"),
    }
}

/// The last commit among the first `count` that changes something, so that prefixes can be told apart.
fn visible(count: u64) -> u64 {
    (1..=count).rev().find(|&n| after(n) != after(n - 1)).expect("some")
}

#[test]
fn a_prefix_with_all_durable_commits_passes() {
    let n = visible(40);
    check(&after(n), &[ack(n - 5, Level::Power), ack(n + 2, Level::Eventual)], false, Ok(n));
    check(&after(0), &[ack(30, Level::Eventual)], false, Ok(0));
}

#[test]
fn a_lost_durable_commit_is_found() {
    let n = visible(40);
    let earlier = visible(n - 1);
    check(&after(earlier), &[ack(n, Level::Power)], false, Err("was acknowledged as durable"));
    check(&after(earlier), &[ack(n, Level::Process)], false, Err("was acknowledged as durable"));
    check(&after(earlier), &[ack(n, Level::Eventual)], true, Err("was acknowledged as durable"));
}

#[test]
fn a_hole_is_no_prefix() {
    let mut found = after(60);
    let (&single, _) = found.iter().find(|(p, _)| p.table == 0 && p.index < 2_000).expect("a single key");
    found.remove(&single);
    check(&found, &[ack(60, Level::Eventual)], false, Err("no prefix"));
}

#[test]
fn a_half_batch_is_named_as_such() {
    let mut found = after(60);
    let (&half, _) = found.iter().find(|(p, _)| p.table == 1).expect("a pair");
    found.remove(&half);
    check(&found, &[ack(60, Level::Eventual)], false, Err("P2"));
}

#[test]
fn a_record_from_nowhere_is_found() {
    let mut found = after(60);
    found.insert(Place { table: 0, index: 1 }, 1_000_000);
    check(&found, &[ack(60, Level::Eventual)], false, Err("no prefix"));
}

#[test]
fn checking_goes_on_from_where_it_was() {
    let mut writer = Writer::new(script());
    let first = writer.advance(&after(visible(40)), &[ack(40, Level::Eventual)], false).unwrap();
    assert_eq!(first.least, visible(40));
    let n = visible(80);
    let second = writer.advance(&after(n), &[ack(n, Level::Power)], false).unwrap();
    assert!(second.least == n && second.most >= n, "{second:?}");
    let lost = writer.advance(&after(visible(40)), &[], false).unwrap_err().to_string();
    assert!(lost.contains("no prefix"), "{lost}");
}

#[test]
fn the_order_of_the_log_holds_across_writers() {
    let first = vec![Ack { writer: 0, level: Level::Eventual, number: 1, lsn: 10 }];
    let second = vec![Ack { writer: 1, level: Level::Power, number: 1, lsn: 20 }];
    let held = |least, most| Held { least, most };
    check_order(&[first.clone(), second.clone()], &[held(1, 1), held(1, 1)]).unwrap();
    check_order(&[first.clone(), second.clone()], &[held(1, 1), held(0, 0)]).unwrap();
    check_order(&[first.clone(), second.clone()], &[held(0, 0), held(0, 1)]).unwrap();
    let gone = check_order(&[first, second], &[held(0, 0), held(1, 1)]).unwrap_err().to_string();
    assert!(gone.contains("writer 0"), "{gone}");
}
