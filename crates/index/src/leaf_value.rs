//! The value of a record in either index: bytes that lie in the page, or the descriptor of a large value.
//!
//! Bit 15 of an entry's value length says which: no inline value is that long (a quarter of 64 KiB has bit 14 alone). This
//! file is the only place that knows the bit. Whoever moves records between pages moves [`LeafValue`]s, or whole entries.
//!
//! # Invariants
//!
//! - **LV1** Every descriptor is flagged and nothing else is, so no inline bytes are ever taken for a descriptor.
//! - **LV2** The root of an index that has a flagged record has a flag of its own (it may have it without): `note_large` sets it
//!   in the passage that puts the record, and it stays when the root is split, rebuilt or lowered. So an index without it needs
//!   no search for large values when it is dropped, and its overwrites need no look at the old value. Whoever removes
//!   records without looking at each sees to the flagged ones, and to their pages.

/// The bit of a stored value length that marks a descriptor (LV1).
const LARGE_BIT: usize = 1 << 15;

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// What the record has in its leaf, if there is one.
    pub kind: Option<ValueKind>,
    /// No change after this LSN was on the page that has the key, or would have it.
    pub changed_at: u64,
}

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
    /// A value that lies in the page.
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

/// The length that an entry's stored length states, without the mark.
#[inline(always)]
pub(crate) fn len_of_stored(len: usize) -> usize {
    len & !LARGE_BIT
}

#[cfg(all(test, not(loom)))]
mod tests;
