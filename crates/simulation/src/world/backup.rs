//! Backups, during which others act (WO6).

use super::{Judged, World, ending};
use crate::action::Action;
use crate::model::shape;
use aquifer::{Backup, Database};
use aquifer_sim::SimDisk;

/// Others act so often whenever a backup tells its progress.
const OTHERS_AT_ONCE: usize = 80;

impl World {
    /// WO6.
    pub(super) fn back_up(&mut self, db: &Database, others: &[Action]) -> Judged {
        self.checkpoint(db)?;
        let expected = shape(self.model.state());
        let was_uncertain = self.uncertain;
        let mut others = others.iter();
        let mut result = Ok(());
        let target = self.backup.disk();
        let checkpoints = db.stats().pager.checkpoints;
        let mut is_begun = false;
        let made = db.backup_on(target, |_| {
            // The backup's own checkpoint, if it took one: nobody has acted since.
            if !std::mem::replace(&mut is_begun, true) && db.stats().pager.checkpoints > checkpoints {
                self.model.checkpointed();
            }
            for other in others.by_ref().take(OTHERS_AT_ONCE) {
                if result.is_ok() {
                    result = self.work(db, other);
                }
            }
        });
        result?;
        if let Err(error) = made {
            self.model.maybe_checkpointed();
            return self.failed(&error, "a backup");
        }
        if was_uncertain {
            return Ok(());
        }
        let restored = Backup::on(self.backup.disk())
            .restore(ending::options(&SimDisk::new()), "", |_| {})
            .and_then(|(db, _)| Ok((ending::read(&db)?, db.verify(|_| {})?)));
        let (found, report) = restored.map_err(|error| format!("a backup: {error}"))?;
        // What a damaged page of a dropped table named is lost space, in the backup as in the database.
        let is_excused = |what: &str| self.silent && what.contains("lost space");
        if let Some(fault) = report.faults.iter().find(|fault| !is_excused(&fault.what)) {
            return Err(format!("verification of what was restored from a backup: {fault}"));
        }
        if found != expected {
            return Err("a backup is not what was there when it was begun".into());
        }
        Ok(())
    }
}
