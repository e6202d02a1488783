//! The allocator against a set of slots, on a real file.

use super::*;
use aquifer_io::{Backend, open_disk};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn file(directory: &tempfile::TempDir) -> DataFile {
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    DataFile::create(disk, 4096).unwrap()
}

#[test]
fn a_new_file_grows_by_whole_steps() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(&directory);
    let mut space = Space::new(file.reserved_slots(), 0);
    let run = space.allocate(8, &file).unwrap();
    assert_eq!(run, Run { start: 32, len: 8 });
    assert_eq!(space.slots(), 32 + 256);
    assert_eq!(file.len().unwrap(), (32 + 256) * 4096);
}

#[test]
fn a_free_tail_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(&directory);
    let mut space = Space::new(file.reserved_slots(), 0);
    let kept = space.allocate(1, &file).unwrap();
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(space.allocate(256, &file).unwrap());
    }
    assert_eq!(space.shorten(&file).unwrap(), 0);
    for run in runs {
        (run.start..run.start + run.len).for_each(|slot| space.free(slot));
    }
    assert!(space.shorten(&file).unwrap() > 2000);
    assert_eq!(file.len().unwrap(), u64::from(kept.start + 1) * 4096);
    assert_eq!(space.used(), 33);
}

#[test]
fn a_slot_is_claimed_once_and_only_inside_the_file() {
    let mut space = Space::new(32, 100);
    assert!(space.claim(50));
    assert!(!space.claim(50));
    assert!(!space.claim(31));
    assert!(!space.claim(100));
}

#[test]
fn holes_are_used_before_the_file_grows_much() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(&directory);
    let mut space = Space::new(file.reserved_slots(), 0);
    let mut taken = 0;
    while taken < 64 * REGION {
        taken += space.allocate(REGION, &file).unwrap().len;
    }
    // Every third slot becomes a hole: more than a fifth of every region.
    let before = space.slots();
    let holes = (32..32 + taken).step_by(3);
    let count = holes.len() as u32;
    holes.for_each(|slot| space.free(slot));
    for _ in 0..count {
        space.allocate(1, &file).unwrap();
    }
    assert_eq!(space.slots(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_slot_is_given_out_twice(steps in prop::collection::vec((0u8..4, 1u32..300), 1..120)) {
        let directory = tempfile::tempdir().unwrap();
        let file = file(&directory);
        let mut space = Space::new(file.reserved_slots(), 0);
        let mut used = BTreeSet::new();
        for (what, amount) in steps {
            match what {
                0 | 1 => {
                    let run = space.allocate(amount, &file).unwrap();
                    prop_assert!(run.len >= 1 && run.len <= amount);
                    for slot in run.start..run.start + run.len {
                        prop_assert!(slot >= 32 && slot < space.slots());
                        prop_assert!(used.insert(slot), "slot {slot} given out twice");
                    }
                }
                2 => {
                    let some: Vec<u32> = used.iter().copied().step_by(amount as usize % 7 + 1).collect();
                    for slot in some {
                        used.remove(&slot);
                        space.free(slot);
                    }
                }
                _ => {
                    space.shorten(&file).unwrap();
                }
            }
            prop_assert_eq!(space.used() as usize, used.len() + 32);
            let free: u32 = space.free_in.iter().map(|&free| u32::from(free)).sum();
            prop_assert_eq!(free, space.slots() - space.used(), "SP4");
        }
    }
}
