//! The commit of one change to one key.
//!
//! ```text
//!  claims --> stripe --> gate --> leaf latch: notice, reserve log, keep the old value, change leaf --> fill log --> leave --> wait until visible
//!                         ^          |
//!                         '-- leave, resolve <-- a page, a frame, or room in the log is missing (G1)
//! ```
//!
//! # Invariants
//!
//! - **CM1** An attempt that stops has changed nothing that a reader can see: it lets go of latch and gate, what it missed
//!   is brought, and it begins again. The stripe stays held, so that nobody overtakes it on its key.
//! - **CM2** After the log reservation nothing can fail: the leaf is latched, dirty and has room (`Place`).
//! - **CM3** Reservation and change happen under one leaf latch, so the log order of single-key commits is their order on
//!   every page, and T4 follows.
//! - **CM4** A leaf that a delete leaves loose is merged afterwards, in passages of its own, and still under the stripe: who
//!   holds all stripes finds no tree being changed.
//! - **CM5** Large values obey LV1 to LV4 (`large`): their pages are attached and detached after the leaf is changed, in the
//!   same passage.

mod merged;

pub(crate) use merged::commit_merge;

use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::index::Place;
use crate::large::{self, Known, Written};
use crate::long_key;
use crate::record::{self, CommitWriter};
use crate::scratch;
use crate::stripes::StripeState;
use crate::table_core::{Found, TableCore};
use crate::transactions::Effect;
use aquifer_buffer::{Mutation, PageRun, Pager, Pin, Retry};
use aquifer_index::LeafValue;
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_sync::Arc;
use aquifer_txn::{CommitLsn, Notice};
use aquifer_wal::{Log, Lsn};

/// What happens to the key.
#[derive(Clone, Copy)]
pub(crate) enum Change<'v> {
    Put(&'v [u8]),
    PutLarge(&'v Written),
    Delete,
}

impl Change<'_> {
    /// What the leaf gets, if anything.
    fn leaf_value(&self) -> Option<LeafValue<'_>> {
        match self {
            Change::Put(value) => Some(LeafValue::inline(value)),
            Change::PutLarge(written) => Some(written.leaf_value()),
            Change::Delete => None,
        }
    }
}

/// Why an attempt inside the gate stopped (CM1).
#[derive(Debug)]
pub(crate) enum Stop {
    /// The pager misses something.
    Retry(Retry),
    /// The log misses room for a record of so many bytes.
    LogFull(usize),
}

impl From<Retry> for Stop {
    fn from(retry: Retry) -> Stop {
        Stop::Retry(retry)
    }
}

impl Stop {
    /// Brings what was missed. Outside the gate.
    #[cold]
    pub(crate) fn resolve(self, pager: &Pager, log: Option<&Log>) -> Result<()> {
        match (self, log) {
            (Stop::Retry(retry), _) => pager.resolve(retry)?,
            (Stop::LogFull(len), Some(log)) => log.wait_for_room(len)?,
            (Stop::LogFull(_), None) => unreachable!("only a log is ever full"),
        }
        Ok(())
    }
}

/// Why a passage has not committed.
enum Halt {
    Stop(Stop),
    /// What was there is a large value that is not known yet: its descriptor (LV3).
    Large(Vec<u8>),
    /// What was there is not what was expected.
    Changed,
    /// Somebody has begun to watch between the notice and the reservation: the place was given up (TX2).
    Unannounced,
}

impl From<Retry> for Halt {
    fn from(retry: Retry) -> Halt {
        Halt::Stop(retry.into())
    }
}

/// Changes one key. The old value, if there is one, is copied to `old`, before anything changes: a large one is read under the
/// key's stripe. Says where the commit stands, and whether there was an old value; deleting what is absent changes nothing.
///
/// # Errors
///
/// Too long a key or value; a dropped table, a closed or poisoned database; those of disk and budget. Nothing has changed.
pub(crate) fn commit_one(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    change: Change<'_>,
    old: Option<&mut Vec<u8>>,
) -> Result<(Commit, bool)> {
    commit_one_if(engine, table, key, change, None, old)
}

/// As [`commit_one`], if the key has what is `expected`, if anything is.
///
/// # Errors
///
/// As [`commit_one`]; [`Error::ValueChanged`].
pub(crate) fn commit_one_if(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    change: Change<'_>,
    expected: Option<&Option<Found>>,
    old: Option<&mut Vec<u8>>,
) -> Result<(Commit, bool)> {
    if table.is_long(key) {
        return long_key::commit(engine, table, key, change, expected, old);
    }
    commit_record(engine, table, key, change, expected, old)
}

