//! Several reads and writes as one.
//!
//! A transaction reads a snapshot, keeps its writes to itself, and is validated and applied when it commits. So a page holds nothing that is not
//! committed, and a transaction that is dropped has done nothing.
//!
//! # Invariants
//!
//! - **TN1** Before it commits, nothing of a transaction is to be seen outside of it, but the keys that it has locked.
//! - **TN2** Of two transactions whose snapshots do not have each other's commit and that write a key in common, one commits (first committer
//!   wins). Of serializable ones the same holds for what one has read and the other has written.
//! - **TN3** A long key is read and written with its group, which is one record of the index: transactions conflict if they write members of
//!   one group.

mod merge;
mod options;
mod partial;
mod retry;
mod savepoint;

pub use options::{Isolation, TxOptions};
pub use savepoint::Savepoint;

use crate::batch::WriteBatch;
use crate::commit_batch::{Terms, commit_records};
use crate::database::Database;
use crate::durability::{Commit, CommitTicket, Durability};
use crate::error::{Error, Result};
use crate::expiry::{Noted, Stamp, begin_value};
use crate::long_key;
use crate::range::{KeyRange, encoded};
use crate::scratch;
use crate::snapshot::{self, Snapshot, Source};
use crate::table::Table;
use crate::table_core::TableCore;
use crate::transactions::Charge;
use crate::view::ReadLog;
use aquifer_codec::{Key, Value};
use aquifer_sync::atomic::Ordering;
use aquifer_sync::{Arc, OnceLock};
use aquifer_txn::{Claimant, Claims, CommitLsn, Conflicts, Watch, WriteSet};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// Several reads and writes as one: all of it is committed, or nothing. Reads go by the methods of [`Snapshot`], which it is, and see its own
/// writes; dropping it rolls it back.
///
/// ```
/// # use aquifer::{Database, ErrorKind, TableDef};
/// # let db = Database::in_memory(4 << 20)?;
/// const ACCOUNTS: TableDef<str, i64> = TableDef::new("accounts");
/// let accounts = ACCOUNTS.open_or_create(&db)?;
/// accounts.put("alice", &100)?;
///
/// let mut tx = db.begin()?;
/// let balance = tx.get(&accounts, "alice")?.unwrap_or(0);
/// tx.put(&accounts, "alice", &(balance - 30))?;
/// tx.put(&accounts, "bob", &30)?;
/// assert_eq!(accounts.get("bob")?, None); // nobody sees it yet
/// tx.commit()?;
/// assert_eq!(accounts.get("bob")?, Some(30));
///
/// // Two that change one key: the first to commit wins.
/// let (mut first, mut second) = (db.begin()?, db.begin()?);
/// first.put(&accounts, "alice", &1)?;
/// second.put(&accounts, "alice", &2)?;
/// first.commit()?;
/// assert_eq!(second.commit().unwrap_err().kind(), ErrorKind::Conflict);
/// # Ok::<(), aquifer::Error>(())
/// ```
pub struct Transaction {
    snapshot: Snapshot,
    watch: Option<Watch<Arc<Conflicts>>>,
    claimant: Claimant<Arc<Claims>>,
    options: TxOptions,
    /// Tables that it has written to, by their ids.
    tables: BTreeMap<u32, Arc<TableCore>>,
    charge: Charge,
    /// Merge operators that were registered when it began.
    registrations: u64,
    /// What it puts that expires.
    noted: Noted,
    /// It has been refused, and may be begun again: what it conflicted on, if that is a key.
    refused: Option<Option<(u32, Vec<u8>)>>,
    /// It is done, whatever comes of waiting for it.
    is_applied: bool,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("snapshot", &self.snapshot.lsn().0)
            .field("options", &self.options)
            .field("write_bytes", &self.writes().bytes())
            .finish_non_exhaustive()
    }
}

