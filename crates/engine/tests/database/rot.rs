//! Every byte of every file: whatever one of them becomes, reading gives what was written, or an error that names the
//! place; never other data, never a panic.
//!
//! A test of all bytes would open the database a hundred thousand times, so the tests that always run take a sample, which
//! each of them describes. The whole is behind `--ignored`; `docs/testing.md` says how to run it.

use crate::model::{State, read_state};
use aquifer::{Database, Durability, ErrorKind, Options, TableOptions};
use aquifer_sim::{Random, SimDisk};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

type Files = BTreeMap<String, Vec<u8>>;

const BLOCK: usize = 4096;
/// Where the fields of superblocks and of the log's headers lie in a block.
const HEADER: usize = 128;
/// The longest that one opening and reading of a small database may take, on a machine that is busy.
const TIME_MAX: Duration = Duration::from_secs(10);

fn options(disk: &SimDisk) -> Options {
    Database::options().memory_budget(2 << 20).background(false).segment_bytes_max(64 << 10).disk(disk.disk())
}

/// A database that was closed: two tables of so many records, a checkpoint between them, and changes after it.
fn closed(records: u32) -> Files {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    let long = db.create_table("long", TableOptions::default()).unwrap();
    for n in 0..records {
        long.put_with(&n.to_be_bytes(), &[n as u8 | 1; 300], Durability::Eventual).unwrap().lsn();
    }
    db.checkpoint().unwrap();
    let short = db.create_table("short", TableOptions::default()).unwrap();
    for n in 0..records {
        short.put_with(&n.to_be_bytes(), b"short", Durability::Eventual).unwrap().lsn();
    }
    for n in (0..records).step_by(3) {
        long.put_with(&n.to_be_bytes(), &[n as u8 | 2; 200], Durability::Eventual).unwrap().lsn();
    }
    drop((long, short));
    db.close().unwrap();
    drop(db);
    let mut files = disk.contents();
    files.retain(|_, bytes| !bytes.is_empty()); // the lock says nothing
    files
}

/// What came of a damaged database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Everything reads as it should, and verification finds nothing.
    Harmless,
    /// Everything reads as it should; verification found something.
    FoundByVerification,
    /// Reading says what is wrong, and verification as well.
    FoundByReading,
    /// The database does not open.
    Refused,
}

/// How often each outcome came.
type Outcomes = BTreeMap<Outcome, u64>;

/// Opens and reads these files; panics if what comes of it is none of the outcomes.
fn outcome(files: &Files, expected: &State, context: &str) -> Outcome {
    let begun = Instant::now();
    let outcome = open_and_read(files, expected, context);
    let took = begun.elapsed();
    assert!(took < TIME_MAX, "{context}: {took:?}");
    outcome
}

fn open_and_read(files: &Files, expected: &State, context: &str) -> Outcome {
    let db = match options(&SimDisk::with_contents(files)).open("") {
        Ok(db) => db,
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Format), "{context}: {kind:?}: {error}");
            assert_names_a_place(&error.to_string(), context);
            return Outcome::Refused;
        }
    };
    let report = db.verify(|_| {}).unwrap();
    let mut failed = false;
    assert_eq!(db.tables().len(), expected.len(), "{context}");
    for (name, records) in expected {
        let read: Result<BTreeMap<Vec<u8>, Vec<u8>>, _> = db.table(name).unwrap().iter().collect();
        match read {
            Ok(read) => assert!(read == *records, "{context}: wrong data in {name}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error}");
                assert_names_a_place(&error.to_string(), context);
                let found = report.faults.iter().any(|f| f.page.is_some() && f.owner.as_ref() == Some(name));
                assert!(found, "{context}: verification does not find: {error}");
                failed = true;
            }
        }
    }
    match (failed, report.is_clean()) {
        (true, _) => Outcome::FoundByReading,
        (false, true) => Outcome::Harmless,
        (false, false) => Outcome::FoundByVerification,
    }
}

fn assert_names_a_place(text: &str, context: &str) {
    let places = ["data", "log segment log/", "log of incarnation", "page ", "catalog"];
    assert!(places.iter().any(|place| text.contains(place)), "{context}: no place in: {text}");
}

/// Flips one bit, of the seed's choice, in each byte that `wanted` says, one after the other.
fn flip_each(files: &Files, seed: u64, mut wanted: impl FnMut(&str, usize, &[u8]) -> bool) -> Outcomes {
    let expected = read_state(&options(&SimDisk::with_contents(files)).open("").unwrap());
    let mut random = Random(seed);
    let mut outcomes = Outcomes::new();
    let mut files = files.clone();
    let names: Vec<String> = files.keys().cloned().collect();
    for name in names {
        for at in 0..files[&name].len() {
            let bit = 1 << random.below(8);
            if !wanted(&name, at, &files[&name]) {
                continue;
            }
            files.get_mut(&name).unwrap()[at] ^= bit;
            let context = format!("{name}, byte {at}, bit {bit:#04x}");
            *outcomes.entry(outcome(&files, &expected, &context)).or_default() += 1;
            files.get_mut(&name).unwrap()[at] ^= bit;
        }
    }
    println!("{outcomes:?}");
    outcomes
}

fn is_blank(file: &[u8], at: usize) -> bool {
    let start = at / BLOCK * BLOCK;
    file[start..(start + BLOCK).min(file.len())].iter().all(|&byte| byte == 0)
}

