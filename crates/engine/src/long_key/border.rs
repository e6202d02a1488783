//! Deleting ranges that begin or end within groups: what lies between goes as one range, and the groups at its ends, its borders, are
//! changed in the same commit.
//!
//! # Invariants
//!
//! - **BD1** A border is changed in the passage that cuts the range out, behind one log record that says both: a crash finds all of
//!   it or nothing. Nobody else writes meanwhile (RL2 of `range_delete`), and the border is what was read, or it is read again (LK3).
//! - **BD2** Room for what is left of a border is made before the log reserves the record, in the same passage. Nobody takes it: so
//!   the change fails only if a page that was just there cannot be read again, or if memory fails. The log is poisoned then, as after
//!   half a batch (CB2).

use super::commit::without;
use super::group::{Outcome, SuffixBounds};
use super::{Seen, of_suffix, split, too_long};
use crate::commit::exchange_pages;
use crate::engine::Engine;
use crate::error::Result;
use crate::large::{Logging, Written, write_whole};
use crate::record::CommitWriter;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::{Mutation, Pager, Retry};
use aquifer_index::LeafValue;
use aquifer_sync::Arc;
use std::ops::Bound;

/// How a range of users' keys is deleted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The range of the index that goes as it is: the first key, and the first that stays.
    pub(crate) cut: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// Groups of which a part goes.
    pub(crate) borders: Vec<Part>,
}

/// A part of a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) group_key: Vec<u8>,
    /// Its bounds, by whole keys.
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
}

impl Part {
    /// Its bounds within the group.
    pub(crate) fn suffixes(&self) -> SuffixBounds<'_> {
        let of_suffix = |bound| of_suffix(bound, &self.group_key);
        (of_suffix(self.from.as_ref().map(Vec::as_slice)), of_suffix(self.to.as_ref().map(Vec::as_slice)))
    }
}

impl Plan {
    /// Of a range that is not empty: the first key that goes, and the first that stays. `key_len_min`: where long keys begin, if there are any.
    pub(crate) fn of(long_key_len_min: usize, low: &[u8], high: Option<&[u8]>) -> Plan {
        // The key of a group stands for all of it (LK2).
        let within = |key: &&[u8]| key.len() >= long_key_len_min && key[long_key_len_min - 1..] != [0];
        let low_group = Some(low).filter(within).map(|low| split(long_key_len_min, low).0);
        let high_group = high.filter(within).map(|high| split(long_key_len_min, high).0);
        let mut plan = Plan { cut: None, borders: Vec::new() };
        let is_one = low_group.is_some() && low_group == high_group;
        let below = |high: &[u8]| Bound::Excluded(high.to_vec());
        if let Some(group_key) = &low_group {
            let to = high.filter(|_| is_one).map_or(Bound::Unbounded, below);
            let from = Bound::Included(low.to_vec());
            plan.borders.push(Part { group_key: group_key.clone(), from, to });
        }
        if let (Some(group_key), Some(high), false) = (&high_group, high, is_one) {
            let (from, to) = (Bound::Unbounded, below(high));
            plan.borders.push(Part { group_key: group_key.clone(), from, to });
        }
        let first = match &low_group {
            Some(group_key) => successor(&group_key[..group_key.len() - 1]),
            None => Some(low.to_vec()),
        };
        let end = high_group.or(high.map(<[u8]>::to_vec));
        if let Some(first) = first.filter(|first| end.as_ref().is_none_or(|end| first < end)) {
            plan.cut = Some((first, end));
        }
        plan
    }
}

/// The least key above all that begin with `prefix`, if there is one.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut key = prefix.to_vec();
    while key.pop_if(|last| *last == u8::MAX).is_some() {}
    *key.last_mut()? += 1;
    Some(key)
}

/// A group of which a part goes with a range.
pub(crate) struct Border {
    key: Vec<u8>,
    seen: Seen,
    left: Left,
}

