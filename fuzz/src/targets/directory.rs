//! A whole database whose files were changed: `data` and the log segments of a small one that was closed, or killed.
//!
//! ```text
//! input:   database u8 | change*, at most six
//! change:  kind u8 | file u8 | block u16 | offset u16 | argument u16
//! ```
//!
//! | kind | change |
//! |---|---|
//! | 0, 1 | flip bit `argument` mod 8 of the byte |
//! | 2 | `argument` mod 512 bytes from there on, within the block, become one other byte |
//! | 3 | the block becomes zeros |
//! | 4 | the block is a copy of block `argument` of the next file |
//! | 5 | the block is a copy of block `argument` of the same file |
//! | 6 | the file ends at the block |
//! | 7 | up to 64 blocks of zeros follow the file |
//! | 8 | the file is gone |
//! | 9 | a copy of the file, a log segment, has the number `argument` mod 8 |
//! | 10 | all checksums of the file are made right again |
//!
//! Blocks count from the front among those that are not all zeros; where bit 15 is set, among all.

use super::{Seeds, Target};
use crate::disk::{Files, MemoryDisk};
use crate::image::{self, BLOCK};
use crate::recipe::{self, Base, State};
use crate::source::Source;
use aquifer::{Database, Durability, ErrorKind};

/// One change is harmless, or found: what can be read is the last state, or the error says `Corrupt` or `Format`, names a
/// place, and verification finds it as well. (A killed database may lose its last commit: a torn tail.) Several changes
/// leave a state that the database once had, or are found. A database that reads whole takes a commit and
/// has it after another opening. Changes with right checksums, which no disk makes, only must not do harm: no panic, no
/// endless loop.
pub const TARGET: Target = Target { name: "directory", run, input_bytes_max: 64, seeds };

const CHANGES_MAX: usize = 6;

/// What the changes come to.
#[derive(Debug, Default)]
struct Done {
    changes: usize,
    sealed: bool,
    log_changed: bool,
}

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let base = &recipe::bases()[source.below(2)];
    let mut files = base.files.clone();
    let mut done = Done::default();
    while !source.is_empty() && done.changes < CHANGES_MAX {
        change(&mut source, &mut files, &mut done);
    }
    let disk = MemoryDisk::new(&files);
    match recipe::options(&disk).open("") {
        Err(error) => {
            let there = files.contains_key("data");
            let found = match error.kind() {
                ErrorKind::Corrupt | ErrorKind::Format => names_a_place(&error.to_string()),
                ErrorKind::NotFound => !there,
                _ => done.sealed,
            };
            assert!(found, "{:?}: {error}", error.kind());
        }
        Ok(db) => {
            let whole = look(&db, base, &done);
            if whole && !done.sealed {
                go_on(db, &disk);
            }
        }
    }
}

/// Whether the text of an error says where the damage is.
fn names_a_place(text: &str) -> bool {
    ["data", "log", "page", "catalog"].iter().any(|place| text.contains(place))
}

/// Reads everything; whether it could be read.
fn look(db: &Database, base: &Base, done: &Done) -> bool {
    match recipe::read_state(db) {
        Ok(state) => {
            if !done.sealed {
                check_state(&state, base, done);
            }
            true
        }
        Err(error) => {
            assert!(done.sealed || error.kind() == ErrorKind::Corrupt, "{error}");
            let report = db.verify(|_| {}).expect("verification reports");
            assert!(!report.is_clean(), "verification does not find: {error}");
            false
        }
    }
}

fn check_state(state: &State, base: &Base, done: &Done) {
    let states = recipe::states();
    let Some(at) = states.iter().rposition(|known| known == state) else {
        panic!("wrong data: no state that the database ever had");
    };
    let lost = states.len() - 1 - at;
    let may_be_lost = match done.changes {
        0 => 0,
        1 if base.closed || !done.log_changed => 0,
        1 => 1,
        _ => states.len(),
    };
    assert!(lost <= may_be_lost, "{lost} commits lost");
}

