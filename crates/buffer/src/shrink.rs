//! Moving pages to the front of a file that has become too long for what is in it.
//!
//! ```text
//!  |####  ##   #  |  # #       ##   #  |      ceiling: a little more than is in use
//!   <- written to  <- marked dirty, a batch at a time; then a checkpoint, which leaves the tail free, and cuts it off
//! ```
//!
//! To move a page is only to write it: it is marked dirty as it is, and the next checkpoint, or an eviction before, gives it a slot
//! below the ceiling.
//!
//! # Invariants
//!
//! - **SH1** Moving is a change like any other: what the durable checkpoint refers to is free only after the next one (E3).
//! - **SH2** Of every node of the map at least one page is written, so the node is as well, and none keeps the tail.
//! - **SH3** It begins only when there are clearly fewer pages than there were: free slots that the next checkpoint will want, as
//!   where pages are changed all the time, are no reason, nor is a file that cannot be cut. But where all is quiet nobody wants them:
//!   then it begins also when they are a quarter of those in use, once for about as many in use.
//! - **SH4** Direct pages stay where they are: they never enter a frame (DP1), and the pool cannot tell one that is at rest from a page of
//!   a tree. So where there may be any at rest, only what is in memory is moved: no direct page of a file ever is. Where there is none, those
//!   that were reserved, attached or detached since are known by their state. The caller takes no checkpoint meanwhile, so none
//!   comes to rest during a step. What stays in the tail keeps it: the step looks at each page once, and ends all the same.

use crate::pager::Pager;
use crate::{Error, PageId, Result, Retry};

/// Pages looked at in one step.
const LOOKED_AT: u32 = 1 << 16;
/// And moved.
const MOVED: usize = 256;
/// Slots beyond those in use that are left, besides a part of them: the checkpoint needs some.
const SLACK: u32 = 64;
/// So much free space is never worth it.
const IDLE_BYTES: u64 = 4 << 20;

/// How far the moving of pages is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Shrink {
    /// There is nothing to be moved.
    Nothing,
    /// Some pages are marked, and there may be more.
    Moving,
    /// All are marked: a checkpoint will move them, and [`Pager::end_shrinking`] comes then.
    Moved,
}

/// Where the moving of pages stands.
#[derive(Debug, Default)]
pub(crate) struct Shrinking {
    /// Slots below this are written to; 0 while nothing is moved.
    ceiling: u32,
    /// The next page to be looked at.
    next: u32,
    /// The node of the map that holds the page marked last (SH2).
    node: Option<u32>,
    /// The most pages that there were since an attempt ended (SH3); 0 before the first look.
    pages_then: u64,
    /// Slots in use when an attempt began where all was quiet.
    quiet_used: u32,
}

impl Pager {
    /// Marks some pages to be moved, if there are fewer pages than there were and part of the file lies idle. Outside the gate, and
    /// while no checkpoint is taken. `is_quiet` says that the newest checkpoint has all changes (SH3). `may_load` is asked only where something is to be moved: it says that no value that is attached has
    /// direct pages; else pages that are not in memory stay where they are (SH4).
    ///
    /// # Errors
    ///
    /// What loading a page gave, or making room for it; what `may_load` gave.
    pub fn shrink_some<E: From<Error>>(
        &self,
        is_quiet: bool,
        may_load: impl FnOnce() -> std::result::Result<bool, E>,
    ) -> std::result::Result<Shrink, E> {
        let Some((ceiling, first, mut node)) = self.begin_or_go_on(is_quiet) else {
            return Ok(Shrink::Nothing);
        };
        let may_load = may_load()?;
        let end = self.ids.lock().next();
        let per_node = (self.page_bytes() / 8) as u32;
        let (mut moved, mut page) = (0, first);
        while page < end && page - first < LOOKED_AT && moved < MOVED {
            let slot = self.table.location(PageId(page)).slot;
            if slot != 0 && (slot >= ceiling || node != Some(page / per_node)) {
                let marked = self.mark_dirty(PageId(page), may_load)?;
                node = if marked { Some(page / per_node) } else { node }; // SH2
                moved += usize::from(marked);
            }
            page += 1;
        }
        let mut shrinking = self.shrinking.lock();
        (shrinking.next, shrinking.node) = (page, node);
        Ok(if page < end { Shrink::Moving } else { Shrink::Moved })
    }

    /// A checkpoint was taken after all pages were marked.
    pub fn end_shrinking(&self) {
        self.lock_space().set_ceiling(None);
        let pages_then = self.ids.lock().in_use() as u64;
        let mut shrinking = self.shrinking.lock();
        *shrinking = Shrinking { pages_then, quiet_used: shrinking.quiet_used, ..Shrinking::default() };
    }

    /// The ceiling, the page to go on with, and the node of the map that was seen to last.
    fn begin_or_go_on(&self, is_quiet: bool) -> Option<(u32, u32, Option<u32>)> {
        self.file.as_ref()?;
        let (slots, used) = {
            let space = self.lock_space();
            (space.slots(), space.used())
        };
        let pages = self.ids.lock().in_use() as u64;
        let mut shrinking = self.shrinking.lock();
        if shrinking.ceiling != 0 {
            return Some((shrinking.ceiling, shrinking.next, shrinking.node));
        }
        if shrinking.pages_then == 0 {
            shrinking.pages_then = u64::from(slots / 2); // what there was before the opening is unknown
        }
        shrinking.pages_then = shrinking.pages_then.max(pages);
        let idle_bytes = u64::from(slots - used) * self.page_bytes() as u64;
        let fewer = pages * 16 <= shrinking.pages_then * 15; // SH3
        let is_idle = is_quiet
            && slots - used >= used / 4
            && used.abs_diff(shrinking.quiet_used) > shrinking.quiet_used / 16;
        if !(fewer || is_idle) || idle_bytes < IDLE_BYTES || slots - used < used / 16 {
            return None;
        }
        if is_quiet {
            shrinking.quiet_used = used;
        }
        shrinking.ceiling = used + used / 64 + SLACK;
        shrinking.next = 1;
        shrinking.node = None;
        let ceiling = shrinking.ceiling;
        drop(shrinking);
        self.lock_space().set_ceiling(Some(ceiling));
        Some((ceiling, 1, None))
    }

    /// Has a page written anew; one that is gone needs it no more. Whether it will be (SH4).
    fn mark_dirty(&self, page: PageId, may_load: bool) -> Result<bool> {
        if self.direct.knows(page) {
            return Ok(false);
        }
        loop {
            let marked = {
                let m = self.enter();
                m.exclusive(page).and_then(|mut latched| latched.make_dirty())
            };
            match marked {
                Ok(()) => return Ok(true),
                Err(Retry::Damaged(..)) => return Ok(false),
                Err(Retry::Missing(_)) if !may_load => return Ok(false),
                Err(retry) => self.resolve(retry)?,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
