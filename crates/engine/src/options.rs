//! How a database is opened, and what follows from it.

use crate::archive::ArchiveChoice;
use crate::clock::Clock;
use crate::database::Database;
use crate::error::{Error, Result};
use aquifer_io::{Backend, Disk};
use aquifer_pools::machine_memory_bytes;
use aquifer_sync::Arc;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Page size of a new database unless told otherwise, in bytes.
const PAGE_BYTES: usize = 4096;
/// Least memory that a database works with, in bytes.
const MEMORY_BUDGET_MIN: usize = 2 << 20;

/// How to open a database: few options, each with a default that is right for most.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().join("shop.aq");
/// use aquifer::Database;
///
/// let db = Database::options().memory_budget(64 << 20).page_size(8192).create(&dir)?;
/// assert_eq!(db.page_size(), 8192);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) memory_budget_bytes: Option<usize>,
    /// Nothing: 4096, or what a dump or a salvaged database had.
    pub(crate) page_bytes: Option<usize>,
    pub(crate) backend: Backend,
    pub(crate) background: bool,
    pub(crate) recovery_target: Duration,
    pub(crate) log_bytes_max: Option<u64>,
    pub(crate) segment_bytes_max: Option<u64>,
    pub(crate) disk: Option<Arc<dyn Disk>>,
    /// A new database stays without its name until it is complete.
    pub(crate) held_back: bool,
    pub(crate) archive: ArchiveChoice,
    /// Seeds of hashed tables are drawn from this instead of by chance.
    pub(crate) hash_seed: Option<u64>,
    pub(crate) clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memory_budget_bytes: None,
            page_bytes: None,
            backend: Backend::Auto,
            background: true,
            recovery_target: Duration::from_secs(5),
            log_bytes_max: None,
            segment_bytes_max: None,
            disk: None,
            held_back: false,
            archive: ArchiveChoice::AsBefore,
            hash_seed: None,
            clock: Clock::system(),
        }
    }
}

/// What must be there for an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    MustExist,
    MustBeAbsent,
    Either,
}

impl Options {
    /// All memory of the database, in bytes: at least 2 MiB. Default: a quarter of the machine's or the container's
    /// memory, whichever is less.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget_bytes = Some(bytes);
        self
    }

    /// Page size of a new database, in bytes: a power of two from 4096 (the default) to 65536. Keys of an eighth of a page
    /// and more lie in groups, values beyond a quarter of one have pages of their own. An existing database keeps its own.
    pub fn page_size(mut self, bytes: usize) -> Self {
        self.page_bytes = Some(bytes);
        self
    }

    /// The way to the kernel. Default: io_uring where it is allowed, else plain system calls.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Background work on two threads of the engine's own, and on a third where records expire (the default), or on none: then
    /// [`Database::step`] drives it on the caller's thread, and a full disk is an error at once.
    pub fn background(mut self, on: bool) -> Self {
        self.background = on;
        self
    }

    /// How long reopening after a crash may take (5 s by default): the engine takes checkpoints often enough.
    pub fn recovery_target(mut self, time: Duration) -> Self {
        self.recovery_target = time;
        self
    }

    /// Log kept between checkpoints, in bytes. Default: 16 times the memory budget, at most 1 GiB. Writers are slowed
    /// when it is exceeded by half.
    pub fn log_bytes_max(mut self, bytes: u64) -> Self {
        self.log_bytes_max = Some(bytes);
        self
    }

    /// Largest log segment file, in bytes. Default: an eighth of the log, from 1 MiB to 64 MiB.
    pub fn segment_bytes_max(mut self, bytes: u64) -> Self {
        self.segment_bytes_max = Some(bytes);
        self
    }

    /// Keeps the log for good: segments are copied to this folder before they are used again, so that a
    /// [backup](Database::backup) can be [brought forward](crate::Backup::restore) to any moment since. The folder may be on another file
    /// system, and may be shared by several databases. The choice is remembered in the database's directory, until it is
    /// changed.
    ///
    /// While the folder cannot be written, the log stays where it is and grows.
    pub fn archive(mut self, folder: impl Into<PathBuf>) -> Self {
        self.archive = ArchiveChoice::Folder(folder.into());
        self
    }

    /// As [`archive`](Self::archive), on this disk, and not remembered: for simulation and tests.
    pub fn archive_on(mut self, disk: Arc<dyn Disk>) -> Self {
        self.archive = ArchiveChoice::Disk(disk);
        self
    }

    /// Keeps the log no longer than needed, whatever was chosen before.
    pub fn no_archive(mut self) -> Self {
        self.archive = ArchiveChoice::Nowhere;
        self
    }

    /// Seeds of hashed tables that are made from now on follow from this number and how many were made, instead of being drawn
    /// by chance: for simulation and tests that must be repeatable. Who knows a table's seed can choose keys that make it slow.
    pub fn hash_seed(mut self, seed: u64) -> Self {
        self.hash_seed = Some(seed);
        self
    }

    /// What tells the time at which records expire. Default: the system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens on this disk instead of a directory: for simulation and tests. The directory and the backend mean nothing
    /// then.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Page size that a new database gets, in bytes.
    pub(crate) fn new_page_bytes(&self) -> usize {
        self.page_bytes.unwrap_or(PAGE_BYTES)
    }

    /// Opens a database that is there.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none; [`Error::Locked`] if another process has it open; `Corrupt` or `Format` for
    /// files that are not what this program wrote.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Database> {
        Database::open_with(self, dir.as_ref(), Presence::MustExist)
    }

    /// Makes a database where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if there is one; `Usage` for options that cannot be, and for a directory that holds
    /// something else.
    pub fn create(self, dir: impl AsRef<Path>) -> Result<Database> {
        Database::open_with(self, dir.as_ref(), Presence::MustBeAbsent)
    }

    /// Opens a database, or makes it if there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(self, dir: impl AsRef<Path>) -> Result<Database> {
        Database::open_with(self, dir.as_ref(), Presence::Either)
    }

    /// Makes a database that lives in memory alone and ends with its last handle. Nothing is ever written; what the budget
    /// does not hold is refused.
    ///
    /// # Errors
    ///
    /// `Usage` for options that cannot be.
    pub fn in_memory(self) -> Result<Database> {
        Database::in_memory_with(self)
    }
}

