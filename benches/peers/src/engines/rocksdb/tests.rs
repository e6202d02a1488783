//! What RocksDB made of the settings, and what the binding makes of RocksDB's errors.

use super::library::transactions::Committed;
use super::library::{Database, Error, Options, ReadOptions, TableWriter, WriteOptions};
use super::{Rocksdb, options_file, settings, write_tables};
use aquifer_workload::{Key, Store};
use std::path::Path;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(directory: &Path) -> Database {
    let options = Options::parse("create_if_missing=true").expect("an option of RocksDB");
    Database::open(&options, directory).expect("opens")
}

#[track_caller]
fn failure<T>(result: Result<T, Error>) -> String {
    result.err().expect("it fails").to_string()
}

#[test]
fn rocksdb_took_every_setting() {
    let folder = folder();
    let store = Rocksdb::open(folder.path(), 64, false).expect("opens");
    let taken = options_file(folder.path()).expect("RocksDB writes its options down");
    let expected = [
        "max_background_jobs=6",
        "bytes_per_sync=1048576",
        "level_compaction_dynamic_level_bytes=true",
        "compression=kNoCompression",
        "write_buffer_size=16777216",
        "max_write_buffer_number=2",
        "block_size=16384",
        "cache_index_and_filter_blocks=true",
        "pin_l0_filter_and_index_blocks_in_cache=true",
    ];
    let lines: Vec<&str> = taken.lines().map(str::trim).collect();
    for line in expected {
        assert!(lines.contains(&line), "{line} in {taken}");
    }
    assert!(taken.contains("bloomfilter:10"), "{taken}");
    let version = store.description().version;
    assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
}

#[test]
fn write_buffers_and_cache_make_up_the_budget() {
    let parts = |budget_mib: u64| {
        let settings = settings(budget_mib << 20);
        let number = |name: &str| {
            let rest = settings.split(name).nth(1).expect("it is set");
            rest.split([';', '}']).next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
        };
        (number("write_buffer_size=") >> 20, number("block_cache=") >> 20)
    };
    assert_eq!(parts(64), (16, 32));
    assert_eq!(parts(256), (64, 128));
    assert_eq!(parts(1024), (64, 896));
}

#[test]
fn errors_say_what_rocksdb_says() {
    let folder = folder();
    let unknown = failure(Options::parse("no_such_option=1"));
    assert!(unknown.starts_with("RocksDB: ") && unknown.contains("no_such_option"), "{unknown}");
    let database = open(folder.path());
    let options = Options::parse("create_if_missing=true").expect("an option of RocksDB");
    let locked = failure(Database::open(&options, folder.path()));
    assert!(locked.contains("LOCK"), "{locked}");
    let zero = failure(Database::open(&options, Path::new("a\0b")));
    assert!(zero.contains("zero byte"), "{zero}");
    let absent = failure(database.ingest(&[&folder.path().join("absent.sst")]));
    assert!(absent.contains("absent.sst"), "{absent}");
}

#[test]
fn errors_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let name = folder.path().join(std::ffi::OsStr::from_bytes(b"f\xffle"));
    std::fs::write(&name, b"no folder").expect("a file is written");
    let options = Options::parse("create_if_missing=true").expect("an option of RocksDB");
    let error = failure(Database::open(&options, &name));
    assert!(error.contains("f\u{fffd}le"), "{error}");
}

#[test]
fn empty_keys_and_values_are_bytes_like_others() {
    let folder = folder();
    let database = open(folder.path());
    let (reading, writing) = (ReadOptions::new(), WriteOptions::new(false));
    database.put(&writing, b"", b"").expect("a put");
    let value = database.get(&reading, b"").expect("a get").expect("it is there");
    assert_eq!(value.bytes(), b"");
    let mut cursor = database.cursor(&reading);
    assert_eq!(cursor.record(), Ok(None), "nowhere yet");
    cursor.step(false);
    cursor.seek_forward(None);
    assert_eq!(cursor.record(), Ok(Some((&b""[..], &b""[..]))));
    cursor.step(true);
    assert_eq!(cursor.record(), Ok(None));
    let values = database.multi_get(&reading, &[b"x", b""]).expect("a multiget");
    assert_eq!(
        values.iter().map(|value| value.as_ref().map(|v| v.bytes())).collect::<Vec<_>>(),
        [None, Some(&b""[..])]
    );
    assert!(database.multi_get(&reading, &[]).expect("a multiget of none").is_empty());
}

