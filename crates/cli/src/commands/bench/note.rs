//! What is known about the records of the benchmark's table, kept in the database itself (BE2, BE4).

use super::NOTES;
use crate::exit::Failure;
use aquifer::{Database, Table, TableOptions};
use aquifer_workload::{Spec, Workload};
use serde::{Deserialize, Serialize};

/// The only key.
const KEY: &[u8] = b"records";

/// Which records the table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The records 0 to `records` − 1 are there.
    pub records: u64,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// There are others besides.
    pub grown: bool,
}

/// The table of notes.
pub struct Notes {
    table: Table,
}

impl Note {
    /// The note about freshly loaded records.
    pub fn loaded(spec: &Spec) -> Note {
        Note { records: spec.records, value_bytes: spec.value_bytes, grown: false }
    }

    /// True if the records are what `spec` needs: as many, for a larger table would be other work than the report says. A
    /// workload that adds records needs a table to which none were added, or its inserts would be updates.
    pub fn serves(&self, spec: &Spec) -> bool {
        self.records == spec.records
            && self.value_bytes == spec.value_bytes
            && !(self.grown && adds_records(spec.workload))
    }
}

fn adds_records(workload: Workload) -> bool {
    matches!(workload, Workload::YcsbD | Workload::YcsbE)
}

/// What can be said of the records after a run, if `before` was true before it.
pub fn after(before: Option<Note>, spec: &Spec) -> Option<Note> {
    match spec.workload {
        // They write the numbers from 0 up, and begin again when all are there.
        Workload::Load | Workload::FillRandom | Workload::FillSync => {
            (spec.ops() >= spec.records).then(|| Note::loaded(spec))
        }
        workload if adds_records(workload) => before.map(|note| Note { grown: true, ..note }),
        workload if workload.needs_records() => before,
        _ => None,
    }
}

impl Notes {
    /// The notes of `db`.
    pub fn open(db: &Database) -> Result<Notes, Failure> {
        let table = match db.table(NOTES) {
            Err(aquifer::Error::TableNotFound { .. }) => db.create_table(NOTES, TableOptions::default())?,
            found => found?,
        };
        Ok(Notes { table })
    }

    /// The note, if there is one that can be read.
    pub fn read(&self) -> Result<Option<Note>, Failure> {
        let bytes = self.table.get(KEY)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes the note.
    pub fn write(&self, note: &Note) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(note).expect("numbers are JSON");
        Ok(self.table.put(KEY, &bytes)?)
    }

    /// Takes the note away.
    pub fn remove(&self) -> Result<(), Failure> {
        Ok(self.table.delete(KEY)?)
    }
}

#[cfg(test)]
mod tests;
