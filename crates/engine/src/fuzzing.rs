//! Entry points for the fuzz targets: readers of bytes that no user can call by themselves. No logic here, and no promise
//! that they stay.

use crate::catalog::{Catalog, Description, row};
use crate::error::Result;
use crate::expiry::Lifetime;
use crate::index::IndexKind;
use crate::long_key::{self, Group};
use crate::record::{CommitWriter, Op, Patch, Record};
use aquifer_buffer::{PageId, Pager};
use aquifer_sync::Arc;

/// What a log record says of one key.
#[derive(Debug)]
pub enum Change<'e> {
    /// It gets this value.
    Put(&'e [u8]),
    /// Parts of its value change.
    Patch(Parts<'e>),
    /// It gets a large value, of this descriptor and manifest.
    Attach(&'e [u8], &'e [u8]),
    /// It goes.
    Delete,
    /// A table is made; the key is its name.
    Create(&'e [u8]),
    /// A table goes.
    Drop,
    /// The keys from this one on go, and below the other if there is one.
    RangeDelete(Option<&'e [u8]>),
    /// A tree of loaded records becomes the table's: its root page.
    Adopt(u32),
}

/// The changed parts of a value.
#[derive(Debug)]
pub struct Parts<'e>(Patch<'e>);

impl<'e> Parts<'e> {
    /// Where each begins, and its bytes.
    pub fn ranges(&self) -> impl Iterator<Item = (usize, &'e [u8])> {
        self.0.ranges()
    }

    /// Changes the value; `false` where a part does not fit.
    pub fn apply(&self, value: &mut [u8]) -> bool {
        self.0.apply(value)
    }
}

/// Reads a log record: table, key and change of each entry.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn read_record(
    bytes: &[u8],
    mut visit: impl FnMut(u32, &[u8], Change<'_>),
) -> std::result::Result<(), &'static str> {
    let Record::Commit(mut entries) = Record::decode(bytes).map_err(|what| what.0)? else { return Ok(()) };
    while let Some(entry) = entries.next().map_err(|what| what.0)? {
        let change = match entry.op {
            Op::Put(value) => Change::Put(value),
            Op::Patch(patch) => Change::Patch(Parts(patch)),
            Op::Attach { descriptor, manifest } => Change::Attach(descriptor, manifest),
            Op::Delete => Change::Delete,
            Op::Create { row } => Change::Create(row),
            Op::Drop => Change::Drop,
            Op::RangeDelete { high } => Change::RangeDelete(high),
            Op::Adopt { root } => Change::Adopt(root),
        };
        visit(entry.table, entry.key, change);
    }
    Ok(())
}

/// Table, key and value; no value deletes.
pub type PutOrDelete<'e> = (u32, &'e [u8], Option<&'e [u8]>);

/// A log record of puts, and of deletes where there is no value. Tables must not descend.
pub fn write_record(entries: &[PutOrDelete<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = CommitWriter::new(&mut out, entries.len());
    for &(table, key, value) in entries {
        match value {
            Some(value) => writer.put(table, key, value),
            None => writer.delete(table, key),
        }
    }
    out
}

/// A log record that makes a table of bytes.
pub fn write_create(table: u32, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let row = Row {
        name: name.into(),
        logged: true,
        key_type: "bytes".into(),
        value_type: "bytes".into(),
        ..Row::default()
    };
    CommitWriter::new(&mut out, 1).create(table, name, &row::encode_options(&row.description()));
    out
}

/// A row of the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// 0 live, 1 dropping.
    pub state: u8,
    /// Root page of the table's tree.
    pub root: u32,
    /// Name.
    pub name: String,
    /// Seed of the hash function, if it is a hashed table.
    pub hash_seed: Option<u64>,
    /// Whether commits to it are logged.
    pub logged: bool,
    /// Name of the keys' type.
    pub key_type: String,
    /// Name of the values' type.
    pub value_type: String,
    /// The time that its records live, in milliseconds, if they may expire.
    pub lifetime_ms: Option<u64>,
}

impl Row {
    fn description(&self) -> Description {
        Description {
            name: self.name.clone(),
            kind: self.hash_seed.map_or(IndexKind::Sorted, |seed| IndexKind::Hashed { seed }),
            logged: self.logged,
            key_type: self.key_type.clone(),
            value_type: self.value_type.clone(),
            lifetime: self.lifetime_ms.map(|ms| Lifetime { ms }),
        }
    }
}

/// Reads a row of the catalog.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn read_row(bytes: &[u8]) -> std::result::Result<Row, &'static str> {
    let (state, root, description) = row::decode_row(bytes)?;
    let Description { name, kind, logged, key_type, value_type, lifetime } = description;
    let lifetime_ms = lifetime.map(|lifetime| lifetime.ms);
    let hash_seed = match kind {
        IndexKind::Sorted => None,
        IndexKind::Hashed { seed } => Some(seed),
    };
    Ok(Row { state, root: root.0, name, hash_seed, logged, key_type, value_type, lifetime_ms })
}

/// The bytes of a row.
pub fn write_row(row: &Row) -> Vec<u8> {
    row::encode_row(row.state, PageId(row.root), &row.description())
}

/// Live tables, and the ids of those being dropped.
pub type CatalogTables = (Vec<(u32, String)>, Vec<u32>);

/// Loads the catalog that lies in this pager; returns id and name of each live table, and the ids of those being dropped.
///
/// # Errors
///
/// As at the opening of a database.
pub fn load_catalog(pager: &Arc<Pager>) -> Result<CatalogTables> {
    let catalog = Catalog::load(pager, true)?;
    let live = catalog.tables().map(|table| (table.id, table.name.clone())).collect();
    Ok((live, catalog.dropping().iter().map(|table| table.id).collect()))
}

/// The members of a group of long keys: suffixes and values.
pub type Members = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads a group of long keys.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn read_group(bytes: &[u8]) -> std::result::Result<Members, &'static str> {
    let group = Group::new(bytes)?;
    group.check(usize::from(u16::MAX))?;
    let members = (0..group.count()).map(|index| group.member(index));
    members.map(|member| member.map(|at| (bytes[at.suffix].to_vec(), bytes[at.value].to_vec()))).collect()
}

/// The bytes of a group; nothing if it has no members.
pub fn write_group(members: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut builder = long_key::Builder::default();
    members.iter().for_each(|(suffix, value)| builder.push(suffix, value));
    builder.finish()
}

/// Changes one member of a group. Nothing if there is no member any more.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn change_group(
    bytes: &[u8],
    suffix: &[u8],
    value: Option<&[u8]>,
) -> std::result::Result<Option<Vec<u8>>, &'static str> {
    Ok(match long_key::merge(Some(Group::new(bytes)?), &[(suffix, value)])? {
        long_key::Outcome::Same => Some(bytes.to_vec()),
        long_key::Outcome::Gone => None,
        long_key::Outcome::Changed(bytes) => Some(bytes),
        long_key::Outcome::TooLong(_) => return Err("it is too long"),
    })
}
