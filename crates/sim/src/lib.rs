//! A simulated disk, for tests of everything that stands on [`aquifer_io::Disk`].
//!
//! | module | what it holds |
//! |---|---|
//! | `sim_disk`, `sim_file` | the disk and its files, as their users see them |
//! | `state` | everything behind the one lock, and the way of every call |
//! | `transfers`, `flight` | what is done to bytes; requests under way |
//! | `content`, `image` | a file, durable and not; its blocks |
//! | `names` | names, durable and not |
//! | `crash`, `states` | the legal states after a loss of power: one, or all |
//! | `fault`, `damage` | what goes wrong with calls, and on the medium |
//! | `call`, `trace` | kinds of calls, counts, the last calls |
//! | `random` | random numbers from a seed |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
// Nothing that the model checker runs uses a disk.
#![cfg(not(loom))]

mod call;
mod content;
mod crash;
mod damage;
mod fault;
mod flight;
mod image;
mod names;
mod random;
mod sim_disk;
mod sim_file;
mod state;
mod states;
mod trace;
mod transfers;

pub use call::{Call, Calls, Counts};
pub use damage::Rot;
pub use fault::Fault;
pub use image::SECTOR_BYTES;
pub use random::Random;
pub use sim_disk::{FILE_BYTES_MAX, SimDisk};
pub use states::CrashStates;
pub use trace::{Event, Trace};

use sim_file::failure;
