//! One io_uring per thread that does I/O, and the runs of requests that are under way in it.
//!
//! A run passes through these places:
//!
//! ```text
//! submit ──► waiting ──► slot + submission queue ──► kernel ──► completion queue ──► its batch
//!               ▲                                                      │
//!               └───── short, interrupted, refused, or not direct ◄────┘
//! ```
//!
//! `user_data` is the slot's number, so completions find their owner in whatever order they come, and whichever
//! batch is being waited for.
//!
//! Invariants:
//!
//! - **R1** A run whose entry may be known to the kernel is in a slot, with its buffers, their vectors and its file, until its
//!   completion has been reaped; also if its batch is never waited for, and if the ring is dropped.
//! - **R2** At most [`ENTRIES`] slots are taken. Each has one entry in the submission queue or the kernel, so neither
//!   the submission queue nor the completion queue, which is twice as long, can overflow.
//! - **R3** A ring is used by the thread that made it, and only by it: it never leaves its `thread_local` but as `Rc`.
//! - **R4** A ring is used by the process that made it, and only by it: its memory is not there in a forked child.

use crate::open_file::OpenFile;
use crate::run::Run;
use crate::{Completion, Operation, Request};
use aquifer_sync::{Arc, thread};
use io_uring::{IoUring, Probe, opcode, squeue, types};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::process;
use std::rc::Rc;

/// Runs under way in one ring; more wait their turn. Beyond the useful depth of any one device.
const ENTRIES: u32 = 256;

/// While runs wait for a slot, this many completions are awaited at once: enough to save system calls, few
/// enough to keep the device busy.
const REFILL_AT: usize = 32;

/// The ring of the calling thread, shared by the batches that are under way in it.
pub(crate) type ThreadRing = Rc<RefCell<Ring>>;

thread_local! {
    static RING: RefCell<Option<ThreadRing>> = const { RefCell::new(None) };
}

