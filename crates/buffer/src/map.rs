//! The durable page map: page id → slot and checksum, a radix tree of page-sized nodes.
//!
//! FROZEN at version 1. A node is an array of `page size / 8` entries of 8 bytes: slot (u32), CRC32C of what lies there
//! (u32), both little-endian; slot 0 is no page, or no child. Leaves (height 1) hold pages, other nodes hold nodes. Page p
//! is entry `p mod F` of the leaf `p / F`, and so on upwards (F entries a node).
//!
//! # Invariants
//!
//! - **MP1** A node that the durable superblock reaches is never overwritten: changes go to fresh slots up to the root.
//! - **MP2** Every pointer carries the checksum of what it points to, so the superblock vouches for the whole file.
//! - **MP3** Changes are as of the flip: they come from the old epoch's records, never from current locations.
//! - **MP4** No slot is referred to twice; opening checks it.

use crate::file::{DataFile, checksum};
use crate::space::Space;
use crate::translation::Location;
use crate::{PageId, Result};
use aquifer_io::Buffer;
use aquifer_sync::Mutex;

/// Where the map is rooted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MapRoot {
    pub(crate) root: Location,
    /// 0: empty; 1: the root is a leaf.
    pub(crate) height: u32,
    /// Ids below it may be in the map.
    pub(crate) pages: u32,
}

/// Bytes of nodes read or written at a time.
const BATCH_BYTES: usize = 128 << 10;

pub(crate) fn entry(node: &[u8], index: usize) -> Location {
    Location::from_bits(u64::from_le_bytes(node[index * 8..index * 8 + 8].try_into().expect("eight bytes")))
}

pub(crate) fn set_entry(node: &mut [u8], index: usize, location: Location) {
    node[index * 8..index * 8 + 8].copy_from_slice(&location.to_bits().to_le_bytes());
}

/// Pages below one entry of a node of this height.
pub(crate) fn span(entries: u64, height: u32) -> u64 {
    entries.saturating_pow(height - 1)
}

fn read_nodes(file: &DataFile, nodes: &[Location]) -> Result<Vec<Buffer>> {
    let requests = nodes.iter().map(|node| (node.slot, Buffer::zeroed(file.page_bytes()))).collect();
    let mut read = Vec::with_capacity(nodes.len());
    for (node, (buffer, result)) in nodes.iter().zip(file.read(requests)) {
        result?;
        if checksum(&buffer) != node.checksum {
            let what = "a node of the page map does not have the checksum that its parent says".into();
            return Err(file.corrupt(PageId::NONE, node.slot, what));
        }
        read.push(buffer);
    }
    Ok(read)
}

/// Reads the whole map: `found` gets every page and its location, ascending. Slots are claimed in `space` (MP4); without it, it
/// was read before. O(pages).
pub(crate) fn read_map(
    file: &DataFile,
    root: MapRoot,
    mut space: Option<&mut Space>,
    found: &mut dyn FnMut(PageId, Location) -> Result<()>,
) -> Result<()> {
    let entries = file.page_bytes() / 8;
    let mut level = vec![(root.root, 0u64)];
    if root.height == 0 {
        return Ok(());
    }
    for height in (1..=root.height).rev() {
        let mut below = Vec::new();
        for chunk in level.chunks((BATCH_BYTES / file.page_bytes()).max(1)) {
            let nodes: Vec<Location> = chunk.iter().map(|&(node, _)| node).collect();
            for node in &nodes {
                claim(file, space.as_deref_mut(), PageId::NONE, *node)?;
            }
            for (&(node, base), buffer) in chunk.iter().zip(read_nodes(file, &nodes)?) {
                for index in 0..entries {
                    let location = entry(&buffer, index);
                    if location.slot == 0 {
                        continue;
                    }
                    let first = base + index as u64 * span(entries as u64, height);
                    let no_page = height == 1 && first == 0;
                    if no_page || first >= u64::from(root.pages) {
                        let what = format!(
                            "the page map names page {first}; there are those from 1 to below {}",
                            root.pages
                        );
                        return Err(file.corrupt(PageId::NONE, node.slot, what));
                    }
                    if height == 1 {
                        let page = PageId(first as u32);
                        claim(file, space.as_deref_mut(), page, location)?;
                        found(page, location)?;
                    } else {
                        below.push((location, first));
                    }
                }
            }
        }
        level = below;
    }
    Ok(())
}

fn claim(file: &DataFile, space: Option<&mut Space>, page: PageId, location: Location) -> Result<()> {
    if space.is_none_or(|space| space.claim(location.slot)) {
        return Ok(());
    }
    let what = "the page map refers to this slot twice, or it lies outside the file (was the file cut?)";
    Err(file.corrupt(page, location.slot, what.into()))
}

