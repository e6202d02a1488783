//! What is appended comes back, from one thread and from many.

use crate::scenario::*;
use aquifer_sim::SimDisk;
use aquifer_sync::{Arc, thread};
use aquifer_wal::{Error, Log, Lsn};

#[test]
fn records_come_back_in_order() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let mut expected = Vec::new();
    for index in 0..2000 {
        let bytes = record(index);
        let lsn = append(&log, &bytes).unwrap();
        expected.push((lsn, bytes));
    }
    log.wait_durable(log.reserved()).unwrap();
    assert_eq!(log.durable(), log.reserved());
    assert!(log.stats().segments > 3, "the log spans segments");
    let tail = check_replay(&disk.after_power_loss(1), 1, Lsn(0), &expected);
    assert_eq!(tail.end, log.reserved());
    assert_eq!((tail.cut_bytes, tail.incarnation_max), (0, 1));
    for start in [1, 17, 999, 1999, 2000] {
        check_replay(&disk, 1, expected[start - 1].0, &expected[start..]);
    }
}

#[test]
fn lsns_count_record_bytes_only() {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, 1), Lsn(1000)).unwrap();
    assert_eq!(append(&log, &[7; 5]).unwrap(), Lsn(1006));
    log.wait_durable(Lsn(1006)).unwrap();
    assert_eq!(append(&log, &[8; 200]).unwrap(), Lsn(1208));
    assert_eq!(append(&log, &[]).unwrap(), Lsn(1209));
    log.wait_durable(Lsn(1209)).unwrap();
    let expected = [(Lsn(1006), vec![7; 5]), (Lsn(1208), vec![8; 200]), (Lsn(1209), vec![])];
    check_replay(&disk, 1, Lsn(1000), &expected);
}

#[test]
fn written_records_survive_the_process() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let lsn = append(&log, b"hello").unwrap();
    log.wait_written(lsn).unwrap();
    assert_eq!(log.durable(), Lsn(0));
    check_replay(&disk.after_kill(), 1, Lsn(0), &[(lsn, b"hello".to_vec())]);
    log.wait_durable(lsn).unwrap();
    check_replay(&disk.after_power_loss(3), 1, Lsn(0), &[(lsn, b"hello".to_vec())]);
}

#[test]
fn a_fresh_log_is_empty_and_known() {
    let disk = SimDisk::new();
    let tail = check_replay(&disk, 1, Lsn(5), &[]);
    assert_eq!((tail.end, tail.segments), (Lsn(5), 0));
    let _log = Log::start(disk.disk(), DIRECTORY, options(4096, 0, 1), Lsn(5)).unwrap();
    let tail = check_replay(&disk.after_power_loss(9), 1, Lsn(5), &[]);
    assert_eq!((tail.end, tail.segments), (Lsn(5), 1));
}

#[test]
fn statistics_add_up() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    for index in 0..500 {
        let lsn = append(&log, &record(index)).unwrap();
        if index % 7 == 0 {
            log.wait_durable(lsn).unwrap();
        }
    }
    log.wait_durable(log.reserved()).unwrap();
    let stats = log.stats();
    assert_eq!(stats.record_bytes, log.reserved().0);
    assert_eq!(stats.written_bytes, stats.record_bytes + stats.header_bytes + stats.padding_bytes);
    assert!(stats.flushes >= 72 && stats.syncs >= 72);
    assert_eq!(stats.file_bytes, disk.used());
    assert_eq!(stats.segments, disk.contents().len() as u64);
    assert_eq!(stats.zeroed_bytes, stats.file_bytes);
}

#[test]
fn a_volatile_log_only_counts() {
    let log = Log::volatile();
    let reserved = log.reserve(10).unwrap();
    assert_eq!(reserved.lsn(), Lsn(11));
    reserved.fill(&[0; 10]);
    assert_eq!((log.reserved(), log.durable()), (Lsn(11), Lsn(11)));
    log.wait_durable(Lsn(11)).unwrap();
    assert!(!log.housekeep().unwrap());
    log.poison("for a test");
    assert!(log.reserve(1).is_err());
    assert!(matches!(log.wait_for_room(1), Err(Error::Poisoned { cause }) if cause == "for a test"));
}

#[test]
fn a_full_ring_frees_itself() {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(64 << 10, 256 << 10, 1), Lsn(0)).unwrap();
    let mut fulls = 0;
    for index in 0..5000 {
        let bytes = sized_record(index, 100);
        if let Ok(reserved) = log.reserve(100) {
            reserved.fill(&bytes);
        } else {
            fulls += 1;
            log.wait_for_room(100).unwrap();
            log.reserve(100).expect("there is room now").fill(&bytes);
        }
    }
    assert!(fulls > 5, "the ring was full {fulls} times");
    log.wait_durable(log.reserved()).unwrap();
    let (records, _) = replay(&disk, 1, Lsn(0)).unwrap();
    assert_eq!(records.len(), 5000);
    assert!(records.iter().zip(0..).all(|((_, bytes), index)| *bytes == sized_record(index, 100)));
}

/// Each thread appends records that name thread and number; every mode of waiting takes part.
fn append_concurrently(ring_bytes: usize, threads: u64, each: u64, large_every: u64) {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(ring_bytes, 1 << 20, 1), Lsn(0)).unwrap();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let log: Arc<Log> = log.clone();
            thread::spawn(move || {
                for number in 0..each {
                    let len =
                        if number % large_every == thread { ring_bytes } else { 16 + number as usize % 150 };
                    let mut bytes = sized_record(thread << 32 | number, len.max(16));
                    bytes[..8].copy_from_slice(&thread.to_le_bytes());
                    bytes[8..16].copy_from_slice(&number.to_le_bytes());
                    let lsn = append(&log, &bytes).unwrap();
                    match number % 5 {
                        0 => log.wait_durable(lsn).unwrap(),
                        1 => log.wait_written(lsn).unwrap(),
                        2 => drop(log.housekeep().unwrap()),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    log.wait_durable(log.reserved()).unwrap();
    let (records, tail) = replay(&disk.after_power_loss(5), 1, Lsn(0)).unwrap();
    assert_eq!(tail.end, log.reserved());
    assert_eq!(records.len() as u64, threads * each);
    let mut next = vec![0; threads as usize];
    for (_, bytes) in records {
        let thread = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let number = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        assert_eq!(number, next[thread as usize], "records of a thread are in its order");
        assert_eq!(bytes[16..], sized_record(thread << 32 | number, bytes.len())[16..]);
        next[thread as usize] += 1;
    }
}

#[test]
fn threads_append_at_once() {
    append_concurrently(64 << 10, 4, 4000, u64::MAX);
}

#[test]
fn threads_append_at_once_to_a_tiny_ring() {
    append_concurrently(4096, 8, 1500, u64::MAX);
}

#[test]
fn threads_append_large_records_among_small_ones() {
    append_concurrently(16 << 10, 4, 1000, 50);
}
