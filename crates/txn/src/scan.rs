//! A store's cursor, older values and own writes as one: what a transaction sees of a range, forward or backward.
//!
//! ```text
//!   store cursor      b   d   e        keys with their newest values
//!   removed keys    a       d          deleted since some snapshot
//!   own writes          c     e f
//!   ------------------------------
//!   candidates      a b c d   e f      each resolved: own write, else value at the snapshot, else passed over
//! ```
//!
//! # Cost
//!
//! For each key one step of the cursor, one load, and a look into the versions only where the store's record may have changed after
//! the snapshot. A delete in the table, anywhere, costs one more search in the set of removed keys at the next step.
//!
//! # Invariants
//!
//! - **SC1** The store is read before the removed keys of the same stretch. A key that was deleted before the store was read is then in
//!   the set (VE6 of `versions`), one that is deleted after it was met in the store.
//! - **SC2** What is remembered of the removed keys holds while their number of listings is what it was; it is asked after every step
//!   of the store's cursor (RE1).
//! - **SC3** Keys come in order, each once: all three are moved past a candidate before the next.

use crate::error::Error;
use crate::key::{CommitLsn, Direction, KeyRange};
use crate::snapshots::Snapshot;
use crate::versions::{AsOf, Versions};
use crate::write_set::{Write, WriteSet};

/// A record as a store's cursor meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Vec<u8>,
    /// The newest value.
    pub value: Vec<u8>,
    /// No commit after this has changed the record: its page's `changed_at`, or something greater if that is not known.
    pub changed_at: CommitLsn,
}

/// What the engine supplies: the records of a range of one table, in the direction that the scan goes.
pub trait StoreCursor {
    /// What goes wrong in the store, or here.
    type Error: From<Error>;

    /// The next record. A change that it shows was pushed to the versions before.
    ///
    /// # Errors
    ///
    /// The store's.
    fn next(&mut self) -> Result<Option<Item>, Self::Error>;

    /// What an own write of a key makes of the store's value as the snapshot has it, which is not given if the write does not
    /// [need](Write::needs_store) it: mostly [`Write::resolve`].
    ///
    /// # Errors
    ///
    /// The store's, or those of the operator of a merge.
    fn resolve(
        &self,
        key: &[u8],
        write: &Write,
        stored: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// A key and its value, as a transaction sees them.
pub type Record = (Vec<u8>, Vec<u8>);

/// What a transaction sees of a range.
pub struct Scan<'s, C: StoreCursor> {
    cursor: C,
    view: View<'s>,
    direction: Direction,
    /// What is still to come.
    ahead: KeyRange,
    /// Read from the store, and not yet passed.
    stored: Option<Item>,
    at_end: bool,
    /// The next removed key, as of so many listings (SC2).
    removed: Option<(u64, Option<Vec<u8>>)>,
}

/// Whose eyes a scan sees with.
#[derive(Debug, Clone, Copy)]
pub struct View<'s> {
    /// The table.
    pub table: u32,
    /// Older values.
    pub versions: &'s Versions,
    /// The snapshot.
    pub snapshot: &'s Snapshot,
    /// Own writes, if it is a transaction that may have some.
    pub writes: Option<&'s WriteSet>,
}

impl<'s, C: StoreCursor> Scan<'s, C> {
    /// A scan of `range`, of which `cursor` gives the store's records in the same direction.
    pub fn new(cursor: C, view: View<'s>, range: KeyRange, direction: Direction) -> Scan<'s, C> {
        Scan { cursor, view, direction, ahead: range, stored: None, at_end: false, removed: None }
    }

    /// The next key and its value.
    ///
    /// # Errors
    ///
    /// The store's; [`Error::SnapshotTooOld`].
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Record>, C::Error> {
        loop {
            if self.stored.is_none() && !self.at_end {
                self.stored = self.cursor.next()?; // SC1: before the removed keys
                self.at_end = self.stored.is_none();
            }
            self.look_at_removed();
            let Some(key) = self.candidate() else { return Ok(None) };
            // SC3
            let stored = self.stored.take_if(|item| item.key == key);
            if self.removed.as_ref().is_some_and(|(_, removed)| removed.as_ref() == Some(&key)) {
                self.removed = None;
            }
            self.ahead = self.ahead.ahead_of(&key, self.direction);
            let resolve = |write: &Write, stored: Option<&[u8]>| self.cursor.resolve(&key, write, stored);
            if let Some(value) = self.view.value(&key, stored, resolve)? {
                return Ok(Some((key, value)));
            }
        }
    }

    /// SC2.
    fn look_at_removed(&mut self) {
        let View { table, versions, .. } = self.view;
        let listings = versions.removals(table);
        if self.removed.as_ref().is_none_or(|(then, _)| *then != listings) {
            self.removed = Some((listings, versions.next_removed(table, &self.ahead, self.direction)));
        }
    }

    /// The nearest key ahead of all three.
    fn candidate(&self) -> Option<Vec<u8>> {
        let stored = self.stored.as_ref().map(|item| &item.key[..]);
        let removed = self.removed.as_ref().and_then(|(_, removed)| removed.as_deref());
        let own =
            self.view.writes.and_then(|writes| writes.next(self.view.table, &self.ahead, self.direction));
        let all = [stored, removed, own.map(|(key, _)| key)].into_iter().flatten();
        let nearest = match self.direction {
            Direction::Forward => all.min(),
            Direction::Backward => all.max(),
        };
        nearest.map(<[u8]>::to_vec)
    }
}

impl View<'_> {
    /// The value of a key, where the store has this record of it, read before this call: point reads go the same way. `resolve` is as
    /// that of a [cursor](StoreCursor::resolve).
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotTooOld`], and those of `resolve`.
    pub fn value<E: From<Error>>(
        &self,
        key: &[u8],
        stored: Option<Item>,
        resolve: impl FnOnce(&Write, Option<&[u8]>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let own = self.writes.and_then(|writes| writes.get(self.table, key));
        if let Some(write) = own.filter(|write| !write.needs_store()) {
            return resolve(write, None);
        }
        if own.is_none() && self.writes.is_some_and(|writes| writes.is_deleted(self.table, key)) {
            return Ok(None);
        }
        let seen = self.value_as_of(key, stored)?;
        match own {
            Some(write) => resolve(write, seen.as_deref()),
            None => Ok(seen),
        }
    }

    fn value_as_of(&self, key: &[u8], stored: Option<Item>) -> Result<Option<Vec<u8>>, Error> {
        if stored.as_ref().is_some_and(|item| item.changed_at <= self.snapshot.lsn()) {
            return Ok(stored.map(|item| item.value));
        }
        let current = stored.as_ref().map(|item| &item.value[..]);
        match self.versions.value_as_of(self.snapshot, self.table, key, current)? {
            AsOf::Current => Ok(stored.map(|item| item.value)),
            AsOf::Absent => Ok(None),
            AsOf::Value(value) => Ok(Some(value)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
