//! Random transactions on threads, checked afterwards by running them again, one after the other, in commit order.
//!
//! What a transaction at either level read must be what the replay has at its snapshot. What a serializable one read must also be
//! what the replay has right before its place. And nobody else may have changed what it wrote since its snapshot. The checker is
//! shown bad histories, too.

use super::store::{Level, Store};
use aquifer_sync::thread;
use aquifer_txn::scan::Record;
use aquifer_txn::{CommitLsn, Direction, Error, KeyRange};
use std::collections::BTreeMap;
use std::ops::Bound;

const KEYS: u64 = 12;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A transaction that committed.
#[derive(Debug, Clone)]
struct Committed {
    serializable: bool,
    snapshot: CommitLsn,
    lsn: CommitLsn,
    gets: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    scans: Vec<(KeyRange, Vec<Record>)>,
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Committed {
    fn check_reads(&self, state: &Map, when: &str) -> Result<(), String> {
        for (key, found) in &self.gets {
            if state.get(key) != found.as_ref() {
                return Err(format!("{key:?} was not {found:?} {when}: {self:?}"));
            }
        }
        for (range, found) in &self.scans {
            let expected: Vec<_> = state.iter().filter(|(key, _)| range.contains(key)).collect();
            if !expected.into_iter().eq(found.iter().map(|(key, value)| (key, value))) {
                return Err(format!("{range:?} was not {found:?} {when}: {self:?}"));
            }
        }
        Ok(())
    }
}

/// Replays a history. `Err` says what is wrong with it.
fn check(mut history: Vec<Committed>) -> Result<(), String> {
    // Of those with equal LSNs one wrote, and the others only read after it.
    history.sort_by_key(|committed| (committed.lsn, committed.writes.is_empty()));
    let mut states: BTreeMap<CommitLsn, Map> = BTreeMap::from([(CommitLsn(0), Map::new())]);
    let mut changed: BTreeMap<Vec<u8>, CommitLsn> = BTreeMap::new();
    for committed in &history {
        let (_, at_snapshot) = states.range(..=committed.snapshot).next_back().expect("there is one at 0");
        committed.check_reads(at_snapshot, "at its snapshot")?;
        let (_, before) = states.last_key_value().expect("there is one at 0");
        if committed.serializable {
            committed.check_reads(before, "at its place")?;
        }
        let mut after = before.clone();
        for (key, value) in &committed.writes {
            if changed.insert(key.clone(), committed.lsn).is_some_and(|lsn| lsn > committed.snapshot) {
                return Err(format!("{key:?} was changed since the snapshot: {committed:?}"));
            }
            match value {
                Some(value) => after.insert(key.clone(), value.clone()),
                None => after.remove(key),
            };
        }
        states.insert(committed.lsn, after);
    }
    Ok(())
}

/// A generator of random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn key(&mut self) -> Vec<u8> {
        vec![b'a' + self.below(KEYS) as u8]
    }
}

/// One random transaction, `None` if it was refused.
fn run_one(store: &Store, level: Level, random: &mut Random, stamp: u64) -> Option<Committed> {
    let mut transaction = store.begin(level).unwrap();
    let mut committed = Committed {
        serializable: level == Level::Serializable,
        snapshot: transaction.snapshot.lsn(),
        lsn: CommitLsn(0),
        gets: Vec::new(),
        scans: Vec::new(),
        writes: Vec::new(),
    };
    let attempt = (|| {
        for _ in 0..random.below(3) {
            let key = random.key();
            committed.gets.push((key.clone(), transaction.get(&key)?));
        }
        if random.below(3) == 0 {
            let (from, to) = (random.key(), random.key());
            let range = KeyRange::new(Bound::Included(&from), Bound::Excluded(&to));
            let direction = if random.below(2) == 0 { Direction::Forward } else { Direction::Backward };
            let mut found = transaction.scan(range.clone(), direction)?;
            if direction == Direction::Backward {
                found.reverse();
            }
            committed.scans.push((range, found));
        }
        if random.below(8) == 0 {
            thread::yield_now();
        }
        let mut writes = Map::new();
        for number in 0..random.below(3) {
            let key = random.key();
            if random.below(4) == 0 {
                transaction.delete(&key)?;
                writes.insert(key, Vec::new());
            } else {
                let value = (stamp * 4 + number).to_be_bytes();
                transaction.put(&key, &value)?;
                writes.insert(key, value.to_vec());
            }
        }
        committed.writes = writes
            .into_iter()
            .map(|(key, value)| (key, Some(value).filter(|value| !value.is_empty())))
            .collect();
        // A serializable one that writes nothing has its place at its snapshot.
        transaction.commit()
    })();
    match attempt {
        Ok(lsn) => committed.lsn = lsn,
        Err(Error::Conflict { .. } | Error::SnapshotTooOld) => return None,
        Err(error) => panic!("{error}"),
    }
    Some(committed)
}

