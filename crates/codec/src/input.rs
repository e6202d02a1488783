//! Taking bytes off the front of a slice, with errors that name the type that wanted them.
//!
//! Taking several as an array goes through [`collect_array`].
//!
//! 1. A failed take leaves the slice as it was.

use crate::DecodeError;

/// Takes `len` bytes, or says which type (`type_name`, called on failure alone) needed them.
#[inline]
pub(crate) fn take<'a>(
    bytes: &mut &'a [u8],
    len: usize,
    type_name: impl FnOnce() -> String,
) -> Result<&'a [u8], DecodeError> {
    match bytes.split_at_checked(len) {
        Some((taken, rest)) => {
            *bytes = rest;
            Ok(taken)
        }
        None => Err(truncated(len, bytes.len(), type_name())),
    }
}

/// Takes exactly `N` bytes as an array.
#[inline]
pub(crate) fn take_array<const N: usize>(
    bytes: &mut &[u8],
    type_name: impl FnOnce() -> String,
) -> Result<[u8; N], DecodeError> {
    match bytes.split_first_chunk::<N>() {
        Some((taken, rest)) => {
            *bytes = rest;
            Ok(*taken)
        }
        None => Err(truncated(N, bytes.len(), type_name())),
    }
}

/// Checks that nothing is left.
#[inline]
pub(crate) fn end(bytes: &[u8], type_name: impl FnOnce() -> String) -> Result<(), DecodeError> {
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Trailing { type_name: type_name(), extra: bytes.len() })
    }
}

#[cold]
pub(crate) fn truncated(needed: usize, found: usize, type_name: String) -> DecodeError {
    DecodeError::Truncated { type_name, needed, found }
}

/// An array of what `next` gives, or its first error.
#[inline]
pub(crate) fn collect_array<T, const N: usize>(
    mut next: impl FnMut() -> Result<T, DecodeError>,
) -> Result<[T; N], DecodeError> {
    let mut failed = None;
    // After a failure the rest of the array is not decoded: the bytes are at no particular place.
    let items: [Option<T>; N] = std::array::from_fn(|_| match failed {
        Some(_) => None,
        None => next().map_err(|error| failed = Some(error)).ok(),
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(items.map(|item| item.expect("every item is there when none failed"))),
    }
}
