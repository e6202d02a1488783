//! Models of the gate. What passers and closer touch is plain memory: loom fails a model in which two
//! accesses to it are not ordered, which is GA1 and GA2 in one. The outcomes are the epochs that passers saw.

use super::*;
use crate::Arc;
use crate::model::{Plain, explore};
use loom::thread;

/// Looks in vain that never run out within a model.
const PATIENT: Duration = Duration::from_secs(1);

struct Database {
    gate: Gate,
    /// Written by the closer, read by passers.
    epoch: Plain,
    /// Written by passers, each its own, and read by the closer.
    changes: [Plain; 3],
}

impl Database {
    fn new() -> Arc<Database> {
        let changes = [(); 3].map(|()| Plain::new(0));
        Arc::new(Database { gate: Gate::new(), epoch: Plain::new(1), changes })
    }

    fn change(&self, number: usize) -> u64 {
        let pass = self.gate.enter();
        let epoch = self.epoch.read();
        self.changes[number].write(epoch);
        assert_eq!(self.epoch.read(), epoch, "GA1: the epoch rose during a pass");
        drop(pass);
        epoch
    }

    /// Closes the gate, raises the epoch, and says in which epoch each change was made, or zero.
    fn flip(&self, patience: Duration) -> Option<[u64; 3]> {
        let closed = self.gate.close(patience)?;
        let seen = std::array::from_fn(|number| self.changes[number].read());
        self.epoch.write(self.epoch.read() + 1);
        drop(closed);
        Some(seen)
    }
}

fn change_in_thread(database: &Arc<Database>, number: usize) -> thread::JoinHandle<u64> {
    let database = Arc::clone(database);
    thread::spawn(move || database.change(number))
}

/// GA1, GA2: a change is seen by the flip of its epoch, and one that comes later sees the new epoch.
fn check(seen: u64, epoch: u64) {
    match epoch {
        1 => assert_eq!(seen, 1, "GA2: made before the flip, but not seen by it"),
        2 => assert_eq!(seen, 0, "GA1: made after the flip, but seen by it"),
        _ => panic!("epoch {epoch}"),
    }
}

#[test]
fn two_passers_and_a_closer() {
    explore(&[[1, 1], [1, 2], [2, 1], [2, 2]], || {
        let database = Database::new();
        let passers = [0, 1].map(|number| change_in_thread(&database, number));
        let seen = database.flip(PATIENT).expect("everybody leaves");
        let epochs = passers.map(|passer| passer.join().unwrap());
        (0..2).for_each(|number| check(seen[number], epochs[number]));
        epochs
    });
}

/// The closer's own thread passes too, before and after; with the others, three threads share two slots.
#[test]
fn passers_that_share_a_slot() {
    explore(&[[1, 1], [1, 2], [2, 1], [2, 2]], || {
        let database = Database::new();
        let passers = [0, 1].map(|number| change_in_thread(&database, number));
        assert_eq!(database.change(2), 1);
        let seen = database.flip(PATIENT).expect("everybody leaves");
        assert_eq!(seen[2], 1);
        let epochs = passers.map(|passer| passer.join().unwrap());
        (0..2).for_each(|number| check(seen[number], epochs[number]));
        assert_eq!(database.change(2), 2, "GA2");
        epochs
    });
}

/// A closer that gives up leaves the gate open, and nobody asleep. The outcome says whether it gave up.
#[test]
fn closer_without_patience() {
    let given_up = (None, [1, 1]);
    let flipped = [[1, 1], [1, 2], [2, 1], [2, 2]].map(|epochs| (Some(()), epochs));
    explore(&[&[given_up], &flipped[..]].concat(), || {
        let database = Database::new();
        let passers = [0, 1].map(|number| change_in_thread(&database, number));
        let seen = database.flip(Duration::ZERO);
        let epochs = passers.map(|passer| passer.join().unwrap());
        if let Some(seen) = seen {
            (0..2).for_each(|number| check(seen[number], epochs[number]));
        }
        let last = database.flip(Duration::ZERO).expect("nobody is inside");
        assert_eq!(last[..2], epochs, "GA2");
        (seen.map(|_| ()), epochs)
    });
}

/// Two closers, one of which may give up: each sees what the other did, and passes never overlap with either.
/// The outcome says whether the other flipped, and the epoch that the passer saw.
#[test]
fn two_closers_and_a_passer() {
    explore(&[(false, 1), (false, 2), (true, 1), (true, 2), (true, 3)], || {
        let database = Database::new();
        let passer = change_in_thread(&database, 0);
        let closer = {
            let database = Arc::clone(&database);
            thread::spawn(move || database.flip(Duration::from_micros(1)).is_some())
        };
        let seen = database.flip(PATIENT).expect("everybody leaves");
        let other_flipped = closer.join().unwrap();
        let epoch = passer.join().unwrap();
        assert!(seen[0] == 0 || seen[0] == epoch, "GA2");
        let last = database.flip(PATIENT).expect("nobody is inside");
        assert_eq!(last[0], epoch, "GA2");
        assert_eq!(database.epoch.read(), 3 + u64::from(other_flipped));
        (other_flipped, epoch)
    });
}
