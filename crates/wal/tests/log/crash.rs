//! Power is lost, or the process dies, at every operation of a scenario with several segments. What was acknowledged is
//! replayed, and what is replayed is a prefix of what was appended.

use crate::scenario::*;
use aquifer_sim::{Fault, Random, SimDisk};
use aquifer_sync::{Arc, Mutex, Rank, thread};
use aquifer_wal::{Error, Log, Lsn};

/// What a client knows when its log stops.
#[derive(Debug, Default)]
struct History {
    /// Whether the log had started: only then does a superblock name its incarnation.
    started: bool,
    records: Vec<(Lsn, Vec<u8>)>,
    /// Acknowledged as durable, and as written.
    durable: Lsn,
    written: Lsn,
    /// Where the newest checkpoint begins.
    from: Lsn,
}

/// Appends, waits, keeps house and retires at random until something fails or all is done.
fn live(disk: &SimDisk, seed: u64, count: u64) -> History {
    let mut history = History::default();
    let _ = live_until_failure(disk, seed, count, &mut history);
    history
}

fn live_until_failure(disk: &SimDisk, seed: u64, count: u64, history: &mut History) -> Result<(), Error> {
    let mut random = Random(seed);
    let log = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 96 << 10, 1), Lsn(0))?;
    history.started = true;
    for index in 0..count {
        let bytes = if random.chance(2) { sized_record(index, 20_000) } else { record(index) };
        // A record has its place, and may be written, once it is reserved.
        let reserved = loop {
            match log.reserve(bytes.len()) {
                Ok(reserved) => break reserved,
                Err(_) => log.wait_for_room(bytes.len())?,
            }
        };
        let lsn = reserved.lsn();
        history.records.push((lsn, bytes.clone()));
        reserved.fill(&bytes);
        match random.below(100) {
            0..35 => {
                log.wait_durable(lsn)?;
                history.durable = lsn;
                history.written = lsn;
            }
            35..50 => {
                log.wait_written(lsn)?;
                history.written = lsn;
            }
            50..60 => drop(log.housekeep()?),
            60..63 => {
                history.from = history.durable;
                log.retire(history.from)?;
            }
            63..65 => {
                log.confirm()?;
                history.durable = lsn;
                history.written = lsn;
            }
            _ => {}
        }
    }
    log.close()?;
    history.durable = log.reserved();
    history.written = log.reserved();
    Ok(())
}

/// Replays from the newest checkpoint and compares.
fn check(disk: &SimDisk, history: &History, acknowledged: Lsn, context: &str) {
    let (records, tail) = match replay(disk, 1, history.from) {
        Ok(replayed) => replayed,
        Err(error) => panic!("{context}: {error}"),
    };
    let expected: Vec<_> = history.records.iter().filter(|(lsn, _)| *lsn > history.from).collect();
    assert!(
        tail.end >= acknowledged,
        "{context}: {:?} is replayed, {acknowledged:?} was acknowledged",
        tail.end
    );
    assert!(records.len() <= expected.len(), "{context}: nothing is invented");
    assert!(records.iter().zip(expected).all(|(found, appended)| found == appended), "{context}: a prefix");
}

#[test]
fn power_loss_at_every_operation_keeps_what_was_acknowledged() {
    let mut operations = 0;
    for seed in 1..=2 {
        for at in 1.. {
            let disk = SimDisk::new();
            disk.inject(Fault::power_loss().nth(at));
            let history = live(&disk, seed, 300);
            for state in 0..4 {
                if history.started {
                    let context = format!("seed {seed}, operation {at}, state {state}");
                    check(&disk.after_power_loss(state), &history, history.durable, &context);
                }
            }
            if !disk.has_struck() {
                break;
            }
            operations += 1;
        }
    }
    assert!(operations > 300, "the scenario has {operations} operations");
}

#[test]
fn death_of_the_process_keeps_what_was_written() {
    for seed in 1..=40 {
        let disk = SimDisk::new();
        let history = live(&disk, seed, 20 * seed);
        check(&disk.after_kill(), &history, history.written, &format!("seed {seed}"));
    }
}

