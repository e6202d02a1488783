//! Segments are archived before they go, and a history read from them has no gap that is not reported.

use crate::scenario::*;
use aquifer_sim::{Fault, SimDisk};
use aquifer_wal::{Archive, Error, Log, LogPlace, Lsn, Until};

fn place(archive: &SimDisk) -> LogPlace {
    Archive::place(archive.disk(), DATABASE_ID)
}

/// A log with an archive, all of it retired as it grows; closed in the end.
fn archived(disk: &SimDisk, archive: &SimDisk, count: u64) -> Records {
    let log = small_log(disk);
    log.archive_to(Archive::open(archive.disk(), DATABASE_ID).unwrap()).unwrap();
    let mut records = Vec::new();
    for index in 0..count {
        let bytes = record(index);
        let lsn = append(&log, &bytes).unwrap();
        records.push((lsn, bytes));
        if index % 50 == 49 {
            log.wait_durable(lsn).unwrap();
            log.retire(lsn).unwrap();
        }
    }
    log.close().unwrap();
    records
}

#[test]
fn what_was_retired_can_be_read_from_any_place_to_any_place() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let records = archived(&disk, &archive, 3000);
    assert!(archive.contents().len() > 3);
    for (from, to) in [(0, 2999), (0, 0), (1, 1), (700, 2000), (2999, 2999)] {
        let start = if from == 0 { Lsn(0) } else { records[from - 1].0 };
        let found = history(vec![place(&archive)], start, Until::Lsn(records[to].0)).unwrap();
        assert!(found == records[from..=to], "{from} to {to}: {}", found.len());
    }
    assert!(history(vec![place(&archive)], Lsn(0), Until::End).unwrap() == records);
    // A target inside a record is the end of the record before it.
    let inside = Lsn(records[10].0.0 - 1);
    assert!(history(vec![place(&archive)], Lsn(0), Until::Lsn(inside)).unwrap() == records[..10]);
    let beyond = Lsn(records[2999].0.0 + 1);
    let error = history(vec![place(&archive)], Lsn(0), Until::Lsn(beyond)).unwrap_err().to_string();
    assert!(error.contains(&format!("position {} was asked for", beyond.0)), "{error}");
}

#[test]
fn a_time_divides_what_was_written_before_it_from_the_rest() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let log = small_log(&disk);
    log.archive_to(Archive::open(archive.disk(), DATABASE_ID).unwrap()).unwrap();
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    let mut records = Vec::new();
    let mut between = 0;
    for index in 0..400 {
        let bytes = record(index);
        let lsn = append(&log, &bytes).unwrap();
        records.push((lsn, bytes));
        if index == 199 {
            log.wait_durable(lsn).unwrap();
            between = now();
            while now() <= between {}
        }
    }
    log.close().unwrap();
    for (time, count) in [(between, 200), (u64::MAX, 400)] {
        let found = history(vec![place(&archive)], Lsn(0), Until::Time(time)).unwrap();
        assert!(found == records[..count], "{count} expected, {} found", found.len());
    }
    // Before the first record, or where there is none: who begins here may be beyond that time already.
    for (from, time) in [(Lsn(0), 1), (records[299].0, between), (records[399].0, u64::MAX)] {
        let error = history(vec![place(&archive)], from, Until::Time(time)).unwrap_err().to_string();
        assert!(error.contains("begin with an earlier backup"), "HI3: {from:?}: {error}");
    }
}

