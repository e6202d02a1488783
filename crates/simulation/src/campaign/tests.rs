//! The simulation itself: it repeats, it passes on a sound engine, and it catches every broken promise.

use super::*;
use aquifer_io::sabotage::{self, Sabotage};

/// Seeds within which each broken promise must be caught.
const SEEDS_MAX: u64 = 1500;

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 1000..1010 {
        assert_eq!(run_seed(seed), run_seed(seed));
        assert_eq!(action::draw(seed), action::draw(seed));
    }
}

#[test]
fn a_sound_engine_passes() {
    let mut tally = Tally::default();
    for seed in 0..300 {
        match run_seed(seed) {
            Ok(more) => tally.add(more),
            Err(failure) => panic!("{failure}\n{}", failure.trace),
        }
    }
    assert!(tally.crashes > 500 && tally.faults > 100, "{tally}");
}

fn is_caught(broken: Sabotage) {
    let caught = sabotage::with(broken, || (0..SEEDS_MAX).find_map(|seed| run_seed(seed).err()));
    let failure = caught.unwrap_or_else(|| panic!("{broken:?} was not caught within {SEEDS_MAX} seeds"));
    println!("{broken:?}: caught by {failure}");
    assert!(run_seed(failure.seed).is_ok(), "the sound engine passes the same seed");
}

#[test]
fn a_skipped_sync_of_data_is_caught() {
    is_caught(Sabotage::SkipDataSync);
}

#[test]
fn a_superblock_before_its_data_is_caught() {
    is_caught(Sabotage::SuperblockFirst);
}

#[test]
fn a_superblock_before_its_log_is_caught() {
    is_caught(Sabotage::SuperblockBeforeLog);
}

#[test]
fn slots_used_again_too_early_are_caught() {
    is_caught(Sabotage::ReuseSlotsEarly);
}

#[test]
fn a_forgotten_kept_checkpoint_is_caught() {
    is_caught(Sabotage::ForgetKept);
}

#[test]
fn ignored_checksums_are_caught() {
    is_caught(Sabotage::IgnoreChecksums);
}

#[test]
fn a_skipped_sync_of_the_log_is_caught() {
    is_caught(Sabotage::SkipLogSync);
}

#[test]
fn a_skipped_sync_of_a_directory_is_caught() {
    is_caught(Sabotage::SkipDirectorySync);
}

#[test]
fn forgotten_records_are_caught() {
    is_caught(Sabotage::ForgetRecords);
}

#[test]
fn half_batches_are_caught() {
    is_caught(Sabotage::HalfBatches);
}

#[test]
fn a_failure_is_made_short() {
    sabotage::with(Sabotage::HalfBatches, || {
        let failure = (0..SEEDS_MAX).find_map(|seed| run_seed(seed).err()).unwrap();
        let (actions, still) = shrink(&failure, Duration::from_secs(5));
        assert!(actions.len() <= failure.step + 1);
        assert_eq!(run(failure.seed, &actions).unwrap_err().what, still.what);
    });
}
