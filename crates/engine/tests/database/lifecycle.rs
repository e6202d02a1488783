//! Opening and closing; tables that come and go; a second opener.

use aquifer::{Backend, Database, Durability, Error, ErrorKind, TableOptions};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    (dir, path)
}

#[test]
fn open_needs_a_database_and_create_needs_none() {
    let (_dir, path) = directory();
    assert!(matches!(Database::options().open(&path), Err(Error::NotFound { .. })));
    assert!(!path.exists(), "looking leaves nothing behind");
    drop(Database::options().create(&path).unwrap());
    assert!(matches!(Database::options().create(&path), Err(Error::AlreadyExists { .. })));
    drop(Database::options().open(&path).unwrap());
    drop(Database::open(&path).unwrap());
}

#[test]
fn an_empty_directory_is_no_database_and_becomes_one() {
    let (_dir, path) = directory();
    fs::create_dir(&path).unwrap();
    assert!(matches!(Database::options().open(&path), Err(Error::NotFound { .. })));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    Database::open(&path).unwrap();
}

#[test]
fn a_directory_with_something_else_is_left_alone() {
    let (_dir, path) = directory();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "dear").unwrap();
    let error = Database::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("letter.txt"), "{error}");
    assert_eq!(fs::read_to_string(path.join("letter.txt")).unwrap(), "dear");
    assert!(!path.join("data").exists());
}

#[test]
fn a_log_without_data_is_refused() {
    let (_dir, path) = directory();
    drop(Database::open(&path).unwrap());
    fs::remove_file(path.join("data")).unwrap();
    let error = Database::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    assert!(error.to_string().contains("log without its data file"), "{error}");
}

#[test]
fn everything_is_there_again_after_closing() {
    for backend in [Backend::Auto, Backend::Posix] {
        let (_dir, path) = directory();
        let db = Database::options().backend(backend).create(&path).unwrap();
        assert!(db.recovery_report().created);
        let table = db.create_table("t", TableOptions::default()).unwrap();
        for n in 0u32..5000 {
            table.put_with(&n.to_be_bytes(), &n.to_le_bytes(), Durability::Eventual).unwrap().lsn();
        }
        db.close().unwrap();
        drop((table, db));
        let db = Database::options().backend(backend).open(&path).unwrap();
        let report = db.recovery_report();
        assert!(report.clean && !report.created, "{report:?}");
        assert_eq!((report.records, report.tail_cut_bytes, report.incarnation), (0, 0, 2));
        let table = db.table("t").unwrap();
        for n in 0u32..5000 {
            assert_eq!(table.get(&n.to_be_bytes()).unwrap(), Some(n.to_le_bytes().to_vec()));
        }
        assert!(db.verify(|_| {}).unwrap().is_clean());
    }
}

#[test]
fn the_last_handle_closes() {
    let (_dir, path) = directory();
    let db = Database::open(&path).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    drop(db);
    table.clone().with_durability(Durability::Eventual).put(b"k", b"v").unwrap();
    assert!(matches!(Database::open(&path), Err(Error::Locked { .. })), "the table keeps it open");
    drop(table);
    let db = Database::open(&path).unwrap();
    assert!(db.recovery_report().clean);
    assert_eq!(db.table("t").unwrap().get(b"k").unwrap(), Some(b"v".to_vec()));
}

#[test]
fn handles_that_survive_closing_say_so() {
    let (_dir, path) = directory();
    let db = Database::open(&path).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    table.put(b"k", b"v").unwrap();
    let ticket = table.put_with(b"l", b"v", Durability::Eventual).unwrap();
    let mut range = table.iter();
    range.next().unwrap().unwrap();
    db.close().unwrap();
    db.close().unwrap();
    assert!(matches!(range.next(), Some(Err(Error::Closed))));
    assert!(range.next().is_none());
    let closed = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Closed)), "{result:?}");
    closed(table.get(b"k").map(drop));
    closed(table.put(b"k", b"v"));
    closed(table.delete(b"k"));
    closed(table.is_empty().map(drop));
    closed(table.multi_get([&b"k"[..]]).map(drop));
    closed(db.table("t").map(drop));
    closed(db.create_table("u", TableOptions::default()).map(drop));
    closed(db.drop_table("t"));
    closed(db.checkpoint());
    closed(db.sync());
    closed(db.verify(|_| {}).map(drop));
    ticket.wait().unwrap();
    assert!(!db.step().unwrap());
    // The files are free for the next.
    Database::open(&path).unwrap();
}