/// Makes a ring and passes one operation through it: whether io_uring works here.
pub(crate) fn probe() -> Result<()> {
    let mut uring = build()?;
    let mut known = Probe::new();
    uring.submitter().register_probe(&mut known)?;
    if !known.is_supported(opcode::Read::CODE) || !known.is_supported(opcode::Write::CODE) {
        return Err(Error::new(ErrorKind::Unsupported, "the kernel's io_uring has no plain read and write"));
    }
    // SAFETY: a no-operation refers to no memory.
    unsafe { uring.submission().push(&opcode::Nop::new().build()) }.expect("R2: the queue is empty");
    while let Err(error) = uring.submit_and_wait(1) {
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    match uring.completion().next() {
        Some(entry) if entry.result() >= 0 => Ok(()),
        Some(entry) => Err(Error::from_raw_os_error(-entry.result())),
        None => Err(Error::other("io_uring lost an operation")),
    }
}

/// The calling thread's ring, made at first use. An error if the system has no room for another ring.
pub(crate) fn of_this_thread() -> Result<ThreadRing> {
    let found = RING.try_with(|ring| {
        let mut ring = ring.borrow_mut();
        // R4: after a fork, the parent's ring is dropped unused, and the child makes its own.
        if let Some(ring) = ring.as_ref().filter(|ring| ring.borrow().pid == process::id()) {
            return Ok(Rc::clone(ring));
        }
        let made = Rc::new(RefCell::new(Ring::new()?));
        *ring = Some(Rc::clone(&made));
        Ok(made)
    });
    found.unwrap_or_else(|_| Err(Error::other("the thread is ending")))
}

/// The best kind of ring that this kernel has.
fn build() -> Result<IoUring> {
    // Completions are processed when this thread asks for them, without interrupting anyone (Linux 6.1).
    let mut builder = IoUring::builder();
    builder.dontfork().setup_single_issuer().setup_defer_taskrun();
    builder.build(ENTRIES).or_else(|_| {
        // When this thread enters the kernel for any reason (5.19).
        let mut builder = IoUring::builder();
        builder.dontfork().setup_coop_taskrun();
        builder.build(ENTRIES).or_else(|_| IoUring::builder().dontfork().build(ENTRIES))
    })
}

/// A thread's ring.
pub(crate) struct Ring {
    uring: ManuallyDrop<IoUring>,
    pid: u32,
    slots: Vec<Option<UnderWay>>,
    free: Vec<usize>,
    waiting: VecDeque<UnderWay>,
    reaped: Vec<(u64, i32)>,
}

/// A run that is not finished.
struct UnderWay {
    batch: Rc<Batch>,
    run: Run,
    /// What the entry of a vectored transfer points to; empty otherwise.
    vectors: Vec<libc::iovec>,
}

/// Requests that were submitted together.
pub(crate) struct Batch {
    file: Arc<OpenFile>,
    state: RefCell<BatchState>,
}

struct BatchState {
    completions: Vec<Option<Completion>>,
    unfinished: usize,
}

impl Ring {
    fn new() -> Result<Ring> {
        let slots = (0..ENTRIES).map(|_| None).collect();
        let free = (0..ENTRIES as usize).rev().collect();
        let uring = ManuallyDrop::new(build()?);
        Ok(Ring { uring, pid: process::id(), slots, free, waiting: VecDeque::new(), reaped: Vec::new() })
    }

    /// Starts requests; with one system call if there are slots for all of them.
    pub(crate) fn submit(&mut self, file: &Arc<OpenFile>, requests: Vec<Request>) -> Rc<Batch> {
        let batch = self.enqueue(file, requests);
        if self.fill() {
            self.enter(0);
        }
        batch
    }

    /// Starts requests and waits for them; also with one system call.
    pub(crate) fn transfer(&mut self, file: &Arc<OpenFile>, requests: Vec<Request>) -> Vec<Completion> {
        let batch = self.enqueue(file, requests);
        self.wait(&batch)
    }

    fn enqueue(&mut self, file: &Arc<OpenFile>, requests: Vec<Request>) -> Rc<Batch> {
        let unfinished = requests.len();
        let completions = (0..unfinished).map(|_| None).collect();
        let state = RefCell::new(BatchState { completions, unfinished });
        let batch = Rc::new(Batch { file: Arc::clone(file), state });
        let runs = Run::gather(file, requests, |index, completion| batch.finish(index, completion));
        self.waiting.extend(runs.into_iter().map(|run| UnderWay::new(&batch, run)));
        batch
    }

    /// Waits for a batch of this ring; others make progress meanwhile.
    pub(crate) fn wait(&mut self, batch: &Batch) -> Vec<Completion> {
        loop {
            let unfinished = batch.state.borrow().unfinished;
            if unfinished == 0 {
                break;
            }
            if self.reap() == 0 {
                self.fill();
                let enough = if self.waiting.is_empty() { unfinished } else { unfinished.min(REFILL_AT) };
                self.enter(enough.min(self.under_way()));
            }
        }
        let completions = std::mem::take(&mut batch.state.borrow_mut().completions);
        completions.into_iter().map(|completion| completion.expect("every request has finished")).collect()
    }

    /// Taken slots.
    fn under_way(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts waiting runs into slots and the submission queue while there is room; whether there was one.
    fn fill(&mut self) -> bool {
        let mut queue = self.uring.submission();
        let mut any = false;
        while !self.waiting.is_empty()
            && let Some(slot) = self.free.pop()
        {
            let mut under_way = self.waiting.pop_front().expect("not empty");
            let entry = under_way.entry().user_data(slot as u64);
            // The slot is taken before the kernel hears of it (R1); moving a run does not move what its entry points to.
            self.slots[slot] = Some(under_way);
            // SAFETY: by R1 the memory and the descriptor in the entry outlive the operation, and nobody else uses the
            // memory meanwhile, because the `Buffer`s are in the slot.
            unsafe { queue.push(&entry) }.expect("R2: a free slot means a free entry");
            any = true;
        }
        any
    }

    /// Tells the kernel of new entries, and waits for `count` completions if no signal comes first.
    fn enter(&mut self, count: usize) {
        if let Err(error) = self.try_enter(count) {
            // Not a fault of the disk: the ring itself is broken, and what it has under way stays in its slots (R1).
            panic!("io_uring_enter failed: {error}");
        }
    }

    fn try_enter(&mut self, count: usize) -> Result<()> {
        match self.uring.submit_and_wait(count) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => Ok(()),
                // No room in the kernel. The entries stay queued, and their buffers in the slots, for the next call.
                Some(libc::EAGAIN | libc::EBUSY) => {
                    thread::yield_now();
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Hands out the completions that are there; how many there were.
    fn reap(&mut self) -> usize {
        let mut reaped = std::mem::take(&mut self.reaped);
        reaped.extend(self.uring.completion().map(|entry| (entry.user_data(), entry.result())));
        let count = reaped.len();
        for (slot, result) in reaped.drain(..) {
            self.completed(slot as usize, result);
        }
        self.reaped = reaped;
        count
    }

    /// The kernel is done with the piece in `slot`.
    fn completed(&mut self, slot: usize, result: i32) {
        let UnderWay { batch, run, .. } =
            self.slots[slot].take().expect("R1: a completion belongs to a taken slot");
        self.free.push(slot);
        let answer = usize::try_from(result).map_err(|_| Error::from_raw_os_error(-result));
        let finish = |index, completion| batch.finish(index, completion);
        // In front: what was begun first should not wait for what came later.
        run.answered(&batch.file, answer, finish, |run| self.waiting.push_front(UnderWay::new(&batch, run)));
    }
}

impl UnderWay {
    fn new(batch: &Rc<Batch>, run: Run) -> UnderWay {
        UnderWay { batch: Rc::clone(batch), run, vectors: Vec::new() }
    }

    /// The submission entry for the next piece. It points into the buffers and `vectors`, which do not move when
    /// `self` does.
    fn entry(&mut self) -> squeue::Entry {
        let file = types::Fd(self.batch.file.file().as_raw_fd());
        let (operation, at) = (self.run.operation(), self.run.offset());
        if self.run.is_alone() {
            let bytes = self.run.slices().next().expect("N1");
            let len = u32::try_from(bytes.len()).expect("a piece is at most 1 GiB");
            return match operation {
                Operation::Read => opcode::Read::new(file, bytes.as_mut_ptr(), len).offset(at).build(),
                Operation::Write => opcode::Write::new(file, bytes.as_ptr(), len).offset(at).build(),
            };
        }
        let vector =
            |bytes: &mut [u8]| libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        self.vectors = self.run.slices().map(vector).collect();
        let (vectors, count) = (self.vectors.as_ptr(), u32::try_from(self.vectors.len()).expect("N2"));
        match operation {
            Operation::Read => opcode::Readv::new(file, vectors, count).offset(at).build(),
            Operation::Write => opcode::Writev::new(file, vectors, count).offset(at).build(),
        }
    }
}

impl Batch {
    fn finish(&self, index: usize, completion: Completion) {
        let mut state = self.state.borrow_mut();
        state.completions[index] = Some(completion);
        state.unfinished -= 1;
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.pid != process::id() {
            // R4: the kernel did not copy the ring's memory into this child; there is nothing to unmap.
            return;
        }
        while self.under_way() > 0 {
            if self.reap() == 0
                && let Err(_error) = self.try_enter(1)
            {
                // R1: the kernel may still know these buffers, so they are never freed.
                std::mem::forget(std::mem::take(&mut self.slots));
                break;
            }
        }
        // SAFETY: dropped here only, and not used again.
        unsafe { ManuallyDrop::drop(&mut self.uring) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
