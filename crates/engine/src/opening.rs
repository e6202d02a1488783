//! From a directory to an open database.
//!
//! Making one: data file under a temporary name, log, first checkpoint, which gives the file its name. So a crash while
//! making leaves no data file, and what it left behind is told from other programs' files by that temporary name.

use crate::archive;
use crate::catalog::{Catalog, Journal};
use crate::checkpoint::{Checkpoints, listed_pages_max};
use crate::checkpoint_snapshot::CheckpointSnapshots;
use crate::commit_batch::CommitMemory;
use crate::database::{Database, Handle};
use crate::engine::{Engine, HashSeeds, Maintenance};
use crate::error::{Error, Result};
use crate::expiry::Removal;
use crate::housekeeping::{self, Signal};
use crate::large::LargeMemory;
use crate::options::{Limits, Options, Presence};
use crate::order::Order;
use crate::pace::Pace;
use crate::recovery::{self, LOG_DIRECTORY};
use crate::stats::RecoveryReport;
use crate::stripes::Stripes;
use crate::transactions::Transactions;
use crate::watch::Watchers;
use aquifer_buffer::{BackupImage, CopyProgress, Pager, PagerOptions};
use aquifer_io::{Disk, DiskLock, open_disk};
use aquifer_pools::{Budget, Reservation};
use aquifer_sync::atomic::AtomicU64;
use aquifer_sync::{Arc, Mutex, OnceLock, Rank};
use aquifer_wal::{Archive, History, Log, LogOptions, Lsn};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) const DATA: &str = "data";
const DATA_NEW: &str = "data.new";
pub(crate) const LOCK: &str = "LOCK";
/// What the log adds to a record.
const RECORD_FRAME_BYTES_MAX: usize = 10;

/// What all ways of opening have in common.
struct Opening {
    options: Options,
    limits: Limits,
    budget: Arc<Budget>,
    reserved: Vec<Reservation>,
    begun: Instant,
}

/// A log, tables, and where they come from.
struct Parts {
    pager: Arc<Pager>,
    log: Arc<Log>,
    catalog: Catalog,
    backend: String,
    disk_lock: Option<Box<dyn DiskLock>>,
    report: RecoveryReport,
    flip_lsn: Lsn,
}

impl Database {
    pub(crate) fn open_with(options: Options, dir: &Path, presence: Presence) -> Result<Database> {
        let opening = Opening::new(options)?;
        let path = || dir.display().to_string();
        let disk = disk_of(&opening.options, dir, presence != Presence::MustExist)?;
        let names = disk.list("")?;
        let there = names.iter().any(|name| name == DATA);
        match presence {
            Presence::MustExist if !there => return Err(Error::NotFound { path: path() }),
            Presence::MustBeAbsent if there => return Err(Error::AlreadyExists { path: path() }),
            _ => {}
        }
        if !there {
            check_ours(&names)?; // before anything is made there
        }
        let disk_lock = lock(&disk)?;
        // Again, under the lock: another process may just have made it.
        let names = disk.list("")?;
        if names.iter().any(|name| name == DATA) {
            opening.open(disk, disk_lock)
        } else {
            opening.create(disk, disk_lock, &names)
        }
    }

    /// Makes a database of a backup in `dir`, where there is none.
    pub(crate) fn restore_with(
        options: Options,
        dir: &Path,
        image: &BackupImage,
        history: &mut History,
        progress: impl FnMut(CopyProgress),
    ) -> Result<Database> {
        let opening = Opening::new(options)?;
        let disk = disk_of(&opening.options, dir, true)?;
        check_ours(&disk.list("")?)?; // before anything is made there
        let disk_lock = lock(&disk)?;
        check_ours(&disk.list("")?)?;
        opening.restore(disk, disk_lock, image, history, progress)
    }

