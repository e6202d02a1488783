//! Many records at once: ranges that are deleted, and tables that are loaded in bulk.

use super::{Judged, World, key, name};
use crate::model::Commit;
use aquifer::{Database, Durability};

impl World {
    pub(super) fn range_delete(
        &mut self,
        db: &Database,
        table: u8,
        (first, count): (u32, u32),
        durability: Durability,
    ) -> Judged {
        let Some((handle, logged)) = self.table(db, table)? else { return Ok(()) };
        let Some(handle) = handle.sorted() else { return Ok(()) };
        let (low, high) = (key(table, first), key(table, first.saturating_add(count)));
        let rows = &self.model.state()[&name(table)].rows;
        let gone = rows.range(low.clone()..high.clone());
        let commit = Commit::Change(gone.map(|(key, _)| (name(table), key.clone(), None)).collect());
        let done = handle.with_durability(durability).range_delete(&low[..]..&high[..]);
        self.settle(commit, done, logged.then_some(durability), "a range delete")
    }

    /// Loads records into a table if it is empty; finds that it is refused otherwise.
    pub(super) fn bulk_load(
        &mut self,
        db: &Database,
        table: u8,
        count: u32,
        (value_len, large_len): (u16, u16),
    ) -> Judged {
        let Some((handle, logged)) = self.table(db, table)? else { return Ok(()) };
        let Some(handle) = handle.sorted() else { return Ok(()) };
        let (value, large) = (self.value(super::value_len(table, value_len)), self.value(large_len));
        let value_of = |number: u32| if number % 12 == 5 && large_len > 0 { &large } else { &value };
        let records: Vec<_> =
            (0..count).map(|number| (key(table, number), value_of(number).clone())).collect();
        let commit = records.iter().map(|(key, value)| (name(table), key.clone(), Some(value.clone())));
        let commit = Commit::Change(commit.collect());
        let is_empty = self.model.state()[&name(table)].rows.is_empty();
        let loaded = self.with_checkpoints(db, |_| handle.bulk_load(records))?;
        if !is_empty && !self.uncertain {
            return match loaded {
                Err(error) if error.kind() == aquifer::ErrorKind::Usage => Ok(()),
                Err(error) => self.failed(&error, "a bulk load into a table that is not empty"),
                Ok(_) => Err("a table that is not empty was loaded in bulk".into()),
            };
        }
        self.settle(commit, loaded.map(drop), logged.then_some(Durability::Power), "a bulk load")
    }
}
