//! A disk that lies: lost, misdirected, stale and flipped transfers, rotten bits, sectors that cannot be read.

use crate::{at, open, read, shown, stable, write, write_durable};
use aquifer_sim::{Fault, SimDisk};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_lost_write_is_acknowledged_and_never_there() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::lost_write());
    write(&*file, 0, &[2, 3]).unwrap();
    assert!(disk.has_struck());
    assert_eq!(shown(&disk, "a"), [Some(1), Some(0)], "the length follows");
    file.sync_data().unwrap();
    assert_eq!(shown(&disk.after_power_loss(1), "a"), [Some(1), Some(0)]);
    disk.inject(Fault::lost_write());
    write_durable(&*file, 0, &[2]).unwrap();
    assert_eq!(shown(&disk, "a"), [Some(1), Some(0)]);
}

#[test]
fn a_misdirected_write_goes_elsewhere_in_its_file() {
    let mut places = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1, 2, 3, 4]);
        disk.inject(Fault::misdirected_write());
        write_durable(&*file, 1, &[9]).unwrap();
        let found = shown(&disk.after_worst_power_loss(), "a");
        let place = found.iter().position(|byte| *byte == Some(9)).expect("it is somewhere");
        let mut expected = [1, 2, 3, 4].map(Some);
        expected[place] = Some(9);
        assert_eq!(found, expected);
        places.insert(place);
    }
    assert_eq!(places, BTreeSet::from([0, 2, 3]));
}

#[test]
fn a_misdirected_read_comes_from_elsewhere_in_its_file() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1, 2, 3, 4]);
    disk.inject(Fault::misdirected_read().for_good());
    let found: BTreeSet<u8> = (0..50).map(|_| read(&*file, 1, 1).unwrap()[0]).collect();
    assert_eq!(found, BTreeSet::from([1, 3, 4]));
    let found: BTreeSet<u8> = (0..50).map(|_| read(&*file, 1, 2).unwrap()[0]).collect();
    assert_eq!(found, BTreeSet::from([1, 3]), "two blocks");
    disk.heal();
    assert_eq!(read(&*file, 1, 1).unwrap()[0], 2);
}

#[test]
fn a_file_without_another_place_is_spared() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::misdirected_read());
    disk.inject(Fault::misdirected_write());
    assert_eq!(read(&*file, 0, 1).unwrap()[0], 1);
    write(&*file, 0, &[2]).unwrap();
    assert!(!disk.has_struck());
    write(&*file, 1, &[3]).unwrap();
    assert!(disk.has_struck(), "a write behind the end has one");
    assert_eq!(shown(&disk, "a"), [Some(3), Some(0)]);
    assert_eq!(read(&*file, 0, 1).unwrap()[0], 0, "and now a read has");
}

#[test]
fn a_stale_read_gives_the_version_before_the_last_write() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1, 5]);
    let disk = disk.after_power_loss(1);
    drop(file);
    let file = open(&disk, "a");
    disk.inject(Fault::stale_read().for_good());
    assert_eq!(read(&*file, 0, 2).unwrap()[0], 1);
    assert!(!disk.has_struck(), "not written since the boot");
    write(&*file, 0, &[2]).unwrap();
    file.sync_data().unwrap();
    write(&*file, 0, &[3]).unwrap();
    let bytes = read(&*file, 0, 2).unwrap();
    assert_eq!((bytes[0], bytes[4096]), (2, 5));
    write(&*file, 2, &[6]).unwrap();
    assert_eq!(read(&*file, 2, 1).unwrap()[0], 0, "nothing was there before");
    disk.heal();
    assert_eq!(read(&*file, 0, 1).unwrap()[0], 3, "the file is sound");
}

#[test]
fn a_flipped_read_differs_in_one_bit() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[0]);
    disk.inject(Fault::flipped_read());
    let bits: u32 = read(&*file, 0, 1).unwrap().iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(bits, 1);
    assert_eq!(read(&*file, 0, 1).unwrap(), [0; 4096]);
}

#[test]
fn a_rotten_bit_is_on_the_medium() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[0, 0]);
    disk.flip_bit("a", 5000, 3);
    assert_eq!(read(&*file, 1, 1).unwrap()[5000 - 4096], 8);
    assert_eq!(disk.after_power_loss(1).contents()["a"][5000], 8);
    // A newer block hides it, and then replaces it.
    disk.flip_bit("a", 5000, 3);
    write(&*file, 1, &[7]).unwrap();
    disk.flip_bit("a", 5000, 1);
    assert_eq!(read(&*file, 1, 1).unwrap(), [7; 4096]);
    assert_eq!(disk.after_worst_power_loss().contents()["a"][5000], 2);
    file.sync_data().unwrap();
    assert_eq!(shown(&disk.after_worst_power_loss(), "a"), [Some(0), Some(7)]);
}

#[test]
fn rot_strikes_all_files_by_their_size() {
    let contents = BTreeMap::from([("a".to_owned(), vec![0; 100]), ("d/b".to_owned(), vec![0; 300])]);
    let mut struck = BTreeMap::new();
    for seed in 0..400 {
        let disk = SimDisk::with_contents(&contents);
        let rot = disk.rot(seed).expect("there are bytes");
        let mut expected = contents.clone();
        expected.get_mut(&rot.file).unwrap()[rot.byte as usize] = 1 << rot.bit;
        assert_eq!(disk.contents(), expected);
        assert_eq!(disk.after_power_loss(seed).contents(), expected);
        *struck.entry(rot.file).or_insert(0) += 1;
    }
    assert!(struck["a"] > 60 && struck["d/b"] > 240, "{struck:?}");
    assert_eq!(SimDisk::new().rot(1), None);
}

#[test]
fn a_spoiled_sector_is_unreadable_until_it_is_written() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1, 2, 3]);
    disk.spoil_sectors("a", at(1) + 700..at(1) + 701);
    let error = read(&*file, 0, 3).unwrap_err();
    assert!(error.message.contains("4608"), "{error}");
    assert!(read(&*file, 1, 1).is_err());
    assert_eq!(read(&*file, 0, 1).unwrap()[0], 1);
    assert_eq!(read(&*file, 2, 1).unwrap()[0], 3);
    let boot = disk.after_power_loss(1);
    assert!(read(&*open(&boot, "a"), 1, 1).is_err(), "a boot does not heal it");
    write(&*file, 1, &[9]).unwrap();
    assert_eq!(read(&*file, 1, 1).unwrap()[0], 9);
    let lost = disk.after_worst_power_loss();
    assert!(read(&*open(&lost, "a"), 1, 1).is_err(), "nor does a write that is lost");
    file.sync_data().unwrap();
    let kept = disk.after_worst_power_loss();
    assert_eq!(read(&*open(&kept, "a"), 1, 1).unwrap()[0], 9);
}

#[test]
fn a_spoiled_sector_under_a_newer_block_is_not_seen_yet() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    write(&*file, 0, &[2]).unwrap();
    disk.spoil_sectors("a", 0..4096);
    assert_eq!(read(&*file, 0, 1).unwrap()[0], 2);
    let lost = disk.after_worst_power_loss();
    assert!(read(&*open(&lost, "a"), 0, 1).is_err());
    // A flipped bit does not mend it.
    lost.flip_bit("a", 0, 0);
    assert!(read(&*open(&lost, "a"), 0, 1).is_err());
}
