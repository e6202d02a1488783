//! Trees beside the tables' own: what a range delete has cut out, and what a bulk load is building.
//!
//! Each has a row, so that no crash loses its pages: the next opening frees what a row names. Both are freed as dropped tables
//! are, in passages that each leave a smaller, whole tree, in the background (C3). Rows, FROZEN at version 1:
//!
//! ```text
//! key 02, root page u32 (big-endian)
//!   value: version u8 = 1 | table id u32 (little-endian): the owner that its pages name
//! ```
//!
//! # Invariants
//!
//! - **CD1** A row is made in the passage that makes its tree, and goes in the one that frees its root.
//! - **CD2** Whoever cuts a range out or has a tree adopted holds all stripes: no other writer is in the table (RD4 of the index).
//! - **CD3** A loaded tree is adopted only when a checkpoint holds all of it, since the log does not: the ADOPT record names a tree that
//!   every checkpoint before it has, whole, and that no row but its own names. Roots change places, so the row then names
//!   what the table was, which is empty, and frees it.
//! - **CD4** A tree that is being loaded is not freed before its loader has let go of it; after a crash there is none.
//! - **CD5** The pages of large values in a range are detached in the passage that cuts the range out, as for a single key (LV1 of
//!   `large`), by the commit and by replay alike. So what was cut out has no large values of its own, and is freed without a
//!   look at its leaves. A tree that was being loaded has them, and says so at its root: they go first, as those of a dropped table.

use super::{Catalog, Journal};
use crate::commit::Stop;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::large;
use crate::long_key::Border;
use crate::order::Turn;
use crate::stripes::Held;
use crate::table_core::TableCore;
use aquifer_buffer::{Mutation, PageId, PageRun, Pager};
use aquifer_index::btree::BTree;
use aquifer_sync::Arc;
use aquifer_wal::Lsn;
use std::ops::Bound;

pub(super) const DETACHED_KIND: u8 = 2;
const DETACHED_VERSION: u8 = 1;
const VALUE_BYTES: usize = 5;

/// A range of encoded keys.
pub(crate) type KeyBounds<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// A range that is to go, with the pages of the large values in it (CD5).
#[derive(Debug)]
pub(crate) struct DoomedRange<'k> {
    bounds: KeyBounds<'k>,
    /// Nothing where the table has no large values at all: then no leaf was read.
    large: Option<Vec<PageRun>>,
}

impl<'k> DoomedRange<'k> {
    /// Finds the pages of the large values of a range. Outside the gate, and nobody writes to the table from before this until the
    /// range has gone. Where there may be large values, this reads the leaves of the range.
    pub(crate) fn find(pager: &Arc<Pager>, tree: BTree, bounds: KeyBounds<'k>) -> Result<DoomedRange<'k>> {
        Ok(DoomedRange { bounds, large: large::pages_of_range(pager, tree, bounds)? })
    }

    /// Were the leaves of the range read? Then whoever has them does not let others write before it has gone.
    pub(crate) fn was_read(&self) -> bool {
        self.large.is_some()
    }
}

/// What a passage did, and where it stands; or, if there was nothing to be done, where all is that it has read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) lsn: Lsn,
    pub(crate) epoch: u64,
    pub(crate) detached: Option<BTree>,
    /// There was something to be done.
    pub(crate) changed: bool,
}

fn key(root: PageId) -> [u8; 5] {
    let mut key = [DETACHED_KIND; 5];
    key[1..].copy_from_slice(&root.0.to_be_bytes());
    key
}

fn value(table: u32) -> [u8; VALUE_BYTES] {
    let mut value = [DETACHED_VERSION; VALUE_BYTES];
    value[1..].copy_from_slice(&table.to_le_bytes());
    value
}

/// The tree that a row names.
pub(super) fn read(root: &[u8], value: &[u8]) -> std::result::Result<(PageId, u32), &'static str> {
    let root = root.try_into().map_err(|_| "the root page of a detached tree is not four bytes")?;
    let Some((&DETACHED_VERSION, table)) = value.split_first() else {
        return Err("a detached tree's row is of a newer version");
    };
    let table = table.try_into().map_err(|_| "a table id is not four bytes")?;
    Ok((PageId(u32::from_be_bytes(root)), u32::from_le_bytes(table)))
}

