//! redb.
//!
//! - One table of byte strings in one file; the cache is as large as the budget.
//! - A read transaction for each get, scan and multi-get.
//! - A transaction that reads and writes is a write transaction, of which there is one at a time: it is serializable and is never refused.
//! - `Power` and `Process` are `Durability::Immediate`; `Eventual` is `Durability::None`, which is not on disk until an
//!   immediate commit follows: the run's sync.

use super::{directory_bytes, locked_version};
use aquifer_workload::store::Change;
use aquifer_workload::{BoxError, Counters, Description, Durability, Isolation, Session, Store};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use std::ops::Bound;
use std::path::{Path, PathBuf};

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");

/// An open database.
#[derive(Debug)]
pub struct Redb {
    database: Database,
    directory: PathBuf,
}

impl Redb {
    /// Opens or creates, with a cache of `budget_mib`.
    ///
    /// # Errors
    ///
    /// Whatever redb says.
    pub fn open(directory: &Path, budget_mib: u64) -> Result<Redb, BoxError> {
        std::fs::create_dir_all(directory)?;
        let mut builder = Database::builder();
        builder.set_cache_size(usize::try_from(budget_mib << 20)?);
        let database = builder.create(directory.join("data.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Redb { database, directory: directory.to_path_buf() })
    }
}

impl Store for Redb {
    type Session<'s> = RedbSession<'s>;

    fn session(&self, durability: Durability) -> RedbSession<'_> {
        let durability = match durability {
            Durability::Eventual => redb::Durability::None,
            Durability::Process | Durability::Power => redb::Durability::Immediate,
        };
        RedbSession { database: &self.database, durability, held: None }
    }

    fn description(&self) -> Description {
        Description {
            engine: "redb".to_string(),
            version: locked_version("redb").to_string(),
            kind: "sorted".to_string(),
            backend: "posix".to_string(),
        }
    }

    fn counters(&self) -> Counters {
        Counters { file_bytes: directory_bytes(&self.directory), ..Counters::default() }
    }

    fn sync(&self) -> Result<(), BoxError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(redb::Durability::Immediate)?;
        Ok(transaction.commit()?)
    }
}

/// A thread's way in.
pub struct RedbSession<'s> {
    database: &'s Database,
    durability: redb::Durability,
    /// A snapshot.
    held: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl RedbSession<'_> {
    /// A commit of the session's durability.
    fn write(
        &self,
        change: impl FnOnce(&mut redb::Table<'_, &'static [u8], &'static [u8]>) -> Result<bool, BoxError>,
    ) -> Result<bool, BoxError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        let changed = change(&mut transaction.open_table(TABLE)?)?;
        transaction.commit()?;
        Ok(changed)
    }
}

impl Session for RedbSession<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        out.clear();
        let value = table.get(key)?;
        if let Some(value) = &value {
            out.extend_from_slice(value.value());
        }
        Ok(value.is_some())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.write_batch(&[(key, value)])
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        self.write(|table| Ok(table.remove(key)?.is_some()))?;
        Ok(())
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        self.write(|table| {
            for &(key, value) in records {
                table.insert(key, value)?;
            }
            Ok(true)
        })?;
        Ok(())
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let bounds = if reverse { (Bound::Unbounded, from) } else { (from, Bound::Unbounded) };
        let mut range = table.range::<&[u8]>(bounds)?;
        let mut count = 0;
        while count < limit {
            let record = if reverse { range.next_back() } else { range.next() };
            let Some(record) = record else { break };
            let (key, value) = record?;
            visit(key.value(), value.value());
            count += 1;
        }
        Ok(count)
    }

    fn multi_get(
        &mut self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BoxError> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        for (place, key) in keys.iter().enumerate() {
            let value = table.get(key)?;
            visit(place, value.as_ref().map(|value| value.value()));
        }
        Ok(())
    }

    fn update_field(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> Result<bool, BoxError> {
        self.write(|table| {
            let old = table.get(key)?.map(|value| value.value().to_vec());
            let mut value = old.unwrap_or_default();
            let Some(field) = value.get_mut(offset..).and_then(|tail| tail.get_mut(..bytes.len())) else {
                return Ok(false);
            };
            field.copy_from_slice(bytes);
            table.insert(key, &value[..])?;
            Ok(true)
        })
    }

    fn read_modify_write(
        &mut self,
        _isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let mut value = Vec::new();
        self.write(|table| {
            for (place, &key) in keys.iter().enumerate() {
                value.clear();
                if let Some(old) = table.get(key)? {
                    value.extend_from_slice(old.value());
                }
                change(place, &mut value);
                table.insert(key, &value[..])?;
            }
            Ok(true)
        })?;
        Ok(0)
    }

    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        self.held = None;
        self.held = Some(self.database.begin_read()?.open_table(TABLE)?);
        Ok(())
    }

    fn release_snapshot(&mut self) {
        self.held = None;
    }

    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let value = self.held.as_ref().ok_or("no snapshot is held")?.get(key)?;
        out.clear();
        if let Some(value) = &value {
            out.extend_from_slice(value.value());
        }
        Ok(value.is_some())
    }
}
