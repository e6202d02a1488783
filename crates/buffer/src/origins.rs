//! Where the pages of a backup came from: the file `origins` beside its data file, which tells the next backup what has not
//! changed since.
//!
//! A page that lies in the same slot with the same checksum as it did is the same: a slot is not written again while a checkpoint
//! refers to it, and a page that has moved and come back would have to have another content with the same checksum.
//!
//! FROZEN at version 1:
//!
//! ```text
//!   block 0     magic `AQUIORIG` | version u32 | pages u32: ids below it | database id (16) |
//!               generation of the backup that it tells of u64 | zeros | CRC32C of bytes 0 to 4091
//!   block 1 …   511 entries of 8 bytes as in a page map, for pages (i - 1) * 511 and up | CRC32C of them, seeded with i | zero u32
//! ```
//!
//! # Invariants
//!
//! - **OR1** The file is believed only as a whole, and only if it names the generation that the backup's superblock has: it is
//!   written and renamed after that, and a backup that was cut off in between is told from it.
//! - **OR2** Without it, or if it is damaged, everything counts as changed.

use crate::map::{entry, set_entry};
use crate::translation::Location;
use crate::{PageId, Result, Superblock};
use aquifer_codec::checksum::crc32c;
use aquifer_io::{BLOCK_BYTES, Buffer, Disk, File, OpenMode, Operation, Request};
use aquifer_sync::Arc;
use std::io::ErrorKind;

const ORIGINS: &str = "origins";
const ORIGINS_NEW: &str = "origins.new";
/// FROZEN.
const MAGIC: &[u8; 8] = b"AQUIORIG";
/// FROZEN.
const VERSION: u32 = 1;
/// Entries of a block. FROZEN.
const ENTRIES: u32 = 511;
const CRC_AT: usize = BLOCK_BYTES - 8;
const HEADER_CRC_AT: usize = BLOCK_BYTES - 4;
/// Blocks read or written at a time.
const BLOCKS: usize = 32;

