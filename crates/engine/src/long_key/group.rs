//! The members of a group as bytes. FROZEN at version 1. All numbers are little-endian.
//!
//! ```text
//! group:   count u32 | end u32 * count | member * count
//! end:     where a member ends, from the first byte behind the ends
//! member:  length of the suffix u16 | suffix | value, to the end
//! ```
//!
//! # Invariants
//!
//! - **GR1** Suffixes ascend, each once, and none is empty; there is at least one member. So a search is binary, and a group that has
//!   lost its last member is no group.
//! - **GR2** Reading is total: any bytes give members or an error, without a panic, and without an allocation that they ask for.
//! - **GR3** A group has at most [`GROUP_BYTES_MAX`] bytes.

use std::ops::{Bound, Range};

/// The longest group (GR3).
pub(crate) const GROUP_BYTES_MAX: usize = 16 << 20;
/// What a group takes for its count. FROZEN.
const COUNT_BYTES: usize = 4;
/// What it takes for the end of a member. FROZEN.
const END_BYTES: usize = 4;
/// What a member takes for the length of its suffix. FROZEN.
const SUFFIX_LEN_BYTES: usize = 2;

/// What a group of this one member takes.
pub(crate) const fn single_bytes(suffix_len: usize, value_len: u64) -> u64 {
    (COUNT_BYTES + END_BYTES + SUFFIX_LEN_BYTES + suffix_len) as u64 + value_len
}

/// What is wrong with the bytes of a group.
pub(crate) type Malformed = &'static str;

const BEYOND: Malformed = "a member lies beyond it";

/// A group, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'b> {
    bytes: &'b [u8],
    count: usize,
}

/// Where a member lies in the bytes of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) suffix: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// What a suffix gets; nothing removes it.
pub(crate) type Change<'c> = (&'c [u8], Option<&'c [u8]>);

/// The end of a range within a group, by suffixes.
pub(crate) type SuffixBounds<'s> = (Bound<&'s [u8]>, Bound<&'s [u8]>);

impl<'b> Group<'b> {
    /// Reads the bytes of a group. O(1).
    pub(crate) fn new(bytes: &'b [u8]) -> Result<Group<'b>, Malformed> {
        let count = bytes.first_chunk().map(|count| u32::from_le_bytes(*count) as usize);
        let group = Group { bytes, count: count.ok_or("it is cut short")? };
        if group.count == 0 {
            return Err("it has no member");
        }
        if group.members_at() > bytes.len() as u64 {
            return Err("it is cut short");
        }
        if group.members_at() + group.end(group.count - 1) != bytes.len() as u64 {
            return Err("it is not as long as its members");
        }
        Ok(group)
    }

    /// How many members.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn members_at(&self) -> u64 {
        (COUNT_BYTES + END_BYTES * self.count) as u64
    }

    fn end(&self, index: usize) -> u64 {
        let at = COUNT_BYTES + END_BYTES * index;
        u64::from(u32::from_le_bytes(self.bytes[at..at + END_BYTES].try_into().expect("four bytes")))
    }

    /// Where a member lies.
    pub(crate) fn member(&self, index: usize) -> Result<Member, Malformed> {
        let from = index.checked_sub(1).map_or(0, |before| self.end(before)) + self.members_at();
        let to = self.end(index) + self.members_at();
        let bytes = self.bytes.get(from as usize..to as usize).ok_or(BEYOND)?; // GR2
        let suffix_len =
            bytes.first_chunk().map(|len| usize::from(u16::from_le_bytes(*len))).ok_or(BEYOND)?;
        if suffix_len > bytes.len() - SUFFIX_LEN_BYTES {
            return Err(BEYOND);
        }
        let suffix_at = from as usize + SUFFIX_LEN_BYTES;
        let value_at = suffix_at + suffix_len;
        Ok(Member { suffix: suffix_at..value_at, value: value_at..to as usize })
    }

    fn pair(&self, index: usize) -> Result<(&'b [u8], &'b [u8]), Malformed> {
        let Member { suffix, value } = self.member(index)?;
        Ok((&self.bytes[suffix], &self.bytes[value]))
    }

