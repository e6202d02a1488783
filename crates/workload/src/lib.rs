//! The one list of benchmark workloads: what they do, on which records, and how they are measured.
//!
//! | module | holds |
//! |---|---|
//! | [`workload`] | [`Workload`]: the list |
//! | [`spec`] | [`Spec`]: one run's records, operations, threads, sizes; [`Durability`], [`Isolation`] |
//! | [`store`] | [`Store`] and [`Session`]: what an engine must offer |
//! | [`run`](mod@run) | [`run()`](run()) and [`load`]: threads, clock, totals |
//! | [`report`] | [`Report`]: the figures, as a line of JSON or as text |
//! | [`records`] | the keys and values of the records, and how a wrong one is told |
//! | [`random`], [`zipf`] | generators |
//! | [`map_store`] | [`MapStore`]: a store in memory |
//! | [`conformance`] | a check of an engine's [`Session`] |
//! | [`error`] | what can go wrong |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod conformance;
pub mod error;
mod growth;
pub mod map_store;
mod memory;
mod operations;
pub mod random;
pub mod records;
pub mod report;
pub mod run;
pub mod spec;
pub mod store;
pub mod workload;
pub mod zipf;

pub use error::{BoxError, Error};
pub use map_store::MapStore;
pub use records::Key;
pub use report::{Part, Report};
pub use run::{count_records, is_empty, load, run};
pub use spec::{Durability, Isolation, Spec};
pub use store::{Counters, Description, Session, Store};
pub use workload::Workload;
