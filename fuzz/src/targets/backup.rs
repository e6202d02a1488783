//! A backup whose files were changed, read, restored, and brought up to date.
//!
//! ```text
//! input:   change*, at most six
//! change:  kind u8 | file u8: even data, odd origins | block u16 | offset u16 | argument u16
//! ```
//!
//! | kind | change |
//! |---|---|
//! | 0, 1 | flip bit `argument` mod 8 of the byte |
//! | 2 | `argument` mod 512 bytes from there on, within the block, become one other byte |
//! | 3 | the block becomes zeros |
//! | 4 | the block is a copy of block `argument` of the same file |
//! | 5 | the file ends at the block |
//! | 6 | the file is gone |

use super::{Seeds, Target};
use crate::disk::{Files, MemoryDisk};
use crate::image::BLOCK;
use crate::recipe;
use crate::source::Source;
use aquifer::{Backup, Database, Durability, ErrorKind};
use aquifer_sync::OnceLock;

/// What is restored is what the backup held, or there is an error. The same after the next backup into the same place: what
/// the database holds then, or an error, of that backup or of restoring it.
pub const TARGET: Target = Target { name: "backup", run, input_bytes_max: 64, seeds };

const CHANGES_MAX: usize = 6;
const NAMES: [&str; 2] = ["data", "origins"];

/// The closed database, opened; its disk goes with it.
fn database() -> Database {
    recipe::options(&MemoryDisk::new(&recipe::bases()[0].files)).open("").expect("it is sound")
}

fn sound() -> &'static Files {
    static SOUND: OnceLock<Files> = OnceLock::new();
    SOUND.get_or_init(|| {
        let disk = MemoryDisk::new(&Files::new());
        database().backup_on(disk.disk(), |_| {}).expect("disks without faults");
        disk.files()
    })
}

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let mut files = sound().clone();
    for _ in 0..CHANGES_MAX {
        if !source.is_empty() {
            change(&mut source, &mut files);
        }
    }
    let disk = MemoryDisk::new(&files);
    let last = recipe::states().last().expect("there are states");
    check(&disk, last);
    let db = database();
    let (name, _) = last.iter().next().expect("there are tables");
    let put = db.table(name).and_then(|table| table.put_with(b"key 001", b"new", Durability::Power)?.wait());
    put.expect("a disk without faults");
    match db.backup_on(disk.disk(), |_| {}) {
        Ok(_) => check(&disk, &recipe::read_state(&db).expect("a disk without faults")),
        Err(error) => is_found(&error),
    }
}

/// Restores what is there.
fn check(disk: &MemoryDisk, expected: &recipe::State) {
    let target = MemoryDisk::new(&Files::new());
    let backup = Backup::on(disk.disk());
    let _ = backup.verify(|_| {}).inspect_err(is_found);
    match backup.restore(recipe::options(&target), "", |_| {}) {
        Ok((db, _)) => {
            let state = recipe::read_state(&db).expect("it was restored just now");
            assert!(state == *expected, "wrong data");
            let report = db.verify(|_| {}).expect("verification reports");
            assert!(report.is_clean(), "{:?}", report.faults);
        }
        Err(error) => {
            is_found(&error);
            assert!(!target.files().contains_key("data"), "a database is left of a backup that failed");
        }
    }
}

fn is_found(error: &aquifer::Error) {
    let kinds = [ErrorKind::Corrupt, ErrorKind::Format, ErrorKind::NotFound, ErrorKind::Io];
    assert!(kinds.contains(&error.kind()), "{:?}: {error}", error.kind());
}

fn change(source: &mut Source<'_>, files: &mut Files) {
    let (kind, name) = (source.below(7), NAMES[source.below(2)]);
    let (block, offset, argument) = (source.u16(), usize::from(source.u16()) % BLOCK, source.u16());
    let Some(bytes) = files.get_mut(name) else { return };
    let blocks = bytes.len() / BLOCK;
    if kind == 6 || blocks == 0 {
        return drop(files.remove(name));
    }
    let start = usize::from(block) % blocks * BLOCK;
    match kind {
        0 | 1 => bytes[start + offset] ^= 1 << (argument % 8),
        2 => {
            let end = (offset + usize::from(argument) % 512 + 1).min(BLOCK);
            bytes[start + offset..start + end].fill((argument >> 8) as u8);
        }
        3 => bytes[start..start + BLOCK].fill(0),
        4 => {
            let copied = usize::from(argument) % blocks * BLOCK;
            bytes.copy_within(copied..copied + BLOCK, start);
        }
        _ => bytes.truncate(start),
    }
}

fn seeds() -> Seeds {
    let names = ["flip", "flip-more", "fill", "zero-block", "own-block", "truncate", "remove"];
    let mut seeds = vec![("sound".to_owned(), Vec::new())];
    for (kind, what) in names.into_iter().enumerate() {
        for (file, name) in NAMES.into_iter().enumerate() {
            seeds.push((format!("{name}-{what}"), vec![kind as u8, file as u8, 1, 0, 70, 0, 3, 2]));
        }
    }
    seeds
}
