//! Building a tree page from its header and entries in key order.

use super::dense::{self, Shape};
use super::edit::NodeMut;
use super::fingerprint;
use super::layout::*;
use super::leaf::Leaf;
use super::node::Node;
use crate::LeafValue;
use crate::fault::Nonsense;
use aquifer_buffer::PageId;

/// What a new page's header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'k> {
    pub(crate) level: u8,
    pub(crate) flags: u8,
    pub(crate) owner: u32,
    pub(crate) id: PageId,
    pub(crate) right: PageId,
    pub(crate) changed_at: u64,
    pub(crate) leftmost: PageId,
    pub(crate) lower: &'k [u8],
    pub(crate) upper: Option<&'k [u8]>,
    pub(crate) run: i8,
    pub(crate) run_position: usize,
}

impl<'k> Plan<'k> {
    /// A page that covers every key.
    pub(crate) fn root(owner: u32, id: PageId, level: u8) -> Self {
        Self {
            level,
            flags: 0,
            owner,
            id,
            right: PageId::NONE,
            changed_at: 0,
            leftmost: PageId::NONE,
            lower: &[],
            upper: None,
            run: 0,
            run_position: 0,
        }
    }

    /// What a page's header says, but for how its insertions followed each other.
    pub(crate) fn of(node: Node<&'k [u8]>) -> Result<Self, Nonsense> {
        Ok(Self {
            level: node.level(),
            flags: 0,
            owner: node.owner(),
            id: node.own_id(),
            right: node.right(),
            changed_at: node.changed_at(),
            leftmost: node.leftmost(),
            lower: node.lower().ok_or(BEYOND)?,
            upper: node.upper().ok_or(BEYOND)?,
            run: 0,
            run_position: 0,
        })
    }

    /// Bytes that keys of this page do not store (BT1).
    pub(crate) fn prefix_len(&self) -> usize {
        self.upper.map_or(0, |upper| common_prefix_len(self.lower, upper))
    }
}

/// A page in the making.
#[derive(Debug)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    /// Key references of an inner page; their place depends on the count.
    references: Vec<u8>,
    level: u8,
    prefix_len: usize,
    count: usize,
    /// Heads that equal the one before.
    equal_heads: usize,
    /// Fingerprints of the first records, as far as they are known.
    fingerprints: Vec<u8>,
    heap_start: usize,
    /// A dense leaf's, and the run position that was asked for.
    dense: Option<(Shape, usize)>,
}

