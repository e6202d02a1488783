//! A model of the whole database: its state is copied when a snapshot of a checkpoint is taken, everything changes on and on, tables
//! come and go, the file grows and shrinks, and each snapshot, as long as it is open, is compared with its copy.

use super::settle;
use crate::{any_table, assert_clean};
use aquifer::{
    AnyTable, CheckpointSnapshot, Database, Durability, ErrorKind, Result, Table, TableKind, TableOptions,
};
use aquifer_sim::{Random, SimDisk};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Bound;
use std::rc::Rc;

type Map = BTreeMap<Vec<u8>, Rc<[u8]>>;
/// By name.
type State = BTreeMap<String, Map>;
type Record = (Vec<u8>, Vec<u8>);

const NAMES: [&str; 5] = ["a", "b", "hashed", "unlogged", "z"];

fn key(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => [&b"k3"[..], &[b'g'; 520], &random.below(9).to_string().into_bytes()].concat(),
        1 => [&b"k7"[..], &[b'h'; 900], &random.below(3).to_string().into_bytes()].concat(),
        _ => format!("k{}", random.below(900)).into_bytes(),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    let len = match random.below(12) {
        0 => 0,
        1..8 => 20 + random.below(300),
        8..11 => 500 + random.below(500),
        _ => 2000 + random.below(30_000),
    };
    let mut value = vec![0; len as usize];
    random.fill(&mut value);
    value
}

struct World {
    db: Database,
    state: State,
    open: Vec<(CheckpointSnapshot, State)>,
    /// Handles that outlive their tables, to read those of snapshots by.
    handles: Vec<AnyTable>,
    random: Random,
    taken: u64,
    refused: u64,
}

impl World {
    fn new(db: Database, seed: u64) -> World {
        let (state, open, handles) = (State::new(), Vec::new(), Vec::new());
        World { db, state, open, handles, random: Random(seed), taken: 0, refused: 0 }
    }

    fn pick<T>(&mut self, from: &[T]) -> Option<usize> {
        (!from.is_empty()).then(|| self.random.below(from.len() as u64) as usize)
    }

    fn step(&mut self) {
        let name = NAMES[self.random.below(NAMES.len() as u64) as usize];
        match self.random.below(100) {
            0..55 => self.change(name),
            55 => self.delete_range(name),
            56 => self.load(name),
            57 => self.drop_table(name),
            58 | 59 => self.db.checkpoint().unwrap(),
            60..75 => drop(self.db.step().unwrap()),
            75..79 => self.take(),
            79..82 => self.let_go(),
            _ => self.read(),
        }
    }

    /// The table, made if it is not there.
    fn table(&mut self, name: &str) -> AnyTable {
        if !self.state.contains_key(name) {
            match name {
                "hashed" => drop(any_table(&self.db, name, TableKind::Hashed)),
                "unlogged" => drop(self.db.create_table(name, TableOptions::unlogged()).unwrap()),
                _ => drop(any_table(&self.db, name, TableKind::Sorted)),
            }
            self.state.insert(name.into(), Map::new());
            if self.random.chance(30) && self.handles.len() < 6 {
                self.handles.push(self.db.any_table(name).unwrap());
            }
        }
        self.db.any_table(name).unwrap()
    }

    fn change(&mut self, name: &str) {
        let table = self.table(name).with_durability(Durability::Eventual);
        for _ in 0..1 + self.random.below(30) {
            let key = key(&mut self.random);
            let map = self.state.get_mut(name).unwrap();
            if self.random.chance(30) {
                table.delete(&key).unwrap();
                map.remove(&key);
            } else {
                let value = value(&mut self.random);
                table.put(&key, &value).unwrap();
                map.insert(key, value.into());
            }
        }
    }

    fn delete_range(&mut self, name: &str) {
        let Some(table) = self.table(name).sorted() else { return };
        let (from, to) = (key(&mut self.random), key(&mut self.random));
        if from < to {
            table.range_delete(&from[..]..&to[..]).unwrap();
            self.state.get_mut(name).unwrap().retain(|key, _| *key < from || *key >= to);
        }
    }

