//! Manifests: where new pages lie and which checksums they have, as a log record says it.
//!
//! Until a checkpoint has a page in its map, the log alone knows where it lies. FROZEN at version 1 of the log; numbers of
//! segments are u32, little-endian:
//!
//! ```text
//! manifest: 0 | segment*                                         few pages: in the record itself
//!           1 | varint bytes of the segments | u32 their CRC32C | (varint first slot | varint slots)*
//!                                                                many: in these slots of the data file, the last padded with zeros
//! segment:  first page | first slot | pages | CRC32C of each page
//! ```
//!
//! # Invariants
//!
//! - **MF1** The segments are those of all written pages, in their order; page ids and slots of a segment follow each other.
//! - **MF2** Reading is total: any bytes give pages or an error, and take time and memory linear in the bytes that there are.
//!   Pages are believed only after the checksum of all segments has matched: that of the record covers those inside.

use super::write::NewPages;
use crate::file::DATA;
use crate::pager::Pager;
use crate::runs::{PageRun, RunSet};
use crate::translation::Location;
use crate::{Error, PageId, Result};
use aquifer_codec::checksum::crc32c;
use aquifer_codec::varint;
use aquifer_io::Buffer;
use aquifer_sync::Arc;

/// Bytes of segments that lie in the record itself, at most.
const INLINE_BYTES_MAX: usize = 2048;
const INLINE: u8 = 0;
const SPILLED: u8 = 1;
const SEGMENT_HEAD_BYTES: usize = 12;
/// Pages written at a time.
const PAGES_AT_ONCE: usize = 16;

impl NewPages {
    /// What the log has to say of these pages; where they are many, it is written to slots of the data file first. To be called
    /// once, after the last page and before [`Pager::sync_direct`]. In memory it is empty.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub fn manifest(&mut self) -> Result<Vec<u8>> {
        self.trim();
        if self.pager.file.is_none() {
            return Ok(Vec::new());
        }
        let segments = self.segments();
        let bytes: u64 =
            segments.iter().map(|&(_, _, pages)| SEGMENT_HEAD_BYTES as u64 + 4 * u64::from(pages)).sum();
        if bytes <= INLINE_BYTES_MAX as u64 {
            let mut out = vec![INLINE];
            let words = segments.iter().flat_map(|segment| words(&self.pager, segment));
            out.extend(words.flat_map(u32::to_le_bytes));
            return Ok(out);
        }
        let crc = self.spill(&segments)?;
        let mut out = vec![SPILLED];
        varint::put(&mut out, bytes);
        out.extend_from_slice(&crc.to_le_bytes());
        for run in self.manifest.chunk_by(|a, b| a + 1 == *b) {
            varint::put(&mut out, u64::from(run[0]));
            varint::put(&mut out, run.len() as u64);
        }
        Ok(out)
    }

    /// First page, first slot, pages (MF1).
    fn segments(&self) -> Vec<(PageId, u32, u32)> {
        let mut segments: Vec<(PageId, u32, u32)> = Vec::new();
        for page in self.written.iter().flat_map(|run| run.ids()) {
            let slot = self.pager.table.location(page).slot;
            match segments.last_mut() {
                Some((first, start, pages)) if first.0 + *pages == page.0 && *start + *pages == slot => {
                    *pages += 1
                }
                _ => segments.push((page, slot, 1)),
            }
        }
        segments
    }

    /// Writes all segments to slots; their CRC32C.
    fn spill(&mut self, segments: &[(PageId, u32, u32)]) -> Result<u32> {
        let pager = Arc::clone(&self.pager);
        let page_bytes = pager.page_bytes();
        let mut crc = 0;
        let mut bytes: Vec<u8> = Vec::with_capacity(PAGES_AT_ONCE * page_bytes + SEGMENT_HEAD_BYTES);
        let mut buffers: Vec<Buffer> = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let mut words = words(&pager, segment).peekable();
            let last = index + 1 == segments.len();
            loop {
                while bytes.len() < PAGES_AT_ONCE * page_bytes {
                    let Some(word) = words.next() else { break };
                    bytes.extend_from_slice(&word.to_le_bytes());
                }
                let full = bytes.len() >= PAGES_AT_ONCE * page_bytes;
                let ended = words.peek().is_none();
                if full || (last && ended && !bytes.is_empty()) {
                    crc = crc32c(crc, &bytes);
                    buffers.resize_with(bytes.len().div_ceil(page_bytes), || Buffer::zeroed(page_bytes));
                    for (buffer, chunk) in buffers.iter_mut().zip(bytes.chunks(page_bytes)) {
                        buffer[..chunk.len()].copy_from_slice(chunk);
                        buffer[chunk.len()..].fill(0);
                    }
                    self.write_manifest(&mut buffers)?;
                    bytes.clear();
                }
                if ended {
                    break;
                }
            }
        }
        Ok(crc)
    }
}