impl Deref for Transaction {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Database {
    /// Begins a transaction at snapshot isolation.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(TxOptions::default())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    ///
    /// ```
    /// # use aquifer::{Database, ErrorKind, TxOptions};
    /// # let db = Database::in_memory(4 << 20)?;
    /// # let on_call = db.create_table("on call", Default::default())?;
    /// on_call.put(b"ada", b"yes")?;
    /// on_call.put(b"bob", b"yes")?;
    /// // Each leaves if the other stays. Serializable, one of them is refused.
    /// let mut ada = db.begin_with(TxOptions::serializable())?;
    /// let mut bob = db.begin_with(TxOptions::serializable())?;
    /// assert_eq!(ada.get(&on_call, b"bob")?.as_deref(), Some(&b"yes"[..]));
    /// assert_eq!(bob.get(&on_call, b"ada")?.as_deref(), Some(&b"yes"[..]));
    /// ada.put(&on_call, b"ada", b"no")?;
    /// bob.put(&on_call, b"bob", b"no")?;
    /// ada.commit()?;
    /// assert_eq!(bob.commit().unwrap_err().kind(), ErrorKind::Conflict);
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn begin_with(&self, options: TxOptions) -> Result<Transaction> {
        let txns = &self.engine().txns;
        txns.counters.begun.fetch_add(1, Ordering::Relaxed);
        self.begin_claiming(options, Claimant::new(Arc::clone(&txns.claims)))
    }

    fn begin_claiming(&self, options: TxOptions, claimant: Claimant<Arc<Claims>>) -> Result<Transaction> {
        let engine = self.engine();
        let txns = &engine.txns;
        let (watch, inner, pin) = match options {
            TxOptions { isolation: Isolation::Serializable, read_only: false, .. } => {
                let pin = if engine.may_hold_large()? { Some(snapshot::pin(engine)?) } else { None };
                let reserved = || CommitLsn(engine.log.reserved_in_order().0);
                let begun = Watch::begin(Arc::clone(&txns.conflicts), &txns.snapshots, reserved);
                let (watch, inner) = begun.map_err(|error| engine.transaction_error(error, |_| None))?;
                if pin.is_none() && engine.may_hold_large()? {
                    return self.begin_claiming(options, claimant); // the first large value came just now
                }
                (Some(watch), inner, pin)
            }
            _ => {
                let (inner, pin) = snapshot::take(engine)?;
                (None, inner, pin)
            }
        };
        let notes_seen = watch.is_none() && !options.read_only;
        let registrations = txns.registrations.load(Ordering::Acquire); // MR1 of `merge::registry`
        let snapshot = Snapshot {
            pin,
            writes: Some(WriteSet::new(txns.write_bytes_max)),
            reads: watch.is_some().then(|| ReadLog::new(engine)),
            seen: notes_seen.then(OnceLock::new),
            ..Snapshot::of_source(self.handle(), Source::Versions(inner))
        };
        let (tables, charge) = (BTreeMap::new(), Charge::new(&txns.memory, "transactions"));
        Ok(Transaction {
            snapshot,
            watch,
            claimant,
            options,
            tables,
            charge,
            registrations,
            noted: Noted::default(),
            refused: None,
            is_applied: false,
        })
    }
}

impl Transaction {
    fn writes(&self) -> &WriteSet {
        self.snapshot.writes.as_ref().expect("a transaction has a write set")
    }

