//! Neighbours in a batch, moved by one system call.
//!
//! Requests that follow each other in a batch *and* in the file, in the same direction, are gathered into a run, which
//! is one vectored transfer: the flusher's pages lie in frames all over a pool, but go to neighbouring slots, and one
//! large write is several times faster than many small ones. A request with no such neighbour is a run by itself.
//!
//! Every request still has its own result. If the kernel refuses a run of several, what it did not finish is
//! done again one by one.
//!
//! Invariants:
//!
//! - **N1** A run has at least one request, none of them empty; all have one direction, and each begins where the one
//!   before it ends. Their numbers in the batch are `first`, `first + 1`, …
//! - **N2** A run of several is at most [`RUN_BYTES_MAX`] long and has at most [`RUN_REQUESTS_MAX`] requests.

use crate::open_file::OpenFile;
use crate::progress::{Progress, Step};
use crate::{Completion, Operation, Request};
use std::io;

/// Beyond this, larger transfers are not faster, but keep others waiting for longer.
const RUN_BYTES_MAX: usize = 1 << 20;

/// One page each; a quarter of what the kernel takes (`IOV_MAX`).
const RUN_REQUESTS_MAX: usize = 256;

/// Requests that are transferred together.
#[derive(Debug)]
pub(crate) struct Run {
    first: usize,
    requests: Vec<Request>,
    progress: Progress,
}

impl Run {
    /// Sorts a batch into runs. Requests that need no transfer, or may have none, are finished here and now.
    pub(crate) fn gather(
        file: &OpenFile,
        requests: Vec<Request>,
        mut finish: impl FnMut(usize, Completion),
    ) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, request) in requests.into_iter().enumerate() {
            match file.check(&request) {
                Ok(()) if !request.buffer.is_empty() => match runs.last_mut() {
                    Some(run) if run.admits(index, &request) => run.push(request),
                    _ => runs.push(Run::alone(index, request)),
                },
                result => finish(index, Completion { buffer: request.buffer, result }),
            }
        }
        runs
    }

    /// A run of one checked request with a transfer to do, whose number in its batch is `index`.
    pub(crate) fn alone(index: usize, request: Request) -> Run {
        assert!(!request.buffer.is_empty(), "N1: nothing to transfer");
        let progress = Progress::new(request.operation, request.buffer.len());
        Run { first: index, requests: vec![request], progress }
    }

    fn admits(&self, index: usize, request: &Request) -> bool {
        let bytes = self.progress.len();
        request.operation == self.operation()
            && index == self.first + self.requests.len()
            && request.offset == self.requests[0].offset + bytes as u64
            && bytes + request.buffer.len() <= RUN_BYTES_MAX
            && self.requests.len() < RUN_REQUESTS_MAX
    }

    fn push(&mut self, request: Request) {
        self.progress = Progress::new(request.operation, self.progress.len() + request.buffer.len());
        self.requests.push(request);
    }

    /// The direction of all its requests.
    pub(crate) fn operation(&self) -> Operation {
        self.requests[0].operation
    }

    /// Where in the file the next piece begins.
    pub(crate) fn offset(&self) -> u64 {
        self.requests[0].offset + self.progress.next().start as u64
    }

    /// The memory of the next piece, in order; `(offset, slices)` describe one vectored transfer.
    pub(crate) fn slices(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let piece = self.progress.next();
        let mut start = 0;
        self.requests.iter_mut().filter_map(move |request| {
            let len = request.buffer.len();
            let from = piece.start.saturating_sub(start).min(len);
            let to = piece.end.saturating_sub(start).min(len);
            start += len;
            (from < to).then(|| &mut request.buffer[from..to])
        })
    }

    /// Whether it is one request, so that a plain transfer will do.
    pub(crate) fn is_alone(&self) -> bool {
        self.requests.len() == 1
    }

    /// Takes the kernel's answer to the next piece: hands finished requests to `finish`, and what must be issued
    /// (again) to `again`.
    pub(crate) fn answered(
        mut self,
        file: &OpenFile,
        answer: io::Result<usize>,
        finish: impl FnMut(usize, Completion),
        mut again: impl FnMut(Run),
    ) {
        let step = match answer {
            Ok(count) => self.progress.transferred(count),
            Err(error) => self.progress.refused(error),
        };
        match step {
            Step::Finished => self.finish_all(&Ok(()), finish),
            Step::Continue => again(self),
            Step::LeaveDirect => match file.leave_direct() {
                Ok(()) => again(self),
                Err(error) => self.finish_all(&Err(error), finish),
            },
            Step::Failed(error) if self.is_alone() => {
                let error = file.transfer_error(&self.requests[0], &error);
                self.finish_all(&Err(error), finish);
            }
            Step::Failed(_) => self.fall_apart(finish, again),
        }
    }

    fn finish_all(self, result: &crate::Result<()>, mut finish: impl FnMut(usize, Completion)) {
        for (index, request) in self.requests.into_iter().enumerate() {
            finish(self.first + index, Completion { buffer: request.buffer, result: result.clone() });
        }
    }

    /// Which of the requests is to blame is not known: those that are not done go on alone.
    fn fall_apart(self, mut finish: impl FnMut(usize, Completion), mut again: impl FnMut(Run)) {
        let done = self.progress.next().start;
        let mut end = 0;
        for (index, request) in self.requests.into_iter().enumerate() {
            end += request.buffer.len();
            if end <= done {
                finish(self.first + index, Completion { buffer: request.buffer, result: Ok(()) });
            } else {
                again(Run::alone(self.first + index, request));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
