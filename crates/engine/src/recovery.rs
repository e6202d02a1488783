//! Opening: from whatever a crash left to a database that serves.
//!
//! 1. The newest durable checkpoint (`Pager::open`) is a complete, consistent state: everything below its flip LSN.
//! 2. The log of its incarnation is read from that LSN: once to reserve the pages and slots of large values that it attaches,
//!    before anything is given out, and once more to be applied, in order, through the ordinary index code. There is no
//!    undo: no page ever held anything uncommitted.
//! 3. A new incarnation begins: its own chain of log segments, durable before it is named; then a checkpoint that names it.
//!    Old segments go. Nothing is ever appended to a log that a crash may have torn.
//! 4. Tables whose dropping was interrupted are finished, and the database serves.
//!
//! # Invariants
//!
//! - **RC1** Until step 3's superblock is durable nothing is written that the old checkpoint or its log needs: a crash at any
//!   point leaves them whole, and recovery begins again.
//! - **RC2** Every record is applied exactly once, to the state that it was made on. What does not fit (a table that is not
//!   there, a PATCH beyond its value) is corruption, not something to skip.
//! - **RC3** An older superblock is not a way back: if the log says that a newer checkpoint was durable, or is not there at
//!   all, the opening is refused.
//! - **RC4** What a history takes of space, page ids and memory is bounded by what its database took, not by its length:
//!   dropped tables are freed, and checkpoints taken, on the way.

use crate::catalog::Catalog;
use crate::commit::exchange_pages;
use crate::error::{Error, Result};
use crate::large::{Known, Written};
use crate::opening::finish_drops;
use crate::record::{self, Entry, Malformed, Op, Patch, Record};
use crate::stats::RecoveryReport;
use crate::table_core::TableCore;
use aquifer_buffer::{LoggedPages, PageId, Pager, Retry, Superblock};
use aquifer_index::{LeafValue, ValueKind};
use aquifer_io::Disk;
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_sync::Arc;
use aquifer_wal::{History, Lsn, Records, Replay, Tail};
use std::ops::Bound;

/// The directory of log segments.
pub(crate) const LOG_DIRECTORY: &str = "log";
/// Records are read ahead in groups of so many bytes, whose leaves are loaded together.
const GROUP_BYTES: usize = 256 << 10;
/// And of so many records.
const GROUP_RECORDS: usize = 4096;

/// Brings the state of the checkpoint up to the end of the log (steps 1 and 2). Returns where the log ended.
///
/// # Errors
///
/// `Corrupt` where the log is damaged or does not fit the checkpoint (RC2, RC3); those of disk and budget.
pub(crate) fn replay(
    disk: &Arc<dyn Disk>,
    pager: &Arc<Pager>,
    superblock: &Superblock,
    catalog: &mut Catalog,
    report: &mut RecoveryReport,
) -> Result<Tail> {
    let from = Lsn(superblock.flip_lsn);
    let mut log =
        Replay::open(Arc::clone(disk), LOG_DIRECTORY, superblock.database_id, superblock.incarnation, from)?;
    let tail = log.tail().clone();
    // Incarnation 0 is a database that was made and never opened: it has no log yet.
    if superblock.incarnation > 0 && tail.segments == 0 {
        return Err(Error::corrupt(format!(
            "the log of incarnation {} is missing from {LOG_DIRECTORY}/, or a newer checkpoint in data is damaged; \
             restore a backup or use salvage",
            superblock.incarnation
        ))); // RC3
    }
    report.log_bytes = tail.end.0.saturating_sub(from.0);
    report.tail_cut_bytes = tail.cut_bytes;
    let logged = Some(reserve_attached(pager, log.fork())?);
    let generation = Some(superblock.generation);
    let value = Vec::new();
    let listed_max = None;
    let mut replayer =
        Replayer { pager, catalog, generation, report, value, logged, applied: from, listed_max };
    replayer.run(&mut log)?;
    Ok(tail)
}

