//! Records in order, from either end.
//!
//! ```text
//!      low bound                                             high bound
//!          |  returned  |                         |  returned  |
//!          '--- front --> leaf copy     leaf copy <--- back ---'
//! ```
//!
//! Each end reads a private copy of one leaf. What the other end has returned last is the bound of
//! this one, so both meet without returning a key twice.
//!
//! # Invariants
//!
//! - **CR1** No latch is held between calls, nor while a page is loaded.
//! - **CR2** The front's next leaf covers the upper fence of the one before; the back's next leaf covers what
//!   lies just below the lower fence. Keys are therefore returned in order, each at most once,
//!   and a key that is there throughout is returned, whatever splits come in between.
//! - **CR3** A right neighbour is believed only if its owner, own id, level and lower fence are what they must
//!   be, and nothing was detached since the cursor last descended; otherwise it descends again by key. A leaf of this
//!   tree whose lower fence is the one sought covers it, also if its id was another page's before.
//! - **CR4** Fences move strictly, so that a cursor ends even on a damaged tree.

use super::BTree;
use super::ahead::AHEAD_MAX;
use super::descent::Goal;
use super::leaf_copy::LeafCopy;
use super::node::Node;
use crate::LeafValue;
use aquifer_buffer::{PageId, Pager, Result};
use std::cmp::Ordering;
use std::ops::Bound;

/// A record: key and value, or what lies in the leaf in its stead.
pub type Record<'c> = (&'c [u8], &'c [u8]);

/// Reads records in order, from either end. Holds no latch between calls; reads what is committed
/// page by page. After the first `None` there is nothing more, from either end.
#[derive(Debug)]
pub struct Cursor<'p> {
    tree: BTree,
    pager: &'p Pager,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    front: Option<Box<End>>,
    back: Option<Box<End>>,
    done: bool,
}

/// One end of a cursor.
#[derive(Debug, Default)]
struct End {
    leaf: LeafCopy,
    /// Front: the next record. Back: the record after the next.
    index: usize,
    /// Where the other end's bound lies in the leaf. Front: stops before it. Back: stops at it.
    limit: usize,
    /// The other end has moved since `limit` was found.
    stale: bool,
    /// Has a record been returned?
    returned: bool,
    /// Leaves entered one after the other.
    leaves: usize,
    /// [`Pager::detachments`] before the leaf was found by its key (CR3).
    detachments: u64,
    fence: Vec<u8>,
}

impl<'p> Cursor<'p> {
    pub(crate) fn new(tree: BTree, pager: &'p Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Self {
        let (low, high) = (from.map(<[u8]>::to_vec), to.map(<[u8]>::to_vec));
        Self { tree, pager, low, high, front: None, back: None, done: false }
    }

