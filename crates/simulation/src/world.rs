//! Carries actions out on a database and on the model, and judges every answer.
//!
//! # Invariants
//!
//! - **WO1** What is read is exactly what the model says, unless an earlier error left a commit unknown. A scan gives each key
//!   once, in order, with a value that it had at some moment of the scan.
//! - **WO2** Errors need an excuse: a fault that has struck, a full disk, a disk that lies, a commit that is unknown.
//! - **WO3** After [`Poisoned`](ErrorKind::Poisoned) no commit succeeds in the same life (P9).
//! - **WO4** After a crash the state is one that the model allows, and verification finds nothing, unless the disk has lied.
//! - **WO6** A backup is the state when it was begun, whatever others did meanwhile.
//! - **WO7** A transaction reads what was there when it began, and its own writes. It commits unless another has committed to a key that it writes.
//! - **WO8** A snapshot of a checkpoint is the state when it was taken, as long as it is open; a disk that fails does not change it.
//! - **WO5** A disk that lies is found out, or does no harm: it never changes what is read.

mod backup;
mod ending;
mod kept;
mod keys;
mod ranges;
mod scan;
mod transactions;

use crate::action::{Action, CLIENTS, Change, Trouble, Wait};
use crate::model::{Commit, Model};
use aquifer::{AnyTable, CommitTicket, Database, Durability, Error, ErrorKind, TableOptions, WriteBatch};
use aquifer_sim::{Call, Fault, SimDisk};
use std::collections::BTreeMap;
use std::io::Write;

pub(crate) use keys::HASHED_TABLE;
use keys::{key, name, value_len};

/// What went on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Actions.
    pub actions: u64,
    /// Commits.
    pub commits: u64,
    /// Losses of power and deaths of the process.
    pub crashes: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Openings that were refused because the disk had lied.
    pub refused: u64,
}

/// A ticket, and what it is for.
struct Pending {
    ticket: CommitTicket,
    /// Commits so far when it was given.
    commits: usize,
    logged: bool,
}

/// A database, its disk and its model.
pub struct World {
    disk: SimDisk,
    /// Where backups go; nothing ever happens to it.
    backup: SimDisk,
    db: Option<Database>,
    kept: Vec<kept::Kept>,
    model: Model,
    tickets: Vec<Vec<Pending>>,
    /// Values that keys had since a scan began, while one is under way.
    touched: Option<Touched>,
    /// What others have done since a transaction began, while one is under way.
    since: Option<transactions::Since>,
    serial: u32,
    /// The disk lies.
    silent: bool,
    /// Power may be lost in this life.
    may_go_dark: bool,
    /// There is not always space.
    tight: bool,
    /// A commit is unknown: reads are not judged until the next life.
    uncertain: bool,
    /// Commits before the first that is unknown.
    known: Option<usize>,
    /// The database has failed.
    poisoned: bool,
    /// Nothing more can be learnt.
    over: bool,
    /// What happened.
    pub tally: Tally,
}

type Judged<T = ()> = Result<T, String>;
/// By table and key.
type Touched = BTreeMap<(String, Vec<u8>), Vec<Option<Vec<u8>>>>;

impl World {
    /// Nothing is there yet; the disk draws what it may choose from `seed`.
    pub fn new(seed: u64) -> World {
        World {
            disk: SimDisk::with_seed(seed),
            backup: SimDisk::new(),
            db: None,
            kept: Vec::new(),
            model: Model::default(),
            tickets: (0..CLIENTS).map(|_| Vec::new()).collect(),
            touched: None,
            since: None,
            serial: 0,
            silent: false,
            may_go_dark: false,
            tight: false,
            uncertain: false,
            known: None,
            poisoned: false,
            over: false,
            tally: Tally::default(),
        }
    }

    /// What the disk was asked last, for reports of failures.
    pub fn trace(&self) -> String {
        self.disk.trace().to_string()
    }

