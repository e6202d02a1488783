//! What commits of several changes need beside the batch (CB4 of `commit_batch`).

use crate::batch::WriteBatch;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::transactions::Charge;
use aquifer_sync::{Condvar, Mutex, Rank};

/// What the commit of a large value takes: descriptor and manifest, twice.
pub(super) const LARGE_ENTRY_BYTES: usize = 8 << 10;
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
    _long: Option<Charge>,
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
            let mut long = Charge::new(&engine.txns.long_commits, "long commits");
            long.cover(engine, bytes)?;
            return Ok(CommitShare { memory: self, bytes: 0, _long: Some(long) });
        }
        let mut free = self.free.lock();
        while *free < bytes {
            free = self.given_back.wait(free);
        }
        *free -= bytes;
        Ok(CommitShare { memory: self, bytes, _long: None })
    }
}

impl Drop for CommitShare<'_> {
    fn drop(&mut self) {
        *self.memory.free.lock() += self.bytes;
        self.memory.given_back.notify_all();
    }
}

/// What a batch puts into log and leaves. The record and the old values are about as long; order and locks come in addition.
pub(super) fn small_bytes(batch: &WriteBatch) -> usize {
    let large = batch.entries.iter().filter(|entry| batch.is_large(entry));
    let (count, bytes) = large
        .fold((0, 0), |(count, bytes), entry| (count + 1, bytes + batch.value(entry).map_or(0, <[u8]>::len)));
    batch.bytes() - bytes + count * LARGE_ENTRY_BYTES
}
