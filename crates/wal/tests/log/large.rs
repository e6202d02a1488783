//! Records that are larger than the log's memory.

use crate::scenario::*;
use aquifer_sim::{Fault, SimDisk};
use aquifer_wal::{Error, Full, Log, Lsn};
use std::io::ErrorKind;

#[test]
fn records_larger_than_the_ring_come_back() {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(64 << 10, 256 << 10, 1), Lsn(0)).unwrap();
    let mut expected = Vec::new();
    for (index, len) in
        [(0, 100), (1, 1 << 20), (2, 64 << 10), (3, 17 << 10), (4, 5 << 20), (5, 0), (6, 70_001)]
    {
        let bytes = sized_record(index, len);
        expected.push((append(&log, &bytes).unwrap(), bytes));
    }
    log.wait_durable(log.reserved()).unwrap();
    check_replay(&disk.after_power_loss(4), 1, Lsn(0), &expected);
    check_replay(&disk, 1, expected[2].0, &expected[3..]);
}

#[test]
fn a_large_record_needs_nobody_else_to_flush() {
    // One thread, no housekeeping: `fill` must make its own way to the disk.
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(4096, 64 << 10, 1), Lsn(0)).unwrap();
    let bytes = sized_record(1, 300_000);
    log.wait_for_room(bytes.len()).unwrap();
    let reserved = log.reserve(bytes.len()).unwrap();
    let lsn = reserved.lsn();
    assert_eq!(log.reserve(1).map(drop), Err(Full), "nothing fits behind it");
    reserved.fill(&bytes);
    log.wait_durable(lsn).unwrap();
    check_replay(&disk, 1, Lsn(0), &[(lsn, bytes)]);
}

#[test]
fn a_large_record_is_refused_before_it_has_a_place_if_the_disk_is_full() {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(64 << 10, 256 << 10, 1), Lsn(0)).unwrap();
    disk.set_free(Some(300 << 10));
    let bytes = sized_record(1, 1 << 20);
    assert_eq!(log.reserve(bytes.len()).map(drop), Err(Full));
    let error = log.wait_for_room(bytes.len()).unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind == ErrorKind::StorageFull), "{error}");
    assert_eq!(log.reserved(), Lsn(0));
    assert_eq!(log.poisoned(), None);
    let small = append(&log, b"small ones go on").unwrap();
    log.wait_durable(small).unwrap();
    disk.set_free(None);
    let lsn = append(&log, &bytes).unwrap();
    log.wait_durable(lsn).unwrap();
    check_replay(&disk, 1, small, &[(lsn, bytes)]);
}

#[test]
fn a_failure_halfway_poisons() {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(64 << 10, 256 << 10, 1), Lsn(0)).unwrap();
    let first = append(&log, b"first").unwrap();
    log.wait_durable(first).unwrap();
    let bytes = sized_record(1, 1 << 20);
    log.wait_for_room(bytes.len()).unwrap();
    disk.inject(Fault::error().nth(5).for_good());
    let reserved = log.reserve(bytes.len()).unwrap();
    let lsn = reserved.lsn();
    reserved.fill(&bytes); // returns
    assert!(matches!(log.wait_durable(lsn), Err(Error::Poisoned { .. })));
    let tail = check_replay(&disk.after_kill(), 1, Lsn(0), &[(first, b"first".to_vec())]);
    assert!(tail.cut_bytes > 0, "the part that was written is cut off");
}

#[test]
fn there_is_a_limit() {
    let log = small_log(&SimDisk::new());
    let len = (1 << 30) + 1;
    assert_eq!(log.reserve(len).map(drop), Err(Full));
    assert!(matches!(log.wait_for_room(len), Err(Error::TooLarge { .. })));
    assert!(matches!(Log::volatile().wait_for_room(len), Err(Error::TooLarge { .. })));
}
