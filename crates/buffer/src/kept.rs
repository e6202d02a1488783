//! Checkpoints that are kept: as long as one is, none of its slots is given away, whatever checkpoints come after it.
//!
//! # Invariants
//!
//! - **KC1** A checkpoint is kept while no other is under way, so it is the durable one, and what it refers to is in use. Its
//!   holder notes which slots are in use then; they are a superset of what it refers to.
//! - **KC2** A slot that a later checkpoint supersedes goes to a holder that has noted it, and only if there is none is it free.
//!   When a holder goes, its slots go to another that has noted them, or are free.
//! - **KC3** With KC2 no slot of a kept checkpoint is written (E3 for each of them), and no slot is freed twice: a superseded one
//!   is in one holder's list or in none.

mod reading;

pub use reading::READING_ACCOUNT;

use crate::file::DataFile;
use crate::pager::Pager;
use crate::{Result, Superblock};
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_pools::Reservation;
use aquifer_sync::Arc;

/// All holders of kept checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    list: Vec<Holder>,
    next_id: u64,
}

#[derive(Debug)]
struct Holder {
    id: u64,
    /// KC1: one bit a slot.
    used: Vec<u64>,
    /// Of these, the slots that wait for it to go.
    superseded: Vec<u64>,
    superseded_count: u64,
    _memory: Reservation,
}

impl Holder {
    /// Takes charge of a superseded slot, if it has noted it.
    fn take(&mut self, slot: u32) -> bool {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        let noted = self.used.get(word).is_some_and(|used| used & bit != 0);
        if noted {
            debug_assert!(self.superseded[word] & bit == 0, "KC3: slot {slot} superseded twice");
            self.superseded[word] |= bit;
            self.superseded_count += 1;
        }
        noted
    }

    fn superseded(&self) -> impl Iterator<Item = u32> {
        self.superseded.iter().enumerate().flat_map(|(index, &word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index as u32 * 64 + bit)
        })
    }
}

impl Holders {
    /// KC2: what nobody holds is returned.
    fn sort(&mut self, slots: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut free = Vec::new();
        for slot in slots {
            if !self.list.iter_mut().any(|holder| holder.take(slot)) {
                free.push(slot);
            }
        }
        free
    }

    /// How many slots wait for a holder to go.
    pub(crate) fn superseded_count(&self) -> u64 {
        self.list.iter().map(|holder| holder.superseded_count).sum() // KC3: each is in one list
    }

    fn remove(&mut self, id: u64) -> Vec<u32> {
        let Some(index) = self.list.iter().position(|holder| holder.id == id) else { return Vec::new() };
        let gone = self.list.swap_remove(index);
        self.sort(gone.superseded())
    }
}

/// A durable checkpoint that stays readable until this is dropped. Costs two bits of memory for every slot of the data file, and
/// the space of what changes meanwhile.
#[derive(Debug)]
pub struct KeptCheckpoint {
    pager: Arc<Pager>,
    superblock: Superblock,
    id: u64,
}

impl KeptCheckpoint {
    /// What the checkpoint's superblock says.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    pub(crate) fn file(&self) -> &DataFile {
        self.pager.file.as_ref().expect("a database in memory keeps no checkpoints")
    }
}

impl Drop for KeptCheckpoint {
    fn drop(&mut self) {
        let free = self.pager.kept.lock().remove(self.id);
        self.pager.free_slots(&free);
    }
}

impl Pager {
    /// Keeps the newest durable checkpoint. To be called while none is under way (KC1): the caller sees to that, as it does for
    /// [`flip`](Self::flip).
    ///
    /// # Errors
    ///
    /// The budget's.
    ///
    /// # Panics
    ///
    /// If the database is in memory alone.
    pub fn keep_checkpoint(pager: &Arc<Pager>) -> Result<KeptCheckpoint> {
        assert!(pager.file.is_some(), "a database in memory keeps no checkpoints");
        let superblock = *pager.superblock.lock();
        let used = pager.lock_space().used_bits();
        let superseded = vec![0; used.len()];
        let memory = pager.reserve_from_frames("kept checkpoints", 2 * size_of_val(&used[..]))?;
        let mut kept = pager.kept.lock();
        kept.next_id += 1;
        let id = kept.next_id;
        kept.list.push(Holder { id, used, superseded, superseded_count: 0, _memory: memory });
        Ok(KeptCheckpoint { pager: Arc::clone(pager), superblock, id })
    }

    /// Frees slots that only checkpoints before the newest refer to, unless one of those is kept (KC2).
    pub(crate) fn free_superseded(&self, slots: &[u32]) {
        if sabotage::is(Sabotage::ForgetKept) {
            return self.free_slots(slots);
        }
        let free = self.kept.lock().sort(slots.iter().copied());
        self.free_slots(&free);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
