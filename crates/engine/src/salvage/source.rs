//! Which checkpoint and which log a salvage starts from.
//!
//! # Invariants
//!
//! - **SO1** Nothing is written to the damaged database but the process id in `LOCK`, which is held throughout.
//! - **SO2** The newest valid superblock is believed to be the newest there was, unless the log shows that it is not: by telling of a
//!   later checkpoint, by records of a later incarnation, or by not reaching back to it while the other superblock is damaged.

use crate::error::{Error, Result};
use crate::opening::{DATA, disk_of, lock};
use crate::options::Options;
use crate::record::Record;
use crate::recovery::LOG_DIRECTORY;
use aquifer_buffer::{Superblock, Wreck};
use aquifer_index::btree::LoosePage;
use aquifer_io::{Disk, DiskLock};
use aquifer_sync::Arc;
use aquifer_wal::{LogIdentity, Lsn, Remains};
use std::path::Path;

/// A damaged database, locked.
pub(super) struct Source {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) wreck: Wreck,
    /// The newest that is valid.
    pub(super) superblock: Option<Superblock>,
    pub(super) standing: Standing,
    pub(super) log: Option<Remains>,
    pub(super) doubts: Vec<String>,
    pub(super) notes: Vec<String>,
    _lock: Box<dyn DiskLock>,
}

/// What the superblock is worth (SO2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the newest there was.
    Newest,
    /// There was a newer checkpoint. The log still has everything since this one; whether its pages are still there must be
    /// seen: what only older checkpoints need is overwritten.
    OlderWithLog,
    /// There was a newer one, or none can be read: what there is must be found without it.
    Useless,
}

impl Source {
    pub(super) fn open(options: &Options, dir: &Path) -> Result<Source> {
        let disk = disk_of(options, dir, false)?;
        if !disk.list("")?.iter().any(|name| name == DATA) {
            return Err(Error::NotFound { path: dir.display().to_string() });
        }
        let lock = lock(&disk)?;
        let wreck = Wreck::open(Arc::clone(&disk))?;
        let superblock =
            wreck.superblocks().iter().flatten().max_by_key(|superblock| superblock.generation).copied();
        let mut source = Source {
            disk,
            wreck,
            superblock,
            standing: Standing::Newest,
            log: None,
            doubts: Vec::new(),
            notes: Vec::new(),
            _lock: lock,
        };
        source.note_superblocks();
        match superblock {
            Some(superblock) => source.judge(&superblock)?,
            None => source.without_superblock()?,
        }
        Ok(source)
    }

    fn note_superblocks(&mut self) {
        let young = self.superblock.is_some_and(|superblock| superblock.generation == 1);
        for (index, superblock) in self.wreck.superblocks().iter().enumerate() {
            match superblock {
                Err(what) if !(young && index == 0) => {
                    self.notes.push(format!("superblock {index} (byte {}): {what}", index * 65536));
                }
                _ => {}
            }
        }
    }

    /// SO2.
    fn judge(&mut self, superblock: &Superblock) -> Result<()> {
        let Superblock { database_id, incarnation, generation, flip_lsn, .. } = *superblock;
        if let Some(later) = self.newest_log_after(database_id, incarnation)? {
            self.standing = Standing::Useless;
            self.doubts.push(format!(
                "the newest superblock is lost: the log is of opening {later}, the superblock that is left of opening {incarnation}"
            ));
            self.log = Some(self.open_log(database_id, later, None)?);
            return Ok(());
        }
        let log = self.open_log(database_id, incarnation, Some(Lsn(flip_lsn)))?;
        let reaches = log.end().file.is_some() || incarnation == 0;
        if !reaches && self.wreck.superblocks().iter().any(std::result::Result::is_err) {
            self.standing = Standing::Useless;
            self.doubts.push(
                "one superblock is damaged, and the log does not reach back to the other: there may have been a newer checkpoint"
                    .into(),
            );
            self.log = Some(self.open_log(database_id, incarnation, None)?);
            return Ok(());
        }
        if newest_checkpoint(self.open_log(database_id, incarnation, Some(Lsn(flip_lsn)))?)? > generation {
            self.standing = Standing::OlderWithLog;
            self.notes.push(format!(
                "the newest superblock is lost; checkpoint {generation}, the one before it, is taken as the base"
            ));
        }
        self.log = Some(log);
        Ok(())
    }

    /// The latest incarnation after this one whose log holds any record.
    fn newest_log_after(&self, database_id: [u8; 16], incarnation: u64) -> Result<Option<u64>> {
        let identities = Remains::identities(&self.disk, LOG_DIRECTORY)?;
        let later = identities.iter().rev().filter(|log| log.database_id == database_id);
        for log in later.take_while(|log| log.incarnation > incarnation) {
            let mut remains = self.open_log(database_id, log.incarnation, None)?;
            // Of a log whose beginning is gone there may be batches all the same. One without any was begun by an opening that
            // did not come to its checkpoint.
            if remains.end().cut_bytes > 0 || remains.next()?.is_some() {
                return Ok(Some(log.incarnation));
            }
        }
        Ok(None)
    }

    fn without_superblock(&mut self) -> Result<()> {
        self.standing = Standing::Useless;
        let Some(page_bytes) = guess_page_bytes(&mut self.wreck)? else {
            let what = "no superblock and no page of an Aquifer database is in data: it is another program's file, or all of \
                        it is lost";
            return Err(Error::Format { what: what.into() });
        };
        self.wreck.set_page_bytes(page_bytes);
        self.doubts.push(format!(
            "both superblocks are lost; by what the pages look like, they have {page_bytes} bytes"
        ));
        let identities = Remains::identities(&self.disk, LOG_DIRECTORY)?;
        if let Some(&LogIdentity { database_id, incarnation }) =
            identities.iter().max_by_key(|log| log.incarnation)
        {
            self.log = Some(self.open_log(database_id, incarnation, None)?);
        }
        Ok(())
    }

    fn open_log(&self, database_id: [u8; 16], incarnation: u64, from: Option<Lsn>) -> Result<Remains> {
        Ok(Remains::open(Arc::clone(&self.disk), LOG_DIRECTORY, database_id, incarnation, from)?)
    }
}

/// The newest checkpoint that the log tells of, 0 if none.
fn newest_checkpoint(mut log: Remains) -> Result<u64> {
    let mut newest = 0;
    while let Some((_, record)) = log.next()? {
        match Record::decode(record) {
            Ok(Record::Checkpoint { generation }) => newest = newest.max(generation),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(newest)
}

/// Slots that are looked at to find the page size.
const GUESS_BYTES: u64 = 64 << 20;

/// The page size with which most slots are pages that hold something: an empty page looks right in any size. Nothing if
/// no slot is a page.
fn guess_page_bytes(wreck: &mut Wreck) -> Result<Option<usize>> {
    let mut best = (0, None);
    for page_bytes in (12..=16).map(|bits| 1usize << bits) {
        wreck.set_page_bytes(page_bytes);
        let slots: Vec<u32> = wreck.slots()?.take((GUESS_BYTES / page_bytes as u64) as usize).collect();
        let (mut pages, mut empty) = (0, 0);
        wreck.read(&slots, |_, bytes| match bytes.ok().map(LoosePage::new) {
            Some(Ok(page)) if page.is_empty() => empty += 1,
            Some(Ok(_)) => pages += 1,
            _ => {}
        });
        if pages > best.0 || (best.1.is_none() && empty > 0) {
            best = (pages, Some(page_bytes));
        }
    }
    Ok(best.1)
}
