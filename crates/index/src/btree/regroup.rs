//! The entries of neighbouring pages put together anew, on fewer pages or more evenly.
//!
//! The *items* of neighbours are their entries in key order; between two inner pages the separator that their parent has
//! for them comes down as one more item, whose child is the leftmost of the page behind it.
//!
//! # Invariants
//!
//! - **RG1** The new pages cover what the old ones did, in the same order, each key once: the first begins at the first's
//!   lower fence, the last ends at the last's upper fence, and a separator is between.
//! - **RG2** Pages are built aside; nothing is changed if they do not fit, or if an old one turns out to be nonsense.
//! - **RG3** The first of the old pages keep their ids, so nobody but their parent names a page that goes: the one on their left
//!   still has the first as its right neighbour.
//! - **RG4** `changed_at` is the greatest of all (it is only raised).

use super::anew::{Outline, build_leaf};
use super::build::{Builder, NO_ROOM, Plan};
use super::layout::separator;
use super::leaf::Leaf;
use super::node::Node;
use crate::fault::Nonsense;
use crate::{LeafValue, ValueKind};
use aquifer_buffer::PageId;
use std::ops::Range;

/// Pages put together anew.
#[derive(Debug)]
pub(crate) struct Regrouped {
    pub(crate) pages: Vec<Vec<u8>>,
    /// Between them.
    pub(crate) separators: Vec<Vec<u8>>,
}

/// Puts the entries of neighbours of one level, from left to right, on their first `into` pages, at most `used_max` bytes of each
/// in use. `None` if they do not fit.
///
/// # Errors
///
/// What is wrong with a page.
pub(crate) fn regroup(
    nodes: &[Node<&[u8]>],
    into: usize,
    used_max: usize,
) -> Result<Option<Regrouped>, Nonsense> {
    let items = Items::of(nodes)?;
    let Some(cuts) = items.cuts(into) else { return Ok(None) };
    let mut regrouped = Regrouped { pages: Vec::with_capacity(into), separators: Vec::new() };
    let between = cuts.iter().take(into.saturating_sub(1));
    regrouped.separators.extend(between.map(|cut| items.separator(cut.end)));
    for (at, cut) in cuts.iter().enumerate() {
        match items.build(at, cut.clone(), &regrouped.separators) {
            Ok(page) if used_bytes(&page) <= used_max => regrouped.pages.push(page),
            Ok(_) => return Ok(None),
            Err(nonsense) if nonsense == NO_ROOM => return Ok(None),
            Err(nonsense) => return Err(nonsense),
        }
    }
    Ok(Some(regrouped))
}

fn used_bytes(page: &[u8]) -> usize {
    Node::new(page).used_bytes()
}

/// One entry: where its key ends in `Items::keys`, and what it leads to.
#[derive(Debug, Clone, Copy)]
struct Item<'n> {
    key_end: usize,
    /// Of a leaf.
    value: LeafValue<'n>,
    /// Of an inner page.
    child: PageId,
}

struct Items<'n> {
    nodes: &'n [Node<&'n [u8]>],
    level: u8,
    keys: Vec<u8>,
    items: Vec<Item<'n>>,
}

/// Of an inner page's item.
const NO_VALUE: LeafValue<'static> = LeafValue { kind: ValueKind::Inline, bytes: &[] };
const BEYOND: Nonsense = Nonsense("an entry lies beyond the page");
const APART: Nonsense = Nonsense("its lower fence is not the upper fence of the page before it");

