//! Keys claimed early: exclusive, by transaction, until its end.
//!
//! A claim is for hot keys, on which transactions would refuse each other again and again: who has claimed a key reads and writes it
//! undisturbed, and the next in line waits instead of conflicting. A plain commit honours claims: it waits until nobody else has
//! claimed what it writes.
//!
//! ```text
//!   claimants:  1 --holds--> "a"     2 --holds--> "b"
//!               1 --waits for--> "b" whose holder is 2 --waits for--> "a" whose holder is 1: a circle; 2, the youngest, gives way
//! ```
//!
//! A claim keeps no snapshot from changing: the value that counts is the one read after the key was claimed, in a snapshot taken after
//! it. A commit that looked before the key was claimed may still change it; then the claimant conflicts as usual. So
//! claims decide who waits, never who is right.
//!
//! # Cost
//!
//! One mutex over all claims. A commit looks at one counter first, and goes on if there are none.
//!
//! # Invariants
//!
//! - **CL1** A key has at most one holder. It goes over to the first in line when it is let go; who only passes is let through, and the
//!   next in line is looked at. So a key with a line has a holder, and nobody is woken in vain.
//! - **CL2** A claimant waits for at most one key (its methods take it exclusively), and each key has one holder: the graph of who waits for whom has at most one way on
//!   from each. A circle can only come to be when a claimant begins to wait, and is looked for then, by following that way.
//! - **CL3** Of a circle the youngest gives way: it leaves the line with an error, and lets its keys go when it ends.
//! - **CL4** `count` is the number of keys that are held.

use crate::error::{Error, Result};
use aquifer_sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use aquifer_sync::{Arc, Condvar, Mutex, MutexGuard, Rank};
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::time::{Duration, Instant};

/// A table and a key.
type Name = (u32, Box<[u8]>);

/// All claims of one database.
///
/// ```
/// use aquifer_txn::{Claims, Error};
/// use std::time::Duration;
///
/// let claims = Claims::new();
/// let (mut first, mut second) = (claims.claimant(), claims.claimant());
/// first.claim(1, b"k", Duration::ZERO)?;
/// assert!(matches!(second.claim(1, b"k", Duration::ZERO), Err(Error::LockTimeout { .. })));
/// drop(first);
/// second.claim(1, b"k", Duration::ZERO)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Claims {
    /// CL4; written under the lock.
    count: AtomicUsize,
    next_id: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<Name, Held>,
    /// Who waits, and what for (CL2).
    waits: HashMap<u64, Wait>,
}

#[derive(Debug)]
struct Held {
    holder: u64,
    line: VecDeque<u64>,
}

#[derive(Debug)]
struct Wait {
    name: Name,
    /// Goes on without becoming the holder.
    passes: bool,
    outcome: Option<Outcome>,
    woken: Arc<Condvar>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Admitted,
    GivesWay,
}

/// A transaction that may claim keys; dropping it lets them all go. The older of two was made first.
#[derive(Debug)]
#[must_use = "dropping a claimant lets its keys go"]
pub struct Claimant<C: Deref<Target = Claims>> {
    claims: C,
    id: u64,
    /// What it holds.
    names: Vec<Name>,
}

impl Default for Claims {
    fn default() -> Self {
        Claims::new()
    }
}

impl Claims {
    /// No key is claimed.
    pub fn new() -> Claims {
        Claims {
            count: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            state: Mutex::new(Rank::Claims, State::default()),
        }
    }

    /// A transaction begins: see [`Claimant::new`].
    pub fn claimant(&self) -> Claimant<&Claims> {
        Claimant::new(self)
    }

    /// Whether any key is claimed. One load.
    #[inline]
    pub fn any(&self) -> bool {
        // Relaxed: a claim that is made at this moment may be missed, which the claimant has to reckon with anyway.
        self.count.load(Ordering::Relaxed) != 0
    }

    /// Waits until nobody has claimed the key: for autocommits, which hold nothing. Before any lock is taken.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`].
    #[inline]
    pub fn honour(&self, table: u32, key: &[u8], timeout: Duration) -> Result<()> {
        match self.any() {
            true => self.claimant().honour(table, key, timeout),
            false => Ok(()),
        }
    }

    /// Keys that are claimed.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl<C: Deref<Target = Claims>> Claimant<C> {
    /// A transaction begins, younger than all before it.
    pub fn new(claims: C) -> Claimant<C> {
        let id = claims.next_id.fetch_add(1, Ordering::Relaxed);
        Claimant { claims, id, names: Vec::new() }
    }

    /// The keys that it holds, with their tables.
    pub fn names(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.names.iter().map(|(table, key)| (*table, &**key))
    }

