//! A store in memory, for examples, for tests, and as a bound on what a benchmark itself costs.
//!
//! 1. One map under one lock: writers wait for readers. It is simple, not fast with threads.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{BoxError, Counters, Description, Durability, Session, Store};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A [`Store`] that is a `BTreeMap`; nothing in it is durable.
#[derive(Debug, Default)]
pub struct MapStore {
    map: RwLock<Map>,
}

impl MapStore {
    /// An empty one.
    pub fn new() -> MapStore {
        MapStore::default()
    }

    // A thread that panicked in a call of the map has not left it half changed.

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MapStore {
    type Session<'s> = &'s MapStore;

    fn session(&self, _durability: Durability) -> &MapStore {
        self
    }

    fn description(&self) -> Description {
        Description {
            engine: "map".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            kind: "sorted".into(),
            backend: "memory".into(),
        }
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn sync(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl Session for &MapStore {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        out.clear();
        let map = self.read();
        let value = map.get(key);
        out.extend_from_slice(value.map_or(&[], Vec::as_slice));
        Ok(value.is_some())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.write_batch(&[(key, value)])
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        self.write().remove(key);
        Ok(())
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        let records = records.iter().map(|(key, value)| (key.to_vec(), value.to_vec()));
        self.write().extend(records);
        Ok(())
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        let map = self.read();
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let bounds = if reverse { (Bound::Unbounded, from) } else { (from, Bound::Unbounded) };
        let mut range = map.range::<[u8], _>(bounds);
        let mut count = 0;
        while count < limit {
            let record = if reverse { range.next_back() } else { range.next() };
            let Some((key, value)) = record else { break };
            visit(key, value);
            count += 1;
        }
        Ok(count)
    }
}
