//! A directory of log segments, with or without right checksums.
//!
//! ```text
//! input:  flags u8: bit 0 seal, bit 1 chain as well | incarnation u8 | start u16 | files as in `image`
//! ```
//!
//! The database's id is zeros.

use super::{Seeds, Target};
use crate::disk::{Files, MemoryDisk};
use crate::image::{self, Batch};
use crate::source::Source;
use aquifer_wal::{Error, Log, LogOptions, Lsn, Replay};

/// Analysis gives an error or an end, and replay every record up to that end: each where the one before it
/// ends, bytes that lie in the files, the same ones when it is done again. A log that is started behind that end is read
/// back whole.
pub const TARGET: Target = Target { name: "log_segments", run, input_bytes_max: 12 << 10, seeds };

const ID: [u8; 16] = [0; 16];
/// Records of one byte in all files.
const RECORDS_MAX: usize = 4 << 20;

type Records = Vec<(Lsn, Vec<u8>)>;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let (flags, incarnation, from) = (source.u8(), u64::from(source.u8()), Lsn(source.u16().into()));
    let mut files = image::read(&mut source);
    files.remove("data");
    if flags & 1 == 1 {
        for (name, bytes) in &mut files {
            image::seal_segment(bytes, image::number(name), flags & 2 == 2);
        }
    }
    let disk = MemoryDisk::new(&files);
    let first = replay(&disk, incarnation, from);
    let again = replay(&disk, incarnation, from);
    let (records, end, highest) = match (first, again) {
        (Ok(first), Ok(again)) => {
            assert_eq!(first, again, "read twice");
            first
        }
        (Err(_), Err(_)) => return,
        (first, again) => panic!("{first:?}, then {again:?}"),
    };
    check(&files, &records, incarnation, from, end);
    let next = highest.max(incarnation) + 1;
    let Ok(log) = Log::start(disk.disk(), "log", options(next), end) else { return };
    let lsn = append(&log, b"afterwards");
    log.close().expect("a disk with room");
    drop(log);
    let (records, end, _) = replay(&disk, next, end).expect("what was written just now");
    assert_eq!((records, end), (vec![(lsn, b"afterwards".to_vec())], lsn));
}

/// All records, the end, and the highest incarnation.
fn replay(disk: &MemoryDisk, incarnation: u64, from: Lsn) -> Result<(Records, Lsn, u64), String> {
    let said = |error: Error| match error {
        Error::Corrupt { .. } | Error::Format { .. } => error.to_string(),
        other => panic!("{other:?}"),
    };
    let mut log = Replay::open(disk.disk(), "log", ID, incarnation, from).map_err(said)?;
    let tail = log.tail().clone();
    let mut records = Records::new();
    while let Some((lsn, record)) = log.next().map_err(said)? {
        records.push((lsn, record.to_vec()));
        assert!(records.len() <= RECORDS_MAX, "no end");
    }
    Ok((records, tail.end, tail.incarnation_max))
}

fn check(files: &Files, records: &Records, incarnation: u64, from: Lsn, end: Lsn) {
    let batches: Vec<Batch<'_>> = files
        .iter()
        .flat_map(|(name, bytes)| image::batches(bytes, image::number(name)))
        .filter(|batch| batch.sound && batch.incarnation == incarnation)
        .collect();
    let mut position = from.0;
    for (lsn, record) in records {
        let start = lsn.0 - record.len() as u64;
        // Its length takes a byte at least; it may be written longer than it need be.
        assert!(start > position && start <= position + 10, "LO2: {lsn:?} after {position}");
        let mut at = start;
        while at < lsn.0 {
            let rest = &record[(at - start) as usize..];
            let piece = batches.iter().map(|batch| batch.agrees(at, rest)).max().unwrap_or(0);
            assert!(piece > 0, "no sound batch holds the byte at {at}");
            at += piece as u64;
        }
        position = lsn.0;
    }
    assert_eq!(position, end.0, "replay ends where analysis says");
}

fn options(incarnation: u64) -> LogOptions {
    LogOptions { segment_bytes_max: 64 << 10, ring_bytes: 64 << 10, database_id: ID, incarnation }
}

fn append(log: &Log, record: &[u8]) -> Lsn {
    loop {
        match log.reserve(record.len()) {
            Ok(reserved) => {
                let lsn = reserved.lsn();
                reserved.fill(record);
                return lsn;
            }
            Err(_) => log.wait_for_room(record.len()).expect("a disk with room"),
        }
    }
}

/// A log of records of these lengths, each a batch of its own; of a second incarnation behind the first with `again`.
fn input(flags: u8, lengths: &[usize], close: bool, again: bool) -> Vec<u8> {
    let disk = MemoryDisk::new(&Files::new());
    let mut end = Lsn(0);
    for incarnation in 1..=1 + u64::from(again) {
        let log = Log::start(disk.disk(), "log", options(incarnation), end).expect("an empty disk");
        for (index, &len) in lengths.iter().enumerate() {
            let record = vec![index as u8 + 1; len];
            end = append(&log, &record);
            log.wait_durable(end).expect("a disk with room");
        }
        if close {
            log.close().expect("a disk with room");
        }
    }
    let mut input = vec![flags, 1, 0, 0];
    input.extend(image::write(&disk.files()));
    input
}

fn seeds() -> Seeds {
    let mut cut = input(0, &[10, 20, 30], false, false);
    cut.truncate(cut.len() - 30);
    vec![
        ("nothing".into(), vec![0, 1, 0, 0, 0]),
        ("begun".into(), input(0, &[], false, false)),
        ("closed".into(), input(0, &[5, 100, 0, 7], true, false)),
        ("open".into(), input(0, &[5, 100, 0, 7], false, false)),
        ("open-sealed".into(), input(1, &[5, 100, 0, 7], false, false)),
        ("open-chained".into(), input(3, &[5, 100, 200, 7, 8, 9], false, false)),
        ("closed-chained".into(), input(3, &[5, 100, 200, 7, 8, 9], true, false)),
        ("two-blocks".into(), input(3, &[3000, 2500], true, false)),
        ("two-incarnations".into(), input(0, &[5, 6], true, true)),
        ("two-incarnations-sealed".into(), input(3, &[5, 6], false, true)),
        ("torn".into(), cut),
        ("two-segments".into(), input(3, &[1; 17], false, false)),
    ]
}
