//! Analysis: where the log of an incarnation ends, and whether anything that was confirmed is missing.
//!
//! The walk begins in the segment that holds `from` and goes from batch to batch. Let H be the position at the first
//! place that holds no valid batch. Every batch states how far the log was durable when it was built; so if any valid batch
//! behind that place states more than H, something that was confirmed is gone, and that is corruption. If none does,
//! the log ends at H: a torn tail, with nothing in it that was acknowledged as durable.
//!
//! How far behind: writes that need not survive (`Process`, `Eventual`) may run ahead of the last sync without bound, so the
//! search covers the rest of the segment and all segments behind it. A log that was closed says so in its last
//! batch, and nothing is searched.
//!
//! # Invariants
//!
//! - **AN1** A batch is in its place if its LSN, its incarnation and the CRC of its predecessor are what the walk expects.
//! - **AN2** A segment is left for the next only at exactly its capacity (TA3). The next one must begin at that position.
//! - **AN3** Behind a full segment there is a file (CH6), whole (CH1), and so there is between two that were begun. A
//!   missing or shortened one is corruption.
//! - **AN4** Every step goes forward by at least a block; memory is bounded by one window (RE1).

use crate::chain::SEGMENT_BYTES_MIN;
use crate::format::{BATCH_FILE_BYTES_MAX, FLAG_CLOSED, SegmentHeader};
use crate::reader::{SegmentReader, Source};
use crate::replay::Tail;
use crate::scanner::RecordScanner;
use crate::{Error, Lsn, Result};
use aquifer_io::BLOCK_BYTES;

/// A segment that replay reads.
#[derive(Debug, Clone)]
pub(crate) struct LiveSegment {
    pub(crate) number: u64,
    /// End of its batches in the file.
    pub(crate) end: u64,
}

/// What is to be replayed.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) segments: Vec<LiveSegment>,
    pub(crate) tail: Tail,
}

/// A segment file and, if it was begun in this life, its header.
#[derive(Debug)]
struct Found {
    number: u64,
    header: Option<SegmentHeader>,
}

/// Where a walk stopped.
struct End {
    /// Index into the files found.
    index: usize,
    offset: u64,
    lsn: u64,
    /// The segment is full to its capacity.
    full: bool,
    closed: bool,
}

impl Analysis {
    /// Analyses the log from `from` on.
    pub(crate) fn run(source: &Source, from: u64) -> Result<Analysis> {
        let mut tail = Tail { end: Lsn(from), ..Tail::default() };
        let found = list(source, from, &mut tail)?;
        let begun: Vec<usize> = (0..found.len()).filter(|&index| found[index].header.is_some()).collect();
        tail.segments = begun.len() as u64;
        check_order(source, &found, &begun)?;
        let Some(&first) = begun.first() else {
            no_batches(source, &found)?;
            return Ok(Analysis { segments: Vec::new(), tail });
        };
        let first_lsn = |index: usize| found[index].header.as_ref().expect("begun").first_lsn;
        let Some(&start) = begun.iter().rfind(|&&index| first_lsn(index) <= from) else {
            let what = format!("the log begins only here, but the checkpoint needs it from {from} on");
            return Err(corrupt(source, found[first].number, 0, first_lsn(first), what));
        };
        let mut walk =
            Walk { source, found: &found, scanner: RecordScanner::new(from), segments: Vec::new() };
        let end = walk.run(start)?;
        if !end.closed {
            tail.cut_bytes = search_behind(source, &found, &end)?;
        }
        if end.lsn < from {
            let what = format!("the log ends here, but the checkpoint names position {from}");
            return Err(corrupt(source, found[end.index].number, end.offset, end.lsn, what));
        }
        let whole = walk.scanner.whole_end();
        tail.end = Lsn(whole);
        tail.cut_bytes += end.lsn - whole;
        Ok(Analysis { segments: walk.segments, tail })
    }
}

/// All segment files in order, with the headers of those that belong to the incarnation.
fn list(source: &Source, from: u64, tail: &mut Tail) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for number in source.numbers()? {
        let header = source.open(number)?.header()?;
        if let Some(header) = &header {
            tail.incarnation_max = tail.incarnation_max.max(header.incarnation);
        }
        let header = header.filter(|header| header.incarnation == source.incarnation);
        // A recycled file that was not begun yet still has the header of its earlier life, under a lower number, and holds
        // only what a checkpoint covers.
        if let Some(header) = &header
            && (header.number > number || header.number < number && header.first_lsn > from)
        {
            let what = format!("it is segment {}; files were renamed", header.number);
            return Err(Error::Corrupt {
                file: source.path(number),
                offset: 0,
                lsn: Lsn(header.first_lsn),
                what,
            });
        }
        found.push(Found { number, header: header.filter(|header| header.number == number) });
    }
    Ok(found)
}

fn check_order(source: &Source, found: &[Found], begun: &[usize]) -> Result<()> {
    let mut last_lsn = 0;
    for &index in begun {
        let Found { number, header } = &found[index];
        let first_lsn = header.as_ref().expect("begun").first_lsn;
        if first_lsn < last_lsn {
            let what = format!("it begins before the segment before it, at {first_lsn}");
            return Err(corrupt(source, *number, 0, first_lsn, what));
        }
        last_lsn = first_lsn;
    }
    Ok(())
}

/// Without a segment that was begun there can be no batch: the first header is durable before anything else is written.
fn no_batches(source: &Source, found: &[Found]) -> Result<()> {
    for file in found {
        let mut reader = source.open(file.number)?;
        let mut offset = 0;
        while offset < reader.len {
            if let Some(batch) = reader.batch(offset, reader.len)? {
                let what = "the segment's header is damaged".to_owned();
                return Err(corrupt(source, file.number, 0, batch.header.first_lsn, what));
            }
            offset += BLOCK_BYTES as u64;
        }
    }
    Ok(())
}

