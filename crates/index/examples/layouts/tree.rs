//! A tree for one thread, whose leaves have any layout and whose inner pages are the crate's.
//!
//! A leaf without room is put together anew: as it is, for layouts that had to be widened or changed; else cut in two where the
//! crate's tree would cut it.

use crate::ValueKind;
use crate::btree::build::{Builder, Plan};
use crate::btree::edit::NodeMut;
use crate::btree::layout::*;
use crate::btree::node::Node;
use crate::btree::split::{Halves, Incoming, split};
use crate::leaf::{Leaf, PAGE_BYTES, Records};
use crate::measure::Store;
use crate::words::Words as _;
use aquifer_buffer::{ExclusivePage, Mutation, Optimistic, PageId, Pager, PagerOptions, Retry};
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use std::marker::PhantomData;

const TABLE: u32 = 1;
/// So many insertions one behind the other make a run.
const RUN_MIN: usize = 4;
/// As the crate's tree has it, for the last leaf of a run.
const TIGHTEN_BYTES: usize = 3;
/// More than one insertion can need.
const SPARE_PAGES: usize = 16;

/// A pager without a file.
pub(crate) fn in_memory(budget_bytes: usize) -> Arc<Pager> {
    let budget = Budget::new(budget_bytes);
    Pager::in_memory(PagerOptions { page_bytes: PAGE_BYTES, budget }).expect("a pager")
}

