//! Frames: page-sized pieces of memory, a header for each, the free list and the clock.
//!
//! # Invariants
//!
//! - **FR1** Frames below `committed` and their headers are mapped and stay mapped while the pool lives, so a reader
//!   that lost a race reads stale bytes, not a hole.
//! - **FR2** `page`, `dirty_epoch` and `flags` change only under the frame's exclusive latch.
//! - **FR3** `page` is 0 exactly while the frame holds no page: it is free, or being loaded.
//! - **FR4** At most one thread has set `WRITING` on a frame, and that thread clears it.
//! - **FR5** A frame number is in the free list at most once, and then its `page` is 0 and it is not `WRITING`: the frame of a
//!   page that is freed while it is being written is put there by who writes.

use crate::translation::FrameId;
use crate::{Error, Result};
use aquifer_pools::{Account, Arena, ArenaOptions};
use aquifer_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use aquifer_sync::{Latch, Mutex, Rank};

/// The checkpoint under way has its image of the page.
pub(crate) const TAKEN: u32 = 1;
/// An eviction is writing the page.
pub(crate) const WRITING: u32 = 2;

/// Uses after which a page is thought of as hot: one right after loading does not count, so scans do not stay.
const HOT: u32 = 2;

/// What is known of a frame, in one cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct FrameHeader {
    pub(crate) latch: Latch,
    page: AtomicU32,
    uses: AtomicU32,
    dirty_epoch: AtomicU64,
    flags: AtomicU32,
}

impl FrameHeader {
    /// The page in the frame, 0 if none. A guess unless the latch is held (FR2).
    #[inline(always)]
    pub(crate) fn page(&self) -> u32 {
        self.page.load(Ordering::Relaxed) // ordered by the latch (L2)
    }

    pub(crate) fn set_page(&self, page: u32) {
        self.page.store(page, Ordering::Relaxed); // ordered by the latch (FR2)
    }

    /// The epoch in which the page is dirty, 0 if clean.
    #[inline]
    pub(crate) fn dirty_epoch(&self) -> u64 {
        self.dirty_epoch.load(Ordering::Relaxed) // ordered by the latch (FR2)
    }

    pub(crate) fn set_dirty_epoch(&self, epoch: u64) {
        self.dirty_epoch.store(epoch, Ordering::Relaxed); // ordered by the latch (FR2)
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0 // ordered by the latch (FR2)
    }

    pub(crate) fn set_flag(&self, flag: u32) {
        self.flags.store(self.flags.load(Ordering::Relaxed) | flag, Ordering::Relaxed); // as above
    }

    pub(crate) fn clear_flag(&self, flag: u32) {
        self.flags.store(self.flags.load(Ordering::Relaxed) & !flag, Ordering::Relaxed); // as above
    }

    /// Notes a use. Writes to the shared line only while the page is not known to be hot.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        // Relaxed, and lost updates are fine: it is a hint.
        let uses = self.uses.load(Ordering::Relaxed);
        if uses < HOT {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
    }

    /// Forgets all uses.
    pub(crate) fn reset_uses(&self) {
        self.uses.store(0, Ordering::Relaxed); // a hint
    }

    /// The clock's hand passes: whether the page may go.
    fn cool(&self) -> bool {
        if self.uses.load(Ordering::Relaxed) >= HOT {
            self.uses.store(HOT - 1, Ordering::Relaxed); // a hint
            return false;
        }
        true
    }
}

/// All frames of a database.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes: Arena,
    headers: Arena,
    page_bytes: usize,
    frames_max: usize,
    step: usize,
    account: Account,
    /// Frames that have memory (FR1).
    committed: AtomicU32,
    hand: AtomicU64,
    pool: Mutex<Pool>,
    free_count: AtomicU32,
}

#[derive(Debug, Default)]
struct Pool {
    free: Vec<FrameId>,
    /// Frames whose memory went to another account: usable again once it is taken anew.
    surrendered: Vec<FrameId>,
}

const CACHE_LINE_BYTES: usize = 64;

/// Asks the processor for a cache line; nothing where it cannot be asked.
#[inline(always)]
fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address, and changes nothing that a program sees.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Bytes of a frame and its header.
pub(crate) fn frame_cost(page_bytes: usize) -> usize {
    page_bytes + size_of::<FrameHeader>()
}

impl Frames {
    /// Reserves address space for as many frames as `budget_bytes` could ever hold.
    pub(crate) fn reserve(page_bytes: usize, budget_bytes: usize, account: Account) -> Result<Self> {
        let frames_max = (budget_bytes / frame_cost(page_bytes)).max(8);
        let huge_pages = budget_bytes >= 32 << 20;
        let arena = |reserve_bytes| {
            Arena::reserve(ArenaOptions { reserve_bytes, huge_pages })
                .map_err(|cause| Error::Memory { what: "the frames", cause: cause.to_string() })
        };
        Ok(Self {
            bytes: arena(frames_max * page_bytes)?,
            headers: arena(frames_max * size_of::<FrameHeader>())?,
            page_bytes,
            frames_max,
            step: (frames_max / 64).clamp(4, (2 << 20) / page_bytes),
            account,
            committed: AtomicU32::new(0),
            hand: AtomicU64::new(0),
            pool: Mutex::new(Rank::Pool, Pool::default()),
            free_count: AtomicU32::new(0),
        })
    }

