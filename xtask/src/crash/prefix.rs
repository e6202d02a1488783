//! Which prefix of a writer's commits a database holds, and whether it is one that may be there.
//!
//! The history of a writer is known (`script`), so its state after every number of commits is too. What was found
//! must equal one of these states; walking forward from the last one that was checked, the number of places that
//! differ is kept up to date, and a prefix fits where it is 0.
//!
//! - **K1** The commits found are a prefix of the writer's commits (P1), each of them whole (P2).
//! - **K2** The prefix holds every commit that was acknowledged at `Process` or `Power`, and after a clean close every
//!   acknowledged commit.
//! - **K3** Over all writers it is a prefix of the log: a commit whose position lies before that of a commit that must be
//!   there, or is there, is there as well.

use super::acks::Ack;
use super::script::{Level, Script, State, halves};
use anyhow::{Result, bail, ensure};

/// Commits that a writer may have begun without the acknowledgement of the one before.
pub const AHEAD_MAX: u64 = 9;

/// How many commits of a writer are there. Two numbers, because commits that together change nothing cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

/// One writer as the parent knows it.
#[derive(Debug, Clone)]
pub struct Writer {
    script: Script,
    /// Commits that the database held when it was last checked.
    pub held: u64,
    /// What it held then.
    state: State,
}

impl Writer {
    /// A writer that has not begun.
    pub fn new(script: Script) -> Writer {
        Writer { script, held: 0, state: State::new() }
    }

    /// Finds the prefixes that are `found`, given what was acknowledged since the last check (K1, K2), and goes on from
    /// the longest.
    ///
    /// # Errors
    ///
    /// That says which promise is broken, and at which commit.
    pub fn advance(&mut self, found: &State, acks: &[Ack], closed: bool) -> Result<Held> {
        let halves = halves(found);
        ensure!(
            halves.is_empty(),
            "P2: batches are there in part; the pairs {halves:?} differ between the tables"
        );
        let promised = acks.iter().filter(|a| closed || a.level >= Level::Process);
        let required = promised.map(|a| a.number).max().unwrap_or(0).max(self.held);
        let acknowledged = acks.iter().map(|a| a.number).max().unwrap_or(0).max(self.held);

        let places = self.state.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>();
        let mut differing = places.into_iter().filter(|p| self.state.get(p) != found.get(p)).count();
        let mut fits = Vec::new();
        if differing == 0 {
            fits.push(self.held);
        }
        let mut nearest = (differing, self.held);
        for number in self.held + 1..=acknowledged + AHEAD_MAX {
            for change in self.script.commit(number).changes {
                let differed = self.state.get(&change.place) != found.get(&change.place);
                if change.put {
                    self.state.insert(change.place, number);
                } else {
                    self.state.remove(&change.place);
                }
                let differs = self.state.get(&change.place) != found.get(&change.place);
                differing = differing + usize::from(differs) - usize::from(differed);
            }
            nearest = nearest.min((differing, number));
            if differing == 0 {
                fits.push(number);
            }
        }
        let Some(&most) = fits.last() else {
            let (places, number) = nearest;
            bail!(
                "P1: what is there is no prefix of the commits; nearest is commit {number} with {places} places that differ \
                 (held before {}, must hold {required}, acknowledged {acknowledged})",
                self.held
            );
        };
        let Some(&least) = fits.iter().find(|fit| **fit >= required) else {
            bail!("P1: commit {required} was acknowledged as durable, but only {most} commits are there");
        };
        self.held = most;
        self.state.clone_from(found);
        Ok(Held { least, most })
    }
}

/// K3, over the acknowledgements of all writers, given how many commits of each are there.
///
/// # Errors
///
/// Names the commit that is missing and the later one that is not.
pub fn check_order(acks: &[Vec<Ack>], held: &[Held]) -> Result<()> {
    let there =
        acks.iter().zip(held).flat_map(|(acks, held)| acks.iter().filter(move |a| a.number <= held.least));
    let horizon = there.map(|a| a.lsn).max().unwrap_or(0);
    for (writer, (acks, held)) in acks.iter().zip(held).enumerate() {
        if let Some(lost) = acks.iter().find(|a| a.number > held.most && a.lsn <= horizon) {
            bail!(
                "P1: commit {} of writer {writer} at log position {} is gone, but one at {horizon} is there",
                lost.number,
                lost.lsn
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
