//! The bytes of the pages of a hashed index, FROZEN at version 1.
//!
//! A *bucket* holds the records whose hashes lie in its range:
//!
//! ```text
//! offset  size  what
//!      0     1  kind: 3 bucket, 5 overflow page of a bucket
//!      1     1  flags, 0
//!      2     1  level, 0
//!      3     1  reserved, 0
//!      4     2  count of records
//!      6     2  reserved, 0
//!      8     2  heap bytes: the heap begins this far from the page's end
//!     10     2  live bytes: heap bytes that something refers to; the others come back by compaction
//!     12     4  owner table
//!     16     8  changed_at: LSN of the newest change; only raised
//!     24     4  own page id
//!     28     4  next overflow page of this bucket; 0 none
//!     32     8  first hash of the range
//!     40     8  last hash of the range
//!     48     8  seed of the table's hash function
//!     56     2  0, so that every run lies between two bounds
//!     58   2·s  for each of s sub-buckets the number of records up to its end; s = page size / 256
//!      …   3·n  runs, one for each sub-bucket in order: m fingerprints of one byte, then m heap offsets u16
//!      …        free
//!      …        heap: entries in any order, which end the page
//! ```
//!
//! An entry is `value length u16 | key length u16 | key | value`. Bit 15 of the value length: the value is the descriptor of a
//! large one (`leaf_value`).
//!
//! A *directory* page says which page is for which hashes. It covers all hashes that begin with its prefix of p bits; of
//! hashes, the 32 bits behind the prefix count:
//!
//! ```text
//! offset  size  what
//!      0     1  kind: 4 directory
//!      1     1  flags: bit 1 the index is being dismantled, and entries may name no page; bit 3, of the root: there may be
//!               descriptors of large values
//!      2     1  level: 1 names buckets, others name directory pages one level lower
//!      3     1  p: bits of the prefix
//!      4     2  count of entries
//!      6     6  reserved, 0
//!     12     4  owner table
//!     16     8  changed_at: newest of the buckets that were split or merged below it
//!     24     4  own page id
//!     28     4  reserved, 0
//!     32     8  prefix, its bits uppermost, zeros below
//!     40     8  reserved, 0
//!     48     8  seed of the table's hash function
//!     56   8·n  entries in order: page id u32, lower bound u32
//! ```
//!
//! An entry is one little-endian word whose upper half is the bound, so that one load gives a search step all it needs.
//! The hash of a key is XXH3-64 of its bytes with the table's seed. Its lowest bits are the sub-bucket, bits 8 to 15 the
//! fingerprint, and the uppermost ones lead through the directory.
//!
//! # Invariants
//!
//! - **HB1** Every record's hash lies in its bucket's range; the ranges of all buckets cover all hashes once.
//! - **HB2** A record lies in the run of its sub-bucket, beside its fingerprint.
//! - **HB3** Only a bucket whose range is a single hash has overflow pages; they have its range, and are on the same chain.
//! - **HB4** The first entry of a directory page has bound 0, bounds ascend strictly, and the entry's page covers the hashes
//!   from its bound up to the next one's. A directory page named by an entry has the prefix that makes it cover just these.
//! - **HB5** Heap bytes are counted from the end because a 64 KiB page's end does not fit 16 bits.
//!
//! Sources: R. Fagin et al., "Extendible hashing" (1979); B. Lu et al., "Dash" (VLDB 2020), for fingerprints and small
//! buckets within a page; D. Knuth, TAOCP 6.2.4, for sharing with a neighbour before splitting (B*-trees).

use crate::words::Words;

pub(crate) const KIND_BUCKET: u8 = 3;
pub(crate) const KIND_DIRECTORY: u8 = 4;
pub(crate) const KIND_OVERFLOW: u8 = 5;

pub(crate) const FLAG_DISMANTLED: u8 = 2;
pub(crate) const FLAG_LARGE: u8 = 8;