    /// The header of a frame.
    #[inline(always)]
    pub(crate) fn header(&self, frame: FrameId) -> &FrameHeader {
        debug_assert!((frame.0 as usize) < self.frames_max);
        // SAFETY: FR1: the number came from the free list or a translation word, so it is below `committed`;
        // zeroed memory is a valid header.
        unsafe { &*self.headers.base().as_ptr().cast::<FrameHeader>().add(frame.0 as usize) }
    }

    /// First byte of a frame.
    #[inline(always)]
    pub(crate) fn start(&self, frame: FrameId) -> *mut u8 {
        debug_assert!((frame.0 as usize) < self.frames_max);
        // SAFETY: FR1, as in `header`: within the arena.
        unsafe { self.bytes.base().as_ptr().add(frame.0 as usize * self.page_bytes) }
    }

    /// Asks the processor for the header of a frame and its first bytes. Any number will do.
    #[inline(always)]
    pub(crate) fn prefetch(&self, frame: FrameId, bytes: usize) {
        let number = frame.0 as usize;
        // Never dereferenced, and a prefetch of what is not mapped does nothing: `wrapping` pointers suffice.
        prefetch_line(self.headers.base().as_ptr().wrapping_add(number * size_of::<FrameHeader>()));
        let start = self.bytes.base().as_ptr().wrapping_add(number * self.page_bytes);
        for line in (0..bytes).step_by(CACHE_LINE_BYTES) {
            prefetch_line(start.wrapping_add(line));
        }
    }

    /// Page size in bytes.
    #[inline]
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Frames that have memory.
    pub(crate) fn committed(&self) -> u32 {
        self.committed.load(Ordering::Acquire) // pairs with the Release in `grow`
    }

    /// Bytes that the pool grows by.
    pub(crate) fn step_bytes(&self) -> usize {
        self.step * frame_cost(self.page_bytes)
    }

    /// Frames in the free list.
    pub(crate) fn free_frames(&self) -> u32 {
        self.free_count.load(Ordering::Relaxed) // a hint
    }

    /// Frames whose memory went to other accounts.
    pub(crate) fn surrendered(&self) -> usize {
        self.pool.lock().surrendered.len()
    }

    /// A free frame, if there is one; from new memory if the budget allows. Never waits for the disk.
    pub(crate) fn try_take(&self) -> Option<FrameId> {
        self.take(true)
    }

    /// A free frame, if there is one that has its memory already.
    pub(crate) fn try_take_committed(&self) -> Option<FrameId> {
        self.take(false)
    }

    fn take(&self, may_grow: bool) -> Option<FrameId> {
        let mut pool = self.pool.lock();
        if pool.free.is_empty() && may_grow {
            self.grow(&mut pool);
        }
        let frame = pool.free.pop()?;
        self.free_count.store(pool.free.len() as u32, Ordering::Relaxed); // a hint
        Some(frame)
    }

    /// Gives free frames back.
    pub(crate) fn put(&self, frames: &[FrameId]) {
        let mut pool = self.pool.lock();
        for &frame in frames {
            debug_assert_eq!(self.header(frame).page(), 0, "FR5");
            pool.free.push(frame);
        }
        self.free_count.store(pool.free.len() as u32, Ordering::Relaxed); // a hint
    }

    fn grow(&self, pool: &mut Pool) {
        for _ in 0..self.step {
            if pool.surrendered.is_empty() || self.account.take(self.page_bytes).is_err() {
                break;
            }
            pool.free.extend(pool.surrendered.pop());
        }
        let committed = self.committed.load(Ordering::Relaxed) as usize; // changes only under `pool`
        if !pool.free.is_empty() || committed == self.frames_max {
            return;
        }
        let mut more = self.step.min(self.frames_max - committed);
        while self.account.take(more * frame_cost(self.page_bytes)).is_err() {
            more /= 2;
            if more == 0 {
                return;
            }
        }
        let total = committed + more;
        let grown = self.bytes.commit(total * self.page_bytes).is_ok()
            && self.headers.commit(total * size_of::<FrameHeader>()).is_ok();
        if !grown {
            self.account.give_back(more * frame_cost(self.page_bytes));
            return;
        }
        // Release: pairs with the Acquire of `committed`.
        self.committed.store(total as u32, Ordering::Release);
        pool.free.extend((committed..total).rev().map(|frame| FrameId(frame as u32)));
    }

    /// Gives the memory of free frames to another account of the budget.
    pub(crate) fn surrender(&self, frames: &[FrameId], to: &Account) {
        for &frame in frames {
            debug_assert_eq!(self.header(frame).page(), 0, "FR5");
            self.bytes.discard(frame.0 as usize * self.page_bytes, self.page_bytes);
        }
        self.pool.lock().surrendered.extend_from_slice(frames);
        self.account.transfer(frames.len() * self.page_bytes, to);
    }

    /// Moves the clock's hand over one frame: the frame, if its page has not been used since the last time.
    pub(crate) fn advance_hand(&self) -> Option<FrameId> {
        let committed = u64::from(self.committed());
        if committed == 0 {
            return None;
        }
        let frame = FrameId((self.hand.fetch_add(1, Ordering::Relaxed) % committed) as u32); // a hint
        let header = self.header(frame);
        (header.page() != 0 && header.cool()).then_some(frame)
    }
}
