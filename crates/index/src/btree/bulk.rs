//! Loading sorted records: leaves are built full, one after the other, and hung onto the right edge.
//!
//! ```text
//!  records --> buffer --> leaf built aside, its upper fence known
//!                            |  one passage of the gate
//!        ... leaf - leaf - [open leaf]   becomes   ... leaf - leaf - built leaf - [open leaf]
//! ```
//!
//! # Invariants
//!
//! - **BL1** After every passage the tree is whole, with what was built so far: its last leaf is empty and covers all that comes. A
//!   crash leaves a tree that can be dismantled.
//! - **BL2** A leaf gets as many records as its fill allows, at least one. How long its prefix is, and so how many fit, is known
//!   only with the record behind it; hence the buffer, which holds about a page, and at most what shares one prefix.
//! - **BL3** Inner pages fill as by ascending insertions: the split at the end of a run.
//! - **BL4** Whoever loads large values hears of each leaf in the passage that hangs it on, after which nothing fails: there he attaches their pages.
//!   The root says before that there are such values (LV2).

use super::BTree;
use super::anew::{Outline, build_leaf};
use super::build::{Builder, Plan};
use super::dense::Form;
use super::edit::NodeMut;
use super::fingerprint;
use super::layout::*;
use super::node::Node;
use super::split::Halves;
use crate::fault::Attempt;
use crate::{LeafValue, ValueKind};
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};
use std::ops::Range;

/// Why a record was not loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BulkError {
    /// The input is not in order.
    #[error(
        "record {index} is out of order: its key {key:02x?} is not above {previous:02x?}, the one before; sort the input by key, each key once"
    )]
    Unsorted {
        /// Its number, from 0.
        index: u64,
        /// The key before.
        previous: Vec<u8>,
        /// Its key.
        key: Vec<u8>,
    },
    /// The pager's.
    #[error(transparent)]
    Pager(#[from] aquifer_buffer::Error),
}

/// Fills an empty tree that nobody else knows with records in ascending order.
#[derive(Debug)]
pub struct BulkLoader {
    tree: BTree,
    page_bytes: usize,
    /// Most bytes of a leaf to be in use.
    used_max: usize,
    lsn: u64,
    count: u64,
    /// Keys and values of the records that are on no leaf yet, one after the other.
    bytes: Vec<u8>,
    records: Vec<Buffered>,
    /// Length of what the first and the last key of these share: what all neighbours do.
    shared: usize,
    /// A lower bound of the bytes that they take on a leaf with slots.
    least: usize,
    /// So many of them, from the first on, have keys and inline values of the first's lengths.
    alike: usize,
    /// Lower fence of the next leaf.
    lower: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Buffered {
    key: Range<usize>,
    /// Length of what its key shares with the one before.
    shared: usize,
    value_end: usize,
    kind: ValueKind,
}

impl BulkLoader {
    /// Loads into `tree`, which is empty, leaves to be `fill_percent` full (50 to 100). `lsn` is when their records changed.
    ///
    /// # Panics
    ///
    /// If the fill is none.
    pub fn new(tree: BTree, page_bytes: usize, fill_percent: usize, lsn: u64) -> BulkLoader {
        assert!((50..=100).contains(&fill_percent), "{fill_percent} % is no fill");
        BulkLoader {
            tree,
            page_bytes,
            used_max: page_bytes * fill_percent / 100,
            lsn,
            count: 0,
            bytes: Vec::new(),
            records: Vec::new(),
            shared: 0,
            least: 0,
            alike: 0,
            lower: Vec::new(),
        }
    }

    /// Records so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last key, if there is one.
    pub fn last_key(&self) -> Option<&[u8]> {
        self.records.last().map(|last| &self.bytes[last.key.clone()])
    }

