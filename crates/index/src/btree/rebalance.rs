//! Giving space back: pages that have become lean are merged with their neighbours, or share with them.
//!
//! ```text
//!  remove says that the leaf is lean
//!     |  (the commit is done: this is a favour, in passages of the gate of its own)
//!     v
//!  parent, then up to three neighbouring children from left to right: latched
//!     two fit on one | three fit on two | two share evenly | leave it
//!     |
//!  parent lean? --> the same one level up ... --> root with one child: it takes that child's place
//! ```
//!
//! # How a reader gets by
//!
//! Descents are *parent-validated*: a page is believed for as long as its version stands, because its parent was valid after
//! that version was known (L1 in [`descent`](super::descent)). They never move to the right. Only a cursor does, from a
//! leaf that it has copied to its right neighbour, *coupled*: it latches that page and believes it if owner, own id, level and
//! lower fence are what they must be (CR3); else it descends.
//!
//! # Invariants
//!
//! - **RB1** The parent is latched exclusively from before the first page of a merge changes to after the last; so is every
//!   page that changes or goes. Latches are taken from the top down and from left to right.
//! - **RB2** All that can fail has failed before the first change: pages are built aside, all of them are dirty in this epoch, and the
//!   parent has room. To free a page that is dirty in this epoch cannot fail (nothing is to be kept of it).
//! - **RB3** A page that goes loses its name and its frame under its latch, and the frame's version rises. Whoever read it without a
//!   latch finds that out; whoever comes later finds no such page, and that its parent has changed. The id may be another
//!   page's by then: whoever got it from the parent has the parent's version to tell (L1); whoever got it from a left
//!   neighbour checks what the page says of itself (CR3).
//! - **RB4** The leftmost of the pages keeps its id, so the right neighbour of the page before it stays what it was, and no page
//!   outside the window changes.
//! - **RB5** Nothing is loaded inside the gate (G1): absent neighbours are left alone. A lean page is
//!   worth loading one for: outside, then again.
//! - **RB6** The root keeps its page id and gets lower by one level at a time: whoever looks for a level that is gone begins again.

use super::BTree;
use super::descent::Goal;
use super::edit::NodeMut;
use super::grow::make_gap;
use super::layout::*;
use super::node::Node;
use super::regroup::{Regrouped, regroup};
use crate::fault::Attempt;
use crate::words::Words;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};

/// Attempts at one level before it is left to whoever removes the next record.
const ATTEMPTS: usize = 4;
/// Neighbours looked at together.
const WINDOW: usize = 3;

/// What came of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing more is to be done.
    Done,
    /// The parent may be lean.
    Parent,
}

/// In percent of the page: pages with less in use are lean, and share with a neighbour if nothing else serves; a
/// neighbour that is not in memory is loaded for them (RB5).
const LEAN_PERCENT: usize = 40;
/// With less, a page is merged if three fit on two (or two on one).
const LOOSE_PERCENT: usize = 70;
/// A loose page that is not lean is looked at only when its count is a multiple of this: most looks find nothing to do.
const LOOK_EVERY: usize = 4;
/// A merged page has at most this much in use, so that the next insertions do not split it again.
const MERGED_PERCENT: usize = 95;

/// Is less than so many percent of the page in use?
fn is_below<W: Words>(node: Node<W>, percent: usize) -> bool {
    node.used_bytes() * 100 < node.page_bytes() * percent
}

/// Is it time to look whether the page should be merged?
pub(crate) fn is_worth_a_look(node: Node<&[u8]>) -> bool {
    is_below(node, LEAN_PERCENT) || (is_below(node, LOOSE_PERCENT) && node.count().is_multiple_of(LOOK_EVERY))
}

