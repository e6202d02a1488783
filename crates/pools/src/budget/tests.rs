//! Tests of the budget.

use super::*;
use aquifer_sync::atomic::AtomicBool;
use aquifer_sync::thread;

/// Accounts as (name, live, peak).
fn check_accounts(budget: &Budget, expected: &[(&'static str, usize, usize)]) {
    assert_eq!(budget.accounts(), expected);
    assert_eq!(budget.used(), expected.iter().map(|&(_, live, _)| live).sum::<usize>(), "BU4");
}

#[test]
fn accounts_draw_on_one_total() {
    let budget = Budget::new(100);
    let (frames, log) = (budget.account("frames"), budget.account("log ring"));
    frames.take(60).unwrap();
    log.take(40).unwrap();
    check_accounts(&budget, &[("frames", 60, 60), ("log ring", 40, 40)]);
    let refused = log.take(1).unwrap_err();
    assert_eq!(
        refused,
        BudgetExhausted { account: "log ring", requested_bytes: 1, used_bytes: 100, budget_bytes: 100 }
    );
    frames.give_back(1);
    log.take(1).unwrap();
    check_accounts(&budget, &[("frames", 59, 60), ("log ring", 41, 41)]);
}

#[test]
fn refused_take_changes_nothing() {
    let budget = Budget::new(100);
    let account = budget.account("frames");
    account.take(30).unwrap();
    account.take(71).unwrap_err();
    account.take(usize::MAX).unwrap_err(); // 30 + MAX would wrap round to 29
    account.reserve(usize::MAX).unwrap_err();
    check_accounts(&budget, &[("frames", 30, 30)]);
    account.take(70).unwrap();
    check_accounts(&budget, &[("frames", 100, 100)]);
}

#[test]
fn reservation_gives_back_when_dropped() {
    let budget = Budget::new(100);
    let account = budget.account("copies");
    let (first, second) = (account.reserve(10).unwrap(), account.reserve(20).unwrap());
    assert_eq!((first.bytes(), second.bytes(), account.used()), (10, 20, 30));
    drop(first);
    check_accounts(&budget, &[("copies", 20, 30)]);
    drop(account); // a reservation needs neither the account it came from…
    drop(second);
    check_accounts(&budget, &[("copies", 0, 30)]);
    let outlives = budget.account("copies").reserve(5).unwrap();
    drop(budget); // …nor the budget
    assert_eq!(outlives.bytes(), 5);
}

#[test]
fn same_name_is_same_account() {
    let budget = Budget::new(100);
    let one = budget.account("frames");
    budget.account("frames").take(7).unwrap();
    assert_eq!(one.used(), 7);
    one.clone().take(3).unwrap();
    one.give_back(10);
    check_accounts(&budget, &[("frames", 0, 10)]);
}

#[test]
fn taking_nothing_always_works() {
    let budget = Budget::new(0);
    let account = budget.account("frames");
    account.take(0).unwrap();
    account.give_back(0);
    account.take(1).unwrap_err();
    check_accounts(&budget, &[("frames", 0, 0)]);
}

#[test]
#[should_panic(expected = "BU3: frames gives back 11 bytes but holds 10")]
fn giving_back_more_than_taken_panics() {
    let budget = Budget::new(100);
    budget.account("versions").take(50).unwrap();
    let account = budget.account("frames");
    account.take(10).unwrap();
    account.give_back(11);
}

/// Many threads take and give back while one watches that the total is never exceeded.
#[test]
fn concurrent_takes_never_exceed_the_total() {
    const BYTES: usize = 1000;
    const THREADS: usize = 4;
    let budget = Budget::new(BYTES);
    let done = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (budget, done) = (Arc::clone(&budget), Arc::clone(&done));
        thread::spawn(move || {
            let mut greatest = 0;
            while !done.load(Ordering::Acquire) {
                greatest = greatest.max(budget.used());
            }
            greatest
        })
    };
    let workers: Vec<_> = (0..THREADS)
        .map(|number| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                // Two threads share each account.
                let account = budget.account(["even", "odd"][number % 2]);
                let (mut held, mut refused, mut seed) = (Vec::new(), 0_u32, number as u64 + 1);
                for _ in 0..50_000 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let bytes = 1 + (seed >> 40) as usize % 200;
                    match account.reserve(bytes) {
                        Ok(reservation) => held.push(reservation),
                        Err(error) => {
                            // Refused for what was in use at that very moment (BU2).
                            assert!(error.used_bytes + bytes > BYTES && error.used_bytes <= BYTES, "BU1");
                            refused += 1;
                            held.clear();
                        }
                    }
                }
                refused
            })
        })
        .collect();
    let refused: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    done.store(true, Ordering::Release);
    assert!(watcher.join().unwrap() <= BYTES, "BU1");
    assert!(refused > 0, "the bound was never met: the test shows nothing");
    assert_eq!(budget.used(), 0);
    for (name, live, peak) in budget.accounts() {
        assert_eq!(live, 0, "{name}");
        assert!(peak > 0 && peak <= BYTES, "BU5: {name} {peak}");
    }
}

/// BU2: a take that must fail never makes one fail that fits.
#[test]
fn hopeless_takes_do_not_disturb_others() {
    let budget = Budget::new(100);
    let done = Arc::new(AtomicBool::new(false));
    let greedy = {
        let (account, done) = (budget.account("greedy"), Arc::clone(&done));
        thread::spawn(move || {
            let mut tries = 0_u64;
            while !done.load(Ordering::Acquire) {
                account.take(101).unwrap_err();
                tries += 1;
            }
            tries
        })
    };
    let modest = budget.account("modest");
    for _ in 0..200_000 {
        modest.take(100).expect("fits whenever the other has nothing");
        modest.give_back(100);
    }
    done.store(true, Ordering::Release);
    greedy.join().unwrap();
    assert_eq!(budget.accounts().iter().find(|a| a.0 == "greedy"), Some(&("greedy", 0, 0)));
}

#[test]
fn concurrent_first_use_makes_one_account() {
    let budget = Budget::new(1000);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.account("frames").take(5).unwrap())
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    check_accounts(&budget, &[("frames", 40, 40)]);
}
