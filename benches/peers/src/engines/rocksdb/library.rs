//! RocksDB's C interface, as `rocksdb/c.h` declares it, and types that make it safe.
//!
//! The library is the system's; what is declared here is what the adapter uses and no more. Everything else about
//! RocksDB is in the module above, without `unsafe`.
//!
//! # Invariants
//!
//! - **RL1** An [`Owned`] has a pointer that a constructor of the library returned, not null, and the library's own function
//!   for freeing it, which is called once, when the `Owned` is dropped. Only this module sees the pointer.
//! - **RL2** What refers to an open database borrows it, and its column family is dropped before it: it is closed last.
//! - **RL3** Bytes that the library lends are valid while it lends them: a pinned value until it is freed, a cursor's record
//!   until the cursor moves. Their slices borrow the value or the cursor. Bytes that the library is given are read or
//!   copied before the call returns.
//! - **RL4** A place for an error holds null before the call; what is there afterwards is a string of C that the caller
//!   frees with `rocksdb_free`.
//! - **RL5** A database may be used by many threads at once (RocksDB's "Basic Operations", "Concurrency"). Nothing else
//!   here may, and nothing else is `Send` or `Sync`.

pub mod transactions;

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

/// What RocksDB says of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RocksDB: {}", self.0)
    }
}

impl std::error::Error for Error {}

/// Options of a database and its tables.
pub struct Options(Owned<raw::Options>);

impl Options {
    /// Reads options from a string of RocksDB's own form: names and values, with `;` between them.
    ///
    /// # Errors
    ///
    /// For a name that RocksDB does not know, or a value that it does not take.
    pub fn parse(text: &str) -> Result<Options, Error> {
        let text = string(text.as_bytes())?;
        let defaults = Owned::new(raw::rocksdb_options_create(), raw::rocksdb_options_destroy);
        let options = Owned::new(raw::rocksdb_options_create(), raw::rocksdb_options_destroy);
        // SAFETY: RL1 for both; RL3 for the text.
        checked(|error| unsafe {
            raw::rocksdb_get_options_from_string(defaults.get(), text.as_ptr(), options.get(), error);
        })?;
        Ok(Options(options))
    }
}

/// Options of a read: RocksDB's defaults.
pub struct ReadOptions(Owned<raw::ReadOptions>);

impl ReadOptions {
    /// The defaults.
    #[expect(clippy::new_without_default, reason = "an allocation, not a value")]
    pub fn new() -> ReadOptions {
        ReadOptions(Owned::new(raw::rocksdb_readoptions_create(), raw::rocksdb_readoptions_destroy))
    }
}

/// Options of a write.
pub struct WriteOptions(Owned<raw::WriteOptions>);

impl WriteOptions {
    /// Through the log, which is synced before the write returns if `sync` says so, else handed to the kernel.
    pub fn new(sync: bool) -> WriteOptions {
        let options = Owned::new(raw::rocksdb_writeoptions_create(), raw::rocksdb_writeoptions_destroy);
        // SAFETY: RL1.
        unsafe { raw::rocksdb_writeoptions_set_sync(options.get(), sync.into()) };
        WriteOptions(options)
    }
}

/// Writes that become one commit.
pub struct Batch(Owned<raw::WriteBatch>);

impl Batch {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "an allocation, not a value")]
    pub fn new() -> Batch {
        Batch(Owned::new(raw::rocksdb_writebatch_create(), raw::rocksdb_writebatch_destroy))
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        // SAFETY: RL1.
        unsafe { raw::rocksdb_writebatch_clear(self.0.get()) };
    }

    /// Adds a put.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        let ((key, key_len), (value, value_len)) = (parts(key), parts(value));
        // SAFETY: RL1; RL3 for the bytes.
        unsafe { raw::rocksdb_writebatch_put(self.0.get(), key, key_len, value, value_len) };
    }
}

/// An open database. Its fields are dropped in this order (RL2).
pub struct Database {
    family: Owned<raw::ColumnFamily>,
    database: Owned<raw::Database>,
    /// There, if it was opened for transactions: then `database` is a part of it.
    optimistic: Option<Owned<transactions::raw::OptimisticDatabase>>,
}

// SAFETY: RL5.
unsafe impl Send for Database {}
// SAFETY: RL5.
unsafe impl Sync for Database {}

