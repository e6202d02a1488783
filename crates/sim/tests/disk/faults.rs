//! When faults strike, and what they do to the calls that they strike.

use crate::{open, read, shown, stable, write, write_durable};
use aquifer_io::{Disk, File, OpenMode, Result};
use aquifer_sim::{Call, Calls, Fault, SimDisk};
use std::io::ErrorKind;

/// Which of a row of writes fail.
fn failing(fault: Fault, writes: u64) -> Vec<u64> {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[0]);
    disk.inject(fault);
    (1..=writes).filter(|number| write(&*file, 0, &[*number as u8]).is_err()).collect()
}

#[test]
fn faults_strike_by_number() {
    assert_eq!(failing(Fault::error(), 5), [1]);
    assert_eq!(failing(Fault::error().nth(3), 5), [3]);
    assert_eq!(failing(Fault::error().nth(3).for_good(), 6), [3, 4, 5, 6]);
    assert_eq!(failing(Fault::error().nth(2).times(2), 6), [2, 3]);
    assert!(failing(Fault::error().on(Call::Sync), 6).is_empty());
    assert_eq!(failing(Fault::error().on(Call::Sync | Call::Write).nth(6), 6), [6]);
}

#[test]
fn faults_strike_by_probability() {
    let struck = failing(Fault::error().one_in(4).for_good(), 400);
    assert!((50..150).contains(&struck.len()), "{} of 400", struck.len());
    assert_eq!(failing(Fault::error().one_in(4).for_good(), 400), struck, "the same each time");
    assert_eq!(failing(Fault::error().one_in(4), 400), struck[..1]);
}

#[test]
fn faults_strike_by_name() {
    let disk = SimDisk::new();
    disk.create_directory("log").unwrap();
    let files = ["a", "ab", "log/1", "log/2"].map(|name| stable(&disk, name, &[1]));
    let check = |fault, expected: [bool; 4]| {
        disk.inject(fault);
        assert_eq!(files.each_ref().map(|file| write(&**file, 0, &[2]).is_err()), expected);
        assert_eq!(disk.strikes(), expected.iter().filter(|struck| **struck).count() as u64);
        disk.heal();
    };
    check(Fault::error().file("a").for_good(), [true, false, false, false]);
    check(Fault::error().under("log").for_good(), [false, false, true, true]);
    check(Fault::error().file("log/2").for_good(), [false, false, false, true]);
    check(Fault::error().nth(2).under("log"), [false, false, false, true]);
    assert!(!disk.has_struck(), "healed");
    disk.rename("a", "b").unwrap();
    check(Fault::error().file("a").for_good(), [true, false, false, false]);
    check(Fault::error().file("b").for_good(), [true, false, false, false]);
}

#[test]
fn earlier_faults_strike_first() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::full());
    disk.inject(Fault::error());
    assert_eq!(write(&*file, 0, &[2]).unwrap_err().kind, ErrorKind::StorageFull);
    assert_eq!(write(&*file, 0, &[2]).unwrap_err().kind, ErrorKind::Other);
    write(&*file, 0, &[2]).unwrap();
    assert_eq!(disk.strikes(), 2);
}

#[test]
#[should_panic(expected = "cannot strike")]
fn a_fault_that_could_never_strike_is_refused() {
    drop(Fault::stale_read().on(Call::Sync));
}

/// Every kind of call, in a way that works.
fn call_of(call: Call, disk: &SimDisk, file: &dyn File) -> Result<()> {
    match call {
        Call::Read => read(file, 0, 1).map(drop),
        Call::Write => write(file, 0, &[9]),
        Call::WriteDurable => write_durable(file, 0, &[9]),
        Call::Sync => file.sync_data(),
        Call::Allocate => file.allocate(0, 16_384),
        Call::Truncate => file.truncate(0),
        Call::PunchHole => file.punch_hole(0, 4096),
        Call::Length => file.len().map(drop),
        Call::Open => disk.open("a", OpenMode::Existing).map(drop),
        Call::Create => disk.open("new", OpenMode::CreateNew).map(drop),
        Call::Remove => disk.remove("b"),
        Call::Rename => disk.rename("b", "c"),
        Call::List => disk.list("").map(drop),
        Call::CreateDirectory => disk.create_directory("d"),
        Call::SyncDirectory => disk.sync_directory(""),
        Call::Lock => disk.lock("LOCK").map(drop),
    }
}

#[test]
fn an_error_strikes_every_kind_of_call_once_or_for_good() {
    for call in Call::ALL {
        for good in [false, true] {
            let disk = SimDisk::new();
            let file = stable(&disk, "a", &[1, 2]);
            drop(stable(&disk, "b", &[3]));
            let fault = Fault::error().on(call);
            disk.inject(if good { fault.for_good() } else { fault });
            let before = disk.contents();
            let error = call_of(call, &disk, &*file).unwrap_err();
            assert_eq!((error.operation, error.kind), (call.name(), ErrorKind::Other), "{call:?}");
            assert!(error.message.contains("injected"), "{error}");
            if !Calls::WRITES.contains(call) {
                assert_eq!(disk.contents(), before, "{call:?}: nothing has happened");
            }
            assert_eq!(call_of(call, &disk, &*file).is_err(), good, "{call:?}");
            assert_eq!(disk.strikes(), 1 + u64::from(good));
        }
    }
}

