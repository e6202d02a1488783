//! Writing a dump: tables by name, records in the order of the index, chunk after chunk.

use super::format::{ChunkHeader, Header, Kind, encode_large, encode_numbers, encode_table, push_record};
use super::{DumpProgress, DumpSummary, dump_error};
use crate::checkpoint_snapshot::CheckpointSnapshot;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::large::{self, LargeReader};
use crate::records::{AnyTable, Records};
use crate::snapshot::Snapshot;
use aquifer_codec::checksum::crc32c;
use std::io::Write;

/// A chunk of records is written when it reaches this.
const CHUNK_BYTES: usize = 256 << 10;

impl Database {
    /// Writes every table, with its records, to `writer`: a portable, checksummed stream, described in
    /// `docs/dump-format.md`. `progress` is called after every chunk. Flushes the writer at the end, and syncs nothing.
    ///
    /// Writers may go on meanwhile. The dump reads what is committed page by page, as [`records`](AnyTable::records) does, table by
    /// table: it holds every record that was there from beginning to end, but is no snapshot. Of a batch that is committed
    /// meanwhile it may hold a part. For the state of one moment, let nobody write, or dump a checkpoint
    /// ([`CheckpointSnapshot::dump`]). Tables that are made meanwhile are not in it,
    /// and those dropped before their turn are not either.
    ///
    /// # Errors
    ///
    /// Those of a scan; [`Error::TableDropped`] if a table goes while it is being read; the writer's, as [`Error::Io`]. What was
    /// written by then has no end, and is refused by [`restore`](Self::restore).
    ///
    /// ```
    /// # use aquifer::{Database, Options};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path().join("old"))?;
    /// db.create_table("t", Default::default())?.put(b"k", b"v")?;
    /// let mut dump = Vec::new();
    /// assert_eq!(db.dump(&mut dump, |_| ())?.records, 1);
    ///
    /// let (db, _) = Database::restore(Options::default(), dir.path().join("new"), &dump[..], |_| ())?;
    /// assert_eq!(db.table("t")?.get(b"k")?.as_deref(), Some(&b"v"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump(&self, writer: impl Write, progress: impl FnMut(DumpProgress)) -> Result<DumpSummary> {
        let mut tables = Vec::new();
        let mut records_estimate = 0;
        for info in self.tables() {
            let estimated = self.any_table(&info.name).and_then(|table| Ok((table.len_estimate()?, table)));
            match estimated {
                Ok((estimate, table)) => {
                    records_estimate += estimate;
                    tables.push(table);
                }
                Err(Error::TableNotFound { .. } | Error::TableDropped { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let header = Header { page_bytes: self.page_size() as u32, records_estimate };
        let sources = tables.iter().map(|table| Source { table, snapshot: None });
        dump_all(sources, header, writer, progress)
    }
}

impl CheckpointSnapshot {
    /// Writes every table of the checkpoint, with its records, to `writer`, as [`Database::dump`] does, and
    /// [`Database::restore`] reads: the state of one moment, whatever is committed or dropped meanwhile.
    ///
    /// # Errors
    ///
    /// Those of a scan; the writer's, as [`Error::Io`].
    ///
    /// ```
    /// # use aquifer::{Database, Options};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path().join("old"))?;
    /// let table = db.create_table("t", Default::default())?;
    /// table.put(b"k", b"v")?;
    /// let then = db.checkpoint_snapshot()?;
    /// table.delete(b"k")?;
    /// let mut dump = Vec::new();
    /// assert_eq!(then.dump(&mut dump, |_| ())?.records, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump(&self, writer: impl Write, progress: impl FnMut(DumpProgress)) -> Result<DumpSummary> {
        let names = self.tables().into_iter().map(|info| info.name);
        let tables = names.map(|name| self.any_table(&name)).collect::<Result<Vec<_>>>()?;
        let page_bytes = self.engine().pager.page_bytes() as u32;
        let header = Header { page_bytes, records_estimate: self.len_estimate()? };
        let sources = tables.iter().map(|table| Source { table, snapshot: Some(&**self) });
        dump_all(sources, header, writer, progress)
    }
}

/// What is dumped of a table.
#[derive(Clone, Copy)]
struct Source<'s> {
    table: &'s AnyTable,
    /// As it is there; else what is committed by then.
    snapshot: Option<&'s Snapshot>,
}

impl<'s> Source<'s> {
    fn records(self) -> Records<'s> {
        self.snapshot.map_or_else(|| self.table.records(), |snapshot| snapshot.records(self.table))
    }

    /// As it is stored (EX1 of `expiry`).
    fn open_large(self, key: &[u8]) -> Result<Option<LargeReader>> {
        match self.snapshot {
            Some(snapshot) => snapshot.open_large_stored(self.table, key),
            None => large::open(self.table.handle(), self.table.core(), key),
        }
    }
}

