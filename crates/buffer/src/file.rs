//! Page-sized transfers to and from the data file.

use crate::translation::Location;
use crate::{Error, PageId, Result, Superblock};
use aquifer_codec::checksum::crc32c;
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_io::{BLOCK_BYTES, Buffer, Disk, File, IoError, OpenMode, Operation, Request};
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Name of the data file.
pub(crate) const DATA: &str = "data";
/// Its name until its first checkpoint is durable: a data file that is there is whole.
pub(crate) const DATA_NEW: &str = "data.new";
/// Bytes before the first slot that pages may use: both superblocks.
pub(crate) const RESERVED_BYTES: u64 = 128 << 10;

/// The checksum of a page's or map node's bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32c(0, bytes)
}

/// The data file.
#[derive(Debug)]
pub(crate) struct DataFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn File>,
    page_bytes: usize,
    /// Still named `data.new`.
    unnamed: AtomicBool,
    /// It keeps that name until whoever fills it says otherwise.
    held_back: AtomicBool,
    written_bytes: AtomicU64,
}

impl DataFile {
    /// Makes a new file; one that a crashed creation left behind is removed.
    pub(crate) fn create(disk: Arc<dyn Disk>, page_bytes: usize) -> Result<Self> {
        match disk.remove(DATA_NEW) {
            Err(error) if error.kind != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = disk.open(DATA_NEW, OpenMode::CreateNew)?;
        file.allocate(0, RESERVED_BYTES)?;
        Ok(Self {
            disk,
            file,
            page_bytes,
            unnamed: AtomicBool::new(true),
            held_back: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
        })
    }

    /// Opens the file; its page size is set once the superblock is read.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self> {
        let file = disk.open(DATA, OpenMode::Existing)?;
        Ok(Self {
            disk,
            file,
            page_bytes: BLOCK_BYTES,
            unnamed: AtomicBool::new(false),
            held_back: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
        })
    }

    /// Opens the file, with its newest valid superblock, which is durable then.
    pub(crate) fn open_newest(disk: Arc<dyn Disk>) -> Result<(Self, Superblock)> {
        let mut file = Self::open(disk)?;
        // Whoever wrote the newest superblock may have died before it was durable. Nothing that the one before it refers
        // to may be overwritten until this one is.
        file.sync()?;
        // Nor must one be believed whose write has failed, and which only the system remembers.
        file.forget_cached()?;
        let superblock = Superblock::read(&file)?;
        file.set_page_bytes(superblock.page_bytes as usize);
        Ok((file, superblock))
    }

    /// The same file, to be read by somebody else.
    pub(crate) fn shared(&self) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            file: Arc::clone(&self.file),
            page_bytes: self.page_bytes,
            unnamed: AtomicBool::new(false),
            held_back: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_page_bytes(&mut self, page_bytes: usize) {
        self.page_bytes = page_bytes;
    }

    /// Page size in bytes.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Slots before the first that pages may use.
    pub(crate) fn reserved_slots(&self) -> u32 {
        (RESERVED_BYTES / self.page_bytes as u64) as u32
    }

    /// Byte offset of a slot.
    pub(crate) fn offset(&self, slot: u32) -> u64 {
        u64::from(slot) * self.page_bytes as u64
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.file.len()?)
    }

    /// Whole slots within the file's length.
    pub(crate) fn slots(&self) -> Result<u32> {
        Ok((self.len()? / self.page_bytes as u64).min(u64::from(u32::MAX)) as u32)
    }

    /// Bytes written since opening.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed) // a counter
    }

    /// Reads slots into buffers of a page each, in one batch. Each result is its own.
    pub(crate) fn read(
        &self,
        requests: Vec<(u32, Buffer)>,
    ) -> Vec<(Buffer, std::result::Result<(), IoError>)> {
        let requests = requests
            .into_iter()
            .map(|(slot, buffer)| Request { operation: Operation::Read, offset: self.offset(slot), buffer })
            .collect();
        self.file.transfer(requests).into_iter().map(|done| (done.buffer, done.result)).collect()
    }

    /// Reads a block of a superblock.
    pub(crate) fn read_block(&self, offset: u64) -> Result<Buffer> {
        let request = Request { operation: Operation::Read, offset, buffer: Buffer::zeroed(BLOCK_BYTES) };
        let done = self.file.transfer(vec![request]).remove(0);
        done.result?;
        Ok(done.buffer)
    }

    /// Writes buffers at the byte offsets given, in one batch; gives the buffers back, each with its result.
    pub(crate) fn write(
        &self,
        requests: Vec<(u64, Buffer)>,
    ) -> Vec<(Buffer, std::result::Result<(), IoError>)> {
        let bytes: usize = requests.iter().map(|(_, buffer)| buffer.len()).sum();
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed); // a counter
        let requests = requests
            .into_iter()
            .map(|(offset, buffer)| Request { operation: Operation::Write, offset, buffer })
            .collect();
        self.file.transfer(requests).into_iter().map(|done| (done.buffer, done.result)).collect()
    }

    /// Writes a superblock and makes it durable; gives the file its name the first time.
    pub(crate) fn write_superblock(&self, offset: u64, block: Buffer) -> Result<()> {
        self.written_bytes.fetch_add(block.len() as u64, Ordering::Relaxed); // a counter
        self.file.write_durable(offset, block).result?;
        if self.unnamed.load(Ordering::Acquire) && !self.held_back.load(Ordering::Acquire) {
            self.file.sync_all()?;
            self.disk.rename(DATA_NEW, DATA)?;
            self.disk.sync_directory("")?;
            self.unnamed.store(false, Ordering::Release); // one checkpoint at a time: no partner needed
        }
        Ok(())
    }

    /// Whether checkpoints leave a new file without its name.
    pub(crate) fn hold_back(&self, on: bool) {
        self.held_back.store(on, Ordering::Release); // pairs with the Acquire of `write_superblock`
    }

    /// Makes all completed writes durable.
    pub(crate) fn sync(&self) -> Result<()> {
        if sabotage::is(Sabotage::SkipDataSync) {
            return Ok(());
        }
        Ok(self.file.sync_data()?)
    }

    /// Reads see the device from now on, and not what the system remembers of failed writes.
    pub(crate) fn forget_cached(&self) -> Result<()> {
        Ok(self.file.forget_cached()?)
    }

    pub(crate) fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        Ok(self.file.allocate(offset, len)?)
    }

    pub(crate) fn truncate(&self, len: u64) -> Result<()> {
        Ok(self.file.truncate(len)?)
    }

    /// Checks what was read from a page's slot.
    pub(crate) fn check(&self, page: PageId, at: Location, bytes: &[u8]) -> Result<()> {
        if sabotage::is(Sabotage::IgnoreChecksums) {
            return Ok(());
        }
        let found = checksum(bytes);
        if found == at.checksum {
            return Ok(());
        }
        Err(self.corrupt(
            page,
            at.slot,
            format!("its checksum is {found:08x}, the page map says {:08x}", at.checksum),
        ))
    }

    pub(crate) fn corrupt(&self, page: PageId, slot: u32, what: String) -> Error {
        Error::Corrupt { page, slot, offset: self.offset(slot), what }
    }
}