/// As [`commit_one_if`], of a key of the index.
///
/// # Errors
///
/// As [`commit_one_if`].
pub(crate) fn commit_record(
    engine: &Engine,
    table: &TableCore,
    key: &[u8],
    change: Change<'_>,
    expected: Option<&Option<Found>>,
    old: Option<&mut Vec<u8>>,
) -> Result<(Commit, bool)> {
    let value = change.leaf_value().map_or(&[][..], |value| value.bytes);
    table.check_lengths(key, value)?;
    engine.pace.slow_down(key.len() + value.len());
    with_record(table, key, change, |record| {
        Attempt { engine, table, key, change, expected, record, merges: false }.run(old)
    })
}

/// Lends the log record of a change; if the table is not logged, one of nothing.
fn with_record<R>(
    table: &TableCore,
    key: &[u8],
    change: Change<'_>,
    work: impl FnOnce(&[u8]) -> Result<R>,
) -> Result<R> {
    if !table.writes_log {
        return work(record::NOTHING);
    }
    scratch::with(&scratch::RECORD, |record| {
        let mut writer = CommitWriter::new(record, 1);
        match change {
            Change::Put(value) => writer.put(table.id, key, value),
            Change::PutLarge(written) => writer.attach(table.id, key, &written.descriptor, &written.manifest),
            Change::Delete => writer.delete(table.id, key),
        }
        work(record)
    })
}

/// What a passage did.
struct Done<'e> {
    commit: Commit,
    /// There was an old value.
    present: bool,
    /// The leaf has become loose (CM4).
    loose: bool,
    /// Its place in the order, if it has one.
    place: Option<(Lsn, Notice<'e>)>,
}

impl Done<'_> {
    /// Waits until it is visible. Nothing is locked.
    fn finish(self, engine: &Engine) -> Result<Commit> {
        match self.place {
            Some((lsn, notice)) => engine.finish(lsn, notice)?,
            // The absence was read, and may be another's delete that is not yet visible.
            None => engine.order.wait(engine.order.now())?,
        }
        Ok(self.commit)
    }
}

struct Attempt<'e, 'a> {
    engine: &'e Engine,
    table: &'a TableCore,
    key: &'a [u8],
    change: Change<'a>,
    expected: Option<&'a Option<Found>>,
    /// If the table is not logged, of nothing.
    record: &'a [u8],
    /// It is a merge by an operator that commutes.
    merges: bool,
}

