//! Snapshots of checkpoints, which stay open while others act (WO8).

use super::{Judged, World};
use crate::model::{State, shape};
use aquifer::{CheckpointSnapshot, Database, ErrorKind};
use std::collections::BTreeMap;

/// So many are open at once: memory is short.
const KEPT_MAX: usize = 2;

/// One of them, and what was there when it was taken.
pub(super) struct Kept {
    snapshot: CheckpointSnapshot,
    state: State,
}

impl World {
    /// Takes one; the oldest goes if there are too many.
    pub(super) fn keep_checkpoint(&mut self, db: &Database) -> Judged {
        if self.kept.len() == KEPT_MAX {
            self.kept.remove(0);
        }
        let state = self.model.state().clone();
        match self.with_checkpoints(db, Database::checkpoint_snapshot)? {
            Ok(snapshot) => {
                self.model.is_durable(self.known());
                if !self.uncertain {
                    self.kept.push(Kept { snapshot, state });
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::BudgetExhausted => Ok(()),
            Err(error) => self.failed(&error, "taking a snapshot of a checkpoint"),
        }
    }

    /// WO8. One of them is read, whole, and goes then if it is told to.
    pub(super) fn read_kept(&mut self, which: u8, goes: bool) -> Judged {
        if self.kept.is_empty() {
            return Ok(());
        }
        let at = usize::from(which) % self.kept.len();
        let Kept { snapshot, state } = &self.kept[at];
        let found = match read(snapshot) {
            Ok(found) => found,
            Err(error) => return self.failed(&error, "reading a snapshot of a checkpoint"),
        };
        if found != shape(state) {
            return Err("a snapshot of a checkpoint is not what was there when it was taken".into());
        }
        if goes {
            self.kept.remove(at);
        }
        Ok(())
    }
}

/// Everything that is there.
fn read(snapshot: &CheckpointSnapshot) -> aquifer::Result<crate::model::Found> {
    let mut found = BTreeMap::new();
    for table in snapshot.tables() {
        let handle = snapshot.any_table(&table.name)?;
        let mut records = snapshot.records(&handle);
        let mut rows = BTreeMap::new();
        while let Some((key, value)) = records.next()? {
            rows.insert(key.to_vec(), value.to_vec());
        }
        found.insert(table.name, (table.logged, rows));
    }
    Ok(found)
}
