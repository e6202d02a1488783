//! Merging in a transaction: operands that wait for the commit, or else a put of what they make (MG4 of `merge`).

use super::Transaction;
use crate::error::{Error, Result};
use crate::scratch;
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use aquifer_sync::Arc;
use aquifer_txn::{Step, Write};

impl Transaction {
    /// Merges `operand` into the value of `key` by the table's operator, when the transaction commits: see [`Table::merge`]. It sees the result at
    /// once, made of what its snapshot has.
    ///
    /// If the operator commutes, transactions that merge into one key do not conflict over it, unless they have read it as well. A long key, of an
    /// eighth of a page or more, and one of a table whose operator does not commute, is read and put.
    ///
    /// # Errors
    ///
    /// `Usage` if the table has no operator; [`Error::Merge`] if that refuses, which may also come with the commit; else as
    /// [`put`](Self::put).
    ///
    /// ```
    /// # use aquifer::{Database, MergeOperator, TableDef};
    /// # let db = Database::in_memory(4 << 20)?;
    /// const STOCK: TableDef<str, i64> = TableDef::new("stock").merging(MergeOperator::add);
    /// let stock = STOCK.open_or_create(&db)?;
    /// let (mut first, mut second) = (db.begin()?, db.begin()?);
    /// first.merge(&stock, "apples", &10)?;
    /// second.merge(&stock, "apples", &-3)?;
    /// first.commit()?;
    /// second.commit()?; // no conflict
    /// assert_eq!(stock.get("apples")?, Some(7));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn merge<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        operand: &V,
    ) -> Result<()> {
        scratch::with(&scratch::KEY, |encoded_key| {
            scratch::with(&scratch::VALUE, |encoded_operand| {
                key.encode(encoded_key);
                let encoded = operand.encode(encoded_operand);
                encoded.map_err(|error| Error::Encode { table: table.name().to_owned(), error })?;
                self.merge_encoded(table.core(), encoded_key, encoded_operand)
            })
        })
    }

    fn merge_encoded(&mut self, table: &Arc<TableCore>, key: &[u8], operand: &[u8]) -> Result<()> {
        self.check_writable(table)?;
        table.check_merges()?;
        self.noted.add(table, table.stamp_at(self.snapshot.now));
        table.check_lengths_large(key, operand.len() as u64)?;
        let name = table.index.name(key);
        let waits = !table.is_long(key) && table.merges_commute() && table.merged_at(self.registrations);
        let own = self.writes().get(table.id, &name).filter(|write| !write.needs_store());
        let (found, value) = match own {
            None if waits => return self.write_operand(table, &name, operand),
            Some(write) if !table.is_long(key) => {
                let value = write.resolve(None, |value, _| value);
                (value.is_some(), value.unwrap_or_default())
            }
            _ => {
                self.snapshot.note_read(table, key)?; // what the operator refuses tells of it
                let mut value = Vec::new();
                (self.view().get_into(table, key, &mut value)?, value)
            }
        };
        let merged = table.merged(self.snapshot.now, key, found.then_some(&value[..]), operand)?;
        self.write_encoded(table, key, merged.as_deref())
    }

    fn write_operand(&mut self, table: &Arc<TableCore>, name: &[u8], operand: &[u8]) -> Result<()> {
        let engine = Arc::clone(self.engine());
        let bytes = self.writes().bytes_with_merge(name, operand);
        if bytes <= self.writes().bytes_max() {
            self.charge.cover(&engine, bytes)?; // before anything has changed
        }
        let written = self.writes_mut().merge(table.id, name, operand);
        written.map_err(|error| engine.transaction_error(error, |_| Some(table)))?;
        self.tables.entry(table.id).or_insert_with(|| Arc::clone(table));
        Ok(())
    }
}

/// The operands that a write has for the store's value.
pub(super) fn operands_of(write: &Write) -> impl Iterator<Item = &[u8]> {
    write.steps.iter().map(|step| match step {
        Step::Merge(operand) => &operand[..],
        Step::Patch { .. } => unreachable!("the engine writes no patches"),
    })
}
