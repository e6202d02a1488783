//! How a key finds its record.
//!
//! | module | holds |
//! |---|---|
//! | [`btree`] | the sorted index: a B+tree |
//! | [`hash`] | the hashed index: extendible hashing on pages |
//! | [`blob`] | large values: descriptors, and the arithmetic of their pages |
//! | `leaf_value` | the value of a record in either index: inline bytes, or the descriptor of a large value |
//! | `point_read` | reading one record, of either index |
//! | `words` | reading bytes that may change underneath |
//! | `load` | pages brought before they are needed, looked at, and copied whole |
//! | `fault`, `findings` | what attempts come to; what checking a page does |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod blob;
pub mod btree;
mod fault;
mod findings;
pub mod hash;
mod leaf_value;
mod load;
mod point_read;
mod words;

pub use leaf_value::{LeafValue, Lookup, ValueKind};
pub use point_read::PointReads;
