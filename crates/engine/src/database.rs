//! The handle of an open database.
//!
//! # Invariants
//!
//! - **DB1** The database closes when the last of its `Database` and `Table` handles goes, or at `close`; once.
//! - **DB2** Closing stops the background threads first, then flushes, checkpoints, and lets the lock on the directory go.
//! - **DB3** Nothing is written to the directory once its lock is gone, also if closing failed: the files may be another's.

use crate::catalog::{Catalog, Description, Journal};
use crate::commit_batch::commit_batch;
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::expiry::{self, Lifetime};
use crate::index::{IndexKind, TableKind};
use crate::kind::{Hashed, OneKind, Sorted};
use crate::long_key::KEY_BYTES_MAX;
use crate::records::{AnyTable, HashTable};
use crate::stats::RecoveryReport;
use crate::table::Table;
use crate::table_core::TableCore;
use crate::verify::{VerifyProgress, VerifyReport};
use crate::{CommitTicket, Durability, Options, Stats, WriteBatch};
use aquifer_codec::Key;
use aquifer_index::btree::BTree;
use aquifer_sync::thread::JoinHandle;
use aquifer_sync::{Arc, Mutex, MutexGuard};
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

/// An open database. Cloning gives another handle of the same one; it closes when the last handle goes.
#[derive(Debug, Clone)]
pub struct Database {
    handle: Arc<Handle>,
}

/// What closes the database when it goes (DB1).
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>, threads: Mutex<Vec<JoinHandle<()>>>) -> Arc<Handle> {
        Arc::new(Handle { engine, threads })
    }

    /// Starts what removes expired records, if there may be some and it is not there.
    pub(crate) fn start_removal(&self) -> Result<()> {
        if !self.engine.catalog.lock().tables().any(|table| table.expires()) {
            return Ok(());
        }
        let mut threads = self.threads.lock();
        threads.extend(expiry::start(&self.engine)?);
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.engine.flusher.stop();
        self.engine.checkpointer.stop();
        self.engine.removal.signal.stop();
        // The lock is held while they are joined: whoever else closes waits here.
        let panicked = self.threads.lock().drain(..).filter_map(|thread| thread.join().err()).count() > 0;
        if panicked {
            // What it was at may be half done: nothing of it may become durable.
            self.engine.log.poison("a background thread panicked");
        }
        self.engine.close()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        match self.close() {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%error, "the database did not close cleanly; the next opening recovers it")
            }
        }
    }
}

/// How a table is made; fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct TableOptions<O = Sorted> {
    /// Whether changes go to the log. Without, the table costs no log, and comes back from a crash as of the last
    /// checkpoint.
    pub logged: bool,
    /// If its records may expire.
    pub(crate) lifetime: Option<Lifetime>,
    kind: PhantomData<fn() -> O>,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions::of_kind()
    }
}

impl TableOptions {
    /// A table whose changes are not logged.
    pub fn unlogged() -> TableOptions {
        TableOptions::default().logged(false)
    }

    /// A table whose records may expire; those that are put without saying when do not. See [`Table::put_for`].
    pub fn expiring() -> TableOptions {
        TableOptions::default().may_expire()
    }

    /// A hashed table: see [`HashTable`].
    pub fn hashed() -> TableOptions<Hashed> {
        TableOptions::of_kind()
    }
}

impl<O> TableOptions<O> {
    /// The default of a kind.
    pub(crate) fn of_kind() -> TableOptions<O> {
        TableOptions { logged: true, lifetime: None, kind: PhantomData }
    }

