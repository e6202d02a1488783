//! Bringing pages into memory.
//!
//! # Invariants
//!
//! - **L7** The kernel reads only into frames that are latched exclusively and hold no page.
//! - **W3** A failed load makes the page absent again and wakes those who wait for it.
//! - **LD1** A page is `Present` only after its bytes have matched the checksum in its location.

use crate::page::{NO_SUCH_PAGE, Retry};
use crate::pager::Pager;
use crate::translation::{FrameId, Location, Residence};
use crate::{Error, PageId, Result};
use aquifer_io::Buffer;
use aquifer_sync::{Condvar, Mutex, Rank};
use std::ptr::NonNull;
use std::time::Duration;

/// Where threads wait for a page that another one loads.
#[derive(Debug)]
pub(crate) struct LoadWaiters {
    buckets: Vec<(Mutex<()>, Condvar)>,
}

impl LoadWaiters {
    pub(crate) fn new() -> Self {
        Self { buckets: (0..64).map(|_| (Mutex::new(Rank::Leaf, ()), Condvar::new())).collect() }
    }

    fn bucket(&self, page: PageId) -> &(Mutex<()>, Condvar) {
        &self.buckets[page.0 as usize % self.buckets.len()]
    }
}

/// A page whose load this thread has won, and the latched frame that it goes to.
struct Loading {
    page: PageId,
    frame: FrameId,
    location: Location,
}

/// How long a wait for memory goes on before it is thought hopeless.
const PATIENCE: Duration = Duration::from_secs(10);
const COPY_WAIT: Duration = Duration::from_millis(5);

impl Pager {
    /// Does what `retry` asks for: loads the page, finds frames, waits for the checkpoint to take copies, or steps aside.
    /// The caller holds no latch; it is outside the gate, unless its commit cannot leave it any more.
    ///
    /// # Errors
    ///
    /// What loading, eviction or the budget give. The state is as before.
    pub fn resolve(&self, retry: Retry) -> Result<()> {
        match retry {
            Retry::Changed => {
                aquifer_sync::thread::yield_now();
                Ok(())
            }
            Retry::Missing(page) => self.load(page),
            Retry::Evicted(page) => match self.load(page) {
                Err(_) if !self.page_exists(page) => Ok(()),
                other => other,
            },
            Retry::Frames => self.prepare_pages(2), // the split of a root needs two at once
            Retry::Copies => {
                self.epochs.wait_for_copy_room(COPY_WAIT);
                Ok(())
            }
            Retry::Damaged(page, what) => Err(self.corrupt(page, what)),
        }
    }

