//! Pages as their users see them: read without a latch, latched shared, or latched exclusively inside the gate.
//!
//! # Invariants
//!
//! - **L2** A page's id is checked after its frame is found: the frame may have been given to another page in between.
//! - **L3** Eviction and loading raise the frame's version.
//! - **L4** Reader: `Latch::optimistic`, relaxed loads, `Latch::validate`; writer: exclusive latch around its stores.
//! - **E1** Only pages of committed state: the layers above change pages only when the commit is ordered in the log.
//! - **PG1** A guard holds its latch from creation to drop; the bytes it lends live no longer than the guard.

use crate::mutation::Mutation;
use crate::pager::Pager;
use crate::translation::{FrameId, Residence};
use crate::{PageId, PageWords};
use aquifer_sync::rank::{self, Rank};
use aquifer_sync::thread::Backoff;
use aquifer_sync::{Restart, Version};
use std::fmt;

use crate::frame::{FrameHeader, TAKEN};

/// What is wrong when a page is looked up that does not exist.
pub(crate) const NO_SUCH_PAGE: &str = "something refers to it, but it does not exist";

/// Why an attempt inside the gate, or without a latch, did not succeed. It has changed nothing (or made a complete
/// structural change): let go of everything, [`Pager::resolve`] it, and try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Retry {
    /// Something changed underneath.
    Changed,
    /// This page is not in memory.
    Missing(PageId),
    /// This page was there when it was named, and is not in memory. It may have been freed since: resolving loads it if it
    /// is still there, and is no error if it is not.
    Evicted(PageId),
    /// No free frame, or no page id, for a new page.
    Frames,
    /// No room for the copy that the checkpoint under way needs.
    Copies,
    /// This page is what was written, but makes no sense to who reads it, and why. Resolving it is an error.
    Damaged(PageId, &'static str),
}

impl From<Restart> for Retry {
    fn from(Restart: Restart) -> Self {
        Retry::Changed
    }
}

/// A page read without a latch: everything seen is a guess until [`validate`](Self::validate) succeeds.
#[derive(Clone, Copy)]
pub struct Optimistic<'p> {
    header: &'p FrameHeader,
    words: PageWords<'p>,
    version: Version,
    page: PageId,
    frame: FrameId,
}

impl fmt::Debug for Optimistic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimistic").field("page", &self.page).field("version", &self.version).finish()
    }
}

impl<'p> Optimistic<'p> {
    /// The page's id.
    #[inline]
    pub fn id(&self) -> PageId {
        self.page
    }

    /// Its words.
    #[inline(always)]
    pub fn words(&self) -> PageWords<'p> {
        self.words
    }

    /// Did nothing change since this page was looked up?
    ///
    /// # Errors
    ///
    /// [`Retry::Changed`] if something did: what was read is worth nothing.
    #[inline(always)]
    pub fn validate(&self) -> Result<(), Retry> {
        Ok(self.header.latch.validate(self.version)?)
    }
}

/// A page latched shared: plain slices are fine.
pub struct SharedPage<'p> {
    header: &'p FrameHeader,
    start: *const u8,
    page_bytes: usize,
    page: PageId,
}

impl fmt::Debug for SharedPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPage").field("page", &self.page).finish()
    }
}

impl SharedPage<'_> {
    /// The page's id.
    pub fn id(&self) -> PageId {
        self.page
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: PG1, FR1: the frame is mapped, and nobody writes while the latch is held.
        unsafe { std::slice::from_raw_parts(self.start, self.page_bytes) }
    }

    /// Does it differ from what was written of it last?
    pub(crate) fn is_dirty(&self) -> bool {
        self.header.dirty_epoch() != 0
    }
}

impl Drop for SharedPage<'_> {
    fn drop(&mut self) {
        self.header.latch.unlock_shared();
        rank::released(Rank::PageLatch);
    }
}

/// A page latched exclusively, inside the gate.
pub struct ExclusivePage<'m> {
    mutation: &'m Mutation<'m>,
    header: &'m FrameHeader,
    frame: FrameId,
    page: PageId,
    changed: bool,
}

