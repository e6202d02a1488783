//! Who may see what: snapshots, versions, conflicts.
//!
//! | module | holds |
//! |---|---|
//! | [`visible`] | the unbroken prefix of the commit order that is applied |
//! | [`snapshots`] | which snapshots are open, and below what nobody looks |
//! | [`versions`] | older values, for as long as a snapshot needs them |
//! | [`conflicts`] | what later commits wrote, against what a serializable transaction read |
//! | [`reads`] | what a serializable transaction read, by key and by range |
//! | [`claims`] | keys claimed early, deadlocks, timeouts |
//! | [`write_set`] | a transaction's own writes, and savepoints |
//! | [`scan`] | a store's cursor, older values and own writes as one |
//! | [`key`], [`error`] | the words they share |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod claims;
pub mod conflicts;
pub mod error;
pub mod key;
pub mod reads;
pub mod scan;
pub mod snapshots;
pub mod versions;
pub mod visible;
pub mod write_set;

pub use claims::{Claimant, Claims};
pub use conflicts::{Conflicts, Notice, Unannounced, Watch, WriteKeys};
pub use error::{Error, Result};
pub use key::{CommitLsn, Direction, KeyRange};
pub use reads::ReadSet;
pub use scan::{Item, Scan, StoreCursor, View};
pub use snapshots::{Census, Snapshot, Snapshots};
pub use versions::{AsOf, Before, Change, InversePatch, Versions, VersionsOptions};
pub use visible::Visible;
pub use write_set::{Base, Savepoint, Step, Write, WriteSet};
