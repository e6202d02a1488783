//! What tables, snapshots, batches and transactions say of expiry.

use super::{Expiry, Stamp};
use crate::batch::WriteBatch;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::large::LargeWriter;
use crate::long_key;
use crate::snapshot::Snapshot;
use crate::table::{Table, encoded_key};
use crate::table_core::TableCore;
use crate::transaction::Transaction;
use aquifer_buffer::Pin;
use aquifer_codec::{Key, Value};
use std::time::Duration;

/// The stamp of what is to live for this time from now on.
fn stamp_after(engine: &Engine, table: &TableCore, time: Duration) -> Result<Stamp> {
    check_expires(table)?;
    Ok(Stamp::after(engine.clock.now(), time))
}

/// The stamp of this expiry.
fn stamp_of(table: &TableCore, expiry: Expiry) -> Result<Stamp> {
    check_expires(table)?;
    Ok(Stamp::of(expiry))
}

fn check_expires(table: &TableCore) -> Result<()> {
    match table.expires() {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "the records of table {} do not expire; that is fixed when a table is made (TableOptions::expiring)",
            table.name
        ))),
    }
}

/// In tables whose records may expire ([`TableOptions::expiring`](crate::TableOptions::expiring)).
impl<K: Key + ?Sized, V: Value + ?Sized, O> Table<K, V, O> {
    /// Sets the value of `key`, which expires after this time: from then on nobody sees the record, and some time later it is removed.
    /// Begun milliseconds count whole; of no time at all, the record is never seen.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); `Usage` if the records of the table do not expire.
    ///
    /// ```
    /// # use aquifer::{Database, Expiry, TableOptions};
    /// # use std::time::{Duration, SystemTime};
    /// # let db = Database::in_memory(4 << 20)?;
    /// let options = TableOptions::expiring().time_to_live(Duration::from_secs(3600));
    /// let sessions = db.create_table("sessions", options)?;
    /// sessions.put(b"ada", b"for an hour")?;
    /// sessions.put_for(b"bob", b"for a minute", Duration::from_secs(60))?;
    /// sessions.put_until(b"eve", b"over", SystemTime::UNIX_EPOCH)?;
    /// sessions.put_until(b"root", b"for good", Expiry::Never)?;
    /// assert_eq!(sessions.count(..)?, 3);
    /// assert_eq!(sessions.expiry(b"eve")?, None);
    /// assert_eq!(sessions.expiry(b"root")?, Some(Expiry::Never));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn put_for(&self, key: &K, value: &V, time: Duration) -> Result<()> {
        self.put_stamped(key, value, stamp_after(self.engine(), self.core(), time)?)
    }

    /// Sets the value of `key`, which expires at this time, or never.
    ///
    /// # Errors
    ///
    /// As [`put_for`](Self::put_for).
    pub fn put_until(&self, key: &K, value: &V, expiry: impl Into<Expiry>) -> Result<()> {
        self.put_stamped(key, value, stamp_of(self.core(), expiry.into())?)
    }

    fn put_stamped(&self, key: &K, value: &V, stamp: Stamp) -> Result<()> {
        let (commit, _) = self.commit_put(key, value, Some(stamp), None)?;
        self.engine().wait_for(commit, self.durability())
    }

    /// Writes the encoded value of `key` as a stream, as [`write_large`](Self::write_large); it expires at this time.
    ///
    /// # Errors
    ///
    /// As [`write_large`](Self::write_large) and [`put_for`](Self::put_for).
    pub fn write_large_until(&self, key: &K, expiry: impl Into<Expiry>) -> Result<LargeWriter> {
        let stamp = stamp_of(self.core(), expiry.into())?;
        self.write_large_stamped(key, Some(stamp))
    }

    pub(crate) fn write_large_stamped(&self, key: &K, stamp: Option<Stamp>) -> Result<LargeWriter> {
        let key = encoded_key(key);
        let mut writer = LargeWriter::new(self.handle(), self.core(), key, self.durability())?;
        writer.begin_with(stamp)?;
        Ok(writer)
    }

    /// When the record of `key` expires; nothing if there is none, or it has expired. Of a value with pages of its own the first is read.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn expiry(&self, key: &K) -> Result<Option<Expiry>> {
        let core = &**self.core();
        core.check_usable()?;
        let now = core.now(self.engine());
        let _pin = Pin::everything(&core.pager); // LV5 of `large`
        let Some(found) = long_key::find(self.engine(), core, &encoded_key(key))? else { return Ok(None) };
        if !core.expires() {
            return Ok(Some(Expiry::Never));
        }
        let stamp = core.stamp_of_found(&found)?;
        Ok(stamp.is_alive(now).then(|| stamp.expiry()))
    }
}

impl Snapshot {
    /// When the record of `key` expires; nothing if there is none, or it had expired when the snapshot was taken.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn expiry<K: Key + ?Sized, V: Value + ?Sized, O>(
        &self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<Option<Expiry>> {
        let core = self.counterpart(table.core())?;
        let _pin = Pin::everything(&core.pager);
        let Some(found) = self.find(core, &encoded_key(key))? else { return Ok(None) };
        if !core.expires() {
            return Ok(Some(Expiry::Never));
        }
        // Own writes are whole.
        let stamp = core.stamp_of_found(&found)?;
        Ok(stamp.is_alive(self.now).then(|| stamp.expiry()))
    }
}

/// In tables whose records may expire.
impl WriteBatch {
    /// The key gets this value, which expires this time from now on (not from the commit on). See [`Table::put_for`]; that a table's records do not
    /// expire is said when the batch is written.
    pub fn put_for<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        time: Duration,
    ) {
        self.put_if_stamped(table, key, value, stamp_after(table.engine(), table.core(), time));
    }

    /// The key gets this value, which expires at this time, or never.
    pub fn put_until<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        expiry: impl Into<Expiry>,
    ) {
        self.put_if_stamped(table, key, value, stamp_of(table.core(), expiry.into()));
    }

    fn put_if_stamped<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        stamp: Result<Stamp>,
    ) {
        match stamp {
            Ok(stamp) => self.put_stamped(table, key, value, Some(stamp)),
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }
}

/// In tables whose records may expire. A transaction has the time at which it began; what it puts for a time lives from its put on.
impl Transaction {
    /// Sets the value of `key`, which expires after this time. See [`Table::put_for`].
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); `Usage` if the records of the table do not expire.
    pub fn put_for<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        time: Duration,
    ) -> Result<()> {
        let stamp = stamp_after(table.engine(), table.core(), time)?;
        self.put_stamped(table, key, value, Some(stamp))
    }

    /// Sets the value of `key`, which expires at this time, or never.
    ///
    /// # Errors
    ///
    /// As [`put_for`](Self::put_for).
    pub fn put_until<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        expiry: impl Into<Expiry>,
    ) -> Result<()> {
        let stamp = stamp_of(table.core(), expiry.into())?;
        self.put_stamped(table, key, value, Some(stamp))
    }
}
