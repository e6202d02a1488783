//! What is drawn lies where it must, and as often as it must.

use super::{C_LAST_POPULATION, C_LAST_RUN, Random, last_name};

#[test]
fn last_names_are_those_of_the_specification() {
    assert_eq!(last_name(0), "BARBARBAR");
    assert_eq!(last_name(371), "PRICALLYOUGHT");
    assert_eq!(last_name(40), "BARPRESBAR");
    assert_eq!(last_name(999), "EINGEINGEING");
}

#[test]
fn constants_of_last_names_differ_as_they_must() {
    let difference = C_LAST_POPULATION.abs_diff(C_LAST_RUN);
    assert!((65..=119).contains(&difference) && ![96, 112].contains(&difference));
}

#[test]
fn numbers_stay_within_their_bounds_and_reach_them() {
    for count in [10, 30, 3000] {
        let mut random = Random::new(1, 2);
        let mut seen = vec![0u32; count as usize + 1];
        for _ in 0..200 * count {
            seen[random.customer(count) as usize] += 1;
        }
        assert_eq!(seen[0], 0);
        // Where there are many, some are too rare to be met.
        assert!(count > 100 || seen[1..].iter().all(|&times| times > 0), "{count}");
        // Some are drawn far more often than others.
        let (least, most) = (seen[1..].iter().min().unwrap(), seen.iter().max().unwrap());
        assert!(*most > 3 * least, "{count}: {least} to {most}");
    }
    let mut random = Random::new(1, 2);
    for _ in 0..10_000 {
        assert!((1..=100_000).contains(&random.item(100_000)));
        assert!(random.last_name(C_LAST_RUN, 3000) <= 999);
        assert!(random.last_name(C_LAST_RUN, 30) <= 29);
        assert!((8..=12).contains(&random.text(8, 12).len()));
    }
}

#[test]
fn a_tenth_of_all_data_is_original() {
    let mut random = Random::new(3, 0);
    let original = (0..10_000).filter(|_| random.data(26, 50).contains("ORIGINAL")).count();
    assert!((800..1200).contains(&original), "{original}");
}

#[test]
fn equal_seeds_draw_equal_numbers_and_streams_differ() {
    let draw = |seed, stream| {
        let mut random = Random::new(seed, stream);
        (0..5).map(|_| random.within(0, 1 << 30)).collect::<Vec<_>>()
    };
    assert_eq!(draw(1, 1), draw(1, 1));
    assert_ne!(draw(1, 1), draw(1, 2));
    assert_ne!(draw(1, 1), draw(2, 1));
}
