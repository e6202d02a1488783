//! Reading everything back: every table's tree, and every page against its checksum.
//!
//! # Invariants
//!
//! - **VF1** The maintenance lock is held throughout: no checkpoint and no freeing of dropped tables meanwhile. All stripes are
//!   held while the trees are walked: nobody changes them.
//! - **VF2** Every page is in exactly one tree or large value, those of the catalog and of dropped tables included.
//! - **VF3** Every group of long keys is whole and in order (GR1 of `long_key`); its members count as records. Only tables that have groups
//!   are read once more for this.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::large::Known;
use crate::long_key::{self, Group, KEY_BYTES_MAX};
use crate::table_core::TableCore;
use aquifer_buffer::{PageId, PageRun, RunSet};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What verification is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyStage {
    /// Walking the tables.
    Tables,
    /// Reading every page from disk.
    Pages,
}

/// How far verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Stage.
    pub stage: VerifyStage,
    /// Pages done in this stage.
    pub done: u64,
    /// Pages in all.
    pub total: u64,
}

/// What verification found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Pages that exist.
    pub pages: u64,
    /// Records in all tables.
    pub records: u64,
    /// Each table, by name.
    pub tables: Vec<TableReport>,
    /// What is wrong; empty if nothing is.
    pub faults: Vec<Fault>,
}

