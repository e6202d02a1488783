//! What the tests share: logs on a [`SimDisk`], records that name themselves, and the check of a replay.

use aquifer_sim::{Random, SimDisk};
use aquifer_sync::Arc;
use aquifer_wal::{History, Log, LogOptions, LogPlace, Lsn, Replay, Result, Tail, Until};
use std::collections::BTreeMap;

pub const DATABASE_ID: [u8; 16] = *b"the-database-id!";
/// Records with their end LSNs.
pub type Records = Vec<(Lsn, Vec<u8>)>;

/// A disk's files, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

pub const DIRECTORY: &str = "log";

pub fn options(ring_bytes: usize, segment_bytes_max: u64, incarnation: u64) -> LogOptions {
    LogOptions { segment_bytes_max, ring_bytes, database_id: DATABASE_ID, incarnation }
}

/// A log with a ring of 16 KiB and segments of 64 KiB.
pub fn small_log(disk: &SimDisk) -> Arc<Log> {
    Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, 1), Lsn(0)).expect("the log starts")
}

/// Record `index`, of some length that follows from it.
pub fn record(index: u64) -> Vec<u8> {
    let mut random = Random(index ^ 0xA5A5);
    let len = match random.below(20) {
        0 => 0,
        1..=2 => random.below(4000),
        _ => random.below(200),
    };
    sized_record(index, len as usize)
}

/// Record `index` of a given length.
pub fn sized_record(index: u64, len: usize) -> Vec<u8> {
    let mut random = Random(index);
    let mut bytes = vec![0; len];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&random.draw().to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// Appends a record as a user does: waits for room where there is none.
pub fn append(log: &Log, bytes: &[u8]) -> Result<Lsn> {
    loop {
        if let Ok(reserved) = log.reserve(bytes.len()) {
            let lsn = reserved.lsn();
            reserved.fill(bytes);
            return Ok(lsn);
        }
        log.wait_for_room(bytes.len())?;
    }
}

/// A log of so many records, closed or durable; one of each `waits` is waited for.
pub fn written_log(count: u64, waits: u64, close: bool) -> (Files, Records) {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let mut records = Vec::new();
    for index in 0..count {
        let bytes = record(index);
        let lsn = append(&log, &bytes).unwrap();
        records.push((lsn, bytes));
        if index % waits == 0 {
            log.wait_durable(lsn).unwrap();
        }
    }
    if close {
        log.close().unwrap();
    } else {
        log.wait_durable(log.reserved()).unwrap();
    }
    (disk.contents(), records)
}

/// All records from `from` on, with their LSNs.
pub fn replay(disk: &SimDisk, incarnation: u64, from: Lsn) -> Result<(Records, Tail)> {
    let mut replay = Replay::open(disk.disk(), DIRECTORY, DATABASE_ID, incarnation, from)?;
    let mut records = Vec::new();
    while let Some((lsn, bytes)) = replay.next()? {
        records.push((lsn, bytes.to_vec()));
    }
    if let Some((lsn, _)) = records.last() {
        assert_eq!(*lsn, replay.tail().end, "the end is that of the last record");
    }
    Ok((records, replay.tail().clone()))
}

/// All records of the first database from `from` on, over all incarnations, up to a target.
pub fn history(places: Vec<LogPlace>, from: Lsn, until: Until) -> Result<Records> {
    let mut history = History::open(places, DATABASE_ID, 1, from, until)?;
    let mut records = Vec::new();
    while let Some((lsn, bytes)) = aquifer_wal::Records::next(&mut history)? {
        records.push((lsn, bytes.to_vec()));
    }
    if let Some((lsn, _)) = records.last() {
        assert_eq!(*lsn, history.position());
    }
    Ok(records)
}

/// Checks that a replay gives exactly these records.
#[track_caller]
pub fn check_replay(disk: &SimDisk, incarnation: u64, from: Lsn, expected: &[(Lsn, Vec<u8>)]) -> Tail {
    let (records, tail) = replay(disk, incarnation, from).expect("the log is sound");
    assert!(records == expected, "replayed {} records, expected {}", records.len(), expected.len());
    tail
}
