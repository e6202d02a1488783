//! Filling a new database from elsewhere: a dump, or what is left of a damaged one.
//!
//! # Invariants
//!
//! - **FI1** Until [`Filler::finish`] the data file is named `data.new`: whatever stops before, there is no database, and the
//!   next that is made in the directory clears it away.
//! - **FI2** Changes are committed in the order in which they are given, in large batches that wait for nothing; `finish`
//!   syncs once. What comes in the order of a sorted table's keys is loaded in bulk instead.
//! - **FI3** A hashed table gets a seed of its own, whatever the one had that it comes from.
//! - **FI4** Until `finish` nothing that has expired is removed: what comes later may depend on it, or say that it expires later.

use crate::bulk_load::BulkLoad;
use crate::catalog::Description;
use crate::database::Database;
use crate::error::Result;
use crate::large::LargeWriter;
use crate::records::AnyTable;
use crate::table::Table;
use crate::{Durability, Options, WriteBatch};
use std::path::Path;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Filler {
    db: Database,
    batch: WriteBatch,
    batch_bytes_max: usize,
    /// The database may have threads.
    background: bool,
}

/// What an entry of a batch takes besides its key and value; see `commit_batch`.
const ENTRY_BYTES: usize = 32;

impl Filler {
    /// Makes the database; `page_bytes` unless the options say another page size.
    ///
    /// # Errors
    ///
    /// As [`Options::create`].
    pub(crate) fn create(mut options: Options, dir: &Path, page_bytes: usize) -> Result<Filler> {
        options.page_bytes.get_or_insert(page_bytes);
        options.held_back = true; // FI1
        let background = options.background;
        let db = options.create(dir)?;
        let engine = db.engine();
        // A record beyond the one bound waits for the log piecewise; beyond the other it is refused.
        let batch_bytes_max = engine.record_bytes_inside_gate.min(engine.limits.commit_bytes / 4);
        Ok(Filler { db, batch: WriteBatch::new(), batch_bytes_max, background })
    }

    /// Makes a table.
    pub(crate) fn create_table(&mut self, description: Description) -> Result<AnyTable> {
        self.commit()?;
        let kind = self.db.new_kind(description.kind.of_table()); // FI3
        let (core, _) = self.db.add_table(Description { kind, ..description })?;
        Table::new(self.db.handle(), core)
    }

    /// Begins to load a sorted table, which is empty, in bulk.
    pub(crate) fn load(&mut self, table: &AnyTable) -> Result<BulkLoad> {
        self.commit()?;
        Ok(BulkLoad::begin(self.db.handle(), table.core())?.without_checkpoint()) // FI1: `finish` takes one
    }

    /// Drops a table.
    pub(crate) fn drop_table(&mut self, name: &str) -> Result<()> {
        self.commit()?;
        self.db.drop_table(name)
    }

    /// Sets a value.
    pub(crate) fn put(&mut self, table: &AnyTable, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch.put(table, key, value);
        self.commit_if_full()
    }

    /// Sets a value that comes piece by piece. If `fill` fails, nothing is set, and what it said is given back.
    pub(crate) fn put_large<E>(
        &mut self,
        table: &AnyTable,
        key: &[u8],
        fill: impl FnOnce(&mut LargeWriter) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<(), E>> {
        self.commit()?;
        let mut writer = table.clone().with_durability(Durability::Eventual).write_large(key)?;
        if let Err(error) = fill(&mut writer) {
            return Ok(Err(error));
        }
        writer.finish()?;
        Ok(Ok(()))
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, table: &AnyTable, key: &[u8]) -> Result<()> {
        self.batch.delete(table, key);
        self.commit_if_full()
    }

    /// What was given is in the tables when this returns.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.commit()
    }

    /// The value of a key, after all that was given.
    pub(crate) fn get(&mut self, table: &AnyTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.commit()?;
        table.get(key)
    }

    /// Makes everything durable, gives the database its name, and hands it over.
    pub(crate) fn finish(mut self) -> Result<Database> {
        self.commit()?;
        self.db.sync()?;
        self.db.engine().complete()?;
        self.db.engine().catalog.lock().tables().for_each(|table| table.note_unknown()); // FI4
        if self.background {
            self.db.engine().removal.permit();
            self.db.handle().start_removal()?;
        }
        Ok(self.db)
    }

    fn commit_if_full(&mut self) -> Result<()> {
        if self.batch.bytes() + ENTRY_BYTES * self.batch.len() >= self.batch_bytes_max {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        // Also if it is empty: an entry that was refused is told here.
        self.db.write(&mut self.batch, Durability::Eventual)
    }
}