#[test]
fn what_was_read_stays_while_others_write() {
    let folder = folder();
    let database = open(folder.path());
    let (reading, writing) = (ReadOptions::new(), WriteOptions::new(true));
    database.put(&writing, b"key", b"old").expect("a put");
    let value = database.get(&reading, b"key").expect("a get").expect("it is there");
    let mut cursor = database.cursor(&reading);
    database.put(&writing, b"key", b"new").expect("a put");
    database.delete(&writing, b"key").expect("a delete");
    cursor.seek_backward(None);
    assert_eq!(value.bytes(), b"old");
    assert_eq!(cursor.record(), Ok(Some((&b"key"[..], &b"old"[..]))));
    assert!(database.get(&reading, b"key").expect("a get").is_none());
}

#[test]
fn of_two_transactions_on_one_key_the_second_is_refused() {
    let folder = folder();
    let options = Options::parse("create_if_missing=true").expect("an option of RocksDB");
    let database = Database::open_optimistic(&options, folder.path()).expect("opens");
    let (reading, writing) = (ReadOptions::new(), WriteOptions::new(false));
    database.put(&writing, b"key", b"old").expect("a put");
    let mut first = database.begin(&writing).expect("begins");
    let mut second = database.begin(&writing).expect("begins");
    for (transaction, value) in [(&mut first, b"1"), (&mut second, b"2")] {
        let old = transaction.get_for_update(b"key").expect("a get").expect("it is there");
        assert_eq!(old.bytes(), b"old");
        drop(old);
        transaction.put(b"key", value).expect("a put");
    }
    assert_eq!(first.commit(), Ok(Committed::Yes));
    assert_eq!(second.commit(), Ok(Committed::Refused));
    let value = database.get(&reading, b"key").expect("a get").expect("it is there");
    assert_eq!(value.bytes(), b"1");
}

#[test]
fn what_was_only_read_for_update_counts_too() {
    let folder = folder();
    let options = Options::parse("create_if_missing=true").expect("an option of RocksDB");
    let database = Database::open_optimistic(&options, folder.path()).expect("opens");
    let writing = WriteOptions::new(false);
    let mut transaction = database.begin(&writing).expect("begins");
    assert!(transaction.get_for_update(b"a").expect("a get").is_none());
    transaction.put(b"b", b"1").expect("a put");
    database.put(&writing, b"a", b"2").expect("a put");
    assert!(transaction.get_for_update(b"a").expect("a get").is_none(), "the snapshot is older");
    assert_eq!(transaction.commit(), Ok(Committed::Refused));
    assert!(
        failure(open(&folder.path().join("other")).begin(&writing).map(drop)).contains("for transactions")
    );
}

#[test]
fn tables_are_written_in_order_of_keys_or_not_at_all() {
    let folder = folder();
    let options = Options::parse("").expect("the defaults");
    let mut writer = TableWriter::create(&options, &folder.path().join("t.sst")).expect("begins");
    writer.put(b"b", b"1").expect("a put");
    assert!(failure(writer.put(b"a", b"2")).contains("order"));
    let files = write_tables(&options, folder.path(), &mut std::iter::empty()).expect("no records");
    assert!(files.is_empty());
}

#[test]
fn a_bulk_load_of_several_files_is_all_there() {
    let folder = folder();
    let options = Options::parse("create_if_missing=true").expect("an option of RocksDB");
    let key = |number: u64| {
        let mut key = Key::default();
        key[8..].copy_from_slice(&number.to_be_bytes());
        key
    };
    // Three files of 64 MiB at most.
    let mut records = (0..140).map(|number| (key(number), vec![7; 1 << 20]));
    let files = write_tables(&options, folder.path(), &mut records).expect("they are written");
    assert_eq!(files.len(), 3);
    let database = open(&folder.path().join("database"));
    let files: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
    database.ingest(&files).expect("they are taken in");
    assert!(files.iter().all(|file| !file.exists()), "moved, not copied");
    let reading = ReadOptions::new();
    let mut cursor = database.cursor(&reading);
    cursor.seek_forward(None);
    let mut count = 0;
    while let Some((found, value)) = cursor.record().expect("a scan") {
        assert_eq!((found, value.len()), (&key(count)[..], 1 << 20));
        cursor.step(false);
        count += 1;
    }
    assert_eq!(count, 140);
}
