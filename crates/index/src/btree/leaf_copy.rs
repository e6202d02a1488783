//! A private copy of a leaf, and the record of it that a cursor is at.
//!
//! # Invariants
//!
//! - **LC1** A copy was taken under the leaf's shared latch, so it is a leaf as it was at one moment.
//! - **LC2** Its header is sane and it covers what it was entered for, or entering it was an error.
//! - **LC3** The key of the record last read stays until another is read, even when the copy is replaced.

use super::dense::Dense;
use super::descent::Goal;
use super::layout::HEAD_BYTES;
use super::leaf::ValueAt;
use super::node::Node;
use crate::fault::damaged;
use crate::{LeafValue, ValueKind};
use aquifer_buffer::{PageId, Result};
use std::cmp::Ordering;

/// A copy of a leaf.
#[derive(Debug, Default)]
pub(crate) struct LeafCopy {
    id: PageId,
    page: Vec<u8>,
    count: usize,
    is_dense: bool,
    /// Length of what all its keys begin with: the common prefix, or a dense leaf's stem.
    shared_len: usize,
    /// Record and place of a dense leaf last read; the first record's place is looked up.
    place: Option<(usize, usize)>,
    /// The key of the record last read.
    key: Vec<u8>,
    /// Does `key` begin with what this leaf's keys share?
    has_prefix: bool,
    value: ValueAt,
}

impl LeafCopy {
    /// Where to copy a leaf's bytes to; [`enter`](Self::enter) comes next.
    pub(crate) fn page_mut(&mut self) -> &mut Vec<u8> {
        &mut self.page
    }

    /// Makes the bytes copied a leaf to read.
    pub(crate) fn enter(&mut self, id: PageId, goal: Goal<'_>) -> Result<()> {
        let node = self.node();
        let covered = match goal {
            Goal::Key(key) => node.covers(key),
            Goal::Before(key) => {
                node.compare_lower(key) == Some(Ordering::Greater)
                    && node.compare_upper(key).is_some_and(Ordering::is_le)
            }
            Goal::Last => node.is_unbounded(),
        };
        if !node.is_sane() || !covered {
            return Err(damaged(id, "its header's sizes or its fences make no sense"));
        }
        let is_dense = node.is_dense();
        let shared_len = if is_dense { Dense::of(node).shape().form.stem_len() } else { node.prefix_len() };
        (self.count, self.shared_len, self.is_dense) = (node.count(), shared_len, is_dense);
        self.place = None;
        self.id = id;
        self.has_prefix = false; // LC3: the old key stays for now
        Ok(())
    }

    pub(crate) fn node(&self) -> Node<&[u8]> {
        Node::new(&self.page)
    }

    /// Records.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Reads record `index`.
    #[inline]
    pub(crate) fn read(&mut self, index: usize) -> Result<()> {
        if self.try_read(index).is_none() {
            return Err(damaged(self.id, "an entry lies beyond the page"));
        }
        Ok(())
    }

    #[inline(always)]
    fn try_read(&mut self, index: usize) -> Option<()> {
        if self.is_dense {
            return self.try_read_dense(index);
        }
        let node = Node::new(self.page.as_slice());
        let slot = node.slot(index);
        let (offset, len) = node.value_range(slot)?;
        self.value = ValueAt { offset, len, kind: node.value_kind(slot) };
        if !self.has_prefix {
            node.prefix_to(&mut self.key);
            self.has_prefix = true;
        }
        self.key.truncate(self.shared_len);
        let head = slot.head().to_be_bytes();
        self.key.extend_from_slice(&head[..slot.suffix_len().min(HEAD_BYTES)]);
        self.key.extend_from_slice(node.rest(slot)?);
        Some(())
    }

    fn try_read_dense(&mut self, index: usize) -> Option<()> {
        let node = Node::new(self.page.as_slice());
        let dense = Dense::of(node);
        let place = match self.place {
            Some((last, place)) if index == last + 1 => dense.next(place + 1)?,
            Some((last, place)) if index + 1 == last => dense.previous(place)?,
            _ => dense.select(index)?,
        };
        self.place = Some((index, place));
        let (offset, len) = dense.value_range(place)?;
        self.value = ValueAt { offset, len, kind: ValueKind::Inline };
        if !self.has_prefix {
            node.prefix_to(&mut self.key);
            self.has_prefix = true;
        }
        self.key.truncate(self.shared_len);
        dense.shape().append_tail(place, &mut self.key);
        Some(())
    }

    /// The key last read.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The record last read.
    #[inline]
    pub(crate) fn record(&self) -> (&[u8], &[u8]) {
        let ValueAt { offset, len, .. } = self.value;
        (&self.key, &self.page[offset..offset + len])
    }

    /// As [`record`](Self::record), with the kind of its value.
    #[inline]
    pub(crate) fn value_record(&self) -> (&[u8], LeafValue<'_>) {
        let (key, bytes) = self.record();
        (key, LeafValue { kind: self.value.kind, bytes })
    }
}
