//! Invariants that applications rely on, with threads: money, doctors, forks, phantoms, claims, deadlocks.

use super::store::{Level, Store};
use aquifer_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use aquifer_sync::thread;
use aquifer_txn::{Direction, Error, KeyRange};

fn number(value: Option<Vec<u8>>) -> u64 {
    value.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap()))
}

/// Runs `f` on so many threads, and `reader` beside them until they have ended.
fn beside(threads: u64, f: impl Fn(u64) + Sync, mut reader: impl FnMut()) {
    let running = AtomicUsize::new(threads as usize);
    thread::scope(|scope| {
        for thread_number in 0..threads {
            let (f, running) = (&f, &running);
            scope.spawn(move || {
                f(thread_number);
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            reader();
        }
    });
}

/// Repeats a transaction until it commits; how often it was refused.
fn transact(mut attempt: impl FnMut() -> Result<(), Error>) -> usize {
    let mut refused = 0;
    loop {
        match attempt() {
            Ok(()) => return refused,
            Err(Error::Conflict { .. } | Error::SnapshotTooOld | Error::Deadlock { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        thread::yield_now();
    }
}

#[test]
fn money_is_neither_made_nor_lost() {
    const ACCOUNTS: u64 = 10;
    let store = Store::new(1 << 20);
    for account in 0..ACCOUNTS {
        store.write(&account.to_be_bytes(), Some(&100_u64.to_be_bytes())).unwrap();
    }
    let transfers = |thread_number: u64| {
        for round in 0..3_000_u64 {
            let from = (round * 7 + thread_number * 3) % ACCOUNTS;
            let to = (from + 1 + round % (ACCOUNTS - 1)) % ACCOUNTS;
            transact(|| {
                let mut transaction = store.begin(Level::Snapshot)?;
                let balance = number(transaction.get(&from.to_be_bytes())?);
                if balance == 0 {
                    return Ok(());
                }
                let other = number(transaction.get(&to.to_be_bytes())?);
                transaction.put(&from.to_be_bytes(), &(balance - 1).to_be_bytes())?;
                transaction.put(&to.to_be_bytes(), &(other + 1).to_be_bytes())?;
                transaction.commit().map(drop)
            });
        }
    };
    let mut looks = 0;
    beside(3, transfers, || {
        let mut transaction = store.begin(Level::Snapshot).unwrap();
        let direction = if looks % 2 == 0 { Direction::Forward } else { Direction::Backward };
        let all = transaction.scan(KeyRange::all(), direction).unwrap();
        let sum: u64 = all.into_iter().map(|(_, value)| number(Some(value))).sum();
        assert_eq!(sum, 1000);
        looks += 1;
    });
    assert!(looks > 10);
}

#[test]
fn a_doctor_is_always_on_call() {
    let store = Store::new(1 << 20);
    for doctor in [b"a", b"b"] {
        store.write(doctor, Some(&1_u64.to_be_bytes())).unwrap();
    }
    let shifts = |thread_number: u64| {
        let (own, other) = if thread_number == 0 { (b"a", b"b") } else { (b"b", b"a") };
        for round in 0..4_000_u64 {
            transact(|| {
                let mut transaction = store.begin(Level::Serializable)?;
                let others = number(transaction.get(other)?);
                let leaves = round % 2 == 0 && others == 1;
                transaction.put(own, &u64::from(!leaves).to_be_bytes())?;
                transaction.commit().map(drop)
            });
        }
    };
    beside(2, shifts, || {
        let mut transaction = store.begin(Level::Snapshot).unwrap();
        let on_call = number(transaction.get(b"a").unwrap()) + number(transaction.get(b"b").unwrap());
        assert!(on_call >= 1, "nobody is on call");
    });
}

#[test]
fn a_room_is_not_booked_beyond_its_seats() {
    const SEATS: usize = 5;
    let store = Store::new(1 << 20);
    let most = AtomicUsize::new(0);
    let bookings = |thread_number: u64| {
        for round in 0..2_000_u64 {
            let seat = (thread_number << 32 | round).to_be_bytes();
            transact(|| {
                let mut transaction = store.begin(Level::Serializable)?;
                let booked = transaction.scan(KeyRange::all(), Direction::Forward)?;
                most.fetch_max(booked.len(), Ordering::Relaxed);
                assert!(booked.len() <= SEATS, "phantoms: {} bookings", booked.len());
                match booked.get(round as usize % SEATS) {
                    Some((other, _)) if booked.len() == SEATS => transaction.delete(other)?,
                    _ => transaction.put(&seat, b"")?,
                }
                transaction.commit().map(drop)
            });
        }
    };
    beside(3, bookings, thread::yield_now);
    assert_eq!(most.load(Ordering::Relaxed), SEATS, "the room was full at times");
}

#[test]
fn readers_agree_on_the_order_of_writers() {
    let store = Store::new(1 << 20);
    let done = AtomicBool::new(false);
    let mut seen: Vec<(u64, u64)> = Vec::new();
    thread::scope(|scope| {
        let writers: Vec<_> = [b"x", b"y"]
            .map(|key| {
                let store = &store;
                scope.spawn(move || {
                    for round in 1..=10_000_u64 {
                        store.write(key, Some(&round.to_be_bytes())).unwrap();
                        assert_eq!(number(store.read(key).unwrap()), round, "T1: its own write");
                    }
                })
            })
            .into();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let mut transaction = store.begin(Level::Snapshot).unwrap();
                        let x = number(transaction.get(b"x").unwrap());
                        seen.push((x, number(transaction.get(b"y").unwrap())));
                    }
                    seen
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            let own = reader.join().unwrap();
            assert!(own.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "a reader goes back");
            seen.extend(own);
        }
    });
    // No long fork: of any two views one is the later.
    seen.sort_unstable();
    assert!(seen.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "two readers disagree");
}

#[test]
fn claimed_counters_never_conflict() {
    let store = Store::new(1 << 20);
    let refused = AtomicUsize::new(0);
    let increments = |thread_number: u64| {
        for round in 0..500_u64 {
            let again = transact(|| {
                let mut transaction = store.begin_claiming(Level::Snapshot, &[b"hot"])?;
                let count = number(transaction.get(b"hot")?);
                transaction.put(b"hot", &(count + 1).to_be_bytes())?;
                transaction.commit().map(drop)
            });
            refused.fetch_add(again, Ordering::Relaxed);
            if thread_number == 0 && round % 8 == 0 {
                store.write(b"cold", Some(b"")).unwrap();
            }
        }
    };
    beside(3, increments, thread::yield_now);
    assert_eq!(number(store.read(b"hot").unwrap()), 1_500);
    assert_eq!(refused.load(Ordering::Relaxed), 0);
    assert_eq!(store.claims.count(), 0);
}

#[test]
fn those_who_claim_in_opposite_orders_get_through() {
    let store = Store::new(1 << 20);
    let rounds = |thread_number: u64| {
        let keys = if thread_number.is_multiple_of(2) { [b"a", b"b"] } else { [b"b", b"a"] };
        for _ in 0..300 {
            transact(|| {
                let mut transaction = store.begin(Level::Snapshot)?;
                for key in keys {
                    transaction.claim(key)?;
                    thread::yield_now();
                    transaction.put(key, b"v")?;
                }
                transaction.commit().map(drop)
            });
        }
    };
    beside(4, rounds, thread::yield_now);
    assert_eq!(store.claims.count(), 0);
}
