//! Loading sorted records into an empty table, past the log.
//!
//! ```text
//!  row of a tree beside | full leaves, one after the other | checkpoint | ADOPT: the roots change places
//!  '--- a crash: the row's tree is freed at the next opening ----------'  '--- replayed: all is there ---'
//! ```
//!
//! # Invariants
//!
//! - **BU1** Nobody sees a record before all are there, and durable but for the ADOPT record (CD3). What stops before leaves the
//!   table as it was; the pages come back.
//! - **BU2** The table must be empty when the load begins and when it ends: the second is found out under all stripes.
//! - **BU3** The loader holds a stripe while it changes its tree, so whoever holds all of them finds it whole.
//! - **BU4** A large value is written when it comes, without a place in the log, and attached in the passage that puts its leaf into the tree
//!   (LV1 of `large`, BL4 of the index): the checkpoint before the ADOPT record has both. What waits for its leaf is reserved in
//!   memory alone: as many values as a leaf or two have descriptors.

use crate::Durability;
use crate::catalog::Journal;
use crate::database::Handle;
use crate::durability::Commit;
use crate::error::{Error, Result};
use crate::large::{Finished, LargeWriter, Logging, Written, write_whole};
use crate::long_key;
use crate::record::{self, CommitWriter};
use crate::table_core::TableCore;
use aquifer_buffer::Mutation;
use aquifer_index::LeafValue;
use aquifer_index::btree::{BTree, BulkError, BulkLoader};
use aquifer_sync::Arc;
use aquifer_txn::{CommitLsn, KeyRange, WriteKeys};
use std::collections::VecDeque;
use std::ops::Bound;

/// How full leaves are made, in percent.
const FILL_PERCENT: usize = 100;

/// A load under way.
pub(crate) struct BulkLoad {
    handle: Arc<Handle>,
    table: Arc<TableCore>,
    loader: Option<BulkLoader>,
    waiting: Waiting,
    /// The group that long keys come for at present.
    group: Option<OpenGroup>,
    /// Records so far.
    count: u64,
    tree: BTree,
    adopted: bool,
    /// CD3 demands one before the tree is adopted.
    takes_checkpoint: bool,
}

impl BulkLoad {
    /// Begins a load.
    ///
    /// # Errors
    ///
    /// `Usage` if the table is not empty; a dropped table, a closed or poisoned database; those of disk and budget.
    pub(crate) fn begin(handle: &Arc<Handle>, table: &Arc<TableCore>) -> Result<Self> {
        let engine = &handle.engine;
        check_empty(table)?;
        let mut catalog = engine.lock_catalog_to_change()?;
        table.check_usable()?;
        let tree = {
            let _stripe = engine.stripes.lock(table.id, &[]); // BU3
            catalog.begin_loading(table.id, Journal::Log(&engine.order))?
        };
        let lsn = engine.log.reserved().0;
        let loader = BulkLoader::new(tree, engine.pager.page_bytes(), FILL_PERCENT, lsn);
        let (loader, waiting) = (Some(loader), Waiting::default());
        let takes_checkpoint = table.writes_log;
        let (handle, table) = (Arc::clone(handle), Arc::clone(table));
        Ok(BulkLoad {
            handle,
            table,
            loader,
            waiting,
            group: None,
            count: 0,
            tree,
            adopted: false,
            takes_checkpoint,
        })
    }

    /// Lets [`finish`](Self::finish) take no checkpoint: for a database that is none before one that comes after all loads.
    pub(crate) fn without_checkpoint(mut self) -> Self {
        self.takes_checkpoint = false;
        self
    }

