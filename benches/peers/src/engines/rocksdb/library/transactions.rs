//! Optimistic transactions and snapshots, as `rocksdb/c.h` declares them.
//!
//! # Invariants
//!
//! - **RT1** A [`Transaction`] and a [`Snapshot`] borrow their database, and are gone before it is closed (RL2).
//! - **RT2** The options with which a transaction or a snapshot is read name its snapshot, and are used while that is there and no longer: only by
//!   methods of their owner.

use super::{Database, Error, Options, Owned, ReadOptions, Value, WriteOptions, checked, parts, path};
use std::ffi::{c_char, c_uchar};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{self, NonNull};

impl Database {
    /// As [`open`](Database::open), for transactions as well.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn open_optimistic(options: &Options, directory: &Path) -> Result<Database, Error> {
        let directory = path(directory)?;
        let (names, family_options) = ([c"default".as_ptr()], [options.0.get().cast_const()]);
        let mut families = [ptr::null_mut()];
        // SAFETY: RL1 for the options; RL3 for the names; there is one of each, and place for one column family.
        let optimistic = checked(|error| unsafe {
            raw::rocksdb_optimistictransactiondb_open_column_families(
                options.0.get(),
                directory.as_ptr(),
                1,
                names.as_ptr(),
                family_options.as_ptr(),
                families.as_mut_ptr(),
                error,
            )
        })?;
        let optimistic = Owned::new(optimistic, raw::rocksdb_optimistictransactiondb_close);
        // SAFETY: RL1.
        let base = unsafe { raw::rocksdb_optimistictransactiondb_get_base_db(optimistic.get()) };
        let database = Owned::new(base, raw::rocksdb_optimistictransactiondb_close_base_db);
        let family = Owned::new(families[0], super::raw::rocksdb_column_family_handle_destroy);
        Ok(Database { family, database, optimistic: Some(optimistic) })
    }

    /// Begins a transaction, which takes its snapshot now and commits as `options` say.
    ///
    /// # Errors
    ///
    /// If the database was not opened for transactions.
    pub fn begin(&self, options: &WriteOptions) -> Result<Transaction<'_>, Error> {
        let Some(optimistic) = &self.optimistic else {
            return Err(Error("the database was not opened for transactions".to_string()));
        };
        let with_snapshot = Owned::new(
            raw::rocksdb_optimistictransaction_options_create(),
            raw::rocksdb_optimistictransaction_options_destroy,
        );
        // SAFETY: RL1; the library copies the options.
        let transaction = unsafe {
            raw::rocksdb_optimistictransaction_options_set_set_snapshot(with_snapshot.get(), 1);
            raw::rocksdb_optimistictransaction_begin(
                optimistic.get(),
                options.0.get(),
                with_snapshot.get(),
                ptr::null_mut(),
            )
        };
        let transaction = Owned::new(transaction, raw::rocksdb_transaction_destroy);
        let reading = ReadOptions::new();
        // SAFETY: RL1. What is returned is a box around the transaction's snapshot, and is the caller's; the options take out what is in it.
        unsafe {
            let snapshot = raw::rocksdb_transaction_get_snapshot(transaction.get());
            raw::rocksdb_readoptions_set_snapshot(reading.0.get(), snapshot);
            super::raw::rocksdb_free(snapshot.cast_mut().cast());
        }
        Ok(Transaction { transaction, reading, database: PhantomData })
    }

    /// What is there now, for as long as it is held.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let reading = ReadOptions::new();
        // SAFETY: RL1; RT2.
        let snapshot = unsafe {
            let snapshot = raw::rocksdb_create_snapshot(self.database.get());
            raw::rocksdb_readoptions_set_snapshot(reading.0.get(), snapshot);
            snapshot
        };
        let snapshot = NonNull::new(snapshot.cast_mut()).expect("RocksDB returns the snapshot that it made");
        Snapshot { database: self, snapshot, reading }
    }
}

/// A moment of a database.
pub struct Snapshot<'d> {
    database: &'d Database,
    snapshot: NonNull<raw::Snapshot>,
    /// RT2.
    reading: ReadOptions,
}

impl Snapshot<'_> {
    /// The value of `key` at that moment, without a copy.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>, Error> {
        self.database.get(&self.reading, key)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        // SAFETY: RT1; made by this database, and nobody has it after this.
        unsafe { raw::rocksdb_release_snapshot(self.database.database.get(), self.snapshot.as_ptr()) }
    }
}

/// Reads and writes that are committed together, if nobody has changed what was read.
pub struct Transaction<'d> {
    transaction: Owned<raw::Transaction>,
    /// RT2.
    reading: ReadOptions,
    database: PhantomData<&'d Database>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// It is done.
    Yes,
    /// Others were first, or it cannot be told: nothing has happened.
    Refused,
}