    fn writes_mut(&mut self) -> &mut WriteSet {
        self.snapshot.writes.as_mut().expect("a transaction has a write set")
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTooLarge`], [`Error::ValueTooLarge`]; [`Error::TransactionTooLarge`] beyond its share of the memory budget (an
    /// eighth, at most 64 MiB), [`Error::BudgetExhausted`] if others have taken that; `Usage` if it is read-only; a table that is
    /// dropped, closed or another database's. Nothing has changed then, and the transaction may go on.
    pub fn put<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
    ) -> Result<()> {
        self.put_stamped(table, key, value, table.core().stamp(table.engine()))
    }

    /// Sets the value of `key`, behind its stamp if it has one.
    pub(crate) fn put_stamped<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
        stamp: Option<Stamp>,
    ) -> Result<()> {
        scratch::with(&scratch::VALUE, |encoded| {
            begin_value(stamp, encoded);
            let encoding = value.encode(encoded);
            encoding.map_err(|error| Error::Encode { table: table.name().to_owned(), error })?;
            self.write(table, key, Some(encoded))
        })?;
        self.noted.add(table.core(), stamp);
        Ok(())
    }

    /// Removes `key`, if it is there.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<()> {
        self.write(table, key, None)
    }

    /// As [`put`](Self::put), and gives the old value.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put) and [`Snapshot::get`].
    pub fn replace<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: &V,
    ) -> Result<Option<V::Owned>> {
        let old = self.get(table, key)?;
        self.put(table, key, value)?;
        Ok(old)
    }

    /// As [`delete`](Self::delete), and gives the old value.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete) and [`Snapshot::get`].
    pub fn take<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<Option<V::Owned>> {
        let old = self.get(table, key)?;
        if old.is_some() {
            self.delete(table, key)?;
        }
        Ok(old)
    }

    /// Deletes all records that it sees in `range`, one by one: linear in their number, as the size of the transaction is. Who has a whole
    /// table to empty uses [`Table::range_delete`]. Returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put) and [`Snapshot::get`]; after an error some are deleted.
    pub fn range_delete<K: Key + ?Sized, V: Value + ?Sized>(
        &mut self,
        table: &Table<K, V>,
        range: impl KeyRange<K>,
    ) -> Result<u64> {
        let mut bounds = encoded(&range);
        let mut deleted = 0;
        loop {
            // Some keys at a time: while a scan is open nothing is written.
            let mut keys = Vec::new();
            let mut bytes = 0;
            let mut scan = self.snapshot.scan_encoded(table.core(), bounds.clone());
            while let Some((key, _)) = scan.next()? {
                bytes += key.len();
                keys.push(key.to_vec());
                if bytes > DELETED_AT_ONCE {
                    break;
                }
            }
            drop(scan);
            let Some(last) = keys.last().cloned() else { return Ok(deleted) };
            deleted += keys.len() as u64;
            keys.iter().try_for_each(|key| self.write_encoded(table.core(), key, None))?;
            bounds.0 = std::ops::Bound::Excluded(last);
        }
    }

    /// Locks `key` and reads it: nobody else commits a change of it before this transaction ends. If the transaction has read or written
    /// nothing yet, it sees the value as of now.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock) and [`Snapshot::get`].
    pub fn get_for_update<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<Option<V::Owned>> {
        self.lock(table, key)?;
        self.get(table, key)
    }

    /// Locks `key`, which need not exist: nobody else commits a change of it before this transaction ends. For keys that many change, who would
    /// refuse each other time and again. To be called first in a transaction: its snapshot is taken when it is called, or
    /// when the first key is locked.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`], [`Error::Deadlock`]; [`Error::Conflict`] if the key has changed since the transaction read or wrote something.
    pub fn lock<K: Key + ?Sized, V: Value + ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
    ) -> Result<()> {
        self.check_own(table.core())?;
        table.core().check_usable()?;
        let core = Arc::clone(table.core());
        let mut encoded = Vec::new();
        key.encode(&mut encoded);
        if core.is_long(&encoded) {
            encoded = long_key::split(core.key_len_max, &encoded).0;
        }
        let name = core.index.name(&encoded).into_owned();
        let claimed = self.claimant.claim(core.id, &name, self.options.lock_timeout);
        claimed.map_err(|error| self.refuse(error, &core))?;
        let engine = Arc::clone(self.engine());
        if self.writes().is_empty() && !self.snapshot.has_read.load(Ordering::Relaxed) {
            self.take_anew()?;
        } else {
            let snapshot = self.snapshot.source.versions().expect("a transaction has a place in the order");
            let unchanged = engine.txns.versions.check_unchanged(snapshot, core.id, &name);
            unchanged.map_err(|error| self.refuse(error, &core))?;
        }
        self.tables.entry(core.id).or_insert(core);
        Ok(())
    }

