//! Copying a checkpoint into another data file, and back.
//!
//! A backup is a directory with a data file of the usual format, whose superblock says that it is a backup, and the file `origins`
//! beside it, which says where each page came from. What has not moved since is not copied again. The pages of a backup lie in slots of its
//! own, and changes to it are made as a checkpoint makes them: beside what is there, and then a superblock.
//!
//! ```text
//!  kept checkpoint --pages that have moved--> backup: fresh slots, map; sync; superblock; sync; origins
//!  backup ----------------all pages---------> new data file without its name --first checkpoint--> database
//! ```
//!
//! # Invariants
//!
//! - **BA1** The backup that is there stays whole and readable until the new one's superblock is durable: what it refers to is not
//!   overwritten (MP1 and E3, for its file).
//! - **BA2** Every page is compared with the checksum that the page map states before it is copied: damage does not get into
//!   a backup, and ends it with an error that names the page.
//! - **BA3** A data file that is no backup of this database is never touched.
//! - **BA4** Memory: one batch of pages and one of records, whatever the size.

use crate::file::{DATA, DataFile};
use crate::kept::KeptCheckpoint;
use crate::map::{MapRoot, MapWriter, read_map};
use crate::origins::{Origins, OriginsWriter};
use crate::pager::{Pager, PagerOptions};
use crate::space::Space;
use crate::translation::Location;
use crate::{Error, PageId, Result, Superblock};
use aquifer_io::{Buffer, Disk};
use aquifer_sync::{Arc, Mutex, Rank};
use std::io::ErrorKind;

/// Moved pages that are put into the map at a time.
const RECORDS_MAX: usize = 4096;
/// Pages between two calls of `progress`.
const PROGRESS_EVERY: u64 = 32;
/// Pages copied at a time, in bytes.
const BATCH_BYTES: usize = 128 << 10;

/// How far copying is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// Pages looked at.
    pub pages: u64,
    /// Pages copied.
    pub copied: u64,
    /// Page ids that there may be, for judging how much is left.
    pub pages_max: u64,
}

/// What a backup came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupReport {
    /// It holds exactly the commits below this log position.
    pub flip_lsn: u64,
    /// Pages in it.
    pub pages: u64,
    /// Of these, pages that were copied now.
    pub pages_copied: u64,
    /// Bytes written to its data file.
    pub written_bytes: u64,
    /// An earlier backup that was there has told what need not be copied.
    pub incremental: bool,
}

/// Copies pages from one file to fresh slots of another, in ascending order.
struct Copy<'f> {
    from: &'f DataFile,
    to: &'f DataFile,
    space: &'f Mutex<Space>,
    map: MapRoot,
    batch: Vec<(PageId, Location)>,
    buffers: Vec<Buffer>,
    records: Vec<(PageId, Location)>,
    copied: u64,
}

impl<'f> Copy<'f> {
    fn new(from: &'f DataFile, to: &'f DataFile, space: &'f Mutex<Space>, map: MapRoot) -> Self {
        Copy { from, to, space, map, batch: Vec::new(), buffers: Vec::new(), records: Vec::new(), copied: 0 }
    }

    fn add(&mut self, page: PageId, location: Location) -> Result<()> {
        self.batch.push((page, location));
        self.copied += 1;
        if self.batch.len() * self.from.page_bytes() >= BATCH_BYTES { self.copy_batch() } else { Ok(()) }
    }

    /// The page is not there any more.
    fn remove(&mut self, page: PageId) -> Result<()> {
        self.copy_batch()?; // records are ascending
        self.record(page, Location::NONE)
    }

    fn record(&mut self, page: PageId, location: Location) -> Result<()> {
        self.records.push((page, location));
        if self.records.len() == RECORDS_MAX { self.apply() } else { Ok(()) }
    }

