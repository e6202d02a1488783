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
//! - **MF2** Reading is total: any bytes give pages or an error, and take time linear in the bytes that there are, and memory for a page.
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

impl NewPages {
    /// What the log has to say of these pages; where they are many, it is written to slots of the data file first, with this
    /// many pages of buffers, one at least. To be called once, after the last page and before [`Pager::sync_direct`]. In memory it is empty.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub fn manifest(&mut self, buffer_pages: usize) -> Result<Vec<u8>> {
        self.trim();
        if self.pager.file.is_none() {
            return Ok(Vec::new());
        }
        let bytes: u64 = segments(&self.pager, &self.written)
            .map(|(_, _, pages)| SEGMENT_HEAD_BYTES as u64 + 4 * u64::from(pages))
            .sum();
        if bytes <= INLINE_BYTES_MAX as u64 {
            let mut out = vec![INLINE];
            out.extend(words(&self.pager, &self.written).flat_map(u32::to_le_bytes));
            return Ok(out);
        }
        let crc = self.spill(buffer_pages)?;
        let mut out = vec![SPILLED];
        varint::put(&mut out, bytes);
        out.extend_from_slice(&crc.to_le_bytes());
        for run in self.manifest.chunk_by(|a, b| a + 1 == *b) {
            varint::put(&mut out, u64::from(run[0]));
            varint::put(&mut out, run.len() as u64);
        }
        Ok(out)
    }

    /// Writes all segments to slots; their CRC32C.
    fn spill(&mut self, buffer_pages: usize) -> Result<u32> {
        let (pager, written) = (Arc::clone(&self.pager), self.written.clone());
        let page_bytes = pager.page_bytes();
        let mut buffers: Vec<Buffer> = Vec::new();
        let (mut crc, mut filled) = (0, 0);
        let mut words = words(&pager, &written).peekable();
        while let Some(word) = words.next() {
            let (page, at) = (filled / page_bytes, filled % page_bytes); // a page is whole words
            if page == buffers.len() {
                buffers.push(Buffer::zeroed(page_bytes));
            }
            buffers[page][at..at + 4].copy_from_slice(&word.to_le_bytes());
            filled += 4;
            let last = words.peek().is_none();
            if last || filled == buffer_pages.max(1) * page_bytes {
                buffers.truncate(filled.div_ceil(page_bytes));
                for (buffer, start) in buffers.iter_mut().zip((0..filled).step_by(page_bytes)) {
                    let used = page_bytes.min(filled - start);
                    crc = crc32c(crc, &buffer[..used]);
                    buffer[used..].fill(0);
                }
                self.write_manifest(&mut buffers)?;
                filled = 0;
            }
        }
        Ok(crc)
    }
}

/// First page, first slot, pages (MF1).
fn segments<'p>(
    pager: &'p Pager,
    written: &'p [PageRun],
) -> impl Iterator<Item = (PageId, u32, u32)> + use<'p> {
    let pages = written.iter().flat_map(|run| run.ids());
    let mut pages = pages.map(|page| (page, pager.table.location(page).slot)).peekable();
    std::iter::from_fn(move || {
        let (first, start) = pages.next()?;
        let mut count = 1;
        while pages.next_if(|&(page, slot)| first.0 + count == page.0 && start + count == slot).is_some() {
            count += 1;
        }
        Some((first, start, count))
    })
}

/// The words of all segments.
fn words<'p>(pager: &'p Pager, written: &'p [PageRun]) -> impl Iterator<Item = u32> + use<'p> {
    segments(pager, written).flat_map(|(first, slot, pages)| {
        let checksums = PageRun { first, pages }.ids().map(|page| pager.table.location(page).checksum);
        [first.0, slot, pages].into_iter().chain(checksums)
    })
}

/// Reads a manifest: `read` gives the bytes of a slot, twice; `page` gets every page with its slot and checksum. Returns the
/// slots that hold the manifest itself. Memory is one page, and those slots.
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
    let mut segments = Segments { head: [0; 3], words: 0, seen: 0, page };
    if kind == INLINE {
        segments.push(rest).and_then(|()| segments.end()).ok_or_else(malformed)?;
        return Ok(Vec::new());
    }
    let (bytes, len) = varint::get(rest).ok_or_else(malformed)?;
    rest = &rest[len..];
    let (crc, runs) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    if kind != SPILLED {
        return Err(malformed());
    }
    let (slots, stated) = check_segments(runs, bytes, &mut read)?;
    if stated != u32::from_le_bytes(*crc) {
        return Err("the list of a large value's pages does not have the checksum that the log states".into());
    }
    let mut left = bytes;
    for &slot in &slots {
        let buffer = read(slot)?;
        let used = left.min(buffer.len() as u64);
        left -= used;
        segments.push(&buffer[..used as usize]).ok_or_else(malformed)?;
    }
    segments.end().ok_or_else(malformed)?;
    Ok(slots)
}

/// The slots of a spilled manifest, and the CRC32C of what they hold (MF2).
fn check_segments(
    mut runs: &[u8],
    mut bytes: u64,
    read: &mut impl FnMut(u32) -> std::result::Result<Buffer, String>,
) -> std::result::Result<(Vec<u32>, u32), String> {
    let malformed = || "the list of a large value's pages is malformed".to_owned();
    let (mut slots, mut crc) = (Vec::new(), 0);
    while let Some((start, len)) = varint::get(runs) {
        let (count, more) = varint::get(&runs[len..]).ok_or_else(malformed)?;
        runs = &runs[len + more..];
        for slot in start..start.saturating_add(count) {
            let slot = u32::try_from(slot).map_err(|_| malformed())?;
            if bytes == 0 {
                return Err(malformed()); // more slots than it needs
            }
            let buffer = read(slot)?;
            let used = bytes.min(buffer.len() as u64);
            bytes -= used;
            crc = crc32c(crc, &buffer[..used as usize]);
            slots.push(slot);
        }
    }
    if !runs.is_empty() || bytes > 0 {
        return Err(malformed());
    }
    Ok((slots, crc))
}

/// Reads segments as their bytes come, in whole words.
struct Segments<F> {
    /// First page, first slot, pages.
    head: [u32; 3],
    /// Words of the head that are there.
    words: usize,
    /// Pages of the segment that are read.
    seen: u32,
    page: F,
}

impl<F: FnMut(PageId, u32, u32)> Segments<F> {
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let mut words = bytes.chunks_exact(4);
        for word in &mut words {
            let word = u32::from_le_bytes(word.try_into().expect("it has four bytes"));
            if self.words < 3 {
                self.head[self.words] = word;
                self.words += 1;
                self.begin()?;
                continue;
            }
            let [first, slot, _] = self.head;
            (self.page)(PageId(first + self.seen), slot + self.seen, word);
            self.seen += 1;
            self.go_on();
        }
        words.remainder().is_empty().then_some(())
    }

    /// A head that is complete makes sense.
    fn begin(&mut self) -> Option<()> {
        let [first, slot, pages] = self.head;
        if self.words == 3 {
            let ends = first.checked_add(pages)?.max(slot.checked_add(pages)?);
            if first == 0 || slot == 0 || ends == u32::MAX {
                return None;
            }
            self.go_on();
        }
        Some(())
    }

    fn go_on(&mut self) {
        if self.seen == self.head[2] {
            (self.words, self.seen) = (0, 0);
        }
    }

    /// Nothing is missing.
    fn end(&self) -> Option<()> {
        (self.words == 0).then_some(())
    }
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