/// A place in the order, or none where it comes from the log.
fn reserve<'l>(journal: Journal<'l>, record: &[u8]) -> std::result::Result<Option<Turn<'l>>, Stop> {
    let turn = journal.order().map(|order| order.reserve(record.len()));
    turn.transpose().map_err(|_full| Stop::LogFull(record.len()))
}

impl Catalog {
    /// All detached trees, those included that are being loaded.
    pub(crate) fn detached(&self) -> impl Iterator<Item = BTree> {
        self.detached.iter().chain(&self.loading).copied()
    }

    pub(super) fn load_detached(&mut self, root: PageId, table: u32) {
        self.detached.push(BTree::at(root, table));
    }

    /// Makes a tree to load records into.
    pub(crate) fn begin_loading(&mut self, table: u32, journal: Journal<'_>) -> Result<BTree> {
        self.check_open()?;
        let tree = loop {
            let made = self.attempt_begin_loading(&self.pager.enter(), table, journal);
            match made {
                Ok(tree) => break tree,
                Err(retry) => self.pager.resolve(retry)?,
            }
        };
        self.loading.push(tree);
        Ok(tree)
    }

    /// CD1. The row's page is latched last: its key is the root's id.
    fn attempt_begin_loading(
        &self,
        m: &Mutation<'_>,
        table: u32,
        journal: Journal<'_>,
    ) -> std::result::Result<BTree, aquifer_buffer::Retry> {
        let tree = BTree::create_detached(m, table)?;
        match self.tree.place(m, &self.pager, &key(tree.root()), VALUE_BYTES) {
            Ok(place) => {
                place.put(&value(table), journal.now().0);
                Ok(tree)
            }
            Err(retry) => {
                while !tree.dismantle(m, &self.pager)? {} // one page, dirty in this epoch: it goes at once
                Err(retry)
            }
        }
    }

    /// The loader has let go of a tree that no table has adopted (CD4).
    pub(crate) fn give_up_loading(&mut self, tree: BTree) {
        self.loading.retain(|other| *other != tree);
        self.detached.push(tree);
    }

