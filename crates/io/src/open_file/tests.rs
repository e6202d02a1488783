//! What the file system shows of space.

use super::*;
use crate::Buffer;
use std::os::unix::fs::MetadataExt;

/// Bytes that the file takes on a file system in memory, which allocates and punches in pages.
fn space_after(operations: impl FnOnce(&OpenFile)) -> u64 {
    let dir = tempfile::tempdir_in("/dev/shm").expect("Linux has /dev/shm");
    let path = dir.path().join("file");
    let file =
        OpenFile::open(&path, "file", OpenMode::CreateNew, Arc::new(Findings::new())).expect("a new file");
    operations(&file);
    // By POSIX, `blocks` counts units of 512 bytes.
    path.metadata().expect("metadata").blocks() * 512
}

fn write(file: &OpenFile, block: u64, blocks: usize) {
    let offset = block * BLOCK_BYTES as u64;
    let buffer = Buffer::zeroed(blocks * BLOCK_BYTES);
    let run = Run::alone(0, Request { operation: Operation::Write, offset, buffer });
    file.carry_out(run, |_, completion| completion.result.expect("written"));
}

#[test]
fn allocated_range_takes_space_at_once() {
    assert_eq!(space_after(|file| file.allocate(8192, 65_536).expect("allocated")), 65_536);
}

#[test]
fn extended_range_takes_none() {
    assert_eq!(space_after(|file| file.truncate(65_536).expect("extended")), 0);
}

#[test]
fn punched_hole_gives_space_back() {
    let left = space_after(|file| {
        write(file, 0, 16);
        file.punch_hole(8192, 40_960).expect("punched");
    });
    assert_eq!(left, 24_576);
}

#[test]
fn truncation_gives_space_back() {
    let left = space_after(|file| {
        write(file, 0, 16);
        file.truncate(4096).expect("cut");
    });
    assert_eq!(left, 4096);
}
