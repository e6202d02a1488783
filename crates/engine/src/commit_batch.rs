//! The commit of a batch: one log record, one passage of the gate.
//!
//! 0. Where there are long keys, put their groups in their place (LK4 of `long_key`).
//! 1. Honour claims. Sort; of several entries on a key the last counts. Write large values, and sync them (LV2).
//! 2. Lock all stripes, in their order (ST1). From here nobody else changes these keys. For a transaction, look whether somebody has
//!    since its snapshot.
//! 3. Bring the leaves into memory, outside the gate (G1). Make the results of merges (MG3). Find out which old values are large (LV3).
//! 4. Encode the log record. Old values cannot change any more, so it may say what changes in them.
//! 5. Enter the gate, announce the keys, reserve the record, for a serializable transaction validate what it read, apply all entries (keeping
//!    what they replace), exchange the pages of large values, fill the record, leave.
//! 6. Merge leaves that deletes have left loose, still under the stripes (CM4).
//! 7. With nothing locked, wait until it is visible.
//!
//! A long commit, with more entries than are loaded at a time in a database that is not all in memory, loads and applies some entries after the
//! other, each time in a passage of its own; only a flip waits meanwhile. Commits that come after it in the order return when it is applied (T1).
//!
//! # Invariants
//!
//! - **CB1** A flip waits for passages, and for the lock of flips, which a long commit holds from before its reservation until it is applied: no
//!   checkpoint holds half a batch. Readers see none of it before it is visible (T2).
//! - **CB2** An entry that cannot be applied (a failed read, a full disk, no memory) undoes those before it; the reserved
//!   place is filled as ABORTED. If that is not possible either, or the old values were too many to be kept (which those of a long commit
//!   never are), the log is poisoned, and the place never becomes visible: nothing is acknowledged after that, and the next opening begins at a checkpoint that has nothing of the batch.
//! - **CB3** A record that the ring cannot hold at once is filled after leaving the gate: inside, nobody waits for the log.
//! - **CB4** Memory for what a batch needs beside itself comes from a share of the budget that is set aside at opening; who
//!   finds it in use waits for other batches before taking any lock. Who needs more than that takes it from the frames. Large values are not counted: they pass through
//!   buffers of their own.
//! - **CB5** Pages of large values are attached and detached only when every entry is applied: from there on nothing fails, and
//!   before it nothing has to be taken back (LV1).
//! - **CB6** New pages that a leaf has named, be it for an instant, are never just given back: a reader that has pinned may
//!   have found them. Where the entry was undone they are attached and detached in the same passage, which waits for readers
//!   (DP5). Where it could not be undone they are attached and stay, for a leaf may still name them: no checkpoint has them (CP2).

mod memory;
mod merged;
mod terms;
mod undo;

pub(crate) use memory::CommitMemory;
use memory::small_bytes;
pub(crate) use terms::Terms;

use crate::batch::{BatchEntry, WriteBatch};
use crate::commit::{Stop, exchange_pages};
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::large::{Known, Logging, Written, write_whole};
use crate::long_key::{Expected, Folded};
use crate::merge::folded;
use crate::record::{self, CommitWriter, NOTHING};
use crate::stripes::Held;
use crate::table_core::TableCore;
use crate::transactions::{Charge, Effect};
use aquifer_buffer::Mutation;
use aquifer_index::{LeafValue, ValueKind};
use aquifer_sync::Arc;
use aquifer_txn::{CommitLsn, Notice};
use aquifer_wal::Lsn;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use undo::UndoList;

/// Keys whose leaves are brought into memory at a time.
const LOAD_KEYS_MAX: usize = 1024;
/// A value at least this long is compared with the one it replaces, to log what changes; for shorter ones, finding the old
/// value costs more than it saves.
const COMPARED_VALUE_BYTES_MIN: usize = 256;
/// What an older value takes beside its key, about.
const KEPT_ENTRY_BYTES: usize = 160;
/// Old values of so many bytes are always kept.
const UNDO_BYTES_MIN: usize = 1 << 20;

