//! Directory pages: reading, searching and changing them.
//!
//! Hashes are uniform, so a bound lies about where its value says: a search guesses by it, corrects the guess once, and
//! is nearly always there.
//!
//! # Invariants
//!
//! - **DR1** As BK1: no bytes make a function of this module panic or loop for longer than the page has entries.
//! - **DR2** A bound is a hash's 32 bits behind the prefix. A hash can be one if the bits behind these are zeros.

use super::layout::*;
use crate::words::Words;
use aquifer_buffer::PageId;

/// A directory page to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<W> {
    words: W,
}

/// A page that a directory page names, and the hashes that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) page: PageId,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Steps from a guess after which a search halves what is left instead.
const STEPS: usize = 8;

impl<W: Words> Directory<W> {
    #[inline(always)]
    pub(crate) fn new(words: W) -> Self {
        Self { words }
    }

    #[inline(always)]
    pub(crate) fn summary(self) -> Summary {
        Summary::of(self.words)
    }

    pub(crate) fn level(self) -> u8 {
        self.summary().level()
    }

    /// Entries; never more than fit.
    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        self.summary().count().min(entries_max(self.words.page_bytes()))
    }

    /// Has it room for so many more entries?
    pub(crate) fn has_room(self, entries: usize) -> bool {
        self.count() + entries <= entries_max(self.words.page_bytes())
    }

    pub(crate) fn prefix_bits(self) -> u32 {
        self.summary().prefix_bits()
    }

    pub(crate) fn prefix(self) -> u64 {
        self.words.word(FIRST / 8)
    }

    pub(crate) fn changed_at(self) -> u64 {
        changed_at(self.words)
    }

    pub(crate) fn own_id(self) -> PageId {
        PageId(own_id(self.words))
    }

    /// The last hash that it covers.
    pub(crate) fn last(self) -> u64 {
        self.prefix() | u64::MAX >> self.prefix_bits()
    }

    /// Do the numbers in the header fit each other?
    pub(crate) fn is_sane(self) -> bool {
        let summary = self.summary();
        let bits = (summary.0 >> 24) as u32 & 0xFF;
        (1..=LEVEL_MAX).contains(&summary.level())
            && bits <= PREFIX_BITS_MAX
            && summary.count() == self.count()
            && self.count() > 0
            && self.prefix() & u64::MAX >> bits == 0
    }

    #[inline(always)]
    fn entry(self, index: usize) -> u64 {
        self.words.word(ENTRIES / 8 + index)
    }

    #[inline(always)]
    fn bound(self, index: usize) -> u32 {
        (self.entry(index) >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn page(self, index: usize) -> PageId {
        PageId(self.entry(index) as u32)
    }

    /// The entry for a hash.
    #[inline(always)]
    pub(crate) fn find(self, hash: u64) -> usize {
        let count = self.count();
        let wanted = (hash << self.prefix_bits() >> 32) as u32;
        let guess = ((u64::from(wanted) * count as u64) >> 32) as usize;
        let off = i64::from(wanted) - i64::from(self.bound(guess));
        let corrected = guess as i64 + ((off * count as i64) >> 32);
        let mut index = (corrected.max(0) as usize).min(count.saturating_sub(1));
        for _ in 0..STEPS {
            if index > 0 && self.bound(index) > wanted {
                index -= 1;
            } else if index + 1 < count && self.bound(index + 1) <= wanted {
                index += 1;
            } else {
                return index;
            }
        }
        self.find_by_halves(wanted, count)
    }

    #[cold]
    fn find_by_halves(self, wanted: u32, count: usize) -> usize {
        let (mut low, mut high) = (0, count);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.bound(middle) <= wanted { low = middle } else { high = middle }
        }
        low
    }

    /// The first hash of an entry's range.
    pub(crate) fn first_of(self, index: usize) -> u64 {
        self.prefix() | u64::from(self.bound(index)) << 32 >> self.prefix_bits()
    }

    /// The last hash of an entry's range.
    pub(crate) fn last_of(self, index: usize) -> u64 {
        if index + 1 < self.count() { self.first_of(index + 1).wrapping_sub(1) } else { self.last() }
    }

    /// An entry.
    pub(crate) fn child(self, index: usize) -> Child {
        Child { page: self.page(index), first: self.first_of(index), last: self.last_of(index) }
    }

    /// Can a range of this page begin at this hash (DR2)? The caller knows that the hash is covered.
    pub(crate) fn can_begin(self, hash: u64) -> bool {
        can_begin(self.prefix_bits(), hash)
    }

    /// The hash in the middle of what it covers.
    pub(crate) fn middle(self) -> u64 {
        middle(self.prefix(), self.prefix_bits())
    }
}

