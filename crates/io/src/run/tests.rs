//! What is gathered, and what becomes of a run that the kernel refuses.

use super::*;
use crate::open_file::Findings;
use crate::{BLOCK_BYTES, Buffer, OpenMode};
use aquifer_sync::Arc;
use std::io::ErrorKind;

fn with_file(check: impl FnOnce(&OpenFile)) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    check(&OpenFile::open(&path, "file", OpenMode::CreateNew, Arc::new(Findings::new())).expect("made"));
}

fn request(operation: Operation, block: u64, blocks: usize) -> Request {
    Request { operation, offset: block * BLOCK_BYTES as u64, buffer: Buffer::zeroed(blocks * BLOCK_BYTES) }
}

fn read(block: u64) -> Request {
    request(Operation::Read, block, 1)
}

fn write(block: u64) -> Request {
    request(Operation::Write, block, 1)
}

/// Gathers, and says how many requests each run has; those that are finished at once are not in any.
#[track_caller]
fn check_runs(requests: Vec<Request>, runs: &[usize]) {
    with_file(|file| {
        let gathered = Run::gather(file, requests, |_, _| {});
        assert_eq!(gathered.iter().map(|run| run.requests.len()).collect::<Vec<_>>(), runs);
    });
}

#[test]
fn neighbours_are_gathered() {
    check_runs(vec![read(5), read(6), read(7)], &[3]);
    check_runs(vec![read(5), request(Operation::Read, 6, 4), read(10), read(12)], &[3, 1]);
}

#[test]
fn others_are_not() {
    check_runs(vec![read(5), read(4), read(6)], &[1, 1, 1]);
    check_runs(vec![read(5), read(5)], &[1, 1]);
    check_runs(vec![read(5), write(6), write(7), read(8)], &[1, 2, 1]);
}

#[test]
fn empty_and_misplaced_requests_part_neighbours() {
    check_runs(vec![read(5), request(Operation::Read, 6, 0), read(6)], &[1, 1]);
    check_runs(vec![read(5), Request { offset: 100, ..read(0) }, read(6)], &[1, 1]);
}

#[test]
fn runs_are_bounded() {
    check_runs((0..600).map(read).collect(), &[256, 256, 88]);
    check_runs((0..3).map(|index| request(Operation::Write, index * 256, 256)).collect(), &[1, 1, 1]);
    check_runs((0..3).map(|index| request(Operation::Write, index * 200, 200)).collect(), &[1, 1, 1]);
    check_runs((0..4).map(|index| request(Operation::Write, index * 128, 128)).collect(), &[2, 2]);
}

/// The results of a run of four blocks when the kernel answers `answers` to what is issued, one after the other.
fn results(answers: Vec<io::Result<usize>>) -> Vec<Option<ErrorKind>> {
    let mut answers = answers.into_iter();
    let mut results = vec![None; 4];
    with_file(|file| {
        let mut unfinished = Run::gather(file, (10..14).map(read).collect(), |_, _| unreachable!());
        assert_eq!(unfinished.len(), 1);
        while !unfinished.is_empty() {
            let run = unfinished.remove(0);
            let finish = |index: usize, completion: Completion| {
                assert_eq!(results[index], None, "finished twice");
                results[index] = Some(completion.result.err().map(|error| {
                    assert_eq!(error.offset, (10 + index as u64) * 4096);
                    assert_eq!(error.len, 4096);
                    error.kind
                }));
            };
            run.answered(file, answers.next().expect("enough answers"), finish, |run| unfinished.push(run));
        }
    });
    assert!(answers.next().is_none(), "more was issued than needed");
    results.into_iter().map(|result| result.expect("finished")).collect()
}

fn refusal(errno: i32) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(errno))
}

#[test]
fn whole_run_finishes_all() {
    assert_eq!(results(vec![Ok(16_384)]), [None; 4]);
}

#[test]
fn short_run_goes_on() {
    assert_eq!(results(vec![Ok(4096), refusal(libc::EINTR), Ok(5000), Ok(8192)]), [None; 4]);
}

#[test]
fn invalid_run_goes_on_without_direct_io() {
    assert_eq!(results(vec![refusal(libc::EINVAL), Ok(16_384)]), [None; 4]);
}

#[test]
fn refused_run_falls_apart() {
    let answers = vec![refusal(libc::EACCES), Ok(4096), Ok(4096), refusal(libc::EACCES), Ok(4096)];
    assert_eq!(results(answers), [None, None, Some(ErrorKind::PermissionDenied), None]);
}

#[test]
fn what_a_refused_run_finished_stays_finished() {
    let answers = vec![Ok(8192), refusal(libc::EACCES), refusal(libc::EACCES), Ok(4096)];
    assert_eq!(results(answers), [None, None, Some(ErrorKind::PermissionDenied), None]);
}

#[test]
fn run_into_the_end_of_the_file_fails_only_beyond_it() {
    let end = Some(ErrorKind::UnexpectedEof);
    assert_eq!(results(vec![Ok(8192), Ok(0), Ok(0), Ok(0)]), [None, None, end, end]);
}

#[test]
fn slices_begin_where_the_run_stopped() {
    with_file(|file| {
        let requests = vec![request(Operation::Write, 10, 2), write(12), write(13)];
        let run = Run::gather(file, requests, |_, _| unreachable!()).pop().expect("one run");
        let mut again = None;
        run.answered(file, Ok(4096 + 512), |_, _| unreachable!(), |run| again = Some(run));
        let mut run = again.expect("it goes on");
        assert_eq!(run.offset(), 11 * 4096 + 512);
        assert_eq!(run.slices().map(|slice| slice.len()).collect::<Vec<_>>(), [3584, 4096, 4096]);
    });
}
