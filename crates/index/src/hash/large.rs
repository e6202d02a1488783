//! Large values in a hashed index: the root says whether there may be any (LV2).
//!
//! # Invariants
//!
//! - **HL1** The root of an index that has a flagged record has [`FLAG_LARGE`]. What splits, raises or lowers the root keeps it,
//!   and no other directory page has it.
//! - **HL2** Dismantling frees buckets unread: the caller has seen to the large values in them.

use super::HashIndex;
use super::directory::{Directory, DirectoryMut};
use super::layout::{FLAG_DISMANTLED, FLAG_LARGE};
use crate::load::look_at;
use aquifer_buffer::{Mutation, Pager, Result, Retry};

impl HashIndex {
    /// May there be large values in this index? There is none any more in one that is being dismantled. O(1).
    ///
    /// # Errors
    ///
    /// What loading the root gives.
    pub fn may_hold_large(&self, pager: &Pager) -> Result<bool> {
        let flags = look_at(pager, self.root(), |root| Directory::new(root).summary().flags())?;
        Ok(flags & (FLAG_LARGE | FLAG_DISMANTLED) == FLAG_LARGE)
    }

    /// Notes at the root that there may be large values (HL1). To be called in the passage that puts one, before its place is
    /// taken; idempotent.
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again.
    pub fn note_large(&self, m: &Mutation<'_>) -> std::result::Result<(), Retry> {
        let mut page = m.exclusive(self.root())?;
        let root = Directory::new(page.bytes());
        if !self.is_own(page.bytes(), root.level()) || root.own_id() != self.root() || !root.is_sane() {
            return Err(Retry::Damaged(self.root(), "it is not the root of this hashed index"));
        }
        if root.summary().flags() & FLAG_LARGE == 0 {
            page.make_dirty()?;
            DirectoryMut::new(page.bytes_mut()).add_flags(FLAG_LARGE);
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
