//! Lists of numbers in a database: where the list of a key lies, and what it looks like there.
//!
//! Even keys are in a sorted table, odd ones in a hashed one. Of sixteen keys, two have long names, which share a group with those of the
//! same table near them, and two have elements so wide that their lists get pages of their own.

use aquifer::{AnyTable, Database, Error, ErrorKind, HashTable, Result, Snapshot, Table, TableOptions};

/// Bytes of an element, and of a wide one; a number comes first, and zeros after it.
const ELEMENT_BYTES: usize = 8;
const WIDE_BYTES: usize = 400;
/// Long names have so many bytes in common.
const LONG_BYTES: usize = 700;
/// Keys of one group of long names.
const GROUP_KEYS: u64 = 64;

/// A database with its lists.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) db: Database,
    pub(super) sorted: Table,
    hashed: HashTable,
    tables: [AnyTable; 2],
    /// Of no list: what makes a commit take long.
    pub(super) ballast: Table,
}

impl Lists {
    pub(super) fn new(db: Database) -> std::result::Result<Lists, String> {
        Lists::of(db).map_err(|error| format!("tables: {error}"))
    }

    fn of(db: Database) -> Result<Lists> {
        if matches!(db.any_table("sorted"), Err(Error::TableNotFound { .. })) {
            drop(db.create_table("sorted", TableOptions::default())?);
        }
        if matches!(db.any_table("hashed"), Err(Error::TableNotFound { .. })) {
            drop(db.create_table("hashed", TableOptions::hashed())?);
        }
        if matches!(db.any_table("ballast"), Err(Error::TableNotFound { .. })) {
            drop(db.create_table("ballast", TableOptions::default())?);
        }
        let ballast = db.table("ballast")?;
        let (sorted, hashed) = (db.table("sorted")?, db.hash_table("hashed")?);
        let tables = [db.any_table("sorted")?, db.any_table("hashed")?];
        Ok(Lists { db, sorted, hashed, tables, ballast })
    }

    /// Empties both tables.
    pub(super) fn clear(self) -> Result<()> {
        self.sorted.range_delete(..)?;
        let Lists { db, hashed, tables, .. } = self;
        drop((hashed, tables));
        db.drop_table("hashed")
    }

    pub(super) fn table(&self, key: u64) -> &AnyTable {
        &self.tables[(key % 2) as usize]
    }

    /// The list of a key in a snapshot or a transaction.
    pub(super) fn read_in(&self, snapshot: &Snapshot, key: u64) -> Result<Vec<u64>> {
        list(key, snapshot.get(self.table(key), &name(key))?.as_deref())
    }

    /// The list of a key as it is now.
    pub(super) fn read(&self, key: u64) -> Result<Vec<u64>> {
        list(key, self.table(key).get(&name(key))?.as_deref())
    }

    /// All lists of the hashed table in a snapshot, by key.
    pub(super) fn hashed_in(&self, snapshot: &Snapshot) -> Result<Vec<(u64, Vec<u64>)>> {
        let entry = |entry: Result<(Vec<u8>, Vec<u8>)>| {
            let (found, value) = entry?;
            let key = key_of(&found)?;
            Ok((key, list(key, Some(&value))?))
        };
        snapshot.iter(&self.hashed).map(entry).collect()
    }
}

fn is_wide(key: u64) -> bool {
    matches!(key % 16, 10 | 11)
}

/// Has it a long name?
pub(super) fn is_long(key: u64) -> bool {
    matches!(key % 16, 6 | 7)
}

/// The name of a key: names of short ones are in the order of the keys.
pub(super) fn name(key: u64) -> Vec<u8> {
    let number = key.to_be_bytes();
    if !is_long(key) {
        return [b"s", &number[..]].concat();
    }
    let group = (key / GROUP_KEYS).to_be_bytes();
    [b"l", &group[..], &[0; LONG_BYTES], &number[..]].concat()
}

/// The key of a name.
pub(super) fn key_of(found: &[u8]) -> Result<u64> {
    let number = found.last_chunk().map(|number| u64::from_be_bytes(*number));
    let key = number.filter(|&key| name(key) == found);
    key.ok_or_else(|| corrupt(format!("{} is no name of a key", found.escape_ascii())))
}

/// The bytes of a list's next element.
pub(super) fn element(key: u64, value: u64) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(if is_wide(key) { WIDE_BYTES } else { ELEMENT_BYTES }, 0);
    bytes
}

/// What a record of a key says.
pub(super) fn list(key: u64, record: Option<&[u8]>) -> Result<Vec<u64>> {
    let bytes = record.unwrap_or_default();
    let element_bytes = if is_wide(key) { WIDE_BYTES } else { ELEMENT_BYTES };
    let (elements, rest) = (bytes.chunks_exact(element_bytes), bytes.len() % element_bytes);
    let read = |bytes: &[u8]| {
        let value = u64::from_le_bytes(*bytes.first_chunk().expect("an element has eight bytes at least"));
        bytes[ELEMENT_BYTES..].iter().all(|&byte| byte == 0).then_some(value)
    };
    let values: Option<Vec<u64>> = elements.map(read).collect();
    match values.filter(|_| rest == 0) {
        Some(values) => Ok(values),
        None => Err(corrupt(format!("the {} bytes at key {key} are no list", bytes.len()))),
    }
}

fn corrupt(what: String) -> Error {
    Error::Corrupt { what }
}

/// Whether a transaction with this error has changed nothing, and may be begun again.
pub(super) fn is_refusal(error: &Error) -> bool {
    use ErrorKind::{BudgetExhausted, Conflict, LockTimeout, SnapshotTooOld, TransactionTooLarge};
    matches!(error.kind(), Conflict | LockTimeout | SnapshotTooOld | BudgetExhausted | TransactionTooLarge)
}
