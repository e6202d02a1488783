//! The buffer manager of one database: its parts, and how it is made.

use crate::direct::DirectPages;
use crate::epoch::Epochs;
use crate::evict::FRAMES_MIN;
use crate::file::{DATA, DataFile};
use crate::frame::{Frames, frame_cost};
use crate::ids::PageIds;
use crate::kept::{Holders, KeptCheckpoint};
use crate::load::LoadWaiters;
use crate::map::{MapRoot, read_map};
use crate::shrink::Shrinking;
use crate::space::Space;
use crate::stats::Counters;
use crate::translation::{PAGE_TABLE_BYTES_PER_PAGE, PageTable, TABLE_STEP};
use crate::{Error, PagerStats, Result, Superblock};
use aquifer_io::{Buffer, Disk, IoError};
use aquifer_pools::{Account, Budget, BudgetExhausted, Reservation};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::{Arc, Gate, Mutex, MutexGuard, Rank, thread};
use std::io::ErrorKind;
use std::time::Duration;

/// How to make a [`Pager`].
#[derive(Debug, Clone)]
pub struct PagerOptions {
    /// Page size of a new database: a power of two from 4096 to 65536.
    pub page_bytes: usize,
    /// What all memory is drawn from.
    pub budget: Arc<Budget>,
}

/// The buffer manager of one database.
#[derive(Debug)]
pub struct Pager {
    // Read by everybody, never changed.
    pub(crate) table: PageTable,
    pub(crate) frames: Frames,
    pub(crate) file: Option<DataFile>,
    pub(crate) evict_batch: usize,
    pub(crate) checkpoint_batch: usize,
    pub(crate) load_batch_max: usize,
    pub(crate) free_ahead: u32,
    budget: Arc<Budget>,
    table_account: Account,
    _reserved: Reservation,

    // Changed by flips, while the gate is closed.
    epoch: AtomicU64,
    /// Pages dirty in an earlier epoch belong to the checkpoint being written; 0 if none is.
    checkpoint_epoch: AtomicU64,
    pub(crate) gate: Gate,

    // Each behind its own lock.
    pub(crate) ids: Mutex<PageIds>,
    pub(crate) space: Mutex<Space>,
    /// Slots that are free, and that `space` has not heard of yet.
    returned: Mutex<Vec<u32>>,
    pub(crate) shrinking: Mutex<Shrinking>,
    pub(crate) stopped: AtomicBool,
    pub(crate) direct: DirectPages,
    pub(crate) epochs: Epochs,
    pub(crate) superblock: Mutex<Superblock>,
    pub(crate) kept: Mutex<Holders>,
    pub(crate) poisoned: Mutex<Option<String>>,
    /// A sync of the data file is under way (SY1).
    pub(crate) syncing: Mutex<()>,
    /// Buffers of the eviction under way.
    pub(crate) eviction: Mutex<Vec<Buffer>>,
    /// Buffers of the checkpoint under way.
    pub(crate) checkpoint: Mutex<Vec<Buffer>>,
    growing: Mutex<()>,
    detachments: AtomicU64,
    pub(crate) waiters: LoadWaiters,

    pub(crate) stats: Counters,

    /// Dropped last (KR4 of `kept::reading`).
    _base: Option<Base>,
}

/// What a pager over a kept checkpoint holds on to (KR2, KR4 of `kept::reading`).
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) _kept: KeptCheckpoint,
    pub(crate) _memory: Reservation,
}

impl Pager {
    /// A pager without a file: nothing is evicted, nothing survives.
    ///
    /// # Errors
    ///
    /// If the budget is too small for a handful of pages, or the page size is not allowed.
    pub fn in_memory(options: PagerOptions) -> Result<Arc<Pager>> {
        check_page_bytes(options.page_bytes)?;
        Self::new(options, None, Superblock::default(), None)
    }

    /// A pager over a new data file, named `data.new` until its first checkpoint is installed, then `data`.
    ///
    /// # Errors
    ///
    /// The disk's; a page size that is not allowed; a budget that is too small.
    pub fn create(disk: Arc<dyn Disk>, options: PagerOptions, database_id: [u8; 16]) -> Result<Arc<Pager>> {
        check_page_bytes(options.page_bytes)?;
        let file = DataFile::create(disk, options.page_bytes)?;
        let superblock =
            Superblock { database_id, page_bytes: options.page_bytes as u32, ..Superblock::default() };
        Self::new(options, Some(file), superblock, None)
    }

    /// Whether checkpoints leave a new file named `data.new`: while on, a crash leaves no database, whatever was
    /// checkpointed. The first checkpoint after it is off gives the file its name. Means nothing for a file that has it.
    pub fn hold_back_name(&self, on: bool) {
        if let Some(file) = &self.file {
            file.hold_back(on);
        }
    }