/// Commits a batch and empties it. On an error it is as it was, and nothing has changed.
///
/// # Errors
///
/// What was wrong with an entry; `TransactionTooLarge`; a dropped table, a closed or poisoned database; those of disk and
/// budget.
pub(crate) fn commit_batch(engine: &Arc<Engine>, batch: &mut WriteBatch) -> Result<Commit> {
    if let Some(error) = &batch.failed {
        return Err(error.clone());
    }
    if batch.is_empty() {
        return Ok(Commit::Nothing);
    }
    if let Some(table) = batch.tables.iter().find(|table| !engine.owns(table)) {
        return Err(Error::usage(format!("table {} belongs to another database", table.name)));
    }
    if batch.has_merges {
        batch.merge_at(engine.clock.now());
    }
    let one_each = if batch.has_merges { Some(folded(batch)?) } else { None };
    let entries = one_each.as_ref().unwrap_or(batch);
    let commit = match batch.has_long {
        true => commit_folded(engine, entries)?,
        false => commit_records(engine, entries, &Terms::default())?,
    };
    batch.noted.tell();
    batch.clear();
    Ok(commit)
}

/// Commits a batch with long keys (LK4 of `long_key`).
#[cold]
fn commit_folded(engine: &Arc<Engine>, batch: &WriteBatch) -> Result<Commit> {
    loop {
        let folded = Folded::of(engine, batch)?;
        if folded.batch.is_empty() {
            return folded.stands(engine, None);
        }
        let terms = Terms { expected: &folded.expected, ..Terms::default() };
        match commit_records(engine, &folded.batch, &terms) {
            Err(Error::ValueChanged { .. }) => {}
            committed => return folded.stands(engine, Some(committed?)),
        }
    }
}

/// Commits a batch of records of the index on these terms.
///
/// # Errors
///
/// As [`commit_batch`]; `ValueChanged`, `Conflict`, `SnapshotTooOld`, if a term does not hold.
pub(crate) fn commit_records(engine: &Arc<Engine>, batch: &WriteBatch, terms: &Terms<'_>) -> Result<Commit> {
    if terms.snapshot.is_none() && engine.txns.claims.any() {
        // Before anything is held that who has claimed them may wait for.
        batch.entries.iter().try_for_each(|entry| {
            engine.txns.honour_claims(engine, batch.table_of(entry), batch.key(entry))
        })?;
    }
    let small_bytes = small_bytes(batch);
    engine.pace.slow_down(small_bytes);
    let beside_bytes = small_bytes * 2 + batch.len() * 16 + merged::bytes_in_advance(batch);
    let _memory = engine.commit_memory.take(engine, beside_bytes)?;
    let order = batch.in_order();
    let written = write_large(engine, batch, &order)?;
    let (known, merged, results) = (BTreeMap::new(), BTreeMap::new(), None);
    let (loose, kept_bytes) = Default::default();
    let covered = RefCell::new(Charge::new(&engine.txns.long_commits, "long commits"));
    let order = &order;
    Batch {
        engine,
        batch,
        order,
        terms,
        small_bytes,
        written,
        merged,
        results,
        known,
        loose,
        kept_bytes,
        covered,
    }
    .run()
}

/// Writes the large values that count, and syncs them once (LV2).
fn write_large(engine: &Arc<Engine>, batch: &WriteBatch, order: &[u32]) -> Result<BTreeMap<u32, Written>> {
    let mut written = BTreeMap::new();
    let mut sync = false;
    for &index in order {
        let entry = &batch.entries[index as usize];
        if let Some(value) = batch.value(entry).filter(|_| batch.is_large(entry)) {
            let table = batch.table_of(entry);
            table.check_usable()?;
            sync |= table.writes_log;
            let logging = if table.writes_log { Logging::Later } else { Logging::None };
            written.insert(index, write_whole(engine, value, logging)?);
        }
    }
    if sync {
        engine.sync_large()?;
    }
    Ok(written)
}

