//! The plain counterpart of a database with transactions: maps, their states at snapshots, and what each commit must say.
//!
//! Conflicts are told of *records*: a short key is one of its own, and long keys that share their first bytes are one together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;

/// A table's records.
pub type Map = BTreeMap<Vec<u8>, Rc<[u8]>>;
/// Both tables.
pub type Maps = [Map; 2];
/// Table and record.
pub type Place = (usize, Vec<u8>);
pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Keys at least this long lie in groups by what they have before its last byte.
const LONG_KEY_LEN: usize = 512;

/// What was read, or changed.
#[derive(Clone)]
pub enum Part {
    One(Place),
    Range(usize, Bounds),
}

/// What a commit may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub ok: bool,
    pub conflict: bool,
    pub too_old: bool,
}

/// All that is committed.
#[derive(Debug, Default)]
pub struct Plain {
    pub maps: Maps,
    /// Commits so far.
    pub now: u64,
    /// When each record was changed last.
    changed: BTreeMap<Place, u64>,
    /// When something else was done to it than a merge.
    overwritten: BTreeMap<Place, u64>,
    /// When each table had a range deleted, or was loaded, at last.
    blurred: [u64; 2],
    /// What each commit has announced, in order.
    announced: Vec<(u64, Part)>,
    /// When a range of a table was deleted: who has read of it may be refused though it has read nothing that went.
    deletions: Vec<(u64, usize)>,
}

/// A state of the past.
#[derive(Debug, Clone)]
pub struct Past {
    pub maps: Maps,
    pub at: u64,
}

/// What a transaction has done.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    pub places: BTreeSet<Place>,
    /// Of these, those that it only merges into, and wherewith.
    pub merged: BTreeMap<Place, Vec<Rc<[u8]>>>,
}

/// How a table merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// Which commutes: the exclusive or, without zeros at its end; nothing if that is nothing.
    Xor,
    /// Which does not.
    Append,
}

impl Merging {
    pub fn merged(self, value: Option<&[u8]>, operand: &[u8]) -> Option<Vec<u8>> {
        let mut merged = value.unwrap_or_default().to_vec();
        match self {
            Merging::Append => merged.extend_from_slice(operand),
            Merging::Xor => {
                merged.resize(merged.len().max(operand.len()), 0);
                merged.iter_mut().zip(operand).for_each(|(byte, other)| *byte ^= other);
                merged.truncate(merged.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1));
                return Some(merged).filter(|merged| !merged.is_empty());
            }
        }
        Some(merged)
    }
}

impl Writes {
    /// A put or a delete.
    pub fn overwrite(&mut self, place: Place) {
        self.merged.remove(&place);
        self.places.insert(place);
    }

    /// A merge that waits for the commit, unless there was a put or a delete before.
    pub fn merge(&mut self, place: Place, operand: Rc<[u8]>) {
        if self.places.insert(place.clone()) || self.merged.contains_key(&place) {
            self.merged.entry(place).or_default().push(operand);
        }
    }
}

/// The record that a key lies in.
pub fn record_of(key: &[u8]) -> Vec<u8> {
    if key.len() < LONG_KEY_LEN { key.to_vec() } else { [&key[..LONG_KEY_LEN - 1], &[0]].concat() }
}

/// A range of records that covers a range of keys.
pub fn records_of((from, to): &Bounds) -> Bounds {
    let whole = |bound: &Bound<Vec<u8>>| match bound {
        Bound::Included(key) | Bound::Excluded(key) if key.len() >= LONG_KEY_LEN => {
            Bound::Included(record_of(key))
        }
        other => other.clone(),
    };
    (whole(from), whole(to))
}

/// Short: keys may be long.
impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |key: &Vec<u8>| format!("{:.8}… ({})", key.escape_ascii().to_string(), key.len());
        match self {
            Part::One((table, key)) => write!(f, "{table}: {}", shown(key)),
            Part::Range(table, (from, to)) => {
                write!(f, "{table}: {:?} to {:?}", from.as_ref().map(shown), to.as_ref().map(shown))
            }
        }
    }
}

impl Part {
    fn meets(&self, other: &Part) -> bool {
        match (self, other) {
            (Part::One(one), Part::One(other)) => one == other,
            (Part::One((table, key)), Part::Range(of, bounds))
            | (Part::Range(of, bounds), Part::One((table, key))) => {
                table == of && std::ops::RangeBounds::contains(bounds, key)
            }
            (Part::Range(..), Part::Range(..)) => unreachable!("changes are told one by one"),
        }
    }
}

impl Plain {
    pub fn past(&self) -> Past {
        Past { maps: self.maps.clone(), at: self.now }
    }

    /// Was a range deleted since? Then a snapshot of that time may not be able to read this table any more, if that was too much to be kept.
    pub fn is_blurred(&self, table: usize, at: u64) -> bool {
        self.blurred[table] > at
    }

