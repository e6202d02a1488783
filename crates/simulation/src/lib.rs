//! The whole engine on one thread and a simulated disk, against a model of what it may hold.
//!
//! | module | what it holds |
//! |---|---|
//! | [`action`] | what clients do, what goes wrong, crashes: plain data, drawn from a seed |
//! | [`world`] | carries actions out on a database and on the model, and judges every answer |
//! | [`model`] | the history of commits, and the states that a crash may leave |
//! | [`sweep`] | trouble at every call of a scenario in its turn |
//! | [`histories`] | threads of transactions, with crashes, checked for what their level forbids |
//! | [`campaign`] | one seed; many seeds; making a failing list of actions short |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg(not(loom))]

pub mod action;
pub mod campaign;
pub mod histories;
pub mod model;
pub mod sweep;
pub mod world;
