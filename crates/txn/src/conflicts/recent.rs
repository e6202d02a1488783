//! Keys that visible commits wrote: for each the newest LSN, in order, so that keys and ranges are looked up without walking through
//! the commits.
//!
//! Of several commits that wrote a key, only the newest counts: a watcher conflicts with any of them if with the newest, as
//! all are visible and so below its place in the order.

use super::WriteKeys;
use crate::error::{Error, Result};
use crate::key::{CommitLsn, KeyRange};
use crate::reads::ReadSet;
use std::collections::BTreeMap;

/// Bytes that an entry takes beside its key, about.
const ENTRY_BYTES: usize = 64;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Recent {
    keys: BTreeMap<u32, BTreeMap<Box<[u8]>, CommitLsn>>,
    ranges: Vec<(u32, KeyRange, CommitLsn)>,
    bytes: usize,
    /// Bytes that the last `forget_through` has left.
    left_bytes: usize,
    newest: CommitLsn,
}

impl Recent {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest LSN that was added.
    pub(super) fn newest(&self) -> CommitLsn {
        self.newest
    }

    /// Whether it is twice what it was: time to forget, at a constant cost on average.
    pub(super) fn is_overgrown(&self) -> bool {
        self.bytes > 2 * self.left_bytes + (64 << 10)
    }

    pub(super) fn add(&mut self, written: &WriteKeys, lsn: CommitLsn) {
        self.newest = self.newest.max(lsn);
        for (table, key) in &written.keys {
            let newest = self.keys.entry(*table).or_default().entry(key.clone()).or_insert_with(|| {
                self.bytes += ENTRY_BYTES + key.len();
                lsn
            });
            *newest = lsn.max(*newest);
        }
        for (table, range) in &written.ranges {
            self.bytes += ENTRY_BYTES + range.bytes();
            self.ranges.push((*table, range.clone(), lsn));
        }
    }

    /// Forgets what has an LSN up to this.
    pub(super) fn forget_through(&mut self, lsn: CommitLsn) {
        for keys in self.keys.values_mut() {
            keys.retain(|key, newest| {
                let stays = *newest > lsn;
                self.bytes -= if stays { 0 } else { ENTRY_BYTES + key.len() };
                stays
            });
        }
        self.keys.retain(|_, keys| !keys.is_empty());
        self.ranges.retain(|(_, range, newest)| {
            let stays = *newest > lsn;
            self.bytes -= if stays { 0 } else { ENTRY_BYTES + range.bytes() };
            stays
        });
        self.left_bytes = self.bytes;
    }

    /// Refuses if any of what was read was written after the snapshot.
    pub(super) fn check(&self, reads: &ReadSet, snapshot: CommitLsn) -> Result<()> {
        let conflict = |table: u32, key: &[u8]| Err(Error::Conflict { table, key: key.to_vec() });
        for (table, key) in reads.keys() {
            if self.keys.get(&table).and_then(|keys| keys.get(key)).is_some_and(|&lsn| lsn > snapshot) {
                return conflict(table, key);
            }
        }
        for (table, range) in reads.ranges() {
            let Some(keys) = self.keys.get(&table) else { continue };
            let mut inside = keys.range::<[u8], _>(range.bounds());
            if let Some((key, _)) = inside.find(|&(_, &lsn)| lsn > snapshot) {
                return conflict(table, key);
            }
        }
        for (table, range, _) in self.ranges.iter().filter(|(_, _, lsn)| *lsn > snapshot) {
            if let Some(key) = reads.any_within(*table, range) {
                return conflict(*table, key);
            }
        }
        Ok(())
    }
}
