//! An open file of a local file system, and what can be done with it by plain system calls.
//!
//! Opened for direct I/O, so that pages are not cached twice and a write goes to the device when it is issued. Not
//! every file system has it: the file falls back to the page cache for itself, when it is opened or when a transfer
//! is refused as invalid, and goes on.

use crate::durable::{DurableChoice, DurableMethod};
use crate::error::{IoError, Result};
use crate::run::Run;
use crate::{BLOCK_BYTES, Completion, OpenMode, Operation, Request, sys};
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicU8, Ordering};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

/// Files are for their owner alone: what a database holds is for its users to give away, and an administrator can
/// widen what was made narrow, but not take back what was read.
const FILE_PERMISSIONS: u32 = 0o600;

/// What a disk learns from its files, for all of them.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Whether transfers bypass the page cache, as far as seen.
    caching: AtomicU8,
    /// How a single write becomes durable fastest.
    durable: DurableChoice,
}

const CACHING_UNKNOWN: u8 = 0;
const CACHING_DIRECT: u8 = 1;
const CACHING_BUFFERED: u8 = 2;

impl Findings {
    /// Nothing is known yet.
    pub(crate) fn new() -> Findings {
        Findings { caching: AtomicU8::new(CACHING_UNKNOWN), durable: DurableChoice::new() }
    }

    /// "direct" or "buffered", once a file has been opened.
    pub(crate) fn caching(&self) -> Option<&'static str> {
        // Relaxed: a report, on which nothing depends.
        match self.caching.load(Ordering::Relaxed) {
            CACHING_DIRECT => Some("direct"),
            CACHING_BUFFERED => Some("buffered"),
            _ => None,
        }
    }

    fn found(&self, caching: u8) {
        // Relaxed: pairs with nothing; see `caching`.
        self.caching.store(caching, Ordering::Relaxed);
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    name: String,
    findings: Arc<Findings>,
}

impl OpenFile {
    /// Opens `path`, which errors call `name`.
    pub(crate) fn open(path: &Path, name: &str, mode: OpenMode, findings: Arc<Findings>) -> Result<OpenFile> {
        let (operation, new) = match mode {
            OpenMode::Existing => ("open", false),
            OpenMode::CreateNew => ("create", true),
        };
        // The standard library adds O_CLOEXEC: a program that the host starts must not inherit the database.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(new).mode(FILE_PERMISSIONS);
        let file = options.open(path).map_err(|error| IoError::named(operation, name, &error))?;
        // Only now: a file system that refuses O_DIRECT in `open` may have made the file by then.
        let direct = sys::set_direct(&file, true).is_ok();
        findings.found(if direct { CACHING_DIRECT } else { CACHING_BUFFERED });
        Ok(OpenFile { file, name: name.to_owned(), findings })
    }

    /// The file, for those who talk to the kernel in another way.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether a request is one that the interface allows.
    pub(crate) fn check(&self, request: &Request) -> Result<()> {
        self.check_range(name_of(request.operation), request.offset, request.buffer.len() as u64)
    }

    /// Carries out a run here and now, and hands each finished request to `finish`.
    pub(crate) fn carry_out(&self, run: Run, finish: impl FnMut(usize, Completion)) {
        self.carry_out_by(run, finish, |file, run| {
            let at = run.offset();
            match (run.operation(), run.is_alone()) {
                (Operation::Read, true) => file.read_at(run.slices().next().expect("N1"), at),
                (Operation::Write, true) => file.write_at(run.slices().next().expect("N1"), at),
                (Operation::Read, false) => {
                    let mut slices: Vec<IoSliceMut<'_>> = run.slices().map(IoSliceMut::new).collect();
                    sys::read_vectored(file, &mut slices, at)
                }
                (Operation::Write, false) => {
                    let slices: Vec<IoSlice<'_>> = run.slices().map(|slice| IoSlice::new(slice)).collect();
                    sys::write_vectored(file, &slices, at)
                }
            }
        });
    }

    fn carry_out_by(
        &self,
        run: Run,
        mut finish: impl FnMut(usize, Completion),
        mut transfer: impl FnMut(&File, &mut Run) -> io::Result<usize>,
    ) {
        let mut unfinished = vec![run];
        while let Some(mut run) = unfinished.pop() {
            let answer = transfer(&self.file, &mut run);
            run.answered(self, answer, &mut finish, |run| unfinished.push(run));
        }
    }

