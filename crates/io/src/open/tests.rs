//! Which backend is chosen, and what is said when io_uring is refused.

use super::refusal::{Refusal, refuse};
use super::*;
use crate::{Buffer, OpenMode, Operation, Request};
use aquifer_sync::thread;
use std::io::ErrorKind;

fn refused(errno: i32) -> impl FnOnce() -> io::Result<()> {
    move || Err(io::Error::from_raw_os_error(errno))
}

#[test]
fn auto_takes_rings_where_they_work() {
    assert_eq!(choose(Backend::Auto, || Ok(())).expect("never fails"), Way::Rings);
}

#[test]
fn auto_takes_threads_where_rings_are_refused() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM] {
        assert_eq!(choose(Backend::Auto, refused(errno)).expect("never fails"), Way::Threads);
    }
}

#[test]
fn posix_does_not_ask_for_rings() {
    assert_eq!(choose(Backend::Posix, || unreachable!()).expect("never fails"), Way::Threads);
}

#[test]
fn forced_rings_fail_where_they_are_refused() {
    let error = choose(Backend::Uring, refused(libc::EPERM)).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

/// Runs `check` in a thread for which `refusals` hold, on a directory of its own.
fn under(refusals: &'static [Refusal], check: impl FnOnce(&Path) + Send + 'static) {
    thread::spawn(move || {
        let dir = tempfile::tempdir().expect("a directory");
        refusals.iter().for_each(refuse);
        check(dir.path());
    })
    .join()
    .expect("the thread did not panic");
}

/// Makes a new file of ten blocks, with a batch of requests that are no neighbours, and reads it back.
fn assert_transfers_work(disk: &dyn Disk) {
    let file = disk.open("file", OpenMode::CreateNew).expect("made");
    let request = |operation, block: u64, byte: u8| {
        let mut buffer = Buffer::zeroed(4096);
        buffer.fill(byte);
        Request { operation, offset: block * 4096, buffer }
    };
    let blocks = || (0..10).map(|index| index * 3 % 10);
    let writes = blocks().map(|block| request(Operation::Write, block, block as u8));
    assert!(file.transfer(writes.collect()).iter().all(|completion| completion.result.is_ok()));
    let reads = blocks().map(|block| request(Operation::Read, block, 99));
    for (completion, block) in file.transfer(reads.collect()).iter().zip(blocks()) {
        completion.result.as_ref().expect("read");
        assert!(completion.buffer.iter().all(|&byte| u64::from(byte) == block));
    }
}

const NO_IO_URING: Refusal = Refusal { call: libc::SYS_io_uring_setup, errno: libc::EPERM, flag: None };

#[test]
fn refused_io_uring_leads_to_posix() {
    under(&[NO_IO_URING], |root| {
        let disk = open_disk(root, Backend::Auto, false).expect("opens");
        assert_eq!(disk.backend(), "posix");
        assert_transfers_work(&*disk);
        let error = open_disk(root, Backend::Uring, false).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("choose the posix backend"), "{error}");
    });
}

#[test]
fn thread_without_a_ring_uses_the_other_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let Ok(disk) = open_disk(dir.path(), Backend::Uring, false) else {
        return; // No io_uring on this machine: nothing to fall back from.
    };
    under(&[NO_IO_URING], move |_| assert_transfers_work(&*disk));
}

#[test]
fn refused_direct_io_leads_to_buffered() {
    const NO_DIRECT: Refusal =
        Refusal { call: libc::SYS_fcntl, errno: libc::EINVAL, flag: Some((2, libc::O_DIRECT as u32)) };
    under(&[NO_DIRECT], |root| {
        let disk = open_disk(root, Backend::Posix, false).expect("opens");
        assert_transfers_work(&*disk);
        assert_eq!(disk.backend(), "posix, buffered");
    });
}

#[test]
fn direct_io_refused_by_a_transfer_is_left() {
    // Pieces of direct I/O cannot be told from others by a filter: the second refusal, then, is the answer.
    under(&[Refusal { call: libc::SYS_pwrite64, errno: libc::EINVAL, flag: None }], |root| {
        let disk = open_disk(root, Backend::Posix, false).expect("opens");
        let file = disk.open("file", OpenMode::CreateNew).expect("made");
        let request = Request { operation: Operation::Write, offset: 0, buffer: Buffer::zeroed(4096) };
        let error = file.transfer(vec![request]).swap_remove(0).result.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert_eq!(disk.backend(), "posix, buffered");
    });
}

