//! Long keys: those that no page takes. They lie in groups, which are ordinary records of the index.
//!
//! Let P be one byte less than the longest key of the index.
//!
//! ```text
//!  keys of at most P bytes            the record as it is
//!  longer ones, by their first P:     p | 00  -->  group: (suffix, value) (suffix, value) …
//!                                     '-- P+1 bytes: no other key of the index has this length
//! ```
//!
//! | module | its secret |
//! |---|---|
//! | `group` | the bytes of a group |
//! | `commit` | changing members, alone and in batches |
//! | `border` | deleting ranges that begin or end within groups |
//! | `expand` | reading members in the order of their keys |
//!
//! # Invariants
//!
//! - **LK1** Every key of more than P bytes lies in the group of its first P bytes, and nowhere else; in the index a key of P+1 bytes
//!   is that of a group, and no key is longer. Groups are what the log, checkpoints, replay, backups and salvage see: none of them knows
//!   of long keys, so a group is as safe as any record, and a large one is a large value.
//! - **LK2** The key of a group is a key like any other, and the least that the group may hold. It lies behind p, and before whatever
//!   else lies behind p, as all members do. So it stands for its group among the keys of the index, and a bound that is the key of a
//!   group, or no long key at all, means the same among records and among users' keys.
//! - **LK3** A group is changed by a commit to its key that finds it as it was read, under the stripe of that key; or it is read again.
//!   It is pinned meanwhile, as LV4 of `large` demands. So commits to members of one group exclude each other, and those that see
//!   another's change begin again: one of them always gets on.
//! - **LK4** A batch changes each group once, and commits when all groups that it looked at are as they were read; also those that
//!   it leaves as they are.
//! - **LK5** What is not a group where one should be is `Corrupt`, with the table and what is wrong (GR2).

mod border;
mod commit;
mod expand;
mod group;

pub(crate) use border::{Border, Plan};
pub(crate) use commit::{Expected, Folded, commit, commit_removal, commit_retained};
pub(crate) use expand::{Expansion, IndexRange, count};
pub(crate) use group::Outcome;
#[cfg(feature = "fuzzing")]
pub(crate) use group::merge;
pub(crate) use group::{Builder, Group};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::large::{self, Known};
use crate::table_core::{Found, TableCore};
use aquifer_buffer::Pin;
use aquifer_index::ValueKind;
use group::{GROUP_BYTES_MAX, Malformed, single_bytes};
use std::ops::Bound;

/// The longest key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 64 << 10;

/// The key of the group that a long key lies in, and what the key has in it. An index whose longest key is `key_len_max` bytes long.
pub(crate) fn split(key_len_max: usize, key: &[u8]) -> (Vec<u8>, &[u8]) {
    let (prefix, suffix) = key.split_at(key_len_max - 1);
    ([prefix, &[0]].concat(), suffix)
}

/// May there be such a record?
///
/// # Errors
///
/// `KeyTooLarge`; `Usage` if the value is too long for a group.
#[cold]
pub(crate) fn check(table: &TableCore, key: &[u8], value_len: u64) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        let table = table.name.clone();
        return Err(Error::KeyTooLarge { table, len: key.len(), len_max: KEY_BYTES_MAX });
    }
    check_group(table, key, single_bytes(key.len() - (table.key_len_max - 1), value_len))
}

/// May the group of this key have so many bytes?
///
/// # Errors
///
/// `Usage` if not.
pub(crate) fn check_group(table: &TableCore, key: &[u8], bytes: u64) -> Result<()> {
    if bytes > GROUP_BYTES_MAX as u64 { Err(too_long(table, key, bytes)) } else { Ok(()) }
}

#[cold]
fn too_long(table: &TableCore, key: &[u8], bytes: u64) -> Error {
    let prefix_len = table.key_len_max - 1;
    Error::usage(format!(
        "table {}: the keys of more than {prefix_len} bytes that begin with the {prefix_len} bytes {}… would take {bytes} bytes with their \
         values, and {GROUP_BYTES_MAX} is the limit; use keys that differ earlier or are shorter, or a larger page size",
        table.name,
        key[..prefix_len.min(16)].escape_ascii()
    ))
}