impl<'e> Attempt<'e, '_> {
    fn run(&self, old: Option<&mut Vec<u8>>) -> Result<(Commit, bool)> {
        self.engine.txns.honour_claims(self.engine, self.table, self.key)?;
        let done = self.run_under_stripe(old)?;
        let present = done.present;
        Ok((done.finish(self.engine)?, present))
    }

    fn run_under_stripe(&self, old: Option<&mut Vec<u8>>) -> Result<Done<'e>> {
        let mut stripe = self.engine.stripes.lock(self.table.id, self.key);
        self.table.check_usable()?; // under the stripe: ST2
        self.engine.check_healthy()?;
        self.run_inside(&mut stripe, old)
    }

    /// Under the stripe, of a table that may be used.
    fn run_inside(&self, stripe: &mut StripeState, mut old: Option<&mut Vec<u8>>) -> Result<Done<'e>> {
        let Engine { pager, log, .. } = self.engine;
        let mut known: Option<Known> = None;
        loop {
            let attempt = self.inside(&pager.enter(), stripe, old.as_deref_mut(), known.as_ref());
            match attempt {
                Ok(done) => {
                    if done.loose {
                        self.table.index.rebalance(pager, self.key);
                    }
                    return Ok(done);
                }
                Err(Halt::Unannounced) => {}
                Err(Halt::Stop(stop)) => stop.resolve(pager, Some(log))?,
                Err(Halt::Large(descriptor)) => {
                    known = Some(Known::load_to_remove(pager, &descriptor)?); // LV3
                    if let Some(old) = old.as_deref_mut() {
                        // Nobody changes the key under the stripe, so these are still its pages.
                        large::copy_whole(self.engine, self.table, Pin::everything(pager), &descriptor, old)?;
                    }
                }
                Err(Halt::Changed) => return Err(Error::ValueChanged { table: self.table.name.clone() }),
            }
        }
    }

    fn inside(
        &self,
        m: &Mutation<'_>,
        stripe: &mut StripeState,
        old: Option<&mut Vec<u8>>,
        known: Option<&Known>,
    ) -> std::result::Result<Done<'e>, Halt> {
        let pager = &self.engine.pager;
        let tree = &self.table.index;
        if let Change::PutLarge(_) = self.change {
            tree.note_large(m)?;
        }
        let value = self.change.leaf_value();
        let place = match value {
            Some(value) => tree.place(m, pager, self.key, value)?,
            None => match tree.place_existing(m, pager, self.key)? {
                Some(place) => place,
                None => {
                    self.check_expected(None)?;
                    let commit = self.nothing_to_delete(m);
                    return Ok(Done { commit, present: false, loose: false, place: None });
                }
            },
        };
        let present = place.old().is_some();
        self.check_expected(place.old())?;
        let known = known_of(place.old(), known)?;
        if let (Some(copy), Some(old)) = (old, place.old().filter(|old| !old.is_large())) {
            copy.clear();
            copy.extend_from_slice(old.bytes);
        }
        // An update in place is logged as what it changes, if that is less.
        let patch = match (self.change, place.old()) {
            (Change::Put(value), Some(old)) if !old.is_large() && self.table.writes_log => {
                record::changed_ranges(old.bytes, value)
            }
            _ => None,
        };
        scratch::with(&scratch::PATCH, |patch_record| {
            let mut record = self.record;
            if let (Some(ranges), Change::Put(value)) = (&patch, self.change) {
                CommitWriter::new(patch_record, 1).patch(self.table.id, self.key, ranges, value);
                if patch_record.len() < record.len() {
                    record = patch_record;
                }
            }
            self.commit_place(m, stripe, place, known, record, value, present)
        })
    }

    /// From the reservation on.
    #[expect(clippy::too_many_arguments, reason = "what the passage has found")]
    fn commit_place(
        &self,
        m: &Mutation<'_>,
        stripe: &mut StripeState,
        place: Place<'_>,
        known: Option<&Known>,
        record: &[u8],
        value: Option<LeafValue<'_>>,
        present: bool,
    ) -> std::result::Result<Done<'e>, Halt> {
        let Engine { txns, order, .. } = self.engine;
        let notice = txns.notice_one(self.table, self.key);
        let full = |_| Halt::Stop(Stop::LogFull(record.len()));
        let turn = order.reserve(record.len()).map_err(full)?;
        let lsn = turn.lsn();
        stripe.reserved(lsn); // T4
        if notice.shown(CommitLsn(lsn.0)).is_err() {
            turn.abort();
            return Err(Halt::Unannounced);
        }
        let effect = Effect { deletes: matches!(self.change, Change::Delete), merges: self.merges };
        txns.keep(self.table, self.key, place.old(), effect, lsn);
        let loose = self.apply(m, place, known, lsn.0); // lets the latch go
        self.engine.tell(self.table, self.key, value, lsn);
        if sabotage::is(Sabotage::ForgetRecords) && lsn.0 % 16 == 0 {
            turn.fill(&record::aborted(record.len()));
        } else {
            turn.fill(record);
        }
        stripe.committed();
        let commit = match self.table.writes_log {
            true => Commit::Logged(lsn),
            false => Commit::Unlogged { epoch: m.epoch() },
        };
        Ok(Done { commit, present, loose, place: Some((lsn, notice)) })
    }

    /// The absence was read, and may be another's delete that is not yet durable: waiting waits for that.
    fn nothing_to_delete(&self, m: &Mutation<'_>) -> Commit {
        match self.table.writes_log {
            true => Commit::Logged(self.engine.log.reserved()),
            false => Commit::Unlogged { epoch: m.epoch() },
        }
    }

    fn check_expected(&self, old: Option<LeafValue<'_>>) -> std::result::Result<(), Halt> {
        let holds = match (self.expected, old) {
            (None, _) | (Some(None), None) => true,
            (Some(Some(expected)), Some(old)) => expected.is(old),
            _ => false,
        };
        if holds { Ok(()) } else { Err(Halt::Changed) }
    }

    /// Changes the leaf, then the pages of large values (CM5). Whether the leaf has become loose.
    fn apply(&self, m: &Mutation<'_>, place: Place<'_>, known: Option<&Known>, lsn: u64) -> bool {
        let loose = match self.change.leaf_value() {
            Some(value) => {
                place.put_value(value, lsn);
                false
            }
            None => place.remove(lsn),
        };
        let written = match self.change {
            Change::PutLarge(written) => Some(written),
            _ => None,
        };
        exchange_pages(m, known, written);
        loose
    }
}

/// What is known of the old value, if it is large (LV3).
fn known_of<'k>(
    old: Option<LeafValue<'_>>,
    known: Option<&'k Known>,
) -> std::result::Result<Option<&'k Known>, Halt> {
    let Some(old) = old.filter(LeafValue::is_large) else { return Ok(None) };
    match known.filter(|known| known.descriptor == old.bytes) {
        Some(known) => Ok(Some(known)),
        None => Err(Halt::Large(old.bytes.to_vec())),
    }
}

/// Attaches the pages of a value that is put, and detaches those that the value before has and this one does not (LV1).
pub(crate) fn exchange_pages(m: &Mutation<'_>, old: Option<&Known>, new: Option<&Written>) {
    let mut gone: Vec<PageRun> = old.map_or(Vec::new(), |known| known.value.pages());
    if let Some(written) = new {
        let pages = written.take_new();
        // Pages that were written again before the commit are in no value: they come and go at once.
        gone.extend_from_slice(pages.runs());
        gone = PageRun::difference(gone, written.pages.clone());
        m.attach(pages);
    }
    if !gone.is_empty() {
        m.detach(&gone);
    }
}