    /// Opens the newest checkpoint of the file `data`; the page size is the file's. Reads the whole page map: 8 bytes a
    /// page.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for another program's file or a newer version, [`Error::Corrupt`] for a damaged map, the disk's,
    /// or a budget too small for the map.
    pub fn open(disk: Arc<dyn Disk>, options: PagerOptions) -> Result<(Arc<Pager>, Superblock)> {
        let (file, superblock) = DataFile::open_newest(disk)?;
        if superblock.is_backup {
            let what = "it is a backup, which is not opened; restore it into another directory".into();
            return Err(Error::Format { file: DATA.into(), what });
        }
        Ok((Self::over(file, options, superblock)?, superblock))
    }

    /// Over a file with this checkpoint in it.
    pub(crate) fn over(file: DataFile, options: PagerOptions, superblock: Superblock) -> Result<Arc<Pager>> {
        let page_bytes = superblock.page_bytes as usize;
        let pager = Self::new(PagerOptions { page_bytes, ..options }, Some(file), superblock, None)?;
        pager.read_page_map(superblock.map)?;
        pager.grow_page_table()?;
        Ok(pager)
    }

    /// Over a file with this checkpoint in it, to read it (KR1 of `kept::reading`).
    pub(crate) fn reading(
        file: DataFile,
        options: PagerOptions,
        superblock: Superblock,
        base: Base,
    ) -> Result<Arc<Pager>> {
        let pager = Self::new(options, Some(file), superblock, Some(base))?;
        pager.read_kept_map(superblock.map)?;
        Ok(pager)
    }

    fn new(
        options: PagerOptions,
        file: Option<DataFile>,
        superblock: Superblock,
        base: Option<Base>,
    ) -> Result<Arc<Pager>> {
        let PagerOptions { page_bytes, budget } = options;
        let bytes = budget.bytes();
        let pages_in = |bytes: usize, most: usize| (bytes / page_bytes).clamp(2, most.max(2));
        let evict_batch = pages_in(bytes / 64, 64);
        let checkpoint_batch = pages_in(bytes / 32, (1 << 20) / page_bytes);
        let copies_max = pages_in(bytes / 32, 4096);
        let writes = file.is_some() && base.is_none();
        let aside = if writes { evict_batch + checkpoint_batch + copies_max } else { 0 };
        let reserved = budget.account("page writes").reserve(aside * page_bytes)?;
        let pages_max = match (&file, &base) {
            (Some(_), Some(_)) => superblock.map.pages.max(1).saturating_add(TABLE_STEP - 1),
            (Some(_), None) => u32::MAX,
            (None, _) => (bytes / page_bytes) as u32 + TABLE_STEP,
        };
        let space = match &file {
            Some(file) if writes => Space::new(file.reserved_slots(), file.slots()?),
            _ => Space::new(0, 0),
        };
        let pager = Pager {
            table: PageTable::reserve(pages_max, bytes >= 256 << 20)?,
            frames: Frames::reserve(page_bytes, bytes, budget.account("frames"))?,
            file,
            evict_batch,
            checkpoint_batch,
            load_batch_max: evict_batch.min(32),
            free_ahead: (bytes / page_bytes / 64).clamp(4, 256) as u32,
            table_account: budget.account("page table"),
            budget,
            _reserved: reserved,
            epoch: AtomicU64::new(1),
            checkpoint_epoch: AtomicU64::new(0),
            gate: Gate::new(),
            ids: Mutex::new(Rank::Epoch, PageIds::new(1, Vec::new())),
            space: Mutex::new(Rank::Space, space),
            returned: Mutex::new(Rank::Leaf, Vec::new()),
            shrinking: Mutex::new(Rank::Leaf, Shrinking::default()),
            stopped: AtomicBool::new(false),
            direct: DirectPages::new(),
            epochs: Epochs::new(copies_max),
            superblock: Mutex::new(Rank::Epoch, superblock),
            kept: Mutex::new(Rank::Leaf, Holders::default()),
            poisoned: Mutex::new(Rank::Leaf, None),
            syncing: Mutex::new(Rank::PageWrites, ()),
            eviction: Mutex::new(Rank::PageWrites, Vec::new()),
            checkpoint: Mutex::new(Rank::PageWrites, Vec::new()),
            growing: Mutex::new(Rank::PageWrites, ()),
            detachments: AtomicU64::new(0),
            waiters: LoadWaiters::new(),
            stats: Counters::default(),
            _base: base,
        };
        if pager._base.is_none() {
            pager.grow_page_table()?;
        }
        Ok(Arc::new(pager))
    }

