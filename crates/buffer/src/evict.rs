//! Giving frames away: a clock over all frames, clean pages first, dirty ones written in batches from private copies.
//!
//! # Invariants
//!
//! - **W1** A frame is given away only after its write has completed, and if its version has not changed since the copy.
//! - **W2** One write in flight per page: `WRITING` is set under the latch, and both eviction and checkpoint leave a page
//!   alone that has it.
//! - **L3** Giving a frame away raises its version.
//! - **EV1** Eviction needs neither the gate nor the checkpoint to move on, so waiting for it inside the gate cannot
//!   deadlock.
//! - **EV2** While writing fails, clean frames alone serve, as long as there are more than any operation needs at once: with
//!   fewer, the pages on its way would push each other out for ever.

use crate::file::checksum;
use crate::frame::WRITING;
use crate::pager::Pager;
use crate::translation::{FrameId, Location};
use crate::{Error, PageId, Result};
use aquifer_io::Buffer;
use aquifer_pools::Account;
use aquifer_sync::Version;
use aquifer_sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Clean pages that one search is content with.
const CLEAN_WANTED: usize = 16;
/// More pages than an operation needs at once (EV2).
const CLEAN_MIN: usize = 24;
/// Searches of one call for free frames ahead of need.
const EVICTIONS_AHEAD: usize = 8;
/// Frames that no other use of memory gets.
pub(crate) const FRAMES_MIN: usize = 32;

/// A dirty page being written, and what it looked like.
struct Writing {
    frame: FrameId,
    page: PageId,
    epoch: u64,
    version: Version,
    location: Location,
}

impl Pager {
    /// A free frame; evicts if there is none. The caller holds no latch.
    ///
    /// # Errors
    ///
    /// [`Error::Budget`] if nothing can be evicted within `patience`, or what writing a page gave.
    pub(crate) fn take_frame(&self, patience: Duration) -> Result<FrameId> {
        self.evict_until(patience, || self.frames.try_take())
    }

    fn evict_until(&self, patience: Duration, take: impl Fn() -> Option<FrameId>) -> Result<FrameId> {
        let mut begun = None;
        loop {
            if let Some(frame) = take() {
                return Ok(frame);
            }
            if self.evict_some(self.evict_batch)? > 0 || self.frames.free_frames() > 0 {
                continue;
            }
            if begun.get_or_insert_with(Instant::now).elapsed() >= patience || self.file.is_none() {
                return Err(self.exhausted(self.frames.page_bytes()));
            }
            self.wait_for_writes();
        }
    }

    /// Makes sure, as far as others leave them, that a structural change finds so many frames and page ids. The caller holds no
    /// latch and is outside the gate.
    ///
    /// # Errors
    ///
    /// [`Error::Budget`] if there is no memory for so many; what writing a page gave.
    pub(crate) fn prepare_pages(&self, pages: usize) -> Result<()> {
        self.grow_page_table()?;
        let mut frames = Vec::with_capacity(pages);
        let mut failed = None;
        while frames.len() < pages && failed.is_none() {
            match self.take_frame(Duration::from_secs(10)) {
                Ok(frame) => frames.push(frame),
                Err(error) => failed = Some(error),
            }
        }
        self.frames.put(&frames);
        failed.map_or(Ok(()), Err)
    }

    /// Work for a background thread: keeps some frames free ahead of need. Whether anything was done.
    ///
    /// # Errors
    ///
    /// What writing a page gave.
    pub fn evict_ahead(&self) -> Result<bool> {
        let enough = self.frames.free_frames() >= self.free_ahead / 2 || self.may_grow_frames();
        if self.file.is_none() || enough || self.stopped.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut done = false;
        for _ in 0..EVICTIONS_AHEAD {
            if self.frames.free_frames() >= self.free_ahead || self.evict_some(self.free_ahead as usize)? == 0
            {
                break;
            }
            done = true;
        }
        Ok(done)
    }

    /// Nothing is written to the data file after this, except by a checkpoint, which its caller refrains from: the file may be
    /// another's. Pages in memory and clean ones can still be read.
    pub fn stop_writing(&self) {
        let _no_batch_is_under_way = self.eviction.lock();
        self.stopped.store(true, Ordering::Relaxed); // ordered by the lock
        self.direct.stop();
    }

