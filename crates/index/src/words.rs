//! Reading a page's bytes, whether they may change underneath or not, with the same code.
//!
//! An optimistic reader sees a page as 64-bit words ([`PageWords`]); a latched page, or a private
//! copy of one, is a plain slice. [`Words`] is what both can do, so that there is one search and one
//! decoder of entries.
//!
//! # Invariants
//!
//! - **WD1** No offset, count or length that was read from a page can make a function of this module
//!   panic, loop without end or allocate more than a page: beyond the page there are zeros (L6).

use aquifer_buffer::PageWords;
use std::cmp::Ordering;

/// A page's bytes.
pub(crate) trait Words: Copy {
    /// Word `index` (byte offset divided by 8), little-endian; 0 beyond the page.
    fn word(self, index: usize) -> u64;

    /// Page size in bytes.
    fn page_bytes(self) -> usize;

    /// The eight bytes at any offset, little-endian; 0 where they lie beyond the page.
    #[inline(always)]
    fn u64_at(self, offset: usize) -> u64 {
        let (index, shift) = (offset / 8, (offset % 8) as u32 * 8);
        // For shift 0 the second word contributes nothing: its lowest bit is shifted in as 0 and the
        // others fall out.
        self.word(index) >> shift | (self.word(index + 1) << 1) << (63 - shift)
    }

    /// The two bytes at any offset, little-endian.
    #[inline(always)]
    fn u16_at(self, offset: usize) -> usize {
        (self.u64_at(offset) & 0xFFFF) as usize
    }

    /// The four bytes at any offset, little-endian.
    #[inline(always)]
    fn u32_at(self, offset: usize) -> u32 {
        self.u64_at(offset) as u32
    }

    /// How the `len` bytes at `offset` compare with `other`, as byte strings.
    #[inline]
    fn compare(self, offset: usize, len: usize, other: &[u8]) -> Ordering {
        let common = len.min(other.len());
        let (chunks, tail) = other[..common].as_chunks::<8>();
        let mut at = offset;
        for chunk in chunks {
            let (ours, theirs) = (self.u64_at(at).swap_bytes(), u64::from_be_bytes(*chunk));
            if ours != theirs {
                return ours.cmp(&theirs);
            }
            at += 8;
        }
        if !tail.is_empty() {
            let mask = u64::MAX << (64 - 8 * tail.len());
            let (ours, theirs) = (self.u64_at(at).swap_bytes() & mask, big_endian_padded(tail));
            if ours != theirs {
                return ours.cmp(&theirs);
            }
        }
        len.cmp(&other.len())
    }

    /// Are the bytes at `offset` these?
    #[inline(always)]
    fn equals(self, offset: usize, other: &[u8]) -> bool {
        let (chunks, tail) = other.as_chunks::<8>();
        let mut at = offset;
        for chunk in chunks {
            if self.u64_at(at) != u64::from_le_bytes(*chunk) {
                return false;
            }
            at += 8;
        }
        tail.is_empty()
            || self.u64_at(at).swap_bytes() >> (64 - 8 * tail.len())
                == big_endian_padded(tail) >> (64 - 8 * tail.len())
    }

    /// Makes `out` the `len` bytes at `offset` (at most a page's worth).
    #[inline]
    fn copy_to(self, offset: usize, len: usize, out: &mut Vec<u8>) {
        let len = len.min(self.page_bytes());
        // Whole words are written and the surplus cut off: no loop over bytes, and what `out` held
        // before is overwritten without being cleared first.
        out.resize(len.next_multiple_of(8), 0);
        let (mut index, shift) = (offset / 8, (offset % 8) as u32 * 8);
        let (chunks, _) = out.as_chunks_mut::<8>();
        let mut low = self.word(index);
        for chunk in chunks {
            index += 1;
            let high = self.word(index);
            *chunk = (low >> shift | (high << 1) << (63 - shift)).to_le_bytes();
            low = high;
        }
        out.truncate(len);
    }

    /// Appends the `len` bytes at `offset` (at most a page's worth) to `out`.
    fn append_to(self, offset: usize, len: usize, out: &mut Vec<u8>) {
        let len = len.min(self.page_bytes());
        let start = out.len();
        for at in (0..len).step_by(8) {
            out.extend_from_slice(&self.u64_at(offset + at).to_le_bytes());
        }
        out.truncate(start + len);
    }
}

impl Words for PageWords<'_> {
    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        PageWords::word(&self, index)
    }

    #[inline(always)]
    fn page_bytes(self) -> usize {
        PageWords::page_bytes(&self)
    }
}

impl Words for &[u8] {
    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        match self.get(index * 8..).and_then(<[u8]>::first_chunk::<8>) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => 0,
        }
    }

    #[inline(always)]
    fn page_bytes(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn u64_at(self, offset: usize) -> u64 {
        match self.get(offset..).and_then(<[u8]>::first_chunk::<8>) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.tail_at(offset),
        }
    }
}

/// The last bytes of a slice, where fewer than eight are left.
trait Tail {
    fn tail_at(self, offset: usize) -> u64;
}

impl Tail for &[u8] {
    #[cold]
    fn tail_at(self, offset: usize) -> u64 {
        let rest = self.get(offset..).unwrap_or_default();
        rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }
}

/// At most eight bytes as the upper part of a big-endian word, zeros below: compares as the bytes do,
/// but for their number.
#[inline(always)]
pub(crate) fn big_endian_padded(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    let len = bytes.len().min(8);
    padded[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(padded)
}

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
