//! Direct pages: those of large values. They have a page id, a slot and an entry in the page map like every page, and pass
//! by the pool: written once, in large transfers, straight to fresh slots, and read as directly. In a database in memory they
//! lie in frames, and the same rules hold.
//!
//! ```text
//!  NewPages: reserved --write--> written --attach (gate)--> attached --detach (gate)--> detached --release--> free
//!                '------- drop, crash: free --'                '- in the map of the first -' '- once a checkpoint has it,
//!                                                                 checkpoint after it            and no reader is left -'
//! ```
//!
//! | module | its secret |
//! |---|---|
//! | `write` | new pages |
//! | `read` | reading them, and the pins of readers |
//! | `state` | which pages are in which state |
//! | `manifest` | where pages lie, as the log says it |
//!
//! # Invariants
//!
//! - **DP1** A direct page is written before it is attached, once, and never changes. Its location is set when the write has
//!   completed, and stays until its id is free again.
//! - **DP2** Until it is attached a page is reserved in memory alone, its id and its slot: nothing on disk refers to it, so
//!   that dropping [`NewPages`], or a crash, leaves nothing behind.
//! - **DP3** Attaching and detaching happen inside the gate, in the passage that makes the value appear or go. The map of a
//!   checkpoint gets exactly the attachments and detachments of epochs before its flip; the locations of what was attached
//!   are read from the page table, where they cannot have changed (DP1, DP4).
//! - **DP4** Id and slot of a detached page are given out again only when a checkpoint that has the detachment is durable and
//!   noted (E3): also if no checkpoint ever had the page, for the log names both (what it names is reserved at recovery before
//!   anything else is given out, [`LoggedPages`]). The same holds for the slots of a manifest.
//! - **DP5** A reader pins what it reads before it looks up where that lies: a [`Pin`] holds everything that is detached after
//!   it began, until it is narrowed to some pages. What is pinned keeps id, location, slot and bytes. So a reader never sees a
//!   slot that is used again: the pages that it found were attached when it had pinned already, so they were detached later,
//!   and are released later.
//! - **DP6** Pages are synced before a log record names them ([`Pager::sync_direct`]), and by the checkpoint's own sync before
//!   a map does. After a failed sync the pager is poisoned (P9).
//! - **DP7** The bytes of a page of the disk have the checksum of its location, or reading it is an error.

mod manifest;
mod read;
mod state;
mod write;

pub use manifest::{LoggedPages, decode_manifest};
pub use read::Pin;
pub(crate) use state::DirectPages;
pub use write::NewPages;

#[cfg(all(test, not(loom)))]
mod tests;
