//! Merges in a commit of several changes: their results are made when the stripes are locked (MG3 of `merge`), one after the other.

use super::memory::LARGE_ENTRY_BYTES;
use super::{Batch, LOAD_KEYS_MAX};
use crate::batch::WriteBatch;
use crate::error::{Error, Result};
use crate::exchange::whole;
use crate::large::{Known, Logging, write_whole};
use crate::merge::operands;
use crate::table_core::TableCore;
use crate::transactions::Charge;

/// Taken in advance for all results of a commit, with the values before them (MG8).
const RESULTS_BYTES: usize = 16 << 10;
/// Beside that, for each: enough for numbers.
const RESULT_BYTES: usize = 32;

/// Memory that is taken in advance for what merges make.
pub(super) fn bytes_in_advance(batch: &WriteBatch) -> usize {
    if !batch.has_merges {
        return 0;
    }
    let merges = batch.entries.iter().filter(|entry| batch.operands(entry).is_some());
    RESULTS_BYTES + merges.count() * RESULT_BYTES
}

impl Batch<'_> {
    /// Makes the results. Large ones are written and synced (LV2).
    pub(super) fn merge(&mut self) -> Result<()> {
        if !self.batch.has_merges {
            return Ok(());
        }
        let (batch, order, is_long) = (self.batch, self.order, self.is_long());
        // Result, record and what may have to be put back, beyond what was taken in advance.
        let (mut needed, taken) = (0, bytes_in_advance(batch));
        let mut sync = false;
        for (number, &index) in order.iter().enumerate() {
            if is_long && number % LOAD_KEYS_MAX == 0 {
                self.load_leaves(&order[number..order.len().min(number + LOAD_KEYS_MAX)])?;
            }
            let entry = &batch.entries[index as usize];
            let Some(list) = batch.operands(entry) else { continue };
            let (table, key) = (batch.table_of(entry), batch.key(entry));
            let old = self.old_whole(table, key, needed, taken)?;
            let old_len = old.as_ref().map_or(0, Vec::len);
            let new = table.merged_all(batch.now, key, old, operands(list))?; // MG7
            let len = new.as_ref().map_or(0, Vec::len);
            self.cover_results((needed + 2 * len + old_len).saturating_sub(taken))?;
            match new {
                Some(large) if len > table.value_len_max => {
                    // The descriptor takes the place of a value that may lie in the leaf.
                    let leaf_bytes = LARGE_ENTRY_BYTES.max(old_len.min(table.value_len_max));
                    needed += 2 * leaf_bytes;
                    self.small_bytes += leaf_bytes;
                    self.cover_results(needed.saturating_sub(taken))?;
                    sync |= table.writes_log;
                    let logging = if table.writes_log { Logging::Later } else { Logging::None };
                    self.written.insert(index, write_whole(self.engine, &large, logging)?);
                }
                new => {
                    needed += 2 * len + old_len;
                    self.small_bytes += len.max(old_len);
                    self.merged.insert(index, new);
                }
            }
        }
        if sync { self.engine.sync_large() } else { Ok(()) }
    }

    /// What a key has. Memory for a large value is taken first.
    fn old_whole(
        &mut self,
        table: &TableCore,
        key: &[u8],
        needed: usize,
        taken: usize,
    ) -> Result<Option<Vec<u8>>> {
        let found = table.find(key)?;
        if let Some(large) = found.as_ref().filter(|found| found.is_large()) {
            let known = table.reading_large(Known::load_to_read(&table.pager, &large.bytes))?;
            self.cover_results((needed + 2 * known.value.len() as usize).saturating_sub(taken))?;
            // Nobody changes the key meanwhile, so it keeps its pages.
            return whole(self.engine, table, found.as_ref());
        }
        Ok(found.map(|found| found.bytes))
    }

    fn cover_results(&mut self, bytes: usize) -> Result<()> {
        let bytes_max = self.engine.limits.commit_bytes_max;
        if bytes == 0 {
            return Ok(());
        }
        if bytes > bytes_max {
            return Err(Error::TransactionTooLarge { bytes, bytes_max });
        }
        let account = &self.engine.txns.long_commits;
        self.results.get_or_insert_with(|| Charge::new(account, "long commits")).cover(self.engine, bytes)
    }
}
