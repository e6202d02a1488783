//! Reading members in the order of their keys, from either end: a group that a cursor meets is opened, and its members come in
//! its place.

use super::group::{Group, SuffixBounds};
use super::{malformed, of_suffix, split};
use crate::engine::Engine;
use crate::error::Result;
use crate::range::{Bounds, Scan};
use crate::table_core::TableCore;
use std::ops::{Bound, Range};

/// A range of users' keys as one of the index: with the groups that it begins and ends in, whole.
#[derive(Debug, Default)]
pub(crate) struct IndexRange {
    /// The ends that lie within a group.
    from: Option<End>,
    to: Option<End>,
}

/// Where a range begins or ends within a group.
#[derive(Debug)]
struct End {
    group_key: Vec<u8>,
    /// By whole keys.
    bound: Bound<Vec<u8>>,
}

impl End {
    fn of(table: &TableCore, bound: &Bound<Vec<u8>>) -> Option<End> {
        let (Bound::Included(key) | Bound::Excluded(key)) = bound else { return None };
        let is_long = table.is_long(key);
        is_long.then(|| End { group_key: split(table.key_len_max, key).0, bound: bound.clone() })
    }

    /// What it says of the members of a group.
    fn within<'e>(end: &'e Option<End>, group_key: &[u8]) -> Bound<&'e [u8]> {
        match end {
            Some(end) if end.group_key == group_key => {
                of_suffix(end.bound.as_ref().map(Vec::as_slice), group_key)
            }
            _ => Bound::Unbounded,
        }
    }
}

impl IndexRange {
    pub(crate) fn of(table: &TableCore, (from, to): &Bounds) -> IndexRange {
        IndexRange { from: End::of(table, from), to: End::of(table, to) }
    }

    /// The range of the index (LK2).
    pub(crate) fn bounds<'b>(&'b self, (from, to): &'b Bounds) -> (Bound<&'b [u8]>, Bound<&'b [u8]>) {
        let whole = |end: &'b Option<End>, bound: &'b Bound<Vec<u8>>| match end {
            Some(end) => Bound::Included(&end.group_key[..]),
            None => bound.as_ref().map(Vec::as_slice),
        };
        (whole(&self.from, from), whole(&self.to, to))
    }

    /// The part of a group that lies within the range.
    fn within(&self, group_key: &[u8]) -> SuffixBounds<'_> {
        (End::within(&self.from, group_key), End::within(&self.to, group_key))
    }
}

/// Records whose keys lie in a range, counted leaf by leaf; where there are groups, or records that may have expired, one by one.
pub(crate) fn count(engine: &Engine, table: &TableCore, bounds: Bounds) -> Result<u64> {
    table.check_usable()?;
    if table.expires() {
        return count_each(Scan::new(engine, table, bounds));
    }
    let range = IndexRange::of(table, &bounds);
    let (from, to) = range.bounds(&bounds);
    let counted = table.reading(table.index.sorted().count_longest(&table.pager, from, to))?;
    if counted.longest == 0 {
        return Ok(counted.records);
    }
    count_each(Scan::new(engine, table, bounds))
}

fn count_each(mut scan: Scan<'_>) -> Result<u64> {
    let mut count = 0;
    while scan.pass()? {
        count += 1;
    }
    Ok(count)
}

/// A group whose members are being read.
#[derive(Debug, Default)]
struct Opened {
    /// First what they all begin with, then a key.
    key: Vec<u8>,
    prefix_len: usize,
    bytes: Vec<u8>,
    /// Those that are still to come.
    members: Range<usize>,
}

/// The groups that a cursor has met, one from each end.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    range: IndexRange,
    front: Opened,
    back: Opened,
    /// Where the last member is: in which of the two, and its value.
    last: (bool, Range<usize>),
}

impl Expansion {
    pub(crate) fn new(range: IndexRange) -> Expansion {
        Expansion { range, ..Expansion::default() }
    }

    /// Are members of the group that was met last from this end still to come?
    #[inline]
    pub(crate) fn is_open(&self, back: bool) -> bool {
        let opened = if back { &self.back } else { &self.front };
        !opened.members.is_empty()
    }

    /// Opens a group that was met from an end, of which nothing is open: its key, and its bytes, from `bytes`.
    pub(crate) fn open(
        &mut self,
        table: &TableCore,
        back: bool,
        key: &[u8],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let within = self.range.within(key);
        let opened = if back { &mut self.back } else { &mut self.front };
        std::mem::swap(&mut opened.bytes, bytes);
        let members = Group::new(&opened.bytes).and_then(|group| group.range(within));
        opened.members = members.map_err(|what| malformed(table, what))?;
        opened.key.clear();
        opened.key.extend_from_slice(key);
        opened.prefix_len = key.len() - 1;
        Ok(())
    }

    /// Goes on to the next member from an end; whether there is one. When the cursor has nothing any more, what is left is in the group
    /// that was met from the other.
    pub(crate) fn advance(&mut self, table: &TableCore, back: bool, cursor_ended: bool) -> Result<bool> {
        let of_back = back != (cursor_ended && !self.is_open(back));
        let opened = if of_back { &mut self.back } else { &mut self.front };
        let next = if back { opened.members.next_back() } else { opened.members.next() };
        let Some(index) = next else { return Ok(false) };
        let member = Group::new(&opened.bytes).and_then(|group| group.member(index));
        let member = member.map_err(|what| malformed(table, what))?;
        opened.key.truncate(opened.prefix_len);
        opened.key.extend_from_slice(&opened.bytes[member.suffix]);
        self.last = (of_back, member.value);
        Ok(true)
    }

    /// The member that it went on to last: key and value.
    pub(crate) fn last(&self) -> (&[u8], &[u8]) {
        let (of_back, value) = &self.last;
        let opened = if *of_back { &self.back } else { &self.front };
        (&opened.key, &opened.bytes[value.clone()])
    }
}
