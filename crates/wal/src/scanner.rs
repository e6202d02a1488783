//! Finding the ends of records in a stream of record bytes that arrives in pieces.

use crate::format::{LSN_MAX, RECORD_BYTES_MAX};
use aquifer_codec::varint;

/// Follows records by their length fields, from the start of one on.
#[derive(Debug)]
pub(crate) struct RecordScanner {
    /// Start of the record that is being read, and end of the one before it.
    start: u64,
    /// Bytes of its length field so far.
    field: [u8; varint::LEN_MAX],
    field_bytes: usize,
    /// Its end, once the length field is complete.
    end: Option<u64>,
}

impl RecordScanner {
    /// A record starts at `start`, or the log ends there.
    pub(crate) fn new(start: u64) -> Self {
        Self { start, field: [0; varint::LEN_MAX], field_bytes: 0, end: None }
    }

    /// The end of the last whole record.
    pub(crate) fn whole_end(&self) -> u64 {
        self.start
    }

    /// Goes over bytes that begin at `lsn`, where the last piece ended; what lies before the start is skipped.
    ///
    /// # Errors
    ///
    /// The start of a record whose length field is none, and what is wrong with it.
    pub(crate) fn feed(&mut self, lsn: u64, bytes: &[u8]) -> Result<(), (u64, String)> {
        let piece_end = lsn + bytes.len() as u64;
        loop {
            let position = self.end.unwrap_or(self.start + self.field_bytes as u64);
            if let Some(end) = self.end
                && end <= piece_end
            {
                *self = Self::new(end);
                continue;
            }
            if position >= piece_end {
                return Ok(());
            }
            self.field[self.field_bytes] = bytes[(position - lsn) as usize];
            self.field_bytes += 1;
            self.end = self.length()?.map(|len| self.start + (self.field_bytes + len) as u64);
        }
    }

    /// The length, if its field is complete.
    fn length(&self) -> Result<Option<usize>, (u64, String)> {
        let field = &self.field[..self.field_bytes];
        if field[self.field_bytes - 1] >= 0x80 && self.field_bytes < varint::LEN_MAX {
            return Ok(None);
        }
        match varint::get(field) {
            Some((len, _)) if len <= RECORD_BYTES_MAX as u64 => Ok(Some(len as usize)),
            _ => Err((self.start, format!("the length of a record is invalid: {field:02x?}"))),
        }
    }
}

const _: () = assert!((RECORD_BYTES_MAX as u64) < LSN_MAX);

#[cfg(all(test, not(loom)))]
mod tests;
