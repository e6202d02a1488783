//! Checking a whole tree.
//!
//! # Invariants
//!
//! - **CK1** A page's bytes are not trusted: whatever they are, the check ends, visits each page at most once, goes
//!   one level down at each step, and answers with faults.
//! - **CK2** Pages are visited depth first, children in order, so each level is seen from left to right, and
//!   a page's right neighbour must be the page of its level that comes next.

use super::BTree;
use super::layout::{FLAG_DETACHED, FLAG_DISMANTLED, FLAG_LARGE, LEVEL_MAX};
use super::leaf::Leaf;
use super::node::Node;
use super::page_check::{Expected, check_page};
use crate::LeafValue;
use crate::load::copy_page;
use aquifer_buffer::{Error, PageId, Pager, Result};
use std::collections::HashSet;

/// What a whole-tree check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Records.
    pub records: u64,
    /// Those of them whose keys are as long as any may be.
    pub longest: u64,
    /// Pages, every one of them.
    pub pages: Vec<PageId>,
    /// Levels.
    pub depth: u32,
    /// Bytes of keys and values.
    pub record_bytes: u64,
    /// Bytes of leaves that are in use: header, slots, entries and fences; of a dense leaf what its records would take in slots, or its
    /// places from the first to the last, if that is less.
    pub leaf_bytes_used: u64,
    /// Leaves.
    pub leaves: u64,
    /// Descriptors of large values, each with its leaf.
    pub large: Vec<(PageId, Vec<u8>)>,
    /// What is wrong, with the page; empty if nothing. At most a few for each page.
    pub faults: Vec<(PageId, String)>,
}

/// A page to visit, and what its parent says of it.
struct Visit {
    page: PageId,
    level: Option<u8>,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
}

/// The page visited last on a level, and its right neighbour; nothing if it could not be read.
type Neighbour = Option<(PageId, PageId)>;

struct Walk<'p> {
    tree: BTree,
    pager: &'p Pager,
    report: CheckReport,
    seen: HashSet<PageId>,
    /// By level. Levels not visited yet have no entry.
    last: Vec<Option<Neighbour>>,
    dismantled: bool,
    /// The tree is detached: what its records name is not its own (LV2).
    detached: bool,
    /// The root says that there may be large values.
    large: bool,
}

impl BTree {
    /// Walks everything and checks order, fences, prefixes, heads, hints, fingerprints, levels, neighbours, owners and own
    /// ids; `progress` gets the number of pages done. For trees that nobody changes meanwhile.
    /// Damaged pages are faults.
    ///
    /// # Errors
    ///
    /// What loading a page gives, but for damage.
    pub fn check(&self, pager: &Pager, progress: &mut dyn FnMut(u64)) -> Result<CheckReport> {
        let mut walk = Walk {
            tree: *self,
            pager,
            report: CheckReport::default(),
            seen: HashSet::new(),
            last: vec![None; usize::from(LEVEL_MAX) + 1],
            dismantled: false,
            detached: false,
            large: false,
        };
        let mut page = Vec::new();
        let mut stack = vec![Visit { page: self.root(), level: None, lower: Vec::new(), upper: None }];
        while let Some(visit) = stack.pop() {
            let first_child = stack.len();
            walk.visit(&visit, &mut page, &mut stack)?;
            stack[first_child..].reverse(); // CK2
            progress(walk.report.pages.len() as u64);
        }
        walk.check_ends();
        Ok(walk.report)
    }
}