    /// The next record from the front; valid until the next call.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    // Not an iterator's: records are lent.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        match &mut self.front {
            Some(front) if self.back.is_none() && front.index < front.limit => {
                front.leaf.read(front.index)?;
                front.index += 1;
                front.returned = true;
            }
            _ => {
                if !self.step_front()? {
                    return Ok(None);
                }
            }
        }
        Ok(self.front.as_ref().map(|front| front.leaf.record()))
    }

    /// As [`next`](Self::next), and says whether the value is there or its descriptor.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline]
    pub fn next_value(&mut self) -> Result<Option<(&[u8], LeafValue<'_>)>> {
        let found = self.next()?.is_some();
        Ok(self.front.as_ref().filter(|_| found).map(|front| front.leaf.value_record()))
    }

    /// As [`next_back`](Self::next_back), and says whether the value is there or its descriptor.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline]
    pub fn next_value_back(&mut self) -> Result<Option<(&[u8], LeafValue<'_>)>> {
        let found = self.next_back()?.is_some();
        Ok(self.back.as_ref().filter(|_| found).map(|back| back.leaf.value_record()))
    }

    /// No change after this LSN was on the page of the record that [`next`](Self::next) has returned last.
    pub fn changed_at(&self) -> u64 {
        self.front.as_ref().map_or(u64::MAX, |front| front.leaf.node().changed_at())
    }

    /// As [`changed_at`](Self::changed_at), of what [`next_back`](Self::next_back) has returned last.
    pub fn changed_at_back(&self) -> u64 {
        self.back.as_ref().map_or(u64::MAX, |back| back.leaf.node().changed_at())
    }

    /// The record that [`next`](Self::next) has returned last.
    #[inline]
    pub fn last(&self) -> Option<Record<'_>> {
        self.front.as_ref().filter(|front| front.returned).map(|front| front.leaf.record())
    }

    /// The record that [`next_back`](Self::next_back) has returned last.
    #[inline]
    pub fn last_back(&self) -> Option<Record<'_>> {
        self.back.as_ref().filter(|back| back.returned).map(|back| back.leaf.record())
    }

    /// The next record from the back; valid until the next call.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline]
    pub fn next_back(&mut self) -> Result<Option<Record<'_>>> {
        match &mut self.back {
            Some(back) if self.front.is_none() && back.index > back.limit => {
                back.index -= 1;
                back.leaf.read(back.index)?;
                back.returned = true;
            }
            _ => {
                if !self.step_back()? {
                    return Ok(None);
                }
            }
        }
        Ok(self.back.as_ref().map(|back| back.leaf.record()))
    }

    /// The general way: moves on to other leaves and heeds the other end.
    fn step_front(&mut self) -> Result<bool> {
        while !self.done {
            let high = remaining(&self.back, &self.high);
            let Some(front) = &mut self.front else {
                self.front = Some(self.enter_first()?);
                continue;
            };
            if front.stale {
                front.limit = front.limit_below(high);
                front.stale = false;
            }
            if front.index < front.limit {
                front.leaf.read(front.index)?;
                front.index += 1;
                front.returned = true;
                if let Some(back) = &mut self.back {
                    back.stale = true;
                }
                return Ok(true);
            }
            self.done = !front.enter_next(self.tree, self.pager, high)?;
        }
        Ok(false)
    }

    fn step_back(&mut self) -> Result<bool> {
        while !self.done {
            let low = remaining(&self.front, &self.low);
            let Some(back) = &mut self.back else {
                self.back = Some(self.enter_last()?);
                continue;
            };
            if back.stale {
                back.limit = back.limit_above(low);
                back.stale = false;
            }
            if back.index > back.limit {
                back.index -= 1;
                back.leaf.read(back.index)?;
                back.returned = true;
                if let Some(front) = &mut self.front {
                    front.stale = true;
                }
                return Ok(true);
            }
            self.done = !back.enter_previous(self.tree, self.pager, low)?;
        }
        Ok(false)
    }

    fn enter_first(&self) -> Result<Box<End>> {
        let mut front = Box::new(End { stale: true, ..End::default() });
        let (key, inclusive) = match &self.low {
            Bound::Unbounded => (&[][..], false),
            Bound::Included(key) => (key.as_slice(), false),
            Bound::Excluded(key) => (key.as_slice(), true),
        };
        front.enter(self.tree, self.pager, Goal::Key(key), 0)?;
        front.index = front.leaf.node().position(key, inclusive);
        Ok(front)
    }

    fn enter_last(&self) -> Result<Box<End>> {
        let mut back = Box::new(End { stale: true, ..End::default() });
        match &self.high {
            Bound::Unbounded => {
                back.enter(self.tree, self.pager, Goal::Last, 0)?;
                back.index = back.leaf.count();
            }
            Bound::Included(key) | Bound::Excluded(key) => {
                back.enter(self.tree, self.pager, Goal::Key(key), 0)?;
                let inclusive = matches!(self.high, Bound::Included(_));
                back.index = back.leaf.node().position(key, inclusive);
            }
        }
        Ok(back)
    }
}

