//! Deleting a range of keys by cutting it out of the tree.
//!
//! ```text
//!              fork D                                        D
//!        /    /  |  \    \                               /       \
//!       L   [ detached ]   R        becomes             L         R        and    pouch
//!      / \\               // \                          /           \            / | \
//!     .  [detached] [detached] .                      .             .         pouch .. pouch
//!     L0 trimmed        trimmed R0                    L0            R0        .. detached pages ..
//! ```
//!
//! The way to where the range begins and the way to where it ends part at the *fork*. What lies between them goes as it
//! is, unread: on each level the children between are gathered on a new inner page, a *pouch*, which also takes the pouches of the
//! level below; the topmost is the root of a tree of its own, for its caller to free ([`dismantle`](BTree::dismantle)). On both
//! ways, pages lose the children between; the two leaves lose records. The lower fence of the leaf on the right becomes the border:
//! the upper fence of everything on the left way, and the lower one of everything on the right way.
//!
//! # Invariants
//!
//! - **RD1** All is prepared before the first change: every page of both ways is latched (level by level from the top, left before
//!   right), dirty, and rebuilt aside; the pouches are filled, and nothing names them. A [`Cut`] that is not carried out leaves the
//!   tree as it was and frees the pouches.
//! - **RD2** A page that has no room for its new fence is split first, as any other, and all begins again. Splits leave fewer
//!   entries; a page with one entry has room for any fences (SP1.1).
//! - **RD3** A pouch has the fences of the page that its children come from, and fewer entries: it fits. Fences of a detached tree mean
//!   nothing else: its root is flagged.
//! - **RD4** No other writer is in the tree: one who had found a leaf that is detached since would change a page that nobody finds. The
//!   caller sees to it. Readers may be anywhere: on a detached page they read what was there when they came.
//! - **RD5** Detached pages are not changed, so their versions stay; a cursor that goes from one to the next must be told
//!   otherwise: [`Pager::detachments`] rises while the fork is latched (CR3).
//! - **RD6** Descriptors of large values go with their records, and their pages with them: the caller detaches these in the passage that
//!   carries the cut out. So a detached tree owns none, whatever its leaves say, and its root says so (LV2). The root of what stays
//!   says what it said before; of a tree without records, that there are none.

use super::BTree;
use super::anew::build_leaf_of;
use super::build::{Builder, NO_ROOM, Plan};
use super::edit::NodeMut;
use super::layout::*;
use super::node::Node;
use super::rebalance::free;
use crate::fault::{Attempt, Nonsense};
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};
use std::ops::Bound;

/// A range that is ready to be deleted: nothing can fail any more. Dropped, it has changed nothing.
#[derive(Debug)]
#[must_use]
pub struct Cut<'m> {
    m: &'m Mutation<'m>,
    /// Latched and dirty, each with its new bytes.
    changes: Vec<(ExclusivePage<'m>, Vec<u8>)>,
    /// New and filled; the last is the root of the detached tree.
    pouches: Vec<ExclusivePage<'m>>,
    table: u32,
}

/// The keys to go: at or above the first, and below the second if there is one.
struct Keys {
    low: Vec<u8>,
    high: Option<Vec<u8>>,
}

impl Keys {
    fn of(from: Bound<&[u8]>, to: Bound<&[u8]>) -> Keys {
        let behind = |key: &[u8]| [key, &[0]].concat();
        let low = match from {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => behind(key),
        };
        let high = match to {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(behind(key)),
            Bound::Excluded(key) => Some(key.to_vec()),
        };
        Keys { low, high }
    }
}

/// A page of one of the two ways, and the child or record at which the way goes on.
struct Stop<'m> {
    page: ExclusivePage<'m>,
    index: usize,
}

impl Stop<'_> {
    fn node(&self) -> Node<&[u8]> {
        Node::new(self.page.bytes())
    }
}

/// The fork and both ways below it, from the top down. There is no right way if the range has no upper end.
struct Ways<'m> {
    fork: Stop<'m>,
    /// Child of the fork at which the right way goes on; one more than there are if there is none.
    fork_right: usize,
    left: Vec<Stop<'m>>,
    right: Vec<Stop<'m>>,
}

/// Why a cut cannot be made yet.
enum Halt {
    Retry(Retry),
    /// RD2: the page of this level that covers the key has no room.
    Full {
        key: Vec<u8>,
        level: u8,
    },
}

impl From<Retry> for Halt {
    fn from(retry: Retry) -> Halt {
        Halt::Retry(retry)
    }
}