#[test]
fn a_failed_read_leaves_nonsense_in_the_buffer() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::error().on(Call::Read));
    let completion = file.transfer(vec![crate::read_request(0, 1)]).remove(0);
    assert!(completion.result.is_err());
    assert!(completion.buffer.iter().any(|byte| ![0, 1].contains(byte)));
}

#[test]
fn a_failed_write_leaves_nothing_everything_or_a_part() {
    let mut outcomes = [0; 3];
    for seed in 0..200 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1]);
        disk.inject(Fault::error());
        assert!(write(&*file, 0, &[2]).is_err());
        let bytes = &disk.contents()["a"];
        for sector in bytes.chunks(512) {
            assert!(matches!(crate::full_of(sector), Some(1 | 2)), "each sector is old or new");
        }
        outcomes[match shown(&disk, "a")[0] {
            Some(1) => 0,
            Some(2) => 1,
            _ => 2,
        }] += 1;
        assert_eq!(shown(&disk.after_worst_power_loss(), "a"), [Some(1)], "and is not durable");
    }
    assert!(outcomes.iter().all(|&count| count > 20), "{outcomes:?}");
}

#[test]
fn a_failed_durable_write_is_not_durable() {
    for seed in 0..50 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1]);
        disk.inject(Fault::error());
        assert!(write_durable(&*file, 0, &[2]).is_err());
        assert_eq!(shown(&disk.after_worst_power_loss(), "a"), [Some(1)]);
    }
}

/// The error comes once; then the pages are clean, readable until the next boot, and old after it.
#[test]
fn a_failed_sync_forgets_and_the_next_one_succeeds() {
    let mut forgotten = 0;
    for seed in 0..100 {
        let disk = SimDisk::with_seed(seed);
        disk.set_sector_bytes(4096);
        let file = stable(&disk, "a", &[1]);
        write(&*file, 0, &[2]).unwrap();
        disk.inject(Fault::error().on(Call::Sync));
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(read(&*file, 0, 1).unwrap(), [2; 4096], "readable");
        let killed = disk.after_kill();
        assert_eq!(read(&*open(&killed, "a"), 0, 1).unwrap(), [2; 4096], "also by the next process");
        let states = disk.crash_states(10).unwrap();
        assert_eq!(states.total(), 1, "nothing is unsynced any more");
        let old = shown(&disk.after_power_loss(seed), "a") == [Some(1)];
        assert_eq!(shown(&killed.after_power_loss(seed), "a") == [Some(1)], old);
        forgotten += u32::from(old);
        // What is written again is durable again.
        write(&*file, 0, &[2]).unwrap();
        file.sync_data().unwrap();
        assert_eq!(shown(&disk.after_power_loss(seed), "a"), [Some(2)]);
    }
    assert!((50..100).contains(&forgotten), "{forgotten} of 100");
}

#[test]
fn a_failed_directory_sync_leaves_names_in_doubt() {
    let disk = SimDisk::new();
    drop(disk.open("a", OpenMode::CreateNew).unwrap());
    disk.inject(Fault::error().on(Call::SyncDirectory));
    assert!(disk.sync_directory("").is_err());
    assert!(disk.after_worst_power_loss().list("").unwrap().is_empty());
    assert_eq!(disk.crash_states(10).unwrap().total(), 2);
}

#[test]
fn a_sweep_reaches_every_change_and_ends() {
    let scenario = |disk: &SimDisk| -> Result<()> {
        let file = disk.open("a", OpenMode::CreateNew)?;
        file.allocate(0, 8192)?;
        write(&*file, 0, &[1])?;
        read(&*file, 0, 1)?;
        write_durable(&*file, 1, &[2])?;
        file.sync_all()?;
        disk.rename("a", "b")?;
        disk.sync_directory("")
    };
    let mut struck = Vec::new();
    for n in 1.. {
        let disk = SimDisk::new();
        disk.inject(Fault::power_loss().nth(n));
        match scenario(&disk) {
            Ok(()) => {
                assert!(!disk.has_struck());
                break;
            }
            Err(error) => struck.push(error.operation),
        }
    }
    let expected = ["create", "allocate", "write", "write", "sync", "rename", "sync directory"];
    assert_eq!(struck, expected);
}

#[test]
fn a_full_disk_can_be_claimed_at_any_change() {
    for call in Call::ALL.into_iter().filter(|call| Calls::CHANGES.contains(*call)) {
        let disk = SimDisk::new();
        let file = stable(&disk, "a", &[1, 2]);
        drop(stable(&disk, "b", &[3]));
        disk.inject(Fault::full().on(call));
        let before = disk.contents();
        let error = call_of(call, &disk, &*file).unwrap_err();
        assert_eq!(error.kind, ErrorKind::StorageFull, "{call:?}: {error}");
        assert_eq!(disk.contents(), before, "{call:?}: nothing has happened");
        call_of(call, &disk, &*file).unwrap();
    }
}
