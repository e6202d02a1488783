//! The catalog: which tables there are, where their trees are rooted, and how a table comes and goes.
//!
//! It is itself a sorted tree, table 0, whose root is the first page ever allocated. `row` says what its rows are.
//!
//! # Invariants
//!
//! - **C1** A row, the root page of its tree and the log record that makes it are made in one passage of the gate: a
//!   checkpoint has all or nothing of a table.
//! - **C2** Table ids are never used again.
//! - **C3** A table goes in steps. Its row turns to *dropping* together with the log record, under all stripes (ST2). When
//!   no handle is left, its large values are removed one by one, where there are any, and then its pages are freed in
//!   passages, each leaving a whole, smaller tree; the last frees the root and
//!   takes the row. A crash between passages leaves a dropping row, which the next opening finishes: nothing leaks.
//! - **C4** The log knows tables by id and never a root: replay makes its own, through this code. ADOPT alone names one, of
//!   a tree that the checkpoint has (CD3).

mod detached;
pub(crate) mod row;

use crate::commit::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::large::{self, ClearedTo};
use crate::order::{Order, Turn};
use crate::record::CommitWriter;
use crate::stripes::Stripes;
use crate::table_core::{TableCore, TableState};
use aquifer_buffer::{Mutation, PageId, Pager};
use aquifer_index::btree::BTree;
use aquifer_sync::Arc;
use aquifer_wal::{Log, Lsn};
use row::{DROPPING, LIVE, NEXT_ID_KEY, encode_options, encode_row, row_key, set_row_root};
use std::collections::BTreeMap;
use std::ops::Bound;

pub(crate) use detached::{DoomedRange, KeyBounds, Outcome};
pub(crate) use row::{Description, Row};

/// The catalog's own table id.
pub(crate) const CATALOG_ID: u32 = 0;
/// All tables, in memory and on their page.
#[derive(Debug)]
pub(crate) struct Catalog {
    pager: Arc<Pager>,
    tree: BTree,
    /// There is a log beside the pager.
    on_disk: bool,
    next_id: u32,
    by_name: BTreeMap<String, Arc<TableCore>>,
    by_id: BTreeMap<u32, Arc<TableCore>>,
    dropping: Vec<Arc<TableCore>>,
    /// Of each of them, where it is not at its beginning, from where on large values are still to be removed; nothing: none is left.
    cleared: BTreeMap<PageId, Option<ClearedTo>>,
    /// Trees to be freed, and trees that are being loaded: `catalog/detached.rs`.
    detached: Vec<BTree>,
    loading: Vec<BTree>,
    closed: bool,
}

/// Where a change of the catalog is noted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Journal<'l> {
    /// In the log.
    Log(&'l Order),
    /// Nowhere: it comes from the log, from the record that ends here.
    Replay(Lsn),
}

impl<'l> Journal<'l> {
    fn order(self) -> Option<&'l Order> {
        match self {
            Journal::Log(order) => Some(order),
            Journal::Replay(_) => None,
        }
    }

    fn log(self) -> Option<&'l Log> {
        self.order().map(|order| &*order.log)
    }

    fn now(self) -> Lsn {
        match self {
            Journal::Log(order) => order.now(),
            Journal::Replay(lsn) => lsn,
        }
    }
}

impl Catalog {
    /// The catalog of a database that has none yet.
    pub(crate) fn create(pager: &Arc<Pager>, on_disk: bool) -> Result<Catalog> {
        let tree = loop {
            let made = BTree::create(&pager.enter(), CATALOG_ID);
            match made {
                Ok(tree) => break tree,
                Err(retry) => pager.resolve(retry)?,
            }
        };
        assert_eq!(tree.root(), PageId::FIRST, "the catalog is made first");
        Ok(Catalog::over(pager, tree, on_disk))
    }

    fn over(pager: &Arc<Pager>, tree: BTree, on_disk: bool) -> Catalog {
        Catalog {
            pager: Arc::clone(pager),
            tree,
            on_disk,
            next_id: CATALOG_ID + 1,
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
            dropping: Vec::new(),
            cleared: BTreeMap::new(),
            detached: Vec::new(),
            loading: Vec::new(),
            closed: false,
        }
    }