    /// Takes its snapshot anew, as nothing depends on it yet.
    fn take_anew(&mut self) -> Result<()> {
        let database = Database::of(Arc::clone(&self.snapshot.handle));
        let unused = Claimant::new(Arc::clone(&self.engine().txns.claims));
        let fresh = database.begin_claiming(self.options, unused)?;
        let Transaction { snapshot: Snapshot { source, pin, reads, now, .. }, watch, registrations, .. } =
            fresh;
        (self.snapshot.source, self.snapshot.pin, self.snapshot.reads) = (source, pin, reads);
        self.registrations = registrations;
        self.snapshot.now = now;
        self.watch = watch;
        Ok(())
    }

    /// Why it may be begun again, if it may.
    fn take_refusal(&mut self) -> Option<Option<(u32, Vec<u8>)>> {
        let too_old = self.snapshot.too_old.load(Ordering::Relaxed);
        self.refused.take().or(too_old.then_some(None)).filter(|_| !self.is_applied)
    }

    /// Ends it, and nothing has happened. So does dropping it.
    pub fn rollback(self) {}

    /// Commits it, and waits until it survives loss of power.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if somebody else has changed what it writes (or, serializable, what it has read): begin again, or let
    /// [`Database::transact`]. [`Error::SnapshotTooOld`]; [`Error::LockTimeout`] if another one has locked what it writes;
    /// [`Error::TransactionTooLarge`]; those of disk and budget. Nothing has happened then. [`Error::Pending`] and
    /// [`Error::Poisoned`] as for [`Table::put`].
    pub fn commit(self) -> Result<()> {
        self.commit_with(Durability::Power)
    }

