//! The bytes of a tree page.
//!
//! ```text
//! offset  size  what
//!      0     1  kind: 1 leaf, 2 inner, 6 dense leaf (`dense`), 7 leaf with fingerprints (`fingerprint`; other kinds belong to other indexes)
//!      1     1  flags: bit 0 no upper fence, bit 1 the tree is being dismantled, bit 2 the tree is detached from its table,
//!               bit 3 there may be large values (all three: root only)
//!      2     1  level: 0 leaf
//!      3     1  run: how often in a row an insertion fell right behind (> 0) or before (< 0) the one before it
//!      4     2  count of slots
//!      6     2  length of the common prefix
//!      8     2  heap bytes: the heap begins this far from the page's end
//!     10     2  live bytes: heap bytes that something refers to; the others come back by compaction
//!     12     4  owner table
//!     16     8  changed_at: LSN of the newest change; only raised
//!     24     4  own page id
//!     28     4  right neighbour on this level; 0 none
//!     32     2  length of the lower fence
//!     34     2  length of the upper fence
//!     36     2  ghosts (reserved, 0); kind 7: places for fingerprints
//!     38     2  run position: slot after the last insertion
//!     40     4  leftmost child (inner), else 0
//!     44     4  reserved, 0
//!     48    64  16 hints of four bytes: heads sampled from the slots; kind 7: fingerprints
//!    112   8·n  slots in key order
//!      …    4·n  key references in key order (inner pages only)
//!      …        free
//!      …        heap: entries in any order, then upper fence, then lower fence, which ends the page
//! ```
//!
//! A slot is one little-endian word, so that one load gives a search step all it needs, and words
//! compare as their heads do:
//!
//! ```text
//!        63              32 31            16 15             0
//!       +------------------+---------------------------------+
//! leaf  |       head       |          key reference          |
//!       +------------------+---------------------------------+
//! inner |       head       |          child page id          |
//!       +------------------+----------------+----------------+
//! key reference:           |  heap offset   | suffix length  |
//!                          +----------------+----------------+
//! ```
//!
//! A descent through an inner page mostly needs heads and one child id, which is beside its head; the
//! references are behind the slots, for keys whose heads are equal.
//!
//! The suffix of a key is what follows the common prefix; the head is the suffix's first four bytes as
//! a big-endian number, padded with zeros; the rest is what follows them. Only the rest is in the heap:
//!
//! ```text
//! leaf entry:   value length u16 | rest of the key | value
//!               bit 15 of the value length: the value is the descriptor of a large one (`leaf_value`)
//! inner entry:  rest of the separator, if there is any; else the reference's offset is 0
//! ```
//!
//! # Invariants
//!
//! - **BT1** Keys of a page lie at or above its lower fence and below its upper fence, so all of them
//!   begin with what the fences have in common: that is the common prefix, and its bytes are the first
//!   of the lower fence.
//! - **BT2** Slots are in strictly ascending order by (head, rest, suffix length), which is the
//!   order of the keys: equal heads with a short suffix differ only by zeros at the end, and the
//!   shorter comes first.
//! - **BT3** Hint `i` is the head of slot `(i + 1) · (count / 17)`, if there are more than
//!   [`UNHINTED_MAX`] slots; otherwise hints mean nothing.
//! - **BT4** An inner page with n slots has n + 1 children: the leftmost for keys below slot 0, and
//!   slot i's for keys at or above slot i and below slot i + 1.
//! - **BT5** Heap bytes are counted from the end because a 64 KiB page's end does not fit 16 bits; an
//!   entry that is not empty begins before it, so its offset does.
//!
//!
//! Sources: G. Graefe, "Modern B-Tree Techniques" (2011), for fences and prefix truncation; M. Müller
//! et al., "B-Trees Are Back: Engineering Fast and Pageable Node Layouts" (2025), for heads and hints.

use crate::words::big_endian_padded;
use aquifer_buffer::PageId;

pub(crate) const KIND_LEAF: u8 = 1;
pub(crate) const KIND_INNER: u8 = 2;
pub(crate) const KIND_DENSE: u8 = 6;
pub(crate) const KIND_FINGERPRINTS: u8 = 7;

pub(crate) const FLAG_UNBOUNDED: u8 = 1;
pub(crate) const FLAG_DISMANTLED: u8 = 2;
pub(crate) const FLAG_DETACHED: u8 = 4;
pub(crate) const FLAG_LARGE: u8 = 8;
/// What a root keeps when it grows or becomes lower.
pub(crate) const ROOT_FLAGS: u8 = FLAG_DETACHED | FLAG_LARGE;

