//! Hot backup, and the way back.
//!
//! ```text
//!  backup:   checkpoint, kept --> pages that have moved --> the backup's own checkpoint       (writes go on)
//!  restore:  backup --all pages--> data.new; archived log from there to the target; first checkpoint: a database
//! ```
//!
//! # Invariants
//!
//! - **BK1** A backup holds exactly the commits before one moment, which is not before the call began.
//! - **BK2** The directory of a backup holds a whole backup at every moment, once the first was complete: the one before or the one
//!   after.
//! - **BK3** A restored database has an identity of its own: its log and its backups are never taken for those of the one that
//!   it was made of.
//! - **BK4** Until a restored database is complete there is none.
//! - **BK5** A backup that outlives the closing of its database keeps the directory locked: whoever opened it would write over what
//!   the backup still reads.

use crate::database::Database;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::opening::{LOCK, disk_of, lock};
use crate::options::Options;
use aquifer_buffer::{BackupImage, BackupReport, CopyProgress, Pager};
use aquifer_io::{Backend, Disk, open_disk};
use aquifer_sync::Arc;
use aquifer_wal::{Archive, History, LogPlace, Lsn, Until};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a backup's directory may hold.
const NAMES: [&str; 5] = [LOCK, "data", "data.new", "origins", "origins.new"];

impl Database {
    /// Makes a backup in the directory `dir`, which is absent, empty, or holds an earlier backup of this database: then only pages that
    /// have moved since are copied. Commits go on meanwhile; the backup holds those up to a checkpoint that this call takes. What the
    /// backup reads keeps its place in the data file until it is done, so the file grows by what changes meanwhile. If the database
    /// is closed meanwhile, the backup goes on, and the directory stays locked until it is done.
    ///
    /// A backup is not opened: [`Backup`] checks and restores it.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let (shop, copy, again) = (dir.path().join("shop.aq"), dir.path().join("copy"), dir.path().join("again.aq"));
    /// use aquifer::{Backup, Database, TableOptions};
    ///
    /// let db = Database::open(&shop)?;
    /// db.create_table("prices", TableOptions::default())?.put(b"tea", b"3")?;
    /// let report = db.backup(&copy, |_| {})?;
    /// assert!(!report.incremental);
    ///
    /// let (restored, _) = Backup::at(&copy).restore(Database::options(), &again, |_| {})?;
    /// assert_eq!(restored.table("prices")?.get(b"tea")?.as_deref(), Some(&b"3"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Usage` for a database in memory and for a directory that holds something else; [`Error::Locked`] if another backup goes there;
    /// [`Error::Corrupt`] for a damaged page, which [`verify`](Self::verify) tells more of; those of either disk. An earlier backup stays
    /// as it was.
    pub fn backup(&self, dir: impl AsRef<Path>, progress: impl FnMut(CopyProgress)) -> Result<BackupReport> {
        let engine = self.engine();
        engine.back_up(open_disk(dir.as_ref(), Backend::Auto, true)?, progress)
    }

    /// As [`backup`](Self::backup), to this disk instead of a directory: for simulation and tests.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn backup_on(&self, disk: Arc<dyn Disk>, progress: impl FnMut(CopyProgress)) -> Result<BackupReport> {
        self.engine().back_up(disk, progress)
    }
}

impl Engine {
    fn back_up(&self, disk: Arc<dyn Disk>, progress: impl FnMut(CopyProgress)) -> Result<BackupReport> {
        if !self.on_disk {
            return Err(Error::usage("a database in memory has no backup; dump it"));
        }
        check_ours(&disk.list("")?)?;
        let _lock = lock(&disk)?;
        check_ours(&disk.list("")?)?;
        let (kept, _ours) = {
            let maintenance = self.maintenance.lock();
            if maintenance.closed {
                return Err(Error::Closed);
            }
            self.checkpoint_if_changed()?; // BK1
            (Pager::keep_checkpoint(&self.pager)?, maintenance.disk_lock.clone()) // BK5
        };
        Ok(kept.back_up(disk, progress)?) // BK2
    }
}

fn check_ours(names: &[String]) -> Result<()> {
    match names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        None => Ok(()),
        Some(other) => Err(Error::usage(format!(
            "the directory holds {other:?}, which is no part of a backup; choose another"
        ))),
    }
}

/// A backup, and the log with which it can be brought forward.
#[derive(Debug, Clone)]
#[must_use]
pub struct Backup {
    dir: PathBuf,
    disk: Option<Arc<dyn Disk>>,
    logs: Vec<LogSource>,
    until: Until,
}

#[derive(Debug, Clone)]
enum LogSource {
    Folder(PathBuf),
    Archive(Arc<dyn Disk>),
    Place(LogPlace),
}

/// What a backup says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupInfo {
    /// It holds exactly the commits below this log position.
    pub lsn: u64,
    /// The identity of the database that it was made of.
    pub database_id: [u8; 16],
    /// Page size in bytes.
    pub page_bytes: u32,
    /// How many backups were made in this place.
    pub generation: u64,
}

/// What restoring came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreReport {
    /// The log position up to which the backup held all commits.
    pub backup_lsn: u64,
    /// The one up to which the restored database does.
    pub lsn: u64,
    /// When the last commit that was taken from the log was written.
    pub last_commit: Option<SystemTime>,
    /// Commits taken from the log.
    pub commits: u64,
}

