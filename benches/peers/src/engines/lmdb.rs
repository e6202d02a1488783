//! LMDB, through heed.
//!
//! - One environment with its unnamed database; the map is larger than any data set here, as its documentation asks.
//! - A read transaction for each get, scan and multi-get. A thread keeps its reader slot (LMDB's default), so that
//!   beginning one is cheap.
//! - A transaction that reads and writes is a write transaction, of which there is one at a time: it is serializable and is never refused.
//! - `Power` is LMDB's default: a sync at each commit. `Process` and `Eventual` are `MDB_NOSYNC`: written, not synced.
//!   The flag belongs to the environment, so it is set when a session of that durability is made.
//!
//! # Invariants
//!
//! - **LM1** The environment is opened once in this process, and its directory belongs to this process alone.
//! - **LM2** Flags are changed by one thread at a time, under `flags`.

use super::directory_bytes;
use aquifer_workload::store::Change;
use aquifer_workload::{BoxError, Counters, Description, Durability, Isolation, Session, Store};
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, RoTxn, WithTls};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Address space for the file; it takes what is in it.
const MAP_BYTES: usize = 256 << 30;

/// Threads that may read at once: as many as a run may have, and some.
const READERS_MAX: u32 = 4200;

type Table = Database<'static, Bytes, Bytes>;

/// An open environment.
#[derive(Debug)]
pub struct Lmdb {
    env: Env,
    table: Table,
    directory: PathBuf,
    flags: Mutex<()>,
}

impl Lmdb {
    /// Opens or creates.
    ///
    /// # Errors
    ///
    /// Whatever LMDB says.
    pub fn open(directory: &Path) -> Result<Lmdb, BoxError> {
        std::fs::create_dir_all(directory)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_readers(READERS_MAX);
        // SAFETY: LM1; nothing else maps or changes the file while the environment is open.
        let env = unsafe { options.open(directory)? };
        let transaction = env.write_txn()?;
        let table = env
            .create_databases_and_commit(transaction, |opener, transaction| {
                opener.create_database::<Bytes, Bytes>(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
            })?
            .unwrap_commit();
        Ok(Lmdb { env, table, directory: directory.to_path_buf(), flags: Mutex::new(()) })
    }
}

impl Store for Lmdb {
    type Session<'s> = LmdbSession<'s>;

    fn session(&self, durability: Durability) -> LmdbSession<'_> {
        let mode = if durability == Durability::Power { FlagSetMode::Disable } else { FlagSetMode::Enable };
        let _one_at_a_time = self.flags.lock().expect("setting a flag does not panic");
        // SAFETY: LM2. What the flag risks, damage after a loss of power, is what `Eventual` is measured with.
        unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode) }.expect("an open environment takes the flag");
        LmdbSession { env: &self.env, table: self.table, held: None }
    }

    fn description(&self) -> Description {
        let version = heed::lmdb_version();
        Description {
            engine: "lmdb".to_string(),
            version: format!("{}.{}.{}", version.major, version.minor, version.patch),
            kind: "sorted".to_string(),
            backend: "mmap".to_string(),
        }
    }

    fn counters(&self) -> Counters {
        Counters { file_bytes: directory_bytes(&self.directory), ..Counters::default() }
    }

    fn sync(&self) -> Result<(), BoxError> {
        Ok(self.env.force_sync()?)
    }
}

/// A thread's way in.
pub struct LmdbSession<'s> {
    env: &'s Env,
    table: Table,
    /// A snapshot: LMDB allows a thread one read transaction at a time.
    held: Option<RoTxn<'s, WithTls>>,
}

impl Session for LmdbSession<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let transaction = self.env.read_txn()?;
        let value = self.table.get(&transaction, key)?;
        out.clear();
        out.extend_from_slice(value.unwrap_or_default());
        Ok(value.is_some())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.write_batch(&[(key, value)])
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        let mut transaction = self.env.write_txn()?;
        self.table.delete(&mut transaction, key)?;
        Ok(transaction.commit()?)
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in records {
            self.table.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        let transaction = self.env.read_txn()?;
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let mut count = 0;
        let mut take = |record: heed::Result<(&[u8], &[u8])>| {
            let (key, value) = record?;
            visit(key, value);
            count += 1;
            Ok::<(), heed::Error>(())
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if reverse {
            let range = (Bound::Unbounded, from);
            self.table.rev_range(&transaction, &range)?.take(limit).try_for_each(&mut take)?;
        } else {
            let range = (from, Bound::Unbounded);
            self.table.range(&transaction, &range)?.take(limit).try_for_each(&mut take)?;
        }
        Ok(count)
    }

    fn multi_get(
        &mut self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BoxError> {
        let transaction = self.env.read_txn()?;
        for (place, key) in keys.iter().enumerate() {
            visit(place, self.table.get(&transaction, key)?);
        }
        Ok(())
    }

    fn update_field(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> Result<bool, BoxError> {
        let mut transaction = self.env.write_txn()?;
        let mut value = self.table.get(&transaction, key)?.unwrap_or_default().to_vec();
        let Some(field) = value.get_mut(offset..).and_then(|tail| tail.get_mut(..bytes.len())) else {
            return Ok(false);
        };
        field.copy_from_slice(bytes);
        self.table.put(&mut transaction, key, &value)?;
        transaction.commit()?;
        Ok(true)
    }

    fn read_modify_write(
        &mut self,
        _isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let mut transaction = self.env.write_txn()?;
        let mut value = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            value.clear();
            value.extend_from_slice(self.table.get(&transaction, key)?.unwrap_or_default());
            change(place, &mut value);
            self.table.put(&mut transaction, key, &value)?;
        }
        transaction.commit()?;
        Ok(0)
    }

    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        self.held = None; // before there is another
        self.held = Some(self.env.read_txn()?);
        Ok(())
    }

    fn release_snapshot(&mut self) {
        self.held = None;
    }

    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let snapshot = self.held.as_ref().ok_or("no snapshot is held")?;
        let value = self.table.get(snapshot, key)?;
        out.clear();
        out.extend_from_slice(value.unwrap_or_default());
        Ok(value.is_some())
    }
}