/// Can a range of a page with so long a prefix begin at this hash?
pub(crate) fn can_begin(prefix_bits: u32, hash: u64) -> bool {
    (hash << prefix_bits) as u32 == 0
}

/// The hash in the middle of what a page with this prefix covers.
pub(crate) fn middle(prefix: u64, prefix_bits: u32) -> u64 {
    prefix | 1 << (63 - prefix_bits)
}

/// What a directory page's header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) level: u8,
    pub(crate) flags: u8,
    pub(crate) owner: u32,
    pub(crate) id: PageId,
    pub(crate) changed_at: u64,
    pub(crate) prefix: u64,
    pub(crate) prefix_bits: u32,
    pub(crate) seed: u64,
}

/// A directory page with these entries, by the first hashes of their ranges.
pub(crate) fn build(page_bytes: usize, plan: &Plan, entries: &[(u64, PageId)]) -> Vec<u8> {
    let mut page = vec![0; page_bytes];
    page[KIND] = KIND_DIRECTORY;
    page[FLAGS] = plan.flags;
    page[LEVEL] = plan.level;
    page[PREFIX_BITS] = plan.prefix_bits as u8;
    set_u16(&mut page, COUNT, entries.len());
    set_u32(&mut page, OWNER, plan.owner);
    set_u64(&mut page, CHANGED_AT, plan.changed_at);
    set_u32(&mut page, OWN_ID, plan.id.0);
    set_u64(&mut page, FIRST, plan.prefix);
    set_u64(&mut page, SEED, plan.seed);
    for (index, &(first, child)) in entries.iter().enumerate() {
        set_u64(&mut page, ENTRIES + ENTRY_BYTES * index, entry_word(plan.prefix_bits, first, child));
    }
    page
}

fn entry_word(prefix_bits: u32, first: u64, child: PageId) -> u64 {
    debug_assert!(can_begin(prefix_bits, first), "DR2: a bound that the page cannot say");
    first << prefix_bits >> 32 << 32 | u64::from(child.0)
}

/// A directory page to be changed.
#[derive(Debug)]
pub(crate) struct DirectoryMut<'b> {
    bytes: &'b mut [u8],
}

impl<'b> DirectoryMut<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    fn directory(&self) -> Directory<&[u8]> {
        Directory::new(&*self.bytes)
    }

    /// Replaces the entries `index..index + old` by others.
    pub(crate) fn replace(&mut self, index: usize, old: usize, new: &[(u64, PageId)]) {
        let (count, bits) = (self.directory().count(), self.directory().prefix_bits());
        let at = |index: usize| ENTRIES + ENTRY_BYTES * index;
        self.bytes.copy_within(at(index + old)..at(count), at(index + new.len()));
        for (number, &(first, child)) in new.iter().enumerate() {
            set_u64(self.bytes, at(index + number), entry_word(bits, first, child));
        }
        set_u16(self.bytes, COUNT, count - old + new.len());
    }

    pub(crate) fn add_flags(&mut self, flags: u8) {
        self.bytes[FLAGS] |= flags;
    }

    /// Raises `changed_at`; never lowers it.
    pub(crate) fn raise_changed_at(&mut self, lsn: u64) {
        let changed_at = self.directory().changed_at().max(lsn);
        set_u64(self.bytes, CHANGED_AT, changed_at);
    }

    /// Makes an entry name no page.
    pub(crate) fn forget(&mut self, index: usize) {
        set_u32(self.bytes, ENTRIES + ENTRY_BYTES * index, PageId::NONE.0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