impl Builder {
    /// A page without entries: an inner one, or a leaf with slots.
    pub(crate) fn new(page_bytes: usize, plan: &Plan<'_>) -> Result<Self, Nonsense> {
        let mut bytes = vec![0; page_bytes];
        let upper = plan.upper.unwrap_or_default();
        let upper_end = page_bytes.checked_sub(plan.lower.len()).ok_or(NO_ROOM)?;
        let heap_start = upper_end.checked_sub(upper.len()).filter(|&at| at >= SLOTS).ok_or(NO_ROOM)?;
        bytes[KIND] = if plan.level == 0 { KIND_LEAF } else { KIND_INNER };
        bytes[FLAGS] = plan.flags | if plan.upper.is_none() { FLAG_UNBOUNDED } else { 0 };
        bytes[LEVEL] = plan.level;
        bytes[RUN] = plan.run as u8;
        bytes[upper_end..].copy_from_slice(plan.lower);
        bytes[heap_start..upper_end].copy_from_slice(upper);
        for (at, value) in
            [(OWNER, plan.owner), (OWN_ID, plan.id.0), (RIGHT, plan.right.0), (LEFTMOST, plan.leftmost.0)]
        {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes[CHANGED_AT..CHANGED_AT + 8].copy_from_slice(&plan.changed_at.to_le_bytes());
        let prefix_len = plan.prefix_len();
        let mut builder = Self {
            bytes,
            references: Vec::new(),
            level: plan.level,
            prefix_len,
            count: 0,
            equal_heads: 0,
            fingerprints: Vec::new(),
            heap_start,
            dense: None,
        };
        builder.set_u16(PREFIX_LEN, prefix_len);
        builder.set_u16(LOWER_LEN, plan.lower.len());
        builder.set_u16(UPPER_LEN, upper.len());
        builder.set_u16(RUN_POSITION, plan.run_position);
        Ok(builder)
    }

    /// A dense leaf without records.
    pub(crate) fn dense(page_bytes: usize, plan: &Plan<'_>, shape: Shape) -> Result<Self, Nonsense> {
        let mut builder = Self::new(page_bytes, plan)?;
        if shape.form.dense_bytes(shape.places) > builder.heap_start {
            return Err(NO_ROOM);
        }
        builder.bytes[KIND] = KIND_DENSE;
        builder.set_u16(dense::PLACES, shape.places);
        builder.set_u16(dense::VALUE_LEN, shape.form.value_len);
        builder.set_u16(dense::KEY_LEN, shape.form.key_len);
        builder.bytes[dense::BASE..dense::BASE + 8].copy_from_slice(&shape.base.to_le_bytes());
        builder.set_u16(RUN_POSITION, 0);
        builder.dense = Some((shape, plan.run_position));
        Ok(builder)
    }

    /// Appends a record, whose key is above the ones before.
    #[inline]
    pub(crate) fn push_record(&mut self, key: &[u8], value: LeafValue<'_>) -> Result<(), Nonsense> {
        debug_assert_eq!(self.level, 0);
        if let Some((shape, run_position)) = self.dense {
            return self.push_dense(shape, run_position, key, value);
        }
        self.push(key, value.bytes, value.stored_len())
    }

    /// Appends a separator, above the ones before, and the child to its right.
    pub(crate) fn push_child(&mut self, separator: &[u8], child: PageId) -> Result<(), Nonsense> {
        debug_assert!(self.level > 0);
        self.push(separator, &child.0.to_le_bytes(), 0)
    }

    #[inline]
    fn push(&mut self, key: &[u8], payload: &[u8], stored_len: usize) -> Result<(), Nonsense> {
        if key.len() < self.prefix_len {
            return Err(Nonsense("a key is shorter than the common prefix"));
        }
        let suffix = Suffix::of(key, self.prefix_len);
        let fixed = entry_head_bytes(self.level);
        let value = if self.level == 0 { payload } else { &[] };
        let len = fixed + suffix.rest.len() + value.len();
        let slots_end = SLOTS + slot_bytes(self.level) * (self.count + 1);
        let start = self.heap_start.checked_sub(len).filter(|&at| at >= slots_end).ok_or(NO_ROOM)?;
        if self.level == 0 {
            self.set_u16(start, stored_len);
        }
        let value_at = start + fixed + suffix.rest.len();
        self.bytes[start + fixed..value_at].copy_from_slice(suffix.rest);
        self.bytes[value_at..start + len].copy_from_slice(value);
        let slot = Slot::new(suffix.head, if len == 0 { 0 } else { start }, suffix.len);
        let at = SLOTS + SLOT_BYTES * self.count;
        let head_before = &self.bytes[at - HEAD_BYTES..at];
        self.equal_heads += usize::from(self.count > 0 && *head_before == suffix.head.to_le_bytes());
        self.bytes[at..at + SLOT_BYTES].copy_from_slice(&slot.0.to_le_bytes());
        if self.level > 0 {
            self.bytes[at..at + 4].copy_from_slice(payload);
            self.references.extend_from_slice(&slot.0.to_le_bytes()[..REFERENCE_BYTES]);
        }
        self.heap_start = start;
        self.count += 1;
        Ok(())
    }

    fn push_dense(
        &mut self,
        shape: Shape,
        run_position: usize,
        key: &[u8],
        value: LeafValue<'_>,
    ) -> Result<(), Nonsense> {
        let place =
            shape.place(key).filter(|_| !value.is_large() && value.bytes.len() == shape.form.value_len);
        let place = place.ok_or(UNLIKE)?;
        let start = shape.value_at(place);
        self.bytes[start..start + value.bytes.len()].copy_from_slice(value.bytes);
        self.bytes[dense::BITMAP + place / 8] |= 1 << (place % 8);
        self.count += 1;
        if self.count == run_position {
            self.set_u16(RUN_POSITION, place + 1);
        }
        Ok(())
    }

    /// Appends records of another leaf.
    pub(crate) fn push_records(
        &mut self,
        leaf: Leaf<&[u8]>,
        records: std::ops::Range<usize>,
    ) -> Result<(), Nonsense> {
        let mut key = Vec::new();
        let shared_len = leaf.shared_to(&mut key);
        for spot in leaf.spots(records.clone()) {
            leaf.rest_to(spot, shared_len, &mut key).ok_or(BEYOND)?;
            self.push_record(&key, leaf.value(spot).ok_or(BEYOND)?)?;
        }
        self.fingerprints.extend_from_slice(leaf.fingerprints(records));
        Ok(())
    }

    /// Appends separators of another inner page, with their children.
    pub(crate) fn push_children(
        &mut self,
        node: Node<&[u8]>,
        slots: std::ops::Range<usize>,
    ) -> Result<(), Nonsense> {
        let mut key = Vec::new();
        for index in slots {
            node.key_to(node.slot(index), &mut key);
            self.push_child(&key, node.child(index + 1))?;
        }
        Ok(())
    }

    /// The page; a leaf with slots gets what serves its search better (FP2).
    pub(crate) fn finish(self) -> Vec<u8> {
        let wants_fingerprints = fingerprint::are_worth_it(self.count, self.equal_heads);
        self.finish_with(wants_fingerprints)
    }

    /// The page; a leaf with slots has fingerprints if they are wanted and there is room.
    pub(crate) fn finish_with(mut self, wants_fingerprints: bool) -> Vec<u8> {
        let heap_bytes = self.bytes.len() - self.heap_start;
        self.set_u16(COUNT, self.count);
        if self.dense.is_some() {
            return self.bytes;
        }
        self.set_u16(HEAP_BYTES, heap_bytes);
        self.set_u16(LIVE_BYTES, heap_bytes);
        let references = SLOTS + SLOT_BYTES * self.count;
        self.bytes[references..references + self.references.len()].copy_from_slice(&self.references);
        let has_room = references + fingerprint::bytes_more(self.count) <= self.heap_start;
        if wants_fingerprints && has_room && self.level == 0 {
            fingerprint::write_all(&mut self.bytes, &self.fingerprints);
        } else {
            NodeMut::new(&mut self.bytes).write_hints();
        }
        self.bytes
    }

    fn set_u16(&mut self, offset: usize, value: usize) {
        self.bytes[offset..offset + 2].copy_from_slice(&(value as u16).to_le_bytes());
    }
}

const BEYOND: Nonsense = Nonsense("an entry lies beyond the page");
/// A record does not belong on the dense leaf.
pub(crate) const UNLIKE: Nonsense = Nonsense("a record is not like the others of its leaf");
pub(crate) const NO_ROOM: Nonsense = Nonsense("entries need more room than there is");