/// Sampled: the first 128 bytes of each block that is not blank (there lie the fields of superblocks, segments, batches
/// and pages), one in 17 of its other bytes, and the first byte of one blank block in 17.
#[test]
fn a_flipped_bit_in_any_byte_is_harmless_or_found() {
    let outcomes = flip_each(&closed(40), 1, |_, at, file| {
        if is_blank(file, at) {
            at.is_multiple_of(17 * BLOCK)
        } else {
            at % BLOCK < HEADER || at.is_multiple_of(17)
        }
    });
    for outcome in [Outcome::Harmless, Outcome::FoundByReading, Outcome::Refused] {
        assert!(outcomes.get(&outcome).is_some_and(|&times| times > 20), "{outcome:?}: {outcomes:?}");
    }
}

/// All bytes of all blocks that are not blank.
#[test]
#[ignore = "takes minutes; docs/testing.md says how to run it"]
fn a_flipped_bit_in_every_byte_in_use_is_harmless_or_found() {
    flip_each(&closed(40), 2, |_, at, file| !is_blank(file, at));
}

/// All bytes of all blank blocks, which nobody should look at.
#[test]
#[ignore = "takes half an hour; docs/testing.md says how to run it"]
fn a_flipped_bit_in_every_blank_byte_is_harmless_or_found() {
    flip_each(&closed(40), 2, |_, at, file| is_blank(file, at));
}

/// Sampled: 1000 bytes of a database of two thousand records, in trees of two and three levels.
#[test]
fn flipped_bits_of_a_larger_database_are_harmless_or_found() {
    flip_some(2000, 1000, 3);
}

#[test]
#[ignore = "takes many minutes; docs/testing.md says how to run it"]
fn many_flipped_bits_of_a_larger_database_are_harmless_or_found() {
    flip_some(5000, 20_000, 4);
}

fn flip_some(records: u32, rounds: u32, seed: u64) {
    let mut files = closed(records);
    let expected = read_state(&options(&SimDisk::with_contents(&files)).open("").unwrap());
    let mut random = Random(seed);
    let mut outcomes = Outcomes::new();
    let names: Vec<String> = files.keys().cloned().collect();
    for round in 0..rounds {
        let name = &names[random.below(names.len() as u64) as usize];
        let bytes = files.get_mut(name).unwrap();
        let mut at = random.below(bytes.len() as u64) as usize;
        while is_blank(bytes, at) {
            at = (at + BLOCK) % bytes.len();
        }
        let bit = 1 << random.below(8);
        bytes[at] ^= bit;
        let context = format!("round {round}: {name}, byte {at}, bit {bit:#04x}");
        *outcomes.entry(outcome(&files, &expected, &context)).or_default() += 1;
        files.get_mut(name).unwrap()[at] ^= bit;
    }
    println!("{outcomes:?}");
    assert!(outcomes.get(&Outcome::FoundByReading).is_some_and(|&times| times > 5), "{outcomes:?}");
}

/// All lengths in whole blocks where blocks are in use, and with each one of half a block; in the blank end of a file, one
/// length in 16.
#[test]
fn a_file_cut_at_any_block_is_harmless_or_refused() {
    let files = closed(40);
    let expected = read_state(&options(&SimDisk::with_contents(&files)).open("").unwrap());
    let mut outcomes = Outcomes::new();
    for (name, bytes) in &files {
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last / BLOCK + 2);
        for block in (0..bytes.len() / BLOCK).filter(|block| *block < used || block.is_multiple_of(16)) {
            for len in [block * BLOCK, block * BLOCK + BLOCK / 2] {
                let mut files = files.clone();
                files.get_mut(name).unwrap().truncate(len);
                let context = format!("{name} cut to {len} bytes");
                *outcomes.entry(outcome(&files, &expected, &context)).or_default() += 1;
            }
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes.get(&Outcome::Refused).is_some_and(|&times| times > 20), "{outcomes:?}");
}

/// Random bytes instead of each file, of its own length and of others; instead of all files; and behind each file.
#[test]
fn random_bytes_instead_of_a_file_are_harmless_or_refused() {
    let files = closed(40);
    let expected = read_state(&options(&SimDisk::with_contents(&files)).open("").unwrap());
    let mut random = Random(5);
    let mut noise = |len: usize| -> Vec<u8> { (0..len).map(|_| random.draw() as u8).collect() };
    for (name, bytes) in &files {
        for len in [0, 1, BLOCK, 40 * BLOCK, bytes.len(), bytes.len() + 7 * BLOCK] {
            let mut files = files.clone();
            files.insert(name.clone(), noise(len));
            let found = outcome(&files, &expected, &format!("{name}: {len} random bytes"));
            assert!(name != "data" || found == Outcome::Refused, "{name}: {len} random bytes: {found:?}");
        }
        let mut files = files.clone();
        files.get_mut(name).unwrap().extend(noise(9 * BLOCK));
        outcome(&files, &expected, &format!("{name} with random bytes behind it"));
    }
    let all = files.iter().map(|(name, bytes)| (name.clone(), noise(bytes.len()))).collect();
    assert_eq!(outcome(&all, &expected, "random bytes everywhere"), Outcome::Refused);
}
