//! What the tests of this folder share: an index in memory, and hash functions that are hard on it.

use super::{CheckReport, HashIndex};
use crate::PointReads;
use crate::btree::test_tree::change;
use aquifer_buffer::{Pager, PagerOptions};
use aquifer_pools::Budget;
use aquifer_sync::Arc;

/// An index and its pager.
pub(crate) struct TestIndex {
    pub(crate) pager: Arc<Pager>,
    pub(crate) index: HashIndex,
}

pub(crate) const TABLE: u32 = 7;
pub(crate) const SEED: u64 = 0x5EED;

impl TestIndex {
    pub(crate) fn in_memory(page_bytes: usize) -> Self {
        let budget = Budget::new(64 << 20);
        Self::on(Pager::in_memory(PagerOptions { page_bytes, budget }).unwrap(), u64::MAX)
    }

    /// With a hash function of which only these bits are left.
    pub(crate) fn with_mask(page_bytes: usize, mask: u64) -> Self {
        let budget = Budget::new(64 << 20);
        Self::on(Pager::in_memory(PagerOptions { page_bytes, budget }).unwrap(), mask)
    }

    pub(crate) fn on(pager: Arc<Pager>, mask: u64) -> Self {
        let mut index = change(&pager, |m| HashIndex::create(m, TABLE, SEED));
        index.hasher.mask = mask;
        Self { pager, index }
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        change(&self.pager, |m| {
            self.index.place(m, &self.pager, key, value.len()).map(|place| place.put(value, 1))
        });
    }

    /// Removes a record; says what its value was.
    pub(crate) fn remove(&self, key: &[u8]) -> Option<Vec<u8>> {
        change(&self.pager, |m| {
            let Some(place) = self.index.place_existing(m, &self.pager, key)? else { return Ok(None) };
            let old = place.old().map(|old| old.bytes.to_vec());
            place.remove(1);
            Ok(old)
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"what was there before".to_vec();
        self.index.get_into(&self.pager, key, &mut out).unwrap().then_some(out)
    }

    /// All records, in the order in which a cursor gives them.
    pub(crate) fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = self.index.cursor(&self.pager);
        let mut all = Vec::new();
        while let Some((key, value)) = cursor.next().unwrap() {
            all.push((key.to_vec(), value.to_vec()));
        }
        all
    }

    /// Checks the whole index.
    pub(crate) fn check(&self) -> CheckReport {
        let report = self.index.check(&self.pager, &mut |_| ()).unwrap();
        assert_eq!(report.faults, []);
        report
    }
}