    /// Loads a record. Outside the gate. Of each leaf that is hung on, `placed` is told how many more records are in the tree now, in
    /// the passage that puts them there (BL4).
    ///
    /// # Errors
    ///
    /// [`BulkError::Unsorted`], which changes nothing; what making pages gave.
    ///
    /// # Panics
    ///
    /// If key or value is beyond [`limits`](BTree::limits).
    pub fn push(
        &mut self,
        pager: &Pager,
        key: &[u8],
        value: LeafValue<'_>,
        placed: &mut impl FnMut(&Mutation<'_>, usize),
    ) -> Result<(), BulkError> {
        let (key_max, value_max) = BTree::limits(self.page_bytes);
        assert!(key.len() <= key_max && value.bytes.len() <= value_max, "a record beyond the limits");
        let mut shared = 0;
        if let Some(last) = self.records.last() {
            let previous = &self.bytes[last.key.clone()];
            shared = common_prefix_len(previous, key);
            if previous[shared..] >= key[shared..] {
                let previous = previous.to_vec();
                return Err(BulkError::Unsorted { index: self.count, previous, key: key.to_vec() });
            }
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.bytes);
        let key = start..start + key.len();
        self.shared = if self.records.is_empty() { key.len() } else { self.shared.min(shared) };
        self.records.push(Buffered { key, shared, value_end: self.bytes.len(), kind: value.kind });
        self.count += 1;
        self.least += SLOT_BYTES + 2 + value.bytes.len();
        self.count_alike();
        while self.least_bytes() > self.page_bytes {
            self.build_leaf(pager, placed)?;
        }
        Ok(())
    }

    /// Loads what is left. The tree is complete then.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn finish(
        mut self,
        pager: &Pager,
        placed: &mut impl FnMut(&Mutation<'_>, usize),
    ) -> Result<u64, BulkError> {
        let leaf = loop {
            if let Some(leaf) = self.leaf(self.records.len(), None) {
                break leaf;
            }
            self.build_leaf(pager, placed)?;
        };
        let count = self.records.len();
        self.place(pager, count, placed, |loader, m| loader.close(m, pager, &leaf))?;
        Ok(self.count)
    }

    /// BL4: puts the first `count` records into the tree, in one passage.
    fn place(
        &self,
        pager: &Pager,
        count: usize,
        placed: &mut impl FnMut(&Mutation<'_>, usize),
        attempt: impl Fn(&Self, &Mutation<'_>) -> Attempt<()>,
    ) -> Result<(), BulkError> {
        let any_large = self.records[..count].iter().any(|record| record.kind == ValueKind::Large);
        let passage = |m: &Mutation<'_>, placed: &mut dyn FnMut(&Mutation<'_>, usize)| {
            if any_large {
                self.tree.note_large(m)?;
            }
            attempt(self, m)?;
            placed(m, count);
            Ok(())
        };
        loop {
            match passage(&pager.enter(), placed) {
                Ok(()) => return Ok(()),
                Err(retry) => pager.resolve(retry)?,
            }
        }
    }

    fn key(&self, index: usize) -> &[u8] {
        &self.bytes[self.records[index].key.clone()]
    }

    fn shared_len(&self) -> usize {
        match self.records.len() {
            0 => 0,
            len => common_prefix_len(self.key(0), self.key(len - 1)),
        }
    }

    /// The lengths of a record.
    fn form(&self, index: usize) -> Form {
        let Buffered { key, value_end, .. } = &self.records[index];
        Form { key_len: key.len(), value_len: value_end - key.end }
    }

    fn count_alike(&mut self) {
        let is_alike = |index: usize| {
            let record = self.records.get(index);
            record.is_some_and(|record| record.kind == ValueKind::Inline) && self.form(index) == self.form(0)
        };
        self.alike = (self.alike..).find(|&index| !is_alike(index)).expect("they end");
    }

    /// At least so many bytes do the buffered records take on one leaf.
    fn least_bytes(&self) -> usize {
        let key_bytes = self.bytes.len() + (SLOT_BYTES + 2) * self.records.len() - self.least;
        let slotted =
            SLOTS + self.least + key_bytes.saturating_sub(self.records.len() * (self.shared + HEAD_BYTES));
        self.dense_bytes(self.records.len(), self.shared).map_or(slotted, |dense| dense.min(slotted))
    }

    /// Bytes of a dense leaf with the first `count` records, fences left out, if there can be one with such a prefix.
    fn dense_bytes(&self, count: usize, prefix_len: usize) -> Option<usize> {
        if count == 0 || count > self.alike {
            return None;
        }
        let form = self.form(0);
        let (first, last) = (form.tail(self.key(0)), form.tail(self.key(count - 1)));
        let span = usize::try_from(last.checked_sub(first)?).ok()?;
        let fits =
            form.key_len > 0 && form.stem_len() <= prefix_len && span < form.places_max(self.page_bytes);
        fits.then(|| form.dense_bytes(span + 1))
    }

    /// Bytes in use of a leaf with the first `count` records.
    fn size(&self, count: usize, upper: Option<&[u8]>) -> usize {
        let prefix_len = upper.map_or(0, |upper| common_prefix_len(&self.lower, upper));
        let fences = self.lower.len() + upper.map_or(0, <[u8]>::len);
        let entry = |record: &Buffered| {
            let rest_len = record.key.len().saturating_sub(prefix_len + HEAD_BYTES);
            SLOT_BYTES + 2 + rest_len + record.value_end - record.key.end
        };
        let equal_heads = |records: &[Buffered]| {
            records.iter().filter(|record| record.shared >= prefix_len + HEAD_BYTES).count()
        };
        let is_crowded = fingerprint::are_worth_it(count, equal_heads(&self.records[1.min(count)..count]));
        let more = if is_crowded { fingerprint::bytes_more(count) } else { 0 };
        let slotted = SLOTS + self.records[..count].iter().map(entry).sum::<usize>() + more;
        fences + self.dense_bytes(count, prefix_len).map_or(slotted, |dense| dense.min(slotted))
    }

    fn upper(&self, count: usize) -> &[u8] {
        separator(self.key(count - 1), self.key(count))
    }

    /// A leaf with the first `count` records, if they fit.
    fn leaf(&self, count: usize, upper: Option<&[u8]>) -> Option<Vec<u8>> {
        let plan = Plan { lower: &self.lower, upper, changed_at: self.lsn, ..self.plan() };
        let outline = count.checked_sub(1).map(|last| Outline {
            count,
            first: self.key(0),
            last: self.key(last),
            value_len: self.form(0).value_len,
        });
        let leaf = build_leaf(self.page_bytes, &plan, outline, |builder| {
            self.records[..count].iter().try_for_each(|record| {
                let bytes = &self.bytes[record.key.end..record.value_end];
                let value = LeafValue { kind: record.kind, bytes };
                builder.push_record(&self.bytes[record.key.clone()], value)
            })
        });
        leaf.ok()
    }

    fn plan(&self) -> Plan<'static> {
        Plan::root(self.tree.table(), PageId::NONE, 0)
    }

    /// BL2: makes a leaf of the first records, all but the last at most.
    fn build_leaf(
        &mut self,
        pager: &Pager,
        placed: &mut impl FnMut(&Mutation<'_>, usize),
    ) -> Result<(), BulkError> {
        let counts: Vec<usize> = (1..self.records.len()).collect();
        let fitting =
            counts.partition_point(|&count| self.size(count, Some(self.upper(count))) <= self.used_max);
        let count = fitting.max(1);
        let upper = self.upper(count).to_vec();
        let left = self.leaf(count, Some(&upper)).expect("SP1.1: one record fits, and more were measured");
        let open = Plan { lower: &upper, upper: None, changed_at: self.lsn, ..self.plan() };
        let right = Builder::new(self.page_bytes, &open).expect("a page without entries fits").finish();
        let halves = Halves { separator: upper, left, right };
        self.place(pager, count, placed, |loader, m| loader.tree.hang_on(m, pager, &loader.lower, &halves))?;
        self.lower = halves.separator;
        let taken = self.records[count - 1].value_end;
        self.bytes.drain(..taken);
        self.records.drain(..count);
        self.least = 0;
        for record in &mut self.records {
            record.key = record.key.start - taken..record.key.end - taken;
            record.value_end -= taken;
            self.least += SLOT_BYTES + 2 + record.value_end - record.key.end;
        }
        self.shared = self.shared_len();
        self.alike = 0;
        self.count_alike();
        Ok(())
    }

    /// The open leaf becomes the last.
    fn close(&self, m: &Mutation<'_>, pager: &Pager, leaf: &[u8]) -> Attempt<()> {
        let mut page = m.upgrade(self.tree.leaf(pager, &self.lower)?)?;
        page.make_dirty()?;
        let flags = Node::new(page.bytes()).summary().flags() & ROOT_FLAGS;
        let id = page.id();
        let bytes = page.bytes_mut();
        bytes.copy_from_slice(leaf);
        let mut node = NodeMut::new(bytes);
        node.set_own_id(id);
        node.add_flags(flags);
        Ok(())
    }
}

/// Two roots that are ready to change places: nothing can fail any more. Dropped, it has changed nothing.
#[derive(Debug)]
#[must_use]
pub struct Swap<'m> {
    m: &'m Mutation<'m>,
    tree: ExclusivePage<'m>,
    detached: ExclusivePage<'m>,
}

impl BTree {
    /// A new, empty tree beside the one of a table, for [`BulkLoader`]: to take its place later, or to be dismantled.
    ///
    /// # Errors
    ///
    /// [`Retry::Frames`] if there is no frame for its root.
    pub fn create_detached(m: &Mutation<'_>, table: u32) -> Result<BTree, Retry> {
        m.note_detachment(); // its pages may have ids that a cursor remembers (RD5)
        let mut page = m.allocate()?;
        let root = page.id();
        let plan = Plan { flags: FLAG_DETACHED, ..Plan::root(table, root, 0) };
        let bytes = Builder::new(page.bytes().len(), &plan).expect("a page without entries fits").finish();
        page.bytes_mut().copy_from_slice(&bytes);
        Ok(BTree::at(root, table))
    }

