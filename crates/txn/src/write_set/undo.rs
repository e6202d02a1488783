//! Changes of a write set, and the way back (WS3, WS4 of `write_set`).

use super::{ENTRY_BYTES, Write, WriteSet};
use crate::key::KeyRange;

/// What was there before a change.
#[derive(Debug, Clone)]
pub(super) enum Undo {
    Write {
        table: u32,
        key: Box<[u8]>,
        before: Option<Write>,
    },
    /// A step was made (WS5).
    Step {
        table: u32,
        key: Box<[u8]>,
    },
    Range {
        table: u32,
        from: Box<[u8]>,
        before: Option<KeyRange>,
    },
}

impl Undo {
    /// Bytes that it takes; what was there before is counted here instead of in its place.
    pub(super) fn bytes(&self) -> usize {
        ENTRY_BYTES
            + match self {
                Undo::Write { key, before, .. } => before.as_ref().map_or(0, |write| write_bytes(key, write)),
                Undo::Step { key, .. } => key.len(),
                Undo::Range { before, .. } => before.as_ref().map_or(0, range_bytes),
            }
    }
}

impl WriteSet {
    /// Sets or removes a write, and notes what was there.
    pub(super) fn replace(&mut self, table: u32, key: Box<[u8]>, write: Option<Write>) {
        let before = self.exchange(table, &key, write);
        self.note(Undo::Write { table, key, before });
    }

    /// Sets or removes the deleted range that begins there, and notes what was there.
    pub(super) fn replace_range(&mut self, table: u32, from: Box<[u8]>, range: Option<KeyRange>) {
        let before = self.exchange_range(table, &from, range);
        self.note(Undo::Range { table, from, before });
    }

    /// Undoes a change.
    pub(super) fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Write { table, key, before } => drop(self.exchange(table, &key, before)),
            Undo::Step { table, key } => {
                let of_table = self.tables.get_mut(&table).expect("WS5");
                let step = of_table.writes.get_mut(&key).and_then(|write| write.steps.pop()).expect("WS5");
                self.bytes -= step.bytes();
            }
            Undo::Range { table, from, before } => drop(self.exchange_range(table, &from, before)),
        }
    }

    /// Notes what was there, while there is a savepoint (WS3).
    pub(super) fn note(&mut self, undo: Undo) {
        if self.savepoints > 0 {
            self.bytes += undo.bytes();
            self.undo.push(undo);
        }
    }

    /// Sets or removes a write; returns what was there.
    pub(super) fn exchange(&mut self, table: u32, key: &[u8], write: Option<Write>) -> Option<Write> {
        let writes = &mut self.tables.entry(table).or_default().writes;
        self.bytes += write.as_ref().map_or(0, |write| write_bytes(key, write));
        let before = match write {
            Some(write) => writes.insert(key.into(), write),
            None => writes.remove(key),
        };
        self.bytes -= before.as_ref().map_or(0, |before| write_bytes(key, before));
        before
    }

    fn exchange_range(&mut self, table: u32, from: &[u8], range: Option<KeyRange>) -> Option<KeyRange> {
        let deleted = &mut self.tables.entry(table).or_default().deleted;
        self.bytes += range.as_ref().map_or(0, range_bytes);
        let before = match range {
            Some(range) => deleted.insert(range),
            None => deleted.remove(from),
        };
        self.bytes -= before.as_ref().map_or(0, range_bytes);
        before
    }
}

fn write_bytes(key: &[u8], write: &Write) -> usize {
    ENTRY_BYTES + key.len() + write.bytes()
}

fn range_bytes(range: &KeyRange) -> usize {
    ENTRY_BYTES + range.bytes()
}