    fn read_page_map(&self, map: MapRoot) -> Result<()> {
        let file = self.file.as_ref().expect("opened from a file");
        self.commit_page_table(map.pages.max(1))?;
        let mut space = self.space.lock();
        let mut free = Vec::new();
        let mut next = 1;
        read_map(file, map, Some(&mut space), &mut |page, location| {
            free.extend(next..page.0);
            next = page.0 + 1;
            self.table.set_location(page, location);
            Ok(())
        })?;
        drop(space);
        *self.ids.lock() = PageIds::new(next, free);
        Ok(())
    }

    /// KR3 of `kept::reading`. Its slots were claimed when the database was opened, or since.
    fn read_kept_map(&self, map: MapRoot) -> Result<()> {
        let file = self.file.as_ref().expect("a kept checkpoint lies in a file");
        self.commit_page_table(map.pages.max(1))?;
        if self.table.committed() < map.pages {
            return Err(Error::Full { what: "there is no address space for another page table" });
        }
        read_map(file, map, None, &mut |page, location| {
            self.table.set_location(page, location);
            Ok(())
        })?;
        *self.ids.lock() = PageIds::new(map.pages.max(1), Vec::new());
        Ok(())
    }

    /// Makes sure that the page table has room for some more pages than there are.
    pub(crate) fn grow_page_table(&self) -> Result<()> {
        let next = self.ids.lock().next();
        if next + TABLE_STEP / 2 > self.table.committed() {
            self.commit_page_table(next.saturating_add(TABLE_STEP))?;
        }
        Ok(())
    }

    /// As [`grow_page_table`](Self::grow_page_table), for `pages` more in a row.
    pub(crate) fn grow_page_table_for(&self, pages: u32) -> Result<()> {
        let next = self.ids.lock().next();
        self.commit_page_table(next.saturating_add(pages).saturating_add(TABLE_STEP / 2))
    }

    /// Makes sure that ids below `end` have words.
    pub(crate) fn grow_page_table_to(&self, end: u32) -> Result<()> {
        self.commit_page_table(end)
    }

    fn commit_page_table(&self, pages: u32) -> Result<()> {
        let _growing = self.growing.lock();
        let committed = self.table.committed();
        if pages <= committed {
            return Ok(());
        }
        // A superblock may name any number of pages.
        let wanted = pages.max(committed.saturating_add(committed / 8)).checked_next_multiple_of(TABLE_STEP);
        let pages = wanted.map_or(self.table.pages_max(), |wanted| wanted.min(self.table.pages_max()));
        if pages == committed {
            return Err(Error::Full { what: "every page id is in use" });
        }
        let bytes = (pages - committed) as usize * PAGE_TABLE_BYTES_PER_PAGE;
        match self.table_account.take(bytes) {
            Err(exhausted) if self.file.is_none() => return Err(exhausted.into()),
            Err(_) => self.surrender_frames(bytes, &self.table_account)?, // the table comes before cached pages
            Ok(()) if self.file.is_some() && self.frames_to_be_had() < FRAMES_MIN => {
                self.table_account.give_back(bytes);
                return Err(self.exhausted(bytes));
            }
            Ok(()) => {}
        }
        self.table.commit(pages)
    }

    /// Memory for something else than pages, from frames if the budget has no other left: pages are evicted for it. Outside the gate, under
    /// no latch.
    ///
    /// # Errors
    ///
    /// [`Error::Budget`] if there are not so many that can be; the disk's.
    pub fn reserve_from_frames(&self, account: &'static str, bytes: usize) -> Result<Reservation> {
        let account = self.budget.account(account);
        if account.take(bytes).is_err() {
            self.surrender_frames(bytes, &account)?;
        }
        Ok(account.guard(bytes))
    }

    /// How often pages were detached from what named them without being changed. Whoever goes on to a page that it remembers,
    /// from another that it read, looks whether this has risen meanwhile: then neither needs to be what it was.
    #[inline]
    pub fn detachments(&self) -> u64 {
        self.detachments.load(Ordering::Acquire) // pairs with the Release in `note_detachment`
    }

    /// Counts one.
    pub(crate) fn note_detachment(&self) {
        self.detachments.fetch_add(1, Ordering::Release); // pairs with the Acquire in `detachments`
    }

    /// Page size in bytes.
    #[inline]
    pub fn page_bytes(&self) -> usize {
        self.frames.page_bytes()
    }

