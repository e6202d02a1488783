//! Snapshots that read the pages of a checkpoint: for long reads that must not fail.
//!
//! ```text
//!  Table of the database --its id--> table of the checkpoint --> pager of its own --> pages that are kept
//!   (also if it is dropped by now)    `Catalog`, read only        `KeptCheckpoint::into_pager`
//! ```
//!
//! # Invariants
//!
//! - **CS1** It sees exactly the commits below the flip of one durable checkpoint, and tables without a log as they were then. One that is
//!   taken with a checkpoint of its own sees all that was committed before the call.
//! - **CS2** It reads by tables of its own, over a pager of its own whose pages never change (KR1, KR3 of the buffer manager). Older
//!   values and what makes snapshots too old are nothing to it: no commit keeps anything for it, and nothing gives it up.
//! - **CS3** A user's handle stands for the checkpoint's table of the same id, as ids are never used again (C2). Nobody gets a handle of the
//!   table that is read by: those that are opened here are good for reading through snapshots of checkpoints, and refuse all else.
//!   So nobody writes to its pages.
//! - **CS4** What its pages say was committed is visible before anybody reads them, so no reader waits for a commit (T2).
//! - **CS5** When the database is closed, so are its tables: the directory may be another's by then. Whoever comes later is refused.
//! - **CS6** Its pages are kept, and count as open, until everything that reads them is gone: iterators, and readers of large values, which may
//!   outlive it.

use crate::catalog::Catalog;
use crate::database::{Database, TableInfo};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::records::{AnyTable, HashTable};
use crate::snapshot::{Snapshot, Source};
use crate::stats::CheckpointSnapshotStats;
use crate::table::Table;
use crate::table_core::{TableCore, TableState};
use aquifer_buffer::{KeptCheckpoint, Pager, READING_ACCOUNT};
use aquifer_pools::BudgetExhausted;
use aquifer_sync::{Arc, Mutex, Rank, Weak};
use aquifer_wal::Lsn;
use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

/// Of the memory budget, one part of so many goes to the pages that one of them reads.
const CACHE_SHARE: usize = 16;
/// But not more than this.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// All tables as they were in a checkpoint, for as long as it is wanted: a [`Snapshot`] that is never too old. Reads go by the methods of
/// [`Snapshot`], which it is. May be used by several threads.
///
/// It reads the pages of a durable checkpoint from the data file, which keeps them until this goes. So it costs no memory for what
/// commits replace; it costs disk space, as much as the pages that change meanwhile, and of the memory budget a sixteenth (64 MiB at most) and
/// 12 bytes for each page of the database. Commits, checkpoints, range deletes, bulk loads and the dropping of tables go on, and do not wait
/// for it. For a short read that follows what is committed, [`Database::snapshot`] is cheaper.
///
/// Its tables are those of the checkpoint. A handle of a table of the database reads that table here, also if it was dropped since; with
/// one of a table that was made later, reads fail with a `Usage` error. [`tables`](Self::tables) lists what is there, and
/// [`table`](Self::table) and its like open a table by its name.
///
/// When the database is closed its reads return [`Error::Closed`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # use aquifer::{Database, TableOptions};
/// let db = Database::open(dir.path().join("shop"))?;
/// let stock = db.create_table("stock", TableOptions::default())?;
/// stock.put(b"apples", b"7")?;
///
/// let then = db.checkpoint_snapshot()?;
/// stock.put(b"apples", b"6")?;
/// db.drop_table("stock")?;
///
/// assert_eq!(then.get(&stock, b"apples")?.as_deref(), Some(&b"7"[..]));
/// let stock = then.table("stock")?; // as nobody has a handle of it any more
/// assert_eq!(then.range(&stock, ..).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CheckpointSnapshot {
    snapshot: Snapshot,
}

impl fmt::Debug for CheckpointSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointSnapshot").field("lsn", &self.lsn().0).finish_non_exhaustive()
    }
}

impl Deref for CheckpointSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Database {
    /// Takes a checkpoint, unless nothing has changed since the last, and a snapshot that reads it: of all that was committed before this call.
    /// Waits for the checkpoint, and then reads 8 bytes for each page of the database.
    ///
    /// # Errors
    ///
    /// `Usage` for a database in memory, which has no checkpoints; [`Error::BudgetExhausted`] if the memory budget has not that much
    /// left, or those that are open have half of it; [`Error::Corrupt`] for a damaged page map or catalog; what a checkpoint gives.
    pub fn checkpoint_snapshot(&self) -> Result<CheckpointSnapshot> {
        self.read_checkpoint(Engine::checkpoint_if_changed)
    }