#[test]
fn write_through_refused_is_done_by_sync() {
    under(&[Refusal { call: libc::SYS_pwritev2, errno: libc::EOPNOTSUPP, flag: None }], |root| {
        let disk = open_disk(root, Backend::Posix, false).expect("opens");
        let file = disk.open("file", OpenMode::CreateNew).expect("made");
        for block in 0..40 {
            file.write_durable(block * 4096, Buffer::zeroed(4096)).result.expect("written");
        }
        assert_eq!(file.len().expect("a length"), 163_840);
    });
}

#[test]
fn failed_sync_is_reported_by_durable_writes() {
    const NO_SYNC: [Refusal; 2] = [
        Refusal { call: libc::SYS_pwritev2, errno: libc::EOPNOTSUPP, flag: None },
        Refusal { call: libc::SYS_fdatasync, errno: libc::EIO, flag: None },
    ];
    under(&NO_SYNC, |root| {
        let disk = open_disk(root, Backend::Posix, false).expect("opens");
        let file = disk.open("file", OpenMode::CreateNew).expect("made");
        let error = file.write_durable(0, Buffer::zeroed(4096)).result.expect_err("not durable");
        assert_eq!((error.operation, &*error.file), ("sync", "file"));
        assert_eq!(file.sync_data().expect_err("fails").operation, "sync");
    });
}

#[test]
fn space_without_fallocate() {
    under(&[Refusal { call: libc::SYS_fallocate, errno: libc::EOPNOTSUPP, flag: None }], |root| {
        let disk = open_disk(root, Backend::Posix, false).expect("opens");
        let file = disk.open("file", OpenMode::CreateNew).expect("made");
        file.allocate(4096, 8192).expect("extended");
        assert_eq!(file.len().expect("a length"), 12_288);
        file.allocate(0, 4096).expect("is there already");
        assert_eq!(file.len().expect("a length"), 12_288);
        file.punch_hole(0, 4096).expect("a no-op");
    });
}

#[test]
fn full_disk_is_storage_full() {
    const fn full(errno: i32) -> [Refusal; 3] {
        [
            Refusal { call: libc::SYS_fallocate, errno, flag: None },
            Refusal { call: libc::SYS_pwrite64, errno, flag: None },
            Refusal { call: libc::SYS_pwritev2, errno, flag: None },
        ]
    }
    for refusals in [const { &full(libc::ENOSPC) }, const { &full(libc::EDQUOT) }] {
        under(refusals, |root| {
            let disk = open_disk(root, Backend::Posix, false).expect("opens");
            let file = disk.open("file", OpenMode::CreateNew).expect("made");
            let write = Request { operation: Operation::Write, offset: 4096, buffer: Buffer::zeroed(4096) };
            let results = [
                file.transfer(vec![write]).swap_remove(0).result,
                file.write_durable(4096, Buffer::zeroed(4096)).result,
                file.allocate(4096, 4096),
            ];
            for result in results {
                let error = result.expect_err("full");
                assert_eq!(error.kind, ErrorKind::StorageFull);
                assert_eq!((&*error.file, error.offset, error.len), ("file", 4096, 4096));
            }
        });
    }
}

#[test]
fn missing_root_is_not_found_unless_created() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("a/b/c");
    let error = open_disk(&root, Backend::Posix, false).expect_err("missing");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("a/b/c"), "{error}");
    open_disk(&root, Backend::Posix, true).expect("made");
    assert!(root.is_dir());
    open_disk(&root, Backend::Posix, true).expect("is there already");
    open_disk(&root, Backend::Posix, false).expect("is there");
}

#[test]
fn root_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("file");
    std::fs::write(&root, "x").expect("written");
    let error = open_disk(&root, Backend::Posix, false).expect_err("a file");
    assert_eq!(error.kind, ErrorKind::NotADirectory);
    assert!(open_disk(&root, Backend::Posix, true).is_err());
}
