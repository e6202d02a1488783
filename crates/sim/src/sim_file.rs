//! An open file of a simulated disk, and batches of requests to it.

use crate::Call;
use crate::image::{BLOCK, Block, block_of};
use crate::state::{Holder, State};
use aquifer_io::{BLOCK_BYTES, Buffer, Completion, File, IoError, Operation, Pending, Request, Result};
use aquifer_sync::{Arc, Mutex};
use std::io::ErrorKind;
use std::ops::Range;

/// A handle of a file; dropping it closes the file.
#[derive(Debug)]
pub(crate) struct SimFile {
    state: Arc<Mutex<State>>,
    /// The name that it was opened with.
    name: Arc<str>,
    id: usize,
    _holder: Holder,
}

impl SimFile {
    pub(crate) fn new(state: Arc<Mutex<State>>, name: Arc<str>, id: usize, holder: Holder) -> SimFile {
        SimFile { state, name, id, _holder: holder }
    }

    /// Refuses what is not whole blocks, or beyond all files.
    fn check(&self, operation: &'static str, offset: u64, len: u64) -> Result<Range<u64>> {
        let invalid =
            |message| failure(operation, &self.name, (offset, len), ErrorKind::InvalidInput, message);
        if !offset.is_multiple_of(BLOCK) || !len.is_multiple_of(BLOCK) {
            return Err(invalid("not whole blocks of 4096 bytes"));
        }
        match offset.checked_add(len) {
            Some(end) if end <= i64::MAX as u64 => Ok(offset / BLOCK..end / BLOCK),
            _ => Err(invalid("ends beyond the largest file")),
        }
    }

    /// Carries out a request that was checked and is not empty.
    fn carry_out(&self, state: &mut State, request: Request) -> Completion {
        let Request { operation, offset, mut buffer } = request;
        let result = match operation {
            Operation::Read => state.read(self.id, &self.name, offset, &mut buffer),
            Operation::Write => {
                state.write(Call::Write, self.id, &self.name, offset / BLOCK, &blocks_of(&buffer))
            }
        };
        Completion { buffer, result }
    }

    /// What needs no transfer, or may have none.
    fn settle(&self, request: Request) -> Part {
        let operation = match request.operation {
            Operation::Read => Call::Read.name(),
            Operation::Write => Call::Write.name(),
        };
        match self.check(operation, request.offset, request.buffer.len() as u64) {
            Ok(_) if !request.buffer.is_empty() => Part::Waiting(request),
            result => Part::Finished(Completion { buffer: request.buffer, result: result.map(drop) }),
        }
    }

    /// Carries out the waiting ones of these parts, and waits for the flying ones.
    fn finish(&self, state: &mut State, parts: &mut [Part], order: &[usize]) {
        for &index in order {
            let part = std::mem::replace(&mut parts[index], Part::Taken);
            let completion = match part {
                Part::Waiting(request) => self.carry_out(state, request),
                Part::Flying { ticket, buffer } => Completion { buffer, result: state.result_of(ticket) },
                Part::Finished(completion) => completion,
                Part::Taken => unreachable!("each part once"),
            };
            parts[index] = Part::Finished(completion);
        }
    }
}

/// The order in which the parts of a batch are carried out.
fn order_of(state: &mut State, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if !state.settings.in_order {
        state.random.shuffle(&mut order);
    }
    order
}

fn blocks_of(bytes: &[u8]) -> Vec<Block> {
    bytes.chunks_exact(BLOCK_BYTES).map(block_of).collect()
}

/// A request of a batch.
enum Part {
    /// Nothing has happened yet.
    Waiting(Request),
    /// A write under way.
    Flying {
        ticket: u64,
        buffer: Buffer,
    },
    Finished(Completion),
    Taken,
}

/// See the head of `flight`.
struct Batch<'a> {
    file: &'a SimFile,
    parts: Vec<Part>,
}

