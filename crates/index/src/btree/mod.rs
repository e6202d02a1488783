//! The sorted index: a B+tree on slotted pages.
//!
//! | module | its secret |
//! |---|---|
//! | `layout` | the bytes of a page |
//! | `node`, `search` | reading a page, finding a key on it |
//! | `edit`, `build` | changing a page, making one |
//! | `fingerprint` | finding a key where heads say little |
//! | `dense`, `dense_edit` | leaves without slots: their bytes, reading and changing them |
//! | `leaf`, `anew` | the records of a leaf of any kind; which kind it gets |
//! | `split` | where a page is cut |
//! | `descent` | from the root to a leaf without a latch |
//! | `place`, `grow` | a leaf latched for a change; splits with their latches |
//! | `rebalance`, `regroup` | merging lean pages, with their latches; putting entries together anew |
//! | `range_delete` | cutting a range out of the tree |
//! | `bulk` | building a tree from sorted records; exchanging two |
//! | `cursor`, `leaf_copy` | records in order |
//! | `ahead` | loading leaves before they are needed |
//! | `large` | whether there may be large values |
//! | `check`, `dismantle`, `count` | the whole tree |
//! | `loose` | a page without its tree, for salvage |
//!
//! # Invariants
//!
//! - **BT** of the layout: what a page looks like.
//! - **TE1** The root keeps its page id for the life of the tree.
//! - **TE2** On each level the pages, followed by their right neighbours, cover all keys without gap or overlap.
//! - **TE3** Readers write nothing shared, but for the shared latch that a leaf gets after two restarts or
//!   from a cursor.

mod ahead;
mod anew;
mod build;
mod bulk;
mod check;
mod count;
mod cursor;
mod dense;
mod dense_edit;
mod descent;
mod dismantle;
mod edit;
mod fingerprint;
mod grow;
mod large;
mod layout;
mod leaf;
mod leaf_copy;
mod loose;
mod node;
mod page_check;
mod place;
mod range_delete;
mod rebalance;
mod regroup;
mod search;
mod split;

pub use bulk::{BulkError, BulkLoader, Swap};
pub use check::CheckReport;
pub use count::Counted;
pub use cursor::{Cursor, Record};
pub use loose::LoosePage;
pub use place::Place;
pub use range_delete::Cut;

use crate::{Lookup, ValueKind, fault, words};
use aquifer_buffer::{Mutation, Optimistic, PageId, Pager, Result, Retry};
use build::{Builder, Plan};
use fault::Attempt;
use leaf::{Leaf, ValueAt};
use node::Node;
use std::ops::Bound;
use words::Words as _;

/// A B+tree: its root page, which never changes, and the table that owns its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BTree {
    root: PageId,
    table: u32,
}

/// Restarts after which a reader takes the leaf's shared latch.
const RESTARTS: usize = 2;

impl BTree {
    /// A new, empty tree.
    ///
    /// # Errors
    ///
    /// [`Retry::Frames`] if there is no frame for its root.
    pub fn create(m: &Mutation<'_>, table: u32) -> std::result::Result<BTree, Retry> {
        let mut page = m.allocate()?;
        let root = page.id();
        let builder = Builder::new(page.bytes().len(), &Plan::root(table, root, 0));
        let bytes = builder.expect("a page without entries fits").finish();
        page.bytes_mut().copy_from_slice(&bytes);
        Ok(BTree { root, table })
    }

    /// The tree at this root. Nothing is read: a page that is no such root gives an error when it is used.
    pub fn at(root: PageId, table: u32) -> BTree {
        BTree { root, table }
    }

    /// Its root.
    #[inline]
    pub fn root(&self) -> PageId {
        self.root
    }

    /// The table that owns its pages.
    #[inline]
    pub fn table(&self) -> u32 {
        self.table
    }

    /// Longest key in bytes (1/8 page), and longest value (1/4 page).
    pub fn limits(page_bytes: usize) -> (usize, usize) {
        (layout::key_bytes_max(page_bytes), layout::value_bytes_max(page_bytes))
    }

    /// Copies the value of `key` into `out` (what it held is lost). Returns whether there is one.
    /// O(log n), one page a level.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    #[inline]
    pub fn get_into(&self, pager: &Pager, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        Ok(self.get_value_into(pager, key, out)?.is_some())
    }

    /// As [`get_into`](BTree::get_into), and says whether it is the value or its descriptor.
    ///
    /// # Errors
    ///
    /// As [`get_into`](BTree::get_into).
    #[inline]
    pub fn get_value_into(&self, pager: &Pager, key: &[u8], out: &mut Vec<u8>) -> Result<Option<ValueKind>> {
        Ok(self.look_up(pager, key, out)?.kind)
    }

