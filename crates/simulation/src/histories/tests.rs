//! Histories, some 20,000 transactions of them; and that the judge can find something.

use super::{Plan, run, run_at};
use aquifer::Isolation;
use aquifer_history::Level;

const LEVELS: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

fn plan(seed: u64, levels: &[Isolation]) -> Plan {
    Plan { seed, levels: levels.to_vec(), threads: 4, transactions: 2_500, lives: 3 }
}

fn check(seed: u64, levels: &[Isolation]) {
    let plan = plan(seed, levels);
    let tally = run(&plan).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(tally.committed > 2_000 && tally.refused > 0 && tally.rolled_back > 0, "{tally}");
}

#[test]
fn histories_at_snapshot_level_are_of_that_level() {
    check(1, &LEVELS[..1]);
}

#[test]
fn histories_at_serializable_level_are_of_that_level() {
    check(2, &LEVELS[1..]);
}

#[test]
fn histories_at_both_levels_are_of_the_weaker_one() {
    assert_eq!(plan(3, &LEVELS).level(), Level::StrongSnapshot);
    check(3, &LEVELS);
}

/// Transactions meet, and who reads what another writes is seen.
#[test]
fn histories_at_snapshot_level_are_not_serializable() {
    let failure = run_at(&plan(4, &LEVELS[..1]), Level::Serializable).unwrap_err();
    assert!(failure.what.contains("G2"), "{failure}");
}
