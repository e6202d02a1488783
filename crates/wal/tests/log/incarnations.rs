//! One database opened again and again: each opening replays the log of the last incarnation, starts a chain of its own and
//! takes the old files over. Batches of an earlier life never come back.

use crate::scenario::*;
use aquifer_sim::{Fault, Random, SimDisk};
use aquifer_wal::{Archive, Error, Log, LogPlace, Lsn, Until};

/// What a database keeps in its superblock and its pages, beside the log.
#[derive(Debug, Clone, Copy)]
struct Superblock {
    incarnation: u64,
    from: Lsn,
}

struct Client {
    archive: SimDisk,
    superblock: Superblock,
    /// Everything appended and not taken back by a recovery.
    records: Vec<(Lsn, Vec<u8>)>,
    durable: Lsn,
}

impl Client {
    /// Recovers, and goes on until something fails.
    fn live(&mut self, disk: &SimDisk, random: &mut Random) -> Result<(), Error> {
        let Superblock { incarnation, from } = self.superblock;
        let (found, tail) = replay(disk, incarnation, from)?;
        assert!(tail.end >= self.durable, "{:?} was acknowledged, {tail:?}", self.durable);
        self.records.retain(|(lsn, _)| *lsn <= tail.end);
        let expected: Vec<_> = self.records.iter().filter(|(lsn, _)| *lsn > from).cloned().collect();
        assert!(found == expected, "incarnation {incarnation}: {} replayed, {}", found.len(), expected.len());

        if random.chance(6) {
            self.check_history(disk, random);
        }

        let incarnation = tail.incarnation_max.max(incarnation) + 1;
        let log = Log::start(disk.disk(), DIRECTORY, options(16 << 10, 64 << 10, incarnation), tail.end)?;
        log.archive_to(Archive::open(self.archive.disk(), DATABASE_ID)?)?;
        self.superblock = Superblock { incarnation, from: tail.end };
        self.durable = tail.end;
        log.retire(tail.end)?;
        for _ in 0..random.below(400) {
            let index = random.draw();
            let bytes = record(index);
            let Ok(reserved) = log.reserve(bytes.len()) else {
                log.wait_for_room(bytes.len())?;
                continue;
            };
            let lsn = reserved.lsn();
            self.records.push((lsn, bytes.clone()));
            reserved.fill(&bytes);
            match random.below(20) {
                0..8 => {
                    log.wait_durable(lsn)?;
                    self.durable = lsn;
                }
                8 => {
                    self.superblock.from = self.durable;
                    log.retire(self.durable)?;
                }
                9 => drop(log.housekeep()?),
                11 => drop(log.archive_one()?),
                10 => log.wait_written(lsn)?,
                _ => {}
            }
        }
        if random.chance(30) {
            log.close()?;
            self.durable = log.reserved();
        }
        Ok(())
    }

    /// The archive and what is still in the log are all that was ever appended and not taken back, in order; or the first part of
    /// it, if that is asked for.
    fn check_history(&self, disk: &SimDisk, random: &mut Random) {
        let live = LogPlace { disk: disk.disk(), directory: DIRECTORY.to_owned(), name: "the log".into() };
        let places = vec![Archive::place(self.archive.disk(), DATABASE_ID), live];
        let (until, expected) = match self.records.len() {
            0 => return,
            len if random.chance(50) => (Until::End, len),
            len => {
                let last = random.below(len as u64) as usize;
                (Until::Lsn(self.records[last].0), last + 1)
            }
        };
        let found = history(places, Lsn(0), until).unwrap_or_else(|error| panic!("{until:?}: {error}"));
        assert!(found == self.records[..expected], "{until:?}: {} of {expected} records", found.len());
    }
}

#[test]
fn an_endless_row_of_crashes_loses_nothing_and_revives_nothing() {
    let mut random = Random(7);
    let mut disk = SimDisk::new();
    let mut client = Client {
        archive: SimDisk::new(),
        superblock: Superblock { incarnation: 0, from: Lsn(0) },
        records: Vec::new(),
        durable: Lsn(0),
    };
    let mut files_max = 0;
    for round in 0..600 {
        if random.chance(80) {
            disk.inject(Fault::power_loss().nth(1 + random.below(250)));
        }
        let lived = client.live(&disk, &mut random);
        if let Err(error @ (Error::Corrupt { .. } | Error::Format { .. })) = lived {
            panic!("round {round}: {error}");
        }
        files_max = files_max.max(disk.contents().len());
        disk = disk.after_power_loss(round);
        client.archive = client.archive.after_power_loss(round);
        if random.chance(10) {
            client.archive.inject(Fault::error().nth(1 + random.below(30)));
        }
    }
    assert!(client.archive.contents().len() > 100, "segments were archived");
    assert!(client.superblock.incarnation > 200, "most openings succeed");
    assert!(files_max < 40, "{files_max} files: retired ones go");
}

#[test]
fn retired_segments_are_recycled_and_their_number_is_bounded() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let first: Vec<String> = disk.contents().into_keys().collect();
    let mut zeroed = 0;
    for index in 0..3000 {
        let lsn = append(&log, &record(index)).unwrap();
        if index % 3 == 0 {
            log.wait_durable(lsn).unwrap();
        }
        if index % 100 == 99 {
            log.retire(log.durable()).unwrap();
            assert!(log.stats().segments <= 12, "{} segments", log.stats().segments);
            assert_eq!(log.stats().file_bytes, disk.used());
        }
        if index == 1000 {
            zeroed = log.stats().zeroed_bytes;
        }
    }
    let more = log.stats().zeroed_bytes - zeroed;
    assert!(more < log.stats().written_bytes / 4, "{more} bytes were zeroed although files were there");
    assert!(first.iter().all(|name| !disk.contents().contains_key(name)), "the first segment is gone");
    log.wait_durable(log.reserved()).unwrap();
}

#[test]
fn segments_that_are_needed_stay() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let mut expected = Vec::new();
    for index in 0..1500 {
        let bytes = record(index);
        expected.push((append(&log, &bytes).unwrap(), bytes));
    }
    log.wait_durable(log.reserved()).unwrap();
    log.retire(expected[700].0).unwrap();
    check_replay(&disk, 1, expected[700].0, &expected[701..]);
    let error = replay(&disk, 1, Lsn(0)).expect_err("the beginning was retired");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn what_is_not_durable_is_not_retired() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let mut expected = Vec::new();
    for index in 0..1500 {
        let bytes = record(index);
        expected.push((append(&log, &bytes).unwrap(), bytes));
    }
    log.wait_written(log.reserved()).unwrap();
    assert_eq!(log.durable(), Lsn(0));
    assert!(log.stats().segments > 3);
    log.retire(log.reserved()).unwrap();
    check_replay(&disk, 1, Lsn(0), &expected);
    log.wait_durable(log.reserved()).unwrap();
    log.retire(log.reserved()).unwrap();
    assert!(replay(&disk, 1, Lsn(0)).is_err(), "now the beginning is gone");
    check_replay(&disk, 1, log.reserved(), &[]);
}

#[test]
fn segments_grow_from_small_to_large() {
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(1 << 20, 4 << 20, 1), Lsn(0)).unwrap();
    assert_eq!(log.stats().file_bytes, 1 << 20);
    for index in 0..100 {
        append(&log, &sized_record(index, 100_000)).unwrap();
    }
    log.wait_durable(log.reserved()).unwrap();
    let sizes: Vec<usize> = disk.contents().values().map(|bytes| bytes.len() >> 20).collect();
    assert_eq!(sizes, [1, 2, 4, 4]);
}
