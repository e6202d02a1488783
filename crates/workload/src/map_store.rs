//! A store in memory, for examples, for tests, and as a bound on what a benchmark itself costs.
//!
//! 1. One map under one lock: writers wait for readers. It is simple, not fast with threads.
//! 2. A snapshot is a copy of the map.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::store::Change;
use crate::{BoxError, Counters, Description, Durability, Isolation, Session, Store};

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
    type Session<'s> = MapSession<'s>;

    fn session(&self, _durability: Durability) -> MapSession<'_> {
        MapSession { store: self, held: None }
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

/// A thread's way into a [`MapStore`].
#[derive(Debug)]
pub struct MapSession<'s> {
    store: &'s MapStore,
    held: Option<Map>,
}

impl Session for MapSession<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        out.clear();
        let map = self.store.read();
        let value = map.get(key);
        out.extend_from_slice(value.map_or(&[], Vec::as_slice));
        Ok(value.is_some())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.write_batch(&[(key, value)])
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        self.store.write().remove(key);
        Ok(())
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        let records = records.iter().map(|(key, value)| (key.to_vec(), value.to_vec()));
        self.store.write().extend(records);
        Ok(())
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        let map = self.store.read();
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

    fn read_modify_write(
        &mut self,
        _isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let mut map = self.store.write();
        for (place, &key) in keys.iter().enumerate() {
            change(place, map.entry(key.to_vec()).or_default());
        }
        Ok(0)
    }

    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        self.held = Some(self.store.read().clone());
        Ok(())
    }

    fn release_snapshot(&mut self) {
        self.held = None;
    }

    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let value = self.held.as_ref().ok_or("no snapshot is held")?.get(key);
        out.clear();
        out.extend_from_slice(value.map_or(&[], Vec::as_slice));
        Ok(value.is_some())
    }
}
