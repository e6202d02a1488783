//! What the child tells the parent through its standard output: records of a fixed size, each in one write, so that
//! a killed child has told a record whole or not at all.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | writer |
//! | 2 | 1 | level: 0 `Eventual`, 1 `Process`, 2 `Power`; or 3 opened, 4 closed |
//! | 3 | 5 | zero |
//! | 8 | 8 | number of the commit |
//! | 16 | 8 | its log position |

use super::script::Level;
use std::io::{ErrorKind, Read, Result};

/// Length of a record.
pub const BYTES: usize = 24;

/// A commit that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Whose.
    pub writer: u16,
    /// At which level.
    pub level: Level,
    /// Its number in the writer's script.
    pub number: u64,
    /// Its position in the log.
    pub lsn: u64,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The database is open and the writers begin.
    Opened,
    /// A commit was acknowledged.
    Acknowledged(Ack),
    /// The database was closed without an error.
    Closed,
}

impl Told {
    /// The record's bytes.
    pub fn encode(self) -> [u8; BYTES] {
        let (writer, kind, number, lsn) = match self {
            Told::Acknowledged(ack) => (ack.writer, ack.level as u8, ack.number, ack.lsn),
            Told::Opened => (0, 3, 0, 0),
            Told::Closed => (0, 4, 0, 0),
        };
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&writer.to_le_bytes());
        bytes[2] = kind;
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        bytes[16..].copy_from_slice(&lsn.to_le_bytes());
        bytes
    }

    /// Reads the next record; `None` at the end.
    ///
    /// # Errors
    ///
    /// If reading fails or the bytes are no record.
    pub fn read(from: &mut impl Read) -> Result<Option<Told>> {
        let mut bytes = [0; BYTES];
        match from.read_exact(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let number = u64::from_le_bytes(bytes[8..16].try_into().expect("8 bytes"));
        let lsn = u64::from_le_bytes(bytes[16..].try_into().expect("8 bytes"));
        let level = match bytes[2] {
            0 => Level::Eventual,
            1 => Level::Process,
            2 => Level::Power,
            3 => return Ok(Some(Told::Opened)),
            4 => return Ok(Some(Told::Closed)),
            other => {
                return Err(std::io::Error::new(ErrorKind::InvalidData, format!("a record of kind {other}")));
            }
        };
        let writer = u16::from_le_bytes([bytes[0], bytes[1]]);
        Ok(Some(Told::Acknowledged(Ack { writer, level, number, lsn })))
    }
}

#[cfg(test)]
mod tests;