/// What bounds an end: the key that the other one has returned last, else the bound asked for.
fn remaining<'c>(other: &'c Option<Box<End>>, bound: &'c Bound<Vec<u8>>) -> Bound<&'c [u8]> {
    match other {
        Some(other) if other.returned => Bound::Excluded(other.leaf.key()),
        _ => bound.as_ref().map(Vec::as_slice),
    }
}

impl End {
    fn limit_below(&self, high: Bound<&[u8]>) -> usize {
        match high {
            Bound::Unbounded => self.leaf.count(),
            Bound::Included(key) => self.leaf.node().position(key, true),
            Bound::Excluded(key) => self.leaf.node().position(key, false),
        }
    }

    fn limit_above(&self, low: Bound<&[u8]>) -> usize {
        match low {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.leaf.node().position(key, false),
            Bound::Excluded(key) => self.leaf.node().position(key, true),
        }
    }

    /// Enters the leaf that covers this one's upper fence. `false` if nothing below `high` lies there.
    fn enter_next(&mut self, tree: BTree, pager: &Pager, high: Bound<&[u8]>) -> Result<bool> {
        let node = self.leaf.node();
        if self.limit < self.leaf.count() || node.is_unbounded() {
            return Ok(false);
        }
        let mut fence = std::mem::take(&mut self.fence);
        node.upper_to(&mut fence);
        let more = match high {
            Bound::Unbounded => true,
            Bound::Included(high) => high >= fence.as_slice(),
            Bound::Excluded(high) => high > fence.as_slice(),
        };
        if more {
            let right = node.right();
            if !self.follow(tree, pager, right, &fence)? {
                self.enter(tree, pager, Goal::Key(&fence), self.ahead())?;
            }
            self.index = self.leaf.node().position(&fence, false);
            self.limit = self.limit_below(high);
        }
        self.fence = fence;
        Ok(more)
    }

    /// Enters the leaf just below this one's lower fence. `false` if nothing above `low` lies there.
    fn enter_previous(&mut self, tree: BTree, pager: &Pager, low: Bound<&[u8]>) -> Result<bool> {
        let mut fence = std::mem::take(&mut self.fence);
        self.leaf.node().lower_to(&mut fence);
        let more = self.limit == 0
            && !fence.is_empty()
            && match low {
                Bound::Unbounded => true,
                Bound::Included(low) | Bound::Excluded(low) => low < fence.as_slice(),
            };
        if more {
            self.enter(tree, pager, Goal::Before(&fence), self.ahead())?;
            self.index = self.leaf.node().position(&fence, false);
            self.limit = self.limit_above(low);
        }
        self.fence = fence;
        Ok(more)
    }

    fn enter(&mut self, tree: BTree, pager: &Pager, goal: Goal<'_>, ahead: usize) -> Result<()> {
        self.detachments = pager.detachments();
        let id = tree.copy_leaf(pager, goal, ahead, self.leaf.page_mut())?;
        self.leaves += 1;
        self.leaf.enter(id, goal)
    }

    /// Enters the right neighbour if it is in memory and is what it must be (CR3).
    fn follow(&mut self, tree: BTree, pager: &Pager, right: PageId, fence: &[u8]) -> Result<bool> {
        if right == PageId::NONE {
            return Ok(false);
        }
        let Ok(page) = pager.shared(right) else { return Ok(false) };
        let node = Node::new(page.bytes());
        let believed = pager.detachments() == self.detachments
            && tree.is_own(node.summary(), 0, node.owner())
            && node.own_id() == right
            && node.compare_lower(fence) == Some(Ordering::Equal);
        if !believed {
            return Ok(false);
        }
        let copy = self.leaf.page_mut();
        copy.clear();
        copy.extend_from_slice(page.bytes());
        drop(page);
        self.leaves += 1;
        self.leaf.enter(right, Goal::Key(fence))?;
        Ok(true)
    }

    /// How many leaves to load together, if the next one is missing: more the longer the scan is.
    fn ahead(&self) -> usize {
        if self.leaves < 2 { 0 } else { (2 << self.leaves.min(8)).min(AHEAD_MAX) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