    fn copy_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let page_bytes = self.from.page_bytes();
        let mut buffer = || self.buffers.pop().unwrap_or_else(|| Buffer::zeroed(page_bytes));
        let requests = batch.iter().map(|&(_, at)| (at.slot, buffer())).collect();
        let mut writes = Vec::with_capacity(batch.len());
        let mut slots = self.allocate(batch.len())?.into_iter();
        for (&(page, at), (buffer, result)) in batch.iter().zip(self.from.read(requests)) {
            result?;
            self.from.check(page, at, &buffer)?; // BA2
            let slot = slots.next().expect("one for each page");
            writes.push((self.to.offset(slot), buffer));
            self.record(page, Location { slot, checksum: at.checksum })?;
        }
        for (buffer, result) in self.to.write(writes) {
            result?;
            self.buffers.push(buffer);
        }
        Ok(())
    }

    fn allocate(&self, count: usize) -> Result<Vec<u32>> {
        let mut slots = Vec::with_capacity(count);
        let mut space = self.space.lock();
        while slots.len() < count {
            let run = space.allocate((count - slots.len()) as u32, self.to)?;
            slots.extend(run.start..run.start + run.len);
        }
        Ok(slots)
    }

    fn apply(&mut self) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        self.map = MapWriter::new(self.to, self.space).apply(self.map, &records)?;
        Ok(())
    }

    /// Everything is written, and durable.
    fn finish(mut self) -> Result<(MapRoot, u64)> {
        self.copy_batch()?;
        self.apply()?;
        self.to.sync()?;
        Ok((self.map, self.copied))
    }
}

/// A backup's files, where a backup is being made.
struct Target {
    disk: Arc<dyn Disk>,
    file: DataFile,
    space: Mutex<Space>,
    /// The backup that is there.
    superblock: Option<Superblock>,
    origins: Origins,
}

impl Target {
    fn open(disk: Arc<dyn Disk>, source: &Superblock) -> Result<Target> {
        let page_bytes = source.page_bytes as usize;
        let image = match BackupImage::open(Arc::clone(&disk)) {
            Ok(image) => image,
            Err(Error::Io(error)) if error.kind == ErrorKind::NotFound => {
                let file = DataFile::create(Arc::clone(&disk), page_bytes)?;
                let space = Mutex::new(Rank::Space, Space::new(file.reserved_slots(), file.slots()?));
                return Ok(Target { disk, file, space, superblock: None, origins: Origins::none() });
            }
            Err(error) => return Err(error),
        };
        let BackupImage { file, superblock } = image;
        if superblock.database_id != source.database_id || superblock.page_bytes != source.page_bytes {
            let what = "it is a backup of another database; choose another directory".into();
            return Err(Error::Format { file: DATA.into(), what }); // BA3
        }
        let mut space = Space::new(file.reserved_slots(), file.slots()?);
        read_map(&file, superblock.map, Some(&mut space), &mut |_, _| Ok(()))?; // BA1
        let origins = Origins::open(&disk, &superblock)?;
        Ok(Target {
            disk,
            file,
            space: Mutex::new(Rank::Space, space),
            superblock: Some(superblock),
            origins,
        })
    }
}

impl KeptCheckpoint {
    /// Makes a backup of the checkpoint on `disk`, or brings the one that is there up to it. The caller has locked the disk.
    /// `progress` is called before the first and for every few pages. O(page ids), and O(pages that moved) in reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if there is a data file that is no backup of this database; [`Error::Corrupt`] for a damaged page, here or
    /// of the map there; those of either disk. The backup that was there stays as it was.
    pub fn back_up(
        &self,
        disk: Arc<dyn Disk>,
        mut progress: impl FnMut(CopyProgress),
    ) -> Result<BackupReport> {
        let source = self.superblock();
        let mut target = Target::open(disk, source)?;
        let incremental = target.origins.pages() > 0;
        let before = target.superblock.filter(|_| incremental).map_or(MapRoot::default(), |old| old.map);
        let written_before = target.file.written_bytes();
        let mut origins = OriginsWriter::create(&target.disk)?;
        let mut copy = Copy::new(self.file(), &target.file, &target.space, before);
        let mut next = 1;
        let mut done = CopyProgress { pages_max: u64::from(source.map.pages), ..CopyProgress::default() };
        progress(done);
        read_map(self.file(), source.map, None, &mut |page, at| {
            forget(&mut target.origins, &mut copy, next..page.0)?;
            next = page.0 + 1;
            origins.push(page, at)?;
            if target.origins.of(page)? != at {
                copy.add(page, at)?;
            }
            done = CopyProgress { pages: done.pages + 1, copied: copy.copied, ..done };
            if done.pages.is_multiple_of(PROGRESS_EVERY) {
                progress(done);
            }
            Ok(())
        })?;
        let end = target.origins.pages();
        forget(&mut target.origins, &mut copy, next..end)?;
        let (map, pages_copied) = copy.finish()?;
        let generation = target.superblock.map_or(0, |old| old.generation) + 1;
        let superblock = Superblock { generation, is_backup: true, map, ..*source };
        target.file.write_superblock(Superblock::offset(generation), superblock.encode())?;
        origins.finish(&superblock, source.map.pages)?;
        progress(done);
        shorten(&target.file, map)?;
        Ok(BackupReport {
            flip_lsn: source.flip_lsn,
            pages: done.pages,
            pages_copied,
            written_bytes: target.file.written_bytes() - written_before,
            incremental,
        })
    }
}

