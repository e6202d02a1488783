//! What a database may hold: the commits of this life in their order, and the states that a crash may leave.
//!
//! # Invariants
//!
//! - **M1** Logged tables come back as after a prefix of the history. The prefix holds everything acknowledged (P1); after the
//!   death of the process, also what was acknowledged at `Process`.
//! - **M2** Unlogged tables come back, all of them, as of one checkpoint: the last that is known to be durable, or one that
//!   was being taken when the life ended. A table that the checkpoint does not know is empty.
//! - **M3** The last commit of a life may be unknown: an error left open whether it is in the log. Then it may be there or not.

use std::collections::BTreeMap;

/// Records of one table.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Tells it from others that had its name.
    pub instance: u64,
    /// With a log.
    pub logged: bool,
    /// Its records.
    pub rows: Rows,
}

/// All tables, by name.
pub type State = BTreeMap<String, Table>;

/// What was found after a crash: the records of each table, by name.
pub type Found = BTreeMap<String, (bool, Rows)>;

/// One commit.
#[derive(Debug, Clone)]
pub enum Commit {
    /// A table was made.
    Create {
        /// Its name.
        name: String,
        /// Its number.
        instance: u64,
        /// With a log.
        logged: bool,
    },
    /// A table was dropped.
    Drop {
        /// Its name.
        name: String,
    },
    /// Records changed: table, key, and the new value if any.
    Change(Vec<(String, Vec<u8>, Option<Vec<u8>>)>),
}

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub struct Model {
    base: State,
    history: Vec<Commit>,
    now: State,
    /// Commits that certainly survive loss of power, and the death of the process.
    durable: usize,
    written: usize,
    /// Unlogged tables as of the checkpoints that may be the last durable one, with the commits before each.
    checkpoints: Vec<(usize, BTreeMap<u64, Rows>)>,
    instances: u64,
}

impl Model {
    /// The state now.
    pub fn state(&self) -> &State {
        &self.now
    }

    /// Commits so far in this life.
    pub fn commits(&self) -> usize {
        self.history.len()
    }

    /// A number for a new table.
    pub fn new_instance(&mut self) -> u64 {
        self.instances += 1;
        self.instances
    }

    /// A commit was applied, or may have been.
    pub fn commit(&mut self, commit: Commit) {
        apply(&mut self.now, &commit);
        self.history.push(commit);
    }

    /// The first so many commits survive loss of power.
    pub fn is_durable(&mut self, commits: usize) {
        self.durable = self.durable.max(commits);
        self.is_written(commits);
    }

    /// The first so many commits survive the death of the process.
    pub fn is_written(&mut self, commits: usize) {
        self.written = self.written.max(commits);
    }

    fn unlogged(&self) -> BTreeMap<u64, Rows> {
        let tables = self.now.values().filter(|table| !table.logged);
        tables.map(|table| (table.instance, table.rows.clone())).collect()
    }

    /// A checkpoint of the state now is durable.
    pub fn checkpointed(&mut self) {
        self.checkpoints = vec![(self.history.len(), self.unlogged())];
    }

    /// A checkpoint of the state now may be durable.
    pub fn maybe_checkpointed(&mut self) {
        let candidate = (self.history.len(), self.unlogged());
        if self.checkpoints.last() != Some(&candidate) {
            self.checkpoints.push(candidate);
        }
    }

    /// Does the last certain checkpoint have the first so many commits?
    pub fn is_checkpointed(&self, commits: usize) -> bool {
        self.checkpoints.first().is_some_and(|&(at, _)| at >= commits)
    }

    /// Judges what a crash left, and begins the next life with it. `killed` if only the process died; `damaged` if the disk has
    /// lied: then acknowledged commits at the end may be missing, for a rotten end looks like a torn one.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn crashed(&mut self, found: &Found, killed: bool, damaged: bool) -> Result<(), String> {
        let least = match (damaged, killed) {
            (true, _) => 0,
            (false, true) => self.written.max(self.durable),
            (false, false) => self.durable,
        };
        let mut state = self.base.clone();
        let none = (0, BTreeMap::new());
        let mut reason = None;
        let mut matching = None;
        for count in 0..=self.history.len() {
            if count > 0 {
                apply(&mut state, &self.history[count - 1]);
            }
            if count < least || !same_logged(&state, found) {
                continue;
            }
            let certain = self.checkpoints.first().unwrap_or(&none);
            let candidates = self.checkpoints.iter().chain(self.checkpoints.is_empty().then_some(certain));
            matching =
                candidates.map(|(_, rows)| with_unlogged(&state, rows)).find(|state| same(state, found));
            if matching.is_some() {
                break;
            }
            reason = Some(format!("unlogged tables are as of no checkpoint, after {count} commits"));
        }
        let Some(base) = matching else {
            return Err(reason.unwrap_or_else(|| {
                format!(
                    "what is there is no prefix of {} commits with the {least} that must be there; found {}, expected up to {}",
                    self.history.len(),
                    describe(found),
                    describe(&shape(&self.now)),
                )
            }));
        };
        let instances = self.instances;
        *self = Model { now: base.clone(), base, instances, ..Model::default() };
        self.checkpointed(); // the opening has taken one
        Ok(())
    }
}

fn apply(state: &mut State, commit: &Commit) {
    match commit {
        Commit::Create { name, instance, logged } => {
            let table = Table { instance: *instance, logged: *logged, rows: Rows::new() };
            state.insert(name.clone(), table);
        }
        Commit::Drop { name } => {
            state.remove(name);
        }
        Commit::Change(changes) => {
            for (name, key, value) in changes {
                let Some(table) = state.get_mut(name) else { continue };
                match value {
                    Some(value) => table.rows.insert(key.clone(), value.clone()),
                    None => table.rows.remove(key),
                };
            }
        }
    }
}

fn same_logged(state: &State, found: &Found) -> bool {
    state.len() == found.len()
        && state.iter().zip(found).all(|((name, table), (found_name, (logged, rows)))| {
            name == found_name && table.logged == *logged && (!logged || table.rows == *rows)
        })
}

fn same(state: &State, found: &Found) -> bool {
    state.values().zip(found.values()).all(|(table, (_, rows))| table.rows == *rows)
}

fn with_unlogged(state: &State, rows: &BTreeMap<u64, Rows>) -> State {
    let mut state = state.clone();
    for table in state.values_mut().filter(|table| !table.logged) {
        table.rows = rows.get(&table.instance).cloned().unwrap_or_default();
    }
    state
}

/// A state as it would be found.
pub fn shape(state: &State) -> Found {
    state.iter().map(|(name, table)| (name.clone(), (table.logged, table.rows.clone()))).collect()
}

fn describe(found: &Found) -> String {
    let tables: Vec<String> =
        found.iter().map(|(name, (_, rows))| format!("{name}: {} rows", rows.len())).collect();
    format!("[{}]", tables.join(", "))
}

#[cfg(test)]
mod tests;
