//! What a snapshot sees of a table, with a transaction's own writes.
//!
//! # Invariants
//!
//! - **VW1** The page is read first, and older values are asked for after (rule 4 of `aquifer_txn`). A page that has not changed since the snapshot
//!   needs no question.
//! - **VW2** After the page, `blurred_at` is looked at (TX3): what was changed without keeping it is refused, not guessed.
//! - **VW3** A snapshot that may meet large values has pinned all direct pages before everything that was reserved by then became visible,
//!   and before it was taken. So a page that it can find was detached after the pin, if at all (DP5 of the buffer manager).
//! - **VW4** What a transaction has put it sees as it is. What it has merged it sees as the operator makes it of what its snapshot has.

mod cursor;
mod reads;

pub(crate) use cursor::ViewCursor;
pub(crate) use reads::{ReadLog, Reads};

use crate::clock::Moment;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::large;
use crate::long_key;
use crate::table_core::{Found, TableCore};
use crate::transactions::{found, stored};
use aquifer_buffer::Pin;
use aquifer_index::{LeafValue, Lookup};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_txn::{CommitLsn, Item, Snapshot, Write, WriteSet};

/// Whose eyes are seen with.
#[derive(Clone, Copy)]
pub(crate) struct View<'v> {
    pub(crate) engine: &'v Engine,
    /// When own operands are merged.
    pub(crate) now: Moment,
    /// Nothing for pages that are as they should be: those of a checkpoint.
    pub(crate) snapshot: Option<&'v Snapshot>,
    /// Own writes, if it is a transaction that may have some: whole values, of whatever length, and operands for what is stored.
    pub(crate) writes: Option<&'v WriteSet>,
    /// Told when the snapshot is too old.
    pub(crate) too_old: Option<&'v AtomicBool>,
}

impl<'v> View<'v> {
    /// What a snapshot alone sees.
    pub(crate) fn of(engine: &'v Engine, snapshot: &'v Snapshot) -> View<'v> {
        View { engine, now: Moment::default(), snapshot: Some(snapshot), writes: None, too_old: None }
    }

    /// By whose place in the order it sees.
    fn versions(self) -> &'v Snapshot {
        self.snapshot.expect("who reads the pages of a checkpoint asks for no older values")
    }

    /// What a key of the index has.
    pub(crate) fn find(self, table: &TableCore, key: &[u8]) -> Result<Option<Found>> {
        let name = table.index.name(key);
        let own = self.writes.is_some_and(|writes| {
            writes.get(table.id, &name).is_some() || writes.is_deleted(table.id, &name)
        });
        let mut bytes = Vec::new();
        let Lookup { kind, changed_at } =
            table.reading(table.index.look_up(&table.pager, key, &mut bytes))?;
        let current = kind.map(|kind| Found { kind, bytes });
        let Some(snapshot) = self.snapshot else { return Ok(current) }; // CS2 of `checkpoint_snapshot`
        self.check_clear(table)?;
        if !own && changed_at <= snapshot.lsn().0 {
            return Ok(current); // VW1
        }
        let item = current.map(|current| Item {
            key: name.to_vec(),
            value: stored(LeafValue { kind: current.kind, bytes: &current.bytes }),
            changed_at: CommitLsn(changed_at),
        });
        let resolve = |write: &Write, stored: Option<&[u8]>| self.resolve(table, &name, write, stored);
        let value = self.of_table(table).value(&name, item, resolve);
        Ok(value.map_err(|error| self.read_error(table, error))?.map(found))
    }

    /// Makes `out` the value of a key of the index, whole; whether there is one.
    pub(crate) fn find_whole(self, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let Some(found) = self.find(table, key)? else {
            out.clear();
            return Ok(false);
        };
        if found.is_large() {
            self.copy_large(table, &found.bytes, out)?;
        } else {
            *out = found.bytes;
        }
        Ok(true)
    }

    /// Makes `out` the large value of this descriptor, which this view has found.
    pub(crate) fn copy_large(self, table: &TableCore, descriptor: &[u8], out: &mut Vec<u8>) -> Result<()> {
        // Its pages are held by the snapshot's own pin (VW3).
        large::copy_whole(self.engine, table, Pin::everything(&table.pager), descriptor, out)
    }

    /// Makes `out` the value of a key of any length, whole; whether there is one.
    pub(crate) fn get_into(self, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        table.check_usable()?;
        if !table.is_long(key) {
            return self.find_whole(table, key, out);
        }
        let (group_key, suffix) = long_key::split(table.key_len_max, key);
        let is_there = self.find_whole(table, &group_key, out)?;
        long_key::choose_member(table, is_there, suffix, out)
    }

    /// VW2.
    fn check_clear(self, table: &TableCore) -> Result<()> {
        table.check_clear(self.versions()).inspect_err(|_| self.note_too_old())
    }

    fn note_too_old(self) {
        if let Some(too_old) = self.too_old {
            too_old.store(true, Ordering::Relaxed);
        }
    }

    /// VW4.
    fn resolve(
        self,
        table: &TableCore,
        name: &[u8],
        write: &Write,
        seen: Option<&[u8]>,
    ) -> std::result::Result<Option<Vec<u8>>, ReadError> {
        let mut whole = None;
        if let Some(seen) = seen.map(|seen| found(seen.to_vec())) {
            let mut large = Vec::new();
            if seen.is_large() {
                self.copy_large(table, &seen.bytes, &mut large).map_err(ReadError::Engine)?;
            }
            whole = Some(if seen.is_large() { large } else { seen.bytes });
        }
        let key = table.index.key_of_name(name);
        let merge =
            |value: Option<Vec<u8>>, operand: &[u8]| table.merged(self.now, key, value.as_deref(), operand);
        let value = write.try_resolve(whole.as_deref(), merge).map_err(ReadError::Engine)?;
        Ok(value.map(|value| stored(LeafValue::inline(&value))))
    }

    fn of_table(self, table: &TableCore) -> aquifer_txn::View<'v> {
        aquifer_txn::View {
            table: table.id,
            versions: &self.engine.txns.versions,
            snapshot: self.versions(),
            writes: self.writes,
        }
    }

    fn read_error(self, table: &TableCore, error: ReadError) -> Error {
        match error {
            ReadError::Engine(error) => error,
            ReadError::Transaction(error) => {
                if error == aquifer_txn::Error::SnapshotTooOld {
                    self.note_too_old();
                }
                self.engine.transaction_error(error, |_| Some(table))
            }
        }
    }
}

/// What goes wrong while something is read.
enum ReadError {
    Transaction(aquifer_txn::Error),
    Engine(Error),
}

impl From<aquifer_txn::Error> for ReadError {
    fn from(error: aquifer_txn::Error) -> ReadError {
        ReadError::Transaction(error)
    }
}
