//! Large values: those that no leaf takes. They are written before their commit, past the pool, and the commit attaches them.
//!
//! ```text
//!  write pages --> list, manifest --> sync --> commit: [gate: ATTACH record | leaf: descriptor | attach new, detach old]
//!  '------ no lock, bounded memory ------'      stripe      '--------------- one passage ---------------------'
//! ```
//!
//! | module | its secret |
//! |---|---|
//! | `writer` | bytes into new pages; [`LargeWriter`] |
//! | `reader` | pages into bytes; [`LargeReader`] |
//! | `change` | appending, and patching ranges |
//! | `clear` | those of a dropped table, and of a deleted range |
//! | `memory` | the buffers of all of them |
//!
//! Which pages belong to whom is `aquifer_buffer`'s (DP1 to DP7), what a descriptor says `aquifer_index::blob`'s (LB1 to LB4).
//!
//! # Invariants
//!
//! - **LV1** The passage that puts a descriptor attaches its new pages; the one that replaces or removes a descriptor detaches
//!   those of its pages that the new one does not have. Every commit, the deletion of a range, replay and the freeing of dropped tables obey this, so
//!   that in every checkpoint a page belongs to exactly one tree or value, or does not exist.
//! - **LV2** Before the log reserves the record of an ATTACH, all pages that it names are written and synced, the list and the
//!   manifest included. Whatever fails before leaves nothing: the pages are reserved in memory alone (DP2).
//! - **LV3** The extents of a value to be detached are known before the gate is entered: under its key's stripe nobody else
//!   changes it. A passage that meets one that it does not know leaves, and comes back with it. They are believed only if all
//!   pages are those of one attached value (DS5), whatever the leaf says.
//! - **LV4** An append or a patch is made of the value that it read: its commit finds that very descriptor, or it is made again.
//!   A descriptor that is pinned is found again only if the value has not changed, for its pages are not given out again.
//! - **LV5** Readers pin before they look up the descriptor (DP5). What they read is the value as it was at that moment.
//! - **LV6** Recovery reserves what all ATTACH records name before it replays the first (DP4), and replays through this code.
//! - **LV7** A value that a leaf takes is never large, so every value has one form.

mod change;
mod clear;
mod memory;
mod reader;
mod writer;

pub(crate) use change::{append, patch};
pub(crate) use clear::{ClearedTo, clear_some, pages_of_range};
pub(crate) use memory::{LargeMemory, LargeShare};
pub use reader::LargeReader;
pub(crate) use reader::{copy_whole, first_bytes, open, read_whole, reader_of};
pub use writer::LargeWriter;
pub(crate) use writer::{Finished, Logging, PageWriter, write_whole};

use crate::error::{Error, ErrorKind, Result};
use aquifer_buffer::{NewPages, PageRun, Pager};
use aquifer_index::LeafValue;
use aquifer_index::blob::{Descriptor, Extents, LargeValue, decode_extents};
use aquifer_io::Buffer;
use aquifer_sync::Arc;
use std::cell::Cell;

/// A large value that is written and waits for its commit. Dropped before, it leaves nothing.
pub(crate) struct Written {
    /// For the leaf.
    pub(crate) descriptor: Vec<u8>,
    /// For the log.
    pub(crate) manifest: Vec<u8>,
    /// All its pages, those that it shares with the value that it was made of included.
    pub(crate) pages: Vec<PageRun>,
    /// Those that are new, until they are attached.
    new: Cell<Option<NewPages>>,
}

impl Written {
    pub(crate) fn new(descriptor: Vec<u8>, manifest: Vec<u8>, pages: Vec<PageRun>, new: NewPages) -> Written {
        Written { descriptor, manifest, pages, new: Cell::new(Some(new)) }
    }

    /// What goes into the leaf.
    pub(crate) fn leaf_value(&self) -> LeafValue<'_> {
        LeafValue::large(&self.descriptor)
    }

    /// Are all its pages new, or those of the value before?
    pub(crate) fn is_made_of(&self, old: Option<&Known>) -> bool {
        let Some(new) = self.new.take() else { return false };
        let mut pages = new.runs().to_vec();
        self.new.set(Some(new));
        old.into_iter().for_each(|known| pages.extend(known.value.pages()));
        PageRun::difference(self.pages.clone(), pages).is_empty()
    }

    /// Takes the new pages, to attach them; once.
    pub(crate) fn take_new(&self) -> NewPages {
        self.new.take().expect("LV1: pages are attached once")
    }
}

/// A large value that is there, with the descriptor that it was found by.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) descriptor: Vec<u8>,
    pub(crate) value: LargeValue,
}

impl Known {
    /// Of a value to be detached: its pages are what they should be (DS5). Nobody detaches it meanwhile. O(pages).
    ///
    /// # Errors
    ///
    /// As [`load_to_read`](Self::load_to_read); `Corrupt` for pages that are not those of one attached value.
    pub(crate) fn load(pager: &Arc<Pager>, descriptor: &[u8]) -> Result<Known> {
        let known = Known::load_to_read(pager, descriptor)?;
        known.check_attached(pager)?;
        Ok(known)
    }

    /// Of one that was loaded to be read, and is to be detached after all; as [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub(crate) fn check_attached(&self, pager: &Pager) -> Result<()> {
        pager.check_attached(&self.value.pages()).map_err(|(run, what)| {
            Error::corrupt(format!(
                "pages {} to {} of a large value {what}; restore a backup or use salvage",
                run.first,
                run.end() - 1
            ))
        })
    }

    /// Reads the list of extents, where there is one. Nobody detaches the value meanwhile, or it is pinned.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a descriptor or list that makes no sense; the disk's.
    pub(crate) fn load_to_read(pager: &Arc<Pager>, descriptor: &[u8]) -> Result<Known> {
        let page_bytes = pager.page_bytes();
        let corrupt = |what: &str| Error::corrupt(format!("{what}; restore a backup or use salvage"));
        let Descriptor { len, extents } = Descriptor::decode(descriptor, page_bytes).map_err(corrupt)?;
        let value = match extents {
            Extents::Inline(extents) => LargeValue::new(len, extents, Vec::new()),
            Extents::Listed { bytes, pages } => {
                let list = LargeValue::new(bytes, pages.clone(), Vec::new());
                let ids = list.ids(0, list.page_count() as usize);
                let mut buffers: Vec<Buffer> = ids.iter().map(|_| Buffer::zeroed(page_bytes)).collect();
                pager.read_direct(&ids, &mut buffers)?;
                let mut list_bytes: Vec<u8> =
                    buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
                list_bytes.truncate(bytes as usize);
                let extents = decode_extents(&list_bytes, len, page_bytes).map_err(corrupt)?;
                LargeValue::new(len, extents, pages)
            }
        };
        Ok(Known { descriptor: descriptor.to_vec(), value })
    }

    /// As [`load`](Self::load), for whoever removes or replaces the value: one that is damaged goes too, but its pages stay behind,
    /// for nobody can say which they are. Verification tells of them.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub(crate) fn load_to_remove(pager: &Arc<Pager>, descriptor: &[u8]) -> Result<Known> {
        match Known::load(pager, descriptor) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "a damaged value is removed, and its pages are lost");
                let value = LargeValue::new(0, Vec::new(), Vec::new());
                Ok(Known { descriptor: descriptor.to_vec(), value })
            }
            loaded => loaded,
        }
    }
}

#[cfg(test)]
mod tests;
