//! On which terms a batch is committed: what was read is still there, and for a transaction, what it writes and reads is as it was.

use super::{Batch, Failure};
use crate::batch::BatchEntry;
use crate::error::{Error, Result};
use crate::long_key::Expected;
use crate::view::Reads;
use aquifer_sync::Arc;
use aquifer_txn::{CommitLsn, Conflicts, Notice, Snapshot, Watch, WriteKeys};

/// What must hold when a batch is committed, or nothing of it happens.
#[derive(Default)]
pub(crate) struct Terms<'t> {
    /// Keys have what was read of them.
    pub(crate) expected: &'t [Expected],
    /// Nobody has changed since what is written.
    pub(crate) snapshot: Option<&'t Snapshot>,
    /// Nor these keys, which were locked, or merged and read (MG6 of `merge`): by their table's number in the batch.
    pub(crate) kept: &'t [(u32, Vec<u8>)],
    /// Nobody has changed since what was read.
    pub(crate) reads: Option<(&'t Watch<Arc<Conflicts>>, Reads<'t>)>,
}

impl Batch<'_> {
    pub(super) fn check_expected(&self) -> Result<()> {
        for expected in self.terms.expected {
            let table = &self.batch.tables[expected.table as usize];
            if table.find(&expected.key)? != expected.found {
                return Err(Error::ValueChanged { table: table.name.clone() });
            }
        }
        Ok(())
    }

    /// The first committer wins. Under the stripes nobody changes these keys, and who did before has kept what he replaced.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let Some(snapshot) = self.terms.snapshot else { return Ok(()) };
        let versions = &self.engine.txns.versions;
        let merges = |entry: &BatchEntry| {
            self.batch.operands(entry).is_some() && self.batch.table_of(entry).merges_commute()
        };
        let written = self.entries().map(|entry| (entry.table, self.batch.key(entry), merges(entry)));
        let kept = self.terms.kept.iter().map(|(table, key)| (*table, &key[..], false));
        for (number, key, merges) in written.chain(kept) {
            let table = &self.batch.tables[number as usize];
            let name = table.index.name(key);
            let unchanged = match merges {
                true => versions.check_only_merged(snapshot, table.id, &name), // MG5 of `merge`
                false => versions.check_unchanged(snapshot, table.id, &name),
            };
            unchanged.map_err(|error| self.transaction_error(error))?;
        }
        self.batch.tables.iter().try_for_each(|table| table.check_clear(snapshot)) // TX3
    }

    pub(super) fn transaction_error(&self, error: aquifer_txn::Error) -> Error {
        self.engine.transaction_error(error, |id| {
            self.batch.tables.iter().find(|table| table.id == id).map(|table| &**table)
        })
    }

    /// What is announced.
    pub(super) fn keys(&self) -> WriteKeys {
        let name = |entry: &BatchEntry| {
            let table = self.batch.table_of(entry);
            (table.id, table.index.name(self.batch.key(entry)).as_ref().into())
        };
        WriteKeys { keys: self.entries().map(name).collect(), ranges: Vec::new() }
    }

    /// What the transaction has read is as it was, as far as its place. Waits for those that are just reserving theirs.
    pub(super) fn validate(&self, place: CommitLsn, notice: &Notice<'_>) -> std::result::Result<(), Failure> {
        let Some((watch, reads)) = self.terms.reads else { return Ok(()) };
        let valid = watch.validate(reads.set, place, notice);
        let named = |error| reads.conflict(&error).unwrap_or_else(|| self.transaction_error(error));
        valid.map_err(|error| Failure::Undone(named(error)))
    }
}
