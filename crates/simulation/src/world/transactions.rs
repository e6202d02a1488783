//! Transactions, during which others act (WO7).

use super::{Judged, LONG_KEY_BYTES_MIN, World, key, name, value_len};
use crate::action::Transact;
use crate::model::{Commit, State};
use aquifer::{
    AnyTable, Database, Error, ErrorKind, Isolation, MergeOperator, Snapshot, Transaction, TxOptions,
};
use std::collections::BTreeMap;

/// Bytes that keys of one group have in common.
const GROUP_PREFIX_BYTES: usize = LONG_KEY_BYTES_MIN - 1;

/// Table and key.
type Place = (String, Vec<u8>);
/// What a transaction has written.
type Own = BTreeMap<Place, Option<Vec<u8>>>;

/// What is known of a transaction that is about to commit.
struct Begun {
    /// The state that it sees.
    seen: State,
    since: Since,
    tables: BTreeMap<u8, (AnyTable, bool)>,
    was_uncertain: bool,
}

/// What others have done since a transaction began, by table and key or group.
#[derive(Debug, Default)]
pub(super) struct Since {
    /// A change: whether there certainly was one.
    changed: BTreeMap<Place, bool>,
    /// Tables that are others than they were.
    replaced: bool,
}

impl Since {
    /// Others commit. `before` is the state before it.
    pub(super) fn note(&mut self, before: &State, commit: &Commit) {
        let Commit::Change(changes) = commit else {
            self.replaced |= matches!(commit, Commit::Drop { .. });
            return;
        };
        // Of several changes of a key the last counts.
        let last: BTreeMap<_, _> = changes.iter().map(|(table, key, value)| ((table, key), value)).collect();
        for ((table, key), value) in last {
            let was_there = before.get(table).is_some_and(|table| table.rows.contains_key(key));
            // A member may leave its group as it was.
            let certain = (value.is_some() || was_there) && key.len() < LONG_KEY_BYTES_MIN;
            *self.changed.entry(place(table, key)).or_default() |= certain;
        }
    }
}

/// What is one record of the index.
fn place(table: &str, key: &[u8]) -> Place {
    let key = match key.len() < LONG_KEY_BYTES_MIN {
        true => key.to_vec(),
        false => [&key[..GROUP_PREFIX_BYTES], &[0]].concat(),
    };
    (table.to_owned(), key)
}

impl World {
    /// WO7.
    pub(super) fn transact(&mut self, db: &Database, transact: &Transact) -> Judged {
        let Transact { serializable, changes, others, rolls_back, .. } = transact;
        let isolation = if *serializable { Isolation::Serializable } else { Isolation::Snapshot };
        let mut tx = match db.begin_with(TxOptions::new().isolation(isolation)) {
            Ok(tx) => tx,
            Err(error) => return self.failed(&error, "a transaction's beginning"),
        };
        let seen = self.model.state().clone();
        let was_uncertain = self.uncertain;
        self.since = Some(Since::default());
        let mut own = Own::new();
        let mut tables: BTreeMap<u8, (AnyTable, bool)> = BTreeMap::new();
        let mut refused = None;
        let (half, mut others) = (changes.len() / 2, others.iter());
        let mut result = Ok(());
        for (number, change) in changes.iter().enumerate() {
            if number == half {
                result = others.by_ref().try_for_each(|other| self.work(db, other));
            }
            if result.is_err() || refused.is_some() {
                break;
            }
            let Some((table, logged)) = self.table_of_transaction(db, &seen, change.table)? else { continue };
            let name = name(change.table);
            let key = key(change.table, change.key);
            let mut value = change.value_len.map(|len| self.value(value_len(change.table, len)));
            let savepoint = tx.savepoint();
            let done = match &mut value {
                Some(value) if number % 5 == 2 && !was_uncertain => {
                    let old = seen[&name].rows.get(&key).map(|old| &old[..]);
                    let old = own.get(&(name.clone(), key.clone())).map_or(old, Option::as_deref);
                    merge(&mut tx, table.clone(), &key, value, old)
                }
                Some(value) => tx.put(&table, &key, value),
                None => tx.delete(&table, &key),
            };
            if done.is_ok() && number % 7 == 3 {
                tx.rollback_to(savepoint);
            } else if done.is_ok() {
                own.insert((name, key), value);
            }
            tables.insert(change.table, (table, logged));
            refused = done.err();
        }
        if result.is_ok() && refused.is_none() {
            let judged = if was_uncertain { Ok(Ok(())) } else { judge_reads(&tx, &seen, &own, &tables) };
            match judged {
                Ok(read) => refused = read.err(),
                Err(what) => result = Err(what),
            }
        }
        let since = self.since.take().unwrap_or_default();
        result?;
        if let Some(error) = refused {
            return self.refused(&error, &since, "a transaction's reads and writes");
        }
        if *rolls_back || own.is_empty() {
            tx.rollback();
            return Ok(());
        }
        self.judge_commit(tx, transact, own, &Begun { seen, since, tables, was_uncertain })
    }

