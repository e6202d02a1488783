//! How a key finds its record.
//!
//! | module | holds |
//! |---|---|
//! | [`btree`] | the sorted index: a B+tree |
//! | [`blob`] | large values: descriptors, and the arithmetic of their pages |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod blob;
pub mod btree;