    pub(crate) fn in_memory_with(options: Options) -> Result<Database> {
        let opening = Opening::new(options)?;
        let pager = Pager::in_memory(opening.pager_options())?;
        let catalog = Catalog::create(&pager, false)?;
        let parts = Parts {
            pager,
            log: Log::volatile(),
            catalog,
            backend: "memory".into(),
            disk_lock: None,
            report: RecoveryReport { created: true, clean: true, ..RecoveryReport::default() },
            flip_lsn: Lsn(0),
        };
        opening.serve(parts)
    }
}

impl Opening {
    fn new(options: Options) -> Result<Opening> {
        let limits = Limits::new(&options)?;
        let budget = Budget::new(limits.memory_budget_bytes);
        let reserved = vec![
            budget.account("commits").reserve(limits.commit_bytes)?,
            budget.account("large values").reserve(limits.large_bytes)?,
            budget.account("key stripes").reserve(Stripes::bytes(limits.stripes))?,
            budget.account("announcements").reserve(limits.announced_bytes)?,
        ];
        Ok(Opening { options, limits, budget, reserved, begun: Instant::now() })
    }

    fn pager_options(&self) -> PagerOptions {
        PagerOptions { page_bytes: self.options.new_page_bytes(), budget: Arc::clone(&self.budget) }
    }

    fn start_log(
        &mut self,
        disk: &Arc<dyn Disk>,
        id: [u8; 16],
        incarnation: u64,
        start: Lsn,
        archive: Option<Archive>,
    ) -> Result<Arc<Log>> {
        let options = LogOptions {
            segment_bytes_max: self.limits.segment_bytes_max,
            ring_bytes: self.limits.ring_bytes,
            database_id: id,
            incarnation,
        };
        let log = Log::start(Arc::clone(disk), LOG_DIRECTORY, options, start)?;
        if let Some(archive) = archive {
            log.archive_to(archive)?; // before anything is retired
        }
        if !self.options.background {
            log.set_patience(Duration::ZERO); // the one who would wait is the one who makes room
        }
        Ok(log)
    }

    /// The log's memory is set aside before the pager takes what is left.
    fn reserve_log(&mut self) -> Result<()> {
        let options = LogOptions {
            segment_bytes_max: self.limits.segment_bytes_max,
            ring_bytes: self.limits.ring_bytes,
            database_id: [0; 16],
            incarnation: 0,
        };
        self.reserved.push(self.budget.account("log").reserve(options.memory_bytes())?);
        Ok(())
    }

    fn create(
        mut self,
        disk: Arc<dyn Disk>,
        disk_lock: Box<dyn DiskLock>,
        names: &[String],
    ) -> Result<Database> {
        clear_crashed_creation(&disk, names)?;
        self.reserve_log()?;
        let id = new_database_id();
        let pager = Pager::create(Arc::clone(&disk), self.pager_options(), id)?;
        pager.hold_back_name(self.options.held_back);
        let catalog = Catalog::create(&pager, true)?;
        let archive = archive::choose(&disk, &self.options, id)?;
        let log = self.start_log(&disk, id, 1, Lsn(0), archive)?;
        let report =
            RecoveryReport { created: true, clean: true, incarnation: 1, ..RecoveryReport::default() };
        let backend = disk.backend();
        self.serve(Parts {
            pager,
            log,
            catalog,
            backend,
            disk_lock: Some(disk_lock),
            report,
            flip_lsn: Lsn(0),
        })
    }

