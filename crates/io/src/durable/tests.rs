//! The faster method is found, kept, and found again when the disk changes.

use super::*;
use DurableMethod::{WriteThenSync, WriteThrough};

const FAST: Duration = Duration::from_micros(40);
const SLOW: Duration = Duration::from_micros(100);

/// Makes `count` writes and counts those by `RWF_DSYNC`.
fn run(trial: &mut Trial, count: u64, through: Duration, synced: Duration) -> u64 {
    let mut by_through = 0;
    for _ in 0..count {
        let method = trial.next();
        let time = if method == WriteThrough { through } else { synced };
        trial.took(method, time);
        by_through += u64::from(method == WriteThrough);
    }
    by_through
}

#[test]
fn both_are_tried_first() {
    let mut trial = Trial::default();
    assert_eq!(run(&mut trial, 16, FAST, SLOW), 8);
}

#[test]
fn faster_one_is_kept() {
    let mut trial = Trial::default();
    assert_eq!(run(&mut trial, PERIOD_WRITES, FAST, SLOW), PERIOD_WRITES - 8);
    let mut trial = Trial::default();
    assert_eq!(run(&mut trial, PERIOD_WRITES, SLOW, FAST), 8);
}

#[test]
fn change_of_the_disk_is_noticed_in_the_next_period() {
    let mut trial = Trial::default();
    run(&mut trial, PERIOD_WRITES, FAST, SLOW);
    assert_eq!(run(&mut trial, PERIOD_WRITES, SLOW, FAST), 8);
    assert_eq!(run(&mut trial, PERIOD_WRITES, FAST, SLOW), PERIOD_WRITES - 8);
}

#[test]
fn one_stall_does_not_decide() {
    let mut trial = Trial::default();
    let first = trial.next();
    assert_eq!(first, WriteThrough);
    trial.took(first, Duration::from_secs(1));
    run(&mut trial, 15, FAST, SLOW);
    assert_eq!(trial.next(), WriteThrough);
}

#[test]
fn unsupported_write_through_is_not_tried_again() {
    let choice = DurableChoice::new();
    assert_eq!(choice.next(), WriteThrough);
    choice.no_write_through();
    for _ in 0..2 * PERIOD_WRITES {
        assert_eq!(choice.next(), WriteThenSync);
    }
}

#[test]
fn trial_without_success_chooses_the_plain_way() {
    let mut trial = Trial::default();
    for _ in 0..16 {
        let _ = trial.next();
    }
    assert_eq!(trial.next(), WriteThenSync);
}