    /// As [`get_value_into`](BTree::get_value_into), and says when the page was changed last.
    ///
    /// # Errors
    ///
    /// As [`get_into`](BTree::get_into).
    #[inline]
    pub fn look_up(&self, pager: &Pager, key: &[u8], out: &mut Vec<u8>) -> Result<Lookup> {
        let mut kind = None;
        let changed_at = self.read(pager, key, |value| {
            kind = value.as_ref().map(|value| value.kind);
            match value {
                Some(value) => value.copy_to(out),
                None => out.clear(),
            }
        })?;
        Ok(Lookup { kind, changed_at })
    }

    /// Is there a record?
    ///
    /// # Errors
    ///
    /// As [`get_into`](BTree::get_into).
    pub fn contains(&self, pager: &Pager, key: &[u8]) -> Result<bool> {
        Ok(self.look_for(pager, key)?.kind.is_some())
    }

    /// As [`contains`](BTree::contains), and says when the page was changed last.
    ///
    /// # Errors
    ///
    /// As [`get_into`](BTree::get_into).
    pub fn look_for(&self, pager: &Pager, key: &[u8]) -> Result<Lookup> {
        let mut kind = None;
        let changed_at = self.read(pager, key, |value| kind = value.map(|value| value.kind))?;
        Ok(Lookup { kind, changed_at })
    }

    /// A cursor over a range.
    pub fn cursor<'p>(&self, pager: &'p Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Cursor<'p> {
        Cursor::new(*self, pager, from, to)
    }

    /// Looks `key` up, gives what was found to `take`, and says when the page was changed last. `take` is
    /// called again if what it was given turns out to be torn.
    #[inline(always)]
    fn read(&self, pager: &Pager, key: &[u8], mut take: impl FnMut(Option<Value<'_>>)) -> Result<u64> {
        match self.try_read(pager, key, &mut take) {
            Ok(changed_at) => Ok(changed_at),
            Err(stop) => self.read_patiently(pager, key, stop, &mut take),
        }
    }

    #[inline(always)]
    fn try_read(&self, pager: &Pager, key: &[u8], take: &mut impl FnMut(Option<Value<'_>>)) -> Attempt<u64> {
        let leaf = self.leaf(pager, key)?;
        read_leaf(leaf, key, take)
    }

    #[cold]
    fn read_patiently(
        &self,
        pager: &Pager,
        key: &[u8],
        mut retry: Retry,
        take: &mut impl FnMut(Option<Value<'_>>),
    ) -> Result<u64> {
        let mut restarts = 0;
        loop {
            restarts += usize::from(retry == Retry::Changed);
            pager.resolve(retry)?;
            let attempt = self.leaf(pager, key).and_then(|leaf| {
                // The latch keeps writers away; the leaf must still be what the descent found.
                let latched = if restarts >= RESTARTS { Some(pager.shared(leaf.id())) } else { None };
                leaf.validate()?; // also if there is no such page any more
                let _latched = latched.transpose()?;
                read_leaf(leaf, key, take)
            });
            match attempt {
                Ok(changed_at) => return Ok(changed_at),
                Err(again) => retry = again,
            }
        }
    }
}

/// Where a value was seen.
struct Value<'p> {
    page: Optimistic<'p>,
    offset: usize,
    len: usize,
    kind: ValueKind,
}

impl Value<'_> {
    #[inline(always)]
    fn copy_to(&self, out: &mut Vec<u8>) {
        self.page.words().copy_to(self.offset, self.len, out);
    }
}

#[inline(always)]
fn read_leaf(leaf: Optimistic<'_>, key: &[u8], take: &mut impl FnMut(Option<Value<'_>>)) -> Attempt<u64> {
    let node = Node::new(leaf.words());
    let changed_at = node.changed_at();
    let Some(value) = Leaf::of(node).value_of(key) else {
        take(None);
        leaf.validate()?;
        return Ok(changed_at);
    };
    let Some(ValueAt { offset, len, kind }) = value else {
        leaf.validate()?;
        return Err(Retry::Damaged(leaf.id(), "a value lies beyond the page"));
    };
    take(Some(Value { page: leaf, offset, len, kind }));
    leaf.validate()?;
    Ok(changed_at)
}

#[cfg(all(test, not(loom)))]
pub(crate) mod test_tree;
#[cfg(all(test, not(loom)))]
mod tests;
