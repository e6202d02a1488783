//! Large values of a damaged database: their descriptors come with the leaves, their pages through the page map, or from the log.
//!
//! # Invariants
//!
//! - **SV1** A page is taken only with the checksum that a page map or a manifest states for it; a value only if all its pages
//!   are.
//! - **SV2** A manifest of the log from before the checkpoint may name pages that are in other hands since: such a record counts
//!   only if it brings all pages of its value, each with its checksum.
//! - **SV3** All manifests of the log since the checkpoint are known before the first leaf is read, for a leaf may be newer than
//!   the records that brought its values. A leaf or record finds a page where the last manifest up to its own position puts it.

use super::page::LoosePage;
use crate::large::LargeWriter;
use aquifer_buffer::{MapRemains, PageId, PlacedPage, RunSet, Wreck, decode_manifest};
use aquifer_index::blob::{Descriptor, Extents, LargeValue, decode_extents};
use aquifer_io::Buffer;
use std::collections::BTreeMap;
use std::io::Write;

/// Pages read at a time.
const PAGES_AT_ONCE: usize = 64;

/// Collects the descriptors in a leaf.
pub(super) fn claim(page: &LoosePage<'_>, page_bytes: usize, named: &mut Vec<Vec<u8>>) {
    page.records(|_, _, value| {
        if value.is_large() && Descriptor::decode(value.bytes, page_bytes).is_ok() {
            named.push(value.bytes.to_vec());
        }
    });
}

/// Notes the pages of a value, as far as they can be known.
pub(super) fn claim_pages(wreck: &Wreck, map: &MapRemains, descriptor: &[u8], claimed: &mut RunSet) {
    let places = |page: PageId| {
        let index = map.pages.binary_search_by_key(&page, |placed| placed.page).ok()?;
        Some(map.pages[index])
    };
    let Ok(Descriptor { len, extents }) = Descriptor::decode(descriptor, wreck.page_bytes()) else { return };
    let extents = match extents {
        Extents::Inline(extents) => extents,
        Extents::Listed { bytes, pages } => {
            pages.iter().for_each(|run| claimed.insert(run.first.0, run.end()));
            let list = LargeValue::new(bytes, pages, Vec::new());
            let mut read = Vec::new();
            let result = read_pages(wreck, &places, &list, |bytes| {
                read.extend_from_slice(bytes);
                Ok(())
            });
            let Ok(()) = result else { return };
            decode_extents(&read, len, wreck.page_bytes()).unwrap_or_default()
        }
    };
    extents.iter().for_each(|run| claimed.insert(run.first.0, run.end()));
}

/// Where the pages of large values lie.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By the page map, ascending.
    mapped: Vec<PlacedPage>,
    /// By the log, since the checkpoint: by page, and the position of the record.
    attached: BTreeMap<(PageId, u64), PlacedPage>,
    flip_lsn: u64,
}

impl Places {
    pub(super) fn new(map: Option<&MapRemains>, flip_lsn: u64) -> Places {
        let mapped = map.map(|map| map.pages.clone()).unwrap_or_default();
        Places { mapped, attached: BTreeMap::new(), flip_lsn }
    }

    /// As whoever was written at position `until` meant it.
    fn find(&self, page: PageId, until: u64) -> Option<PlacedPage> {
        if let Some((_, &placed)) = self.attached.range((page, 0)..=(page, until)).next_back() {
            return Some(placed);
        }
        let index = self.mapped.binary_search_by_key(&page, |placed| placed.page).ok()?;
        Some(self.mapped[index])
    }

    /// Notes where the pages of a record of the log lie (SV3). One that is damaged brings nothing.
    pub(super) fn attach(&mut self, wreck: &Wreck, lsn: u64, manifest: &[u8]) {
        if lsn > self.flip_lsn {
            let places = places_of(wreck, manifest).unwrap_or_default();
            self.attached.extend(places.into_iter().map(|(page, placed)| ((page, lsn), placed)));
        }
    }

    /// Brings the value of a leaf that was last changed at `changed_at` to `writer`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn copy(
        &self,
        wreck: &Wreck,
        changed_at: u64,
        descriptor: &[u8],
        writer: &mut LargeWriter,
    ) -> Result<(), String> {
        copy(wreck, &|page| self.find(page, changed_at), descriptor, writer)
    }

    /// Brings the value of a record of the log to `writer`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn copy_attached(
        &self,
        wreck: &Wreck,
        lsn: u64,
        (descriptor, manifest): (&[u8], &[u8]),
        writer: &mut LargeWriter,
    ) -> Result<(), String> {
        let new = places_of(wreck, manifest)?;
        if lsn <= self.flip_lsn {
            return copy(wreck, &|page| new.get(&page).copied(), descriptor, writer); // SV2
        }
        self.copy(wreck, lsn, descriptor, writer)
    }
}

fn places_of(wreck: &Wreck, manifest: &[u8]) -> Result<BTreeMap<PageId, PlacedPage>, String> {
    let mut places = BTreeMap::new();
    let read = |slot: u32| {
        let mut buffer = Buffer::zeroed(wreck.page_bytes());
        let mut result = Err(String::new());
        wreck.read(&[slot], |_, bytes| result = bytes.map(|bytes| buffer.copy_from_slice(bytes)));
        result.map(|()| buffer)
    };
    decode_manifest(manifest, read, |page, slot, checksum| {
        places.insert(page, PlacedPage { page, slot, checksum });
    })?;
    Ok(places)
}

fn copy(
    wreck: &Wreck,
    places: &dyn Fn(PageId) -> Option<PlacedPage>,
    descriptor: &[u8],
    writer: &mut LargeWriter,
) -> Result<(), String> {
    let Descriptor { len, extents } = Descriptor::decode(descriptor, wreck.page_bytes())?;
    let extents = match extents {
        Extents::Inline(extents) => extents,
        Extents::Listed { bytes, pages } => {
            let mut list = Vec::new();
            read_pages(wreck, places, &LargeValue::new(bytes, pages, Vec::new()), |bytes| {
                list.extend_from_slice(bytes);
                Ok(())
            })?;
            decode_extents(&list, len, wreck.page_bytes())?
        }
    };
    let value = LargeValue::new(len, extents, Vec::new());
    read_pages(wreck, places, &value, |bytes| writer.write_all(bytes).map_err(|error| error.to_string()))
}

/// Gives the bytes of a value to `take`, page by page.
fn read_pages(
    wreck: &Wreck,
    places: &dyn Fn(PageId) -> Option<PlacedPage>,
    value: &LargeValue,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut left = value.len();
    let mut at = 0;
    while at < value.page_count() {
        let ids = value.ids(at, PAGES_AT_ONCE);
        let placed: Vec<PlacedPage> = ids
            .iter()
            .map(|&page| places(page).ok_or_else(|| format!("it is not known where its page {page} lies")))
            .collect::<Result<_, _>>()?;
        let slots: Vec<u32> = placed.iter().map(|placed| placed.slot).collect();
        let mut outcome = Ok(());
        wreck.read(&slots, |index, bytes| {
            if outcome.is_err() {
                return;
            }
            outcome = bytes.and_then(|bytes| {
                let page = placed[index];
                if !Wreck::vouches_for(&page, bytes) {
                    return Err(format!("its page {} does not have the checksum stated for it", page.page)); // SV1
                }
                let used = left.min(bytes.len() as u64) as usize;
                left -= used as u64;
                take(&bytes[..used])
            });
        });
        outcome?;
        at += ids.len() as u64;
    }
    Ok(())
}