    /// Does one thing.
    ///
    /// # Errors
    ///
    /// What the database got wrong.
    pub fn act(&mut self, action: &Action) -> Judged {
        if self.over {
            return Ok(());
        }
        self.tally.actions += 1;
        match action {
            Action::Inject { trouble, nth } => self.inject(*trouble, u64::from(*nth)),
            Action::Space { kib } => {
                self.tight = true;
                self.disk.set_free(Some(u64::from(*kib) << 10));
            }
            Action::Room => self.disk.set_free(None),
            Action::Rot { seed } => {
                self.silent = true;
                let _ = self.disk.rot(*seed);
            }
            Action::End { end, seed, again } => return self.end(*end, *seed, again),
            other => {
                if let Some(db) = self.db.clone() {
                    return self.work(&db, other);
                }
            }
        }
        Ok(())
    }

    fn inject(&mut self, trouble: Trouble, nth: u64) {
        let fault = match trouble {
            Trouble::PowerLoss => Fault::power_loss(),
            Trouble::ErrorOnce => Fault::error(),
            Trouble::ErrorForGood => Fault::error().for_good(),
            Trouble::ReadError => Fault::error().on(Call::Read),
            Trouble::SyncError => Fault::error().on(Call::Sync),
            Trouble::Full => Fault::full().on(Call::Allocate).times(3),
            Trouble::LostWrite => Fault::lost_write(),
            Trouble::MisdirectedWrite => Fault::misdirected_write(),
            Trouble::MisdirectedRead => Fault::misdirected_read(),
            Trouble::StaleRead => Fault::stale_read(),
            Trouble::FlippedRead => Fault::flipped_read(),
        };
        self.silent |= trouble.is_silent();
        self.tight |= trouble == Trouble::Full;
        self.may_go_dark |= trouble == Trouble::PowerLoss;
        self.disk.inject(fault.nth(nth));
    }

    fn is_dark(&self) -> bool {
        self.may_go_dark && self.disk.has_struck()
    }

    /// WO2.
    fn excuse(&self, error: &Error, doing: &str) -> Judged {
        let struck = self.disk.has_struck();
        let excused = match error.kind() {
            ErrorKind::Poisoned => struck || self.poisoned || self.silent,
            ErrorKind::Io => struck || self.silent,
            ErrorKind::DiskFull | ErrorKind::Pending => struck || self.tight,
            ErrorKind::Corrupt | ErrorKind::Format => self.silent,
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Usage => self.uncertain,
            _ => false,
        };
        if excused { Ok(()) } else { Err(format!("{doing}: an error without a cause: {error}")) }
    }

    fn work(&mut self, db: &Database, action: &Action) -> Judged {
        match action {
            Action::Create { table, logged } => self.create(db, *table, *logged),
            Action::Drop { table } => self.drop_table(db, *table),
            Action::One { client, change, durability, wait } => {
                self.one(db, *client, change, *durability, *wait)
            }
            Action::Patch { table, key, at, durability } => self.patch(db, *table, *key, *at, *durability),
            Action::Append { table, key, len, durability } => {
                self.append(db, *table, *key, *len, *durability)
            }
            Action::Abandon { table, key, len } => self.abandon(db, *table, *key, *len),
            Action::Batch { client, changes, durability, wait } => {
                self.batch(db, *client, changes, *durability, *wait)
            }
            Action::Transact(transact) => self.transact(db, transact),
            Action::RangeDelete { table, first, count, durability } => {
                self.range_delete(db, *table, (*first, *count), *durability)
            }
            Action::BulkLoad { table, count, value_len, large_len } => {
                self.bulk_load(db, *table, *count, (*value_len, *large_len))
            }
            Action::Tickets { client } => self.wait_for_tickets(db, *client),
            Action::Get { table, key, count } => self.get(db, *table, *key, *count),
            Action::Scan { table, from, reverse, every, others } => {
                self.scan(db, *table, *from, *reverse, *every, others)
            }
            Action::Backup { others } => self.back_up(db, others),
            Action::Keep => self.keep_checkpoint(db),
            Action::ReadKept { which, goes } => self.read_kept(*which, *goes),
            Action::Checkpoint => self.checkpoint(db),
            Action::Sync => {
                let synced = db.sync();
                self.all_durable_if(synced.map(|()| true), "sync")
            }
            Action::Step { times } => {
                for _ in 0..*times {
                    match self.with_checkpoints(db, Database::step)? {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => {
                            self.failed(&error, "background work")?;
                            break;
                        }
                    }
                }
                Ok(())
            }
            Action::Verify => match db.verify(|_| {}) {
                Ok(report) if report.is_clean() || self.silent || self.disk.has_struck() => Ok(()),
                Ok(report) => Err(format!("verification: {}", report.faults[0])),
                Err(error) => self.failed(&error, "verification"),
            },
            Action::Inject { .. }
            | Action::Space { .. }
            | Action::Room
            | Action::Rot { .. }
            | Action::End { .. } => Ok(()),
        }
    }

