//! Taking a checkpoint: flip, write, install, release; one at a time.
//!
//! ```text
//!  idle --flip--> writing --write_checkpoint--> written --install--> durable --release--> idle
//!                    '--- error: the next flip covers it ---'   '- error: poisoned
//! ```
//!
//! # Invariants
//!
//! - **E3** A slot that the last durable checkpoint refers to is never written, and never freed before a newer one is
//!   durable.
//! - **CK1** Pages dirty in an epoch before the flip do not change any more: a writer that comes first leaves a copy.
//! - **CK2** When `write_checkpoint` ends, every page dirty before the flip is written and recorded, and all of that is
//!   synced.
//! - **CK3** The superblock is written only after CK2 and only if nothing failed since; after a failed sync or superblock
//!   write the pager is poisoned and installs nothing any more (P9).
//! - **G2** The gate is closed for an instant; if those inside do not leave in time it opens again and the flip tries
//!   later, each time with twice the patience.

use crate::file::checksum;
use crate::frame::{TAKEN, WRITING};
use crate::map::{MapRoot, MapWriter};
use crate::pager::Pager;
use crate::superblock::Superblock;
use crate::translation::{FrameId, Location};
use crate::{Error, PageId, Result};
use aquifer_io::Buffer;
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_sync::thread;
use std::time::{Duration, Instant};

/// A checkpoint under way.
#[derive(Debug)]
#[must_use]
pub struct Flip {
    /// What `capture` returned while the gate was closed.
    pub lsn: u64,
    /// The epoch that began with it: pages dirty in an earlier one belong to the checkpoint.
    pub epoch: u64,
    /// How long the gate was closed; attempts that gave up are not counted.
    pub pause: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Flipped,
    /// The new map, the slots of its new nodes, and the slots that only the old one refers to.
    Written {
        map: MapRoot,
        allocated: Vec<u32>,
        superseded: Vec<u32>,
    },
    Durable {
        superseded: Vec<u32>,
    },
}

const PATIENCE_FIRST: Duration = Duration::from_micros(500);
const PATIENCE_MAX: Duration = Duration::from_secs(4);
/// Pages sorted and written together before dirty frames are searched again.
const WINDOW: usize = 1 << 16;

/// A page being written: from a frame, or from a copy that a writer left.
struct Image {
    page: PageId,
    epoch: u64,
    frame: Option<FrameId>,
}

impl Pager {
    /// Begins a checkpoint: closes the gate, calls `capture` (which must not wait), begins the next epoch, opens the gate.
    pub fn flip(&self, capture: impl FnOnce() -> u64) -> Flip {
        let mut patience = PATIENCE_FIRST;
        loop {
            let begun = Instant::now();
            if let Some(closed) = self.gate.close(patience) {
                let lsn = capture();
                let epoch = self.begin_epoch();
                drop(closed);
                let pause = begun.elapsed();
                self.stats.flipped(pause);
                return Flip { lsn, epoch, pause, state: State::Flipped };
            }
            thread::sleep(patience.min(Duration::from_millis(5)));
            patience = (patience * 2).min(PATIENCE_MAX);
        }
    }

    fn begin_epoch(&self) -> u64 {
        let epoch = self.epoch() + 1;
        self.set_epoch(epoch);
        self.set_checkpoint_epoch(epoch);
        self.stats.epoch_began();
        let free = self.epochs.flip(epoch);
        self.direct.flip();
        self.free_slots(&free);
        self.ids.lock().flip();
        epoch
    }

    /// Writes the flip's pages and page map to fresh slots, and syncs (CK2).
    ///
    /// # Errors
    ///
    /// The disk's. What was written stays recorded; the next flip covers it.
    pub fn write_checkpoint(&self, flip: &mut Flip) -> Result<()> {
        let written = self.write_pages_and_map(flip.epoch);
        // From here on nobody needs to leave copies: all pages are taken, or the next flip covers them.
        self.set_checkpoint_epoch(0);
        flip.state = written?;
        Ok(())
    }

