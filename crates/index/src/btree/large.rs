//! Large values in a tree: the root says whether there may be any (LV2).
//!
//! # Invariants
//!
//! - **BV1** The root of a tree that has a flagged record has [`FLAG_LARGE`]. Splitting, rebuilding and lowering the root keep it.
//! - **BV2** Dismantling, deleting a range and clearing remove records without looking at each; the caller has seen to the
//!   large ones. A tree cut out of another never has the flag: what its records name is not its own any more (RD6).

use super::BTree;
use super::edit::NodeMut;
use super::layout::{FLAG_DISMANTLED, FLAG_LARGE};
use super::node::Node;
use crate::load::look_at;
use aquifer_buffer::{Mutation, Pager, Result, Retry};

impl BTree {
    /// May there be large values in this tree? There is none any more in one that is being dismantled. O(1).
    ///
    /// # Errors
    ///
    /// What loading the root gives.
    pub fn may_hold_large(&self, pager: &Pager) -> Result<bool> {
        let flags = look_at(pager, self.root(), |root| Node::new(root).summary().flags())?;
        Ok(flags & (FLAG_LARGE | FLAG_DISMANTLED) == FLAG_LARGE)
    }

    /// Notes at the root that there may be large values (LV2). To be called in the passage that puts one, before its place is
    /// taken; idempotent.
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again.
    pub fn note_large(&self, m: &Mutation<'_>) -> std::result::Result<(), Retry> {
        let mut page = m.exclusive(self.root())?;
        let node = Node::new(page.bytes());
        if !self.is_own(node.summary(), node.level(), node.owner()) {
            return Err(Retry::Damaged(self.root(), "it is not the root of this tree"));
        }
        if node.summary().flags() & FLAG_LARGE == 0 {
            page.make_dirty()?;
            NodeMut::new(page.bytes_mut()).add_flags(FLAG_LARGE);
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