    /// Lets its records expire: each value takes eight bytes more, for the time of that. Those that are put without saying when do not.
    ///
    /// A record is there before its time and not from it on, by the wall clock ([`Clock`](crate::Clock)); it is removed in the background later. Whatever puts
    /// a whole value sets the time anew; `append` and `patch` leave it as it is. For every call a record that has expired is not there.
    ///
    /// ```
    /// # use aquifer::{Database, TableOptions};
    /// # use std::time::Duration;
    /// # let db = Database::in_memory(4 << 20)?;
    /// let sessions = db.create_table("sessions", TableOptions::hashed().may_expire())?;
    /// sessions.put_for(b"7f3a", b"ada", Duration::from_secs(1800))?;
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn may_expire(mut self) -> TableOptions<O> {
        self.lifetime.get_or_insert(Lifetime::UNLIMITED);
        self
    }

    /// As [`may_expire`](Self::may_expire), and records that are put without saying when expire after this time: a millisecond at least.
    pub fn time_to_live(mut self, time: Duration) -> TableOptions<O> {
        self.lifetime = Some(Lifetime::of(time));
        self
    }

    /// Sets [`logged`](Self::logged).
    pub fn logged(mut self, on: bool) -> TableOptions<O> {
        self.logged = on;
        self
    }
}

/// What the catalog says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Name.
    pub name: String,
    /// Id; never used again.
    pub id: u32,
    /// Sorted or hashed.
    pub kind: TableKind,
    /// Whether changes go to the log.
    pub logged: bool,
    /// Type of the keys, "bytes" unless the table is typed.
    pub key_type: String,
    /// Type of the values, likewise.
    pub value_type: String,
    /// Whether its records may expire.
    pub expires: bool,
    /// After what time they do that are put without saying when, if they do.
    pub time_to_live: Option<Duration>,
}

impl TableInfo {
    pub(crate) fn of(table: &TableCore) -> TableInfo {
        TableInfo {
            name: table.name.clone(),
            id: table.id,
            kind: table.index.kind().of_table(),
            logged: table.logged,
            key_type: table.key_type.clone(),
            value_type: table.value_type.clone(),
            expires: table.expires(),
            time_to_live: table.expiring.as_ref().and_then(|expiring| expiring.lifetime.time()),
        }
    }
}

impl Database {
    pub(crate) fn of(handle: Arc<Handle>) -> Database {
        Database { handle }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.handle.engine
    }

    /// How to open a database otherwise than [`open`](Self::open) does.
    pub fn options() -> Options {
        Options::default()
    }