/// Commits, closes, opens, reads.
fn go_on(db: Database, disk: &MemoryDisk) {
    let mut expected = recipe::read_state(&db).expect("it was read before");
    let Some(name) = expected.keys().next().cloned() else { return };
    let written = db.any_table(&name).and_then(|table| {
        table.put_with(b"key 010", &[1; 100], Durability::Power)?.wait()?;
        table.put_with(b"new", b"afterwards", Durability::Power)?.wait()
    });
    written.expect("a database that reads whole can be written");
    let records = expected.entry(name).or_default();
    records.insert(b"key 010".to_vec(), vec![1; 100]);
    records.insert(b"new".to_vec(), b"afterwards".to_vec());
    db.close().expect("a disk without faults");
    drop(db);
    let db = recipe::options(disk).open("").expect("what was closed just now");
    assert_eq!(recipe::read_state(&db).expect("what was closed just now"), expected);
    let report = db.verify(|_| {}).expect("verification reports");
    assert!(report.is_clean(), "{:?}", report.faults);
}

fn change(source: &mut Source<'_>, files: &mut Files, done: &mut Done) {
    let (kind, file) = (source.below(11), usize::from(source.u8()));
    let (block, offset, argument) = (source.u16(), usize::from(source.u16()) % BLOCK, source.u16());
    if files.is_empty() {
        return;
    }
    let nth = |n: usize| files.iter().nth(n % files.len()).expect("one of them");
    let (name, other) = (nth(file).0.clone(), nth(file + 1).1.clone());
    let bytes = &files[&name];
    let number = image::number(&name);
    done.changes += 1;
    done.log_changed |= number > 0;
    match kind {
        8 => return drop(files.remove(&name)),
        9 if number > 0 => {
            let bytes = bytes.clone();
            done.changes += 1; // a segment that stands twice may be two faults
            return drop(files.insert(image::name((argument % 8) as u8 + 1), bytes));
        }
        _ => {}
    }
    let start = block_of(bytes, block) * BLOCK;
    let copied = block_of(if kind == 4 { &other } else { bytes }, argument) * BLOCK;
    let bytes = files.get_mut(&name).expect("one of them");
    match kind {
        6 => bytes.truncate(start),
        7 => bytes.resize(bytes.len() + (usize::from(argument) % 64 + 1) * BLOCK, 0),
        10 => {
            done.sealed = true;
            if number > 0 { image::seal_segment(bytes, number, true) } else { image::seal_superblocks(bytes) }
        }
        _ if start + BLOCK > bytes.len() => {}
        0 | 1 => bytes[start + offset] ^= 1 << (argument % 8),
        2 => {
            let end = (offset + usize::from(argument) % 512 + 1).min(BLOCK);
            bytes[start + offset..start + end].fill((argument >> 8) as u8);
        }
        3 => bytes[start..start + BLOCK].fill(0),
        4 if copied + BLOCK <= other.len() => {
            bytes[start..start + BLOCK].copy_from_slice(&other[copied..copied + BLOCK]);
        }
        5 => bytes.copy_within(copied..copied + BLOCK, start),
        _ => {}
    }
}

/// The block that a number in an input means; 0 in an empty file.
fn block_of(bytes: &[u8], number: u16) -> usize {
    let blocks = bytes.len() / BLOCK;
    if number >> 15 == 1 {
        return usize::from(number & 0x7FFF) % blocks.max(1);
    }
    let used: Vec<usize> = bytes
        .chunks(BLOCK)
        .enumerate()
        .filter(|(_, b)| b.iter().any(|&byte| byte != 0))
        .map(|(n, _)| n)
        .collect();
    if used.is_empty() { 0 } else { used[usize::from(number) % used.len()] }
}

fn seeds() -> Seeds {
    let kinds = [
        "flip",
        "flip-more",
        "fill",
        "zero-block",
        "foreign-block",
        "own-block",
        "truncate",
        "extend",
        "remove",
        "copy",
        "seal",
    ];
    let mut seeds = vec![("closed".to_owned(), vec![0]), ("killed".to_owned(), vec![1])];
    for (database, base) in ["closed", "killed"].into_iter().enumerate() {
        for (kind, what) in kinds.into_iter().enumerate() {
            let file = kind as u8;
            seeds.push((format!("{base}-{what}"), vec![database as u8, kind as u8, file, 5, 0, 70, 0, 3, 2]));
        }
        let rolled_back = vec![database as u8, 5, 0, 1, 0, 0, 0, 0, 0, 3, 1, 3, 0, 0, 0, 0, 0];
        seeds.push((format!("{base}-rolled-back"), rolled_back));
    }
    seeds
}
