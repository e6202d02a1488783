//! Where a database's log is kept for good: the choice, which the database's directory remembers.
//!
//! The file `archive` is one block: the folder's absolute path as text, a line feed, zeros, and the CRC32C of all that in the last
//! four bytes. FROZEN. Without the file nothing is archived.
//!
//! # Invariants
//!
//! - **AC1** The choice is durable before the first segment is retired under it, and whoever opens the database without saying
//!   anything about it follows it: nobody leaves a hole in the archive by not knowing of it.
//! - **AC2** A choice that cannot be followed, or not be read, is an error of the opening. A folder in which the database's own
//!   directory is not there is another one than was chosen: a disk that is not mounted, perhaps.
//! - **AC3** A new choice that cannot be followed leaves the one before as it was.

use crate::error::{Error, Result};
use crate::options::Options;
use aquifer_codec::checksum::crc32c;
use aquifer_io::{BLOCK_BYTES, Buffer, Disk, OpenMode, Operation, Request, open_disk};
use aquifer_sync::Arc;
use aquifer_wal::Archive;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the file.
pub(crate) const CHOICE: &str = "archive";
/// Its name until it is durable.
pub(crate) const CHOICE_NEW: &str = "archive.new";
const CRC_AT: usize = BLOCK_BYTES - 4;

/// What the options say.
#[derive(Debug, Clone)]
pub(crate) enum ArchiveChoice {
    AsBefore,
    Folder(PathBuf),
    Disk(Arc<dyn Disk>),
    Nowhere,
}

/// The archive of the database with this identity, as the options or the directory say.
///
/// # Errors
///
/// AC2; those of the disks.
pub(crate) fn choose(
    disk: &Arc<dyn Disk>,
    options: &Options,
    database_id: [u8; 16],
) -> Result<Option<Archive>> {
    let folder = match &options.archive {
        ArchiveChoice::Disk(archive) => return Ok(Some(Archive::open(Arc::clone(archive), database_id)?)),
        ArchiveChoice::Nowhere => {
            forget(disk)?;
            return Ok(None);
        }
        ArchiveChoice::AsBefore => match remembered(disk)? {
            Some(folder) => return open(&folder, false, options, database_id).map(Some),
            None => return Ok(None),
        },
        ArchiveChoice::Folder(folder) => std::path::absolute(folder)
            .map_err(|error| Error::usage(format!("archive folder {}: {error}", folder.display())))?,
    };
    let before = remembered(disk);
    let archive = if before.as_ref().is_ok_and(|before| before.as_ref() == Some(&folder)) {
        open(&folder, true, options, database_id)?
    } else {
        remember(disk, &folder)?; // AC1, and the name is taken: the folder is not this very file's place
        open(&folder, true, options, database_id).inspect_err(|_| {
            // AC3. If this fails too, the next opening says what it misses.
            let _ = match before {
                Ok(Some(before)) => remember(disk, &before),
                Ok(None) => forget(disk),
                Err(_damaged) => Ok(()),
            };
        })?
    };
    Ok(Some(archive))
}

/// Opens the archive in a folder; one that is not `new` has the database's directory already (AC2).
fn open(folder: &Path, new: bool, options: &Options, database_id: [u8; 16]) -> Result<Archive> {
    let opened = open_disk(folder, options.backend, new).and_then(|archive| {
        if !new {
            let place = Archive::place(Arc::clone(&archive), database_id);
            archive.list(&place.directory)?;
        }
        Archive::open(archive, database_id)
    });
    opened.map_err(|error| unavailable(folder, &error.to_string()))
}

fn unavailable(folder: &Path, why: &str) -> Error {
    let folder = folder.display();
    Error::usage(format!(
        "the log is archived in {folder}, which cannot be used ({why}); make it available, or open with another archive or with none"
    ))
}

fn remembered(disk: &Arc<dyn Disk>) -> Result<Option<PathBuf>> {
    let file = match disk.open(CHOICE, OpenMode::Existing) {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let request = Request { operation: Operation::Read, offset: 0, buffer: Buffer::zeroed(BLOCK_BYTES) };
    let done = file.transfer(vec![request]).remove(0);
    let damaged = || {
        Error::corrupt(format!(
            "the file {CHOICE}, which says where the log is archived, is damaged; open with an archive or with none"
        ))
    };
    match done.result {
        Err(error) if error.kind == ErrorKind::UnexpectedEof => return Err(damaged()),
        read => read?,
    }
    let block = &done.buffer;
    let sound = block[CRC_AT..] == crc32c(0, &block[..CRC_AT]).to_le_bytes();
    let line = block[..CRC_AT].split(|&byte| byte == b'\n').next().filter(|_| sound);
    let path = line.and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(damaged)?;
    Ok(Some(PathBuf::from(path)))
}

fn remember(disk: &Arc<dyn Disk>, folder: &Path) -> Result<()> {
    let text =
        folder.to_str().filter(|text| text.len() < CRC_AT && !text.contains('\n')).ok_or_else(|| {
            Error::usage(format!("archive folder {}: such a path cannot be remembered", folder.display()))
        })?;
    let mut block = Buffer::zeroed(BLOCK_BYTES);
    block[..text.len()].copy_from_slice(text.as_bytes());
    block[text.len()] = b'\n';
    let crc = crc32c(0, &block[..CRC_AT]);
    block[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    remove(disk, CHOICE_NEW)?;
    let file = disk.open(CHOICE_NEW, OpenMode::CreateNew)?;
    file.write_durable(0, block).result?;
    file.sync_all()?;
    disk.rename(CHOICE_NEW, CHOICE)?;
    Ok(disk.sync_directory("")?)
}

/// From now on nothing is archived.
pub(crate) fn forget(disk: &Arc<dyn Disk>) -> Result<()> {
    remove(disk, CHOICE)?;
    Ok(disk.sync_directory("")?)
}

fn remove(disk: &Arc<dyn Disk>, name: &str) -> Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
