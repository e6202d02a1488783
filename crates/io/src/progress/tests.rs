//! Short, interrupted and refused transfers.

use super::*;

const LEN: usize = 4 * BLOCK_BYTES;

fn read() -> Progress {
    Progress::new(Operation::Read, LEN)
}

fn write() -> Progress {
    Progress::new(Operation::Write, LEN)
}

fn refusal(errno: i32) -> Error {
    Error::from_raw_os_error(errno)
}

fn kind_of(step: Step) -> ErrorKind {
    match step {
        Step::Failed(error) => error.kind(),
        other => panic!("{other:?} is not a failure"),
    }
}

#[test]
fn whole_transfer_finishes_at_once() {
    assert!(matches!(read().transferred(LEN), Step::Finished));
    assert!(matches!(write().transferred(LEN), Step::Finished));
}

#[test]
fn short_read_goes_on_at_the_block_it_stopped_in() {
    let mut progress = read();
    assert!(matches!(progress.transferred(BLOCK_BYTES + 700), Step::Continue));
    assert_eq!(progress.next(), BLOCK_BYTES..LEN);
    assert!(matches!(progress.transferred(3 * BLOCK_BYTES), Step::Finished));
}

#[test]
fn short_write_goes_on_at_the_sector_it_stopped_in() {
    let mut progress = write();
    assert!(matches!(progress.transferred(1600), Step::Continue));
    assert_eq!(progress.next(), 1536..LEN);
    assert!(matches!(progress.transferred(LEN - 1536), Step::Finished));
}

#[test]
fn read_that_stands_still_is_the_end_of_the_file() {
    assert_eq!(kind_of(read().transferred(0)), ErrorKind::UnexpectedEof);
    assert_eq!(kind_of(read().transferred(700)), ErrorKind::UnexpectedEof);
    let mut progress = read();
    assert!(matches!(progress.transferred(BLOCK_BYTES), Step::Continue));
    assert_eq!(kind_of(progress.transferred(0)), ErrorKind::UnexpectedEof);
}

#[test]
fn write_that_stands_still_fails() {
    assert_eq!(kind_of(write().transferred(0)), ErrorKind::WriteZero);
    assert_eq!(kind_of(write().transferred(100)), ErrorKind::WriteZero);
}

#[test]
fn interruptions_are_repeated_but_not_for_ever() {
    let mut progress = read();
    for _ in 0..REPEATS_MAX {
        assert!(matches!(progress.refused(refusal(libc::EINTR)), Step::Continue));
    }
    assert_eq!(kind_of(progress.refused(refusal(libc::EINTR))), ErrorKind::Interrupted);
}

#[test]
fn progress_forgives_interruptions() {
    let mut progress = write();
    for _ in 0..REPEATS_MAX {
        assert!(matches!(progress.refused(refusal(libc::EAGAIN)), Step::Continue));
    }
    assert!(matches!(progress.transferred(BLOCK_BYTES), Step::Continue));
    assert!(matches!(progress.refused(refusal(libc::EAGAIN)), Step::Continue));
}

#[test]
fn invalid_arguments_leave_direct_io_once() {
    let mut progress = read();
    assert!(matches!(progress.refused(refusal(libc::EINVAL)), Step::LeaveDirect));
    assert_eq!(kind_of(progress.refused(refusal(libc::EINVAL))), ErrorKind::InvalidInput);
}

#[test]
fn other_refusals_are_final() {
    assert_eq!(kind_of(write().refused(refusal(libc::ENOSPC))), ErrorKind::StorageFull);
    assert!(matches!(read().refused(refusal(libc::EIO)), Step::Failed(_)));
}

#[test]
fn huge_transfers_go_in_pieces() {
    let len = 3 << 30;
    let mut progress = Progress::new(Operation::Read, len);
    assert_eq!(progress.next(), 0..1 << 30);
    assert!(matches!(progress.transferred(1 << 30), Step::Continue));
    assert_eq!(progress.next(), 1 << 30..2 << 30);
}

#[test]
#[should_panic(expected = "T1")]
fn more_than_asked_for_panics() {
    let _ = read().transferred(LEN + 1);
}
