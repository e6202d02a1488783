//! Changing members: a group is read, changed, and put in its place, if that is still what was read (LK3).

use super::group::{Builder, Member, Outcome, SuffixBounds, merge};
use super::{Seen, check, malformed, split, too_long};
use crate::batch::{BatchEntry, WriteBatch};
use crate::commit::{Change, commit_record};
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::large::{Logging, write_whole};
use crate::merge::operands;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::Pin;
use aquifer_sync::Arc;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Changes one long key. As [`commit_one_if`](crate::commit::commit_one_if).
#[cold]
pub(crate) fn commit(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    change: Change<'_>,
    expected: Option<&Option<Found>>,
    mut old: Option<&mut Vec<u8>>,
) -> Result<(Commit, bool)> {
    let value = match change {
        Change::Put(value) => Some(value),
        Change::Delete => None,
        Change::PutLarge(_) => unreachable!("LK1: the value of a long key lies in its group"),
    };
    check(table, key, value.map_or(0, <[u8]>::len) as u64)?;
    let (group_key, suffix) = split(table.key_len_max, key);
    loop {
        table.check_usable()?;
        let seen = Seen::read(engine, table, &group_key)?;
        let group = seen.group(table)?;
        let member = group.map(|group| group.find(suffix)).transpose();
        let member = member.map_err(|what| malformed(table, what))?.flatten();
        let member = member.map(|member| &seen.bytes[member.value]);
        if let Some(expected) = expected
            && expected.as_ref().map(|expected| &expected.bytes[..]) != member
        {
            return Err(Error::ValueChanged { table: table.name.clone() });
        }
        let present = member.is_some();
        if let (Some(copy), Some(member)) = (old.as_deref_mut(), member) {
            copy.clear();
            copy.extend_from_slice(member);
        }
        let merged = merge(group, &[(suffix, value)]).map_err(|what| malformed(table, what))?;
        if !present && value.is_none() {
            return Ok((nothing_done(engine, table.writes_log)?, false));
        }
        match replace(engine, table, &group_key, &seen, merged) {
            Err(Error::ValueChanged { .. }) => {} // LK3
            done => return Ok((done?, present)),
        }
    }
}

/// Removes the members of a group whose suffixes lie in a range.
pub(crate) fn commit_removal(
    engine: &Arc<Engine>,
    table: &TableCore,
    group_key: &[u8],
    gone: SuffixBounds<'_>,
) -> Result<Commit> {
    loop {
        table.check_usable()?;
        let seen = Seen::read(engine, table, group_key)?;
        let left = without(&seen, table, gone)?;
        if left == Outcome::Same {
            return nothing_done(engine, table.writes_log);
        }
        match replace(engine, table, group_key, &seen, left) {
            Err(Error::ValueChanged { .. }) => {} // LK3
            done => return done,
        }
    }
}

/// Removes the members of a group whose values are not to be kept. How many it had, and how many of them went.
pub(crate) fn commit_retained(
    engine: &Arc<Engine>,
    table: &TableCore,
    group_key: &[u8],
    mut keep: impl FnMut(&[u8]) -> Result<bool>,
) -> Result<(u64, u64)> {
    loop {
        table.check_usable()?;
        let seen = Seen::read(engine, table, group_key)?;
        let Some(group) = seen.group(table)? else { return Ok((0, 0)) };
        let members = group.count() as u64;
        let (mut left, mut gone) = (Builder::default(), 0);
        for index in 0..group.count() {
            let Member { suffix, value } = group.member(index).map_err(|what| malformed(table, what))?;
            let value = &seen.bytes[value];
            match keep(value)? {
                true => left.push(&seen.bytes[suffix], value),
                false => gone += 1,
            }
        }
        if gone == 0 {
            return Ok((members, 0));
        }
        let left = left.finish().map_or(Outcome::Gone, Outcome::Changed);
        match replace(engine, table, group_key, &seen, left) {
            Err(Error::ValueChanged { .. }) => {} // LK3
            done => return done.map(|_| (members, gone)),
        }
    }
}

/// What is left of a group without the members of a range.
pub(super) fn without(seen: &Seen, table: &TableCore, gone: SuffixBounds<'_>) -> Result<Outcome> {
    let Some(group) = seen.group(table)? else { return Ok(Outcome::Same) };
    let left = group.range(gone).and_then(|gone| match gone.is_empty() {
        true => Ok(Outcome::Same),
        false => Ok(group.without(gone)?.map_or(Outcome::Gone, Outcome::Changed)),
    });
    left.map_err(|what| malformed(table, what))
}

/// Puts a group in the place of what was seen.
fn replace(
    engine: &Arc<Engine>,
    table: &TableCore,
    group_key: &[u8],
    seen: &Seen,
    group: Outcome,
) -> Result<Commit> {
    let bytes = match &group {
        Outcome::TooLong(bytes) => return Err(too_long(table, group_key, *bytes)),
        Outcome::Gone => None,
        // A put of what is there is a commit like any other: whoever waits for it waits for the one that it repeats.
        Outcome::Same => Some(&seen.bytes),
        Outcome::Changed(bytes) => Some(bytes),
    };
    let written;
    let change = match bytes {
        None => Change::Delete,
        Some(bytes) if bytes.len() <= table.value_len_max => Change::Put(bytes), // LV7 of `large`
        Some(bytes) => {
            written = write_whole(engine, bytes, Logging::of(table))?;
            Change::PutLarge(&written)
        }
    };
    Ok(commit_record(engine, table, group_key, change, Some(&seen.found), None)?.0)
}

