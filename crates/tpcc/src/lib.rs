//! The transactions of TPC-C on Aquifer's tables, and its consistency conditions.
//!
//! | module | holds |
//! |---|---|
//! | [`scale`] | [`Scale`]: how large a population is |
//! | [`tables`] | [`Tables`]: the tables and what is in their records |
//! | [`random`] | numbers and names as the specification draws them |
//! | [`populate`] | [`populate()`](populate()): the population at the beginning |
//! | `transactions` | the five transactions |
//! | [`run`](mod@run) | [`run()`](run()): threads that work through the mix, and their figures |
//! | [`check`](mod@check) | [`check()`](check()): the consistency conditions |
//! | [`error`] | what can go wrong |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod check;
pub mod error;
pub mod populate;
pub mod random;
pub mod run;
pub mod scale;
pub mod tables;
mod transactions;

pub use check::{Violation, check};
pub use error::Error;
pub use populate::populate;
pub use run::{Figures, Kind, Outcome, Plan, run};
pub use scale::Scale;
pub use tables::Tables;
