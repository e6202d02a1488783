//! Writing large values: bytes into pages, as they come.

use super::{Known, LargeShare, Written};
use crate::Durability;
use crate::commit::{Change, commit_one_if};
use crate::database::Handle;
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::expiry::{Stamp, begin_value};
use crate::long_key;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::{NewPages, PageRun, Pager, Pin};
use aquifer_index::blob::{Descriptor, Extents, LargeValue, encode_extents};
use aquifer_io::Buffer;
use aquifer_sync::Arc;
use std::fmt;
use std::io::{self, Write};

/// Bytes into new pages: full ones are written when all buffers are full.
pub(crate) struct PageWriter {
    engine: Arc<Engine>,
    new: NewPages,
    share: LargeShare,
    /// The first `filled` bytes of them wait to be written.
    buffers: Vec<Buffer>,
    filled: usize,
}

impl PageWriter {
    /// # Errors
    ///
    /// `BudgetExhausted` if too many large values are being read and written.
    pub(crate) fn new(engine: &Arc<Engine>) -> Result<PageWriter> {
        let share = engine.large_memory.take()?;
        let new = NewPages::new(&engine.pager);
        Ok(PageWriter { engine: Arc::clone(engine), new, share, buffers: Vec::new(), filled: 0 })
    }

    fn page_bytes(&self) -> usize {
        self.engine.pager.page_bytes()
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        let page_bytes = self.page_bytes();
        while !bytes.is_empty() {
            if self.filled == self.share.pages() * page_bytes {
                self.write_full()?;
            }
            let (page, at) = (self.filled / page_bytes, self.filled % page_bytes);
            if page == self.buffers.len() {
                self.buffers.push(Buffer::zeroed(page_bytes));
            }
            let now = bytes.len().min(page_bytes - at);
            self.buffers[page][at..at + now].copy_from_slice(&bytes[..now]);
            self.filled += now;
            bytes = &bytes[now..];
        }
        Ok(())
    }

    /// All that was pushed, if nothing of it is written yet.
    fn unwritten(&self) -> Vec<u8> {
        debug_assert!(self.new.is_empty());
        let mut bytes: Vec<u8> = self.buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        bytes.truncate(self.filled);
        bytes
    }

    fn write_full(&mut self) -> Result<()> {
        let page_bytes = self.page_bytes();
        let partial = self.buffers.split_off(self.filled / page_bytes);
        let written = self.new.append(&mut self.buffers);
        self.buffers.splice(0..0, partial); // the page that is being filled comes first
        self.filled %= page_bytes;
        written.map_err(Error::from).inspect_err(|error| {
            if matches!(error, Error::DiskFull(_)) {
                self.engine.want_space();
            }
        })
    }

    /// Ends a page, padded with zeros: all that was pushed is written. Returns the pages written since `from`.
    pub(crate) fn end_page(&mut self, from: u64) -> Result<Vec<PageRun>> {
        let page_bytes = self.page_bytes();
        let padding = self.filled.next_multiple_of(page_bytes) - self.filled;
        self.push(&vec![0; padding])?;
        if self.filled > 0 {
            self.write_full()?;
        }
        let all = LargeValue::new(0, self.new.runs().to_vec(), Vec::new());
        Ok(all.part(from, all.page_count()))
    }

    pub(crate) fn pager(&self) -> Arc<Pager> {
        Arc::clone(&self.engine.pager)
    }

    /// Pages written so far.
    pub(crate) fn pages_written(&self) -> u64 {
        self.new.len()
    }

    /// Completes a value of `len` bytes that lies in these extents, new pages and old ones: writes its list, if it needs one, and
    /// the manifest, and syncs, as the log demands it (LV2). All pages have been ended.
    pub(crate) fn complete(mut self, len: u64, extents: Vec<PageRun>, logging: Logging) -> Result<Written> {
        let from = self.new.len();
        let mut descriptor = Descriptor { len, extents: Extents::Inline(extents.clone()) }.encode();
        let mut pages = extents;
        if descriptor.len() > self.page_bytes() / 16 {
            let list = encode_extents(&pages);
            self.push(&list)?;
            let list_pages = self.end_page(from)?;
            pages.extend_from_slice(&list_pages);
            let extents = Extents::Listed { bytes: list.len() as u64, pages: list_pages };
            descriptor = Descriptor { len, extents }.encode();
        }
        self.new.trim();
        self.buffers = Vec::new(); // the manifest takes their place in the share
        let manifest = match logging {
            Logging::None => Vec::new(),
            _ => self.new.manifest(self.share.pages())?,
        };
        if logging == Logging::Now {
            self.engine.sync_large()?;
        }
        Ok(Written::new(descriptor, manifest, pages, self.new))
    }
}

