//! Every operation at random, by a clock set by hand, against maps from keys to values with the time at which they expire.
//!
//! The database is stepped, checkpointed, and lost with its power in between; snapshots and transactions keep the time at which they began.

use super::{by, clock, expiring, ms};
use crate::{KINDS, assert_clean};
use aquifer::{
    AnyTable, Clock, Database, Durability, ErrorKind, Expiry, Isolation, Snapshot, Transaction, TxOptions,
    WriteBatch,
};
use aquifer_sim::{Random, SimDisk};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

/// Values, and when they expire; 0 never.
type Rows = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// What a table should show at one moment.
#[derive(Clone, Default)]
struct Model {
    rows: Rows,
    now: u64,
}

impl Model {
    fn is_alive(&self, at: u64) -> bool {
        at == 0 || self.now < at
    }

    fn get(&self, key: &[u8]) -> Option<&(Vec<u8>, u64)> {
        self.rows.get(key).filter(|(_, at)| self.is_alive(*at))
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key).map(|(value, _)| value.clone())
    }

    fn put(&mut self, key: &[u8], value: &[u8], at: u64) {
        self.rows.insert(key.to_vec(), (value.to_vec(), at));
    }

    fn visible(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let alive = self.rows.iter().filter(|(_, (_, at))| self.is_alive(*at));
        alive.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    fn expiry(&self, key: &[u8]) -> Option<Expiry> {
        let (_, at) = self.get(key)?;
        Some(if *at == 0 { Expiry::Never } else { Expiry::At(ms(*at)) })
    }

    /// Appends, and leaves the expiry.
    fn append(&mut self, key: &[u8], bytes: &[u8], default: u64) {
        let (mut value, at) = self.get(key).cloned().unwrap_or((Vec::new(), default));
        value.extend_from_slice(bytes);
        self.put(key, &value, at);
    }

    /// Whether it fits.
    fn patch(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> bool {
        let Some((mut value, at)) = self.get(key).cloned() else { return false };
        let Some(range) = value.get_mut(offset..offset + bytes.len()) else { return false };
        range.copy_from_slice(bytes);
        self.put(key, &value, at);
        true
    }
}

struct World {
    clock: Clock,
    disk: SimDisk,
    db: Option<Database>,
    table: Option<AnyTable>,
    /// After which records expire that are put without saying when; 0 never.
    lifetime: u64,
    model: Model,
    random: Random,
}

impl World {
    fn new(seed: u64, kind: aquifer::TableKind) -> World {
        let (clock, disk) = (clock(), SimDisk::with_seed(seed));
        let db = by(&clock).disk(disk.disk()).create("").unwrap();
        let lifetime = if seed.is_multiple_of(2) { 0 } else { 40 };
        let table = expiring(&db, kind, (lifetime > 0).then(|| Duration::from_millis(lifetime)));
        let model = Model { now: 3_600_000, ..Model::default() };
        World { clock, disk, db: Some(db), table: Some(table), lifetime, model, random: Random(seed) }
    }

    fn db(&self) -> Database {
        self.db.clone().unwrap()
    }

    fn table(&self) -> AnyTable {
        self.table.clone().unwrap()
    }

    fn default_at(&self) -> u64 {
        if self.lifetime == 0 { 0 } else { self.model.now + self.lifetime }
    }

    fn key(&mut self) -> Vec<u8> {
        let n = self.random.below(16);
        let prefix: &[u8] = match n % 4 {
            0 => &[b'l'; 600],
            _ => b"",
        };
        [prefix, &[n as u8]].concat()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = match self.random.below(10) {
            0 => 4000 + self.random.below(20_000),
            1 => 1000 + self.random.below(40), // about where values get pages of their own
            _ => self.random.below(80),
        };
        vec![self.random.draw() as u8; len as usize]
    }

    fn time(&mut self) -> u64 {
        self.random.below(100)
    }

    fn advance(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.model.now += ms;
    }

    fn change(&mut self) {
        let (db, table) = (self.db(), self.table());
        let (key, value, time, default) = (self.key(), self.bytes(), self.time(), self.default_at());
        let now = self.model.now;
        let old = self.model.value(&key);
        match self.random.below(13) {
            0 | 1 => {
                table.put(&key, &value).unwrap();
                self.model.put(&key, &value, default);
            }
            2 | 3 => {
                table.put_for(&key, &value, Duration::from_millis(time)).unwrap();
                self.model.put(&key, &value, now + time);
            }
            4 => {
                let at = (now + time).saturating_sub(50);
                table.put_until(&key, &value, ms(at)).unwrap();
                self.model.put(&key, &value, at);
            }
            5 => {
                assert_eq!(table.replace(&key, &value).unwrap(), old);
                self.model.put(&key, &value, default);
            }
            6 => {
                assert_eq!(table.take(&key).unwrap(), old);
                self.model.rows.remove(&key);
            }
            7 => {
                let expected = if self.random.chance(70) { old.clone() } else { Some(value.clone()) };
                let swapped = table.compare_and_swap(&key, expected.as_ref().map(|v| &v[..]), Some(&value));
                assert_eq!(swapped.unwrap(), expected == old);
                if expected == old {
                    self.model.put(&key, &value, default);
                }
            }
            8 => {
                table.append(&key, &value).unwrap();
                self.model.append(&key, &value, default);
            }
            9 => {
                let offset = self.random.below(60);
                let fits = self.model.patch(&key, offset as usize, b"patch");
                let patched = table.patch(&key, offset, b"patch");
                assert_eq!(patched.map_err(|error| error.kind()), fits.then_some(()).ok_or(ErrorKind::Usage));
            }
            10 => {
                let mut batch = WriteBatch::new();
                for _ in 0..3 {
                    let (key, value, time) = (self.key(), self.bytes(), self.time());
                    batch.put_for(&table, &key, &value, Duration::from_millis(time));
                    self.model.put(&key, &value, now + time);
                }
                batch.put(&table, &key, &value);
                self.model.put(&key, &value, default);
                let key = self.key();
                batch.delete(&table, &key);
                self.model.rows.remove(&key);
                db.write(&mut batch, Durability::Eventual).unwrap();
            }
            11 => {
                let mut writer = match self.random.chance(50) {
                    true => {
                        self.model.put(&key, &value, now + time);
                        table.write_large_until(&key, ms(now + time)).unwrap()
                    }
                    false => {
                        self.model.append(&key, &value, default);
                        table.append_large(&key).unwrap()
                    }
                };
                value.chunks(3000).for_each(|piece| writer.write_all(piece).unwrap());
                writer.finish().unwrap();
            }
            _ => self.transaction(&db, &table),
        }
    }

    /// With nobody else beside it but time and removal, at times; then it may be refused.
    fn transaction(&mut self, db: &Database, table: &AnyTable) {
        let serializable = self.random.chance(50);
        let level = if serializable { Isolation::Serializable } else { Isolation::Snapshot };
        let mut tx = db.begin_with(TxOptions::new().isolation(level)).unwrap();
        let mut model = self.model.clone(); // and its time
        for _ in 0..1 + self.random.below(6) {
            if self.random.chance(20) {
                let time = self.time();
                self.advance(time);
            }
            let (key, value, time, default) = (self.key(), self.bytes(), self.time(), self.default_at());
            match self.random.below(8) {
                0 => {
                    tx.put(table, &key, &value).unwrap();
                    model.put(&key, &value, default);
                }
                1 | 2 => {
                    tx.put_for(table, &key, &value, Duration::from_millis(time)).unwrap();
                    model.put(&key, &value, self.model.now + time);
                }
                3 => {
                    assert_eq!(tx.replace(table, &key, &value).unwrap(), model.value(&key));
                    model.put(&key, &value, default);
                }
                4 => {
                    assert_eq!(tx.take(table, &key).unwrap(), model.value(&key));
                    if model.get(&key).is_some() {
                        model.rows.remove(&key);
                    }
                }
                5 => {
                    tx.append(table, &key, &value).unwrap();
                    model.append(&key, &value, default);
                }
                6 => {
                    let fits = model.patch(&key, 3, b"patch");
                    assert_eq!(tx.patch(table, &key, 3, b"patch").is_ok(), fits);
                }
                _ => check_snapshot(&tx, table, &model, &key),
            }
        }
        check_transaction(&tx, table, &model);
        if self.random.chance(80) {
            tx.commit().unwrap();
            self.model.rows = model.rows;
        }
    }

    fn read(&mut self) {
        let (table, key) = (self.table(), self.key());
        let expected = self.model.value(&key);
        assert_eq!(table.get(&key).unwrap(), expected);
        assert_eq!(table.contains(&key).unwrap(), expected.is_some());
        assert_eq!(table.expiry(&key).unwrap(), self.model.expiry(&key));
        let keys: Vec<_> = (0..5).map(|_| self.key()).collect();
        let values: Vec<_> = keys.iter().map(|key| self.model.value(key)).collect();
        assert_eq!(table.multi_get(keys).unwrap(), values);
        let mut read = Vec::new();
        let reader = table.open_large(&key).unwrap();
        assert_eq!(
            reader.map(|mut reader| reader.read_to_end(&mut read).unwrap()).is_some(),
            expected.is_some()
        );
        assert_eq!(read, expected.unwrap_or_default());
        let rows = self.model.visible();
        assert_eq!(crate::rows(&table), rows);
        assert_eq!(table.is_empty().unwrap(), rows.is_empty());
        let Some(sorted) = table.sorted() else { return };
        assert_eq!(crate::contents(&sorted), rows.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(sorted.count(..).unwrap(), rows.len() as u64);
        let from = &key[..];
        let range: Vec<_> = sorted.range(from..).map(|record| record.unwrap()).collect();
        assert_eq!(range, rows.range(key.clone()..).map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>());
        let first = rows.first_key_value().map(|(k, v)| (k.clone(), v.clone()));
        let last = rows.last_key_value().map(|(k, v)| (k.clone(), v.clone()));
        assert_eq!((sorted.first().unwrap(), sorted.last().unwrap()), (first, last));
    }

    /// Opens what a crash leaves, some time later. Everything is durable before.
    fn crash(&mut self) {
        self.db().sync().unwrap();
        let after = self.disk.after_power_loss(self.random.draw());
        (self.table, self.db) = (None, None);
        let later = self.random.below(60);
        self.advance(later);
        self.disk = after;
        let db = by(&self.clock).disk(self.disk.disk()).open("").unwrap();
        self.table = Some(db.any_table("t").unwrap());
        self.db = Some(db);
    }

    fn run(&mut self, steps: u64) {
        let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
        for step in 0..steps {
            match self.random.below(40) {
                0..=21 => self.change(),
                22..=26 => self.read(),
                27 | 28 => {
                    let time = self.time();
                    self.advance(time);
                }
                29 => self.advance(1000), // the next walk
                30..=33 => drop(self.db().step().unwrap()),
                34 | 35 if snapshots.len() < 3 => {
                    snapshots.push((self.db().snapshot().unwrap(), self.model.clone()))
                }
                36 if !snapshots.is_empty() => {
                    let gone = self.random.below(snapshots.len() as u64) as usize;
                    drop(snapshots.swap_remove(gone));
                }
                37 => self.db().checkpoint().unwrap(),
                38 if step % 5 == 0 => {
                    snapshots.clear();
                    self.crash();
                }
                _ => {
                    let (table, key) = (self.table(), self.key());
                    snapshots
                        .iter()
                        .for_each(|(snapshot, model)| check_snapshot(snapshot, &table, model, &key));
                }
            }
        }
        drop(snapshots);
        self.read();
        assert_clean(&self.db());
    }
}

fn check_snapshot(snapshot: &Snapshot, table: &AnyTable, model: &Model, key: &[u8]) {
    assert_eq!(snapshot.get(table, key).unwrap(), model.value(key));
    assert_eq!(snapshot.contains(table, key).unwrap(), model.get(key).is_some());
    assert_eq!(snapshot.expiry(table, key).unwrap(), model.expiry(key));
    let mut read = Vec::new();
    if let Some(mut reader) = snapshot.open_large(table, key).unwrap() {
        reader.read_to_end(&mut read).unwrap();
    }
    assert_eq!(read, model.value(key).unwrap_or_default());
    let mut rows = BTreeMap::new();
    let mut records = snapshot.records(table);
    while let Some((key, value)) = records.next().unwrap() {
        assert_eq!(rows.insert(key.to_vec(), value.to_vec()), None);
    }
    assert_eq!(rows, model.visible());
    let Some(sorted) = table.sorted() else { return };
    assert_eq!(snapshot.count(&sorted, ..).unwrap(), rows.len() as u64);
    let back: Vec<_> = snapshot.range(&sorted, ..).rev().map(|record| record.unwrap()).collect();
    assert_eq!(back, rows.into_iter().rev().collect::<Vec<_>>());
}

fn check_transaction(tx: &Transaction, table: &AnyTable, model: &Model) {
    for key in model.rows.keys() {
        assert_eq!(tx.get(table, key).unwrap(), model.value(key));
    }
    check_snapshot(tx, table, model, b"absent");
}

#[test]
fn tables_whose_records_expire_are_maps_with_times() {
    let number = |name, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let first = number("AQUIFER_EXPIRY_SEED", 0);
    for seed in first..first + number("AQUIFER_EXPIRY_SEEDS", 12) {
        for kind in KINDS {
            World::new(seed, kind).run(600);
        }
    }
}