/// Runs threads of transactions at one level, or at both, beside autocommits. Commits and refusals.
fn run(levels: &[Level], version_bytes_max: usize, seed: u64) -> (usize, usize) {
    const ROUNDS: u64 = 4_000;
    let store = Store::new(version_bytes_max);
    let mut history = Vec::new();
    let mut refused = 0;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u64)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    let mut random = Random(seed * 1000 + number * 77 + 1);
                    let mut committed = Vec::new();
                    for round in 0..ROUNDS {
                        let stamp = number * ROUNDS + round;
                        if number == 3 {
                            let (key, value) = (random.key(), stamp.to_be_bytes());
                            let lsn = store.write(&key, Some(&value)).unwrap();
                            committed.push(Some(Committed {
                                serializable: false,
                                snapshot: CommitLsn(lsn.0 - 1), // of nothing that it read
                                lsn,
                                gets: Vec::new(),
                                scans: Vec::new(),
                                writes: vec![(key, Some(value.to_vec()))],
                            }));
                            continue;
                        }
                        let level = levels[number as usize % levels.len()];
                        committed.push(run_one(store, level, &mut random, stamp));
                    }
                    committed
                })
            })
            .collect();
        for thread in threads {
            let all = thread.join().unwrap();
            refused += all.iter().filter(|one| one.is_none()).count();
            history.extend(all.into_iter().flatten());
        }
    });
    let commits = history.len();
    if let Err(wrong) = check(history) {
        panic!("{wrong}");
    }
    (commits, refused)
}

#[test]
fn snapshot_histories_are_what_they_say() {
    let (commits, refused) = run(&[Level::Snapshot], 1 << 20, 1);
    assert!(commits > 8_000 && refused > 0, "{commits} {refused}");
}

#[test]
fn serializable_histories_are_serial_in_commit_order() {
    let (commits, refused) = run(&[Level::Serializable], 1 << 20, 2);
    assert!(commits > 4_000 && refused > 0, "{commits} {refused}");
}

#[test]
fn mixed_histories_are_what_they_say() {
    let (commits, refused) = run(&[Level::Serializable, Level::Snapshot], 1 << 20, 3);
    assert!(commits > 4_000 && refused > 0, "{commits} {refused}");
}

#[test]
fn histories_with_little_version_memory_are_still_right() {
    let (commits, _) = run(&[Level::Serializable, Level::Snapshot], 2 << 10, 4);
    assert!(commits > 4_000, "{commits}");
}

/// The checker itself.
#[test]
fn bad_histories_are_found() {
    let one = |serializable, snapshot, lsn, get: Option<(&[u8], Option<&[u8]>)>, write: &[u8]| Committed {
        serializable,
        snapshot: CommitLsn(snapshot),
        lsn: CommitLsn(lsn),
        gets: get.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        scans: Vec::new(),
        writes: vec![(write.to_vec(), Some(b"v".to_vec()))],
    };
    let first = one(true, 0, 10, Some((b"b", None)), b"a");
    assert_eq!(check(vec![first.clone(), one(true, 10, 20, Some((b"a", Some(b"v"))), b"b")]), Ok(()));
    let skew = one(true, 0, 20, Some((b"a", None)), b"b");
    assert!(check(vec![first.clone(), skew.clone()]).unwrap_err().contains("at its place"));
    assert_eq!(check(vec![first.clone(), Committed { serializable: false, ..skew }]), Ok(()));
    let stale = one(false, 10, 20, Some((b"a", None)), b"b");
    assert!(check(vec![first.clone(), stale]).unwrap_err().contains("at its snapshot"));
    let lost = one(false, 0, 20, None, b"a");
    assert!(check(vec![first, lost]).unwrap_err().contains("changed since"));
}