    /// The epoch now.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed) // ordered by the gate (GA2)
    }

    pub(crate) fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed); // ordered by the gate (GA2)
    }

    /// The epoch that began with the checkpoint being written, 0 if none is.
    pub(crate) fn checkpoint_epoch(&self) -> u64 {
        // Relaxed: set while the gate is closed (GA2). It is reset at any time: who misses that leaves a needless copy.
        self.checkpoint_epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn set_checkpoint_epoch(&self, epoch: u64) {
        self.checkpoint_epoch.store(epoch, Ordering::Relaxed); // see `checkpoint_epoch`
    }

    /// Slots for `count` pages, in as few runs as there are.
    pub(crate) fn allocate_slots(&self, count: usize) -> Result<Vec<u32>> {
        let file = self.file.as_ref().expect("a database in memory has no slots");
        let mut slots = Vec::with_capacity(count);
        let mut space = self.lock_space();
        while slots.len() < count {
            match space.allocate((count - slots.len()) as u32, file) {
                Ok(run) => slots.extend(run.start..run.start + run.len),
                Err(error) => {
                    slots.iter().for_each(|&slot| space.free(slot));
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    /// Frees slots without waiting for the file system, which whoever allocates may do with `space` locked (G1).
    pub(crate) fn free_slots(&self, slots: &[u32]) {
        if !slots.is_empty() {
            self.returned.lock().extend_from_slice(slots);
        }
    }

    /// What becomes of a slot whose write failed: it is never used again, unless the disk was only full.
    pub(crate) fn quarantine(&self, slot: u32, error: &IoError) {
        if matches!(error.kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            self.free_slots(&[slot]);
        }
    }

    /// The allocator, with all that was freed.
    pub(crate) fn lock_space(&self) -> MutexGuard<'_, Space> {
        let mut space = self.space.lock();
        let returned = std::mem::take(&mut *self.returned.lock());
        let returned = self.direct.withhold(returned);
        returned.into_iter().for_each(|slot| space.free(slot));
        space
    }

    /// Does every page have its frame? Then nothing needs to be loaded ahead. A guess; O(1), and two short locks.
    pub fn all_pages_in_memory(&self) -> bool {
        let pages = self.ids.lock().in_use();
        pages <= self.live_frames().saturating_sub(self.frames.free_frames()) as usize
    }

    /// Frames that have their memory.
    pub(crate) fn live_frames(&self) -> u32 {
        self.frames.committed() - self.frames.surrendered() as u32
    }

    /// Frames that have their memory, and those that the budget has memory for.
    fn frames_to_be_had(&self) -> usize {
        let left = self.budget.bytes().saturating_sub(self.budget.used());
        self.live_frames() as usize + left / frame_cost(self.page_bytes())
    }

    /// Whether frames can still be had from the budget, without evicting.
    pub(crate) fn may_grow_frames(&self) -> bool {
        self.budget.bytes().saturating_sub(self.budget.used()) >= self.frames.step_bytes()
    }

    /// Gives writes by others a moment to complete.
    pub(crate) fn wait_for_writes(&self) {
        thread::sleep(Duration::from_micros(100));
    }

    pub(crate) fn exhausted(&self, requested_bytes: usize) -> Error {
        Error::Budget(BudgetExhausted {
            account: "frames",
            requested_bytes,
            used_bytes: self.budget.used(),
            budget_bytes: self.budget.bytes(),
        })
    }

    /// Counters.
    pub fn stats(&self) -> PagerStats {
        let page_bytes = self.page_bytes() as u64;
        let (slots, used) = {
            let space = self.lock_space();
            (u64::from(space.slots()), u64::from(space.used()))
        };
        let kept_bytes = self.kept.lock().superseded_count() * page_bytes;
        let pages = self.ids.lock().in_use() as u64;
        let epoch_records = self.epochs.records() as u64;
        PagerStats {
            frames: u64::from(self.live_frames()),
            frames_free: u64::from(self.frames.free_frames()),
            pages,
            epoch_records,
            pages_waiting: self.direct.waiting(),
            written_bytes: self.file.as_ref().map_or(0, DataFile::written_bytes),
            file_bytes: slots * page_bytes,
            used_bytes: used * page_bytes,
            kept_bytes,
            ..self.stats.snapshot()
        }
    }

    /// Changes of clean pages since the last flip: a bound on the distinct pages that replay would touch.
    pub fn pages_dirtied(&self) -> u64 {
        self.stats.dirtied()
    }
}

fn check_page_bytes(page_bytes: usize) -> Result<()> {
    if page_bytes.is_power_of_two() && (4096..=65536).contains(&page_bytes) {
        return Ok(());
    }
    let what = format!("page size {page_bytes} is not a power of two from 4096 to 65536");
    Err(Error::Format { file: DATA.into(), what })
}

#[cfg(all(test, not(loom)))]
mod tests;
