//! Tests of the gate with real threads.

use super::*;
use crate::atomic::AtomicU64;
use crate::thread;
use std::sync::mpsc;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn opens_again_after_each_closure() {
    let gate = Gate::new();
    for _ in 0..3 {
        drop(gate.enter());
        drop(gate.close(Duration::ZERO).expect("nobody is inside"));
    }
}

#[test]
fn closer_gives_up_and_leaves_the_gate_open() {
    let gate = Gate::new();
    thread::scope(|scope| {
        let (entered, is_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let gate = &gate;
        scope.spawn(move || {
            let pass = gate.enter();
            entered.send(()).unwrap();
            may_leave.recv().unwrap();
            drop(pass);
        });
        is_entered.recv().unwrap();
        let begun = Instant::now();
        assert!(gate.close(Duration::ZERO).is_none());
        assert!(begun.elapsed() < LONG);
        let begun = Instant::now();
        assert!(gate.close(Duration::from_millis(5)).is_none());
        assert!(begun.elapsed() >= Duration::from_millis(5));
        drop(gate.enter()); // the gate is open to others meanwhile
        leave.send(()).unwrap();
        drop(gate.close(LONG).expect("the other leaves"));
    });
}

#[test]
fn passers_wait_while_it_is_closed_and_pass_when_it_opens() {
    let gate = Gate::new();
    let passed = AtomicU64::new(0);
    thread::scope(|scope| {
        let closed = gate.close(Duration::ZERO).unwrap();
        for _ in 0..4 {
            scope.spawn(|| {
                let _pass = gate.enter();
                passed.fetch_add(1, Ordering::Relaxed);
            });
        }
        thread::sleep(Duration::from_millis(20)); // long enough for them to fall asleep
        assert_eq!(passed.load(Ordering::Relaxed), 0, "GA1");
        drop(closed);
    });
    assert_eq!(passed.load(Ordering::Relaxed), 4);
}

#[test]
fn panic_of_a_passer_or_of_a_closer_leaves_the_gate_open() {
    let gate = Gate::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _pass = gate.enter();
        panic!("inside");
    }));
    assert!(caught.is_err());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _closed = gate.close(Duration::ZERO).expect("nobody is inside");
        panic!("closed");
    }));
    assert!(caught.is_err());
    drop(gate.enter());
    drop(gate.close(Duration::ZERO).expect("nobody is inside"));
}

/// More threads than slots pass while others close: both words are always seen equal.
#[test]
fn many_passers_and_two_closers() {
    const PASSERS: u64 = SLOTS as u64 + 6;
    const PASSES: u64 = 300;
    let gate = Gate::new();
    let (epoch, begun, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let left = AtomicU64::new(PASSERS);
    let flips: u64 = thread::scope(|scope| {
        for _ in 0..PASSERS {
            scope.spawn(|| {
                for _ in 0..PASSES {
                    let pass = gate.enter();
                    let before = epoch.load(Ordering::Relaxed);
                    begun.fetch_add(1, Ordering::Relaxed);
                    ended.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(epoch.load(Ordering::Relaxed), before, "GA1");
                    drop(pass);
                }
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let closers = [Duration::ZERO, Duration::from_micros(500)].map(|patience| {
            let (gate, epoch, begun, ended, left) = (&gate, &epoch, &begun, &ended, &left);
            scope.spawn(move || {
                let mut flips = 0;
                while flips == 0 || left.load(Ordering::Relaxed) > 0 {
                    if let Some(closed) = gate.close(patience) {
                        let changes = begun.load(Ordering::Relaxed);
                        assert_eq!(changes, ended.load(Ordering::Relaxed), "GA2: half a pass is seen");
                        // Not a fetch_add: other closers are kept out.
                        epoch.store(epoch.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        flips += 1;
                        drop(closed);
                    }
                    thread::yield_now();
                }
                flips
            })
        });
        closers.into_iter().map(|closer| closer.join().unwrap()).sum()
    });
    assert_eq!(begun.load(Ordering::Relaxed), PASSERS * PASSES);
    assert_eq!(epoch.load(Ordering::Relaxed), flips, "a closer lost another's flip");
}

#[cfg(debug_assertions)]
mod ranks {
    use super::*;

    #[test]
    #[should_panic(expected = "lock order: Gate taken while holding Gate")]
    fn entering_twice_panics() {
        let gate = Gate::new();
        let _pass = gate.enter();
        let _again = gate.enter();
    }

    #[test]
    #[should_panic(expected = "lock order: Gate taken while holding Gate")]
    fn closing_from_inside_panics() {
        let gate = Gate::new();
        let _pass = gate.enter();
        let _closed = gate.close(Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "lock order: Gate taken while holding Pool")]
    fn entering_with_a_later_lock_panics() {
        let (gate, pool) = (Gate::new(), Mutex::new(Rank::Pool, ()));
        let _guard = pool.lock();
        let _pass = gate.enter();
    }

    #[test]
    fn refused_entry_leaves_nothing_behind() {
        let (gate, pool) = (Gate::new(), Mutex::new(Rank::Pool, ()));
        let guard = pool.lock();
        let entered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(gate.enter())));
        assert!(entered.is_err());
        drop(guard);
        drop(gate.close(Duration::ZERO).expect("nobody was counted"));
    }

    #[test]
    fn later_locks_may_be_taken_inside_and_while_closed() {
        let (gate, pool) = (Gate::new(), Mutex::new(Rank::Pool, ()));
        let pass = gate.enter();
        drop(pool.lock());
        drop(pass);
        let closed = gate.close(Duration::ZERO).unwrap();
        drop(pool.lock());
        drop(closed);
        let catalog = Mutex::new(Rank::Catalog, ());
        drop(catalog.lock()); // nothing of the gate's rank is held any more
    }

    /// The rank is given back while waiting, and noted again afterwards.
    #[test]
    fn waiting_at_the_gate_keeps_the_ranks_right() {
        let gate = Gate::new();
        thread::scope(|scope| {
            let closed = gate.close(Duration::ZERO).unwrap();
            let waiter = scope.spawn(|| {
                let pass = gate.enter();
                let catalog = Mutex::new(Rank::Catalog, ());
                let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(catalog.lock())));
                drop(pass);
                drop(catalog.lock());
                refused.is_err()
            });
            thread::sleep(Duration::from_millis(20));
            drop(closed);
            assert!(waiter.join().unwrap(), "the rank is held inside");
        });
    }
}
