//! The log of a database over all its incarnations, read from one position on up to a target: for bringing a backup forward.
//!
//! ```text
//!   incarnation 4   [------------------------|........]     what follows was cut off by the opening that began the next
//!   incarnation 5                            [------------|
//!   incarnation 6                                         [----------------   the archive ends here
//!   position        from -->                                       ^ until
//! ```
//!
//! # Invariants
//!
//! - **HI1** An incarnation counts up to where the first of the later ones begins: the opening that began it found the log to end
//!   there. What lies behind was never acknowledged, or belongs to an opening that was cut off before it served.
//! - **HI2** No position is passed over: where segments are missing or damaged before the target is reached, that is an error, with
//!   the place up to which the log can be read. A file that cannot be read, or of which nobody can tell what it is, may be the end.
//! - **HI3** A moment is reached only if a record was written by then: the first one behind a backup tells of its checkpoint, so
//!   without it the backup may be later than that moment.

use crate::format::{FirstBlock, SegmentHeader};
use crate::reader::Source;
use crate::{Error, LogPlace, Lsn, Remains, Replay, Result};
use std::collections::VecDeque;
use std::ops::Range;

/// Records in the order of commits.
pub trait Records {
    /// The next record and its end LSN, `None` at the end.
    ///
    /// # Errors
    ///
    /// The log's, with the place.
    fn next(&mut self) -> Result<Option<(Lsn, &[u8])>>;
}

impl Records for Replay {
    fn next(&mut self) -> Result<Option<(Lsn, &[u8])>> {
        Replay::next(self)
    }
}

/// How far a history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the end of what is there.
    End,
    /// Records that end at or before this position, which must be reached.
    Lsn(Lsn),
    /// Records that were written at or before this time: microseconds since 1970. A record is written at most a flush after it
    /// was committed.
    Time(u64),
}

/// The part of a history that one incarnation holds.
#[derive(Debug, Clone)]
struct Piece {
    incarnation: u64,
    first: u64,
    /// HI1.
    limit: Option<u64>,
    /// Its segments.
    numbers: Range<u64>,
}

/// See the module's head.
#[derive(Debug)]
pub struct History {
    source: Source,
    pieces: VecDeque<Piece>,
    current: Option<(Piece, Remains)>,
    until: Until,
    /// End of the last record.
    position: u64,
    time_us: u64,
    record: Vec<u8>,
    ended: bool,
    /// The last file, if it is damaged beyond telling whose it is (HI2).
    damaged: Option<String>,
}

/// Segments that were begun in their present life, ascending, and the last file if it is damaged.
fn segments(source: &Source) -> Result<(Vec<SegmentHeader>, Option<String>)> {
    let (mut found, mut damaged) = (Vec::new(), None);
    for number in source.numbers()? {
        let mut reader = source.open(number)?;
        let header = match reader.first_block() {
            Ok(FirstBlock::Header(header)) if header.number == number => header,
            Ok(FirstBlock::Header(_)) => continue,
            Ok(FirstBlock::Newer(version)) => {
                let what = format!("it has format version {version}; use a newer release");
                return Err(Error::Format { file: reader.path, what });
            }
            Ok(FirstBlock::Nothing) if reader.is_blank()? => continue,
            Ok(FirstBlock::Nothing) | Err(_) => match reader.implied_header() {
                Ok(Some(header)) => header,
                _ => {
                    damaged = Some(reader.path);
                    continue;
                }
            },
        };
        if header.database_id == source.database_id {
            found.push(header);
            damaged = None; // one before it is missed where it is needed
        }
    }
    Ok((found, damaged))
}

impl History {
    /// Reads the log of a database from `from` on, a position in `incarnation` where a record starts. Segments may lie in several
    /// places, such as an archive and the directory of a log that nobody uses.
    ///
    /// # Errors
    ///
    /// `Incomplete` if the places hold no log of the database; `Format` for a segment of a newer release; `Io`.
    pub fn open(
        places: Vec<LogPlace>,
        database_id: [u8; 16],
        incarnation: u64,
        from: Lsn,
        until: Until,
    ) -> Result<History> {
        let source = Source { places, range: 0..u64::MAX, database_id, incarnation };
        let (ours, damaged) = segments(&source)?;
        if ours.is_empty() && !source.places.is_empty() {
            let what = "there is no segment of this database".to_owned();
            return Err(Error::Incomplete { place: source.name(), what });
        }
        let mut pieces: VecDeque<Piece> = VecDeque::new();
        let mut earlier = 0; // number of the last segment of earlier incarnations
        for of_one in ours.chunk_by(|a, b| a.incarnation == b.incarnation) {
            let SegmentHeader { incarnation: of, first_lsn, .. } = of_one[0];
            if let Some(before) = pieces.back_mut() {
                before.numbers.end = of_one[0].number;
            }
            if of >= incarnation {
                let first = if of == incarnation { from.0 } else { first_lsn };
                pieces.push_back(Piece {
                    incarnation: of,
                    first,
                    limit: None,
                    numbers: earlier + 1..u64::MAX,
                });
            }
            earlier = of_one[of_one.len() - 1].number;
        }
        let mut limit = None;
        for piece in pieces.iter_mut().rev() {
            piece.limit = limit;
            limit = Some(limit.map_or(piece.first, |limit: u64| limit.min(piece.first)));
        }
        Ok(History {
            source,
            pieces,
            current: None,
            until,
            position: from.0,
            time_us: 0,
            record: Vec::new(),
            ended: false,
            damaged,
        })
    }

