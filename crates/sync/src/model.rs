//! What the loom tests share: how a model is explored, and plain memory to protect.
//!
//! Loom remembers only the last access to each word when it decides which threads to interleave, so that a
//! load by the thread that is about to store can hide another thread's load. Hence a model names the outcomes
//! that must have been met ([`explore`]): one of which loom explored too little fails.
#![allow(unsafe_code)]

use loom::cell::UnsafeCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

/// Times that loom takes a thread's turn away in one execution, at least: fewer do not meet all outcomes.
/// `LOOM_MAX_PREEMPTIONS` raises it.
const PREEMPTIONS_MIN: usize = 3;

/// Explores `model`, which says what happened, and checks that each of `expected` happened in some execution
/// and nothing else in any.
#[track_caller]
pub(crate) fn explore<T: Ord + Debug + Send + 'static>(
    expected: &[T],
    model: impl Fn() -> T + Send + Sync + 'static,
) {
    let met = Arc::new(Mutex::new(BTreeSet::new()));
    let into = Arc::clone(&met);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(0).max(PREEMPTIONS_MIN));
    builder.check(move || {
        let outcome = model();
        into.lock().unwrap().insert(outcome);
    });
    let met = met.lock().unwrap();
    assert!(met.iter().eq(expected.iter().collect::<BTreeSet<_>>()), "{met:?} instead of {expected:?}");
}

/// A `u64` with no protection of its own: loom fails a model in which two accesses, one of them a write, are
/// not ordered by happens-before. A relaxed atomic would show a stale value, but not a write that comes too
/// early for a reader.
#[derive(Debug)]
pub(crate) struct Plain(UnsafeCell<u64>);

// SAFETY: loom runs one thread at a time, so no two accesses ever overlap; that they would be a data race on
// a real machine is what it checks at each access.
unsafe impl Sync for Plain {}

impl Plain {
    pub(crate) fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) fn read(&self) -> u64 {
        // SAFETY: the pointer is valid in the closure, and loom has checked the access.
        self.0.with(|word| unsafe { *word })
    }

    pub(crate) fn write(&self, value: u64) {
        // SAFETY: as in `read`.
        self.0.with_mut(|word| unsafe { *word = value });
    }
}