/// Pages of these ids are not there any more.
fn forget(origins: &mut Origins, copy: &mut Copy<'_>, gone: std::ops::Range<u32>) -> Result<()> {
    for page in (gone.start..gone.end.min(origins.pages())).map(PageId) {
        if origins.of(page)? != Location::NONE {
            copy.remove(page)?;
        }
    }
    Ok(())
}

/// Gives the space at the file's end back that only the backup before needed.
fn shorten(file: &DataFile, map: MapRoot) -> Result<()> {
    let mut space = Space::new(file.reserved_slots(), file.slots()?);
    read_map(file, map, Some(&mut space), &mut |_, _| Ok(()))?;
    space.shorten(file)?;
    Ok(())
}

/// A backup, for checking and restoring it.
#[derive(Debug)]
pub struct BackupImage {
    file: DataFile,
    superblock: Superblock,
}

impl BackupImage {
    /// Opens the backup on a disk.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no data file; [`Error::Format`] if it is no backup.
    pub fn open(disk: Arc<dyn Disk>) -> Result<BackupImage> {
        let (file, superblock) = DataFile::open_newest(disk)?;
        if !superblock.is_backup {
            let what = "it is a database, not a backup; choose another directory".into();
            return Err(Error::Format { file: DATA.into(), what }); // BA3
        }
        Ok(BackupImage { file, superblock })
    }

    /// What its superblock says: identity, incarnation and position of the database that it was made of.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Reads every page and compares checksums; `visit` gets each page with its result. O(pages).
    ///
    /// # Errors
    ///
    /// Those of the page map, of which nothing can be passed over.
    pub fn verify(&self, mut visit: impl FnMut(PageId, Result<()>)) -> Result<()> {
        let mut space = Space::new(self.file.reserved_slots(), self.file.slots()?);
        let mut batch: Vec<(PageId, Location)> = Vec::new();
        let mut check = |batch: &mut Vec<(PageId, Location)>| {
            let page_bytes = self.file.page_bytes();
            let requests = batch.iter().map(|(_, at)| (at.slot, Buffer::zeroed(page_bytes))).collect();
            for (&(page, at), (buffer, result)) in batch.iter().zip(self.file.read(requests)) {
                visit(page, result.map_err(Into::into).and_then(|()| self.file.check(page, at, &buffer)));
            }
            batch.clear();
        };
        read_map(&self.file, self.superblock.map, Some(&mut space), &mut |page, at| {
            batch.push((page, at));
            if batch.len() * self.file.page_bytes() >= BATCH_BYTES {
                check(&mut batch);
            }
            Ok(())
        })?;
        check(&mut batch);
        Ok(())
    }

    /// Makes a new database of it on another disk: a data file without its name, which its first checkpoint gives it unless that is
    /// [held back](Pager::hold_back_name). Its identity is `database_id`, its state is that of the backup, its incarnation 0.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for a damaged page; those of either disk and of the budget.
    pub fn restore(
        &self,
        disk: Arc<dyn Disk>,
        options: PagerOptions,
        database_id: [u8; 16],
        mut progress: impl FnMut(CopyProgress),
    ) -> Result<Arc<Pager>> {
        let page_bytes = self.superblock.page_bytes as usize;
        let file = DataFile::create(disk, page_bytes)?;
        let space = Mutex::new(Rank::Space, Space::new(file.reserved_slots(), file.slots()?));
        let mut copy = Copy::new(&self.file, &file, &space, MapRoot::default());
        let pages_max = u64::from(self.superblock.map.pages);
        let mut claimed = Space::new(self.file.reserved_slots(), self.file.slots()?);
        read_map(&self.file, self.superblock.map, Some(&mut claimed), &mut |page, at| {
            copy.add(page, at)?;
            if copy.copied.is_multiple_of(PROGRESS_EVERY) {
                progress(CopyProgress { pages: copy.copied, copied: copy.copied, pages_max });
            }
            Ok(())
        })?;
        let (map, _) = copy.finish()?;
        let superblock = Superblock { database_id, incarnation: 0, is_backup: false, map, ..self.superblock };
        Pager::over(file, options, superblock)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