    fn load(&mut self, name: &str) {
        let Some(table) = self.table(name).sorted() else { return };
        if !self.state[name].is_empty() {
            table.range_delete(..).unwrap();
        }
        let keys = (0..self.random.below(600)).map(|n| format!("k{n:03}").into_bytes());
        let map: Map = keys.map(|key| (key, value(&mut self.random).into())).collect();
        table.bulk_load(map.iter().map(|(key, value)| (key.clone(), value.to_vec()))).unwrap();
        self.state.insert(name.into(), map);
    }

    fn drop_table(&mut self, name: &str) {
        if self.state.remove(name).is_some() {
            self.db.drop_table(name).unwrap();
            if self.random.chance(50) {
                self.handles.clear(); // so that its pages are freed
            }
        }
    }

    fn take(&mut self) {
        if self.open.len() == 4 {
            return;
        }
        match self.db.checkpoint_snapshot() {
            Ok(snapshot) => {
                self.open.push((snapshot, self.state.clone()));
                self.taken += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
                self.refused += 1;
            }
        }
    }

    fn let_go(&mut self) {
        let Some(at) = self.pick(&self.open.iter().map(drop).collect::<Vec<_>>()) else { return };
        let (snapshot, state) = self.open.swap_remove(at);
        check_whole(&snapshot, &state).unwrap();
    }

    /// Reads something of one of them, by a handle of its own or one of the database.
    fn read(&mut self) {
        let Some(at) = self.pick(&self.open.iter().map(drop).collect::<Vec<_>>()) else { return };
        let (snapshot, state) = self.open.swap_remove(at);
        let infos = snapshot.tables();
        assert!(infos.iter().map(|info| &info.name).eq(state.keys()));
        let Some(of) = self.pick(&infos) else { return self.open.push((snapshot, state)) };
        let (info, map) = (&infos[of], &state[&infos[of].name]);
        let handle = self.handles.iter().find(|table| table.info().id == info.id).cloned();
        let live = self.db.any_table(&info.name).ok().filter(|table| table.info().id == info.id);
        let table = handle.or(live).unwrap_or_else(|| snapshot.any_table(&info.name).unwrap());
        match table.sorted() {
            Some(sorted) if self.random.chance(60) => read_range(&mut self.random, &snapshot, &sorted, map),
            _ => read_key(&mut self.random, &snapshot, &table, map),
        }
        self.open.push((snapshot, state));
    }
}

fn read_key(random: &mut Random, snapshot: &CheckpointSnapshot, table: &AnyTable, map: &Map) {
    let key = key(random);
    let expected = map.get(&key).map(|value| value.to_vec());
    assert_eq!(snapshot.contains(table, &key).unwrap(), expected.is_some());
    let reader = snapshot.open_large(table, &key).unwrap();
    assert_eq!(reader.is_some(), expected.is_some());
    if let (Some(mut reader), Some(expected)) = (reader, &expected) {
        assert_eq!(reader.len(), expected.len() as u64);
        let from = random.below(expected.len() as u64 + 1);
        let mut bytes = Vec::new();
        reader.seek(SeekFrom::Start(from)).unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == expected[from as usize..]);
    }
    assert!(snapshot.get(table, &key).unwrap() == expected);
}