/// The words of a segment.
fn words(pager: &Pager, &(first, slot, pages): &(PageId, u32, u32)) -> impl Iterator<Item = u32> {
    let checksums = PageRun { first, pages }.ids().map(|page| pager.table.location(page).checksum);
    [first.0, slot, pages].into_iter().chain(checksums)
}

/// Reads a manifest: `read` gives the bytes of a slot, `page` gets every page with its slot and checksum. Returns the slots that
/// hold the manifest itself.
///
/// # Errors
///
/// What is wrong with it, and what `read` gave.
pub fn decode_manifest(
    manifest: &[u8],
    mut read: impl FnMut(u32) -> std::result::Result<Buffer, String>,
    page: impl FnMut(PageId, u32, u32),
) -> std::result::Result<Vec<u32>, String> {
    let malformed = || "the list of a large value's pages is malformed".to_owned();
    let (&kind, mut rest) = manifest.split_first().ok_or_else(malformed)?;
    if kind == INLINE {
        decode_segments(rest, page).ok_or_else(malformed)?;
        return Ok(Vec::new());
    }
    let mut number = || -> Option<u64> {
        let (number, len) = varint::get(rest)?;
        rest = &rest[len..];
        Some(number)
    };
    let bytes = number().ok_or_else(malformed)?;
    let (crc, runs) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    if kind != SPILLED {
        return Err(malformed());
    }
    let mut slots = Vec::new();
    let mut segments: Vec<u8> = Vec::new();
    let mut runs = runs;
    while let Some((start, len)) = varint::get(runs) {
        let (count, more) = varint::get(&runs[len..]).ok_or_else(malformed)?;
        runs = &runs[len + more..];
        for slot in start..start.saturating_add(count) {
            let slot = u32::try_from(slot).map_err(|_| malformed())?;
            if segments.len() as u64 >= bytes {
                return Err(malformed()); // more slots than it needs
            }
            segments.extend_from_slice(&read(slot)?);
            slots.push(slot);
        }
    }
    if !runs.is_empty() || (segments.len() as u64) < bytes {
        return Err(malformed());
    }
    segments.truncate(bytes as usize);
    if crc32c(0, &segments) != u32::from_le_bytes(*crc) {
        return Err("the list of a large value's pages does not have the checksum that the log states".into());
    }
    decode_segments(&segments, page).ok_or_else(malformed)?;
    Ok(slots)
}

fn decode_segments(mut bytes: &[u8], mut page: impl FnMut(PageId, u32, u32)) -> Option<()> {
    let mut word = || -> Option<Option<u32>> {
        if bytes.is_empty() {
            return Some(None);
        }
        let (word, rest) = bytes.split_first_chunk::<4>()?;
        bytes = rest;
        Some(Some(u32::from_le_bytes(*word)))
    };
    while let Some(first) = word()? {
        let (slot, pages) = (word()??, word()??);
        if first == 0 || slot == 0 || first.checked_add(pages)?.max(slot.checked_add(pages)?) == u32::MAX {
            return None;
        }
        for index in 0..pages {
            page(PageId(first + index), slot + index, word()??);
        }
    }
    Some(())
}

/// What the log attaches, reserved by recovery before anything is given out (DP4). Memory is O(runs), however long the log is.
/// What is not taken is free again when it is dropped.
#[derive(Debug)]
pub struct LoggedPages {
    pager: Arc<Pager>,
    pages: RunSet,
    /// Slots of manifests.
    manifests: RunSet,
}

