//! Positions in the log.

/// A byte position in the endless log of record bytes. A commit's timestamp is its record's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);