/// Runs `attempt` inside the gate until it succeeds.
#[inline(always)]
pub(crate) fn resolved<R>(pager: &Pager, mut attempt: impl FnMut(&Mutation<'_>) -> Result<R, Retry>) -> R {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return done,
            Err(retry) => pager.resolve(retry).expect("the budget suffices"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tree<L> {
    pager: Arc<Pager>,
    root: PageId,
    /// Pages to be used by splits, which then cannot fail.
    spare: Vec<PageId>,
    records: Records,
    /// Leaf and key of the last insertion, and how many before it went upwards in that leaf.
    last: (PageId, Vec<u8>),
    run: usize,
    leaves: PhantomData<L>,
}

impl<L: Leaf> Store for Tree<L> {
    fn new(budget_bytes: usize) -> Self {
        let pager = in_memory(budget_bytes);
        let root = resolved(&pager, |m| {
            let mut page = m.allocate()?;
            let empty = Records::default();
            let plan = Plan::root(TABLE, page.id(), 0);
            let leaf = L::build(&plan, empty.slice(0..0)).expect("a page without records fits");
            page.bytes_mut().copy_from_slice(&leaf);
            Ok(page.id())
        });
        let (records, last) = (Records::default(), (PageId::NONE, Vec::new()));
        Self { pager, root, spare: Vec::new(), records, last, run: 0, leaves: PhantomData }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) {
        let (done, id) = resolved(&self.pager, |m| {
            let leaf = self.leaf(key)?;
            let position = L::position(Node::new(leaf.words()), key).expect("each key once");
            let mut page = m.upgrade(leaf)?;
            page.make_dirty()?;
            let done = L::insert(page.bytes_mut(), position, key, value);
            Ok((done, page.id()))
        });
        self.run = if self.last.0 == id && self.last.1.as_slice() < key { self.run + 1 } else { 0 };
        if !done {
            while self.spare.len() < SPARE_PAGES {
                self.spare.push(resolved(&self.pager, |m| m.allocate().map(|page| page.id())));
            }
            let pager = Arc::clone(&self.pager);
            self.insert_anew(&pager.enter(), key, value).expect("nobody else, and pages to spare");
        }
        self.last.0 = id;
        self.last.1.clear();
        self.last.1.extend_from_slice(key);
    }

    #[inline(always)]
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        loop {
            match self.try_get(key, out) {
                Ok(found) => return found,
                Err(retry) => self.pager.resolve(retry).expect("in memory"),
            }
        }
    }

    fn scan(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let (mut page, mut key) = (Vec::with_capacity(PAGE_BYTES), Vec::new());
        let mut id = self.leaf(&[]).expect("in memory").id();
        while id != PageId::NONE {
            page.clear();
            page.extend_from_slice(self.pager.shared(id).expect("in memory").bytes());
            L::for_each(&page, &mut key, &mut visit);
            id = Node::new(page.as_slice()).right();
        }
    }

    fn pages(&self) -> usize {
        let (mut level, mut pages) = (vec![self.root], 0);
        while !level.is_empty() {
            pages += level.len();
            let mut below = Vec::new();
            for id in level {
                let page = self.pager.shared(id).expect("in memory");
                let node = Node::new(page.bytes());
                if node.level() > 0 {
                    below.extend((0..=node.count()).map(|index| node.child(index)));
                }
            }
            level = below;
        }
        pages
    }
}

impl<L: Leaf> Tree<L> {
    #[inline(always)]
    fn try_get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, Retry> {
        let leaf = self.leaf(key)?;
        let found = L::get(Node::new(leaf.words()), key);
        match found {
            Some((offset, len)) => leaf.words().copy_to(offset, len, out),
            None => out.clear(),
        }
        leaf.validate()?;
        Ok(found.is_some())
    }

    /// The leaf that covers a key, found as the crate's tree finds it.
    #[inline(always)]
    fn leaf(&self, key: &[u8]) -> Result<Optimistic<'_>, Retry> {
        let mut page = self.pager.read(self.root)?;
        let mut level = Node::new(page.words()).level().min(LEVEL_MAX);
        while level > 0 {
            let node = Node::new(page.words());
            let child = node.child(node.child_index(key));
            page.validate()?;
            let next = self.pager.read(child);
            page.validate()?;
            page = next?;
            level -= 1;
            let node = Node::new(page.words());
            if node.level() != level || node.owner() != TABLE || node.own_id() != page.id() {
                page.validate()?;
                return Err(Retry::Damaged(page.id(), "kind, level, owner or own id is wrong"));
            }
        }
        Ok(page)
    }

    /// Puts the record's leaf together anew, on one page or two.
    fn insert_anew(&mut self, m: &Mutation<'_>, key: &[u8], value: &[u8]) -> Result<(), Retry> {
        let (path, id) = self.path(key)?;
        let mut page = m.exclusive(id)?;
        page.make_dirty()?;
        let old = page.bytes().to_vec();
        let plan = Plan::of(Node::new(old.as_slice())).expect("AB1");
        let mut records = std::mem::take(&mut self.records);
        records.collect::<L>(&old, key, value);
        if let Some(whole) = L::build(&plan, records.slice(0..records.len())) {
            page.bytes_mut().copy_from_slice(&whole);
        } else {
            let new_id = self.spare.pop().expect("pages to spare");
            let Halves { separator, left, right } = self.cut(&plan, &records, key, new_id);
            page.bytes_mut().copy_from_slice(&left);
            drop(page);
            let mut new = m.exclusive(new_id)?;
            new.make_dirty()?;
            new.bytes_mut().copy_from_slice(&right);
            drop(new);
            self.insert_separator(m, &path, id, separator, new_id)?;
        }
        self.records = records;
        Ok(())
    }

    /// The two pages of a leaf that is full, and what is between them.
    fn cut(&self, plan: &Plan<'_>, records: &Records, key: &[u8], new_id: PageId) -> Halves {
        let len = records.len();
        let index = (1..len).find(|&at| records.key(at) == key).unwrap_or(0);
        let run = self.run >= RUN_MIN && index > 0 && records.key(index - 1) == self.last.1;
        let tightened = (run && index + 1 == len).then(|| tighten(plan, records)).flatten();
        if let Some(separator) = tightened {
            let left =
                L::build(&Plan { upper: Some(&separator), right: new_id, ..*plan }, records.slice(0..len));
            let right = L::build(&Plan { id: new_id, lower: &separator, ..*plan }, records.slice(len..len));
            if let (Some(left), Some(right)) = (left, right) {
                return Halves { separator, left, right };
            }
        }
        let boundary = if run {
            index
        } else {
            let (middle, window) = (records.middle(), len / 16);
            let near = middle.saturating_sub(window).max(1)..=(middle + window).min(len - 1);
            near.min_by_key(|&at| {
                (separator(records.key(at - 1), records.key(at)).len(), at.abs_diff(middle))
            })
            .unwrap_or(middle)
        };
        // At the end of a run the upper fence may need the room of a record or two.
        let cuts = (1..=boundary).rev().find_map(|at| halves::<L>(plan, records, at, new_id));
        cuts.expect("halves fit")
    }

    /// Inserts a separator and the page to its right above page `left`, splitting inner pages as needed.
    fn insert_separator(
        &mut self,
        m: &Mutation<'_>,
        path: &[PageId],
        left: PageId,
        separator: Vec<u8>,
        right: PageId,
    ) -> Result<(), Retry> {
        let Some((&id, above)) = path.split_last() else {
            return self.grow_root(m, left, &separator, right);
        };
        let mut page = m.exclusive(id)?;
        page.make_dirty()?;
        if insert_child(&mut page, &separator, right) {
            return Ok(());
        }
        let index = Node::new(page.bytes()).child_index(&separator);
        let incoming =
            Incoming { key: &separator, value_len: 0, kind: ValueKind::Inline, index, exists: false };
        let halves = split(page.bytes(), &incoming).expect("AB1");
        let new_id = self.spare.pop().expect("pages to spare");
        let mut new = m.exclusive(new_id)?;
        new.make_dirty()?;
        for (page, half, own, right) in
            [(&mut page, &halves.left, id, Some(new_id)), (&mut new, &halves.right, new_id, None)]
        {
            page.bytes_mut().copy_from_slice(half);
            let mut node = NodeMut::new(page.bytes_mut());
            node.set_own_id(own);
            if let Some(right) = right {
                node.set_right(right);
            }
        }
        let half = if separator >= halves.separator { &mut new } else { &mut page };
        assert!(insert_child(half, &separator, right), "half a page has room for a separator");
        drop((page, new));
        self.insert_separator(m, above, id, halves.separator, new_id)
    }

    fn grow_root(
        &mut self,
        m: &Mutation<'_>,
        left: PageId,
        separator: &[u8],
        right: PageId,
    ) -> Result<(), Retry> {
        let level = Node::new(self.pager.shared(left)?.bytes()).level() + 1;
        let id = self.spare.pop().expect("pages to spare");
        let plan = Plan { leftmost: left, ..Plan::root(TABLE, id, level) };
        let mut builder = Builder::new(PAGE_BYTES, &plan).expect("a page without entries fits");
        builder.push_child(separator, right).expect("one separator fits");
        let mut page = m.exclusive(id)?;
        page.make_dirty()?;
        page.bytes_mut().copy_from_slice(&builder.finish());
        self.root = id;
        Ok(())
    }

    /// The inner pages above the leaf that covers a key, and the leaf.
    fn path(&self, key: &[u8]) -> Result<(Vec<PageId>, PageId), Retry> {
        let (mut path, mut id) = (Vec::new(), self.root);
        loop {
            let page = self.pager.shared(id)?;
            let node = Node::new(page.bytes());
            if node.level() == 0 {
                return Ok((path, id));
            }
            path.push(id);
            id = node.child(node.child_index(key));
        }
    }
}

fn insert_child(page: &mut ExclusivePage<'_>, separator: &[u8], child: PageId) -> bool {
    let node = Node::new(page.bytes());
    let needed = slot_bytes(node.level()) + Suffix::of(separator, node.prefix_len()).rest.len();
    let index = node.child_index(separator);
    if node.gap_bytes() < needed {
        return false; // without deletions nothing but the gap is free
    }
    NodeMut::new(page.bytes_mut()).insert_child(index, separator, child);
    true
}

/// The records before the boundary on one page, the others on another, if they fit.
fn halves<L: Leaf>(plan: &Plan<'_>, records: &Records, boundary: usize, new_id: PageId) -> Option<Halves> {
    let separator = separator(records.key(boundary - 1), records.key(boundary)).to_vec();
    let left = Plan { upper: Some(&separator), right: new_id, ..*plan };
    let right = Plan { id: new_id, lower: &separator, ..*plan };
    let left = L::build(&left, records.slice(0..boundary))?;
    let right = L::build(&right, records.slice(boundary..records.len()))?;
    Some(Halves { separator, left, right })
}

/// An upper fence for a leaf at the edge of the tree that is filled by a run, a little beyond its last key.
fn tighten(plan: &Plan<'_>, records: &Records) -> Option<Vec<u8>> {
    let last = records.len() - 1;
    let key = records.key(last);
    let kept = common_prefix_len(records.key(last - 1), key).checked_sub(TIGHTEN_BYTES)?;
    let end = key[..kept].iter().rposition(|&byte| byte != 0xFF)?;
    let mut separator = key[..=end].to_vec();
    separator[end] += 1;
    let between =
        plan.lower < separator.as_slice() && plan.upper.is_none_or(|upper| separator.as_slice() < upper);
    between.then_some(separator)
}
