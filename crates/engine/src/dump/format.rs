//! The bytes of a dump. FROZEN at version 1. All numbers are little-endian.
//!
//! ```text
//! header | chunk | chunk | … | END chunk
//! ```
//!
//! Header:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `AQUIDUMP` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | page size of the database in bytes |
//! | 16 | 8 | records, about: for showing progress, and nothing else |
//! | 24 | 4 | zero |
//! | 28 | 4 | CRC32C of bytes 0 to 27 |
//!
//! Chunk:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | kind: 1 TABLE, 2 RECORDS, 3 TABLE END, 4 END, 5 LARGE VALUE, 6 PART |
//! | 4 | 4 | length of the payload, at most 1 MiB |
//! | 8 | 8 | number of the chunk, from 1 |
//! | 16 | 4 | CRC32C of the payload |
//! | 20 | 4 | CRC32C of the last four bytes of the header before (the dump's or a chunk's), then of bytes 0 to 19 |
//! | 24 | length | payload |
//!
//! Payloads:
//!
//! ```text
//! TABLE:      flags u8: bit 0 logged, bit 1 hashed, bit 2 expiring | varint length, name | varint length, name of the key type
//!             | varint milliseconds after which records expire unless told otherwise, 0 never, if expiring
//!             | name of the value type, to the end
//! RECORDS:    (varint bytes shared with the key before in this chunk | varint length of the rest of the key | the rest
//!             | varint length of the value | value)*
//! LARGE VALUE: varint length of the value | key, to the end
//! PART:       bytes of the large value before, to be put one behind the other; the parts of a value follow it
//! TABLE END:  varint records of the table | varint bytes of its keys and values
//! END:        varint tables | varint records | varint bytes of keys and values
//! ```
//!
//! Values of a table whose records may expire begin with eight bytes each, as they are stored: when the record expires, in milliseconds since
//! the beginning of 1970, 0 never. What has expired when it is dumped is left out.
//!
//! Tables are in the order of their names, the records of a sorted one in the order of their keys, and nothing follows END.
//!
//! # Invariants
//!
//! - **DF1** No length is believed before the checksum of the header that holds it was checked, and none allocates more than
//!   [`PAYLOAD_BYTES_MAX`].
//! - **DF2** The checksums of the headers are a chain: a chunk that is missing, repeated, in another place or from another
//!   dump is found at once.

use crate::catalog::Description;
use crate::expiry::Lifetime;
use crate::index::IndexKind;
use aquifer_codec::checksum::crc32c;
use aquifer_codec::varint;

/// FROZEN.
const MAGIC: &[u8; 8] = b"AQUIDUMP";
/// FROZEN.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Bytes of the dump's header. FROZEN.
pub(super) const HEADER_BYTES: usize = 32;
/// Bytes of a chunk's header. FROZEN.
pub(super) const CHUNK_HEADER_BYTES: usize = 24;
/// The longest payload that is read. FROZEN.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;

const LOGGED_FLAG: u8 = 1;
const HASHED_FLAG: u8 = 2;
const EXPIRING_FLAG: u8 = 4;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Table = 1,
    Records = 2,
    TableEnd = 3,
    End = 4,
    Large = 5,
    Part = 6,
}

/// The dump's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) page_bytes: u32,
    pub(super) records_estimate: u64,
}

/// Why bytes are no dump's header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAHeader {
    Foreign,
    Version(u32),
    Damaged(&'static str),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.page_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.records_estimate.to_le_bytes());
        let crc = crc32c(0, &bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, NotAHeader> {
        if &bytes[..8] != MAGIC {
            return Err(NotAHeader::Foreign);
        }
        if u32_at(bytes, 28) != crc32c(0, &bytes[..28]) {
            return Err(NotAHeader::Damaged("its checksum does not match"));
        }
        if u32_at(bytes, 8) != FORMAT_VERSION {
            return Err(NotAHeader::Version(u32_at(bytes, 8)));
        }
        let page_bytes = u32_at(bytes, 12);
        if !page_bytes.is_power_of_two() || !(4096..=65536).contains(&page_bytes) {
            return Err(NotAHeader::Damaged("its page size is not possible"));
        }
        Ok(Header { page_bytes, records_estimate: u64_at(bytes, 16) })
    }
}

/// A chunk's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    pub(super) kind: Kind,
    pub(super) len: usize,
    pub(super) number: u64,
    pub(super) payload_crc: u32,
}

