//! Loading leaves before they are needed. AH1 of `load`: it is a favour.

use super::BTree;
use super::descent::Goal;
use super::node::Node;
use crate::fault::Attempt;
use crate::load::{load_for_keys, load_named};
use aquifer_buffer::{PageId, Pager, Result};

/// Most leaves that a scan loads together.
pub(crate) const AHEAD_MAX: usize = 32;

impl BTree {
    /// Brings the leaves of these keys into memory, the misses of a level in one batch. Leaves that do
    /// not fit the budget together may be missing afterwards.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn load_leaves(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        load_for_keys(pager, keys, |key| self.leaf(pager, key))
    }

    /// Loads the leaf that `goal` names and those that a scan will need after it, `leaves` in all.
    pub(crate) fn load_ahead(&self, pager: &Pager, goal: Goal<'_>, leaves: usize) -> Result<()> {
        load_named(pager, self.children_ahead(pager, goal, leaves))
    }

    fn children_ahead(&self, pager: &Pager, goal: Goal<'_>, leaves: usize) -> Attempt<Vec<PageId>> {
        let parent = self.page_at(pager, 1, goal)?;
        let node = Node::new(parent.words());
        let index = goal.child_index(node);
        let children = match goal {
            Goal::Key(_) => (index..=node.count()).take(leaves).map(|at| node.child(at)).collect(),
            Goal::Before(_) | Goal::Last => (0..=index).rev().take(leaves).map(|at| node.child(at)).collect(),
        };
        parent.validate()?;
        Ok(children)
    }
}
