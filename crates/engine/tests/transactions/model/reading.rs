//! What a snapshot or a transaction reads, against what it must see; and what a serializable one then depends on.

use super::World;
use super::writing::key;
use crate::plain::{Bounds, Map, Maps, Part, record_of, records_of};
use aquifer::{Error, Snapshot};
use aquifer_sim::Random;
use std::ops::Bound;

pub const ALL: Bounds = (Bound::Unbounded, Bound::Unbounded);

type Record = (Vec<u8>, Vec<u8>);

/// A range that begins before it ends.
pub fn bounds(random: &mut Random) -> Bounds {
    let (mut low, mut high) = (key(random), key(random));
    if low > high {
        std::mem::swap(&mut low, &mut high);
    }
    if low == high {
        high.push(0);
    }
    let from = match random.below(6) {
        0 => Bound::Unbounded,
        1 => Bound::Excluded(low),
        _ => Bound::Included(low),
    };
    let to = match random.below(6) {
        0 => Bound::Unbounded,
        1 => Bound::Included(high),
        _ => Bound::Excluded(high),
    };
    (from, to)
}

pub fn as_slices((from, to): &Bounds) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice))
}

/// Do both ends lie within one group of long keys?
pub fn is_in_one_group(bounds: &Bounds) -> bool {
    match bounds {
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from.len() >= 512 && to.len() >= 512 && record_of(from) == record_of(to)
        }
        _ => false,
    }
}

fn owned((key, value): (&Vec<u8>, &std::rc::Rc<[u8]>)) -> Record {
    (key.clone(), value.to_vec())
}

impl World {
    pub fn read_of_snapshot(&mut self) {
        if self.snapshots.is_empty() {
            return;
        }
        let at = self.random.below(self.snapshots.len() as u64) as usize;
        let (snapshot, past) = self.snapshots.swap_remove(at);
        let blurred = [0, 1].map(|of| self.plain.is_blurred(of, past.at));
        if self.read(&snapshot, &past.maps, blurred).is_some() {
            self.snapshots.push((snapshot, past));
        }
    }

    /// Reads something. What was read; nothing if the snapshot was given up for want of memory.
    pub fn read(&mut self, snapshot: &Snapshot, view: &Maps, blurred: [bool; 2]) -> Option<Vec<Part>> {
        self.counts.reads += 1;
        let of = self.random.below(2) as usize;
        let read = match self.random.below(10) {
            0..4 => self.read_key(snapshot, &view[of], of),
            4 => self.count(snapshot, &view[0]),
            5 => ends(self, snapshot, &view[0]),
            6 => self.prefix(snapshot, &view[0]),
            7 if of == 1 => self.all_hashed(snapshot, &view[1]),
            _ => self.range(snapshot, &view[0]),
        };
        match read {
            Ok(parts) => Some(parts),
            Err(Error::SnapshotTooOld) => {
                assert!(blurred.contains(&true) || self.cramped);
                self.counts.too_old += 1;
                (!self.cramped).then(Vec::new)
            }
            Err(error) => {
                self.too_large(&error); // to be remembered
                Some(Vec::new())
            }
        }
    }

    fn read_key(&mut self, snapshot: &Snapshot, map: &Map, of: usize) -> aquifer::Result<Vec<Part>> {
        let key = key(&mut self.random);
        let expected = map.get(&key);
        match self.random.chance(70) {
            true => {
                let found = snapshot.get(&self.tables[of], &key)?;
                assert_eq!(found.as_deref(), expected.map(|value| &**value), "{}", key.escape_ascii());
            }
            false => assert_eq!(snapshot.contains(&self.tables[of], &key)?, expected.is_some()),
        }
        Ok(vec![Part::One((of, record_of(&key)))])
    }

    fn count(&mut self, snapshot: &Snapshot, map: &Map) -> aquifer::Result<Vec<Part>> {
        let bounds = bounds(&mut self.random);
        let count = snapshot.count(&self.sorted, as_slices(&bounds))?;
        assert_eq!(count, map.range(bounds.clone()).count() as u64);
        Ok(vec![Part::Range(0, records_of(&bounds))])
    }

