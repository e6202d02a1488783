//! The way from the root to a page, without a latch.
//!
//! # Invariants
//!
//! - **L1** A parent is validated before a child id taken from it is used, and again after the child's
//!   version is known. A split holds the parent exclusively from before to after it changes the
//!   child, so a child reached this way covers the key for as long as its version stands.
//! - **L2** The buffer manager checks that a frame holds the page asked for; kind, level, owner and own id
//!   of the page are checked here. A mismatch on a page that validates is damage, not a race.
//! - **L8** A page that does not exist is damage only if the page that names it is still what it was: merges free pages,
//!   with their parent latched (RB1).
//! - **DC1** A descent visits at most as many pages as the root's level says, each one level lower.

use super::BTree;
use super::layout::LEVEL_MAX;
use super::node::{Node, Summary};
use crate::fault::Attempt;
use aquifer_buffer::{Optimistic, PageId, PageWords, Pager, Result, Retry};

/// Where a descent goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal<'k> {
    /// To the page that covers this key.
    Key(&'k [u8]),
    /// To the page that covers the keys just below this one, which is not empty.
    Before(&'k [u8]),
    /// To the last page.
    Last,
}

impl Goal<'_> {
    pub(crate) fn child_index(self, node: Node<PageWords<'_>>) -> usize {
        match self {
            Goal::Key(key) => node.child_index(key),
            Goal::Before(key) => node.child_index_before(key),
            Goal::Last => node.count(),
        }
    }
}

impl BTree {
    /// The leaf that covers `key`.
    #[inline]
    pub(crate) fn leaf<'p>(&self, pager: &'p Pager, key: &[u8]) -> Attempt<Optimistic<'p>> {
        self.descend(pager, 0, |node| node.child_index(key))
    }

    /// The page of `level` that `goal` names.
    pub(crate) fn page_at<'p>(&self, pager: &'p Pager, level: u8, goal: Goal<'_>) -> Attempt<Optimistic<'p>> {
        self.descend(pager, level, |node| goal.child_index(node))
    }

    #[inline(always)]
    fn descend<'p>(
        &self,
        pager: &'p Pager,
        goal_level: u8,
        child_index: impl Fn(Node<PageWords<'p>>) -> usize,
    ) -> Attempt<Optimistic<'p>> {
        let mut page = pager.read(self.root())?;
        let mut level = self.root_level(page)?;
        if level < goal_level {
            return Err(Retry::Changed); // the caller saw a higher root (RB6)
        }
        while level > goal_level {
            let node = Node::new(page.words());
            let child = node.child(child_index(node));
            page.validate()?; // L1
            let next = pager.read(child);
            page.validate()?; // L1: also if there is no such page any more
            let next = next?;
            level -= 1;
            self.check_page(next, level)?;
            page = next;
        }
        Ok(page)
    }

    #[inline(always)]
    fn root_level(&self, page: Optimistic<'_>) -> Attempt<u8> {
        let level = Node::new(page.words()).level().min(LEVEL_MAX);
        self.check_page(page, level)?;
        Ok(level)
    }

    /// L2.
    #[inline(always)]
    pub(crate) fn check_page(&self, page: Optimistic<'_>, level: u8) -> Attempt<()> {
        let node = Node::new(page.words());
        if self.is_own(node.summary(), level, node.owner()) && node.own_id() == page.id() {
            return Ok(());
        }
        page.validate()?;
        Err(Retry::Damaged(page.id(), "kind, level, owner or own id is not what its parent says"))
    }

    #[inline(always)]
    pub(crate) fn is_own(&self, summary: Summary, level: u8, owner: u32) -> bool {
        summary.level() == level && summary.is_tree_page() && owner == self.table
    }

    /// Copies the leaf that `goal` names into `copy`, under its shared latch. If it is missing, it is
    /// loaded, and up to `ahead` leaves with it that come next.
    pub(crate) fn copy_leaf(
        &self,
        pager: &Pager,
        goal: Goal<'_>,
        ahead: usize,
        copy: &mut Vec<u8>,
    ) -> Result<PageId> {
        loop {
            match self.try_copy_leaf(pager, goal, copy) {
                Ok(id) => return Ok(id),
                Err(stop) => {
                    if ahead > 0 && matches!(stop, Retry::Missing(_)) {
                        self.load_ahead(pager, goal, ahead)?;
                    }
                    pager.resolve(stop)?;
                }
            }
        }
    }

    fn try_copy_leaf(&self, pager: &Pager, goal: Goal<'_>, copy: &mut Vec<u8>) -> Attempt<PageId> {
        let leaf = self.page_at(pager, 0, goal)?;
        let latched = pager.shared(leaf.id());
        leaf.validate()?; // also if there is no such page any more
        let latched = latched?;
        copy.clear();
        copy.extend_from_slice(latched.bytes());
        Ok(leaf.id())
    }
}