    /// Deletes a range of a table in one passage, with parts of the groups of long keys at its ends. `held`: all stripes, or none while the log
    /// is replayed. `keep` sees to what snapshots need of it, when it has its place and before a page shows it (TX1, TX3 of `transactions`).
    pub(crate) fn attempt_range_delete(
        &mut self,
        table: &TableCore,
        range: (&DoomedRange<'_>, &[Border]),
        record: &[u8],
        journal: Journal<'_>,
        held: &mut [Held<'_>],
        keep: impl FnOnce(Lsn),
    ) -> std::result::Result<Outcome, Stop> {
        let outcome =
            self.range_delete_inside(&self.pager.enter(), table, range, record, journal, held, keep)?;
        self.detached.extend(outcome.detached);
        Ok(outcome)
    }

    #[expect(clippy::too_many_arguments, reason = "a passage needs all of it")]
    fn range_delete_inside(
        &self,
        m: &Mutation<'_>,
        table: &TableCore,
        (range, borders): (&DoomedRange<'_>, &[Border]),
        record: &[u8],
        journal: Journal<'_>,
        held: &mut [Held<'_>],
        keep: impl FnOnce(Lsn),
    ) -> std::result::Result<Outcome, Stop> {
        let (from, to) = range.bounds;
        for border in borders {
            border.make_room(m, &self.pager, table)?; // BD2 of `long_key`
        }
        let cut = table.index.sorted().cut(m, &self.pager, from, to)?;
        if cut.is_nothing() && borders.iter().all(Border::is_same) {
            // The absence was read, and may be another's delete that is not yet durable.
            return Ok(Outcome { lsn: journal.now(), epoch: m.epoch(), detached: None, changed: false });
        }
        let detached = cut.detached();
        let row = match detached {
            Some(tree) => Some(self.tree.place(m, &self.pager, &key(tree.root()), VALUE_BYTES)?),
            None => None,
        };
        let turn = reserve(journal, record)?;
        let lsn = turn.as_ref().map_or(journal.now(), Turn::lsn);
        held.iter_mut().for_each(|stripe| stripe.reserved(lsn)); // T4
        keep(lsn);
        cut.carry_out(lsn.0);
        if let Some(row) = row {
            row.put(&value(table.id), lsn.0);
        }
        if let Some(large) = range.large.as_ref().filter(|large| !large.is_empty()) {
            m.detach(large); // CD5
        }
        let changed = borders.iter().try_for_each(|border| border.apply(m, &self.pager, table, lsn.0));
        if let (Err(error), Some(log)) = (&changed, journal.log()) {
            log.poison(&format!("a range was deleted half-way: {error}")); // BD2 of `long_key`
        }
        match turn {
            Some(turn) if changed.is_err() => drop(turn), // nobody is to see it
            Some(turn) => turn.fill(record),
            None => {}
        }
        Ok(Outcome { lsn, epoch: m.epoch(), detached, changed: true })
    }

    /// Puts a loaded tree in the place of a table's, which is empty, in one passage. `keep`: as for a range delete.
    pub(crate) fn attempt_adopt(
        &mut self,
        table: &TableCore,
        loaded: BTree,
        record: &[u8],
        journal: Journal<'_>,
        held: &mut [Held<'_>],
        keep: impl FnOnce(Lsn),
    ) -> std::result::Result<Outcome, Stop> {
        let outcome = {
            let m = self.pager.enter();
            let swap = table.index.sorted().swap(&m, loaded)?;
            let turn = reserve(journal, record)?;
            let lsn = turn.as_ref().map_or(journal.now(), Turn::lsn);
            held.iter_mut().for_each(|stripe| stripe.reserved(lsn)); // T4
            keep(lsn);
            swap.carry_out(lsn.0);
            if let Some(turn) = turn {
                turn.fill(record);
            }
            Outcome { lsn, epoch: m.epoch(), detached: Some(loaded), changed: true }
        };
        if self.loading.contains(&loaded) {
            self.give_up_loading(loaded);
        }
        Ok(outcome)
    }

    /// Deletes a range that the log tells of.
    pub(crate) fn replay_range_delete(
        &mut self,
        table: &Arc<TableCore>,
        bounds: KeyBounds<'_>,
        lsn: Lsn,
    ) -> Result<()> {
        let range = DoomedRange::find(&self.pager, *table.index.sorted(), bounds)?;
        loop {
            match self.attempt_range_delete(table, (&range, &[]), &[], Journal::Replay(lsn), &mut [], |_| ())
            {
                Ok(_) => return Ok(()),
                Err(stop) => stop.resolve(&self.pager, None)?,
            }
        }
    }

    /// Has a table adopt a tree that the log tells of (CD3).
    pub(crate) fn replay_adopt(&mut self, table: &Arc<TableCore>, root: PageId, lsn: Lsn) -> Result<()> {
        let loaded = BTree::at(root, table.id);
        if !self.detached.contains(&loaded) {
            return Err(Error::corrupt(format!(
                "the log has table {} adopt records that were loaded (page {root}), and the checkpoint does not have them: it is \
                 older than the load; restore a backup that was taken after it",
                table.name
            )));
        }
        loop {
            match self.attempt_adopt(table, loaded, &[], Journal::Replay(lsn), &mut [], |_| ()) {
                Ok(_) => return Ok(()),
                Err(stop) => stop.resolve(&self.pager, None)?,
            }
        }
    }

    /// Frees some pages of a detached tree. Whether anything was done.
    pub(super) fn free_detached(&mut self, journal: Journal<'_>) -> Result<bool> {
        let Some(&tree) = self.detached.last() else { return Ok(false) };
        if self.free_large(&Index::Sorted(tree), journal)? {
            return Ok(true);
        }
        let freed = self.attempt_free_detached(&self.pager.enter(), tree, journal);
        match freed {
            Ok(true) => {
                self.detached.pop();
                self.cleared.remove(&tree.root());
            }
            Ok(false) => {}
            Err(retry) => self.pager.resolve(retry)?,
        }
        Ok(true)
    }

    /// CD1, as for a dropped table.
    fn attempt_free_detached(
        &self,
        m: &Mutation<'_>,
        tree: BTree,
        journal: Journal<'_>,
    ) -> std::result::Result<bool, aquifer_buffer::Retry> {
        let row = self.tree.place_existing(m, &self.pager, &key(tree.root()))?;
        let all = tree.dismantle(m, &self.pager)?;
        if let Some(row) = row.filter(|_| all) {
            row.remove(journal.now().0);
        }
        Ok(all)
    }
}