    fn checkpoint(&mut self, db: &Database) -> Judged {
        let taken = self.with_checkpoints(db, Database::checkpoint)?;
        self.all_durable_if(taken.map(|()| true), "checkpoint")
    }

    /// Excuses an error, and notes it if the database has failed.
    fn failed(&mut self, error: &Error, doing: &str) -> Judged {
        self.excuse(error, doing)?;
        if error.kind() == ErrorKind::Poisoned {
            self.poisoned = true;
            self.uncertain = true;
        }
        Ok(())
    }

    /// Calls something that may take checkpoints (M2).
    fn with_checkpoints<R>(
        &mut self,
        db: &Database,
        call: impl FnOnce(&Database) -> aquifer::Result<R>,
    ) -> Judged<aquifer::Result<R>> {
        let before = db.stats().pager.checkpoints;
        let result = call(db);
        if db.stats().pager.checkpoints > before {
            self.model.checkpointed();
        } else if result.is_err() {
            self.model.maybe_checkpointed();
        }
        Ok(result)
    }

    fn all_durable_if(&mut self, result: aquifer::Result<bool>, doing: &str) -> Judged {
        match result {
            Ok(true) => self.model.is_durable(self.known()),
            Ok(false) => {}
            Err(error) => self.failed(&error, doing)?,
        }
        Ok(())
    }

    fn create(&mut self, db: &Database, table: u8, logged: bool) -> Judged {
        let name = name(table);
        if self.model.state().contains_key(&name) {
            return Ok(());
        }
        let made = if table == HASHED_TABLE {
            db.create_table(&name, TableOptions::hashed().logged(logged)).map(drop)
        } else {
            db.create_table(&name, TableOptions::default().logged(logged)).map(drop)
        };
        let instance = self.model.new_instance();
        self.settle(Commit::Create { name, instance, logged }, made, Some(Durability::Power), "create_table")
    }

    fn drop_table(&mut self, db: &Database, table: u8) -> Judged {
        let name = name(table);
        if !self.model.state().contains_key(&name) {
            return Ok(());
        }
        let dropped = db.drop_table(&name);
        self.settle(Commit::Drop { name }, dropped, Some(Durability::Power), "drop_table")
    }

    /// Notes what became of a commit that was waited for at `durability`, or not at all.
    fn settle(
        &mut self,
        commit: Commit,
        result: aquifer::Result<()>,
        waited: Option<Durability>,
        doing: &str,
    ) -> Judged {
        self.tally.commits += 1;
        match result {
            Ok(()) if self.poisoned => {
                Err(format!("{doing}: a commit succeeded after the database had failed"))
            }
            Ok(()) => {
                self.note(commit);
                match waited {
                    Some(Durability::Power) => self.model.is_durable(self.known()),
                    Some(Durability::Process) => self.model.is_written(self.known()),
                    Some(Durability::Eventual) | None => {}
                }
                Ok(())
            }
            Err(error) => {
                let was_poisoned = self.poisoned || self.is_dark() && self.uncertain;
                self.failed(&error, doing)?;
                let unknown = error.kind() == ErrorKind::Poisoned || self.is_dark();
                if unknown {
                    self.known.get_or_insert(self.model.commits());
                }
                if error.kind() == ErrorKind::Pending || (unknown && !was_poisoned) {
                    self.note(commit);
                }
                self.uncertain |= unknown;
                Ok(())
            }
        }
    }

    /// Commits that are known to have happened.
    fn known(&self) -> usize {
        self.known.unwrap_or(self.model.commits())
    }

    fn note(&mut self, commit: Commit) {
        if let Some(since) = &mut self.since {
            since.note(self.model.state(), &commit);
        }
        if let (Some(touched), Commit::Change(changes)) = (&mut self.touched, &commit) {
            for (table, key, value) in changes {
                touched.entry((table.clone(), key.clone())).or_default().push(value.clone());
            }
        }
        self.model.commit(commit);
    }

