//! Every scenario with every kind of trouble.

use super::*;

/// Scenarios of many calls are swept in steps here; `cargo xtask sim --sweep` takes every call.
fn stride(name: &str) -> u16 {
    match name {
        "eviction and growth" | "shrinking" => 199,
        "backup" => 499,
        _ => 3,
    }
}

fn sweep(name: &str) {
    let scenario = scenarios().into_iter().find(|scenario| scenario.name == name).unwrap();
    for trouble in TROUBLES {
        match scenario.sweep(trouble, stride(scenario.name)) {
            Ok(tally) => {
                let must_strike =
                    matches!(trouble, Trouble::PowerLoss | Trouble::ErrorOnce | Trouble::ErrorForGood);
                assert!(tally.faults > 0 || !must_strike, "{name}, {trouble:?}: {tally}");
            }
            Err((nth, failure)) => panic!("{name}, {trouble:?} at call {nth}: {failure}\n{}", failure.trace),
        }
    }
}

#[test]
fn creation() {
    sweep("create");
}

#[test]
fn opening() {
    sweep("open");
}

#[test]
fn batches() {
    sweep("batch");
}

#[test]
fn checkpoints() {
    sweep("checkpoint");
}

#[test]
fn eviction_and_growth() {
    sweep("eviction and growth");
}

#[test]
fn segments() {
    sweep("segments");
}

#[test]
fn tables() {
    sweep("tables");
}

#[test]
fn backups() {
    sweep("backup");
}

#[test]
fn checkpoint_snapshots() {
    sweep("checkpoint snapshots");
}

#[test]
fn shrinking() {
    sweep("shrinking");
}

#[test]
fn large_values() {
    sweep("large values");
}

#[test]
fn ranges_and_bulk_loads() {
    sweep("ranges and bulk loads");
}

#[test]
fn large_values_in_hashed_tables() {
    sweep("large values in a hashed table");
}
