//! A log that may be damaged, read as far as it can be: for looking at a log, and for salvage. Nothing is written.
//!
//! [`Replay`] is for recovery and refuses a log of which anything confirmed is missing. This reads the same records by
//! the same checks, stops at the first place that holds no valid batch, and says where and why.
//!
//! # Invariants
//!
//! - **RM1** No record is returned that recovery of a sound log would not return: every byte comes from a batch that was
//!   checked, in its place, in an unbroken row of batches from the start of a record on.
//! - **RM2** A damaged segment header costs nothing: its batches say themselves where they belong (FO3).
//! - **RM3** Behind a gap nothing is read: where the next record starts cannot be told.

use crate::analysis::{Analysis, LiveSegment, WalkPosition, walk_segment};
use crate::format::{FirstBlock, SegmentHeader};
use crate::reader::Source;
use crate::replay::{Replay, Tail};
use crate::scanner::RecordScanner;
use crate::{Error, Lsn, Result};
use aquifer_io::{BLOCK_BYTES, Disk};
use aquifer_sync::Arc;

/// Where reading a log ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// The segment file where it ended; nothing if there is no segment to read.
    pub file: Option<String>,
    /// Byte offset in it.
    pub offset: u64,
    /// The end of the last whole record.
    pub lsn: Lsn,
    /// The log was closed there: nothing was ever behind it.
    pub closed: bool,
    /// What is damaged or missing, where that is known. Without, and if it was not closed, what follows is a torn end as a
    /// crash leaves it.
    pub damage: Option<String>,
    /// Record bytes behind it that belong to no whole record or follow a lost batch.
    pub cut_bytes: u64,
}

/// Whose log a segment file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogIdentity {
    /// The database.
    pub database_id: [u8; 16],
    /// The incarnation.
    pub incarnation: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Remains {
    replay: Replay,
    start: Lsn,
    end: LogEnd,
    ends_full: bool,
}

/// A segment that was begun in the incarnation.
#[derive(Debug, Clone, Copy)]
struct Begun {
    number: u64,
    first_lsn: u64,
    /// Of what is there of the file.
    capacity: u64,
    /// Nothing of it was cut off.
    is_whole: bool,
    /// Its first batch is the first of the incarnation: a record starts there.
    is_origin: bool,
}

impl Remains {
    /// Prepares to read the log of `database_id` and `incarnation` from `from`, which is the start of a record; without,
    /// from the incarnation's first record, if its first segment is still there. Reads the log twice; takes memory for one
    /// batch.
    ///
    /// # Errors
    ///
    /// `Io` if the directory cannot be listed. Damage is no error: it is in [`end`](Self::end).
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &str,
        database_id: [u8; 16],
        incarnation: u64,
        from: Option<Lsn>,
    ) -> Result<Remains> {
        Self::over(Source::new(disk, directory, database_id, incarnation), from)
    }

    /// As `open`, wherever the segments lie.
    pub(crate) fn over(source: Source, from: Option<Lsn>) -> Result<Remains> {
        let begun = begun(&source)?;
        let origin = begun.iter().find(|segment| segment.is_origin).map(|segment| segment.first_lsn);
        let start = from.map(|lsn| lsn.0).or(origin);
        let first = start.and_then(|start| begun.iter().rposition(|segment| segment.first_lsn <= start));
        let (Some(start), Some(first)) = (start, first) else {
            return Self::nothing(source, from, &begun);
        };
        let (segments, mut end) = walk(&source, &begun[first..], start);
        if end.lsn.0 < start {
            end.lsn = Lsn(start);
            end.damage.get_or_insert(format!("the log ends before position {start}"));
        }
        if !end.closed && end.damage.is_none() {
            // From its end: what lies before was walked, and files recycled since then are no matter.
            match Analysis::run(&source, end.lsn.0) {
                Ok(sound) => end.cut_bytes = sound.tail.cut_bytes,
                Err(Error::Corrupt { file, offset, what, .. }) => {
                    end.damage = Some(format!("{file}, byte {offset}: {what}"))
                }
                Err(other) => end.damage = Some(other.to_string()),
            }
        }
        let tail = Tail { end: end.lsn, segments: begun.len() as u64, ..Tail::default() };
        let last = segments.last().map(|segment| segment.number);
        let at_end = begun.iter().find(|segment| Some(segment.number) == last);
        let full = at_end.is_some_and(|segment| segment.is_whole && segment.capacity == end.offset);
        let ends_full = full && source.numbers()?.iter().all(|&number| Some(number) <= last);
        Ok(Remains { replay: Replay::over(source, segments, start, tail), start: Lsn(start), end, ends_full })
    }

    fn nothing(source: Source, from: Option<Lsn>, begun: &[Begun]) -> Result<Remains> {
        let what = match begun.first() {
            Some(segment) => format!(
                "the log begins in {} at position {}; what came before is gone, and where a record starts cannot be told",
                source.path(segment.number),
                segment.first_lsn
            ),
            None => format!("no segment of incarnation {} is in {}/", source.incarnation, source.name()),
        };
        let lsn = from.unwrap_or(Lsn(0));
        let cut_bytes = begun.iter().map(|segment| bytes_in_batches(&source, segment)).sum();
        let end = LogEnd { file: None, offset: 0, lsn, closed: false, damage: Some(what), cut_bytes };
        let tail = Tail { end: lsn, ..Tail::default() };
        Ok(Remains {
            replay: Replay::over(source, Vec::new(), lsn.0, tail),
            start: lsn,
            end,
            ends_full: false,
        })
    }

    /// Which logs the segment files of a directory belong to, ascending and without repetition. Files that were not begun
    /// in their present life say nothing.
    ///
    /// # Errors
    ///
    /// `Io` if the directory cannot be listed.
    pub fn identities(disk: &Arc<dyn Disk>, directory: &str) -> Result<Vec<LogIdentity>> {
        let mut found: Vec<LogIdentity> = headers(&Source::new(Arc::clone(disk), directory, [0; 16], 0))?
            .iter()
            .map(|&SegmentHeader { database_id, incarnation, .. }| LogIdentity { database_id, incarnation })
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The next record and its end LSN, `None` at the end.
    ///
    /// # Errors
    ///
    /// `Corrupt` if bytes changed since they were analysed; `Io`.
    #[expect(clippy::should_implement_trait, reason = "the record borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<(Lsn, &[u8])>> {
        self.replay.next()
    }

    /// A second reader of the same records, for those who look ahead.
    ///
    /// # Panics
    ///
    /// If a record has been read.
    pub fn fork(&self) -> Remains {
        let (start, end, ends_full) = (self.start, self.end.clone(), self.ends_full);
        Remains { replay: self.replay.fork(), start, end, ends_full }
    }

    /// When the batch was written that the last record ends in: microseconds since 1970.
    pub(crate) fn time_us(&self) -> u64 {
        self.replay.time_us()
    }

    /// Where reading begins.
    pub fn start(&self) -> Lsn {
        self.start
    }

    /// Where it ends, and why.
    pub fn end(&self) -> &LogEnd {
        &self.end
    }

    /// It ends with a full segment, and there is none with a higher number: where an archive ends.
    pub(crate) fn ends_full(&self) -> bool {
        self.ends_full
    }
}