struct Walk<'a> {
    source: &'a Source,
    found: &'a [Found],
    scanner: RecordScanner,
    segments: Vec<LiveSegment>,
}

impl Walk<'_> {
    /// Goes from batch to batch, from the beginning of the file at `start` on.
    fn run(&mut self, start: usize) -> Result<End> {
        let mut index = start;
        let mut lsn = self.header(start).expect("begun").first_lsn;
        let mut previous_crc = None;
        loop {
            let Found { number, .. } = self.found[index];
            let capacity = self.header(index).expect("begun").capacity;
            let mut reader = self.source.open(number)?;
            if reader.len < capacity {
                let what = format!("the file is shorter than the {capacity} bytes that its header states");
                return Err(corrupt(self.source, number, reader.len, lsn, what)); // AN3
            }
            let mut at = WalkPosition { offset: BLOCK_BYTES as u64, lsn, previous_crc, closed: false };
            walk_segment(self.source, &mut self.scanner, &mut reader, capacity, &mut at)?;
            let WalkPosition { offset, closed, .. } = at;
            (lsn, previous_crc) = (at.lsn, at.previous_crc);
            self.segments.push(LiveSegment { number, end: offset });
            let next = self.found.get(index + 1).filter(|next| next.number == number + 1);
            let full = offset == capacity;
            if !closed && full && next.is_some_and(|next| next.header.is_some()) {
                let first_lsn = self.header(index + 1).expect("begun").first_lsn;
                if first_lsn != lsn {
                    // AN2
                    let what = format!("it begins at {first_lsn}, but the segment before it ends at {lsn}");
                    return Err(corrupt(self.source, number + 1, 0, lsn, what));
                }
                index += 1;
                continue;
            }
            return Ok(End { index, offset, lsn, full, closed });
        }
    }

    fn header(&self, index: usize) -> Option<&SegmentHeader> {
        self.found[index].header.as_ref()
    }
}

/// Where a walk through a segment is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalkPosition {
    /// End of the last batch in the file.
    pub(crate) offset: u64,
    /// LSN after its last record byte.
    pub(crate) lsn: u64,
    /// Its CRC; nothing before the first batch of the walk.
    pub(crate) previous_crc: Option<u32>,
    /// The log was closed with it.
    pub(crate) closed: bool,
}

/// Walks one segment as long as its batches are valid and in their place (AN1).
///
/// # Errors
///
/// `Corrupt` for a record whose length makes no sense, `Io`; the position is then that of the batch which it is in.
pub(crate) fn walk_segment(
    source: &Source,
    scanner: &mut RecordScanner,
    reader: &mut SegmentReader,
    capacity: u64,
    at: &mut WalkPosition,
) -> Result<()> {
    while let Some(batch) = reader.batch(at.offset, capacity)? {
        let header = &batch.header;
        // AN1. The first batch of the walk may have a predecessor that is not read.
        if header.first_lsn != at.lsn || at.previous_crc.is_some_and(|crc| crc != header.previous_crc) {
            break;
        }
        let bytes = reader.record_bytes(at.offset, 0..header.len as usize);
        scanner
            .feed(at.lsn, bytes)
            .map_err(|(lsn, what)| corrupt(source, reader.number, at.offset, lsn, what))?;
        at.lsn = header.end_lsn();
        at.previous_crc = Some(batch.crc);
        at.offset += header.file_bytes();
        if header.flags & FLAG_CLOSED != 0 {
            at.closed = true;
            break;
        }
    }
    Ok(())
}

/// Looks behind the end for proof that more was confirmed. Returns the record bytes of valid batches found there.
fn search_behind(source: &Source, found: &[Found], end: &End) -> Result<u64> {
    let missing = |number: u64| Err(corrupt(source, number, 0, end.lsn, "the file is missing".to_owned()));
    // AN3
    let last_begun = found.iter().rposition(|file| file.header.is_some()).expect("one was walked");
    for pair in found[end.index..=last_begun].windows(2) {
        if pair[1].number != pair[0].number + 1 {
            return missing(pair[0].number + 1);
        }
    }
    if end.full && found.get(end.index + 1).is_none_or(|next| next.number != found[end.index].number + 1) {
        return missing(found[end.index].number + 1);
    }
    let mut discarded = 0;
    for (index, file) in found.iter().enumerate().skip(end.index) {
        let mut reader = source.open(file.number)?;
        if index > end.index && reader.len < SEGMENT_BYTES_MIN {
            let what = "the file is shorter than any segment".to_owned();
            return Err(corrupt(source, file.number, reader.len, end.lsn, what)); // AN3
        }
        let mut offset = if index == end.index { end.offset } else { 0 };
        while offset < reader.len {
            let Some(batch) = reader.batch(offset, reader.len)? else {
                offset += BLOCK_BYTES as u64;
                continue;
            };
            if batch.header.durable > end.lsn {
                let what = format!(
                    "no valid batch is here, but the log was confirmed up to {} (stated in segment {} at {offset})",
                    batch.header.durable, file.number
                );
                return Err(corrupt(source, found[end.index].number, end.offset, end.lsn, what));
            }
            discarded += u64::from(batch.header.len);
            offset += batch.header.file_bytes();
        }
    }
    Ok(discarded)
}

fn corrupt(source: &Source, number: u64, offset: u64, lsn: u64, what: String) -> Error {
    Error::Corrupt { file: source.path(number), offset, lsn: Lsn(lsn), what }
}

const _: () = assert!(BATCH_FILE_BYTES_MAX.is_multiple_of(BLOCK_BYTES), "AN4");
