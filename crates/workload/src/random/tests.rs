//! Known numbers, and that they look drawn at random.

use super::{Random, scatter};

#[test]
fn splitmix_gives_its_published_numbers() {
    // The first outputs of splitmix64 seeded with 1234567, whose state grows by the golden ratio.
    let state = |step: u64| 1_234_567u64.wrapping_add(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(step));
    assert_eq!(
        [1, 2, 3, 4, 5].map(|step| scatter(state(step))),
        [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ]
    );
}

#[test]
fn xoshiro_gives_its_published_numbers() {
    // The reference implementation with the state 1, 2, 3, 4.
    let mut random = Random { state: [1, 2, 3, 4] };
    let numbers: [u64; 10] = std::array::from_fn(|_| random.next_u64());
    assert_eq!(
        numbers,
        [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
            14_011_001_112_246_962_877,
            12_406_186_145_184_390_807,
            15_849_039_046_786_891_736,
            10_450_023_813_501_588_000,
        ]
    );
}

#[test]
fn equal_seeds_are_equal_and_streams_differ() {
    let first = |seed, stream| Random::new(seed, stream).next_u64();
    assert_eq!(first(7, 3), first(7, 3));
    assert_ne!(first(7, 3), first(7, 4));
    assert_ne!(first(7, 3), first(8, 3));
}

#[test]
fn numbers_below_a_bound_are_spread_evenly() {
    let mut random = Random::new(1, 0);
    let mut counts = [0u32; 10];
    for _ in 0..100_000 {
        counts[random.below(10) as usize] += 1;
    }
    // Six standard deviations of a binomial of 100,000 and 1/10 are 570.
    assert!(counts.iter().all(|count| count.abs_diff(10_000) < 570), "{counts:?}");
    assert_eq!(random.below(1), 0);
    let mean = (0..100_000).map(|_| random.unit()).sum::<f64>() / 100_000.0;
    assert!((mean - 0.5).abs() < 0.006, "{mean}");
}

#[test]
fn fill_reaches_every_byte() {
    for len in 0..40 {
        let mut random = Random::new(1, 0);
        let mut seen = vec![0u8; len];
        for _ in 0..16 {
            let mut bytes = vec![0; len];
            random.fill(&mut bytes);
            seen.iter_mut().zip(bytes).for_each(|(seen, byte)| *seen |= byte);
        }
        assert!(seen.iter().all(|&seen| seen != 0), "{len}: {seen:?}");
    }
}