    /// Members whose suffixes lie before a place: below `suffix`, or up to it if `through`. O(log members).
    fn position(&self, suffix: &[u8], through: bool) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.pair(middle)?.0;
            if found < suffix || through && found == suffix {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The member of this suffix. O(log members).
    pub(crate) fn find(&self, suffix: &[u8]) -> Result<Option<Member>, Malformed> {
        let index = self.position(suffix, false)?;
        if index == self.count {
            return Ok(None);
        }
        let member = self.member(index)?;
        Ok((self.bytes[member.suffix.clone()] == *suffix).then_some(member))
    }

    /// The members of a range of suffixes, by number. O(log members).
    pub(crate) fn range(&self, (from, to): SuffixBounds<'_>) -> Result<Range<usize>, Malformed> {
        let first = match from {
            Bound::Unbounded => 0,
            Bound::Included(from) => self.position(from, false)?,
            Bound::Excluded(from) => self.position(from, true)?,
        };
        let behind = match to {
            Bound::Unbounded => self.count,
            Bound::Included(to) => self.position(to, true)?,
            Bound::Excluded(to) => self.position(to, false)?,
        };
        Ok(first..behind.max(first))
    }

    /// Reads every member, for its order (GR1). Returns the bytes of all suffixes and values.
    pub(crate) fn check(&self, suffix_len_max: usize) -> Result<u64, Malformed> {
        let (mut before, mut bytes) = (&[][..], 0);
        for index in 0..self.count {
            let (suffix, value) = self.pair(index)?;
            if suffix <= before {
                return Err("its members are not in order");
            }
            if suffix.len() > suffix_len_max {
                return Err("a key in it is longer than any may be");
            }
            before = suffix;
            bytes += (suffix.len() + value.len()) as u64;
        }
        Ok(bytes)
    }

    /// The group without a range of its members; nothing if none is left.
    pub(crate) fn without(&self, gone: Range<usize>) -> Result<Option<Vec<u8>>, Malformed> {
        let mut left = Builder::default();
        for index in (0..self.count).filter(|index| !gone.contains(index)) {
            let (suffix, value) = self.pair(index)?;
            left.push(suffix, value);
        }
        Ok(left.finish())
    }
}

/// What changes make of a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What it was.
    Same,
    /// Nothing: there is no member any more.
    Gone,
    /// Another.
    Changed(Vec<u8>),
    /// One of so many bytes, which is too long (GR3).
    TooLong(u64),
}

/// Merges changes, in order of their suffixes and each suffix once, into a group. O(bytes of both).
pub(crate) fn merge(group: Option<Group<'_>>, changes: &[Change<'_>]) -> Result<Outcome, Malformed> {
    let mut merged = Builder::default();
    let mut same = true;
    let mut changes = changes.iter().copied().peekable();
    for index in 0..group.map_or(0, |group| group.count()) {
        let Some((suffix, value)) = group.map(|group| group.pair(index)).transpose()? else { break };
        while let Some((new, put)) = changes.next_if(|(new, _)| *new < suffix) {
            same &= put.is_none();
            put.into_iter().for_each(|put| merged.push(new, put));
        }
        match changes.next_if(|(new, _)| *new == suffix) {
            None => merged.push(suffix, value),
            Some((_, put)) => {
                same &= put == Some(value);
                put.into_iter().for_each(|put| merged.push(suffix, put));
            }
        }
        if merged.len() > GROUP_BYTES_MAX as u64 {
            break;
        }
    }
    for (new, put) in changes {
        same &= put.is_none();
        put.into_iter().for_each(|put| merged.push(new, put));
    }
    let len = merged.len();
    Ok(match merged.finish() {
        _ if same => Outcome::Same,
        _ if len > GROUP_BYTES_MAX as u64 => Outcome::TooLong(len),
        None => Outcome::Gone,
        Some(bytes) => Outcome::Changed(bytes),
    })
}

/// Makes a group of members that come in order.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    ends: Vec<u8>,
    members: Vec<u8>,
}

impl Builder {
    /// Adds the next member.
    ///
    /// # Panics
    ///
    /// If its suffix is longer than that of any key.
    pub(crate) fn push(&mut self, suffix: &[u8], value: &[u8]) {
        let suffix_len = u16::try_from(suffix.len()).expect("a key has at most 64 KiB, its prefix included");
        self.members.extend_from_slice(&suffix_len.to_le_bytes());
        self.members.extend_from_slice(suffix);
        self.members.extend_from_slice(value);
        // One that is too long is never finished into bytes that are kept (GR3).
        self.ends.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
    }

    /// Its length so far.
    pub(crate) fn len(&self) -> u64 {
        (COUNT_BYTES + self.ends.len() + self.members.len()) as u64
    }

    /// The group; nothing if it has no member.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        let count = (self.ends.len() / END_BYTES) as u32;
        if count == 0 {
            return None;
        }
        Some([&count.to_le_bytes()[..], &self.ends, &self.members].concat())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