/// What the options and the budget come to.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) memory_budget_bytes: usize,
    /// The log's ring: a thirty-second part of the budget, a power of two from 64 KiB to 8 MiB, and twice a page at least,
    /// so that a quarter of it holds the longest record of one commit.
    pub(crate) ring_bytes: usize,
    /// Set aside for batches and transactions being committed: an eighth of the budget, at most 16 MiB.
    pub(crate) commit_bytes: usize,
    /// What a longer one may take, while it is committed: a quarter of the budget.
    pub(crate) commit_bytes_max: usize,
    /// What older values and long commits together may take from the frames: half of the budget.
    pub(crate) working_bytes: usize,
    /// What all transactions together may have written and read: an eighth of the budget, at most 64 MiB.
    pub(crate) transaction_bytes: usize,
    /// What older values may take: an eighth of the budget, at most 256 MiB.
    pub(crate) version_bytes: usize,
    /// Set aside for what commits announce to serializable transactions: a 128th of the budget, at most 16 MiB.
    pub(crate) announced_bytes: usize,
    /// Buffers of large values being read and written: a sixteenth of the budget, at most 64 MiB.
    pub(crate) large_bytes: usize,
    pub(crate) stripes: usize,
    pub(crate) log_bytes_max: u64,
    pub(crate) segment_bytes_max: u64,
    pub(crate) recovery_target: Duration,
}

impl Limits {
    /// # Errors
    ///
    /// `Usage` for options that cannot be.
    pub(crate) fn new(options: &Options) -> Result<Limits> {
        let budget = options
            .memory_budget_bytes
            .unwrap_or_else(|| (machine_memory_bytes() / 4).max(MEMORY_BUDGET_MIN));
        if budget < MEMORY_BUDGET_MIN {
            return Err(Error::usage(format!(
                "a memory budget of {budget} bytes is below the least that works, {MEMORY_BUDGET_MIN}"
            )));
        }
        let page = options.new_page_bytes();
        if !page.is_power_of_two() || !(4096..=65536).contains(&page) {
            return Err(Error::usage(format!("page size {page} is not a power of two from 4096 to 65536")));
        }
        let log_bytes_max = options.log_bytes_max.unwrap_or((budget as u64 * 16).min(1 << 30)).max(1 << 20);
        Ok(Limits {
            memory_budget_bytes: budget,
            ring_bytes: (1 << (budget / 32).ilog2()).clamp(64 << 10, 8 << 20).max(2 * page),
            commit_bytes: (budget / 8).min(16 << 20),
            commit_bytes_max: budget / 4,
            working_bytes: budget / 2,
            transaction_bytes: (budget / 8).min(64 << 20),
            version_bytes: (budget / 8).min(256 << 20),
            announced_bytes: (budget / 128).min(16 << 20),
            large_bytes: (budget / 16).min(64 << 20),
            stripes: if budget < 8 << 20 { 256 } else { 1024 },
            log_bytes_max,
            segment_bytes_max: options
                .segment_bytes_max
                .unwrap_or_else(|| (log_bytes_max / 8).clamp(1 << 20, 64 << 20)),
            recovery_target: options.recovery_target,
        })
    }
}

#[cfg(test)]
mod tests;
