//! Changing a part of a value in a transaction: it is read whole, and written whole; what changes is what is logged.
//!
//! The record expires when it did before (EX1 of `expiry`: its stamp is at the front of what is stored, and stays there).

use super::Transaction;
use crate::error::{Error, Result};
use crate::expiry::begin_value;
use crate::table::{Table, encoded_key};
use aquifer_codec::{Key, Value};

impl Transaction {
    /// Overwrites bytes of the encoded value of `key`, from `offset` on. The value is read whole; what changes is what is logged.
    ///
    /// # Errors
    ///
    /// `Usage` if they do not lie within the value; else as [`put`](Self::put) and [`Snapshot::get`](crate::Snapshot::get).
    pub fn patch<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        offset: usize,
        bytes: &[u8],
    ) -> Result<()> {
        let mut value = Vec::new();
        let found = self.get_stored_if_there(table, key, &mut value)?;
        let begin = if found { table.core().stamp_bytes() } else { 0 };
        let users_part = &mut value[begin..];
        let end = offset.checked_add(bytes.len()).filter(|&end| found && end <= users_part.len());
        let Some(end) = end else {
            return Err(Error::usage(format!(
                "table {}: {} bytes at {offset} do not lie within the value, {}; put or append",
                table.name(),
                bytes.len(),
                if found { format!("which has {}", users_part.len()) } else { "which is not there".into() }
            )));
        };
        users_part[offset..end].copy_from_slice(bytes);
        self.write(table, key, Some(&value))
    }

    /// Appends bytes to the encoded value of `key`, or makes it of them. The value is read whole.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put) and [`Snapshot::get`](crate::Snapshot::get).
    pub fn append<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        bytes: &[u8],
    ) -> Result<()> {
        let mut value = Vec::new();
        if !self.get_stored_if_there(table, key, &mut value)? {
            let stamp = table.core().stamp(table.engine());
            value.clear();
            begin_value(stamp, &mut value);
            self.noted.add(table.core(), stamp);
        }
        value.extend_from_slice(bytes);
        self.write(table, key, Some(&value))
    }

    /// Makes `out` the stored value of `key`; whether there is one that has not expired.
    fn get_stored_if_there<K: Key + ?Sized, V: Value + ?Sized, O>(
        &self,
        table: &Table<K, V, O>,
        key: &K,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let found = self.get_stored(table.core(), &encoded_key(key), out)?;
        Ok(found && table.core().is_there(self.now, out)?)
    }
}
