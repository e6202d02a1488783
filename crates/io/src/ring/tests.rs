//! What rings do when batches are forgotten, threads end, and processes fork.

use super::*;
use crate::{BLOCK_BYTES, Backend, Buffer, Disk, File, OpenMode, open_disk};
use std::path::Path;

/// A disk with rings and a file of 16 blocks, each full of its number; none where io_uring is refused.
fn disk_with_file(root: &Path) -> Option<(Arc<dyn Disk>, Arc<dyn File>)> {
    if probe().is_err() {
        println!("not tested: this machine has no io_uring");
        return None;
    }
    let disk = open_disk(root, Backend::Uring, false).expect("opens");
    let file = disk.open("file", OpenMode::CreateNew).expect("made");
    let writes = (0..16).map(|block| {
        let mut request = request(Operation::Write, block);
        request.buffer.fill(block as u8);
        request
    });
    assert!(file.transfer(writes.collect()).iter().all(|completion| completion.result.is_ok()));
    Some((disk, file))
}

fn request(operation: Operation, block: u64) -> Request {
    Request { operation, offset: block * BLOCK_BYTES as u64, buffer: Buffer::zeroed(BLOCK_BYTES) }
}

/// Reads of blocks that are no neighbours.
fn reads(blocks: &[u64]) -> Vec<Request> {
    blocks.iter().map(|&block| request(Operation::Read, block)).collect()
}

fn reads_right(file: &dyn File, blocks: &[u64]) -> bool {
    file.transfer(reads(blocks)).iter().zip(blocks).all(|(completion, &block)| {
        completion.result.is_ok() && completion.buffer.iter().all(|&byte| u64::from(byte) == block)
    })
}

#[test]
fn forgotten_batch_harms_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some((_disk, file)) = disk_with_file(dir.path()) else { return };
    thread::spawn(move || {
        for _ in 0..10 {
            std::mem::forget(file.submit(reads(&[9, 3, 11, 6])));
            assert!(reads_right(&*file, &[1, 8, 4, 0]));
        }
        std::mem::forget(file.submit(reads(&[9, 3, 11, 6])));
    })
    .join()
    .expect("the thread did not panic, and ended");
}

#[test]
fn more_runs_than_slots_wait_their_turn() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some((_disk, file)) = disk_with_file(dir.path()) else { return };
    let blocks: Vec<u64> = (0..5 * u64::from(ENTRIES)).map(|index| index * 7 % 16).collect();
    let first = file.submit(reads(&blocks));
    let ring = of_this_thread().expect("a ring");
    assert_eq!(ring.borrow().under_way(), ENTRIES as usize);
    assert_eq!(ring.borrow().waiting.len(), 4 * ENTRIES as usize);
    assert!(reads_right(&*file, &blocks));
    assert_eq!(first.wait().len(), blocks.len());
    assert_eq!(ring.borrow().under_way(), 0);
    assert!(ring.borrow().waiting.is_empty());
}

#[test]
fn each_thread_has_its_own_ring() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some((_disk, file)) = disk_with_file(dir.path()) else { return };
    for _ in 0..50 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let file = Arc::clone(&file);
                thread::spawn(move || reads_right(&*file, &[2, 9, 5]))
            })
            .collect();
        for thread in threads {
            assert!(thread.join().expect("the thread did not panic"));
        }
    }
}

#[test]
fn failed_runs_free_their_slots() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some((_disk, _file)) = disk_with_file(dir.path()) else { return };
    let findings = Arc::new(crate::open_file::Findings::new());
    let file =
        OpenFile::open(&dir.path().join("file"), "file", OpenMode::Existing, findings).expect("opened");
    let ring = of_this_thread().expect("a ring");
    // Beyond the end of the file; the last three are one run, which falls apart.
    let completions = ring.borrow_mut().transfer(&Arc::new(file), reads(&[20, 3, 30, 31, 32]));
    assert_eq!(ring.borrow().under_way(), 0);
    let failed: Vec<bool> = completions.iter().map(|completion| completion.result.is_err()).collect();
    assert_eq!(failed, [true, false, true, true, true]);
}

#[test]
fn forked_child_makes_its_own_ring() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some((_disk, file)) = disk_with_file(dir.path()) else { return };
    assert!(reads_right(&*file, &[7, 2]), "now this thread has a ring");
    // SAFETY: the child calls the kernel and the allocator only, and then ends without running anything else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: no memory is passed. A child that hangs would not fail the test otherwise.
        unsafe { libc::alarm(30) };
        let right = reads_right(&*file, &[5, 14, 1]);
        // SAFETY: ends the child.
        unsafe { libc::_exit(if right { 0 } else { 1 }) };
    }
    assert!(child > 0, "fork failed");
    assert!(reads_right(&*file, &[12, 4]));
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child read what it should");
    assert!(reads_right(&*file, &[3, 10]));
}