#[test]
fn a_missing_or_damaged_segment_is_told_with_the_place_up_to_which_one_can_go() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let records = archived(&disk, &archive, 3000);
    let contents = archive.contents();
    let names: Vec<&String> = contents.keys().filter(|name| !name.ends_with("/new")).collect();
    for (which, damage) in [(0, false), (2, false), (2, true), (names.len() - 1, true)] {
        let mut files = contents.clone();
        if damage {
            files.get_mut(names[which]).unwrap()[4096 + 100] ^= 1;
        } else {
            files.remove(names[which]);
        }
        let archive = SimDisk::with_contents(&files);
        let found = history(vec![place(&archive)], Lsn(0), Until::End).map(|records| records.len());
        let error = found.unwrap_err().to_string();
        assert!(error.contains("missing or damaged from position"), "{which} {damage}: {error}");
        let number = error.split("from position ").nth(1).unwrap().split(' ').next().unwrap();
        let reached: u64 = number.parse().unwrap();
        let whole = records.iter().take_while(|(lsn, _)| lsn.0 <= reached).count();
        let found = history(vec![place(&archive)], Lsn(0), Until::Lsn(Lsn(reached)));
        if which > 0 {
            assert!(found.unwrap() == records[..whole]);
        }
        // What the archive has lost, the log may still have.
        let live = LogPlace {
            disk: SimDisk::with_contents(&contents).disk(),
            directory: place(&archive).directory,
            name: "the rest".into(),
        };
        if !damage {
            assert!(history(vec![place(&archive), live], Lsn(0), Until::End).unwrap() == records);
        }
    }
}

#[test]
fn nothing_and_the_log_of_another_database_are_told_apart() {
    let empty = SimDisk::new();
    assert!(history(Vec::new(), Lsn(7), Until::End).unwrap().is_empty());
    let error = history(vec![place(&empty)], Lsn(7), Until::End).unwrap_err();
    assert!(matches!(error, Error::Incomplete { .. }), "{error}");
}

#[test]
fn an_archive_that_fails_keeps_the_segments() {
    for fault in [Fault::error(), Fault::full()] {
        let (disk, archive) = (SimDisk::new(), SimDisk::new());
        let log = small_log(&disk);
        log.archive_to(Archive::open(archive.disk(), DATABASE_ID).unwrap()).unwrap();
        archive.inject(fault.for_good());
        let (mut records, mut refused) = (Vec::new(), 0);
        for index in 0..2000 {
            let bytes = record(index);
            let lsn = append(&log, &bytes).unwrap();
            records.push((lsn, bytes));
            if index % 200 == 199 {
                log.wait_durable(lsn).unwrap();
                refused += u32::from(log.retire(lsn).is_err());
            }
        }
        assert!(refused > 0 && log.stats().unarchived > 2, "CH7: {refused}, {:?}", log.stats());
        archive.heal();
        let last = records.last().unwrap().0;
        while log.archive_one().unwrap() {}
        log.retire(last).unwrap();
        assert_eq!(log.stats().unarchived, 0);
        log.close().unwrap();
        assert!(history(vec![place(&archive)], Lsn(0), Until::End).unwrap() == records);
    }
}

#[test]
fn a_copy_that_power_loss_cut_is_made_again() {
    for calls in 1..40 {
        let (disk, archive) = (SimDisk::new(), SimDisk::new());
        let log = small_log(&disk);
        log.archive_to(Archive::open(archive.disk(), DATABASE_ID).unwrap()).unwrap();
        archive.inject(Fault::power_loss().nth(calls));
        let mut records = Vec::new();
        for index in 0..1200 {
            let bytes = record(index);
            let lsn = append(&log, &bytes).unwrap();
            records.push((lsn, bytes));
            if index % 100 == 99 {
                log.wait_durable(lsn).unwrap();
                let _ = log.retire(lsn);
            }
        }
        log.close().unwrap();
        let archive = archive.after_worst_power_loss();
        let live = LogPlace { disk: disk.disk(), directory: DIRECTORY.to_owned(), name: "the log".into() };
        let found = history(vec![place(&archive), live], Lsn(0), Until::End).unwrap();
        assert!(found == records, "AR1: {} of {} after {calls}", found.len(), records.len());
    }
}