impl Database {
    /// Opens, or creates where the options say so.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn open(options: &Options, directory: &Path) -> Result<Database, Error> {
        let directory = path(directory)?;
        let (names, family_options) = ([c"default".as_ptr()], [options.0.get().cast_const()]);
        let mut families = [ptr::null_mut()];
        // SAFETY: RL1 for the options; RL3 for the names; there is one of each, and place for one column family.
        let database = checked(|error| unsafe {
            raw::rocksdb_open_column_families(
                options.0.get(),
                directory.as_ptr(),
                1,
                names.as_ptr(),
                family_options.as_ptr(),
                families.as_mut_ptr(),
                error,
            )
        })?;
        // The database first: if the second failed, the first would be closed.
        let database = Owned::new(database, raw::rocksdb_close);
        let family = Owned::new(families[0], raw::rocksdb_column_family_handle_destroy);
        Ok(Database { family, database, optimistic: None })
    }

    /// The value of `key`, without a copy.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn get(&self, options: &ReadOptions, key: &[u8]) -> Result<Option<Value<'_>>, Error> {
        let (key, key_len) = parts(key);
        // SAFETY: RL1; RL3 for the key.
        let value = checked(|error| unsafe {
            raw::rocksdb_get_pinned(self.database.get(), options.0.get(), key, key_len, error)
        })?;
        Ok(Value::of(value))
    }

    /// The values of all `keys`, without copies, in their order; looked up together.
    ///
    /// # Errors
    ///
    /// The first that RocksDB says of any key.
    pub fn multi_get(&self, options: &ReadOptions, keys: &[&[u8]]) -> Result<Vec<Option<Value<'_>>>, Error> {
        let (places, sizes): (Vec<*const c_char>, Vec<usize>) = keys.iter().map(|key| parts(key)).unzip();
        let mut values = vec![ptr::null_mut(); keys.len()];
        let mut errors = vec![ptr::null_mut(); keys.len()];
        // SAFETY: RL1; RL3 for the keys; every list is as long as the list of keys; RL4 for the errors.
        unsafe {
            raw::rocksdb_batched_multi_get_cf(
                self.database.get(),
                options.0.get(),
                self.family.get(),
                keys.len(),
                places.as_ptr(),
                sizes.as_ptr(),
                values.as_mut_ptr(),
                errors.as_mut_ptr(),
                false,
            );
        }
        // All are taken before any is looked at, so that all are freed.
        let values: Vec<Option<Value<'_>>> = values.into_iter().map(Value::of).collect();
        let errors: Vec<Error> = errors.into_iter().filter_map(taken).collect();
        errors.into_iter().next().map_or(Ok(values), Err)
    }

    /// Writes `value` under `key`: a commit.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn put(&self, options: &WriteOptions, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let ((key, key_len), (value, value_len)) = (parts(key), parts(value));
        // SAFETY: RL1; RL3 for the bytes.
        checked(|error| unsafe {
            raw::rocksdb_put(self.database.get(), options.0.get(), key, key_len, value, value_len, error);
        })
    }

    /// Removes `key`, if it exists: a commit.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn delete(&self, options: &WriteOptions, key: &[u8]) -> Result<(), Error> {
        let (key, key_len) = parts(key);
        // SAFETY: RL1; RL3 for the key.
        checked(|error| unsafe {
            raw::rocksdb_delete(self.database.get(), options.0.get(), key, key_len, error);
        })
    }

    /// Writes a batch: one commit. The batch stays as it is.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn write(&self, options: &WriteOptions, batch: &mut Batch) -> Result<(), Error> {
        // SAFETY: RL1 for all three.
        checked(|error| unsafe {
            raw::rocksdb_write(self.database.get(), options.0.get(), batch.0.get(), error);
        })
    }

    /// A cursor over what is there now; nowhere yet.
    pub fn cursor(&self, options: &ReadOptions) -> Cursor<'_> {
        // SAFETY: RL1; the library copies the options.
        let iterator = unsafe { raw::rocksdb_create_iterator(self.database.get(), options.0.get()) };
        Cursor { iterator: Owned::new(iterator, raw::rocksdb_iter_destroy), database: PhantomData }
    }

    /// Syncs the log.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn sync_log(&self) -> Result<(), Error> {
        // SAFETY: RL1.
        checked(|error| unsafe { raw::rocksdb_flush_wal(self.database.get(), 1, error) })
    }

    /// Takes in tables that [`TableWriter`]s wrote, by moving their files; they are durable then.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says; among others, if they overlap.
    pub fn ingest(&self, files: &[&Path]) -> Result<(), Error> {
        let files = files.iter().map(|file| path(file)).collect::<Result<Vec<CString>, Error>>()?;
        let places: Vec<*const c_char> = files.iter().map(|file| file.as_ptr()).collect();
        let options = Owned::new(
            raw::rocksdb_ingestexternalfileoptions_create(),
            raw::rocksdb_ingestexternalfileoptions_destroy,
        );
        // SAFETY: RL1.
        unsafe { raw::rocksdb_ingestexternalfileoptions_set_move_files(options.get(), 1) };
        // SAFETY: RL1; RL3 for the names, of which there are as many as said.
        checked(|error| unsafe {
            raw::rocksdb_ingest_external_file(
                self.database.get(),
                places.as_ptr(),
                places.len(),
                options.get(),
                error,
            );
        })
    }
}