/// What the log needs of a value (LV2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logging {
    /// Nothing: the table has no log.
    None,
    /// A manifest; the caller syncs.
    Later,
    /// A manifest, and that everything is synced.
    Now,
}

impl Logging {
    /// For a commit to this table alone.
    pub(crate) fn of(table: &TableCore) -> Logging {
        if table.writes_log { Logging::Now } else { Logging::None }
    }
}

/// Writes a whole value, given as bytes.
pub(crate) fn write_whole(engine: &Arc<Engine>, value: &[u8], logging: Logging) -> Result<Written> {
    let mut pages = PageWriter::new(engine)?;
    pages.push(value)?;
    let extents = pages.end_page(0)?;
    pages.complete(value.len() as u64, extents, logging)
}

/// Writes a value of any length as a stream ([`Table::write_large`](crate::Table::write_large),
/// [`Table::append_large`](crate::Table::append_large)): what is written is there for others from [`finish`](Self::finish) on.
/// Dropping it before that discards everything.
///
/// ```
/// use std::io::{Read, Write};
/// # use aquifer::Database;
/// # let dir = tempfile::tempdir()?;
/// # let db = Database::open(dir.path())?;
/// let films = db.create_table("films", Default::default())?;
///
/// let mut writer = films.write_large(b"metropolis")?;
/// for frame in 0..100u8 {
///     writer.write_all(&[frame; 1000])?;
/// }
/// writer.finish()?;
///
/// let mut reader = films.open_large(b"metropolis")?.expect("it was written");
/// assert_eq!(reader.len(), 100_000);
/// let mut first = [0; 2000];
/// reader.read_exact(&mut first)?;
/// assert_eq!((first[999], first[1000]), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LargeWriter {
    handle: Arc<Handle>,
    core: Arc<TableCore>,
    key: Vec<u8>,
    durability: Durability,
    sink: Sink,
    /// Length so far, that of the beginning included, and that of a stamp.
    len: u64,
    /// Bytes of a stamp, which are not the user's.
    stamp_bytes: u64,
    /// The stamp that it puts (EX5 of `expiry`).
    stamp: Option<Stamp>,
    beginning: Beginning,
    /// The first failure of a write.
    failed: Option<Error>,
}

/// What a stream has come to.
pub(crate) enum Finished {
    /// A value that a leaf takes, or a member of a group.
    Inline(Vec<u8>),
    Large(Written),
}

/// Where the bytes go.
enum Sink {
    Pages(PageWriter),
    /// Of a long key: they lie in its group in the end.
    Member(Vec<u8>),
}