/// Applies the log from a backup's position on. Checkpoints that it tells of are those of the database that the backup was
/// made of, and no matter here. Nothing is reserved for what it attaches: those bytes are in that database's data file alone.
/// Takes a checkpoint whenever `listed_max` pages were written (RC4): the caller has seen to it that those leave the data file
/// without its name.
///
/// # Errors
///
/// As [`replay`]; what is missing of the log; `Format` at a record of what never was in the log.
pub(crate) fn bring_forward(
    pager: &Arc<Pager>,
    history: &mut History,
    catalog: &mut Catalog,
    report: &mut RecoveryReport,
    listed_max: u64,
) -> Result<()> {
    let applied = history.position();
    let (value, logged, listed_max) = (Vec::new(), None, Some(listed_max));
    Replayer { pager, catalog, generation: None, report, value, logged, applied, listed_max }.run(history)
}

/// Reserves all pages and slots that large values of the log have (LV6 of `large`).
fn reserve_attached(pager: &Arc<Pager>, mut log: Replay) -> Result<LoggedPages> {
    let mut logged = LoggedPages::new(pager);
    while let Some((lsn, record)) = log.next()? {
        if !record::attaches(record) {
            continue;
        }
        let Ok(Record::Commit(mut entries)) = Record::decode(record) else { continue };
        while let Some(entry) = entries.next().map_err(|what| malformed(lsn, what))? {
            if let Op::Attach { manifest, .. } = entry.op {
                logged.reserve(manifest).map_err(|error| of_record(error, lsn))?;
            }
        }
    }
    Ok(logged)
}

/// What a log record brought about.
fn of_record(error: aquifer_buffer::Error, lsn: Lsn) -> Error {
    match error {
        aquifer_buffer::Error::Format { .. } => Error::corrupt(format!(
            "{error} (the log's record that ends at {}); restore a backup or use salvage",
            lsn.0
        )),
        other => other.into(),
    }
}

struct Replayer<'r> {
    pager: &'r Arc<Pager>,
    catalog: &'r mut Catalog,
    /// The newest checkpoint of the database whose log it is; nothing for a backup, whose log is that of another (RC3).
    generation: Option<u64>,
    report: &'r mut RecoveryReport,
    value: Vec<u8>,
    /// Pages of large values that the log attaches from here on. `None` where it may attach none.
    logged: Option<LoggedPages>,
    /// Up to here every record is applied.
    applied: Lsn,
    /// Pages written since the last checkpoint that may be listed. `None` where RC1 holds, and not RC4.
    listed_max: Option<u64>,
}

/// Records read and not yet applied: each one's end, and where its bytes end in `bytes`.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    ends: Vec<(Lsn, usize)>,
}

impl Group {
    fn records(&self) -> impl Iterator<Item = (Lsn, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|&(_, end)| end));
        starts.zip(&self.ends).map(|(start, &(lsn, end))| (lsn, &self.bytes[start..end]))
    }
}

