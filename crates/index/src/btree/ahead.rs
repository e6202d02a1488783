//! Loading leaves before they are needed.
//!
//! # Invariants
//!
//! - **AH1** Loading ahead is a favour: what does not fit in memory is left out, and whoever needs a page
//!   that is still missing loads it by itself.

use super::BTree;
use super::descent::Goal;
use super::fault::Attempt;
use super::node::Node;
use aquifer_buffer::{PageId, Pager, Result, Retry};

/// Most leaves that a scan loads together.
pub(crate) const AHEAD_MAX: usize = 32;

/// A tree is never so high that its leaves need more rounds; some may be evicted again in between.
const ROUNDS_MAX: usize = 12;

impl BTree {
    /// Brings the leaves of these keys into memory, the misses of a level in one batch. Leaves that do
    /// not fit the budget together may be missing afterwards.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn load_leaves(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        let mut pending = keys.to_vec();
        let mut missing = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let mut stopped = None;
            missing.clear();
            pending.retain(|key| match self.leaf(pager, key) {
                Ok(_) => false,
                Err(Retry::Missing(page)) => {
                    missing.push(page);
                    true
                }
                Err(stop) => {
                    stopped = Some(stop);
                    true
                }
            });
            if let Some(stop) = stopped {
                pager.resolve(stop)?;
            }
            if pending.is_empty() {
                break;
            }
            missing.sort_unstable();
            missing.dedup();
            pager.load_many(&missing)?;
        }
        Ok(())
    }

    /// Loads the leaf that `goal` names and those that a scan will need after it, `leaves` in all.
    pub(crate) fn load_ahead(&self, pager: &Pager, goal: Goal<'_>, leaves: usize) -> Result<()> {
        match self.children_ahead(pager, goal, leaves) {
            Ok(children) => {
                let _ = pager.load_many(&children); // AH1: who needs a page that cannot be loaded will say so
                Ok(())
            }
            Err(Retry::Damaged(..)) => Ok(()), // as above
            Err(retry) => pager.resolve(retry),
        }
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
