//! Reading one segment file: its header, and batches that are checked before anything in them is believed.
//!
//! # Invariants
//!
//! - **RE1** A length that was read from disk decides how much is read, never how much is allocated beyond
//!   [`BATCH_FILE_BYTES_MAX`].
//! - **RE2** Bytes are handed out only after their batch's CRC was checked on the very bytes in memory.
//! - **RE3** A place that the file is too short for holds no batch; a disk that refuses to read is an error.

use crate::chain::SEGMENT_BYTES_MIN;
use crate::format::{
    BATCH_FILE_BYTES_MAX, BATCH_HEADER_BYTES, BatchHeader, BatchPlace, FirstBlock, SegmentHeader,
    segment_name, segment_number,
};
use crate::{Error, Result};
use aquifer_io::{BLOCK_BYTES, Buffer, Disk, File, OpenMode, Operation, Request};
use aquifer_sync::Arc;
use std::io::ErrorKind;
use std::ops::Range;

/// How much is read at once, where no single batch needs more.
const WINDOW_BYTES: u64 = 256 << 10;

/// A directory of segment files.
#[derive(Debug, Clone)]
pub struct LogPlace {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory on it; empty for its root.
    pub directory: String,
    /// What messages call it.
    pub name: String,
}

impl LogPlace {
    fn path(&self, number: u64) -> String {
        match &*self.directory {
            "" => segment_name(number),
            directory => format!("{directory}/{}", segment_name(number)),
        }
    }
}

/// Where the log lies and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// At least one. A file that is in several is taken from the first.
    pub(crate) places: Vec<LogPlace>,
    /// Numbers of the files that are looked at.
    pub(crate) range: Range<u64>,
    pub(crate) database_id: [u8; 16],
    pub(crate) incarnation: u64,
}

impl Source {
    /// A log in one directory.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        directory: &str,
        database_id: [u8; 16],
        incarnation: u64,
    ) -> Source {
        let places = vec![LogPlace { disk, directory: directory.to_owned(), name: directory.to_owned() }];
        Source { places, range: 0..u64::MAX, database_id, incarnation }
    }

    /// Where it lies, for messages.
    pub(crate) fn name(&self) -> String {
        let mut names: Vec<&str> = self.places.iter().map(|place| &*place.name).collect();
        names.dedup();
        names.join(", ")
    }

    /// The path of a segment file, for messages about one that is missing.
    pub(crate) fn path(&self, number: u64) -> String {
        self.places[0].path(number)
    }

    /// Numbers of the segment files, ascending.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>> {
        let mut numbers: Vec<u64> = Vec::new();
        for place in &self.places {
            match place.disk.list(&place.directory) {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                names => numbers.extend(names?.iter().filter_map(|name| segment_number(name))),
            }
        }
        numbers.retain(|number| self.range.contains(number));
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// Opens a segment file.
    pub(crate) fn open(&self, number: u64) -> Result<SegmentReader> {
        let open = |place: &LogPlace| place.disk.open(&place.path(number), OpenMode::Existing);
        let mut opened = open(&self.places[0]);
        let mut path = self.places[0].path(number);
        for place in &self.places[1..] {
            if opened.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound) {
                opened = open(place);
                path = place.path(number);
            }
        }
        let file = opened?;
        let len = file.len()? / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        Ok(SegmentReader {
            database_id: self.database_id,
            incarnation: self.incarnation,
            number,
            path,
            file,
            len,
            window: None,
            window_start: 0,
        })
    }
}

/// A batch that was checked.
#[derive(Debug, Clone)]
pub(crate) struct ValidBatch {
    pub(crate) header: BatchHeader,
    pub(crate) crc: u32,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    database_id: [u8; 16],
    incarnation: u64,
    pub(crate) number: u64,
    pub(crate) path: String,
    file: Arc<dyn File>,
    /// Whole blocks in the file.
    pub(crate) len: u64,
    window: Option<Buffer>,
    window_start: u64,
}

impl SegmentReader {
    /// Reads the first block.
    ///
    /// # Errors
    ///
    /// `Format`, if it is a header of a newer version or another database.
    pub(crate) fn header(&mut self) -> Result<Option<SegmentHeader>> {
        match self.first_block()? {
            FirstBlock::Header(header) if header.database_id == self.database_id => Ok(Some(header)),
            FirstBlock::Header(header) => {
                let (theirs, ours) = (hex(&header.database_id), hex(&self.database_id));
                Err(self.format(format!("it belongs to database {theirs}, not to {ours}")))
            }
            FirstBlock::Newer(version) => Err(self.format(format!(
                "it has format version {version}, which this program does not know; use a newer release"
            ))),
            FirstBlock::Nothing => Ok(None),
        }
    }

