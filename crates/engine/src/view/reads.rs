//! What a transaction has read: a serializable one all, another what is in tables whose merges commute (MG6 of `merge`).

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::table_core::TableCore;
use crate::transactions::Charge;
use aquifer_sync::{Mutex, Rank};
use aquifer_txn::{KeyRange, ReadSet};
use std::collections::BTreeMap;

/// Keys and ranges, and whether something could not be noted.
#[derive(Debug)]
pub(crate) struct ReadLog(Mutex<State>);

#[derive(Debug)]
struct State {
    set: ReadSet,
    /// Of which tables, by their ids, for errors to name them.
    tables: Tables,
    charge: Charge,
    /// Something was read and could not be noted: a serializable transaction cannot commit, and another has read everything.
    failed: Option<Error>,
    /// Scans that have not said what they have read.
    scans: usize,
}

/// A small one has one part of so many of what a transaction may write.
const SMALL_SHARE: usize = 16;

type Tables = BTreeMap<u32, (String, Index)>;

/// All that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reads<'r> {
    pub(crate) set: &'r ReadSet,
    tables: &'r Tables,
}

impl Reads<'_> {
    /// An error in the user's words, if it is a conflict over what was read.
    pub(crate) fn conflict(self, error: &aquifer_txn::Error) -> Option<Error> {
        let aquifer_txn::Error::Conflict { table, key } = error else { return None };
        let (name, index) = self.tables.get(table)?;
        Some(Error::Conflict { table: name.clone(), key: index.key_of_name(key).to_vec() })
    }
}

impl ReadLog {
    pub(crate) fn new(engine: &Engine) -> ReadLog {
        ReadLog::of_bytes(engine, engine.txns.write_bytes_max)
    }

    /// A small one, of reads on which nothing depends but what may be merged without conflict.
    pub(crate) fn small(engine: &Engine) -> ReadLog {
        ReadLog::of_bytes(engine, engine.txns.write_bytes_max / SMALL_SHARE)
    }

    fn of_bytes(engine: &Engine, bytes_max: usize) -> ReadLog {
        let set = ReadSet::new(bytes_max);
        let charge = Charge::new(&engine.txns.memory, "transactions");
        let state = State { set, tables: Tables::new(), charge, failed: None, scans: 0 };
        ReadLog(Mutex::new(Rank::Claims, state))
    }

    /// A key was read.
    pub(crate) fn add_key(&self, engine: &Engine, table: &TableCore, name: &[u8]) -> Result<()> {
        let mut state = self.0.lock();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.note(table);
        let added = state.set.add_key(table.id, name);
        added.map_err(|error| engine.transaction_error(error, |_| Some(table)))?;
        state.cover(engine)
    }

    /// A range was read. What goes wrong is said when the transaction commits.
    pub(crate) fn add_range(&self, engine: &Engine, table: &TableCore, range: KeyRange) {
        let mut state = self.0.lock();
        if state.failed.is_some() {
            return;
        }
        state.note(table);
        let added = state.set.add_range(table.id, range);
        let added = added.map_err(|error| engine.transaction_error(error, |_| Some(table)));
        if let Err(error) = added.and_then(|()| state.cover(engine)) {
            state.fail(error);
        }
    }

    /// As [`add_key`](Self::add_key), where what goes wrong means that everything counts as read.
    pub(crate) fn add_key_or_all(&self, engine: &Engine, table: &TableCore, name: &[u8]) {
        if let Err(error) = self.add_key(engine, table, name) {
            self.0.lock().fail(error);
        }
    }

    /// Was this key read, as far as that is known?
    pub(crate) fn may_have(&self, table: &TableCore, name: &[u8]) -> bool {
        let state = self.0.lock();
        state.failed.is_some() || state.scans > 0 || state.set.contains(table.id, name)
    }

    pub(crate) fn scan_begins(&self) {
        self.0.lock().scans += 1;
    }

    pub(crate) fn scan_ends(&self) {
        self.0.lock().scans -= 1;
    }

    /// Lends what was read, if it was all noted.
    pub(crate) fn complete(&mut self) -> Result<Reads<'_>> {
        let state = self.0.get_mut();
        match &state.failed {
            Some(error) => Err(error.clone()),
            None if state.scans > 0 => Err(Error::usage(
                "an iterator of the transaction was forgotten, so nobody knows what it has read; drop iterators before the commit",
            )),
            None => Ok(Reads { set: &state.set, tables: &state.tables }),
        }
    }
}

impl State {
    fn note(&mut self, table: &TableCore) {
        self.tables.entry(table.id).or_insert_with(|| (table.name.clone(), table.index));
    }

    /// What was noted is of no use any more, and takes no memory.
    fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
        self.set = ReadSet::new(0);
        self.charge.clear();
    }

    fn cover(&mut self, engine: &Engine) -> Result<()> {
        self.charge.cover(engine, self.set.bytes())
    }
}