impl Batch<'_> {
    fn finish(&mut self) -> Vec<Completion> {
        let mut parts = std::mem::take(&mut self.parts);
        if parts.iter().any(|part| !matches!(part, Part::Finished(_))) {
            let state = &mut *self.file.state.lock();
            let order = order_of(state, parts.len());
            self.file.finish(state, &mut parts, &order);
        }
        completions(parts)
    }
}

fn completions(parts: Vec<Part>) -> Vec<Completion> {
    let finished = |part| match part {
        Part::Finished(completion) => completion,
        _ => unreachable!("all are finished"),
    };
    parts.into_iter().map(finished).collect()
}

impl Pending for Batch<'_> {
    fn wait(mut self: Box<Self>) -> Vec<Completion> {
        self.finish()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        drop(self.finish());
    }
}

impl File for SimFile {
    fn submit(&self, requests: Vec<Request>) -> Box<dyn Pending + '_> {
        let mut parts: Vec<Part> = requests.into_iter().map(|request| self.settle(request)).collect();
        let state = &mut *self.state.lock();
        state.progress();
        let at_once = state.settings.in_order || state.random.chance(25);
        for index in order_of(state, parts.len()) {
            if at_once || state.random.chance(25) {
                self.finish(state, &mut parts, &[index]);
            } else if let Part::Waiting(request) = &parts[index]
                && request.operation == Operation::Write
            {
                let Part::Waiting(request) = std::mem::replace(&mut parts[index], Part::Taken) else {
                    unreachable!("it was waiting");
                };
                let blocks = blocks_of(&request.buffer);
                let ticket = state.take_off(self.id, &self.name, request.offset / BLOCK, &blocks);
                parts[index] = Part::Flying { ticket, buffer: request.buffer };
            }
        }
        Box::new(Batch { file: self, parts })
    }

    fn transfer(&self, requests: Vec<Request>) -> Vec<Completion> {
        let mut parts: Vec<Part> = requests.into_iter().map(|request| self.settle(request)).collect();
        let state = &mut *self.state.lock();
        state.progress();
        let order = order_of(state, parts.len());
        self.finish(state, &mut parts, &order);
        completions(parts)
    }

    fn write_durable(&self, offset: u64, buffer: Buffer) -> Completion {
        let result = self.check(Call::WriteDurable.name(), offset, buffer.len() as u64).and_then(|range| {
            if range.is_empty() {
                return Ok(());
            }
            let blocks = blocks_of(&buffer);
            let mut state = self.state.lock();
            state.progress();
            state.write(Call::WriteDurable, self.id, &self.name, range.start, &blocks)
        });
        Completion { buffer, result }
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.progress();
        state.sync(self.id, &self.name)
    }

    fn sync_all(&self) -> Result<()> {
        self.sync_data()
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        let blocks = self.check(Call::Allocate.name(), offset, len)?;
        if blocks.is_empty() {
            return Ok(());
        }
        self.state.lock().allocate(self.id, &self.name, blocks)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.check(Call::Truncate.name(), len, 0)?;
        self.state.lock().truncate(self.id, &self.name, len)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        let blocks = self.check(Call::PunchHole.name(), offset, len)?;
        if blocks.is_empty() {
            return Ok(());
        }
        self.state.lock().punch_hole(self.id, &self.name, blocks)
    }

    fn forget_cached(&self) -> Result<()> {
        self.state.lock().files[self.id].content.forget_cached();
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        self.state.lock().len(self.id, &self.name)
    }
}

/// An error, as a disk says it; `range` is offset and length, zeros where they mean nothing.
pub(crate) fn failure(
    operation: &'static str,
    file: &str,
    range: (u64, u64),
    kind: ErrorKind,
    message: &str,
) -> IoError {
    let ((offset, len), file, message) = (range, file.to_owned(), message.to_owned());
    IoError { operation, file, offset, len, kind, message }
}
