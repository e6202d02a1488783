//! Reading a bucket, or an overflow page of one.
//!
//! # Invariants
//!
//! - **BK1** No bytes of a page can make a function of this module panic, loop for longer than the page has records, or
//!   allocate more than the page's size: a reader may see a page half changed, and a damaged page anything.

use super::layout::*;
use crate::leaf_value::len_of_stored;
use crate::words::Words;
use crate::{LeafValue, ValueKind};
use aquifer_buffer::PageId;

/// A bucket to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket<W> {
    words: W,
}

/// What looking for a key comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Find {
    Found(Found),
    Absent,
    /// The page is torn or damaged.
    Nonsense,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Number of the record in the page.
    pub(crate) index: usize,
    /// Where its entry begins.
    pub(crate) entry: usize,
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
    pub(crate) kind: ValueKind,
}

impl Found {
    #[inline(always)]
    pub(crate) fn value_at(self) -> usize {
        self.entry + LENGTHS_BYTES + self.key_len
    }

    pub(crate) fn entry_len(self) -> usize {
        LENGTHS_BYTES + self.key_len + self.value_len
    }
}

/// Run of a sub-bucket: numbers of its first record and of the one behind its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Run {
    /// Where fingerprint `index` lies (`index` counts from the page's first record).
    #[inline(always)]
    pub(crate) fn fingerprint_at(self, page_bytes: usize, index: usize) -> usize {
        runs_at(page_bytes) + SLOT_BYTES * self.start + (index - self.start)
    }

    /// Where the heap offset beside it lies.
    #[inline(always)]
    pub(crate) fn offset_at(self, page_bytes: usize, index: usize) -> usize {
        runs_at(page_bytes) + 2 * self.start + self.end + 2 * (index - self.start)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const LOWS: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// The high bit of each byte that is zero, exactly.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    !(((word & LOWS) + LOWS) | word | LOWS)
}

impl<W: Words> Bucket<W> {
    #[inline(always)]
    pub(crate) fn new(words: W) -> Self {
        Self { words }
    }

    #[inline(always)]
    pub(crate) fn page_bytes(self) -> usize {
        self.words.page_bytes()
    }

    #[inline(always)]
    pub(crate) fn summary(self) -> Summary {
        Summary::of(self.words)
    }