impl fmt::Debug for ExclusivePage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusivePage").field("page", &self.page).field("changed", &self.changed).finish()
    }
}

impl<'m> ExclusivePage<'m> {
    /// A guard for a frame that the caller has just latched exclusively.
    pub(crate) fn latched(mutation: &'m Mutation<'_>, frame: FrameId, page: PageId) -> Self {
        let header = mutation.pager().frames.header(frame);
        Self { mutation, header, frame, page, changed: false }
    }

    /// The page's id.
    #[inline]
    pub fn id(&self) -> PageId {
        self.page
    }

    pub(crate) fn frame(&self) -> FrameId {
        self.frame
    }

    pub(crate) fn header(&self) -> &FrameHeader {
        self.header
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let frames = &self.mutation.pager().frames;
        // SAFETY: PG1, FR1: the frame is mapped, and nobody else writes while the latch is held.
        unsafe { std::slice::from_raw_parts(frames.start(self.frame), frames.page_bytes()) }
    }

    /// Its words, for the same searches as optimistic readers use.
    #[inline]
    pub fn words(&self) -> PageWords<'_> {
        let frames = &self.mutation.pager().frames;
        // SAFETY: PW1 by FR1.
        unsafe { PageWords::new(frames.start(self.frame), frames.page_bytes()) }
    }

    /// Marks the page dirty in the current epoch, and hands the checkpoint under way its version if it needs one.
    /// Idempotent; changes nothing that readers see. To be called before [`bytes_mut`](Self::bytes_mut).
    ///
    /// # Errors
    ///
    /// [`Retry::Copies`] if there is no room for the copy.
    #[inline]
    pub fn make_dirty(&mut self) -> Result<(), Retry> {
        if self.header.dirty_epoch() == self.mutation.epoch() {
            return Ok(());
        }
        self.begin_change()
    }

    #[cold]
    fn begin_change(&mut self) -> Result<(), Retry> {
        let pager = self.mutation.pager();
        self.keep_for_checkpoint()?;
        self.header.clear_flag(TAKEN);
        self.header.set_dirty_epoch(self.mutation.epoch());
        pager.stats.page_dirtied();
        Ok(())
    }

    /// Hands the checkpoint under way this page as it is, if it needs it and has not taken it yet.
    pub(crate) fn keep_for_checkpoint(&self) -> Result<(), Retry> {
        let pager = self.mutation.pager();
        let epoch = self.header.dirty_epoch();
        let needed = epoch != 0 && epoch < pager.checkpoint_epoch() && !self.header.has(TAKEN);
        if !needed {
            return Ok(());
        }
        if !pager.epochs.push_copy(self.page, self.bytes()) {
            return Err(Retry::Copies);
        }
        pager.stats.page_copied();
        Ok(())
    }

    /// Its bytes, to change.
    ///
    /// # Panics
    ///
    /// If [`make_dirty`](Self::make_dirty) has not succeeded in this passage of the gate.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert_eq!(self.header.dirty_epoch(), self.mutation.epoch(), "make_dirty comes before bytes_mut");
        self.changed = true;
        let frames = &self.mutation.pager().frames;
        // SAFETY: PG1, FR1: the frame is mapped and the latch is held exclusively; optimistic readers discard what they
        // read meanwhile (L4).
        unsafe { std::slice::from_raw_parts_mut(frames.start(self.frame), frames.page_bytes()) }
    }

    /// What the page held is gone: the version must rise on release.
    pub(crate) fn set_changed(&mut self) {
        self.changed = true;
    }
}

impl Drop for ExclusivePage<'_> {
    fn drop(&mut self) {
        if self.changed {
            self.header.latch.unlock_exclusive();
        } else {
            self.header.latch.unlock_unchanged();
        }
        rank::released(Rank::PageLatch);
    }
}

