//! Typed tables in one line.

use crate::catalog::Description;
use crate::checkpoint_snapshot::CheckpointSnapshot;
use crate::database::{Database, TableOptions};
use crate::error::{Error, Result};
use crate::kind::{Hashed, OneKind, Sorted};
use crate::merge::MergeOperator;
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use aquifer_sync::Arc;
use std::fmt;
use std::marker::PhantomData;

/// The name, types and kind of a table. The catalog keeps types and kind and refuses others.
///
/// ```
/// use aquifer::{Database, TableDef};
///
/// const AGES: TableDef<str, u32> = TableDef::new("ages");
///
/// let db = Database::in_memory(4 << 20)?;
/// let ages = AGES.open_or_create(&db)?;
/// ages.put("ada", &36)?;
/// assert_eq!(ages.get("ada")?, Some(36));
/// # Ok::<(), aquifer::Error>(())
/// ```
pub struct TableDef<K: ?Sized, V: ?Sized, O = Sorted> {
    name: &'static str,
    merge: Option<fn() -> MergeOperator<V>>,
    types: PhantomData<fn(&K, &V) -> O>,
}

/// As [`TableDef`], of a hashed table.
///
/// ```
/// use aquifer::{Database, HashTableDef};
///
/// const SESSIONS: HashTableDef<str, u64> = HashTableDef::new("sessions");
///
/// let db = Database::in_memory(4 << 20)?;
/// let sessions = SESSIONS.open_or_create(&db)?;
/// sessions.put("7f3a", &36)?;
/// assert_eq!(sessions.get("7f3a")?, Some(36));
/// # Ok::<(), aquifer::Error>(())
/// ```
pub type HashTableDef<K, V> = TableDef<K, V, Hashed>;

impl<K: ?Sized, V: ?Sized, O> fmt::Debug for TableDef<K, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableDef").field("name", &self.name).finish()
    }
}

impl<K: ?Sized, V: ?Sized, O> TableDef<K, V, O> {
    /// A table of this name.
    pub const fn new(name: &'static str) -> Self {
        TableDef { name, merge: None, types: PhantomData }
    }

    /// The table merges by the operator that this function makes: it is registered whenever the table is opened or created
    /// ([`Table::with_merge`]).
    ///
    /// ```
    /// use aquifer::{Database, MergeOperator, TableDef};
    ///
    /// const HIGH_SCORES: TableDef<str, u32> = TableDef::new("high scores").merging(MergeOperator::max);
    ///
    /// let db = Database::in_memory(4 << 20)?;
    /// let scores = HIGH_SCORES.open_or_create(&db)?;
    /// scores.merge("ada", &70)?;
    /// scores.merge("ada", &50)?;
    /// assert_eq!(scores.get("ada")?, Some(70));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    #[must_use]
    pub const fn merging(self, operator: fn() -> MergeOperator<V>) -> Self {
        TableDef { name: self.name, merge: Some(operator), types: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, O: OneKind> TableDef<K, V, O> {
    /// Makes the table.
    ///
    /// # Errors
    ///
    /// As [`Database::create_table`].
    pub fn create(&self, db: &Database, options: TableOptions<O>) -> Result<Table<K, V, O>> {
        let description = Description {
            name: self.name.into(),
            kind: db.new_kind(O::ONE),
            logged: options.logged,
            key_type: K::type_name(),
            value_type: V::type_name(),
            lifetime: options.lifetime,
        };
        self.handle(db, db.create_described(description)?)
    }

    /// Opens the table.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`]; [`Error::TypeMismatch`] if it was made with other types, or is of the other kind; `Usage` if it merges by
    /// another operator already.
    pub fn open(&self, db: &Database) -> Result<Table<K, V, O>> {
        let table = db.table_core(self.name)?;
        self.check(&table)?;
        self.handle(db, table)
    }

    fn handle(&self, db: &Database, table: Arc<TableCore>) -> Result<Table<K, V, O>> {
        let table = Table::new(db.handle(), table)?;
        match self.merge {
            Some(operator) => table.with_merge(operator()),
            None => Ok(table),
        }
    }

    /// Opens the table as it is in a checkpoint, to be read through that snapshot alone.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_in(&self, snapshot: &CheckpointSnapshot) -> Result<Table<K, V, O>> {
        let table = snapshot.table_core(self.name)?;
        self.check(&table)?;
        Table::new(&snapshot.handle, table)
    }

    /// Opens the table, and makes it, logged, if it is not there.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(&self, db: &Database) -> Result<Table<K, V, O>> {
        loop {
            match self.open(db) {
                Err(Error::TableNotFound { .. }) => {}
                other => return other,
            }
            match self.create(db, TableOptions::of_kind()) {
                Err(Error::TableExists { .. }) => {} // another thread was faster
                other => return other,
            }
        }
    }

    fn check(&self, table: &Arc<TableCore>) -> Result<()> {
        let (key, value) = (K::type_name(), V::type_name());
        if table.key_type == key && table.value_type == value {
            return Ok(());
        }
        Err(Error::TypeMismatch {
            table: self.name.into(),
            stored: format!("keys {} and values {}", table.key_type, table.value_type),
            asked: format!("keys {key} and values {value}"),
        })
    }
}

impl<K: ?Sized, V: ?Sized, O> Clone for TableDef<K, V, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V: ?Sized, O> Copy for TableDef<K, V, O> {}
