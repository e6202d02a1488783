//! RocksDB, the system's library, through its C interface.
//!
//! - One database with its one default column family. Options are what RocksDB's wiki recommends for general use ("Setup
//!   Options and Basic Tuning"): six background jobs, `bytes_per_sync` of 1 MiB, levels of dynamic size, blocks of 16 KiB, ten bits
//!   of a Bloom filter for a key, index and filter blocks in the block cache and those of level 0 pinned there. What
//!   that page leaves at its default is left there. No compression, as everywhere here.
//! - Two write buffers and the block cache make up the budget ("Memory usage in RocksDB"). A write buffer has the
//!   recommended 64 MiB, or a quarter of the budget if that is less. What is not in the block cache may still be in the
//!   kernel's page cache, which no budget bounds.
//! - A get pins the value and copies it out, as the caller of [`Session::get`] wants it; a multi-get is RocksDB's batched one;
//!   a scan is an iterator of its own. Each of them sees one moment.
//! - `Power` is a synced log. `Process` and `Eventual` are a log that is handed to the kernel at each commit and not synced,
//!   which is RocksDB's default.
//! - A bulk load writes table files and ingests them ("Creating and Ingesting SST files"); these are synced, and no log is
//!   written.
//! - Transactions are optimistic ones ("Transactions", "OptimisticTransactionDB"): each takes its snapshot when it begins and reads it by
//!   `GetForUpdate`, so that at its commit nothing of what it has read may have changed. One that is refused (`Busy`, or `TryAgain` where the write
//!   buffers no longer tell) begins again at once. Only workloads with transactions open the database so: RocksDB then keeps its
//!   flushed write buffers in memory for longer.
//! - An update of a field is a get and a put, as the trait has it.

pub mod library;

use super::directory_bytes;
use aquifer_workload::store::Change;
use aquifer_workload::{BoxError, Counters, Description, Durability, Isolation, Key, Session, Store};
use library::transactions::{Committed, Snapshot};
use library::{Batch, Database, Options, ReadOptions, TableWriter, WriteOptions};
use std::path::{Path, PathBuf};

/// RocksDB's default, which its documentation recommends to keep where memory suffices.
const WRITE_BUFFER_BYTES: u64 = 64 << 20;

/// One is written to while the other is flushed: RocksDB's default.
const WRITE_BUFFERS: u64 = 2;

/// Keys and values in one table file of a bulk load: the size that compactions aim at by default.
const TABLE_FILE_BYTES: u64 = 64 << 20;

/// Folder of the files of a bulk load until they are ingested, inside the database's.
const BULK: &str = "bulk";

/// An open database.
pub struct Rocksdb {
    database: Database,
    settings: String,
    directory: PathBuf,
}

impl Rocksdb {
    /// Opens or creates, with write buffers and a block cache of `budget_mib` together; for transactions, if `transactional` says so.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn open(directory: &Path, budget_mib: u64, transactional: bool) -> Result<Rocksdb, BoxError> {
        std::fs::create_dir_all(directory)?;
        let settings = settings(budget_mib << 20);
        let options = Options::parse(&settings)?;
        let open = if transactional { Database::open_optimistic } else { Database::open };
        let database = open(&options, directory)?;
        Ok(Rocksdb { database, settings, directory: directory.to_path_buf() })
    }
}

/// The options as RocksDB reads them ("Option String and Option Map").
fn settings(budget_bytes: u64) -> String {
    let write_buffer_bytes = WRITE_BUFFER_BYTES.min(budget_bytes / 2 / WRITE_BUFFERS);
    let cache_bytes = budget_bytes - WRITE_BUFFERS * write_buffer_bytes;
    let table = [
        format!("block_cache={cache_bytes}"),
        "block_size=16384".to_string(),
        "filter_policy=bloomfilter:10:false".to_string(),
        "cache_index_and_filter_blocks=true".to_string(),
        "pin_l0_filter_and_index_blocks_in_cache=true".to_string(),
    ];
    let database = [
        "create_if_missing=true".to_string(),
        "max_background_jobs=6".to_string(),
        "bytes_per_sync=1048576".to_string(),
        "level_compaction_dynamic_level_bytes=true".to_string(),
        "compression=kNoCompression".to_string(),
        format!("write_buffer_size={write_buffer_bytes}"),
        format!("max_write_buffer_number={WRITE_BUFFERS}"),
        format!("block_based_table_factory={{{}}}", table.join(";")),
    ];
    database.join(";")
}

/// The file in which RocksDB writes down its options, and its version, when it opens a database; the newest of them.
fn options_file(directory: &Path) -> Option<String> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("OPTIONS-")?.parse::<u64>().ok();
    let numbered = entries.filter_map(|entry| Some((number(&entry.path())?, entry.path())));
    std::fs::read_to_string(numbered.max()?.1).ok()
}