impl Pager {
    /// Looks a page up without a latch. Never waits.
    ///
    /// # Errors
    ///
    /// [`Retry::Missing`] if it is not in memory, [`Retry::Changed`] if it is being changed, [`Retry::Damaged`] if there is no
    /// such page: then what named it has changed, or is damaged.
    #[inline(always)]
    pub fn read(&self, page: PageId) -> Result<Optimistic<'_>, Retry> {
        let frame = self.frame_of(page)?;
        let header = self.frames.header(frame);
        let version = header.latch.optimistic()?;
        if header.page() != page.0 {
            return Err(Retry::Changed); // L2
        }
        header.touch();
        // SAFETY: PW1 by FR1.
        let words = unsafe { PageWords::new(self.frames.start(frame), self.frames.page_bytes()) };
        Ok(Optimistic { header, words, version, page, frame })
    }

    /// Latches a page shared, waiting for an exclusive holder. Never waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn shared(&self, page: PageId) -> Result<SharedPage<'_>, Retry> {
        let frame = self.frame_of(page)?;
        let header = self.frames.header(frame);
        let mut backoff = Backoff::new();
        while !header.latch.try_lock_shared() {
            if header.page() != page.0 {
                return Err(Retry::Changed);
            }
            backoff.wait();
        }
        if header.page() != page.0 {
            header.latch.unlock_shared();
            return Err(Retry::Changed); // L2
        }
        rank::acquired(Rank::PageLatch);
        header.touch();
        Ok(SharedPage { header, start: self.frames.start(frame), page_bytes: self.frames.page_bytes(), page })
    }

    /// Asks the processor for the first `bytes` of a page, and its header, before its frame is known. Frames are handed out in
    /// the order of page ids, so in a database that fits in memory the guess is mostly right, and two cache misses, one
    /// after the other, become one. A wrong guess costs some bandwidth. Reads nothing, and never waits.
    #[inline(always)]
    pub fn prefetch(&self, page: PageId, bytes: usize) {
        self.frames.prefetch(FrameId(page.0.wrapping_sub(PageId::FIRST.0)), bytes);
    }

    /// Is there such a page, in memory or in the data file? A guess, unless the caller keeps others from freeing it.
    pub fn page_exists(&self, page: PageId) -> bool {
        let Some(entry) = self.table.entry(page) else { return false };
        // A page that leaves memory has its location first (`evict` and `get` are a pair), so it is not missed in between.
        entry.get() != Residence::Absent || self.table.location(page).slot != 0
    }

    #[inline(always)]
    fn frame_of(&self, page: PageId) -> Result<FrameId, Retry> {
        match self.table.entry(page).map(|entry| entry.get()) {
            Some(Residence::Present(frame)) => Ok(frame),
            _ => Err(self.not_present(page)),
        }
    }

    /// Why a page has no frame: it must be loaded, or there is no such page. A page that is freed while somebody is on the way
    /// to it is the latter: who looks it up finds out whether what named it has changed.
    #[cold]
    fn not_present(&self, page: PageId) -> Retry {
        // Either the page is absent, and its location was stored before it became so (TR2); or it is on its way.
        let exists = self
            .table
            .entry(page)
            .is_some_and(|entry| entry.get() != Residence::Absent || self.table.location(page).slot != 0);
        if exists { Retry::Missing(page) } else { Retry::Damaged(page, NO_SUCH_PAGE) }
    }

    /// Latches a page exclusively, waiting for its holders.
    pub(crate) fn lock_exclusive(&self, page: PageId) -> Result<FrameId, Retry> {
        let frame = self.frame_of(page)?;
        let header = self.frames.header(frame);
        let mut backoff = Backoff::new();
        while !header.latch.try_lock_exclusive() {
            if header.page() != page.0 {
                return Err(Retry::Changed); // given to another page, whose load may take long
            }
            backoff.wait();
        }
        if header.page() != page.0 {
            header.latch.unlock_unchanged();
            return Err(Retry::Changed); // L2
        }
        rank::acquired(Rank::PageLatch);
        header.touch();
        Ok(frame)
    }

    /// Latches exclusively what was read optimistically, if nothing has changed.
    pub(crate) fn upgrade(&self, page: Optimistic<'_>) -> Result<FrameId, Retry> {
        page.header.latch.upgrade(page.version)?;
        rank::acquired(Rank::PageLatch);
        Ok(page.frame)
    }
}
