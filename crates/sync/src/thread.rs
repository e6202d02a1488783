//! Threads, from std or loom, and the back-off that short waits use.
//!
//! Loom has no clock: under it, sleeping is giving way once, and the machine has one processor. Scoped
//! threads are the standard library's only.

#[cfg(not(loom))]
pub use std::thread::{
    Builder, JoinHandle, Scope, ScopedJoinHandle, Thread, ThreadId, available_parallelism, current, park,
    park_timeout, scope, sleep, spawn, yield_now,
};

#[cfg(loom)]
pub use loom::thread::{Builder, JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};
#[cfg(loom)]
pub use without_clock::{available_parallelism, park_timeout, sleep};

/// Waits a little longer at every call: a few pauses of the processor first, then its time slice.
///
/// For waits whose end is some tens of instructions away (a latch, the gate); never for the disk.
#[derive(Debug, Default)]
pub struct Backoff {
    step: u32,
}

/// From this step on, a back-off gives its time slice away; before it, step `n` pauses 2ⁿ times.
#[cfg(not(loom))]
const YIELD_STEP: u32 = 6;

impl Backoff {
    /// A back-off that has not waited yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits one step.
    #[cfg(not(loom))]
    pub fn wait(&mut self) {
        if self.step < YIELD_STEP {
            for _ in 0..1_u32 << self.step {
                std::hint::spin_loop();
            }
            self.step += 1;
        } else {
            yield_now();
        }
    }

    /// Waits one step: under loom, gives way to the other threads.
    #[cfg(loom)]
    pub fn wait(&mut self) {
        self.step = 1;
        yield_now();
    }
}

#[cfg(loom)]
mod without_clock {
    use std::num::NonZero;
    use std::time::Duration;

    /// Gives way once.
    pub fn sleep(_duration: Duration) {
        loom::thread::yield_now();
    }

    /// Gives way once; as with the real one, nobody may have called `unpark`.
    pub fn park_timeout(_duration: Duration) {
        loom::thread::yield_now();
    }

    /// One.
    ///
    /// # Errors
    ///
    /// None; the real one's signature.
    pub fn available_parallelism() -> std::io::Result<NonZero<usize>> {
        Ok(NonZero::<usize>::MIN)
    }
}
