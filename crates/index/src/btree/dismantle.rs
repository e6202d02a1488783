//! Freeing a tree, some pages at a time.
//!
//! The first passage marks the root, unless it is that of a detached tree without large values, which is marked as such. Each one then goes down the right edge to the last inner page
//! that has only leaves, or nothing, below it, frees its leaves from the right, and at last the page
//! itself. The root is the last to go.
//!
//! # Invariants
//!
//! - **DM1** After every passage, and so in every checkpoint, what is reachable from the root exists and what was freed is
//!   not reachable: a child is freed and its pointer removed under the latch of its parent.
//! - **DM2** A marked tree may have fewer children than separators say: upper fences and right neighbours of its right
//!   edge mean nothing, and an inner page may have no child. Nobody reads it any more.
//! - **DM3** Of a damaged tree no page is latched that this thread holds already.

use super::BTree;
use super::edit::NodeMut;
use super::layout::{FLAG_DETACHED, FLAG_DISMANTLED, FLAG_LARGE, LEVEL_MAX};
use super::node::Node;
use crate::fault::Attempt;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// Most leaves that one passage of the gate frees.
const FREED_MAX: usize = 256;

impl BTree {
    /// Frees some of the pages of a tree that nobody uses any more, leaving a smaller, whole tree;
    /// `true` when all, the root included, are freed. Leaves need not be in memory.
    ///
    /// # Errors
    ///
    /// What has to happen before it goes on; what was freed until then stays freed.
    pub fn dismantle(&self, m: &Mutation<'_>, pager: &Pager) -> Result<bool, Retry> {
        let _ = pager; // the token knows it as well; the signature is that of all changes
        let mut page = self.latch(m, self.root(), None)?;
        let flags = Node::new(page.bytes()).summary().flags();
        if flags & FLAG_DISMANTLED == 0 && (flags & FLAG_DETACHED == 0 || flags & FLAG_LARGE != 0) {
            page.make_dirty()?;
            NodeMut::new(page.bytes_mut()).add_flags(FLAG_DISMANTLED);
        }
        let mut parent: Option<ExclusivePage<'_>> = None;
        loop {
            let node = Node::new(page.bytes());
            let level = node.level();
            if level <= 1 || last_child(node).is_none() {
                break;
            }
            let child = last_child(node).unwrap_or_default();
            check_unheld(child, &page, parent.as_ref())?;
            let below = self.latch(m, child, Some(level - 1))?;
            parent = Some(std::mem::replace(&mut page, below));
        }
        if !free_leaves(m, &mut page, parent.as_ref())? {
            return Ok(false);
        }
        match parent {
            None => {
                m.free(page)?;
                Ok(true)
            }
            Some(mut parent) => {
                let entry_len = last_entry_len(&parent)?;
                parent.make_dirty()?;
                m.free(page)?;
                remove_last_child(&mut parent, entry_len); // DM1
                Ok(false)
            }
        }
    }

    /// Latches a page of this tree exclusively and checks that it is one.
    pub(crate) fn latch<'m>(
        &self,
        m: &'m Mutation<'_>,
        id: PageId,
        level: Option<u8>,
    ) -> Attempt<ExclusivePage<'m>> {
        let page = m.exclusive(id)?;
        let node = Node::new(page.bytes());
        let level = level.unwrap_or(node.level().min(LEVEL_MAX));
        if self.is_own(node.summary(), level, node.owner()) && node.own_id() == id && node.is_sane() {
            return Ok(page);
        }
        Err(Retry::Damaged(id, "it is not the page of this tree that it should be"))
    }
}

/// The last child, if there is one (DM2).
fn last_child(node: Node<&[u8]>) -> Option<PageId> {
    if node.level() == 0 {
        return None;
    }
    Some(node.child(node.count())).filter(|&child| child != PageId::NONE)
}

/// DM3: a damaged tree may name a page below itself.
fn check_unheld(child: PageId, page: &ExclusivePage<'_>, parent: Option<&ExclusivePage<'_>>) -> Attempt<()> {
    if child == page.id() || parent.is_some_and(|parent| parent.id() == child) {
        return Err(Retry::Damaged(child, "it is below itself"));
    }
    Ok(())
}

/// Frees the leaves below a page of level 1, from the right. Whether none is left.
fn free_leaves(
    m: &Mutation<'_>,
    page: &mut ExclusivePage<'_>,
    parent: Option<&ExclusivePage<'_>>,
) -> Attempt<bool> {
    for _ in 0..FREED_MAX {
        let Some(leaf) = last_child(Node::new(page.bytes())) else {
            return Ok(true);
        };
        check_unheld(leaf, page, parent)?;
        let entry_len = last_entry_len(page)?;
        page.make_dirty()?;
        m.free_id(leaf)?;
        remove_last_child(page, entry_len); // DM1
    }
    Ok(last_child(Node::new(page.bytes())).is_none())
}

/// Length of the last separator's entry; `None` if only the leftmost child is left.
fn last_entry_len(page: &ExclusivePage<'_>) -> Attempt<Option<usize>> {
    let node = Node::new(page.bytes());
    let Some(last) = node.count().checked_sub(1) else { return Ok(None) };
    let len = node.entry_len(node.slot(last));
    len.map(Some).ok_or(Retry::Damaged(page.id(), "an entry lies beyond the page"))
}

fn remove_last_child(page: &mut ExclusivePage<'_>, entry_len: Option<usize>) {
    let last = Node::new(page.bytes()).count().saturating_sub(1);
    let mut node = NodeMut::new(page.bytes_mut());
    match entry_len {
        Some(len) => node.remove(last, len),
        None => node.set_leftmost(PageId::NONE),
    }
}
