//! Byte order: order-preserving keys, compact values, varints, checksums.
//!
//! | module | holds |
//! |---|---|
//! | [`key`] | [`Key`]: encodings whose byte order is the order of the values |
//! | [`value`] | [`Value`]: compact encodings without order |
//! | [`varint`] | LEB128 |
//! | [`checksum`] | CRC32C |
//! | [`error`] | what can be wrong with bytes |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod checksum;
pub mod error;
mod input;
pub mod key;
pub mod value;
pub mod varint;

pub use error::{DecodeError, EncodeError};
pub use key::Key;
#[cfg(feature = "postcard")]
pub use value::Serde;
pub use value::Value;
