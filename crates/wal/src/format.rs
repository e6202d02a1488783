//! The bytes of a segment file. All numbers are little-endian.
//!
//! ```text
//!   block 0         header
//!   block 1 …       batches, each on a fresh block, padded with zeros to the next
//! ```
//!
//! Header of a segment, in the first block; the rest of the block is zero:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `AQUIFLOG` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | zero |
//! | 16 | 16 | database id |
//! | 32 | 8 | incarnation |
//! | 40 | 8 | segment number, as in the file's name |
//! | 48 | 8 | LSN of the first record byte in it |
//! | 56 | 8 | capacity: bytes of the file that are used, whole blocks |
//! | 64 | 4 | CRC32C of bytes 0 to 63 |
//!
//! Header of a batch, at the start of a block; record bytes follow at once:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C, see below |
//! | 4 | 4 | magic `AQBT` |
//! | 8 | 4 | length: record bytes in this batch |
//! | 12 | 4 | flags: bit 0, the log was closed with this batch; others zero |
//! | 16 | 8 | LSN of the first of these bytes |
//! | 24 | 8 | incarnation |
//! | 32 | 8 | `durable`: everything before this LSN was confirmed when the batch was built |
//! | 40 | 8 | wall-clock time when it was built, microseconds since 1970 |
//! | 48 | 4 | CRC32C of the previous batch of the incarnation (its first field), 0 in the first |
//!
//! The CRC of a batch covers, in this order: database id (16 bytes), segment number (8), offset of the batch in the
//! file (8), then the header from byte 4 on, and the record bytes.
//!
//! A record is `varint length | payload`. Records lie end to end across batches and segments; LSNs count their bytes
//! and nothing else.
//!
//! # Invariants
//!
//! - **FO1** A batch ends within its segment's capacity and is at most [`BATCH_FILE_BYTES_MAX`] long, padding included.
//! - **FO2** `durable` of a batch is at most its first LSN.
//! - **FO3** A batch is valid at one place of one segment of one database only, and in one incarnation.
//!
//! FROZEN: everything above. A change makes format version 2.

use aquifer_codec::checksum::crc32c;
use aquifer_io::BLOCK_BYTES;

/// Version of the format. FROZEN.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Bytes of a batch's header. FROZEN.
pub(crate) const BATCH_HEADER_BYTES: usize = 52;
/// The longest batch in a file, header and padding included (FO1). FROZEN.
pub(crate) const BATCH_FILE_BYTES_MAX: usize = 1 << 20;
/// The longest record's payload. FROZEN.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 30;
/// LSNs stay below this, so that sums of two do not overflow. FROZEN.
pub(crate) const LSN_MAX: u64 = 1 << 62;
/// Incarnations are at most this, so that the next one is a number too. FROZEN.
const INCARNATION_MAX: u64 = 1 << 62;
/// Files with higher numbers are not ours: no log comes near it, so counting on never overflows. FROZEN.
const SEGMENT_NUMBER_MAX: u64 = 1_000_000_000_000_000;
/// The batch that bears it is the last one of its incarnation.
pub(crate) const FLAG_CLOSED: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"AQUIFLOG";
const BATCH_MAGIC: [u8; 4] = *b"AQBT";
const SEGMENT_HEADER_BYTES: usize = 68;

/// A segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) database_id: [u8; 16],
    pub(crate) incarnation: u64,
    pub(crate) number: u64,
    pub(crate) first_lsn: u64,
    pub(crate) capacity: u64,
}

/// What the first block of a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstBlock {
    /// A header.
    Header(SegmentHeader),
    /// A header of this later format version.
    Newer(u32),
    /// Not a header: a segment that was never begun, or a torn or damaged one.
    Nothing,
}

