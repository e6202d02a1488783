//! Tests of the locks.

use super::*;
use crate::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn mutex_excludes() {
    let mutex = Mutex::new(Rank::Leaf, 0_u64);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    *mutex.lock() += 1;
                }
            });
        }
    });
    assert_eq!(*mutex.lock(), 40_000);
}

#[test]
fn try_lock_fails_while_it_is_held() {
    let mutex = Mutex::new(Rank::Leaf, 1);
    let guard = mutex.try_lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert!(mutex.try_lock().is_none()));
    });
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert_eq!(mutex.try_lock().map(|guard| *guard), Some(1));
}

#[test]
fn get_mut_needs_no_lock() {
    let mut mutex = Mutex::new(Rank::Leaf, 1);
    *mutex.get_mut() = 2;
    assert_eq!(*mutex.lock(), 2);
}

#[test]
fn panic_of_a_holder_poisons_nothing() {
    let (mutex, lock) = (Mutex::new(Rank::Leaf, 1), RwLock::new(Rank::Leaf, 1));
    for _ in 0..2 {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _guard = mutex.lock();
            panic!("held");
        }));
        assert!(caught.is_err());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.write();
            panic!("held");
        }));
        assert!(caught.is_err());
    }
    assert_eq!(*mutex.lock(), 1);
    assert_eq!(mutex.try_lock().map(|guard| *guard), Some(1));
    assert_eq!(*lock.read(), 1);
    assert_eq!(*lock.write(), 1);
}

#[test]
fn condvar_wakes_one_or_all() {
    let (mutex, changed) = (Mutex::new(Rank::Leaf, 0), Condvar::new());
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut tokens = mutex.lock();
                    while *tokens == 0 {
                        tokens = changed.wait(tokens);
                    }
                    *tokens -= 1;
                })
            })
            .collect();
        *mutex.lock() += 1;
        changed.notify_one();
        *mutex.lock() += 2;
        changed.notify_all();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
    assert_eq!(*mutex.lock(), 0);
}

#[test]
fn wait_timeout_comes_back_unnotified_with_the_lock() {
    let (mutex, changed) = (Mutex::new(Rank::Leaf, 5), Condvar::new());
    let begun = std::time::Instant::now();
    let mut guard = mutex.lock();
    while begun.elapsed() < Duration::from_millis(10) {
        guard = changed.wait_timeout(guard, Duration::from_millis(10));
    }
    assert_eq!(*guard, 5);
    assert!(mutex.try_lock().is_none(), "held again");
}

#[test]
fn readers_share_and_writers_exclude() {
    let lock = RwLock::new(Rank::Leaf, (0_u64, 0_u64));
    let (first, together) = (lock.read(), std::sync::Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _second = lock.read(); // beside `first`
            together.wait();
        });
        together.wait();
    });
    drop(first);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    let mut pair = lock.write();
                    pair.0 += 1;
                    pair.1 += 1;
                }
            });
            scope.spawn(|| {
                for _ in 0..5000 {
                    let pair = lock.read();
                    assert_eq!(pair.0, pair.1);
                }
            });
        }
    });
    assert_eq!(*lock.read(), (10_000, 10_000));
}

#[cfg(debug_assertions)]
mod ranks {
    use super::*;

    #[test]
    #[should_panic(expected = "lock order: Pool taken while holding Space")]
    fn taking_an_earlier_lock_panics() {
        let (pool, space) = (Mutex::new(Rank::Pool, ()), Mutex::new(Rank::Space, ()));
        let _space = space.lock();
        let _pool = pool.lock();
    }

    #[test]
    #[should_panic(expected = "lock order: Leaf taken while holding Leaf")]
    fn two_leaves_panic() {
        let (one, other) = (Mutex::new(Rank::Leaf, ()), RwLock::new(Rank::Leaf, ()));
        let _one = one.lock();
        let _other = other.read();
    }

    #[test]
    #[should_panic(expected = "lock order: Catalog taken while holding Catalog")]
    fn reading_twice_panics() {
        let catalog = RwLock::new(Rank::Catalog, ());
        let _one = catalog.read();
        let _two = catalog.read(); // would wait for itself if a writer came in between
    }

    #[test]
    #[should_panic(expected = "lock order: Pool taken while holding Log")]
    fn locks_got_by_trying_count_for_later_ones() {
        let (pool, log) = (Mutex::new(Rank::Pool, ()), Mutex::new(Rank::Log, ()));
        let _log = log.try_lock();
        let _pool = pool.lock();
    }

    /// Takes the outermost rank, which nothing else may be held for.
    fn check_nothing_is_held() {
        drop(Mutex::new(Rank::Maintenance, ()).lock());
    }

    #[test]
    fn every_release_gives_its_rank_back() {
        let (mutex, lock) = (Mutex::new(Rank::Pool, 0), RwLock::new(Rank::Pool, 0));
        drop(mutex.lock());
        check_nothing_is_held();
        drop(mutex.try_lock());
        check_nothing_is_held();
        drop(lock.read());
        check_nothing_is_held();
        drop(lock.write());
        check_nothing_is_held();
        let changed = Condvar::new();
        let guard = changed.wait_timeout(mutex.lock(), Duration::from_millis(1));
        let earlier = Mutex::new(Rank::Gate, ());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(earlier.lock()))).is_err(), "held after waiting");
        drop(guard);
        check_nothing_is_held();
    }

    #[test]
    fn refused_lock_is_not_taken() {
        let (pool, space) = (Mutex::new(Rank::Pool, ()), Mutex::new(Rank::Space, ()));
        let guard = space.lock();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.lock()))).is_err());
        assert!(pool.try_lock().is_some());
        drop(guard);
        check_nothing_is_held();
    }
}