    /// Reads the catalog of a checkpoint.
    ///
    /// # Errors
    ///
    /// `Corrupt` for rows that this code did not write.
    pub(crate) fn load(pager: &Arc<Pager>, on_disk: bool) -> Result<Catalog> {
        let mut catalog = Catalog::over(pager, BTree::at(PageId::FIRST, CATALOG_ID), on_disk);
        let tree = catalog.tree;
        let mut rows = tree.cursor(pager, Bound::Unbounded, Bound::Unbounded);
        while let Some((key, value)) = rows.next()? {
            catalog.load_row(key, value).map_err(|what| {
                Error::corrupt(format!(
                    "the catalog of tables is damaged ({what}); restore a backup or use salvage"
                ))
            })?;
        }
        Ok(catalog)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> std::result::Result<(), &'static str> {
        let (id, live, root, description) = match Row::read(key, value)? {
            Row::NextId(id) => {
                self.next_id = id;
                return Ok(());
            }
            Row::Detached { root, table } => {
                self.load_detached(root, table);
                return Ok(());
            }
            Row::Table { id, live, root, description } => (id, live, root, description),
        };
        if id >= self.next_id {
            return Err("a table id was never given out");
        }
        let table = Arc::new(self.table_core(id, root, description));
        if !live {
            table.set_state(TableState::Dropped);
            self.dropping.push(table);
            return Ok(());
        }
        self.by_id.insert(id, Arc::clone(&table));
        match self.by_name.insert(table.name.clone(), table) {
            Some(_) => Err("two tables have one name"),
            None => Ok(()),
        }
    }

    fn table_core(&self, id: u32, root: PageId, description: Description) -> TableCore {
        TableCore::new(
            id,
            Index::at(root, id, description.kind),
            description,
            Arc::clone(&self.pager),
            self.on_disk,
        )
    }