impl BTree {
    /// Makes ready to delete all records whose keys lie in the range: O(depth) pages are read, latched and changed, however many
    /// records go. Readers go on; **no other writer may be in the tree** until it is carried out or dropped (RD4).
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again; no record has changed.
    pub fn cut<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &'m Pager,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<Cut<'m>, Retry> {
        let keys = Keys::of(from, to);
        loop {
            match self.try_cut(m, &keys) {
                Ok(cut) => return Ok(cut),
                Err(Halt::Retry(retry)) => return Err(retry),
                Err(Halt::Full { key, level }) => self.halve(m, pager, &key, level)?,
            }
        }
    }

    fn try_cut<'m>(&self, m: &'m Mutation<'_>, keys: &Keys) -> Result<Cut<'m>, Halt> {
        let mut cut = Cut { m, changes: Vec::new(), pouches: Vec::new(), table: self.table() };
        if keys.high.as_ref().is_some_and(|high| *high <= keys.low) {
            return Ok(cut);
        }
        let root = self.latch(m, self.root(), None)?;
        if keys.low.is_empty() && keys.high.is_none() {
            self.cut_all(root, &mut cut)?;
            return Ok(cut);
        }
        let fork = self.fork(m, root, keys)?;
        if fork.0.node().level() == 0 {
            cut_leaf(fork.0.page, fork.0.index, fork.1, &mut cut)?;
            return Ok(cut);
        }
        let ways = self.ways(m, fork, keys)?;
        let changes = ways.changes(keys)?;
        let pages = ways.into_pages();
        debug_assert_eq!(pages.0.len(), changes.len());
        cut.prepare(pages, changes)?;
        Ok(cut)
    }

    /// The page at which the two ways part, with both children; a leaf if they do not, with both records.
    fn fork<'m>(
        &self,
        m: &'m Mutation<'_>,
        root: ExclusivePage<'m>,
        keys: &Keys,
    ) -> Attempt<(Stop<'m>, usize)> {
        let mut page = root;
        loop {
            let node = Node::new(page.bytes());
            let (level, count) = (node.level(), node.count());
            if level == 0 {
                let first = node.position(&keys.low, false);
                let last = keys.high.as_ref().map_or(count, |high| node.position(high, false));
                return Ok((Stop { page, index: first }, last));
            }
            let left = node.child_index(&keys.low);
            let right = keys.high.as_ref().map_or(count + 1, |high| node.child_index(high));
            if left != right {
                return Ok((Stop { page, index: left }, right));
            }
            let child = node.child(left);
            if child == page.id() {
                return Err(Retry::Damaged(child, "it is below itself"));
            }
            page = self.latch(m, child, Some(level - 1))?;
        }
    }

    fn ways<'m>(
        &self,
        m: &'m Mutation<'_>,
        (fork, fork_right): (Stop<'m>, usize),
        keys: &Keys,
    ) -> Attempt<Ways<'m>> {
        let node = fork.node();
        let (level, count) = (node.level(), node.count());
        if fork_right <= fork.index {
            return Err(Retry::Damaged(fork.page.id(), "its separators are in the wrong order"));
        }
        let mut next = (node.child(fork.index), (fork_right <= count).then(|| node.child(fork_right)));
        let mut held = vec![fork.page.id()];
        let mut ways = Ways { fork, fork_right, left: Vec::new(), right: Vec::new() };
        let mut latch = |id: PageId, level: u8, key: &[u8]| -> Attempt<(Stop<'m>, PageId)> {
            if held.contains(&id) {
                return Err(Retry::Damaged(id, "it is below itself, or a child twice"));
            }
            held.push(id);
            let page = self.latch(m, id, Some(level))?;
            let node = Node::new(page.bytes());
            if !node.covers(key) {
                return Err(Retry::Damaged(id, "its fences make no sense"));
            }
            let index = if level == 0 { node.position(key, false) } else { node.child_index(key) };
            let child = if level == 0 { PageId::NONE } else { node.child(index) };
            Ok((Stop { page, index }, child))
        };
        for level in (0..level).rev() {
            let (stop, child) = latch(next.0, level, &keys.low)?;
            next.0 = child;
            ways.left.push(stop);
            if let (Some(id), Some(high)) = (next.1, &keys.high) {
                let (stop, child) = latch(id, level, high)?;
                next.1 = Some(child);
                ways.right.push(stop);
            }
        }
        Ok(ways)
    }

    /// The root becomes an empty leaf; what was on it goes into one pouch.
    fn cut_all<'m>(&self, mut root: ExclusivePage<'m>, cut: &mut Cut<'m>) -> Attempt<()> {
        let node = Node::new(root.bytes());
        let plan = Plan {
            changed_at: node.changed_at(),
            flags: node.summary().flags() & FLAG_DETACHED,
            ..Plan::root(self.table(), root.id(), 0)
        };
        let empty = Builder::new(root.bytes().len(), &plan).expect("a page without entries fits").finish();
        let has_pages = node.level() > 0;
        root.make_dirty()?;
        if has_pages {
            let mut pouch = cut.m.allocate()?;
            let id = pouch.id();
            let bytes = pouch.bytes_mut();
            bytes.copy_from_slice(root.bytes());
            let mut node = NodeMut::new(bytes);
            node.set_own_id(id);
            node.add_flags(FLAG_DETACHED);
            node.remove_flags(FLAG_LARGE); // RD6
            cut.pouches.push(pouch);
        }
        cut.changes.push((root, empty));
        Ok(())
    }
}

