//! A full disk, and space that comes back.

use crate::{at, create, open, shown, stable, write, write_durable};
use aquifer_io::{Disk, OpenMode, Result};
use aquifer_sim::SimDisk;
use std::fmt::Debug;
use std::io::ErrorKind;

#[track_caller]
fn assert_full<T: Debug>(result: Result<T>) {
    assert_eq!(result.unwrap_err().kind, ErrorKind::StorageFull);
}

#[test]
fn writes_and_allocations_are_charged_by_blocks() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1, 2]);
    assert_eq!(disk.used(), 8192);
    file.truncate(at(100)).unwrap();
    assert_eq!(disk.used(), 8192, "holes are free");
    disk.set_free(Some(at(3)));
    file.allocate(0, at(4)).unwrap();
    assert_eq!(disk.used(), at(4));
    write(&*file, 50, &[3]).unwrap();
    assert_full(write(&*file, 60, &[3]));
    assert_full(write_durable(&*file, 60, &[3]));
    assert_full(file.allocate(at(60), at(1)));
    write(&*file, 0, &[7; 4]).unwrap(); // what is allocated can be written
    disk.set_free(Some(100));
    assert_full(write(&*file, 60, &[3]));
    disk.set_free(None);
    write(&*file, 60, &[3]).unwrap();
}

#[test]
fn a_write_that_does_not_fit_is_done_as_far_as_it_does() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.set_free(Some(at(2)));
    assert_full(write(&*file, 0, &[2; 5]));
    assert_eq!(shown(&disk, "a"), [Some(2); 3]);
    assert_eq!(disk.used(), at(3));
    assert_full(write(&*file, 3, &[2; 2]));
    assert_eq!(file.len().unwrap(), at(3));
}

#[test]
fn an_allocation_that_does_not_fit_changes_nothing() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.set_free(Some(at(2)));
    assert_full(file.allocate(0, at(4)));
    assert_eq!((file.len().unwrap(), disk.used()), (at(1), at(1)));
    file.allocate(0, at(3)).unwrap();
}

#[test]
fn space_comes_back() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1; 4]);
    let other = create(&disk, "b");
    disk.set_free(Some(0));
    assert_full(write(&*other, 0, &[1]));
    file.punch_hole(0, at(1)).unwrap();
    write(&*other, 0, &[1]).unwrap();
    assert_full(write(&*other, 1, &[1]));
    file.truncate(at(3)).unwrap();
    write(&*other, 1, &[1]).unwrap();
    disk.remove("a").unwrap();
    assert_full(write(&*other, 2, &[1, 1]));
    drop(file);
    write(&*other, 2, &[1, 1]).unwrap();
    assert_eq!(disk.used(), at(4));
    drop(other);
    drop(create(&disk, "c"));
    disk.rename("c", "b").unwrap();
    assert_eq!(disk.used(), 0, "what is replaced is gone");
}

#[test]
fn an_allocation_that_is_synced_can_be_written_after_a_boot() {
    let disk = SimDisk::new();
    let file = create(&disk, "a");
    file.allocate(0, at(4)).unwrap();
    file.sync_data().unwrap();
    disk.set_free(Some(0));
    for after in [disk.after_power_loss(1), disk.after_kill()] {
        let file = open(&after, "a");
        write(&*file, 0, &[1; 4]).unwrap();
        assert_full(write(&*file, 4, &[1]));
    }
}

#[test]
fn a_file_may_be_too_large() {
    let disk = SimDisk::new();
    let file = disk.open("a", OpenMode::CreateNew).unwrap();
    let beyond = aquifer_sim::FILE_BYTES_MAX;
    assert_eq!(write(&*file, beyond / 4096, &[1]).unwrap_err().kind, ErrorKind::FileTooLarge);
    assert_eq!(file.truncate(beyond + 4096).unwrap_err().kind, ErrorKind::FileTooLarge);
    assert_full(file.allocate(beyond, 4096));
    assert_eq!(file.len().unwrap(), 0);
}