    /// Opens the database in the directory `dir`, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if it is open elsewhere, [`Error::Format`] for files of another program or version,
    /// [`Error::Corrupt`] for damage, the disk's, or a budget too small.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = aquifer::Database::open(dir.path().join("cellar"))?;
    /// let wines = db.create_table("wines", Default::default())?;
    /// wines.put(b"barolo", b"2016")?;
    /// assert_eq!(wines.get(b"barolo")?.as_deref(), Some(&b"2016"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Database> {
        Options::default().open_or_create(dir)
    }

    /// A database in memory alone, of at most `memory_budget_bytes`: nothing survives it, nothing is evicted.
    ///
    /// # Errors
    ///
    /// If the budget is too small.
    pub fn in_memory(memory_budget_bytes: usize) -> Result<Database> {
        Options::default().memory_budget(memory_budget_bytes).in_memory()
    }

    /// Makes a table of byte keys and byte values: a [`Table`], or a [`HashTable`] by [`TableOptions::hashed`].
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`]; a name of no or too many bytes; what a commit gives.
    pub fn create_table<O: OneKind>(
        &self,
        name: &str,
        options: TableOptions<O>,
    ) -> Result<Table<[u8], [u8], O>> {
        let bytes = <[u8] as Key>::type_name();
        let description = Description {
            name: name.into(),
            kind: self.new_kind(O::ONE),
            logged: options.logged,
            key_type: bytes.clone(),
            value_type: bytes,
            lifetime: options.lifetime,
        };
        Table::new(&self.handle, self.create_described(description)?)
    }

    /// What the catalog keeps of a new table of a kind.
    pub(crate) fn new_kind(&self, kind: TableKind) -> IndexKind {
        match kind {
            TableKind::Sorted => IndexKind::Sorted,
            TableKind::Hashed => IndexKind::Hashed { seed: self.engine().new_seed() },
        }
    }

    pub(crate) fn create_described(&self, description: Description) -> Result<Arc<TableCore>> {
        let (table, lsn) = self.add_table(description)?;
        self.wait_for_catalog(lsn)?;
        Ok(table)
    }

    /// Makes a table and does not wait until it is durable.
    pub(crate) fn add_table(
        &self,
        description: Description,
    ) -> Result<(Arc<TableCore>, Option<aquifer_wal::Lsn>)> {
        let engine = self.engine();
        let mut catalog = engine.lock_catalog_to_change()?;
        engine.reclaim_in_memory(&mut catalog)?;
        let made = catalog.create_table(description, &engine.order)?;
        drop(catalog);
        if made.0.expires()
            && let Err(error) = self.handle.start_removal()
        {
            tracing::warn!(%error, "expired records are not removed before the next table is made, or the next opening");
        }
        Ok(made)
    }

    fn wait_for_catalog(&self, lsn: Option<aquifer_wal::Lsn>) -> Result<()> {
        lsn.map_or(Ok(()), |lsn| self.engine().wait_for(Commit::Logged(lsn), Durability::Power))
    }

    /// The sorted table of this name, as bytes, whatever its types are.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`], [`Error::Closed`]; [`Error::TypeMismatch`] if it is hashed.
    pub fn table(&self, name: &str) -> Result<Table> {
        Table::new(&self.handle, self.table_core(name)?)
    }

    /// The hashed table of this name, as bytes, whatever its types are.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table); [`Error::TypeMismatch`] if it is sorted.
    pub fn hash_table(&self, name: &str) -> Result<HashTable> {
        Table::new(&self.handle, self.table_core(name)?)
    }

    /// The table of this name, as bytes, whatever its types and its kind are.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`], [`Error::Closed`].
    pub fn any_table(&self, name: &str) -> Result<AnyTable> {
        Table::new(&self.handle, self.table_core(name)?)
    }

    pub(crate) fn table_core(&self, name: &str) -> Result<Arc<TableCore>> {
        let catalog = self.engine().catalog.lock();
        catalog.check_open()?;
        catalog.get(name).cloned().ok_or_else(|| Error::TableNotFound { name: name.into() })
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Drops a table. Handles of it get [`Error::TableDropped`]; its pages are freed in the background once the last is gone
    /// (in a database in memory, by the next call of this or of [`create_table`](Self::create_table)).
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`]; what a commit gives.
    pub fn drop_table(&self, name: &str) -> Result<()> {
        let engine = self.engine();
        let mut catalog = engine.lock_catalog_to_change()?;
        let lsn = catalog.drop_table(name, &engine.stripes, &engine.order)?;
        engine.reclaim_in_memory(&mut catalog)?;
        drop(catalog);
        engine.watchers.wake();
        engine.checkpointer.nudge();
        self.wait_for_catalog(lsn)
    }

    /// All tables, by name.
    pub fn tables(&self) -> Vec<TableInfo> {
        self.engine().catalog.lock().tables().map(|table| TableInfo::of(table)).collect()
    }

    /// Commits a batch, whole or not at all, waits as `durability` says, and empties it.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionTooLarge`]; too large a key or value; a table dropped or of another database; those of disk and
    /// budget. The batch is kept then, and nothing of it is there. [`Error::Pending`], when it is there and not yet durable,
    /// and [`Error::Poisoned`], when the log failed and the outcome is unknown, may come after the batch was emptied.
    pub fn write(&self, batch: &mut WriteBatch, durability: Durability) -> Result<()> {
        let commit = commit_batch(self.engine(), batch)?;
        self.engine().wait_for(commit, durability)
    }

    /// As [`write`](Self::write), without waiting: the ticket does.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn submit(&self, batch: &mut WriteBatch, durability: Durability) -> Result<CommitTicket> {
        let commit = commit_batch(self.engine(), batch)?;
        self.engine().flusher.nudge(); // whoever does not wait still gets it flushed soon
        Ok(CommitTicket::new(self.engine(), commit, durability))
    }

    /// Takes a checkpoint now. Nobody needs to call it: the engine takes them by itself.
    ///
    /// # Errors
    ///
    /// The disk's; [`Error::Poisoned`], [`Error::Closed`].
    pub fn checkpoint(&self) -> Result<()> {
        self.engine().checkpoint()
    }

    /// Waits until every logged commit so far is on stable storage.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`], [`Error::Closed`], or the disk's.
    pub fn sync(&self) -> Result<()> {
        let engine = self.engine();
        engine.catalog.lock().check_open()?;
        engine.check_healthy()?;
        engine.sync()
    }

    /// Closes the database: flushes and takes a checkpoint, so that the next opening has nothing to replay. Handles that
    /// survive it get [`Error::Closed`]; closing again does nothing.
    ///
    /// # Errors
    ///
    /// What the flush or the checkpoint gave: the next opening recovers.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    /// Figures about the database.
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// What the opening found.
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.engine().recovery
    }

    /// Walks every table and reads every page back. Writers wait while the tables are walked; readers do not.
    ///
    /// # Errors
    ///
    /// The disk's, where it is not about one page. Damage is no error: it is in the report.
    pub fn verify(&self, progress: impl FnMut(VerifyProgress)) -> Result<VerifyReport> {
        self.engine().verify(progress)
    }

    /// Does one unit of background work on this thread; whether there was any. With
    /// [`background(false)`](Options::background) nobody else does it.
    ///
    /// # Errors
    ///
    /// What the work gave; it is tried again by the next call.
    pub fn step(&self) -> Result<bool> {
        Ok(self.engine().step()? || expiry::remove_some(self.engine())?)
    }

    /// Page size in bytes.
    pub fn page_size(&self) -> usize {
        self.engine().pager.page_bytes()
    }

    /// Whether it is in memory alone.
    pub fn is_in_memory(&self) -> bool {
        !self.engine().on_disk
    }

    /// Longest key in bytes: 64 KiB, whatever the page size.
    pub fn key_len_max(&self) -> usize {
        KEY_BYTES_MAX
    }

    /// Longest value in bytes that lies beside its key: a quarter of a page. Longer ones, up to 4 GiB, have pages of their own.
    pub fn value_len_max(&self) -> usize {
        BTree::limits(self.page_size()).1
    }
}