    /// Claims a key, waiting for its holder if it has one. What it holds already, it may claim again.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`], [`Error::Deadlock`]; the key is not claimed then.
    pub fn claim(&mut self, table: u32, key: &[u8], timeout: Duration) -> Result<()> {
        let name = (table, Box::from(key));
        if self.admitted(&name, false, timeout)? {
            self.names.push(name);
        }
        Ok(())
    }

    /// Waits until nobody else has claimed the key, and does not claim it. A commit does so for each key that it writes, before
    /// it takes any lock.
    ///
    /// # Errors
    ///
    /// As [`claim`](Self::claim).
    #[inline]
    pub fn honour(&mut self, table: u32, key: &[u8], timeout: Duration) -> Result<()> {
        match self.claims.any() {
            true => self.admitted(&(table, Box::from(key)), true, timeout).map(drop),
            false => Ok(()),
        }
    }

    /// Whether it has become the holder by this call.
    fn admitted(&mut self, name: &Name, passes: bool, timeout: Duration) -> Result<bool> {
        let mut state = self.claims.state.lock();
        match state.held.get_mut(name) {
            None if passes => return Ok(false),
            None => {
                state.held.insert(name.clone(), Held { holder: self.id, line: VecDeque::new() });
                self.claims.count.fetch_add(1, Ordering::Relaxed); // CL4
                return Ok(true);
            }
            Some(held) if held.holder == self.id => return Ok(false),
            Some(held) => held.line.push_back(self.id),
        }
        let woken = Arc::new(Condvar::new());
        let wait = Wait { name: name.clone(), passes, outcome: None, woken: Arc::clone(&woken) };
        state.waits.insert(self.id, wait);
        state.break_circle(self.id);
        let (state, outcome) = self.wait(state, &woken, timeout);
        drop(state);
        let (table, key) = (name.0, name.1.to_vec());
        match outcome {
            Some(Outcome::Admitted) => Ok(!passes),
            Some(Outcome::GivesWay) => Err(Error::Deadlock { table, key }),
            None => Err(Error::LockTimeout { table, key, waited: timeout }),
        }
    }

    /// Waits for an outcome, `None` if there is none in time. It waits no longer then.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        woken: &Condvar,
        timeout: Duration,
    ) -> (MutexGuard<'a, State>, Option<Outcome>) {
        let begun = Instant::now();
        loop {
            let outcome = state.waits[&self.id].outcome;
            let rest = timeout.saturating_sub(begun.elapsed());
            if outcome.is_none() && rest > Duration::ZERO {
                state = woken.wait_timeout(state, rest);
                continue;
            }
            let wait = state.waits.remove(&self.id).expect("it waits until here");
            if outcome != Some(Outcome::Admitted)
                && let Some(held) = state.held.get_mut(&wait.name)
            {
                held.line.retain(|&id| id != self.id); // CL3
            }
            return (state, outcome);
        }
    }
}

impl<C: Deref<Target = Claims>> Drop for Claimant<C> {
    fn drop(&mut self) {
        let names = std::mem::take(&mut self.names);
        if names.is_empty() {
            return;
        }
        let mut state = self.claims.state.lock();
        for name in names {
            if state.hand_over(&name) {
                self.claims.count.fetch_sub(1, Ordering::Relaxed); // CL4
            }
        }
    }
}

impl State {
    /// Gives a key to the next in line (CL1). Whether there was nobody, so that it is held no more.
    fn hand_over(&mut self, name: &Name) -> bool {
        let held = self.held.get_mut(name).expect("CL1: it was held");
        while let Some(next) = held.line.pop_front() {
            let wait = self.waits.get_mut(&next).expect("who is in line waits");
            if wait.outcome.is_some() {
                continue; // gives way, and has not woken yet
            }
            wait.outcome = Some(Outcome::Admitted);
            wait.woken.notify_one();
            if !wait.passes {
                held.holder = next;
                return false;
            }
        }
        self.held.remove(name);
        true
    }

    /// If the claimant has closed a circle by waiting, has the youngest in it give way (CL2, CL3).
    fn break_circle(&mut self, from: u64) {
        let mut youngest = from;
        let mut at = from;
        loop {
            let Some(wait) = self.waits.get(&at).filter(|wait| wait.outcome.is_none()) else { return };
            at = self.held.get(&wait.name).expect("CL1: who is waited for holds it").holder;
            if at == from {
                break;
            }
            youngest = youngest.max(at);
        }
        let wait = self.waits.get_mut(&youngest).expect("all in the circle wait");
        wait.outcome = Some(Outcome::GivesWay);
        wait.woken.notify_one();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