/// A value where RocksDB has it.
pub struct Value<'d> {
    slice: Owned<raw::PinnableSlice>,
    database: PhantomData<&'d Database>,
}

impl Value<'_> {
    /// None for null.
    fn of<'d>(slice: *mut raw::PinnableSlice) -> Option<Value<'d>> {
        let found = !slice.is_null();
        found.then(|| Value {
            slice: Owned::new(slice, raw::rocksdb_pinnableslice_destroy),
            database: PhantomData,
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        let mut len = 0;
        // SAFETY: RL1; RL3, the slice borrows `self`.
        unsafe {
            let bytes = raw::rocksdb_pinnableslice_value(self.slice.get(), &mut len);
            lent(bytes, len)
        }
    }
}

/// A key and its value.
pub type Record<'r> = (&'r [u8], &'r [u8]);

/// A place among the records of a database, as they were when it was made.
pub struct Cursor<'d> {
    iterator: Owned<raw::Iterator>,
    database: PhantomData<&'d Database>,
}

impl Cursor<'_> {
    /// Goes to the first record, or to the first from `from` on.
    pub fn seek_forward(&mut self, from: Option<&[u8]>) {
        // SAFETY: RL1; RL3 for the key.
        unsafe {
            match from.map(parts) {
                None => raw::rocksdb_iter_seek_to_first(self.iterator.get()),
                Some((key, key_len)) => raw::rocksdb_iter_seek(self.iterator.get(), key, key_len),
            }
        }
    }

    /// Goes to the last record, or to the last up to `from`.
    pub fn seek_backward(&mut self, from: Option<&[u8]>) {
        // SAFETY: RL1; RL3 for the key.
        unsafe {
            match from.map(parts) {
                None => raw::rocksdb_iter_seek_to_last(self.iterator.get()),
                Some((key, key_len)) => raw::rocksdb_iter_seek_for_prev(self.iterator.get(), key, key_len),
            }
        }
    }

    /// The record here; none beyond either end.
    ///
    /// # Errors
    ///
    /// What RocksDB says of the way here.
    pub fn record(&self) -> Result<Option<Record<'_>>, Error> {
        // SAFETY: RL1.
        if unsafe { raw::rocksdb_iter_valid(self.iterator.get()) } == 0 {
            // SAFETY: RL1.
            checked(|error| unsafe { raw::rocksdb_iter_get_error(self.iterator.get(), error) })?;
            return Ok(None);
        }
        let (mut key_len, mut value_len) = (0, 0);
        // SAFETY: RL1, and the cursor is at a record; RL3, the slices borrow `self`, and moving needs it alone.
        unsafe {
            let key = raw::rocksdb_iter_key(self.iterator.get(), &mut key_len);
            let value = raw::rocksdb_iter_value(self.iterator.get(), &mut value_len);
            Ok(Some((lent(key, key_len), lent(value, value_len))))
        }
    }

    /// Goes on by one record, or back by one. Stays where it is beyond either end.
    pub fn step(&mut self, reverse: bool) {
        // SAFETY: RL1; only from a record may the library's iterator move.
        unsafe {
            match (raw::rocksdb_iter_valid(self.iterator.get()), reverse) {
                (0, _) => {}
                (_, false) => raw::rocksdb_iter_next(self.iterator.get()),
                (_, true) => raw::rocksdb_iter_prev(self.iterator.get()),
            }
        }
    }
}

/// Writes a table into a file of its own, for [`Database::ingest`].
pub struct TableWriter(Owned<raw::TableWriter>);

impl TableWriter {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says.
    pub fn create(options: &Options, file: &Path) -> Result<TableWriter, Error> {
        let file = path(file)?;
        let environment = Owned::new(raw::rocksdb_envoptions_create(), raw::rocksdb_envoptions_destroy);
        // SAFETY: RL1; the library copies both options.
        let writer = unsafe { raw::rocksdb_sstfilewriter_create(environment.get(), options.0.get()) };
        let writer = Owned::new(writer, raw::rocksdb_sstfilewriter_destroy);
        // SAFETY: RL1; RL3 for the name.
        checked(|error| unsafe { raw::rocksdb_sstfilewriter_open(writer.get(), file.as_ptr(), error) })?;
        Ok(TableWriter(writer))
    }

