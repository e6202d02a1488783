//! Which table has which operator, and since when (MG1, MG4 of `merge`).
//!
//! # Invariants
//!
//! - **MR1** An operator gets its number after it can be found. A transaction that notes the last number when it begins finds all operators of numbers
//!   up to that in every read.

use super::operator::{MergeOperator, Operator};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::expiry::stamped;
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_sync::OnceLock;
use aquifer_sync::atomic::{AtomicU64, Ordering};

/// The operator of a table, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    operator: OnceLock<Operator>,
    /// Which registration of the database it was, from 1 on; 0 before that is known (MR1).
    number: AtomicU64,
}

impl<K: ?Sized, V: ?Sized, O> Table<K, V, O> {
    /// This handle, of a table that merges by this operator from now on, by whatever handle. To be said each time that the database is
    /// opened, best right after the table is: a transaction that has begun before merges by reading and putting.
    ///
    /// # Errors
    ///
    /// `Usage` if the table has an operator of another name already: it has one for as long as the database is open.
    ///
    /// ```
    /// # use aquifer::{Database, MergeOperator};
    /// # let db = Database::in_memory(4 << 20)?;
    /// let notes = db.create_table("notes", Default::default())?.with_merge(MergeOperator::append())?;
    /// notes.merge(b"today", b"rain")?;
    /// notes.merge(b"today", b", then sun")?;
    /// assert_eq!(notes.get(b"today")?.as_deref(), Some(&b"rain, then sun"[..]));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn with_merge(self, operator: MergeOperator<V>) -> Result<Self> {
        self.core().register_operator(self.engine(), operator.operator)?;
        Ok(self)
    }
}

impl TableCore {
    fn register_operator(&self, engine: &Engine, operator: Operator) -> Result<()> {
        let Registry { operator: registered, number } = &self.merging;
        let first = registered.get_or_init(|| operator.clone());
        if !first.is(&operator) {
            return Err(Error::usage(format!(
                "table {} merges by {first:?} already, and {operator:?} is another one; reopen the database to change it",
                self.name
            )));
        }
        if number.load(Ordering::Acquire) == 0 {
            // AcqRel: pairs with the Acquire in `Transactions::registrations` (MR1).
            let next = engine.txns.registrations.fetch_add(1, Ordering::AcqRel) + 1;
            // Another thread's number for the same operator is as good.
            let _ = number.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire);
        }
        Ok(())
    }

    /// The operator.
    ///
    /// # Errors
    ///
    /// `Usage` if there is none.
    pub(crate) fn check_merges(&self) -> Result<()> {
        self.operator().map(drop)
    }

    fn operator(&self) -> Result<&Operator> {
        self.merging.operator.get().ok_or_else(|| {
            Error::usage(format!(
                "table {} has no merge operator; register one with `with_merge`, or `TableDef::merging`, each time that the database is opened",
                self.name
            ))
        })
    }

    /// Does the order of operands not matter?
    #[inline]
    pub(crate) fn merges_commute(&self) -> bool {
        self.merging.operator.get().is_some_and(|operator| operator.commutes)
    }

    /// Had it its operator when the last registration was of this number (MG4)?
    pub(crate) fn merged_at(&self, registrations: u64) -> bool {
        let number = self.merging.number.load(Ordering::Acquire);
        number != 0 && number <= registrations
    }

    /// The stored value of a key after an operand is merged into this one at this time (MG9).
    ///
    /// # Errors
    ///
    /// `Usage` if there is no operator; what it refuses; `ValueTooLarge`.
    pub(crate) fn merged(
        &self,
        now: Moment,
        key: &[u8],
        stored: Option<&[u8]>,
        operand: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let there = match stored {
            Some(stored) if self.is_there(now, stored)? => Some(stored),
            _ => None,
        };
        let value = there.map(|stored| self.users_part(stored)).transpose()?;
        let merged = (self.operator()?.function)(key, value, operand).map_err(|reason| Error::Merge {
            table: self.name.clone(),
            key: key.to_vec(),
            reason: reason.to_string(),
        })?;
        let Some(merged) = merged else { return Ok(None) };
        let stamp = match there {
            Some(stored) if self.expires() => Some(self.stamp_of(stored)?),
            _ => self.stamp_at(now),
        };
        let merged = stamped(stamp, merged);
        self.check_lengths_large(key, merged.len() as u64)?;
        Ok(Some(merged))
    }

    /// As [`merged`](Self::merged), of several operands in their order.
    pub(crate) fn merged_all<'o>(
        &self,
        now: Moment,
        key: &[u8],
        value: Option<Vec<u8>>,
        operands: impl Iterator<Item = &'o [u8]>,
    ) -> Result<Option<Vec<u8>>> {
        let mut value = value;
        for operand in operands {
            value = self.merged(now, key, value.as_deref(), operand)?;
        }
        Ok(value)
    }
}
