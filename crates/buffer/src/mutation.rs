//! The token of being inside the gate: what changes pages, and makes and frees them.
//!
//! # Invariants
//!
//! - **G1** Nothing inside the gate waits for the disk or for memory. A passage that finds something missing gets a
//!   [`Retry`], leaves, resolves it, and enters again.
//! - **E2** All pages that one structural change touches are changed inside one passage.
//! - **E5** Freeing a page is a change and obeys the copy rule.

use crate::PageId;
use crate::frame::{TAKEN, WRITING};
use crate::page::{ExclusivePage, Optimistic, Retry};
use crate::pager::Pager;
use crate::translation::{FrameId, Location, Residence};
use aquifer_sync::Pass;
use aquifer_sync::rank::{self, Rank};
use std::fmt;

/// The right to change pages, until dropped. Holds the flip off. Not `Send`.
pub struct Mutation<'p> {
    pager: &'p Pager,
    epoch: u64,
    _pass: Pass<'p>,
}

impl fmt::Debug for Mutation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutation").field("epoch", &self.epoch).finish()
    }
}

impl Pager {
    /// Passes the gate, to change pages; waits while a flip closes it. The caller holds no latch, and is not inside already.
    #[inline]
    pub fn enter(&self) -> Mutation<'_> {
        let pass = self.gate.enter();
        Mutation { pager: self, epoch: self.epoch(), _pass: pass }
    }
}

impl<'p> Mutation<'p> {
    pub(crate) fn pager(&self) -> &'p Pager {
        self.pager
    }

    /// The epoch that this passage belongs to.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Latches a page exclusively, waiting for other latches on it.
    ///
    /// # Errors
    ///
    /// [`Retry::Missing`] if it is not in memory; [`Retry::Changed`] if it has just left it; [`Retry::Damaged`] if there is no
    /// such page.
    pub fn exclusive(&self, page: PageId) -> Result<ExclusivePage<'_>, Retry> {
        let frame = self.pager.lock_exclusive(page)?;
        Ok(ExclusivePage::latched(self, frame, page))
    }

    /// Latches exclusively a page that was read optimistically, if it has not changed since.
    ///
    /// # Errors
    ///
    /// [`Retry::Changed`] if it has, or is latched by somebody.
    #[inline]
    pub fn upgrade(&self, page: Optimistic<'p>) -> Result<ExclusivePage<'_>, Retry> {
        let frame = self.pager.upgrade(page)?;
        Ok(ExclusivePage::latched(self, frame, page.id()))
    }

    /// Says that pages are being detached without being changed ([`Pager::detachments`]). To be called while what named
    /// them is latched exclusively.
    pub fn note_detachment(&self) {
        self.pager.note_detachment();
    }

    /// A new page: latched, dirty, all zeros.
    ///
    /// # Errors
    ///
    /// [`Retry::Frames`] if no frame or page id is ready.
    pub fn allocate(&self) -> Result<ExclusivePage<'_>, Retry> {
        let pager = self.pager;
        let frame = pager.frames.try_take().ok_or(Retry::Frames)?;
        let page = pager.ids.lock().allocate(pager.table.committed());
        let Some(page) = page else {
            pager.frames.put(&[frame]);
            return Err(Retry::Frames);
        };
        Ok(self.make(page, frame))
    }

    /// A new page with an id that the caller has reserved: latched, dirty, all zeros.
    pub(crate) fn allocate_as(&self, page: PageId) -> Result<ExclusivePage<'_>, Retry> {
        let frame = self.pager.frames.try_take().ok_or(Retry::Frames)?;
        Ok(self.make(page, frame))
    }

    fn make(&self, page: PageId, frame: FrameId) -> ExclusivePage<'_> {
        let pager = self.pager;
        let header = pager.frames.header(frame);
        header.latch.lock_exclusive();
        rank::acquired(Rank::PageLatch);
        header.set_page(page.0);
        header.clear_flag(TAKEN);
        header.set_dirty_epoch(self.epoch);
        header.reset_uses();
        header.touch();
        pager.stats.page_dirtied();
        pager.table.set_location(page, Location::NONE);
        pager.table.entry(page).expect("ids below `committed` have words").publish(frame);
        let mut new = ExclusivePage::latched(self, frame, page);
        new.bytes_mut().fill(0);
        new
    }

    /// Frees a latched page. Nothing refers to it any more.
    ///
    /// # Errors
    ///
    /// [`Retry::Copies`] if the checkpoint under way needs a copy and there is no room; nothing has happened then.
    pub fn free(&self, page: ExclusivePage<'_>) -> Result<(), Retry> {
        page.keep_for_checkpoint()?;
        let id = page.id();
        self.forget(id);
        self.free_frame(page);
        self.free_name(id);
        Ok(())
    }

    fn free_frame(&self, mut page: ExclusivePage<'_>) {
        let (id, frame) = (page.id(), page.frame());
        let header = page.header();
        header.clear_flag(TAKEN);
        header.set_dirty_epoch(0);
        header.set_page(0);
        let being_written = header.has(WRITING);
        self.pager.table.entry(id).expect("TR3").evict();
        page.set_changed();
        drop(page);
        if !being_written {
            self.pager.frames.put(&[frame]); // else who writes it does (FR5)
        }
    }

    /// Frees the frame of a page, if it has one, in a database in memory. The id is the caller's.
    pub(crate) fn free_frame_of(&self, page: PageId) {
        loop {
            match self.exclusive(page) {
                Ok(latched) => return self.free_frame(latched),
                Err(Retry::Changed) => continue,
                Err(_) => return,
            }
        }
    }

    /// Frees a page by name, without loading it. Nothing refers to it any more, and the caller holds no latch on it.
    ///
    /// # Errors
    ///
    /// As [`free`](Self::free); [`Retry::Missing`] while somebody is loading it (W3).
    pub fn free_id(&self, page: PageId) -> Result<(), Retry> {
        let Some(entry) = self.pager.table.entry(page) else { return Err(Retry::Missing(page)) };
        loop {
            match entry.get() {
                Residence::Present(_) => match self.exclusive(page) {
                    Ok(latched) => return self.free(latched),
                    Err(Retry::Missing(_) | Retry::Changed) => continue,
                    Err(other) => return Err(other),
                },
                Residence::Loading => return Err(Retry::Missing(page)),
                Residence::Absent if !entry.begin_load() => continue,
                Residence::Absent => {
                    self.forget(page);
                    entry.abandon();
                    self.pager.wake_loaders(page);
                    self.free_name(page);
                    return Ok(());
                }
            }
        }
    }

    fn free_name(&self, page: PageId) {
        let mut ids = self.pager.ids.lock();
        if self.pager.file.is_some() { ids.free(page) } else { ids.free_at_once(page) }
    }

    /// Records that the page has no slot any more (E5).
    fn forget(&self, page: PageId) {
        self.pager.table.set_location(page, Location::NONE);
        if let Some(slot) = self.pager.epochs.record(self.epoch, page, Location::NONE) {
            self.pager.free_slots(&[slot]);
        }
    }
}