impl Backup {
    /// The backup in a directory.
    pub fn at(dir: impl Into<PathBuf>) -> Backup {
        Backup { dir: dir.into(), disk: None, logs: Vec::new(), until: Until::End }
    }

    /// The backup on a disk: for simulation and tests.
    pub fn on(disk: Arc<dyn Disk>) -> Backup {
        Backup { disk: Some(disk), ..Backup::at("") }
    }

    /// Brings the restored database forward by the log in this folder: an [archive](Options::archive), or the directory `log` of a database
    /// that nobody has open. Can be called several times.
    pub fn log(mut self, folder: impl Into<PathBuf>) -> Backup {
        self.logs.push(LogSource::Folder(folder.into()));
        self
    }

    /// As [`log`](Self::log), with an archive on a disk.
    pub fn archive_on(mut self, disk: Arc<dyn Disk>) -> Backup {
        self.logs.push(LogSource::Archive(disk));
        self
    }

    /// As [`log`](Self::log), with the log of a database on a disk.
    pub fn log_on(mut self, disk: Arc<dyn Disk>) -> Backup {
        let directory = crate::recovery::LOG_DIRECTORY.to_owned();
        self.logs.push(LogSource::Place(LogPlace { disk, name: directory.clone(), directory }));
        self
    }

    /// Up to this log position, and no further: commits that end at or before it. Default: to the end of the log.
    pub fn until_lsn(mut self, lsn: u64) -> Backup {
        self.until = Until::Lsn(Lsn(lsn));
        self
    }

    /// Up to this time, and no further: commits that were written to the log by then. It is after the backup's, and the log that was
    /// given has something from in between. A commit is written when somebody waits for it, at
    /// the latest about ten milliseconds after it was made.
    pub fn until_time(mut self, time: SystemTime) -> Backup {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.until = Until::Time(since.as_micros() as u64);
        self
    }

    fn image(&self) -> Result<BackupImage> {
        let options = Options { disk: self.disk.clone(), ..Options::default() };
        let disk = disk_of(&options, &self.dir, false)?;
        match BackupImage::open(disk) {
            Err(aquifer_buffer::Error::Io(error)) if error.kind == std::io::ErrorKind::NotFound => {
                Err(Error::NotFound { path: self.dir.display().to_string() })
            }
            image => Ok(image?),
        }
    }

    /// What it says of itself.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::Format`] if there is no backup; the disk's.
    pub fn info(&self) -> Result<BackupInfo> {
        let superblock = *self.image()?.superblock();
        Ok(BackupInfo {
            lsn: superblock.flip_lsn,
            database_id: superblock.database_id,
            page_bytes: superblock.page_bytes,
            generation: superblock.generation,
        })
    }

    /// Reads every page and compares checksums. `problem` is called with what is wrong with each that is damaged. Returns the number
    /// of pages.
    ///
    /// # Errors
    ///
    /// As [`info`](Self::info); [`Error::Corrupt`] for a damaged page map.
    pub fn verify(&self, mut problem: impl FnMut(Error)) -> Result<u64> {
        let mut pages = 0;
        self.image()?.verify(|_, result| {
            pages += 1;
            if let Err(error) = result {
                problem(error.into());
            }
        })?;
        Ok(pages)
    }

    /// Makes a database of it in `dir`, which must be absent or empty, brought forward by the log that was given, and opens it. The new
    /// database has an identity of its own. Its tables without a log are as of the backup.
    ///
    /// # Errors
    ///
    /// As [`info`](Self::info); `Usage` if `dir` holds anything; [`Error::Corrupt`] for a damaged page;
    /// [`Error::Format`] if log is missing or damaged before the target, with the position up to which it is there. No database
    /// is in `dir` then.
    pub fn restore(
        &self,
        options: Options,
        dir: impl AsRef<Path>,
        progress: impl FnMut(CopyProgress),
    ) -> Result<(Database, RestoreReport)> {
        let image = self.image()?;
        let superblock = *image.superblock();
        let places = self.places(superblock.database_id)?;
        let from = Lsn(superblock.flip_lsn);
        let until = if self.logs.is_empty() { Until::End } else { self.until };
        if self.logs.is_empty() && self.until != Until::End {
            return Err(Error::usage("to restore up to a moment, name the archive or the log that has it"));
        }
        let mut history = History::open(places, superblock.database_id, superblock.incarnation, from, until)?;
        let db = Database::restore_with(options, dir.as_ref(), &image, &mut history, progress)?;
        let report = RestoreReport {
            backup_lsn: from.0,
            lsn: history.position().0,
            last_commit: (history.time_us() > 0)
                .then(|| UNIX_EPOCH + Duration::from_micros(history.time_us())),
            commits: db.recovery_report().records,
        };
        Ok((db, report))
    }

    /// Where segments are looked for. In a folder that several databases share, each has a directory.
    fn places(&self, database_id: [u8; 16]) -> Result<Vec<LogPlace>> {
        let mut places = Vec::new();
        for source in &self.logs {
            match source {
                LogSource::Archive(disk) => places.push(Archive::place(Arc::clone(disk), database_id)),
                LogSource::Place(place) => places.push(place.clone()),
                LogSource::Folder(folder) => {
                    let disk = open_disk(folder, Backend::Auto, false)?;
                    let name = folder.display().to_string();
                    places.push(LogPlace {
                        name: name.clone(),
                        ..Archive::place(Arc::clone(&disk), database_id)
                    });
                    places.push(LogPlace { disk, directory: String::new(), name });
                }
            }
        }
        Ok(places)
    }
}
