//! A data file that may be damaged, read for salvage: superblocks, what is left of a page map, and slots. Nothing is written,
//! no page comes into a frame, and what is in a page is for others to judge.
//!
//! # Invariants
//!
//! - **WR1** Damage is an answer, not an error: what cannot be read is told with its place, and the rest is read.
//! - **WR2** A map node is believed only if it has the checksum that its parent states. Each slot is believed once (MP4), so
//!   a map that refers to itself ends.
//! - **WR3** Memory: one bit a slot, 12 bytes a page found, and a batch of buffers.

use crate::file::{DATA, DataFile, checksum};
use crate::map::{entry, span};
use crate::space::Space;
use crate::superblock::Invalid;
use crate::translation::Location;
use crate::{Error, PageId, Result, Superblock};
use aquifer_io::{Buffer, Disk};
use aquifer_sync::Arc;
use std::ops::Range;

/// Slots read at a time.
const BATCH_BYTES: usize = 256 << 10;

/// See the module's head.
#[derive(Debug)]
pub struct Wreck {
    file: DataFile,
    superblocks: [std::result::Result<Superblock, String>; 2],
}

/// A page as the page map places it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedPage {
    /// Page.
    pub page: PageId,
    /// Slot of the data file.
    pub slot: u32,
    /// CRC32C that its bytes must have.
    pub checksum: u32,
}

/// A node of the page map that cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostNode {
    /// Slot of the data file.
    pub slot: u32,
    /// The pages that it would have placed.
    pub pages: Range<u32>,
    /// What is wrong.
    pub what: String,
}

/// What is left of a page map.
#[derive(Debug, Clone, Default)]
pub struct MapRemains {
    /// Pages, ascending.
    pub pages: Vec<PlacedPage>,
    /// Nodes that are lost.
    pub lost: Vec<LostNode>,
}