    fn open(mut self, disk: Arc<dyn Disk>, disk_lock: Box<dyn DiskLock>) -> Result<Database> {
        self.reserve_log()?;
        let (pager, superblock) = Pager::open(Arc::clone(&disk), self.pager_options())?;
        let mut catalog = Catalog::load(&pager, true)?;
        let mut report = RecoveryReport { generation: superblock.generation, ..RecoveryReport::default() };
        let tail = recovery::replay(&disk, &pager, &superblock, &mut catalog, &mut report)?;
        report.tables_dropped = finish_drops(&mut catalog, tail.end, false);
        report.clean = report.records == 0 && report.tail_cut_bytes == 0;
        report.incarnation = superblock.incarnation.max(tail.incarnation_max) + 1;
        let archive = archive::choose(&disk, &self.options, superblock.database_id)?;
        let log = self.start_log(&disk, superblock.database_id, report.incarnation, tail.end, archive)?;
        let backend = disk.backend();
        let flip_lsn = Lsn(superblock.flip_lsn);
        self.serve(Parts { pager, log, catalog, backend, disk_lock: Some(disk_lock), report, flip_lsn })
    }

    /// Makes a database of a backup, brought forward to the end of `history`. It has an identity of its own.
    fn restore(
        mut self,
        disk: Arc<dyn Disk>,
        disk_lock: Box<dyn DiskLock>,
        image: &BackupImage,
        history: &mut History,
        progress: impl FnMut(CopyProgress),
    ) -> Result<Database> {
        clear_crashed_creation(&disk, &disk.list("")?)?;
        self.reserve_log()?;
        let id = new_database_id();
        let pager = image.restore(Arc::clone(&disk), self.pager_options(), id, progress)?;
        let mut catalog = Catalog::load(&pager, true)?;
        let mut report = RecoveryReport { created: true, incarnation: 1, ..RecoveryReport::default() };
        pager.hold_back_name(true);
        let listed_max = listed_pages_max(self.limits.memory_budget_bytes);
        recovery::bring_forward(&pager, history, &mut catalog, &mut report, listed_max)?;
        pager.hold_back_name(self.options.held_back);
        let end = history.position();
        report.log_bytes = end.0 - image.superblock().flip_lsn;
        report.tables_dropped += finish_drops(&mut catalog, end, false);
        let archive = archive::choose(&disk, &self.options, id)?;
        let log = self.start_log(&disk, id, 1, end, archive)?;
        let backend = disk.backend();
        self.serve(Parts { pager, log, catalog, backend, disk_lock: Some(disk_lock), report, flip_lsn: end })
    }

    fn serve(self, parts: Parts) -> Result<Database> {
        let Opening { options, limits, budget, reserved, begun } = self;
        let on_disk = parts.disk_lock.is_some();
        let large_memory = LargeMemory::new(limits.large_bytes, parts.pager.page_bytes());
        let order = Order::new(Arc::clone(&parts.log));
        let mut engine = Engine {
            pager: parts.pager,
            log: parts.log,
            txns: Transactions::new(&order, &limits),
            order,
            watchers: Watchers::default(),
            stripes: Stripes::new(limits.stripes),
            on_disk,
            record_bytes_inside_gate: limits.ring_bytes / 4 - RECORD_FRAME_BYTES_MAX,
            backend: parts.backend,
            incarnation: parts.report.incarnation,
            recovery: parts.report,
            budget,
            commit_memory: CommitMemory::new(limits.commit_bytes, limits.commit_bytes_max),
            large_memory,
            had_large: OnceLock::new(),
            limits,
            _reserved: reserved,
            pace: Pace::default(),
            checkpoints: Checkpoints::new(parts.flip_lsn),
            checkpoint_snapshots: CheckpointSnapshots::new(),
            flusher: Signal::default(),
            checkpointer: Signal::default(),
            clock: options.clock,
            removal: Removal::new(options.background && !options.held_back), // EX3 of `expiry`
            hash_seeds: HashSeeds { fixed: options.hash_seed, drawn: AtomicU64::new(0) },
            maintenance: Mutex::new(
                Rank::Maintenance,
                Maintenance { disk_lock: parts.disk_lock.map(Arc::new), closed: false },
            ),
            catalog: Mutex::new(Rank::Catalog, parts.catalog),
        };
        if on_disk {
            // The new incarnation is durable before anybody is served; nothing is ever appended to the old log.
            engine.checkpoint_anyway()?;
        }
        engine.recovery.duration = begun.elapsed();
        let engine = Arc::new(engine);
        let background = options.background && on_disk;
        let threads = if background { housekeeping::start(&engine)? } else { Vec::new() };
        let handle = Handle::new(engine, Mutex::new(Rank::Leaf, threads));
        handle.start_removal()?;
        Ok(Database::of(handle))
    }
}

