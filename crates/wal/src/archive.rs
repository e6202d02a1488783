//! The archive: segments that are kept for good, so that a backup can be brought forward to any moment since.
//!
//! A directory for each database, named by its identity, holds copies of its segments under their own names. The numbers of one
//! database's segments never repeat, whatever its incarnation.
//!
//! # Invariants
//!
//! - **AR1** A file with a segment's name is a whole copy: it bears another name until it is durable.
//! - **AR2** Only segments that were begun in their present life are copied; others hold nothing.

use crate::format::{FirstBlock, SegmentHeader, segment_name};
use crate::reader::{LogPlace, hex};
use aquifer_io::{BLOCK_BYTES, Buffer, Disk, File, IoError, OpenMode, Operation, Request};
use aquifer_sync::Arc;
use std::io::ErrorKind;

/// How much is copied by one transfer.
const COPY_BYTES: u64 = 256 << 10;
/// The file that is being copied has this name.
const NAME_OF_NEW: &str = "new";

/// See the module's head.
#[derive(Debug)]
pub struct Archive {
    place: LogPlace,
}

impl Archive {
    /// The archive of a database in a folder, which several databases may share. Makes the database's directory in it.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub fn open(disk: Arc<dyn Disk>, database_id: [u8; 16]) -> Result<Archive, IoError> {
        let place = Archive::place(disk, database_id);
        place.disk.create_directory(&place.directory)?;
        place.disk.sync_directory("")?;
        Ok(Archive { place })
    }

    /// Where a database's segments lie in an archive folder.
    pub fn place(disk: Arc<dyn Disk>, database_id: [u8; 16]) -> LogPlace {
        LogPlace { disk, directory: hex(&database_id), name: format!("the archive of {}", hex(&database_id)) }
    }

    /// Copies a segment of `bytes` bytes, to which nothing is written any more. A copy that is there is replaced.
    pub(crate) fn keep(&self, from: &Arc<dyn File>, number: u64, bytes: u64) -> Result<(), IoError> {
        let first = transfer(from, Operation::Read, 0, Buffer::zeroed(BLOCK_BYTES))?;
        match SegmentHeader::decode(&first) {
            FirstBlock::Header(header) if header.number != number => return Ok(()), // AR2
            FirstBlock::Nothing if first.iter().all(|&byte| byte == 0) => return Ok(()), // AR2
            // One that is damaged costs nothing (RM2).
            FirstBlock::Header(_) | FirstBlock::Newer(_) | FirstBlock::Nothing => {}
        }
        let LogPlace { disk, directory, .. } = &self.place;
        let new = format!("{directory}/{NAME_OF_NEW}");
        match disk.remove(&new) {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let to = disk.open(&new, OpenMode::CreateNew)?;
        let mut buffer = Buffer::zeroed(COPY_BYTES.min(bytes) as usize);
        let mut offset = 0;
        while offset < bytes {
            let len = COPY_BYTES.min(bytes - offset) as usize;
            if buffer.len() != len {
                buffer = Buffer::zeroed(len);
            }
            buffer = transfer(from, Operation::Read, offset, buffer)?;
            buffer = transfer(&to, Operation::Write, offset, buffer)?;
            offset += len as u64;
        }
        to.sync_all()?;
        disk.rename(&new, &format!("{directory}/{}", segment_name(number)))?;
        disk.sync_directory(directory) // AR1
    }
}

fn transfer(
    file: &Arc<dyn File>,
    operation: Operation,
    offset: u64,
    buffer: Buffer,
) -> Result<Buffer, IoError> {
    let done = file.transfer(vec![Request { operation, offset, buffer }]).remove(0);
    done.result.map(|()| done.buffer)
}
