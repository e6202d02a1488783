//! New direct pages.
//!
//! # Invariants
//!
//! - **NP1** `taken` are the ids that this owner has reserved, written or not; `written` begins with the first page and is in the
//!   order of appending. Every written page has its location (DP1), or its frame.
//! - **NP2** Ids are taken in extents that grow as the Fibonacci numbers do, from what is free or behind it, so that a value of
//!   any length has few runs of pages; what the last one has too many goes back.
//! - **NP3** What is dropped before it was attached frees ids, slots and frames: nothing is in flight then.

use crate::file::checksum;
use crate::pager::Pager;
use crate::runs::{PageRun, RunSet};
use crate::translation::Location;
use crate::{Error, Mutation, PageId, Result};
use aquifer_io::Buffer;
use aquifer_sync::Arc;

/// Pages that are written, or will be, and that belong to nobody yet (DP2).
#[derive(Debug)]
pub struct NewPages {
    pub(super) pager: Arc<Pager>,
    pub(super) taken: RunSet,
    pub(super) written: Vec<PageRun>,
    /// Taken and not written.
    spare: Option<PageRun>,
    /// Sizes of the last extent and the next one.
    extents: (u32, u32),
    /// Slots that hold the manifest.
    pub(super) manifest: Vec<u32>,
}

impl Pager {
    /// Makes all direct pages written so far durable (DP6). In memory there is nothing to do.
    ///
    /// # Errors
    ///
    /// The disk's; the pager is poisoned then, and so must the log be.
    pub fn sync_direct(&self) -> Result<()> {
        let Some(file) = &self.file else { return self.check_poison() };
        self.direct.begin_write()?;
        let synced = self.sync_alone(|| file.sync());
        self.direct.end_write();
        synced
    }
}

impl NewPages {
    /// None yet.
    pub fn new(pager: &Arc<Pager>) -> NewPages {
        NewPages {
            pager: Arc::clone(pager),
            taken: RunSet::new(),
            written: Vec::new(),
            spare: None,
            extents: (1, 1),
            manifest: Vec::new(),
        }
    }

    /// The pages written so far, in order.
    pub fn runs(&self) -> &[PageRun] {
        &self.written
    }

    /// Pages written so far.
    pub fn len(&self) -> u64 {
        self.written.iter().map(|run| u64::from(run.pages)).sum()
    }

    /// Is none written yet?
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Writes pages, of a page size each, behind those before them. The buffers come back.
    ///
    /// # Errors
    ///
    /// The disk's, or that no id, slot or frame is left. Some of the pages may be written then: the value cannot be finished.
    pub fn append(&mut self, buffers: &mut Vec<Buffer>) -> Result<()> {
        let mut back = Vec::with_capacity(buffers.len());
        while !buffers.is_empty() {
            let run = self.take_ids(buffers.len() as u32)?;
            let mut now: Vec<Buffer> = buffers.drain(..run.pages as usize).collect();
            let done = self.write(run, &mut now);
            back.append(&mut now);
            done?;
            PageRun::push(&mut self.written, run);
        }
        *buffers = back;
        Ok(())
    }

    /// Gives back the ids that were taken in advance.
    pub fn trim(&mut self) {
        if let Some(spare) = self.spare.take() {
            self.taken.remove(spare.first.0, spare.end());
            self.pager.give_back(&[spare]);
        }
    }

    /// Between 1 and `most` ids in a row (NP2).
    fn take_ids(&mut self, most: u32) -> Result<PageRun> {
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => {
                let (last, next) = self.extents;
                self.extents = (next, last.saturating_add(next).min(EXTENT_PAGES_MAX));
                let run = self.pager.reserve_ids(next.max(most))?;
                self.taken.insert(run.first.0, run.end());
                run
            }
        };
        let now = PageRun { first: spare.first, pages: spare.pages.min(most) };
        let rest = PageRun { first: PageId(now.end()), pages: spare.pages - now.pages };
        self.spare = (rest.pages > 0).then_some(rest);
        Ok(now)
    }

    fn write(&mut self, run: PageRun, buffers: &mut Vec<Buffer>) -> Result<()> {
        if self.pager.file.is_none() {
            return run.ids().zip(buffers).try_for_each(|(page, bytes)| self.pager.fill_frame(page, bytes));
        }
        let locations = self.pager.write_slots(buffers)?;
        for (page, location) in run.ids().zip(locations) {
            self.pager.table.set_location(page, location); // DP1
        }
        Ok(())
    }

    /// Writes pages that nothing but the log will refer to.
    pub(super) fn write_manifest(&mut self, buffers: &mut Vec<Buffer>) -> Result<()> {
        let locations = self.pager.write_slots(buffers)?;
        self.manifest.extend(locations.iter().map(|location| location.slot));
        Ok(())
    }

    /// What becomes part of the database, the slots of the manifest, and what goes back.
    pub(super) fn take_written(mut self) -> (Vec<PageRun>, Vec<u32>, Vec<PageRun>) {
        let written = std::mem::take(&mut self.written);
        let mut rest = std::mem::take(&mut self.taken);
        rest.subtract(&RunSet::of(&written));
        (written, std::mem::take(&mut self.manifest), rest.pages())
    }
}