#[test]
fn tables_are_made_found_and_dropped() {
    let (_dir, path) = directory();
    let db = Database::open(&path).unwrap();
    let names = |db: &Database| db.tables().into_iter().map(|table| table.name).collect::<Vec<_>>();
    for name in ["b", "a", "c"] {
        db.create_table(name, TableOptions::default()).unwrap().put(b"k", name.as_bytes()).unwrap();
    }
    assert_eq!(names(&db), ["a", "b", "c"]);
    assert!(matches!(db.create_table("a", TableOptions::default()), Err(Error::TableExists { .. })));
    assert!(matches!(db.table("d"), Err(Error::TableNotFound { .. })));
    assert_eq!(db.create_table("", TableOptions::default()).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(
        db.create_table(&"n".repeat(129), TableOptions::default()).unwrap_err().kind(),
        ErrorKind::Usage
    );
    let old = db.table("b").unwrap();
    db.drop_table("b").unwrap();
    assert!(matches!(db.drop_table("b"), Err(Error::TableNotFound { .. })));
    assert!(matches!(old.get(b"k"), Err(Error::TableDropped { .. })));
    assert!(matches!(old.put(b"k", b"v"), Err(Error::TableDropped { .. })));
    let new = db.create_table("b", TableOptions::unlogged()).unwrap();
    assert!(new.is_empty().unwrap());
    let ids: Vec<(String, u32, bool)> =
        db.tables().into_iter().map(|table| (table.name, table.id, table.logged)).collect();
    assert_eq!(ids, [("a".into(), 2, true), ("b".into(), 4, false), ("c".into(), 3, true)]);
    drop((old, new, db));
    let db = Database::open(&path).unwrap();
    assert_eq!(names(&db), ["a", "b", "c"]);
    db.drop_table("b").unwrap();
    drop(db);
    let db = Database::open(&path).unwrap();
    assert_eq!(db.create_table("d", TableOptions::default()).unwrap().info().id, 5, "ids are not used again");
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn the_pages_of_a_dropped_table_come_back_when_its_last_handle_goes() {
    let (_dir, path) = directory();
    let db = Database::options().memory_budget(4 << 20).background(false).create(&path).unwrap();
    let empty = db.stats().pager.pages;
    let table = db.create_table("t", TableOptions::default()).unwrap();
    for n in 0u32..20_000 {
        table.put_with(&n.to_be_bytes(), &[3; 100], Durability::Eventual).unwrap().lsn();
    }
    let full = db.stats().pager.pages;
    assert!(full > empty + 500);
    db.drop_table("t").unwrap();
    while db.step().unwrap() {}
    assert_eq!(db.stats().pager.pages, full, "somebody may be reading");
    assert!(db.verify(|_| {}).unwrap().is_clean());
    drop(table);
    while db.step().unwrap() {}
    assert_eq!(db.stats().pager.pages, empty);
    db.checkpoint().unwrap();
    db.checkpoint().unwrap();
    assert!(db.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn a_checkpoint_without_changes_is_none() {
    let (_dir, path) = directory();
    let db = Database::options().background(false).create(&path).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    table.put(b"k", b"v").unwrap();
    let before = db.stats().pager.checkpoints;
    db.checkpoint().unwrap();
    db.checkpoint().unwrap();
    assert_eq!(db.stats().pager.checkpoints, before + 1);
    assert!(db.stats().log_bytes_since_checkpoint < 16);
}

#[test]
fn threads_of_the_engine_flush_and_take_checkpoints() {
    let (_dir, path) = directory();
    let db = Database::options().memory_budget(2 << 20).log_bytes_max(1 << 20).create(&path).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap().with_durability(Durability::Eventual);
    let before = db.stats().pager.checkpoints;
    let mut n = 0u64;
    // What is waited for comes without anybody asking: nothing else ends the loop.
    while db.stats().pager.checkpoints < before + 2 {
        table.put(&(n % 1000).to_be_bytes(), &[n as u8; 500]).unwrap();
        n += 1;
    }
    let last = table.put_with(b"last", b"", Durability::Eventual).unwrap();
    while db.stats().log.record_bytes == 0 || !is_durable(&db) {
        aquifer_sync::thread::yield_now();
    }
    last.wait().unwrap();
}

fn is_durable(db: &Database) -> bool {
    // A Power wait of what is durable already writes nothing.
    let before = db.stats().log.flushes;
    db.sync().unwrap();
    db.stats().log.flushes == before
}

#[test]
fn options_that_cannot_be_are_refused_before_anything_is_made() {
    let (_dir, path) = directory();
    for options in [Database::options().page_size(5000), Database::options().memory_budget(1000)] {
        assert_eq!(options.create(&path).unwrap_err().kind(), ErrorKind::Usage);
        assert!(!path.exists());
    }
}

#[test]
fn page_sizes_are_kept() {
    for page_size in [4096, 8192, 65536] {
        let (_dir, path) = directory();
        let options = || Database::options().memory_budget(8 << 20);
        let db = options().page_size(page_size).create(&path).unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        table.put(&vec![1; page_size / 8], &vec![2; page_size / 4]).unwrap();
        drop((table, db));
        let db = options().page_size(16384).open(&path).unwrap();
        assert_eq!(db.page_size(), page_size);
        let value = db.table("t").unwrap().get(&vec![1; page_size / 8]).unwrap();
        assert_eq!(value, Some(vec![2; page_size / 4]));
    }
}

/// Run by `a_second_process_is_refused_with_the_pid_of_the_first` in a process of its own.
#[test]
fn holder_of_a_lock() {
    let Ok(path) = std::env::var("AQUIFER_TEST_HOLD") else { return };
    let _db = Database::open(path).unwrap();
    println!("\nopen");
    std::io::stdout().flush().unwrap();
    // Until the parent closes the pipe.
    let _ = std::io::stdin().lines().next();
}

#[test]
fn a_second_process_is_refused_with_the_pid_of_the_first() {
    let (_dir, path) = directory();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifecycle::holder_of_a_lock", "--nocapture"])
        .env("AQUIFER_TEST_HOLD", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("open")));
    let error = Database::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&holder.id().to_string()), "{error}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    Database::open(&path).unwrap();
}

#[test]
fn a_second_opener_in_the_same_process_is_refused() {
    let (_dir, path) = directory();
    let db = Database::open(&path).unwrap();
    let error = Database::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(db);
    Database::open(&path).unwrap();
}
