//! Developer commands, as a library so that tests can call them.
//!
//! | module | command |
//! |---|---|
//! | [`bench`] | the comparison with other engines |
//! | [`ci`] | what continuous integration runs |
//! | [`crash`] | the kill loop |
//! | [`fuzz`] | arbitrary bytes for every reader of bytes |
//! | [`histories`] | histories of transactions by threads, and their isolation |
//! | [`loom`] | model checks of the protocols between threads |
//! | [`sanitize`] | the tests under the address and the thread sanitizer |
//! | [`sim`] | the engine on a simulated disk |
//! | [`smoke`] | a part of `ci`: the README's main job on a small input |
//! | [`steps`] | running programs, with times |
//! | [`tidy`] | the rules of the project that a machine can check |
//! | [`tree`] | the files that they look at |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod bench;
pub mod ci;
pub mod crash;
pub mod fuzz;
pub mod histories;
pub mod loom;
pub mod sanitize;
pub mod sim;
pub mod smoke;
pub mod steps;
pub mod tidy;
pub mod tree;

/// The example in the project's README, so that it is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