    /// Makes ready to exchange this tree's content with that of a detached one: the root keeps its page. Readers go on; no other
    /// writer may be in either (RD4).
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again; nothing has changed.
    pub fn swap<'m>(&self, m: &'m Mutation<'_>, detached: BTree) -> Result<Swap<'m>, Retry> {
        let mut tree = self.latch(m, self.root(), None)?;
        if detached.root() == self.root() {
            return Err(Retry::Damaged(self.root(), "it is the root of two trees"));
        }
        let mut other = detached.latch(m, detached.root(), None)?;
        if Node::new(other.bytes()).summary().flags() & FLAG_DETACHED == 0 {
            return Err(Retry::Damaged(detached.root(), "it is not the root of a detached tree"));
        }
        tree.make_dirty()?;
        other.make_dirty()?;
        Ok(Swap { m, tree, detached: other })
    }
}

impl Swap<'_> {
    /// Exchanges them.
    pub fn carry_out(mut self, lsn: u64) {
        self.m.note_detachment();
        let (id, detached_id) = (self.tree.id(), self.detached.id());
        let (bytes, detached) = (self.tree.bytes_mut(), self.detached.bytes_mut());
        bytes.swap_with_slice(detached);
        let mut node = NodeMut::new(bytes);
        node.set_own_id(id);
        node.remove_flags(FLAG_DETACHED);
        node.raise_changed_at(lsn);
        let mut node = NodeMut::new(detached);
        node.set_own_id(detached_id);
        node.add_flags(FLAG_DETACHED);
        node.remove_flags(FLAG_LARGE); // LV2: it is empty
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