fn dump_all<'s>(
    sources: impl Iterator<Item = Source<'s>>,
    header: Header,
    writer: impl Write,
    mut progress: impl FnMut(DumpProgress),
) -> Result<DumpSummary> {
    let records_estimate = header.records_estimate;
    let mut out = Chunks::begin(writer, header)?;
    let mut summary = DumpSummary::default();
    for source in sources {
        dump_table(source, &mut out, &mut summary, |summary| {
            progress(DumpProgress {
                tables: summary.tables,
                records: summary.records,
                record_bytes: summary.record_bytes,
                records_estimate,
            })
        })?;
    }
    let totals = [summary.tables, summary.records, summary.record_bytes];
    out.chunk(Kind::End, &encode_numbers(&totals))?;
    summary.bytes = out.finish()?;
    Ok(summary)
}

fn dump_table<W: Write>(
    source: Source<'_>,
    out: &mut Chunks<W>,
    summary: &mut DumpSummary,
    mut progress: impl FnMut(&DumpSummary),
) -> Result<()> {
    let mut scan = source.records().stored();
    let (mut records, mut record_bytes) = (0u64, 0u64);
    let mut key_before = Vec::new();
    let mut payload = Vec::with_capacity(CHUNK_BYTES + (64 << 10));
    // The first record before the table's description: of a table that is gone by now, nothing is written.
    let mut next = match scan.next_small() {
        Err(Error::TableDropped { .. }) => return Ok(()),
        next => next?,
    };
    out.chunk(Kind::Table, &encode_table(&source.table.core().description()))?;
    while let Some((key, value)) = next {
        let Some(value) = value else {
            let key = key.to_vec();
            if !payload.is_empty() {
                out.chunk(Kind::Records, &payload)?;
                payload.clear();
                key_before.clear();
            }
            if let Some(len) = dump_large(source, &key, out)? {
                records += 1;
                record_bytes += key.len() as u64 + len;
            }
            next = scan.next_small()?;
            continue;
        };
        push_record(&mut payload, &key_before, key, value);
        key_before.clear();
        key_before.extend_from_slice(key);
        records += 1;
        record_bytes += (key.len() + value.len()) as u64;
        if payload.len() >= CHUNK_BYTES {
            out.chunk(Kind::Records, &payload)?;
            payload.clear();
            key_before.clear();
            let (records, record_bytes) = (summary.records + records, summary.record_bytes + record_bytes);
            progress(&DumpSummary { records, record_bytes, ..*summary });
        }
        next = scan.next_small()?;
    }
    if !payload.is_empty() {
        out.chunk(Kind::Records, &payload)?;
    }
    out.chunk(Kind::TableEnd, &encode_numbers(&[records, record_bytes]))?;
    summary.tables += 1;
    summary.records += records;
    summary.record_bytes += record_bytes;
    progress(summary);
    Ok(())
}

/// Writes a large value as it is now, part by part; its length, or nothing if it is gone.
fn dump_large<W: Write>(source: Source<'_>, key: &[u8], out: &mut Chunks<W>) -> Result<Option<u64>> {
    let Some(mut reader) = source.open_large(key)? else { return Ok(None) };
    out.chunk(Kind::Large, &encode_large(key, reader.len()))?;
    let mut part = vec![0; CHUNK_BYTES.min(reader.len() as usize)];
    let mut at = 0;
    while at < reader.len() {
        let read = reader.read_at(at, &mut part)?;
        out.chunk(Kind::Part, &part[..read])?;
        at += read as u64;
    }
    Ok(Some(at))
}

/// The chain of chunks (DF2).
struct Chunks<W> {
    writer: W,
    /// Bytes written.
    position: u64,
    number: u64,
    previous: [u8; 4],
}

impl<W: Write> Chunks<W> {
    fn begin(writer: W, header: Header) -> Result<Chunks<W>> {
        let bytes = header.encode();
        let previous = *bytes.last_chunk().expect("longer than four bytes");
        let mut chunks = Chunks { writer, position: 0, number: 0, previous };
        chunks.write(&bytes)?;
        Ok(chunks)
    }

    fn chunk(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        self.number += 1;
        let payload_crc = crc32c(0, payload);
        let header = ChunkHeader { kind, len: payload.len(), number: self.number, payload_crc };
        let bytes = header.encode(self.previous);
        self.previous = *bytes.last_chunk().expect("longer than four bytes");
        self.write(&bytes)?;
        self.write(payload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.writer.write_all(bytes);
        written.map_err(|error| dump_error("write", self.position, bytes.len(), &error))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.writer.flush().map_err(|error| dump_error("write", self.position, 0, &error))?;
        Ok(self.position)
    }
}
