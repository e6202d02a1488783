//! Looking at a log: its records as they were written, and where and why it ends.

use aquifer::{
    Database, Durability, LogOperation, LogReader, LogRecord, LogRecordKind, Options, TableOptions,
    WriteBatch,
};
use aquifer_sim::SimDisk;

fn options(disk: &SimDisk) -> Options {
    Database::options().memory_budget(2 << 20).background(false).disk(disk.disk())
}

fn all(reader: &mut LogReader) -> Vec<LogRecord> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// What the commits say, a line each.
fn lines(records: &[LogRecord]) -> Vec<String> {
    let mut lines = Vec::new();
    for record in records {
        let LogRecordKind::Commit(changes) = &record.kind else { continue };
        for change in changes {
            let table = change.table_name.as_deref().unwrap_or("?");
            let key = String::from_utf8_lossy(&change.key);
            lines.push(match &change.operation {
                LogOperation::Put(value) => format!("put {table} {key} {}", value.len()),
                LogOperation::Patch(ranges) => format!("patch {table} {key} at {}", ranges[0].0),
                LogOperation::Attach { len, .. } => format!("attach {len}"),
                LogOperation::Delete => format!("delete {table} {key}"),
                LogOperation::CreateTable { logged, .. } => format!("create {table} {logged}"),
                LogOperation::DropTable => format!("drop {table}"),
                LogOperation::RangeDelete { end } => {
                    let end = end.as_ref().map(|end| String::from_utf8_lossy(end).into_owned());
                    format!("range delete {table} {key} to {end:?}")
                }
                LogOperation::BulkLoad => format!("bulk load {table}"),
            });
        }
    }
    lines
}

fn written() -> SimDisk {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let t = db.create_table("t", TableOptions::default()).unwrap();
    db.checkpoint().unwrap();
    t.put(b"a", &[1; 100]).unwrap();
    let mut changed = [1; 100];
    changed[40] = 2;
    t.put(b"a", &changed).unwrap();
    t.delete(b"a").unwrap();
    let other = db.create_table("other", TableOptions::default()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&t, b"b", b"22");
    batch.put(&other, b"c", b"333");
    db.write(&mut batch, Durability::Power).unwrap();
    db.drop_table("other").unwrap();
    disk.after_kill()
}

const LINES: [&str; 8] = [
    "create t true",
    "put t a 100",
    "patch t a at 40",
    "delete t a",
    "create other true",
    "put t b 2",
    "put other c 3",
    "drop other",
];

#[test]
fn records_are_told_as_they_were_written() {
    let disk = written();
    let before = disk.contents();
    let mut reader = LogReader::open(&options(&disk), "").unwrap();
    let records = all(&mut reader);
    assert_eq!(lines(&records), LINES);
    let mut end = reader.start();
    for record in &records {
        assert_eq!(record.lsn.0 - record.bytes, end.0, "records lie end to end");
        end = record.lsn;
    }
    assert_eq!(end, reader.end().lsn);
    let marks = |record: &&LogRecord| matches!(record.kind, LogRecordKind::Checkpoint { .. });
    assert_eq!(records.iter().filter(marks).count(), 2);
    assert!(!reader.end().closed && reader.end().damage.is_none());
    assert!(reader.start() < reader.flip_lsn() && reader.flip_lsn() < reader.end().lsn);
    drop(reader);
    let mut after = disk.contents();
    after.remove("LOCK");
    let mut before = before;
    before.remove("LOCK");
    assert_eq!(after, before, "nothing is written");
}

#[test]
fn a_closed_log_says_so_and_an_open_database_is_locked() {
    let disk = written();
    let db = options(&disk).open("").unwrap();
    let error = LogReader::open(&options(&disk), "").map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), aquifer::ErrorKind::Locked);
    db.table("t").unwrap().put(b"x", b"y").unwrap();
    db.close().unwrap();
    let mut reader = LogReader::open(&options(&disk), "").unwrap();
    assert_eq!(lines(&all(&mut reader)), ["put t x 1"]);
    assert!(reader.end().closed);
    assert_eq!(reader.incarnation(), 2);
}

/// Each block of the log is destroyed in turn: a prefix is read, and unless it was the end, the damage is named.
#[test]
fn a_damaged_log_is_read_up_to_the_damage() {
    let whole = written().contents();
    let mut shorter = 0;
    for name in whole.keys().filter(|name| name.starts_with("log/")) {
        for block in 0..whole[name].len() / 4096 {
            let mut contents = whole.clone();
            let bytes = &mut contents.get_mut(name).unwrap()[block * 4096..][..4096];
            if bytes.iter().all(|&byte| byte == 0) {
                continue;
            }
            bytes.fill(0xA5);
            let disk = SimDisk::with_contents(&contents);
            let mut reader = LogReader::open(&options(&disk), "").unwrap();
            let read = lines(&all(&mut reader));
            // If the beginning is gone, it is read from the checkpoint on.
            let from_checkpoint = &LINES[1..];
            let end = reader.end();
            assert!(
                LINES.starts_with(&to_str(&read)) || from_checkpoint.starts_with(&to_str(&read)),
                "{read:?}"
            );
            if read.last().is_none_or(|last| last != "drop other") {
                shorter += 1;
                let lost_last = read.len() + 1 >= LINES.len();
                assert!(end.damage.is_some() || lost_last, "block {block}: {end:?}");
            }
        }
    }
    assert!(shorter >= 5, "{shorter}");
}

fn to_str(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

#[test]
fn where_nothing_is_there_is_nothing_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let error = LogReader::open(&Options::default(), dir.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), aquifer::ErrorKind::NotFound);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