    /// A handle of a table that the model has.
    fn table(&mut self, db: &Database, number: u8) -> Judged<Option<(AnyTable, bool)>> {
        let name = name(number);
        let Some(logged) = self.model.state().get(&name).map(|table| table.logged) else { return Ok(None) };
        match db.any_table(&name) {
            Ok(table) => Ok(Some((table, logged))),
            Err(_) if self.uncertain => Ok(None),
            Err(error) => Err(format!("table {name}: {error}")),
        }
    }

    fn value(&mut self, len: u16) -> Vec<u8> {
        self.serial += 1;
        let serial = self.serial.to_le_bytes();
        // No two pages of a value are the same.
        (0..usize::from(len)).map(|at| serial[at % 4].wrapping_add((at / 1024) as u8)).collect()
    }

    fn one(
        &mut self,
        db: &Database,
        client: u8,
        change: &Change,
        durability: Durability,
        wait: Wait,
    ) -> Judged {
        let Some((table, logged)) = self.table(db, change.table)? else { return Ok(()) };
        let key = key(change.table, change.key);
        let value = change.value_len.map(|len| self.value(value_len(change.table, len)));
        let commit = Commit::Change(vec![(name(change.table), key.clone(), value.clone())]);
        let table = table.with_durability(durability);
        if wait == Wait::Now {
            let done = match &value {
                Some(value) => table.put(&key, value),
                None => table.delete(&key),
            };
            return self.settle(commit, done, logged.then_some(durability), "a change");
        }
        let ticket = match &value {
            Some(value) => table.put_with(&key, value, durability),
            None => table.delete_with(&key, durability),
        };
        self.keep(client, commit, ticket, logged)
    }