impl Sink {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Sink::Pages(pages) => pages.push(bytes)?,
            Sink::Member(member) => member.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// What the value begins with.
enum Beginning {
    /// Nothing: what was there goes.
    Nothing,
    /// What was found, which must still be there at the end (LV4). Of a large value the whole pages stay; the pin keeps it.
    Found { found: Option<Found>, whole_pages: Vec<PageRun>, _pin: Pin },
}

impl fmt::Debug for LargeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LargeWriter")
            .field("table", &self.core.name)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl LargeWriter {
    /// A writer of a new value.
    pub(crate) fn new(
        handle: &Arc<Handle>,
        core: &Arc<TableCore>,
        key: Vec<u8>,
        durability: Durability,
    ) -> Result<LargeWriter> {
        core.check_usable()?;
        core.check_key(&key)?;
        let (handle, core) = (Arc::clone(handle), Arc::clone(core));
        let sink = match core.is_long(&key) {
            true => Sink::Member(Vec::new()),
            false => Sink::Pages(PageWriter::new(&handle.engine)?),
        };
        let beginning = Beginning::Nothing;
        let (stamp_bytes, stamp, failed) = (0, None, None);
        Ok(LargeWriter { handle, core, key, durability, sink, len: 0, stamp_bytes, stamp, beginning, failed })
    }

    /// Begins a value with its stamp, if it has one.
    pub(crate) fn begin_with(&mut self, stamp: Option<Stamp>) -> Result<()> {
        let mut bytes = Vec::new();
        begin_value(stamp, &mut bytes);
        self.push(&bytes)?;
        (self.stamp, self.stamp_bytes) = (stamp, bytes.len() as u64);
        Ok(())
    }

    /// A writer behind what is there.
    pub(crate) fn behind(
        handle: &Arc<Handle>,
        core: &Arc<TableCore>,
        key: Vec<u8>,
        durability: Durability,
    ) -> Result<LargeWriter> {
        let mut writer = LargeWriter::new(handle, core, key, durability)?;
        let pager = &writer.handle.engine.pager;
        let pin = Pin::everything(pager); // LV5
        let found = long_key::find(&writer.handle.engine, &writer.core, &writer.key)?;
        let mut whole_pages = Vec::new();
        // What has expired is not there (EX2 of `expiry`); but it is what will be replaced.
        let now = writer.core.now(&writer.handle.engine);
        let there = match &found {
            Some(found) => writer.core.is_found_there(now, found)?.then_some(found),
            None => None,
        };
        match there {
            None => {
                let pages = match found.as_ref().filter(|found| found.is_large()) {
                    Some(old) => Known::load_to_read(pager, &old.bytes)?.value.pages(), // LV4
                    None => Vec::new(),
                };
                pin.narrow(&pages);
            }
            Some(old) if !old.is_large() => {
                pin.narrow(&[]);
                writer.len = old.bytes.len() as u64;
                writer.sink.push(&old.bytes)?;
            }
            Some(old) => {
                let Known { value, .. } = Known::load_to_read(pager, &old.bytes)?;
                pin.narrow(&value.pages());
                let page_bytes = pager.page_bytes() as u64;
                let (whole, rest) = (value.len() / page_bytes, value.len() % page_bytes);
                whole_pages = value.part(0, whole);
                if rest > 0 {
                    let mut last = vec![Buffer::zeroed(page_bytes as usize)];
                    pager.read_direct(&value.ids(whole, 1), &mut last)?;
                    writer.sink.push(&last[0][..rest as usize])?;
                }
                writer.len = value.len();
            }
        }
        match there {
            None => writer.begin_with(writer.core.stamp(&writer.handle.engine))?,
            Some(_) => writer.stamp_bytes = writer.core.stamp_bytes() as u64,
        }
        writer.beginning = Beginning::Found { found, whole_pages, _pin: pin };
        Ok(writer)
    }

    /// Bytes that the value has so far: those written, and where it is appended to, those that were there.
    pub fn len(&self) -> u64 {
        self.len - self.stamp_bytes
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Commits the value, and waits as the table's handle says.
    ///
    /// # Errors
    ///
    /// What a write met before; [`Error::ValueChanged`] if the value that it appends to has changed since; those of
    /// [`Table::put`](crate::Table::put). Nothing has changed then.
    pub fn finish(self) -> Result<()> {
        let (handle, durability) = (Arc::clone(&self.handle), self.durability);
        let commit = self.commit()?;
        handle.engine.wait_for(commit, durability)
    }

    pub(crate) fn commit(mut self) -> Result<Commit> {
        let finished = self.end(Logging::of(&self.core))?;
        let change = match &finished {
            Finished::Inline(value) => Change::Put(value),
            Finished::Large(written) => Change::PutLarge(written),
        };
        let expected = match &self.beginning {
            Beginning::Nothing => None,
            Beginning::Found { found, .. } => Some(found),
        };
        let (commit, _) = commit_one_if(&self.handle.engine, &self.core, &self.key, change, expected, None)?;
        self.core.note(self.stamp);
        Ok(commit)
        // `beginning` goes last: its pin makes LV4 hold.
    }

    /// What was written, for a commit of another kind. Of a value that is not appended to.
    pub(crate) fn into_finished(mut self, logging: Logging) -> Result<Finished> {
        debug_assert!(matches!(self.beginning, Beginning::Nothing));
        self.end(logging)
    }

    /// Everything is written when this returns.
    fn end(&mut self, logging: Logging) -> Result<Finished> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut pages = match std::mem::replace(&mut self.sink, Sink::Member(Vec::new())) {
            Sink::Pages(pages) => pages,
            Sink::Member(value) => return Ok(Finished::Inline(value)),
        };
        if self.len <= self.core.value_len_max as u64 {
            return Ok(Finished::Inline(pages.unwritten())); // LV7
        }
        let mut extents = match &self.beginning {
            Beginning::Nothing => Vec::new(),
            Beginning::Found { whole_pages, .. } => whole_pages.clone(),
        };
        pages.end_page(0)?.into_iter().for_each(|run| PageRun::push(&mut extents, run));
        super::change::complete(pages, self.len, extents, logging).map(Finished::Large)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.core.check_usable()?;
        let len = self.len + bytes.len() as u64;
        let pushed = self.core.check_lengths_large(&self.key, len).and_then(|()| self.sink.push(bytes));
        pushed.inspect_err(|error| self.failed = Some(error.clone()))?;
        self.len = len;
        Ok(())
    }
}

impl Write for LargeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::from)?;
        Ok(bytes.len())
    }

    /// Does nothing: what is written counts from [`finish`](LargeWriter::finish) on.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
