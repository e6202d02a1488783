//! Aquifer as the workloads see an engine.

use super::TABLE;
use crate::exit::Failure;
use aquifer::{AnyTable, Database, Snapshot, TableKind, TableOptions, TxOptions, WriteBatch};
use aquifer_workload::store::Change;
use aquifer_workload::{BoxError, Counters, Description, Durability, Isolation, Key, Session, Store};
use std::ops::Bound;
use std::time::Duration;

/// How long a transaction waits for another's lock: longer than any run of these, so that it is refused or done.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// The database, and the benchmark's table in it.
pub struct AquiferStore {
    db: Database,
    table: AnyTable,
}

impl AquiferStore {
    /// The table as it is.
    pub fn open(db: &Database) -> Result<AquiferStore, Failure> {
        Ok(AquiferStore { db: db.clone(), table: db.any_table(TABLE)? })
    }

    /// The kind of the table.
    pub fn kind(&self) -> TableKind {
        self.table.info().kind
    }

    /// The table without records, made if it is not there.
    pub fn emptied(db: &Database, kind: TableKind) -> Result<AquiferStore, Failure> {
        match db.drop_table(TABLE) {
            Ok(()) | Err(aquifer::Error::TableNotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match kind {
            TableKind::Hashed => drop(db.create_table(TABLE, TableOptions::hashed())?),
            _ => drop(db.create_table(TABLE, TableOptions::default())?),
        }
        AquiferStore::open(db)
    }
}

impl Store for AquiferStore {
    type Session<'s> = AquiferSession<'s>;

    fn session(&self, durability: Durability) -> AquiferSession<'_> {
        let durability = durability_of(durability);
        let table = self.table.clone().with_durability(durability);
        AquiferSession { db: &self.db, table, durability, batch: WriteBatch::new(), held: None }
    }

    fn description(&self) -> Description {
        description_of(&self.db, self.kind())
    }

    fn counters(&self) -> Counters {
        counters_of(&self.db)
    }

    fn sync(&self) -> Result<(), BoxError> {
        Ok(self.db.sync()?)
    }
}

/// The engine's name for a durability.
pub fn durability_of(durability: Durability) -> aquifer::Durability {
    match durability {
        Durability::Eventual => aquifer::Durability::Eventual,
        Durability::Process => aquifer::Durability::Process,
        Durability::Power => aquifer::Durability::Power,
    }
}

/// The engine's name for a level.
pub fn isolation_of(isolation: Isolation) -> aquifer::Isolation {
    match isolation {
        Isolation::Snapshot => aquifer::Isolation::Snapshot,
        Isolation::Serializable => aquifer::Isolation::Serializable,
    }
}

/// What a database has written.
pub fn counters_of(db: &Database) -> Counters {
    let stats = db.stats();
    Counters {
        // Headers are no padding: they are the price of a flush, as the records are that of a commit.
        log_bytes: stats.log.record_bytes + stats.log.header_bytes,
        log_padding_bytes: stats.log.padding_bytes,
        data_bytes: stats.pager.written_bytes,
        file_bytes: stats.pager.file_bytes + stats.log.file_bytes,
    }
}

/// Who a database is.
pub fn description_of(db: &Database, kind: TableKind) -> Description {
    Description {
        engine: "aquifer".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        kind: kind.to_string(),
        backend: db.stats().backend,
    }
}

/// One thread's way in.
pub struct AquiferSession<'s> {
    db: &'s Database,
    table: AnyTable,
    durability: aquifer::Durability,
    batch: WriteBatch,
    held: Option<Snapshot>,
}

impl AquiferSession<'_> {
    /// Everything, of a table that has no order.
    fn scan_unordered(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        if from.is_some() || reverse {
            return Err("a hashed table has no ranges".into());
        }
        let mut records = self.table.records();
        let mut count = 0;
        while count < limit
            && let Some((key, value)) = records.next()?
        {
            visit(key, value);
            count += 1;
        }
        Ok(count)
    }
}

impl Session for AquiferSession<'_> {
    #[inline]
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        Ok(self.table.get_into(key, out)?)
    }

    #[inline]
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        Ok(self.table.put(key, value)?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        Ok(self.table.delete(key)?)
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        self.batch.clear();
        for (key, value) in records {
            self.batch.put(&self.table, *key, *value);
        }
        Ok(self.db.write(&mut self.batch, self.durability)?)
    }

    fn bulk_load(&mut self, records: &mut dyn Iterator<Item = (Key, Vec<u8>)>) -> Result<(), BoxError> {
        let Some(table) = self.table.sorted() else {
            return Err("a hashed table is not loaded in bulk; use load".into());
        };
        table.bulk_load(records)?;
        Ok(())
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        let Some(table) = self.table.sorted() else {
            return self.scan_unordered(from, limit, reverse, visit);
        };
        let start: Bound<&[u8]> = from.map_or(Bound::Unbounded, Bound::Included);
        let range = if reverse { (Bound::Unbounded, start) } else { (start, Bound::Unbounded) };
        let mut scan = table.scan(range);
        let mut count = 0;
        while count < limit {
            let next = if reverse { scan.next_back()? } else { scan.next()? };
            let Some((key, value)) = next else {
                break;
            };
            visit(key, value);
            count += 1;
        }
        Ok(count)
    }

    fn multi_get(
        &mut self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BoxError> {
        let values = self.table.multi_get(keys.iter().copied())?;
        for (place, value) in values.iter().enumerate() {
            visit(place, value.as_deref());
        }
        Ok(())
    }

    fn read_modify_write(
        &mut self,
        isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let options = TxOptions::new().isolation(isolation_of(isolation));
        let options = options.retries_max(u32::MAX).lock_timeout(LOCK_TIMEOUT);
        let (mut value, mut begun) = (Vec::new(), 0);
        self.db.transact_with(options, self.durability, |tx| {
            begun += 1;
            for (place, &key) in keys.iter().enumerate() {
                if !tx.get_into(&self.table, key, &mut value)? {
                    value.clear();
                }
                change(place, &mut value);
                tx.put(&self.table, key, &value[..])?;
            }
            Ok::<(), aquifer::Error>(())
        })?;
        Ok(begun - 1)
    }

    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        self.held = None;
        self.held = Some(self.db.snapshot()?);
        Ok(())
    }

    fn release_snapshot(&mut self) {
        self.held = None;
    }

    #[inline]
    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let snapshot = self.held.as_ref().ok_or("no snapshot is held")?;
        Ok(snapshot.get_into(&self.table, key, out)?)
    }
}

#[cfg(test)]
mod tests;