impl BTree {
    /// Merges the leaf that covers `key` with its neighbours if it is loose, then its parents likewise; the root goes down as
    /// long as it has a single child. Returns how many pages went. A favour: what is in the way (a page that cannot be loaded,
    /// others at the same place, a checkpoint that needs copies) ends it, and the next call goes on.
    ///
    /// To be called outside the gate and without a latch, after a [`Place::remove`](super::Place::remove) that says so.
    /// O(depth), and at most a few pages loaded.
    pub fn rebalance(&self, pager: &Pager, key: &[u8]) -> usize {
        let mut freed = 0;
        for level in 0..=LEVEL_MAX {
            if self.rebalance_at(pager, key, level, &mut freed) == Step::Done {
                break;
            }
        }
        freed
    }

    /// As [`rebalance`](Self::rebalance), at every level on the way to `key`, loose leaf or not: after a [`Cut`](super::Cut), which
    /// leaves loose pages on every level. Once from the top, so that what has become an only child gets neighbours, and once
    /// from the bottom.
    pub fn rebalance_path(&self, pager: &Pager, key: &[u8]) -> usize {
        let Some(top) = (0..ATTEMPTS).find_map(|_| match self.page_at_root(pager) {
            Ok(root) => Some(Node::new(root.words()).level().min(LEVEL_MAX)),
            Err(retry) => pager.resolve(retry).err().map(|_| 0),
        }) else {
            return 0;
        };
        let mut freed = 0;
        for level in (0..=top).rev().chain(0..=top) {
            self.rebalance_at(pager, key, level, &mut freed);
        }
        freed
    }

    fn rebalance_at(&self, pager: &Pager, key: &[u8], level: u8, freed: &mut usize) -> Step {
        for _ in 0..ATTEMPTS {
            let attempt = self.rebalance_level(&pager.enter(), pager, key, level, freed);
            let resolved = match attempt {
                Ok(step) => return step,
                Err(retry @ (Retry::Changed | Retry::Missing(_))) => pager.resolve(retry),
                Err(_) => return Step::Done,
            };
            if resolved.is_err() {
                return Step::Done; // who needs that page will say so
            }
        }
        Step::Done
    }

    fn rebalance_level(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        key: &[u8],
        level: u8,
        freed: &mut usize,
    ) -> Attempt<Step> {
        let root = pager.read(self.root())?;
        let root_level = Node::new(root.words()).level();
        root.validate()?;
        if root_level <= level {
            while self.lower_root(m, pager)? {
                *freed += 1;
            }
            return Ok(Step::Done);
        }
        let mut parent = m.upgrade(self.page_at(pager, level + 1, Goal::Key(key))?)?;
        let above = Node::new(parent.bytes());
        if !above.is_sane() {
            return Err(Retry::Damaged(parent.id(), "its header's sizes do not fit each other"));
        }
        let (index, count) = (above.child_index(key), above.count());
        if count == 0 {
            return Ok(Step::Parent); // an only child has no neighbours until its parent gets some
        }
        let Some(mut window) = self.window(m, pager, &parent, index)? else { return Ok(Step::Done) };
        if let Some(plan) = window.plan(&parent)? {
            let fewer = plan.pages.len() - plan.regrouped.pages.len();
            window.carry_out(m, &mut parent, plan)?;
            *freed += fewer;
        } else if let Some(absent) = window.absent.filter(|_| window.is_below(LEAN_PERCENT)) {
            return Err(Retry::Missing(absent)); // RB5
        }
        let above = Node::new(parent.bytes());
        Ok(if is_below(above, LOOSE_PERCENT) { Step::Parent } else { Step::Done })
    }