    /// Moves memory of frames to another account.
    ///
    /// # Errors
    ///
    /// [`Error::Budget`] if too few frames would be left, or none can be evicted; what writing a page gave. Nothing has
    /// moved then.
    pub(crate) fn surrender_frames(&self, bytes: usize, to: &Account) -> Result<()> {
        let page_bytes = self.frames.page_bytes();
        let wanted = bytes.div_ceil(page_bytes);
        if (self.live_frames() as usize) < wanted + FRAMES_MIN {
            return Err(self.exhausted(bytes));
        }
        let mut taken = Vec::with_capacity(wanted);
        while taken.len() < wanted {
            match self.evict_until(Duration::from_secs(1), || self.frames.try_take_committed()) {
                Ok(frame) => taken.push(frame),
                Err(error) => {
                    self.frames.put(&taken);
                    return Err(error);
                }
            }
        }
        self.frames.surrender(&taken, to);
        to.give_back(wanted * page_bytes - bytes);
        Ok(())
    }

    /// One search of bounded length; writes dirty pages if few are clean and there are fewer than `enough` free frames.
    /// Returns how many frames became free.
    fn evict_some(&self, enough: usize) -> Result<usize> {
        if self.file.is_none() {
            return Ok(0);
        }
        let (mut count, dirty) = self.search(self.evict_batch);
        if count < CLEAN_WANTED / 4 && !dirty.is_empty() {
            match self.evict_dirty(&dirty, enough) {
                Ok(freed) => count += freed,
                Err(error) => {
                    // Readers must go on when writing fails: look at every frame for a clean one (EV2).
                    if self.frames_not_dirty() < CLEAN_MIN {
                        return Err(error);
                    }
                    if count == 0 {
                        count = self.search(0).0;
                    }
                    if count == 0 {
                        return Err(error);
                    }
                }
            }
        }
        self.stats.evicted(count);
        Ok(count)
    }

    fn frames_not_dirty(&self) -> usize {
        let frames = (0..self.frames.committed()).map(FrameId);
        let clean = frames.filter(|&frame| self.frames.header(frame).dirty_epoch() == 0).count();
        clean.saturating_sub(self.frames.surrendered()) // these hold nothing, and are of no use
    }

    /// Frees clean frames that are not in use, a few at most; how many, and the dirty ones met on the way, until these are
    /// `dirty_most`. With 0 it passes by the dirty ones.
    fn search(&self, dirty_most: usize) -> (usize, Vec<FrameId>) {
        let mut freed = Vec::new();
        let mut dirty = Vec::new();
        // Two rounds: the first cools every page, the second finds the cool ones.
        let mut steps = 2 * self.frames.committed() as usize + 1;
        while steps > 0 && freed.len() < CLEAN_WANTED && (dirty_most == 0 || dirty.len() < dirty_most) {
            steps -= 1;
            let Some(frame) = self.frames.advance_hand() else { continue };
            if self.frames.header(frame).dirty_epoch() != 0 {
                if dirty_most > 0 {
                    dirty.push(frame);
                }
            } else if self.evict_clean(frame) {
                freed.push(frame);
            }
        }
        self.frames.put(&freed);
        (freed.len(), dirty)
    }

    /// Takes a clean page out of its frame. Whether it could.
    fn evict_clean(&self, frame: FrameId) -> bool {
        let header = self.frames.header(frame);
        if !header.latch.try_lock_exclusive() {
            return false;
        }
        let page = header.page();
        if page == 0 || header.dirty_epoch() != 0 || header.has(WRITING) {
            header.latch.unlock_unchanged();
            return false;
        }
        self.table.entry(PageId(page)).expect("TR3").evict();
        header.set_page(0);
        header.latch.unlock_exclusive(); // L3
        true
    }