    /// Adds a record, of a greater key than all before.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says; among others, if the key is not greater.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let ((key, key_len), (value, value_len)) = (parts(key), parts(value));
        // SAFETY: RL1; RL3 for the bytes.
        checked(|error| unsafe {
            raw::rocksdb_sstfilewriter_put(self.0.get(), key, key_len, value, value_len, error);
        })
    }

    /// Ends the file, and syncs it.
    ///
    /// # Errors
    ///
    /// Whatever RocksDB says; among others, if there is no record in it.
    pub fn finish(self) -> Result<(), Error> {
        // SAFETY: RL1.
        checked(|error| unsafe { raw::rocksdb_sstfilewriter_finish(self.0.get(), error) })
    }
}

/// Something of the library that is freed when it is dropped (RL1).
struct Owned<T> {
    at: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Of what a constructor of the library returned, and what frees it. Nothing but a constructor's call may be
    /// given here, which this module sees to.
    #[track_caller]
    fn new(at: *mut T, free: unsafe extern "C" fn(*mut T)) -> Owned<T> {
        Owned { at: NonNull::new(at).expect("a constructor of RocksDB returns what it made"), free }
    }

    fn get(&self) -> *mut T {
        self.at.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: RL1; nobody has it after this.
        unsafe { (self.free)(self.at.as_ptr()) }
    }
}

/// Makes a call with a place for an error, and looks into that place (RL4).
fn checked<T>(call: impl FnOnce(*mut *mut c_char) -> T) -> Result<T, Error> {
    let mut error = ptr::null_mut();
    let result = call(&mut error);
    taken(error).map_or(Ok(result), Err)
}

/// The error that a call left, if it left one (RL4). Its bytes need not be UTF-8: a path may be in it.
fn taken(error: *mut c_char) -> Option<Error> {
    if error.is_null() {
        return None;
    }
    let error = Owned::new(error.cast::<c_void>(), raw::rocksdb_free);
    // SAFETY: RL4; the string lives until `error` is dropped.
    let text = unsafe { CStr::from_ptr(error.get().cast_const().cast()) };
    Some(Error(text.to_string_lossy().into_owned()))
}

/// A slice as the library takes it.
fn parts(bytes: &[u8]) -> (*const c_char, usize) {
    (bytes.as_ptr().cast(), bytes.len())
}

/// Bytes that the library lends; where there are none, the pointer means nothing.
///
/// # Safety
///
/// If `len` is not 0, so many bytes are at `bytes`, and they stay there unchanged as long as `'l`.
unsafe fn lent<'l>(bytes: *const c_char, len: usize) -> &'l [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(bytes.cast(), len) }
}

fn path(path: &Path) -> Result<CString, Error> {
    string(path.as_os_str().as_bytes())
}

fn string(bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error(format!("a zero byte in {:?}", String::from_utf8_lossy(bytes))))
}

/// The declarations of `rocksdb/c.h`, version 7.8. A bool of C++ is an unsigned char there, but for one.
mod raw {
    use super::{c_char, c_int, c_uchar, c_void};

