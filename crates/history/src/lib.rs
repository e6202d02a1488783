//! Histories of transactions, and the isolation levels that they show.
//!
//! | module | its secret |
//! |---|---|
//! | `history` | what is known of a transaction: [`Transaction`], [`Operation`] |
//! | `versions` | the order of each key's versions, from what was read; what contradicts itself |
//! | `graph` | strongly connected components and short cycles |
//! | `check` | which dependencies there are, and which cycles of them which level forbids: [`check`] |
//! | [`hermitage`] | interleavings of two transactions, and what must come of them |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod check;
mod graph;
pub mod hermitage;
mod history;
mod versions;

pub use check::{Anomaly, Dependency, Level, Step, check};
pub use history::{Operation, Outcome, Transaction};
