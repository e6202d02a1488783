//! Tests of the ranks.

use super::*;
use std::panic::catch_unwind;

/// What a thread of its own may take last, if it takes these in this order.
#[track_caller]
fn check(taken: &'static [Rank], allowed: bool) {
    let (&last, before) = taken.split_last().unwrap();
    let outcome = crate::thread::spawn(move || {
        before.iter().for_each(|&rank| acquired(rank));
        catch_unwind(|| acquired(last)).is_ok()
    });
    assert_eq!(outcome.join().unwrap(), allowed, "{taken:?}");
}

#[test]
fn later_ranks_may_follow() {
    check(&[Rank::Maintenance, Rank::Gate, Rank::PageLatch, Rank::Pool, Rank::Leaf], true);
    check(&[Rank::Leaf], true);
}

#[test]
fn earlier_ranks_may_not_follow() {
    check(&[Rank::PageLatch, Rank::Gate], false);
    check(&[Rank::Leaf, Rank::Maintenance], false);
    check(&[Rank::Maintenance, Rank::Log, Rank::Space], false);
}

#[test]
fn some_ranks_repeat() {
    check(&[Rank::PageLatch, Rank::PageLatch, Rank::PageLatch], true);
    check(&[Rank::KeyStripe, Rank::KeyStripe], true);
    check(&[Rank::TableIntent, Rank::TableIntent], true);
    check(&[Rank::Gate, Rank::Gate], false);
    check(&[Rank::Leaf, Rank::Leaf], false);
    check(&[Rank::Pool, Rank::Pool], false);
}

/// With locks released in any order, the greatest that is left counts.
#[test]
fn the_worst_held_rank_counts_not_the_last() {
    acquired(Rank::Catalog);
    acquired(Rank::Pool);
    acquired(Rank::Space);
    released(Rank::Pool);
    assert!(catch_unwind(|| acquired(Rank::Epoch)).is_err());
    released(Rank::Space);
    acquired(Rank::Epoch);
    released(Rank::Epoch);
    released(Rank::Catalog);
    acquired(Rank::Maintenance);
    released(Rank::Maintenance);
}

#[test]
fn tried_locks_are_not_checked_but_count() {
    acquired(Rank::Space);
    acquired_by_trying(Rank::Gate);
    released(Rank::Gate);
    released(Rank::Space);
    acquired_by_trying(Rank::Space);
    assert!(catch_unwind(|| acquired(Rank::Gate)).is_err());
    released(Rank::Space);
}

/// A thread that ends while it holds locks, or takes some in the destructors of its thread-locals, does
/// not panic there: that would end the process.
#[test]
fn locks_taken_while_a_thread_ends_are_let_be() {
    struct TakesALock;
    impl Drop for TakesALock {
        fn drop(&mut self) {
            acquired(Rank::Leaf);
            released(Rank::Leaf);
        }
    }
    thread_local! {
        static LAST: TakesALock = const { TakesALock };
    }
    let thread = crate::thread::spawn(|| {
        LAST.with(|_| ()); // registered before the ranks, so destroyed after or before them: both work
        acquired(Rank::Leaf);
    });
    thread.join().unwrap();
    let thread = crate::thread::spawn(|| {
        acquired(Rank::Maintenance);
        LAST.with(|_| ());
    });
    thread.join().unwrap();
}

/// The table in the documentation names the ranks of the enum, in its order.
#[test]
fn documented_ranks_are_the_ranks() {
    let source = include_str!("../rank.rs");
    let (_, source) = source.split_once("pub enum Rank {").unwrap();
    let (source, _) = source.split_once('}').unwrap();
    let ranks: Vec<_> = source.lines().map(str::trim).filter_map(|line| line.strip_suffix(',')).collect();
    let documented = include_str!("../../../../docs/locks.md");
    let documented: Vec<_> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(rank, _)| rank)
        .collect();
    assert!(ranks.contains(&"Leaf"), "{ranks:?}");
    assert_eq!(documented, ranks);
}