/// The version that the options file names: that of the library which opened the database, not of a header.
fn version(directory: &Path) -> String {
    let text = options_file(directory).unwrap_or_default();
    let version = text.lines().find_map(|line| line.trim().strip_prefix("rocksdb_version="));
    version.unwrap_or("unknown").to_string()
}

impl Store for Rocksdb {
    type Session<'s> = RocksdbSession<'s>;

    fn session(&self, durability: Durability) -> RocksdbSession<'_> {
        RocksdbSession {
            store: self,
            reading: ReadOptions::new(),
            writing: WriteOptions::new(durability == Durability::Power),
            batch: Batch::new(),
            held: None,
        }
    }

    fn description(&self) -> Description {
        Description {
            engine: "rocksdb".to_string(),
            version: version(&self.directory),
            kind: "sorted".to_string(),
            backend: "posix".to_string(),
        }
    }

    fn counters(&self) -> Counters {
        Counters { file_bytes: directory_bytes(&self.directory), ..Counters::default() }
    }

    fn sync(&self) -> Result<(), BoxError> {
        Ok(self.database.sync_log()?)
    }
}

/// A thread's way in.
pub struct RocksdbSession<'s> {
    store: &'s Rocksdb,
    reading: ReadOptions,
    writing: WriteOptions,
    batch: Batch,
    held: Option<Snapshot<'s>>,
}

impl Session for RocksdbSession<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let value = self.store.database.get(&self.reading, key)?;
        out.clear();
        if let Some(value) = &value {
            out.extend_from_slice(value.bytes());
        }
        Ok(value.is_some())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        Ok(self.store.database.put(&self.writing, key, value)?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        Ok(self.store.database.delete(&self.writing, key)?)
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        self.batch.clear();
        for (key, value) in records {
            self.batch.put(key, value);
        }
        Ok(self.store.database.write(&self.writing, &mut self.batch)?)
    }

    fn bulk_load(&mut self, records: &mut dyn Iterator<Item = (Key, Vec<u8>)>) -> Result<(), BoxError> {
        let folder = self.store.directory.join(BULK);
        std::fs::create_dir_all(&folder)?;
        let files = write_tables(&Options::parse(&self.store.settings)?, &folder, records)?;
        if !files.is_empty() {
            let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
            self.store.database.ingest(&files)?;
        }
        Ok(std::fs::remove_dir_all(&folder)?)
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        let mut cursor = self.store.database.cursor(&self.reading);
        if reverse {
            cursor.seek_backward(from);
        } else {
            cursor.seek_forward(from);
        }
        let mut count = 0;
        while count < limit {
            let Some((key, value)) = cursor.record()? else { break };
            visit(key, value);
            count += 1;
            cursor.step(reverse);
        }
        Ok(count)
    }

    fn multi_get(
        &mut self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BoxError> {
        let values = self.store.database.multi_get(&self.reading, keys)?;
        for (place, value) in values.iter().enumerate() {
            visit(place, value.as_ref().map(|value| value.bytes()));
        }
        Ok(())
    }

    fn read_modify_write(
        &mut self,
        _isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let mut value = Vec::new();
        for retries in 0.. {
            let mut transaction = self.store.database.begin(&self.writing)?;
            for (place, key) in keys.iter().enumerate() {
                value.clear();
                if let Some(old) = transaction.get_for_update(key)? {
                    value.extend_from_slice(old.bytes());
                }
                change(place, &mut value);
                transaction.put(key, &value)?;
            }
            if transaction.commit()? == Committed::Yes {
                return Ok(retries);
            }
        }
        unreachable!("nobody counts so far")
    }

    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        self.held = Some(self.store.database.snapshot());
        Ok(())
    }

    fn release_snapshot(&mut self) {
        self.held = None;
    }

    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let value = self.held.as_ref().ok_or("no snapshot is held")?.get(key)?;
        out.clear();
        if let Some(value) = &value {
            out.extend_from_slice(value.bytes());
        }
        Ok(value.is_some())
    }
}

/// Writes the records, which come in rising order, into as many table files as they fill; none for no records.
fn write_tables(
    options: &Options,
    folder: &Path,
    records: &mut dyn Iterator<Item = (Key, Vec<u8>)>,
) -> Result<Vec<PathBuf>, BoxError> {
    let mut files = Vec::new();
    let mut records = records.peekable();
    while records.peek().is_some() {
        let file = folder.join(format!("{:06}.sst", files.len()));
        let mut writer = TableWriter::create(options, &file)?;
        let mut bytes = 0;
        while bytes < TABLE_FILE_BYTES
            && let Some((key, value)) = records.next()
        {
            writer.put(&key, &value)?;
            bytes += (key.len() + value.len()) as u64;
        }
        writer.finish()?;
        files.push(file);
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
