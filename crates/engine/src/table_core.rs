//! What all handles of a table share.
//!
//! # Invariants
//!
//! - **TC1** The state changes only while all stripes are held (ST2): a commit that has checked it under a stripe goes on
//!   to its end in that state. A reader that misses the change reads what was there before: a dropped table keeps its pages
//!   as long as a handle of it lives (C3).

use crate::catalog::Description;
use crate::error::{Error, Result};
use crate::expiry::Expiring;
use crate::index::Index;
use crate::long_key;
use crate::merge::Registry;
use aquifer_buffer::Pager;
use aquifer_index::blob::LARGE_BYTES_MAX;
use aquifer_index::{LeafValue, ValueKind};
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicU8, AtomicU64, Ordering};
use aquifer_txn::Snapshot;
use aquifer_wal::Lsn;

/// A table of an open database.
#[derive(Debug)]
pub(crate) struct TableCore {
    pub(crate) pager: Arc<Pager>,
    pub(crate) index: Index,
    state: AtomicU8,
    /// See TX3 of `transactions`.
    blurred_at: AtomicU64,
    /// Its merge operator (MG1 of `merge`).
    pub(crate) merging: Registry,
    /// Commits write log records.
    pub(crate) writes_log: bool,
    pub(crate) id: u32,
    /// The longest of the index, and so the key of a group.
    pub(crate) key_len_max: usize,
    /// Keys of this length lie in groups, and longer ones (LK1 of `long_key`).
    pub(crate) long_key_len_min: usize,
    pub(crate) value_len_max: usize,
    pub(crate) name: String,
    pub(crate) logged: bool,
    pub(crate) key_type: String,
    pub(crate) value_type: String,
    /// If its records may expire. Apart from what every get reads: puts change it.
    pub(crate) expiring: Option<Box<Expiring>>,
}

/// What a key has: its value, or the descriptor of a large one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: ValueKind,
    pub(crate) bytes: Vec<u8>,
}

impl Found {
    pub(crate) fn is_large(&self) -> bool {
        self.kind == ValueKind::Large
    }

    /// Is this it?
    pub(crate) fn is(&self, value: LeafValue<'_>) -> bool {
        self.kind == value.kind && self.bytes == value.bytes
    }
}

/// What a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TableState {
    Live = 0,
    Dropped = 1,
    Closed = 2,
    /// It names a table of a checkpoint, and is used for nothing else (CS3 of `checkpoint_snapshot`).
    OfCheckpoint = 3,
}

impl TableCore {
    pub(crate) fn new(
        id: u32,
        index: Index,
        description: Description,
        pager: Arc<Pager>,
        on_disk: bool,
    ) -> TableCore {
        let (key_len_max, value_len_max) = index.limits(pager.page_bytes());
        let Description { name, kind: _, logged, key_type, value_type, lifetime } = description;
        TableCore {
            pager,
            index,
            state: AtomicU8::new(TableState::Live as u8),
            blurred_at: AtomicU64::new(0),
            merging: Registry::default(),
            writes_log: logged && on_disk,
            id,
            key_len_max,
            long_key_len_min: key_len_max,
            value_len_max,
            name,
            logged,
            key_type,
            value_type,
            expiring: lifetime.map(|lifetime| Box::new(Expiring::new(lifetime))),
        }
    }

    pub(crate) fn description(&self) -> Description {
        Description {
            name: self.name.clone(),
            kind: self.index.kind(),
            logged: self.logged,
            key_type: self.key_type.clone(),
            value_type: self.value_type.clone(),
            lifetime: self.expiring.as_ref().map(|expiring| expiring.lifetime),
        }
    }

    /// May the table be used? Two instructions where it may.
    #[inline]
    pub(crate) fn check_usable(&self) -> Result<()> {
        // Relaxed: a writer is ordered by its stripe's mutex, a reader needs no order (TC1).
        match self.state.load(Ordering::Relaxed) {
            0 => Ok(()),
            state => Err(self.unusable(state)),
        }
    }

    #[cold]
    fn unusable(&self, state: u8) -> Error {
        match state {
            state if state == TableState::Dropped as u8 => Error::TableDropped { name: self.name.clone() },
            state if state == TableState::OfCheckpoint as u8 => Error::usage(format!(
                "this handle is for reading table {} through a checkpoint snapshot; open the table of the database for anything else",
                self.name
            )),
            _ => Error::Closed,
        }
    }