    /// The live table of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<TableCore>> {
        self.by_name.get(name)
    }

    /// The live table of this id.
    pub(crate) fn get_id(&self, id: u32) -> Option<&Arc<TableCore>> {
        self.by_id.get(&id)
    }

    /// Live tables in the order of their names.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableCore>> {
        self.by_name.values()
    }

    /// Tables whose pages are being freed.
    pub(crate) fn dropping(&self) -> &[Arc<TableCore>] {
        &self.dropping
    }

    /// The catalog's own tree.
    pub(crate) fn tree(&self) -> BTree {
        self.tree
    }

    /// Makes a table with the next id.
    ///
    /// # Errors
    ///
    /// `Usage` for a name that cannot be, `TableExists`, and those of disk and budget.
    pub(crate) fn create_table(
        &mut self,
        description: Description,
        order: &Order,
    ) -> Result<(Arc<TableCore>, Option<Lsn>)> {
        self.check_open()?;
        description.check()?;
        if self.by_name.contains_key(&description.name) {
            return Err(Error::TableExists { name: description.name });
        }
        let id = self.next_id;
        if id == u32::MAX {
            return Err(Error::Exhausted { what: "every table id has been used".into() });
        }
        self.add_table(id, description, Journal::Log(order))
    }

    /// Makes a table that the log tells of.
    pub(crate) fn replay_create(&mut self, id: u32, name: &[u8], options: &[u8], lsn: Lsn) -> Result<()> {
        let broken =
            |what: &str| Error::corrupt(format!("the log makes table {id}, but {what}; restore a backup"));
        let description = Description::of_log(name, options).map_err(broken)?;
        // C2: the next id may have been raised for this very table, in an epoch before it was made.
        let used = id.saturating_add(1) < self.next_id
            || self.by_id.contains_key(&id)
            || self.dropping.iter().any(|t| t.id == id);
        if id == u32::MAX || used || self.by_name.contains_key(&description.name) {
            return Err(broken("that id or name is in use already"));
        }
        description.check().map_err(|_| broken("its name or types are too long"))?;
        self.add_table(id, description, Journal::Replay(lsn))?;
        Ok(())
    }

    fn add_table(
        &mut self,
        id: u32,
        description: Description,
        journal: Journal<'_>,
    ) -> Result<(Arc<TableCore>, Option<Lsn>)> {
        let mut log_record = Vec::new();
        if self.on_disk && journal.log().is_some() {
            let options = encode_options(&description);
            CommitWriter::new(&mut log_record, 1).create(id, &description.name, &options);
        }
        let (tree, lsn) = loop {
            let made = self.attempt_create(&self.pager.enter(), id, &description, &log_record, journal);
            match made {
                Ok(made) => break made,
                Err(stop) => stop.resolve(&self.pager, journal.log())?,
            }
        };
        let table = Arc::new(self.table_core(id, tree.root(), description));
        self.next_id = id + 1;
        self.by_id.insert(id, Arc::clone(&table));
        self.by_name.insert(table.name.clone(), Arc::clone(&table));
        Ok((table, lsn))
    }

    /// One passage (C1). It may raise the next id and then not make the table: the id is used by the next attempt, or skipped
    /// after a crash (C2).
    fn attempt_create(
        &self,
        m: &Mutation<'_>,
        id: u32,
        description: &Description,
        log_record: &[u8],
        journal: Journal<'_>,
    ) -> std::result::Result<(Index, Option<Lsn>), Stop> {
        let next_id = (id + 1).to_le_bytes();
        self.tree.place(m, &self.pager, NEXT_ID_KEY, next_id.len())?.put(&next_id, journal.now().0);
        let mut row = encode_row(LIVE, PageId::NONE, description);
        let place = self.tree.place(m, &self.pager, &row_key(id), row.len())?;
        let turn = match journal.order() {
            Some(order) if !log_record.is_empty() => {
                Some(order.reserve(log_record.len()).map_err(|_| Stop::LogFull(log_record.len()))?)
            }
            _ => None,
        };
        let tree = match Index::create(m, id, description.kind) {
            Ok(tree) => tree,
            Err(retry) => {
                if let Some(turn) = turn {
                    turn.abort();
                }
                return Err(retry.into());
            }
        };
        set_row_root(&mut row, tree.root());
        let lsn = turn.as_ref().map(Turn::lsn);
        place.put(&row, lsn.unwrap_or(journal.now()).0);
        if let Some(turn) = turn {
            turn.fill(log_record);
        }
        Ok((tree, lsn))
    }

    /// Drops a table: it is gone for everybody when this returns; its pages follow ([`free_some`](Self::free_some)).
    ///
    /// # Errors
    ///
    /// `TableNotFound`, and those of disk and budget.
    pub(crate) fn drop_table(&mut self, name: &str, stripes: &Stripes, order: &Order) -> Result<Option<Lsn>> {
        self.check_open()?;
        let Some(table) = self.by_name.get(name).cloned() else {
            return Err(Error::TableNotFound { name: name.into() });
        };
        let mut log_record = Vec::new();
        if self.on_disk {
            CommitWriter::new(&mut log_record, 1).drop_table(table.id);
        }
        let lsn = loop {
            let all_stripes = stripes.lock_all(); // ST2: no commit is under way
            let dropped = self.attempt_drop(&self.pager.enter(), &table, &log_record, Journal::Log(order));
            drop(all_stripes);
            match dropped {
                Ok(lsn) => break lsn,
                Err(stop) => stop.resolve(&self.pager, Some(&order.log))?,
            }
        };
        self.forget(&table);
        Ok(lsn)
    }

    /// Drops a table that the log tells of.
    pub(crate) fn replay_drop(&mut self, id: u32, lsn: Lsn) -> Result<()> {
        let Some(table) = self.by_id.get(&id).cloned() else {
            return Err(Error::corrupt(format!(
                "the log drops table {id}, which is not there; restore a backup or use salvage"
            )));
        };
        loop {
            let dropped = self.attempt_drop(&self.pager.enter(), &table, &[], Journal::Replay(lsn));
            match dropped {
                Ok(_) => break,
                Err(stop) => stop.resolve(&self.pager, None)?,
            }
        }
        self.forget(&table);
        Ok(())
    }

    fn attempt_drop(
        &self,
        m: &Mutation<'_>,
        table: &TableCore,
        log_record: &[u8],
        journal: Journal<'_>,
    ) -> std::result::Result<Option<Lsn>, Stop> {
        let row = encode_row(DROPPING, table.index.root(), &table.description());
        let place = self.tree.place(m, &self.pager, &row_key(table.id), row.len())?;
        let turn = match journal.order() {
            Some(order) if !log_record.is_empty() => {
                Some(order.reserve(log_record.len()).map_err(|_| Stop::LogFull(log_record.len()))?)
            }
            _ => None,
        };
        let lsn = turn.as_ref().map(Turn::lsn);
        place.put(&row, lsn.unwrap_or(journal.now()).0);
        table.set_state(TableState::Dropped);
        if let Some(turn) = turn {
            turn.fill(log_record);
        }
        Ok(lsn)
    }

    fn forget(&mut self, table: &Arc<TableCore>) {
        self.by_name.remove(&table.name);
        self.by_id.remove(&table.id);
        self.dropping.push(Arc::clone(table));
    }

    /// Frees some pages of a dropped table that nobody has a handle of, or of a detached tree. Whether anything was done.
    pub(crate) fn free_some(&mut self, journal: Journal<'_>) -> Result<bool> {
        // No new handle of a dropped table can be made, so one that is unique stays so.
        let Some(at) = self.dropping.iter_mut().position(|table| Arc::get_mut(table).is_some()) else {
            return self.free_detached(journal);
        };
        if self.free_large(&self.dropping[at].index.clone(), journal)? {
            return Ok(true);
        }
        let table = &self.dropping[at];
        let freed = self.attempt_free(&self.pager.enter(), table, journal);
        match freed {
            Ok(true) => {
                let gone = self.dropping.swap_remove(at);
                self.cleared.remove(&gone.index.root());
            }
            Ok(false) => {}
            Err(retry) => self.pager.resolve(retry)?,
        }
        Ok(true)
    }

    /// May any tree hold large values? A root that cannot be read may.
    ///
    /// # Errors
    ///
    /// What loading a root gives.
    pub(crate) fn may_hold_large(&self) -> Result<bool> {
        let tables = self.by_name.values().chain(&self.dropping).map(|table| table.index);
        for tree in tables.chain(self.detached().map(Index::Sorted)) {
            match tree.may_hold_large(&self.pager) {
                Ok(false) => {}
                Ok(true) | Err(aquifer_buffer::Error::Corrupt { .. }) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Are there large values in what [`free_some`](Self::free_some) would free next? Then all its leaves have to be read.
    ///
    /// # Errors
    ///
    /// What loading a root gives.
    pub(crate) fn reads_to_free(&mut self) -> Result<bool> {
        let dropped = self.dropping.iter_mut().find_map(|table| Arc::get_mut(table).map(|table| table.index));
        let Some(index) = dropped.or(self.detached.last().copied().map(Index::Sorted)) else {
            return Ok(false);
        };
        Ok(self.cleared.get(&index.root()) != Some(&None) && index.may_hold_large(&self.pager)?)
    }

    /// Removes some large values of an index that is to be freed; `false` if none is left.
    fn free_large(&mut self, index: &Index, journal: Journal<'_>) -> Result<bool> {
        let cleared = self.cleared.entry(index.root()).or_insert_with(|| Some(ClearedTo::beginning(index)));
        let Some(from) = cleared else { return Ok(false) };
        *cleared = match large::clear_some(&self.pager, index, from, journal.now()) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // The index can be freed without its damaged page.
                tracing::warn!(%error, "large values of what is being freed are lost, and so are their pages");
                None
            }
            cleared => cleared?,
        };
        Ok(true)
    }

    /// One passage (C3): the row is held ready, so that it goes with the root.
    fn attempt_free(
        &self,
        m: &Mutation<'_>,
        table: &TableCore,
        journal: Journal<'_>,
    ) -> std::result::Result<bool, aquifer_buffer::Retry> {
        let row = self.tree.place_existing(m, &self.pager, &row_key(table.id))?;
        let all = table.index.dismantle(m, &self.pager)?;
        if let Some(row) = row.filter(|_| all) {
            row.remove(journal.now().0);
        }
        Ok(all)
    }

    /// No table is used from now on. The caller holds all stripes (ST2).
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for table in self.by_name.values().chain(&self.dropping) {
            table.set_state(TableState::Closed);
        }
    }

    /// Is the database open?
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }
}
