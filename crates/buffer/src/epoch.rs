//! What was written in which epoch, and the copies that writers hand to the checkpoint.
//!
//! # Invariants
//!
//! - **E4** A slot first used in an epoch and superseded in the same epoch is free at once: no durable checkpoint can
//!   refer to it. It shows as a record that replaces a record of the same list.
//! - **E5** A freed page is a record too, of no slot.
//! - **E6** A write of a page dirty in epoch e is recorded in the list of e, whatever the epoch is by then.
//! - **EP1** While a checkpoint is being written, `old` holds all records of epochs before its flip, and nothing else.

use crate::PageId;
use crate::translation::Location;
use ahash::AHashMap;
use aquifer_sync::{Condvar, Mutex, Rank};
use std::time::Duration;

/// Written versions by epoch, and copies. See the module's head.
#[derive(Debug)]
pub(crate) struct Epochs {
    records: Mutex<Records>,
    copies: Mutex<Copies>,
    taken: Condvar,
    copies_max: usize,
}

#[derive(Debug)]
struct Records {
    /// The epoch now.
    current: u64,
    old: AHashMap<PageId, Location>,
    new: AHashMap<PageId, Location>,
}

#[derive(Debug, Default)]
struct Copies {
    waiting: Vec<(PageId, Box<[u8]>)>,
}

impl Epochs {
    /// The first epoch; at most `copies_max` copies wait for the checkpoint at a time.
    pub(crate) fn new(copies_max: usize) -> Self {
        Self {
            records: Mutex::new(
                Rank::Epoch,
                Records { current: 1, old: AHashMap::default(), new: AHashMap::default() },
            ),
            copies: Mutex::new(Rank::Epoch, Copies::default()),
            taken: Condvar::new(),
            copies_max,
        }
    }

    /// Records that a page dirty in `epoch` now lies at `location`. Returns a slot that is free at once (E4).
    #[must_use]
    pub(crate) fn record(&self, epoch: u64, page: PageId, location: Location) -> Option<u32> {
        let mut records = self.records.lock();
        let list = if epoch < records.current { &mut records.old } else { &mut records.new };
        superseded(list.insert(page, location))
    }

    /// Begins epoch `current`: all records so far are old. Returns slots that are free at once: those of an attempt that
    /// failed whose pages have been written again since (E4: no checkpoint refers to either).
    #[must_use]
    pub(crate) fn flip(&self, current: u64) -> Vec<u32> {
        // Copies of an attempt that failed: their pages are dirty in a later epoch, which this one covers.
        self.copies.lock().waiting.clear();
        let mut records = self.records.lock();
        records.current = current;
        let new = std::mem::take(&mut records.new);
        if records.old.is_empty() {
            records.old = new;
            return Vec::new();
        }
        new.into_iter()
            .filter_map(|(page, location)| superseded(records.old.insert(page, location)))
            .collect()
    }

    /// Has a version of the page been written that no durable checkpoint has?
    pub(crate) fn wrote(&self, page: PageId) -> bool {
        let records = self.records.lock();
        records.old.contains_key(&page) || records.new.contains_key(&page)
    }

    /// The records of the checkpoint under way, ascending by page.
    pub(crate) fn old_records(&self) -> Vec<(PageId, Location)> {
        let mut list: Vec<_> = self.records.lock().old.iter().map(|(&page, &at)| (page, at)).collect();
        list.sort_unstable_by_key(|&(page, _)| page);
        list
    }

    /// The checkpoint is durable: its records are in the page map.
    pub(crate) fn forget_old(&self) {
        self.records.lock().old = AHashMap::default();
    }

    /// Records in both lists.
    pub(crate) fn records(&self) -> usize {
        let records = self.records.lock();
        records.old.len() + records.new.len()
    }

    /// Hands a copy to the checkpoint under way. Whether there was room.
    #[must_use]
    pub(crate) fn push_copy(&self, page: PageId, bytes: &[u8]) -> bool {
        let mut copies = self.copies.lock();
        let room = copies.waiting.len() < self.copies_max;
        if room {
            copies.waiting.push((page, bytes.into()));
        }
        room
    }

    /// Up to `most` copies, for writing.
    pub(crate) fn take_copies(&self, most: usize) -> Vec<(PageId, Box<[u8]>)> {
        let mut copies = self.copies.lock();
        let keep = copies.waiting.len().saturating_sub(most);
        let taken = copies.waiting.split_off(keep);
        drop(copies);
        self.taken.notify_all();
        taken
    }

    /// Waits a moment for room for copies; returns early when the checkpoint has taken some.
    pub(crate) fn wait_for_copy_room(&self, timeout: Duration) {
        let copies = self.copies.lock();
        if copies.waiting.len() >= self.copies_max {
            drop(self.taken.wait_timeout(copies, timeout));
        }
    }
}

fn superseded(before: Option<Location>) -> Option<u32> {
    before.map(|location| location.slot).filter(|&slot| slot != 0)
}
