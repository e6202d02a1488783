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

use crate::fault::Attempt;
use crate::point_read::{Seen, TryRead};
use aquifer_buffer::{Mutation, PageId, Pager, Retry};
use build::{Builder, Plan};
use leaf::{Leaf, ValueAt};
use node::Node;
use std::ops::Bound;

/// A B+tree: its root page, which never changes, and the table that owns its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BTree {
    root: PageId,
    table: u32,
}

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

    /// A cursor over a range.
    pub fn cursor<'p>(&self, pager: &'p Pager, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Cursor<'p> {
        Cursor::new(*self, pager, from, to)
    }
}

impl TryRead for BTree {
    #[inline(always)]
    fn try_read(
        &self,
        pager: &Pager,
        key: &[u8],
        latched: bool,
        take: &mut impl FnMut(Option<Seen<'_>>),
    ) -> Attempt<u64> {
        let leaf = self.leaf(pager, key)?;
        let latch = if latched { Some(pager.shared(leaf.id())) } else { None };
        if latched {
            leaf.validate()?; // it must still be what the descent found, also if there is no such page any more
        }
        let _latch = latch.transpose()?;
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
        take(Some(Seen { page: leaf, offset, len, kind }));
        leaf.validate()?;
        Ok(changed_at)
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod test_tree;
#[cfg(all(test, not(loom)))]
mod tests;
