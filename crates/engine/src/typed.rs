//! Typed tables: a name and two types, defined once.

use crate::database::{Database, TableOptions};
use crate::error::{Error, Result};
use crate::table::Table;
use crate::table_core::TableCore;
use aquifer_codec::{Key, Value};
use aquifer_sync::Arc;
use std::fmt;
use std::marker::PhantomData;

/// The definition of a table: its name, and the types of its keys and values.
///
/// The names of the types' encodings are kept in the catalog and compared whenever the table is opened.
///
/// ```
/// use aquifer::{Database, TableDef};
///
/// const USERS: TableDef<str, u64> = TableDef::new("users");
/// const EDGES: TableDef<(u32, u32), ()> = TableDef::new("edges");
///
/// let db = Database::in_memory(4 << 20)?;
/// let users = USERS.open_or_create(&db)?;
/// let edges = EDGES.open_or_create(&db)?;
///
/// users.put("ada", &36)?;
/// edges.put(&(1, 2), &())?;
/// edges.put(&(1, 3), &())?;
/// assert_eq!(edges.range((1, 0)..(2, 0)).count(), 2);
///
/// const WRONG: TableDef<u64, u64> = TableDef::new("users");
/// assert!(WRONG.open(&db).is_err()); // it holds str and u64
/// # Ok::<(), aquifer::Error>(())
/// ```
pub struct TableDef<K: ?Sized, V: ?Sized> {
    name: &'static str,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized, V: ?Sized> TableDef<K, V> {
    /// A table of this name with keys `K` and values `V`.
    pub const fn new(name: &'static str) -> Self {
        TableDef { name, types: PhantomData }
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> TableDef<K, V> {
    /// Makes the table.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], and those of [`Database::create_table`].
    pub fn create(&self, db: &Database, options: TableOptions) -> Result<Table<K, V>> {
        let core = db.create_core(self.name, options, K::type_name(), V::type_name())?;
        Ok(Table::new(core, Arc::clone(&db.handle)))
    }

    /// Opens the table.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`]; [`Error::TypeMismatch`] if it was made with other types.
    pub fn open(&self, db: &Database) -> Result<Table<K, V>> {
        let core = db.core(self.name)?;
        self.check_types(&core)?;
        Ok(Table::new(core, Arc::clone(&db.handle)))
    }

    /// Opens the table, or makes it with default options if there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(&self, db: &Database) -> Result<Table<K, V>> {
        match self.open(db) {
            Err(Error::TableNotFound { .. }) => match self.create(db, TableOptions::default()) {
                Err(Error::TableExists { .. }) => self.open(db), // somebody else was faster
                made => made,
            },
            opened => opened,
        }
    }

    fn check_types(&self, core: &TableCore) -> Result<()> {
        let (key_type, value_type) = (K::type_name(), V::type_name());
        if core.key_type == key_type && core.value_type == value_type {
            return Ok(());
        }
        Err(Error::TypeMismatch {
            table: self.name.into(),
            stored: format!("keys {} and values {}", core.key_type, core.value_type),
            asked: format!("keys {key_type} and values {value_type}"),
        })
    }
}

impl<K: ?Sized, V: ?Sized> Clone for TableDef<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V: ?Sized> Copy for TableDef<K, V> {}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TableDef<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableDef").field("name", &self.name).finish()
    }
}