    /// Writes and makes durable, by the faster method.
    pub(crate) fn write_durable(&self, request: Request) -> Completion {
        if let Err(error) = self.check(&request) {
            return Completion { buffer: request.buffer, result: Err(error) };
        }
        if request.buffer.is_empty() {
            return Completion { buffer: request.buffer, result: Ok(()) };
        }
        let (offset, durable) = (request.offset, &self.findings.durable);
        let (begun, method) = (Instant::now(), durable.next());
        let completion = self.write_durable_by(method, request);
        match &completion.result {
            Ok(()) => durable.took(method, begun.elapsed()),
            Err(error) if method == DurableMethod::WriteThrough && error.kind == ErrorKind::Unsupported => {
                durable.no_write_through();
                let request = Request { operation: Operation::Write, offset, buffer: completion.buffer };
                return self.write_durable_by(DurableMethod::WriteThenSync, request);
            }
            Err(_) => {}
        }
        completion
    }

    fn write_durable_by(&self, method: DurableMethod, request: Request) -> Completion {
        let mut finished = None;
        let finish = |_, completion| finished = Some(completion);
        let run = Run::alone(0, request);
        match method {
            DurableMethod::WriteThrough => self.carry_out_by(run, finish, |file, run| {
                let at = run.offset();
                let slices = run.slices().next().map(|slice| IoSlice::new(slice));
                sys::write_through(file, slices.as_slice(), at)
            }),
            DurableMethod::WriteThenSync => self.carry_out(run, finish),
        }
        let mut completion = finished.expect("a run of one finishes one request");
        if method == DurableMethod::WriteThenSync && completion.result.is_ok() {
            completion.result = self.sync_data();
        }
        completion
    }

    /// The error of a request that failed.
    pub(crate) fn transfer_error(&self, request: &Request, error: &io::Error) -> IoError {
        let len = request.buffer.len() as u64;
        IoError::ranged(name_of(request.operation), &self.name, request.offset, len, error)
    }

    /// Goes on through the page cache. Transfers under way are not disturbed.
    pub(crate) fn leave_direct(&self) -> Result<()> {
        self.findings.found(CACHING_BUFFERED);
        sys::set_direct(&self.file, false)
            .map_err(|error| IoError::named("leave direct I/O", &self.name, &error))
    }

    pub(crate) fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| IoError::named("sync", &self.name, &error))
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| IoError::named("sync", &self.name, &error))
    }

    pub(crate) fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.check_range("allocate", offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let failed = |error: io::Error| IoError::ranged("allocate", &self.name, offset, len, &error);
        match sys::allocate(&self.file, 0, offset, len) {
            Err(error) if is_unsupported(&error) => {
                // The next best: the length is right, and space is found, or not, when it is written.
                if self.len()? < offset + len {
                    self.file.set_len(offset + len).map_err(failed)?;
                }
                Ok(())
            }
            result => result.map_err(failed),
        }
    }

    pub(crate) fn truncate(&self, len: u64) -> Result<()> {
        self.check_range("truncate", len, 0)?;
        self.file.set_len(len).map_err(|error| IoError::ranged("truncate", &self.name, len, 0, &error))
    }

    pub(crate) fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        self.check_range("punch hole", offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        match sys::allocate(&self.file, mode, offset, len) {
            Err(error) if is_unsupported(&error) => Ok(()),
            result => result.map_err(|error| IoError::ranged("punch hole", &self.name, offset, len, &error)),
        }
    }

    pub(crate) fn forget_cached(&self) -> Result<()> {
        match sys::forget_cached(&self.file) {
            Err(error) if is_unsupported(&error) => Ok(()),
            result => result.map_err(|error| IoError::named("forget", &self.name, &error)),
        }
    }

    pub(crate) fn len(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(|error| IoError::named("length", &self.name, &error))?;
        Ok(metadata.len())
    }

    fn check_range(&self, operation: &'static str, offset: u64, len: u64) -> Result<()> {
        let block = BLOCK_BYTES as u64;
        if !offset.is_multiple_of(block) || !len.is_multiple_of(block) {
            return Err(IoError::invalid(
                operation,
                &self.name,
                offset,
                len,
                "not whole blocks of 4096 bytes",
            ));
        }
        if offset.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
            return Err(IoError::invalid(operation, &self.name, offset, len, "ends beyond the largest file"));
        }
        Ok(())
    }
}

fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::Write => "write",
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

#[cfg(all(test, not(loom)))]
mod tests;
