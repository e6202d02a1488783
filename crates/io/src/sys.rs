//! The system calls that the standard library does not offer, each behind a safe function.

use std::fs::File;
use std::io::{Error, IoSlice, IoSliceMut, Result};
use std::os::fd::AsRawFd;

/// `preadv`: fills the slices in order from `offset` on. May read less.
pub(crate) fn read_vectored(file: &File, slices: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize> {
    let count = count_of(slices.len())?;
    // SAFETY: `IoSliceMut` has the layout of `iovec`, as std promises; the slices outlive the call, and are ours to
    // write.
    let read = unsafe { libc::preadv(file.as_raw_fd(), slices.as_ptr().cast(), count, offset_of(offset)?) };
    usize::try_from(read).map_err(|_| Error::last_os_error())
}

/// `pwritev`: writes the slices in order from `offset` on. May write less.
pub(crate) fn write_vectored(file: &File, slices: &[IoSlice<'_>], offset: u64) -> Result<usize> {
    let count = count_of(slices.len())?;
    // SAFETY: `IoSlice` has the layout of `iovec`, as std promises; the slices outlive the call, which only reads them.
    let written =
        unsafe { libc::pwritev(file.as_raw_fd(), slices.as_ptr().cast(), count, offset_of(offset)?) };
    usize::try_from(written).map_err(|_| Error::last_os_error())
}

/// `pwritev2` with `RWF_DSYNC`: as [`write_vectored`], and what it wrote is durable when it returns.
pub(crate) fn write_through(file: &File, slices: &[IoSlice<'_>], offset: u64) -> Result<usize> {
    let (count, flags) = (count_of(slices.len())?, libc::RWF_DSYNC);
    // SAFETY: as in `write_vectored`.
    let written =
        unsafe { libc::pwritev2(file.as_raw_fd(), slices.as_ptr().cast(), count, offset_of(offset)?, flags) };
    usize::try_from(written).map_err(|_| Error::last_os_error())
}

/// `fallocate` with `mode`, repeated when a signal interrupts it.
pub(crate) fn allocate(file: &File, mode: i32, offset: u64, len: u64) -> Result<()> {
    let (offset, len) = (offset_of(offset)?, offset_of(len)?);
    loop {
        // SAFETY: no memory is passed.
        if unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) } == 0 {
            return Ok(());
        }
        let error = Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

/// `posix_fadvise` with `POSIX_FADV_DONTNEED` for the whole file.
pub(crate) fn forget_cached(file: &File) -> Result<()> {
    // SAFETY: no memory is passed.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        error => Err(Error::from_raw_os_error(error)),
    }
}

/// Puts `O_DIRECT` on an open file, or takes it off.
pub(crate) fn set_direct(file: &File, direct: bool) -> Result<()> {
    // SAFETY: no memory is passed.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(Error::last_os_error());
    }
    let flags = if direct { flags | libc::O_DIRECT } else { flags & !libc::O_DIRECT };
    // SAFETY: no memory is passed.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) } < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

/// The kernel's signed offset.
fn offset_of(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::from_raw_os_error(libc::EFBIG))
}

/// The kernel's number of slices.
fn count_of(slices: usize) -> Result<i32> {
    i32::try_from(slices).map_err(|_| Error::from_raw_os_error(libc::EINVAL))
}
