//! Tests of the latch with real threads. What only another order of memory accesses would show is in
//! `loom_tests.rs`.

use super::*;
use crate::atomic::AtomicBool;
use crate::thread;
use std::time::{Duration, Instant};

fn state(latch: &Latch) -> u64 {
    latch.0.load(Ordering::Relaxed) & STATE
}

fn version_number(version: Version) -> u64 {
    version.0 >> 16
}

#[test]
fn version_rises_at_exclusive_release_and_never_otherwise() {
    let latch = Latch::new();
    let check = |expected| assert_eq!(version_number(latch.version()), expected, "LA2");
    check(0);
    latch.lock_exclusive();
    check(0);
    latch.unlock_exclusive();
    check(1);
    latch.lock_shared();
    latch.unlock_shared();
    check(1);
    assert!(latch.try_lock_exclusive());
    latch.unlock_unchanged();
    check(1);
    latch.upgrade(latch.version()).unwrap();
    latch.unlock_exclusive();
    check(2);
    assert_eq!(state(&latch), 0);
}

#[test]
fn exclusive_keeps_everybody_out() {
    let latch = Latch::new();
    let before = latch.optimistic().unwrap();
    latch.lock_exclusive();
    assert!(!latch.try_lock_exclusive());
    assert!(!latch.try_lock_shared());
    assert_eq!(latch.optimistic(), Err(Restart));
    assert_eq!(latch.validate(before), Err(Restart));
    assert_eq!(latch.upgrade(before), Err(Restart));
    assert_eq!(latch.upgrade(latch.version()), Err(Restart));
    assert_eq!(state(&latch), EXCLUSIVE, "LA1");
    latch.unlock_exclusive();
    assert!(latch.optimistic().is_ok());
}

#[test]
fn shared_keeps_out_exclusive_only() {
    let latch = Latch::new();
    let version = latch.optimistic().unwrap();
    assert!(latch.try_lock_shared());
    assert!(latch.try_lock_shared());
    assert_eq!(state(&latch), 2);
    assert!(!latch.try_lock_exclusive());
    assert_eq!(latch.upgrade(version), Err(Restart));
    assert_eq!(latch.optimistic(), Ok(version));
    assert_eq!(latch.validate(version), Ok(()));
    latch.unlock_shared();
    assert!(!latch.try_lock_exclusive());
    latch.unlock_shared();
    assert_eq!(latch.upgrade(version), Ok(()));
    latch.unlock_unchanged();
}

#[test]
fn validate_fails_after_a_change_and_not_after_none() {
    let latch = Latch::new();
    let version = latch.optimistic().unwrap();
    latch.lock_exclusive();
    latch.unlock_unchanged();
    assert_eq!(latch.validate(version), Ok(()));
    latch.lock_exclusive();
    latch.unlock_exclusive();
    assert_eq!(latch.validate(version), Err(Restart));
    assert_eq!(latch.upgrade(version), Err(Restart));
}

#[test]
fn shared_holders_are_bounded() {
    let latch = Latch::new();
    for _ in 0..SHARED_MAX {
        assert!(latch.try_lock_shared());
    }
    assert!(!latch.try_lock_shared(), "one more would read as exclusive");
    assert_eq!(state(&latch), SHARED_MAX);
    for _ in 0..SHARED_MAX {
        latch.unlock_shared();
    }
    assert_eq!((state(&latch), version_number(latch.version())), (0, 0));
}

#[test]
fn version_wraps_round_without_touching_the_state() {
    let latch = Latch(AtomicU64::new(!STATE));
    assert_eq!(version_number(latch.version()), (1 << 48) - 1);
    latch.lock_exclusive();
    latch.unlock_exclusive();
    assert_eq!(latch.0.load(Ordering::Relaxed), 0);
}

#[cfg(debug_assertions)]
mod misuse {
    use super::*;

    #[test]
    #[should_panic(expected = "LA1: unlock_exclusive of a latch not held")]
    fn exclusive_release_of_a_shared_latch_panics() {
        let latch = Latch::new();
        latch.lock_shared();
        latch.unlock_exclusive();
    }

    #[test]
    #[should_panic(expected = "LA1: unlock_unchanged of a latch not held")]
    fn unchanged_release_of_a_free_latch_panics() {
        Latch::new().unlock_unchanged();
    }

    #[test]
    #[should_panic(expected = "LA1: unlock_shared of a latch not held")]
    fn shared_release_of_a_free_latch_panics() {
        Latch::new().unlock_shared();
    }

    #[test]
    #[should_panic(expected = "LA1: unlock_shared of a latch not held")]
    fn shared_release_of_an_exclusive_latch_panics() {
        let latch = Latch::new();
        latch.lock_exclusive();
        latch.unlock_shared();
    }
}

/// A latch and what it protects: eight words that always hold the version's number.
#[derive(Default)]
struct Protected {
    latch: Latch,
    words: [AtomicU64; 8],
}

impl Protected {
    /// To be called by the exclusive holder.
    fn change(&self) {
        for word in &self.words {
            word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    fn values(&self) -> [u64; 8] {
        std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed))
    }

    fn read_optimistically(&self) -> Result<(), Restart> {
        let version = self.latch.optimistic()?;
        let values = self.values();
        self.latch.validate(version)?;
        assert_eq!(values, [version_number(version); 8], "LA3");
        Ok(())
    }

    fn read_shared(&self) {
        let values = self.values();
        assert_eq!(values, [version_number(self.latch.version()); 8], "LA1");
    }
}

/// All ways to use a latch at once: no change is lost, and nobody sees half of one.
#[test]
fn holders_and_readers_never_see_half_a_change() {
    const CHANGES: u64 = 20_000;
    let protected = Protected::default();
    let (latch, done) = (&protected.latch, AtomicBool::new(false));
    thread::scope(|scope| {
        let writers = [
            scope.spawn(|| {
                for _ in 0..CHANGES {
                    latch.lock_exclusive();
                    protected.change();
                    latch.unlock_exclusive();
                }
            }),
            scope.spawn(|| {
                let mut changes = 0;
                while changes < CHANGES {
                    let Ok(version) = latch.optimistic() else { continue };
                    if latch.upgrade(version).is_ok() {
                        assert_eq!(protected.values(), [version_number(version); 8], "LA3");
                        protected.change();
                        latch.unlock_exclusive();
                        changes += 1;
                    }
                }
            }),
        ];
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                latch.lock_shared();
                protected.read_shared();
                latch.unlock_shared();
                thread::yield_now();
            }
        });
        let optimist = scope.spawn(|| {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) {
                reads += u64::from(protected.read_optimistically().is_ok());
            }
            reads
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        protected.read_optimistically().expect("nobody changes it any more");
        done.store(true, Ordering::Relaxed);
        optimist.join().unwrap();
    });
    assert_eq!(protected.values(), [2 * CHANGES; 8]);
}

/// "No precedence": readers that come for the shared latch only after failing twice do not starve a writer.
#[test]
fn writer_gets_through_readers_that_begin_optimistically() {
    let protected = Protected::default();
    let (latch, done) = (&protected.latch, AtomicBool::new(false));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if (0..2).any(|_| protected.read_optimistically().is_ok()) {
                        continue;
                    }
                    latch.lock_shared();
                    protected.read_shared();
                    latch.unlock_shared();
                }
            });
        }
        for _ in 0..2000 {
            latch.lock_exclusive();
            protected.change();
            latch.unlock_exclusive();
            assert!(begun.elapsed() < Duration::from_secs(60), "the writer starves");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(protected.values(), [2000; 8]);
}