/// The headers of all segments that were begun in their present life, ascending. A file that cannot be read is passed over.
fn headers(source: &Source) -> Result<Vec<SegmentHeader>> {
    let mut found = Vec::new();
    for number in source.numbers()? {
        let Ok(mut reader) = source.open(number) else { continue };
        if let Ok(FirstBlock::Header(header)) = reader.first_block()
            && header.number == number
        {
            found.push(header);
        }
    }
    Ok(found)
}

/// The segments of the incarnation, in order. A file that cannot be read is not among them (RM3 ends the log there).
fn begun(source: &Source) -> Result<Vec<Begun>> {
    let mut begun: Vec<Begun> = Vec::new();
    for number in source.numbers()? {
        let Ok(mut reader) = source.open(number) else { continue };
        let header = match reader.first_block() {
            Ok(FirstBlock::Header(header)) => Some(header),
            Ok(FirstBlock::Nothing) => None,
            Ok(FirstBlock::Newer(_)) | Err(_) => continue,
        };
        let ours =
            |id: [u8; 16], incarnation: u64| id == source.database_id && incarnation == source.incarnation;
        if header.as_ref().is_some_and(|h| h.number != number || !ours(h.database_id, h.incarnation)) {
            continue;
        }
        let first = reader.batch(BLOCK_BYTES as u64, reader.len).ok().flatten().map(|batch| batch.header);
        let is_origin = first.is_some_and(|first| first.previous_crc == 0);
        let (first_lsn, capacity) = match (header, first) {
            (Some(header), _) => (header.first_lsn, header.capacity),
            (None, Some(first)) => (first.first_lsn, reader.len), // RM2
            (None, None) => continue,
        };
        if begun.last().is_none_or(|last| last.first_lsn <= first_lsn) {
            let (is_whole, capacity) = (capacity <= reader.len, capacity.min(reader.len));
            begun.push(Begun { number, first_lsn, capacity, is_whole, is_origin });
        }
    }
    Ok(begun)
}

/// Record bytes of all valid batches of a segment, wherever they lie.
fn bytes_in_batches(source: &Source, segment: &Begun) -> u64 {
    let Ok(mut reader) = source.open(segment.number) else { return 0 };
    let (mut offset, mut bytes) = (BLOCK_BYTES as u64, 0);
    while offset < segment.capacity {
        match reader.batch(offset, segment.capacity) {
            Ok(Some(batch)) => {
                bytes += u64::from(batch.header.len);
                offset += batch.header.file_bytes();
            }
            Ok(None) | Err(_) => offset += BLOCK_BYTES as u64,
        }
    }
    bytes
}

/// Goes from batch to batch, from segment to segment, as long as it can.
fn walk(source: &Source, begun: &[Begun], from: u64) -> (Vec<LiveSegment>, LogEnd) {
    let mut scanner = RecordScanner::new(from);
    let mut segments = Vec::new();
    let mut at = WalkPosition { offset: 0, lsn: begun[0].first_lsn, previous_crc: None, closed: false };
    let mut file = None;
    let mut damage = None;
    for (index, segment) in begun.iter().enumerate() {
        let follows = index == 0 || begun[index - 1].number + 1 == segment.number;
        if !follows || segment.first_lsn != at.lsn {
            break;
        }
        file = Some(source.path(segment.number));
        at.offset = BLOCK_BYTES as u64;
        let walked = source.open(segment.number).and_then(|mut reader| {
            walk_segment(source, &mut scanner, &mut reader, segment.capacity, &mut at)
        });
        // A batch that is valid and holds a senseless record is read up to that.
        let end = if walked.is_ok() { at.offset } else { segment.capacity };
        segments.push(LiveSegment { number: segment.number, end });
        if let Err(error) = walked {
            damage = Some(match error {
                Error::Corrupt { file, offset, what, .. } => format!("{file}, byte {offset}: {what}"),
                other => other.to_string(),
            });
            break;
        }
        if at.closed || at.offset != segment.capacity {
            break;
        }
    }
    let lsn = Lsn(scanner.whole_end());
    let end = LogEnd {
        file,
        offset: at.offset,
        lsn,
        closed: at.closed,
        damage,
        cut_bytes: at.lsn.saturating_sub(lsn.0),
    };
    (segments, end)
}
