//! A large, lazily committed, page-aligned region of zeroed memory whose address never changes.
//!
//! ```text
//!  base (2 MiB aligned)              base + committed               base + reserved
//!  |----- readable, writable --------|------- no access -------------|
//!                                    ---commit(bytes)--->
//! ```
//!
//! Address space costs nothing, so the whole of it is reserved at the start and the region grows in
//! place: a pointer into it stays good for the arena's life. Memory is used only where it is touched.
//!
//! # Invariants
//!
//! - **AR1** `base .. base + reserved` is one private anonymous mapping, made by this arena and unmapped
//!   by its drop only; `base` is aligned to, and `reserved` a multiple of, [`STEP_BYTES`].
//! - **AR2** Every byte below `committed` is readable and writable, from before it is counted until the
//!   drop. `committed` never falls and never exceeds `reserved`.
//! - **AR3** The arena makes no reference to its bytes and, but for [`discard`](Arena::discard), does not
//!   touch them. Who may read or write them when is for its user to say, who takes `discard` for a write
//!   of zeros.
//! - **AR4** A child of fork does not get the mapping.
#![allow(unsafe_code)]

use aquifer_sync::atomic::{AtomicUsize, Ordering};
use std::io;
use std::ptr::NonNull;

/// Alignment of an arena, and the step in which it is reserved and committed: the size of a huge page on
/// the processors that matter, so that none of them is split by a boundary.
pub const STEP_BYTES: usize = 2 << 20;

/// What [`Arena::discard`] is aligned to.
const DISCARD_BYTES: usize = 4096;

/// How to make an [`Arena`].
#[derive(Debug, Clone, Copy)]
pub struct ArenaOptions {
    /// Address space to reserve, in bytes; rounded up to 2 MiB.
    pub reserve_bytes: usize,
    /// Ask for huge pages.
    pub huge_pages: bool,
}

/// The region: address space reserved once (`PROT_NONE`), made usable from the front in steps by
/// [`commit`](Arena::commit), unmapped on drop. 2 MiB aligned. Excluded from fork (`MADV_DONTFORK`).
///
/// ```
/// use aquifer_pools::{Arena, ArenaOptions};
///
/// let arena = Arena::reserve(ArenaOptions { reserve_bytes: 64 << 20, huge_pages: false })?;
/// arena.commit(4096)?;
/// assert!(arena.committed() >= 4096 && arena.committed() <= arena.reserved());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    reserved: usize,
    committed: AtomicUsize,
}

// SAFETY: the mapping belongs to the process, not to a thread; the arena touches no byte of it without
// being told to (AR3), and its own state is an atomic word.
unsafe impl Send for Arena {}
// SAFETY: as above. `commit` is idempotent on overlapping ranges, so calls may race (AR2).
unsafe impl Sync for Arena {}