/// What is left of it.
enum Left {
    Same,
    Nothing,
    Inline(Vec<u8>),
    Large(Written),
}

impl Border {
    /// Reads a border, and takes what goes out of it. Before any lock is taken, for what is left may have to be written and synced (LV2).
    pub(crate) fn prepare(engine: &Arc<Engine>, table: &TableCore, gone: &Part) -> Result<Border> {
        let key = &gone.group_key;
        let seen = Seen::read(engine, table, key)?;
        let left = match without(&seen, table, gone.suffixes())? {
            Outcome::Same => Left::Same,
            Outcome::Gone => Left::Nothing,
            Outcome::TooLong(bytes) => return Err(too_long(table, key, bytes)),
            Outcome::Changed(bytes) if bytes.len() <= table.value_len_max => Left::Inline(bytes),
            Outcome::Changed(bytes) => Left::Large(write_whole(engine, &bytes, Logging::of(table))?),
        };
        Ok(Border { key: key.clone(), seen, left })
    }

    /// Is it still what was read? Under all stripes.
    pub(crate) fn still_holds(&self, table: &TableCore) -> Result<bool> {
        let holds = table.find(&self.key)? == self.seen.found;
        if let (true, Some(known)) = (holds, &self.seen.known) {
            known.check_attached(&table.pager)?;
        }
        Ok(holds)
    }

    /// Does it stay as it is?
    pub(crate) fn is_same(&self) -> bool {
        matches!(self.left, Left::Same)
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// What changes: its key, what is there before, and whether it goes.
    pub(crate) fn replaced(&self) -> Option<(Vec<u8>, Found, bool)> {
        let found = self.seen.found.clone().filter(|_| !self.is_same())?;
        Some((self.key.clone(), found, matches!(self.left, Left::Nothing)))
    }

    /// Says to the log what becomes of it.
    pub(crate) fn log<'k>(&'k self, table: u32, writer: &mut CommitWriter<'_, 'k>) {
        match &self.left {
            Left::Same => {}
            Left::Nothing => writer.delete(table, &self.key),
            Left::Inline(bytes) => {
                writer.put(table, &self.key, bytes);
            }
            Left::Large(written) => {
                writer.attach(table, &self.key, &written.descriptor, &written.manifest);
            }
        }
    }

    fn leaf_value(&self) -> Option<LeafValue<'_>> {
        match &self.left {
            Left::Same | Left::Nothing => None,
            Left::Inline(bytes) => Some(LeafValue::inline(bytes)),
            Left::Large(written) => Some(written.leaf_value()),
        }
    }

    /// BD2.
    pub(crate) fn make_room(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        table: &TableCore,
    ) -> std::result::Result<(), Retry> {
        if let Some(value) = self.leaf_value() {
            if value.is_large() {
                table.index.note_large(m)?;
            }
            let _room = table.index.place(m, pager, &self.key, value)?;
        }
        Ok(())
    }

    /// Changes it, behind the reservation of the log record.
    ///
    /// # Errors
    ///
    /// BD2.
    pub(crate) fn apply(&self, m: &Mutation<'_>, pager: &Pager, table: &TableCore, lsn: u64) -> Result<()> {
        let value = self.leaf_value();
        let place = loop {
            let attempt = match value {
                _ if self.is_same() => return Ok(()),
                Some(value) => table.index.place(m, pager, &self.key, value).map(Some),
                None => table.index.place_existing(m, pager, &self.key),
            };
            match attempt {
                Ok(place) => break place,
                Err(retry) => pager.resolve_inside_gate(retry)?,
            }
        };
        match (place, value) {
            (Some(place), Some(value)) => place.put_value(value, lsn),
            (Some(place), None) => drop(place.remove(lsn)), // merged with what the range leaves loose
            (None, _) => {}
        }
        let written = if let Left::Large(written) = &self.left { Some(written) } else { None };
        exchange_pages(m, self.seen.known.as_ref(), written);
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
