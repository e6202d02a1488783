//! Salvage: everything that can still be read of a damaged database, brought into a new one, and a report of what is lost.
//!
//! | module | its secret |
//! |---|---|
//! | `source` | which checkpoint and which log to start from |
//! | `survivors` | which pages survive |
//! | `values` | the pages of large values |
//! | `coverage` | which leaf answers for which keys |
//! | `refill` | the new database: tables, records, the log |
//! | `report` | what is said |
//!
//! A leaf says itself which table it belongs to and which keys it covers, so inner pages are not needed: what lies between
//! the leaves that survive is what is lost.

mod coverage;
mod page;
mod refill;
mod report;
mod source;
mod survivors;
mod values;

pub use report::{
    KeyGap, LostKind, LostPage, LostValue, SalvageProgress, SalvageReport, SalvageStage, SalvagedLog,
    SalvagedTable,
};

use crate::catalog::{CATALOG_ID, Row};
use crate::database::Database;
use crate::error::Result;
use crate::filler::Filler;
use crate::options::Options;
use aquifer_buffer::{MapRemains, PageId};
use coverage::Coverage;
use refill::{CatalogTable, Refill};
use source::{Source, Standing};
use std::collections::BTreeMap;
use std::path::Path;
use survivors::{Parentage, Survivors};

/// Name under which the catalog's pages are reported.
const CATALOG: &str = "(catalog)";

impl Database {
    /// Brings everything that is still readable in the damaged database in `dir` into a new one in `dest`, which must be empty
    /// or absent, and says what is lost. The damaged one is locked meanwhile, and nothing is written to it but the process id in
    /// its `LOCK`. `options` are for both; `disk` means the damaged one. The new one has its page size.
    ///
    /// Reads the data file once, or twice where the page map is damaged. Takes memory for the place and the key range of each
    /// leaf, about 100 bytes, beside the budget of the new database.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) and [`Error::Locked`](crate::Error::Locked) of `dir`;
    /// [`Error::Format`](crate::Error::Format) if nothing in it is this program's; those of making a database in `dest`.
    /// Damage is no error: it is in the report. After an error there is no database in `dest`.
    ///
    /// ```
    /// use aquifer::{Database, Options};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    /// let db = Database::open(&old)?;
    /// db.create_table("t", Default::default())?.put(b"k", b"v")?;
    /// db.close()?;
    /// # drop(db);
    ///
    /// let report = Database::salvage(Options::default(), &old, &new, |_| ())?;
    /// assert!(report.is_complete());
    /// assert_eq!(Database::open(&new)?.table("t")?.get(b"k")?.as_deref(), Some(&b"v"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn salvage(
        options: Options,
        dir: impl AsRef<Path>,
        dest: impl AsRef<Path>,
        mut progress: impl FnMut(SalvageProgress),
    ) -> Result<SalvageReport> {
        let mut source = Source::open(&options, dir.as_ref())?;
        // First of all: that it cannot be made should not be said after hours.
        let options = Options { disk: None, page_bytes: None, ..options };
        let filler = Filler::create(options, dest.as_ref(), source.wreck.page_bytes())?;
        let log = source.log.take();
        let mut report = SalvageReport {
            page_bytes: source.wreck.page_bytes(),
            generation: source.superblock.map(|superblock| superblock.generation),
            ..SalvageReport::default()
        };
        let pages = |done, total| progress(SalvageProgress { stage: SalvageStage::Pages, done, total });
        let (survivors, map) = survive(&mut source, pages)?;
        report.doubts = std::mem::take(&mut source.doubts);
        report.notes = std::mem::take(&mut source.notes);
        let catalog = read_catalog(&source, &survivors, &mut report);
        let parentage = survivors.parentage(&source.wreck);
        describe_lost(&source, &survivors, map.as_ref(), &catalog, &parentage, &mut report);
        let flip_lsn = source.superblock.map_or(0, |superblock| superblock.flip_lsn);
        let places = values::Places::new(map.as_ref(), flip_lsn);
        Refill::create(filler, &source, &survivors, places, catalog, report)?.run(log, progress)
    }
}