/// What is to stay of the flags of a page that is rebuilt: those of a root, if it is one.
fn root_flags(node: Node<&[u8]>) -> u8 {
    node.summary().flags() & ROOT_FLAGS
}

/// The range begins and ends on one leaf.
fn cut_leaf<'m>(mut page: ExclusivePage<'m>, first: usize, last: usize, cut: &mut Cut<'m>) -> Attempt<()> {
    if first >= last {
        return Ok(()); // nothing is there
    }
    let node = Node::new(page.bytes());
    let rebuild = || {
        let plan = Plan { flags: root_flags(node), ..Plan::of(node)? };
        build_leaf_of(node, &plan, [0..first, last..node.count()])
    };
    let bytes = rebuild().map_err(|nonsense: Nonsense| nonsense.on(page.id()))?;
    page.make_dirty()?;
    cut.changes.push((page, bytes));
    Ok(())
}

/// What goes into a pouch: children of a page, and what is before and behind them from the level below.
struct Pouch {
    /// Which of the pages on the ways the children come from.
    page: usize,
    children: std::ops::Range<usize>,
    is_left: bool,
    is_right: bool,
}

impl<'m> Ways<'m> {
    /// The new bytes of all pages, in the order of [`into_pages`](Self::into_pages).
    fn changes(&self, keys: &Keys) -> Result<Vec<Vec<u8>>, Halt> {
        let border = match self.right.last() {
            Some(leaf) => Some(leaf.node().lower().ok_or(BEYOND.on(leaf.page.id()))?.to_vec()),
            None => None,
        };
        let mut changes = Vec::with_capacity(1 + self.left.len() + self.right.len());
        let full_or = |nonsense: Nonsense, stop: &Stop<'_>, key: &[u8]| match nonsense == NO_ROOM {
            true => Halt::Full { key: key.to_vec(), level: stop.node().level() },
            false => Halt::Retry(nonsense.on(stop.page.id())),
        };
        let fork = self.changed_fork(border.as_deref());
        changes.push(fork.map_err(|nonsense| full_or(nonsense, &self.fork, &keys.low))?);
        for (at, stop) in self.left.iter().enumerate() {
            let right = self.right.get(at).map_or(PageId::NONE, |right| right.page.id());
            let bytes = changed_left(stop, border.as_deref(), right);
            changes.push(bytes.map_err(|nonsense| full_or(nonsense, stop, &keys.low))?);
        }
        for stop in &self.right {
            let bytes = changed_right(stop, border.as_deref().unwrap_or_default());
            let high = keys.high.as_deref().unwrap_or_default();
            changes.push(bytes.map_err(|nonsense| full_or(nonsense, stop, high))?);
        }
        Ok(changes)
    }

    fn changed_fork(&self, border: Option<&[u8]>) -> Result<Vec<u8>, Nonsense> {
        let node = self.fork.node();
        let mut builder =
            Builder::new(node.page_bytes(), &Plan { flags: root_flags(node), ..Plan::of(node)? })?;
        builder.push_children(node, 0..self.fork.index)?;
        if let Some(border) = border {
            builder.push_child(border, node.child(self.fork_right))?;
            builder.push_children(node, self.fork_right..node.count())?;
        }
        Ok(builder.finish())
    }

    /// Pages with the children that go from each, and what is to be made of these, from the lowest level up: of each level left, then
    /// right; the fork last.
    fn into_pages(self) -> (Vec<ExclusivePage<'m>>, Vec<Pouch>) {
        let levels = self.left.len();
        let mut pouches = Vec::new();
        for at in (0..levels.saturating_sub(1)).rev() {
            let left = &self.left[at];
            let children = left.index + 1..left.node().count() + 1;
            pouches.push(Pouch { page: 1 + at, children, is_left: true, is_right: false });
            if let Some(right) = self.right.get(at) {
                let page = 1 + levels + at;
                pouches.push(Pouch { page, children: 0..right.index, is_left: false, is_right: true });
            }
        }
        let children = self.fork.index + 1..self.fork_right;
        pouches.push(Pouch { page: 0, children, is_left: true, is_right: true });
        let pages = std::iter::once(self.fork).chain(self.left).chain(self.right);
        (pages.map(|stop| stop.page).collect(), pouches)
    }
}

