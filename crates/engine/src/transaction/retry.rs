//! Transactions that begin again by themselves when they are refused.

use super::{Transaction, TxOptions};
use crate::database::Database;
use crate::durability::Durability;
use crate::error::{Error, Result};
use crate::transactions::Transactions;
use aquifer_sync::Arc;
use aquifer_sync::atomic::Ordering;
use aquifer_txn::Claimant;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest pause before the first retry; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_micros(20);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// From this retry on, the key of the last conflict is locked before the snapshot is taken: then nobody can be first again.
const LOCKS_FROM: u32 = 3;

impl Database {
    /// Runs `work` in a transaction at snapshot isolation and commits it; if it is refused for a conflict, begins again with a pause. Waits until
    /// it survives loss of power. `work` may run several times, and so should do nothing else than its transaction. If it returns an error,
    /// the transaction is rolled back, and the error is returned, unless the transaction itself was refused.
    ///
    /// # Errors
    ///
    /// What `work` returns; as [`Transaction::commit`]; [`Error::Conflict`] after a hundred retries.
    ///
    /// ```
    /// # use aquifer::{Database, TableDef};
    /// # let db = Database::in_memory(4 << 20)?;
    /// const COUNTERS: TableDef<str, u64> = TableDef::new("counters");
    /// let counters = COUNTERS.open_or_create(&db)?;
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| {
    ///             db.transact(|tx| {
    ///                 let count = tx.get(&counters, "visits")?.unwrap_or(0);
    ///                 tx.put(&counters, "visits", &(count + 1))
    ///             })
    ///             .unwrap();
    ///         });
    ///     }
    /// });
    /// assert_eq!(counters.get("visits")?, Some(4));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn transact<R, E: From<Error>>(
        &self,
        work: impl FnMut(&mut Transaction) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        self.transact_with(TxOptions::default(), Durability::Power, work)
    }

    /// As [`transact`](Self::transact), with these options and this durability.
    ///
    /// # Errors
    ///
    /// As [`transact`](Self::transact).
    pub fn transact_with<R, E: From<Error>>(
        &self,
        options: TxOptions,
        durability: Durability,
        mut work: impl FnMut(&mut Transaction) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        let mut refused_on = None;
        for retry in 0.. {
            let mut transaction = self.begin_again(options, retry, refused_on.take())?;
            let done = match work(&mut transaction) {
                Ok(result) => match transaction.commit_mut(durability) {
                    Ok(()) => return Ok(result),
                    Err(error) => E::from(error),
                },
                Err(error) => error,
            };
            match transaction.take_refusal() {
                Some(conflict) if retry < options.retries_max => refused_on = conflict,
                _ => return Err(done),
            }
            drop(transaction);
            self.engine().txns.counters.retries.fetch_add(1, Ordering::Relaxed);
            aquifer_sync::thread::sleep(pause(retry));
        }
        unreachable!("the last retry returns")
    }

    fn begin_again(
        &self,
        options: TxOptions,
        retry: u32,
        conflict: Option<(u32, Vec<u8>)>,
    ) -> Result<Transaction> {
        let Transactions { claims, counters, .. } = &self.engine().txns;
        counters.begun.fetch_add(1, Ordering::Relaxed);
        let mut claimant = Claimant::new(Arc::clone(claims));
        if let Some((table, name)) = conflict.filter(|_| retry >= LOCKS_FROM) {
            // One key alone, so there is no circle; whoever holds it too long is not waited for.
            let _ = claimant.claim(table, &name, options.lock_timeout);
        }
        self.begin_claiming(options, claimant)
    }
}

/// A random time, at most twice as long as before.
fn pause(retry: u32) -> Duration {
    let longest = PAUSE_FIRST.saturating_mul(1 << retry.min(16)).min(PAUSE_MAX);
    let random = RandomState::new().hash_one(retry);
    longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}