    /// Writes dirty pages in one batch and takes those out of their frames that nobody has touched since (W1).
    fn evict_dirty(&self, frames: &[FrameId], enough: usize) -> Result<usize> {
        // One batch at a time: its memory is reserved once, and those who wait find free frames afterwards.
        let mut buffers = self.eviction.lock();
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::Poisoned { cause: "the database was closed".into() });
        }
        if self.frames.free_frames() as usize >= enough {
            return Ok(0); // somebody else has made room meanwhile
        }
        let mut writing = Vec::with_capacity(frames.len());
        let mut filled = Vec::with_capacity(frames.len());
        for &frame in frames {
            let mut buffer = buffers.pop().unwrap_or_else(|| Buffer::zeroed(self.frames.page_bytes()));
            match self.begin_write(frame, &mut buffer) {
                Some(claim) => {
                    writing.push(claim);
                    filled.push(buffer);
                }
                None => buffers.push(buffer),
            }
        }
        // Neighbours in name tend to be neighbours in key.
        let mut pairs: Vec<_> = writing.into_iter().zip(filled).collect();
        pairs.sort_unstable_by_key(|(claim, _)| claim.page);
        let (writing, filled): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (freed, failure) = self.write_claimed(writing, filled, &mut buffers);
        drop(buffers);
        self.frames.put(&freed);
        match failure {
            Some(error) if freed.is_empty() => Err(error),
            _ => Ok(freed.len()),
        }
    }

    /// Claims a dirty page for writing and copies it.
    fn begin_write(&self, frame: FrameId, buffer: &mut Buffer) -> Option<Writing> {
        let header = self.frames.header(frame);
        if !header.latch.try_lock_exclusive() {
            return None;
        }
        let (page, epoch) = (header.page(), header.dirty_epoch());
        let mine = page != 0 && epoch != 0 && !header.has(WRITING) && !header.has(crate::frame::TAKEN);
        let claim = mine.then(|| {
            header.set_flag(WRITING);
            // SAFETY: FR1: the frame is mapped; the latch is held exclusively, so nobody writes to it.
            let bytes =
                unsafe { std::slice::from_raw_parts(self.frames.start(frame), self.frames.page_bytes()) };
            buffer.copy_from_slice(bytes);
            Writing {
                frame,
                page: PageId(page),
                epoch,
                version: header.latch.version(),
                location: Location::NONE,
            }
        });
        header.latch.unlock_unchanged();
        claim
    }

    /// Writes claimed pages to fresh slots and releases the claims; the frames that became free, and the first failure.
    fn write_claimed(
        &self,
        mut writing: Vec<Writing>,
        filled: Vec<Buffer>,
        spare: &mut Vec<Buffer>,
    ) -> (Vec<FrameId>, Option<Error>) {
        let file = self.file.as_ref().expect("only databases with a file evict");
        let mut requests = Vec::with_capacity(filled.len());
        let mut failure = None;
        match self.allocate_slots(filled.len()) {
            Ok(slots) => {
                for ((claim, buffer), slot) in writing.iter_mut().zip(filled).zip(slots) {
                    claim.location = Location { slot, checksum: checksum(&buffer) };
                    requests.push((file.offset(slot), buffer));
                }
            }
            Err(error) => {
                failure = Some(error);
                spare.extend(filled);
            }
        }
        let no_slot = failure.is_some();
        let mut results = Vec::new();
        for (buffer, result) in file.write(requests) {
            spare.push(buffer);
            results.push(result);
        }
        self.stats.wrote_for_eviction(results.len());
        let mut freed = Vec::new();
        for (index, claim) in writing.iter().enumerate() {
            let result = results.get(index).cloned().unwrap_or(Ok(()));
            let written = !no_slot && result.is_ok();
            if let Err(error) = result {
                self.quarantine(claim.location.slot, &error);
                failure = Some(error.into());
            }
            if self.finish_write(claim, written) {
                freed.push(claim.frame);
            }
        }
        (freed, failure)
    }

    /// Releases a claim; if the page is as it was written, notes where it lies and gives the frame away.
    fn finish_write(&self, claim: &Writing, written: bool) -> bool {
        let header = self.frames.header(claim.frame);
        header.latch.lock_exclusive();
        header.clear_flag(WRITING);
        let same = header.latch.version() == claim.version
            && header.page() == claim.page.0
            && header.dirty_epoch() == claim.epoch;
        if !(written && same) {
            let freed = header.page() == 0; // FR5: by a change that left the frame to this thread
            header.latch.unlock_unchanged();
            if written {
                self.free_slots(&[claim.location.slot]); // never referred to
            }
            return freed;
        }
        self.forget_durable_version(claim.page);
        self.table.set_location(claim.page, claim.location);
        let superseded = self.epochs.record(claim.epoch, claim.page, claim.location);
        header.set_dirty_epoch(0);
        self.table.entry(claim.page).expect("TR3").evict();
        header.set_page(0);
        header.latch.unlock_exclusive(); // L3
        if let Some(slot) = superseded {
            self.free_slots(&[slot]);
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
