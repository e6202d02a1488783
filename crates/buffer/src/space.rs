//! Free slots of the data file.
//!
//! Not stored: derived from the page map at open.
//!
//! # Invariants
//!
//! - **SP1** A slot is used from `allocate` until `free`, and given out once in between.
//! - **SP2** Slots below `slots` lie within the file's allocated length; the first ones belong to the superblocks.
//! - **SP3** Free slots that a durable checkpoint refers to are not free: the caller frees them only after a newer
//!   checkpoint is durable (E3).

use crate::Result;
use crate::file::DataFile;

/// A run of consecutive slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// The allocator of slots.
#[derive(Debug)]
pub(crate) struct Space {
    /// One bit a slot, set when used.
    used: Vec<u64>,
    slots: u32,
    used_count: u32,
    /// Where the next search begins.
    hand: u32,
    reserved: u32,
}

/// Runs shorter than this are taken only when the file would have to grow much: they make writes small.
const RUN_BYTES_WANTED: usize = 64 << 10;
/// The file grows by at least this.
const GROWTH_BYTES: u64 = 1 << 20;

impl Space {
    /// A file whose first `reserved` slots are taken, and that is `slots` slots long.
    pub(crate) fn new(reserved: u32, slots: u32) -> Self {
        let slots = slots.max(reserved);
        let mut space = Self {
            used: vec![0; (slots as usize).div_ceil(64)],
            slots,
            used_count: 0,
            hand: reserved,
            reserved,
        };
        for slot in 0..reserved {
            space.mark(slot);
        }
        space
    }

    /// Marks a slot that the page map refers to. `false` if it is out of range or marked already.
    #[must_use]
    pub(crate) fn claim(&mut self, slot: u32) -> bool {
        let fine = slot >= self.reserved && slot < self.slots && !self.is_used(slot);
        if fine {
            self.mark(slot);
        }
        fine
    }

    fn is_used(&self, slot: u32) -> bool {
        self.used[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    fn mark(&mut self, slot: u32) {
        debug_assert!(!self.is_used(slot), "SP1: slot {slot} given out twice");
        self.used[slot as usize / 64] |= 1 << (slot % 64);
        self.used_count += 1;
    }

    /// Frees a slot.
    pub(crate) fn free(&mut self, slot: u32) {
        debug_assert!(self.is_used(slot), "SP1: slot {slot} freed twice");
        self.used[slot as usize / 64] &= !(1 << (slot % 64));
        self.used_count -= 1;
    }

    /// Between 1 and `most` slots in one run; the file grows if that serves better than holes, or must.
    ///
    /// # Errors
    ///
    /// The file system's, when it has no space and the file no hole.
    pub(crate) fn allocate(&mut self, most: u32, file: &DataFile) -> Result<Run> {
        let wanted = most.min((RUN_BYTES_WANTED / file.page_bytes()).max(1) as u32);
        let free = self.slots - self.used_count;
        if let Some(run) = self.find(self.hand, self.slots, wanted, most) {
            return Ok(self.take(run));
        }
        if let Some(run) = self.find(self.reserved, self.hand, wanted, most) {
            return Ok(self.take(run));
        }
        let holes_are_many = u64::from(free) * 5 > u64::from(self.slots);
        if holes_are_many && let Some(run) = self.find(self.reserved, self.slots, 1, most) {
            return Ok(self.take(run));
        }
        let end = self.slots;
        let grown = self.grow(most, file);
        // Where the free tail begins, so that what is new continues it.
        let tail = (self.reserved..end)
            .rev()
            .find(|&slot| self.is_used(slot))
            .map_or(self.reserved, |last| last + 1);
        let from = if grown.is_ok() { tail } else { self.reserved };
        match (self.find(from, self.slots, 1, most), grown) {
            (Some(run), _) => Ok(self.take(run)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => unreachable!("the file has just grown"),
        }
    }

    fn take(&mut self, run: Run) -> Run {
        for slot in run.start..run.start + run.len {
            self.mark(slot);
        }
        self.hand = run.start + run.len;
        run
    }

    /// The first run of at least `wanted` free slots in `[from, to)`, cut to `most`. O(slots / 64).
    fn find(&self, from: u32, to: u32, wanted: u32, most: u32) -> Option<Run> {
        let (mut at, mut start, mut len) = (from, from, 0);
        while at < to {
            let word = self.used[at as usize / 64];
            if at.is_multiple_of(64) && at + 64 <= to && (word == u64::MAX || word == 0) {
                len = if word == 0 { len + 64 } else { 0 };
                at += 64;
            } else {
                len = if self.is_used(at) { 0 } else { len + 1 };
                at += 1;
            }
            if len == 0 {
                start = at;
            }
            if len >= most {
                return Some(Run { start, len: most });
            }
            // The run ends here: good enough?
            let ends = at == to || self.is_used(at);
            if ends && len >= wanted {
                return Some(Run { start, len });
            }
        }
        None
    }

    fn grow(&mut self, at_least: u32, file: &DataFile) -> Result<()> {
        let page_bytes = file.page_bytes() as u64;
        let least = u64::from(at_least) * page_bytes;
        let generous = (u64::from(self.slots) * page_bytes / 16).clamp(GROWTH_BYTES, 64 << 20).max(least);
        let end = u64::from(self.slots) * page_bytes;
        let mut grown = Err(crate::Error::Full { what: "every slot of the data file is in use" });
        for bytes in [generous, least] {
            let slots = bytes / page_bytes;
            if u64::from(self.slots) + slots > u64::from(u32::MAX) {
                continue;
            }
            grown = file.allocate(end, bytes);
            if grown.is_ok() {
                self.slots += slots as u32;
                self.used.resize((self.slots as usize).div_ceil(64), 0);
                break;
            }
        }
        grown
    }

    /// Shortens the file if its free tail is worth it. Returns the number of slots cut.
    pub(crate) fn shorten(&mut self, file: &DataFile) -> Result<u32> {
        let mut end = self.slots;
        while end > self.reserved && !self.is_used(end - 1) {
            end -= 1;
        }
        let tail = self.slots - end;
        if (u64::from(tail) * file.page_bytes() as u64)
            < GROWTH_BYTES.max(u64::from(end) / 8 * file.page_bytes() as u64)
        {
            return Ok(0);
        }
        file.truncate(u64::from(end) * file.page_bytes() as u64)?;
        self.slots = end;
        self.used.truncate((end as usize).div_ceil(64));
        self.hand = self.hand.min(end);
        Ok(tail)
    }

    /// Length of the file in slots.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Slots in use.
    pub(crate) fn used(&self) -> u32 {
        self.used_count
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
