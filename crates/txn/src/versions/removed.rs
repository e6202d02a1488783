//! Keys that are no longer in the store, and that a snapshot may still have to find: an ordered set for each table.
//!
//! Only deletes enter keys here, so tables without deletes cost nothing. Tables are spread over a few parts, so that
//! deletes in different tables do not wait for each other; those in one table take one lock.
//!
//! # Invariants
//!
//! - **RE1** `listings` rises under the lock after the key is in the set, and before the store loses the key. So a scan that
//!   missed the key in the store, and finds `listings` as it was, missed nothing.

use crate::key::{Direction, KeyRange};
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::{Mutex, Rank};
use std::collections::{BTreeMap, BTreeSet};

const PARTS: usize = if cfg!(loom) { 1 } else { 16 };

/// See the module's head.
#[derive(Debug)]
pub(super) struct Removed {
    parts: Box<[Part]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Part {
    listings: AtomicU64,
    tables: Mutex<BTreeMap<u32, BTreeSet<Box<[u8]>>>>,
}

impl Removed {
    pub(super) fn new() -> Removed {
        let part = || Part { listings: AtomicU64::new(0), tables: Mutex::new(Rank::Leaf, BTreeMap::new()) };
        Removed { parts: (0..PARTS).map(|_| part()).collect() }
    }

    pub(super) fn insert(&self, table: u32, key: &[u8]) {
        let part = self.part(table);
        let mut tables = part.tables.lock();
        tables.entry(table).or_default().insert(key.into());
        // Release: pairs with the Acquire in `listings` (RE1). Only we write, under the lock.
        part.listings.fetch_add(1, Ordering::Release);
    }

    pub(super) fn remove(&self, table: u32, key: &[u8]) {
        let mut tables = self.part(table).tables.lock();
        if let Some(keys) = tables.get_mut(&table) {
            keys.remove(key);
            if keys.is_empty() {
                tables.remove(&table);
            }
        }
    }

    #[inline]
    pub(super) fn listings(&self, table: u32) -> u64 {
        // Acquire: pairs with the Release in `insert` (RE1).
        self.part(table).listings.load(Ordering::Acquire)
    }

    pub(super) fn next(&self, table: u32, range: &KeyRange, direction: Direction) -> Option<Vec<u8>> {
        let tables = self.part(table).tables.lock();
        let mut keys = tables.get(&table)?.range::<[u8], _>(range.bounds());
        let key = match direction {
            Direction::Forward => keys.next(),
            Direction::Backward => keys.next_back(),
        };
        key.map(|key| key.to_vec())
    }

    fn part(&self, table: u32) -> &Part {
        &self.parts[table as usize % PARTS]
    }
}
