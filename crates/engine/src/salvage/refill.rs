//! The new database: its tables, the records of the leaves that survive, and the log.
//!
//! # Invariants
//!
//! - **RF1** The keys of a gap get nothing from pages; what the log says of them comes over.
//! - **RF2** A change of the log is applied unless the leaf that answers for its key is newer: then the leaf has it already.
//!   One of the same position is applied again, which changes nothing.
//! - **RF4** Groups of long keys come over as the records of the index that they are; the page size is the same.
//! - **RF3** A PATCH whose value is lost is counted and passed over; a later PUT or DELETE of the key does not need it.

use super::coverage::{Coverage, Leaf, Piece};
use super::page::{LoosePage, position};
use super::report::{LostValue, SalvageProgress, SalvageReport, SalvageStage, SalvagedTable};
use super::source::{Source, Standing};
use super::survivors::Survivors;
use super::values::Places;
use crate::catalog::Description;
use crate::error::{Error, Result};
use crate::filler::Filler;
use crate::index::IndexKind;
use crate::kind::Sorted;
use crate::record::{Entries, Entry, Malformed, Op, Record};
use crate::records::AnyTable;
use aquifer_buffer::{PageId, Wreck};
use aquifer_codec::Key;
use aquifer_codec::checksum::crc32c;
use aquifer_index::LeafValue;
use aquifer_index::blob::Descriptor;
use aquifer_wal::Remains;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A row of the catalog that survives.
#[derive(Debug, Clone)]
pub(super) struct CatalogTable {
    pub(super) live: bool,
    pub(super) root: PageId,
    pub(super) description: Description,
}

/// A table of the new database.
struct Target {
    table: AnyTable,
    /// Of the hash function that its pages were made with, if it is hashed.
    seed: Option<u64>,
    coverage: Coverage,
    report: SalvagedTable,
}

/// See the module's head.
pub(super) struct Refill<'s> {
    wreck: &'s Wreck,
    leaves: &'s BTreeMap<u32, Vec<Leaf>>,
    standing: Standing,
    filler: Filler,
    targets: BTreeMap<u32, Target>,
    /// Names in use, made up or not.
    names: BTreeSet<String>,
    /// The pages of large values.
    places: Places,
    report: SalvageReport,
}

/// The name of a table whose own is lost.
pub(super) fn made_up_name(id: u32) -> String {
    format!("table-{id}")
}