/// Where a commit stands that found nothing to do. What it read may be another's change that is not yet visible, or durable: this waits for the one, and
/// who waits for it for the other.
fn nothing_done(engine: &Engine, writes_log: bool) -> Result<Commit> {
    engine.check_healthy()?;
    engine.order.wait(engine.order.now())?;
    Ok(match writes_log {
        true => Commit::Logged(engine.log.reserved()),
        false => Commit::Unlogged { epoch: engine.pager.enter().epoch() },
    })
}

/// A batch with groups in place of long keys.
pub(crate) struct Folded {
    pub(crate) batch: WriteBatch,
    /// What must be there when it is committed (LK4).
    pub(crate) expected: Vec<Expected>,
    writes_log: bool,
    _pins: Vec<Pin>,
}

/// What a key of the index had when it was read.
pub(crate) struct Expected {
    /// Index in the batch's tables.
    pub(crate) table: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) found: Option<Found>,
}

/// What happens to the suffixes of a group.
type Changes<'c> = BTreeMap<&'c [u8], &'c BatchEntry>;

impl Folded {
    /// Reads the groups that a batch changes, and changes them.
    ///
    /// # Errors
    ///
    /// Those of reading; `Usage` if a group becomes too long.
    pub(crate) fn of(engine: &Engine, batch: &WriteBatch) -> Result<Folded> {
        let mut folded = Folded {
            batch: WriteBatch::for_tables_of(batch),
            expected: Vec::new(),
            writes_log: batch.tables.iter().any(|table| table.writes_log),
            _pins: Vec::new(),
        };
        // By table and group; of several changes of a key the last counts.
        let mut groups: BTreeMap<(u32, Vec<u8>), Changes<'_>> = BTreeMap::new();
        for entry in &batch.entries {
            let (table, key) = (batch.table_of(entry), batch.key(entry));
            if table.is_long(key) {
                let (group_key, suffix) = split(table.key_len_max, key);
                groups.entry((entry.table, group_key)).or_default().insert(suffix, entry);
            } else {
                folded.batch.copy(batch, entry);
            }
        }
        for ((number, group_key), changes) in groups {
            let table = &batch.tables[number as usize];
            table.check_usable()?;
            let seen = Seen::read(engine, table, &group_key)?;
            let values = values_of(batch, &seen, &changes)?;
            let changes: Vec<_> = changes.keys().copied().zip(values.iter().map(Option::as_deref)).collect();
            let merged = merge(seen.group(table)?, &changes).map_err(|what| malformed(table, what))?;
            match merged {
                // As of one key: a put of what is there is a commit like any other, a delete of what is absent is none.
                Outcome::Same if changes.iter().any(|(_, value)| value.is_some()) => {
                    folded.batch.push_record(number, &group_key, Some(&seen.bytes));
                }
                Outcome::Same => {}
                Outcome::Gone => folded.batch.push_record(number, &group_key, None),
                Outcome::Changed(bytes) => folded.batch.push_record(number, &group_key, Some(&bytes)),
                Outcome::TooLong(bytes) => return Err(too_long(table, &group_key, bytes)),
            }
            folded.expected.push(Expected { table: number, key: group_key, found: seen.found });
            folded._pins.push(seen.pin);
        }
        Ok(folded)
    }

    /// Where the whole batch stands, if `records` says where what it changes does: nothing if no record changes. Groups that stay as they
    /// are take no part in that, and may be of the only tables that are logged.
    pub(crate) fn stands(&self, engine: &Engine, records: Option<Commit>) -> Result<Commit> {
        match records {
            Some(commit @ Commit::Logged(_)) => Ok(commit),
            Some(commit) if !self.writes_log => Ok(commit),
            _ => nothing_done(engine, self.writes_log),
        }
    }
}

/// What members get; nothing removes them. Operands are merged into what they have (MG4 of `merge`).
fn values_of<'c>(
    batch: &'c WriteBatch,
    seen: &Seen,
    changes: &Changes<'c>,
) -> Result<Vec<Option<Cow<'c, [u8]>>>> {
    let value_of = |(suffix, entry): (&&[u8], &&'c BatchEntry)| {
        let Some(list) = batch.operands(entry) else { return Ok(batch.value(entry).map(Cow::Borrowed)) };
        let table = batch.table_of(entry);
        let member = seen.group(table)?.map(|group| group.find(suffix)).transpose();
        let member = member.map_err(|what| malformed(table, what))?.flatten();
        let value = member.map(|member| seen.bytes[member.value].to_vec());
        Ok(table.merged_all(batch.now, batch.key(entry), value, operands(list))?.map(Cow::Owned))
    };
    changes.iter().map(value_of).collect()
}