fn header(superblock: &Superblock, pages: u32) -> Buffer {
    let mut block = Buffer::zeroed(BLOCK_BYTES);
    block[..8].copy_from_slice(MAGIC);
    block[8..12].copy_from_slice(&VERSION.to_le_bytes());
    block[12..16].copy_from_slice(&pages.to_le_bytes());
    block[16..32].copy_from_slice(&superblock.database_id);
    block[32..40].copy_from_slice(&superblock.generation.to_le_bytes());
    let crc = crc32c(0, &block[..HEADER_CRC_AT]);
    block[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    block
}

fn block_crc(block: &[u8], number: u64) -> u32 {
    crc32c(crc32c(0, &number.to_le_bytes()), &block[..CRC_AT])
}

fn read(file: &Arc<dyn File>, first: u64, blocks: usize) -> Result<Buffer> {
    let buffer = Buffer::zeroed(blocks * BLOCK_BYTES);
    let request = Request { operation: Operation::Read, offset: first * BLOCK_BYTES as u64, buffer };
    let done = file.transfer(vec![request]).remove(0);
    done.result?;
    Ok(done.buffer)
}

/// The origins of an existing backup, read in the order of pages.
#[derive(Debug)]
pub(crate) struct Origins {
    file: Option<Arc<dyn File>>,
    pages: u32,
    /// What is in memory: blocks from this one on.
    first: u64,
    buffer: Option<Buffer>,
}

impl Origins {
    /// Of a backup that says nothing.
    pub(crate) fn none() -> Origins {
        Origins { file: None, pages: 0, first: 0, buffer: None }
    }

    /// Those of the backup with this superblock (OR1, OR2). Reads all of it.
    pub(crate) fn open(disk: &Arc<dyn Disk>, superblock: &Superblock) -> Result<Origins> {
        let file = match disk.open(ORIGINS, OpenMode::Existing) {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Origins::none()),
            file => file?,
        };
        let blocks = file.len()? / BLOCK_BYTES as u64;
        if blocks == 0 {
            return Ok(Origins::none());
        }
        let first = read(&file, 0, 1)?;
        let pages = u32::from_le_bytes(first[12..16].try_into().expect("four bytes"));
        let whole = first[..] == header(superblock, pages)[..] && blocks > u64::from(pages.div_ceil(ENTRIES));
        let mut origins = Origins { file: Some(file), pages, first: 0, buffer: None };
        if !whole || !origins.is_sound()? {
            return Ok(Origins::none());
        }
        Ok(origins)
    }

    /// Ids below it may be in the backup.
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    fn is_sound(&mut self) -> Result<bool> {
        for number in 1..=u64::from(self.pages.div_ceil(ENTRIES)) {
            let block = self.block(number)?;
            if block[CRC_AT..CRC_AT + 4] != block_crc(block, number).to_le_bytes() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn block(&mut self, number: u64) -> Result<&[u8]> {
        let held = self.buffer.as_ref().map_or(0, |buffer| buffer.len() / BLOCK_BYTES) as u64;
        if number < self.first || number >= self.first + held {
            let last = u64::from(self.pages.div_ceil(ENTRIES));
            let blocks = (last + 1 - number).min(BLOCKS as u64) as usize;
            let file = self.file.as_ref().expect("there are pages");
            self.buffer = Some(read(file, number, blocks)?);
            self.first = number;
        }
        let start = (number - self.first) as usize * BLOCK_BYTES;
        Ok(&self.buffer.as_ref().expect("read above")[start..start + BLOCK_BYTES])
    }

    /// Where the page lay when the backup was made; `NONE` if it was not there.
    pub(crate) fn of(&mut self, page: PageId) -> Result<Location> {
        if page.0 >= self.pages {
            return Ok(Location::NONE);
        }
        let block = self.block(1 + u64::from(page.0 / ENTRIES))?;
        Ok(entry(block, (page.0 % ENTRIES) as usize))
    }
}

/// Writes the origins of a backup being made, in the order of pages.
#[derive(Debug)]
pub(crate) struct OriginsWriter {
    disk: Arc<dyn Disk>,
    file: Arc<dyn File>,
    buffer: Buffer,
    /// The number of the first block in `buffer`.
    first: u64,
}

impl OriginsWriter {
    pub(crate) fn create(disk: &Arc<dyn Disk>) -> Result<OriginsWriter> {
        match disk.remove(ORIGINS_NEW) {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = disk.open(ORIGINS_NEW, OpenMode::CreateNew)?;
        let buffer = Buffer::zeroed(BLOCKS * BLOCK_BYTES);
        Ok(OriginsWriter { disk: Arc::clone(disk), file, buffer, first: 1 })
    }

    /// Notes where a page lies; pages come in ascending order.
    pub(crate) fn push(&mut self, page: PageId, location: Location) -> Result<()> {
        let number = 1 + u64::from(page.0 / ENTRIES);
        while number >= self.first + BLOCKS as u64 {
            self.write()?;
        }
        let start = (number - self.first) as usize * BLOCK_BYTES;
        set_entry(&mut self.buffer[start..start + BLOCK_BYTES], (page.0 % ENTRIES) as usize, location);
        Ok(())
    }

    /// Writes what is in memory, and goes on behind it.
    fn write(&mut self) -> Result<()> {
        for (index, block) in self.buffer.chunks_mut(BLOCK_BYTES).enumerate() {
            let crc = block_crc(block, self.first + index as u64);
            block[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        }
        let buffer = std::mem::replace(&mut self.buffer, Buffer::zeroed(BLOCKS * BLOCK_BYTES));
        write(&self.file, self.first, buffer)?;
        self.first += BLOCKS as u64;
        Ok(())
    }

    /// Makes them the origins of the backup with this superblock, which is durable (OR1).
    pub(crate) fn finish(mut self, superblock: &Superblock, pages: u32) -> Result<()> {
        while self.first <= u64::from(pages.div_ceil(ENTRIES)) {
            self.write()?;
        }
        write(&self.file, 0, header(superblock, pages))?;
        self.file.sync_all()?;
        self.disk.rename(ORIGINS_NEW, ORIGINS)?;
        Ok(self.disk.sync_directory("")?)
    }
}

fn write(file: &Arc<dyn File>, first: u64, buffer: Buffer) -> Result<()> {
    let request = Request { operation: Operation::Write, offset: first * BLOCK_BYTES as u64, buffer };
    Ok(file.transfer(vec![request]).remove(0).result?)
}
