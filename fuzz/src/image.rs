//! Sets of files, written sparsely, so that an input of a few KiB stands for files of a few hundred.
//!
//! ```text
//! files:  count u8 | file*
//! file:   number u8 | blocks u16 | chunks u16 | chunk*
//! chunk:  block u16 | offset in the block u16 | length u16 | bytes
//! ```
//!
//! Number 0 is the file `data`, number n the log segment n. All else is zeros.
//!
//! Checksums would keep mutated bytes from getting past the first check. So what lies here can be *sealed*: given the
//! checksums that its bytes should have, as the documented formats say. What is sealed is what an adversary, not a
//! bad disk, makes of a file.

use crate::disk::Files;
use crate::source::{Source, put_piece};
use aquifer_codec::checksum::crc32c;

/// Bytes of a block.
pub const BLOCK: usize = 4096;
/// Files of a set.
const FILES_MAX: usize = 5;
/// Blocks of a file: 2 MiB.
const BLOCKS_MAX: usize = 512;
/// Zeros between bytes that end a chunk.
const GAP: usize = 16;

/// The name of the file with this number.
pub fn name(number: u8) -> String {
    if number == 0 { "data".to_owned() } else { format!("log/{number:010}") }
}

/// The number in the name of a file; 0 if there is none.
pub fn number(name: &str) -> u64 {
    name.strip_prefix("log/").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Reads a set of files.
pub fn read(source: &mut Source<'_>) -> Files {
    let mut files = Files::new();
    for _ in 0..source.below(FILES_MAX + 1) {
        let name = name(source.u8());
        let mut bytes = vec![0; usize::from(source.u16()) % (BLOCKS_MAX + 1) * BLOCK];
        for _ in 0..source.u16() {
            let (block, offset) = (usize::from(source.u16()), usize::from(source.u16()) % BLOCK);
            let chunk = source.piece();
            if source.is_empty() && chunk.is_empty() {
                break;
            }
            let start = block * BLOCK + offset;
            if let Some(place) = bytes.get_mut(start..) {
                let len = chunk.len().min(place.len());
                place[..len].copy_from_slice(&chunk[..len]);
            }
        }
        files.insert(name, bytes);
    }
    files
}

/// Writes a set of files whose names [`name`] gives; others are left out.
pub fn write(files: &Files) -> Vec<u8> {
    let known: Vec<(u8, &Vec<u8>)> =
        (0..=u8::MAX).filter_map(|number| files.get(&name(number)).map(|bytes| (number, bytes))).collect();
    let mut out = vec![known.len() as u8];
    for (number, bytes) in known {
        out.push(number);
        out.extend_from_slice(&((bytes.len() / BLOCK) as u16).to_le_bytes());
        let chunks = chunks(bytes);
        out.extend_from_slice(&(chunks.len() as u16).to_le_bytes());
        for (start, end) in chunks {
            out.extend_from_slice(&((start / BLOCK) as u16).to_le_bytes());
            out.extend_from_slice(&((start % BLOCK) as u16).to_le_bytes());
            put_piece(&mut out, &bytes[start..end]);
        }
    }
    out
}

/// The stretches of a file that are not zeros, none across the end of a block.
fn chunks(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut chunks: Vec<(usize, usize)> = Vec::new();
    for at in (0..bytes.len()).filter(|&at| bytes[at] != 0) {
        match chunks.last_mut() {
            Some((start, end)) if at - *end < GAP && *start / BLOCK == at / BLOCK => *end = at + 1,
            _ => chunks.push((at, at + 1)),
        }
    }
    chunks
}

/// Gives both superblocks of a data file the checksums that their bytes should have.
pub fn seal_superblocks(data: &mut [u8]) {
    for start in [0, 64 << 10] {
        if let Some(block) = data.get_mut(start..start + BLOCK) {
            seal_superblock(block);
        }
    }
}

/// Gives a superblock the checksum that its bytes should have.
pub fn seal_superblock(block: &mut [u8]) {
    let crc = crc32c(0, &block[..BLOCK - 4]);
    block[BLOCK - 4..].copy_from_slice(&crc.to_le_bytes());
}

/// Gives the header and the batches of a log segment the checksums that their bytes should have, and with `chain` the
/// checksum of its predecessor to each batch.
pub fn seal_segment(bytes: &mut [u8], number: u64, chain: bool) {
    if bytes.len() < BLOCK {
        return;
    }
    let crc = crc32c(0, &bytes[..64]);
    bytes[64..68].copy_from_slice(&crc.to_le_bytes());
    let mut previous = [0; 4];
    let mut offset = BLOCK;
    while let Some(batch) = next_batch(bytes, number, offset) {
        let (at, next) = (batch.offset, batch.end.next_multiple_of(BLOCK));
        if chain {
            bytes[at + 48..at + 52].copy_from_slice(&previous);
        }
        previous = crc_of(bytes, number, at).to_le_bytes();
        bytes[at..at + 4].copy_from_slice(&previous);
        offset = next;
    }
}

/// A batch in a log segment, as the format describes it.
#[derive(Debug)]
pub struct Batch<'f> {
    /// Where it begins in the file, and where its record bytes end.
    offset: usize,
    end: usize,
    /// Its checksum is right.
    pub sound: bool,
    /// Incarnation of the log.
    pub incarnation: u64,
    first_lsn: u64,
    records: &'f [u8],
}

impl Batch<'_> {
    /// How many of these bytes, which begin at the log position `at`, it has.
    pub fn agrees(&self, at: u64, bytes: &[u8]) -> usize {
        let Some(skip) = at.checked_sub(self.first_lsn) else { return 0 };
        let ours = self.records.get(skip as usize..).unwrap_or_default();
        ours.iter().zip(bytes).take_while(|(a, b)| a == b).count()
    }
}

/// Everything in a segment that looks like a batch, at any block.
pub fn batches(bytes: &[u8], number: u64) -> Vec<Batch<'_>> {
    let mut found = Vec::new();
    let mut offset = BLOCK;
    while let Some(batch) = next_batch(bytes, number, offset) {
        offset = batch.offset + BLOCK;
        found.push(batch);
    }
    found
}

/// The next batch that begins at a block from `offset` on and lies within the file.
fn next_batch(bytes: &[u8], number: u64, offset: usize) -> Option<Batch<'_>> {
    (offset..bytes.len().saturating_sub(BLOCK - 1)).step_by(BLOCK).find_map(|offset| {
        let header = &bytes[offset..];
        let mut fields = Source::new(&header[4..]);
        let magic: [u8; 4] = fields.array();
        let (len, _flags, first_lsn, incarnation) = (fields.u32(), fields.u32(), fields.u64(), fields.u64());
        let end = (offset + 52).saturating_add(len as usize);
        if magic != *b"AQBT" || end > bytes.len() {
            return None;
        }
        let sound = crc_of(bytes, number, offset) == Source::new(header).u32();
        Some(Batch { offset, end, sound, incarnation, first_lsn, records: &bytes[offset + 52..end] })
    })
}

/// The checksum that the batch at `offset` should have; its length must lie within the file.
fn crc_of(bytes: &[u8], number: u64, offset: usize) -> u32 {
    let end = offset + 52 + Source::new(&bytes[offset + 8..]).u32() as usize;
    let place = [&bytes[16..32], &number.to_le_bytes(), &(offset as u64).to_le_bytes()].concat();
    crc32c(crc32c(0, &place), &bytes[offset + 4..end])
}
