//! Opening: from whatever a crash left to a database that serves.
//!
//! 1. The newest durable checkpoint (`Pager::open`) is a complete, consistent state: everything below its flip LSN.
//! 2. The log of its incarnation is read from that LSN and applied, in order, through the ordinary index code. There is no
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
use crate::error::{Error, Result};
use crate::opening::finish_drops;
use crate::record::{Entry, Malformed, Op, Patch, Record};
use crate::stats::RecoveryReport;
use crate::table_core::TableCore;
use aquifer_buffer::{PageId, Pager, Superblock};
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
    pager: &Pager,
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
    let generation = Some(superblock.generation);
    let mut replayer = Replayer { pager, catalog, generation, report, value: Vec::new(), listed_max: None };
    replayer.run(&mut log)?;
    Ok(tail)
}

/// Applies the log from a backup's position on. Checkpoints that it tells of are those of the database that the backup was
/// made of, and no matter here. Takes a checkpoint whenever `listed_max` pages were written (RC4): the caller has seen to it
/// that those leave the data file without its name.
///
/// # Errors
///
/// As [`replay`]; what is missing of the log.
pub(crate) fn bring_forward(
    pager: &Pager,
    history: &mut History,
    catalog: &mut Catalog,
    report: &mut RecoveryReport,
    listed_max: u64,
) -> Result<()> {
    let listed_max = Some(listed_max);
    Replayer { pager, catalog, generation: None, report, value: Vec::new(), listed_max }.run(history)
}

struct Replayer<'r> {
    pager: &'r Pager,
    catalog: &'r mut Catalog,
    /// The newest checkpoint of the database whose log it is; nothing for a backup, whose log is that of another (RC3).
    generation: Option<u64>,
    report: &'r mut RecoveryReport,
    value: Vec<u8>,
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
        self.report.tables_dropped += finish_drops(self.catalog, lsn);
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
                table.tree.load_leaves(self.pager, keys)?;
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
            Op::Put(_) | Op::Patch(_) | Op::Delete | Op::RangeDelete { .. } | Op::Attach { .. } => {}
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
            Op::RangeDelete { .. } | Op::Attach { .. } if !table.tree.is_sorted() => {
                return Err(malformed(lsn, Malformed("a hashed table has no ranges")));
            }
            Op::RangeDelete { high } => {
                let to = high.map_or(Bound::Unbounded, Bound::Excluded);
                return self.catalog.replay_range_delete(&table, (Bound::Included(entry.key), to), lsn);
            }
            Op::Attach { .. } if self.generation.is_none() => {
                return Err(not_in_log(lsn, "records were loaded in bulk"));
            }
            Op::Attach { root } => return self.catalog.replay_attach(&table, PageId(*root), lsn),
            _ => &[],
        };
        table
            .check_lengths(entry.key, value)
            .map_err(|_| malformed(lsn, Malformed("a record is too long")))?;
        match &entry.op {
            Op::Put(value) => self.put(&table, lsn, entry.key, value),
            Op::Delete => {
                let loose = self.retrying(|pager| {
                    let m = pager.enter();
                    let place = table.tree.place_existing(&m, pager, entry.key)?;
                    Ok(place.is_some_and(|place| place.remove(lsn.0)))
                })?;
                if loose {
                    table.tree.rebalance(self.pager, entry.key);
                }
                Ok(true)
            }
            Op::Patch(patch) => return self.patch(&table, lsn, entry.key, patch),
            Op::Create { .. } | Op::Drop | Op::RangeDelete { .. } | Op::Attach { .. } => {
                unreachable!("returned above")
            }
        }?;
        Ok(())
    }

    fn put(&self, table: &TableCore, lsn: Lsn, key: &[u8], value: &[u8]) -> Result<bool> {
        self.retrying(|pager| {
            table.tree.place(&pager.enter(), pager, key, value.len())?.put(value, lsn.0);
            Ok(true)
        })
    }

    fn patch(&mut self, table: &TableCore, lsn: Lsn, key: &[u8], patch: &Patch<'_>) -> Result<()> {
        let mut value = std::mem::take(&mut self.value);
        let found = table.tree.get_into(self.pager, key, &mut value)?;
        if !found || !patch.apply(&mut value) {
            return Err(malformed(lsn, Malformed("a PATCH does not fit the value that is there"))); // RC2
        }
        self.put(table, lsn, key, &value)?;
        self.value = value;
        Ok(())
    }

    fn retrying(
        &self,
        mut attempt: impl FnMut(&Pager) -> std::result::Result<bool, aquifer_buffer::Retry>,
    ) -> Result<bool> {
        loop {
            match attempt(self.pager) {
                Ok(done) => return Ok(done),
                Err(retry) => self.pager.resolve(retry)?,
            }
        }
    }
}

/// What went to the data file without being logged cannot be taken from an archive.
fn not_in_log(lsn: Lsn, what: &str) -> Error {
    let what = format!(
        "at log position {} {what}, and the log does not hold them; begin with a backup that was made after it, or restore up to a \
         position before it",
        lsn.0
    );
    Error::Format { what }
}

fn malformed(lsn: Lsn, what: Malformed) -> Error {
    Error::corrupt(format!(
        "the log's record that ends at {} makes no sense: {}; restore a backup or use salvage",
        lsn.0, what.0
    ))
}