impl Engine {
    /// DB2, after the threads are gone.
    fn close(&self) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        if std::mem::replace(&mut maintenance.closed, true) {
            return Ok(());
        }
        {
            let mut catalog = self.catalog.lock();
            let _no_commit = self.stripes.lock_all(); // ST2
            catalog.close();
        }
        self.checkpoint_snapshots.close();
        self.watchers.wake();
        let closed = self.flush_and_checkpoint();
        if let Err(error) = &closed {
            self.log.stop(&format!("closing failed: {error}")); // DB3
        }
        self.pager.stop_writing(); // DB3
        maintenance.disk_lock = None;
        closed
    }

    pub(crate) fn lock_catalog_to_change(&self) -> Result<MutexGuard<'_, Catalog>> {
        let catalog = self.catalog.lock();
        catalog.check_open()?;
        self.check_healthy()?;
        Ok(catalog)
    }

    /// In memory no thread frees the pages of dropped tables, and there is nowhere else to put new ones.
    pub(crate) fn reclaim_in_memory(&self, catalog: &mut Catalog) -> Result<()> {
        while !self.on_disk && catalog.free_some(Journal::Log(&self.order))? {}
        Ok(())
    }

    fn flush_and_checkpoint(&self) -> Result<()> {
        self.sync()?;
        self.checkpoint_if_changed()?;
        Ok(self.log.close()?)
    }
}
