//! States of a transaction to go back to.

use super::Transaction;

/// Names a state of a transaction, to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(aquifer_txn::Savepoint);

impl Transaction {
    /// Names the state as it is, to [go back](Self::rollback_to) to. Savepoints are nested.
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint(self.writes_mut().savepoint())
    }

    /// Takes back all writes since the savepoint, which stays. What was read and locked stays read and locked.
    ///
    /// # Panics
    ///
    /// If one before it was gone back to meanwhile and the changes up to it are no longer there.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.writes_mut().rollback_to(savepoint.0);
    }
}