pub(crate) const KIND: usize = 0;
pub(crate) const FLAGS: usize = 1;
pub(crate) const LEVEL: usize = 2;
pub(crate) const PREFIX_BITS: usize = 3;
pub(crate) const COUNT: usize = 4;
pub(crate) const HEAP_BYTES: usize = 8;
pub(crate) const LIVE_BYTES: usize = 10;
pub(crate) const OWNER: usize = 12;
pub(crate) const CHANGED_AT: usize = 16;
pub(crate) const OWN_ID: usize = 24;
pub(crate) const NEXT: usize = 28;
pub(crate) const FIRST: usize = 32;
pub(crate) const LAST: usize = 40;
pub(crate) const SEED: usize = 48;
pub(crate) const HEADER_BYTES: usize = 56;
pub(crate) const BOUNDS: usize = HEADER_BYTES;
pub(crate) const ENTRIES: usize = HEADER_BYTES;
pub(crate) const ENTRY_BYTES: usize = 8;
/// Bytes of a record in its run: fingerprint and offset.
pub(crate) const SLOT_BYTES: usize = 3;
/// Bytes of an entry before the key.
pub(crate) const LENGTHS_BYTES: usize = 4;

/// Most levels of directory pages. A level is added when the root is full, or when it cannot tell a prefix from its
/// neighbour; the former happens after many splits each time, the latter once.
pub(crate) const LEVEL_MAX: u8 = 12;
/// Longest prefix of a directory page. One bit more, and it would cover a single hash, whose bucket is never split.
pub(crate) const PREFIX_BITS_MAX: u32 = 63;

/// Longest key: 1/8 page.
pub(crate) const fn key_bytes_max(page_bytes: usize) -> usize {
    page_bytes / 8
}

/// Longest value: 1/4 page.
pub(crate) const fn value_bytes_max(page_bytes: usize) -> usize {
    page_bytes / 4
}

/// Sub-buckets of a bucket: a power of two.
#[inline(always)]
pub(crate) const fn sub_buckets(page_bytes: usize) -> usize {
    page_bytes / 256
}

/// Where the runs of a bucket begin.
#[inline(always)]
pub(crate) const fn runs_at(page_bytes: usize) -> usize {
    BOUNDS + 2 * (sub_buckets(page_bytes) + 1)
}

/// Bytes of a page that records can take.
pub(crate) const fn record_room(page_bytes: usize) -> usize {
    page_bytes - runs_at(page_bytes)
}

/// What a record takes of that.
pub(crate) const fn record_bytes(key_len: usize, value_len: usize) -> usize {
    SLOT_BYTES + LENGTHS_BYTES + key_len + value_len
}

/// Entries that a directory page has room for.
#[inline(always)]
pub(crate) const fn entries_max(page_bytes: usize) -> usize {
    (page_bytes - ENTRIES) / ENTRY_BYTES
}

/// The sub-bucket of a hash.
#[inline(always)]
pub(crate) const fn sub_bucket(hash: u64, page_bytes: usize) -> usize {
    hash as usize & (sub_buckets(page_bytes) - 1)
}

/// The fingerprint of a hash.
#[inline(always)]
pub(crate) const fn fingerprint(hash: u64) -> u8 {
    (hash >> 8) as u8
}

/// The first word of a page's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary(pub(crate) u64);

impl Summary {
    #[inline(always)]
    pub(crate) fn of(words: impl Words) -> Self {
        Self(words.word(0))
    }

    #[inline(always)]
    pub(crate) fn kind(self) -> u8 {
        self.0 as u8
    }

    pub(crate) fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline(always)]
    pub(crate) fn level(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Never so many that a shift by them would overflow.
    #[inline(always)]
    pub(crate) fn prefix_bits(self) -> u32 {
        (self.0 >> 24) as u32 & PREFIX_BITS_MAX
    }

    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        (self.0 >> 32) as usize & 0xFFFF
    }
}

/// What the headers of all kinds have in common.
#[inline(always)]
pub(crate) fn owner(words: impl Words) -> u32 {
    (words.word(OWNER / 8) >> 32) as u32
}

/// See [`owner`].
pub(crate) fn own_id(words: impl Words) -> u32 {
    words.word(OWN_ID / 8) as u32
}

/// See [`owner`].
pub(crate) fn changed_at(words: impl Words) -> u64 {
    words.word(CHANGED_AT / 8)
}

/// See [`owner`].
pub(crate) fn seed(words: impl Words) -> u64 {
    words.word(SEED / 8)
}

/// Writes a little-endian number of two bytes.
pub(crate) fn set_u16(bytes: &mut [u8], offset: usize, value: usize) {
    debug_assert!(value <= 0xFFFF, "HB5: a size that does not fit");
    bytes[offset..offset + 2].copy_from_slice(&(value as u16).to_le_bytes());
}

/// Writes a little-endian number of four bytes.
pub(crate) fn set_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes a little-endian number of eight bytes.
pub(crate) fn set_u64(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(all(test, not(loom)))]
mod tests;
