//! How a commit reaches stable storage: an endless log of records in segment files.
//!
//! | module | holds |
//! |---|---|
//! | `log` | [`Log`], [`Reserved`]: what a writer uses |
//! | `ring` | log memory: reserve, write, publish, collect |
//! | `progress` | what is collected, written, durable; who leads and who follows |
//! | `waiters` | who is woken when |
//! | `flush` | leader and follower, poison, a full disk, large records |
//! | `tail` | building batches |
//! | `chain` | segment files: made ahead, recycled |
//! | `format` | every byte of a segment file |
//! | `replay` | [`Replay`]: what recovery uses |
//! | `analysis` | where a log ends, and whether anything confirmed is missing |
//! | `remains` | [`Remains`]: a log that may be damaged, as far as it can be read |
//! | `archive` | [`Archive`]: segments that are copied away before they are recycled |
//! | `history` | [`History`]: archived segments read from incarnation to incarnation, up to a target |
//! | `scanner`, `reader` | record boundaries; checked batches of one file |
//! | `counters`, `health`, `error`, `lsn` | small parts of the above |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod analysis;
mod archive;
mod chain;
mod counters;
mod error;
mod flush;
mod format;
mod health;
mod history;
mod log;
mod lsn;
mod progress;
mod reader;
mod remains;
mod replay;
mod ring;
mod scanner;
mod tail;
mod waiters;

pub use archive::Archive;
pub use error::{Error, Result};
pub use history::{History, Records, Until};
pub use log::{Full, Log, LogOptions, LogStats, Reserved};
pub use lsn::Lsn;
pub use reader::LogPlace;
pub use remains::{LogEnd, LogIdentity, Remains};
pub use replay::{Replay, Tail};