impl Replayer<'_> {
    fn run(&mut self, log: &mut impl Records) -> Result<()> {
        let mut group = Group::default();
        loop {
            let next = log.next()?;
            if let Some((lsn, record)) = next {
                group.bytes.extend_from_slice(record);
                group.ends.push((lsn, group.bytes.len()));
            }
            let last = next.is_none();
            if last || group.bytes.len() >= GROUP_BYTES || group.ends.len() >= GROUP_RECORDS {
                self.load_leaves(&group)?;
                for (lsn, record) in group.records() {
                    self.apply_record(lsn, record)?;
                    self.applied = lsn;
                }
                if let Some(&(lsn, _)) = group.ends.last().filter(|_| self.listed_max.is_some()) {
                    self.tidy(lsn)?;
                }
                group.bytes.clear();
                group.ends.clear();
            }
            if last {
                return Ok(());
            }
        }
    }

    /// RC4, where everything up to `lsn` is applied.
    fn tidy(&mut self, lsn: Lsn) -> Result<()> {
        self.report.tables_dropped += finish_drops(self.catalog, lsn, true);
        if self.listed_max.is_none_or(|max| self.pager.stats().epoch_records < max) {
            return Ok(());
        }
        let mut flip = self.pager.flip(|| lsn.0);
        if let Err(error) = self.pager.write_checkpoint(&mut flip) {
            self.pager.abandon(flip);
            return Err(error.into());
        }
        self.pager.install(&mut flip, 0)?;
        Ok(self.pager.release(flip)?)
    }

    /// Brings the leaves that a group changes into memory, many reads at a time. What is malformed is found later.
    fn load_leaves(&self, group: &Group) -> Result<()> {
        let mut keys: Vec<(u32, Vec<u8>)> = Vec::new();
        for (_, record) in group.records() {
            let Ok(Record::Commit(mut entries)) = Record::decode(record) else { continue };
            while let Ok(Some(entry)) = entries.next() {
                let known = self.catalog.get_id(entry.table);
                if known.is_some_and(|table| entry.key.len() <= table.key_len_max) {
                    keys.push((entry.table, entry.key.to_vec()));
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        for of_table in keys.chunk_by(|a, b| a.0 == b.0) {
            let Some(table) = self.catalog.get_id(of_table[0].0) else { continue };
            let keys: Vec<&[u8]> = of_table.iter().map(|(_, key)| key.as_slice()).collect();
            for keys in keys.chunks(GROUP_RECORDS) {
                table.index.load_leaves(self.pager, keys)?;
            }
        }
        Ok(())
    }

    fn apply_record(&mut self, lsn: Lsn, record: &[u8]) -> Result<()> {
        match Record::decode(record).map_err(|what| malformed(lsn, what))? {
            Record::Commit(mut entries) => {
                self.report.records += 1;
                while let Some(entry) = entries.next().map_err(|what| malformed(lsn, what))? {
                    self.report.entries += 1;
                    self.apply(lsn, &entry)?;
                    if sabotage::is(Sabotage::HalfBatches) {
                        break;
                    }
                }
                Ok(())
            }
            Record::Checkpoint { generation } if self.generation.is_some_and(|ours| generation > ours) => {
                Err(Error::corrupt(format!(
                    "data holds checkpoint {}, but the log says that checkpoint {generation} was durable: its superblock is \
                 damaged or data was replaced by an older copy; restore a backup or use salvage",
                    self.generation.unwrap_or_default()
                )))
            } // RC3
            Record::Checkpoint { .. } | Record::Aborted => Ok(()),
        }
    }

    fn apply(&mut self, lsn: Lsn, entry: &Entry<'_>) -> Result<()> {
        match &entry.op {
            Op::Create { row } => return self.catalog.replay_create(entry.table, entry.key, row, lsn),
            Op::Drop => return self.catalog.replay_drop(entry.table, lsn),
            Op::Put(_)
            | Op::Patch(_)
            | Op::Delete
            | Op::Attach { .. }
            | Op::RangeDelete { .. }
            | Op::Adopt { .. } => {}
        }
        let table = self.catalog.get_id(entry.table).ok_or_else(|| {
            Error::corrupt(format!(
                "the log changes table {}, which is not there (record before {lsn:?}); restore a backup or use salvage",
                entry.table
            ))
        })?;
        let table = Arc::clone(table);
        let value = match &entry.op {
            Op::Put(value) => *value,
            Op::RangeDelete { .. } | Op::Adopt { .. } if !table.index.is_sorted() => {
                return Err(malformed(lsn, Malformed("a hashed table has no ranges")));
            }
            Op::RangeDelete { high } => {
                let to = high.map_or(Bound::Unbounded, Bound::Excluded);
                return self.catalog.replay_range_delete(&table, (Bound::Included(entry.key), to), lsn);
            }
            Op::Attach { .. } if self.generation.is_none() => {
                return Err(self.not_in_log(lsn, "a large value was put"));
            }
            Op::Attach { descriptor, .. } => *descriptor,
            Op::Adopt { .. } if self.generation.is_none() => {
                return Err(self.not_in_log(lsn, "records were loaded in bulk"));
            }
            Op::Adopt { root } => return self.catalog.replay_adopt(&table, PageId(*root), lsn),
            _ => &[],
        };
        table
            .check_lengths(entry.key, value)
            .map_err(|_| malformed(lsn, Malformed("a record is too long")))?;
        match &entry.op {
            Op::Put(value) => self.change(&table, lsn, entry.key, Some(LeafValue::inline(value)), None),
            Op::Attach { descriptor, manifest } => self.attach(&table, lsn, entry.key, descriptor, manifest),
            Op::Delete => self.change(&table, lsn, entry.key, None, None),
            Op::Patch(patch) => self.patch(&table, lsn, entry.key, patch),
            Op::Create { .. } | Op::Drop | Op::RangeDelete { .. } | Op::Adopt { .. } => {
                unreachable!("returned above")
            }
        }
    }

    /// What went to the data file without being logged cannot be taken from an archive.
    fn not_in_log(&self, lsn: Lsn, what: &str) -> Error {
        let what = format!(
            "at log position {} {what}, and the log does not hold the bytes; begin with a backup that was made after it, or restore up \
             to position {}",
            lsn.0, self.applied.0
        );
        Error::Format { what }
    }

    fn attach(
        &mut self,
        table: &TableCore,
        lsn: Lsn,
        key: &[u8],
        descriptor: &[u8],
        manifest: &[u8],
    ) -> Result<()> {
        let logged = self.logged.as_mut().expect("attaching was refused above");
        let new = logged.take(manifest).map_err(|error| of_record(error, lsn))?;
        let known = Known::load_to_read(self.pager, descriptor)?;
        let written = Written::new(known.descriptor, Vec::new(), known.value.pages(), new);
        self.change(table, lsn, key, Some(written.leaf_value()), Some(&written))
    }

    fn patch(&mut self, table: &TableCore, lsn: Lsn, key: &[u8], patch: &Patch<'_>) -> Result<()> {
        let mut value = std::mem::take(&mut self.value);
        let found = table.index.look_up(self.pager, key, &mut value)?.kind;
        if found != Some(ValueKind::Inline) || !patch.apply(&mut value) {
            return Err(malformed(lsn, Malformed("a PATCH does not fit the value that is there"))); // RC2
        }
        self.change(table, lsn, key, Some(LeafValue::inline(&value)), None)?;
        self.value = value;
        Ok(())
    }

    /// A key gets a value, or goes; pages of large values come and go with it (LV1 of `large`).
    fn change(
        &self,
        table: &TableCore,
        lsn: Lsn,
        key: &[u8],
        value: Option<LeafValue<'_>>,
        written: Option<&Written>,
    ) -> Result<()> {
        let change = Change { table, lsn, key, value, written };
        let mut known: Option<Known> = None;
        loop {
            match change.attempt(self.pager, known.as_ref()) {
                Ok(Step::Done { loose }) => {
                    if loose {
                        table.index.rebalance(self.pager, key);
                    }
                    return Ok(());
                }
                Ok(Step::Large(descriptor)) if written.is_some() => {
                    known = Some(Known::load(self.pager, &descriptor)?) // the new value may share its pages
                }
                Ok(Step::Large(descriptor)) => known = Some(Known::load_to_remove(self.pager, &descriptor)?),
                Ok(Step::Foreign) => {
                    return Err(malformed(lsn, Malformed("a large value has pages that are not its own"))); // RC2
                }
                Err(retry) => self.pager.resolve(retry)?,
            }
        }
    }
}

/// A change of one key.
struct Change<'c> {
    table: &'c TableCore,
    lsn: Lsn,
    key: &'c [u8],
    value: Option<LeafValue<'c>>,
    written: Option<&'c Written>,
}

/// How a passage ended.
enum Step {
    Done {
        /// The leaf has become loose.
        loose: bool,
    },
    /// There is a large value that is not known yet: its descriptor. Nothing has changed.
    Large(Vec<u8>),
    /// The new value has pages that are neither new nor the old one's. Nothing has changed.
    Foreign,
}

impl Change<'_> {
    fn attempt(&self, pager: &Pager, known: Option<&Known>) -> std::result::Result<Step, Retry> {
        let tree = &self.table.index;
        let m = pager.enter();
        if self.written.is_some() {
            tree.note_large(&m)?;
        }
        let place = match self.value {
            Some(value) => tree.place(&m, pager, self.key, value)?,
            None => match tree.place_existing(&m, pager, self.key)? {
                Some(place) => place,
                None => return Ok(Step::Done { loose: false }),
            },
        };
        if let Some(old) = place.old().filter(LeafValue::is_large)
            && known.is_none_or(|known| known.descriptor != old.bytes)
        {
            return Ok(Step::Large(old.bytes.to_vec()));
        }
        if !self.written.is_none_or(|written| written.is_made_of(known)) {
            return Ok(Step::Foreign);
        }
        let loose = match self.value {
            Some(value) => {
                place.put_value(value, self.lsn.0);
                false
            }
            None => place.remove(self.lsn.0),
        };
        exchange_pages(&m, known, self.written);
        Ok(Step::Done { loose })
    }
}

fn malformed(lsn: Lsn, what: Malformed) -> Error {
    Error::corrupt(format!(
        "the log's record that ends at {} makes no sense: {}; restore a backup or use salvage",
        lsn.0, what.0
    ))
}