/// Ids taken in advance, at most.
const EXTENT_PAGES_MAX: u32 = 1 << 16;

impl Drop for NewPages {
    fn drop(&mut self) {
        self.pager.free_slots(&self.manifest);
        let taken = self.taken.pages();
        self.pager.give_back(&taken); // NP3
    }
}

impl Pager {
    fn reserve_ids(&self, most: u32) -> Result<PageRun> {
        self.grow_page_table_for(most)?;
        let run = self.ids.lock().allocate_run(most, self.table.committed());
        let run = run.ok_or(Error::Full { what: "every page id is in use" })?;
        self.direct.lock().reserved.insert(run.first.0, run.end()); // DS2
        Ok(run)
    }

    /// Frees reserved pages: slots or frames, and ids.
    fn give_back(&self, runs: &[PageRun]) {
        if runs.is_empty() {
            return;
        }
        if self.file.is_none() {
            return self.enter().free_direct_frames(runs);
        }
        self.give_back_slots(runs);
    }

    /// As [`give_back`](Self::give_back), where there is a file.
    fn give_back_slots(&self, runs: &[PageRun]) {
        for run in runs {
            let mut slots = Vec::new();
            for page in run.ids() {
                slots.extend(Some(self.table.location(page).slot).filter(|&slot| slot != 0));
                self.table.set_location(page, Location::NONE);
            }
            self.direct.lock().reserved.remove(run.first.0, run.end());
            self.free_slots(&slots);
            self.ids.lock().free_run(*run);
        }
    }

    /// Writes buffers to fresh slots. They come back, in their order.
    fn write_slots(&self, buffers: &mut Vec<Buffer>) -> Result<Vec<Location>> {
        let file = self.file.as_ref().expect("a database in memory has no slots");
        self.direct.begin_write()?;
        let written = (|| {
            let slots = self.allocate_slots(buffers.len())?;
            let locations: Vec<Location> = slots
                .iter()
                .zip(&*buffers)
                .map(|(&slot, bytes)| Location { slot, checksum: checksum(bytes) })
                .collect();
            let requests = slots
                .iter()
                .zip(buffers.drain(..))
                .map(|(&slot, bytes)| (file.offset(slot), bytes))
                .collect();
            let mut failure = None;
            let mut good = Vec::new();
            for (&slot, (buffer, result)) in slots.iter().zip(file.write(requests)) {
                buffers.push(buffer);
                match result {
                    Ok(()) => good.push(slot),
                    Err(error) => {
                        self.quarantine(slot, &error);
                        failure = failure.or(Some(error));
                    }
                }
            }
            match failure {
                None => Ok(locations),
                Some(error) => {
                    self.free_slots(&good);
                    Err(error.into())
                }
            }
        })();
        self.direct.end_write();
        written
    }

    /// In memory a direct page lies in a frame.
    fn fill_frame(&self, page: PageId, bytes: &[u8]) -> Result<()> {
        loop {
            let attempt =
                self.enter().allocate_as(page).map(|mut new| new.bytes_mut().copy_from_slice(bytes));
            match attempt {
                Ok(()) => return Ok(()),
                Err(retry) => self.resolve(retry)?,
            }
        }
    }
}

impl Mutation<'_> {
    /// Frees reserved pages that were not written, inside the gate.
    pub(super) fn give_back(&self, runs: &[PageRun]) {
        match self.pager().file {
            Some(_) => self.pager().give_back_slots(runs),
            None => self.free_direct_frames(runs),
        }
    }

    /// In memory: frees reserved pages, those that have frames and those that never got one.
    pub(super) fn free_direct_frames(&self, runs: &[PageRun]) {
        let pager = self.pager();
        for run in runs {
            run.ids().for_each(|page| self.free_frame_of(page));
            pager.direct.lock().reserved.remove(run.first.0, run.end());
            pager.ids.lock().free_run(*run);
        }
    }
}