/// Frees what dropped tables have left, and detached trees. Where large values are among it, all leaves have to be read; unless it `may_read`
/// them, that is left to the background. Returns how many tables are done with.
pub(crate) fn finish_drops(catalog: &mut Catalog, end: Lsn, may_read: bool) -> u64 {
    let dropping = catalog.dropping().len();
    loop {
        let freed = match catalog.reads_to_free() {
            Ok(true) if !may_read => Ok(false),
            Ok(_) => catalog.free_some(Journal::Replay(end)),
            Err(error) => Err(error),
        };
        match freed {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                // Nobody needs these tables: they are tried again in the background.
                tracing::warn!(%error, "a dropped table could not be freed");
                break;
            }
        }
    }
    (dropping - catalog.dropping().len()) as u64
}

/// The disk that the options say, over the directory `dir`; `NotFound` if that is absent and not to be made.
pub(crate) fn disk_of(options: &Options, dir: &Path, create: bool) -> Result<Arc<dyn Disk>> {
    match &options.disk {
        Some(disk) => Ok(Arc::clone(disk)),
        None => match open_disk(dir, options.backend, create) {
            Err(error) if error.kind == ErrorKind::NotFound && !create => {
                Err(Error::NotFound { path: dir.display().to_string() })
            }
            disk => Ok(disk?),
        },
    }
}

/// Locks the directory against other openers.
pub(crate) fn lock(disk: &Arc<dyn Disk>) -> Result<Box<dyn DiskLock>> {
    disk.lock(LOCK).map_err(|error| match error.kind {
        ErrorKind::WouldBlock => Error::Locked { what: error.message },
        _ => error.into(),
    })
}

/// Removes what a creation that crashed left behind.
///
/// # Errors
///
/// If there is anything else: it is somebody's.
fn clear_crashed_creation(disk: &Arc<dyn Disk>, names: &[String]) -> Result<()> {
    check_ours(names)?;
    let has = |what: &str| names.iter().any(|name| name == what);
    if has(archive::CHOICE) {
        archive::forget(disk)?; // it was that of a database that did not come to be
    }
    if !has(LOG_DIRECTORY) {
        disk.create_directory(LOG_DIRECTORY)?;
        disk.sync_directory("")?;
        return Ok(());
    }
    let segments = disk.list(LOG_DIRECTORY)?;
    if !segments.is_empty() && !has(DATA_NEW) {
        let what =
            "there is a log without its data file: data was removed or renamed; restore it or a backup"
                .into();
        return Err(Error::Format { what });
    }
    for segment in segments {
        disk.remove(&format!("{LOG_DIRECTORY}/{segment}"))?;
    }
    disk.sync_directory(LOG_DIRECTORY)?;
    Ok(())
}

/// Is there nothing in the directory but what a creation that crashed leaves behind?
fn check_ours(names: &[String]) -> Result<()> {
    match names.iter().find(|name| {
        ![LOCK, DATA_NEW, LOG_DIRECTORY, archive::CHOICE, archive::CHOICE_NEW].contains(&name.as_str())
    }) {
        None => Ok(()),
        Some(other) => Err(Error::usage(format!(
            "the directory is not empty (it holds {other:?}) and no Aquifer database; choose another"
        ))),
    }
}

/// Sixteen bytes that no other database has: from the keys of two hashers, which the system draws, and the time.
fn new_database_id() -> [u8; 16] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut id = [0; 16];
    for half in id.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one((now, std::process::id())).to_le_bytes());
    }
    id
}