/// What verification found in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableReport {
    /// Name.
    pub name: String,
    /// Records.
    pub records: u64,
    /// Pages, those of large values included.
    pub pages: u64,
    /// Values that have pages of their own, and groups of long keys that have.
    pub large_values: u64,
    /// Levels of its tree.
    pub depth: u32,
    /// Bytes of keys and values.
    pub record_bytes: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The page, where it is about one.
    pub page: Option<PageId>,
    /// The table that the page belongs to, where known.
    pub owner: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(page) = self.page {
            write!(f, "page {page}")?;
            if let Some(owner) = &self.owner {
                write!(f, " of table {owner}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.what)
    }
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Name under which the catalog's pages are reported.
const CATALOG: &str = "(catalog)";

struct Verification<'e, P> {
    engine: &'e Engine,
    report: VerifyReport,
    /// Which tree each page is in.
    owners: HashMap<PageId, String>,
    /// Pages of large values, where each run ends, and whose it is.
    large: BTreeMap<u32, (u32, String)>,
    total: u64,
    progress: P,
}

impl Engine {
    pub(crate) fn verify(&self, progress: impl FnMut(VerifyProgress)) -> Result<VerifyReport> {
        let _maintenance = self.maintenance.lock(); // VF1
        let catalog = self.catalog.lock();
        catalog.check_open()?;
        let total = self.pager.stats().pages;
        let mut run = Verification {
            engine: self,
            report: VerifyReport { pages: total, ..VerifyReport::default() },
            owners: HashMap::new(),
            large: BTreeMap::new(),
            total,
            progress,
        };
        let nobody_writes = self.stripes.lock_all(); // VF1
        run.walk(CATALOG, Index::Sorted(catalog.tree()))?;
        for table in catalog.tables() {
            let (mut report, groups) = run.walk(&table.name, table.index)?;
            if groups > 0 {
                run.check_groups(table, &mut report)?;
            }
            run.report.records += report.records;
            run.report.tables.push(report);
        }
        for table in catalog.dropping() {
            run.walk(&format!("{} (dropped)", table.name), table.index)?;
        }
        for (tree, table) in catalog.detached().map(|tree| (tree, tree.table())) {
            run.walk(&format!("table {table} (detached)"), Index::Sorted(tree))?;
        }
        run.find_lost_pages();
        drop(nobody_writes);
        drop(catalog);
        run.read_pages();
        Ok(run.report)
    }
}

impl<P: FnMut(VerifyProgress)> Verification<'_, P> {
    /// What is in a tree, and how many of its records are groups of long keys.
    fn walk(&mut self, name: &str, tree: Index) -> Result<(TableReport, u64)> {
        let (before, total) = (self.owners.len() as u64, self.total);
        let progress = &mut self.progress;
        let found = tree.check(&self.engine.pager, &mut |done| {
            let done = (before + done).min(total);
            progress(VerifyProgress { stage: VerifyStage::Tables, done, total });
        })?;
        for (page, what) in found.faults {
            self.fault(page, Some(name.into()), what);
        }
        let mut pages = found.pages.len() as u64;
        let mut record_bytes = found.record_bytes;
        let large_values = found.large.len() as u64;
        for page in found.pages {
            if let Some(other) = self.owners.insert(page, name.into()) {
                self.fault(page, Some(name.into()), format!("it is in the tree of {other} as well")); // VF2
            }
            if let Some(other) = self.owner_of_large(page).cloned() {
                self.fault(page, Some(name.into()), format!("it is in a large value of {other} as well"));
            }
        }
        for (leaf, descriptor) in found.large {
            match Known::load_to_read(&self.engine.pager, &descriptor) {
                Ok(Known { value, .. }) => {
                    record_bytes += value.len().saturating_sub(descriptor.len() as u64);
                    for run in value.pages() {
                        pages += u64::from(run.pages);
                        self.claim_large(name, leaf, run);
                    }
                }
                Err(Error::Corrupt { what }) => {
                    self.fault(leaf, Some(name.into()), format!("a large value in it is lost: {what}"));
                }
                Err(other) => return Err(other),
            }
        }
        let report = TableReport {
            name: name.into(),
            records: found.records,
            large_values,
            pages,
            depth: found.depth,
            record_bytes,
        };
        Ok((report, found.longest))
    }

    /// VF3.
    fn check_groups(&mut self, table: &TableCore, report: &mut TableReport) -> Result<()> {
        let (mut key, mut bytes) = (Vec::new(), Vec::new());
        let mut cursor = table.index.all(&self.engine.pager);
        loop {
            match cursor.next_value() {
                Ok(Some((found, _))) if !table.is_long(found) => continue,
                Ok(Some((found, _))) => {
                    key.clear();
                    key.extend_from_slice(found);
                }
                Ok(None) => return Ok(()),
                Err(_) if !self.report.faults.is_empty() => return Ok(()), // the walk has met it
                Err(error) => return Err(error),
            }
            let prefix_len = key.len() - 1;
            let checked = match long_key::read_group(self.engine, table, &key, &mut bytes) {
                Ok(true) => Group::new(&bytes).and_then(|group| {
                    let ends_well = key[prefix_len] == 0;
                    let suffix_bytes = group.check(KEY_BYTES_MAX - prefix_len)?;
                    if ends_well {
                        Ok((group.count() as u64, suffix_bytes))
                    } else {
                        Err("its key does not end with a zero")
                    }
                }),
                Ok(false) | Err(Error::Corrupt { .. }) => continue, // a large value that is lost: the walk has said so
                Err(other) => return Err(other),
            };
            match checked {
                Ok((members, suffix_bytes)) => {
                    report.records += members - 1;
                    report.record_bytes += members * prefix_len as u64 + suffix_bytes;
                    report.record_bytes -= (key.len() + bytes.len()) as u64;
                }
                Err(what) => {
                    let (name, key) = (&table.name, key[..prefix_len.min(32)].escape_ascii());
                    let what = format!("table {name}: the group of long keys that begin with {key}…: {what}");
                    self.report.faults.push(Fault { page: None, owner: Some(name.clone()), what });
                }
            }
        }
    }

    /// VF2, for pages of a large value.
    fn claim_large(&mut self, name: &str, leaf: PageId, run: PageRun) {
        let before = self.large.range(..run.end()).next_back();
        let twice = before.is_some_and(|(_, &(end, _))| run.first.0 < end);
        if twice || run.ids().any(|page| self.owners.contains_key(&page)) {
            let what =
                format!("pages from {} of a large value in it belong to something else as well", run.first);
            self.fault(leaf, Some(name.into()), what);
        }
        self.large.insert(run.first.0, (run.end(), name.into()));
    }

    fn owner_of_large(&self, page: PageId) -> Option<&String> {
        let (_, (end, name)) = self.large.range(..=page.0).next_back()?;
        (page.0 < *end).then_some(name)
    }

    /// VF2.
    fn find_lost_pages(&mut self) {
        let damaged = !self.report.faults.is_empty();
        if damaged {
            return; // what lies below a damaged page was not seen
        }
        let mut missing = RunSet::new();
        self.large.iter().for_each(|(&start, &(end, _))| missing.insert(start, end));
        for page in self.engine.pager.pages() {
            if self.owner_of_large(page).is_some() {
                missing.remove(page.0, page.0 + 1);
            } else if !self.owners.contains_key(&page) {
                self.fault(page, None, "no table holds it: it is lost space".into());
            }
        }
        for run in missing.pages() {
            let owner = self.owner_of_large(run.first).cloned();
            self.fault(
                run.first,
                owner,
                format!("{} pages of a large value from it on do not exist", run.pages),
            );
        }
    }

    fn read_pages(&mut self) {
        let mut done = 0;
        let total = self.total;
        let (engine, progress) = (self.engine, &mut self.progress);
        let mut damaged = Vec::new();
        engine.pager.verify(|page, result| {
            done += 1;
            progress(VerifyProgress { stage: VerifyStage::Pages, done, total: total.max(done) });
            if let Err(error) = result {
                damaged.push((page, error.to_string()));
            }
        });
        for (page, what) in damaged {
            let owner = self.owners.get(&page).or_else(|| self.owner_of_large(page)).cloned();
            self.fault(page, owner, what);
        }
    }

    fn fault(&mut self, page: PageId, owner: Option<String>, what: String) {
        self.report.faults.push(Fault { page: Some(page), owner, what });
    }
}
