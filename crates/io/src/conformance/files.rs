//! Lengths, space and durability of a file.

use super::{
    Check, Opener, assert_pattern, assert_zero, at, block, new_file, pattern, read, succeeded, write_pattern,
};
use crate::OpenMode;
use std::io::ErrorKind;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("length follows writes", length_follows_writes),
    ("truncate cuts and extends", truncate_cuts_and_extends),
    ("allocate extends and keeps", allocate_extends_and_keeps),
    ("punched hole reads as zeros", punched_hole_reads_as_zeros),
    ("unaligned ranges are refused", unaligned_ranges_are_refused),
    ("durable writes are read", durable_writes_are_read),
    ("syncs succeed", syncs_succeed),
    ("two handles see one file", two_handles_see_one_file),
    ("open file outlives its name", open_file_outlives_its_name),
];

fn length_follows_writes(open: Opener<'_>) {
    let file = new_file(open, "length");
    assert_eq!(file.len().expect("a length"), 0);
    write_pattern(&*file, 3, 1);
    assert_eq!(file.len().expect("a length"), 12_288);
    succeeded(file.transfer(vec![super::write(9, pattern(9, 1))]));
    assert_eq!(file.len().expect("a length"), 40_960);
    assert_zero(&block(&*file, 5));
    assert_pattern(&block(&*file, 9), 9, 1);
}

fn truncate_cuts_and_extends(open: Opener<'_>) {
    let file = new_file(open, "truncate");
    write_pattern(&*file, 8, 1);
    file.truncate(at(3)).expect("cut");
    assert_eq!(file.len().expect("a length"), 12_288);
    assert_pattern(&block(&*file, 2), 2, 1);
    let gone = file.transfer(vec![read(3, 1)]).pop().expect("one");
    assert_eq!(gone.result.expect_err("cut off").kind, ErrorKind::UnexpectedEof);
    file.truncate(at(6)).expect("extended");
    assert_eq!(file.len().expect("a length"), 24_576);
    assert_pattern(&block(&*file, 2), 2, 1);
    for index in 3..6 {
        assert_zero(&block(&*file, index));
    }
    file.truncate(0).expect("emptied");
    assert_eq!(file.len().expect("a length"), 0);
}

fn allocate_extends_and_keeps(open: Opener<'_>) {
    let file = new_file(open, "allocate");
    write_pattern(&*file, 2, 1);
    file.allocate(0, at(100)).expect("allocated");
    assert_eq!(file.len().expect("a length"), 409_600);
    assert_pattern(&block(&*file, 0), 0, 1);
    assert_pattern(&block(&*file, 1), 1, 1);
    assert_zero(&block(&*file, 2));
    assert_zero(&block(&*file, 99));
    file.allocate(at(10), at(10)).expect("is there already");
    file.allocate(at(50), 0).expect("nothing to do");
    assert_eq!(file.len().expect("a length"), 409_600);
    file.allocate(at(100), at(4)).expect("allocated");
    assert_eq!(file.len().expect("a length"), 425_984);
    write_pattern(&*file, 104, 2);
    assert_pattern(&block(&*file, 103), 103, 2);
}

fn punched_hole_reads_as_zeros(open: Opener<'_>) {
    let file = new_file(open, "punch");
    write_pattern(&*file, 10, 1);
    file.punch_hole(at(3), at(4)).expect("punched");
    file.punch_hole(at(9), 0).expect("nothing to do");
    assert_eq!(file.len().expect("a length"), 40_960);
    for index in [0, 1, 2, 7, 8, 9] {
        assert_pattern(&block(&*file, index), index, 1);
    }
    // Zeros, or what was there where the file system cannot punch; never anything else.
    for index in 3..7 {
        let bytes = block(&*file, index);
        if bytes.iter().any(|&byte| byte != 0) {
            assert_pattern(&bytes, index, 1);
        }
    }
    file.punch_hole(at(8), at(100)).expect("beyond the end is no error");
    assert_eq!(file.len().expect("a length"), 40_960);
    write_pattern(&*file, 10, 2);
    assert_pattern(&block(&*file, 5), 5, 2);
}

fn unaligned_ranges_are_refused(open: Opener<'_>) {
    let file = new_file(open, "ranges");
    write_pattern(&*file, 2, 1);
    let refusals = [
        file.truncate(100),
        file.truncate(u64::MAX - 4095),
        file.allocate(1, at(1)),
        file.allocate(0, 100),
        file.allocate(at(1), u64::MAX - 4095),
        file.punch_hole(512, at(1)),
        file.punch_hole(0, 512),
    ];
    for refusal in refusals {
        let error = refusal.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
        assert_eq!(error.file, "ranges");
    }
    assert_eq!(file.len().expect("a length"), 8192);
}

fn durable_writes_are_read(open: Opener<'_>) {
    let file = new_file(open, "durable");
    // More than a trial of the ways to do it, appending and overwriting.
    let mut buffer = pattern(0, 1);
    for index in 0..50 {
        super::fill(&mut buffer, index, 1);
        let completion = file.write_durable(at(index % 30), buffer);
        completion.result.expect("written");
        buffer = completion.buffer;
    }
    for index in 0..30 {
        let last = if index < 20 { index + 30 } else { index };
        assert_pattern(&block(&*file, index), last, 1);
    }
}

fn syncs_succeed(open: Opener<'_>) {
    let disk = open("sync");
    let file = disk.open("file", OpenMode::CreateNew).expect("made");
    file.sync_data().expect("nothing to sync");
    write_pattern(&*file, 5, 1);
    file.sync_data().expect("synced");
    file.sync_all().expect("synced");
    disk.sync_directory("").expect("synced");
    assert_pattern(&block(&*file, 4), 4, 1);
}

fn two_handles_see_one_file(open: Opener<'_>) {
    let disk = open("handles");
    let one = disk.open("file", OpenMode::CreateNew).expect("made");
    write_pattern(&*one, 3, 1);
    let two = disk.open("file", OpenMode::Existing).expect("opened");
    assert_eq!(two.len().expect("a length"), 12_288);
    assert_pattern(&block(&*two, 2), 2, 1);
    write_pattern(&*two, 3, 2);
    assert_pattern(&block(&*one, 2), 2, 2);
    let three =
        open("handles").open("file", OpenMode::Existing).expect("opened by another handle of the disk");
    assert_pattern(&block(&*three, 0), 0, 2);
}

fn open_file_outlives_its_name(open: Opener<'_>) {
    let disk = open("outlives");
    let file = disk.open("file", OpenMode::CreateNew).expect("made");
    write_pattern(&*file, 3, 1);
    disk.remove("file").expect("removed");
    let other = disk.open("file", OpenMode::CreateNew).expect("the name is free");
    assert_eq!(other.len().expect("a length"), 0);
    drop(disk);
    assert_pattern(&block(&*file, 1), 1, 1);
    write_pattern(&*file, 3, 2);
    assert_pattern(&block(&*file, 1), 1, 2);
    assert_eq!(other.len().expect("a length"), 0);
}
