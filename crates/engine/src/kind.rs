//! What a handle knows of its table's kind at compile time.
//!
//! A [`Table`](crate::Table) has a kind as its last type parameter, so that what a hashed table cannot do does not compile.

use crate::index::TableKind;

mod sealed {
    /// Kinds are the engine's to make.
    pub trait Sealed {}
}

/// What a handle knows of its table's kind.
pub trait Kind: sealed::Sealed {
    /// The kind of every table that such a handle is for; nothing if it may be any.
    const KIND: Option<TableKind>;
}

/// A kind that a table can be made with.
pub trait OneKind: Kind {
    /// The kind.
    const ONE: TableKind;
}

/// Records in the order of their keys: the kind of a table unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sorted {}

/// Records by the hashes of their keys: see [`HashTable`](crate::HashTable).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashed {}

/// Whatever the table is: see [`AnyTable`](crate::AnyTable).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {}

impl sealed::Sealed for Sorted {}
impl sealed::Sealed for Hashed {}
impl sealed::Sealed for Unknown {}

impl Kind for Sorted {
    const KIND: Option<TableKind> = Some(TableKind::Sorted);
}

impl Kind for Hashed {
    const KIND: Option<TableKind> = Some(TableKind::Hashed);
}

impl Kind for Unknown {
    const KIND: Option<TableKind> = None;
}

impl OneKind for Sorted {
    const ONE: TableKind = TableKind::Sorted;
}

impl OneKind for Hashed {
    const ONE: TableKind = TableKind::Hashed;
}
