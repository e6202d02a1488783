//! Arbitrary bytes for every reader of bytes in Aquifer.
//!
//! | module | its secret |
//! |---|---|
//! | [`targets`] | the list of targets, one file each |
//! | [`source`] | structure out of arbitrary bytes |
//! | [`mutate`] | structured random changes of an input |
//! | [`corpus`] | the checked-in inputs |
//! | [`campaign`] | running inputs: panics caught, time and memory bounded |
//! | [`disk`] | a disk in memory with a bound on operations and bytes |
//! | [`image`] | sets of files, written sparsely; checksums made right again |
//! | [`recipe`] | the small databases that are damaged, and every state they went through |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod campaign;
pub mod corpus;
pub mod disk;
pub mod image;
pub mod mutate;
pub mod recipe;
pub mod source;
pub mod targets;

pub use targets::{TARGETS, Target};