impl<'n> Items<'n> {
    fn of(nodes: &'n [Node<&'n [u8]>]) -> Result<Self, Nonsense> {
        let count = nodes.iter().map(|node| node.count() + 1).sum();
        let level = nodes[0].level();
        let mut items = Self { nodes, level, keys: Vec::new(), items: Vec::with_capacity(count) };
        let mut key = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            if at > 0 {
                let lower = node.lower().ok_or(BEYOND)?;
                if nodes[at - 1].upper() != Some(Some(lower)) {
                    return Err(APART);
                }
                if level > 0 {
                    items.push(lower, NO_VALUE, node.leftmost());
                }
            }
            if level == 0 {
                let leaf = Leaf::of(*node);
                leaf.check_count()?;
                let shared_len = leaf.shared_to(&mut key);
                for spot in leaf.all_spots() {
                    leaf.rest_to(spot, shared_len, &mut key).ok_or(BEYOND)?;
                    items.push(&key, leaf.value(spot).ok_or(BEYOND)?, PageId::NONE);
                }
                continue;
            }
            for index in 0..node.count() {
                let slot = node.slot(index);
                node.entry_len(slot).ok_or(BEYOND)?;
                node.key_to(slot, &mut key);
                items.push(&key, NO_VALUE, node.child(index + 1));
            }
        }
        Ok(items)
    }

    fn push(&mut self, key: &[u8], value: LeafValue<'n>, child: PageId) {
        self.keys.extend_from_slice(key);
        self.items.push(Item { key_end: self.keys.len(), value, child });
    }

    fn key(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].key_end);
        &self.keys[start..self.items[index].key_end]
    }

    /// The items of each page, such that their bytes are about even. Of inner pages the item at a cut goes up.
    fn cuts(&self, into: usize) -> Option<Vec<Range<usize>>> {
        let len = self.items.len();
        let bytes = |item: &Item<'_>| item.value.bytes.len();
        let total = self.keys.len() + self.items.iter().map(bytes).sum::<usize>() + 8 * len;
        let mut cuts = Vec::with_capacity(into);
        let (mut start, mut at, mut sum) = (0, 0, 0);
        for page in 1..into {
            while at < len && sum * into < total * page {
                sum += self.key(at).len() + self.items[at].value.bytes.len() + 8;
                at += 1;
            }
            cuts.push(start..at);
            start = at + usize::from(self.level > 0);
            at = start;
        }
        cuts.push(start..len);
        let fine = cuts.iter().all(|cut| cut.start < cut.end) || into == 1;
        fine.then_some(cuts)
    }

    /// What is between the item before the cut and the one behind it.
    fn separator(&self, cut: usize) -> Vec<u8> {
        if self.level > 0 {
            return self.key(cut).to_vec();
        }
        separator(self.key(cut - 1), self.key(cut)).to_vec()
    }

    fn build(&self, at: usize, cut: Range<usize>, separators: &[Vec<u8>]) -> Result<Vec<u8>, Nonsense> {
        let (first, last) = (self.nodes[0], self.nodes[self.nodes.len() - 1]);
        let is_last = at == separators.len();
        let leftmost = match (self.level, cut.start.checked_sub(1)) {
            (0, _) => PageId::NONE,
            (_, None) => first.leftmost(),
            (_, Some(up)) => self.items[up].child,
        };
        let plan = Plan {
            level: self.level,
            flags: 0,
            owner: first.owner(),
            id: self.nodes[at].own_id(),
            right: if is_last { last.right() } else { self.nodes[at + 1].own_id() },
            changed_at: self.nodes.iter().map(|node| node.changed_at()).max().unwrap_or(0), // RG4
            leftmost,
            lower: if at == 0 { first.lower().ok_or(BEYOND)? } else { &separators[at - 1] },
            upper: if is_last { last.upper().ok_or(BEYOND)? } else { Some(&separators[at]) },
            run: 0,
            run_position: 0,
        };
        if self.level == 0 {
            return self.build_leaf(first.page_bytes(), &plan, cut);
        }
        let mut builder = Builder::new(first.page_bytes(), &plan)?;
        for index in cut {
            builder.push_child(self.key(index), self.items[index].child)?;
        }
        Ok(builder.finish())
    }

    fn build_leaf(&self, page_bytes: usize, plan: &Plan<'_>, cut: Range<usize>) -> Result<Vec<u8>, Nonsense> {
        let outline = (!cut.is_empty()).then(|| Outline {
            count: cut.len(),
            first: self.key(cut.start),
            last: self.key(cut.end - 1),
            value_len: self.items[cut.start].value.bytes.len(),
        });
        build_leaf(page_bytes, plan, outline, |builder| {
            cut.clone().try_for_each(|index| builder.push_record(self.key(index), self.items[index].value))
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
