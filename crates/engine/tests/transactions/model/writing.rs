//! What is written: by autocommits, by batches, and within transactions; and the keys and values.

use super::{Open, World, reading};
use crate::plain::{Merging, Part, record_of, records_of};
use aquifer::{Durability, Error, WriteBatch};
use aquifer_sim::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub fn key(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => Vec::new(),
        1 => [b"k5", &[b'x'; 509][..]].concat(),
        // Two groups, amid the short keys.
        2..6 => {
            let group = [b"k3", b"k7"][random.below(2) as usize];
            let suffix = [&b""[..], b"\0", b"a", b"ab", b"b", b"\xFF\xFF"][random.below(6) as usize];
            [&group[..], &[b'g'; 520], suffix].concat()
        }
        6 => often_merged(random),
        _ => format!("k{}", random.below(40)).into_bytes(),
    }
}

/// What a batch leaves of keys, by table.
type Changes = BTreeMap<(usize, Vec<u8>), Option<Rc<[u8]>>>;

fn often_merged(random: &mut Random) -> Vec<u8> {
    format!("m{}", random.below(3)).into_bytes()
}

/// A key of a write. Merges come to some keys more often.
fn key_for(random: &mut Random, is_merge: bool) -> Vec<u8> {
    if is_merge && random.chance(60) { often_merged(random) } else { key(random) }
}

fn value(random: &mut Random, key: &[u8]) -> Vec<u8> {
    let len = match random.below(12) {
        0 => 0,
        1..7 => random.below(60),
        7..9 => 200 + random.below(800),
        _ if key.len() > 500 => random.below(700),
        9 | 10 => 1000 + random.below(4000),
        _ => 5000 + random.below(15_000),
    };
    let mut value = vec![0; len as usize];
    random.fill(&mut value);
    value
}

impl World {
    pub fn autocommit(&mut self) {
        let of = self.random.below(2) as usize;
        let is_merge = self.random.chance(20);
        let key = key_for(&mut self.random, is_merge);
        let value = value(&mut self.random, &key);
        let table = self.tables[of].clone().with_durability(Durability::Eventual);
        let old = self.plain.maps[of].get(&key).cloned();
        let same = |found: Option<Vec<u8>>| assert_eq!(found.as_deref(), old.as_deref());
        let mut merges = false;
        let (done, new) = match if is_merge { 8 } else { self.random.below(8) } {
            0 => (table.get(&key).map(same), None),
            1 => (table.contains(&key).map(|found| assert_eq!(found, old.is_some())), None),
            2 => (table.delete(&key), Some(None)),
            3 => (table.take(&key).map(same), Some(None)),
            4 => (table.replace(&key, &value).map(same), Some(Some(value))),
            5 if !value.is_empty() && value.len() < 300 => {
                let longer = [old.as_deref().unwrap_or_default(), &value].concat();
                (table.append(&key, &value), Some(Some(longer)))
            }
            6 if old.as_ref().is_some_and(|old| old.len() > 9) => {
                let mut patched = old.as_deref().unwrap().to_vec();
                patched[3..9].copy_from_slice(b"patch!");
                (table.patch(&key, 3, b"patch!"), Some(Some(patched)))
            }
            8 => {
                let operand = self.operand(old.as_deref(), value);
                merges = self.waits(of, &key);
                (table.merge(&key, &operand), Some(self.merging[of].merged(old.as_deref(), &operand)))
            }
            _ => (table.put(&key, &value), Some(Some(value))),
        };
        match (done, new) {
            (Ok(()), Some(new)) => self.plain.put(of, &key, new.as_deref(), merges),
            (Ok(()), None) => {}
            (Err(error), _) => self.too_large(&error),
        }
    }

    pub fn batch(&mut self) {
        let mut batch = WriteBatch::new();
        let mut changes: Changes = BTreeMap::new();
        let mut overwritten = BTreeSet::new();
        for _ in 0..1 + self.random.below(8) {
            let of = self.random.below(2) as usize;
            let is_merge = self.random.chance(30);
            let key = key_for(&mut self.random, is_merge);
            let value = value(&mut self.random, &key);
            let new = match self.random.below(10) {
                _ if is_merge => {
                    let old = self.plain.maps[of].get(&key).cloned();
                    let old = changes.get(&(of, key.clone())).cloned().unwrap_or(old);
                    let operand = self.operand(old.as_deref(), value);
                    batch.merge(&self.tables[of], &key, &operand);
                    if !self.waits(of, &key) {
                        overwritten.insert((of, key.clone()));
                    }
                    let new = self.merging[of].merged(old.as_deref(), &operand);
                    changes.insert((of, key), new.map(Rc::from));
                    continue;
                }
                0..3 => {
                    batch.delete(&self.tables[of], &key);
                    None
                }
                _ => {
                    batch.put(&self.tables[of], &key, &value);
                    Some(value.into())
                }
            };
            overwritten.insert((of, key.clone()));
            changes.insert((of, key), new);
        }
        match self.db.write(&mut batch, Durability::Eventual) {
            Ok(()) => {
                let mut maps = self.plain.maps.clone();
                // Of groups of long keys those stay out of it that nothing is put into and nothing is taken from.
                let counts = |(of, key): &(usize, Vec<u8>), value: &Option<_>| {
                    key.len() < 512 || value.is_some() || self.plain.maps[*of].contains_key(key)
                };
                let places = changes.iter().filter(|(place, value)| counts(place, value));
                let places = places.map(|((of, key), _)| (*of, record_of(key))).collect();
                for ((of, key), value) in changes {
                    match value {
                        Some(value) => maps[of].insert(key, value),
                        None => maps[of].remove(&key),
                    };
                }
                let overwritten: BTreeSet<_> =
                    overwritten.iter().map(|(of, key)| (*of, record_of(key))).collect();
                self.plain.commit(&places, &maps, |place| !overwritten.contains(place));
            }
            Err(error) => self.too_large(&error),
        }
    }

