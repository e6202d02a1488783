//! The comparison of Aquifer with other engines, on the same workloads.
//!
//! | module | holds |
//! |---|---|
//! | [`engines`] | each engine's adapter |
//! | [`run`] | one engine on one workload, in this process |
#![doc = include_str!("../README.md")]

pub mod engines;
pub mod run;
