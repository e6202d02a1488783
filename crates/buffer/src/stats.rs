//! Counters of a pager. They are touched where a page misses, is first changed, or is written, never on the way of a hit.

use aquifer_sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A pager's counters, since opening unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PagerStats {
    /// Frames that have memory.
    pub frames: u64,
    /// Of these, free.
    pub frames_free: u64,
    /// Changes of a clean page since the last flip: a bound on the distinct pages that replay would touch.
    pub pages_dirtied: u64,
    /// Pages that exist.
    pub pages: u64,
    /// Pages read from disk.
    pub loads: u64,
    /// Frames given to another page.
    pub evictions: u64,
    /// Pages written by eviction.
    pub eviction_writes: u64,
    /// Pages written by checkpoints.
    pub checkpoint_writes: u64,
    /// Bytes written to the data file: pages, map, superblocks.
    pub written_bytes: u64,
    /// Pages copied for a checkpoint because a writer came first.
    pub page_copies: u64,
    /// Waits for a page or a frame inside the gate: the exception to the rule that nobody waits there.
    pub waits_inside_gate: u64,
    /// Versions written in epochs that no durable checkpoint covers yet.
    pub epoch_records: u64,
    /// Pages of large values that are gone; their space comes back after the next checkpoint.
    pub pages_waiting: u64,
    /// Checkpoints made durable.
    pub checkpoints: u64,
    /// Longest time that a flip held the gate closed, in microseconds.
    pub pause_max_us: u64,
    /// Sum of those times, in microseconds.
    pub pause_total_us: u64,
    /// Length of the data file in bytes.
    pub file_bytes: u64,
    /// Bytes of slots in use.
    pub used_bytes: u64,
    /// Of these, bytes that only kept checkpoints need: those of open checkpoint snapshots, and of a backup under way.
    pub kept_bytes: u64,
}

/// The live counters. All relaxed: each stands for itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    dirtied: AtomicU64,
    loads: AtomicU64,
    evictions: AtomicU64,
    eviction_writes: AtomicU64,
    checkpoint_writes: AtomicU64,
    copies: AtomicU64,
    gate_waits: AtomicU64,
    checkpoints: AtomicU64,
    pause_max_us: AtomicU64,
    pause_total_us: AtomicU64,
}

impl Counters {
    pub(crate) fn page_dirtied(&self) {
        self.dirtied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dirtied(&self) -> u64 {
        self.dirtied.load(Ordering::Relaxed)
    }

    pub(crate) fn page_copied(&self) {
        self.copies.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn loaded(&self, pages: usize) {
        self.loads.fetch_add(pages as u64, Ordering::Relaxed);
    }

    pub(crate) fn evicted(&self, frames: usize) {
        self.evictions.fetch_add(frames as u64, Ordering::Relaxed);
    }

    pub(crate) fn wrote_for_eviction(&self, pages: usize) {
        self.eviction_writes.fetch_add(pages as u64, Ordering::Relaxed);
    }

    pub(crate) fn wrote_for_checkpoint(&self, pages: usize) {
        self.checkpoint_writes.fetch_add(pages as u64, Ordering::Relaxed);
    }

    pub(crate) fn waited_inside_gate(&self) {
        self.gate_waits.fetch_add(1, Ordering::Relaxed);
    }

    /// While the gate is closed, so that no change after it is forgotten.
    pub(crate) fn epoch_began(&self) {
        self.dirtied.store(0, Ordering::Relaxed);
    }

    pub(crate) fn flipped(&self, pause: Duration) {
        self.pause_max_us.fetch_max(pause.as_micros() as u64, Ordering::Relaxed);
        self.pause_total_us.fetch_add(pause.as_micros() as u64, Ordering::Relaxed);
    }

    pub(crate) fn checkpointed(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters as far as they are kept here.
    pub(crate) fn snapshot(&self) -> PagerStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PagerStats {
            pages_dirtied: get(&self.dirtied),
            loads: get(&self.loads),
            evictions: get(&self.evictions),
            eviction_writes: get(&self.eviction_writes),
            checkpoint_writes: get(&self.checkpoint_writes),
            page_copies: get(&self.copies),
            waits_inside_gate: get(&self.gate_waits),
            checkpoints: get(&self.checkpoints),
            pause_max_us: get(&self.pause_max_us),
            pause_total_us: get(&self.pause_total_us),
            ..PagerStats::default()
        }
    }
}