impl Pager {
    /// Nothing is reserved yet. Only a database with a file is recovered.
    pub fn logged_pages(self: &Arc<Self>) -> LoggedPages {
        LoggedPages { pager: Arc::clone(self), pages: RunSet::new(), manifests: RunSet::new() }
    }
}

impl LoggedPages {
    /// Reserves the pages that a log record attaches, and the slots of its manifest, so that nobody else gets them. To be called
    /// for all of them before anything is replayed.
    ///
    /// # Errors
    ///
    /// `Corrupt` if the manifest is damaged, or an id or slot is in use: the log does not fit the data file.
    pub fn reserve(&mut self, manifest: &[u8]) -> Result<()> {
        let pager = Arc::clone(&self.pager);
        let mut outcome = Ok(());
        let slots = decode_manifest(manifest, read_slots(&pager), |page, slot, checksum| {
            if outcome.is_ok() {
                outcome = self.reserve_page(page, Location { slot, checksum });
            }
        });
        let slots = slots.map_err(corrupt)?;
        outcome?;
        for slot in slots {
            if !pager.lock_space().claim(slot) {
                return Err(taken());
            }
            self.manifests.insert(slot, slot + 1);
        }
        Ok(())
    }

    fn reserve_page(&mut self, page: PageId, at: Location) -> Result<()> {
        let (pager, run) = (&self.pager, PageRun { first: page, pages: 1 });
        pager.grow_page_table_to(run.end())?;
        if !pager.lock_space().claim(at.slot) {
            return Err(taken());
        }
        if !pager.ids.lock().claim(run) {
            pager.free_slots(&[at.slot]);
            return Err(taken());
        }
        pager.direct.lock().reserved.insert(page.0, run.end()); // DS2
        self.pages.insert(page.0, run.end());
        pager.table.set_location(page, at);
        Ok(())
    }

    /// The pages of a manifest, as if they had just been written.
    ///
    /// # Errors
    ///
    /// `Corrupt` if they are not reserved.
    pub fn take(&mut self, manifest: &[u8]) -> Result<NewPages> {
        let pager = &self.pager;
        let mut new = pager.new_pages();
        let mut written: Vec<PageRun> = Vec::new();
        let mut fits = true;
        let slots = decode_manifest(manifest, read_slots(pager), |page, slot, checksum| {
            fits &= self.pages.contains(page.0) && pager.table.location(page) == Location { slot, checksum };
            PageRun::push(&mut written, PageRun { first: page, pages: 1 });
        });
        let slots = slots.map_err(corrupt)?;
        if !fits || !slots.iter().all(|&slot| self.manifests.contains(slot)) {
            return Err(taken());
        }
        for run in &written {
            self.pages.remove(run.first.0, run.end());
            new.taken.insert(run.first.0, run.end());
        }
        slots.iter().for_each(|&slot| self.manifests.remove(slot, slot + 1));
        (new.written, new.manifest) = (written, slots);
        Ok(new)
    }
}

impl Drop for LoggedPages {
    fn drop(&mut self) {
        let mut rest = self.pager.new_pages();
        rest.taken = std::mem::take(&mut self.pages);
        rest.manifest = self.manifests.iter().flat_map(|(start, end)| start..end).collect();
    }
}

fn corrupt(what: String) -> Error {
    Error::Format { file: DATA.into(), what }
}

fn taken() -> Error {
    corrupt(
        "the log names pages or slots for a large value that are in use, or lie outside the file (was it cut, or replaced by \
         another copy?)"
            .into(),
    )
}

fn read_slots(pager: &Pager) -> impl FnMut(u32) -> std::result::Result<Buffer, String> + use<'_> {
    let file = pager.file.as_ref().expect("only a database with a file is recovered");
    |slot| {
        let (buffer, result) = file.read(vec![(slot, Buffer::zeroed(file.page_bytes()))]).remove(0);
        result.map(|()| buffer).map_err(|error| error.to_string())
    }
}
