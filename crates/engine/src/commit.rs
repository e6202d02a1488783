//! The commit of one change to one key.
//!
//! ```text
//!  stripe --> gate --> leaf latch: reserve log, change leaf --> fill log --> leave --> wait for durability
//!               ^          |
//!               '-- leave, resolve <-- a page, a frame, or room in the log is missing (G1)
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

use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::Result;
use crate::index::Place;
use crate::record::{self, CommitWriter};
use crate::scratch;
use crate::stripes::StripeState;
use crate::table_core::TableCore;
use aquifer_buffer::{Mutation, Pager, Retry};
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_wal::Log;

/// What happens to the key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'v> {
    Put(&'v [u8]),
    Delete,
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

/// Changes one key. The old value, if there is one, is copied to `old`. Says where the commit stands, and whether there
/// was an old value; deleting what is absent changes nothing.
///
/// # Errors
///
/// Too long a key or value; a dropped table, a closed or poisoned database; those of disk and budget. Nothing has changed.
pub(crate) fn commit_one(
    engine: &Engine,
    table: &TableCore,
    key: &[u8],
    change: Change<'_>,
    old: Option<&mut Vec<u8>>,
) -> Result<(Commit, bool)> {
    let value = match change {
        Change::Put(value) => value,
        Change::Delete => &[],
    };
    table.check_lengths(key, value)?;
    engine.pace.slow_down(key.len() + value.len());
    if !table.writes_log {
        return Attempt { engine, table, key, change, record: &[] }.run(old);
    }
    scratch::with(&scratch::RECORD, |record| {
        let mut writer = CommitWriter::new(record, 1);
        match change {
            Change::Put(value) => writer.put(table.id, key, value),
            Change::Delete => writer.delete(table.id, key),
        }
        Attempt { engine, table, key, change, record }.run(old)
    })
}

/// What a passage did.
struct Done {
    commit: Commit,
    /// There was an old value.
    present: bool,
    /// The leaf has become loose (CM4).
    loose: bool,
}

struct Attempt<'a> {
    engine: &'a Engine,
    table: &'a TableCore,
    key: &'a [u8],
    change: Change<'a>,
    /// Empty if the table is not logged.
    record: &'a [u8],
}

impl Attempt<'_> {
    fn run(&self, mut old: Option<&mut Vec<u8>>) -> Result<(Commit, bool)> {
        let Engine { pager, log, stripes, .. } = self.engine;
        let mut stripe = stripes.lock(self.table.id, self.key);
        self.table.check_usable()?; // under the stripe: ST2
        self.engine.check_healthy()?;
        loop {
            let attempt = self.inside(&pager.enter(), &mut stripe, old.as_deref_mut());
            match attempt {
                Ok(Done { commit, present, loose }) => {
                    if loose {
                        self.table.tree.rebalance(pager, self.key);
                    }
                    return Ok((commit, present));
                }
                Err(stop) => stop.resolve(pager, Some(log))?,
            }
        }
    }

    fn inside(
        &self,
        m: &Mutation<'_>,
        stripe: &mut StripeState,
        old: Option<&mut Vec<u8>>,
    ) -> std::result::Result<Done, Stop> {
        let absent = |commit| Ok(Done { commit, present: false, loose: false });
        let pager = &self.engine.pager;
        let place = match self.change {
            Change::Put(value) => self.table.tree.place(m, pager, self.key, value.len())?,
            Change::Delete => match self.table.tree.place_existing(m, pager, self.key)? {
                Some(place) => place,
                // The absence was read, and may be another's delete that is not yet durable: waiting waits for that.
                None if self.table.writes_log => {
                    return absent(Commit::Logged(self.engine.log.reserved()));
                }
                None => return absent(Commit::Unlogged { epoch: m.epoch() }),
            },
        };
        let present = place.old().is_some();
        if let (Some(copy), Some(value)) = (old, place.old()) {
            copy.clear();
            copy.extend_from_slice(value);
        }
        if self.record.is_empty() {
            let now = self.engine.log.reserved().0;
            let loose = self.apply(place, now);
            stripe.committed();
            return Ok(Done { commit: Commit::Unlogged { epoch: m.epoch() }, present, loose });
        }
        // An update in place is logged as what it changes, if that is less.
        let patch = match (self.change, place.old()) {
            (Change::Put(value), Some(old)) => record::changed_ranges(old, value),
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
            let reserved = self.engine.log.reserve(record.len()).map_err(|_| Stop::LogFull(record.len()))?;
            let lsn = reserved.lsn();
            stripe.reserved(lsn); // T4
            let loose = self.apply(place, lsn.0); // lets the latch go
            if sabotage::is(Sabotage::ForgetRecords) && lsn.0 % 16 == 0 {
                reserved.fill(&record::aborted(record.len()));
            } else {
                reserved.fill(record);
            }
            stripe.committed();
            Ok(Done { commit: Commit::Logged(lsn), present, loose })
        })
    }

    /// Whether the leaf has become loose.
    fn apply(&self, place: Place<'_>, lsn: u64) -> bool {
        match self.change {
            Change::Put(value) => {
                place.put(value, lsn);
                false
            }
            Change::Delete => place.remove(lsn),
        }
    }
}
