//! Which pages are in memory, where they are on disk, and how a checkpoint is taken.
//!
//! | module | its secret |
//! |---|---|
//! | [`pager`](Pager) | how the parts below make one buffer manager |
//! | `page` | what a user may do with a page: read optimistically, latch, change |
//! | `mutation` | the token of being inside the gate; new and freed pages |
//! | `words` | reading bytes that may change underneath |
//! | `translation` | page id → frame |
//! | `frame` | frames, their headers and latches; the free list and the clock |
//! | `load` | bringing a page into memory |
//! | `evict` | giving frames away |
//! | [`direct`](NewPages) | pages of large values, which pass by the pool |
//! | `runs` | consecutive pages or slots |
//! | `epoch` | what was written in which epoch, and copies for the checkpoint |
//! | `checkpoint` | flip, write, install, release |
//! | `map` | the durable page map |
//! | [`kept`](KeptCheckpoint) | checkpoints that stay readable while newer ones come, and pagers that read them |
//! | `backup` | copying a checkpoint into another data file, and back |
//! | `origins` | where the pages of a backup came from |
//! | `space` | free slots of the data file |
//! | [`shrink`](Shrink) | moving pages out of the tail of the data file |
//! | `superblock` | the first bytes of the data file |
//! | `file` | page-sized transfers to and from the data file |
//! | `syncing` | one sync of the data file at a time |
//! | `verify` | reading everything back |
//! | [`wreck`](Wreck) | a data file that may be damaged, read for salvage |
#![doc = include_str!("../README.md")]

mod backup;
mod checkpoint;
mod direct;
mod epoch;
mod error;
mod evict;
mod file;
mod frame;
mod ids;
mod kept;
mod load;
mod map;
mod mutation;
mod origins;
mod page;
mod pager;
mod runs;
mod shrink;
mod space;
mod stats;
mod superblock;
mod syncing;
#[cfg(all(test, not(loom)))]
mod test_pager;
mod translation;
mod verify;
mod words;
mod wreck;

pub use backup::{BackupImage, BackupReport, CopyProgress};
pub use checkpoint::Flip;
pub use direct::{LoggedPages, NewPages, Pin, decode_manifest};
pub use error::{Error, Result};
pub use ids::PageId;
pub use kept::{KeptCheckpoint, READING_ACCOUNT};
pub use mutation::Mutation;
pub use page::{ExclusivePage, Optimistic, Retry, SharedPage};
pub use pager::{Pager, PagerOptions};
pub use runs::{PageRun, RunSet};
pub use shrink::Shrink;
pub use stats::PagerStats;
pub use superblock::Superblock;
pub use words::PageWords;
pub use wreck::{LostNode, MapRemains, PlacedPage, Wreck};