impl Wreck {
    /// Opens the file `data` of a disk, and reads its superblocks. The page size is that of the newest valid one.
    ///
    /// # Errors
    ///
    /// `Io` if the file is not there or cannot be opened; `Format` for a newer version of the format.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Wreck> {
        let mut file = DataFile::open(disk)?;
        let mut superblocks = [Err(String::new()), Err(String::new())];
        for (index, superblock) in superblocks.iter_mut().enumerate() {
            *superblock = match Superblock::read_one(&file, index as u64) {
                Ok(Ok(superblock)) => Ok(superblock),
                Ok(Err(Invalid::Version(version))) => {
                    let what = format!(
                        "format version {version}, which this program does not know; use the newer program"
                    );
                    return Err(Error::Format { file: DATA.into(), what });
                }
                Ok(Err(Invalid::Foreign)) => Err("there is no superblock".into()),
                Ok(Err(Invalid::Damaged(what))) => Err(what),
                Err(error) => Err(error.to_string()),
            };
        }
        let newest = superblocks.iter().flatten().max_by_key(|superblock| superblock.generation);
        if let Some(newest) = newest {
            file.set_page_bytes(newest.page_bytes as usize);
        }
        Ok(Wreck { file, superblocks })
    }

    /// What lies where the two superblocks belong: a valid one, or what is wrong.
    pub fn superblocks(&self) -> &[std::result::Result<Superblock, String>; 2] {
        &self.superblocks
    }

    /// Page size in bytes.
    pub fn page_bytes(&self) -> usize {
        self.file.page_bytes()
    }

    /// Sets the page size, where no superblock says it.
    ///
    /// # Panics
    ///
    /// If it is not a power of two from 4096 to 65536.
    pub fn set_page_bytes(&mut self, page_bytes: usize) {
        assert!(page_bytes.is_power_of_two() && (4096..=65536).contains(&page_bytes));
        self.file.set_page_bytes(page_bytes);
    }

    /// The slots that may hold pages, up to the file's end.
    ///
    /// # Errors
    ///
    /// If the file's length cannot be had.
    pub fn slots(&self) -> Result<Range<u32>> {
        let reserved = self.file.reserved_slots();
        Ok(reserved..self.file.slots()?.max(reserved))
    }

    /// Byte offset of a slot.
    pub fn offset(&self, slot: u32) -> u64 {
        self.file.offset(slot)
    }

    /// Reads the page map of a checkpoint as far as it can be read (WR2). O(pages).
    ///
    /// # Errors
    ///
    /// If the file's length cannot be had.
    pub fn map(&self, superblock: &Superblock) -> Result<MapRemains> {
        let mut remains = MapRemains::default();
        let mut space = Space::new(self.file.reserved_slots(), self.file.slots()?);
        let map = superblock.map;
        let mut level = if map.height == 0 { Vec::new() } else { vec![(map.root, 0u64)] };
        for height in (1..=map.height).rev() {
            let mut below = Vec::new();
            for chunk in level.chunks((BATCH_BYTES / self.page_bytes()).max(1)) {
                self.read_nodes(chunk, height, map.pages, &mut space, &mut remains, &mut below);
            }
            level = below;
        }
        remains.pages.sort_unstable_by_key(|placed| placed.page);
        remains.lost.sort_by_key(|lost| lost.pages.start);
        Ok(remains)
    }

    /// Reads nodes of one height. Leaves give pages, others the nodes below.
    fn read_nodes(
        &self,
        nodes: &[(Location, u64)],
        height: u32,
        pages: u32,
        space: &mut Space,
        remains: &mut MapRemains,
        below: &mut Vec<(Location, u64)>,
    ) {
        let entries = self.page_bytes() / 8;
        let mut claimed = Vec::with_capacity(nodes.len());
        for &(node, first) in nodes {
            if space.claim(node.slot) {
                claimed.push((node, first));
            } else {
                let what = "the page map refers to this slot twice, or it lies outside the file".into();
                remains.lost.push(lost_node(node, first, entries, height, pages, what));
            }
        }
        let requests =
            claimed.iter().map(|(node, _)| (node.slot, Buffer::zeroed(self.page_bytes()))).collect();
        for (&(node, base), (buffer, result)) in claimed.iter().zip(self.file.read(requests)) {
            let what = match result {
                Ok(()) if checksum(&buffer) == node.checksum => None,
                Ok(()) => Some("it does not have the checksum that its parent states".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(what) = what {
                remains.lost.push(lost_node(node, base, entries, height, pages, what));
                continue;
            }
            for index in 0..entries {
                let location = entry(&buffer, index);
                let first = base + index as u64 * span(entries as u64, height);
                if location.slot == 0 || first >= u64::from(pages) {
                    continue;
                }
                if height > 1 {
                    below.push((location, first));
                } else if first > 0 {
                    let Location { slot, checksum } = location;
                    remains.pages.push(PlacedPage { page: PageId(first as u32), slot, checksum });
                }
            }
        }
    }

    /// Reads slots, and gives each to `visit` with its index in `slots`: its bytes, or why there are none.
    pub fn read(&self, slots: &[u32], mut visit: impl FnMut(usize, std::result::Result<&[u8], String>)) {
        let batch = (BATCH_BYTES / self.page_bytes()).max(1);
        for (chunk_index, chunk) in slots.chunks(batch).enumerate() {
            let requests = chunk.iter().map(|&slot| (slot, Buffer::zeroed(self.page_bytes()))).collect();
            for (index, (buffer, result)) in self.file.read(requests).into_iter().enumerate() {
                let bytes = result.map(|()| &buffer[..]).map_err(|error| match error.kind {
                    std::io::ErrorKind::UnexpectedEof => "the file ends before it".to_owned(),
                    _ => error.to_string(),
                });
                visit(chunk_index * batch + index, bytes);
            }
        }
    }

    /// Do these bytes have the checksum that the map states for the page?
    pub fn vouches_for(placed: &PlacedPage, bytes: &[u8]) -> bool {
        checksum(bytes) == placed.checksum
    }
}

fn lost_node(node: Location, first: u64, entries: usize, height: u32, pages: u32, what: String) -> LostNode {
    let end = first.saturating_add(span(entries as u64, height + 1)).min(u64::from(pages));
    let range = first.max(1) as u32..end.max(first.max(1)) as u32;
    LostNode { slot: node.slot, pages: range, what }
}

#[cfg(all(test, not(loom)))]
mod tests;