impl<'s> Refill<'s> {
    /// Makes the tables that survive in the new database.
    pub(super) fn create(
        filler: Filler,
        source: &'s Source,
        survivors: &'s Survivors,
        places: Places,
        catalog: BTreeMap<u32, CatalogTable>,
        report: SalvageReport,
    ) -> Result<Refill<'s>> {
        let names =
            catalog.values().filter(|table| table.live).map(|table| table.description.name.clone()).collect();
        let (wreck, leaves) = (&source.wreck, &survivors.leaves);
        let standing = source.standing;
        let targets = BTreeMap::new();
        let mut refill = Refill { wreck, leaves, standing, filler, targets, names, places, report };
        let mut dropped = 0;
        for (&id, table) in &catalog {
            if table.live {
                refill.add_table(id, Some(table.description.clone()))?;
            }
        }
        for id in survivors.tables().into_iter().filter(|id| !catalog.contains_key(id)) {
            if refill.report.catalog_damaged {
                refill.add_table(id, None)?;
            } else {
                dropped += 1;
            }
        }
        if dropped > 0 {
            refill.report.notes.push(format!(
                "pages of {dropped} tables that the catalog does not name were left: such tables were dropped"
            ));
        }
        if refill.report.catalog_damaged {
            refill.report.doubts.push(
                "rows of the catalog are lost: tables without a name may be ones that had been dropped, and tables without \
                 a surviving page leave no trace"
                    .into(),
            );
        }
        Ok(refill)
    }

    fn add_table(&mut self, id: u32, description: Option<Description>) -> Result<()> {
        let leaves = self.leaves.get(&id).map_or(&[][..], Vec::as_slice);
        let seed = match description.as_ref().map(|description| description.kind) {
            Some(IndexKind::Sorted) => None,
            Some(IndexKind::Hashed { seed }) => Some(seed),
            None => leaves.iter().find_map(|leaf| leaf.seed),
        };
        let made = match description {
            Some(description) => match self.filler.create_table(description) {
                Err(Error::Usage { .. }) => None, // a name that cannot be
                made => Some(made?),
            },
            None => None,
        };
        let named = made.is_some();
        let table = match made {
            Some(table) => table,
            None => {
                let bytes = <[u8] as Key>::type_name();
                let mut name = made_up_name(id);
                while !self.names.insert(name.clone()) {
                    name.push_str("-salvaged");
                }
                let value_type = bytes.clone();
                let kind = seed.map_or(IndexKind::Sorted, |seed| IndexKind::Hashed { seed });
                let logged = true;
                let lifetime = None;
                let key_type = bytes;
                self.filler.create_table(Description {
                    name,
                    kind,
                    logged,
                    key_type,
                    value_type,
                    lifetime,
                })?
            }
        };
        let table = table.of_index_records(); // RF4
        let coverage = Coverage::of(leaves);
        let name = table.name().to_owned();
        let report =
            SalvagedTable { name, id, named, lost: coverage.gaps.clone(), ..SalvagedTable::default() };
        self.targets.insert(id, Target { table, seed, coverage, report });
        Ok(())
    }

    /// Brings everything over.
    pub(super) fn run(
        mut self,
        log: Option<Remains>,
        mut progress: impl FnMut(SalvageProgress),
    ) -> Result<SalvageReport> {
        if let Some(log) = &log {
            self.look_ahead(log.fork())?;
        }
        let total = self.targets.values().map(|target| target.coverage.pieces.len() as u64).sum();
        let mut done = 0;
        let mut step = |pieces| {
            done += pieces;
            progress(SalvageProgress { stage: SalvageStage::Records, done, total });
        };
        for (id, target) in &mut self.targets {
            let leaves = self.leaves.get(id).map_or(&[][..], Vec::as_slice);
            let from = (self.wreck, &self.places);
            copy(from, leaves, target, &mut self.filler, &mut self.report, &mut step)?;
        }
        match log {
            Some(log) => self.apply_log(log, progress)?,
            None => self.report.log.damage = Some("there is no log that belongs to the data file".into()),
        }
        self.doubt_unlogged();
        self.report.tables = self.targets.into_values().map(|target| target.report).collect();
        self.report.tables.sort_by(|a, b| a.name.cmp(&b.name));
        self.filler.finish()?.close()?;
        Ok(self.report)
    }

    /// What an older checkpoint does not have of a table without a log, the log has not either.
    fn doubt_unlogged(&mut self) {
        let unlogged = self.targets.values().map(|target| target.table.info()).filter(|info| !info.logged);
        let names: Vec<String> = unlogged.map(|info| info.name).collect();
        if self.standing != Standing::Newest && !names.is_empty() {
            self.report.doubts.push(format!(
                "tables without a log may be as they were before the last checkpoint: {}",
                names.join(", ")
            ));
        }
    }

    /// Finds out where the log says that pages of large values lie (SV3 of `values`).
    fn look_ahead(&mut self, mut log: Remains) -> Result<()> {
        while let Some((lsn, record)) = log.next()? {
            let Ok(Record::Commit(mut entries)) = Record::decode(record) else { continue };
            while let Ok(Some(entry)) = entries.next() {
                if let Op::Attach { manifest, .. } = entry.op {
                    self.places.attach(self.wreck, lsn.0, manifest);
                }
            }
        }
        Ok(())
    }

    fn apply_log(&mut self, mut log: Remains, mut progress: impl FnMut(SalvageProgress)) -> Result<()> {
        let (start, mut end) = (log.start().0, log.end().clone());
        let total = end.lsn.0.saturating_sub(start);
        let mut position = start;
        while let Some((lsn, record)) = log.next()? {
            if let Err(Malformed(what)) = self.apply_record(lsn.0, record)? {
                end.closed = false;
                end.lsn = aquifer_wal::Lsn(position);
                end.damage = Some(format!("the record that ends at {} makes no sense: {what}", lsn.0));
                break;
            }
            position = lsn.0;
            progress(SalvageProgress { stage: SalvageStage::Log, done: position - start, total });
        }
        self.report.log.damage = end.damage.clone();
        self.report.log.end = Some(end);
        Ok(())
    }

    /// One record, whole or not at all where it makes no sense.
    fn apply_record(&mut self, lsn: u64, record: &[u8]) -> Result<std::result::Result<(), Malformed>> {
        let entries = || match Record::decode(record) {
            Ok(Record::Commit(entries)) => Ok(Some(entries)),
            Ok(Record::Checkpoint { .. } | Record::Aborted) => Ok(None),
            Err(malformed) => Err(malformed),
        };
        match entries() {
            Ok(None) => return Ok(Ok(())),
            Ok(Some(entries)) => {
                if let Err(malformed) = check_entries(entries) {
                    return Ok(Err(malformed));
                }
            }
            Err(malformed) => return Ok(Err(malformed)),
        }
        let Ok(Some(mut entries)) = entries() else { return Ok(Ok(())) };
        self.report.log.records += 1;
        while let Ok(Some(entry)) = entries.next() {
            self.report.log.entries += 1;
            self.apply(lsn, &entry)?;
        }
        Ok(Ok(()))
    }

    fn apply(&mut self, lsn: u64, entry: &Entry<'_>) -> Result<()> {
        match &entry.op {
            Op::Create { row } => return self.apply_create(entry.table, entry.key, row),
            Op::Drop => return self.apply_drop(entry.table),
            Op::Put(_) | Op::Patch(_) | Op::Delete | Op::Attach { .. } | Op::RangeDelete { .. } => {}
            Op::Adopt { .. } => return Ok(()), // what was loaded is on pages that say whose they are
        }
        if !self.targets.contains_key(&entry.table) {
            if !self.report.catalog_damaged {
                return Ok(()); // of a table that was dropped
            }
            self.add_table(entry.table, None)?;
        }
        let Some(target) = self.targets.get_mut(&entry.table) else { return Ok(()) };
        if let Op::RangeDelete { high } = entry.op {
            return delete_range(&mut self.filler, target, entry.key, high, lsn);
        }
        let position = position(target.seed, entry.key);
        if target.coverage.changed_at(&position).is_some_and(|changed_at| changed_at > lsn) {
            return Ok(()); // RF2
        }
        let Target { table, report: of_table, .. } = target;
        let table = &*table;
        let fits = |value: &[u8]| table.core().check_lengths(entry.key, value).is_ok();
        let applied = match &entry.op {
            Op::Put(value) if fits(value) => {
                self.filler.put(table, entry.key, value)?;
                true
            }
            Op::Delete if fits(&[]) => {
                self.filler.delete(table, entry.key)?;
                true
            }
            Op::Attach { descriptor, manifest } if fits(descriptor) => {
                let (wreck, places) = (self.wreck, &self.places);
                let copied = self.filler.put_large(table, entry.key, |writer| {
                    places.copy_attached(wreck, lsn, (descriptor, manifest), writer)
                })?;
                if let Err(what) = &copied {
                    // What was there before is gone as well.
                    self.filler.delete(table, entry.key)?;
                    of_table.lost_values.push(LostValue { key: entry.key.to_vec(), what: what.clone() });
                }
                copied.is_ok()
            }
            Op::Patch(patch) => {
                let mut value = self.filler.get(table, entry.key)?;
                let fits = value.as_mut().is_some_and(|value| patch.apply(value)); // RF3
                if let Some(value) = value.filter(|_| fits) {
                    self.filler.put(table, entry.key, &value)?;
                }
                fits
            }
            _ => false,
        };
        if applied {
            of_table.lost_values.retain(|lost| lost.key != entry.key); // the log has it
        }
        self.report.log.lost_entries += u64::from(!applied);
        Ok(())
    }

    fn apply_create(&mut self, id: u32, name: &[u8], row: &[u8]) -> Result<()> {
        let Ok(description) = Description::of_log(name, row) else { return Ok(()) };
        let logged = description.logged;
        let known = self.targets.contains_key(&id);
        if !known {
            // The name may be in use by a later table: this one is dropped further on.
            let description = self.names.insert(description.name.clone()).then_some(description);
            self.add_table(id, description)?;
        }
        if let Some(target) = self.targets.get_mut(&id).filter(|_| !known || logged) {
            target.report.lost.clear(); // the log has all of it, from when it was empty
        }
        Ok(())
    }

    fn apply_drop(&mut self, id: u32) -> Result<()> {
        let Some(target) = self.targets.remove(&id) else { return Ok(()) };
        let name = target.table.name().to_owned();
        drop(target);
        self.names.remove(&name);
        self.filler.drop_table(&name)
    }
}

