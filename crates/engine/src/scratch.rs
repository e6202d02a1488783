//! Buffers that a thread keeps between operations, so that none of them allocates.
//!
//! A buffer is taken out while it is used: an operation that runs inside another (in a closure of `get_with`) finds
//! an empty one and allocates.

use std::cell::Cell;
use std::thread::LocalKey;

/// A buffer that grew beyond this is not kept.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// One buffer of each thread.
pub(crate) type Scratch = LocalKey<Cell<Vec<u8>>>;

thread_local! {
    /// An encoded key.
    pub(crate) static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// An encoded value.
    pub(crate) static VALUE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// A value that was read.
    pub(crate) static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// A log record.
    pub(crate) static RECORD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// A log record of an update in place.
    pub(crate) static PATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's buffer, empty.
#[inline]
pub(crate) fn with<R>(scratch: &'static Scratch, work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // `try_with`: a handle may be dropped, and so used, while the thread ends.
    let mut buffer = scratch.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let result = work(&mut buffer);
    if buffer.capacity() <= KEPT_BYTES_MAX {
        let _ = scratch.try_with(|cell| cell.set(buffer));
    }
    result
}
