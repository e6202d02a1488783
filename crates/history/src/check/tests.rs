//! Known good and known bad histories: Adya's anomalies, each found at the levels that forbid it and at no other; random histories of a
//! store that keeps its promise pass, and those of stores that break it in one way do not.

use super::*;
use crate::history::{Operation, Operation::Append, Operation::Read, Outcome};
use std::collections::BTreeMap;

const LEVELS: [Level; 4] =
    [Level::Snapshot, Level::StrongSnapshot, Level::Serializable, Level::StrictSerializable];

fn read(key: u64, list: &[u64]) -> Operation {
    Read { key, list: list.to_vec() }
}

fn append(key: u64, value: u64) -> Operation {
    Append { key, value }
}

/// All at the same time.
fn together(transactions: &[&[Operation]]) -> Vec<Transaction> {
    transactions.iter().map(|operations| Transaction::committed(0, 9, operations.to_vec())).collect()
}

/// One after the other.
fn in_turn(transactions: &[&[Operation]]) -> Vec<Transaction> {
    let times = (0..).step_by(2);
    times
        .zip(transactions)
        .map(|(at, operations)| Transaction::committed(at, at + 1, operations.to_vec()))
        .collect()
}

/// The name of what is found at each level.
fn names(history: &[Transaction]) -> [&'static str; 4] {
    LEVELS.map(|level| match check(history, level) {
        Ok(()) => "",
        Err(Anomaly::Cycle { name, steps }) => {
            assert!(!steps.is_empty());
            name
        }
        Err(other) => panic!("{other}"),
    })
}

#[test]
fn what_comes_in_turn_is_sound() {
    let history = in_turn(&[
        &[append(1, 1), append(2, 1)],
        &[read(1, &[1]), append(1, 2)],
        &[read(1, &[1, 2]), read(2, &[1]), append(3, 1)],
        &[read(3, &[1])],
    ]);
    assert_eq!(names(&history), [""; 4]);
}

#[test]
fn dirty_writes_are_g0() {
    let history = together(&[
        &[append(1, 1), append(2, 1)],
        &[append(1, 2), append(2, 2)],
        &[read(1, &[1, 2]), read(2, &[2, 1])],
    ]);
    assert_eq!(names(&history), ["G0"; 4]);
}

#[test]
fn circular_flow_of_information_is_g1c() {
    let history = together(&[&[append(1, 1), read(2, &[1])], &[append(2, 1), read(1, &[1])]]);
    assert_eq!(names(&history), ["G1c"; 4]);
}

#[test]
fn read_skew_and_lost_updates_are_g_single() {
    let skew = together(&[&[append(1, 1), append(2, 1)], &[read(1, &[1]), read(2, &[])]]);
    assert_eq!(names(&skew), ["G-single"; 4]);
    let lost = together(&[&[read(1, &[]), append(1, 1)], &[read(1, &[]), append(1, 2)], &[read(1, &[1, 2])]]);
    assert_eq!(names(&lost), ["G-single"; 4]);
}

#[test]
fn a_long_fork_is_nonadjacent() {
    let history = together(&[
        &[append(1, 1)],
        &[append(2, 1)],
        &[read(1, &[1]), read(2, &[])],
        &[read(1, &[]), read(2, &[1])],
    ]);
    assert_eq!(names(&history), ["G-nonadjacent"; 4]);
}

#[test]
fn write_skew_is_g2() {
    let history = together(&[&[read(1, &[]), append(2, 1)], &[read(2, &[]), append(1, 1)]]);
    assert_eq!(names(&history), ["", "", "G2", "G2"]);
}

/// A reader makes it visible that the older of two writers came second (Fekete, O'Neil, O'Neil, 2004).
#[test]
fn the_read_only_anomaly_is_g2() {
    let history = together(&[
        &[read(1, &[]), read(2, &[]), append(1, 1)],
        &[read(2, &[]), append(2, 1)],
        &[read(1, &[]), read(2, &[1])],
    ]);
    assert_eq!(names(&history), ["", "", "G2", "G2"]);
}

#[test]
fn a_stale_read_is_found_where_time_counts() {
    let history = in_turn(&[&[append(1, 1)], &[read(1, &[])]]);
    assert_eq!(names(&history), ["", "G-single-realtime", "", "G-single-realtime"]);
    // And so is a commit that is lost, whoever reads later.
    let history = in_turn(&[&[append(1, 1)], &[append(1, 2)], &[read(1, &[2])]]);
    assert_eq!(names(&history), ["", "G0-realtime", "", "G0-realtime"]);
    assert_eq!(names(&together(&[&[append(1, 1)], &[append(1, 2)], &[read(1, &[2])]])), [""; 4]);
}

#[test]
fn a_cycle_is_told_in_words() {
    let history = together(&[&[append(1, 1), append(2, 1)], &[read(1, &[1]), read(2, &[])]]);
    let told = check(&history, Level::Snapshot).unwrap_err().to_string();
    let expected =
        "G-single: transaction 0 is read at key 1 by 1, which read at key 2 the version before that of 0";
    assert_eq!(told, expected);
}

/// How a store breaks its promise, now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    No,
    /// Two writers of a key both commit.
    LostUpdates,
    /// One read of a transaction sees what is newest.
    NewestReads,
    /// A transaction reads from before its begin.
    OldSnapshots,
    /// What was aborted is there.
    AbortedWrites,
    /// A commit disappears.
    LostCommits,
}

/// Histories of a store with versions: snapshots, the first committer wins, and if asked also no read may have been overwritten.
struct Store {
    random: u64,
    /// Keys in use; they change from time to time, so that lists stay short.
    keys: std::ops::Range<u64>,
    /// Each version: when it was committed, and the list.
    versions: BTreeMap<u64, Vec<(u64, Vec<u64>)>>,
    now: u64,
    serializable: bool,
    broken: Broken,
    next_value: u64,
}

