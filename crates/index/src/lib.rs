//! How a key finds its record.
//!
//! | module | holds |
//! |---|---|
//! | [`btree`] | the sorted index: a B+tree |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod btree;