fn changed_left(stop: &Stop<'_>, border: Option<&[u8]>, right: PageId) -> Result<Vec<u8>, Nonsense> {
    let node = stop.node();
    let plan = Plan { upper: border, right, ..Plan::of(node)? };
    if node.level() == 0 {
        return build_leaf_of(node, &plan, [0..stop.index, 0..0]);
    }
    let mut builder = Builder::new(node.page_bytes(), &plan)?;
    builder.push_children(node, 0..stop.index)?;
    Ok(builder.finish())
}

fn changed_right(stop: &Stop<'_>, border: &[u8]) -> Result<Vec<u8>, Nonsense> {
    let node = stop.node();
    let leftmost = if node.level() == 0 { PageId::NONE } else { node.child(stop.index) };
    let plan = Plan { lower: border, leftmost, ..Plan::of(node)? };
    if node.level() == 0 {
        return build_leaf_of(node, &plan, [stop.index..node.count(), 0..0]);
    }
    let mut builder = Builder::new(node.page_bytes(), &plan)?;
    builder.push_children(node, stop.index..node.count())?;
    Ok(builder.finish())
}

const BEYOND: Nonsense = Nonsense("its fences lie beyond the page");

impl<'m> Cut<'m> {
    /// RD1.
    fn prepare(
        &mut self,
        (pages, pouches): (Vec<ExclusivePage<'m>>, Vec<Pouch>),
        changes: Vec<Vec<u8>>,
    ) -> Attempt<()> {
        self.changes = pages.into_iter().zip(changes).collect();
        for (page, _) in &mut self.changes {
            page.make_dirty()?;
        }
        let (mut left, mut right) = (None, None);
        for pouch in pouches {
            let (before, after) = (left.filter(|_| pouch.is_left), right.filter(|_| pouch.is_right));
            if pouch.children.is_empty() && before.is_none() && after.is_none() {
                continue;
            }
            let is_root = pouch.is_left && pouch.is_right;
            let mut new = self.m.allocate()?;
            let id = new.id();
            let page = &self.changes[pouch.page].0;
            let bytes = fill_pouch(Node::new(page.bytes()), &pouch, id, (before, after), is_root);
            match bytes {
                Ok(bytes) => new.bytes_mut().copy_from_slice(&bytes),
                Err(nonsense) => {
                    free(self.m, new);
                    return Err(nonsense.on(page.id()));
                }
            }
            self.pouches.push(new);
            *(if pouch.is_left { &mut left } else { &mut right }) = Some(id);
        }
        Ok(())
    }

    /// The tree of the pages that go, for its caller to free once this is carried out.
    pub fn detached(&self) -> Option<BTree> {
        self.pouches.last().map(|root| BTree::at(root.id(), self.table))
    }

    /// Is there nothing to delete?
    pub fn is_nothing(&self) -> bool {
        self.changes.is_empty()
    }

    /// Deletes the range; `lsn` raises `changed_at` of the leaves where it began and ended.
    pub fn carry_out(mut self, lsn: u64) {
        if !self.pouches.is_empty() {
            self.m.note_detachment(); // RD5
        }
        for (page, bytes) in &mut self.changes {
            let mut node = NodeMut::new(bytes);
            if node.node().level() == 0 {
                node.raise_changed_at(lsn);
            }
            page.bytes_mut().copy_from_slice(bytes);
        }
        self.pouches.clear();
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        while let Some(pouch) = self.pouches.pop() {
            free(self.m, pouch);
        }
    }
}

/// RD3.
fn fill_pouch(
    node: Node<&[u8]>,
    pouch: &Pouch,
    id: PageId,
    (before, after): (Option<PageId>, Option<PageId>),
    is_root: bool,
) -> Result<Vec<u8>, Nonsense> {
    let std::ops::Range { start, end } = pouch.children;
    let (leftmost, slots) = match before {
        Some(before) => (before, start - 1..end - 1),
        None if start < end => (node.child(start), start..end - 1),
        None => (after.unwrap_or_default(), 0..0),
    };
    let flags = if is_root { FLAG_DETACHED } else { 0 };
    let plan = Plan { id, flags, leftmost, right: PageId::NONE, ..Plan::of(node)? };
    let mut builder = Builder::new(node.page_bytes(), &plan)?;
    builder.push_children(node, slots)?;
    if let Some(after) = after.filter(|&after| after != leftmost) {
        let mut key = Vec::new();
        node.key_to(node.slot(end - 1), &mut key);
        builder.push_child(&key, after)?;
    }
    Ok(builder.finish())
}

#[cfg(all(test, not(loom)))]
mod tests;