    /// The end of the last record that was given.
    pub fn position(&self) -> Lsn {
        Lsn(self.position)
    }

    /// When it was written: microseconds since 1970; 0 before the first.
    pub fn time_us(&self) -> u64 {
        self.time_us
    }

    /// Goes on to the next incarnation that holds anything. Whether there is one.
    fn begin_piece(&mut self) -> Result<bool> {
        while let Some(piece) = self.pieces.pop_front() {
            if piece.limit.is_some_and(|limit| limit <= piece.first) {
                continue; // HI1: it was cut off before it served
            }
            if piece.first != self.position {
                let what = format!("the next that is there begins at {}", piece.first);
                return Err(self.gap(&what)); // HI2
            }
            let Source { places, database_id, .. } = self.source.clone();
            let (incarnation, range) = (piece.incarnation, piece.numbers.clone());
            let source = Source { places, range, database_id, incarnation };
            let remains = Remains::over(source, Some(Lsn(piece.first)))?;
            self.current = Some((piece, remains));
            return Ok(true);
        }
        Ok(false)
    }

    /// An incarnation has no more records: is that where it ended?
    fn end_piece(&mut self) -> Result<()> {
        let Some((piece, remains)) = self.current.take() else { return Ok(()) };
        let damage = remains.end().damage.as_deref();
        match piece.limit {
            Some(limit) if limit == self.position => Ok(()),
            Some(limit) => {
                let what = format!("the next that is there begins at {limit}");
                Err(self.gap(damage.unwrap_or(&what)))
            }
            None if remains.ends_full() => Ok(()),
            None => damage.map_or(Ok(()), |damage| Err(self.gap(damage))),
        }
    }

    fn gap(&self, what: &str) -> Error {
        let what = format!(
            "it is missing or damaged from position {} on: {what}; give the folder that has it, restore up to that position, or \
             begin with a later backup",
            self.position
        );
        Error::Incomplete { place: self.source.name(), what }
    }

    fn is_beyond(&self, end: u64, time_us: u64) -> bool {
        match self.until {
            Until::End => false,
            Until::Lsn(lsn) => end > lsn.0,
            Until::Time(time) => time_us > time,
        }
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        let is_short = match self.until {
            Until::Lsn(lsn) => self.position < lsn.0,
            Until::End | Until::Time(_) => true,
        };
        if let Some(file) = self.damaged.as_ref().filter(|_| is_short && self.pieces_are_read()) {
            return Err(self.gap(&format!("{file} cannot be read"))); // HI2
        }
        match self.until {
            Until::Time(_) if self.time_us == 0 => {
                let what = format!(
                    "nothing that was written from position {} on by that time is there, so the backup may be later than it; begin \
                     with an earlier backup",
                    self.position
                );
                Err(Error::Incomplete { place: self.source.name(), what }) // HI3
            }
            Until::Lsn(lsn) if lsn.0 < self.position || self.position < lsn.0 && self.pieces_are_read() => {
                let what = format!("position {} was asked for, but it was read to {}", lsn.0, self.position);
                Err(Error::Incomplete { place: self.source.name(), what })
            }
            _ => Ok(()),
        }
    }

    fn pieces_are_read(&self) -> bool {
        self.current.is_none() && self.pieces.is_empty()
    }
}

impl Records for History {
    fn next(&mut self) -> Result<Option<(Lsn, &[u8])>> {
        while !self.ended {
            if matches!(self.until, Until::Lsn(lsn) if lsn.0 <= self.position) {
                self.end()?;
                continue;
            }
            let Some((piece, remains)) = &mut self.current else {
                if !self.begin_piece()? {
                    self.end()?;
                }
                continue;
            };
            let limit = piece.limit.unwrap_or(u64::MAX);
            let found = match remains.next()? {
                Some((lsn, record)) if lsn.0 <= limit => {
                    self.record.clear();
                    self.record.extend_from_slice(record);
                    Some(lsn)
                }
                _ => None,
            };
            let time_us = remains.time_us();
            match found {
                Some(lsn) if self.is_beyond(lsn.0, time_us) => self.end()?,
                Some(lsn) => {
                    (self.position, self.time_us) = (lsn.0, time_us);
                    return Ok(Some((lsn, &self.record)));
                }
                None => self.end_piece()?,
            }
        }
        Ok(None)
    }
}