    fn prefix(&mut self, snapshot: &Snapshot, map: &Map) -> aquifer::Result<Vec<Part>> {
        let prefix = [&b"k1"[..], b"k3", b"k3g", b"k", b"nothing"][self.random.below(5) as usize];
        let found = snapshot.prefix(&self.sorted, prefix).collect::<aquifer::Result<Vec<_>>>()?;
        let expected = map.iter().filter(|(key, _)| key.starts_with(prefix)).map(owned);
        assert_same(found, expected.collect());
        let mut end = prefix.to_vec();
        *end.last_mut().unwrap() += 1;
        Ok(vec![Part::Range(0, (Bound::Included(prefix.to_vec()), Bound::Excluded(end)))])
    }

    fn all_hashed(&mut self, snapshot: &Snapshot, map: &Map) -> aquifer::Result<Vec<Part>> {
        let mut found = snapshot.iter(&self.hashed).collect::<aquifer::Result<Vec<Record>>>()?;
        found.sort_unstable();
        assert_same(found, map.iter().map(owned).collect());
        Ok(vec![Part::Range(1, ALL)])
    }

    /// From one end, or from both, to where they meet or to some place before.
    fn range(&mut self, snapshot: &Snapshot, map: &Map) -> aquifer::Result<Vec<Part>> {
        let bounds = bounds(&mut self.random);
        let mut range = snapshot.range(&self.sorted, as_slices(&bounds));
        let mut expected = map.range(bounds.clone());
        let back_percent = [0, 100, 50][self.random.below(3) as usize];
        let steps = if self.random.chance(50) { u64::MAX } else { 1 + self.random.below(10) };
        let (mut front, mut back) = (None, None);
        for _ in 0..steps {
            let is_back = self.random.chance(back_percent);
            let (found, wanted) = match is_back {
                true => (range.next_back(), expected.next_back()),
                false => (range.next(), expected.next()),
            };
            let found = found.transpose()?;
            assert_same(found.clone().into_iter().collect(), wanted.map(owned).into_iter().collect());
            match found {
                None => return Ok(vec![Part::Range(0, records_of(&bounds))]),
                Some((key, _)) if is_back => back = Some(record_of(&key)),
                Some((key, _)) => front = Some(record_of(&key)),
            }
        }
        let (from, to) = records_of(&bounds);
        let front = front.map(|last| Part::Range(0, (from, Bound::Included(last))));
        let back = back.map(|last| Part::Range(0, (Bound::Included(last), to)));
        Ok(front.into_iter().chain(back).collect())
    }

    /// Compares all that it sees, from both ends.
    pub fn check_whole(&self, snapshot: &Snapshot, maps: &Maps, at: u64) {
        let forward = snapshot.range(&self.sorted, ..).collect::<aquifer::Result<Vec<_>>>();
        let backward = snapshot.range(&self.sorted, ..).rev().collect::<aquifer::Result<Vec<_>>>();
        let hashed = snapshot.iter(&self.hashed).collect::<aquifer::Result<Vec<_>>>();
        for (of, read) in [(0, forward), (0, backward), (1, hashed)] {
            match read {
                Ok(mut found) => {
                    found.sort_unstable();
                    assert_same(found, maps[of].iter().map(owned).collect());
                }
                Err(Error::SnapshotTooOld) => assert!(self.cramped || self.plain.is_blurred(of, at)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Says which keys differ; their values are long.
fn assert_same(found: Vec<Record>, expected: Vec<Record>) {
    if found == expected {
        return;
    }
    let keys = |some: &[Record], others: &[Record]| -> Vec<String> {
        let missing = some.iter().filter(|record| !others.contains(record));
        missing.map(|(key, value)| format!("{} ({})", key.escape_ascii(), value.len())).collect()
    };
    panic!("found {:?} instead of {:?}", keys(&found, &expected), keys(&expected, &found));
}

fn ends(world: &World, snapshot: &Snapshot, map: &Map) -> aquifer::Result<Vec<Part>> {
    let (first, last) = (snapshot.first(&world.sorted)?, snapshot.last(&world.sorted)?);
    assert_eq!(first, map.first_key_value().map(owned));
    assert_eq!(last, map.last_key_value().map(owned));
    let Some((first, last)) = first.zip(last) else { return Ok(vec![Part::Range(0, ALL)]) };
    let to_first = (Bound::Unbounded, Bound::Included(record_of(&first.0)));
    let from_last = (Bound::Included(record_of(&last.0)), Bound::Unbounded);
    Ok(vec![Part::Range(0, to_first), Part::Range(0, from_last)])
}
