//! Free slots of the data file.
//!
//! Not stored: derived from the page map at open. The file is seen as regions of [`REGION`] slots. Slots are given out
//! region by region, from the front of each to its end, and the next region is always the one with the most free slots: whole
//! free ones first, so that what is written together lies together. The file grows only when no region has enough.
//!
//! # Invariants
//!
//! - **SP1** A slot is used from `allocate` until `free`, and given out once in between.
//! - **SP2** Slots below `slots` lie within the file's allocated length; the first ones belong to the superblocks.
//! - **SP3** Free slots that a durable checkpoint refers to are not free: the caller frees them only after a newer
//!   checkpoint is durable (E3).
//! - **SP4** `free_in[r]` is the number of free slots below `slots` in region `r`.

use crate::Result;
use crate::file::DataFile;
use std::ops::Range;

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
    free_in: Vec<u16>,
    slots: u32,
    used_count: u32,
    /// Where slots are being given out: the rest of a region.
    hand: Range<u32>,
    reserved: u32,
    /// Slots beyond it are given out only if there is none below.
    ceiling: Option<u32>,
}

/// Slots of a region: four words of bits.
const REGION: u32 = 256;
/// A region with fewer free slots is used only when the file cannot grow: a fifth of the file may lie idle for the sake of
/// large writes.
const WORTHWHILE: u16 = (REGION / 5) as u16;
/// The file grows by at least this.
const GROWTH_BYTES: u64 = 1 << 20;

impl Space {
    /// A file whose first `reserved` slots are taken, and that is `slots` slots long.
    pub(crate) fn new(reserved: u32, slots: u32) -> Self {
        let mut space = Self {
            used: Vec::new(),
            free_in: Vec::new(),
            slots: 0,
            used_count: 0,
            hand: 0..0,
            reserved,
            ceiling: None,
        };
        space.set_slots(slots.max(reserved));
        for slot in 0..reserved {
            space.mark(slot);
        }
        space
    }

    /// The file has become longer, or shorter by free slots.
    fn set_slots(&mut self, slots: u32) {
        self.used.resize(slots.div_ceil(64) as usize, 0);
        self.free_in.resize(slots.div_ceil(REGION) as usize, 0);
        let changed = self.slots.min(slots)..self.slots.max(slots);
        let longer = slots > self.slots;
        self.slots = slots;
        for region in changed.start / REGION..slots.div_ceil(REGION) {
            let part = |of: &Range<u32>| {
                let (start, end) = (region * REGION, (region + 1) * REGION);
                (of.end.min(end).saturating_sub(of.start.max(start))) as u16
            };
            let free = &mut self.free_in[region as usize];
            *free = if longer { *free + part(&changed) } else { *free - part(&changed) };
        }
        if self.hand.end > slots {
            self.hand = 0..0;
        }
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
        self.free_in[(slot / REGION) as usize] -= 1;
        self.used_count += 1;
    }

    /// Frees a slot.
    pub(crate) fn free(&mut self, slot: u32) {
        debug_assert!(self.is_used(slot), "SP1: slot {slot} freed twice");
        self.used[slot as usize / 64] &= !(1 << (slot % 64));
        self.free_in[(slot / REGION) as usize] += 1;
        self.used_count -= 1;
    }

    /// Between 1 and `most` slots in one run; the file grows if that serves better than holes, or must. O(1), and
    /// O(regions) once for each region that is used up.
    ///
    /// # Errors
    ///
    /// The file system's, when it has no space and the file no hole.
    pub(crate) fn allocate(&mut self, most: u32, file: &DataFile) -> Result<Run> {
        if let Some(run) = self.next_run(most) {
            return Ok(run);
        }
        let least = if self.ceiling.is_some() { 1 } else { WORTHWHILE };
        let grown = if self.emptiest().1 < least { self.grow(most, file) } else { Ok(()) };
        let (region, free) = self.emptiest();
        if free == 0 {
            return Err(grown.expect_err("SP4: a file that has grown has free slots"));
        }
        self.hand = region * REGION..((region + 1) * REGION).min(self.slots);
        Ok(self.next_run(most).expect("SP4: the region has free slots"))
    }

    /// Gives out slots below the ceiling as long as there are any, and does not let the file grow before; nothing lifts it.
    pub(crate) fn set_ceiling(&mut self, ceiling: Option<u32>) {
        self.ceiling = ceiling;
        if ceiling.is_some_and(|ceiling| self.hand.end > ceiling) {
            self.hand = 0..0;
        }
    }

    /// The region with the most free slots, the first of equals; one that begins below the ceiling if any of these has some.
    fn emptiest(&self) -> (u32, u16) {
        let below = self.ceiling.map_or(self.free_in.len(), |ceiling| ceiling.div_ceil(REGION) as usize);
        let most_of = |regions: &[u16]| {
            let most = regions.iter().copied().max().unwrap_or(0);
            (regions.iter().position(|&free| free == most).unwrap_or(0) as u32, most)
        };
        let found = most_of(&self.free_in[..below.min(self.free_in.len())]);
        match self.free_in.iter().position(|&free| free > 0) {
            // None below: as near to the ceiling as can be.
            Some(first) if found.1 == 0 => (first as u32, self.free_in[first]),
            _ => found,
        }
    }

    /// Takes the next run under the hand.
    fn next_run(&mut self, most: u32) -> Option<Run> {
        let mut hand = self.hand.clone();
        let start = hand.find(|&slot| !self.is_used(slot))?;
        let end = (start + most).min(hand.end);
        let len = 1 + hand.take_while(|&slot| slot < end && !self.is_used(slot)).count() as u32;
        (start..start + len).for_each(|slot| self.mark(slot));
        self.hand.start = start + len;
        Some(Run { start, len })
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
                self.set_slots(self.slots + slots as u32);
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
        // A file that is being shortened, or else it would grow again soon.
        let worthwhile =
            if self.ceiling.is_some() { 0 } else { u64::from(end) / 8 * file.page_bytes() as u64 };
        if u64::from(tail) * (file.page_bytes() as u64) < GROWTH_BYTES.max(worthwhile) {
            return Ok(0);
        }
        file.truncate(u64::from(end) * file.page_bytes() as u64)?;
        self.set_slots(end);
        Ok(tail)
    }

    /// A bit for every slot, set when it is in use.
    pub(crate) fn used_bits(&self) -> Vec<u64> {
        self.used.clone()
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
