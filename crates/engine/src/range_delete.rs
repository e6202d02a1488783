//! The commit that deletes a range of keys.
//!
//! It is O(depth) in time, in log and in pages changed, however many records go: whole subtrees are cut out of the tree and freed
//! in the background (but see RL3). All stripes are held for that while, a few page latches' time, so every other writer waits; readers do not.
//!
//! # Invariants
//!
//! - **RL1** The range goes in one passage of the gate, with one log record: a crash finds all of it or nothing (P2).
//! - **RL2** All stripes are held from before the range is looked at until it is gone (CD2): for other commits it is before or after.
//!   They are let go while a page that is missing is read, and the range is looked at again (but see RL4).
//! - **RL3** Where the table may hold large values, the leaves of the range are read first, under the stripes, for the pages that go with
//!   them (CD5): O(records of the range) then, and memory for the runs of these pages.
//! - **RL4** Then the stripes are kept until the range has gone, whatever is missing: to read the leaves once more could drive out of
//!   memory what was just brought, time and again.
//! - **RL5** Of the groups of long keys in which the range begins and ends a part goes, in the same commit (BD1 of `long_key`).
//! - **RL6** While versions are kept, the records of the range are read first, and kept, if they are few; else the table is blurred for the
//!   snapshots that are open (TX3 of `transactions`).

use crate::catalog::{DoomedRange, Journal, KeyBounds, Outcome};
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::Result;
use crate::long_key::{self, Border, Plan};
use crate::record::{CommitWriter, NOTHING};
use crate::table_core::{Found, TableCore};
use crate::transactions::Effect;
use aquifer_index::LeafValue;
use aquifer_sync::Arc;
use aquifer_txn::{CommitLsn, KeyRange, Notice, WriteKeys};
use aquifer_wal::Lsn;
use std::ops::Bound;

/// Deletes all records of a table whose keys lie in the range.
///
/// # Errors
///
/// A dropped table, a closed or poisoned database; those of disk and budget. Nothing has changed.
pub(crate) fn commit_range_delete(
    engine: &Arc<Engine>,
    table: &TableCore,
    (from, to): KeyBounds<'_>,
) -> Result<Commit> {
    let (low, high) = (first_from(from), first_behind(to));
    if high.as_ref().is_some_and(|high| *high <= low) {
        return Ok(Commit::Nothing);
    }
    engine.pace.slow_down(low.len() + high.as_ref().map_or(0, Vec::len));
    let Plan { cut, borders } = Plan::of(table.long_key_len_min, &low, high.as_deref());
    let Some((low, high)) = cut else {
        let [part] = &borders[..] else {
            unreachable!("a range that is not empty is cut, or lies in one group")
        };
        return long_key::commit_removal(engine, table, &part.group_key, part.suffixes());
    };
    let bounds = (Bound::Included(&low[..]), high.as_deref().map_or(Bound::Unbounded, Bound::Excluded));
    let (outcome, notice, loose) = loop {
        let borders: Vec<Border> =
            borders.iter().map(|border| Border::prepare(engine, table, border)).collect::<Result<_>>()?;
        if let Some((outcome, notice)) = attempt(engine, table, bounds, &borders)? {
            break (outcome, notice, borders.iter().map(|border| border.key().to_vec()).collect::<Vec<_>>());
        }
    };
    for key in [Some(&low), high.as_ref()].into_iter().flatten().chain(&loose) {
        let _stripe = engine.stripes.lock(table.id, key); // CM4
        table.index.sorted().rebalance_path(&engine.pager, key);
    }
    engine.checkpointer.nudge();
    match notice {
        Some(notice) => engine.finish(outcome.lsn, notice)?,
        None => engine.order.wait(outcome.lsn)?,
    }
    Ok(match table.writes_log {
        true => Commit::Logged(outcome.lsn),
        false => Commit::Unlogged { epoch: outcome.epoch },
    })
}