/// LK5.
#[cold]
fn malformed(table: &TableCore, what: Malformed) -> Error {
    Error::corrupt(format!(
        "a group of long keys of table {}: {what}; restore a backup or use salvage",
        table.name
    ))
}

/// Makes `out` the group of this key of the index; whether there is one.
pub(crate) fn read_group(engine: &Engine, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
    match engine.look_up(table, key, out)? {
        Some(ValueKind::Large) => large::read_whole(engine, table, key, out),
        found => Ok(found.is_some()),
    }
}

/// Makes `out` the value of a long key; whether there is one.
#[cold]
pub(crate) fn get_into(engine: &Engine, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
    let (group_key, suffix) = split(table.key_len_max, key);
    let is_there = read_group(engine, table, &group_key, out)?;
    choose_member(table, is_there, suffix, out)
}

/// Makes `out`, which is a group if `is_there`, the value of a member of it; whether there is one.
pub(crate) fn choose_member(
    table: &TableCore,
    is_there: bool,
    suffix: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool> {
    let found = is_there.then(|| Group::new(out).and_then(|group| group.find(suffix))).transpose();
    let member = found.map_err(|what| malformed(table, what))?.flatten();
    match &member {
        Some(member) => {
            out.copy_within(member.value.clone(), 0);
            out.truncate(member.value.len());
        }
        None => out.clear(),
    }
    Ok(member.is_some())
}

/// What becomes of a group when one of its members does; never `TooLong`, which is an error.
pub(crate) fn with_member(
    table: &TableCore,
    group_key: &[u8],
    group: Option<&[u8]>,
    suffix: &[u8],
    value: Option<&[u8]>,
) -> Result<Outcome> {
    let merged = group.map(Group::new).transpose().and_then(|group| group::merge(group, &[(suffix, value)]));
    match merged.map_err(|what| malformed(table, what))? {
        Outcome::TooLong(bytes) => Err(too_long(table, group_key, bytes)),
        outcome => Ok(outcome),
    }
}

/// What a key of any length has: its value, or the descriptor of a large one.
pub(crate) fn find(engine: &Engine, table: &TableCore, key: &[u8]) -> Result<Option<Found>> {
    if !table.is_long(key) {
        return engine.find(table, key);
    }
    let mut bytes = Vec::new();
    let found = get_into(engine, table, key, &mut bytes)?;
    Ok(found.then_some(Found { kind: ValueKind::Inline, bytes }))
}

/// A group as it was read, to be changed (LK3).
struct Seen {
    /// What the index has at its key.
    found: Option<Found>,
    /// Its bytes, if it is there.
    bytes: Vec<u8>,
    /// What `found` is, if it is a large value.
    known: Option<Known>,
    /// Keeps what was found from being found again as something else.
    pin: Pin,
}

impl Seen {
    fn read(engine: &Engine, table: &TableCore, group_key: &[u8]) -> Result<Seen> {
        let pin = Pin::everything(&table.pager); // LV5 of `large`
        let found = table.find(group_key)?;
        let (mut bytes, mut known) = (Vec::new(), None);
        match &found {
            None => {}
            Some(inline) if !inline.is_large() => bytes.clone_from(&inline.bytes),
            Some(large) => {
                let of_value = table.reading_large(Known::load_to_read(&table.pager, &large.bytes))?;
                large::copy_whole(engine, table, Pin::everything(&table.pager), &large.bytes, &mut bytes)?;
                pin.narrow(&of_value.value.pages());
                known = Some(of_value);
            }
        }
        Ok(Seen { found, bytes, known, pin })
    }

    fn group(&self, table: &TableCore) -> Result<Option<Group<'_>>> {
        let group = self.found.is_some().then(|| Group::new(&self.bytes));
        group.transpose().map_err(|what| malformed(table, what))
    }
}

/// As bounds of suffixes within a group: of one that another bound lies in.
fn of_suffix<'s>(bound: Bound<&'s [u8]>, group_key: &[u8]) -> Bound<&'s [u8]> {
    bound.map(|key| &key[group_key.len() - 1..])
}

#[cfg(all(test, not(loom)))]
mod tests;
