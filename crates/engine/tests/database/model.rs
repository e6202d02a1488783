//! What a database should hold: the history of commits, and the states that it may be in after a crash.

use aquifer::{Database, Durability, Error, ErrorKind, Result, TableOptions, WriteBatch};
use aquifer_sim::Random;
use std::collections::BTreeMap;

pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
pub type State = BTreeMap<String, Rows>;

/// One commit.
#[derive(Debug, Clone)]
pub enum Commit {
    Create(String),
    Drop(String),
    Change(Vec<(String, Vec<u8>, Option<Vec<u8>>)>),
}

/// The commits, in order, and how many of them are certainly durable.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The state before `history`.
    base: State,
    history: Vec<Commit>,
    acknowledged: usize,
}

/// All tables and their records.
pub fn read_state(db: &Database) -> State {
    let read = |name: &str| crate::rows(&db.any_table(name).unwrap());
    db.tables().into_iter().map(|table| (table.name.clone(), read(&table.name))).collect()
}

fn apply(state: &mut State, commit: &Commit) {
    match commit {
        Commit::Create(name) => {
            state.insert(name.clone(), Rows::new());
        }
        Commit::Drop(name) => {
            state.remove(name);
        }
        Commit::Change(changes) => {
            for (table, key, value) in changes {
                let rows = state.get_mut(table).expect("the table is there");
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
    }
}

impl Model {
    /// The state after all commits.
    pub fn state(&self) -> State {
        let mut state = self.base.clone();
        self.history.iter().for_each(|commit| apply(&mut state, commit));
        state
    }

    /// A commit was applied; if `durable`, it and all before it are.
    pub fn committed(&mut self, commit: Commit, durable: bool) {
        self.history.push(commit);
        if durable {
            self.acknowledged = self.history.len();
        }
    }

    /// Everything so far is durable.
    pub fn all_durable(&mut self) {
        self.acknowledged = self.history.len();
    }

    /// Checks that the database holds a prefix of the history with everything acknowledged in it, and goes on from there.
    pub fn check_after_crash(&mut self, db: &Database, context: &str) {
        let found = read_state(db);
        let mut state = self.base.clone();
        let mut matching = None;
        for count in 0..=self.history.len() {
            if count > 0 {
                apply(&mut state, &self.history[count - 1]);
            }
            if count >= self.acknowledged && state == found {
                matching = Some(count);
                break;
            }
        }
        let Some(_) = matching else {
            panic!(
                "{context}: no prefix of {} commits with the {} acknowledged ones is there; found {}, expected at least {}",
                self.history.len(),
                self.acknowledged,
                describe(&found),
                describe(&self.state())
            );
        };
        *self = Model { base: found, ..Model::default() };
    }
}

fn describe(state: &State) -> String {
    let tables: Vec<String> =
        state.iter().map(|(name, rows)| format!("{name}: {} rows", rows.len())).collect();
    format!("[{}]", tables.join(", "))
}

/// A key of few, so that keys are written again and again.
pub fn random_key(random: &mut Random) -> Vec<u8> {
    let mut key = format!("key{:04}", random.below(300)).into_bytes();
    if random.chance(10) {
        key.resize(key.len() + random.below(100) as usize, b'x');
    }
    if random.chance(8) {
        // A long one, or nearly: few groups, of several keys.
        key.truncate(4);
        key.resize(509 + random.below(4) as usize, b'l');
        key.push(b'0' + random.below(5) as u8);
    }
    key
}

pub fn random_value(random: &mut Random) -> Vec<u8> {
    if random.chance(2) {
        // A large one.
        return random_bytes(random, 30_000);
    }
    let len = match random.below(10) {
        0 => 0,
        1..=6 => random.below(120),
        7..=8 => 300,
        _ => random.below(1000),
    };
    let byte = random.draw() as u8;
    vec![byte; len as usize]
}

/// Bytes of which no two stretches are the same.
pub fn random_bytes(random: &mut Random, most: u64) -> Vec<u8> {
    let mut bytes = vec![0; random.below(most) as usize];
    random.fill(&mut bytes);
    bytes
}

fn random_durability(random: &mut Random) -> Durability {
    match random.below(4) {
        0 => Durability::Power,
        1 => Durability::Process,
        _ => Durability::Eventual,
    }
}

/// Does something random to the database and notes it. Returns the error of the first thing that failed; what failed may
/// or may not have happened.
pub fn act(db: &Database, model: &mut Model, random: &mut Random) -> Result<()> {
    let state = model.state();
    let names: Vec<&String> = state.keys().collect();
    let kind = if names.is_empty() { 0 } else { random.below(100) };
    match kind {
        0..=1 => {
            let name = format!("table{}", random.below(4));
            if state.contains_key(&name) {
                assert!(matches!(
                    db.create_table(&name, TableOptions::default()),
                    Err(Error::TableExists { .. } | Error::Poisoned { .. })
                ));
                return Ok(());
            }
            let made = db.create_table(&name, TableOptions::default()).map(|_| ());
            note(model, Commit::Create(name), made, true)
        }
        2 => {
            let name = names[random.below(names.len() as u64) as usize].clone();
            let dropped = db.drop_table(&name);
            note(model, Commit::Drop(name), dropped, true)
        }
        3..=12 => {
            let durability = random_durability(random);
            let mut batch = WriteBatch::new();
            let mut changes = Vec::new();
            let most = if random.chance(10) { 200 } else { 12 };
            for _ in 0..1 + random.below(most) {
                let name = names[random.below(names.len() as u64) as usize];
                let table = db.table(name)?;
                let key = random_key(random);
                if random.chance(20) {
                    batch.delete(&table, &key);
                    changes.push((name.clone(), key, None));
                } else {
                    let value = random_value(random);
                    batch.put(&table, &key, &value);
                    changes.push((name.clone(), key, Some(value)));
                }
            }
            let written = db.write(&mut batch, durability);
            note(model, Commit::Change(changes), written, durability == Durability::Power)
        }
        13..=14 => db.checkpoint(),
        15..=16 => {
            db.sync()?;
            model.all_durable();
            Ok(())
        }
        17..=27 => db.step().map(|_| ()),
        _ => {
            let name = names[random.below(names.len() as u64) as usize];
            one_change(db, model, random, name)
        }
    }
}

fn one_change(db: &Database, model: &mut Model, random: &mut Random, name: &str) -> Result<()> {
    let durability = random_durability(random);
    let durable = durability == Durability::Power;
    let table = db.table(name)?;
    let key = random_key(random);
    if random.chance(20) {
        let change = Commit::Change(vec![(name.into(), key.clone(), None)]);
        let deleted = table.with_durability(durability).delete(&key);
        return note(model, change, deleted, durable);
    }
    if random.chance(8)
        && let Some(mut value) = table.get(&key)?
        && !value.is_empty()
    {
        // Part of it, or more.
        let table = table.with_durability(durability);
        let most = if value.len() > 1024 { 9000 } else { 600 };
        let bytes = random_bytes(random, most);
        let changed = if random.chance(50) {
            value.extend_from_slice(&bytes);
            table.append(&key, &bytes)
        } else {
            let at = random.below(value.len() as u64) as usize;
            let bytes = &bytes[..bytes.len().min(value.len() - at)];
            value[at..at + bytes.len()].copy_from_slice(bytes);
            table.patch(&key, at as u64, bytes)
        };
        return note(model, Commit::Change(vec![(name.into(), key, Some(value))]), changed, durable);
    }
    let mut value = random_value(random);
    if random.chance(40)
        && let Some(mut old) = table.get(&key)?
        && old.len() > 40
    {
        // An update in place.
        let at = random.below(old.len() as u64 - 8) as usize;
        old[at..at + 8].copy_from_slice(&random.draw().to_le_bytes());
        value = old;
    }
    let change = Commit::Change(vec![(name.into(), key.clone(), Some(value.clone()))]);
    let put = table.with_durability(durability).put(&key, &value);
    note(model, change, put, durable)
}

/// Notes a commit, also one that failed, if it may have happened.
fn note(model: &mut Model, commit: Commit, result: Result<()>, durable: bool) -> Result<()> {
    if let Err(error) = &result
        && !matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::DiskFull | ErrorKind::Io)
    {
        panic!("{commit:?}: {error}");
    }
    if let (Commit::Change(_), Err(error)) = (&commit, &result)
        && error.kind() != ErrorKind::Poisoned
    {
        return result; // nothing has changed
    }
    model.committed(commit, durable && result.is_ok());
    result
}