/// Deletes the keys of a range that no newer page has (RF2), some at a time.
fn delete_range(
    filler: &mut Filler,
    target: &Target,
    low: &[u8],
    high: Option<&[u8]>,
    lsn: u64,
) -> Result<()> {
    // In a hashed table there are no ranges: the record makes no sense, and changes nothing.
    let Some(table) = target.table.with_kind::<Sorted>() else { return Ok(()) };
    let mut from = Bound::Included(low.to_vec());
    loop {
        filler.flush()?;
        let to = high.map_or(Bound::Unbounded, |high| Bound::Excluded(high.to_vec()));
        let mut keys = Vec::new();
        let mut scan = table.scan((from, to));
        while keys.len() < KEYS_AT_ONCE
            && let Some((key, _)) = scan.next()?
        {
            keys.push(key.to_vec());
        }
        drop(scan);
        let Some(last) = keys.last().cloned() else { return Ok(()) };
        for key in keys {
            if target.coverage.changed_at(&key).is_none_or(|changed_at| changed_at <= lsn) {
                filler.delete(&target.table, &key)?;
            }
        }
        from = Bound::Excluded(last);
    }
}

fn check_entries(mut entries: Entries<'_>) -> std::result::Result<(), Malformed> {
    while entries.next()?.is_some() {}
    Ok(())
}