    /// Latches the child `index` of a latched page, if it is loose, and its neighbours as far as they are in memory.
    fn window<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        parent: &ExclusivePage<'_>,
        index: usize,
    ) -> Attempt<Option<Window<'m>>> {
        let above = Node::new(parent.bytes());
        let level = above.level() - 1;
        let own = pager.read(above.child(index))?;
        let loose = is_below(Node::new(own.words()), LOOSE_PERCENT);
        own.validate()?;
        if !loose {
            return Ok(None);
        }
        let first = index.saturating_sub(1).min((above.count() + 1).saturating_sub(WINDOW));
        let mut window = Window { first, own: 0, pages: Vec::with_capacity(WINDOW), absent: None };
        for at in (first..=above.count()).take(WINDOW) {
            let id = above.child(at);
            if id == parent.id() || window.pages.iter().any(|page| page.id() == id) {
                return Err(Retry::Damaged(id, "it is a page's child twice, or below itself"));
            }
            match self.latch(m, id, Some(level)) {
                Ok(page) => {
                    if at == index {
                        window.own = window.pages.len();
                    }
                    window.pages.push(page);
                }
                Err(Retry::Missing(_)) if at != index => {
                    window.absent.get_or_insert(id);
                    if at < index {
                        // What lies to the left of an absent page is no neighbour.
                        window.pages.clear();
                        window.first = at + 1;
                    } else {
                        break;
                    }
                }
                Err(retry) => return Err(retry),
            }
        }
        Ok(Some(window).filter(|window| window.is_below(LOOSE_PERCENT)))
    }

    /// Makes the root what its only child is, and frees that (RB6). Whether it had a single child.
    fn lower_root(&self, m: &Mutation<'_>, pager: &Pager) -> Attempt<bool> {
        let mut root = m.upgrade(pager.read(self.root())?)?;
        let node = Node::new(root.bytes());
        if node.level() == 0 || node.count() > 0 || node.summary().flags() & FLAG_DISMANTLED != 0 {
            return Ok(false);
        }
        let child = node.leftmost();
        if child == root.id() {
            return Err(Retry::Damaged(child, "it is below itself"));
        }
        let mut page = self.latch(m, child, Some(node.level() - 1))?;
        let below = Node::new(page.bytes());
        if below.lower() != Some(&[]) || !below.is_unbounded() || below.right() != PageId::NONE {
            return Err(Retry::Damaged(child, "its fences are not those of an only child"));
        }
        root.make_dirty()?;
        page.make_dirty()?;
        let flags = Node::new(root.bytes()).summary().flags() & ROOT_FLAGS;
        let (id, bytes) = (root.id(), root.bytes_mut());
        bytes.copy_from_slice(page.bytes());
        let mut node = NodeMut::new(bytes);
        node.set_own_id(id);
        node.add_flags(flags);
        free(m, page);
        Ok(true)
    }
}

/// Neighbouring children of one page, latched.
struct Window<'m> {
    /// Which child the first is.
    first: usize,
    /// Which of the pages is the lean one.
    own: usize,
    pages: Vec<ExclusivePage<'m>>,
    /// A neighbour that is not in memory.
    absent: Option<PageId>,
}

/// What is to be done: the pages of the window, and what they become.
struct Plan {
    pages: std::ops::Range<usize>,
    regrouped: Regrouped,
    /// Lengths of the entries that the parent loses.
    entry_lens: Vec<usize>,
}

