//! Comma-separated values (RFC 4180), the first line naming the columns.
//!
//! The key is one column, by name or by number from 1, the first unless told. The value is the record without
//! the key's field, again as comma-separated values: fields are quoted where they must be, and only there.
//! Bytes are taken as they are; a byte order mark before the header is dropped.

use super::{Fault, InputError, LINE_BYTES_MAX, Record, Records};
use csv_core::{ReadRecordResult, Reader};
use std::io::{BufRead, Cursor, Read as _};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads comma-separated values.
pub struct Csv {
    source: Box<dyn BufRead>,
    parser: Reader,
    /// The line on which the parser stands.
    line: u64,
    /// The column that was asked for.
    wanted: Option<String>,
    /// What the header says; read with the first record.
    header: Option<Header>,
    /// Records before this line are passed over.
    from_line: u64,
    fields: Fields,
}

/// The header's facts that every record needs.
#[derive(Clone, Copy)]
struct Header {
    columns: usize,
    /// The key's column, from 0.
    key: usize,
}

/// The fields of one record, without their quotes.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`.
    ends: Vec<usize>,
    count: usize,
}

impl Fields {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends[..self.count]).map(|(start, &end)| &self.bytes[start..end])
    }
}

impl Csv {
    /// Records of `source` that begin at `from_line` or later.
    pub fn new(source: Box<dyn BufRead>, wanted: Option<String>, from_line: u64) -> Self {
        let mut fields = Fields { bytes: vec![0; 4096], ends: vec![0; 64], count: 0 };
        let mut parser = Reader::new();
        // It would drop a mark only if all of it comes at once. After an empty line it looks for none.
        parser.read_record(b"\n", &mut fields.bytes, &mut fields.ends);
        Self { source, parser, line: 1, wanted, header: None, from_line, fields }
    }

    /// Reads the fields of the next record and says on which line it begins; `None` at the end.
    fn read(&mut self) -> Result<Option<u64>, InputError> {
        if !self.pass_over_line_ends()? {
            return Ok(None);
        }
        let begun = self.line;
        let (mut bytes, mut ends) = (0, 0);
        loop {
            let input = self.source.fill_buf().map_err(|error| failed(begun, error))?;
            let (result, read, wrote, ended) = self.parser.read_record(
                input,
                &mut self.fields.bytes[bytes..],
                &mut self.fields.ends[ends..],
            );
            self.line += input[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.source.consume(read);
            bytes += wrote;
            ends += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if bytes >= LINE_BYTES_MAX => {
                    return Err(InputError { line: begun, fault: Fault::RecordTooLong });
                }
                ReadRecordResult::OutputFull => self.fields.bytes.resize(2 * self.fields.bytes.len(), 0),
                ReadRecordResult::OutputEndsFull => self.fields.ends.resize(2 * self.fields.ends.len(), 0),
                ReadRecordResult::Record => {
                    self.fields.count = ends;
                    return Ok(Some(begun));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Drops a byte order mark at the beginning of the input, however few bytes the source gives at once.
    fn pass_over_mark(&mut self) -> Result<(), InputError> {
        let mut first = Vec::with_capacity(BYTE_ORDER_MARK.len());
        let read = (&mut self.source).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut first);
        read.map_err(|error| failed(1, error))?;
        if first != BYTE_ORDER_MARK {
            let rest = std::mem::replace(&mut self.source, Box::new(std::io::empty()));
            self.source = Box::new(Cursor::new(first).chain(rest));
        }
        Ok(())
    }

    /// Drops empty lines, and what the parser left of the last line's end; `false` at the end of the input.
    fn pass_over_line_ends(&mut self) -> Result<bool, InputError> {
        loop {
            let line = self.line;
            let input = self.source.fill_buf().map_err(|error| failed(line, error))?;
            if input.is_empty() {
                return Ok(false);
            }
            let ends = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if ends == 0 {
                return Ok(true);
            }
            self.line += input[..ends].iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.source.consume(ends);
        }
    }

    /// Reads the header if that has not been done; `None` if the input is empty.
    fn header(&mut self) -> Result<Option<Header>, InputError> {
        if self.header.is_some() {
            return Ok(self.header);
        }
        self.pass_over_mark()?;
        if let Some(line) = self.read()? {
            let key = match &self.wanted {
                None => 0,
                Some(wanted) => column(&self.fields, wanted).ok_or_else(|| {
                    let names = self.fields.iter().map(String::from_utf8_lossy);
                    let columns = names.collect::<Vec<_>>().join(", ");
                    InputError { line, fault: Fault::NoColumn { wanted: wanted.clone(), columns } }
                })?,
            };
            self.header = Some(Header { columns: self.fields.count, key });
        }
        Ok(self.header)
    }
}

impl Records for Csv {
    fn next(&mut self, record: &mut Record) -> Result<bool, InputError> {
        let Some(header) = self.header()? else {
            return Ok(false);
        };
        loop {
            let Some(line) = self.read()? else {
                return Ok(false);
            };
            if line < self.from_line {
                continue;
            }
            if self.fields.count != header.columns {
                let fault = Fault::FieldCount { found: self.fields.count, expected: header.columns };
                return Err(InputError { line, fault });
            }
            record.line = line;
            record.key.clear();
            record.value.clear();
            take_apart(&self.fields, header.key, record);
            return Ok(true);
        }
    }
}

fn failed(line: u64, error: std::io::Error) -> InputError {
    InputError { line, fault: Fault::Read(error) }
}

/// The column of that name, or else of that number from 1.
fn column(header: &Fields, wanted: &str) -> Option<usize> {
    let named = header.iter().position(|name| name == wanted.as_bytes());
    named.or_else(|| wanted.parse::<usize>().ok()?.checked_sub(1).filter(|&column| column < header.count))
}

/// Makes field `key` the record's key and the others its value.
fn take_apart(fields: &Fields, key: usize, record: &mut Record) {
    let mut first = true;
    for (column, field) in fields.iter().enumerate() {
        if column == key {
            record.key.extend_from_slice(field);
            continue;
        }
        if !first {
            record.value.push(b',');
        }
        first = false;
        quote_into(field, &mut record.value);
    }
}

/// Appends a field, in quotes if it needs them.
fn quote_into(field: &[u8], out: &mut Vec<u8>) {
    if !field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