    /// What a read of its pages gave. One that failed while the table was dropped or closed says that.
    #[inline]
    pub(crate) fn reading<T>(&self, result: aquifer_buffer::Result<T>) -> Result<T> {
        result.map_err(|error| self.check_usable().err().unwrap_or_else(|| error.into()))
    }

    /// As [`reading`](Self::reading), of pages of large values.
    pub(crate) fn reading_large<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.check_usable().err().unwrap_or(error))
    }

    /// The same table with its values as they are stored. For somebody who uses it alone and has no other handle of it: it does not
    /// learn that the table is dropped.
    pub(crate) fn of_stored_values(&self) -> TableCore {
        let (on_disk, pager) = (self.writes_log, Arc::clone(&self.pager));
        let mut core = TableCore::new(self.id, self.index, self.description(), pager, on_disk);
        core.expiring = None;
        core
    }

    /// As [`of_stored_values`](Self::of_stored_values), by the records of its index, in which groups of long keys are records like others.
    pub(crate) fn of_index_records(&self) -> TableCore {
        let mut core = self.of_stored_values();
        core.long_key_len_min = usize::MAX;
        core
    }

    /// Does the key lie in a group?
    #[inline]
    pub(crate) fn is_long(&self, key: &[u8]) -> bool {
        key.len() >= self.long_key_len_min
    }

    /// What a key of the index has.
    pub(crate) fn find(&self, key: &[u8]) -> Result<Option<Found>> {
        let mut bytes = Vec::new();
        let kind = self.reading(self.index.look_up(&self.pager, key, &mut bytes))?.kind;
        Ok(kind.map(|kind| Found { kind, bytes }))
    }

    pub(crate) fn set_state(&self, state: TableState) {
        // Relaxed: see `check_usable`.
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Snapshots below this cannot read the table any more (TX3 of `transactions`). Before a page shows it.
    pub(crate) fn blur(&self, lsn: Lsn) {
        // Release: with the page that is changed next.
        self.blurred_at.fetch_max(lsn.0, Ordering::Release);
    }

    /// Can a snapshot read the table? To be asked after a page was read.
    ///
    /// # Errors
    ///
    /// `SnapshotTooOld`.
    pub(crate) fn check_clear(&self, snapshot: &Snapshot) -> Result<()> {
        match self.blurred_at.load(Ordering::Acquire) > snapshot.lsn().0 {
            true => Err(Error::SnapshotTooOld),
            false => Ok(()),
        }
    }

    /// May there be such a key?
    pub(crate) fn check_key(&self, key: &[u8]) -> Result<()> {
        self.check_lengths_large(key, 0)
    }

    /// May there be such a record, in a leaf, as a large value or in a group?
    #[inline]
    pub(crate) fn check_lengths_large(&self, key: &[u8], value_len: u64) -> Result<()> {
        if value_len > LARGE_BYTES_MAX {
            return Err(self.too_long(value_len));
        }
        if self.is_long(key) {
            return long_key::check(self, key, value_len);
        }
        self.check_lengths(key, &[])
    }

    #[cold]
    pub(crate) fn too_long(&self, len: u64) -> Error {
        let (len, len_max) = (usize::try_from(len).unwrap_or(usize::MAX), LARGE_BYTES_MAX as usize);
        Error::ValueTooLarge { table: self.name.clone(), len, len_max }
    }

    /// Does a page hold such a record of the index?
    #[inline]
    pub(crate) fn check_lengths(&self, key: &[u8], value: &[u8]) -> Result<()> {
        if key.len() <= self.key_len_max && value.len() <= self.value_len_max {
            return Ok(());
        }
        Err(self.too_large(key.len(), value.len()))
    }

    #[cold]
    fn too_large(&self, key_len: usize, value_len: usize) -> Error {
        let table = self.name.clone();
        if key_len > self.key_len_max {
            Error::KeyTooLarge { table, len: key_len, len_max: self.key_len_max }
        } else {
            Error::ValueTooLarge { table, len: value_len, len_max: self.value_len_max }
        }
    }
}
