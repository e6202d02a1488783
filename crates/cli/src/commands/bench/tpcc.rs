//! `tpcc-kv`: the transactions of TPC-C, as `aquifer_tpcc` has them.
//!
//! # Rules
//!
//! - **TC1** Every run begins with a population of its own, in tables of its own.
//! - **TC2** There are no figures of a run after which a consistency condition does not hold.

use super::Numbers;
use super::store::{counters_of, description_of, durability_of, isolation_of};
use crate::exit::Failure;
use crate::output::grouped;
use crate::progress::Progress;
use aquifer::{Database, TableKind};
use aquifer_tpcc::{Error, Figures, Kind, Outcome, Plan, Scale, Tables, check, populate, run};
use aquifer_workload::{Part, Report, Spec};
use std::time::Duration;

/// How many violations are told.
const VIOLATIONS_MAX: usize = 5;

/// Populates, runs, checks; returns the figures and what else is to be said.
pub fn measure(db: &Database, spec: &Spec, numbers: &Numbers) -> Result<(Report, String), Failure> {
    let scale = Scale { warehouses: numbers.warehouses, items: numbers.items, customers: numbers.customers };
    scale.check().map_err(failure)?;
    let tables = Tables::emptied(db)?;
    let progress = Progress::of_things(scale.warehouses.into(), "populating");
    let warehouses = |done: u32| progress.things(done.into(), scale.warehouses.into());
    populate(&tables, scale, spec.seed, &warehouses).map_err(failure)?;
    let plan = Plan {
        scale,
        threads: spec.threads,
        time: Duration::from_secs(numbers.seconds),
        transactions: spec.ops.map(|ops| ops.div_ceil(spec.threads as u64)),
        isolation: isolation_of(spec.isolation),
        durability: durability_of(spec.durability),
        seed: spec.seed,
    };
    let before = counters_of(db);
    let outcome = run(&tables, &plan, &|_| {}).map_err(failure)?;
    db.sync()?;
    let written = counters_of(db).since(before);
    let violations = check(&tables, scale).map_err(failure)?;
    if !violations.is_empty() {
        let first = violations.iter().take(VIOLATIONS_MAX).map(ToString::to_string).collect::<Vec<_>>();
        return Err(Failure::Corrupt(format!("{} violations: {}", violations.len(), first.join("; "))));
    }
    let parts = Kind::ALL.map(|kind| part(kind.name(), outcome.of(kind), &outcome)).to_vec();
    let all = part("all", &outcome.all(), &outcome);
    let description = description_of(db, TableKind::Sorted);
    let report =
        Report::of_parts(spec, description, scale.records(), (all, parts), outcome.elapsed, written)?;
    let rate = grouped(outcome.new_orders_per_minute().round() as u64);
    let remark = format!(
        "  tpcc        {rate} new orders a minute, {} warehouses, {} committed; all conditions hold",
        scale.warehouses,
        grouped(outcome.all().committed),
    );
    Ok((report, remark))
}

fn part(name: &str, figures: &Figures, outcome: &Outcome) -> Part {
    Part {
        name: name.to_owned(),
        ops: figures.done(),
        rolled_back: figures.rolled_back,
        retries: figures.retries,
        ops_per_s: figures.done() as f64 / outcome.elapsed.as_secs_f64().max(1e-9),
        p50_us: figures.latency_us(0.5),
        p99_us: figures.latency_us(0.99),
        p999_us: figures.latency_us(0.999),
    }
}

/// The failure of the command that an error of a run is.
fn failure(error: Error) -> Failure {
    match error {
        Error::Database(error) => error.into(),
        Error::Numbers { what } => Failure::Usage(format!("--warehouses, --items, --customers: {what}")),
        error @ Error::Missing { .. } => Failure::Corrupt(error.to_string()),
        error @ Error::Panicked => {
            Failure::Io { what: "the run failed".into(), source: std::io::Error::other(error) }
        }
    }
}
