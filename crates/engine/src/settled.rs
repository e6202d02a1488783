//! Reading what is visible, without a snapshot.
//!
//! # Invariants
//!
//! - **T2** A get whose page has changed since what is visible does not return what it saw there and then: it waits for the commits that are under
//!   way, or reads as a snapshot would. So nobody sees a part of a commit and misses another of it later, or sees a commit that a snapshot taken after it
//!   does not.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::table_core::{Found, TableCore};
use crate::view::View;
use aquifer_index::{Lookup, ValueKind};
use aquifer_wal::Lsn;

impl Engine {
    /// Makes `out` what a key of the index has.
    #[inline]
    pub(crate) fn look_up(
        &self,
        table: &TableCore,
        key: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<ValueKind>> {
        let looked = table.reading(table.index.look_up(&table.pager, key, out))?;
        if self.is_settled(looked) { Ok(looked.kind) } else { self.look_up_again(table, key, looked, out) }
    }

    /// Whether a key of the index has anything.
    pub(crate) fn contains(&self, table: &TableCore, key: &[u8]) -> Result<bool> {
        let looked = table.reading(table.index.look_for(&table.pager, key))?;
        if self.is_settled(looked) {
            return Ok(looked.kind.is_some());
        }
        Ok(self.look_up_again(table, key, looked, &mut Vec::new())?.is_some())
    }

    /// What a key of the index has. Waits for the commits that have changed its page: what was found is what is there, so that
    /// pages of a large value that were pinned before are still its own.
    pub(crate) fn find(&self, table: &TableCore, key: &[u8]) -> Result<Option<Found>> {
        let mut bytes = Vec::new();
        let looked = table.reading(table.index.look_up(&table.pager, key, &mut bytes))?;
        if !self.is_settled(looked) {
            self.order.wait(Lsn(looked.changed_at))?;
        }
        Ok(looked.kind.map(|kind| Found { kind, bytes }))
    }

    /// Is the page as all commits have left it that are visible?
    #[inline]
    fn is_settled(&self, looked: Lookup) -> bool {
        looked.changed_at <= self.order.visible().get().0 || looked.changed_at > self.order.now().0 // which no commit has written
    }

    #[cold]
    fn look_up_again(
        &self,
        table: &TableCore,
        key: &[u8],
        looked: Lookup,
        out: &mut Vec<u8>,
    ) -> Result<Option<ValueKind>> {
        // One change after the other is being made, each of which takes an instant; or a batch.
        if !self.txns.snapshots.are_versions_kept() {
            self.order.wait(Lsn(looked.changed_at))?;
            return Ok(looked.kind);
        }
        let snapshot = self.txns.snapshots.take();
        let snapshot = snapshot.map_err(|error| self.transaction_error(error, |_| None))?;
        let found = match View::of(self, &snapshot).find(table, key) {
            // The table is being changed as a whole, or memory is short: then wait.
            Err(Error::SnapshotTooOld) => {
                self.order.wait(Lsn(looked.changed_at))?;
                return Ok(looked.kind);
            }
            found => found?,
        };
        Ok(found.map(|found| {
            *out = found.bytes;
            found.kind
        }))
    }
}
