//! Reading large values: ranges of pages into bytes.

use super::{Known, LargeShare};
use crate::database::Handle;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::long_key;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::Pin;
use aquifer_index::blob::LargeValue;
use aquifer_io::Buffer;
use aquifer_sync::Arc;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Reads a value of any length by ranges ([`Table::open_large`](crate::Table::open_large)), as it was when the reader was opened:
/// if it is replaced or deleted meanwhile, what the reader reads stays until the reader goes. Keeps the space of the value, and
/// the database, from going; reads ahead when it is read from front to back.
pub struct LargeReader {
    _handle: Arc<Handle>,
    core: Arc<TableCore>,
    /// Bytes that are not the user's come before this one.
    begin: u64,
    position: u64,
    source: Source,
}

enum Source {
    Inline(Vec<u8>),
    Pages(Pages),
}

struct Pages {
    value: LargeValue,
    share: LargeShare,
    /// Pages in memory, and which they are.
    buffers: Vec<Buffer>,
    loaded: Range<u64>,
    /// Dropped last: the pages are pinned as long as anything is read (LV5).
    _pin: Pin,
}

impl fmt::Debug for LargeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LargeReader")
            .field("table", &self.core.name)
            .field("len", &self.len())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Opens the value of an encoded key, if there is one.
pub(crate) fn open(handle: &Arc<Handle>, core: &Arc<TableCore>, key: &[u8]) -> Result<Option<LargeReader>> {
    core.check_usable()?;
    let pin = Pin::everything(&core.pager); // LV5
    let found = long_key::find(&handle.engine, core, key)?;
    found.map(|found| reader_of(handle, core, pin, found)).transpose()
}

/// A reader of what was found under this pin.
pub(crate) fn reader_of(
    handle: &Arc<Handle>,
    core: &Arc<TableCore>,
    pin: Pin,
    found: Found,
) -> Result<LargeReader> {
    let source = if found.is_large() {
        let Known { value, .. } = core.reading_large(Known::load_to_read(&core.pager, &found.bytes))?;
        pin.narrow(&value.pages());
        let share = handle.engine.large_memory.take()?;
        Source::Pages(Pages { value, share, buffers: Vec::new(), loaded: 0..0, _pin: pin })
    } else {
        Source::Inline(found.bytes)
    };
    Ok(LargeReader { _handle: Arc::clone(handle), core: Arc::clone(core), begin: 0, position: 0, source })
}

/// Makes `out` the value of an encoded key, whole; whether there is one.
pub(crate) fn read_whole(engine: &Engine, core: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
    let pin = Pin::everything(&core.pager); // LV5
    let Some(found) = engine.find(core, key)? else {
        out.clear();
        return Ok(false);
    };
    if !found.is_large() {
        *out = found.bytes;
        return Ok(true);
    }
    copy_whole(engine, core, pin, &found.bytes, out)?;
    Ok(true)
}

/// Makes `out` the value of a descriptor that was found under this pin.
pub(crate) fn copy_whole(
    engine: &Engine,
    core: &TableCore,
    pin: Pin,
    descriptor: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    let Known { value, .. } = core.reading_large(Known::load_to_read(&core.pager, descriptor))?;
    pin.narrow(&value.pages());
    let share = engine.large_memory.take()?;
    let len = value.len() as usize;
    let mut pages = Pages { value, share, buffers: Vec::new(), loaded: 0..0, _pin: pin };
    out.clear();
    out.try_reserve_exact(len).map_err(|_| Error::Exhausted {
        what: format!("no memory for a value of {len} bytes of table {}; read it by ranges", core.name),
    })?;
    while out.len() < len {
        let at = out.len();
        let bytes = core.reading_large(pages.at(&core.pager, at as u64, len - at))?;
        out.extend_from_slice(bytes);
    }
    Ok(())
}

/// The first bytes of the value of a descriptor that is pinned: so many, or all there are, and no more than a page.
pub(crate) fn first_bytes(core: &TableCore, descriptor: &[u8], len: usize) -> Result<Vec<u8>> {
    let Known { value, .. } = core.reading_large(Known::load_to_read(&core.pager, descriptor))?;
    let mut page = vec![Buffer::zeroed(core.pager.page_bytes())];
    let first = value.ids(0, 1);
    if first.is_empty() {
        return Ok(Vec::new());
    }
    core.reading(core.pager.read_direct(&first, &mut page))?;
    Ok(page[0][..len.min(page[0].len()).min(value.len() as usize)].to_vec())
}

impl Pages {
    /// Some of the bytes at `position`, one at least, `wanted` at most; nothing at the end.
    fn at(&mut self, pager: &aquifer_buffer::Pager, position: u64, wanted: usize) -> Result<&[u8]> {
        let page_bytes = pager.page_bytes() as u64;
        if position >= self.value.len() {
            return Ok(&[]);
        }
        let page = position / page_bytes;
        if !self.loaded.contains(&page) {
            // Whoever goes on where he stopped gets more than he asked for.
            let sequential = page == self.loaded.end;
            let needed = ((position % page_bytes + wanted as u64).div_ceil(page_bytes)) as usize;
            let most = if sequential { self.share.pages() } else { needed.min(self.share.pages()) };
            let ids = self.value.ids(page, most);
            self.loaded = 0..0;
            self.buffers.resize_with(ids.len(), || Buffer::zeroed(page_bytes as usize));
            pager.read_direct(&ids, &mut self.buffers)?;
            self.loaded = page..page + ids.len() as u64;
        }
        let end = self.value.len().min((page + 1) * page_bytes) - page * page_bytes;
        let start = (position % page_bytes) as usize;
        let bytes = &self.buffers[(page - self.loaded.start) as usize][start..end as usize];
        Ok(&bytes[..bytes.len().min(wanted)])
    }
}

impl LargeReader {
    /// Length of the value in bytes.
    pub fn len(&self) -> u64 {
        let stored = match &self.source {
            Source::Inline(bytes) => bytes.len() as u64,
            Source::Pages(pages) => pages.value.len(),
        };
        stored.saturating_sub(self.begin)
    }

    /// Lets it begin so many bytes further on.
    pub(crate) fn begin_at(&mut self, begin: u64) {
        self.begin = begin;
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads from `position` as much as `out` takes or there is; how much. Does not move the reader.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for a damaged page; the disk's; a table that was dropped, or a database that was closed.
    pub fn read_at(&mut self, position: u64, out: &mut [u8]) -> Result<usize> {
        self.core.check_usable()?;
        let mut done = 0;
        while done < out.len() {
            let at = position.saturating_add(self.begin).saturating_add(done as u64);
            let wanted = out.len() - done;
            let bytes = match &mut self.source {
                Source::Inline(bytes) => {
                    let rest = &bytes[bytes.len().min(usize::try_from(at).unwrap_or(usize::MAX))..];
                    &rest[..rest.len().min(wanted)]
                }
                Source::Pages(pages) => self.core.reading_large(pages.at(&self.core.pager, at, wanted))?,
            };
            if bytes.is_empty() {
                break;
            }
            out[done..done + bytes.len()].copy_from_slice(bytes);
            done += bytes.len();
        }
        Ok(done)
    }
}

impl Read for LargeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(self.position, out).map_err(io::Error::from)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for LargeReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a position before the value's beginning")
        })?;
        Ok(self.position)
    }
}
