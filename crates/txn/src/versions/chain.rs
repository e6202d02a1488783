//! The versions of one key.
//!
//! Obeys VE1, VE2 and VE7 of `versions`: each version serves the snapshots from the LSN of the next older one up to its own.

use super::before::Before;
use super::{AsOf, Change};
use crate::key::CommitLsn;
use crate::snapshots::Census;

/// Bytes that a chain takes beside its key and the values, about: itself, its place in the hash table, allocations.
const CHAIN_BYTES: usize = 128;

/// The versions of one key, oldest first.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) table: u32,
    pub(super) key: Box<[u8]>,
    pub(super) hash: u64,
    /// Whether the key is in the set of removed ones.
    pub(super) listed: bool,
    versions: Vec<Version>,
    /// Versions that were left by the last cut.
    kept: usize,
}

#[derive(Debug)]
struct Version {
    lsn: CommitLsn,
    before: Before,
    /// VE7.
    merges: bool,
}

impl Chain {
    pub(super) fn new(table: u32, key: &[u8], hash: u64) -> Chain {
        Chain { table, key: key.into(), hash, listed: false, versions: Vec::with_capacity(1), kept: 0 }
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        CHAIN_BYTES + self.key.len() + self.versions.iter().map(Version::bytes).sum::<usize>()
    }

    pub(super) fn len(&self) -> usize {
        self.versions.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Bytes that it grew by.
    pub(super) fn push(&mut self, change: Change) -> usize {
        let newest = self.newest();
        assert!(change.lsn > newest, "VE1: {:?} pushed after {newest:?} of the same key", change.lsn);
        let version = Version { lsn: change.lsn, before: change.before, merges: change.merges };
        let bytes = version.bytes();
        self.versions.push(version);
        bytes
    }

    /// The newest change.
    pub(super) fn newest(&self) -> CommitLsn {
        self.versions.last().map_or(CommitLsn(0), |version| version.lsn)
    }

    /// Whether anything but merges has changed it since (VE7).
    pub(super) fn is_overwritten_after(&self, snapshot: CommitLsn) -> bool {
        self.versions.iter().rev().take_while(|version| version.lsn > snapshot).any(|version| !version.merges)
    }

    /// Whether it has so many versions more than needed that cutting pays: twice as many as were left by the last
    /// time, so that a push costs a constant on average.
    pub(super) fn is_overgrown(&self) -> bool {
        self.versions.len() > 2 * self.kept + 2
    }

    /// The value at a snapshot.
    pub(super) fn value_as_of(&self, snapshot: CommitLsn, current: Option<&[u8]>) -> AsOf {
        let first = self.versions.partition_point(|version| version.lsn <= snapshot);
        let newer = &self.versions[first..];
        if newer.is_empty() {
            return AsOf::Current;
        }
        // From the oldest whole image that all older ones lead back from, or from the store.
        let whole = newer.iter().position(|version| !matches!(version.before, Before::Patch(_)));
        let mut value = if whole.is_none() { current.map(<[u8]>::to_vec) } else { None };
        let steps = whole.map_or(newer.len(), |whole| whole + 1);
        for version in newer[..steps].iter().rev() {
            version.before.step_back(&mut value);
        }
        value.map_or(AsOf::Absent, AsOf::Value)
    }

    /// Removes what no snapshot needs (VE2). Whether there was anything.
    pub(super) fn cut(&mut self, census: &Census) -> bool {
        let mut from = CommitLsn(0);
        let needless = self.versions.iter().filter(|version| {
            let needed = census.any_within(from, version.lsn);
            from = version.lsn;
            !needed
        });
        if needless.count() == 0 {
            self.kept = self.versions.len();
            return false;
        }
        let mut from = CommitLsn(0);
        for version in std::mem::take(&mut self.versions) {
            let lsn = version.lsn;
            if census.any_within(from, lsn) {
                self.versions.push(version);
            } else if let Some(older) = self.versions.last_mut() {
                older.before.absorb(version.before);
                older.merges &= version.merges; // VE7
            }
            from = lsn;
        }
        self.kept = self.versions.len();
        true
    }

    /// Adds the bytes of each version to the newest snapshot that needs it; the rest of the chain goes with the last version.
    pub(super) fn add_needed(&self, census: &Census, needed: &mut [usize]) {
        let mut from = CommitLsn(0);
        let mut last = None;
        for version in &self.versions {
            if census.is_open_below(version.lsn) {
                return; // snapshots to come may need this one, and so the chain
            }
            if let Some(newest) = census.newest_within(from, version.lsn) {
                needed[newest] += version.bytes();
                last = Some(newest);
            }
            from = version.lsn;
        }
        if let Some(last) = last {
            needed[last] += CHAIN_BYTES + self.key.len();
        }
    }
}

impl Version {
    fn bytes(&self) -> usize {
        size_of::<Version>() + self.before.bytes()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