/// The next opening reads what a killed process wrote, and a checkpoint covers it. Then the power goes.
#[test]
fn what_a_killed_process_did_not_sync_stays_in_the_history() {
    for power_lost_at in [None, Some(4), Some(6), Some(8), Some(10), Some(12)] {
        let (disk, archive) = (SimDisk::new(), SimDisk::new());
        let open = || Archive::open(archive.disk(), DATABASE_ID).unwrap();
        let log = small_log(&disk);
        log.archive_to(open()).unwrap();
        let mut records = Vec::new();
        for index in 0..100 {
            let bytes = record(index);
            records.push((append(&log, &bytes).unwrap(), bytes));
        }
        log.wait_durable(records[49].0).unwrap();
        log.wait_written(records[99].0).unwrap();
        let disk = disk.after_kill();
        let end = replay(&disk, 1, Lsn(0)).unwrap().1.end;
        assert_eq!(end, records[99].0);
        let second = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, 2), end).unwrap();
        second.archive_to(open()).unwrap();
        // Here the checkpoint is durable. Its copy may be made, and made again from what is left of the file.
        if let Some(nth) = power_lost_at {
            disk.heal();
            disk.inject(Fault::power_loss().nth(nth));
            let _ = second.retire(end);
        }
        drop(second);
        let disk = disk.after_worst_power_loss();
        assert_eq!(replay(&disk, 2, end).unwrap().1.end, end);
        let third = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, 3), end).unwrap();
        third.archive_to(open()).unwrap();
        third.retire(end).unwrap();
        third.close().unwrap();
        let found = history(vec![place(&archive)], Lsn(0), Until::End);
        assert!(found.unwrap() == records, "CH7: power lost at {power_lost_at:?}");
    }
}

/// Two incarnations, the second of which is one segment: nothing behind it would miss it.
#[test]
fn a_last_segment_that_is_damaged_is_no_end() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let mut records = archived(&disk, &archive, 300);
    let start = records[299].0;
    let log = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, 2), start).unwrap();
    log.archive_to(Archive::open(archive.disk(), DATABASE_ID).unwrap()).unwrap();
    for index in 300..320 {
        let bytes = record(index);
        records.push((append(&log, &bytes).unwrap(), bytes));
    }
    log.close().unwrap();
    let contents = archive.contents();
    let last = contents.keys().rfind(|name| !name.ends_with("/new")).unwrap().clone();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = contents.clone();
        change(files.get_mut(&last).unwrap());
        let place = place(&SimDisk::with_contents(&files));
        let early = history(vec![place.clone()], Lsn(0), Until::Lsn(start)).map(|found| found.len());
        (early.map_err(|error| error.to_string()), history(vec![place], Lsn(0), Until::End))
    };
    // What the header said, the batches say too.
    assert!(changed(&|bytes| bytes[50] ^= 1).1.unwrap() == records, "RM2");
    for damage in 0..3 {
        let (early, all) = changed(&|bytes| match damage {
            0 => bytes.clear(),
            1 => bytes.truncate(4096),
            _ => (bytes[50], bytes[4096 + 50]) = (255, 255),
        });
        assert_eq!(early, Ok(300), "{damage}: what comes before it can be read");
        let error = all.map(|found| found.len()).expect_err(&format!("HI2: {damage}")).to_string();
        assert!(error.contains(&format!("from position {} on", start.0)), "HI2: {damage}: {error}");
    }
    let error = changed(&|bytes| bytes[8] = 2).1.map(|found| found.len()).unwrap_err();
    assert!(error.to_string().contains("format version 2"), "{error}");
}

#[test]
fn a_segment_whose_header_is_damaged_is_archived() {
    let (disk, archive) = (SimDisk::new(), SimDisk::new());
    let log = small_log(&disk);
    log.archive_to(Archive::open(archive.disk(), DATABASE_ID).unwrap()).unwrap();
    let mut records = Vec::new();
    for index in 0..1500 {
        let bytes = record(index);
        records.push((append(&log, &bytes).unwrap(), bytes));
    }
    log.wait_durable(log.reserved()).unwrap();
    let second = disk.contents().into_keys().nth(1).unwrap();
    disk.flip_bit(&second, 50, 1);
    log.retire(log.reserved()).unwrap();
    log.close().unwrap();
    assert!(history(vec![place(&archive)], Lsn(0), Until::End).unwrap() == records, "AR2");
}
