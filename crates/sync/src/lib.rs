//! Threads and memory ordering: std, or loom when built with `--cfg loom`.
//!
//! Everything in the workspace that is shared between threads goes through this crate, so that its
//! protocols can be model-checked. `cargo xtask tidy` refuses `std::sync` elsewhere (`Arc`, which
//! has no protocol to get wrong, is re-exported from here as well).
//!
//! | module | holds |
//! |---|---|
//! | [`atomic`] | atomics and fences |
//! | [`lock`] | ranked mutex, condition variable, reader-writer lock |
//! | [`rank`] | the table of lock ranks and its checker |
//! | [`latch`] | the page latch: exclusive, shared, optimistic |
//! | [`gate`] | what commits pass through shared, and a flip exclusively |
//! | [`thread`] | threads, and the back-off of short waits |
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)] // allowed in `model`, for the loom tests, alone

pub mod atomic;
pub mod gate;
pub mod latch;
pub mod lock;
pub mod rank;
pub mod thread;

pub use gate::{Closed, Gate, Pass};
pub use latch::{Latch, Restart, Version};
pub use lock::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use rank::Rank;

#[cfg(not(loom))]
pub use std::sync::{Arc, OnceLock, Weak};

/// Loom's checks that counts reach zero. It cannot be a method's receiver (`self: &Arc<Self>`), and turns into one of
/// a trait object only by `from_std`; write code that does with either.
#[cfg(loom)]
pub use loom::sync::Arc;
#[cfg(loom)]
pub use std::sync::{OnceLock, Weak};

#[cfg(all(test, loom))]
mod model;
