//! One file: what its readers see, what is certainly durable, and the ordered changes between the two.
//!
//! - **C1** `current` is `durable` with all of `pending` applied in order, but for bytes that a failed sync forgot: the
//!   kernel believes them clean, readers see them until the next boot, and no later sync writes them.
//! - **C2** A change of data lies within the length that the durable image and the changes before it make.
//! - **C3** After a write that is durable by itself, every legal state after a crash holds its bytes: no pending change
//!   can take them away.

use crate::Random;
use crate::image::{BLOCK, Block, Image};
use std::ops::Range;

/// Something done to a file that a crash may undo. All but `Data` are metadata.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A block was written.
    Data { index: u64, block: Block },
    /// The length was set, in bytes.
    Length(u64),
    /// The length became at least this many bytes.
    Grow(u64),
    /// These blocks got space, and the length that they need.
    Allocate(Range<u64>),
    /// These blocks became holes.
    Punch(Range<u64>),
}

impl Change {
    pub(crate) fn is_metadata(&self) -> bool {
        !matches!(self, Change::Data { .. })
    }

    pub(crate) fn apply(&self, image: &mut Image) {
        match self {
            Change::Data { index, block } => image.put(*index, block.clone()),
            Change::Length(len) => image.set_len(*len),
            Change::Grow(len) => image.set_len(image.len().max(*len)),
            Change::Allocate(blocks) => image.reserve(blocks.clone()),
            Change::Punch(blocks) => image.punch(blocks.clone()),
        }
    }

    /// Whether data of this block, written before, is gone by this change.
    pub(crate) fn erases(&self, index: u64) -> bool {
        match self {
            Change::Data { .. } | Change::Grow(_) | Change::Allocate(_) => false,
            Change::Length(len) => index >= len.div_ceil(BLOCK),
            Change::Punch(blocks) => blocks.contains(&index),
        }
    }
}

/// What a block held before it was last written since the disk was made; the inner `None` is a hole.
type Older = Option<Option<Block>>;

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) current: Image,
    pub(crate) durable: Image,
    pub(crate) pending: Vec<Change>,
    older: Vec<Older>,
}

impl Content {
    /// A file all of which is durable.
    pub(crate) fn stable(image: Image) -> Content {
        Content { current: image.clone(), durable: image, ..Content::default() }
    }

    /// Makes a change of metadata.
    pub(crate) fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    /// Makes the file at least this long.
    pub(crate) fn grow(&mut self, len: u64) {
        if len > self.current.len() {
            self.change(Change::Grow(len));
        }
    }

    /// Writes blocks, extending the file if need be.
    pub(crate) fn write(&mut self, first: u64, blocks: &[Block]) {
        self.grow((first + blocks.len() as u64) * BLOCK);
        for (index, block) in (first..).zip(blocks) {
            self.remember(index);
            self.current.put(index, block.clone());
            self.pending.push(Change::Data { index, block: block.clone() });
        }
    }

    /// Writes blocks that are durable when this returns, whatever becomes of the changes before (C3).
    pub(crate) fn write_durable(&mut self, first: u64, blocks: &[Block]) {
        let range = first..first + blocks.len() as u64;
        self.grow(range.end * BLOCK);
        let mut shortest = self.durable.len();
        let mut punched = false;
        for change in &self.pending {
            match change {
                Change::Length(len) => shortest = shortest.min(*len),
                Change::Punch(holes) => punched |= holes.start < range.end && range.start < holes.end,
                Change::Data { .. } | Change::Grow(_) | Change::Allocate(_) => {}
            }
        }
        if punched || shortest < range.end * BLOCK {
            self.commit_metadata();
        }
        self.forget(range);
        for (index, block) in (first..).zip(blocks) {
            self.remember(index);
            self.current.put(index, block.clone());
            self.durable.put(index, block.clone());
        }
    }

    /// Everything becomes durable.
    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The kernel could not write some of the data, forgets it, and will say nothing about it again (C1). Of what is left
    /// it is not known whether it is durable.
    pub(crate) fn fail_sync(&mut self, random: &mut Random) {
        let forget_percent = if random.chance(50) { 100 } else { 50 };
        self.pending.retain(|change| change.is_metadata() || !random.chance(forget_percent));
    }

    /// The kernel forgets what it believes to be clean: readers see what is durable, and what is yet to be written.
    pub(crate) fn forget_cached(&mut self) {
        self.current = self.durable.clone();
        self.pending.iter().for_each(|change| change.apply(&mut self.current));
    }

    /// Data of these blocks that is not durable never will be (C1).
    pub(crate) fn forget(&mut self, blocks: Range<u64>) {
        self.pending.retain(|change| !matches!(change, Change::Data { index, .. } if blocks.contains(index)));
    }

    /// What this block held before it was written last, if it was written.
    pub(crate) fn older(&self, index: u64) -> Option<Option<&Block>> {
        self.older.get(index as usize)?.as_ref().map(Option::as_ref)
    }

    /// Lengths, space and holes become durable, in their order; data does not, but what they erase is gone.
    fn commit_metadata(&mut self) {
        let mut data: Vec<Change> = Vec::new();
        for change in self.pending.drain(..) {
            if change.is_metadata() {
                change.apply(&mut self.durable);
                data.retain(|old| !matches!(old, Change::Data { index, .. } if change.erases(*index)));
            } else {
                data.push(change);
            }
        }
        self.pending = data;
    }

    fn remember(&mut self, index: u64) {
        let index = index as usize;
        if self.older.len() <= index {
            self.older.resize(index + 1, None);
        }
        self.older[index] = Some(self.current.block(index as u64).cloned());
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
