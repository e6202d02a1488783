//! Making room: splits with their latches.
//!
//! # Invariants
//!
//! - **GR1** Latch order: parent, child, new page; that is top-down and left to right. A split whose
//!   parent has no room lets go and splits the parent first.
//! - **GR2** Everything that can fail is done before the first change (E2, all or nothing): both halves are
//!   built aside, the pages are dirty, the new pages allocated.
//! - **GR3** The root keeps its page id: its content moves down into two new pages.
//! - **GR4** The new page lies to the right of the old one and takes over its right neighbour, so a
//!   scan that is on the old page finds the new one.

use super::BTree;
use super::build::{Builder, Plan};
use super::descent::Goal;
use super::edit::NodeMut;
use super::layout::*;
use super::leaf::Leaf;
use super::node::Node;
use super::place::{Fit, Wanted, fit};
use super::split::{Halves, Incoming, halve, split};
use crate::ValueKind;
use crate::fault::{Attempt, Nonsense};
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// For what a page is to be split.
#[derive(Debug, Clone, Copy)]
enum Need<'h> {
    /// A record with such a value.
    Record(usize, ValueKind),
    /// A separator that takes this many bytes.
    Separator(usize),
    /// Fewer entries.
    Halves,
    /// These halves in its stead.
    Given(&'h Halves),
}

/// What a step towards room did.
enum Step {
    /// A page was split, or somebody else made room.
    Done,
    /// The parent must get room for a separator of so many bytes first.
    ParentFull(usize),
}

impl BTree {
    /// Splits one page such that the leaf of `key` comes nearer to having room for the record.
    pub(crate) fn make_room(&self, m: &Mutation<'_>, pager: &Pager, wanted: &Wanted<'_>) -> Attempt<()> {
        let key = wanted.key;
        let mut need = Need::Record(wanted.value_len, wanted.kind);
        for level in 0..=LEVEL_MAX {
            match self.split_level(m, pager, key, level, need)? {
                Step::Done => return Ok(()),
                Step::ParentFull(bytes) => need = Need::Separator(bytes),
            }
        }
        Err(Retry::Damaged(self.root(), "it is too high"))
    }

    /// Splits the page of `level` that covers `key`, or one above it that must have room first.
    pub(crate) fn halve(&self, m: &Mutation<'_>, pager: &Pager, key: &[u8], level: u8) -> Attempt<()> {
        let mut need = Need::Halves;
        for level in level..=LEVEL_MAX {
            match self.split_level(m, pager, key, level, need)? {
                Step::Done => return Ok(()),
                Step::ParentFull(bytes) => need = Need::Separator(bytes),
            }
        }
        Err(Retry::Damaged(self.root(), "it is too high"))
    }

    /// Puts these halves in the stead of the leaf that covers `key`, which is empty.
    pub(crate) fn hang_on(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        key: &[u8],
        halves: &Halves,
    ) -> Attempt<()> {
        while let Step::ParentFull(bytes) = self.split_level(m, pager, key, 0, Need::Given(halves))? {
            let mut need = Need::Separator(bytes);
            for level in 1..=LEVEL_MAX {
                match self.split_level(m, pager, key, level, need)? {
                    Step::Done => break,
                    Step::ParentFull(bytes) => need = Need::Separator(bytes),
                }
            }
        }
        Ok(())
    }