    /// Commits, and judges what becomes of it.
    fn judge_commit(&mut self, tx: Transaction, transact: &Transact, own: Own, begun: &Begun) -> Judged {
        let Transact { serializable, durability, .. } = transact;
        let Begun { seen, since, tables, was_uncertain } = begun;
        let places = || own.keys().map(|(table, key)| place(table, key));
        let may_conflict = *serializable || places().any(|place| since.changed.contains_key(&place));
        let must_conflict = places().any(|place| since.changed.get(&place) == Some(&true));
        // Deletes of what is not there may come to nothing before they come to a commit.
        let has_effect = own.iter().any(|((table, key), value)| {
            value.is_some() || seen.get(table).is_some_and(|table| table.rows.contains_key(key))
        });
        // What it has taken back it has not written.
        let is_written = |number: &u8| own.keys().any(|(table, _)| *table == name(*number));
        let any_logged = tables.iter().any(|(number, (_, logged))| *logged && is_written(number));
        let commit =
            Commit::Change(own.into_iter().map(|((table, key), value)| (table, key, value)).collect());
        let committed = tx.commit_with(*durability);
        match &committed {
            Ok(()) if must_conflict && !self.uncertain && !was_uncertain => {
                Err("a transaction overwrote what another had committed since it began".into())
            }
            Ok(()) if !has_effect => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if may_conflict || self.uncertain {
                    Ok(())
                } else {
                    Err(format!("without a conflict: {error}"))
                }
            }
            Err(error) if is_refusal(error, since) => Ok(()),
            _ => self.settle(commit, committed, any_logged.then_some(*durability), "a transaction"),
        }
    }

    fn refused(&mut self, error: &Error, since: &Since, doing: &str) -> Judged {
        if is_refusal(error, since) { Ok(()) } else { self.failed(error, doing) }
    }

    /// A table that was there when the transaction began, and is still.
    fn table_of_transaction(
        &mut self,
        db: &Database,
        seen: &State,
        number: u8,
    ) -> Judged<Option<(AnyTable, bool)>> {
        let now = self.model.state().get(&name(number)).map(|table| table.instance);
        let then = seen.get(&name(number)).map(|table| table.instance);
        if now.is_none() || now != then { Ok(None) } else { self.table(db, number) }
    }
}

/// Merges `value` as a set, which becomes the union with what was there. All that is written is read before the commit, so it conflicts as a put does.
fn merge(
    tx: &mut Transaction,
    table: AnyTable,
    key: &[u8],
    value: &mut Vec<u8>,
    old: Option<&[u8]>,
) -> Result<(), Error> {
    let done = tx.merge(&table.with_merge(MergeOperator::union())?, key, value);
    let old = old.unwrap_or_default();
    value.resize(value.len().max(old.len()), 0);
    value.iter_mut().zip(old).for_each(|(byte, old)| *byte |= old);
    done
}

/// A memory of two mebibytes gives old snapshots up, and takes no long transactions.
fn is_refusal(error: &Error, since: &Since) -> bool {
    match error.kind() {
        ErrorKind::SnapshotTooOld | ErrorKind::TransactionTooLarge | ErrorKind::BudgetExhausted => true,
        ErrorKind::NotFound => since.replaced,
        _ => false,
    }
}

/// What a transaction reads is what was there when it began, with what it has written.
fn judge_reads(
    tx: &Snapshot,
    seen: &State,
    own: &Own,
    tables: &BTreeMap<u8, (AnyTable, bool)>,
) -> Judged<Result<(), Error>> {
    for (table, _) in tables.values() {
        let mut expected = seen[table.name()].rows.clone();
        for ((_, key), value) in own.iter().filter(|((of, _), _)| of == table.name()) {
            match value {
                Some(value) => expected.insert(key.clone(), value.clone()),
                None => expected.remove(key),
            };
            match tx.get(table, key) {
                Ok(found) if found.as_ref() == expected.get(key) => {}
                Ok(_) => {
                    return Err(format!("a transaction does not read its own write in {}", table.name()));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        let mut found = BTreeMap::new();
        let mut records = tx.records(table);
        loop {
            match records.next() {
                Ok(Some((key, value))) => {
                    if found.insert(key.to_vec(), value.to_vec()).is_some() {
                        return Err(format!("a transaction reads a key of {} twice", table.name()));
                    }
                }
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        if found != expected {
            let differs = |(key, value): &(&Vec<u8>, &Vec<u8>)| expected.get(*key) != Some(*value);
            let wrong = found.iter().find(differs).map(|(key, _)| key);
            let missing = expected.keys().find(|key| !found.contains_key(*key));
            return Err(format!(
                "a transaction does not read {} as it was when it began: wrong {:?}, missing {:?}",
                table.name(),
                wrong.map(|key| String::from_utf8_lossy(key)),
                missing.map(|key| String::from_utf8_lossy(key)),
            ));
        }
    }
    Ok(Ok(()))
}