impl SegmentHeader {
    /// Writes the header to the start of a zeroed block.
    pub(crate) fn encode(&self, block: &mut [u8]) {
        block[0..8].copy_from_slice(&SEGMENT_MAGIC);
        block[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        block[16..32].copy_from_slice(&self.database_id);
        block[32..40].copy_from_slice(&self.incarnation.to_le_bytes());
        block[40..48].copy_from_slice(&self.number.to_le_bytes());
        block[48..56].copy_from_slice(&self.first_lsn.to_le_bytes());
        block[56..64].copy_from_slice(&self.capacity.to_le_bytes());
        let crc = crc32c(0, &block[..64]);
        block[64..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a first block.
    pub(crate) fn decode(block: &[u8]) -> FirstBlock {
        if block.len() < SEGMENT_HEADER_BYTES || block[0..8] != SEGMENT_MAGIC {
            return FirstBlock::Nothing;
        }
        let version = u32_at(block, 8);
        if version > FORMAT_VERSION {
            return FirstBlock::Newer(version);
        }
        let header = SegmentHeader {
            database_id: block[16..32].try_into().expect("16 bytes"),
            incarnation: u64_at(block, 32),
            number: u64_at(block, 40),
            first_lsn: u64_at(block, 48),
            capacity: u64_at(block, 56),
        };
        let sound = u32_at(block, 64) == crc32c(0, &block[..64])
            && version == FORMAT_VERSION
            && header.incarnation <= INCARNATION_MAX
            && header.first_lsn <= LSN_MAX
            && header.capacity.is_multiple_of(BLOCK_BYTES as u64);
        if sound { FirstBlock::Header(header) } else { FirstBlock::Nothing }
    }
}

/// A batch's header, without its CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) len: u32,
    pub(crate) flags: u32,
    pub(crate) first_lsn: u64,
    pub(crate) incarnation: u64,
    pub(crate) durable: u64,
    pub(crate) time_us: u64,
    pub(crate) previous_crc: u32,
}

/// The place that a batch's CRC is bound to (FO3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    pub(crate) database_id: [u8; 16],
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl BatchPlace {
    fn crc(&self, covered: &[u8]) -> u32 {
        let seed = crc32c(0, &self.database_id);
        let seed = crc32c(seed, &self.segment.to_le_bytes());
        let seed = crc32c(seed, &self.offset.to_le_bytes());
        crc32c(seed, covered)
    }
}

impl BatchHeader {
    /// Writes the header before the record bytes that `bytes` already holds, and returns the CRC.
    pub(crate) fn encode(&self, place: &BatchPlace, bytes: &mut [u8]) -> u32 {
        debug_assert!(self.durable <= self.first_lsn, "FO2");
        bytes[4..8].copy_from_slice(&BATCH_MAGIC);
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_lsn.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.durable.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.time_us.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.previous_crc.to_le_bytes());
        let crc = place.crc(&bytes[4..BATCH_HEADER_BYTES + self.len as usize]);
        bytes[0..4].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// The incarnation that a batch's first block states, be it valid or not.
    pub(crate) fn incarnation_in(block: &[u8]) -> u64 {
        u64_at(block, 24)
    }

    /// Reads a header, if it can be one of `incarnation`. Its CRC is not checked yet.
    pub(crate) fn decode(block: &[u8], incarnation: u64) -> Option<BatchHeader> {
        if block.len() < BATCH_HEADER_BYTES || block[4..8] != BATCH_MAGIC {
            return None;
        }
        let header = BatchHeader {
            len: u32_at(block, 8),
            flags: u32_at(block, 12),
            first_lsn: u64_at(block, 16),
            incarnation: u64_at(block, 24),
            durable: u64_at(block, 32),
            time_us: u64_at(block, 40),
            previous_crc: u32_at(block, 48),
        };
        let possible = header.incarnation == incarnation
            && header.flags & !FLAG_CLOSED == 0
            && header.first_lsn <= LSN_MAX
            && header.durable <= header.first_lsn
            && header.file_bytes() <= BATCH_FILE_BYTES_MAX as u64;
        possible.then_some(header)
    }

    /// The CRC in the first field of `bytes`, if it is that of header and record bytes at this place.
    pub(crate) fn check(&self, place: &BatchPlace, bytes: &[u8]) -> Option<u32> {
        let crc = u32_at(bytes, 0);
        (crc == place.crc(&bytes[4..BATCH_HEADER_BYTES + self.len as usize])).then_some(crc)
    }

    /// Bytes that the batch takes in the file: header, record bytes, padding.
    pub(crate) fn file_bytes(&self) -> u64 {
        (BATCH_HEADER_BYTES as u64 + u64::from(self.len)).next_multiple_of(BLOCK_BYTES as u64)
    }

    /// The LSN after its last record byte.
    pub(crate) fn end_lsn(&self) -> u64 {
        self.first_lsn + u64::from(self.len)
    }
}

/// The file name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:010}")
}

/// The number of a segment file; `None` if it is the name of something else.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let number = name.parse().ok()?;
    (number <= SEGMENT_NUMBER_MAX && segment_name(number) == name).then_some(number)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(all(test, not(loom)))]
mod tests;