impl Transaction<'_> {
    /// The value of `key` in the transaction's snapshot, without a copy. That it stays so is a condition of the commit.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn get_for_update(&mut self, key: &[u8]) -> Result<Option<Value<'_>>, Error> {
        let (key, key_len) = parts(key);
        // SAFETY: RL1; RT2; RL3 for the key.
        let value = checked(|error| unsafe {
            raw::rocksdb_transaction_get_pinned_for_update(
                self.transaction.get(),
                self.reading.0.get(),
                key,
                key_len,
                1,
                error,
            )
        })?;
        Ok(Value::of(value))
    }

    /// Writes `value` under `key`.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let ((key, key_len), (value, value_len)) = (parts(key), parts(value));
        // SAFETY: RL1; RL3 for the bytes.
        checked(|error| unsafe {
            raw::rocksdb_transaction_put(self.transaction.get(), key, key_len, value, value_len, error);
        })
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says, but for a refusal.
    pub fn commit(self) -> Result<Committed, Error> {
        // SAFETY: RL1.
        match checked(|error| unsafe { raw::rocksdb_transaction_commit(self.transaction.get(), error) }) {
            Ok(()) => Ok(Committed::Yes),
            // The C interface gives the status as text: `Busy` and `TryAgain`.
            Err(Error(text))
                if text.starts_with("Resource busy") || text.starts_with("Operation failed. Try again") =>
            {
                Ok(Committed::Refused)
            }
            Err(error) => Err(error),
        }
    }
}

/// The declarations of `rocksdb/c.h`, version 7.8.
pub(super) mod raw {
    use super::super::raw::{ColumnFamily, Database, Options, PinnableSlice, ReadOptions, WriteOptions};
    use super::{c_char, c_uchar};

    /// Types of which only pointers are known.
    macro_rules! opaque {
        ($($name:ident)*) => { $(#[repr(C)] pub struct $name { _unknown: [u8; 0] })* };
    }

    opaque!(OptimisticDatabase OptimisticOptions Transaction Snapshot);

    /// A place for an error.
    type Place = *mut *mut c_char;

    // SAFETY: each line is the header's declaration; `safe` are constructors, which take nothing.
    #[link(name = "rocksdb")]
    #[rustfmt::skip]
    unsafe extern "C" {
        pub(super) fn rocksdb_optimistictransactiondb_open_column_families(options: *const Options, name: *const c_char, count: std::ffi::c_int, names: *const *const c_char, family_options: *const *const Options, families: *mut *mut ColumnFamily, error: Place) -> *mut OptimisticDatabase;
        pub(super) fn rocksdb_optimistictransactiondb_close(database: *mut OptimisticDatabase);
        pub(super) fn rocksdb_optimistictransactiondb_get_base_db(database: *mut OptimisticDatabase) -> *mut Database;
        pub(super) fn rocksdb_optimistictransactiondb_close_base_db(database: *mut Database);
        pub(super) safe fn rocksdb_optimistictransaction_options_create() -> *mut OptimisticOptions;
        pub(super) fn rocksdb_optimistictransaction_options_destroy(options: *mut OptimisticOptions);
        pub(super) fn rocksdb_optimistictransaction_options_set_set_snapshot(options: *mut OptimisticOptions, yes: c_uchar);
        pub(super) fn rocksdb_optimistictransaction_begin(database: *mut OptimisticDatabase, write_options: *const WriteOptions, options: *const OptimisticOptions, old: *mut Transaction) -> *mut Transaction;
        pub(super) fn rocksdb_transaction_destroy(transaction: *mut Transaction);
        pub(super) fn rocksdb_transaction_get_snapshot(transaction: *mut Transaction) -> *const Snapshot;
        pub(super) fn rocksdb_transaction_get_pinned_for_update(transaction: *mut Transaction, options: *const ReadOptions, key: *const c_char, key_len: usize, exclusive: c_uchar, error: Place) -> *mut PinnableSlice;
        pub(super) fn rocksdb_transaction_put(transaction: *mut Transaction, key: *const c_char, key_len: usize, value: *const c_char, value_len: usize, error: Place);
        pub(super) fn rocksdb_transaction_commit(transaction: *mut Transaction, error: Place);
        pub(super) fn rocksdb_create_snapshot(database: *mut Database) -> *const Snapshot;
        pub(super) fn rocksdb_release_snapshot(database: *mut Database, snapshot: *const Snapshot);
        pub(super) fn rocksdb_readoptions_set_snapshot(options: *mut ReadOptions, snapshot: *const Snapshot);
    }
}
