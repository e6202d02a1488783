//! What went wrong, with operation, file, offset and length.

use std::io::{self, ErrorKind};

/// An I/O error and where it happened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} of {file}{}: {message}", self.place())]
pub struct IoError {
    /// Operation: "read", "write", "sync", "create", …
    pub operation: &'static str,
    /// File name, relative to the disk's root; the root's own path for the root itself.
    pub file: String,
    /// Byte offset, 0 where it means nothing.
    pub offset: u64,
    /// Bytes asked for, 0 where it means nothing.
    pub len: u64,
    /// Kind, for matching: `StorageFull`, `NotFound`, `AlreadyExists`, `UnexpectedEof`, …
    pub kind: ErrorKind,
    /// The system's words.
    pub message: String,
}

/// Result of disk operations.
pub type Result<T> = std::result::Result<T, IoError>;

impl IoError {
    /// An error that concerns a whole file, or its name.
    pub(crate) fn named(operation: &'static str, file: &str, error: &io::Error) -> IoError {
        IoError::ranged(operation, file, 0, 0, error)
    }

    /// An error that concerns a range of a file.
    pub(crate) fn ranged(
        operation: &'static str,
        file: &str,
        offset: u64,
        len: u64,
        error: &io::Error,
    ) -> IoError {
        // A quota is the part of the disk that this user may fill: full is full.
        let full = error.raw_os_error() == Some(libc::EDQUOT);
        let kind = if full { ErrorKind::StorageFull } else { error.kind() };
        IoError { operation, file: file.to_owned(), offset, len, kind, message: error.to_string() }
    }

    /// A caller's mistake that was found before the kernel was asked.
    pub(crate) fn invalid(
        operation: &'static str,
        file: &str,
        offset: u64,
        len: u64,
        message: &str,
    ) -> IoError {
        let (file, message) = (file.to_owned(), message.to_owned());
        IoError { operation, file, offset, len, kind: ErrorKind::InvalidInput, message }
    }

    /// Offset and length for the message, where they mean something.
    fn place(&self) -> String {
        if self.offset == 0 && self.len == 0 {
            return String::new();
        }
        format!(" at offset {}, {} bytes", self.offset, self.len)
    }
}