/// Applies records to the durable map. Nothing that the old map refers to is changed (MP1).
pub(crate) struct MapWriter<'a> {
    file: &'a DataFile,
    space: &'a Mutex<Space>,
    entries: u64,
    pending: Vec<(u64, Buffer)>,
    /// Slots of pages and nodes that only the old map refers to.
    pub(crate) superseded: Vec<u32>,
    /// Slots of new nodes.
    pub(crate) allocated: Vec<u32>,
}

impl<'a> MapWriter<'a> {
    pub(crate) fn new(file: &'a DataFile, space: &'a Mutex<Space>) -> Self {
        let entries = file.page_bytes() as u64 / 8;
        Self { file, space, entries, pending: Vec::new(), superseded: Vec::new(), allocated: Vec::new() }
    }

    /// Writes the map that `records` (ascending, without duplicates) make of the map at `old`; the new root. On an error
    /// the caller frees `allocated`.
    pub(crate) fn apply(&mut self, old: MapRoot, records: &[(PageId, Location)]) -> Result<MapRoot> {
        let Some(&(last, _)) = records.last() else { return Ok(old) };
        let mut map = MapRoot { pages: old.pages.max(last.0 + 1), ..old };
        let mut height = old.height.max(1);
        let mut root = old.root;
        while span(self.entries, height + 1) <= u64::from(last.0) {
            // One level more: the old root becomes the first child of a new one.
            if root.slot != 0 {
                let mut node = Buffer::zeroed(self.file.page_bytes());
                set_entry(&mut node, 0, root);
                root = self.write_node(node)?;
            }
            height += 1;
        }
        map.root = self.apply_node(root, None, height, 0, records)?;
        map.height = if map.root.slot == 0 { 0 } else { height };
        self.flush()?;
        Ok(map)
    }

    fn apply_node(
        &mut self,
        node: Location,
        loaded: Option<Buffer>,
        height: u32,
        base: u64,
        records: &[(PageId, Location)],
    ) -> Result<Location> {
        let mut bytes = match loaded {
            Some(bytes) => bytes,
            None if node.slot == 0 => Buffer::zeroed(self.file.page_bytes()),
            None => self.read_node(node)?,
        };
        if height == 1 {
            for &(page, location) in records {
                let index = (u64::from(page.0) - base) as usize;
                let before = entry(&bytes, index);
                if before.slot != 0 {
                    self.superseded.push(before.slot);
                }
                set_entry(&mut bytes, index, location);
            }
        } else {
            self.apply_children(&mut bytes, height, base, records)?;
        }
        if node.slot != 0 {
            self.superseded.push(node.slot);
        }
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(Location::NONE);
        }
        self.write_node(bytes)
    }

    fn apply_children(
        &mut self,
        bytes: &mut Buffer,
        height: u32,
        base: u64,
        records: &[(PageId, Location)],
    ) -> Result<()> {
        let span = span(self.entries, height);
        let child_of = |page: PageId| ((u64::from(page.0) - base) / span) as usize;
        let groups: Vec<&[(PageId, Location)]> =
            records.chunk_by(|a, b| child_of(a.0) == child_of(b.0)).collect();
        for chunk in groups.chunks((BATCH_BYTES / self.file.page_bytes()).max(1)) {
            // Read the children that exist in one batch.
            let children: Vec<Location> =
                chunk.iter().map(|group| entry(bytes, child_of(group[0].0))).collect();
            let there: Vec<Location> = children.iter().copied().filter(|child| child.slot != 0).collect();
            self.flush_if_among(&there)?;
            let mut loaded = read_nodes(self.file, &there)?.into_iter();
            for (group, child) in chunk.iter().zip(children) {
                let index = child_of(group[0].0);
                let buffer = if child.slot != 0 { loaded.next() } else { None };
                let new = self.apply_node(child, buffer, height - 1, base + index as u64 * span, group)?;
                set_entry(bytes, index, new);
            }
        }
        Ok(())
    }

    fn read_node(&mut self, node: Location) -> Result<Buffer> {
        self.flush_if_among(&[node])?;
        Ok(read_nodes(self.file, &[node])?.remove(0))
    }

    /// A node may have been made in this very attempt (a level more) and not be written yet.
    fn flush_if_among(&mut self, nodes: &[Location]) -> Result<()> {
        let waits =
            |node: &Location| self.pending.iter().any(|&(offset, _)| offset == self.file.offset(node.slot));
        if nodes.iter().any(waits) { self.flush() } else { Ok(()) }
    }

    fn write_node(&mut self, bytes: Buffer) -> Result<Location> {
        let slot = self.space.lock().allocate(1, self.file)?.start;
        self.allocated.push(slot);
        let location = Location { slot, checksum: checksum(&bytes) };
        self.pending.push((self.file.offset(slot), bytes));
        if self.pending.len() * self.file.page_bytes() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(location)
    }

    fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        for (_, result) in self.file.write(pending) {
            result?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
