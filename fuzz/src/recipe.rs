//! The small databases that are damaged: what was committed, one after the other, and every state on the way.
//!
//! Identity and times in their files differ each time they are made, so the files are checked in (`fuzz/base/`) and an
//! input means the same tomorrow. `aquifer-fuzz seed` makes them anew when a format changes.

use crate::disk::{Files, MemoryDisk};
use crate::image;
use crate::source::Source;
use anyhow::Result;
use aquifer::{Database, Durability, Options, TableOptions};
use aquifer_sync::OnceLock;
use std::collections::BTreeMap;

/// Tables, and their records.
pub type State = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// One commit, or a checkpoint between two.
#[derive(Debug, Clone)]
enum Step {
    Create(&'static str),
    Put(&'static str, Vec<u8>, Vec<u8>),
    Delete(&'static str, Vec<u8>),
    Checkpoint,
}

/// A database that was made by the recipe.
#[derive(Debug)]
pub struct Base {
    /// Its files.
    pub files: Files,
    /// It was closed; otherwise its process was killed.
    pub closed: bool,
}

/// The checked-in databases: one that was closed, one whose process was killed.
pub fn bases() -> &'static [Base; 2] {
    static BASES: OnceLock<[Base; 2]> = OnceLock::new();
    const CLOSED: &[u8] = include_bytes!("../base/closed.bin");
    const KILLED: &[u8] = include_bytes!("../base/killed.bin");
    let read = |bytes| image::read(&mut Source::new(bytes));
    BASES.get_or_init(|| {
        [Base { files: read(CLOSED), closed: true }, Base { files: read(KILLED), closed: false }]
    })
}

/// How the databases are opened: least memory, and no threads.
pub fn options(disk: &MemoryDisk) -> Options {
    Database::options().memory_budget(2 << 20).background(false).segment_bytes_max(64 << 10).disk(disk.disk())
}

/// Every state that the recipe went through, the empty one first.
pub fn states() -> &'static [State] {
    static STATES: OnceLock<Vec<State>> = OnceLock::new();
    STATES.get_or_init(|| {
        let mut states = vec![State::new()];
        for step in steps() {
            let mut state = states.last().cloned().unwrap_or_default();
            match step {
                Step::Create(table) => drop(state.insert(table.to_owned(), BTreeMap::new())),
                Step::Put(table, key, value) => {
                    drop(state.entry(table.into()).or_default().insert(key, value))
                }
                Step::Delete(table, key) => drop(state.entry(table.into()).or_default().remove(&key)),
                Step::Checkpoint => continue,
            }
            states.push(state);
        }
        states
    })
}

/// Makes the files of a database anew.
///
/// # Errors
///
/// The engine's.
pub fn make(closed: bool) -> Result<Files> {
    let disk = MemoryDisk::new(&Files::new());
    let db = options(&disk).create("")?;
    for step in steps() {
        match step {
            Step::Create(table) => drop(db.create_table(table, TableOptions::default())?),
            Step::Put(table, key, value) => {
                db.table(table)?.put_with(&key, &value, Durability::Power)?.wait()?
            }
            Step::Delete(table, key) => drop(db.table(table)?.delete(&key)?),
            Step::Checkpoint => db.checkpoint()?,
        }
    }
    if closed {
        db.close()?;
    }
    let files = disk.files();
    Ok(files.into_iter().filter(|(name, _)| name == "data" || name.starts_with("log/")).collect())
}

/// Deletes and updates on both sides of a checkpoint; a tree of two levels and one of one.
fn steps() -> Vec<Step> {
    let key = |n: u32| format!("key {n:03}").into_bytes();
    let long = |n: u32| vec![n as u8 | 0x80; 300];
    let mut steps = vec![Step::Create("t")];
    steps.extend((0..24).map(|n| Step::Put("t", key(n), long(n))));
    steps.push(Step::Create("u"));
    steps.extend((0..4).map(|n| Step::Put("u", key(n), b"short".to_vec())));
    steps.push(Step::Checkpoint);
    steps.push(Step::Delete("t", key(3)));
    steps.extend((20..28).map(|n| Step::Put("t", key(n), long(n + 7))));
    steps.extend((2..6).map(|n| Step::Put("u", key(n), format!("changed {n}").into_bytes())));
    steps
}

/// Everything in a database.
///
/// # Errors
///
/// The first record that cannot be read.
pub fn read_state(db: &Database) -> aquifer::Result<State> {
    let mut state = State::new();
    for info in db.tables() {
        let table = db.any_table(&info.name)?;
        let mut records = table.records();
        let rows: &mut BTreeMap<_, _> = state.entry(info.name).or_default();
        while let Some((key, value)) = records.next()? {
            rows.insert(key.to_vec(), value.to_vec());
        }
    }
    Ok(state)
}
