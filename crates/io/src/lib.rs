//! The kernel, behind one interface: everything that the engine asks of a file system.
#![doc = include_str!("../README.md")]

mod buffer;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod directory;
mod disk;
mod durable;
mod error;
mod local_disk;
mod open;
mod open_file;
mod pool;
mod progress;
mod ring;
mod run;
#[doc(hidden)]
pub mod sabotage;
mod sys;

pub use buffer::{BLOCK_BYTES, Buffer};
pub use disk::{Completion, Disk, DiskLock, File, OpenMode, Operation, Pending, Request};
pub use error::{IoError, Result};
pub use open::{Backend, open_disk};