    /// Loads a record, whose key lies above all before.
    ///
    /// # Errors
    ///
    /// `Usage` for one that is out of order, with its place; too long a key or value; those of disk and budget.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.table.check_lengths_large(key, value.len() as u64)?;
        if self.table.is_long(key) {
            self.push_long(key, value)?;
            self.count += 1;
            return Ok(());
        }
        self.end_group(Some(key))?;
        self.push_record(key, value)?;
        self.count += 1;
        Ok(())
    }

    /// Loads a record whose value comes piece by piece. If `fill` fails, nothing is loaded, and what it said is given back.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub(crate) fn push_large<E>(
        &mut self,
        key: &[u8],
        fill: impl FnOnce(&mut LargeWriter) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<(), E>> {
        let mut writer = LargeWriter::new(&self.handle, &self.table, key.to_vec(), Durability::Eventual)?;
        if let Err(error) = fill(&mut writer) {
            return Ok(Err(error));
        }
        match writer.into_finished(Logging::None)? {
            Finished::Inline(value) => self.push(key, &value)?,
            Finished::Large(written) => {
                self.end_group(Some(key))?;
                self.push_written(key, written)?;
                self.count += 1;
            }
        }
        Ok(Ok(()))
    }

    /// A member of the present group, or the first of the next.
    fn push_long(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (group_key, suffix) = long_key::split(self.table.key_len_max, key);
        if self.group.as_ref().is_none_or(|group| group.key != group_key) {
            self.end_group(Some(key))?;
            let last = self.loader.as_ref().and_then(BulkLoader::last_key);
            if let Some(previous) = last.filter(|&last| *last >= group_key[..]) {
                return Err(self.unsorted(previous, key));
            }
            let members = long_key::Builder::default();
            self.group = Some(OpenGroup { key: group_key, last: Vec::new(), members });
        }
        let Some(group) = &mut self.group else { unreachable!("made above") };
        if group.last >= suffix.to_vec() {
            let previous = [&group.key[..group.key.len() - 1], &group.last].concat();
            return Err(self.unsorted(&previous, key));
        }
        group.last = suffix.to_vec();
        group.members.push(suffix, value);
        long_key::check_group(&self.table, key, group.members.len())?;
        Ok(())
    }

    /// Loads the group that no more members come for: what comes next is `next`.
    fn end_group(&mut self, next: Option<&[u8]>) -> Result<()> {
        let Some(OpenGroup { key, last, members }) = self.group.take() else { return Ok(()) };
        if let Some(next) = next.filter(|&next| next <= &key[..]) {
            let previous = [&key[..key.len() - 1], &last].concat();
            return Err(self.unsorted(&previous, next));
        }
        match members.finish() {
            Some(group) => self.push_record(&key, &group),
            None => Ok(()),
        }
    }

    /// A record of the index.
    fn push_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if value.len() <= self.table.value_len_max {
            return self.push_value(key, LeafValue::inline(value), None);
        }
        self.table.check_usable()?;
        let written = write_whole(&self.handle.engine, value, Logging::None)?; // BU4
        self.push_written(key, written)
    }

    fn push_written(&mut self, key: &[u8], written: Written) -> Result<()> {
        let descriptor = written.descriptor.clone();
        self.push_value(key, LeafValue::large(&descriptor), Some(written))
    }

    fn push_value(&mut self, key: &[u8], value: LeafValue<'_>, written: Option<Written>) -> Result<()> {
        let stripe = self.handle.engine.stripes.lock(self.table.id, &[]); // BU3
        self.table.check_usable()?;
        let loader = self.loader.as_mut().expect("until it is finished");
        self.waiting.values.extend(written.map(|written| (loader.count(), written)));
        let pushed =
            loader.push(&self.handle.engine.pager, key, value, &mut |m, count| self.waiting.attach(m, count));
        drop(stripe);
        pushed.map_err(|error| self.failed(error))
    }

    /// Makes the records the table's. Returns how many there are, and where the commit stands.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub(crate) fn finish(mut self) -> Result<(u64, Commit)> {
        self.end_group(None)?;
        let loader = self.loader.take().expect("it is finished once");
        let loaded = {
            let _stripe = self.handle.engine.stripes.lock(self.table.id, &[]); // BU3
            loader.finish(&self.handle.engine.pager, &mut |m, count| self.waiting.attach(m, count))
        };
        loaded.map_err(|error| self.failed(error))?;
        if self.takes_checkpoint {
            self.handle.engine.checkpoint()?; // CD3
        }
        Ok((self.count, self.adopt()?))
    }

    fn adopt(&mut self) -> Result<Commit> {
        let (engine, table) = (&self.handle.engine, &self.table);
        let mut record = Vec::new();
        match table.writes_log {
            true => CommitWriter::new(&mut record, 1).adopt(table.id, self.tree.root().0),
            false => record.extend_from_slice(record::NOTHING),
        }
        let keys = WriteKeys { keys: Vec::new(), ranges: vec![(table.id, KeyRange::all())] };
        let mut catalog = engine.lock_catalog_to_change()?;
        let (outcome, notice) = loop {
            let mut held = engine.stripes.lock_all(); // BU2, CD2
            check_empty(table)?;
            let notice = engine.txns.conflicts.announce(keys.clone());
            let journal = Journal::Log(&engine.order);
            let keep = |lsn| {
                engine.txns.blur(table, lsn);
                engine.tell_range(table, None, lsn);
            };
            match catalog.attempt_adopt(table, self.tree, &record, journal, &mut held, keep) {
                Ok(outcome) => {
                    notice.shown(CommitLsn(outcome.lsn.0)).expect("it was announced");
                    held[0].committed();
                    break (outcome, notice);
                }
                Err(stop) => {
                    drop(held);
                    stop.resolve(&engine.pager, Some(&engine.log))?;
                }
            }
        };
        self.adopted = true;
        table.note_unknown();
        // It is done, whatever comes of this.
        if let Err(error) = engine.reclaim_in_memory(&mut catalog) {
            tracing::warn!(%error, "what was there before could not be freed yet");
        }
        drop(catalog);
        engine.checkpointer.nudge();
        engine.finish(outcome.lsn, notice)?;
        Ok(match table.writes_log {
            true => Commit::Logged(outcome.lsn),
            false => Commit::Unlogged { epoch: outcome.epoch },
        })
    }

    /// Its number is that of the user's record, of which the index may have had fewer.
    fn unsorted(&self, previous: &[u8], key: &[u8]) -> Error {
        let (index, name) = (self.count, &self.table.name);
        if !self.table.is_long(previous) && !self.table.is_long(key) {
            let error = BulkError::Unsorted { index, previous: previous.to_vec(), key: key.to_vec() };
            return Error::usage(format!("table {name}: {error}"));
        }
        let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        Error::usage(format!(
            "table {name}: record {index} is out of order: its key of {} bytes is not above that of {} bytes before it, which begins \
             with the same {shared} bytes; sort the input by key, each key once",
            key.len(),
            previous.len()
        ))
    }

    fn failed(&self, error: BulkError) -> Error {
        match error {
            BulkError::Unsorted { previous, key, .. } => self.unsorted(&previous, &key),
            BulkError::Pager(error) => error.into(),
        }
    }
}