    /// Was a record changed since, be it by a merge?
    pub fn is_changed(&self, place: &Place, at: u64) -> bool {
        self.changed.get(place).is_some_and(|&when| when > at)
    }

    /// What a transaction that began at that time must hear when it commits.
    pub fn verdict(&self, at: u64, writes: &Writes, reads: &[Part], is_serializable: bool) -> Verdict {
        const CONFLICT: Verdict = Verdict { ok: false, conflict: true, too_old: false };
        if writes.places.is_empty() {
            return Verdict { ok: true, conflict: false, too_old: false };
        }
        let too_old = writes.places.iter().any(|&(table, _)| self.is_blurred(table, at));
        let changed = |place: &Place| {
            let has_read = || reads.iter().any(|read| read.meets(&Part::One(place.clone())));
            match writes.merged.contains_key(place) && !has_read() {
                true => self.overwritten.get(place).is_some_and(|&when| when > at),
                false => self.is_changed(place, at),
            }
        };
        let reads = is_serializable.then_some(reads);
        if writes.places.iter().any(changed) {
            return Verdict { too_old, ..CONFLICT };
        }
        let since = self.announced.iter().filter(|(when, _)| *when > at);
        let overlaps = |part: &Part| reads.is_some_and(|reads| reads.iter().any(|read| read.meets(part)));
        if since.clone().any(|(_, part)| overlaps(part)) {
            return Verdict { too_old, ..CONFLICT };
        }
        let of = |part: &Part| match part {
            Part::One((table, _)) | Part::Range(table, _) => *table,
        };
        let has_read = |table| reads.is_some_and(|reads| reads.iter().any(|read| of(read) == table));
        let perhaps = self.deletions.iter().any(|&(when, table)| when > at && has_read(table));
        Verdict { ok: true, conflict: perhaps, too_old }
    }

    /// Somebody has committed these records as they are in `maps`; those that are absent from both count for readers alone.
    pub fn commit(&mut self, places: &BTreeSet<Place>, maps: &Maps, merges: impl Fn(&Place) -> bool) {
        self.now += 1;
        for place in places {
            let (table, record) = place;
            let keys = |map: &Map| -> Vec<Vec<u8>> {
                // All keys of a group begin as its record does, but for the last byte.
                let is_group = record.len() == LONG_KEY_LEN;
                let prefix = if is_group { &record[..LONG_KEY_LEN - 1] } else { &record[..] };
                let behind = map.range(prefix.to_vec()..).map(|(key, _)| key);
                let begins = behind.take_while(|key| key.starts_with(prefix));
                begins.filter(|key| record_of(key) == *record).cloned().collect()
            };
            let (old, new) = (keys(&self.maps[*table]), keys(&maps[*table]));
            if !old.is_empty() || !new.is_empty() {
                self.changed.insert(place.clone(), self.now);
                if !merges(place) {
                    self.overwritten.insert(place.clone(), self.now);
                }
            }
            old.iter().for_each(|key| drop(self.maps[*table].remove(key)));
            for key in new {
                let value = Rc::clone(&maps[*table][&key]);
                self.maps[*table].insert(key, value);
            }
            self.announced.push((self.now, Part::One(place.clone())));
        }
    }

    /// Somebody has committed one key.
    pub fn put(&mut self, table: usize, key: &[u8], value: Option<&[u8]>, merges: bool) {
        let old = self.maps[table].get(key).cloned();
        if old.is_none() && value.is_none() {
            return; // it was absent, and stays so
        }
        self.now += 1;
        let place = (table, record_of(key));
        self.changed.insert(place.clone(), self.now);
        if !merges {
            self.overwritten.insert(place.clone(), self.now);
        }
        self.announced.push((self.now, Part::One(place)));
        match value {
            Some(value) => self.maps[table].insert(key.to_vec(), value.into()),
            None => self.maps[table].remove(key),
        };
    }

    /// Somebody has deleted a range of keys with [`aquifer::Table::range_delete`].
    pub fn delete_range(&mut self, table: usize, bounds: &Bounds) {
        let gone: Vec<Vec<u8>> = self.maps[table].range(bounds.clone()).map(|(key, _)| key.clone()).collect();
        self.now += 1;
        self.blurred[table] = self.now;
        self.deletions.push((self.now, table));
        for key in gone {
            self.maps[table].remove(&key);
            self.changed.insert((table, record_of(&key)), self.now);
            self.overwritten.insert((table, record_of(&key)), self.now);
            self.announced.push((self.now, Part::One((table, record_of(&key)))));
        }
    }

    /// Forgets what only snapshots before that time could ask for.
    pub fn forget(&mut self, at: u64) {
        self.announced.retain(|(when, _)| *when > at);
        self.deletions.retain(|(when, _)| *when > at);
        self.changed.retain(|_, when| *when > at);
        self.overwritten.retain(|_, when| *when > at);
    }
}