    fn write_pages_and_map(&self, epoch: u64) -> Result<State> {
        self.check_poison()?;
        let file = self.file.as_ref().expect("a database in memory takes no checkpoints");
        while self.write_window(epoch)? {}
        let records = self.epochs.old_records();
        let old = self.superblock.lock().map;
        let mut writer = MapWriter::new(file, &self.space);
        let applied = writer.apply(old, &records).and_then(|map| self.apply_direct(&mut writer, map));
        let map = match applied {
            Ok(map) => map,
            Err(error) => {
                self.free_slots(&writer.allocated);
                return Err(error);
            }
        };
        let (allocated, mut superseded) = (writer.allocated, writer.superseded);
        if !sabotage::is(Sabotage::SuperblockFirst) {
            self.sync_alone(|| file.sync())?;
        }
        if sabotage::is(Sabotage::ReuseSlotsEarly) {
            superseded.clear(); // they are free already
        }
        Ok(State::Written { map, allocated, superseded })
    }

    /// Writes copies and a window of pages dirty before `epoch`. Whether there may be more.
    fn write_window(&self, epoch: u64) -> Result<bool> {
        let mut pages = Vec::new();
        let mut busy = false;
        for index in 0..self.frames.committed() {
            let header = self.frames.header(FrameId(index));
            let dirty = header.dirty_epoch();
            if dirty != 0 && dirty < epoch && header.page() != 0 {
                busy = true;
                pages.push((header.page(), FrameId(index)));
                if pages.len() == WINDOW {
                    break;
                }
            }
        }
        pages.sort_unstable();
        let mut buffers = self.checkpoint.lock();
        let mut written = self.write_copies(&mut buffers)?;
        for chunk in pages.chunks(self.checkpoint_batch) {
            let mut images = Vec::with_capacity(chunk.len());
            for &(_, frame) in chunk {
                if buffers.len() == images.len() {
                    buffers.push(Buffer::zeroed(self.frames.page_bytes()));
                }
                images.extend(self.take_image(frame, epoch, &mut buffers[images.len()]));
            }
            written |= !images.is_empty();
            self.write_images(&images, &mut buffers)?;
            written |= self.write_copies(&mut buffers)?;
        }
        drop(buffers);
        if busy && !written {
            self.wait_for_writes(); // evictions are writing what is left
        }
        Ok(busy || written)
    }

    fn write_copies(&self, buffers: &mut Vec<Buffer>) -> Result<bool> {
        let mut any = false;
        loop {
            let copies = self.epochs.take_copies(self.checkpoint_batch);
            if copies.is_empty() {
                return Ok(any);
            }
            any = true;
            while buffers.len() < copies.len() {
                buffers.push(Buffer::zeroed(self.frames.page_bytes()));
            }
            for ((_, bytes), buffer) in copies.iter().zip(buffers.iter_mut()) {
                buffer.copy_from_slice(bytes);
            }
            let images: Vec<Image> =
                copies.into_iter().map(|(page, _)| Image { page, epoch: 0, frame: None }).collect();
            // If it fails, the next flip covers these pages: each is dirty in a later epoch.
            self.write_images(&images, buffers)?;
        }
    }

    /// Claims a page for the checkpoint and copies it, if it is still dirty before `epoch`. Under one latch: once `TAKEN`, a
    /// writer leaves no copy.
    fn take_image(&self, frame: FrameId, epoch: u64, buffer: &mut Buffer) -> Option<Image> {
        let header = self.frames.header(frame);
        header.latch.lock_exclusive();
        let (page, dirty) = (header.page(), header.dirty_epoch());
        let mine = page != 0 && dirty != 0 && dirty < epoch && !header.has(WRITING) && !header.has(TAKEN);
        if mine {
            header.set_flag(TAKEN);
            // SAFETY: FR1: the frame is mapped; the latch is held exclusively, so nobody writes to it.
            let bytes =
                unsafe { std::slice::from_raw_parts(self.frames.start(frame), self.frames.page_bytes()) };
            buffer.copy_from_slice(bytes);
        }
        header.latch.unlock_unchanged();
        mine.then_some(Image { page: PageId(page), epoch: dirty, frame: Some(frame) })
    }