fn read_range(random: &mut Random, snapshot: &CheckpointSnapshot, table: &Table, map: &Map) {
    let (mut low, mut high) = (key(random), key(random));
    if low >= high {
        std::mem::swap(&mut low, &mut high);
        high.push(0);
    }
    let bounds = match random.below(4) {
        0 => (Bound::Excluded(&low[..]), Bound::Unbounded),
        1 => (Bound::Unbounded, Bound::Included(&high[..])),
        _ => (Bound::Included(&low[..]), Bound::Excluded(&high[..])),
    };
    let owned = |(key, value): (&Vec<u8>, &Rc<[u8]>)| (key.clone(), value.to_vec());
    assert_eq!(snapshot.count(table, bounds).unwrap(), map.range::<[u8], _>(bounds).count() as u64);
    assert!(snapshot.first(table).unwrap() == map.first_key_value().map(owned));
    assert!(snapshot.last(table).unwrap() == map.last_key_value().map(owned));
    let begins = |key: &[u8]| key.starts_with(b"k3");
    let expected = map.iter().filter(|(key, _)| begins(key)).map(owned);
    assert!(snapshot.prefix(table, b"k3").map(|record| record.unwrap()).eq(expected));
    let mut range = snapshot.range(table, bounds);
    let mut expected = map.range::<[u8], _>(bounds);
    loop {
        let (found, wanted) = match random.chance(50) {
            true => (range.next(), expected.next()),
            false => (range.next_back(), expected.next_back()),
        };
        assert!(found.transpose().unwrap() == wanted.map(owned));
        if wanted.is_none() {
            return;
        }
    }
}

/// Everything, in both directions where there are two.
fn check_whole(snapshot: &CheckpointSnapshot, state: &State) -> Result<()> {
    let names: Vec<String> = snapshot.tables().into_iter().map(|info| info.name).collect();
    assert!(names.iter().eq(state.keys()), "{names:?}");
    for (name, map) in state {
        let expected: Vec<Record> = map.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect();
        let table = snapshot.any_table(name)?;
        let mut found = Vec::new();
        let mut records = snapshot.records(&table);
        while let Some((key, value)) = records.next()? {
            found.push((key.to_vec(), value.to_vec()));
        }
        found.sort_unstable();
        assert!(found == expected, "{name}: {} records instead of {}", found.len(), expected.len());
        if let Some(sorted) = table.sorted() {
            let mut found = snapshot.range(&sorted, ..).rev().collect::<Result<Vec<_>>>()?;
            found.reverse();
            assert!(found == expected, "{name}, backwards: {} records", found.len());
        }
    }
    Ok(())
}

fn check_now(db: &Database, state: &State) {
    let now = db.checkpoint_snapshot().unwrap();
    check_whole(&now, state).unwrap();
}

/// `AQUIFER_MODEL_SEED` and `AQUIFER_MODEL_SEEDS` say other seeds.
fn check(budget: usize, first: u64, count: u64, steps: u64) {
    let number = |name, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let first = number("AQUIFER_MODEL_SEED", first);
    for seed in first..first + number("AQUIFER_MODEL_SEEDS", count) {
        println!("seed {seed}"); // shown if it fails
        let disk = SimDisk::with_seed(seed);
        let options = || Database::options().memory_budget(budget).log_bytes_max(1 << 20).background(false);
        let db = options().disk(disk.disk()).create("").unwrap();
        let mut world = World::new(db, seed);
        (0..steps).for_each(|_| world.step());
        assert!(world.taken > 10, "{} taken, {} refused", world.taken, world.refused);
        assert_eq!(world.db.stats().checkpoint_snapshots.open, world.open.len() as u64);
        assert_eq!(world.db.stats().transactions.versions, 0);
        for (snapshot, state) in &world.open {
            check_whole(snapshot, state).unwrap();
        }
        world.db.sync().unwrap();
        let after = disk.after_power_loss(seed); // with some open
        world.open.clear();
        world.handles.clear();
        check_now(&world.db, &world.state);
        settle(&world.db);
        assert_clean(&world.db);
        assert_eq!(world.db.stats().pager.kept_bytes, 0);
        let again = options().disk(after.disk()).open("").unwrap();
        settle(&again);
        assert_clean(&again);
        let mut state = world.state;
        state.remove("unlogged"); // as of a checkpoint
        if again.any_table("unlogged").is_ok() {
            again.drop_table("unlogged").unwrap();
        }
        check_now(&again, &state);
    }
}

#[test]
fn each_is_what_was_there_when_it_was_taken() {
    check(8 << 20, 0, 5, 1500);
}

#[test]
fn in_little_memory_too() {
    check(2 << 20, 100, 4, 1500);
}