struct Running {
    begin: u64,
    snapshot: u64,
    operations: Vec<Operation>,
    left: u64,
}

impl Store {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) % bound
    }

    fn list(&self, key: u64, at: u64) -> Vec<u64> {
        let versions = self.versions.get(&key).map_or(&[][..], Vec::as_slice);
        versions
            .iter()
            .rev()
            .find(|(committed, _)| *committed <= at)
            .map_or(Vec::new(), |(_, list)| list.clone())
    }

    fn changed_since(&self, key: u64, at: u64) -> bool {
        self.versions
            .get(&key)
            .and_then(|versions| versions.last())
            .is_some_and(|(committed, _)| *committed > at)
    }

    fn breaks(&mut self, how: Broken) -> bool {
        self.broken == how && self.below(4) == 0
    }

    fn step(&mut self, running: &mut Running) {
        let key = self.keys.start + self.below(self.keys.end - self.keys.start);
        running.left -= 1;
        if self.below(2) == 0 {
            self.next_value += 1;
            running.operations.push(append(key, self.next_value));
            return;
        }
        let at = if self.breaks(Broken::NewestReads) { self.now } else { running.snapshot };
        let mut list = self.list(key, at);
        let own = running.operations.iter().filter_map(|operation| match operation {
            Append { key: of, value } if *of == key => Some(*value),
            _ => None,
        });
        list.extend(own);
        let before = running.operations.iter().rev().find_map(|operation| match operation {
            Read { key: of, list } if *of == key => Some(list.len()),
            _ => None,
        });
        if before.is_some() && self.broken == Broken::NewestReads {
            return; // it would contradict itself, which is another anomaly
        }
        running.operations.push(Read { key, list });
    }

    fn end(&mut self, running: Running) -> Transaction {
        let Running { begin, snapshot, operations, .. } = running;
        self.now += 1;
        let mut appended: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut conflicts = false;
        for operation in &operations {
            match operation {
                Append { key, value } => {
                    appended.entry(*key).or_default().push(*value);
                    conflicts |= self.changed_since(*key, snapshot) && self.broken != Broken::LostUpdates;
                }
                Read { key, .. } => conflicts |= self.serializable && self.changed_since(*key, snapshot),
            }
        }
        let aborted = conflicts || self.below(20) == 0;
        if (!aborted && !self.breaks(Broken::LostCommits)) || (aborted && self.breaks(Broken::AbortedWrites))
        {
            for (key, values) in appended {
                let mut list = self.list(key, self.now);
                list.extend(values);
                self.versions.entry(key).or_default().push((self.now, list));
            }
        }
        let outcome = match (aborted, self.below(30)) {
            (true, _) => Outcome::Aborted,
            (false, 0) => Outcome::Unknown,
            (false, _) => Outcome::Committed,
        };
        self.now += 1;
        Transaction { operations, outcome, begin, end: self.now }
    }

    fn history(seed: u64, count: usize, serializable: bool, broken: Broken) -> Vec<Transaction> {
        let versions = BTreeMap::new();
        let mut store =
            Store { random: seed, keys: 0..1, versions, now: 10, serializable, broken, next_value: 0 };
        let keys = 2 + store.below(8);
        let mut running: Vec<Running> = Vec::new();
        let mut history = Vec::new();
        while history.len() < count {
            store.now += 1;
            let first = history.len() as u64 / 200 * 100;
            store.keys = first..first + keys;
            if running.len() < 4 {
                let begin = store.now;
                let late = if store.breaks(Broken::OldSnapshots) { store.below(30) } else { 0 };
                let (operations, left) = (Vec::new(), 1 + store.below(5));
                running.push(Running { begin, snapshot: begin.saturating_sub(late), operations, left });
            }
            let chosen = store.below(running.len() as u64) as usize;
            if running[chosen].left > 0 {
                store.step(&mut running[chosen]);
            } else {
                let ended = running.swap_remove(chosen);
                history.push(store.end(ended));
            }
        }
        history
    }
}

#[test]
fn random_histories_of_a_sound_store_pass() {
    let (mut skewed, mut counted) = (0, 0);
    for seed in 0..300 {
        let history = Store::history(seed, 200, false, Broken::No);
        assert_eq!(check(&history, Level::StrongSnapshot), Ok(()), "seed {seed}");
        skewed += usize::from(check(&history, Level::Serializable).is_err());
        let history = Store::history(seed, 200, true, Broken::No);
        for level in LEVELS {
            assert_eq!(check(&history, level), Ok(()), "seed {seed}");
        }
        counted += history.iter().filter(|transaction| transaction.outcome == Outcome::Committed).count();
    }
    assert!(skewed > 250, "snapshot isolation is not serializable: {skewed} of 300");
    assert!(counted > 15_000, "{counted}");
}

#[test]
fn random_histories_of_broken_stores_do_not() {
    for (broken, level) in [
        (Broken::LostUpdates, Level::Snapshot),
        (Broken::NewestReads, Level::Snapshot),
        (Broken::AbortedWrites, Level::Snapshot),
        (Broken::OldSnapshots, Level::StrongSnapshot),
        (Broken::LostCommits, Level::StrongSnapshot),
        (Broken::No, Level::Serializable),
    ] {
        let caught =
            (0..40).filter(|&seed| check(&Store::history(seed, 200, false, broken), level).is_err()).count();
        assert!(caught >= 20, "{broken:?}: {caught} of 40");
    }
}

#[test]
fn many_transactions_take_no_more_than_their_share() {
    let history = Store::history(7, 100_000, true, Broken::No);
    assert_eq!(check(&history, Level::StrictSerializable), Ok(()));
}