    /// Writes images to fresh slots and records them; pages that are still as they were become clean.
    fn write_images(&self, images: &[Image], buffers: &mut Vec<Buffer>) -> Result<()> {
        debug_assert!(buffers.len() >= images.len());
        if images.is_empty() {
            return Ok(());
        }
        let file = self.file.as_ref().expect("a database in memory takes no checkpoints");
        let spare = buffers.split_off(images.len());
        let locations: Vec<Location> = match self.allocate_slots(images.len()) {
            Ok(slots) => slots
                .iter()
                .zip(&*buffers)
                .map(|(&slot, b)| Location { slot, checksum: checksum(b) })
                .collect(),
            Err(error) => {
                buffers.extend(spare);
                images.iter().for_each(|image| self.finish_image(image, None));
                return Err(error);
            }
        };
        let requests =
            locations.iter().zip(buffers.drain(..)).map(|(l, b)| (file.offset(l.slot), b)).collect();
        let mut failure = None;
        for ((image, &location), (buffer, result)) in images.iter().zip(&locations).zip(file.write(requests))
        {
            buffers.push(buffer);
            if let Err(error) = &result {
                self.quarantine(location.slot, error);
            }
            self.finish_image(image, result.is_ok().then_some(location));
            failure = failure.or(result.err());
        }
        buffers.extend(spare);
        self.stats.wrote_for_checkpoint(images.len());
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Ends the claim on an image that now lies at `location`, or could not be written.
    fn finish_image(&self, image: &Image, location: Option<Location>) {
        let Some(frame) = image.frame else {
            if let Some(location) = location {
                self.record_old(image, location);
            }
            return;
        };
        let header = self.frames.header(frame);
        header.latch.lock_exclusive();
        // A writer that came since has cleared TAKEN: the page is dirty anew, and its location is not this one (E6).
        let same = header.page() == image.page.0 && header.dirty_epoch() == image.epoch && header.has(TAKEN);
        if same {
            header.clear_flag(TAKEN);
            if let Some(location) = location {
                self.forget_durable_version(image.page);
                self.table.set_location(image.page, location);
                header.set_dirty_epoch(0);
            }
        }
        if let Some(location) = location {
            self.record_old(image, location);
        }
        header.latch.unlock_unchanged();
    }

    /// What E3 forbids, for tests of the tests.
    pub(crate) fn forget_durable_version(&self, page: PageId) {
        if sabotage::is(Sabotage::ReuseSlotsEarly) {
            let slot = self.table.location(page).slot;
            if slot != 0 && !self.epochs.wrote(page) {
                self.free_slots(&[slot]);
            }
        }
    }

    fn record_old(&self, image: &Image, location: Location) {
        if let Some(slot) = self.epochs.record(image.epoch, image.page, location) {
            self.free_slots(&[slot]);
        }
    }

    /// Writes the superblock, and syncs: afterwards the checkpoint is the truth. The log is durable through the flip's LSN.
    /// Returns its generation.
    ///
    /// # Errors
    ///
    /// The disk's; the pager is poisoned then, because the outcome is unknown (CK3).
    ///
    /// # Panics
    ///
    /// If the flip is not written.
    pub fn install(&self, flip: &mut Flip, incarnation: u64) -> Result<u64> {
        let State::Written { map, superseded, .. } = &mut flip.state else {
            panic!("install comes after write_checkpoint, once");
        };
        let file = self.file.as_ref().expect("a database in memory takes no checkpoints");
        let next = self.sync_alone(|| {
            let mut current = self.superblock.lock();
            let next = Superblock {
                incarnation,
                generation: current.generation + 1,
                flip_lsn: flip.lsn,
                map: *map,
                ..*current
            };
            file.write_superblock(Superblock::offset(next.generation), next.encode())?;
            *current = next;
            Ok(next)
        })?;
        if sabotage::is(Sabotage::SuperblockFirst) {
            file.sync()?;
        }
        self.epochs.forget_old();
        self.direct.installed();
        self.stats.checkpointed();
        flip.state = State::Durable { superseded: std::mem::take(superseded) };
        Ok(next.generation)
    }

    /// Frees what only older checkpoints referred to, and no kept one does (E3, KC2), and shortens the file if its tail is free.
    ///
    /// # Errors
    ///
    /// The disk's, from shortening; nothing is lost.
    ///
    /// # Panics
    ///
    /// If the flip is not installed.
    pub fn release(&self, flip: Flip) -> Result<()> {
        let State::Durable { superseded } = flip.state else { panic!("release comes after install") };
        self.release_direct(); // before slots that its readers still need are freed (DS4)
        self.free_superseded(&superseded);
        let file = self.file.as_ref().expect("a database in memory takes no checkpoints");
        self.lock_space().shorten(file)?;
        Ok(())
    }

    /// Gives up a checkpoint that is not installed, and will not be: the next flip covers it.
    pub fn abandon(&self, flip: Flip) {
        if let State::Written { allocated, .. } = flip.state {
            self.free_slots(&allocated);
        }
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        match &*self.poisoned.lock() {
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn poison(&self, error: &Error) {
        self.poisoned.lock().get_or_insert_with(|| error.to_string());
    }
}