    /// As [`checkpoint_snapshot`](Self::checkpoint_snapshot), of the newest checkpoint that is there, however old it is: writes nothing.
    /// [`Snapshot::lsn`] says which state that is. Waits only for a checkpoint that is under way.
    ///
    /// # Errors
    ///
    /// As there, but for those of a checkpoint.
    pub fn newest_checkpoint_snapshot(&self) -> Result<CheckpointSnapshot> {
        self.read_checkpoint(|_| Ok(()))
    }

    /// Of the checkpoint that is the newest after `first`.
    fn read_checkpoint(&self, first: impl FnOnce(&Engine) -> Result<()>) -> Result<CheckpointSnapshot> {
        let engine = self.engine();
        if !engine.on_disk {
            return Err(Error::usage(
                "a database in memory has no checkpoints; take a snapshot with `snapshot`, or dump it",
            ));
        }
        let kept = {
            let maintenance = engine.maintenance.lock();
            if maintenance.closed {
                return Err(Error::Closed);
            }
            first(engine)?; // CS1
            Pager::keep_checkpoint(&engine.pager).map_err(of_reading)?
        };
        let lsn = Lsn(kept.superblock().flip_lsn);
        engine.order.wait(lsn)?; // CS4
        let opened = engine.reading_pager(kept).and_then(|pager| Ok((Catalog::load(&pager, true)?, pager)));
        // If it was closed meanwhile, the file may be another's: then that is the error.
        let opened = opened.map_err(|error| engine.checkpoint_snapshots.check_open().err().unwrap_or(error));
        let (tables, pager) = opened?;
        engine.checkpoint_snapshots.add(lsn, &pager, &tables)?;
        let source = Source::Checkpoint(Box::new(CheckpointTables { lsn, tables }));
        Ok(CheckpointSnapshot { snapshot: Snapshot::of_source(self.handle(), source) })
    }
}

impl Engine {
    fn reading_pager(&self, kept: KeptCheckpoint) -> Result<Arc<Pager>> {
        let budget_bytes = self.limits.memory_budget_bytes;
        let cache_bytes = (budget_bytes / CACHE_SHARE).min(CACHE_BYTES_MAX);
        let requested_bytes = kept.reading_bytes(cache_bytes);
        // Two at once may both pass this; what they take is the budget's all the same.
        let used_bytes = self.budget.account(READING_ACCOUNT).used();
        if used_bytes + requested_bytes > budget_bytes / 2 {
            return Err(Error::BudgetExhausted(BudgetExhausted {
                account: READING_ACCOUNT,
                requested_bytes,
                used_bytes,
                budget_bytes: budget_bytes / 2,
            }));
        }
        kept.into_pager(cache_bytes).map_err(of_reading)
    }
}

/// What keeping or reading a checkpoint gave.
fn of_reading(error: aquifer_buffer::Error) -> Error {
    match error.into() {
        Error::BudgetExhausted(exhausted) => {
            Error::BudgetExhausted(BudgetExhausted { account: READING_ACCOUNT, ..exhausted })
        }
        other => other,
    }
}

impl CheckpointSnapshot {
    fn checkpoint(&self) -> &CheckpointTables {
        match &self.snapshot.source {
            Source::Checkpoint(checkpoint) => checkpoint,
            Source::Versions(_) => unreachable!("it was made of a checkpoint"),
        }
    }

    /// All tables of the checkpoint, by name.
    pub fn tables(&self) -> Vec<TableInfo> {
        self.checkpoint().tables.tables().map(|table| TableInfo::of(table)).collect()
    }

    /// The sorted table of this name, as bytes, whatever its types are. The handle is for this snapshot, and for others of a checkpoint
    /// that have the table; whatever else is done with it returns a `Usage` error.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`] if the checkpoint has none; [`Error::TypeMismatch`] if it is hashed.
    pub fn table(&self, name: &str) -> Result<Table> {
        self.open_table(name)
    }

    /// The hashed table of this name, as [`table`](Self::table).
    ///
    /// # Errors
    ///
    /// As there; [`Error::TypeMismatch`] if it is sorted.
    pub fn hash_table(&self, name: &str) -> Result<HashTable> {
        self.open_table(name)
    }

