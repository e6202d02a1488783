//! The sums, and frequencies against the definition.

use super::{THETA, Zipf, zeta};
use crate::random::Random;

fn zeta_by_adding(count: u64) -> f64 {
    (1..=count).rev().map(|i| (i as f64).powf(-THETA)).sum()
}

#[test]
fn the_sum_is_right_with_and_without_the_integral() {
    for count in [1, 2, 3, 1000, 100_000, 100_001, 1_000_000] {
        let (fast, slow) = (zeta(count), zeta_by_adding(count));
        assert!((fast - slow).abs() < 1e-9, "{count}: {fast} and {slow}");
    }
    assert_eq!(super::zeta_of_two(), 1.0 + 0.5f64.powf(THETA));
}

#[test]
fn popular_ranks_are_as_popular_as_they_should_be() {
    let count = 10_000;
    let zipf = Zipf::new(count);
    let mut random = Random::new(1, 0);
    let mut counts = vec![0u32; count as usize];
    let draws = 1_000_000;
    for _ in 0..draws {
        counts[zipf.rank(&mut random) as usize] += 1;
    }
    let due = |rank: u64| f64::from(draws) / zeta(count) / (rank as f64 + 1.0).powf(THETA);
    // Ranks 0 and 1 are exact.
    for rank in [0, 1] {
        let found = f64::from(counts[rank as usize]);
        assert!((found / due(rank) - 1.0).abs() < 0.02, "rank {rank}: {found}, due {}", due(rank));
    }
    // The rest is an approximation, good over ranges.
    for range in [2..10, 10..100, 100..1000, 1000..10_000] {
        let found: u32 = counts[range.start as usize..range.end as usize].iter().sum();
        let due: f64 = range.clone().map(due).sum();
        assert!((f64::from(found) / due - 1.0).abs() < 0.15, "ranks {range:?}: {found}, due {due}");
    }
}

#[test]
fn small_counts_stay_in_bounds() {
    let mut random = Random::new(1, 0);
    for count in 1..20 {
        let zipf = Zipf::new(count);
        let most = (0..10_000).map(|_| zipf.rank(&mut random)).max();
        assert!(most < Some(count), "{most:?} of {count}");
        let most = (0..10_000).map(|_| zipf.scattered(&mut random)).max();
        assert!(most < Some(count), "{most:?} of {count}");
    }
}

#[test]
fn scattered_items_are_as_skewed_and_not_in_order() {
    let count = 10_000;
    let zipf = Zipf::new(count);
    let mut random = Random::new(1, 0);
    let mut counts = vec![0u32; count as usize];
    for _ in 0..100_000 {
        counts[zipf.scattered(&mut random) as usize] += 1;
    }
    let hottest = counts.iter().max().copied().unwrap();
    // 1 / zeta(10,000) is about a tenth.
    assert!((8_500..12_500).contains(&hottest), "{hottest}");
    let first_half: u32 = counts[..count as usize / 2].iter().sum();
    assert!((25_000..75_000).contains(&first_half), "{first_half} of 100,000 in the first half");
}
