//! Making a database of a dump.

use super::format::take_record;
use super::read::{Chunk, DumpReader, damaged_at};
use super::{DumpProgress, DumpSummary};
use crate::Options;
use crate::bulk_load::BulkLoad;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::filler::Filler;
use crate::index::TableKind;
use crate::large::LargeWriter;
use crate::records::AnyTable;
use std::io::Read;
use std::path::Path;

impl Database {
    /// Makes the database that a [`dump`](Self::dump) holds, in the directory `dir`, which must be empty or absent, and gives
    /// it open. Its page size is the dump's unless the options say another. `progress` is called after every chunk of records.
    ///
    /// Until everything is there and durable there is no database in `dir`: one that was not finished is not opened by anybody,
    /// and what it left behind is cleared away by the next attempt.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] or `Usage` if the directory holds anything; [`Error::Format`] for something else than a dump;
    /// [`Error::Corrupt`], with the place, for a damaged or shortened one; `Usage` if the page size
    /// makes too long a group of long keys; the reader's and the disk's.
    pub fn restore(
        options: Options,
        dir: impl AsRef<Path>,
        reader: impl Read,
        progress: impl FnMut(DumpProgress),
    ) -> Result<(Database, DumpSummary)> {
        let dump = DumpReader::open(reader)?;
        let filler = Filler::create(options, dir.as_ref(), dump.header().page_bytes as usize)?;
        Restoring { dump, filler, table: None, summary: DumpSummary::default() }.run(progress)
    }
}

struct Restoring<R> {
    dump: DumpReader<R>,
    filler: Filler,
    table: Option<Current>,
    summary: DumpSummary,
}

/// The table whose records come.
struct Current {
    table: AnyTable,
    /// For a sorted one: its records come in the order of their keys.
    load: Option<BulkLoad>,
    records: u64,
    record_bytes: u64,
    last_key: Option<Vec<u8>>,
}

impl<R: Read> Restoring<R> {
    fn run(mut self, mut progress: impl FnMut(DumpProgress)) -> Result<(Database, DumpSummary)> {
        let records_estimate = self.dump.header().records_estimate;
        loop {
            let ended = self.chunk()?;
            let DumpSummary { tables, records, record_bytes, .. } = self.summary;
            progress(DumpProgress { tables, records, record_bytes, records_estimate });
            if ended {
                break;
            }
        }
        self.summary.bytes = self.dump.position();
        Ok((self.filler.finish()?, self.summary))
    }

    /// One chunk; whether it was the last.
    fn chunk(&mut self) -> Result<bool> {
        match (self.dump.next()?, &mut self.table) {
            (Chunk::Table(description), table @ None) => {
                let name = description.name.clone();
                let made = match self.filler.create_table(description) {
                    Err(Error::TableExists { .. }) => {
                        Err(self.dump.damaged(&format!("table {name} comes twice")))
                    }
                    Err(error @ Error::Usage { .. }) => Err(self.dump.damaged(&error.to_string())),
                    made => made,
                }?;
                let is_sorted = made.info().kind == TableKind::Sorted;
                let load = if is_sorted { Some(self.filler.load(&made)?) } else { None };
                let made = made.of_stored_values(); // as they were dumped
                *table = Some(Current { table: made, load, records: 0, record_bytes: 0, last_key: None });
            }
            (Chunk::TableEnd(counts), table @ Some(_)) => {
                let Some(current) = table.take() else { unreachable!("matched above") };
                if counts != [current.records, current.record_bytes] {
                    let what =
                        format!("it says that table {} had {} records", current.table.name(), counts[0]);
                    return Err(self.dump.damaged(&what));
                }
                if let Some(load) = current.load {
                    load.finish()?;
                }
                self.summary.tables += 1;
            }
            (Chunk::End(counts), None) => {
                let DumpSummary { tables, records, record_bytes, .. } = self.summary;
                if counts != [tables, records, record_bytes] {
                    return Err(self.dump.damaged("it counts other tables and records than there were"));
                }
                return Ok(true);
            }
            (Chunk::Records, Some(_)) => self.records()?,
            (Chunk::Large((key, len)), Some(_)) => self.large(key, len)?,
            _ => return Err(self.dump.damaged("it comes where no such chunk may be")),
        }
        Ok(false)
    }

    /// A large value, whose parts follow.
    fn large(&mut self, key: Vec<u8>, len: u64) -> Result<()> {
        let Restoring { dump, filler, table: Some(current), summary } = self else {
            unreachable!("called for a table's records")
        };
        if current.load.is_some() && current.last_key.as_ref().is_some_and(|last| *last >= key) {
            return Err(dump.damaged("its keys are not in order"));
        }
        let fill = |writer: &mut LargeWriter| {
            while writer.len() < len {
                match dump.next()? {
                    Chunk::Part if !dump.records().0.is_empty() => writer.push(dump.records().0)?,
                    _ => return Err(dump.damaged("it comes where a part of a large value should be")),
                }
            }
            if writer.len() == len {
                Ok(())
            } else {
                Err(dump.damaged("a large value is longer than it says"))
            }
        };
        match &mut current.load {
            Some(load) => load.push_large(&key, fill)??,
            None => filler.put_large(&current.table, &key, fill)??,
        }
        let bytes = key.len() as u64 + len;
        current.last_key = Some(key);
        current.records += 1;
        current.record_bytes += bytes;
        summary.records += 1;
        summary.record_bytes += bytes;
        Ok(())
    }

    /// The records of the present chunk.
    fn records(&mut self) -> Result<()> {
        let Restoring { dump, filler, table: Some(current), summary } = self else {
            unreachable!("called for a table's records")
        };
        let (mut payload, byte, chunk) = dump.records();
        let mut key = Vec::new();
        while !payload.is_empty() {
            let value = take_record(&mut payload, &mut key).map_err(|what| damaged_at(byte, chunk, what))?;
            if current.load.is_some() && current.last_key.as_ref().is_some_and(|last| *last >= key) {
                return Err(damaged_at(byte, chunk, "its keys are not in order"));
            }
            match &mut current.load {
                Some(load) => load.push(&key, value)?,
                None => filler.put(&current.table, &key, value)?,
            }
            let last = current.last_key.get_or_insert_default();
            last.clear();
            last.extend_from_slice(&key);
            let bytes = (key.len() + value.len()) as u64;
            current.records += 1;
            current.record_bytes += bytes;
            summary.records += 1;
            summary.record_bytes += bytes;
        }
        Ok(())
    }
}