impl ChunkHeader {
    /// The header's bytes; `previous` are the last four of the header before (DF2).
    pub(super) fn encode(&self, previous: [u8; 4]) -> [u8; CHUNK_HEADER_BYTES] {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        bytes[..4].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.len as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c(crc32c(0, &previous), &bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of chunk `number`.
    pub(super) fn decode(
        bytes: &[u8; CHUNK_HEADER_BYTES],
        previous: [u8; 4],
        number: u64,
    ) -> Result<ChunkHeader, &'static str> {
        if u32_at(bytes, 20) != crc32c(crc32c(0, &previous), &bytes[..20]) {
            return Err("the checksum of its header does not match what came before it and what it says");
        }
        let kind = match u32_at(bytes, 0) {
            1 => Kind::Table,
            2 => Kind::Records,
            3 => Kind::TableEnd,
            4 => Kind::End,
            5 => Kind::Large,
            6 => Kind::Part,
            _ => return Err("its kind is unknown"),
        };
        let len = u32_at(bytes, 4) as usize;
        if len > PAYLOAD_BYTES_MAX {
            return Err("it is longer than any chunk"); // DF1
        }
        if u64_at(bytes, 8) != number {
            return Err("its number is not the next");
        }
        Ok(ChunkHeader { kind, len, number, payload_crc: u32_at(bytes, 16) })
    }
}

/// The payload of TABLE.
pub(super) fn encode_table(description: &Description) -> Vec<u8> {
    let mut out = vec![if description.logged { LOGGED_FLAG } else { 0 }];
    if description.kind != IndexKind::Sorted {
        out[0] |= HASHED_FLAG; // its seed stays at home: whoever restores draws another
    }
    put_with_length(&mut out, description.name.as_bytes());
    put_with_length(&mut out, description.key_type.as_bytes());
    if let Some(lifetime) = description.lifetime {
        out[0] |= EXPIRING_FLAG;
        varint::put(&mut out, lifetime.ms);
    }
    out.extend_from_slice(description.value_type.as_bytes());
    out
}

pub(super) fn decode_table(mut payload: &[u8]) -> Result<Description, &'static str> {
    let (&flags, rest) = payload.split_first().ok_or("the table's description is empty")?;
    if flags & !(LOGGED_FLAG | HASHED_FLAG | EXPIRING_FLAG) != 0 {
        return Err("the table's options are of a newer version");
    }
    let kind = if flags & HASHED_FLAG == 0 { IndexKind::Sorted } else { IndexKind::Hashed { seed: 0 } };
    payload = rest;
    let text = |bytes| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a name is not text");
    let name = text(with_length(&mut payload)?)?;
    let key_type = text(with_length(&mut payload)?)?;
    let lifetime = match flags & EXPIRING_FLAG {
        0 => None,
        _ => Some(Lifetime { ms: number(&mut payload)? }),
    };
    let (logged, value_type) = (flags & LOGGED_FLAG != 0, text(payload)?);
    Ok(Description { name, kind, logged, key_type, value_type, lifetime })
}

/// Appends a record to a payload of RECORDS; `previous` is the key before in it.
pub(super) fn push_record(out: &mut Vec<u8>, previous: &[u8], key: &[u8], value: &[u8]) {
    let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
    varint::put(out, shared as u64);
    put_with_length(out, &key[shared..]);
    put_with_length(out, value);
}

/// Takes a record off the front of a payload of RECORDS; `key` holds the one before in it, and then this one.
pub(super) fn take_record<'p>(payload: &mut &'p [u8], key: &mut Vec<u8>) -> Result<&'p [u8], &'static str> {
    let shared = number(payload)?;
    if shared > key.len() as u64 {
        return Err("a key shares more with the one before than that has");
    }
    key.truncate(shared as usize);
    key.extend_from_slice(with_length(payload)?);
    with_length(payload)
}

/// The payload of LARGE VALUE.
pub(super) fn encode_large(key: &[u8], len: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 10);
    varint::put(&mut out, len);
    out.extend_from_slice(key);
    out
}

pub(super) fn decode_large(mut payload: &[u8]) -> Result<(Vec<u8>, u64), &'static str> {
    let len = number(&mut payload)?;
    Ok((payload.to_vec(), len))
}

/// The payload of TABLE END and END.
pub(super) fn encode_numbers(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    numbers.iter().for_each(|&number| varint::put(&mut out, number));
    out
}

pub(super) fn decode_numbers<const N: usize>(mut payload: &[u8]) -> Result<[u64; N], &'static str> {
    let mut numbers = [0; N];
    for each in &mut numbers {
        *each = number(&mut payload)?;
    }
    if payload.is_empty() { Ok(numbers) } else { Err("bytes follow the last number") }
}

fn put_with_length(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let (number, len) = varint::get(rest).ok_or("a number is cut short or malformed")?;
    *rest = &rest[len..];
    Ok(number)
}

fn with_length<'p>(rest: &mut &'p [u8]) -> Result<&'p [u8], &'static str> {
    let len = usize::try_from(number(rest)?).map_err(|_| "a length is beyond the chunk")?;
    let (bytes, after) = rest.split_at_checked(len).ok_or("a length is beyond the chunk")?;
    *rest = after;
    Ok(bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
