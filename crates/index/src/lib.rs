//! How a key finds its record.
//!
//! | module | holds |
//! |---|---|
//! | [`btree`] | the sorted index: a B+tree |
//! | [`hash`] | the hashed index: extendible hashing on pages |
//! | `words` | reading bytes that may change underneath |
//! | `load` | pages brought before they are needed, and copied whole |
//! | `fault`, `findings` | what attempts come to; what checking a page does |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod btree;
mod fault;
mod findings;
pub mod hash;
mod load;
mod words;