    /// As [`resolve`](Self::resolve), from inside the gate, for a commit that cannot leave it: the exception to G1, counted.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub fn resolve_inside_gate(&self, retry: Retry) -> Result<()> {
        if retry != Retry::Changed {
            self.stats.waited_inside_gate();
        }
        self.resolve(retry)
    }

    fn load(&self, page: PageId) -> Result<()> {
        let Some(entry) = self.table.entry(page) else {
            return Err(self.no_such_page(page));
        };
        if entry.get() == Residence::Loading {
            self.wait_for_load(page);
            return Ok(());
        }
        if entry.get() != Residence::Absent {
            return Ok(());
        }
        let frame = self.take_frame(PATIENCE)?;
        match self.begin_load(page, frame) {
            Some(loading) => self.finish_loads(vec![loading]).remove(0),
            None => {
                // Another thread was faster, or the page has been freed: looking it up again tells.
                self.frames.put(&[frame]);
                Ok(())
            }
        }
    }

    /// Brings pages into memory, all misses in one batch of reads. Pages for which no frame is free are left out, and
    /// so are pages that do not exist.
    ///
    /// # Errors
    ///
    /// The first that a page met; the others are loaded all the same.
    pub fn load_many(&self, pages: &[PageId]) -> Result<()> {
        let mut batch = Vec::new();
        for &page in pages {
            let absent = self.table.entry(page).is_some_and(|entry| entry.get() == Residence::Absent);
            if !absent {
                continue;
            }
            let Ok(frame) = self.take_frame(Duration::ZERO) else { break };
            match self.begin_load(page, frame) {
                Some(loading) => batch.push(loading),
                None => self.frames.put(&[frame]),
            }
            if batch.len() == self.load_batch_max {
                self.finish_loads(std::mem::take(&mut batch)).into_iter().collect::<Result<()>>()?;
            }
        }
        self.finish_loads(batch).into_iter().collect()
    }

    /// Wins the load of an absent page that has a slot.
    fn begin_load(&self, page: PageId, frame: FrameId) -> Option<Loading> {
        let entry = self.table.entry(page)?;
        if !entry.begin_load() {
            return None;
        }
        let location = self.table.location(page);
        if location.slot == 0 {
            entry.abandon();
            self.wake_loaders(page);
            return None;
        }
        // Only threads that lost a race may hold it, for an instant.
        self.frames.header(frame).latch.lock_exclusive();
        Some(Loading { page, frame, location })
    }

    fn finish_loads(&self, batch: Vec<Loading>) -> Vec<Result<()>> {
        let Some(file) = &self.file else {
            return batch.iter().map(|loading| Err(self.no_such_page(loading.page))).collect();
        };
        if batch.is_empty() {
            return Vec::new();
        }
        let requests = batch
            .iter()
            .map(|loading| {
                let start = NonNull::new(self.frames.start(loading.frame)).expect("frames are mapped");
                // SAFETY: L7: the frame is latched exclusively and holds no page until `finish_load`; the buffer is
                // dropped before that.
                (loading.location.slot, unsafe { Buffer::from_frame(start, self.frames.page_bytes()) })
            })
            .collect();
        let done = file.read(requests);
        self.stats.loaded(batch.len());
        batch
            .into_iter()
            .zip(done)
            .map(|(loading, (buffer, result))| {
                let checked = match result {
                    Ok(()) => file.check(loading.page, loading.location, &buffer),
                    Err(error) if error.kind == std::io::ErrorKind::UnexpectedEof => Err(file.corrupt(
                        loading.page,
                        loading.location.slot,
                        "the file ends before it".into(),
                    )),
                    Err(error) => Err(error.into()),
                };
                drop(buffer);
                self.finish_load(&loading, checked)
            })
            .collect()
    }

    fn finish_load(&self, loading: &Loading, checked: Result<()>) -> Result<()> {
        let header = self.frames.header(loading.frame);
        let entry = self.table.entry(loading.page).expect("TR3");
        if checked.is_ok() {
            header.set_page(loading.page.0);
            header.set_dirty_epoch(0);
            header.clear_flag(crate::frame::TAKEN);
            header.reset_uses();
            entry.publish(loading.frame);
            header.latch.unlock_exclusive();
        } else {
            header.latch.unlock_exclusive();
            self.frames.put(&[loading.frame]);
            entry.abandon();
        }
        self.wake_loaders(loading.page);
        checked
    }

    fn wait_for_load(&self, page: PageId) {
        let (mutex, condvar) = self.waiters.bucket(page);
        let mut guard = mutex.lock();
        while self.table.entry(page).is_some_and(|entry| entry.get() == Residence::Loading) {
            guard = condvar.wait(guard);
        }
    }

    /// Wakes those who wait for a page that is not loading any more.
    pub(crate) fn wake_loaders(&self, page: PageId) {
        let (mutex, condvar) = self.waiters.bucket(page);
        drop(mutex.lock()); // a waiter is either before its check, or asleep
        condvar.notify_all();
    }

    pub(crate) fn no_such_page(&self, page: PageId) -> Error {
        self.corrupt(page, NO_SUCH_PAGE)
    }

    fn corrupt(&self, page: PageId, what: &str) -> Error {
        let slot = self.table.entry(page).map_or(0, |_| self.table.location(page).slot);
        let offset = self.file.as_ref().map_or(0, |file| file.offset(slot));
        Error::Corrupt { page, slot, offset, what: what.into() }
    }
}
