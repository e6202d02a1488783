//! Page id → frame: one atomic word per page, and no hash, lock or list.
//!
//! ```text
//!  absent --begin_load--> loading --publish--> present(frame)
//!    ^                       |                      |
//!    '-------abandon---------'        evict         |
//!    '----------------------------------------------'
//! ```
//!
//! # Invariants
//!
//! - **TR1** Only the thread that won `begin_load` publishes or abandons.
//! - **TR2** `evict` and `publish` are called with the frame latched exclusively, so the frame's page id and this
//!   word change under one latch; a reader checks the page id after it has the frame (L2).
//! - **TR3** Words below `committed` are mapped, zeroed at first (absent), and stay mapped.

use crate::{Error, PageId, Result};
use aquifer_pools::{Arena, ArenaOptions};
use aquifer_sync::atomic::{AtomicU32, AtomicU64, Ordering};

const ABSENT: u32 = 0;
const LOADING: u32 = 1;
const FRAME_0: u32 = 2;

/// A frame's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FrameId(pub(crate) u32);

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Residence {
    /// Not in memory.
    Absent,
    /// On its way into memory.
    Loading,
    /// In this frame.
    Present(FrameId),
}

/// The word of one page.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Entry(AtomicU32);

impl Entry {
    #[cfg(all(test, loom))]
    pub(crate) fn absent() -> Self {
        Self(AtomicU32::new(ABSENT))
    }

    /// Where the page is now.
    #[inline(always)]
    pub(crate) fn get(&self) -> Residence {
        // Acquire: pairs with the Release of `publish`: the frame's header is what the loader wrote.
        match self.0.load(Ordering::Acquire) {
            ABSENT => Residence::Absent,
            LOADING => Residence::Loading,
            word => Residence::Present(FrameId(word - FRAME_0)),
        }
    }

    /// absent → loading. Whether this thread won.
    #[must_use]
    pub(crate) fn begin_load(&self) -> bool {
        // Acquire: pairs with the Release of `evict` and `abandon`: the location that the evictor stored
        // is seen by the loader.
        self.0.compare_exchange(ABSENT, LOADING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// loading, or a new page's absent → present.
    pub(crate) fn publish(&self, frame: FrameId) {
        // Release: pairs with the Acquire of `get`.
        self.0.store(frame.0 + FRAME_0, Ordering::Release);
    }

    /// loading → absent, after a failed load.
    pub(crate) fn abandon(&self) {
        // Release: pairs with the Acquire of `begin_load`.
        self.0.store(ABSENT, Ordering::Release);
    }

    /// present → absent.
    pub(crate) fn evict(&self) {
        // Release: pairs with the Acquire of `begin_load`.
        self.0.store(ABSENT, Ordering::Release);
    }
}

/// Where the newest written version of a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Location {
    /// Slot in the data file; 0 is none.
    pub(crate) slot: u32,
    /// CRC32C of the page's bytes.
    pub(crate) checksum: u32,
}

impl Location {
    pub(crate) const NONE: Location = Location { slot: 0, checksum: 0 };

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, checksum: (bits >> 32) as u32 }
    }

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.slot) | u64::from(self.checksum) << 32
    }
}

/// Both arrays, translation and location, indexed by page id.
#[derive(Debug)]
pub(crate) struct PageTable {
    entries: Arena,
    locations: Arena,
    /// Ids below it have words (TR3).
    committed: AtomicU32,
    pages_max: u32,
}

/// Memory that one page costs in both arrays, in bytes.
pub(crate) const PAGE_TABLE_BYTES_PER_PAGE: usize = 12;
/// The page table grows by at least this many pages.
pub(crate) const TABLE_STEP: u32 = 1024;

/// What a page table takes that is made for ids below `pages`, and never grows, in bytes.
pub(crate) fn page_table_bytes(pages: u32) -> usize {
    (pages.max(1) as usize).next_multiple_of(TABLE_STEP as usize) * PAGE_TABLE_BYTES_PER_PAGE
}

impl PageTable {
    /// Reserves address space for `pages_max` pages, or for fewer where the system grants less.
    pub(crate) fn reserve(pages_max: u32, huge_pages: bool) -> Result<Self> {
        let mut pages_max = pages_max;
        loop {
            let reserve = |bytes_per_page: usize| {
                Arena::reserve(ArenaOptions {
                    reserve_bytes: pages_max as usize * bytes_per_page,
                    huge_pages,
                })
            };
            match (reserve(4), reserve(8)) {
                (Ok(entries), Ok(locations)) => {
                    return Ok(Self { entries, locations, committed: AtomicU32::new(0), pages_max });
                }
                (Err(cause), _) | (_, Err(cause)) if pages_max < 1 << 16 => {
                    return Err(Error::Memory { what: "the page table", cause: cause.to_string() });
                }
                _ => pages_max /= 2,
            }
        }
    }

    /// Ids below it have words.
    #[inline(always)]
    pub(crate) fn committed(&self) -> u32 {
        // Acquire: pairs with the Release of `commit`.
        self.committed.load(Ordering::Acquire)
    }

    /// Most pages that there can be.
    pub(crate) fn pages_max(&self) -> u32 {
        self.pages_max
    }

    /// Makes words for ids below `pages`. One thread at a time.
    pub(crate) fn commit(&self, pages: u32) -> Result<()> {
        let failed =
            |cause: std::io::Error| Error::Memory { what: "the page table", cause: cause.to_string() };
        self.entries.commit(pages as usize * 4).map_err(failed)?;
        self.locations.commit(pages as usize * 8).map_err(failed)?;
        // Release: pairs with the Acquire of `committed`.
        self.committed.store(pages, Ordering::Release);
        Ok(())
    }

    /// The translation word of a page, if the id is in range.
    #[inline(always)]
    pub(crate) fn entry(&self, page: PageId) -> Option<&Entry> {
        if page.0 >= self.committed() {
            return None;
        }
        // SAFETY: TR3 and the bound above; zeroed memory is a valid `Entry`.
        Some(unsafe { &*self.entries.base().as_ptr().cast::<Entry>().add(page.0 as usize) })
    }

    fn location_word(&self, page: PageId) -> Option<&AtomicU64> {
        if page.0 >= self.committed() {
            return None;
        }
        // SAFETY: TR3 and the bound above; zeroed memory is a valid `AtomicU64`.
        Some(unsafe { &*self.locations.base().as_ptr().cast::<AtomicU64>().add(page.0 as usize) })
    }

    /// Where the page's newest written version lies.
    pub(crate) fn location(&self, page: PageId) -> Location {
        // Acquire: pairs with the Release of `set_location`, for readers that hold no latch (verify).
        self.location_word(page)
            .map_or(Location::NONE, |word| Location::from_bits(word.load(Ordering::Acquire)))
    }

    /// Notes where the page's newest written version lies. The page is latched exclusively, loading, or not yet known.
    pub(crate) fn set_location(&self, page: PageId, location: Location) {
        let word = self.location_word(page).expect("TR3: the page has words");
        // Release: pairs with the Acquire of `location`.
        word.store(location.to_bits(), Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
