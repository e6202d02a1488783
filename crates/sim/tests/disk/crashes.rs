//! Loss of power and death of the process: what a boot and what the next process find.

use crate::{create, open, read, shown, stable, write, write_durable};
use aquifer_io::{Disk, OpenMode};
use aquifer_sim::{Call, Fault, Rot, SimDisk};
use std::io::ErrorKind;

#[test]
fn a_kill_keeps_what_was_written_and_makes_nothing_durable() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1, 1]);
    write(&*file, 1, &[2, 3]).unwrap();
    drop(disk.open("b", OpenMode::CreateNew).unwrap());
    let killed = disk.after_kill();
    assert_eq!(shown(&killed, "a"), [Some(1), Some(2), Some(3)]);
    assert_eq!(killed.list("").unwrap(), ["a", "b"]);
    let after = killed.after_worst_power_loss();
    assert_eq!(shown(&after, "a"), [Some(1), Some(1)]);
    assert_eq!(after.list("").unwrap(), ["a"]);
    open(&killed, "a").sync_data().unwrap();
    killed.sync_directory("").unwrap();
    let after = killed.after_worst_power_loss();
    assert_eq!(shown(&after, "a"), [Some(1), Some(2), Some(3)]);
    assert_eq!(after.list("").unwrap(), ["a", "b"]);
}

#[test]
fn what_is_synced_survives_every_crash() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1, 2, 3]);
    write_durable(&*file, 3, &[4]).unwrap();
    for seed in 0..100 {
        assert_eq!(shown(&disk.after_power_loss(seed), "a"), [Some(1), Some(2), Some(3), Some(4)]);
    }
}

#[test]
fn a_crash_is_a_disk_of_its_own() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    let (lost, killed) = (disk.after_power_loss(1), disk.after_kill());
    write(&*file, 0, &[2]).unwrap();
    write(&*open(&lost, "a"), 0, &[3]).unwrap();
    assert_eq!(shown(&disk, "a"), [Some(2)]);
    assert_eq!(shown(&lost, "a"), [Some(3)]);
    assert_eq!(shown(&killed, "a"), [Some(1)]);
    // A clone is not.
    let clone = disk.clone();
    write(&*open(&clone, "a"), 0, &[4]).unwrap();
    assert_eq!(shown(&disk, "a"), [Some(4)]);
}

#[test]
fn reboots_and_kills_release_locks() {
    let disk = SimDisk::new();
    let held = disk.lock("LOCK").unwrap();
    assert_eq!(disk.lock("LOCK").unwrap_err().kind, ErrorKind::WouldBlock);
    for after in [disk.after_kill(), disk.after_power_loss(1), disk.after_worst_power_loss()] {
        let lock = after.lock("LOCK").unwrap();
        assert_eq!(after.lock("LOCK").unwrap_err().kind, ErrorKind::WouldBlock);
        drop(lock);
        after.lock("LOCK").unwrap();
    }
    assert_eq!(disk.lock("LOCK").unwrap_err().kind, ErrorKind::WouldBlock, "still held here");
    drop(held);
    disk.lock("LOCK").unwrap();
}

#[test]
fn the_last_call_before_the_power_goes_may_have_happened() {
    let mut outcomes = [0; 2];
    for seed in 0..40 {
        let disk = SimDisk::with_seed(seed);
        stable(&disk, "a", &[1]);
        disk.inject(Fault::power_loss().on(Call::Rename));
        assert!(disk.rename("a", "b").is_err());
        assert!(disk.has_struck());
        outcomes[usize::from(disk.after_kill().list("").unwrap() == ["b"])] += 1;
        assert_eq!(disk.after_worst_power_loss().list("").unwrap(), ["a"]);
    }
    assert!(outcomes.iter().all(|&count| count > 5), "{outcomes:?}");

    let disk = SimDisk::new();
    disk.set_sector_bytes(4096);
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::power_loss());
    assert!(write(&*file, 1, &[2]).is_err());
    // Length 1; or 2, with the data kept, lost or garbage.
    assert_eq!(disk.crash_states(10).unwrap().total(), 4);
}

#[test]
fn without_power_nothing_works_or_changes() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::power_loss().on(Call::Sync));
    assert!(file.sync_data().is_err());
    disk.heal();
    let message = write(&*file, 0, &[2]).unwrap_err().to_string();
    assert!(message.contains("power"), "{message}");
    assert!(write_durable(&*file, 0, &[2]).is_err());
    assert!(read(&*file, 0, 1).is_err());
    assert!(file.sync_all().is_err());
    assert!(file.allocate(0, 8192).is_err());
    assert!(file.truncate(0).is_err());
    assert!(file.punch_hole(0, 4096).is_err());
    assert!(file.len().is_err());
    assert!(disk.open("a", OpenMode::Existing).is_err());
    assert!(disk.open("b", OpenMode::CreateNew).is_err());
    assert!(disk.remove("a").is_err());
    assert!(disk.rename("a", "b").is_err());
    assert!(disk.list("").is_err());
    assert!(disk.create_directory("d").is_err());
    assert!(disk.sync_directory("").is_err());
    assert!(disk.lock("LOCK").is_err());
    for after in [disk.after_kill(), disk.after_power_loss(3)] {
        assert_eq!(shown(&after, "a"), [Some(1)]);
        write(&*open(&after, "a"), 0, &[2]).unwrap();
    }
}

#[test]
fn settings_and_damage_outlive_a_boot_and_faults_do_not() {
    let disk = SimDisk::new();
    drop(stable(&disk, "a", &[1, 1]));
    disk.set_sector_bytes(2048);
    disk.set_free(Some(0));
    disk.spoil_sectors("a", 0..1);
    disk.flip_bit("a", 5000, 0);
    disk.inject(Fault::error().for_good());
    for after in [disk.after_power_loss(1), disk.after_kill(), disk.after_worst_power_loss()] {
        let file = open(&after, "a");
        assert!(read(&*file, 0, 1).is_err());
        assert_eq!(read(&*file, 1, 1).unwrap()[5000 - 4096], 0);
        assert_eq!(write(&*file, 2, &[1]).unwrap_err().kind, ErrorKind::StorageFull);
        write(&*file, 1, &[2]).unwrap();
        assert_eq!(after.crash_states(1000).unwrap().total(), 9, "two sectors of three values");
    }
}

#[test]
fn a_boot_can_crash_again_and_again() {
    let mut disk = SimDisk::new();
    drop(create(&disk, "a"));
    for round in 0..50 {
        let file = open(&disk, "a");
        write_durable(&*file, round, &[round as u8 + 1]).unwrap();
        write(&*file, round + 1, &[0xAA]).unwrap();
        disk = disk.after_power_loss(round);
        let expected: Vec<Option<u8>> = (0..=round).map(|round| Some(round as u8 + 1)).collect();
        assert_eq!(shown(&disk, "a")[..expected.len()], expected);
    }
    assert!(matches!(disk.rot(1), Some(Rot { file, .. }) if file == "a"));
}