    /// Notes a commit that somebody will wait for later.
    fn keep(
        &mut self,
        client: u8,
        commit: Commit,
        ticket: aquifer::Result<CommitTicket>,
        logged: bool,
    ) -> Judged {
        let (ticket, result) = match ticket {
            Ok(ticket) => (Some(ticket), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.settle(commit, result, None, "a change with a ticket")?;
        let commits = self.known();
        self.tickets[usize::from(client % CLIENTS)].extend(ticket.map(|ticket| Pending {
            ticket,
            commits,
            logged,
        }));
        Ok(())
    }

    fn patch(
        &mut self,
        db: &Database,
        table: u8,
        key_number: u32,
        at: u16,
        durability: Durability,
    ) -> Judged {
        let Some((handle, logged)) = self.table(db, table)? else { return Ok(()) };
        let key = key(table, key_number);
        let Some(mut value) = self.model.state()[&name(table)].rows.get(&key).cloned() else { return Ok(()) };
        let Some(last) = value.len().checked_sub(8) else { return Ok(()) };
        let at = usize::from(at) % (last + 1);
        let bytes = self.value(8);
        value[at..at + 8].copy_from_slice(&bytes);
        let commit = Commit::Change(vec![(name(table), key.clone(), Some(value.clone()))]);
        let in_place = bytes[0].is_multiple_of(2);
        let handle = handle.with_durability(durability);
        let done = if in_place { handle.patch(&key, at as u64, &bytes) } else { handle.put(&key, &value) };
        self.settle(commit, done, logged.then_some(durability), "a change in place")
    }

    fn append(
        &mut self,
        db: &Database,
        table: u8,
        key_number: u32,
        len: u16,
        durability: Durability,
    ) -> Judged {
        let Some((handle, logged)) = self.table(db, table)? else { return Ok(()) };
        let (key, bytes) = (key(table, key_number), self.value(len));
        let mut value = self.model.state()[&name(table)].rows.get(&key).cloned().unwrap_or_default();
        if value.len() > APPENDED_BYTES_MAX {
            return Ok(());
        }
        value.extend_from_slice(&bytes);
        let commit = Commit::Change(vec![(name(table), key.clone(), Some(value))]);
        let done = handle.with_durability(durability).append(&key, &bytes);
        self.settle(commit, done, logged.then_some(durability), "an append")
    }

    fn abandon(&mut self, db: &Database, table: u8, key_number: u32, len: u16) -> Judged {
        let Some((handle, _)) = self.table(db, table)? else { return Ok(()) };
        let (key, bytes) = (key(table, key_number), self.value(len));
        let written = handle.write_large(&key).and_then(|mut writer| {
            let written = writer.write_all(&bytes);
            written.map_err(|error| error.downcast().expect("it is the database's"))
        });
        match written {
            Ok(()) => Ok(()),
            Err(error) => self.failed(&error, "a stream"),
        }
    }

    fn batch(
        &mut self,
        db: &Database,
        client: u8,
        changes: &[Change],
        durability: Durability,
        wait: Wait,
    ) -> Judged {
        let mut batch = WriteBatch::new();
        let mut noted = Vec::new();
        let mut any_logged = false;
        for change in changes {
            let Some((table, logged)) = self.table(db, change.table)? else { continue };
            any_logged |= logged;
            let key = key(change.table, change.key);
            let value = change.value_len.map(|len| self.value(value_len(change.table, len)));
            match &value {
                Some(value) => batch.put(&table, &key, value),
                None => batch.delete(&table, &key),
            }
            noted.push((name(change.table), key, value));
        }
        if noted.is_empty() {
            return Ok(());
        }
        // Long keys bring their whole groups, which may be too much at once.
        let may_be_too_large = noted.iter().any(|(_, key, _)| key.len() >= LONG_KEY_BYTES_MIN);
        let is_refused = |error: &Error| may_be_too_large && error.kind() == ErrorKind::TransactionTooLarge;
        let commit = Commit::Change(noted);
        if wait == Wait::Now {
            let done = db.write(&mut batch, durability);
            if done.as_ref().is_err_and(is_refused) {
                return Ok(());
            }
            return self.settle(commit, done, any_logged.then_some(durability), "a batch");
        }
        let ticket = db.submit(&mut batch, durability);
        if ticket.as_ref().is_err_and(is_refused) {
            return Ok(());
        }
        self.keep(client, commit, ticket, any_logged)
    }

    fn wait_for_tickets(&mut self, db: &Database, client: u8) -> Judged {
        for pending in std::mem::take(&mut self.tickets[usize::from(client % CLIENTS)]) {
            let Pending { ticket, commits, logged } = pending;
            match self.with_checkpoints(db, |_| ticket.wait())? {
                Ok(()) if logged => match ticket.durability() {
                    Durability::Power => self.model.is_durable(commits),
                    Durability::Process => self.model.is_written(commits),
                    Durability::Eventual => {}
                },
                Ok(()) => {
                    let promised = ticket.durability() > Durability::Eventual && ticket.lsn().is_none();
                    if promised && !self.model.is_checkpointed(commits) && !self.uncertain {
                        return Err("a commit without a log was acknowledged without a checkpoint".into());
                    }
                }
                Err(error) => self.failed(&error, "a ticket")?,
            }
        }
        Ok(())
    }

    fn get(&mut self, db: &Database, table: u8, first: u32, count: u8) -> Judged {
        let Some((handle, _)) = self.table(db, table)? else { return Ok(()) };
        let keys: Vec<Vec<u8>> = (first..first + u32::from(count)).map(|number| key(table, number)).collect();
        let found = match keys.len() {
            1 => handle.get(&keys[0]).map(|value| vec![value]),
            _ => handle.multi_get(keys.iter().map(Vec::as_slice)),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.failed(&error, "a read"),
        };
        let rows = &self.model.state()[&name(table)].rows;
        for (key, value) in keys.iter().zip(found) {
            if rows.get(key) != value.as_ref() && !self.uncertain {
                return Err(format!(
                    "{} in {}: read {:?}, expected {:?}",
                    String::from_utf8_lossy(key),
                    name(table),
                    brief(value.as_deref()),
                    brief(rows.get(key).map(Vec::as_slice))
                ));
            }
        }
        Ok(())
    }
}

/// A value is not appended to beyond this.
const APPENDED_BYTES_MAX: usize = 120_000;
/// Keys from here on are kept in groups, with pages of 4 KiB.
const LONG_KEY_BYTES_MIN: usize = 512;

fn brief(value: Option<&[u8]>) -> String {
    match value {
        None => "nothing".into(),
        Some(value) => format!("{} bytes beginning with {:?}", value.len(), &value[..value.len().min(4)]),
    }
}
