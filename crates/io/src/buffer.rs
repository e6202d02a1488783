//! Memory that the kernel may read and write directly: aligned, and owned by the request that uses it.
//!
//! A buffer is moved into a request, stays with the backend while the kernel uses it, and comes back in the
//! completion, so that the type system rules out that anybody else touches it in between.
//!
//! Invariants:
//!
//! - **B1** `start` is a multiple of [`BLOCK_BYTES`], and `len` is one too; `len <= isize::MAX`.
//! - **B2** `start .. start + len` is valid for reads and writes, and initialised, for the life of the buffer.
//! - **B3** Nobody else accesses that memory for the life of the buffer, but for the discarded loads that the
//!   contract of [`Buffer::from_frame`] allows.
//! - **B4** If `owned` and `len > 0`, `start` came from the global allocator with the layout `layout(len)`.
//!   If `len == 0`, nothing was allocated.

use std::alloc::{self, Layout};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Unit of all I/O: offsets, lengths and addresses are multiples of this many bytes.
pub const BLOCK_BYTES: usize = 4096;

/// A block-aligned buffer. Owned, or borrowed from a frame under the contract of [`Buffer::from_frame`].
///
/// ```
/// use aquifer_io::{BLOCK_BYTES, Buffer};
///
/// let mut buffer = Buffer::zeroed(2 * BLOCK_BYTES);
/// buffer[..5].copy_from_slice(b"hello");
/// assert_eq!(buffer.len(), 8192);
/// assert_eq!(buffer.as_ptr() as usize % BLOCK_BYTES, 0);
/// ```
pub struct Buffer {
    start: NonNull<u8>,
    len: usize,
    owned: bool,
}

// SAFETY: by B3 the buffer is the only way to its memory, whichever thread holds it, and by B4 it is freed through
// the global allocator, which any thread may call.
unsafe impl Send for Buffer {}

// SAFETY: a shared reference gives only `&[u8]`, and by B3 nobody else writes.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// An owned buffer of zeros; `len` is a multiple of [`BLOCK_BYTES`], zero allowed.
    ///
    /// Costs one aligned allocation and clearing; callers in a loop use the one that comes back in the
    /// [`Completion`](crate::Completion) again.
    ///
    /// # Panics
    ///
    /// If `len` is not a multiple of [`BLOCK_BYTES`]. Aborts if there is no memory.
    pub fn zeroed(len: usize) -> Buffer {
        let layout = layout(len);
        if len == 0 {
            return Buffer { start: dangling(), len, owned: true };
        }
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Buffer { start, len, owned: true }
    }

    /// A view of a frame's bytes; not freed on drop.
    ///
    /// # Panics
    ///
    /// If `start` or `len` is not a multiple of [`BLOCK_BYTES`].
    ///
    /// # Safety
    ///
    /// The memory is initialised and stays valid, and nobody else reads or writes it except through relaxed atomic
    /// loads whose result is discarded (the frame is exclusively latched), until the buffer is dropped.
    pub unsafe fn from_frame(start: NonNull<u8>, len: usize) -> Buffer {
        assert!(
            start.as_ptr().addr().is_multiple_of(BLOCK_BYTES),
            "B1: frame at {start:p} is not block-aligned"
        );
        assert!(len.is_multiple_of(BLOCK_BYTES), "B1: {len} bytes are not whole blocks");
        Buffer { start, len, owned: false }
    }
}

/// How an owned buffer of `len` bytes is allocated.
fn layout(len: usize) -> Layout {
    assert!(len.is_multiple_of(BLOCK_BYTES), "B1: {len} bytes are not whole blocks");
    Layout::from_size_align(len, BLOCK_BYTES).expect("B1: a buffer is at most isize::MAX bytes")
}

/// The aligned place of nothing.
fn dangling() -> NonNull<u8> {
    NonNull::without_provenance(std::num::NonZero::new(BLOCK_BYTES).expect("not zero"))
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.owned && self.len > 0 {
            // SAFETY: B4.
            unsafe { alloc::dealloc(self.start.as_ptr(), layout(self.len)) };
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: B1, B2; no `&mut` exists beside `&self`, and by B3 nobody else writes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: B1, B2; `&mut self` is the only way to the memory by B3.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("start", &self.start)
            .field("len", &self.len)
            .field("owned", &self.owned)
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
