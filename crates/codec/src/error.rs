//! What can be wrong with bytes that should hold a key or a value.
//!
//! 1. Every error names the type that was expected, so that a table opened with the wrong type says so.
//! 2. Nothing here is a panic: bytes come from a disk.

use thiserror::Error;

/// Bytes that do not hold the key or value that was asked for.
///
/// Either the table was opened with another type than it was written with, or the bytes were written by
/// something else; the page they came from had a valid checksum, so a damaged disk is the least likely cause.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error(
        "a `{type_name}` needs {needed} bytes but {found} are there; open the table with the type it was written with"
    )]
    Truncated {
        /// The type that was expected.
        type_name: String,
        /// Bytes the type needs, at least.
        needed: usize,
        /// Bytes that were there.
        found: usize,
    },
    /// Bytes are left over after the value.
    #[error(
        "{extra} bytes follow a complete `{type_name}`; open the table with the type it was written with"
    )]
    Trailing {
        /// The type that was expected.
        type_name: String,
        /// Bytes left over.
        extra: usize,
    },
    /// The bytes are of the right length but mean nothing in this type.
    #[error("these bytes are no `{type_name}`: {reason}; open the table with the type it was written with")]
    Invalid {
        /// The type that was expected.
        type_name: String,
        /// What is wrong.
        reason: String,
    },
}

impl DecodeError {
    /// An [`Invalid`](DecodeError::Invalid), for types that implement `Key` or `Value` themselves.
    #[cold]
    pub fn invalid(type_name: impl Into<String>, reason: impl Into<String>) -> DecodeError {
        DecodeError::Invalid { type_name: type_name.into(), reason: reason.into() }
    }
}

/// A value that refuses to be written.
///
/// The basic types never do; a serde type may, and a sequence whose length is not known beforehand does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a `{type_name}` cannot be written: {reason}; change its `Serialize` implementation")]
pub struct EncodeError {
    /// The type of the value.
    pub type_name: String,
    /// What the serializer said.
    pub reason: String,
}

#[cfg(test)]
mod tests;
