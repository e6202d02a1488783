//! Reading a dump: nothing is handed out before its checksum was checked, and damage is told with its place.
//!
//! # Invariants
//!
//! - **DR1** Every error about the dump's bytes names the byte where the chunk (or the header) begins.
//! - **DR2** What is handed out is in the order of the dump; whether that is the order that the format says, TABLE, RECORDS or
//!   LARGE VALUE and PARTs, TABLE END, …, END, is for its reader to check.

use super::dump_error;
use super::format::{
    CHUNK_HEADER_BYTES, ChunkHeader, FORMAT_VERSION, HEADER_BYTES, Header, Kind, NotAHeader, decode_large,
    decode_numbers, decode_table,
};
use crate::catalog::Description;
use crate::error::{Error, Result};
use aquifer_codec::checksum::crc32c;
use std::io::{ErrorKind, Read};

/// See the module's head.
pub(super) struct DumpReader<R> {
    reader: R,
    header: Header,
    /// Bytes read.
    position: u64,
    /// Where the present chunk begins, and its number.
    chunk_at: u64,
    number: u64,
    previous: [u8; 4],
    payload: Vec<u8>,
}

/// What a chunk says.
pub(super) enum Chunk {
    Table(Description),
    /// [`DumpReader::records`] has them.
    Records,
    /// The key of a large value, and its length.
    Large((Vec<u8>, u64)),
    /// [`DumpReader::records`] has its bytes.
    Part,
    TableEnd([u64; 2]),
    End([u64; 3]),
}

impl<R: Read> DumpReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// `Format` for something else than a dump, or a newer one; `Corrupt`; the reader's.
    pub(super) fn open(mut reader: R) -> Result<Self> {
        let mut bytes = [0; HEADER_BYTES];
        let read =
            read_all(&mut reader, &mut bytes).map_err(|error| dump_error("read", 0, HEADER_BYTES, &error))?;
        let foreign =
            || Error::Format { what: "this is no dump of an Aquifer database (`dump` makes one)".into() };
        if read < HEADER_BYTES {
            // What is there may still be the beginning of one.
            let begins = Header { page_bytes: 4096, records_estimate: 0 }.encode();
            return Err(if read > 0 && bytes[..read.min(8)] == begins[..read.min(8)] {
                Error::corrupt(format!("the dump ends at byte {read}, within its header; make it again"))
            } else {
                foreign()
            });
        }
        let header = Header::decode(&bytes).map_err(|wrong| match wrong {
            NotAHeader::Foreign => foreign(),
            NotAHeader::Version(version) => Error::Format {
                what: format!(
                    "the dump has format version {version}, this program reads version {FORMAT_VERSION}; use the newer program"
                ),
            },
            NotAHeader::Damaged(what) => Error::corrupt(format!("the dump is damaged at byte 0: {what}; use another copy")),
        })?;
        let previous = *bytes.last_chunk().expect("longer than four bytes");
        let position = HEADER_BYTES as u64;
        Ok(DumpReader {
            reader,
            header,
            position,
            chunk_at: position,
            number: 0,
            previous,
            payload: Vec::new(),
        })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next chunk; after END the end of the input is checked as well.
    pub(super) fn next(&mut self) -> Result<Chunk> {
        self.chunk_at = self.position;
        self.number += 1;
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        self.read(CHUNK_HEADER_BYTES, |reader| read_all(reader, &mut bytes))?;
        let header =
            ChunkHeader::decode(&bytes, self.previous, self.number).map_err(|what| self.damaged(what))?;
        self.previous = *bytes.last_chunk().expect("longer than four bytes");
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(header.len, 0); // DF1
        self.read(header.len, |reader| read_all(reader, &mut payload))?;
        self.payload = payload;
        if crc32c(0, &self.payload) != header.payload_crc {
            return Err(self.damaged("its checksum does not match"));
        }
        if header.kind == Kind::End {
            let mut beyond = [0];
            let more = read_all(&mut self.reader, &mut beyond);
            if more.map_err(|error| dump_error("read", self.position, 1, &error))? > 0 {
                return Err(Error::corrupt(format!("bytes follow the dump's end at byte {}", self.position)));
            }
        }
        let decoded = match header.kind {
            Kind::Records => return Ok(Chunk::Records),
            Kind::Part => return Ok(Chunk::Part),
            Kind::Large => decode_large(&self.payload).map(Chunk::Large),
            Kind::Table => decode_table(&self.payload).map(Chunk::Table),
            Kind::TableEnd => decode_numbers(&self.payload).map(Chunk::TableEnd),
            Kind::End => decode_numbers(&self.payload).map(Chunk::End),
        };
        decoded.map_err(|what| damaged_at(self.chunk_at, self.number, what))
    }

    /// The payload of the present chunk, where that begins, and its number.
    pub(super) fn records(&self) -> (&[u8], u64, u64) {
        (&self.payload, self.chunk_at, self.number)
    }

    /// An error about the present chunk (DR1).
    pub(super) fn damaged(&self, what: &str) -> Error {
        damaged_at(self.chunk_at, self.number, what)
    }

    fn read(&mut self, len: usize, read: impl FnOnce(&mut R) -> std::io::Result<usize>) -> Result<()> {
        let got = read(&mut self.reader).map_err(|error| dump_error("read", self.position, len, &error))?;
        self.position += got as u64;
        if got < len {
            let (end, chunk, at) = (self.position, self.number, self.chunk_at);
            return Err(Error::corrupt(format!(
                "the dump ends at byte {end}, within chunk {chunk} that begins at byte {at}, and has no end of its own; make it again"
            )));
        }
        Ok(())
    }
}

pub(super) fn damaged_at(byte: u64, chunk: u64, what: &str) -> Error {
    Error::corrupt(format!(
        "the dump is damaged in chunk {chunk}, which begins at byte {byte}: {what}; use another copy"
    ))
}

/// Fills the buffer as far as there is something. How much there was.
fn read_all(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
