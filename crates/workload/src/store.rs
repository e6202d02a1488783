//! What an engine must offer to be measured.
//!
//! 1. A [`Session`] belongs to one thread; every thread opens its own before the clock starts.
//! 2. A write has the session's durability, or the next stronger one that the engine has, when the call returns.
//! 3. Keys and values are byte strings; keys are in order of their bytes, shorter first.
//!
//! [`conformance::check`](crate::conformance::check) holds an implementation to this.

use crate::records::Key;
use crate::{BoxError, Durability, Isolation};

/// Records of a batch where there is no bulk load.
const BULK_BATCH: usize = 1000;

/// Who is measured, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The engine's name, such as `aquifer`.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// The kind of table: `sorted` or `hashed`.
    pub kind: String,
    /// How it reaches the disk: `uring`, `posix`, `mmap`, `memory`.
    pub backend: String,
}

/// What an engine has written since it was opened, and what it takes on disk now, in bytes.
///
/// An engine that cannot tell says 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Written to the log: records, without padding.
    pub log_bytes: u64,
    /// Written to the log to fill up blocks.
    pub log_padding_bytes: u64,
    /// Written to the data file.
    pub data_bytes: u64,
    /// Taken by all files now.
    pub file_bytes: u64,
}

/// An open engine with one table.
pub trait Store: Sync {
    /// One thread's way in.
    type Session<'s>: Session
    where
        Self: 's;

    /// A way in for the calling thread, whose writes are of this durability.
    fn session(&self, durability: Durability) -> Self::Session<'_>;

    /// Who this is.
    fn description(&self) -> Description;

    /// What was written so far.
    fn counters(&self) -> Counters;

    /// Makes every write so far durable.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn sync(&self) -> Result<(), BoxError>;
}

/// What a transaction does with each record that it has read: it is given the place of the key among the keys, and the value, which is empty where
/// there is none, and makes the new value of it.
pub type Change<'c> = dyn FnMut(usize, &mut Vec<u8>) + 'c;

/// One thread's way into a [`Store`]. All methods fail with whatever the engine says.
pub trait Session {
    /// Reads `key` into `out`, in place of what is there; tells whether the key exists. A read transaction of
    /// its own, where the engine has transactions.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError>;

    /// Writes `value` under `key`: a commit.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError>;

    /// Removes `key`, if it exists: a commit.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError>;

    /// Writes all records: one commit.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError>;

    /// Writes all records, which come in rising order of their keys, into the empty table, and makes them durable.
    ///
    /// Unless overridden, in batches.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn bulk_load(&mut self, records: &mut dyn Iterator<Item = (Key, Vec<u8>)>) -> Result<(), BoxError> {
        loop {
            let batch: Vec<(Key, Vec<u8>)> = (&mut *records).take(BULK_BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let batch: Vec<(&[u8], &[u8])> =
                batch.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            self.write_batch(&batch)?;
        }
    }

    /// Visits up to `limit` records in order of keys, or backwards, from the key `from` on (included; from the end where
    /// there is none), and returns how many there were. One read transaction.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError>;

    /// Visits every key's place in `keys` and its value, if it exists, in any order. One read transaction.
    ///
    /// Unless overridden, a [`get`](Session::get) for each.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn multi_get(
        &mut self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BoxError> {
        let mut out = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            let found = self.get(key, &mut out)?;
            visit(place, found.then_some(&out[..]));
        }
        Ok(())
    }

    /// Replaces the bytes of the value of `key` from `offset` on, the rest staying as it is: a commit. Tells whether the key
    /// exists and its value is long enough; if not, nothing happens.
    ///
    /// Unless overridden, a [`get`](Session::get) and a [`put`](Session::put), which loses updates of the same key by other
    /// sessions in between.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn update_field(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> Result<bool, BoxError> {
        let mut value = Vec::new();
        if !self.get(key, &mut value)? {
            return Ok(false);
        }
        let Some(field) = value.get_mut(offset..).and_then(|tail| tail.get_mut(..bytes.len())) else {
            return Ok(false);
        };
        field.copy_from_slice(bytes);
        self.put(key, &value)?;
        Ok(true)
    }

    /// Reads all `keys`, which are different, has `change` make new values, writes these, and commits: one transaction of this level, or the next
    /// stronger one that the engine has. Where it is refused because others have committed, it is begun again until it is not, so that `change` may
    /// come to a key several times. Returns how often it was begun again.
    ///
    /// # Errors
    /// Whatever the engine says; unless overridden, that it has no transactions.
    fn read_modify_write(
        &mut self,
        isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let _ = (isolation, keys, change);
        Err("this engine has no transactions that read and write".into())
    }

    /// Holds a snapshot of this moment from now on, in place of the one before. Until it is [released](Session::release_snapshot) nothing is asked but
    /// [`get_held`](Session::get_held).
    ///
    /// # Errors
    /// Whatever the engine says; unless overridden, that it has no snapshots.
    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        Err("this engine has no snapshots".into())
    }

    /// Lets go of the snapshot, if one is held.
    fn release_snapshot(&mut self) {}

    /// As [`get`](Session::get), from the snapshot that is held.
    ///
    /// # Errors
    /// Whatever the engine says; that no snapshot is held.
    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let _ = (key, out);
        Err("no snapshot is held".into())
    }
}
