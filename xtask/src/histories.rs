//! `cargo xtask histories`: random histories of transactions by threads, with crashes, checked for what their level forbids.

use anyhow::{Result, bail};
use aquifer::Isolation;
use aquifer_simulation::histories::{self, Plan, Tally};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What threads' transactions are, in turn; and what that is called.
const LEVELS: [(&str, &[Isolation]); 3] = [
    ("snapshot", &[Isolation::Snapshot]),
    ("serializable", &[Isolation::Serializable]),
    ("both", &[Isolation::Serializable, Isolation::Snapshot]),
];
/// Transactions of a life, and lives of a database.
const LIFE: u64 = 10_000;
const LIVES: u32 = 5;
/// Between two lines about how it goes.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Transactions at each level; autocommits and snapshots are counted.
    #[arg(long, default_value_t = 1_000_000)]
    transactions: u64,
    /// What threads do, though not when; a new one each time unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Ends each level after so long.
    #[arg(long)]
    seconds: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 4)]
    threads: u64,
}

/// Runs, and prints what happened.
///
/// # Errors
///
/// If a history is not of its level, or a commit was lost.
pub fn run(arguments: &Arguments) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
    let first = arguments.seed.unwrap_or(now);
    println!("histories: from --seed {first} on");
    for (name, levels) in LEVELS {
        let begun = Instant::now();
        let mut reported = begun;
        let mut total = Tally::default();
        let mut seed = first;
        let is_late = || arguments.seconds.is_some_and(|seconds| begun.elapsed().as_secs() >= seconds);
        while total.transactions < arguments.transactions && !is_late() {
            let threads = arguments.threads.max(1);
            let plan = Plan { seed, levels: levels.to_vec(), threads, transactions: LIFE, lives: LIVES };
            match histories::run(&plan) {
                Ok(tally) => total.absorb(tally),
                Err(failure) => {
                    println!("{name}: {total}\n{failure}");
                    bail!("the engine is wrong; `cargo xtask histories --seed {seed}` may show it again")
                }
            }
            seed = seed.wrapping_add(1);
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                println!("{name}: {:>4.0} s; {total}", begun.elapsed().as_secs_f64());
            }
        }
        println!("{name}: {:.0} s; {total}", begun.elapsed().as_secs_f64());
    }
    Ok(())
}
