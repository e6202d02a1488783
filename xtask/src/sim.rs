//! `cargo xtask sim`: the engine on a simulated disk, seed after seed, on all processors.

use anyhow::{Result, bail};
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_simulation::campaign::{self, Failure};
use aquifer_simulation::sweep;
use aquifer_simulation::world::Tally;
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::{Mutex, Rank, thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time for making a failing list of actions short.
const SHRINK: Duration = Duration::from_secs(60);
/// Between two lines about how it goes.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The first seed, or the only one without --seconds; a new one each time unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs seeds one after the other for so long.
    #[arg(long)]
    seconds: Option<u64>,
    /// Strikes every call of every scenario in its turn, instead of random work; minutes.
    #[arg(long, conflicts_with_all = ["seed", "seconds"])]
    sweep: bool,
    /// Breaks a promise of the engine, to see it caught; one of the names in `aquifer_io::sabotage`.
    #[arg(long, value_parser = sabotage_named)]
    sabotage: Option<Sabotage>,
}

fn sabotage_named(name: &str) -> Result<Sabotage, String> {
    let known = Sabotage::ALL.map(|sabotage| format!("{sabotage:?}"));
    let at = known.iter().position(|known| known == name);
    at.map(|at| Sabotage::ALL[at]).ok_or_else(|| format!("there are {}", known.join(", ")))
}

/// Runs, and prints what happened.
///
/// # Errors
///
/// If the engine gets something wrong.
pub fn run(arguments: &Arguments) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
    // Panics are caught and reported; their own words in between would say nothing more.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.sweep {
        return sweep_all(arguments.sabotage);
    }
    let first = arguments.seed.unwrap_or(now);
    let seconds = match (arguments.seed, arguments.seconds) {
        (Some(_), None) => 0,
        (_, seconds) => seconds.unwrap_or(60),
    };
    println!("sim: from --seed {first} on, for {seconds} s");
    let (seeds, tally, failure) = campaign(first, Duration::from_secs(seconds), arguments.sabotage);
    println!("sim: {seeds} seeds; {tally}");
    let Some(failure) = failure else { return Ok(()) };
    println!("{failure}\nThe disk's last calls:\n{}\nmaking it shorter …", failure.trace);
    let (actions, shown) = broken(arguments.sabotage, || campaign::shrink(&failure, SHRINK));
    for (step, action) in actions.iter().enumerate() {
        println!("{step:>4}  {action:?}");
    }
    println!("{}", shown.what);
    bail!("the engine is wrong; `cargo xtask sim --seed {}` shows it again", failure.seed)
}

/// Every scenario with every kind of trouble at every call, on all processors.
fn sweep_all(sabotage: Option<Sabotage>) -> Result<()> {
    let scenarios = sweep::scenarios();
    let works: Vec<_> =
        scenarios.iter().flat_map(|scenario| sweep::TROUBLES.map(|trouble| (scenario, trouble))).collect();
    let next = AtomicU64::new(0);
    let failures = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                broken(sabotage, || {
                    // Relaxed: each stands for itself.
                    while let Some((scenario, trouble)) =
                        works.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        match scenario.sweep(*trouble, 1) {
                            Ok(tally) => println!("{}, {trouble:?}: {tally}", scenario.name),
                            Err((nth, failure)) => {
                                failures.fetch_add(1, Ordering::Relaxed);
                                println!(
                                    "{}, {trouble:?} at call {nth}: {failure}\n{}",
                                    scenario.name, failure.trace
                                );
                            }
                        }
                    }
                });
            });
        }
    });
    match failures.load(Ordering::Relaxed) {
        0 => Ok(()),
        failures => bail!("the engine is wrong in {failures} of {} sweeps", works.len()),
    }
}

fn broken<R>(sabotage: Option<Sabotage>, work: impl FnOnce() -> R) -> R {
    match sabotage {
        Some(sabotage) => sabotage::with(sabotage, work),
        None => work(),
    }
}

/// Runs seeds from `first` on; at least one. How many, what went on, and the first failure.
fn campaign(first: u64, time: Duration, sabotage: Option<Sabotage>) -> (u64, Tally, Option<Failure>) {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Rank::Leaf, (Tally::default(), None, Instant::now()));
    let threads = if time.is_zero() { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                broken(sabotage, || {
                    loop {
                        // Relaxed: each stands for itself.
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let late = number > 0 && begun.elapsed() >= time;
                        if late || stop.load(Ordering::Relaxed) {
                            next.fetch_sub(1, Ordering::Relaxed);
                            return;
                        }
                        let result = campaign::run_seed(first.wrapping_add(number));
                        let mut total = total.lock();
                        match result {
                            Ok(tally) => total.0.add(tally),
                            Err(failure) => {
                                total.1.get_or_insert(*failure);
                                stop.store(true, Ordering::Relaxed);
                            }
                        }
                        if total.2.elapsed() >= REPORT_EVERY {
                            total.2 = Instant::now();
                            println!("sim: {:>4.0} s; {}", begun.elapsed().as_secs_f64(), total.0);
                        }
                    }
                });
            });
        }
    });
    let mut total = total.lock();
    (next.load(Ordering::Relaxed), total.0, total.1.take())
}
