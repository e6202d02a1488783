//! One list of actions; many seeds; making a list that fails short.

use crate::action::{self, Action};
use crate::world::{Tally, World};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The disk's seed, and that of the actions unless they were made shorter.
    pub seed: u64,
    /// The action at which it showed, from 0.
    pub step: usize,
    /// What the database got wrong.
    pub what: String,
    /// What the disk was asked last.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, step {}: {}", self.seed, self.step, self.what)
    }
}

/// Carries out the actions of a seed.
///
/// ```
/// let tally = aquifer_simulation::campaign::run_seed(1).map_err(|failure| failure.to_string())?;
/// assert!(tally.crashes > 0);
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
///
/// The first thing that the database got wrong; panics included.
pub fn run_seed(seed: u64) -> Result<Tally, Box<Failure>> {
    run(seed, &action::draw(seed))
}

/// Carries out a list of actions.
///
/// # Errors
///
/// As [`run_seed`].
pub fn run(seed: u64, actions: &[Action]) -> Result<Tally, Box<Failure>> {
    let mut world = World::new(seed);
    for (step, action) in actions.iter().enumerate() {
        let acted = panic::catch_unwind(AssertUnwindSafe(|| world.act(action)));
        let what = match acted {
            Ok(Ok(())) => continue,
            Ok(Err(what)) => what,
            Err(panic) => format!("panicked: {}", words_of(&*panic)),
        };
        return Err(Box::new(Failure { seed, step, what, trace: world.trace() }));
    }
    Ok(world.tally)
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// The actions of a failing seed, made as few as can be in about so much time, and how those fail.
///
/// Removes runs of actions, half of the list at first, single ones at last, as long as something fails (delta debugging:
/// Zeller and Hildebrandt, 2002).
pub fn shrink(failure: &Failure, time: Duration) -> (Vec<Action>, Failure) {
    let mut best = action::draw(failure.seed);
    best.truncate(failure.step + 1);
    let mut shown = failure.clone();
    let end = Instant::now() + time;
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 && Instant::now() < end {
        let mut at = 0;
        let mut removed = false;
        while at < best.len() && Instant::now() < end {
            let mut fewer = best.clone();
            fewer.drain(at..(at + chunk).min(best.len()));
            match run(failure.seed, &fewer) {
                Err(still) => {
                    fewer.truncate(still.step + 1);
                    best = fewer;
                    shown = *still;
                    removed = true;
                }
                Ok(_) => at += chunk,
            }
        }
        if !removed || chunk > 1 {
            chunk /= 2;
        }
    }
    (best, shown)
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Tally) {
        self.actions += other.actions;
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.refused += other.refused;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} crashes, {} actions, {} commits, {} faults struck, {} openings refused after the disk had lied",
            self.crashes, self.actions, self.commits, self.faults, self.refused
        )
    }
}

#[cfg(test)]
mod tests;
