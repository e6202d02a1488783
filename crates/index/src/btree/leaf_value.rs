//! The value of a record: bytes that lie in the leaf, or the descriptor of a large value.
//!
//! Bit 15 of an entry's value length says which: no inline value is that long (a quarter of 64 KiB has bit 14 alone). This
//! file and [`layout`](super::layout) are the only places that know the bit. Whoever moves records between pages moves
//! [`LeafValue`]s.
//!
//! # Invariants
//!
//! - **LV1** Every descriptor is flagged and nothing else is, so no inline bytes are ever taken for a descriptor.
//! - **LV2** The root of a tree that has a flagged record has [`FLAG_LARGE`] (it may have it without): it is set in the passage
//!   that puts the record, and stays when the root is split, rebuilt or lowered. So a tree without it needs no search for large values when it is
//!   dropped, and its overwrites need no look at the old value. Whoever removes records without looking at each (dismantling,
//!   deleting a range, clearing) sees to the flagged ones, and to their pages. A detached tree is exempt: it never has the flag,
//!   and what its records name is not its own any more (RD6).

use super::BTree;
use super::edit::NodeMut;
use super::fault::Attempt;
use super::layout::{FLAG_DISMANTLED, FLAG_LARGE, LARGE_BIT};
use super::node::Node;
use aquifer_buffer::{Mutation, Pager, Result, Retry};

/// What the bytes of a record are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ValueKind {
    /// The value itself.
    #[default]
    Inline,
    /// The descriptor of a large value.
    Large,
}

/// The bytes of a record, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafValue<'b> {
    /// Kind.
    pub kind: ValueKind,
    /// The value, or its descriptor.
    pub bytes: &'b [u8],
}

impl<'b> LeafValue<'b> {
    /// A value that lies in the leaf.
    pub fn inline(bytes: &'b [u8]) -> Self {
        Self { kind: ValueKind::Inline, bytes }
    }

    /// A descriptor.
    pub fn large(bytes: &'b [u8]) -> Self {
        Self { kind: ValueKind::Large, bytes }
    }

    /// Is it a descriptor?
    pub fn is_large(&self) -> bool {
        self.kind == ValueKind::Large
    }

    /// The length as an entry stores it.
    pub(crate) fn stored_len(&self) -> usize {
        self.bytes.len() | if self.is_large() { LARGE_BIT } else { 0 }
    }
}

impl ValueKind {
    /// What an entry's stored length says.
    #[inline(always)]
    pub(crate) fn of_stored(len: usize) -> Self {
        if len & LARGE_BIT == 0 { ValueKind::Inline } else { ValueKind::Large }
    }
}

impl BTree {
    /// May there be large values in this tree? There is none any more in one that is being dismantled. O(1).
    ///
    /// # Errors
    ///
    /// What loading the root gives.
    pub fn may_hold_large(&self, pager: &Pager) -> Result<bool> {
        loop {
            let attempt: Attempt<bool> = pager.read(self.root()).and_then(|root| {
                let flags = Node::new(root.words()).summary().flags();
                root.validate()?;
                Ok(flags & (FLAG_LARGE | FLAG_DISMANTLED) == FLAG_LARGE)
            });
            match attempt {
                Ok(flagged) => return Ok(flagged),
                Err(retry) => pager.resolve(retry)?,
            }
        }
    }

    /// Notes at the root that there may be large values (LV2). To be called in the passage that puts one, before its place is
    /// taken; idempotent.
    ///
    /// # Errors
    ///
    /// What has to happen before it can be tried again.
    pub fn note_large(&self, m: &Mutation<'_>) -> std::result::Result<(), Retry> {
        let mut page = m.exclusive(self.root())?;
        let node = Node::new(page.bytes());
        if !self.is_own(node.summary(), node.level(), node.owner()) {
            return Err(Retry::Damaged(self.root(), "it is not the root of this tree"));
        }
        if node.summary().flags() & FLAG_LARGE == 0 {
            page.make_dirty()?;
            NodeMut::new(page.bytes_mut()).add_flags(FLAG_LARGE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
