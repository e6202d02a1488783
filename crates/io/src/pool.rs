//! A few threads that carry out batches of requests by plain system calls, for `Posix`.
//!
//! A batch is shared between its submitter and the workers: each takes the next run that nobody has taken, until
//! none is left. The submitter takes part when it waits, so a batch makes progress with no worker at all, and workers
//! are started only when a batch of several runs asks for them.
//!
//! Invariants:
//!
//! - **W1** Each request of a batch is taken once; `unfinished` counts those that have no completion yet.
//! - **W2** A ticket in the queue may outlive the work: a worker that finds nothing left drops it.
//! - **W3** A request whose worker panicked is never finished; `panicked` says so, and the waiter panics in its turn.
//! - **W4** Workers never own the pool, so that its last owner, who waits for their end, is not one of them.

use crate::open_file::OpenFile;
use crate::run::Run;
use crate::{Completion, Request};
use aquifer_sync::thread::{self, JoinHandle};
use aquifer_sync::{Arc, Condvar, Mutex, Rank};
use std::collections::VecDeque;

/// Enough to keep the useful depth of common devices busy; each is a stack and a kernel thread.
const WORKERS_MAX: usize = 8;

/// A worker calls the kernel and little else.
#[cfg(not(loom))]
const WORKER_STACK_BYTES: usize = 256 << 10;

/// The threads of one disk; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    tickets: VecDeque<Arc<Batch>>,
    closed: bool,
}

impl Pool {
    /// A pool without threads.
    pub(crate) fn new() -> Pool {
        let shared = Shared { queue: Mutex::new(Rank::Leaf, Queue::default()), changed: Condvar::new() };
        Pool { shared: Arc::new(shared), workers: Mutex::new(Rank::Leaf, Vec::new()) }
    }

    /// Starts a batch; the workers go on with it while the submitter does other things.
    pub(crate) fn submit(&self, file: &Arc<OpenFile>, requests: Vec<Request>) -> Arc<Batch> {
        let batch = Arc::new(Batch::new(Arc::clone(file), requests));
        self.employ(batch.runs(), &batch);
        batch
    }

    /// Carries out a batch; the submitter does its part, and one of one run alone.
    pub(crate) fn transfer(&self, file: &Arc<OpenFile>, requests: Vec<Request>) -> Vec<Completion> {
        let batch = Arc::new(Batch::new(Arc::clone(file), requests));
        self.employ(batch.runs().saturating_sub(1), &batch);
        batch.wait()
    }

    /// Has up to `helpers` workers take part in a batch.
    fn employ(&self, helpers: usize, batch: &Arc<Batch>) {
        let helpers = helpers.min(WORKERS_MAX);
        if helpers == 0 {
            return;
        }
        self.start_workers(helpers);
        self.shared.queue.lock().tickets.extend((0..helpers).map(|_| Arc::clone(batch)));
        for _ in 0..helpers {
            self.shared.changed.notify_one();
        }
    }

    /// Sees to it that there are `count` workers, or as many as the system allows.
    fn start_workers(&self, count: usize) {
        let mut workers = self.workers.lock();
        while workers.len() < count {
            let Some(worker) = start_worker(&self.shared) else { return };
            workers.push(worker);
        }
    }
}

#[cfg(not(loom))]
fn start_worker(shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let builder = thread::Builder::new().name("aquifer-io".to_owned()).stack_size(WORKER_STACK_BYTES);
    builder.spawn(move || shared.work()).ok()
}

/// The model checker sees no disk: its tests of the layers above need this crate only to be there.
#[cfg(loom)]
fn start_worker(shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    Some(thread::spawn(move || shared.work()))
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.changed.notify_all();
        for worker in self.workers.get_mut().drain(..) {
            // W3: a worker that panicked has said so itself, and to whoever waited.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// What a worker does until the pool is dropped.
    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(batch) = queue.tickets.pop_front() {
                drop(queue);
                batch.help();
                drop(batch);
                queue = self.queue.lock();
            } else if queue.closed {
                return;
            } else {
                queue = self.changed.wait(queue);
            }
        }
    }
}

/// A batch of requests under way.
#[derive(Debug)]
pub(crate) struct Batch {
    file: Arc<OpenFile>,
    state: Mutex<BatchState>,
    finished: Condvar,
}

#[derive(Debug)]
struct BatchState {
    waiting: std::vec::IntoIter<Run>,
    completions: Vec<Option<Completion>>,
    unfinished: usize,
    panicked: bool,
}

/// Notes in a batch that the thread that works on it panics.
struct Witness<'a>(&'a Batch);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.0.state.lock().panicked = true;
        self.0.finished.notify_all();
    }
}

impl Batch {
    fn new(file: Arc<OpenFile>, requests: Vec<Request>) -> Batch {
        let mut completions: Vec<Option<Completion>> = requests.iter().map(|_| None).collect();
        let runs = Run::gather(&file, requests, |index, completion| completions[index] = Some(completion));
        let unfinished = completions.iter().filter(|completion| completion.is_none()).count();
        let state = BatchState { waiting: runs.into_iter(), completions, unfinished, panicked: false };
        Batch { file, state: Mutex::new(Rank::Leaf, state), finished: Condvar::new() }
    }

    /// Runs that nobody has taken.
    fn runs(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Takes part until every request is finished.
    pub(crate) fn wait(&self) -> Vec<Completion> {
        self.help();
        let mut state = self.state.lock();
        while state.unfinished > 0 {
            assert!(!state.panicked, "W3: a thread panicked while it carried out a request of this batch");
            state = self.finished.wait(state);
        }
        let completions = std::mem::take(&mut state.completions);
        completions
            .into_iter()
            .map(|completion| completion.expect("W1: every request has finished"))
            .collect()
    }

    /// Carries out runs until none is left to take.
    fn help(&self) {
        let mut state = self.state.lock();
        while let Some(run) = state.waiting.next() {
            drop(state);
            let witness = Witness(self);
            let mut done = Vec::new();
            self.file.carry_out(run, |index, completion| done.push((index, completion)));
            std::mem::forget(witness);
            state = self.state.lock();
            state.unfinished -= done.len();
            for (index, completion) in done {
                state.completions[index] = Some(completion);
            }
            if state.unfinished == 0 {
                self.finished.notify_all();
            }
        }
    }
}
