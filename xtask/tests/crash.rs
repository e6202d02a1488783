//! Nothing acknowledged is lost when the process is killed.

use std::path::Path;
use xtask::crash::{self, Plan};

#[track_caller]
fn check(budget_bytes: usize, seed: u64) {
    let program = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let plan = Plan { rounds: 5, seed, budget_bytes, ..Plan::new(program) };
    let summary = crash::run(&plan).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(summary.rounds, 5);
    assert!(summary.verified >= 1 && summary.acknowledged > 0, "{summary}");
}

#[test]
fn acknowledged_commits_survive_kills_when_memory_is_short() {
    check(2 << 20, 11);
}

#[test]
fn acknowledged_commits_survive_kills_when_memory_is_ample() {
    check(64 << 20, 12);
}