pub(crate) const KIND: usize = 0;
pub(crate) const FLAGS: usize = 1;
pub(crate) const LEVEL: usize = 2;
pub(crate) const RUN: usize = 3;
pub(crate) const COUNT: usize = 4;
pub(crate) const PREFIX_LEN: usize = 6;
pub(crate) const HEAP_BYTES: usize = 8;
pub(crate) const LIVE_BYTES: usize = 10;
pub(crate) const OWNER: usize = 12;
pub(crate) const CHANGED_AT: usize = 16;
pub(crate) const OWN_ID: usize = 24;
pub(crate) const RIGHT: usize = 28;
pub(crate) const LOWER_LEN: usize = 32;
pub(crate) const UPPER_LEN: usize = 34;
pub(crate) const RUN_POSITION: usize = 38;
pub(crate) const LEFTMOST: usize = 40;
pub(crate) const HEADER_BYTES: usize = 48;
pub(crate) const HINTS: usize = HEADER_BYTES;
pub(crate) const FINGERPRINTS: usize = HINTS;
pub(crate) const HINT_COUNT: usize = 16;
pub(crate) const SLOTS: usize = HINTS + 4 * HINT_COUNT;
pub(crate) const SLOT_BYTES: usize = 8;
pub(crate) const REFERENCE_BYTES: usize = 4;

/// Pages with at most this many slots are searched without hints.
pub(crate) const UNHINTED_MAX: usize = 2 * HINT_COUNT;
/// No tree is higher: a level has at least twice the pages of the one above, and there are 2^32 ids.
pub(crate) const LEVEL_MAX: u8 = 40;
/// So many insertions one behind the other make a run.
pub(crate) const RUN_MIN: i8 = 4;
/// Bytes of the key that are in the slot and not in the heap.
pub(crate) const HEAD_BYTES: usize = 4;

/// Longest key: 1/8 page.
pub(crate) const fn key_bytes_max(page_bytes: usize) -> usize {
    page_bytes / 8
}

/// Longest value: 1/4 page.
pub(crate) const fn value_bytes_max(page_bytes: usize) -> usize {
    page_bytes / 4
}

/// Bytes of an entry before the rest of its key.
#[inline(always)]
pub(crate) const fn entry_head_bytes(level: u8) -> usize {
    if level == 0 { 2 } else { 0 }
}

/// Bytes that an entry takes outside the heap.
#[inline(always)]
pub(crate) const fn slot_bytes(level: u8) -> usize {
    if level == 0 { SLOT_BYTES } else { SLOT_BYTES + REFERENCE_BYTES }
}

/// A slot's head and its key reference: a leaf's slot as it is, an inner page's put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u64);

impl Slot {
    #[inline(always)]
    pub(crate) fn new(head: u32, offset: usize, suffix_len: usize) -> Self {
        debug_assert!(offset <= 0xFFFF && suffix_len <= 0xFFFF, "BT5: an offset that does not fit");
        Self(u64::from(head) << 32 | (offset as u64 & 0xFFFF) << 16 | suffix_len as u64 & 0xFFFF)
    }

    /// The word of an inner page's slot.
    pub(crate) fn with_child(head: u32, child: PageId) -> Self {
        Self(u64::from(head) << 32 | u64::from(child.0))
    }

    #[inline(always)]
    pub(crate) fn head(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn offset(self) -> usize {
        (self.0 >> 16) as usize & 0xFFFF
    }

    #[inline(always)]
    pub(crate) fn suffix_len(self) -> usize {
        self.0 as usize & 0xFFFF
    }

    #[inline(always)]
    pub(crate) fn rest_len(self) -> usize {
        self.suffix_len().saturating_sub(HEAD_BYTES)
    }
}

/// A key as a page's search wants it: without the common prefix, its head apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suffix<'k> {
    pub(crate) head: u32,
    pub(crate) rest: &'k [u8],
    pub(crate) len: usize,
}

impl<'k> Suffix<'k> {
    /// What remains of `key` after `prefix_len` bytes; the empty suffix if it is shorter.
    #[inline(always)]
    pub(crate) fn of(key: &'k [u8], prefix_len: usize) -> Self {
        let suffix = key.get(prefix_len..).unwrap_or_default();
        match suffix.split_first_chunk::<HEAD_BYTES>() {
            Some((head, rest)) => Self { head: u32::from_be_bytes(*head), rest, len: suffix.len() },
            None => Self { head: (big_endian_padded(suffix) >> 32) as u32, rest: &[], len: suffix.len() },
        }
    }
}

/// Length of what two byte strings have in common at their beginning.
pub(crate) fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    let (a8, _) = a.as_chunks::<8>();
    let (b8, _) = b.as_chunks::<8>();
    let whole = a8.iter().zip(b8).take_while(|(x, y)| x == y).count() * 8;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(x, y)| x == y).count()
}

/// The shortest key that is above `low` and at or below `high`: what `high` shares with `low`, and
/// one byte more. Its length is at most that of `high`, and at most one more than that of `low`.
///
/// `low < high` must hold.
pub(crate) fn separator<'k>(low: &[u8], high: &'k [u8]) -> &'k [u8] {
    let len = common_prefix_len(low, high) + 1;
    &high[..len.min(high.len())]
}

#[cfg(all(test, not(loom)))]
mod tests;