    /// The table of this name, as [`table`](Self::table), whatever its kind is.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`] if the checkpoint has none.
    pub fn any_table(&self, name: &str) -> Result<AnyTable> {
        self.open_table(name)
    }

    fn open_table<O: Kind>(&self, name: &str) -> Result<Table<[u8], [u8], O>> {
        Table::new(&self.snapshot.handle, self.table_core(name)?)
    }

    /// Records in all tables, estimated.
    pub(crate) fn len_estimate(&self) -> Result<u64> {
        let tables = self.checkpoint().tables.tables();
        tables.map(|table| table.reading(table.index.len_estimate(&table.pager))).sum()
    }

    /// What a handle of the table of this name has (CS3).
    pub(crate) fn table_core(&self, name: &str) -> Result<Arc<TableCore>> {
        let Some(table) = self.checkpoint().tables.get(name) else {
            return Err(Error::TableNotFound { name: name.into() });
        };
        let engine = self.engine();
        let (pager, on_disk) = (Arc::clone(&engine.pager), engine.on_disk);
        let core = TableCore::new(table.id, table.index, table.description(), pager, on_disk);
        core.set_state(TableState::OfCheckpoint);
        Ok(Arc::new(core))
    }
}

/// The tables of a checkpoint.
pub(crate) struct CheckpointTables {
    /// Of its flip.
    pub(crate) lsn: Lsn,
    tables: Catalog,
}

impl CheckpointTables {
    /// The one that a handle's table stands for (CS3).
    ///
    /// # Errors
    ///
    /// `Usage` if there is none.
    pub(crate) fn counterpart(&self, table: &TableCore) -> Result<&Arc<TableCore>> {
        self.tables.get_id(table.id).ok_or_else(|| {
            Error::usage(format!(
                "table {} is not in the checkpoint that this snapshot reads (log position {}): it was made later, or dropped before; \
                 take another checkpoint snapshot",
                table.name, self.lsn.0
            ))
        })
    }
}

/// All of a database that are open.
#[derive(Debug)]
pub(crate) struct CheckpointSnapshots(Mutex<Opened>);

#[derive(Debug, Default)]
struct Opened {
    closed: bool,
    list: Vec<One>,
}

#[derive(Debug)]
struct One {
    lsn: Lsn,
    taken: Instant,
    /// It is open as long as this lives (CS6).
    pager: Weak<Pager>,
    tables: Vec<Weak<TableCore>>,
}

impl Opened {
    fn check_open(&self) -> Result<()> {
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }
}

impl CheckpointSnapshots {
    pub(crate) fn new() -> CheckpointSnapshots {
        CheckpointSnapshots(Mutex::new(Rank::Leaf, Opened::default()))
    }

    fn add(&self, lsn: Lsn, pager: &Arc<Pager>, tables: &Catalog) -> Result<()> {
        let tables = tables.tables().map(Arc::downgrade).collect();
        let one = One { lsn, taken: Instant::now(), pager: Arc::downgrade(pager), tables };
        let mut opened = self.0.lock();
        opened.check_open()?; // CS5
        opened.list.retain(|one| one.pager.strong_count() > 0);
        opened.list.push(one);
        Ok(())
    }

    fn check_open(&self) -> Result<()> {
        self.0.lock().check_open()
    }

    /// CS5. The lock of the directory is still held.
    pub(crate) fn close(&self) {
        // Whoever drops the last of a table here frees slots, which takes a lock.
        let tables: Vec<Arc<TableCore>> = {
            let mut opened = self.0.lock();
            opened.closed = true;
            opened.list.iter().flat_map(|one| one.tables.iter().filter_map(Weak::upgrade)).collect()
        };
        tables.iter().for_each(|table| table.set_state(TableState::Closed));
    }

    /// With the space that `kept_bytes` says is kept.
    pub(crate) fn stats(&self, now: Lsn, kept_bytes: u64) -> CheckpointSnapshotStats {
        let mut opened = self.0.lock();
        opened.list.retain(|one| one.pager.strong_count() > 0);
        let oldest = opened.list.iter().min_by_key(|one| one.lsn);
        CheckpointSnapshotStats {
            open: opened.list.len() as u64,
            oldest_bytes: oldest.map_or(0, |one| now.0.saturating_sub(one.lsn.0)),
            oldest_age: opened.list.iter().map(|one| one.taken.elapsed()).max().unwrap_or(Duration::ZERO),
            kept_bytes,
        }
    }
}
