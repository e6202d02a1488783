//! Single commits that depend on the value that is there: it is read, and put if it is still that (LV4 of `large`).

use crate::commit::{Change, commit_one_if};
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::expiry::stamped;
use crate::large::{self, Logging, write_whole};
use crate::long_key;
use crate::table::Table;
use crate::table_core::{Found, TableCore};
use aquifer_buffer::Pin;
use aquifer_codec::{Key, Value};
use aquifer_sync::Arc;

impl<K: Key + ?Sized, V: Value + ?Sized, O> Table<K, V, O> {
    /// Gives `key` the value `new` (or removes it, if there is none) if it has `expected` now, or nothing, as the case may be; whether it had. With
    /// this handle's durability. Values are compared as encoded.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    ///
    /// ```
    /// # let db = aquifer::Database::in_memory(4 << 20)?;
    /// # let locks = db.create_table("locks", Default::default())?;
    /// assert!(locks.compare_and_swap(b"printer", None, Some(b"ada"))?);
    /// assert!(!locks.compare_and_swap(b"printer", None, Some(b"bob"))?);
    /// assert!(locks.compare_and_swap(b"printer", Some(b"ada"), None)?);
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn compare_and_swap(&self, key: &K, expected: Option<&V>, new: Option<&V>) -> Result<bool> {
        let encode = |value: &V| {
            let mut bytes = Vec::new();
            let encoded = value.encode(&mut bytes);
            encoded.map_err(|error| Error::Encode { table: self.name().to_owned(), error })?;
            Ok::<_, Error>(bytes)
        };
        let (expected, new) = (expected.map(encode).transpose()?, new.map(encode).transpose()?);
        let mut encoded = Vec::new();
        key.encode(&mut encoded);
        let swapped =
            compare_and_swap(self.engine(), self.core(), &encoded, expected.as_deref(), new.as_deref())?;
        swapped.map_or(Ok(false), |commit| self.engine().wait_for(commit, self.durability()).map(|()| true))
    }
}

/// Gives a key another value if it has the expected one, or none. Where the commit stands, if it had.
fn compare_and_swap(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<Option<Commit>> {
    let mut stamp = None;
    let swapped = exchange(engine, table, key, |stored| {
        let now = table.now(engine);
        let value = match stored {
            Some(stored) if table.is_there(now, stored)? => Some(table.users_part(stored)?),
            _ => None, // EX2 of `expiry`
        };
        stamp = table.stamp_at(now).filter(|_| new.is_some());
        Ok((value == expected).then(|| new.map(|new| stamped(stamp, new.to_vec()))))
    })?;
    if swapped.is_some() {
        table.note(stamp);
    }
    Ok(swapped)
}

/// Gives a key what `change` makes of its stored value, unless that is nothing. Repeated until nobody else has changed it meanwhile.
///
/// # Errors
///
/// That of `change`; as [`commit_one_if`], but for `ValueChanged`.
pub(crate) fn exchange(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    mut change: impl FnMut(Option<&[u8]>) -> Result<Option<Option<Vec<u8>>>>,
) -> Result<Option<Commit>> {
    loop {
        table.check_usable()?;
        table.check_key(key)?;
        // Pinned until it is changed: a descriptor that is found again is of the same value (LV4).
        let _pin = Pin::everything(&table.pager);
        let found = long_key::find(engine, table, key)?;
        let Some(new) = change(whole(engine, table, found.as_ref())?.as_deref())? else { return Ok(None) };
        match put(engine, table, key, new.as_deref(), &found) {
            Err(Error::ValueChanged { .. }) => {}
            committed => return committed.map(Some),
        }
    }
}

/// All of what was found, which cannot change meanwhile, or is pinned.
pub(crate) fn whole(engine: &Engine, table: &TableCore, found: Option<&Found>) -> Result<Option<Vec<u8>>> {
    let Some(found) = found else { return Ok(None) };
    let mut value = Vec::new();
    match found.is_large() {
        true => large::copy_whole(engine, table, Pin::everything(&table.pager), &found.bytes, &mut value)?,
        false => value.clone_from(&found.bytes),
    }
    Ok(Some(value))
}

fn put(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    new: Option<&[u8]>,
    found: &Option<Found>,
) -> Result<Commit> {
    let written;
    let change = match new {
        None => Change::Delete,
        Some(value) if value.len() > table.value_len_max && !table.is_long(key) => {
            table.check_lengths_large(key, value.len() as u64)?;
            written = write_whole(engine, value, Logging::of(table))?;
            Change::PutLarge(&written)
        }
        Some(value) => Change::Put(value),
    };
    Ok(commit_one_if(engine, table, key, change, Some(found), None)?.0)
}