/// The large values among the records that are on no leaf yet (BU4).
#[derive(Default)]
struct Waiting {
    /// Records that are on leaves.
    placed: u64,
    /// Each with the number of its record.
    values: VecDeque<(u64, Written)>,
}

impl Waiting {
    /// The first records have come onto a leaf.
    fn attach(&mut self, m: &Mutation<'_>, count: usize) {
        self.placed += count as u64;
        while self.values.front().is_some_and(|(record, _)| *record < self.placed) {
            let (_, written) = self.values.pop_front().expect("there is a first");
            m.attach(written.take_new());
        }
    }
}

/// Members of one group, which come one after the other.
struct OpenGroup {
    key: Vec<u8>,
    /// The last suffix.
    last: Vec<u8>,
    members: long_key::Builder,
}

impl Drop for BulkLoad {
    fn drop(&mut self) {
        if self.adopted {
            return;
        }
        let mut catalog = self.handle.engine.catalog.lock();
        catalog.give_up_loading(self.tree);
        if let Err(error) = self.handle.engine.reclaim_in_memory(&mut catalog) {
            tracing::warn!(%error, "what was loaded could not be freed yet");
        }
        drop(catalog);
        self.handle.engine.checkpointer.nudge();
    }
}

fn check_empty(table: &TableCore) -> Result<()> {
    table.check_usable()?;
    let mut cursor = table.index.sorted().cursor(&table.pager, Bound::Unbounded, Bound::Unbounded);
    match table.reading(cursor.next())? {
        None => Ok(()),
        Some(_) => Err(Error::usage(format!(
            "table {} is not empty; load into a new table, delete its records first, or put them one by one",
            table.name
        ))),
    }
}
