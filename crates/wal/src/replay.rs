//! The log that is read: analysed as a whole, then record by record.
//!
//! # Invariants
//!
//! - **RP1** What [`Replay::next`] returns lies before the end that analysis found, and was checked again (RE2) when it
//!   was read again: a batch that has become invalid in between is corruption.
//! - **RP2** A record buffer grows by bytes that were checked, never by a length that was read.

use crate::analysis::{Analysis, LiveSegment};
use crate::reader::{SegmentReader, Source};
use crate::{Error, Lsn, Result};
use aquifer_codec::varint;
use aquifer_io::{BLOCK_BYTES, Disk};
use aquifer_sync::Arc;

/// What was found at the end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// The end of the last whole record.
    pub end: Lsn,
    /// Record bytes after it that were discarded: part of a record, and batches that overtook a lost one.
    pub cut_bytes: u64,
    /// Highest incarnation seen in any segment of this database, 0 if none.
    pub incarnation_max: u64,
    /// Segments of the incarnation. [`Log::start`](crate::Log::start) makes one durable before it returns, so 0 means
    /// that the incarnation never started a log here, or that its files were removed.
    pub segments: u64,
}

/// Reads records in order.
#[derive(Debug)]
pub struct Replay {
    source: Source,
    segments: std::vec::IntoIter<LiveSegment>,
    reader: Option<OpenSegment>,
    /// LSN of the next record byte to read.
    position: u64,
    /// A record that spans batches.
    record: Vec<u8>,
    tail: Tail,
}

/// The segment that is being read, and the batch in it.
#[derive(Debug)]
struct OpenSegment {
    reader: SegmentReader,
    /// End of its batches.
    end: u64,
    /// Offset of the next batch.
    next: u64,
    /// Offset of the present batch.
    batch: u64,
    /// LSN of its first record byte.
    batch_lsn: u64,
    batch_len: usize,
    /// When it was built.
    time_us: u64,
}

impl Replay {
    /// Analyses the segments of `database_id` and `incarnation` in `directory` and prepares to read from `from`, which is the
    /// start of a record or the end of the log. A missing directory or no segments is an empty log (see
    /// [`Tail::segments`]). Reads the log from `from` to its end once; takes memory for one batch, 1 MiB at most.
    ///
    /// # Errors
    ///
    /// `Corrupt` where something that was confirmed is damaged or missing. `Format` if a segment is of another database or
    /// a newer format. `Io` if the disk refuses to read.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &str,
        database_id: [u8; 16],
        incarnation: u64,
        from: Lsn,
    ) -> Result<Replay> {
        let source = Source::new(disk, directory, database_id, incarnation);
        let Analysis { segments, tail } = Analysis::run(&source, from.0)?;
        Ok(Replay::over(source, segments, from.0, tail))
    }

    /// Over segments that the caller has analysed; `from` is the start of a record.
    pub(crate) fn over(source: Source, segments: Vec<LiveSegment>, from: u64, tail: Tail) -> Replay {
        Replay {
            source,
            segments: segments.into_iter(),
            reader: None,
            position: from,
            record: Vec::new(),
            tail,
        }
    }

    /// The next record and its end LSN, `None` at the end of the log.
    ///
    /// # Errors
    ///
    /// `Corrupt` if bytes changed since they were analysed; `Io`.
    #[expect(clippy::should_implement_trait, reason = "the record borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<(Lsn, &[u8])>> {
        if self.position >= self.tail.end.0 {
            return Ok(None);
        }
        self.load()?;
        let available = self.available();
        if let Some((len, field_bytes)) = varint::get(available)
            && available.len() - field_bytes >= len as usize
        {
            let start = self.position;
            self.position += field_bytes as u64 + len;
            let record = self.bytes_at(start);
            return Ok(Some((Lsn(self.position), &record[field_bytes..field_bytes + len as usize])));
        }
        self.gather()?;
        Ok(Some((Lsn(self.position), &self.record)))
    }

    /// A second reader of the same records, for those who look ahead.
    ///
    /// # Panics
    ///
    /// If a record has been read.
    pub fn fork(&self) -> Replay {
        assert!(self.reader.is_none(), "it has begun");
        let segments = self.segments.as_slice().to_vec();
        Replay::over(self.source.clone(), segments, self.position, self.tail.clone())
    }

    /// The end, known once analysed.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// When the batch was built that the last record ends in: microseconds since 1970.
    pub(crate) fn time_us(&self) -> u64 {
        self.reader.as_ref().map_or(0, |open| open.time_us)
    }

    /// Reads a record that spans batches into `record`.
    fn gather(&mut self) -> Result<()> {
        let mut field = Vec::with_capacity(varint::LEN_MAX);
        let len = loop {
            self.load()?;
            let byte = self.available()[0];
            field.push(byte);
            self.position += 1;
            if byte < 0x80 || field.len() == varint::LEN_MAX {
                let (len, _) = varint::get(&field).ok_or_else(|| self.changed())?;
                break len as usize;
            }
        };
        self.record.clear();
        while self.record.len() < len {
            self.load()?;
            let wanted = len - self.record.len();
            let available = self.reader.as_ref().map_or(&[][..], |open| open.bytes_at(self.position));
            let piece = &available[..wanted.min(available.len())];
            self.record.extend_from_slice(piece); // RP2
            self.position += piece.len() as u64;
        }
        Ok(())
    }

    /// Bytes of the present batch from `position` on; empty if there is none.
    fn available(&self) -> &[u8] {
        self.bytes_at(self.position)
    }

    fn bytes_at(&self, position: u64) -> &[u8] {
        self.reader.as_ref().map_or(&[], |open| open.bytes_at(position))
    }

    /// Goes on until there is a byte at `position`.
    fn load(&mut self) -> Result<()> {
        while self.available().is_empty() {
            if self.reader.as_ref().is_none_or(|open| open.next >= open.end) {
                let segment = self.segments.next().ok_or_else(|| self.changed())?;
                let reader = self.source.open(segment.number)?;
                let next = BLOCK_BYTES as u64;
                let (batch, batch_lsn, batch_len) = (0, 0, 0);
                self.reader = Some(OpenSegment {
                    reader,
                    end: segment.end,
                    next,
                    batch,
                    batch_lsn,
                    batch_len,
                    time_us: 0,
                });
            }
            let changed = self.changed();
            let open = self.reader.as_mut().expect("opened above");
            if open.next < open.end {
                let batch = open.reader.batch(open.next, open.end)?.ok_or(changed)?;
                open.batch = open.next;
                open.batch_lsn = batch.header.first_lsn;
                open.batch_len = batch.header.len as usize;
                open.time_us = batch.header.time_us;
                open.next += batch.header.file_bytes();
            }
        }
        Ok(())
    }

    /// RP1.
    fn changed(&self) -> Error {
        let (file, offset) = match &self.reader {
            Some(open) => (open.reader.path.clone(), open.next),
            None => (self.source.name(), 0),
        };
        let what = "it was valid when the log was analysed, and is not any more".to_owned();
        Error::Corrupt { file, offset, lsn: Lsn(self.position), what }
    }
}

impl OpenSegment {
    fn bytes_at(&self, position: u64) -> &[u8] {
        match position.checked_sub(self.batch_lsn) {
            Some(skip) if (skip as usize) < self.batch_len => {
                self.reader.record_bytes(self.batch, skip as usize..self.batch_len)
            }
            _ => &[],
        }
    }
}
