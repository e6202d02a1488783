//! How many records there are: exactly, from the counts of leaves, or about, from a few pages.
//!
//! # Invariants
//!
//! - **CN1** Each leaf's count is of one moment, and the keys counted so far end where the next leaf to be counted begins: what is
//!   there throughout is counted once, whatever splits and merges come in between.
//! - **CN2** Records are not read. Only on the leaves where the range begins and ends are keys compared.
//! - **CN3** An estimate reads at most [`SAMPLES`] pages of each level, and two more where the range begins and ends. It is exact where
//!   that is all of them. What it reads must hold at one moment; a tree so busy that this fails [`RESTARTS_MAX`] times is counted, leaf by
//!   leaf. Such a tree is small, or the pages looked at would not change each time.

use super::BTree;
use super::descent::Goal;
use super::layout::LEVEL_MAX;
use super::node::Node;
use crate::fault::Attempt;
use aquifer_buffer::{Optimistic, PageId, PageWords, Pager, Result, Retry};
use std::ops::Bound;

/// Pages looked at on each level.
const SAMPLES: usize = 8;
/// An estimate that finds the tree changed underneath so often counts instead.
const RESTARTS_MAX: usize = 100;
/// So does one whose pages leave memory so often while it loads others.
const LOADS_MAX: usize = 1000;
/// Leaves that a count loads together.
const AHEAD: usize = 32;

type Keys<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// Records of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// All of them.
    pub records: u64,
    /// Those whose keys are as long as any may be.
    pub longest: u64,
}

impl Counted {
    fn add(&mut self, other: Counted) {
        self.records += other.records;
        self.longest += other.longest;
    }
}