    /// Commits it, and waits as `durability` says: for itself, and for all that it has read.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub fn commit_with(mut self, durability: Durability) -> Result<()> {
        self.commit_mut(durability)
    }

    /// Commits it without waiting: the ticket does.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub fn submit(mut self, durability: Durability) -> Result<CommitTicket> {
        let commit = self.apply()?;
        let engine = self.engine();
        engine.flusher.nudge();
        Ok(CommitTicket::new(engine, commit, durability))
    }

    fn commit_mut(&mut self, durability: Durability) -> Result<()> {
        let commit = self.apply()?;
        self.engine().wait_for(commit, durability)
    }

    fn apply(&mut self) -> Result<Commit> {
        let engine = Arc::clone(self.engine());
        if self.writes().is_empty() {
            // All that it has read is at or below its snapshot.
            let lsn = self.snapshot.lsn();
            return Ok(if engine.on_disk { Commit::Logged(lsn) } else { Commit::Nothing });
        }
        let applied = self.try_apply();
        self.noted.tell();
        self.is_applied = applied.is_ok();
        match &applied {
            Ok(_) => engine.txns.counters.committed.fetch_add(1, Ordering::Relaxed),
            Err(Error::Conflict { table, key }) => {
                let table = self.tables.values().find(|core| core.name == *table);
                self.refused = Some(table.map(|core| (core.id, core.index.name(key).into_owned())));
                engine.txns.counters.conflicts.fetch_add(1, Ordering::Relaxed)
            }
            Err(Error::SnapshotTooOld) => {
                self.refused = Some(None);
                engine.txns.counters.conflicts.fetch_add(1, Ordering::Relaxed)
            }
            Err(_) => 0,
        };
        applied
    }

    fn try_apply(&mut self) -> Result<Commit> {
        let engine = Arc::clone(self.engine());
        self.honour_claims()?;
        let mut batch = WriteBatch::new();
        batch.now = self.snapshot.now;
        let (mut last, mut kept) = (None, Vec::new());
        for (id, name, write) in self.snapshot.writes.iter().flat_map(WriteSet::iter) {
            let table = &self.tables[&id];
            let number = match last {
                Some((last, number)) if last == id => number,
                _ => batch.number_of(table),
            };
            last = Some((id, number));
            let key = table.index.key_of_name(name);
            if !write.needs_store() {
                let value = write.resolve(None, |value, _| value); // a whole value: see `View::writes`
                batch.push_record(number, key, value.as_deref());
                continue;
            }
            batch.push_operands(number, key, merge::operands_of(write));
            if self.snapshot.may_have_seen(table, name) {
                kept.push((number, key.to_vec())); // MG6 of `merge`
            }
        }
        // Who looked before a key was locked may have changed it after.
        for (id, name) in self.claimant.names() {
            if let Some(table) = self.tables.get(&id) {
                kept.push((batch.number_of(table), table.index.key_of_name(name).to_vec()));
            }
        }
        let Transaction { snapshot: Snapshot { source, reads, .. }, watch, .. } = self;
        let reads = match (watch, reads) {
            (Some(watch), Some(reads)) => Some((&*watch, reads.complete()?)),
            _ => None,
        };
        commit_records(
            &engine,
            &batch,
            &Terms { expected: &[], snapshot: source.versions(), kept: &kept, reads },
        )
    }

    /// Waits for those who have locked what it writes. Nothing is locked by the engine.
    fn honour_claims(&mut self) -> Result<()> {
        if !self.engine().txns.claims.any() {
            return Ok(());
        }
        let names: Vec<(u32, Vec<u8>)> =
            self.writes().iter().map(|(table, name, _)| (table, name.to_vec())).collect();
        for (table, name) in names {
            let honoured = self.claimant.honour(table, &name, self.options.lock_timeout);
            honoured.map_err(|error| {
                let core = Arc::clone(&self.tables[&table]);
                self.refuse(error, &core)
            })?;
        }
        Ok(())
    }

    /// Notes that it may be begun again.
    fn refuse(&mut self, error: aquifer_txn::Error, table: &TableCore) -> Error {
        use aquifer_txn::Error as E;
        match &error {
            E::Conflict { table, key } => self.refused = Some(Some((*table, key.clone()))),
            E::Deadlock { .. } | E::SnapshotTooOld => self.refused = Some(None),
            _ => {}
        }
        self.engine().transaction_error(error, |_| Some(table))
    }

    fn write<K: Key + ?Sized, V: ?Sized, O>(
        &mut self,
        table: &Table<K, V, O>,
        key: &K,
        value: Option<&[u8]>,
    ) -> Result<()> {
        scratch::with(&scratch::KEY, |encoded| {
            key.encode(encoded);
            self.write_encoded(table.core(), encoded, value)
        })
    }

    fn write_encoded(&mut self, table: &Arc<TableCore>, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.check_writable(table)?;
        table.check_lengths_large(key, value.map_or(0, <[u8]>::len) as u64)?;
        if !table.is_long(key) {
            return self.write_record(table, key, value);
        }
        // TN3.
        let (group_key, suffix) = long_key::split(table.key_len_max, key);
        let mut group = Vec::new();
        let is_there = self.view().find_whole(table, &group_key, &mut group)?;
        match long_key::with_member(table, &group_key, is_there.then_some(&group[..]), suffix, value)? {
            // A write all the same: else it would be lost to who changes the group meanwhile (TN2).
            long_key::Outcome::Same => self.write_record(table, &group_key, is_there.then_some(&group[..])),
            long_key::Outcome::Gone => self.write_record(table, &group_key, None),
            long_key::Outcome::Changed(bytes) => self.write_record(table, &group_key, Some(&bytes)),
            long_key::Outcome::TooLong(_) => unreachable!("it was an error"),
        }
    }

    fn check_writable(&self, table: &TableCore) -> Result<()> {
        if self.options.read_only {
            return Err(Error::usage("the transaction is read-only; begin another one to write"));
        }
        self.check_own(table)?;
        table.check_usable()
    }

    /// Writes a record of the index.
    fn write_record(&mut self, table: &Arc<TableCore>, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let engine = Arc::clone(&self.snapshot.handle.engine);
        let name = table.index.name(key);
        let writes = self.snapshot.writes.as_mut().expect("a transaction has a write set");
        let bytes = writes.bytes_with(&name, value);
        if bytes <= writes.bytes_max() {
            self.charge.cover(&engine, bytes)?; // before anything has changed
        }
        let written = match value {
            Some(value) => writes.put(table.id, &name, value),
            None => writes.delete(table.id, &name),
        };
        written.map_err(|error| engine.transaction_error(error, |_| Some(table)))?;
        self.tables.entry(table.id).or_insert_with(|| Arc::clone(table));
        Ok(())
    }
}

/// Bytes of keys that a range delete collects before it writes.
const DELETED_AT_ONCE: usize = 64 << 10;