    fn split_level<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        key: &[u8],
        level: u8,
        need: Need<'_>,
    ) -> Attempt<Step> {
        let root = pager.read(self.root())?;
        let root_level = Node::new(root.words()).level();
        root.validate()?;
        if root_level <= level {
            return self.split_root(m.upgrade(root)?, m, key, level, need);
        }
        let mut parent = m.upgrade(self.page_at(pager, level + 1, Goal::Key(key))?)?;
        let parent_id = parent.id();
        let above = Node::new(parent.bytes());
        let child_index = above.child_index(key);
        let mut page = m.exclusive(above.child(child_index))?;
        let Some(halves) = self.halves(&page, key, level, need)? else {
            return Ok(Step::Done);
        };
        if !above.is_sane() {
            return Err(Retry::Damaged(parent_id, "its header's sizes do not fit each other"));
        }
        let suffix = Suffix::of(&halves.separator, above.prefix_len());
        let bytes = slot_bytes(level + 1) + suffix.rest.len();
        if above.free_bytes() < bytes {
            return Ok(Step::ParentFull(bytes));
        }
        parent.make_dirty()?;
        make_gap(&mut parent, bytes)?;
        page.make_dirty()?;
        let mut new = m.allocate()?;
        let (page_id, new_id) = (page.id(), new.id());
        install(halves.left, &mut page, Some(page_id), Some(new_id));
        install(halves.right, &mut new, Some(new_id), None);
        NodeMut::new(parent.bytes_mut()).insert_child(child_index, &halves.separator, new_id);
        Ok(Step::Done)
    }

    /// GR3.
    fn split_root(
        &self,
        mut root: ExclusivePage<'_>,
        m: &Mutation<'_>,
        key: &[u8],
        level: u8,
        need: Need<'_>,
    ) -> Attempt<Step> {
        let Some(halves) = self.halves(&root, key, level, need)? else {
            return Ok(Step::Done);
        };
        if level >= LEVEL_MAX {
            return Err(Retry::Damaged(root.id(), "it is too high"));
        }
        root.make_dirty()?;
        let mut left = m.allocate()?;
        let mut right = match m.allocate() {
            Ok(right) => right,
            Err(retry) => {
                m.free(left)?; // nothing refers to it yet
                return Err(retry);
            }
        };
        let (left_id, right_id) = (left.id(), right.id());
        let plan = Plan {
            leftmost: left_id,
            changed_at: Node::new(root.bytes()).changed_at(),
            flags: Node::new(root.bytes()).summary().flags() & ROOT_FLAGS, // LV2
            ..Plan::root(self.table, root.id(), level + 1)
        };
        let page_bytes = root.bytes().len();
        let mut builder = Builder::new(page_bytes, &plan).expect("a root without entries fits");
        builder.push_child(&halves.separator, right_id).expect("SP2: one separator of at most 1/8 page fits");
        install(halves.left, &mut left, Some(left_id), Some(right_id));
        install(halves.right, &mut right, Some(right_id), None);
        root.bytes_mut().copy_from_slice(&builder.finish());
        Ok(Step::Done)
    }

    /// The halves of a latched page; `None` if it has room after all.
    fn halves(
        &self,
        page: &ExclusivePage<'_>,
        key: &[u8],
        level: u8,
        need: Need<'_>,
    ) -> Attempt<Option<Halves>> {
        let node = Node::new(page.bytes());
        if !self.is_own(node.summary(), level, node.owner()) || node.own_id() != page.id() {
            return Err(Retry::Damaged(
                page.id(),
                "kind, level, owner or own id is not what its parent says",
            ));
        }
        if !node.is_sane() || !node.covers(key) {
            return Err(Retry::Damaged(page.id(), "its header's sizes or its fences make no sense"));
        }
        if let Need::Given(halves) = need {
            return Ok(Some(halves.clone()));
        }
        let halves = if level == 0 { leaf_halves(page, key, need) } else { inner_halves(page, key, need) };
        halves.map_err(|nonsense| nonsense.on(page.id()))
    }
}

/// The halves of a leaf; `None` if it has room after all.
fn leaf_halves(page: &ExclusivePage<'_>, key: &[u8], need: Need<'_>) -> Result<Option<Halves>, Nonsense> {
    let Need::Record(value_len, kind) = need else {
        return halve(page.bytes()).map(Some);
    };
    let node = Node::new(page.bytes());
    let sought = Leaf::of(node).find(key);
    if fit(node, &Wanted { key, value_len, kind }, sought)? != Fit::Split {
        return Ok(None);
    }
    let (index, exists) = (node.position(key, false), sought.exists());
    split(page.bytes(), &Incoming { key, value_len, kind, index, exists }).map(Some)
}

/// The halves of an inner page; `None` if it has room after all.
fn inner_halves(page: &ExclusivePage<'_>, key: &[u8], need: Need<'_>) -> Result<Option<Halves>, Nonsense> {
    let node = Node::new(page.bytes());
    if matches!(need, Need::Separator(bytes) if bytes <= node.free_bytes()) {
        return Ok(None);
    }
    let index = node.child_index(key);
    let incoming = Incoming { key, value_len: 0, kind: ValueKind::Inline, index, exists: false };
    split(page.bytes(), &incoming).map(Some)
}

/// Brings a dirty page's free bytes together if the gap is too small.
pub(crate) fn make_gap(page: &mut ExclusivePage<'_>, bytes: usize) -> Attempt<()> {
    let id = page.id();
    if Node::new(page.bytes()).gap_bytes() < bytes {
        NodeMut::new(page.bytes_mut()).compact(None).map_err(|nonsense| nonsense.on(id))?;
        if Node::new(page.bytes()).gap_bytes() < bytes {
            return Err(Retry::Damaged(id, "its free bytes are not where its header says"));
        }
    }
    Ok(())
}

/// Makes a page what was built aside, with the names that were not known then.
fn install(mut half: Vec<u8>, page: &mut ExclusivePage<'_>, own: Option<PageId>, right: Option<PageId>) {
    let mut node = NodeMut::new(&mut half);
    if let Some(own) = own {
        node.set_own_id(own);
    }
    if let Some(right) = right {
        node.set_right(right);
    }
    page.bytes_mut().copy_from_slice(&half);
}
