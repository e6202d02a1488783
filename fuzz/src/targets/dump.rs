//! A dump that is not one, or not any more.
//!
//! ```text
//! input:   raw u8: 0, what follows is the dump | else change*, at most six, to a sound one
//! change:  kind u8 | place u16 | argument u16
//! ```
//!
//! | kind | change |
//! |---|---|
//! | 0, 1 | flip bit `argument` mod 8 of the byte |
//! | 2 | `argument` mod 512 bytes from there on become one other byte |
//! | 3 | the dump ends there |
//! | 4 | `argument` mod 512 bytes from there on are missing |
//! | 5 | they come twice |
//! | 6 | all checksums are made right again |

use super::{Seeds, Target};
use crate::disk::{Files, MemoryDisk};
use crate::recipe;
use crate::source::Source;
use aquifer::{Database, ErrorKind};
use aquifer_codec::checksum::crc32c;
use aquifer_sync::OnceLock;

/// Restoring gives what was dumped, or an error that says `Corrupt` or `Format` and leaves no database. Where checksums were made
/// right, what comes out is a database without faults, or an error.
pub const TARGET: Target = Target { name: "dump", run, input_bytes_max: 512, seeds };

const CHANGES_MAX: usize = 6;
const HEADER_BYTES: usize = 32;
const CHUNK_HEADER_BYTES: usize = 24;

/// A dump of the closed database.
fn sound() -> &'static [u8] {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let db = recipe::options(&MemoryDisk::new(&recipe::bases()[0].files)).open("").expect("it is sound");
        let mut dump = Vec::new();
        db.dump(&mut dump, |_| {}).expect("a disk without faults");
        dump
    })
}

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let raw = source.u8() == 0;
    let (mut dump, mut sealed) = (sound().to_vec(), false);
    if raw {
        dump = source.rest().to_vec();
    }
    for _ in 0..CHANGES_MAX {
        if source.is_empty() || dump.is_empty() {
            break;
        }
        sealed |= change(&mut source, &mut dump);
    }
    let disk = MemoryDisk::new(&Files::new());
    match Database::restore(recipe::options(&disk), "", &dump[..], |_| {}) {
        Ok((db, _)) => {
            let state = recipe::read_state(&db).expect("it was restored just now");
            assert!(sealed || Some(&state) == recipe::states().last(), "wrong data");
            let report = db.verify(|_| {}).expect("verification reports");
            assert!(report.is_clean(), "{:?}", report.faults);
        }
        Err(error) => {
            let found = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format);
            assert!(found || sealed, "{:?}: {error}", error.kind());
            assert!(!disk.files().contains_key("data"), "a database is left of a dump that failed");
        }
    }
}

/// Whether checksums were made right.
fn change(source: &mut Source<'_>, dump: &mut Vec<u8>) -> bool {
    let (kind, at, argument) = (source.below(7), usize::from(source.u16()), source.u16());
    let at = at % dump.len();
    let end = (at + usize::from(argument) % 512).min(dump.len());
    match kind {
        0 | 1 => dump[at] ^= 1 << (argument % 8),
        2 => dump[at..end].fill((argument >> 8) as u8),
        3 => dump.truncate(at),
        4 => drop(dump.drain(at..end)),
        5 => {
            let piece = dump[at..end].to_vec();
            dump.splice(at..at, piece);
        }
        _ => {
            seal(dump);
            return true;
        }
    }
    false
}

/// Makes all checksums right, as far as there are chunks.
fn seal(dump: &mut [u8]) {
    if dump.len() < HEADER_BYTES {
        return;
    }
    let crc = crc32c(0, &dump[..HEADER_BYTES - 4]);
    dump[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let (mut before, mut at) = (HEADER_BYTES - 4, HEADER_BYTES);
    while at + CHUNK_HEADER_BYTES <= dump.len() {
        let len = u32::from_le_bytes(dump[at + 4..at + 8].try_into().expect("four bytes")) as usize;
        let payload = at + CHUNK_HEADER_BYTES;
        let Some(end) = payload.checked_add(len).filter(|&end| end <= dump.len()) else { return };
        let crc = crc32c(0, &dump[payload..end]);
        dump[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
        let chain = crc32c(0, &dump[before..before + 4]);
        let crc = crc32c(chain, &dump[at..at + 20]);
        dump[at + 20..at + 24].copy_from_slice(&crc.to_le_bytes());
        (before, at) = (at + 20, end);
    }
}

fn seeds() -> Seeds {
    let names = ["flip", "flip-more", "fill", "cut", "missing", "twice", "seal"];
    let mut seeds = vec![("sound".to_owned(), vec![1]), ("empty".to_owned(), vec![0])];
    for (kind, name) in names.into_iter().enumerate() {
        seeds.push((name.to_owned(), vec![1, kind as u8, 70, 0, 9, 3]));
        seeds.push((format!("{name}-and-seal"), vec![1, kind as u8, 50, 0, 9, 3, 6, 0, 0, 0, 0]));
    }
    let mut raw = vec![0];
    raw.extend_from_slice(&sound()[..200]);
    seeds.push(("raw".to_owned(), raw));
    seeds
}
