//! Where memory comes from: one budget per database, and large page arenas.
//!
//! | module | holds |
//! |---|---|
//! | [`budget`] | the bound on all memory of a database, and its named accounts |
//! | [`arena`] | address space reserved once and committed from the front |
//! | [`machine`] | how much memory there is to budget with |
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)] // allowed in `arena` alone

pub mod arena;
pub mod budget;
pub mod machine;

pub use arena::{Arena, ArenaOptions};
pub use budget::{Account, Budget, BudgetExhausted, Reservation};
pub use machine::machine_memory_bytes;