impl BTree {
    /// Records whose keys lie in the range, counted leaf by leaf: O(leaves), and no record is read. Counts what is committed
    /// leaf by leaf, as a cursor reads it.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn count(&self, pager: &Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64> {
        Ok(self.count_longest(pager, from, to)?.records)
    }

    /// As [`count`](Self::count), and says how many of the records have keys as long as any may be ([`limits`](Self::limits)).
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    pub fn count_longest(&self, pager: &Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Counted> {
        let (mut total, mut fence) = (Counted::default(), Vec::new());
        let mut next = match from {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) | Bound::Excluded(key) => key.to_vec(),
        };
        loop {
            let counted = self.count_children(pager, &mut next, &mut fence, (from, to), &mut total);
            match counted {
                Ok(true) => return Ok(total),
                Ok(false) => {}
                Err(retry) => {
                    if matches!(retry, Retry::Missing(_)) {
                        self.load_ahead(pager, Goal::Key(&next), AHEAD)?;
                    }
                    pager.resolve(retry)?;
                }
            }
        }
    }

    /// Counts the leaves below the page of level 1 that covers `next`, from there on; what is counted stays counted, and
    /// `next` moves on. Whether that was the last.
    fn count_children(
        &self,
        pager: &Pager,
        next: &mut Vec<u8>,
        fence: &mut Vec<u8>,
        keys: Keys<'_>,
        total: &mut Counted,
    ) -> Attempt<bool> {
        let root = pager.read(self.root())?;
        let is_leaf = Node::new(root.words()).level() == 0;
        root.validate()?;
        if is_leaf {
            let leaf = self.leaf(pager, next)?;
            let count = count_on(leaf, next, keys);
            leaf.validate()?;
            total.add(count);
            return Ok(true);
        }
        let parent = self.page_at(pager, 1, Goal::Key(next))?;
        let node = Node::new(parent.words());
        let (first, last) = (node.child_index(next), node.count());
        for index in first..=last {
            let is_bounded = match index < last {
                true => {
                    node.key_to(node.slot(index), fence);
                    true
                }
                false => node.upper_to(fence),
            };
            let leaf = pager.read(node.child(index));
            parent.validate()?; // L1
            let leaf = leaf?;
            self.check_page(leaf, 0)?;
            let count = count_on(leaf, next, keys);
            leaf.validate()?;
            parent.validate()?;
            if is_bounded && fence <= next {
                return Err(Retry::Damaged(parent.id(), "its separators are in the wrong order"));
            }
            total.add(count);
            std::mem::swap(next, fence); // CN1
            let ended = match keys.1 {
                Bound::Unbounded => false,
                Bound::Included(to) => to < next.as_slice(),
                Bound::Excluded(to) => to <= next.as_slice(),
            };
            if !is_bounded || ended {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Records whose keys lie in the range, estimated from up to eight pages of each level (CN3). O(depth) page reads.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn estimate(&self, pager: &Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64> {
        let (mut restarts, mut loads) = (0, 0);
        while restarts < RESTARTS_MAX && loads < LOADS_MAX {
            match self.try_estimate(pager, (from, to)) {
                Ok(records) => return Ok(records.round() as u64),
                Err(retry) => {
                    match retry {
                        Retry::Changed => restarts += 1,
                        _ => loads += 1,
                    }
                    pager.resolve(retry)?;
                }
            }
        }
        self.count(pager, from, to)
    }

    /// All records, estimated. See [`estimate`](Self::estimate).
    ///
    /// # Errors
    ///
    /// As [`estimate`](Self::estimate).
    pub fn len_estimate(&self, pager: &Pager) -> Result<u64> {
        self.estimate(pager, Bound::Unbounded, Bound::Unbounded)
    }

    fn try_estimate(&self, pager: &Pager, keys: Keys<'_>) -> Attempt<f64> {
        let root = self.page_at_root(pager)?;
        let mut level = Node::new(root.words()).level().min(LEVEL_MAX);
        // Pages on which the range begins or ends; pages that lie wholly within it, of which `inside` are samples.
        let (mut edges, mut inside, mut inside_pages) = (vec![root], Vec::<Optimistic<'_>>::new(), 0.0);
        loop {
            let mut entries = 0;
            let mut below = Vec::new();
            for page in &inside {
                let node = Node::new(page.words());
                entries += node.count() + usize::from(level > 0);
                below.extend((0..=node.count()).filter(|_| level > 0).map(|at| (*page, node.child(at))));
                page.validate()?;
            }
            let mut next =
                if inside.is_empty() { 0.0 } else { inside_pages * entries as f64 / inside.len() as f64 };
            let mut next_edges = Vec::new();
            for &page in &edges {
                let node = Node::new(page.words());
                let (first, last) = positions(node, level, keys);
                if level == 0 {
                    next += last.saturating_sub(first) as f64;
                } else {
                    // The first and the last child may lie partly outside.
                    let outer = [
                        (keys.0 != Bound::Unbounded).then_some(first),
                        (keys.1 != Bound::Unbounded).then_some(last),
                    ];
                    let within = (first..=last).filter(|&at| !outer.contains(&Some(at)));
                    next += within.clone().count() as f64;
                    below.extend(within.map(|at| (page, node.child(at))));
                    let mut partly: Vec<usize> = outer.into_iter().flatten().collect();
                    partly.dedup();
                    next_edges.extend(partly.into_iter().map(|at| (page, node.child(at))));
                }
                page.validate()?;
            }
            if level == 0 {
                return Ok(next);
            }
            level -= 1;
            let samples = below.len().min(SAMPLES);
            let chosen = (0..samples).map(|sample| below[(2 * sample + 1) * below.len() / (2 * samples)]);
            inside =
                chosen.map(|(parent, id)| self.child_of(pager, parent, id, level)).collect::<Attempt<_>>()?;
            edges = next_edges
                .into_iter()
                .map(|(parent, id)| self.child_of(pager, parent, id, level))
                .collect::<Attempt<_>>()?;
            inside_pages = next;
        }
    }

    pub(crate) fn page_at_root<'p>(&self, pager: &'p Pager) -> Attempt<Optimistic<'p>> {
        let root = pager.read(self.root())?;
        self.check_page(root, Node::new(root.words()).level().min(LEVEL_MAX))?;
        Ok(root)
    }

    /// L1, for a child that is not the next on a descent.
    fn child_of<'p>(
        &self,
        pager: &'p Pager,
        parent: Optimistic<'_>,
        id: PageId,
        level: u8,
    ) -> Attempt<Optimistic<'p>> {
        let child = pager.read(id);
        parent.validate()?;
        let child = child?;
        self.check_page(child, level)?;
        Ok(child)
    }
}

/// Records of a leaf at or above `next` and within the range.
fn count_on(leaf: Optimistic<'_>, next: &[u8], (from, to): Keys<'_>) -> Counted {
    let node = Node::new(leaf.words());
    let first = match from {
        Bound::Excluded(from) if from == next => node.position(next, true),
        _ => node.position(next, false),
    };
    let last = match to {
        Bound::Unbounded => node.count(),
        Bound::Included(to) => node.position(to, true),
        Bound::Excluded(to) => node.position(to, false),
    };
    let slots = first..last.max(first);
    Counted { records: slots.len() as u64, longest: node.longest(slots) as u64 }
}

/// The first and the last child of a page that has keys of the range; of a leaf, the first record and the one behind the last.
fn positions(node: Node<PageWords<'_>>, level: u8, (from, to): Keys<'_>) -> (usize, usize) {
    let count = node.count();
    let first = match from {
        Bound::Unbounded => 0,
        Bound::Included(key) => node.position(key, level > 0),
        Bound::Excluded(key) => node.position(key, true),
    };
    let last = match to {
        Bound::Unbounded => count,
        Bound::Included(key) => node.position(key, true),
        Bound::Excluded(key) => node.position(key, false),
    };
    (first, last)
}

#[cfg(all(test, not(loom)))]
mod tests;
