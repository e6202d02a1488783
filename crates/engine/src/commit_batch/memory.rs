//! What commits of several changes need beside the batch (CB4 of `commit_batch`).

use crate::engine::Engine;
use crate::error::{Error, Result};
use aquifer_pools::Reservation;
use aquifer_sync::{Condvar, Mutex, Rank};

/// Memory set aside for batches being committed (CB4).
#[derive(Debug)]
pub(crate) struct CommitMemory {
    bytes: usize,
    bytes_max: usize,
    pub(super) free: Mutex<usize>,
    given_back: Condvar,
}

/// A share of it.
#[derive(Debug)]
pub(crate) struct CommitShare<'m> {
    memory: &'m CommitMemory,
    pub(super) bytes: usize,
    _from_frames: Option<Reservation>,
}

impl CommitMemory {
    pub(crate) fn new(bytes: usize, bytes_max: usize) -> CommitMemory {
        CommitMemory { bytes, bytes_max, free: Mutex::new(Rank::Leaf, bytes), given_back: Condvar::new() }
    }

    pub(super) fn take(&self, engine: &Engine, bytes: usize) -> Result<CommitShare<'_>> {
        if bytes > self.bytes_max {
            return Err(Error::TransactionTooLarge { bytes, bytes_max: self.bytes_max });
        }
        if bytes > self.bytes {
            let from_frames = engine.pager.reserve_from_frames("long commits", bytes)?;
            return Ok(CommitShare { memory: self, bytes: 0, _from_frames: Some(from_frames) });
        }
        let mut free = self.free.lock();
        while *free < bytes {
            free = self.given_back.wait(free);
        }
        *free -= bytes;
        Ok(CommitShare { memory: self, bytes, _from_frames: None })
    }
}

impl Drop for CommitShare<'_> {
    fn drop(&mut self) {
        *self.memory.free.lock() += self.bytes;
        self.memory.given_back.notify_all();
    }
}
