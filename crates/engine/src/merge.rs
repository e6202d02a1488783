//! Changes that are told as an operand: a table's *operator* makes the new value of the old one and of the operand.
//!
//! ```text
//!  merge(key, operand) --> stripe locked --> value in the page --operator--> result --> log, page, older values, watchers: as of a put
//!  of a transaction: kept as an operand until it commits; its own reads see what its snapshot has, with its operands merged in
//! ```
//!
//! | module | its secret |
//! |---|---|
//! | `operator` | what an operator is; those that come with the engine |
//! | `registry` | which table has which operator, and since when |
//! | `fold` | batches in which a key is merged and put several times |
//!
//! The single commit is in `commit::merged`, that of several in `commit_batch::merged`, a transaction's part in `transaction::merge`.
//!
//! # Invariants
//!
//! - **MG1** A table has one operator for as long as the database is open; another one is refused. So all merges of a table that anybody can
//!   remember are by one operator.
//! - **MG2** What is logged and put is the result. Recovery, snapshots, backups and readers know of no operator; after reopening, a table without one
//!   refuses to merge, and nothing else.
//! - **MG3** A result is made under the key's stripe, of the value that is there, before the record is encoded. From there on nobody else
//!   changes the key, so it is what the commit puts.
//! - **MG4** An operand waits for the commit only if the operator commutes, the key is short, and the transaction began after the operator was
//!   registered. Else the result is made at once, of what the transaction sees, and is a put in all respects.
//! - **MG5** Operands of a commuting operator are kept with the older value as merges (VE7 of `aquifer_txn::versions`): no change to
//!   another transaction that only merges there, and a change to all others.
//! - **MG6** A transaction that has read a key conflicts over it with merges too. At snapshot isolation it notes what it reads of tables
//!   whose operator commutes, and if it cannot, takes all as read. So what it has seen of a key that it merges is still so when it commits.
//! - **MG7** An operator is called outside of gate and latches, but may be with stripes held. If it refuses, nothing has happened.
//! - **MG8** In a commit of several changes memory for results beyond a small share for each is taken before they are made into records; what cannot
//!   be had is an error. A single merge has the value and its result whole, as a get and a put of it would.
//! - **MG9** A record that expires keeps its time; one that comes to be, or had expired, gets the table's. The time is that of the call, of a batch that of
//!   its commit, of a transaction that at which it began.

mod fold;
mod operator;
mod registry;

pub(crate) use fold::{folded, operands, push_operand};
pub use operator::{Addend, Append, MergeOperator, MergeResult};
pub(crate) use registry::Registry;

use crate::commit::commit_merge;
use crate::durability::Commit;
use crate::error::{Error, Result};
use crate::exchange::exchange;
use crate::scratch;
use crate::table::Table;
use crate::{CommitTicket, Durability};
use aquifer_codec::{Key, Value};

impl<K: Key + ?Sized, V: Value + ?Sized, O> Table<K, V, O> {
    /// Merges `operand` into the value of `key` by the table's operator ([`with_merge`](Self::with_merge)), with this handle's durability. The
    /// value is read and changed as one; nobody who merges has to begin again.
    ///
    /// # Errors
    ///
    /// `Usage` if the table has no operator; [`Error::Merge`] if that refuses; else as [`put`](Self::put).
    ///
    /// ```
    /// # use aquifer::{Database, MergeOperator, TableDef};
    /// # let db = Database::in_memory(4 << 20)?;
    /// const VISITS: TableDef<str, u64> = TableDef::new("visits").merging(MergeOperator::add);
    /// let visits = VISITS.open_or_create(&db)?;
    /// visits.merge("front page", &1)?;
    /// visits.merge("front page", &2)?;
    /// assert_eq!(visits.get("front page")?, Some(3));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn merge(&self, key: &K, operand: &V) -> Result<()> {
        let commit = self.commit_merge(key, operand)?;
        self.engine().wait_for(commit, self.durability())
    }

    /// As [`merge`](Self::merge), without waiting: the ticket does.
    ///
    /// # Errors
    ///
    /// As [`merge`](Self::merge).
    pub fn merge_with(&self, key: &K, operand: &V, durability: Durability) -> Result<CommitTicket> {
        let commit = self.commit_merge(key, operand)?;
        self.engine().flusher.nudge();
        Ok(CommitTicket::new(self.engine(), commit, durability))
    }

    fn commit_merge(&self, key: &K, operand: &V) -> Result<Commit> {
        scratch::with(&scratch::KEY, |encoded_key| {
            scratch::with(&scratch::VALUE, |encoded_operand| {
                key.encode(encoded_key);
                let encoded = operand.encode(encoded_operand);
                encoded.map_err(|error| Error::Encode { table: self.name().to_owned(), error })?;
                let (engine, table) = (self.engine(), self.core());
                if !table.is_long(encoded_key) {
                    return commit_merge(engine, table, encoded_key, encoded_operand);
                }
                let now = table.now(engine);
                let merge =
                    |stored: Option<&[u8]>| table.merged(now, encoded_key, stored, encoded_operand).map(Some);
                let commit = exchange(engine, table, encoded_key, merge)?;
                table.note(table.stamp_at(now));
                Ok(commit.expect("a merge always has a result"))
            })
        })
    }
}