impl Window<'_> {
    fn nodes(&self) -> Vec<Node<&[u8]>> {
        self.pages.iter().map(|page| Node::new(page.bytes())).collect()
    }

    fn is_below(&self, percent: usize) -> bool {
        is_below(Node::new(self.pages[self.own].bytes()), percent)
    }

    /// The best that can be done for the lean page: two on one, three on two, or two that share.
    fn plan(&self, parent: &ExclusivePage<'_>) -> Attempt<Option<Plan>> {
        let nodes = self.nodes();
        let page_bytes = parent.bytes().len();
        let merged_max = page_bytes * MERGED_PERCENT / 100;
        let used = |range: &std::ops::Range<usize>| -> usize {
            nodes[range.clone()].iter().map(|node| node.used_bytes() - SLOTS).sum()
        };
        let mut pairs = Vec::with_capacity(2);
        pairs.extend(self.own.checked_sub(1).map(|left| left..self.own + 1));
        pairs.extend((self.own + 1 < nodes.len()).then(|| self.own..self.own + 2));
        pairs.sort_by_key(&used);
        let all = 0..nodes.len();
        let three = (nodes.len() == WINDOW).then_some(all);
        // A page that shares should not be lean again soon.
        let sharing =
            pairs.last().cloned().filter(|pair| used(pair) > page_bytes && self.is_below(LEAN_PERCENT));
        let tries = pairs.into_iter().map(|pair| (pair, 1, merged_max));
        let tries = tries.chain(three.map(|three| (three, 2, merged_max)));
        let tries = tries.chain(sharing.map(|pair| (pair, 2, page_bytes)));
        for (range, into, used_max) in tries {
            if used(&range) > into * (used_max - SLOTS) {
                continue;
            }
            let regrouped = regroup(&nodes[range.clone()], into, used_max);
            let regrouped = regrouped.map_err(|nonsense| nonsense.on(self.pages[range.start].id()))?;
            let Some(regrouped) = regrouped else { continue };
            if let Some(entry_lens) = self.room_in(parent, &range, &regrouped)? {
                return Ok(Some(Plan { pages: range, regrouped, entry_lens }));
            }
        }
        Ok(None)
    }

    /// Has the parent room for the new separator? Then the lengths of the entries that go.
    fn room_in(
        &self,
        parent: &ExclusivePage<'_>,
        range: &std::ops::Range<usize>,
        regrouped: &Regrouped,
    ) -> Attempt<Option<Vec<usize>>> {
        let above = Node::new(parent.bytes());
        if separator_bytes(above, regrouped) > above.free_bytes() {
            return Ok(None);
        }
        let slots = self.first + range.start..self.first + range.end - 1;
        let beyond = Retry::Damaged(parent.id(), "an entry lies beyond the page");
        slots.map(|slot| above.entry_len(above.slot(slot)).ok_or(beyond)).collect::<Attempt<_>>().map(Some)
    }

    /// RB2.
    fn carry_out(&mut self, m: &Mutation<'_>, parent: &mut ExclusivePage<'_>, plan: Plan) -> Attempt<()> {
        parent.make_dirty()?;
        for page in &mut self.pages[plan.pages.clone()] {
            page.make_dirty()?;
        }
        let bytes = separator_bytes(Node::new(parent.bytes()), &plan.regrouped);
        make_gap(parent, bytes)?;
        let slot = self.first + plan.pages.start;
        let second = self.pages[plan.pages.start + 1].id();
        let mut above = NodeMut::new(parent.bytes_mut());
        for (at, &entry_len) in plan.entry_lens.iter().enumerate().rev() {
            above.remove(slot + at, entry_len);
        }
        if let Some(separator) = plan.regrouped.separators.first() {
            above.insert_child(slot, separator, second);
        }
        let kept = plan.regrouped.pages.len();
        for (page, bytes) in self.pages[plan.pages.clone()].iter_mut().zip(&plan.regrouped.pages) {
            page.bytes_mut().copy_from_slice(bytes);
        }
        for page in self.pages.drain(plan.pages.start + kept..plan.pages.end).rev() {
            free(m, page);
        }
        Ok(())
    }
}

/// Bytes that the new separators take in the parent.
fn separator_bytes(above: Node<&[u8]>, regrouped: &Regrouped) -> usize {
    let bytes = |separator: &Vec<u8>| {
        slot_bytes(above.level()) + Suffix::of(separator, above.prefix_len()).rest.len()
    };
    regrouped.separators.iter().map(bytes).sum()
}

/// Frees a page that is dirty in this epoch.
pub(crate) fn free(m: &Mutation<'_>, page: ExclusivePage<'_>) {
    assert!(m.free(page).is_ok(), "RB2: nothing is to be kept of a page that is dirty in this epoch");
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