    /// Records; never more than fit.
    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        self.summary().count().min(record_room(self.page_bytes()) / SLOT_BYTES)
    }

    pub(crate) fn heap_bytes(self) -> usize {
        self.words.word(1) as usize & 0xFFFF
    }

    pub(crate) fn live_bytes(self) -> usize {
        (self.words.word(1) >> 16) as usize & 0xFFFF
    }

    pub(crate) fn changed_at(self) -> u64 {
        changed_at(self.words)
    }

    pub(crate) fn seed(self) -> u64 {
        seed(self.words)
    }

    pub(crate) fn own_id(self) -> PageId {
        PageId(own_id(self.words))
    }

    #[inline(always)]
    pub(crate) fn next(self) -> PageId {
        PageId((self.words.word(OWN_ID / 8) >> 32) as u32)
    }

    #[inline(always)]
    pub(crate) fn first(self) -> u64 {
        self.words.word(FIRST / 8)
    }

    #[inline(always)]
    pub(crate) fn last(self) -> u64 {
        self.words.word(LAST / 8)
    }

    #[inline(always)]
    pub(crate) fn covers(self, hash: u64) -> bool {
        self.first() <= hash && hash <= self.last()
    }

    /// Is its range a single hash?
    pub(crate) fn is_single(self) -> bool {
        self.first() == self.last()
    }

    /// Bytes that records and what leads to them take.
    pub(crate) fn used_bytes(self) -> usize {
        SLOT_BYTES * self.count() + self.live_bytes()
    }

    /// Free bytes, after compaction.
    pub(crate) fn free_bytes(self) -> usize {
        record_room(self.page_bytes()).saturating_sub(self.used_bytes())
    }

    /// Free bytes between runs and heap.
    pub(crate) fn gap_bytes(self) -> usize {
        record_room(self.page_bytes()).saturating_sub(SLOT_BYTES * self.count() + self.heap_bytes())
    }

    pub(crate) fn heap_start(self) -> usize {
        self.page_bytes().saturating_sub(self.heap_bytes())
    }

    /// Do the sizes in the header fit each other and the page?
    pub(crate) fn is_sane(self) -> bool {
        let count = self.summary().count();
        let bounds = (0..sub_buckets(self.page_bytes())).all(|sub| self.run(sub).is_some());
        count == self.count()
            && SLOT_BYTES * count + self.heap_bytes() <= record_room(self.page_bytes())
            && self.live_bytes() <= self.heap_bytes()
            && self.first() <= self.last()
            && self.words.u16_at(BOUNDS) == 0
            && bounds
            && self.words.u16_at(BOUNDS + 2 * sub_buckets(self.page_bytes())) == count
    }

    /// The run of a sub-bucket; `None` if it is nonsense.
    #[inline(always)]
    pub(crate) fn run(self, sub_bucket: usize) -> Option<Run> {
        let bounds = self.words.u32_at(BOUNDS + 2 * sub_bucket) as usize;
        let run = Run { start: bounds & 0xFFFF, end: bounds >> 16 };
        (run.start <= run.end && run.end <= record_room(self.page_bytes()) / SLOT_BYTES).then_some(run)
    }

    /// Looks for a key with this hash.
    #[inline(always)]
    pub(crate) fn find(self, hash: u64, key: &[u8]) -> Find {
        let page_bytes = self.page_bytes();
        let Some(run) = self.run(sub_bucket(hash, page_bytes)) else { return Find::Nonsense };
        let pattern = ONES * u64::from(fingerprint(hash));
        let mut index = run.start;
        while index < run.end {
            let word = self.words.u64_at(run.fingerprint_at(page_bytes, index)) ^ pattern;
            let mut matches = zero_bytes(word);
            while matches != 0 {
                let candidate = index + (matches.trailing_zeros() / 8) as usize;
                if candidate >= run.end {
                    break;
                }
                match self.record(run, candidate) {
                    Some(found) if found.key_len == key.len() => {
                        if self.words.equals(found.entry + LENGTHS_BYTES, key) {
                            return Find::Found(found);
                        }
                    }
                    Some(_) => {}
                    None => return Find::Nonsense,
                }
                matches &= matches - 1;
            }
            index += 8;
        }
        Find::Absent
    }

    /// Record `index` of a run; `None` if it lies beyond the page.
    #[inline(always)]
    pub(crate) fn record(self, run: Run, index: usize) -> Option<Found> {
        let page_bytes = self.page_bytes();
        let entry = self.words.u16_at(run.offset_at(page_bytes, index));
        let lengths = self.words.u32_at(entry) as usize;
        let (key_len, stored) = (lengths >> 16, lengths & 0xFFFF);
        let (value_len, kind) = (len_of_stored(stored), ValueKind::of_stored(stored));
        let found = Found { index, entry, key_len, value_len, kind };
        (entry + found.entry_len() <= page_bytes).then_some(found)
    }

    /// Every record, with its sub-bucket; `None` in place of one that is nonsense.
    pub(crate) fn records(self) -> impl Iterator<Item = Option<(usize, Run, Found)>> {
        (0..sub_buckets(self.page_bytes())).flat_map(move |sub| {
            let run = self.run(sub);
            let indices = run.map_or(0..1, |run| run.start..run.end);
            indices.map(move |index| {
                let run = run?;
                Some((sub, run, self.record(run, index)?))
            })
        })
    }
}

impl<'b> Bucket<&'b [u8]> {
    pub(crate) fn key(self, found: Found) -> &'b [u8] {
        &self.words[found.entry + LENGTHS_BYTES..][..found.key_len]
    }

    pub(crate) fn value(self, found: Found) -> LeafValue<'b> {
        let bytes = &self.words[found.value_at()..][..found.value_len];
        LeafValue { kind: found.kind, bytes }
    }

    pub(crate) fn fingerprint(self, run: Run, index: usize) -> u8 {
        self.words[run.fingerprint_at(self.page_bytes(), index)]
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