    /// Sometimes what is there: then nothing may be left.
    fn operand(&mut self, old: Option<&[u8]>, value: Vec<u8>) -> Vec<u8> {
        let old = old.filter(|old| old.len() < 20_000); // or it would double time and again
        if self.random.chance(20) { old.unwrap_or_default().to_vec() } else { value }
    }

    /// Does an operand for this key wait for the commit?
    fn waits(&self, of: usize, key: &[u8]) -> bool {
        self.merging[of] == Merging::Xor && key.len() < 512
    }

    pub fn range_delete(&mut self) {
        let bounds = reading::bounds(&mut self.random);
        let is_empty = self.plain.maps[0].range(bounds.clone()).next().is_none();
        if is_empty || reading::is_in_one_group(&bounds) {
            return; // which may be a commit of a range or none, or one of a record
        }
        match self.sorted.range_delete(reading::as_slices(&bounds)) {
            Ok(()) => self.plain.delete_range(0, &bounds),
            Err(error) => self.too_large(&error),
        }
    }

    pub fn savepoints(&mut self, open: &mut Open) {
        if open.savepoints.is_empty() || self.random.chance(60) {
            open.savepoints.push((open.tx.savepoint(), open.view.clone(), open.writes.clone()));
            return;
        }
        let at = self.random.below(open.savepoints.len() as u64) as usize;
        let (savepoint, view, writes) = open.savepoints[at].clone();
        open.tx.rollback_to(savepoint);
        (open.view, open.writes) = (view, writes);
        open.savepoints.truncate(at + 1);
    }

    /// Whether it goes on.
    pub fn write_in(&mut self, open: &mut Open) -> bool {
        let of = self.random.below(2) as usize;
        let is_merge = open.only_merges || self.random.chance(27);
        let key = key_for(&mut self.random, is_merge);
        let value = value(&mut self.random, &key);
        let (table, tx) = (&self.tables[of], &mut open.tx);
        let old = open.view[of].get(&key).cloned();
        let same = |found: Option<Vec<u8>>| assert_eq!(found.as_deref(), old.as_deref());
        let blurred = self.plain.is_blurred(of, open.past.at);
        let place = (of, record_of(&key));
        // What it becomes, unless it stays as it was, and whether it was read.
        let mut waiting = None;
        let (done, new, is_read) = match if is_merge { 8 } else { self.random.below(8) } {
            0 | 1 => (tx.delete(table, &key), Some(None), false),
            2 => (tx.take(table, &key).map(same), old.as_ref().map(|_| None), true),
            3 => (tx.replace(table, &key, &value).map(same), Some(Some(value)), true),
            4 => {
                let longer = [old.as_deref().unwrap_or_default(), &value].concat();
                (tx.append(table, &key, &value), Some(Some(longer)), true)
            }
            5 if old.as_ref().is_some_and(|old| old.len() > 9) => {
                let mut patched = old.as_deref().unwrap().to_vec();
                patched[3..9].copy_from_slice(b"patch!");
                (tx.patch(table, &key, 3, b"patch!"), Some(Some(patched)), true)
            }
            8 => {
                let operand = self.operand(old.as_deref(), value);
                if self.waits(of, &key) {
                    waiting = Some(operand.clone().into());
                }
                let new = self.merging[of].merged(old.as_deref(), &operand);
                // Long keys are read with their groups.
                let is_own = key.len() < 512 && open.writes.places.contains(&place);
                let is_read = !self.waits(of, &key) && !is_own;
                (open.tx.merge(&self.tables[of], &key, &operand), Some(new), is_read)
            }
            // Of what is there as well as of other values.
            6 => {
                let value = old.as_deref().unwrap_or(&value).to_vec();
                (tx.put(table, &key, &value), Some(Some(value)), false)
            }
            _ => (tx.put(table, &key, &value), Some(Some(value)), false),
        };
        if is_read {
            open.reads.push(Part::One(place.clone()));
        }
        match done {
            Ok(()) => {
                let Some(new) = new else { return true };
                match new {
                    Some(value) => open.view[of].insert(key, value.into()),
                    None => open.view[of].remove(&key),
                };
                match waiting {
                    Some(operand) => open.writes.merge(place, operand),
                    None => open.writes.overwrite(place),
                }
                true
            }
            Err(Error::SnapshotTooOld) => {
                assert!(blurred || self.cramped);
                self.counts.too_old += 1;
                blurred // then the other table can be read still
            }
            Err(error) => {
                self.too_large(&error);
                true
            }
        }
    }

    /// Whether it goes on.
    pub fn range_delete_in(&mut self, open: &mut Open) -> bool {
        let bounds = reading::bounds(&mut self.random);
        let blurred = self.plain.is_blurred(0, open.past.at);
        match open.tx.range_delete(&self.sorted, reading::as_slices(&bounds)) {
            Ok(count) => {
                let gone: Vec<_> = open.view[0].range(bounds.clone()).map(|(key, _)| key.clone()).collect();
                assert_eq!(count, gone.len() as u64);
                for key in gone {
                    open.writes.overwrite((0, record_of(&key)));
                    open.view[0].remove(&key);
                }
                open.reads.push(Part::Range(0, records_of(&bounds)));
                true
            }
            Err(Error::SnapshotTooOld) => {
                assert!(blurred || self.cramped);
                false
            }
            Err(error) => {
                self.too_large(&error);
                false // some are deleted
            }
        }
    }
}