#[test]
fn a_failed_operation_stops_the_log_and_loses_nothing_acknowledged() {
    for fault in [Fault::error(), Fault::error().for_good()] {
        for at in 1.. {
            let disk = SimDisk::new();
            disk.inject(fault.clone().nth(at));
            let history = live(&disk, 3, 200);
            if !disk.has_struck() {
                break;
            }
            if history.started {
                let context = format!("{fault:?} at operation {at}");
                check(&disk.after_power_loss(at), &history, history.durable, &context);
            }
        }
    }
}

/// Several threads have flights under way when power is lost.
#[test]
fn power_loss_under_threads_keeps_what_was_acknowledged() {
    for round in 0..150 {
        let disk = SimDisk::new();
        let log = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, 1), Lsn(0)).unwrap();
        disk.inject(Fault::power_loss().nth(1 + round * 3));
        let acknowledged = Arc::new(Mutex::new(Rank::Maintenance, Vec::new()));
        let workers: Vec<_> = (0..4)
            .map(|thread| {
                let (log, acknowledged) = (log.clone(), acknowledged.clone());
                thread::spawn(move || -> Result<(), Error> {
                    for number in 0..1000 {
                        let bytes = record(thread * 1000 + number);
                        let lsn = append(&log, &bytes)?;
                        if number % 4 == thread {
                            log.wait_written(lsn)?;
                        }
                        log.wait_durable(lsn)?;
                        acknowledged.lock().push((lsn, bytes));
                    }
                    Ok(())
                })
            })
            .collect();
        let failed =
            workers.into_iter().filter(|_| true).map(|worker| worker.join().unwrap()).filter(Result::is_err);
        assert!(failed.count() > 0, "round {round}: power was lost");
        let (records, _) = replay(&disk.after_power_loss(round), 1, Lsn(0)).unwrap();
        for (lsn, bytes) in acknowledged.lock().iter() {
            let found = records.binary_search_by_key(lsn, |(lsn, _)| *lsn);
            let found = found.unwrap_or_else(|_| panic!("round {round}: {lsn:?} was acknowledged"));
            assert!(records[found].1 == *bytes, "round {round}: {lsn:?}");
        }
    }
}

/// A segment ends exactly where the log is durable, the next one is begun and not durable yet, and a checkpoint covers
/// all before it: something of the incarnation must still be there, whatever the crash leaves of the next segment.
#[test]
fn retiring_up_to_a_segment_that_is_not_durable_leaves_a_log() {
    let disk = SimDisk::new();
    disk.set_sector_bytes(4096);
    let log = small_log(&disk);
    let first = disk.contents().into_keys().next().unwrap();
    let begun = |disk: &SimDisk| disk.contents().values().filter(|bytes| bytes[..8] == *b"AQUIFLOG").count();
    let mut durable = Lsn(0);
    // A header, a statement, and a block for each record.
    for _ in 0..14 {
        durable = append(&log, b"durable").unwrap();
        log.wait_durable(durable).unwrap();
    }
    let full = disk.contents()[&first].chunks(4096).skip(1).all(|block| block[4..8] == *b"AQBT");
    assert!(full, "the first segment is full");
    assert_eq!(begun(&disk), 1);
    let lsn = append(&log, b"written").unwrap();
    log.wait_written(lsn).unwrap();
    assert_eq!((begun(&disk), log.durable()), (2, durable));
    log.retire(durable).unwrap();
    let states = disk.crash_states(1000).unwrap();
    assert!(states.total() >= 9, "header and batch are kept, lost or garbage");
    for state in states {
        let (records, tail) = replay(&state, 1, durable).unwrap();
        assert!(tail.segments > 0, "no file says that the incarnation was there");
        assert!(records.is_empty() || records == [(lsn, b"written".to_vec())]);
    }
    // Once more is durable, it goes.
    log.wait_durable(lsn).unwrap();
    log.retire(lsn).unwrap();
    assert!(!disk.contents().contains_key(&first));
}