struct Batch<'a> {
    engine: &'a Arc<Engine>,
    batch: &'a WriteBatch,
    order: &'a [u32],
    terms: &'a Terms<'a>,
    small_bytes: usize,
    /// Large values that are put, by entry.
    written: BTreeMap<u32, Written>,
    /// What merges have made that is not large, by entry.
    merged: BTreeMap<u32, Option<Vec<u8>>>,
    /// Memory for that.
    results: Option<Charge>,
    /// Large values that were there, by entry.
    known: BTreeMap<u32, Known>,
    /// A delete has left a leaf loose.
    loose: Cell<bool>,
    /// Old values that were kept.
    kept_bytes: Cell<usize>,
    /// Memory for those of a long commit that may have to be put back.
    covered: RefCell<Charge>,
}

impl<'a> Batch<'a> {
    fn entries(&self) -> impl DoubleEndedIterator<Item = &BatchEntry> {
        self.order.iter().map(|&index| &self.batch.entries[index as usize])
    }

    /// What the leaf gets, if anything.
    fn leaf_value(&self, index: u32) -> Option<LeafValue<'_>> {
        match self.written.get(&index) {
            Some(written) => Some(written.leaf_value()),
            None => self.inline_value(index).map(LeafValue::inline),
        }
    }

    /// The value that an entry puts, if it is not large; if there is none, it deletes.
    fn inline_value(&self, index: u32) -> Option<&[u8]> {
        match self.merged.get(&index) {
            Some(merged) => merged.as_deref(),
            None => self.batch.value(&self.batch.entries[index as usize]),
        }
    }

    fn run(&mut self) -> Result<Commit> {
        let Done { commit, lsn, notice } = self.run_under_stripes()?;
        self.engine.finish(lsn, notice)?;
        Ok(commit)
    }

    fn run_under_stripes(&mut self) -> Result<Done<'a>> {
        let Engine { pager, log, stripes, .. } = &**self.engine;
        let batch = self.batch;
        let mut numbers: Vec<u32> =
            self.entries().map(|entry| stripes.of(batch.table_of(entry).id, batch.key(entry))).collect();
        let of_expected =
            |expected: &Expected| stripes.of(batch.tables[expected.table as usize].id, &expected.key);
        numbers.extend(self.terms.expected.iter().map(of_expected));
        let of_kept = |(table, key): &(u32, Vec<u8>)| stripes.of(batch.tables[*table as usize].id, key);
        numbers.extend(self.terms.kept.iter().map(of_kept));
        numbers.sort_unstable();
        numbers.dedup();
        let mut held = stripes.lock_many(&numbers);
        batch.tables.iter().try_for_each(|table| table.check_usable())?; // under stripes: ST2
        self.engine.check_healthy()?;
        self.check_unchanged()?;
        let is_long = self.is_long();
        if !is_long {
            self.load_leaves(self.order)?;
        }
        self.check_expected()?;
        self.merge()?;
        self.find_large()?;
        let record = self.encode(is_long)?;
        loop {
            let no_flip = is_long.then(|| self.engine.checkpoints.flips.lock()); // CB1
            let attempt = self.inside(pager.enter(), &record, &mut held, is_long);
            drop(no_flip);
            match attempt {
                Ok(done) => {
                    self.rebalance();
                    return Ok(done);
                }
                Err(Failure::Unannounced) => {}
                Err(Failure::Stop(stop)) => stop.resolve(pager, Some(log))?,
                Err(Failure::Undone(error) | Failure::Lost(error)) => {
                    batch.tables.iter().for_each(|table| table.note_unknown()); // a walk may have passed meanwhile
                    return Err(error);
                }
            }
        }
    }

    /// Merges what deletes have left loose.
    fn rebalance(&self) {
        if !self.loose.get() {
            return;
        }
        for &index in self.order.iter().filter(|&&index| self.leaf_value(index).is_none()) {
            let entry = &self.batch.entries[index as usize];
            self.batch.table_of(entry).index.rebalance(&self.engine.pager, self.batch.key(entry));
        }
    }

    /// Brings what will be changed into memory, a table at a time, many keys at a time.
    fn load_leaves(&self, order: &[u32]) -> Result<()> {
        let pager = &self.engine.pager;
        if !self.may_miss() {
            return Ok(());
        }
        let mut keys: Vec<&[u8]> = Vec::with_capacity(order.len().min(LOAD_KEYS_MAX));
        let mut table: Option<&TableCore> = None;
        for &index in order {
            let entry = &self.batch.entries[index as usize];
            let of = self.batch.table_of(entry);
            if let Some(before) = table.filter(|table| table.id != of.id || keys.len() == LOAD_KEYS_MAX) {
                before.index.load_leaves(pager, &keys)?;
                keys.clear();
            }
            table = Some(of);
            keys.push(self.batch.key(entry));
        }
        if let Some(last) = table {
            last.index.load_leaves(pager, &keys)?;
        }
        Ok(())
    }

    /// May pages be missing?
    fn may_miss(&self) -> bool {
        self.engine.on_disk && !self.engine.pager.all_pages_in_memory()
    }

    /// Is it applied in several passages?
    fn is_long(&self) -> bool {
        self.order.len() > LOAD_KEYS_MAX && self.may_miss()
    }

    /// LV3. Under the stripes no large value appears at these keys; and none is at those of a tree that has none at all.
    fn find_large(&mut self) -> Result<()> {
        let pager = &self.engine.pager;
        let mut may_hold = Vec::with_capacity(self.batch.tables.len());
        for table in &self.batch.tables {
            may_hold.push(table.index.may_hold_large(pager)?);
        }
        if !may_hold.contains(&true) {
            return Ok(());
        }
        for (number, &index) in self.order.iter().enumerate() {
            if self.is_long() && number % LOAD_KEYS_MAX == 0 {
                self.load_leaves(&self.order[number..self.order.len().min(number + LOAD_KEYS_MAX)])?;
            }
            let entry = &self.batch.entries[index as usize];
            if !may_hold[entry.table as usize] {
                continue;
            }
            let found = self.batch.table_of(entry).find(self.batch.key(entry))?;
            if let Some(old) = found.filter(|old| old.is_large()) {
                self.known.insert(index, Known::load_to_remove(pager, &old.bytes)?);
            }
        }
        Ok(())
    }

    /// The log record; of nothing if no table is logged.
    fn encode(&self, is_long: bool) -> Result<Vec<u8>> {
        let batch = self.batch;
        let logged = self.entries().filter(|entry| batch.table_of(entry).writes_log).count();
        let mut record = Vec::new();
        if logged == 0 {
            return Ok(NOTHING.to_vec());
        }
        record.reserve(self.small_bytes + 8 * logged + 16);
        let mut old = Vec::new();
        let mut writer = CommitWriter::new(&mut record, logged);
        for &index in self.order {
            let entry = &batch.entries[index as usize];
            let (table, key) = (batch.table_of(entry), batch.key(entry));
            if !table.writes_log {
                continue;
            }
            if let Some(written) = self.written.get(&index) {
                writer.attach(table.id, key, &written.descriptor, &written.manifest);
                continue;
            }
            let Some(value) = self.inline_value(index) else {
                writer.delete(table.id, key);
                continue;
            };
            let mut changed = None;
            if !is_long // of which each would be a read
                && value.len() >= COMPARED_VALUE_BYTES_MIN
                && table.index.look_up(&self.engine.pager, key, &mut old)?.kind == Some(ValueKind::Inline)
            {
                changed = record::changed_ranges(&old, value);
            }
            match changed {
                Some(ranges) => writer.patch(table.id, key, &ranges, value),
                None => writer.put(table.id, key, value),
            }
        }
        Ok(record)
    }

    /// The passage.
    fn inside(
        &self,
        m: Mutation<'_>,
        record: &[u8],
        held: &mut [Held<'_>],
        is_long: bool,
    ) -> std::result::Result<Done<'a>, Failure> {
        let epoch = m.epoch();
        let notice = self.engine.txns.conflicts.notice(|| self.keys());
        let full = |_| Failure::Stop(Stop::LogFull(record.len()));
        let mut turn = self.engine.order.reserve(record.len()).map_err(full)?;
        let lsn = turn.lsn();
        held.iter_mut().for_each(|stripe| stripe.reserved(lsn)); // T4
        let prepared = match notice.shown(CommitLsn(lsn.0)) {
            Ok(()) => self.validate(turn.start(), &notice),
            Err(_unannounced) => Err(Failure::Unannounced),
        };
        let (m, applied) = match prepared {
            Ok(()) => self.apply_all(m, lsn.0, self.undo_list(is_long), is_long),
            Err(failure) => (m, Err(failure)),
        };
        if applied.is_ok() && self.engine.watchers.any() {
            self.tell_watchers(lsn);
        }
        if let Err(Failure::Lost(_)) = applied {
            drop(turn); // it never becomes visible
            applied?;
            unreachable!("it is an error");
        }
        turn.complete();
        let aborted = applied.is_err().then(|| record::aborted(record.len()));
        let filling = aborted.as_deref().unwrap_or(record);
        if record.len() <= self.engine.record_bytes_inside_gate {
            turn.fill(filling);
            drop(m);
        } else {
            drop(m); // CB3
            turn.fill(filling);
        }
        applied?;
        held[0].committed();
        let commit = if record == NOTHING { Commit::Unlogged { epoch } } else { Commit::Logged(lsn) };
        Ok(Done { commit, lsn, notice })
    }

    #[cold]
    fn tell_watchers(&self, lsn: Lsn) {
        for &index in self.order {
            let entry = &self.batch.entries[index as usize];
            let (table, key) = (self.batch.table_of(entry), self.batch.key(entry));
            self.engine.tell(table, key, self.leaf_value(index), lsn);
        }
    }

    fn undo_list(&self, is_long: bool) -> UndoList {
        // That of a long commit takes its memory as it grows.
        let bytes_max = if is_long { usize::MAX } else { self.small_bytes.max(UNDO_BYTES_MIN) };
        UndoList { bytes_max, ..UndoList::default() }
    }

    /// Takes memory for old values, of which there are so many bytes; outside the gate.
    fn cover(&self, undo_bytes: usize) -> Result<()> {
        self.engine.cover_versions();
        let bytes_max = self.engine.limits.commit_bytes_max;
        if undo_bytes > bytes_max {
            return Err(Error::TransactionTooLarge { bytes: undo_bytes, bytes_max });
        }
        self.covered.borrow_mut().cover(self.engine, undo_bytes)
    }

    /// Keeps what is replaced, for as long as it is not too much: then the table is blurred for older snapshots (TX3 of `transactions`).
    fn keep(&self, table: &TableCore, key: &[u8], old: Option<LeafValue<'_>>, effect: Effect, lsn: Lsn) {
        let txns = &self.engine.txns;
        let kept =
            self.kept_bytes.get() + KEPT_ENTRY_BYTES + key.len() + old.map_or(0, |old| old.bytes.len());
        self.kept_bytes.set(kept);
        if kept > txns.kept_bytes_max() {
            txns.blur(table, lsn)
        } else {
            txns.keep(table, key, old, effect, lsn)
        }
    }

    /// Applies every entry, or none (CB2). Gives back the passage that it ends in.
    fn apply_all<'m>(
        &'m self,
        mut m: Mutation<'m>,
        lsn: u64,
        mut undo: UndoList,
        is_long: bool,
    ) -> (Mutation<'m>, std::result::Result<(), Failure>) {
        for (number, &index) in self.order.iter().enumerate() {
            let mut ready = Ok(());
            if is_long && number % LOAD_KEYS_MAX == 0 {
                drop(m);
                let next = &self.order[number..self.order.len().min(number + LOAD_KEYS_MAX)];
                ready = self.cover(undo.bytes.len()).and_then(|()| self.load_leaves(next));
                m = self.engine.pager.enter();
            }
            let applied =
                ready.and_then(|()| self.apply(&m, index, self.leaf_value(index), lsn, Some(&mut undo)));
            if let Err(error) = applied {
                let failure = self.take_back(&m, number, &undo, lsn, error);
                return (m, Err(failure));
            }
        }
        for index in self.order {
            exchange_pages(&m, self.known.get(index), self.written.get(index)); // CB5
        }
        (m, Ok(()))
    }

    /// Takes the first `done` entries back after an error, or poisons the log (CB2).
    fn take_back(&self, m: &Mutation<'_>, done: usize, undo: &UndoList, lsn: u64, error: Error) -> Failure {
        let undone = self.undo(m, done, undo, lsn);
        self.engine.order.note_taken_back(); // T2
        self.retire_pages(m, done, undone.is_ok());
        let Err(second) = undone else { return Failure::Undone(error) };
        let cause = format!("a batch failed half-way ({error}) and could not be undone ({second})");
        self.engine.log.poison(&cause);
        Failure::Lost(Error::Poisoned { cause })
    }

    /// The new pages of the first `done` entries, which leaves have named (CB6).
    fn retire_pages(&self, m: &Mutation<'_>, done: usize, undone: bool) {
        for written in self.order[..done].iter().filter_map(|index| self.written.get(index)) {
            let pages = written.take_new();
            let runs = pages.runs().to_vec();
            m.attach(pages);
            if undone {
                m.detach(&runs);
            }
        }
    }

    /// Applies one entry. What is missing is brought without leaving the gate: the one exception to G1, and rare, for the
    /// leaves were loaded.
    fn apply(
        &self,
        m: &Mutation<'_>,
        index: u32,
        value: Option<LeafValue<'_>>,
        lsn: u64,
        undo: Option<&mut UndoList>,
    ) -> Result<()> {
        let pager = &self.engine.pager;
        let entry = &self.batch.entries[index as usize];
        let (table, key) = (self.batch.table_of(entry), self.batch.key(entry));
        let place = loop {
            let noted = match value {
                Some(value) if value.is_large() => table.index.note_large(m),
                _ => Ok(()),
            };
            let attempt = match value {
                _ if noted.is_err() => noted.map(|()| None),
                Some(value) => table.index.place(m, pager, key, value).map(Some),
                None => table.index.place_existing(m, pager, key),
            };
            match attempt {
                Ok(place) => break place,
                Err(retry) => pager.resolve_inside_gate(retry)?,
            }
        };
        if let Some(undo) = undo {
            let old = place.as_ref().and_then(|place| place.old());
            let known = self.known.get(&index).map(|known| LeafValue::large(&known.descriptor));
            if old.filter(LeafValue::is_large) != known {
                return Err(Error::corrupt(format!(
                    "a large value of table {} is not where a search found it; restore a backup or use salvage",
                    table.name
                ))); // LV3
            }
            undo.push(old);
            let merges = self.batch.operands(entry).is_some() && table.merges_commute();
            self.keep(table, key, old, Effect { deletes: value.is_none(), merges }, Lsn(lsn));
        }
        match (place, value) {
            (Some(place), Some(value)) => place.put_value(value, lsn),
            (Some(place), None) => self.loose.set(place.remove(lsn) || self.loose.get()),
            (None, _) => {}
        }
        Ok(())
    }

    /// Takes the first `done` entries back, the last one first.
    fn undo(&self, m: &Mutation<'_>, done: usize, undo: &UndoList, lsn: u64) -> Result<()> {
        if undo.lost {
            return Err(Error::usage("the old values were too many to be kept"));
        }
        for index in (0..done).rev() {
            self.apply(m, self.order[index], undo.get(index), lsn, None)?;
        }
        Ok(())
    }
}

/// A commit that is applied.
struct Done<'e> {
    commit: Commit,
    lsn: Lsn,
    notice: Notice<'e>,
}

/// Why a passage did not commit.
enum Failure {
    /// Nothing was begun.
    Stop(Stop),
    /// Somebody has begun to watch between the notice and the reservation: nothing was begun, and the place was given up (TX2).
    Unannounced,
    /// Everything was taken back.
    Undone(Error),
    /// That was not possible: the log is poisoned.
    Lost(Error),
}

#[cfg(test)]
mod tests;