/// Deletes the range, and changes its borders; nothing if one of them is not what was read any more. What there is to tell about it, if it
/// has changed anything.
fn attempt<'e>(
    engine: &'e Engine,
    table: &TableCore,
    bounds: KeyBounds<'_>,
    borders: &[Border],
) -> Result<Option<(Outcome, Option<Notice<'e>>)>> {
    let record = if table.writes_log { record(table, bounds, borders) } else { NOTHING.to_vec() };
    let mut keys =
        WriteKeys { keys: Vec::new(), ranges: vec![(table.id, KeyRange::new(bounds.0, bounds.1))] };
    keys.keys.extend(borders.iter().map(|border| (table.id, border.key().into())));
    let mut catalog = engine.lock_catalog_to_change()?;
    let (outcome, notice) = loop {
        let mut held = engine.stripes.lock_all(); // RL2
        table.check_usable()?;
        for border in borders {
            if !border.still_holds(table)? {
                return Ok(None);
            }
        }
        // While all stripes are held nobody validates, who would have to wait for this.
        let notice = engine.txns.conflicts.announce(keys.clone());
        let journal = Journal::Log(&engine.order);
        let range = table.reading_large(DoomedRange::find(&engine.pager, *table.index.sorted(), bounds))?; // RL3
        let doomed = Doomed::find(engine, table, bounds, borders)?;
        let mut attempt = || {
            let keep = |lsn| {
                doomed.keep(engine, table, lsn);
                let (from, to) = bounds;
                engine.tell_range(table, Some((from.map(<[u8]>::to_vec), to.map(<[u8]>::to_vec))), lsn);
                borders.iter().for_each(|border| engine.tell(table, border.key(), None, lsn));
            };
            catalog.attempt_range_delete(table, (&range, borders), &record, journal, &mut held, keep)
        };
        let attempted = loop {
            match attempt() {
                Err(stop) if range.was_read() || doomed.0.is_some() => {
                    stop.resolve(&engine.pager, Some(&engine.log))?
                } // RL4
                other => break other,
            }
        };
        match attempted {
            Ok(outcome) => {
                held[0].committed();
                if !outcome.changed {
                    break (outcome, None); // which withdraws the notice
                }
                notice.shown(CommitLsn(outcome.lsn.0)).expect("it was announced");
                break (outcome, Some(notice));
            }
            Err(stop) => {
                drop(held);
                stop.resolve(&engine.pager, Some(&engine.log))?;
            }
        }
    };
    if !borders.is_empty() {
        engine.check_healthy()?; // BD2 of `long_key`
    }
    // It is done, whatever comes of this.
    if let Err(error) = engine.reclaim_in_memory(&mut catalog) {
        tracing::warn!(%error, "what was deleted could not be freed yet");
    }
    Ok(Some((outcome, notice)))
}

/// What snapshots may need of a range that is to go (RL6): keys of the index, their values, and whether they go.
struct Doomed(Option<Vec<(Vec<u8>, Found, bool)>>);

impl Doomed {
    /// Under all stripes. Nothing, if it is too much, or nobody needs it.
    fn find(
        engine: &Engine,
        table: &TableCore,
        (from, to): KeyBounds<'_>,
        borders: &[Border],
    ) -> Result<Doomed> {
        if !engine.txns.snapshots.are_versions_kept() {
            return Ok(Doomed(None));
        }
        let mut records: Vec<_> = borders.iter().filter_map(Border::replaced).collect();
        let mut bytes: usize = records.iter().map(|(key, found, _)| key.len() + found.bytes.len()).sum();
        let mut cursor = table.index.sorted().cursor(&engine.pager, from, to);
        while let Some((key, LeafValue { kind, bytes: value })) = table.reading(cursor.next_value())? {
            bytes += key.len() + value.len();
            if bytes > engine.txns.kept_at_once_max() {
                return Ok(Doomed(None));
            }
            records.push((key.to_vec(), Found { kind, bytes: value.to_vec() }, true));
        }
        Ok(Doomed(Some(records)))
    }

    fn keep(&self, engine: &Engine, table: &TableCore, lsn: Lsn) {
        let Some(records) = &self.0 else { return engine.txns.blur(table, lsn) };
        for (key, Found { kind, bytes }, deletes) in records {
            let effect = Effect { deletes: *deletes, merges: false };
            engine.txns.keep(table, key, Some(LeafValue { kind: *kind, bytes }), effect, lsn);
        }
    }
}

/// RL1. The borders lie on both sides of the range.
fn record(table: &TableCore, (low, high): KeyBounds<'_>, borders: &[Border]) -> Vec<u8> {
    let (Bound::Included(low), Bound::Excluded(_) | Bound::Unbounded) = (low, high) else {
        unreachable!("a range begins with its first key and ends before another")
    };
    let high = if let Bound::Excluded(high) = high { Some(high) } else { None };
    let changed = || borders.iter().filter(|border| !border.is_same());
    let mut record = Vec::new();
    let mut writer = CommitWriter::new(&mut record, 1 + changed().count());
    changed().filter(|border| border.key() < low).for_each(|border| border.log(table.id, &mut writer));
    writer.range_delete(table.id, low, high);
    changed().filter(|border| border.key() >= low).for_each(|border| border.log(table.id, &mut writer));
    record
}

/// The first key that a range which begins so may hold.
fn first_from(from: Bound<&[u8]>) -> Vec<u8> {
    match from {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key.to_vec(),
        Bound::Excluded(key) => behind(key),
    }
}

/// The first key behind a range that ends so; nothing if it has no end.
fn first_behind(to: Bound<&[u8]>) -> Option<Vec<u8>> {
    match to {
        Bound::Unbounded => None,
        Bound::Included(key) => Some(behind(key)),
        Bound::Excluded(key) => Some(key.to_vec()),
    }
}

/// The key right behind another.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