    /// Reads the first block, whoever's it is.
    pub(crate) fn first_block(&mut self) -> Result<FirstBlock> {
        if self.len == 0 {
            return Ok(FirstBlock::Nothing);
        }
        self.load(0, BLOCK_BYTES as u64)?;
        Ok(SegmentHeader::decode(self.bytes(0, BLOCK_BYTES)))
    }

    /// Whether it is a whole file whose first block holds only zeros: one that was made and not begun yet.
    pub(crate) fn is_blank(&mut self) -> Result<bool> {
        if self.len < SEGMENT_BYTES_MIN {
            return Ok(false);
        }
        self.load(0, BLOCK_BYTES as u64)?;
        Ok(self.bytes(0, BLOCK_BYTES).iter().all(|&byte| byte == 0))
    }

    /// What the header must have said, by the first batch; nothing if that is no batch of the database. Batches of its
    /// incarnation are read from then on.
    pub(crate) fn implied_header(&mut self) -> Result<Option<SegmentHeader>> {
        let at = BLOCK_BYTES as u64;
        if self.len < 2 * at {
            return Ok(None);
        }
        self.load(at, at)?;
        self.incarnation = BatchHeader::incarnation_in(self.bytes(at, BLOCK_BYTES));
        let (database_id, incarnation) = (self.database_id, self.incarnation);
        let (number, capacity) = (self.number, self.len);
        let implied = self.batch(at, capacity)?.map(|batch| {
            let first_lsn = batch.header.first_lsn;
            SegmentHeader { database_id, incarnation, number, first_lsn, capacity }
        });
        Ok(implied)
    }

    /// Reads and checks the batch at `offset`, of which at most the bytes before `end` are used.
    pub(crate) fn batch(&mut self, offset: u64, end: u64) -> Result<Option<ValidBatch>> {
        let end = end.min(self.len);
        if offset + BLOCK_BYTES as u64 > end {
            return Ok(None); // RE3
        }
        self.load(offset, BLOCK_BYTES as u64)?;
        let Some(header) = BatchHeader::decode(self.bytes(offset, BLOCK_BYTES), self.incarnation) else {
            return Ok(None);
        };
        let file_bytes = header.file_bytes();
        debug_assert!(file_bytes <= BATCH_FILE_BYTES_MAX as u64, "RE1");
        if offset + file_bytes > end {
            return Ok(None);
        }
        self.load(offset, file_bytes)?;
        let place = BatchPlace { database_id: self.database_id, segment: self.number, offset };
        let crc = header.check(&place, self.bytes(offset, file_bytes as usize)); // RE2
        Ok(crc.map(|crc| ValidBatch { header, crc }))
    }

    /// Record bytes of the batch at `offset`, which was the last to be checked.
    pub(crate) fn record_bytes(&self, offset: u64, range: Range<usize>) -> &[u8] {
        &self.bytes(offset, BATCH_HEADER_BYTES + range.end)[BATCH_HEADER_BYTES + range.start..]
    }

    /// Sees to it that these bytes, which lie within the file, are in the window.
    fn load(&mut self, offset: u64, bytes: u64) -> Result<()> {
        let held = self.window.as_ref().map_or(0, |window| window.len() as u64);
        if offset >= self.window_start && offset + bytes <= self.window_start + held {
            return Ok(());
        }
        let len = WINDOW_BYTES.max(bytes).min(self.len - offset) as usize;
        let buffer = self.window.take().filter(|window| window.len() == len);
        let buffer = buffer.unwrap_or_else(|| Buffer::zeroed(len));
        let request = Request { operation: Operation::Read, offset, buffer };
        let completion = self.file.transfer(vec![request]).pop().expect("one completion for one request");
        completion.result?;
        self.window = Some(completion.buffer);
        self.window_start = offset;
        Ok(())
    }

    fn bytes(&self, offset: u64, len: usize) -> &[u8] {
        let window = self.window.as_deref().expect("loaded before");
        let start = (offset - self.window_start) as usize;
        &window[start..start + len]
    }

    fn format(&self, what: String) -> Error {
        Error::Format { file: self.path.clone(), what }
    }
}

pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
