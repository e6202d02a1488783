//! Counters of a log. They order nothing, hence Relaxed throughout.

use aquifer_sync::atomic::{AtomicU64, Ordering};

/// See [`LogStats`](crate::LogStats) for what they mean.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    written_bytes: AtomicU64,
    header_bytes: AtomicU64,
    padding_bytes: AtomicU64,
    flushes: AtomicU64,
    syncs: AtomicU64,
}

impl Counters {
    /// A batch was written, durably if `through`.
    pub(crate) fn flushed(&self, written: u64, header: u64, records: u64, through: bool) {
        self.written_bytes.fetch_add(written, Ordering::Relaxed);
        self.header_bytes.fetch_add(header, Ordering::Relaxed);
        self.padding_bytes.fetch_add(written - header - records, Ordering::Relaxed);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(u64::from(through), Ordering::Relaxed);
    }

    /// A file was synced.
    pub(crate) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the counters into `stats`.
    pub(crate) fn read_into(&self, stats: &mut crate::LogStats) {
        stats.written_bytes = self.written_bytes.load(Ordering::Relaxed);
        stats.header_bytes = self.header_bytes.load(Ordering::Relaxed);
        stats.padding_bytes = self.padding_bytes.load(Ordering::Relaxed);
        stats.flushes = self.flushes.load(Ordering::Relaxed);
        stats.syncs = self.syncs.load(Ordering::Relaxed);
    }
}