/// Finds the pages, and the map that was used.
fn survive(
    source: &mut Source,
    mut progress: impl FnMut(u64, u64),
) -> Result<(Survivors, Option<MapRemains>)> {
    let wreck = &source.wreck;
    let Some(superblock) = &source.superblock else {
        return Ok((Survivors::of_slots(wreck, None, progress)?, None));
    };
    let map = wreck.map(superblock)?;
    if source.standing != Standing::Useless {
        let survivors = Survivors::of_checkpoint(wreck, superblock, &map, &mut progress)?;
        let whole = survivors.lost.is_empty() && map.lost.is_empty();
        if source.standing == Standing::Newest || whole {
            if !map.lost.is_empty() {
                source.doubts.push(
                    "pages below damaged nodes of the page map were looked for in all slots and taken by what they say \
                     themselves: no checksum vouches for them, and what is not found cannot be named"
                        .into(),
                );
            }
            return Ok((survivors, Some(map)));
        }
        source.doubts.push("the older checkpoint is not whole any more".into());
    }
    source.doubts.push(
        "all slots were searched, and the newest version of each page was taken by what it says itself: few have a checksum \
         to vouch for them, and pages that were lost cannot be named"
            .into(),
    );
    Ok((Survivors::of_slots(wreck, Some(&map), progress)?, None))
}

/// The rows of the catalog that survive.
fn read_catalog(
    source: &Source,
    survivors: &Survivors,
    report: &mut SalvageReport,
) -> BTreeMap<u32, CatalogTable> {
    let mut tables = BTreeMap::new();
    let none = Vec::new();
    let leaves = survivors.leaves.get(&CATALOG_ID).unwrap_or(&none);
    let coverage = Coverage::of(leaves);
    report.catalog_damaged = !coverage.gaps.is_empty();
    refill::read_pieces(&source.wreck, leaves, &coverage.pieces, |_, read| match read {
        Ok((key, value)) => match Row::read(key, value.bytes) {
            Ok(Row::Table { id, live, root, description }) => {
                tables.insert(id, CatalogTable { live, root, description });
            }
            Ok(Row::NextId(_) | Row::Detached { .. }) => {}
            Err(_) => report.catalog_damaged = true,
        },
        Err(_) => report.catalog_damaged = true,
    });
    if survivors.ambiguous > 0 {
        report.doubts.push(format!(
            "of {} pages there were several versions that are equally new and differ; one of each was taken",
            survivors.ambiguous
        ));
    }
    tables
}

/// What the lost pages and nodes were.
fn describe_lost(
    source: &Source,
    survivors: &Survivors,
    map: Option<&MapRemains>,
    catalog: &BTreeMap<u32, CatalogTable>,
    parentage: &BTreeMap<PageId, Parentage>,
    report: &mut SalvageReport,
) {
    let name = |table: u32| match (table, catalog.get(&table)) {
        (CATALOG_ID, _) => CATALOG.to_owned(),
        (_, Some(known)) => known.description.name.clone(),
        (id, None) => refill::made_up_name(id),
    };
    let no_tree_page = "it is no page of any tree, and in no large value";
    let unclaimed = survivors.data.iter().filter(|&(&page, _)| !survivors.claimed.contains(page.0));
    let unclaimed: Vec<_> =
        unclaimed.map(|(&page, placed)| (page, (placed.slot, no_tree_page.to_owned()))).collect();
    let lost = survivors.lost.iter().map(|(&page, lost)| (page, lost));
    for (page, (slot, what)) in lost.chain(unclaimed.iter().map(|(page, lost)| (*page, lost))) {
        let root_of = catalog.iter().find(|(_, table)| table.root == page).map(|(&id, _)| id);
        let root_of = root_of.or((page == PageId::FIRST).then_some(CATALOG_ID));
        let (kind, table) = match (parentage.get(&page), root_of) {
            (None, None) if survivors.claimed.contains(page.0) => (LostKind::LargeValue, None),
            (Some(known), _) if known.level == 0 => (LostKind::Leaf, Some(known.table)),
            (Some(known), _) => (LostKind::Inner, Some(known.table)),
            // A root with pages below it is an inner page; alone it was the only leaf.
            (None, Some(table)) => {
                let more = survivors.with_inner.contains(&table) || survivors.leaves.contains_key(&table);
                (if more { LostKind::Inner } else { LostKind::Leaf }, Some(table))
            }
            (None, None) => (LostKind::Unknown, None),
        };
        report.lost_pages.push(LostPage {
            page: Some(page),
            offset: source.wreck.offset(*slot),
            kind,
            table: table.map(name),
            what: what.clone(),
        });
    }
    for node in map.into_iter().flat_map(|map| &map.lost) {
        report.lost_pages.push(LostPage {
            page: None,
            offset: source.wreck.offset(node.slot),
            kind: LostKind::MapNode,
            table: None,
            what: format!("it places pages {} to {}: {}", node.pages.start, node.pages.end - 1, node.what),
        });
    }
}
