//! Dump and restore: a database as a stream of bytes that any version and machine can read.
//!
//! | module | its secret |
//! |---|---|
//! | `format` | the bytes |
//! | `write` | [`Database::dump`](crate::Database::dump) |
//! | `read`, `restore` | [`Database::restore`](crate::Database::restore) |

mod format;
mod read;
mod restore;
mod write;

use crate::error::Error;
use aquifer_io::IoError;
use std::io;

/// How far a dump or a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpProgress {
    /// Tables done.
    pub tables: u64,
    /// Records done.
    pub records: u64,
    /// Bytes of their keys and values.
    pub record_bytes: u64,
    /// Records in all, about.
    pub records_estimate: u64,
}

/// What a dump holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpSummary {
    /// Tables.
    pub tables: u64,
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub record_bytes: u64,
    /// Bytes of the dump itself.
    pub bytes: u64,
}

/// What reader or writer said.
fn dump_error(operation: &'static str, offset: u64, len: usize, error: &io::Error) -> Error {
    Error::Io(IoError {
        operation,
        file: "the dump".into(),
        offset,
        len: len as u64,
        kind: error.kind(),
        message: error.to_string(),
    })
}
