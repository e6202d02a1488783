//! How far one transfer has come: short transfers are continued, interruptions repeated, the end of file noticed.
//!
//! A pure state machine, the same for every way to the kernel: the caller asks for the [`next`](Progress::next) piece,
//! does it, and reports what the kernel said.
//!
//! Invariants:
//!
//! - **T1** `done <= len`, and the bytes before `done` have been transferred.
//! - **T2** Every step either raises `done`, or counts against a limit, or ends the transfer: no kernel, however
//!   strange, keeps it going for ever.
//! - **T3** Pieces start on a sector, for writes, and on a block, for reads, as direct I/O asks.

use crate::{BLOCK_BYTES, Operation};
use std::io::{Error, ErrorKind};
use std::ops::Range;

/// The kernel moves a little less than 2 GiB at once, and a ring's length field has 32 bits: stay well below.
const PIECE_BYTES_MAX: usize = 1 << 30;

/// Where a partial write may be taken up again; the smallest unit of direct I/O.
const SECTOR_BYTES: usize = 512;

/// Interruptions in a row that are believed. Signals come one at a time; a thousand without progress is a fault.
const REPEATS_MAX: u32 = 1000;

/// One transfer's position.
#[derive(Debug)]
pub(crate) struct Progress {
    operation: Operation,
    len: usize,
    done: usize,
    repeats: u32,
    left_direct: bool,
}

/// What to do next with a transfer.
#[derive(Debug)]
#[must_use]
pub(crate) enum Step {
    /// It is whole.
    Finished,
    /// Issue the next piece.
    Continue,
    /// The kernel calls the arguments invalid: leave direct I/O, then issue the same piece.
    LeaveDirect,
    /// It failed.
    Failed(Error),
}

impl Progress {
    /// A transfer of `len` bytes that has not begun.
    pub(crate) fn new(operation: Operation, len: usize) -> Progress {
        Progress { operation, len, done: 0, repeats: 0, left_direct: false }
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The part of the buffer to transfer next.
    pub(crate) fn next(&self) -> Range<usize> {
        self.done..self.len.min(self.done + PIECE_BYTES_MAX)
    }

    /// The kernel transferred `count` bytes of the piece.
    pub(crate) fn transferred(&mut self, count: usize) -> Step {
        assert!(count <= self.len - self.done, "T1: the kernel reports more bytes than were asked for");
        let reached = self.done + count;
        if reached == self.len {
            self.done = reached;
            return Step::Finished;
        }
        let (unit, kind, message) = match self.operation {
            Operation::Read => (BLOCK_BYTES, ErrorKind::UnexpectedEof, "the file ends before the last byte"),
            Operation::Write => (SECTOR_BYTES, ErrorKind::WriteZero, "the kernel writes no further"),
        };
        let whole = reached - reached % unit;
        if whole <= self.done {
            return Step::Failed(Error::new(kind, message));
        }
        self.done = whole;
        self.repeats = 0;
        Step::Continue
    }

    /// The kernel refused the piece.
    pub(crate) fn refused(&mut self, error: Error) -> Step {
        match error.raw_os_error() {
            Some(libc::EINTR | libc::EAGAIN) if self.repeats < REPEATS_MAX => {
                self.repeats += 1;
                Step::Continue
            }
            Some(libc::EINVAL) if !self.left_direct => {
                self.left_direct = true;
                Step::LeaveDirect
            }
            _ => Step::Failed(error),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
