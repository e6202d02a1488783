//! Failed writes and syncs, a full disk, and callers that do not keep their word.

use crate::scenario::*;
use aquifer_sim::{Fault, SimDisk};
use aquifer_sync::thread;
use aquifer_wal::{Error, Full, Log, Lsn, Result};
use std::io::ErrorKind;
use std::time::Duration;

#[track_caller]
fn assert_poisoned<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::Poisoned { .. })), "{result:?}");
}

#[track_caller]
fn assert_full<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(&result, Err(Error::Io(error)) if error.kind == ErrorKind::StorageFull), "{result:?}");
}

#[test]
fn a_failed_write_poisons_for_good() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let acknowledged = append(&log, b"one").unwrap();
    log.wait_durable(acknowledged).unwrap();
    disk.inject(Fault::error());
    let lost = append(&log, b"two").unwrap();
    assert_poisoned(log.wait_durable(lost));
    // The disk works again; the log does not.
    assert_poisoned(log.wait_durable(lost));
    assert_poisoned(log.wait_written(lost));
    assert_poisoned(log.wait_for_room(1));
    assert_poisoned(log.retire(acknowledged));
    assert_poisoned(log.housekeep());
    assert_poisoned(log.confirm());
    assert_poisoned(log.close());
    assert_eq!(log.reserve(1).map(drop), Err(Full));
    assert!(log.poisoned().unwrap().contains("injected"));
    // What was durable stays so.
    log.wait_durable(acknowledged).unwrap();
    assert_eq!(log.durable(), acknowledged);
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let lsn = append(&log, b"one").unwrap();
    log.wait_written(lsn).unwrap();
    disk.inject(Fault::error());
    assert_poisoned(log.wait_durable(lsn));
    let operations = disk.counts().changes();
    assert_poisoned(log.wait_durable(lsn));
    assert_eq!(disk.counts().changes(), operations, "nothing more was asked of the disk");
    assert_eq!(log.durable(), Lsn(0));
}

#[test]
fn waiting_threads_learn_of_poison() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    // A reservation that is not filled keeps everybody behind it waiting.
    let hole = log.reserve(10).unwrap();
    let waiters: Vec<_> = (0..4u8)
        .map(|number| {
            let log = log.clone();
            thread::spawn(move || {
                let lsn = append(&log, &[number]).unwrap();
                log.wait_durable(lsn)
            })
        })
        .collect();
    while log.reserved() < Lsn(11 + 4 * 2) {
        thread::yield_now();
    }
    log.poison("for a test");
    for waiter in waiters {
        assert_poisoned(waiter.join().unwrap());
    }
    assert_eq!(log.poisoned().as_deref(), Some("for a test"));
    hole.fill(&[0; 10]);
}

#[test]
fn a_dropped_reservation_poisons() {
    let log = small_log(&SimDisk::new());
    drop(log.reserve(10).unwrap());
    assert!(log.poisoned().unwrap().contains("not filled"));
    let log = Log::volatile();
    drop(log.reserve(10).unwrap());
    assert!(log.poisoned().is_some());
}

#[test]
#[should_panic(expected = "was not reserved")]
fn waiting_for_what_was_not_reserved_panics() {
    let _ = small_log(&SimDisk::new()).wait_durable(Lsn(1));
}

#[test]
fn a_full_disk_is_reported_and_nothing_is_lost() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    log.set_patience(Duration::ZERO);
    disk.set_free(Some(0));
    let mut expected = Vec::new();
    let mut durable = Lsn(0);
    let refused = loop {
        let bytes = sized_record(expected.len() as u64, 500);
        let lsn = append(&log, &bytes).unwrap();
        expected.push((lsn, bytes));
        match log.wait_durable(lsn) {
            Ok(()) => durable = lsn,
            Err(error) => break error,
        }
    };
    assert_full(Err::<(), _>(refused));
    assert_eq!(log.durable(), durable);
    assert_eq!(log.poisoned(), None);
    // Records still find room in the ring, until it is full.
    let mut appended = 0;
    while let Ok(reserved) = log.reserve(500) {
        let bytes = sized_record(expected.len() as u64, 500);
        expected.push((reserved.lsn(), bytes.clone()));
        reserved.fill(&bytes);
        appended += 1;
    }
    assert!(appended > 10);
    assert_full(log.wait_for_room(500));
    assert_full(log.housekeep());
    check_replay(&disk.after_power_loss(1), 1, Lsn(0), &expected[..expected.len() - appended - 1]);
    // Space returns, and everything goes on by itself.
    disk.set_free(None);
    thread::sleep(Duration::from_millis(5)); // the pause before another attempt is due
    log.set_patience(Duration::from_secs(10));
    log.wait_durable(log.reserved()).unwrap();
    check_replay(&disk.after_power_loss(2), 1, Lsn(0), &expected);
}

#[test]
fn waiters_are_patient_with_a_full_disk() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    log.set_patience(Duration::from_secs(60));
    disk.set_free(Some(0));
    let writers: Vec<_> = (0..4)
        .map(|thread| {
            let log = log.clone();
            thread::spawn(move || -> Result<()> {
                for number in 0..40 {
                    let lsn = append(&log, &sized_record(thread * 40 + number, 500))?;
                    log.wait_durable(lsn)?;
                }
                Ok(())
            })
        })
        .collect();
    // The first segment has 16 blocks, and the last is not used before there is another segment: all get stuck.
    while log.stats().written_bytes < 15 * 4096 {
        thread::yield_now();
    }
    disk.set_free(None);
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
    assert_eq!(replay(&disk, 1, Lsn(0)).unwrap().0.len(), 160);
}

#[test]
fn an_impossible_start_is_an_error() {
    let disk = SimDisk::new();
    let error = Log::start(disk.disk(), DIRECTORY, options(4096, 0, 1), Lsn(1 << 63)).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error}");
    disk.set_free(Some(1000));
    assert_full(Log::start(disk.disk(), DIRECTORY, options(4096, 0, 1), Lsn(0)));
}

#[test]
fn a_closed_log_takes_nothing_more() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let lsn = append(&log, b"the only one").unwrap();
    log.close().unwrap();
    assert_eq!(log.durable(), lsn);
    assert_eq!(log.reserve(1).map(drop), Err(Full));
    assert!(matches!(log.wait_for_room(1), Err(Error::Poisoned { cause }) if cause.contains("closed")));
    assert_poisoned(log.close());
    log.wait_durable(lsn).unwrap();
    check_replay(&disk, 1, Lsn(0), &[(lsn, b"the only one".to_vec())]);
}
