//! The end of a life, and the beginning of the next (WO4).

use super::{Judged, World};
use crate::action::{Again, End};
use crate::model::Found;
use aquifer::{Database, Options};
use aquifer_sim::{Fault, SimDisk};
use std::collections::BTreeMap;

/// So that a seed of the simulation gives the same pages each time.
const HASH_SEED: u64 = 0x5EED;

impl World {
    pub(super) fn end(&mut self, end: End, seed: u64, again: &[Again]) -> Judged {
        let db = self.db.take();
        self.tickets.iter_mut().for_each(Vec::clear);
        let kept = std::mem::take(&mut self.kept);
        let mut killed = end == End::Kill;
        if let (End::Close, Some(db)) = (end, &db) {
            match db.close() {
                Ok(()) => {
                    self.model.is_durable(self.known());
                    self.model.checkpointed();
                }
                Err(error) => {
                    self.excuse(&error, "closing")?;
                    self.model.maybe_checkpointed();
                }
            }
        }
        self.tally.faults += self.disk.strikes();
        let mut disk = if killed { self.disk.after_kill() } else { self.disk.after_power_loss(seed) };
        // What the old handle does on its way out goes to the old disk, and need not take long.
        self.disk.inject(Fault::power_loss());
        drop((kept, db));
        disk.set_free(None);
        self.tally.crashes += 1;
        for &Again { trouble, nth, seed } in again {
            self.disk = disk;
            (self.may_go_dark, self.tight, self.uncertain, self.poisoned) = (false, false, false, false);
            self.inject(trouble, u64::from(nth));
            let db = self.open()?;
            if let Some(db) = &db {
                self.judge(db, killed)?;
            }
            killed = false;
            self.tally.faults += self.disk.strikes();
            self.disk.inject(Fault::power_loss()); // what it does on its way out is of no interest
            drop(db);
            disk = self.disk.after_power_loss(seed);
            self.tally.crashes += 1;
        }
        self.disk = disk;
        self.known = None;
        (self.may_go_dark, self.tight, self.uncertain, self.poisoned) = (false, false, false, false);
        let Some(db) = self.open()? else {
            self.over |= self.silent;
            return if self.over { Ok(()) } else { Err("it did not open, on a disk without faults".into()) };
        };
        self.judge(&db, killed)?;
        if !self.silent {
            let report = db.verify(|_| {}).map_err(|error| format!("verification: {error}"))?;
            if let Some(fault) = report.faults.first() {
                return Err(format!("verification after a crash: {fault}"));
            }
        }
        self.db = Some(db);
        Ok(())
    }

    /// Opens; nothing if it could not, and had an excuse.
    fn open(&mut self) -> Judged<Option<Database>> {
        match options(&self.disk).open_or_create("") {
            Ok(db) => Ok(Some(db)),
            Err(error) => {
                self.excuse(&error, "opening")?;
                self.tally.refused += u64::from(self.silent);
                Ok(None)
            }
        }
    }

    /// WO4.
    fn judge(&mut self, db: &Database, killed: bool) -> Judged {
        let found = match read(db) {
            Ok(found) => found,
            Err(error) => {
                self.over |= self.silent;
                return self.excuse(&error, "reading everything after a crash");
            }
        };
        let before = self.model.clone();
        self.model.crashed(&found, killed, self.silent).inspect_err(|_| self.model = before)
    }
}

/// How databases are opened here.
pub(super) fn options(disk: &SimDisk) -> Options {
    Database::options()
        .memory_budget(2 << 20)
        .background(false)
        .log_bytes_max(1 << 20)
        .segment_bytes_max(128 << 10)
        .hash_seed(HASH_SEED)
        .disk(disk.disk())
}

/// Everything that is there.
pub(super) fn read(db: &Database) -> aquifer::Result<Found> {
    db.tables()
        .into_iter()
        .map(|table| {
            let handle = db.any_table(&table.name)?;
            let mut records = handle.records();
            let mut rows = BTreeMap::new();
            while let Some((key, value)) = records.next()? {
                rows.insert(key.to_vec(), value.to_vec());
            }
            Ok((table.name.clone(), (table.logged, rows)))
        })
        .collect()
}
