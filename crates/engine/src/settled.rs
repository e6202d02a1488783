//! Reading what is visible, without a snapshot.
//!
//! # Invariants
//!
//! - **T2** A get whose page has changed since what is visible does not return what it saw there and then: it waits for the commits that are under
//!   way, or reads as a snapshot would. So nobody sees a part of a commit and misses another of it later, or sees a commit that a snapshot taken after it
//!   does not. Nor does anybody see what was taken back: a place is looked at again if a commit was, between the look and the wait.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::table_core::{Found, TableCore};
use crate::view::View;
use aquifer_index::{Lookup, ValueKind};
use aquifer_txn::CommitLsn;
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
        let visible = self.order.visible().get();
        let looked = table.reading(table.index.look_up(&table.pager, key, out))?;
        if self.is_settled(looked, visible) { Ok(looked.kind) } else { self.look_up_again(table, key, out) }
    }

    /// Whether a key of the index has anything.
    pub(crate) fn contains(&self, table: &TableCore, key: &[u8]) -> Result<bool> {
        let visible = self.order.visible().get();
        let looked = table.reading(table.index.look_for(&table.pager, key))?;
        if self.is_settled(looked, visible) {
            return Ok(looked.kind.is_some());
        }
        Ok(self.look_up_again(table, key, &mut Vec::new())?.is_some())
    }

    /// What a key of the index has. Waits for the commits that have changed its page: what was found is what is there, so that
    /// pages of a large value that were pinned before are still its own.
    pub(crate) fn find(&self, table: &TableCore, key: &[u8]) -> Result<Option<Found>> {
        let mut bytes = Vec::new();
        let kind = self.look_up_settled(table, key, &mut bytes)?;
        Ok(kind.map(|kind| Found { kind, bytes }))
    }

    /// Is the page as all commits have left it that were visible before it was looked at?
    #[inline]
    fn is_settled(&self, looked: Lookup, visible: CommitLsn) -> bool {
        looked.changed_at <= visible.0 || looked.changed_at > self.order.now().0 // which no commit has written
    }

    #[cold]
    fn look_up_again(&self, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<Option<ValueKind>> {
        // One change after the other is being made, each of which takes an instant; or a batch.
        if self.txns.snapshots.are_versions_kept() {
            let snapshot = self.txns.snapshots.take();
            let snapshot = snapshot.map_err(|error| self.transaction_error(error, |_| None))?;
            match View::of(self, &snapshot).find(table, key) {
                // The table is being changed as a whole, or memory is short: then wait.
                Err(Error::SnapshotTooOld) => {}
                found => {
                    return Ok(found?.map(|found| {
                        *out = found.bytes;
                        found.kind
                    }));
                }
            }
        }
        self.look_up_settled(table, key, out)
    }

    /// As [`look_up`](Self::look_up); waits for the commits that have changed the page.
    fn look_up_settled(&self, table: &TableCore, key: &[u8], out: &mut Vec<u8>) -> Result<Option<ValueKind>> {
        loop {
            let (visible, taken_back) = (self.order.visible().get(), self.order.taken_back());
            let looked = table.reading(table.index.look_up(&table.pager, key, out))?;
            if self.is_settled(looked, visible) {
                return Ok(looked.kind);
            }
            self.order.wait(Lsn(looked.changed_at))?;
            if self.order.taken_back() == taken_back {
                return Ok(looked.kind);
            }
        }
    }
}
