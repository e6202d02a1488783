//! Two appenders and a collector, in every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p aquifer-wal --lib --release loom`

use super::Ring;
use crate::progress::{Goal, Progress, Step};
use aquifer_sync::{Arc, Condvar, Mutex, Rank};
use loom::thread;

/// A record of `byte`s: three bytes of log.
fn append(ring: &Ring, byte: u8) -> Option<u64> {
    let start = ring.reserve(3)?;
    ring.write(start, &[2, byte, byte]);
    ring.publish(start);
    Some(start)
}

fn collect(ring: &Ring, from: u64) -> Vec<u8> {
    let end = ring.scan(from);
    let mut bytes = vec![0; (end - from) as usize];
    ring.take(from, &mut bytes);
    bytes
}

fn assert_whole(bytes: &[u8]) {
    for record in bytes.chunks(3) {
        assert!(record == [2, 0xAA, 0xAA] || record == [2, 0xBB, 0xBB], "RI4: {record:x?}");
    }
}

#[test]
fn loom_the_collector_sees_whole_records_in_order() {
    loom::model(|| {
        // The records share a word, and lie across the end of the ring.
        let ring = Arc::new(Ring::new(64, 61));
        let appenders: Vec<_> = [0xAA, 0xBB]
            .into_iter()
            .map(|byte| {
                let ring = ring.clone();
                thread::spawn(move || append(&ring, byte).expect("there is room"))
            })
            .collect();
        let mut bytes = collect(&ring, 61);
        assert_whole(&bytes);
        let starts: Vec<u64> = appenders.into_iter().map(|appender| appender.join().unwrap()).collect();
        assert_eq!(starts[0] ^ starts[1], 61 ^ 64, "RI1");
        bytes.extend(collect(&ring, 61 + bytes.len() as u64));
        assert_eq!(bytes.len(), 6);
        assert_whole(&bytes);
    });
}

#[test]
fn loom_a_freed_place_is_written_again() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(64, 0));
        // All but two bytes are in use; the collector frees 62 of them.
        let start = ring.reserve(62 / 4).expect("room");
        ring.write(start, &[vec![14], vec![0xFF; 14]].concat());
        ring.publish(start);
        for _ in 0..3 {
            let start = ring.reserve(16).expect("room");
            ring.write(start, &[vec![15], vec![0xFF; 15]].concat());
            ring.publish(start);
        }
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || append(&ring, 0xAA))
        };
        let bytes = collect(&ring, 0);
        let appended = appender.join().unwrap();
        assert!(bytes.len() == 63 || bytes.len() == 66);
        let rest = collect(&ring, bytes.len() as u64);
        match appended {
            None => assert!(rest.is_empty()),
            Some(start) => {
                assert_eq!(start, 63);
                assert_whole(&[&bytes[63..], &rest[..]].concat());
            }
        }
    });
}

/// The whole of group commit but for the disk: appenders that lead and follow.
#[test]
fn loom_every_appender_gets_its_record_flushed() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let shared = Arc::new(Shared {
            ring: Ring::new(64, 0),
            progress: Mutex::new(Rank::Leaf, (Progress::new(0, 2), 0)),
            changed: Condvar::new(),
        });
        let appenders: Vec<_> = [0xAA, 0xBB]
            .into_iter()
            .map(|byte| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let start = append(&shared.ring, byte).expect("there is room");
                    shared.reach(Goal::Durable(start + 3));
                })
            })
            .collect();
        for appender in appenders {
            appender.join().unwrap();
        }
        assert_eq!(shared.progress.lock().0.durable(), 6);
    });
}

struct Shared {
    ring: Ring,
    /// With the position up to which the ring was emptied.
    progress: Mutex<(Progress<()>, u64)>,
    changed: Condvar,
}

impl Shared {
    fn reach(&self, goal: Goal) {
        let mut guard = self.progress.lock();
        loop {
            match guard.0.next_step(goal) {
                Step::Done => return,
                Step::Wait(_) => guard = self.changed.wait(guard),
                Step::Sync { .. } => unreachable!("all flights are through"),
                Step::Collect { through } => {
                    let from = guard.1;
                    drop(guard);
                    let bytes = collect(&self.ring, from);
                    assert_whole(&bytes);
                    guard = self.progress.lock();
                    if bytes.is_empty() {
                        guard.0.collected_nothing();
                        drop(guard);
                        thread::yield_now();
                        guard = self.progress.lock();
                        continue;
                    }
                    guard.1 += bytes.len() as u64;
                    let end = guard.1;
                    let id = guard.0.collected(end, through, &());
                    drop(guard);
                    guard = self.progress.lock();
                    guard.0.completed(id);
                    self.changed.notify_all();
                }
            }
        }
    }
}