impl Walk<'_> {
    fn visit(&mut self, visit: &Visit, page: &mut Vec<u8>, stack: &mut Vec<Visit>) -> Result<()> {
        let id = visit.page;
        if !self.seen.insert(id) {
            self.fault(id, "it is reached twice".into());
            return Ok(()); // CK1
        }
        self.report.pages.push(id);
        match copy_page(self.pager, id, page) {
            Ok(()) => {}
            Err(Error::Corrupt { what, .. }) => {
                self.fault(id, what);
                self.lose_neighbours(visit.level);
                return Ok(());
            }
            Err(other) => return Err(other),
        }
        let node = Node::new(page.as_slice());
        let level = visit.level.unwrap_or(node.level());
        if visit.level.is_none() {
            self.report.depth = u32::from(level) + 1;
            let flags = node.summary().flags();
            self.dismantled = flags & (FLAG_DISMANTLED | FLAG_DETACHED) != 0;
            self.large = flags & FLAG_LARGE != 0;
            self.detached = flags & FLAG_DETACHED != 0;
        }
        if !self.tree.is_own(node.summary(), level, node.owner()) || !node.is_sane() {
            self.fault(id, "kind, level, owner or the sizes in its header make no sense".into());
            self.lose_neighbours(visit.level);
            return Ok(());
        }
        let expected = Expected {
            id,
            lower: (!self.dismantled).then_some(&*visit.lower),
            upper: if self.dismantled { None } else { Some(visit.upper.as_deref()) },
        };
        let found = check_page(node, &expected);
        self.report.faults.extend(found.faults.into_iter().map(|what| (id, what)));
        self.report.record_bytes += found.record_bytes;
        self.check_neighbour(id, level, node.right());
        if level == 0 {
            self.report.records += node.count() as u64;
            self.report.longest += node.longest(0..node.count()) as u64;
            if self.large || !self.detached {
                self.note_large(id, node);
            }
            self.report.leaves += 1;
            self.report.leaf_bytes_used += (node.page_bytes() - node.free_bytes()) as u64;
        } else {
            self.push_children(node, visit, stack);
        }
        Ok(())
    }

    fn note_large(&mut self, id: PageId, node: Node<&[u8]>) {
        if node.is_dense() {
            return; // DN1
        }
        let leaf = Leaf::of(node);
        let values = leaf.all_spots().filter_map(|spot| leaf.value(spot));
        for value in values.filter(LeafValue::is_large) {
            self.report.large.push((id, value.bytes.to_vec()));
        }
        if !self.report.large.is_empty() && !self.large {
            let what = "it holds a large value, and the root does not say that there are any (LV2)";
            self.fault(id, what.into());
        }
    }

    fn push_children(&mut self, node: Node<&[u8]>, visit: &Visit, stack: &mut Vec<Visit>) {
        let count = node.count();
        let mut lower = visit.lower.clone();
        for index in 0..=count {
            let mut upper = visit.upper.clone();
            if index < count {
                let mut key = Vec::new();
                node.key_to(node.slot(index), &mut key);
                upper = Some(key);
            }
            let child = node.child(index);
            let next = upper.clone().unwrap_or_default();
            if child != PageId::NONE {
                stack.push(Visit { page: child, level: Some(node.level() - 1), lower, upper });
            } else if !self.dismantled {
                self.fault(visit.page, format!("child {index} is no page"));
            }
            lower = next;
        }
    }

    fn check_neighbour(&mut self, id: PageId, level: u8, right: PageId) {
        let last = self.last[usize::from(level)].replace(Some((id, right)));
        match last {
            Some(Some((left, neighbour))) if neighbour != id && !self.dismantled => {
                self.fault(left, format!("its right neighbour is page {neighbour}, and should be {id}"));
            }
            _ => {}
        }
    }

    /// The last page of a level has no neighbour.
    fn check_ends(&mut self) {
        if self.dismantled {
            return;
        }
        for level in 0..self.last.len() {
            if let Some(Some((id, right))) = self.last[level]
                && right != PageId::NONE
            {
                self.fault(
                    id,
                    format!("it is the last of its level and has a right neighbour, page {right}"),
                );
            }
        }
    }

    /// What comes next on this level and below it may be anything: a page was not read.
    fn lose_neighbours(&mut self, level: Option<u8>) {
        let levels = usize::from(level.unwrap_or(LEVEL_MAX).min(LEVEL_MAX)) + 1;
        self.last[..levels].fill(Some(None));
    }

    fn fault(&mut self, page: PageId, what: String) {
        self.report.faults.push((page, what));
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
