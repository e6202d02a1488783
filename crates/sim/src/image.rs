//! The bytes of one file, as somebody sees them: a reader, or the medium.
//!
//! A file is a row of slots, one for each block of 4096 bytes: a block, or a hole that reads as zeros. Blocks are shared
//! between images and copied when they change, and so is the row of slots: a copy of an image costs nothing until one of the
//! two changes, and then a count for each block and not its bytes.
//!
//! - **I1** There are as many slots as blocks begin below `len`.
//! - **I2** `charged` is the number of slots that are not holes: the space that the file takes.
//! - **I3** Bytes of the last block beyond `len` are never read; they are cleared when the file grows over them.
//! - **I4** `unreadable` holds numbers of sectors of 512 bytes below the last slot.

use aquifer_io::BLOCK_BYTES;
use aquifer_sync::{Arc, OnceLock};
use std::collections::BTreeSet;
use std::ops::Range;

/// The smallest unit that a device writes whole, or fails to read.
pub const SECTOR_BYTES: usize = 512;

pub(crate) const BLOCK: u64 = BLOCK_BYTES as u64;
const SECTORS_PER_BLOCK: u64 = (BLOCK_BYTES / SECTOR_BYTES) as u64;

/// One block, shared by all images that hold it.
pub(crate) type Block = Arc<[u8; BLOCK_BYTES]>;

/// A block of these bytes. Zeros, of which logs are full, are all the same block.
pub(crate) fn block_of(bytes: &[u8]) -> Block {
    static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    if bytes == ZEROS {
        return zero_block();
    }
    Arc::new(bytes.try_into().expect("a whole block"))
}

/// The block of zeros.
pub(crate) fn zero_block() -> Block {
    static ZERO: OnceLock<Block> = OnceLock::new();
    ZERO.get_or_init(|| Arc::new([0; BLOCK_BYTES])).clone()
}

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    slots: Arc<Vec<Option<Block>>>,
    len: u64,
    charged: u64,
    unreadable: BTreeSet<u64>,
}

impl Image {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Image {
        let mut image = Image::default();
        image.set_len(bytes.len() as u64);
        for (index, chunk) in bytes.chunks(BLOCK_BYTES).enumerate() {
            let mut block = [0; BLOCK_BYTES];
            block[..chunk.len()].copy_from_slice(chunk);
            image.put(index as u64, block_of(&block));
        }
        image
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.slots.len() * BLOCK_BYTES];
        self.copy_to(0, &mut bytes);
        bytes.truncate(self.len as usize);
        bytes
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Blocks that begin below the end.
    pub(crate) fn blocks(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Space that the file takes.
    pub(crate) fn charged_bytes(&self) -> u64 {
        self.charged * BLOCK
    }

    /// The block at `index`; `None` is a hole, or beyond the end.
    pub(crate) fn block(&self, index: u64) -> Option<&Block> {
        self.slots.get(index as usize)?.as_ref()
    }

    /// Cuts or extends; what is added is a hole.
    pub(crate) fn set_len(&mut self, len: u64) {
        let within = (self.len % BLOCK) as usize;
        if len > self.len && within > 0 {
            // I3
            if let Some(block) = self.slots_mut().last_mut().and_then(Option::as_mut) {
                Arc::make_mut(block)[within..].fill(0);
            }
        }
        let blocks = len.div_ceil(BLOCK);
        if (blocks as usize) < self.slots.len() {
            let gone = self.slots_mut().drain(blocks as usize..).flatten().count();
            self.charged -= gone as u64;
            self.unreadable.retain(|number| *number < blocks * SECTORS_PER_BLOCK); // I4
        }
        if blocks > self.blocks() {
            self.slots_mut().resize(blocks as usize, None);
        }
        self.len = len;
    }

    /// Replaces a block; nothing if it lies beyond the end. Its sectors can be read again.
    pub(crate) fn put(&mut self, index: u64, block: Block) {
        let Some(slot) = self.slots_mut().get_mut(index as usize) else { return };
        let was_hole = slot.replace(block).is_none();
        self.charged += u64::from(was_hole);
        if !self.unreadable.is_empty() {
            self.mend(index * SECTORS_PER_BLOCK..(index + 1) * SECTORS_PER_BLOCK);
        }
    }

    /// Some bytes of a block, to be changed; the sectors in them can be read again.
    ///
    /// Panics if the block lies beyond the end.
    pub(crate) fn edit(&mut self, index: u64, bytes: Range<usize>) -> &mut [u8] {
        if !self.unreadable.is_empty() {
            let first = index * SECTORS_PER_BLOCK;
            let sectors = bytes.start / SECTOR_BYTES..bytes.end.div_ceil(SECTOR_BYTES);
            self.mend(first + sectors.start as u64..first + sectors.end as u64);
        }
        self.charged += u64::from(self.is_hole(index));
        let slot = &mut self.slots_mut()[index as usize];
        &mut Arc::make_mut(slot.get_or_insert_with(zero_block))[bytes]
    }

    /// Makes holes of these blocks, as far as they are there.
    pub(crate) fn punch(&mut self, blocks: Range<u64>) {
        for index in self.within(blocks) {
            if self.slots_mut()[index].take().is_some() {
                self.charged -= 1;
            }
            let first = index as u64 * SECTORS_PER_BLOCK;
            self.mend(first..first + SECTORS_PER_BLOCK);
        }
    }

    /// Fills the holes among these blocks with zeros, and extends the file to hold them.
    pub(crate) fn reserve(&mut self, blocks: Range<u64>) {
        if blocks.end * BLOCK > self.len {
            self.set_len(blocks.end * BLOCK);
        }
        for index in self.within(blocks) {
            if self.slots[index].is_none() {
                self.slots_mut()[index] = Some(zero_block());
                self.charged += 1;
            }
        }
    }

    /// Whether writing this block takes space.
    pub(crate) fn is_hole(&self, index: u64) -> bool {
        self.block(index).is_none()
    }

    /// Copies what is there, from a block's beginning on; the bytes lie below the last slot's end.
    pub(crate) fn copy_to(&self, first: u64, bytes: &mut [u8]) {
        for (index, chunk) in (first..).zip(bytes.chunks_mut(BLOCK_BYTES)) {
            match self.block(index) {
                Some(block) => chunk.copy_from_slice(&block[..chunk.len()]),
                None => chunk.fill(0),
            }
        }
    }

    /// Makes the sectors that these bytes touch unreadable, as far as they are there.
    pub(crate) fn spoil(&mut self, bytes: Range<u64>) {
        let sector = SECTOR_BYTES as u64;
        let end = bytes.end.div_ceil(sector).min(self.blocks() * SECTORS_PER_BLOCK);
        self.unreadable.extend(bytes.start / sector..end);
    }

    /// The first unreadable sector in a range of bytes, by its byte.
    pub(crate) fn unreadable_in(&self, bytes: Range<u64>) -> Option<u64> {
        if self.unreadable.is_empty() || bytes.is_empty() {
            return None;
        }
        let sector = SECTOR_BYTES as u64;
        let range = bytes.start / sector..bytes.end.div_ceil(sector);
        self.unreadable.range(range).next().map(|number| number * sector)
    }

    fn slots_mut(&mut self) -> &mut Vec<Option<Block>> {
        Arc::make_mut(&mut self.slots)
    }

    fn mend(&mut self, sectors: Range<u64>) {
        self.unreadable.retain(|number| !sectors.contains(number));
    }

    fn within(&self, blocks: Range<u64>) -> Range<usize> {
        let end = blocks.end.min(self.blocks());
        blocks.start.min(end) as usize..end as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
