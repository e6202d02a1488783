//! A page taken by itself, without its tree: for salvage. What it says is checked as far as a page alone can be.
//!
//! # Invariants
//!
//! - **LP1** A page is read only after every check of [`page_check`](super::page_check) that needs no other page: sizes,
//!   fences, order of keys, hints or fingerprints, heap. What passes can be read without a panic (ND1).

use super::layout::FLAG_DISMANTLED;
use super::leaf::Leaf;
use super::node::Node;
use super::page_check::{Expected, check_page};
use crate::LeafValue;
use aquifer_buffer::PageId;

/// A page of a sorted tree that was found somewhere.
#[derive(Debug, Clone, Copy)]
pub struct LoosePage<'b> {
    node: Node<&'b [u8]>,
}

impl<'b> LoosePage<'b> {
    /// Takes bytes for a page (LP1). O(page).
    ///
    /// # Errors
    ///
    /// What is wrong, if they are none.
    ///
    /// ```
    /// use aquifer_index::btree::LoosePage;
    ///
    /// assert!(LoosePage::new(&[0; 4096]).is_err());
    /// ```
    pub fn new(bytes: &'b [u8]) -> Result<LoosePage<'b>, String> {
        let node = Node::new(bytes);
        if !node.is_sane() || node.own_id() == PageId::NONE {
            return Err("kind, level, id or the sizes in its header make no sense".into());
        }
        let (Some(lower), Some(upper)) = (node.lower(), node.upper()) else {
            return Err("its fences lie beyond the page".into());
        };
        let expected = Expected { id: node.own_id(), lower: Some(lower), upper: Some(upper) };
        match check_page(node, &expected).faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(LoosePage { node }),
        }
    }

    /// The page's own id.
    pub fn id(&self) -> PageId {
        self.node.own_id()
    }

    /// The table that owns it.
    pub fn table(&self) -> u32 {
        self.node.owner()
    }

    /// 0: a leaf, with records.
    pub fn level(&self) -> u8 {
        self.node.level()
    }

    /// LSN of the newest change in it.
    pub fn changed_at(&self) -> u64 {
        self.node.changed_at()
    }

    /// The root of a tree that is being dismantled: its table was dropped.
    pub fn is_dismantled(&self) -> bool {
        self.node.summary().flags() & FLAG_DISMANTLED != 0
    }

    /// Its keys are at or above this.
    pub fn lower(&self) -> &'b [u8] {
        self.node.lower().expect("LP1")
    }

    /// Its keys are below this; nothing means that there is no bound.
    pub fn upper(&self) -> Option<&'b [u8]> {
        self.node.upper().expect("LP1")
    }

    /// Has it neither records nor separators?
    pub fn is_empty(&self) -> bool {
        self.node.count() == 0
    }

    /// Gives the records of a leaf to `visit`, in order of their keys. An inner page has none.
    pub fn records(&self, mut visit: impl FnMut(&[u8], LeafValue<'_>)) {
        if self.level() > 0 {
            return;
        }
        let mut key = Vec::new();
        let leaf = Leaf::of(self.node);
        let shared_len = leaf.shared_to(&mut key);
        for spot in leaf.all_spots() {
            leaf.rest_to(spot, shared_len, &mut key).expect("LP1");
            visit(&key, leaf.value(spot).expect("LP1"));
        }
    }

    /// Gives the children of an inner page to `visit`, in order, each with the keys that it covers: from, and below (nothing:
    /// no bound). A leaf has none.
    pub fn children(&self, mut visit: impl FnMut(PageId, &[u8], Option<&[u8]>)) {
        if self.level() == 0 {
            return;
        }
        let count = self.node.count();
        let mut lower = self.lower().to_vec();
        let mut next = Vec::new();
        for index in 0..=count {
            if index < count {
                self.node.key_to(self.node.slot(index), &mut next);
            }
            let upper = if index < count { Some(&next[..]) } else { self.upper() };
            visit(self.node.child(index), &lower, upper);
            std::mem::swap(&mut lower, &mut next);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