    /// Types of which only pointers are known.
    macro_rules! opaque {
        ($($name:ident)*) => { $(#[repr(C)] pub(super) struct $name { _unknown: [u8; 0] })* };
    }

    opaque!(Options ReadOptions WriteOptions EnvOptions IngestOptions);
    opaque!(Database ColumnFamily PinnableSlice WriteBatch Iterator TableWriter);

    /// A place for an error.
    type Place = *mut *mut c_char;

    // SAFETY: each line is the header's declaration; `safe` are constructors, which take nothing.
    #[link(name = "rocksdb")]
    #[rustfmt::skip]
    unsafe extern "C" {
        pub(super) safe fn rocksdb_options_create() -> *mut Options;
        pub(super) fn rocksdb_options_destroy(options: *mut Options);
        pub(super) fn rocksdb_get_options_from_string(base: *const Options, text: *const c_char, options: *mut Options, error: Place);
        pub(super) safe fn rocksdb_readoptions_create() -> *mut ReadOptions;
        pub(super) fn rocksdb_readoptions_destroy(options: *mut ReadOptions);
        pub(super) safe fn rocksdb_writeoptions_create() -> *mut WriteOptions;
        pub(super) fn rocksdb_writeoptions_destroy(options: *mut WriteOptions);
        pub(super) fn rocksdb_writeoptions_set_sync(options: *mut WriteOptions, sync: c_uchar);

        pub(super) safe fn rocksdb_writebatch_create() -> *mut WriteBatch;
        pub(super) fn rocksdb_writebatch_destroy(batch: *mut WriteBatch);
        pub(super) fn rocksdb_writebatch_clear(batch: *mut WriteBatch);
        pub(super) fn rocksdb_writebatch_put(batch: *mut WriteBatch, key: *const c_char, key_len: usize, value: *const c_char, value_len: usize);

        pub(super) fn rocksdb_open_column_families(options: *const Options, name: *const c_char, count: c_int, names: *const *const c_char, family_options: *const *const Options, families: *mut *mut ColumnFamily, error: Place) -> *mut Database;
        pub(super) fn rocksdb_close(database: *mut Database);
        pub(super) fn rocksdb_column_family_handle_destroy(family: *mut ColumnFamily);
        pub(super) fn rocksdb_put(database: *mut Database, options: *const WriteOptions, key: *const c_char, key_len: usize, value: *const c_char, value_len: usize, error: Place);
        pub(super) fn rocksdb_delete(database: *mut Database, options: *const WriteOptions, key: *const c_char, key_len: usize, error: Place);
        pub(super) fn rocksdb_write(database: *mut Database, options: *const WriteOptions, batch: *mut WriteBatch, error: Place);
        pub(super) fn rocksdb_get_pinned(database: *mut Database, options: *const ReadOptions, key: *const c_char, key_len: usize, error: Place) -> *mut PinnableSlice;
        pub(super) fn rocksdb_batched_multi_get_cf(database: *mut Database, options: *const ReadOptions, family: *mut ColumnFamily, count: usize, keys: *const *const c_char, key_lens: *const usize, values: *mut *mut PinnableSlice, errors: *mut *mut c_char, sorted: bool);
        pub(super) fn rocksdb_pinnableslice_value(slice: *const PinnableSlice, len: *mut usize) -> *const c_char;
        pub(super) fn rocksdb_pinnableslice_destroy(slice: *mut PinnableSlice);
        pub(super) fn rocksdb_flush_wal(database: *mut Database, sync: c_uchar, error: Place);

        pub(super) fn rocksdb_create_iterator(database: *mut Database, options: *const ReadOptions) -> *mut Iterator;
        pub(super) fn rocksdb_iter_destroy(iterator: *mut Iterator);
        pub(super) fn rocksdb_iter_valid(iterator: *const Iterator) -> c_uchar;
        pub(super) fn rocksdb_iter_seek_to_first(iterator: *mut Iterator);
        pub(super) fn rocksdb_iter_seek_to_last(iterator: *mut Iterator);
        pub(super) fn rocksdb_iter_seek(iterator: *mut Iterator, key: *const c_char, key_len: usize);
        pub(super) fn rocksdb_iter_seek_for_prev(iterator: *mut Iterator, key: *const c_char, key_len: usize);
        pub(super) fn rocksdb_iter_next(iterator: *mut Iterator);
        pub(super) fn rocksdb_iter_prev(iterator: *mut Iterator);
        pub(super) fn rocksdb_iter_key(iterator: *const Iterator, len: *mut usize) -> *const c_char;
        pub(super) fn rocksdb_iter_value(iterator: *const Iterator, len: *mut usize) -> *const c_char;
        pub(super) fn rocksdb_iter_get_error(iterator: *const Iterator, error: Place);

        pub(super) safe fn rocksdb_envoptions_create() -> *mut EnvOptions;
        pub(super) fn rocksdb_envoptions_destroy(options: *mut EnvOptions);
        pub(super) fn rocksdb_sstfilewriter_create(environment: *const EnvOptions, options: *const Options) -> *mut TableWriter;
        pub(super) fn rocksdb_sstfilewriter_destroy(writer: *mut TableWriter);
        pub(super) fn rocksdb_sstfilewriter_open(writer: *mut TableWriter, name: *const c_char, error: Place);
        pub(super) fn rocksdb_sstfilewriter_put(writer: *mut TableWriter, key: *const c_char, key_len: usize, value: *const c_char, value_len: usize, error: Place);
        pub(super) fn rocksdb_sstfilewriter_finish(writer: *mut TableWriter, error: Place);
        pub(super) safe fn rocksdb_ingestexternalfileoptions_create() -> *mut IngestOptions;
        pub(super) fn rocksdb_ingestexternalfileoptions_destroy(options: *mut IngestOptions);
        pub(super) fn rocksdb_ingestexternalfileoptions_set_move_files(options: *mut IngestOptions, yes: c_uchar);
        pub(super) fn rocksdb_ingest_external_file(database: *mut Database, files: *const *const c_char, count: usize, options: *const IngestOptions, error: Place);

        pub(super) fn rocksdb_free(allocated: *mut c_void);
    }
}