impl Arena {
    /// Reserves address space. Nothing is committed.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `reserve_bytes` is zero or too large to round; else the system's error, such as
    /// `OutOfMemory` when the address space or its limit (`ulimit -v`) is used up.
    pub fn reserve(options: ArenaOptions) -> io::Result<Arena> {
        let reserved = options
            .reserve_bytes
            .checked_next_multiple_of(STEP_BYTES)
            .filter(|&bytes| bytes > 0 && bytes <= isize::MAX as usize - STEP_BYTES)
            .ok_or_else(|| {
                let bytes = options.reserve_bytes;
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("an arena cannot reserve {bytes} bytes; ask for at least one, and less than the address space"),
                )
            })?;
        let arena = Arena { base: map_aligned(reserved)?, reserved, committed: AtomicUsize::new(0) };
        // SAFETY: the range is the mapping (AR1). The advice changes what fork copies (AR4), no byte.
        check(unsafe { libc::madvise(arena.base.as_ptr().cast(), reserved, libc::MADV_DONTFORK) })?;
        if options.huge_pages {
            // SAFETY: as above. Only advice: a kernel without huge pages refuses it, and nothing is lost.
            let _ = unsafe { libc::madvise(arena.base.as_ptr().cast(), reserved, libc::MADV_HUGEPAGE) };
        }
        Ok(arena)
    }

    /// Makes the first `bytes` readable and writable (zeroed when first touched). Never shrinks.
    /// Thread-safe, and takes no lock. Rounded up to 2 MiB; free if that much is committed already.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is more than the arena has reserved; else the system's error, such as
    /// `OutOfMemory` when it does not overcommit. What was committed stays so.
    pub fn commit(&self, bytes: usize) -> io::Result<()> {
        // Acquire: pairs with the Release below, so that the bytes counted are seen as usable.
        let begin = self.committed.load(Ordering::Acquire);
        if bytes <= begin {
            return Ok(());
        }
        if bytes > self.reserved {
            let reserved = self.reserved;
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot commit {bytes} bytes of an arena that reserved {reserved}; reserve more"),
            ));
        }
        let end = bytes.next_multiple_of(STEP_BYTES); // at most `reserved`, itself a multiple (AR1)
        // SAFETY: the range lies in the mapping (AR1), and only gains access. Another thread may do the
        // same to an overlapping range: each begins at a value of `committed`, so no gap arises (AR2).
        check(unsafe {
            let from = self.base.as_ptr().add(begin);
            libc::mprotect(from.cast(), end - begin, libc::PROT_READ | libc::PROT_WRITE)
        })?;
        // Release: pairs with the Acquire loads of `committed`; the bytes are usable before they count.
        self.committed.fetch_max(end, Ordering::Release);
        Ok(())
    }

    /// Bytes usable, from the front.
    pub fn committed(&self) -> usize {
        // Acquire: pairs with the Release of `commit` (AR2).
        self.committed.load(Ordering::Acquire)
    }

    /// Gives the memory of this 4 KiB-aligned range back to the system; it stays usable and reads as zeros.
    ///
    /// Counts as a write of zeros to the range: nobody else may be using it (AR3).
    ///
    /// # Panics
    ///
    /// If the range is not aligned, or not committed.
    pub fn discard(&self, offset: usize, bytes: usize) {
        let aligned = offset.is_multiple_of(DISCARD_BYTES) && bytes.is_multiple_of(DISCARD_BYTES);
        assert!(aligned, "discard of {bytes} bytes at {offset}: not aligned to {DISCARD_BYTES}");
        let committed = self.committed();
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= committed);
        assert!(inside, "AR2: discard of {bytes} bytes at {offset}, but {committed} are committed");
        if bytes == 0 {
            return;
        }
        // SAFETY: the range is committed, so mapped, readable and writable (AR2); its user allows a write of
        // zeros (AR3), which is what the advice comes to on a private anonymous mapping.
        unsafe {
            let from = self.base.as_ptr().add(offset);
            if libc::madvise(from.cast(), bytes, libc::MADV_DONTNEED) != 0 {
                // The process locked its memory, or the system's pages are larger than ours: the memory
                // cannot be given back, but the promise of zeros can be kept.
                from.write_bytes(0, bytes);
            }
        }
    }

    /// First byte. Valid for reads and writes of [`committed`](Self::committed) bytes while the arena lives.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Reserved bytes.
    pub fn reserved(&self) -> usize {
        self.reserved
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        unmap(self.base.as_ptr(), self.reserved);
    }
}

/// Maps `bytes` without access, aligned to [`STEP_BYTES`]: one step more is mapped, and what lies outside
/// the aligned part is unmapped again.
fn map_aligned(bytes: usize) -> io::Result<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let mapped_bytes = bytes + STEP_BYTES;
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), mapped_bytes, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = start.cast::<u8>();
    let before = start.addr().next_multiple_of(STEP_BYTES) - start.addr();
    // SAFETY: `before` is less than STEP_BYTES, so `base` and its `bytes` lie in what was just mapped.
    let (base, end) = unsafe { (start.add(before), start.add(before + bytes)) };
    unmap(start, before);
    unmap(end, STEP_BYTES - before);
    Ok(NonNull::new(base).expect("the kernel maps nothing at address zero unless it is asked to"))
}

/// Unmaps a range that only the caller knows of.
fn unmap(start: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: callers pass (parts of) their own mapping that nobody refers to any more (AR1).
        let result = unsafe { libc::munmap(start.cast(), bytes) };
        // It can fail only by splitting a mapping when the process has too many: address space leaks, no more.
        debug_assert_eq!(result, 0, "AR1: munmap: {}", io::Error::last_os_error());
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(all(test, not(loom)))]
mod tests;
