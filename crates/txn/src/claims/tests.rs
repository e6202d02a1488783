//! Tests of claims.

use super::*;
use aquifer_sync::atomic::AtomicBool;
use aquifer_sync::thread;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

/// Runs `f` once so many claimants wait.
fn when_waiting(claims: &Claims, count: usize, f: impl FnOnce()) {
    while claims.state.lock().waits.len() < count {
        thread::yield_now();
    }
    f();
}

#[test]
fn a_key_goes_to_the_first_in_line() {
    let claims = Claims::new();
    let order = Mutex::new(Rank::Leaf, Vec::new());
    let mut first = claims.claimant();
    first.claim(1, b"k", LONG).unwrap();
    first.claim(1, b"k", LONG).unwrap(); // again
    thread::scope(|scope| {
        for number in 0..3 {
            when_waiting(&claims, number, || ());
            let (claims, order) = (&claims, &order);
            scope.spawn(move || {
                let mut claimant = claims.claimant();
                claimant.claim(1, b"k", LONG).unwrap();
                order.lock().push(number);
            });
        }
        when_waiting(&claims, 3, || drop(first));
    });
    assert_eq!(*order.lock(), [0, 1, 2]);
    assert_eq!((claims.count(), claims.any()), (0, false));
}

#[test]
fn waiting_ends_after_the_timeout_and_leaves_no_trace() {
    let claims = Claims::new();
    let (mut first, mut second) = (claims.claimant(), claims.claimant());
    first.claim(1, b"k", LONG).unwrap();
    let begun = Instant::now();
    let refused = second.claim(1, b"k", SHORT);
    assert_eq!(refused, Err(Error::LockTimeout { table: 1, key: b"k".to_vec(), waited: SHORT }));
    assert!(begun.elapsed() >= SHORT);
    assert!(claims.state.lock().waits.is_empty());
    drop(first);
    assert_eq!(claims.count(), 0);
    second.claim(1, b"k", SHORT).unwrap();
}

#[test]
fn commits_honour_claims_and_hold_nothing() {
    let claims = Claims::new();
    claims.honour(1, b"k", SHORT).unwrap();
    let mut holder = claims.claimant();
    holder.claim(1, b"k", SHORT).unwrap();
    holder.honour(1, b"k", SHORT).unwrap(); // its own
    claims.honour(1, b"j", SHORT).unwrap(); // another key
    assert!(matches!(claims.honour(1, b"k", SHORT), Err(Error::LockTimeout { .. })));
    thread::scope(|scope| {
        let waiting =
            [scope.spawn(|| claims.honour(1, b"k", LONG)), scope.spawn(|| claims.honour(1, b"k", LONG))];
        when_waiting(&claims, 2, || drop(holder));
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
    assert_eq!(claims.count(), 0);
}

#[test]
fn of_a_circle_the_youngest_gives_way() {
    let claims = Claims::new();
    let mut claimants: Vec<_> = (0..3).map(|_| claims.claimant()).collect();
    for (number, claimant) in claimants.iter_mut().enumerate() {
        claimant.claim(1, &[number as u8], LONG).unwrap();
    }
    // 1 and 2 wait; 0 closes the circle, but 2 is the youngest.
    thread::scope(|scope| {
        let mut claimants = claimants.into_iter();
        let (mut zero, mut one, mut two) =
            (claimants.next().unwrap(), claimants.next().unwrap(), claimants.next().unwrap());
        let one = scope.spawn(move || one.claim(1, &[2], LONG));
        let two = scope.spawn(move || two.claim(1, &[0], LONG));
        when_waiting(&claims, 2, || ());
        zero.claim(1, &[1], LONG).unwrap(); // once 2 has given way, 1 gets its key and ends
        assert_eq!(two.join().unwrap(), Err(Error::Deadlock { table: 1, key: vec![0] }));
        one.join().unwrap().unwrap();
    });
    assert_eq!(claims.count(), 0);
}

#[test]
fn holders_exclude_each_other_under_load() {
    let claims = Claims::new();
    let inside: Vec<AtomicBool> = (0..4).map(|_| AtomicBool::new(false)).collect();
    let deadlocks = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread_number in 0..4_u64 {
            let (claims, inside, deadlocks) = (&claims, &inside, &deadlocks);
            scope.spawn(move || {
                for round in 0..500_u64 {
                    let mut claimant = claims.claimant();
                    let mut held = Vec::new();
                    for step in 0..3 {
                        let key = ((round * 31 + thread_number * 17 + step * (1 + round % 3)) % 4) as usize;
                        if held.contains(&key) {
                            continue;
                        }
                        match claimant.claim(1, &[key as u8], LONG) {
                            Ok(()) => {
                                assert!(!inside[key].swap(true, Ordering::AcqRel), "CL1");
                                held.push(key);
                            }
                            Err(error) => {
                                assert!(matches!(error, Error::Deadlock { .. }), "{error:?}");
                                deadlocks.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                    }
                    held.into_iter().for_each(|key| inside[key].store(false, Ordering::Release));
                }
            });
        }
    });
    assert_eq!(claims.count(), 0);
    assert!(claims.state.lock().waits.is_empty());
}