/// Brings the records of a table's leaves over.
fn copy(
    (wreck, places): (&Wreck, &Places),
    leaves: &[Leaf],
    target: &mut Target,
    filler: &mut Filler,
    report: &mut SalvageReport,
    step: &mut impl FnMut(u64),
) -> Result<()> {
    let Target { table, coverage, report: of_table, .. } = target;
    let mut failed: Option<Error> = None;
    let mut refused = 0;
    for pieces in coverage.pieces.chunks(PIECES_AT_ONCE) {
        read_pieces(wreck, leaves, pieces, |piece, read| match read {
            Ok((key, value)) => {
                if failed.is_some() {
                    return;
                }
                if table.core().check_lengths(key, value.bytes).is_err() {
                    refused += 1;
                    return;
                }
                if value.is_large() {
                    let copied = filler.put_large(table, key, |writer| {
                        places.copy(wreck, piece.changed_at, value.bytes, writer)
                    });
                    match copied {
                        Ok(Ok(())) => {}
                        Ok(Err(what)) => {
                            return of_table.lost_values.push(LostValue { key: key.to_vec(), what });
                        }
                        Err(error) => failed = Some(error),
                    }
                } else {
                    failed = filler.put(table, key, value.bytes).err();
                }
                let value_len = if value.is_large() {
                    Descriptor::len_of(value.bytes).unwrap_or_default()
                } else {
                    value.bytes.len() as u64
                };
                of_table.records += 1;
                report.records += 1;
                report.record_bytes += key.len() as u64 + value_len;
            }
            Err(Unreadable) => {
                let (from, to) = (piece.from.clone(), piece.to.clone());
                of_table.lost.push(super::KeyGap { from, to });
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        of_table.leaves += pieces.len() as u64;
        report.leaves += pieces.len() as u64;
        report.unchecked_leaves += pieces.iter().filter(|piece| !leaves[piece.leaf].checked).count() as u64;
        step(pieces.len() as u64);
    }
    of_table.lost.sort();
    if refused > 0 {
        let name = &of_table.name;
        report.doubts.push(format!(
            "{refused} records of table {name} are longer than any page allows: they were left"
        ));
    }
    Ok(())
}

/// Leaves read at a time.
const PIECES_AT_ONCE: usize = 1024;
/// Keys of a deleted range that are looked for at a time.
const KEYS_AT_ONCE: usize = 1024;

/// A leaf that cannot be read any more, or is not what it was.
#[derive(Debug)]
pub(super) struct Unreadable;

/// Gives the records of pieces to `visit`, in order.
pub(super) fn read_pieces(
    wreck: &Wreck,
    leaves: &[Leaf],
    pieces: &[Piece],
    mut visit: impl FnMut(&Piece, std::result::Result<(&[u8], LeafValue<'_>), Unreadable>),
) {
    let slots: Vec<u32> = pieces.iter().map(|piece| leaves[piece.leaf].slot).collect();
    wreck.read(&slots, |index, bytes| {
        let piece = &pieces[index];
        let leaf = &leaves[piece.leaf];
        let page = bytes.ok().filter(|bytes| crc32c(0, bytes) == leaf.checksum);
        let Some(page) = page.and_then(|bytes| LoosePage::new(bytes).ok()) else {
            return visit(piece, Err(Unreadable));
        };
        page.records(|at, key, value| {
            let inside = piece.from.as_slice() <= at && piece.to.as_ref().is_none_or(|to| at < to.as_slice());
            if inside {
                visit(piece, Ok((key, value)));
            }
        });
    });
}
